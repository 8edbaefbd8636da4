//! What goes out when: time is passed in; and who is answered what, over a broker
//! that answers when told.

use futures_util::FutureExt as _;
use proptest::prelude::*;
use sealcast_wire::{Joining, joined};

use super::*;
use crate::broker::{Broker, Sharding, StandIn, Tails};
use crate::hub::{Clock, Hub};
use crate::limit::Profile;
use crate::metrics::Metrics;

const LATEST: Shaping = Shaping::Latest { every: Duration::from_millis(50) };
const BATCH: Shaping = batch(Joining::Json);

const fn batch(joining: Joining) -> Shaping {
    Shaping::Batch { every: Duration::from_millis(50), joining }
}

fn channel(name: &str) -> Channel {
    Channel::parse(name).unwrap()
}

fn who(client: &str) -> ClientInfo {
    ClientInfo { client: client.to_owned(), ..ClientInfo::default() }
}

/// Runs the waits as the task does, at times that are passed in.
struct Bench {
    waits: Waits,
    cap: Cap,
    shape: Shape,
    last: Duration,
    /// When each publication went, whose it was, and its messages.
    gone: Vec<(Duration, String, Vec<String>)>,
    merged: u64,
}

impl Bench {
    fn new(shaping: Shaping) -> Bench {
        Bench {
            waits: Waits::default(),
            cap: Cap::new(1 << 30),
            shape: Shape { shaping, most_bytes: 1_000 },
            last: Duration::ZERO,
            gone: Vec::new(),
            merged: 0,
        }
    }

    fn publish(&mut self, client: &str, data: &str, now: Duration) {
        self.until(now);
        let publication = Publication { data: data.to_owned().into(), ..Publication::default() };
        let permit = self.cap.take_many(1).unwrap();
        let (message, _) = Message::new(publication, permit, self.shape.shaping);
        let taken = self.waits.take(channel("a"), who(client), message, self.shape, now);
        self.merged += taken.merged;
        self.turn(now);
    }

    /// Everything that goes up to `end`.
    fn until(&mut self, end: Duration) {
        while let Some(due) = self.waits.due().filter(|due| (*due).max(self.last + GRAIN) <= end) {
            self.turn(due.max(self.last + GRAIN));
        }
    }

    fn turn(&mut self, now: Duration) {
        let grain = self.gone.is_empty() || self.last + GRAIN <= now;
        if !grain || self.waits.due().is_none_or(|due| due > now) {
            return;
        }
        self.last = now;
        let mut ready = Vec::new();
        self.waits.go(now, usize::MAX, &mut ready);
        for Ready { publication, messages, .. } in ready {
            assert_eq!(publication.tags.contains_key(joined::TAG), messages.len() > 1);
            let client = publication.info.as_ref().unwrap().client.clone();
            let apart = joined::split(publication);
            assert_eq!(apart.len(), messages.len());
            let texts = apart.iter().map(|one| String::from_utf8_lossy(&one.data).into_owned());
            self.gone.push((now, client, texts.collect()));
        }
    }

