//! Limits over all nodes where no script sees the bucket, because it need not lie where
//! the channel lies, or because what it limits is no single publish: a node draws some
//! credit ahead, a little of the limit at a time, and spends it.
//!
//! What is drawn is taken out of the bucket, so all nodes together never have more
//! than the limit. Credit that is not used is worth nothing once as much has come
//! back into the bucket: so a rest does not make a burst. How much is drawn follows
//! how much was used, and while a bucket is empty nobody asks it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::super::{CALL_TIMEOUT, Charge, Unavailable};
use super::keys::{Kind, Name, Names};
use super::primary::Way;
use super::router::Router;
use super::scripts;
use crate::limit::{Keyed, Rate, TooMany, Wait, nanos};

/// The part of a rate's count that is drawn at once.
const PART: u32 = 20;
/// Subjects above which those who have used nothing lately are forgotten.
const MANY: usize = 1_000;
/// Subjects that are counted by themselves while Redis is away.
const MOST_LOCAL: usize = 1_000_000;

/// See the module's text.
pub(super) struct Credits {
    all: Mutex<All>,
    /// While a bucket's Redis is away: this node's share.
    local: Keyed,
    began: Instant,
}

struct All {
    credits: HashMap<Name, Credit>,
    /// How many there are when the idle are forgotten the next time.
    sweep_at: usize,
}

struct Credit {
    /// Under which it was drawn.
    rate: Rate,
    left: u32,
    /// How much was drawn the last time, and until when it is worth something.
    drawn: u32,
    until: Instant,
    /// The bucket is empty.
    empty_until: Instant,
    /// Somebody is drawing.
    drawing: bool,
    drawn_now: Arc<Notify>,
}

/// What is to be done about a charge.
enum Next {
    Taken,
    Empty(Duration),
    WaitFor(tokio::sync::futures::OwnedNotified),
    Draw(u32),
}

/// Who draws; if it is dropped before it has, somebody else does.
struct Drawing<'a>(&'a Credits, Name);

impl Credits {
    pub(super) fn new() -> Credits {
        let all = All { credits: HashMap::new(), sweep_at: MANY };
        let local = Keyed::new(MOST_LOCAL);
        Credits { all: Mutex::new(all), local, began: Instant::now() }
    }

    /// Takes one from each of these, or none.
    ///
    /// # Errors
    /// If one of them is empty.
    pub(super) async fn take(
        &self,
        (names, router): (&Names, &Router),
        charges: &[Charge],
    ) -> Result<(), TooMany> {
        for (at, charge) in charges.iter().enumerate() {
            let name = names.bucket(charge.scope.name(), &charge.subject);
            let taken = match self.take_one(router, name, &charge.rate).await {
                Ok(taken) => taken,
                Err(Unavailable) => self.take_local(name, &charge.share),
            };
            if let Err(wait) = taken {
                for other in charges.iter().take(at) {
                    self.give_back(names.bucket(other.scope.name(), &other.subject));
                }
                return Err(TooMany { scope: charge.scope, wait });
            }
        }
        Ok(())
    }

    async fn take_one(
        &self,
        router: &Router,
        name: Name,
        rate: &Rate,
    ) -> Result<Result<(), Wait>, Unavailable> {
        let deadline = Instant::now() + CALL_TIMEOUT;
        loop {
            match self.next(name, rate) {
                Next::Taken => return Ok(Ok(())),
                Next::Empty(wait) => return Ok(Err(Wait(nanos(wait)))),
                Next::WaitFor(drawn) => {
                    timeout_at(deadline, drawn).await.map_err(|_| Unavailable)?;
                }
                Next::Draw(count) => {
                    let drawing = Drawing(self, name);
                    let mut command = scripts::DRAW.call(&[name.key(Kind::Bucket)]);
                    let [interval, depth] = numbers(rate);
                    command.arg(interval).arg(depth).arg(count);
                    let answer = router.call(Way::Write, name, command, 0).await?;
                    let (count, wait): (u32, u64) =
                        redis::from_redis_value(answer).map_err(|_| Unavailable)?;
                    self.note(name, rate, count, Duration::from_micros(wait));
                    drop(drawing);
                }
            }
        }
    }

    fn next(&self, name: Name, rate: &Rate) -> Next {
        let now = Instant::now();
        let mut all = self.all.lock();
        all.forget_idle(now);
        let credit = all.credits.entry(name).or_insert_with(|| Credit {
            rate: *rate,
            left: 0,
            drawn: 0,
            until: now,
            empty_until: now,
            drawing: false,
            drawn_now: Arc::default(),
        });
        if credit.rate != *rate {
            // What another rate allowed and refused holds no more.
            (credit.rate, credit.left) = (*rate, 0);
            (credit.until, credit.empty_until) = (now, now);
        }
        if credit.left > 0 && credit.until > now {
            credit.left -= 1;
            return Next::Taken;
        }
        if credit.empty_until > now {
            return Next::Empty(credit.empty_until - now);
        }
        if credit.drawing {
            return Next::WaitFor(Arc::clone(&credit.drawn_now).notified_owned());
        }
        let most = (rate.count() / PART).clamp(1, rate.burst());
        let wanted = if credit.until > now {
            credit.drawn.saturating_mul(2)
        } else {
            credit.drawn.saturating_sub(credit.left)
        };
        credit.left = 0;
        credit.drawing = true;
        Next::Draw(wanted.clamp(1, most))
    }

    fn note(&self, name: Name, rate: &Rate, count: u32, wait: Duration) {
        let now = Instant::now();
        if let Some(credit) = self.all.lock().credits.get_mut(&name) {
            credit.left = count;
            credit.drawn = count;
            credit.until = now + rate.lasts(count);
            credit.empty_until = now + if count == 0 { wait } else { Duration::ZERO };
        }
    }

    fn give_back(&self, name: Name) {
        if let Some(credit) = self.all.lock().credits.get_mut(&name) {
            credit.left += 1;
        }
    }

    fn take_local(&self, name: Name, share: &Rate) -> Result<(), Wait> {
        let now = nanos(self.began.elapsed());
        self.local.forget(now);
        self.local.take(&name, share, 1, now)
    }
}

impl All {
    fn forget_idle(&mut self, now: Instant) {
        if self.credits.len() < self.sweep_at {
            return;
        }
        self.credits
            .retain(|_, credit| credit.drawing || credit.until > now || credit.empty_until > now);
        self.sweep_at = MANY.max(2 * self.credits.len());
        self.credits.shrink_to(self.sweep_at);
    }
}

impl Drop for Drawing<'_> {
    fn drop(&mut self) {
        if let Some(credit) = self.0.all.lock().credits.get_mut(&self.1) {
            credit.drawing = false;
            credit.drawn_now.notify_waiters();
        }
    }
}

/// How scripts are told of a rate: microseconds.
pub(super) fn numbers(rate: &Rate) -> [String; 2] {
    let micros = |time: Duration| format!("{:.3}", time.as_secs_f64() * 1e6);
    [micros(rate.lasts(1)), micros(rate.lasts(rate.burst()))]
}
