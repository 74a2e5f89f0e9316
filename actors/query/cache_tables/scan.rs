//! Reading a table for a cache that is filled.

use super::super::catalog_view::Catalogs;
use super::super::errors;
use super::super::provider::{ScanContext, StoredTable};
use super::super::session::Sessions;
use datafusion::catalog::TableProvider;
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::{col, lit};
use datafusion::physical_plan::execute_stream;
use futures::{StreamExt, stream};
use protocols::messages::caches::ScanTable;
use protocols::messages::query::{QueryError, QueryResult};
use protocols::schema::{DatabaseSchema, TIME_COLUMN, TableSchema};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Batches that wait to be taken.
const BATCHES_AHEAD_MAX: usize = 2;

/// A table that is read for a cache.
pub(in super::super) struct TableScan {
    pub(in super::super) message: ScanTable,
    pub(in super::super) db: Arc<DatabaseSchema>,
    pub(in super::super) table: Arc<TableSchema>,
    pub(in super::super) context: ScanContext,
    pub(in super::super) sessions: Arc<Sessions>,
    pub(in super::super) catalogs: Arc<Catalogs>,
}

impl TableScan {
    /// Begins the reading, which goes on as a task of its own.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub(in super::super) async fn start(self) -> Result<QueryResult, QueryError> {
        let mut rows = self.rows().await.map_err(|error| errors::from_engine(&error))?;
        let schema = rows.schema();
        let (sender, receiver) = mpsc::channel(BATCHES_AHEAD_MAX);
        tokio::spawn(async move {
            while let Some(batch) = rows.next().await {
                let batch = batch.map_err(|error| errors::from_engine(&error));
                if sender.send(Some(batch)).await.is_err() {
                    return; // nobody wants the rest
                }
            }
            sender.send(None).await.ok();
        });
        let batches = stream::unfold(Some(receiver), |receiver| async {
            let mut receiver = receiver?;
            match receiver.recv().await {
                Some(Some(batch)) => Some((batch, Some(receiver))),
                Some(None) => None,
                // The task is gone without having come to the end.
                None => Some((Err(errors::panicked()), None)),
            }
        });
        Ok(QueryResult { schema, batches: batches.boxed() })
    }

    async fn rows(self) -> Result<SendableRecordBatchStream> {
        let now_ns = self.context.now_ns;
        let state = self.sessions.open(self.catalogs, now_ns);
        let schema = self.table.arrow_schema();
        let columns = self.message.columns.iter().map(|name| schema.index_of(name));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let since = ScalarValue::TimestampNanosecond(Some(self.message.rows_since_ns), None);
        let filters = match self.message.rows_since_ns {
            i64::MIN => Vec::new(),
            _ => vec![col(TIME_COLUMN).gt_eq(lit(since))],
        };
        let table = StoredTable::new(Arc::clone(&self.table), self.db.retention_ns, self.context);
        let plan = table.scan(&state, Some(&columns), &filters, None).await?;
        execute_stream(plan, state.task_ctx())
    }
}
