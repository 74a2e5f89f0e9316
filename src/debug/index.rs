//! The index of Parquet files, and whether it tells the truth.

use super::{Stored, show};
use crate::cli::debug::{IndexArgs, VerifyArgs};
use actors::index::log;
use anyhow::{Result, bail};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt};
use protocols::file_index::Removal;
use protocols::paths;
use protocols::snapshot::ParquetFile;
use serde_json::{Value, json};

/// How many objects are asked for at once.
const REQUESTS_AT_ONCE: usize = 16;

pub(super) async fn list(args: IndexArgs) -> Result<()> {
    let stored = Stored::open(&args.store).await?;
    let index = log::load(&stored.objects, &stored.prefix).await?;
    let mut files: Vec<Value> =
        index.files().map(|file| described(&stored.prefix, file, "live")).collect();
    if args.all {
        files.extend(index.removed().map(|former| {
            let state = match former.why {
                Removal::Expired => "removed: past retention".to_owned(),
                Removal::Dropped => "removed: table deleted".to_owned(),
                Removal::Superseded { by } => format!("removed: merged in step {by}"),
            };
            described(&stored.prefix, &former.file, &state)
        }));
    }
    let value = json!({
        "steps": index.sequence(), "last_snapshot": index.last_snapshot(),
        "wal_through": index.wal_through(), "files": files,
    });
    show::print(&value, args.store.format)
}

fn described(prefix: &str, file: &ParquetFile, state: &str) -> Value {
    json!({
        "id": file.id, "database_id": file.db, "table_id": file.table, "state": state,
        "generation": file.generation(), "rows": file.row_count, "size_bytes": file.size_bytes,
        "min_time": show::time(file.min_time_ns), "max_time": show::time(file.max_time_ns),
        "first_stamp": file.order.lo, "last_stamp": file.order.hi,
        "path": paths::parquet_file(prefix, file),
    })
}

pub(super) async fn verify(args: VerifyArgs) -> Result<()> {
    let stored = Stored::open(&args.store).await?;
    let index = log::load(&stored.objects, &stored.prefix).await?;
    let (count, bytes) = (index.files().len(), index.files().map(|file| file.size_bytes).sum());
    let checks = index.files().map(|file| fault(&stored, file, args.checksums));
    let found: Vec<Option<Value>> =
        stream::iter(checks).buffered(REQUESTS_AT_ONCE).try_collect().await?;
    let faults: Vec<Value> = found.into_iter().flatten().collect();
    let faulty = faults.len();
    let bytes: u64 = bytes;
    show::print(&json!({"files": count, "bytes": bytes, "faults": faults}), args.store.format)?;
    if faulty > 0 {
        bail!("{faulty} of {count} files are not as the index says");
    }
    Ok(())
}

/// What is wrong with the object of a file, if anything is.
async fn fault(stored: &Stored, file: &ParquetFile, reads: bool) -> Result<Option<Value>> {
    let path = paths::parquet_file(&stored.prefix, file);
    let fault = match stored.objects.store.head(&Path::from(path.as_str())).await {
        Err(Error::NotFound { .. }) => "missing".to_owned(),
        Err(error) => return Err(error.into()),
        Ok(meta) if meta.size != file.size_bytes => {
            format!("{} bytes in the place of {}", meta.size, file.size_bytes)
        }
        Ok(_) if reads && crc32fast::hash(&stored.read(&path).await?) != file.crc32 => {
            "the checksum does not match".to_owned()
        }
        Ok(_) => return Ok(None),
    };
    Ok(Some(json!({"id": file.id, "path": path, "fault": fault})))
}
