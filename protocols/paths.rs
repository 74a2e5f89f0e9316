//! Object keys under a node's prefix.

use crate::snapshot::ParquetFile;

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

/// A Parquet file: `{node}/dbs/{db}/{table}/{date}/{hour-minute}/{last WAL file}.parquet`, date and
/// time being those of its chunk in UTC. Further parts of one chunk have `-{part}` in their name.
pub fn parquet_file(node: &str, file: &ParquetFile) -> String {
    let (db, table, wal_file) = (file.db, file.table, file.wal_file);
    let minutes = file.chunk_time_ns.div_euclid(60_000_000_000);
    let (days, minute) = (minutes.div_euclid(1440), minutes.rem_euclid(1440));
    let (year, month, day) = civil_date(days);
    let (hour, minute) = (minute / 60, minute % 60);
    let part = if file.part == 0 { String::new() } else { format!("-{}", file.part) };
    format!(
        "{node}/dbs/{db}/{table}/{year:04}-{month:02}-{day:02}/{hour:02}-{minute:02}/\
         {wal_file:010}{part}.parquet"
    )
}

/// Year, month and day of a day counted from 1970-01-01. The algorithm is Howard Hinnant's
/// `civil_from_days` (<https://howardhinnant.github.io/date_algorithms.html>).
fn civil_date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
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
            db: crate::ids::DbId(2),
            table: crate::ids::TableId(3),
            chunk_time_ns: -600_000_000_000,
            wal_file: 42,
            part: 0,
            size_bytes: 0,
            row_count: 0,
            min_time_ns: 0,
            max_time_ns: 0,
            crc32: 0,
        };
        let name = "n/dbs/2/3/1969-12-31/23-50/0000000042.parquet";
        assert_eq!(parquet_file("n", &file), name);
        file.chunk_time_ns = 1_709_209_800_000_000_000;
        file.part = 2;
        let name = "n/dbs/2/3/2024-02-29/12-30/0000000042-2.parquet";
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
