//! The history: the memory of all verdicts, one row for each relay and run, in an SQLite database.
//! Owns everything that is read from it or written to it; decides nothing about relays. Its layout
//! is `layout`'s (`docs/formats/history.md`), what a report goes on from `memory`'s.
//!
//! Rows are clustered by run and then relay: a run is added, forgotten and folded as one range. A
//! run is added in one transaction, with SQLite's rollback journal and full syncing: a kill or a
//! full disk leaves the database as it was before.
//!
//! A run is entered when it is read, and settled when what becomes of it is in place: what a kill
//! leaves between the two is put right by [`crate::reconcile`].

pub mod export;
mod layout;
mod memory;
mod proofs;
mod prune;
pub mod rebuild;
mod resolvers;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use record::{Fingerprint, Report, ReportedRelay, TrendEntry, of_recent_mark, recent_mark};
use rusqlite::{
    Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params,
};
use serde::{Deserialize, Serialize};

use crate::report;
use crate::resolver::FoundResolver;

pub use layout::{APPLICATION_ID, LAYOUT};
pub use memory::Memory;
pub use proofs::Checks;

/// How long to wait for another program that is writing, in milliseconds.
const BUSY_MS: u64 = 10_000;

/// A history.
#[derive(Debug)]
pub struct History {
    connection: Connection,
    path: PathBuf,
    layout: i64,
}

/// Why the history could not be used.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// SQLite's error: the file is damaged, another program holds it.
    #[error(
        "cannot {doing} the history {path:?}: {source}; if it is damaged, move it away and run \
         `exit-validator history rebuild`"
    )]
    Sqlite {
        /// What was being done.
        doing: &'static str,
        /// The database.
        path: PathBuf,
        /// SQLite's error.
        source: rusqlite::Error,
    },
    /// The disk took no more. The history itself is sound.
    #[error(
        "cannot {doing} the history {path:?}: the disk is full, or a limit of it is reached ({source})"
    )]
    Full {
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
    /// Written by an older program, and opened only to look.
    #[error(
        "the history {path:?} has the older layout {found}; the next report that is published \
         brings it to layout {LAYOUT}"
    )]
    Older {
        /// The database.
        path: PathBuf,
        /// The layout found.
        found: i64,
    },
    /// Something in it cannot be.
    #[error(
        "the history {path:?} holds {what}, which cannot be; move it away and run \
         `exit-validator history rebuild`"
    )]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What was found.
        what: String,
    },
}

impl HistoryError {
    fn sqlite(doing: &'static str, path: PathBuf, source: rusqlite::Error) -> Self {
        use rusqlite::ffi::{SQLITE_FULL, SQLITE_IOERR_WRITE};
        let code = source.sqlite_error().map(|error| error.extended_code);
        match code {
            Some(SQLITE_FULL | SQLITE_IOERR_WRITE) => Self::Full { doing, path, source },
            _ => Self::Sqlite { doing, path, source },
        }
    }
}

type Result<T> = std::result::Result<T, HistoryError>;

/// What became of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It was read, and its report is not in place yet.
    Entered = 0,
    /// The gate held it back: it counts for nothing.
    Held = 1,
    /// It counts, and never was `latest.json`: it came late, or it was held back for a change that
    /// later runs confirmed.
    Counted = 2,
    /// Its report replaced `latest.json`.
    Published = 3,
}

impl Standing {
    fn of(number: i64) -> Option<Self> {
        [Self::Entered, Self::Held, Self::Counted, Self::Published]
            .into_iter()
            .find(|standing| *standing as i64 == number)
    }
}

/// What entering a run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It was new.
    New,
    /// It was there with the same content: nothing changed.
    Same,
    /// It, or parts of it, were there with other content, for instance before the run was resumed
    /// or before the gate was forced: that was replaced.
    Replaced,
    /// It was there and counts, and this report of it was held back: nothing changed.
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

/// Why a run must not take the place of one that counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Clash {
    /// It shares inputs with it, and lacks others.
    #[error(
        "the run {run_id} was published with an input of this one and with others that are not \
         here; name all of its inputs, or none"
    )]
    Part {
        /// The run that counts.
        run_id: String,
    },
    /// It has fewer relays.
    #[error(
        "the run {run_id} was published with {published} relays and has {found} now: results are \
         missing from its directory"
    )]
    Fewer {
        /// The run that counts.
        run_id: String,
        /// Its relays.
        published: u32,
        /// The relays found now.
        found: u32,
    },
}

