//! Connecting, coming back, and staying away.

use super::*;

fn with_source() -> Settings {
    Settings { has_token_source: true, ..settings() }
}

const CONNECTED: &str = r#"{"client":"x","ping":25,"pong":true}"#;

#[test]
fn connects_and_greets() {
    let mut rig = Rig::new(Settings { token: Some("t".into()), ..settings() });
    rig.machine.connect();
    rig.machine.connect();
    assert_eq!(rig.told(), ["connecting 0", "open"]);
    rig.machine.opened(rig.now, 1);
    let sent = rig.sent();
    assert_eq!(sent[0].1, r#"{"connect":{"token":"t","name":"rust","version":"1"}}"#);
    rig.hear(&format!(r#"{{"id":{},"connect":{CONNECTED}}}"#, sent[0].0));
    assert_eq!(rig.told(), ["connected"]);
    rig.machine.disconnect();
    rig.machine.disconnect();
    assert_eq!(rig.told(), ["close", "disconnected 0"]);
    assert_eq!(rig.machine.deadline(), None, "nothing goes on");
}

#[test]
fn waits_longer_each_time_within_the_bounds_and_not_in_step() {
    let mut waits = Vec::new();
    for seed in 0..50 {
        let mut rig = Rig::seeded(settings(), seed);
        rig.machine.connect();
        for failures in 0..12_u32 {
            rig.open();
            rig.forget();
            rig.lose(Loss::NotOpened("no".into(), Duration::ZERO));
            assert_eq!(rig.told(), ["error: cannot open the connection: no", "close"]);
            let waited = rig.wait();
            let spread = Duration::from_millis(500 << failures.min(10)).min(S(20));
            assert!(waited >= Duration::from_millis(500), "{waited:?}");
            assert!(waited <= (Duration::from_millis(500) + spread).min(S(20)), "{waited:?}");
            if failures == 4 {
                waits.push(waited);
            }
        }
        // Success forgets the failures.
        rig.greet(CONNECTED);
        rig.close(3001);
        assert!(rig.wait() <= S(1));
    }
    let (least, most) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
    assert!(*least < S(2) && *most > S(7), "spread over the range: {least:?} to {most:?}");
    waits.dedup();
    assert!(waits.len() > 40);
}

#[test]
fn waits_as_long_as_the_server_asks_and_not_for_ever() {
    let mut rig = Rig::new(settings());
    rig.machine.connect();
    for (asked, least) in [(S(7), S(7)), (S(0), S(0)), (S(1_000_000), S(300))] {
        rig.open();
        rig.forget();
        rig.lose(Loss::NotOpened("no".into(), asked));
        let waited = rig.wait();
        assert!((least..=least + S(20)).contains(&waited), "{asked:?}: {waited:?}");
    }
}

#[test]
fn every_close_code_does_what_the_protocol_says() {
    let terminal = |code: u16| matches!(code, 1009 | 3500..=3999 | 4500..=4999);
    for code in (1000..=1015)
        .chain(3000..=3020)
        .chain(3490..=3510)
        .chain([3999, 4000, 4499, 4500, 4999, 5000, 65_535])
    {
        let mut rig = Rig::connected(settings(), CONNECTED);
        rig.close(code);
        let told = rig.told();
        if terminal(code) {
            let shown = if code == 1009 { 3 } else { code };
            assert_eq!(told, ["close".into(), format!("disconnected {shown}")]);
            assert_eq!(rig.machine.deadline(), None);
        } else {
            let shown = if code < 3000 { 1 } else { code };
            assert_eq!(told, ["close".into(), format!("connecting {shown}")]);
            rig.wait();
            assert_eq!(rig.told(), ["open"]);
        }

        // The same before the connect command is answered.
        let mut rig = Rig::new(settings());
        rig.machine.connect();
        let number = rig.open();
        rig.machine.opened(rig.now, number);
        rig.forget();
        rig.close(code);
        let told = rig.told();
        assert_eq!(told.last().is_some_and(|it| it.starts_with("disconnected")), terminal(code));
        assert_eq!(rig.machine.deadline().is_none(), terminal(code));
    }
}

#[test]
fn a_refused_connect_is_tried_again_if_that_can_help() {
    for code in (1..=3).chain(99..=113).chain([400, 1999]) {
        for temporary in [false, true] {
            let mut rig = Rig::new(with_source());
            rig.machine.connect();
            rig.give_token(Ok("t1"));
            let number = rig.open();
            rig.machine.opened(rig.now, number);
            rig.quiet();
            rig.refuse(code, temporary);
            if code < 100 || temporary || code == 109 {
                assert_eq!(rig.told(), [format!("error: error {code}: no"), "close".into()]);
                rig.wait();
                let next = if code == 109 { "ConnectionToken" } else { "open" };
                assert_eq!(rig.told(), [next]);
            } else {
                assert_eq!(rig.told(), ["close".into(), format!("disconnected {code}")]);
                assert_eq!(rig.machine.deadline(), None);
            }
        }
    }
}

#[test]
fn an_expired_token_without_a_source_ends_it() {
    let mut rig = Rig::new(Settings { token: Some("t".into()), ..settings() });
    rig.machine.connect();
    let number = rig.open();
    rig.machine.opened(rig.now, number);
    rig.quiet();
    rig.refuse(109, false);
    assert_eq!(rig.told(), ["close", "disconnected 1"]);
}

#[test]
fn silence_of_the_server_is_noticed() {
    let mut rig = Rig::connected(settings(), CONNECTED);
    rig.pass(S(34));
    rig.machine.heard(rig.now);
    rig.pass(S(34));
    assert_eq!(rig.told(), Vec::<String>::new());
    assert_eq!(rig.wait(), S(1));
    assert_eq!(rig.told(), ["close", "connecting 2"]);
}

#[test]
fn a_server_without_pings_may_be_silent() {
    let mut rig = Rig::connected(settings(), r#"{"client":"x"}"#);
    assert_eq!(rig.machine.deadline(), None);
    rig.pass(S(10_000));
    assert_eq!(rig.told(), Vec::<String>::new());
}

#[test]
fn the_server_is_not_blamed_while_nothing_is_read() {
    let mut rig = Rig::connected(settings(), CONNECTED);
    rig.subscribe(A, &recoverable());
    rig.forget();
    rig.now += S(60);
    rig.machine.resumed(rig.now);
    rig.machine.elapse(rig.now);
    assert_eq!(rig.told(), Vec::<String>::new());
    assert_eq!(rig.wait(), S(5), "for the subscribe command");
    assert_eq!(rig.told(), ["close", "connecting 3"]);
}

#[test]
fn no_answer_to_the_connect_command() {
    let mut rig = Rig::new(settings());
    rig.machine.connect();
    let number = rig.open();
    rig.machine.opened(rig.now, number);
    rig.forget();
    assert_eq!(rig.wait(), S(5));
    assert_eq!(rig.told(), ["error: no answer in time", "close"]);
    assert!(rig.wait() <= S(1));
    assert_eq!(rig.told(), ["open"]);
}

#[test]
fn a_broken_server_is_left_for_good() {
    for (loss, code) in [(Loss::Broken, 2), (Loss::TooLarge, 3)] {
        let mut rig = Rig::connected(settings(), CONNECTED);
        rig.lose(loss);
        assert_eq!(rig.told(), ["close".into(), format!("disconnected {code}")]);
    }
    let mut rig = Rig::connected(settings(), CONNECTED);
    rig.subscribe(A, &recoverable());
    rig.answer("publish", "{}");
    assert_eq!(rig.told().last().unwrap(), "disconnected 2");
}

#[test]
fn tokens_come_from_the_source() {
    let mut rig = Rig::new(with_source());
    rig.machine.connect();
    assert_eq!(rig.told(), ["connecting 0", "ConnectionToken"]);
    // The application has none for now.
    let ticket = Ticket(1);
    let none = Err(TokenError::other("away"));
    rig.machine.token(rig.now, ticket, Fetch::ConnectionToken, none.clone());
    assert_eq!(rig.told(), ["error: no token: away"]);
    assert!(rig.wait() <= S(1));
    rig.give_token(Ok("t1"));
    rig.greet(CONNECTED);
    rig.forget();
    // Late answers count for nothing.
    rig.machine.token(rig.now, ticket, Fetch::ConnectionToken, none);
    assert_eq!(rig.told(), Vec::<String>::new());
    // A lost connection needs no new token; an expired one does.
    rig.close(3001);
    rig.wait();
    assert_eq!(rig.told(), ["close", "connecting 3001", "open"]);
    rig.close(3005);
    rig.wait();
    assert_eq!(rig.told().last().unwrap(), "ConnectionToken");
}

#[test]
fn who_is_not_authorized_is_disconnected() {
    for none in [Err(TokenError::Unauthorized), Ok("")] {
        let mut rig = Rig::new(with_source());
        rig.machine.connect();
        rig.give_token(none);
        assert_eq!(rig.told(), ["disconnected 1"]);
        // Asked again when told to connect again.
        rig.machine.connect();
        assert_eq!(rig.told(), ["connecting 0", "ConnectionToken"]);
        rig.machine.disconnect();
        assert_eq!(rig.told(), ["abandon", "disconnected 0"]);
    }
}

#[test]
fn a_refused_token_is_not_shown_again() {
    for close in [true, false] {
        let mut rig = Rig::new(with_source());
        rig.machine.connect();
        rig.give_token(Ok("bad"));
        let number = rig.open();
        rig.machine.opened(rig.now, number);
        rig.quiet();
        if close {
            rig.close(3500)
        } else {
            rig.refuse(103, false)
        }
        assert!(rig.told().last().unwrap().starts_with("disconnected"));
        rig.machine.connect();
        assert_eq!(rig.told(), ["connecting 0", "ConnectionToken"]);
    }
}

#[test]
fn what_a_former_connection_does_counts_for_nothing() {
    let mut rig = Rig::connected(settings(), CONNECTED);
    rig.close(3001);
    rig.wait();
    rig.forget();
    rig.machine.lost(rig.now, 1, Loss::Closed { code: 3500, reason: "old".into() });
    rig.machine.opened(rig.now, 1);
    assert_eq!(rig.told(), Vec::<String>::new());
    assert!(rig.sent().is_empty());
}

#[test]
fn a_disconnect_push_is_a_close() {
    let mut rig = Rig::connected(settings(), CONNECTED);
    rig.hear(r#"{"push":{"disconnect":{"code":3503,"reason":"force disconnect"}}}"#);
    assert_eq!(rig.told(), ["close", "disconnected 3503"]);
}
