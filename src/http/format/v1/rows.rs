//! The columns of a result as version 1 has them: what names a series, and what its rows show.

use super::{Epoch, Series, WriteError};
use crate::http::format::cells::{self, Values};
use crate::http::format::json;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::buffer::NullBuffer;
use arrow::compute::{cast, partition};
use arrow::datatypes::{DataType, Int64Type, Schema};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde::Deserialize;
use std::ops::Range;

/// Key of the schema's metadata that says which columns tell series apart.
const GROUP_KEY: &str = "iox::influxql::group_key::metadata";

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct GroupKey {
    tag_key_columns: Vec<TagKey>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TagKey {
    tag_key: String,
    column_index: usize,
    #[serde(default)]
    is_projected: bool,
}

/// Which columns name the series, and which are shown.
pub(in crate::http) struct Layout {
    tags: Vec<TagKey>,
    shown: Vec<usize>,
    /// The names of the columns that are shown.
    pub(in crate::http) columns: Vec<String>,
    epoch: Epoch,
}

impl Layout {
    /// The first column is the name of the series, and tags that are grouped by are told apart by
    /// the schema.
    pub(in crate::http) fn of(schema: &Schema, epoch: Epoch) -> Self {
        let key = schema.metadata().get(GROUP_KEY);
        let key: GroupKey =
            key.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let mut tags = key.tag_key_columns;
        tags.retain(|tag| tag.column_index < schema.fields().len());
        let is_hidden = |at: &usize| {
            *at == 0 || tags.iter().any(|tag| tag.column_index == *at && !tag.is_projected)
        };
        let shown: Vec<usize> = (0..schema.fields().len()).filter(|at| !is_hidden(at)).collect();
        let columns = shown.iter().map(|at| schema.field(*at).name().clone()).collect();
        Self { tags, shown, columns, epoch }
    }

    /// The series of a batch and their rows.
    pub(in crate::http) fn series(
        &self,
        batch: &RecordBatch,
    ) -> Result<Vec<(Series, Range<usize>)>, WriteError> {
        if batch.num_rows() == 0 {
            return Ok(Vec::new());
        }
        let key = std::iter::once(0).chain(self.tags.iter().map(|tag| tag.column_index));
        let key: Vec<ArrayRef> = key.map(|at| ArrayRef::clone(batch.column(at))).collect();
        let texts = key.iter().map(|column| cast(column, &DataType::Utf8));
        let texts = texts.collect::<Result<Vec<_>, _>>()?;
        let text = |column: &ArrayRef, row: usize| match column.is_valid(row) {
            true => column.as_string::<i32>().value(row).to_owned(),
            false => String::new(),
        };
        let series = |rows: Range<usize>| {
            let values = texts[1..].iter().map(|column| text(column, rows.start));
            let tags = self.tags.iter().map(|tag| tag.tag_key.clone()).zip(values).collect();
            (Series { name: text(&texts[0], rows.start), tags }, rows)
        };
        Ok(partition(&texts)?.ranges().into_iter().map(series).collect())
    }

    /// The columns of a batch that are shown.
    pub(in crate::http) fn arrays(&self, batch: &RecordBatch) -> Result<Vec<Column>, WriteError> {
        let column = |at: &usize| Column::new(batch.column(*at), self.epoch);
        Ok(self.shown.iter().map(column).collect::<Result<_, ArrowError>>()?)
    }
}

/// A column that is shown, made ready.
pub(in crate::http) struct Column {
    array: ArrayRef,
    /// True for times.
    is_time: bool,
    /// Times with a zone as text, which need to be formatted.
    zoned: Option<ArrayRef>,
}

impl Column {
    fn new(array: &ArrayRef, epoch: Epoch) -> Result<Self, ArrowError> {
        let array = cells::known(array)?;
        let DataType::Timestamp(_, zone) = array.data_type() else {
            return Ok(Self { array, is_time: false, zoned: None });
        };
        let zoned = match (zone, epoch) {
            (Some(_), Epoch::Text) => Some(ArrayRef::clone(&array)),
            _ => None,
        };
        Ok(Self { array: cast(&array, &DataType::Int64)?, is_time: true, zoned })
    }
}

/// A value as it is written.
pub(super) enum Cell<'a> {
    Null,
    Float(f64),
    Integer(i64),
    Unsigned(u64),
    Boolean(bool),
    Text(&'a str),
    /// The text at a place of these, in which JSON has nothing to escape.
    Plain(&'a StringArray, usize),
    /// Something that is text once it is formatted.
    Shown(String),
    /// Nanoseconds since 1970.
    Instant(i64),
}

/// The rows of a batch.
pub(in crate::http) struct Rows<'a> {
    columns: Vec<Shown<'a>>,
    epoch: Epoch,
}

/// A column and where it has no values.
pub(super) type Shown<'a> = (Source<'a>, Option<NullBuffer>);

