//! Reading files in stretches: row group by row group, each checked by checksums. What is read goes
//! past the cache of files, which is for queries.

use super::runs::Run;
use anyhow::{Context, bail, ensure};
use bytes::{Buf, Bytes};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::reader::{ChunkReader, Length};
use protocols::file_blocks::{self, BlockChecksums, LISTED_BYTES_MIN};
use protocols::paths;
use protocols::snapshot::ParquetFile;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// How much of the end of a file is fetched at first. It holds the description of the file.
const TAIL_BYTES: u64 = 64 * 1024;

/// Reads the files of a run.
pub(super) struct Source {
    store: Arc<dyn ObjectStore>,
    node: Arc<str>,
    files: VecDeque<Arc<ParquetFile>>,
    open: Option<Open>,
    /// Bytes that were read so far.
    pub(super) bytes_read: u64,
}

/// A file that is being read.
struct Open {
    file: Arc<ParquetFile>,
    path: Path,
    description: ArrowReaderMetadata,
    bytes: Content,
    next_group: usize,
}

/// Where the bytes of a file are.
enum Content {
    Here(Bytes),
    There(BlockChecksums),
}

/// A row group, read and not decoded yet.
pub(super) struct RowGroup {
    description: ArrowReaderMetadata,
    number: usize,
    bytes: Stretch,
}

impl Source {
    pub(super) fn new(store: &Arc<dyn ObjectStore>, node: &Arc<str>, run: &Run) -> Self {
        let files = run.files.iter().map(Arc::clone).collect();
        Self { store: Arc::clone(store), node: Arc::clone(node), files, open: None, bytes_read: 0 }
    }

    /// The descriptions of all files, which tell what columns there are.
    pub(super) async fn descriptions(&mut self) -> anyhow::Result<Vec<Arc<ParquetMetaData>>> {
        let mut descriptions = Vec::with_capacity(self.files.len());
        for file in self.files.clone() {
            let open = self.open(file).await?;
            descriptions.push(Arc::clone(open.description.metadata()));
            // The first one is read at once, the others have to wait.
            if self.open.is_none() && descriptions.len() == 1 {
                self.open = Some(open);
            }
        }
        self.files.pop_front();
        Ok(descriptions)
    }

    /// The next row group; `None` behind the last.
    pub(super) async fn next_group(&mut self) -> anyhow::Result<Option<RowGroup>> {
        loop {
            if let Some(open) = &mut self.open
                && open.next_group < open.description.metadata().num_row_groups()
            {
                let number = open.next_group;
                open.next_group += 1;
                let bytes = open.group_bytes(self.store.as_ref(), number).await?;
                self.bytes_read += bytes.bytes.len() as u64;
                return Ok(Some(RowGroup { description: open.description.clone(), number, bytes }));
            }
            let Some(file) = self.files.pop_front() else { return Ok(None) };
            self.open = Some(self.open(file).await?);
        }
    }

    async fn open(&self, file: Arc<ParquetFile>) -> anyhow::Result<Open> {
        let path = Path::from(paths::parquet_file(&self.node, &file));
        let store = self.store.as_ref();
        let (description, bytes) = if file.size_bytes <= LISTED_BYTES_MIN as u64 {
            whole(store, &path, &file).await?
        } else {
            match tail(store, &path, &file).await? {
                Some((description, blocks)) => (description, Content::There(blocks)),
                None => whole(store, &path, &file).await?,
            }
        };
        let options = ArrowReaderOptions::new();
        let description = ArrowReaderMetadata::try_new(Arc::new(description), options)
            .with_context(|| format!("the description of {path} makes no sense"))?;
        Ok(Open { file, path, description, bytes, next_group: 0 })
    }
}

impl Open {
    /// The bytes of a row group.
    async fn group_bytes(&self, store: &dyn ObjectStore, number: usize) -> anyhow::Result<Stretch> {
        let path = &self.path;
        let group = self.description.metadata().row_group(number);
        let ranges = group.columns().iter().map(|column| column.byte_range());
        let range = ranges
            .map(|(start, length)| start..start.saturating_add(length))
            .reduce(|all, one| all.start.min(one.start)..all.end.max(one.end))
            .with_context(|| format!("{path} has a row group without columns"))?;
        match &self.bytes {
            Content::Here(bytes) => Ok(Stretch { start: 0, bytes: bytes.clone() }),
            Content::There(blocks) => {
                let around = blocks.around(&range);
                let around =
                    around.with_context(|| format!("no rows are at {range:?} of {path}"))?;
                let bytes = store.get_range(path, around.clone()).await;
                let bytes = bytes.with_context(|| format!("{path} cannot be read"))?;
                ensure!(blocks.fit(&around, &bytes), damaged(path, &self.file));
                Ok(Stretch { start: around.start, bytes })
            }
        }
    }
}

