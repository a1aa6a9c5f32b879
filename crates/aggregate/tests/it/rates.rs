//! How often lookups fail, from first answers: through the history and its points, and of the network.

use aggregate::history::{History, LAYOUT, Standing};
use record::{ErrorCode, FirstAnswer, Report, State, Status};

use crate::fixture::{Scan, relay, scan};
use crate::reported::report_of;
use crate::schema;

fn failed(status: Status) -> Option<FirstAnswer> {
    Some(FirstAnswer { attempt: 1, status, error_code: Some(ErrorCode::Timeout) })
}

/// A run of four relays: the first works, the second fails every fourth lookup and passes by a retry,
/// the third failed altogether until a while ago, the fourth does so still.
fn run(number: i32) -> Scan {
    let third = if number < 20 { 'd' } else { 's' };
    let mut scan = scan(number, [(1, 's'), (2, 's'), (3, third), (4, 't')]);
    if number % 4 == 0 {
        scan.results[1].first = failed(Status::Timeout);
    }
    scan
}

/// A history of so many of these runs.
fn history(runs: i32) -> (tempfile::TempDir, History) {
    let directory = tempfile::tempdir().unwrap();
    let mut history = History::open(&directory.path().join("history.sqlite")).unwrap();
    for number in 0..runs {
        let report = report_of(&[run(number)], None, Some(&history));
        history.enter(&report).unwrap();
        history.settle(&report.metadata.run_id, Standing::Published, &[]).unwrap();
    }
    (directory, history)
}

/// What the report says of how often each relay's lookups fail.
fn rates(report: &Report) -> Vec<String> {
    (1..=4)
        .map(|number| {
            let row = report.results.iter().find(|row| row.exit_fingerprint == relay(number));
            let row = row.unwrap();
            let rate = |rate: Option<record::FailureRate>| {
                rate.map_or("-".to_owned(), |rate| {
                    let (of, retried) = (rate.asked, rate.passed_by_retry);
                    let (low, high) = (rate.low_percent, rate.high_percent);
                    format!("{}/{of} ({retried}) {} % [{low}, {high}]", rate.failed, rate.percent)
                })
            };
            let state = row.state.map_or("-", State::as_str);
            let degraded = if row.degraded { " degraded" } else { "" };
            format!(
                "{}, {}: {state}{degraded}",
                rate(row.failure_rate_7d),
                rate(row.failure_rate_30d)
            )
        })
        .collect()
}

#[test]
fn a_relay_that_passes_by_retries_is_degraded() {
    let (_directory, history) = history(47);
    let report = report_of(&[run(47)], None, Some(&history));
    schema::check("report", &report);
    assert_eq!(
        rates(&report),
        [
            "0/28 (0) 0 % [0, 12.064], 0/48 (0) 0 % [0, 7.41]: healthy",
            "7/28 (7) 25 % [12.676, 43.356], 12/48 (12) 25 % [14.921, 38.784]: healthy degraded",
            "0/28 (0) 0 % [0, 12.064], 20/48 (0) 41.666 % [28.85, 55.719]: healthy",
            "28/28 (0) 100 % [87.936, 100], 48/48 (0) 100 % [92.59, 100]: confirmed",
        ]
    );
    assert_eq!(report.metadata.degraded, 1);
    assert_eq!(aggregate::report::trend(&report.metadata).degraded, 1);
    // Without a history, nothing is known of days.
    assert_eq!(rates(&report_of(&[run(47)], None, None))[1], "-, -: healthy");
}

/// What the points hold is what the rows say; and a history of layout 3, whose points lack the first
/// answers, gets them again from its rows.
#[test]
fn points_hold_the_first_answers_and_those_of_layout_3_are_made_again() {
    let (directory, history) = history(70);
    let said = rates(&report_of(&[run(70)], None, Some(&history)));
    let path = directory.path().join("history.sqlite");
    let count = |query: &str| -> i64 {
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.query_row(query, [], |row| row.get(0)).unwrap()
    };
    let kept = count("SELECT count(*) FROM point");
    assert!(kept > 0);
    assert_eq!(count("SELECT count(*) FROM track WHERE length(first) = 0"), 0);
    drop(history);
    let change = |text: &str| {
        rusqlite::Connection::open(&path).unwrap().execute_batch(text).unwrap();
    };
    change("DELETE FROM track; DELETE FROM point;");
    let history = History::open(&path).unwrap();
    assert_eq!(rates(&report_of(&[run(70)], None, Some(&history))), said, "from the rows alone");
    drop(history);

    assert!(count("SELECT count(*) FROM point") > 0, "kept again");
    change(crate::domains::TO_LAYOUT_5);
    change("DROP TABLE proof; ALTER TABLE track DROP COLUMN first; PRAGMA user_version = 3;");
    assert!(History::open_existing(&path).is_err(), "only who may begin a history brings it on");
    let history = History::open(&path).unwrap();
    assert_eq!(count("PRAGMA user_version"), LAYOUT);
    assert_eq!(count("SELECT count(*) FROM point"), 0);
    assert_eq!(rates(&report_of(&[run(70)], None, Some(&history))), said);
}

#[test]
fn what_is_forgotten_keeps_its_first_answers_in_the_base() {
    let (_directory, mut history) = history(60);
    let said = rates(&report_of(&[run(60)], None, Some(&history)));
    let (days, pruned) = (chrono::TimeDelta::days(5), history.newest().unwrap().unwrap());
    assert!(history.prune(pruned - days).unwrap() > 30);
    assert_eq!(rates(&report_of(&[run(60)], None, Some(&history))), said);
}

#[test]
fn the_share_of_lookups_that_fail_is_weighed_and_the_same_every_time() {
    let scan = || {
        let mut scan = scan(1, (1..=40).map(|number| (number, 's')));
        for (number, result) in (0..).zip(&mut scan.results) {
            result.relay.contact = Some(format!("operator{}@example.org", number / 4));
            result.relay.family.clear();
            result.relay.bandwidth.consensus_weight = Some(if number < 4 { 600 } else { 100 });
            // One operator's, one relay of another, and one that nobody uses.
            if matches!(number, 0..4 | 9 | 20) {
                result.first = failed(Status::DnsFail);
            }
            if number == 20 {
                result.relay.flags.push("BadExit".to_owned());
            }
            // No circuit reached it in time for a first answer.
            if number == 30 {
                result.first = None;
            }
        }
        scan
    };
    let of = |scan| report_of(&[scan], None, None).metadata.lookup_failure.unwrap();
    let rate = of(scan());
    assert_eq!((rate.asked, rate.failed), (38, 5));
    // 2,500 of 5,800.
    assert_eq!(rate.percent, 43.103);
    assert!(rate.low_percent < 5.0 && (60.0..90.0).contains(&rate.high_percent), "{rate:?}");
    assert_eq!(of(scan()), rate);
    let none = report_of(&[crate::fixture::scan(1, [(1, 'c')])], None, None).metadata;
    assert_eq!(none.lookup_failure, None);
    let mut well = scan();
    well.results.iter_mut().for_each(|result| {
        result.first = Some(FirstAnswer { attempt: 1, status: Status::Success, error_code: None });
    });
    let well = of(well);
    assert_eq!((well.percent, well.low_percent), (0.0, 0.0));
    assert!(well.high_percent > 20.0, "ten operators say no more: {well:?}");
}
