//! An echo server for the Autobahn fuzzing client: another kind of session behind
//! the same accept loop, and the same read, frame and write code, as the product.
//!
//! Prints one line of JSON with its address when it is ready.

use std::convert::Infallible;
use std::io::Write;
use std::sync::Arc;
use std::task::Context;

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode, header};
use sealcast::hub::{Clock, Connection, Hub, Pings, Registration};
use sealcast::limit::{Cap, Limits, Profile};
use sealcast::metrics::Metrics;
use sealcast::net::{self, Acceptor, Upgrade};
use sealcast::session::{Message, Session};
use sealcast_wire::Encoding;
use sealcast_wire::ws::{self, Opcode};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

type Fault = Box<dyn std::error::Error + Send + Sync>;

struct Echo {
    hub: Arc<Hub>,
    connection: Arc<Connection>,
    _registration: Registration,
}

impl Session for Echo {
    fn message(&mut self, message: Message<'_>, _: &mut Context<'_>) {
        let (opcode, payload) = match message {
            Message::Text(text) => (Opcode::Text, text.as_bytes()),
            Message::Binary(bytes) => (Opcode::Binary, bytes),
        };
        let mut frame = Vec::with_capacity(ws::header_length(payload.len()) + payload.len());
        ws::put_frame(&mut frame, opcode, payload);
        self.connection.push(&self.hub, frame.into(), 1);
    }

    fn resume(&mut self, _: &mut Context<'_>) {}

    fn wants_input(&self) -> bool {
        true
    }
}

#[tokio::main]
async fn main() -> Result<(), Fault> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let port = match arguments.iter().position(|argument| argument == "--port") {
        Some(at) => arguments.get(at + 1).ok_or("--port needs a number")?.parse()?,
        None => 0,
    };
    let production = arguments.iter().any(|argument| argument == "--production-limits");
    let limits = if production { Profile::Standard.limits() } else { raised() };

    let metrics = Metrics::new("autobahn");
    let hub = Hub::new(1, &limits, Clock::start(), Arc::clone(&metrics));
    let tasks = TaskTracker::new();
    let sweeping = Arc::clone(&hub);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            sweeping.sweep(sweeping.clock().now());
        }
    });
    let listener = net::listen(([127, 0, 0, 1], port).into())?;
    let address = listener.local_addr()?;
    let mut out = std::io::stdout().lock();
    writeln!(out, r#"{{"event":"ready","public":"{address}"}}"#)?;
    out.flush()?;
    drop(out);

    let acceptor = Acceptor {
        sockets: Cap::new(100),
        header_timeout: limits.header_timeout,
        http2: false,
        announces: None,
        tasks: tasks.clone(),
        stop: CancellationToken::new(),
        metrics,
    };
    let service = hyper::service::service_fn(move |request| {
        let answer = upgrade(request, &hub, &limits, &tasks);
        async move { Ok::<_, Infallible>(answer) }
    });
    acceptor.run(listener, service).await;
    Ok(())
}

/// The largest case sends 16 MiB, and one sends 65,536 fragments.
fn raised() -> Limits {
    Limits {
        frame_bytes: 64 << 20,
        frame_fragments: 1 << 20,
        queue_bytes: 256 << 20,
        queue_messages: 1 << 20,
        conn_memory: 512 << 20,
        node_queue_bytes: 1 << 30,
        message_deadline: std::time::Duration::from_secs(120),
        ..Profile::Standard.limits()
    }
}

fn upgrade(
    mut request: Request<Incoming>,
    hub: &Arc<Hub>,
    limits: &Limits,
    tasks: &TaskTracker,
) -> Response<String> {
    let key = request.headers().get(header::SEC_WEBSOCKET_KEY).and_then(|key| key.to_str().ok());
    let mut response = Response::new(String::new());
    let Some(answer) = key.and_then(|key| ws::accept_key(key).parse().ok()) else {
        *response.status_mut() = StatusCode::BAD_REQUEST;
        return response;
    };
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, header::HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, header::HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, answer);

    let upgrade = Upgrade::of(request.extensions_mut());
    let (hub, receiver) = (Arc::clone(hub), net::receiver_limits(limits));
    let deadline = limits.message_deadline.into();
    tasks.spawn(async move {
        let Some(upgrade) = upgrade else { return };
        let Some((stream, leftover)) = upgrade.socket().await else { return };
        let connection =
            Connection::new(uuid::Uuid::new_v4(), Encoding::Json, Pings::Replies, stream);
        let registration = Registration::new(&hub, Arc::clone(&connection));
        let echo = Echo {
            hub: Arc::clone(&hub),
            connection: Arc::clone(&connection),
            _registration: registration,
        };
        net::drive(hub, connection, echo, receiver, deadline, leftover).await;
    });
    response
}
