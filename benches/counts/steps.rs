//! What is counted.

use std::hint::black_box;
use std::net::TcpListener;
use std::ops::ControlFlow;
use std::sync::Arc;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use sealcast::auth::{KeyOptions, Secret, TokenConfig, Trust, TrustedIssuer, Verifier};
use sealcast::hub::{Batch, Clock, Connection, Content, Hub, Item, Pings, Wants};
use sealcast::limit::{Bucket, Profile, Usage};
use sealcast::metrics::Metrics;
use sealcast_wire::command::{Command, Publish, Request};
use sealcast_wire::ws::{self, Incoming, Limits, Opcode, Receiver, Role};
use sealcast_wire::{Channel, Data, Encoding, Publication, delta};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

/// Something to count, run so many times, and three times as often.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) times: u64,
    pub(crate) prepare: fn() -> Box<dyn FnMut()>,
}

pub(crate) const STEPS: &[Step] = &[
    step("frame: write 128 bytes", 1_000, write_frame),
    step("frame: read and unmask 128 bytes", 1_000, || read_frame(128)),
    step("frame: read and unmask 4096 bytes", 500, || read_frame(4_096)),
    step("decode a publish, JSON", 1_000, || decode(Encoding::Json)),
    step("decode a publish, Protobuf", 1_000, || decode(Encoding::Protobuf)),
    step("encode a push, JSON", 1_000, || encode(Encoding::Json)),
    step("encode a push, Protobuf", 1_000, || encode(Encoding::Protobuf)),
    step("limits: one bucket", 1_000, bucket),
    step("limits: a publish of one user", 1_000, publish_limits),
    step("check a token, HS256", 200, token),
    step("delta: a patch of 1.5 KB", 50, patch),
    step("dispatch to 1000 subscribers, JSON", 30, || dispatch(Encoding::Json)),
    step("dispatch to 1000 subscribers, Protobuf", 30, || dispatch(Encoding::Protobuf)),
];

const fn step(name: &'static str, times: u64, prepare: fn() -> Box<dyn FnMut()>) -> Step {
    Step { name, times, prepare }
}

const DATA: &[u8] = br#"{"text":"hello, everybody who is here","at":1700000000}"#;
const CHANNEL: &str = "chat:lobby";
const SUBSCRIBERS: u128 = 1_000;
/// The clock of tokens, seconds, and between two checks of a limit, so that nothing is
/// refused, nanoseconds.
const NOW: u64 = 1_800_000_000;
const APART: u64 = 1_000_000_000;
/// Of these counts and nothing else.
const SECRET: &str = "a-secret-of-the-benches-and-nothing-else-0123456789";

fn write_frame() -> Box<dyn FnMut()> {
    let (payload, mut out) = (vec![b'x'; 128], Vec::with_capacity(1_024));
    Box::new(move || {
        out.clear();
        ws::put_frame(&mut out, Opcode::Text, black_box(&payload));
        black_box(&out);
    })
}

fn read_frame(size: usize) -> Box<dyn FnMut()> {
    let mut masked = Vec::new();
    ws::put_masked_frame(&mut masked, Opcode::Text, [1, 2, 3, 4], &vec![b'x'; size]);
    let mut receiver = Receiver::new(Role::Server, Limits { message: 65_536, fragments: 64 });
    let mut bytes = masked.clone();
    Box::new(move || {
        bytes.copy_from_slice(&masked);
        let mut read = 0;
        let fed = receiver.feed(black_box(&mut bytes), |incoming| {
            if let Incoming::Text(text) = incoming {
                read += text.len();
            }
            ControlFlow::Continue(())
        });
        assert!(fed.is_ok() && read == size);
    })
}

fn decode(encoding: Encoding) -> Box<dyn FnMut()> {
    let publish = Publish { channel: CHANNEL.into(), data: Some(Data::Json(DATA)), kind: 0 };
    let mut frame = Vec::new();
    encoding.put_command(&mut frame, &Command { id: 7, request: Request::Publish(publish) });
    Box::new(move || {
        let mut commands = encoding.commands(black_box(&frame));
        assert!(commands.next().is_some_and(|command| black_box(command).is_ok()));
    })
}

fn encode(encoding: Encoding) -> Box<dyn FnMut()> {
    let publication = Publication { data: DATA.into(), offset: 12_345, ..Default::default() };
    let mut out = Vec::with_capacity(1_024);
    Box::new(move || {
        out.clear();
        encoding.put_publication(&mut out, black_box(CHANNEL), &publication);
        black_box(&out);
    })
}

