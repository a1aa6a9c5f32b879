//! Publishing into a directory that a web server serves: the dated report, then `trends.json`,
//! then `files.json`, then `latest.json`, each whole or not at all, so that at every instant what
//! a pointer names is there. Decides nothing: whether `latest.json` is replaced is the gate's word.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use record::{FileEntry, FileKind, FileReport, Files, Kind, Report, TrendEntry, Trends};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shelf::output::{
    self, FILES_FILE, FILES_LIMIT, LATEST_FILE, REPORT_LIMIT, TRENDS_FILE, dated_name,
    of_archive_name, of_dated_name, variant_name,
};
use shelf::read;

use crate::report;

/// How many different reports of one second there can be: the same run aggregated with another
/// outcome, for instance forced.
const VARIANTS: u32 = 1000;

/// An output directory that no other program of ours publishes into while this value lives.
#[derive(Debug)]
pub struct Output {
    directory: PathBuf,
    // Closing it releases the lock, also when the process is killed.
    lock: OwnedFd,
}

/// What was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The dated report's name.
    pub name: String,
    /// Whether `latest.json` is this report now.
    pub latest: bool,
}

/// Why something could not be published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The directory cannot be opened.
    #[error("cannot open the output directory {directory:?}: {source}; create it, or name another")]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Another program publishes.
    #[error("another aggregate is publishing into {directory:?}; try again when it is done")]
    Busy {
        /// The directory.
        directory: PathBuf,
    },
    /// A file cannot be written.
    #[error("cannot write {path:?}: {source}; nothing that depends on it was written")]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A document cannot be made into JSON.
    #[error("cannot write {what} as JSON: {source}")]
    Json {
        /// Which document.
        what: &'static str,
        /// Why.
        source: serde_json::Error,
    },
    /// `files.json` was written by a newer program.
    #[error("cannot use {path:?}: {source}")]
    Newer {
        /// The file.
        path: PathBuf,
        /// The versions.
        source: record::FormatError,
    },
    /// There are too many different reports of this second.
    #[error("there are {VARIANTS} different reports named {name} already")]
    Variants {
        /// The first of them.
        name: String,
    },
}

/// A document as it is published: JSON on one line.
///
/// # Errors
///
/// [`PublishError::Json`].
pub fn json<T: Serialize>(what: &'static str, document: &T) -> Result<Vec<u8>, PublishError> {
    let mut bytes =
        serde_json::to_vec(document).map_err(|source| PublishError::Json { what, source })?;
    bytes.push(b'\n');
    Ok(bytes)
}

impl Output {
    /// Opens the directory and takes its lock.
    ///
    /// # Errors
    ///
    /// [`PublishError::Directory`] and [`PublishError::Busy`].
    pub fn open(directory: &Path) -> Result<Self, PublishError> {
        let directory = directory.to_owned();
        match output::lock(&directory) {
            Ok(Some(lock)) => Ok(Self { directory, lock }),
            Ok(None) => Err(PublishError::Busy { directory }),
            Err(source) => Err(PublishError::Directory { directory, source }),
        }
    }

    /// What `latest.json` is called here.
    #[must_use]
    pub fn latest(&self) -> PathBuf {
        self.directory.join(LATEST_FILE)
    }

