//! The previous report: what of it a new one needs, read from whatever is there. Pure but for
//! [`read()`] and [`read_head()`].
//!
//! Version 1 is this project's. A report without a `format` field is one of the system that this
//! project took its field names from: its relays' last verdicts are taken over, its streaks are
//! not, as they counted unreachable relays among the failures.

use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use chrono::{DateTime, Utc};
use record::{
    ABSENT_MARK, Fingerprint, Format, FormatError, Kind, Mode, Previous, PreviousReport,
    PreviousSource, RECENT_RUNS, ReportSelection, Status, Streak, of_recent_mark, recent_mark,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use shelf::output::REPORT_LIMIT;
use shelf::read::{self, ReadError};

use crate::input::check;
use crate::{stats, streak};

/// A report that a new one can go on from.
#[derive(Debug, Clone, PartialEq)]
pub struct PriorReport {
    /// What it says of its run.
    pub head: PriorHead,
    /// What it knows of each relay.
    pub relays: BTreeMap<Fingerprint, KnownRelay>,
}

/// What a report says of its run: all that is needed of it where the history knows the relays.
#[derive(Debug, Clone, PartialEq)]
pub struct PriorHead {
    /// The figures that the gate compares with.
    pub report: PreviousReport,
    /// The ids of the runs joined in it.
    pub run_ids: Vec<String>,
    /// Whether its gate was open.
    pub published: bool,
    /// What it itself went on from.
    pub own_previous: Previous,
}

/// What is known of a relay from earlier runs.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownRelay {
    /// Its nickname.
    pub nickname: String,
    /// Its address.
    pub address: IpAddr,
    /// The last run that has a result of it.
    pub last_seen: DateTime<Utc>,
    /// Its streak.
    pub streak: Streak,
    /// Its streak before the report's own run.
    pub before: Streak,
    /// Its last runs.
    pub recent: String,
}

/// Why a previous report cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PriorError {
    /// There is none.
    #[error("there is no previous report")]
    Missing,
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Read(ReadError),
    /// It is not a report, or half of one.
    #[error("it is damaged: {0}")]
    Damaged(FormatError),
    /// Written by a newer program. Going on without it would let an older program replace what a
    /// newer one published.
    #[error("{0}")]
    Newer(FormatError),
}

/// Reads the report at `path`.
///
/// # Errors
///
/// [`PriorError`].
pub fn read(path: &Path) -> Result<PriorReport, PriorError> {
    read_bytes(path).map(|(prior, _)| prior)
}

/// Reads the report at `path`, and gives back its bytes as well.
///
/// # Errors
///
/// [`PriorError`].
pub fn read_bytes(path: &Path) -> Result<(PriorReport, Vec<u8>), PriorError> {
    let bytes = bytes_of(path)?;
    Ok((parse(&bytes)?, bytes))
}

