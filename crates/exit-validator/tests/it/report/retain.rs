//! `aggregate retain`, from the outside: what goes, what stays, and that it ends well wherever it
//! is killed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use aggregate::retain::{self, RetainOptions, RetainPart, archive};
use chrono::{DateTime, Utc};
use record::{FileKind, Files, Kind};
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest as _, Sha256};
use shelf::run::{PLAN_FILE, RESULTS_LOG_FILE, RUN_FILE};

use super::fixture::{self, scan, start_of};
use super::program::{HEALTHY, Place};
use crate::support::program;

/// A run of November 2024, 420 days before the fixture's first: old on every day that this is
/// tested on.
const OLD: i32 = -420 * 4;

/// A month of runs.
const MONTH: i32 = 30 * 4;

fn now() -> DateTime<Utc> {
    start_of(OLD + 12 * MONTH)
}

impl Place {
    /// Publishes a run's report, and removes the run.
    fn publish(&self, run: i32) {
        self.report(run, 0);
    }

    /// The same of a run that is older than the latest report: the gate holds it back.
    fn publish_late(&self, run: i32) {
        self.report(run, 25);
    }

    fn report(&self, run: i32, code: i32) {
        let name = format!("analysis/for-a-report-{run}");
        scan(run, HEALTHY).write(&self.path(&name));
        self.expect(code, "", &["--input", &name, "--quiet"]);
        fs::remove_dir_all(self.path(&name)).unwrap();
    }

    fn options(&self) -> RetainOptions {
        RetainOptions {
            root: self.path("analysis"),
            output_directory: self.path("public"),
            logs: Some(self.path("log")),
            history: self.path("analysis/history.sqlite"),
            keep_runs: 2,
            archive_after: 180,
            keep_logs: 2,
            keep_days: 200,
            dry_run: false,
        }
    }

    /// Two months of old reports and one of new ones, runs and logs.
    fn filled() -> Self {
        let place = Self::new();
        for run in [0, 1, 2, MONTH, MONTH + 1, 11 * MONTH, 11 * MONTH + 1] {
            place.publish(OLD + run);
        }
        for run in 0..4 {
            scan(OLD + 10 * MONTH + run, HEALTHY).write(&place.path(&format!("analysis/{run}")));
        }
        fs::create_dir(place.path("log")).unwrap();
        for day in 1..=4 {
            let name = format!("log/run_2024-12-0{day}T03-15-00Z.log");
            fs::write(place.path(&name), "INFO done\n").unwrap();
        }
        place
    }

    /// The bytes of every dated report, as files.
    fn reports(&self) -> BTreeMap<String, Vec<u8>> {
        let read = |name: String| {
            let bytes = fs::read(self.path("public").join(&name)).unwrap();
            (name, bytes)
        };
        let dated = |name: &String| shelf::output::of_dated_name(name).is_some();
        self.names().into_iter().filter(dated).map(read).collect()
    }

    /// What a reader relies on at every moment: what the list names is there, and every report is
    /// a file or in an archive; and what lies in the analysis root under a run's name is whole.
    fn check(&self, reports: &BTreeMap<String, Vec<u8>>, when: &str) {
        let public = self.path("public");
        for entry in self.files().files {
            let bytes = fs::read(public.join(&entry.name))
                .unwrap_or_else(|error| panic!("{when}: {}: {error}", entry.name));
            assert_eq!(entry.size, bytes.len() as u64, "{when}");
            assert_eq!(entry.sha256, hex(&bytes), "{when}");
        }
        let listed: BTreeSet<String> =
            self.files().files.into_iter().map(|entry| entry.name).collect();
        let archived: BTreeMap<String, Vec<u8>> = listed
            .iter()
            .filter(|name| name.ends_with(".tar.gz"))
            .flat_map(|name| unpacked(&public.join(name)))
            .collect();
        for (name, bytes) in reports {
            match (listed.contains(name), archived.get(name)) {
                (true, None) => assert_eq!(&fs::read(public.join(name)).unwrap(), bytes, "{when}"),
                (_, Some(archived)) => assert_eq!(archived, bytes, "{when}: {name}"),
                (false, None) => panic!("{when}: {name} is nowhere"),
            }
        }
        for entry in fs::read_dir(self.path("analysis")).unwrap() {
            let path = entry.unwrap().path();
            let hidden = path.file_name().unwrap().to_string_lossy().starts_with('.');
            if path.is_dir() && !hidden {
                let count = fs::read_dir(&path).unwrap().count();
                assert_eq!(count, 2 + HEALTHY.len(), "{when}: {path:?}");
            }
        }
    }

