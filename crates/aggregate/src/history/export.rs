//! The history for DuckDB, ClickHouse, pandas and spreadsheets: one row for each relay and run, as
//! CSV or as Parquet, by run, in the order of adding, and then by relay. The columns are described in
//! `docs/formats/history.md`.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat};
use parquet::basic::Compression;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use record::{Fingerprint, of_recent_mark};

use super::{History, HistoryError};

/// Rows in one row group: some tens of megabytes while it is being written.
const GROUP: usize = 100_000;

const PARQUET_SCHEMA: &str = "
message result {
    REQUIRED INT64 ended (TIMESTAMP(MILLIS, true));
    REQUIRED BYTE_ARRAY run_id (STRING);
    REQUIRED BOOLEAN published;
    REQUIRED BYTE_ARRAY fingerprint (STRING);
    REQUIRED BYTE_ARRAY nickname (STRING);
    REQUIRED BYTE_ARRAY address (STRING);
    REQUIRED BYTE_ARRAY status (STRING);
    REQUIRED BOOLEAN provisional;
    OPTIONAL BYTE_ARRAY error_code (STRING);
    OPTIONAL INT32 resolve_ms;
    OPTIONAL INT32 circuit_ms;
}";

/// The names of the columns, in their order.
pub const COLUMNS: [&str; 11] = [
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
    #[error("cannot write the export as Parquet: {0}")]
    Parquet(#[from] ParquetError),
}

impl From<csv::Error> for ExportError {
    fn from(error: csv::Error) -> Self {
        Self::Write(error.into())
    }
}

/// One row of an export.
struct Row<'a> {
    run: &'a Run,
    relay: &'a Relay,
    status: &'static str,
    provisional: bool,
    code: Option<&'a str>,
    resolve_ms: Option<i32>,
    circuit_ms: Option<i32>,
}

struct Run {
    id: String,
    ended: i64,
    published: bool,
}

struct Relay {
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
        ])?)
    })?;
    Ok(writer.flush()?)
}

/// Columns of one row group.
#[derive(Default)]
struct Group {
    ended: Vec<i64>,
    run_id: Vec<ByteArray>,
    published: Vec<bool>,
    fingerprint: Vec<ByteArray>,
    nickname: Vec<ByteArray>,
    address: Vec<ByteArray>,
    status: Vec<ByteArray>,
    provisional: Vec<bool>,
    code: Vec<Option<ByteArray>>,
    resolve_ms: Vec<Option<i32>>,
    circuit_ms: Vec<Option<i32>>,
}

/// Writes the whole history as Parquet, compressed with Snappy.
///
/// # Errors
///
/// [`ExportError`].
pub fn parquet(history: &History, to: impl Write + Send) -> Result<(), ExportError> {
    let schema = Arc::new(parse_message_type(PARQUET_SCHEMA)?);
    let properties =
        Arc::new(WriterProperties::builder().set_compression(Compression::SNAPPY).build());
    let mut writer = SerializedFileWriter::new(to, schema, properties)?;
    let mut group = Group::default();
    rows(history, |row| {
        group.push(&row);
        if group.ended.len() == GROUP {
            std::mem::take(&mut group).write(writer.next_row_group()?)?;
        }
        Ok(())
    })?;
    if !group.ended.is_empty() {
        group.write(writer.next_row_group()?)?;
    }
    writer.close()?;
    Ok(())
}

impl Group {
    fn push(&mut self, row: &Row<'_>) {
        self.ended.push(row.run.ended.saturating_mul(1000));
        self.run_id.push(row.run.id.as_str().into());
        self.published.push(row.run.published);
        self.fingerprint.push(row.relay.fingerprint.as_str().into());
        self.nickname.push(row.relay.nickname.as_str().into());
        self.address.push(row.relay.address.as_str().into());
        self.status.push(row.status.into());
        self.provisional.push(row.provisional);
        self.code.push(row.code.map(ByteArray::from));
        self.resolve_ms.push(row.resolve_ms);
        self.circuit_ms.push(row.circuit_ms);
    }

    /// Writes the columns, in the schema's order.
    fn write<W: Write + Send>(
        self,
        mut to: SerializedRowGroupWriter<'_, W>,
    ) -> Result<(), ParquetError> {
        column::<Int64Type, _>(&mut to, &self.ended, None)?;
        column::<ByteArrayType, _>(&mut to, &self.run_id, None)?;
        column::<BoolType, _>(&mut to, &self.published, None)?;
        column::<ByteArrayType, _>(&mut to, &self.fingerprint, None)?;
        column::<ByteArrayType, _>(&mut to, &self.nickname, None)?;
        column::<ByteArrayType, _>(&mut to, &self.address, None)?;
        column::<ByteArrayType, _>(&mut to, &self.status, None)?;
        column::<BoolType, _>(&mut to, &self.provisional, None)?;
        optional::<ByteArrayType, _>(&mut to, self.code)?;
        optional::<Int32Type, _>(&mut to, self.resolve_ms)?;
        optional::<Int32Type, _>(&mut to, self.circuit_ms)?;
        to.close()?;
        Ok(())
    }
}

fn optional<T: DataType, W: Write + Send>(
    to: &mut SerializedRowGroupWriter<'_, W>,
    values: Vec<Option<T::T>>,
) -> Result<(), ParquetError> {
    // Definition levels: 1 where there is a value, 0 where there is none.
    let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
    let values: Vec<T::T> = values.into_iter().flatten().collect();
    column::<T, W>(to, &values, Some(&levels))
}

fn column<T: DataType, W: Write + Send>(
    to: &mut SerializedRowGroupWriter<'_, W>,
    values: &[T::T],
    levels: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let Some(mut column) = to.next_column()? else {
        return Err(ParquetError::General("more columns than the schema has".to_owned()));
    };
    column.typed::<T>().write_batch(values, levels, None)?;
    column.close()
}

/// Calls `each` with every row, by run and then by relay.
fn rows(
    history: &History,
    mut each: impl FnMut(Row<'_>) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let doing = history.sqlite("read");
    let read = |error| ExportError::History(doing(error));
    // One transaction, so that a run that is added meanwhile is in all tables or in none.
    let transaction = history.connection.unchecked_transaction().map_err(read)?;
    let runs = by_number(&transaction, "SELECT run, run_id, ended, standing FROM run", |row| {
        Ok(Run { id: row.get(1)?, ended: row.get(2)?, published: row.get::<_, i64>(3)? == 3 })
    })
    .map_err(read)?;
    let query = "SELECT relay, fingerprint, nickname, address FROM relay";
    let relays = by_number(&transaction, query, |row| {
        let fingerprint = Fingerprint::from_bytes(row.get(1)?).to_string();
        Ok(Relay { fingerprint, nickname: row.get(2)?, address: row.get(3)? })
    })
    .map_err(read)?;
    let codes: HashMap<i64, String> =
        by_number(&transaction, "SELECT code, name FROM code", |row| row.get(1)).map_err(read)?;
    let mut statement = transaction
        .prepare(
            "SELECT relay, run, mark, code, resolve_ms, circuit_ms FROM result
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
        each(Row {
            run,
            relay,
            status: status.as_str(),
            provisional,
            code: code.and_then(|code| codes.get(&code)).map(String::as_str),
            resolve_ms: row.get(4).map_err(read)?,
            circuit_ms: row.get(5).map_err(read)?,
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
