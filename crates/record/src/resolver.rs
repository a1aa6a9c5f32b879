//! What a report says of who resolves names for exits.

use std::collections::BTreeMap;
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::report::is_none;
use crate::verdict::closed_list;
use crate::{CheckOutcome, Fingerprint, Millis, RelayLocation};

closed_list! {
    /// Where a resolver is, seen from the exit that uses it: nearest first.
    ResolverKind {
        /// It asks from an address of the relay itself.
        Local = "local",
        /// It asks from the network of an address of the relay: the same /24, or /48 with IPv6.
        SameNetwork = "same_network",
        /// It asks from the relay's autonomous system.
        SameAs = "same_as",
        /// It asks from elsewhere, and from which network is not known.
        Unknown = "unknown",
        /// It asks from another autonomous system.
        Other = "other",
        /// It is a service that resolves for everybody.
        Public = "public",
    }
}

closed_list! {
    /// Services that resolve for everybody. They are told by the autonomous systems that they ask from.
    PublicResolver {
        /// Google Public DNS: AS15169.
        Google = "google",
        /// Cloudflare's 1.1.1.1: AS13335.
        Cloudflare = "cloudflare",
        /// Quad9, and Packet Clearing House, at whose sites it stands: AS19281, AS42, AS715.
        Quad9 = "quad9",
        /// Cisco's OpenDNS: AS36692.
        OpenDns = "opendns",
        /// Level 3, with 4.2.2.1 to 4.2.2.6: AS3356.
        Level3 = "level3",
        /// AdGuard DNS: AS212772.
        AdGuard = "adguard",
        /// NextDNS: AS34939.
        NextDns = "nextdns",
        /// CleanBrowsing: AS205157.
        CleanBrowsing = "cleanbrowsing",
        /// Yandex DNS: AS13238.
        Yandex = "yandex",
    }
}

closed_list! {
    /// What the Tor Project's guide for exits asks of their resolvers, as far as it can be measured.
    ResolverRule {
        /// No public resolver, not even as the second.
        NoPublic = "no_public",
        /// It validates DNSSEC.
        Validates = "validates",
        /// Every resolver is in the exit's own autonomous system.
        OwnNetwork = "own_network",
        /// No more than two resolvers.
        AtMostTwo = "at_most_two",
        /// It asks from an address that is no relay's: some name servers do not answer those.
        NoRelaysAddress = "no_relays_address",
        /// It tells the servers on the way no more of a name than they need (RFC 9156).
        Minimises = "minimises",
    }
}

closed_list! {
    /// What became of a lookup, as the zone's name server saw it.
    ZoneFate {
        /// The zone was asked and answered, and the exit got the answer.
        Answered = "answered",
        /// The zone was never asked: the exit's resolver, or its way out, lost the question.
        NeverAsked = "never_asked",
        /// The zone was asked in time and answered; the answer did not reach the exit, or not as it was.
        AnswerLost = "answer_lost",
        /// The zone was asked when the exit had given up: the resolver is slow.
        AskedLate = "asked_late",
        /// The zone was asked; when, the clocks do not tell.
        Asked = "asked",
    }
}

/// The lookup that decided a verdict, as the zone's name server saw it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LookupAtZone {
    /// What became of it.
    pub fate: ZoneFate,
    /// How many queries for its name came.
    pub asked: u64,
    /// How long after the exit was asked the first of them came, at most, as far as the clocks tell. Absent
    /// where they do not, and where none came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_within_ms: Option<Millis>,
}

/// An address from which a name of an exit's was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ResolverAddress {
    /// The address.
    pub address: IpAddr,
    /// Where it is, seen from the relay.
    pub kind: ResolverKind,
    /// Which public resolver it is of. Absent if it is of none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<PublicResolver>,
    /// Whose network it is in. Absent without a location database, or where that does not know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<RelayLocation>,
}

/// What was found of a resolver, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SeenOutcome {
    /// What it came to.
    pub outcome: CheckOutcome,
    /// The end of the run that saw it.
    pub seen: DateTime<Utc>,
}

