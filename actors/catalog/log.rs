//! The catalog's files in the object store: log records that are created and never replaced, and
//! checkpoints of the whole.

use super::state::CatalogState;
use crate::runtime::canary;
use crate::runtime::faults;
use crate::runtime::random;
use crate::storage::objects::Objects;
use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{Error, GetOptions, ObjectStore, PutMode};
use protocols::catalog_log::v1::LogRecord;
use protocols::catalog_log::{Header, decode_checkpoint, decode_log, encode_log};
use protocols::paths;
use std::time::Duration;
use tokio::time::timeout;
use uuid::Uuid;

/// How many log records are read at once at the start.
const READS_AT_ONCE: usize = 64;
/// How many checkpoints are kept: should the newest be damaged, it can be removed by hand and the
/// one before it and the log still give the whole catalog.
const CHECKPOINTS_KEPT: usize = 2;
/// How many records of others are taken in at once after a lost race.
const CATCH_UP_RECORDS_MAX: u64 = 1_000;

/// How long a record may take: those who ask for a change wait longer, and so are told.
const APPEND_TIME_MAX: Duration = Duration::from_secs(20);

/// Where the files are.
#[derive(Clone, Debug)]
pub(super) struct CatalogLog {
    objects: Objects,
    node: String,
}

/// What the log holds.
pub(super) struct Loaded {
    pub(super) state: CatalogState,
    /// Sequence of the newest checkpoint, 0 without one.
    pub(super) checkpoint_sequence: u64,
}

/// How the put of a record ended.
#[derive(Debug)]
pub(super) enum Appended {
    /// It is stored.
    Ours,
    /// Others were faster; these are their records, from the sequence that was tried.
    Lost(Vec<LogRecord>),
    /// Nothing is stored as far as can be told. Should it turn up later, it counts as the record
    /// of another.
    Failed(String),
}

impl CatalogLog {
    pub(super) fn new(objects: Objects, node: String) -> Self {
        Self { objects, node }
    }

    /// Reads everything: the newest checkpoint, then the records after it. `None` when there is
    /// no catalog yet.
    ///
    /// # Errors
    /// When the store fails, or a file is damaged, missing or of another catalog; the text names
    /// the file.
    pub(super) async fn load(&self) -> anyhow::Result<Option<Loaded>> {
        let checkpoints = self.sequences(paths::catalog_checkpoint_dir(&self.node), None).await?;
        let (mut state, checkpoint_sequence) = match checkpoints.last() {
            Some(sequence) => (Some(self.read_checkpoint(*sequence).await?), *sequence),
            None => (None, 0),
        };
        let logs = self.logs_after(checkpoint_sequence).await?;
        let read = |sequence: u64| async move { (sequence, self.read_log(sequence).await) };
        let mut records = stream::iter(logs).map(read).buffered(READS_AT_ONCE);
        while let Some((sequence, record)) = records.next().await {
            let path = paths::catalog_log(&self.node, sequence);
            let (header, record) =
                record?.with_context(|| format!("{path} was listed but is gone"))?;
            let state = state.get_or_insert_with(|| CatalogState::empty(header.uuid));
            check_header(&path, header, state.next_header())?;
            state.apply_record(&record).with_context(|| path)?;
        }
        drop(records);
        if state.is_some() {
            self.settle().await?;
        }
        Ok(state.map(|state| Loaded { state, checkpoint_sequence }))
    }

    /// Stores `record` under `header.sequence` unless something is there. A store that does not
    /// answer is not waited for: what it may store all the same counts as the record of another.
    pub(super) async fn append(&self, header: Header, record: &LogRecord) -> Appended {
        let appended = timeout(APPEND_TIME_MAX, self.append_now(header, record)).await;
        appended.unwrap_or_else(|_| {
            let text = "the object store has not answered in time; the outcome is unknown";
            Appended::Failed(text.to_owned())
        })
    }

