//! What tells rows of one key and one time apart, where the key of a cache lacks tags of its table:
//! they are different rows then, as they are in the table.

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, RecordBatch, StringArray};
use arrow::datatypes::Int32Type;
use arrow::error::ArrowError;

/// A column of texts, plain or as a dictionary.
pub(super) struct Texts<'a> {
    column: &'a ArrayRef,
    coded: Option<&'a DictionaryArray<Int32Type>>,
    texts: &'a StringArray,
}

impl<'a> Texts<'a> {
    /// The texts of a column.
    pub(super) fn of(column: &'a ArrayRef) -> Result<Self, ArrowError> {
        let coded = column.as_dictionary_opt::<Int32Type>();
        let texts = coded.map_or(column, |coded| coded.values()).as_string_opt::<i32>();
        let texts = texts.ok_or_else(|| {
            ArrowError::SchemaError(format!("{} is no type of texts", column.data_type()))
        })?;
        Ok(Self { column, coded, texts })
    }

    /// The text of a row, if it has one.
    pub(super) fn value(&self, row: usize) -> Option<&'a str> {
        let at = self.coded.map_or(row, |coded| coded.keys().value(row) as usize);
        self.column.is_valid(row).then(|| self.texts.value(at))
    }
}

/// The rows of a batch on their way to their places.
pub(super) struct Incoming<'a> {
    /// The tags that are no key columns; `None` where the batch lacks one.
    tags: Vec<Option<Texts<'a>>>,
    /// Where its rows went so far.
    pub(super) places: Vec<u32>,
}

impl<'a> Incoming<'a> {
    /// The rows of a batch whose tags are the columns `at`.
    pub(super) fn new(
        rows: &'a RecordBatch,
        at: impl Iterator<Item = Option<usize>>,
    ) -> Result<Self, ArrowError> {
        let texts = |at: Option<usize>| at.map(|at| Texts::of(rows.column(at))).transpose();
        let tags = at.map(texts).collect::<Result<_, _>>()?;
        Ok(Self { tags, places: Vec::with_capacity(rows.num_rows()) })
    }

    /// The value of a tag in a row.
    pub(super) fn tag(&self, number: usize, row: u32) -> Option<&'a str> {
        self.tags[number].as_ref()?.value(row as usize)
    }
}
