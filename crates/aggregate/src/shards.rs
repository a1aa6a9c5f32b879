//! Which runs are shards of one scan of the network: decides from what their `run.json` says. Pure.

use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use record::Run;

/// How far apart shards of one scan may start: half the time between two scans of the usual
/// schedule, so that no run belongs to two.
pub const TOGETHER: TimeDelta = TimeDelta::hours(3);

/// A run's directory, and what its `run.json` says.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The directory.
    pub path: PathBuf,
    /// Its `run.json`.
    pub run: Run,
}

/// What one report is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// The directories; in the order of their shards, where there are shards.
    pub paths: Vec<PathBuf>,
    /// How many shards have no run that belongs to the others.
    pub missing: u32,
}

/// The run at `path` and, where it is a shard, the others of its scan among `others`: complete runs
/// of the same question and number of shards that started within [`TOGETHER`] of it, of each shard
/// the one nearest in time.
#[must_use]
pub fn together(path: PathBuf, run: &Run, others: &[Found]) -> Set {
    let Some(shard) = run.shard else { return Set { paths: vec![path], missing: 0 } };
    let belongs = |other: &&Found| {
        other.run.complete
            && other.run.shard.is_some_and(|of| of.of() == shard.of() && of != shard)
            && (other.run.mode, &other.run.domain, other.run.expected_ip)
                == (run.mode, &run.domain, run.expected_ip)
            && apart(other.run.started, run.started) <= TOGETHER
    };
    let mut nearest: Vec<&Found> = others.iter().filter(belongs).collect();
    nearest.sort_by_key(|other| (other.run.shard, apart(other.run.started, run.started)));
    nearest.dedup_by_key(|other| other.run.shard);
    let mut all: Vec<_> = nearest.iter().map(|other| (other.run.shard, &other.path)).collect();
    all.push((run.shard, &path));
    all.sort();
    let missing = shard.of().saturating_sub(u32::try_from(all.len()).unwrap_or(u32::MAX));
    Set { paths: all.into_iter().map(|(_, path)| path.clone()).collect(), missing }
}

fn apart(a: DateTime<Utc>, b: DateTime<Utc>) -> TimeDelta {
    (a - b).abs()
}