/// What a run asked for: the gate compares it with the next one's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    mode: record::Mode,
    domain: String,
    expected_ip: Option<std::net::IpAddr>,
    selection: record::ReportSelection,
}

impl Terms {
    /// What a report's run asked for.
    #[must_use]
    pub fn of_report(metadata: &record::Metadata) -> Self {
        Self {
            mode: metadata.mode,
            domain: metadata.domain.clone(),
            expected_ip: metadata.expected_ip,
            selection: metadata.selection.clone(),
        }
    }

    /// What a run asked for.
    #[must_use]
    pub fn of_run(facts: &crate::input::Facts) -> Self {
        Self {
            mode: facts.mode,
            domain: facts.domain.clone(),
            expected_ip: facts.expected_ip,
            selection: record::ReportSelection {
                filter: facts.selection.filter,
                country: facts.selection.country.clone(),
            },
        }
    }
}

/// A run whose report was not in place when the program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsettled {
    /// Its run id.
    pub run_id: String,
    /// What is to become of it, as the gate said.
    pub meant: Standing,
}

/// One of a relay's runs.
#[derive(Debug, Clone, PartialEq)]
pub struct StoryRun {
    /// When the run ended.
    pub ended: DateTime<Utc>,
    /// Its run id.
    pub run_id: String,
    /// Whether it counts.
    pub counted: bool,
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

/// The place of a run in time.
type Position = (i64, String);

impl History {
    /// Opens the history at `path`, and begins one where there is none.
    ///
    /// # Errors
    ///
    /// [`HistoryError`].
    pub fn open(path: &Path) -> Result<Self> {
        Self::with(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)
    }

