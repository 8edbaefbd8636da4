//! Commands of features that are off, and of none.

use serde_json::json;

use crate::support::client::Wire;
use crate::support::node::TestNode;

#[tokio::test]
async fn presence_and_history_are_not_available() {
    let node = TestNode::start().await;
    for method in ["presence", "presence_stats", "history"] {
        let mut ada = Wire::connected(&node, "ada").await;
        let ask = |channel: &str| json!({ "id": 2, method: { "channel": channel } }).to_string();
        assert_eq!(ada.refused(&ask("room")).await, 108, "{method}");
        assert_eq!(ada.refused(&ask("closed:a")).await, 108, "{method}");
        assert_eq!(ada.refused(&ask("nowhere:a")).await, 102, "{method}");
        assert_eq!(ada.refused(&ask("a b")).await, 107, "{method}");
        assert_eq!(ada.closed_by(&ask("")).await, 3501, "{method}");
    }
}

#[tokio::test]
async fn without_a_backend_rpc_is_not_available_and_send_ends_the_connection() {
    let node = TestNode::start().await;
    let mut ada = Wire::connected(&node, "ada").await;
    for rpc in [r#"{"id":2,"rpc":{"method":"x","data":1}}"#, r#"{"id":2,"rpc":{}}"#] {
        assert_eq!(ada.refused(rpc).await, 108);
    }
    assert_eq!(ada.closed_by(r#"{"send":{"data":1}}"#).await, 3508);
}

#[tokio::test]
async fn sub_refresh_needs_a_subscription_and_a_token() {
    let node = TestNode::start().await;
    let mut ada = Wire::connected(&node, "ada").await;
    let ask = |members: &str| format!(r#"{{"id":2,"sub_refresh":{{"channel":"room"{members}}}}}"#);
    assert_eq!(ada.refused(&ask(r#","token":"x""#)).await, 103, "not subscribed");
    ada.ask(r#"{"id":2,"subscribe":{"channel":"room"}}"#).await;
    assert_eq!(ada.refused(&ask(r#","type":1"#)).await, 107);
    assert_eq!(ada.refused(&ask(r#","type":2"#)).await, 107);
    assert_eq!(ada.refused(&ask("")).await, 107, "no token");
    assert_eq!(ada.closed_by(r#"{"id":2,"sub_refresh":{"token":"x"}}"#).await, 3501);
}