    async fn append_now(&self, header: Header, record: &LogRecord) -> Appended {
        if canary::is("catalog-in-memory") {
            return Appended::Ours;
        }
        let path = Path::from(paths::catalog_log(&self.node, header.sequence));
        let bytes = Bytes::from(encode_log(header, record));
        let put = self.objects.store.put_opts(&path, bytes.into(), PutMode::Create.into()).await;
        let error = match put {
            Ok(_) if !faults::fails("catalog-after-put") => return Appended::Ours,
            Ok(_) => "the outcome is unknown".to_owned(),
            Err(error) => error.to_string(),
        };
        // Who holds the number now? It may be us: the store or its client may have repeated a put
        // that had succeeded, or reported an error after it had stored the object.
        match self.records_from(header, record.nonce).await {
            Ok(Some(records)) if records.is_empty() => Appended::Ours,
            Ok(Some(records)) => Appended::Lost(records),
            Ok(None) => Appended::Failed(error),
            Err(unreadable) => Appended::Failed(format!("{error}; {unreadable:#}")),
        }
    }

    /// All records from `next.sequence` on.
    ///
    /// # Errors
    /// When the store fails, or a record is damaged or of another catalog.
    pub(super) async fn newer(&self, mut next: Header) -> anyhow::Result<Vec<LogRecord>> {
        let nobodys = random::uuid();
        let mut newer = Vec::new();
        while let Some(records) = self.records_from(next, nobodys).await? {
            next.sequence += records.len() as u64;
            newer.extend(records);
        }
        Ok(newer)
    }

    /// The records from `header.sequence` on; `None` when there are none, and an empty list when
    /// the first is the one with `nonce`.
    async fn records_from(
        &self,
        header: Header,
        nonce: Uuid,
    ) -> anyhow::Result<Option<Vec<LogRecord>>> {
        let mut records = Vec::new();
        for sequence in header.sequence..header.sequence.saturating_add(CATCH_UP_RECORDS_MAX) {
            let Some((found, record)) = self.read_log(sequence).await? else { break };
            let path = paths::catalog_log(&self.node, sequence);
            check_header(&path, found, Header { sequence, ..header })?;
            if sequence == header.sequence && record.nonce == nonce {
                self.settle().await?;
                return Ok(Some(Vec::new()));
            }
            records.push(record);
        }
        if records.is_empty() {
            return Ok(None);
        }
        self.settle().await?;
        Ok(Some(records))
    }

    /// Makes the records durable that were read: rows in the WAL, which use their ids, must not
    /// outlive them. Checkpoints may go, the records give the same.
    async fn settle(&self) -> anyhow::Result<()> {
        if canary::is("catalog-read-is-durable") {
            return Ok(());
        }
        let folder = paths::catalog_log_dir(&self.node);
        self.objects.settle(&folder).await.with_context(|| format!("{folder} cannot be synced"))
    }

