//! Reads rows again that are durable and visible, for whoever must not miss any: nothing is kept in
//! memory for those who come later, or late.

use super::log::list;
use super::owner::Owner;
use super::replay::{Known, ReplayError, decode, header};
use crate::runtime::pools;
use crate::runtime::published::Published;
use crate::storage::objects::Objects;
use bytes::Bytes;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use protocols::catalog::CatalogSnapshot;
use protocols::ids::{DbId, TableId};
use protocols::messages::store::{ApplyRows, TableBatch};
use protocols::paths;
use protocols::schema::TableSchema;
use protocols::wal_frame::segment::counted_bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A place in the log of a node, behind a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPlace {
    /// The first file that may have later groups; 0 before there is any.
    pub file: u64,
    /// Number of the group.
    pub group: u64,
}

/// What was found behind a place.
#[derive(Debug)]
pub struct Stretch {
    /// The rows in the order of the log, all from one file.
    pub batches: Vec<TableBatch>,
    /// Stamp of the first group that has any: when they were written, nanoseconds since 1970.
    pub written_ns: i64,
    /// The place behind them, or behind all groups that queries see.
    pub through: LogPlace,
    /// Files before that place which have been removed, or cannot be read.
    pub missing_files: u64,
}

/// Reads the log of a node while it is written.
#[derive(Clone, Debug)]
pub struct LogReader {
    owner: Owner,
    catalog: Published<CatalogSnapshot>,
}

impl LogReader {
    /// Of the log that this process owns.
    pub fn new(owner: Owner, catalog: Published<CatalogSnapshot>) -> Self {
        Self { owner, catalog }
    }

    /// Where the log is.
    pub(crate) fn objects(&self) -> &Objects {
        self.owner.objects()
    }

    /// Whose log it is.
    pub(crate) fn node(&self) -> &str {
        self.owner.node()
    }

    /// The tables and columns of rows.
    pub(crate) fn catalog(&self) -> Arc<CatalogSnapshot> {
        self.catalog.load()
    }

    /// A place before all groups that are written from now on.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn end(&self) -> object_store::Result<LogPlace> {
        let files = list(self.objects().store.as_ref(), self.node()).await?;
        Ok(LogPlace { file: files.last().copied().unwrap_or(0), group: self.owner.visible() })
    }

    /// The next rows of the tables that are wanted, behind `after`, as far as queries see them.
    /// Deleted tables are asked about as well.
    ///
    /// # Errors
    /// When the store does not answer, or a newer release wrote the file.
    pub async fn rows_after(
        &self,
        after: LogPlace,
        is_wanted: impl Fn(DbId, &TableSchema) -> bool,
    ) -> Result<Stretch, ReplayError> {
        let mut found =
            Stretch { batches: Vec::new(), written_ns: 0, through: after, missing_files: 0 };
        // First the number, then the names: the catalog has those of all rows that are visible.
        let visible = self.owner.visible();
        if visible <= after.group {
            return Ok(found);
        }
        let known = Arc::new(known(&self.catalog.load(), is_wanted));
        let files = list(self.objects().store.as_ref(), self.node()).await?;
        let first = files.partition_point(|file| *file < after.file);
        let files = files.get(first..).unwrap_or_default();
        if after.file > 0 {
            found.missing_files = files.first().map_or(0, |first| first - after.file);
        }
        for (file, next) in files.iter().zip(files.iter().skip(1).map(Some).chain([None])) {
            let Some(groups) = self.groups(*file, next.copied(), &known).await? else {
                found.missing_files += 1;
                continue;
            };
            let is_whole = groups.iter().all(|group| group.sequence <= visible);
            let is_next = |group: &ApplyRows| (after.group + 1..=visible).contains(&group.sequence);
            for group in groups.into_iter().filter(is_next) {
                if found.batches.is_empty() {
                    found.written_ns = group.stamp;
                }
                found.through.group = group.sequence;
                found.batches.extend(group.batches);
            }
            found.through.file = next.copied().filter(|_| is_whole).unwrap_or(*file);
            if !is_whole || !found.batches.is_empty() {
                return Ok(found);
            }
        }
        found.through.group = visible;
        Ok(found)
    }

    /// The groups of a file that count; nothing when it is gone or damaged.
    async fn groups(
        &self,
        file: u64,
        next: Option<u64>,
        known: &Arc<Known>,
    ) -> Result<Option<Vec<ApplyRows>>, ReplayError> {
        let (objects, node) = (self.objects(), self.node());
        let path = Path::from(paths::wal_file(node, file));
        let bytes: Bytes = match objects.store.get(&path).await {
            Ok(found) => found.bytes().await?,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let counted = match (next, &objects.directory) {
            (_, None) => Some(bytes.len() as u64),
            (None, Some(_)) => None,
            (Some(next), Some(_)) => {
                let headers =
                    header(objects, node, file).await?.zip(header(objects, node, next).await?);
                headers.and_then(|(this, next)| counted_bytes(&this, &next))
            }
        };
        let known = Arc::clone(known);
        let decoded = pools::spawn_blocking(move || decode(file, &bytes, counted, &known)).await;
        let decoded = decoded.map_err(|error| ReplayError::Apply(error.to_string()))?;
        if let Some(reason) = decoded.newer {
            return Err(ReplayError::Newer { file: path.to_string(), reason });
        }
        if let Some(reason) = decoded.damage {
            tracing::error!(file = %path, reason, "a damaged WAL file was read again");
            if decoded.groups.is_empty() {
                return Ok(None);
            }
        }
        Ok(Some(decoded.groups))
    }
}

/// Only those tables that are asked for: the rows of all others are passed over.
fn known(catalog: &CatalogSnapshot, is_wanted: impl Fn(DbId, &TableSchema) -> bool) -> Known {
    let databases = catalog.databases.values();
    let tables = databases.flat_map(|db| db.tables.values().map(move |table| (db.id, table)));
    let wanted = tables.filter(|(db, table)| is_wanted(*db, table));
    Known {
        tables: wanted.map(|(_, table)| (table.id, Arc::clone(table))).collect(),
        next_table: TableId(catalog.next_table_id),
    }
}
