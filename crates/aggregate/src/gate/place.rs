//! Where failures lie: the few places that explain them, and what is left elsewhere. Pure.
//!
//! Relays that fail in one place, beside successes elsewhere, have a cause there. What fails
//! everywhere alike has a cause that all relays share, and that is us: our zone, our host, our tor.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use record::{ReportedRelay, Status, printable};

/// How many places may explain a run's failures. Outages of different causes fall together now and
/// then; a list of places that is long enough explains everything.
const PLACES: usize = 3;

/// Least share of the relays that has to lie elsewhere, in percent: successes of fewer would say
/// little of our zone.
const ELSEWHERE_PERCENT: u64 = 50;

/// How far beyond what it would have if it were like the rest a place's failures have to be, in
/// standard deviations of that: among many places, some have a little more by chance.
const CHANCE: f64 = 3.0;

/// What relays have in common that can break for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Place<'a> {
    /// Who runs them, by the operator's key.
    Operator(&'a str),
    /// The autonomous system that they are in, where it is known: its number and name.
    System(u32, Option<&'a str>),
    /// The network that they are in otherwise: the first 16 bits of an IPv4 address, 32 of an IPv6 address.
    Network(IpAddr),
    /// The country that they are in, by the location database, or by tor's.
    Country(&'a str),
}

impl<'a> Place<'a> {
    fn all(relay: &'a ReportedRelay) -> impl Iterator<Item = Self> {
        let location = relay.location.as_ref();
        let system = location.and_then(|location| {
            Some(Self::System(location.as_number?, location.as_name.as_deref()))
        });
        let country = location.and_then(|location| location.country.as_deref());
        let country = country.or(relay.relay.country.as_deref());
        let places = [
            Some(Self::Operator(&relay.operator)),
            Some(system.unwrap_or_else(|| Self::Network(network(relay.exit_address)))),
            country.map(Self::Country),
        ];
        places.into_iter().flatten()
    }
}

/// The network of an address, with zeros after it.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::from((u32::from(address) & 0xffff_0000).to_be_bytes()),
        IpAddr::V6(address) => {
            IpAddr::from((u128::from(address) & (u128::MAX << 96)).to_be_bytes())
        }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator(key) => write!(f, "operator {}", printable(key)),
            Self::System(number, None) => write!(f, "AS{number}"),
            Self::System(number, Some(name)) => write!(f, "AS{number} ({})", printable(name)),
            Self::Network(network @ IpAddr::V4(_)) => write!(f, "network {network}/16"),
            Self::Network(network @ IpAddr::V6(_)) => write!(f, "network {network}/32"),
            Self::Country(code) => write!(f, "country {}", printable(code)),
        }
    }
}

/// How many relays were asked, and how many of them failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) all: u32,
    pub(crate) failing: u32,
}

impl Asked {
    fn add(&mut self, failing: bool) {
        self.all += 1;
        self.failing += u32::from(failing);
    }

    const fn without(self, other: Self) -> Self {
        Self { all: self.all - other.all, failing: self.failing - other.failing }
    }
}

/// The failures of a run, by where they lie.
#[derive(Debug, Clone, Default)]
pub(crate) struct Located<'a> {
    /// The places that explain most of them, the greatest first; a relay counts in the first that it
    /// is in.
    pub(crate) places: Vec<(Place<'a>, Asked)>,
    /// What is left.
    pub(crate) elsewhere: Asked,
    /// The relays that fail elsewhere.
    pub(crate) spread: Vec<&'a ReportedRelay>,
}

/// Says where failures lie, of the relays for which `asked` holds of their status. Relays that
/// clients do not use are left out, as in the rates.
pub(crate) fn locate(
    results: &[ReportedRelay],
    asked: impl Fn(Status) -> bool,
    fails: impl Fn(Status) -> bool,
) -> Located<'_> {
    let mut left: Vec<(&ReportedRelay, bool)> = results
        .iter()
        .filter(|relay| asked(relay.status) && !relay.relay.is_bad_exit())
        .map(|relay| (relay, fails(relay.status)))
        .collect();
    let least = (left.len() as u64 * ELSEWHERE_PERCENT).div_ceil(100);
    let mut located = Located::default();
    while located.places.len() < PLACES {
        let Some((place, asked)) = greatest(&left, least, &located.places) else { break };
        left.retain(|(relay, _)| !Place::all(relay).any(|other| other == place));
        located.places.push((place, asked));
    }
    for (relay, failing) in left {
        located.elsewhere.add(failing);
        if failing {
            located.spread.push(relay);
        }
    }
    located
}

/// The place with the most failures beyond those that it would have if it were like the rest; of
/// several alike the smallest, as with the one network of an operator. Only one is a country: two of
/// them are half of the network.
fn greatest<'a>(
    left: &[(&'a ReportedRelay, bool)],
    least: u64,
    taken: &[(Place<'a>, Asked)],
) -> Option<(Place<'a>, Asked)> {
    let mut total = Asked::default();
    let mut places: HashMap<Place<'a>, Asked> = HashMap::new();
    for (relay, failing) in left {
        total.add(*failing);
        for place in Place::all(relay) {
            places.entry(place).or_default().add(*failing);
        }
    }
    let is_country = |place: &Place<'_>| matches!(place, Place::Country(_));
    let country_taken = taken.iter().any(|(place, _)| is_country(place));
    places
        .into_iter()
        .filter(|(place, _)| !(country_taken && is_country(place)))
        .filter(|(_, asked)| asked.failing > 1 && u64::from(total.all - asked.all) >= least)
        .filter_map(|(place, asked)| {
            let rest = total.without(asked);
            let like_the_rest = f64::from(rest.failing) / f64::from(rest.all.max(1));
            let expected = like_the_rest * f64::from(asked.all);
            let beyond = f64::from(asked.failing) - expected;
            (beyond >= 1.0 + CHANCE * expected.sqrt()).then_some((beyond, place, asked))
        })
        .max_by(|(a, one, asked), (b, other, others)| {
            a.total_cmp(b).then(others.all.cmp(&asked.all)).then(other.cmp(one))
        })
        .map(|(_, place, asked)| (place, asked))
}
