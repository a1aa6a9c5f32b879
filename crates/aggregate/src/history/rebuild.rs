//! Making a history anew from what was published: dated reports, as files and in monthly archives.
//! They hold all that a history does, but for runs that no report is left of.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use record::Report;
use shelf::output::{self, REPORT_LIMIT};
use shelf::read;

use super::{History, HistoryError, Standing};
use crate::gate::{self, Thresholds};
use crate::publish::{Output, PublishError};
use crate::reconcile;
use crate::retain::archive;
use crate::retain::choose::{self, Month};

/// What became of it.
#[derive(Debug, Default)]
pub struct Rebuilt {
    /// How many reports were read.
    pub reports: usize,
    /// How many runs the history has now.
    pub runs: usize,
    /// When the first and the last of them ended.
    pub span: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// What could not be used, and why.
    pub unusable: Vec<String>,
    /// The runs of the former history that no report is left of.
    pub lost: Vec<String>,
    /// Why it cannot be told what the former history had.
    pub unread: Option<String>,
    /// Where the former history is now.
    pub former: Option<PathBuf>,
}

/// Why a history could not be made anew. The former one is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The new history fails.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The output directory cannot be read, or another program publishes.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// There is nothing to make it of.
    #[error(
        "there is no dated report and no archive in {directory:?}; name the output directory, or \
         fetch them with `exit-validator upload restore`"
    )]
    Nothing {
        /// The directory.
        directory: PathBuf,
    },
    /// A file cannot be put in its place.
    #[error("cannot {doing} {path:?}: {source}; the former history is as it was")]
    File {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// Makes the history at `path` anew from what is in `directory`. With `dry_run`, it is made, told
/// of, and removed. `doing` is told each step.
///
/// # Errors
///
/// [`RebuildError`].
pub fn run(
    path: &Path,
    directory: &Path,
    dry_run: bool,
    doing: &mut dyn FnMut(&str),
) -> Result<Rebuilt, RebuildError> {
    // While it is made, nothing may be published.
    let output = Output::open(directory)?;
    let names: Vec<String> = read::names_in(output.fd())
        .map_err(|source| PublishError::Directory { directory: directory.to_owned(), source })?;
    let months = choose::all_months(names.iter().map(String::as_str));
    if months.is_empty() {
        return Err(RebuildError::Nothing { directory: directory.to_owned() });
    }
    let new = beside(path, ".new");
    remove(&new)?;
    let mut rebuild = Rebuild {
        history: History::open(&new)?,
        directory: output.fd(),
        done: Rebuilt::default(),
        confirming: Vec::new(),
    };
    rebuild.history.hurry()?;
    for (month, held) in &months {
        doing(&format!("the reports of {}", month.format("%Y-%m")));
        rebuild.month(*month, held)?;
    }
    rebuild.confirm()?;
    let Rebuild { history, mut done, .. } = rebuild;
    let runs = history.texts("")?;
    done.runs = runs.len();
    done.span = runs
        .first()
        .zip(runs.last())
        .map(|((_, first), (_, last))| (first.timestamp, last.timestamp));
    compare(path, &history, &mut done);
    drop(history);
    if dry_run {
        remove(&new)?;
    } else {
        done.former = replace(path, &new)?;
    }
    Ok(done)
}

struct Rebuild<'a> {
    history: History,
    directory: &'a OwnedFd,
    done: Rebuilt,
    /// Reports that were let through in spite of what held back runs before them.
    confirming: Vec<Report>,
}

/// Reports of one second, by variant.
type Group = Vec<(DateTime<Utc>, u32, String, Vec<u8>)>;

