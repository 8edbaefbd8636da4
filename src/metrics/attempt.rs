//! How attempts to connect end.

/// How an attempt to connect ended: the label `result` of
/// `sealcast_connect_attempts_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// The connection stands.
    Ok,
    /// The client sent something that is not acceptable.
    ClientError,
    /// A cap or a limit refused it.
    Limited,
    /// The node failed.
    ServerError,
}

impl Attempt {
    pub(super) const ALL: [(Attempt, &'static str); 4] = [
        (Attempt::Ok, "ok"),
        (Attempt::ClientError, "client_error"),
        (Attempt::Limited, "limited"),
        (Attempt::ServerError, "server_error"),
    ];
}
