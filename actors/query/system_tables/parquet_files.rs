//! The Parquet files of the tables of a database.

use super::{Rows, Source, SystemTable};
use crate::query::provider::ScanContext;
use arrow::array::{Int64Array, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::expr::BinaryExpr;
use datafusion::logical_expr::{Expr, Operator, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::{StreamExt, TryStreamExt, stream};
use protocols::messages::rank;
use protocols::messages::store::ViewTable;
use protocols::paths;
use protocols::schema::TableSchema;
use protocols::snapshot::ParquetFile;
use std::sync::Arc;
use tokio::time::Instant;

/// How many tables are asked about at the same time.
const TABLES_AT_ONCE: usize = 8;

/// Files of persisted rows.
pub(super) const PARQUET_FILES: SystemTable = SystemTable {
    name: "parquet_files",
    internal: false,
    schema: || {
        Arc::new(Schema::new(vec![
            Field::new("table_name", DataType::Utf8, false),
            Field::new("path", DataType::Utf8, false),
            Field::new("size_bytes", DataType::UInt64, false),
            Field::new("row_count", DataType::UInt64, false),
            Field::new("min_time", DataType::Int64, false),
            Field::new("max_time", DataType::Int64, false),
        ]))
    },
    rows: Rows::Scanned(|source, schema| {
        Arc::new(FilesTable { schema, source: Arc::clone(source) })
    }),
};

#[derive(Debug)]
struct FilesTable {
    schema: SchemaRef,
    source: Arc<Source>,
}

#[async_trait]
impl TableProvider for FilesTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// The name of the table decides which shards are asked.
    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let answer = |filter: &&Expr| match named_table(filter) {
            Some(_) => TableProviderFilterPushDown::Inexact,
            None => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(answer).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let named: Vec<&str> = filters.iter().filter_map(named_table).collect();
        let tables = self.source.db.live_tables().into_iter();
        let asked = tables.filter(|table| named.iter().all(|name| *name == table.name.as_ref()));
        let scan = FilesScan {
            schema: Arc::clone(&self.schema),
            tables: asked.map(Arc::clone).collect(),
            context: self.source.context.clone(),
        };
        let table = StreamingTable::try_new(Arc::clone(&self.schema), vec![Arc::new(scan)])?;
        table.scan(state, projection, &[], limit).await
    }
}

/// The name that `table_name = '…'` asks for.
fn named_table(filter: &Expr) -> Option<&str> {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = filter else {
        return None;
    };
    match (left.as_ref(), right.as_ref()) {
        (Expr::Column(column), Expr::Literal(ScalarValue::Utf8(Some(name)), _))
        | (Expr::Literal(ScalarValue::Utf8(Some(name)), _), Expr::Column(column)) => {
            (column.name == "table_name").then_some(name.as_str())
        }
        _ => None,
    }
}

/// Asks the shards when the query runs.
#[derive(Debug)]
struct FilesScan {
    schema: SchemaRef,
    tables: Vec<Arc<TableSchema>>,
    context: ScanContext,
}

impl PartitionStream for FilesScan {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (schema, context) = (Arc::clone(&self.schema), self.context.clone());
        let batches = stream::iter(self.tables.clone())
            .map(move |table| {
                let (schema, context) = (Arc::clone(&schema), context.clone());
                async move {
                    let files = files_of(&table, &context).await?;
                    rows(&table, &files, &context.files.node, schema)
                }
            })
            .buffered(TABLES_AT_ONCE)
            .try_filter(|batch| std::future::ready(batch.num_rows() > 0));
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches))
    }
}

async fn files_of(table: &TableSchema, context: &ScanContext) -> Result<Vec<Arc<ParquetFile>>> {
    let every_time = ViewTable { table: table.id, min_time_ns: i64::MIN, max_time_ns: i64::MAX };
    let shard = context.stores.shard_of(table.id);
    let view = shard
        .ask::<{ rank::QUERY }, _>(every_time, Instant::now() + context.view_time)
        .await
        .map_err(|e| DataFusionError::External(Box::new(e)))?;
    let mut files = view.files;
    files.sort_by_key(|file| std::cmp::Reverse((file.chunk_time_ns, file.id)));
    Ok(files)
}

fn rows(
    table: &TableSchema,
    files: &[Arc<ParquetFile>],
    node: &str,
    schema: SchemaRef,
) -> Result<RecordBatch> {
    let names = files.iter().map(|_| table.name.as_ref());
    let paths = files.iter().map(|file| paths::parquet_file(node, file));
    let number = |value: fn(&ParquetFile) -> u64| {
        Arc::new(UInt64Array::from_iter_values(files.iter().map(|file| value(file))))
    };
    let time = |value: fn(&ParquetFile) -> i64| {
        Arc::new(Int64Array::from_iter_values(files.iter().map(|file| value(file))))
    };
    Ok(RecordBatch::try_new(
        schema,
        vec![
            Arc::new(StringArray::from_iter_values(names)),
            Arc::new(StringArray::from_iter_values(paths)),
            number(|file| file.size_bytes),
            number(|file| file.row_count),
            time(|file| file.min_time_ns),
            time(|file| file.max_time_ns),
        ],
    )?)
}
