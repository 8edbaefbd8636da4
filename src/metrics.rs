//! Every number the node exports, in one documented list.
//!
//! A node owns its recorder, so several nodes in one process keep their numbers
//! apart. Handles are made once; moving one is an atomic addition. No label ever
//! holds a user, a channel, an address or a token.

use std::sync::Arc;

use metrics::{Counter, Gauge, Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

mod attempt;
mod auth;
mod calls;
mod connections;
mod histogram;
mod limits;
mod machine;
mod process;
mod redis;
mod shedding;
mod state;
mod text;
mod work;

pub use attempt::Attempt;
pub use histogram::{HISTOGRAMS, Histogram, Histograms, Labelled, REDIS_OPS};
pub use machine::Machine;
pub use process::{most_descriptors, open_descriptors, resident_memory};
pub use shedding::Shedding;
pub use state::{Shaped, States};
pub use work::Work;

/// Commands by name, the fixed values of the label `method`.
const METHODS: [&str; 13] = [
    "pong",
    "connect",
    "subscribe",
    "unsubscribe",
    "publish",
    "presence",
    "presence_stats",
    "history",
    "send",
    "rpc",
    "refresh",
    "sub_refresh",
    "ping",
];

/// The handles of one node. See [`Metrics::describe`] for what each means.
pub struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    /// Connections that have not yet authenticated.
    pub connections_waiting: Gauge,
    /// Sockets that were accepted and have not ended, whatever they speak.
    pub sockets: Gauge,
    /// Sockets turned away at the door because too many are open.
    pub sockets_refused: Counter,
    /// Handshakes refused by the Origin rule.
    pub origin_rejected: Counter,
    /// Publications taken in, from clients and from the server API.
    pub messages_in: Counter,
    /// Recoveries that were served from the node's tail of the channel.
    pub recoveries_from_tail: Counter,
    /// Publications put on clients' queues.
    pub messages_out: Counter,
    /// Bytes read from clients.
    pub bytes_in: Counter,
    /// Bytes written to clients.
    pub bytes_out: Counter,
    /// Writes to clients.
    pub writes: Counter,
    /// Bytes held for clients that do not read as fast as they are sent to,
    /// and for frames that have not arrived whole.
    pub held_bytes: Gauge,
    /// How many messages waited for the connection that had most.
    pub queue_messages_max: Gauge,
    /// How far publications got.
    pub states: States,
    /// What was given up because the node was full.
    pub shedding: Shedding,
    /// Lengths of time.
    pub histograms: Histograms,
    /// How late the runtime lately was, seconds.
    pub runtime_lag: Gauge,
    /// Panics that ended a connection.
    pub panics: Counter,
    /// Server API calls refused for their key.
    pub api_unauthorized: Counter,
    commands: Vec<Counter>,
    api_calls: calls::Calls,
    rate_limits: limits::RateLimits,
}

