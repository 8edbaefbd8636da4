//! A session that panics, behind the accept loop and the connection code of the
//! product.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Context;

use sealcast::hub::{Clock, Connection, Hub, Registration};
use sealcast::limit::Profile;
use sealcast::metrics::Metrics;
use sealcast::session::{Message, Session};
use sealcast_wire::ws::{self, Opcode};

use crate::codes::{Told, close_of};
use crate::support::driven::{self, open};
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

fn serve() -> (SocketAddr, Arc<Metrics>) {
    let metrics = Metrics::new("it");
    let limits = Profile::Standard.limits();
    let hub = Hub::new(1, &limits, Clock::start(), Arc::clone(&metrics));
    let session = Arc::clone(&hub);
    let make = move |connection, _registration| Fragile {
        hub: Arc::clone(&session),
        connection,
        _registration,
    };
    (driven::serve(&hub, make), metrics)
}
