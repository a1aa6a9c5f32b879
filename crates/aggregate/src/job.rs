//! The whole job: directories in, a report out, its history kept and its files published. Knows
//! the order of things, and where each of them comes from when it is not given; decides nothing
//! about relays.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::{fs, io};

use chrono::{DateTime, TimeDelta, Utc};
use record::{FileEntry, Fingerprint, Publisher, RejectReason, Report, ZoneCheck};
use shelf::output::LATEST_FILE;
use tracing::{info, warn};

use crate::gate::{self, Thresholds};
use crate::history::{Clash, History, HistoryError, Memory, Standing, Terms};
use crate::input::{self, Input, InputError};
use crate::location::{self, LocationError, Locations};
use crate::merge::{self, Joined, MergeError};
use crate::previous::{self, Base, PriorError, PriorHead, PriorReport};
use crate::publish::{self, Output, PublishError};
use crate::reconcile::{self, ReconcileError};
use crate::rejections::{Rejection, Rejections};
use crate::report::{self, Context, Past};
use crate::resolver::{self, SeenResolvers, ZoneWitness};
use crate::shards::{self, FoundRun, Set};
use crate::zone::{self, Expectation};

/// Where runs are looked for, in the working directory or beside the output directory.
pub const DEFAULT_ROOT: &str = "analysis";

/// Where reports are published.
pub const DEFAULT_OUTPUT: &str = "public";

/// The licence of the data. Its figures are facts about relays that anybody can measure, and sites join
/// them with other data: so nobody who does has a condition to pass on.
pub const DEFAULT_LICENSE: &str = "CC0-1.0";

/// The history's file, under the analysis root: it is not for publishing.
pub const DEFAULT_HISTORY: &str = "history.sqlite";

/// Where the report goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReportTarget {
    /// Nowhere: it is printed, and nothing at all is written.
    Print,
    /// Into this file, and nowhere else.
    File(PathBuf),
    /// Published into this directory.
    Directory(PathBuf),
}

/// What is to be done.
#[derive(Debug, Clone)]
pub struct ReportOptions {
    /// The analysis directories; none for the newest complete run and the shards of its scan.
    pub inputs: Vec<PathBuf>,
    /// Where the newest complete run is looked for.
    pub root: PathBuf,
    /// Where the report goes.
    pub target: ReportTarget,
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
    /// The location database; it may be missing.
    pub location_db: PathBuf,
    /// The licence of the data, by its SPDX identifier.
    pub license: String,
    /// Who publishes; `None` where they do not say.
    pub publisher: Option<Publisher>,
}

impl ReportOptions {
    /// Whether the previous report is one that was named, and not the output directory's own.
    fn names_a_report(&self) -> bool {
        let place = |path: &Path| {
            let parent = match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent,
                _ => Path::new("."),
            };
            (fs::canonicalize(parent).ok(), path.file_name().map(ToOwned::to_owned))
        };
        place(&self.previous) != place(&latest_in(&self.output_directory))
    }
}

/// What the job takes from the machine beside files.
#[derive(Debug, Clone, Copy)]
pub struct JobMachine<'a> {
    /// The time now: tells a run from the future, and old unfinished files from new ones.
    pub now: DateTime<Utc>,
    /// A random number, for the name that the check of our zone asks for.
    pub random: u128,
    /// Where the zone's log is read; none where there is none.
    pub zone: Option<&'a dyn ZoneWitness>,
}

/// What came of it.
#[derive(Debug)]
pub struct JobOutcome {
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
    /// A run that counts stands in the way.
    #[error(transparent)]
    Clash(#[from] Clash),
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
    /// The history had no room on the disk. A report without what it says would not be the one that
    /// the next attempt makes.
    #[error("{0}; nothing was published: free space on the disk, and run it again")]
    Full(HistoryError),
}

/// Does the job: first whatever runs before it have left undone.
///
/// # Errors
///
/// [`JobError`]. A history that cannot be used is none, unless the disk is full: the report is worth
/// more, and the outcome says it.
pub fn run(options: &ReportOptions, machine: JobMachine<'_>) -> Result<JobOutcome, JobError> {
    let directories = directories(options)?;
    // Before anything is read: it must not change until this report is there.
    let output = match &options.target {
        ReportTarget::Directory(directory) => Some(open_output(directory)?),
        ReportTarget::Print | ReportTarget::File(_) => None,
    };
    let Some(output) = output else {
        let mut memory = Keeper::look(options);
        let joined = join(&directories)?;
        let (report, written) = one(options, machine, &directories, joined, None, &mut memory)?;
        return Ok(JobOutcome { report, written, history: memory.trouble });
    };
    // Old enough that no other program of ours can still be writing it.
    output.sweep(machine.now - TimeDelta::days(1));
    // What is asked for must be usable before anything else is done.
    let joined = join(&directories)?;
    let mut memory = Keeper::open(options);
    memory.catch_up(options, machine, &output, &directories)?;
    let output = Some(&output);
    let (report, written) = one(options, machine, &directories, joined, output, &mut memory)?;
    Ok(JobOutcome { report, written, history: memory.trouble })
}

/// The history, as long as it works.
struct Keeper {
    history: Option<History>,
    trouble: Option<HistoryError>,
}

impl Keeper {
    fn open(options: &ReportOptions) -> Self {
        Self::of(options.history.as_deref().map(History::open))
    }

