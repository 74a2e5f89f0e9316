//! One table of a shard: its buffered chunks, those that a snapshot froze, and its files.

use super::chunk::Chunk;
use super::files::TableFiles;
use super::split::{Part, split};
use crate::runtime::canary;
use protocols::ids::DbId;
use protocols::messages::store::{ChunkView, KeepSorted, TableBatch, TableView, ViewTable};
use protocols::row_deletes::RowCut;
use protocols::snapshot::chunk_time;
use std::collections::{BTreeMap, BTreeSet};

/// Chunks by the start of their time, and those of one time in the order of writes.
type Chunks = BTreeMap<(i64, u32), Chunk>;

/// How many bytes of rows are held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RowBytes {
    /// In chunks that take rows.
    pub(super) live_bytes: usize,
    /// In chunks that wait to be written.
    pub(super) frozen_bytes: usize,
}

impl RowBytes {
    /// Counts a part of the whole anew.
    pub(super) fn replace(&mut self, before: Self, after: Self) {
        self.live_bytes = (self.live_bytes + after.live_bytes).saturating_sub(before.live_bytes);
        self.frozen_bytes =
            (self.frozen_bytes + after.frozen_bytes).saturating_sub(before.frozen_bytes);
    }
}

impl std::iter::Sum for RowBytes {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        let mut sum = Self::default();
        parts.for_each(|part| sum.replace(Self::default(), part));
        sum
    }
}

/// See the module's page.
pub(super) struct Table {
    pub(super) db: DbId,
    pub(super) files: TableFiles,
    /// Chunks that take rows.
    live: Chunks,
    /// Chunks of the running snapshot that are not in files yet: older than the live ones.
    frozen: Chunks,
    held: RowBytes,
}

impl Table {
    pub(super) fn new(db: DbId) -> Self {
        let (live, frozen) = (Chunks::new(), Chunks::new());
        Self { db, files: TableFiles::default(), live, frozen, held: RowBytes::default() }
    }

    pub(super) fn held(&self) -> RowBytes {
        self.held
    }

    /// Puts rows of the group with that stamp into the chunks of their time.
    pub(super) fn buffer(&mut self, batch: TableBatch, stamp: i64, gen1_duration_ns: i64) {
        let TableBatch { rows, min_time_ns, max_time_ns, .. } = batch;
        let chunk_time_ns = chunk_time(min_time_ns, gen1_duration_ns);
        let parts = if chunk_time_ns == chunk_time(max_time_ns, gen1_duration_ns) {
            vec![Part { chunk_time_ns, rows, min_time_ns, max_time_ns }]
        } else {
            split(&rows, gen1_duration_ns)
        };
        for part in parts {
            let place = open_place(&self.live, part.chunk_time_ns);
            let chunk = self.live.entry(place).or_insert_with(Chunk::new);
            let before = chunk.size_bytes();
            chunk.push(part, stamp);
            let held = &mut self.held.live_bytes;
            *held = (*held + chunk.size_bytes()).saturating_sub(before);
        }
    }

    /// Divides the rows of such times from later ones.
    pub(super) fn divide(&mut self, cut: &RowCut, gen1_duration_ns: i64) {
        if canary::is("cut-divides-nothing") {
            return;
        }
        let first = chunk_time(cut.min_time_ns, gen1_duration_ns);
        let concerned = |chunks: &Chunks| {
            let found = chunks.range((first, 0)..=(cut.max_time_ns, u32::MAX));
            found.map(|((time, _), _)| *time).collect::<BTreeSet<i64>>()
        };
        let live = concerned(&self.live);
        // Where no row came since, it matters when a frozen chunk takes rows again.
        let frozen: BTreeSet<i64> = concerned(&self.frozen).difference(&live).copied().collect();
        for (chunks, times) in [(&mut self.live, live), (&mut self.frozen, frozen)] {
            for time in times {
                let last = chunks.range_mut((time, 0)..=(time, u32::MAX)).next_back();
                last.into_iter().for_each(|(_, chunk)| chunk.close());
            }
        }
    }

    /// Keeps the sorted form that a query made, in the place of the rows it was made from. The
    /// chunk may be frozen by now, or gone, or another one of the same time.
    pub(super) fn keep_sorted(&mut self, kept: KeepSorted) {
        let KeepSorted { chunk_id, chunk_time_ns, sorted_batches, sorted, .. } = kept;
        let places = [
            (&mut self.live, &mut self.held.live_bytes),
            (&mut self.frozen, &mut self.held.frozen_bytes),
        ];
        for (chunks, held) in places {
            let of_time = chunks.range_mut((chunk_time_ns, 0)..=(chunk_time_ns, u32::MAX));
            let chunk = of_time.map(|(_, chunk)| chunk).find(|chunk| chunk.id() == chunk_id);
            if let Some(chunk) = chunk {
                let before = chunk.size_bytes();
                chunk.keep_sorted(sorted_batches, sorted);
                *held = (*held + chunk.size_bytes()).saturating_sub(before);
                return;
            }
        }
    }

