//! Brings the history and the output directory together, whatever a kill, a full disk or a locked
//! database left: by what is really there. What was published is in `latest.json`, what was told
//! is in the dated reports; the history follows them, and what is only begun is finished.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::TimeDelta;
use record::{FileEntry, FileKind, GateCode, Report};
use shelf::output::{LATEST_FILE, REPORT_LIMIT};
use shelf::read;
use tracing::{info, warn};

use crate::gate::{self, Thresholds};
use crate::history::{self, History, HistoryError, Standing, Terms};
use crate::previous::{self, PriorHead};
use crate::publish::{self, Output, PublishError};

/// How far back a history that was lost is made again on the way to the next report: as far as its
/// rates and the relays' last runs look. More takes longer than a report may.
const NEW_HISTORY: TimeDelta = TimeDelta::days(30);

/// Why they could not be brought together.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The history.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The output directory.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// What a report became, as it says itself.
#[must_use]
pub fn standing_of(report: &Report) -> Standing {
    let publish = &report.metadata.publish;
    let reasons: Vec<GateCode> = publish.reasons.iter().map(|reason| reason.code).collect();
    history::meant(publish.allowed, &reasons)
}

/// Settles what was entered and not settled, and takes in what was reported and not entered.
///
/// # Errors
///
/// [`ReconcileError`]. What was done until then stands.
pub fn run(
    history: &mut History,
    output: &Output,
    files: &[FileEntry],
    latest: Option<&PriorHead>,
    limits: &Thresholds,
) -> Result<(), ReconcileError> {
    if let Some(latest) = latest {
        if history.waits_for_a_report()?
            && let Ok(whole) = previous::read(&output.latest())
        {
            history.adopt(&whole)?;
        }
        // Another program's word, or a copy of the history that is older than the report.
        if history.knows_exactly(&latest.run_ids)?.is_some_and(|s| s != Standing::Published)
            && latest.published
        {
            history.settle(&latest.run_ids.join("+"), Standing::Published, &[])?;
        }
    }
    let reports = newest_of_each(files);
    for unsettled in history.unsettled()? {
        let Some(entry) = reports.get(unsettled.run_id.as_str()) else { continue };
        finish(history, output, files, latest, entry, (unsettled.meant, limits))?;
    }
    take_in(history, output.directory(), &reports, limits)
}

/// The report of each run that speaks for it: one that was published, or else the newest.
fn newest_of_each(files: &[FileEntry]) -> BTreeMap<&str, &FileEntry> {
    let mut newest: BTreeMap<&str, &FileEntry> = BTreeMap::new();
    for entry in files.iter().filter(|entry| entry.kind == FileKind::Report) {
        let Some(report) = &entry.report else { continue };
        let rank = |entry: &FileEntry| {
            let published = entry.report.as_ref().is_some_and(|report| report.published);
            (published, publish::order(entry))
        };
        let best = newest.entry(&report.run_id).or_insert(entry);
        if rank(entry) > rank(best) {
            *best = entry;
        }
    }
    newest
}

/// A run whose dated report is there, and that was not settled: what was missing of it is done.
fn finish(
    history: &mut History,
    output: &Output,
    files: &[FileEntry],
    latest: Option<&PriorHead>,
    entry: &FileEntry,
    (meant, limits): (Standing, &Thresholds),
) -> Result<(), ReconcileError> {
    let Some(report) = &entry.report else { return Ok(()) };
    // The history says what the run as it is there now was meant to become: a report that says
    // otherwise is an earlier one of the same run.
    if (meant == Standing::Published) != report.published {
        return Ok(());
    }
    let mut standing = meant;
    let mut accepted = Vec::new();
    if meant == Standing::Published {
        let newer = latest.is_none_or(|latest| latest.report.timestamp < entry.timestamp);
        let bytes = read::file_in(output.fd(), entry.name.as_ref(), REPORT_LIMIT);
        let document = bytes.ok().and_then(|bytes| {
            let report = record::Kind::Report.parse::<Report>(&bytes).ok()?;
            Some((report, bytes))
        });
        match document {
            Some((document, bytes)) if newer => {
                accepted = accepted_by(history, &document, limits)?;
                output.write_files(files.to_vec())?;
                output.replace(LATEST_FILE, &bytes)?;
                info!("{} was not finished: {LATEST_FILE} now holds it", entry.name);
            }
            _ => standing = Standing::Counted,
        }
    }
    history.settle(&report.run_id, standing, &accepted)?;
    Ok(())
}

