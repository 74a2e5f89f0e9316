//! The combinations of a distinct-value cache.

use crate::cache_kit::{Blocks, Content, Dictionary, KeyId, KeyTable, NONE, times_of};
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, TimestampNanosecondArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use protocols::caches::DistinctCacheDef;
use protocols::messages::caches::LookUpCache;
use protocols::schema::time_field;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

const SECOND_NS: i64 = 1_000_000_000;

/// The newest time of a combination, and which use of its number it is.
#[derive(Clone, Copy, Debug)]
struct Seen {
    newest_ns: i64,
    life: u32,
}

/// A combination as it was noted: the time may have become newer since, and the number may have
/// been given to another one.
type Noted = Reverse<(i64, KeyId, u32)>;

/// See the module's page.
pub struct DistinctValues {
    def: Arc<DistinctCacheDef>,
    max_age_ns: i64,
    cardinality_max: usize,
    keys: KeyTable,
    seen: Blocks<Seen>,
    /// Each combination once, by a time that is not newer than its own.
    by_time: BinaryHeap<Noted>,
}

impl DistinctValues {
    /// A cache without combinations.
    pub fn new(def: Arc<DistinctCacheDef>) -> Self {
        let seconds = i64::try_from(def.max_age_seconds).unwrap_or(i64::MAX);
        Self {
            max_age_ns: seconds.saturating_mul(SECOND_NS),
            cardinality_max: usize::try_from(def.max_cardinality).unwrap_or(usize::MAX),
            keys: KeyTable::new(def.columns.len(), false),
            seen: Blocks::default(),
            by_time: BinaryHeap::new(),
            def,
        }
    }

    /// Rows before this are too old.
    fn oldest_ns(&self, now_ns: i64) -> i64 {
        now_ns.saturating_sub(self.max_age_ns)
    }

    /// Removes the combinations with the oldest times while `goes` says so.
    fn remove_while(&mut self, goes: impl Fn(&Self, i64) -> bool) -> usize {
        let mut removed = 0;
        while let Some(Reverse((noted_ns, key, life))) = self.by_time.peek().copied()
            && goes(self, noted_ns)
        {
            let seen = &mut self.seen[key as usize];
            self.by_time.pop();
            if seen.life != life {
                continue;
            }
            if seen.newest_ns > noted_ns {
                self.by_time.push(Reverse((seen.newest_ns, key, life)));
                continue;
            }
            seen.life += 1;
            seen.newest_ns = i64::MIN;
            self.keys.remove(key);
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
        let keys = self.keys.select(&[]);
        let fields =
            self.def.columns.iter().map(|name| Field::new(name.as_ref(), DataType::Utf8, true));
        let schema = Arc::new(Schema::new(fields.chain([time_field()]).collect::<Vec<_>>()));
        let column = |at| {
            let words = keys.iter().map(|key| self.keys.word(*key, at));
            self.keys.dictionary(at).column(words, &DataType::Utf8)
        };
        let times = keys.iter().map(|key| self.seen[*key as usize].newest_ns);
        let times: ArrayRef = Arc::new(TimestampNanosecondArray::from_iter_values(times));
        let columns = (0..self.def.columns.len()).map(column).chain([times]).collect();
        let mut fresh = Self::new(Arc::clone(&self.def));
        let moved =
            RecordBatch::try_new(schema, columns).and_then(|rows| fresh.apply(&rows, i64::MIN));
        if moved.is_ok() {
            *self = fresh;
        }
    }
}

impl Content for DistinctValues {
    fn apply(&mut self, rows: &RecordBatch, now_ns: i64) -> Result<(), ArrowError> {
        let times = times_of(rows)?;
        let oldest_ns = self.oldest_ns(now_ns);
        let keys = self.keys.resolve(rows, &self.def.columns, |row| times[row] >= oldest_ns)?;
        let unseen = Seen { newest_ns: i64::MIN, life: 0 };
        self.seen.grow(self.keys.capacity(), &unseen);
        let is_row = |(key, _): &(&KeyId, &i64)| **key != NONE;
        for (key, time_ns) in keys.iter().zip(times).filter(is_row) {
            let seen = &mut self.seen[*key as usize];
            if seen.newest_ns == i64::MIN {
                // No row has the smallest time that there is, so this one is new.
                self.by_time.push(Reverse((*time_ns, *key, seen.life)));
            }
            seen.newest_ns = seen.newest_ns.max(*time_ns);
        }
        if self.keys.count() > self.cardinality_max.saturating_mul(2) {
            self.remove_while(|cache, _| cache.keys.count() > cache.cardinality_max);
        }
        Ok(())
    }

