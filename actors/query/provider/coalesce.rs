//! Joining short batches.
//!
//! A series has few rows in a chunk. What stands above a scan takes about as long for a batch of
//! few rows as for one of a thousand.

use super::selection::ROWS_PER_SLICE_MIN;
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, Int32Builder, RecordBatch, StringArray,
};
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::{Int32Type, SchemaRef};
use datafusion::error::Result;
use futures::{Stream, TryStreamExt, stream};
use std::sync::Arc;

/// Limit: bytes of texts that are copied into one batch.
const TEXT_BYTES_MAX: usize = 1024 * 1024;

/// `batches` with neighbours joined that are short and cheap to join. The order of rows stays.
pub(super) fn join_short(
    batches: impl Stream<Item = Result<RecordBatch>> + Unpin,
    schema: SchemaRef,
    batch_rows: usize,
) -> impl Stream<Item = Result<RecordBatch>> {
    let joining =
        Joining { schema, batch_rows, held: Vec::new(), rows: 0, text_bytes: 0, next: None };
    stream::try_unfold((batches, joining, false), |(mut batches, mut joining, ended)| async move {
        if let Some(batch) = joining.next.take() {
            return Ok(Some((batch, (batches, joining, ended))));
        }
        if ended {
            return Ok(None);
        }
        loop {
            let Some(batch) = batches.try_next().await? else {
                let last = joining.flush()?;
                return Ok(last.map(|last| (last, (batches, joining, true))));
            };
            if let Some(ready) = joining.push(batch)? {
                return Ok(Some((ready, (batches, joining, false))));
            }
        }
    })
}

/// Short batches that wait for their neighbours.
struct Joining {
    schema: SchemaRef,
    batch_rows: usize,
    held: Vec<RecordBatch>,
    rows: usize,
    text_bytes: usize,
    /// Comes after what was held.
    next: Option<RecordBatch>,
}

impl Joining {
    /// Takes a batch; what is to be handed on now.
    fn push(&mut self, batch: RecordBatch) -> Result<Option<RecordBatch>> {
        let text_bytes = text_bytes(&batch);
        if text_bytes > TEXT_BYTES_MAX || !is_joinable(&batch) {
            let before = self.flush()?;
            return Ok(match before {
                Some(before) => {
                    self.next = Some(batch);
                    Some(before)
                }
                None => Some(batch),
            });
        }
        let is_full = self.rows + batch.num_rows() > self.batch_rows
            || self.text_bytes + text_bytes > TEXT_BYTES_MAX;
        let ready = if is_full { self.flush()? } else { None };
        self.rows += batch.num_rows();
        self.text_bytes += text_bytes;
        self.held.push(batch);
        // Nobody waits for more than a batch.
        if ready.is_none() && self.rows >= self.batch_rows { self.flush() } else { Ok(ready) }
    }

    /// What is held as one batch.
    fn flush(&mut self) -> Result<Option<RecordBatch>> {
        (self.rows, self.text_bytes) = (0, 0);
        let held = std::mem::take(&mut self.held);
        if held.len() <= 1 {
            return Ok(held.into_iter().next());
        }
        let columns = (0..self.schema.fields().len()).map(|at| {
            let parts: Vec<&dyn Array> = held.iter().map(|b| b.column(at).as_ref()).collect();
            match joined_tags(&parts) {
                Some(tags) => Ok(tags),
                None => concat(&parts),
            }
        });
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        Ok(Some(RecordBatch::try_new(Arc::clone(&self.schema), columns)?))
    }
}

/// True for a short batch in which each tag has one value: dictionaries of several would have to be
/// merged.
fn is_joinable(batch: &RecordBatch) -> bool {
    let has_one = |column: &ArrayRef| match column.as_dictionary_opt::<Int32Type>() {
        Some(tags) => tags.null_count() == tags.len() || the_one(tags).is_some(),
        None => true,
    };
    batch.num_rows() < ROWS_PER_SLICE_MIN && batch.columns().iter().all(has_one)
}

