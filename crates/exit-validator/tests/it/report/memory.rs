//! The history is the memory: what happens to it when runs come late, twice, in pieces, or when
//! the program is killed, and that the reports are always what its rows say.

use std::fs;
use std::path::Path;

use aggregate::history::{History, Standing};
use record::{Kind, Report, State, Trends};

use super::fixture::{relay, scan, start_of};
use super::program::{HEALTHY, Place};
use super::reported::report_of;

/// All healthy but the first relay.
fn failing() -> [(u32, char); 4] {
    [(1, 'd'), (2, 's'), (3, 's'), (4, 's')]
}

const LOOSE: [&str; 1] = ["--gate-success-rate=50"];

impl Place {
    fn write(&self, run: i32, marks: [(u32, char); 4]) -> String {
        let name = format!("analysis/{run}");
        scan(run, marks).write(&self.path(&name));
        name
    }

    fn publish_run(&self, run: i32, marks: [(u32, char); 4]) {
        let name = self.write(run, marks);
        self.expect(0, "", &[&["--quiet", "--input", &name][..], &LOOSE].concat());
    }

    fn standing(&self, run: i32) -> Option<Standing> {
        let history = History::open_existing(&self.path("analysis/history.sqlite")).unwrap();
        history.knows(&scan(run, HEALTHY).plan.run_id).unwrap()
    }

    fn trends(&self) -> Trends {
        Kind::Trends.parse(&fs::read(self.path("public/trends.json")).unwrap()).unwrap()
    }
}

fn row(report: &Report) -> &record::ReportedRelay {
    report.results.iter().find(|row| row.exit_fingerprint == relay(1)).unwrap()
}

#[test]
fn a_run_is_published_only_when_latest_json_is_in_place() {
    let place = Place::new();
    place.publish_run(0, HEALTHY);
    let name = place.write(1, HEALTHY);
    // latest.json cannot be replaced: as on a disk that is full just then.
    fs::remove_file(place.path("public/latest.json")).unwrap();
    fs::create_dir_all(place.path("public/latest.json/in-the-way")).unwrap();
    place.expect(22, "", &["--quiet", "--input", &name]);
    assert_eq!(place.standing(1), Some(Standing::Entered));
    fs::remove_dir_all(place.path("public/latest.json")).unwrap();
    // The next run, whichever it is, finishes it.
    place.publish_run(2, HEALTHY);
    assert_eq!(place.standing(1), Some(Standing::Published));
    assert_eq!(place.latest().results[0].recent, "sss");
    assert!(place.trends().runs.iter().all(|run| run.published));
}

#[test]
fn a_report_into_a_file_marks_nothing_published() {
    let place = Place::new();
    place.publish_run(0, HEALTHY);
    let name = place.write(1, failing());
    place.expect(0, "", &[&["--output", "mine.json", "--input", &name][..], &LOOSE].concat());
    let bytes = fs::read(place.path("mine.json")).unwrap();
    let report: Report = Kind::Report.parse(&bytes).unwrap();
    assert_eq!(row(&report).recent, "sd");
    assert_eq!(place.standing(1), None);
    place.publish_run(2, failing());
    assert_eq!(row(&place.latest()).consecutive_failures, 2, "run 1 is taken in on the way");
}

#[test]
fn a_late_run_takes_its_place_in_time() {
    let place = Place::new();
    for run in [0, 2, 3] {
        place.publish_run(run, failing());
    }
    assert_eq!(row(&place.latest()).consecutive_failures, 3);
    let latest = fs::read(place.path("public/latest.json")).unwrap();
    // It succeeded in between: the streak begins after it.
    let name = place.write(1, HEALTHY);
    let said = place.expect(25, "", &[&["--input", &name][..], &LOOSE].concat());
    assert!(said.contains("older_than_previous"), "{said}");
    assert_eq!(fs::read(place.path("public/latest.json")).unwrap(), latest);
    assert_eq!(place.standing(1), Some(Standing::Counted));
    let late = place.files().files.into_iter().find(|f| f.timestamp == end(1)).unwrap();
    let late = fs::read(place.path("public").join(late.name)).unwrap();
    let late: Report = Kind::Report.parse(&late).unwrap();
    assert_eq!(row(&late).recent, "ds", "what came after it is not in its report");
    place.publish_run(4, failing());
    let latest = place.latest();
    assert_eq!(row(&latest).recent, "dsddd");
    assert_eq!(row(&latest).consecutive_failures, 3);
    assert_eq!(row(&latest).failing_since, Some(end(2)));
    let published: Vec<bool> = place.trends().runs.iter().map(|run| run.published).collect();
    assert_eq!(published, [true, false, true, true, true]);
}

