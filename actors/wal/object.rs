//! The log in an object store: one create-only object a group.
//!
//! A put that failed, or that was not waited for any longer, may still be stored later. So the next
//! group goes under the same number: either it is stored, and nothing else ever is there, or the
//! earlier one is found there. That one then does not count, which the object after it says in its
//! header: its writers were told that its outcome is unknown, and no shard has its rows.

use super::log::{Log, LogError, WalGroup, bytes_of, list};
use super::owner::Owner;
use crate::runtime::{canary, faults, random};
use async_trait::async_trait;
use object_store::path::Path;
use object_store::{ObjectStore, PutMode, PutOptions, PutPayload};
use protocols::paths;
use protocols::wal_frame::segment::{
    HEADER_BYTES, Header, decode_header, encode_frame, encode_header,
};
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};

/// The log of one process.
pub(super) struct ObjectLog {
    store: Arc<dyn ObjectStore>,
    owner: Owner,
    writer: u128,
    /// Number of the newest object that is known to exist.
    newest: u64,
    /// How much of that object counts; 0 when it is another's, which counts as it is.
    counted_bytes: u64,
    first_own_file: u64,
}

impl ObjectLog {
    /// Opens the log for writing. An object without rows is put under the next number above all
    /// others and `above`, where a process that still writes finds it, as does a put that is still
    /// on its way.
    pub(super) async fn open(owner: Owner, above: u64) -> anyhow::Result<Self> {
        let store = Arc::clone(&owner.objects().store);
        let writer = random::uuid().as_u128();
        let (newest, counted_bytes, first_own_file) = (0, 0, 1);
        let mut log = Self { store, owner, writer, newest, counted_bytes, first_own_file };
        loop {
            let listed =
                list(log.store.as_ref(), log.owner.node()).await?.last().copied().unwrap_or(0);
            log.newest = listed.max(above);
            // A process that was replaced while it started leaves no object: it would lie above
            // those of its successor, which would take itself for the one that was replaced.
            log.check_owner().await?;
            match log.put(None).await {
                Ok(_) => {
                    log.first_own_file = log.newest;
                    return Ok(log);
                }
                // Another process was faster: one of the two is not the owner any more.
                Err(LogError::Fenced) => {}
                Err(error) => anyhow::bail!("error writing wal file: {error}"),
            }
        }
    }

    /// Whether no successor has taken over.
    async fn check_owner(&self) -> Result<(), LogError> {
        if canary::is("rival-ignored") {
            return Ok(());
        }
        match self.owner.is_current().await {
            Ok(true) => Ok(()),
            Ok(false) => Err(LogError::Fenced),
            Err(e) => Err(LogError::Io(format!("cannot tell who owns the WAL: {e}"))),
        }
    }

    /// Puts an object under the next number. Returns its size; but only its header counts until
    /// [`Self::append`] says otherwise.
    async fn put(&mut self, group: Option<&WalGroup>) -> Result<u64, LogError> {
        let sequence = self.newest + 1;
        let path = Path::from(paths::wal_file(self.owner.node(), sequence));
        let previous_bytes = self.counted_bytes;
        let mut bytes = encode_header(Header { writer: self.writer, sequence, previous_bytes });
        if let Some(group) = group {
            let synced = bytes.len() as u64;
            encode_frame(&mut bytes, (group.sequence, group.stamp), synced, &group.entries)?;
        }
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let payload = PutPayload::from(bytes.clone());
        let mut put = self.store.put_opts(&path, payload, options).await;
        if faults::fails("wal-put-ambiguous") {
            let source = "planted failure of a put that succeeded".into();
            put = Err(object_store::Error::Generic { store: "planted", source });
        }
        let Err(error) = put else {
            self.placed(sequence);
            return Ok(bytes.len() as u64);
        };
        // Whatever the store answered, what counts is whose object is there now: a put that was
        // reported as failed, or as late, may have been stored.
        let Some(found) = bytes_of(self.store.as_ref(), &path).await else {
            return Err(LogError::Io(error.to_string()));
        };
        if found == bytes {
            if canary::is("own-put-is-rival") {
                return Err(LogError::Fenced);
            }
            self.placed(sequence);
            return Ok(bytes.len() as u64);
        }
        match decode_header(&found) {
            // An earlier group that was given up, and was stored all the same: this one is not, and
            // goes to the next number.
            Ok(header) if header.writer == self.writer => {
                self.placed(sequence);
                Err(LogError::Io(error.to_string()))
            }
            Ok(_) if canary::is("rival-ignored") => {
                self.newest = sequence;
                Err(LogError::Io(error.to_string()))
            }
            Ok(_) => Err(LogError::Fenced),
            Err(_) => Err(LogError::Io(error.to_string())),
        }
    }

    /// An object of this log is there.
    fn placed(&mut self, sequence: u64) {
        self.newest = sequence;
        self.counted_bytes = HEADER_BYTES as u64;
    }