impl RowGroup {
    /// The rows, so many at a time. Long work for a thread of its own.
    pub(super) fn rows(self, batch_rows: usize) -> ParquetResult<ParquetRecordBatchReader> {
        let Self { description, number, bytes } = self;
        ParquetRecordBatchReaderBuilder::new_with_metadata(bytes, description)
            .with_row_groups(vec![number])
            .with_batch_size(batch_rows)
            .build()
    }
}

/// A whole file, and its description.
async fn whole(
    store: &dyn ObjectStore,
    path: &Path,
    file: &ParquetFile,
) -> anyhow::Result<(ParquetMetaData, Content)> {
    let unread = || format!("{path} cannot be read");
    let bytes = store.get(path).await.with_context(unread)?.bytes().await.with_context(unread)?;
    let is_intact = bytes.len() as u64 == file.size_bytes && crc32fast::hash(&bytes) == file.crc32;
    ensure!(is_intact, damaged(path, file));
    let description = description().parse_and_finish(&bytes).with_context(unread)?;
    Ok((description, Content::Here(bytes)))
}

/// The description at the end of a large file, checked together with the list of checksums that is
/// in it. `None` if it has no such list.
async fn tail(
    store: &dyn ObjectStore,
    path: &Path,
    file: &ParquetFile,
) -> anyhow::Result<Option<(ParquetMetaData, BlockChecksums)>> {
    let mut wanted = TAIL_BYTES;
    loop {
        let range = file.size_bytes.saturating_sub(wanted)..file.size_bytes;
        let length = range.end - range.start;
        let bytes = store.get_range(path, range).await;
        let bytes = bytes.with_context(|| format!("{path} cannot be read"))?;
        ensure!(bytes.len() as u64 == length, damaged(path, file));
        let mut reader = description();
        match reader.try_parse_sized(&bytes, file.size_bytes) {
            Ok(()) => {}
            Err(ParquetError::NeedMoreData(needed)) if needed as u64 > wanted => {
                wanted = needed as u64;
                continue;
            }
            Err(_) => bail!(damaged(path, file)),
        }
        let description = reader.finish()?;
        let Some(blocks) = block_checksums(&description) else { return Ok(None) };
        let tail_bytes = file.size_bytes.saturating_sub(blocks.data_bytes());
        let Some(begin) = length.checked_sub(tail_bytes) else {
            wanted = tail_bytes;
            continue;
        };
        let tail = bytes.slice(usize::try_from(begin).unwrap_or(usize::MAX).min(bytes.len())..);
        ensure!(blocks.come_to(&tail, file.crc32), damaged(path, file));
        return Ok(Some((description, blocks)));
    }
}

fn damaged(path: &Path, file: &ParquetFile) -> String {
    format!(
        "the Parquet file {path} of table {} is damaged: its checksum does not match",
        file.table
    )
}

fn description() -> ParquetMetaDataReader {
    ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Skip)
}

/// The list of checksums in the description of a file.
fn block_checksums(description: &ParquetMetaData) -> Option<BlockChecksums> {
    let mut entries = description.file_metadata().key_value_metadata()?.iter();
    let entry = entries.find(|entry| entry.key == file_blocks::KEY)?;
    BlockChecksums::decode(entry.value.as_ref()?)
}

/// A stretch of a file, which is read as if all of it were there.
struct Stretch {
    start: u64,
    bytes: Bytes,
}

impl Stretch {
    fn part(&self, range: Range<u64>) -> ParquetResult<Bytes> {
        let at = |offset: u64| usize::try_from(offset.checked_sub(self.start)?).ok();
        match (at(range.start), at(range.end)) {
            (Some(begin), Some(end)) if begin <= end && end <= self.bytes.len() => {
                Ok(self.bytes.slice(begin..end))
            }
            _ => Err(ParquetError::EOF(format!("{range:?} is not in the part that was read"))),
        }
    }
}

impl Length for Stretch {
    fn len(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl ChunkReader for Stretch {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(self.part(start..self.len())?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        self.part(start..start.saturating_add(length as u64))
    }
}
