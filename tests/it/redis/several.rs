//! Several primaries that know nothing of each other: each has its share of the
//! channels, and fails alone.

use std::time::Duration;

use sealcast::broker::Delivery;
use tokio::time::{sleep, timeout};

use super::start::refusal;
use super::{KEEP, Listener, Publisher, ROOMS, room};
use crate::broker_contract::{Bench, channel, numbered};
use crate::support::PATIENCE;
use crate::support::redis::{RedisServer, spread};

/// How soon everything must be well after a fault has ended.
const WELL_WITHIN: Duration = Duration::from_secs(5);

async fn three() -> [RedisServer; 3] {
    [RedisServer::durable().await, RedisServer::durable().await, RedisServer::durable().await]
}

/// How many channels' topics are subscribed there.
async fn topics(server: &RedisServer) -> usize {
    server.ask::<Vec<String>>("PUBSUB CHANNELS").await.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_has_a_share_and_one_that_dies_takes_no_other_with_it() {
    let mut servers = three().await;
    let mut bench = Bench::on(spread(&servers)).await;
    let mut listener = Listener::start(&bench).await;
    let mut shares = Vec::new();
    for server in &servers {
        let streams: Vec<String> = server.ask("KEYS *:m").await;
        shares.push(streams.len());
        assert!(topics(server).await > streams.len(), "its channels, and the node's own");
    }
    assert_eq!(shares.iter().sum::<usize>(), ROOMS, "{shares:?}");
    let most = shares.iter().copied().max().unwrap();
    let dies = shares.iter().position(|share| *share == most).unwrap();
    assert!(most < ROOMS, "{shares:?}");
    let publisher = Publisher::start(&bench.broker);
    let killing = async {
        publisher.goes_on(200).await;
        servers[dies].kill();
        // Those at the others go on meanwhile.
        publisher.goes_on(200).await;
        assert!(publisher.failures() > 0, "the fault did not bite");
        sleep(Duration::from_secs(1)).await;
        servers[dies].start_again().await;
    };
    listener.during(&mut bench, killing).await;
    // All of its channels again, and no other channel was told anything.
    listener.is_told(&mut bench, most).await;
    let well = async {
        loop {
            let failures = publisher.failures();
            publisher.goes_on(10 * ROOMS).await;
            if publisher.failures() == failures {
                break;
            }
        }
    };
    let well = timeout(WELL_WITHIN, listener.during(&mut bench, well)).await;
    assert!(well.is_ok(), "it does not come back");
    let published = publisher.stop().await;
    listener.has_within(&mut bench, &published, WELL_WITHIN).await;
    assert_eq!(listener.gaps, most);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_comes_back_only_when_every_primary_has_brought_it() {
    let servers = three().await;
    let mut bench = Bench::on(spread(&servers)).await;
    assert!(bench.rest().await.is_empty());
    for frozen in &servers {
        frozen.signal(rustix::process::Signal::STOP);
        let sent = bench.broker.probe(1).await;
        assert!(sent.is_err(), "one of them does not take it");
        frozen.signal(rustix::process::Signal::CONT);
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nodes_say_to_each_other_goes_by_the_next_when_one_is_away() {
    let mut servers = three().await;
    let mut bench = Bench::on(spread(&servers)).await;
    // Every topic is subscribed when this has come back.
    bench.broker.subscribe(channel(&room(0))).await.unwrap();
    // Who is not told in time tells again; so what was told before may come twice.
    let tell = async |bench: &mut Bench, message: String| {
        let mut told = false;
        let telling = async {
            while !told {
                told = bench.broker.tell(message.clone().into()).await.is_ok();
            }
        };
        timeout(PATIENCE, telling).await.expect("by one or the other");
        while !matches!(bench.next().await.1, Delivery::Told(came) if came == message) {}
    };
    tell(&mut bench, "by any".to_owned()).await;
    for at in 0..servers.len() - 1 {
        servers[at].kill();
        tell(&mut bench, format!("not by {at}")).await;
    }
    servers[2].kill();
    assert!(bench.broker.tell("a message".into()).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_with_another_list_do_not_start_and_the_order_does_not_matter() {
    let mut servers = three().await;
    let _bench = Bench::on(spread(&servers)).await;
    for other in [&servers[..2], &servers[1..], &servers[..1]] {
        let told = refusal(spread(other)).await;
        assert!(told.contains("have another list of primaries"), "{told}");
    }
    servers.reverse();
    let bench = Bench::on(spread(&servers)).await;
    let kept = sealcast::broker::Outgoing { keep: Some(KEEP), ..numbered(1) };
    bench.broker.publish(channel(&room(0)), kept).await.unwrap();
    // A list that nobody says any more is forgotten.
    for server in &servers {
        let keys: Vec<String> = server.ask("KEYS *:a").await;
        let left: i64 = server.ask(&format!("PTTL {}", keys[0])).await;
        assert!(left > 0 && left <= 60_000, "{left}");
    }
}