    fn snapshot(&self) -> BTreeMap<PathBuf, (Vec<u8>, std::time::SystemTime)> {
        let mut all = BTreeMap::new();
        let mut to_see = vec![self.dir.path().to_owned()];
        while let Some(path) = to_see.pop() {
            let metadata = fs::symlink_metadata(&path).unwrap();
            let mut bytes = Vec::new();
            if metadata.is_dir() {
                to_see.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            } else if metadata.is_file() {
                bytes = fs::read(&path).unwrap();
            }
            all.insert(path, (bytes, metadata.modified().unwrap()));
        }
        all
    }

    fn runs(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.path("analysis"))
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.path().is_dir())
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unpacked(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(File::open(path).unwrap()));
    archive
        .entries()
        .unwrap()
        .map(|entry| {
            let mut entry = entry.unwrap();
            let header = entry.header();
            let facts = (header.uid().unwrap(), header.gid().unwrap(), header.mode().unwrap());
            assert_eq!(facts, (0, 0, 0o644));
            let name = entry.path().unwrap().to_str().unwrap().to_owned();
            let (time, _) = shelf::output::of_dated_name(&name).unwrap();
            assert_eq!(entry.header().mtime().unwrap(), u64::try_from(time.timestamp()).unwrap());
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            (name, bytes)
        })
        .collect()
}

fn trouble_of(done: &[retain::PartDone], part: RetainPart) -> String {
    let part = done.iter().find(|done| done.part == part).unwrap();
    part.troubles.iter().map(|trouble| format!("{trouble}\n")).collect()
}

#[test]
fn everything_at_once_and_readers_find_everything_at_every_step() {
    let place = Place::filled();
    let reports = place.reports();
    assert_eq!(reports.len(), 7);
    let before = place.snapshot();
    let would =
        retain::run(&RetainOptions { dry_run: true, ..place.options() }, now(), &mut |step| {
            panic!("a dry run would {step}")
        })
        .unwrap();
    assert!(before == place.snapshot(), "a dry run changes nothing");

    let mut steps = 0;
    let done = retain::run(&place.options(), now(), &mut |step| {
        steps += 1;
        place.check(&reports, step);
    })
    .unwrap();
    assert!(steps > 20);
    place.check(&reports, "afterwards");
    assert!(done.iter().all(|part| part.troubles.is_empty() && part.left.is_empty()), "{done:?}");
    for (would, done) in would.iter().zip(&done) {
        assert_eq!(would.steps, done.steps, "what is said beforehand is what is done");
    }
    assert_eq!(place.runs(), ["2", "3"]);
    assert_eq!(fs::read_dir(place.path("log")).unwrap().count(), 2);
    assert_eq!(
        place.names(),
        [
            "dns_health_2024-11.tar.gz",
            "dns_health_2024-12.tar.gz",
            "dns_health_2025-10-03_01-50-00.json",
            "dns_health_2025-10-03_07-50-00.json",
            "files.json",
            "latest.json",
            "trends.json",
        ]
    );
    let files = place.files().files;
    assert_eq!(files[2].kind, FileKind::Archive);
    assert_eq!(unpacked(&place.path("public/dns_health_2024-11.tar.gz")).len(), 3);
    let story = place.expect(0, "", &["history", "relay", &fixture::relay(1).to_string()]);
    assert!(story.contains("2 runs"), "{story}");

    // Again: there is nothing to do, and nothing is done.
    let before = place.snapshot();
    retain::run(&place.options(), now(), &mut |step| {
        assert!(step == "shorten the history", "{step}");
    })
    .unwrap();
    assert!(before == place.snapshot());
    // A report made afterwards lists the archives as they are.
    place.publish(OLD + 11 * MONTH + 2);
    place.check(&reports, "with a new report");
    assert_eq!(place.files().files.len(), 5);
}

