//! What a published report becomes for other programs: metrics, the verdicts by fingerprint, the index
//! of the badges, and the files of the system before this one.
//!
//! All of it is a function of `latest.json`. So what is missing or old, as after a program was killed, is
//! found by making it again, and nothing has to be remembered.

mod badges;
mod compat;
mod metrics;
mod onionoo;
mod sheet;
mod summary;

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use record::{Figures, FormatError, Kind, Report};
use serde::Serialize;
use serde::de::DeserializeOwned;
use shelf::atomic::{self, TEMPORARY_PREFIX};
use shelf::output::{
    self, BADGES_DIRECTORY, COMPAT_DIRECTORY, COMPAT_METRICS_FILE, COMPAT_REPORT_FILE,
    FIGURES_FILE, FILES_LIMIT, INCIDENTS_FILE, LATEST_FILE, METRICS_FILE, ONIONOO_FILE,
    REPORT_LIMIT, SUMMARY_FILE, TRENDS_FILE,
};
use shelf::read;

pub use summary::Beside;

/// A file that is made of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportFile {
    /// Where it is in the output directory.
    pub path: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// Why the exports could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The output directory cannot be used.
    #[error("cannot open the output directory {directory:?}: {reason}")]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// The system's error.
        reason: io::Error,
    },
    /// Another program of ours publishes.
    #[error("another program is publishing into {directory:?}; try again when it is done")]
    Busy {
        /// The directory.
        directory: PathBuf,
    },
    /// The latest report cannot be read.
    #[error("cannot read {path:?}: {reason}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: read::ReadError,
    },
    /// It is not a report that this version knows.
    #[error("cannot use {path:?}: {reason}")]
    Report {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: FormatError,
    },
    /// A document cannot be made into JSON.
    #[error("cannot write {path} as JSON: {reason}")]
    Json {
        /// Which.
        path: String,
        /// Why.
        reason: serde_json::Error,
    },
    /// Something cannot be put into Prometheus' format.
    #[error("cannot write {path} for Prometheus: {reason}")]
    Metrics {
        /// Which.
        path: &'static str,
        /// Why.
        reason: prometheus::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {path:?}: {reason}; check disk space and rights")]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's error.
        reason: io::Error,
    },
}

/// Everything that is made of a report, in the order of writing: the metrics, which say how old the
/// report is, come last.
///
/// # Errors
///
/// [`ExportError::Json`] and [`ExportError::Metrics`].
pub fn of_report(report: &Report, beside: &Beside) -> Result<Vec<ExportFile>, ExportError> {
    // First, as who is far away sees them first.
    let (format, metadata) = (Kind::Figures.format(), report.metadata.clone());
    let mut files = vec![json(FIGURES_FILE.to_owned(), &Figures { format, metadata })?];
    for (digit, shard) in badges::of_report(report) {
        files.push(json(format!("{BADGES_DIRECTORY}/{digit}.json"), &shard)?);
    }
    files.push(json(ONIONOO_FILE.to_owned(), &onionoo::of_report(report))?);
    files.push(summary(report, beside));
    let former = compat::of_report(report);
    files.push(json(COMPAT_REPORT_FILE.to_owned(), &former)?);
    let mut metrics = |path: &'static str, text: prometheus::Result<String>| {
        let text = text.map_err(|reason| ExportError::Metrics { path, reason })?;
        files.push(ExportFile { path: path.to_owned(), bytes: text.into_bytes() });
        Ok(())
    };
    metrics(COMPAT_METRICS_FILE, compat::metrics(report, &former))?;
    metrics(METRICS_FILE, metrics::of_report(report))?;
    Ok(files)
}

pub(crate) fn json<T: Serialize>(path: String, document: &T) -> Result<ExportFile, ExportError> {
    match serde_json::to_vec(document) {
        Ok(mut bytes) => {
            bytes.push(b'\n');
            Ok(ExportFile { path, bytes })
        }
        Err(reason) => Err(ExportError::Json { path, reason }),
    }
}

