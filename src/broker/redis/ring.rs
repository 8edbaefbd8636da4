//! Which of several primaries a name belongs to: the one of the greatest weight.
//!
//! Every node computes the same from the same list, in whatever order it is
//! given. A primary more or less moves only its own share of the names. Pure.

use super::keys::{self, Name};

/// See the module's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ring {
    seeds: Vec<u64>,
}

impl Ring {
    /// Over primaries that are called so.
    pub(super) fn new(primaries: &[String]) -> Ring {
        Ring { seeds: primaries.iter().map(|primary| keys::seed(primary)).collect() }
    }

    /// The place in the list of the primary of `name`.
    pub(super) fn of(&self, name: Name) -> usize {
        let weight = |seed: u64| mix(seed ^ name.spread());
        let weights = self.seeds.iter().map(|seed| weight(*seed)).enumerate();
        weights.max_by_key(|(_, weight)| *weight).map_or(0, |(at, _)| at)
    }
}

/// Every bit of the answer depends on every bit of the number: multiplications by
/// odd numbers, and shifts that bring the high bits down.
fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use sealcast_wire::Channel;

    use super::super::keys::Names;
    use super::*;

    const NAMES: usize = 10_000;

    fn primaries(count: usize) -> Vec<String> {
        (1..=count).map(|n| format!("redis://10.0.0.{n}:6379")).collect()
    }

    fn names() -> Vec<Name> {
        let names = Names::new("sealcast".into());
        let channel = |n| Channel::parse(&format!("room:{n}")).unwrap();
        (0..NAMES).map(|n| names.channel(&channel(n))).collect()
    }

    #[test]
    fn every_primary_has_about_its_share() {
        for count in [1, 2, 3, 5, 8] {
            let ring = Ring::new(&primaries(count));
            let mut shares = vec![0; count];
            for name in names() {
                shares[ring.of(name)] += 1;
            }
            let fair = NAMES / count;
            for share in shares {
                assert!(share * 10 > fair * 9 && share * 10 < fair * 11, "{share} of {fair}");
            }
        }
    }

    #[test]
    fn one_more_takes_only_its_own_share_and_the_order_does_not_matter() {
        let (few, many) = (primaries(3), primaries(4));
        let (before, after) = (Ring::new(&few), Ring::new(&many));
        let mut turned = many.clone();
        turned.reverse();
        let same = Ring::new(&turned);
        let mut moved = 0;
        for name in names() {
            let now = after.of(name);
            assert_eq!(many[now], turned[same.of(name)]);
            if before.of(name) != now {
                assert_eq!(now, 3, "only to the new one");
                moved += 1;
            }
        }
        assert!(moved * 10 > NAMES / 4 * 9 && moved * 10 < NAMES / 4 * 11, "{moved}");
    }

    #[test]
    fn nothing_changes_from_one_release_to_the_next() {
        let ring = Ring::new(&primaries(4));
        let placed: Vec<_> = names().into_iter().take(12).map(|name| ring.of(name)).collect();
        assert_eq!(placed, [1, 3, 0, 2, 2, 0, 3, 0, 3, 2, 0, 3]);
    }
}
