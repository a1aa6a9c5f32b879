//! A report, and a relay's story, as a person would want to read them. Pure; whatever strangers
//! wrote is made fit for a terminal.

use std::fmt::Write as _;

use chrono::{DateTime, TimeDelta, Utc};
use record::{
    Blame, Counts, ErrorCode, Metadata, Millis, Percentiles, RelayShare, Report, Shard, State,
    Status, of_recent_mark, printable,
};

use crate::history::Story;
use crate::history::rebuild::Rebuilt;

/// How many failing relays, operators and rejected files are shown.
const SHOWN: usize = 10;

/// The report's main findings, some 40 lines of at most about 120 columns.
#[must_use]
pub fn of_report(report: &Report) -> String {
    let metadata = &report.metadata;
    let mut text = String::new();
    head(&mut text, metadata);
    rates(&mut text, metadata);
    causes(&mut text, metadata);
    failing(&mut text, report);
    operators(&mut text, report);
    troubles(&mut text, metadata);
    verdict(&mut text, metadata);
    text
}

/// Writing into a String cannot fail: this drops the result that says so.
macro_rules! line {
    ($text:expr) => { $text.push('\n') };
    ($text:expr, $($format:tt)*) => {{ let _ = writeln!($text, $($format)*); }};
}

fn head(text: &mut String, metadata: &Metadata) {
    let relays = plural(metadata.total_relays, "exit relay", "exit relays");
    line!(text, "DNS health of {relays}, {}", when(metadata.timestamp));
    let expected =
        metadata.expected_ip.map(|address| format!(", expecting {address}")).unwrap_or_default();
    line!(text, "  {} mode under {}{expected}", metadata.mode, cut(&metadata.domain, 80));
    let duration = duration(metadata.duration_seconds);
    let tor = if metadata.tor_versions.is_empty() {
        String::new()
    } else {
        format!(", tor {}", cut(&metadata.tor_versions.join(", "), 60))
    };
    line!(text, "  run {}, {duration}{tor}", cut(&metadata.run_id, 80));
    if metadata.inputs.len() > 1 {
        let names: Vec<String> = metadata
            .inputs
            .iter()
            .map(|input| {
                let shard = input.shard.map(|shard: Shard| format!(" ({shard})"));
                format!("{}{}", printable(&input.name), shard.unwrap_or_default())
            })
            .collect();
        line!(text, "  {} inputs: {}", names.len(), cut(&names.join(", "), 100));
    }
    line!(text);
}

fn rates(text: &mut String, metadata: &Metadata) {
    let Counts { success, .. } = metadata.counts;
    let before = metadata.previous.report.as_ref();
    let rate = before.and_then(|report| report.dns_success_rate_percent);
    let rate = rate.map(|rate| format!(", {rate:.2} % before")).unwrap_or_default();
    let tested = metadata.tested;
    let dns = share(metadata.dns_success_rate_percent);
    line!(text, "  DNS works    {dns:>9}   {success} of {tested} tested{rate}");
    if let Some(lookups) = &metadata.lookup_failure {
        line!(
            text,
            "  lookups fail {:>9}   by weight, {:.2} to {:.2} % with 95 % certainty; {} of {} first lookups",
            share(Some(lookups.percent)),
            lookups.low_percent,
            lookups.high_percent,
            lookups.failed,
            lookups.asked
        );
    }
    let reach = share(metadata.reachability_rate_percent);
    let relays =
        before.map(|report| format!(", {} before", report.total_relays)).unwrap_or_default();
    line!(text, "  reachable    {reach:>9}   {tested} of {}{relays}", metadata.total_relays);
    let weight = share(metadata.bandwidth.failing_percent);
    line!(text, "  affected     {weight:>9}   of the exits' bandwidth");
    resolvers(text, metadata);
    percentiles(text, "resolve time", metadata.resolve_ms.as_ref());
    percentiles(text, "circuit time", metadata.circuit_ms.as_ref());
    line!(text);
    let counts = Status::ALL
        .iter()
        .map(|status| (status.as_str(), metadata.counts.of(*status)))
        .filter(|(_, count)| *count > 0);
    line!(text, "  statuses     {}", list(counts));
    let states =
        State::ALL.iter().filter_map(|state| Some((state.as_str(), *metadata.states.get(state)?)));
    line!(text, "  states       {}", list(states));
    if metadata.degraded > 0 {
        line!(text, "  degraded     {} that pass by retries alone", metadata.degraded);
    }
    if metadata.disagreements.dns + metadata.disagreements.reachability > 0 {
        let different = metadata.disagreements;
        line!(
            text,
            "  disagreement {} about DNS, {} about reachability between vantage points",
            different.dns,
            different.reachability
        );
    }
    line!(text);
}

