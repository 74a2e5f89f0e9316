//! The columns of a table while a request is read.

use super::prefix::Prefix;
use super::value::Value;
use crate::columns::{Bits, Column, ColumnData, TableRows, trim};
use crate::ids::ColumnId;
use crate::schema::{ColumnKind, TableSchema};
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use std::hash::BuildHasher;
use std::sync::Arc;

/// A field that the next line is expected to have.
#[derive(Clone, Copy, Debug)]
pub(super) struct ExpectedField<'a> {
    /// Its key as written, with the `=`.
    pub(super) raw_key: Prefix<'a>,
    pub(super) column: usize,
    pub(super) kind: ColumnKind,
}

/// A tag that the next line is expected to have.
#[derive(Clone, Copy, Debug)]
pub(super) struct ExpectedTag<'a> {
    /// Its key as written, with the `,` before and the `=` after it.
    pub(super) raw_key: Prefix<'a>,
    pub(super) column: usize,
}

/// What the last line of a table looked like.
#[derive(Debug, Default)]
pub(super) struct Shape<'a> {
    /// The measurement as written.
    pub(super) raw_name: Prefix<'a>,
    pub(super) tags: Vec<ExpectedTag<'a>>,
    /// Empty when the next line is not to be predicted.
    pub(super) fields: Vec<ExpectedField<'a>>,
}

/// The rows of a table so far. Only accepted lines reach it.
#[derive(Debug)]
pub(super) struct TableBuilder<'a> {
    pub(super) name: Arc<str>,
    pub(super) known: Option<Arc<TableSchema>>,
    pub(super) times: Vec<i64>,
    pub(super) columns: Vec<ColumnBuilder>,
    /// Columns of the table, those in the catalog that this request does not touch included.
    pub(super) column_count: usize,
    /// The tags among them.
    pub(super) tag_count: usize,
    pub(super) shape: Shape<'a>,
    by_name: HashMap<Arc<str>, usize>,
    /// Where in the body its first line ends.
    began: usize,
}

/// Room for so many rows more is made at least.
const ROWS_MIN: usize = 4;

/// Bytes of memory that are taken in advance for a byte of line protocol, at most.
const ROOM_PER_BYTE: usize = 4;

/// How much of a body has been read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    /// Bytes read.
    pub(super) read: usize,
    /// Bytes of all.
    pub(super) body: usize,
}

impl Progress {
    /// How many rows are to come in a table that has had `rows` since `began`.
    fn rows_left(self, rows: usize, began: usize) -> usize {
        let (seen, left) = (self.read.saturating_sub(began), self.body.saturating_sub(self.read));
        rows.saturating_sub(1).saturating_mul(left) / seen.max(1)
    }

    /// For so many rows there may be room, however short the lines have been: what is taken in
    /// advance for a table of so many columns is bounded by what is left of the body.
    fn rows_left_max(self, columns: usize) -> usize {
        let left = self.body.saturating_sub(self.read);
        left.saturating_mul(ROOM_PER_BYTE) / ((columns + 1) * size_of::<i64>())
    }
}

