//! What a report goes on from: the fold of the rows before it. The points where a fold was stopped
//! are kept here and found again; all but the first of them can be made again from the rows.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};

use chrono::{DateTime, Utc};
use record::{Fingerprint, PreviousReport, Streak, TrendEntry};
use rusqlite::{Connection, OptionalExtension, params};

use super::{History, HistoryError, LAYOUT, Position, Relays, Result, Standing, Terms};
use crate::fold::{Fold, Track};
use crate::gate::HeldRun;
use crate::previous::{Base, KnownRelay, PriorHead, PriorReport};
use crate::report::Past;

/// After how many runs a point is kept.
const EVERY: usize = 32;

/// How many points are kept.
const POINTS: u8 = 8;

/// The number of the first point: what is known from before the rows. It cannot be made again.
pub(super) const BASE: i64 = 0;

/// What a run goes on from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Memory {
    /// What is known of each relay.
    pub relays: BTreeMap<Fingerprint, KnownRelay>,
    /// Their tests of the last days.
    pub past: Past,
    /// The newest published run before this one.
    pub previous: Option<PreviousReport>,
    /// When the newest run that was published ended, if that was after this one.
    pub later: Option<DateTime<Utc>>,
}

/// Which runs are folded.
struct FoldQuestion<'a> {
    /// The place in time of the run that is asked for.
    before: Position,
    /// Its ids.
    run_ids: &'a [String],
    /// Runs that were held back, and count for this one.
    accepted: &'a [String],
}

impl History {
    /// What the run with these ids, which ended at `time`, goes on from, and with `keep`, keeps
    /// what saves reading as much again. The runs `accepted` count, although they were held back.
    ///
    /// # Errors
    ///
    /// [`HistoryError`].
    pub fn look_back(
        &self,
        run_ids: &[String],
        time: DateTime<Utc>,
        accepted: &[String],
        keep: bool,
    ) -> Result<Memory> {
        if self.layout != LAYOUT {
            return Err(HistoryError::Older { path: self.path.clone(), found: self.layout });
        }
        let before = (time.timestamp(), run_ids.join("+"));
        let question = FoldQuestion { before, run_ids, accepted };
        let doing = self.sqlite("read");
        // One transaction, so that all of it is of one moment.
        let transaction = self.connection.unchecked_transaction().map_err(&doing)?;
        let (fold, points) = self.fold(&question, keep)?;
        let mut memory = Memory {
            previous: self.published(&question)?,
            later: self.published_after(&question)?,
            ..Memory::default()
        };
        let mut names = self
            .connection
            .prepare("SELECT fingerprint, nickname, address FROM relay WHERE relay = ?1")
            .map_err(&doing)?;
        for (relay, track) in fold.remembered(time) {
            let name = names
                .query_row([relay], |row| {
                    let address: String = row.get(2)?;
                    let address = address.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
                    Ok((Fingerprint::from_bytes(row.get(0)?), row.get::<_, String>(1)?, address))
                })
                .optional()
                .map_err(&doing)?;
            let Some((fingerprint, nickname, address)) = name else { continue };
            let known = KnownRelay {
                nickname,
                address,
                last_seen: track.last_seen,
                streak: track.streak,
                before: track.streak,
                recent: fold.recent(track),
            };
            memory.relays.insert(fingerprint, known);
            memory.past.relays.insert(fingerprint, fold.past(track, time));
        }
        drop(names);
        transaction.commit().map_err(&doing)?;
        if let Err(error) = self.keep(&points) {
            // The next report tries again, and takes longer until then.
            tracing::debug!("{error}");
        }
        Ok(memory)
    }

    /// The fold of everything up to this place.
    pub(super) fn fold_to(&self, at: &Position) -> Result<Fold> {
        let question = FoldQuestion { before: just_after(at), run_ids: &[], accepted: &[] };
        Ok(self.fold(&question, false)?.0)
    }

