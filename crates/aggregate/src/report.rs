//! Puts the report together from what the inputs say, what earlier runs said, and what the gate
//! finds. Pure: the same arguments give the same report.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use contact::claim::DomainClaim;
use contact::proof;
use record::{
    ABSENT_MARK, AbsentRelay, BandwidthShare, Counts, FailingRelay, FileReport, Fingerprint,
    GateCode, Ipv6Lookups, Ipv6Outcome, Kind, KnownGood, Metadata, OperatorFailures, Previous,
    Publish, Publisher, Rejected, RelayDomain, RelayInfo, RelayLocation, RelayResolver,
    RelayResult, Report, ReportInput, ReportSelection, ReportedInfo, ReportedRelay, Status, Streak,
    TrendEntry, ZoneCheck, recent_mark,
};

use crate::gate::{self, Circumstances, HeldRun, Thresholds};
use crate::history::Checks;
use crate::input::Input;
use crate::location::Locations;
use crate::merge::{Joined, Vote};
use crate::operator;
use crate::previous::{Base, KnownRelay};
use crate::rate::{self, FirstAnswers};
use crate::rejections::Rejections;
use crate::resolver::{self, ResolvedRelay, SeenResolvers};
use crate::stats::{percent, percentiles};
use crate::streak::{self, Effect};

/// What the history says of the runs before this one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Past {
    /// What the runs say of each relay.
    pub relays: HashMap<Fingerprint, PastRelay>,
}

/// What the history says of one relay's tests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PastRelay {
    /// Its tests of the last 7 days.
    pub week: Tests,
    /// Its tests of the last 30 days.
    pub month: Tests,
    /// Its first answers of the last 7 days.
    pub week_first: FirstAnswers,
    /// Its first answers of the last 30 days.
    pub month_first: FirstAnswers,
}

/// Tests of a relay's DNS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tests {
    /// How many there were.
    pub all: u32,
    /// How many of them were successes.
    pub successes: u32,
}

impl Tests {
    /// Counts one result, if it was a test.
    pub const fn add(&mut self, effect: Effect) {
        if matches!(effect, Effect::Works | Effect::Fails) {
            self.all += 1;
        }
        if matches!(effect, Effect::Works) {
            self.successes += 1;
        }
    }
}

/// Everything that a report depends on beside its inputs.
#[derive(Debug, Clone)]
pub struct Context<'a> {
    /// The time now: for telling a run from the future, and for nothing else.
    pub now: DateTime<Utc>,
    /// Where the gate closes.
    pub thresholds: &'a Thresholds,
    /// Whether the operator overrides the gate.
    pub force: bool,
    /// The exit known to be good.
    pub known_good: Option<Fingerprint>,
    /// What the check of our own zone found.
    pub zone_check: Option<ZoneCheck>,
    /// The runs held back before this one that asked for the same, newest first.
    pub held: &'a [HeldRun],
    /// The checks of the domains that relays claim.
    pub checks: Option<&'a Checks>,
    /// What this run and those of the week before it saw of the relays' resolvers.
    pub resolvers: Option<&'a SeenResolvers>,
    /// Whose networks the relays are in, where there is a location database.
    pub locations: Option<&'a Locations>,
    /// The licence of the data, by its SPDX identifier.
    pub license: Option<&'a str>,
    /// Who publishes.
    pub publisher: Option<&'a Publisher>,
}

/// The ids of the runs among the inputs, sorted, each once.
#[must_use]
pub fn run_ids(inputs: &[Input]) -> Vec<String> {
    let ids: BTreeSet<_> = inputs.iter().map(|input| input.facts.run_id.clone()).collect();
    ids.into_iter().collect()
}

/// When the last of the inputs ended: the report's timestamp, to the second.
#[must_use]
pub fn ended(inputs: &[Input]) -> DateTime<Utc> {
    let end = inputs.iter().map(Input::ended).max().unwrap_or_default();
    // A report's name, its `latest.json` and the history tell seconds.
    DateTime::from_timestamp(end.timestamp(), 0).unwrap_or(end)
}

