//! Object keys under a node's prefix.

use crate::ids::DbId;
use crate::snapshot::{Compacted, ParquetFile};
use arrow_array::temporal_conversions::timestamp_ns_to_datetime;

/// Folder of the WAL: `{node}/wal`.
pub fn wal_dir(node: &str) -> String {
    format!("{node}/wal")
}

/// A WAL segment or object: `{node}/wal/{sequence, 11 digits}.wal`.
pub fn wal_file(node: &str, sequence: u64) -> String {
    format!("{node}/wal/{sequence:011}.wal")
}

/// The sequence in a WAL file's name, without its folder. `None` for anything else.
pub fn wal_sequence(file_name: &str) -> Option<u64> {
    let digits = file_name.strip_suffix(".wal")?;
    (digits.len() >= 11 && digits.bytes().all(|b| b.is_ascii_digit()))
        .then(|| digits.parse().ok())
        .flatten()
}

/// Who writes the log of a node: the identity of the process that took it over last.
pub fn wal_owner(node: &str) -> String {
    format!("{node}/wal-owner")
}

/// Folder of what triggers have been given of the log of a node.
pub fn trigger_cursors_dir(node: &str) -> String {
    format!("{node}/trigger-cursors")
}

/// How far a trigger has been given the log: `{node}/trigger-cursors/{database}-{trigger}`.
pub fn trigger_cursor(node: &str, db: DbId, trigger: u32) -> String {
    format!("{}/{db}-{trigger}", trigger_cursors_dir(node))
}

/// Which intervals of which downsamples are to be computed: `{node}/downsamples`.
pub fn downsamples(node: &str) -> String {
    format!("{node}/downsamples")
}

/// Folder of damaged WAL files that would have been removed otherwise: `{node}/wal-damaged`.
pub fn wal_damaged_dir(node: &str) -> String {
    format!("{node}/wal-damaged")
}

/// Folder of the catalog's log records: `{node}/catalog/v1/logs`.
pub fn catalog_log_dir(node: &str) -> String {
    format!("{node}/catalog/v1/logs")
}

/// A log record of the catalog: `{node}/catalog/v1/logs/{sequence, 20 digits}.catalog`.
pub fn catalog_log(node: &str, sequence: u64) -> String {
    format!("{node}/catalog/v1/logs/{sequence:020}.catalog")
}

/// Folder of the catalog's checkpoints: `{node}/catalog/v1/checkpoints`.
pub fn catalog_checkpoint_dir(node: &str) -> String {
    format!("{node}/catalog/v1/checkpoints")
}

/// A checkpoint: the whole catalog as of `sequence`.
pub fn catalog_checkpoint(node: &str, sequence: u64) -> String {
    format!("{node}/catalog/v1/checkpoints/{sequence:020}.checkpoint")
}

/// The sequence in the name of a log record or checkpoint, without its folder.
pub fn catalog_sequence(file_name: &str) -> Option<u64> {
    let (digits, ending) = file_name.split_once('.')?;
    (digits.len() == 20 && matches!(ending, "catalog" | "checkpoint"))
        .then(|| digits.parse().ok())
        .flatten()
}

/// Folder of the index of Parquet files: `{node}/index/v1`.
pub fn index_dir(node: &str) -> String {
    format!("{node}/index/v1")
}

/// A segment of the index: what one step added and removed.
pub fn index_segment(node: &str, sequence: u64) -> String {
    format!("{node}/index/v1/{sequence:020}.segment")
}

/// A base of the index: the whole of it as of `sequence`.
pub fn index_base(node: &str, sequence: u64) -> String {
    format!("{node}/index/v1/{sequence:020}.base")
}

/// The sequence in the name of an index object without its folder, and whether it is a base.
pub fn index_sequence(file_name: &str) -> Option<(u64, bool)> {
    let (digits, ending) = file_name.split_once('.')?;
    let is_base = match ending {
        "base" => true,
        "segment" => false,
        _ => return None,
    };
    let sequence = (digits.len() == 20).then(|| digits.parse().ok()).flatten()?;
    Some((sequence, is_base))
}