fn bucket() -> Box<dyn FnMut()> {
    let rate = Profile::Standard.limits().conn_commands;
    let (mut bucket, mut now) = (Bucket::default(), 0);
    Box::new(move || {
        now += APART;
        assert!(bucket.take(black_box(&rate), 1, now).is_ok());
    })
}

fn publish_limits() -> Box<dyn FnMut()> {
    let (limits, usage, mut now) = (Profile::Standard.limits(), Usage::new(), 0);
    let (mut bytes, mut commands) = (Bucket::default(), Bucket::default());
    Box::new(move || {
        now += APART;
        assert!(
            bytes.take(&limits.conn_bytes, 100, now).is_ok()
                && commands.take(&limits.conn_commands, 1, now).is_ok()
                && usage.message(black_box("user-1"), &limits, now).is_ok()
                && usage.command(&limits, now).is_ok()
        );
    })
}

fn token() -> Box<dyn FnMut()> {
    let secret = Secret::new(SECRET.into());
    let keys = KeyOptions { hmac_secret_key: Some(secret), ..Default::default() };
    let issuer = TrustedIssuer { place: "counts".into(), keys, ..Default::default() };
    let connection = Trust { issuers: vec![issuer], ..Trust::default() };
    let config = TokenConfig { connection, subscription: None, compat: false };
    let verifier = Verifier::new(&config).unwrap_or_else(|faults| panic!("{faults:?}"));
    let claims = json!({ "sub": "ada", "iat": NOW, "exp": NOW + 600 });
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key);
    let token = token.expect("signed");
    Box::new(move || assert!(verifier.connection(black_box(&token), NOW).is_ok()))
}

fn patch() -> Box<dyn FnMut()> {
    let row = |at: usize, price: usize| format!(r#"{{"name":"item {at}","price":{price}}}"#);
    let table = |changed: usize| {
        let rows = (0..50).map(|at| row(at, if at == changed { 7 } else { 100 * at }));
        rows.collect::<Vec<_>>().join(",").into_bytes()
    };
    let (base, target) = (table(usize::MAX), table(25));
    Box::new(move || assert!(black_box(delta::encode(black_box(&base), &target)).is_some()))
}

/// One publication to all, with the write calls. Nobody reads: the few bytes stay in the
/// sockets.
fn dispatch(encoding: Encoding) -> Box<dyn FnMut()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let channel = Channel::parse(CHANNEL).expect("a channel");
    let limits = Profile::Standard.limits();
    let hub = Hub::new(1, &limits, Clock::start(), Metrics::new("counts"));
    hub.open(0, &channel);
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let connections: Vec<_> = (0..SUBSCRIBERS)
        .map(|at| {
            let (stream, other) = pair(&listener, &runtime);
            let id = uuid::Uuid::from_u128(at);
            let connection = Connection::new(id, encoding, Pings::Replies, stream);
            let slot = hub.join(0, &channel, &connection, Wants::default()).ok();
            assert!(hub.go_live(0, &channel, slot.expect("open"), None, None));
            (connection, other)
        })
        .collect();
    let publication = Arc::new(Publication { data: DATA.into(), ..Default::default() });
    let mut dirty = Vec::with_capacity(SUBSCRIBERS as usize);
    Box::new(move || {
        let _guard = runtime.enter();
        let publication = Arc::clone(&publication);
        let batch = Batch::of(Item { publication, epoch: None, delta: false, passing: false });
        let content = Content::Publications(Box::new(batch));
        let mut fan_out = hub.begin(0, channel.clone(), content).expect("open");
        hub.advance(0, &mut fan_out, usize::MAX, &mut dirty);
        assert_eq!(dirty.len(), connections.len());
        for connection in dirty.drain(..) {
            connection.flush(&hub);
        }
    })
}

/// Both ends of a socket that can be written to. Nothing here depends on who is quicker, so
/// that it takes the same in each process.
fn pair(listener: &TcpListener, runtime: &Runtime) -> (TcpStream, std::net::TcpStream) {
    let address = listener.local_addr().expect("an address");
    let ours = std::net::TcpStream::connect(address).expect("connected");
    let (theirs, _) = listener.accept().expect("accepted");
    ours.set_nonblocking(true).expect("nonblocking");
    let _guard = runtime.enter();
    let ours = TcpStream::from_std(ours).expect("registered");
    runtime.block_on(ours.writable()).expect("writable");
    (ours, theirs)
}
