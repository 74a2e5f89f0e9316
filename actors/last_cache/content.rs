//! The rows of a last-value cache.
//!
//! Rows have places in columns. The places of one key are a list in order of time; a full key
//! gives the place of its oldest row to the new one, so that with a count of 1 a key has the same
//! place for ever. A row that is there already gets the values of one with the same time and series.

mod places;

use super::moves::Moves;
use super::order::EntryOrder;
use super::tags::Incoming;
use super::values::ValueColumn;
use crate::cache_kit::{Blocks, Content, KeyId, KeyTable, NONE, times_of};
use crate::runtime::canary;
use arrow::array::{
    ArrayRef, RecordBatch, RecordBatchOptions, TimestampNanosecondArray, new_null_array,
};
use arrow::datatypes::{DataType, Field, Fields, Schema};
use arrow::error::ArrowError;
use places::Entry;
use protocols::caches::LastCacheDef;
use protocols::messages::caches::LookUpCache;
use protocols::schema::{TIME_COLUMN, time_field};
use std::collections::BTreeSet;
use std::sync::Arc;

const SECOND_NS: i64 = 1_000_000_000;

/// A place for a row, and its neighbours among the rows of its key.
#[derive(Clone, Copy, Debug)]
struct Row {
    time_ns: i64,
    entered_ns: i64,
    older: u32,
    newer: u32,
    /// Number of the row in the batch that it came with.
    row: u32,
}

const NO_ROW: Row = Row { time_ns: 0, entered_ns: 0, older: NONE, newer: NONE, row: NONE };

/// The rows of a key: a list from the newest to the oldest.
#[derive(Clone, Copy, Debug)]
struct RowsOfKey {
    newest: u32,
    oldest: u32,
    rows: u32,
    /// A row came in later than one with a newer time.
    is_mixed: bool,
    /// Its rows are in the index.
    is_indexed: bool,
    /// No row came in before this.
    entered_since_ns: i64,
}

const NOTHING: RowsOfKey = RowsOfKey {
    newest: NONE,
    oldest: NONE,
    rows: 0,
    is_mixed: false,
    is_indexed: false,
    entered_since_ns: i64::MIN,
};

/// Which values count where a row is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// Those of the row that comes now: it was written later.
    Writer,
    /// Those that are there: what the cache is filled with was written before.
    Filling,
}

/// See the module's page.
pub struct LastValues {
    def: Arc<LastCacheDef>,
    ttl_ns: i64,
    keys: KeyTable,
    /// Types of the key columns, texts as plain ones.
    key_kinds: Vec<DataType>,
    held: Blocks<RowsOfKey>,
    order: EntryOrder,
    /// The rows of large keys to which rows came late, by time.
    index: BTreeSet<(KeyId, i64, u32)>,
    rows: Blocks<Row>,
    free: Vec<u32>,
    /// Values, and the tags that are no key columns, which tell rows of one time apart.
    columns: Vec<ValueColumn>,
    /// Which of them are such tags, in order of their names.
    tags: Vec<usize>,
    /// The fields of the last batch, and where in it the columns are.
    fields: Fields,
    at: Vec<Option<usize>>,
    /// The newest time that the clock has shown: entries stay in order when it is set back.
    now_ns: i64,
}

impl LastValues {
    /// A cache without rows.
    pub fn new(def: Arc<LastCacheDef>) -> Self {
        let ttl_ns = i64::try_from(def.ttl_seconds).unwrap_or(i64::MAX).saturating_mul(SECOND_NS);
        Self {
            ttl_ns,
            keys: KeyTable::new(def.keys.len(), true),
            key_kinds: vec![DataType::Utf8; def.keys.len()],
            held: Blocks::default(),
            order: EntryOrder::default(),
            index: BTreeSet::new(),
            rows: Blocks::default(),
            free: Vec::new(),
            columns: Vec::new(),
            tags: Vec::new(),
            fields: Fields::empty(),
            at: Vec::new(),
            now_ns: i64::MIN,
            def,
        }
    }

