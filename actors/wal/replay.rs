//! Reads the log back, in order, at start and when an actor is rebuilt.

use super::log::list;
use super::tracker::Period;
use crate::runtime::canary;
use crate::runtime::pools;
use crate::storage::disk;
use crate::storage::objects::Objects;
use crate::store::shard_index;
use bytes::Bytes;
use futures::future::ready;
use futures::{StreamExt, TryStreamExt, stream};
use hashbrown::HashMap;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use protocols::catalog::CatalogSnapshot;
use protocols::columns::StoredRows;
use protocols::file_index::FileIndex;
use protocols::ids::{DbId, TableId};
use protocols::messages::store::{ApplyRows, TableBatch};
use protocols::paths;
use protocols::row_deletes::RowCut;
use protocols::schema::TableSchema;
use protocols::snapshot::PlacedMark;
use protocols::wal_frame::FrameError;
use protocols::wal_frame::mark::{Content, content};
use protocols::wal_frame::segment::{
    Frame, HEADER_BYTES, Header, counted_bytes, decode_header, read,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often progress is logged.
const PROGRESS: Duration = Duration::from_secs(2);

/// What is to be read.
#[derive(Clone, Debug)]
pub struct Replay {
    /// Where the log is kept.
    pub objects: Objects,
    /// Prefix of the node's objects.
    pub node: String,
    /// Which Parquet files there are, and so which files of the log are still needed.
    pub index: Arc<FileIndex>,
    /// Tables and columns that the rows refer to. Rows of unknown tables are skipped: their table
    /// was deleted and its rows removed.
    pub catalog: Arc<CatalogSnapshot>,
    /// Number of store shards.
    pub shards: usize,
    /// Only the rows of this shard.
    pub only_shard: Option<usize>,
    /// Only groups up to this number, see [`Owner::confirmed`](super::Owner::confirmed).
    pub through: Option<u64>,
    /// Files read and decoded ahead.
    pub concurrency: usize,
    /// Stop at a damaged file rather than skip what is damaged.
    pub fail_on_damage: bool,
}

/// Why the log could not be read back.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The store did not answer.
    #[error("cannot read the WAL: {0}")]
    Store(#[from] object_store::Error),
    /// A file is damaged, and the server was told to stop then.
    #[error("WAL file {file} is damaged: {reason}")]
    Damaged {
        /// Its key.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A newer release wrote the file. Its rows are intact: nothing may go on without them.
    #[error("WAL file {file} cannot be used: {reason}; use the release that wrote it")]
    Newer {
        /// Its key.
        file: String,
        /// Which version it has.
        reason: String,
    },
    /// The catalog lacks a name that was durable before the rows that need it.
    #[error(
        "WAL file {file} has rows of {name}, which the catalog does not know: records are missing \
         from the end of the catalog's log"
    )]
    Unknown {
        /// Key of the file.
        file: String,
        /// Table or column.
        name: String,
    },
    /// A shard did not take its rows.
    #[error("cannot apply the WAL: {0}")]
    Apply(String),
}

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayStats {
    /// Files of the log that are still needed.
    pub files: usize,
    /// Files with damage.
    pub damaged_files: usize,
    /// Rows handed over.
    pub rows: usize,
    /// Number of the last group; 0 when there is none.
    pub last_sequence: u64,
    /// The largest stamp of a group; the smallest there is when there is none.
    pub last_stamp: i64,
    /// Which file holds which times, in order.
    pub periods: Vec<Period>,
    /// A snapshot that was begun and is not durable.
    pub pending: Option<PlacedMark>,
}

impl Default for ReplayStats {
    fn default() -> Self {
        Self {
            files: 0,
            damaged_files: 0,
            rows: 0,
            last_sequence: 0,
            last_stamp: i64::MIN,
            periods: Vec::new(),
            pending: None,
        }
    }
}

/// The groups of one file.
pub(super) struct Decoded {
    pub(super) groups: Vec<ApplyRows>,
    last_sequence: u64,
    period: Period,
    pub(super) damage: Option<String>,
    /// Where an unfinished group begins that was cut off.
    torn_at: Option<usize>,
    /// The version, if it is a later one than this release can read.
    pub(super) newer: Option<String>,
    /// A table or column that the catalog never had.
    unknown: Option<String>,
}

