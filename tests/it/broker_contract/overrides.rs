//! What operators have set for single users and others.

use std::time::Duration;

use sealcast::limit::{MOST_OVERRIDES, Override, QueueCap, Rate, Subject, Terms};
use tokio::time::{Instant, sleep};

use super::Bench;
use crate::support::PATIENCE;

macro_rules! overrides_contract {
    ($name:ident, $make:expr, [$($more:ident,)*]) => {
        promises!(
            $name,
            $make,
            tokio::test(flavor = "multi_thread"),
            [
                an_override_is_listed_until_it_is_removed_or_over,
                $($more,)*
            ]
        );
    };
}

overrides_contract!(memory, super::super::brokers::memory(), [their_number_is_bounded,]);
overrides_contract!(redis, super::super::brokers::redis(), [their_number_is_bounded,]);
overrides_contract!(sentinel, super::super::brokers::sentinel(), []);
overrides_contract!(several, super::super::brokers::several(), []);
overrides_contract!(cluster, super::super::brokers::cluster(), []);

const HOUR: Duration = Duration::from_secs(3_600);

fn one(user: &str, terms: Terms) -> Override {
    let subject = Subject::User(user.into());
    Override { subject, terms, reason: "a \"flood\"".into(), by: "ops".into() }
}

async fn listed(bench: &Bench) -> Vec<Override> {
    let list = bench.broker.overrides("-".into()).await.unwrap().expect("never known");
    assert!(list.all.iter().all(|(_, rest)| *rest <= HOUR));
    let mut all: Vec<_> = list.all.into_iter().map(|(one, _)| one).collect();
    all.sort_by(|one, other| one.subject.cmp(&other.subject));
    all
}

async fn an_override_is_listed_until_it_is_removed_or_over(bench: Bench) {
    let broker = &bench.broker;
    assert_eq!(broker.overrides(String::new()).await, Ok(None), "nothing is what is known first");
    let block = Terms { block: true, ..Terms::default() };
    let rate = Some(Rate::of(7, Duration::from_secs(60), 3));
    let queue = QueueCap { messages: Some(5), bytes: None };
    let slow = Terms { rate, queue, block: false };
    assert_eq!(broker.set_override(one("ada", block), HOUR).await, Ok(true));
    let first = broker.overrides(String::new()).await.unwrap().expect("it is new");
    assert_eq!(broker.overrides(first.version.clone()).await, Ok(None));
    assert_eq!(broker.set_override(one("bob", block), HOUR).await, Ok(true));
    assert_eq!(broker.set_override(one("ada", slow), HOUR).await, Ok(true));
    assert_ne!(broker.overrides(first.version).await, Ok(None));
    assert_eq!(listed(&bench).await, [one("ada", slow), one("bob", block)]);

    assert_eq!(broker.remove_override(Subject::User("bob".into())).await, Ok(true));
    assert_eq!(broker.remove_override(Subject::User("bob".into())).await, Ok(false));
    let short = Duration::from_millis(50);
    assert_eq!(broker.set_override(one("eve", block), short).await, Ok(true));
    let began = Instant::now();
    while listed(&bench).await != [one("ada", slow)] {
        assert!(began.elapsed() < PATIENCE, "{:?}", listed(&bench).await);
        sleep(short).await;
    }
    assert_eq!(broker.remove_override(Subject::User("eve".into())).await, Ok(false));
    assert_eq!(broker.remove_override(Subject::User("ada".into())).await, Ok(true));
    assert_eq!(listed(&bench).await, []);
}

async fn their_number_is_bounded(bench: Bench) {
    let block = Terms { block: true, ..Terms::default() };
    let set = async |n: usize| {
        bench.broker.set_override(one(&format!("user-{n}"), block), HOUR).await.unwrap()
    };
    for first in (0..MOST_OVERRIDES).step_by(500) {
        let some = futures_util::future::join_all((first..first + 500).map(set)).await;
        assert!(some.iter().all(|set| *set), "{first}");
    }
    assert!(!set(MOST_OVERRIDES).await, "one more");
    assert!(set(0).await, "what is there can be changed");
    assert_eq!(listed(&bench).await.len(), MOST_OVERRIDES);
    let gone = bench.broker.remove_override(Subject::User("user-7".into())).await;
    assert_eq!(gone, Ok(true));
    assert!(set(MOST_OVERRIDES).await, "there is a place again");
}
