//! Keys in order of their last entry, as a list through a table: any key moves to the end in a
//! few steps.

use crate::cache_kit::{Blocks, KeyId, NONE};

/// A key's neighbours and when a row of it came in last.
#[derive(Clone, Copy, Debug)]
struct Place {
    before: KeyId,
    after: KeyId,
    touched_ns: i64,
}

/// See the module's page.
#[derive(Debug)]
pub(super) struct EntryOrder {
    places: Blocks<Place>,
    first: KeyId,
    last: KeyId,
}

impl Default for EntryOrder {
    fn default() -> Self {
        Self { places: Blocks::default(), first: NONE, last: NONE }
    }
}

impl EntryOrder {
    /// Makes room for keys below `end`.
    pub(super) fn grow(&mut self, end: usize) {
        let nowhere = Place { before: NONE, after: NONE, touched_ns: 0 };
        self.places.grow(end, &nowhere);
    }

    /// Puts a new key at the end.
    pub(super) fn add(&mut self, key: KeyId, now_ns: i64) {
        let before = std::mem::replace(&mut self.last, key);
        self.places[key as usize] = Place { before, after: NONE, touched_ns: now_ns };
        match before {
            NONE => self.first = key,
            before => self.places[before as usize].after = key,
        }
    }

    /// Takes a key out.
    pub(super) fn remove(&mut self, key: KeyId) {
        let Place { before, after, .. } = self.places[key as usize];
        match before {
            NONE => self.first = after,
            before => self.places[before as usize].after = after,
        }
        match after {
            NONE => self.last = before,
            after => self.places[after as usize].before = before,
        }
    }

    /// Moves a key to those at the end.
    pub(super) fn touch(&mut self, key: KeyId, now_ns: i64) {
        let place = &mut self.places[key as usize];
        if self.last == key {
            place.touched_ns = now_ns;
        } else if place.touched_ns != now_ns {
            self.remove(key);
            self.add(key, now_ns);
        }
    }

    /// Sets when a row of the key came in last, without moving it.
    pub(super) fn backdate(&mut self, key: KeyId, touched_ns: i64) {
        self.places[key as usize].touched_ns = touched_ns;
    }

    /// All keys and when a row of them came in last, the longest ago first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (KeyId, i64)> {
        let first = Some(self.first).filter(|key| *key != NONE);
        let next = |key: &KeyId| Some(self.places[*key as usize].after).filter(|key| *key != NONE);
        std::iter::successors(first, next).map(|key| (key, self.places[key as usize].touched_ns))
    }

    /// The key whose last entry is the longest ago, and when that was.
    pub(super) fn oldest(&self) -> Option<(KeyId, i64)> {
        let place = self.places.get(self.first as usize)?;
        Some((self.first, place.touched_ns))
    }
}
