//! What the embedded broker keeps is bounded, whoever makes it grow.

use sealcast_wire::Publication;

use super::*;
use crate::broker::{Retention, Sharding};
use crate::limit::Profile;

const META_TTL: Duration = Duration::from_secs(30 * 24 * 3_600);
const KEEP: Retention =
    Retention { entries: 100, bytes: 1 << 20, ttl: Duration::from_secs(60), meta_ttl: META_TTL };

fn broker(most_bytes: usize) -> Memory {
    Memory::new(Feed::new(Sharding::new(1), 0).0, most_bytes)
}

fn channel(number: usize) -> Channel {
    Channel::parse(&format!("room-{number}")).expect("valid")
}

async fn look(broker: &Memory, number: usize) -> Page {
    let query = HistoryQuery { limit: 10, ..HistoryQuery::default() };
    broker.history(channel(number), query, META_TTL).await.expect("answered")
}

async fn publish(broker: &Memory, number: usize) {
    let publication = Publication { data: "{}".into(), ..Publication::default() };
    let outgoing = Outgoing { publication, keep: Some(KEEP), ..Outgoing::default() };
    broker.publish(channel(number), outgoing).await.expect("taken");
}

#[tokio::test(start_paused = true)]
async fn looking_at_many_streams_costs_no_more_than_the_budget() {
    let broker = broker(1 << 20);
    publish(&broker, 0).await;
    let epoch = look(&broker, 0).await.position.epoch;
    for number in 1..10_000 {
        look(&broker, number).await;
    }
    let held = broker.state.lock().held();
    assert!(held <= 1 << 20, "{held} bytes");
    assert!(broker.state.lock().streams.len() > 1_000, "and no fewer than it allows");
    let kept = look(&broker, 0).await;
    assert_eq!((kept.position.epoch, kept.publications.len()), (epoch, 1), "entries go last");
}

#[tokio::test(start_paused = true)]
async fn many_small_streams_are_shed_too() {
    let broker = broker(100 * 1_024);
    for number in 0..5_000 {
        publish(&broker, number).await;
        assert!(broker.state.lock().held() <= 100 * 1_024);
    }
    let state = broker.state.lock();
    assert_eq!(state.bytes, state.streams.values().map(Stream::bytes).sum::<usize>());
    assert!(state.streams.len() > 50);
}

/// As large as the profiles have it.
#[tokio::test(start_paused = true)]
async fn all_history_at_the_number_and_one_past_it() {
    const LARGE: usize = 1 << 20;
    for profile in [Profile::Strict, Profile::Standard] {
        let most = profile.limits().node_history_bytes;
        let broker = broker(most);
        let keep = Retention { entries: 1_000, bytes: most, ..KEEP };
        let of = async |bytes: usize| {
            let data = vec![b'1'; bytes].into();
            let publication = Publication { data, ..Publication::default() };
            let outgoing = Outgoing { publication, keep: Some(keep), ..Outgoing::default() };
            broker.publish(channel(0), outgoing).await.expect("taken");
        };
        let held = || broker.state.lock().held();
        let oldest = async || look(&broker, 0).await.publications.first().map(|one| one.offset);
        of(LARGE).await;
        let first = held();
        of(LARGE).await;
        let each = held() - first;
        for _ in 2..(most - first) / each {
            of(LARGE).await;
        }
        of(most - held() - (each - LARGE)).await;
        assert_eq!((held(), oldest().await), (most, Some(1)), "{profile}: at its number");
        of(0).await;
        assert!(held() < most && oldest().await > Some(1), "{profile}: one past it");
    }
}
