//! Snapshots: moving rows from the buffer into Parquet files.
//!
//! A snapshot is decided by the WAL, which writes a [`SnapshotMark`] behind the rows that the
//! snapshot may hold. All chunks that begin before its end are then written as [`ParquetFile`]s.

use crate::ids::{DbId, TableId};
use serde::{Deserialize, Serialize};

/// A stretch of the order in which rows were written: the stamps of its oldest and of its newest
/// group of the WAL.
///
/// Every group has a stamp, larger than that of every group before it and, where the clock allows,
/// the wall-clock time at which the group was closed. Of two places that may hold the same keys,
/// the stretches do not overlap: the one with the later stretch has the newer values.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct Stamps {
    /// Stamp of the oldest group.
    pub lo: i64,
    /// Stamp of the newest group.
    pub hi: i64,
}

impl Stamps {
    /// The rows of one group.
    pub fn at(stamp: i64) -> Self {
        Self { lo: stamp, hi: stamp }
    }

    /// The shortest stretch that has both in it.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self { lo: self.lo.min(other.lo), hi: self.hi.max(other.hi) }
    }

    /// True if some group may be in both.
    pub fn overlaps(self, other: Self) -> bool {
        self.lo <= other.hi && other.lo <= self.hi
    }
}

/// The decision to take a snapshot, as it stands in the WAL. Whoever reads the log again repeats
/// exactly this snapshot: the same rows, the same file names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SnapshotMark {
    /// Number of the snapshot: 1, 2, 3 and so on.
    pub number: u64,
    /// All chunks that begin before this instant belong to it (nanoseconds since 1970).
    pub end_time_ns: i64,
    /// Every row of the WAL files up to this number lies in such a chunk: once the snapshot is
    /// durable, these files are no longer needed.
    pub wal_through: u64,
    /// True when memory pressure or a delete of rows, and not the number of WAL files, was the reason.
    pub forced: bool,
    /// Once the snapshot is durable, every row of a group with this stamp or a smaller one is in a
    /// file: whatever becomes a file later was written later.
    pub durable_stamp: i64,
}

impl SnapshotMark {
    /// The durable stamp of a mark from before there were stamps. Groups of that time have their
    /// numbers as stamps and files the numbers of WAL files, which are far smaller: so all files
    /// of that time lie below it, and no row that is in none of them.
    pub fn durable_stamp_of_version_1(wal_through: u64) -> i64 {
        i64::try_from(wal_through).unwrap_or(i64::MAX)
    }
}

/// A mark and where it stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PlacedMark {
    /// The mark.
    pub mark: SnapshotMark,
    /// Number of the WAL group that it ends: the snapshot holds rows up to this group.
    pub sequence: u64,
    /// Stamp of that group.
    pub stamp: i64,
}

/// A Parquet file: the rows of one chunk of one table as of one snapshot, or what the compaction has
/// made of several such files; sorted by key, each key once. Where keys are equal, the file whose
/// stretch of writes is later has the newer values.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ParquetFile {
    /// Identity, never used again.
    pub id: u64,
    /// The database.
    pub db: DbId,
    /// The table.
    pub table: TableId,
    /// Start of the chunk, or of the window that was compacted, nanoseconds since 1970.
    pub chunk_time_ns: i64,
    /// Last WAL file of the snapshot; part of the file's name. 0 for a compacted file.
    pub wal_file: u64,
    /// Which part of a chunk or window that was split into several files.
    pub part: u32,
    /// Size of the object.
    pub size_bytes: u64,
    /// Number of rows.
    pub row_count: u64,
    /// Smallest time of any row, nanoseconds since 1970.
    pub min_time_ns: i64,
    /// Largest time of any row, nanoseconds since 1970.
    pub max_time_ns: i64,
    /// CRC-32 (IEEE) of the whole object: the format itself would let changed values pass.
    pub crc32: u32,
    /// The stretch of writes that the rows come from.
    pub order: Stamps,
    /// What is known of the keys.
    pub keys: Keys,
    /// Set for a file that the compaction has made.
    pub compacted: Option<Compacted>,
}

impl ParquetFile {
    /// 1 for files of one chunk, more for those of wider windows.
    pub fn generation(&self) -> u8 {
        self.compacted.map_or(1, |compacted| compacted.generation)
    }

    /// The deletes of rows up to this number were applied when the file was made; 0 for none.
    pub fn deletes_through(&self) -> u64 {
        self.compacted.map_or(0, |compacted| compacted.deletes_through)
    }

    /// Whether the file is a part of the same whole as another: such parts have no key in common,
    /// and each begins behind the one before it.
    pub fn is_part_with(&self, other: &Self) -> bool {
        self.order == other.order
            && self.chunk_time_ns == other.chunk_time_ns
            && self.wal_file == other.wal_file
            && self.compacted == other.compacted
    }
}

/// What a compacted file has instead of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Compacted {
    /// The generation: 1 for a chunk whose many files became one, else 2 or more.
    pub generation: u8,
    /// Random for each compaction, so that no name is used twice; part of the file's name.
    pub nonce: u64,
    /// No row is in the file that a delete up to this number took away. Later ones are about all of
    /// its rows: they were asked for when all of these were in files.
    pub deletes_through: u64,
}

/// Ids from here on are those of compacted files. They are counted apart from those of snapshots,
/// which are chosen long before a snapshot is durable.
pub const COMPACTED_IDS: u64 = 1 << 48;

/// What is known of the keys of a file without reading it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Keys {
    /// How many series (distinct tag sets) there are, about; 0 when that is not known.
    pub series: u64,
    /// Bits with a meaning of their own, of which this release sets none.
    pub flags: u64,
    /// No key is before this one: the tags as bytes ([`crate::key_bounds`]), cut to [`KEY_BYTES_MAX`].
    /// Empty when that is not known.
    pub min: Box<[u8]>,
    /// No key is after this one, likewise; what was cut off is made up for by rounding up.
    pub max: Box<[u8]>,
}

/// Limit: bytes of a bound on keys.
pub const KEY_BYTES_MAX: usize = 64;

/// Start of the chunk that holds `time_ns`: rounds down, before 1970 too.
pub fn chunk_time(time_ns: i64, gen1_duration_ns: i64) -> i64 {
    time_ns.saturating_sub(time_ns.rem_euclid(gen1_duration_ns))
}

#[cfg(test)]
mod tests {
    use super::chunk_time;

    #[test]
    fn chunk_times_round_down_before_1970_too() {
        assert_eq!(chunk_time(0, 600), 0);
        assert_eq!(chunk_time(599, 600), 0);
        assert_eq!(chunk_time(600, 600), 600);
        assert_eq!(chunk_time(-1, 600), -600);
        assert_eq!(chunk_time(i64::MIN, 600), i64::MIN);
    }
}