    /// The fold of the runs before the one asked for, and what of it is worth keeping.
    fn fold(
        &self,
        question: &FoldQuestion<'_>,
        keep: bool,
    ) -> Result<(Fold, Vec<(Position, Fold)>)> {
        let doing = self.sqlite("read");
        let runs = self.runs(question).map_err(&doing)?;
        let (mut fold, start) = self.nearest(&runs.bound)?;
        let mut results = self
            .connection
            .prepare("SELECT relay, mark, first FROM result WHERE run = ?1")
            .map_err(&doing)?;
        let mut since = 0;
        let mut points = Vec::new();
        let todo: Vec<&(i64, Position)> =
            runs.counted.iter().filter(|(_, at)| start.as_ref().is_none_or(|s| at > s)).collect();
        for (place, (run, at)) in todo.iter().enumerate() {
            fold.run(self.time(at.0)?);
            let mut rows = results.query([run]).map_err(&doing)?;
            while let Some(row) = rows.next().map_err(&doing)? {
                let relay = row.get(0).map_err(&doing)?;
                let first = row.get_ref(2).map_err(&doing)? != rusqlite::types::ValueRef::Null;
                let first = first.then(|| self.mark(row, 2)).transpose()?;
                fold.result(relay, self.mark(row, 1)?, first);
            }
            since += 1;
            let near = todo.len() - place <= EVERY * usize::from(POINTS);
            if keep && since >= EVERY && near && *at < runs.bound {
                points.push((at.clone(), fold.clone()));
                since = 0;
            }
        }
        Ok((fold, points))
    }

    /// The runs that count before the one asked for, oldest first, and up to where nothing of it
    /// is among them.
    fn runs(&self, question: &FoldQuestion<'_>) -> rusqlite::Result<FoldedRuns> {
        let own = super::own_runs(&self.connection, question.run_ids)?;
        let mut statement = self.connection.prepare(
            "SELECT run, ended, run_id, standing FROM run
             WHERE standing > 0 AND (ended, run_id) < (?1, ?2) ORDER BY ended, run_id",
        )?;
        let mut rows = statement.query(params![question.before.0, question.before.1])?;
        let mut runs = FoldedRuns { counted: Vec::new(), bound: question.before.clone() };
        while let Some(row) = rows.next()? {
            let (run, at): (i64, Position) = (row.get(0)?, (row.get(1)?, row.get(2)?));
            let accepted = question.accepted.contains(&at.1);
            let counts = row.get::<_, i64>(3)? >= Standing::Counted as i64;
            let is_own = own.contains(&run);
            if (accepted || is_own) && at < runs.bound {
                runs.bound = at.clone();
            }
            if (counts || accepted) && !is_own {
                runs.counted.push((run, at));
            }
        }
        Ok(runs)
    }