/// Who resolves names for a relay: what the last runs saw, at most a week before this one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RelayResolver {
    /// Where the farthest of its addresses is. Absent where no address is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ResolverKind>,
    /// Who asked in the last run that saw it, at most eight.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(max = 8)))]
    pub addresses: Vec<ResolverAddress>,
    /// The end of that run. Absent where no address is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<DateTime<Utc>>,
    /// Whether it validates DNSSEC. This and the others are absent where that was not seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validates: Option<SeenOutcome>,
    /// Whether it asks again by TCP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<SeenOutcome>,
    /// Whether it reaches name servers that have an IPv6 address alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<SeenOutcome>,
    /// Whether it tells no more of a name than is needed, as the zone's log shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimises: Option<SeenOutcome>,
    /// What the operator says of it. Absent if nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<DeclaredResolver>,
}

/// What a contact line says of a relay's resolver: the fields `dnslocation`, `dnssec` and `dnsqname` of the
/// [ContactInfo specification](https://nusenu.github.io/ContactInfo-Information-Sharing-Specification/).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeclaredResolver {
    /// Where the resolvers are, in the order in which they are used. Absent if it does not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(max = 8)))]
    pub locations: Vec<DeclaredLocation>,
    /// Whether they validate DNSSEC. Absent if it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validates: Option<bool>,
    /// Whether they tell no more of a name than is needed. Absent if it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimises: Option<bool>,
}

closed_list! {
    /// Where an operator says that a resolver is: the words of `dnslocation`.
    DeclaredLocation {
        /// On the relay's host.
        Local = "local",
        /// In the relay's autonomous system.
        SameAs = "sameas",
        /// Elsewhere.
        Remote = "remote",
    }
}

/// So many relays, and their share of all that were looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RelayShare {
    /// How many relays.
    pub relays: u32,
    /// Their share of the relays, in percent.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 100)))]
    pub percent: f64,
    /// Their share of the consensus weight, by which clients choose exits, in percent; null where no relay
    /// has a weight.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 100)))]
    pub weight_percent: Option<f64>,
}

/// How many relays' resolvers do something, and how many do not. Each is a share of those of which one or
/// the other is known.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AbilityShare {
    /// They do.
    pub yes: RelayShare,
    /// They do not.
    pub no: RelayShare,
    /// How many relays were asked, and it could not be told.
    #[serde(default, skip_serializing_if = "is_none")]
    pub unknown: u32,
}

/// Who resolves names for the network's exits. Relays with the BadExit flag are left out.
///
/// A relay whose names several addresses asked for counts for each of their networks: those shares
/// can come to more than 100 % together. It counts once among the kinds, with its farthest address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ResolverShares {
    /// The relays of which a resolver's address is known, among all: every other share of addresses is
    /// one of these.
    pub covered: RelayShare,
    /// Where the resolvers are.
    #[cfg_attr(
        feature = "schema",
        schemars(with = "crate::schema::Map<ResolverKind, RelayShare>")
    )]
    pub kinds: BTreeMap<ResolverKind, RelayShare>,
    /// The public resolvers.
    #[cfg_attr(
        feature = "schema",
        schemars(with = "crate::schema::Map<PublicResolver, RelayShare>")
    )]
    pub public: BTreeMap<PublicResolver, RelayShare>,
    /// How many networks answer for more than 10 % of the weight each.
    pub large_networks: u32,
    /// Which of them validate DNSSEC. This and the others are absent where no relay was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validates: Option<AbilityShare>,
    /// Which of them ask again by TCP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<AbilityShare>,
    /// Which of them reach name servers that have an IPv6 address alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<AbilityShare>,
    /// Which of them tell no more of a name than is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimises: Option<AbilityShare>,
    /// How many relays keep each of the rules for exits: `yes` keeps it.
    #[cfg_attr(
        feature = "schema",
        schemars(with = "crate::schema::Map<ResolverRule, AbilityShare>")
    )]
    pub rules: BTreeMap<ResolverRule, AbilityShare>,
}

/// A network that resolves names for exits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ResolverNetwork {
    /// The number of the autonomous system.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub as_number: u32,
    /// Its name: a stranger's text. Null if unknown.
    pub as_name: Option<String>,
    /// Which public resolver it is. Absent if it is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<PublicResolver>,
    /// The relays that it answers for.
    pub share: RelayShare,
    /// How many operators they are of.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub operators: u32,
    /// How many of them had their DNS tested in this run.
    pub tested: u32,
    /// How many of those failed.
    pub failing: u32,
    /// The relays, by fingerprint.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub relays: Vec<Fingerprint>,
}
