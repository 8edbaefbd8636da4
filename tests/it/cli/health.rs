//! `health`, against nodes and against what is none.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::{Scratch, run, run_with};
use crate::support::process::{Ended, Process};

async fn ask(address: impl std::fmt::Display) -> Ended {
    run(&["health", "--address", &address.to_string(), "--timeout", "5s"]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_asked_whether_it_is_ready() {
    let process = Process::serve(json!({ "shutdown": { "lb_wait": "60s" } }));
    for address in [process.public, process.metrics] {
        let ended = ask(address).await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "ready\n"), "{ended:?}");
    }
    let quiet = ["health", "--quiet", "--address", &process.public.to_string()];
    assert_eq!(run(&quiet).await.stdout, "");
    let port = process.metrics.port();
    let config = Scratch::config(json!({ "metrics": { "port": port } }));
    assert_eq!(run(&["health", "--config", config.path()]).await.code, Some(0));
    let variables = [("SEALCAST_CONFIG", config.path())];
    assert_eq!(run_with(&["health"], "", &variables).await.code, Some(0));
    // An address is enough, whatever the environment says.
    let elsewhere = [("SEALCAST_CONFIG", "/nowhere/sealcast.json")];
    assert_eq!(run_with(&quiet, "", &elsewhere).await.code, Some(0));
    let internal = json!({ "metrics": null, "http_server": { "internal_port": port } });
    let internal = Scratch::config(internal);
    assert_eq!(run(&["health", "--config", internal.path()]).await.code, Some(0));

    process.signal(Signal::TERM);
    let leaving = async {
        loop {
            let ended = ask(process.public).await;
            if ended.code == Some(1) {
                return ended;
            }
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(10), leaving).await.unwrap();
    assert!(ended.stderr.contains("not ready: the node is leaving"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_else_answers_is_no_ready_node() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let began = Instant::now();
    let ended = run(&["health", "--address", &address, "--timeout", "300ms"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("no answer"), "{ended:?}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    drop(silent);
    let ended = ask(address).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("does the node run there?"), "{ended:?}");

    for (answer, part) in [
        ("SSH-2.0-x\r\n", "not answer in HTTP"),
        ("HTTP/1.1 404 Not Found\r\n\r\n", "status 404"),
        ("HTTP/1.1 503 x\r\n\r\n\x1b[31m", "gives no reason"),
    ] {
        let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = other.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = other.accept().await.unwrap();
            let mut request = [0; 1_000];
            let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut request).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        let ended = ask(address).await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains(part) && !ended.stderr.contains('\x1b'), "{ended:?}");
    }
}
