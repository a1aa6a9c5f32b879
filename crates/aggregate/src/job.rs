//! The whole job: directories in, a report out, its history kept and its files published. Knows
//! the order of things, and where each of them comes from when it is not given; decides nothing
//! about relays.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::{fs, io};

use chrono::{DateTime, TimeDelta, Utc};
use record::{FileEntry, Fingerprint, LATEST_FILE, RejectReason, Report, ZoneCheck};
use tracing::{info, warn};

use crate::gate::{self, Thresholds};
use crate::history::{History, HistoryError};
use crate::input::{self, Input, InputError};
use crate::merge::{self, Joined, MergeError};
use crate::previous::{self, Base, PriorError};
use crate::publish::{self, Output, PublishError};
use crate::rejections::{Rejection, Rejections};
use crate::report::{self, Context, Past};
use crate::shards::{self, Found, Set};
use crate::zone::{self, Expectation};

/// Where runs are looked for, in the working directory or beside the output directory.
pub const DEFAULT_ROOT: &str = "analysis";

/// Where reports are published.
pub const DEFAULT_OUTPUT: &str = "public";

/// The history's file, under the analysis root: it is not for publishing.
pub const DEFAULT_HISTORY: &str = "history.sqlite";

/// Where the report goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Nowhere: it is printed, and nothing at all is written.
    Print,
    /// Into this file, and nowhere else.
    File(PathBuf),
    /// Published into this directory.
    Directory(PathBuf),
}

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Options {
    /// The analysis directories; none for the newest complete run and the shards of its scan.
    pub inputs: Vec<PathBuf>,
    /// Where the newest complete run is looked for.
    pub root: PathBuf,
    /// Where the report goes.
    pub target: Target,
    /// The previous report.
    pub previous: PathBuf,
    /// The directory whose `files.json` tells what was held back before.
    pub output_directory: PathBuf,
    /// The history; none for no history.
    pub history: Option<PathBuf>,
    /// Where the gate closes.
    pub thresholds: Thresholds,
    /// Whether the operator overrides the gate.
    pub force: bool,
    /// Whether to check our own zone.
    pub zone_check: bool,
    /// The server to ask; none for the system's.
    pub zone_server: Option<SocketAddr>,
    /// The exit known to be good.
    pub known_good: Option<Fingerprint>,
}

/// What the job takes from the machine beside files.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    /// The time now: tells a run from the future, and old unfinished files from new ones.
    pub now: DateTime<Utc>,
    /// A random number, for the name that the check of our zone asks for.
    pub random: u128,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// The report.
    pub report: Report,
    /// Where it was written; none where it was not.
    pub written: Option<PathBuf>,
    /// Why the history could not be kept.
    pub history: Option<HistoryError>,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// There is no run.
    #[error(
        "there is no complete run under {root:?}{detail}; name an analysis directory with --input, \
         or where they are with --analysis-root"
    )]
    NoRun {
        /// Where it was looked for.
        root: PathBuf,
        /// The system's error.
        detail: String,
    },
    /// An input cannot be used.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The inputs are not of one report.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// The previous report is a newer program's.
    #[error("cannot go on from {path:?}: {source}")]
    Previous {
        /// The file.
        path: PathBuf,
        /// Why.
        source: PriorError,
    },
    /// Something cannot be written.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// Does the job.
///
/// # Errors
///
/// [`JobError`]. A history that cannot be used is none: the report is worth more, and the outcome
/// says it.
pub fn run(options: &Options, machine: Machine) -> Result<Outcome, JobError> {
    let joined = join(options)?;
    // Before the previous report is read: it must not change until this one is there.
    let output = match &options.target {
        Target::Directory(directory) => Some(open_output(directory)?),
        Target::Print | Target::File(_) => None,
    };
    if let Some(output) = &output {
        // Old enough that no other program of ours can still be writing it.
        output.sweep(machine.now - TimeDelta::days(1));
    }
    let files = files(options, output.as_ref())?;

    let run_ids = report::run_ids(&joined.inputs);
    let time = report::ended(&joined.inputs);
    let mut rejections = Rejections::default();
    let (mut history, mut trouble) = open_history(options);
    let prior = prior(options, &run_ids, machine.now, &files, &mut rejections)?;
    let base = match prior {
        Ok((prior, note)) => {
            let mut base = Base::of_report(prior, &run_ids, time);
            if let Some(note) = note {
                base.previous.note.get_or_insert(note);
            }
            base
        }
        Err(note) => match history.as_ref().map(|h| h.base(&run_ids, time, note.clone())) {
            Some(Ok(base)) => base,
            Some(Err(error)) => {
                trouble = Some(error);
                history = None;
                Base::none(note)
            }
            None => Base::none(note),
        },
    };
    let past = history.as_ref().map(|history| {
        let relays: BTreeSet<Fingerprint> =
            joined.relays.keys().chain(base.relays.keys()).copied().collect();
        history.past(relays, &run_ids, time)
    });
    let past: Option<Past> = match past.transpose() {
        Ok(past) => past,
        Err(error) => {
            trouble = Some(error);
            history = None;
            None
        }
    };
    let zone_check = options.zone_check.then(|| check_zone(options, &joined, machine.random));
    let context = Context {
        now: machine.now,
        thresholds: &options.thresholds,
        force: options.force,
        known_good: options.known_good,
        zone_check,
        files: &files,
    };
    let report = report::build(joined, base, past.as_ref(), rejections, context);

    let mut trends = None;
    if options.target != Target::Print
        && let Some(mut history) = history
    {
        match history.add(&report).and_then(|added| Ok((added, history.trends()?))) {
            Ok((added, entries)) => {
                info!("history: {}", added.in_words());
                trends = Some(entries);
            }
            Err(error) => trouble = Some(error),
        }
    }
    if let Some(error) = &trouble {
        warn!("{error}");
    }
    let written = match (&options.target, output) {
        (Target::Directory(directory), Some(output)) => {
            let published = output.publish(&report, trends, files)?;
            let latest = if published.latest { "; latest.json now holds it" } else { "" };
            info!("wrote {}{latest}", published.name);
            Some(directory.join(published.name))
        }
        (Target::File(path), _) => {
            let bytes = publish::json("the report", &report)?;
            atomic_file::replace(path, &bytes)
                .map_err(|source| PublishError::Write { path: path.clone(), source })?;
            Some(path.clone())
        }
        (Target::Print | Target::Directory(_), _) => None,
    };
    Ok(Outcome { report, written, history: trouble })
}