    fn is_over(&self, entered_ns: i64, now_ns: i64) -> bool {
        entered_ns.saturating_add(self.ttl_ns) <= now_ns
    }

    fn is_key(&self, name: &str) -> bool {
        self.def.keys.iter().any(|key| key.as_ref() == name)
    }

    fn is_value(&self, name: &str) -> bool {
        name != TIME_COLUMN
            && match &self.def.values {
                Some(values) => values.iter().any(|value| value.as_ref() == name),
                None => !self.is_key(name),
            }
    }

    fn take(&mut self, rows: &RecordBatch, now_ns: i64, source: Source) -> Result<(), ArrowError> {
        if self.ttl_ns == 0 {
            return Ok(()); // no row would ever be shown
        }
        self.now_ns = self.now_ns.max(now_ns);
        self.enter(rows, self.now_ns, source).map(drop)
    }

    /// Finds the columns in a batch, and makes those for values that appear for the first time.
    /// Batches with the fields of the one before, which nearly all are, cost one comparison.
    fn find_columns(&mut self, fields: &Fields) -> Result<(), ArrowError> {
        let is_same = self.fields.len() == fields.len()
            && self.fields.iter().zip(fields).all(|(known, field)| known.name() == field.name());
        if is_same {
            return Ok(());
        }
        self.fields = Fields::empty(); // in case that this fails
        for field in fields {
            let known = self.columns.iter().any(|column| column.name.as_ref() == field.name());
            if let Some(key) = self.def.keys.iter().position(|k| k.as_ref() == field.name()) {
                self.key_kinds[key] = match field.data_type() {
                    DataType::Dictionary(..) => DataType::Utf8,
                    kind => kind.clone(),
                };
            }
            let is_tag =
                matches!(field.data_type(), DataType::Dictionary(..)) && !self.is_key(field.name());
            if !known && (is_tag || self.is_value(field.name())) {
                let (name, end) = (field.name().as_str().into(), self.rows.len());
                self.columns.push(ValueColumn::new(name, field.data_type(), end)?);
            }
        }
        let is_tag =
            |at: &usize| self.columns[*at].is_tag() && !self.is_key(&self.columns[*at].name);
        let mut tags: Vec<usize> = (0..self.columns.len()).filter(is_tag).collect();
        tags.sort_unstable_by_key(|at| &self.columns[*at].name);
        self.tags = tags;
        let columns = self.columns.iter();
        self.at = columns.map(|column| fields.find(&column.name).map(|(at, _)| at)).collect();
        self.fields = fields.clone();
        Ok(())
    }

    /// Takes rows that come in now. Returns the key and the place of each; rows that others of the
    /// batch have pushed out, or that were there already, have none.
    fn enter(
        &mut self,
        rows: &RecordBatch,
        now_ns: i64,
        source: Source,
    ) -> Result<(Vec<KeyId>, Vec<u32>), ArrowError> {
        let times = times_of(rows)?;
        self.find_columns(rows.schema_ref().fields())?;
        let keys = self.keys.resolve(rows, &self.def.keys, |_| true)?;
        self.held.grow(self.keys.capacity(), &NOTHING);
        self.order.grow(self.keys.capacity());
        let mut incoming = Incoming::new(rows, self.tags.iter().map(|at| self.at[*at]))?;
        // Rows whose values go to places that others have.
        let mut known: Vec<(usize, usize)> = Vec::new();
        for (at, (key, time_ns)) in keys.iter().zip(times).enumerate() {
            let row = Row { time_ns: *time_ns, entered_ns: now_ns, row: at as u32, ..NO_ROW };
            let entry = if *key == NONE { Entry::Out } else { self.place(*key, row, &incoming) };
            let places = &mut incoming.places;
            places.push(NONE);
            match entry {
                Entry::Out => {}
                Entry::Known(place) => known.push((at, place as usize)),
                Entry::New(place) => {
                    // What the place had before matters only if it came with this batch.
                    let row = &mut self.rows[place as usize].row;
                    let before = std::mem::replace(row, at as u32) as usize;
                    if places.get(before) == Some(&place) {
                        places[before] = NONE;
                    }
                    places[at] = place;
                }
            }
        }
        let places = incoming.places;
        let pushed_out = |(at, place): &(usize, usize)| {
            let later = self.rows[*place].row as usize;
            later > *at && places.get(later) == Some(&(*place as u32))
        };
        known.retain(|row| !pushed_out(row));
        let (moves, end) = (Moves::new(&places), self.rows.len());
        self.columns.iter_mut().for_each(|column| column.grow(end));
        for (column, at) in self.columns.iter_mut().zip(&self.at) {
            let values = at.map(|at| rows.column(at));
            column.put(&moves, values)?;
            if let Some(values) = values {
                let replace = source == Source::Writer && !canary::is("cache-keeps-first");
                column.merge(&known, values, replace)?;
            }
        }
        Ok((keys, places))
    }

