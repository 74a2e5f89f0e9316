//! The actor: says in which order the steps of the index are taken.

use super::ask::Mailboxes;
use super::keeper::{Keeper, Left, Settings};
use super::log::IndexLog;
use super::sweep::{Deleted, delete_objects};
use crate::parquet_cache::ParquetCache;
use crate::runtime::actor::{Cx, Receive, Service};
use crate::runtime::clock::Clock;
use crate::runtime::fatal::Fatal;
use crate::runtime::mailbox::{Mailbox, Responder};
use crate::runtime::published::Published;
use crate::storage::objects::Objects;
use crate::store::StoreShards;
use crate::wal::Owner;
use futures::FutureExt;
use futures::future::{AbortHandle, Aborted, LocalBoxFuture, abortable};
use protocols::catalog::CatalogSnapshot;
use protocols::messages::index::{
    AppendCompaction, AppendSnapshot, AwaitStep, CompactionRefused, FindSnapshot, IndexError,
    ListFiles, SweepFiles, SweepOrphans,
};
use protocols::messages::rank;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::Duration;

/// How long the object of a removed file stays at least, so that queries that had begun can end.
pub const OBJECT_GRACE_MIN: Duration = Duration::from_secs(300);

/// How an [`Index`] is set up.
#[derive(Clone, Debug)]
pub struct IndexConfig {
    /// Prefix of the node's objects.
    pub node: String,
    /// The claim of this process. Its identity names the process in the index.
    pub owner: Owner,
    /// Where everything is kept.
    pub objects: Objects,
    /// The shards that show the files.
    pub stores: StoreShards,
    /// Tables and retention periods.
    pub catalog: Published<CatalogSnapshot>,
    /// Has some of the files in memory, if there is one.
    pub cache: Option<Mailbox<ParquetCache>>,
    /// Wall-clock time, for retention.
    pub clock: Clock,
    /// Raised when another process has taken over.
    pub fatal: Fatal,
    /// So long objects stay after their file was removed; [`OBJECT_GRACE_MIN`] or more.
    pub object_grace: Duration,
    /// So long objects stay after others were put in their place, and in any case until nobody reads
    /// them.
    pub cleanup_wait: Duration,
    /// How often files are looked for that are past retention, besides after each snapshot.
    pub retention_check_interval: Duration,
}

/// See the module's page.
pub struct Index {
    /// `None` while a step is under way.
    keeper: Option<Box<Keeper<Mailboxes>>>,
    /// Work under way, which ends with the actor.
    step: Option<UnderWay>,
    deletion: Option<UnderWay>,
    /// What waits for its turn. Snapshots go first: rows in memory are what the server can have
    /// too many of.
    snapshots: VecDeque<(AppendSnapshot, Responder<AppendSnapshot>)>,
    questions: Vec<(FindSnapshot, Responder<FindSnapshot>)>,
    lists: Vec<Responder<ListFiles>>,
    waiting: Vec<Responder<AwaitStep>>,
    /// In the order in which they came: what a compaction has left is swept after its step.
    compactions: VecDeque<Compaction>,
    deleted: Option<Deleted>,
    sweep_due: bool,
    /// Another process has taken over: nothing is begun any more.
    fenced: bool,
}

/// What the compaction asks for.
enum Compaction {
    Append(AppendCompaction, Responder<AppendCompaction>),
    Sweep(Responder<SweepOrphans>),
}

/// Work that ends with the actor.
struct UnderWay(AbortHandle);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A step under way. It gives the keeper back, and what is to be told of its result.
type Step = LocalBoxFuture<'static, (Box<Keeper<Mailboxes>>, Result<(), Left>)>;

impl Index {
    /// Loads the index of files.
    ///
    /// # Errors
    /// When the index cannot be read, the store fails, or another process has started meanwhile.
    pub async fn open(config: IndexConfig) -> anyhow::Result<Self> {
        let log = IndexLog::take_over(&config.objects, &config.node, &config.owner).await?;
        let keeper = Keeper::new(Settings::of(&config), Mailboxes::of(&config), log);
        Ok(Self {
            keeper: Some(Box::new(keeper)),
            step: None,
            deletion: None,
            snapshots: VecDeque::new(),
            questions: Vec::new(),
            lists: Vec::new(),
            waiting: Vec::new(),
            compactions: VecDeque::new(),
            deleted: None,
            sweep_due: false,
            fenced: false,
        })
    }

    /// Takes the next step, unless one is under way.
    fn go_on(&mut self, cx: &mut Cx<'_, Self>) {
        if self.fenced {
            let refused = self.snapshots.drain(..);
            refused.for_each(|(_, reply)| reply.answer(Err(IndexError::Fenced)));
            for compaction in self.compactions.drain(..) {
                match compaction {
                    Compaction::Append(_, reply) => reply.answer(Err(CompactionRefused::Fenced)),
                    Compaction::Sweep(reply) => reply.answer(None),
                }
            }
        }
        let Some(keeper) = self.keeper.take() else { return };
        for (question, reply) in self.questions.drain(..) {
            reply.answer(keeper.find(question));
        }
        self.waiting.drain(..).for_each(|reply| reply.answer(()));
        for reply in self.lists.drain(..) {
            reply.answer(keeper.list());
        }
        match self.next_step(keeper, cx) {
            Ok(step) => self.run(step, cx),
            Err(idle) => self.keeper = Some(idle),
        }
    }

