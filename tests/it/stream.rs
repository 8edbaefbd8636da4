//! HTTP streams: what clients get over them, what they say by `/emulation`, how they
//! end, and what is refused.

pub(crate) mod reader;

mod bounds;
mod curl;
mod disclosure;
mod emulation;
mod end;
mod format;
mod listening;
mod origin;
mod refused;
mod tickets;

use serde_json::{Value, json};

use crate::support::node::TestNode;

/// A node with every transport on, changed by what `options` says.
async fn node(options: Value) -> TestNode {
    let mut all = json!({
        "sse": { "enabled": true },
        "http_stream": { "enabled": true },
        "uni_sse": { "enabled": true },
        "uni_http_stream": { "enabled": true },
        "uni_websocket": { "enabled": true },
        "channel": {
            "without_namespace": {
                "allow_subscribe_for_client": true,
                "allow_publish_for_client": true,
                "history_size": 100,
                "history_ttl": "300s",
                "allow_recovery": true,
            },
        },
    });
    crate::support::node::lay_over(&mut all, options);
    TestNode::with(all).await
}
