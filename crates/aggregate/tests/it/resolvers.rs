//! Who resolves names for exits: what a report says of it, through the history.

use std::net::IpAddr;

use aggregate::gate::Thresholds;
use aggregate::history::{History, Standing};
use aggregate::location::Locations;
use aggregate::reconcile;
use chrono::{DateTime, Utc};
use record::{
    CheckOutcome, LocationSource, PublicResolver, RelayLocation, RelayResolver, Report,
    ResolverChecks, ResolverKind, ResolverRule,
};

use crate::fixture::{Scan, relay, scan};
use crate::reported::report_with;
use crate::schema;

fn checks(addresses: &[&str], validates: Option<CheckOutcome>) -> ResolverChecks {
    ResolverChecks {
        addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
        validates,
        tcp: None,
        ipv6: None,
        lookups: Vec::new(),
    }
}

/// The networks of the test, by the first two numbers of an address.
fn locations(addresses: impl IntoIterator<Item = IpAddr>) -> Locations {
    let system = |address: IpAddr| match address {
        IpAddr::V4(address) => match address.octets() {
            [198, 51, ..] => Some((64500, "HOSTER")),
            [192, 0, ..] => Some((64501, "ELSEWHERE")),
            [203, 0, ..] => Some((15169, "GOOGLE")),
            _ => None,
        },
        IpAddr::V6(_) => None,
    };
    let of = addresses.into_iter().filter_map(|address| {
        let (number, name) = system(address)?;
        let location = RelayLocation {
            as_number: Some(number),
            as_name: Some(name.to_owned()),
            country: Some("de".to_owned()),
        };
        Some((address, location))
    });
    let source = LocationSource {
        attribution: "a test".to_owned(),
        date: DateTime::<Utc>::UNIX_EPOCH,
        old: false,
    };
    Locations { source, of: of.collect() }
}

/// Eight relays of weights 10, 20, ... at 198.51.N.9, each with another resolver.
fn run(number: i32) -> Scan {
    let asked: [&[&str]; 8] = [
        &["198.51.1.9"],                // its own address
        &["198.51.2.53"],               // its network
        &["198.51.200.53"],             // its system
        &["192.0.2.53"],                // elsewhere
        &["203.0.113.8", "198.51.5.9"], // a public one, beside its own
        &["100.64.0.1"],                // nobody knows
        &["198.51.1.9"],                // another relay's address
        &[],                            // was not seen
    ];
    let mut scan =
        scan(number, (1..=8).map(|number| (number, if number == 4 { 'd' } else { 's' })));
    for result in &mut scan.results {
        let number = (1..=8_u8).find(|n| relay((*n).into()) == result.exit_fingerprint).unwrap();
        result.exit_address = IpAddr::from([198, 51, number, 9]);
        result.relay.bandwidth.consensus_weight = Some(u64::from(number) * 10);
        result.relay.contact = (number == 3)
            .then(|| "ciissversion:2 dnslocation:local dnssec:y dnsqname:n".to_owned());
        let addresses = asked[usize::from(number) - 1];
        let validates = (number < 3).then_some(CheckOutcome::Yes);
        let validates = validates.or((number == 3).then_some(CheckOutcome::No));
        result.checks = (!addresses.is_empty()).then(|| checks(addresses, validates));
    }
    for planned in &mut scan.plan.relays {
        let number = (1..=8_u8).find(|n| relay((*n).into()) == planned.fingerprint).unwrap();
        planned.address = IpAddr::from([198, 51, number, 9]);
    }
    scan
}

fn report(scan: &Scan, history: Option<&History>) -> Report {
    let addresses = scan.results.iter().flat_map(|result| {
        let asked = result.checks.iter().flat_map(|checks| checks.addresses.clone());
        asked.chain([result.exit_address]).collect::<Vec<_>>()
    });
    let locations = locations(addresses.chain(["203.0.113.8".parse().unwrap()]));
    let report = report_with(std::slice::from_ref(scan), None, history, Some(&locations));
    schema::check("report", &report);
    report
}

fn resolver(report: &Report, number: u32) -> Option<RelayResolver> {
    let found = report.results.iter().find(|one| one.exit_fingerprint == relay(number));
    found.unwrap().resolver.clone()
}

/// A report that has all of it.
pub fn a_report() -> Report {
    report(&run(1), None)
}