/// Reads what the report at `path` says of its run, in a fraction of the memory.
///
/// # Errors
///
/// [`PriorError`].
pub fn read_head(path: &Path) -> Result<PriorHead, PriorError> {
    let bytes = bytes_of(path)?;
    let Some(HeadDocument { metadata, results }) = document(&bytes)? else {
        return Ok(parse_foreign(&bytes)?.head);
    };
    head(metadata, results.iter().map(|row| (row.exit_fingerprint, row.status.as_str())))
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, PriorError> {
    read::file(path, REPORT_LIMIT).map_err(|error| {
        if error.is_not_found() { PriorError::Missing } else { PriorError::Read(error) }
    })
}

#[derive(Deserialize)]
struct HeadDocument {
    metadata: Meta,
    results: Vec<HeadRow>,
}

#[derive(Deserialize)]
struct HeadRow {
    exit_fingerprint: Fingerprint,
    status: String,
}

#[derive(Deserialize)]
struct PriorDocument {
    metadata: Meta,
    results: Vec<PreviousRow>,
    #[serde(default)]
    absent: Vec<AbsentRow>,
}

#[derive(Deserialize)]
struct Meta {
    timestamp: DateTime<Utc>,
    run_id: Option<String>,
    mode: Option<Mode>,
    domain: Option<String>,
    expected_ip: Option<IpAddr>,
    selection: Option<ReportSelection>,
    #[serde(default)]
    previous: Previous,
    publish: Option<PublishMeta>,
}

#[derive(Deserialize)]
struct PublishMeta {
    allowed: bool,
}

#[derive(Deserialize)]
struct PreviousRow {
    exit_fingerprint: Fingerprint,
    #[serde(default)]
    exit_nickname: String,
    exit_address: Option<IpAddr>,
    status: String,
    #[serde(flatten)]
    streak: Streak,
    #[serde(default)]
    recent: String,
    #[serde(default)]
    before: Streak,
}

#[derive(Deserialize)]
struct AbsentRow {
    exit_fingerprint: Fingerprint,
    exit_nickname: String,
    exit_address: IpAddr,
    last_seen: DateTime<Utc>,
    #[serde(flatten)]
    streak: Streak,
    recent: String,
}

/// The report in `bytes`.
///
/// # Errors
///
/// [`PriorError::Damaged`] and [`PriorError::Newer`].
pub fn parse(bytes: &[u8]) -> Result<PriorReport, PriorError> {
    let Some(PriorDocument { metadata, results, absent }) = document(bytes)? else {
        return parse_foreign(bytes);
    };
    let rows = results.iter().map(|row| (row.exit_fingerprint, row.status.as_str()));
    let head = head(metadata, rows)?;
    let relays = relays(results, absent, head.report.timestamp);
    Ok(PriorReport { head, relays })
}

fn json(error: serde_json::Error) -> PriorError {
    PriorError::Damaged(error.into())
}

/// The document of a report of this project; `None` of one without a format.
fn document<D: DeserializeOwned>(bytes: &[u8]) -> Result<Option<D>, PriorError> {
    #[derive(Deserialize)]
    struct ReportEnvelope {
        format: Option<Format>,
    }
    match Kind::Report.parse(bytes) {
        Ok(document) => Ok(Some(document)),
        Err(error @ FormatError::Version { .. }) => Err(PriorError::Newer(error)),
        Err(error) => match serde_json::from_slice(bytes).map_err(json)? {
            ReportEnvelope { format: None } => Ok(None),
            ReportEnvelope { format: Some(_) } => Err(PriorError::Damaged(error)),
        },
    }
}

/// A report without a format, of which every row is taken that names a relay and a status: that
/// system wrote words such as `unknown` where it had no value.
fn parse_foreign(bytes: &[u8]) -> Result<PriorReport, PriorError> {
    #[derive(Deserialize)]
    struct Foreign {
        metadata: ForeignMeta,
        results: Vec<serde_json::Value>,
    }
    #[derive(Deserialize)]
    struct ForeignMeta {
        timestamp: String,
    }
    let Foreign { metadata, results } = serde_json::from_slice(bytes).map_err(json)?;
    // It wrote local times of a host on UTC, with and without saying so.
    let text = &metadata.timestamp;
    let timestamp = text
        .parse::<DateTime<Utc>>()
        .or_else(|_| text.parse::<chrono::NaiveDateTime>().map(|time| time.and_utc()))
        .map_err(|error| json(serde::de::Error::custom(error)))?;
    let text = |row: &serde_json::Value, field: &str| Some(row.get(field)?.as_str()?.to_owned());
    let rows: Vec<PreviousRow> = results
        .iter()
        .filter_map(|row| {
            let status = text(row, "status")?;
            let known = Status::ALL.iter().copied().find(|known| known.as_str() == status);
            let (mut streak, mut recent) = (Streak::default(), String::new());
            if let Some(status) = known {
                streak = streak::after(streak, streak::effect(status, false), timestamp);
                recent = recent_mark(status, false).to_string();
            }
            Some(PreviousRow {
                exit_fingerprint: text(row, "exit_fingerprint")?.parse().ok()?,
                exit_nickname: text(row, "exit_nickname").unwrap_or_default(),
                exit_address: text(row, "exit_address").and_then(|address| address.parse().ok()),
                status,
                streak,
                recent,
                before: Streak::default(),
            })
        })
        .collect();
    let metadata = Meta {
        timestamp,
        run_id: None,
        mode: None,
        domain: None,
        expected_ip: None,
        selection: None,
        previous: Previous::default(),
        publish: None,
    };
    let named = rows.iter().map(|row| (row.exit_fingerprint, row.status.as_str()));
    let head = head(metadata, named)?;
    Ok(PriorReport { head, relays: relays(rows, Vec::new(), timestamp) })
}

/// What a report says of its run; its figures by its rows, each relay's first.
fn head<'a>(
    metadata: Meta,
    rows: impl Iterator<Item = (Fingerprint, &'a str)>,
) -> Result<PriorHead, PriorError> {
    if !check::is_date(metadata.timestamp) {
        return Err(json(serde::de::Error::custom("its timestamp cannot be")));
    }
    let (mut tested, mut successes, mut seen) = (0, 0, HashSet::new());
    for (relay, status) in rows {
        if !seen.insert(relay) {
            continue;
        }
        let status = Status::ALL.iter().copied().find(|known| known.as_str() == status);
        tested += u32::from(status.is_some_and(Status::tested));
        successes += u32::from(status == Some(Status::Success));
    }
    let run_ids = metadata.run_id.iter().flat_map(|ids| ids.split('+')).map(str::to_owned);
    Ok(PriorHead {
        run_ids: run_ids.collect(),
        report: PreviousReport {
            run_id: metadata.run_id,
            timestamp: metadata.timestamp,
            total_relays: u32::try_from(seen.len()).unwrap_or(u32::MAX),
            dns_success_rate_percent: stats::percent(successes, tested),
            mode: metadata.mode,
            domain: metadata.domain,
            expected_ip: metadata.expected_ip,
            selection: metadata.selection,
        },
        published: metadata.publish.is_some_and(|publish| publish.allowed),
        own_previous: metadata.previous,
    })
}

/// What is known of each relay, with everything that cannot be put right or left out.
fn relays(
    results: Vec<PreviousRow>,
    absent: Vec<AbsentRow>,
    time: DateTime<Utc>,
) -> BTreeMap<Fingerprint, KnownRelay> {
    let mut relays = BTreeMap::new();
    for row in results {
        relays.entry(row.exit_fingerprint).or_insert_with(|| KnownRelay {
            nickname: row.exit_nickname,
            address: row.exit_address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            last_seen: time,
            streak: sound(row.streak, time),
            before: sound(row.before, time),
            recent: sound_recent(row.recent),
        });
    }
    for row in absent {
        relays.entry(row.exit_fingerprint).or_insert_with(|| KnownRelay {
            nickname: row.exit_nickname,
            address: row.exit_address,
            last_seen: row.last_seen.min(time),
            streak: sound(row.streak, time),
            // The run has no result of it, so nothing changed.
            before: sound(row.streak, time),
            recent: sound_recent(row.recent),
        });
    }
    relays
}

/// A streak that does not contradict itself or the time of its report.
fn sound(streak: Streak, time: DateTime<Utc>) -> Streak {
    let failing = streak.consecutive_failures > 0;
    Streak {
        failing_since: failing.then(|| streak.failing_since.unwrap_or(time).min(time)),
        last_success: streak.last_success.map(|success| success.min(time)),
        ..streak
    }
}

fn sound_recent(recent: String) -> String {
    let sound = recent.len() <= RECENT_RUNS
        && recent.chars().all(|mark| mark == ABSENT_MARK || of_recent_mark(mark).is_some());
    if sound { recent } else { String::new() }
}

/// What a run's streaks go on from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Base {
    /// As the report says it.
    pub previous: Previous,
    /// What is known of each relay.
    pub relays: BTreeMap<Fingerprint, KnownRelay>,
    /// The previous report is of a later run.
    pub later: bool,
}

