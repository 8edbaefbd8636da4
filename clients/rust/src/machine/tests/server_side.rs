//! Subscriptions that the server makes.

use super::*;

const CONNECTED: &str = r#"{"client":"x","subs":{"s":{"recoverable":true,"positioned":true,"epoch":"e","offset":4},"plain":{}}}"#;

fn names(told: &[String]) -> Vec<String> {
    let short = |it: &String| it.split(" {").next().unwrap_or_default().to_owned();
    told.iter().map(short).collect()
}

#[test]
fn they_keep_their_positions_over_connections() {
    let mut rig = Rig::new(settings());
    rig.machine.connect();
    rig.greet(CONNECTED);
    let told = rig.told();
    assert_eq!(names(&told)[2..], ["connected", "ServerSubscribed", "ServerSubscribed"]);
    rig.hear(r#"{"push":{"channel":"s","pub":{"data":5,"offset":5}}}"#);
    rig.hear(r#"{"push":{"channel":"plain","pub":{"data":1}}}"#);
    rig.hear(r#"{"push":{"channel":"unknown","pub":{"data":1}}}"#);
    assert_eq!(rig.told(), ["s: 5", "plain: 1"]);

    rig.close(3001);
    let told = names(&rig.told());
    assert_eq!(told, ["close", "connecting 3001", "ServerSubscribing", "ServerSubscribing"]);
    rig.wait();
    let number = rig.open();
    rig.machine.opened(rig.now, number);
    let sent = rig.sent();
    let subs = r#""subs":{"s":{"recover":true,"epoch":"e","offset":5}}"#;
    assert!(sent[0].1.contains(subs), "{sent:?}");
    let result = r#"{"client":"y","subs":{"s":{"recoverable":true,"epoch":"e","offset":5,"was_recovering":true,"recovered":true,"publications":[{"data":6,"offset":6}]}}}"#;
    rig.quiet();
    rig.hear(&format!(r#"{{"id":{},"connect":{result}}}"#, sent[0].0));
    let told = rig.told();
    assert_eq!(
        names(&told),
        ["connected", "ServerUnsubscribed", "ServerSubscribed", "s: 6"],
        "the other was not made again"
    );
    assert!(told[2].contains("recovered: true"), "{told:?}");
}

#[test]
fn they_come_and_go_while_connected() {
    let mut rig = Rig::connected(settings(), r#"{"client":"x"}"#);
    rig.hear(r#"{"push":{"channel":"s","subscribe":{"recoverable":true,"epoch":"e","offset":3}}}"#);
    rig.hear(r#"{"push":{"channel":"s","join":{"info":{"user":"u","client":"k"}}}}"#);
    rig.hear(r#"{"push":{"channel":"s","pub":{"data":4,"offset":4}}}"#);
    rig.hear(r#"{"push":{"channel":"s","leave":{"info":{"user":"u","client":"k"}}}}"#);
    rig.hear(
        r#"{"push":{"channel":"s","unsubscribe":{"code":2000,"reason":"server unsubscribe"}}}"#,
    );
    rig.hear(r#"{"push":{"channel":"s","pub":{"data":5,"offset":5}}}"#);
    assert_eq!(
        names(&rig.told()),
        ["ServerSubscribed", "ServerJoin", "s: 4", "ServerLeave", "ServerUnsubscribed"]
    );
    rig.close(3001);
    rig.wait();
    let number = rig.open();
    rig.machine.opened(rig.now, number);
    assert!(!rig.sent()[0].1.contains("subs"));
}

#[test]
fn they_outlive_a_disconnect_that_the_application_wants() {
    let mut rig = Rig::connected(settings(), CONNECTED);
    rig.machine.disconnect();
    rig.machine.connect();
    let number = rig.open();
    rig.machine.opened(rig.now, number);
    assert!(rig.sent()[0].1.contains(r#""subs":{"s":{"recover":true"#));
}

#[test]
fn no_server_makes_the_client_grow() {
    let mut rig = Rig::connected(settings(), r#"{"client":"x"}"#);
    for number in 0..2000 {
        rig.hear(&format!(
            r#"{{"push":{{"channel":"s{number}","subscribe":{{"recoverable":true}}}}}}"#
        ));
    }
    assert_eq!(rig.told().len(), 1024);
    rig.close(3001);
    rig.wait();
    let number = rig.open();
    rig.machine.opened(rig.now, number);
    assert_eq!(rig.sent()[0].1.matches("recover\":").count(), 128, "what a server takes");
}

#[test]
fn messages_come_through() {
    let mut rig = Rig::connected(settings(), r#"{"client":"x"}"#);
    rig.hear(r#"{"push":{"message":{"data":{"a":1}}}}"#);
    let data = bytes::Bytes::from_static(br#"{"a":1}"#);
    assert_eq!(rig.outputs, [Output::Event(Event::Message(data))]);
}

#[test]
fn joined_publications_come_one_by_one() {
    let mut rig = Rig::connected(settings(), CONNECTED);
    rig.hear(
        r#"{"push":{"channel":"plain","pub":{"data":{"batch":[1,"two"]},"tags":{"sealcast-batch":"json"}}}}"#,
    );
    assert_eq!(rig.told(), ["plain: 1", "plain: \"two\""]);
}
