//! A report: what one run, or all its shards and vantage points, found about every relay.

use std::collections::BTreeMap;
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::verdict::closed_list;
use crate::{
    Attempt, Bandwidth, Blame, Counts, ErrorCode, Fingerprint, FirstAnswer, Format, Ipv6,
    Ipv6Lookups, LookupAtZone, Millis, Mode, RelayFilter, RelayFinding, RelayResolver,
    ResolverNetwork, ResolverShares, Shard, Status, Timing, TorInfo,
};

/// A report, as `dns_health_YYYY-MM-DD_HH-MM-SS.json` and `latest.json` hold it. Documented in
/// `docs/formats/report.md`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Report {
    /// Name and version of this format.
    pub format: Format,
    /// Everything about the run as a whole.
    pub metadata: Metadata,
    /// Every relay that has a result, once, by fingerprint.
    pub results: Vec<ReportedRelay>,
    /// The relays whose DNS failed, the longest streak first, then by fingerprint. Relays that
    /// could not be reached are not among them.
    pub failures: Vec<FailingRelay>,
    /// The relays whose DNS failed, by address, as failing resolvers are often shared.
    #[cfg_attr(
        feature = "schema",
        schemars(with = "crate::schema::Map<IpAddr, crate::schema::NotEmpty<Fingerprint>>")
    )]
    pub failures_by_ip: BTreeMap<IpAddr, Vec<Fingerprint>>,
    /// The relays whose DNS failed, by operator, the one with the most failing relays first.
    pub failures_by_operator: Vec<OperatorFailures>,
    /// The networks that resolve names for exits, the largest share of the weight first. Absent where no
    /// resolver's network is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resolver_networks: Vec<ResolverNetwork>,
    /// Relays of earlier runs that have no result in this one: their streaks wait here for up to
    /// 30 days. By fingerprint.
    pub absent: Vec<AbsentRelay>,
}

/// The figures of the latest report without its relays, as `figures.json` holds them: some kilobytes for who
/// is far away. Documented in `docs/formats/figures.md`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Figures {
    /// Name and version of this format.
    pub format: Format,
    /// As the report has it.
    pub metadata: Metadata,
}

