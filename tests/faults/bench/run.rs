//! What a run has shown, and what it must have.

use crate::balancer::Balancer;
use crate::checker::{
    Answer, Attempt, Heard, Log, Ms, Verdict, Violation, What, Wrong, explain, latency_elsewhere,
    percentile, recovery,
};
use crate::support::node::number;

/// What the machine may take for itself, beside what it was seen to take.
const GRACE: Ms = 1_500;

/// What is decided at the same moment may be noted in another order.
const SOON: Ms = 50;
/// As long as this, the machine stood still.
const STALL: Ms = 300;

/// A run that is over. What does not hold is collected, and told by [`Run::finish`].
pub(crate) struct Run {
    pub(super) name: String,
    pub(super) seed: u64,
    pub(super) began: Ms,
    pub(super) ended: Ms,
    pub(super) over: Ms,
    pub(super) log: Log,
    pub(super) verdict: Verdict,
    /// Connections that ended against their clients' will: when, and the code.
    pub(super) lost: Vec<(Ms, u32)>,
    pub(super) balancer: Balancer,
    /// The metrics of each node that lives.
    pub(super) numbers: Vec<String>,
    pub(super) logs: Vec<String>,
    pub(super) lag: Ms,
    /// How long publications took elsewhere, before the fault and during it: of 100 the
    /// slowest but one.
    pub(super) elsewhere: Option<[Ms; 2]>,
    /// Violations that are not held against it.
    pub(super) excused: usize,
    pub(super) complaints: Vec<String>,
}

impl Run {
    pub(crate) fn must(&mut self, holds: bool, what: impl Into<String>) {
        if !holds {
            self.complaints.push(what.into());
        }
    }

    /// The same, unless the machine stood still for so long that Redis seemed away.
    pub(crate) fn must_unless_stalled(&mut self, holds: bool, what: impl Into<String>) {
        self.must(holds || self.lag > STALL, what);
    }

    /// Without this the run proves nothing.
    pub(crate) fn bit(&mut self, holds: bool, how: &str) {
        self.must(holds, format!("the fault did not bite: {how}"));
    }

    /// I-1 to I-4.
    pub(crate) fn holds(&mut self) {
        let violations = &self.verdict.violations;
        let Some(first) = violations.first() else { return };
        let text =
            format!("{} violations; the first: {}", violations.len(), explain(&self.log, first));
        self.complaints.push(text);
    }

    /// I-1 alone, without what the streams hold, where Redis may throw anything away.
    pub(crate) fn is_never_silent(&mut self) {
        let is_silent = |wrong: &Wrong| wrong.is_loss() && !matches!(wrong, Wrong::NotKept(_));
        self.excuse(|violation| !is_silent(&violation.wrong));
        self.holds();
    }

    /// I-1 to I-4, and nobody had to be told anything.
    pub(crate) fn loses_nothing(&mut self) {
        self.holds();
        let (told, away) = (self.told(), self.sent_away());
        self.must(told == 0, format!("{told} times somebody was told that something is missing"));
        self.must(away == 0, format!("{away} times somebody was sent away with 2500"));
    }

    /// Not one connection ended against its client's will.
    pub(crate) fn disconnects_nobody(&mut self) {
        let lost = self.lost.clone();
        self.must(lost.is_empty(), format!("connections ended, with codes: {lost:?}"));
    }

    /// How often somebody was told that something is missing.
    pub(crate) fn told(&self) -> usize {
        self.verdict.told.iter().sum()
    }

    /// How often somebody was sent away with 2500.
    pub(crate) fn sent_away(&self) -> usize {
        self.verdict.sent_away.iter().sum()
    }

    /// How many subscribers were sent away with 2500, each once or more often.
    pub(crate) fn were_sent_away(&self) -> usize {
        self.verdict.sent_away.iter().filter(|times| **times > 0).count()
    }

    pub(crate) fn subscribers(&self) -> usize {
        self.log.lineages.len()
    }

    /// Everybody was told, and nobody more than once.
    pub(crate) fn tells_everybody_once(&mut self) {
        self.tells_nobody_twice();
        let none = self.verdict.told.iter().filter(|times| **times == 0).count();
        self.must(none == 0, format!("{none} were not told"));
    }

