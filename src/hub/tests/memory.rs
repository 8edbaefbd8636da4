//! What is held for one connection, and what a full node gives up.

use sealcast_wire::filter::{Comparison, Condition, Filter};
use sealcast_wire::reply::ClientInfo;

use super::*;
use crate::limit::Stage;

const LIMIT: usize = 10_000;

fn limited() -> Arc<Hub> {
    hub_with(|limits| limits.conn_memory = LIMIT)
}

/// What one frame takes beside its bytes.
fn overhead() -> usize {
    let hub = hub();
    let (one, _script) = connection(0);
    let frame = text("x");
    one.push(&hub, frame.clone(), 1);
    one.memory() - frame.len()
}

fn frame_of(bytes: usize) -> Bytes {
    Bytes::from(vec![b'x'; bytes])
}

#[test]
fn everything_that_is_held_counts_together_and_one_byte_more_ends_it() {
    for over in [false, true] {
        let hub = limited();
        let (one, script) = connection(0);
        one.set_partial(&hub, 1_000, true, Millis::NEVER);
        one.set_running(&hub, 2_000);
        subscribe(&hub, &one);
        one.unblock(&hub);
        let rest = LIMIT - one.memory() - overhead();
        assert!(rest < LIMIT - 3_000, "its subscription counts too");
        one.push(&hub, frame_of(rest + usize::from(over)), 1);
        assert_eq!(one.is_open(), !over);
        if over {
            script.make_room(ALL);
            one.unblock(&hub);
            assert_eq!(script.read().1, Some(3008));
        }
    }
}

#[test]
fn input_and_commands_that_are_too_much_end_it_too() {
    let tell: [fn(&Connection, &Hub, usize); 2] = [
        |one, hub, held| one.set_partial(hub, held, true, Millis::NEVER),
        |one, hub, held| one.set_running(hub, held),
    ];
    for tell in tell {
        let hub = limited();
        let (one, script) = connection(ALL);
        tell(&one, &hub, LIMIT);
        assert!(one.is_open());
        assert_eq!(hub.budget().held(), LIMIT);
        tell(&one, &hub, LIMIT + 1);
        assert_eq!(script.read().1, Some(3008));
        one.finish(&hub);
        assert_eq!(hub.budget().held(), 0, "given back");
    }
}

#[test]
fn a_subscription_counts_with_its_filter_until_it_ends() {
    let hub = limited();
    let (one, _script) = connection(ALL);
    hub.open(0, &channel());
    let slot = hub.join(0, &channel(), &one, Wants::default()).expect("open");
    let plain = one.memory();
    assert!(plain >= channel().as_str().len() && plain < 500, "{plain}");
    hub.leave(0, &channel(), slot);
    assert_eq!(one.memory(), 0);

    let filter = |bytes: usize| {
        Filter::tag("k", Condition::Is(Comparison::Equal, "v".repeat(bytes).into()))
            .expect("a filter")
    };
    let selected = filter(100);
    let bytes = selected.bytes();
    let wants = Wants { filter: hub.select(selected), ..Wants::default() };
    let slot = hub.join(0, &channel(), &one, wants).expect("open");
    assert!(one.memory() >= plain + bytes);
    hub.leave(0, &channel(), slot);
    assert_eq!(one.memory(), 0);
}

#[test]
fn what_comes_while_history_is_read_counts_for_who_waits() {
    let hub = limited();
    let (one, script) = connection(ALL);
    hub.open(0, &channel());
    let wants = Wants { positioned: true, ..Wants::default() };
    let slot = hub.join(0, &channel(), &one, wants).expect("open");
    let before = one.memory();
    let publication = |offset: u64, bytes: usize| {
        let data = frame_of(bytes);
        content([Publication { data, offset, ..Publication::default() }])
    };
    let mut first = hub.begin(0, channel(), publication(1, 1_000)).expect("open");
    deliver(&hub, &mut first, 100);
    assert!(one.memory() >= before + 1_000);
    let position = Position { offset: 1, epoch: Arc::from("epoch") };
    assert!(hub.go_live(0, &channel(), slot, Some(position), None));
    assert_eq!(one.memory(), before, "given back when it goes live");

    let (other, other_script) = connection(ALL);
    let wants = Wants { positioned: true, ..Wants::default() };
    hub.join(0, &channel(), &other, wants).expect("open");
    for offset in 2..=11 {
        let mut next = hub.begin(0, channel(), publication(offset, 1_000)).expect("open");
        deliver(&hub, &mut next, 100);
    }
    assert_eq!(other_script.read().1, Some(3008));
    assert_eq!(script.read().1, None);
}

