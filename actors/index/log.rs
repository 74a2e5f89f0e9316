//! The index of Parquet files in the object store: loading it, and taking it a step further.
//!
//! A step is a segment, an object that is created and never replaced. After a number of segments a
//! base is written, the whole index as of the last of them. The last two bases are kept, and all
//! segments after the older one, so that one damaged base costs nothing. Nothing is deleted before
//! the base that stands in for it is durable: a crash anywhere leaves an index that loads.

#[cfg(test)]
mod tests;

use crate::runtime::canary;
use crate::runtime::faults;
use crate::storage::objects::Objects;
use crate::wal::Owner;
use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{Error, GetOptions, ObjectStore, ObjectStoreExt, PutMode};
use protocols::file_index::{
    DecodeError, FileIndex, IndexError, RemovedFile, Segment, decode_base, decode_segment,
    encode_base, encode_segment,
};
use protocols::paths;
use protocols::snapshot::{ParquetFile, PlacedMark};
use std::collections::BTreeSet;

/// How many segments are read at once at the start.
const READS_AT_ONCE: usize = 32;
/// After so many segments a new base is written.
const SEGMENTS_A_BASE: u64 = 100;
/// How many bases are kept.
const BASES_KEPT: usize = 2;
/// How often the index is read again because another process took a step meanwhile.
const TAKEOVERS_MAX: usize = 10;

/// What a step changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexChange {
    /// The snapshot that becomes durable.
    pub snapshot: Option<PlacedMark>,
    /// Files that become part of their tables.
    pub added: Vec<ParquetFile>,
    /// Files that are no longer part of them.
    pub removed: Vec<RemovedFile>,
    /// Ids of removed files whose objects are gone.
    pub deleted: Vec<u64>,
}

/// Why a step was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexLogError {
    /// Another process took the step: this one must not go on.
    #[error("another process works under this node id: it wrote {0}")]
    Fenced(String),
    /// An earlier change of ours, given up because its outcome was unknown, turned out to be
    /// stored. It is applied now; what is still to be done has to be worked out anew.
    #[error("an earlier change of the file index, given up before, was found stored in {0}")]
    Overtaken(String),
    /// The change contradicts the index. Nothing was written.
    #[error("the change does not fit the file index: {0}")]
    Unfit(#[from] IndexError),
    /// The store failed. The same change may be tried again.
    #[error("error writing index segment {path}: {cause}")]
    Store {
        /// The segment.
        path: String,
        /// What the store said, and whether the outcome is known.
        cause: String,
    },
}

/// Reads the index of a node; it is empty when there is none yet.
///
/// # Errors
/// When the store fails, or an object without which files would get lost is damaged or missing;
/// the text names it.
pub async fn load(objects: &Objects, node: &str) -> anyhow::Result<FileIndex> {
    Ok(Folder::new(objects, node).load().await?.index)
}

/// The index of a node, held by its one writer.
#[derive(Debug)]
pub struct IndexLog {
    folder: Folder,
    writer: u128,
    index: FileIndex,
    /// Sequences of the newest bases that are known to be good, ascending.
    bases: Vec<u64>,
}

impl IndexLog {
    /// Opens the index for the process that `owner` stands for, unless another has claimed the log
    /// of the node since. So of processes that start at once the one with the last claim is also
    /// the one with the last step; else each could find itself replaced by another, and all end.
    ///
    /// # Errors
    /// As [`open`](Self::open), and when the claim is not the last one or cannot be read.
    pub async fn take_over(objects: &Objects, node: &str, owner: &Owner) -> anyhow::Result<Self> {
        let may_step = async || {
            let is_current = owner.is_current().await;
            let is_current = is_current.context("the claim on the WAL could not be read")?;
            ensure!(is_current, "another process has started under node id {node} meanwhile");
            Ok(())
        };
        Self::open_if(objects, node, owner.identity(), may_step).await
    }

    /// Loads the index of `node` and takes an empty step, upon which another process that still
    /// works under this node id finds itself fenced, be it one that found no index either.
    /// `writer` is random for each process, and the same each time that a process opens the index.
    ///
    /// # Errors
    /// As [`load`], and when the step cannot be taken.
    pub async fn open(objects: &Objects, node: &str, writer: u128) -> anyhow::Result<Self> {
        Self::open_if(objects, node, writer, async || Ok(())).await
    }

