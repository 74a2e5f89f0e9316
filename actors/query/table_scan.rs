//! Reading a table for a cache that is filled.

use super::provider::StoredTable;
use super::statement::Runnable;
use super::view::View;
use datafusion::catalog::TableProvider;
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::{col, lit};
use protocols::messages::caches::ScanTable;
use protocols::schema::{DatabaseSchema, TIME_COLUMN, TableSchema};
use std::sync::Arc;

/// A table that is read for a cache.
pub(super) struct TableScan {
    pub(super) message: ScanTable,
    pub(super) db: Arc<DatabaseSchema>,
    pub(super) table: Arc<TableSchema>,
    pub(super) view: View,
}

impl TableScan {
    /// The plan of the reading.
    ///
    /// # Errors
    /// When the table has no such column.
    pub(super) async fn plan(self) -> Result<Runnable> {
        let state = self.view.session();
        let schema = self.table.arrow_schema();
        let columns = self.message.columns.iter().map(|name| schema.index_of(name));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let since = ScalarValue::TimestampNanosecond(Some(self.message.rows_since_ns), None);
        let filters = match self.message.rows_since_ns {
            i64::MIN => Vec::new(),
            _ => vec![col(TIME_COLUMN).gt_eq(lit(since))],
        };
        let table = StoredTable::new(Arc::clone(&self.table), self.db.retention_of(&self.table));
        let plan = table.scan(&*state, Some(&columns), &filters, None).await?;
        Ok(Runnable::new(&state, plan))
    }
}