/// Everything about the run as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Metadata {
    /// When the run ended (the last of its inputs): the time in the dated report's name.
    pub timestamp: DateTime<Utc>,
    /// How many relays have a result: the sum of the seven counts.
    pub total_relays: u32,
    /// Results by status.
    #[serde(flatten)]
    pub counts: Counts,
    /// How many of them are of relays with the BadExit flag. Clients do not use those: they are
    /// counted above, and left out of the rates below. Absent if there is none.
    #[serde(default, skip_serializing_if = "is_none")]
    pub bad_exits: u32,
    /// Successes among all results; null where there is none.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 100)))]
    pub success_rate_percent: Option<f64>,
    /// Relays whose DNS was put to the test: `success`, `wrong_ip`, `dns_fail`, `timeout`.
    pub tested: u32,
    /// Successes among the relays tested; null where none was.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 100)))]
    pub dns_success_rate_percent: Option<f64>,
    /// Relays tested among all results; null where there is none.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 100)))]
    pub reachability_rate_percent: Option<f64>,
    /// The share of lookups that fail, of all that clients would make: absent where none reached an exit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lookup_failure: Option<NetworkFailureRate>,
    /// How many relays are degraded. Absent if none is.
    #[serde(default, skip_serializing_if = "is_none")]
    pub degraded: u32,
    /// Results that are counted above although the run ended before they were confirmed.
    pub unconfirmed: u32,
    /// Relays that were selected and have no usable result from any input.
    pub not_reached: u32,
    /// The ids of the runs joined here, sorted, with `+` between them.
    pub run_id: String,
    /// How answers were judged.
    pub mode: Mode,
    /// The domain under which the names lay.
    pub domain: String,
    /// The expected address; null in nxdomain mode.
    pub expected_ip: Option<IpAddr>,
    /// Which relays were asked for.
    pub selection: ReportSelection,
    /// The shards, where the exits were split.
    pub shards: Option<ShardCoverage>,
    /// Start of the validity of the newest consensus that relays were selected from.
    pub consensus_valid_after: Option<DateTime<Utc>>,
    /// When the first input started.
    pub started: DateTime<Utc>,
    /// From `started` to `timestamp`.
    #[cfg_attr(feature = "schema", schemars(range(min = 0)))]
    pub duration_seconds: f64,
    /// Versions of tor that the inputs ran through, sorted, each once.
    pub tor_versions: Vec<String>,
    /// Versions of the scanner, sorted, each once.
    pub scanner_versions: Vec<String>,
    /// Version of the program that wrote this report.
    pub aggregate_version: String,
    /// The inputs, by shard and run id.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub inputs: Vec<ReportInput>,
    /// Relays that several inputs saw differently.
    pub disagreements: Disagreements,
    /// How many relays are in each state; those that no run has tested yet are in none.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Map<State, u32>"))]
    pub states: BTreeMap<State, u32>,
    /// Resolve times of the successes.
    pub resolve_ms: Option<Percentiles>,
    /// Circuit build times of all results that have one.
    pub circuit_ms: Option<Percentiles>,
    /// Results that are not a success, by cause.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Map<ErrorCode, u32>"))]
    pub error_codes: BTreeMap<ErrorCode, u32>,
    /// Results that are not a success, by where the fault lies.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Map<Blame, u32>"))]
    pub blames: BTreeMap<Blame, u32>,
    /// The share of the exits' bandwidth that is affected.
    pub bandwidth: BandwidthShare,
    /// Who resolves names for the exits. Absent where nothing is known of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolvers: Option<ResolverShares>,
    /// The licence of this data, by its SPDX identifier: what somebody else's licence asks for is in
    /// `locations`. Absent in reports of former versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// Who publishes this, and answers for it; absent where they do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publisher: Option<Publisher>,
    /// Where the relays' locations come from; absent without a location database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locations: Option<LocationSource>,
    /// What the streaks go on from, and what the gate compared with.
    pub previous: Previous,
    /// Files that were found and not used.
    pub rejected: Rejected,
    /// Whether this report may replace `latest.json`.
    pub publish: Publish,
}

/// Which relays were asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReportSelection {
    /// As in the run's selection.
    pub filter: RelayFilter,
    /// The country asked for, a two-letter code in lower case; null for all.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[a-z]{2}$")))]
    pub country: Option<String>,
}

/// Which shards there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ShardCoverage {
    /// How many parts the exits were split into.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub of: u32,
    /// The parts among the inputs.
    pub present: Vec<u32>,
    /// The parts that are not among the inputs.
    pub missing: Vec<u32>,
}

/// One input: the analysis directory of one scan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReportInput {
    /// The directory's own name, without those above it.
    pub name: String,
    /// The scan's run id.
    pub run_id: String,
    /// The scan's shard; null if the exits were not split.
    pub shard: Option<Shard>,
    /// Whether the scan ended and reached every relay with a final result.
    pub complete: bool,
    /// Why the scan is not complete, in words; null if it is.
    pub incomplete_reason: Option<String>,
    /// When it started.
    pub started: DateTime<Utc>,
    /// When it ended; for a scan that did not, the time of its last result.
    pub ended: DateTime<Utc>,
    /// Seconds spent probing; null for a scan that did not end.
    #[cfg_attr(feature = "schema", schemars(range(min = 0)))]
    pub probing_seconds: Option<f64>,
    /// Relays in the consensus.
    pub relays_in_consensus: u32,
    /// Running relays with the Exit flag among them.
    pub exits_in_consensus: u32,
    /// How many relays were selected.
    pub selected: u32,
    /// Results used.
    pub results: u32,
    /// Selected relays without a usable result from this input.
    pub not_reached: u32,
    /// Entries of the directory that do not look like a result, a plan or a run.
    pub other_files: u64,
    /// The tor it ran through; null for a scan that did not end.
    pub tor: Option<TorInfo>,
    /// The scanner's version; null for a scan that did not end.
    pub scanner_version: Option<String>,
}

