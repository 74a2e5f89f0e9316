//! How the decoder gets at the bytes of a file.

use super::counts::Counts;
use super::parquet_files::{LOOK_UP_DEADLINE, ParquetFiles};
use crate::query::errors;
use crate::runtime::mailbox::Mailbox;
use bytes::Bytes;
use datafusion::common::internal_datafusion_err;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::CachedParquetMetaData;
use datafusion::error::Result;
use datafusion::execution::cache::cache_manager::{CachedFileMetadataEntry, FileMetadataCache};
use datafusion::parquet::arrow::ArrowSchemaConverter;
use datafusion::parquet::arrow::arrow_reader::ArrowReaderOptions;
use datafusion::parquet::arrow::async_reader::AsyncFileReader;
use datafusion::parquet::errors::{ParquetError, Result as ParquetResult};
use datafusion::parquet::file::metadata::{
    FileMetaData, PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader,
};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::{ObjectMeta, ObjectStoreExt};
use protocols::file_blocks::{self, BlockChecksums, LISTED_BYTES_MIN};
use protocols::messages::parquet_cache::{LookUp, NoteChecked};
use protocols::messages::rank;
use protocols::paths;
use protocols::schema::TableSchema;
use protocols::snapshot::ParquetFile;
use std::ops::Range;
use std::sync::Arc;
use tokio::time::Instant;

/// Limit: files up to this size are fetched whole and their checksum is compared, if nothing is known of
/// them yet. One request to a store that is far away takes less time than several. Of larger ones only
/// the blocks are read that a query needs, each with a checksum of its own, if they have a list of these.
const WHOLE_FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// The same for a store that is near: only files that have no such list.
const WHOLE_NEAR_FILE_BYTES_MAX: u64 = LISTED_BYTES_MIN as u64;

/// Of a smaller file, too, only blocks are read if less than this part of it is needed.
const WORTH_BLOCKS: u64 = 4;

/// How much of the end of a file is fetched at first. It holds the description of the file.
const TAIL_BYTES: u64 = 64 * 1024;

/// What the readers of one scan share.
#[derive(Clone)]
pub(super) struct FileAccess {
    /// Where the bytes are.
    pub(super) files: ParquetFiles,
    /// Descriptions of files that were read before.
    pub(super) metadata: Arc<FileMetadataCache>,
    /// The table whose files they are.
    pub(super) table: Arc<TableSchema>,
    /// Rows older than this many nanoseconds are invisible.
    pub(super) retention_ns: Option<i64>,
    pub(super) counts: Counts,
}

impl std::fmt::Debug for FileAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileAccess").field("files", &self.files).finish_non_exhaustive()
    }
}

impl FileAccess {
    /// True if nobody may see a row of the file any more: then its object may be gone.
    pub(super) fn is_past_retention(&self, file: &ParquetFile) -> bool {
        let now_ns = self.files.clock.now_ns();
        self.retention_ns.is_some_and(|r| file.max_time_ns < now_ns.saturating_sub(r))
    }

    /// A file as the engine knows it.
    pub(super) fn object(&self, file: &Arc<ParquetFile>) -> PartitionedFile {
        let path = paths::parquet_file(&self.files.node, file);
        PartitionedFile::new(path, file.size_bytes).with_extension(Arc::clone(file))
    }

    /// The description of a file, and its bytes if they had to be fetched for that.
    pub(super) async fn description(
        &self,
        file: &Arc<ParquetFile>,
    ) -> Result<(Arc<ParquetMetaData>, Option<Fetched>)> {
        let (description, _, fetched) = self.parts(file, |_| Vec::new()).await?;
        Ok((description, fetched))
    }

    /// The description of a file, the parts of it that somebody wants who knows that, and its bytes if
    /// they had to be fetched for that.
    pub(super) async fn parts(
        &self,
        file: &Arc<ParquetFile>,
        wanted: impl FnOnce(&ParquetMetaData) -> Vec<Range<u64>>,
    ) -> Result<(Arc<ParquetMetaData>, Vec<Bytes>, Option<Fetched>)> {
        let mut reader = self.reader(self.object(file))?;
        let description = reader.metadata().await?;
        let wanted = wanted(&description);
        let parts = match wanted.is_empty() {
            true => Vec::new(),
            false => reader.fetch(&wanted).await?,
        };
        let fetched = match reader.bytes {
            FileBytes::Here(bytes) => Some(Fetched(bytes)),
            FileBytes::Unknown | FileBytes::There => None,
        };
        Ok((description, parts, fetched))
    }

