//! `summary.html`: a report on one page that needs no script, for browsers that run none, such as Tor
//! Browser at its level "Safest", for paper, and for mirrors. Pure.
//!
//! Whatever is put into the page is text: `maud` escapes all of it. Strangers' texts have no character
//! that acts on what is around it ([`printable`]) and end somewhere.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use record::{
    Blame, ErrorCode, Incident, Incidents, Metadata, Publisher, Report, ReportedRelay, Trends,
    printable,
};

use crate::words;

/// What the page shows beside the report, as far as it is there.
#[derive(Debug, Default)]
pub struct Beside {
    /// The runs so far, for the time between two of them.
    pub trends: Option<Trends>,
    /// What fails together. They may be of the report before: they are brought up to date after it.
    pub incidents: Option<Incidents>,
}

/// How many operators, relays of one, and incidents are listed at most.
const OPERATORS: usize = 100;
const RELAYS: usize = 20;
const INCIDENTS: usize = 50;

/// How many characters of a stranger's text are shown.
const TEXT: usize = 200;

/// Runs are this far apart, where nothing says otherwise.
const USUAL_INTERVAL: TimeDelta = TimeDelta::hours(6);

/// Runs are never further apart: what says so is a wrong clock.
const LONGEST_INTERVAL: TimeDelta = TimeDelta::days(31);

/// The shares of failing exits, in percent, up to which nearly all work, and up to which some fail:
/// those of the dashboard (`public/js/model/health.js`).
const LEVELS: [f64; 2] = [2.0, 5.0];

/// The page for a report.
pub(crate) fn of_report(report: &Report, beside: &Beside) -> String {
    let metadata = &report.metadata;
    let facts: Vec<&ReportedRelay> = report.results.iter().filter(|one| is_fact(one)).collect();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                title { "DNS at Tor exits: summary of " (time(metadata.timestamp)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    h1 { "DNS at Tor exits" }
                    (answer(metadata))
                    (when(metadata, beside.trends.as_ref()))
                    (figures(metadata, facts.len()))
                    (who(&facts, &report.results, metadata))
                    (why(&facts))
                    @if let Some(Incidents { incidents, .. }) = &beside.incidents {
                        (happenings(incidents))
                    }
                    (method())
                }
                (footer(metadata))
            }
        }
    };
    page.into_string() + "\n"
}

/// What the page may do: nothing but its own style.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

const STYLE: &str = include_str!("summary.css");

/// Whether it is a fact that this exit's DNS fails, and not for a reason of ours.
fn is_fact(relay: &ReportedRelay) -> bool {
    relay.status.counts_against_dns()
        && !relay.provisional
        && !matches!(relay.blame, Some(Blame::Scanner | Blame::Zone))
        && !relay.relay.is_bad_exit()
}

fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

fn time_element(at: DateTime<Utc>) -> Markup {
    html! { time datetime=(at.format("%Y-%m-%dT%H:%M:%SZ")) { (time(at)) } }
}

/// A share, never shown as nothing or as all where it is not.
fn percent(value: Option<f64>) -> String {
    match value {
        Some(share) if share > 0.0 && share < 0.005 => "< 0.01\u{a0}%".to_owned(),
        Some(share) if (99.995..100.0).contains(&share) => "> 99.99\u{a0}%".to_owned(),
        Some(share) => format!("{share:.2}\u{a0}%"),
        None => "not known".to_owned(),
    }
}

fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{} {}", grouped(count), if count == 1 { one } else { many })
}

/// With a comma before each three digits.
fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// A stranger's text.
fn foreign(text: &str) -> String {
    let mut shown: String = text.chars().take(TEXT).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    printable(&shown)
}

fn name_of(relay: &ReportedRelay) -> String {
    match relay.exit_nickname.trim() {
        "" => "(no name)".to_owned(),
        _ => foreign(&relay.exit_nickname),
    }
}

fn failing(metadata: &Metadata) -> u32 {
    let counts = &metadata.counts;
    counts.wrong_ip + counts.dns_fail + counts.timeout
}

