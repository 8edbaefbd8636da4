//! What the protocol's numbers ask a client to do. Centrifuge client protocol,
//! disconnect codes, error codes, unsubscribe codes.

use sealcast_wire::{Disconnect, ErrorCode, Unsubscribed, reply};

use crate::Cause;

/// Codes that a client gives itself; they never come from a server.
pub(super) mod own {
    use crate::Cause;

    pub(in crate::machine) const DISCONNECT_CALLED: Cause = Cause::new(0, "disconnect called");
    pub(in crate::machine) const UNAUTHORIZED: Cause = Cause::new(1, "unauthorized");
    pub(in crate::machine) const BAD_PROTOCOL: Cause = Cause::new(2, "bad protocol");
    pub(in crate::machine) const SIZE_LIMIT: Cause = Cause::new(3, "message size limit exceeded");

    pub(in crate::machine) const CONNECT_CALLED: Cause = Cause::new(0, "connect called");
    pub(in crate::machine) const TRANSPORT_CLOSED: Cause = Cause::new(1, "transport closed");
    pub(in crate::machine) const NO_PING: Cause = Cause::new(2, "no ping");
    pub(in crate::machine) const SUBSCRIBE_TIMEOUT: Cause = Cause::new(3, "subscribe timeout");
    pub(in crate::machine) const UNSUBSCRIBE_ERROR: Cause = Cause::new(4, "unsubscribe error");

    pub(in crate::machine) const SUBSCRIBE_CALLED: Cause = Cause::new(0, "subscribe called");
    pub(in crate::machine) const BAD_DELTA: Cause = Cause::new(2, "delta does not apply");

    pub(in crate::machine) const UNSUBSCRIBE_CALLED: Cause = Cause::new(0, "unsubscribe called");
}

/// What a close of the connection means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Close {
    /// Come back.
    Reconnect(Cause),
    /// Stay away.
    Terminal(Cause),
}

pub(super) fn close(code: u16, reason: String) -> Close {
    let cause = Cause { code: code.into(), reason: reason.into() };
    match code {
        _ if code == Disconnect::TOO_BIG.code => Close::Terminal(own::SIZE_LIMIT),
        ..3000 => Close::Reconnect(own::TRANSPORT_CLOSED),
        3500..=3999 | 4500..=4999 => Close::Terminal(cause),
        _ => Close::Reconnect(cause),
    }
}

/// Whether a refused connect or subscribe is tried again.
pub(super) fn is_retried(error: &reply::Error) -> bool {
    is_passing(error) || asks_for_token(error)
}

/// Whether a refused refresh is tried again.
pub(super) fn is_passing(error: &reply::Error) -> bool {
    error.code < 100 || error.temporary
}

/// Whether the token is no longer good.
pub(super) fn asks_for_token(error: &reply::Error) -> bool {
    error.code == ErrorCode::TokenExpired.code()
}

/// Whether a subscription that the server ended is made again.
pub(super) fn resubscribes(code: u32) -> bool {
    code >= Unsubscribed::InsufficientState.code()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_close_codes() {
        let terminal = |code| matches!(close(code, "why".into()), Close::Terminal(_));
        for code in [1000, 1006, 3000, 3001, 3014, 3499, 4000, 4499, 5000, 65535] {
            assert!(!terminal(code), "{code}");
        }
        for code in [1009, 3500, 3507, 3999, 4500, 4999] {
            assert!(terminal(code), "{code}");
        }
        assert_eq!(close(1001, "away".into()), Close::Reconnect(own::TRANSPORT_CLOSED));
        assert_eq!(close(3001, "why".into()), Close::Reconnect(Cause::new(3001, "why")));
    }

    #[test]
    fn every_code_that_our_server_closes_with() {
        for disconnect in Disconnect::ALL {
            let terminal = matches!(close(disconnect.code, String::new()), Close::Terminal(_));
            let expected = (3500..4000).contains(&disconnect.code) || disconnect.code == 1009;
            assert_eq!(terminal, expected, "{disconnect:?}");
        }
    }

    #[test]
    fn every_error() {
        for code in 100..=113 {
            let error = reply::Error { code, message: "no".into(), temporary: false };
            assert_eq!(is_retried(&error), code == 109, "{code}");
            assert!(!is_passing(&error));
            assert!(is_passing(&reply::Error { temporary: true, ..error }));
        }
        assert!(is_passing(&reply::Error { code: 99, message: "no".into(), temporary: false }));
    }

    #[test]
    fn every_unsubscribe_code() {
        for (code, again) in [(0, false), (1, false), (2000, false), (2499, false)] {
            assert_eq!(resubscribes(code), again, "{code}");
        }
        for code in [2500, 2501, 2502, 2999] {
            assert!(resubscribes(code), "{code}");
        }
    }
}
