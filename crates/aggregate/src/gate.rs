//! The publish gate: whether a report may replace `latest.json` without anybody looking at it.
//! Pure.
//!
//! A gate that closes on any great change would never open again after a real one. So what is
//! merely a change from the previous report is let through once several runs in a row show the
//! same ([`Thresholds::accept_after`]); what is a defect of the run is not.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};
use record::{
    ErrorCode, FileEntry, FileReport, GateCode, GateFinding, KnownGood, Metadata, Publish,
    ReportedRelay, Status, ZoneCheck,
};

use crate::{publish, stats};

/// Where the gate closes. The defaults are documented in `docs/formats/report.md`.
#[derive(Debug, Clone, PartialEq)]
pub struct Thresholds {
    /// Fewest relays that a report may have.
    pub min_relays: u32,
    /// Greatest change of the number of relays, in percent of the previous number.
    pub relay_count_percent: f64,
    /// Greatest change of the DNS success rate, in percentage points.
    pub success_rate_points: f64,
    /// Greatest share of relays that were not reached, in percent.
    pub circuit_fail_percent: f64,
    /// Greatest share of results that are faults of the scanner, in percent.
    pub scanner_fault_percent: f64,
    /// From this share of failures that have one cause, in percent of the failures, ...
    pub one_kind_percent: f64,
    /// ... where so many of the relays tested fail, in percent.
    pub one_kind_failing_percent: f64,
    /// How many runs in a row have to agree before a change is believed; 0 for never.
    pub accept_after: u32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            min_relays: 100,
            relay_count_percent: 20.0,
            success_rate_points: 10.0,
            circuit_fail_percent: 25.0,
            scanner_fault_percent: 5.0,
            one_kind_percent: 90.0,
            one_kind_failing_percent: 20.0,
            accept_after: 3,
        }
    }
}

/// What the gate looks at beside the report itself.
#[derive(Debug, Clone)]
pub struct Circumstances<'a> {
    /// The time now.
    pub now: DateTime<Utc>,
    /// Where the gate closes.
    pub thresholds: &'a Thresholds,
    /// The operator opens it whatever is found.
    pub force: bool,
    /// What the check of our own zone found, where it was asked for.
    pub zone_check: Option<ZoneCheck>,
    /// The exit known to be good, where one was given.
    pub known_good: Option<KnownGood>,
    /// The previous report is of a later run.
    pub later: bool,
    /// The reports that there are, from `files.json`.
    pub files: &'a [FileEntry],
}

/// How far in the future a run may end, by this host's clock: two hosts' clocks differ a little.
pub const CLOCK_SLACK: Duration = Duration::hours(1);

/// Judges a report by its figures.
#[must_use]
pub fn judge(
    metadata: &Metadata,
    results: &[ReportedRelay],
    circumstances: Circumstances<'_>,
) -> Publish {
    let limits = circumstances.thresholds;
    let mut reasons = defects(metadata, results, &circumstances);
    let mut notes = Vec::new();
    let mut changes = changes(metadata, limits);
    if zone_is_well(&circumstances)
        && let Some(message) = one_kind(metadata, results, limits)
    {
        changes.push(finding(GateCode::OneKind, message));
    }
    if reasons.is_empty() && !changes.is_empty() && settled(metadata, &circumstances) {
        for mut change in changes {
            change
                .message
                .push_str(&format!("; accepted, as the last {} runs agree", limits.accept_after));
            notes.push(change);
        }
    } else {
        reasons.extend(changes);
    }
    if let Some(known) = &circumstances.known_good
        && known.status.is_none_or(|status| !status.tested())
    {
        notes.push(finding(
            GateCode::KnownGood,
            format!("the exit known to be good, {}, was not tested", known.fingerprint),
        ));
    }
    Publish {
        allowed: reasons.is_empty() || circumstances.force,
        forced: !reasons.is_empty() && circumstances.force,
        reasons,
        notes,
        zone_check: circumstances.zone_check,
        known_good: circumstances.known_good,
    }
}

fn finding(code: GateCode, message: String) -> GateFinding {
    GateFinding { code, message }
}

