//! Choosing first hops: by their weight in the consensus, so that none carries too much; apart from the
//! exit's operator and network, and from those that were tried before; away from those that have just
//! failed. Pure: the randomness is passed in.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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

/// A relay that may be a first hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Its identity.
    pub fingerprint: Fingerprint,
    /// Its weight in the consensus, at least 1.
    pub weight: u64,
    /// Whether it is an exit: the network has few of those, and needs them as such.
    pub exits: bool,
}

impl Candidate {
    /// What the consensus says of the relay.
    #[must_use]
    pub fn new(relay: &Relay) -> Self {
        Self {
            fingerprint: relay.fingerprint,
            weight: relay.weight.unwrap_or(1).max(1),
            exits: relay.has("Exit"),
        }
    }
}

/// What may tie a relay to others: one operator, or one place. Two attempts by hops that are tied
/// together are no two witnesses, and an exit tied to its first hop is seen by itself alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ties {
    v4: Option<[u8; 2]>,
    v6: Option<[u8; 4]>,
    /// In order.
    family: Vec<Fingerprint>,
    /// The families whose keys it is certified by.
    family_ids: Vec<String>,
}

impl Ties {
    /// The ties of a relay at these addresses that names this family (dir-spec, "family"). Members
    /// named by nickname are nobody's.
    #[must_use]
    pub fn new<'a>(
        address: IpAddr,
        ipv6: Option<Ipv6Addr>,
        family: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let v4 = |address: Ipv4Addr| {
            let [a, b, ..] = address.octets();
            [a, b]
        };
        // The networks that tor itself takes for one (EnforceDistinctSubnets): /16 and /32.
        let v6 = |address: Ipv6Addr| {
            let [a, b, c, d, ..] = address.octets();
            [a, b, c, d]
        };
        let member = |name: &str| name.split(['~', '=']).next()?.strip_prefix('$')?.parse().ok();
        let mut family: Vec<Fingerprint> = family.into_iter().filter_map(member).collect();
        family.sort_unstable();
        let (v4, own_v6) = match address {
            IpAddr::V4(address) => (Some(v4(address)), None),
            IpAddr::V6(address) => (None, Some(v6(address))),
        };
        Self { v4, v6: ipv6.map(v6).or(own_v6), family, family_ids: Vec::new() }
    }

    /// The same of a relay in the families with these ids (proposal 321).
    #[must_use]
    pub fn with_family_ids(mut self, ids: Vec<String>) -> Self {
        self.family_ids = ids;
        self
    }

    fn shares_key(&self, other: &Self) -> bool {
        self.family_ids.iter().any(|id| other.family_ids.contains(id))
    }

    fn names(&self, relay: &Fingerprint) -> bool {
        self.family.binary_search(relay).is_ok()
    }
}

/// The first hops that may be used, and what each carries.
#[derive(Debug)]
pub struct FirstHops {
    hops: Vec<Hop>,
    index: HashMap<Fingerprint, usize>,
    ties: HashMap<Fingerprint, Ties>,
    cap: u32,
    only: Option<Fingerprint>,
    some_apart: bool,
}

#[derive(Debug)]
struct Hop {
    candidate: Candidate,
    carries: u32,
    failing: bool,
}

/// What speaks against a hop, the gravest first: less is better.
type Objections = (bool, bool, bool, bool, bool);

impl FirstHops {
    /// These first hops, each carrying at most `cap` circuits at once; where `only` is given, it
    /// alone, except for the exit that it is itself. `ties` are those of hops and exits.
    #[must_use]
    pub fn new(
        candidates: impl IntoIterator<Item = Candidate>,
        ties: HashMap<Fingerprint, Ties>,
        only: Option<Fingerprint>,
        cap: u32,
    ) -> Self {
        let mut hops: BTreeMap<Fingerprint, Candidate> =
            candidates.into_iter().map(|hop| (hop.fingerprint, hop)).collect();
        if let Some(fingerprint) = only {
            hops.entry(fingerprint).or_insert(Candidate { fingerprint, weight: 1, exits: false });
        }
        let hops: Vec<Hop> = hops
            .into_values()
            .map(|candidate| Hop { candidate, carries: 0, failing: false })
            .collect();
        let index = (0..).zip(&hops).map(|(i, hop)| (hop.candidate.fingerprint, i)).collect();
        let mut hops = Self { hops, index, ties, cap, only, some_apart: false };
        let all = || hops.hops.iter().map(|hop| hop.candidate.fingerprint);
        hops.some_apart = only.is_none() && all().any(|a| all().any(|b| hops.apart(&a, &b)));
        hops
    }

