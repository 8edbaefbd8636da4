//! Limit profiles: named sets of numbers for a listener.

use std::str::FromStr;
use std::time::Duration;

/// A named set of numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// For a few people who know each other.
    Strict,
    /// For the open internet.
    #[default]
    Standard,
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
    pub frame_fragments: u32,
    /// Longest time a WebSocket message may take to arrive whole.
    pub message_deadline: Duration,
    /// Longest time a request's header may take to arrive.
    pub header_timeout: Duration,
    /// Longest time a request's body may take to arrive.
    pub body_timeout: Duration,
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
    /// Bytes that the node holds for all slow connections and unfinished frames.
    pub node_queue_bytes: usize,
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
}

impl Profile {
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
            connect_deadline: Duration::from_secs(10),
            channels_per_connection: 128,
            recovery_publications: 300,
            history_publications: 300,
            history_bytes: 4 << 20,
            node_history_bytes: 256 << 20,
            node_tail_bytes: 64 << 20,
            queue_messages: 1_000,
            queue_bytes: 1 << 20,
            node_queue_bytes: 256 << 20,
            write_timeout: Duration::from_secs(5),
            ping_interval: Duration::from_secs(25),
            pong_timeout: Duration::from_secs(8),
            expired_close_delay: Duration::from_secs(25),
            expired_sub_close_delay: Duration::from_secs(25),
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
                connect_deadline: Duration::from_secs(5),
                channels_per_connection: 32,
                queue_bytes: 256 << 10,
                node_queue_bytes: 32 << 20,
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
        match name {
            "strict" => Ok(Profile::Strict),
            "standard" => Ok(Profile::Standard),
            _ => Err(ParseProfileError),
        }
    }
}
