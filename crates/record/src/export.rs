//! What a published report becomes for other programs: `onionoo-dns.json`, the badges' index, and the
//! `latest.json` of the system before this one. Views of a report; nothing is in them that it has not.

use std::collections::BTreeMap;
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::report::is_none;
use crate::verdict::closed_list;
use crate::{ErrorCode, Fingerprint, Format, Millis, State, Status};

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The verdicts by fingerprint, for sites that join them to Onionoo's documents:
/// `onionoo-dns.json`. Documented in `docs/formats/onionoo-dns.md`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OnionooDns {
    /// Name and version of this format.
    pub format: Format,
    /// When the run ended, as Onionoo writes times: `YYYY-MM-DD hh:mm:ss`, in UTC.
    #[cfg_attr(
        feature = "schema",
        schemars(regex(pattern = r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}$"))
    )]
    pub relays_published: String,
    /// The runs that this is of, as in the report.
    pub run_id: String,
    /// The licence of the data, as in the report; absent where that names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// Every relay that has a result, by fingerprint.
    pub relays: Vec<OnionooRelay>,
}

/// One relay's verdict. What is absent is zero, false or unknown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OnionooRelay {
    /// The relay.
    pub fingerprint: Fingerprint,
    /// The verdict of this run.
    pub status: Status,
    /// What the runs so far say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// Why the verdict is not a success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<ErrorCode>,
    /// Whether one attempt alone saw the failure: it may have been a passing one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub provisional: bool,
    /// Whether so many of its lookups fail that its runs pass by retries alone.
    #[serde(default, skip_serializing_if = "is_default")]
    pub degraded: bool,
    /// Runs in a row that found its DNS failing.
    #[serde(default, skip_serializing_if = "is_none")]
    pub consecutive_failures: u32,
    /// The first of them, as Onionoo writes times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<String>,
    /// The last run that found its DNS working, as Onionoo writes times; absent where it is this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_success: Option<String>,
    /// The share of first lookups that failed within the last 7 days, in percent; absent where none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 100)))]
    pub failure_rate_7d_percent: Option<f64>,
}

closed_list! {
    /// What a relay's badge says.
    BadgeWord {
        /// The last run found its DNS working.
        Works = "works",
        /// It works, and so many lookups fail that its runs pass by retries alone.
        Degraded = "degraded",
        /// Its verdict changes from run to run.
        Flapping = "flapping",
        /// One attempt alone saw a failure.
        Unconfirmed = "unconfirmed",
        /// Its DNS fails.
        Failing = "failing",
        /// No circuit reached it: nothing is known of its DNS.
        NotReached = "not_reached",
        /// The scanner or its tor failed: nothing is known of its DNS.
        NotTested = "not_tested",
    }
}

/// What the badges of some relays say: `badges/0.json` to `badges/F.json`, by the first digit of the
/// fingerprint. Holds no text of strangers. Documented in `docs/formats/badges.md`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Badges {
    /// Name and version of this format.
    pub format: Format,
    /// When the run ended.
    pub timestamp: DateTime<Utc>,
    /// The relays whose fingerprints begin with this file's digit.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Map<Fingerprint, RelayBadge>"))]
    pub relays: BTreeMap<Fingerprint, RelayBadge>,
    /// The operators of these relays, each with all of its relays.
    pub operators: Vec<OperatorBadge>,
}

/// What one relay's badge says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RelayBadge {
    /// The word on it.
    pub word: BadgeWord,
    /// Runs in a row that found its DNS failing. Absent if there is none.
    #[serde(default, skip_serializing_if = "is_none")]
    pub failures: u32,
    /// Its operator: the place in `operators`, from 0.
    pub operator: u32,
}

/// How the relays of one operator fare.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OperatorBadge {
    /// How many relays have a result.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub relays: u32,
    /// How many of them were tested and work.
    pub work: u32,
    /// For how many a failure was confirmed.
    pub fail: u32,
}