    /// The fold at the last point before `bound`, and its place.
    fn nearest(&self, bound: &Position) -> Result<(Fold, Option<Position>)> {
        let doing = self.sqlite("read");
        let point = self
            .connection
            .query_row(
                "SELECT point, ended, run_id, times FROM point
                 WHERE (ended, run_id) < (?1, ?2)
                 ORDER BY ended DESC, run_id DESC LIMIT 1",
                params![bound.0, bound.1],
                |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?), row.get::<_, String>(3)?)),
            )
            .optional()
            .map_err(&doing)?;
        match point {
            None => Ok((Fold::default(), None)),
            Some((point, at, times)) => Ok((self.restore(point, &times)?, Some(at))),
        }
    }

    fn restore(&self, point: i64, times: &str) -> Result<Fold> {
        let doing = self.sqlite("read");
        let times: Vec<i64> = serde_json::from_str(times)
            .map_err(|error| self.damaged(format!("times that are none: {error}")))?;
        let times: Result<Vec<_>> = times.into_iter().map(|time| self.time(time)).collect();
        let mut fold = Fold::at(times?);
        let mut statement = self
            .connection
            .prepare(
                "SELECT relay, seen, failures, since, success, unreachable, strip, first FROM track
                 WHERE point = ?1",
            )
            .map_err(&doing)?;
        let mut rows = statement.query([point]).map_err(&doing)?;
        while let Some(row) = rows.next().map_err(&doing)? {
            let time = |column: usize| -> Result<Option<DateTime<Utc>>> {
                let seconds: Option<i64> = row.get(column).map_err(&doing)?;
                seconds.map(|seconds| self.time(seconds)).transpose()
            };
            let streak = Streak {
                consecutive_failures: row.get(2).map_err(&doing)?,
                failing_since: time(3)?,
                last_success: time(4)?,
                unreachable_runs: row.get(5).map_err(&doing)?,
            };
            let seen = self.time(row.get(1).map_err(&doing)?)?;
            let text = |column: usize| {
                row.get_ref(column).and_then(|value| Ok(value.as_str()?)).map_err(&doing)
            };
            fold.restore(row.get(0).map_err(&doing)?, seen, streak, [text(6)?, text(7)?]);
        }
        Ok(fold)
    }

    /// Keeps the fold as it was at these places.
    fn keep(&self, points: &[(Position, Fold)]) -> Result<()> {
        if points.is_empty() {
            return Ok(());
        }
        let doing = self.sqlite("write");
        let transaction = self.connection.unchecked_transaction().map_err(&doing)?;
        for (at, fold) in points {
            let next = "SELECT coalesce(max(point), 0) + 1 FROM point";
            let point: i64 = transaction.query_row(next, [], |row| row.get(0)).map_err(&doing)?;
            put(&transaction, point, fold, at, self.time(at.0)?).map_err(&doing)?;
        }
        let old = "SELECT point FROM point WHERE point <> 0
             ORDER BY ended DESC, run_id DESC LIMIT -1 OFFSET ?1";
        for table in ["track", "point"] {
            transaction
                .execute(&format!("DELETE FROM {table} WHERE point IN ({old})"), [POINTS])
                .map_err(&doing)?;
        }
        transaction.commit().map_err(doing)
    }

    /// The newest published run before the one asked for.
    fn published(&self, question: &FoldQuestion<'_>) -> Result<Option<PreviousReport>> {
        let doing = self.sqlite("read");
        let own = super::own_runs(&self.connection, question.run_ids).map_err(&doing)?;
        let mut statement = self
            .connection
            .prepare(
                "SELECT run, trend, asked FROM run
                 WHERE standing = 3 AND (ended, run_id) < (?1, ?2)
                 ORDER BY ended DESC, run_id DESC",
            )
            .map_err(&doing)?;
        let mut rows =
            statement.query(params![question.before.0, question.before.1]).map_err(&doing)?;
        while let Some(row) = rows.next().map_err(&doing)? {
            if own.contains(&row.get::<_, i64>(0).map_err(&doing)?) {
                continue;
            }
            let trend: String = row.get(1).map_err(&doing)?;
            let asked: Option<String> = row.get(2).map_err(&doing)?;
            return self.previous(&trend, asked.as_deref()).map(Some);
        }
        Ok(None)
    }

    fn previous(&self, trend: &str, asked: Option<&str>) -> Result<PreviousReport> {
        let wrong = |error: serde_json::Error| {
            self.damaged(format!("a run's figures that are not: {error}"))
        };
        let trend: TrendEntry = serde_json::from_str(trend).map_err(wrong)?;
        let asked: Option<Terms> = asked.map(serde_json::from_str).transpose().map_err(wrong)?;
        let (mode, domain, expected_ip, selection) = match asked {
            Some(Terms { mode, domain, expected_ip, selection }) => {
                (Some(mode), Some(domain), expected_ip, Some(selection))
            }
            None => (None, None, None, None),
        };
        Ok(PreviousReport {
            run_id: Some(trend.run_id),
            timestamp: trend.timestamp,
            total_relays: trend.total_relays,
            dns_success_rate_percent: trend.dns_success_rate_percent,
            mode,
            domain,
            expected_ip,
            selection,
        })
    }

    fn published_after(&self, question: &FoldQuestion<'_>) -> Result<Option<DateTime<Utc>>> {
        let doing = self.sqlite("read");
        let own = super::own_runs(&self.connection, question.run_ids).map_err(&doing)?;
        let mut statement = self
            .connection
            .prepare(
                "SELECT run, ended FROM run WHERE standing = 3 AND (ended, run_id) > (?1, ?2)
                 ORDER BY ended DESC, run_id DESC LIMIT 2",
            )
            .map_err(&doing)?;
        let mut rows =
            statement.query(params![question.before.0, question.before.1]).map_err(&doing)?;
        while let Some(row) = rows.next().map_err(&doing)? {
            if !own.contains(&row.get::<_, i64>(0).map_err(&doing)?) {
                return self.time(row.get(1).map_err(&doing)?).map(Some);
            }
        }
        Ok(None)
    }

    /// The runs that were held back since the newest published one before this place, newest first,
    /// and asked for the same.
    ///
    /// # Errors
    ///
    /// [`HistoryError`].
    pub fn held_before(
        &self,
        time: DateTime<Utc>,
        run_ids: &[String],
        terms: &Terms,
    ) -> Result<Vec<HeldRun>> {
        let doing = self.sqlite("read");
        let own = super::own_runs(&self.connection, run_ids).map_err(&doing)?;
        let mut statement = self
            .connection
            .prepare(
                "SELECT run, run_id, standing, trend, asked FROM run
                 WHERE standing > 0 AND (ended, run_id) < (?1, ?2)
                 ORDER BY ended DESC, run_id DESC",
            )
            .map_err(&doing)?;
        let mut rows =
            statement.query(params![time.timestamp(), run_ids.join("+")]).map_err(&doing)?;
        let mut held = Vec::new();
        while let Some(row) = rows.next().map_err(&doing)? {
            if own.contains(&row.get::<_, i64>(0).map_err(&doing)?) {
                continue;
            }
            let standing: i64 = row.get(2).map_err(&doing)?;
            if standing == Standing::Published as i64 {
                break;
            }
            let trend: String = row.get(3).map_err(&doing)?;
            let trend: TrendEntry = serde_json::from_str(&trend)
                .map_err(|error| self.damaged(format!("a run's figures that are not: {error}")))?;
            let asked: Option<String> = row.get(4).map_err(&doing)?;
            let alike = asked
                .and_then(|asked| serde_json::from_str::<Terms>(&asked).ok())
                .is_some_and(|asked| asked == *terms);
            if alike && !trend.published {
                held.push(HeldRun {
                    run_id: row.get(1).map_err(&doing)?,
                    timestamp: trend.timestamp,
                    total_relays: trend.total_relays,
                    dns_success_rate_percent: trend.dns_success_rate_percent,
                    reasons: trend.reasons,
                    counts: standing >= Standing::Counted as i64,
                });
            }
        }
        Ok(held)
    }

    /// Puts what is known from before all rows into a history that has none yet.
    ///
    /// # Errors
    ///
    /// [`HistoryError`]; the history is then as it was.
    pub fn seed(
        &mut self,
        relays: &BTreeMap<Fingerprint, KnownRelay>,
        time: DateTime<Utc>,
        run_id: &str,
    ) -> Result<()> {
        let doing = self.sqlite("write");
        let transaction = self.transaction().map_err(&doing)?;
        seed(&transaction, relays, &(time.timestamp(), run_id.to_owned()))
            .and_then(|()| transaction.commit())
            .map_err(doing)
    }

    /// The time up to which all that is known is in the base: earlier runs change nothing.
    ///
    /// # Errors
    ///
    /// [`HistoryError`].
    pub fn begins(&self) -> Result<Option<DateTime<Utc>>> {
        let ended: Option<i64> = self
            .connection
            .query_row("SELECT ended FROM point WHERE point = 0", [], |row| row.get(0))
            .optional()
            .map_err(self.sqlite("read"))?;
        ended.map(|ended| self.time(ended)).transpose()
    }

    /// Whether it was layout 1, where streaks were carried in the reports, and nothing has been taken
    /// over from one since ([`History::adopt`]).
    ///
    /// # Errors
    ///
    /// [`HistoryError`].
    pub fn waits_for_a_report(&self) -> Result<bool> {
        self.connection
            .query_row("SELECT EXISTS (SELECT 1 FROM flag WHERE name = 'adopt')", [], |row| {
                row.get(0)
            })
            .map_err(self.sqlite("read"))
    }

    /// Takes over from the newest published report what it knows from before the rows. Once is
    /// enough.
    ///
    /// # Errors
    ///
    /// [`HistoryError`]; the history is then as it was.
    pub fn adopt(&mut self, prior: &PriorReport) -> Result<()> {
        let doing = self.sqlite("write");
        let PriorHead { report, run_ids, .. } = &prior.head;
        // As if a run came just after it: every run up to the report's own is folded.
        let fold = self.fold_to(&(report.timestamp.timestamp(), run_ids.join("+")))?;
        let first: Option<Position> = self
            .connection
            .query_row(
                "SELECT ended, run_id FROM run WHERE standing >= 2 ORDER BY ended, run_id LIMIT 1",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()
            .map_err(&doing)?;
        let mut older = BTreeMap::new();
        if let Some((ended, _)) = &first {
            let begins = self.time(*ended)?;
            let mut number = self
                .connection
                .prepare("SELECT relay FROM relay WHERE fingerprint = ?1")
                .map_err(&doing)?;
            let tracks: HashMap<i64, &Track> = fold.remembered(report.timestamp).collect();
            for (fingerprint, known) in &prior.relays {
                let relay: Option<i64> = number
                    .query_row([fingerprint.as_bytes()], |row| row.get(0))
                    .optional()
                    .map_err(&doing)?;
                let track = relay.and_then(|relay| tracks.get(&relay).copied());
                let recent = match track {
                    Some(track) => fold.recent(track),
                    None => ".".repeat(fold.times().len()),
                };
                if let Some(known) = from_before(known, track, &recent, begins) {
                    older.insert(*fingerprint, known);
                }
            }
        }
        let transaction = self.transaction().map_err(&doing)?;
        let done = match first {
            Some((ended, _)) => seed(&transaction, &older, &(ended, String::new())),
            None => Ok(()),
        };
        done.and_then(|()| transaction.execute("DELETE FROM flag WHERE name = 'adopt'", []))
            .and_then(|_| transaction.commit())
            .map_err(doing)
    }
}

