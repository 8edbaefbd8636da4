//! What names of channels are taken.

use serde_json::json;

use crate::support::client::Wire;
use crate::support::node::TestNode;
use crate::support::token;

fn subscribe(channel: &str) -> String {
    json!({ "id": 2, "subscribe": { "channel": channel } }).to_string()
}

#[tokio::test]
async fn a_namespace_takes_the_names_that_it_wants() {
    let options = json!({ "channel": {
        "max_length": 20,
        "namespaces": [
            {
                "name": "room",
                "allow_subscribe_for_client": true,
                "allow_publish_for_client": true,
                "channel_regex": "^[a-z]+-[0-9]+$",
            },
            { "name": "any", "allow_subscribe_for_client": true },
        ],
    }});
    let node = TestNode::with(options).await;
    let mut wire = Wire::connected(&node, "ada").await;
    for channel in ["room:ab-1", "any:A", &format!("any:{}", "x".repeat(16))] {
        let answer = wire.ask(&subscribe(channel)).await;
        assert!(answer["subscribe"].is_object(), "{channel}: {answer}");
    }
    for channel in ["room:", "room:AB-1", "room:ab-1x", &format!("any:{}", "x".repeat(17))] {
        assert_eq!(wire.refused(&subscribe(channel)).await, 107, "{channel}");
        let publish = json!({ "id": 3, "publish": { "channel": channel, "data": {} } });
        assert_eq!(wire.refused(&publish.to_string()).await, 107, "{channel}");
        let history = json!({ "id": 4, "history": { "channel": channel } });
        assert_eq!(wire.refused(&history.to_string()).await, 107, "{channel}");
        let wrong = node.api("publish", &json!({ "channel": channel, "data": {} })).await.json();
        assert_eq!(wrong["error"]["code"], 107, "{channel}: {wrong}");
    }
    // A token is no way around it.
    let claims = json!({ "sub": "ada", "channel": "room:NO", "exp": token::now() + 60 });
    let request = json!({ "channel": "room:NO", "token": token::signed(claims) });
    let with_token = json!({ "id": 5, "subscribe": request });
    assert_eq!(wire.refused(&with_token.to_string()).await, 107);
    wire.is_quiet().await;
}
