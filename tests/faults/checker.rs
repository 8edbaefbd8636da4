//! What a relay promises (I-1 to I-4), looked for in what publishers and subscribers
//! saw. Pure: logs in, verdict out.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

mod explain;
#[cfg(test)]
mod forged;
mod recovery;

pub(crate) use explain::explain;
pub(crate) use recovery::{latency_elsewhere, percentile, recovery};

/// Names a publication; its whole payload follows from it.
pub(crate) type Id = u64;
/// Milliseconds since the run began, by one clock for everybody.
pub(crate) type Ms = u64;

/// What everybody saw in a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    pub(crate) published: Vec<Published>,
    pub(crate) lineages: Vec<Lineage>,
    /// What the channels hold at the end.
    pub(crate) streams: Vec<Stream>,
}

/// A publication. Each attempt but the first is a retry with the same idempotency key.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    pub(crate) id: Id,
    pub(crate) channel: usize,
    pub(crate) attempts: Vec<Attempt>,
}

#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) sent: Ms,
    pub(crate) answered: Ms,
    pub(crate) answer: Answer,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is published; backends are told where.
    Acked(Option<Place>),
    /// An error.
    Refused,
    /// The connection ended, or the time was over.
    Unanswered,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) epoch: Arc<str>,
    pub(crate) offset: u64,
}

/// One subscription, over all connections of its client.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lineage {
    pub(crate) channel: usize,
    /// It reads slowly or comes and goes by its own will, so its times say nothing.
    pub(crate) own_pace: bool,
    pub(crate) heard: Vec<Heard>,
}

#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) at: Ms,
    pub(crate) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// It stands; `recovered` says whether nothing was missed, if that was asked.
    Subscribed { top: Place, recovered: Option<bool> },
    /// The place was lost, for this code, and will be asked for again.
    Left(u32),
    /// Something came; without an id if no publisher's payload is like that.
    Publication { offset: u64, id: Option<Id> },
}

/// A channel's stream as it was read at the end.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) channel: usize,
    pub(crate) epoch: Arc<str>,
    pub(crate) entries: Vec<(u64, Id)>,
}

/// What the logs show.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict {
    /// Everything that is wrong, the first in time first.
    pub(crate) violations: Vec<Violation>,
    /// How often each subscriber was told that something is missing.
    pub(crate) told: Vec<usize>,
    /// How often each was sent away with 2500, to subscribe again and find out.
    pub(crate) sent_away: Vec<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) at: Ms,
    pub(crate) channel: usize,
    /// Who saw it; nobody if publishers' answers or the stream show it.
    pub(crate) lineage: Option<usize>,
    pub(crate) wrong: Wrong,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// I-1: offsets between this and the one before never came, and nobody told it.
    Hole { offset: u64, before: u64 },
    /// I-1: it was acknowledged and never came.
    Lost(Id),
    /// I-1: it was acknowledged and its stream has it not.
    NotKept(Id),
    /// I-1: the answer was that nothing is missing, in another stream than before, or
    /// the place was forgotten without a word.
    NotRecovered,
    /// I-2: an offset a second time, or out of order.
    Again { offset: u64, last: u64 },
    /// I-2: an acknowledged publication twice.
    Twice(Id),
    /// I-3: two publications at one place.
    Conflict { offset: u64, one: Id, other: Id },
    /// I-3: nobody published it there, or not like that.
    Foreign { offset: u64 },
    /// I-3: it came while there was no subscription.
    Stray { offset: u64 },
    /// I-4: a publication that was not acknowledged came twice.
    UnackedTwice(Id),
}

impl What {
    /// Whether it says that something is missing.
    pub(crate) fn tells(&self) -> bool {
        matches!(self, What::Subscribed { recovered: Some(false), .. })
    }
}

impl Wrong {
    /// What counts as lost in the table of a run.
    pub(crate) fn is_loss(&self) -> bool {
        use Wrong::{Hole, Lost, NotKept, NotRecovered};
        matches!(self, Hole { .. } | Lost(_) | NotKept(_) | NotRecovered)
    }