/// Relays that several inputs saw differently.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Disagreements {
    /// Relays that several inputs tested, with different statuses.
    pub dns: u32,
    /// Relays that one input tested, and another tried and did not reach.
    pub reachability: u32,
}

closed_list! {
    /// What the runs so far say of a relay's DNS.
    State {
        /// The last test was a success, and so were the four before it, as far as there were any.
        Healthy = "healthy",
        /// The verdict changed at least four times within the last twelve tests, and the last six
        /// do not agree.
        Flapping = "flapping",
        /// The last test failed, the one before did not.
        Suspect = "suspect",
        /// The last two tests or more failed.
        Confirmed = "confirmed",
        /// The last test was a success, and one of the four before it failed.
        Recovered = "recovered",
        /// No circuit reached the relay in the last three runs that tried, or in any so far.
        Unreachable = "unreachable",
    }
}

closed_list! {
    /// How a relay's domain is proved, by the ContactInfo specification.
    ProofMethod {
        /// A list of fingerprints at a fixed place of the domain's website (proposal 326).
        UriRsa = "uri-rsa",
        /// A record of the domain name system below the domain for each relay, with DNSSEC.
        DnsRsa = "dns-rsa",
    }
}

closed_list! {
    /// Why a check did not prove a relay's domain.
    ProofProblem {
        /// The list, or the record, is there, and is not of this relay.
        NotListed = "not_listed",
        /// The website has no list: its server answers that there is none.
        NoList = "no_list",
        /// The list is too long to be one.
        TooLong = "too_long",
        /// The website leads to another domain, from which no list counts.
        Redirect = "redirect",
        /// The domain leads to an address inside a network, where nothing is asked.
        InnerAddress = "inner_address",
        /// The relay has no record below the domain.
        NoRecord = "no_record",
        /// The record has another text, or is one of several.
        OtherRecord = "other_record",
        /// The record is not secured by DNSSEC.
        NotSigned = "not_signed",
        /// The record's DNSSEC signature is not right.
        Bogus = "bogus",
        /// The name of the website does not resolve.
        NoName = "no_name",
        /// The website's certificate is not valid.
        Certificate = "certificate",
        /// There was no answer, or one that says that the server fails.
        NoAnswer = "no_answer",
    }
}

impl ProofProblem {
    /// Whether it may be different soon, and says nothing of whose relay it is: a proof from before stands.
    #[must_use]
    pub const fn is_passing(self) -> bool {
        matches!(self, Self::Bogus | Self::NoName | Self::Certificate | Self::NoAnswer)
    }
}

/// The domain that a relay's contact line claims by the ContactInfo specification, and whether that is
/// proved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RelayDomain {
    /// The domain, in lower case.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[a-z0-9-]+([.][a-z0-9-]+)+$")))]
    pub name: String,
    /// How it is to be proved.
    pub method: ProofMethod,
    /// Whether it is proved: otherwise it is nothing but what somebody wrote.
    pub proved: bool,
    /// The last check that proved it. Absent if none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proved_at: Option<DateTime<Utc>>,
    /// The last check. Absent if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked_at: Option<DateTime<Utc>>,
    /// Why that check did not prove it. Absent if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<ProofProblem>,
}

/// What the location database says of an address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RelayLocation {
    /// The number of the autonomous system; null if unknown.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub as_number: Option<u32>,
    /// Its name: a stranger's text. Null if unknown.
    pub as_name: Option<String>,
    /// Two-letter country code, lower case; null if unknown. That of tor's own database is
    /// `relay.country`.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[a-z]{2}$")))]
    pub country: Option<String>,
}

/// Who publishes reports.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Publisher {
    /// What they are called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How they are reached: an address for mail, or of a page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// Where the source of what they run is: an address of the web.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^https?://")))]
    pub source: Option<String>,
}

impl Publisher {
    /// The publisher, if anything is said of one.
    #[must_use]
    pub fn known(self) -> Option<Self> {
        (self != Self::default()).then_some(self)
    }
}

/// Where the relays' locations come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LocationSource {
    /// What its licence asks to be said wherever the data is shown.
    pub attribution: String,
    /// When the database was made.
    pub date: DateTime<Utc>,
    /// Whether that was so long before the run that networks may have changed hands. Absent if not.
    #[serde(default, skip_serializing_if = "is_default")]
    pub old: bool,
}