/// What is wrong with the run itself.
fn defects(
    metadata: &Metadata,
    results: &[ReportedRelay],
    circumstances: &Circumstances<'_>,
) -> Vec<GateFinding> {
    let limits = circumstances.thresholds;
    let mut found = Vec::new();
    let mut find = |code, message: String| found.push(finding(code, message));

    for input in metadata.inputs.iter().filter(|input| !input.complete) {
        let why = input.incomplete_reason.as_deref().unwrap_or("no reason given");
        find(GateCode::IncompleteRun, format!("{} is incomplete: {why}", input.name));
    }
    if metadata.not_reached > 0 {
        let message = format!("{} selected relays have no usable result", metadata.not_reached);
        find(GateCode::IncompleteRun, message);
    }
    if let Some(shards) = metadata.shards.as_ref().filter(|shards| !shards.missing.is_empty()) {
        let missing: Vec<String> =
            shards.missing.iter().map(|index| format!("{index}/{}", shards.of)).collect();
        find(GateCode::MissingShard, format!("no input for shard {}", missing.join(", ")));
    }
    let total = metadata.total_relays;
    if total < limits.min_relays || total == 0 {
        let message = format!("{total} relays, where at least {} are wanted", limits.min_relays);
        find(GateCode::TooFewRelays, message);
    }
    let counts = &metadata.counts;
    if let Some(share) = stats::percent(counts.circuit_fail, total)
        && share > limits.circuit_fail_percent
    {
        let limit = limits.circuit_fail_percent;
        let message = format!(
            "{share:.1} % of the relays were not reached, where at most {limit} % are believed: \
             more likely our network or first hops"
        );
        find(GateCode::CircuitFailures, message);
    }
    if let Some(share) = stats::percent(counts.error + counts.exception, total)
        && share > limits.scanner_fault_percent
    {
        let limit = limits.scanner_fault_percent;
        let message = format!(
            "{share:.1} % of the results are faults of the scanner or its tor, where at most \
             {limit} % are tolerated"
        );
        find(GateCode::ScannerFaults, message);
    }
    if !zone_is_well(circumstances)
        && let Some(message) = one_kind(metadata, results, limits)
    {
        find(GateCode::OneKind, message);
    }
    if let Some(check) = circumstances.zone_check.as_ref().filter(|check| !check.ok) {
        let why = check.error.as_deref().unwrap_or("no reason given");
        find(GateCode::ZoneCheck, format!("our own zone did not answer as it must: {why}"));
    }
    if let Some(known) = &circumstances.known_good
        && let Some(status) = known.status.filter(|status| status.counts_against_dns())
    {
        let message = format!("the exit known to be good, {}, has {status}", known.fingerprint);
        find(GateCode::KnownGood, message);
    }
    if circumstances.later {
        let message = "the previous report is of a later run than this one".to_owned();
        find(GateCode::OlderThanPrevious, message);
    }
    if metadata.timestamp > circumstances.now + CLOCK_SLACK {
        let ended = metadata.timestamp.to_rfc3339();
        let message = format!("the run ended at {ended}, which is in the future: check the clocks");
        find(GateCode::FromTheFuture, message);
    }
    found
}

/// Whether something shows that it is not our zone that is broken: many relays failing in one way
/// are then a change like others.
fn zone_is_well(circumstances: &Circumstances<'_>) -> bool {
    circumstances.zone_check.as_ref().is_some_and(|check| check.ok)
        || circumstances
            .known_good
            .as_ref()
            .is_some_and(|known| known.status == Some(Status::Success))
}

/// Whether many relays fail and nearly all in one way.
fn one_kind(metadata: &Metadata, results: &[ReportedRelay], limits: &Thresholds) -> Option<String> {
    let failures: Vec<_> =
        results.iter().filter(|relay| relay.status.counts_against_dns()).collect();
    let failing = u32::try_from(failures.len()).ok()?;
    let share = stats::percent(failing, metadata.tested)?;
    // One failure is always of one kind.
    if failing < 2 || share < limits.one_kind_failing_percent {
        return None;
    }
    let mut kinds = BTreeMap::new();
    for relay in &failures {
        *kinds.entry(kind_of(relay)).or_insert(0_u32) += 1;
    }
    let (kind, most) = kinds.into_iter().max_by_key(|(_, count)| *count)?;
    let same = stats::percent(most, failing)?;
    (same >= limits.one_kind_percent).then(|| {
        format!(
            "{share:.1} % of the relays tested fail, {same:.1} % of them in one way ({kind}): more \
             likely our zone or its servers"
        )
    })
}

