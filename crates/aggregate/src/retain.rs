//! What keeps a host's disk from filling: old analysis directories and logs go, the history is
//! shortened, and old reports move into a month's archive. Knows the order of things and what they
//! share; [`choose`] decides what goes, from names, ages and a given time.
//!
//! What frees room comes first, so that a full disk has some for the archives. The parts do not
//! depend on each other: one that fails is told and the others go on. Nothing is removed that is
//! not ours by its name, through a link, or before what takes its place has been read back.

pub mod archive;
pub mod choose;
mod history;
mod logs;
mod reports;
mod runs;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use crate::history::HistoryError;
use crate::publish::{Output, PublishError};

pub use archive::ArchiveError;

/// How many complete runs are kept: a week of six-hourly ones.
pub const KEEP_RUNS: u32 = 28;

/// How many days a report stays a file of its own.
pub const ARCHIVE_AFTER_DAYS: u32 = 180;

/// How many logs are kept: a month of six-hourly ones.
pub const KEEP_LOGS: u32 = 120;

/// How many days the history keeps.
pub const HISTORY_KEEP_DAYS: u32 = 730;

/// What is to be kept, and where. A number of 0 means that nothing goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetainOptions {
    /// Where the analysis directories are.
    pub root: PathBuf,
    /// The output directory.
    pub output_directory: PathBuf,
    /// Where the logs are; none for no logs.
    pub logs: Option<PathBuf>,
    /// The history; where there is no such file, there is nothing to forget.
    pub history: PathBuf,
    /// How many of the newest complete runs are kept.
    pub keep_runs: u32,
    /// After how many days reports go into an archive.
    pub archive_after: u32,
    /// How many of the newest logs are kept.
    pub keep_logs: u32,
    /// How many days the history keeps.
    pub keep_days: u32,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// What there is to keep in bounds, in the order of doing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetainPart {
    /// The analysis directories.
    Runs,
    /// The wrapper's logs.
    Logs,
    /// The history.
    History,
    /// The dated reports.
    Reports,
}

impl fmt::Display for RetainPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Runs => "analysis",
            Self::Logs => "logs",
            Self::History => "history",
            Self::Reports => "reports",
        })
    }
}

/// What became of one part.
#[derive(Debug)]
pub struct PartDone {
    /// Which.
    pub part: RetainPart,
    /// What was done to what, or would be, one line each.
    pub steps: Vec<String>,
    /// All of it in one line, without the part's name.
    pub summary: String,
    /// What was left although it is old, and why.
    pub left: Vec<String>,
    /// What went wrong.
    pub troubles: Vec<RetainError>,
}

impl PartDone {
    const fn new(part: RetainPart) -> Self {
        Self {
            part,
            steps: Vec::new(),
            summary: String::new(),
            left: Vec::new(),
            troubles: Vec::new(),
        }
    }
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum RetainError {
    /// Something cannot be looked at.
    #[error("cannot {doing} {path:?}: {source}; nothing that depends on it was removed")]
    Read {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// The system's error.
        r#source: io::Error,
    },
    /// Something cannot be written or removed.
    #[error("cannot {doing} {path:?}: {source}; the next run tries again")]
    Write {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// The system's error.
        r#source: io::Error,
    },
    /// An archive, or a report that is to go into one, is not what it must be.
    #[error("{path:?} {what}; the reports of its month stay as they are until that is put right")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// It cannot be told which report `latest.json` is.
    #[error("cannot use {path:?}: {what}; {kept}, as it cannot be told what it names")]
    Latest {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
        /// What stays because of it.
        kept: &'static str,
    },
    /// The history's own error.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The output directory cannot be used, or its list of files not be written.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// Told what is done next, in a few words: for the log, and for tests that end the program there.
pub type Next<'a> = dyn FnMut(&str) + 'a;

/// Does it, or, with [`RetainOptions::dry_run`], says what would be done. `doing` is told each step just
/// before it.
///
/// # Errors
///
/// [`RetainError::Publish`], where another program is publishing, or the output directory cannot
/// be opened. Every other trouble is its part's own.
pub fn run(
    options: &RetainOptions,
    now: DateTime<Utc>,
    doing: &mut Next<'_>,
) -> Result<Vec<PartDone>, RetainError> {
    let directory = &options.output_directory;
    // A report that is being made reads what would be removed. Looking needs no lock, and must not
    // keep a publisher out.
    let output = if options.dry_run { None } else { open(directory)? };
    let public = reports::Public::look(directory)?;
    Ok(vec![
        runs::run(options, public.as_ref(), now, doing),
        logs::run(options, doing),
        history::run(options, now, doing),
        reports::run(options, public.as_ref(), output.as_ref(), now, doing),
    ])
}

fn open(directory: &Path) -> Result<Option<Output>, PublishError> {
    match Output::open(directory) {
        Ok(output) => Ok(Some(output)),
        Err(PublishError::Directory { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// A path for people.
fn shown(path: &Path) -> String {
    record::printable(&path.to_string_lossy())
}

/// A number of things, in the right form.
fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
