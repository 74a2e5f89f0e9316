//! Combinations of values under small numbers: found by hash as a whole, and by any one of their
//! values through lists.
//!
//! Each column has a dictionary of the values in use. A key is a row of dictionary words, so that
//! a batch compares each distinct text once and everything else are integers.

use super::blocks::Blocks;
use super::dictionary::Dictionary;
use super::numbers::{KeyId, NONE};
use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use hashbrown::HashTable;
use protocols::messages::caches::{KeyTest, KeyValue};

/// As many whole keys are looked up one by one for lists of values, before lists are walked.
const LOOK_UPS_MAX: usize = 1024;

/// Tables up to this many numbers are never sparse.
const SPARSE_MIN: usize = 1024;

/// See the module's page.
#[derive(Debug)]
pub struct KeyTable {
    columns: Vec<Dictionary>,
    /// One word a column, key by key.
    words: Vec<u32>,
    /// The keys with the same word before and after this one, for each column, key by key.
    links: Vec<[u32; 2]>,
    /// Whether the number stands for a key.
    live: Blocks<bool>,
    free: Vec<KeyId>,
    /// Empty when there is one column: its dictionary knows the key of each value.
    index: HashTable<KeyId>,
    count: usize,
    /// Rows without a value for a column have no key.
    complete: bool,
}

/// The words that a test lets through.
struct WordTest {
    column: usize,
    words: Vec<u32>,
    /// False when the words are those that are not let through.
    among: bool,
}

impl WordTest {
    fn holds(&self, word: u32) -> bool {
        self.words.binary_search(&word).is_ok() == self.among
    }
}

impl KeyTable {
    /// A table of keys with `width` columns. With `complete`, rows that lack a value have no key;
    /// else a missing value is a value.
    pub fn new(width: usize, complete: bool) -> Self {
        Self {
            columns: (0..width).map(|_| Dictionary::default()).collect(),
            words: Vec::new(),
            links: Vec::new(),
            live: Blocks::default(),
            free: Vec::new(),
            index: HashTable::new(),
            count: 0,
            complete,
        }
    }

    /// How many keys there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Numbers of keys are below this.
    pub fn capacity(&self) -> usize {
        self.live.len()
    }

    /// True when most numbers stand for no key any more, so that building the whole anew costs less
    /// than the removals before it.
    pub fn is_sparse(&self) -> bool {
        self.capacity() > SPARSE_MIN && self.count() * 2 < self.capacity()
    }

    /// Bytes of the texts in the dictionaries.
    pub fn text_bytes(&self) -> usize {
        self.columns.iter().map(Dictionary::text_bytes).sum()
    }

    /// Memory of a key beside its texts.
    pub fn key_bytes(&self) -> usize {
        // Words and links, a place in the index and in a dictionary.
        self.columns.len() * 12 + 80
    }

    /// The key of each row of `rows`; [`NONE`] for those that have none or are not `wanted`. Keys
    /// that are new are added.
    ///
    /// # Errors
    /// When a column has a type that no key has.
    pub fn resolve(
        &mut self,
        rows: &RecordBatch,
        names: &[std::sync::Arc<str>],
        wanted: impl Fn(usize) -> bool,
    ) -> Result<Vec<KeyId>, ArrowError> {
        let mut words = Vec::with_capacity(names.len());
        for (name, dictionary) in names.iter().zip(&mut self.columns) {
            let column = rows.column_by_name(name);
            words.push(dictionary.words_of(column, rows.num_rows(), !self.complete)?);
        }
        let mut key = vec![0; names.len()];
        // Writers repeat themselves: after a key comes mostly the one that came after it before.
        let mut next = NONE;
        let ids = (0..rows.num_rows()).map(|row| {
            if !wanted(row) {
                return NONE;
            }
            for (word, column) in key.iter_mut().zip(&words) {
                *word = column[row];
                if *word == NONE {
                    return NONE;
                }
            }
            let id = if self.is(next, &key) { next } else { self.find_or_add(&key) };
            next = id + 1;
            id
        });
        let ids = ids.collect();
        self.columns.iter_mut().for_each(Dictionary::forget_unused);
        Ok(ids)
    }

    /// Whether the number stands for that key.
    fn is(&self, id: KeyId, key: &[u32]) -> bool {
        self.live.get(id as usize).is_some_and(|live| *live) && self.words(id) == key
    }

    fn find_or_add(&mut self, key: &[u32]) -> KeyId {
        self.find(key).unwrap_or_else(|| self.add(key))
    }

    fn add(&mut self, key: &[u32]) -> KeyId {
        let width = self.columns.len();
        let id = match self.free.pop() {
            Some(id) => id,
            None => {
                let id = self.live.push(false) as KeyId;
                self.words.resize(self.words.len() + width, NONE);
                self.links.resize(self.links.len() + width, [NONE; 2]);
                id
            }
        };
        self.live[id as usize] = true;
        self.count += 1;
        let first = id as usize * width;
        self.words[first..first + width].copy_from_slice(key);
        for (column, word) in key.iter().enumerate() {
            let head = self.columns[column].add_use(*word, id);
            self.links[first + column] = [NONE, head];
            if head != NONE {
                self.links[head as usize * width + column][0] = id;
            }
        }
        if width != 1 {
            let words = &self.words;
            self.index.insert_unique(hash_words(key), id, |id| {
                hash_words(&words[*id as usize * width..(*id as usize + 1) * width])
            });
        }
        id
    }

