//! What of the notices goes between this host and its stores: the sealed backup of their memory, and what
//! subscribers asked for through the function. Nothing of it can be read here, and nothing of it is for
//! the public: it has no ACL, and no list names it.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use chrono::{DateTime, TimeDelta};
use record::{FormatError, Kind, SealedNotices};
use shelf::notices::{
    MEMORY_FILE, REQUEST_LIMIT, REQUESTS_DIRECTORY, REQUESTS_LIMIT, REQUESTS_PREFIX, SEALED_FILE,
    SEALED_KEY, SEALED_LIMIT, applied_name, applied_request, is_request,
};
use shelf::{atomic, lock, read};

use crate::err::{Cause, StoreError};
use crate::local::{self, Whole};
use crate::store::{Attributes, Condition, PART, Store};

/// For a program with a key, not for the public.
const PRIVATE: Attributes = Attributes { timestamp: None, private: true };

/// How long the mark of a request is kept that was applied, where no store has the request.
const MARKED_FOR: TimeDelta = TimeDelta::days(30);

/// What became of the backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupMove {
    /// There is none to move.
    None,
    /// It is there already, or what is there is newer.
    Kept,
    /// It was written, or would be: so many bytes.
    Written(u64),
}

/// What was exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchanged {
    /// The backup.
    pub backup: BackupMove,
    /// How many requests were fetched, or would be.
    pub fetched: usize,
    /// How many that were applied were removed from the store, or would be.
    pub removed: usize,
}

/// How it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupOptions {
    /// Say what would be done, and do nothing.
    pub dry_run: bool,
    /// Replace also a backup that is newer, or of another memory.
    pub allow_older: bool,
}

/// Brings the backup to a store, where there is one here.
///
/// # Errors
///
/// [`StoreError`]; [`Cause::OtherNotices`] where the store's is newer, or of another memory: neither is
/// replaced.
pub async fn push(
    store: &Store,
    directory: &Path,
    options: BackupOptions,
) -> Result<BackupMove, StoreError> {
    let path = directory.join(SEALED_FILE);
    if !path.exists() {
        return Ok(BackupMove::None);
    }
    let whole = local::whole(&path, SEALED_LIMIT).map_err(|error| of_local(&error))?;
    let ours: SealedNotices =
        Kind::SealedNotices.parse(&whole.bytes).map_err(|error| of_local(&error))?;
    let head = store.head(SEALED_KEY).await?;
    if let Some(head) = &head {
        if store.is_same(SEALED_KEY, head, &whole.digest).await? {
            return Ok(BackupMove::Kept);
        }
        match store.get(SEALED_KEY, SEALED_LIMIT).await {
            Ok(Some((there, _))) => may_replace(store, &ours, &there, options.allow_older)?,
            Ok(None) => {}
            Err(error) if error.cause == Cause::Unverified => is_damaged(store, &error),
            Err(error) => return Err(error),
        }
    }
    if !options.dry_run {
        let condition = match &head {
            None => Condition::Absent,
            Some(head) => head.etag.as_deref().map_or(Condition::Always, Condition::Unchanged),
        };
        if whole.digest.size <= PART {
            store.write(SEALED_KEY, &whole, condition, PRIVATE).await?;
        } else {
            let digests = local::digest(&path, PART).map_err(|error| of_local(&error))?;
            store.write_file(SEALED_KEY, &path, &digests, condition, PRIVATE, &|_| {}).await?;
        }
    }
    Ok(BackupMove::Written(whole.digest.size))
}

/// Whether ours may take the place of what is in the store. One that is damaged is of no use to anybody.
fn may_replace(
    store: &Store,
    ours: &SealedNotices,
    there: &Whole,
    allow_older: bool,
) -> Result<(), StoreError> {
    let doing = || format!("replace {SEALED_KEY}");
    let theirs: SealedNotices = match Kind::SealedNotices.parse(&there.bytes) {
        Ok(theirs) => theirs,
        Err(error @ FormatError::Version { .. }) => {
            return Err(StoreError::new(doing(), Cause::Newer, error.to_string()));
        }
        Err(error) => {
            is_damaged(store, &error);
            return Ok(());
        }
    };
    let which = if theirs.memory != ours.memory {
        "of another memory"
    } else if theirs.generation >= ours.generation {
        "a later one"
    } else {
        return Ok(());
    };
    if allow_older {
        return Ok(());
    }
    let saved = theirs.saved.format("%Y-%m-%d %H:%M UTC");
    Err(StoreError::new(doing(), Cause::OtherNotices, format!("{which}, of {saved}")))
}

fn is_damaged(store: &Store, error: &dyn std::error::Error) {
    let name = &store.target().name;
    tracing::warn!("{name}: {SEALED_KEY} in the store is damaged: {error}; it will be replaced");
}