    /// For what is published nowhere: changes nothing, not even by beginning a history.
    fn look(options: &ReportOptions) -> Self {
        let path = options.history.as_deref().filter(|path| path.exists());
        match path.map(History::open_existing) {
            Some(Err(error @ HistoryError::Older { .. })) => {
                info!("{error}");
                Self { history: None, trouble: None }
            }
            opened => Self::of(opened),
        }
    }

    fn of(opened: Option<Result<History, HistoryError>>) -> Self {
        match opened.transpose() {
            Ok(history) => Self { history, trouble: None },
            Err(error) => {
                warn!("{error}");
                Self { history: None, trouble: Some(error) }
            }
        }
    }

    /// Does something with the history; if that fails, there is none from then on.
    fn with<T>(&mut self, what: impl FnOnce(&mut History) -> Result<T, HistoryError>) -> Option<T> {
        match what(self.history.as_mut()?) {
            Ok(done) => Some(done),
            Err(error) => {
                warn!("{error}");
                self.history = None;
                self.trouble = Some(error);
                None
            }
        }
    }

    /// Brings history and output directory together, and reports the runs that ended since the
    /// last one that was, before those that are asked for.
    fn catch_up(
        &mut self,
        options: &ReportOptions,
        machine: JobMachine<'_>,
        output: &Output,
        directories: &[PathBuf],
    ) -> Result<(), JobError> {
        let files = files(options, Some(output))?;
        let latest = previous::read_head(&output.latest()).ok();
        let latest =
            latest.filter(|latest| latest.report.timestamp <= machine.now + gate::CLOCK_SLACK);
        let limits = &options.thresholds;
        let reconciled = self
            .history
            .as_mut()
            .map(|history| reconcile::run(history, output, &files, latest.as_ref(), limits));
        match reconciled {
            Some(Err(ReconcileError::Publish(error))) => return Err(error.into()),
            Some(Err(ReconcileError::History(error))) => drop(self.with(|_| Err::<(), _>(error))),
            Some(Ok(())) | None => {}
        }
        let missed = self.with(|history| missed(history, options, directories));
        for set in missed.into_iter().flatten() {
            info!("{set:?} has no report yet, and comes first");
            let done = join(&set)
                .and_then(|joined| one(options, machine, &set, joined, Some(output), self));
            match done {
                Ok(_) => {}
                // A full disk is one for the next run too.
                Err(error @ (JobError::Publish(_) | JobError::Full(_))) => return Err(error),
                Err(error) => warn!("{set:?} cannot be reported: {error}"),
            }
        }
        // What is not there any more to be reported again is what the gate made of it.
        let ids = run_ids_of(directories);
        self.with(|history| {
            for unsettled in history.unsettled()? {
                if unsettled.run_id.split('+').any(|id| ids.iter().any(|own| own == id)) {
                    continue;
                }
                let standing = unsettled.meant.min(Standing::Counted);
                history.settle(&unsettled.run_id, standing, &[])?;
            }
            Ok(())
        });
        Ok(())
    }
}

/// The ids that the `run.json` of these directories give.
fn run_ids_of(directories: &[PathBuf]) -> Vec<String> {
    let runs = directories.iter().filter_map(|directory| input::run_of(directory));
    runs.map(|run| run.run_id).collect()
}

/// The complete runs under the root that ended after the last one that the history knows, asked
/// for what is asked for now, and are before it: oldest first.
fn missed(
    history: &History,
    options: &ReportOptions,
    directories: &[PathBuf],
) -> Result<Vec<Vec<PathBuf>>, HistoryError> {
    let asked: Vec<_> = directories.iter().filter_map(|path| input::run_of(path)).collect();
    let ids: Vec<&str> = asked.iter().map(|run| run.run_id.as_str()).collect();
    let (Some(first), Some(ended)) = (asked.first(), asked.iter().map(|run| run.ended).max())
    else {
        return Ok(Vec::new());
    };
    let Some(settled) = history.newest_settled(ended)? else { return Ok(Vec::new()) };
    let Ok(found) = input::runs_in(&options.root) else { return Ok(Vec::new()) };
    let question = |run: &record::Run| {
        let selection = &run.selection;
        let asked = (run.mode, run.domain.clone(), run.expected_ip);
        (asked, selection.filter, selection.country.clone())
    };
    let mut sets: Vec<Vec<PathBuf>> = Vec::new();
    for FoundRun { path, run } in &found {
        let theirs = run.complete
            && settled < run.ended
            && run.ended < ended
            && question(run) == question(first)
            && !ids.contains(&run.run_id.as_str())
            && !sets.iter().flatten().any(|taken| taken == path);
        if !theirs || history.knows(&run.run_id)?.is_some_and(|s| s != Standing::Entered) {
            continue;
        }
        let set = shards::together(path.clone(), run, &found);
        let whole =
            set.missing == 0 && !run_ids_of(&set.paths).iter().any(|id| ids.contains(&id.as_str()));
        if whole {
            sets.push(set.paths);
        }
    }
    Ok(sets)
}

/// One report, of these directories as they were read; and where it was written.
fn one(
    options: &ReportOptions,
    machine: JobMachine<'_>,
    directories: &[PathBuf],
    mut joined: Joined,
    output: Option<&Output>,
    memory: &mut Keeper,
) -> Result<(Report, Option<PathBuf>), JobError> {
    let files = files(options, output)?;
    let run_ids = report::run_ids(&joined.inputs);
    let time = report::ended(&joined.inputs);
    let relays = u32::try_from(joined.relays.len()).unwrap_or(u32::MAX);
    if output.is_some()
        && let Some(Some(clash)) = memory.with(|history| history.clash(&run_ids, relays))
    {
        return Err(clash.into());
    }
    let about = PriorQuestion { options, run_ids: &run_ids, now: machine.now, files: &files };
    let Before { base, past, from_history, rejections } =
        look_back(&about, time, output.is_some(), memory)?;
    let zone_check = options.zone_check.then(|| check_zone(options, &joined, machine.random));
    let terms = Terms::of_run(&joined.facts);
    let held = memory
        .with(|history| history.held_before(time, &run_ids, &terms))
        .unwrap_or_else(|| gate::held_in(&files));
    if let Some(zone) = machine.zone {
        joined.add_witness(&zone.of(directories));
        if output.is_some() {
            memory.with(|history| add_late_logs(history, &options.root, zone, time, &run_ids));
        }
    }
    let resolvers = memory.with(|history| history.seen_resolvers(time, &run_ids));
    let mut resolvers = resolvers.unwrap_or_default();
    resolver::add_run(&mut resolvers, &joined, time);
    let locations = locations(options, &joined, &resolvers, time);
    let checks = memory.with(|history| history.checks(Some(time)));
    let context = Context {
        now: machine.now,
        thresholds: &options.thresholds,
        force: options.force,
        known_good: options.known_good,
        zone_check,
        held: &held,
        checks: checks.as_ref(),
        resolvers: Some(&resolvers),
        locations: locations.as_ref(),
        license: Some(&options.license),
        publisher: options.publisher.as_ref(),
    };
    let previous = base.previous.clone();
    let later = base.later;
    let mut report =
        report::build(joined, base, past.as_ref(), rejections.clone(), context.clone());
    let mut accepted = Vec::new();
    if from_history {
        accepted = gate::confirmed(&report.metadata, &held, &options.thresholds);
    }
    if !accepted.is_empty()
        && let Some(known) = memory.with(|h| h.look_back(&run_ids, time, &accepted, false))
    {
        // What was held back for the change counts from where it stood, in this report already.
        let joined = join(directories)?;
        let (base, past) = known.into_base(None);
        let base = Base { previous, later, ..base };
        report = report::build(joined, base, Some(&past), rejections, context);
    }
    let written = match (&options.target, output) {
        (ReportTarget::Directory(directory), Some(output)) => {
            publish_into(directory, output, &report, files, memory, &accepted)?
        }
        (ReportTarget::File(path), _) => {
            let bytes = publish::json("the report", &report)?;
            shelf::atomic::replace(path, &bytes)
                .map_err(|source| PublishError::Write { path: path.clone(), source })?;
            Some(path.clone())
        }
        (ReportTarget::Print | ReportTarget::Directory(_), _) => None,
    };
    Ok((report, written))
}

/// How many runs before a report's own may have their log come late: those of a day, mostly.
const LATE: usize = 4;

/// What the zone's log says of the last runs before `time` whose rows say nothing of resolvers, as where the
/// log of another host came after their reports.
fn add_late_logs(
    history: &mut History,
    root: &Path,
    zone: &dyn ZoneWitness,
    time: DateTime<Utc>,
    own: &[String],
) -> Result<(), HistoryError> {
    let Ok(runs) = input::runs_in(root) else { return Ok(()) };
    let before = runs.into_iter().rev().filter(|FoundRun { run, .. }| {
        run.complete && run.ended < time && !own.contains(&run.run_id)
    });
    for FoundRun { path, run } in before.take(LATE) {
        if !history.lacks_resolvers(&run.run_id)? {
            continue;
        }
        let found: Vec<_> = zone
            .of(&[path])
            .into_iter()
            .map(|(relay, seen)| (relay, seen.found()))
            .filter(|(_, found)| !found.is_empty())
            .collect();
        if !found.is_empty() {
            info!("the zone's log of the run {} has come: {} relays", run.run_id, found.len());
            history.add_resolvers(&run.run_id, &found)?;
        }
    }
    Ok(())
}

/// What a report goes on from.
struct Before {
    base: Base,
    past: Option<Past>,
    /// Whether the history gave it.
    from_history: bool,
    /// What could not be used.
    rejections: Rejections,
}

/// What the runs of `about`, which ended at `time`, go on from: the history where it knows of other
/// runs, and the previous report where it does not. `keep`: the history may be written to.
fn look_back(
    about: &PriorQuestion<'_>,
    time: DateTime<Utc>,
    keep: bool,
    memory: &mut Keeper,
) -> Result<Before, JobError> {
    let run_ids = about.run_ids;
    let mut rejections = Rejections::default();
    let knows = memory.with(|history| Ok(!history.is_empty_but_for(run_ids)?));
    let prior = prior(about, knows != Some(true), &mut rejections)?;
    if keep && let Ok(PriorFile { report, bytes: Some(bytes), .. }) = &prior {
        memory.with(|history| begin_with(history, report, bytes, &about.options.thresholds));
    }
    let known = memory.with(|history| {
        let known = !history.is_empty_but_for(run_ids)?;
        known.then(|| history.look_back(run_ids, time, &[], keep)).transpose()
    });
    if keep
        && let Some(full) =
            memory.trouble.take_if(|error| matches!(error, HistoryError::Full { .. }))
    {
        return Err(JobError::Full(full));
    }
    let known = known.flatten();
    let from_history = known.is_some();
    let (base, past) = match known {
        Some(known) => {
            let (base, past) = base_of_history(about.options, prior, known, run_ids, time);
            (base, Some(past))
        }
        // It knew of other runs, and failed since.
        None if knows == Some(true) => {
            let prior = self::prior(about, true, &mut Rejections::default())?;
            (base_of_report(prior, run_ids, time), None)
        }
        None => (base_of_report(prior, run_ids, time), None),
    };
    let past = past.or_else(|| memory.history.is_some().then(Past::default));
    Ok(Before { base, past, from_history, rejections })
}

/// Enters the run, publishes its report, and says in the history what became of it.
fn publish_into(
    directory: &Path,
    output: &Output,
    report: &Report,
    files: Vec<FileEntry>,
    memory: &mut Keeper,
    accepted: &[String],
) -> Result<Option<PathBuf>, JobError> {
    let run_id = &report.metadata.run_id;
    let trends = memory.with(|history| {
        let added = history.enter(report)?;
        info!("history: {}", added.in_words());
        history.trends(Some(run_id))
    });
    let published = output.publish(report, trends, files)?;
    memory.with(|history| history.settle(run_id, reconcile::standing_of(report), accepted));
    let latest = if published.latest { "; latest.json now holds it" } else { "" };
    info!("wrote {}{latest}", published.name);
    Ok(Some(directory.join(published.name)))
}

/// A history without anything in it begins with the previous report.
fn begin_with(
    history: &mut History,
    prior: &PriorReport,
    bytes: &[u8],
    limits: &Thresholds,
) -> Result<(), HistoryError> {
    if !history.is_empty_but_for(&[])? {
        return Ok(());
    }
    if reconcile::take_in_report(history, bytes, limits)?.is_err() {
        // Of the system before this one: its last verdicts are all that there is.
        history.seed(&prior.relays, prior.head.report.timestamp, "")?;
    }
    info!("the history begins with the previous report");
    Ok(())
}

/// What the report goes on from where the history knows anything; the gate compares with what it
/// says of the newest run, or with the report that was named.
fn base_of_history(
    options: &ReportOptions,
    prior: Prior,
    known: Memory,
    run_ids: &[String],
    time: DateTime<Utc>,
) -> (Base, Past) {
    let (of_report, note) = match prior {
        Ok(PriorFile { report, note, .. }) => {
            let (previous, later) = report.head.before(run_ids, time);
            let note = note.or_else(|| previous.note.clone());
            (Some((previous, later)), note)
        }
        Err(note) => (None, Some(note)),
    };
    let missing = !options.previous.exists();
    // That there is no latest.json yet is nothing to tell where the history goes on.
    let (mut base, past) = known.into_base(note.filter(|_| !missing));
    if let Some((previous, later)) = of_report {
        base.later |= later;
        if base.previous.report.is_none() || options.names_a_report() {
            base.previous.report = previous.report.or(base.previous.report);
        }
    }
    (base, past)
}

/// What the report goes on from, and what the gate compares with, where there is no history.
fn base_of_report(prior: Prior, run_ids: &[String], time: DateTime<Utc>) -> Base {
    match prior {
        Ok(PriorFile { report, note, .. }) => {
            let mut base = Base::of_report(report, run_ids, time);
            base.previous.note = note.or(base.previous.note);
            base
        }
        Err(note) => Base::none(note),
    }
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
                none(format!(", nor has {path:?} a {} that can be used", shelf::run::RUN_FILE))
            })?;
            FoundRun { path: path.to_owned(), run }
        }
        None => {
            let reported = |found: &FoundRun| found.run.complete && found.run.selection.is_whole();
            let newest = runs.iter().rposition(reported);
            runs.swap_remove(newest.ok_or_else(|| none(String::new()))?)
        }
    };
    Ok(shards::together(found.path, &found.run, &runs))
}

