//! Opening a segment: its rows are sorted, selected, merged and projected here and nowhere else,
//! when a query comes to them.

use super::context::{Rows, ScanContext};
use super::counts::Counts;
use super::decoder::{Decoder, Sparing};
use super::held::held;
use super::merge::MergeLayout;
use super::overlap::{FileRows, Input, Piece, divide};
use super::reader::FileAccess;
use super::scan::Scan;
use super::segment::{Part, Segment, Source, chunk_times, file_times};
use super::selection::{cut, project, rows_without_columns};
use super::short::compact;
use super::sorting::{Kept, SortedChunk, sort_chunk};
use super::values::WantedValues;
use crate::deleted_rows::deleted_rows;
use crate::runtime::pools;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::exec_datafusion_err;
use datafusion::common::stats::Precision;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::common::spawn_buffered;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use std::sync::{Arc, PoisonError};

/// Batches of a file that are decoded before a merge comes to them.
const BATCHES_AHEAD: usize = 1;

/// Files of a segment that are asked at once which values they have.
const FILES_ASKED_AT_ONCE: usize = 8;

/// The rows of a segment.
pub(super) type SegmentRows = BoxStream<'static, Result<RecordBatch>>;

/// Opens the segments of one partition of a scan.
pub(super) struct Opener {
    pub(super) scan: Arc<Scan>,
    pub(super) rows: Arc<Rows>,
    pub(super) context: Arc<ScanContext>,
    pub(super) decoder: Decoder,
    pub(super) counts: Counts,
    /// Counts what was sorted and nobody keeps.
    sorting: MemoryReservation,
    /// Counts what merges hold.
    merging: MemoryReservation,
    batch_rows: usize,
}

impl Opener {
    /// Opens segments of `scan`, whose session is that of `task`.
    pub(super) fn new(scan: &Arc<Scan>, task: Arc<TaskContext>, counts: Counts) -> Result<Self> {
        let context = ScanContext::of(task.session_config())?;
        let rows = context.rows(scan.number)?;
        let access = FileAccess {
            files: context.files.clone(),
            metadata: task.runtime_env().cache_manager.get_file_metadata_cache(),
            table: Arc::clone(&scan.table),
            retention_ns: scan.retention_ns,
            counts: counts.clone(),
        };
        Ok(Self {
            scan: Arc::clone(scan),
            sorting: MemoryConsumer::new("SortChunks").register(&rows.memory),
            merging: MemoryConsumer::new("MergeRows").register(task.memory_pool()),
            rows,
            context,
            batch_rows: task.session_config().batch_size(),
            decoder: Decoder::new(access, task),
            counts,
        })
    }

    /// The selected rows of a part of a segment.
    pub(super) async fn open(
        self: &Arc<Self>,
        part: Part,
        sparing: &Sparing,
    ) -> Result<SegmentRows> {
        let (segment, schema) = (&self.scan.segments[part.segment], &self.scan.schema);
        if let (true, Precision::Exact(rows)) = (schema.fields().is_empty(), segment.rows) {
            let all = rows_without_columns(rows, schema)?;
            let share: Vec<_> = std::iter::once(part.share(rows)).collect();
            let batches = cut(&all, &share, self.batch_rows)?;
            return Ok(stream::iter(batches.into_iter().map(Ok)).boxed());
        }
        let (inputs, memory) = match segment.unsorted {
            0 => self.inputs(segment)?,
            _ => {
                let (opener, number) = (Arc::clone(self), part.segment);
                let job = pools::spawn_blocking(move || opener.sorted_inputs(number));
                job.await.map_err(|e| exec_datafusion_err!("sorting a chunk failed: {e}"))??
            }
        };
        let inputs = self.with_wanted_tags(inputs).await;
        let divided = divide(inputs, &self.scan.selection, sparing.enough.as_deref())?;
        let (mut plain, mut files) = (Vec::new(), Vec::new());
        for piece in divided.alone {
            match piece {
                Piece::Rows(rows, spans) => {
                    let mut spans = part.share_of(spans);
                    if let Some(quick) = &sparing.quick {
                        spans = quick.spans(&rows.rows, spans)?;
                    }
                    let cut = cut(&project(&rows.rows, schema)?, &spans, self.batch_rows)?;
                    for batch in cut {
                        plain.push(compact(batch)?);
                    }
                }
                Piece::File(file) => files.push(match sparing.newest() {
                    Some(groups) => self.newest_of_file(&file, groups).await?,
                    None => self.rows_of_file(&file, schema, sparing).await?.boxed(),
                }),
            }
        }
        let rows = stream::iter(plain.into_iter().map(Ok)).chain(stream::iter(files).flatten());
        let rows = match self.may_have(&divided.merged, &sparing.values).await {
            false => rows.boxed(),
            true => rows.chain(self.merge(divided.merged, sparing).await?).boxed(),
        };
        Ok(match segment.unsorted {
            0 => rows,
            _ => held(rows, memory).boxed(),
        })
    }