/// Not a test of its own: what the next one starts and lets end at a step.
#[test]
fn one_that_ends_at_a_step() {
    let (Some(dir), Ok(last)) = (std::env::var_os("RETAIN_DIR"), std::env::var("RETAIN_STEP"))
    else {
        return;
    };
    let dir = Path::new(&dir);
    let options = RetainOptions {
        root: dir.join("analysis"),
        output_directory: dir.join("public"),
        logs: Some(dir.join("log")),
        history: dir.join("analysis/history.sqlite"),
        keep_runs: 2,
        archive_after: 180,
        keep_logs: 2,
        keep_days: 200,
        dry_run: false,
    };
    let mut left: u32 = last.parse().unwrap();
    let done = retain::run(&options, now(), &mut |_| match left.checked_sub(1) {
        Some(fewer) => left = fewer,
        // As by a kill: nothing is cleaned up.
        None => std::process::exit(99),
    });
    assert!(done.unwrap().iter().all(|part| part.troubles.is_empty()));
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn killed_at_every_step_it_ends_well_the_next_time() {
    let model = Place::filled();
    // An archive with fewer reports is there already, so that one is superseded as well.
    retain::run(&model.options(), now(), &mut |_| {}).unwrap();
    let late = Place::filled();
    for name in late.reports().keys().filter(|name| name.contains("2024-11")) {
        fs::remove_file(late.path("public").join(name)).unwrap();
    }
    late.publish_late(OLD + 3);
    fs::copy(
        model.path("public/dns_health_2024-11.tar.gz"),
        late.path("public/dns_health_2024-11.tar.gz"),
    )
    .unwrap();
    late.expect(0, "", &["files"]);
    let mut reports = late.reports();
    reports.extend(unpacked(&late.path("public/dns_health_2024-11.tar.gz")));
    assert_eq!(reports.len(), 8);

    let whole = Place::new();
    copy(late.dir.path(), whole.dir.path());
    retain::run(&whole.options(), now(), &mut |_| {}).unwrap();
    let published = |place: &Place| -> Vec<(String, Vec<u8>)> {
        let read = |name: &String| fs::read(place.path("public").join(name)).unwrap();
        place.names().into_iter().map(|name| (name.clone(), read(&name))).collect()
    };
    assert!(whole.names().contains(&"dns_health_2024-11-2.tar.gz".to_owned()));
    assert!(!whole.names().contains(&"dns_health_2024-11.tar.gz".to_owned()));

    let mut step = 0;
    loop {
        let place = Place::new();
        copy(late.dir.path(), place.dir.path());
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "report::retain::one_that_ends_at_a_step"])
            .env("RETAIN_DIR", place.dir.path())
            .env("RETAIN_STEP", step.to_string())
            .output()
            .unwrap();
        place.check(&reports, &format!("killed at step {step}"));
        if child.status.success() {
            break;
        }
        assert_eq!(child.status.code(), Some(99), "{}", String::from_utf8_lossy(&child.stdout));
        let done = retain::run(&place.options(), now(), &mut |now| {
            place.check(&reports, &format!("{now}, after a kill at step {step}"));
        })
        .unwrap();
        assert!(done.iter().all(|part| part.troubles.is_empty()), "{done:?}");
        place.check(&reports, "the next time");
        let left = |(name, _): &(String, Vec<u8>)| !name.starts_with(".unfinished-");
        let ended: Vec<_> = published(&place).into_iter().filter(left).collect();
        assert!(ended == published(&whole), "killed at step {step}: {:?}", place.names());
        assert_eq!(place.runs(), ["2", "3"], "killed at step {step}");
        step += 1;
    }
    assert!(step > 20, "{step}");
}

