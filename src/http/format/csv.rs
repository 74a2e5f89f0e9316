//! Comma-separated values with a header line.

use super::cells::{self, Values};
use super::{Encode, encode_error};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use protocols::messages::query::QueryError;

pub(super) struct Csv {
    /// The columns, until the header is written.
    header: Option<SchemaRef>,
    bytes_last: usize,
}

impl Csv {
    pub(super) fn new(schema: SchemaRef) -> Self {
        Self { header: Some(schema), bytes_last: 0 }
    }

    fn write_header(&mut self, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        let Some(schema) = self.header.take() else { return Ok(()) };
        write_line(out, schema.fields().len(), |at, out| {
            write_text(schema.field(at).name(), out);
            Ok(())
        })
    }

    fn encode(&mut self, rows: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
        let arrays: Vec<ArrayRef> =
            rows.columns().iter().map(cells::known).collect::<Result<_, _>>()?;
        let columns: Vec<Column<'_>> = arrays.iter().map(Column::new).collect::<Result<_, _>>()?;
        // The next batch is about as large as this one.
        let mut out = Vec::with_capacity(self.bytes_last);
        self.write_header(&mut out)?;
        let mut printed = String::new();
        for row in 0..rows.num_rows() {
            write_line(&mut out, columns.len(), |at, out| {
                columns[at].write(row, out, &mut printed)
            })?;
        }
        self.bytes_last = out.len();
        Ok(out)
    }
}

impl Encode for Csv {
    fn batch(&mut self, rows: &RecordBatch) -> Result<Vec<u8>, QueryError> {
        self.encode(rows).map_err(|error| encode_error(&error))
    }

    fn finish(&mut self) -> Result<Vec<u8>, QueryError> {
        let mut out = Vec::new();
        self.write_header(&mut out).map_err(|error| encode_error(&error))?;
        Ok(out)
    }

    fn fork(&self) -> Option<Box<dyn Encode>> {
        let bytes_last = self.bytes_last;
        self.header.is_none().then(|| Box::new(Self { header: None, bytes_last }) as _)
    }
}

/// Writes the cells of a line with commas between.
fn write_line(
    out: &mut Vec<u8>,
    cells: usize,
    mut write: impl FnMut(usize, &mut Vec<u8>) -> Result<(), ArrowError>,
) -> Result<(), ArrowError> {
    let begin = out.len();
    for at in 0..cells {
        if at > 0 {
            out.push(b',');
        }
        write(at, out)?;
    }
    if out.len() == begin {
        // A blank line would be no row at all.
        out.extend_from_slice(b"\"\"");
    }
    out.push(b'\n');
    Ok(())
}

struct Column<'a> {
    nulls: Option<NullBuffer>,
    kind: Kind<'a>,
}

enum Kind<'a> {
    Table(Values<'a>),
    /// Values that the library prints, lists and structures too.
    Printed(ArrayFormatter<'a>),
}

impl<'a> Column<'a> {
    fn new(array: &'a ArrayRef) -> Result<Self, ArrowError> {
        let kind = match Values::of(array) {
            Some(values) => Kind::Table(values),
            None => {
                // Values that cannot be shown are errors and not texts that say so.
                let options = FormatOptions::new().with_display_error(false);
                Kind::Printed(ArrayFormatter::try_new(array, &options)?)
            }
        };
        Ok(Self { nulls: cells::nulls(array), kind })
    }

    /// `printed` is a place for text, so that not every cell needs a new one.
    fn write(&self, row: usize, out: &mut Vec<u8>, printed: &mut String) -> Result<(), ArrowError> {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return Ok(());
        }
        match &self.kind {
            Kind::Table(values) => write_value(values, row, out),
            Kind::Printed(values) => {
                printed.clear();
                values.value(row).write(printed)?;
                write_text(printed, out);
            }
        }
        Ok(())
    }
}

fn write_value(values: &Values<'_>, row: usize, out: &mut Vec<u8>) {
    match values {
        Values::Float(values) => write_float(values[row], out),
        Values::Integer(values) => cells::write_number(values[row], out),
        Values::UInteger(values) => cells::write_number(values[row], out),
        Values::Boolean(values) => {
            let word: &[u8] = if values.value(row) { b"true" } else { b"false" };
            out.extend_from_slice(word);
        }
        Values::Text(texts) => write_text(texts.value(row), out),
        Values::Tag { keys, texts } => write_text(texts.value(keys[row] as usize), out),
        Values::Instant(values) => cells::write_instant(values[row], out),
    }
}

/// `1.0`, `1000000000000000.0`, `1e16`, `NaN`, `inf`
fn write_float(value: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(ryu::Buffer::new().format(value).as_bytes());
}

/// Writes a text, in quotes where it would not be read back as one field.
fn write_text(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    if !bytes.iter().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r')) {
        out.extend_from_slice(bytes);
        return;
    }
    out.push(b'"');
    for byte in bytes {
        if *byte == b'"' {
            out.push(b'"');
        }
        out.push(*byte);
    }
    out.push(b'"');
}