    /// The same as `inputs` while others sort too.
    fn sorted_inputs(&self, segment: usize) -> Result<(Vec<Input>, MemoryReservation)> {
        let segment = &self.scan.segments[segment];
        let sorting = &self.context.seen.sorting;
        let beside_others = {
            let _turn = sorting.read().unwrap_or_else(PoisonError::into_inner);
            self.inputs(segment)
        };
        match beside_others {
            // What others sort at the same time may be all that is in the way.
            Err(error) if is_exhausted(&error) => {
                let _alone = sorting.write().unwrap_or_else(PoisonError::into_inner);
                self.inputs(segment)
            }
            sorted => sorted,
        }
    }

    /// The sources of a segment, sorted, and what that takes.
    fn inputs(&self, segment: &Segment) -> Result<(Vec<Input>, MemoryReservation)> {
        let memory = self.sorting.new_empty();
        let mut inputs = Vec::with_capacity(segment.sources.len());
        self.counts.files_decoded.add(segment.decoded);
        for source in &segment.sources {
            match source {
                Source::File(file) => {
                    let deletes = self.rows.view.deletes_of_file(file);
                    inputs.push(match self.rows.decoded.get(&file.id) {
                        Some(rows) => {
                            let deleted = deleted_rows(rows, &deletes)?;
                            Input::Sorted(Arc::clone(rows), file_times(file), deleted)
                        }
                        None => Input::File(FileRows { file: Arc::clone(file), deletes }),
                    });
                }
                Source::Chunk(number) => {
                    let chunk = self.rows.view.chunk(*number)?;
                    let times = chunk_times(&chunk);
                    let SortedChunk { runs, kept } = sort_chunk(&chunk, &self.scan.table, &memory)?;
                    self.counts.chunks_read.add(1);
                    self.counts.chunks_sorted.add(usize::from(!chunk.unsorted.is_empty()));
                    if let Some(kept) = kept {
                        self.hand_back(&kept, &memory);
                    }
                    let deletes = self.rows.view.deletes_of_chunk(&chunk);
                    for run in runs {
                        let deleted = deleted_rows(&run, &deletes)?;
                        inputs.push(Input::Sorted(run, times, deleted));
                    }
                }
            }
        }
        Ok((inputs, memory))
    }

    /// Hands a sorted form to the shard. If that takes it, it is no longer counted in `memory`: it
    /// replaces what it was made from.
    fn hand_back(&self, kept: &Kept, memory: &MemoryReservation) {
        let table = &self.scan.table;
        if self.context.stores.shard_of(table.id).tell(kept.form.clone()) {
            memory.shrink(kept.bytes);
            self.rows.view.keep(&kept.form);
        } else {
            // A shard without room does without; the next query sorts again.
            tracing::debug!(table = %table.name, "a sorted chunk was not kept");
        }
    }

