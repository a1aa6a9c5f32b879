//! What notices go on from: which incidents there are, what has been told, what waits to be sent, and who
//! was written to. Private, and in a directory of its own, which only its owner may read. The history of
//! verdicts knows nothing of it.
//!
//! It is written before anything is sent, and after each thing that was. So a program that is killed
//! forgets nothing. A webhook that was under way then is sent again under the same id, by which its
//! receiver knows it; a mail that was under way is not, as nobody could tell whether it arrived.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use record::Format;
use serde::{Deserialize, Serialize};
use shelf::{atomic, lock, read};

use crate::incident::{Change, Watch};
use crate::parcel::Parcel;

/// The file in the directory.
const FILE: &str = "notices.json";

/// Most bytes of it that are read.
const LIMIT: u64 = 64 << 20;

/// Name and version of its format.
const FORMAT: (&str, u32) = ("exit-validator/notices", 1);

/// Everything that notices go on from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    format: Format,
    /// The incidents.
    pub watch: Watch,
    /// The zone that names were asked for in, last.
    #[serde(default)]
    pub zone: Option<String>,
    /// What waits to be sent, oldest first.
    #[serde(default)]
    pub outbox: Vec<Parcel>,
    /// The digest for those who run the system.
    #[serde(default)]
    pub digest: DigestState,
    /// Who was written to, by the operator's key.
    #[serde(default)]
    pub ledger: BTreeMap<String, Vec<LedgerEntry>>,
}

/// The digest for those who run the system.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigestState {
    /// When the last one was made.
    pub last: Option<DateTime<Utc>>,
    /// What has happened since.
    pub changes: Vec<Change>,
}

/// What was done about an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub deed: Deed,
    /// More about it, as it was typed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What can be done about an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// Somebody wrote to the operator.
    Contacted,
    /// The operator answered.
    Answered,
    /// Only a note.
    Noted,
}

/// Why the memory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The directory cannot be made or opened.
    #[error("cannot use the directory of the notices {path:?}: {reason}; see NOTIFY_DIR")]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: io::Error,
    },
    /// Others than its owner may look into it.
    #[error(
        "the directory of the notices {path:?} is open to others: chmod 700 it, or see NOTIFY_DIR"
    )]
    Open {
        /// The directory.
        path: PathBuf,
    },
    /// Another program of ours uses it.
    #[error("another program sends notices from {path:?}; try again when it is done")]
    Busy {
        /// The directory.
        path: PathBuf,
    },
    /// The file is there and cannot be read.
    #[error(
        "cannot use {path:?}: {reason}. Put back a copy of it; without it, what is failing now counts as \
         told: move it away to begin anew"
    )]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// It cannot be written.
    #[error("cannot write {path:?}: {reason}; check disk space and rights. Nothing was sent")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: io::Error,
    },
}

impl Memory {
    /// One that knows nothing.
    #[must_use]
    pub fn new() -> Self {
        let (name, version) = FORMAT;
        Self {
            format: Format { name: name.to_owned(), version },
            watch: Watch::default(),
            zone: None,
            outbox: Vec::new(),
            digest: DigestState::default(),
            ledger: BTreeMap::new(),
        }
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Envelope {
            format: Format,
        }
        let Envelope { format } = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        let (name, version) = FORMAT;
        if format.name != name {
            return Err("it is not the memory of notices".to_owned());
        }
        if format.version > version {
            return Err(format!(
                "it is of version {}; this program knows {version}",
                format.version
            ));
        }
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

/// The memory's directory, which is this program's as long as this lives.
#[derive(Debug)]
pub struct Keeper {
    directory: OwnedFd,
    path: PathBuf,
}

impl Keeper {
    /// Opens the directory; makes it where it is missing.
    ///
    /// # Errors
    ///
    /// [`MemoryError::Directory`], [`MemoryError::Open`] and [`MemoryError::Busy`].
    pub fn open(path: &Path) -> Result<Self, MemoryError> {
        let failed = |reason| MemoryError::Directory { path: path.to_owned(), reason };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let directory = read::open_directory(path).map_err(failed)?;
        let mode = path.metadata().map_err(failed)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(MemoryError::Open { path: path.to_owned() });
        }
        if !lock::take(&directory).map_err(failed)? {
            return Err(MemoryError::Busy { path: path.to_owned() });
        }
        Ok(Self { directory, path: path.to_owned() })
    }

    fn file(&self) -> PathBuf {
        self.path.join(FILE)
    }

    /// What is remembered; `None` where nothing is yet.
    ///
    /// # Errors
    ///
    /// [`MemoryError::Unusable`].
    pub fn load(&self) -> Result<Option<Memory>, MemoryError> {
        let unusable = |reason| MemoryError::Unusable { path: self.file(), reason };
        match read::file_in(&self.directory, OsStr::new(FILE), LIMIT) {
            Ok(bytes) => Memory::parse(&bytes).map(Some).map_err(unusable),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(unusable(error.to_string())),
        }
    }

    /// Remembers. What was remembered before is there until this is.
    ///
    /// # Errors
    ///
    /// [`MemoryError::Write`].
    pub fn save(&self, memory: &Memory) -> Result<(), MemoryError> {
        let failed = |reason| MemoryError::Write { path: self.file(), reason };
        let bytes = serde_json::to_vec(memory).map_err(|error| failed(error.into()))?;
        atomic::replace_private(&self.file(), &bytes).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_private_and_one_program_s_and_newer_or_damaged_ones_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let keeper = Keeper::open(&path).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        assert_eq!(keeper.load().unwrap(), None);
        keeper.save(&Memory::new()).unwrap();
        assert_eq!(mode(&path.join(FILE)), 0o600);
        assert_eq!(keeper.load().unwrap(), Some(Memory::new()));
        assert!(matches!(Keeper::open(&path), Err(MemoryError::Busy { .. })));
        for damaged in
            ["", "{}", "{\"format\":{\"name\":\"exit-validator/notices\",\"version\":2}}"]
        {
            std::fs::write(path.join(FILE), damaged).unwrap();
            assert!(matches!(keeper.load(), Err(MemoryError::Unusable { .. })), "{damaged}");
        }
        drop(keeper);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o750)).unwrap();
        assert!(matches!(Keeper::open(&path), Err(MemoryError::Open { .. })));
    }
}
