//! The rules, as examples: each directory of `testdata/` holds inputs, a previous report where
//! there is one, and the report that must come of them. Its README.md says which rule it shows.
//!
//! `UPDATE_EXPECTED=1 cargo test -p aggregate` writes the expected reports anew: look at what
//! changed before it is committed.

use std::fs;
use std::path::{Path, PathBuf};

use aggregate::gate::Thresholds;
use aggregate::input::Input;
use aggregate::previous::{self, Base, PriorError};
use aggregate::rejections::{Rejection, Rejections};
use aggregate::report::{self, Context};
use aggregate::{merge, summary};
use chrono::{DateTime, Utc};
use record::{Files, Fingerprint, Kind, RejectReason, Report, ZoneCheck};
use serde::Deserialize;

use crate::schema;

/// What a case sets beside its files: `case.json`, where it sets anything.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Case {
    known_good: Option<Fingerprint>,
    zone_check: Option<ZoneCheck>,
    now: Option<DateTime<Utc>>,
    min_relays: Option<u32>,
    force: bool,
}

fn directories(path: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    found
}

/// The report of a case, and the message of an error where the case is about one.
fn report_of(case: &Path) -> Result<Report, String> {
    let settings: Case = match fs::read(case.join("case.json")) {
        Ok(bytes) => serde_json::from_slice(&bytes).unwrap(),
        Err(_) => Case::default(),
    };
    let input = case.join("input");
    let several = directories(&input);
    let inputs = if several.is_empty() { vec![input] } else { several };
    let inputs: Vec<Input> = inputs
        .iter()
        .map(|path| Input::read(path).map_err(|e| e.to_string()))
        .collect::<Result<_, _>>()?;
    let ids = report::run_ids(&inputs);
    let time = report::ended(&inputs);
    let mut rejections = Rejections::default();
    let base = match previous::read(&case.join("previous.json")) {
        Ok(prior) => Base::of_report(prior, &ids, time),
        Err(PriorError::Missing) => Base::none("there is none".to_owned()),
        Err(error @ PriorError::Newer(_)) => return Err(error.to_string()),
        Err(error) => {
            let rejection = Rejection::new(RejectReason::Malformed, error.to_string());
            rejections.add("", "previous.json", &rejection);
            Base::none(error.to_string())
        }
    };
    let files = match fs::read(case.join("files.json")) {
        Ok(bytes) => Kind::Files.parse::<Files>(&bytes).unwrap().files,
        Err(_) => Vec::new(),
    };
    let min_relays = settings.min_relays.unwrap_or(1);
    let context = Context {
        now: settings.now.unwrap_or(time),
        thresholds: &Thresholds { min_relays, ..Thresholds::default() },
        force: settings.force,
        known_good: settings.known_good,
        zone_check: settings.zone_check,
        files: &files,
    };
    let joined = merge::join(inputs).map_err(|error| error.to_string())?;
    Ok(report::build(joined, base, None, rejections, context))
}

#[test]
fn every_rule_gives_its_report() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let update = std::env::var_os("UPDATE_EXPECTED").is_some();
    let cases = directories(&root);
    assert!(cases.len() >= 20, "the examples are there");
    for case in cases {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        assert!(case.join("README.md").exists(), "{name}: no README.md says which rule it shows");
        let (file, actual) = match report_of(&case) {
            Ok(report) => {
                schema::check("report", &report);
                assert!(!summary::of_report(&report).is_empty());
                ("expected-report.json", serde_json::to_string_pretty(&report).unwrap() + "\n")
            }
            Err(error) => {
                ("expected-error.txt", error.replace(&*root.to_string_lossy(), "testdata") + "\n")
            }
        };
        let path = case.join(file);
        if update {
            fs::write(&path, &actual).unwrap();
        }
        let expected = fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{name}: {file}: {error}; it would be\n{actual}"));
        if expected != actual {
            let line = expected.lines().zip(actual.lines()).position(|(a, b)| a != b);
            let line = line.unwrap_or(expected.lines().count().min(actual.lines().count()));
            panic!(
                "{name}: line {} of {file} differs:\n  expected {}\n  actual   {}",
                line + 1,
                expected.lines().nth(line).unwrap_or("nothing"),
                actual.lines().nth(line).unwrap_or("nothing"),
            );
        }
    }
}
