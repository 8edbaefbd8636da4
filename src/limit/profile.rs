//! Limit profiles: named sets of numbers for a listener.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::rate::Rate;

/// A named set of numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// For a few people who know each other.
    Strict,
    /// For the open internet.
    #[default]
    Standard,
    /// As `Standard`, without limits on rates: for benches, and for a move from
    /// a server that had none.
    None,
}

/// The numbers. Each can be overridden by configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most WebSocket connections of the node.
    pub websocket_connections: usize,
    /// Most HTTP streams of the node, of every kind.
    pub sse_connections: usize,
    /// Most connections that have not authenticated, within those.
    pub waiting_connections: usize,
    /// Sockets that may be open beside connections, for the server API and handshakes.
    pub http_sockets: usize,
    /// Largest WebSocket message and request body, bytes.
    pub frame_bytes: usize,
    /// Largest payload of one publication, bytes.
    pub message_bytes: usize,
    /// Most fragments of one WebSocket message.
    pub frame_fragments: usize,
    /// Longest time a WebSocket message may take to arrive whole.
    pub message_deadline: Duration,
    /// Longest time a request's header may take to arrive.
    pub header_timeout: Duration,
    /// Longest time a request's body may take to arrive.
    pub body_timeout: Duration,
    /// How long a token may be good for.
    pub token_max_lifetime: Duration,
    /// How long a connection may last.
    pub connection_max_age: Duration,
    /// Longest time until a connection has authenticated.
    pub connect_deadline: Duration,
    /// Most subscriptions of one connection.
    pub channels_per_connection: usize,
    /// Most publications that a recovery brings back.
    pub recovery_publications: usize,
    /// Most publications of one page of history for a client.
    pub history_publications: usize,
    /// Most bytes of one channel's history.
    pub history_bytes: usize,
    /// Most bytes of the history that the embedded broker keeps.
    pub node_history_bytes: usize,
    /// Most bytes of recent publications that the node keeps for recoveries.
    pub node_tail_bytes: usize,
    /// Most publications and replies waiting for one connection.
    pub queue_messages: usize,
    /// Most bytes waiting for one connection.
    pub queue_bytes: usize,
    /// Most bytes of memory held for one connection: what waits for it, input,
    /// commands under way and subscriptions.
    pub conn_memory: usize,
    /// Bytes that the node holds for all slow connections, and of input.
    pub node_queue_bytes: usize,
    /// Bytes of memory of the process before which the node sheds; 0 is what its
    /// control group or the machine has.
    pub node_memory: usize,
    /// Longest time a write may make no progress.
    pub write_timeout: Duration,
    /// Time between pings.
    pub ping_interval: Duration,
    /// Longest time until a ping is answered.
    pub pong_timeout: Duration,
    /// How long a connection may outlive its token, to bring a new one.
    pub expired_close_delay: Duration,
    /// The same for a subscription and its token.
    pub expired_sub_close_delay: Duration,
    /// Commands of one connection, but for those with a rate of their own.
    pub conn_commands: Rate,
    /// Bytes of one connection's commands.
    pub conn_bytes: Rate,
    /// Subscribes of one connection; what follows from them, unsubscribes and
    /// refreshes of subscriptions, has as much again.
    pub subscribes: Rate,
    /// What one user publishes, sends and calls, over all connections.
    pub user_messages: Rate,
    /// The same of all users of one tenant together.
    pub tenant_messages: Rate,
    /// What one client publishes to one channel that is shaped; counts as nothing else.
    pub ephemeral: Rate,
    /// What `conn_commands` counts, of all connections of the node together.
    pub node_commands: Rate,
    /// New connections from one address; from one /64 with IPv6.
    pub ip_connects: Rate,
    /// New connections of the node.
    pub node_connects: Rate,
    /// Most connections from one address; from one /64 with IPv6.
    pub ip_connections: usize,
    /// Tickets of one user.
    pub user_tickets: Rate,
    /// Sessions and tickets that one address, or one /64 with IPv6, names and that are
    /// not there.
    pub ip_guesses: Rate,
    /// Most connections of one user; 0 for any number.
    pub user_connections: usize,
    /// Most connections of one tenant; 0 for any number.
    pub tenant_connections: usize,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Profile; 3] = [Profile::Standard, Profile::Strict, Profile::None];

    /// Its name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Profile::Strict => "strict",
            Profile::Standard => "standard",
            Profile::None => "none",
        }
    }

    /// The profile's numbers.
    #[must_use]
    pub fn limits(self) -> Limits {
        let standard = Limits {
            websocket_connections: 10_000,
            sse_connections: 5_000,
            waiting_connections: 1_000,
            http_sockets: 1_000,
            frame_bytes: 65_536,
            message_bytes: 65_536,
            frame_fragments: 64,
            message_deadline: Duration::from_secs(10),
            header_timeout: Duration::from_secs(5),
            body_timeout: Duration::from_secs(10),
            token_max_lifetime: Duration::from_secs(3_600),
            connection_max_age: Duration::from_secs(24 * 3_600),
            connect_deadline: Duration::from_secs(10),
            channels_per_connection: 128,
            recovery_publications: 300,
            history_publications: 300,
            history_bytes: 4 << 20,
            node_history_bytes: 256 << 20,
            node_tail_bytes: 64 << 20,
            queue_messages: 1_000,
            queue_bytes: 1 << 20,
            conn_memory: 1_280 << 10,
            node_queue_bytes: 256 << 20,
            node_memory: 0,
            write_timeout: Duration::from_secs(5),
            ping_interval: Duration::from_secs(25),
            pong_timeout: Duration::from_secs(8),
            expired_close_delay: Duration::from_secs(25),
            expired_sub_close_delay: Duration::from_secs(25),
            conn_commands: Rate::each_second(10, 20),
            conn_bytes: Rate::each_second(256 << 10, 1 << 20),
            subscribes: Rate::each_second(10, 128),
            user_messages: Rate::of(100, Duration::from_secs(60), 20),
            tenant_messages: Rate::NONE,
            ephemeral: Rate::each_second(60, 60),
            node_commands: Rate::each_second(5_000, 5_000),
            ip_connects: Rate::of(60, Duration::from_secs(10), 60),
            node_connects: Rate::each_second(2_000, 2_000),
            ip_connections: 200,
            user_tickets: Rate::of(10, Duration::from_secs(60), 10),
            ip_guesses: Rate::of(100, Duration::from_secs(10), 100),
            user_connections: 10,
            tenant_connections: 0,
        };
        match self {
            Profile::Standard => standard,
            Profile::Strict => Limits {
                websocket_connections: 500,
                sse_connections: 250,
                waiting_connections: 100,
                http_sockets: 100,
                message_bytes: 1_024,
                frame_fragments: 16,
                message_deadline: Duration::from_secs(5),
                token_max_lifetime: Duration::from_secs(15 * 60),
                connection_max_age: Duration::from_secs(8 * 3_600),
                connect_deadline: Duration::from_secs(5),
                channels_per_connection: 32,
                queue_bytes: 256 << 10,
                conn_memory: 512 << 10,
                node_queue_bytes: 32 << 20,
                node_commands: Rate::each_second(100, 100),
                ip_connects: Rate::of(10, Duration::from_secs(10), 10),
                node_connects: Rate::each_second(200, 200),
                ip_connections: 20,
                ip_guesses: Rate::of(20, Duration::from_secs(10), 20),
                user_connections: 3,
                ..standard
            },
            Profile::None => Limits {
                conn_commands: Rate::NONE,
                conn_bytes: Rate::NONE,
                subscribes: Rate::NONE,
                user_messages: Rate::NONE,
                tenant_messages: Rate::NONE,
                ephemeral: Rate::NONE,
                node_commands: Rate::NONE,
                ip_connects: Rate::NONE,
                node_connects: Rate::NONE,
                user_tickets: Rate::NONE,
                ip_guesses: Rate::NONE,
                ..standard
            },
        }
    }
}

