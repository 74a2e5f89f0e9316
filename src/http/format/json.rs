//! One JSON array of row objects.

use super::{Encode, encode_error};
use arrow::array::RecordBatch;
use arrow::json::ArrayWriter;
use protocols::messages::query::QueryError;

pub(super) struct Json {
    writer: ArrayWriter<Vec<u8>>,
}

impl Json {
    pub(super) fn new() -> Self {
        Self { writer: ArrayWriter::new(Vec::new()) }
    }
}

impl Encode for Json {
    fn batch(&mut self, rows: &RecordBatch) -> Result<Vec<u8>, QueryError> {
        self.writer.write(rows).map_err(|error| encode_error(&error))?;
        let bytes = std::mem::take(self.writer.get_mut());
        // The next batch is about as large as this one.
        self.writer.get_mut().reserve(bytes.len());
        Ok(bytes)
    }

    fn finish(&mut self) -> Result<Vec<u8>, QueryError> {
        self.writer.finish().map_err(|error| encode_error(&error))?;
        Ok(std::mem::take(self.writer.get_mut()))
    }
}
