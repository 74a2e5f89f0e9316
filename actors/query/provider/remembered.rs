//! What queries have found out about files and sorted chunks, for those that come after them.

use super::key_sets::KeySets;
use super::values::ColumnValues;
use datafusion::arrow::array::RecordBatch;
use moka::sync::Cache;
use protocols::series_blocks::SeriesBlocks;
use std::sync::Arc;

/// Limit: memory for what is remembered of one kind, about.
const BYTES_MAX: u64 = 64 * 1024 * 1024;

/// See the page of this file.
#[derive(Clone, Debug, Default)]
pub struct Remembered {
    /// What tag values they have.
    pub(super) key_sets: KeySets,
    /// The newest rows of files.
    pub(super) newest: NewestOfFiles,
    /// How the times of their series run.
    pub(super) blocks: BlocksOfFiles,
    /// Which values columns of texts may have in them.
    pub(super) values: ValuesOfFiles,
}

/// What was asked for of a file: its identity, and the groups, the condition on tags and the columns.
pub(super) type Question = (u64, Arc<str>);

/// The newest rows of files. Those that were not asked for longest go first.
#[derive(Clone, Debug)]
pub(super) struct NewestOfFiles(pub(super) Cache<Question, RecordBatch>);

impl Default for NewestOfFiles {
    fn default() -> Self {
        let weight = |(_, text): &Question, rows: &RecordBatch| {
            u32::try_from(rows.get_array_memory_size() + text.len() + 128).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(BYTES_MAX).weigher(weight).build())
    }
}

/// What the footers of files say, by the identity of the file; nothing for most of them.
#[derive(Clone, Debug)]
pub(super) struct BlocksOfFiles(pub(super) Cache<u64, Option<Arc<SeriesBlocks>>>);

impl Default for BlocksOfFiles {
    fn default() -> Self {
        let weight = |_: &u64, blocks: &Option<Arc<SeriesBlocks>>| {
            let bytes = blocks.as_ref().map_or(0, |blocks| blocks.memory_bytes());
            u32::try_from(bytes + 128).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(BYTES_MAX).weigher(weight).build())
    }
}

/// What files say of the values of columns, by the identity of the file and the name of the column.
#[derive(Clone, Debug)]
pub(super) struct ValuesOfFiles(pub(super) Cache<(u64, Arc<str>), Arc<ColumnValues>>);

impl Default for ValuesOfFiles {
    fn default() -> Self {
        let weight = |(_, column): &(u64, Arc<str>), values: &Arc<ColumnValues>| {
            u32::try_from(values.memory_bytes() + column.len() + 128).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(BYTES_MAX).weigher(weight).build())
    }
}