/// The inputs' directories.
fn directories(options: &ReportOptions) -> Result<Vec<PathBuf>, JobError> {
    if !options.inputs.is_empty() {
        return Ok(options.inputs.clone());
    }
    let directories = inputs(&options.root, None)?.paths;
    info!("the newest complete run is {directories:?}");
    Ok(directories)
}

fn join(directories: &[PathBuf]) -> Result<Joined, JobError> {
    let inputs: Result<Vec<Input>, InputError> =
        directories.iter().map(|directory| Input::read(directory)).collect();
    Ok(merge::join(inputs?)?)
}

fn open_output(directory: &Path) -> Result<Output, PublishError> {
    fs::create_dir_all(directory)
        .map_err(|source| PublishError::Directory { directory: directory.to_owned(), source })?;
    Output::open(directory)
}

fn files(options: &ReportOptions, output: Option<&Output>) -> Result<Vec<FileEntry>, PublishError> {
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

/// The previous report that can be used, or why there is none.
type Prior = Result<PriorFile, String>;

/// A previous report.
struct PriorFile {
    /// What it says; without the relays where the history knows them.
    report: PriorReport,
    /// Its bytes, where all of it was read.
    bytes: Option<Vec<u8>>,
    /// That it is not the one that was wanted.
    note: Option<String>,
}

impl PriorFile {
    fn read(path: &Path, whole: bool) -> Result<Self, PriorError> {
        let (report, bytes) = if whole {
            let (report, bytes) = previous::read_bytes(path)?;
            (report, Some(bytes))
        } else {
            let head = previous::read_head(path)?;
            (PriorReport { head, relays: BTreeMap::new() }, None)
        };
        Ok(Self { report, bytes, note: None })
    }
}

/// Which previous report is wanted.
struct PriorQuestion<'a> {
    options: &'a ReportOptions,
    /// The runs of the report that is to go on from it.
    run_ids: &'a [String],
    now: DateTime<Utc>,
    files: &'a [FileEntry],
}