    /// The same if `may_step` does not fail. It is asked between reading and writing: who claims
    /// the log after that answer reads the index after it, too, and goes beyond this step.
    async fn open_if(
        objects: &Objects,
        node: &str,
        writer: u128,
        may_step: impl AsyncFn() -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let folder = Folder::new(objects, node);
        for _ in 0..TAKEOVERS_MAX {
            let loaded = folder.load().await?;
            may_step().await?;
            let bases = loaded.base.into_iter().collect();
            let mut log = Self { folder: folder.clone(), writer, index: loaded.index, bases };
            match log.append(IndexChange::default()).await {
                Ok(()) => return Ok(log),
                // A step was taken since the index was read.
                Err(IndexLogError::Fenced(_) | IndexLogError::Overtaken(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        bail!("another process works under node id {node}: its file index keeps changing")
    }

    /// The index as of the last step.
    pub fn index(&self) -> &FileIndex {
        &self.index
    }

    /// Takes one step: when this returns `Ok`, the change is durable and part of
    /// [`IndexLog::index`].
    ///
    /// # Errors
    /// See [`IndexLogError`]. The index is as before, but for `Overtaken`.
    pub async fn append(&mut self, change: IndexChange) -> Result<(), IndexLogError> {
        let IndexChange { snapshot, added, removed, deleted } = change;
        let sequence = self.index.sequence().saturating_add(1);
        let (writer, cuts) = (self.writer, Vec::new());
        let segment = Segment { writer, sequence, snapshot, added, removed, deleted, cuts };
        self.index.check(&segment)?;
        if !canary::is("index-in-memory") {
            self.put_segment(&segment).await?;
        }
        self.index.apply(&segment)?;
        let newest = self.bases.last().copied().unwrap_or(0);
        if sequence >= newest + SEGMENTS_A_BASE
            && let Err(error) = self.write_base().await
        {
            // Nothing is lost: there is one segment more to read, and the next step tries again.
            tracing::warn!("the file index could not be compacted: {error:#}");
        }
        Ok(())
    }

    /// Stores a segment unless another has its number.
    async fn put_segment(&mut self, segment: &Segment) -> Result<(), IndexLogError> {
        let path = paths::index_segment(&self.folder.node, segment.sequence);
        let bytes = Bytes::from(encode_segment(segment));
        let (at, create) = (Path::from(path.as_str()), PutMode::Create.into());
        let put = self.folder.objects.store.put_opts(&at, bytes.into(), create).await;
        let Err(error) = put else { return self.check_newest(path, segment.sequence).await };
        // Whatever the store answered, what counts is whose segment is there now: a put that was
        // reported as failed, or as late, may have been stored.
        match self.folder.read_segment(segment.sequence).await {
            Ok(found) if found.writer != self.writer => Err(IndexLogError::Fenced(path)),
            Ok(found) => {
                if let Err(error) = self.folder.settle().await {
                    let cause = format!("it is there, but may not stay: {error}");
                    return Err(IndexLogError::Store { path, cause });
                }
                if found == *segment {
                    return self.check_newest(path, segment.sequence).await;
                }
                self.index.apply(&found)?;
                Err(IndexLogError::Overtaken(path))
            }
            Err(Unreadable::Missing) => {
                Err(IndexLogError::Store { path, cause: error.to_string() })
            }
            Err(unreadable) => {
                let cause = format!("{error}; outcome unknown: {unreadable}");
                Err(IndexLogError::Store { path, cause })
            }
        }
    }

    /// Makes sure that nothing is beyond the segment that was just stored. A process that stood
    /// still for so long that another took its number, went on and deleted that segment again
    /// would otherwise believe that its step counts.
    async fn check_newest(&self, path: String, sequence: u64) -> Result<(), IndexLogError> {
        let prefix = Path::from(paths::index_dir(&self.folder.node));
        let offset = Path::from(path.as_str());
        let mut later = self.folder.objects.store.list_with_offset(Some(&prefix), &offset);
        loop {
            match later.try_next().await {
                Ok(None) => return Ok(()),
                Ok(Some(object)) => {
                    let number = object.location.filename().and_then(paths::index_sequence);
                    if number.is_some_and(|(found, _)| found > sequence) {
                        return Err(IndexLogError::Fenced(object.location.to_string()));
                    }
                }
                Err(error) => {
                    let cause = format!("it is stored, but what follows it is unknown: {error}");
                    return Err(IndexLogError::Store { path, cause });
                }
            }
        }
    }

    /// Writes a base and removes what is no longer needed then.
    async fn write_base(&mut self) -> anyhow::Result<()> {
        let sequence = self.index.sequence();
        let path = paths::index_base(&self.folder.node, sequence);
        let bytes = Bytes::from(encode_base(&self.index));
        let store = &self.folder.objects.store;
        store
            .put_opts(&Path::from(path.as_str()), bytes.into(), PutMode::Overwrite.into())
            .await
            .with_context(|| format!("{path} could not be written"))?;
        self.bases.push(sequence);
        let surplus = self.bases.len().saturating_sub(BASES_KEPT);
        self.bases.drain(..surplus);
        ensure!(!faults::fails("index-base-mid"), "planted failure");
        self.remove_unneeded().await
    }

    /// Removes all older bases but those that are kept, and the segments that both include.
    async fn remove_unneeded(&self) -> anyhow::Result<()> {
        let names = self.folder.names().await?;
        let newest = self.bases.last().copied().unwrap_or(0);
        let oldest = if self.bases.len() < BASES_KEPT { 0 } else { self.bases[0] };
        let node = &self.folder.node;
        let bases = names.bases.iter().filter(|s| **s < newest && !self.bases.contains(s));
        let segments = names.segments.iter().filter(|s| **s <= oldest);
        let unneeded: Vec<_> = (bases.map(|s| paths::index_base(node, *s)))
            .chain(segments.map(|s| paths::index_segment(node, *s)))
            .map(|path| Ok(Path::from(path)))
            .collect();
        let mut deletions = self.folder.objects.store.delete_stream(stream::iter(unneeded).boxed());
        let mut failed = None;
        while let Some(deleted) = deletions.next().await {
            match deleted {
                Ok(_) | Err(Error::NotFound { .. }) => {}
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(()), |error| Err(error).context("old objects could not be deleted"))
    }
}

/// Where the objects of the index are.
#[derive(Clone, Debug)]
struct Folder {
    objects: Objects,
    node: String,
}

/// The numbers in the names of the objects.
#[derive(Default)]
struct Names {
    bases: BTreeSet<u64>,
    segments: BTreeSet<u64>,
}

struct Loaded {
    index: FileIndex,
    /// The base that it begins with.
    base: Option<u64>,
}

/// Why an object cannot be read.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error("it is missing")]
    Missing,
    #[error("it is damaged: {0}")]
    Damaged(DecodeError),
    #[error("{0}")]
    Newer(DecodeError),
    #[error("its name says {name}, its content {content}")]
    Misplaced { name: u64, content: u64 },
    #[error("it could not be read: {0}")]
    Store(Error),
}

impl From<DecodeError> for Unreadable {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::NewerVersion(_) => Self::Newer(error),
            _ => Self::Damaged(error),
        }
    }
}

impl From<Error> for Unreadable {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound { .. } => Self::Missing,
            _ => Self::Store(error),
        }
    }
}

