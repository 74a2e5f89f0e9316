//! Last-value and distinct-value caches in queries: the table functions `last_cache` and
//! `distinct_cache`, and a short way for statements that read one cache and do nothing else.

mod arguments;
mod exec;
pub(super) mod fast;
mod function;
mod predicates;
pub(super) mod scan;
mod table;

pub(super) use arguments::check;
pub(super) use table::CacheTables;

use super::errors;
use crate::cache_kit::{CacheEntry, CacheState};
use crate::runtime::mailbox::AskError;
use arrow::array::RecordBatch;
use datafusion::catalog::TableFunctionImpl;
use datafusion::common::DataFusionError;
use function::CacheFunction;
use protocols::error::ErrorKind;
use protocols::messages::caches::LookUpCache;
use protocols::messages::catalog::CacheKind;
use protocols::messages::query::QueryError;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a question waits for its answer: nearly nothing, unless the cache is being filled.
const LOOK_UP_DEADLINE: Duration = Duration::from_secs(10);

/// The table functions over the caches of one database.
pub(super) fn functions(
    tables: &Arc<CacheTables>,
) -> [(&'static str, Arc<dyn TableFunctionImpl>); 2] {
    let function = |kind| -> Arc<dyn TableFunctionImpl> {
        Arc::new(CacheFunction { kind, tables: Arc::clone(tables) })
    };
    [
        (name_of(CacheKind::Last), function(CacheKind::Last)),
        (name_of(CacheKind::Distinct), function(CacheKind::Distinct)),
    ]
}

fn name_of(kind: CacheKind) -> &'static str {
    match kind {
        CacheKind::Last => "last_cache",
        CacheKind::Distinct => "distinct_cache",
    }
}

/// Asks a cache, which may have to be filled first.
async fn look_up(
    entry: Option<&CacheEntry>,
    question: LookUpCache,
) -> Result<RecordBatch, DataFusionError> {
    let unavailable = |why: &str| {
        let kind = ErrorKind::Unavailable;
        let message = format!("the cache is {why}, try again later");
        DataFusionError::External(Box::new(QueryError { kind, message }))
    };
    let Some(entry) = entry else { return Err(unavailable("about to be started")) };
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

/// The client's view of an error of a look-up.
fn query_error(error: &DataFusionError) -> QueryError {
    errors::from_engine(error)
}