/// The report.
#[must_use]
pub fn build(
    mut joined: Joined,
    base: Base,
    past: Option<&Past>,
    also_rejected: Rejections,
    context: Context<'_>,
) -> Report {
    let timestamp = ended(&joined.inputs);
    let mut rejections = std::mem::take(&mut joined.rejections);
    rejections.extend(also_rejected);

    let domains: Vec<Option<RelayDomain>> = joined
        .relays
        .iter()
        .map(|(relay, vote)| domain_of(*relay, &vote.result, context.checks, timestamp))
        .collect();
    let keys = operators(&joined, &domains);
    let mut waiting = base.relays;
    let mut results = Vec::with_capacity(joined.relays.len());
    for ((fingerprint, verdict), (operator, domain)) in
        std::mem::take(&mut joined.relays).into_iter().zip(keys.into_iter().zip(domains))
    {
        let known = waiting.remove(&fingerprint);
        let location = context.locations.and_then(|all| all.of.get(&verdict.result.exit_address));
        let seen = context.resolvers.and_then(|all| all.get(&fingerprint));
        let resolver = seen.and_then(|seen| {
            let relay = &verdict.result;
            let relay = ResolvedRelay { address: relay.exit_address, info: &relay.relay };
            resolver::of_relay(relay, seen, context.locations.map(|all| &all.of))
        });
        let whose = Whose { operator, domain, location: location.cloned(), resolver };
        results.push(reported(verdict, whose, known, past, timestamp));
    }
    let absent =
        waiting.into_iter().map(|(fingerprint, known)| absent(fingerprint, known)).collect();

    let failing: Vec<&ReportedRelay> =
        results.iter().filter(|relay| relay.status.counts_against_dns()).collect();
    let failures = failures(&failing);
    let mut failures_by_ip: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for relay in &failing {
        failures_by_ip.entry(relay.exit_address).or_default().push(relay.exit_fingerprint);
    }
    let failures_by_operator = by_operator(&results);

    let known_good = context.known_good.map(|fingerprint| KnownGood {
        fingerprint,
        status: results
            .iter()
            .find(|relay| relay.exit_fingerprint == fingerprint)
            .map(|relay| relay.status),
    });
    let mut metadata = metadata(&joined, &results, base.previous, timestamp);
    metadata.rejected = rejections.into_rejected();
    metadata.license = context.license.map(str::to_owned);
    let (resolvers, resolver_networks) = resolver::of_network(&results);
    metadata.resolvers = resolvers;
    metadata.publisher = context.publisher.cloned();
    metadata.locations = context.locations.map(|all| all.source.clone());
    let circumstances = Circumstances {
        now: context.now,
        thresholds: context.thresholds,
        force: context.force,
        zone_check: context.zone_check,
        known_good,
        later: base.later,
        held: context.held,
    };
    metadata.publish = gate::judge(&metadata, &results, circumstances);
    Report {
        format: Kind::Report.format(),
        metadata,
        results,
        failures,
        failures_by_ip,
        failures_by_operator,
        resolver_networks,
        absent,
    }
}

/// The domain that a relay claims, and what is known of that.
fn domain_of(
    relay: Fingerprint,
    result: &RelayResult,
    checks: Option<&Checks>,
    at: DateTime<Utc>,
) -> Option<RelayDomain> {
    let claim = DomainClaim::of(result.relay.contact.as_deref()?)?;
    let checks = checks.and_then(|checks| checks.get(&relay)).map_or(&[][..], Vec::as_slice);
    Some(proof::standing(&claim, checks, at))
}

/// The operator's key of each relay.
fn operators(joined: &Joined, domains: &[Option<RelayDomain>]) -> Vec<String> {
    let relays: Vec<operator::OperatedRelay<'_>> = joined
        .relays
        .iter()
        .zip(domains)
        .map(|((fingerprint, Vote { result, .. }), domain)| operator::OperatedRelay {
            fingerprint: *fingerprint,
            contact: result.relay.contact.as_deref(),
            domain: domain.as_ref().filter(|one| one.proved).map(|one| one.name.as_str()),
            family: &result.relay.family,
            family_ids: &result.relay.family_ids,
        })
        .collect();
    operator::keys(&relays)
}

