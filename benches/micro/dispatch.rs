//! One publication to the subscribers of a channel, with the write calls.

use std::io::Read as _;
use std::sync::Arc;

use criterion::{Criterion, Throughput};
use sealcast::hub::{Batch, Clock, Connection, Content, Hub, Item, Pings, Wants};
use sealcast::limit::Profile;
use sealcast::metrics::Metrics;
use sealcast_wire::{Channel, Encoding, Publication};
use tokio::net::{TcpListener, TcpStream};

const SUBSCRIBERS: usize = 100;

pub(crate) fn bench(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let channel = Channel::parse("chat:lobby").expect("a channel");
    let limits = Profile::Standard.limits();
    let hub = Hub::new(1, &limits, Clock::start(), Metrics::new("bench"));
    hub.open(0, &channel);
    let connections: Vec<_> = (0..SUBSCRIBERS)
        .map(|at| {
            let stream = runtime.block_on(read_by_somebody());
            let id = uuid::Uuid::from_u128(at as u128);
            let connection = Connection::new(id, Encoding::Json, Pings::Replies, stream);
            let slot = hub.join(0, &channel, &connection, Wants::default()).ok();
            assert!(hub.go_live(0, &channel, slot.expect("open"), None, None));
            connection
        })
        .collect();
    let _guard = runtime.enter();
    let data = br#"{"text":"hello, everybody who is here"}"#;
    let publication = Arc::new(Publication { data: data[..].into(), ..Default::default() });

    let mut group = criterion.benchmark_group("dispatch");
    group.throughput(Throughput::Elements(SUBSCRIBERS as u64));
    group.bench_function(format!("to {SUBSCRIBERS} subscribers"), |bencher| {
        bencher.iter(|| {
            let publication = Arc::clone(&publication);
            let item = Item { publication, epoch: None, delta: false, passing: false };
            let batch = Batch::of(item);
            let content = Content::Publications(Box::new(batch));
            let mut fan_out = hub.begin(0, channel.clone(), content).expect("open");
            let mut dirty = Vec::with_capacity(SUBSCRIBERS);
            let advance = hub.advance(0, &mut fan_out, usize::MAX, &mut dirty);
            for connection in &dirty {
                connection.flush(&hub);
            }
            // Whose reader is behind is written to later, by nobody here.
            for connection in &connections {
                connection.unblock(&hub);
            }
            advance.served
        });
    });
    group.finish();
    assert!(connections.iter().all(|connection| connection.is_open()), "nobody was too slow");
}

/// A socket at whose other end a thread reads all that comes.
async fn read_by_somebody() -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("an address");
    let (ours, theirs) = tokio::join!(TcpStream::connect(address), listener.accept());
    let mut theirs = theirs.expect("accepted").0.into_std().expect("a socket");
    theirs.set_nonblocking(false).expect("blocking");
    std::thread::spawn(move || {
        let mut sink = vec![0; 64 << 10];
        while matches!(theirs.read(&mut sink), Ok(1..)) {}
    });
    ours.expect("connected")
}
