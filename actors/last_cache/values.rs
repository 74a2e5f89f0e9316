//! A value column of a last-value cache: one value for each place of a row.

use super::moves::Moves;
use super::tags::Texts;
use crate::cache_kit::{Blocks, Dictionary, NONE};
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, PrimitiveArray,
    StringBuilder, UInt64Array,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{ArrowPrimitiveType, DataType, Float64Type, Int64Type, UInt64Type};
use arrow::error::ArrowError;
use std::sync::Arc;

/// Memory of a tag value beside its text and of the place of a word.
const WORD_BYTES: usize = 48;
/// Memory of a text beside its bytes and its place.
const TEXT_BYTES: usize = 16;

/// The values by place. Places without a row hold anything.
#[derive(Debug)]
enum Data {
    Float(Blocks<f64>),
    Integer(Blocks<i64>),
    UInteger(Blocks<u64>),
    Boolean(Blocks<bool>),
    /// Values of a tag, of which there are few: each text once. [`NONE`] is null.
    Tag {
        words: Blocks<u32>,
        dictionary: Dictionary,
    },
    /// Values of a field, which may be all different.
    Text {
        texts: Blocks<Option<Box<str>>>,
        bytes: usize,
    },
}

/// See the module's page.
#[derive(Debug)]
pub(super) struct ValueColumn {
    pub(super) name: Arc<str>,
    data: Data,
    /// Places below this have room.
    end: usize,
    /// Which numbers are values, once one is none. Texts know it of themselves.
    valid: Option<Blocks<bool>>,
}

impl ValueColumn {
    /// A column for values of the type of `sample`, with `end` places that have none.
    pub(super) fn new(name: Arc<str>, sample: &DataType, end: usize) -> Result<Self, ArrowError> {
        let data = match sample {
            DataType::Float64 => Data::Float(Blocks::default()),
            DataType::Int64 => Data::Integer(Blocks::default()),
            DataType::UInt64 => Data::UInteger(Blocks::default()),
            DataType::Boolean => Data::Boolean(Blocks::default()),
            DataType::Utf8 => Data::Text { texts: Blocks::default(), bytes: 0 },
            DataType::Dictionary(..) => {
                Data::Tag { words: Blocks::default(), dictionary: Dictionary::default() }
            }
            other => return Err(wrong(other)),
        };
        let mut column = Self { name, data, end: 0, valid: (end > 0).then(Blocks::default) };
        column.grow(end);
        Ok(column)
    }

    /// A column of the same name and type, without places.
    pub(super) fn without_values(&self) -> Self {
        let data = match self.data {
            Data::Float(_) => Data::Float(Blocks::default()),
            Data::Integer(_) => Data::Integer(Blocks::default()),
            Data::UInteger(_) => Data::UInteger(Blocks::default()),
            Data::Boolean(_) => Data::Boolean(Blocks::default()),
            Data::Tag { .. } => {
                Data::Tag { words: Blocks::default(), dictionary: Dictionary::default() }
            }
            Data::Text { .. } => Data::Text { texts: Blocks::default(), bytes: 0 },
        };
        Self { name: Arc::clone(&self.name), data, end: 0, valid: None }
    }

    /// Whether its values are those of a tag.
    pub(super) fn is_tag(&self) -> bool {
        matches!(self.data, Data::Tag { .. })
    }

    /// The value of a tag at a place, if there is one.
    pub(super) fn tag(&self, place: u32) -> Option<&str> {
        match &self.data {
            Data::Tag { words, dictionary } => dictionary.text(words[place as usize]),
            _ => None,
        }
    }

    /// Makes room for places below `end`. Each new one gets its value by the next [`Self::put`].
    pub(super) fn grow(&mut self, end: usize) {
        if end <= self.end {
            return;
        }
        self.end = end;
        if let Some(valid) = &mut self.valid {
            valid.grow(end, &false);
        }
        match &mut self.data {
            Data::Float(values) => values.grow(end, &0.0),
            Data::Integer(values) => values.grow(end, &0),
            Data::UInteger(values) => values.grow(end, &0),
            Data::Boolean(values) => values.grow(end, &false),
            Data::Tag { words, .. } => words.grow(end, &NONE),
            Data::Text { texts, .. } => texts.grow(end, &None),
        }
    }

