//! Object keys under a node's prefix.

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
}