    /// What is due, or the keeper when nothing is.
    fn next_step(
        &mut self,
        mut keeper: Box<Keeper<Mailboxes>>,
        cx: &mut Cx<'_, Self>,
    ) -> Result<Step, Box<Keeper<Mailboxes>>> {
        if self.fenced {
            return Err(keeper);
        }
        if let Some((append, reply)) = self.snapshots.pop_front() {
            let step = async move {
                let appended = keeper.append_snapshot(append).await;
                let left = appended.as_ref().map(|_| ()).map_err(|left| *left);
                reply.answer(appended.map_err(|_| IndexError::Fenced));
                (keeper, left)
            };
            return Ok(step.boxed_local());
        }
        if let Some(deleted) = self.deleted.take() {
            return Ok(async move {
                let noted = keeper.note_deleted(deleted).await;
                (keeper, noted)
            }
            .boxed_local());
        }
        if std::mem::take(&mut self.sweep_due) {
            return Ok(async move {
                let swept = keeper.sweep().await;
                (keeper, swept)
            }
            .boxed_local());
        }
        if let Some(compaction) = self.compactions.pop_front() {
            return Ok(compact(keeper, compaction).boxed_local());
        }
        if self.deletion.is_none() {
            self.delete(&mut keeper, cx);
        }
        Err(keeper)
    }

    fn run(&mut self, step: Step, cx: &mut Cx<'_, Self>) {
        // A panic in the work is one of the actor: its guardian rebuilds it.
        let (work, handle) = abortable(AssertUnwindSafe(step).catch_unwind().boxed_local());
        self.step = Some(UnderWay(handle));
        cx.then(work, |index, done, cx| match done {
            Ok(Ok((keeper, result))) => {
                index.keeper = Some(keeper);
                index.step = None;
                // What was overtaken is found out again by the next sweep.
                index.fenced |= result == Err(Left::Fenced);
                index.go_on(cx);
            }
            Ok(Err(panic)) => resume_unwind(panic),
            Err(Aborted) => {}
        });
    }

    /// Deletes objects whose time has come, beside the steps of the index.
    fn delete(&mut self, keeper: &mut Keeper<Mailboxes>, cx: &mut Cx<'_, Self>) {
        let files = keeper.deletable();
        if files.is_empty() {
            return;
        }
        let (settings, peers) = (keeper.settings.clone(), keeper.peers.clone());
        let work = async move { delete_objects(&settings, &peers, files).await };
        let (work, handle) = abortable(AssertUnwindSafe(work).catch_unwind().boxed_local());
        self.deletion = Some(UnderWay(handle));
        cx.then(work, |index, done, cx| match done {
            Ok(Ok(deleted)) => {
                index.deletion = None;
                index.deleted = Some(deleted);
                index.go_on(cx);
            }
            Ok(Err(panic)) => resume_unwind(panic),
            Err(Aborted) => {}
        });
    }
}

/// Does what the compaction asks for.
async fn compact(
    mut keeper: Box<Keeper<Mailboxes>>,
    compaction: Compaction,
) -> (Box<Keeper<Mailboxes>>, Result<(), Left>) {
    let left = match compaction {
        Compaction::Append(append, reply) => {
            let appended = keeper.append_compaction(append).await;
            let is_fenced = appended == Err(CompactionRefused::Fenced);
            reply.answer(appended);
            if is_fenced { Err(Left::Fenced) } else { Ok(()) }
        }
        Compaction::Sweep(reply) => {
            let swept = keeper.sweep_orphans().await;
            reply.answer(swept.unwrap_or_default());
            swept.map(|_| ())
        }
    };
    (keeper, left)
}

impl Service for Index {
    const RANK: u8 = rank::INDEX;
}

impl Receive<FindSnapshot> for Index {
    fn receive(
        &mut self,
        find: FindSnapshot,
        reply: Responder<FindSnapshot>,
        cx: &mut Cx<'_, Self>,
    ) {
        self.questions.push((find, reply));
        self.go_on(cx);
    }
}

impl Receive<AppendSnapshot> for Index {
    fn receive(
        &mut self,
        append: AppendSnapshot,
        reply: Responder<AppendSnapshot>,
        cx: &mut Cx<'_, Self>,
    ) {
        self.snapshots.push_back((append, reply));
        self.go_on(cx);
    }
}

impl Receive<AwaitStep> for Index {
    fn receive(&mut self, _: AwaitStep, reply: Responder<AwaitStep>, cx: &mut Cx<'_, Self>) {
        self.waiting.push(reply);
        self.go_on(cx);
    }
}

impl Receive<ListFiles> for Index {
    fn receive(&mut self, _: ListFiles, reply: Responder<ListFiles>, cx: &mut Cx<'_, Self>) {
        self.lists.push(reply);
        self.go_on(cx);
    }
}

impl Receive<AppendCompaction> for Index {
    fn receive(
        &mut self,
        append: AppendCompaction,
        reply: Responder<AppendCompaction>,
        cx: &mut Cx<'_, Self>,
    ) {
        self.compactions.push_back(Compaction::Append(append, reply));
        self.go_on(cx);
    }
}

impl Receive<SweepOrphans> for Index {
    fn receive(&mut self, _: SweepOrphans, reply: Responder<SweepOrphans>, cx: &mut Cx<'_, Self>) {
        self.compactions.push_back(Compaction::Sweep(reply));
        self.go_on(cx);
    }
}

impl Receive<SweepFiles> for Index {
    fn receive(&mut self, _: SweepFiles, reply: Responder<SweepFiles>, cx: &mut Cx<'_, Self>) {
        self.sweep_due = true;
        self.go_on(cx);
        reply.answer(());
    }
}
