//! What further lookups through an exit show of its resolver. No verdict and no streak hangs on them.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::verdict::closed_list;
use crate::{Fingerprint, Query};

/// What the zone's own names show of an exit's resolver. Each lookup follows the verdict, on the circuit
/// that gave it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ResolverChecks {
    /// Who asked the zone's name server for this exit, each address once, in the order in which they
    /// came: an exit can have several resolvers, and a resolver several addresses.
    pub addresses: Vec<IpAddr>,
    /// Whether it refuses an answer whose DNSSEC signature is wrong; null where that was not asked.
    pub validates: Option<CheckOutcome>,
    /// Whether it asks again by TCP for an answer that does not fit into UDP; null where that was not
    /// asked.
    pub tcp: Option<CheckOutcome>,
    /// Whether it reaches name servers that have an IPv6 address alone; null where that was not asked.
    pub ipv6: Option<CheckOutcome>,
    /// The lookups, in the order in which they were made.
    pub lookups: Vec<CheckLookup>,
}

/// One lookup of a name that shows something of a resolver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CheckLookup {
    /// What was asked for.
    pub asked: CheckName,
    /// The circuit's first relay.
    pub first_hop: Fingerprint,
    /// The lookup.
    pub query: Query,
}

closed_list! {
    /// The names of the zone that show something of a resolver, by the label above the zone.
    CheckName {
        /// Resolves to the IPv4 address of who asks the zone.
        Who = "who",
        /// Resolves to the IPv6 address of who asks the zone.
        Who6 = "who6",
        /// Signed, and the signature is right: what the answer to `bogus` is held against.
        Signed = "signed",
        /// Signed, and the signature is wrong on purpose.
        Bogus = "bogus",
        /// Has its answer by TCP alone.
        Tcp = "tcp",
        /// Has its answer from name servers with an IPv6 address alone.
        V6 = "v6",
    }
}

closed_list! {
    /// What a check came to.
    CheckOutcome {
        /// The resolver does it.
        Yes = "yes",
        /// It does not.
        No = "no",
        /// The answers do not tell.
        Unknown = "unknown",
    }
}