    fn look_up(&self, question: &LookUpCache, now_ns: i64) -> Result<RecordBatch, ArrowError> {
        let oldest_ns = self.oldest_ns(now_ns);
        let mut keys = self.keys.select(&question.tests);
        keys.retain(|key| self.seen[*key as usize].newest_ns >= oldest_ns);
        let schema = &question.schema;
        let columns: Vec<usize> = schema
            .fields()
            .iter()
            .map(|field| self.def.columns.iter().position(|name| name.as_ref() == field.name()))
            .collect::<Option<_>>()
            .ok_or_else(|| ArrowError::SchemaError("a column is not in the cache".to_owned()))?;
        let limit = question.limit.unwrap_or(usize::MAX);
        let words = sorted_words(&self.keys, &keys, &columns);
        let width = columns.len().max(1);
        // Without columns only the number of combinations counts.
        let rows = if columns.is_empty() { keys.len() } else { words.len() / width }.min(limit);
        let arrays = columns.iter().enumerate().map(|(at, column)| {
            let words = words.iter().skip(at).step_by(width).take(rows).copied();
            self.keys.dictionary(*column).column(words, schema.field(at).data_type())
        });
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(schema), arrays.collect(), &options)
    }

    fn evict(&mut self, now_ns: i64) -> usize {
        let oldest_ns = self.oldest_ns(now_ns);
        self.remove_while(|cache, noted_ns| {
            noted_ns < oldest_ns || cache.keys.count() > cache.cardinality_max
        })
    }

    fn shrink(&mut self, max_bytes: usize) -> usize {
        self.remove_while(|cache, _| cache.bytes() > max_bytes)
    }

    fn clear(&mut self) {
        *self = Self::new(Arc::clone(&self.def));
    }

    fn keys(&self) -> usize {
        self.keys.count()
    }

    fn rows(&self) -> usize {
        self.keys.count()
    }

    fn bytes(&self) -> usize {
        let key = self.keys.key_bytes() + size_of::<Seen>() + size_of::<Noted>();
        let exact = self.keys.count() * key;
        // Lists and indexes that grow by doubling have room that is empty.
        exact + exact / 6 + self.keys.text_bytes()
    }
}

/// The words of some columns of `keys`, row by row: each row once, in the order of the values.
fn sorted_words(table: &KeyTable, keys: &[KeyId], columns: &[usize]) -> Vec<u32> {
    let ranks: Vec<Vec<u32>> = columns
        .iter()
        .map(|column| {
            let words = keys.iter().map(|key| table.word(*key, *column));
            ranks(table.dictionary(*column), words)
        })
        .collect();
    let rank = |key: KeyId, at: usize| ranks[at][table.word(key, columns[at]) as usize];
    let mut order: Vec<KeyId> = keys.to_vec();
    let compare = |a: &KeyId, b: &KeyId| {
        let places = 0..columns.len();
        let differs = places.map(|at| rank(*a, at).cmp(&rank(*b, at))).find(|o| o.is_ne());
        differs.unwrap_or(std::cmp::Ordering::Equal)
    };
    order.sort_unstable_by(compare);
    order.dedup_by(|a, b| compare(a, b).is_eq());
    order.iter().flat_map(|key| columns.iter().map(|column| table.word(*key, *column))).collect()
}

/// For each word that occurs its place in the order of the values.
fn ranks(dictionary: &Dictionary, words: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut ranks = vec![NONE; dictionary.words_end()];
    let mut distinct = Vec::new();
    for word in words {
        if ranks[word as usize] == NONE {
            ranks[word as usize] = 0;
            distinct.push(word);
        }
    }
    distinct.sort_unstable_by(|a, b| dictionary.compare(*a, *b));
    for (rank, word) in (0..).zip(distinct) {
        ranks[word as usize] = rank;
    }
    ranks
}
