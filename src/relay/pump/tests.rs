//! Gaps: what was missed goes out in order before anything newer, and what cannot
//! be had is told.

mod fairness;

use std::collections::HashMap;
use std::time::Duration;

use sealcast_wire::{Encoding, Position, Publication};

use super::*;
use crate::auth::{Identity, Namespace, Namespaces, Subscribe};
use crate::broker::{Broker, Page, Sharding, StandIn, Tails};
use crate::hub::tests::Script;
use crate::hub::{Clock, Hub, Noted, Wants};
use crate::limit::Profile;
use crate::metrics::Metrics;

const NOTED: Noted = Noted { most: 1, server_side: false, terms: None };

struct Bench {
    broker: Arc<StandIn>,
    relay: Arc<Relay>,
    inbox: mpsc::Sender<Delivery>,
}

fn channel() -> Channel {
    Channel::parse("room").unwrap()
}

fn position(offset: u64) -> Position {
    Position { offset, epoch: "epoch".into() }
}

fn publication(offset: u64) -> Arc<Publication> {
    Arc::new(Publication { data: offset.to_string().into(), offset, ..Publication::default() })
}

impl Bench {
    /// A pump that runs over a broker that takes one subscription, and answers no
    /// more until told.
    fn start() -> Bench {
        let (broker, sharding) = (StandIn::new(1), Sharding::new(1));
        let tails = Arc::new(Tails::new(&sharding, 0));
        let clock = Clock::start();
        let hub = Hub::new(1, &Profile::Standard.limits(), clock, Metrics::new("test"));
        let relay = Relay::new(hub, Arc::clone(&broker) as Arc<dyn Broker>, tails, sharding);
        let (inbox, receiver) = mpsc::channel(10_000);
        tokio::spawn(Pump::new(0, Arc::clone(&relay), receiver).run());
        Bench { broker, relay, inbox }
    }

    async fn subscribe(&self, wants: Wants, at: Option<Position>) -> (Arc<Connection>, Script) {
        let open = Namespace { subscribe_for_client: true, ..Namespace::default() };
        let namespaces = Namespaces::new(Some(open), HashMap::new());
        let user = sealcast_wire::User::parse("ada").unwrap();
        let identity = Identity { user, tenant: None, info: bytes::Bytes::new() };
        let wish = identity.authorize_subscribe(&namespaces, Subscribe { channel: channel() });
        let script = Script::with_room(1 << 24);
        let connection = Connection::scripted(Encoding::Json, script.clone());
        let wish = wish.expect("allowed");
        let joined = self.relay.subscribe(wish, &connection, wants).await.expect("subscribed");
        assert_eq!(joined.go_live(&connection, NOTED, at, None), Ok(()));
        (connection, script)
    }

    async fn positioned(&self, at: u64) -> (Arc<Connection>, Script) {
        let wants = Wants { positioned: true, ..Wants::default() };
        self.subscribe(wants, Some(position(at))).await
    }

    async fn publish(&self, offset: u64) {
        let (channel, publication) = (channel(), publication(offset));
        let epoch = (offset > 0).then(|| "epoch".into());
        let (delta, passing) = (false, false);
        let delivery = Delivery::Publication { channel, publication, epoch, delta, passing };
        self.inbox.send(delivery).await.expect("the pump runs");
    }

    async fn gap(&self) {
        let delivery = Delivery::Gap { channel: channel(), since: 1 };
        self.inbox.send(delivery).await.expect("the pump runs");
    }

    /// What the stream has, and what its top is.
    fn stream(&self, offsets: impl IntoIterator<Item = u64>, top: u64) {
        let publications = offsets.into_iter().map(publication).collect();
        *self.broker.page.lock() = Some(Page { publications, position: position(top) });
    }

    /// Lets the pump do what it can without anyone's answer.
    async fn settle(&self) {
        // Time stands still: it passes when everyone waits.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    fn asked(&self) -> usize {
        self.broker.calls.lock().iter().filter(|call| call.starts_with("history")).count()
    }
}

fn offsets(script: &Script) -> Vec<u64> {
    let texts = script.read().0;
    let read = |text: &String| serde_json::from_str::<serde_json::Value>(text).ok();
    let pushes = texts.iter().filter_map(read);
    pushes.filter_map(|push| push["push"]["pub"]["data"].as_u64()).collect()
}

