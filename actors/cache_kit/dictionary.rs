//! The values of one key column, each under a small number, as long as a key has it.

use super::keys::{KeyId, NONE};
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringBuilder, UInt64Array,
    new_null_array,
};
use arrow::datatypes::{DataType, Int32Type, Int64Type, UInt64Type};
use arrow::error::ArrowError;
use hashbrown::{DefaultHashBuilder, HashTable};
use protocols::messages::caches::KeyValue;
use std::cmp::Ordering;
use std::hash::BuildHasher;
use std::sync::Arc;

/// A value and who has it.
#[derive(Debug)]
struct Entry {
    /// `None` is null.
    value: Option<KeyValue>,
    uses: u32,
    /// The newest key with this value; the others follow by the links of the table.
    first: KeyId,
}

/// See the module's page.
#[derive(Debug, Default)]
pub struct Dictionary {
    entries: Vec<Entry>,
    free: Vec<u32>,
    /// Entries that came into being since [`Self::forget_unused`].
    fresh: Vec<u32>,
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
    text_bytes: usize,
}

/// A value that is looked for, without a copy of its text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Sought<'a> {
    Null,
    Text(&'a str),
    Integer(i64),
    UInteger(u64),
    Boolean(bool),
}

impl<'a> Sought<'a> {
    fn of(value: Option<&'a KeyValue>) -> Self {
        match value {
            None => Self::Null,
            Some(KeyValue::Text(text)) => Self::Text(text),
            Some(KeyValue::Integer(number)) => Self::Integer(*number),
            Some(KeyValue::UInteger(number)) => Self::UInteger(*number),
            Some(KeyValue::Boolean(truth)) => Self::Boolean(*truth),
        }
    }

    fn owned(self) -> Option<KeyValue> {
        match self {
            Self::Null => None,
            Self::Text(text) => Some(KeyValue::Text(Arc::from(text))),
            Self::Integer(number) => Some(KeyValue::Integer(number)),
            Self::UInteger(number) => Some(KeyValue::UInteger(number)),
            Self::Boolean(truth) => Some(KeyValue::Boolean(truth)),
        }
    }
}

/// Memory of a text: its bytes, and what an allocation of its own costs.
fn text_bytes(value: Option<&KeyValue>) -> usize {
    match value {
        Some(KeyValue::Text(text)) => text.len() + 32,
        _ => 0,
    }
}

impl Dictionary {
    /// Bytes of all texts.
    pub(super) fn text_bytes(&self) -> usize {
        self.text_bytes
    }

    /// The word of a value, if a key has it.
    pub(super) fn find(&self, value: Option<&KeyValue>) -> Option<u32> {
        self.find_sought(Sought::of(value))
    }

    fn find_sought(&self, sought: Sought<'_>) -> Option<u32> {
        let hash = self.hasher.hash_one(sought);
        let is_it = |word: &u32| Sought::of(self.entries[*word as usize].value.as_ref()) == sought;
        self.index.find(hash, is_it).copied()
    }

    fn find_or_add(&mut self, sought: Sought<'_>) -> u32 {
        if let Some(word) = self.find_sought(sought) {
            return word;
        }
        let entry = Entry { value: sought.owned(), uses: 0, first: NONE };
        self.text_bytes += text_bytes(entry.value.as_ref());
        let word = match self.free.pop() {
            Some(word) => {
                self.entries[word as usize] = entry;
                word
            }
            None => {
                self.entries.push(entry);
                (self.entries.len() - 1) as u32
            }
        };
        let (entries, hasher) = (&self.entries, &self.hasher);
        let hash = hasher.hash_one(sought);
        self.index.insert_unique(hash, word, |word| {
            hasher.hash_one(Sought::of(entries[*word as usize].value.as_ref()))
        });
        self.fresh.push(word);
        word
    }

    /// Notes that a key has the value. Returns the key that had it before.
    pub(super) fn add_use(&mut self, word: u32, key: KeyId) -> KeyId {
        let entry = &mut self.entries[word as usize];
        entry.uses += 1;
        std::mem::replace(&mut entry.first, key)
    }

    /// Notes that a key is gone which stood between `before` and `after`.
    pub(super) fn remove_use(&mut self, word: u32, before: KeyId, after: KeyId) {
        let entry = &mut self.entries[word as usize];
        entry.uses -= 1;
        if before == NONE {
            entry.first = after;
        }
        if entry.uses == 0 {
            self.forget(word);
        }
    }

    /// Forgets values that came with rows that have no key.
    pub(super) fn forget_unused(&mut self) {
        while let Some(word) = self.fresh.pop() {
            if self.entries[word as usize].uses == 0 {
                self.forget(word);
            }
        }
    }

    fn forget(&mut self, word: u32) {
        let value = self.entries[word as usize].value.take();
        self.text_bytes -= text_bytes(value.as_ref());
        let hash = self.hasher.hash_one(Sought::of(value.as_ref()));
        if let Ok(entry) = self.index.find_entry(hash, |known| *known == word) {
            entry.remove();
            self.free.push(word);
        }
    }

