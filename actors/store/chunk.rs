//! The rows of one table in one span of row time.

use super::split::Part;
use crate::runtime::canary;
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::{Field, Schema};
use arrow::error::ArrowError;
use protocols::messages::store::{ChunkView, SortedRows};
use protocols::snapshot::Stamps;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Identity of the next chunk of any shard. It lives as long as the process and not as long as a
/// shard: a sorted form made of a chunk before its shard was rebuilt must fit none afterwards.
static NEXT_CHUNK_ID: AtomicU64 = AtomicU64::new(1);

/// So many neighbouring small batches become one, so that a writer of single rows does not leave
/// a batch with its overhead (a few KiB) for each of them.
const GATHER_BATCHES: usize = 16;
/// Batches above this many rows are left as they are: their overhead is small.
const GATHER_ROWS_MAX: usize = 4096;
/// So are those of long texts: copying them costs more than their overhead does, and a column of
/// one batch cannot hold 2 GiB of text.
const GATHER_BYTES_MAX: usize = 1024 * 1024;

/// A query that has not handed anything back while so many batches arrived is not going to.
const SEEN_BATCHES_MAX: usize = 4096;

/// A batch, and how many batches had arrived in this chunk when its last row did.
struct Arrived {
    rows: RecordBatch,
    arrived_batches: usize,
    bytes: usize,
}

impl Arrived {
    fn new(rows: RecordBatch, arrived_batches: usize) -> Self {
        let bytes = memory_bytes(&rows);
        Self { rows, arrived_batches, bytes }
    }
}

/// Memory that a batch keeps from being freed: its buffers with all their capacity, and the
/// description of its columns.
fn memory_bytes(rows: &RecordBatch) -> usize {
    // Beside the field itself: its name, the counts of its `Arc`, its place in two lists.
    const FIELD_BYTES: usize = size_of::<Field>() + 64;
    rows.get_array_memory_size() + rows.num_columns() * FIELD_BYTES
}

/// Rows in order of arrival, the oldest of them possibly in sorted form.
pub(super) struct Chunk {
    id: u64,
    sorted: Option<Arc<SortedRows>>,
    /// How many batches, in order of arrival, `sorted` stands for.
    sorted_batches: usize,
    /// The later ones.
    unsorted: Vec<Arrived>,
    arrived_batches: usize,
    /// What a query that may hand back a sorted form has seen. Batches are not gathered across
    /// this boundary, or that form would fit nowhere.
    seen_batches: Option<usize>,
    min_time_ns: i64,
    max_time_ns: i64,
    /// The stretch of writes that the rows come from: an empty one while there are none.
    order: Stamps,
    bytes: usize,
    /// True once rows were divided behind it: it takes no more.
    is_closed: bool,
}

impl Chunk {
    pub(super) fn new() -> Self {
        Self {
            id: NEXT_CHUNK_ID.fetch_add(1, Ordering::Relaxed),
            sorted: None,
            sorted_batches: 0,
            unsorted: Vec::new(),
            arrived_batches: 0,
            seen_batches: None,
            min_time_ns: i64::MAX,
            max_time_ns: i64::MIN,
            order: Stamps { lo: i64::MAX, hi: i64::MIN },
            bytes: 0,
            is_closed: false,
        }
    }

    /// Has it take no more rows.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Adds rows of the group with that stamp.
    pub(super) fn push(&mut self, part: Part, stamp: i64) {
        let Part { rows, min_time_ns, max_time_ns, .. } = part;
        self.min_time_ns = self.min_time_ns.min(min_time_ns);
        self.max_time_ns = self.max_time_ns.max(max_time_ns);
        self.order = self.order.to(Stamps::at(stamp));
        self.arrived_batches += 1;
        let arrived = Arrived::new(rows, self.arrived_batches);
        self.bytes += arrived.bytes;
        self.unsorted.push(arrived);
        self.gather();
    }

    /// Makes one batch of the last ones while they are many and of the same order of size, so
    /// that each row is copied only a few times over its life.
    fn gather(&mut self) {
        if self.seen_batches.is_some_and(|seen| self.arrived_batches - seen > SEEN_BATCHES_MAX) {
            self.seen_batches = None;
        }
        let seen = self.seen_batches.unwrap_or(0);
        let mut rows_max = GATHER_BATCHES;
        while rows_max <= GATHER_ROWS_MAX {
            let from = self.unsorted.len().saturating_sub(GATHER_BATCHES);
            if self.unsorted[from].arrived_batches <= seen {
                return;
            }
            let last = &self.unsorted[from..];
            let is_large =
                |b: &Arrived| b.rows.num_rows() >= rows_max || b.bytes >= GATHER_BYTES_MAX;
            if last.len() < GATHER_BATCHES || last.iter().any(is_large) {
                rows_max *= GATHER_BATCHES;
                continue;
            }
            let before: usize = last.iter().map(|b| b.bytes).sum();
            let rows = match concat(last.iter().map(|b| &b.rows)) {
                Ok(rows) => rows,
                // Many are as good as one.
                Err(error) => return tracing::warn!(%error, "batches stay as they are"),
            };
            let gathered = Arrived::new(rows, self.arrived_batches);
            self.bytes = (self.bytes + gathered.bytes).saturating_sub(before);
            self.unsorted.truncate(from);
            self.unsorted.push(gathered);
        }
    }

