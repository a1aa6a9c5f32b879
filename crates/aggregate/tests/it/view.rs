//! What a rule is about, of all that a report says: short texts for the snapshots.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use record::{Report, State, Streak};

/// Each relay's state and streak.
pub fn streaks(report: &Report) -> String {
    let results = report.results.iter().map(|row| {
        let streak = Streak {
            consecutive_failures: row.consecutive_failures,
            failing_since: row.failing_since,
            last_success: row.last_success,
            unreachable_runs: row.unreachable_runs,
        };
        line(&row.exit_nickname, &row.recent, row.state, &streak)
    });
    let absent = report.absent.iter().map(|row| {
        let line = line(&row.exit_nickname, &row.recent, row.state, &row.streak);
        format!("{line:<75} absent, last seen {}", when(Some(row.last_seen)))
    });
    let head = "relay    recent       state        fails  since        last success  unreached";
    format!("{head}\n{}\n", sorted(results.chain(absent)))
}

fn line(nickname: &str, recent: &str, state: Option<State>, streak: &Streak) -> String {
    let state = state.map_or("-", State::as_str);
    let (since, success) = (when(streak.failing_since), when(streak.last_success));
    let (fails, unreached) = (streak.consecutive_failures, streak.unreachable_runs);
    format!(
        "{nickname:<8} {recent:<12} {state:<12} {fails:<6} {since:<12} {success:<13} {unreached}"
    )
}

fn when(time: Option<DateTime<Utc>>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| time.format("%m-%d %H:%M").to_string())
}

/// What the report goes on from.
pub fn previous(report: &Report) -> String {
    let previous = &report.metadata.previous;
    let mut text = "goes on from ".to_owned();
    text += &previous.report.as_ref().map_or_else(
        || "nothing".to_owned(),
        |report| {
            let (relays, rate) = (report.total_relays, report.dns_success_rate_percent.unwrap());
            format!("the report of {}: {relays} relays, {rate} %", report.timestamp)
        },
    );
    text += &previous.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
    text + "\n"
}

/// Whether the report is published, and why.
pub fn gate(report: &Report) -> String {
    let publish = &report.metadata.publish;
    let mut text = match (publish.allowed, publish.forced) {
        (true, false) => "published\n".to_owned(),
        (true, true) => "published by force\n".to_owned(),
        (false, _) => "held back\n".to_owned(),
    };
    for (kind, findings) in [("", &publish.reasons), ("note: ", &publish.notes)] {
        for finding in findings {
            let _ = writeln!(text, "  {kind}{}: {}", finding.code, finding.message);
        }
    }
    text
}

/// What the inputs have, and what they lack.
pub fn inputs(report: &Report) -> String {
    let metadata = &report.metadata;
    let mut text = format!("run {}, {} relays", metadata.run_id, metadata.total_relays);
    let _ = writeln!(text, ", {} not reached", metadata.not_reached);
    for input in &metadata.inputs {
        let shard = input.shard.map(|shard| format!(" {shard}")).unwrap_or_default();
        let (results, selected) = (input.results, input.selected);
        let _ = write!(text, "  {}{shard}: {results} of {selected}", input.name);
        let _ = write!(text, ", {} other files", input.other_files);
        let why = input.incomplete_reason.as_deref();
        let _ = writeln!(text, "{}", why.map(|why| format!(", {why}")).unwrap_or_default());
    }
    if let Some(shards) = &metadata.shards {
        let _ = writeln!(text, "  shards {:?}, missing {:?}", shards.present, shards.missing);
    }
    text
}

/// The verdict on each relay, and what each input found.
pub fn vantages(report: &Report) -> String {
    let disagreements = report.metadata.disagreements;
    let lines = report.results.iter().map(|row| {
        let found: Vec<&str> = row.vantages.iter().map(|vantage| vantage.status.as_str()).collect();
        let status = row.status.as_str();
        format!("{:<8} {status:<12} of {}, by {}", row.exit_nickname, found.join(", "), row.run_id)
    });
    format!(
        "{}\ndisagreements: {} about DNS, {} about reachability\n",
        sorted(lines),
        disagreements.dns,
        disagreements.reachability
    )
}

/// By the relay's name, which each line begins with.
fn sorted(lines: impl Iterator<Item = String>) -> String {
    let mut lines: Vec<String> = lines.collect();
    lines.sort();
    lines.join("\n")
}

/// The files that were not used.
pub fn rejected(report: &Report) -> String {
    let rejected = &report.metadata.rejected;
    let mut text = format!("{} rejected: {:?}\n", rejected.total, rejected.by_reason);
    for file in &rejected.files {
        let _ = writeln!(text, "{}/{}\n  {}: {}", file.input, file.file, file.reason, file.detail);
    }
    text
}

/// Whose relays are whose, and which operators have failing ones.
pub fn operators(report: &Report) -> String {
    let relays =
        report.results.iter().map(|row| format!("{:<8} {}", row.exit_nickname, row.operator));
    let mut text = format!("{}\nfailing\n", sorted(relays));
    for operator in &report.failures_by_operator {
        let (failing, relays) = (operator.failing.len(), operator.relays);
        let _ = write!(text, "  {}: {failing} of {relays}", operator.operator);
        let contact = operator.contact.as_deref().unwrap_or("none");
        let _ = writeln!(text, ", weight {}, contact {contact}", operator.failing_weight);
    }
    text
}
