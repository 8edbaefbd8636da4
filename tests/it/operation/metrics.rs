//! Every metric: documented, moved by something that happens at a node, and with
//! no label that is not documented.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs};

use sealcast::metrics::{COUNTERS, GAUGES, HISTOGRAMS, LABELS};
use sealcast::server::Node;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::support::client::Wire;
use crate::support::http::ask;
use crate::support::node::{ORIGIN, TestNode, config, number};
use crate::support::{PATIENCE, eventually};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
const BEGIN: &str = "<!-- from the code: begin -->\n";
const END: &str = "<!-- from the code: end -->";

/// Moved by tests of their own, which need a session that panics, a Redis, or another
/// node: where, and by what word one finds it there.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    ("sealcast_shed_total", "tests/it/limits/memory.rs", "sealcast_shed_total{"),
    ("sealcast_shedding_stage", "tests/it/limits/memory.rs", "sealcast_shedding_stage"),
    ("sealcast_work_running", "tests/it/limits/turns.rs", "sealcast_work_running{"),
    ("sealcast_work_limit", "tests/it/limits/turns.rs", "sealcast_work_limit{"),
    ("sealcast_work_refused_total", "tests/it/limits/turns.rs", "sealcast_work_refused_total{"),
    ("sealcast_panics_total", "tests/it/caps/panicking.rs", "sealcast_panics_total"),
    ("sealcast_control_refused_total", "src/cluster/tests.rs", "sealcast_control_refused_total"),
    ("sealcast_limit_overrides", "tests/it/limits/overrides.rs", "sealcast_limit_overrides"),
    ("sealcast_shaped_total", "tests/it/shaping.rs", "sealcast_shaped_total"),
    ("sealcast_limits_local_share", "tests/it/redis/leases.rs", "sealcast_limits_local_share"),
    ("sealcast_redis_errors_total", REDIS, "sealcast_redis_errors_total"),
    ("sealcast_redis_breaker_state", REDIS, "sealcast_redis_breaker_state"),
    ("sealcast_redis_up", REDIS, "sealcast_redis_up"),
    ("sealcast_epoch_changes_total", "tests/it/redis/epochs.rs", "sealcast_epoch_changes_total"),
    ("sealcast_clock_skew_seconds", "tests/it/redis/clock.rs", "sealcast_clock_skew_seconds"),
    ("sealcast_redis_op_seconds", REDIS, "sealcast_redis_op_seconds"),
    ("sealcast_pubsub_reconnects_total", REDIS, "sealcast_pubsub_reconnects_total"),
    ("sealcast_gaps_total", REDIS, "sealcast_gaps_total"),
    ("sealcast_gap_repairs_total", REDIS, "sealcast_gap_repairs_total"),
    // Counts what this test makes the queue say.
    (
        "sealcast_pubsub_dropped_total",
        "src/broker/redis/link/intake.rs",
        "what_does_not_fit_is_a_gap_of_its_channel",
    ),
];
const REDIS: &str = "tests/it/redis/nodes.rs";

#[test]
fn the_page_lists_what_the_code_has() {
    let labels: BTreeMap<_, _> = LABELS.iter().copied().collect();
    let mut table = "| metric | type | labels | meaning |\n|---|---|---|---|\n".to_owned();
    for (kind, list) in [("counter", COUNTERS), ("gauge", GAUGES), ("histogram", HISTOGRAMS)] {
        for (name, meaning) in list {
            let labels = labels.get(name).map_or(String::new(), |labels| {
                labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ")
            });
            table += &format!("| `{name}` | {kind} | {labels} | {meaning} |\n");
        }
    }
    let page = fs::read_to_string(PAGE).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("where the table begins");
    let (listed, after) = rest.split_once(END).expect("where the table ends");
    if env::var_os("WRITE_DOCS").is_some() {
        fs::write(PAGE, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
    } else {
        assert_eq!(listed, table, "write it with WRITE_DOCS=1");
    }
    let named = |word: &&str| word.starts_with("sealcast_") || word.starts_with("process_");
    let known: BTreeSet<_> = listed_names().collect();
    for text in [before, after] {
        let word = |character: char| !character.is_ascii_alphanumeric() && character != '_';
        let unknown: Vec<_> =
            text.split(word).filter(named).filter(|name| !known.contains(base(name))).collect();
        assert!(unknown.is_empty(), "the page names {unknown:?}");
    }
    let names = LABELS.iter().map(|(name, _)| name);
    assert!(names.into_iter().all(|name| known.contains(name)));
}

/// The name of every metric that is documented.
fn listed_names() -> impl Iterator<Item = &'static str> {
    COUNTERS.iter().chain(GAUGES).chain(HISTOGRAMS).map(|(name, _)| *name)
}

