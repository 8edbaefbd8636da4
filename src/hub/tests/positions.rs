//! Positioned subscribers, deltas, filters and membership.

use std::collections::BTreeMap;

use sealcast_wire::filter::{Comparison, Condition, Filter};

use super::*;

fn at(offset: u64) -> Publication {
    let data = format!("\"{offset}\"").into();
    Publication { data, offset, ..Publication::default() }
}

fn position(offset: u64) -> Option<Position> {
    Some(Position { offset, epoch: "epoch".into() })
}

fn positioned() -> Wants {
    Wants { positioned: true, ..Wants::default() }
}

/// A subscriber that stands at `offset`, with the reply `joined`.
fn at_position(hub: &Hub, offset: u64, wants: Wants) -> (Arc<Connection>, Script, Slot) {
    let (connection, script) = connection(ALL);
    hub.open(0, &channel());
    let slot = hub.join(0, &channel(), &connection, wants).expect("open");
    let noted = Noted { most: 1, server_side: false, terms: None };
    assert_eq!(connection.add_subscription(&channel(), 0, slot, noted), Ok(()));
    assert!(hub.go_live(0, &channel(), slot, position(offset), Some(text("joined"))));
    connection.flush(hub);
    (connection, script, slot)
}

fn send(hub: &Hub, content: Content) {
    let mut fan_out = hub.begin(0, channel(), content).unwrap();
    while !deliver(hub, &mut fan_out, 1) {}
}

#[test]
fn what_comes_while_history_is_read_follows_the_reply_once() {
    let hub = hub();
    let (one, script) = connection(ALL);
    hub.open(0, &channel());
    let slot = hub.join(0, &channel(), &one, positioned()).expect("open");
    send(&hub, content([at(4), at(5)]));
    send(&hub, content([at(6)]));
    assert!(script.read().0.is_empty(), "nothing before the reply");
    // The history that was read holds 4 and 5 already.
    assert!(hub.go_live(0, &channel(), slot, position(5), Some(text("joined"))));
    one.flush(&hub);
    send(&hub, content([at(7)]));
    assert_eq!(script.read().0[0], "joined");
    assert_eq!(offsets(&script), [6, 7]);
}

#[test]
fn who_joins_while_something_may_be_missing_reads_again() {
    let hub = hub();
    let (one, script) = connection(ALL);
    hub.open(0, &channel());
    let slot = hub.join(0, &channel(), &one, positioned()).expect("open");
    send(&hub, content([at(4)]));
    assert!(!hub.reads_again(0, &channel(), slot), "4 is kept");
    // 5 was missed, and what was read ends with 4.
    assert!(hub.doubt(0, &channel()).is_empty());
    send(&hub, content([at(6)]));
    assert!(hub.reads_again(0, &channel(), slot));
    assert!(!hub.reads_again(0, &channel(), slot), "once");
    send(&hub, content([at(7)]));
    // What is read now ends with 6.
    assert!(hub.go_live(0, &channel(), slot, position(6), Some(text("joined"))));
    one.flush(&hub);
    assert_eq!(script.read().0[0], "joined");
    assert_eq!(offsets(&script), [7]);
}

#[test]
fn a_delivery_under_way_when_it_goes_live_is_not_missed() {
    let hub = hub();
    let (first, ..) = at_position(&hub, 0, positioned());
    let (late, script) = connection(ALL);
    let slot = hub.join(0, &channel(), &late, positioned()).expect("open");
    let mut fan_out = hub.begin(0, channel(), content([at(1)])).unwrap();
    assert!(!deliver(&hub, &mut fan_out, 1), "the first is served, the second not yet");
    assert!(hub.go_live(0, &channel(), slot, position(0), None));
    assert!(deliver(&hub, &mut fan_out, 1));
    assert_eq!(offsets(&script), [1]);
    assert!(first.is_open());
}

