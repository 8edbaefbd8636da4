//! A reader of HTTP streams that shares no code with the node: it takes chunks and
//! events apart as RFC 9112 and WHATWG HTML say.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::http::{Answer, ask};
use crate::support::node::TestNode;
use crate::support::{PATIENCE, evidence};

/// One open stream.
pub(crate) struct Stream {
    pub(crate) socket: TcpStream,
    pub(crate) head: Answer,
    raw: Vec<u8>,
    /// What was in chunks and has not been taken.
    content: Vec<u8>,
    over: bool,
}

/// An event as an `EventSource` dispatches it, or a block that is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Event {
    pub(crate) data: Option<String>,
    pub(crate) id: Option<String>,
    pub(crate) retry: Option<String>,
    pub(crate) comments: usize,
}

impl Event {
    /// Its data, if it is not there for its id alone.
    pub(crate) fn said(&self) -> Option<&str> {
        self.data.as_deref().filter(|data| self.id.is_none() || *data != "{}")
    }
}

/// A request for a stream.
pub(crate) fn post(path: &str, headers: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: it\r\nContent-Type: application/json\r\n{headers}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The same by GET, with the connect request in the query.
pub(crate) fn get(path: &str, headers: &str, connect: &str) -> String {
    let query: String = connect.bytes().map(|byte| format!("%{byte:02x}")).collect();
    format!("GET {path}?cf_connect={query} HTTP/1.1\r\nHost: it\r\n{headers}\r\n")
}

/// A connect command.
pub(crate) fn connect(token: &str) -> String {
    json!({ "id": 1, "connect": { "token": token } }).to_string()
}

impl Stream {
    /// Sends a request, and reads the head of its answer.
    pub(crate) async fn open(node: &TestNode, request: impl AsRef<[u8]>) -> Stream {
        Stream::over(TcpStream::connect(node.public).await.unwrap(), request).await
    }

    /// The same over a socket that is there.
    pub(crate) async fn over(mut socket: TcpStream, request: impl AsRef<[u8]>) -> Stream {
        evidence::requested(request.as_ref());
        socket.write_all(request.as_ref()).await.unwrap();
        let (head, raw, content) = Default::default();
        let mut stream = Stream { socket, head, raw, content, over: false };
        stream.next_head().await;
        stream
    }

    /// Reads the next head.
    pub(crate) async fn next_head(&mut self) {
        let end = loop {
            if let Some(end) = self.raw.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            assert!(more(&mut self.socket, &mut self.raw).await > 0, "no answer");
        };
        let text = String::from_utf8_lossy(&self.raw[..end]).into_owned();
        let mut lines = text.split("\r\n");
        let status = lines.next().unwrap()[9..12].parse().unwrap();
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
        self.head = Answer { status, headers: headers.collect(), body: Vec::new() };
        self.raw.drain(..end);
    }

    /// Takes these bytes, which must be next.
    pub(crate) async fn skip(&mut self, bytes: &[u8]) {
        while self.raw.len() < bytes.len() {
            assert!(more(&mut self.socket, &mut self.raw).await > 0, "the end");
        }
        assert!(self.raw.starts_with(bytes));
        self.raw.drain(..bytes.len());
    }

    /// One that must have been opened.
    pub(crate) async fn opened(node: &TestNode, request: impl AsRef<[u8]>) -> Stream {
        let stream = Stream::open(node, request).await;
        assert_eq!(stream.head.status, 200, "{:?}", stream.head);
        assert_eq!(stream.head.header("transfer-encoding"), Some("chunked"));
        stream
    }

    /// The next chunk; `None` behind the last, or if the socket ended.
    pub(crate) async fn chunk(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(line) = self.raw.windows(2).position(|two| two == b"\r\n") {
                let digits = std::str::from_utf8(&self.raw[..line]).unwrap();
                let length = usize::from_str_radix(digits, 16).unwrap();
                if self.raw.len() >= line + 4 + length {
                    let chunk = self.raw[line + 2..line + 2 + length].to_vec();
                    assert_eq!(&self.raw[line + 2 + length..line + 4 + length], b"\r\n");
                    self.raw.drain(..line + 4 + length);
                    return (length > 0).then_some(chunk);
                }
            }
            if more(&mut self.socket, &mut self.raw).await == 0 {
                assert!(self.raw.is_empty(), "half a chunk: {:?}", self.raw);
                return None;
            }
        }
    }

    /// The next line of a stream of lines; `None` at the end.
    pub(crate) async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.content.iter().position(|byte| *byte == b'\n') {
                let line = self.content.drain(..=end).collect::<Vec<_>>();
                return Some(String::from_utf8(line[..end].to_vec()).unwrap());
            }
            self.fill().await?;
        }
    }

    /// The next block of an event stream; `None` at the end.
    pub(crate) async fn block(&mut self) -> Option<Event> {
        loop {
            let text = String::from_utf8(self.content.clone()).unwrap();
            if let Some((block, taken)) = first_block(&text) {
                self.content.drain(..taken);
                return Some(block);
            }
            self.fill().await?;
        }
    }

    /// The data of the next event that says something, as JSON: what only bears an id is
    /// passed over.
    #[track_caller]
    pub(crate) fn event(&mut self) -> impl Future<Output = Value> {
        let place = std::panic::Location::caller();
        async move {
            loop {
                let block = self.block().await.unwrap_or_else(|| panic!("{place}: the end"));
                if let Some(data) = block.said() {
                    return serde_json::from_str(data).unwrap();
                }
            }
        }
    }

    /// The next line as JSON.
    #[track_caller]
    pub(crate) fn json(&mut self) -> impl Future<Output = Value> {
        let place = std::panic::Location::caller();
        async move {
            let line = self.line().await.unwrap_or_else(|| panic!("{place}: the end"));
            serde_json::from_str(&line).unwrap()
        }
    }

    /// Nothing more comes, in due form.
    pub(crate) async fn ended(&mut self) {
        assert_eq!(self.chunk().await, None);
        assert_eq!(more(&mut self.socket, &mut self.raw).await, 0, "behind the last chunk");
    }

    async fn fill(&mut self) -> Option<()> {
        if self.over {
            return None;
        }
        match self.chunk().await {
            Some(chunk) => self.content.extend_from_slice(&chunk),
            None => self.over = true,
        }
        Some(())
    }
}