    /// Whether any two that may be used are known to be apart: see [`FirstHops::apart`].
    #[must_use]
    pub const fn some_apart(&self) -> bool {
        self.some_apart
    }

    /// Whether two relays are known to be of different operators and places.
    #[must_use]
    pub fn apart(&self, a: &Fingerprint, b: &Fingerprint) -> bool {
        let known = self.ties.contains_key(a) && self.ties.contains_key(b);
        a != b && known && !self.tied(a, b)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.hops.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hops.is_empty()
    }

    /// The one that was asked for.
    #[must_use]
    pub const fn only(&self) -> Option<Fingerprint> {
        self.only
    }

    /// Takes a first hop for a circuit to `exit`: drawn by weight among the best that has room,
    /// where the best are tied neither to the exit nor to those tried for it before (`tried`), have
    /// not failed lately, and are no exits. None while every usable hop is full, and while one without
    /// grave objections is: what fails at once has room always, and a circuit through it says nothing. It
    /// carries the circuit until [`FirstHops::release`].
    pub fn take(
        &mut self,
        exit: &Fingerprint,
        tried: &HashSet<Fingerprint>,
        rng: &mut impl Rng,
    ) -> Option<Fingerprint> {
        let reach = || (0..).zip(&self.hops).filter(|(_, hop)| self.may_reach(hop, exit));
        let weighed: Vec<(Objections, usize)> = reach()
            .filter(|(_, hop)| hop.carries < self.cap)
            .map(|(index, hop)| (self.objections(hop, exit, tried), index))
            .collect();
        let best = weighed.iter().map(|(objections, _)| *objections).min()?;
        let grave = |(tied, tried, failing, ..): Objections| (tied, tried, failing);
        let least = reach().map(|(_, hop)| grave(self.objections(hop, exit, tried))).min()?;
        if least < grave(best) {
            return None;
        }
        let choice =
            || weighed.iter().filter(|(objections, _)| *objections == best).map(|(_, i)| *i);
        let total: u64 = choice().map(|index| self.hops[index].candidate.weight).sum();
        let mut drawn = rng.random_range(0..total);
        let pick = choice().find(|&index| {
            let weight = self.hops[index].candidate.weight;
            let here = drawn < weight;
            drawn = drawn.saturating_sub(weight);
            here
        })?;
        let hop = &mut self.hops[pick];
        hop.carries += 1;
        Some(hop.candidate.fingerprint)
    }

    /// A hop tried before is nearly the last resort: what failed must be confirmed by other paths.
    fn objections(
        &self,
        hop: &Hop,
        exit: &Fingerprint,
        tried: &HashSet<Fingerprint>,
    ) -> Objections {
        let this = &hop.candidate.fingerprint;
        (
            self.tied(this, exit),
            tried.contains(this),
            hop.failing,
            tried.iter().any(|other| self.tied(this, other)),
            hop.candidate.exits,
        )
    }

    /// Whether two relays are of one family, each naming the other, or in one network.
    #[must_use]
    pub fn tied(&self, a: &Fingerprint, b: &Fingerprint) -> bool {
        let (Some(of_a), Some(of_b)) = (self.ties.get(a), self.ties.get(b)) else { return false };
        (of_a.v4.is_some() && of_a.v4 == of_b.v4)
            || (of_a.v6.is_some() && of_a.v6 == of_b.v6)
            || (of_a.names(b) && of_b.names(a))
            || of_a.shares_key(of_b)
    }