fn end(run: i32) -> chrono::DateTime<chrono::Utc> {
    scan(run, HEALTHY).run.unwrap().ended
}

#[test]
fn force_on_an_older_run_resets_nothing() {
    let place = Place::new();
    for run in [0, 1, 3] {
        place.publish_run(run, failing());
    }
    let name = place.write(2, failing());
    let said = place.expect(0, "", &[&["--force", "--input", &name][..], &LOOSE].concat());
    assert!(said.contains("by force"), "{said}");
    assert_eq!(row(&place.latest()).consecutive_failures, 3, "the two before it and itself");
    place.publish_run(4, failing());
    let latest = place.latest();
    assert_eq!(row(&latest).consecutive_failures, 5);
    assert_eq!(row(&latest).recent, "ddddd");
    assert_eq!(row(&latest).state, Some(State::Confirmed));
}

#[test]
fn held_runs_that_are_accepted_later_count_from_where_they_stood() {
    let place = Place::new();
    place.publish_run(0, HEALTHY);
    for run in 1..=2 {
        let name = place.write(run, failing());
        place.expect(25, "", &["--quiet", "--input", &name]);
        assert_eq!(place.standing(run), Some(Standing::Held));
    }
    let name = place.write(3, failing());
    place.expect(0, "", &["--quiet", "--input", &name]);
    let latest = place.latest();
    assert_eq!(row(&latest).consecutive_failures, 3);
    assert_eq!(row(&latest).failing_since, Some(end(1)));
    assert_eq!(row(&latest).recent, "sddd");
    assert_eq!(place.standing(1), Some(Standing::Counted));
    // Made again it is the same, to the byte.
    let before = fs::read(place.path("public/latest.json")).unwrap();
    place.expect(0, "", &["--quiet", "--input", &name]);
    assert_eq!(fs::read(place.path("public/latest.json")).unwrap(), before);
    place.publish_run(4, failing());
    assert_eq!(row(&place.latest()).consecutive_failures, 4);
}

#[test]
fn runs_whose_report_failed_get_in_with_the_next() {
    let place = Place::new();
    place.publish_run(0, failing());
    // Never reported: the program was killed before it wrote anything.
    place.write(1, failing());
    place.write(2, failing());
    // What was interrupted, and what asked for something else, is left alone.
    let mut unfinished = scan(3, HEALTHY);
    unfinished.run = None;
    unfinished.write(&place.path("analysis/unfinished"));
    let mut other = scan(4, HEALTHY);
    other.plan.domain = "another.example".to_owned();
    other.run.as_mut().unwrap().domain = "another.example".to_owned();
    other.write(&place.path("analysis/other"));
    place.publish_run(5, failing());
    assert_eq!(row(&place.latest()).recent, "dddd");
    assert_eq!(place.files().files.len(), 4);
    assert_eq!(place.standing(1), Some(Standing::Published));
    assert_eq!(place.standing(4), None);
}

#[test]
fn a_run_that_met_a_locked_history_gets_in_later() {
    let place = Place::new();
    place.publish_run(0, failing());
    let lock = rusqlite::Connection::open(place.path("analysis/history.sqlite")).unwrap();
    lock.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let name = place.write(1, failing());
    let said = place.expect(23, "", &[&["--quiet", "--input", &name][..], &LOOSE].concat());
    assert!(said.contains("database is locked"), "{said}");
    assert_eq!(row(&place.latest()).recent, "dd", "the report is worth more");
    drop(lock);
    place.publish_run(2, failing());
    assert_eq!(place.standing(1), Some(Standing::Published));
    assert_eq!(row(&place.latest()).recent, "ddd");
    assert_eq!(place.trends().runs.len(), 3);
}

#[test]
fn a_closed_gate_does_not_hide_a_broken_history() {
    let place = Place::new();
    place.publish_run(0, HEALTHY);
    fs::write(place.path("analysis/history.sqlite"), vec![0x41; 5000]).unwrap();
    let name = place.write(1, failing());
    let said = place.expect(23, "", &["--input", &name]);
    assert!(said.contains("HELD BACK") && said.contains("history rebuild"), "{said}");
}