impl Rebuild<'_> {
    fn month(&mut self, month: DateTime<Utc>, held: &Month) -> Result<(), RebuildError> {
        let mut seen = BTreeSet::new();
        let mut files: Vec<&String> = held.reports.iter().collect();
        files.sort_by_key(|name| output::of_dated_name(name));
        // What is older than an archive comes first: the oldest report knows what was before it.
        let first = held.archives.iter().filter_map(|(_, name)| self.first_in(name)).min();
        let later = files.partition_point(|name| {
            first.is_some_and(|first| output::of_dated_name(name).is_some_and(|of| of < first))
        });
        self.files(&files[..later], &mut seen)?;
        // The newest variant holds all that the older ones do.
        for (_, name) in held.archives.iter().rev() {
            self.archive(month, name, &mut seen)?;
        }
        self.files(&files[later..], &mut seen)
    }

    fn first_in(&self, name: &str) -> Option<(DateTime<Utc>, u32)> {
        let file = read::open_in(self.directory, name.as_ref()).ok()?;
        archive::first(file)
    }

    fn files(
        &mut self,
        names: &[&String],
        seen: &mut BTreeSet<String>,
    ) -> Result<(), RebuildError> {
        for name in names {
            if !seen.insert((*name).clone()) {
                continue;
            }
            match read::file_in(self.directory, name.as_ref(), REPORT_LIMIT) {
                Ok(bytes) => self.report(name, &bytes)?,
                Err(error) => self.done.unusable.push(format!("{name}: {error}")),
            }
        }
        Ok(())
    }

    fn archive(
        &mut self,
        month: DateTime<Utc>,
        name: &str,
        seen: &mut BTreeSet<String>,
    ) -> Result<(), RebuildError> {
        let unusable =
            |done: &mut Rebuilt, why: String| done.unusable.push(format!("{name} {why}"));
        let file = match read::open_in(self.directory, name.as_ref()) {
            Ok(file) => file,
            Err(error) => {
                unusable(&mut self.done, error.to_string());
                return Ok(());
            }
        };
        // In the order of names, the second report of a run comes before its first.
        let mut group: Group = Vec::new();
        let mut failed = Ok(());
        let read = archive::each(file, month, |name, bytes| {
            let Some((time, variant)) = output::of_dated_name(&name) else { return true };
            if group.first().is_some_and(|(of, ..)| *of != time) {
                failed = self.group(&mut group);
            }
            if seen.insert(name.clone()) {
                group.push((time, variant, name, bytes));
            }
            failed.is_ok()
        });
        failed?;
        self.group(&mut group)?;
        if let Err(error) = read {
            unusable(&mut self.done, error.to_string());
        }
        Ok(())
    }

    fn group(&mut self, group: &mut Group) -> Result<(), RebuildError> {
        let mut group = std::mem::take(group);
        group.sort_by_key(|(time, variant, ..)| (*time, *variant));
        group.iter().try_for_each(|(_, _, name, bytes)| self.report(name, bytes))
    }

    fn report(&mut self, name: &str, bytes: &[u8]) -> Result<(), RebuildError> {
        match reconcile::take_in_report(&mut self.history, bytes, &Thresholds::default())? {
            Ok(report) => {
                self.done.reports += 1;
                if !gate::believed(&report.metadata.publish).is_empty() {
                    let report = Report { results: Vec::new(), absent: Vec::new(), ..report };
                    self.confirming.push(report);
                }
            }
            Err(why) => self.done.unusable.push(format!("{name}: {why}")),
        }
        Ok(())
    }

    /// Once more, when all of them are there, whatever file or archive they came from.
    fn confirm(&mut self) -> Result<(), HistoryError> {
        self.confirming.sort_by_key(|report| report.metadata.timestamp);
        for report in &self.confirming {
            for run_id in reconcile::accepted_by(&self.history, report, &Thresholds::default())? {
                self.history.settle(&run_id, Standing::Counted, &[])?;
            }
        }
        Ok(())
    }
}

/// Says which runs of the former history are in no report.
fn compare(path: &Path, history: &History, done: &mut Rebuilt) {
    if !path.exists() {
        return;
    }
    let runs = match History::open_to_look(path).and_then(|former| former.run_ids()) {
        Ok(runs) => runs,
        Err(error) => {
            done.unread = Some(error.to_string());
            return;
        }
    };
    for run_id in runs {
        if !history.knows(&run_id).is_ok_and(|known| known.is_some()) {
            done.lost.push(run_id);
        }
    }
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(end);
    path.with_file_name(name)
}

fn remove(path: &Path) -> Result<(), RebuildError> {
    for path in [path.to_owned(), beside(path, "-journal")] {
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(RebuildError::File { doing: "remove", path, source });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Puts the new history in the place of the former one, which is kept beside it.
fn replace(path: &Path, new: &Path) -> Result<Option<PathBuf>, RebuildError> {
    let failed = |doing, path: &Path| {
        let path = path.to_owned();
        move |source| RebuildError::File { doing, path, source }
    };
    File::open(new).and_then(|file| file.sync_all()).map_err(failed("sync", new))?;
    let former = beside(path, ".former");
    let mut kept = None;
    // A journal that a kill left goes with its database: the new one must not find it.
    for end in ["-journal", ""] {
        let (from, to) = (beside(path, end), beside(&former, end));
        match fs::rename(&from, &to) {
            Ok(()) => kept = Some(former.clone()),
            Err(source) if source.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(failed("move away", &from)(source)),
        }
    }
    fs::rename(new, path).map_err(failed("put in its place", path))?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    File::open(parent)
        .and_then(|directory| directory.sync_all())
        .map_err(failed("sync", parent))?;
    Ok(kept)
}

impl History {
    /// No syncing and no journal on the disk: for a file that nobody uses before it is whole.
    fn hurry(&self) -> Result<(), HistoryError> {
        self.connection
            .execute_batch("PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY;")
            .map_err(self.sqlite("prepare"))
    }

    /// The ids of all runs, in every layout.
    fn run_ids(&self) -> Result<Vec<String>, HistoryError> {
        let doing = self.sqlite("read");
        let mut statement =
            self.connection.prepare("SELECT run_id FROM run ORDER BY ended").map_err(&doing)?;
        let rows = statement.query_map([], |row| row.get(0)).map_err(&doing)?;
        rows.collect::<rusqlite::Result<_>>().map_err(doing)
    }
}
