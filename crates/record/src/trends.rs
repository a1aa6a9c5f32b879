//! `trends.json` and `files.json`: what the dashboard reads beside a report.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    Blame, Counts, ErrorCode, Format, GateCode, NetworkFailureRate, Percentiles, ResolverShares,
    State,
};

/// One entry for each run in the history. Documented in `docs/formats/trends.md`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Trends {
    /// Name and version of this format.
    pub format: Format,
    /// The runs, oldest first.
    pub runs: Vec<TrendEntry>,
}

/// The figures of one run, named as in a report's metadata.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TrendEntry {
    /// When the run ended.
    pub timestamp: DateTime<Utc>,
    /// The ids of the runs joined, as in the report.
    pub run_id: String,
    /// Whether the report replaced `latest.json`.
    pub published: bool,
    /// What the gate found against it, forced or not.
    pub reasons: Vec<GateCode>,
    /// How many relays have a result.
    pub total_relays: u32,
    /// Results by status.
    #[serde(flatten)]
    pub counts: Counts,
    /// Successes among the relays tested.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 100)))]
    pub dns_success_rate_percent: Option<f64>,
    /// Relays tested among all results.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 100)))]
    pub reachability_rate_percent: Option<f64>,
    /// The share of lookups that fail; absent in entries of former versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lookup_failure: Option<NetworkFailureRate>,
    /// How many relays are degraded. Absent if none is.
    #[serde(default, skip_serializing_if = "crate::report::is_none")]
    pub degraded: u32,
    /// Who resolved names for the exits. Absent where nothing was known of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolvers: Option<ResolverShares>,
    /// Share of the bandwidth of relays whose DNS failed.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 100)))]
    pub failing_bandwidth_percent: Option<f64>,
    /// Relays by state.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Map<State, u32>"))]
    pub states: BTreeMap<State, u32>,
    /// Results that are not a success, by cause.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Map<ErrorCode, u32>"))]
    pub error_codes: BTreeMap<ErrorCode, u32>,
    /// Results that are not a success, by where the fault lies.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Map<Blame, u32>"))]
    pub blames: BTreeMap<Blame, u32>,
    /// Resolve times of the successes.
    pub resolve_ms: Option<Percentiles>,
    /// Circuit build times.
    pub circuit_ms: Option<Percentiles>,
}

/// What can be fetched beside `latest.json`. Documented in `docs/formats/files.md`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Files {
    /// Name and version of this format.
    pub format: Format,
    /// The files, newest first.
    pub files: Vec<FileEntry>,
}

/// One file. Its content never changes under its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FileEntry {
    /// Its name in the output directory.
    #[cfg_attr(
        feature = "schema",
        schemars(regex(
            pattern = r"^dns_health_[0-9][-_0-9]*\.(json|tar|tar\.gz|tar\.xz|tar\.zst|zip)$"
        ))
    )]
    pub name: String,
    /// What it is.
    pub kind: FileKind,
    /// Its size in bytes.
    pub size: u64,
    /// The SHA-256 digest of its bytes, 64 lower-case hexadecimal digits.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[0-9a-f]{64}$")))]
    pub sha256: String,
    /// A report's timestamp; the start of an archive's month.
    pub timestamp: DateTime<Utc>,
    /// The main figures of a report; null for an archive.
    pub report: Option<FileReport>,
}

/// What a listed file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// A dated report: `dns_health_YYYY-MM-DD_HH-MM-SS.json`.
    Report,
    /// A month's reports: `dns_health_YYYY-MM.tar.*`.
    Archive,
}

/// The main figures of a listed report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FileReport {
    /// Its run id.
    pub run_id: String,
    /// How many relays have a result.
    pub total_relays: u32,
    /// Successes among the relays tested.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 100)))]
    pub dns_success_rate_percent: Option<f64>,
    /// Whether it replaced `latest.json`.
    pub published: bool,
    /// What the gate found against it, forced or not.
    pub reasons: Vec<GateCode>,
}
