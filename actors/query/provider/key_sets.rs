//! What combinations of tag values files and sorted chunks have, remembered from query to query.

use moka::sync::Cache;
use protocols::messages::store::SortedRows;
use std::ops::Range;
use std::sync::{Arc, Weak};

/// Limit: memory for key sets, about.
const BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Names of groups of rows, encoded, in order, each once.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct KeySet {
    bytes: Vec<u8>,
    /// Where each name ends.
    ends: Vec<usize>,
}

impl KeySet {
    /// The set of these names, which may come in any order and several times.
    pub(super) fn of<'a>(names: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut names: Vec<&[u8]> = names.collect();
        names.sort_unstable();
        names.dedup();
        let mut set = Self::default();
        for name in names {
            set.bytes.extend_from_slice(name);
            set.ends.push(set.bytes.len());
        }
        set
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The names.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.part(0..self.len())
    }

    /// The names at these places.
    pub(super) fn part(&self, places: Range<usize>) -> impl Iterator<Item = &[u8]> {
        let end = |at: usize| self.ends.get(at).copied().unwrap_or(self.bytes.len());
        places.map(move |at| {
            let begin = at.checked_sub(1).map_or(0, end);
            &self.bytes[begin..end(at)]
        })
    }
}

/// Whose keys they are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Owner {
    /// The file with this identity.
    File(u64),
    /// The sorted rows at this place in memory.
    Rows(usize),
}

/// What is remembered.
#[derive(Clone, Debug)]
struct Known {
    keys: Arc<KeySet>,
    /// No other rows can come to the same place while this exists.
    _rows: Option<Weak<SortedRows>>,
}

/// Key sets by what they are of and what was asked for: the tags and the condition on them. Those
/// that were not used for longest go first.
#[derive(Clone, Debug)]
pub(super) struct KeySets(Cache<(Owner, Arc<str>), Known>);

impl Default for KeySets {
    fn default() -> Self {
        let weight = |(_, question): &(Owner, Arc<str>), known: &Known| {
            let KeySet { bytes, ends } = &*known.keys;
            let size = bytes.len() + size_of_val(ends.as_slice()) + question.len() + 128;
            u32::try_from(size).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(BYTES_MAX).weigher(weight).build())
    }
}

impl KeySets {
    pub(super) fn of_file(&self, file: u64, question: &Arc<str>) -> Option<Arc<KeySet>> {
        self.0.get(&(Owner::File(file), Arc::clone(question))).map(|known| known.keys)
    }

    pub(super) fn keep_of_file(&self, file: u64, question: &Arc<str>, keys: &Arc<KeySet>) {
        let known = Known { keys: Arc::clone(keys), _rows: None };
        self.0.insert((Owner::File(file), Arc::clone(question)), known);
    }

    pub(super) fn of_rows(
        &self,
        rows: &Arc<SortedRows>,
        question: &Arc<str>,
    ) -> Option<Arc<KeySet>> {
        let place = Owner::Rows(Arc::as_ptr(rows) as usize);
        self.0.get(&(place, Arc::clone(question))).map(|known| known.keys)
    }

    pub(super) fn keep_of_rows(
        &self,
        rows: &Arc<SortedRows>,
        question: &Arc<str>,
        keys: &Arc<KeySet>,
    ) {
        let place = Owner::Rows(Arc::as_ptr(rows) as usize);
        let known = Known { keys: Arc::clone(keys), _rows: Some(Arc::downgrade(rows)) };
        self.0.insert((place, Arc::clone(question)), known);
    }
}
