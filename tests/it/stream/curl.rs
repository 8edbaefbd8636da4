//! A reader that everyone has.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::node;
use crate::support::node::TestNode;
use crate::support::{PATIENCE, eventually, token};

/// `curl -N`, and the lines that it prints.
struct Curl {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Drop for Curl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Curl {
    fn start(arguments: &[&str]) -> Curl {
        let mut command = Command::new("curl");
        command.args(["-sS", "-N"]).args(arguments).stdout(Stdio::piped());
        let mut child = command.spawn().expect("curl");
        let printed = BufReader::new(child.stdout.take().expect("piped")).lines();
        let (into, lines) = mpsc::channel(64);
        std::thread::spawn(move || {
            for line in printed.map_while(Result::ok) {
                if into.blocking_send(line).is_err() {
                    return;
                }
            }
        });
        Curl { child, lines }
    }

    /// The next line; `None` at the end.
    async fn line(&mut self) -> Option<String> {
        timeout(PATIENCE, self.lines.recv()).await.expect("in time")
    }

    /// The data of the next event that says something.
    async fn data(&mut self) -> Value {
        loop {
            let line = self.line().await.expect("not the end");
            match line.strip_prefix("data: ") {
                None | Some("{}") => {}
                Some(data) => return serde_json::from_str(data).unwrap(),
            }
        }
    }
}

#[tokio::test]
async fn curl_reads_events_as_they_come_and_sees_the_end() {
    let node = node(json!({ "http_server": { "http2": true } })).await;
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        reads_events_as_they_come(&node, version).await;
    }
}

async fn reads_events_as_they_come(node: &TestNode, version: &str) {
    let url = format!("http://{}/connection/uni_sse", node.public);
    let bearer = format!("Authorization: Bearer {}", token::of("ada"));
    let body = json!({ "subs": { "room": {} } }).to_string();
    let kind = "Content-Type: application/json";
    let mut curl = Curl::start(&[version, "-H", &bearer, "-H", kind, "-d", &body, &url]);
    let connect = curl.data().await;
    assert!(connect["connect"]["subs"]["room"].is_object(), "{connect}");
    for n in 0..5 {
        let body = json!({ "channel": "room", "data": { "n": n } });
        assert_eq!(node.api("publish", &body).await.status, 200);
        assert_eq!(curl.data().await["pub"]["data"]["n"], n);
    }
    assert_eq!(node.api("disconnect", &json!({ "user": "ada" })).await.status, 200);
    assert_eq!(curl.data().await["disconnect"]["code"], 3503);
    while curl.line().await.is_some() {}
    let status = curl.child.wait().unwrap();
    assert!(status.success(), "the body ended as it should: {status}");
}

#[tokio::test]
async fn curl_that_is_stopped_is_gone() {
    let node = node(json!({ "http_server": { "http2": true } })).await;
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        is_stopped_and_gone(&node, version).await;
    }
}

async fn is_stopped_and_gone(node: &TestNode, version: &str) {
    let url = format!("http://{}/connection/uni_http_stream", node.public);
    let bearer = format!("Authorization: Bearer {}", token::of("ada"));
    let kind = "Content-Type: application/json";
    let mut curl = Curl::start(&[version, "-H", &bearer, "-H", kind, "-d", "{}", &url]);
    assert!(curl.line().await.expect("a line").starts_with("{\"connect\":"));
    drop(curl);
    let told = "sealcast_connections{transport=\"uni_http_stream\"}";
    eventually("gone", || node.number(told) == 0.0).await;
}
