//! Who runs the relays of a world, and where: what contact lines say, which of them is proved, whose keys
//! families have, and which country and autonomous system a network is in. All of it follows from the
//! numbers of operators and networks, so that what happens in a world does not depend on it.

use std::net::{IpAddr, Ipv4Addr};

use aggregate::location::{LocatedNetwork, database_of};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use contact::claim::DomainClaim;
use contact::proof::Check;
use record::{CheckOutcome, Fingerprint, ProofProblem, ResolverChecks};
use sha2::{Digest as _, Sha256};

use super::address;
use super::truth::{NETWORKS, Truths};

/// The countries of networks, upper case, one that has more exits more often.
const COUNTRIES: [&str; 20] = [
    "DE", "US", "NL", "DE", "FR", "SE", "CH", "US", "GB", "RO", "NL", "AT", "CA", "FI", "LU", "NO",
    "PL", "DE", "IS", "JP",
];

/// What relays are called, with their number.
const NAMES: [&str; 12] = [
    "alder", "birch", "cedar", "elm", "hazel", "juniper", "larch", "maple", "oak", "pine", "rowan",
    "willow",
];

/// The first number for autonomous systems that nobody has (RFC 6996).
const FIRST_SYSTEM: u32 = 64_512;

/// Services that resolve names for everybody: where they ask from, and whose that is.
const SERVICES: [(Ipv4Addr, u32, &str); 3] = [
    (Ipv4Addr::new(172, 253, 1, 7), 15169, "GOOGLE"),
    (Ipv4Addr::new(172, 68, 1, 7), 13335, "CLOUDFLARENET"),
    (Ipv4Addr::new(66, 185, 1, 7), 19281, "QUAD9-AS-1"),
];

/// How an operator is known.
enum Known {
    /// By a domain that names the relays, or does not.
    Domain { proved: bool },
    /// By a contact line alone.
    Contact,
    /// By a family's key, without a contact.
    Family,
    /// By nothing.
    Nothing,
}

/// The great operators come first: two with a domain, two with a contact.
const fn known(operator: usize) -> Known {
    match operator {
        0 | 1 => Known::Domain { proved: true },
        _ => match operator % 8 {
            4 => Known::Domain { proved: true },
            5 => Known::Domain { proved: false },
            6 => Known::Family,
            7 => Known::Nothing,
            _ => Known::Contact,
        },
    }
}

/// The nickname of an exit.
pub(super) fn nickname(operator: usize, exit: usize) -> String {
    format!("{}{exit}", NAMES[operator % NAMES.len()])
}

/// The contact line of an operator's relays.
pub(super) fn contact_line(operator: usize) -> Option<String> {
    match known(operator) {
        Known::Domain { .. } => Some(format!(
            "email:tor[]operator{operator}.example.org url:https://operator{operator}.example.org \
             proof:uri-rsa ciissversion:2"
        )),
        Known::Contact => Some(format!("operator {operator} <tor{operator}@example.org>")),
        Known::Family | Known::Nothing => None,
    }
}

/// The keys of the families that an operator's relays are in.
pub(super) fn family_ids(operator: usize) -> Vec<String> {
    match known(operator) {
        Known::Family | Known::Domain { proved: true } => {
            let digest = Sha256::digest(format!("the family of operator {operator}"));
            vec![format!("ed25519:{}", STANDARD_NO_PAD.encode(digest))]
        }
        _ => Vec::new(),
    }
}

/// What came of the checks of all domains, made before the first run.
pub(super) fn checks(
    truths: &Truths,
    of: impl Fn(usize) -> Fingerprint,
    first: DateTime<Utc>,
) -> Vec<(Fingerprint, Check)> {
    let exits = truths.exits.iter().enumerate();
    exits
        .filter_map(|(number, exit)| {
            let Known::Domain { proved } = known(exit.operator) else { return None };
            let claim = contact_line(exit.operator).as_deref().and_then(DomainClaim::of)?;
            let problem = (!proved).then_some(ProofProblem::NotListed);
            Some((of(number), Check { claim, at: first - TimeDelta::days(1), problem }))
        })
        .collect()
}

/// Who resolves names for an exit, as its further lookups showed: mostly the exit itself, or its hoster.
pub(super) fn resolver(operator: usize, network: usize, exit: Ipv4Addr) -> ResolverChecks {
    let hoster = address(network, 53);
    let (service, ..) = SERVICES[operator % SERVICES.len()];
    let addresses = match operator % 10 {
        0..=5 => vec![exit],
        6 | 7 => vec![hoster],
        8 => vec![service],
        _ => vec![exit, service],
    };
    let yes_or_no = |yes| Some(if yes { CheckOutcome::Yes } else { CheckOutcome::No });
    ResolverChecks {
        addresses: addresses.into_iter().map(IpAddr::from).collect(),
        validates: yes_or_no(operator % 5 != 3),
        tcp: yes_or_no(operator % 19 != 7),
        ipv6: yes_or_no(operator.is_multiple_of(3)),
        lookups: Vec::new(),
    }
}

/// The country of a network, lower case.
pub(super) fn country(network: usize) -> String {
    COUNTRIES[network % COUNTRIES.len()].to_ascii_lowercase()
}

/// The location database of the world, made before the first run.
pub(super) fn locations(first: DateTime<Utc>) -> Vec<u8> {
    let names: Vec<String> =
        (0..NETWORKS).map(|network| format!("Example Hosting {}", network / 2 + 1)).collect();
    let networks = (0..NETWORKS).map(|network| {
        let [a, b, ..] = address(network, 0).octets();
        // Some systems have two networks, in two countries.
        let system = FIRST_SYSTEM + u32::try_from(network / 2).unwrap_or_default();
        LocatedNetwork {
            address: Ipv4Addr::new(a, b, 0, 0).into(),
            length: 16,
            system,
            name: &names[network],
            country: COUNTRIES[network % COUNTRIES.len()],
        }
    });
    let services = SERVICES.iter().map(|(address, system, name)| {
        let (address, length, country) = (IpAddr::from(*address), 16, "US");
        LocatedNetwork { address, length, system: *system, name, country }
    });
    database_of(u64::try_from(first.timestamp()).unwrap_or_default(), networks.chain(services))
}