/// Everything about the run as a whole, but for what was rejected and what the gate says.
fn metadata(
    joined: &Joined,
    results: &[ReportedRelay],
    previous: Previous,
    timestamp: DateTime<Utc>,
) -> Metadata {
    let counts: Counts = results.iter().map(|relay| relay.status).collect();
    let total = counts.total();
    // Clients do not use those: how the network fares is not theirs to say.
    let rated: Counts = results
        .iter()
        .filter(|relay| !relay.relay.is_bad_exit())
        .map(|relay| relay.status)
        .collect();
    let rated_tested = tested(&rated);
    let run_id = run_ids(&joined.inputs).join("+");
    let runs = || joined.inputs.iter().filter_map(|input| input.run.as_ref());
    let successes = || results.iter().filter(|relay| relay.status == Status::Success);
    let started = joined.inputs.iter().map(|input| input.facts.started).min().unwrap_or(timestamp);
    let facts = &joined.facts;
    Metadata {
        timestamp,
        total_relays: total,
        counts,
        bad_exits: total - rated.total(),
        success_rate_percent: percent(rated.success, rated.total()),
        tested: tested(&counts),
        dns_success_rate_percent: percent(rated.success, rated_tested),
        reachability_rate_percent: percent(rated_tested, rated.total()),
        lookup_failure: rate::of_network(&run_id, results),
        degraded: count(results.iter().filter(|relay| relay.degraded)),
        unconfirmed: count(results.iter().filter(|relay| relay.provisional)),
        not_reached: count(joined.not_reached.iter()),
        run_id,
        mode: facts.mode,
        domain: facts.domain.clone(),
        expected_ip: facts.expected_ip,
        selection: ReportSelection {
            filter: facts.selection.filter,
            country: facts.selection.country.clone(),
        },
        shards: joined.shards.clone(),
        consensus_valid_after: joined
            .inputs
            .iter()
            .filter_map(|input| input.facts.consensus_valid_after)
            .max(),
        started,
        duration_seconds: (timestamp - started).max(TimeDelta::zero()).as_seconds_f64(),
        tor_versions: distinct(runs().map(|run| &run.tor.version)),
        scanner_versions: distinct(runs().map(|run| &run.scanner_version)),
        aggregate_version: env!("CARGO_PKG_VERSION").to_owned(),
        inputs: joined
            .inputs
            .iter()
            .zip(joined.used.iter().zip(&joined.unreached))
            .map(|(input, (used, unreached))| report_input(input, *used, *unreached))
            .collect(),
        disagreements: joined.disagreements,
        states: tally(results.iter().filter_map(|relay| relay.state)),
        resolve_ms: percentiles(successes().filter_map(|relay| relay.timing.resolve_ms)),
        circuit_ms: percentiles(results.iter().filter_map(|relay| relay.timing.circuit_ms)),
        error_codes: tally(results.iter().filter_map(|relay| relay.error_code)),
        blames: tally(results.iter().filter_map(|relay| relay.blame)),
        bandwidth: bandwidth(results),
        resolvers: None,
        license: None,
        publisher: None,
        locations: None,
        previous,
        rejected: Rejected::default(),
        publish: not_judged(),
    }
}

/// What the gate has not looked at.
const fn not_judged() -> Publish {
    Publish {
        allowed: false,
        forced: false,
        reasons: Vec::new(),
        notes: Vec::new(),
        zone_check: None,
        known_good: None,
    }
}

/// How many relays' DNS was tested.
fn tested(counts: &Counts) -> u32 {
    Status::ALL.iter().filter(|status| status.tested()).map(|status| counts.of(*status)).sum()
}

fn count<T>(values: impl Iterator<Item = T>) -> u32 {
    u32::try_from(values.count()).unwrap_or(u32::MAX)
}

fn tally<T: Ord>(values: impl Iterator<Item = T>) -> BTreeMap<T, u32> {
    let mut counts = BTreeMap::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
    }
    counts
}

fn distinct<'a>(values: impl Iterator<Item = &'a String>) -> Vec<String> {
    values.collect::<BTreeSet<_>>().into_iter().cloned().collect()
}

fn report_input(input: &Input, results: u32, not_reached: u32) -> ReportInput {
    let run = input.run.as_ref();
    let (complete, incomplete_reason) = match run {
        None => (false, Some("it has no run.json: it is under way, or was killed".to_owned())),
        Some(run) if !run.complete => (false, run.incomplete_reason.clone()),
        Some(_) if not_reached > 0 => {
            (false, Some(format!("{not_reached} selected relays have no usable result here")))
        }
        Some(_) => (true, None),
    };
    let facts = &input.facts;
    let planned = facts.planned.as_ref().map(|planned| count(planned.iter()));
    ReportInput {
        name: input.name.clone(),
        run_id: facts.run_id.clone(),
        shard: facts.shard,
        complete,
        incomplete_reason,
        started: facts.started,
        ended: input.ended(),
        probing_seconds: run.map(|run| run.probing_seconds),
        relays_in_consensus: facts.selection.relays_in_consensus,
        exits_in_consensus: facts.selection.exits_in_consensus,
        selected: planned.or(run.map(|run| run.selected)).unwrap_or(results),
        results,
        not_reached,
        other_files: input.other_files,
        tor: run.map(|run| run.tor.clone()),
        scanner_version: run.map(|run| run.scanner_version.clone()),
    }
}