#[test]
fn without_a_history_the_previous_report_seeds_one() {
    let place = Place::new();
    for run in 0..3 {
        place.publish_run(run, failing());
    }
    fs::remove_file(place.path("analysis/history.sqlite")).unwrap();
    place.publish_run(3, failing());
    let latest = place.latest();
    assert_eq!(row(&latest).consecutive_failures, 4);
    assert_eq!(row(&latest).recent, "dddd");
    assert_eq!(place.trends().runs.len(), 4, "the reports that are there are taken in");
    // Where there is but the previous report, as by hand in another place.
    for entry in place.files().files {
        fs::remove_file(place.path("public").join(entry.name)).unwrap();
    }
    fs::remove_file(place.path("analysis/history.sqlite")).unwrap();
    place.publish_run(4, failing());
    assert_eq!(row(&place.latest()).consecutive_failures, 5);
    assert_eq!(place.trends().runs.len(), 2, "of the seed, its own run has rows");
    place.publish_run(5, failing());
    assert_eq!(row(&place.latest()).consecutive_failures, 6);
    assert_eq!(row(&place.latest()).failing_since, Some(end(0)));
}

#[test]
fn two_runs_that_end_in_one_second_both_count() {
    let place = Place::new();
    place.publish_run(0, HEALTHY);
    for (name, marks) in [("a", failing()), ("b", failing())] {
        let path = format!("analysis/{name}");
        scan(1, marks).vantage(name).write(&place.path(&path));
        place.expect(0, "", &[&["--quiet", "--input", &path][..], &LOOSE].concat());
    }
    let latest = place.latest();
    assert_eq!(row(&latest).recent, "sdd");
    assert_eq!(row(&latest).dns_success_rate_7d_percent, Some(33.333));
    assert_eq!(row(&latest).consecutive_failures, 2);
}

#[test]
fn of_two_reports_of_a_run_the_newer_speaks_for_it() {
    let place = Place::new();
    place.publish_run(0, HEALTHY);
    // Held back as incomplete, then completed: the second report is held for the change alone.
    let unreached = [(1, 'd'), (2, 's'), (3, 's'), (4, '.')];
    for run in 1..=2 {
        let name = place.write(run, unreached);
        place.expect(25, "", &["--quiet", "--input", &name]);
        place.write(run, failing());
        let said = place.expect(25, "", &["--input", &name]);
        assert!(!said.contains("incomplete_run"), "{said}");
    }
    let name = place.write(3, failing());
    place.expect(0, "", &["--quiet", "--input", &name]);
}

#[test]
fn what_the_points_save_the_rows_give_again() {
    let place = Place::new();
    let path = place.path("history.sqlite");
    let mut history = History::open(&path).unwrap();
    let marks = |run: i32| {
        let mark = |relay: i32| {
            ['s', 'd', 'c', 't', 's'][usize::try_from((run * 7 + relay * 3) % 5).unwrap()]
        };
        [(1, mark(1)), (2, mark(2)), (3, mark(run % 4)), (4, 's')]
    };
    let add = |history: &mut History, run: i32| {
        let report = report_of(&[scan(run, marks(run))], None, Some(history));
        history.enter(&report).unwrap();
        history.settle(&report.metadata.run_id, Standing::Published, &[]).unwrap();
        report
    };
    for run in (0..150).filter(|run| *run != 70) {
        add(&mut history, run);
    }
    let points = |path: &Path| -> i64 {
        let connection = rusqlite::Connection::open(path).unwrap();
        connection.query_row("SELECT count(*) FROM point", [], |row| row.get(0)).unwrap()
    };
    assert!(points(&path) >= 4);
    // A run from the middle: what was folded after it is forgotten.
    add(&mut history, 70);
    assert!(points(&path) <= 3);
    let with = report_of(&[scan(150, marks(150))], None, Some(&history));
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute_batch("DELETE FROM track; DELETE FROM point;").unwrap();
    let without = report_of(&[scan(150, marks(150))], None, Some(&history));
    assert_eq!(with, without);
    assert_eq!(with.results[0].recent.len(), 60);
    // Forgetting cuts no streak.
    history.prune(start_of(140)).unwrap();
    let pruned = report_of(&[scan(150, marks(150))], None, Some(&history));
    assert_eq!(pruned, without);
}

