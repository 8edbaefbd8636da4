//! Subscribing, and what the codes ask for.

use super::*;

const CONNECTED: &str = r#"{"client":"x"}"#;

fn with_source() -> Terms {
    Terms { has_token_source: true, ..recoverable() }
}

#[test]
fn first_subscribes_share_the_frame_of_the_connect_command() {
    let mut rig = Rig::new(settings());
    rig.subscribe(A, &recoverable());
    rig.subscribe(B, &with_source());
    rig.machine.connect();
    assert_eq!(rig.told(), ["1: subscribing 0", "2: subscribing 0", "connecting 0", "open"]);
    rig.machine.opened(rig.now, 1);
    rig.collect();
    assert_eq!(rig.frames.len(), 1, "one frame");
    let sent = rig.sent();
    assert_eq!(sent.len(), 2, "B has to ask for its token first");
    assert_eq!(sent[1].1, r#"{"subscribe":{"channel":"c1","recoverable":true}}"#);
    rig.hear(&format!(r#"{{"id":{},"connect":{CONNECTED}}}"#, sent[0].0));
    rig.hear(&format!(r#"{{"id":{},"subscribe":{{}}}}"#, sent[1].0));
    assert_eq!(rig.told(), ["connected", "SubscriptionToken(SubscriptionId(2))", "1: subscribed"]);
}

#[test]
fn a_refused_connect_takes_the_subscribes_along() {
    let mut rig = Rig::new(settings());
    rig.subscribe(A, &recoverable());
    rig.machine.connect();
    rig.machine.opened(rig.now, 1);
    let sent = rig.sent();
    let error = r#"{"code":100,"message":"no","temporary":true}"#;
    rig.hear(&format!(r#"{{"id":{},"error":{error}}}"#, sent[0].0));
    rig.hear(&format!(r#"{{"id":{},"subscribe":{{}}}}"#, sent[1].0));
    rig.forget();
    rig.wait();
    rig.machine.opened(rig.now, 2);
    assert_eq!(rig.sent().len(), 2, "both again");
}

#[test]
fn every_unsubscribe_code_does_what_the_protocol_says() {
    for code in [0, 1, 2000, 2499, 2500, 2501, 2502, 2999, 3000] {
        let mut rig = Rig::connected(settings(), CONNECTED);
        rig.subscribed(A, &recoverable(), "{}");
        rig.forget();
        rig.hear(&format!(
            r#"{{"push":{{"channel":"c1","unsubscribe":{{"code":{code},"reason":"why"}}}}}}"#
        ));
        if code < 2500 {
            assert_eq!(rig.told(), [format!("1: unsubscribed {code}")]);
            assert_eq!(rig.machine.deadline(), None);
        } else {
            assert_eq!(rig.told(), [format!("1: subscribing {code}")]);
            let waited = rig.wait();
            assert!((Duration::from_millis(500)..=S(1)).contains(&waited), "{waited:?}");
            assert_eq!(rig.sent().len(), 1);
        }
    }
}

#[test]
fn a_refused_subscribe_is_tried_again_if_that_can_help() {
    for code in (1..=3).chain(99..=113).chain([400, 1999]) {
        for temporary in [false, true] {
            let mut rig = Rig::connected(settings(), CONNECTED);
            rig.subscribe(A, &with_source());
            rig.give_token(Ok("t"));
            rig.refuse(code, temporary);
            if code < 100 || temporary || code == 109 {
                assert_eq!(rig.told(), [format!("1: error: error {code}: no")]);
                rig.wait();
                let next: &[&str] =
                    if code == 109 { &["SubscriptionToken(SubscriptionId(1))"] } else { &[] };
                assert_eq!(rig.told(), next);
                assert_eq!(rig.sent().len(), usize::from(code != 109));
            } else {
                assert_eq!(rig.told(), [format!("1: unsubscribed {code}")]);
                assert_eq!(rig.machine.deadline(), None);
            }
        }
    }
}

#[test]
fn waits_between_attempts_grow_and_end_with_success() {
    let mut rig = Rig::connected(settings(), CONNECTED);
    rig.subscribe(A, &recoverable());
    let mut longest = Duration::ZERO;
    for _ in 0..30 {
        rig.refuse(100, true);
        longest = longest.max(rig.wait());
    }
    assert!((S(10)..=S(20)).contains(&longest), "{longest:?}");
    rig.answer("subscribe", "{}");
    rig.hear(r#"{"push":{"channel":"c1","unsubscribe":{"code":2500,"reason":"why"}}}"#);
    assert!(rig.wait() <= S(1));
}

#[test]
fn a_new_connection_does_not_wait() {
    let mut rig = Rig::connected(settings(), CONNECTED);
    rig.subscribe(A, &recoverable());
    for _ in 0..8 {
        rig.refuse(100, true);
        rig.wait();
    }
    rig.close(3001);
    rig.wait();
    rig.forget();
    rig.machine.opened(rig.now, 2);
    assert_eq!(rig.sent().len(), 2);
}

#[test]
fn no_answer_to_a_subscribe_is_no_connection() {
    let mut rig = Rig::connected(settings(), CONNECTED);
    rig.subscribed(A, &recoverable(), "{}");
    rig.subscribe(B, &recoverable());
    rig.forget();
    assert_eq!(rig.wait(), S(5));
    assert_eq!(rig.told(), ["close", "connecting 3", "1: subscribing 1"]);
}

#[test]
fn an_unsubscribe_that_fails_is_no_connection() {
    for refused in [true, false] {
        let mut rig = Rig::connected(settings(), CONNECTED);
        rig.subscribed(A, &recoverable(), "{}");
        rig.quiet();
        rig.machine.unsubscribe(rig.now, A);
        if refused {
            rig.refuse(103, false);
        } else {
            assert_eq!(rig.wait(), S(5));
        }
        assert_eq!(rig.told(), ["1: unsubscribed 0", "close", "connecting 4"]);
    }
}

#[test]
fn an_answer_to_what_was_taken_back_counts_for_nothing() {
    let mut rig = Rig::connected(settings(), CONNECTED);
    rig.subscribe(A, &recoverable());
    let (first, _) = rig.sent().remove(0);
    rig.machine.unsubscribe(rig.now, A);
    rig.subscribe(A, &recoverable());
    let sent = rig.sent();
    assert_eq!(sent[0].1, r#"{"unsubscribe":{"channel":"c1"}}"#);
    assert!(sent[1].1.starts_with(r#"{"subscribe""#));
    rig.forget();
    rig.hear(&format!(r#"{{"id":{first},"subscribe":{{}}}}"#));
    rig.hear(r#"{"push":{"channel":"c1","pub":{"data":1}}}"#);
    assert_eq!(rig.told(), Vec::<String>::new());
    rig.hear(&format!(r#"{{"id":{},"subscribe":{{}}}}"#, sent[1].0));
    assert_eq!(rig.told(), ["1: subscribed"]);
}

#[test]
fn unsubscribed_while_not_connected_says_nothing_to_the_server() {
    let mut rig = Rig::new(settings());
    rig.subscribe(A, &recoverable());
    rig.machine.unsubscribe(rig.now, A);
    rig.machine.unsubscribe(rig.now, A);
    assert_eq!(rig.told(), ["1: subscribing 0", "1: unsubscribed 0"]);
    rig.machine.connect();
    rig.greet(CONNECTED);
    assert!(rig.sent().is_empty());
}

#[test]
fn tokens_of_a_subscription() {
    let mut rig = Rig::connected(settings(), CONNECTED);
    rig.subscribe(A, &with_source());
    rig.give_token(Err(TokenError::other("away")));
    assert_eq!(rig.told(), ["1: error: no token: away"]);
    rig.wait();
    rig.give_token(Ok("t1"));
    let sent = rig.sent();
    assert_eq!(sent[0].1, r#"{"subscribe":{"channel":"c1","token":"t1","recoverable":true}}"#);
    rig.hear(&format!(r#"{{"id":{},"subscribe":{{}}}}"#, sent[0].0));
    // The same token again after a lost connection; another one when it expired.
    rig.hear(r#"{"push":{"channel":"c1","unsubscribe":{"code":2500,"reason":"why"}}}"#);
    rig.wait();
    assert!(rig.sent()[0].1.contains(r#""token":"t1""#));
    let mut rig = Rig::connected(settings(), CONNECTED);
    rig.subscribe(A, &with_source());
    rig.give_token(Ok("t1"));
    rig.answer("subscribe", "{}");
    rig.hear(r#"{"push":{"channel":"c1","unsubscribe":{"code":2501,"reason":"why"}}}"#);
    rig.wait();
    assert_eq!(rig.told().last().unwrap(), "SubscriptionToken(SubscriptionId(1))");
}

#[test]
fn who_is_not_authorized_is_unsubscribed() {
    for none in [Err(TokenError::Unauthorized), Ok("")] {
        let mut rig = Rig::connected(settings(), CONNECTED);
        rig.subscribe(A, &with_source());
        rig.give_token(none);
        assert_eq!(rig.told(), ["1: unsubscribed 1"]);
    }
    let mut rig = Rig::connected(settings(), CONNECTED);
    rig.subscribe(A, &Terms { token: Some("t".into()), ..recoverable() });
    rig.quiet();
    rig.refuse(109, false);
    assert_eq!(rig.told(), ["1: unsubscribed 1"]);
}

#[test]
fn disconnecting_leaves_subscriptions_wanting() {
    let mut rig = Rig::connected(settings(), CONNECTED);
    rig.subscribed(A, &recoverable(), "{}");
    rig.subscribe(B, &with_source());
    rig.forget();
    rig.machine.disconnect();
    assert_eq!(
        {
            let mut told = rig.told();
            told.sort();
            told
        },
        ["1: subscribing 1", "abandon", "close", "disconnected 0"]
    );
    rig.machine.connect();
    rig.machine.opened(rig.now, 2);
    assert_eq!(rig.sent().len(), 2, "connect and A");
}

#[test]
fn removed_ones_are_forgotten() {
    let mut rig = Rig::connected(settings(), CONNECTED);
    rig.subscribed(A, &recoverable(), "{}");
    rig.machine.remove(rig.now, A);
    assert_eq!(rig.told().last().unwrap(), "1: unsubscribed 0");
    assert!(rig.machine.subscriptions.is_empty() && rig.machine.by_channel.is_empty());
}

#[test]
fn joins_and_leaves() {
    let mut rig = Rig::connected(settings(), CONNECTED);
    rig.subscribed(A, &Terms { join_leave: true, ..Terms::default() }, "{}");
    rig.forget();
    rig.hear(r#"{"push":{"channel":"c1","join":{"info":{"user":"u","client":"k"}}}}"#);
    rig.hear(r#"{"push":{"channel":"c1","leave":{"info":{"user":"u","client":"k"}}}}"#);
    let told = rig.told();
    assert!(told[0].starts_with("1: Join(") && told[1].starts_with("1: Leave("), "{told:?}");
}

#[test]
fn joined_publications_come_one_by_one_with_who_published_them() {
    let mut rig = Rig::connected(settings(), CONNECTED);
    rig.subscribed(A, &recoverable(), "{}");
    rig.forget();
    let push = |data: &str, form: &str| {
        format!(
            r#"{{"push":{{"channel":"c1","pub":{{"data":{data},"tags":{{"sealcast-batch":"{form}","a":"b"}},"info":{{"user":"ada","client":"k"}}}}}}}}"#
        )
    };
    rig.hear(&push(r#"{"batch":[{"n":1},{"n":2}]}"#, "json"));
    rig.collect();
    for (output, data) in rig.outputs.iter().zip([r#"{"n":1}"#, r#"{"n":2}"#]) {
        let Output::SubscriptionEvent(A, SubscriptionEvent::Publication(publication)) = output
        else {
            panic!("{output:?}");
        };
        assert_eq!(publication.data, data);
        assert_eq!(publication.info.as_ref().map(|info| &*info.user), Some("ada"));
        assert_eq!(publication.tags.len(), 1, "without the one that told how it was joined");
    }
    assert_eq!(rig.told().len(), 2);
    // What only looks like one, or is broken, stays whole.
    rig.hear(&push(r#"{"batch":7}"#, "json"));
    rig.hear(&push(r#"{"batch":[1]}"#, "else"));
    rig.hear(r#"{"push":{"channel":"c1","pub":{"data":{"batch":[1,2]}}}}"#);
    assert_eq!(rig.told(), [r#"1: {"batch":7}"#, r#"1: {"batch":[1]}"#, r#"1: {"batch":[1,2]}"#]);
}
