//! `metrics.prom`: the figures of a report under our own names. Few series, and none per relay:
//! `docs/formats/metrics.md` lists them.

use std::collections::BTreeMap;

use prometheus::Result;
use record::{
    Blame, ErrorCode, FindingCode, GateCode, Metadata, Percentiles, Report, State, Status,
};

use super::sheet::{Sheet, whole};

/// The metrics of a report, as text.
pub(crate) fn of_report(report: &Report) -> Result<String> {
    let mut sheet = Sheet::default();
    let metadata = &report.metadata;
    run(&mut sheet, metadata)?;
    relays(&mut sheet, report)?;
    rates(&mut sheet, metadata)?;
    times(&mut sheet, metadata)?;
    gate(&mut sheet, metadata)?;
    Ok(sheet.text())
}

/// When, how long, by whom.
fn run(sheet: &mut Sheet, metadata: &Metadata) -> Result<()> {
    let Metadata { timestamp, duration_seconds, aggregate_version, mode, .. } = metadata;
    sheet.gauge(
        "exit_validator_report_timestamp_seconds",
        "When the run of the published report ended, in seconds since 1970.",
        whole(timestamp.timestamp()),
    )?;
    sheet.gauge(
        "exit_validator_run_duration_seconds",
        "How long that run took.",
        *duration_seconds,
    )?;
    sheet.by(
        "exit_validator_info",
        "Which version wrote the report, and how answers were judged. Always 1.",
        ["version", "mode"],
        [([aggregate_version.as_str(), mode.as_str()], 1.0)],
    )?;
    sheet.known(
        "exit_validator_consensus_timestamp_seconds",
        "Start of the validity of the consensus that the relays are from.",
        metadata.consensus_valid_after.map(|time| whole(time.timestamp())),
    )
}

/// How many relays, and what became of them.
fn relays(sheet: &mut Sheet, report: &Report) -> Result<()> {
    let metadata = &report.metadata;
    sheet.by(
        "exit_validator_relays",
        "Relays with a result, by status.",
        ["status"],
        Status::ALL.iter().map(|one| ([one.as_str()], whole(metadata.counts.of(*one)))),
    )?;
    sheet.by(
        "exit_validator_relays_by_error_code",
        "Relays whose result is not a success, by cause.",
        ["error_code"],
        ErrorCode::ALL.iter().map(|one| ([one.as_str()], of(&metadata.error_codes, one))),
    )?;
    sheet.by(
        "exit_validator_relays_by_blame",
        "Relays whose result is not a success, by where the fault lies.",
        ["blame"],
        Blame::ALL.iter().map(|one| ([one.as_str()], of(&metadata.blames, one))),
    )?;
    sheet.by(
        "exit_validator_relays_by_state",
        "Relays by what the runs so far say of their DNS.",
        ["state"],
        State::ALL.iter().map(|one| ([one.as_str()], of(&metadata.states, one))),
    )?;
    let mut findings: BTreeMap<FindingCode, u32> = BTreeMap::new();
    for finding in report.results.iter().flat_map(|relay| &relay.findings) {
        *findings.entry(finding.code).or_default() += 1;
    }
    sheet.by(
        "exit_validator_relay_findings",
        "What was found at relays beside their verdicts.",
        ["code"],
        FindingCode::ALL.iter().map(|one| ([one.as_str()], of(&findings, one))),
    )?;
    let streaks = report.failures.iter().map(|relay| relay.consecutive_failures);
    let operators = u32::try_from(report.failures_by_operator.len()).unwrap_or(u32::MAX);
    for (name, help, value) in [
        ("relays_tested", "Relays whose DNS was put to the test.", metadata.tested),
        ("relays_degraded", "Relays that pass by retries alone.", metadata.degraded),
        ("relays_unconfirmed", "Results that were not confirmed.", metadata.unconfirmed),
        (
            "relays_without_result",
            "Relays that were selected and have no result.",
            metadata.not_reached,
        ),
        ("relays_bad_exit", "Relays with the BadExit flag that have a result.", metadata.bad_exits),
        ("operators_failing", "Operators with a relay whose DNS failed.", operators),
        (
            "longest_failure_runs",
            "The most runs in a row that found one relay's DNS failing.",
            streaks.max().unwrap_or(0),
        ),
    ] {
        sheet.gauge(&format!("exit_validator_{name}"), help, whole(value))?;
    }
    Ok(())
}