/// A report with the fields of the system before this one: `compat/latest.json`. Documented in
/// `docs/formats/compat.md`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CompatReport {
    /// Name and version of this format. The former system's reports have none.
    pub format: Format,
    /// The run as a whole.
    pub metadata: CompatMetadata,
    /// The relays whose DNS was tested, by fingerprint. One that no circuit reached is not among them,
    /// as readers take everything but a success for a failure of its DNS.
    pub results: Vec<CompatRelay>,
}

/// The run as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CompatMetadata {
    /// When the run ended.
    pub timestamp: DateTime<Utc>,
    /// The runs joined.
    pub run_id: String,
    /// How many relays were to be tested.
    pub consensus_relays: u32,
    /// How many were tested.
    pub tested_relays: u32,
    /// How many no circuit reached.
    pub unreachable_relays: u32,
    /// Tested, and they work.
    pub dns_success: u32,
    /// The exit answered that it could not resolve.
    pub dns_fail: u32,
    /// Nothing came back in time.
    pub dns_timeout: u32,
    /// Another address than the expected one came.
    pub dns_wrong_ip: u32,
    /// Errors of tor's SOCKS port: no answer of an exit.
    pub dns_socks_error: u32,
    /// Always 0: there is no such error here.
    pub dns_network_error: u32,
    /// Other errors of the local tor: no answer of an exit.
    pub dns_error: u32,
    /// Faults of the scanner.
    pub dns_exception: u32,
    /// Always 0: there is no such error here.
    pub dns_unknown: u32,
    /// Successes among the relays tested; 0 where none was.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 100)))]
    pub dns_success_rate_percent: f64,
    /// Relays tested among all results; 0 where there is none.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 100)))]
    pub reachability_rate_percent: f64,
    /// Not reached: the circuit was not built in time.
    pub circuit_timeout: u32,
    /// Not reached: the circuit was built and died.
    pub circuit_destroyed: u32,
    /// Not reached: the circuit failed on the way between its relays.
    pub circuit_channel_closed: u32,
    /// Not reached: the first hop could not be reached, or refused.
    pub circuit_connect_failed: u32,
    /// Resolve times.
    pub timing: CompatTimings,
}

/// Times of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CompatTimings {
    /// From sending the lookup until the answer, of the successes. The former system's had the building
    /// of the circuit and its own queue in it.
    pub total: CompatPercentiles,
}

/// Percentiles by the nearest-rank method, in milliseconds; 0 where there is no success.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CompatPercentiles {
    /// The mean.
    pub avg_ms: f64,
    /// The median.
    pub p50_ms: f64,
    /// The value that 95 % do not exceed.
    pub p95_ms: f64,
    /// The value that 99 % do not exceed.
    pub p99_ms: f64,
    /// The smallest.
    pub min_ms: f64,
    /// The largest.
    pub max_ms: f64,
}

/// A relay whose DNS was tested.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CompatRelay {
    /// The relay.
    pub exit_fingerprint: Fingerprint,
    /// `success`, `dns_fail`, `timeout` or `wrong_ip`.
    pub status: Status,
    /// What went wrong, in words: may hold a stranger's text.
    pub error: Option<String>,
    /// Runs in a row that found its DNS failing.
    pub consecutive_failures: u32,
    /// When the deciding attempt ended: seconds since 1970.
    pub timestamp: i64,
    /// The name asked for in the deciding query.
    pub query_domain: Option<String>,
    /// The first hop of the deciding attempt.
    pub first_hop: Option<Fingerprint>,
    /// Its address in the consensus.
    pub exit_address: IpAddr,
    /// The address that came, or `NXDOMAIN`.
    pub resolved_ip: Option<String>,
    /// The expected address; null in nxdomain mode.
    pub expected_ip: Option<IpAddr>,
    /// The resolve time.
    pub timing: CompatTime,
    /// What each of several inputs found; absent where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cv: Option<CompatVantages>,
}

/// A relay's time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CompatTime {
    /// The resolve time.
    pub total_ms: Option<Millis>,
}

/// What several inputs found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CompatVantages {
    /// How many of them found its DNS working.
    pub instances_success: u32,
    /// How many tested it.
    pub instances_total: u32,
    /// Whether one of them failed and the verdict is a success.
    pub improved: bool,
    /// The verdicts by run id.
    pub per_instance: BTreeMap<String, Status>,
}