fn answer(metadata: &Metadata) -> Markup {
    let worst = metadata
        .dns_success_rate_percent
        .filter(|_| metadata.tested > 0)
        .map(|rate| (100.0 - rate).max(metadata.bandwidth.failing_percent.unwrap_or_default()));
    let (class, words) = match worst {
        None => ("unknown", "Nothing is known"),
        Some(worst) if worst <= LEVELS[0] => ("good", "DNS works at nearly all exits"),
        Some(worst) if worst <= LEVELS[1] => ("fair", "DNS fails at some exits"),
        Some(_) => ("bad", "DNS fails at many exits"),
    };
    let (tested, failed) = (count(metadata.tested), count(failing(metadata)));
    html! {
        p.answer.(class) {
            strong { (words) } br;
            @if tested == 0 {
                "No exit’s DNS was put to the test in this run."
            } @else {
                (grouped(tested.saturating_sub(failed))) " of the " (plural(tested, "exit", "exits"))
                " tested resolve names as they should, "
                @if failed == 0 { "none fails." }
                @else { (plural(failed, "fails", "fail")) "." }
            }
        }
    }
}

/// The time between two runs: the middle one of the last thirty, else that since the report before.
fn interval(metadata: &Metadata, trends: Option<&Trends>) -> TimeDelta {
    let runs = trends.map_or(&[][..], |trends| &trends.runs);
    let past: Vec<DateTime<Utc>> =
        runs.iter().map(|run| run.timestamp).filter(|at| *at <= metadata.timestamp).collect();
    let last = &past[past.len().saturating_sub(30)..];
    let mut gaps: Vec<TimeDelta> = last
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .filter(|gap| *gap > TimeDelta::zero())
        .collect();
    gaps.sort_unstable();
    let before = metadata.previous.report.as_ref().map(|report| report.timestamp);
    let every = match before {
        _ if gaps.len() >= 3 => gaps[gaps.len() / 2],
        Some(before) => (metadata.timestamp - before).max(USUAL_INTERVAL),
        None => USUAL_INTERVAL,
    };
    every.clamp(TimeDelta::minutes(15), LONGEST_INTERVAL)
}

fn when(metadata: &Metadata, trends: Option<&Trends>) -> Markup {
    let every = interval(metadata, trends);
    // A hostile report may be of the end of time.
    let after = |times| metadata.timestamp.checked_add_signed(every * times);
    html! {
        p {
            "Run of " (time_element(metadata.timestamp)) "."
            @if let (Some(next), Some(late)) = (after(1), after(2)) {
                " The next report is due about " (time_element(next))
                ". If it is later than " (time_element(late))
                ", and this page is still of the same run, reports are missing or were held back."
            }
        }
    }
}

fn figures(metadata: &Metadata, facts: usize) -> Markup {
    let failed = count(failing(metadata));
    let row = |name: &str, value: String, more: Option<String>| {
        html! { tr { th scope="row" { (name) } td { (value) } td { (more.unwrap_or_default()) } } }
    };
    let interval = metadata.lookup_failure.map(|rate| {
        let [low, high] = [rate.low_percent, rate.high_percent].map(|end| percent(Some(end)));
        format!("95 % interval: {low} to {high}; first lookups, each exit by its weight")
    });
    html! {
        h2 { "The figures" }
        div.wide role="region" tabindex="0" aria-label="The figures" {
            table {
                thead { tr { th scope="col" { "Figure" } th scope="col" { "Value" } th scope="col" { "Of what" } } }
                tbody {
                    (row(
                        "DNS success rate",
                        percent(metadata.dns_success_rate_percent),
                        Some(format!("of {} tested", plural(count(metadata.tested), "exit", "exits"))),
                    ))
                    @if let Some(rate) = metadata.lookup_failure {
                        (row("Lookups that fail", percent(Some(rate.percent)), interval))
                    }
                    (row(
                        "Failing exits",
                        grouped(failed),
                        Some(format!("{} of them confirmed, and not for a fault of ours", grouped(facts))),
                    ))
                    @if metadata.degraded > 0 {
                        (row(
                            "Degraded exits",
                            grouped(count(metadata.degraded)),
                            Some("so many lookups fail that runs pass by a second attempt alone".to_owned()),
                        ))
                    }
                    (row(
                        "Bandwidth affected",
                        percent(metadata.bandwidth.failing_percent),
                        Some("of the exits’ consensus weight".to_owned()),
                    ))
                    (row(
                        "Reachability",
                        percent(metadata.reachability_rate_percent),
                        Some(format!("of {}", plural(count(metadata.total_relays), "result", "results"))),
                    ))
                    @if let Some(times) = &metadata.resolve_ms {
                        (row(
                            "Resolve time, median",
                            format!("{:.0} ms", times.p50.get()),
                            Some(format!("99 % within {:.0} ms", times.p99.get())),
                        ))
                    }
                }
            }
        }
    }
}