/// What a report is made of where no inputs are named: the newest complete run under `root`, or the
/// run in `of`, and the other shards of its scan under `root`.
///
/// # Errors
///
/// [`JobError::NoRun`].
pub fn inputs(root: &Path, of: Option<&Path>) -> Result<Set, JobError> {
    let none = |detail: String| JobError::NoRun { root: root.to_owned(), detail };
    let mut runs = input::runs_in(root).map_err(|error| none(format!(" ({error})")))?;
    let found = match of {
        Some(path) => {
            let run = input::run_of(path).ok_or_else(|| {
                none(format!(", nor has {path:?} a {} that can be used", record::RUN_FILE))
            })?;
            Found { path: path.to_owned(), run }
        }
        None => {
            let newest = runs.iter().rposition(|found| found.run.complete);
            runs.swap_remove(newest.ok_or_else(|| none(String::new()))?)
        }
    };
    Ok(shards::together(found.path, &found.run, &runs))
}

fn join(options: &Options) -> Result<Joined, JobError> {
    let mut directories = options.inputs.clone();
    if directories.is_empty() {
        directories = inputs(&options.root, None)?.paths;
        info!("the newest complete run is {directories:?}");
    }
    let inputs: Result<Vec<Input>, InputError> =
        directories.iter().map(|directory| Input::read(directory)).collect();
    Ok(merge::join(inputs?)?)
}

fn open_output(directory: &Path) -> Result<Output, PublishError> {
    fs::create_dir_all(directory)
        .map_err(|source| PublishError::Directory { directory: directory.to_owned(), source })?;
    Output::open(directory)
}

fn files(options: &Options, output: Option<&Output>) -> Result<Vec<FileEntry>, PublishError> {
    match output {
        Some(output) => {
            let (files, unusable) = output.files()?;
            for name in unusable {
                warn!("{name} in the output directory is not what its name says; not listed");
            }
            Ok(files)
        }
        None => match publish::files_in(&options.output_directory) {
            // No directory, nothing held back.
            Err(PublishError::Directory { source, .. })
                if source.kind() == io::ErrorKind::NotFound =>
            {
                Ok(Vec::new())
            }
            other => other,
        },
    }
}

fn open_history(options: &Options) -> (Option<History>, Option<HistoryError>) {
    let opened = match &options.history {
        None => return (None, None),
        // A preview writes nothing, not even an empty history.
        Some(path) if options.target == Target::Print && !path.exists() => return (None, None),
        Some(path) if options.target == Target::Print => History::open_existing(path),
        Some(path) => History::open(path),
    };
    match opened {
        Ok(history) => (Some(history), None),
        Err(error) => (None, Some(error)),
    }
}

/// The previous report, with a note where it is not the one that was wanted; or why there is none
/// that can be used.
type Prior = Result<(previous::PriorReport, Option<String>), String>;

