//! What is kept for one to take.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use sealcast::broker::Unavailable;

use super::Bench;

macro_rules! once_contract {
    ($name:ident, $make:expr) => {
        promises!(
            $name,
            $make,
            tokio::test(flavor = "multi_thread"),
            [
                of_all_who_take_it_one_has_it,
                nothing_is_put_over_another,
                what_is_too_old_is_not_had,
            ]
        );
    };
}

once_contract!(memory, super::super::brokers::memory());
once_contract!(redis, super::super::brokers::redis());
once_contract!(sentinel, super::super::brokers::sentinel());
once_contract!(several, super::super::brokers::several());
once_contract!(cluster, super::super::brokers::cluster());

const LONG: Duration = Duration::from_secs(30);

async fn of_all_who_take_it_one_has_it(bench: Bench) {
    let broker = &bench.broker;
    // They lie at different primaries.
    for n in 0..20 {
        let (id, value) = ([n; 32], Bytes::from(vec![n, 0, 255]));
        assert_eq!(broker.take_once(id).await, Ok(None));
        broker.put_once(id, value.clone(), LONG).await.unwrap();
        let taken = join_all((0..5).map(|_| broker.take_once(id))).await;
        let taken: Vec<_> = taken.into_iter().filter_map(Result::unwrap).collect();
        assert_eq!(taken, [value]);
        assert_eq!(broker.take_once(id).await, Ok(None));
    }
}

async fn nothing_is_put_over_another(bench: Bench) {
    let broker = &bench.broker;
    broker.put_once([1; 32], "one".into(), LONG).await.unwrap();
    assert_eq!(broker.put_once([1; 32], "two".into(), LONG).await, Err(Unavailable));
    assert_eq!(broker.take_once([1; 32]).await, Ok(Some("one".into())));
    broker.put_once([1; 32], "two".into(), LONG).await.unwrap();
    assert_eq!(broker.take_once([1; 32]).await, Ok(Some("two".into())));
}

async fn what_is_too_old_is_not_had(bench: Bench) {
    let broker = &bench.broker;
    let short = Duration::from_millis(20);
    broker.put_once([1; 32], "one".into(), short).await.unwrap();
    tokio::time::sleep(2 * short).await;
    assert_eq!(broker.take_once([1; 32]).await, Ok(None));
}
