//! The files held, in order of their last use.
//!
//! No library of this sort of cache is used: the bound is one of bytes, a part of the oldest files
//! goes at once, and a new file is always taken. `moka`, which is used elsewhere, decides by itself
//! what it takes and when it drops something.

use bytes::Bytes;
use protocols::messages::parquet_cache::CachedFile;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

struct Entry {
    bytes: Bytes,
    is_checked: bool,
    /// When it was last asked for, in uses of the cache.
    last_hit: u64,
}

/// See the module's page.
pub(super) struct Entries {
    bytes_max: usize,
    by_path: HashMap<Arc<str>, Entry>,
    by_last_hit: BTreeMap<u64, Arc<str>>,
    used_bytes: usize,
    uses: u64,
}

impl Entries {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            by_path: HashMap::new(),
            by_last_hit: BTreeMap::new(),
            used_bytes: 0,
            uses: 0,
        }
    }

    pub(super) fn used_bytes(&self) -> usize {
        self.used_bytes
    }

    pub(super) fn len(&self) -> usize {
        self.by_path.len()
    }

    /// The bytes of a file, which counts as a use.
    pub(super) fn hit(&mut self, path: &str) -> Option<CachedFile> {
        let entry = self.by_path.get_mut(path)?;
        self.uses += 1;
        if let Some(path) = self.by_last_hit.remove(&entry.last_hit) {
            self.by_last_hit.insert(self.uses, path);
        }
        entry.last_hit = self.uses;
        Some(CachedFile { bytes: entry.bytes.clone(), is_checked: entry.is_checked })
    }

    /// Notes that the bytes of a file are what they are to be.
    pub(super) fn note_checked(&mut self, path: &str) {
        if let Some(entry) = self.by_path.get_mut(path) {
            entry.is_checked = true;
        }
    }

    /// True if the file is held, which does not count as a use.
    pub(super) fn has(&self, path: &str) -> bool {
        self.by_path.contains_key(path)
    }

    /// The bytes of a file, which does not count as a use.
    pub(super) fn peek(&self, path: &str) -> Option<Bytes> {
        self.by_path.get(path).map(|entry| entry.bytes.clone())
    }

    /// Holds a file, in the place of an earlier one of that path, if it can fit at all. Says how
    /// many others had to go.
    pub(super) fn insert(&mut self, path: Arc<str>, bytes: Bytes) -> usize {
        self.remove(&path);
        if bytes.len() > self.bytes_max {
            return 0;
        }
        let mut evicted = 0;
        while self.used_bytes + bytes.len() > self.bytes_max && self.remove_oldest() {
            evicted += 1;
        }
        self.uses += 1;
        self.used_bytes += bytes.len();
        self.by_last_hit.insert(self.uses, Arc::clone(&path));
        self.by_path.insert(path, Entry { bytes, is_checked: false, last_hit: self.uses });
        evicted
    }

    /// Forgets a file. False when it was not held.
    pub(super) fn remove(&mut self, path: &str) -> bool {
        let Some(entry) = self.by_path.remove(path) else { return false };
        self.by_last_hit.remove(&entry.last_hit);
        self.used_bytes -= entry.bytes.len();
        true
    }

    /// Forgets the file that was not asked for longest. False when there is none.
    pub(super) fn remove_oldest(&mut self) -> bool {
        match self.by_last_hit.first_key_value() {
            Some((_, path)) => {
                let path = Arc::clone(path);
                self.remove(&path)
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(size: usize) -> Bytes {
        vec![0; size].into()
    }

    #[test]
    fn the_same_path_again_replaces_the_bytes() {
        let mut entries = Entries::new(100);
        assert_eq!(entries.insert("a".into(), bytes(60)), 0);
        assert_eq!(entries.insert("a".into(), bytes(70)), 0);
        assert_eq!((entries.used_bytes(), entries.len()), (70, 1));
        entries.insert("a".into(), bytes(101));
        assert_eq!((entries.used_bytes(), entries.len()), (0, 0), "stale bytes do not stay");
    }

    proptest! {
        #[test]
        fn sizes_add_up_and_stay_within_the_bound(
            steps in prop::collection::vec((0..3, 0..10_u8, 0..120_usize), 0..100),
        ) {
            let mut entries = Entries::new(100);
            for (kind, name, size) in steps {
                let path = name.to_string();
                match kind {
                    0 => drop(entries.insert(path.as_str().into(), bytes(size))),
                    1 => drop(entries.hit(&path)),
                    _ => drop(entries.remove(&path)),
                }
                let sizes: usize = entries.by_path.values().map(|e| e.bytes.len()).sum();
                prop_assert_eq!(entries.used_bytes(), sizes);
                prop_assert!(sizes <= 100);
                prop_assert_eq!(entries.by_last_hit.len(), entries.len());
            }
        }
    }
}