impl TableBuilder<'_> {
    pub(super) fn new(name: Arc<str>, known: Option<Arc<TableSchema>>) -> Self {
        let (column_count, tag_count) = known_counts(known.as_deref());
        Self {
            name,
            known,
            times: Vec::new(),
            columns: Vec::new(),
            column_count,
            tag_count,
            shape: Shape::default(),
            by_name: HashMap::new(),
            began: 0,
        }
    }

    /// The index of the column of that name.
    pub(super) fn column(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// Adds a column that has no value yet.
    pub(super) fn add_column(&mut self, name: Arc<str>, kind: ColumnKind, id: Option<ColumnId>) {
        if id.is_none() {
            self.column_count += 1;
            self.tag_count += usize::from(kind == ColumnKind::Tag);
        }
        self.by_name.insert(Arc::clone(&name), self.columns.len());
        self.columns.push(ColumnBuilder::new(name, kind, id));
    }

    /// Adds a field value of the row that is being added, which [`Self::end_row`] completes.
    #[inline]
    pub(super) fn push_field(&mut self, column: usize, value: &Value<'_>) {
        let row = self.times.len();
        if let Some(column) = self.columns.get_mut(column) {
            column.push_field(row, value);
        }
    }

    /// Adds a tag value of the row that is being added, by its key in the dictionary.
    #[inline]
    pub(super) fn push_tag_key(&mut self, column: usize, key: i32) {
        let row = self.times.len();
        if let Some(column) = self.columns.get_mut(column) {
            column.push_tag_key(row, key);
        }
    }

    /// Adds a tag value of the row that is being added and returns its key in the dictionary.
    pub(super) fn push_tag(&mut self, column: usize, value: &str) -> i32 {
        let row = self.times.len();
        let Some(column) = self.columns.get_mut(column) else { return 0 };
        let key = column.intern(value.as_bytes());
        column.push_tag_key(row, key);
        key
    }

    /// Completes the row whose values were added. `progress` is how far into the body it ends.
    #[inline]
    pub(super) fn end_row(&mut self, time_ns: i64, progress: Progress) {
        if self.times.is_empty() {
            self.began = progress.read;
        }
        self.times.push(time_ns);
        if self.times.len() == self.times.capacity() {
            self.make_room(progress);
        }
    }

    /// Makes room for as many rows as the body will have if it goes on as it did since the table
    /// began. Vectors that double touch twice the memory, and keep up to half of it empty for as
    /// long as the rows live.
    #[cold]
    fn make_room(&mut self, progress: Progress) {
        let rows = self.times.len();
        let (expected, bound) =
            (progress.rows_left(rows, self.began), progress.rows_left_max(self.columns.len()));
        // Beyond the bound, where lines leave most columns out, it is doubled all the same.
        let more = if expected <= bound { expected.max(rows / 4) } else { bound.max(rows) };
        self.times.reserve_exact(more + more / 64 + ROWS_MIN);
        let room = self.times.capacity();
        self.columns.iter_mut().for_each(|column| column.make_room(room));
    }

    pub(super) fn finish(self) -> TableRows {
        let rows = self.times.len();
        let finish = |mut column: ColumnBuilder| {
            column.fill_to(rows);
            column.column.data.trim();
            column.column
        };
        let mut times = self.times;
        trim(&mut times);
        let columns = self.columns.into_iter().map(finish).collect();
        TableRows { name: self.name, known: self.known, times, columns }
    }
}

/// Number of columns of a table in the catalog, and of the tags among them.
pub(super) fn known_counts(known: Option<&TableSchema>) -> (usize, usize) {
    known.map_or((0, 0), |table| (table.columns.len(), table.tags().count()))
}

/// One column. Rows without a value are only filled in when a later row has one, so that a line
/// costs nothing for the columns it does not name.
#[derive(Debug)]
pub(super) struct ColumnBuilder {
    column: Column,
    /// Rows filled in so far.
    filled: usize,
    /// Tags only: the keys of the dictionary, to be found by value.
    index: HashTable<i32>,
    hasher: DefaultHashBuilder,
    /// Tags only: the key of the last row, which is often that of the next.
    last_key: i32,
}

impl ColumnBuilder {
    fn new(name: Arc<str>, kind: ColumnKind, id: Option<ColumnId>) -> Self {
        Self {
            column: Column { name, id, data: ColumnData::new(kind), validity: None },
            filled: 0,
            index: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            last_key: 0,
        }
    }

    pub(super) fn kind(&self) -> ColumnKind {
        self.column.data.kind()
    }

    pub(super) fn name(&self) -> &str {
        &self.column.name
    }

    /// The key of `value` in the dictionary, which gets it if it is new.
    fn intern(&mut self, value: &[u8]) -> i32 {
        let ColumnData::Tag { dictionary, .. } = &mut self.column.data else { return 0 };
        if !dictionary.is_empty() && dictionary.get(self.last_key as usize) == value {
            return self.last_key;
        }
        let hash = self.hasher.hash_one(value);
        let found = self.index.find(hash, |key| dictionary.get(*key as usize) == value);
        self.last_key = match found {
            Some(key) => *key,
            None => {
                // A request has fewer values than bytes, and bytes are bounded far below 2^31.
                let key = dictionary.len() as i32;
                dictionary.push(value);
                let hasher = &self.hasher;
                let rehash = |key: &i32| hasher.hash_one(dictionary.get(*key as usize));
                self.index.insert_unique(hash, key, rehash);
                key
            }
        };
        self.last_key
    }