    fn of(&self, client: &str) -> Vec<(Duration, Vec<String>)> {
        let own = self.gone.iter().filter(|(_, whose, _)| whose == client);
        own.map(|(at, _, messages)| (*at, messages.clone())).collect()
    }
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn five_hundred_a_second_become_sixty_and_the_last_arrives() {
    let every = Duration::from_secs(1) / 60;
    let mut bench = Bench::new(Shaping::Latest { every });
    for at in 0..500_u64 {
        bench.publish("ada", &at.to_string(), millis(at * 2));
    }
    bench.until(millis(999));
    assert!((55..=61).contains(&bench.gone.len()), "{}", bench.gone.len());
    bench.until(millis(998 + 35));
    assert_eq!(bench.gone.last().unwrap().2, ["499"], "within 35 ms");
    assert_eq!(bench.gone.len() as u64 + bench.merged, 500);
    assert_eq!(bench.gone[0].0, Duration::ZERO, "the first at once");
}

#[test]
fn a_thousand_operations_in_a_second_arrive_in_order_in_21_publications() {
    let mut bench = Bench::new(BATCH);
    for at in 0..1_000_u64 {
        bench.publish("ada", &at.to_string(), millis(at));
    }
    bench.until(millis(2_000));
    assert!(bench.gone.len() <= 21, "{}", bench.gone.len());
    let all: Vec<String> = bench.gone.iter().flat_map(|(_, _, texts)| texts.clone()).collect();
    assert_eq!(all, (0..1_000).map(|at| at.to_string()).collect::<Vec<_>>());
    assert_eq!(bench.merged, 0);
}

#[test]
fn publishers_do_not_hold_up_each_other_and_are_forgotten_when_idle() {
    let mut bench = Bench::new(LATEST);
    bench.publish("ada", "1", millis(0));
    bench.publish("ada", "2", millis(10));
    bench.publish("bob", "3", millis(20));
    bench.until(millis(30));
    assert_eq!(bench.of("bob"), [(millis(20), vec!["3".to_owned()])]);
    assert_eq!(bench.waits.len(), 2);
    bench.until(millis(60));
    assert_eq!(bench.of("ada")[1], (millis(50), vec!["2".to_owned()]));
    bench.until(millis(1_000));
    assert_eq!((bench.waits.len(), bench.waits.due()), (0, None));
    assert_eq!(bench.cap.taken(), 0);
    bench.publish("ada", "4", millis(1_000));
    assert_eq!(bench.of("ada")[2].0, millis(1_000), "at once again");
}

#[test]
fn a_publication_is_no_larger_or_deeper_than_a_message_may_be() {
    for joining in [Joining::Json, Joining::Binary] {
        let mut bench = Bench::new(batch(joining));
        let long = |at: usize| format!("\"{at}{}\"", "x".repeat(400));
        for at in 0..6 {
            bench.publish("ada", &long(at), millis(at as u64));
        }
        // Alone it is as large as may be.
        let whole = format!("\"{}\"", "y".repeat(998));
        bench.publish("ada", &whole, millis(7));
        bench.until(millis(50));
        let sizes: Vec<usize> = bench.gone.iter().map(|(_, _, texts)| texts.len()).collect();
        assert_eq!(sizes, [1, 2, 2, 1, 1], "{joining:?}");
        let all: Vec<_> = bench.gone.iter().flat_map(|(_, _, texts)| texts.clone()).collect();
        assert_eq!(all, (0..6).map(long).chain([whole]).collect::<Vec<_>>());
    }
    let mut bench = Bench::new(BATCH);
    let deep = format!("{}{}", "[".repeat(31), "]".repeat(31));
    for text in ["1", "2", &deep, "3", "4"] {
        bench.publish("ada", text, millis(1));
    }
    bench.until(millis(60));
    let sizes: Vec<usize> = bench.gone.iter().map(|(_, _, texts)| texts.len()).collect();
    assert_eq!(sizes, [1, 1, 1, 2]);
}

#[test]
fn with_little_room_the_rest_waits() {
    let mut bench = Bench::new(LATEST);
    for client in 0..10 {
        let publication = Publication::default();
        let permit = bench.cap.take_many(1).unwrap();
        let (message, _) = Message::new(publication, permit, LATEST);
        let info = who(&client.to_string());
        bench.waits.take(channel("a"), info, message, bench.shape, millis(0));
    }
    let mut ready = Vec::new();
    bench.waits.go(millis(0), 4, &mut ready);
    assert_eq!((ready.len(), bench.waits.due()), (4, Some(millis(0))));
    bench.waits.go(millis(1), 10, &mut ready);
    assert_eq!((ready.len(), bench.waits.due()), (10, Some(millis(50))));
}

proptest! {
    /// Whoever publishes whenever: nobody goes more often than allowed, and nothing
    /// that must arrive is missing or out of order.
    #[test]
    fn the_promises_hold_at_any_times(
        steps in prop::collection::vec((0_u64..80, 0_usize..4), 1..300),
        joined: bool,
    ) {
        let mut bench = Bench::new(if joined { BATCH } else { LATEST });
        let (mut now, mut sent) = (0, vec![Vec::new(); 4]);
        for (at, (step, client)) in steps.into_iter().enumerate() {
            now += step;
            bench.publish(&client.to_string(), &at.to_string(), millis(now));
            sent[client].push(at.to_string());
        }
        bench.until(millis(now + 60));
        for (client, sent) in sent.into_iter().enumerate() {
            let gone = bench.of(&client.to_string());
            for pair in gone.windows(2) {
                prop_assert!(pair[1].0 >= pair[0].0 + millis(50));
            }
            let got: Vec<String> = gone.into_iter().flat_map(|(_, texts)| texts).collect();
            if joined {
                prop_assert_eq!(got, sent);
            } else {
                prop_assert_eq!(got.last(), sent.last());
                let mut rest = sent.iter();
                prop_assert!(got.iter().all(|one| rest.any(|other| other == one)));
            }
        }
    }
}

fn relay(broker: &Arc<StandIn>) -> Arc<Relay> {
    let sharding = Sharding::new(1);
    let hub = Hub::new(1, &Profile::Standard.limits(), Clock::start(), Metrics::new("test"));
    let tails = Arc::new(Tails::new(&sharding, 0));
    let relay = Relay::new(hub, Arc::clone(broker) as Arc<dyn Broker>, tails, sharding);
    tokio::spawn(Arc::clone(&relay).send_shaped(0));
    relay
}

/// A publication in one of two modes, each of which has its own publisher.
fn shape(
    relay: &Arc<Relay>,
    text: &'static str,
    shaping: Shaping,
) -> impl Future<Output = Result<(), Unavailable>> {
    let publication = Publication { data: text.into(), ..Publication::default() };
    let shape = Shape { shaping, most_bytes: 1_000 };
    let relay = Arc::clone(relay);
    let who = who(if shaping == LATEST { "ada" } else { "bob" });
    async move { relay.shape(channel("a"), (publication, who), shape).await }
}

#[tokio::test]
async fn what_may_be_merged_is_answered_at_once_and_the_rest_when_the_broker_has_it() {
    let broker = StandIn::new(0);
    let relay = relay(&broker);
    assert_eq!(shape(&relay, "1", LATEST).now_or_never(), Some(Ok(())));
    let mut kept = std::pin::pin!(shape(&relay, "2", BATCH));
    assert_eq!(kept.as_mut().now_or_never(), None);
    assert!(!relay.shaper.is_empty());
    broker.answer(10);
    assert_eq!(kept.await, Ok(()));
    relay.settle().await;
    *broker.fails.lock() = true;
    assert_eq!(shape(&relay, "3", BATCH).await, Err(Unavailable));
    relay.settle().await;
    let text = relay.hub.metrics().render();
    for number in [
        r#"sealcast_shaped_total{mode="latest",step="taken"} 1"#,
        r#"sealcast_shaped_total{mode="latest",step="sent"} 1"#,
        r#"sealcast_shaped_total{mode="batch",step="taken"} 2"#,
        r#"sealcast_shaped_total{mode="batch",step="failed"} 1"#,
    ] {
        assert!(text.contains(number), "{number} in {text}");
    }
}

#[tokio::test]
async fn what_is_published_goes_out_although_the_publisher_has_gone() {
    let broker = StandIn::new(10);
    let relay = relay(&broker);
    for text in ["1", "2", "3"] {
        // As if the connection ended: its operations are dropped.
        assert_eq!(shape(&relay, text, BATCH).now_or_never(), None);
    }
    relay.settle().await;
    let calls = broker.calls.lock().len();
    assert!((1..=2).contains(&calls), "{calls}");
    let joined = relay.hub.metrics().render();
    let total = r#"sealcast_shaped_total{mode="batch",step="taken"} 3"#;
    assert!(joined.contains(total), "{joined}");
}

#[tokio::test]
async fn what_waits_is_bounded() {
    let relay = relay(&StandIn::new(0));
    let weight = OVERHEAD + 1;
    let all = relay.shaper.bytes.take_many(MOST_WAITING - weight).unwrap();
    assert_eq!(shape(&relay, "1", LATEST).now_or_never(), Some(Ok(())));
    assert_eq!(shape(&relay, "2", LATEST).now_or_never(), Some(Err(Unavailable)));
    drop(all);
    assert_eq!(shape(&relay, "2", LATEST).now_or_never(), Some(Ok(())));
}

/// Whoever has published is told that it was taken, so it is this node's to bring.
#[tokio::test]
async fn the_newest_is_tried_again_until_a_newer_one_waits() {
    let mut waits = Waits::default();
    let cap = Cap::new(1 << 20);
    let shape = Shape { shaping: LATEST, most_bytes: 1_000 };
    let at = Duration::from_millis;
    let take = |waits: &mut Waits, data: &'static str, now| {
        let publication = Publication { data: data.into(), ..Publication::default() };
        let (message, _) = Message::new(publication, cap.take_many(1).unwrap(), LATEST);
        waits.take(channel("a"), who("ada"), message, shape, now)
    };
    let go = |waits: &mut Waits, now| {
        let mut ready = Vec::new();
        waits.go(now, 10, &mut ready);
        ready.pop()
    };
    take(&mut waits, "1", at(0));
    let mut first = go(&mut waits, at(0)).unwrap();
    assert!(waits.again(&mut first, at(500)));
    assert!(go(&mut waits, at(749)).is_none(), "not at once");
    let mut again = go(&mut waits, at(750)).unwrap();
    assert_eq!(again.publication.data, "1");
    take(&mut waits, "2", at(760));
    assert!(!waits.again(&mut again, at(770)), "a newer one waits");
    let mut newer = go(&mut waits, at(2_000)).unwrap();
    assert_eq!(newer.publication.data, "2");
    let mut now = at(2_000);
    while waits.again(&mut newer, now) {
        now += at(1_000);
        newer = go(&mut waits, now).unwrap();
        assert_eq!(newer.publication.data, "2");
    }
    assert_eq!(now, at(32_000), "and not for ever");
    drop((first, again, newer));
    go(&mut waits, at(40_000));
    assert_eq!((waits.len(), cap.taken()), (0, 0));
}
