//! Who resolves names for exits: where each resolver is, what it can do, and what that makes of the network.
//! Pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use record::{
    AbilityShare, CheckOutcome, Fingerprint, LookupAtZone, PublicResolver, RelayInfo,
    RelayLocation, RelayResolver, RelayResult, RelayShare, ReportedRelay, ResolverAddress,
    ResolverChecks, ResolverKind, ResolverNetwork, ResolverRule, ResolverShares, SeenOutcome,
};

use crate::merge::Joined;
use crate::stats::percent;

/// How long what was seen of a resolver stands. Every check but that of the address is made once a day.
pub const STANDS: TimeDelta = TimeDelta::days(7);

/// The most addresses of a relay's resolvers that are kept: a service for everybody has many.
pub const ADDRESSES: usize = 8;

/// A network that answers for more of the weight than this, in percent, is told: nobody should see so much
/// (the aim that the first measurements of exits' resolvers set).
const LARGE: f64 = 10.0;

/// The services that the Tor Project's guide for exits names.
const NAMED: [PublicResolver; 5] = [
    PublicResolver::Google,
    PublicResolver::OpenDns,
    PublicResolver::Quad9,
    PublicResolver::Cloudflare,
    PublicResolver::Level3,
];

/// Which service asks from an autonomous system. The names under which the systems are registered are
/// those of IPFire's location database.
const fn public_of(as_number: u32) -> Option<PublicResolver> {
    Some(match as_number {
        15169 => PublicResolver::Google,
        13335 => PublicResolver::Cloudflare,
        42 | 715 | 19281 => PublicResolver::Quad9,
        36692 => PublicResolver::OpenDns,
        3356 => PublicResolver::Level3,
        212_772 => PublicResolver::AdGuard,
        34939 => PublicResolver::NextDns,
        205_157 => PublicResolver::CleanBrowsing,
        13238 => PublicResolver::Yandex,
        _ => return None,
    })
}

/// What runs saw of a relay's resolver, the last of them each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeenResolver {
    /// Who asked, and the end of the run that saw it.
    pub addresses: Option<(Vec<IpAddr>, DateTime<Utc>)>,
    /// Whether it validates, falls back to TCP, reaches servers by IPv6, and minimises, in this order.
    pub outcomes: [Option<SeenOutcome>; 4],
}

impl SeenResolver {
    /// Takes in what a run that ended at this time found, after all that were before it.
    pub fn add(&mut self, found: &FoundResolver, at: DateTime<Utc>) {
        if !found.addresses.is_empty() {
            self.addresses = Some((found.addresses.clone(), at));
        }
        for (seen, outcome) in self.outcomes.iter_mut().zip(found.outcomes) {
            // That it could not be told takes nothing back.
            let tells = outcome.filter(|outcome| {
                *outcome != CheckOutcome::Unknown
                    || seen.is_none_or(|seen| seen.outcome == CheckOutcome::Unknown)
            });
            *seen = tells.map(|outcome| SeenOutcome { outcome, seen: at }).or(*seen);
        }
    }
}

/// What runs saw of each relay's resolver.
pub type SeenResolvers = HashMap<Fingerprint, SeenResolver>;

/// Takes in what a run that ended at this time found, after all that were before it.
pub fn add_run(seen: &mut SeenResolvers, joined: &Joined, at: DateTime<Utc>) {
    for (relay, vote) in &joined.relays {
        if !vote.resolver.is_empty() {
            seen.entry(*relay).or_default().add(&vote.resolver, at);
        }
    }
}

/// What one run found of a relay's resolver.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundResolver {
    /// Who asked for its names, each once.
    pub addresses: Vec<IpAddr>,
    /// As in [`SeenResolver::outcomes`].
    pub outcomes: [Option<CheckOutcome>; 4],
}

impl FoundResolver {
    /// What a result's further lookups found.
    #[must_use]
    pub fn of(checks: &ResolverChecks) -> Self {
        let mut found = Self {
            addresses: Vec::new(),
            outcomes: [checks.validates, checks.tcp, checks.ipv6, None],
        };
        found.add_addresses(checks.addresses.iter().copied());
        found
    }

    /// What a report says that its own run found.
    #[must_use]
    pub fn of_report(resolver: &RelayResolver, run: DateTime<Utc>) -> Self {
        let own = |seen: Option<SeenOutcome>| seen.filter(|o| o.seen == run).map(|o| o.outcome);
        let addresses = resolver.addresses.iter().map(|one| one.address);
        Self {
            addresses: addresses.filter(|_| resolver.seen == Some(run)).collect(),
            outcomes: [
                own(resolver.validates),
                own(resolver.tcp),
                own(resolver.ipv6),
                own(resolver.minimises),
            ],
        }
    }