    async fn append_now(&mut self, group: &WalGroup) -> Result<(), LogError> {
        if faults::fails("wal-put") {
            return Err(LogError::Io("planted failure".to_owned()));
        }
        let bytes = self.put(Some(group)).await?;
        self.check_owner().await?;
        self.counted_bytes = bytes;
        Ok(())
    }
}

#[async_trait]
impl Log for ObjectLog {
    /// The client of the store has retries of its own, which take minutes.
    async fn append(&mut self, group: &WalGroup, until: Instant) -> Result<(), LogError> {
        let late = |_| LogError::Io("the object store has not answered in time".to_owned());
        // Wherever this is cut off, the object that may be there does not count.
        timeout_at(until, self.append_now(group)).await.map_err(late)?
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
    use crate::storage::objects::Objects;
    use crate::storage::objects::planned::{Plan, Planned};
    use bytes::Bytes;
    use object_store::PutResult;
    use object_store::memory::InMemory;
    use protocols::wal_frame::segment::{counted_bytes, read};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    const NODE: &str = "n";

    fn group(sequence: u64, text: &'static [u8]) -> WalGroup {
        WalGroup { sequence, stamp: sequence as i64, entries: vec![Bytes::from_static(text)] }
    }

    async fn open(objects: &Objects) -> ObjectLog {
        ObjectLog::open(Owner::take(objects, NODE).await.unwrap(), 0).await.unwrap()
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    /// The groups that count of each object from the first one on.
    async fn counted(objects: &Objects) -> Vec<Vec<u64>> {
        let mut found = Vec::new();
        let path = |n| Path::from(paths::wal_file(NODE, n));
        let mut next = bytes_of(objects.store.as_ref(), &path(1)).await;
        for n in 2.. {
            let Some(this) = next else { break };
            next = bytes_of(objects.store.as_ref(), &path(n)).await;
            let header = |bytes: &Bytes| decode_header(bytes).unwrap();
            let counted =
                next.as_ref().and_then(|next| counted_bytes(&header(&this), &header(next)));
            let segment = read(&this, counted).unwrap();
            assert!(segment.damaged.is_empty(), "{:?}", segment.damaged);
            found.push(segment.frames.iter().map(|frame| frame.sequence).collect());
        }
        found
    }

    #[actix_rt::test]
    async fn a_group_that_was_given_up_and_is_there_does_not_count() {
        let objects = Objects::memory();
        let mut log = open(&objects).await;
        log.append(&group(1, b"one"), soon()).await.unwrap();
        // As if the answer to the second put had been lost for good.
        let known = (log.newest, log.counted_bytes);
        log.put(Some(&group(2, b"two"))).await.unwrap();
        (log.newest, log.counted_bytes) = known;
        let third = group(3, b"three");
        assert!(matches!(log.append(&third, soon()).await, Err(LogError::Io(_))));
        assert_eq!(counted(&objects).await, [vec![], vec![1], vec![2]], "it may count still");
        log.append(&third, soon()).await.unwrap();
        assert_eq!(log.newest, 4);
        assert_eq!(counted(&objects).await, [vec![], vec![1], vec![], vec![3]]);
        log.append(&group(4, b"four"), soon()).await.unwrap();
        assert_eq!(counted(&objects).await, [vec![], vec![1], vec![], vec![3], vec![4]]);
    }

    #[actix_rt::test]
    async fn the_put_of_a_replaced_process_finds_its_place_taken() {
        let objects = Objects::memory();
        let mut older = open(&objects).await;
        let mut newer = open(&objects).await;
        assert_eq!(older.append(&group(1, b"one"), soon()).await, Err(LogError::Fenced));
        newer.append(&group(2, b"two"), soon()).await.unwrap();
        assert_eq!(counted(&objects).await, [vec![], vec![], vec![2]]);
    }

    /// Stores what is put and, while it is on, does not answer.
    #[derive(Debug, Default)]
    struct Silent(AtomicBool);

    #[async_trait]
    impl Plan for Silent {
        async fn put(
            &self,
            inner: &InMemory,
            at: &Path,
            bytes: PutPayload,
            how: PutOptions,
        ) -> object_store::Result<PutResult> {
            let answer = inner.put_opts(at, bytes, how).await;
            if self.0.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            answer
        }
    }

    #[actix_rt::test]
    async fn a_store_that_does_not_answer_is_not_waited_for_and_its_put_does_not_count() {
        let (silent, objects) = Planned::new(Silent::default());
        let mut log = open(&objects).await;
        silent.0.store(true, Ordering::SeqCst);
        let until = Instant::now() + Duration::from_millis(20);
        let error = log.append(&group(1, b"one"), until).await.unwrap_err();
        assert!(error.to_string().contains("has not answered in time"), "{error}");
        silent.0.store(false, Ordering::SeqCst);
        let second = group(2, b"two");
        while log.append(&second, soon()).await.is_err() {}
        assert_eq!(counted(&objects).await, [vec![], vec![], vec![2]]);
    }
}
