//! One JSON array of row objects, or one object a line.

use super::cells::{self, Piece, Values};
use super::{Encode, encode_error};
use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{FieldRef, Schema};
use arrow::error::ArrowError;
use arrow::json::writer::{EncoderOptions, NullableEncoder, make_encoder};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use protocols::error::ErrorKind;
use protocols::messages::query::QueryError;
use std::collections::HashSet;
use std::fmt::Write;

/// What a value takes, at a guess.
const VALUE_BYTES: usize = 10;
/// Room that is made for the first batch at most: most columns may be empty.
const FIRST_BYTES_MAX: usize = 1024 * 1024;

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
    pub(super) fn array(schema: &Schema) -> Result<Self, QueryError> {
        Self::new(Frame::Array, schema)
    }

    /// One object a line.
    pub(super) fn lines(schema: &Schema) -> Result<Self, QueryError> {
        Self::new(Frame::Lines, schema)
    }

    /// Refuses columns of one name: an object holds only one of them.
    fn new(frame: Frame, schema: &Schema) -> Result<Self, QueryError> {
        let mut names = HashSet::new();
        match schema.fields().iter().find(|field| !names.insert(field.name().as_str())) {
            Some(again) => Err(two_columns(again.name())),
            None => Ok(Self { frame, has_rows: false, bytes_last: 0 }),
        }
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
        // The next batch is about as large as this one; of the first one the names are known.
        let row_bytes: usize = columns.iter().map(|c| c.name.length() + VALUE_BYTES).sum();
        let bytes = match self.bytes_last {
            0 => (rows.num_rows() * row_bytes).min(FIRST_BYTES_MAX),
            last => last,
        };
        let mut out = Vec::with_capacity(bytes);
        for row in 0..rows.num_rows() {
            match (self.frame, self.has_rows) {
                (Frame::Array, false) => out.push(b'['),
                (Frame::Array, true) => out.push(b','),
                (Frame::Lines, _) => {}
            }
            self.has_rows = true;
            let start = out.len();
            for column in &mut columns {
                if column.nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) {
                    column.name.write(&mut out);
                    column.values.write(row, &mut out)?;
                }
            }
            // Each name begins with a comma.
            match out.get_mut(start) {
                Some(comma) => *comma = b'{',
                None => out.push(b'{'),
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

fn two_columns(name: &str) -> QueryError {
    let message = format!(
        "the result has two columns named '{name}', and a JSON object holds only one: name them \
         apart with AS, or ask for the format csv, pretty or parquet"
    );
    QueryError { kind: ErrorKind::InvalidInput, message }
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

    /// Once the array has begun, each object begins with a comma.
    fn fork(&self) -> Option<Box<dyn Encode>> {
        let (frame, bytes_last) = (self.frame, self.bytes_last);
        self.has_rows.then(|| Box::new(Self { frame, has_rows: true, bytes_last }) as _)
    }
}

struct Column<'a> {
    /// A comma, the name in quotes, a colon, and the quote that the value begins with if it has
    /// one.
    name: Piece,
    nulls: Option<NullBuffer>,
    values: Kind<'a>,
}

enum Kind<'a> {
    Table(Values<'a>),
    /// Texts in which nothing has to be escaped.
    Plain(&'a StringArray),
    PlainTag {
        keys: &'a [i32],
        texts: &'a StringArray,
    },
    Instant(Instants<'a>),
    /// Numbers and times that the library prints as text, and whether that is in quotes.
    Printed(ArrayFormatter<'a>, bool),
    Other(NullableEncoder<'a>),
}

impl<'a> Column<'a> {
    fn new(
        field: &'a FieldRef,
        array: &'a ArrayRef,
        options: &'a EncoderOptions,
    ) -> Result<Self, ArrowError> {
        let kind = array.data_type();
        let values = match Values::of(array) {
            Some(Values::Text(texts)) if is_plain(texts) => Kind::Plain(texts),
            // A dictionary may have far more texts than a few rows are worth a look at.
            Some(Values::Tag { keys, texts })
                if texts.len() <= 4 * keys.len() && is_plain(texts) =>
            {
                Kind::PlainTag { keys, texts }
            }
            Some(Values::Instant(values)) => Kind::Instant(Instants { values, last: None }),
            Some(values) => Kind::Table(values),
            None if kind.is_decimal() => Kind::Printed(formatter(array)?, false),
            None if kind.is_temporal() => Kind::Printed(formatter(array)?, true),
            None => Kind::Other(make_encoder(field, array, options)?),
        };
        let mut name = b",\"".to_vec();
        write_escaped(field.name(), &mut name);
        name.extend_from_slice(if values.is_quoted() { b"\":\"" } else { b"\":" });
        Ok(Self { name: Piece::new(&name), nulls: cells::nulls(array), values })
    }
}

/// Values that cannot be shown are errors and not texts that say so.
fn formatter(array: &ArrayRef) -> Result<ArrayFormatter<'_>, ArrowError> {
    ArrayFormatter::try_new(array, &FormatOptions::new().with_display_error(false))
}

impl Kind<'_> {
    /// Whether a quote stands before the value. The one behind it is written with it.
    fn is_quoted(&self) -> bool {
        match self {
            Self::Plain(_) | Self::PlainTag { .. } | Self::Instant(_) => true,
            Self::Table(values) => matches!(values, Values::Text(_) | Values::Tag { .. }),
            Self::Printed(_, is_quoted) => *is_quoted,
            Self::Other(_) => false,
        }
    }

    fn write(&mut self, row: usize, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        match self {
            Self::Table(values) => write_value(values, row, out),
            Self::Plain(texts) => write_plain(texts, row, out),
            Self::PlainTag { keys, texts } => write_plain(texts, keys[row] as usize, out),
            Self::Instant(instants) => instants.write(row, out),
            Self::Printed(texts, is_quoted) => {
                texts.value(row).write(&mut Text(out))?;
                if *is_quoted {
                    out.push(b'"');
                }
            }
            Self::Other(encoder) => encoder.encode(row, out),
        }
        Ok(())
    }
}

/// Instants as texts. Rows of one instant often stand together.
struct Instants<'a> {
    values: &'a [i64],
    last: Option<(i64, Piece)>,
}

impl Instants<'_> {
    fn write(&mut self, row: usize, out: &mut Vec<u8>) {
        let ns = self.values[row];
        match &self.last {
            Some((last_ns, text)) if *last_ns == ns => text.write(out),
            _ => {
                let start = out.len();
                cells::write_instant(ns, out);
                out.push(b'"');
                self.last = Some((ns, Piece::new(&out[start..])));
            }
        }
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
        Values::Integer(values) => cells::write_integer(values[row], out),
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

/// Whether no text has anything to escape.
pub(super) fn is_plain(texts: &StringArray) -> bool {
    let offsets = texts.value_offsets();
    let (Some(start), Some(end)) = (offsets.first(), offsets.last()) else { return false };
    let bytes = &texts.value_data()[*start as usize..*end as usize];
    let escaped = |part: &[u8]| part.iter().fold(false, |any, byte| any | needs_escape(*byte));
    !bytes.chunks(256).any(escaped)
}

/// Writes a text in which nothing has to be escaped, and the quote behind it.
pub(super) fn write_plain(texts: &StringArray, at: usize, out: &mut Vec<u8>) {
    let offsets = texts.value_offsets();
    let (start, end) = (offsets[at] as usize, offsets[at + 1] as usize);
    cells::write_part(texts.value_data(), start..end, out);
    out.push(b'"');
}

fn needs_escape(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

/// Writes a text and the quote behind it.
pub(super) fn write_text(text: &str, out: &mut Vec<u8>) {
    write_escaped(text, out);
    out.push(b'"');
}

/// Writes a text. Only quotes, backslashes and control characters are escaped.
fn write_escaped(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let mut written = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if !needs_escape(*byte) {
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
}
