//! The rows.

use super::request::{KEY, Request};
use super::{Row, raw, row};
use crate::support::node::ORIGIN;

const OK: &[u16] = &[101];
const BAD: &[u16] = &[400];

/// Methods, versions, headers, bodies, paths.
pub(super) fn rows() -> Vec<Row> {
    let parts = [methods(), upgrade_headers(), keys_and_versions(), bodies(), syntax(), paths()];
    parts.into_iter().flatten().collect()
}

fn good() -> Request {
    Request::good()
}

fn methods() -> Vec<Row> {
    let line = |line: &str| good().line(line);
    let mut rows = vec![
        row("as it should be", good(), OK),
        row("HTTP/1.0", line("GET /connection/websocket HTTP/1.0"), BAD),
        row("HTTP/0.9", line("GET /connection/websocket"), BAD),
        row("HTTP/1.2", line("GET /connection/websocket HTTP/1.2"), &[400, 505]),
        row("HTTP/2.0", line("GET /connection/websocket HTTP/2.0"), &[400, 505]),
        row("http in lower case", line("GET /connection/websocket http/1.1"), BAD),
        row("get in lower case", line("get /connection/websocket HTTP/1.1"), &[400, 405]),
        row("HEAD", line("HEAD /connection/websocket HTTP/1.1"), &[400, 405]),
        row("CONNECT", line("CONNECT it:80 HTTP/1.1"), &[400, 404, 405]),
        raw("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), &[0, 400, 505]),
        raw("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".repeat(40), &[0, 400]),
    ];
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "BREW"] {
        rows.push(row(method, line(&format!("{method} /connection/websocket HTTP/1.1")), &[405]));
    }
    rows
}

fn upgrade_headers() -> Vec<Row> {
    vec![
        row("no Upgrade", good().without("Upgrade"), BAD),
        row("Upgrade: h2c", good().set("Upgrade", "h2c").add("HTTP2-Settings", "AAMAAABk"), BAD),
        row("Upgrade: websockets", good().set("Upgrade", "websockets"), BAD),
        row("Upgrade: WebSocket", good().set("Upgrade", "WebSocket"), OK),
        row("Upgrade twice", good().add("Upgrade", "websocket"), &[101, 400]),
        row("no Connection", good().without("Connection"), BAD),
        row("Connection: keep-alive", good().set("Connection", "keep-alive"), BAD),
        row("Connection: upgraded", good().set("Connection", "upgraded"), BAD),
        row("Connection as Firefox writes it", good().set("Connection", "keep-alive, Upgrade"), OK),
        row("Connection: UPGRADE", good().set("Connection", "UPGRADE"), OK),
        row(
            "Connection twice",
            good().set("Connection", "keep-alive").add("Connection", "upgrade"),
            OK,
        ),
        row(
            "an extension offered",
            good().add("Sec-WebSocket-Extensions", "permessage-deflate"),
            OK,
        ),
    ]
}

fn keys_and_versions() -> Vec<Row> {
    let key = |key: &str| good().set("Sec-WebSocket-Key", key);
    let version = |version: &str| good().set("Sec-WebSocket-Version", version);
    vec![
        row("no key", good().without("Sec-WebSocket-Key"), BAD),
        row("an empty key", key(""), BAD),
        row("a key that is no base64", key("!!!!!!!!!!!!!!!!!!!!!!=="), BAD),
        row("a key of 15 bytes", key("AAAAAAAAAAAAAAAAAAAA"), BAD),
        row("a key of 17 bytes", key("AAAAAAAAAAAAAAAAAAAAAAA="), BAD),
        row("a key without padding", key("dGhlIHNhbXBsZSBub25jZQ"), BAD),
        row("a key in the URL alphabet", key("__________________-__w=="), BAD),
        row("two equal keys", good().add("Sec-WebSocket-Key", KEY), BAD),
        row("two keys in one", key(&format!("{KEY}, {KEY}")), BAD),
        row("space around the key", key(&format!(" {KEY} ")), OK),
        row("no version", good().without("Sec-WebSocket-Version"), &[426]),
        row("version 8", version("8"), &[426]),
        row("version 12", version("12"), &[426]),
        row("version 14", version("14"), &[426]),
        row("version 777", version("777"), &[426]),
        row("version 013", version("013"), &[426]),
        row("version 13, 8", version("13, 8"), &[426]),
        row("version twice", good().add("Sec-WebSocket-Version", "13"), &[400, 426]),
    ]
}

fn bodies() -> Vec<Row> {
    let chunked = good().add("Transfer-Encoding", "chunked").body("0\r\n\r\n");
    vec![
        row("a body by length", good().add("Content-Length", "5").body("hello"), BAD),
        row("a chunked body", chunked.clone(), BAD),
        row("length and chunks", chunked.add("Content-Length", "5"), BAD),
        row("two lengths", good().add("Content-Length", "0").add("Content-Length", "5"), BAD),
        row("a length with a sign", good().add("Content-Length", "+0"), BAD),
        row("a hexadecimal length", good().add("Content-Length", "0x0"), BAD),
        row("an unknown coding", good().add("Transfer-Encoding", "xchunked"), BAD),
        row("chunks, twice", good().add("Transfer-Encoding", "chunked, chunked"), BAD),
    ]
}

