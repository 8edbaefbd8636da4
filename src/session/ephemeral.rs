//! What one connection may publish to channels that are shaped: a rate for each of
//! them, apart from every other limit.

use std::time::Duration;

use sealcast_wire::Channel;

use super::operation::Actor;
use crate::auth::Shaping;
use crate::limit::{Bucket, Limits, Nanos, Rate, Wait};

/// Channels in which one connection's rate is counted at the same time; whoever
/// publishes to more waits until one is unused.
const MOST: usize = 16;
/// How many times as fast as what goes out may come what is merged anyway.
const MERGED: u32 = 10;

/// The buckets of one connection.
#[derive(Debug, Default)]
pub(super) struct Ephemeral(Vec<(Channel, Bucket)>);

impl Ephemeral {
    /// Takes one publication to `channel`, or nothing.
    ///
    /// # Errors
    /// If it is one too many, or in one channel too many.
    pub(super) fn take(&mut self, channel: &Channel, rate: &Rate, now: Nanos) -> Result<(), Wait> {
        if rate.is_none() {
            return Ok(());
        }
        if let Some((_, bucket)) = self.0.iter_mut().find(|(known, _)| known == channel) {
            return bucket.take(rate, 1, now);
        }
        if self.0.len() >= MOST {
            self.0.retain(|(_, bucket)| !bucket.is_full(now));
        }
        if self.0.len() >= MOST {
            return Err(Wait(0));
        }
        let mut bucket = Bucket::default();
        bucket.take(rate, 1, now)?;
        self.0.push((channel.clone(), bucket));
        Ok(())
    }
}

impl Actor {
    /// The channel of this name and how fast it may be published to, if it is one
    /// that is shaped and this client may publish there. Whoever may not has no more
    /// than the limits on commands.
    pub(super) fn ephemeral(&self, channel: &str) -> Option<(Channel, Rate)> {
        let namespaces = &self.policy.namespaces;
        if !namespaces.any_shaped() {
            return None;
        }
        let channel = Channel::parse(channel).ok()?;
        let namespace = namespaces.of(&channel).ok()?;
        let rate = rate(namespace.shaping?, &self.policy.limits);
        let subscribed = self.connection.is_subscribed(&channel);
        self.identity.may_publish(namespace, subscribed).then_some((channel, rate))
    }
}

/// How fast one client may publish to a channel. Of what is merged, what is too fast
/// to go out need not be refused; only a flood is.
fn rate(shaping: Shaping, limits: &Limits) -> Rate {
    let rate = limits.ephemeral;
    match shaping {
        Shaping::Batch { .. } => rate,
        Shaping::Latest { .. } => {
            let more = |number: u32| number.saturating_mul(MERGED);
            Rate::of(more(rate.count()), rate.period(), more(rate.burst()))
        }
    }
}

/// The shaping of a namespace under these limits: no faster than them.
pub(super) fn within(shaping: Shaping, limits: &Limits) -> Shaping {
    let rate = limits.ephemeral;
    let least = if rate.is_none() { Duration::ZERO } else { rate.period() / rate.count().max(1) };
    match shaping {
        Shaping::Latest { every } => Shaping::Latest { every: every.max(least) },
        batch @ Shaping::Batch { .. } => batch,
    }
}

#[cfg(test)]
mod tests {
    use sealcast_wire::Joining;

    use super::*;
    use crate::limit::Profile;

    const SECOND: Nanos = 1_000_000_000;
    const BATCH: Shaping =
        Shaping::Batch { every: Duration::from_millis(50), joining: Joining::Json };
    const LATEST: Shaping = Shaping::Latest { every: Duration::from_millis(10) };

    fn channel(number: usize) -> Channel {
        Channel::parse(&format!("cursors:{number}")).expect("valid")
    }

    #[test]
    fn each_channel_has_its_number_and_no_more() {
        for profile in [Profile::Standard, Profile::Strict] {
            let limits = profile.limits();
            for (shaping, most) in [(BATCH, 60), (LATEST, 600)] {
                let (mut used, rate) = (Ephemeral::default(), rate(shaping, &limits));
                let mut through = |number, now| {
                    (0..10_000).filter(|_| used.take(&channel(number), &rate, now).is_ok()).count()
                };
                assert_eq!(through(1, 0), most, "{profile} {shaping:?}");
                assert_eq!(through(2, 0), most, "another channel has its own");
                assert_eq!(through(1, SECOND), most, "as many in the next second");
                assert_eq!(through(1, SECOND + SECOND / 2), most / 2);
            }
        }
    }

    #[test]
    fn a_client_in_too_many_channels_at_once_waits_and_grows_nothing() {
        let (mut used, rate) = (Ephemeral::default(), Profile::Standard.limits().ephemeral);
        let through = |used: &mut Ephemeral, now| {
            (0..1_000).filter(|at| used.take(&channel(*at), &rate, now).is_ok()).count()
        };
        assert_eq!(through(&mut used, 0), MOST);
        assert_eq!(used.0.len(), MOST);
        assert_eq!(through(&mut used, SECOND), MOST, "those before are forgotten");
        assert_eq!(used.0.len(), MOST);
        let none = Profile::None.limits().ephemeral;
        assert!((0..1_000).all(|at| used.take(&channel(at), &none, SECOND).is_ok()));
    }

    #[test]
    fn nothing_goes_out_faster_than_the_limit() {
        let every = |shaping, limits: &Limits| within(shaping, limits).every();
        let slow = Limits { ephemeral: Rate::each_second(20, 20), ..Profile::Standard.limits() };
        assert_eq!(every(LATEST, &slow), Duration::from_millis(50));
        assert_eq!(every(BATCH, &slow), Duration::from_millis(50));
        assert_eq!(every(LATEST, &Profile::None.limits()), Duration::from_millis(10));
        let standard = every(LATEST, &Profile::Standard.limits());
        assert!((16_600..16_700).contains(&standard.as_micros()), "{standard:?}");
    }
}