fn bandwidth(results: &[ReportedRelay]) -> BandwidthShare {
    let weight = |of: &dyn Fn(Status) -> bool| {
        results
            .iter()
            .filter(|relay| of(relay.status) && !relay.relay.is_bad_exit())
            .filter_map(|relay| relay.relay.bandwidth.consensus_weight)
            .fold(0_u64, u64::saturating_add)
    };
    let total_weight = weight(&|_| true);
    let failing_weight = weight(&Status::counts_against_dns);
    let unreached_weight = weight(&|status| status == Status::CircuitFail);
    BandwidthShare {
        total_weight,
        failing_weight,
        failing_percent: percent(failing_weight, total_weight),
        unreached_weight,
        unreached_percent: percent(unreached_weight, total_weight),
    }
}

/// Whose a relay is, whose network it is in, and who resolves its names.
struct Whose {
    operator: String,
    domain: Option<RelayDomain>,
    location: Option<RelayLocation>,
    resolver: Option<RelayResolver>,
}

fn reported(
    verdict: Vote,
    whose: Whose,
    known: Option<KnownRelay>,
    past: Option<&Past>,
    timestamp: DateTime<Utc>,
) -> ReportedRelay {
    let Vote { result, vantages, at_zone, .. } = verdict;
    let RelayResult { exit_fingerprint, status, provisional, .. } = result;
    let effect = streak::effect(status, provisional);
    let (before, earlier) =
        known.map_or((Streak::default(), String::new()), |known| (known.streak, known.recent));
    let streak = streak::after(before, effect, timestamp);
    let of_past = past.map(|past| past.relays.get(&exit_fingerprint).copied().unwrap_or_default());
    let recent = streak::with_mark(&earlier, recent_mark(status, provisional));
    let rate = |tests: &dyn Fn(&PastRelay) -> Tests| {
        let mut tests = tests(of_past.as_ref()?);
        tests.add(effect);
        percent(tests.successes, tests.all)
    };
    let firsts = |of: &dyn Fn(&PastRelay) -> FirstAnswers| {
        let mut firsts = of(of_past.as_ref()?);
        let failed = result.first.map(|first| first.status != Status::Success);
        firsts.add(failed, status == Status::Success);
        Some(firsts)
    };
    let (week, month) = (firsts(&|past| past.week_first), firsts(&|past| past.month_first));
    let state = streak::state(&streak, &recent);
    ReportedRelay {
        exit_fingerprint,
        exit_nickname: result.exit_nickname,
        exit_address: result.exit_address,
        first_hop_fingerprint: result.first_hop_fingerprint,
        query_domain: result.query_domain,
        expected_ip: result.expected_ip,
        timestamp: result.timestamp,
        run_id: result.run_id,
        shard: result.shard,
        mode: result.mode,
        status,
        resolved_ip: result.resolved_ip,
        latency_ms: result.latency_ms,
        error: result.error,
        error_code: result.error_code,
        attempt: result.attempt,
        blame: result.blame,
        timing: result.timing,
        provisional,
        state,
        consecutive_failures: streak.consecutive_failures,
        failing_since: streak.failing_since,
        last_success: streak.last_success,
        unreachable_runs: streak.unreachable_runs,
        recent,
        failure_rate_7d: week.and_then(FirstAnswers::rate),
        failure_rate_30d: month.and_then(FirstAnswers::rate),
        degraded: rate::is_degraded(state, week.unwrap_or_default(), month.unwrap_or_default()),
        dns_success_rate_7d_percent: rate(&|past| past.week),
        dns_success_rate_30d_percent: rate(&|past| past.month),
        operator: whose.operator,
        domain: whose.domain,
        location: whose.location,
        at_zone,
        resolver: whose.resolver,
        first: result.first,
        ipv6: result.ipv6.map(|ipv6| match ipv6.outcome {
            Ipv6Outcome::Stall | Ipv6Outcome::WrongAddress => ipv6,
            _ => Ipv6Lookups { lookups: Vec::new(), ..ipv6 },
        }),
        findings: result.findings,
        relay: info(result.relay),
        attempts: result.attempts,
        vantages,
        before,
    }
}

/// The most family ids of a relay. An operator has one, and two while changing keys.
const FAMILY_IDS: usize = 16;

/// What a report says of a relay from the directory: its family of names is in the operator's key.
fn info(relay: RelayInfo) -> ReportedInfo {
    let RelayInfo { flags, contact, mut family_ids, platform, bandwidth, ipv6, country, .. } =
        relay;
    family_ids.retain(|id| record::is_family_id(id));
    family_ids.truncate(FAMILY_IDS);
    ReportedInfo { flags, contact, family_ids, platform, bandwidth, ipv6, country }
}

