//! Exports of the reports that the aggregation's own tests hold it to.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use record::{BadgeWord, State, Status};
use record::{Badges, CompatReport, ErrorCode, Figures, Fingerprint, OnionooDns};
use serde::de::DeserializeOwned;

use record::ReportedRelay;

use super::*;

/// A whole report, of a relay for each kind of result.
pub(crate) fn example() -> Report {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../aggregate/tests/it/snapshots/report_of_everything.snap"
    );
    let text = fs::read_to_string(path).unwrap();
    // It comes after the snapshot's own head.
    let report = text.splitn(3, "---\n").nth(2).unwrap();
    Kind::Report.parse(report.as_bytes()).unwrap()
}

/// The text of one export of a report.
fn export(report: &Report, path: &str) -> String {
    let files = of_report(report, &Beside::default()).unwrap();
    let file = files.into_iter().find(|file| file.path == path).unwrap();
    String::from_utf8(file.bytes).unwrap()
}

/// A JSON export, which fits its schema.
fn document<T: DeserializeOwned>(report: &Report, path: &str, kind: Kind) -> T {
    let text = export(report, path);
    let name = kind.name().strip_prefix("exit-validator/").unwrap();
    let schema = format!("{}/../../docs/formats/{name}.schema.json", env!("CARGO_MANIFEST_DIR"));
    let schema = serde_json::from_str(&fs::read_to_string(schema).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let value = serde_json::from_str(&text).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(&value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{path}: {errors:#?}");
    kind.parse(text.as_bytes()).unwrap()
}

/// The series of a metric, by their labels.
fn series(text: &str, metric: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(metric)?;
        let (labels, value) = rest.rsplit_once(' ')?;
        (labels.is_empty() || labels.starts_with('{')).then(|| (labels.to_owned(), value))
    });
    lines.map(|(labels, value)| (labels, value.parse().unwrap())).collect()
}

#[test]
fn the_metrics() {
    insta::assert_snapshot!(export(&example(), METRICS_FILE));
}

#[test]
fn the_figures_are_the_reports_own_and_small() {
    let report = example();
    let found: Figures = document(&report, FIGURES_FILE, Kind::Figures);
    assert_eq!(found.metadata, report.metadata);
    let text = export(&report, FIGURES_FILE);
    assert!(text.len() < 8000, "{} bytes", text.len());
}

#[test]
fn the_verdicts_by_fingerprint() {
    let report = example();
    let found: OnionooDns = document(&report, ONIONOO_FILE, Kind::OnionooDns);
    assert_eq!(found.relays.len(), report.results.len());
    insta::assert_snapshot!(serde_json::to_string_pretty(&found).unwrap());
}

#[test]
fn the_former_report_and_its_metrics() {
    let report = example();
    let found: CompatReport = document(&report, COMPAT_REPORT_FILE, Kind::CompatReport);
    insta::assert_snapshot!("former_report", serde_json::to_string_pretty(&found).unwrap());
    insta::assert_snapshot!("former_metrics", export(&report, COMPAT_METRICS_FILE));
}

#[test]
fn the_index_of_the_badges() {
    let found: Badges = document(&example(), "badges/9.json", Kind::Badges);
    // The function's tests read it too.
    insta::assert_snapshot!(serde_json::to_string_pretty(&found).unwrap());
}

#[test]
fn what_badges_say() {
    let mut report = example();
    let relay = report.results.iter().find(|one| one.status == Status::Success).unwrap().clone();
    report.results.clear();
    let mut row = 0_u8;
    let mut add = |status, state, provisional, degraded, operator: &str| {
        row += 1;
        let mut bytes = [row; 20];
        bytes[0] = if row.is_multiple_of(2) { 0xa0 } else { 0x0f };
        report.results.push(ReportedRelay {
            exit_fingerprint: Fingerprint::from_bytes(bytes),
            status,
            state,
            provisional,
            degraded,
            consecutive_failures: u32::from(row),
            operator: operator.to_owned(),
            ..relay.clone()
        });
    };
    use BadgeWord::{Degraded, Failing, Flapping, NotReached, NotTested, Unconfirmed, Works};
    let flapping = Some(State::Flapping);
    add(Status::Success, Some(State::Healthy), false, false, "a");
    add(Status::Success, Some(State::Healthy), false, true, "a");
    add(Status::Success, flapping, false, false, "a");
    add(Status::DnsFail, flapping, false, false, "a");
    add(Status::Timeout, Some(State::Suspect), true, false, "a");
    add(Status::WrongIp, Some(State::Confirmed), false, true, "b");
    add(Status::CircuitFail, flapping, false, false, "b");
    add(Status::Error, None, false, false, "b");
    add(Status::Exception, None, false, false, "c");
    let wanted = [
        Works,
        Degraded,
        Flapping,
        Flapping,
        Unconfirmed,
        Failing,
        NotReached,
        NotTested,
        NotTested,
    ];
    let of = |digit: char| -> Badges {
        document(&report, &format!("{BADGES_DIRECTORY}/{digit}.json"), Kind::Badges)
    };
    let shards = ['0', 'A'].map(of);
    for (relay, wanted) in report.results.iter().zip(wanted) {
        let shard = &shards[usize::from(relay.exit_fingerprint.as_bytes()[0] == 0xa0)];
        let badge = shard.relays[&relay.exit_fingerprint];
        assert_eq!(badge.word, wanted, "{}", relay.exit_fingerprint);
        assert_eq!(badge.failures, relay.consecutive_failures);
        let operator = shard.operators[usize::try_from(badge.operator).unwrap()];
        let sums = (operator.relays, operator.work, operator.fail);
        // An operator counts all of its relays, in every file that it is in.
        let all = [("a", (5, 3, 1)), ("b", (3, 0, 1)), ("c", (1, 0, 0))];
        assert!(all.contains(&(relay.operator.as_str(), sums)), "{} {sums:?}", relay.operator);
    }
    assert!(of('7').relays.is_empty());
    assert_eq!(of('7').timestamp, report.metadata.timestamp);
}

#[test]
fn a_relay_that_was_not_tested_is_nowhere_a_dns_failure_in_the_former_files() {
    let mut report = example();
    for (number, relay) in report.results.iter_mut().enumerate() {
        relay.status = [Status::CircuitFail, Status::Error, Status::Exception][number % 3];
        relay.error_code = Some(ErrorCode::CircuitExitUnreachable);
        // From the last time that it was tested.
        relay.consecutive_failures = 3;
    }
    let found: CompatReport = document(&report, COMPAT_REPORT_FILE, Kind::CompatReport);
    assert!(found.results.is_empty());
    let metrics = export(&report, COMPAT_METRICS_FILE);
    let failed = series(&metrics, "aeo1_exit_dns_failed");
    assert_eq!(failed.len(), report.results.len());
    for (labels, value) in failed {
        assert!(value == 0.0, "{labels}");
        let status = ["relay_unreachable", "untested"].map(|one| format!("status=\"{one}\"}}"));
        assert!(status.iter().any(|status| labels.ends_with(status)), "{labels}");
    }
}

#[test]
fn the_former_figures_add_up() {
    let report = example();
    let found = compat::of_report(&report).metadata;
    let tested = found.dns_success + found.dns_fail + found.dns_timeout + found.dns_wrong_ip;
    assert_eq!(found.tested_relays, tested);
    let faults = found.dns_socks_error + found.dns_error + found.dns_exception;
    let all = tested + found.unreachable_relays + faults + report.metadata.not_reached;
    assert_eq!(found.consensus_relays, all);
}

#[test]
fn the_own_metrics_are_few_whatever_the_network() {
    let mut report = example();
    let lines = |report: &Report| export(report, METRICS_FILE).lines().count();
    let few = lines(&report);
    assert!(few < 300, "{few} lines");
    let relay = report.results[0].clone();
    for number in 0..1000_u16 {
        let mut bytes = [0xee; 20];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        let exit_fingerprint = Fingerprint::from_bytes(bytes);
        let operator = format!("contact:{number}");
        report.results.push(ReportedRelay { exit_fingerprint, operator, ..relay.clone() });
    }
    assert_eq!(lines(&report), few);
}

proptest! {
    // A nickname and an error are strangers' texts.
    #[test]
    fn no_text_of_strangers_makes_a_line_or_a_series_of_its_own(text in "(?s)[\"\\\\}{\n\r,= a-z\\PC#\x00\u{2028}]{0,60}") {
        let plain = example();
        let mut report = plain.clone();
        for relay in &mut report.results {
            relay.exit_nickname.clone_from(&text);
            relay.error = Some(text.clone());
            relay.operator = format!("contact:{text}");
            relay.relay.contact = Some(text.clone());
        }
        for path in [METRICS_FILE, COMPAT_METRICS_FILE] {
            let (before, after) = (export(&plain, path), export(&report, path));
            prop_assert_eq!(before.lines().count(), after.lines().count());
            for (before, after) in before.lines().zip(after.lines()) {
                // The same but for what is within the nickname's quotes.
                let (begin, end) = before.split_once("nick=\"").unwrap_or((before, ""));
                prop_assert!(after.starts_with(begin), "{}", after);
                let end = end.split_once("\",verifiedaroi").map_or("", |(_, end)| end);
                prop_assert!(after.ends_with(end), "{}", after);
            }
        }
        // Of the JSON files the badges' hold none of it, and the others are JSON.
        for file in of_report(&report, &Beside::default()).unwrap() {
            if file.path.starts_with(BADGES_DIRECTORY) && text.len() > 20 {
                prop_assert!(!String::from_utf8_lossy(&file.bytes).contains(&text));
            }
            if file.path.ends_with(".json") {
                serde_json::from_slice::<serde_json::Value>(&file.bytes).unwrap();
            }
        }
    }
}

/// An output directory with this report.
fn published(report: &Report) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(LATEST_FILE), serde_json::to_vec(report).unwrap()).unwrap();
    directory
}