/// Who resolves names for the exits, by weight.
fn resolvers(text: &mut String, metadata: &Metadata) {
    let Some(resolvers) = &metadata.resolvers else { return };
    let of = |share: &RelayShare| share.weight_percent.unwrap_or(share.percent);
    let covered = share(Some(of(&resolvers.covered)));
    let kinds = resolvers.kinds.iter().map(|(kind, share)| (kind.as_str(), of(share)));
    let kinds: Vec<String> = kinds.map(|(kind, share)| format!("{kind} {share:.1} %")).collect();
    line!(text, "  resolvers    {covered:>9}   of the weight seen: {}", list_or_none(&kinds));
    let public = resolvers.public.iter().map(|(one, share)| (one.as_str(), of(share)));
    let public: Vec<String> = public.map(|(one, share)| format!("{one} {share:.1} %")).collect();
    if !public.is_empty() {
        line!(text, "  {:<24}public ones: {}", "", public.join(", "));
    }
    if let Some(validates) = &resolvers.validates {
        let works = share(Some(of(&validates.yes)));
        line!(text, "  validating   {works:>9}   of the weight asked refuse a wrong signature");
    }
}

fn list_or_none(texts: &[String]) -> String {
    if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
}

fn percentiles(text: &mut String, name: &str, values: Option<&Percentiles>) {
    if let Some(Percentiles { p50, p90, p99, .. }) = values {
        let ms = |value: &Millis| format!("{:.0} ms", value.get());
        line!(
            text,
            "  {name} {:>9}   median; 90 % within {}, 99 % within {}",
            ms(p50),
            ms(p90),
            ms(p99)
        );
    }
}

fn causes(text: &mut String, metadata: &Metadata) {
    if metadata.error_codes.is_empty() {
        return;
    }
    line!(text, "Causes");
    let mut codes: Vec<(&ErrorCode, &u32)> = metadata.error_codes.iter().collect();
    codes.sort_by_key(|(code, count)| (std::cmp::Reverse(**count), **code));
    for (code, count) in codes.iter().take(SHOWN) {
        line!(text, "  {count:>5}  {:<26} {}", code.as_str(), cut(code.meaning(), 82));
    }
    more(text, codes.len());
    let blames =
        Blame::ALL.iter().filter_map(|blame| Some((blame.as_str(), *metadata.blames.get(blame)?)));
    line!(text, "  at fault: {}", list(blames));
    line!(text);
}

fn failing(text: &mut String, report: &Report) {
    if report.failures.is_empty() {
        return;
    }
    line!(text, "Failing relays, the longest first");
    for failure in report.failures.iter().take(SHOWN) {
        let nickname = cut(&failure.exit_nickname, 19);
        let code = failure.error_code.map_or("", ErrorCode::as_str);
        let since = failure
            .failing_since
            .map(|since| format!(" since {}", since.format("%Y-%m-%d %H:%M")))
            .unwrap_or_default();
        let runs = match (failure.consecutive_failures, failure.provisional) {
            (_, true) => "not confirmed".to_owned(),
            (runs, false) => plural(runs, "run", "runs") + &since,
        };
        line!(
            text,
            "  {} {nickname:<19} {:<15} {code:<18} {runs}",
            failure.exit_fingerprint,
            failure.exit_address
        );
    }
    more(text, report.failures.len());
    line!(text);
}

fn operators(text: &mut String, report: &Report) {
    let several: Vec<_> =
        report.failures_by_operator.iter().filter(|operator| operator.failing.len() > 1).collect();
    if several.is_empty() {
        return;
    }
    line!(text, "Operators with several failing relays");
    for operator in several.iter().take(SHOWN) {
        let of = operator.relays;
        line!(text, "  {:>3} of {of:<3} {}", operator.failing.len(), cut(&operator.operator, 90));
    }
    more(text, several.len());
    line!(text);
}

fn troubles(text: &mut String, metadata: &Metadata) {
    let rejected = &metadata.rejected;
    if rejected.total > 0 {
        let reasons = rejected.by_reason.iter().map(|(reason, count)| (reason.as_str(), *count));
        line!(text, "Files not used: {} ({})", rejected.total, list(reasons));
        for file in rejected.files.iter().take(SHOWN) {
            let path = match file.input.as_str() {
                "" => printable(&file.file),
                input => format!("{}/{}", printable(input), printable(&file.file)),
            };
            line!(text, "  {}: {}", cut(&path, 100), cut(&file.detail, 120));
        }
        more(text, rejected.total.try_into().unwrap_or(usize::MAX));
        line!(text);
    }
    if let Some(source) = metadata.locations.as_ref().filter(|source| source.old) {
        let made = source.date.format("%Y-%m-%d");
        line!(text, "The location database is old, of {made}: networks may have changed hands.");
        line!(text);
    }
    if let Some(note) = &metadata.previous.note {
        let what = match metadata.previous.report {
            Some(_) => "Gone on from an earlier report",
            None => "No previous report to go on from",
        };
        line!(text, "{what}: {}", cut(note, 200));
        line!(text);
    }
}

