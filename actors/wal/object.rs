//! The log in an object store: one create-only object a group.

use super::log::{Group, Log, LogError, bytes_of, list};
use super::owner::Owner;
use crate::runtime::{faults, random};
use async_trait::async_trait;
use object_store::path::Path;
use object_store::{ObjectStore, PutMode, PutOptions, PutPayload};
use protocols::paths;
use protocols::wal_frame::segment::{Header, decode_header, encode_frame, encode_header};
use std::sync::Arc;

/// The log of one process.
pub(super) struct ObjectLog {
    store: Arc<dyn ObjectStore>,
    owner: Owner,
    writer: u128,
    /// Number of the newest object that is known to exist.
    newest: u64,
    first_own_file: u64,
}

impl ObjectLog {
    /// Opens the log for writing. When it has objects already, one without rows is put under the
    /// next number above all others and `above`, where a process that still writes finds it.
    pub(super) async fn open(owner: Owner, above: u64) -> anyhow::Result<Self> {
        let store = Arc::clone(&owner.objects().store);
        let writer = random::uuid().as_u128();
        let mut log = Self { store, owner, writer, newest: 0, first_own_file: 1 };
        loop {
            let listed =
                list(log.store.as_ref(), log.owner.node()).await?.last().copied().unwrap_or(0);
            log.newest = listed.max(above);
            if log.newest == 0 {
                return Ok(log);
            }
            // A process that was replaced while it started leaves no object: it would lie above
            // those of its successor, which would take itself for the one that was replaced.
            log.check_owner().await?;
            match log.put(None).await {
                Ok(()) => {
                    log.first_own_file = log.newest;
                    return Ok(log);
                }
                // Another process was faster: one of the two is not the owner any more.
                Err(LogError::Fenced) => {}
                Err(LogError::Io(text)) => anyhow::bail!("error writing wal file: {text}"),
            }
        }
    }

    /// Whether no successor has taken over.
    async fn check_owner(&self) -> Result<(), LogError> {
        match self.owner.is_current().await {
            Ok(true) => Ok(()),
            Ok(false) => Err(LogError::Fenced),
            Err(e) => Err(LogError::Io(format!("cannot tell who owns the WAL: {e}"))),
        }
    }

    async fn put(&mut self, group: Option<&Group>) -> Result<(), LogError> {
        let sequence = self.newest + 1;
        let path = Path::from(paths::wal_file(self.owner.node(), sequence));
        let header = Header { writer: self.writer, sequence, previous_bytes: 0 };
        let mut bytes = encode_header(header);
        if let Some(group) = group {
            let synced = bytes.len() as u64;
            encode_frame(&mut bytes, group.sequence, synced, &group.entries);
        }
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let payload = PutPayload::from(bytes.clone());
        let mut put = self.store.put_opts(&path, payload, options).await;
        if faults::fails("wal-put-ambiguous") {
            let source = "planted failure of a put that succeeded".into();
            put = Err(object_store::Error::Generic { store: "planted", source });
        }
        let Err(error) = put else {
            self.newest = sequence;
            return Ok(());
        };
        // Whatever the store answered, what counts is whose object is there now: a put that was
        // reported as failed, or as late, may have been stored.
        let Some(found) = bytes_of(self.store.as_ref(), &path).await else {
            return Err(LogError::Io(error.to_string()));
        };
        if found == bytes {
            self.newest = sequence;
            return Ok(());
        }
        match decode_header(&found) {
            // An earlier group that was given up, and was stored all the same: this one is not, and
            // goes to the next number.
            Ok(header) if header.writer == self.writer => {
                self.newest = sequence;
                Err(LogError::Io(error.to_string()))
            }
            Ok(_) => Err(LogError::Fenced),
            Err(_) => Err(LogError::Io(error.to_string())),
        }
    }
}

#[async_trait]
impl Log for ObjectLog {
    async fn append(&mut self, group: &Group) -> Result<(), LogError> {
        if faults::fails("wal-put") {
            return Err(LogError::Io("planted failure".to_owned()));
        }
        self.put(Some(group)).await?;
        self.check_owner().await
    }

    /// Each object is complete when it is put.
    fn end_period(&mut self) {}

    fn next_file(&self) -> u64 {
        self.newest + 1
    }

    fn newest_file(&self) -> u64 {
        self.newest
    }

    fn first_own_file(&self) -> u64 {
        self.first_own_file
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::objects::Objects;
    use bytes::Bytes;

    #[actix_rt::test]
    async fn a_group_that_was_given_up_and_is_there_is_not_taken_for_another() {
        let objects = Objects::memory();
        let owner = Owner::take(&objects, "n").await.unwrap();
        let mut log = ObjectLog::open(owner, 0).await.unwrap();
        let group = |sequence, text| Group { sequence, entries: vec![Bytes::from_static(text)] };
        log.append(&group(1, b"one")).await.unwrap();
        // As if the answer to the first put had been lost for good.
        log.newest = 0;
        let second = group(2, b"two");
        assert!(matches!(log.append(&second).await, Err(LogError::Io(_))));
        log.append(&second).await.unwrap();
        assert_eq!(log.newest, 2);
        // Repeating a put that was stored is success.
        log.newest = 1;
        log.append(&second).await.unwrap();
        assert_eq!(log.newest, 2);
    }
}