/// Bytes of the texts that are no tags.
fn text_bytes(batch: &RecordBatch) -> usize {
    let of_column = |column: &ArrayRef| {
        let texts = column.as_string_opt::<i32>()?;
        let offsets = texts.value_offsets();
        usize::try_from(offsets.last()? - offsets.first()?).ok()
    };
    batch.columns().iter().filter_map(of_column).sum()
}

/// The value of all rows, if the dictionary has no other.
fn the_one(tags: &DictionaryArray<Int32Type>) -> Option<&str> {
    let values = tags.values().as_string_opt::<i32>()?;
    let is_one = values.len() == 1 && values.is_valid(0) && tags.null_count() == 0;
    is_one.then(|| values.value(0))
}

/// Tags with one value or none in each part; `None` if they are something else.
fn joined_tags(parts: &[&dyn Array]) -> Option<ArrayRef> {
    let rows = parts.iter().map(|part| part.len()).sum();
    let (mut keys, mut values) = (Int32Builder::with_capacity(rows), Vec::<&str>::new());
    for part in parts {
        let tags = part.as_dictionary_opt::<Int32Type>()?;
        match the_one(tags) {
            Some(value) => {
                let known = values.iter().position(|known| *known == value);
                let key = known.unwrap_or(values.len());
                if known.is_none() {
                    values.push(value);
                }
                keys.append_value_n(i32::try_from(key).ok()?, tags.len());
            }
            None if tags.null_count() == tags.len() => keys.append_nulls(tags.len()),
            None => return None,
        }
    }
    let values = Arc::new(StringArray::from(values));
    Some(Arc::new(DictionaryArray::try_new(keys.finish(), values).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::Int64Array;
    use datafusion::arrow::compute::concat_batches;
    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use futures::executor::block_on;

    fn schema() -> SchemaRef {
        let tag = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let fields = vec![
            Field::new("tag", tag, true),
            Field::new("s", DataType::Utf8, true),
            Field::new("n", DataType::Int64, true),
        ];
        Arc::new(Schema::new(fields))
    }

    fn batch(tags: &[Option<&str>], from: i64) -> RecordBatch {
        let numbers = Int64Array::from_iter_values(from..from + tags.len() as i64);
        let texts = StringArray::from_iter_values(numbers.values().iter().map(i64::to_string));
        let tags: DictionaryArray<Int32Type> = tags.iter().copied().collect();
        let columns: Vec<ArrayRef> = vec![Arc::new(tags), Arc::new(texts), Arc::new(numbers)];
        RecordBatch::try_new(schema(), columns).unwrap()
    }

    fn joined(batches: &[RecordBatch], batch_rows: usize) -> Vec<RecordBatch> {
        let batches = stream::iter(batches.iter().cloned().map(Ok));
        block_on(join_short(batches, schema(), batch_rows).try_collect()).unwrap()
    }

    #[test]
    fn short_batches_with_one_value_of_each_tag_become_one() {
        let parts = [
            batch(&[Some("a"); 3], 0),
            batch(&[Some("b"); 2], 3),
            batch(&[None; 2], 5),
            batch(&[Some("a"); 1], 7),
        ];
        let whole = joined(&parts, 100);
        assert_eq!(whole.len(), 1);
        assert_eq!(whole[0], concat_batches(&schema(), &parts).unwrap());
        let in_fours: Vec<usize> = joined(&parts, 4).iter().map(RecordBatch::num_rows).collect();
        assert_eq!(in_fours, [3, 4, 1]);
    }

    #[test]
    fn what_cannot_be_joined_comes_in_its_place() {
        let several = batch(&[Some("a"), Some("b")], 2);
        let long = batch(&[Some("a"); ROWS_PER_SLICE_MIN], 4);
        let parts = [
            batch(&[Some("a")], 0),
            batch(&[Some("a")], 1),
            several.clone(),
            long.clone(),
            batch(&[Some("c")], 600),
        ];
        let found = joined(&parts, 1000);
        assert_eq!(found.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [2, 2, 512, 1]);
        assert_eq!((&found[1], &found[2]), (&several, &long));
        assert!(joined(&[], 10).is_empty());
    }
}
