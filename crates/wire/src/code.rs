//! The code tables: errors in replies, codes of close frames, and codes of
//! unsubscribe pushes. SDKs decide by these numbers whether to come back, and
//! some show the texts, so both are part of the contract.

/// An enum of codes, each with its number and its text.
macro_rules! codes {
    ($(#[$about:meta])* $codes:ident { $($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum $codes {
            $($(#[$doc])* $name = $code,)*
        }

        impl $codes {
            /// Every code, for tables and tests.
            pub const ALL: &'static [$codes] = &[$($codes::$name),*];

            /// The number on the wire.
            #[must_use]
            pub const fn code(self) -> u32 {
                self as u32
            }

            const fn text(self) -> &'static str {
                match self {
                    $($codes::$name => $text,)*
                }
            }
        }
    };
}

codes! {
    /// An error in a reply. Centrifuge client protocol, error codes.
    ErrorCode {
        /// Something failed on the server's side; trying again may help.
        Internal = 100, "internal server error";
        /// Not authenticated for this.
        Unauthorized = 101, "unauthorized";
        /// The channel's namespace is not configured.
        UnknownChannel = 102, "unknown channel";
        /// Known, and not allowed.
        PermissionDenied = 103, "permission denied";
        /// No such method.
        MethodNotFound = 104, "method not found";
        /// The connection has this subscription, or is making it.
        AlreadySubscribed = 105, "already subscribed";
        /// A limit of the connection is reached.
        LimitExceeded = 106, "limit exceeded";
        /// The request cannot be understood or is not acceptable.
        BadRequest = 107, "bad request";
        /// The feature is switched off.
        NotAvailable = 108, "not available";
        /// The token has expired; a client fetches a new one.
        TokenExpired = 109, "token expired";
        /// What was asked for lies in the past.
        Expired = 110, "expired";
        /// Too fast; try again later.
        TooManyRequests = 111, "too many requests";
        /// The position cannot be recovered from.
        UnrecoverablePosition = 112, "unrecoverable position";
        /// Another pagination is under way.
        ConcurrentPagination = 113, "concurrent pagination";
    }
}

impl ErrorCode {
    /// The code with this number on the wire.
    #[must_use]
    pub fn from_code(code: u32) -> Option<ErrorCode> {
        ErrorCode::ALL.iter().copied().find(|known| known.code() == code)
    }

    /// The text on the wire; never empty, because some SDKs index it.
    #[must_use]
    pub const fn message(self) -> &'static str {
        self.text()
    }

    /// Whether a client should try the same again by itself.
    #[must_use]
    pub const fn temporary(self) -> bool {
        matches!(
            self,
            ErrorCode::Internal | ErrorCode::TooManyRequests | ErrorCode::ConcurrentPagination
        )
    }
}

/// Why the server ends a connection: the code and text of its close frame.
/// 3000 to 3499 make an SDK reconnect, 3500 to 3999 do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Disconnect {
    /// The close code.
    pub code: u16,
    /// The close reason: plain text of at most 123 bytes, never beginning with `{`.
    pub reason: &'static str,
}

impl Disconnect {
    /// The code and the text.
    #[must_use]
    pub const fn told(self) -> (u16, &'static str) {
        (self.code, self.reason)
    }
}

macro_rules! disconnects {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $reason:literal;)*) => {
        impl Disconnect {
            $($(#[$doc])* pub const $name: Disconnect = Disconnect { code: $code, reason: $reason };)*

            /// Every code the server may close with, for tables and tests.
            pub const ALL: &'static [Disconnect] = &[$(Disconnect::$name),*];
        }
    };
}

disconnects! {
    /// The client went away; never sent, only counted.
    CONNECTION_CLOSED = 3000, "connection closed";
    /// This node stops.
    SHUTDOWN = 3001, "shutdown";
    /// A fault on the server's side.
    INTERNAL = 3004, "internal server error";
    /// The connection's credentials have expired.
    EXPIRED = 3005, "connection expired";
    /// A server-side subscription has expired.
    SUBSCRIPTION_EXPIRED = 3006, "subscription expired";
    /// The client reads too slowly; its queue is full.
    SLOW = 3008, "slow";
    /// A write failed or made no progress.
    WRITE_ERROR = 3009, "write error";
    /// The state the client holds can no longer be continued.
    INSUFFICIENT_STATE = 3010, "insufficient state";
    /// An operator asks the client to reconnect.
    FORCE_RECONNECT = 3011, "force reconnect";
    /// A ping was not answered in time.
    NO_PONG = 3012, "no pong";
    /// Too many requests, after error 111 was ignored.
    TOO_MANY_REQUESTS = 3013, "too many requests";
    /// All state that the client holds is void; it drops tokens and positions
    /// before it reconnects.
    STATE_INVALIDATED = 3014, "state invalidated";
    /// The token does not verify.
    INVALID_TOKEN = 3500, "invalid token";
    /// The bytes are not a valid use of the protocol.
    BAD_REQUEST = 3501, "bad request";
    /// No successful connect within the deadline.
    STALE = 3502, "stale";
    /// An operator or a backend ends the connection.
    FORCE_DISCONNECT = 3503, "force disconnect";
    /// A cap on connections is reached.
    CONNECTION_LIMIT = 3504, "connection limit";
    /// Too many server-side subscriptions.
    CHANNEL_LIMIT = 3505, "channel limit";
    /// The payload cannot be carried by this connection's encoding.
    INAPPROPRIATE_PROTOCOL = 3506, "inappropriate protocol";
    /// Not allowed to connect.
    PERMISSION_DENIED = 3507, "permission denied";
    /// The feature is not there.
    NOT_AVAILABLE = 3508, "not available";
    /// Errors kept coming.
    TOO_MANY_ERRORS = 3509, "too many errors";
    /// WebSocket: the peer left on its own; echoed back to it (RFC 6455 7.4.1).
    NORMAL = 1000, "";
    /// WebSocket: the frame breaks RFC 6455.
    PROTOCOL_ERROR = 1002, "protocol error";
    /// WebSocket: text that is not UTF-8.
    INVALID_UTF8 = 1007, "invalid utf-8";
    /// WebSocket: too many fragments, or a message that takes too long.
    POLICY = 1008, "message too slow or too fragmented";
    /// WebSocket: the message is larger than allowed.
    TOO_BIG = 1009, "";
}

codes! {
    /// Why a subscription ended, in an unsubscribe push. 2500 and above make an
    /// SDK subscribe again.
    Unsubscribed {
        /// The server took the subscription away.
        Server = 2000, "server unsubscribe";
        /// The position was lost; the client recovers from history.
        InsufficientState = 2500, "insufficient state";
        /// The subscription's token expired.
        Expired = 2501, "subscription expired";
        /// All state that the client holds for the channel is void.
        StateInvalidated = 2502, "state invalidated";
    }
}

impl Unsubscribed {
    /// The text on the wire; never empty.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        self.text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_fit_a_close_frame_and_are_not_taken_for_json() {
        for disconnect in Disconnect::ALL {
            assert!(disconnect.reason.len() <= 123);
            assert!(!disconnect.reason.starts_with('{'));
        }
    }
}
