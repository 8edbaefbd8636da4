//! Calls: those that wait for a connection, and those that wait for a reply.

use super::*;

const CONNECTED: &str = r#"{"client":"x"}"#;

type Answer = oneshot::Receiver<Result<sealcast_wire::Body, CallError>>;

#[track_caller]
fn error(answer: &mut Answer) -> CallError {
    answer.try_recv().expect("an answer").expect_err("an error")
}

#[track_caller]
fn waits(answer: &mut Answer) {
    assert!(matches!(answer.try_recv(), Err(oneshot::error::TryRecvError::Empty)));
}

#[test]
fn calls_wait_for_the_connection_and_go_out_in_order_and_once() {
    let mut rig = Rig::new(settings());
    rig.machine.connect();
    let mut first = rig.publish(None, 1);
    let mut second = rig.publish(None, 2);
    assert!(rig.sent().is_empty());
    rig.greet(CONNECTED);
    let sent = rig.sent();
    let expected = ["x", "xx"].map(|it| format!(r#"{{"presence":{{"channel":"{it}"}}}}"#));
    assert_eq!(sent.iter().map(|(_, it)| it.clone()).collect::<Vec<_>>(), expected);
    waits(&mut first);
    rig.hear(&format!(r#"{{"id":{},"presence":{{"presence":{{}}}}}}"#, sent[0].0));
    assert!(first.try_recv().unwrap().is_ok());
    // The other was sent; it may have taken effect, and is not sent again.
    rig.close(3001);
    assert_eq!(error(&mut second), CallError::Unanswered);
    rig.wait();
    let number = rig.open();
    rig.machine.opened(rig.now, number);
    assert_eq!(rig.sent().len(), 1, "the connect command only");
}

#[test]
fn what_may_wait_is_bounded() {
    let mut rig = Rig::new(settings());
    rig.machine.connect();
    let mut kept: Vec<_> = (0..3).map(|_| rig.publish(None, 1)).collect();
    assert_eq!(error(&mut rig.publish(None, 1)), CallError::BufferFull, "in number");
    kept.iter_mut().for_each(waits);
    kept.clear();
    let mut large = rig.publish(None, 120);
    waits(&mut large);
    assert_eq!(error(&mut rig.publish(None, 120)), CallError::BufferFull, "in bytes");
    drop(large);
    waits(&mut rig.publish(None, 120));
}

#[test]
fn nobody_waits_forever() {
    let mut rig = Rig::new(settings());
    rig.machine.connect();
    let mut early = rig.publish(None, 1);
    rig.pass(S(4));
    let mut late = rig.publish(None, 1);
    rig.pass(S(6));
    assert_eq!(error(&mut early), CallError::NotConnected);
    waits(&mut late);
    rig.pass(S(4));
    assert_eq!(error(&mut late), CallError::NotConnected);
    assert_eq!(rig.machine.calls_deadline(), None);

    let mut rig = Rig::connected(settings(), CONNECTED);
    let mut unanswered = rig.publish(None, 1);
    let (id, _) = rig.sent().remove(0);
    rig.pass(S(5));
    assert_eq!(error(&mut unanswered), CallError::Timeout);
    // What comes later finds nobody, and harms nobody.
    rig.hear(&format!(r#"{{"id":{id},"presence":{{"presence":{{}}}}}}"#));
    assert_eq!(rig.told(), Vec::<String>::new());
}

#[test]
fn who_only_waits_to_be_ready_is_patient_and_sends_nothing() {
    let mut rig = Rig::new(settings());
    rig.machine.connect();
    let (reply, mut ready) = oneshot::channel();
    let call = Call { id: 0, command: Vec::new(), patient: true, within: None, reply };
    rig.machine.call(rig.now, call);
    let mut other = rig.publish(None, 1);
    rig.pass(S(20));
    assert_eq!(error(&mut other), CallError::NotConnected);
    waits(&mut ready);
    rig.greet(CONNECTED);
    assert!(ready.try_recv().unwrap().is_ok());
    assert!(rig.sent().is_empty());
}

#[test]
fn who_gives_up_before_it_was_sent_does_not_send() {
    let mut rig = Rig::new(settings());
    rig.machine.connect();
    drop(rig.publish(None, 1));
    rig.greet(CONNECTED);
    assert!(rig.sent().is_empty());
}

#[test]
fn disconnected_means_no() {
    let mut rig = Rig::new(settings());
    assert!(matches!(error(&mut rig.publish(None, 1)), CallError::Disconnected(_)));
    rig.machine.connect();
    let mut waiting = rig.publish(None, 1);
    rig.machine.disconnect();
    assert!(matches!(error(&mut waiting), CallError::Disconnected(cause) if cause.code == 0));
    let mut rig = Rig::connected(settings(), CONNECTED);
    let mut sent = rig.publish(None, 1);
    rig.close(3500);
    assert_eq!(error(&mut sent), CallError::Unanswered);
    assert!(matches!(
        error(&mut rig.publish(None, 1)),
        CallError::Disconnected(cause) if cause.code == 3500
    ));
}

#[test]
fn refusals_reach_their_calls() {
    let mut rig = Rig::connected(settings(), CONNECTED);
    let mut call = rig.publish(None, 1);
    rig.refuse(103, false);
    let refused = CallError::Refused { code: 103, message: "no".into(), temporary: false };
    assert_eq!(error(&mut call), refused);
}

#[test]
fn calls_on_a_subscription_wait_for_it() {
    let mut rig = Rig::connected(settings(), CONNECTED);
    assert!(matches!(error(&mut rig.publish(Some(A), 1)), CallError::Unsubscribed(_)));
    rig.subscribe(A, &recoverable());
    let (id, _) = rig.sent().remove(0);
    let mut call = rig.publish(Some(A), 1);
    waits(&mut call);
    rig.hear(&format!(r#"{{"id":{id},"subscribe":{{}}}}"#));
    assert_eq!(rig.sent().len(), 1);
    // While it comes back they wait again, and end with it.
    rig.hear(r#"{"push":{"channel":"c1","unsubscribe":{"code":2500,"reason":"why"}}}"#);
    let mut call = rig.publish(Some(A), 1);
    waits(&mut call);
    rig.machine.unsubscribe(rig.now, A);
    assert!(matches!(error(&mut call), CallError::Unsubscribed(cause) if cause.code == 0));
}

#[test]
fn messages_without_a_reply_are_done_when_sent() {
    let mut rig = Rig::connected(settings(), CONNECTED);
    let (reply, mut done) = oneshot::channel();
    let command = br#"{"send":{"data":1}}"#.to_vec();
    rig.machine.call(rig.now, Call { id: 0, command, patient: false, within: None, reply });
    assert_eq!(rig.sent()[0], (0, r#"{"send":{"data":1}}"#.into()));
    assert!(done.try_recv().unwrap().is_ok());
}
