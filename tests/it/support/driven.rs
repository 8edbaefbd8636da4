//! Sessions of a test's own, behind the accept loop and the connection code of the
//! product.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode, header};
use sealcast::hub::{Connection, Hub, Pings, Registration};
use sealcast::limit::{Cap, Limits, Profile};
use sealcast::net::{self, Acceptor, Upgrade};
use sealcast::session::Session;
use sealcast_client::Options;
use sealcast_wire::{Encoding, ws};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::client::Wire;
use super::evidence;

/// Serves whoever upgrades, each by a session that `make` makes. In JSON, without
/// any other check.
pub(crate) fn serve<S: Session>(
    hub: &Arc<Hub>,
    make: impl Fn(Arc<Connection>, Registration) -> S + Clone + Send + Sync + 'static,
) -> SocketAddr {
    evidence::log();
    let limits = Profile::Standard.limits();
    let tasks = TaskTracker::new();
    let listener = net::listen(([127, 0, 0, 1], 0).into()).unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = Acceptor {
        sockets: Cap::new(10),
        header_timeout: limits.header_timeout,
        http2: false,
        announces: None,
        tasks: tasks.clone(),
        stop: CancellationToken::new(),
        metrics: Arc::clone(hub.metrics()),
    };
    let hub = Arc::clone(hub);
    let service = hyper::service::service_fn(move |request| {
        let answer = upgrade(request, &hub, &limits, &tasks, make.clone());
        async move { Ok::<_, Infallible>(answer) }
    });
    tokio::spawn(acceptor.run(listener, service));
    address
}

/// A connection there.
pub(crate) async fn open(address: SocketAddr) -> Wire {
    let options = Options::new(format!("ws://{address}/"));
    Wire(sealcast_client::Connection::open(&options).await.unwrap())
}

fn upgrade<S: Session>(
    mut request: Request<Incoming>,
    hub: &Arc<Hub>,
    limits: &Limits,
    tasks: &TaskTracker,
    make: impl FnOnce(Arc<Connection>, Registration) -> S + Send + 'static,
) -> Response<String> {
    let key = request.headers()[header::SEC_WEBSOCKET_KEY].to_str().unwrap();
    let response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, ws::accept_key(key))
        .body(String::new());
    let upgrade = Upgrade::of(request.extensions_mut());
    let (hub, receiver) = (Arc::clone(hub), net::receiver_limits(limits));
    let deadline = limits.message_deadline.into();
    tasks.spawn(async move {
        let (stream, leftover) = upgrade.unwrap().socket().await.unwrap();
        let connection =
            Connection::new(uuid::Uuid::new_v4(), Encoding::Json, Pings::Replies, stream);
        let registration = Registration::new(&hub, Arc::clone(&connection));
        let session = make(Arc::clone(&connection), registration);
        net::drive(hub, connection, session, receiver, deadline, leftover).await;
    });
    response.unwrap()
}
