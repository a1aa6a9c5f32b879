//! A scan's own documents: what it set out to do, and what became of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::verdict::closed_list;
use crate::{Fingerprint, Format, Mode, Shard, Status};

/// What a scan set out to do, written before the first circuit, so that an interrupted scan can
/// be resumed and its results accounted for. Documented in `docs/formats/run.md`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Plan {
    /// Name and version of this format.
    pub format: Format,
    /// The run's id: its start as `YYYYMMDDTHHMMSSZ`, and 8 random hexadecimal digits.
    pub run_id: String,
    /// When the scan started.
    pub started: DateTime<Utc>,
    /// How answers are judged.
    pub mode: Mode,
    /// The domain under which every query's name lies.
    pub domain: String,
    /// The expected address; null in nxdomain mode.
    pub expected_ip: Option<IpAddr>,
    /// The shard tested, `0/1` if the exits are not split; null in files of versions that did not
    /// write that.
    pub shard: Option<Shard>,
    /// How the exits were chosen.
    pub selection: Selection,
    /// Pace, limits and tries.
    pub settings: Settings,
    /// Start of the validity of the consensus that the exits were selected from.
    pub consensus_valid_after: Option<DateTime<Utc>>,
    /// How long exits wait for their resolvers by that consensus, in seconds: a transient error
    /// that comes sooner came at once.
    #[cfg_attr(feature = "schema", schemars(range(min = 0)))]
    pub exit_dns_limit: Option<f64>,
    /// Every relay selected, by fingerprint.
    pub relays: Vec<PlannedRelay>,
}

/// A selected relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PlannedRelay {
    /// Its identity.
    pub fingerprint: Fingerprint,
    /// Its nickname when it was selected: a stranger's text.
    pub nickname: String,
    /// Its address when it was selected.
    pub address: IpAddr,
}

/// What became of a scan: written last, when every result is on disk. A directory without it
/// holds a scan that is under way or was killed. Documented in `docs/formats/run.md`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Run {
    /// Name and version of this format.
    pub format: Format,
    /// The run's id, as in `plan.json`.
    pub run_id: String,
    /// Whether every selected relay has its final result.
    pub complete: bool,
    /// Why the scan is not complete, in words; null if it is.
    pub incomplete_reason: Option<String>,
    /// How answers are judged, as in `plan.json`.
    pub mode: Mode,
    /// The domain under which every query's name lies, as in `plan.json`.
    pub domain: String,
    /// The expected address, as in `plan.json`; null in nxdomain mode.
    pub expected_ip: Option<IpAddr>,
    /// The shard tested, as in `plan.json`; null in files of versions that did not write `0/1`.
    pub shard: Option<Shard>,
    /// How the exits were chosen, as in `plan.json`.
    pub selection: Selection,
    /// Pace, limits and tries; those of the last part if the run was resumed.
    pub settings: Settings,
    /// When the scan started, its first part where it was resumed.
    pub started: DateTime<Utc>,
    /// When the scan ended.
    pub ended: DateTime<Utc>,
    /// Seconds spent probing, in all parts together, without tor's start and bootstrap.
    #[cfg_attr(feature = "schema", schemars(range(min = 0)))]
    pub probing_seconds: f64,
    /// How often the run was resumed.
    pub resumed: u32,
    /// Start of the validity of the consensus that the exits were selected from, as in `plan.json`.
    pub consensus_valid_after: Option<DateTime<Utc>>,
    /// How long exits wait for their resolvers, in seconds, as in `plan.json`; by the consensus of
    /// the last part if the run was resumed.
    #[cfg_attr(feature = "schema", schemars(range(min = 0)))]
    pub exit_dns_limit: Option<f64>,
    /// The tor it ran through.
    pub tor: TorInfo,
    /// Version of the scanner.
    pub scanner_version: String,
    /// How many relays were selected.
    pub selected: u32,
    /// Results by status, provisional ones included.
    pub counts: Counts,
    /// Selected relays that have no result.
    pub not_reached: Vec<Fingerprint>,
    /// Relays whose result is provisional: they failed, and the run ended before that was
    /// confirmed.
    pub unconfirmed: Vec<Fingerprint>,
}

/// How the exits were chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Selection {
    /// Which relays were asked for.
    pub filter: RelayFilter,
    /// The country asked for, a two-letter code in lower case; null for all.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[a-z]{2}$")))]
    pub country: Option<String>,
    /// Relays in the consensus.
    pub relays_in_consensus: u32,
    /// Running relays with the Exit flag among them.
    pub exits_in_consensus: u32,
    /// Relays that were asked for by name and are not tested, and why.
    pub excluded: Vec<Excluded>,
    /// How many relays would have been tested, and were not because their operators asked for that.
    #[serde(default)]
    pub on_request: u32,
    /// How many exits that nobody named are not tested, by the reason: of the country and the shard
    /// that were asked for.
    #[serde(default)]
    pub left_out: BTreeMap<String, u32>,
}

