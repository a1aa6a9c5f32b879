//! What there is to show of an exit that gives wrong answers, for those who can take it out of the
//! network (bad-relays@lists.torproject.org). Pure. It tells what was asked and what came, and guesses
//! nothing.

use std::fmt::Write as _;

use record::{Attempt, FindingCode, Report, ReportedRelay, Status, Via, printable};
use serde_json::json;

/// Why there is no evidence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// The report does not know the relay.
    #[error("the report has no result of this relay")]
    Unknown,
    /// It did not answer wrongly.
    #[error(
        "the report has {0} of this relay, not wrong_ip: a resolver that fails is its operator's to mend, \
         and no case for bad-relays"
    )]
    NotWrong(Status),
    /// It answered with the page of a known filter.
    #[error(
        "this relay answered with {0}: a filter that its operator can turn off, and no case for bad-relays \
         before the operator was asked"
    )]
    KnownFilter(String),
    /// Only one attempt saw it.
    #[error(
        "only one attempt saw a wrong answer, and no second one has confirmed it: wait for the next run"
    )]
    OneWitness,
}

/// A relay of which there is evidence, and the report that has it.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    report: &'a Report,
    relay: &'a ReportedRelay,
}

impl<'a> Evidence<'a> {
    /// What a report has against a relay.
    ///
    /// # Errors
    ///
    /// [`EvidenceError`].
    pub fn of(
        report: &'a Report,
        fingerprint: &record::Fingerprint,
    ) -> Result<Self, EvidenceError> {
        let found = report.results.iter().find(|relay| relay.exit_fingerprint == *fingerprint);
        let relay = found.ok_or(EvidenceError::Unknown)?;
        if relay.status != Status::WrongIp {
            return Err(EvidenceError::NotWrong(relay.status));
        }
        let named = |code| relay.findings.iter().find(|finding| finding.code == code);
        if let Some(filter) = named(FindingCode::NamedFilter) {
            let name = filter.name.as_deref().unwrap_or("the page of a known filter");
            return Err(EvidenceError::KnownFilter(printable(name)));
        }
        let wrong = |attempt: &&Attempt| attempt.status == Status::WrongIp;
        if relay.provisional || relay.attempts.iter().filter(wrong).count() < 2 {
            return Err(EvidenceError::OneWitness);
        }
        Ok(Self { report, relay })
    }

    /// For a person.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { report, relay } = self;
        let mut text = String::new();
        // Writing into a string does not fail.
        let mut line = |what: String| {
            let _ = writeln!(text, "{what}");
        };
        let wrong = |attempt: &&Attempt| attempt.status == Status::WrongIp;
        let count = relay.attempts.iter().filter(wrong).count();
        let hops: std::collections::BTreeSet<_> =
            relay.attempts.iter().filter(wrong).map(|attempt| attempt.first_hop).collect();
        line("An exit relay gives wrong answers to DNS lookups.".to_owned());
        line(String::new());
        line(format!("Fingerprint: {}", relay.exit_fingerprint));
        line(format!("Nickname:    {}", printable(&relay.exit_nickname)));
        line(format!("Address:     {}", relay.exit_address));
        let contact = relay.relay.contact.as_deref().map_or("none".to_owned(), printable);
        line(format!("Contact:     {contact}"));
        let zone = printable(&report.metadata.domain);
        let expected = report.metadata.expected_ip;
        let expected =
            expected.map_or_else(|| "NXDOMAIN".to_owned(), |address| address.to_string());
        line(String::new());
        line(format!(
            "Every name under {zone} resolves to {expected}. Each attempt asked for a name that had never \
             been asked for, through a circuit of two hops that ends at this exit. {count} of {} attempts \
             got another address, through {} first hop(s):",
            relay.attempts.len(),
            hops.len(),
        ));
        for attempt in &relay.attempts {
            line(String::new());
            of_attempt(attempt, &mut line);
        }
        line(String::new());
        if let Some(since) = relay.failing_since {
            let since = since.format("%Y-%m-%d %H:%M:%S UTC");
            line(format!(
                "Runs in a row that found its DNS failing: {}, since {since}.",
                relay.consecutive_failures
            ));
        }
        line(format!(
            "Report: run {} of {}.",
            printable(&report.metadata.run_id),
            report.metadata.timestamp.format("%Y-%m-%d %H:%M:%S UTC")
        ));
        line(String::new());
        line("To see it for yourself:".to_owned());
        line(format!(
            "  exit-validator scan --dry-run -e {} -H {zone}   (without --dry-run: asks it)",
            relay.exit_fingerprint
        ));
        if let Some(attempt) = relay.attempts.iter().find(wrong) {
            line(format!(
                "  or by tor's control port: EXTENDCIRCUIT 0 {},{}; attach a RESOLVE of a fresh name \
                 under {zone} to that circuit",
                attempt.first_hop, relay.exit_fingerprint
            ));
        }
        text
    }

    /// For a program: the report's own words about the relay, and the run's frame.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        let metadata = &self.report.metadata;
        json!({
            "timestamp": metadata.timestamp,
            "run_id": metadata.run_id,
            "mode": metadata.mode,
            "domain": metadata.domain,
            "expected_ip": metadata.expected_ip,
            "tor_versions": metadata.tor_versions,
            "scanner_versions": metadata.scanner_versions,
            "relay": self.relay,
        })
    }
}

fn of_attempt(attempt: &Attempt, line: &mut impl FnMut(String)) {
    let time = attempt.started.format("%Y-%m-%d %H:%M:%S UTC");
    let what = attempt.error_code.map_or("success", record::ErrorCode::as_str);
    line(format!("Attempt {} at {time}, first hop {}: {what}", attempt.number, attempt.first_hop));
    for query in &attempt.queries {
        let by = match query.via {
            Via::Socks => "RESOLVE by SOCKS",
            Via::DnsPortA => "A by DNSPort",
            Via::DnsPortAaaa => "AAAA by DNSPort",
            Via::Connect => "connection",
        };
        let addresses: Vec<String> = query.addresses.iter().map(ToString::to_string).collect();
        let came =
            if addresses.is_empty() { "no address".to_owned() } else { addresses.join(", ") };
        let took =
            query.resolve_ms.map(|time| format!(" after {:.0} ms", time.get())).unwrap_or_default();
        line(format!("  {by} of {}: {came}{took}", printable(&query.name)));
    }
}