/// The previous report: the `whole` of it, or what it says of its run.
fn prior(
    about: &PriorQuestion<'_>,
    whole: bool,
    rejections: &mut Rejections,
) -> Result<Prior, JobError> {
    let path = &about.options.previous;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let rejection = match PriorFile::read(path, whole) {
        Ok(prior) => {
            let PriorHead { report, .. } = &prior.report.head;
            let future = report.timestamp > about.now + gate::CLOCK_SLACK;
            if !future || prior.report.head.is_of(about.run_ids) {
                return Ok(Ok(prior));
            }
            // Going on from it would close the gate until the clock has caught up.
            let when = report.timestamp.to_rfc3339();
            Rejection::new(RejectReason::Future, format!("it is of {when}, in the future"))
        }
        Err(PriorError::Missing) => {
            let found = earlier(about, whole)?;
            return Ok(found.map_or_else(
                || Err("there is none".to_owned()),
                |(prior, dated)| {
                    let note = Some(format!("{name} is not there; gone on from {dated} instead"));
                    Ok(PriorFile { note, ..prior })
                },
            ));
        }
        Err(source @ PriorError::Newer(_)) => {
            return Err(JobError::Previous { path: path.clone(), source });
        }
        Err(PriorError::Read(error)) => error.into(),
        Err(PriorError::Damaged(error)) => error.into(),
    };
    warn!("cannot go on from the previous report {path:?}: {}", rejection.detail);
    let note = format!("{name} cannot be used: {}", rejection.detail);
    rejections.add("", &name, &rejection);
    Ok(match earlier(about, whole)? {
        Some((prior, dated)) => {
            warn!("going on from {dated} instead");
            let note = Some(format!("{note}; gone on from {dated} instead"));
            Ok(PriorFile { note, ..prior })
        }
        None => Err(note),
    })
}