/// How often the first lookup of a relay failed, run by run: what a client's lookup would have come to.
/// The interval is Wilson's, of 95 %.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FailureRate {
    /// In how many runs a lookup reached it.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub asked: u32,
    /// In how many of them the first lookup failed.
    pub failed: u32,
    /// In how many of those the run passed by a retry. Absent if in none.
    #[serde(default, skip_serializing_if = "is_none")]
    pub passed_by_retry: u32,
    /// `failed` among `asked`.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 100)))]
    pub percent: f64,
    /// The lower end of the interval.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 100)))]
    pub low_percent: f64,
    /// Its upper end.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 100)))]
    pub high_percent: f64,
}

/// How many first lookups of a run failed, each relay weighed by its consensus weight, as clients choose
/// exits. The interval of 95 % is of networks drawn anew from its operators, whose relays fail together.
/// Relays with the BadExit flag are left out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NetworkFailureRate {
    /// How many relays a lookup reached.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub asked: u32,
    /// For how many of them the first lookup failed.
    pub failed: u32,
    /// The share of the weight that failed.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 100)))]
    pub percent: f64,
    /// The lower end of the interval.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 100)))]
    pub low_percent: f64,
    /// Its upper end.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 100)))]
    pub high_percent: f64,
}

/// What is carried from run to run for a relay. Times are those of runs (their `timestamp`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Streak {
    /// Runs in a row that found the relay's DNS failing. Runs that did not test it neither add
    /// nor clear.
    #[serde(default, skip_serializing_if = "is_default")]
    pub consecutive_failures: u32,
    /// The first of the runs in a row that found its DNS failing.
    #[serde(default, skip_serializing_if = "is_default")]
    #[cfg_attr(feature = "schema", schemars(with = "DateTime<Utc>"))]
    pub failing_since: Option<DateTime<Utc>>,
    /// The last run that found its DNS working.
    #[serde(default, skip_serializing_if = "is_default")]
    #[cfg_attr(feature = "schema", schemars(with = "DateTime<Utc>"))]
    pub last_success: Option<DateTime<Utc>>,
    /// Runs in a row, tests apart, in which no circuit reached it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub unreachable_runs: u32,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// One relay in a report: its result, with the field names of the result file, and what earlier
