//! Opening handshakes as bytes, good and bad: what each is answered with (T-01,
//! T-30 to T-33, R-10, R-18, RFC 6455 4.2).

mod door;
mod encodings;
mod request;
mod table;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::support::http::{Answer, ask};
use crate::support::node::TestNode;
use request::Request;

/// One handshake and the statuses it may be answered with: where the standards
/// leave a choice, more than one.
struct Row {
    name: String,
    request: Vec<u8>,
    expected: Vec<u16>,
}

fn row(name: impl Into<String>, request: Request, expected: &[u16]) -> Row {
    raw(name, request.bytes(), expected)
}

fn raw(name: impl Into<String>, request: Vec<u8>, expected: &[u16]) -> Row {
    Row { name: name.into(), request, expected: expected.to_vec() }
}

/// Tries every row and shows all that are answered otherwise.
async fn check(node: &TestNode, rows: Vec<Row>) {
    let mut wrong = Vec::new();
    for Row { name, request, expected } in rows {
        let answer = ask(node.public, &request).await;
        if !expected.contains(&answer.status) {
            wrong.push(format!("{name}: {} instead of {expected:?}", answer.status));
        }
        wrong.extend(inconsistent(&answer).map(|what| format!("{name}: {what}")));
    }
    assert!(wrong.is_empty(), "{} rows\n{}\n", wrong.len(), wrong.join("\n"));
}

/// What no answer may be like.
fn inconsistent(answer: &Answer) -> Option<&'static str> {
    let version = answer.header("sec-websocket-version");
    match answer.status {
        101 if answer.header("sec-websocket-accept") != Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") => {
            Some("another key is accepted")
        }
        101 if answer.header("sec-websocket-extensions").is_some() => Some("an extension"),
        426 if version != Some("13") => Some("426 does not name the version"),
        503 if answer.header("retry-after").is_none() => Some("503 without Retry-After"),
        _ => None,
    }
}

#[tokio::test]
async fn each_handshake_has_its_answer() {
    let node = TestNode::start().await;
    check(&node, table::rows().into_iter().chain(table::floods()).collect()).await;
}

#[tokio::test]
async fn the_origin_decides_before_anything_else() {
    let node = TestNode::start().await;
    check(&node, table::origins()).await;
    assert!(node.number("sealcast_origin_rejected_total") >= 15.0);
}

/// The rows about origins by what matters over any version of HTTP: a name, the headers
/// about who asks, and whether it is let in.
pub(crate) fn origins() -> Vec<(String, Vec<(String, Vec<u8>)>, bool)> {
    let of = |row: Row| (row.name, who(&row.request), row.expected == [101]);
    table::origins().into_iter().map(of).collect()
}

fn who(request: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut headers = Vec::new();
    for name in ["Origin", "Cookie"] {
        let begin = format!("\r\n{name}: ").into_bytes();
        let mut rest = request;
        while let Some(at) = rest.windows(begin.len()).position(|some| some == begin) {
            rest = &rest[at + begin.len()..];
            let end = rest.windows(2).position(|two| two == b"\r\n").unwrap();
            headers.push((name.to_lowercase(), rest[..end].to_vec()));
        }
    }
    headers
}

/// Sends a handshake that is granted and leaves the socket open.
async fn upgraded(node: &TestNode, request: Request) -> (TcpStream, Answer) {
    let mut stream = TcpStream::connect(node.public).await.unwrap();
    stream.write_all(&request.bytes()).await.unwrap();
    let answer = crate::support::http::read(&mut stream).await;
    assert_eq!(answer.status, 101, "{answer:?}");
    (stream, answer)
}
