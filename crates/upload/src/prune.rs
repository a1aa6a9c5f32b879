//! `upload prune`: what may go from a store, by an explicit retention. [`choose`] is pure, and
//! never chooses what a reader could still be told to fetch. Of what it chooses, only that goes
//! whose reports are all in an archive that `files.json` names: nothing is removed that could not
//! be had again.

pub(crate) mod archived;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use record::{Files, Kind};
use shelf::output::{FILES_FILE, FILES_LIMIT, of_archive_name, of_dated_name};

use crate::err::{Cause, StoreError};
use crate::keys::RUNS_PREFIX;
use crate::plan::{self, Listed};
use crate::runs;
use crate::store::Store;

/// How long readers may go on with a `files.json` from before: it is cached for a minute, and the
/// caches of others are not ours to know.
const SETTLED: TimeDelta = TimeDelta::minutes(10);

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Reports and archives that are not listed any more, for so many days after their date; `None`
    /// for ever.
    pub reports: Option<u32>,
    /// Runs of hosts, for so many days after their start; `None` for ever.
    pub runs: Option<u32>,
}

/// What may go, and what could not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prunable {
    /// Key and size, in the order of removal.
    pub remove: Vec<(String, u64)>,
    /// How many are old enough, and stay because `files.json` names them.
    pub listed: usize,
    /// What is old enough, and stays because no archive that `files.json` names holds it.
    pub alone: Vec<String>,
}

/// The time of a dated report, or the end of an archive's month.
fn time_of(key: &str) -> Option<DateTime<Utc>> {
    let report = of_dated_name(key).map(|(time, _)| time);
    report.or_else(|| of_archive_name(key)?.checked_add_months(chrono::Months::new(1)))
}

/// What may be removed.
#[must_use]
pub fn choose(
    bucket: &BTreeMap<String, Listed>,
    runs: &BTreeMap<String, Listed>,
    named: &BTreeSet<String>,
    retention: Retention,
    now: DateTime<Utc>,
) -> Prunable {
    let before = |days: u32| now - TimeDelta::days(days.into());
    let mut chosen = Prunable::default();
    if let Some(days) = retention.reports {
        for (key, object) in bucket {
            if time_of(key).is_none_or(|time| time >= before(days)) {
                continue;
            }
            if named.contains(key) {
                chosen.listed += 1;
            } else {
                chosen.remove.push((key.clone(), object.size));
            }
        }
    }
    if let Some(days) = retention.runs {
        let mut old: Vec<_> = runs
            .iter()
            .filter(|(key, _)| {
                runs::of_key(key)
                    .and_then(|(id, _)| runs::started(id))
                    .is_some_and(|time| time < before(days))
            })
            .map(|(key, object)| (key.clone(), object.size))
            .collect();
        // run.json first: what is half removed is then not fetched.
        old.sort_by_key(|(key, _)| (!key.ends_with(runs::RUN_OBJECT), key.clone()));
        chosen.remove.extend(old);
    }
    chosen
}

/// What may go from this store.
///
/// # Errors
///
/// [`StoreError`]; also where the list of files is too young, missing or unreadable: then nobody
/// can tell what readers may be told to fetch.
pub async fn look(store: &Store, retention: Retention) -> Result<Prunable, StoreError> {
    let bucket = store.list("").await?;
    let runs = match retention.runs {
        Some(_) => store.list_deep(RUNS_PREFIX).await?,
        None => BTreeMap::new(),
    };
    let mut named = BTreeMap::new();
    if retention.reports.is_some() {
        let refuse = |cause, detail: &str| StoreError::new("prune reports", cause, detail);
        let Some(list) = bucket.get(FILES_FILE) else {
            return Err(refuse(Cause::Incomplete, "the store has no files.json"));
        };
        if list.modified.is_none_or(|written| store.now() - written < SETTLED) {
            let detail = "files.json was replaced less than 10 minutes ago";
            return Err(refuse(Cause::TooSoon, detail));
        }
        let read = store.get(FILES_FILE, FILES_LIMIT).await?;
        let files: Option<Files> = read.and_then(|(whole, _)| Kind::Files.parse(&whole.bytes).ok());
        let Some(files) = files else {
            return Err(refuse(Cause::Incomplete, "the store's files.json cannot be read"));
        };
        named = plan::named(&files);
    }
    let names = named.keys().cloned().collect();
    let mut chosen = choose(&bucket, &runs, &names, retention, store.now());
    let reports = chosen.remove.iter().map(|(key, _)| key.as_str());
    let reports: Vec<&str> = reports.filter(|key| !key.starts_with(RUNS_PREFIX)).collect();
    let alone = archived::without(store, &named, &reports).await?;
    chosen.remove.retain(|(key, _)| !alone.contains(key));
    chosen.alone = alone.into_iter().collect();
    Ok(chosen)
}

/// Removes what was chosen, one after the other.
///
/// # Errors
///
/// [`StoreError`]; what was removed until then is gone.
pub async fn remove(store: &Store, chosen: &Prunable) -> Result<(), StoreError> {
    for (key, _) in &chosen.remove {
        store.delete(key).await?;
        tracing::debug!("{}: {key} is removed", store.target().name);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(keys: &[&str]) -> BTreeMap<String, Listed> {
        let listed = Listed { size: 1, modified: None, etag: None };
        keys.iter().map(|key| ((*key).to_owned(), listed.clone())).collect()
    }

    fn keys(chosen: &Prunable) -> Vec<&str> {
        chosen.remove.iter().map(|(key, _)| key.as_str()).collect()
    }

    #[test]
    fn only_what_is_old_and_not_listed_goes() {
        let bucket = objects(&[
            "dns_health_2026-01-01_00-00-00.json",
            "dns_health_2026-01-02_00-00-00-2.json",
            "dns_health_2026-11-22_00-00-00.json",
            "dns_health_2025-12.tar.xz",
            "dns_health_2025-12-31.tar.gz",
            "dns_health_2026-10.tar.xz",
            "dns_health_x.json",
            "latest.json",
            "files.json",
            "index.html",
        ]);
        let named = BTreeSet::from(["dns_health_2026-01-01_00-00-00.json".to_owned()]);
        let now = "2026-11-23T00:00:00Z".parse().unwrap();
        let retention = Retention { reports: Some(30), runs: None };
        let chosen = choose(&bucket, &BTreeMap::new(), &named, retention, now);
        assert_eq!(
            keys(&chosen),
            [
                "dns_health_2025-12-31.tar.gz",
                "dns_health_2025-12.tar.xz",
                "dns_health_2026-01-02_00-00-00-2.json"
            ]
        );
        assert_eq!(chosen.listed, 1);
        let none = Retention { reports: None, runs: None };
        assert_eq!(choose(&bucket, &bucket, &named, none, now), Prunable::default());
    }

    #[test]
    fn of_a_run_its_mark_goes_first() {
        let runs = objects(&[
            "runs/20260101T000000Z-00000000/results.tar.gz",
            "runs/20260101T000000Z-00000000/run.json",
            "runs/20261122T000000Z-00000000/run.json",
            "runs/other/run.json",
        ]);
        let now = "2026-11-23T00:00:00Z".parse().unwrap();
        let retention = Retention { reports: None, runs: Some(7) };
        let chosen = choose(&BTreeMap::new(), &runs, &BTreeSet::new(), retention, now);
        assert_eq!(
            keys(&chosen),
            [
                "runs/20260101T000000Z-00000000/run.json",
                "runs/20260101T000000Z-00000000/results.tar.gz",
            ]
        );
    }
}
