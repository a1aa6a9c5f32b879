//! Whether what is to be removed from a store can be had again from an archive that is there: the
//! archive is read whole, and each report compared by its digests. What cannot be shown stays.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _};
use std::path::Path;

use flate2::bufread::GzDecoder;

use chrono::Datelike as _;
use shelf::output::{ARCHIVE_LIMIT, REPORT_LIMIT, of_archive_name, of_dated_name};

use crate::digest::Digest;
use crate::err::{Cause, StoreError};
use crate::local;
use crate::plan::Named;
use crate::store::Store;

/// How the names of the archives end that can be looked into.
const END: &str = ".tar.gz";

/// Most reports in one archive, as for `aggregate`.
const MOST: usize = 45_000;

/// An archive's reports, by name.
type Reports = BTreeMap<String, Digest>;

/// Those of the reports and archives `keys`, sorted, that hold anything that no archive holds of
/// those that are `named`.
///
/// # Errors
///
/// [`StoreError`], where the store cannot be asked.
pub async fn without(
    store: &Store,
    named: &BTreeMap<String, Named>,
    keys: &[&str],
) -> Result<BTreeSet<String>, StoreError> {
    let mut without = BTreeSet::new();
    let mut month = (None, Reports::new());
    for key in keys {
        let of = month_of(key);
        if of != month.0 {
            month = (of, named_of(store, named, of).await?);
        }
        let there = if key.ends_with(".json") {
            match month.1.get(*key) {
                Some(digest) => is_same(store, key, digest).await?,
                None => false,
            }
        } else if key.ends_with(END) && !month.1.is_empty() {
            let reports = read(store, key, None).await?;
            let archived = |(name, digest): (&String, &Digest)| {
                month.1.get(name).is_some_and(|there| there.sha256 == digest.sha256)
            };
            reports.is_some_and(|reports| reports.iter().all(archived))
        } else {
            false
        };
        if !there {
            without.insert((*key).to_owned());
        }
    }
    Ok(without)
}

/// Those of the reports and archives `asked`, in a store, whose reports are all in the archives of
/// `named`, which lie in `directory` or in the store as well.
///
/// # Errors
///
/// [`StoreError`], where the store cannot be asked.
pub async fn within(
    store: &Store,
    directory: &Path,
    named: &BTreeMap<String, Named>,
    asked: &BTreeMap<String, Named>,
) -> Result<BTreeSet<String>, StoreError> {
    let mut within = BTreeSet::new();
    let mut month = (None, Reports::new());
    for (key, of) in asked {
        let this = month_of(key);
        let archives: Vec<_> = named
            .iter()
            .filter(|(name, _)| name.ends_with(END) && month_of(name) == this)
            .collect();
        if archives.is_empty() {
            continue;
        }
        if this != month.0 {
            let mut all = Reports::new();
            for (name, named) in archives {
                all.extend(here_or_there(store, directory, name, named).await?);
            }
            month = (this, all);
        }
        let holds = |name: &str, sha256: &str| {
            month.1.get(name).is_some_and(|digest| digest.sha256 == sha256)
        };
        let there = if key.ends_with(END) {
            let reports = read(store, key, Some(of)).await?.unwrap_or_default();
            !reports.is_empty() && reports.iter().all(|(name, digest)| holds(name, &digest.sha256))
        } else {
            holds(key, &of.sha256)
        };
        if there {
            within.insert(key.clone());
        }
    }
    Ok(within)
}

/// The reports of an archive that is here, or else in the store.
async fn here_or_there(
    store: &Store,
    directory: &Path,
    name: &str,
    named: &Named,
) -> Result<Reports, StoreError> {
    if let Ok((file, size)) = local::open(&directory.join(name))
        && size == named.size
    {
        // Long enough to hold up the other stores.
        let reports = tokio::task::spawn_blocking(move || reports(file)).await;
        if let Ok(Ok(reports)) = reports {
            return Ok(reports);
        }
    }
    Ok(read(store, name, Some(named)).await?.unwrap_or_default())
}

/// The year and the month of a key.
fn month_of(key: &str) -> Option<(i32, u32)> {
    let time = of_archive_name(key).or_else(|| of_dated_name(key).map(|(time, _)| time))?;
    Some((time.year(), time.month()))
}

/// What the archives of a month hold together.
async fn named_of(
    store: &Store,
    named: &BTreeMap<String, Named>,
    month: Option<(i32, u32)>,
) -> Result<Reports, StoreError> {
    let mut all = Reports::new();
    let archives = named.iter().filter(|(key, _)| key.ends_with(END) && month_of(key) == month);
    for (key, named) in archives {
        all.extend(read(store, key, Some(named)).await?.unwrap_or_default());
    }
    Ok(all)
}

async fn is_same(store: &Store, key: &str, digest: &Digest) -> Result<bool, StoreError> {
    let Some(head) = store.head(key).await? else { return Ok(false) };
    store.is_same(key, &head, digest).await
}

/// The reports in an archive; `None` where it is not there, or not what it should be.
async fn read(
    store: &Store,
    key: &str,
    named: Option<&Named>,
) -> Result<Option<Reports>, StoreError> {
    let of_io = |error: io::Error| {
        StoreError::new(format!("look into {key}"), Cause::Local, error.to_string())
    };
    let useless = |why: &str| {
        let name = &store.target().name;
        tracing::warn!("{name}: {key} in the store vouches for no report: {why}");
        Ok(None)
    };
    let file = tempfile::tempfile().map_err(of_io)?;
    let digest = match store.get_file(key, ARCHIVE_LIMIT, &file).await {
        Ok(digest) => digest,
        Err(error) if [Cause::NotFound, Cause::Unverified].contains(&error.cause) => {
            return useless(&error.to_string());
        }
        Err(error) => return Err(error),
    };
    if named.is_some_and(|named| named.sha256 != digest.sha256) {
        return useless("it has not the digest that files.json names");
    }
    // Long enough to hold up the other stores.
    match tokio::task::spawn_blocking(move || reports(file)).await {
        Ok(Ok(reports)) => Ok(Some(reports)),
        Ok(Err(error)) => useless(&error.to_string()),
        Err(error) => Err(of_io(io::Error::other(error))),
    }
}

fn reports(mut file: File) -> io::Result<Reports> {
    file.rewind()?;
    let mut archive = tar::Archive::new(GzDecoder::new(BufReader::new(file)));
    let mut reports = Reports::new();
    for entry in archive.entries()?.raw(true) {
        let mut entry = entry?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let size = entry.size();
        let regular = entry.header().entry_type() == tar::EntryType::Regular;
        if !regular || size > REPORT_LIMIT || reports.len() == MOST {
            return Err(io::Error::other(format!("{name:?} in it is no report")));
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        if bytes.len() as u64 != size || reports.insert(name, Digest::of(&bytes)).is_some() {
            return Err(io::Error::other("a report in it is cut, or there twice"));
        }
    }
    // To its end, where the checksum is.
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink())?;
    if !rest.into_inner().fill_buf()?.is_empty() {
        return Err(io::Error::other("something follows its end"));
    }
    Ok(reports)
}