/// runs add.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReportedRelay {
    /// The exit that was tested.
    pub exit_fingerprint: Fingerprint,
    /// Its nickname in the consensus: a stranger's text.
    pub exit_nickname: String,
    /// Its address in the consensus.
    pub exit_address: IpAddr,
    /// The first hop of the deciding attempt.
    pub first_hop_fingerprint: Option<Fingerprint>,
    /// The name asked for in the deciding query.
    pub query_domain: Option<String>,
    /// The expected address; null in nxdomain mode.
    pub expected_ip: Option<IpAddr>,
    /// When the deciding attempt ended.
    pub timestamp: DateTime<Utc>,
    /// The run whose result decided.
    pub run_id: String,
    /// That run's shard; null if the exits were not split.
    pub shard: Option<Shard>,
    /// How the answer was judged.
    pub mode: Mode,
    /// The verdict.
    pub status: Status,
    /// The address that came, or `NXDOMAIN`.
    pub resolved_ip: Option<String>,
    /// The resolve time.
    pub latency_ms: Option<Millis>,
    /// What went wrong, in words; null for a success.
    pub error: Option<String>,
    /// Why the verdict is not a success; null for a success.
    pub error_code: Option<ErrorCode>,
    /// The number of the deciding attempt.
    pub attempt: u32,
    /// Where the fault lies; null for a success.
    pub blame: Option<Blame>,
    /// Times of the deciding attempt.
    pub timing: Timing,
    /// True where the run ended before the failure was confirmed: the streak is not touched then.
    pub provisional: bool,
    /// What the runs so far say; null for a relay that no run has tested or tried to reach.
    pub state: Option<State>,
    /// Runs in a row that found its DNS failing.
    pub consecutive_failures: u32,
    /// The first of the runs in a row that found its DNS failing; null if there are none.
    pub failing_since: Option<DateTime<Utc>>,
    /// The last run that found its DNS working.
    pub last_success: Option<DateTime<Utc>>,
    /// Runs in a row, tests apart, in which no circuit reached it.
    pub unreachable_runs: u32,
    /// The last 60 runs that count, newest last, a character each: `s` success, `w` wrong_ip,
    /// `d` dns_fail, `t` timeout, `c` circuit_fail, `e` error, `x` exception, in upper case where
    /// the run ended before a failure was confirmed; `.` no result.
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::recent"))]
    pub recent: String,
    /// Successes among the tests of the last 7 days, this run included; null without a history
    /// or without a test.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 100)))]
    pub dns_success_rate_7d_percent: Option<f64>,
    /// Successes among the tests of the last 30 days, as for 7 days.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 100)))]
    pub dns_success_rate_30d_percent: Option<f64>,
    /// How often the first lookup failed within the last 7 days, this run included; absent without a
    /// history or without a first answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_rate_7d: Option<FailureRate>,
    /// The same within the last 30 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_rate_30d: Option<FailureRate>,
    /// Whether so many of its lookups fail that its runs pass by retries alone. Absent if not.
    #[serde(default, skip_serializing_if = "is_default")]
    pub degraded: bool,
    /// The operator's key: relays with the same key are taken for one operator's.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^(domain|contact|family|relay):")))]
    pub operator: String,
    /// The domain that its contact claims. Absent if that claims none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<RelayDomain>,
    /// Whose network its address is in, and in which country. Absent without a location database, or where
    /// that knows nothing of the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<RelayLocation>,
    /// What the first lookup that reached it came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<FirstAnswer>,
    /// What its resolver makes of IPv6 addresses; the lookups only where there is a finding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<Ipv6Lookups>,
    /// What became of the deciding lookup, as the zone's name server saw it: of a failure, where the zone's log
    /// was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_zone: Option<LookupAtZone>,
    /// Who resolves its names. Absent where nothing is known of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolver: Option<RelayResolver>,
    /// What was found beside the verdict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<RelayFinding>,
    /// What the consensus and the descriptor say of the relay.
    pub relay: ReportedInfo,
    /// Every attempt, in order; empty where there was just one and it succeeded, as the fields
    /// above then say all of it.
    pub attempts: Vec<Attempt>,
    /// What each input found, where several tested the relay; empty otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(min = 2)))]
    pub vantages: Vec<Vantage>,
    /// The streak before this run, so that the same run can be aggregated again.
    #[serde(default, skip_serializing_if = "is_default")]
    pub before: Streak,
}

/// What the consensus and the descriptor say of a relay. The family of names is not repeated here: the
/// operator's key comes from it, and the result file has it in full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReportedInfo {
    /// Flags in the consensus.
    pub flags: Vec<String>,
    /// The operator's contact line: a stranger's text.
    pub contact: Option<String>,
    /// The keys of its families (proposal 321), as in the result; at most 16. Absent if there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(
        feature = "schema",
        schemars(length(max = 16), inner(regex(pattern = "^ed25519:[A-Za-z0-9+/]{43}$")))
    )]
    pub family_ids: Vec<String>,
    /// Software and operating system: a stranger's text.
    pub platform: Option<String>,
    /// Bandwidth figures.
    pub bandwidth: Bandwidth,
    /// IPv6 address and exiting.
    pub ipv6: Ipv6,
    /// Two-letter country code, lower case.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[a-z]{2}$")))]
    pub country: Option<String>,
}

pub(crate) const fn is_none(count: &u32) -> bool {
    *count == 0
}

impl ReportedInfo {
    /// Whether the directory authorities tell clients not to exit through the relay.
    #[must_use]
    pub fn is_bad_exit(&self) -> bool {
        self.flags.iter().any(|flag| flag == "BadExit")
    }
}