    fn find(&self, key: &[u32]) -> Option<KeyId> {
        match key {
            [word] => Some(self.columns[0].first_use(*word)).filter(|id| *id != NONE),
            _ => self.index.find(hash_words(key), |id| self.words(*id) == key).copied(),
        }
    }

    fn words(&self, id: KeyId) -> &[u32] {
        let width = self.columns.len();
        &self.words[id as usize * width..(id as usize + 1) * width]
    }

    /// The word of a column of a key.
    pub fn word(&self, id: KeyId, column: usize) -> u32 {
        self.words[id as usize * self.columns.len() + column]
    }

    /// The dictionary of a column.
    pub fn dictionary(&self, column: usize) -> &Dictionary {
        &self.columns[column]
    }

    /// Removes a key. Its number may be given out again at once.
    pub fn remove(&mut self, id: KeyId) {
        let width = self.columns.len();
        if !std::mem::take(&mut self.live[id as usize]) {
            return;
        }
        if width != 1 {
            let hash = hash_words(self.words(id));
            if let Ok(entry) = self.index.find_entry(hash, |known| *known == id) {
                entry.remove();
            }
        }
        self.count -= 1;
        let first = id as usize * width;
        for column in 0..width {
            let [before, after] = self.links[first + column];
            if before != NONE {
                self.links[before as usize * width + column][1] = after;
            }
            if after != NONE {
                self.links[after as usize * width + column][0] = before;
            }
            self.columns[column].remove_use(self.words[first + column], before, after);
        }
        self.free.push(id);
    }

    /// The keys for which all `tests` hold, each once. An equality costs as many steps as there
    /// are keys with that value, and one step when there is one for each column.
    pub fn select(&self, tests: &[(usize, KeyTest)]) -> Vec<KeyId> {
        let tests: Vec<WordTest> =
            tests.iter().map(|(column, t)| self.words_for(*column, t)).collect();
        if let Some(found) = self.look_up(&tests) {
            return found;
        }
        let holds = |id: KeyId| tests.iter().all(|t| t.holds(self.word(id, t.column)));
        let uses = |test: &WordTest| -> usize {
            test.words.iter().map(|word| self.columns[test.column].uses(*word)).sum()
        };
        match tests.iter().filter(|test| test.among).min_by_key(|test| uses(test)) {
            Some(test) => {
                let lists = test.words.iter().flat_map(|word| self.keys_with(test.column, *word));
                lists.filter(|id| holds(*id)).collect()
            }
            None => {
                let all = (0..self.live.len() as KeyId).filter(|id| self.live[*id as usize]);
                all.filter(|id| holds(*id)).collect()
            }
        }
    }

    /// The keys, when the tests name all of them.
    fn look_up(&self, tests: &[WordTest]) -> Option<Vec<KeyId>> {
        let mut lists: Vec<&[u32]> = Vec::with_capacity(self.columns.len());
        let mut combinations = 1_usize;
        for column in 0..self.columns.len() {
            let test = tests.iter().find(|test| test.column == column && test.among)?;
            combinations = combinations.saturating_mul(test.words.len());
            lists.push(&test.words);
        }
        if lists.is_empty() || combinations > LOOK_UPS_MAX {
            return None;
        }
        let mut found = Vec::with_capacity(combinations);
        let mut key = vec![0; lists.len()];
        for number in 0..combinations {
            let mut rest = number;
            for (word, list) in key.iter_mut().zip(&lists) {
                *word = list[rest % list.len()];
                rest /= list.len();
            }
            let holds = || tests.iter().all(|test| test.holds(key[test.column]));
            found.extend(self.find(&key).filter(|_| holds()));
        }
        Some(found)
    }

    fn words_for(&self, column: usize, test: &KeyTest) -> WordTest {
        let dictionary = &self.columns[column];
        let (values, among) = match test {
            KeyTest::In(values) => (values, true),
            KeyTest::NotIn(values) => (values, false),
        };
        let mut words: Vec<u32> =
            values.iter().filter_map(|value| dictionary.find(Some(value))).collect();
        // Nothing compares equal to null, and nothing unequal.
        words.extend(dictionary.find(None).filter(|_| !among));
        words.sort_unstable();
        words.dedup();
        WordTest { column, words, among }
    }

    fn keys_with(&self, column: usize, word: u32) -> impl Iterator<Item = KeyId> {
        let width = self.columns.len();
        let first = Some(self.columns[column].first_use(word)).filter(|id| *id != NONE);
        std::iter::successors(first, move |id| {
            let next = self.links[*id as usize * width + column][1];
            (next != NONE).then_some(next)
        })
    }
}

/// The value of a test as text, for those who show it.
pub fn shown(value: &KeyValue) -> String {
    match value {
        KeyValue::Text(text) => text.to_string(),
        KeyValue::Integer(number) => number.to_string(),
        KeyValue::UInteger(number) => number.to_string(),
        KeyValue::Boolean(truth) => truth.to_string(),
    }
}

fn hash_words(words: &[u32]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix =
        |hash: u64, word: &u32| (hash.rotate_left(23) ^ u64::from(*word)).wrapping_mul(FACTOR);
    let hash = words.iter().fold(FACTOR, mix);
    hash ^ (hash >> 29)
}
