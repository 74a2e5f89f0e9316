//! Random histories of a shard, of its log and of the snapshots: whatever happens, each row is in
//! exactly one place, and the places are in the order in which the rows were written.

use super::{GEN1, batch, everything, file, group, mark, shown, values, view};
use crate::store::{Shard, ShardFiles};
use proptest::prelude::*;
use protocols::ids::TableId;
use protocols::messages::store::{ApplyRows, ChunkView, EndSnapshot, RemoveFiles, SwapChunk};
use protocols::row_deletes::RowCut;
use protocols::snapshot::{ParquetFile, PlacedMark, SnapshotMark, Stamps};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const TABLE: TableId = TableId(1);

#[derive(Clone, Debug)]
enum Step {
    /// Rows at these times.
    Rows(Vec<i64>),
    /// Rows at these times, and then a cut from the one to the other instant.
    Cut(Vec<i64>, i64, i64),
    /// Rows and the mark of a snapshot, if none runs.
    Mark(Vec<i64>, i64),
    /// Rows and the mark of an attempt that came to nothing: its number was used before, or will
    /// be used again.
    Stray(i64, u64),
    /// One of the frozen chunks becomes a file.
    Swap(usize),
    /// A swap that was made before is asked for again.
    RepeatSwap(usize),
    /// All frozen chunks are written, and the index names them.
    Durable,
    /// The shard is told of that.
    End,
    /// It is told again.
    RepeatEnd,
    /// Groups are sent again, from so many before the last.
    Resend(usize),
    /// The shard dies and is built anew.
    Rebuild,
    /// A durable file is past retention.
    Remove(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let times = || prop::collection::vec(-1200_i64..2400, 1..6);
    let end = || (-2_i64..5).prop_map(|chunk| chunk * GEN1);
    let step = prop_oneof![
        6 => times().prop_map(Step::Rows),
        2 => (times(), -1200_i64..2400, 0_i64..1800)
            .prop_map(|(times, min, width)| Step::Cut(times, min, min + width)),
        4 => (times(), end()).prop_map(|(times, end)| Step::Mark(times, end)),
        1 => (end(), 0_u64..6).prop_map(|(end, number)| Step::Stray(end, number)),
        6 => any::<usize>().prop_map(Step::Swap),
        1 => any::<usize>().prop_map(Step::RepeatSwap),
        2 => Just(Step::Durable),
        3 => Just(Step::End),
        1 => Just(Step::RepeatEnd),
        1 => (1_usize..20).prop_map(Step::Resend),
        2 => Just(Step::Rebuild),
        1 => any::<usize>().prop_map(Step::Remove),
    ];
    prop::collection::vec(step, 1..60)
}

/// A snapshot on its way, as its writer knows it.
struct Running {
    placed: PlacedMark,
    /// By chunk time and division.
    files: BTreeMap<(i64, u32), Arc<ParquetFile>>,
    durable: bool,
}

/// Everything around one shard.
struct World {
    store: Shard,
    log: Vec<ApplyRows>,
    /// Chunk time of each row; its place in the list is its value.
    rows: Vec<i64>,
    /// Stamp of the group of each row.
    stamps: Vec<i64>,
    /// Stamp, and between which instants.
    cuts: Vec<(i64, i64, i64)>,
    removed: BTreeSet<i64>,
    index: ShardFiles,
    contents: BTreeMap<u64, Vec<i64>>,
    running: Option<Running>,
    ended: Option<EndSnapshot>,
}

impl World {
    fn new() -> Self {
        Self {
            store: super::empty(),
            log: Vec::new(),
            rows: Vec::new(),
            stamps: Vec::new(),
            cuts: Vec::new(),
            removed: BTreeSet::new(),
            index: ShardFiles::default(),
            contents: BTreeMap::new(),
            running: None,
            ended: None,
        }
    }

    fn write(&mut self, times: &[i64], mark: Option<SnapshotMark>) -> PlacedMark {
        self.write_and_cut(times, mark, Vec::new())
    }

    fn write_and_cut(
        &mut self,
        times: &[i64],
        mark: Option<SnapshotMark>,
        cuts: Vec<RowCut>,
    ) -> PlacedMark {
        let sequence = self.log.len() as u64 + 1;
        let first = self.rows.len() as i64;
        let rows: Vec<_> = times.iter().copied().zip(first..).collect();
        self.rows.extend(times.iter().map(|time| time.div_euclid(GEN1) * GEN1));
        self.stamps.resize(self.rows.len(), sequence as i64);
        let spans = cuts.iter().map(|cut| (sequence as i64, cut.min_time_ns, cut.max_time_ns));
        self.cuts.extend(spans);
        let group = ApplyRows { mark, cuts, ..group(sequence, batch(&rows)) };
        self.log.push(group.clone());
        self.store.apply(group);
        PlacedMark { mark: mark.unwrap_or(super::mark(0, 0)), sequence, stamp: sequence as i64 }
    }