    /// The bytes of a file.
    pub(super) async fn bytes(&self, file: &Arc<ParquetFile>) -> Result<Fetched> {
        let reader = self.reader(self.object(file))?;
        Ok(Fetched(match reader.open(false).await? {
            FileBytes::Here(bytes) => bytes,
            FileBytes::Unknown | FileBytes::There => reader.whole().await?,
        }))
    }

    fn reader(&self, object: PartitionedFile) -> Result<Reader> {
        let file = object
            .extension::<Arc<ParquetFile>>()
            .map(Arc::clone)
            .ok_or_else(|| internal_datafusion_err!("an object that is no file of a table"))?;
        let bytes = match object.extension::<Fetched>() {
            Some(Fetched(bytes)) => FileBytes::Here(bytes.clone()),
            None => FileBytes::Unknown,
        };
        Ok(Reader { access: self.clone(), file, object: object.object_meta, bytes })
    }

    /// The description of a file without rows.
    fn empty_file(&self) -> ParquetResult<ParquetMetaData> {
        let schema = ArrowSchemaConverter::new().convert(self.table.arrow_schema())?;
        let file = FileMetaData::new(1, 0, None, None, Arc::new(schema), None);
        Ok(ParquetMetaData::new(file, Vec::new()))
    }
}

impl ParquetFileReaderFactory for FileAccess {
    fn create_reader(
        &self,
        _partition: usize,
        object: PartitionedFile,
        _metadata_size_hint: Option<usize>,
        _metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        Ok(Box::new(self.reader(object)?))
    }
}

/// The bytes of a file, which were checked.
#[derive(Clone, Debug)]
pub(super) struct Fetched(Bytes);

/// Where the bytes of a file come from.
enum FileBytes {
    /// The cache was not asked yet.
    Unknown,
    /// From memory.
    Here(Bytes),
    /// From the object store.
    There,
}

/// Reads one file.
struct Reader {
    access: FileAccess,
    file: Arc<ParquetFile>,
    object: ObjectMeta,
    bytes: FileBytes,
}

impl Reader {
    /// The parts of the file in `ranges`.
    async fn fetch(&mut self, ranges: &[Range<u64>]) -> ParquetResult<Vec<Bytes>> {
        let asked: u64 = ranges.iter().map(|range| range.end - range.start).sum();
        if matches!(self.bytes, FileBytes::Unknown) {
            let few = asked.saturating_mul(WORTH_BLOCKS) <= self.file.size_bytes;
            let has_list = |known: Arc<ParquetMetaData>| block_checksums(&known).is_some();
            self.bytes = self.open(few && self.known_metadata().is_some_and(has_list)).await?;
        }
        self.access.counts.bytes_scanned.add(usize::try_from(asked).unwrap_or(usize::MAX));
        match &self.bytes {
            FileBytes::Here(bytes) => ranges.iter().map(|range| part(bytes, range)).collect(),
            FileBytes::Unknown | FileBytes::There => {
                let metadata = self.metadata().await?;
                let Some(blocks) = block_checksums(&metadata) else {
                    let whole = self.whole().await?;
                    self.bytes = FileBytes::Here(whole.clone());
                    return ranges.iter().map(|range| part(&whole, range)).collect();
                };
                match ranges.iter().all(|range| range.start >= blocks.data_bytes()) {
                    true => self.fetch_tail(&blocks, ranges).await,
                    false => self.fetch_blocks(&blocks, ranges).await,
                }
            }
        }
    }

    /// The same from the object store, where whole blocks are fetched and checked.
    async fn fetch_blocks(
        &self,
        blocks: &BlockChecksums,
        ranges: &[Range<u64>],
    ) -> ParquetResult<Vec<Bytes>> {
        let around: Option<Vec<_>> = ranges.iter().map(|range| blocks.around(range)).collect();
        let around = around.ok_or_else(|| {
            let text = format!("no rows are at {ranges:?} of {}", self.object.location);
            ParquetError::General(text)
        })?;
        let stretches = joined(around);
        let fetched = self.access.files.store.get_ranges(&self.object.location, &stretches).await;
        let fetched = fetched.map_err(|error| self.unread(error))?;
        for (stretch, bytes) in stretches.iter().zip(&fetched) {
            self.fetched(bytes);
            if !blocks.fit(stretch, bytes) {
                return Err(self.damaged());
            }
        }
        let part_of = |range: &Range<u64>| {
            let at = stretches.partition_point(|stretch| stretch.end < range.end);
            let (stretch, bytes) = stretches
                .get(at)
                .zip(fetched.get(at))
                .ok_or_else(|| ParquetError::General(format!("{range:?} was not fetched")))?;
            part(bytes, &(range.start - stretch.start..range.end - stretch.start))
        };
        ranges.iter().map(part_of).collect()
    }

