//! The history: one row for each relay and run, in an SQLite database. Owns the database's layout
//! (`docs/formats/history.md`) and everything that is read from it or written to it; decides
//! nothing about relays.
//!
//! Rows are clustered by relay and then run, so that a relay's last runs lie together: a report
//! reads the last rows of each of its relays, and a relay's story is one range. Runs and relays
//! are small integers in them. A run is added in one transaction, with SQLite's rollback journal
//! and full syncing: a kill or a full disk leaves the database as it was before.

pub mod export;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use record::{
    ABSENT_MARK, Fingerprint, Previous, PreviousSource, RECENT_RUNS, Report, ReportedRelay, Streak,
    TrendEntry, of_recent_mark, recent_mark,
};
use rusqlite::{
    Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params,
};

use crate::previous::{Base, Known};
use crate::report::{self, Past, PastRelay};
use crate::streak;

/// The version of the layout that this program writes, in SQLite's `user_version`.
pub const LAYOUT: i64 = 1;

/// SQLite's `application_id` of a history: "exit" in ASCII.
pub const APPLICATION_ID: i64 = 0x6578_6974;

/// How long to wait for another program that is writing, in milliseconds.
const BUSY_MS: u64 = 10_000;

/// How many runs before it a report without a previous report is rebuilt from: a year of six-hourly
/// runs would make the first report slow, and a streak of three months is long enough.
const REPLAYED_RUNS: usize = 360;

const SCHEMA: &str = "
CREATE TABLE run (
    run       INTEGER PRIMARY KEY,
    run_id    TEXT NOT NULL UNIQUE,
    ended     INTEGER NOT NULL,
    published INTEGER NOT NULL CHECK (published IN (0, 1)),
    trend     TEXT NOT NULL
);
CREATE INDEX run_by_end ON run (ended);
CREATE TABLE run_input (
    input TEXT PRIMARY KEY,
    run   INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE relay (
    relay       INTEGER PRIMARY KEY,
    fingerprint BLOB NOT NULL UNIQUE CHECK (length(fingerprint) = 20),
    nickname    TEXT NOT NULL,
    address     TEXT NOT NULL
);
CREATE TABLE code (
    code INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);
CREATE TABLE result (
    relay      INTEGER NOT NULL,
    run        INTEGER NOT NULL,
    mark       TEXT NOT NULL,
    code       INTEGER,
    resolve_ms INTEGER,
    circuit_ms INTEGER,
    PRIMARY KEY (relay, run)
) WITHOUT ROWID;
";

/// A history.
#[derive(Debug)]
pub struct History {
    connection: Connection,
    path: PathBuf,
}

/// Why the history could not be used.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// SQLite's error: the disk is full, the file is damaged, another program holds it.
    #[error(
        "cannot {doing} the history {path:?}: {source}; if it is damaged, move it away: the next \
         run begins a new one"
    )]
    Sqlite {
        /// What was being done.
        doing: &'static str,
        /// The database.
        path: PathBuf,
        /// SQLite's error.
        source: rusqlite::Error,
    },
    /// A database of something else.
    #[error(
        "{path:?} is a database, but not a history of exit relays; name another --history file"
    )]
    Foreign {
        /// The database.
        path: PathBuf,
    },
    /// Written by a newer program.
    #[error(
        "the history {path:?} has layout {found}, which this program does not know (it knows 1 to \
         {LAYOUT}); use the newer program that wrote it"
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// The layout found.
        found: i64,
    },
    /// Something in it cannot be.
    #[error(
        "the history {path:?} holds {what}, which cannot be; move it away: the next run begins a new one"
    )]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What was found.
        what: String,
    },
}

type Result<T> = std::result::Result<T, HistoryError>;

/// What adding a run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It was new.
    New,
    /// It was there with the same content: nothing changed.
    Same,
    /// It, or parts of it, were there with other content, for instance before the run was resumed
    /// or before the gate was forced: that was replaced.
    Replaced,
    /// It was there as it was published, and this report of it was held back: nothing changed.
    Kept,
}

impl Added {
    /// What was done, for the log.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::New => "the run was added",
            Self::Same => "the run was there already",
            Self::Replaced => "the run was there with other content, which was replaced",
            Self::Kept => "the run is kept as it was published",
        }
    }
}

