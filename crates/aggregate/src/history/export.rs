//! The history for DuckDB, ClickHouse, pandas and spreadsheets: one row for each relay and run, as
//! CSV or as Parquet, by run, in the order of adding, and then by relay. The columns are described in
//! `docs/formats/history.md`.

#[cfg(feature = "parquet")]
mod columnar;

use std::collections::HashMap;
use std::io::{self, Write};

use chrono::{DateTime, SecondsFormat};
use record::{Fingerprint, of_recent_mark};

use super::{History, HistoryError};

#[cfg(feature = "parquet")]
pub use columnar::parquet;

/// The names of the columns, in their order.
pub const COLUMNS: [&str; 12] = [
    "ended",
    "run_id",
    "published",
    "fingerprint",
    "nickname",
    "address",
    "status",
    "provisional",
    "error_code",
    "resolve_ms",
    "circuit_ms",
    "first_status",
];

/// Why an export failed.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The history cannot be read.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The export cannot be written.
    #[error("cannot write the export: {0}")]
    Write(#[from] io::Error),
    /// The export cannot be written as Parquet.
    #[cfg(feature = "parquet")]
    #[error("cannot write the export as Parquet: {0}")]
    Parquet(#[from] parquet::errors::ParquetError),
}

impl From<csv::Error> for ExportError {
    fn from(error: csv::Error) -> Self {
        Self::Write(error.into())
    }
}

/// One row of an export.
struct ExportedRow<'a> {
    run: &'a ExportedRun,
    relay: &'a ExportedRelay,
    status: &'static str,
    provisional: bool,
    code: Option<&'a str>,
    resolve_ms: Option<i32>,
    circuit_ms: Option<i32>,
    first: Option<&'static str>,
}

struct ExportedRun {
    id: String,
    ended: i64,
    published: bool,
}

struct ExportedRelay {
    fingerprint: String,
    nickname: String,
    address: String,
}

/// Writes the whole history as CSV (RFC 4180), with a line of column names.
///
/// # Errors
///
/// [`ExportError`].
pub fn csv(history: &History, to: impl Write) -> Result<(), ExportError> {
    let mut writer = csv::Writer::from_writer(to);
    writer.write_record(COLUMNS)?;
    rows(history, |row| {
        let ended = DateTime::from_timestamp(row.run.ended, 0).unwrap_or_default();
        let number = |value: Option<i32>| value.map(|value| value.to_string()).unwrap_or_default();
        Ok(writer.write_record([
            ended.to_rfc3339_opts(SecondsFormat::Secs, true).as_str(),
            &row.run.id,
            if row.run.published { "true" } else { "false" },
            &row.relay.fingerprint,
            &row.relay.nickname,
            &row.relay.address,
            row.status,
            if row.provisional { "true" } else { "false" },
            row.code.unwrap_or_default(),
            &number(row.resolve_ms),
            &number(row.circuit_ms),
            row.first.unwrap_or_default(),
        ])?)
    })?;
    Ok(writer.flush()?)
}

/// Calls `each` with every row, by run and then by relay.
fn rows(
    history: &History,
    mut each: impl FnMut(ExportedRow<'_>) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let doing = history.sqlite("read");
    let read = |error| ExportError::History(doing(error));
    // One transaction, so that a run that is added meanwhile is in all tables or in none.
    let transaction = history.connection.unchecked_transaction().map_err(read)?;
    let runs = by_number(&transaction, "SELECT run, run_id, ended, standing FROM run", |row| {
        Ok(ExportedRun {
            id: row.get(1)?,
            ended: row.get(2)?,
            published: row.get::<_, i64>(3)? == 3,
        })
    })
    .map_err(read)?;
    let query = "SELECT relay, fingerprint, nickname, address FROM relay";
    let relays = by_number(&transaction, query, |row| {
        let fingerprint = Fingerprint::from_bytes(row.get(1)?).to_string();
        Ok(ExportedRelay { fingerprint, nickname: row.get(2)?, address: row.get(3)? })
    })
    .map_err(read)?;
    let codes: HashMap<i64, String> =
        by_number(&transaction, "SELECT code, name FROM code", |row| row.get(1)).map_err(read)?;
    let mut statement = transaction
        .prepare(
            "SELECT relay, run, mark, code, resolve_ms, circuit_ms, first FROM result
             ORDER BY run, relay",
        )
        .map_err(read)?;
    let mut rows = statement.query([]).map_err(read)?;
    while let Some(row) = rows.next().map_err(read)? {
        let relay: i64 = row.get(0).map_err(read)?;
        let run: i64 = row.get(1).map_err(read)?;
        let mark = history.mark(row, 2)?;
        let code: Option<i64> = row.get(3).map_err(read)?;
        let (Some(relay), Some(run), Some((status, provisional))) =
            (relays.get(&relay), runs.get(&run), of_recent_mark(mark))
        else {
            return Err(history.damaged("a result of no relay or no run").into());
        };
        let first: Option<String> = row.get(6).map_err(read)?;
        let first = match first {
            Some(_) => of_recent_mark(history.mark(row, 6)?).map(|(status, _)| status.as_str()),
            None => None,
        };
        each(ExportedRow {
            run,
            relay,
            status: status.as_str(),
            provisional,
            code: code.and_then(|code| codes.get(&code)).map(String::as_str),
            resolve_ms: row.get(4).map_err(read)?,
            circuit_ms: row.get(5).map_err(read)?,
            first,
        })?;
    }
    Ok(())
}

fn by_number<T>(
    connection: &rusqlite::Connection,
    query: &str,
    of: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<HashMap<i64, T>> {
    let mut statement = connection.prepare(query)?;
    let mut rows = statement.query([])?;
    let mut found = HashMap::new();
    while let Some(row) = rows.next()? {
        found.insert(row.get(0)?, of(row)?);
    }
    Ok(found)
}
