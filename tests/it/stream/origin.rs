//! Which pages may open streams and send commands (T-01), and what browsers are told
//! of it (T-50).

use serde_json::json;

use super::node;
use super::reader::{Stream, connect, post};
use crate::support::http::{Answer, ask};
use crate::support::node::ORIGIN;
use crate::support::token;

const PATHS: [&str; 6] = [
    "/connection/sse",
    "/connection/http_stream",
    "/connection/uni_sse",
    "/connection/uni_http_stream",
    "/emulation",
    "/connection/ticket",
];

#[track_caller]
fn names_no_origin(answer: &Answer) {
    for header in ["access-control-allow-origin", "access-control-allow-credentials"] {
        assert_eq!(answer.header(header), None, "{answer:?}");
    }
}

#[tokio::test]
async fn pages_that_are_not_on_the_list_are_refused_everywhere() {
    let node = node(json!({})).await;
    for path in PATHS {
        for headers in [
            "Origin: https://evil.example\r\n",
            "Origin: null\r\n",
            "Origin: \r\n",
            "Origin: https://good.example.evil.com\r\n",
            "Origin: https://evil-good.example\r\n",
            "Origin: https://good.example:8443\r\n",
            "Origin: http://good.example\r\n",
            "Origin: https://a@good.example\r\n",
            "Origin: https://good.example\r\nOrigin: https://evil.example\r\n",
            "Cookie: a=1\r\n",
            "Sec-Fetch-Site: cross-site\r\n",
            "Sec-Fetch-Site: same-site\r\nCookie: a=1\r\n",
        ] {
            let answer = ask(node.public, post(path, headers, "{}")).await;
            assert_eq!(answer.status, 403, "{path} {headers}");
            names_no_origin(&answer);
        }
        // No page could be meant by these.
        for headers in ["", "Sec-Fetch-Site: same-origin\r\nCookie: a=1\r\n"] {
            let answer = ask(node.public, post(path, headers, "[]")).await;
            assert_ne!(answer.status, 403, "{path} {headers}");
        }
    }
}

#[tokio::test]
async fn a_preflight_lets_pages_of_the_list_and_nobody_else() {
    let node = node(json!({})).await;
    for path in PATHS {
        let preflight = |origin: &str| {
            format!(
                "OPTIONS {path} HTTP/1.1\r\nHost: it\r\nOrigin: {origin}\r\n\
                 Access-Control-Request-Method: POST\r\n\
                 Access-Control-Request-Headers: content-type,x-app\r\n\r\n"
            )
        };
        let answer = ask(node.public, preflight(ORIGIN)).await;
        assert_eq!(answer.status, 204, "{path}");
        for (name, value) in [
            ("access-control-allow-origin", ORIGIN),
            ("access-control-allow-credentials", "true"),
            ("access-control-allow-headers", "content-type,x-app"),
            ("access-control-max-age", "300"),
            ("vary", "Origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
        let methods = answer.header("access-control-allow-methods").expect("methods");
        assert!(methods.ends_with("POST, OPTIONS"), "{methods}");
        for origin in ["https://evil.example", "null", "*"] {
            let answer = ask(node.public, preflight(origin)).await;
            assert_eq!(answer.status, 403, "{path} {origin}");
            names_no_origin(&answer);
        }
    }
}

#[tokio::test]
async fn a_page_of_the_list_may_read_what_it_gets() {
    let node = node(json!({})).await;
    let headers = format!("Origin: {ORIGIN}\r\n");
    let request = post("/connection/http_stream", &headers, &connect(&token::of("ada")));
    let stream = Stream::opened(&node, &request).await;
    assert_eq!(stream.head.header("access-control-allow-origin"), Some(ORIGIN));
    assert_eq!(stream.head.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(stream.head.header("vary"), Some("Origin"));
    let plain = post("/connection/http_stream", "", &connect(&token::of("ada")));
    let stream = Stream::opened(&node, &plain).await;
    assert_eq!(stream.head.header("access-control-allow-origin"), None);
}