    /// What counts as a duplicate.
    pub(crate) fn is_duplicate(&self) -> bool {
        matches!(self, Wrong::Again { .. } | Wrong::Twice(_) | Wrong::UnackedTwice(_))
    }
}

impl Published {
    pub(crate) fn is_acked(&self) -> bool {
        self.attempts.iter().any(|one| matches!(one.answer, Answer::Acked(_)))
    }

    pub(crate) fn sent(&self) -> Ms {
        self.attempts.first().map_or(0, |one| one.sent)
    }

    fn places(&self) -> impl Iterator<Item = &Place> {
        self.attempts.iter().filter_map(|one| match &one.answer {
            Answer::Acked(place) => place.as_ref(),
            _ => None,
        })
    }
}

/// Looks for everything that is wrong.
pub(crate) fn check(log: &Log) -> Verdict {
    let mut check = Check::of(log);
    check.answers();
    check.streams();
    for at in 0..log.lineages.len() {
        check.lineage(at);
        let heard = |of: fn(&What) -> bool| {
            log.lineages[at].heard.iter().filter(|heard| of(&heard.what)).count()
        };
        check.verdict.told.push(heard(What::tells));
        check.verdict.sent_away.push(heard(|what| *what == What::Left(2500)));
    }
    check.verdict.violations.sort_by_key(|violation| violation.at);
    check.verdict
}

struct Check<'a> {
    log: &'a Log,
    published: HashMap<Id, &'a Published>,
    /// What is where, by channel; whoever says so first.
    agreed: BTreeMap<(usize, Place), Id>,
    verdict: Verdict,
}

/// What a subscriber has had without being told of a discontinuity.
struct Segment {
    begun: Ms,
    epoch: Arc<str>,
    from: u64,
    last: u64,
    ids: HashSet<Id>,
}

