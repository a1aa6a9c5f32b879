//! The files of the system before this one, for what still reads them: its `latest.json`, and the metrics
//! that were made of it. The names are its own and frozen; `docs/formats/compat.md` says what differs.
//!
//! Its readers take everything that is not a success for a failure of the relay's DNS. So a relay that
//! no circuit reached, and one that the scanner failed to test, has no result there, and its metric is 0.

use prometheus::Result;
use record::{
    CompatMetadata, CompatPercentiles, CompatRelay, CompatReport, CompatTime, CompatTimings,
    CompatVantages, ErrorCode, Kind, Millis, Report, ReportedRelay, Status, printable,
};

use super::sheet::{Sheet, whole};

/// The former `latest.json`.
pub(crate) fn of_report(report: &Report) -> CompatReport {
    let tested = report.results.iter().filter(|relay| relay.status.tested());
    CompatReport {
        format: Kind::CompatReport.format(),
        metadata: metadata(report),
        results: tested.map(relay).collect(),
    }
}

fn metadata(report: &Report) -> CompatMetadata {
    let metadata = &report.metadata;
    let counts = &metadata.counts;
    let code = |code: ErrorCode| metadata.error_codes.get(&code).copied().unwrap_or(0);
    let socks = metadata.error_codes.iter().filter(|(code, _)| code.as_str().starts_with("SOCKS_"));
    let dns_socks_error = socks.map(|(_, count)| count).sum::<u32>().min(counts.error);
    CompatMetadata {
        timestamp: metadata.timestamp,
        run_id: metadata.run_id.clone(),
        consensus_relays: metadata.total_relays.saturating_add(metadata.not_reached),
        tested_relays: metadata.tested,
        unreachable_relays: counts.circuit_fail,
        dns_success: counts.success,
        dns_fail: counts.dns_fail,
        dns_timeout: counts.timeout,
        dns_wrong_ip: counts.wrong_ip,
        dns_socks_error,
        dns_network_error: 0,
        dns_error: counts.error - dns_socks_error,
        dns_exception: counts.exception,
        dns_unknown: 0,
        dns_success_rate_percent: metadata.dns_success_rate_percent.unwrap_or(0.0),
        reachability_rate_percent: metadata.reachability_rate_percent.unwrap_or(0.0),
        circuit_timeout: code(ErrorCode::CircuitTimeout),
        circuit_destroyed: code(ErrorCode::CircuitDestroyed),
        circuit_channel_closed: code(ErrorCode::CircuitExitUnreachable),
        circuit_connect_failed: code(ErrorCode::CircuitFirstHopFailed),
        timing: CompatTimings { total: times(report) },
    }
}

fn times(report: &Report) -> CompatPercentiles {
    let Some(percentiles) = report.metadata.resolve_ms else { return CompatPercentiles::default() };
    let successes = report.results.iter().filter(|relay| relay.status == Status::Success);
    let sum: f64 = successes.filter_map(|relay| relay.timing.resolve_ms).map(Millis::get).sum();
    CompatPercentiles {
        avg_ms: (sum / f64::from(percentiles.count.max(1)) * 1000.0).round() / 1000.0,
        p50_ms: percentiles.p50.get(),
        p95_ms: percentiles.p95.get(),
        p99_ms: percentiles.p99.get(),
        min_ms: percentiles.min.get(),
        max_ms: percentiles.max.get(),
    }
}

fn relay(relay: &ReportedRelay) -> CompatRelay {
    CompatRelay {
        exit_fingerprint: relay.exit_fingerprint,
        status: relay.status,
        error: relay.error.clone(),
        consecutive_failures: relay.consecutive_failures,
        timestamp: relay.timestamp.timestamp(),
        query_domain: relay.query_domain.clone(),
        first_hop: relay.first_hop_fingerprint,
        exit_address: relay.exit_address,
        resolved_ip: relay.resolved_ip.clone(),
        expected_ip: relay.expected_ip,
        timing: CompatTime { total_ms: relay.timing.resolve_ms },
        cv: vantages(relay),
    }
}

fn vantages(relay: &ReportedRelay) -> Option<CompatVantages> {
    let tested: Vec<_> = relay.vantages.iter().filter(|one| one.status.tested()).collect();
    if tested.is_empty() {
        return None;
    }
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let successes = tested.iter().filter(|one| one.status == Status::Success).count();
    Some(CompatVantages {
        instances_success: count(successes),
        instances_total: count(tested.len()),
        improved: relay.status == Status::Success && successes < tested.len(),
        per_instance: tested.iter().map(|one| (one.run_id.clone(), one.status)).collect(),
    })
}