/// The manifest of a snapshot, for other programs to follow. Numbers count down, so that a listing
/// by name begins with the newest.
pub fn snapshot_manifest(node: &str, snapshot: u64) -> String {
    format!("{node}/snapshots/{:020}.info.json", u64::MAX - snapshot)
}

/// Folder of compacted files: `{node}/c`.
pub fn compacted_dir(node: &str) -> String {
    format!("{node}/c")
}

/// Folder of the manifests of compactions: `{node}/compactions`.
pub fn compaction_manifest_dir(node: &str) -> String {
    format!("{node}/compactions")
}

/// The manifest of a compaction, for other programs to follow. Numbers count down, so that a listing
/// by name begins with the newest.
pub fn compaction_manifest(node: &str, step: u64) -> String {
    format!("{node}/compactions/{:020}.info.json", u64::MAX - step)
}

/// A Parquet file. Of a snapshot: `{node}/dbs/{db}/{table}/{date}/{hour-minute}/{last WAL file}.parquet`, date and
/// time being those of its chunk in UTC. Further parts of one chunk have `-{part}` in their name. Of a
/// compaction: `{node}/c/{db}/{table}/{generation}/{start of the window, seconds}/{random
/// number}-{part}.parquet`.
pub fn parquet_file(node: &str, file: &ParquetFile) -> String {
    let (db, table, wal_file) = (file.db, file.table, file.wal_file);
    if let Some(Compacted { generation, nonce, .. }) = file.compacted {
        let window = file.chunk_time_ns.div_euclid(1_000_000_000);
        let part = file.part;
        return format!("{node}/c/{db}/{table}/{generation}/{window}/{nonce:016x}-{part}.parquet");
    }
    let time = timestamp_ns_to_datetime(file.chunk_time_ns).expect("every i64 is some date");
    let minute = time.format("%Y-%m-%d/%H-%M");
    let part = if file.part == 0 { String::new() } else { format!("-{}", file.part) };
    format!("{node}/dbs/{db}/{table}/{minute}/{wal_file:010}{part}.parquet")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_survive_the_round_trip_through_names() {
        for sequence in [0, 1, 99_999_999_999, 100_000_000_000] {
            let path = wal_file("n", sequence);
            assert_eq!(path.rsplit('/').next().and_then(wal_sequence), Some(sequence));
            let path = catalog_log("n", sequence);
            assert_eq!(path.rsplit('/').next().and_then(catalog_sequence), Some(sequence));
        }
        assert_eq!(wal_sequence("00000000001.wal.tmp"), None);
        assert_eq!(wal_sequence("x.wal"), None);
    }

    #[test]
    fn parquet_files_are_named_after_their_chunk() {
        let mut file = ParquetFile {
            id: 1,
            db: DbId(2),
            table: crate::ids::TableId(3),
            chunk_time_ns: -600_000_000_000,
            wal_file: 42,
            part: 0,
            size_bytes: 0,
            row_count: 0,
            min_time_ns: 0,
            max_time_ns: 0,
            crc32: 0,
            order: Default::default(),
            keys: Default::default(),
            compacted: None,
        };
        let name = "n/dbs/2/3/1969-12-31/23-50/0000000042.parquet";
        assert_eq!(parquet_file("n", &file), name);
        file.chunk_time_ns = 1_709_209_800_000_000_000;
        file.part = 2;
        let name = "n/dbs/2/3/2024-02-29/12-30/0000000042-2.parquet";
        assert_eq!(parquet_file("n", &file), name);
        file.compacted = Some(Compacted { generation: 5, nonce: 0xabc, deletes_through: 0 });
        let name = "n/c/2/3/5/1709209800/0000000000000abc-2.parquet";
        assert_eq!(parquet_file("n", &file), name);
    }

    #[test]
    fn index_objects_are_told_apart() {
        let name = |path: String| path.rsplit('/').next().unwrap().to_owned();
        assert_eq!(index_sequence(&name(index_segment("n", 7))), Some((7, false)));
        assert_eq!(index_sequence(&name(index_base("n", 8))), Some((8, true)));
        assert_eq!(index_sequence("00000000000000000008.tmp"), None);
    }
}