    /// Removes a key with all its rows.
    fn remove(&mut self, key: KeyId) {
        let held = std::mem::replace(&mut self.held[key as usize], NOTHING);
        let mut place = held.newest;
        while place != NONE {
            let Row { older, time_ns, .. } = self.rows[place as usize];
            if held.is_indexed {
                self.index.remove(&(key, time_ns, place));
            }
            self.give_back(place);
            place = older;
        }
        self.order.remove(key);
        self.keys.remove(key);
    }

    /// Removes the keys of the longest ago while `goes` says so.
    fn remove_while(&mut self, goes: impl Fn(&Self, i64) -> bool) -> usize {
        let mut removed = 0;
        while let Some((key, touched_ns)) = self.order.oldest()
            && goes(self, touched_ns)
        {
            self.remove(key);
            removed += 1;
        }
        if removed > 0 && self.keys.count() == 0 {
            self.clear(); // gives the memory back
        } else if removed > 0 && self.keys.is_sparse() {
            self.compact();
        }
        removed
    }

    /// Moves what is left into tables of its size.
    fn compact(&mut self) {
        let (mut keys, mut places) = (Vec::new(), Vec::new());
        for (key, _) in self.order.iter() {
            let mut place = self.held[key as usize].oldest;
            while place != NONE {
                keys.push(key);
                places.push(place);
                place = self.rows[place as usize].newer;
            }
        }
        let columns = self.columns.iter().map(ValueColumn::without_values).collect();
        let now_ns = self.now_ns;
        let mut fresh = Self { columns, now_ns, ..Self::new(Arc::clone(&self.def)) };
        let rows = self.as_rows(&keys, &places);
        let moved = rows.and_then(|rows| fresh.enter(&rows, self.now_ns, Source::Writer));
        let Ok((new_keys, new_places)) = moved else { return };
        for (old, new) in places.iter().zip(&new_places) {
            fresh.rows[*new as usize].entered_ns = self.rows[*old as usize].entered_ns;
        }
        let mut moved: Vec<(KeyId, KeyId)> = keys.into_iter().zip(new_keys).collect();
        moved.dedup();
        for ((old, new), (_, touched_ns)) in moved.into_iter().zip(self.order.iter()) {
            let (held, former) = (&mut fresh.held[new as usize], self.held[old as usize]);
            held.is_mixed = former.is_mixed;
            held.entered_since_ns = former.entered_since_ns;
            fresh.order.backdate(new, touched_ns);
        }
        *self = fresh;
    }

    /// The rows at these places as they could have been written.
    fn as_rows(&self, keys: &[KeyId], places: &[u32]) -> Result<RecordBatch, ArrowError> {
        let mut fields = Vec::new();
        let mut columns = Vec::new();
        for (at, (name, kind)) in self.def.keys.iter().zip(&self.key_kinds).enumerate() {
            let words = keys.iter().map(|key| self.keys.word(*key, at));
            fields.push(Field::new(name.as_ref(), kind.clone(), true));
            columns.push(self.keys.dictionary(at).column(words, kind));
        }
        for column in &self.columns {
            let values = column.gather(places);
            fields.push(Field::new(column.name.as_ref(), values.data_type().clone(), true));
            columns.push(values);
        }
        let times = places.iter().map(|place| self.rows[*place as usize].time_ns);
        fields.push(time_field());
        columns.push(Arc::new(TimestampNanosecondArray::from_iter_values(times)));
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
    }