/// The runs that count, by number and place, and the place up to which they are as ever.
struct FoldedRuns {
    counted: Vec<(i64, Position)>,
    bound: Position,
}

/// The first place after one.
fn just_after(at: &Position) -> Position {
    // No run id has such a character.
    (at.0, format!("{}\u{1}", at.1))
}

/// What a report knows of a relay that its rows, which begin at `begins`, do not.
fn from_before(
    known: &KnownRelay,
    track: Option<&Track>,
    recent: &str,
    begins: DateTime<Utc>,
) -> Option<KnownRelay> {
    let Some(track) = track else {
        let strip = known.recent.strip_suffix(recent).unwrap_or_default().to_owned();
        return (known.last_seen < begins).then(|| KnownRelay { recent: strip, ..known.clone() });
    };
    let (ours, theirs) = (track.streak, known.streak);
    // A success in the rows ends whatever was before them.
    let cleared = ours.last_success.is_some();
    let streak = Streak {
        consecutive_failures: theirs.consecutive_failures.saturating_sub(ours.consecutive_failures),
        failing_since: theirs.failing_since,
        last_success: theirs.last_success,
        unreachable_runs: theirs.unreachable_runs.saturating_sub(ours.unreachable_runs),
    };
    let streak = if cleared { Streak::default() } else { streak };
    let streak = if streak.consecutive_failures == 0 {
        Streak { failing_since: None, ..streak }
    } else {
        streak
    };
    let strip = known.recent.strip_suffix(recent).unwrap_or_default().to_owned();
    if streak == Streak::default() && strip.is_empty() {
        return None;
    }
    Some(KnownRelay { streak, before: streak, recent: strip, last_seen: begins, ..known.clone() })
}

