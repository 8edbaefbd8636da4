//! The transports beside WebSocket: streams of HTTP, in both directions with
//! `/emulation`, and those for clients that only listen.

use super::section;

section! {
    Sse {
        /// Clients may connect to /connection/sse, and send by /emulation.
        enabled: bool,
    }
    unsupported {
        handler_prefix: "it is always /connection/sse",
        max_request_body_size: "its name here is websocket.message_size_limit",
    }
}

section! {
    HttpStream {
        /// Clients may connect to /connection/http_stream, and send by /emulation.
        enabled: bool,
    }
    unsupported {
        handler_prefix: "it is always /connection/http_stream",
        max_request_body_size: "its name here is websocket.message_size_limit",
    }
}

section! {
    UniSse {
        /// Clients that only listen may connect to /connection/uni_sse.
        enabled: bool,
    }
    unsupported {
        handler_prefix: "it is always /connection/uni_sse",
        max_request_body_size: "its name here is websocket.message_size_limit",
        connect_code_to_http_response: "clients are told by a disconnect push",
    }
}

section! {
    UniHttpStream {
        /// Clients that only listen may connect to /connection/uni_http_stream.
        enabled: bool,
    }
    unsupported {
        handler_prefix: "it is always /connection/uni_http_stream",
        max_request_body_size: "its name here is websocket.message_size_limit",
        connect_code_to_http_response: "clients are told by a disconnect push",
    }
}

section! {
    UniWebSocket {
        /// Clients that only listen may connect to /connection/uni_websocket.
        enabled: bool,
    }
    unsupported {
        handler_prefix: "it is always /connection/uni_websocket",
        message_size_limit: "its name here is websocket.message_size_limit",
        compression: "frames are not compressed",
        compression_level: "frames are not compressed",
        compression_min_size: "frames are not compressed",
        compression_prepared_message_cache_size: "frames are not compressed",
        read_buffer_size: "remove it; a resting connection has no buffers",
        write_buffer_size: "remove it; a resting connection has no buffers",
        use_write_buffer_pool: "remove it; a resting connection has no buffers",
        write_timeout: "its name here is limits.write_timeout",
        join_push_messages: "each push is a message of its own",
        disable_disconnect_push: "clients are always told by a push too",
    }
}
