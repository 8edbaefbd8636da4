//! HTTP/2 without TLS: WebSockets over it (RFC 8441), which are like any others, and
//! what one connection of many streams may not do.

mod wire;

mod bounds;
mod websocket;

use serde_json::{Value, json};

use crate::support::node::TestNode;

/// A node that speaks it, changed by what `options` says.
async fn node(options: Value) -> TestNode {
    let mut all = json!({ "http_server": { "http2": true } });
    crate::support::node::lay_over(&mut all, options);
    TestNode::with(all).await
}