fn syntax() -> Vec<Row> {
    let good_text = String::from_utf8(good().bytes()).unwrap();
    vec![
        raw("bare line feeds", good_text.replace("\r\n", "\n").into_bytes(), BAD),
        raw(
            "one bare line feed",
            good_text.replacen("Upgrade: websocket\r\n", "Upgrade: websocket\n", 1).into_bytes(),
            BAD,
        ),
        raw(
            "a folded header",
            good_text.replacen("Host: it\r\n", "Host: it\r\nX: a\r\n b\r\n", 1).into_bytes(),
            BAD,
        ),
        raw(
            "a space before the colon",
            good_text.replacen("Upgrade:", "Upgrade :", 1).into_bytes(),
            BAD,
        ),
        raw(
            "a header without a name",
            good_text.replacen("Host: it\r\n", "Host: it\r\n: x\r\n", 1).into_bytes(),
            BAD,
        ),
        raw(
            "a line that is no header",
            good_text.replacen("Host: it\r\n", "Host: it\r\nnothing\r\n", 1).into_bytes(),
            BAD,
        ),
        row("NUL in a header", good().add("X", "a\0b"), BAD),
        row("a control character in a header", good().add("X", "a\x08b"), BAD),
        row("bytes beyond ASCII in a header", good().add_bytes("X", b"\xff\xfe"), &[101, 400]),
        row("no Host", good().without("Host"), BAD),
        row("two Hosts", good().add("Host", "other"), BAD),
        row("a space in the path", Request::to("/connection/web socket"), BAD),
        row("NUL in the path", Request::to("/connection/websocket?\0"), BAD),
        row("an absolute address", Request::to("http://it/connection/websocket"), &[101, 400]),
        row("an asterisk", Request::to("*"), &[400, 404]),
    ]
}

fn paths() -> Vec<Row> {
    vec![
        row("a query", Request::to("/connection/websocket?a=b&cf_protocol_version=v2"), OK),
        row("a slash at the end", Request::to("/connection/websocket/"), &[404]),
        row("two slashes", Request::to("//connection/websocket"), &[404]),
        row("dots", Request::to("/connection/../connection/websocket"), &[400, 404]),
        row("half the path", Request::to("/connection"), &[404]),
        row("the root", Request::to("/"), &[404]),
        row("metrics", Request::to("/metrics"), &[404]),
        row("health does not upgrade", Request::to("/health"), &[200, 400]),
        row("the API does not upgrade", Request::to("/api/publish"), &[400, 405]),
        row("another transport", Request::to("/connection/sse"), &[404]),
    ]
}

/// More of something than there may be, and as much as there may.
pub(super) fn floods() -> Vec<Row> {
    let url = |bytes: usize| {
        let path = "/connection/websocket?";
        Request::to(&format!("{path}{}", "a".repeat(bytes - path.len())))
    };
    let query = |count: usize| {
        Request::to(&format!("/connection/websocket?{}", vec!["a=b"; count].join("&")))
    };
    let large: &[u16] = &[431];
    let long: &[u16] = &[414];
    vec![
        row("64 headers", good().headers(64), OK),
        row("65 headers", good().headers(65), large),
        row("10,000 headers", good().headers(10_000), large),
        row("a header of 10 KiB", good().add("X", &"x".repeat(10 << 10)), OK),
        row("a header of 17 KiB", good().add("X", &"x".repeat(17 << 10)), large),
        row("a header of 1 MB", good().add("X", &"x".repeat(1_000_000)), large),
        row(
            "17 KiB of headers",
            (0..34).fold(good(), |it, n| it.add(&format!("X{n}"), &"x".repeat(500))),
            large,
        ),
        row("a URL of 8 KiB", url(8 << 10), OK),
        row("a URL of 9 KiB", url(9 << 10), long),
        row("a URL of 17 KiB", url(17 << 10), &[414, 431]),
        row("a URL of 1 MB", url(1_000_000), &[414, 431]),
        row("32 parameters", query(32), OK),
        row("33 parameters", query(33), &[400, 414]),
        row("10,000 parameters", query(10_000), &[400, 414, 431]),
    ]
}

/// The Origin matrix.
pub(super) fn origins() -> Vec<Row> {
    let from = |origin: &str| good().add("Origin", origin);
    let mut rows = vec![
        row("none, as programs", good(), OK),
        row("none, with a cookie", good().add("Cookie", "a=b"), &[403]),
        row("allowed, with a cookie", from(ORIGIN).add("Cookie", "a=b"), OK),
        row("twice, both allowed", from(ORIGIN).add("Origin", ORIGIN), &[403]),
        row("twice, one allowed", from(ORIGIN).add("Origin", "https://evil.example"), &[403]),
        row("twice, the other way", from("https://evil.example").add("Origin", ORIGIN), &[403]),
        row("bytes beyond ASCII", good().add_bytes("Origin", b"https://good.example\xff"), &[403]),
        row("evil, and no key", from("https://evil.example").without("Sec-WebSocket-Key"), &[403]),
        row(
            "evil, and version 8",
            from("https://evil.example").set("Sec-WebSocket-Version", "8"),
            &[403],
        ),
        row("evil, and no upgrade", from("https://evil.example").without("Upgrade"), &[403]),
    ];
    // Equal after parsing: schemes and hosts have no case, 443 is the default.
    for allowed in [ORIGIN, "HTTPS://GOOD.EXAMPLE", "https://good.example:443"] {
        rows.push(row(allowed, from(allowed), OK));
    }
    for refused in [
        "",
        "null",
        "*",
        "https://evil.example",
        "http://good.example",
        "https://good.example:8443",
        "https://good.example.evil.com",
        "https://evil-good.example",
        "https://sub.good.example",
        "https://good.example@evil.com",
        "https://evil.com@good.example",
        "https://good.example/",
        "https://good.example/path",
        "https://good.example.",
        "https://good.example, https://evil.example",
        "https://good.example https://evil.example",
        "good.example",
        "wss://good.example",
        "http://localhost",
        "file://",
    ] {
        rows.push(row(format!("{refused:?}"), from(refused), &[403]));
    }
    rows
}