/// Brings the exports in the output directory up to date with its `latest.json`, and says how many
/// files were written. A file that holds the right bytes is left as it is; without a `latest.json`
/// there is nothing to do.
///
/// # Errors
///
/// [`ExportError`]. What was written until then is whole, and the next call goes on from there.
pub fn refresh(directory: &Path) -> Result<usize, ExportError> {
    let lock = take(directory)?;
    let Some(report) = latest(directory, &lock)? else { return Ok(0) };
    let beside = beside(&lock);
    write(directory, &[BADGES_DIRECTORY, COMPAT_DIRECTORY], &of_report(&report, &beside)?)
}

/// Brings the page of the latest report up to date in the output directory, whose lock the caller has. Where
/// that report cannot be read, whoever publishes says so; the page stays as it is.
///
/// # Errors
///
/// [`ExportError::Write`].
#[cfg(feature = "send")]
pub(crate) fn refresh_summary(directory: &Path, lock: &OwnedFd) -> Result<(), ExportError> {
    let Ok(Some(report)) = latest(directory, lock) else { return Ok(()) };
    write(directory, &[], &[summary(&report, &beside(lock))]).map(|_| ())
}

fn summary(report: &Report, beside: &Beside) -> ExportFile {
    let bytes = summary::of_report(report, beside).into_bytes();
    ExportFile { path: SUMMARY_FILE.to_owned(), bytes }
}

/// What lies beside the report. What cannot be used is left out: the page says less.
fn beside(directory: &OwnedFd) -> Beside {
    Beside {
        trends: document(directory, TRENDS_FILE, Kind::Trends),
        incidents: document(directory, INCIDENTS_FILE, Kind::Incidents),
    }
}

fn document<T: DeserializeOwned>(directory: &OwnedFd, name: &str, kind: Kind) -> Option<T> {
    let bytes = read::file_in(directory, OsStr::new(name), FILES_LIMIT).ok()?;
    kind.parse(&bytes).ok()
}

/// The latest report; `None` where there is none yet.
fn latest(directory: &Path, lock: &OwnedFd) -> Result<Option<Report>, ExportError> {
    let path = directory.join(LATEST_FILE);
    let bytes = match read::file_in(lock, OsStr::new(LATEST_FILE), REPORT_LIMIT) {
        Ok(bytes) => bytes,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(reason) => return Err(ExportError::Read { path, reason }),
    };
    Kind::Report.parse(&bytes).map(Some).map_err(|reason| ExportError::Report { path, reason })
}

/// The lock of the output directory.
pub(crate) fn take(directory: &Path) -> Result<OwnedFd, ExportError> {
    let failed = |reason| ExportError::Directory { directory: directory.to_owned(), reason };
    let lock = output::lock(directory).map_err(failed)?;
    lock.ok_or_else(|| ExportError::Busy { directory: directory.to_owned() })
}

/// Writes these files, and makes these directories of theirs, in the output directory, whose lock the
/// caller has. A file that holds the right bytes is left as it is. Gives how many were written.
pub(crate) fn write(
    directory: &Path,
    directories: &[&str],
    files: &[ExportFile],
) -> Result<usize, ExportError> {
    for name in directories {
        prepare(&directory.join(name))?;
    }
    let mut written = 0;
    for file in files {
        let path = directory.join(&file.path);
        if read::file(&path, REPORT_LIMIT).is_ok_and(|there| there == file.bytes) {
            continue;
        }
        // Not each by itself to the disk: a power cut costs what the next call finds and makes again.
        atomic::place(&path, &file.bytes).map_err(|reason| ExportError::Write { path, reason })?;
        written += 1;
    }
    if written > 0 {
        atomic::sync_file_system(directory)
            .map_err(|reason| ExportError::Write { path: directory.to_owned(), reason })?;
    }
    Ok(written)
}

/// Makes a directory of the exports where there is none, and removes what a killed program left in it.
/// Who is here has the lock, so nobody is writing there.
fn prepare(directory: &Path) -> Result<(), ExportError> {
    let failed = |reason| ExportError::Write { path: directory.to_owned(), reason };
    match std::fs::create_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    for entry in std::fs::read_dir(directory).map_err(failed)?.flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(TEMPORARY_PREFIX.as_bytes()) {
            // One that stays does no harm: nobody reads it, and the next call tries again.
            let _ = std::fs::remove_file(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
