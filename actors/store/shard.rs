//! What the actor owns: one shard's tables, and how far the log and the snapshots are applied.

use super::files::{ShardFiles, by_table};
use super::pins::{Epochs, Pins};
use super::table::{RowBytes, Table};
use crate::runtime::canary;
use hashbrown::{HashMap, HashSet};
use metrics::Gauge;
use protocols::ids::TableId;
use protocols::messages::store::{
    ApplyRows, DropTables, EndSnapshot, Frozen, FrozenChunk, KeepSorted, RemoveFiles, SwapChunk,
    SwapFiles, TableView, ViewTable,
};
use protocols::snapshot::{ParquetFile, PlacedMark};
use std::sync::Arc;

/// See the module's page.
pub struct Shard {
    gen1_duration_ns: i64,
    tables: HashMap<TableId, Table>,
    dropped: HashSet<TableId>,
    applied_sequence: u64,
    held: RowBytes,
    /// How many files all tables have.
    files: usize,
    running: Option<Running>,
    /// Number of the last durable snapshot.
    durable_number: u64,
    /// Durable snapshots whose marks may still come.
    durable: HashSet<PlacedMark>,
    pins: Pins,
    gauges: Gauges,
}

/// A snapshot whose chunks are frozen.
struct Running {
    placed: PlacedMark,
    /// Files that took the place of chunks.
    swapped: Vec<Arc<ParquetFile>>,
}

struct Gauges {
    buffer_bytes: Gauge,
    frozen_bytes: Gauge,
    files: Gauge,
}

impl Shard {
    /// A shard without rows. `shard` is its number, for the metrics; chunks are
    /// `gen1_duration_ns` wide. Rows of the tables `dropped` are not taken, and `files` is what
    /// the durable index says.
    pub fn new(
        shard: usize,
        gen1_duration_ns: i64,
        dropped: Vec<TableId>,
        files: ShardFiles,
    ) -> Self {
        let name = format!("store-{shard}");
        let gauges = Gauges {
            buffer_bytes: metrics::gauge!("store_buffer_bytes", "actor" => name.clone()),
            frozen_bytes: metrics::gauge!("store_frozen_bytes", "actor" => name.clone()),
            files: metrics::gauge!("store_files", "actor" => name),
        };
        let mut tables = Self {
            gen1_duration_ns,
            tables: HashMap::new(),
            dropped: dropped.into_iter().collect(),
            applied_sequence: 0,
            held: RowBytes::default(),
            files: 0,
            running: None,
            durable_number: files.snapshots.iter().map(|s| s.mark.number).max().unwrap_or(0),
            durable: files.snapshots.into_iter().collect(),
            pins: Epochs::new().begin(),
            gauges,
        };
        tables.add_files(&files.files);
        tables.measure();
        tables
    }

    /// The same after a former life, whose views may still be held.
    #[must_use]
    pub fn with_epochs(self, epochs: &Epochs) -> Self {
        Self { pins: epochs.begin(), ..self }
    }

    /// Takes the rows of one WAL group and then its mark, unless it was taken before.
    pub fn apply(&mut self, group: ApplyRows) {
        if group.sequence <= self.applied_sequence {
            return;
        }
        self.applied_sequence = group.sequence;
        for batch in group.batches {
            if !self.dropped.contains(&batch.table) && batch.rows.num_rows() > 0 {
                let gen1_duration_ns = self.gen1_duration_ns;
                let table = self.tables.entry(batch.table).or_insert_with(|| Table::new(batch.db));
                let before = table.held();
                table.buffer(batch, group.stamp, gen1_duration_ns);
                self.held.replace(before, table.held());
            }
        }
        for cut in group.cuts {
            if let Some(table) = self.tables.get_mut(&cut.table) {
                table.divide(&cut, self.gen1_duration_ns);
            }
        }
        if let Some(mark) = group.mark {
            let (sequence, stamp) = (group.sequence, group.stamp);
            self.begin_snapshot(PlacedMark { mark, sequence, stamp });
        }
        self.measure();
    }

    /// Does what a mark asks for. See the module's page for the three cases.
    fn begin_snapshot(&mut self, placed: PlacedMark) {
        let end_time_ns = placed.mark.end_time_ns;
        if self.durable.remove(&placed) {
            self.tables.values_mut().for_each(|table| table.drop_before(end_time_ns));
        } else if self.is_next(&placed) && self.nothing_swapped() {
            // When the mark comes again, the writing of the former one had failed.
            self.tables.values_mut().for_each(Table::thaw);
            if !canary::is("mark-freezes-nothing") {
                self.tables.values_mut().for_each(|table| table.freeze_before(end_time_ns));
            }
            self.running = Some(Running { placed, swapped: Vec::new() });
        }
        self.held = self.tables.values().map(Table::held).sum();
    }

    fn nothing_swapped(&self) -> bool {
        self.running.as_ref().is_none_or(|running| running.swapped.is_empty())
    }

    /// Whether the mark follows the last durable snapshot, in number and in the log.
    fn is_next(&self, placed: &PlacedMark) -> bool {
        placed.mark.number == self.durable_number + 1
            && self.durable.iter().all(|durable| durable.sequence < placed.sequence)
    }

    /// Keeps the sorted form that a query made, in the place of the rows it was made from.
    pub fn keep_sorted(&mut self, kept: KeepSorted) {
        let Some(table) = self.tables.get_mut(&kept.table) else { return };
        let before = table.held();
        table.keep_sorted(kept);
        self.held.replace(before, table.held());
        self.measure();
    }