/// The name under which a rendered one is documented: a histogram has three.
fn base(name: &str) -> &str {
    let of = |suffix| name.strip_suffix(suffix);
    let base = of("_bucket").or_else(|| of("_sum")).or_else(|| of("_count"));
    base.filter(|base| HISTOGRAMS.iter().any(|(known, _)| known == base)).unwrap_or(name)
}

/// Which metrics have moved.
#[derive(Default)]
struct Moved(BTreeSet<String>);

impl Moved {
    /// These must be greater than before.
    async fn up(&mut self, node: &TestNode, before: &str, selectors: &[&str]) {
        for selector in selectors {
            let was = number(before, selector);
            eventually(selector, || node.number(selector) > was).await;
            self.note(selector);
        }
    }

    fn note(&mut self, selector: &str) {
        self.0.insert(base(selector.split('{').next().unwrap()).to_owned());
    }
}

fn render(node: &TestNode) -> String {
    node.node.as_ref().unwrap().app().policy.relay.hub().metrics().render()
}

/// The labels of each rendered metric.
fn rendered_labels(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::<_, BTreeSet<_>>::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (name, labels) = line.split_once('{').map_or_else(
            || (line.split(' ').next().unwrap(), ""),
            |(name, rest)| (name, rest.split_once('}').unwrap().0),
        );
        let labels = labels.split(',').filter(|label| !label.is_empty());
        let labels = labels.map(|label| label.split_once('=').unwrap().0.to_owned());
        let bound = |label: &String| label == "le" && base(name) != name;
        found.entry(base(name).to_owned()).or_default().extend(labels.filter(|it| !bound(it)));
    }
    found
}

fn kept() -> Value {
    json!({ "channel": { "namespaces": [
        {
            "name": "kept", "history_size": 5, "history_ttl": "60s", "force_recovery": true,
            "allow_subscribe_for_client": true, "allow_publish_for_client": true,
        },
        { "name": "closed" },
    ]}})
}

#[tokio::test]
async fn every_metric_is_moved_by_something() {
    let mut moved = Moved::default();
    let node = TestNode::with(kept()).await;
    connect_and_speak(&node, &mut moved).await;
    recover(&node, &mut moved).await;
    be_refused(&node, &mut moved).await;
    be_full(&mut moved).await;
    be_slow(&mut moved).await;
    answer_pings(&mut moved).await;
    modes(&mut moved).await;
    runtime(&node, &mut moved).await;

    for (name, file, word) in ELSEWHERE {
        let path = format!("{}/{file}", env!("CARGO_MANIFEST_DIR"));
        assert!(fs::read_to_string(path).unwrap().contains(word), "{word} in {file}");
        moved.note(name);
    }
    let documented = listed_names().map(str::to_owned).collect();
    assert_eq!(moved.0, documented, "left: moved here; right: documented");

    let documented: BTreeMap<_, _> = LABELS.iter().copied().collect();
    for (name, labels) in rendered_labels(&render(&node)) {
        let listed = documented.get(name.as_str()).copied().unwrap_or_default();
        let listed: BTreeSet<_> = listed.iter().map(|label| (*label).to_owned()).collect();
        assert_eq!(labels, listed, "{name}");
    }
}