impl Unreadable {
    /// What can be done about it.
    fn advice(&self) -> &'static str {
        match self {
            Self::Newer(_) => "use the release that wrote it, or a later one",
            Self::Store(_) => "the server can be started again once the object store answers",
            Self::Missing | Self::Damaged(_) | Self::Misplaced { .. } => {
                "restore it from a copy of the object store: without it, the rows of some Parquet \
                 files would be missing from query results"
            }
        }
    }

    fn into_error(self, what: &str, path: &str) -> anyhow::Error {
        anyhow::anyhow!("{what} {path} cannot be used: {self}; {}", self.advice())
    }
}

impl Folder {
    fn new(objects: &Objects, node: &str) -> Self {
        Self { objects: objects.clone(), node: node.to_owned() }
    }

    /// The index, which must have every snapshot that has a manifest: that is written later. An
    /// index without its last objects would be taken for a shorter one, and without all of them
    /// for none.
    async fn load(&self) -> anyhow::Result<Loaded> {
        let loaded = self.load_listed().await?;
        let next = loaded.index.last_snapshot().saturating_add(1);
        let manifest = paths::snapshot_manifest(&self.node, next);
        if !self.exists(&manifest).await? {
            return Ok(loaded);
        }
        // Another process may have taken the snapshot since the objects were listed.
        let loaded = self.load_listed().await?;
        ensure!(
            loaded.index.last_snapshot() >= next,
            "objects are missing from the end of the file index in {}: it does not know of \
             snapshot manifest {manifest}; {}",
            paths::index_dir(&self.node),
            Unreadable::Missing.advice()
        );
        Ok(loaded)
    }

    /// Makes the objects durable that are there.
    async fn settle(&self) -> std::io::Result<()> {
        self.objects.settle(&paths::index_dir(&self.node)).await
    }

