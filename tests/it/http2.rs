//! HTTP/2 without TLS: WebSockets (RFC 8441) and event streams over it, which are like
//! any others, and what one connection of many streams may not do.

mod reader;
mod wire;

mod bounds;
mod events;
mod refused;
mod slow;
mod websocket;

use serde_json::{Value, json};

use crate::support::node::TestNode;

/// A node that speaks it, changed by what `options` says.
async fn node(options: Value) -> TestNode {
    let mut all = json!({ "http_server": { "http2": true } });
    crate::support::node::lay_over(&mut all, options);
    TestNode::with(all).await
}

/// The same with every kind of stream.
async fn streaming(options: Value) -> TestNode {
    let mut all = json!({
        "sse": { "enabled": true },
        "http_stream": { "enabled": true },
        "uni_sse": { "enabled": true },
        "uni_http_stream": { "enabled": true },
        "channel": {
            "without_namespace": {
                "allow_subscribe_for_client": true,
                "allow_publish_for_client": true,
                "presence": true,
                "history_size": 100,
                "history_ttl": "300s",
                "allow_recovery": true,
            },
        },
    });
    crate::support::node::lay_over(&mut all, options);
    node(all).await
}