/// The failing exits of one operator.
struct FailingOperator<'a> {
    key: &'a str,
    /// The longest streak first.
    failing: Vec<&'a ReportedRelay>,
    /// How many relays have a result.
    all: usize,
    weight: u64,
}

fn operators<'a>(
    facts: &[&'a ReportedRelay],
    all: &'a [ReportedRelay],
) -> Vec<FailingOperator<'a>> {
    let mut found: BTreeMap<&str, FailingOperator<'_>> = BTreeMap::new();
    for relay in facts {
        let key = relay.operator.as_str();
        let one = found.entry(key).or_insert_with(|| FailingOperator {
            key,
            failing: Vec::new(),
            all: 0,
            weight: 0,
        });
        one.failing.push(relay);
        one.weight = one.weight.saturating_add(weight(relay));
    }
    for relay in all {
        if let Some(one) = found.get_mut(relay.operator.as_str()) {
            one.all += 1;
        }
    }
    let mut found: Vec<FailingOperator<'_>> = found.into_values().collect();
    for one in &mut found {
        one.failing.sort_by_key(|relay| {
            (std::cmp::Reverse(relay.consecutive_failures), relay.exit_fingerprint)
        });
    }
    found.sort_by_key(|one| std::cmp::Reverse((one.failing.len(), one.weight)));
    found
}

fn weight(relay: &ReportedRelay) -> u64 {
    relay.relay.bandwidth.consensus_weight.unwrap_or(0)
}

/// A share of a weight, in percent. Weights beyond what a float holds are no exit's.
#[expect(clippy::cast_precision_loss, reason = "a share is shown with two digits")]
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64 * 100.0)
}

fn who(facts: &[&ReportedRelay], all: &[ReportedRelay], metadata: &Metadata) -> Markup {
    let found = operators(facts, all);
    html! {
        h2 { "Who fails" }
        @if found.is_empty() {
            p { "No failure is confirmed." }
        } @else {
            p {
                (plural(facts.len(), "exit", "exits")) " of "
                (plural(found.len(), "operator", "operators"))
                @if found.len() > 1 { ", the operators with the most failing exits first" }
                ". Failures that only one attempt saw, and those that may be ours, are not here."
            }
            @for one in found.iter().take(OPERATORS) {
                (operator(one, metadata.bandwidth.total_weight))
            }
            @if found.len() > OPERATORS {
                p { "And " (plural(found.len() - OPERATORS, "operator", "operators")) " more: see " a href="latest.json" { "latest.json" } "." }
            }
        }
    }
}

fn operator(one: &FailingOperator<'_>, whole: u64) -> Markup {
    let FailingOperator { key, failing, all, weight } = one;
    html! {
        section {
            h3 { (operator_name(key, failing)) }
            p {
                (grouped(failing.len())) " of " (plural(*all, "exit", "exits")) " fail, "
                (percent(share(*weight, whole))) " of the weight of all exits. "
                (contact(key, failing))
            }
            ul {
                @for relay in failing.iter().take(RELAYS) { li { (failing_relay(relay)) } }
            }
            @if failing.len() > RELAYS {
                p { "And " (plural(failing.len() - RELAYS, "exit", "exits")) " more." }
            }
        }
    }
}

/// What an operator is called by the key: the domain, the contact, or the first of the relays.
fn operator_name(key: &str, failing: &[&ReportedRelay]) -> String {
    let first = || failing.first().map_or_else(|| foreign(key), |relay| name_of(relay));
    match key.split_once(':') {
        Some(("domain" | "contact", name)) if !name.trim().is_empty() => foreign(name),
        Some(("family", _)) => format!("The family of {}", first()),
        _ => first(),
    }
}

