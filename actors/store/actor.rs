//! The actor: one shard's tables, and which shard a table belongs to.

use super::chunk::{Chunk, chunk_time};
use crate::runtime::actor::{Cx, Receive, Service};
use crate::runtime::mailbox::{Mailbox, Responder};
use arrow::array::{AsArray, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::TimestampNanosecondType;
use hashbrown::{HashMap, HashSet};
use metrics::Gauge;
use protocols::ids::TableId;
use protocols::messages::rank;
use protocols::messages::store::{
    ApplyRows, DropTables, KeepSorted, TableBatch, TableView, ViewTable,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// See the module's page.
pub struct Store {
    gen1_duration_ns: i64,
    tables: HashMap<TableId, BTreeMap<i64, Chunk>>,
    dropped: HashSet<TableId>,
    applied_sequence: u64,
    buffered_bytes: usize,
    bytes_gauge: Gauge,
}

impl Store {
    /// An empty shard. `shard` is its number, for the metrics; chunks are `gen1_duration_ns` wide.
    /// Rows of the tables `dropped` are not taken.
    pub fn new(shard: usize, gen1_duration_ns: i64, dropped: Vec<TableId>) -> Self {
        let bytes_gauge =
            metrics::gauge!("store_buffer_bytes", "actor" => format!("store-{shard}"));
        bytes_gauge.set(0.0);
        Self {
            gen1_duration_ns,
            tables: HashMap::new(),
            dropped: dropped.into_iter().collect(),
            applied_sequence: 0,
            buffered_bytes: 0,
            bytes_gauge,
        }
    }

    /// Takes the rows of one WAL group, unless it was taken before.
    pub fn apply(&mut self, group: ApplyRows) {
        if group.sequence <= self.applied_sequence {
            return;
        }
        self.applied_sequence = group.sequence;
        for batch in group.batches {
            if !self.dropped.contains(&batch.table) && batch.rows.num_rows() > 0 {
                self.buffer(batch);
            }
        }
        self.bytes_gauge.set(self.buffered_bytes as f64);
    }

    fn buffer(&mut self, batch: TableBatch) {
        let chunks = self.tables.entry(batch.table).or_default();
        let first = chunk_time(batch.min_time_ns, self.gen1_duration_ns);
        let parts = if first == chunk_time(batch.max_time_ns, self.gen1_duration_ns) {
            vec![(first, batch.rows, batch.min_time_ns, batch.max_time_ns)]
        } else {
            split(&batch.rows, self.gen1_duration_ns)
        };
        for (time, rows, min_time_ns, max_time_ns) in parts {
            let chunk = chunks.entry(time).or_insert_with(Chunk::new);
            let before = chunk.size_bytes();
            chunk.push(rows, min_time_ns, max_time_ns);
            self.buffered_bytes = (self.buffered_bytes + chunk.size_bytes()).saturating_sub(before);
        }
    }

    /// Keeps the sorted form that a query made, in the place of the rows it was made from.
    pub fn keep_sorted(&mut self, kept: KeepSorted) {
        let chunks = self.tables.get_mut(&kept.table);
        let Some(chunk) = chunks.and_then(|c| c.get_mut(&kept.chunk_time_ns)) else { return };
        let before = chunk.size_bytes();
        chunk.keep_sorted(kept.sorted_batches, kept.sorted);
        self.buffered_bytes = (self.buffered_bytes + chunk.size_bytes()).saturating_sub(before);
        self.bytes_gauge.set(self.buffered_bytes as f64);
    }

    /// Everything a query needs of one table.
    pub fn view(&mut self, question: &ViewTable) -> TableView {
        let Some(chunks) = self.tables.get_mut(&question.table) else {
            return TableView::default();
        };
        let overlaps = |chunk: &Chunk| {
            chunk.max_time_ns() >= question.min_time_ns
                && chunk.min_time_ns() <= question.max_time_ns
        };
        TableView {
            chunks: chunks
                .iter_mut()
                .filter(|(_, chunk)| overlaps(chunk))
                .map(|(time, chunk)| chunk.view(*time))
                .collect(),
        }
    }
}

/// Splits rows by the chunk they belong to: chunk time, rows, smallest and largest time.
fn split(rows: &RecordBatch, gen1_duration_ns: i64) -> Vec<(i64, RecordBatch, i64, i64)> {
    let times = rows.column(rows.num_columns() - 1).as_primitive::<TimestampNanosecondType>();
    let mut parts: BTreeMap<i64, (Vec<u32>, i64, i64)> = BTreeMap::new();
    for (row, time) in times.values().iter().enumerate() {
        let part = parts
            .entry(chunk_time(*time, gen1_duration_ns))
            .or_insert_with(|| (Vec::new(), i64::MAX, i64::MIN));
        part.0.push(row as u32);
        part.1 = part.1.min(*time);
        part.2 = part.2.max(*time);
    }
    parts
        .into_iter()
        .map(|(time, (indices, min, max))| {
            let part = take_record_batch(rows, &UInt32Array::from(indices))
                .expect("the indices are row numbers of the batch");
            (time, part, min, max)
        })
        .collect()
}

impl Service for Store {
    const RANK: u8 = rank::STORE;
}

impl Receive<ApplyRows> for Store {
    fn receive(&mut self, group: ApplyRows, reply: Responder<ApplyRows>, _: &mut Cx<'_, Self>) {
        self.apply(group);
        reply.answer(self.buffered_bytes);
    }
}

impl Receive<ViewTable> for Store {
    fn receive(&mut self, ask: ViewTable, reply: Responder<ViewTable>, _: &mut Cx<'_, Self>) {
        reply.answer(self.view(&ask));
    }
}

impl Receive<KeepSorted> for Store {
    fn receive(&mut self, kept: KeepSorted, reply: Responder<KeepSorted>, _: &mut Cx<'_, Self>) {
        self.keep_sorted(kept);
        reply.answer(());
    }
}

impl Receive<DropTables> for Store {
    fn receive(&mut self, drop: DropTables, reply: Responder<DropTables>, _: &mut Cx<'_, Self>) {
        for table in drop.tables {
            if let Some(chunks) = self.tables.remove(&table) {
                let bytes: usize = chunks.values().map(Chunk::size_bytes).sum();
                self.buffered_bytes = self.buffered_bytes.saturating_sub(bytes);
            }
            self.dropped.insert(table);
        }
        self.bytes_gauge.set(self.buffered_bytes as f64);
        reply.answer(());
    }
}

/// The shards of the store, and which of them holds a table.
#[derive(Clone, Debug)]
pub struct StoreShards(Arc<[Mailbox<Store>]>);

impl StoreShards {
    /// All shards, in order.
    pub fn new(shards: Vec<Mailbox<Store>>) -> Self {
        assert!(!shards.is_empty(), "there is at least one shard");
        Self(shards.into())
    }

    /// Number of the shard that holds the table.
    pub fn index_of(&self, table: TableId) -> usize {
        shard_index(table, self.0.len())
    }

    /// The shard that holds the table.
    pub fn shard_of(&self, table: TableId) -> &Mailbox<Store> {
        &self.0[self.index_of(table)]
    }

    /// All shards, in order.
    pub fn all(&self) -> &[Mailbox<Store>] {
        &self.0
    }
}

/// Which of `shards` shards holds the table.
pub fn shard_index(table: TableId, shards: usize) -> usize {
    table.0 as usize % shards
}
