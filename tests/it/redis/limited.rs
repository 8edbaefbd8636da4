//! Limits over all nodes: within the publish on one primary, by credit drawn ahead
//! where there are several.

use std::time::Duration;

use sealcast::broker::{Charge, IdempotencyKey, NotPublished, Outgoing};
use sealcast::limit::{Bucket, Rate, Scope};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::KEEP;
use super::nodes::{ask, node};
use crate::broker_contract::{Bench, channel, numbered};
use crate::support::PATIENCE;
use crate::support::client::Wire;
use crate::support::cluster::Cluster;
use crate::support::redis::{RedisServer, spread};

const NODES: usize = 3;

fn charge(user: &str, rate: Rate) -> Vec<Charge> {
    vec![Charge { scope: Scope::User, subject: user.into(), rate, share: rate.share(NODES) }]
}

/// Redis' clock, milliseconds.
async fn millis(server: &RedisServer) -> u64 {
    let time: Vec<u64> = server.ask("TIME").await;
    time[0] * 1_000 + time[1] / 1_000
}

async fn a_retry_is_never_refused(bench: Bench) {
    const ONE: Rate = Rate::of(1, Duration::from_secs(3_600), 1);
    let publish = async |key: &str| {
        let key = IdempotencyKey { owner: "ops".into(), key: key.into() };
        let sent = Outgoing { keep: Some(KEEP), idempotency: Some(key), ..numbered(1) };
        bench.broker.publish_within(channel("room"), sent, charge("ada", ONE)).await
    };
    let first = publish("one").await;
    assert!(matches!(first, Ok(Some(_))), "{first:?}");
    let other = publish("two").await;
    let Err(NotPublished::TooMany(too_many)) = other else { panic!("{other:?}") };
    assert!(too_many.wait.0 > 3_500_000_000_000, "{too_many:?}");
    assert_eq!(publish("one").await, first, "it is answered what it was answered");
    assert!(publish("two").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn on_one_primary_a_retry_is_never_refused() {
    let server = RedisServer::start().await;
    a_retry_is_never_refused(Bench::on(server.config()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_cluster_a_retry_is_never_refused() {
    let cluster = Cluster::shared().await;
    a_retry_is_never_refused(Bench::on(cluster.config()).await).await;
}

async fn another_rate_holds_at_once(bench: Bench) {
    const SLOW: Rate = Rate::of(1, Duration::from_secs(3_600), 1);
    const FAST: Rate = Rate::each_second(1_000, 10);
    let publish = async |rate| {
        let sent = Outgoing { keep: Some(KEEP), ..numbered(1) };
        bench.broker.publish_within(channel("room"), sent, charge("ada", rate)).await.is_ok()
    };
    assert_eq!((publish(SLOW).await, publish(SLOW).await), (true, false));
    let began = Instant::now();
    while !publish(FAST).await {
        assert!(began.elapsed() < PATIENCE, "the slow one's hour still counts");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_one_primary_another_rate_holds_at_once() {
    let server = RedisServer::start().await;
    another_rate_holds_at_once(Bench::on(server.config()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_several_primaries_another_rate_holds_at_once() {
    let servers = [RedisServer::start().await, RedisServer::start().await];
    another_rate_holds_at_once(Bench::on(spread(&servers)).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_spread_over_three_nodes_has_the_burst_and_a_hundred_a_minute() {
    let server = RedisServer::start().await;
    let rate = json!({ "user": "ada", "rate": "100/m burst 20", "ttl": 600, "reason": "test" });
    let (mut nodes, mut wires) = (Vec::new(), Vec::new());
    for _ in 0..NODES {
        nodes.push(node(&server).await);
    }
    assert_eq!(nodes[0].api("limits_set", &rate).await.json(), json!({ "result": {} }));
    for node in &nodes {
        crate::support::eventually("it holds", || node.number("sealcast_limit_overrides") == 1.0)
            .await;
        wires.push(Wire::connected(node, "ada").await);
    }
    let began = millis(&server).await;
    let mut passed = 0;
    for n in 0..90 {
        let command = json!({ "id": 7, "publish": { "channel": "kept:a", "data": n } });
        let answer = ask(&mut wires[n % NODES], command).await;
        match answer["error"]["code"].as_u64() {
            None => passed += 1,
            Some(code) => assert_eq!(code, 111, "{answer}"),
        }
    }
    let came_back = (millis(&server).await - began) / 600;
    assert!((20..=21 + came_back).contains(&passed), "{passed}, {came_back}");
    // What Redis refused once the node refuses: a flood does not reach it.
    let of = |selector: &str| nodes.iter().map(|node| node.number(selector)).sum::<f64>();
    let asked = of(r#"sealcast_redis_op_seconds_count{op="publish"}"#);
    assert!(asked <= passed as f64 + NODES as f64 * (2.0 + came_back as f64), "{asked}");
    assert_eq!(of(r#"sealcast_redis_op_seconds_count{op="draw"}"#), 0.0, "no second trip");
    assert_eq!(of(r#"sealcast_rate_limited_total{scope="user"}"#), (90 - passed) as f64);
}

/// The scripts' own arithmetic over an hour, beside the node's; and what a user has of
/// each minute of it, whatever nodes the publishes go through.
#[tokio::test]
async fn over_a_simulated_hour_the_scripts_are_exact() {
    const HOUR: u64 = 3_600_000_000;
    let server = RedisServer::start().await;
    let gcra = include_str!("../../../src/broker/redis/scripts/gcra.lua");
    let clock = include_str!("../../../src/broker/redis/scripts/clock.lua");
    let limit = include_str!("../../../src/broker/redis/scripts/limit.lua");
    let script = format!(
        "local at, kept = 0, {{}}
         local redis = {{ call = function(name, key, value)
           if name == 'TIME' then
             return {{ 1800000000 + math.floor(at / 1000000), at % 1000000 }}
           elseif name == 'SET' then kept[key] = value
           else return kept[key] or false end
         end }}
         local function ask(KEYS, ARGV)
         {clock}
         {gcra}
         {limit}
         return true end
         local minutes, step = {{}}, tonumber(ARGV[3])
         for minute = 1, 60 do minutes[minute] = 0 end
         while at < {HOUR} do
           local minute = math.floor(at / 60000000) + 1
           if ask({{ 'bucket' }}, {{ ARGV[1], ARGV[2], '0', '1' }}) == true then
             minutes[minute] = minutes[minute] + 1
           end
           at = at + step
         end
         return minutes"
    );
    const USER: Rate = Rate::of(100, Duration::from_secs(60), 20);
    for rate in [
        USER,
        Rate::each_second(10, 128),
        Rate::each_second(7, 3),
        Rate::of(60, Duration::from_secs(10), 60),
    ] {
        let [interval, depth] =
            [1, rate.burst()].map(|count| format!("{:.3}", rate.lasts(count).as_secs_f64() * 1e6));
        let step = rate.lasts(1).as_micros() as u64 / 10 - 7;
        let words = ["EVAL", &script, "0", &interval, &depth, &step.to_string()];
        let minutes: Vec<u64> = server.ask_words(&words).await;
        if rate == USER {
            assert!(minutes[0] <= 120, "{minutes:?}");
            assert!(minutes[1..].iter().all(|count| (98..=102).contains(count)), "{minutes:?}");
        }
        let passed: u64 = minutes.iter().sum();
        let (mut bucket, mut now, mut local) = (Bucket::default(), 0, 0);
        while now < HOUR {
            local += u64::from(bucket.take(&rate, 1, 1_000 * now).is_ok());
            now += step;
        }
        assert!(passed.abs_diff(local) <= 1, "{rate}: {passed} beside {local}");
        let exact =
            u64::from(rate.burst()) + 3_600 * u64::from(rate.count()) / rate.period().as_secs();
        assert!((exact - 1..=exact).contains(&passed), "{rate}: {passed} of {exact}");
    }
}