    /// The selected rows of a file that are not deleted.
    pub(super) async fn rows_of_file(
        &self,
        file: &FileRows,
        columns: &SchemaRef,
        sparing: &Sparing,
    ) -> Result<SendableRecordBatchStream> {
        let (selection, newest) = (&self.scan.selection, sparing.newest().is_some());
        let access = &self.decoder.access;
        let narrowed = access.narrowed(file, selection, &sparing.values, newest).await?;
        self.decoder.rows(file, selection, columns, sparing, narrowed)
    }

    /// The inputs without the files that have no row with the tags that are wanted: a row of one of
    /// these replaces none with other tags.
    async fn with_wanted_tags(&self, inputs: Vec<Input>) -> Vec<Input> {
        let wanted = self.scan.selection.values();
        if wanted.is_any() {
            return inputs;
        }
        let asked = stream::iter(inputs).map(async |input| {
            let is_excluded = match &input {
                Input::File(rows) => self.decoder.access.has_none(&rows.file, wanted).await,
                Input::Sorted(..) => false,
            };
            if is_excluded {
                self.counts.exclude_file();
            }
            (!is_excluded).then_some(input)
        });
        let asked = asked.buffered(FILES_ASKED_AT_ONCE);
        asked.filter_map(std::future::ready).collect().await
    }

    /// False if no row that comes of merging the pieces has the values that are wanted of its fields.
    /// Each value is one of those that are merged, so that none of the pieces may have it.
    async fn may_have(&self, pieces: &[Piece], wanted: &WantedValues) -> bool {
        let files = pieces.iter().filter_map(|piece| match piece {
            Piece::File(rows) => Some(&rows.file),
            Piece::Rows(..) => None,
        });
        let files: Vec<_> = files.collect();
        if files.is_empty() || files.len() < pieces.len() {
            return !pieces.is_empty();
        }
        for column in wanted.each() {
            let mut is_in_none = true;
            for file in &files {
                is_in_none = is_in_none && self.decoder.access.has_none(file, &column).await;
            }
            if is_in_none {
                files.iter().for_each(|_| self.counts.exclude_file());
                return false;
            }
        }
        true
    }

    /// One row for each key of the pieces.
    async fn merge(
        &self,
        pieces: Vec<Piece>,
        sparing: &Sparing,
    ) -> Result<impl Stream<Item = Result<RecordBatch>> + Send + use<>> {
        let Scan { table, schema, .. } = &*self.scan;
        let layout = Arc::new(MergeLayout::new(table, schema)?);
        let mut inputs: Vec<SendableRecordBatchStream> = Vec::with_capacity(pieces.len());
        for (number, piece) in pieces.into_iter().enumerate() {
            let columns = Arc::clone(layout.numbered());
            inputs.push(match piece {
                Piece::Rows(rows, spans) => {
                    let rows = cut(&layout.number(&rows.rows, number)?, &spans, self.batch_rows)?;
                    let rows = stream::iter(rows.into_iter().map(Ok));
                    Box::pin(RecordBatchStreamAdapter::new(columns, rows))
                }
                Piece::File(file) => {
                    let every_row =
                        Sparing { enough: sparing.enough.clone(), ..Sparing::default() };
                    let rows = self.rows_of_file(&file, &layout.unnumbered, &every_row).await?;
                    let layout = Arc::clone(&layout);
                    let rows =
                        rows.and_then(move |rows| std::future::ready(layout.number(&rows, number)));
                    let rows = Box::pin(RecordBatchStreamAdapter::new(columns, rows));
                    spawn_buffered(rows, BATCHES_AHEAD)
                }
            });
        }
        let merged = self.counts.rows_merged.clone();
        layout.merge(inputs, self.batch_rows, self.merging.new_empty(), merged)
    }
}

fn is_exhausted(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::ResourcesExhausted(_))
}