fn verdict(text: &mut String, metadata: &Metadata) {
    let publish = &metadata.publish;
    if let Some(check) = &publish.zone_check {
        let how = if check.ok { "answers as it must" } else { "does not answer as it must" };
        line!(text, "Our zone {how} (asked {}).", cut(&check.servers.join(", "), 80));
    }
    line!(
        text,
        "{}",
        match (publish.allowed, publish.forced) {
            (true, false) => "Fit to be published.",
            (true, true) => "Let through by force, although:",
            (false, _) => "HELD BACK, latest.json stays as it is:",
        }
    );
    for finding in publish.reasons.iter().chain(&publish.notes) {
        line!(text, "  {}: {}", finding.code, cut(&finding.message, 300));
    }
}

/// What a history was made of, and what it lacks.
#[must_use]
pub fn of_rebuilt(done: &Rebuilt, dry_run: bool) -> String {
    let mut text = String::new();
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let runs = plural(number(done.runs), "run", "runs");
    let reports = plural(number(done.reports), "report", "reports");
    let verb = if dry_run { "would have" } else { "has" };
    line!(text, "The history {verb} {runs}, from {reports}.");
    if let Some((first, last)) = done.span {
        line!(text, "  from {} to {}", when(first), when(last));
    }
    if !done.unusable.is_empty() {
        line!(text, "  {} could not be used", plural(number(done.unusable.len()), "file", "files"));
    }
    match &done.unread {
        Some(why) => {
            line!(
                text,
                "Which runs the former history had beside these cannot be told: {}",
                cut(why, 300)
            );
        }
        None if done.lost.is_empty() => line!(text, "No run of the former history is lost."),
        None => {
            let lost = plural(number(done.lost.len()), "run", "runs");
            line!(text, "No report is left of {lost} of the former history:");
            for run_id in done.lost.iter().take(SHOWN) {
                line!(text, "  {}", cut(run_id, 100));
            }
            more(&mut text, done.lost.len());
        }
    }
    if let Some(former) = &done.former {
        line!(text, "The former history is {}", cut(&former.to_string_lossy(), 300));
    }
    text
}

/// A relay's story: one line a run, the newest last.
#[must_use]
pub fn of_story(story: &Story) -> String {
    let mut text = String::new();
    line!(text, "{} {} {}", story.fingerprint, cut(&story.nickname, 40), cut(&story.address, 45));
    let (mut tested, mut works) = (0_u32, 0_u32);
    for run in &story.runs {
        let (status, provisional) = of_recent_mark(run.mark).unzip();
        let name = status.map_or("?", Status::as_str);
        if status.is_some_and(Status::tested) {
            tested += 1;
            works += u32::from(status == Some(Status::Success));
        }
        let mut notes = Vec::new();
        notes.extend(run.resolve_ms.map(|time| format!("resolved in {time} ms")));
        notes.extend(run.circuit_ms.map(|time| format!("circuit in {time} ms")));
        notes.extend((provisional == Some(true)).then(|| "not confirmed".to_owned()));
        notes.extend((!run.counted).then(|| "run held back".to_owned()));
        let code = cut(run.code.as_deref().unwrap_or(""), 30);
        let row = format!("  {}  {name:<12} {code:<24} {}", when(run.ended), notes.join(", "));
        line!(text, "{}", row.trim_end());
    }
    let share = share(crate::stats::percent(works, tested));
    let runs = plural(u32::try_from(story.runs.len()).unwrap_or(u32::MAX), "run", "runs");
    line!(text, "  {runs}, tested in {tested}, working in {works} of these ({share})");
    text
}

fn when(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn duration(seconds: f64) -> String {
    let whole = std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let span = TimeDelta::from_std(whole).unwrap_or_default();
    match (span.num_hours(), span.num_minutes() % 60, span.num_seconds() % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

fn share(percent: Option<f64>) -> String {
    percent.map_or_else(|| "-".to_owned(), |percent| format!("{percent:.2} %"))
}

fn plural(count: u32, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}

fn list<'a, N: std::fmt::Display>(counts: impl Iterator<Item = (&'a str, N)>) -> String {
    let counts: Vec<String> = counts.map(|(name, count)| format!("{name} {count}")).collect();
    list_or_none(&counts)
}

fn more(text: &mut String, all: usize) {
    if let Some(hidden) = all.checked_sub(SHOWN).filter(|hidden| *hidden > 0) {
        line!(text, "  ... and {hidden} more");
    }
}

/// A stranger's text, fit for a terminal and at most so many characters.
fn cut(text: &str, most: usize) -> String {
    let text = printable(text);
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
