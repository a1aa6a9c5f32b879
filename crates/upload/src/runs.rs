//! Runs between hosts: `upload push-run` puts a finished scan's directory into a store, and
//! `upload pull` fetches what other hosts have put there, so that one host can aggregate all of it.
//!
//! A run is two objects, `runs/<run id>/results.tar.gz` and then `runs/<run id>/run.json`: one
//! without the second is not finished, and is not fetched.

pub mod pack;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use record::{Kind, Run};
use shelf::run::{PLAN_LIMIT, RUN_FILE};

use crate::err::{Cause, StoreError};
use crate::keys::RUNS_PREFIX;
use crate::local::{self, Whole};
use crate::plan::{self, Listed, Sameness};
use crate::store::{Attributes, Condition, PART, Store};

/// The object that says that a run is there, whole.
pub const RUN_OBJECT: &str = "run.json";

/// The object with a run's other files.
pub const RESULTS_OBJECT: &str = "results.tar.gz";

/// The largest packed run: 1 GiB. The whole network's has some 2 MB.
const RESULTS_LIMIT: u64 = 1 << 30;

/// Objects of runs are for programs with a key, not for the public.
const PRIVATE: Attributes = Attributes { timestamp: None, private: true };

/// The run's id and the object's name of a key; `None` of another.
#[must_use]
pub fn of_key(key: &str) -> Option<(&str, &str)> {
    let (id, object) = key.strip_prefix(RUNS_PREFIX)?.split_once('/')?;
    (started(id).is_some() && [RUN_OBJECT, RESULTS_OBJECT].contains(&object))
        .then_some((id, object))
}

/// When the run with this id started; `None` of what is no id: `YYYYMMDDTHHMMSSZ-` and 8
/// hexadecimal digits. It becomes the name of a directory, so nothing else is one.
#[must_use]
pub fn started(id: &str) -> Option<DateTime<Utc>> {
    let (time, random) = id.split_once('-')?;
    let digits = |c: u8| matches!(c, b'0'..=b'9' | b'a'..=b'f');
    if time.len() != 16 || random.len() != 8 || !random.bytes().all(digits) {
        return None;
    }
    let time = NaiveDateTime::parse_from_str(time, "%Y%m%dT%H%M%SZ").ok()?;
    Some(time.and_utc())
}

/// The runs of a listing that are whole, are not here, and started at `since` or later.
#[must_use]
pub fn wanted(
    listing: &BTreeMap<String, Listed>,
    here: &BTreeSet<String>,
    since: DateTime<Utc>,
) -> Vec<String> {
    let ids: BTreeSet<&str> =
        listing.keys().filter_map(|key| of_key(key)).map(|(id, _)| id).collect();
    ids.into_iter()
        .filter(|id| started(id).is_some_and(|time| time >= since) && !here.contains(*id))
        .filter(|id| {
            [RUN_OBJECT, RESULTS_OBJECT]
                .iter()
                .all(|object| listing.contains_key(&format!("{RUNS_PREFIX}{id}/{object}")))
        })
        .map(str::to_owned)
        .collect()
}

/// A run that is ready to be pushed: packed once, for every store.
#[derive(Debug)]
pub struct Packed {
    /// The run's id.
    pub id: String,
    /// Its `run.json`.
    run: Whole,
    /// Everything else.
    results: tempfile::NamedTempFile,
}

/// Why a directory cannot be pushed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// There is no usable `run.json`.
    #[error("cannot use {path:?}: {reason}; a run that is finished has one")]
    Run {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The run is not complete.
    #[error("the run in {directory:?} is not complete; finish it with scanner --resume first")]
    Incomplete {
        /// The directory.
        directory: PathBuf,
    },
    /// Something cannot be read or written.
    #[error("cannot pack {directory:?}: {source}")]
    Io {
        /// The directory.
        directory: PathBuf,
        /// The system's error.
        r#source: io::Error,
    },
}

