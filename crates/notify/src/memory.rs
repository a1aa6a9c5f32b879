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
use hpke::rand_core::CryptoRng;
use record::Format;
use serde::{Deserialize, Serialize};
use shelf::notices::{MEMORY_FILE as FILE, SEALED_FILE, SEALED_LIMIT};
use shelf::{atomic, lock, read};

use crate::backup::{self, BackupError, BackupOf};
use crate::incident::{Change, Watch};
use crate::keys::NotifyKeys;
use crate::parcel::{Content, Parcel};
use crate::subscription::{Applied, Subscribers};

/// Most bytes of it that are read.
const LIMIT: u64 = 64 << 20;

/// Name and version of its format.
const FORMAT: (&str, u32) = ("exit-validator/notices", 2);

/// Everything that notices go on from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    format: Format,
    /// What it goes by in its backups: none of another memory replaces them. Empty before the first.
    #[serde(default)]
    id: String,
    /// How many backups were made of it.
    #[serde(default)]
    generation: u64,
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
    /// Operators who asked for mail about their relays.
    #[serde(default)]
    pub subscribers: Subscribers,
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
    /// There is nothing but a backup of it, which cannot be used.
    #[error(
        "cannot use the backup {path:?}: {reason}. Set NOTIFY_KEY as it was when the backup was made; without \
         the backup, what is failing now counts as told and no subscriber is known: move it away to begin anew"
    )]
    Backup {
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
            id: String::new(),
            generation: 0,
            watch: Watch::default(),
            zone: None,
            outbox: Vec::new(),
            digest: DigestState::default(),
            ledger: BTreeMap::new(),
            subscribers: Subscribers::default(),
        }
    }

    /// A token came back, by the function or by hand.
    pub fn apply(&mut self, keys: &NotifyKeys, token: &str, now: DateTime<Utc>) -> Applied {
        let Some((act, id)) = keys.read_token(token) else { return Applied::Nothing };
        let applied = self.subscribers.apply(act, &id, now);
        if let Applied::Unsubscribed(address) = &applied {
            self.forget(address);
        }
        applied
    }

    /// Sends an address nothing any more, also nothing that waits; whether it would have got anything.
    pub fn forget(&mut self, address: &str) -> bool {
        let known = self.subscribers.remove(address);
        self.outbox.retain(
            |parcel| !matches!(&parcel.content, Content::Letter { address: to, .. } if to == address),
        );
        known
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
        let memory: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        // What is written again is of this version.
        Ok(Self { format: Format { version, ..format }, ..memory })
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
    keys: Option<NotifyKeys>,
}