/// The held runs that a report confirms by being let through.
///
/// # Errors
///
/// [`HistoryError`].
pub fn accepted_by(
    history: &History,
    report: &Report,
    limits: &Thresholds,
) -> Result<Vec<String>, HistoryError> {
    let meta = &report.metadata;
    if gate::believed(&meta.publish).is_empty() {
        return Ok(Vec::new());
    }
    let run_ids: Vec<String> = meta.run_id.split('+').map(str::to_owned).collect();
    let held = history.held_before(meta.timestamp, &run_ids, &Terms::of_report(meta))?;
    Ok(gate::confirmed(meta, &held, limits))
}

/// Takes in the runs that were reported while the history could not be used.
fn take_in(
    history: &mut History,
    directory: &Path,
    reports: &BTreeMap<&str, &FileEntry>,
    limits: &Thresholds,
) -> Result<(), ReconcileError> {
    let begins = history.begins()?;
    let mut missing = Vec::new();
    for (run_id, entry) in reports {
        if begins.is_none_or(|begins| entry.timestamp > begins) && history.knows(run_id)?.is_none()
        {
            missing.push(*entry);
        }
    }
    // In the order of time, so that what confirms others finds them.
    missing.sort_by_cached_key(|entry| publish::order(entry));
    if let Some(newest) = missing.last().map(|entry| entry.timestamp)
        && history.is_empty_but_for(&[])?
    {
        let all = missing.len();
        missing.retain(|entry| newest - entry.timestamp <= NEW_HISTORY);
        if missing.len() < all {
            warn!(
                "the history is new, and begins with the reports of the last {} days; \
                 `exit-validator history rebuild` takes in all of them",
                NEW_HISTORY.num_days()
            );
        }
    }
    for entry in missing {
        let path = directory.join(&entry.name);
        match read::file(&path, REPORT_LIMIT) {
            Ok(bytes) => match take_in_report(history, &bytes, limits)? {
                Ok(_) => info!("history: {} was missing and is taken in", entry.name),
                Err(why) => warn!("history: {path:?} cannot be taken in: {why}"),
            },
            Err(error) => warn!("history: {path:?} cannot be taken in: {error}"),
        }
    }
    Ok(())
}

/// Takes in the run of a report; what the first report knows from before it is the history's base.
///
/// # Errors
///
/// [`HistoryError`], where the history fails. The inner error is the report's.
pub fn take_in_report(
    history: &mut History,
    bytes: &[u8],
    limits: &Thresholds,
) -> Result<Result<Report, previous::PriorError>, HistoryError> {
    let prior = match previous::parse(bytes) {
        Ok(prior) => prior,
        Err(error) => return Ok(Err(error)),
    };
    let report: Report = match record::Kind::Report.parse(bytes) {
        Ok(report) => report,
        Err(error) => return Ok(Err(previous::PriorError::Damaged(error))),
    };
    if history.is_empty_but_for(&[])? {
        let time = prior.head.report.timestamp;
        let base = previous::Base::of_same_run(prior);
        let (time, run_id) = match base.previous.report {
            Some(earlier) => (earlier.timestamp, earlier.run_id.unwrap_or_default()),
            None => (time - TimeDelta::seconds(1), String::new()),
        };
        history.seed(&base.relays, time, &run_id)?;
    }
    history.keep_checks_of(&report)?;
    let accepted = accepted_by(history, &report, limits)?;
    if history.enter(&report)? != history::Added::Kept {
        history.settle(&report.metadata.run_id, standing_of(&report), &accepted)?;
    }
    Ok(Ok(report))
}
