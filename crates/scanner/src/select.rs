//! Relays and wishes to the exits to test: pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use record::{Fingerprint, RelayFilter, Shard};

use crate::consensus::{Descriptor, Relay, is_private};
use crate::policy::ExitPolicy;

/// Which relays are wished for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// Running relays with the Exit flag and without BadExit.
    Exits,
    /// Running relays whose policy lets anything out by either address family, whatever their flags.
    AllExits,
    /// The same with the BadExit flag.
    BadExits,
    /// These, whatever their flags.
    Named(BTreeSet<Fingerprint>),
}

impl Filter {
    /// What the run's file says of it.
    #[must_use]
    pub const fn kind(&self) -> RelayFilter {
        match self {
            Self::Exits => RelayFilter::Exits,
            Self::AllExits => RelayFilter::AllExits,
            Self::BadExits => RelayFilter::BadExits,
            Self::Named(_) => RelayFilter::Named,
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

/// Why a relay is not tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Exclusion {
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
    /// The consensus does not list it as running.
    #[error("is not running, by the consensus")]
    NotRunning,
    /// It lets something out and has no Exit flag: --all-exits tests it.
    #[error("lets something out and has no Exit flag")]
    NoExitFlag,
    /// The authorities say that nobody is to exit there: --all-exits tests it.
    #[error("has the BadExit flag")]
    BadExit,
}

impl Exclusion {
    /// The name in the run's file, where relays are counted that nobody named.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotInConsensus => "not_in_consensus",
            Self::ExitsNowhere => "exits_nowhere",
            Self::NoIpv6 => "no_ipv6_policy",
            Self::NotRunning => "not_running",
            Self::NoExitFlag => "no_exit_flag",
            Self::BadExit => "bad_exit",
            Self::OnRequest => "on_request",
        }
    }
}

/// The choice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selected<'a> {
    /// The relays to test, in the consensus's order.
    pub relays: Vec<&'a Relay>,
    /// The named relays that cannot be tested.
    pub excluded: Vec<(Fingerprint, Exclusion)>,
    /// How many are left out because their operators asked for that.
    pub on_request: usize,
    /// How many exits of the part that was asked for are left out, by the reason.
    pub left_out: BTreeMap<Exclusion, u32>,
}

/// Whether the relay is an exit that the network uses.
#[must_use]
pub fn is_exit(relay: &Relay) -> bool {
    relay.has("Running") && relay.has("Exit") && relay.exits_somewhere
}

/// Whether the relay may let something out: so whose descriptor is needed to know.
#[must_use]
pub fn may_exit(relay: &Relay, filter: &Filter) -> bool {
    match filter {
        Filter::Exits => is_exit(relay) && !relay.has("BadExit"),
        // Neither the flag nor the consensus's summary speaks of IPv6.
        Filter::AllExits => relay.has("Running"),
        Filter::BadExits => relay.has("Running") && relay.has("BadExit"),
        Filter::Named(names) => names.contains(&relay.fingerprint),
    }
}

/// Whether the relay lets anything out by either family, as far as is known: by its descriptor, which
/// has both, and otherwise by the consensus.
fn exits(relay: &Relay, descriptors: &HashMap<Fingerprint, Descriptor>) -> bool {
    match descriptors.get(&relay.fingerprint) {
        Some(descriptor) => descriptor.policy.allows_anything(),
        None => relay.exits_somewhere,
    }
}

/// Why an exit is not among those that the filter asks for; none where it is.
fn left_out(relay: &Relay, filter: &Filter, exits: bool) -> Option<Exclusion> {
    let flagged = relay.has("Exit");
    match filter {
        Filter::Named(_) => (!exits).then_some(Exclusion::ExitsNowhere),
        _ if !relay.has("Running") => Some(Exclusion::NotRunning),
        _ if !exits => Some(Exclusion::ExitsNowhere),
        Filter::Exits if !flagged => Some(Exclusion::NoExitFlag),
        Filter::Exits if relay.has("BadExit") => Some(Exclusion::BadExit),
        Filter::Exits | Filter::AllExits | Filter::BadExits => None,
    }
}