/// Brings the backup back, where neither the memory nor a newer backup of it is here.
///
/// # Errors
///
/// [`StoreError`]. What is here is then as it was.
pub async fn restore(
    store: &Store,
    directory: &Path,
    dry_run: bool,
) -> Result<BackupMove, StoreError> {
    if directory.join(MEMORY_FILE).exists() {
        return Ok(BackupMove::Kept);
    }
    let Some((there, _)) = store.get(SEALED_KEY, SEALED_LIMIT).await? else {
        return Ok(BackupMove::None);
    };
    let doing = || format!("restore {SEALED_KEY}");
    let theirs: SealedNotices = Kind::SealedNotices.parse(&there.bytes).map_err(|error| {
        let cause = match error {
            FormatError::Version { .. } => Cause::Newer,
            _ => Cause::Unverified,
        };
        StoreError::new(doing(), cause, error.to_string())
    })?;
    let path = directory.join(SEALED_FILE);
    if path.exists() {
        // Another store gave it.
        let ours = local::whole(&path, SEALED_LIMIT).map_err(|error| of_local(&error))?;
        let ours: SealedNotices =
            Kind::SealedNotices.parse(&ours.bytes).map_err(|error| of_local(&error))?;
        if ours.memory != theirs.memory {
            let detail = "a backup of another memory is here; nothing was replaced";
            return Err(StoreError::new(doing(), Cause::Conflict, detail));
        }
        if theirs.generation <= ours.generation {
            return Ok(BackupMove::Kept);
        }
    }
    if !dry_run {
        let _lock = take(directory).map_err(|error| of_local(&error))?;
        atomic::replace_private(&path, &there.bytes).map_err(|error| of_local(&error))?;
    }
    Ok(BackupMove::Written(there.digest.size))
}

/// The notices' directory, which is ours as long as this lives; made where it is missing.
fn take(directory: &Path) -> io::Result<OwnedFd> {
    private_directory(directory)?;
    let opened = read::open_directory(directory)?;
    if lock::take(&opened)? {
        return Ok(opened);
    }
    Err(io::Error::other(format!("another program sends notices from {directory:?}")))
}

fn private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Brings the backup to a store, removes there the requests that it knows of, and fetches those that are
/// new: one that was lost with this host before a store had the backup is there still.
///
/// # Errors
///
/// [`StoreError`]. What was fetched until then stays.
pub async fn exchange(
    store: &Store,
    directory: &Path,
    options: BackupOptions,
) -> Result<Exchanged, StoreError> {
    // Where there is none, somebody who wants no more mail is heard all the same.
    let backup = push(store, directory, options).await;
    let mut exchanged = Exchanged { backup: BackupMove::None, fetched: 0, removed: 0 };
    let requests = directory.join(REQUESTS_DIRECTORY);
    let here = names_in(&requests).map_err(|error| of_local(&error))?;
    let listing = store.list(REQUESTS_PREFIX).await?;
    let applied = here.iter().filter_map(|name| applied_request(name));
    for name in applied.filter(|_| backup.is_ok()) {
        let mark = requests.join(applied_name(name));
        let key = format!("{REQUESTS_PREFIX}{name}");
        if options.dry_run {
            exchanged.removed += usize::from(listing.contains_key(&key));
            continue;
        }
        if listing.contains_key(&key) {
            if let Err(error) = store.delete(&key).await {
                // It was applied, and is not fetched again.
                tracing::warn!("{}: {error}", store.target().name);
                continue;
            }
            exchanged.removed += 1;
        } else if !is_old(store, &mark) {
            continue;
        }
        fs::remove_file(&mark).map_err(|error| of_local(&error))?;
    }
    for (key, listed) in listing {
        let name = key.strip_prefix(REQUESTS_PREFIX).unwrap_or_default();
        let known = [name.to_owned(), applied_name(name)].iter().any(|name| here.contains(name));
        if !is_request(name) || known || listed.size > REQUEST_LIMIT {
            continue;
        }
        if exchanged.fetched == REQUESTS_LIMIT {
            break;
        }
        if !options.dry_run {
            let Some((whole, _)) = store.get(&key, REQUEST_LIMIT).await? else { continue };
            private_directory(&requests)
                .and_then(|()| atomic::replace_private(&requests.join(name), &whole.bytes))
                .map_err(|error| of_local(&error))?;
        }
        exchanged.fetched += 1;
    }
    Ok(Exchanged { backup: backup?, ..exchanged })
}

/// Whether the mark of a request that no store lists is of no more use.
fn is_old(store: &Store, mark: &Path) -> bool {
    let modified = fs::metadata(mark).and_then(|mark| mark.modified());
    modified.is_ok_and(|time| store.now() - DateTime::from(time) > MARKED_FOR)
}

fn names_in(directory: &Path) -> io::Result<Vec<String>> {
    match read::directory_in(rustix::fs::CWD, OsStr::new(directory.as_os_str())) {
        Ok(opened) => read::names_in(opened),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn of_local(error: &dyn std::error::Error) -> StoreError {
    StoreError::new("carry what is the notices'", Cause::Local, error.to_string())
}
