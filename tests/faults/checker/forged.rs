//! The checker against logs that are forged: clean ones, and one for each violation.

use super::{
    Answer, Attempt, Heard, Id, Lineage, Log, Place, Published, Stream, Violation, What, Wrong,
    check, explain, latency_elsewhere, percentile, recovery,
};

const COUNT: u64 = 9;

fn place(epoch: &str, offset: u64) -> Place {
    Place { epoch: epoch.into(), offset }
}

fn acked(id: Id, sent: u64, place: Option<Place>) -> Published {
    let attempt = Attempt { sent, answered: sent + 5, answer: Answer::Acked(place) };
    Published { id, channel: 0, attempts: vec![attempt] }
}

fn came(at: u64, offset: u64, id: Id) -> Heard {
    Heard { at, what: What::Publication { offset, id: Some(id) } }
}

fn subscribed(at: u64, top: Place, recovered: Option<bool>) -> Heard {
    Heard { at, what: What::Subscribed { top, recovered } }
}

fn left(at: u64, code: u32) -> Heard {
    Heard { at, what: What::Left(code) }
}

/// Ids 1 to 9 at offsets 1 to 9 of `e`, sent every 100 ms, to two subscribers; every
/// other answer says where.
fn clean() -> Log {
    let published = (1..=COUNT)
        .map(|n| acked(n, n * 100, n.is_multiple_of(2).then(|| place("e", n))))
        .collect();
    let mut heard = vec![subscribed(1, place("e", 0), None)];
    heard.extend((1..=COUNT).map(|n| came(n * 100 + 10, n, n)));
    let lineage = Lineage { heard, ..Lineage::default() };
    let entries = (1..=COUNT).map(|n| (n, n)).collect();
    let streams = vec![Stream { channel: 0, epoch: "e".into(), entries }];
    Log { published, lineages: vec![lineage.clone(), lineage], streams }
}

/// Nothing is wrong; how often each was told, and sent away.
#[track_caller]
fn holds(log: &Log) -> [Vec<usize>; 2] {
    let verdict = check(log);
    assert_eq!(verdict.violations, [], "of a clean log");
    [verdict.told, verdict.sent_away]
}

/// There is this, and nothing else.
#[track_caller]
fn shows(log: &Log, wrong: &[Wrong]) -> Vec<Violation> {
    let violations = check(log).violations;
    let found: Vec<_> = violations.iter().map(|violation| violation.wrong.clone()).collect();
    assert_eq!(found, wrong);
    violations
}

#[test]
fn what_is_clean_is_found_clean() {
    assert_eq!(holds(&clean()), [[0, 0], [0, 0]]);
}

#[test]
fn who_comes_back_and_has_what_was_missed_is_not_told_anything() {
    let mut log = clean();
    let heard = &mut log.lineages[0].heard;
    heard.splice(4..4, [left(350, 1), subscribed(390, place("e", 4), Some(true))]);
    assert_eq!(holds(&log), [[0, 0], [0, 0]]);
}

#[test]
fn who_is_told_may_miss_what_was_before() {
    for code in [1, 2500] {
        let mut log = clean();
        let heard = &mut log.lineages[1].heard;
        // 4 to 6 are missing.
        heard.splice(4..7, [left(350, code), subscribed(650, place("e", 6), Some(false))]);
        assert_eq!(holds(&log), [[0, 1], [0, usize::from(code == 2500)]]);
    }
}

#[test]
fn who_is_sent_away_and_misses_nothing_was_not_told_anything() {
    let mut log = clean();
    let heard = &mut log.lineages[1].heard;
    heard.splice(4..4, [left(350, 2500), subscribed(390, place("e", 3), Some(true))]);
    assert_eq!(holds(&log), [[0, 0], [0, 1]]);
}