/// One of a relay's runs.
#[derive(Debug, Clone, PartialEq)]
pub struct StoryRun {
    /// When the run ended.
    pub ended: DateTime<Utc>,
    /// Its run id.
    pub run_id: String,
    /// Whether it was published.
    pub published: bool,
    /// The mark of the result, as in `recent`.
    pub mark: char,
    /// The error code.
    pub code: Option<String>,
    /// The resolve time in milliseconds.
    pub resolve_ms: Option<u32>,
    /// The circuit's build time in milliseconds.
    pub circuit_ms: Option<u32>,
}

/// A relay's story.
#[derive(Debug, Clone, PartialEq)]
pub struct Story {
    /// The relay.
    pub fingerprint: Fingerprint,
    /// Its latest nickname: a stranger's text.
    pub nickname: String,
    /// Its latest address.
    pub address: String,
    /// Its runs, oldest first.
    pub runs: Vec<StoryRun>,
}

/// The runs that a report looks back on.
struct Window {
    /// The runs' numbers, with their ends, oldest first.
    runs: Vec<(i64, DateTime<Utc>)>,
}

impl History {
    /// Opens the history at `path`, and begins one where there is none.
    ///
    /// # Errors
    ///
    /// [`HistoryError`].
    pub fn open(path: &Path) -> Result<Self> {
        Self::with(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)
    }

