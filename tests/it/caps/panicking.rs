//! A session that panics, behind the accept loop and the connection code of the
//! product.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Context;

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode, header};
use sealcast::hub::{Clock, Connection, Hub, Pings, Registration};
use sealcast::limit::{Cap, Limits, Profile};
use sealcast::metrics::Metrics;
use sealcast::net::{self, Acceptor};
use sealcast::session::{Message, Session};
use sealcast_client::Options;
use sealcast_wire::Encoding;
use sealcast_wire::ws::{self, Opcode};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::codes::{Told, close_of};
use crate::support::client::Wire;
use crate::support::eventually;
use crate::support::node::number;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_ends_its_connection_and_nothing_else() {
    let (address, metrics) = serve();
    let mut bystander = open(address).await;
    let mut other = open(address).await;
    for round in 1..=3 {
        let mut fragile = open(address).await;
        fragile.say("hello").await;
        assert_eq!(fragile.hear().await, "hello");
        fragile.say("panic").await;
        assert_eq!(fragile.closed().await, 3004);
        let panics = || number(&metrics.render(), "sealcast_panics_total");
        eventually("counted", || panics() == f64::from(round)).await;
        for wire in [&mut bystander, &mut other] {
            wire.say("still here").await;
            assert_eq!(wire.hear().await, "still here");
        }
    }
    let rendered = metrics.render();
    assert_eq!(number(&rendered, "sealcast_disconnects_total{code=\"3004\"}"), 3.0);
    assert_eq!(number(&rendered, "sealcast_connections"), 2.0);
}

/// How a connection ends whose session panics.
pub(crate) async fn provoked() -> Told {
    let (address, _) = serve();
    let mut fragile = open(address).await;
    fragile.say("panic").await;
    close_of(&mut fragile).await
}

/// Echoes, but for one word.
struct Fragile {
    hub: Arc<Hub>,
    connection: Arc<Connection>,
    _registration: Registration,
}

impl Session for Fragile {
    fn message(&mut self, message: Message<'_>, _: &mut Context<'_>) {
        let Message::Text(text) = message else { return };
        assert_ne!(text, "panic", "as asked");
        let mut frame = Vec::new();
        ws::put_frame(&mut frame, Opcode::Text, text.as_bytes());
        self.connection.push(&self.hub, frame.into(), 1);
    }

    fn resume(&mut self, _: &mut Context<'_>) {}

    fn wants_input(&self) -> bool {
        true
    }
}

async fn open(address: SocketAddr) -> Wire {
    let options = Options::new(format!("ws://{address}/"));
    Wire(sealcast_client::Connection::open(&options).await.unwrap())
}

fn serve() -> (SocketAddr, Arc<Metrics>) {
    let limits = Profile::Standard.limits();
    let metrics = Metrics::new("it");
    let hub = Hub::new(1, &limits, Clock::start(), Arc::clone(&metrics));
    let tasks = TaskTracker::new();
    let listener = net::listen(([127, 0, 0, 1], 0).into()).unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = Acceptor {
        sockets: Cap::new(10),
        header_timeout: limits.header_timeout,
        tasks: tasks.clone(),
        stop: CancellationToken::new(),
        metrics: Arc::clone(&metrics),
    };
    let service = hyper::service::service_fn(move |request| {
        let answer = upgrade(request, &hub, &limits, &tasks);
        async move { Ok::<_, Infallible>(answer) }
    });
    tokio::spawn(acceptor.run(listener, service));
    (address, metrics)
}

fn upgrade(
    mut request: Request<Incoming>,
    hub: &Arc<Hub>,
    limits: &Limits,
    tasks: &TaskTracker,
) -> Response<String> {
    let key = request.headers()[header::SEC_WEBSOCKET_KEY].to_str().unwrap();
    let response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, ws::accept_key(key))
        .body(String::new());
    let upgrading = hyper::upgrade::on(&mut request);
    let (hub, receiver) = (Arc::clone(hub), net::receiver_limits(limits));
    let deadline = limits.message_deadline.into();
    tasks.spawn(async move {
        let (stream, leftover) = net::into_socket(upgrading.await.unwrap()).unwrap();
        let connection =
            Connection::new(uuid::Uuid::new_v4(), Encoding::Json, Pings::Replies, stream);
        let session = Fragile {
            hub: Arc::clone(&hub),
            connection: Arc::clone(&connection),
            _registration: Registration::new(&hub, Arc::clone(&connection)),
        };
        net::drive(hub, connection, session, receiver, deadline, leftover).await;
    });
    response.unwrap()
}
