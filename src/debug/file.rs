//! Parquet files.

use super::{Stored, show};
use crate::cli::debug::FileArgs;
use anyhow::{Context, Result};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use serde_json::{Value, json};

pub(super) async fn describe(args: FileArgs) -> Result<()> {
    let stored = Stored::open(&args.store).await?;
    let bytes = stored.read(&args.path).await?;
    let metadata = ParquetMetaDataReader::new()
        .parse_and_finish(&bytes)
        .with_context(|| format!("{} is no Parquet file", args.path))?;
    let file = metadata.file_metadata();
    let groups = metadata.row_groups().iter().map(|group| {
        let ordinal = group.ordinal();
        json!({
            "row_group": ordinal, "rows": group.num_rows(),
            "size_bytes": group.compressed_size(), "decoded_bytes": group.total_byte_size(),
        })
    });
    let written_by = file.key_value_metadata().into_iter().flatten();
    let said = written_by.filter(|pair| pair.key != "ARROW:schema");
    let value = json!({
        "path": args.path, "size_bytes": bytes.len(), "crc32": crc32fast::hash(&bytes),
        "rows": file.num_rows(), "created_by": file.created_by(),
        "metadata": said.map(|pair| json!({"key": pair.key, "value": pair.value})).collect::<Vec<_>>(),
        "columns": columns(&metadata), "row_groups": groups.collect::<Vec<_>>(),
    });
    show::print(&value, args.store.format)
}

/// The columns, with what they take over all row groups.
fn columns(metadata: &ParquetMetaData) -> Vec<Value> {
    let schema = metadata.file_metadata().schema_descr();
    let columns = schema.columns().iter().enumerate().map(|(at, column)| {
        let chunks = || metadata.row_groups().iter().filter_map(|group| group.columns().get(at));
        let mut encodings: Vec<String> =
            chunks().flat_map(|chunk| chunk.encodings()).map(|name| name.to_string()).collect();
        encodings.sort_unstable();
        encodings.dedup();
        json!({
            "column": column.path().string(), "type": column.physical_type().to_string(),
            "size_bytes": chunks().map(|chunk| chunk.compressed_size()).sum::<i64>(),
            "decoded_bytes": chunks().map(|chunk| chunk.uncompressed_size()).sum::<i64>(),
            "encodings": encodings.join(" "),
        })
    });
    columns.collect()
}
