//! The export as Parquet. Owns its schema; the rows are [`super::rows`]'s.

use std::io::Write;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

use super::{ExportError, ExportedRow, rows};
use crate::history::History;

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
    OPTIONAL BYTE_ARRAY first_status (STRING);
}";

/// Columns of one row group.
#[derive(Default)]
struct RowGroup {
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
    first: Vec<Option<ByteArray>>,
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
    let mut group = RowGroup::default();
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

impl RowGroup {
    fn push(&mut self, row: &ExportedRow<'_>) {
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
        self.first.push(row.first.map(ByteArray::from));
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
        optional::<ByteArrayType, _>(&mut to, self.first)?;
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
