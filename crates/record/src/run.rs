//! A scan's own documents: what it set out to do, and what became of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{Fingerprint, Format, Mode, Shard, Status};

/// What a scan set out to do, written before the first circuit, so that an interrupted scan can
/// be resumed and its results accounted for. Documented in `docs/formats/run.md`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// The shard tested, where the exits are split.
    pub shard: Option<Shard>,
    /// How the exits were chosen.
    pub selection: Selection,
    /// Pace, limits and tries.
    pub settings: Settings,
    /// Start of the validity of the consensus that the exits were selected from.
    pub consensus_valid_after: Option<DateTime<Utc>>,
    /// How long exits wait for their resolvers by that consensus, in seconds: a transient error
    /// that comes sooner came at once.
    pub exit_dns_limit: Option<f64>,
    /// Every relay selected, by fingerprint.
    pub relays: Vec<PlannedRelay>,
}

/// A selected relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
pub struct Run {
    /// Name and version of this format.
    pub format: Format,
    /// As in the plan.
    pub run_id: String,
    /// Whether every selected relay has its final result.
    pub complete: bool,
    /// Why not, in words; null where it is complete.
    pub incomplete_reason: Option<String>,
    /// As in the plan.
    pub mode: Mode,
    /// As in the plan.
    pub domain: String,
    /// As in the plan.
    pub expected_ip: Option<IpAddr>,
    /// As in the plan.
    pub shard: Option<Shard>,
    /// As in the plan.
    pub selection: Selection,
    /// As in the plan; of the last part, where the run was resumed.
    pub settings: Settings,
    /// When the scan started, its first part where it was resumed.
    pub started: DateTime<Utc>,
    /// When it ended.
    pub ended: DateTime<Utc>,
    /// Seconds spent probing, in all parts together, without tor's start and bootstrap.
    pub probing_seconds: f64,
    /// How often it was resumed.
    pub resumed: u32,
    /// As in the plan.
    pub consensus_valid_after: Option<DateTime<Utc>>,
    /// As in the plan; of the last part, where the run was resumed.
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
pub struct Selection {
    /// Which relays were asked for: `exits`, `all-exits`, `bad-exits` or `named`.
    pub filter: String,
    /// The country asked for.
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
        ["exits", "all-exits"].contains(&self.filter.as_str()) && self.country.is_none()
    }
}

/// A relay that was asked for by name and is not tested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excluded {
    /// The relay.
    pub fingerprint: Fingerprint,
    /// Why, in words.
    pub reason: String,
}

/// Pace, limits and tries of a scan; times in seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Shortest time between two circuits.
    pub build_delay: f64,
    /// Random part of that time, up to this much more or less.
    pub delay_noise: f64,
    /// How long a query may take once tor has sent it.
    pub query_timeout: f64,
    /// How long a circuit may take to build.
    pub circuit_timeout: f64,
    /// Tries for each relay in the first pass, in all.
    pub max_retries: u32,
    /// Shortest time between two tries of one relay.
    pub retry_delay: f64,
    /// Most circuits under way at once.
    pub max_in_flight: u32,
    /// Most circuits under way at once through one first hop.
    pub max_per_first_hop: u32,
    /// Rounds that confirm what failed in the first pass.
    pub confirm_rounds: u32,
    /// Time between the end of a pass or round and the next.
    pub confirm_after: f64,
    /// The one first hop used, where it was given.
    pub first_hop: Option<Fingerprint>,
}

/// The tor that a scan ran through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
pub struct Counts {
    /// [`Status::Success`].
    pub success: u32,
    /// [`Status::WrongIp`].
    pub wrong_ip: u32,
    /// [`Status::DnsFail`].
    pub dns_fail: u32,
    /// [`Status::Timeout`].
    pub timeout: u32,
    /// [`Status::CircuitFail`].
    pub circuit_fail: u32,
    /// [`Status::Error`].
    pub error: u32,
    /// [`Status::Exception`].
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