/// Chooses the exits to test.
///
/// `descriptors` has those of the relays that [`may_exit`]; `countries` is asked only where a country
/// is wished for.
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
    let is_meant = |relay: &Relay| match &criteria.filter {
        Filter::Named(names) => names.contains(&relay.fingerprint),
        Filter::BadExits => relay.has("BadExit"),
        // A relay that is no exit is not left out. A consensus that names microdescriptors does not
        // say of a relay without the flag whether it is one.
        Filter::Exits | Filter::AllExits => {
            let known =
                relay.microdescriptor.is_none() || descriptors.contains_key(&relay.fingerprint);
            relay.has("Exit") || (known && exits(relay, descriptors))
        }
    };
    let named = matches!(criteria.filter, Filter::Named(_));
    let mut selected = Selected::default();
    for relay in relays.iter().filter(|relay| in_part(relay) && is_meant(relay)) {
        let on_request =
            || criteria.on_request.contains(&relay.fingerprint).then_some(Exclusion::OnRequest);
        let why = left_out(relay, &criteria.filter, exits(relay, descriptors))
            .or_else(|| (!resolves_ipv6(relay)).then_some(Exclusion::NoIpv6));
        // Whoever asked not to be tested hears nothing else.
        let why = if named { on_request().or(why) } else { why.or_else(on_request) };
        selected.on_request += usize::from(why == Some(Exclusion::OnRequest));
        match why {
            None => selected.relays.push(relay),
            Some(why) if named => selected.excluded.push((relay.fingerprint, why)),
            Some(Exclusion::OnRequest) => {}
            Some(why) => *selected.left_out.entry(why).or_default() += 1,
        }
    }
    if let Filter::Named(names) = &criteria.filter {
        let known: BTreeSet<_> = relays.iter().map(|relay| relay.fingerprint).collect();
        let missing = names.difference(&known).filter(|name| in_shard(name));
        selected.excluded.extend(missing.map(|&name| (name, Exclusion::NotInConsensus)));
    }
    selected
}

/// Addresses where nobody is, set aside for documentation (RFC 5737, RFC 3849): tor and exits take
/// them for any other, and no host is bothered.
const NOBODY: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];

/// An address and a port to which the exit lets streams out by its published policy: the zone's own
/// address where the policy has its family, and otherwise one where nobody is.
#[must_use]
pub fn door(policy: &ExitPolicy, zone: Option<IpAddr>) -> Option<SocketAddr> {
    let zone = zone.filter(|zone| !is_private(*zone));
    zone.into_iter().chain(NOBODY).find_map(|address| {
        let ports = if address.is_ipv4() { &policy.ipv4 } else { &policy.ipv6 };
        let usual = USUAL_PORTS.into_iter().find(|port| ports.contains(*port));
        Some(SocketAddr::new(address, usual.or_else(|| ports.first())?))
    })
}