    /// Memory of a value beside its text.
    pub(super) fn value_bytes(&self) -> usize {
        let value = match self.data {
            Data::Boolean(_) => 1,
            Data::Tag { .. } => 4,
            Data::Text { .. } => 16,
            Data::Float(_) | Data::Integer(_) | Data::UInteger(_) => 8,
        };
        value + usize::from(self.valid.is_some())
    }

    /// Memory of all texts.
    pub(super) fn text_bytes(&self) -> usize {
        match &self.data {
            Data::Tag { dictionary, .. } => {
                dictionary.text_bytes() + dictionary.count() * WORD_BYTES
            }
            Data::Text { bytes, .. } => *bytes,
            _ => 0,
        }
    }

    /// Puts the values of rows at their places. Without a column none of them has a value.
    pub(super) fn put(
        &mut self,
        moves: &Moves,
        column: Option<&ArrayRef>,
    ) -> Result<(), ArrowError> {
        let Some(column) = column else {
            moves.each().for_each(|(_, place)| self.release(place));
            self.mark(moves, None, false);
            return Ok(());
        };
        let wrong = || wrong(column.data_type());
        match &mut self.data {
            Data::Float(values) => {
                let from = column.as_primitive_opt::<Float64Type>().ok_or_else(wrong)?;
                scatter(from, moves, values);
            }
            Data::Integer(values) => {
                let from = column.as_primitive_opt::<Int64Type>().ok_or_else(wrong)?;
                scatter(from, moves, values);
            }
            Data::UInteger(values) => {
                let from = column.as_primitive_opt::<UInt64Type>().ok_or_else(wrong)?;
                scatter(from, moves, values);
            }
            Data::Boolean(values) => {
                let from = column.as_boolean_opt().ok_or_else(wrong)?;
                moves.each().for_each(|(row, place)| values[place] = from.value(row));
            }
            Data::Tag { words, dictionary } => put_tags(words, dictionary, moves, column)?,
            Data::Text { texts, bytes } => put_texts(texts, bytes, moves, column)?,
        }
        self.mark(moves, column.nulls().filter(|nulls| nulls.null_count() > 0), true);
        Ok(())
    }

    /// Gives places the values of rows that have some: those without a value leave what is there,
    /// and so do all where there is a value, unless `replace`.
    pub(super) fn merge(
        &mut self,
        rows: &[(usize, usize)],
        column: &ArrayRef,
        replace: bool,
    ) -> Result<(), ArrowError> {
        if rows.is_empty() {
            return Ok(());
        }
        let rows = rows.iter().copied();
        let moves = Moves::of(
            rows.filter(|(row, place)| column.is_valid(*row) && (replace || self.is_null(*place))),
        );
        self.put(&moves, Some(column))
    }

    fn is_null(&self, place: usize) -> bool {
        match &self.data {
            Data::Tag { words, .. } => words[place] == NONE,
            Data::Text { texts, .. } => texts[place].is_none(),
            _ => self.valid.as_ref().is_some_and(|valid| !valid[place]),
        }
    }

    /// Notes which of the moved numbers are values: those that `nulls` say, or all or none.
    fn mark(&mut self, moves: &Moves, nulls: Option<&NullBuffer>, all: bool) {
        let are_texts = matches!(self.data, Data::Tag { .. } | Data::Text { .. });
        if are_texts || (self.valid.is_none() && nulls.is_none() && all) {
            return;
        }
        let valid = self.valid.get_or_insert_with(|| {
            let mut valid = Blocks::default();
            valid.grow(self.end, &true);
            valid
        });
        match nulls {
            Some(nulls) => moves.each().for_each(|(row, place)| valid[place] = nulls.is_valid(row)),
            None => moves.each().for_each(|(_, place)| valid[place] = all),
        }
    }