/// What a report says of every relay beside this run's result.
fn said(report: &Report) -> Vec<impl PartialEq + std::fmt::Debug + use<>> {
    let row = |row: &record::ReportedRelay| {
        let rates = (row.dns_success_rate_7d_percent, row.dns_success_rate_30d_percent);
        let streak = (row.consecutive_failures, row.failing_since, row.last_success);
        (row.exit_fingerprint, streak, row.unreachable_runs, row.recent.clone(), row.state, rates)
    };
    report.results.iter().map(row).collect()
}

/// The next report, made from the files of the last program with layout 1, says of every relay what
/// that program said.
#[test]
fn the_files_of_layout_1_are_taken_over() {
    let place = Place::new();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/layout-1");
    fs::create_dir(place.path("public")).unwrap();
    fs::copy(data.join("history.sqlite"), place.path("analysis/history.sqlite")).unwrap();
    fs::copy(data.join("latest.json"), place.path("public/latest.json")).unwrap();
    scan(8, [(1, 'd'), (2, 'c'), (3, 's'), (4, 'd'), (5, 's'), (6, 'd')])
        .write(&place.path("analysis/8"));

    // Who only looks changes nothing.
    let before = fs::read(place.path("analysis/history.sqlite")).unwrap();
    place.expect(0, "", &["--force", "--stdout"]);
    let text = place.expect(21, "", &["history", "export", "--csv"]);
    assert!(text.contains("older layout 1"), "{text}");
    assert_eq!(fs::read(place.path("analysis/history.sqlite")).unwrap(), before);

    place.expect(0, "", &["--quiet", "--force"]);
    let expected: Report = Kind::Report.parse(&fs::read(data.join("next.json")).unwrap()).unwrap();
    assert_eq!(said(&place.latest()), said(&expected));
    assert_eq!(row(&place.latest()).consecutive_failures, 8);
    assert_eq!(place.trends().runs.len(), 6);
    let previous = place.latest().metadata.previous.report.unwrap();
    assert_eq!(Some(previous.timestamp), expected.metadata.previous.report.map(|r| r.timestamp));
    let story = place.expect(0, "", &["history", "relay", &relay(1).to_string()]);
    assert!(story.contains("6 runs") && story.contains("run held back"), "{story}");

    // And on from there.
    scan(9, [(1, 'd'), (2, 'c'), (3, 's'), (4, 'd'), (5, 's'), (6, 'd')])
        .write(&place.path("analysis/9"));
    place.expect(0, "", &["--quiet", "--force"]);
    assert_eq!(row(&place.latest()).consecutive_failures, 9);
}

