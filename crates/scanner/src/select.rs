//! Relays and wishes to the exits to test: pure.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use record::{Fingerprint, Shard};

use crate::consensus::{Descriptor, Relay};

/// Which relays are wished for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// Running relays with the Exit flag and without BadExit.
    Exits,
    /// The same with BadExit.
    AllExits,
    /// Running relays with the BadExit flag.
    BadExits,
    /// These, whatever their flags.
    Named(BTreeSet<Fingerprint>),
}

impl Filter {
    /// The name in the run's file.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Exits => "exits",
            Self::AllExits => "all-exits",
            Self::BadExits => "bad-exits",
            Self::Named(_) => "named",
        }
    }
}

/// Everything that narrows the choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Criteria {
    /// Which relays.
    pub filter: Filter,
    /// Only those in this country: two lower-case letters.
    pub country: Option<String>,
    /// Only those of this shard.
    pub shard: Shard,
    /// None of these, whose operators asked not to be tested.
    pub on_request: BTreeSet<Fingerprint>,
    /// Only those whose exit policy allows IPv6: the others resolve no AAAA records for a client
    /// (they answer a permanent error), which would say nothing of their resolver.
    pub ipv6: bool,
}

/// Why a relay that was named is not tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Excluded {
    /// It is not in the consensus.
    #[error("is not in the consensus: it is down, new, or the fingerprint is wrong")]
    NotInConsensus,
    /// Its operator asked for that.
    #[error("is in the file of exits that are not to be tested (--exclude-file)")]
    OnRequest,
    /// Its exit policy allows nothing, so that it refuses every lookup.
    #[error("allows no exiting, so it answers no lookups")]
    ExitsNowhere,
    /// It resolves no AAAA records.
    #[error("allows no exiting over IPv6, so it resolves no IPv6 addresses")]
    NoIpv6,
}

/// The choice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selected<'a> {
    /// The relays to test, in the consensus's order.
    pub relays: Vec<&'a Relay>,
    /// The named relays that cannot be tested.
    pub excluded: Vec<(Fingerprint, Excluded)>,
    /// How many are left out because their operators asked for that.
    pub on_request: usize,
}

/// Whether the relay is an exit that the network uses.
#[must_use]
pub fn is_exit(relay: &Relay) -> bool {
    relay.has("Running") && relay.has("Exit") && relay.exits_somewhere
}

