//! The page is held to the report that the aggregation's own tests are held to.

use proptest::prelude::*;
use record::{
    AffectedRelay, Fingerprint, IncidentSubject, Kind, LocationSource, ProofMethod, RelayDomain,
    Status,
};

use super::*;
use crate::export::tests::example;

/// Incidents of an operator and of the whole network, one of them over.
fn incidents(operator: &str) -> Incidents {
    let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
    let relay = AffectedRelay {
        nickname: "relay4".to_owned(),
        address: "192.0.0.1".parse().unwrap(),
        since: at("2026-01-01T01:50:00Z"),
        failed: 6,
        causes: BTreeMap::from([(ErrorCode::Servfail, 6)]),
        weight_ppm: 165_535,
        network: None,
        resolver_networks: Vec::new(),
        tested: at("2026-01-02T07:50:00Z"),
        worked: 0,
        working_since: None,
        left: None,
    };
    let one = |id: &str, subject, closed: Option<&str>| Incident {
        id: id.to_owned(),
        subject,
        since: at("2026-01-01T01:50:00Z"),
        opened: at("2026-01-01T07:50:00Z"),
        closed: closed.map(at),
        reopened: 0,
        relays: BTreeMap::new(),
        detail: None,
        gone: false,
    };
    let operator = IncidentSubject::Operator { operator: operator.to_owned() };
    let network =
        IncidentSubject::AutonomousSystem { number: 64500, name: "EXAMPLE-AS".to_owned() };
    let mut first = one("2026-01-01-00000001", operator, None);
    first.relays.insert(Fingerprint::from_bytes([4; 20]), relay);
    Incidents {
        format: Kind::Incidents.format(),
        incidents: vec![
            first,
            one("2026-01-01-00000002", IncidentSubject::FailureRate, None),
            one("2026-01-01-00000003", network, Some("2026-01-02T01:50:00Z")),
        ],
    }
}

/// The page with a line for each element. The dashboard's tests look at it in a browser.
fn lines(page: &str) -> String {
    page.replace('<', "\n<").replace("\n</", "</")
}

/// The tags of a page, in their order, with their attributes, but for what follows in the one attribute that
/// has a text of the publisher's.
fn tags(page: &str) -> Vec<String> {
    let inner = page.split('<').skip(1);
    let tags = inner.map(|rest| rest.split_once('>').map_or(rest, |(tag, _)| tag));
    let plain = |tag: &str| {
        let (before, rest) = tag.split_once("https://example.org/")?;
        Some(format!("{before}{}", rest.split_once('"')?.1))
    };
    tags.map(|tag| plain(tag).unwrap_or_else(|| tag.to_owned())).collect()
}

#[test]
fn the_page() {
    let beside = Beside { trends: None, incidents: Some(incidents("contact:abuse example org")) };
    let page = of_report(&example(), &beside);
    assert!(page.starts_with("<!DOCTYPE html>"));
    // Small enough for one exchange with a server on the other side of Tor.
    assert!(page.len() < 14_000, "{} bytes", page.len());
    assert!(!page.contains("<script") && !page.contains("src=") && !page.contains("style="));
    insta::assert_snapshot!(lines(&page));
}

#[test]
fn only_what_is_confirmed_and_not_our_fault_is_held_against_anybody() {
    let mut report = example();
    let failing = report.results.iter().find(|one| is_fact(one)).unwrap().clone();
    report.results.clear();
    type Change = fn(&mut ReportedRelay);
    let changes: [Change; 5] = [
        |relay| relay.provisional = true,
        |relay| relay.blame = Some(Blame::Zone),
        |relay| relay.blame = Some(Blame::Scanner),
        |relay| relay.status = Status::CircuitFail,
        |relay| relay.relay.flags.push("BadExit".to_owned()),
    ];
    for change in changes {
        let mut relay = failing.clone();
        change(&mut relay);
        report.results.push(relay);
    }
    let page = of_report(&report, &Beside::default());
    assert!(page.contains("No failure is confirmed."), "{page}");
    assert!(!page.contains(&failing.exit_fingerprint.to_string()));
    assert!(!page.contains("Open incidents"), "nobody has said anything of incidents");
}

#[test]
fn a_contact_is_called_proved_only_with_the_domain_of_its_operator() {
    let mut report = example();
    let mut relay = report.results.iter().find(|one| is_fact(one)).unwrap().clone();
    relay.relay.contact = Some("url:https://example.org".to_owned());
    let domain = |name: &str, proved| RelayDomain {
        name: name.to_owned(),
        method: ProofMethod::UriRsa,
        proved,
        proved_at: None,
        checked_at: None,
        problem: None,
    };
    for (operator, claimed, proved) in [
        ("domain:example.org", Some(domain("example.org", true)), true),
        // Here by its family: the domain has said nothing of this relay.
        ("domain:example.org", None, false),
        ("domain:example.org", Some(domain("example.net", true)), false),
        ("domain:example.org", Some(domain("example.org", false)), false),
        ("contact:example.org", Some(domain("example.org", true)), false),
    ] {
        relay.operator = operator.to_owned();
        relay.domain = claimed;
        report.results = vec![relay.clone()];
        let page = of_report(&report, &Beside::default());
        assert_eq!(page.contains("the domain is proved"), proved, "{operator}");
        assert_eq!(page.contains("not proved: anybody can write that"), !proved, "{operator}");
    }
}

