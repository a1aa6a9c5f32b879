//! Which runs are shards of one scan of the network: decides from what their `run.json` says. Pure.

use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use record::Run;

/// How far apart the parts of one scan may start: half the time between two scans of the usual
/// schedule, so that no run belongs to two.
pub const TOGETHER: TimeDelta = TimeDelta::hours(3);

/// A run's directory, and what its `run.json` says.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundRun {
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
/// the one nearest in time. One that is nearer to another run of this shard belongs to that: where
/// scans follow each other closely, a shard that is late leaves a gap, and its last one does not
/// fill it.
#[must_use]
pub fn together(path: PathBuf, run: &Run, others: &[FoundRun]) -> Set {
    let Some(shard) = run.shard.filter(|shard| !shard.is_whole()) else {
        return Set { paths: vec![path], missing: 0 };
    };
    let alike = |other: &Run| {
        other.shard.is_some_and(|of| of.of() == shard.of())
            && (other.mode, &other.domain, other.expected_ip)
                == (run.mode, &run.domain, run.expected_ip)
    };
    let nearer = |other: &FoundRun| {
        others.iter().any(|mine| {
            mine.run.shard == run.shard
                && alike(&mine.run)
                && apart(mine.run.started, other.run.started)
                    < apart(run.started, other.run.started)
        })
    };
    let belongs = |other: &&FoundRun| {
        other.run.complete
            && alike(&other.run)
            && other.run.shard != run.shard
            && apart(other.run.started, run.started) <= TOGETHER
            && !nearer(other)
    };
    let mut nearest: Vec<&FoundRun> = others.iter().filter(belongs).collect();
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