    /// How many keys have the value.
    pub(super) fn uses(&self, word: u32) -> usize {
        self.entries[word as usize].uses as usize
    }

    /// The newest key with the value.
    pub(super) fn first_use(&self, word: u32) -> KeyId {
        self.entries[word as usize].first
    }

    /// One more than the largest word.
    pub fn words_end(&self) -> usize {
        self.entries.len()
    }

    /// Orders values: null first, texts by their bytes.
    pub fn compare(&self, a: u32, b: u32) -> Ordering {
        let value = |word: u32| self.entries[word as usize].value.as_ref();
        match (value(a), value(b)) {
            (Some(KeyValue::Text(a)), Some(KeyValue::Text(b))) => a.cmp(b),
            (Some(KeyValue::Integer(a)), Some(KeyValue::Integer(b))) => a.cmp(b),
            (Some(KeyValue::UInteger(a)), Some(KeyValue::UInteger(b))) => a.cmp(b),
            (Some(KeyValue::Boolean(a)), Some(KeyValue::Boolean(b))) => a.cmp(b),
            (a, b) => a.is_some().cmp(&b.is_some()),
        }
    }

    /// The values of `words` as a column of that type.
    pub fn column(&self, words: impl Iterator<Item = u32> + Clone, kind: &DataType) -> ArrayRef {
        let values = words.map(|word| self.entries[word as usize].value.as_ref());
        match kind {
            DataType::Utf8 => {
                let bytes = values.clone().map(|value| match value {
                    Some(KeyValue::Text(text)) => text.len(),
                    _ => 0,
                });
                let mut texts = StringBuilder::with_capacity(values.clone().count(), bytes.sum());
                for value in values {
                    match value {
                        Some(KeyValue::Text(text)) => texts.append_value(text),
                        _ => texts.append_null(),
                    }
                }
                Arc::new(texts.finish())
            }
            DataType::Int64 => Arc::new(
                values
                    .map(|value| match value {
                        Some(KeyValue::Integer(number)) => Some(*number),
                        _ => None,
                    })
                    .collect::<Int64Array>(),
            ),
            DataType::UInt64 => Arc::new(
                values
                    .map(|value| match value {
                        Some(KeyValue::UInteger(number)) => Some(*number),
                        _ => None,
                    })
                    .collect::<UInt64Array>(),
            ),
            DataType::Boolean => Arc::new(
                values
                    .map(|value| match value {
                        Some(KeyValue::Boolean(truth)) => Some(*truth),
                        _ => None,
                    })
                    .collect::<BooleanArray>(),
            ),
            other => new_null_array(other, values.count()),
        }
    }
}

/// The word of each row of a column. Where there is no value it is that of null, or [`NONE`] when
/// null is no value.
pub(super) fn words_of(
    rows: &RecordBatch,
    name: &str,
    dictionary: &mut Dictionary,
    null_counts: bool,
) -> Result<Vec<u32>, ArrowError> {
    let row_count = rows.num_rows();
    let column = rows.column_by_name(name);
    let has_null = column.is_none_or(|c| c.null_count() > 0);
    let null = match null_counts && has_null {
        true => dictionary.find_or_add(Sought::Null),
        false => NONE,
    };
    let Some(column) = column else { return Ok(vec![null; row_count]) };
    let mut words = vec![null; row_count];
    let mut set = |row: usize, dictionary: &mut Dictionary, sought: Sought<'_>| {
        words[row] = dictionary.find_or_add(sought);
    };
    let valid = (0..row_count).filter(|row| column.is_valid(*row));
    match column.data_type() {
        DataType::Dictionary(..) => {
            let coded = column.as_dictionary_opt::<Int32Type>().ok_or_else(|| wrong(column))?;
            let texts = coded.values().as_string_opt::<i32>().ok_or_else(|| wrong(column))?;
            let mut known = vec![NONE; texts.len()];
            let keys = coded.keys().values();
            for row in valid {
                let at = keys[row] as usize;
                if known[at] == NONE {
                    known[at] = dictionary.find_or_add(Sought::Text(texts.value(at)));
                }
                words[row] = known[at];
            }
        }
        DataType::Utf8 => {
            let texts = column.as_string::<i32>();
            valid.for_each(|row| set(row, dictionary, Sought::Text(texts.value(row))));
        }
        DataType::Int64 => {
            let numbers = column.as_primitive::<Int64Type>();
            valid.for_each(|row| set(row, dictionary, Sought::Integer(numbers.value(row))));
        }
        DataType::UInt64 => {
            let numbers = column.as_primitive::<UInt64Type>();
            valid.for_each(|row| set(row, dictionary, Sought::UInteger(numbers.value(row))));
        }
        DataType::Boolean => {
            let truths = column.as_boolean();
            valid.for_each(|row| set(row, dictionary, Sought::Boolean(truths.value(row))));
        }
        _ => return Err(wrong(column)),
    }
    Ok(words)
}

fn wrong(column: &ArrayRef) -> ArrowError {
    ArrowError::SchemaError(format!("{} is not the type of a key column", column.data_type()))
}