    /// Opens a history that exists, for reading.
    ///
    /// # Errors
    ///
    /// [`HistoryError`].
    pub fn open_existing(path: &Path) -> Result<Self> {
        // For writing too, where that is allowed: a journal left by a killed writer must be rolled back by the reader.
        Self::with(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
    }

    /// Opens a history that exists and changes nothing, not even by rolling back what a killed
    /// writer left: that is then an error.
    ///
    /// # Errors
    ///
    /// [`HistoryError`].
    pub fn open_to_look(path: &Path) -> Result<Self> {
        Self::with(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
    }

    fn with(path: &Path, flags: OpenFlags) -> Result<Self> {
        let sqlite = |source| HistoryError::Sqlite { doing: "open", path: path.to_owned(), source };
        let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags).map_err(sqlite)?;
        connection.busy_timeout(std::time::Duration::from_millis(BUSY_MS)).map_err(sqlite)?;
        connection
            .execute_batch(
                "PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL;
                 PRAGMA cache_size = -24000; PRAGMA trusted_schema = OFF;
                 PRAGMA cell_size_check = ON;",
            )
            .map_err(sqlite)?;
        // One transaction, so that two programs that both find no history make one.
        let transaction = connection
            .transaction_with_behavior(if flags.contains(OpenFlags::SQLITE_OPEN_CREATE) {
                TransactionBehavior::Immediate
            } else {
                TransactionBehavior::Deferred
            })
            .map_err(sqlite)?;
        let pragma = |name: &str| {
            transaction.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(sqlite)
        };
        let tables: i64 = transaction
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .map_err(sqlite)?;
        match (pragma("application_id")?, pragma("user_version")?) {
            (0, 0) if tables == 0 => {
                transaction.execute_batch(SCHEMA).map_err(sqlite)?;
                transaction
                    .pragma_update(None, "application_id", APPLICATION_ID)
                    .and_then(|()| transaction.pragma_update(None, "user_version", LAYOUT))
                    .map_err(sqlite)?;
            }
            (APPLICATION_ID, LAYOUT) => {}
            (APPLICATION_ID, found) => {
                return Err(HistoryError::Newer { path: path.to_owned(), found });
            }
            _ => return Err(HistoryError::Foreign { path: path.to_owned() }),
        }
        transaction.commit().map_err(sqlite)?;
        Ok(Self { connection, path: path.to_owned() })
    }

    fn sqlite(&self, doing: &'static str) -> impl Fn(rusqlite::Error) -> HistoryError + use<> {
        let path = self.path.clone();
        move |source| HistoryError::Sqlite { doing, path: path.clone(), source }
    }

    fn damaged(&self, what: impl Into<String>) -> HistoryError {
        HistoryError::Damaged { path: self.path.clone(), what: what.into() }
    }

    /// The published runs that ended before `time` and share no id with `run_ids`.
    fn window(&self, time: DateTime<Utc>, run_ids: &[String], most: usize) -> Result<Window> {
        let doing = self.sqlite("read");
        let own = own_runs(&self.connection, run_ids).map_err(&doing)?;
        let mut statement = self
            .connection
            .prepare(
                "SELECT run, ended FROM run WHERE published = 1 AND ended < ?1
                 ORDER BY ended DESC, run DESC",
            )
            .map_err(&doing)?;
        let rows = statement
            .query_map([time.timestamp()], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
            .map_err(&doing)?;
        let mut runs = Vec::new();
        for row in rows {
            let (run, ended) = row.map_err(&doing)?;
            if !own.contains(&run) {
                runs.push((run, self.time(ended)?));
            }
            if runs.len() == most {
                break;
            }
        }
        runs.reverse();
        Ok(Window { runs })
    }

    fn time(&self, seconds: i64) -> Result<DateTime<Utc>> {
        DateTime::from_timestamp(seconds, 0)
            .ok_or_else(|| self.damaged(format!("the time {seconds}")))
    }

    /// What the history says of `relays` before the run with these ids, which ended at `time`.
    ///
    /// # Errors
    ///
    /// [`HistoryError`].
    pub fn past(
        &self,
        relays: impl IntoIterator<Item = Fingerprint>,
        run_ids: &[String],
        time: DateTime<Utc>,
    ) -> Result<Past> {
        let doing = self.sqlite("read");
        // A month of runs every ten minutes, and the last 60 however old they are.
        let window = self.window(time, run_ids, 4500)?;
        let month = time - TimeDelta::days(30);
        let week = time - TimeDelta::days(7);
        let older = window.runs.len().saturating_sub(RECENT_RUNS);
        let kept = window.runs.partition_point(|(_, ended)| *ended <= month).min(older);
        let runs = &window.runs[kept..];
        let position: HashMap<i64, usize> =
            runs.iter().enumerate().map(|(position, (run, _))| (*run, position)).collect();
        let in_month = runs.partition_point(|(_, ended)| *ended <= month);
        let in_week = runs.partition_point(|(_, ended)| *ended <= week);
        let recent_from = runs.len().saturating_sub(RECENT_RUNS);
        let Some(first) = runs.iter().map(|(run, _)| *run).min() else {
            return Ok(Past::default());
        };

        let mut numbers = self
            .connection
            .prepare("SELECT relay FROM relay WHERE fingerprint = ?1")
            .map_err(&doing)?;
        let mut rows = self
            .connection
            .prepare("SELECT run, mark FROM result WHERE relay = ?1 AND run >= ?2")
            .map_err(&doing)?;
        let mut past = Past::default();
        let mut marks = vec![ABSENT_MARK; runs.len()];
        for fingerprint in relays {
            let number = numbers
                .query_row([fingerprint.as_bytes()], |row| row.get::<_, i64>(0))
                .optional()
                .map_err(&doing)?;
            let Some(number) = number else { continue };
            marks.fill(ABSENT_MARK);
            let mut found = rows.query([number, first]).map_err(&doing)?;
            while let Some(row) = found.next().map_err(&doing)? {
                let run = row.get::<_, i64>(0).map_err(&doing)?;
                if let Some(position) = position.get(&run) {
                    marks[*position] = self.mark(row, 1)?;
                }
            }
            let mut relay = PastRelay::default();
            for (position, mark) in marks.iter().enumerate().skip(in_month.min(in_week)) {
                if let Some((status, provisional)) = of_recent_mark(*mark) {
                    let effect = streak::effect(status, provisional);
                    relay.month.add(effect);
                    if position >= in_week {
                        relay.week.add(effect);
                    }
                }
            }
            let recent: String = marks[recent_from..].iter().collect();
            recent.trim_start_matches(ABSENT_MARK).clone_into(&mut relay.recent);
            past.relays.insert(fingerprint, relay);
        }
        Ok(past)
    }

    fn mark(&self, row: &rusqlite::Row<'_>, column: usize) -> Result<char> {
        let text = row.get_ref(column).and_then(|value| Ok(value.as_str()?));
        let text = text.map_err(self.sqlite("read"))?;
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(mark), None) if of_recent_mark(mark).is_some() => Ok(mark),
            _ => Err(self.damaged(format!("the mark {text:?}"))),
        }
    }