/// Writes the base: what is known at this place, from before all rows after it.
fn seed(
    connection: &Connection,
    relays: &BTreeMap<Fingerprint, KnownRelay>,
    at: &Position,
) -> rusqlite::Result<()> {
    forget_from(connection, at)?;
    for table in ["track", "point"] {
        connection.execute(&format!("DELETE FROM {table} WHERE point = {BASE}"), [])?;
    }
    connection.execute(
        "INSERT INTO point (point, ended, run_id, times) VALUES (0, ?1, ?2, '[]')",
        params![at.0, at.1],
    )?;
    let mut numbers = Relays::prepare(connection)?;
    let mut track = connection.prepare(TRACK)?;
    for (fingerprint, known) in relays {
        let seen = known.last_seen.timestamp();
        let address = known.address.to_string();
        let relay = numbers.number(*fingerprint, &known.nickname, &address, seen)?;
        put_track(&mut track, BASE, (relay, seen), &known.streak, [&known.recent, ""])?;
    }
    Ok(())
}

const TRACK: &str = "
    INSERT INTO track (point, relay, seen, failures, since, success, unreachable, strip, first)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

fn put_track(
    statement: &mut rusqlite::Statement<'_>,
    point: i64,
    (relay, seen): (i64, i64),
    streak: &Streak,
    [strip, first]: [&str; 2],
) -> rusqlite::Result<usize> {
    statement.execute(params![
        point,
        relay,
        seen,
        streak.consecutive_failures,
        streak.failing_since.map(|time| time.timestamp()),
        streak.last_success.map(|time| time.timestamp()),
        streak.unreachable_runs,
        strip,
        first,
    ])
}