    /// Gives back what the value of a place takes: nobody will look at it any more.
    pub(super) fn release(&mut self, place: usize) {
        match &mut self.data {
            Data::Tag { words, dictionary } => {
                let word = std::mem::replace(&mut words[place], NONE);
                if word != NONE {
                    dictionary.release(word);
                }
            }
            Data::Text { texts, bytes } => {
                *bytes -= texts[place].take().map_or(0, |text| text.len() + TEXT_BYTES);
            }
            Data::Float(_) | Data::Integer(_) | Data::UInteger(_) | Data::Boolean(_) => {}
        }
    }

    /// The values of these places, all of which have room.
    pub(super) fn gather(&self, places: &[u32]) -> ArrayRef {
        let valid = self.valid.as_ref().map(|valid| NullBuffer::from(valid.pick(places)));
        let nulls = valid.filter(|nulls| nulls.null_count() > 0);
        match &self.data {
            Data::Float(values) => Arc::new(Float64Array::new(values.pick(places).into(), nulls)),
            Data::Integer(values) => Arc::new(Int64Array::new(values.pick(places).into(), nulls)),
            Data::UInteger(values) => Arc::new(UInt64Array::new(values.pick(places).into(), nulls)),
            Data::Boolean(values) => Arc::new(BooleanArray::new(values.pick(places).into(), nulls)),
            Data::Tag { words, dictionary } => {
                let words = places.iter().map(|place| words[*place as usize]);
                dictionary.column(words, &DataType::Utf8)
            }
            Data::Text { texts, .. } => {
                let texts = places.iter().map(|place| texts[*place as usize].as_deref());
                let bytes = texts.clone().map(|text| text.map_or(0, str::len)).sum();
                let mut builder = StringBuilder::with_capacity(places.len(), bytes);
                texts.for_each(|text| builder.append_option(text));
                Arc::new(builder.finish())
            }
        }
    }
}

fn scatter<T: ArrowPrimitiveType>(
    from: &PrimitiveArray<T>,
    moves: &Moves,
    values: &mut Blocks<T::Native>,
) {
    let from = from.values();
    moves.parts(|row, place, length| match values.part_mut(place, length) {
        [value] => {
            *value = from[row];
            1
        }
        values => {
            values.copy_from_slice(&from[row..row + values.len()]);
            values.len()
        }
    });
}

fn put_tags(
    words: &mut Blocks<u32>,
    dictionary: &mut Dictionary,
    moves: &Moves,
    column: &ArrayRef,
) -> Result<(), ArrowError> {
    let fresh = dictionary.words_of(Some(column), column.len(), false)?;
    // Given back at the end: a value that leaves one place may come to another.
    let mut left = Vec::new();
    moves.parts(|row, place, length| {
        let words = words.part_mut(place, length);
        let fresh = &fresh[row..row + words.len()];
        // Tags mostly stay as they are from row to row.
        if words != fresh {
            for (old, new) in words.iter_mut().zip(fresh).filter(|(old, new)| old != new) {
                if *new != NONE {
                    dictionary.retain(*new);
                }
                left.extend(Some(*old).filter(|old| *old != NONE));
                *old = *new;
            }
        }
        words.len()
    });
    left.into_iter().for_each(|word| dictionary.release(word));
    dictionary.forget_unused();
    Ok(())
}

fn put_texts(
    texts: &mut Blocks<Option<Box<str>>>,
    bytes: &mut usize,
    moves: &Moves,
    column: &ArrayRef,
) -> Result<(), ArrowError> {
    let from = Texts::of(column)?;
    let size = |text: &Option<Box<str>>| text.as_ref().map_or(0, |text| text.len() + TEXT_BYTES);
    for (row, place) in moves.each() {
        let new = from.value(row);
        let old = &mut texts[place];
        if old.as_deref() != new {
            *bytes -= size(old);
            *old = new.map(Box::from);
            *bytes += size(old);
        }
    }
    Ok(())
}

fn wrong(kind: &DataType) -> ArrowError {
    ArrowError::SchemaError(format!("{kind} is not the type that the column had before"))
}
