//! The output directory as it is at one moment. Reads; changes nothing, and follows no links.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use md5::{Digest as _, Md5};
use record::{Files, FormatError, Kind};
use rustix::fs::CWD;
use serde::Deserialize;
use shelf::output::{FILES_FILE, LATEST_FILE, REPORT_LIMIT};
use shelf::read;

use crate::digest::{Digest, Hasher};
use crate::keys;
use crate::plan::LocalFile;

/// How deep directories are looked into.
const DEPTH: usize = 8;

/// Most files that are looked at: ten years of hourly reports.
const MOST: usize = 100_000;

/// Why the output directory cannot be published.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// It cannot be listed.
    #[error("cannot list {path:?}: {source}; name the output directory with --dir")]
    List {
        /// The directory.
        path: PathBuf,
        /// The system's error.
        r#source: io::Error,
    },
    /// A file cannot be read.
    #[error("cannot read {path:?}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        r#source: io::Error,
    },
    /// The list of files is none.
    #[error("cannot use {path:?}: {source}; `aggregate files` writes it anew")]
    Files {
        /// The file.
        path: PathBuf,
        /// Why.
        r#source: FormatError,
    },
    /// There is more than anybody publishes.
    #[error("there are more than {MOST} files in {path:?}: is it the output directory?")]
    TooMany {
        /// The directory.
        path: PathBuf,
    },
    /// There is nothing to publish.
    #[error(
        "there is neither latest.json nor files.json in {path:?}: name the output directory with --dir, or run aggregate first"
    )]
    Empty {
        /// The directory.
        path: PathBuf,
    },
}

/// A file that was read whole.
#[derive(Debug, Clone)]
pub struct Whole {
    /// Its bytes.
    pub bytes: Bytes,
    /// Their digests.
    pub digest: Digest,
}

/// The output directory.
#[derive(Debug)]
pub struct Snapshot {
    /// Where it is.
    pub directory: PathBuf,
    /// What is published, by key.
    pub files: BTreeMap<String, LocalFile>,
    /// `latest.json`, and the time of its report.
    pub latest: Option<(Whole, Option<DateTime<Utc>>)>,
    /// `files.json`, and what it says.
    pub list: Option<(Whole, Files)>,
    /// What is not published, and why.
    pub skipped: Vec<(String, keys::Unpublished)>,
}

impl Snapshot {
    /// Takes it: `latest.json` first, then `files.json`, then the listing. `aggregate` writes in
    /// the opposite order, so whatever the first of them names is in the last, also while it runs.
    ///
    /// # Errors
    ///
    /// [`LocalError`].
    pub fn take(directory: &Path) -> Result<Self, LocalError> {
        let latest = pointer(directory, LATEST_FILE)?;
        let list = pointer(directory, FILES_FILE)?;
        let list = match list {
            Some(whole) => {
                let files = Kind::Files.parse(&whole.bytes).map_err(|source| {
                    LocalError::Files { path: directory.join(FILES_FILE), source }
                })?;
                Some((whole, files))
            }
            None => None,
        };
        let mut snapshot = Self {
            directory: directory.to_owned(),
            files: BTreeMap::new(),
            latest: latest.map(|whole| {
                let timestamp = timestamp(&whole.bytes);
                (whole, timestamp)
            }),
            list,
            skipped: Vec::new(),
        };
        snapshot.look_into(directory, "", 0)?;
        if snapshot.latest.is_none() && snapshot.list.is_none() {
            return Err(LocalError::Empty { path: directory.to_owned() });
        }
        // The pointers go as they were read, not as they are by now.
        let mut pointer = |name: &str, read: Option<u64>| match (snapshot.files.get_mut(name), read)
        {
            (Some(file), Some(size)) => file.size = size,
            (Some(_), None) => drop(snapshot.files.remove(name)),
            (None, _) => {}
        };
        pointer(LATEST_FILE, snapshot.latest.as_ref().map(|(whole, _)| whole.digest.size));
        pointer(FILES_FILE, snapshot.list.as_ref().map(|(whole, _)| whole.digest.size));
        Ok(snapshot)
    }

    fn look_into(
        &mut self,
        directory: &Path,
        prefix: &str,
        depth: usize,
    ) -> Result<(), LocalError> {
        let failed = |source| LocalError::List { path: directory.to_owned(), source };
        for entry in std::fs::read_dir(directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            // Of the entry itself: a link is neither a file nor a directory.
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                // aggregate's unfinished files come and go.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(error)),
            };
            let name = entry.file_name();
            let key = format!("{prefix}{}", name.to_string_lossy());
            if metadata.is_dir() {
                let hidden = name.as_encoded_bytes().starts_with(b".");
                if depth < DEPTH && !hidden {
                    self.look_into(&entry.path(), &format!("{key}/"), depth + 1)?;
                }
                continue;
            }
            if !metadata.is_file() {
                continue;
            }
            match keys::publishable(&key) {
                Ok(()) => {
                    let modified = metadata.modified().map_err(failed)?.into();
                    self.files.insert(key, LocalFile { size: metadata.len(), modified });
                }
                Err(why) => self.skipped.push((key, why)),
            }
            if self.files.len() + self.skipped.len() > MOST {
                return Err(LocalError::TooMany { path: self.directory.clone() });
            }
        }
        Ok(())
    }

    /// Where the file with this key is.
    #[must_use]
    pub fn path(&self, key: &str) -> PathBuf {
        self.directory.join(key)
    }
}