    #[inline]
    fn push_tag_key(&mut self, row: usize, key: i32) {
        self.fill_to(row);
        if let ColumnData::Tag { keys, .. } = &mut self.column.data {
            keys.push(key);
            self.pushed();
        }
    }

    /// Adds a value of the column's kind; the caller has checked that it is.
    #[inline(always)]
    fn push_field(&mut self, row: usize, value: &Value<'_>) {
        self.fill_to(row);
        match (&mut self.column.data, value) {
            (ColumnData::Float(values), Value::Float(value)) => values.push(*value),
            (ColumnData::Integer(values), Value::Integer(value)) => values.push(*value),
            (ColumnData::UInteger(values), Value::UInteger(value)) => values.push(*value),
            (ColumnData::String(values), Value::String(value)) => values.push(value.as_bytes()),
            (ColumnData::Boolean(values), Value::Boolean(value)) => values.push(*value),
            _ => {
                debug_assert!(false, "a {:?} for a column of another kind", value.kind());
                return;
            }
        }
        self.pushed();
    }

    #[inline]
    fn pushed(&mut self) {
        self.filled += 1;
        if let Some(validity) = &mut self.column.validity {
            validity.push(true);
        }
    }

    /// Makes room for values up to `room` rows.
    fn make_room(&mut self, room: usize) {
        let more = room.saturating_sub(self.filled);
        match &mut self.column.data {
            ColumnData::Tag { keys, .. } => keys.reserve_exact(more),
            ColumnData::Float(values) => values.reserve_exact(more),
            ColumnData::Integer(values) => values.reserve_exact(more),
            ColumnData::UInteger(values) => values.reserve_exact(more),
            // The lengths of texts to come are anybody's guess.
            ColumnData::String(values) => values.offsets.reserve_exact(more),
            ColumnData::Boolean(values) => values.bytes.reserve_exact(more.div_ceil(8)),
        }
    }

    /// Gives the rows before `row` that have no value a null.
    #[inline]
    fn fill_to(&mut self, row: usize) {
        if self.filled < row {
            self.add_nulls(row - self.filled);
        }
    }