    /// What a run goes on from where there is no previous report: the streaks that the published
    /// runs before it give, the last 360 of them.
    ///
    /// # Errors
    ///
    /// [`HistoryError`].
    pub fn base(&self, run_ids: &[String], time: DateTime<Utc>, note: String) -> Result<Base> {
        let doing = self.sqlite("read");
        let window = self.window(time, run_ids, REPLAYED_RUNS)?;
        let Some(first) = window.runs.iter().map(|(run, _)| *run).min() else {
            return Ok(Base::none(note));
        };
        let position: HashMap<i64, usize> =
            window.runs.iter().enumerate().map(|(position, (run, _))| (*run, position)).collect();
        let mut relays = self
            .connection
            .prepare("SELECT relay, fingerprint, nickname, address FROM relay")
            .map_err(&doing)?;
        let mut results = self
            .connection
            .prepare("SELECT run, mark FROM result WHERE relay = ?1 AND run >= ?2")
            .map_err(&doing)?;
        let mut known = BTreeMap::new();
        let mut rows = relays.query([]).map_err(&doing)?;
        while let Some(row) = rows.next().map_err(&doing)? {
            let number: i64 = row.get(0).map_err(&doing)?;
            let fingerprint = Fingerprint::from_bytes(row.get(1).map_err(&doing)?);
            let address: String = row.get(3).map_err(&doing)?;
            let mut marks = BTreeMap::new();
            let mut found = results.query([number, first]).map_err(&doing)?;
            while let Some(row) = found.next().map_err(&doing)? {
                let run = row.get::<_, i64>(0).map_err(&doing)?;
                if let Some(position) = position.get(&run) {
                    marks.insert(*position, self.mark(row, 1)?);
                }
            }
            let Some(last) = marks.keys().next_back().copied() else { continue };
            let last_seen = window.runs[last].1;
            if time - last_seen > streak::FORGET_AFTER {
                continue;
            }
            let (mut streak, mut before, mut recent) =
                (Streak::default(), Streak::default(), String::new());
            for (position, (_, ended)) in window.runs.iter().enumerate() {
                let mark = marks.get(&position).copied().unwrap_or(ABSENT_MARK);
                if let Some((status, provisional)) = of_recent_mark(mark) {
                    before = streak;
                    streak = streak::after(streak, streak::effect(status, provisional), *ended);
                }
                recent.push(mark);
            }
            let from = recent.len().saturating_sub(RECENT_RUNS);
            let recent = recent[from..].trim_start_matches(ABSENT_MARK).to_owned();
            let known_relay = Known {
                nickname: row.get(2).map_err(&doing)?,
                address: address.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
                last_seen,
                streak,
                before,
                recent,
            };
            known.insert(fingerprint, known_relay);
        }
        let previous = Previous { source: PreviousSource::History, note: Some(note), report: None };
        Ok(Base { previous, relays: known, later: false })
    }

    /// Adds a report's run, in one transaction. Adding it again changes nothing; a run that it
    /// shares an id with (before it was resumed, or before another shard came) is replaced.
    ///
    /// # Errors
    ///
    /// [`HistoryError`]; the history is then as it was.
    pub fn add(&mut self, report: &Report) -> Result<Added> {
        let doing = self.sqlite("write");
        let trend = report::trend(&report.metadata);
        let text = serde_json::to_string(&trend)
            .map_err(|error| self.damaged(format!("an entry that cannot be written: {error}")))?;
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(&doing)?;
        let added = add(&transaction, report, &trend, &text).map_err(&doing)?;
        match added {
            Added::Same | Added::Kept => transaction.rollback().map_err(&doing)?,
            Added::New | Added::Replaced => transaction.commit().map_err(&doing)?,
        }
        Ok(added)
    }