pub(super) enum Source<'a> {
    /// Values, and whether they are texts in which JSON has nothing to escape.
    Known(Values<'a>, bool),
    Time(&'a [i64]),
    Formatted(ArrayFormatter<'a>),
}

impl<'a> Rows<'a> {
    /// The rows of columns that were made ready.
    pub(in crate::http) fn of(layout: &Layout, columns: &'a [Column]) -> Result<Self, WriteError> {
        const OPTIONS: FormatOptions<'static> = FormatOptions::new();
        let source = |column: &'a Column| -> Result<_, ArrowError> {
            let nulls = cells::nulls(column.array.as_ref());
            let source = match (&column.zoned, column.is_time) {
                (Some(zoned), _) => Source::Formatted(ArrayFormatter::try_new(zoned, &OPTIONS)?),
                (None, true) => Source::Time(column.array.as_primitive::<Int64Type>().values()),
                (None, false) => match Values::of(column.array.as_ref()) {
                    Some(values) => {
                        let is_plain = match &values {
                            Values::Text(texts) => json::is_plain(texts),
                            // There may be far more texts than these rows have.
                            Values::Tag { keys, texts } => {
                                texts.len() <= 4 * keys.len() && json::is_plain(texts)
                            }
                            _ => false,
                        };
                        Source::Known(values, is_plain)
                    }
                    None => Source::Formatted(ArrayFormatter::try_new(&column.array, &OPTIONS)?),
                },
            };
            Ok((source, nulls))
        };
        let columns = columns.iter().map(source).collect::<Result<_, ArrowError>>()?;
        Ok(Self { columns, epoch: layout.epoch })
    }

    /// The columns, in the order of the values of a row.
    pub(super) fn columns(&self) -> &[Shown<'a>] {
        &self.columns
    }

    /// The value of a column in a row. A part of the loop over them, which decides what is written
    /// where it is found out what there is.
    #[inline(always)]
    pub(super) fn cell<'b>(
        &'b self,
        (source, nulls): &'b Shown<'a>,
        row: usize,
    ) -> Result<Cell<'b>, ArrowError> {
        if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return Ok(Cell::Null);
        }
        Ok(match source {
            Source::Time(times) => match self.epoch {
                Epoch::Text => Cell::Instant(times[row]),
                Epoch::Units(unit) => Cell::Integer(times[row] / unit),
            },
            Source::Formatted(formatter) => Cell::Shown(formatter.value(row).try_to_string()?),
            Source::Known(values, is_plain) => match values {
                Values::Float(values) => Cell::Float(values[row]),
                Values::Integer(values) => Cell::Integer(values[row]),
                Values::UInteger(values) => Cell::Unsigned(values[row]),
                Values::Boolean(values) => Cell::Boolean(values.value(row)),
                Values::Text(texts) if *is_plain => Cell::Plain(texts, row),
                Values::Text(texts) => Cell::Text(texts.value(row)),
                Values::Tag { keys, texts } => match usize::try_from(keys[row]) {
                    Ok(key) if *is_plain => Cell::Plain(texts, key),
                    Ok(key) => Cell::Text(texts.value(key)),
                    Err(_) => Cell::Null,
                },
                Values::Instant(values) => Cell::Instant(values[row]),
            },
        })
    }
}

/// Writes a number as version 1 does: without a fraction where it has none.
pub(super) fn write_float(number: f64, out: &mut Vec<u8>) {
    let size = number.abs();
    if size >= 1e21 {
        let text = format!("{number:e}");
        out.extend_from_slice(text.replace('e', "e+").as_bytes());
    } else if size >= 1e15 {
        out.extend_from_slice(number.to_string().as_bytes());
    } else {
        cells::write_number(number, out);
        if out.ends_with(b".0") {
            out.truncate(out.len() - 2);
        }
    }
}

/// Writes a text in quotes.
pub(super) fn write_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    json::write_text(text, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_without_a_fraction_look_like_integers() {
        let check = |number: f64, expected: &str| {
            let mut out = Vec::new();
            write_float(number, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        };
        check(21.0, "21");
        check(-3.0, "-3");
        check(0.5, "0.5");
        check(1e20, "100000000000000000000");
        check(1e21, "1e+21");
        check(-1.5e300, "-1.5e+300");
        check(-1.234e-6, "-1.234e-6");
    }
}