    pub(crate) fn tells_nobody_twice(&mut self) {
        let told = self.verdict.told.iter().zip(&self.log.lineages);
        let twice: Vec<_> = told.filter(|(times, _)| **times > 1).collect();
        let Some((times, first)) = twice.first() else { return };
        let changes = |heard: &&Heard| !matches!(heard.what, What::Publication { .. });
        let story: Vec<_> = first.heard.iter().filter(changes).collect();
        let text = format!(
            "{} were told more than once; the first, {times} times, in channel {}: {story:?}",
            twice.len(),
            first.channel
        );
        self.complaints.push(text);
    }

    /// Whom the end of the fault left behind has everything so soon after it.
    pub(crate) fn catches_up_within(&mut self, half: Ms, most: Ms, all: Ms) {
        let times = recovery(&self.log, self.ended);
        for (part, within) in [(0.5, half), (0.99, most), (1.0, all)] {
            let time = percentile(&times, part);
            let within = self.allowed(within);
            self.must(time <= within, format!("{part} of who was behind: {time} ms > {within}"));
        }
    }

    /// Who had to be told was, so soon after the end of the fault.
    pub(crate) fn is_told_within(&mut self, within: Ms) {
        let lineages = self.log.lineages.iter().filter(|lineage| !lineage.own_pace);
        let last = lineages.flat_map(|one| &one.heard).filter(|heard| heard.what.tells());
        let last = last.map(|heard| heard.at).max().unwrap_or_default();
        let (after, allowed) = (last.saturating_sub(self.ended), self.allowed(within));
        self.must(after <= allowed, format!("the last was told after {after} ms > {allowed}"));
    }

    /// I-1 to I-4 of what subscribers heard, and of what publishers were told, from so
    /// long after the end of the fault: by then whatever is wrong must have been found.
    pub(crate) fn holds_behind_the_end(&mut self, after: Ms) {
        let from = self.ended + after;
        self.excuse(|violation| violation.at < from || violation.lineage.is_none());
        self.holds();
    }

    /// Publishing works so soon after the end of the fault.
    pub(crate) fn publishes_within(&mut self, within: Ms) {
        let ended = self.ended;
        let first = self
            .attempts()
            .filter(|one| one.sent >= ended && matches!(one.answer, Answer::Acked(_)))
            .map(|one| one.answered - ended)
            .min();
        let within = self.allowed(within);
        self.must(first.is_some_and(|first| first <= within), format!("publishing: {first:?} ms"));
    }

    /// This node said that it is not well so soon after the fault began, and that it
    /// is again so soon after it ended; meanwhile it got no new clients.
    pub(crate) fn says_so(&mut self, node: usize, within: Ms, well_within: Ms) {
        let (began, ended) = (self.began, self.ended);
        let said = self.balancer.said(node);
        let fell = said.iter().find(|said| said.at >= began && !said.is_ready).map(|said| said.at);
        let rose = said.iter().rev().find(|said| said.is_ready).map(|said| said.at);
        let Some(fell) = fell.filter(|fell| *fell <= ended) else {
            return self.must(false, format!("node {node} never said that it is not well"));
        };
        let allowed = self.allowed(within);
        self.must(fell - began <= allowed, format!("not ready after {} ms", fell - began));
        let allowed = self.allowed(well_within);
        let rose = rose.unwrap_or(Ms::MAX);
        self.must(
            rose.saturating_sub(ended) <= allowed,
            format!("ready {} ms after the end", rose.saturating_sub(ended)),
        );
        let taken = self.balancer.taken(node);
        let taken = taken.iter().filter(|at| (fell + SOON..ended).contains(at)).count();
        self.must(taken == 0, format!("{taken} new clients while it was not ready"));
    }

    /// How long each publication took that was refused or not answered during the
    /// fault, in order of time.
    pub(crate) fn refusals(&self) -> Vec<Ms> {
        let during = self.began..self.ended;
        let mut refused: Vec<_> = self
            .attempts()
            .filter(|one| during.contains(&one.sent) && !matches!(one.answer, Answer::Acked(_)))
            .collect();
        refused.sort_by_key(|one| one.sent);
        refused.iter().map(|one| one.answered - one.sent).collect()
    }

    /// How many publications were acknowledged until then.
    pub(crate) fn acked_until(&self, until: Ms) -> usize {
        let acked = |one: &Attempt| one.answered <= until && matches!(one.answer, Answer::Acked(_));
        self.log.published.iter().filter(|one| one.attempts.iter().any(acked)).count()
    }