/// The shares, from 0 to 1. What is of nothing is left out.
fn rates(sheet: &mut Sheet, metadata: &Metadata) -> Result<()> {
    let ratio = |percent: Option<f64>| percent.map(|percent| percent / 100.0);
    let lookup = metadata.lookup_failure;
    for (name, help, percent) in [
        (
            "dns_success_ratio",
            "Successes among the relays tested, without BadExit.",
            metadata.dns_success_rate_percent,
        ),
        (
            "reachability_ratio",
            "Relays tested among all results, without BadExit.",
            metadata.reachability_rate_percent,
        ),
        (
            "lookup_failure_ratio",
            "First lookups that failed, each relay weighed by its consensus weight.",
            lookup.map(|rate| rate.percent),
        ),
        (
            "lookup_failure_ratio_lower",
            "Lower end of its interval of 95 %.",
            lookup.map(|rate| rate.low_percent),
        ),
        (
            "lookup_failure_ratio_upper",
            "Upper end of its interval of 95 %.",
            lookup.map(|rate| rate.high_percent),
        ),
        (
            "failing_weight_ratio",
            "Consensus weight of the relays whose DNS failed, among all.",
            metadata.bandwidth.failing_percent,
        ),
        (
            "unreached_weight_ratio",
            "Consensus weight of the relays that were not reached, among all.",
            metadata.bandwidth.unreached_percent,
        ),
    ] {
        sheet.known(&format!("exit_validator_{name}"), help, ratio(percent))?;
    }
    Ok(())
}

/// Times of lookups and circuits.
fn times(sheet: &mut Sheet, metadata: &Metadata) -> Result<()> {
    for (name, help, times) in [
        ("resolve_seconds", "Resolve times of the successes.", metadata.resolve_ms),
        ("circuit_seconds", "Build times of the circuits.", metadata.circuit_ms),
    ] {
        let Some(Percentiles { min, p50, p75, p90, p95, p99, max, .. }) = times else { continue };
        let rows = [
            (["min"], min),
            (["p50"], p50),
            (["p75"], p75),
            (["p90"], p90),
            (["p95"], p95),
            (["p99"], p99),
            (["max"], max),
        ];
        let rows = rows.map(|(stat, ms)| (stat, ms.get() / 1000.0));
        sheet.by(&format!("exit_validator_{name}"), help, ["stat"], rows)?;
    }
    Ok(())
}

/// What the gate said of the report, which it let through or was forced to.
fn gate(sheet: &mut Sheet, metadata: &Metadata) -> Result<()> {
    let publish = &metadata.publish;
    let mut found: BTreeMap<GateCode, u32> = BTreeMap::new();
    for finding in publish.reasons.iter().chain(&publish.notes) {
        *found.entry(finding.code).or_default() += 1;
    }
    sheet.by(
        "exit_validator_gate_findings",
        "What the publish gate noted about the report, and what it was forced open against.",
        ["code"],
        GateCode::ALL.iter().map(|one| ([one.as_str()], of(&found, one))),
    )?;
    sheet.gauge(
        "exit_validator_gate_forced",
        "Whether the gate was closed for the report and the operator overrode it.",
        whole(u32::from(publish.forced)),
    )?;
    sheet.known(
        "exit_validator_zone_check_ok",
        "Whether our own zone answered as it must.",
        publish.zone_check.as_ref().map(|check| whole(u32::from(check.ok))),
    )?;
    let rejected = i64::try_from(metadata.rejected.total).unwrap_or(i64::MAX);
    sheet.gauge(
        "exit_validator_rejected_files",
        "Files of the run that were not used.",
        whole(rejected),
    )
}

/// The count of one value; those that did not occur are 0, so that every series is always there.
fn of<K: Ord>(counts: &BTreeMap<K, u32>, one: &K) -> f64 {
    whole(counts.get(one).copied().unwrap_or(0))
}
