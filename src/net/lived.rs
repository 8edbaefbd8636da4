//! The life of a connection's task: counted as long as it lasts, and told of when it
//! has ended, however it ended.

use std::sync::Arc;

use sealcast_wire::Disconnect;

use crate::hub::{Connection, Hub, Millis};

/// See the module's text.
pub(super) struct Lived {
    began: Millis,
    pub(super) connection: Arc<Connection>,
    pub(super) hub: Arc<Hub>,
}

impl Lived {
    pub(super) fn begin(hub: Arc<Hub>, connection: Arc<Connection>) -> Lived {
        hub.metrics().connections(connection.format().transport()).increment(1.0);
        Lived { began: hub.clock().now(), connection, hub }
    }

    /// To be called once, before the session goes, which cleans up when the connection
    /// has ended. `user` says what stands in the log for the one who spoke, and is asked
    /// only if it is told.
    pub(super) fn end(&self, user: impl Fn() -> Option<String>) {
        let Lived { began, connection, hub } = self;
        if std::thread::panicking() {
            hub.metrics().panics.increment(1);
            let client = connection.id();
            tracing::error!(event = "connection_panic", %client, "a panic ended a connection");
            connection.close(hub, Disconnect::INTERNAL);
        }
        let code = connection.finish(hub);
        hub.metrics().disconnect(code);
        hub.metrics().connections(connection.format().transport()).decrement(1.0);
        log_end(connection, code, hub.clock().now().0.saturating_sub(began.0), user);
    }
}

/// Ordinary ends are only told at debug level.
fn log_end(
    connection: &Connection,
    code: u16,
    duration_ms: u64,
    user: impl Fn() -> Option<String>,
) {
    let known = Disconnect::ALL.iter().find(|disconnect| disconnect.code == code);
    let (event, client) = ("disconnected", connection.id());
    let reason = known.map_or("", |disconnect| disconnect.reason);
    let ordinary = [
        Disconnect::NORMAL.code,
        Disconnect::CONNECTION_CLOSED.code,
        Disconnect::SHUTDOWN.code,
        Disconnect::NO_PONG.code,
    ];
    if known.is_none() || ordinary.contains(&code) {
        let text = "a connection has ended";
        tracing::debug!(event, %client, user = user(), code, reason, duration_ms, "{text}");
    } else {
        let text = "a connection was ended";
        tracing::info!(event, %client, user = user(), code, reason, duration_ms, "{text}");
    }
}
