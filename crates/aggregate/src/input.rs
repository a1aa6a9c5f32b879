//! One analysis directory: its plan, its run and its results, as far as they can be used. Reads,
//! and decides nothing about relays; whether a single result is usable is [`check`]'s decision.

pub mod check;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Duration, Utc};
use record::{
    Fingerprint, FormatError, Kind, Mode, Plan, RejectReason, RelayResult, Run, Selection,
    Settings, Shard,
};
use shelf::read::{self, ReadError};
use shelf::run::{
    PLAN_FILE, PLAN_LIMIT, RESULT_LIMIT, RESULTS_LIMIT, RUN_FILE, relay_of, result_name,
    seems_result,
};

use crate::rejections::{Rejection, Rejections};
use crate::shards::FoundRun;

/// What is known of a scan as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The run's id.
    pub run_id: String,
    /// How answers were judged.
    pub mode: Mode,
    /// The domain under which the names lay.
    pub domain: String,
    /// The expected address.
    pub expected_ip: Option<IpAddr>,
    /// The shard; none where the exits were not split, which is written `0/1`, or null by versions
    /// before that.
    pub shard: Option<Shard>,
    /// How the exits were chosen.
    pub selection: Selection,
    /// Pace, limits and tries.
    pub settings: Settings,
    /// When it started.
    pub started: DateTime<Utc>,
    /// Validity of its consensus.
    pub consensus_valid_after: Option<DateTime<Utc>>,
    /// The relays it set out to test; `None` where the plan is lost, and only the run's own list
    /// of those it did not reach is left.
    pub planned: Option<BTreeSet<Fingerprint>>,
}

/// One analysis directory.
#[derive(Debug, Clone)]
pub struct Input {
    /// The directory's own name.
    pub name: String,
    /// What the scan was.
    pub facts: Facts,
    /// What became of it; `None` while it is under way, or when it was killed.
    pub run: Option<Run>,
    /// The usable results.
    pub results: BTreeMap<Fingerprint, RelayResult>,
    /// Entries that are none of ours.
    pub other_files: u64,
    /// Files that are ours and cannot be used.
    pub rejections: Rejections,
}

/// Why a directory cannot be an input.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// It cannot be listed.
    #[error("cannot read the analysis directory {directory:?}: {source}")]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// The system's error.
        r#source: io::Error,
    },
    /// Neither a plan nor a run that could be used.
    #[error(
        "{directory:?} is not an analysis directory that can be used: it has neither a readable \
         plan.json nor a readable run.json ({detail}); name a directory that the scanner wrote"
    )]
    Nothing {
        /// The directory.
        directory: PathBuf,
        /// What was wrong with them.
        detail: String,
    },
    /// Written by a newer program.
    #[error("cannot use {file} of {directory:?}: {source}")]
    Newer {
        /// The directory.
        directory: PathBuf,
        /// Which of its files.
        file: &'static str,
        /// The versions.
        r#source: FormatError,
    },
}

impl Input {
    /// Reads a directory that the scanner wrote, or is still writing.
    ///
    /// # Errors
    ///
    /// [`InputError`]. A single result that cannot be used is no error: it is counted and named
    /// among the rejections.
    pub fn read(directory: &Path) -> Result<Self, InputError> {
        let unlistable = |source| InputError::Directory { directory: directory.to_owned(), source };
        let fd = read::open_directory(directory).map_err(unlistable)?;
        let name = own_name(directory);
        let mut rejections = Rejections::default();

        let mut troubles = Vec::new();
        let mut plan: Option<Plan> =
            document(directory, &fd, PLAN_FILE, Kind::Plan, &mut troubles)?;
        let mut run: Option<Run> = document(directory, &fd, RUN_FILE, Kind::Run, &mut troubles)?;
        if let Some(rejection) = plan.as_ref().and_then(implausible_plan) {
            troubles.push((PLAN_FILE, Some(rejection)));
            plan = None;
        }
        if let Some(rejection) = run.as_ref().and_then(|run| implausible_run(run, plan.as_ref())) {
            troubles.push((RUN_FILE, Some(rejection)));
            run = None;
        }
        for (file, trouble) in &troubles {
            if let Some(rejection) = trouble {
                rejections.add(&name, file, rejection);
            }
        }
        let Some(facts) = facts(plan, run.as_ref()) else {
            let detail = troubles
                .iter()
                .map(|(file, trouble)| match trouble {
                    Some(rejection) => format!("{file}: {}", rejection.detail),
                    None => format!("{file}: not there"),
                })
                .collect::<Vec<_>>()
                .join("; ");
            return Err(InputError::Nothing { directory: directory.to_owned(), detail });
        };

        let mut input =
            Self { name, facts, run, results: BTreeMap::new(), other_files: 0, rejections };
        let relays = input.list(directory).map_err(unlistable)?;
        let window = input.window();
        for relay in relays {
            let file = result_name(&relay);
            let result = read::file_in(&fd, OsStr::new(&file), RESULT_LIMIT)
                .map_err(Rejection::from)
                .and_then(|bytes| check::result(&bytes, &relay, &input.facts, &window));
            match result {
                Ok(result) => {
                    input.results.insert(relay, result);
                }
                Err(rejection) => input.rejections.add(&input.name, &file, &rejection),
            }
        }
        Ok(input)
    }