fn prior(
    options: &Options,
    run_ids: &[String],
    now: DateTime<Utc>,
    files: &[FileEntry],
    rejections: &mut Rejections,
) -> Result<Prior, JobError> {
    let path = &options.previous;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let rejection = match previous::read(path) {
        Ok(prior) => {
            let future = prior.report.timestamp > now + gate::CLOCK_SLACK;
            let same = prior.run_ids.iter().any(|id| run_ids.contains(id));
            if !future || same {
                return Ok(Ok((prior, None)));
            }
            // Going on from it would close the gate until the clock has caught up.
            let when = prior.report.timestamp.to_rfc3339();
            Rejection::new(RejectReason::Future, format!("it is of {when}, in the future"))
        }
        Err(PriorError::Missing) => return Ok(Err("there is none".to_owned())),
        Err(source @ PriorError::Newer(_)) => {
            return Err(JobError::Previous { path: path.clone(), source });
        }
        Err(PriorError::Read(error)) => error.into(),
        Err(PriorError::Damaged(error)) => error.into(),
    };
    warn!("cannot go on from the previous report {path:?}: {}", rejection.detail);
    let note = format!("{name} cannot be used: {}", rejection.detail);
    rejections.add("", &name, &rejection);
    Ok(match earlier(options, now, files)? {
        Some((prior, dated)) => {
            warn!("going on from {dated} instead");
            Ok((prior, Some(format!("{note}; gone on from {dated} instead"))))
        }
        None => Err(note),
    })
}

/// How many dated reports are tried in place of a `latest.json` that cannot be used.
const TRIED: usize = 10;

/// The newest dated report that was published, where `latest.json` cannot be used: without it the
/// gate would have nothing to compare with.
fn earlier(
    options: &Options,
    now: DateTime<Utc>,
    files: &[FileEntry],
) -> Result<Option<(previous::PriorReport, String)>, JobError> {
    // A report that was named is meant alone.
    if options.previous != latest_in(&options.output_directory) {
        return Ok(None);
    }
    let mut published: Vec<&FileEntry> = files
        .iter()
        .filter(|file| file.report.as_ref().is_some_and(|report| report.published))
        .filter(|file| file.timestamp <= now + gate::CLOCK_SLACK)
        .collect();
    published.sort_by(|a, b| (b.timestamp, &b.name).cmp(&(a.timestamp, &a.name)));
    for file in published.into_iter().take(TRIED) {
        let path = options.output_directory.join(&file.name);
        match previous::read(&path) {
            Ok(prior) => return Ok(Some((prior, file.name.clone()))),
            Err(source @ PriorError::Newer(_)) => return Err(JobError::Previous { path, source }),
            Err(error) => warn!("{path:?} cannot be used either: {error}"),
        }
    }
    Ok(None)
}

fn check_zone(options: &Options, joined: &Joined, random: u128) -> ZoneCheck {
    let facts = &joined.facts;
    match Expectation::of(facts.mode, facts.expected_ip) {
        Some(expectation) => ask_zone(options.zone_server, &facts.domain, expectation, random),
        None => zone_failed("the run has no expected address".to_owned()),
    }
}

const fn zone_failed(error: String) -> ZoneCheck {
    ZoneCheck { ok: false, servers: Vec::new(), error: Some(error) }
}

/// Asks for a fresh name in our zone, at `server` or at those of the system.
#[must_use]
pub fn ask_zone(
    server: Option<SocketAddr>,
    domain: &str,
    expectation: Expectation,
    random: u128,
) -> ZoneCheck {
    let servers = match server {
        Some(server) => vec![server],
        None => match zone::system_servers(Path::new("/etc/resolv.conf")) {
            Ok(servers) => servers,
            Err(error) => return zone_failed(format!("cannot read /etc/resolv.conf: {error}")),
        },
    };
    let [low, high, ..] = random.to_le_bytes();
    let name = zone::fresh_name(random, domain);
    let check = zone::check(&servers, &name, u16::from_le_bytes([low, high]), expectation);
    if let Some(error) = &check.error {
        warn!("our own zone: {error}");
    }
    check
}

/// Where `analysis` is, unless it is told: in the working directory, or else beside the output
/// directory, or else beside the working directory, so that the program does the expected thing
/// when it is run by hand in the output directory.
#[must_use]
pub fn default_root(output_directory: &Path) -> PathBuf {
    let here = PathBuf::from(DEFAULT_ROOT);
    let beside =
        |directory: &Path| Some(directory.canonicalize().ok()?.parent()?.join(DEFAULT_ROOT));
    [Some(here.clone()), beside(output_directory), beside(Path::new("."))]
        .into_iter()
        .flatten()
        .find(|root| root.is_dir())
        .unwrap_or(here)
}

/// An address and port, of `ADDR:PORT`, `[ADDR]:PORT` or an address alone, which means port 53.
///
/// # Errors
///
/// In words, of anything else.
pub fn server_of(text: &str) -> Result<SocketAddr, String> {
    text.parse::<SocketAddr>()
        .or_else(|_| text.parse::<IpAddr>().map(|address| SocketAddr::new(address, 53)))
        .map_err(|_| "expected an IP address and a port, for example 192.0.2.1:53".to_owned())
}

/// `latest.json` in a directory.
#[must_use]
pub fn latest_in(directory: &Path) -> PathBuf {
    directory.join(LATEST_FILE)
}