#[test]
fn a_node_that_drops_keeps_who_comes_and_goes_from_the_slow_alone() {
    for (stage, told) in [(Stage::Refusing, 1), (Stage::Dropping, 0)] {
        let hub = hub();
        let ((slow, slow_script), (fast, fast_script)) = (connection(0), connection(ALL));
        for one in [&slow, &fast] {
            let wants = Wants { membership: true, ..Wants::default() };
            hub.open(0, &channel());
            let slot = hub.join(0, &channel(), one, wants).expect("open");
            assert!(hub.go_live(0, &channel(), slot, None, Some(text("joined"))));
            one.push(&hub, text("reply"), 1);
            one.flush(&hub);
        }
        hub.set_stage(stage);
        let who = Arc::new(ClientInfo::default());
        let content = Content::Membership(Membership::new(who, true));
        let mut came = hub.begin(0, channel(), content).expect("open");
        deliver(&hub, &mut came, 100);
        let mut kept = hub.begin(0, channel(), batch(0..1)).expect("open");
        deliver(&hub, &mut kept, 100);
        slow_script.make_room(ALL);
        slow.unblock(&hub);
        let joins = |script: &Script| {
            script.read().0.iter().filter(|text| text.contains(r#""join""#)).count()
        };
        assert_eq!((joins(&slow_script), joins(&fast_script)), (told, 1), "{stage:?}");
        assert_eq!(payloads(&slow_script), ["0"], "publications are kept");
        let shed = format!("sealcast_shed_total{{what=\"ephemeral\"}} {}", 1 - told);
        assert!(hub.metrics().render().contains(&shed));
    }
}

#[test]
fn a_node_that_drops_keeps_what_passes_from_the_slow_alone() {
    let item = |text: &str, passing: bool| {
        let publication = Publication { data: text.to_owned().into(), ..Publication::default() };
        Item { publication: Arc::new(publication), epoch: None, delta: false, passing }
    };
    let deliver_all = |hub: &Hub, items: Vec<Item>| {
        let mut items = items.into_iter();
        let mut batch = Batch::of(items.next().expect("one at least"));
        items.for_each(|item| batch.add(item));
        let content = Content::Publications(Box::new(batch));
        deliver(hub, &mut hub.begin(0, channel(), content).expect("open"), 100);
    };
    for (stage, dropped) in [(Stage::Refusing, 0), (Stage::Dropping, 2), (Stage::Closing, 2)] {
        let hub = hub();
        let ((slow, slow_script), (fast, fast_script)) = (connection(0), connection(ALL));
        for one in [&slow, &fast] {
            subscribe(&hub, one);
        }
        hub.set_stage(stage);
        deliver_all(&hub, vec![item("1", true), item("2", true)]);
        deliver_all(&hub, vec![item("3", true), item("4", false)]);
        slow_script.make_room(ALL);
        slow.unblock(&hub);
        assert_eq!(payloads(&fast_script), ["1", "2", "3", "4"], "{stage:?}");
        // What goes out together with something that is to be kept is kept too.
        assert_eq!(payloads(&slow_script), ["1", "2", "3", "4"][dropped..], "{stage:?}");
        let rendered = hub.metrics().render();
        for (name, count) in [
            ("sealcast_shed_total{what=\"ephemeral\"}", dropped),
            ("sealcast_messages_total{dir=\"out\"}", 8 - dropped),
        ] {
            assert!(rendered.contains(&format!("{name} {count}\n")), "{name} {count}: {rendered}");
        }
    }
}

/// What a patch is made against must have come.
#[test]
fn nothing_is_kept_from_the_slow_where_somebody_asked_for_deltas() {
    let hub = hub();
    let (slow, script) = connection(0);
    hub.open(0, &channel());
    let wants = Wants { delta: true, ..Wants::default() };
    let slot = hub.join(0, &channel(), &slow, wants).expect("open");
    assert!(hub.go_live(0, &channel(), slot, None, Some(text("joined"))));
    slow.flush(&hub);
    hub.set_stage(Stage::Closing);
    let publication = Publication { data: "1".into(), ..Publication::default() };
    let publication = Arc::new(publication);
    let item = Item { publication, epoch: None, delta: false, passing: true };
    let content = Content::Publications(Box::new(Batch::of(item)));
    deliver(&hub, &mut hub.begin(0, channel(), content).expect("open"), 100);
    script.make_room(ALL);
    slow.unblock(&hub);
    assert_eq!(payloads(&script).len(), 1);
}

#[test]
fn those_who_hold_most_are_closed_first_and_no_more_than_must() {
    let hub = hub();
    let all: Vec<_> = [3_000, 1_000, 2_000, 0]
        .map(|bytes| {
            let (one, script) = connection(0);
            let registration = Registration::new(&hub, Arc::clone(&one));
            if bytes > 0 {
                one.push(&hub, frame_of(bytes), 1);
                one.flush(&hub);
            }
            (one, script, registration)
        })
        .into();
    let open = || all.iter().map(|(one, ..)| one.is_open()).collect::<Vec<_>>();
    assert_eq!(hub.close_largest(0, 1), 0);
    assert_eq!(hub.close_largest(9_000, 5_000), 0, "nobody holds that much");
    assert_eq!(hub.close_largest(3_001, 1), 2);
    assert_eq!(open(), [false, true, false, true]);
    assert_eq!(hub.close_largest(9_000, 1), 1);
    assert_eq!(open(), [false, false, false, true], "who holds nothing stays");
}
