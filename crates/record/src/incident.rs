//! Incidents: what fails together, from when to when.

use std::collections::BTreeMap;
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{ErrorCode, Fingerprint, Format};

/// The incidents of the last 90 days, as `incidents.json` holds them. Documented in
/// `docs/formats/incidents.md`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Incidents {
    /// Name and version of this format.
    pub format: Format,
    /// The incidents, the newest first.
    pub incidents: Vec<Incident>,
}

/// What an incident is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum IncidentSubject {
    /// The relays of one operator.
    Operator {
        /// The operator's key, as in the report: a stranger's text.
        operator: String,
    },
    /// Several operators in one autonomous system, at once.
    AutonomousSystem {
        /// Its number.
        number: u32,
        /// Its name: a stranger's text.
        name: String,
    },
    /// Several operators whose resolvers are in one autonomous system, which is not theirs, at once.
    ResolverNetwork {
        /// Its number.
        number: u32,
        /// Its name: a stranger's text.
        name: String,
    },
    /// More lookups fail, in the network as a whole, than usual.
    FailureRate,
    /// Our own zone does not answer as it must.
    Zone,
    /// There has been no new report for too long.
    Silence,
}

/// A relay in an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AffectedRelay {
    /// Its nickname when it was last seen: a stranger's text.
    pub nickname: String,
    /// Its address when it was last seen.
    pub address: IpAddr,
    /// The first run of those that found it failing.
    pub since: DateTime<Utc>,
    /// How many runs found it failing.
    pub failed: u32,
    /// For which causes.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Map<ErrorCode, u32>"))]
    pub causes: BTreeMap<ErrorCode, u32>,
    /// Its share of the weight of all exits, in millionths.
    pub weight_ppm: u32,
    /// Its autonomous system.
    pub network: Option<u32>,
    /// The other autonomous systems that resolve its names. Absent if none is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resolver_networks: Vec<u32>,
    /// The last run that tested it.
    pub tested: DateTime<Utc>,
    /// Runs in a row that found it working, up to now.
    pub worked: u32,
    /// The first of those runs.
    pub working_since: Option<DateTime<Utc>>,
    /// When it left; `None` while it is in trouble.
    pub left: Option<DateTime<Utc>>,
}

/// Something that fails, from when to when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Incident {
    /// Its id, which never changes: the day on which it began, and eight hexadecimal digits.
    pub id: String,
    /// What it is about.
    pub subject: IncidentSubject,
    /// When that began.
    pub since: DateTime<Utc>,
    /// The run by which it became known.
    pub opened: DateTime<Utc>,
    /// The run by which it ended.
    pub closed: Option<DateTime<Utc>>,
    /// How often it had ended before, and went on.
    pub reopened: u32,
    /// The relays that are in it, or were.
    #[cfg_attr(
        feature = "schema",
        schemars(with = "crate::schema::Map<Fingerprint, AffectedRelay>")
    )]
    pub relays: BTreeMap<Fingerprint, AffectedRelay>,
    /// What there is to say beside the relays, in words of ours.
    pub detail: Option<String>,
    /// Whether it ended because its relays are gone, not because they work.
    #[serde(default)]
    pub gone: bool,
}

impl Incident {
    /// The relays that are in trouble.
    pub fn down(&self) -> impl Iterator<Item = (&Fingerprint, &AffectedRelay)> {
        self.relays.iter().filter(|(_, relay)| relay.left.is_none())
    }

    /// Their share of the weight of all exits, in percent.
    #[must_use]
    pub fn down_percent(&self) -> f64 {
        self.down().map(|(_, relay)| f64::from(relay.weight_ppm)).sum::<f64>() / 1e4
    }

    /// Whether it has not ended.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.closed.is_none()
    }
}
