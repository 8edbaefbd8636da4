//! The hub's promises, over sockets that take what the test lets them take.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Waker};

use bytes::Bytes;
use parking_lot::Mutex;
use sealcast_wire::ws::{self, Incoming, Opcode, Receiver, Role};
use sealcast_wire::{Channel, Disconnect, Encoding, Publication, User};

use super::*;
use crate::limit::{Profile, QueueCap};

mod company;
mod memory;
mod numbers;
mod positions;
mod registry;

/// A socket that takes `room` bytes, and then no more.
#[derive(Clone, Default)]
pub(crate) struct Script(Arc<Mutex<Socket>>);

#[derive(Default)]
struct Socket {
    room: usize,
    taken: Vec<u8>,
    writes: usize,
    broken: bool,
}

impl Script {
    pub(crate) fn with_room(room: usize) -> Script {
        let script = Script::default();
        script.0.lock().room = room;
        script
    }

    pub(crate) fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut socket = self.0.lock();
        socket.writes += 1;
        if socket.broken {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let all: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
        let count = all.len().min(socket.room);
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        socket.room -= count;
        socket.taken.extend_from_slice(&all[..count]);
        Ok(count)
    }

    fn make_room(&self, room: usize) {
        self.0.lock().room += room;
    }

    fn writes(&self) -> usize {
        self.0.lock().writes
    }

    pub(crate) fn taken(&self) -> Vec<u8> {
        self.0.lock().taken.clone()
    }

    /// Texts of the messages that came, and the code of a close frame.
    pub(crate) fn read(&self) -> (Vec<String>, Option<u16>) {
        let mut bytes = self.0.lock().taken.clone();
        let (mut texts, mut code) = (Vec::new(), None);
        let limits = ws::Limits { message: 1 << 24, fragments: 1 };
        Receiver::new(Role::Client, limits)
            .feed(&mut bytes, |incoming| {
                match incoming {
                    Incoming::Text(text) => texts.push(text.to_owned()),
                    Incoming::Close(told, _) => code = told,
                    _ => {}
                }
                std::ops::ControlFlow::Continue(())
            })
            .expect("whole frames");
        (texts, code)
    }
}

const ALL: usize = usize::MAX / 2;

fn hub_with(change: impl FnOnce(&mut Limits)) -> Arc<Hub> {
    let mut limits = Profile::Standard.limits();
    change(&mut limits);
    Hub::new(1, &limits, Clock::start(), Metrics::new("test"))
}

fn hub() -> Arc<Hub> {
    hub_with(|_| {})
}

fn connection(room: usize) -> (Arc<Connection>, Script) {
    let script = Script::with_room(room);
    (Connection::scripted(Encoding::Json, script.clone()), script)
}

fn text(text: &str) -> Bytes {
    let mut frame = Vec::new();
    ws::put_frame(&mut frame, Opcode::Text, text.as_bytes());
    frame.into()
}

fn channel() -> Channel {
    Channel::parse("room").unwrap()
}

fn batch(range: std::ops::Range<u32>) -> Content {
    content(range.map(|n| Publication { data: n.to_string().into(), ..Publication::default() }))
}

fn content(publications: impl IntoIterator<Item = Publication>) -> Content {
    let mut all = publications.into_iter().map(|publication| Item {
        epoch: (publication.offset > 0).then(|| Arc::from("epoch")),
        publication: Arc::new(publication),
        delta: true,
        passing: false,
    });
    let mut batch = Batch::of(all.next().expect("one at least"));
    all.for_each(|next| batch.add(next));
    Content::Publications(Box::new(batch))
}

/// Joins and goes live with the reply `joined`.
fn subscribe(hub: &Hub, connection: &Arc<Connection>) -> Slot {
    hub.open(0, &channel());
    let slot = hub.join(0, &channel(), connection, Wants::default()).expect("open");
    assert!(hub.go_live(0, &channel(), slot, None, Some(text("joined"))));
    connection.flush(hub);
    slot
}

fn deliver(hub: &Hub, fan_out: &mut FanOut, budget: usize) -> bool {
    let mut dirty = Vec::new();
    let advance = hub.advance(0, fan_out, budget, &mut dirty);
    dirty.iter().for_each(|connection| connection.flush(hub));
    advance.done
}