impl Metrics {
    /// Makes the recorder, registers every number and exports the build.
    #[must_use]
    pub fn new(version: &'static str) -> Arc<Metrics> {
        let recorder = PrometheusBuilder::new().build_recorder();
        let counter =
            |name: &'static str, labels: Vec<Label>| register_counter(&recorder, name, labels);
        let gauge = |name: &'static str, labels: Vec<Label>| {
            recorder.register_gauge(&Key::from_parts(name, labels), &METADATA)
        };
        let metrics = Metrics {
            handle: recorder.handle(),
            connections_waiting: gauge("sealcast_connections_waiting", vec![]),
            sockets: gauge("sealcast_sockets", vec![]),
            sockets_refused: counter("sealcast_sockets_refused_total", vec![]),
            origin_rejected: counter("sealcast_origin_rejected_total", vec![]),
            messages_in: counter("sealcast_messages_total", vec![Label::new("dir", "in")]),
            recoveries_from_tail: counter("sealcast_recover_from_tail_total", vec![]),
            messages_out: counter("sealcast_messages_total", vec![Label::new("dir", "out")]),
            bytes_in: counter("sealcast_bytes_total", vec![Label::new("dir", "in")]),
            bytes_out: counter("sealcast_bytes_total", vec![Label::new("dir", "out")]),
            writes: counter("sealcast_writes_total", vec![]),
            held_bytes: gauge("sealcast_outbound_queue_bytes", vec![]),
            queue_messages_max: gauge("sealcast_outbound_queue_messages_max", vec![]),
            states: States::new(counter),
            shedding: Shedding::new(counter, gauge),
            histograms: Histograms::new(),
            runtime_lag: gauge("sealcast_runtime_lag_seconds", vec![]),
            panics: counter("sealcast_panics_total", vec![]),
            api_unauthorized: counter("sealcast_api_unauthorized_total", vec![]),
            commands: METHODS
                .iter()
                .map(|method| {
                    counter("sealcast_commands_total", vec![Label::new("method", *method)])
                })
                .collect(),
            api_calls: calls::Calls::default(),
            rate_limits: limits::RateLimits::default(),
            recorder,
        };
        metrics.describe();
        // The others are exported from their first connection on.
        metrics.connections("websocket").set(0.0);
        for (_, result) in Attempt::ALL {
            metrics.attempts("websocket", result).absolute(0);
        }
        metrics
            .recorder
            .register_gauge(
                &Key::from_parts("sealcast_build_info", vec![Label::new("version", version)]),
                &METADATA,
            )
            .set(1.0);
        Arc::new(metrics)
    }

    /// Counts one command by its method.
    pub fn command(&self, method: &str) {
        if let Some(at) = METHODS.iter().position(|known| *known == method)
            && let Some(counter) = self.commands.get(at)
        {
            counter.increment(1);
        }
    }

    /// Counts an error reply.
    pub fn command_error(&self, method: &'static str, code: u32) {
        self.count(
            "sealcast_command_errors_total",
            vec![Label::new("method", method), Label::new("code", code.to_string())],
        );
    }

    /// Counts a recovery, and whether it brought everything back.
    pub fn recovery(&self, recovered: bool) {
        let recovered = if recovered { "yes" } else { "no" };
        self.count("sealcast_recover_total", vec![Label::new("recovered", recovered)]);
    }

    /// Counts a message between nodes that was not taken; `reason` is one of a
    /// fixed few.
    pub fn disbelieved(&self, reason: &'static str) {
        self.count("sealcast_control_refused_total", vec![Label::new("reason", reason)]);
    }

    /// Counts a refused permission.
    pub fn permission_denied(&self, action: &'static str) {
        self.count("sealcast_permission_denied_total", vec![Label::new("action", action)]);
    }

    /// Counts the end of a connection by its code; codes that are not the
    /// protocol's own, which a backend may choose, count together.
    pub fn disconnect(&self, code: u16) {
        let code = match code {
            1000..=1015 | 3000..=3014 | 3500..=3509 => code.to_string(),
            _ => "other".to_owned(),
        };
        self.count("sealcast_disconnects_total", vec![Label::new("code", code)]);
    }

    /// Counts bytes that break the protocol; `kind` is one of a fixed few.
    pub fn violation(&self, kind: &'static str) {
        self.count("sealcast_protocol_violations_total", vec![Label::new("kind", kind)]);
    }

    /// Says whether the node runs in a mode that must never face the internet.
    pub fn insecure_mode(&self, on: bool) {
        self.gauge("sealcast_insecure_mode", f64::from(u8::from(on)));
    }

    /// Says whether the node takes what Centrifugo takes and it should not.
    pub fn compat_mode(&self, on: bool) {
        self.gauge("sealcast_compat_mode", f64::from(u8::from(on)));
    }

    /// Counts a reload of the configuration.
    pub fn config_reload(&self, done: bool) {
        let result = if done { "success" } else { "failure" };
        self.count("sealcast_config_reloads_total", vec![Label::new("result", result)]);
    }

    /// Says since when the configuration in force is in force, Unix seconds.
    pub fn config_in_force(&self, since: u64) {
        self.gauge("sealcast_config_last_reload_success_timestamp", since as f64);
    }

    /// The numbers of a kind of expensive work, which is one of a fixed few.
    #[must_use]
    pub fn work(&self, work: &'static str, most: usize) -> Work {
        let counter = |name, labels| register_counter(&self.recorder, name, labels);
        let gauge =
            |name, labels| self.recorder.register_gauge(&Key::from_parts(name, labels), &METADATA);
        Work::new(work, most, counter, gauge)
    }

    /// All numbers in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        process::sample(&self.recorder);
        self.handle.run_upkeep();
        let mut text = self.handle.render();
        self.histograms.render(&mut text);
        process::cpu_seconds(&mut text);
        text::name_the_others(&mut text);
        text
    }

    fn gauge(&self, name: &'static str, value: f64) {
        self.recorder.register_gauge(&Key::from_static_name(name), &METADATA).set(value);
    }

    fn count(&self, name: &'static str, labels: Vec<Label>) {
        register_counter(&self.recorder, name, labels).increment(1);
    }

    fn describe(&self) {
        for (name, meaning) in COUNTERS {
            self.recorder.describe_counter((*name).into(), None, (*meaning).into());
        }
        for (name, meaning) in GAUGES {
            self.recorder.describe_gauge((*name).into(), None, (*meaning).into());
        }
    }
}

