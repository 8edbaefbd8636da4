//! Attackers: each kind asks for ten times what a limit grants, from addresses of its
//! own, until its time is over.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures_util::future::BoxFuture;
use sealcast_client::{Connection, Options};
use sealcast_wire::ws::Opcode;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::frames::frame;
use crate::support::node::{API_KEY, ORIGIN};
use crate::support::process::Process;
use crate::support::{api, token};

/// Whom they attack.
#[derive(Clone)]
pub(super) struct Target {
    address: SocketAddr,
    url: String,
    /// How many sockets those bring who bring many.
    crowd: usize,
}

impl Target {
    pub(super) fn of(process: &Process, seconds: u64) -> Target {
        let crowd = usize::try_from(seconds * 100).unwrap().min(2_000);
        Target { address: process.public, url: process.url(), crowd }
    }
}

type Attack = fn(Target, Instant) -> BoxFuture<'static, ()>;

pub(super) const ATTACKS: [(&str, Attack); 10] = [
    ("commands", |target, until| Box::pin(crowd(10, target, until, commands))),
    ("bytes", |target, until| Box::pin(crowd(4, target, until, bytes))),
    ("subscribes", |target, until| Box::pin(crowd(10, target, until, subscribes))),
    ("connects", |target, until| Box::pin(crowd(50, target, until, connects))),
    ("half frames", |target, until| Box::pin(crowd(target.crowd, target, until, half_frame))),
    ("slow headers", |target, until| Box::pin(crowd(target.crowd, target, until, slow_header))),
    ("fragments", |target, until| Box::pin(crowd(10, target, until, fragments))),
    ("lengths", |target, until| Box::pin(crowd(10, target, until, lengths))),
    ("deaf", |target, until| Box::pin(deaf(target, until))),
    ("counts", |target, until| Box::pin(crowd(10, target, until, counts))),
];

/// Connects in a second, ten times what fifty addresses may.
const CONNECTS: u32 = 3_000;

/// So many of one kind at a time, each at one of fifty addresses.
async fn crowd<F: Future<Output = ()> + Send + 'static>(
    count: usize,
    target: Target,
    until: Instant,
    attacker: fn(Target, usize) -> F,
) {
    let mut crowd = JoinSet::new();
    let all = Duration::from_secs(1) * u32::try_from(count).unwrap() / CONNECTS;
    let pause = all.max(Duration::from_millis(50));
    for at in 0..count {
        let target = target.clone();
        crowd.spawn(async move {
            // Who is refused or sent away comes again, but not without end at once.
            while timeout_at(until, attacker(target.clone(), at)).await.is_ok() {
                sleep(pause).await;
            }
        });
    }
    while crowd.join_next().await.is_some() {}
}