/// The tables whose rows count, and how far the catalog's numbers reach.
pub(super) struct Known {
    pub(super) tables: HashMap<TableId, Arc<TableSchema>>,
    pub(super) next_table: TableId,
}

impl Known {
    /// The table or column of the rows that the catalog never had. Were they skipped, the catalog
    /// would give their numbers to other names, which would have these rows after the next start.
    fn lacks(&self, rows: &StoredRows) -> Option<String> {
        if rows.table >= self.next_table {
            return Some(format!("table {}", rows.table));
        }
        let schema = self.tables.get(&rows.table)?;
        let column = rows.columns.iter().find(|c| schema.column_by_id(c.id).is_none())?;
        Some(format!("column {} of table {}", column.id, schema.name))
    }
}

/// Reads every group in order and hands its rows over, shard by shard. The files behind `last` are
/// left out.
///
/// # Errors
/// When the store fails, `apply` fails, the catalog lacks a name, or a file is damaged and that is
/// to stop the replay.
pub async fn replay(
    what: &Replay,
    last: Option<u64>,
    mut apply: impl AsyncFnMut(usize, ApplyRows) -> Result<(), ReplayError>,
) -> Result<ReplayStats, ReplayError> {
    let store = what.objects.store.as_ref();
    let mut files = list(store, &what.node).await?;
    // Snapshots hold the rows of the oldest files.
    let snapshotted = what.index.wal_through();
    files.retain(|n| *n > snapshotted && last.is_none_or(|last| *n <= last));
    let headers = headers(what, &files).await?;
    let known = Arc::new(Known {
        tables: tables(&what.catalog),
        next_table: TableId(what.catalog.next_table_id),
    });
    let mut stats = ReplayStats { files: files.len(), ..ReplayStats::default() };
    for (file, reason) in gaps(snapshotted, &files) {
        report_damage(what, file, reason, &mut stats)?;
    }
    // The groups of a file that was moved are in order only where the file was made.
    files.sort_by_key(|file| (headers.get(file).map_or(*file, |h| h.sequence), *file));
    if !files.is_empty() {
        tracing::info!(files = files.len(), "replaying the WAL");
    }
    let mut decoded = stream::iter(files.iter().copied())
        .map(|file| decode_file(what, file, counted(&headers, file), Arc::clone(&known)))
        .buffered(what.concurrency.max(1));
    let mut reported = Instant::now();
    let mut done = 0;
    while let Some(file) = decoded.try_next().await? {
        if let Some(reason) = file.newer {
            return Err(ReplayError::Newer {
                file: paths::wal_file(&what.node, files[done]),
                reason,
            });
        }
        if let Some(reason) = file.damage {
            report_damage(what, files[done], reason, &mut stats)?;
        }
        if let Some(name) = file.unknown {
            let file = paths::wal_file(&what.node, files[done]);
            return Err(ReplayError::Unknown { file, name });
        }
        stats.last_sequence = stats.last_sequence.max(file.last_sequence);
        stats.last_stamp = stats.last_stamp.max(file.period.last_stamp);
        stats.periods.push(file.period);
        let confirmed = |group: &ApplyRows| what.through.is_none_or(|n| group.sequence <= n);
        for group in file.groups.into_iter().filter(confirmed) {
            // Where two have the same number, the writing of the first one had failed.
            if let Some(mark) = group.mark.filter(|m| m.number == what.index.last_snapshot() + 1) {
                let (sequence, stamp) = (group.sequence, group.stamp);
                stats.pending = Some(PlacedMark { mark, sequence, stamp });
            }
            stats.rows += group.batches.iter().map(|b| b.rows.num_rows()).sum::<usize>();
            hand_over(what, group, &mut apply).await?;
        }
        done += 1;
        if reported.elapsed() >= PROGRESS {
            reported = Instant::now();
            tracing::info!(done, files = files.len(), rows = stats.rows, "replaying the WAL");
        }
    }
    if !files.is_empty() {
        tracing::info!(files = files.len(), rows = stats.rows, "WAL replayed");
    }
    Ok(stats)
}

/// Logs and counts damage, unless it is to stop the replay.
fn report_damage(
    what: &Replay,
    file: u64,
    reason: String,
    stats: &mut ReplayStats,
) -> Result<(), ReplayError> {
    let file = paths::wal_file(&what.node, file);
    metrics::counter!("wal_damaged_files_total").increment(1);
    if what.fail_on_damage {
        return Err(ReplayError::Damaged { file, reason });
    }
    tracing::error!(file, reason, "damaged WAL file: what is readable was used, the file is kept");
    stats.damaged_files += 1;
    Ok(())
}