fn absent(fingerprint: Fingerprint, known: KnownRelay) -> AbsentRelay {
    let recent = streak::with_mark(&known.recent, ABSENT_MARK);
    AbsentRelay {
        exit_fingerprint: fingerprint,
        exit_nickname: known.nickname,
        exit_address: known.address,
        last_seen: known.last_seen,
        state: streak::state(&known.streak, &recent),
        recent,
        streak: known.streak,
    }
}

/// The relays whose DNS failed, the longest streak first.
fn failures(failing: &[&ReportedRelay]) -> Vec<FailingRelay> {
    let mut failures: Vec<FailingRelay> = failing.iter().map(|relay| failure(relay)).collect();
    failures.sort_by_key(|failure| {
        (std::cmp::Reverse(failure.consecutive_failures), failure.exit_fingerprint)
    });
    failures
}

fn failure(relay: &ReportedRelay) -> FailingRelay {
    FailingRelay {
        exit_fingerprint: relay.exit_fingerprint,
        exit_nickname: relay.exit_nickname.clone(),
        exit_address: relay.exit_address,
        status: relay.status,
        error: relay.error.clone(),
        error_code: relay.error_code,
        blame: relay.blame,
        resolved_ip: relay.resolved_ip.clone(),
        latency_ms: relay.latency_ms,
        timestamp: relay.timestamp,
        provisional: relay.provisional,
        state: relay.state,
        consecutive_failures: relay.consecutive_failures,
        failing_since: relay.failing_since,
        last_success: relay.last_success,
        operator: relay.operator.clone(),
    }
}

/// Operators with failing relays, the one with the most first, then by failing weight and key.
fn by_operator(results: &[ReportedRelay]) -> Vec<OperatorFailures> {
    let mut relays: HashMap<&str, u32> = HashMap::new();
    let mut operators: BTreeMap<&str, OperatorFailures> = BTreeMap::new();
    for relay in results {
        *relays.entry(&relay.operator).or_default() += 1;
        if !relay.status.counts_against_dns() {
            continue;
        }
        let entry = operators.entry(&relay.operator).or_insert_with(|| OperatorFailures {
            operator: relay.operator.clone(),
            contact: None,
            failing: Vec::new(),
            relays: 0,
            failing_weight: 0,
        });
        if entry.contact.is_none() {
            entry.contact.clone_from(&relay.relay.contact);
        }
        entry.failing.push(relay.exit_fingerprint);
        let weight = relay.relay.bandwidth.consensus_weight.unwrap_or(0);
        entry.failing_weight = entry.failing_weight.saturating_add(weight);
    }
    let mut operators: Vec<OperatorFailures> = operators.into_values().collect();
    for entry in &mut operators {
        entry.relays = relays.get(entry.operator.as_str()).copied().unwrap_or(0);
    }
    // Stable: among equals the order of the keys stays.
    operators.sort_by_key(|entry| {
        (std::cmp::Reverse(entry.failing.len()), std::cmp::Reverse(entry.failing_weight))
    });
    operators
}

/// The run's entry in the trends.
#[must_use]
pub fn trend(metadata: &Metadata) -> TrendEntry {
    TrendEntry {
        timestamp: metadata.timestamp,
        run_id: metadata.run_id.clone(),
        published: metadata.publish.allowed,
        reasons: reason_codes(&metadata.publish),
        total_relays: metadata.total_relays,
        counts: metadata.counts,
        dns_success_rate_percent: metadata.dns_success_rate_percent,
        reachability_rate_percent: metadata.reachability_rate_percent,
        lookup_failure: metadata.lookup_failure,
        degraded: metadata.degraded,
        resolvers: metadata.resolvers.clone(),
        failing_bandwidth_percent: metadata.bandwidth.failing_percent,
        states: metadata.states.clone(),
        error_codes: metadata.error_codes.clone(),
        blames: metadata.blames.clone(),
        resolve_ms: metadata.resolve_ms,
        circuit_ms: metadata.circuit_ms,
    }
}

/// The report's entry in the list of files.
#[must_use]
pub fn file_report(metadata: &Metadata) -> FileReport {
    FileReport {
        run_id: metadata.run_id.clone(),
        total_relays: metadata.total_relays,
        dns_success_rate_percent: metadata.dns_success_rate_percent,
        published: metadata.publish.allowed,
        reasons: reason_codes(&metadata.publish),
    }
}

fn reason_codes(publish: &Publish) -> Vec<GateCode> {
    let codes: BTreeSet<_> = publish.reasons.iter().map(|reason| reason.code).collect();
    codes.into_iter().collect()
}
