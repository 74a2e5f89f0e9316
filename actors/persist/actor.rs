//! The actor: says when its worker does what.

use super::ask::Mailboxes;
use super::settings::Settings;
use super::worker::Worker;
use crate::index::Index;
use crate::parquet_cache::ParquetCache;
use crate::runtime::actor::{Cx, Receive, Service};
use crate::runtime::mailbox::{Mailbox, Responder};
use crate::runtime::published::Published;
use crate::storage::objects::Objects;
use crate::store::StoreShards;
use crate::triggers::RowsFeed;
use crate::wal::Wal;
use futures::FutureExt;
use futures::future::{AbortHandle, Aborted, abortable};
use protocols::catalog::CatalogSnapshot;
use protocols::messages::index::IndexError;
use protocols::messages::persist::{CleanUp, FinishSnapshot, SnapshotDue};
use protocols::messages::rank;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::Duration;

/// How a [`Persist`] is set up.
#[derive(Clone, Debug)]
pub struct PersistConfig {
    /// Prefix of the node's objects.
    pub node: String,
    /// Where everything is kept.
    pub objects: Objects,
    /// The shards whose chunks become files.
    pub stores: StoreShards,
    /// Decides when a snapshot is taken.
    pub wal: Mailbox<Wal>,
    /// Knows which files there are.
    pub index: Mailbox<Index>,
    /// Tables that are gone need no files.
    pub catalog: Published<CatalogSnapshot>,
    /// Gets the files that were written, if there is one.
    pub cache: Option<Mailbox<ParquetCache>>,
    /// Who hears of snapshots that are durable.
    pub triggers: Option<RowsFeed>,
    /// Chunks that are sorted, encoded and stored at once.
    pub concurrency: usize,
    /// Memory that these may take beside their rows, in bytes.
    pub bytes_max: usize,
    /// So many WAL files are kept although their rows are in Parquet files.
    pub wal_files_kept: u64,
    /// So long WAL files stay after the snapshot that made them unnecessary.
    pub wal_delete_delay: Duration,
}

/// See the module's page.
pub struct Persist {
    /// `None` while it works.
    worker: Option<Box<Worker<Mailboxes>>>,
    work: Option<UnderWay>,
    snapshot_due: bool,
    clean_up_due: bool,
    /// What the worker does is a snapshot.
    snapshot_runs: bool,
    /// Another process has taken over: nothing is begun any more.
    fenced: bool,
    finishing: Vec<Responder<FinishSnapshot>>,
}

/// Work that ends with the actor: the next life does it again.
struct UnderWay(AbortHandle);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Persist {
    /// Finds out what is left to do. A snapshot that was under way begins again.
    ///
    /// # Errors
    /// When the log cannot be listed.
    pub async fn open(config: PersistConfig) -> anyhow::Result<Self> {
        let worker = Worker::open(Settings::of(&config), Mailboxes::of(&config)).await?;
        Ok(Self {
            worker: Some(Box::new(worker)),
            work: None,
            snapshot_due: true,
            clean_up_due: false,
            snapshot_runs: false,
            fenced: false,
            finishing: Vec::new(),
        })
    }

    /// Has the worker do what is due, unless it works already. Snapshots go first: rows in memory
    /// are what the server can have too many of.
    fn go_on(&mut self, cx: &mut Cx<'_, Self>) {
        if self.fenced {
            return;
        }
        let Some(mut worker) = self.worker.take() else { return };
        let snapshot = std::mem::take(&mut self.snapshot_due);
        if !snapshot && !std::mem::take(&mut self.clean_up_due) {
            self.worker = Some(worker);
            return;
        }
        self.snapshot_runs = snapshot;
        let work = async move {
            let result = if snapshot {
                worker.take_snapshots().await.map(|()| false)
            } else {
                Ok(worker.clean_up().await)
            };
            (worker, result)
        };
        // A panic in the work is one of the actor: its guardian rebuilds it.
        let (work, handle) = abortable(AssertUnwindSafe(work).catch_unwind().boxed_local());
        self.work = Some(UnderWay(handle));
        cx.then(work, |persist, done, cx| match done {
            Ok(Ok((worker, result))) => persist.finish(worker, result, cx),
            Ok(Err(panic)) => resume_unwind(panic),
            Err(Aborted) => {}
        });
    }

    fn finish(
        &mut self,
        worker: Box<Worker<Mailboxes>>,
        result: Result<bool, IndexError>,
        cx: &mut Cx<'_, Self>,
    ) {
        self.worker = Some(worker);
        self.work = None;
        self.snapshot_runs = false;
        match result {
            Ok(more) => self.clean_up_due |= more,
            Err(IndexError::Fenced) => self.fenced = true,
        }
        self.answer_finished();
        self.go_on(cx);
    }

    fn answer_finished(&mut self) {
        let under_way = self.snapshot_runs || (self.snapshot_due && !self.fenced);
        if !under_way {
            self.finishing.drain(..).for_each(|reply| reply.answer(()));
        }
    }
}

impl Service for Persist {
    const RANK: u8 = rank::PERSIST;

    fn started(&mut self, cx: &mut Cx<'_, Self>) {
        self.go_on(cx);
    }
}

impl Receive<SnapshotDue> for Persist {
    fn receive(&mut self, _: SnapshotDue, reply: Responder<SnapshotDue>, cx: &mut Cx<'_, Self>) {
        self.snapshot_due = true;
        self.go_on(cx);
        reply.answer(());
    }
}

impl Receive<CleanUp> for Persist {
    fn receive(&mut self, _: CleanUp, reply: Responder<CleanUp>, cx: &mut Cx<'_, Self>) {
        self.clean_up_due = true;
        self.go_on(cx);
        reply.answer(());
    }
}

impl Receive<FinishSnapshot> for Persist {
    fn receive(
        &mut self,
        _: FinishSnapshot,
        reply: Responder<FinishSnapshot>,
        _: &mut Cx<'_, Self>,
    ) {
        self.finishing.push(reply);
        self.answer_finished();
    }
}