impl Keeper {
    /// Opens the directory; makes it where it is missing. With `keys`, the memory has backups.
    ///
    /// # Errors
    ///
    /// [`MemoryError::Directory`], [`MemoryError::Open`] and [`MemoryError::Busy`].
    pub fn open(path: &Path, keys: Option<NotifyKeys>) -> Result<Self, MemoryError> {
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
        Ok(Self { directory, path: path.to_owned(), keys })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The keys.
    #[must_use]
    pub const fn keys(&self) -> Option<&NotifyKeys> {
        self.keys.as_ref()
    }

    fn file(&self) -> PathBuf {
        self.path.join(FILE)
    }

    /// What is remembered; `None` where nothing is yet. Where there is only a backup, that: what waited
    /// to be sent when it was made may have been sent since.
    ///
    /// # Errors
    ///
    /// [`MemoryError::Unusable`] and [`MemoryError::Backup`].
    pub fn load(&self) -> Result<Option<Memory>, MemoryError> {
        let unusable = |reason| MemoryError::Unusable { path: self.file(), reason };
        match read::file_in(&self.directory, OsStr::new(FILE), LIMIT) {
            Ok(bytes) => Memory::parse(&bytes).map(Some).map_err(unusable),
            Err(error) if error.is_not_found() => self.load_backup(),
            Err(error) => Err(unusable(error.to_string())),
        }
    }

    fn load_backup(&self) -> Result<Option<Memory>, MemoryError> {
        let path = self.path.join(SEALED_FILE);
        let failed = |reason| MemoryError::Backup { path: path.clone(), reason };
        let bytes = match read::file_in(&self.directory, OsStr::new(SEALED_FILE), SEALED_LIMIT) {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(failed(error.to_string())),
        };
        let keys = self
            .keys
            .as_ref()
            .ok_or_else(|| failed("there is no NOTIFY_KEY to open it".to_owned()))?;
        let text = backup::open(keys, &bytes).map_err(|error| failed(error.to_string()))?;
        let mut memory = Memory::parse(&text).map_err(failed)?;
        for parcel in &mut memory.outbox {
            parcel.begun = true;
        }
        Ok(Some(memory))
    }

    /// Seals a backup beside the memory, for a store to keep; without keys there is none.
    ///
    /// # Errors
    ///
    /// [`MemoryError::Write`].
    pub fn seal(
        &self,
        memory: &mut Memory,
        now: DateTime<Utc>,
        random: &mut impl CryptoRng,
    ) -> Result<(), MemoryError> {
        let Some(keys) = &self.keys else { return Ok(()) };
        let path = self.path.join(SEALED_FILE);
        let failed = |reason| MemoryError::Write { path: path.clone(), reason };
        if memory.id.is_empty() {
            memory.id = format!("{:016x}", random.next_u64());
        }
        memory.generation += 1;
        // A backup is never ahead of the memory: the number is remembered first.
        self.save(memory)?;
        let text = serde_json::to_vec(memory).map_err(|error| failed(error.into()))?;
        let of = BackupOf { memory: &memory.id, generation: memory.generation, saved: now };
        let sealed = backup::seal(keys, of, &text, random)
            .map_err(|error: BackupError| failed(io::Error::other(error)))?;
        atomic::replace_private(&path, &sealed).map_err(failed)
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
    use crate::keys::tests::keys;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    #[test]
    fn it_is_private_and_one_program_s_and_newer_or_damaged_ones_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let keeper = Keeper::open(&path, None).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        assert_eq!(keeper.load().unwrap(), None);
        keeper.save(&Memory::new()).unwrap();
        assert_eq!(mode(&path.join(FILE)), 0o600);
        assert_eq!(keeper.load().unwrap(), Some(Memory::new()));
        assert!(matches!(Keeper::open(&path, None), Err(MemoryError::Busy { .. })));
        for damaged in
            ["", "{}", "{\"format\":{\"name\":\"exit-validator/notices\",\"version\":3}}"]
        {
            std::fs::write(path.join(FILE), damaged).unwrap();
            assert!(matches!(keeper.load(), Err(MemoryError::Unusable { .. })), "{damaged}");
        }
        drop(keeper);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o750)).unwrap();
        assert!(matches!(Keeper::open(&path, None), Err(MemoryError::Open { .. })));
    }

    #[test]
    fn a_host_that_is_made_again_goes_on_from_the_backup() {
        let dir = tempfile::tempdir().unwrap();
        let [old, new] = ["old", "new"].map(|name| dir.path().join(name));
        let (now, mut random) = (DateTime::<Utc>::default(), StdRng::seed_from_u64(1));
        let keeper = Keeper::open(&old, Some(keys())).unwrap();
        let mut memory = Memory::new();
        let content = Content::Webhook { body: String::new() };
        memory.outbox.push(Parcel::new("one".to_owned(), now, content));
        keeper.seal(&mut memory, now, &mut random).unwrap();
        let mode = old.join(SEALED_FILE).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let seal = std::fs::read(old.join(SEALED_FILE)).unwrap();
        std::fs::create_dir(&new).unwrap();
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o700)).unwrap();
        std::fs::write(new.join(SEALED_FILE), &seal).unwrap();
        // Without the key, with another one, or where it is cut: nothing is begun anew.
        let unusable = |keys, bytes: &[u8]| {
            std::fs::write(new.join(SEALED_FILE), bytes).unwrap();
            let loaded = Keeper::open(&new, keys).unwrap().load();
            assert!(matches!(&loaded, Err(MemoryError::Backup { .. })), "{loaded:?}");
            assert!(!new.join(FILE).exists());
        };
        let other = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQI=";
        unusable(None, &seal);
        unusable(Some(NotifyKeys::new(other).unwrap()), &seal);
        unusable(Some(keys()), &seal[..seal.len() / 2]);
        std::fs::write(new.join(SEALED_FILE), &seal).unwrap();
        let keeper = Keeper::open(&new, Some(keys())).unwrap();
        let mut again = keeper.load().unwrap().unwrap();
        // It may have been sent after the backup was made.
        assert!(again.outbox[0].begun);
        again.outbox[0].begun = false;
        assert_eq!(again, memory);
        keeper.seal(&mut again, now, &mut random).unwrap();
        assert_eq!((&again.id, again.generation), (&memory.id, 2));
        // What is here goes before a backup.
        std::fs::write(new.join(SEALED_FILE), "damaged").unwrap();
        assert_eq!(keeper.load().unwrap(), Some(again));
    }
}