    #[cold]
    fn add_nulls(&mut self, count: usize) {
        let filled = self.filled;
        let validity = self.column.validity.get_or_insert_with(|| Bits::all_set(filled));
        validity.push_n(count, false);
        self.filled += count;
        let rows = self.filled;
        match &mut self.column.data {
            ColumnData::Tag { keys, .. } => keys.resize(rows, 0),
            ColumnData::Float(values) => values.resize(rows, 0.0),
            ColumnData::Integer(values) => values.resize(rows, 0),
            ColumnData::UInteger(values) => values.resize(rows, 0),
            ColumnData::String(values) => {
                let end = values.offsets.last().copied().unwrap_or(0);
                values.offsets.resize(rows + 1, end);
            }
            ColumnData::Boolean(values) => values.push_n(count, false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::FieldType;

    const WHOLE: Progress = Progress { read: 1, body: 1 };

    fn table() -> TableBuilder<'static> {
        TableBuilder::new("m".into(), None)
    }

    #[test]
    fn tags_share_dictionary_entries() {
        let mut table = table();
        table.add_column("t".into(), ColumnKind::Tag, None);
        for (row, value) in ["a", "b", "b", "a", "c"].into_iter().enumerate() {
            table.push_tag(0, value);
            table.end_row(row as i64, WHOLE);
        }
        let rows = table.finish();
        let ColumnData::Tag { keys, dictionary } = &rows.columns[0].data else { panic!("a tag") };
        assert_eq!(keys, &[0, 1, 1, 0, 2]);
        assert_eq!(dictionary.get(2), b"c");
        assert_eq!(rows.columns[0].validity, None);
    }

    #[test]
    fn a_dictionary_may_grow_large() {
        let mut table = table();
        table.add_column("t".into(), ColumnKind::Tag, None);
        let keys: Vec<i32> = (0..5000).map(|i| table.push_tag(0, &i.to_string())).collect();
        assert_eq!(keys, (0..5000).collect::<Vec<i32>>());
        assert_eq!(table.push_tag(0, "1234"), 1234);
    }

    #[test]
    fn nulls_are_filled_in_when_needed() {
        let kinds = [
            (ColumnKind::Field(FieldType::Float), Value::Float(1.0)),
            (ColumnKind::Field(FieldType::Integer), Value::Integer(1)),
            (ColumnKind::Field(FieldType::UInteger), Value::UInteger(1)),
            (ColumnKind::Field(FieldType::String), Value::String("x".into())),
            (ColumnKind::Field(FieldType::Boolean), Value::Boolean(true)),
        ];
        let mut table = table();
        for (i, (kind, _)) in kinds.iter().enumerate() {
            table.add_column(format!("f{i}").into(), *kind, None);
        }
        // Row by row: no value, a value, a value, no value.
        for row in 0..4 {
            if row == 1 || row == 2 {
                for (i, (_, value)) in kinds.iter().enumerate() {
                    table.push_field(i, value);
                }
            }
            table.end_row(row, WHOLE);
        }
        for column in table.finish().columns {
            assert_eq!(column.data.len(), 4, "{}", column.name);
            let validity = column.validity.unwrap();
            assert_eq!(validity.len, 4);
            assert_eq!([0, 1, 2, 3].map(|row| validity.get(row)), [false, true, true, false]);
        }
    }

    #[test]
    fn columns_are_about_as_large_as_their_rows() {
        let body = 5_000 * 40;
        // From the start, from the middle with other tables in between, and less than it seemed.
        for (first, step, rows) in [(40, 40, 5_000), (100_000, 80, 1_250), (40, 40, 1_000)] {
            let mut table = table();
            table.add_column("t".into(), ColumnKind::Tag, None);
            table.add_column("f".into(), ColumnKind::Field(FieldType::Float), None);
            table.add_column("s".into(), ColumnKind::Field(FieldType::String), None);
            for row in 0..rows {
                table.push_tag(0, &(row % 1_000).to_string());
                table.push_field(1, &Value::Float(row as f64));
                table.push_field(2, &Value::String("some text".into()));
                table.end_row(row as i64, Progress { read: first + row * step, body });
            }
            let done = table.finish();
            let is_near = |capacity: usize, length: usize| {
                assert!(capacity >= length && capacity <= length + length / 4 + 1_024);
            };
            is_near(done.times.capacity(), rows);
            for column in &done.columns {
                assert_eq!(column.data.len(), rows);
                match &column.data {
                    ColumnData::Tag { keys, dictionary } => {
                        is_near(keys.capacity(), rows);
                        is_near(dictionary.bytes.capacity(), dictionary.bytes.len());
                    }
                    ColumnData::Float(values) => is_near(values.capacity(), rows),
                    ColumnData::String(values) => {
                        is_near(values.offsets.capacity(), rows + 1);
                        is_near(values.bytes.capacity(), rows * 9);
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    #[test]
    fn short_lines_after_a_long_one_take_no_room_for_a_body_of_them() {
        let mut table = table();
        let (columns, body) = (10_000, 10_000_000);
        for i in 0..columns {
            let kind = if i == 0 { FieldType::String } else { FieldType::Float };
            table.add_column(format!("f{i}").into(), ColumnKind::Field(kind), None);
        }
        table.push_field(0, &Value::String("x".repeat(1_000_000).into()));
        (1..columns).for_each(|i| table.push_field(i, &Value::Float(0.0)));
        table.end_row(0, Progress { read: 1_100_000, body });
        for row in 1..5 {
            table.push_field(1, &Value::Float(1.0));
            table.end_row(row, Progress { read: 1_100_000 + row as usize * 6, body });
        }
        let rooms = table.columns.iter().map(|column| match &column.column.data {
            ColumnData::Float(values) => values.capacity() * 8,
            ColumnData::String(texts) => texts.offsets.capacity() * 4 + texts.bytes.capacity(),
            other => panic!("{other:?}"),
        });
        assert!(rooms.sum::<usize>() < 5 * body);
    }

    #[test]
    fn counts_cover_what_the_catalog_knows() {
        let mut table = table();
        table.add_column("t".into(), ColumnKind::Tag, None);
        table.add_column("f".into(), ColumnKind::Field(FieldType::Float), None);
        table.add_column("old".into(), ColumnKind::Tag, Some(ColumnId(7)));
        assert_eq!((table.column_count, table.tag_count), (2, 1));
        assert_eq!(table.column("f"), Some(1));
        assert_eq!(table.column("g"), None);
    }
}