/// Every counter and its meaning.
pub const COUNTERS: &[(&str, &str)] = &[
    ("sealcast_sockets_refused_total", "Sockets turned away because too many are open"),
    ("sealcast_origin_rejected_total", "Requests refused by the Origin rule"),
    ("sealcast_messages_total", "Publications taken in and put on clients' queues, by direction"),
    ("sealcast_bytes_total", "Bytes read from and written to clients, by direction"),
    ("sealcast_writes_total", "Write calls to clients"),
    ("sealcast_panics_total", "Panics that ended a connection"),
    ("sealcast_api_unauthorized_total", "Server API calls refused for their key"),
    (
        "sealcast_api_calls_total",
        "Server API calls, also those within a batch, by the name of the key, method and result",
    ),
    ("sealcast_commands_total", "Client commands, by method"),
    ("sealcast_command_errors_total", "Error replies to client commands, by method and code"),
    ("sealcast_connect_attempts_total", "Attempts to connect, by transport and how they ended"),
    (
        "sealcast_disconnects_total",
        "Ended connections, by disconnect code; 3000 is the client's own wish",
    ),
    ("sealcast_auth_total", "Verifications of tokens, and uses of tickets, by result and reason"),
    ("sealcast_recover_total", "Recoveries that were asked for, by whether they succeeded"),
    (
        "sealcast_recover_from_tail_total",
        "Recoveries for which the broker was not asked: served from the node's own tail, or by what was read for others",
    ),
    (
        "sealcast_config_reloads_total",
        "Reloads of the configuration that were asked for, by result",
    ),
    ("sealcast_control_refused_total", "Messages between nodes that were not taken, by reason"),
    ("sealcast_rate_limited_total", "What limits on rates and on addresses refused, by scope"),
    ("sealcast_permission_denied_total", "Refused permissions, by action"),
    ("sealcast_protocol_violations_total", "Input that breaks the protocol, by kind"),
    ("sealcast_redis_errors_total", "Trips to Redis and records from it that failed, by kind"),
    ("sealcast_pubsub_reconnects_total", "Connections for publications from Redis that were lost"),
    ("sealcast_pubsub_dropped_total", "Records that came faster than they could be taken"),
    ("sealcast_gaps_total", "Channels that were told they may have missed something"),
    ("sealcast_epoch_changes_total", "Streams that this node made or began anew, by cause"),
    ("sealcast_gap_repairs_total", "Positioned channels looked at after a gap, by how it ended"),
    (work::REFUSED, "Expensive work that had no turn in time, by kind"),
    (shedding::NAME, "What was given up because the node was full, by what"),
    (state::NAME, "Publications, by how far they got on this node"),
    (state::SHAPED, "Messages of shaped channels, by mode and what became of them"),
    (process::CPU_SECONDS, "CPU time of the process, user and system"),
];