    /// How many publications were acknowledged that were sent during the fault.
    pub(crate) fn acked_meanwhile(&self) -> usize {
        let during = self.began..self.ended;
        self.attempts()
            .filter(|one| during.contains(&one.sent) && matches!(one.answer, Answer::Acked(_)))
            .count()
    }

    /// Whom the fault does not touch it does not slow down. What is told is the 99th
    /// percentile from sending to hearing, with everybody on the same two cores: a
    /// difference between two such numbers says nothing unless it is gross.
    pub(crate) fn others_are_as_quick(&mut self) {
        const TIMES: Ms = 10;
        const LEAST: Ms = 20;
        let [before, during] = latency_elsewhere(&self.log, self.began, self.ended);
        self.must(before.len() > 50 && during.len() > 50, "too little was heard elsewhere");
        let [before, during] = [before, during].map(|times| percentile(&times, 0.99));
        let within = self.allowed(TIMES * before.max(LEAST));
        self.must(
            during <= within,
            format!("elsewhere p99 {before} ms, then {during} ms > {within}"),
        );
        self.elsewhere = Some([before, during]);
    }

    /// How many subscribers were never without their place.
    pub(crate) fn steady(&self) -> usize {
        let left = |what: &What| matches!(what, What::Left(_));
        let lineages = self.log.lineages.iter();
        lineages.filter(|one| !one.heard.iter().any(|heard| left(&heard.what))).count()
    }

    /// A number, summed over the nodes that live and over its labels.
    pub(crate) fn number(&self, selector: &str) -> f64 {
        self.numbers.iter().map(|rendered| number(rendered, selector)).sum()
    }

    pub(crate) fn lost_connections(&self) -> usize {
        self.lost.len()
    }

    /// A limit, with what the machine took from everybody.
    pub(crate) fn allowed(&self, within: Ms) -> Ms {
        within + GRACE + 2 * self.lag
    }

    /// Prints the run's line of the table, and fails if something does not hold.
    pub(crate) fn finish(self) {
        let count = |of: fn(&Wrong) -> bool| {
            self.verdict.violations.iter().filter(|violation| of(&violation.wrong)).count()
        };
        let (lost, twice) = (count(Wrong::is_loss), count(Wrong::is_duplicate));
        let acked = self.log.published.iter().filter(|one| one.is_acked()).count();
        let refused = self.log.published.len() - acked;
        let heard = self.log.lineages.iter().map(|lineage| lineage.heard.len()).sum::<usize>();
        let times = recovery(&self.log, self.ended);
        let (half, most) = (percentile(&times, 0.5), percentile(&times, 0.99));
        let elsewhere = self.elsewhere.map_or(String::new(), |[before, during]| {
            format!("elsewhere p99 {before} then {during} ms | ")
        });
        let holds = if self.complaints.is_empty() { "holds" } else { "DOES NOT HOLD" };
        eprintln!(
            "fault {:<34} seed {} | fault {:>5} ms of {:>6} | acked {acked:>5} not {refused:>4} | \
             heard {heard:>6} | lost {lost} dup {twice} excused {:>2} told {:>3} 2500 {:>3} cut {:>3} | behind {:>3}: \
             p50 {half:>5} p99 {most:>5} ms | lag {:>4} | {elsewhere}{holds}",
            self.name,
            self.seed,
            self.ended - self.began,
            self.over,
            self.excused,
            self.told(),
            self.sent_away(),
            self.lost.len(),
            times.len(),
            self.lag,
        );
        if self.complaints.is_empty() {
            return;
        }
        for (node, log) in self.logs.iter().enumerate() {
            let lines: Vec<&str> = log.lines().rev().take(25).collect();
            for line in lines.iter().rev() {
                eprintln!("node {node}: {line}");
            }
        }
        panic!("{} seed {}:\n{}", self.name, self.seed, self.complaints.join("\n"));
    }

    /// What nobody can promise in this run is only counted.
    fn excuse(&mut self, is_excused: impl Fn(&Violation) -> bool) {
        let before = self.verdict.violations.len();
        self.verdict.violations.retain(|violation| !is_excused(violation));
        self.excused += before - self.verdict.violations.len();
    }

    fn attempts(&self) -> impl Iterator<Item = &Attempt> {
        self.log.published.iter().flat_map(|one| &one.attempts)
    }
}