    /// The rows that are asked for: key and place of each.
    fn select(&self, question: &LookUpCache, now_ns: i64) -> (Vec<KeyId>, Vec<u32>) {
        let limit = question.limit.unwrap_or(usize::MAX);
        let (mut keys, mut places) = (Vec::new(), Vec::new());
        for key in self.keys.select(&question.tests) {
            let mut place = self.held[key as usize].newest;
            while place != NONE {
                let row = &self.rows[place as usize];
                if !self.is_over(row.entered_ns, now_ns) {
                    if places.len() >= limit {
                        return (keys, places);
                    }
                    keys.push(key);
                    places.push(place);
                }
                place = row.older;
            }
        }
        (keys, places)
    }

    fn column(&self, schema: &Schema, at: usize, keys: &[KeyId], places: &[u32]) -> ArrayRef {
        let field = schema.field(at);
        let name = field.name().as_str();
        if name == TIME_COLUMN {
            let times = places.iter().map(|place| self.rows[*place as usize].time_ns);
            return Arc::new(TimestampNanosecondArray::from_iter_values(times));
        }
        if let Some(column) = self.def.keys.iter().position(|key| key.as_ref() == name) {
            let words = keys.iter().map(|key| self.keys.word(*key, column));
            return self.keys.dictionary(column).column(words, field.data_type());
        }
        match self.columns.iter().find(|column| column.name.as_ref() == name) {
            Some(column) => column.gather(places),
            None => new_null_array(field.data_type(), places.len()),
        }
    }
}

impl Content for LastValues {
    fn apply(&mut self, rows: &RecordBatch, now_ns: i64) -> Result<(), ArrowError> {
        self.take(rows, now_ns, Source::Writer)
    }

    fn fill(&mut self, rows: &RecordBatch, now_ns: i64) -> Result<(), ArrowError> {
        self.take(rows, now_ns, Source::Filling)
    }

    fn look_up(&self, question: &LookUpCache, now_ns: i64) -> Result<RecordBatch, ArrowError> {
        let (keys, places) = self.select(question, now_ns.max(self.now_ns));
        let schema = &question.schema;
        let columns = (0..schema.fields().len()).map(|at| self.column(schema, at, &keys, &places));
        let options = RecordBatchOptions::new().with_row_count(Some(places.len()));
        RecordBatch::try_new_with_options(Arc::clone(schema), columns.collect(), &options)
    }

    fn evict(&mut self, now_ns: i64) -> usize {
        self.now_ns = self.now_ns.max(now_ns);
        let now_ns = self.now_ns;
        self.remove_while(|cache, touched_ns| cache.is_over(touched_ns, now_ns))
    }

    fn shrink(&mut self, max_bytes: usize) -> usize {
        self.remove_while(|cache, _| cache.bytes() > max_bytes)
    }

    fn clear(&mut self) {
        *self = Self { now_ns: self.now_ns, ..Self::new(Arc::clone(&self.def)) };
    }

    fn keys(&self) -> usize {
        self.keys.count()
    }

    fn rows(&self) -> usize {
        self.rows.len() - self.free.len()
    }

    fn bytes(&self) -> usize {
        let values: usize = self.columns.iter().map(ValueColumn::value_bytes).sum();
        let texts: usize = self.columns.iter().map(ValueColumn::text_bytes).sum();
        let key = self.keys.key_bytes() + size_of::<RowsOfKey>() + 16;
        let index = self.index.len() * 2 * size_of::<(KeyId, i64, u32)>();
        let exact = self.keys() * key + self.rows() * (size_of::<Row>() + values) + index;
        // Lists and indexes that grow by doubling have room that is empty.
        exact + exact / 6 + texts + self.keys.text_bytes()
    }
}