#[test]
fn the_same_reports_are_the_same_archive_and_late_ones_make_a_new_one() {
    let (one, other) = (Place::filled(), Place::filled());
    for place in [&one, &other] {
        retain::run(&place.options(), now(), &mut |_| {}).unwrap();
    }
    let name = "public/dns_health_2024-12.tar.gz";
    assert!(fs::read(one.path(name)).unwrap() == fs::read(other.path(name)).unwrap());

    // The archive of another host, of which it has some reports and lacks others.
    fs::copy(one.path(name), one.path("public/dns_health_2024-12-7.tar.gz")).unwrap();
    one.publish_late(OLD + MONTH + 2);
    let done = retain::run(&one.options(), now(), &mut |_| {}).unwrap();
    assert!(done.iter().all(|part| part.troubles.is_empty()), "{done:?}");
    let archives: Vec<String> =
        one.names().into_iter().filter(|name| name.ends_with("gz")).collect();
    assert_eq!(archives, ["dns_health_2024-11.tar.gz", "dns_health_2024-12-8.tar.gz"]);
    assert_eq!(unpacked(&one.path("public/dns_health_2024-12-8.tar.gz")).len(), 3);

    // A report that is in the archive comes back: it is not archived again.
    let (name, bytes) =
        unpacked(&one.path("public/dns_health_2024-12-8.tar.gz")).pop_first().unwrap();
    fs::write(one.path("public").join(&name), &bytes).unwrap();
    retain::run(&one.options(), now(), &mut |_| {}).unwrap();
    assert!(!one.path("public").join(&name).exists());
    assert!(one.path("public/dns_health_2024-12-8.tar.gz").exists());
    // With other content, it is a contradiction that a person has to solve.
    let other = String::from_utf8(bytes).unwrap().replacen("0.1.0", "0.1.1", 1);
    fs::write(one.path("public").join(&name), &other).unwrap();
    let done = retain::run(&one.options(), now(), &mut |_| {}).unwrap();
    assert!(trouble_of(&done, RetainPart::Reports).contains("other content"), "{done:?}");
    assert!(one.path("public").join(&name).exists());
}

#[test]
fn a_damaged_archive_or_report_is_named_and_nothing_of_its_month_is_touched() {
    let place = Place::filled();
    let before = place.reports();
    retain::run(&place.options(), now(), &mut |_| {}).unwrap();
    let archive = place.path("public/dns_health_2024-11.tar.gz");
    let good = fs::read(&archive).unwrap();
    let listed = fs::read(place.path("public/files.json")).unwrap();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    let mut longer = good.clone();
    longer.extend(b"more");
    let cases: [&[u8]; 6] = [&good[..good.len() - 9], &flipped, &longer, b"", b"no archive", &{
        // A whole gzip of something else.
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut gzip, b"something else").unwrap();
        gzip.finish().unwrap()
    }];
    let late = before.iter().find(|(name, _)| name.contains("2024-11")).unwrap();
    for (number, bytes) in cases.iter().enumerate() {
        fs::write(&archive, bytes).unwrap();
        fs::write(place.path("public").join(late.0), late.1).unwrap();
        fs::write(place.path("public/files.json"), &listed).unwrap();
        let said = place.expect(42, "", &["retain", "--archive-after", "1"]);
        assert!(said.contains("dns_health_2024-11.tar.gz"), "{number}: {said}");
        assert_eq!(&fs::read(&archive).unwrap(), bytes, "{number}: it stays as it was found");
        assert!(place.path("public").join(late.0).exists(), "{number}: the report stays");
    }
    // The other months do not suffer: October is archived but for what is the latest report.
    fs::write(&archive, &good).unwrap();
    fs::write(place.path("public/files.json"), &listed).unwrap();
    place.expect(0, "", &["retain"]);
    assert!(!place.path("public").join(late.0).exists());

    // A report that is not what the list says of it.
    let place = Place::filled();
    let path = place.path("public").join(late.0);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("0.1.0", "0.1.1", 1)).unwrap();
    let said = place.expect(42, "", &["retain"]);
    assert!(said.contains("has not the digest") && said.contains(late.0), "{said}");
    assert!(path.exists() && place.path("public/dns_health_2024-12.tar.gz").exists());
}

