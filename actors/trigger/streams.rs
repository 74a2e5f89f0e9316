//! Rows of an event as the host reads them.

use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use protocols::messages::plugins::{EventTable, WriteEvent};
use protocols::plugins::host::Part;
use std::sync::Arc;

/// What a stream has of each column beside its values, about.
const DESCRIPTION_BYTES: usize = 512;

/// The parts of an event that a trigger is for, and their bytes. A table is encoded once, whichever
/// and however many triggers need it.
pub(crate) fn parts_of(
    event: &WriteEvent,
    table: Option<&str>,
) -> Result<(Vec<Part>, Vec<Bytes>), ArrowError> {
    let (mut parts, mut body) = (Vec::new(), Vec::new());
    for of_event in event.tables.iter().filter(|t| table.is_none_or(|name| *t.name == *name)) {
        for stream in streams(of_event)? {
            parts.push(Part { table: Arc::clone(&of_event.name), bytes: stream.len() });
            body.push(stream.clone());
        }
    }
    Ok((parts, body))
}

fn streams(table: &EventTable) -> Result<&Vec<Bytes>, ArrowError> {
    if table.streams.get().is_none() {
        let encoded = table.batches.iter().map(encode).collect::<Result<Vec<_>, _>>()?;
        // Another trigger may have been faster, with the same.
        table.streams.set(encoded).ok();
    }
    table.streams.get().ok_or_else(|| ArrowError::IpcError("no rows".to_owned()))
}

fn encode(batch: &RecordBatch) -> Result<Bytes, ArrowError> {
    let columns = batch.columns().iter();
    let sizes = columns.map(|column| column.to_data().get_slice_memory_size());
    let bytes: usize = sizes.sum::<Result<_, _>>()?;
    // Besides there are descriptions, and what fills up each buffer.
    let room = bytes + bytes / 64 + DESCRIPTION_BYTES * (1 + batch.num_columns());
    let mut writer = StreamWriter::try_new(Vec::with_capacity(room), &batch.schema())?;
    writer.write(batch)?;
    writer.into_inner().map(Bytes::from)
}
