//! Rows as the bytes of a Parquet file while they come: what a file holds is known at its end only.
//!
//! The encodings are chosen by the first rows, as many as a row group has.

use super::encode::{ROW_GROUP_ROWS, finish, properties};
use super::index::with_filters;
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::{Schema, SchemaRef};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::errors::Result;
use parquet::file::metadata::KeyValue;
use protocols::schema::IndexedColumns;
use protocols::series_blocks::{self, SeriesBlocks};
use std::collections::HashMap;
use std::sync::Arc;

/// The first rows are held back until there are so many bytes of them at most.
const SAMPLE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// See the page of this file.
pub(crate) struct Encoder {
    schema: SchemaRef,
    /// Rows that the encodings are chosen by, before there is a writer.
    sample: Vec<RecordBatch>,
    sample_bytes: usize,
    writer: Option<ArrowWriter<Vec<u8>>>,
    rows: usize,
    /// Series that these are of.
    series: u64,
    /// The columns that the file is indexed by; all tags if none were chosen.
    indexed: Option<IndexedColumns>,
}

impl Encoder {
    /// A file with these columns, the tags among them in the order of the key and `time` last, that
    /// is indexed by some of them.
    pub(crate) fn new(schema: &Schema, indexed: Option<IndexedColumns>) -> Self {
        // Metadata of fields is a matter between server and client. In a file it only takes room.
        let plain = |field: &Arc<arrow::datatypes::Field>| {
            field.as_ref().clone().with_metadata(HashMap::new())
        };
        let fields: Vec<_> = schema.fields().iter().map(plain).collect();
        let schema = Arc::new(Schema::new(fields));
        let (sample, sample_bytes) = (Vec::new(), 0);
        Self { schema, sample, sample_bytes, writer: None, rows: 0, series: 0, indexed }
    }

    /// How many rows it has.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// How large the file would be about if it ended here.
    pub(crate) fn bytes(&self) -> usize {
        match &self.writer {
            Some(writer) => writer.inner().len() + writer.in_progress_size(),
            None => 0,
        }
    }

    /// Adds rows that come behind all before. With them the file has so many series.
    ///
    /// # Errors
    /// When they have other columns, or the encoder fails.
    pub(crate) fn write(&mut self, rows: &RecordBatch, series: u64) -> Result<()> {
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), rows.columns().to_vec())?;
        self.rows += rows.num_rows();
        self.series = series;
        if let Some(writer) = &mut self.writer {
            return writer.write(&rows);
        }
        self.sample_bytes += rows.get_array_memory_size();
        self.sample.push(rows);
        if self.rows >= ROW_GROUP_ROWS || self.sample_bytes >= SAMPLE_BYTES_MAX {
            self.begin()?;
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<()> {
        let sample = concat_batches(&self.schema, &std::mem::take(&mut self.sample))?;
        let properties =
            with_filters(properties(&sample)?, &sample, self.series, self.indexed.as_ref());
        let schema = Arc::clone(&self.schema);
        let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties))?;
        writer.write(&sample)?;
        self.writer = Some(writer);
        Ok(())
    }

    /// The file. What `series` says of its series is in its footer if it is worth it.
    ///
    /// # Errors
    /// When the encoder fails.
    pub(crate) fn finish(mut self, series: &SeriesBlocks) -> Result<Bytes> {
        if self.writer.is_none() {
            self.begin()?;
        }
        match self.writer {
            Some(mut writer) => {
                if series.is_worth_it() {
                    let key = series_blocks::KEY.to_owned();
                    writer.append_key_value_metadata(KeyValue::new(key, series.encode()));
                }
                finish(writer)
            }
            None => Ok(Bytes::new()),
        }
    }
}
