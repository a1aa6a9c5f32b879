//! Choosing first hops: spread over the network's guards, so that none carries too much, and away
//! from those that have just failed. Pure: the randomness is passed in.

use std::collections::{BTreeSet, HashMap, HashSet};

use rand::{Rng, RngExt};
use record::Fingerprint;

use crate::consensus::Relay;

/// Whether the consensus recommends the relay as a first hop: a stable, fast guard that the
/// bandwidth authorities have measured, and that no authority distrusts.
#[must_use]
pub fn is_first_hop(relay: &Relay) -> bool {
    ["Guard", "Stable", "Fast", "Running", "Valid"].iter().all(|flag| relay.has(flag))
        && !relay.has("BadExit")
        && relay.measured
        && relay.weight.is_some_and(|weight| weight > 0)
}

/// The first hops that may be used, and what each carries.
#[derive(Debug)]
pub struct FirstHops {
    hops: Vec<Hop>,
    index: HashMap<Fingerprint, usize>,
    cap: u32,
    only: Option<Fingerprint>,
}

#[derive(Debug)]
struct Hop {
    fingerprint: Fingerprint,
    carries: u32,
    failing: bool,
}

impl FirstHops {
    /// These first hops, each carrying at most `cap` circuits at once; where `only` is given, it
    /// alone, except for the exit that it is itself.
    #[must_use]
    pub fn new(
        hops: impl IntoIterator<Item = Fingerprint>,
        only: Option<Fingerprint>,
        cap: u32,
    ) -> Self {
        let hops: BTreeSet<Fingerprint> = hops.into_iter().chain(only).collect();
        let hops: Vec<Hop> = hops
            .into_iter()
            .map(|fingerprint| Hop { fingerprint, carries: 0, failing: false })
            .collect();
        let index = hops.iter().enumerate().map(|(i, hop)| (hop.fingerprint, i)).collect();
        Self { hops, index, cap, only }
    }

    /// Takes a first hop for a circuit to `exit`: any at random among the best that has room,
    /// where the best have neither failed lately nor been tried for this exit (`tried`). None
    /// while every usable hop is full. It carries the circuit until [`FirstHops::release`].
    pub fn take(
        &mut self,
        exit: &Fingerprint,
        tried: &HashSet<Fingerprint>,
        rng: &mut impl Rng,
    ) -> Option<Fingerprint> {
        // Worse is higher. A hop tried before is the last resort: what failed must be confirmed
        // by other paths.
        let penalty =
            |hop: &Hop| u8::from(hop.failing) + 2 * u8::from(tried.contains(&hop.fingerprint));
        let usable = |hop: &&Hop| hop.carries < self.cap && self.may_reach(hop, exit);
        let best = self.hops.iter().filter(usable).map(penalty).min()?;
        let choice = |hop: &&Hop| usable(hop) && penalty(hop) == best;
        let count = self.hops.iter().filter(choice).count();
        let pick = self.hops.iter().filter(choice).nth(rng.random_range(0..count))?.fingerprint;
        self.hops[self.index[&pick]].carries += 1;
        Some(pick)
    }

    /// Whether some hop other than the exit could ever be taken.
    #[must_use]
    pub fn can_reach(&self, exit: &Fingerprint) -> bool {
        self.hops.iter().any(|hop| self.may_reach(hop, exit))
    }

    /// Whether some hop that has not been tried for this exit is not known to fail.
    #[must_use]
    pub fn has_other(&self, exit: &Fingerprint, tried: &HashSet<Fingerprint>) -> bool {
        self.hops.iter().any(|hop| {
            self.may_reach(hop, exit) && !hop.failing && !tried.contains(&hop.fingerprint)
        })
    }

    fn may_reach(&self, hop: &Hop, exit: &Fingerprint) -> bool {
        hop.fingerprint != *exit
            && self.only.is_none_or(|only| only == *exit || only == hop.fingerprint)
    }

    /// Gives back a hop, saying whether the circuit got as far as the hop itself (`None` where
    /// that is not known).
    pub fn release(&mut self, hop: &Fingerprint, worked: Option<bool>) {
        if let Some(&index) = self.index.get(hop) {
            let hop = &mut self.hops[index];
            hop.carries = hop.carries.saturating_sub(1);
            if let Some(worked) = worked {
                hop.failing = !worked;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    fn relay(byte: u8) -> Fingerprint {
        Fingerprint::from_bytes([byte; 20])
    }

    #[test]
    fn prefers_hops_that_were_not_tried_and_do_not_fail() {
        let mut rng = StdRng::seed_from_u64(7);
        let mut hops = FirstHops::new((1..=4).map(relay), None, 9);
        let tried = HashSet::from([relay(1)]);
        hops.release(&relay(2), Some(false));
        for _ in 0..20 {
            let hop = hops.take(&relay(3), &tried, &mut rng).unwrap();
            assert_eq!(hop, relay(4), "1 was tried, 2 fails, 3 is the exit");
            hops.release(&hop, Some(true));
        }
        hops.release(&relay(4), Some(false));
        hops.release(&relay(2), Some(true));
        assert_eq!(hops.take(&relay(3), &tried, &mut rng), Some(relay(2)), "it works again");
        let all = (1..=4).map(relay).collect();
        assert!(hops.take(&relay(3), &all, &mut rng).is_some(), "tried hops are the last resort");
    }

    #[test]
    fn the_exit_is_never_its_own_first_hop() {
        let mut rng = StdRng::seed_from_u64(7);
        let mut hops = FirstHops::new([relay(1)], None, 9);
        assert_eq!(hops.take(&relay(1), &HashSet::new(), &mut rng), None);
        assert!(!hops.can_reach(&relay(1)) && hops.can_reach(&relay(2)));
    }

    #[test]
    fn the_one_that_was_asked_for_serves_every_exit_but_itself() {
        let mut rng = StdRng::seed_from_u64(7);
        let mut hops = FirstHops::new([relay(2)], Some(relay(1)), 9);
        let tried = HashSet::from([relay(1)]);
        assert_eq!(hops.take(&relay(3), &tried, &mut rng), Some(relay(1)));
        assert_eq!(hops.take(&relay(1), &tried, &mut rng), Some(relay(2)));
    }

    proptest! {
        #[test]
        fn no_hop_carries_more_than_the_cap(seed: u64, cap in 1_u32..4, steps in prop::collection::vec(any::<bool>(), 0..60)) {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut hops = FirstHops::new((1..=3).map(relay), None, cap);
            let mut taken = Vec::new();
            for take in steps {
                if take {
                    match hops.take(&relay(9), &HashSet::new(), &mut rng) {
                        Some(hop) => taken.push(hop),
                        None => prop_assert_eq!(taken.len(), 3 * cap as usize),
                    }
                } else if let Some(hop) = taken.pop() {
                    hops.release(&hop, Some(true));
                }
                for hop in (1..=3).map(relay) {
                    prop_assert!(taken.iter().filter(|&&have| have == hop).count() <= cap as usize);
                }
            }
        }
    }
}