/// The contact, and whether it is proved to be of whoever runs the relay.
fn contact(key: &str, failing: &[&ReportedRelay]) -> Markup {
    let line_of = |relay: &&&ReportedRelay| {
        relay.relay.contact.as_deref().is_some_and(|line| !line.trim().is_empty())
    };
    let is_proved = |relay: &&&ReportedRelay| {
        relay.domain.as_ref().is_some_and(|domain| {
            domain.proved && key.strip_prefix("domain:") == Some(domain.name.as_str())
        })
    };
    let proved = failing.iter().filter(is_proved).find(line_of);
    let any = proved.or_else(|| failing.iter().find(line_of));
    html! {
        @match any.and_then(|relay| relay.relay.contact.as_deref()) {
            None => "There is no contact.",
            Some(line) => {
                "Contact (" strong { @if proved.is_some() { "the domain is proved" } @else { "not proved: anybody can write that" } } "): "
                bdi { (foreign(line)) }
            }
        }
    }
}

fn failing_relay(relay: &ReportedRelay) -> Markup {
    html! {
        bdi { (name_of(relay)) } " " code { (relay.exit_address) } " "
        @if let Some(cause) = relay.error_code { code { (cause) } ", " }
        (plural(count(relay.consecutive_failures), "run", "runs")) " in a row"
        @if let Some(since) = relay.failing_since { ", since " (time_element(since)) }
        br;
        code.fingerprint { (relay.exit_fingerprint) }
    }
}

fn why(facts: &[&ReportedRelay]) -> Markup {
    let mut causes: HashMap<ErrorCode, usize> = HashMap::new();
    for cause in facts.iter().filter_map(|relay| relay.error_code) {
        *causes.entry(cause).or_default() += 1;
    }
    let mut causes: Vec<(ErrorCode, usize)> = causes.into_iter().collect();
    causes.sort_by_key(|(cause, relays)| (std::cmp::Reverse(*relays), *cause));
    html! {
        @if !causes.is_empty() {
            h2 { "Why they fail" }
            ul {
                @for (cause, relays) in causes {
                    li {
                        code { (cause) } ", " (plural(relays, "exit", "exits")) ": "
                        (cause.meaning().replace('`', ""))
                    }
                }
            }
        }
    }
}

fn happenings(incidents: &[Incident]) -> Markup {
    let open: Vec<&Incident> = incidents.iter().filter(|one| one.is_open()).collect();
    html! {
        h2 { "Open incidents" }
        @if open.is_empty() {
            p { "None." }
        } @else {
            ul {
                @for one in open.iter().take(INCIDENTS) {
                    li {
                        bdi { (capitalised(&foreign(&words::title(one)))) } ", since " (time_element(one.since))
                        @if one.down().next().is_some() { ": " (percent(Some(one.down_percent()))) " of the weight of all exits" }
                    }
                }
            }
            @if open.len() > INCIDENTS {
                p { "And " (grouped(open.len() - INCIDENTS)) " more: see " a href="incidents.json" { "incidents.json" } "." }
            }
        }
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn method() -> Markup {
    html! {
        h2 { "How this is found" }
        p {
            "Several times a day, every exit relay is asked, over a circuit of its own, to resolve a name that nobody has ever asked for. A failure is tried again through other first hops, and confirmed by later rounds of the same run, before it counts. What fails on the way to an exit, or at our own name servers, is not held against the exit."
        }
    }
}

fn footer(metadata: &Metadata) -> Markup {
    html! {
        footer {
            p {
                "The same and more, with JavaScript: " a href="./" { "the dashboard" } ". As data: "
                a href="latest.json" { "latest.json" } ", " a href="trends.json" { "trends.json" } ", "
                a href="files.json" { "files.json" } ", " a href="incidents.json" { "incidents.json" } ". News: "
                a href="feed.atom" { "feed.atom" } "."
            }
            @if let Some(publisher) = &metadata.publisher { (published_by(publisher)) }
            @if let Some(license) = &metadata.license { p { "Licence of the data: " (foreign(license)) "." } }
            @if let Some(source) = &metadata.locations { p { (foreign(&source.attribution)) } }
        }
    }
}

fn published_by(publisher: &Publisher) -> Markup {
    let Publisher { name, contact, source } = publisher;
    let who: Vec<String> =
        [name, contact].into_iter().flatten().map(|text| foreign(text)).collect();
    let is_address = |text: &&String| text.starts_with("https://") || text.starts_with("http://");
    html! {
        @if !who.is_empty() { p { "Published by " bdi { (who.join(", ")) } "." } }
        @if let Some(source) = source.as_ref().filter(is_address) {
            p { "Source of what the publisher runs: " a href=(foreign(source)) rel="noopener noreferrer" { (foreign(source)) } "." }
        }
    }
}

#[cfg(test)]
mod tests;
