//! What was done and refused of late, as a table.

use super::{Rows, Source, SystemTable};
use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampNanosecondArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::error::{DataFusionError, Result};
use futures::FutureExt;
use futures::future::BoxFuture;
use protocols::messages::audit::{AuditEntry, ReadAudit};
use protocols::messages::rank;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long the actor may take to answer.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// The newest entries of the audit log.
pub(super) const AUDIT: SystemTable =
    SystemTable { name: "audit", internal: true, schema, rows: Rows::Asked(rows) };

fn schema() -> SchemaRef {
    let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    Arc::new(Schema::new(vec![
        Field::new("time", DataType::Timestamp(TimeUnit::Nanosecond, None), false),
        text("principal", false),
        Field::new("token_id", DataType::UInt64, true),
        text("peer", true),
        text("action", false),
        text("object", false),
        text("outcome", false),
        text("detail", true),
        text("trace_id", true),
    ]))
}

fn rows(source: Arc<Source>, schema: SchemaRef) -> BoxFuture<'static, Result<RecordBatch>> {
    async move {
        let entries: Vec<Arc<AuditEntry>> = match &source.audit {
            None => Vec::new(),
            Some(audit) => {
                let deadline = Instant::now() + ANSWER_TIME;
                let read = audit.ask::<{ rank::QUERY }, _>(ReadAudit, deadline).await;
                read.map_err(|error| DataFusionError::Execution(error.to_string()))?
            }
        };
        let texts = |text: fn(&AuditEntry) -> Option<&str>| -> ArrayRef {
            Arc::new(entries.iter().map(|entry| text(entry)).collect::<StringArray>())
        };
        let times = entries.iter().map(|entry| entry.time_ns);
        let ids = entries.iter().map(|entry| entry.token_id.map(|id| id.0));
        let peers = entries.iter().map(|entry| entry.origin.peer.map(|peer| peer.to_string()));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(TimestampNanosecondArray::from_iter_values(times)),
            texts(|entry| Some(&entry.principal)),
            Arc::new(ids.collect::<UInt64Array>()),
            Arc::new(peers.collect::<StringArray>()),
            texts(|entry| Some(entry.action)),
            texts(|entry| Some(&entry.object)),
            texts(|entry| Some(entry.outcome.name())),
            texts(|entry| entry.detail.as_deref()),
            texts(|entry| entry.origin.trace_id.as_ref().map(|id| id.as_str())),
        ];
        Ok(RecordBatch::try_new(schema, columns)?)
    }
    .boxed()
}