/// The same of layout 2. What it did not keep stays unknown, and what comes is kept.
#[test]
fn the_files_of_layout_2_are_taken_over() {
    let place = Place::new();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/layout-2");
    fs::create_dir(place.path("public")).unwrap();
    fs::copy(data.join("history.sqlite"), place.path("analysis/history.sqlite")).unwrap();
    fs::copy(data.join("latest.json"), place.path("public/latest.json")).unwrap();
    scan(7, [(1, 'd'), (2, 'c'), (3, 's'), (4, 'd')]).write(&place.path("analysis/7"));

    // Who only looks changes nothing.
    let before = fs::read(place.path("analysis/history.sqlite")).unwrap();
    place.expect(0, "", &["--force", "--stdout"]);
    let refused = place.expect(21, "", &["history", "export", "--csv"]);
    assert!(refused.contains("older layout 2"), "{refused}");
    assert_eq!(fs::read(place.path("analysis/history.sqlite")).unwrap(), before);

    place.expect(0, "", &["--quiet", "--force"]);
    let expected: Report = Kind::Report.parse(&fs::read(data.join("next.json")).unwrap()).unwrap();
    assert_eq!(said(&place.latest()), said(&expected));
    let connection = rusqlite::Connection::open(place.path("analysis/history.sqlite")).unwrap();
    let firsts = |of: &str| -> Vec<Option<String>> {
        let query = format!(
            "SELECT first FROM result JOIN run USING (run) JOIN relay USING (relay) {of}
             ORDER BY run.ended, nickname"
        );
        let mut statement = connection.prepare(&query).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let last = "WHERE run.ended = (SELECT max(ended) FROM run)";
    let mark = |mark: &str| Some(mark.to_owned());
    assert_eq!(firsts(last), [mark("d"), None, mark("s"), mark("d")]);
    assert_eq!(firsts("").iter().flatten().count(), 3, "nothing is made up for the older runs");
}

#[test]
fn runs_of_different_times_are_no_vantage_points() {
    let place = Place::new();
    for run in 0..4 {
        place.publish_run(run, failing());
    }
    let latest = fs::read(place.path("public/latest.json")).unwrap();
    let all = ["--input", "analysis/0", "analysis/1", "analysis/2", "analysis/3", "--force"];
    let said = place.expect(21, "", &all);
    assert!(said.contains("0 began 18 h 0 min before 3"), "{said}");
    assert_eq!(fs::read(place.path("public/latest.json")).unwrap(), latest);
    assert_eq!(place.files().files.len(), 4);
    place.publish_run(4, failing());
    assert_eq!(place.trends().runs.len(), 5);
}

#[test]
fn a_published_run_is_never_replaced_by_less() {
    let place = Place::new();
    for name in ["a", "b", "c"] {
        scan(1, failing()).vantage(name).write(&place.path(&format!("analysis/{name}")));
    }
    place.expect(0, "", &["--input", "analysis/a", "analysis/b"]);
    let latest = fs::read(place.path("public/latest.json")).unwrap();
    // A part of it, also together with another.
    for inputs in [&["analysis/b"][..], &["analysis/b", "analysis/c"]] {
        let said = place.expect(21, "", &[&["--force", "--input"][..], inputs].concat());
        assert!(said.contains("was published with an input of this one"), "{said}");
    }
    // All of it, but with fewer relays.
    let less = [(1, 'd'), (2, 's'), (3, 's')];
    for name in ["a", "b"] {
        fs::remove_dir_all(place.path(&format!("analysis/{name}"))).unwrap();
        scan(1, less).vantage(name).write(&place.path(&format!("analysis/{name}")));
    }
    let said = place.expect(21, "", &["--force", "--input", "analysis/a", "analysis/b"]);
    assert!(said.contains("with 4 relays and has 3 now"), "{said}");
    assert_eq!(fs::read(place.path("public/latest.json")).unwrap(), latest);
    // To look is allowed; and more may replace it.
    place.expect(0, "", &["--stdout", "--force", "--input", "analysis/a"]);
    for name in ["a", "b"] {
        scan(1, failing()).vantage(name).write(&place.path(&format!("analysis/{name}")));
    }
    place.expect(0, "", &["--input", "analysis/a", "analysis/b", "analysis/c"]);
    assert_eq!(place.trends().runs.len(), 1);
}

#[test]
fn a_late_shard_is_no_part_of_the_next_scan() {
    let place = Place::new();
    let write = |hour: i64, index: u32| {
        let mut scan = scan(0, (0..40).map(|number| (number, 's')));
        let by = chrono::TimeDelta::hours(hour);
        scan.plan.started += by;
        scan.plan.run_id = format!("hour{hour}");
        for result in &mut scan.results {
            result.run_id.clone_from(&scan.plan.run_id);
            result.timestamp += by;
        }
        scan.finish(scan.plan.started + chrono::TimeDelta::minutes(50));
        scan.shard(index, 3).write(&place.path(&format!("analysis/{hour}-{index}")));
    };
    for index in 0..3 {
        write(9, index);
    }
    place.expect(0, "", &["--quiet"]);
    assert_eq!(place.latest().metadata.run_id, "hour9-0+hour9-1+hour9-2");
    // The third host is late.
    write(10, 0);
    write(10, 1);
    let said = place.expect(26, "", &["runs", "--of", "analysis/10-0"]);
    assert!(said.contains("10-1\n") && !said.contains("9-2"), "{said}");
    let said = place.expect(25, "", &[]);
    assert!(said.contains("missing_shard"), "{said}");
    assert_eq!(place.trends().runs.len(), 2, "the earlier joined run stays");
    write(10, 2);
    place.expect(0, "", &["--quiet"]);
    assert_eq!(place.trends().runs.len(), 2);
    assert_eq!(place.latest().results[0].recent, "ss");
}

/// The history as it is exported, and what the next report would be.
fn told(place: &Place, next: i32) -> (Vec<String>, Report) {
    let csv = place.run("", &["history", "export", "--csv"]).stdout;
    let mut rows: Vec<String> =
        String::from_utf8(csv).unwrap().lines().map(str::to_owned).collect();
    rows.sort();
    let name = place.write(next, failing());
    let output = place.run("", &["--stdout", "--force", "--input", &name]);
    fs::remove_dir_all(place.path(&name)).unwrap();
    (rows, Kind::Report.parse(&output.stdout).unwrap())
}

#[test]
fn a_history_is_made_anew_from_reports_and_archives() {
    let place = Place::new();
    let later = 62 * 4;
    for run in [0, 1, 3] {
        place.publish_run(run, if run == 0 { HEALTHY } else { failing() });
    }
    // Late; held and then forced; held for a change, and accepted.
    let name = place.write(2, failing());
    place.expect(25, "", &[&["--quiet", "--input", &name][..], &LOOSE].concat());
    let unreached = [(1, 'd'), (2, 's'), (3, 's'), (4, '.')];
    let name = place.write(4, unreached);
    place.expect(25, "", &[&["--quiet", "--input", &name][..], &LOOSE].concat());
    place.expect(0, "", &[&["--quiet", "--force", "--input", &name][..], &LOOSE].concat());
    let all = [(1, 'd'), (2, 'd'), (3, 's'), (4, 's')];
    for (run, code) in [(5, 25), (6, 25), (7, 0), (later, 0)] {
        let name = place.write(run, all);
        place.expect(code, "", &["--quiet", "--input", &name]);
    }
    let before = told(&place, later + 1);
    assert_eq!(row(&before.1).consecutive_failures, 2, "two months later it began anew");
    let retain = ["retain", "--archive-after=1", "--keep-runs=0", "--keep-days=0"];
    place.expect(0, "", &retain);
    assert!(place.names().contains(&"dns_health_2026-01.tar.gz".to_owned()));
    fs::remove_file(place.path("analysis/history.sqlite")).unwrap();
    let said = place.expect(0, "", &["history", "rebuild", "--dry-run"]);
    assert!(said.contains("would have 9 runs, from 10 reports"), "{said}");
    assert!(!place.path("analysis/history.sqlite").exists());
    place.expect(0, "", &["history", "rebuild"]);
    assert_eq!(told(&place, later + 1), before);
    assert_eq!(place.standing(2), Some(Standing::Counted));
    assert_eq!(place.standing(5), Some(Standing::Counted));

    // It says what the reports do not hold, and keeps what was there.
    for entry in place.files().files.iter().filter(|entry| entry.timestamp == end(later)) {
        fs::remove_file(place.path("public").join(&entry.name)).unwrap();
    }
    let said = place.expect(0, "", &["history", "rebuild"]);
    assert!(said.contains("No report is left of 1 run of the former history:"), "{said}");
    assert!(said.contains(&scan(later, HEALTHY).plan.run_id), "{said}");
    assert!(place.path("analysis/history.sqlite.former").exists());
    // Damaged ones are named, and the others used.
    fs::write(place.path("public/dns_health_2026-02-01_00-00-00.json"), "half").unwrap();
    fs::write(place.path("analysis/history.sqlite"), vec![0x41; 5000]).unwrap();
    let said = place.expect(42, "", &["history", "rebuild"]);
    assert!(said.contains("cannot be told") && said.contains("dns_health_2026-02-01"), "{said}");
    assert!(said.contains("has 8 runs"), "{said}");
    fs::remove_dir_all(place.path("public")).unwrap();
    fs::create_dir(place.path("public")).unwrap();
    place.expect(21, "", &["history", "rebuild"]);
}

#[test]
fn what_the_oldest_report_knows_from_before_it_is_not_lost() {
    let place = Place::new();
    for run in 0..5 {
        place.publish_run(run, failing());
    }
    let files = place.files().files;
    for entry in &files[3..] {
        fs::remove_file(place.path("public").join(&entry.name)).unwrap();
    }
    place.expect(0, "", &["history", "rebuild"]);
    place.publish_run(5, failing());
    let latest = place.latest();
    assert_eq!(row(&latest).consecutive_failures, 6);
    assert_eq!(row(&latest).failing_since, Some(end(0)));
    assert_eq!(row(&latest).recent, "dddddd");
}