    /// Adds addresses that asked, as far as there is room.
    pub fn add_addresses(&mut self, addresses: impl IntoIterator<Item = IpAddr>) {
        for address in addresses {
            let address = address.to_canonical();
            if self.addresses.len() < ADDRESSES && !self.addresses.contains(&address) {
                self.addresses.push(address);
            }
        }
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What another vantage point of the same scan found as well. Of outcomes that differ, the one counts
    /// that shows something: an address for a name that must have none, or one that came at all.
    pub fn join(&mut self, other: &Self) {
        self.add_addresses(other.addresses.iter().copied());
        let shows = [CheckOutcome::No, CheckOutcome::Yes, CheckOutcome::Yes, CheckOutcome::Yes];
        for ((own, other), shows) in self.outcomes.iter_mut().zip(other.outcomes).zip(shows) {
            let weight = |outcome: CheckOutcome| match outcome {
                CheckOutcome::Unknown => 0,
                outcome if outcome == shows => 2,
                CheckOutcome::Yes | CheckOutcome::No => 1,
            };
            *own = [*own, other].into_iter().flatten().max_by_key(|one| weight(*one));
        }
    }
}

/// What the zone's log says of a run's lookups.
pub trait ZoneWitness: std::fmt::Debug {
    /// What it says of each relay of the runs in these analysis directories, which are of one scan. A log that
    /// cannot be read says nothing: that is told in the log of the program.
    fn of(&self, directories: &[PathBuf]) -> HashMap<Fingerprint, SeenAtZone>;
}

/// What the zone's log says of a relay's lookups.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SeenAtZone {
    /// Who asked for its names.
    pub addresses: Vec<IpAddr>,
    /// Whether who asked tells no more of a name than is needed; none where nobody asked.
    pub minimises: Option<CheckOutcome>,
    /// What became of each of its names, in lower case and without a last dot.
    pub lookups: HashMap<String, LookupAtZone>,
}

impl SeenAtZone {
    /// What it adds to what further lookups found.
    #[must_use]
    pub fn found(&self) -> FoundResolver {
        let mut found =
            FoundResolver { outcomes: [None, None, None, self.minimises], ..Default::default() };
        found.add_addresses(self.addresses.iter().copied());
        found
    }

    /// What became of the lookup that decided a result.
    #[must_use]
    pub fn deciding(&self, result: &RelayResult) -> Option<LookupAtZone> {
        let name = result.query_domain.as_deref()?.trim_end_matches('.').to_ascii_lowercase();
        self.lookups.get(&name).copied()
    }
}

/// A relay whose resolver is told.
#[derive(Debug, Clone, Copy)]
pub struct ResolvedRelay<'a> {
    /// Its address in the consensus.
    pub address: IpAddr,
    /// What the directory says of it.
    pub info: &'a RelayInfo,
}

impl ResolvedRelay<'_> {
    /// The relay's own addresses.
    fn own(&self) -> impl Iterator<Item = IpAddr> + use<> {
        [Some(self.address), self.info.ipv6.address].into_iter().flatten()
    }
}

/// What a report says of a relay's resolver; nothing where nothing is known.
#[must_use]
pub fn of_relay(
    relay: ResolvedRelay<'_>,
    seen: &SeenResolver,
    locations: Option<&BTreeMap<IpAddr, RelayLocation>>,
) -> Option<RelayResolver> {
    let (addresses, at) = seen.addresses.clone().unzip();
    let addresses: Vec<ResolverAddress> =
        addresses.into_iter().flatten().map(|address| placed(relay, address, locations)).collect();
    let [validates, tcp, ipv6, minimises] = seen.outcomes;
    let resolver = RelayResolver {
        kind: addresses.iter().map(|address| address.kind).max(),
        addresses,
        seen: at,
        validates,
        tcp,
        ipv6,
        minimises,
        declared: relay.info.contact.as_deref().and_then(contact::declared::resolver),
    };
    // What an operator declares says nothing by itself.
    (*seen != SeenResolver::default()).then_some(resolver)
}

/// Where an address is, seen from a relay.
fn placed(
    relay: ResolvedRelay<'_>,
    address: IpAddr,
    locations: Option<&BTreeMap<IpAddr, RelayLocation>>,
) -> ResolverAddress {
    let locate = |address: IpAddr| locations.and_then(|all| all.get(&address));
    let system = |address: IpAddr| locate(address).and_then(|location| location.as_number);
    let location = locate(address).cloned();
    let own_system =
        system(address).is_some_and(|number| relay.own().any(|own| system(own) == Some(number)));
    let public = system(address).filter(|_| !own_system).and_then(public_of);
    let kind = if relay.own().any(|own| own == address) {
        ResolverKind::Local
    } else if relay.own().any(|own| same_network(own, address)) {
        ResolverKind::SameNetwork
    } else if own_system {
        ResolverKind::SameAs
    } else if public.is_some() {
        ResolverKind::Public
    } else if system(address).is_some() {
        ResolverKind::Other
    } else {
        ResolverKind::Unknown
    };
    ResolverAddress { address, kind, public, location }
}

