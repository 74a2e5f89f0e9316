//! The actor: says when its worker does what.

use super::ask::Mailboxes;
use super::index::IndexLog;
use super::worker::{Left, Settings, Worker};
use crate::parquet_cache::ParquetCache;
use crate::runtime::actor::{Cx, Receive, Service};
use crate::runtime::canary;
use crate::runtime::clock::Clock;
use crate::runtime::fatal::Fatal;
use crate::runtime::mailbox::{Mailbox, Responder};
use crate::runtime::objects::Objects;
use crate::runtime::published::Published;
use crate::store::StoreShards;
use crate::triggers::RowsFeed;
use crate::wal::{Owner, Wal};
use futures::FutureExt;
use futures::future::{AbortHandle, Aborted, abortable};
use protocols::messages::persist::{CleanUp, FinishSnapshot, SnapshotDue};
use protocols::messages::rank;
use protocols::schema::CatalogSnapshot;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::Duration;

/// How long the object of a removed file stays at least, so that queries that had begun can end.
pub const OBJECT_GRACE_MIN: Duration = Duration::from_secs(300);

/// How a [`Persist`] is set up.
#[derive(Clone, Debug)]
pub struct PersistConfig {
    /// Prefix of the node's objects.
    pub node: String,
    /// The claim of this process. Its identity names the process in the index.
    pub owner: Owner,
    /// Where everything is kept.
    pub objects: Objects,
    /// The shards whose chunks become files.
    pub stores: StoreShards,
    /// Decides when a snapshot is taken.
    pub wal: Mailbox<Wal>,
    /// Tables and retention periods.
    pub catalog: Published<CatalogSnapshot>,
    /// Gets the files that were written, if there is one.
    pub cache: Option<Mailbox<ParquetCache>>,
    /// Wall-clock time, for retention.
    pub clock: Clock,
    /// Who hears of snapshots that are durable.
    pub triggers: Option<RowsFeed>,
    /// Raised when another process has taken over.
    pub fatal: Fatal,
    /// Chunks that are sorted, encoded and stored at once.
    pub concurrency: usize,
    /// Memory that these may take beside their rows, in bytes.
    pub bytes_max: usize,
    /// So many WAL files are kept although their rows are in Parquet files.
    pub wal_files_kept: u64,
    /// So long WAL files stay after the snapshot that made them unnecessary.
    pub wal_delete_delay: Duration,
    /// So long objects stay after their file was removed; [`OBJECT_GRACE_MIN`] or more.
    pub object_grace: Duration,
    /// How often files are looked for that are past retention, besides after each snapshot.
    pub retention_check_interval: Duration,
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

/// Work that ends with the actor. Two lives of it at work on the same snapshot would number its
/// files in two ways.
struct UnderWay(AbortHandle);

impl Drop for UnderWay {
    fn drop(&mut self) {
        if !canary::is("work-outlives-actor") {
            self.0.abort();
        }
    }
}

impl Persist {
    /// Loads the index of files. A snapshot that was under way begins again.
    ///
    /// # Errors
    /// When the index cannot be read, the store fails, or another process has started meanwhile.
    pub async fn open(config: PersistConfig) -> anyhow::Result<Self> {
        let log = IndexLog::take_over(&config.objects, &config.node, &config.owner).await?;
        let worker = Worker::open(Settings::of(&config), Mailboxes::of(&config), log).await?;
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
                worker.clean_up().await
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
        result: Result<bool, Left>,
        cx: &mut Cx<'_, Self>,
    ) {
        self.worker = Some(worker);
        self.work = None;
        self.snapshot_runs = false;
        match result {
            Ok(more) => self.clean_up_due |= more,
            // The next clean-up finds out what is left to do.
            Err(Left::Overtaken) => {}
            Err(Left::Fenced) => self.fenced = true,
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