#[test]
fn the_next_report_is_due_after_the_usual_time() {
    let report = example();
    let metadata = &report.metadata;
    // Since the report before.
    assert_eq!(interval(metadata, None), TimeDelta::hours(6));
    let entry = serde_json::json!({
        "run_id": "x", "published": true, "reasons": [], "total_relays": 0, "success": 0, "wrong_ip": 0,
        "dns_fail": 0, "timeout": 0, "circuit_fail": 0, "error": 0, "exception": 0,
        "dns_success_rate_percent": null, "reachability_rate_percent": null,
        "failing_bandwidth_percent": null, "states": {}, "error_codes": {}, "blames": {},
        "resolve_ms": null, "circuit_ms": null, "timestamp": metadata.timestamp,
    });
    let mut entry: record::TrendEntry = serde_json::from_value(entry).unwrap();
    let mut trends = Trends { format: Kind::Trends.format(), runs: Vec::new() };
    for hours in [99, 12, 9, 6, 3, 0, -50] {
        entry.timestamp = metadata.timestamp - TimeDelta::hours(hours);
        trends.runs.push(entry.clone());
    }
    // What lies in the future is no run.
    assert_eq!(interval(metadata, Some(&trends)), TimeDelta::hours(3));
    let page = of_report(&report, &Beside { trends: Some(trends), incidents: None });
    assert!(page.contains("due about <time datetime=\"2026-01-02T10:50:00Z\">"), "{page}");
}

#[test]
fn a_broken_network_does_not_make_an_endless_page() {
    let mut report = example();
    let relay = report.results.iter().find(|one| is_fact(one)).unwrap().clone();
    for number in 0..20_000_u32 {
        let mut bytes = [0xee; 20];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        let exit_fingerprint = Fingerprint::from_bytes(bytes);
        let operator = format!("contact:{}", number / 50);
        report.results.push(ReportedRelay { exit_fingerprint, operator, ..relay.clone() });
    }
    let page = of_report(&report, &Beside::default());
    assert!(page.len() < 700_000, "{} bytes", page.len());
    assert!(page.contains("And 30 exits more."), "each operator has fifty");
    assert!(page.contains("operators more: see"));
}

#[test]
fn shares_are_never_rounded_to_nothing_or_to_all() {
    for (share, shown) in [
        (Some(0.0), "0.00 %"),
        (Some(0.004), "< 0.01 %"),
        (Some(0.005), "0.01 %"),
        (Some(33.337), "33.34 %"),
        (Some(99.994), "99.99 %"),
        (Some(99.999), "> 99.99 %"),
        (Some(100.0), "100.00 %"),
        (None, "not known"),
    ] {
        assert_eq!(percent(share).replace('\u{a0}', " "), shown);
    }
    assert_eq!(["0", "999", "1,000", "1,234,567"], [0, 999, 1000, 1_234_567].map(grouped)[..]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_text_of_strangers_is_markup(
        text in "(?s)([<>&\"'/=!;:\u{202e}\u{1b}\0\n -]|script|style|href|<b>|</|&lt;|-->|\\PC){0,40}",
    ) {
        let of = |text: &str| {
            let mut report = example();
            for relay in &mut report.results {
                relay.exit_nickname = format!("n{text}");
                relay.operator = format!("contact:c{text}");
                relay.relay.contact = Some(format!("c{text}"));
                relay.relay.platform = Some(text.to_owned());
                relay.error = Some(text.to_owned());
            }
            report.metadata.license = Some(text.to_owned());
            report.metadata.publisher = Some(Publisher {
                name: Some(format!("n{text}")),
                contact: Some(format!("c{text}")),
                source: Some(format!("https://example.org/{text}")),
            });
            let date = report.metadata.timestamp;
            report.metadata.locations =
                Some(LocationSource { attribution: text.to_owned(), date, old: false });
            let incidents = Some(incidents(&format!("contact:{text}")));
            of_report(&report, &Beside { trends: None, incidents })
        };
        let (plain, page) = (of(""), of(&text));
        prop_assert_eq!(tags(&plain), tags(&page));
        prop_assert!(!page.trim_end().chars().any(|c| c != '\n' && printable(&c.to_string()) != c.to_string()));
    }
}
