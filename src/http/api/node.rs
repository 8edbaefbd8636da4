//! What concerns the node and no channel: `info` and `rpc`.

use sealcast_wire::ErrorCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::App;

/// Nothing needs to be said.
#[derive(Default, Deserialize)]
pub(super) struct Nothing {}

#[derive(Serialize)]
pub(super) struct Info {
    nodes: Vec<Node>,
}

/// What one node serves; `uptime` in seconds.
#[derive(Serialize)]
struct Node {
    uid: String,
    name: String,
    version: &'static str,
    num_clients: usize,
    num_users: usize,
    num_subs: usize,
    num_channels: usize,
    uptime: u64,
}

pub(super) fn info(app: &App, Nothing {}: Nothing) -> Info {
    let hub = app.policy.relay.hub();
    let census = hub.census();
    Info {
        nodes: vec![Node {
            uid: app.node.uid.clone(),
            name: app.node.name.clone(),
            version: app.node.version,
            num_clients: census.clients,
            num_users: census.users,
            num_subs: census.subscriptions,
            num_channels: census.channels,
            uptime: hub.clock().now().0 / 1_000,
        }],
    }
}

#[derive(Default, Deserialize)]
pub(super) struct Rpc<'a> {
    #[serde(rename = "method")]
    _method: Option<String>,
    #[serde(rename = "params", borrow)]
    _params: Option<&'a RawValue>,
}

/// There is nothing that an rpc could reach.
pub(super) fn rpc(_: Rpc<'_>) -> Result<(), ErrorCode> {
    Err(ErrorCode::MethodNotFound)
}