/// The text is not the name of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseProfileError;

impl FromStr for Profile {
    type Err = ParseProfileError;

    fn from_str(name: &str) -> Result<Profile, ParseProfileError> {
        Profile::ALL.into_iter().find(|known| known.name() == name).ok_or(ParseProfileError)
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn the_numbers_are_those_that_were_promised() {
        let (standard, strict) = (Profile::Standard.limits(), Profile::Strict.limits());
        for limits in [&standard, &strict] {
            assert_eq!(limits.conn_commands, Rate::each_second(10, 20));
            assert_eq!(limits.user_messages, Rate::of(100, SECOND(60), 20));
            assert_eq!((limits.tenant_messages, limits.tenant_connections), (Rate::NONE, 0));
            assert_eq!(limits.subscribes, Rate::each_second(10, 128));
            assert_eq!(limits.ephemeral, Rate::each_second(60, 60));
            assert_eq!(limits.queue_messages, 1_000);
            assert_eq!(limits.header_timeout, SECOND(5));
            assert_eq!((limits.ping_interval, limits.pong_timeout), (SECOND(25), SECOND(8)));
        }
        let both = |number: fn(&Limits) -> usize| (number(&strict), number(&standard));
        assert_eq!(both(|limits| limits.message_bytes), (1_024, 65_536));
        assert_eq!(both(|limits| limits.ip_connections), (20, 200));
        assert_eq!(both(|limits| limits.user_connections), (3, 10));
        assert_eq!(both(|limits| limits.websocket_connections), (500, 10_000));
        assert_eq!(both(|limits| limits.channels_per_connection), (32, 128));
        assert_eq!(both(|limits| limits.queue_bytes), (256 << 10, 1 << 20));
        assert_eq!(both(|limits| limits.conn_memory), (512 << 10, 1_280 << 10));
        assert_eq!(both(|limits| limits.frame_fragments), (16, 64));
        let both = |time: fn(&Limits) -> Duration| (time(&strict), time(&standard));
        assert_eq!(both(|limits| limits.message_deadline), (SECOND(5), SECOND(10)));
        assert_eq!(both(|limits| limits.connect_deadline), (SECOND(5), SECOND(10)));
        assert_eq!(both(|limits| limits.token_max_lifetime), (SECOND(900), SECOND(3_600)));
        assert_eq!(both(|limits| limits.connection_max_age), (SECOND(28_800), SECOND(86_400)));
        let both = |rate: fn(&Limits) -> Rate| (rate(&strict), rate(&standard));
        let each = Rate::each_second;
        assert_eq!(both(|limits| limits.node_commands), (each(100, 100), each(5_000, 5_000)));
        assert_eq!(both(|limits| limits.node_connects), (each(200, 200), each(2_000, 2_000)));
        let ten = |count| Rate::of(count, SECOND(10), count);
        assert_eq!(both(|limits| limits.ip_connects), (ten(10), ten(60)));
        assert_eq!(both(|limits| limits.ip_guesses), (ten(20), ten(100)));
        let ten = Rate::of(10, SECOND(60), 10);
        assert_eq!(both(|limits| limits.user_tickets), (ten, ten));
    }
}