    /// One entry for each run, oldest first.
    ///
    /// # Errors
    ///
    /// [`HistoryError`].
    pub fn trends(&self) -> Result<Vec<TrendEntry>> {
        let doing = self.sqlite("read");
        let mut statement = self
            .connection
            .prepare("SELECT trend FROM run ORDER BY ended, run_id")
            .map_err(&doing)?;
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).map_err(&doing)?;
        rows.map(|row| {
            let text = row.map_err(&doing)?;
            serde_json::from_str(&text)
                .map_err(|error| self.damaged(format!("a run's figures that are not: {error}")))
        })
        .collect()
    }

    /// A relay's story; `None` of a relay that no run has seen.
    ///
    /// # Errors
    ///
    /// [`HistoryError`].
    pub fn story(&self, fingerprint: Fingerprint) -> Result<Option<Story>> {
        let doing = self.sqlite("read");
        let relay = self
            .connection
            .query_row(
                "SELECT relay, nickname, address FROM relay WHERE fingerprint = ?1",
                [fingerprint.as_bytes()],
                |row| Ok((row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?)),
            )
            .optional()
            .map_err(&doing)?;
        let Some((number, nickname, address)) = relay else { return Ok(None) };
        let mut statement = self
            .connection
            .prepare(
                "SELECT run.ended, run.run_id, run.published, result.mark, code.name,
                        result.resolve_ms, result.circuit_ms
                 FROM result JOIN run USING (run) LEFT JOIN code USING (code)
                 WHERE result.relay = ?1 ORDER BY run.ended, run.run_id",
            )
            .map_err(&doing)?;
        let mut rows = statement.query([number]).map_err(&doing)?;
        let mut runs = Vec::new();
        while let Some(row) = rows.next().map_err(&doing)? {
            runs.push(StoryRun {
                ended: self.time(row.get(0).map_err(&doing)?)?,
                run_id: row.get(1).map_err(&doing)?,
                published: row.get(2).map_err(&doing)?,
                mark: self.mark(row, 3)?,
                code: row.get(4).map_err(&doing)?,
                resolve_ms: row.get(5).map_err(&doing)?,
                circuit_ms: row.get(6).map_err(&doing)?,
            });
        }
        Ok(Some(Story { fingerprint, nickname, address, runs }))
    }

    /// Forgets runs that ended before `time`, and relays that no run is left of; returns how many
    /// runs that were. The file keeps its size: later runs use the room.
    ///
    /// # Errors
    ///
    /// [`HistoryError`]; the history is then as it was.
    pub fn prune(&mut self, time: DateTime<Utc>) -> Result<usize> {
        let doing = self.sqlite("prune");
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(&doing)?;
        let runs = prune(&transaction, time).map_err(&doing)?;
        transaction.commit().map_err(&doing)?;
        Ok(runs)
    }

    /// When the newest run ended; `None` where there is none.
    ///
    /// # Errors
    ///
    /// [`HistoryError`].
    pub fn newest(&self) -> Result<Option<DateTime<Utc>>> {
        let newest: Option<i64> = self
            .connection
            .query_row("SELECT max(ended) FROM run", [], |row| row.get(0))
            .map_err(self.sqlite("read"))?;
        newest.map(|seconds| self.time(seconds)).transpose()
    }

    /// How many runs ended before `time`.
    ///
    /// # Errors
    ///
    /// [`HistoryError`].
    pub fn runs_before(&self, time: DateTime<Utc>) -> Result<u32> {
        self.connection
            .query_row("SELECT count(*) FROM run WHERE ended < ?1", [time.timestamp()], |row| {
                row.get(0)
            })
            .map_err(self.sqlite("read"))
    }
}

/// The runs that share an id with these.
fn own_runs(connection: &Connection, run_ids: &[String]) -> rusqlite::Result<BTreeSet<i64>> {
    let mut statement = connection.prepare("SELECT run FROM run_input WHERE input = ?1")?;
    let mut runs = BTreeSet::new();
    for id in run_ids {
        runs.extend(statement.query_row([id], |row| row.get::<_, i64>(0)).optional()?);
    }
    Ok(runs)
}

fn add(
    transaction: &Transaction<'_>,
    report: &Report,
    trend: &TrendEntry,
    text: &str,
) -> rusqlite::Result<Added> {
    let run_ids: Vec<String> = trend.run_id.split('+').map(str::to_owned).collect();
    let own = own_runs(transaction, &run_ids)?;
    // As it is to stand: read back, it tells whether anything changed.
    let run = match own.first() {
        Some(run) => *run,
        None => transaction
            .query_row("SELECT coalesce(max(run), 0) + 1 FROM run", [], |row| row.get(0))?,
    };
    if own.len() == 1 && same(transaction, run, report, text)? {
        return Ok(Added::Same);
    }
    if !trend.published && any_published(transaction, &own)? {
        return Ok(Added::Kept);
    }
    for old in &own {
        transaction.execute(
            "DELETE FROM result WHERE run = ?1 AND relay IN (SELECT relay FROM relay)",
            [old],
        )?;
        transaction.execute("DELETE FROM run_input WHERE run = ?1", [old])?;
        transaction.execute("DELETE FROM run WHERE run = ?1", [old])?;
    }
    transaction.execute(
        "INSERT INTO run (run, run_id, ended, published, trend) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![run, trend.run_id, trend.timestamp.timestamp(), trend.published, text],
    )?;
    let mut input = transaction.prepare("INSERT INTO run_input (input, run) VALUES (?1, ?2)")?;
    for id in &run_ids {
        input.execute(params![id, run])?;
    }
    let mut relay = transaction.prepare(
        "INSERT INTO relay (fingerprint, nickname, address) VALUES (?1, ?2, ?3)
         ON CONFLICT (fingerprint) DO UPDATE SET nickname = ?2, address = ?3
         WHERE nickname <> ?2 OR address <> ?3",
    )?;
    let mut number = transaction.prepare("SELECT relay FROM relay WHERE fingerprint = ?1")?;
    let mut code_in = transaction.prepare("INSERT OR IGNORE INTO code (name) VALUES (?1)")?;
    let mut code_of = transaction.prepare("SELECT code FROM code WHERE name = ?1")?;
    let mut codes: BTreeMap<&str, i64> = BTreeMap::new();
    let mut result = transaction.prepare(
        "INSERT INTO result (relay, run, mark, code, resolve_ms, circuit_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for row in &report.results {
        let fingerprint = row.exit_fingerprint;
        relay.execute(params![
            fingerprint.as_bytes(),
            row.exit_nickname,
            row.exit_address.to_string()
        ])?;
        let number: i64 = number.query_row([fingerprint.as_bytes()], |row| row.get(0))?;
        let code = match row.error_code.map(record::ErrorCode::as_str) {
            None => None,
            Some(name) => Some(match codes.get(name) {
                Some(code) => *code,
                None => {
                    code_in.execute([name])?;
                    let code = code_of.query_row([name], |row| row.get(0))?;
                    codes.insert(name, code);
                    code
                }
            }),
        };
        let cells = cells(row);
        result.execute(params![
            number,
            run,
            cells.mark,
            code,
            cells.resolve_ms,
            cells.circuit_ms
        ])?;
    }
    Ok(if own.is_empty() { Added::New } else { Added::Replaced })
}