    /// The relays that have a file here, and counts everything else.
    fn list(&mut self, directory: &Path) -> io::Result<BTreeSet<Fingerprint>> {
        let mut relays = BTreeSet::new();
        for entry in fs::read_dir(directory)? {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            if name == PLAN_FILE || name == RUN_FILE {
                continue;
            }
            if !seems_result(&name) {
                self.other_files += 1;
                continue;
            }
            let Some(relay) = relay_of(&name) else {
                let detail = "the name is not dnshealth_<FINGERPRINT>.json";
                let rejection = Rejection::new(RejectReason::Name, detail);
                self.rejections.add(&self.name, &name, &rejection);
                continue;
            };
            // Here, so that a directory of millions costs neither reads nor memory.
            if self.facts.planned.as_ref().is_some_and(|planned| !planned.contains(&relay)) {
                let detail = "the relay is not in plan.json";
                let rejection = Rejection::new(RejectReason::NotPlanned, detail);
                self.rejections.add(&self.name, &name, &rejection);
                continue;
            }
            relays.insert(relay);
            if relays.len() > RESULTS_LIMIT
                && let Some(last) = relays.pop_last()
            {
                let detail = format!("more than {RESULTS_LIMIT} results in one directory");
                let rejection = Rejection::new(RejectReason::TooMany, detail);
                self.rejections.add(&self.name, &result_name(&last), &rejection);
            }
        }
        Ok(relays)
    }

    /// When the scan ended; one that did not, when its last result came.
    #[must_use]
    pub fn ended(&self) -> DateTime<Utc> {
        match &self.run {
            Some(run) => run.ended,
            None => self
                .results
                .values()
                .map(|result| result.timestamp)
                .max()
                .unwrap_or(self.facts.started)
                .max(self.facts.started),
        }
    }

    /// The relays that it set out to test.
    #[must_use]
    pub fn planned(&self) -> BTreeSet<Fingerprint> {
        match (&self.facts.planned, &self.run) {
            (Some(planned), _) => planned.clone(),
            (None, Some(run)) => self
                .results
                .keys()
                .chain(&run.not_reached)
                .chain(&run.unconfirmed)
                .copied()
                .collect(),
            (None, None) => self.results.keys().copied().collect(),
        }
    }

    /// Between which times results of this scan can lie.
    fn window(&self) -> check::Window {
        let ended = match &self.run {
            Some(run) => run.ended,
            None => self.facts.started + Duration::days(30),
        };
        // The clock may have been set while the scan ran.
        let slack = Duration::days(1);
        check::Window { from: self.facts.started - slack, to: ended + slack }
    }
}