    fn durable_number(&self) -> u64 {
        self.index.snapshots.last().map_or(0, |s| s.mark.number)
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Rows(times) => drop(self.write(&times, None)),
            Step::Cut(times, min_time_ns, max_time_ns) => {
                let cut = RowCut { table: TABLE, min_time_ns, max_time_ns };
                self.write_and_cut(&times, None, vec![cut]);
            }
            Step::Mark(times, end) if self.running.is_none() => {
                let placed = self.write(&times, Some(mark(self.durable_number() + 1, end)));
                self.running = Some(Running { placed, files: BTreeMap::new(), durable: false });
            }
            Step::Mark(..) => {}
            Step::Stray(end, number) => {
                // While a snapshot runs, its number is not given again.
                let number_max = match &self.running {
                    Some(running) => self.durable_number() - u64::from(running.durable),
                    None => self.durable_number() + 1,
                };
                if number <= number_max {
                    self.write(&[0], Some(mark(number, end)));
                }
            }
            Step::Swap(which) => self.swap(which),
            Step::RepeatSwap(which) => self.repeat_swap(which),
            Step::Durable => self.make_durable(),
            Step::End => self.end(),
            Step::RepeatEnd => self.ended.iter().for_each(|end| self.store.end_snapshot(end)),
            Step::Resend(back) => {
                let from = self.log.len().saturating_sub(back);
                self.log[from..].iter().for_each(|group| self.store.apply(group.clone()));
            }
            Step::Rebuild => self.rebuild(),
            Step::Remove(which) => self.remove(which),
        }
    }

    /// The file of a frozen chunk: the same one however often it is written.
    fn write_file(&mut self, chunk: &ChunkView) -> Arc<ParquetFile> {
        let Some(running) = &mut self.running else { panic!("a snapshot runs") };
        let next_id = self.contents.len() as u64 + 1;
        let new = || {
            let file = file(next_id, chunk.chunk_time_ns, GEN1);
            Arc::new(ParquetFile { order: chunk.order, ..file.as_ref().clone() })
        };
        let place = (chunk.chunk_time_ns, chunk.division);
        let written = running.files.entry(place).or_insert_with(new);
        assert_eq!(written.order, chunk.order, "a repeated snapshot is of the same writes");
        let contents = self.contents.entry(written.id).or_insert_with(|| values(chunk));
        assert_eq!(*contents, values(chunk), "a repeated snapshot has the same rows");
        Arc::clone(written)
    }

    fn swap(&mut self, which: usize) {
        let Some(running) = &self.running else { return };
        let number = running.placed.mark.number;
        let frozen = self.store.frozen_chunks(number).unwrap();
        for file in &frozen.swapped {
            assert!(running.files.values().any(|written| written == file));
        }
        if frozen.chunks.is_empty() {
            return;
        }
        let chunk = &frozen.chunks[which % frozen.chunks.len()].chunk;
        let files = vec![self.write_file(chunk)];
        let (chunk_time_ns, division) = (chunk.chunk_time_ns, chunk.division);
        let (snapshot, table) = (number, TABLE);
        self.store.swap(SwapChunk { snapshot, table, chunk_time_ns, division, files });
    }

    fn repeat_swap(&mut self, which: usize) {
        let Some(running) = &self.running else { return };
        let snapshot = running.placed.mark.number;
        let files: Vec<_> = running.files.iter().collect();
        if !files.is_empty() {
            let ((chunk_time_ns, division), file) = files[which % files.len()];
            let (table, chunk_time_ns, division) = (TABLE, *chunk_time_ns, *division);
            let files = vec![Arc::clone(file)];
            self.store.swap(SwapChunk { snapshot, table, chunk_time_ns, division, files });
        }
    }

    fn make_durable(&mut self) {
        let Some(number) = self.running.as_ref().filter(|r| !r.durable) else { return };
        let number = number.placed.mark.number;
        for frozen in self.store.frozen_chunks(number).unwrap().chunks {
            self.write_file(&frozen.chunk);
        }
        if let Some(running) = &mut self.running {
            running.durable = true;
            self.index.snapshots.push(running.placed);
            self.index.files.extend(running.files.values().cloned());
        }
    }