/// Where files are missing: numbers are given without gaps, and only files up to `snapshotted` are
/// ever removed. Files missing from the end leave no trace.
fn gaps(snapshotted: u64, files: &[u64]) -> Vec<(u64, String)> {
    let before = std::iter::once(snapshotted).chain(files.iter().copied());
    before
        .zip(files)
        .map(|(before, found)| (before + 1, *found))
        .filter(|(expected, found)| expected < found)
        .map(|(expected, found)| match found - expected {
            1 => (expected, "the file is missing".to_owned()),
            n => (expected, format!("the file and the {} after it are missing", n - 1)),
        })
        .collect()
}

async fn hand_over(
    what: &Replay,
    group: ApplyRows,
    apply: &mut impl AsyncFnMut(usize, ApplyRows) -> Result<(), ReplayError>,
) -> Result<(), ReplayError> {
    let mut parts: Vec<Vec<TableBatch>> = vec![Vec::new(); what.shards];
    for batch in group.batches {
        parts[shard_index(batch.table, what.shards)].push(batch);
    }
    for (shard, batches) in parts.into_iter().enumerate() {
        let cuts = group.cuts.iter().filter(|cut| shard_index(cut.table, what.shards) == shard);
        let cuts: Vec<RowCut> = cuts.copied().collect();
        let concerned = !batches.is_empty() || !cuts.is_empty() || group.mark.is_some();
        if concerned && what.only_shard.is_none_or(|only| only == shard) {
            let ApplyRows { sequence, stamp, mark, .. } = group;
            let part = ApplyRows { sequence, stamp, batches, cuts, mark };
            apply(shard, part).await?;
        }
    }
    Ok(())
}

/// Every table whose rows still count, by id.
fn tables(catalog: &CatalogSnapshot) -> HashMap<TableId, Arc<TableSchema>> {
    let removed = |d: Option<protocols::schema::Deletion>| d.is_some_and(|d| d.rows_removed);
    catalog
        .databases
        .values()
        .filter(|db| !removed(db.deletion))
        .flat_map(|db| db.tables.values())
        .filter(|table| !removed(table.deletion))
        .map(|table| (table.id, Arc::clone(table)))
        .collect()
}

/// The readable headers by file number.
async fn headers(what: &Replay, files: &[u64]) -> Result<HashMap<u64, Header>, ReplayError> {
    let read = stream::iter(files.iter().copied()).map(async |file| {
        Ok::<_, ReplayError>(
            header(&what.objects, &what.node, file).await?.map(|header| (file, header)),
        )
    });
    read.buffer_unordered(32).try_filter_map(|found| ready(Ok(found))).try_collect().await
}

/// The header of a file, unless it is damaged. That the store fails says nothing about it: taken
/// for damage, it would make groups count again that were given up in the file before.
pub(super) async fn header(
    objects: &Objects,
    node: &str,
    file: u64,
) -> Result<Option<Header>, ReplayError> {
    let (store, path) = (&objects.store, Path::from(paths::wal_file(node, file)));
    let bytes = match store.get_range(&path, 0..HEADER_BYTES as u64).await {
        Ok(bytes) => bytes,
        Err(_) if canary::is("unread-header-is-none") => return Ok(None),
        // Maybe the file is too small for one, which is reported when it is decoded.
        Err(_) => store.get(&path).await?.bytes().await?,
    };
    Ok(decode_header(&bytes).ok())
}

/// How much of a file counts, if the one after it says so.
fn counted(headers: &HashMap<u64, Header>, file: u64) -> Option<u64> {
    let in_place = |n: u64| headers.get(&n).filter(|header| header.sequence == n);
    counted_bytes(in_place(file)?, in_place(file + 1)?)
}