impl PriorHead {
    /// What the run with these ids, which ended at `time`, is compared with, and whether this report
    /// is of a later run.
    ///
    /// Where it is of the same run, or of a part of it, that is what it was compared with itself.
    #[must_use]
    pub fn before(self, run_ids: &[String], time: DateTime<Utc>) -> (Previous, bool) {
        if self.is_of(run_ids) {
            return (self.own_previous, false);
        }
        if self.report.timestamp > time {
            let note = format!(
                "the previous report, of {}, is of a later run: its streaks are not this run's",
                self.report.timestamp.to_rfc3339()
            );
            return (Previous { note: Some(note), ..Previous::default() }, true);
        }
        let source = PreviousSource::Report;
        (Previous { source, note: None, report: Some(self.report) }, false)
    }

    /// Whether it is of one of these runs.
    #[must_use]
    pub fn is_of(&self, run_ids: &[String]) -> bool {
        self.run_ids.iter().any(|id| run_ids.contains(id))
    }
}

impl Base {
    /// What the run with these ids, which ended at `time`, goes on from.
    ///
    /// Where the previous report is of the same run, or of a part of it, that is what it went on
    /// from itself: a run counts once, however often it is aggregated.
    #[must_use]
    pub fn of_report(prior: PriorReport, run_ids: &[String], time: DateTime<Utc>) -> Self {
        if prior.head.is_of(run_ids) {
            return Self::of_same_run(prior);
        }
        let (previous, later) = prior.head.before(run_ids, time);
        let remembered =
            |known: &KnownRelay| !later && time - known.last_seen <= streak::FORGET_AFTER;
        let relays = prior.relays.into_iter().filter(|(_, known)| remembered(known)).collect();
        Self { previous, relays, later }
    }