/// What one of several inputs found about a relay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Vantage {
    /// The scan's run id.
    pub run_id: String,
    /// The scan's verdict.
    pub status: Status,
    /// Why it is not a success; null for a success.
    pub error_code: Option<ErrorCode>,
    /// Where the fault lies; null for a success.
    pub blame: Option<Blame>,
    /// The address that came.
    pub resolved_ip: Option<String>,
    /// The resolve time.
    pub latency_ms: Option<Millis>,
    /// When the deciding attempt ended.
    pub timestamp: DateTime<Utc>,
    /// True where the scan ended before the failure was confirmed.
    pub provisional: bool,
}

/// A relay whose DNS failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FailingRelay {
    /// The relay.
    pub exit_fingerprint: Fingerprint,
    /// Its nickname: a stranger's text.
    pub exit_nickname: String,
    /// Its address.
    pub exit_address: IpAddr,
    /// `wrong_ip`, `dns_fail` or `timeout`.
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::failing_status"))]
    pub status: Status,
    /// What went wrong, in words.
    pub error: Option<String>,
    /// Why the DNS failed.
    pub error_code: Option<ErrorCode>,
    /// Where the fault lies.
    pub blame: Option<Blame>,
    /// The address that came.
    pub resolved_ip: Option<String>,
    /// The resolve time.
    pub latency_ms: Option<Millis>,
    /// When the deciding attempt ended.
    pub timestamp: DateTime<Utc>,
    /// True where the run ended before the failure was confirmed.
    pub provisional: bool,
    /// What the runs so far say.
    pub state: Option<State>,
    /// Runs in a row that found its DNS failing.
    pub consecutive_failures: u32,
    /// The first of the runs in a row that found its DNS failing.
    pub failing_since: Option<DateTime<Utc>>,
    /// The last run that found its DNS working.
    pub last_success: Option<DateTime<Utc>>,
    /// The operator's key.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^(domain|contact|family|relay):")))]
    pub operator: String,
}

/// An operator with failing relays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OperatorFailures {
    /// `domain:` and the domain that is proved to be theirs, `contact:` and the normalised contact,
    /// `family:` and the first fingerprint of a family without one, or `relay:` and the fingerprint of a
    /// relay with nothing of it.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^(domain|contact|family|relay):")))]
    pub operator: String,
    /// The contact line of the failing relay with the smallest fingerprint that has one, as it
    /// stands there: a stranger's text.
    pub contact: Option<String>,
    /// The failing relays, by fingerprint.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub failing: Vec<Fingerprint>,
    /// How many relays of this operator have a result.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub relays: u32,
    /// Consensus weight of the failing relays.
    pub failing_weight: u64,
}

/// A relay of earlier runs without a result in this one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AbsentRelay {
    /// The relay.
    pub exit_fingerprint: Fingerprint,
    /// Its nickname when it was last there: a stranger's text.
    pub exit_nickname: String,
    /// Its address when it was last there.
    pub exit_address: IpAddr,
    /// The last run that has a result of the relay.
    pub last_seen: DateTime<Utc>,
    /// Its state after that run.
    pub state: Option<State>,
    /// The last 60 runs, as in the results; this one is a `.`.
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::recent"))]
    pub recent: String,
    /// Its streak, which goes on when it comes back.
    #[serde(flatten)]
    pub streak: Streak,
}

/// Percentiles by the nearest-rank method: the smallest value that at least so many percent of
/// the values do not exceed. Milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Percentiles {
    /// How many values there are.
    pub count: u32,
    /// The smallest.
    pub min: Millis,
    /// The median.
    pub p50: Millis,
    /// The value that 75 % do not exceed.
    pub p75: Millis,
    /// The value that 90 % do not exceed.
    pub p90: Millis,
    /// The value that 95 % do not exceed.
    pub p95: Millis,
    /// The value that 99 % do not exceed.
    pub p99: Millis,
    /// The largest.
    pub max: Millis,
}

/// The share of the exits' bandwidth that is affected, by consensus weight.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BandwidthShare {
    /// Weight of all relays with a result.
    pub total_weight: u64,
    /// Weight of the relays whose DNS failed.
    pub failing_weight: u64,
    /// Share of the weight of the relays whose DNS failed; null if there is no weight at all.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 100)))]
    pub failing_percent: Option<f64>,
    /// Weight of the relays that were not reached (`circuit_fail`).
    pub unreached_weight: u64,
    /// Share of the weight of the relays that were not reached; null if there is no weight at all.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 100)))]
    pub unreached_percent: Option<f64>,
}