/// How many dated reports are tried in place of a `latest.json` that cannot be used.
const TRIED: usize = 10;

/// The newest dated report that was published, where `latest.json` cannot be used: without it the
/// gate would have nothing to compare with.
fn earlier(
    about: &PriorQuestion<'_>,
    whole: bool,
) -> Result<Option<(PriorFile, String)>, JobError> {
    let PriorQuestion { options, files, .. } = about;
    // A report that was named is meant alone.
    if options.names_a_report() {
        return Ok(None);
    }
    let mut published: Vec<&FileEntry> = files
        .iter()
        .filter(|file| file.report.as_ref().is_some_and(|report| report.published))
        .filter(|file| file.timestamp <= about.now + gate::CLOCK_SLACK)
        .collect();
    published.sort_by_cached_key(|file| std::cmp::Reverse(publish::order(file)));
    for file in published.into_iter().take(TRIED) {
        let path = options.output_directory.join(&file.name);
        match PriorFile::read(&path, whole) {
            Ok(prior) => return Ok(Some((prior, file.name.clone()))),
            Err(source @ PriorError::Newer(_)) => return Err(JobError::Previous { path, source }),
            Err(error) => warn!("{path:?} cannot be used either: {error}"),
        }
    }
    Ok(None)
}

/// Whose networks the relays and their resolvers are in, for a run that ended at `time`. A database that
/// is not there, or cannot be used, costs nothing but itself.
fn locations(
    options: &ReportOptions,
    joined: &Joined,
    resolvers: &SeenResolvers,
    time: DateTime<Utc>,
) -> Option<Locations> {
    let path = &options.location_db;
    let relays = joined.relays.values().map(|vote| &vote.result);
    let relays =
        relays.flat_map(|relay| [Some(relay.exit_address), relay.relay.ipv6.address]).flatten();
    let resolvers = resolvers.values().filter_map(|seen| seen.addresses.as_ref());
    let resolvers = resolvers.flat_map(|(addresses, _)| addresses.iter().copied());
    match location::look_up(path, relays.chain(resolvers), time) {
        Ok(locations) => Some(locations),
        Err(LocationError::Read(error)) if error.kind() == io::ErrorKind::NotFound => {
            info!("there is no location database {path:?}: no networks are told");
            None
        }
        Err(error) => {
            warn!("the location database {path:?} {error}: no networks are told");
            None
        }
    }
}

fn check_zone(options: &ReportOptions, joined: &Joined, random: u128) -> ZoneCheck {
    let facts = &joined.facts;
    match Expectation::of(facts.mode, facts.expected_ip) {
        Some(expectation) => ask_zone(options.zone_server, &facts.domain, expectation, random),
        None => zone_failed("the run has no expected address".to_owned()),
    }
}

const fn zone_failed(error: String) -> ZoneCheck {
    ZoneCheck { ok: false, answered: false, servers: Vec::new(), error: Some(error) }
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