    /// Whether some hop other than the exit could ever be taken.
    #[must_use]
    pub fn can_reach(&self, exit: &Fingerprint) -> bool {
        self.hops.iter().any(|hop| self.may_reach(hop, exit))
    }

    fn may_reach(&self, hop: &Hop, exit: &Fingerprint) -> bool {
        let this = hop.candidate.fingerprint;
        this != *exit && self.only.is_none_or(|only| only == *exit || only == this)
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

    fn hop(byte: u8) -> Candidate {
        Candidate { fingerprint: relay(byte), weight: 1, exits: false }
    }

    fn hops(bytes: impl IntoIterator<Item = u8>, only: Option<Fingerprint>, cap: u32) -> FirstHops {
        FirstHops::new(bytes.into_iter().map(hop), HashMap::new(), only, cap)
    }

    /// A relay in a network of its own, with this family.
    fn ties(byte: u8, family: &[u8]) -> (Fingerprint, Ties) {
        let names: Vec<String> = family.iter().map(|&byte| format!("${}", relay(byte))).collect();
        let names = names.iter().map(String::as_str);
        (relay(byte), Ties::new([10, byte, 0, 1].into(), None, names))
    }

    /// Who is drawn in many draws, and how often.
    fn draws(hops: &mut FirstHops, tried: &[u8]) -> BTreeMap<u8, u32> {
        let mut rng = StdRng::seed_from_u64(7);
        let tried = tried.iter().map(|&byte| relay(byte)).collect();
        let mut drawn = BTreeMap::new();
        for _ in 0..1_000 {
            let hop = hops.take(&relay(9), &tried, &mut rng).unwrap();
            hops.release(&hop, None);
            *drawn.entry(hop.as_bytes()[0]).or_default() += 1;
        }
        drawn
    }

    #[test]
    fn relays_with_a_familys_key_in_common_are_tied() {
        let with = |byte: u8, ids: &[&str]| {
            let ids = ids.iter().map(|id| (*id).to_owned()).collect();
            let (relay, ties) = ties(byte, &[]);
            (relay, ties.with_family_ids(ids))
        };
        let known = [with(1, &["a", "b"]), with(2, &["b"]), with(3, &["c"])];
        let hops = FirstHops::new([], known.into(), None, 1);
        assert!(hops.tied(&relay(1), &relay(2)));
        assert!(!hops.tied(&relay(1), &relay(3)));
        let bare = [with(4, &[]), with(5, &[])];
        assert!(!FirstHops::new([], bare.into(), None, 1).tied(&relay(4), &relay(5)));
    }

    #[test]
    fn waits_for_a_hop_that_works_rather_than_take_one_that_fails_at_once() {
        let mut rng = StdRng::seed_from_u64(7);
        let mut hops = hops(1..=2, None, 1);
        hops.release(&relay(2), Some(false));
        let none = HashSet::new();
        assert_eq!(hops.take(&relay(9), &none, &mut rng), Some(relay(1)));
        assert_eq!(hops.take(&relay(8), &none, &mut rng), None, "1 is full, and 2 fails");
        let tried = HashSet::from([relay(1)]);
        assert_eq!(hops.take(&relay(9), &tried, &mut rng), Some(relay(2)), "1 was tried");
        hops.release(&relay(1), Some(true));
        assert_eq!(hops.take(&relay(8), &none, &mut rng), Some(relay(1)));
    }

    #[test]
    fn prefers_hops_that_were_not_tried_and_do_not_fail() {
        let mut rng = StdRng::seed_from_u64(7);
        let mut hops = hops(1..=4, None, 9);
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
    fn each_is_drawn_as_often_as_it_weighs() {
        let weighs = |byte, weight| Candidate { weight, ..hop(byte) };
        let candidates = [weighs(1, 100), weighs(2, 800), weighs(3, 100)];
        let drawn = draws(&mut FirstHops::new(candidates, HashMap::new(), None, 9), &[]);
        assert!((60..140).contains(&drawn[&1]) && (750..850).contains(&drawn[&2]), "{drawn:?}");
    }

    #[test]
    fn exits_are_spared() {
        let exit = Candidate { exits: true, weight: 1_000_000, ..hop(1) };
        let mut hops = FirstHops::new([exit, hop(2)], HashMap::new(), None, 9);
        assert_eq!(draws(&mut hops, &[]).into_keys().collect::<Vec<_>>(), [2]);
        assert_eq!(
            draws(&mut hops, &[2]).into_keys().collect::<Vec<_>>(),
            [1],
            "there is no other"
        );
    }

    #[test]
    fn no_two_attempts_by_one_operator_or_network_while_there_are_others() {
        // 1 and 2 are a family, 3 and 4 in one network, 5 names 6 alone; 6 is the exit's.
        let mut all = HashMap::from([
            ties(1, &[2]),
            ties(2, &[1]),
            ties(3, &[]),
            ties(4, &[]),
            ties(5, &[6]),
            ties(6, &[9]),
            ties(9, &[6]),
        ]);
        let by_ipv6 = |host| Ties::new([10, host, 0, 1].into(), "2001:db8::1".parse().ok(), []);
        all.insert(relay(3), by_ipv6(3));
        all.insert(relay(4), by_ipv6(4));
        let mut hops = FirstHops::new((1..=6).map(hop), all, None, 9);
        let mut drawn = |tried: &[u8]| draws(&mut hops, tried).into_keys().collect::<Vec<_>>();
        assert_eq!(drawn(&[]), [1, 2, 3, 4, 5]);
        assert_eq!(drawn(&[1]), [3, 4, 5]);
        assert_eq!(drawn(&[1, 3]), [5]);
        assert_eq!(drawn(&[1, 3, 5]), [2, 4], "others have not been tried themselves");
        assert_eq!(drawn(&[1, 2, 3, 4]), [5]);
        assert_eq!(drawn(&[1, 2, 3, 4, 5]), [1, 2, 3, 4, 5], "6 is the exit's own family");
    }

    #[test]
    fn an_operator_who_names_strangers_ties_nobody() {
        let named: Vec<u8> = (1..=8).collect();
        let all = HashMap::from([ties(9, &named), ties(1, &[]), ties(2, &[9])]);
        let hops = FirstHops::new([hop(1), hop(2)], all, None, 9);
        assert!(!hops.tied(&relay(1), &relay(9)));
        assert!(hops.tied(&relay(2), &relay(9)));
    }

    #[test]
    fn the_exit_is_never_its_own_first_hop() {
        let mut rng = StdRng::seed_from_u64(7);
        let mut hops = hops([1], None, 9);
        assert_eq!(hops.take(&relay(1), &HashSet::new(), &mut rng), None);
        assert!(!hops.can_reach(&relay(1)) && hops.can_reach(&relay(2)));
    }

    #[test]
    fn the_one_that_was_asked_for_serves_every_exit_but_itself() {
        let mut rng = StdRng::seed_from_u64(7);
        let mut hops = hops([2], Some(relay(1)), 9);
        let tried = HashSet::from([relay(1)]);
        assert_eq!(hops.take(&relay(3), &tried, &mut rng), Some(relay(1)));
        assert_eq!(hops.take(&relay(1), &tried, &mut rng), Some(relay(2)));
    }

    proptest! {
        #[test]
        fn no_hop_carries_more_than_the_cap(seed: u64, cap in 1_u32..4, steps in prop::collection::vec(any::<bool>(), 0..60)) {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut hops = hops(1..=3, None, cap);
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

        #[test]
        fn strangers_families_never_panic(names in prop::collection::vec("[$~=0-9A-F]{0,42}|.{0,5}", 0..6)) {
            let _ = Ties::new([10, 0, 0, 1].into(), None, names.iter().map(String::as_str));
        }
    }
}
