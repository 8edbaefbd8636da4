//! The page of the server API, and its description.

use serde_json::{Value, json};

use crate::support::http::ask;
use crate::support::node::TestNode;
use crate::support::process::Process;

const DOCUMENT: &str = "/api/openapi.json";

async fn get(address: std::net::SocketAddr, path: &str) -> crate::support::http::Answer {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: it\r\nConnection: close\r\n\r\n")).await
}

#[tokio::test]
async fn in_development_mode_the_page_is_beside_the_demo() {
    let process = Process::start(&[], &["serve", "--dev", "--port", "0", "--ready-json"]);
    let demo = get(process.public, "/").await;
    assert!(demo.text().contains(r#"href="/api.html""#));
    let page = get(process.public, "/api.html").await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let mut files = vec![page.clone()];
    for (path, kind) in [
        ("/assets/api.js", "text/javascript; charset=utf-8"),
        ("/assets/theme.js", "text/javascript; charset=utf-8"),
        ("/assets/style.css", "text/css; charset=utf-8"),
    ] {
        assert!(page.text().contains(path), "{path}");
        let file = get(process.public, path).await;
        assert_eq!((file.status, file.header("content-type")), (200, Some(kind)), "{path}");
        files.push(file);
    }
    files.push(demo.clone());
    for file in files {
        let policy = file.header("content-security-policy").unwrap();
        for rule in ["default-src 'none'", "script-src 'self';", "style-src 'self';"] {
            assert!(policy.contains(rule), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(file.header("x-content-type-options"), Some("nosniff"));
    }
    // Which that policy would stop anyway.
    for html in [page.text(), demo.text()] {
        for inline in ["<style", "style=", "onclick", "onsubmit", "javascript:"] {
            assert!(!html.contains(inline), "{inline}");
        }
        let scripts = html.matches("<script").count();
        assert_eq!(html.matches("<script src=\"/assets/").count(), scripts, "{html}");
    }

    let document = get(process.public, DOCUMENT).await;
    assert_eq!(document.header("content-type"), Some("application/json"));
    assert_eq!(document.json()["openapi"], "3.1.0");
}

#[tokio::test]
async fn otherwise_only_the_metrics_listener_has_the_document() {
    let node = TestNode::start().await;
    for path in [DOCUMENT, "/api.html", "/assets/api.js", "/openapi.json"] {
        assert_eq!(node.get(path).await.status, 404, "{path}");
    }
    let metrics = node.node.as_ref().unwrap().metrics;
    let document: Value = get(metrics, DOCUMENT).await.json();
    assert_eq!(document["info"]["version"], json!(env!("CARGO_PKG_VERSION")));
    assert_eq!(get(metrics, "/api/publish").await.status, 404);
}
