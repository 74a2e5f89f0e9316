//! Which place a row takes among those of its key.

use super::{LastValues, NO_ROW, NOTHING, Row, RowsOfKey};
use crate::cache_kit::{KeyId, NONE};
use crate::last_cache::tags::Incoming;
use std::cmp::Ordering;

/// Keys with more rows than this have an index of them once a row comes late.
const WALK_MAX: u64 = 64;

/// What becomes of a row.
pub(super) enum Entry {
    /// It is new, and goes to this place.
    New(u32),
    /// It is the row of this place, which gets its values.
    Known(u32),
    /// It is older than all that are kept, or has no key.
    Out,
}

impl LastValues {
    /// Where a row of `key` goes that comes in now.
    pub(super) fn place(&mut self, key: KeyId, row: Row, incoming: &Incoming<'_>) -> Entry {
        let Row { time_ns, entered_ns: now_ns, .. } = row;
        let mut held = self.held[key as usize];
        if held.rows == 0 {
            let place = self.free_place();
            self.set(place, row);
            self.held[key as usize] = RowsOfKey {
                newest: place,
                oldest: place,
                rows: 1,
                entered_since_ns: now_ns,
                ..NOTHING
            };
            self.order.add(key, now_ns);
            return Entry::New(place);
        }
        let is_newest = !held.is_mixed && time_ns > self.rows[held.newest as usize].time_ns;
        if is_newest && self.def.count == 1 {
            self.set(held.newest, row);
            self.order.touch(key, now_ns);
            return Entry::New(held.newest);
        }
        if !is_newest {
            // What is over must not keep others out, nor push them out.
            self.drop_over(key, now_ns);
            held = self.held[key as usize];
            if held.rows == 0 {
                self.order.remove(key);
                return self.place(key, row, incoming);
            }
        }
        let (newer, mut older) = self.neighbours(key, &row, incoming);
        if older != NONE && self.compare(older, &row, incoming).is_eq() {
            self.rows[older as usize].entered_ns = now_ns;
            self.held[key as usize].is_mixed |= newer != NONE;
            self.order.touch(key, now_ns);
            return Entry::Known(older);
        }
        let place = if u64::from(held.rows) < self.def.count {
            self.held[key as usize].rows += 1;
            self.free_place()
        } else if older == NONE {
            return Entry::Out; // older than all that are kept
        } else {
            let place = held.oldest;
            self.unlink(key, place);
            if older == place {
                older = NONE;
            }
            place
        };
        self.set(place, Row { older, newer, ..row });
        if held.is_indexed {
            self.index.insert((key, time_ns, place));
        }
        match newer {
            NONE => self.held[key as usize].newest = place,
            newer => {
                self.rows[newer as usize].older = place;
                self.held[key as usize].is_mixed = true;
            }
        }
        match older {
            NONE => self.held[key as usize].oldest = place,
            older => self.rows[older as usize].newer = place,
        }
        self.order.touch(key, now_ns);
        Entry::New(place)
    }

    /// The rows of a key between which this one belongs. It may be the older one of them itself.
    fn neighbours(&mut self, key: KeyId, row: &Row, incoming: &Incoming<'_>) -> (u32, u32) {
        let time_ns = row.time_ns;
        let held = self.held[key as usize];
        if time_ns < self.rows[held.oldest as usize].time_ns {
            return (held.oldest, NONE);
        }
        // Nearly always it is the newest.
        let (mut newer, mut older) = (NONE, held.newest);
        if u64::from(held.rows) > WALK_MAX && time_ns < self.rows[older as usize].time_ns {
            if !held.is_indexed {
                self.add_to_index(key);
            }
            let after = (key, time_ns.saturating_add(1), 0);
            if let Some((_, _, place)) = self.index.range(after..).next() {
                (newer, older) = (self.rows[*place as usize].newer, *place);
            }
        }
        while older != NONE && self.compare(older, row, incoming).is_lt() {
            newer = older;
            older = self.rows[older as usize].older;
        }
        (newer, older)
    }

    /// How the row of a place stands to one that comes in: the newest first, those of one time in
    /// order of their tags.
    fn compare(&self, place: u32, row: &Row, incoming: &Incoming<'_>) -> Ordering {
        let known = &self.rows[place as usize];
        let tag = |(number, at): (usize, &usize)| {
            // The values of rows of the same batch are not in the columns yet.
            let known = match incoming.places.get(known.row as usize) {
                Some(taken) if *taken == place => incoming.tag(number, known.row),
                _ => self.columns[*at].tag(place),
            };
            known.cmp(&incoming.tag(number, row.row))
        };
        let by_tags = || self.tags.iter().enumerate().map(tag).find(|order| order.is_ne());
        row.time_ns.cmp(&known.time_ns).then_with(|| by_tags().unwrap_or(Ordering::Equal))
    }

    fn add_to_index(&mut self, key: KeyId) {
        self.held[key as usize].is_indexed = true;
        let mut place = self.held[key as usize].newest;
        while place != NONE {
            let row = &self.rows[place as usize];
            self.index.insert((key, row.time_ns, place));
            place = row.older;
        }
    }

    /// Puts a row at a place, which goes on knowing with what row of a batch it came before.
    fn set(&mut self, place: u32, row: Row) {
        let held = &mut self.rows[place as usize];
        *held = Row { row: held.row, ..row };
    }

    /// Takes a row out of the list of its key.
    fn unlink(&mut self, key: KeyId, place: u32) {
        let Row { older, newer, time_ns, .. } = self.rows[place as usize];
        if self.held[key as usize].is_indexed {
            self.index.remove(&(key, time_ns, place));
        }
        match newer {
            NONE => self.held[key as usize].newest = older,
            newer => self.rows[newer as usize].older = older,
        }
        match older {
            NONE => self.held[key as usize].oldest = newer,
            older => self.rows[older as usize].newer = newer,
        }
    }

    /// Removes the rows of a key whose time is over.
    fn drop_over(&mut self, key: KeyId, now_ns: i64) {
        if !self.is_over(self.held[key as usize].entered_since_ns, now_ns) {
            return;
        }
        let mut place = self.held[key as usize].newest;
        let mut entered_since_ns = now_ns;
        while place != NONE {
            let row = self.rows[place as usize];
            if self.is_over(row.entered_ns, now_ns) {
                self.unlink(key, place);
                self.held[key as usize].rows -= 1;
                self.give_back(place);
            } else {
                entered_since_ns = entered_since_ns.min(row.entered_ns);
            }
            place = row.older;
        }
        self.held[key as usize].entered_since_ns = entered_since_ns;
    }

    fn free_place(&mut self) -> u32 {
        if let Some(place) = self.free.pop() {
            return place;
        }
        self.rows.push(NO_ROW) as u32
    }

    pub(super) fn give_back(&mut self, place: u32) {
        self.columns.iter_mut().for_each(|column| column.release(place as usize));
        self.free.push(place);
    }
}
