//! The series of a row, where the key of a cache lacks tags of its table: rows of one key and one
//! time are different rows then, as they are in the table.

use crate::cache_kit::{Blocks, KeyTable, NONE};
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use std::cmp::Ordering;
use std::sync::Arc;

/// Combinations of the tags that are no key columns, each under a number. As long as there is no
/// such tag, all rows have the number [`NONE`].
#[derive(Debug)]
pub(super) struct Series {
    /// The tags in order of their names.
    names: Vec<Arc<str>>,
    table: KeyTable,
    /// How many rows are of a series.
    uses: Blocks<u32>,
    /// Series that may have no row any more.
    released: Vec<u32>,
}

impl Series {
    /// Those of these tags, of which there may come more.
    pub(super) fn new(names: Vec<Arc<str>>) -> Self {
        let table = KeyTable::new(names.len(), false);
        Self { names, table, uses: Blocks::default(), released: Vec::new() }
    }

    /// The tags.
    pub(super) fn names(&self) -> &[Arc<str>] {
        &self.names
    }

    /// The series of each row; none at all when there is no such tag.
    pub(super) fn of(&mut self, rows: &RecordBatch) -> Result<Vec<u32>, ArrowError> {
        if self.names.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.table.resolve(rows, &self.names, |_| true)?;
        self.uses.grow(self.table.capacity(), &0);
        self.released.extend_from_slice(&found);
        Ok(found)
    }

    /// Adds a tag, which the rows so far do not have. Returns for each number the new one, and last
    /// that of the rows without a number. Their uses have to be counted anew.
    pub(super) fn widen(&mut self, name: &str) -> Result<Vec<u32>, ArrowError> {
        let numbers = self.table.select(&[]);
        let columns = self.columns(&numbers, |_| true);
        let fields = columns
            .iter()
            .map(|(name, column)| Field::new(name.as_ref(), column.data_type().clone(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let columns = columns.iter().map(|(_, column)| Arc::clone(column)).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(numbers.len()));
        let known = RecordBatch::try_new_with_options(schema, columns, &options)?;
        let options = RecordBatchOptions::new().with_row_count(Some(1));
        let without =
            RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options)?;
        let mut names = self.names.clone();
        names.insert(names.partition_point(|known| known.as_ref() < name), name.into());
        let mut wider = Self::new(names);
        let mut moved = vec![NONE; self.table.capacity()];
        for (number, new) in numbers.iter().zip(wider.of(&known)?) {
            moved[*number as usize] = new;
        }
        moved.extend(wider.of(&without)?);
        *self = wider;
        Ok(moved)
    }

    /// The tags that are `wanted`, with their values in these series.
    pub(super) fn columns(
        &self,
        numbers: &[u32],
        wanted: impl Fn(&str) -> bool,
    ) -> Vec<(Arc<str>, ArrayRef)> {
        let names = self.names.iter().enumerate().filter(|(_, name)| wanted(name));
        let column = |(at, name): (usize, &Arc<str>)| {
            let words = numbers.iter().map(|number| self.table.word(*number, at));
            (Arc::clone(name), self.table.dictionary(at).column(words, &DataType::Utf8))
        };
        names.map(column).collect()
    }

    /// Which of two series comes first: in order of the tags, those without a value first.
    pub(super) fn compare(&self, a: u32, b: u32) -> Ordering {
        if a == b {
            return Ordering::Equal;
        }
        let column = |at| {
            let (a, b) = (self.table.word(a, at), self.table.word(b, at));
            self.table.dictionary(at).compare(a, b)
        };
        (0..self.names.len()).map(column).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }

    /// Notes one more row.
    pub(super) fn retain(&mut self, number: u32) {
        if number != NONE {
            self.uses[number as usize] += 1;
        }
    }

    /// Notes that a row went.
    pub(super) fn release(&mut self, number: u32) {
        if number != NONE {
            self.uses[number as usize] -= 1;
            self.released.push(number);
        }
    }

    /// Forgets the series that have no row.
    pub(super) fn forget_unused(&mut self) {
        for number in std::mem::take(&mut self.released) {
            if self.uses[number as usize] == 0 {
                self.table.remove(number);
            }
        }
    }

    /// Memory that they take.
    pub(super) fn bytes(&self) -> usize {
        self.table.count() * (self.table.key_bytes() + 4) + self.table.text_bytes()
    }
}