/// Writes a point.
pub(super) fn put(
    connection: &Connection,
    point: i64,
    fold: &Fold,
    at: &Position,
    time: DateTime<Utc>,
) -> rusqlite::Result<()> {
    let times = serde_json::to_string(&fold.times()).unwrap_or_default();
    connection.execute(
        "INSERT INTO point (point, ended, run_id, times) VALUES (?1, ?2, ?3, ?4)",
        params![point, at.0, at.1, times],
    )?;
    let mut statement = connection.prepare(TRACK)?;
    let mut tracks: Vec<_> = fold.tracks(time).collect();
    tracks.sort_unstable_by_key(|(relay, ..)| *relay);
    for (relay, track, [strip, first]) in tracks {
        let seen = track.last_seen.timestamp();
        put_track(&mut statement, point, (relay, seen), &track.streak, [&strip, &first])?;
    }
    Ok(())
}

/// Forgets the points at or after a place: what counts before them has changed.
pub(super) fn forget_from(connection: &Connection, at: &Position) -> rusqlite::Result<()> {
    let from = "SELECT point FROM point WHERE point <> 0 AND (ended, run_id) >= (?1, ?2)";
    for table in ["track", "point"] {
        connection.execute(
            &format!("DELETE FROM {table} WHERE point IN ({from})"),
            params![at.0, at.1],
        )?;
    }
    Ok(())
}

impl Memory {
    /// As a report's base, with a note on the previous report where there is one to make.
    #[must_use]
    pub fn into_base(self, note: Option<String>) -> (Base, Past) {
        let previous = record::Previous {
            source: record::PreviousSource::History,
            note,
            report: self.previous,
        };
        (Base { previous, relays: self.relays, later: self.later.is_some() }, self.past)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_a_report_knows_is_kept_from_before_the_rows() {
        let at = |hour: i64| DateTime::from_timestamp(1_767_225_600 + hour * 3600, 0).unwrap();
        let known = |marks: &str, failures, unreachable| KnownRelay {
            nickname: String::new(),
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            last_seen: at(100),
            streak: Streak {
                consecutive_failures: failures,
                failing_since: (failures > 0).then(|| at(1)),
                last_success: Some(at(0)),
                unreachable_runs: unreachable,
            },
            before: Streak::default(),
            recent: marks.to_owned(),
        };
        let track = |marks: &str| {
            let mut fold = Fold::default();
            for (hour, mark) in (60..).zip(marks.chars()) {
                fold.run(at(hour));
                fold.result(1, mark, None);
            }
            fold.remembered(at(100)).next().unwrap().1.clone()
        };
        let before =
            |known: &KnownRelay, rows: &str| from_before(known, Some(&track(rows)), rows, at(60));
        let older = before(&known("sddddd", 5, 0), "ddd").unwrap();
        assert_eq!(older.streak.consecutive_failures, 2);
        assert_eq!(older.streak.failing_since, Some(at(1)));
        assert_eq!(older.recent, "sdd");
        let older = before(&known("dds", 0, 0), "s").unwrap();
        assert_eq!(older.streak, Streak::default(), "the success is in the rows");
        assert_eq!(before(&known("ss", 0, 0), "ss"), None);
    }
}