impl Selection {
    /// Whether the network's exits were asked for, and not some of them by name, flag or country: a
    /// test of a few relays is no report's run unless it is named.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        matches!(self.filter, RelayFilter::Exits | RelayFilter::AllExits) && self.country.is_none()
    }
}

closed_list! {
    /// Which relays a scan was asked to test.
    RelayFilter {
        /// Running relays with the Exit flag and without BadExit.
        Exits = "exits",
        /// Running relays whose policy lets anything out by either address family, whatever their
        /// flags.
        AllExits = "all-exits",
        /// Running relays with the BadExit flag whose policy lets anything out.
        BadExits = "bad-exits",
        /// Relays that were named, whatever their flags.
        Named = "named",
    }
}

/// A relay that was asked for by name and is not tested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Excluded {
    /// The relay.
    pub fingerprint: Fingerprint,
    /// Why it is not tested, in words.
    pub reason: String,
}

/// Pace, limits and tries of a scan; times in seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Settings {
    /// Shortest time between two circuits.
    #[cfg_attr(feature = "schema", schemars(range(min = 0)))]
    pub build_delay: f64,
    /// Random part of the time between two circuits, up to this much more or less.
    #[cfg_attr(feature = "schema", schemars(range(min = 0)))]
    pub delay_noise: f64,
    /// How long a query may take once tor has sent it.
    #[cfg_attr(feature = "schema", schemars(range(min = 0)))]
    pub query_timeout: f64,
    /// How long a circuit may take to build.
    #[cfg_attr(feature = "schema", schemars(range(min = 0)))]
    pub circuit_timeout: f64,
    /// Tries for each relay in the first pass, in all.
    pub max_retries: u32,
    /// Shortest time between two tries of one relay.
    #[cfg_attr(feature = "schema", schemars(range(min = 0)))]
    pub retry_delay: f64,
    /// Most circuits under way at once.
    pub max_in_flight: u32,
    /// Most circuits under way at once through one first hop.
    pub max_per_first_hop: u32,
    /// Rounds that confirm what failed in the first pass.
    pub confirm_rounds: u32,
    /// Time between the end of a pass or round and the next.
    #[cfg_attr(feature = "schema", schemars(range(min = 0)))]
    pub confirm_after: f64,
    /// The one first hop used, where it was given.
    pub first_hop: Option<Fingerprint>,
}

/// The tor that a scan ran through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TorInfo {
    /// Its version.
    pub version: String,
    /// Whether the scanner started it.
    pub own: bool,
    /// How often it died or was lost and came back.
    pub restarts: u32,
}

/// How many results have each status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Counts {
    /// Results whose status is `success`.
    pub success: u32,
    /// Results whose status is `wrong_ip`.
    pub wrong_ip: u32,
    /// Results whose status is `dns_fail`.
    pub dns_fail: u32,
    /// Results whose status is `timeout`.
    pub timeout: u32,
    /// Results whose status is `circuit_fail`.
    pub circuit_fail: u32,
    /// Results whose status is `error`.
    pub error: u32,
    /// Results whose status is `exception`.
    pub exception: u32,
}

impl Counts {
    /// How many have this status.
    #[must_use]
    pub const fn of(&self, status: Status) -> u32 {
        match status {
            Status::Success => self.success,
            Status::WrongIp => self.wrong_ip,
            Status::DnsFail => self.dns_fail,
            Status::Timeout => self.timeout,
            Status::CircuitFail => self.circuit_fail,
            Status::Error => self.error,
            Status::Exception => self.exception,
        }
    }

    /// Counts one more.
    pub const fn add(&mut self, status: Status) {
        *match status {
            Status::Success => &mut self.success,
            Status::WrongIp => &mut self.wrong_ip,
            Status::DnsFail => &mut self.dns_fail,
            Status::Timeout => &mut self.timeout,
            Status::CircuitFail => &mut self.circuit_fail,
            Status::Error => &mut self.error,
            Status::Exception => &mut self.exception,
        } += 1;
    }

    /// How many there are in all.
    #[must_use]
    pub fn total(&self) -> u32 {
        Status::ALL.iter().map(|&status| self.of(status)).sum()
    }
}

impl FromIterator<Status> for Counts {
    fn from_iter<I: IntoIterator<Item = Status>>(statuses: I) -> Self {
        let mut counts = Self::default();
        statuses.into_iter().for_each(|status| counts.add(status));
        counts
    }
}

/// The planned relays that `have` lacks, in the plan's order.
#[must_use]
pub fn unreached(plan: &[PlannedRelay], have: &BTreeSet<Fingerprint>) -> Vec<Fingerprint> {
    plan.iter().map(|relay| relay.fingerprint).filter(|relay| !have.contains(relay)).collect()
}
