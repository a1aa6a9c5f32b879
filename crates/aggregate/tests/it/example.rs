//! Examples of the rules, in a few characters: which relays got what in which runs. They are written
//! to files as the scanner and the aggregation write them, read again, and made into a report.

use std::fs;

use aggregate::gate::{self, Thresholds};
use aggregate::input::Input;
use aggregate::previous::{self, Base, PriorError};
use aggregate::rejections::{Rejection, Rejections};
use aggregate::report::{self, Context};
use aggregate::{merge, summary};
use chrono::{DateTime, Utc};
use record::{FileEntry, FileKind, RejectReason, Report, ZoneCheck};

use crate::fixture::{Scan, relay, scan};
use crate::schema;

/// What one run found: relays and their marks.
type Marks = Vec<(u32, char)>;

/// Some runs, the inputs of the last of them, and what else its report depends on.
#[derive(Clone)]
pub struct Example {
    /// The number of the run at hand.
    run: i32,
    previous: Option<Vec<u8>>,
    listed: Vec<FileEntry>,
    inputs: Vec<(&'static str, Scan)>,
    files: Vec<(String, Vec<u8>)>,
    options: Options,
}

/// What the operator asked for, and found.
#[derive(Clone)]
pub struct Options {
    /// Where the gate closes: as by default, but for what an example of a few relays cannot have.
    pub thresholds: Thresholds,
    /// The number of the relay known to be good.
    pub known_good: Option<u32>,
    pub zone_check: Option<ZoneCheck>,
    pub force: bool,
    /// The time now, where it is not the end of the run.
    pub now: Option<DateTime<Utc>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            thresholds: Thresholds {
                min_relays: 1,
                success_floor_percent: 0.0,
                spread_percent: 100.0,
                ..Thresholds::default()
            },
            known_good: None,
            zone_check: None,
            force: false,
            now: None,
        }
    }
}

/// Runs, one after the other, and the report of the last of them. A row is a relay: its number, and
/// a mark for each run as `recent` has them; a `.` where the run did not select it, a `-` where it did
/// and did not reach it.
pub fn runs(rows: &[&str]) -> Example {
    let (before, last): (Vec<String>, Vec<String>) = rows
        .iter()
        .map(|row| {
            let (before, last) = row.split_at(row.len() - 1);
            let (number, _) = row.split_once(' ').unwrap();
            (before.to_owned(), format!("{number} {last}"))
        })
        .unzip();
    nothing().published(&before).run(&last)
}

/// No run yet.
pub fn nothing() -> Example {
    Example {
        run: 0,
        previous: None,
        listed: Vec::new(),
        inputs: Vec::new(),
        files: Vec::new(),
        options: Options::default(),
    }
}

/// What each run found.
fn columns(rows: &[impl AsRef<str>]) -> Vec<Marks> {
    let rows: Vec<(&str, &str)> =
        rows.iter().map(|row| row.as_ref().split_once(' ').unwrap()).collect();
    let runs = rows[0].1.len();
    assert!(rows.iter().all(|(_, marks)| marks.len() == runs), "{rows:?}: a mark for each run");
    let column = |run: usize| {
        rows.iter().filter_map(move |(number, marks)| match marks.as_bytes()[run] {
            b'.' => None,
            b'-' => Some((number.parse().unwrap(), '.')),
            mark => Some((number.parse().unwrap(), char::from(mark))),
        })
    };
    (0..runs).map(|run| column(run).collect()).collect()
}

impl Example {
    /// Adds runs that were published, whatever their gate said.
    pub fn published(mut self, rows: &[impl AsRef<str>]) -> Self {
        for marks in columns(rows) {
            let mut published = self.clone().input("input", scan(self.run, marks));
            published.options.force = true;
            self.previous = Some(serde_json::to_vec(&published.make().unwrap()).unwrap());
            self.run += 1;
        }
        self
    }

    /// Adds runs that the gate held back.
    pub fn held_back(mut self, rows: &[impl AsRef<str>]) -> Self {
        for marks in columns(rows) {
            let metadata =
                self.clone().input("input", scan(self.run, marks)).make().unwrap().metadata;
            assert!(!metadata.publish.allowed, "run {} is held back", self.run);
            let entry = FileEntry {
                name: metadata.timestamp.format("dns_health_%Y-%m-%d_%H-%M-%S.json").to_string(),
                kind: FileKind::Report,
                size: 1,
                sha256: "0".repeat(64),
                timestamp: metadata.timestamp,
                report: Some(report::file_report(&metadata)),
            };
            self.listed.insert(0, entry);
            self.run += 1;
        }
        self
    }

    /// Goes to the run with this number, which may have been before.
    pub const fn at(mut self, run: i32) -> Self {
        self.run = run;
        self
    }

    /// The run at hand, of one input.
    pub fn run(self, rows: &[impl AsRef<str>]) -> Self {
        let [marks] = columns(rows).try_into().unwrap();
        let scan = scan(self.run, marks);
        self.input("input", scan)
    }

    /// An input of the run at hand: the name of its directory, and the scan.
    pub fn input(mut self, name: &'static str, scan: Scan) -> Self {
        self.inputs.push((name, scan));
        self
    }

    /// Changes what the last input holds.
    pub fn but(mut self, change: impl FnOnce(&mut Scan)) -> Self {
        change(&mut self.inputs.last_mut().unwrap().1);
        self
    }

    /// Puts a file of these bytes beside or in the place of the scan's.
    pub fn file(mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.files.push((path.to_owned(), bytes.into()));
        self
    }

    /// The previous report, of these bytes.
    pub fn previous(mut self, bytes: &[u8]) -> Self {
        self.previous = Some(bytes.to_vec());
        self
    }

    /// What the operator asks for, of this run and those held back after it.
    pub fn with(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// The report, which is of the published format.
    pub fn report(&self) -> Report {
        let report = self.make().unwrap();
        schema::check("report", &report);
        assert!(!summary::of_report(&report).is_empty());
        report
    }

    /// Why there is no report.
    pub fn error(&self) -> String {
        self.make().unwrap_err()
    }

    fn make(&self) -> Result<Report, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for (name, scan) in &self.inputs {
            scan.write(&path(name));
        }
        if let Some(bytes) = &self.previous {
            fs::write(path("previous.json"), bytes).unwrap();
        }
        for (name, bytes) in &self.files {
            fs::write(path(name), bytes).unwrap();
        }

        let inputs: Vec<Input> =
            self.inputs.iter().map(|(name, _)| Input::read(&path(name)).unwrap()).collect();
        let ids = report::run_ids(&inputs);
        let time = report::ended(&inputs);
        let mut rejections = Rejections::default();
        let base = match previous::read(&path("previous.json")) {
            Ok(prior) => Base::of_report(prior, &ids, time),
            Err(PriorError::Missing) => Base::none("there is none".to_owned()),
            Err(error @ PriorError::Newer(_)) => return Err(error.to_string()),
            Err(error) => {
                let rejection = Rejection::new(RejectReason::Malformed, error.to_string());
                rejections.add("", "previous.json", &rejection);
                Base::none(error.to_string())
            }
        };
        let options = &self.options;
        let context = Context {
            now: options.now.unwrap_or(time),
            thresholds: &options.thresholds,
            force: options.force,
            known_good: options.known_good.map(relay),
            zone_check: options.zone_check.clone(),
            held: &gate::held_in(&self.listed),
            checks: None,
            resolvers: None,
            locations: None,
            license: Some("CC0-1.0"),
            publisher: None,
        };
        let joined = merge::join(inputs).map_err(|error| error.to_string())?;
        Ok(report::build(joined, base, None, rejections, context))
    }
}
