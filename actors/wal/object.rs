//! The log in an object store: one create-only object a group.

use super::log::{Group, Log, LogError, header_of, list};
use async_trait::async_trait;
use object_store::path::Path;
use object_store::{ObjectStore, PutMode, PutOptions, PutPayload};
use protocols::paths;
use protocols::wal_frame::segment::{Header, encode_frame, encode_header};
use std::sync::Arc;
use uuid::Uuid;

/// The log of one process.
pub(super) struct ObjectLog {
    store: Arc<dyn ObjectStore>,
    node: String,
    writer: u128,
    /// Number of the newest object that is known to exist.
    newest: u64,
    first_own_file: u64,
}

impl ObjectLog {
    /// Takes over the log of `node`: when it has objects already, one without rows is put under
    /// the next number, where a process that still writes finds it.
    pub(super) async fn open(store: Arc<dyn ObjectStore>, node: &str) -> anyhow::Result<Self> {
        let writer = Uuid::new_v4().as_u128();
        let mut log = Self { store, node: node.to_owned(), writer, newest: 0, first_own_file: 1 };
        loop {
            log.newest = list(log.store.as_ref(), node).await?.last().copied().unwrap_or(0);
            if log.newest == 0 {
                return Ok(log);
            }
            match log.put(None).await {
                Ok(()) => {
                    log.first_own_file = log.newest;
                    return Ok(log);
                }
                // Another process was faster: it is fenced by the next number.
                Err(LogError::Fenced) => {}
                Err(LogError::Io(text)) => anyhow::bail!("error writing wal file: {text}"),
            }
        }
    }

    async fn put(&mut self, group: Option<&Group>) -> Result<(), LogError> {
        let sequence = self.newest + 1;
        let path = Path::from(paths::wal_file(&self.node, sequence));
        let header = Header { writer: self.writer, sequence, previous_bytes: 0 };
        let mut bytes = encode_header(header);
        if let Some(group) = group {
            let synced = bytes.len() as u64;
            encode_frame(&mut bytes, group.sequence, synced, &group.entries);
        }
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let Err(error) = self.store.put_opts(&path, PutPayload::from(bytes), options).await else {
            self.newest = sequence;
            return Ok(());
        };
        // Whatever the store answered, what counts is whose object is there now: a put that was
        // reported as failed, or as late, may have been stored.
        match header_of(self.store.as_ref(), &path).await {
            Some(found) if found.writer == self.writer => {
                self.newest = sequence;
                Ok(())
            }
            Some(_) => Err(LogError::Fenced),
            None => Err(LogError::Io(error.to_string())),
        }
    }
}

#[async_trait]
impl Log for ObjectLog {
    async fn append(&mut self, group: &Group) -> Result<(), LogError> {
        self.put(Some(group)).await
    }

    /// Each object is complete when it is put.
    fn end_period(&mut self) {}

    fn first_own_file(&self) -> u64 {
        self.first_own_file
    }
}
