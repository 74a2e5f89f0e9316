//! Remembers the series of a request by their text, so that the tags of a series are read once,
//! however many lines it has.

use hashbrown::{DefaultHashBuilder, HashTable};
use memchr::memchr3;
use std::hash::BuildHasher;
use std::ops::Range;

/// A tag column and a key of its dictionary.
pub(super) type TagKey = (u32, i32);

#[derive(Debug)]
struct Series<'a> {
    /// Measurement and tags as written.
    text: &'a [u8],
    table: usize,
    keys: Range<usize>,
    /// The series that followed this one last time.
    next: usize,
    hash: u64,
}

/// The series seen so far.
#[derive(Debug, Default)]
pub(super) struct SeriesMemo<'a> {
    series: Vec<Series<'a>>,
    keys: Vec<TagKey>,
    index: HashTable<usize>,
    hasher: DefaultHashBuilder,
    last: usize,
    /// The series that was looked for last in vain, and its hash.
    missed: Option<(&'a [u8], u64)>,
}

impl<'a> SeriesMemo<'a> {
    /// The number of a remembered series that begins `rest`, and its length.
    ///
    /// Senders walk over their series in the same order again and again, so the one that followed
    /// last time is tried first: that spares looking for the end of the tags and hashing them.
    #[inline]
    pub(super) fn find(&mut self, rest: &'a [u8]) -> Option<(usize, usize)> {
        let last = self.series.get(self.last)?;
        if let Some(expected) = self.series.get(last.next)
            && rest.get(expected.text.len()) == Some(&b' ')
            && rest.starts_with(expected.text)
        {
            self.last = last.next;
            return Some((self.last, expected.text.len()));
        }
        let text = rest.get(..series_len(rest)?)?;
        let hash = self.hasher.hash_one(text);
        let series = &self.series;
        let is_text = |i: &usize| series.get(*i).is_some_and(|series| series.text == text);
        let Some(found) = self.index.find(hash, is_text).copied() else {
            self.missed = Some((text, hash));
            return None;
        };
        self.follow(found);
        Some((found, text.len()))
    }

    /// The table of a series and the dictionary keys of its tags.
    #[inline]
    pub(super) fn get(&self, number: usize) -> Option<(usize, &[TagKey])> {
        let series = self.series.get(number)?;
        Some((series.table, self.keys.get(series.keys.clone())?))
    }

    /// Remembers the series of an accepted line.
    pub(super) fn add(&mut self, text: &'a [u8], table: usize, keys: &[TagKey]) {
        let hash = match self.missed {
            Some((missed, hash)) if std::ptr::eq(missed, text) => hash,
            _ => {
                let hash = self.hasher.hash_one(text);
                let series = &self.series;
                let is_text = |i: &usize| series.get(*i).is_some_and(|s| s.text == text);
                if let Some(found) = self.index.find(hash, is_text).copied() {
                    self.follow(found);
                    return;
                }
                hash
            }
        };
        let number = self.series.len();
        let first = self.keys.len();
        self.keys.extend_from_slice(keys);
        let keys = first..self.keys.len();
        // Until it is known what follows a series, it is taken to repeat.
        self.series.push(Series { text, table, keys, next: number, hash });
        let series = &self.series;
        self.index.insert_unique(hash, number, |i| series.get(*i).map_or(0, |s| s.hash));
        self.follow(number);
    }

    fn follow(&mut self, number: usize) {
        if let Some(last) = self.series.get_mut(self.last) {
            last.next = number;
        }
        self.last = number;
    }
}

/// Length of the series that begins `rest`: up to the first space that no backslash hides.
fn series_len(rest: &[u8]) -> Option<usize> {
    let mut pos = 0;
    loop {
        let tail = rest.get(pos..)?;
        // A newline before the space: a bad line, and the search must not run through the body.
        let found = memchr3(b' ', b'\\', b'\n', tail)?;
        pos += found;
        match tail.get(found)? {
            b' ' => return Some(pos),
            b'\\' => pos += 2,
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_ends_at_the_first_bare_space() {
        assert_eq!(series_len(b"m,t=a f=1"), Some(5));
        assert_eq!(series_len(br"m,t=a\ b f=1"), Some(8));
        assert_eq!(series_len(br"m,t=a\\ f=1"), Some(7));
        assert_eq!(series_len(b"m,t=a\nm f=1"), None);
        assert_eq!(series_len(b"m"), None);
        assert_eq!(series_len(b"m\\"), None);
    }

    #[test]
    fn series_are_found_in_any_order() {
        let mut memo = SeriesMemo::default();
        assert_eq!(memo.find(b"a f=1"), None);
        memo.add(b"a", 0, &[(0, 5)]);
        memo.add(b"a,t=x", 0, &[(0, 5), (1, 6)]);
        memo.add(b"b", 1, &[]);
        for _ in 0..2 {
            assert_eq!(memo.find(b"a f=1"), Some((0, 1)));
            assert_eq!(memo.find(b"b f=1"), Some((2, 1)));
            assert_eq!(memo.find(b"b  f=1"), Some((2, 1)));
            assert_eq!(memo.find(b"a,t=x f=1"), Some((1, 5)));
            assert_eq!(memo.find(b"a,t=xy f=1"), None);
            assert_eq!(memo.find(b"a,t f=1"), None);
        }
        assert_eq!(memo.get(1), Some((0, [(0, 5), (1, 6)].as_slice())));
        assert_eq!(memo.get(2), Some((1, [].as_slice())));
    }

    #[test]
    fn the_same_series_is_kept_once() {
        let mut memo = SeriesMemo::default();
        memo.add(b"a", 0, &[(0, 5)]);
        memo.add(b"a", 0, &[(0, 5)]);
        assert_eq!(memo.series.len(), 1);
    }
}
