//! Whether the bytes of a result file are a result of this scan that can be believed. Pure.

use chrono::{DateTime, Datelike, Utc};
use record::{Fingerprint, Kind, MAX_ATTEMPTS, RejectReason, RelayResult, Status, Timing};

use crate::input::Facts;
use crate::rejections::Rejection;

/// Between which times a result of the scan can lie.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// Not before.
    pub from: DateTime<Utc>,
    /// Not after.
    pub to: DateTime<Utc>,
}

/// The longest time that a measurement can have, in milliseconds: a day.
const LONGEST_MS: f64 = 86_400_000.0;

/// The most bytes of a nickname (dir-spec allows 19 characters), an error, a platform line, and a
/// contact line (a descriptor has at most 20,000 bytes in all).
const TEXTS: [usize; 4] = [255, 4096, 4096, 20_000];

/// The most queries of one attempt. A scan makes a handful.
const QUERIES: usize = 100;

/// The most findings of a result, and bytes of each text in one.
const FINDINGS: usize = 20;
const FINDING_TEXT: usize = 2_000;

/// Whether this can be a run's id: 1 to 64 letters, digits, `-`, `_` or `.`. A `+` is what joins
/// several.
#[must_use]
pub fn is_run_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// Whether a time can be that of a run: its year has four digits, and Tor existed.
#[must_use]
pub fn is_date(time: DateTime<Utc>) -> bool {
    (2002..=9999).contains(&time.year())
}

/// The result in `bytes`, which came from the file of `relay`.
///
/// # Errors
///
/// Why it is not used.
pub fn result(
    bytes: &[u8],
    relay: &Fingerprint,
    facts: &Facts,
    window: &Window,
) -> Result<RelayResult, Rejection> {
    let mut result: RelayResult = Kind::Result.parse(bytes)?;
    if result.exit_fingerprint != *relay {
        let detail = format!("the fingerprint inside is {}", result.exit_fingerprint);
        return Err(Rejection::new(RejectReason::FingerprintMismatch, detail));
    }
    same_run(&result, facts)?;
    in_range(&result, window).map_err(|what| Rejection::new(RejectReason::OutOfRange, what))?;
    // A single success is told in full by the fields that describe the deciding attempt, and most
    // relays have one.
    if result.status == Status::Success && result.attempts.len() == 1 {
        result.attempts = Vec::new();
    }
    // A report has what they showed.
    if let Some(checks) = &mut result.checks {
        checks.lookups = Vec::new();
    }
    Ok(result)
}

fn same_run(result: &RelayResult, facts: &Facts) -> Result<(), Rejection> {
    let other = |what: String| Err(Rejection::new(RejectReason::OtherRun, what));
    if result.run_id != facts.run_id {
        return other(format!("it is of run {:?}", result.run_id));
    }
    if result.mode != facts.mode {
        return other(format!("its mode is {}", result.mode));
    }
    if result.shard.filter(|shard| !shard.is_whole()) != facts.shard {
        return other("its shard is not the run's".to_owned());
    }
    if result.expected_ip != facts.expected_ip {
        return other("its expected address is not the run's".to_owned());
    }
    if let Some(name) = &result.query_domain {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let domain = facts.domain.trim_end_matches('.').to_ascii_lowercase();
        let under = name.strip_suffix(&domain).is_some_and(|rest| rest.ends_with('.'));
        if !under {
            return other(format!("the name asked for is not under {}", facts.domain));
        }
    }
    Ok(())
}

fn in_range(result: &RelayResult, window: &Window) -> Result<(), String> {
    if !(window.from..=window.to).contains(&result.timestamp) {
        return Err(format!("its time, {}, is not within the run", result.timestamp));
    }
    let success = result.status == Status::Success;
    if success != result.error_code.is_none() || success != result.blame.is_none() {
        return Err(format!(
            "status {} contradicts its error_code and blame (null for a success alone)",
            result.status
        ));
    }
    if success && result.provisional {
        return Err("a success is never provisional".to_owned());
    }
    if let Some(first) = result.first
        && (!first.status.tested()
            || (first.status == Status::Success) != first.error_code.is_none())
    {
        return Err(format!("status {} contradicts the first answer's error_code", first.status));
    }
    if result.attempts.len() > MAX_ATTEMPTS
        || result.attempts.iter().any(|attempt| attempt.queries.len() > QUERIES)
    {
        return Err(format!("more than {MAX_ATTEMPTS} attempts, or {QUERIES} queries in one"));
    }
    let texts = [
        Some(&result.exit_nickname),
        result.error.as_ref(),
        result.relay.platform.as_ref(),
        result.relay.contact.as_ref(),
    ];
    for (text, most) in texts.into_iter().zip(TEXTS) {
        if text.is_some_and(|text| text.len() > most) {
            return Err(format!("a text of more than {most} bytes"));
        }
    }
    let lookups = result.ipv6.as_ref().map_or(0, |ipv6| ipv6.lookups.len());
    if lookups > MAX_ATTEMPTS || result.findings.len() > FINDINGS {
        return Err(format!("more than {MAX_ATTEMPTS} lookups, or {FINDINGS} findings"));
    }
    for finding in &result.findings {
        let texts = [finding.name.as_ref(), Some(&finding.message), Some(&finding.remedy)];
        if texts.into_iter().flatten().any(|text| text.len() > FINDING_TEXT) {
            return Err(format!("a finding of more than {FINDING_TEXT} bytes"));
        }
    }
    let addresses = result.checks.as_ref().map_or(0, |checks| checks.addresses.len());
    let checks = result.checks.as_ref().map_or(0, |checks| checks.lookups.len());
    if checks.max(addresses) > MAX_ATTEMPTS {
        return Err(format!(
            "more than {MAX_ATTEMPTS} further lookups, or addresses of a resolver"
        ));
    }
    for time in times(result) {
        if !(0.0..=LONGEST_MS).contains(&time) {
            return Err(format!("a time of {time} ms"));
        }
    }
    Ok(())
}

/// Every time that was measured, in milliseconds.
fn times(result: &RelayResult) -> impl Iterator<Item = f64> + use<'_> {
    let lookups = || result.ipv6.iter().flat_map(|ipv6| &ipv6.lookups);
    let checks = || result.checks.iter().flat_map(|checks| &checks.lookups);
    let queries = || result.attempts.iter().flat_map(|attempt| &attempt.queries);
    result
        .attempts
        .iter()
        .map(|attempt| attempt.timing)
        .chain([result.timing])
        .flat_map(|Timing { circuit_ms, attach_ms, resolve_ms }| {
            [circuit_ms, attach_ms, resolve_ms]
        })
        .chain(queries().flat_map(|query| [query.attach_ms, query.resolve_ms]))
        .chain(lookups().map(|lookup| lookup.answered_ms))
        .chain(lookups().flat_map(|lookup| [lookup.query.attach_ms, lookup.query.resolve_ms]))
        .chain(checks().flat_map(|lookup| [lookup.query.attach_ms, lookup.query.resolve_ms]))
        .chain([result.latency_ms])
        .flatten()
        .map(record::Millis::get)
}