/// What the streaks go on from, and what the gate compared with.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Previous {
    /// Where the streaks come from.
    pub source: PreviousSource,
    /// In words, why there is no previous report, or why it is not the one that was to be gone on
    /// from.
    pub note: Option<String>,
    /// The report compared with; null where there is none.
    pub report: Option<PreviousReport>,
}

/// Where the streaks come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PreviousSource {
    /// From the previous report.
    Report,
    /// From the history, as there is no usable previous report.
    History,
    /// From nowhere: they begin with this run.
    #[default]
    None,
}

/// The figures of the previous report that the gate compares with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PreviousReport {
    /// Its run id; null for a report from before this format.
    pub run_id: Option<String>,
    /// Its timestamp.
    pub timestamp: DateTime<Utc>,
    /// Its number of relays.
    pub total_relays: u32,
    /// Its DNS success rate.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 100)))]
    pub dns_success_rate_percent: Option<f64>,
    /// Its mode; null for a report from before this format.
    pub mode: Option<Mode>,
    /// Its domain.
    pub domain: Option<String>,
    /// Its expected address.
    pub expected_ip: Option<IpAddr>,
    /// Its selection.
    pub selection: Option<ReportSelection>,
}

/// Files that were found and not used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Rejected {
    /// How many files were not used.
    pub total: u64,
    /// How many files were not used for each reason.
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Map<RejectReason, u64>"))]
    pub by_reason: BTreeMap<RejectReason, u64>,
    /// The first 100 of these files, by input and name.
    #[cfg_attr(feature = "schema", schemars(length(max = 100)))]
    pub files: Vec<RejectedFile>,
}

/// One file that was not used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RejectedFile {
    /// The input it belongs to: its directory's own name; empty for the previous report.
    pub input: String,
    /// The file's name, cut to 200 characters.
    pub file: String,
    /// Why the file was not used.
    pub reason: RejectReason,
    /// What exactly was wrong with it, cut to 300 characters.
    pub detail: String,
}

closed_list! {
    /// Why a file was not used.
    RejectReason {
        /// The name is not `dnshealth_`, 40 upper-case hexadecimal digits and `.json`.
        Name = "name",
        /// A symbolic link: nothing is read from outside the directory.
        Link = "link",
        /// A directory, a pipe, a socket or a device.
        NotAFile = "not_a_file",
        /// It could not be read.
        Unreadable = "unreadable",
        /// Larger than any document of this kind may be.
        TooLarge = "too_large",
        /// Not JSON, cut, or not of the shape that its version requires.
        Malformed = "malformed",
        /// Written in a version of the format that this program does not know.
        Version = "version",
        /// The fingerprint inside is not the one in the name.
        FingerprintMismatch = "fingerprint_mismatch",
        /// It belongs to another run, shard, mode or expectation than the directory's.
        OtherRun = "other_run",
        /// The relay was not selected by this run.
        NotPlanned = "not_planned",
        /// A value that cannot be: a negative time, a date outside the run, a success with an
        /// error.
        OutOfRange = "out_of_range",
        /// The same run's result of the same relay is there already.
        Duplicate = "duplicate",
        /// More results than any network could have.
        TooMany = "too_many",
        /// A previous report from the future.
        Future = "future",
    }
}

/// Whether a report may replace `latest.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Publish {
    /// True where the gate is open, or was forced.
    pub allowed: bool,
    /// True where it was closed and the operator overrode it.
    pub forced: bool,
    /// Why the gate is closed; empty where it is open.
    pub reasons: Vec<GateFinding>,
    /// What was noticed and did not close it.
    pub notes: Vec<GateFinding>,
    /// The check of our own zone, where it was asked for.
    pub zone_check: Option<ZoneCheck>,
    /// The exit known to be good, where one was given.
    pub known_good: Option<KnownGood>,
}

/// One thing the gate found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GateFinding {
    /// What it is, from the closed list.
    pub code: GateCode,
    /// What was found, in words, with the figures.
    pub message: String,
}