/// The ways to fail that one broken zone would give all relays. When its servers are down, some
/// resolvers say SERVFAIL and others nothing.
fn kind_of(relay: &ReportedRelay) -> String {
    match (&relay.resolved_ip, relay.error_code) {
        (Some(address), _) => format!("the answer {}", record::printable(address)),
        (None, Some(ErrorCode::Nxdomain | ErrorCode::NoAddress)) => "no such name".to_owned(),
        (
            None,
            Some(
                ErrorCode::Servfail
                | ErrorCode::ResolverTimeout
                | ErrorCode::ResolveFailed
                | ErrorCode::Timeout,
            ),
        ) => "no answer".to_owned(),
        (None, code) => code.map_or("no code", ErrorCode::as_str).to_owned(),
    }
}

/// What is merely far from the previous report.
fn changes(metadata: &Metadata, limits: &Thresholds) -> Vec<GateFinding> {
    let Some(previous) = &metadata.previous.report else { return Vec::new() };
    let mut found = Vec::new();
    if let Some(selection) = previous.selection.as_ref().filter(|old| **old != metadata.selection) {
        let message = format!("{:?} were asked for before", selection.filter.as_str());
        found.push(finding(GateCode::SelectionChanged, message));
    }
    let mode = previous.mode.is_some_and(|mode| mode != metadata.mode);
    let domain = previous.domain.as_ref().is_some_and(|domain| *domain != metadata.domain);
    // A report from before this format has no mode, and then its address is not this field.
    let address = previous.mode.is_some() && previous.expected_ip != metadata.expected_ip;
    if mode || domain || address {
        let message = "the mode, the domain or the expected address was another before".to_owned();
        found.push(finding(GateCode::SettingsChanged, message));
    }
    let (before, now) = (previous.total_relays, metadata.total_relays);
    if far_in_count(before, now, limits) {
        let limit = limits.relay_count_percent;
        let message = format!("{now} relays after {before}, where a change of {limit} % is usual");
        found.push(finding(GateCode::RelayCount, message));
    }
    if let (Some(before), Some(now)) =
        (previous.dns_success_rate_percent, metadata.dns_success_rate_percent)
        && far_in_rate(before, now, limits)
    {
        let limit = limits.success_rate_points;
        let message =
            format!("{now:.1} % DNS success after {before:.1} %, where {limit} points are usual");
        found.push(finding(GateCode::DnsSuccessRate, message));
    }
    found
}

fn far_in_count(before: u32, now: u32, limits: &Thresholds) -> bool {
    before > 0
        && f64::from(before.abs_diff(now)) > f64::from(before) * limits.relay_count_percent / 100.0
}

fn far_in_rate(before: f64, now: f64, limits: &Thresholds) -> bool {
    (before - now).abs() > limits.success_rate_points
}

/// Whether a code is merely a change from the previous report.
#[must_use]
pub const fn is_change(code: GateCode) -> bool {
    matches!(
        code,
        GateCode::RelayCount
            | GateCode::DnsSuccessRate
            | GateCode::SelectionChanged
            | GateCode::SettingsChanged
            | GateCode::OneKind
    )
}

/// Whether the reports just before this one were held back for a change alone, and showed what
/// this one shows.
fn settled(metadata: &Metadata, circumstances: &Circumstances<'_>) -> bool {
    let limits = circumstances.thresholds;
    let Some(needed) = limits.accept_after.checked_sub(1) else { return false };
    let Some(previous) = &metadata.previous.report else { return false };
    let mut earlier: Vec<(&FileEntry, &FileReport)> = circumstances
        .files
        .iter()
        .filter(|file| file.timestamp > previous.timestamp && file.timestamp < metadata.timestamp)
        .filter_map(|file| Some((file, file.report.as_ref()?)))
        .filter(|(_, report)| report.run_id != metadata.run_id)
        .collect();
    earlier.sort_by_cached_key(|(file, _)| std::cmp::Reverse(publish::order(file)));
    // A run may have been aggregated several times: its newest report speaks for it.
    earlier.dedup_by(|a, b| a.1.run_id == b.1.run_id);
    let needed = usize::try_from(needed).unwrap_or(usize::MAX);
    earlier.len() >= needed
        && earlier.iter().take(needed).all(|(_, report)| {
            !report.reasons.is_empty()
                && report.reasons.iter().all(|code| is_change(*code))
                && !far_in_count(report.total_relays, metadata.total_relays, limits)
                && match (report.dns_success_rate_percent, metadata.dns_success_rate_percent) {
                    (Some(before), Some(now)) => !far_in_rate(before, now, limits),
                    _ => false,
                }
        })
}