fn is_told(script: &Script) -> bool {
    script.read().0.iter().any(|text| text.contains(r#""unsubscribe":{"code":2500"#))
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_comes_once_before_anything_newer() {
    let bench = Bench::start();
    let (one, script) = bench.positioned(0).await;
    let (_, behind) = bench.positioned(0).await;
    bench.publish(1).await;
    bench.gap().await;
    bench.publish(4).await;
    bench.publish(5).await;
    bench.settle().await;
    assert_eq!(offsets(&script), [1], "the newer ones wait");
    bench.stream(2..=4, 4);
    bench.broker.answer(1);
    bench.settle().await;
    for script in [&script, &behind] {
        assert_eq!(offsets(script), [1, 2, 3, 4, 5]);
    }
    assert!(one.is_subscribed(&channel()));
    assert_eq!(bench.asked(), 1, "once for the node");
    assert!(bench.relay.hub().metrics().render().contains("result=\"repaired\"} 1"));
}

#[tokio::test(start_paused = true)]
async fn a_hole_that_nobody_announced_is_repaired_as_well() {
    let bench = Bench::start();
    let (_, script) = bench.positioned(1).await;
    for offset in [3, 4, 6, 7] {
        bench.publish(offset).await;
    }
    bench.settle().await;
    assert!(offsets(&script).is_empty());
    bench.stream(2..=4, 4);
    bench.broker.answer(1);
    bench.settle().await;
    assert_eq!(offsets(&script), [2, 3, 4], "and the next hole stops it again");
    bench.stream(5..=7, 7);
    bench.broker.answer(1);
    bench.settle().await;
    assert_eq!(offsets(&script), [2, 3, 4, 5, 6, 7]);
    assert!(!is_told(&script));
    // The stream does not have it either.
    bench.publish(9).await;
    bench.stream([], 7);
    bench.broker.answer(1);
    bench.settle().await;
    assert!(is_told(&script) && offsets(&script).len() == 6);
}

#[tokio::test(start_paused = true)]
async fn a_gap_in_which_nothing_was_missed_changes_nothing() {
    let bench = Bench::start();
    let (_, script) = bench.positioned(3).await;
    bench.gap().await;
    bench.stream([], 3);
    bench.broker.answer(1);
    bench.settle().await;
    bench.publish(4).await;
    bench.settle().await;
    assert_eq!(offsets(&script), [4]);
    assert!(!is_told(&script));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_had_ends_the_positioned_subscriptions_and_no_others() {
    let bench = Bench::start();
    let (one, script) = bench.positioned(1).await;
    let (plain, unaffected) = bench.subscribe(Wants::default(), None).await;
    bench.gap().await;
    bench.publish(7).await;
    bench.stream(5..=6, 6);
    bench.broker.answer(1);
    bench.settle().await;
    assert!(is_told(&script) && offsets(&script).is_empty());
    assert!(!one.is_subscribed(&channel()) && one.is_open());
    assert!(plain.is_subscribed(&channel()));
    assert_eq!(offsets(&unaffected), [7]);
}

/// Who subscribed again while it was read, and got the epoch of the new stream, has
/// missed nothing.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_had_of_one_stream_ends_nothing_in_another() {
    let bench = Bench::start();
    let positioned = || Wants { positioned: true, ..Wants::default() };
    let new = |offset| Some(Position { offset, epoch: "new".into() });
    let (one, told) = bench.positioned(5).await;
    let (early, _) = bench.subscribe(positioned(), new(0)).await;
    bench.gap().await;
    bench.settle().await;
    let (late, script) = bench.subscribe(positioned(), new(1)).await;
    // What lies behind each: of the old stream nothing that fits.
    bench.stream([], 1);
    bench.broker.answer(1);
    bench.settle().await;
    assert_eq!(bench.asked(), 2, "once for each stream");
    let first = Arc::new(Publication { data: "1".into(), offset: 1, ..Publication::default() });
    let position = Position { offset: 1, epoch: "new".into() };
    *bench.broker.page.lock() = Some(Page { publications: vec![first], position });
    bench.broker.answer(1);
    bench.settle().await;
    assert!(is_told(&told) && !one.is_subscribed(&channel()));
    for connection in [early, late] {
        assert!(connection.is_subscribed(&channel()));
    }
    assert!(!is_told(&script) && offsets(&script).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_does_not_answer_is_asked_again_for_a_while() {
    let bench = Bench::start();
    let (_, script) = bench.positioned(1).await;
    *bench.broker.fails.lock() = true;
    bench.stream(2..=2, 2);
    bench.broker.answer(1_000);
    bench.gap().await;
    // As long as a position may be stale.
    tokio::time::sleep(Duration::from_secs(29)).await;
    assert!(!is_told(&script) && bench.asked() > 10);
    *bench.broker.fails.lock() = false;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(offsets(&script), [2]);
    *bench.broker.fails.lock() = true;
    bench.gap().await;
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert!(is_told(&script), "not for ever");
}

#[tokio::test(start_paused = true)]
async fn while_it_is_repaired_other_channels_go_on_and_what_waits_is_bounded() {
    let bench = Bench::start();
    let (_, script) = bench.positioned(0).await;
    bench.gap().await;
    bench.settle().await;
    let all = 3 * MOST_WAITING as u64;
    for offset in 1..=all {
        bench.publish(offset).await;
    }
    bench.inbox.send(Delivery::Probe(7)).await.expect("the pump runs");
    bench.settle().await;
    assert!(bench.relay.probes.is_ready(crate::hub::Millis(7)), "the shard is not held up");
    assert!(offsets(&script).is_empty());
    bench.stream([], 0);
    bench.broker.answer(1);
    bench.settle().await;
    let held = MOST_WAITING as u64;
    assert_eq!(offsets(&script), (1..=held).collect::<Vec<_>>(), "the rest was dropped");
    // And is a gap: the stream is asked again, as often as it takes.
    assert_eq!(bench.asked(), 2);
    bench.stream(held + 1..=all, all);
    bench.broker.answer(1);
    bench.settle().await;
    assert_eq!(offsets(&script), (1..=all).collect::<Vec<_>>());
    assert!(!is_told(&script));
}

#[tokio::test(start_paused = true)]
async fn without_positions_nothing_is_asked() {
    let bench = Bench::start();
    let (_, script) = bench.subscribe(Wants::default(), None).await;
    bench.gap().await;
    bench.publish(0).await;
    bench.settle().await;
    assert_eq!(script.read().0.len(), 1);
    assert_eq!(bench.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_is_not_live_at_the_gap_is_told_when_it_would_be() {
    let bench = Bench::start();
    let (_, first) = bench.subscribe(Wants::default(), None).await;
    let script = Script::with_room(1 << 20);
    let joining = Connection::scripted(Encoding::Json, script.clone());
    let wants = Wants { positioned: true, ..Wants::default() };
    let hub = bench.relay.hub();
    let slot = hub.join(0, &channel(), &joining, wants).expect("the channel is open");
    assert_eq!(joining.add_subscription(&channel(), 0, slot, NOTED), Ok(()));
    bench.gap().await;
    bench.publish(3).await;
    bench.settle().await;
    assert_eq!(offsets(&first), [3]);
    // Its history was read before what it missed.
    assert!(hub.go_live(0, &channel(), slot, Some(position(1)), None));
    assert!(is_told(&script), "nothing is silent");
}

/// Nothing comes behind what was missed, so there is no hole to be seen.
#[tokio::test(start_paused = true)]
async fn a_channel_that_stays_behind_its_stream_is_found_and_repaired() {
    use crate::hub::Millis;
    let bench = Bench::start();
    bench.broker.answer(100);
    let (_, script) = bench.positioned(3).await;
    bench.stream([4, 5], 5);
    let mut asked = Vec::new();
    for second in 0..20 {
        let now = Millis(second * 1_000);
        bench.relay.probes.came_back(0, bench.relay.probes.begin(now));
        bench.relay.mend(now).await;
        bench.settle().await;
        asked.push(bench.asked());
    }
    assert_eq!(asked[7], 0, "it was read just now");
    assert_eq!(offsets(&script), [4, 5], "once each: {asked:?}");
    assert!(!is_told(&script));
    assert_eq!(
        bench.broker.calls.lock().iter().filter(|call| call.starts_with("subscribe")).count(),
        1
    );
}
