//! The benches still run: they measure a node of this build, briefly, and the numbers
//! are not looked at.

use std::time::Duration;

use serde_json::Value;

use crate::support::process::{Ended, run_within, scratch};

async fn quick(arguments: &[&str]) -> Ended {
    let all = [&["bench"], arguments, &["--quick", "--runs", "1"]].concat();
    let ended = run_within(Duration::from_secs(240), &all).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended
}

#[tokio::test]
async fn a_quick_fan_out_is_measured() {
    let ended = quick(&["fanout"]).await;
    assert!(ended.stdout.contains("subscribers"), "{ended:?}");
}

#[tokio::test]
async fn publications_by_clients_and_by_the_api_are_measured_with_redis_and_without() {
    for bench in ["publish", "api"] {
        let ended = quick(&[bench, "--redis", "--publications", "400"]).await;
        assert!(ended.stdout.contains("sealcast on Redis"), "{ended:?}");
    }
    let ended = quick(&["publish", "--own", "--publications", "400"]).await;
    assert!(ended.stdout.contains("to its publisher"), "{ended:?}");
}

#[tokio::test]
async fn all_come_back_and_nothing_stays_behind_for_machines_and_for_people() {
    let file = |kind: &str| scratch(kind).to_str().unwrap().to_owned();
    let (json, html) = (file("json"), file("html"));
    quick(&["recover", "--connections", "150", "--json", &json, "--html", &html]).await;
    let found: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!(found["runs"][0]["connections"], 150);
    // Of each of the two channels the first recovery was read, and served the others.
    assert_eq!(found["runs"][0]["reads"].as_f64(), Some(2.0), "{found}");
    assert!(std::fs::read_to_string(&html).unwrap().contains("<svg"));
    quick(&["churn", "--connections", "100"]).await;
    for file in [json, html] {
        std::fs::remove_file(file).unwrap();
    }
}

#[tokio::test]
async fn clients_by_event_stream_and_in_protobuf_are_measured_like_others() {
    let ended = quick(&["connect", "--connections", "40", "--transport", "sse"]).await;
    assert!(ended.stdout.contains("clients by SSE"), "{ended:?}");
    let rest = ["--connections", "40", "--watch", "0", "--channels", "own", "--transport", "sse"];
    quick(&[&["idle"][..], &rest].concat()).await;
    let ended = quick(&["connect", "--connections", "40", "--encoding", "protobuf"]).await;
    assert!(ended.stdout.contains("clients by WebSocket, Protobuf"), "{ended:?}");
    let few = ["--subscribers", "40", "--deliveries", "400", "--encoding", "protobuf"];
    quick(&[&["fanout"][..], &few].concat()).await;
    let neither = ["bench", "idle", "--quick", "--transport", "sse", "--encoding", "protobuf"];
    let ended = run_within(Duration::from_secs(60), &neither).await;
    assert_eq!((ended.code, &*ended.stdout), (Some(1), ""), "{ended:?}");
}

#[tokio::test]
async fn several_processes_have_the_connections_that_one_may_not_have() {
    let few = ["--subscribers", "40", "--deliveries", "400", "--per-process", "15"];
    quick(&[&["fanout"][..], &few].concat()).await;
    quick(&["recover", "--connections", "40", "--missed", "5", "--per-process", "30"]).await;
    let all = ["bench", "connect", "--quick", "--connections", "4000000000"];
    let ended = run_within(Duration::from_secs(60), &all).await;
    assert_eq!((ended.code, &*ended.stdout), (Some(1), ""), "{ended:?}");
    assert!(ended.stderr.contains("this machine is too small"), "{ended:?}");
}

#[tokio::test]
async fn websockets_and_streams_are_measured_side_by_side_over_processes() {
    let ended = quick(&["mixed", "--per-process", "50"]).await;
    assert!(ended.stdout.contains("1000 deliveries a second"), "{ended:?}");
}

#[tokio::test]
async fn growth_is_measured_and_plotted() {
    let html = scratch("html").to_str().unwrap().to_owned();
    let ended = quick(&["growth", "--publications", "100", "--html", &html]).await;
    for axis in ["channels each", "Redis processes"] {
        assert!(ended.stdout.contains(axis), "{ended:?}");
    }
    assert!(std::fs::read_to_string(&html).unwrap().contains("to the first</figcaption>"));
    std::fs::remove_file(html).unwrap();
}

#[tokio::test]
async fn a_bench_without_its_peer_has_no_figure() {
    let ended =
        run_within(Duration::from_secs(60), &["bench", "publish", "--against", "ws://h:1"]).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let secret = scratch("secret");
    std::fs::write(&secret, "a-secret-of-a-peer-that-is-not-there").unwrap();
    let path = secret.to_str().unwrap();
    let gone = ["--against", "ws://127.0.0.1:1", "--pid", "1", "--secret-file", path];
    let all = [&["bench", "publish", "--quick"][..], &gone].concat();
    let ended = run_within(Duration::from_secs(60), &all).await;
    assert_eq!((ended.code, &*ended.stdout), (Some(1), ""), "{ended:?}");
    assert!(ended.stderr.contains("cannot reach the peer"), "{ended:?}");
    std::fs::remove_file(secret).unwrap();
}
