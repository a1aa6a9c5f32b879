//! Domains that relays claim: what a report says of them, through the history.

use aggregate::gate::Thresholds;
use aggregate::history::{History, LAYOUT, Standing};
use aggregate::reconcile;
use chrono::{DateTime, TimeDelta, Utc};
use contact::claim::DomainClaim;
use contact::proof::Check;
use record::{ProofMethod, ProofProblem, Report};

use crate::fixture::{Scan, relay, scan};
use crate::reported::report_of;
use crate::schema;

/// Takes what layout 5 did not have out of a history.
pub const TO_LAYOUT_5: &str = "
    DROP TABLE resolver;
    ALTER TABLE result DROP COLUMN resolver;
    ALTER TABLE result DROP COLUMN checks;
    PRAGMA user_version = 5;
";

/// A run of three relays of one contact, and one whose contact claims no domain.
fn run(number: i32) -> Scan {
    let mut scan = scan(number, (1..=4).map(|number| (number, 'd')));
    for result in &mut scan.results {
        result.relay.family.clear();
        let claims = result.exit_fingerprint != relay(4);
        let more = if claims { "url:example.org proof:uri-rsa ciissversion:2" } else { "" };
        result.relay.contact = Some(format!("email:tor[]example.org {more}"));
    }
    scan
}

fn ended(scan: &Scan) -> DateTime<Utc> {
    report_of(std::slice::from_ref(scan), None, None).metadata.timestamp
}

fn claim() -> DomainClaim {
    DomainClaim { domain: "example.org".to_owned(), method: ProofMethod::UriRsa }
}

fn check(at: DateTime<Utc>, problem: Option<ProofProblem>) -> Check {
    Check { claim: claim(), at, problem }
}

/// The operators' keys, of relays 1 to 4.
fn operators(report: &Report) -> Vec<String> {
    schema::check("report", report);
    let of = |number: u32| report.results.iter().find(|one| one.exit_fingerprint == relay(number));
    (1..=4).map(|number| of(number).unwrap().operator.clone()).collect()
}

const UNPROVED: [&str; 4] = ["contact:tor@example.org"; 4];
const PROVED: [&str; 4] = [
    "domain:example.org",
    "domain:example.org",
    "contact:tor@example.org",
    "contact:tor@example.org",
];

/// A history in which relays 1 and 2 are proved from run 1 on, and relay 3 is not on the list.
fn history() -> (tempfile::TempDir, History, DateTime<Utc>) {
    let directory = tempfile::tempdir().unwrap();
    let mut history = History::open(&directory.path().join("history.sqlite")).unwrap();
    let since = ended(&run(1));
    // The lists are fetched after the run.
    let at = since + TimeDelta::minutes(5);
    let problem = |number| (number == 3).then_some(ProofProblem::NotListed);
    let checks: Vec<_> =
        (1..=3).map(|number| (relay(number), check(at, problem(number)))).collect();
    history.keep_checks(&checks, since).unwrap();
    (directory, history, at)
}

#[test]
fn a_report_goes_by_the_domains_that_were_proved_for_its_run_whenever_it_is_made() {
    let (_directory, mut history, at) = history();
    let of = |history: &History, number| report_of(&[run(number)], None, Some(history));
    assert_eq!(operators(&of(&history, 0)), UNPROVED);
    let report = of(&history, 1);
    assert_eq!(operators(&report), PROVED);
    let mut groups: Vec<_> = report
        .failures_by_operator
        .iter()
        .map(|one| (one.operator.as_str(), one.failing.len()))
        .collect();
    groups.sort_unstable();
    assert_eq!(groups, [("contact:tor@example.org", 2), ("domain:example.org", 2)]);
    let domain = |number: u32| {
        let row = report.results.iter().find(|one| one.exit_fingerprint == relay(number)).unwrap();
        row.domain.clone()
    };
    let proved = domain(1).unwrap();
    assert!(proved.proved && proved.proved_at == Some(at) && proved.problem.is_none());
    let unproved = domain(3).unwrap();
    assert!(!unproved.proved && unproved.problem == Some(ProofProblem::NotListed));
    assert_eq!(domain(4), None);
    // 214 days of four runs a day; and without a history nothing is proved.
    assert_eq!(operators(&of(&history, 213 * 4)), PROVED);
    assert_eq!(operators(&of(&history, 215 * 4 + 2)), UNPROVED);
    assert_eq!(operators(&report_of(&[run(1)], None, None)), UNPROVED);
    // A later check changes nothing of an earlier run.
    let later = (relay(1), check(ended(&run(9)), Some(ProofProblem::NotListed)));
    history.keep_checks(&[later], ended(&run(9))).unwrap();
    assert_eq!(operators(&of(&history, 8)), PROVED);
    assert_eq!(operators(&of(&history, 9))[..2], ["contact:tor@example.org", "domain:example.org"]);
}

#[test]
fn checks_are_in_the_reports_and_come_back_with_them() {
    let (_directory, mut history, _) = history();
    let failed = (relay(2), check(ended(&run(3)), Some(ProofProblem::NoAnswer)));
    history.keep_checks(&[failed], ended(&run(3))).unwrap();
    let of = |history: &History, number| report_of(&[run(number)], None, Some(history));
    let directory = tempfile::tempdir().unwrap();
    let mut again = History::open(&directory.path().join("history.sqlite")).unwrap();
    for number in 0..5 {
        let report = of(&history, number);
        history.enter(&report).unwrap();
        history.settle(&report.metadata.run_id, Standing::Published, &[]).unwrap();
        let bytes = serde_json::to_vec(&report).unwrap();
        reconcile::take_in_report(&mut again, &bytes, &Thresholds::default()).unwrap().unwrap();
    }
    assert_eq!(again.checks(None).unwrap(), history.checks(None).unwrap());
    for number in 0..7 {
        let domains = |history| {
            let rows = of(history, number).results;
            rows.into_iter().map(|row| (row.operator, row.domain)).collect::<Vec<_>>()
        };
        assert_eq!(domains(&again), domains(&history), "{number}");
    }
}

#[test]
fn a_history_of_layout_4_has_no_checks_and_can_have_them() {
    let (directory, history, _) = history();
    drop(history);
    let path = directory.path().join("history.sqlite");
    let change = |text: &str| {
        rusqlite::Connection::open(&path).unwrap().execute_batch(text).unwrap();
    };
    change(TO_LAYOUT_5);
    change("DROP TABLE proof; PRAGMA user_version = 4;");
    assert!(History::open_existing(&path).is_err(), "only who may begin a history brings it on");
    let mut history = History::open(&path).unwrap();
    assert!(history.checks(None).unwrap().is_empty());
    let check = (relay(1), check(ended(&run(1)), None));
    history.keep_checks(std::slice::from_ref(&check), ended(&run(1))).unwrap();
    drop(history);
    let history = History::open_existing(&path).unwrap();
    assert_eq!(history.checks(None).unwrap(), [(check.0, vec![check.1])].into());
    let connection = rusqlite::Connection::open(&path).unwrap();
    let layout: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!(layout, LAYOUT);
    // What cannot be is said, and not taken for something else.
    change("UPDATE proof SET problem = 'tired'");
    assert!(history.checks(None).unwrap_err().to_string().contains("a check of"));
}

#[test]
fn what_still_counts_is_not_forgotten_with_old_runs() {
    let (_directory, mut history, at) = history();
    history.prune(at + TimeDelta::days(213)).unwrap();
    assert_eq!(history.checks(None).unwrap().len(), 3);
    history.prune(at + TimeDelta::days(215)).unwrap();
    assert!(history.checks(None).unwrap().is_empty());
}
