//! Years of runs in minutes: a world of relays, operators and networks that break, mend, come, go and
//! change their keys, seen through a zone, an uplink and a host that fail now and then. The scan's own
//! state machine scans it in virtual time, through the tor of [`crate::simulated`]; reading, history,
//! gate and publishing are the real ones. What was published is held against what was true.

mod judge;
mod people;
mod scan;
mod truth;

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use aggregate::gate::Thresholds;
use aggregate::history::{History, HistoryError};
use aggregate::job::{self, JobMachine, ReportOptions, ReportTarget};
use chrono::{DateTime, TimeDelta, Utc};
use notify::export::{self, ExportError};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use record::Report;
use shelf::output::{INCIDENTS_FILE, LATEST_FILE, of_dated_name};

pub use judge::{FalseState, Outage, WorldTally};
pub use truth::Ours;

use judge::Judgement;
use scan::{Moment, Scanned};
use truth::Truths;

/// What a world is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorldSpec {
    /// How many exits there are at a time, about.
    pub relays: usize,
    /// How many runs are to be made, one every six hours.
    pub runs: u32,
    /// What all chance comes from.
    pub seed: u64,
}

/// Time between the starts of two runs.
const EVERY: TimeDelta = TimeDelta::hours(6);

/// How many dated reports are left: the history has all that a report goes on from.
const KEPT: usize = 30;

/// Why a world cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// Its directory.
    #[error("cannot {doing} {path:?}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A report cannot be made.
    #[error("run {run}: {source}")]
    Report {
        /// The run's number.
        run: u32,
        /// Why not.
        source: job::JobError,
    },
    /// Its history cannot be begun.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// What is made of its last report cannot be.
    #[error(transparent)]
    Export(#[from] ExportError),
}

/// A run of a world.
struct PlayedRun {
    number: u32,
    weather: Option<Ours>,
    /// Where its results are.
    directory: PathBuf,
    scanned: Scanned,
    /// For the report.
    random: u128,
}

/// Plays a world in this directory, which is to be empty or missing: `public` is its output directory,
/// `analysis` has its history. Runs are kept in memory until they are in a report. `tell` hears of every run, in one line.
///
/// # Errors
///
/// [`WorldError`].
pub fn play(
    spec: WorldSpec,
    dir: &Path,
    mut tell: impl FnMut(&str),
) -> Result<WorldTally, WorldError> {
    let (public, analysis) = (dir.join("public"), dir.join("analysis"));
    for path in [&public, &analysis] {
        fs::create_dir_all(path).map_err(failed("create", path))?;
    }
    let mut rng = StdRng::seed_from_u64(spec.seed);
    let truths = Truths::new(spec, &mut rng);
    let mut sky = scan::Sky::new(&truths, spec.seed);
    let mut judgement = Judgement::new(&truths, |exit| sky.fingerprint(exit));
    let located = analysis.join(LOCATIONS);
    fs::write(&located, people::locations(first_start())).map_err(failed("write", &located))?;
    let checks = people::checks(&truths, |exit| sky.fingerprint(exit), first_start());
    History::open(&analysis.join(job::DEFAULT_HISTORY))?.keep_checks(&checks, first_start())?;
    // A run has a file for each exit: where there is such a place, the disk sees none of them.
    let runs = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir_in(&analysis));
    let runs = runs.map_err(failed("make a directory in", &analysis))?;
    // The next run is scanned while this one is reported.
    let (to, from) = mpsc::sync_channel(1);
    let (truths, runs) = (&truths, runs.path());
    thread::scope(|scope| {
        scope.spawn(move || {
            for number in 0..spec.runs {
                let played = truths.weather(number).map(|weather| -> Result<_, WorldError> {
                    let started = first_start() + EVERY * number.cast_signed();
                    let directory = runs.join(format!("run_{number}"));
                    let moment = Moment { number, weather, started, seed: rng.random() };
                    let scanned = sky.scan(truths, &moment, &directory)?;
                    Ok(PlayedRun { number, weather, directory, scanned, random: rng.random() })
                });
                if to.send((number, played.transpose())).is_err() {
                    return;
                }
            }
        });
        for (number, played) in from {
            let Some(played) = played? else {
                tell(&format!("run {number}: missed, the host is down"));
                judgement.missed();
                continue;
            };
            report(&played, [&analysis, &public], &mut judgement, &mut tell)?;
        }
        Ok::<(), WorldError>(())
    })?;
    let path = public.join(INCIDENTS_FILE);
    let incidents = serde_json::to_vec(&judgement.incidents()).map_err(std::io::Error::from);
    let written = incidents.and_then(|bytes| fs::write(&path, bytes));
    written.map_err(failed("write", &path))?;
    export::refresh(&public)?;
    Ok(judgement.done())
}