    /// Removes unfinished files that a killed program left here before `time`.
    pub fn sweep(&self, time: DateTime<Utc>) {
        let Ok(entries) = std::fs::read_dir(&self.directory) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let left =
                name.as_encoded_bytes().starts_with(shelf::atomic::TEMPORARY_PREFIX.as_bytes())
                    && entry
                        .metadata()
                        .and_then(|metadata| metadata.modified())
                        .is_ok_and(|modified| DateTime::<Utc>::from(modified) < time);
            if left {
                // One that stays does no harm: nobody reads it, and the next run tries again.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    /// What can be fetched: `files.json` as far as it is still true, and what it lacks. Files that
    /// look like reports and are none are left out, and named in the second value.
    ///
    /// # Errors
    ///
    /// [`PublishError::Directory`], and [`PublishError::Newer`].
    pub fn files(&self) -> Result<(Vec<FileEntry>, Vec<String>), PublishError> {
        list(&self.directory, &self.lock)
    }

    /// Writes the list of files.
    ///
    /// # Errors
    ///
    /// [`PublishError`].
    pub fn write_files(&self, files: Vec<FileEntry>) -> Result<(), PublishError> {
        let files = Files { format: Kind::Files.format(), files };
        self.replace(FILES_FILE, &json("the list of files", &files)?)
    }

    /// Publishes a report: the dated file, the trends where there are any, the list, and the
    /// latest report where the gate allows it.
    ///
    /// # Errors
    ///
    /// [`PublishError`]. What was written before stays, and is consistent.
    pub fn publish(
        &self,
        document: &Report,
        trends: Option<Vec<TrendEntry>>,
        mut files: Vec<FileEntry>,
    ) -> Result<Published, PublishError> {
        let bytes = json("the report", document)?;
        let metadata = &document.metadata;
        let name = self.create_dated(metadata.timestamp, &bytes)?;
        if let Some(runs) = trends {
            let trends = Trends { format: Kind::Trends.format(), runs };
            self.replace(TRENDS_FILE, &json("the trends", &trends)?)?;
        }
        files.retain(|entry| entry.name != name);
        files.push(FileEntry {
            name: name.clone(),
            kind: FileKind::Report,
            size: bytes.len() as u64,
            sha256: hex(&Sha256::digest(&bytes)),
            timestamp: metadata.timestamp,
            report: Some(report::file_report(metadata)),
        });
        sort(&mut files);
        self.write_files(files)?;
        if metadata.publish.allowed {
            self.replace(LATEST_FILE, &bytes)?;
        }
        Ok(Published { name, latest: metadata.publish.allowed })
    }

    /// Writes the dated report, unless it is there with these bytes: what has been published under
    /// a name never changes.
    fn create_dated(&self, time: DateTime<Utc>, bytes: &[u8]) -> Result<String, PublishError> {
        for variant in 1..=VARIANTS {
            let name = variant_name(time, variant);
            let path = self.directory.join(&name);
            match shelf::atomic::create(&path, bytes) {
                Ok(()) => return Ok(name),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(PublishError::Write { path, source }),
            }
            if read::file_in(&self.lock, OsStr::new(&name), REPORT_LIMIT)
                .is_ok_and(|there| there == bytes)
            {
                return Ok(name);
            }
        }
        Err(PublishError::Variants { name: dated_name(time) })
    }

    /// Where it is.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The directory itself.
    pub(crate) const fn fd(&self) -> &OwnedFd {
        &self.lock
    }

    /// Replaces a file.
    pub(crate) fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), PublishError> {
        let path = self.directory.join(name);
        shelf::atomic::replace(&path, bytes).map_err(|source| PublishError::Write { path, source })
    }
}

/// What can be fetched from `directory`, without taking its lock: for a report that is written
/// elsewhere.
///
/// # Errors
///
/// As [`Output::files`].
pub fn files_in(directory: &Path) -> Result<Vec<FileEntry>, PublishError> {
    let fd = read::open_directory(directory)
        .map_err(|source| PublishError::Directory { directory: directory.to_owned(), source })?;
    list(directory, &fd).map(|(files, _)| files)
}

pub(crate) fn list(
    directory: &Path,
    fd: &OwnedFd,
) -> Result<(Vec<FileEntry>, Vec<String>), PublishError> {
    let failed = |source| PublishError::Directory { directory: directory.to_owned(), source };
    let mut known = known(directory, fd)?;
    let mut files = Vec::new();
    let mut unusable = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let kind = match (of_dated_name(&name), of_archive_name(&name)) {
            (Some(_), _) => FileKind::Report,
            (None, Some(_)) => FileKind::Archive,
            (None, None) => continue,
        };
        let metadata = match entry.metadata() {
            // It was taken away meanwhile, into an archive perhaps.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            metadata => metadata.map_err(failed)?,
        };
        let known = known.remove(&name);
        let listed = known
            .filter(|old| metadata.is_file() && old.size == metadata.len() && old.kind == kind);
        match listed.or_else(|| look_at(fd, &entry.file_name(), &name)) {
            Some(entry) => files.push(entry),
            None => unusable.push(name),
        }
    }
    sort(&mut files);
    unusable.sort();
    Ok((files, unusable))
}

