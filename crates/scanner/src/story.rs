//! One relay's attempts, told to a person. Pure: text in, text out, and every stranger's word
//! made fit for a terminal.

use std::fmt::Write;

use record::{
    Attempt, CircuitState, Millis, Query, RelayResult, ResolverChecks, Status, Via, printable,
};

/// What an attempt did and saw, a few lines.
#[must_use]
pub fn attempt(attempt: &Attempt) -> String {
    let mut text = format!("Attempt {} through {}", attempt.number, attempt.first_hop);
    if attempt.round > 0 {
        let _ = write!(text, " (confirming round {})", attempt.round);
    }
    text.push('\n');
    let circuit = &attempt.circuit;
    let reasons = [&circuit.reason, &circuit.remote_reason];
    let reasons: Vec<String> = reasons.into_iter().flatten().map(|r| printable(r)).collect();
    let because =
        if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
    let built = attempt.timing.circuit_ms.map(took).unwrap_or_default();
    let circuit = match circuit.state {
        CircuitState::Refused => format!(
            "tor would not launch the circuit: {}",
            printable(circuit.refusal.as_deref().unwrap_or("no reason given"))
        ),
        CircuitState::Pending => {
            format!("circuit not built in time: {} of 2 relays reached", circuit.hops)
        }
        CircuitState::Failed => {
            format!("circuit failed: {} of 2 relays reached{because}", circuit.hops)
        }
        CircuitState::Built => format!("circuit built{built}"),
        CircuitState::Died => format!("circuit built{built}, and died{because}"),
        CircuitState::Lost => "the local tor was lost".to_owned(),
    };
    let _ = writeln!(text, "  {circuit}");
    for query in &attempt.queries {
        let _ = writeln!(
            text,
            "  asked {} {}: {}",
            printable(&query.name),
            way(query.via),
            came(query)
        );
    }
    let _ = write!(text, "  => {}", attempt.status);
    if let Some(code) = attempt.error_code {
        let _ = write!(text, " {code}");
    }
    if let Some(error) = &attempt.error {
        let _ = write!(text, ": {}", printable(error));
    } else if let Some(address) = &attempt.resolved_ip {
        let _ = write!(text, ": {}", printable(address));
    }
    text.push('\n');
    text
}

const fn way(via: Via) -> &'static str {
    match via {
        Via::Socks => "by SOCKS RESOLVE",
        Via::DnsPortA => "by DNSPort, type A",
        Via::DnsPortAaaa => "by DNSPort, type AAAA",
        Via::Connect => "for a connection, by SOCKS CONNECT",
    }
}

fn took(time: Millis) -> String {
    format!(" in {:.0} ms", time.get())
}

fn came(query: &Query) -> String {
    let mut parts = Vec::new();
    let addresses: Vec<String> = query.addresses.iter().map(ToString::to_string).collect();
    match (query.socks_reply, &query.rcode) {
        _ if !addresses.is_empty() => parts.push(addresses.join(" ")),
        (Some(4), _) => parts.push("no address (reply 4)".to_owned()),
        (Some(reply), _) => parts.push(format!("reply {reply}")),
        (None, Some(rcode)) => parts.push(printable(rcode)),
        (None, None) => parts.push("no reply".to_owned()),
    }
    if let Some(time) = query.resolve_ms {
        parts.push(format!("{:.0} ms", time.get()));
    }
    match query.stream_reason.as_deref() {
        Some("DONE") => parts.push("the exit answered".to_owned()),
        Some(reason) => {
            let remote = query.stream_remote_reason.as_deref();
            let remote = remote.map(|why| format!(" ({})", printable(why))).unwrap_or_default();
            parts.push(format!("stream closed by {}{remote}", printable(reason)));
        }
        None => {}
    }
    if let Some(error) = &query.local_error {
        parts.push(printable(error));
    }
    parts.join(", ")
}

/// The verdict on a relay, and what its operator may look at.
#[must_use]
pub fn verdict(result: &RelayResult) -> String {
    let mut text = format!(
        "{} {} ({}): {}",
        result.exit_fingerprint,
        printable(&result.exit_nickname),
        result.exit_address,
        result.status
    );
    if let Some(code) = result.error_code {
        let _ = write!(text, " {code}");
    }
    if let Some(blame) = result.blame {
        let _ = write!(text, ", fault: {blame}");
    }
    text.push('\n');
    if result.status == Status::Success {
        let time = result.latency_ms.map(|time| format!(" in {:.0} ms", time.get()));
        let _ = writeln!(
            text,
            "The exit resolved a fresh name to {}{}.",
            printable(result.resolved_ip.as_deref().unwrap_or("an address")),
            time.unwrap_or_default()
        );
    } else if let Some(code) = result.error_code {
        let _ = writeln!(text, "{}", code.meaning());
    }
    if let Some(ipv6) = &result.ipv6 {
        let _ = writeln!(text, "IPv6 addresses: {}", ipv6.outcome.meaning());
    }
    if let Some(checks) = &result.checks {
        let _ = writeln!(text, "Its resolver: {}", resolver(checks));
    }
    for finding in &result.findings {
        let (message, remedy) = (printable(&finding.message), printable(&finding.remedy));
        let _ = writeln!(text, "{}: {message}\n{remedy}", finding.code);
    }
    text
}

/// What the checks show of a resolver.
fn resolver(checks: &ResolverChecks) -> String {
    let addresses: Vec<String> = checks.addresses.iter().map(ToString::to_string).collect();
    let addresses = if addresses.is_empty() { "unknown".to_owned() } else { addresses.join(", ") };
    let mut text = format!("asks from {addresses}");
    for (what, outcome) in [
        ("validates", checks.validates),
        ("asks by TCP", checks.tcp),
        ("asks by IPv6", checks.ipv6),
    ] {
        if let Some(outcome) = outcome {
            let _ = write!(text, "; {what}: {outcome}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use record::{CheckOutcome, FindingCode, Ipv6Lookups, Ipv6Outcome, RelayFinding};

    use super::*;

    #[test]
    fn what_stands_beside_the_verdict_is_told_and_acts_on_no_terminal() {
        let mut result = crate::results::tests::result(1, 1);
        result.ipv6 = Some(Ipv6Lookups {
            outcome: Ipv6Outcome::NoAddress,
            expected: None,
            lookups: Vec::new(),
        });
        result.checks = Some(ResolverChecks {
            addresses: vec!["198.51.100.53".parse().unwrap(), "2001:db8::53".parse().unwrap()],
            validates: Some(CheckOutcome::Yes),
            tcp: Some(CheckOutcome::Unknown),
            ipv6: None,
            lookups: Vec::new(),
        });
        result.findings.push(RelayFinding {
            code: FindingCode::NamedFilter,
            name: Some("Example".to_owned()),
            message: "answered with Example's \u{1b}[31mblock page".to_owned(),
            remedy: "Use another resolver.".to_owned(),
        });
        insta::assert_snapshot!(verdict(&result));
    }
}