#[test]
fn old_ones_are_passed_over_and_a_hole_ends_the_subscription() {
    let hub = hub();
    let (one, script, _) = at_position(&hub, 5, positioned());
    send(&hub, content([at(4), at(5), at(6)]));
    assert_eq!(offsets(&script), [6]);
    send(&hub, content([at(8)]));
    assert_eq!(offsets(&script), [6]);
    let told = script.read().0.pop().unwrap();
    assert!(
        told.contains(r#""unsubscribe":{"code":2500,"reason":"insufficient state"}"#),
        "{told}"
    );
    assert!(!one.is_subscribed(&channel()) && one.is_open());
    assert_eq!(hub.census().subscriptions, 0);
}

#[test]
fn another_epoch_is_a_hole_and_ends_a_connection_whose_subscription_the_server_made() {
    let hub = hub();
    let wants = Wants { server_side: true, ..positioned() };
    let (one, script, _) = at_position(&hub, 0, wants);
    let publication = Arc::new(at(1));
    let epoch = Some(Arc::from("another"));
    let item = Item { publication, epoch, delta: false, passing: false };
    send(&hub, Content::Publications(Box::new(Batch::of(item))));
    assert_eq!(script.read().1, Some(Disconnect::INSUFFICIENT_STATE.code));
    assert!(!one.is_open());
}

#[test]
fn publications_that_are_not_kept_do_not_move_the_position() {
    let hub = hub();
    let (_one, script, _) = at_position(&hub, 1, positioned());
    send(&hub, content([Publication { data: "\"skipped\"".into(), ..Publication::default() }]));
    send(&hub, content([at(2)]));
    assert_eq!(payloads(&script).len(), 2);
    assert_eq!(offsets(&script), [2]);
}

#[test]
fn filters_are_bounded_together_and_given_back() {
    let hub = hub();
    let long = || Condition::Is(Comparison::Equal, "x".repeat(15_000).into());
    let select = || hub.select(Filter::tag("kind", long()).expect("valid"));
    let mut all: Vec<_> = std::iter::from_fn(select).collect();
    assert!((3_000..5_000).contains(&all.len()), "{}", all.len());
    all.pop();
    let (_one, _, slot) = at_position(&hub, 0, Wants { filter: select(), ..positioned() });
    assert!(select().is_none());
    hub.leave(0, &channel(), slot);
    assert!(select().is_some());
    drop(all);
    assert_eq!(hub.filters.taken(), 0);
}

#[test]
fn filters_pass_by_what_does_not_match_without_a_hole() {
    let hub = hub();
    let tagged = |offset: u64, kind: &str| Publication {
        tags: BTreeMap::from([("kind".to_owned(), kind.to_owned())]),
        ..at(offset)
    };
    let filter =
        Filter::tag("kind", Condition::Is(Comparison::Equal, "goal".into())).expect("valid");
    let wants = Wants { filter: hub.select(filter), ..positioned() };
    assert!(wants.filter.is_some() && hub.filters.taken() > 0);
    let (_one, script, _) = at_position(&hub, 0, wants);
    send(&hub, content([tagged(1, "goal"), tagged(2, "foul"), tagged(3, "goal")]));
    send(&hub, content([tagged(4, "foul")]));
    send(&hub, content([tagged(5, "goal")]));
    assert_eq!(offsets(&script), [1, 3, 5]);
}

#[test]
fn deltas_begin_whole_and_go_on_as_patches_that_apply() {
    let hub = hub();
    let wants = || Wants { delta: true, ..Wants::default() };
    let (_one, script, _) = at_position(&hub, 0, wants());
    let long = |n: u64| {
        let data = format!("{{\"n\":{n},\"text\":\"{}\",\"end\":{n}}}", "lorem ipsum ".repeat(40));
        Publication { data: data.into(), ..Publication::default() }
    };
    send(&hub, content([long(1), long(2)]));
    let (_two, late_script, _) = at_position(&hub, 0, wants());
    send(&hub, content([long(3)]));
    send(&hub, content([long(4), long(5)]));
    for (script, numbers) in [(&script, 1..=5), (&late_script, 3..=5)] {
        let mut base = Vec::new();
        let mut patches = 0;
        let texts = script.read().0;
        let pushes = texts.iter().filter(|text| text.contains("\"pub\""));
        for (push, n) in pushes.zip(numbers.clone()) {
            let push: serde_json::Value = serde_json::from_str(push).unwrap();
            let publication = &push["push"]["pub"];
            let data = publication["data"].as_str().expect("always a string").as_bytes().to_vec();
            base = if publication["delta"] == true {
                patches += 1;
                assert!(data.len() < 100, "a patch is small");
                sealcast_wire::delta::decode(&base, &data, 10_000).expect("applies")
            } else {
                data
            };
            assert_eq!(base, long(n).data, "publication {n}");
        }
        assert_eq!(patches, numbers.count() - 1, "the first is whole, the others are patches");
    }
}

#[test]
fn who_comes_and_goes_is_told_to_those_who_asked() {
    let hub = hub();
    let wants = Wants { membership: true, ..Wants::default() };
    let (_one, asked, _) = at_position(&hub, 0, wants);
    let (_two, silent, _) = at_position(&hub, 0, Wants::default());
    let who = Arc::new(sealcast_wire::reply::ClientInfo {
        user: "ada".into(),
        client: "c1".into(),
        ..Default::default()
    });
    send(&hub, Content::Membership(Membership::new(Arc::clone(&who), true)));
    send(&hub, Content::Membership(Membership::new(who, false)));
    let told = asked.read().0;
    assert!(told[1].contains(r#""join":{"info":{"user":"ada","client":"c1"}}"#), "{told:?}");
    assert!(told[2].contains(r#""leave""#));
    assert_eq!(silent.read().0, ["joined"]);
}

fn offsets(script: &Script) -> Vec<u64> {
    let texts = script.read().0;
    let pushes =
        texts.iter().filter_map(|text| serde_json::from_str::<serde_json::Value>(text).ok());
    pushes.filter_map(|push| push["push"]["pub"]["offset"].as_u64()).collect()
}

#[test]
fn a_slot_that_was_taken_away_is_not_given_back_a_second_time() {
    let hub = hub();
    let wants = Wants { server_side: true, ..positioned() };
    let (one, _, _) = at_position(&hub, 1, wants);
    send(&hub, content([at(9)]));
    assert!(!one.is_open());
    // Whoever comes next gets the slot, and keeps it when the one before is gone.
    let (other, script, _) = at_position(&hub, 9, positioned());
    for (channel, shard, slot) in one.take_subscriptions() {
        hub.leave(shard, &channel, slot);
    }
    send(&hub, content([at(10)]));
    assert_eq!(script.read().0.len(), 2);
    assert!(other.is_subscribed(&channel()));
}

#[test]
fn what_a_json_subscriber_cannot_read_ends_its_connection() {
    let hub = hub();
    let wants = || Wants { json_only: true, ..Wants::default() };
    let (careful, script, _) = at_position(&hub, 0, wants());
    let (plain, _, _) = at_position(&hub, 0, Wants::default());
    let (late, _) = connection(ALL);
    let slot = hub.join(0, &channel(), &late, Wants { positioned: true, ..wants() }).expect("open");
    send(&hub, content([at(1)]));
    assert_eq!(script.read().0.len(), 2);
    assert!(careful.is_open());
    let bytes = Publication { data: Bytes::from_static(b"\xff"), ..at(2) };
    send(&hub, content([bytes]));
    assert_eq!(careful.finish(&hub), Disconnect::INAPPROPRIATE_PROTOCOL.code);
    assert_eq!(script.read().0.len(), 2, "and nothing of it was written");
    assert!(plain.is_open(), "who reads bytes goes on");
    assert!(hub.go_live(0, &channel(), slot, position(0), Some(text("joined"))));
    assert_eq!(late.finish(&hub), Disconnect::INAPPROPRIATE_PROTOCOL.code);
}