/// Whether two addresses are in one /24, or /48 with IPv6.
fn same_network(a: IpAddr, b: IpAddr) -> bool {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => a.octets()[..3] == b.octets()[..3],
        (IpAddr::V6(a), IpAddr::V6(b)) => a.octets()[..6] == b.octets()[..6],
        _ => false,
    }
}

/// Counts relays and their weight.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    relays: u32,
    weight: u64,
}

impl Tally {
    fn add(&mut self, relay: &ReportedRelay) {
        self.relays += 1;
        let weight = relay.relay.bandwidth.consensus_weight.unwrap_or(0);
        self.weight = self.weight.saturating_add(weight);
    }

    fn share(self, of: Self) -> RelayShare {
        RelayShare {
            relays: self.relays,
            percent: percent(self.relays, of.relays).unwrap_or(0.0),
            weight_percent: percent(self.weight, of.weight),
        }
    }
}

/// Those who do something, those who do not, and those of whom it could not be told.
#[derive(Debug, Clone, Copy, Default)]
struct Abilities {
    yes: Tally,
    no: Tally,
    unknown: u32,
}

impl Abilities {
    fn add(&mut self, relay: &ReportedRelay, outcome: CheckOutcome) {
        match outcome {
            CheckOutcome::Yes => self.yes.add(relay),
            CheckOutcome::No => self.no.add(relay),
            CheckOutcome::Unknown => self.unknown += 1,
        }
    }

    fn share(self) -> Option<AbilityShare> {
        let all = Tally {
            relays: self.yes.relays + self.no.relays,
            weight: self.yes.weight.saturating_add(self.no.weight),
        };
        (all.relays + self.unknown > 0).then(|| AbilityShare {
            yes: self.yes.share(all),
            no: self.no.share(all),
            unknown: self.unknown,
        })
    }
}

/// A network that answers for relays, while they are counted.
#[derive(Default)]
struct Network<'a> {
    name: Option<String>,
    public: Option<PublicResolver>,
    tally: Tally,
    operators: BTreeSet<&'a str>,
    tested: u32,
    failing: u32,
    relays: Vec<Fingerprint>,
}

/// What is counted of the network.
#[derive(Default)]
struct Count<'a> {
    all: Tally,
    covered: Tally,
    kinds: BTreeMap<ResolverKind, Tally>,
    public: BTreeMap<PublicResolver, Tally>,
    networks: HashMap<u32, Network<'a>>,
    abilities: [Abilities; 4],
    rules: BTreeMap<ResolverRule, Abilities>,
}

impl<'a> Count<'a> {
    /// Counts a relay; `relays` are the addresses of all.
    fn add(
        &mut self,
        relay: &'a ReportedRelay,
        resolver: &'a RelayResolver,
        relays: &BTreeSet<IpAddr>,
    ) {
        let seen = [resolver.validates, resolver.tcp, resolver.ipv6, resolver.minimises];
        for (ability, seen) in self.abilities.iter_mut().zip(seen) {
            if let Some(seen) = seen {
                ability.add(relay, seen.outcome);
            }
        }
        for (rule, outcome) in kept(resolver, relays) {
            self.rules.entry(rule).or_default().add(relay, outcome);
        }
        let Some(kind) = resolver.kind else { return };
        self.covered.add(relay);
        self.kinds.entry(kind).or_default().add(relay);
        let services: BTreeSet<_> = resolver.addresses.iter().filter_map(|a| a.public).collect();
        for service in services {
            self.public.entry(service).or_default().add(relay);
        }
        let mut counted = BTreeSet::new();
        for address in &resolver.addresses {
            let Some(location) = &address.location else { continue };
            let Some(number) = location.as_number.filter(|number| counted.insert(*number)) else {
                continue;
            };
            let network = self.networks.entry(number).or_default();
            network.name.clone_from(&location.as_name);
            network.public = network.public.or(address.public);
            network.tally.add(relay);
            network.operators.insert(&relay.operator);
            network.tested += u32::from(relay.status.tested());
            network.failing += u32::from(relay.status.counts_against_dns());
            network.relays.push(relay.exit_fingerprint);
        }
    }