#[test]
fn the_latest_report_and_its_month_stay() {
    let place = Place::new();
    place.publish(OLD);
    place.publish(OLD + 1);
    place.expect(0, "", &["retain"]);
    assert_eq!(place.reports().len(), 2);
    // Where it cannot be told which it is, nothing is archived.
    place.publish(OLD + MONTH);
    place.publish(OLD + 2 * MONTH);
    fs::write(place.path("public/latest.json"), "half").unwrap();
    let said = place.expect(42, "", &["retain"]);
    assert!(said.contains("latest.json"), "{said}");
    assert_eq!(place.reports().len(), 4);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one case after another")]
fn runs_that_are_not_only_ours_or_in_use_stay() {
    let place = Place::new();
    for run in 0..9 {
        scan(OLD + run, HEALTHY).write(&place.path(&format!("analysis/{run}")));
    }
    let unfinish = |run: &str| {
        fs::remove_file(place.path("analysis").join(run).join(RUN_FILE)).unwrap();
    };
    fs::write(place.path("analysis/0/notes.txt"), "mine").unwrap();
    fs::create_dir(place.path("analysis/1/more")).unwrap();
    symlink(
        "/etc/passwd",
        place.path("analysis/2").join(format!("dnshealth_{}.json", "A".repeat(40))),
    )
    .unwrap();
    let lock = File::create(place.path("analysis/3/.scanner.lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    // An interrupted one, and one whose documents are damaged.
    unfinish("4");
    File::create(place.path("analysis/4/.scanner.lock")).unwrap();
    File::create(place.path("analysis/4").join(RESULTS_LOG_FILE)).unwrap();
    unfinish("5");
    fs::write(place.path("analysis/5").join(PLAN_FILE), "half").unwrap();
    // Others' things.
    fs::create_dir_all(place.path("analysis/empty")).unwrap();
    fs::create_dir_all(place.path("analysis/others/0")).unwrap();
    fs::write(place.path("analysis/others/plan.json"), "{}").unwrap();
    scan(OLD + 20, HEALTHY).write(&place.path("elsewhere"));
    symlink(place.path("elsewhere"), place.path("analysis/link")).unwrap();
    let newer = place.path("analysis/newer");
    scan(OLD - 9, HEALTHY).write(&newer);
    let text = fs::read_to_string(newer.join(RUN_FILE)).unwrap();
    fs::write(newer.join(RUN_FILE), text.replacen("\"version\": 1", "\"version\": 2", 1)).unwrap();
    // What a kill left of an earlier removal, and of fetching a run.
    scan(OLD - 5, HEALTHY).write(&place.path("analysis/.removing-x"));
    scan(OLD - 5, HEALTHY).write(&place.path("analysis/.unfinished-y"));
    fs::create_dir(place.path("analysis/.git")).unwrap();

    let said = place.expect(0, "", &["retain", "--keep-runs", "3"]);
    for (name, why) in [
        ("0", "notes.txt"),
        ("1", "more"),
        ("2", "dnshealth_AAAA"),
        ("3", "a scan is writing"),
        ("newer", "version 2"),
    ] {
        let line = said.lines().find(|line| line.contains(&format!("analysis/{name} is left")));
        assert!(line.is_some_and(|line| line.contains(why)), "{name}: {said}");
    }
    // 5 is of this moment, and no scanner's lock tells whether somebody is at it.
    let wanted = [
        ".git",
        ".unfinished-y",
        "0",
        "1",
        "2",
        "3",
        "5",
        "6",
        "7",
        "8",
        "empty",
        "link",
        "newer",
        "others",
    ];
    assert_eq!(place.runs(), wanted);
    assert!(said.contains("analysis: 2 directories removed"), "{said}");
    assert_eq!(fs::read_dir(place.path("elsewhere")).unwrap().count(), 2 + HEALTHY.len());
    assert!(place.path("analysis/0/run.json").exists(), "all of it stays");

    // What is newer than the last report stays, however many.
    let place = Place::new();
    place.publish(OLD);
    for run in 0..6 {
        scan(OLD + run - 2, HEALTHY).write(&place.path(&format!("analysis/{run}")));
    }
    place.expect(0, "", &["retain", "--keep-runs", "1"]);
    assert_eq!(place.runs(), ["3", "4", "5"]);
    place.expect(0, "", &["retain", "--keep-runs", "0"]);
    assert_eq!(place.runs().len(), 3);
}

#[test]
fn a_full_disk_gets_room_and_loses_nothing() {
    let place = Place::filled();
    let reports = place.reports();
    // No file may grow beyond 2 blocks of 512 bytes: as on a disk that is full.
    let limited = format!(
        "trap '' XFSZ; ulimit -f 2; exec '{}' retain --keep-runs 2 --log-dir log --keep-logs 1 --keep-days 0",
        program("aggregate").display()
    );
    let output = Command::new("sh")
        .args(["-c", &limited])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .current_dir(place.dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(40), "{said}");
    assert!(said.contains("dns_health_2024-11.tar.gz"), "{said}");
    assert_eq!(place.reports(), reports);
    place.check(&reports, "on a full disk");
    assert!(place.names().iter().all(|name| !name.starts_with('.') && !name.ends_with("gz")));
    assert_eq!(place.runs(), ["2", "3"]);
    assert_eq!(fs::read_dir(place.path("log")).unwrap().count(), 1);
}

#[test]
fn arguments_environment_and_the_publishers_lock() {
    let place = Place::filled();
    for wrong in [
        &["--keep-runs", "-1"][..],
        &["--keep-days", "29"],
        &["--keep-logs", "x"],
        &["--archive-after", "1.5"],
    ] {
        place.expect(2, "", &[&["retain"], wrong].concat());
    }
    let publisher = File::open(place.path("public")).unwrap();
    flock(&publisher, FlockOperation::LockExclusive).unwrap();
    let said = place.expect(22, "", &["retain"]);
    assert!(said.contains("another aggregate"), "{said}");
    assert_eq!(place.runs().len(), 4);
    // Looking needs no lock.
    let output = place
        .command("")
        .args(["retain", "--dry-run"])
        .env("KEEP_RUNS", "1")
        .env("KEEP_LOGS", "3")
        .env("LOG_DIR", "log")
        .env("ARCHIVE_AFTER_DAYS", "0")
        .env("HISTORY_KEEP_DAYS", "")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    // The history's day is counted from its newest run.
    insta::assert_snapshot!("dry_run", said);
    drop(publisher);

    // A host that only scans has no reports, no history and no logs; one that is new has nothing.
    let place = Place::new();
    scan(OLD, HEALTHY).write(&place.path("analysis/a"));
    scan(OLD + 1, HEALTHY).write(&place.path("analysis/b"));
    let said = place.expect(0, "", &["retain", "--keep-runs", "1"]);
    assert_eq!(place.runs(), ["b"], "{said}");
    assert!(!place.path("public").exists() && !place.path("analysis/history.sqlite").exists());
    place.expect(0, "", &["retain", "--analysis-root", "none", "--log-dir", "none"]);
    place.publish(OLD + 2);
    let said = place.expect(0, "", &["history", "prune", "--keep-days", "0"]);
    assert!(said.contains("all runs are kept"), "{said}");
}

#[test]
fn an_archive_is_read_to_its_last_byte() {
    let place = Place::filled();
    retain::run(&place.options(), now(), &mut |_| {}).unwrap();
    let path = place.path("public/dns_health_2024-11.tar.gz");
    let month = "2024-11-01T00:00:00Z".parse().unwrap();
    let contents = archive::read(File::open(&path).unwrap(), month).unwrap();
    assert_eq!(contents.members.len(), 3);
    assert_eq!(contents.whole.sha256, hex(&fs::read(&path).unwrap()));
    let other = "2024-12-01T00:00:00Z".parse().unwrap();
    assert!(archive::read(File::open(&path).unwrap(), other).is_err());
    let files: Files =
        Kind::Files.parse(&fs::read(place.path("public/files.json")).unwrap()).unwrap();
    let entry = files.files.iter().find(|entry| entry.kind == FileKind::Archive).unwrap();
    assert!(entry.report.is_none());
    let bytes = fs::read(&path).unwrap();
    for length in 0..bytes.len() {
        if length % 7 == 0 || bytes.len() - length < 20 {
            let cut = tempfile::tempfile().unwrap();
            std::io::Write::write_all(&mut &cut, &bytes[..length]).unwrap();
            std::io::Seek::rewind(&mut &cut).unwrap();
            assert!(archive::read(cut, month).is_err(), "cut to {length}");
        }
    }
}