fn payloads(script: &Script) -> Vec<String> {
    let texts = script.read().0;
    texts
        .iter()
        .filter_map(|text| Some(text.split_once(r#""data":"#)?.1.trim_end_matches('}').to_owned()))
        .collect()
}

#[test]
fn a_tick_is_one_write_for_each_connection() {
    let hub = hub();
    let (one, script) = connection(ALL);
    subscribe(&hub, &one);
    one.flush(&hub);
    assert_eq!(script.writes(), 1);
    let mut fan_out = hub.begin(0, channel(), batch(0..32)).unwrap();
    let mut dirty = Vec::new();
    let advance = hub.advance(0, &mut fan_out, 100, &mut dirty);
    assert_eq!((advance.served, advance.done), (1, true));
    one.push(&hub, text("reply"), 1);
    assert_eq!(dirty.len(), 1, "noted once");
    dirty[0].flush(&hub);
    assert_eq!(script.writes(), 2, "32 publications and a reply in one write");
    assert_eq!(script.read().0.len(), 34);
    one.flush(&hub);
    assert_eq!(script.writes(), 2, "nothing waits, nothing is written");
}

#[test]
fn the_reply_comes_first_and_nothing_before_it() {
    let hub = hub();
    let (early, early_script) = connection(ALL);
    subscribe(&hub, &early);
    let (late, late_script) = connection(ALL);
    let slot = hub.join(0, &channel(), &late, Wants::default()).expect("open");
    let mut before = hub.begin(0, channel(), batch(0..1)).unwrap();
    assert!(deliver(&hub, &mut before, 100));
    assert!(hub.go_live(0, &channel(), slot, None, Some(text("joined"))));
    late.flush(&hub);
    let mut after = hub.begin(0, channel(), batch(1..2)).unwrap();
    assert!(deliver(&hub, &mut after, 100));
    assert_eq!(late_script.read().0[0], "joined");
    assert_eq!(payloads(&late_script), ["1"]);
    assert_eq!(payloads(&early_script), ["0", "1"]);
}

#[test]
fn a_delivery_that_stops_and_goes_on_skips_nobody_and_repeats_nobody() {
    let hub = hub();
    let mut all: Vec<_> = (0..10)
        .map(|_| {
            let (connection, script) = connection(ALL);
            (subscribe(&hub, &connection), connection, script)
        })
        .collect();
    let mut fan_out = hub.begin(0, channel(), batch(7..8)).unwrap();
    assert!(!deliver(&hub, &mut fan_out, 4));
    // One that was served leaves and comes back into a free place behind the
    // cursor, one that was not served leaves, and one comes anew.
    hub.leave(0, &channel(), all[0].0);
    hub.leave(0, &channel(), all[8].0);
    all[0].0 = subscribe(&hub, &all[0].1);
    let (newcomer, newcomer_script) = connection(ALL);
    subscribe(&hub, &newcomer);
    while !deliver(&hub, &mut fan_out, 3) {}
    for (n, (_, connection, script)) in all.iter().enumerate() {
        connection.flush(&hub);
        let expected: &[&str] = if n == 8 { &[] } else { &["7"] };
        assert_eq!(payloads(script), expected, "subscriber {n}");
    }
    assert!(payloads(&newcomer_script).is_empty(), "it came after the delivery began");
}

#[test]
fn who_blocks_is_written_to_by_its_own_task_only() {
    let hub = hub();
    let (one, script) = connection(3);
    one.push(&hub, text("first"), 1);
    one.flush(&hub);
    let writes = script.writes();
    script.make_room(ALL);
    one.push(&hub, text("second"), 1);
    one.flush(&hub);
    assert_eq!(script.writes(), writes, "blocked: nobody else writes");
    assert!(hub.budget().held() > 0);
    let status = one.poll_status(&Context::from_waker(Waker::noop())).expect("alive");
    assert!(status.blocked);
    one.unblock(&hub);
    assert_eq!(script.read().0, ["first", "second"]);
    assert_eq!(hub.budget().held(), 0);
}

#[test]
fn a_queue_holds_its_limit_and_one_more_ends_it_with_3008() {
    let hub = hub_with(|limits| limits.queue_messages = 1_000);
    let (one, script) = connection(2);
    for _ in 0..1_000 {
        one.push(&hub, text("x"), 1);
        one.flush(&hub);
    }
    assert!(one.is_open(), "1,000 are held");
    one.push(&hub, text("x"), 1);
    assert!(!one.is_open());
    script.make_room(ALL);
    one.unblock(&hub);
    let (texts, code) = script.read();
    assert_eq!(code, Some(Disconnect::SLOW.code));
    assert_eq!(texts, ["x"], "only the frame that was half out is finished");
    assert_eq!(one.finish(&hub), Disconnect::SLOW.code);
    assert_eq!(hub.budget().held(), 0);
}

#[test]
fn one_connection_may_have_a_cap_of_its_own() {
    let hub = hub_with(|limits| limits.queue_messages = 10);
    let ((fewer, _a), (more, _b)) = (connection(2), connection(2));
    fewer.set_queue_cap(QueueCap { messages: Some(3), bytes: None });
    more.set_queue_cap(QueueCap { messages: Some(12), bytes: None });
    for (connection, most) in [(&fewer, 3), (&more, 12)] {
        for _ in 0..most {
            connection.push(&hub, text("x"), 1);
            connection.flush(&hub);
        }
        assert!(connection.is_open(), "{most} are held");
        connection.push(&hub, text("x"), 1);
        assert!(!connection.is_open());
    }
}

#[test]
fn the_bytes_of_a_queue_are_bounded_too() {
    let hub = hub_with(|limits| limits.queue_bytes = 10_000);
    let (one, _script) = connection(1);
    let frame = text(&"x".repeat(996));
    assert_eq!(frame.len(), 1_000);
    one.push(&hub, text(""), 1);
    one.flush(&hub);
    // One byte of the two-byte frame is still there.
    for _ in 0..9 {
        one.push(&hub, frame.clone(), 1);
    }
    one.push(&hub, frame.slice(..999), 1);
    assert!(one.is_open(), "10,000 bytes are held");
    one.push(&hub, text(""), 1);
    assert!(!one.is_open());
}

#[test]
fn over_the_budget_of_the_node_the_largest_queue_goes() {
    let hub = hub_with(|limits| limits.node_queue_bytes = 20_000);
    let ((large, _a), (small, _b)) = (connection(1), connection(1));
    for (connection, count) in [(&large, 18), (&small, 1)] {
        for _ in 0..count {
            connection.push(&hub, text(&"x".repeat(996)), 1);
            connection.flush(&hub);
        }
    }
    small.push(&hub, text(&"x".repeat(996)), 1);
    small.push(&hub, text("x"), 1);
    assert!(small.is_open() && large.is_open(), "the budget is just used up");
    large.push(&hub, text("x"), 1);
    small.push(&hub, text("x"), 1);
    assert!(small.is_open());
    assert!(!large.is_open());
}

#[test]
fn deadlines_end_connections_with_their_codes() {
    for (which, code) in [
        (Deadline::Connect, Disconnect::STALE),
        (Deadline::Expiry, Disconnect::EXPIRED),
        (Deadline::Pong, Disconnect::NO_PONG),
        (Deadline::Message, Disconnect::POLICY),
    ] {
        let hub = hub();
        let (one, script) = connection(ALL);
        let _registration = Registration::new(&hub, Arc::clone(&one));
        one.set_deadline(which, Millis(1_000));
        hub.sweep(Millis(999));
        assert!(one.is_open(), "{which:?}");
        hub.sweep(Millis(1_000));
        assert_eq!(script.read().1, Some(code.code), "{which:?}");
        assert_eq!(one.finish(&hub), code.code);
    }
}

#[test]
fn pings_are_sent_and_must_be_answered() {
    let hub = hub();
    let (one, script) = connection(ALL);
    let _registration = Registration::new(&hub, Arc::clone(&one));
    one.set_deadline(Deadline::Ping, Millis(1_000));
    hub.sweep(Millis(1_000));
    assert_eq!(script.read().0, ["{}"]);
    assert!(!one.pong(&hub, Pings::Frames, Millis(1_700)), "the other kind is no answer");
    assert!(one.pong(&hub, Pings::Replies, Millis(1_700)));
    assert!(!one.pong(&hub, Pings::Replies, Millis(1_700)), "one pong for each ping");
    let measured = hub.metrics().render();
    assert!(measured.contains("sealcast_ping_rtt_seconds_sum 0.7\n"), "{measured}");
    assert!(measured.contains("sealcast_ping_rtt_seconds_count 1\n"), "{measured}");
    hub.sweep(Millis(20_000));
    assert!(one.is_open());
    hub.sweep(Millis(26_000));
    assert_eq!(script.read().0, ["{}", "{}"]);
    hub.sweep(Millis(34_000));
    assert_eq!(script.read().1, Some(Disconnect::NO_PONG.code));
}

#[test]
fn pings_can_be_frames() {
    let hub = hub();
    let script = Script::with_room(ALL);
    let one = Connection::scripted_with(Encoding::Json, Pings::Frames, script.clone());
    let _registration = Registration::new(&hub, Arc::clone(&one));
    one.set_deadline(Deadline::Ping, Millis(1_000));
    hub.sweep(Millis(1_000));
    assert_eq!(script.taken(), [0x89, 0x00]);
    assert!(!one.pong(&hub, Pings::Replies, Millis(1_700)), "the other kind is no answer");
    assert!(one.pong(&hub, Pings::Frames, Millis(1_700)));
    hub.sweep(Millis(26_000));
    assert_eq!(script.taken(), [0x89, 0x00, 0x89, 0x00]);
    hub.sweep(Millis(34_000));
    assert_eq!(one.finish(&hub), Disconnect::NO_PONG.code);
}

#[test]
fn a_write_without_progress_ends_the_connection() {
    let hub = hub();
    let (one, script) = connection(0);
    let _registration = Registration::new(&hub, Arc::clone(&one));
    one.push(&hub, text("x"), 1);
    one.flush(&hub);
    hub.sweep(hub.clock().now());
    assert!(one.is_open());
    hub.sweep(hub.clock().now().after(Millis(5_000)));
    assert!(one.poll_status(&Context::from_waker(Waker::noop())).is_none());
    assert_eq!(one.finish(&hub), Disconnect::WRITE_ERROR.code);
    assert!(script.read().0.is_empty());
}

#[test]
fn a_broken_socket_ends_the_connection() {
    let hub = hub();
    let (one, script) = connection(ALL);
    script.0.lock().broken = true;
    one.push(&hub, text("x"), 1);
    one.flush(&hub);
    assert!(!one.is_open());
    assert_eq!(one.finish(&hub), Disconnect::WRITE_ERROR.code);
}

#[test]
fn closing_writes_what_waits_first_and_the_first_reason_counts() {
    let hub = hub();
    let (one, script) = connection(ALL);
    one.push(&hub, text("last words"), 1);
    one.close(&hub, Disconnect::SHUTDOWN);
    one.close(&hub, Disconnect::INTERNAL);
    assert!(!one.push(&hub, text("too late"), 1));
    assert_eq!(script.read(), (vec!["last words".to_owned()], Some(3001)));
    one.peer_closed(&hub, Some(1000));
    assert!(one.poll_status(&Context::from_waker(Waker::noop())).is_none());
    assert_eq!(one.finish(&hub), 3001);
}

#[test]
fn a_peer_that_closes_gets_its_code_back() {
    let hub = hub();
    let (one, script) = connection(ALL);
    one.peer_closed(&hub, Some(1000));
    assert_eq!(script.read().1, Some(1000));
    assert_eq!(one.finish(&hub), Disconnect::CONNECTION_CLOSED.code);
}

#[test]
fn the_census_counts_users_once() {
    let hub = hub();
    let (ada, bob) = (User::parse("ada").unwrap(), User::parse("bob").unwrap());
    let mut registrations = Vec::new();
    for user in [Some(&ada), Some(&ada), Some(&bob), None] {
        let (connection, _) = connection(ALL);
        let registration = Registration::new(&hub, Arc::clone(&connection));
        if let Some(user) = user {
            let client = Client { user: user.clone(), tenant: None, info: Bytes::new() };
            registration.authenticated(client.clone(), None);
            registration.authenticated(client, None);
        }
        subscribe(&hub, &connection);
        registrations.push(registration);
    }
    let census = Census { clients: 3, users: 2, subscriptions: 4, channels: 1 };
    assert_eq!(hub.census(), census);
    registrations.clear();
    assert_eq!((hub.census().clients, hub.census().users), (0, 0));
}

#[test]
fn a_resting_connection_is_small() {
    assert!(size_of::<Connection>() <= 384, "{}", size_of::<Connection>());
}

#[test]
fn an_event_stream_gives_signs_of_life_between_pings() {
    let hub = hub();
    let script = Script::with_room(ALL);
    let format = Format::unidirectional(Framing::Events);
    let one = Connection::scripted_with(format, Pings::Pushes, script.clone());
    let _registration = Registration::new(&hub, Arc::clone(&one));
    one.begin_heartbeat(&hub);
    one.set_deadline(Deadline::Ping, Millis(40_000));
    hub.sweep(Millis(14_000));
    assert_eq!(script.taken(), b"");
    hub.sweep(Millis(16_000));
    assert_eq!(script.taken(), b"3\r\n:\n\n\r\n");
    hub.sweep(Millis(40_500));
    assert_eq!(script.taken().len(), 16 + 15, "another, and a ping");
    hub.sweep(Millis(400_000));
    assert!(one.is_open(), "nothing answers such a ping");
}
