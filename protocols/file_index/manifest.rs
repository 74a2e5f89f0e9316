//! The manifest of a snapshot: a JSON file for other programs, which follow what is persisted by
//! listing the manifests. The server itself never reads one.

use crate::paths;
use crate::snapshot::{ParquetFile, PlacedMark};
use serde::Serialize;
use std::collections::BTreeMap;

/// What a manifest tells.
#[derive(Clone, Debug)]
pub struct Manifest<'a> {
    /// The node whose objects these are.
    pub node: &'a str,
    /// The snapshot.
    pub snapshot: PlacedMark,
    /// Newest change of the catalog that the snapshot may rely on.
    pub catalog_sequence: u64,
    /// An id that is larger than that of every file so far.
    pub next_file_id: u64,
    /// The files of the snapshot.
    pub added: Vec<&'a ParquetFile>,
    /// Files that are no longer part of their tables since the manifest before.
    pub removed: Vec<&'a ParquetFile>,
}

/// The order of the fields is that of the file.
#[derive(Serialize)]
struct Stored<'a> {
    version: &'static str,
    node_id: &'a str,
    next_file_id: u64,
    snapshot_sequence_number: u64,
    wal_file_sequence_number: u64,
    catalog_sequence_number: u64,
    parquet_size_bytes: u64,
    row_count: u64,
    min_time: i64,
    max_time: i64,
    databases: Databases,
    removed_files: Databases,
}

/// Maps with numbers as keys are lists of pairs, for JSON has no such keys.
type Databases = Vec<(u32, StoredTables)>;

#[derive(Serialize)]
struct StoredTables {
    tables: Vec<(u32, Vec<StoredFile>)>,
}

#[derive(Serialize)]
struct StoredFile {
    id: u64,
    path: String,
    size_bytes: u64,
    row_count: u64,
    chunk_time: i64,
    min_time: i64,
    max_time: i64,
}

/// The bytes of a manifest.
pub fn render(manifest: &Manifest<'_>) -> Vec<u8> {
    let Manifest { node, snapshot, added, removed, .. } = manifest;
    let stored = Stored {
        version: "1",
        node_id: node,
        next_file_id: manifest.next_file_id,
        snapshot_sequence_number: snapshot.mark.number,
        wal_file_sequence_number: snapshot.mark.wal_through,
        catalog_sequence_number: manifest.catalog_sequence,
        parquet_size_bytes: added.iter().map(|file| file.size_bytes).sum(),
        row_count: added.iter().map(|file| file.row_count).sum(),
        // Without a file the range is empty: it begins after its end.
        min_time: added.iter().map(|file| file.min_time_ns).min().unwrap_or(i64::MAX),
        max_time: added.iter().map(|file| file.max_time_ns).max().unwrap_or(i64::MIN),
        databases: databases(node, added),
        removed_files: databases(node, removed),
    };
    serde_json::to_vec(&stored).expect("structs of numbers, texts and lists have a JSON form")
}

fn databases(node: &str, files: &[&ParquetFile]) -> Databases {
    let mut databases: BTreeMap<u32, BTreeMap<u32, Vec<StoredFile>>> = BTreeMap::new();
    for file in files {
        let tables = databases.entry(file.db.0).or_default();
        tables.entry(file.table.0).or_default().push(StoredFile {
            id: file.id,
            path: paths::parquet_file(node, file),
            size_bytes: file.size_bytes,
            row_count: file.row_count,
            chunk_time: file.chunk_time_ns,
            min_time: file.min_time_ns,
            max_time: file.max_time_ns,
        });
    }
    let tables = |tables: BTreeMap<_, _>| StoredTables { tables: tables.into_iter().collect() };
    databases.into_iter().map(|(db, of_db)| (db, tables(of_db))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{DbId, TableId};
    use crate::snapshot::SnapshotMark;

    fn file(id: u64, db: u32, table: u32) -> ParquetFile {
        let minute = 60_000_000_000;
        let chunk_time_ns = i64::try_from(id).unwrap() * 10 * minute;
        ParquetFile {
            id,
            db: DbId(db),
            table: TableId(table),
            chunk_time_ns,
            wal_file: 42,
            part: 0,
            size_bytes: 100 * id,
            row_count: id,
            min_time_ns: chunk_time_ns + 1,
            max_time_ns: chunk_time_ns + minute,
            crc32: 0,
            order: Default::default(),
            keys: Default::default(),
            compacted: None,
        }
    }

    fn rendered(added: Vec<&ParquetFile>, removed: Vec<&ParquetFile>) -> String {
        let mark =
            SnapshotMark { number: 7, end_time_ns: 1, wal_through: 42, ..Default::default() };
        let manifest = Manifest {
            node: "n",
            snapshot: PlacedMark { mark, sequence: 99, stamp: 99 },
            catalog_sequence: 5,
            next_file_id: 4,
            added,
            removed,
        };
        String::from_utf8(render(&manifest)).unwrap()
    }

    #[test]
    fn the_files_are_listed_by_database_and_table() {
        let files = [file(2, 1, 3), file(1, 1, 3), file(3, 0, 0)];
        let expected = concat!(
            r#"{"version":"1","node_id":"n","next_file_id":4,"snapshot_sequence_number":7,"#,
            r#""wal_file_sequence_number":42,"catalog_sequence_number":5,"#,
            r#""parquet_size_bytes":300,"row_count":3,"#,
            r#""min_time":600000000001,"max_time":1260000000000,"#,
            r#""databases":[[1,{"tables":[[3,["#,
            r#"{"id":2,"path":"n/dbs/1/3/1970-01-01/00-20/0000000042.parquet","size_bytes":200,"#,
            r#""row_count":2,"chunk_time":1200000000000,"#,
            r#""min_time":1200000000001,"max_time":1260000000000},"#,
            r#"{"id":1,"path":"n/dbs/1/3/1970-01-01/00-10/0000000042.parquet","size_bytes":100,"#,
            r#""row_count":1,"chunk_time":600000000000,"#,
            r#""min_time":600000000001,"max_time":660000000000}]]]}]],"#,
            r#""removed_files":[[0,{"tables":[[0,["#,
            r#"{"id":3,"path":"n/dbs/0/0/1970-01-01/00-30/0000000042.parquet","size_bytes":300,"#,
            r#""row_count":3,"chunk_time":1800000000000,"#,
            r#""min_time":1800000000001,"max_time":1860000000000}]]]}]]}"#,
        );
        assert_eq!(rendered(vec![&files[0], &files[1]], vec![&files[2]]), expected);
    }

    #[test]
    fn without_files_the_time_range_is_empty() {
        let manifest: serde_json::Value = serde_json::from_str(&rendered(vec![], vec![])).unwrap();
        assert_eq!(manifest["min_time"], i64::MAX);
        assert_eq!(manifest["max_time"], i64::MIN);
        assert_eq!(manifest["databases"], serde_json::json!([]));
    }
}
