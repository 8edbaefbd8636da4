//! Leaving: the node's own clients are sent away a few at a time.

use std::time::Duration;

use rand::seq::SliceRandom;
use sealcast_wire::Disconnect;

use crate::hub::Hub;

/// How often some are sent away.
const STEP: Duration = Duration::from_millis(100);

/// Closes every connection with 3001, in random order, evenly over `spread`.
pub async fn close_spread(hub: &Hub, spread: Duration) {
    let mut connections = hub.connections();
    connections.shuffle(&mut rand::rng());
    let steps = (spread.as_millis() / STEP.as_millis()).max(1) as usize;
    let each_step = connections.len().div_ceil(steps).max(1);
    for (step, some) in connections.chunks(each_step).enumerate() {
        if step > 0 {
            tokio::time::sleep(STEP).await;
        }
        for connection in some {
            connection.close(hub, Disconnect::SHUTDOWN);
        }
    }
    // Whoever came in meanwhile.
    hub.close_all(Disconnect::SHUTDOWN);
}
