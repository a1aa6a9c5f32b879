//! `upload restore`: what was published comes back from a store to a host that has lost it, or to
//! another: reports and archives that are not here, and then the pointers. Nothing that is here is
//! replaced, but a `latest.json` that is older. What the store says is a stranger's word: names and
//! digests are checked before anything gets its name.

use std::fs::Permissions;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use futures_util::{StreamExt as _, stream};
use record::{FileEntry, Files, FormatError, Kind};
use shelf::output::{
    ARCHIVE_LIMIT, FILES_FILE, FILES_LIMIT, LATEST_FILE, REPORT_LIMIT, TRENDS_FILE,
};

use crate::err::{Cause, StoreError};
use crate::keys;
use crate::local;
use crate::store::{self, Store};

/// How it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestoreOptions {
    /// Say what would be fetched, and write nothing.
    pub dry_run: bool,
    /// Files under way at once.
    pub parallel: usize,
}

/// What became of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restored {
    /// What was fetched, or would be: name and size.
    pub fetched: Vec<(String, u64)>,
    /// How many reports and archives were here already.
    pub kept: usize,
}

/// Fetches what a store's list names, and then its pointers.
///
/// # Errors
///
/// [`StoreError`]. What was fetched until then stays, and is whole; [`Cause::Conflict`] where other
/// bytes are here under a name that never changes: those stay, and the others are fetched.
pub async fn run(
    store: &Store,
    directory: &Path,
    options: RestoreOptions,
) -> Result<Restored, StoreError> {
    let _lock = if options.dry_run { None } else { Some(lock(directory)?) };
    let Some((list, _)) = store.get(FILES_FILE, FILES_LIMIT).await? else {
        let detail = "the store has no files.json: it is empty, or another bucket";
        return Err(StoreError::new("restore from the store", Cause::Incomplete, detail));
    };
    let files: Files = Kind::Files.parse(&list.bytes).map_err(|error| {
        let cause = match error {
            FormatError::Version { .. } => Cause::Newer,
            _ => Cause::Incomplete,
        };
        StoreError::new("use files.json", cause, error.to_string())
    })?;
    let mut restored = Restored::default();
    let mut wanted = Vec::new();
    for entry in &files.files {
        check(entry)?;
        match local::whole_digest(&directory.join(&entry.name)) {
            Ok(None) => wanted.push(entry),
            Ok(Some(digest)) if digest == entry.sha256 => restored.kept += 1,
            Ok(Some(_)) => return Err(conflict(&entry.name)),
            Err(error) => return Err(of_local(&entry.name, &error)),
        }
    }
    let mut first = None;
    let mut work = stream::iter(wanted.into_iter().map(|entry| async move {
        if options.dry_run {
            return (entry, Ok(()));
        }
        (entry, Box::pin(fetch(store, directory, entry)).await)
    }))
    .buffer_unordered(options.parallel);
    while let Some((entry, done)) = work.next().await {
        match done {
            Ok(()) => restored.fetched.push((entry.name.clone(), entry.size)),
            Err(error) if is_of_one(error.cause) => {
                tracing::error!("{}: {error}", store.target().name);
                first = first.or(Some(error));
            }
            Err(error) => return Err(error),
        }
    }
    if let Some(error) = first {
        return Err(error);
    }
    pointers(store, directory, &list.bytes, options, &mut restored).await?;
    Ok(restored)
}

const fn is_of_one(cause: Cause) -> bool {
    store::is_of_one_object(cause) || matches!(cause, Cause::Unverified | Cause::NotFound)
}

/// What names the others comes when they are there: the list where there is none (else `aggregate`
/// makes it of what is there), the trends until the next report, and the latest report where there
/// is none or an older one.
async fn pointers(
    store: &Store,
    directory: &Path,
    list: &[u8],
    options: RestoreOptions,
    restored: &mut Restored,
) -> Result<(), StoreError> {
    let mut put = |name: &str, bytes: &[u8]| -> Result<(), StoreError> {
        if !options.dry_run {
            shelf::atomic::replace(&directory.join(name), bytes)
                .map_err(|error| of_local(name, &error))?;
        }
        restored.fetched.push((name.to_owned(), bytes.len() as u64));
        Ok(())
    };
    let is_missing = |name: &str| !directory.join(name).exists();
    if is_missing(TRENDS_FILE)
        && let Some((trends, _)) = store.get(TRENDS_FILE, FILES_LIMIT).await?
    {
        put(TRENDS_FILE, &trends.bytes)?;
    }
    if is_missing(FILES_FILE) {
        put(FILES_FILE, list)?;
    }
    if let Some((latest, _)) = store.get(LATEST_FILE, REPORT_LIMIT).await? {
        let theirs = local::timestamp(&latest.bytes);
        let ours = local::whole(&directory.join(LATEST_FILE), REPORT_LIMIT)
            .ok()
            .and_then(|whole| local::timestamp(&whole.bytes));
        if theirs.is_some() && ours < theirs {
            put(LATEST_FILE, &latest.bytes)?;
        }
    }
    Ok(())
}

/// Whether a name can be that of a report or an archive: it becomes a file's.
fn check(entry: &FileEntry) -> Result<(), StoreError> {
    let name = entry.name.as_str();
    let sound =
        shelf::output::is_immutable(name) && keys::publishable(name).is_ok() && !name.contains('/');
    if sound {
        return Ok(());
    }
    let detail =
        format!("it names {:?}, which is no report and no archive", record::printable(name));
    Err(StoreError::new("use files.json", Cause::Incomplete, detail))
}

async fn fetch(store: &Store, directory: &Path, entry: &FileEntry) -> Result<(), StoreError> {
    let name = entry.name.as_str();
    let failed = |error: io::Error| of_local(name, &error);
    let file = tempfile::Builder::new()
        .prefix(shelf::atomic::TEMPORARY_PREFIX)
        .tempfile_in(directory)
        .map_err(failed)?;
    let limit = if name.ends_with(".json") { REPORT_LIMIT } else { ARCHIVE_LIMIT };
    let digest = store.get_file(name, limit, file.as_file()).await?;
    if digest.sha256 != entry.sha256 {
        let detail = "it has not the digest that the store's files.json names";
        return Err(StoreError::new(format!("restore {name}"), Cause::Unverified, detail));
    }
    // As `aggregate` writes them: a web server under another user reads them.
    file.as_file().set_permissions(Permissions::from_mode(0o644)).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    match file.persist_noclobber(directory.join(name)) {
        Ok(_) => {}
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(conflict(name));
        }
        Err(error) => return Err(failed(error.error)),
    }
    std::fs::File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)
}

fn conflict(name: &str) -> StoreError {
    let detail = "another is here; nothing was replaced";
    StoreError::new(format!("restore {name}"), Cause::Conflict, detail)
}

fn of_local(name: &str, error: &dyn std::error::Error) -> StoreError {
    StoreError::new(format!("restore {name}"), Cause::Local, error.to_string())
}

/// The output directory's lock, which `aggregate` takes as well.
fn lock(directory: &Path) -> Result<OwnedFd, StoreError> {
    let failed = |error: io::Error| {
        StoreError::new(format!("open {directory:?}"), Cause::Local, error.to_string())
    };
    std::fs::create_dir_all(directory).map_err(failed)?;
    shelf::output::lock(directory).map_err(failed)?.ok_or_else(|| {
        let detail = "aggregate is publishing there; try again when it is done";
        StoreError::new(format!("restore into {directory:?}"), Cause::Local, detail)
    })
}
