//! What incidents are in words. Pure. Strangers' texts come out without control characters.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::{DateTime, TimeDelta, Utc};
use record::{AffectedRelay, ErrorCode, Incident, IncidentSubject, printable};

use crate::incident::{Change, Happening};

/// How many relays a text lists of one incident.
const LISTED: usize = 20;

/// Whose relays an incident is about, in words.
#[must_use]
pub fn of_operator(key: &str) -> String {
    match key.split_once(':') {
        Some(("contact", contact)) => format!("the operator {}", printable(contact)),
        Some(("family", first)) => format!("the family of {}", printable(first)),
        Some(("relay", relay)) => format!("the relay {}", printable(relay)),
        _ => printable(key),
    }
}

/// An incident on one line.
#[must_use]
pub fn title(incident: &Incident) -> String {
    match &incident.subject {
        IncidentSubject::Operator { operator } => {
            let who = of_operator(operator);
            let down = incident.down().count();
            let all = incident.relays.len();
            if incident.is_open() {
                format!("{} of {who} cannot resolve names", exits(down))
            } else if incident.gone {
                format!("{} of {who} could not resolve names, and left", exits(all))
            } else {
                format!("{} of {who} could not resolve names, and can again", exits(all))
            }
        }
        IncidentSubject::AutonomousSystem { number, name } => {
            let name = printable(name);
            let ended = if incident.is_open() { "fail" } else { "failed" };
            format!("exits of several operators {ended} in AS{number} {name}").trim_end().to_owned()
        }
        IncidentSubject::ResolverNetwork { number, name } => {
            let name = printable(name);
            let ended = if incident.is_open() { "fail" } else { "failed" };
            format!("exits of several operators {ended} whose resolver is in AS{number} {name}")
                .trim_end()
                .to_owned()
        }
        IncidentSubject::FailureRate if incident.is_open() => {
            "more lookups than usual fail in the whole network".to_owned()
        }
        IncidentSubject::FailureRate => {
            "more lookups than usual failed in the whole network".to_owned()
        }
        IncidentSubject::Zone if incident.is_open() => {
            "our own zone does not answer as it must".to_owned()
        }
        IncidentSubject::Zone => "our own zone did not answer as it must".to_owned(),
        IncidentSubject::Silence if incident.is_open() => "there is no new report".to_owned(),
        IncidentSubject::Silence => "there was no new report for a while".to_owned(),
    }
}

fn exits(count: usize) -> String {
    if count == 1 { "1 exit".to_owned() } else { format!("{count} exits") }
}

/// The causes of an incident, the most frequent first, with what they mean.
#[must_use]
pub fn causes(incident: &Incident) -> Vec<(ErrorCode, u32)> {
    let mut counts: BTreeMap<ErrorCode, u32> = BTreeMap::new();
    for relay in incident.relays.values() {
        for (cause, count) in &relay.causes {
            *counts.entry(*cause).or_default() += count;
        }
    }
    let mut counts: Vec<(ErrorCode, u32)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}

/// Everything about an incident that those who run the system are told.
#[must_use]
pub fn story(incident: &Incident) -> String {
    let mut text = String::new();
    let time = |time: DateTime<Utc>| time.format("%Y-%m-%d %H:%M UTC");
    line(&mut text, format_args!("since {}", time(incident.since)));
    if let Some(closed) = incident.closed {
        let lasted = span(closed - incident.since);
        line(&mut text, format_args!("until {}, after {lasted}", time(closed)));
    }
    if incident.reopened > 0 {
        let times = times(incident.reopened);
        line(&mut text, format_args!("it had ended before, {times}, and came back"));
    }
    if let Some(detail) = &incident.detail {
        line(&mut text, format_args!("{detail}"));
    }
    if incident.is_open() && !incident.relays.is_empty() {
        let percent = incident.down_percent();
        line(&mut text, format_args!("{percent:.2} % of the weight of all exits"));
    }
    for (cause, count) in causes(incident) {
        let meaning = cause.meaning().replace('`', "");
        let meaning = meaning.split_once(". ").map_or(meaning.as_str(), |(first, _)| first);
        let runs = times(count);
        line(&mut text, format_args!("{cause}, {runs}: {}", meaning.trim_end_matches('.')));
    }
    let down: Vec<_> = incident.down().collect();
    for (fingerprint, relay) in down.iter().take(LISTED) {
        line(&mut text, format_args!("{fingerprint} {}", of_relay(relay)));
    }
    if down.len() > LISTED {
        line(&mut text, format_args!("and {} more", down.len() - LISTED));
    }
    text
}

fn of_relay(relay: &AffectedRelay) -> String {
    let runs = if relay.failed == 1 { "run" } else { "runs" };
    format!(
        "{} at {}: {} {runs} since {}",
        printable(&relay.nickname),
        relay.address,
        relay.failed,
        relay.since.format("%Y-%m-%d %H:%M")
    )
}

fn line(text: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing into a string does not fail.
    let _ = writeln!(text, "  {what}");
}

/// A time span in the unit that fits.
#[must_use]
pub fn span(time: TimeDelta) -> String {
    let (count, unit) = match (time.num_days(), time.num_hours()) {
        (days @ 2.., _) => (days, "days"),
        (_, hours @ 2..) => (hours, "hours"),
        _ => (time.num_minutes(), "minutes"),
    };
    format!("{count} {unit}")
}

/// A mail to those who run the system: what is new, what has ended, what goes on. The worst first.
#[must_use]
pub fn digest(
    changes: &[Change],
    incidents: &[&Incident],
    site: Option<&str>,
) -> Option<(String, String)> {
    let happened = |incident: &Incident, wanted: &[Happening]| {
        changes
            .iter()
            .any(|change| change.incident == incident.id && wanted.contains(&change.happening))
    };
    let mut sorted: Vec<&Incident> = incidents.to_vec();
    let network =
        |incident: &Incident| !matches!(incident.subject, IncidentSubject::Operator { .. });
    let worst = |incident: &Incident| {
        let weight: u64 = incident.relays.values().map(|relay| u64::from(relay.weight_ppm)).sum();
        std::cmp::Reverse((network(incident), weight))
    };
    sorted.sort_by_key(|incident| (worst(incident), incident.id.clone()));
    let begun = [Happening::Opened, Happening::Reopened];
    let [mut new, mut over, mut ongoing] = [const { Vec::new() }; 3];
    for incident in sorted {
        if incident.is_open() && happened(incident, &begun) {
            new.push(incident);
        } else if incident.is_open() {
            ongoing.push(incident);
        } else if happened(incident, &[Happening::Closed]) {
            over.push(incident);
        }
    }
    if new.is_empty() && over.is_empty() && ongoing.is_empty() {
        return None;
    }
    let subject = format!(
        "Tor exits: {} new, {} recovered, {} ongoing",
        new.len(),
        over.len(),
        ongoing.len()
    );
    let mut text = String::new();
    for (heading, incidents) in [("New", new), ("Recovered", over), ("Ongoing", ongoing)] {
        if incidents.is_empty() {
            continue;
        }
        let _ = writeln!(text, "{heading}\n");
        for incident in incidents {
            let _ = writeln!(text, "* {}", title(incident));
            text.push_str(&story(incident));
            if let Some(site) = site {
                line(&mut text, format_args!("{}", address(site, &incident.id)));
            }
            text.push('\n');
        }
    }
    Some((subject, text))
}

/// A count in words.
fn times(count: u32) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

/// Where the dashboard shows an incident.
#[must_use]
pub fn address(site: &str, id: &str) -> String {
    format!("{}/#/incident/{id}", site.trim_end_matches('/'))
}