    /// Stores a checkpoint and removes those that are no longer needed.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn put_checkpoint(&self, sequence: u64, bytes: Vec<u8>) -> anyhow::Result<()> {
        let path = Path::from(paths::catalog_checkpoint(&self.node, sequence));
        let store = &self.objects.store;
        ensure!(!faults::fails("catalog-checkpoint-mid"), "planted failure");
        match store.put_opts(&path, Bytes::from(bytes).into(), PutMode::Create.into()).await {
            // Another process made the same checkpoint of the same log.
            Ok(_) | Err(Error::AlreadyExists { .. }) => {}
            Err(error) => return Err(error).context(path),
        }
        let all = self.sequences(paths::catalog_checkpoint_dir(&self.node), None).await?;
        let unneeded = all.len().saturating_sub(CHECKPOINTS_KEPT);
        let old: Vec<_> = all
            .into_iter()
            .take(unneeded)
            .map(|s| Ok(Path::from(paths::catalog_checkpoint(&self.node, s))))
            .collect();
        store.delete_stream(stream::iter(old).boxed()).try_collect::<Vec<_>>().await?;
        Ok(())
    }

    /// The numbers of the records after `sequence`, which must follow each other.
    async fn logs_after(&self, sequence: u64) -> anyhow::Result<Vec<u64>> {
        let offset = paths::catalog_log(&self.node, sequence);
        let logs = self.sequences(paths::catalog_log_dir(&self.node), Some(offset)).await?;
        for (expected, found) in (sequence + 1..).zip(&logs) {
            if expected != *found {
                let missing = paths::catalog_log(&self.node, expected);
                let later = paths::catalog_log(&self.node, *found);
                bail!("the catalog has a gap: {missing} is missing although {later} exists");
            }
        }
        Ok(logs)
    }

    /// The sequences in the names of the files of `folder`, ascending.
    async fn sequences(&self, folder: String, after: Option<String>) -> anyhow::Result<Vec<u64>> {
        let prefix = Path::from(folder);
        let files = match after {
            Some(after) => self.objects.store.list_with_offset(Some(&prefix), &Path::from(after)),
            None => self.objects.store.list(Some(&prefix)),
        };
        let named = files.try_filter_map(|file| async move {
            Ok(file.location.filename().and_then(paths::catalog_sequence))
        });
        let mut sequences: Vec<u64> =
            named.try_collect().await.with_context(|| format!("{prefix} could not be listed"))?;
        sequences.sort_unstable();
        Ok(sequences)
    }

    async fn read_checkpoint(&self, sequence: u64) -> anyhow::Result<CatalogState> {
        let path = paths::catalog_checkpoint(&self.node, sequence);
        let bytes = self.get(&path).await?.with_context(|| format!("{path} is gone"))?;
        let (header, checkpoint) = decode_checkpoint(&bytes).with_context(|| {
            format!(
                "catalog checkpoint {path} is damaged (after it was removed, the server starts \
                 from the checkpoint before it and the log)"
            )
        })?;
        check_header(&path, header, Header { sequence, ..header })?;
        Ok(CatalogState::from_checkpoint(header, checkpoint))
    }

    /// The record of that number; `None` if there is none.
    async fn read_log(&self, sequence: u64) -> anyhow::Result<Option<(Header, LogRecord)>> {
        let path = paths::catalog_log(&self.node, sequence);
        let Some(bytes) = self.get(&path).await? else { return Ok(None) };
        let decoded =
            decode_log(&bytes).with_context(|| format!("catalog log {path} is damaged"))?;
        Ok(Some(decoded))
    }

    async fn get(&self, path: &str) -> anyhow::Result<Option<Bytes>> {
        let failed = || format!("{path} could not be read");
        match self.objects.store.get_opts(&Path::from(path), GetOptions::default()).await {
            Ok(found) => Ok(Some(found.bytes().await.with_context(failed)?)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error).with_context(failed),
        }
    }
}

/// A file must say of itself what its place says.
fn check_header(path: &str, found: Header, expected: Header) -> anyhow::Result<()> {
    ensure!(
        found.uuid == expected.uuid,
        "{path} belongs to another catalog: its uuid is {}, expected {}",
        found.uuid,
        expected.uuid
    );
    ensure!(
        found.sequence == expected.sequence,
        "{path} holds sequence {}, expected {}",
        found.sequence,
        expected.sequence
    );
    Ok(())
}

#[cfg(all(test, feature = "simulation"))]
mod tests {
    use super::*;
    use crate::storage::objects::planned::{Plan, Planned};
    use async_trait::async_trait;
    use object_store::memory::InMemory;
    use object_store::{PutOptions, PutPayload, PutResult};

    /// Never answers a put.
    #[derive(Debug)]
    struct Silent;

    #[async_trait]
    impl Plan for Silent {
        async fn put(
            &self,
            _: &InMemory,
            _: &Path,
            _: PutPayload,
            _: PutOptions,
        ) -> object_store::Result<PutResult> {
            std::future::pending().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_does_not_answer_is_not_waited_for() {
        let log = CatalogLog::new(Planned::new(Silent).1, "n".to_owned());
        let record = LogRecord { nonce: Uuid::nil(), time_ns: 1, changes: vec![] };
        let header = Header { uuid: Uuid::nil(), sequence: 1 };
        let appended = log.append(header, &record).await;
        assert!(matches!(appended, Appended::Failed(text) if text.contains("in time")));
    }
}