    /// Everything that a query needs of the time range.
    pub(super) fn view(&mut self, question: &ViewTable, gen1_duration_ns: i64) -> TableView {
        let ViewTable { min_time_ns, max_time_ns, .. } = *question;
        if min_time_ns > max_time_ns {
            return TableView::default();
        }
        let first = chunk_time(min_time_ns, gen1_duration_ns);
        let times = (first, 0)..=(max_time_ns, u32::MAX);
        let mut chunks: Vec<ChunkView> = self
            .frozen
            .range_mut(times.clone())
            .chain(self.live.range_mut(times))
            .filter(|(_, chunk)| chunk.overlaps(min_time_ns, max_time_ns))
            .map(|(place, chunk)| chunk.view(*place))
            .collect();
        // The sort is stable: frozen chunks stay before the live ones of their time.
        chunks.sort_by_key(|chunk| chunk.chunk_time_ns);
        let files = self.files.overlapping(min_time_ns, max_time_ns);
        TableView { chunks, files, pin: None }
    }

    /// Forgets the live chunks that begin before `end_time_ns`.
    pub(super) fn drop_before(&mut self, end_time_ns: i64) {
        let dropped = self.cut(end_time_ns);
        self.held.live_bytes = self.held.live_bytes.saturating_sub(size_bytes(&dropped));
    }

    /// Freezes the live chunks that begin before `end_time_ns`.
    pub(super) fn freeze_before(&mut self, end_time_ns: i64) {
        assert!(self.frozen.is_empty(), "a snapshot begins after the one before it has ended");
        self.frozen = self.cut(end_time_ns);
        let bytes = size_bytes(&self.frozen);
        self.held.live_bytes = self.held.live_bytes.saturating_sub(bytes);
        self.held.frozen_bytes = bytes;
    }

    /// Makes frozen chunks take rows again.
    pub(super) fn thaw(&mut self) {
        let live = std::mem::take(&mut self.live);
        let mut chunks: BTreeMap<i64, Vec<Chunk>> = BTreeMap::new();
        for ((time, _), chunk) in std::mem::take(&mut self.frozen).into_iter().chain(live) {
            let of_time = chunks.entry(time).or_default();
            match of_time.last_mut().filter(|last| !last.is_closed()) {
                Some(last) => last.absorb(chunk),
                None => of_time.push(chunk),
            }
        }
        for (time, of_time) in chunks {
            self.live.extend((0..).map(|division| (time, division)).zip(of_time));
        }
        self.held = RowBytes { live_bytes: size_bytes(&self.live), frozen_bytes: 0 };
    }

    fn cut(&mut self, end_time_ns: i64) -> Chunks {
        let later = self.live.split_off(&(end_time_ns, 0));
        std::mem::replace(&mut self.live, later)
    }

    pub(super) fn frozen_chunks(&mut self) -> Vec<ChunkView> {
        self.frozen.iter_mut().map(|(place, chunk)| chunk.view(*place)).collect()
    }

    /// Forgets a frozen chunk. False when there is none.
    pub(super) fn drop_frozen_chunk(&mut self, chunk_time_ns: i64, division: u32) -> bool {
        let Some(chunk) = self.frozen.remove(&(chunk_time_ns, division)) else { return false };
        self.held.frozen_bytes = self.held.frozen_bytes.saturating_sub(chunk.size_bytes());
        true
    }

    /// Forgets all frozen chunks.
    pub(super) fn drop_frozen(&mut self) {
        self.frozen.clear();
        self.held.frozen_bytes = 0;
    }
}

/// Where the chunk is that takes rows of this time, or will be.
fn open_place(chunks: &Chunks, chunk_time_ns: i64) -> (i64, u32) {
    let last = chunks.range((chunk_time_ns, 0)..=(chunk_time_ns, u32::MAX)).next_back();
    match last {
        Some(((_, division), chunk)) if chunk.is_closed() => (chunk_time_ns, division + 1),
        Some((place, _)) => *place,
        None => (chunk_time_ns, 0),
    }
}

fn size_bytes(chunks: &Chunks) -> usize {
    chunks.values().map(Chunk::size_bytes).sum()
}
