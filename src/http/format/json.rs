//! One JSON array of row objects, or one object a line.

use super::cells::{self, Values};
use super::{Encode, encode_error};
use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::datatypes::FieldRef;
use arrow::error::ArrowError;
use arrow::json::writer::{EncoderOptions, NullableEncoder, make_encoder};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use protocols::messages::query::QueryError;
use std::fmt::Write;

/// What stands around the objects.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Frame {
    Array,
    Lines,
}

/// Writes rows as objects. Columns without a value are left out of a row.
pub(super) struct Json {
    frame: Frame,
    has_rows: bool,
    bytes_last: usize,
}

impl Json {
    /// `[{…},{…}]`
    pub(super) fn array() -> Self {
        Self { frame: Frame::Array, has_rows: false, bytes_last: 0 }
    }

    /// One object a line.
    pub(super) fn lines() -> Self {
        Self { frame: Frame::Lines, has_rows: false, bytes_last: 0 }
    }

    fn encode(&mut self, rows: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
        let arrays: Vec<ArrayRef> =
            rows.columns().iter().map(cells::known).collect::<Result<_, _>>()?;
        let (schema, options) = (rows.schema(), EncoderOptions::default());
        let mut columns = schema
            .fields()
            .iter()
            .zip(&arrays)
            .map(|(field, array)| Column::new(field, array, &options))
            .collect::<Result<Vec<_>, _>>()?;
        // The next batch is about as large as this one.
        let mut out = Vec::with_capacity(self.bytes_last);
        for row in 0..rows.num_rows() {
            match (self.frame, self.has_rows) {
                (Frame::Array, false) => out.push(b'['),
                (Frame::Array, true) => out.push(b','),
                (Frame::Lines, _) => {}
            }
            self.has_rows = true;
            out.push(b'{');
            let mut separator: &[u8] = b"";
            for column in &mut columns {
                if column.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                    continue;
                }
                out.extend_from_slice(separator);
                out.extend_from_slice(&column.name);
                column.values.write(row, &mut out)?;
                separator = b",";
            }
            out.push(b'}');
            if self.frame == Frame::Lines {
                out.push(b'\n');
            }
        }
        self.bytes_last = out.len();
        Ok(out)
    }
}

impl Encode for Json {
    fn batch(&mut self, rows: &RecordBatch) -> Result<Vec<u8>, QueryError> {
        self.encode(rows).map_err(|error| encode_error(&error))
    }

    fn finish(&mut self) -> Result<Vec<u8>, QueryError> {
        let end: &[u8] = match (self.frame, self.has_rows) {
            (Frame::Array, true) => b"]",
            (Frame::Array, false) => b"[]",
            (Frame::Lines, _) => b"",
        };
        Ok(end.to_vec())
    }
}

struct Column<'a> {
    /// The name in quotes and a colon.
    name: Vec<u8>,
    nulls: Option<NullBuffer>,
    values: Kind<'a>,
}

enum Kind<'a> {
    Table(Values<'a>),
    /// Numbers and times that the library prints as text, and what that text is enclosed in.
    Printed(ArrayFormatter<'a>, &'static str),
    Other(NullableEncoder<'a>),
}

impl<'a> Column<'a> {
    fn new(
        field: &'a FieldRef,
        array: &'a ArrayRef,
        options: &'a EncoderOptions,
    ) -> Result<Self, ArrowError> {
        let mut name = Vec::new();
        write_text(field.name(), &mut name);
        name.push(b':');
        let kind = array.data_type();
        let values = match Values::of(array) {
            Some(values) => Kind::Table(values),
            None if kind.is_decimal() => Kind::Printed(formatter(array)?, ""),
            None if kind.is_temporal() => Kind::Printed(formatter(array)?, "\""),
            None => Kind::Other(make_encoder(field, array, options)?),
        };
        Ok(Self { name, nulls: cells::nulls(array), values })
    }
}

/// Values that cannot be shown are errors and not texts that say so.
fn formatter(array: &ArrayRef) -> Result<ArrayFormatter<'_>, ArrowError> {
    ArrayFormatter::try_new(array, &FormatOptions::new().with_display_error(false))
}

impl Kind<'_> {
    fn write(&mut self, row: usize, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        match self {
            Self::Table(values) => write_value(values, row, out),
            Self::Printed(texts, quote) => {
                out.extend_from_slice(quote.as_bytes());
                let mut text = Text(out);
                texts.value(row).write(&mut text)?;
                out.extend_from_slice(quote.as_bytes());
            }
            Self::Other(encoder) => encoder.encode(row, out),
        }
        Ok(())
    }
}

/// Bytes that take text.
struct Text<'a>(&'a mut Vec<u8>);

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

fn write_value(values: &Values<'_>, row: usize, out: &mut Vec<u8>) {
    match values {
        Values::Float(values) if values[row].is_finite() => cells::write_number(values[row], out),
        Values::Float(_) => out.extend_from_slice(b"null"),
        Values::Integer(values) => cells::write_number(values[row], out),
        Values::UInteger(values) => cells::write_number(values[row], out),
        Values::Boolean(values) => {
            let word: &[u8] = if values.value(row) { b"true" } else { b"false" };
            out.extend_from_slice(word);
        }
        Values::Text(texts) => write_text(texts.value(row), out),
        Values::Tag { keys, texts } => write_text(texts.value(keys[row] as usize), out),
        Values::Instant(values) => {
            out.push(b'"');
            cells::write_instant(values[row], out);
            out.push(b'"');
        }
    }
}

/// Writes a text in quotes. Only quotes, backslashes and control characters are escaped.
fn write_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut written = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if *byte >= b' ' && *byte != b'"' && *byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[written..at]);
        written = at + 1;
        let short = match byte {
            b'"' | b'\\' => *byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            8 => b'b',
            12 => b'f',
            _ => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&digits);
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', short]);
    }
    out.extend_from_slice(&bytes[written..]);
    out.push(b'"');
}