/// Every file below a directory but the report, with what is in it.
fn files_in(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut look = vec![directory.to_owned()];
    while let Some(place) = look.pop() {
        for entry in fs::read_dir(place).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(directory).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                look.push(path);
            } else if name != LATEST_FILE {
                found.insert(name, fs::read(path).unwrap());
            }
        }
    }
    found
}

#[test]
fn what_is_missing_old_or_cut_is_made_again_and_what_is_right_is_left() {
    let report = example();
    let directory = published(&report);
    let path = directory.path();
    let all: BTreeMap<String, Vec<u8>> = of_report(&report, &Beside::default())
        .unwrap()
        .into_iter()
        .map(|file| (file.path, file.bytes))
        .collect();
    assert!(all.keys().all(|path| output::is_export(path)));
    assert_eq!(refresh(path).unwrap(), all.len());
    assert_eq!(files_in(path), all);
    assert_eq!(refresh(path).unwrap(), 0);
    // As a program leaves them that is killed, or a disk that loses its power.
    fs::remove_file(path.join(METRICS_FILE)).unwrap();
    fs::write(path.join(ONIONOO_FILE), "").unwrap();
    fs::write(path.join("compat/.unfinished-x"), "{").unwrap();
    assert_eq!(refresh(path).unwrap(), 2);
    assert_eq!(files_in(path), all);
    // With the next report all that depends on it.
    let mut next = report;
    next.metadata.timestamp += chrono::TimeDelta::hours(6);
    fs::write(path.join(LATEST_FILE), serde_json::to_vec(&next).unwrap()).unwrap();
    assert_eq!(refresh(path).unwrap(), all.len());
}

#[test]
fn what_cannot_be_done_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    assert_eq!(refresh(path).unwrap(), 0, "there is no report yet");
    assert!(files_in(path).is_empty());
    let lock = output::lock(path).unwrap().unwrap();
    assert!(matches!(refresh(path), Err(ExportError::Busy { .. })));
    drop(lock);
    fs::write(path.join(LATEST_FILE), "{").unwrap();
    assert!(matches!(refresh(path), Err(ExportError::Report { .. })));
    let newer = r#"{"format":{"name":"exit-validator/report","version":2}}"#;
    fs::write(path.join(LATEST_FILE), newer).unwrap();
    assert!(refresh(path).unwrap_err().to_string().contains("use the newer program"));
    assert!(matches!(refresh(&path.join("none")), Err(ExportError::Directory { .. })));
    let directory = published(&example());
    fs::write(directory.path().join(BADGES_DIRECTORY), "a file").unwrap();
    assert!(matches!(refresh(directory.path()), Err(ExportError::Write { .. })));
}