/// Every gauge and its meaning.
pub const GAUGES: &[(&str, &str)] = &[
    ("sealcast_connections", "Connections that stand, by transport"),
    ("sealcast_connections_waiting", "Connections that have not authenticated yet"),
    ("sealcast_connection_limit", "The caps on connections: WebSockets, and streams under sse"),
    ("sealcast_sockets", "Accepted sockets that have not ended"),
    ("sealcast_outbound_queue_bytes", "Bytes held for slow clients and unfinished frames"),
    ("sealcast_outbound_queue_limit_bytes", "The bound on sealcast_outbound_queue_bytes"),
    (
        "sealcast_outbound_queue_messages_max",
        "Messages for the one slow client that most waited for, within the last 15 s",
    ),
    ("sealcast_runtime_lag_seconds", "How late a timer was at most within the last 15 s"),
    (
        shedding::STAGE,
        "What the node gives up: 0 nothing, 1 newcomers, 2 what passes, 3 the largest",
    ),
    (work::RUNNING, "Expensive work under way, by kind"),
    (work::LIMIT, "How much of each kind of expensive work may be under way"),
    ("sealcast_tasks", "Tasks of the runtime that have not ended"),
    ("sealcast_allocated_bytes", "Bytes that are allocated, without what the allocator keeps"),
    ("sealcast_redis_up", "1 while the link to Redis stands; only of nodes that use one"),
    ("sealcast_redis_breaker_state", "1 while calls to Redis are refused at once"),
    (
        "sealcast_clock_skew_seconds",
        "How far this node's clock is ahead of Redis', or behind if negative; of several the worst",
    ),
    ("sealcast_limit", "Each limit: a number, bytes, seconds, or of a rate how many in a second"),
    ("sealcast_limit_burst", "How many of a rate may come at once"),
    (
        "sealcast_ratelimit_mode",
        "1 for the mode in force: cluster, local, or off with the profile none",
    ),
    (
        "sealcast_limits_local_share",
        "1 while Redis is away and each node keeps its share of limits; only of nodes that use one",
    ),
    (
        "sealcast_limit_overrides",
        "Limits set by an operator for one user, tenant, client, address or key, and in force",
    ),
    ("sealcast_insecure_mode", "1 in a mode that must never face the internet"),
    ("sealcast_compat_mode", "1 if compat.centrifugo is on"),
    (
        "sealcast_config_last_reload_success_timestamp",
        "When the configuration in force was loaded, Unix seconds",
    ),
    (
        "sealcast_memory_limit_bytes",
        "Memory that the process may use: of its control group, or else of the machine",
    ),
    (
        "sealcast_cpu_limit_cores",
        "Cores that the process may use: of its control group, or else of the machine",
    ),
    ("sealcast_build_info", "Always 1; the version is a label"),
    ("process_resident_memory_bytes", "Resident memory of the process"),
    ("process_open_fds", "Open file descriptors of the process"),
    ("process_max_fds", "The process' limit of file descriptors"),
    ("process_threads", "Threads of the process"),
    ("process_start_time_seconds", "When the process began, seconds since 1970"),
];

/// The labels of those that have any.
pub const LABELS: &[(&str, &[&str])] = &[
    ("sealcast_messages_total", &["dir"]),
    ("sealcast_bytes_total", &["dir"]),
    ("sealcast_api_calls_total", &["key", "method", "result"]),
    ("sealcast_commands_total", &["method"]),
    ("sealcast_command_errors_total", &["method", "code"]),
    ("sealcast_connect_attempts_total", &["transport", "result"]),
    ("sealcast_disconnects_total", &["code"]),
    ("sealcast_auth_total", &["method", "result", "reason"]),
    ("sealcast_recover_total", &["recovered"]),
    ("sealcast_permission_denied_total", &["action"]),
    ("sealcast_config_reloads_total", &["result"]),
    ("sealcast_control_refused_total", &["reason"]),
    ("sealcast_rate_limited_total", &["scope"]),
    ("sealcast_limit", &["limit"]),
    ("sealcast_limit_burst", &["limit"]),
    ("sealcast_ratelimit_mode", &["mode"]),
    ("sealcast_redis_errors_total", &["kind"]),
    ("sealcast_epoch_changes_total", &["cause"]),
    ("sealcast_gap_repairs_total", &["result"]),
    ("sealcast_protocol_violations_total", &["kind"]),
    ("sealcast_command_duration_seconds", &["method"]),
    ("sealcast_redis_op_seconds", &["op"]),
    (work::RUNNING, &["work"]),
    (work::LIMIT, &["work"]),
    (work::REFUSED, &["work"]),
    (shedding::NAME, &["what"]),
    (state::NAME, &["state"]),
    (state::SHAPED, &["mode", "step"]),
    ("sealcast_connections", &["transport"]),
    ("sealcast_connection_limit", &["transport"]),
    ("sealcast_build_info", &["version"]),
];

static METADATA: Metadata<'static> = Metadata::new("sealcast", Level::INFO, None);

fn register_counter(
    recorder: &PrometheusRecorder,
    name: &'static str,
    labels: Vec<Label>,
) -> Counter {
    recorder.register_counter(&Key::from_parts(name, labels), &METADATA)
}

#[cfg(test)]
mod tests;