    /// Replaces the first `sorted_batches` batches by their sorted form. Does nothing when a
    /// better one is there already, or when the batches were gathered across that boundary since.
    pub(super) fn keep_sorted(&mut self, sorted_batches: usize, sorted: Arc<SortedRows>) {
        self.seen_batches = None;
        let boundary = self.unsorted.iter().position(|b| b.arrived_batches == sorted_batches);
        if let Some(last) = boundary {
            let too_far = canary::is("sorted-form-too-far") && last + 1 < self.unsorted.len();
            self.unsorted.drain(..=last + usize::from(too_far));
            self.sorted_batches = sorted_batches;
            self.bytes = memory_bytes(&sorted.rows)
                + sorted.series_starts.capacity() * size_of::<u32>()
                + self.unsorted.iter().map(|b| b.bytes).sum::<usize>();
            self.sorted = Some(sorted);
        }
    }

    /// Takes over the rows of a chunk of the same time that came later.
    pub(super) fn absorb(&mut self, later: Self) {
        self.id = NEXT_CHUNK_ID.fetch_add(1, Ordering::Relaxed);
        self.seen_batches = None;
        let before = self.arrived_batches;
        let sorted = later.sorted.iter().map(|s| (s.rows.clone(), later.sorted_batches));
        let unsorted = later.unsorted.into_iter().map(|a| (a.rows, a.arrived_batches));
        for (rows, arrived_batches) in sorted.chain(unsorted) {
            let arrived = Arrived::new(rows, before + arrived_batches);
            self.bytes += arrived.bytes;
            self.unsorted.push(arrived);
        }
        self.arrived_batches = before + later.arrived_batches;
        self.min_time_ns = self.min_time_ns.min(later.min_time_ns);
        self.max_time_ns = self.max_time_ns.max(later.max_time_ns);
        self.order = self.order.to(later.order);
        self.is_closed = later.is_closed;
    }

    pub(super) fn view(&mut self, (chunk_time_ns, division): (i64, u32)) -> ChunkView {
        self.seen_batches.get_or_insert(self.arrived_batches);
        ChunkView {
            chunk_id: self.id,
            chunk_time_ns,
            division,
            sorted: self.sorted.clone(),
            sorted_batches: self.sorted_batches,
            unsorted: self.unsorted.iter().map(|b| b.rows.clone()).collect(),
            arrived_batches: self.arrived_batches,
            min_time_ns: self.min_time_ns,
            max_time_ns: self.max_time_ns,
            order: self.order,
        }
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Whether a row may lie between these instants, both included.
    pub(super) fn overlaps(&self, min_time_ns: i64, max_time_ns: i64) -> bool {
        self.max_time_ns >= min_time_ns && self.min_time_ns <= max_time_ns
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.bytes
    }
}

/// One batch of all rows in order, with every column that any of them has; `time` stays last.
fn concat<'a>(
    batches: impl Iterator<Item = &'a RecordBatch> + Clone,
) -> Result<RecordBatch, ArrowError> {
    let mut fields: Vec<Arc<Field>> = Vec::new();
    for batch in batches.clone() {
        let schema = batch.schema_ref();
        // The last field is `time`, which every batch has.
        for field in schema.fields().iter().take(schema.fields().len() - 1) {
            if !fields.iter().any(|f| f.name() == field.name()) {
                fields.push(Arc::clone(field));
            }
        }
    }
    if let Some(time) = batches.clone().next().and_then(|b| b.schema_ref().fields().last().cloned())
    {
        fields.push(time);
    }
    let schema = Arc::new(Schema::new(fields));
    let aligned: Result<Vec<_>, _> = batches.map(|batch| align(batch, &schema)).collect();
    concat_batches(&schema, &aligned?)
}

fn align(batch: &RecordBatch, schema: &Arc<Schema>) -> Result<RecordBatch, ArrowError> {
    let columns = schema.fields().iter().map(|field| match batch.column_by_name(field.name()) {
        Some(column) => Arc::clone(column),
        None => arrow::array::new_null_array(field.data_type(), batch.num_rows()),
    });
    RecordBatch::try_new(Arc::clone(schema), columns.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{StringArray, TimestampNanosecondArray};
    use arrow::datatypes::DataType;
    use protocols::schema::time_field;

    fn batch(text: &str) -> RecordBatch {
        let fields = vec![Field::new("s", DataType::Utf8, true), time_field()];
        let texts = StringArray::from(vec![text]);
        let times = TimestampNanosecondArray::from(vec![1]);
        let columns = vec![Arc::new(texts) as _, Arc::new(times) as _];
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
    }

    #[test]
    fn batches_of_long_texts_are_not_gathered() {
        let long = "x".repeat(GATHER_BYTES_MAX);
        for (text, batches) in [(long.as_str(), 2 * GATHER_BATCHES), ("short", 2)] {
            let mut chunk = Chunk::new();
            for _ in 0..2 * GATHER_BATCHES {
                let part =
                    Part { chunk_time_ns: 0, rows: batch(text), min_time_ns: 1, max_time_ns: 1 };
                chunk.push(part, 1);
            }
            let view = chunk.view((0, 0));
            assert_eq!(view.unsorted.len(), batches);
            let rows: usize = view.unsorted.iter().map(RecordBatch::num_rows).sum();
            assert_eq!(rows, 2 * GATHER_BATCHES);
        }
    }
}
