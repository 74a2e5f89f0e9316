//! Parquet files: where their bytes are, and which of them are in memory in decoded form.

use super::remembered::Remembered;
use crate::parquet_cache::{HeldRows, ParquetCache};
use crate::runtime::clock::Clock;
use crate::runtime::mailbox::Mailbox;
use datafusion::arrow::datatypes::SchemaRef;
use object_store::ObjectStore;
use protocols::messages::parquet_cache::{LookUpRows, WantedFile};
use protocols::messages::rank;
use protocols::messages::store::SortedRows;
use protocols::paths;
use protocols::snapshot::ParquetFile;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Limit: of so many files of a scan, the newest, the cache is asked for decoded rows. A query of
/// more would have it forget the files that everyone else reads.
const DECODED_FILES_MAX: usize = 4_096;

/// How long a reader waits for the cache, which answers from memory.
pub(super) const LOOK_UP_DEADLINE: Duration = Duration::from_secs(2);

/// Where Parquet files are.
#[derive(Clone, Debug)]
pub struct ParquetFiles {
    /// The node whose files they are: the first part of their keys.
    pub node: Arc<str>,
    /// What has all of them.
    pub store: Arc<dyn ObjectStore>,
    /// What has some of them in memory.
    pub cache: Option<Mailbox<ParquetCache>>,
    /// The decoded rows that it holds.
    pub held: HeldRows,
    /// Tells whether a file that is gone was past retention.
    pub clock: Clock,
    /// More files than this a query must not read.
    pub query_file_limit: Option<usize>,
    /// The store is this machine's own: a request costs next to nothing.
    pub is_near: bool,
    /// What queries have found out about them.
    pub remembered: Remembered,
}

impl ParquetFiles {
    /// Those of the files whose rows the cache has in decoded form, with the columns of `schema`,
    /// by their identity. A cache that fails is no reason to fail a query.
    pub(super) async fn decoded(
        &self,
        mut newest: Vec<&Arc<ParquetFile>>,
        schema: &SchemaRef,
    ) -> HashMap<u64, Arc<SortedRows>> {
        let Some(cache) = self.cache.as_ref().filter(|_| !newest.is_empty()) else {
            return HashMap::new();
        };
        newest.sort_by_key(|file| Reverse(file.max_time_ns));
        newest.truncate(DECODED_FILES_MAX);
        let wanted = newest.iter().map(|file| WantedFile {
            path: Arc::from(paths::parquet_file(&self.node, file)),
            file: Arc::clone(file),
        });
        let columns = schema.fields().iter().map(|field| Arc::from(field.name().as_str()));
        let (files, columns): (Vec<_>, Arc<[_]>) = (wanted.collect(), columns.collect());
        if let Some(found) = self.held.of_all(&files, &columns) {
            return newest.iter().map(|file| file.id).zip(found).collect();
        }
        let question = LookUpRows { files, columns };
        let deadline = Instant::now() + LOOK_UP_DEADLINE;
        let answer = cache.ask::<{ rank::QUERY }, _>(question, deadline).await;
        let found = newest.iter().zip(answer.unwrap_or_default());
        found.filter_map(|(file, rows)| Some((file.id, rows?))).collect()
    }
}