fn any_published(transaction: &Transaction<'_>, runs: &BTreeSet<i64>) -> rusqlite::Result<bool> {
    let mut statement = transaction.prepare("SELECT published FROM run WHERE run = ?1")?;
    for run in runs {
        if statement.query_row([run], |row| row.get(0))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What a row holds beside its keys and its code.
#[derive(PartialEq)]
struct Cells {
    mark: String,
    resolve_ms: Option<i64>,
    circuit_ms: Option<i64>,
}

fn cells(row: &ReportedRelay) -> Cells {
    #[expect(clippy::cast_possible_truncation, reason = "`as` saturates; times are below a day")]
    let whole = |time: Option<record::Millis>| time.map(|time| time.get().round() as i64);
    Cells {
        mark: recent_mark(row.status, row.provisional).to_string(),
        resolve_ms: whole(row.timing.resolve_ms),
        circuit_ms: whole(row.timing.circuit_ms),
    }
}

/// Whether the run is there with just this content.
fn same(
    transaction: &Transaction<'_>,
    run: i64,
    report: &Report,
    text: &str,
) -> rusqlite::Result<bool> {
    let stored: String =
        transaction.query_row("SELECT trend FROM run WHERE run = ?1", [run], |row| row.get(0))?;
    if stored != text {
        return Ok(false);
    }
    let mut statement = transaction.prepare(
        "SELECT mark, code.name, resolve_ms, circuit_ms
         FROM relay JOIN result USING (relay) LEFT JOIN code USING (code)
         WHERE relay.fingerprint = ?1 AND result.run = ?2",
    )?;
    for row in &report.results {
        let stored = statement
            .query_row(params![row.exit_fingerprint.as_bytes(), run], |found| {
                let code: Option<String> = found.get(1)?;
                let cells = Cells {
                    mark: found.get(0)?,
                    resolve_ms: found.get(2)?,
                    circuit_ms: found.get(3)?,
                };
                Ok((code, cells))
            })
            .optional()?;
        let code = row.error_code.map(|code| code.as_str().to_owned());
        if stored != Some((code, cells(row))) {
            return Ok(false);
        }
    }
    // The number of relays is among the figures compared first: there is no further row.
    Ok(true)
}

fn prune(transaction: &Transaction<'_>, time: DateTime<Utc>) -> rusqlite::Result<usize> {
    let old = "SELECT run FROM run WHERE ended < ?1";
    let time = [time.timestamp()];
    transaction.execute(&format!("DELETE FROM result WHERE run IN ({old})"), time)?;
    transaction.execute(&format!("DELETE FROM run_input WHERE run IN ({old})"), time)?;
    let runs = transaction.execute("DELETE FROM run WHERE ended < ?1", time)?;
    transaction.execute(
        "DELETE FROM relay
         WHERE NOT EXISTS (SELECT 1 FROM result WHERE result.relay = relay.relay)",
        [],
    )?;
    Ok(runs)
}