    fn shares(self) -> (ResolverShares, Vec<ResolverNetwork>) {
        let covered = self.covered;
        let mut networks: Vec<(u64, ResolverNetwork)> = self
            .networks
            .into_iter()
            .map(|(number, network)| (network.tally.weight, told(number, network, covered)))
            .collect();
        networks.sort_by_key(|(weight, network)| {
            (Reverse((*weight, network.share.relays)), network.as_number)
        });
        let networks: Vec<_> = networks.into_iter().map(|(_, network)| network).collect();
        let large = networks.iter().filter(|network| {
            network.share.weight_percent.unwrap_or(network.share.percent) > LARGE
        });
        let [validates, tcp, ipv6, minimises] = self.abilities.map(Abilities::share);
        let kinds = self.kinds.into_iter().map(|(kind, tally)| (kind, tally.share(covered)));
        let public = self.public.into_iter().map(|(one, tally)| (one, tally.share(covered)));
        let rules = self.rules.into_iter().filter_map(|(rule, of)| Some((rule, of.share()?)));
        let shares = ResolverShares {
            covered: covered.share(self.all),
            kinds: kinds.collect(),
            public: public.collect(),
            large_networks: u32::try_from(large.count()).unwrap_or(u32::MAX),
            validates,
            tcp,
            ipv6,
            minimises,
            rules: rules.collect(),
        };
        (shares, networks)
    }
}

/// Who resolves names for the network's exits, and the networks that do, the largest share of the weight
/// first. Nothing where nothing is known of any resolver.
#[must_use]
pub fn of_network(results: &[ReportedRelay]) -> (Option<ResolverShares>, Vec<ResolverNetwork>) {
    if results.iter().all(|relay| relay.resolver.is_none()) {
        return (None, Vec::new());
    }
    let relays: BTreeSet<IpAddr> = results
        .iter()
        .flat_map(|relay| [Some(relay.exit_address), relay.relay.ipv6.address])
        .flatten()
        .collect();
    let mut count = Count::default();
    for relay in results.iter().filter(|relay| !relay.relay.is_bad_exit()) {
        count.all.add(relay);
        if let Some(resolver) = &relay.resolver {
            count.add(relay, resolver, &relays);
        }
    }
    let (shares, networks) = count.shares();
    (Some(shares), networks)
}

fn told(as_number: u32, network: Network<'_>, covered: Tally) -> ResolverNetwork {
    ResolverNetwork {
        as_number,
        as_name: network.name,
        public: network.public,
        share: network.tally.share(covered),
        operators: u32::try_from(network.operators.len()).unwrap_or(u32::MAX),
        tested: network.tested,
        failing: network.failing,
        relays: network.relays,
    }
}

/// Which of the rules for exits a relay's resolver keeps, as far as it was seen.
fn kept(
    resolver: &RelayResolver,
    relays: &BTreeSet<IpAddr>,
) -> impl Iterator<Item = (ResolverRule, CheckOutcome)> {
    let addresses = || resolver.addresses.iter();
    let of_addresses = |rule, keeps: Option<bool>| {
        let outcome = match keeps {
            Some(true) => CheckOutcome::Yes,
            Some(false) => CheckOutcome::No,
            None => CheckOutcome::Unknown,
        };
        resolver.kind.map(|_| (rule, outcome))
    };
    let kinds: Vec<ResolverKind> = addresses().map(|address| address.kind).collect();
    let unknown = kinds.contains(&ResolverKind::Unknown);
    let named = addresses().any(|a| a.public.is_some_and(|public| NAMED.contains(&public)));
    let elsewhere =
        kinds.iter().any(|kind| matches!(kind, ResolverKind::Other | ResolverKind::Public));
    // A service for everybody asks from many addresses; so does a host with two of each family.
    let families = |v4: bool| addresses().filter(|a| a.address.is_ipv4() == v4).count();
    let few = families(true).max(families(false)) <= 2;
    let of = |rule, seen: Option<SeenOutcome>| seen.map(|seen| (rule, seen.outcome));
    [
        of_addresses(
            ResolverRule::NoPublic,
            if named { Some(false) } else { (!unknown).then_some(true) },
        ),
        of(ResolverRule::Validates, resolver.validates),
        of_addresses(
            ResolverRule::OwnNetwork,
            if elsewhere { Some(false) } else { (!unknown).then_some(true) },
        ),
        of_addresses(ResolverRule::AtMostTwo, Some(few)),
        of_addresses(
            ResolverRule::NoRelaysAddress,
            Some(!addresses().any(|address| relays.contains(&address.address))),
        ),
        of(ResolverRule::Minimises, resolver.minimises),
    ]
    .into_iter()
    .flatten()
}
