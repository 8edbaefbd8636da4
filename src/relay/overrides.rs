//! What operators have set for single users, tenants, connections, addresses and keys: read at
//! the broker when somebody says that it has changed and once a second besides, and
//! carried to the connections that are there.

use std::sync::Arc;
use std::time::Duration;

use sealcast_wire::Disconnect;
use tokio::sync::{Mutex, Notify};
use tokio::time::timeout;

use super::Relay;
use crate::broker::Unavailable;
use crate::hub::Known;
use crate::limit::{Nanos, Usage, Whose, nanos};

/// How often they are looked at if nobody says anything.
const EVERY: Duration = Duration::from_secs(1);

/// How far the node has come with them.
#[derive(Default)]
pub(super) struct Reading {
    changed: Notify,
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    /// Whether the broker was away, once that is known.
    away: Option<bool>,
    version: String,
    /// How many held when they were carried to the connections.
    count: usize,
}

impl Relay {
    /// Somebody has changed an override: it is read soon.
    pub fn note_overrides_changed(&self) {
        self.overrides.changed.notify_one();
    }

    /// Reads the overrides, if they have changed. When this is done they are in force
    /// on this node, for those who are connected too.
    ///
    /// # Errors
    /// If the broker is away: what was read last holds, each until its time.
    pub async fn renew_overrides(&self, usage: &Usage) -> Result<(), Unavailable> {
        let mut last = self.overrides.last.lock().await;
        let read = self.broker.overrides(last.version.clone()).await;
        if self.broker.is_shared() && last.away != Some(read.is_err()) {
            last.away = Some(read.is_err());
            self.hub.metrics().limits_local_share(read.is_err());
            if read.is_err() {
                let nodes = self.live_nodes();
                let event = "limits_local_share";
                tracing::warn!(event, nodes, "Redis is away: each node has its share of limits");
            } else {
                let event = "limits_cluster_wide";
                tracing::info!(event, "limits are counted over all nodes");
            }
        }
        let now = nanos(self.hub.clock().precise());
        let mut changed = false;
        if let Ok(Some(list)) = &read {
            let until = |rest: Duration| now.saturating_add(nanos(rest));
            usage
                .overrides()
                .replace(list.all.iter().map(|(one, rest)| (one.clone(), until(*rest))));
            last.version.clone_from(&list.version);
            changed = true;
        }
        let count = usage.overrides().count(now);
        if changed || count != last.count {
            last.count = count;
            self.hub.metrics().limit_overrides(count);
            tracing::info!(event = "limit_overrides", count, "the overrides of limits changed");
            self.carry_overrides(usage, now);
        }
        read.map(drop)
    }

    /// Reads them again and again; never ends.
    pub async fn keep_overrides(self: Arc<Relay>, usage: Arc<Usage>) {
        loop {
            // Unavailable: the next time tells.
            let _ = self.renew_overrides(&usage).await;
            let _ = timeout(EVERY, self.overrides.changed.notified()).await;
        }
    }

    /// What is set for a connection that has come: its queue is bounded so, or it ends.
    pub fn apply_overrides(&self, known: &Known, usage: &Usage) {
        self.apply(known, usage, nanos(self.hub.clock().precise()));
    }

    fn carry_overrides(&self, usage: &Usage, now: Nanos) {
        self.hub.each_connection(|known| self.apply(&known, usage, now));
    }

    fn apply(&self, known: &Known, usage: &Usage, now: Nanos) {
        let Known { connection, user, tenant, address } = known;
        let user = user.as_ref().filter(|user| !user.is_anonymous()).map(|user| user.as_str());
        let tenant = tenant.as_ref().map(|tenant| tenant.as_str());
        let whose = Whose { client: connection.id(), user, tenant, address: *address };
        if usage.overrides().blocks(whose, now) {
            connection.close(&self.hub, Disconnect::FORCE_DISCONNECT);
        } else {
            connection.set_queue_cap(usage.overrides().queue(whose, now));
        }
    }
}
