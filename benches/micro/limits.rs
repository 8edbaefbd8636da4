//! What a command costs before anything is done for it.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use criterion::Criterion;
use sealcast::limit::{
    Bucket, Limits, Nanos, Override, Profile, Rate, SharedBucket, Subject, Terms, Usage,
};
use uuid::Uuid;

/// Between two checks on the clock of a bench: nothing is ever refused.
const APART: Nanos = 1_000_000_000;
/// Users that publish in turn.
const USERS: usize = 10_000;

pub(crate) fn bench(criterion: &mut Criterion) {
    let limits = Profile::Standard.limits();
    let rate = limits.conn_commands;
    let mut now = 0;
    let mut tick = move || {
        now += APART;
        now
    };

    let mut bucket = Bucket::default();
    criterion.bench_function("limit: one bucket", |bencher| {
        bencher.iter(|| bucket.take(black_box(&rate), 1, tick()));
    });
    let shared = SharedBucket::default();
    criterion.bench_function("limit: one shared bucket", |bencher| {
        bencher.iter(|| shared.take(black_box(&limits.node_commands), 1, tick()));
    });
    criterion.bench_function("limit: refused", |bencher| {
        let mut bucket = Bucket::default();
        let rate = Rate::of(1, Duration::from_secs(3_600), 1);
        let _ = bucket.take(&rate, 1, 0);
        bencher.iter(|| bucket.take(black_box(&rate), 1, 1).is_err());
    });

    let usage = Usage::new();
    let users: Vec<String> = (0..USERS).map(|at| format!("user-{at}")).collect();
    let mut at = 0;
    criterion.bench_function("limit: a user of 10,000", |bencher| {
        bencher.iter(|| {
            at = (at + 1) % USERS;
            usage.message(users[at].as_str(), &limits, tick())
        });
    });
    // To be less than 100 ns: all that a node checks for a publish before it goes on.
    let mut own = Own::default();
    criterion.bench_function("limit: local check of one publish", |bencher| {
        bencher.iter(|| {
            at = (at + 1) % USERS;
            own.publish(&usage, &users[at], &limits, tick())
        });
    });
    let other = Usage::new();
    let set = |at: usize| {
        let terms = Terms { rate: Some(Rate::each_second(100, 100)), ..Terms::default() };
        let subject = Subject::User(format!("user-{at}"));
        let (reason, by) = (String::new(), String::new());
        (Override { subject, terms, reason, by }, Nanos::MAX)
    };
    other.overrides().replace((0..1_000).map(set));
    let mut own = Own::default();
    criterion.bench_function("limit: the same, 1,000 overrides", |bencher| {
        bencher.iter(|| {
            at = (at + 1) % USERS;
            own.publish(&other, &users[at], &limits, tick())
        });
    });
    let mut address = 0_u32;
    let many = Limits { ip_connections: usize::MAX, ..limits.clone() };
    criterion.bench_function("limit: a new connection", |bencher| {
        bencher.iter(|| {
            address = address.wrapping_add(1) % 10_000;
            usage.connect(IpAddr::V4(Ipv4Addr::from_bits(address)), &many, tick()).map(drop)
        });
    });
}

/// What a connection has used, as its session counts it: bytes and commands of its own,
/// then messages of its user, then commands of the node; and before them what an
/// operator may have set for it.
#[derive(Default)]
struct Own {
    id: Uuid,
    bytes: Bucket,
    commands: Bucket,
}

impl Own {
    fn publish(&mut self, usage: &Usage, user: &str, limits: &Limits, now: Nanos) -> bool {
        let terms = usage.overrides().client(self.id, now);
        let commands = terms.and_then(|terms| terms.rate).unwrap_or(limits.conn_commands);
        self.bytes.take(&limits.conn_bytes, 100, now).is_ok()
            && self.commands.take(&commands, 1, now).is_ok()
            && usage.message(user, limits, now).is_ok()
            && usage.command(limits, now).is_ok()
    }
}