/// Chooses the exits to test.
///
/// `descriptors` is asked only where IPv6 is wished for, `countries` only where a country is.
#[must_use]
pub fn select<'a>(
    relays: &'a [Relay],
    descriptors: &HashMap<Fingerprint, Descriptor>,
    countries: &HashMap<IpAddr, String>,
    criteria: &Criteria,
) -> Selected<'a> {
    let resolves_ipv6 = |relay: &Relay| {
        !criteria.ipv6
            || descriptors.get(&relay.fingerprint).is_some_and(|d| !d.policy.ipv6.is_empty())
    };
    let in_shard = |relay: &Fingerprint| criteria.shard.holds(relay);
    let in_part = |relay: &Relay| {
        in_shard(&relay.fingerprint)
            && criteria.country.as_ref().is_none_or(|country| {
                countries.get(&IpAddr::V4(relay.address)).is_some_and(|found| found == country)
            })
    };
    let mut selected = Selected::default();
    for relay in relays.iter().filter(|relay| in_part(relay)) {
        let wanted = match &criteria.filter {
            Filter::Exits => is_exit(relay) && !relay.has("BadExit"),
            Filter::AllExits => is_exit(relay),
            Filter::BadExits => is_exit(relay) && relay.has("BadExit"),
            Filter::Named(names) if !names.contains(&relay.fingerprint) => false,
            Filter::Named(_) => {
                let excluded = if criteria.on_request.contains(&relay.fingerprint) {
                    selected.on_request += 1;
                    Some(Excluded::OnRequest)
                } else if !relay.exits_somewhere {
                    Some(Excluded::ExitsNowhere)
                } else if !resolves_ipv6(relay) {
                    Some(Excluded::NoIpv6)
                } else {
                    None
                };
                selected.excluded.extend(excluded.map(|why| (relay.fingerprint, why)));
                excluded.is_none()
            }
        };
        if wanted && resolves_ipv6(relay) {
            if criteria.on_request.contains(&relay.fingerprint) {
                selected.on_request += 1;
                continue;
            }
            selected.relays.push(relay);
        }
    }
    if let Filter::Named(names) = &criteria.filter {
        let known: BTreeSet<_> = relays.iter().map(|relay| relay.fingerprint).collect();
        let missing = names.difference(&known).filter(|name| in_shard(name));
        selected.excluded.extend(missing.map(|&name| (name, Excluded::NotInConsensus)));
    }
    selected
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Ports;

    fn relay(byte: u8, flags: &str) -> Relay {
        Relay {
            fingerprint: Fingerprint::from_bytes([byte; 20]),
            nickname: format!("relay{byte}"),
            address: [192, 0, 2, byte].into(),
            ipv6: None,
            flags: flags.split(' ').map(str::to_owned).collect(),
            weight: Some(1),
            measured: true,
            exits_somewhere: true,
            microdescriptor: None,
        }
    }

    fn network() -> Vec<Relay> {
        let mut nowhere = relay(4, "Exit Running");
        nowhere.exits_somewhere = false;
        vec![
            relay(1, "Exit Running Valid"),
            relay(2, "BadExit Exit Running"),
            relay(3, "Guard Running"),
            nowhere,
            relay(5, "Exit"),
        ]
    }

    fn chosen(criteria: &Criteria) -> (Vec<u8>, Vec<(u8, Excluded)>) {
        let network = network();
        let mut ipv6 = Descriptor::default();
        ipv6.policy.ipv6 = Ports::parse("accept 443");
        let descriptors = HashMap::from([(Fingerprint::from_bytes([2; 20]), ipv6)]);
        let countries = HashMap::from([([192, 0, 2, 1].into(), "se".to_owned())]);
        let selected = select(&network, &descriptors, &countries, criteria);
        let first = |fingerprint: &Fingerprint| fingerprint.as_bytes()[0];
        (
            selected.relays.iter().map(|relay| first(&relay.fingerprint)).collect(),
            selected.excluded.iter().map(|(relay, why)| (first(relay), *why)).collect(),
        )
    }

    fn criteria(filter: Filter) -> Criteria {
        Criteria {
            filter,
            country: None,
            shard: Shard::WHOLE,
            on_request: BTreeSet::new(),
            ipv6: false,
        }
    }

    #[test]
    fn flags_decide() {
        assert_eq!(chosen(&criteria(Filter::Exits)).0, [1]);
        assert_eq!(chosen(&criteria(Filter::AllExits)).0, [1, 2]);
        assert_eq!(chosen(&criteria(Filter::BadExits)).0, [2]);
    }

    #[test]
    fn a_named_relay_is_tested_whatever_its_flags_or_named_with_the_reason() {
        let names = [3, 4, 9].map(|byte| Fingerprint::from_bytes([byte; 20])).into();
        let (relays, excluded) = chosen(&criteria(Filter::Named(names)));
        assert_eq!(relays, [3]);
        assert_eq!(excluded, [(4, Excluded::ExitsNowhere), (9, Excluded::NotInConsensus)]);
    }

    #[test]
    fn who_asked_not_to_be_tested_is_not_and_is_counted() {
        let asked: BTreeSet<_> = [1, 3, 7].map(|byte| Fingerprint::from_bytes([byte; 20])).into();
        let mut all = criteria(Filter::AllExits);
        all.on_request.clone_from(&asked);
        let network = network();
        let selected = select(&network, &HashMap::new(), &HashMap::new(), &all);
        assert_eq!(selected.on_request, 1, "3 is no exit, and 7 is not there");
        assert_eq!(chosen(&all), (vec![2], vec![]));
        // Also where it is named.
        all.filter = Filter::Named(asked);
        let excluded =
            vec![(1, Excluded::OnRequest), (3, Excluded::OnRequest), (7, Excluded::NotInConsensus)];
        assert_eq!(chosen(&all), (vec![], excluded));
    }

    #[test]
    fn country_shard_and_ipv6_narrow_every_choice() {
        let all = criteria(Filter::AllExits);
        let swedish = Criteria { country: Some("se".into()), ..all.clone() };
        assert_eq!(chosen(&swedish).0, [1]);
        assert_eq!(chosen(&Criteria { ipv6: true, ..all.clone() }).0, [2]);
        let mut parts: Vec<u8> = (0..3)
            .flat_map(|index| {
                chosen(&Criteria { shard: Shard::new(index, 3).unwrap(), ..all.clone() }).0
            })
            .collect();
        parts.sort_unstable();
        assert_eq!(parts, [1, 2], "the shards together are the whole, and do not overlap");
    }
}
