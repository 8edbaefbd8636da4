//! Tokens that expire.

use super::*;

fn with_source() -> Settings {
    Settings { has_token_source: true, ..settings() }
}

fn expiring() -> Rig {
    let mut rig = Rig::new(with_source());
    rig.machine.connect();
    rig.give_token(Ok("t1"));
    rig.greet(r#"{"client":"x","expires":true,"ttl":60}"#);
    rig.forget();
    rig
}

fn expiring_subscription() -> Rig {
    let mut rig = Rig::connected(settings(), r#"{"client":"x"}"#);
    rig.subscribe(A, &Terms { has_token_source: true, ..recoverable() });
    rig.give_token(Ok("t1"));
    rig.answer("subscribe", r#"{"expires":true,"ttl":60}"#);
    rig.forget();
    rig
}

#[test]
fn a_token_is_refreshed_before_it_expires() {
    for ttl in [1, 60, 4_000_000_000_u32] {
        let mut rig = Rig::new(with_source());
        rig.machine.connect();
        rig.give_token(Ok("t1"));
        rig.greet(&format!(r#"{{"client":"x","expires":true,"ttl":{ttl}}}"#));
        rig.forget();
        let waited = rig.wait();
        let ttl = S(ttl.into());
        assert!(waited < ttl && waited >= ttl - (ttl / 4).min(S(30)), "{waited:?} of {ttl:?}");
        assert_eq!(rig.asked().1, Fetch::ConnectionToken);
    }
}

#[test]
fn a_refreshed_token_is_refreshed_again() {
    let mut rig = expiring();
    rig.wait();
    rig.give_token(Ok("t2"));
    let sent = rig.sent();
    assert_eq!(sent[0].1, r#"{"refresh":{"token":"t2"}}"#);
    rig.hear(&format!(r#"{{"id":{},"refresh":{{"expires":true,"ttl":100}}}}"#, sent[0].0));
    assert_eq!(rig.told(), Vec::<String>::new());
    assert!((S(75)..S(100)).contains(&rig.wait()));
    rig.give_token(Ok("t3"));
    rig.answer("refresh", "{}");
    assert_eq!(rig.machine.deadline(), None, "it does not expire any more");
    // The latest token is what it comes back with.
    rig.close(3001);
    rig.wait();
    let number = rig.open();
    rig.machine.opened(rig.now, number);
    assert!(rig.sent()[0].1.contains("t3"));
}

#[test]
fn a_refresh_that_fails_is_tried_again() {
    type Fail = fn(&mut Rig);
    let failures: [(Fail, &str); 4] = [
        (|rig| rig.give_token(Err(TokenError::other("away"))), "error: no token: away"),
        (
            |rig| {
                rig.give_token(Ok("t2"));
                rig.refuse(100, true);
            },
            "error: error 100: no",
        ),
        (
            |rig| {
                rig.give_token(Ok("t2"));
                rig.refuse(42, false);
            },
            "error: error 42: no",
        ),
        (
            |rig| {
                rig.give_token(Ok("t2"));
                assert_eq!(rig.wait(), S(5));
            },
            "error: no answer in time",
        ),
    ];
    for (fail, told) in failures {
        let mut rig = expiring();
        for _ in 0..3 {
            rig.wait();
            fail(&mut rig);
            assert_eq!(rig.told(), [told]);
            let until = rig.machine.deadline().unwrap() - rig.now;
            assert!((S(5)..=S(10)).contains(&until), "{until:?}");
        }
        let mut rig = expiring_subscription();
        for _ in 0..3 {
            rig.wait();
            fail(&mut rig);
            assert_eq!(rig.told(), [format!("1: {told}")]);
            let until = rig.machine.deadline().unwrap() - rig.now;
            assert!((S(5)..=S(10)).contains(&until), "{until:?}");
        }
    }
}

#[test]
fn a_refresh_that_is_refused_ends_it() {
    for code in [103, 109, 110] {
        let mut rig = expiring();
        rig.wait();
        rig.give_token(Ok("t2"));
        rig.refuse(code, false);
        assert_eq!(rig.told(), ["close".into(), format!("disconnected {code}")]);
        let mut rig = expiring_subscription();
        rig.wait();
        rig.give_token(Ok("t2"));
        let sent = rig.sent();
        assert_eq!(sent[0].1, r#"{"sub_refresh":{"channel":"c1","token":"t2"}}"#);
        let error = format!(r#"{{"code":{code},"message":"no"}}"#);
        rig.hear(&format!(r#"{{"id":{},"error":{error}}}"#, sent[0].0));
        assert_eq!(rig.told(), [format!("1: unsubscribed {code}")]);
        assert_eq!(rig.sent()[0].1, r#"{"unsubscribe":{"channel":"c1"}}"#);
    }
}

#[test]
fn who_gets_no_token_any_more_is_done() {
    let mut rig = expiring();
    rig.wait();
    rig.give_token(Err(TokenError::Unauthorized));
    assert_eq!(rig.told(), ["close", "disconnected 1"]);
    let mut rig = expiring_subscription();
    rig.wait();
    rig.give_token(Err(TokenError::Unauthorized));
    assert_eq!(rig.told(), ["1: unsubscribed 1"]);
    assert_eq!(rig.sent()[0].1, r#"{"unsubscribe":{"channel":"c1"}}"#);
}

#[test]
fn without_a_source_the_server_ends_it() {
    let mut rig = Rig::connected(settings(), r#"{"client":"x","expires":true,"ttl":60}"#);
    rig.subscribed(A, &recoverable(), r#"{"expires":true,"ttl":60}"#);
    assert_eq!(rig.machine.deadline(), None);
}

#[test]
fn the_server_may_set_another_time() {
    let mut rig = expiring();
    rig.hear(r#"{"push":{"refresh":{"expires":true,"ttl":1000}}}"#);
    assert!(rig.wait() >= S(970));
    let mut rig = expiring();
    rig.hear(r#"{"push":{"refresh":{}}}"#);
    assert_eq!(rig.machine.deadline(), None);
}

#[test]
fn a_refreshed_subscription_is_refreshed_again() {
    let mut rig = expiring_subscription();
    rig.wait();
    rig.give_token(Ok("t2"));
    rig.answer("sub_refresh", r#"{"expires":true,"ttl":100}"#);
    assert!((S(75)..S(100)).contains(&rig.wait()));
    // A lost connection ends the asking.
    rig.close(3001);
    assert!(rig.told().contains(&"abandon".to_owned()));
}