    /// Opens a history that exists, and has this program's layout.
    ///
    /// # Errors
    ///
    /// [`HistoryError`].
    pub fn open_existing(path: &Path) -> Result<Self> {
        // For writing too, where that is allowed: a journal left by a killed writer must be rolled back by the reader.
        Self::with(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
    }

    /// Opens a history that exists and changes nothing, not even by rolling back what a killed
    /// writer left: that is then an error. One of an older layout tells its runs' times alone.
    ///
    /// # Errors
    ///
    /// [`HistoryError`].
    pub fn open_to_look(path: &Path) -> Result<Self> {
        Self::with(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
    }

    fn with(path: &Path, flags: OpenFlags) -> Result<Self> {
        let sqlite = |source| HistoryError::sqlite("open", path.to_owned(), source);
        let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            .map_err(sqlite)?;
        connection.busy_timeout(std::time::Duration::from_millis(BUSY_MS)).map_err(sqlite)?;
        connection
            .execute_batch(
                "PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL;
                 PRAGMA cache_size = -8000; PRAGMA trusted_schema = OFF;
                 PRAGMA cell_size_check = ON;",
            )
            .map_err(sqlite)?;
        let mut history = Self { connection, path: path.to_owned(), layout: LAYOUT };
        layout::prepare(&mut history, flags)?;
        Ok(history)
    }

    fn sqlite(&self, doing: &'static str) -> impl Fn(rusqlite::Error) -> HistoryError + use<> {
        let path = self.path.clone();
        move |source| HistoryError::sqlite(doing, path.clone(), source)
    }

    fn damaged(&self, what: impl Into<String>) -> HistoryError {
        HistoryError::Damaged { path: self.path.clone(), what: what.into() }
    }

    fn time(&self, seconds: i64) -> Result<DateTime<Utc>> {
        DateTime::from_timestamp(seconds, 0)
            .ok_or_else(|| self.damaged(format!("the time {seconds}")))
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

    fn transaction(&mut self) -> rusqlite::Result<Transaction<'_>> {
        self.connection.transaction_with_behavior(TransactionBehavior::Immediate)
    }

    /// Whether it knows nothing beside the runs with these ids.
    ///
    /// # Errors
    ///
    /// [`HistoryError`].
    pub fn is_empty_but_for(&self, run_ids: &[String]) -> Result<bool> {
        let doing = self.sqlite("read");
        let own = own_runs(&self.connection, run_ids).map_err(&doing)?;
        let known: i64 = self
            .connection
            .query_row(
                "SELECT (SELECT count(*) FROM run) + (SELECT count(*) FROM point WHERE point = 0)",
                [],
                |row| row.get(0),
            )
            .map_err(&doing)?;
        Ok(usize::try_from(known).unwrap_or(usize::MAX) <= own.len())
    }

    /// Whether a run that counts stands in the way of one with these ids and so many relays.
    ///
    /// # Errors
    ///
    /// [`HistoryError`].
    pub fn clash(&self, run_ids: &[String], relays: u32) -> Result<Option<Clash>> {
        let doing = self.sqlite("read");
        for run in own_runs(&self.connection, run_ids).map_err(&doing)? {
            let (run_id, standing): (String, i64) = self
                .connection
                .query_row("SELECT run_id, standing FROM run WHERE run = ?1", [run], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
                .map_err(&doing)?;
            if standing < Standing::Counted as i64 {
                continue;
            }
            if !run_id.split('+').all(|id| run_ids.iter().any(|own| own == id)) {
                return Ok(Some(Clash::Part { run_id }));
            }
            let published: u32 = self
                .connection
                .query_row("SELECT count(*) FROM result WHERE run = ?1", [run], |row| row.get(0))
                .map_err(&doing)?;
            if published > relays {
                return Ok(Some(Clash::Fewer { run_id, published, found: relays }));
            }
        }
        Ok(None)
    }

    /// Enters a report's run, in one transaction. Entering it again changes nothing; a run that it
    /// shares an id with (before it was resumed, or before another shard came) is replaced. It
    /// counts from [`History::settle`] on.
    ///
    /// # Errors
    ///
    /// [`HistoryError`]; the history is then as it was.
    pub fn enter(&mut self, report: &Report) -> Result<Added> {
        let doing = self.sqlite("write");
        let trend = report::trend(&report.metadata);
        let unwritable = |error: serde_json::Error| {
            self.damaged(format!("an entry that cannot be written: {error}"))
        };
        let meta = &report.metadata;
        let asked = Terms::of_report(meta);
        let texts = Texts {
            trend: serde_json::to_string(&trend).map_err(unwritable)?,
            asked: serde_json::to_string(&asked).map_err(unwritable)?,
        };
        let transaction = self.transaction().map_err(&doing)?;
        let added = enter(&transaction, report, &trend, &texts).map_err(&doing)?;
        match added {
            Added::Same | Added::Kept => transaction.rollback().map_err(&doing)?,
            Added::New | Added::Replaced => transaction.commit().map_err(&doing)?,
        }
        Ok(added)
    }

    /// Says what became of the run with this id, and that the runs `accepted` count from now on,
    /// where they stand in time.
    ///
    /// # Errors
    ///
    /// [`HistoryError`]; the history is then as it was.
    pub fn settle(&mut self, run_id: &str, standing: Standing, accepted: &[String]) -> Result<()> {
        let doing = self.sqlite("write");
        let transaction = self.transaction().map_err(&doing)?;
        let settle = |run_id: &str, standing: Standing| -> rusqlite::Result<()> {
            let before: Option<(i64, i64)> = transaction
                .query_row("SELECT standing, ended FROM run WHERE run_id = ?1", [run_id], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
                .optional()?;
            let Some((before, ended)) = before else { return Ok(()) };
            // What was published once stays so.
            if before >= standing as i64 {
                return Ok(());
            }
            transaction.execute(
                "UPDATE run SET standing = ?2 WHERE run_id = ?1",
                params![run_id, standing as i64],
            )?;
            if standing >= Standing::Counted && before < Standing::Counted as i64 {
                memory::forget_from(&transaction, &(ended, run_id.to_owned()))?;
            }
            Ok(())
        };
        accepted
            .iter()
            .try_for_each(|run_id| settle(run_id, Standing::Counted))
            .and_then(|()| settle(run_id, standing))
            .and_then(|()| transaction.commit())
            .map_err(doing)
    }

    /// The runs that were entered and not settled.
    ///
    /// # Errors
    ///
    /// [`HistoryError`].
    pub fn unsettled(&self) -> Result<Vec<Unsettled>> {
        let mut unsettled = Vec::new();
        for (run_id, trend) in self.texts("WHERE standing = 0")? {
            let meant = meant(trend.published, &trend.reasons);
            unsettled.push(Unsettled { run_id, meant });
        }
        Ok(unsettled)
    }

    /// Which of these runs are known; a joined one by any of its inputs.
    ///
    /// # Errors
    ///
    /// [`HistoryError`].
    pub fn knows(&self, run_ids: &str) -> Result<Option<Standing>> {
        let doing = self.sqlite("read");
        let ids: Vec<String> = run_ids.split('+').map(str::to_owned).collect();
        let mut best = None;
        for run in own_runs(&self.connection, &ids).map_err(&doing)? {
            let standing: i64 = self
                .connection
                .query_row("SELECT standing FROM run WHERE run = ?1", [run], |row| row.get(0))
                .map_err(&doing)?;
            best = best.max(Standing::of(standing));
        }
        Ok(best)
    }

    /// What became of the run of exactly these inputs, if it is known.
    ///
    /// # Errors
    ///
    /// [`HistoryError`].
    pub fn knows_exactly(&self, run_ids: &[String]) -> Result<Option<Standing>> {
        let standing: Option<i64> = self
            .connection
            .query_row("SELECT standing FROM run WHERE run_id = ?1", [run_ids.join("+")], |row| {
                row.get(0)
            })
            .optional()
            .map_err(self.sqlite("read"))?;
        Ok(standing.and_then(Standing::of))
    }

    /// When the newest run ended that is settled, and before this time.
    ///
    /// # Errors
    ///
    /// [`HistoryError`].
    pub fn newest_settled(&self, before: DateTime<Utc>) -> Result<Option<DateTime<Utc>>> {
        let query = "SELECT max(ended) FROM run WHERE standing > 0 AND ended < ?1";
        let newest: Option<i64> = self
            .connection
            .query_row(query, [before.timestamp()], |row| row.get(0))
            .map_err(self.sqlite("read"))?;
        newest.map(|seconds| self.time(seconds)).transpose()
    }

    /// The runs' ids and figures, oldest first.
    fn texts(&self, of: &str) -> Result<Vec<(String, TrendEntry)>> {
        let doing = self.sqlite("read");
        let mut statement = self
            .connection
            .prepare(&format!("SELECT run_id, trend FROM run {of} ORDER BY ended, run_id"))
            .map_err(&doing)?;
        let rows = statement
            .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))
            .map_err(&doing)?;
        rows.map(|row| {
            let (run_id, text) = row.map_err(&doing)?;
            let trend = serde_json::from_str(&text)
                .map_err(|error| self.damaged(format!("a run's figures that are not: {error}")))?;
            Ok((run_id, trend))
        })
        .collect()
    }

    /// One entry for each run, oldest first: whether it was published is what really became of
    /// it, but for `own`, of which that is said already.
    ///
    /// # Errors
    ///
    /// [`HistoryError`].
    pub fn trends(&self, own: Option<&str>) -> Result<Vec<TrendEntry>> {
        let doing = self.sqlite("read");
        let mut published: BTreeSet<String> = BTreeSet::new();
        let mut statement =
            self.connection.prepare("SELECT run_id FROM run WHERE standing = 3").map_err(&doing)?;
        let rows = statement.query_map([], |row| row.get(0)).map_err(&doing)?;
        for row in rows {
            published.insert(row.map_err(&doing)?);
        }
        let entries = self.texts("")?.into_iter().map(|(run_id, mut entry)| {
            if own != Some(run_id.as_str()) {
                entry.published = published.contains(&run_id);
            }
            entry
        });
        Ok(entries.collect())
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
                "SELECT run.ended, run.run_id, run.standing, result.mark, code.name,
                        result.resolve_ms, result.circuit_ms
                 FROM run CROSS JOIN result ON result.run = run.run AND result.relay = ?1
                 LEFT JOIN code USING (code) ORDER BY run.ended, run.run_id",
            )
            .map_err(&doing)?;
        let mut rows = statement.query([number]).map_err(&doing)?;
        let mut runs = Vec::new();
        while let Some(row) = rows.next().map_err(&doing)? {
            runs.push(StoryRun {
                ended: self.time(row.get(0).map_err(&doing)?)?,
                run_id: row.get(1).map_err(&doing)?,
                counted: row.get::<_, i64>(2).map_err(&doing)? >= Standing::Counted as i64,
                mark: self.mark(row, 3)?,
                code: row.get(4).map_err(&doing)?,
                resolve_ms: row.get(5).map_err(&doing)?,
                circuit_ms: row.get(6).map_err(&doing)?,
            });
        }
        Ok(Some(Story { fingerprint, nickname, address, runs }))
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

/// A run's texts in the database.
struct Texts {
    trend: String,
    asked: String,
}

/// What a run's report is meant to become, as the gate judged it. A run that is merely late counts
/// at its place in time.
#[must_use]
pub fn meant(open: bool, reasons: &[record::GateCode]) -> Standing {
    if open {
        Standing::Published
    } else if reasons == [record::GateCode::OlderThanPrevious] {
        Standing::Counted
    } else {
        Standing::Held
    }
}

fn enter(
    transaction: &Transaction<'_>,
    report: &Report,
    trend: &TrendEntry,
    texts: &Texts,
) -> rusqlite::Result<Added> {
    let run_ids: Vec<String> = trend.run_id.split('+').map(str::to_owned).collect();
    let own = own_runs(transaction, &run_ids)?;
    // As it is to stand: read back, it tells whether anything changed.
    let run = match own.first() {
        Some(run) => *run,
        None => transaction
            .query_row("SELECT coalesce(max(run), 0) + 1 FROM run", [], |row| row.get(0))?,
    };
    if own.len() == 1 && same(transaction, run, report, texts)? {
        return Ok(Added::Same);
    }
    if meant(trend.published, &trend.reasons) == Standing::Held && any_counts(transaction, &own)? {
        return Ok(Added::Kept);
    }
    for old in &own {
        let (ended, run_id, standing): (i64, String, i64) = transaction.query_row(
            "SELECT ended, run_id, standing FROM run WHERE run = ?1",
            [old],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        if standing >= Standing::Counted as i64 {
            memory::forget_from(transaction, &(ended, run_id))?;
        }
        remove(transaction, *old)?;
    }
    let ended = trend.timestamp.timestamp();
    transaction.execute(
        "INSERT INTO run (run, run_id, ended, standing, asked, trend) VALUES (?1, ?2, ?3, 0, ?4, ?5)",
        params![run, trend.run_id, ended, texts.asked, texts.trend],
    )?;
    let mut input = transaction.prepare("INSERT INTO run_input (input, run) VALUES (?1, ?2)")?;
    for id in &run_ids {
        input.execute(params![id, run])?;
    }
    insert_results(transaction, run, ended, report)?;
    Ok(if own.is_empty() { Added::New } else { Added::Replaced })
}

fn insert_results(
    transaction: &Transaction<'_>,
    run: i64,
    ended: i64,
    report: &Report,
) -> rusqlite::Result<()> {
    let mut relays = Relays::prepare(transaction)?;
    let mut code_in = transaction.prepare("INSERT OR IGNORE INTO code (name) VALUES (?1)")?;
    let mut code_of = transaction.prepare("SELECT code FROM code WHERE name = ?1")?;
    let mut codes: BTreeMap<&str, i64> = BTreeMap::new();
    let mut resolvers = resolvers::Resolvers::prepare(transaction)?;
    let mut rows = Vec::with_capacity(report.results.len());
    for row in &report.results {
        let address = row.exit_address.to_string();
        let relay = relays.number(row.exit_fingerprint, &row.exit_nickname, &address, ended)?;
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
        let cells = cells(row, report.metadata.timestamp);
        let resolver = cells.resolver.as_deref().map(|addresses| resolvers.number(addresses));
        rows.push((relay, code, resolver.transpose()?, cells));
    }
    // In the order of the table, so that it grows at its end.
    rows.sort_unstable_by_key(|(relay, ..)| *relay);
    let mut result = transaction.prepare(
        "INSERT INTO result
             (run, relay, mark, code, resolve_ms, circuit_ms, first, resolver, checks)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    for (relay, code, resolver, cells) in rows {
        let Cells { mark, resolve_ms, circuit_ms, first, checks, .. } = cells;
        let row = params![run, relay, mark, code, resolve_ms, circuit_ms, first, resolver, checks];
        result.execute(row)?;
    }
    Ok(())
}

/// Finds relays' numbers, and gives them to those that have none.
struct Relays<'a> {
    find: rusqlite::Statement<'a>,
    update: rusqlite::Statement<'a>,
    insert: rusqlite::Statement<'a>,
}

impl<'a> Relays<'a> {
    fn prepare(connection: &'a Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            find: connection.prepare(
                "SELECT relay, nickname, address, seen FROM relay WHERE fingerprint = ?1",
            )?,
            update: connection.prepare(
                "UPDATE relay SET nickname = ?2, address = ?3, seen = ?4 WHERE relay = ?1",
            )?,
            insert: connection.prepare(
                "INSERT INTO relay (fingerprint, nickname, address, seen) VALUES (?1, ?2, ?3, ?4)",
            )?,
        })
    }

    /// The number of a relay that was seen then. The latest run says what it is called.
    fn number(
        &mut self,
        fingerprint: Fingerprint,
        nickname: &str,
        address: &str,
        seen: i64,
    ) -> rusqlite::Result<i64> {
        let key = fingerprint.as_bytes();
        let found = self
            .find
            .query_row([key], |row| {
                // A day is near enough: it tells when a relay can be forgotten.
                let stale = row.get::<_, i64>(3)? + 86_400 <= seen;
                let later = row.get::<_, i64>(3)? <= seen;
                let same =
                    row.get_ref(1)?.as_str()? == nickname && row.get_ref(2)?.as_str()? == address;
                Ok((row.get::<_, i64>(0)?, stale || (later && !same)))
            })
            .optional()?;
        match found {
            Some((relay, false)) => Ok(relay),
            Some((relay, true)) => {
                self.update.execute(params![relay, nickname, address, seen])?;
                Ok(relay)
            }
            None => self.insert.insert(params![key, nickname, address, seen]),
        }
    }
}

fn remove(transaction: &Transaction<'_>, run: i64) -> rusqlite::Result<()> {
    for table in ["result", "run_input", "run"] {
        transaction.execute(&format!("DELETE FROM {table} WHERE run = ?1"), [run])?;
    }
    Ok(())
}

fn any_counts(transaction: &Transaction<'_>, runs: &BTreeSet<i64>) -> rusqlite::Result<bool> {
    let mut statement = transaction.prepare("SELECT standing >= 2 FROM run WHERE run = ?1")?;
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
    /// The mark of the first answer.
    first: Option<String>,
    /// Who asked for its names.
    resolver: Option<String>,
    /// What was found of that resolver.
    checks: Option<String>,
}

fn cells(row: &ReportedRelay, run: DateTime<Utc>) -> Cells {
    #[expect(clippy::cast_possible_truncation, reason = "`as` saturates; times are below a day")]
    let whole = |time: Option<record::Millis>| time.map(|time| time.get().round() as i64);
    let found = row.resolver.as_ref().map(|resolver| FoundResolver::of_report(resolver, run));
    let found = found.unwrap_or_default();
    Cells {
        mark: recent_mark(row.status, row.provisional).to_string(),
        resolve_ms: whole(row.timing.resolve_ms),
        circuit_ms: whole(row.timing.circuit_ms),
        first: row.first.map(|first| recent_mark(first.status, false).to_string()),
        resolver: resolvers::addresses_text(&found),
        checks: resolvers::checks_text(&found),
    }
}

/// Whether the run is there with just this content.
fn same(
    transaction: &Transaction<'_>,
    run: i64,
    report: &Report,
    texts: &Texts,
) -> rusqlite::Result<bool> {
    let stored: (String, Option<String>) =
        transaction.query_row("SELECT trend, asked FROM run WHERE run = ?1", [run], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    if stored.0 != texts.trend || stored.1.is_some_and(|asked| asked != texts.asked) {
        return Ok(false);
    }
    let mut statement = transaction.prepare(
        "SELECT mark, code.name, resolve_ms, circuit_ms, first, resolver.addresses, checks
         FROM relay CROSS JOIN result USING (relay) LEFT JOIN code USING (code)
             LEFT JOIN resolver USING (resolver)
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
                    first: found.get(4)?,
                    resolver: found.get(5)?,
                    checks: found.get(6)?,
                };
                Ok((code, cells))
            })
            .optional()?;
        let code = row.error_code.map(|code| code.as_str().to_owned());
        if stored != Some((code, cells(row, report.metadata.timestamp))) {
            return Ok(false);
        }
    }
    // The number of relays is among the figures compared first: there is no further row.
    Ok(true)
}