    /// What the report's own run went on from.
    #[must_use]
    pub fn of_same_run(prior: PriorReport) -> Self {
        let PriorReport { head, relays } = prior;
        let earlier = head.own_previous.report.as_ref().map(|report| report.timestamp);
        let relays = relays
            .into_iter()
            .filter_map(|(relay, known)| {
                let recent = streak::without_newest(&known.recent).to_owned();
                let new = recent.is_empty() && known.before == Streak::default();
                let last_seen = match earlier {
                    Some(earlier) if known.last_seen == head.report.timestamp => earlier,
                    _ => known.last_seen,
                };
                let streak = known.before;
                (!new).then_some((relay, KnownRelay { recent, streak, last_seen, ..known }))
            })
            .collect();
        Self { previous: head.own_previous, relays, later: false }
    }

    /// Where there is no previous report that can be used.
    #[must_use]
    pub fn none(note: String) -> Self {
        let previous = Previous { note: Some(note), ..Previous::default() };
        Self { previous, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_report_with_words_in_the_place_of_values_is_taken_row_by_row() {
        let text = r#"{
            "metadata": { "timestamp": "2025-12-31T18:00:00.123456", "total_relays": 4 },
            "results": [
                { "exit_fingerprint": "9E3779B15A5A5A5A5A5A5A5A5A5A5A5A00000001",
                  "exit_nickname": null, "exit_address": "unknown", "status": "dns_fail" },
                { "exit_fingerprint": "$3c6ef3625a5a5a5a5a5a5a5a5a5a5a5a00000002",
                  "exit_address": 7, "status": "success" },
                { "exit_fingerprint": "unknown", "status": "success" },
                { "status": "timeout" }, "row"
            ]
        }"#;
        let prior = parse(text.as_bytes()).unwrap();
        let streaks: Vec<u32> =
            prior.relays.values().map(|known| known.streak.consecutive_failures).collect();
        assert_eq!(streaks, [0, 1]);
        assert_eq!(prior.head.report.total_relays, 2);
        assert_eq!(prior.head.report.timestamp.timestamp(), 1_767_204_000);
        // One of our own is not read so kindly.
        let own =
            text.replacen('{', r#"{"format":{"name":"exit-validator/report","version":1},"#, 1);
        assert!(matches!(parse(own.as_bytes()), Err(PriorError::Damaged(_))));
    }
}