/// The former metrics, of schema version 2.
pub(crate) fn metrics(report: &Report, former: &CompatReport) -> Result<String> {
    let mut sheet = Sheet::default();
    run(&mut sheet, &former.metadata)?;
    let relays: Vec<(String, &ReportedRelay)> =
        report.results.iter().map(|relay| (relay.exit_fingerprint.to_string(), relay)).collect();
    let by = ["fingerprint", "familyid"];
    sheet.by(
        "aeo1_exit_dns_failed",
        "Whether the relay's DNS failed. 0 where nothing is known of it: see the status.",
        ["fingerprint", "familyid", "status"],
        relays.iter().map(|(fingerprint, relay)| {
            let failed = whole(u32::from(relay.status.counts_against_dns()));
            ([fingerprint.as_str(), NO_FAMILY, status(relay.status)], failed)
        }),
    )?;
    sheet.by(
        "aeo1_exit_dns_latency_ms",
        "The relay's resolve time in milliseconds.",
        by,
        relays.iter().filter_map(|(fingerprint, relay)| {
            Some(([fingerprint.as_str(), NO_FAMILY], relay.timing.resolve_ms?.get()))
        }),
    )?;
    sheet.by(
        "aeo1_exit_dns_consecutive_failures",
        "Runs in a row that found the relay's DNS failing.",
        by,
        relays.iter().map(|(fingerprint, relay)| {
            ([fingerprint.as_str(), NO_FAMILY], whole(relay.consecutive_failures))
        }),
    )?;
    let nicknames: Vec<String> =
        relays.iter().map(|(_, relay)| printable(&relay.exit_nickname)).collect();
    sheet.by(
        "aeo1_exit_relay_info",
        "The relay's nickname. Always 1.",
        ["fingerprint", "familyid", "nick", "verifiedaroi"],
        relays.iter().zip(&nicknames).map(|((fingerprint, _), nickname)| {
            ([fingerprint.as_str(), NO_FAMILY, nickname.as_str(), NO_DOMAIN], 1.0)
        }),
    )?;
    Ok(sheet.text())
}

/// A report holds no keys of families.
const NO_FAMILY: &str = "";

/// Nor proved domains.
const NO_DOMAIN: &str = "";

/// The status, of the five that there are in that version.
const fn status(status: Status) -> &'static str {
    match status {
        Status::Success => "success",
        Status::WrongIp | Status::DnsFail => "dns_fail",
        Status::Timeout => "timeout",
        Status::CircuitFail => "relay_unreachable",
        Status::Error | Status::Exception => "untested",
    }
}

/// The figures of the run as a whole.
fn run(sheet: &mut Sheet, metadata: &CompatMetadata) -> Result<()> {
    const SOURCE: [&str; 1] = ["source"];
    let ended = whole(metadata.timestamp.timestamp());
    sheet.by(
        "aeo1_build_info",
        "The version of these names, and what wrote them. Always 1.",
        ["schema", "generator"],
        [(["2", "exit-validator"], 1.0)],
    )?;
    sheet.by(
        "aeo1_source_up",
        "Whether there is data of the source.",
        SOURCE,
        [(["exitdnshealth"], 1.0)],
    )?;
    sheet.by(
        "aeo1_source_last_success_timestamp_seconds",
        "When the source last had new data, in seconds since 1970.",
        SOURCE,
        [(["exitdnshealth"], ended)],
    )?;
    let total = metadata.timing.total;
    sheet.by(
        "aeo1_exit_dns_latency_ms_stat",
        "Resolve times of the successes in milliseconds.",
        ["stat"],
        [
            (["p50"], total.p50_ms),
            (["p95"], total.p95_ms),
            (["p99"], total.p99_ms),
            (["avg"], total.avg_ms),
            (["min"], total.min_ms),
            (["max"], total.max_ms),
        ],
    )?;
    sheet.by(
        "aeo1_exit_dns_errors_count",
        "Results that are not a success, by kind.",
        ["error_type"],
        [
            (["fail"], whole(metadata.dns_fail)),
            (["timeout"], whole(metadata.dns_timeout)),
            (["wrong_ip"], whole(metadata.dns_wrong_ip)),
            (["socks_error"], whole(metadata.dns_socks_error)),
            (["network_error"], whole(metadata.dns_network_error)),
            (["error"], whole(metadata.dns_error)),
            (["exception"], whole(metadata.dns_exception)),
            (["unknown"], whole(metadata.dns_unknown)),
        ],
    )?;
    for name in ["generation_timestamp_seconds", "exit_scan_timestamp_seconds"] {
        let help = "When the run ended, in seconds since 1970.";
        sheet.gauge(&format!("aeo1_{name}"), help, ended)?;
    }
    counts(sheet, metadata)
}

/// How many relays, and which shares of them.
fn counts(sheet: &mut Sheet, metadata: &CompatMetadata) -> Result<()> {
    let part = |part: u32, all: u32| {
        let ratio = if all == 0 { 0.0 } else { f64::from(part) / f64::from(all) };
        (ratio * 10_000.0).round() / 10_000.0
    };
    let tested = metadata.tested_relays;
    for (name, help, value) in [
        (
            "exit_consensus_relays_count",
            "Exit relays that were to be tested.",
            whole(metadata.consensus_relays),
        ),
        ("exit_tested_relays_count", "Exit relays whose DNS was tested.", whole(tested)),
        (
            "exit_unreachable_relays_count",
            "Exit relays that no circuit reached.",
            whole(metadata.unreachable_relays),
        ),
        (
            "exit_dns_success_ratio",
            "Successes among the relays tested.",
            part(metadata.dns_success, tested),
        ),
        (
            "exit_reachability_ratio",
            "Relays tested among those that were to be.",
            part(tested, metadata.consensus_relays),
        ),
    ] {
        sheet.gauge(&format!("aeo1_{name}"), help, value)?;
    }
    Ok(())
}
