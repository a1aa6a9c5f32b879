//! A report as the library makes it, without files.

use aggregate::gate::Thresholds;
use aggregate::history::History;
use aggregate::location::Locations;
use aggregate::merge;
use aggregate::previous::{self, Base};
use aggregate::rejections::Rejections;
use aggregate::report::{self, Context, Past};
use aggregate::resolver;
use record::{Report, Status};

use super::fixture::{Scan, scan};

/// A report of these scans after the previous one, and from a history where there is one.
pub fn report_of(scans: &[Scan], previous: Option<&[u8]>, history: Option<&History>) -> Report {
    report_with(scans, previous, history, None)
}

/// The same, with a location database.
pub fn report_with(
    scans: &[Scan],
    previous: Option<&[u8]>,
    history: Option<&History>,
    locations: Option<&Locations>,
) -> Report {
    let inputs: Vec<_> =
        scans.iter().enumerate().map(|(n, scan)| scan.input(&format!("input-{n}"))).collect();
    let ids = report::run_ids(&inputs);
    let time = report::ended(&inputs);
    let known = history
        .filter(|history| !history.is_empty_but_for(&ids).unwrap())
        .map(|history| history.look_back(&ids, time, &[], true).unwrap());
    let (base, past) = match (known, previous) {
        (Some(known), _) => {
            let (base, past) = known.into_base(None);
            (base, Some(past))
        }
        (None, Some(bytes)) => (Base::of_report(previous::parse(bytes).unwrap(), &ids, time), None),
        (None, None) => (Base::none("there is none".to_owned()), None),
    };
    let past = past.or_else(|| history.map(|_| Past::default()));
    let checks = history.map(|history| history.checks(Some(time)).unwrap());
    let joined = merge::join(inputs).unwrap();
    let seen = history.map(|history| history.seen_resolvers(time, &ids).unwrap());
    let mut seen = seen.unwrap_or_default();
    resolver::add_run(&mut seen, &joined, time);
    let context = Context {
        now: time,
        thresholds: &Thresholds { min_relays: 1, ..Thresholds::default() },
        force: true,
        known_good: None,
        zone_check: None,
        held: &[],
        checks: checks.as_ref(),
        resolvers: Some(&seen),
        locations,
        license: Some("CC0-1.0"),
        publisher: None,
    };
    report::build(joined, base, past.as_ref(), Rejections::default(), context)
}

#[test]
fn relays_that_no_client_uses_are_tested_and_kept_out_of_the_rates() {
    let mut scan = scan(1, [(1, 's'), (2, 's'), (3, 's'), (4, 'd'), (5, 'd'), (6, 'c')]);
    let without = report_of(&[scan.clone()], None, None).metadata;
    for result in scan.results.iter_mut().filter(|result| result.status != Status::Success).skip(1)
    {
        result.relay.flags.push("BadExit".to_owned());
    }
    let report = report_of(&[scan], None, None);
    let metadata = report.metadata;
    assert_eq!((metadata.total_relays, metadata.bad_exits), (6, 2));
    assert_eq!(metadata.counts, without.counts, "all are counted");
    assert_eq!(metadata.dns_success_rate_percent, Some(75.0));
    assert_eq!(without.dns_success_rate_percent, Some(60.0));
    assert_eq!(metadata.reachability_rate_percent, Some(100.0));
    let marked = report.results.iter().filter(|relay| relay.relay.is_bad_exit());
    assert_eq!(marked.count(), 2);
}

#[test]
fn the_first_answer_of_several_vantage_points_hangs_on_no_outcome() {
    let first = |of: char, other: char| {
        let scans = [scan(1, [(1, of)]).vantage("a"), scan(1, [(1, other)]).vantage("b")];
        report_of(&scans, None, None).results[0].first.map(|first| first.status)
    };
    // The verdict is the wrong answer, and one success is enough: neither decides here.
    assert_eq!(first('s', 'w'), Some(Status::Success));
    assert_eq!(first('d', 's'), Some(Status::DnsFail));
    assert_eq!(first('c', 's'), Some(Status::Success));
    assert_eq!(first('c', 'e'), None);
}