closed_list! {
    /// What can close the publish gate.
    GateCode {
        /// A scan did not end, or did not reach every relay it had selected.
        IncompleteRun = "incomplete_run",
        /// A part of the exits is not among the inputs.
        MissingShard = "missing_shard",
        /// Fewer relays than any run of the whole network has.
        TooFewRelays = "too_few_relays",
        /// The number of relays is too far from the previous report's.
        RelayCount = "relay_count",
        /// The DNS success rate fell too far from the previous report's, in no one place.
        DnsSuccessRate = "dns_success_rate",
        /// Other relays were asked for than in the previous report.
        SelectionChanged = "selection_changed",
        /// The mode, the domain or the expected address is not the previous report's.
        SettingsChanged = "settings_changed",
        /// So many circuits failed that the fault is more likely ours than the relays'.
        CircuitFailures = "circuit_failures",
        /// Too many results are faults of the scanner or of its tor.
        ScannerFaults = "scanner_faults",
        /// So few relays succeed that their successes show nothing.
        SuccessFloor = "success_floor",
        /// Relays fail over all operators and networks, as when our own zone is down.
        SpreadFailures = "spread_failures",
        /// Many relays of one operator, network or country fail, beside successes elsewhere: only
        /// ever a note.
        FailingPlace = "failing_place",
        /// Many relays fail, and all in one way. Former versions closed for it.
        OneKind = "one_kind",
        /// Our own zone did not answer as it must.
        ZoneCheck = "zone_check",
        /// The exit known to be good failed, and so did most others.
        KnownGood = "known_good",
        /// The previous report is of a later run.
        OlderThanPrevious = "older_than_previous",
        /// The run ended in the future, by this host's clock.
        FromTheFuture = "from_the_future",
    }
}

/// What the check of our own zone found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ZoneCheck {
    /// Whether a fresh name resolved as it must.
    pub ok: bool,
    /// Whether there was an answer that can be judged; without one, the check says nothing of the
    /// zone. Absent in reports of former versions.
    #[serde(default)]
    pub answered: bool,
    /// The server that gave the deciding answer, or the servers asked, with their ports.
    pub servers: Vec<String>,
    /// What went wrong, in words.
    pub error: Option<String>,
}

/// What this run found about the exit known to be good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KnownGood {
    /// The exit.
    pub fingerprint: Fingerprint,
    /// Its verdict; null where it has no result.
    pub status: Option<Status>,
}

/// The mark in `recent` for a run that has no result of the relay.
pub const ABSENT_MARK: char = '.';

/// How many runs `recent` holds.
pub const RECENT_RUNS: usize = 60;

/// The character for a result in `recent`: `s` success, `w` wrong_ip, `d` dns_fail, `t` timeout,
/// `c` circuit_fail, `e` error, `x` exception; in upper case where the run ended before a failure
/// was confirmed.
#[must_use]
pub const fn recent_mark(status: Status, provisional: bool) -> char {
    let mark = match status {
        Status::Success => 's',
        Status::WrongIp => 'w',
        Status::DnsFail => 'd',
        Status::Timeout => 't',
        Status::CircuitFail => 'c',
        Status::Error => 'e',
        Status::Exception => 'x',
    };
    if provisional { mark.to_ascii_uppercase() } else { mark }
}

/// The status and whether it was provisional, of a character in `recent`; `None` for
/// [`ABSENT_MARK`] and for what is not a mark.
#[must_use]
pub fn of_recent_mark(mark: char) -> Option<(Status, bool)> {
    let provisional = mark.is_ascii_uppercase();
    let lower = mark.to_ascii_lowercase();
    let status = Status::ALL.iter().find(|status| recent_mark(**status, false) == lower)?;
    Some((*status, provisional))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_distinct_and_reversible() {
        for &status in Status::ALL {
            for provisional in [false, true] {
                let mark = recent_mark(status, provisional);
                assert_eq!(of_recent_mark(mark), Some((status, provisional)));
            }
        }
        assert_eq!(of_recent_mark(ABSENT_MARK), None);
        assert_eq!(of_recent_mark('é'), None);
    }
}