    /// The same of what is behind the rows, which is checked as a whole.
    async fn fetch_tail(
        &self,
        blocks: &BlockChecksums,
        ranges: &[Range<u64>],
    ) -> ParquetResult<Vec<Bytes>> {
        let begin = blocks.data_bytes();
        let range = begin..self.file.size_bytes;
        let tail = self.access.files.store.get_range(&self.object.location, range.clone()).await;
        let tail = tail.map_err(|error| self.unread(error))?;
        self.fetched(&tail);
        let is_whole = tail.len() as u64 == range.end - range.start;
        if !is_whole || !blocks.come_to(&tail, self.file.crc32) {
            return Err(self.damaged());
        }
        ranges.iter().map(|range| part(&tail, &(range.start - begin..range.end - begin))).collect()
    }

    /// Finds out where the bytes come from. `in_blocks` says that a file in the store is not fetched
    /// whole, whatever its size.
    async fn open(&self, in_blocks: bool) -> ParquetResult<FileBytes> {
        if let Some(bytes) = self.look_up().await {
            self.access.counts.files_cached.add(1);
            return Ok(FileBytes::Here(bytes));
        }
        let whole_bytes_max = match self.access.files.is_near {
            true => WHOLE_NEAR_FILE_BYTES_MAX,
            false => WHOLE_FILE_BYTES_MAX,
        };
        if in_blocks || self.file.size_bytes > whole_bytes_max {
            return Ok(FileBytes::There);
        }
        self.whole().await.map(FileBytes::Here)
    }

    /// The whole file from the object store.
    async fn whole(&self) -> ParquetResult<Bytes> {
        let unread = |error| self.unread(error);
        let object = self.access.files.store.get(&self.object.location).await.map_err(unread)?;
        let bytes = object.bytes().await.map_err(unread)?;
        self.fetched(&bytes);
        match self.is_intact(&bytes) {
            true => Ok(bytes),
            false => Err(self.damaged()),
        }
    }

    /// An object that is not there is a fault; whatever else a store says may pass.
    fn unread(&self, error: object_store::Error) -> ParquetError {
        match error {
            missing @ object_store::Error::NotFound { .. } => {
                ParquetError::External(Box::new(missing))
            }
            failing => {
                let error = errors::store_fails(self.object.location.as_ref(), &failing);
                ParquetError::External(Box::new(error))
            }
        }
    }

    fn fetched(&self, bytes: &Bytes) {
        self.access.counts.bytes_fetched.add(bytes.len());
    }

    fn damaged(&self) -> ParquetError {
        let path = &self.object.location;
        let text = format!("the Parquet file {path} is damaged: its checksum does not match");
        ParquetError::General(text)
    }

    /// Whether these are the bytes that were written. The format has no checksum of its own here:
    /// a changed value would be taken for a value.
    fn is_intact(&self, bytes: &Bytes) -> bool {
        bytes.len() as u64 == self.file.size_bytes && crc32fast::hash(bytes) == self.file.crc32
    }

    /// An error that names the file.
    fn named(&self, error: ParquetError) -> ParquetError {
        let path = &self.object.location;
        let text = error.to_string();
        if text.contains(path.as_ref()) {
            return error;
        }
        ParquetError::General(format!("cannot read the Parquet file {path}: {text}"))
    }

    /// The whole file, if the cache has it and it is intact, which only the first reader has to find
    /// out. A cache that fails is no reason to fail a query.
    async fn look_up(&self) -> Option<Bytes> {
        let cache: &Mailbox<_> = self.access.files.cache.as_ref()?;
        let path: Arc<str> = Arc::from(self.object.location.as_ref());
        let question = LookUp {
            path: Arc::clone(&path),
            size_bytes: self.file.size_bytes,
            max_time_ns: self.file.max_time_ns,
        };
        let deadline = Instant::now() + LOOK_UP_DEADLINE;
        let found = cache.ask::<{ rank::QUERY }, _>(question, deadline).await.ok().flatten()?;
        if !found.is_checked {
            if !self.is_intact(&found.bytes) {
                return None;
            }
            cache.tell(NoteChecked { path });
        }
        Some(found.bytes)
    }

    /// The description of the file, from its checked end or from the whole of it.
    async fn read_metadata(&mut self) -> ParquetResult<ParquetMetaData> {
        if matches!(self.bytes, FileBytes::Unknown) {
            self.bytes = self.open(false).await?;
        }
        if let FileBytes::Here(bytes) = &self.bytes {
            return description().parse_and_finish(bytes);
        }
        if let Some(metadata) = self.read_tail().await? {
            return Ok(metadata);
        }
        // Somebody else's file, or an old one. It is not worth a way of its own.
        let bytes = self.whole().await?;
        self.bytes = FileBytes::Here(bytes.clone());
        description().parse_and_finish(&bytes)
    }