/// Makes the report of a run, and holds it against what was true.
fn report(
    played: &PlayedRun,
    [analysis, public]: [&Path; 2],
    judgement: &mut Judgement<'_>,
    tell: &mut impl FnMut(&str),
) -> Result<(), WorldError> {
    let PlayedRun { number, weather, directory, scanned, random } = played;
    let options = options(directory, analysis, public);
    let machine =
        JobMachine { now: scanned.ended + TimeDelta::minutes(1), random: *random, zone: None };
    let outcome = job::run(&options, machine)
        .map_err(|source| WorldError::Report { run: *number, source })?;
    judgement.report(*number, *weather, &outcome.report);
    tell(&line(*number, *weather, scanned.results, &outcome.report));
    fs::remove_dir_all(directory).map_err(failed("remove", directory))?;
    forget_old(public)
}

/// The location database of the world, in `analysis`.
const LOCATIONS: &str = "location.db";

fn first_start() -> DateTime<Utc> {
    // 2026-01-01.
    DateTime::from_timestamp(1_767_225_600, 0).unwrap_or_default()
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> WorldError {
    let path = path.to_owned();
    move |source| WorldError::Io { doing, path, source }
}

fn options(run: &Path, analysis: &Path, public: &Path) -> ReportOptions {
    ReportOptions {
        inputs: vec![run.to_owned()],
        root: analysis.to_owned(),
        target: ReportTarget::Directory(public.to_owned()),
        previous: public.join(LATEST_FILE),
        output_directory: public.to_owned(),
        history: Some(analysis.join(job::DEFAULT_HISTORY)),
        thresholds: Thresholds::default(),
        force: false,
        // There is no server to ask: neither word for the zone nor against it.
        zone_check: false,
        zone_server: None,
        known_good: None,
        location_db: analysis.join(LOCATIONS),
        license: job::DEFAULT_LICENSE.to_owned(),
        publisher: None,
    }
}

fn line(number: u32, weather: Option<Ours>, results: usize, report: &Report) -> String {
    let meta = &report.metadata;
    let rate = meta.dns_success_rate_percent.unwrap_or_default();
    let gate = if meta.publish.allowed { "published" } else { "held back" };
    let reasons: Vec<&str> = meta.publish.reasons.iter().map(|why| why.code.as_str()).collect();
    let ours = weather.map_or("", |ours| ours.name());
    format!("run {number}: {results} results, {rate:.1} % DNS success, {gate} {reasons:?} {ours}")
}

/// Dated reports of long ago go, as `retain` would have them go.
fn forget_old(public: &Path) -> Result<(), WorldError> {
    let entries = fs::read_dir(public).map_err(failed("list", public))?;
    let mut dated: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| of_dated_name(&entry.file_name().to_string_lossy()).is_some())
        .map(|entry| entry.path())
        .collect();
    dated.sort();
    let old = dated.len().saturating_sub(KEPT);
    dated[..old].iter().try_for_each(|path| fs::remove_file(path).map_err(failed("remove", path)))
}

/// The address of the exit with this number, in the network with this one: a /16 of its own.
fn address(network: usize, exit: usize) -> Ipv4Addr {
    let [.., network] = network.to_be_bytes();
    let [.., high, low] = exit.to_be_bytes();
    Ipv4Addr::new(45 + network / 4, network, high, low)
}