/// Everything from 5 on stands in another stream, as after a snapshot of 2.
#[test]
fn a_history_that_was_rewritten_is_no_violation_where_it_was_told() {
    let mut log = clean();
    for one in &mut log.published[4..] {
        let position = place("f", one.id - 4);
        one.attempts[0].answer = Answer::Acked(Some(position));
    }
    for lineage in &mut log.lineages {
        lineage.heard.truncate(5);
        lineage.heard.extend([left(450, 2500), subscribed(460, place("f", 0), Some(false))]);
        lineage.heard.extend((5..=COUNT).map(|n| came(n * 100 + 10, n - 4, n)));
    }
    log.streams[0].epoch = "f".into();
    log.streams[0].entries = (5..=COUNT).map(|n| (n - 4, n)).collect();
    assert_eq!(holds(&log), [[1, 1], [1, 1]]);
    let mut silent = log.clone();
    // The same without a word: as if nothing was missing.
    silent.lineages[0].heard[6].what =
        What::Subscribed { top: place("f", 0), recovered: Some(true) };
    shows(&silent, &[Wrong::NotRecovered]);
    // And with the offsets of the old stream given again.
    let mut skipping = log;
    let heard = &mut skipping.lineages[0].heard;
    heard.splice(5.., [5, 6, 7, 8, 9].map(|n| came(n * 100 + 10, n - 2, n)));
    let found = check(&skipping).violations;
    assert!(found.iter().any(|it| it.wrong == Wrong::Again { offset: 3, last: 4 }), "{found:?}");
    assert!(found.iter().any(|it| matches!(it.wrong, Wrong::Conflict { .. })), "{found:?}");
}

#[test]
fn a_hole_is_found_even_where_nothing_was_acknowledged() {
    let mut log = clean();
    log.lineages[0].heard.remove(5);
    let lost = Wrong::Lost(5);
    shows(&log, &[lost, Wrong::Hole { offset: 6, before: 4 }]);
    log.published[4].attempts[0].answer = Answer::Unanswered;
    let found = shows(&log, &[Wrong::Hole { offset: 6, before: 4 }]);
    assert_eq!((found[0].lineage, found[0].at), (Some(0), 610));
    let text = explain(&log, &found[0]);
    assert!(text.contains("Unanswered"), "the publisher's side: {text}");
    assert!(text.contains("610 ms Publication"), "the subscriber's side: {text}");
}

#[test]
fn what_was_acknowledged_and_never_comes_is_lost_with_and_without_a_place() {
    for last in [8, 9] {
        let mut log = clean();
        log.published.truncate(last);
        log.streams[0].entries.truncate(last);
        log.lineages[0].heard.truncate(last);
        log.lineages[1].heard.truncate(last + 1);
        shows(&log, &[Wrong::Lost(last as u64)]);
    }
}

#[test]
fn what_was_sent_before_the_answer_to_subscribe_is_owed_by_its_place() {
    let mut log = clean();
    let mut heard = vec![subscribed(405, place("e", 2), None)];
    heard.extend((5..=COUNT).map(|n| came(n * 100 + 10, n, n)));
    log.lineages[0].heard = heard;
    let found = check(&log).violations;
    assert!(found.iter().any(|it| it.wrong == Wrong::Lost(4)), "{found:?}");
}

#[test]
fn what_was_acknowledged_and_is_not_in_the_stream_is_found() {
    let mut log = clean();
    log.streams[0].entries.remove(3);
    shows(&log, &[Wrong::NotKept(4)]);
}

#[test]
fn a_place_that_was_forgotten_is_not_taken_for_a_beginning() {
    let mut log = clean();
    let heard = &mut log.lineages[0].heard;
    heard.splice(4..7, [left(350, 1), subscribed(650, place("e", 6), None)]);
    shows(&log, &[Wrong::NotRecovered]);
    log.lineages[0].heard.clear();
    shows(&log, &[Wrong::NotRecovered]);
}

#[test]
fn an_offset_that_comes_again_is_found() {
    let mut log = clean();
    log.lineages[0].heard.insert(5, came(420, 4, 4));
    shows(&log, &[Wrong::Again { offset: 4, last: 4 }, Wrong::Twice(4)]);
}

#[test]
fn a_publication_that_is_published_twice_is_found_by_its_id() {
    // A retry with the same key, which was carried out again.
    let twice = |answers: &[Answer]| {
        let mut log = clean();
        log.published.truncate(8);
        let attempt = |n: usize| Attempt { sent: 800, answered: 900, answer: answers[n].clone() };
        log.published[7].attempts = (0..answers.len()).map(attempt).collect();
        for lineage in &mut log.lineages {
            lineage.heard[9] = came(910, 9, 8);
        }
        log.streams[0].entries[8].1 = 8;
        log
    };
    let again = twice(&[Answer::Unanswered, Answer::Acked(None)]);
    shows(&again, &[Wrong::Twice(8), Wrong::Twice(8), Wrong::Twice(8)]);
    let unacked = twice(&[Answer::Unanswered, Answer::Refused]);
    shows(&unacked, &[Wrong::UnackedTwice(8), Wrong::UnackedTwice(8), Wrong::UnackedTwice(8)]);
    let told = twice(&[Answer::Acked(Some(place("e", 8))), Answer::Acked(Some(place("e", 9)))]);
    let found = check(&told).violations;
    assert!(found.iter().any(|it| it.lineage.is_none() && it.wrong == Wrong::Twice(8)));
}

