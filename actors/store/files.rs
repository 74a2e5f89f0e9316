//! The Parquet files of a table, ordered so that those of a time range are found among many.

use super::shards::shard_index;
use protocols::file_index::FileIndex;
use protocols::ids::TableId;
use protocols::snapshot::{ParquetFile, PlacedMark};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// What a shard has to know of the durable index when it is built.
#[derive(Clone, Debug, Default)]
pub struct ShardFiles {
    /// The files of the shard's tables.
    pub files: Vec<Arc<ParquetFile>>,
    /// The snapshots that are durable.
    pub snapshots: Vec<PlacedMark>,
}

impl ShardFiles {
    /// What `index` says for one of `shards` shards.
    pub fn of(index: &FileIndex, shard: usize, shards: usize) -> Self {
        let files = index.files().filter(|file| shard_index(file.table, shards) == shard);
        Self { files: files.cloned().collect(), snapshots: index.snapshots().copied().collect() }
    }
}

/// See the module's page. Files of one generation cover about as much time each, so that each has a
/// bound of its own on how far back a file may begin that reaches an instant.
#[derive(Debug, Default)]
pub(super) struct TableFiles {
    generations: BTreeMap<u8, Generation>,
}

#[derive(Debug, Default)]
struct Generation {
    by_time: BTreeMap<(i64, u64), Arc<ParquetFile>>,
    /// Largest distance from the start of a chunk to the last row of its file. Files that begin
    /// further before an instant do not reach it.
    span_ns: i64,
}

impl TableFiles {
    /// Adds a file, unless it is there.
    pub(super) fn add(&mut self, file: &Arc<ParquetFile>) {
        let generation = self.generations.entry(file.generation()).or_default();
        let span = file.max_time_ns.saturating_sub(file.chunk_time_ns);
        generation.span_ns = generation.span_ns.max(span);
        generation.by_time.insert((file.chunk_time_ns, file.id), Arc::clone(file));
    }

    pub(super) fn remove(&mut self, ids: &HashSet<u64>) {
        for generation in self.generations.values_mut() {
            generation.by_time.retain(|(_, id), _| !ids.contains(id));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.generations.values().map(|generation| generation.by_time.len()).sum()
    }

    /// The files with rows between these instants, both included, by chunk time and id.
    pub(super) fn overlapping(&self, min_time_ns: i64, max_time_ns: i64) -> Vec<Arc<ParquetFile>> {
        if min_time_ns > max_time_ns {
            return Vec::new();
        }
        let mut found: Vec<_> = self
            .candidates(min_time_ns, max_time_ns)
            .filter(|file| file.max_time_ns >= min_time_ns && file.min_time_ns <= max_time_ns)
            .cloned()
            .collect();
        if self.generations.len() > 1 {
            found.sort_by_key(|file| (file.chunk_time_ns, file.id));
        }
        found
    }

    fn candidates(
        &self,
        min_time_ns: i64,
        max_time_ns: i64,
    ) -> impl Iterator<Item = &Arc<ParquetFile>> {
        self.generations.values().flat_map(move |generation| {
            let first = min_time_ns.saturating_sub(generation.span_ns);
            let near = generation.by_time.range((first, 0)..=(max_time_ns, u64::MAX));
            near.map(|(_, file)| file)
        })
    }
}

/// Ids of files for each table.
pub(super) fn by_table(files: Vec<(TableId, u64)>) -> BTreeMap<TableId, HashSet<u64>> {
    let mut tables: BTreeMap<TableId, HashSet<u64>> = BTreeMap::new();
    for (table, id) in files {
        tables.entry(table).or_default().insert(id);
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::super::tests::file;
    use super::*;
    use protocols::snapshot::Compacted;

    #[test]
    fn a_narrow_range_looks_at_few_of_many_files() {
        let mut files = TableFiles::default();
        for id in 0..100_000 {
            files.add(&file(id, id as i64 / 2 * 600, 600));
        }
        assert_eq!(files.len(), 100_000);
        let found = files.overlapping(6_000_100, 6_000_700);
        let found: Vec<_> = found.iter().map(|f| (f.chunk_time_ns, f.id)).collect();
        let chunk = |time: i64| [(time, time as u64 / 300), (time, time as u64 / 300 + 1)];
        assert_eq!(found, [chunk(6_000_000), chunk(6_000_600)].concat());
        assert!(files.candidates(6_000_100, 6_000_700).count() <= 6);
        assert_eq!(files.overlapping(i64::MIN, i64::MAX).len(), 100_000);
    }

    #[test]
    fn wide_files_do_not_widen_the_search_among_narrow_ones() {
        let mut files = TableFiles::default();
        for id in 0..10_000 {
            files.add(&file(id, id as i64 * 600, 600));
        }
        let wide = ParquetFile {
            compacted: Some(Compacted { generation: 5, nonce: 1, deletes_through: 0 }),
            ..file(10_000, 0, 6_000_000).as_ref().clone()
        };
        files.add(&Arc::new(wide));
        let ids: Vec<u64> =
            files.overlapping(3_000_000, 3_000_100).iter().map(|file| file.id).collect();
        assert_eq!(ids, [10_000, 5_000]);
        assert!(files.candidates(3_000_000, 3_000_100).count() <= 4);
        files.remove(&HashSet::from([5_000, 10_000]));
        assert_eq!((files.len(), files.overlapping(3_000_000, 3_000_100).len()), (9_999, 0));
    }

    #[test]
    fn ranges_at_the_ends_of_time_and_empty_ones() {
        let mut files = TableFiles::default();
        files.add(&file(1, -600, 600));
        assert_eq!(files.overlapping(i64::MAX, i64::MAX).len(), 0);
        assert_eq!(files.overlapping(i64::MIN, i64::MIN).len(), 0);
        assert_eq!(files.overlapping(-1, -1).len(), 1);
        assert_eq!(files.overlapping(-1, -2).len(), 0);
        assert_eq!(files.overlapping(0, 10).len(), 0);
    }

    #[test]
    fn a_file_longer_than_the_others_is_found_from_its_end() {
        let mut files = TableFiles::default();
        files.add(&file(1, 0, 6000));
        files.add(&file(2, 3000, 600));
        let ids = |found: Vec<Arc<ParquetFile>>| found.iter().map(|f| f.id).collect::<Vec<_>>();
        assert_eq!(ids(files.overlapping(5000, 5500)), [1]);
        assert_eq!(ids(files.overlapping(3100, 3200)), [1, 2]);
    }
}
