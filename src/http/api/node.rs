//! What concerns the node and no channel: `info` and `rpc`.

use sealcast_wire::ErrorCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::App;
use crate::auth::NodeId;
use crate::cluster::Numbers;

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
    version: String,
    num_clients: usize,
    num_users: usize,
    num_subs: usize,
    num_channels: usize,
    uptime: u64,
}

pub(super) fn info(app: &App, Nothing {}: Nothing) -> Info {
    let node = |(uid, numbers): (NodeId, Numbers)| Node {
        uid: uid.to_string(),
        name: numbers.name,
        version: numbers.version,
        num_clients: numbers.clients,
        num_users: numbers.users,
        num_subs: numbers.subscriptions,
        num_channels: numbers.channels,
        uptime: numbers.uptime,
    };
    Info { nodes: app.cluster.nodes().into_iter().map(node).collect() }
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
