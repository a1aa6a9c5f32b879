//! The publish gate: whether a report may replace `latest.json` without anybody looking at it.
//! Pure.
//!
//! Successes in the same run are the evidence: they show that our zone, our host and our tor work. So
//! relays that fail in one place beside them are published at once (`place`), and failures that are
//! everywhere alike are ours, however often they come. What is merely a change from the runs before
//! is let through once several runs in a row show the same (`held`).

mod held;
mod place;

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};
use record::{
    ErrorCode, GateCode, GateFinding, KnownGood, Metadata, Publish, ReportedRelay, Status,
    ZoneCheck,
};

use crate::stats;
use place::Located;

pub(crate) use held::believed;
pub use held::{HeldRun, confirmed, held_in, is_change};

/// Where the gate closes. The defaults are documented in `docs/gate.md`.
#[derive(Debug, Clone, PartialEq)]
pub struct Thresholds {
    /// Fewest relays that a report may have.
    pub min_relays: u32,
    /// Greatest change of the number of relays, in percent of the previous number.
    pub relay_count_percent: f64,
    /// Greatest fall of the DNS success rate outside the places that fail, in percentage points.
    pub success_rate_points: f64,
    /// Least DNS success rate, in percent.
    pub success_floor_percent: f64,
    /// Greatest share of failing relays outside the places that fail, in percent.
    pub spread_percent: f64,
    /// Greatest share of relays that were not reached, in percent.
    pub circuit_fail_percent: f64,
    /// Greatest share of results that are faults of the scanner, in percent.
    pub scanner_fault_percent: f64,
    /// How many runs in a row have to agree before a change is believed; 0 for never.
    pub accept_after: u32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            min_relays: 100,
            relay_count_percent: 20.0,
            success_rate_points: 5.0,
            success_floor_percent: 50.0,
            spread_percent: 10.0,
            circuit_fail_percent: 25.0,
            scanner_fault_percent: 5.0,
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
    /// The runs held back before this one that asked for the same, newest first.
    pub held: &'a [HeldRun],
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
    let mut notes = Vec::new();
    let mut reasons = defects(metadata, &circumstances);
    let unreached = |status| status == Status::CircuitFail;
    let circuits = place::locate(results, |_| true, unreached);
    reasons.extend(circuit_failures(metadata, &circuits, limits, &mut notes));
    let failures = place::locate(results, Status::tested, Status::counts_against_dns);
    let fall = fall(metadata, &failures, limits);
    reasons.extend(ours(metadata, &failures, fall.is_some(), &circumstances, &mut notes));
    witnesses(metadata, &circumstances, &mut reasons, &mut notes);
    let mut changes = changes(metadata, limits);
    // Where the failures are ours anyway, it says nothing more.
    changes.extend(fall.filter(|_| !reasons.iter().any(|found| held::is_doubt(found.code))));
    if reasons.is_empty()
        && !changes.is_empty()
        && held::settled(metadata, circumstances.held, limits)
    {
        for mut change in changes {
            change
                .message
                .push_str(&format!("; accepted, as the last {} runs agree", limits.accept_after));
            notes.push(change);
        }
    } else {
        reasons.extend(changes);
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
fn defects(metadata: &Metadata, circumstances: &Circumstances<'_>) -> Vec<GateFinding> {
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

/// Too many relays that no circuit reached, unless they are in one place.
fn circuit_failures(
    metadata: &Metadata,
    circuits: &Located<'_>,
    limits: &Thresholds,
    notes: &mut Vec<GateFinding>,
) -> Option<GateFinding> {
    let limit = limits.circuit_fail_percent;
    let share = stats::percent(metadata.counts.circuit_fail, metadata.total_relays)?;
    if share <= limit {
        return None;
    }
    let elsewhere = stats::percent(circuits.elsewhere.failing, circuits.elsewhere.all)?;
    if elsewhere <= limit {
        notes.push(finding(GateCode::FailingPlace, theirs(circuits, "were not reached")));
        return None;
    }
    let message = format!(
        "{elsewhere:.1} % of the relays were not reached{}, where at most {limit} % are believed: \
         more likely our network or first hops",
        beside(circuits)
    );
    Some(finding(GateCode::CircuitFailures, message))
}

/// Failures of DNS that are more likely ours; where they are their places', that is a note, if they
/// would have closed the gate or are a `fall` otherwise.
fn ours(
    metadata: &Metadata,
    failures: &Located<'_>,
    fall: bool,
    circumstances: &Circumstances<'_>,
    notes: &mut Vec<GateFinding>,
) -> Option<GateFinding> {
    let limits = circumstances.thresholds;
    let although = match zone_works(circumstances) {
        true => ", although our zone works where it was tried",
        false => "",
    };
    let floor = limits.success_floor_percent;
    if below_floor(metadata, limits) {
        let rate = metadata.dns_success_rate_percent;
        let rate = rate.map_or("no".to_owned(), |rate| format!("{rate:.1} %"));
        let message = format!(
            "{rate} DNS success, where at least {floor} % are believed: more likely our zone, host \
             or tor{although}"
        );
        return Some(finding(GateCode::SuccessFloor, message));
    }
    let limit = limits.spread_percent;
    let spread = stats::percent(failures.elsewhere.failing, failures.elsewhere.all)?;
    // One failure is in one place, wherever it is.
    if spread > limit && failures.elsewhere.failing > 1 {
        let message = format!(
            "{spread:.1} % of the relays tested fail{}, over all operators and networks, where at \
             most {limit} % are believed{}: more likely our zone, host or tor{although}",
            beside(failures),
            most_frequent(&failures.spread)
        );
        return Some(finding(GateCode::SpreadFailures, message));
    }
    let rate = metadata.dns_success_rate_percent?;
    let before = metadata.previous.report.as_ref();
    let before = before.and_then(|report| report.dns_success_rate_percent);
    let fell = before.is_some_and(|before| before - rate > limits.success_rate_points);
    if !failures.places.is_empty() && !fall && (fell || 100.0 - rate > limit) {
        notes.push(finding(GateCode::FailingPlace, theirs(failures, "fail")));
    }
    None
}

/// Whether so few relays succeed that their successes show nothing.
fn below_floor(metadata: &Metadata, limits: &Thresholds) -> bool {
    let floor = limits.success_floor_percent;
    match metadata.dns_success_rate_percent {
        Some(rate) => rate < floor,
        // Without a test there is no success either; without a relay, that is said elsewhere.
        None => metadata.total_relays > 0 && floor > 0.0,
    }
}

/// Whether our zone works, as far as one question to it, or one exit, can tell.
fn zone_works(circumstances: &Circumstances<'_>) -> bool {
    circumstances.zone_check.as_ref().is_some_and(|check| check.ok)
        || circumstances
            .known_good
            .as_ref()
            .is_some_and(|known| known.status == Some(Status::Success))
}

/// What our own zone said when it was asked directly, and the exit known to be good. That no server
/// answered says nothing of the zone, and one exit that fails beside many that do not is its own
/// affair.
fn witnesses(
    metadata: &Metadata,
    circumstances: &Circumstances<'_>,
    reasons: &mut Vec<GateFinding>,
    notes: &mut Vec<GateFinding>,
) {
    if let Some(check) = circumstances.zone_check.as_ref().filter(|check| !check.ok) {
        let why = check.error.as_deref().unwrap_or("no reason given");
        if check.answered {
            let message = format!("our own zone did not answer as it must: {why}");
            reasons.push(finding(GateCode::ZoneCheck, message));
        } else {
            let message = format!("our own zone could not be asked, which says nothing: {why}");
            notes.push(finding(GateCode::ZoneCheck, message));
        }
    }
    let Some(known) = &circumstances.known_good else { return };
    let name = format!("the exit known to be good, {}", known.fingerprint);
    match known.status {
        Some(Status::Success) => {}
        Some(status) if status.counts_against_dns() => {
            if below_floor(metadata, circumstances.thresholds) {
                reasons.push(finding(GateCode::KnownGood, format!("{name}, has {status}")));
            } else {
                let message = format!("{name}, has {status} beside successes of most others");
                notes.push(finding(GateCode::KnownGood, message));
            }
        }
        _ => notes.push(finding(GateCode::KnownGood, format!("{name}, was not tested"))),
    }
}

/// The places that fail, in words.
fn theirs(located: &Located<'_>, what: &str) -> String {
    let places: Vec<String> = located
        .places
        .iter()
        .map(|(place, asked)| format!("{} of {} in {place}", asked.failing, asked.all))
        .collect();
    let elsewhere = located.elsewhere;
    format!(
        "{} {what}, and {} of {} elsewhere: theirs, as the others show",
        places.join(", "),
        elsewhere.failing,
        elsewhere.all
    )
}

fn beside(located: &Located<'_>) -> String {
    let places: Vec<String> = located.places.iter().map(|(place, _)| place.to_string()).collect();
    if places.is_empty() { String::new() } else { format!(" outside {}", places.join(", ")) }
}

/// The way in which most of these relays fail, in words: one broken zone is one way for all of them.
fn most_frequent(relays: &[&ReportedRelay]) -> String {
    let mut kinds = BTreeMap::new();
    for relay in relays {
        *kinds.entry(kind_of(relay)).or_insert(0_u32) += 1;
    }
    let Some((kind, most)) = kinds.into_iter().max_by_key(|(_, count)| *count) else {
        return String::new();
    };
    let share = stats::percent(most, relays.len() as u64).unwrap_or_default();
    format!(" ({share:.0} % of these in one way: {kind})")
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
    found
}

/// A fall of the success rate that no place explains.
fn fall(metadata: &Metadata, failures: &Located<'_>, limits: &Thresholds) -> Option<GateFinding> {
    let before = metadata.previous.report.as_ref()?.dns_success_rate_percent?;
    let asked = failures.elsewhere;
    let now = stats::percent(asked.all - asked.failing, asked.all)?;
    let limit = limits.success_rate_points;
    (before - now > limit).then(|| {
        let message = format!(
            "{now:.1} % DNS success{} after {before:.1} %, where at most {limit} points less are usual",
            beside(failures)
        );
        finding(GateCode::DnsSuccessRate, message)
    })
}

fn far_in_count(before: u32, now: u32, limits: &Thresholds) -> bool {
    before > 0
        && f64::from(before.abs_diff(now)) > f64::from(before) * limits.relay_count_percent / 100.0
}