/// Packs a run's directory.
///
/// # Errors
///
/// [`PackError`].
pub fn pack(directory: &Path) -> Result<Packed, PackError> {
    let path = directory.join(RUN_FILE);
    let unusable = |reason: String| PackError::Run { path: path.clone(), reason };
    let run = local::whole(&path, PLAN_LIMIT).map_err(|error| unusable(error.to_string()))?;
    let read: Run = Kind::Run.parse(&run.bytes).map_err(|error| unusable(error.to_string()))?;
    if started(&read.run_id).is_none() {
        return Err(unusable(format!("{:?} is no run id", record::printable(&read.run_id))));
    }
    if !read.complete {
        return Err(PackError::Incomplete { directory: directory.to_owned() });
    }
    let packed = || {
        let mut results = tempfile::NamedTempFile::new()?;
        pack::pack(directory, results.as_file_mut())?;
        Ok(results)
    };
    let failed = |source| PackError::Io { directory: directory.to_owned(), source };
    Ok(Packed { id: read.run_id, run, results: packed().map_err(failed)? })
}

/// Puts a run into a store. Says whether anything was written: a run that is there is left alone.
///
/// # Errors
///
/// [`StoreError`]; [`Cause::Conflict`] where the store has another run under this id.
pub async fn push(store: &Store, packed: &Packed, dry_run: bool) -> Result<bool, StoreError> {
    let key = |object| format!("{RUNS_PREFIX}{}/{object}", packed.id);
    let (run, results) = (key(RUN_OBJECT), key(RESULTS_OBJECT));
    let conflict =
        || StoreError::new(format!("write {run}"), Cause::Conflict, "another run has this id");
    if let Some(head) = store.head(&run).await? {
        return match plan::compare(&head, &packed.run.digest) {
            Sameness::Same => Ok(false),
            Sameness::Unknown if store.digest(&run).await? == packed.run.digest => Ok(false),
            Sameness::Unknown | Sameness::Different => Err(conflict()),
        };
    }
    if dry_run {
        return Ok(true);
    }
    // Nobody reads the results before run.json is there: what a killed push left is replaced.
    let path = packed.results.path();
    let of_local = |error: local::LocalError| {
        StoreError::new(format!("write {results}"), Cause::Local, error.to_string())
    };
    let (_, size) = local::open(path).map_err(of_local)?;
    if size <= PART {
        let whole = local::whole(path, PART).map_err(of_local)?;
        store.write(&results, &whole, Condition::Always, PRIVATE).await?;
    } else {
        let digests = local::digest(path, PART).map_err(of_local)?;
        let always = Condition::Always;
        store.write_file(&results, path, &digests, always, PRIVATE, &|_| {}).await?;
    }
    match store.write(&run, &packed.run, Condition::Absent, PRIVATE).await {
        Ok(()) => Ok(true),
        Err(error) if error.cause == Cause::Changed => Err(conflict()),
        Err(error) => Err(error),
    }
}

/// The ids of the runs that lie in directories of `root`.
///
/// # Errors
///
/// Where `root` cannot be listed.
pub fn here(root: &Path) -> io::Result<BTreeSet<String>> {
    #[derive(serde::Deserialize)]
    struct Id {
        run_id: String,
    }
    let mut ids = BTreeSet::new();
    for entry in std::fs::read_dir(root)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            continue;
        }
        // Under its own name also where run.json is damaged: it is not to be fetched over it.
        ids.insert(entry.file_name().to_string_lossy().into_owned());
        // A scan that is under way has a plan.json only.
        for file in [RUN_FILE, shelf::run::PLAN_FILE] {
            let id = local::whole(&entry.path().join(file), PLAN_LIMIT)
                .ok()
                .and_then(|whole| serde_json::from_slice::<Id>(&whole.bytes).ok());
            if let Some(Id { run_id }) = id {
                ids.insert(run_id);
                break;
            }
        }
    }
    Ok(ids)
}

/// What `pull` fetched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pulled {
    /// The runs that are here now, or would be.
    pub runs: Vec<String>,
    /// Those that cannot be used, and why.
    pub refused: Vec<(String, String)>,
}