    /// The description at the end of a large file, checked together with the list of checksums that
    /// is in it. `None` if it has no such list.
    async fn read_tail(&self) -> ParquetResult<Option<ParquetMetaData>> {
        let size_bytes = self.file.size_bytes;
        let mut wanted = TAIL_BYTES;
        loop {
            let range = size_bytes.saturating_sub(wanted)..size_bytes;
            let fetched = self.access.files.store.get_range(&self.object.location, range);
            let bytes = fetched.await.map_err(|error| self.unread(error))?;
            self.fetched(&bytes);
            if bytes.len() as u64 != wanted.min(size_bytes) {
                return Err(self.damaged());
            }
            let mut reader = description();
            match reader.try_parse_sized(&bytes, size_bytes) {
                Ok(()) => {}
                Err(ParquetError::NeedMoreData(needed)) if needed as u64 > wanted => {
                    wanted = needed as u64;
                    continue;
                }
                Err(_) => return Err(self.damaged()),
            }
            let metadata = reader.finish()?;
            let Some(blocks) = block_checksums(&metadata) else { return Ok(None) };
            let tail_bytes = size_bytes.saturating_sub(blocks.data_bytes());
            let Some(begin) = (bytes.len() as u64).checked_sub(tail_bytes) else {
                wanted = tail_bytes;
                continue;
            };
            let tail = part(&bytes, &(begin..bytes.len() as u64))?;
            return match blocks.come_to(&tail, self.file.crc32) {
                true => Ok(Some(metadata)),
                false => Err(self.damaged()),
            };
        }
    }

    /// The description of the file, if somebody has read it before.
    fn known_metadata(&self) -> Option<Arc<ParquetMetaData>> {
        let entry = self.access.metadata.get(&self.object.location)?;
        let known = entry.file_metadata.as_any().downcast_ref::<CachedParquetMetaData>();
        known.filter(|_| entry.is_valid_for(&self.object)).map(|k| Arc::clone(k.parquet_metadata()))
    }

    async fn metadata(&mut self) -> ParquetResult<Arc<ParquetMetaData>> {
        if let Some(known) = self.known_metadata() {
            return Ok(known);
        }
        let read = self.read_metadata().await;
        let metadata = match read {
            Err(error) if is_missing(&error) && self.access.is_past_retention(&self.file) => {
                return Ok(Arc::new(self.access.empty_file()?));
            }
            read => Arc::new(read.map_err(|error| self.named(error))?),
        };
        let known = Arc::new(CachedParquetMetaData::new(Arc::clone(&metadata)));
        let cache = &self.access.metadata;
        cache.put(&self.object.location, CachedFileMetadataEntry::new(self.object.clone(), known));
        Ok(metadata)
    }
}

impl AsyncFileReader for Reader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        async move { Ok(self.fetch(&[range]).await?.pop().unwrap_or_default()) }.boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        async move { self.fetch(&ranges).await }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        self.metadata().boxed()
    }
}

/// Ranges that touch or overlap as one, in order: pages of a column share blocks, and each block is
/// fetched once.
fn joined(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_unstable_by_key(|range| range.start);
    let mut joined: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match joined.last_mut().filter(|last| range.start <= last.end) {
            Some(last) => last.end = last.end.max(range.end),
            None => joined.push(range),
        }
    }
    joined
}

/// Reads the description of a file.
fn description() -> ParquetMetaDataReader {
    ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Optional)
}

/// The list of checksums in the description of a file.
fn block_checksums(metadata: &ParquetMetaData) -> Option<BlockChecksums> {
    let mut entries = metadata.file_metadata().key_value_metadata()?.iter();
    let entry = entries.find(|entry| entry.key == file_blocks::KEY)?;
    BlockChecksums::decode(entry.value.as_ref()?)
}

fn is_missing(error: &ParquetError) -> bool {
    let ParquetError::External(error) = error else { return false };
    matches!(error.downcast_ref(), Some(object_store::Error::NotFound { .. }))
}

/// A part of a file that is in memory.
fn part(bytes: &Bytes, range: &Range<u64>) -> ParquetResult<Bytes> {
    let at = |offset: u64| usize::try_from(offset).ok().filter(|at| *at <= bytes.len());
    match (at(range.start), at(range.end)) {
        (Some(begin), Some(end)) if begin <= end => Ok(bytes.slice(begin..end)),
        _ => Err(ParquetError::EOF(format!("a file of {} bytes has no {range:?}", bytes.len()))),
    }
}