/// Publishes ten times as fast as a connection may, and as its user may.
async fn commands(target: Target, at: usize) {
    let publish =
        |id: usize| format!(r#"{{"id":{id},"publish":{{"channel":"open:evil","data":1}}}}"#);
    let frame = (2..12).map(publish).collect::<Vec<_>>().join("\n");
    flood(&target, at, frame.into_bytes(), Duration::from_millis(100)).await;
}

/// Frames of 60 KB, ten times as many as a connection may send.
async fn bytes(target: Target, at: usize) {
    let publish = json!({ "channel": "open:evil", "data": "x".repeat(60_000) });
    let frame = json!({ "id": 2, "publish": publish }).to_string();
    flood(&target, at, frame.into_bytes(), Duration::from_millis(23)).await;
}

/// Subscribes to another channel a hundred times a second.
async fn subscribes(target: Target, at: usize) {
    let subscribe =
        |id: usize| format!(r#"{{"id":{id},"subscribe":{{"channel":"open:{at}-{id}"}}}}"#);
    let frame = (2..102).map(subscribe).collect::<Vec<_>>().join("\n");
    flood(&target, at, frame.into_bytes(), Duration::from_secs(1)).await;
}

/// Says the same again and again, and reads what comes, until it is sent away.
async fn flood(target: &Target, at: usize, frame: Vec<u8>, pause: Duration) {
    let Some(mut connection) = connected(target, at).await else { return };
    loop {
        if connection.send_frame(&frame, Opcode::Text).await.is_err() {
            return;
        }
        let next = Instant::now() + pause;
        while let Some(left) = next.checked_duration_since(Instant::now()) {
            match connection.next_frame(left).await {
                Ok(_) | Err(sealcast_client::Error::Timeout) => {}
                Err(_) => return,
            }
        }
    }
}

/// T-34: connects and goes, ten times in a second.
async fn connects(target: Target, at: usize) {
    drop(connected(&target, at).await);
    sleep(Duration::from_millis(50)).await;
}

/// T-27: most of a frame before it has said who it is.
async fn half_frame(target: Target, at: usize) {
    let Some(mut stream) = upgraded(&target, at).await else { return };
    let mut half = vec![0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4];
    half.resize(60_000, b' ');
    if stream.write_all(&half).await.is_ok() {
        until_the_end(stream).await;
    }
}

/// T-20: a byte of a header from time to time.
async fn slow_header(target: Target, at: usize) {
    let Some(mut stream) = socket(&target, at).await else { return };
    for byte in b"GET /connection/websocket HTTP/1.1\r\nHost: it\r\nX: xxxxxxxxxxxxxxxx" {
        if stream.write_all(&[*byte]).await.is_err() {
            return;
        }
        sleep(Duration::from_secs(5)).await;
    }
}

/// T-25: fragments of one byte that never end.
async fn fragments(target: Target, at: usize) {
    let Some(mut stream) = upgraded(&target, at).await else { return };
    let first = frame(0x01, b"{");
    let more = frame(0x00, b" ").repeat(1_000);
    let _ = stream.write_all(&[first, more].concat()).await;
    until_the_end(stream).await;
}

/// T-22 and T-23: lengths that nobody means.
async fn lengths(target: Target, at: usize) {
    let lengths = [i64::MAX as u64, u64::MAX, 65_537, 5];
    for length in lengths {
        let Some(mut stream) = upgraded(&target, at).await else { return };
        let mut head = vec![0x82, 0xff];
        head.extend_from_slice(&length.to_be_bytes());
        head.extend_from_slice(&[1, 2, 3, 4]);
        head.extend_from_slice(&[0xff; 512]);
        let _ = stream.write_all(&head).await;
        until_the_end(stream).await;
    }
    let Some(mut stream) = upgraded(&target, at).await else { return };
    let deep = format!(r#"{{"id":1,"connect":{}"#, "[".repeat(10_000));
    let _ = stream.write_all(&frame(0x81, deep.as_bytes())).await;
    until_the_end(stream).await;
}

/// T-28: subscribers that never read, while ten kilobytes come 200 times a second.
async fn deaf(target: Target, until: Instant) {
    let mut all = Vec::new();
    for at in 0..10 {
        let Some(mut connection) = connected(&target, at).await else { continue };
        let subscribe = br#"{"id":2,"subscribe":{"channel":"open:loud"}}"#;
        let _ = connection.send_frame(subscribe, Opcode::Text).await;
        all.push(connection);
    }
    let body = json!({ "channel": "open:loud", "data": "x".repeat(10_000) }).to_string();
    while Instant::now() < until {
        let key = [("X-API-Key", API_KEY)];
        let _ = api::call(target.address, "publish", &key, body.as_bytes()).await;
        sleep(Duration::from_millis(5)).await;
    }
}

/// T-33: more parameters, commands and channels than anybody may name.
async fn counts(target: Target, at: usize) {
    if let Some(mut stream) = socket(&target, at).await {
        let query = "a=1&".repeat(1_900);
        let request = format!("GET /connection/websocket?{query} HTTP/1.1\r\nHost: it\r\n\r\n");
        let _ = stream.write_all(request.as_bytes()).await;
        until_the_end(stream).await;
    }
    let subs: Vec<String> = (0..2_000).map(|at| format!(r#""open:{at}":{{}}"#)).collect();
    let connect = format!(r#"{{"id":1,"connect":{{"subs":{{{}}}}}}}"#, subs.join(","));
    let many = vec![r#"{"id":1,"ping":{}}"#; 2_900].join("\n");
    for text in [connect, many] {
        let Some(mut stream) = upgraded(&target, at).await else { return };
        let _ = stream.write_all(&frame(0x81, text.as_bytes())).await;
        until_the_end(stream).await;
    }
}

/// A socket from one of the attackers' addresses.
async fn socket(target: &Target, at: usize) -> Option<TcpStream> {
    let source = Ipv4Addr::new(127, 0, 2, u8::try_from(at % 50).unwrap() + 1);
    let socket = TcpSocket::new_v4().ok()?;
    socket.bind(SocketAddr::from((source, 0))).ok()?;
    socket.connect(target.address).await.ok()
}

/// A WebSocket that has said nothing.
async fn upgraded(target: &Target, at: usize) -> Option<TcpStream> {
    let mut stream = socket(target, at).await?;
    let request = format!(
        "GET /connection/websocket HTTP/1.1\r\nHost: it\r\nOrigin: {ORIGIN}\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.ok()?;
    answer.ends_with(b"101").then_some(stream)
}

async fn connected(target: &Target, at: usize) -> Option<Connection> {
    let stream = socket(target, at).await?;
    let mut options = Options::new(target.url.clone());
    options.token = Some(token::of(&format!("mallory-{at}")));
    let mut connection = Connection::upgrade(stream, &options).await.ok()?;
    connection.connect(&options).await.ok()?;
    Some(connection)
}

async fn until_the_end(mut stream: TcpStream) {
    let mut sink = [0; 4_096];
    while matches!(stream.read(&mut sink).await, Ok(1..)) {}
}