/// The time of a report, where it has one.
#[must_use]
pub fn timestamp(report: &[u8]) -> Option<DateTime<Utc>> {
    #[derive(Deserialize)]
    struct TimedReport {
        metadata: TimedMetadata,
    }
    #[derive(Deserialize)]
    struct TimedMetadata {
        timestamp: DateTime<Utc>,
    }
    serde_json::from_slice::<TimedReport>(report).ok().map(|report| report.metadata.timestamp)
}

fn pointer(directory: &Path, name: &str) -> Result<Option<Whole>, LocalError> {
    let path = directory.join(name);
    match whole(&path, REPORT_LIMIT) {
        Ok(whole) => Ok(Some(whole)),
        Err(LocalError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Opens a regular file, never through a link.
///
/// # Errors
///
/// [`LocalError::Read`].
pub fn open(path: &Path) -> Result<(File, u64), LocalError> {
    let failed = |source| LocalError::Read { path: path.to_owned(), source };
    let file = read::open(path).map_err(|error| failed(error.into()))?;
    let size = file.metadata().map_err(failed)?.len();
    Ok((file, size))
}

/// A file of at most `limit` bytes, whole.
///
/// # Errors
///
/// [`LocalError::Read`].
pub fn whole(path: &Path, limit: u64) -> Result<Whole, LocalError> {
    let failed = |source| LocalError::Read { path: path.to_owned(), source };
    let bytes =
        read::file_in(CWD, path.as_os_str(), limit).map_err(|error| failed(error.into()))?;
    let digest = Digest::of(&bytes);
    Ok(Whole { bytes: bytes.into(), digest })
}

/// The SHA-256 of a file of any size; `None` where there is none.
///
/// # Errors
///
/// [`LocalError::Read`].
pub fn whole_digest(path: &Path) -> Result<Option<String>, LocalError> {
    match digest(path, u64::MAX) {
        Ok((digest, _)) => Ok(Some(digest.sha256)),
        Err(LocalError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The digests of a file of any size, and the MD5 of each of its parts of `part` bytes; no parts where it
/// has only one.
///
/// # Errors
///
/// [`LocalError::Read`].
pub fn digest(path: &Path, part: u64) -> Result<(Digest, Vec<[u8; 16]>), LocalError> {
    let failed = |source| LocalError::Read { path: path.to_owned(), source };
    let (mut file, size) = open(path)?;
    let mut all = Hasher::default();
    let mut parts = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    let small = size <= part;
    let mut this = Md5::new();
    let mut left = part;
    loop {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let length = file.read(&mut buffer[..most]).map_err(failed)?;
        if length == 0 {
            break;
        }
        all.update(&buffer[..length]);
        if !small {
            this.update(&buffer[..length]);
        }
        left -= length as u64;
        if left == 0 {
            parts.push(this.finalize_reset().into());
            left = part;
        }
    }
    if left < part {
        parts.push(this.finalize().into());
    }
    if small {
        parts.clear();
    }
    Ok((all.finish(), parts))
}

/// A piece of a file.
///
/// # Errors
///
/// [`LocalError::Read`], also where the file is shorter.
pub fn piece(path: &Path, file: &File, offset: u64, length: usize) -> Result<Bytes, LocalError> {
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, offset)
        .map_err(|source| LocalError::Read { path: path.to_owned(), source })?;
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_snapshot_has_what_is_published_and_names_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        write("latest.json", r#"{"metadata":{"timestamp":"2026-11-23T03:15:30Z"}}"#);
        write("dns_health_2026-11-23_03-15-30.json", "{}");
        write(".unfinished-x", "");
        write("a b", "");
        fs::create_dir(dir.path().join("assets")).unwrap();
        write("assets/app.js", "1");
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("passwd")).unwrap();
        let snapshot = Snapshot::take(dir.path()).unwrap();
        let keys: Vec<&str> = snapshot.files.keys().map(String::as_str).collect();
        assert_eq!(keys, ["assets/app.js", "dns_health_2026-11-23_03-15-30.json", "latest.json"]);
        assert_eq!(snapshot.skipped.len(), 2);
        let (_, timestamp) = snapshot.latest.unwrap();
        assert_eq!(timestamp, Some("2026-11-23T03:15:30Z".parse().unwrap()));
    }

    #[test]
    fn the_wrong_directory_is_no_output_directory() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(Snapshot::take(dir.path()), Err(LocalError::Empty { .. })));
        let none = dir.path().join("none");
        assert!(matches!(Snapshot::take(&none), Err(LocalError::List { .. })));
        fs::write(dir.path().join("files.json"), "{").unwrap();
        assert!(matches!(Snapshot::take(dir.path()), Err(LocalError::Files { .. })));
    }

    #[test]
    fn parts_have_digests_of_their_own() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let bytes: Vec<u8> = (0..200_000u32).map(|n| n.to_le_bytes()[0]).collect();
        fs::write(&path, &bytes).unwrap();
        let (digest, parts) = digest(&path, 90_000).unwrap();
        assert_eq!(digest, Digest::of(&bytes));
        let wanted: Vec<_> = bytes.chunks(90_000).map(|part| Digest::of(part).md5).collect();
        assert_eq!(parts, wanted);
    }
}
