//! The caches that a statement can read, and asking one.

use crate::cache_directory::{CacheDirectory, CacheEntry};
use crate::cache_kit::CacheState;
use crate::runtime::mailbox::AskError;
use arrow::array::RecordBatch;
use arrow::datatypes::{Field, SchemaRef};
use datafusion::common::{DataFusionError, plan_datafusion_err};
use datafusion::error::Result;
use protocols::error::ErrorKind;
use protocols::messages::caches::{CacheRef, LookUpCache};
use protocols::messages::catalog::CacheKind;
use protocols::messages::query::QueryError;
use protocols::schema::DatabaseSchema;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a question waits for its answer: nearly nothing, unless the cache is being filled.
const LOOK_UP_DEADLINE: Duration = Duration::from_secs(10);

/// The function that reads caches of that kind.
pub(super) fn name_of(kind: CacheKind) -> &'static str {
    match kind {
        CacheKind::Last => "last_cache",
        CacheKind::Distinct => "distinct_cache",
    }
}

/// The caches of one database.
#[derive(Debug)]
pub(in super::super) struct CacheTables {
    /// The database.
    pub(in super::super) db: Arc<DatabaseSchema>,
    /// The caches that run.
    pub(in super::super) directory: Option<CacheDirectory>,
}

impl CacheTables {
    /// The cache of that table and name.
    ///
    /// # Errors
    /// When there is no such table or cache, or several caches and no name.
    pub(super) fn find(
        &self,
        kind: CacheKind,
        table: &str,
        cache: Option<&str>,
    ) -> Result<CacheTable> {
        let schema = self.db.table(table).ok_or_else(|| match kind {
            CacheKind::Last => plan_datafusion_err!("provided table name is invalid"),
            CacheKind::Distinct => {
                plan_datafusion_err!("provided table name ({table}) is invalid")
            }
        })?;
        let found = match kind {
            CacheKind::Last => {
                let def = schema.caches.last(cache).ok_or_else(|| {
                    plan_datafusion_err!("could not find cache for the given arguments")
                })?;
                (def.id, def.keys.len(), def.schema(schema))
            }
            CacheKind::Distinct => {
                let def = schema.caches.distinct(cache).ok_or_else(|| {
                    plan_datafusion_err!(
                        "could not find distinct value cache for the given arguments"
                    )
                })?;
                (def.id, def.columns.len(), def.schema(schema))
            }
        };
        let (cache, keys, columns) = found;
        let cache = CacheRef { table: schema.id, cache };
        Ok(CacheTable { kind, keys, schema: columns, cache, directory: self.directory.clone() })
    }
}

/// A cache that a statement reads.
#[derive(Clone, Debug)]
pub(super) struct CacheTable {
    /// Which kind.
    pub(super) kind: CacheKind,
    /// So many of the first columns are keys.
    pub(super) keys: usize,
    /// The columns.
    pub(super) schema: SchemaRef,
    /// Which cache.
    cache: CacheRef,
    /// The caches that run.
    directory: Option<CacheDirectory>,
}

impl CacheTable {
    /// The cache, if it runs.
    fn entry(&self) -> Option<Arc<CacheEntry>> {
        let running = self.directory.as_ref().map(CacheDirectory::load);
        running.and_then(|running| running.find(self.cache).map(Arc::clone))
    }

    /// The columns that can be tested.
    pub(super) fn key_fields(&self) -> &[Arc<Field>] {
        &self.schema.fields()[..self.keys]
    }

    /// Asks the cache, which may have to be filled first.
    ///
    /// # Errors
    /// When it is not there, or not now.
    pub(super) async fn look_up(&self, question: LookUpCache) -> Result<RecordBatch> {
        let unavailable = |why: &str| {
            let kind = ErrorKind::Unavailable;
            let message = format!("the cache is {why}, try again later");
            DataFusionError::External(Box::new(QueryError { kind, message }))
        };
        let Some(entry) = self.entry() else { return Err(unavailable("about to be started")) };
        if entry.is_behind() {
            return Err(unavailable("being rebuilt, because it could not keep up with the writes"));
        }
        match entry.look_up(question, Instant::now() + LOOK_UP_DEADLINE).await {
            Ok(Ok(rows)) => Ok(rows),
            Ok(Err(error)) => Err(DataFusionError::Internal(error.to_string())),
            Err(AskError::Deadline(_)) if entry.state() == CacheState::Filling => {
                Err(unavailable("being filled with existing rows"))
            }
            Err(error) => Err(DataFusionError::External(Box::new(error))),
        }
    }
}