    /// Everything a query needs of one table.
    pub fn view(&mut self, question: &ViewTable) -> TableView {
        match self.tables.get_mut(&question.table) {
            Some(table) => {
                let view = table.view(question, self.gen1_duration_ns);
                TableView { pin: Some(self.pins.pin()), ..view }
            }
            None => TableView::default(),
        }
    }

    /// What there is of a snapshot that runs. `None` when its mark has not come: an answer that
    /// looks like "no rows" would then end with the rows in no file.
    pub fn frozen_chunks(&mut self, snapshot: u64) -> Option<Frozen> {
        if snapshot <= self.durable_number {
            return Some(Frozen::default());
        }
        let running = self.running.as_ref().filter(|r| r.placed.mark.number == snapshot)?;
        let swapped = running.swapped.clone();
        let mut chunks = Vec::new();
        for (id, table) in &mut self.tables {
            let frozen = table.frozen_chunks().into_iter();
            chunks.extend(frozen.map(|chunk| FrozenChunk { db: table.db, table: *id, chunk }));
        }
        chunks.sort_by_key(|c| (c.table, c.chunk.chunk_time_ns, c.chunk.division));
        Some(Frozen { chunks, swapped })
    }

    /// Puts files in the place of a frozen chunk. Where there is no such chunk, the files are
    /// there already, or the table was deleted.
    pub fn swap(&mut self, swap: SwapChunk) {
        let running = self.running.as_mut().filter(|r| r.placed.mark.number == swap.snapshot);
        let (Some(running), Some(table)) = (running, self.tables.get_mut(&swap.table)) else {
            return;
        };
        let (before, files_before) = (table.held(), table.files.len());
        let next_chunk = swap.chunk_time_ns + self.gen1_duration_ns;
        let wrong = canary::is("swap-wrong-chunk");
        let chunk_time_ns = if wrong { next_chunk } else { swap.chunk_time_ns };
        if table.drop_frozen_chunk(chunk_time_ns, swap.division) {
            let at_once = !canary::is("swap-in-two-steps");
            swap.files.iter().filter(|_| at_once).for_each(|file| table.files.add(file));
            running.swapped.extend(swap.files);
            self.held.replace(before, table.held());
            self.files += table.files.len() - files_before;
            self.measure();
            self.gauges.files.set(self.files as f64);
        }
    }

    /// Ends a snapshot that the durable index holds.
    pub fn end_snapshot(&mut self, end: &EndSnapshot) {
        let placed = end.snapshot;
        // Numbers rise, so this one ended before. Its files may have been removed since.
        if placed.mark.number <= self.durable_number {
            return;
        }
        if let Some(running) = self.running.take() {
            // Going on would drop rows that are in no file. Rebuilt, the shard is what the log
            // and the index say.
            assert_eq!(running.placed, placed, "the snapshot that ends is the one that runs");
            self.tables.values_mut().for_each(Table::drop_frozen);
        }
        self.durable_number = placed.mark.number;
        if placed.sequence > self.applied_sequence {
            self.durable.insert(placed);
        }
        self.add_files(&end.files);
        self.held = self.tables.values().map(Table::held).sum();
        self.measure();
    }

    fn add_files(&mut self, files: &[Arc<ParquetFile>]) {
        for file in files.iter().filter(|file| !self.dropped.contains(&file.table)) {
            let table = self.tables.entry(file.table).or_insert_with(|| Table::new(file.db));
            table.files.add(file);
        }
        self.measure_files();
    }

    /// Forgets files. Returns the epoch that ends with that.
    pub fn remove_files(&mut self, remove: RemoveFiles) -> u64 {
        for (table, ids) in by_table(remove.files) {
            if let Some(table) = self.tables.get_mut(&table) {
                table.files.remove(&ids);
            }
        }
        self.measure_files();
        self.pins.end_epoch()
    }

    /// Puts files in the place of others. Returns the epoch that ends with that.
    pub fn swap_files(&mut self, swap: SwapFiles) -> u64 {
        if !self.dropped.contains(&swap.table) {
            let table = self.tables.entry(swap.table).or_insert_with(|| Table::new(swap.db));
            table.files.remove(&swap.removed.into_iter().collect());
            swap.added.iter().for_each(|file| table.files.add(file));
            self.measure_files();
        }
        self.pins.end_epoch()
    }

    /// The epoch of the oldest view that somebody may still read from.
    pub fn oldest_epoch(&self) -> u64 {
        self.pins.oldest()
    }

    /// Forgets tables with all that is in them, and what comes for them later.
    pub fn drop_tables(&mut self, drop: DropTables) {
        for table in drop.tables {
            self.tables.remove(&table);
            self.dropped.insert(table);
        }
        self.held = self.tables.values().map(Table::held).sum();
        self.measure();
        self.measure_files();
    }

    /// How many bytes of rows the shard holds, frozen ones included.
    pub fn held_bytes(&self) -> usize {
        self.held.live_bytes + self.held.frozen_bytes
    }

    fn measure(&self) {
        self.gauges.buffer_bytes.set(self.held_bytes() as f64);
        self.gauges.frozen_bytes.set(self.held.frozen_bytes as f64);
    }

    fn measure_files(&mut self) {
        self.files = self.tables.values().map(|table| table.files.len()).sum();
        self.gauges.files.set(self.files as f64);
    }
}