#[test]
fn where_resolvers_are_and_what_that_makes_of_the_network() {
    let report = a_report();
    let kinds: Vec<_> = (1..=8).map(|n| resolver(&report, n).and_then(|one| one.kind)).collect();
    use ResolverKind::{Local, Other, Public, SameAs, SameNetwork, Unknown};
    assert_eq!(
        kinds,
        [
            Some(Local),
            Some(SameNetwork),
            Some(SameAs),
            Some(Other),
            Some(Public),
            Some(Unknown),
            Some(SameAs),
            None
        ]
    );
    let declared = resolver(&report, 3).unwrap().declared.unwrap();
    assert_eq!((declared.validates, declared.minimises), (Some(true), Some(false)));
    assert_eq!(resolver(&report, 1).unwrap().declared, None);

    let shares = report.metadata.resolvers.clone().unwrap();
    // 280 of 360, rounded down.
    assert_eq!((shares.covered.relays, shares.covered.percent), (7, 87.5));
    assert_eq!(shares.covered.weight_percent, Some(77.777));
    assert_eq!(shares.kinds[&SameAs].relays, 2);
    assert_eq!(shares.kinds[&SameAs].weight_percent, Some(35.714));
    assert_eq!(shares.public[&PublicResolver::Google].relays, 1);
    let validates = shares.validates.unwrap();
    assert_eq!((validates.yes.relays, validates.no.relays, validates.unknown), (2, 1, 0));
    assert_eq!((validates.yes.weight_percent, validates.no.percent), (Some(50.0), 33.333));
    assert_eq!((shares.tcp, shares.minimises), (None, None));

    let rule = |rule: ResolverRule| {
        let share = shares.rules[&rule];
        (share.yes.relays, share.no.relays, share.unknown)
    };
    assert_eq!(rule(ResolverRule::NoPublic), (5, 1, 1));
    assert_eq!(rule(ResolverRule::OwnNetwork), (4, 2, 1));
    assert_eq!(rule(ResolverRule::AtMostTwo), (7, 0, 0));
    assert_eq!(rule(ResolverRule::NoRelaysAddress), (4, 3, 0));
    assert_eq!(rule(ResolverRule::Validates), (2, 1, 0));
    assert!(!shares.rules.contains_key(&ResolverRule::Minimises));

    let networks: Vec<_> = report
        .resolver_networks
        .iter()
        .map(|one| (one.as_number, one.share.relays, one.tested, one.failing, one.public))
        .collect();
    assert_eq!(
        networks,
        [
            (64500, 5, 5, 0, None),
            (15169, 1, 1, 0, Some(PublicResolver::Google)),
            (64501, 1, 1, 1, None)
        ]
    );
    assert_eq!(shares.large_networks, 3);
    assert_eq!(report.resolver_networks[2].relays, [relay(4)]);
}

#[test]
fn where_nobody_refuses_a_wrong_signature_that_is_the_zone_s_doing() {
    let mut run = run(1);
    for result in &mut run.results {
        if let Some(checks) = &mut result.checks {
            checks.validates = checks.validates.map(|_| CheckOutcome::No);
        }
    }
    let report = report(&run, None);
    let outcome = resolver(&report, 3).unwrap().validates.unwrap().outcome;
    assert_eq!(outcome, CheckOutcome::Unknown);
    let validates = report.metadata.resolvers.unwrap().validates.unwrap();
    assert_eq!((validates.yes.relays, validates.no.relays, validates.unknown), (0, 0, 3));
}

/// A history of the runs 0 to 4, the last three of which saw no resolver.
fn history(directory: &tempfile::TempDir) -> (History, Vec<Report>) {
    let mut history = History::open(&directory.path().join("history.sqlite")).unwrap();
    let mut reports = Vec::new();
    for number in 0..5 {
        let mut run = run(number);
        for result in &mut run.results {
            match number {
                0 => {}
                1 => {
                    // It moved, and whether it validates could not be told.
                    let unknown = Some(CheckOutcome::Unknown);
                    result.checks = Some(checks(&["203.0.113.8"], unknown));
                }
                _ => result.checks = None,
            }
        }
        let report = report(&run, Some(&history));
        history.enter(&report).unwrap();
        history.settle(&report.metadata.run_id, Standing::Published, &[]).unwrap();
        reports.push(report);
    }
    (history, reports)
}

#[test]
fn what_was_seen_stands_for_a_week_and_comes_back_with_the_reports() {
    let directory = tempfile::tempdir().unwrap();
    let (history, reports) = history(&directory);
    let ended: Vec<_> = reports.iter().map(|report| report.metadata.timestamp).collect();
    let seen = resolver(&reports[4], 1).unwrap();
    assert_eq!((seen.kind, seen.seen), (Some(ResolverKind::Public), Some(ended[1])));
    let validates = seen.validates.unwrap();
    assert_eq!((validates.outcome, validates.seen), (CheckOutcome::Yes, ended[0]));
    // Of relay 8 nothing was seen but that it could not be told.
    let unknown = resolver(&reports[4], 8).unwrap().validates.unwrap();
    assert_eq!((unknown.outcome, unknown.seen), (CheckOutcome::Unknown, ended[1]));

    let of = |history: &History, number: i32| {
        let mut run = run(number);
        run.results.iter_mut().for_each(|result| result.checks = None);
        report(&run, Some(history))
    };
    // Four runs a day.
    assert!(resolver(&of(&history, 1 + 7 * 4), 1).unwrap().kind.is_some());
    assert_eq!(resolver(&of(&history, 2 + 7 * 4), 1), None);
    // A run that is made again goes on from what was before it.
    assert_eq!(report(&run(0), Some(&history)).results, reports[0].results);

    let again = tempfile::tempdir().unwrap();
    let mut again = History::open(&again.path().join("history.sqlite")).unwrap();
    for report in &reports {
        let bytes = serde_json::to_vec(report).unwrap();
        reconcile::take_in_report(&mut again, &bytes, &Thresholds::default()).unwrap().unwrap();
    }
    let ids = [String::new()];
    let at = ended[4] + chrono::TimeDelta::hours(1);
    assert_eq!(again.seen_resolvers(at, &ids).unwrap(), history.seen_resolvers(at, &ids).unwrap());
}