impl<'a> Check<'a> {
    fn of(log: &'a Log) -> Check<'a> {
        let published = log.published.iter().map(|one| (one.id, one)).collect();
        Check { log, published, agreed: BTreeMap::new(), verdict: Verdict::default() }
    }

    fn wrong(&mut self, at: Ms, channel: usize, lineage: Option<usize>, wrong: Wrong) {
        self.verdict.violations.push(Violation { at, channel, lineage, wrong });
    }

    /// Notes what is said to be at a place.
    fn agree(&mut self, at: Ms, channel: usize, lineage: Option<usize>, place: Place, id: Id) {
        let offset = place.offset;
        let one = *self.agreed.entry((channel, place)).or_insert(id);
        if one != id {
            self.wrong(at, channel, lineage, Wrong::Conflict { offset, one, other: id });
        }
    }

    fn answers(&mut self) {
        let log = self.log;
        for one in &log.published {
            let places: BTreeSet<&Place> = one.places().collect();
            let epochs: BTreeSet<&str> = places.iter().map(|place| &*place.epoch).collect();
            if places.len() > epochs.len() {
                self.wrong(one.sent(), one.channel, None, Wrong::Twice(one.id));
            }
            for place in places {
                self.agree(one.sent(), one.channel, None, place.clone(), one.id);
            }
        }
    }

    fn streams(&mut self) {
        let log = self.log;
        let end = log.lineages.iter().filter_map(|one| one.heard.last()).map(|last| last.at).max();
        let end = end.unwrap_or_default();
        for stream in &log.streams {
            let mut ids = HashSet::new();
            for &(offset, id) in &stream.entries {
                let place = Place { epoch: Arc::clone(&stream.epoch), offset };
                self.agree(end, stream.channel, None, place, id);
                self.published_there(end, stream.channel, None, (offset, id));
                if !ids.insert(id) {
                    let wrong = self.twice(id);
                    self.wrong(end, stream.channel, None, wrong);
                }
            }
            for one in log.published.iter().filter(|one| one.channel == stream.channel) {
                let here = one.places().any(|place| place.epoch == stream.epoch);
                if here && !ids.contains(&one.id) {
                    self.wrong(one.sent(), stream.channel, None, Wrong::NotKept(one.id));
                }
            }
        }
    }

    fn published_there(
        &mut self,
        at: Ms,
        channel: usize,
        lineage: Option<usize>,
        (offset, id): (u64, Id),
    ) {
        if self.published.get(&id).is_none_or(|published| published.channel != channel) {
            self.wrong(at, channel, lineage, Wrong::Foreign { offset });
        }
    }

    fn twice(&self, id: Id) -> Wrong {
        match self.published.get(&id) {
            Some(published) if !published.is_acked() => Wrong::UnackedTwice(id),
            _ => Wrong::Twice(id),
        }
    }

    /// Walks through what a subscriber heard.
    fn lineage(&mut self, number: usize) {
        let log = self.log;
        let Lineage { channel, heard, .. } = &log.lineages[number];
        let (channel, lineage) = (*channel, Some(number));
        let mut segment: Option<Segment> = None;
        let mut stands = false;
        // In which streams each came.
        let mut came: HashMap<Id, Vec<Arc<str>>> = HashMap::new();
        for Heard { at, what } in heard {
            match what {
                What::Subscribed { top, recovered } => {
                    stands = true;
                    let goes_on = segment.as_ref().is_some_and(|it| it.epoch == top.epoch);
                    if (*recovered == Some(true) && !goes_on)
                        || (recovered.is_none() && segment.is_some())
                    {
                        self.wrong(*at, channel, lineage, Wrong::NotRecovered);
                    }
                    if *recovered != Some(true) || !goes_on {
                        segment = Some(Segment {
                            begun: *at,
                            epoch: Arc::clone(&top.epoch),
                            from: top.offset,
                            last: top.offset,
                            ids: HashSet::new(),
                        });
                    }
                }
                What::Left(_) => stands = false,
                What::Publication { offset, id } => {
                    let offset = *offset;
                    let Some(segment) = segment.as_mut().filter(|_| stands) else {
                        self.wrong(*at, channel, lineage, Wrong::Stray { offset });
                        continue;
                    };
                    let last = segment.last;
                    if offset <= last {
                        self.wrong(*at, channel, lineage, Wrong::Again { offset, last });
                    } else if offset > last + 1 {
                        self.wrong(*at, channel, lineage, Wrong::Hole { offset, before: last });
                    }
                    segment.last = offset;
                    let Some(id) = *id else {
                        self.wrong(*at, channel, lineage, Wrong::Foreign { offset });
                        continue;
                    };
                    segment.ids.insert(id);
                    self.published_there(*at, channel, lineage, (offset, id));
                    let place = Place { epoch: Arc::clone(&segment.epoch), offset };
                    self.agree(*at, channel, lineage, place, id);
                    let epochs = came.entry(id).or_default();
                    // A retry may be published once more where the history, and with
                    // it the key, was lost: everybody was told that.
                    let retried = self.published.get(&id).is_some_and(|it| it.attempts.len() > 1);
                    let may = epochs.is_empty() || retried && !epochs.contains(&segment.epoch);
                    if !may {
                        let wrong = self.twice(id);
                        self.wrong(*at, channel, lineage, wrong);
                    }
                    epochs.push(Arc::clone(&segment.epoch));
                }
            }
        }
        match segment {
            Some(segment) => self.owed(channel, number, &segment),
            None => self.wrong(0, channel, lineage, Wrong::NotRecovered),
        }
    }

    /// What was acknowledged behind the place where its last segment began must have
    /// come in it.
    fn owed(&mut self, channel: usize, number: usize, segment: &Segment) {
        let log = self.log;
        for one in log.published.iter().filter(|one| one.channel == channel && one.is_acked()) {
            let behind =
                |place: &Place| place.epoch == segment.epoch && place.offset > segment.from;
            let owed = one.sent() >= segment.begun || one.places().any(behind);
            if owed && !segment.ids.contains(&one.id) {
                self.wrong(one.sent(), channel, Some(number), Wrong::Lost(one.id));
            }
        }
    }
}
