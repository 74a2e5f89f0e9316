//! The catalog's objects.

use super::{Stored, show};
use crate::cli::debug::{
    CatalogListArgs, CatalogSequenceArgs, CatalogSnapshotArgs, CatalogWhat, Shape,
};
use anyhow::{Context, Result};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use protocols::catalog_log::{Checksums, decode_checkpoint_with, decode_log_with};
use protocols::paths;
use serde_json::{Value, json};

pub(super) async fn look(what: CatalogWhat) -> Result<()> {
    match what {
        CatalogWhat::List(args) => list(args).await,
        CatalogWhat::Snapshot(args) => snapshot(args).await,
        CatalogWhat::Sequence(args) => sequence(args).await,
    }
}

/// The objects of a folder by number, ascending.
async fn numbered(stored: &Stored, folder: String) -> Result<Vec<(u64, ObjectMeta)>> {
    let store = &stored.objects.store;
    let found: Vec<_> = store.list(Some(&Path::from(folder))).try_collect().await?;
    let number = |meta: ObjectMeta| {
        let sequence = meta.location.filename().and_then(paths::catalog_sequence)?;
        Some((sequence, meta))
    };
    let mut numbered: Vec<_> = found.into_iter().filter_map(number).collect();
    numbered.sort_by_key(|(sequence, _)| *sequence);
    Ok(numbered)
}

async fn list(args: CatalogListArgs) -> Result<()> {
    let stored = Stored::open(&args.store).await?;
    let checkpoints = numbered(&stored, paths::catalog_checkpoint_dir(&stored.prefix)).await?;
    let logs = numbered(&stored, paths::catalog_log_dir(&stored.prefix)).await?;
    let newest = checkpoints.last().map_or(0, |(sequence, _)| *sequence);
    let described = |kind: &'static str| {
        move |(sequence, meta): (u64, ObjectMeta)| {
            json!({
                "kind": kind, "sequence": sequence, "size_bytes": meta.size,
                "last_modified": meta.last_modified.to_rfc3339(), "path": meta.location.as_ref(),
            })
        }
    };
    let is_read = |(sequence, _): &(u64, ObjectMeta)| args.all || *sequence >= newest;
    let is_after = |(sequence, _): &(u64, ObjectMeta)| args.all || *sequence > newest;
    let checkpoints = checkpoints.into_iter().filter(is_read).map(described("checkpoint"));
    let logs = logs.into_iter().filter(is_after).map(described("log"));
    show::print(&Value::Array(checkpoints.chain(logs).collect()), args.store.format)
}

async fn snapshot(args: CatalogSnapshotArgs) -> Result<()> {
    let stored = Stored::open(&args.store).await?;
    let checkpoints = numbered(&stored, paths::catalog_checkpoint_dir(&stored.prefix)).await?;
    let (_, meta) = checkpoints.last().context(
        "the catalog has no checkpoint yet, only a log: use `debug catalog list` and \
         `debug catalog sequence`",
    )?;
    let path = meta.location.as_ref();
    let bytes = stored.read(path).await?;
    let (header, checkpoint) = decode_checkpoint_with(&bytes, checksums(args.skip_crc))
        .with_context(|| path.to_owned())?;
    if args.full {
        let whole = without_hashes(serde_json::to_value(&checkpoint)?);
        let value = json!({"uuid": header.uuid, "sequence": header.sequence, "catalog": whole});
        return show::print(&value, Shape::Json);
    }
    let tables = checkpoint.databases.iter().flat_map(|db| {
        db.tables.iter().map(move |table| {
            json!({
                "database_id": db.id, "database": db.name, "table_id": table.id,
                "table": table.name, "columns": table.columns.len(),
                "deleted": db.deletion.is_some() || table.deletion.is_some(),
            })
        })
    });
    let nodes = checkpoint.nodes.iter().map(|node| &node.node).collect::<Vec<_>>();
    let value = json!({
        "path": path, "uuid": header.uuid, "sequence": header.sequence,
        "gen1_duration_ns": checkpoint.gen1_duration_ns,
        "databases": checkpoint.databases.len(), "nodes": nodes,
        "tokens": checkpoint.tokens.as_ref().map_or(0, |tokens| tokens.tokens.len()),
        "tables": tables.collect::<Vec<_>>(),
    });
    show::print(&value, args.store.format)
}

async fn sequence(args: CatalogSequenceArgs) -> Result<()> {
    let stored = Stored::open(&args.store).await?;
    let number = match args.sequence {
        Some(number) => number,
        None => {
            let logs = numbered(&stored, paths::catalog_log_dir(&stored.prefix)).await?;
            logs.last().context("the catalog's log is empty")?.0
        }
    };
    let path = paths::catalog_log(&stored.prefix, number);
    let bytes = stored.read(&path).await?;
    let (header, record) =
        decode_log_with(&bytes, checksums(args.skip_crc)).with_context(|| path.clone())?;
    let mut value = json!({
        "path": path, "uuid": header.uuid, "sequence": header.sequence,
        "time": show::time(record.time_ns), "nonce": record.nonce,
    });
    if !args.headers_only {
        value["changes"] = without_hashes(serde_json::to_value(&record.changes)?);
    }
    show::print(&value, args.store.format)
}

fn checksums(skip: bool) -> Checksums {
    if skip { Checksums::Ignored } else { Checksums::Checked }
}

/// What tells a token from a made-up one stays where it is: copies of this text travel.
fn without_hashes(value: Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .map(|(name, value)| match name.as_str() {
                    "hash" => (name, Value::from("(not shown)")),
                    _ => (name, without_hashes(value)),
                })
                .collect(),
        ),
        Value::Array(values) => Value::Array(values.into_iter().map(without_hashes).collect()),
        other => other,
    }
}