/// Ports that tor itself warns of for no reason, and most policies have.
const USUAL_PORTS: [u16; 2] = [443, 80];

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
            Relay { exits_somewhere: false, ..relay(6, "Running") },
        ]
    }

    fn chosen(criteria: &Criteria) -> (Vec<u8>, Vec<(u8, Exclusion)>) {
        let network = network();
        let mut ipv6 = Descriptor::default();
        ipv6.policy.ipv6 = Ports::parse("accept 443");
        // The sixth lets out IPv6 alone: the consensus knows nothing of it.
        let descriptors = HashMap::from([
            (Fingerprint::from_bytes([2; 20]), ipv6.clone()),
            (Fingerprint::from_bytes([3; 20]), Descriptor::default()),
            (Fingerprint::from_bytes([6; 20]), ipv6),
        ]);
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
        assert_eq!(chosen(&criteria(Filter::AllExits)).0, [1, 2, 6]);
        assert_eq!(chosen(&criteria(Filter::BadExits)).0, [2]);
    }

    #[test]
    fn what_is_left_out_is_counted_with_the_reason() {
        let network = network();
        let mut ipv6 = Descriptor::default();
        ipv6.policy.ipv6 = Ports::parse("accept 443");
        let descriptors = HashMap::from([(Fingerprint::from_bytes([6; 20]), ipv6)]);
        let left_out =
            |filter| select(&network, &descriptors, &HashMap::new(), &criteria(filter)).left_out;
        use Exclusion::{BadExit, ExitsNowhere, NoExitFlag, NotRunning};
        // The third is a guard: where its policy is not known, it may well exit.
        let expected = [(BadExit, 1), (ExitsNowhere, 1), (NoExitFlag, 2), (NotRunning, 1)];
        assert_eq!(left_out(Filter::Exits), expected.into());
        assert_eq!(left_out(Filter::AllExits), [(ExitsNowhere, 1), (NotRunning, 1)].into());
    }

    #[test]
    fn a_door_is_what_the_policy_has() {
        let policy = |ipv4: &str, ipv6: &str| ExitPolicy {
            ipv4: Ports::parse(ipv4),
            ipv6: Ports::parse(ipv6),
        };
        let zone: IpAddr = "64.65.4.1".parse().unwrap();
        let door = |ipv4: &str, ipv6: &str, zone: Option<IpAddr>| {
            door(&policy(ipv4, ipv6), zone).map(|door| door.to_string())
        };
        let all = "accept 1-65535";
        assert_eq!(door(all, "", Some(zone)).as_deref(), Some("64.65.4.1:443"));
        assert_eq!(door("accept 22,80", "", Some(zone)).as_deref(), Some("64.65.4.1:80"));
        assert_eq!(door("accept 22", "", None).as_deref(), Some("192.0.2.1:22"));
        assert_eq!(door("", all, Some(zone)).as_deref(), Some("[2001:db8::1]:443"));
        assert_eq!(door(all, "", "10.0.0.1".parse().ok()).as_deref(), Some("192.0.2.1:443"));
        assert_eq!(door("", "", Some(zone)), None);
    }

    #[test]
    fn a_named_relay_is_tested_whatever_its_flags_or_named_with_the_reason() {
        let names = [3, 4, 5, 6, 9].map(|byte| Fingerprint::from_bytes([byte; 20])).into();
        let (relays, excluded) = chosen(&criteria(Filter::Named(names)));
        assert_eq!(relays, [5, 6], "one that lets out IPv6 alone answers all the same");
        let nowhere = Exclusion::ExitsNowhere;
        assert_eq!(excluded, [(3, nowhere), (4, nowhere), (9, Exclusion::NotInConsensus)]);
    }

    #[test]
    fn who_asked_not_to_be_tested_is_not_and_is_counted() {
        let asked: BTreeSet<_> = [1, 3, 7].map(|byte| Fingerprint::from_bytes([byte; 20])).into();
        let mut all = criteria(Filter::AllExits);
        all.on_request.clone_from(&asked);
        let network = network();
        let guard = HashMap::from([(Fingerprint::from_bytes([3; 20]), Descriptor::default())]);
        let selected = select(&network, &guard, &HashMap::new(), &all);
        assert_eq!(selected.on_request, 1, "3 is no exit, and 7 is not there");
        assert_eq!(chosen(&all), (vec![2, 6], vec![]));
        // Also where it is named.
        all.filter = Filter::Named(asked);
        let excluded = vec![
            (1, Exclusion::OnRequest),
            (3, Exclusion::OnRequest),
            (7, Exclusion::NotInConsensus),
        ];
        assert_eq!(chosen(&all), (vec![], excluded));
    }

    #[test]
    fn country_shard_and_ipv6_narrow_every_choice() {
        let all = criteria(Filter::AllExits);
        let swedish = Criteria { country: Some("se".into()), ..all.clone() };
        assert_eq!(chosen(&swedish).0, [1]);
        assert_eq!(chosen(&Criteria { ipv6: true, ..all.clone() }).0, [2, 6]);
        let mut parts: Vec<u8> = (0..3)
            .flat_map(|index| {
                chosen(&Criteria { shard: Shard::new(index, 3).unwrap(), ..all.clone() }).0
            })
            .collect();
        parts.sort_unstable();
        assert_eq!(parts, [1, 2, 6], "the shards together are the whole, and do not overlap");
    }
}
