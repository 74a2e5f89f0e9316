//! Snapshots: moving rows from the buffer into Parquet files.
//!
//! A snapshot is decided by the WAL, which writes a [`SnapshotMark`] behind the rows that the
//! snapshot may hold. All chunks that begin before its end are then written as [`ParquetFile`]s.

use crate::ids::{DbId, TableId};
use serde::{Deserialize, Serialize};

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
    /// True when memory pressure, and not the number of WAL files, was the reason.
    pub forced: bool,
}

/// A mark and where it stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PlacedMark {
    /// The mark.
    pub mark: SnapshotMark,
    /// Number of the WAL group that it ends: the snapshot holds rows up to this group.
    pub sequence: u64,
}

/// A Parquet file: the rows of one chunk of one table as of one snapshot, sorted by key, each key
/// once. Rows of later files and of the buffer replace equal keys of earlier ones.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ParquetFile {
    /// Identity, never used again. Rises with precedence: where keys are equal, the file with the
    /// larger id has the newer values.
    pub id: u64,
    /// The database.
    pub db: DbId,
    /// The table.
    pub table: TableId,
    /// Start of the chunk, nanoseconds since 1970.
    pub chunk_time_ns: i64,
    /// Last WAL file of the snapshot; part of the file's name.
    pub wal_file: u64,
    /// Which part of a chunk that was split into several files.
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
}

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