/// The last part of a path, also where it is `.` or ends in `..`.
fn own_name(directory: &Path) -> String {
    let name = directory.file_name().map(OsStr::to_owned).or_else(|| {
        directory.canonicalize().ok().and_then(|path| path.file_name().map(OsStr::to_owned))
    });
    name.map_or_else(|| "/".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// What was wrong with a document of the directory: `None` where it is simply not there.
type Trouble = (&'static str, Option<Rejection>);

/// A plan or a run, where it can be used.
fn document<T: serde::de::DeserializeOwned>(
    directory: &Path,
    fd: &OwnedFd,
    file: &'static str,
    kind: Kind,
    troubles: &mut Vec<Trouble>,
) -> Result<Option<T>, InputError> {
    let bytes = match read::file_in(fd, OsStr::new(file), PLAN_LIMIT) {
        Ok(bytes) => bytes,
        Err(error) => {
            troubles.push((file, (!error.is_not_found()).then(|| Rejection::from(error))));
            return Ok(None);
        }
    };
    match kind.parse(&bytes) {
        Ok(document) => Ok(Some(document)),
        // A newer scanner may have changed what a run means: not a case for going on with half.
        Err(source @ FormatError::Version { .. }) => {
            Err(InputError::Newer { directory: directory.to_owned(), file, source })
        }
        Err(error) => {
            troubles.push((file, Some(error.into())));
            Ok(None)
        }
    }
}

/// Why a plan cannot be true.
fn implausible_plan(plan: &Plan) -> Option<Rejection> {
    let sound = check::is_run_id(&plan.run_id) && check::is_date(plan.started);
    (!sound).then(|| Rejection::new(RejectReason::OutOfRange, "no usable run id or start"))
}

/// Why a run cannot be true, or not this plan's.
fn implausible_run(run: &Run, plan: Option<&Plan>) -> Option<Rejection> {
    let sound = check::is_run_id(&run.run_id)
        && check::is_date(run.started)
        && check::is_date(run.ended)
        && run.started <= run.ended
        && run.probing_seconds.is_finite()
        && run.probing_seconds >= 0.0;
    if !sound {
        let detail = "no usable run id, start or end";
        return Some(Rejection::new(RejectReason::OutOfRange, detail));
    }
    // Left from an earlier scan in the same directory: this plan's scan has not ended.
    let other = plan.is_some_and(|plan| plan.run_id != run.run_id);
    other.then(|| Rejection::new(RejectReason::OtherRun, "it is of another run than plan.json"))
}

fn facts(plan: Option<Plan>, run: Option<&Run>) -> Option<Facts> {
    let planned =
        plan.as_ref().map(|plan| plan.relays.iter().map(|relay| relay.fingerprint).collect());
    match (run, plan) {
        (Some(run), _) => Some(Facts {
            run_id: run.run_id.clone(),
            mode: run.mode,
            domain: run.domain.clone(),
            expected_ip: run.expected_ip,
            shard: run.shard.filter(|shard| !shard.is_whole()),
            selection: run.selection.clone(),
            settings: run.settings.clone(),
            started: run.started,
            consensus_valid_after: run.consensus_valid_after,
            planned,
        }),
        (None, Some(plan)) => Some(Facts {
            run_id: plan.run_id,
            mode: plan.mode,
            domain: plan.domain,
            expected_ip: plan.expected_ip,
            shard: plan.shard.filter(|shard| !shard.is_whole()),
            selection: plan.selection,
            settings: plan.settings,
            started: plan.started,
            consensus_valid_after: plan.consensus_valid_after,
            planned,
        }),
        (None, None) => None,
    }
}

/// The runs that ended, in the directories of `root`, complete or not, the one that ended last at
/// the end. Directories that cannot be read, and hidden ones, are passed over.
///
/// # Errors
///
/// Where `root` itself cannot be listed.
pub fn runs_in(root: &Path) -> io::Result<Vec<FoundRun>> {
    let mut runs = Vec::new();
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let path = entry.path();
        let Some(run) = run_of(&path) else { continue };
        if check::is_date(run.started) && check::is_date(run.ended) {
            runs.push(FoundRun { path, run });
        }
    }
    runs.sort_by(|a, b| (a.run.ended, &a.path).cmp(&(b.run.ended, &b.path)));
    Ok(runs)
}

/// What the `run.json` of a directory says; `None` where there is none that can be used.
#[must_use]
pub fn run_of(directory: &Path) -> Option<Run> {
    let fd = read::open_directory(directory).ok()?;
    let bytes: Result<_, ReadError> = read::file_in(&fd, OsStr::new(RUN_FILE), PLAN_LIMIT);
    Kind::Run.parse(&bytes.ok()?).ok()
}