async fn decode_file(
    what: &Replay,
    file: u64,
    counted: Option<u64>,
    known: Arc<Known>,
) -> Result<Decoded, ReplayError> {
    let key = paths::wal_file(&what.node, file);
    let bytes = what.objects.store.get(&Path::from(key.as_str())).await?.bytes().await?;
    let folder = what.objects.directory.as_ref();
    // What was read may be in the page cache only. It is about to become visible, so it has to
    // become durable first.
    let unsynced = folder.filter(|_| counted.is_none() && what.objects.fsync);
    let unsynced = unsynced.map(|root| root.join(&key));
    // An object is stored as a whole: nothing at its end is merely unfinished.
    let counted = counted.or_else(|| folder.is_none().then_some(bytes.len() as u64));
    let decoded = pools::spawn_blocking(move || {
        if let Some(path) = unsynced {
            disk::sync(&path).map_err(|e| ReplayError::Apply(format!("cannot sync {key}: {e}")))?;
        }
        let decoded = decode(file, &bytes, counted, &known);
        if let Some(at) = decoded.torn_at {
            tracing::warn!(file, at, "the last group of a WAL file is unfinished and was cut off");
        }
        Ok(decoded)
    });
    decoded.await.map_err(|e| ReplayError::Apply(e.to_string()))?
}

pub(super) fn decode(file: u64, bytes: &Bytes, counted: Option<u64>, known: &Known) -> Decoded {
    let mut decoded = Decoded {
        groups: Vec::new(),
        last_sequence: 0,
        period: Period::empty(file),
        damage: None,
        torn_at: None,
        newer: None,
        unknown: None,
    };
    let segment = match read(bytes, counted) {
        Ok(segment) => segment,
        Err(error) => {
            let reason = Some(error.to_string());
            match error {
                FrameError::NewerVersion(_) => decoded.newer = reason,
                _ => decoded.damage = reason,
            }
            return decoded;
        }
    };
    if segment.header.sequence != file {
        decoded.damage = Some(format!("it is a copy of file {}", segment.header.sequence));
    }
    if let Some(range) = segment.damaged.first() {
        decoded.damage =
            Some(format!("{} at bytes {} to {}", FrameError::Checksum, range.start, range.end));
    }
    decoded.torn_at = segment.torn_at;
    for frame in segment.frames {
        decoded.last_sequence = decoded.last_sequence.max(frame.sequence);
        decoded.period.add_group(frame.stamp);
        let group = decode_group(&frame, known, &mut decoded);
        decoded.groups.push(group);
    }
    decoded
}

fn decode_group(frame: &Frame, known: &Known, file: &mut Decoded) -> ApplyRows {
    let Frame { sequence, stamp, .. } = *frame;
    let mut group =
        ApplyRows { sequence, stamp, batches: Vec::new(), cuts: Vec::new(), mark: None };
    for bytes in &frame.entries {
        match content(bytes) {
            Ok(Content::Rows(db, stored)) => {
                if file.unknown.is_none() {
                    file.unknown = stored.iter().find_map(|rows| known.lacks(rows));
                }
                match table_batches(db, stored, &known.tables) {
                    Ok(found) => group.batches.extend(found),
                    Err(error) => file.damage = Some(error.to_string()),
                }
            }
            Ok(Content::Mark(mark)) => group.mark = Some(mark),
            Ok(Content::Cut(cut)) => group.cuts.push(cut),
            Err(error) => file.damage = Some(error.to_string()),
        }
    }
    for batch in &group.batches {
        file.period.add(batch.min_time_ns, batch.max_time_ns);
    }
    group
}

/// The rows of one request whose tables still exist.
fn table_batches(
    db: DbId,
    stored: Vec<StoredRows>,
    tables: &HashMap<TableId, Arc<TableSchema>>,
) -> Result<Vec<TableBatch>, arrow::error::ArrowError> {
    let known = stored.into_iter().filter_map(|rows| Some((tables.get(&rows.table)?, rows)));
    known
        .filter(|(_, rows)| !rows.times.is_empty())
        .map(|(schema, rows)| table_batch(db, rows, schema))
        .collect()
}

/// Rows with the catalog's ids as the store takes them.
///
/// # Errors
/// When the rows do not fit the schema: only possible for rows from damaged bytes.
pub(crate) fn table_batch(
    db: DbId,
    rows: StoredRows,
    schema: &TableSchema,
) -> Result<TableBatch, arrow::error::ArrowError> {
    let table = rows.table;
    let min_time_ns = rows.times.iter().copied().min().unwrap_or(i64::MAX);
    let max_time_ns = rows.times.iter().copied().max().unwrap_or(i64::MIN);
    let rows = rows.into_arrow(schema)?;
    let size_bytes = rows.get_array_memory_size();
    Ok(TableBatch { db, table, rows, min_time_ns, max_time_ns, size_bytes })
}
