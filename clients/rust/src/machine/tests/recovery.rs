//! Positions, and what they bring back.

use super::*;

const CONNECTED: &str = r#"{"client":"x"}"#;
const AT_5: &str = r#"{"recoverable":true,"positioned":true,"epoch":"e","offset":5}"#;

fn publication(offset: u64) -> String {
    format!(r#"{{"push":{{"channel":"c1","pub":{{"data":{offset},"offset":{offset}}}}}}}"#)
}

/// The position in the next subscribe command.
#[track_caller]
fn asks_for(rig: &mut Rig) -> Option<(u64, String)> {
    let sent = rig.sent();
    let (_, last) = sent.last().expect("a command");
    let last: serde_json::Value = serde_json::from_str(last).unwrap();
    let subscribe = &last["subscribe"];
    rig.frames
        .push_back(encode(Encoding::Json, &Command { id: sent[0].0, request: Request::Ping }));
    rig.frames.clear();
    let recover = subscribe["recover"].as_bool().unwrap_or(false);
    recover.then(|| {
        let offset = subscribe["offset"].as_u64().unwrap_or(0);
        (offset, subscribe["epoch"].as_str().unwrap_or_default().to_owned())
    })
}

/// Loses the connection and connects again.
fn again(rig: &mut Rig) {
    rig.close(3001);
    rig.wait();
    rig.forget();
    let number = rig.machine.connection.number();
    rig.machine.opened(rig.now, number);
}

#[test]
fn the_position_follows_what_was_handed_out() {
    let mut rig = Rig::connected(settings(), CONNECTED);
    rig.subscribed(A, &recoverable(), AT_5);
    rig.hear(&publication(6));
    rig.hear(&publication(7));
    again(&mut rig);
    assert_eq!(asks_for(&mut rig), Some((7, "e".into())));
    // And nothing of the first attempt counts, if that is lost too.
    again(&mut rig);
    assert_eq!(asks_for(&mut rig), Some((7, "e".into())));
}

#[test]
fn what_was_missed_comes_after_being_subscribed_and_before_what_is_new() {
    let mut rig = Rig::connected(settings(), CONNECTED);
    rig.subscribed(A, &recoverable(), AT_5);
    again(&mut rig);
    let sent = rig.sent();
    rig.hear(&format!(r#"{{"id":{},"connect":{CONNECTED}}}"#, sent[0].0));
    rig.forget();
    let result = r#"{"recoverable":true,"epoch":"e","offset":5,"was_recovering":true,"recovered":true,"publications":[{"data":6,"offset":6},{"data":7,"offset":7}]}"#;
    rig.hear(&format!(r#"{{"id":{},"subscribe":{result}}}"#, sent[1].0));
    rig.hear(&publication(8));
    assert_eq!(rig.told(), ["1: subscribed was recovering recovered", "1: 6", "1: 7", "1: 8"]);
    again(&mut rig);
    assert_eq!(asks_for(&mut rig), Some((8, "e".into())));
}

#[test]
fn what_was_not_handed_out_when_the_connection_is_lost_comes_again() {
    let mut rig = Rig::connected(settings(), CONNECTED);
    rig.subscribe(A, &Terms { since: None, ..recoverable() });
    let (id, _) = rig.sent().remove(0);
    let reply = format!(
        r#"{{"id":{id},"subscribe":{{"recoverable":true,"epoch":"e","offset":5,"publications":[{{"data":6,"offset":6}},{{"data":7,"offset":7}}]}}}}"#
    );
    let reply = Encoding::Json.replies(reply.as_bytes()).next().unwrap().unwrap();
    rig.machine.reply(rig.now, reply);
    assert!(rig.machine.hand_out(rig.now), "the first only");
    again(&mut rig);
    assert!(!rig.machine.hand_out(rig.now), "the second is dropped");
    assert_eq!(asks_for(&mut rig), Some((6, "e".into())));
}

#[test]
fn what_cannot_be_brought_back_is_told_and_left_behind() {
    let mut rig = Rig::connected(settings(), CONNECTED);
    rig.subscribed(A, &recoverable(), AT_5);
    again(&mut rig);
    let sent = rig.sent();
    rig.hear(&format!(r#"{{"id":{},"connect":{CONNECTED}}}"#, sent[0].0));
    rig.forget();
    let result = r#"{"recoverable":true,"epoch":"f","offset":90,"was_recovering":true}"#;
    rig.hear(&format!(r#"{{"id":{},"subscribe":{result}}}"#, sent[1].0));
    assert_eq!(rig.told(), ["1: subscribed was recovering"]);
    again(&mut rig);
    assert_eq!(asks_for(&mut rig), Some((90, "f".into())));
}

#[test]
fn a_stream_that_begins_tells_its_epoch() {
    let mut rig = Rig::connected(settings(), CONNECTED);
    rig.subscribed(A, &recoverable(), r#"{"recoverable":true}"#);
    rig.hear(r#"{"push":{"channel":"c1","pub":{"data":1,"offset":1,"epoch":"g"}}}"#);
    again(&mut rig);
    assert_eq!(asks_for(&mut rig), Some((1, "g".into())));
}

#[test]
fn without_recovery_there_is_no_position() {
    let mut rig = Rig::connected(settings(), CONNECTED);
    rig.subscribed(A, &recoverable(), r#"{"positioned":true,"epoch":"e","offset":5}"#);
    rig.hear(&publication(6));
    again(&mut rig);
    assert_eq!(asks_for(&mut rig), None);
}

#[test]
fn since_is_where_it_begins() {
    let mut rig = Rig::connected(settings(), CONNECTED);
    let since = Some(Position { offset: 3, epoch: "e".into() });
    rig.subscribe(A, &Terms { since, ..Terms::default() });
    assert_eq!(
        rig.sent()[0].1,
        r#"{"subscribe":{"channel":"c1","recover":true,"epoch":"e","offset":3,"recoverable":true}}"#
    );
}

#[test]
fn the_position_outlives_unsubscribing_and_codes_that_ask_to_come_back() {
    let mut rig = Rig::connected(settings(), CONNECTED);
    rig.subscribed(A, &recoverable(), AT_5);
    rig.machine.unsubscribe(rig.now, A);
    rig.subscribe(A, &recoverable());
    assert_eq!(asks_for(&mut rig), Some((5, "e".into())));
    for (code, expected) in [(2500, Some((5, "e".into()))), (2502, None)] {
        let mut rig = Rig::connected(settings(), CONNECTED);
        rig.subscribed(A, &recoverable(), AT_5);
        rig.hear(&format!(
            r#"{{"push":{{"channel":"c1","unsubscribe":{{"code":{code},"reason":"why"}}}}}}"#
        ));
        rig.wait();
        assert_eq!(asks_for(&mut rig), expected, "{code}");
    }
}

#[test]
fn a_void_state_forgets_positions_and_tokens() {
    let terms = Terms { has_token_source: true, ..recoverable() };
    let mut rig = Rig::new(Settings { has_token_source: true, ..settings() });
    rig.machine.connect();
    rig.give_token(Ok("t"));
    rig.greet(r#"{"client":"x","subs":{"s":{"recoverable":true,"epoch":"e","offset":4}}}"#);
    rig.subscribe(A, &terms);
    rig.give_token(Ok("st"));
    rig.answer("subscribe", AT_5);
    rig.forget();
    rig.close(3014);
    rig.wait();
    let told = rig.told();
    assert_eq!(told[..3], ["close", "connecting 3014", "1: subscribing 1"]);
    assert_eq!(told.last().unwrap(), "ConnectionToken");
    let (ticket, _) = (Ticket(3), ());
    rig.machine.token(rig.now, ticket, Fetch::ConnectionToken, Ok("t2".into()));
    let number = rig.open();
    rig.machine.opened(rig.now, number);
    let sent = rig.sent();
    assert!(!sent[0].1.contains("subs"), "{sent:?}");
    rig.hear(&format!(r#"{{"id":{},"connect":{CONNECTED}}}"#, sent[0].0));
    rig.give_token(Ok("st2"));
    let sent = rig.sent();
    assert_eq!(sent[0].1, r#"{"subscribe":{"channel":"c1","token":"st2","recoverable":true}}"#);
}

#[test]
fn a_state_of_the_application_is_never_followed_by_a_hole() {
    let mut rig = Rig::connected(settings(), CONNECTED);
    rig.subscribe(A, &Terms { has_state_source: true, ..recoverable() });
    let state = |offset| Ok(Position { offset, epoch: "e".into() });
    let (ticket, what) = rig.asked();
    assert_eq!(what, Fetch::State(A));
    rig.machine.state(rig.now, ticket, A, state(5));
    let expected = r#"{"subscribe":{"channel":"c1","recover":true,"epoch":"e","offset":5,"recoverable":true,"flag":2}}"#;
    let sent = rig.sent();
    assert_eq!(sent[0].1, expected);
    // What came since cannot be brought back.
    let error = r#"{"code":112,"message":"unrecoverable position"}"#;
    rig.hear(&format!(r#"{{"id":{},"error":{error}}}"#, sent[0].0));
    rig.forget();
    assert!(rig.wait() <= S(1));
    let (ticket, _) = rig.asked();
    rig.machine.state(rig.now, ticket, A, Err(TokenError::other("away")));
    assert_eq!(rig.told(), ["State(SubscriptionId(1))", "1: error: no state: away"]);
    rig.wait();
    let (ticket, _) = rig.asked();
    rig.machine.state(rig.now, ticket, A, state(9));
    rig.answer("subscribe", r#"{"recoverable":true,"epoch":"e","offset":9}"#);
    // After a lost connection its own position counts, not another state.
    again(&mut rig);
    assert_eq!(asks_for(&mut rig), Some((9, "e".into())));
}

#[test]
fn an_unrecoverable_position_without_a_state_source_ends_it() {
    let mut rig = Rig::connected(settings(), CONNECTED);
    rig.subscribe(A, &recoverable());
    rig.quiet();
    rig.refuse(112, false);
    assert_eq!(rig.told(), ["1: unsubscribed 112"]);
}
