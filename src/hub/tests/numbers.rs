//! What may be held for one connection, in both profiles and over every transport: at
//! each number it goes on, and one past it ends.

use super::*;

const FORMATS: [Format; 8] = [
    Format::websocket(Encoding::Json),
    Format::websocket(Encoding::Protobuf),
    Format::unidirectional(Framing::Frames),
    Format::emulated(Framing::Lines, Encoding::Json),
    Format::emulated(Framing::Lines, Encoding::Protobuf),
    Format::unidirectional(Framing::Lines),
    Format::emulated(Framing::Events, Encoding::Json),
    Format::unidirectional(Framing::Events),
];

/// What a message of so many bytes in all is to a queue.
fn message(bytes: usize) -> Bytes {
    Bytes::from(vec![b'x'; bytes])
}

/// What is held, and one more of it.
type Row = (&'static str, fn(&Connection, &Hub, &Limits), fn(&Connection, &Hub));

const ROWS: [Row; 4] = [
    (
        "queue_messages",
        |one, hub, limits| {
            let small = message(100);
            for _ in 0..limits.queue_messages {
                one.push(hub, small.clone(), 1);
            }
        },
        |one, hub| {
            one.push(hub, message(1), 1);
        },
    ),
    (
        "queue_bytes",
        |one, hub, limits| {
            let large = message(1 << 12);
            for _ in 1..limits.queue_bytes >> 12 {
                one.push(hub, large.clone(), 1);
            }
            one.push(hub, message((1 << 12) - 100), 1);
            one.push(hub, message(100), 1);
        },
        |one, hub| {
            one.push(hub, message(1), 1);
        },
    ),
    (
        "conn_memory_max, commands under way",
        |one, hub, limits| one.set_running(hub, limits.conn_memory),
        |one, hub| one.set_running(hub, one.memory() + 1),
    ),
    (
        "conn_memory_max, input and what waits",
        |one, hub, limits| {
            one.push(hub, message(1_000), 1);
            let rest = limits.conn_memory - one.memory();
            one.set_partial(hub, rest - 1_000, true, Millis::NEVER);
            one.set_running(hub, 1_000);
        },
        |one, hub| one.set_running(hub, 1_001),
    ),
];

#[test]
fn what_is_held_at_each_number_and_one_past_it() {
    for profile in [Profile::Strict, Profile::Standard] {
        let limits = profile.limits();
        for format in FORMATS {
            for (what, hold, one_more) in ROWS {
                let hub = Hub::new(1, &limits, Clock::start(), Metrics::new("test"));
                let one = Connection::scripted(format, Script::with_room(0));
                hold(&one, &hub, &limits);
                assert!(one.is_open(), "{what}, {profile} {format:?}: at its number");
                one_more(&one, &hub);
                assert!(!one.is_open(), "{what}, {profile} {format:?}: one past it");
            }
        }
    }
}

/// What all connections hold together: each half of what it may, until nothing is left.
#[test]
fn what_a_node_holds_at_its_number_and_one_past_it() {
    for profile in [Profile::Strict, Profile::Standard] {
        let limits = profile.limits();
        let half = limits.queue_bytes / 2;
        let hub = Hub::new(1, &limits, Clock::start(), Metrics::new("test"));
        let one = || Connection::scripted(FORMATS[0], Script::with_room(0));
        let slow: Vec<_> = (0..limits.node_queue_bytes / half).map(|_| one()).collect();
        let large = message(half);
        for connection in &slow {
            connection.push(&hub, large.clone(), 1);
            connection.flush(&hub);
        }
        assert_eq!(hub.budget().held(), limits.node_queue_bytes, "{profile}");
        assert!(slow.iter().all(|one| one.is_open()), "{profile}: at its number");
        slow[0].push(&hub, message(1), 1);
        assert!(slow[0].is_open(), "{profile}: what is over is seen at the next");
        slow[0].push(&hub, message(1), 1);
        assert!(!slow[0].is_open(), "{profile}: one past it");
        assert!(slow[1..].iter().all(|one| one.is_open()), "{profile}: the others stay");
    }
}