    fn end(&mut self) {
        if let Some(running) = self.running.take_if(|running| running.durable) {
            let files = running.files.into_values().collect();
            let end = EndSnapshot { snapshot: running.placed, files };
            self.store.end_snapshot(&end);
            self.ended = Some(end);
        }
    }

    /// Groups are read again from the first one with a row that is in no durable file.
    fn rebuild(&mut self) {
        self.store = Shard::new(0, GEN1, vec![], self.index.clone());
        let in_files = |value: &i64| {
            self.removed.contains(value)
                || self.index.files.iter().any(|f| self.contents[&f.id].contains(value))
        };
        let last_mark = self.index.snapshots.last().map_or(0, |s| s.sequence);
        let mut first_value = 0_i64;
        let mut skipping = true;
        for group in &self.log {
            let rows = group.batches.iter().map(|b| b.rows.num_rows() as i64).sum::<i64>();
            let values = first_value..first_value + rows;
            first_value = values.end;
            let values: Vec<i64> = values.collect();
            skipping &= group.sequence <= last_mark && values.iter().all(in_files);
            if !skipping {
                self.store.apply(group.clone());
            }
        }
    }

    fn remove(&mut self, which: usize) {
        let running = self.running.as_ref();
        if self.index.files.is_empty() || running.is_some_and(|running| running.durable) {
            return;
        }
        let at = which % self.index.files.len();
        let file = self.index.files.remove(at);
        self.removed.extend(&self.contents[&file.id]);
        self.store.remove_files(RemoveFiles { files: vec![(TABLE, file.id)] });
    }

    /// The stretch of writes that rows come from.
    fn order_of(&self, values: &[i64]) -> Stamps {
        let stamps = values.iter().map(|value| Stamps::at(self.stamps[*value as usize]));
        stamps.reduce(Stamps::to).unwrap()
    }

    /// Nothing has rows from both sides of a cut that touches its time.
    fn check_cuts(&self, chunk_time_ns: i64, order: Stamps) {
        for (stamp, min_ns, max_ns) in &self.cuts {
            let is_touched = *min_ns < chunk_time_ns + GEN1 && *max_ns >= chunk_time_ns;
            let is_divided = order.hi <= *stamp || order.lo > *stamp;
            assert!(!is_touched || is_divided, "{order:?} has both sides of {stamp}");
        }
    }

    fn check(&mut self) {
        let mut expected: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        for (value, chunk_time_ns) in self.rows.iter().enumerate() {
            if !self.removed.contains(&(value as i64)) {
                expected.entry(*chunk_time_ns).or_default().push(value as i64);
            }
        }
        let (chunks, files) = shown(&mut self.store);
        // Of a time that was divided, a later part may be in a file while an earlier one is not yet.
        let mut places: BTreeMap<i64, Vec<(Stamps, Vec<i64>)>> = BTreeMap::new();
        let seen = everything(&mut self.store);
        for chunk in &seen.chunks {
            assert_eq!(chunk.order, self.order_of(&values(chunk)));
            self.check_cuts(chunk.chunk_time_ns, chunk.order);
            places.entry(chunk.chunk_time_ns).or_default().push((chunk.order, values(chunk)));
        }
        for file in seen.files {
            let contents = &self.contents[&file.id];
            assert_eq!(file.order, self.order_of(contents));
            self.check_cuts(file.chunk_time_ns, file.order);
            places.entry(file.chunk_time_ns).or_default().push((file.order, contents.clone()));
        }
        let mut found: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        for (chunk_time_ns, mut of_time) in places {
            of_time.sort_by_key(|(order, _)| *order);
            assert!(of_time.is_sorted_by(|(a, _), (b, _)| a.hi < b.lo), "{of_time:?}");
            found.insert(
                chunk_time_ns,
                of_time.into_iter().flat_map(|(_, values)| values).collect(),
            );
        }
        assert_eq!(found, expected);
        assert!(chunks.is_sorted_by_key(|chunk| chunk.0), "{chunks:?}");
        assert_eq!(self.store.held_bytes() == 0, chunks.is_empty());

        let parts = (-3..5).map(|i| view(&mut self.store, i * GEN1, (i + 1) * GEN1 - 1));
        let (mut chunk_count, mut ids) = (0, Vec::new());
        for part in parts {
            chunk_count += part.chunks.len();
            ids.extend(part.files.iter().map(|file| file.id));
        }
        assert_eq!((chunk_count, ids), (chunks.len(), files), "views of one chunk time each");
    }
}

proptest! {
    #[test]
    fn each_row_is_in_one_place_and_in_order(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
            world.check();
        }
    }
}
