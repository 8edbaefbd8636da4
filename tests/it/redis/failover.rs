//! A primary that dies for good, and a replica that takes its place.

use std::time::Duration;

use rustix::process::Signal;
use sealcast::broker::{Delivery, Outgoing};
use tokio::time::{sleep, timeout};

use super::start::refusal;
use super::{KEEP, Listener, Publisher, ROOMS};
use crate::broker_contract::{Bench, channel, number, numbered};
use crate::support::redis::RedisServer;
use crate::support::sentinel::Watched;

/// How soon everything must be well after the replica is promoted.
const WELL_WITHIN: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn when_the_primary_is_killed_the_promoted_replica_is_used_and_gaps_are_told() {
    let mut watched = Watched::with_replica().await;
    let mut bench = Bench::on(watched.config()).await;
    let mut listener = Listener::start(&bench).await;
    let publisher = Publisher::start(&bench.broker);
    listener.during(&mut bench, publisher.goes_on(200)).await;
    let mut published = publisher.stop().await;
    watched.replica.as_ref().unwrap().follows(&watched.primary).await;
    watched.primary.kill();
    // Nothing is acknowledged before there is a primary again.
    let publisher = Publisher::start(&bench.broker);
    listener.during(&mut bench, watched.is_promoted()).await;
    let back = listener.during(&mut bench, publisher.goes_on(200)).await;
    assert!(back < WELL_WITHIN, "publishing took {back:?} to come back");
    assert!(publisher.failures() > 0, "the fault did not bite");
    listener.is_told(&mut bench, ROOMS).await;
    // The one that died comes back as what it was: nobody falls for it.
    watched.primary.start_again().await;
    listener.during(&mut bench, publisher.goes_on(200)).await;
    let replica = watched.replica.as_ref().unwrap();
    let _: usize = replica.ask("CLIENT KILL TYPE pubsub").await;
    let _: usize = replica.ask("CLIENT KILL TYPE normal SKIPME yes").await;
    listener.is_told(&mut bench, 2 * ROOMS).await;
    listener.during(&mut bench, publisher.goes_on(200)).await;
    published.extend(publisher.stop().await);
    listener.has_within(&mut bench, &published, WELL_WITHIN).await;
}

/// It lives and keeps its clients, but the others have agreed on another one.
#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_freezes_is_left_for_its_successor() {
    let watched = Watched::with_replica().await;
    let mut bench = Bench::on(watched.config()).await;
    let mut listener = Listener::start(&bench).await;
    let publisher = Publisher::start(&bench.broker);
    listener.during(&mut bench, publisher.goes_on(200)).await;
    let mut published = publisher.stop().await;
    watched.replica.as_ref().unwrap().follows(&watched.primary).await;
    watched.primary.signal(Signal::STOP);
    listener.during(&mut bench, watched.is_promoted()).await;
    let publisher = Publisher::start(&bench.broker);
    let back = listener.during(&mut bench, publisher.goes_on(200)).await;
    assert!(back < WELL_WITHIN, "publishing took {back:?} to come back");
    watched.primary.signal(Signal::CONT);
    listener.during(&mut bench, publisher.goes_on(200)).await;
    listener.is_told(&mut bench, ROOMS).await;
    published.extend(publisher.stop().await);
    listener.has_within(&mut bench, &published, WELL_WITHIN).await;
}

/// As if the node were on the wrong side of a cut network: it serves whoever asks,
/// and what it takes will be forgotten.
#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_was_replaced_and_does_not_know_it_is_left() {
    let watched = Watched::start().await;
    let other = RedisServer::start().await;
    let mut bench = Bench::on(watched.config()).await;
    bench.broker.subscribe(channel("room")).await.unwrap();
    bench.broker.publish(channel("room"), numbered(1)).await.unwrap();
    assert_eq!(bench.rest().await.len(), 1);
    watched.watch_instead(&other).await;
    let (_, gap) = bench.next().await;
    assert!(matches!(gap, Delivery::Gap { .. }), "{gap:?}");
    // Commands may be there before the link.
    let heard = async || other.ask::<Vec<String>>("PUBSUB CHANNELS").await.len();
    let follows = async {
        while heard().await < 3 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(WELL_WITHIN, follows).await.expect("the link follows");
    // The first may be refused: it was meant for what the other has not.
    eventually_published(&bench).await;
    let came = bench.rest().await;
    let is_second = |one: &Delivery| match one {
        Delivery::Publication { publication, .. } => number(publication) == 2,
        _ => false,
    };
    assert_eq!(came.iter().filter(|one| is_second(one)).count(), 1, "{came:?}");
    let streams = async |server: &RedisServer| server.ask::<Vec<String>>("KEYS *:s").await.len();
    assert_eq!((streams(&watched.primary).await, streams(&other).await), (0, 1));
    assert_eq!(watched.primary.ask::<Vec<String>>("PUBSUB CHANNELS").await.len(), 0);
}

async fn eventually_published(bench: &Bench) {
    let publishing = async {
        let kept = || Outgoing { keep: Some(KEEP), ..numbered(2) };
        while bench.broker.publish(channel("room"), kept()).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(WELL_WITHIN, publishing).await.expect("the other is used");
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_that_do_not_know_the_name_are_told_at_the_start() {
    let watched = Watched::start().await;
    let told = refusal(watched.config_named("another")).await;
    assert!(told.contains("cannot reach Redis at \"another\" by sentinels"), "{told}");
    assert!(told.contains("does not know"), "{told}");
}