#[test]
fn what_was_not_acknowledged_may_come_once_or_not_at_all() {
    let mut log = clean();
    log.published[4].attempts[0].answer = Answer::Refused;
    holds(&log);
    let never = Attempt { sent: 450, answered: 460, answer: Answer::Unanswered };
    log.published.push(Published { id: 77, channel: 0, attempts: vec![never] });
    holds(&log);
}

#[test]
fn subscribers_publishers_and_streams_must_agree() {
    let conflict = |offset, one, other| Wrong::Conflict { offset, one, other };
    let mut log = clean();
    // Two come in the other order to one of them.
    log.lineages[1].heard[3] = came(310, 3, 5);
    log.lineages[1].heard[5] = came(510, 5, 3);
    shows(&log, &[conflict(3, 3, 5), conflict(5, 5, 3)]);
    let mut log = clean();
    log.published[3].attempts[0].answer = Answer::Acked(Some(place("e", 2)));
    let found = check(&log).violations;
    assert_eq!(found[0].wrong, conflict(2, 2, 4));
    assert_eq!(found[0].lineage, None, "publishers alone show it");
}

#[test]
fn what_nobody_published_or_in_another_channel_is_found() {
    let foreign = Wrong::Foreign { offset: 5 };
    let mut log = clean();
    log.published[4].channel = 1;
    shows(&log, &[foreign.clone(), foreign.clone(), foreign.clone()]);
    let mut log = clean();
    log.lineages[0].heard[5].what = What::Publication { offset: 5, id: None };
    shows(&log, &[Wrong::Lost(5), foreign]);
}

#[test]
fn what_comes_without_a_subscription_is_found() {
    let mut log = clean();
    let heard = &mut log.lineages[0].heard;
    heard.splice(10..10, [left(950, 1), came(960, 10, 9)]);
    shows(&log, &[Wrong::Stray { offset: 10 }]);
}

#[test]
fn recovery_is_how_long_late_ones_came_after_the_end() {
    let mut log = clean();
    assert_eq!(recovery(&log, 400), [0; 0], "nothing was late");
    for (lineage, late) in [(0, 1_700), (1, 2_300)] {
        for heard in &mut log.lineages[lineage].heard[5..] {
            heard.at = late;
        }
    }
    assert_eq!(recovery(&log, 400), [1_300, 1_900]);
    // Of what was sent a second after the end, nothing counts.
    assert_eq!(recovery(&log, 0), [1_700, 2_300]);
    for one in &mut log.published {
        one.attempts[0].sent += 400;
    }
    assert_eq!(recovery(&log, 0)[..], [1_700, 2_300], "four were sent before that");
    for one in &mut log.published {
        one.attempts[0].sent += 300;
    }
    assert_eq!(recovery(&log, 0), [0; 0]);
    for one in &mut log.published {
        one.attempts[0].sent -= 700;
    }
    log.lineages[0].own_pace = true;
    assert_eq!(recovery(&log, 400), [1_900]);
    let times: Vec<u64> = (1..=100).collect();
    let at = |part| percentile(&times, part);
    assert_eq!((at(0.5), at(0.99), at(1.0), percentile(&[], 0.5)), (50, 99, 100, 0));
}

#[test]
fn the_latency_elsewhere_is_of_those_who_hear_during_the_fault() {
    let mut log = clean();
    let [before, during] = latency_elsewhere(&log, 450, 750);
    // What came after its end was sent after it.
    assert_eq!((before, during), (vec![10; 8], vec![10; 6]));
    // One hears what was sent from 500 on after the end: it is cut off.
    for heard in &mut log.lineages[0].heard[5..=7] {
        heard.at = 800;
    }
    let [before, during] = latency_elsewhere(&log, 450, 750);
    assert_eq!((before, during), (vec![10; 4], vec![10; 3]));
    // It does so too if it still heard the first of it.
    log.lineages[0].heard[5].at = 510;
    let [before, during] = latency_elsewhere(&log, 450, 750);
    assert_eq!((before, during), (vec![10; 4], vec![10; 3]));
    // The other is late with one of them, and tells so.
    log.lineages[1].heard[6].at += 40;
    assert_eq!(latency_elsewhere(&log, 450, 750)[1], [10, 10, 50]);
    log.lineages[1].own_pace = true;
    assert!(latency_elsewhere(&log, 450, 750).iter().all(Vec::is_empty));
}
