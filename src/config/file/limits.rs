//! `limits` and `websocket`: bounds.

use std::time::Duration;

use super::section;
use crate::limit::Rate;

section! {
    LimitOptions {
        /// Where the numbers come from that are not given: `standard`, for the open internet;
        /// `strict`, for a few people who know each other; or `none`, which is `standard` without
        /// limits on rates.
        @restart profile: String = "standard".to_owned(),
        /// How fast one connection's commands may come, but for those with a rate of their own:
        /// `10/s burst 20` is 10 in each second, and 20 at once; `none` is no limit.
        conn_commands: Rate => conn_commands,
        /// How fast the bytes of one connection's commands may come. The burst is the largest frame
        /// that passes.
        conn_bytes: Rate => conn_bytes,
        /// How fast one connection may subscribe. Its unsubscribes and refreshes of subscriptions
        /// together may come as fast again.
        subscribe: Rate => subscribes,
        /// How fast one user may publish, over all connections; with Redis, to all nodes.
        user_messages: Rate => user_messages,
        /// How fast all users of one tenant together, whom the claim `tenant` of their tokens
        /// names, may publish; with Redis, to all nodes.
        tenant_messages: Rate => tenant_messages,
        /// How fast one client may publish to one channel with `shaping`. It counts as nothing else,
        /// and what is merged may come ten times as fast.
        ephemeral: Rate => ephemeral,
        /// How fast what `limits.conn_commands` counts may come from all connections of the node.
        node_commands: Rate => node_commands,
        /// How fast connections may come from one address, or with IPv6 from one /64.
        ip_connects: Rate => ip_connects,
        /// How fast connections may come to the node.
        node_connects: Rate => node_connects,
        /// Most connections from one address, or with IPv6 from one /64.
        ip_connections: usize => ip_connections,
        /// Most connections of all users of one tenant; with Redis, on all nodes together; any number
        /// with 0.
        tenant_connections: usize => tenant_connections,
        /// How fast one user may ask for tickets.
        user_tickets: Rate => user_tickets,
        /// How fast one address, or with IPv6 one /64, may name sessions and tickets that are not
        /// there.
        ip_guesses: Rate => ip_guesses,
        /// The largest payload of one publication, bytes.
        message_bytes: usize => message_bytes,
        /// Most publications and replies waiting for one connection.
        @restart queue_messages: usize => queue_messages,
        /// Most bytes of memory held for one connection: what waits for it, input that is not
        /// taken up, commands under way and subscriptions with their filters. Unless given it is
        /// no less than `client.queue_max_size` and `websocket.message_size_limit` need.
        conn_memory_max: usize => conn_memory,
        /// Bytes that the node holds for all slow connections, unfinished frames and commands
        /// under way.
        @restart node_queue_bytes: usize => node_queue_bytes,
        /// Bytes of resident memory near which the node sheds; 0 is what its control group or the
        /// machine has.
        @restart node_memory_max: usize => node_memory,
        /// Most bytes of one channel's history.
        history_bytes: usize => history_bytes,
        /// Most bytes of all history that the node keeps.
        @restart node_history_bytes: usize => node_history_bytes,
        /// Most bytes of recent publications that the node keeps for recoveries.
        @restart node_tail_bytes: usize => node_tail_bytes,
        /// Most connections that have not authenticated, within `client.connection_limit`.
        waiting_connections: usize => waiting_connections,
        /// Most streams of the node: sse, http_stream, and those of clients that only listen;
        /// WebSockets are under `client.connection_limit`.
        sse_connections: usize => sse_connections,
        /// Sockets that may be open beside connections, for the server API and handshakes.
        @restart http_sockets: usize => http_sockets,
        /// How long a connection may last; then it ends with 3011, and comes again. Varies by a
        /// tenth, so that not all end together.
        connection_max_age: Duration => connection_max_age,
        /// Most fragments of one WebSocket message.
        frame_fragments: usize => frame_fragments,
        /// The longest time in which a WebSocket message must arrive whole.
        message_deadline: Duration => message_deadline,
        /// The longest time in which a request's header must arrive.
        @restart header_timeout: Duration => header_timeout,
        /// The longest time in which a request's body must arrive.
        body_timeout: Duration => body_timeout,
        /// The longest time in which a write may make no progress.
        @restart write_timeout: Duration => write_timeout,
    }
}

section! {
    WebSocket {
        /// The largest WebSocket message, bytes; 1048576 at most. A request's body may be four
        /// times as large.
        message_size_limit: usize => frame_bytes,
    }
    unsupported {
        disabled: "WebSocket is always there",
        handler_prefix: "it is always /connection/websocket",
        compression: "frames are not compressed",
        compression_level: "frames are not compressed",
        compression_min_size: "frames are not compressed",
        compression_prepared_message_cache_size: "frames are not compressed",
        read_buffer_size: "remove it; a resting connection has no buffers",
        write_buffer_size: "remove it; a resting connection has no buffers",
        use_write_buffer_pool: "remove it; a resting connection has no buffers",
        write_timeout: "its name here is limits.write_timeout",
    }
}