/// What a client knows of its session.
pub(crate) struct Emulated {
    pub(crate) session: String,
    pub(crate) node: String,
}

impl Emulated {
    /// From the connect reply.
    pub(crate) fn of(reply: &Value) -> Emulated {
        let text = |name: &str| reply["connect"][name].as_str().unwrap_or_default().to_owned();
        Emulated { session: text("session"), node: text("node") }
    }

    /// Sends commands; the status.
    pub(crate) async fn say(&self, node: &TestNode, headers: &str, commands: &str) -> u16 {
        self.say_to(node.public, headers, commands).await
    }

    /// The same to any address.
    pub(crate) async fn say_to(
        &self,
        address: std::net::SocketAddr,
        headers: &str,
        commands: &str,
    ) -> u16 {
        let body = json!({ "session": self.session, "node": self.node, "data": commands });
        ask(address, post("/emulation", headers, &body.to_string())).await.status
    }
}

/// The first block of an event stream, and how many bytes it takes (WHATWG HTML,
/// 9.2.6).
pub(crate) fn first_block(text: &str) -> Option<(Event, usize)> {
    let mut event = Event::default();
    let mut at = 0;
    loop {
        let rest = &text[at..];
        let end = rest.find(['\r', '\n'])?;
        let line = &rest[..end];
        at += end + if rest[end..].starts_with("\r\n") { 2 } else { 1 };
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
        match field {
            "" if line.is_empty() => return Some((event, at)),
            "" => event.comments += 1,
            "data" => match &mut event.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(&value);
                }
                None => event.data = Some(value),
            },
            "id" => event.id = Some(value),
            "retry" => event.retry = Some(value),
            other => panic!("an unknown field: {other:?}"),
        }
    }
}

/// 0 at the end, also if the connection was reset.
async fn more(socket: &mut TcpStream, bytes: &mut Vec<u8>) -> usize {
    match timeout(PATIENCE, socket.read_buf(bytes)).await {
        Ok(read) => read.unwrap_or(0),
        Err(_) => panic!("nothing comes; so far {:?}", String::from_utf8_lossy(bytes)),
    }
}
