//! The values of a column, each under a small number, as long as somebody uses it.

use super::blocks::Blocks;
use super::numbers::{KeyId, NONE};
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, StringArray, UInt64Array, new_null_array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Int32Type, Int64Type, UInt64Type};
use arrow::error::ArrowError;
use compact_str::CompactString;
use hashbrown::{DefaultHashBuilder, HashTable};
use protocols::messages::caches::KeyValue;
use std::cmp::Ordering;
use std::hash::BuildHasher;
use std::sync::Arc;

/// A value. Texts of up to 24 bytes, which names of series mostly are, need no memory of their own.
#[derive(Clone, Debug)]
enum Word {
    Text(CompactString),
    Integer(i64),
    UInteger(u64),
    Boolean(bool),
}

/// A value and who has it.
#[derive(Clone, Debug)]
struct Entry {
    /// `None` is null, and what a forgotten entry has.
    value: Option<Word>,
    uses: u32,
    /// In a table of keys the newest key with this value; the others follow by the table's links.
    first: KeyId,
}

/// A word in the index, with the hash of its value: the index grows without a look at the values.
#[derive(Debug)]
struct Indexed {
    hash: u32,
    word: u32,
}

impl Indexed {
    /// The hash as the index wants it.
    fn spread(hash: u32) -> u64 {
        u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// See the module's page.
#[derive(Debug, Default)]
pub struct Dictionary {
    entries: Blocks<Entry>,
    free: Vec<u32>,
    /// Entries that came into being since [`Self::forget_unused`].
    fresh: Vec<u32>,
    index: HashTable<Indexed>,
    hasher: DefaultHashBuilder,
    text_bytes: usize,
    /// The word that came after the last one when the values were new. Writers repeat themselves,
    /// so mostly this is the next one too, and one comparison finds it.
    next: u32,
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

    fn held(value: Option<&'a Word>) -> Self {
        match value {
            None => Self::Null,
            Some(Word::Text(text)) => Self::Text(text),
            Some(Word::Integer(number)) => Self::Integer(*number),
            Some(Word::UInteger(number)) => Self::UInteger(*number),
            Some(Word::Boolean(truth)) => Self::Boolean(*truth),
        }
    }

    fn owned(self) -> Option<Word> {
        match self {
            Self::Null => None,
            Self::Text(text) => Some(Word::Text(CompactString::new(text))),
            Self::Integer(number) => Some(Word::Integer(number)),
            Self::UInteger(number) => Some(Word::UInteger(number)),
            Self::Boolean(truth) => Some(Word::Boolean(truth)),
        }
    }
}

/// Memory that a value takes beside its entry.
fn text_bytes(value: Option<&Word>) -> usize {
    match value {
        Some(Word::Text(text)) if text.is_heap_allocated() => text.capacity() + 8,
        _ => 0,
    }
}

impl Dictionary {
    /// How many values there are.
    pub fn count(&self) -> usize {
        self.index.len()
    }

    /// Bytes of all texts.
    pub fn text_bytes(&self) -> usize {
        self.text_bytes
    }

    /// The word of a value, if a key has it.
    pub(super) fn find(&self, value: Option<&KeyValue>) -> Option<u32> {
        self.find_sought(Sought::of(value))
    }

    fn hash(&self, sought: Sought<'_>) -> u32 {
        let hash = match sought {
            Sought::Text(text) => self.hasher.hash_one(text),
            other => self.hasher.hash_one(other),
        };
        (hash ^ (hash >> 32)) as u32
    }

    fn find_sought(&self, sought: Sought<'_>) -> Option<u32> {
        self.find_hashed(self.hash(sought), sought)
    }

    fn find_hashed(&self, hash: u32, sought: Sought<'_>) -> Option<u32> {
        let is_it = |known: &Indexed| {
            let value = &self.entries[known.word as usize].value;
            known.hash == hash && Sought::held(value.as_ref()) == sought
        };
        self.index.find(Indexed::spread(hash), is_it).map(|known| known.word)
    }

    fn find_or_add(&mut self, sought: Sought<'_>) -> u32 {
        // A forgotten entry has no text, so that only one in use can be the one.
        let is_next = |entry: &Entry| match (&entry.value, sought) {
            (Some(Word::Text(known)), Sought::Text(text)) => known == text,
            _ => false,
        };
        let word = match self.entries.get(self.next as usize) {
            Some(entry) if is_next(entry) => self.next,
            _ => {
                let hash = self.hash(sought);
                self.find_hashed(hash, sought).unwrap_or_else(|| self.add(hash, sought))
            }
        };
        self.next = word + 1;
        word
    }

    fn add(&mut self, hash: u32, sought: Sought<'_>) -> u32 {
        let entry = Entry { value: sought.owned(), uses: 0, first: NONE };
        self.text_bytes += text_bytes(entry.value.as_ref());
        let word = match self.free.pop() {
            Some(word) => {
                self.entries[word as usize] = entry;
                word
            }
            None => self.entries.push(entry) as u32,
        };
        let rehash = |known: &Indexed| Indexed::spread(known.hash);
        self.index.insert_unique(Indexed::spread(hash), Indexed { hash, word }, rehash);
        self.fresh.push(word);
        word
    }

    /// The word of each row of a column; new values are added. Where there is no value, or no
    /// column, it is that of null, or [`NONE`] if null is no value.
    ///
    /// # Errors
    /// When the column has another type than keys have.
    pub fn words_of(
        &mut self,
        column: Option<&ArrayRef>,
        row_count: usize,
        null_counts: bool,
    ) -> Result<Vec<u32>, ArrowError> {
        let has_null = column.is_none_or(|c| c.null_count() > 0);
        let null = if null_counts && has_null { self.find_or_add(Sought::Null) } else { NONE };
        let Some(column) = column else { return Ok(vec![null; row_count]) };
        let wrong = || wrong(column);
        let nulls = column.nulls().filter(|_| has_null);
        let is_valid = |row: usize| nulls.is_none_or(|nulls| nulls.is_valid(row));
        let value_at = |row| is_valid(row).then_some(row);
        let rows = (0..row_count).map(value_at);
        Ok(match column.data_type() {
            DataType::Dictionary(..) => {
                let coded = column.as_dictionary_opt::<Int32Type>().ok_or_else(wrong)?;
                let texts = coded.values().as_string_opt::<i32>().ok_or_else(wrong)?;
                let keys = coded.keys().values();
                if has_null || texts.len() > row_count {
                    // There may be values that no row has, or none at all.
                    let mut known = vec![NONE; texts.len()];
                    let mut word = |at: usize| {
                        if known[at] == NONE {
                            known[at] = self.find_or_add(Sought::Text(texts.value(at)));
                        }
                        known[at]
                    };
                    rows.map(|row| row.map_or(null, |row| word(keys[row] as usize))).collect()
                } else {
                    let known = 0..texts.len();
                    let known = known.map(|at| self.find_or_add(Sought::Text(texts.value(at))));
                    let known: Vec<u32> = known.collect();
                    keys.iter().map(|key| known[*key as usize]).collect()
                }
            }
            DataType::Utf8 => {
                let texts = column.as_string::<i32>();
                self.each(rows, null, |row| Sought::Text(texts.value(row)))
            }
            DataType::Int64 => {
                let numbers = column.as_primitive::<Int64Type>().values();
                self.each(rows, null, |row| Sought::Integer(numbers[row]))
            }
            DataType::UInt64 => {
                let numbers = column.as_primitive::<UInt64Type>().values();
                self.each(rows, null, |row| Sought::UInteger(numbers[row]))
            }
            DataType::Boolean => {
                let truths = column.as_boolean();
                self.each(rows, null, |row| Sought::Boolean(truths.value(row)))
            }
            _ => return Err(wrong()),
        })
    }

    /// The words of the values at those rows, `null` where there is none.
    fn each<'a>(
        &mut self,
        rows: impl Iterator<Item = Option<usize>>,
        null: u32,
        sought: impl Fn(usize) -> Sought<'a>,
    ) -> Vec<u32> {
        rows.map(|row| row.map_or(null, |row| self.find_or_add(sought(row)))).collect()
    }

    /// Notes one more use of the value.
    pub fn retain(&mut self, word: u32) {
        self.entries[word as usize].uses += 1;
    }

    /// Notes that one use of the value is gone.
    pub fn release(&mut self, word: u32) {
        let entry = &mut self.entries[word as usize];
        entry.uses -= 1;
        if entry.uses == 0 {
            self.forget(word);
        }
    }

    /// Notes that a key has the value. Returns the key that had it before.
    pub(super) fn add_use(&mut self, word: u32, key: KeyId) -> KeyId {
        let entry = &mut self.entries[word as usize];
        entry.uses += 1;
        std::mem::replace(&mut entry.first, key)
    }

    /// Notes that a key is gone which stood between `before` and `after`.
    pub(super) fn remove_use(&mut self, word: u32, before: KeyId, after: KeyId) {
        if before == NONE {
            self.entries[word as usize].first = after;
        }
        self.release(word);
    }

    /// Forgets values that came and of which nobody noted a use.
    pub fn forget_unused(&mut self) {
        while let Some(word) = self.fresh.pop() {
            if self.entries[word as usize].uses == 0 {
                self.forget(word);
            }
        }
    }

    fn forget(&mut self, word: u32) {
        let value = self.entries[word as usize].value.take();
        self.text_bytes -= text_bytes(value.as_ref());
        let hash = Indexed::spread(self.hash(Sought::held(value.as_ref())));
        if let Ok(entry) = self.index.find_entry(hash, |known| known.word == word) {
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

    /// The text of a word, if it is the word of one.
    pub fn text(&self, word: u32) -> Option<&str> {
        match self.entries.get(word as usize)?.value.as_ref()? {
            Word::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Orders values: null first, texts by their bytes.
    pub fn compare(&self, a: u32, b: u32) -> Ordering {
        let value = |word: u32| self.entries[word as usize].value.as_ref();
        match (value(a), value(b)) {
            (Some(Word::Text(a)), Some(Word::Text(b))) => a.cmp(b),
            (Some(Word::Integer(a)), Some(Word::Integer(b))) => a.cmp(b),
            (Some(Word::UInteger(a)), Some(Word::UInteger(b))) => a.cmp(b),
            (Some(Word::Boolean(a)), Some(Word::Boolean(b))) => a.cmp(b),
            (a, b) => a.is_some().cmp(&b.is_some()),
        }
    }

    /// The values of `words` as a column of that type; no word is null.
    pub fn column(&self, words: impl Iterator<Item = u32> + Clone, kind: &DataType) -> ArrayRef {
        let values = words.map(|word| self.entries.get(word as usize)?.value.as_ref());
        match kind {
            DataType::Utf8 => Arc::new(texts(values)),
            DataType::Int64 => Arc::new(
                values
                    .map(|value| match value {
                        Some(Word::Integer(number)) => Some(*number),
                        _ => None,
                    })
                    .collect::<Int64Array>(),
            ),
            DataType::UInt64 => Arc::new(
                values
                    .map(|value| match value {
                        Some(Word::UInteger(number)) => Some(*number),
                        _ => None,
                    })
                    .collect::<UInt64Array>(),
            ),
            DataType::Boolean => Arc::new(
                values
                    .map(|value| match value {
                        Some(Word::Boolean(truth)) => Some(*truth),
                        _ => None,
                    })
                    .collect::<BooleanArray>(),
            ),
            other => new_null_array(other, values.count()),
        }
    }
}

/// A column of these values. What is no text is null.
fn texts<'a>(values: impl Iterator<Item = Option<&'a Word>>) -> StringArray {
    let text = |value: Option<&'a Word>| match value {
        Some(Word::Text(text)) => Some(text.as_str()),
        _ => None,
    };
    let texts: Vec<Option<&str>> = values.map(text).collect();
    // A builder would look at room and nulls for each of them.
    let offsets = OffsetBuffer::from_lengths(texts.iter().map(|text| text.map_or(0, str::len)));
    let mut bytes = Vec::with_capacity(offsets.last().map_or(0, |end| *end as usize));
    texts.iter().flatten().for_each(|text| bytes.extend_from_slice(text.as_bytes()));
    let has_null = texts.iter().any(Option::is_none);
    let nulls = has_null.then(|| texts.iter().map(Option::is_some).collect());
    StringArray::new(offsets, bytes.into(), nulls)
}

fn wrong(column: &ArrayRef) -> ArrowError {
    ArrowError::SchemaError(format!("{} is not the type of a key column", column.data_type()))
}
