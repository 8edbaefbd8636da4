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
}

#[tokio::test]
async fn all_come_back_and_nothing_stays_behind_for_machines_and_for_people() {
    let file = |kind: &str| scratch(kind).to_str().unwrap().to_owned();
    let (json, html) = (file("json"), file("html"));
    quick(&["recover", "--connections", "150", "--json", &json, "--html", &html]).await;
    let found: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!(found["runs"][0]["connections"], 150);
    // Of each of the two channels the first recovery was read, and served the others.
    let own = found["runs"][0]["share_from_the_node"].as_f64().unwrap();
    assert!(own > 0.5, "{found}");
    assert!(std::fs::read_to_string(&html).unwrap().contains("<svg"));
    quick(&["churn", "--connections", "100"]).await;
    for file in [json, html] {
        std::fs::remove_file(file).unwrap();
    }
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