/// The entries of the present `files.json`: none where it is missing or damaged, as all of it can
/// be found again in the files themselves.
fn known(directory: &Path, fd: &OwnedFd) -> Result<HashMap<String, FileEntry>, PublishError> {
    let Ok(bytes) = read::file_in(fd, OsStr::new(FILES_FILE), FILES_LIMIT) else {
        return Ok(HashMap::new());
    };
    let files: Files = match Kind::Files.parse(&bytes) {
        Ok(files) => files,
        Err(source @ record::FormatError::Version { .. }) => {
            return Err(PublishError::Newer { path: directory.join(FILES_FILE), source });
        }
        Err(_) => return Ok(HashMap::new()),
    };
    Ok(files.files.into_iter().map(|entry| (entry.name.clone(), entry)).collect())
}

/// The entry of a file that is not listed; `None` where it is not what its name says.
fn look_at(fd: &OwnedFd, file_name: &OsStr, name: &str) -> Option<FileEntry> {
    #[derive(Deserialize)]
    struct Head {
        metadata: record::Metadata,
    }
    if let Some(timestamp) = of_archive_name(name) {
        let (size, sha256) = digest(read::open_in(fd, file_name).ok()?).ok()?;
        let (name, kind) = (name.to_owned(), FileKind::Archive);
        return Some(FileEntry { name, kind, size, sha256, timestamp, report: None });
    }
    let bytes = read::file_in(fd, file_name, REPORT_LIMIT).ok()?;
    let Head { metadata } = Kind::Report.parse(&bytes).ok()?;
    let report: FileReport = report::file_report(&metadata);
    Some(FileEntry {
        name: name.to_owned(),
        kind: FileKind::Report,
        size: bytes.len() as u64,
        sha256: hex(&Sha256::digest(&bytes)),
        timestamp: metadata.timestamp,
        report: Some(report),
    })
}

fn digest(mut file: File) -> io::Result<(u64, String)> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    let mut size = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((size, hex(&digest.finalize()))),
            length => {
                digest.update(&buffer[..length]);
                size += length as u64;
            }
        }
    }
}

/// Newest first; of one second the later variant first; a month's archive after its reports.
pub(crate) fn sort(files: &mut [FileEntry]) {
    files.sort_by_cached_key(|entry| std::cmp::Reverse(order(entry)));
}

/// The order of listed files, the oldest first. Not that of their names, in which the second report
/// of a run would come before the first.
pub(crate) fn order(entry: &FileEntry) -> impl Ord + use<> {
    let variant = of_dated_name(&entry.name).map_or(0, |(_, variant)| variant);
    (entry.timestamp, variant, entry.name.clone())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_program_left_is_swept_up_once_it_is_old() {
        let dir = tempfile::tempdir().unwrap();
        for name in [".unfinished-x", "latest.json", ".other"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let count = || std::fs::read_dir(dir.path()).unwrap().count();
        let output = Output::open(dir.path()).unwrap();
        output.sweep(DateTime::UNIX_EPOCH);
        assert_eq!(count(), 3);
        output.sweep(DateTime::<Utc>::MAX_UTC);
        assert_eq!(count(), 2);
        assert!(!dir.path().join(".unfinished-x").exists());
    }

    #[test]
    fn one_publisher_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = Output::open(dir.path()).unwrap();
        assert!(matches!(Output::open(dir.path()), Err(PublishError::Busy { .. })));
        drop(first);
        Output::open(dir.path()).unwrap();
    }
}