/// Fetches what other hosts pushed in the last `days` and is not here, each run whole or not at
/// all, into a directory of `root` named by its id.
///
/// # Errors
///
/// [`StoreError`]. What was fetched until then stays; of runs that are damaged in the store, when
/// the others are here.
pub async fn pull(
    store: &Store,
    root: &Path,
    days: u32,
    dry_run: bool,
) -> Result<Pulled, StoreError> {
    let of_local = |error: io::Error| {
        let detail = format!("{root:?}: {error}");
        StoreError::new("look for runs that are here", Cause::Local, detail)
    };
    if !dry_run {
        std::fs::create_dir_all(root).map_err(of_local)?;
    }
    let here = here(root).map_err(of_local)?;
    let listing = store.list_deep(RUNS_PREFIX).await?;
    let since = store.now() - TimeDelta::days(days.into());
    let mut pulled = Pulled::default();
    let mut damaged = None;
    for id in wanted(&listing, &here, since) {
        if dry_run {
            pulled.runs.push(id);
            continue;
        }
        match fetch(store, root, &id).await {
            Ok(None) => {
                tracing::debug!("{}: run {id} is here", store.target().name);
                pulled.runs.push(id);
            }
            Ok(Some(reason)) => pulled.refused.push((id, record::printable(&reason))),
            // One that is damaged in the store must not keep back those after it.
            Err(error) if error.cause == Cause::Unverified => {
                tracing::warn!("{}: run {id} is not used: {error}", store.target().name);
                damaged = damaged.or(Some(error));
            }
            Err(error) => return Err(error),
        }
    }
    if let Some(error) = damaged {
        return Err(error);
    }
    Ok(pulled)
}

/// Fetches one run; gives back why it cannot be used, where it cannot.
async fn fetch(store: &Store, root: &Path, id: &str) -> Result<Option<String>, StoreError> {
    let doing = || format!("fetch the run {id}");
    let gone = || Ok(Some("it was removed just now".to_owned()));
    let Some((run, _)) = store.get(&format!("{RUNS_PREFIX}{id}/{RUN_OBJECT}"), PLAN_LIMIT).await?
    else {
        return gone();
    };
    match Kind::Run.parse::<Run>(&run.bytes) {
        Ok(run) if run.run_id != id => return Ok(Some("run.json is of another run".to_owned())),
        Ok(run) if !run.complete => return Ok(Some("it is not complete".to_owned())),
        Ok(_) => {}
        Err(error) => return Ok(Some(format!("run.json: {error}"))),
    }
    let of_io = |error: io::Error| StoreError::new(doing(), Cause::Local, error.to_string());
    let file = tempfile::tempfile_in(root).map_err(of_io)?;
    let results = format!("{RUNS_PREFIX}{id}/{RESULTS_OBJECT}");
    match store.get_file(&results, RESULTS_LIMIT, &file).await {
        Ok(_) => {}
        Err(error) if error.cause == Cause::NotFound => return gone(),
        Err(error) => return Err(error),
    }
    let (root, id) = (root.to_owned(), id.to_owned());
    // Thousands of files: long enough to hold up the other stores.
    let unpacked =
        tokio::task::spawn_blocking(move || pack::place(&root, &id, file, &run.bytes)).await;
    match unpacked.map_err(|error| of_io(io::Error::other(error)))? {
        Ok(()) => Ok(None),
        Err(pack::PlaceError::Malformed(reason)) => Ok(Some(reason)),
        Err(pack::PlaceError::Io(error)) => Err(of_io(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        assert!(started("20261123T031530Z-0123abcd").is_some());
        for id in [
            "..",
            "x",
            "20261123T031530Z",
            "20261123T031530Z-0123abcd/x",
            "20261323T031530Z-0123abcd",
            "20261123T031530Z-0123ABCD",
        ] {
            assert_eq!(started(id), None, "{id}");
        }
        assert_eq!(of_key("runs/../run.json"), None);
        assert_eq!(of_key("runs/20261123T031530Z-0123abcd/x"), None);
    }

    #[test]
    fn only_whole_runs_that_are_new_and_not_here_are_wanted() {
        let id = |n: u32| format!("2026112{n}T000000Z-0000000{n}");
        let mut listing = BTreeMap::new();
        let object = Listed { size: 1, modified: None, etag: None };
        for n in 0..4 {
            for name in [RUN_OBJECT, RESULTS_OBJECT] {
                listing.insert(format!("runs/{}/{name}", id(n)), object.clone());
            }
        }
        listing.remove(&format!("runs/{}/{RUN_OBJECT}", id(2)));
        let since = "2026-11-21T00:00:00Z".parse().unwrap();
        assert_eq!(wanted(&listing, &BTreeSet::new(), since), [id(1), id(3)]);
        assert_eq!(wanted(&listing, &BTreeSet::from([id(3)]), since), [id(1)]);
    }
}