async fn connect_and_speak(node: &TestNode, moved: &mut Moved) {
    let before = render(node);
    let waiting = Wire::open(node).await;
    let up = ["sealcast_connections", "sealcast_connections_waiting", "sealcast_tasks"];
    moved.up(node, &before, &up).await;
    drop(waiting);
    moved.up(node, &before, &["sealcast_disconnects_total{code=\"3000\"}"]).await;

    let before = render(node);
    let idle = TcpStream::connect(node.public).await.unwrap();
    moved.up(node, &before, &["sealcast_sockets"]).await;
    drop(idle);

    let before = render(node);
    let mut wire = Wire::connected(node, "ada").await;
    wire.ask(r#"{"id":2,"subscribe":{"channel":"room"}}"#).await;
    wire.say(r#"{"id":3,"publish":{"channel":"room","data":1}}"#).await;
    wire.hear().await;
    let up = [
        "sealcast_connect_attempts_total{transport=\"websocket\",result=\"ok\"}",
        "sealcast_auth_total{method=\"jwt\",result=\"success\",reason=\"ok\"}",
        "sealcast_commands_total{method=\"publish\"}",
        "sealcast_messages_total{dir=\"in\"}",
        "sealcast_messages_total{dir=\"out\"}",
        "sealcast_bytes_total{dir=\"in\"}",
        "sealcast_bytes_total{dir=\"out\"}",
        "sealcast_writes_total",
        "sealcast_message_state_total{state=\"received\"}",
        "sealcast_message_state_total{state=\"published\"}",
        "sealcast_message_state_total{state=\"delivered\"}",
        "sealcast_command_duration_seconds_count{method=\"connect\"}",
        "sealcast_command_duration_seconds_count{method=\"subscribe\"}",
        "sealcast_command_duration_seconds_bucket{method=\"publish\",le=\"+Inf\"}",
        "sealcast_command_duration_seconds_sum",
        "sealcast_delivery_latency_seconds_sum",
    ];
    moved.up(node, &before, &up).await;
    let delivered = node.number("sealcast_delivery_latency_seconds_count");
    assert_eq!(delivered, 1.0, "one publication was delivered");
}

async fn recover(node: &TestNode, moved: &mut Moved) {
    let before = render(node);
    let mut resident = Wire::connected(node, "ada").await;
    let answer = resident.ask(r#"{"id":2,"subscribe":{"channel":"kept:room"}}"#).await;
    let epoch = answer["subscribe"]["epoch"].as_str().unwrap().to_owned();
    node.api("publish", &json!({ "channel": "kept:room", "data": 1 })).await;
    let mut wire = Wire::connected(node, "bob").await;
    let subscribe = json!({ "id": 2, "subscribe": {
        "channel": "kept:room", "recover": true, "offset": 0, "epoch": epoch,
    }});
    let answer = wire.ask(&subscribe.to_string()).await;
    assert_eq!(answer["subscribe"]["recovered"], true, "{answer}");
    let up = [
        "sealcast_recover_total{recovered=\"yes\"}",
        "sealcast_recover_from_tail_total",
        "sealcast_api_calls_total",
        "sealcast_message_state_total{state=\"stored\"}",
    ];
    moved.up(node, &before, &up).await;
}

async fn be_refused(node: &TestNode, moved: &mut Moved) {
    let before = render(node);
    let mut wire = Wire::connected(node, "ada").await;
    let publish = r#"{"id":2,"publish":{"channel":"closed:room","data":1}}"#;
    assert_eq!(wire.refused(publish).await, 103);
    assert_eq!(wire.closed_by("{").await, 3501);
    let handshake = "GET /connection/websocket HTTP/1.1\r\nHost: it\r\nConnection: close\r\n\
        Origin: https://evil.example\r\n\r\n";
    assert_eq!(ask(node.public, handshake).await.status, 403);
    let call = "POST /api/info HTTP/1.1\r\nHost: it\r\nConnection: close\r\n\
        Content-Length: 2\r\n\r\n{}";
    assert_eq!(ask(node.public, call).await.status, 401);
    let up = [
        "sealcast_command_errors_total{method=\"publish\",code=\"103\"}",
        "sealcast_permission_denied_total{action=\"publish\"}",
        "sealcast_protocol_violations_total{kind=\"undecodable\"}",
        "sealcast_disconnects_total{code=\"3501\"}",
        "sealcast_origin_rejected_total",
        "sealcast_api_unauthorized_total",
    ];
    moved.up(node, &before, &up).await;

    let before = render(node);
    // A frame of 100 bytes of which ten come.
    let handshake = format!(
        "GET /connection/websocket HTTP/1.1\r\nHost: it\r\nOrigin: {ORIGIN}\r\n\
         Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let mut stream = TcpStream::connect(node.public).await.unwrap();
    stream.write_all(handshake.as_bytes()).await.unwrap();
    stream.write_all(&[&[0x81, 0x80 | 100, 0, 0, 0, 0][..], &[b'x'; 10]].concat()).await.unwrap();
    moved.up(node, &before, &["sealcast_outbound_queue_bytes"]).await;
}

async fn be_full(moved: &mut Moved) {
    let options = json!({
        "limits": { "http_sockets": 1, "sse_connections": 7, "node_queue_bytes": 1_000_000 },
        "client": { "connection_limit": 70 },
    });
    let node = TestNode::with(options).await;
    let before = render(&node);
    let _first = TcpStream::connect(node.public).await.unwrap();
    eventually("taken", || node.number("sealcast_sockets") == 1.0).await;
    let _second = TcpStream::connect(node.public).await.unwrap();
    moved.up(&node, &before, &["sealcast_sockets_refused_total"]).await;
    for (name, value) in
        [("sealcast_connection_limit", 77.0), ("sealcast_outbound_queue_limit_bytes", 1e6)]
    {
        assert_eq!(node.number(name), value, "{name}");
        moved.note(name);
    }
}

async fn be_slow(moved: &mut Moved) {
    let node = TestNode::start().await;
    let deaf = crate::slow::reluctant(&node).await;
    let data = json!({ "channel": "room", "data": "x".repeat(50_000) });
    let name = "sealcast_outbound_queue_messages_max";
    let waiting = async {
        while node.number(name) < 2.0 {
            node.api("publish", &data).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("something waits");
    moved.note(name);
    let dropped = "sealcast_message_state_total{state=\"dropped\"}";
    drop(deaf);
    eventually("what waited is dropped", || node.number(dropped) >= 2.0).await;
}

async fn answer_pings(moved: &mut Moved) {
    let node = TestNode::with(json!({ "client": { "ping_interval": "1s" } })).await;
    let mut wire = Wire::connected(&node, "ada").await;
    let before = render(&node);
    assert_eq!(wire.hear().await, "{}");
    wire.say("{}").await;
    moved.up(&node, &before, &["sealcast_ping_rtt_seconds_count"]).await;
    let commands = node.number("sealcast_command_duration_seconds_count");
    assert_eq!(commands, 1.0, "a pong has no answer to wait for");
}

async fn modes(moved: &mut Moved) {
    let (fit, _) = sealcast::config::development(vec![("http_server.port", 0.into())])
        .unwrap_or_else(|_| panic!("fit"));
    let dev = Node::start(fit, Arc::new(|_| {})).await.unwrap_or_else(|error| panic!("{error}"));
    let text = dev.app().policy.relay.hub().metrics().render();
    assert_eq!(number(&text, "sealcast_insecure_mode"), 1.0);
    let lenient = TestNode::with(json!({ "compat": { "centrifugo": true } })).await;
    assert_eq!(lenient.number("sealcast_compat_mode"), 1.0);
    assert_eq!(lenient.number("sealcast_insecure_mode"), 0.0);
    let again = config(json!({ "compat": { "centrifugo": true } })).to_string();
    let (before, now) = (render(&lenient), crate::support::token::now() as f64);
    lenient.node.as_ref().unwrap().reload(sealcast::config::parse(&again)).expect("fit");
    moved.up(&lenient, &before, &["sealcast_config_reloads_total"]).await;
    let since = lenient.number("sealcast_config_last_reload_success_timestamp");
    assert!((now - 1.0..now + 60.0).contains(&since), "{since}");
    moved.note("sealcast_config_last_reload_success_timestamp");
    let version = format!("sealcast_build_info{{version=\"{}\"}}", sealcast::server::VERSION);
    assert_eq!(lenient.number(&version), 1.0);
    limits(moved).await;
    for name in ["sealcast_insecure_mode", "sealcast_compat_mode", "sealcast_build_info"] {
        moved.note(name);
    }
}

/// Every limit stands beside its use.
async fn limits(moved: &mut Moved) {
    let unlimited = TestNode::start().await;
    let mode = |name: &str| format!("sealcast_ratelimit_mode{{mode=\"{name}\"}}");
    assert_eq!([unlimited.number(&mode("off")), unlimited.number(&mode("local"))], [1.0, 0.0]);
    let strict = TestNode::with(json!({ "limits": { "profile": "strict" } })).await;
    assert_eq!([strict.number(&mode("off")), strict.number(&mode("local"))], [0.0, 1.0]);
    let Value::Object(strict_numbers) = config(json!({ "limits": { "profile": "strict" } })) else {
        panic!("an object")
    };
    let parsed = sealcast::config::parse(&Value::Object(strict_numbers).to_string());
    let numbers = parsed.unwrap_or_else(|faults| panic!("{faults:?}")).limits;
    for limit in sealcast::config::LIMITS {
        let selector = format!("sealcast_limit{{limit=\"{}\"}}", limit.name);
        assert_eq!(strict.number(&selector), limit.number(&numbers), "{selector}");
        let known = COUNTERS.iter().chain(GAUGES).any(|(name, _)| *name == limit.used);
        assert!(known, "{}: its use is {}", limit.name, limit.used);
    }
    let before = render(&strict);
    let mut wire = Wire::connected(&strict, "ada").await;
    let all = (2..=22).map(|id| format!(r#"{{"id":{id},"presence":{{"channel":"a"}}}}"#));
    wire.say(&all.collect::<Vec<_>>().join("\n")).await;
    moved.up(&strict, &before, &["sealcast_rate_limited_total{scope=\"connection\"}"]).await;
    assert_eq!(strict.number("sealcast_limit_burst{limit=\"conn_commands\"}"), 20.0);
    for name in ["sealcast_limit", "sealcast_limit_burst", "sealcast_ratelimit_mode"] {
        moved.note(name);
    }
}

async fn runtime(node: &TestNode, moved: &mut Moved) {
    let before = render(node);
    // The whole runtime, which has one thread here, is busy for a while, and for longer
    // than a loaded machine has held it up already.
    let already = Duration::from_secs_f64(number(&before, "sealcast_runtime_lag_seconds"));
    std::thread::sleep(already + Duration::from_millis(600));
    moved.up(node, &before, &["sealcast_runtime_lag_seconds", "process_cpu_seconds_total"]).await;
    assert!(node.number("sealcast_runtime_lag_seconds") >= 0.2);
    let now = crate::support::token::now() as f64;
    for (name, least, most) in [
        ("process_resident_memory_bytes", 1e6, 1e11),
        ("sealcast_allocated_bytes", 1e5, 1e11),
        ("sealcast_memory_limit_bytes", 1e7, 1e14),
        ("sealcast_cpu_limit_cores", 0.05, 1e4),
        ("process_threads", 2.0, 1e4),
        // Other tests of this process open and close theirs.
        ("process_open_fds", 5.0, 1e6),
        ("process_max_fds", 100.0, 1e9),
        ("process_start_time_seconds", now - 86_400.0, now + 2.0),
    ] {
        let value = node.number(name);
        assert!((least..=most).contains(&value), "{name} {value}");
        moved.note(name);
    }
}