    async fn exists(&self, path: &str) -> anyhow::Result<bool> {
        match self.objects.store.head(&Path::from(path)).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error).with_context(|| format!("{path} could not be read")),
        }
    }

    async fn load_listed(&self) -> anyhow::Result<Loaded> {
        let names = self.names().await?;
        let (base, mut index, passed_over) = self.newest_base(&names).await?;
        // A base shows that there was a segment of the same number.
        let newest = names.bases.last().max(names.segments.last()).copied().unwrap_or(0);
        let from = index.sequence().saturating_add(1);
        // Read by number, not by name: a listing that is made while objects are created may have
        // a later one and not the one before it.
        let read = |sequence: u64| async move { (sequence, self.read_segment(sequence).await) };
        let mut segments = stream::iter(from..=newest).map(read).buffered(READS_AT_ONCE);
        while let Some((sequence, segment)) = segments.next().await {
            let path = paths::index_segment(&self.node, sequence);
            let segment = match segment {
                Ok(segment) => segment,
                Err(Unreadable::Missing) => {
                    return Err(self.gap(&names, sequence, newest, &passed_over));
                }
                Err(error) => return Err(error.into_error("index segment", &path)),
            };
            index.apply(&segment).with_context(|| {
                format!("index segment {path} contradicts the objects before it")
            })?;
        }
        Ok(Loaded { index, base })
    }

    /// The newest base that can be read, and what is wrong with newer ones; without any, the
    /// empty index that the first segment builds on.
    async fn newest_base(
        &self,
        names: &Names,
    ) -> anyhow::Result<(Option<u64>, FileIndex, Vec<String>)> {
        let mut passed_over = Vec::new();
        for sequence in names.bases.iter().rev().copied() {
            let path = paths::index_base(&self.node, sequence);
            match self.read_base(sequence).await {
                Ok(index) => return Ok((Some(sequence), index, passed_over)),
                Err(error @ (Unreadable::Newer(_) | Unreadable::Store(_))) => {
                    return Err(error.into_error("index base", &path));
                }
                Err(error) => {
                    tracing::warn!("index base {path} is passed over: {error}");
                    passed_over.push(format!("index base {path} cannot be used: {error}"));
                }
            }
        }
        Ok((None, FileIndex::default(), passed_over))
    }

    /// The error for the missing segment `gap`.
    fn gap(&self, names: &Names, gap: u64, newest: u64, passed_over: &[String]) -> anyhow::Error {
        let missing = paths::index_segment(&self.node, gap);
        let later = if names.segments.contains(&newest) {
            paths::index_segment(&self.node, newest)
        } else {
            paths::index_base(&self.node, newest)
        };
        let advice = Unreadable::Missing.advice();
        if passed_over.is_empty() {
            anyhow::anyhow!("index segment {missing} is missing although {later} exists; {advice}")
        } else {
            let bases = passed_over.join("; ");
            anyhow::anyhow!("{bases}; and index segment {missing} is missing; {advice}")
        }
    }

    async fn names(&self) -> anyhow::Result<Names> {
        let prefix = Path::from(paths::index_dir(&self.node));
        let mut listed = self.objects.store.list(Some(&prefix));
        let mut names = Names::default();
        let failed = || format!("{prefix} could not be listed");
        while let Some(object) = listed.try_next().await.with_context(failed)? {
            match object.location.filename().and_then(paths::index_sequence) {
                Some((sequence, true)) => names.bases.insert(sequence),
                Some((sequence, false)) => names.segments.insert(sequence),
                None => continue,
            };
        }
        Ok(names)
    }

    async fn read_base(&self, sequence: u64) -> Result<FileIndex, Unreadable> {
        let bytes = self.get(paths::index_base(&self.node, sequence)).await?;
        let index = decode_base(&bytes)?;
        check_place(sequence, index.sequence())?;
        Ok(index)
    }

    async fn read_segment(&self, sequence: u64) -> Result<Segment, Unreadable> {
        let bytes = self.get(paths::index_segment(&self.node, sequence)).await?;
        let segment = decode_segment(&bytes)?;
        check_place(sequence, segment.sequence)?;
        Ok(segment)
    }

    async fn get(&self, path: String) -> Result<Bytes, Error> {
        let found = self.objects.store.get_opts(&Path::from(path), GetOptions::default()).await?;
        found.bytes().await
    }
}

/// An object must say of itself what its name says.
fn check_place(name: u64, content: u64) -> Result<(), Unreadable> {
    if name == content { Ok(()) } else { Err(Unreadable::Misplaced { name, content }) }
}
