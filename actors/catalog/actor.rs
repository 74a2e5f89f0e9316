//! The actor around [`super::plan`] and [`super::log`]: group commit, lost races, checkpoints.

use super::CatalogConfig;
use super::audited::{self, Told};
use super::log::{Appended, CatalogLog, Loaded};
use super::plan;
use super::request::Request;
use super::state::CatalogState;
use crate::runtime::actor::{Cx, Receive, Service};
use crate::runtime::mailbox::Responder;
use crate::runtime::pools::Pool;
use crate::runtime::published::{Published, Publisher};
use crate::runtime::random;
use anyhow::{Context, bail};
use protocols::catalog::CatalogSnapshot;
use protocols::catalog_log::encode_checkpoint;
use protocols::catalog_log::v1::{Change, LogRecord};
use protocols::messages::audit::{AuditEntry, KeepAudit, Outcome};
use protocols::messages::catalog::{
    AbortRowDelete, AcceptRowDelete, By, CatalogError, CatchUp, CompleteRowDelete, CreateDatabase,
    CreateDistinctCache, CreateLastCache, CreatePlugin, CreateTable, CreateToken, CreateTrigger,
    DeleteCache, DeleteDatabase, DeletePlugin, DeleteTable, DeleteToken, DeleteTrigger,
    DropRowDelete, EnsureSchema, NodeStopped, RegenerateToken, RequestRowDelete, SetIndexedColumns,
    SetRetention, SetTableRetention, SetTriggerDisabled, SweepDeleted, UndeleteDatabase,
    UndeleteTable,
};
use protocols::messages::downsamples::{CreateDownsample, DeleteDownsample, SetDownsampleDisabled};
use protocols::messages::{Command, rank};
use protocols::principal::{Origin, Principal};
use std::borrow::Cow;
use std::sync::Arc;

/// So many records after a checkpoint the next one is made.
const CHECKPOINT_EVERY: u64 = 100;
/// How often a group of requests may lose the race for its sequence number.
const RACES_MAX: u32 = 20;

type Reply = Result<Arc<CatalogSnapshot>, CatalogError>;

/// See the module's page.
pub struct Catalog {
    config: CatalogConfig,
    log: CatalogLog,
    /// What is durable, and what readers see.
    state: CatalogState,
    publisher: Publisher<CatalogSnapshot>,
    /// Requests that wait for the put under way.
    waiting: Vec<Waiting>,
    /// Those who wait for the records of others.
    catching_up: Vec<Responder<CatchUp>>,
    /// A put is under way, or a reading of the records of others.
    busy: bool,
    /// Nobody knows what came of the last put: its record may be there, or come to be.
    in_doubt: bool,
    checkpoint_sequence: u64,
    /// Encodes checkpoints off the actor's thread.
    pool: Pool,
}

/// An opened catalog.
pub struct Opened {
    /// The actor's state.
    pub catalog: Catalog,
    /// The readers' side of its snapshots.
    pub snapshot: Published<CatalogSnapshot>,
    /// For [`Catalog::open`] in the actor's next life.
    pub publisher_again: Publisher<CatalogSnapshot>,
}

/// A request and where its answer goes.
struct Waiting {
    request: Request,
    principal: Principal,
    origin: Origin,
    answer: Box<dyn FnOnce(Reply) + Send>,
}

/// Requests on their way into the log as one record.
struct RecordGroup {
    requests: Vec<Waiting>,
    /// What each of them is told once the record is stored.
    outcomes: Vec<Result<(), CatalogError>>,
    /// What the audit log is told then, with the place of the request.
    told: Vec<(usize, Told)>,
    /// The catalog with the record.
    next: CatalogState,
    races_lost: u32,
}

impl Catalog {
    /// Reads the catalog from its files, makes them if there are none, and records that this node
    /// runs. In the actor's later lives it goes on with the `publisher` of the first.
    ///
    /// # Errors
    /// When the store fails, or a file is damaged, missing or of another catalog.
    pub async fn open(
        config: &CatalogConfig,
        publisher: Option<Publisher<CatalogSnapshot>>,
    ) -> anyhow::Result<Opened> {
        let log = CatalogLog::new(config.objects.clone(), config.node_id.clone());
        let Loaded { state, checkpoint_sequence } = match log.load().await? {
            Some(loaded) => loaded,
            None => create(&log, config).await?,
        };
        let state = record_start(&log, config, state).await?;
        let stored_ns = state.snapshot.gen1_duration_ns;
        if stored_ns != config.gen1_duration_ns {
            tracing::warn!(
                stored_ns,
                configured_ns = config.gen1_duration_ns,
                "the gen1 duration was fixed when the store was made; the stored one is used"
            );
        }
        let publisher = match publisher {
            Some(publisher) => {
                publisher.publish(Arc::clone(&state.snapshot));
                publisher
            }
            None => Published::new(Arc::clone(&state.snapshot)).0,
        };
        let (snapshot, publisher_again) = (publisher.reader(), publisher.again());
        let catalog = Self {
            config: config.clone(),
            log,
            state,
            publisher,
            waiting: Vec::new(),
            catching_up: Vec::new(),
            busy: false,
            in_doubt: false,
            checkpoint_sequence,
            pool: Pool::new("catalog-checkpoint", 1, 1)?,
        };
        Ok(Opened { catalog, snapshot, publisher_again })
    }

    fn take<M>(
        &mut self,
        request: Request,
        (principal, origin): (Principal, Origin),
        reply: Responder<M>,
        cx: &mut Cx<'_, Self>,
    ) where
        M: Command<Reply = Reply>,
    {
        let answer = Box::new(move |result| reply.answer(result));
        self.waiting.push(Waiting { request, principal, origin, answer });
        self.commit_waiting(cx);
    }

    /// Reads the records of others, if somebody waits for them and nothing is under way.
    fn catch_up(&mut self, cx: &mut Cx<'_, Self>) {
        if self.busy || self.catching_up.is_empty() {
            return;
        }
        self.busy = true;
        let replies = std::mem::take(&mut self.catching_up);
        let (log, next) = (self.log.clone(), self.state.next_header());
        cx.then(async move { log.newer(next).await }, move |catalog, newer, cx| {
            catalog.busy = false;
            let read = newer.map_err(|error| format!("{error:#}"));
            let result = read.and_then(|records| catalog.take_in(&records));
            for reply in replies {
                let result = result.clone().map_err(CatalogError::Storage);
                reply.answer(result.map(|()| Arc::clone(&catalog.state.snapshot)));
            }
            catalog.go_on(cx);
        });
    }

    /// What waited while something was under way.
    fn go_on(&mut self, cx: &mut Cx<'_, Self>) {
        self.catch_up(cx);
        self.commit_waiting(cx);
    }

    /// Takes the waiting requests in turn until a put is under way.
    fn commit_waiting(&mut self, cx: &mut Cx<'_, Self>) {
        while !self.busy && !self.waiting.is_empty() {
            // What takes something away begins a group: what came before it gets a snapshot that
            // still has everything.
            let later = self.waiting.iter().skip(1).position(|w| w.request.removes());
            let end = later.map_or(self.waiting.len(), |i| i + 1);
            let rest = self.waiting.split_off(end);
            let requests = std::mem::replace(&mut self.waiting, rest);
            self.commit(requests, 0, cx);
        }
    }

    /// Validates `requests` in order, each against the catalog as the earlier ones leave it, and
    /// starts the put of their changes. If there are none, they are answered at once, unless the catalog
    /// is in doubt: then a record without changes takes the place of the one that may come to be.
    fn commit(&mut self, requests: Vec<Waiting>, races_lost: u32, cx: &mut Cx<'_, Self>) {
        let now_ns = self.config.clock.now_ns();
        let mut next = Cow::Borrowed(&self.state);
        let mut changes: Vec<Change> = Vec::new();
        let mut outcomes = Vec::with_capacity(requests.len());
        let mut told = Vec::new();
        for (place, waiting) in requests.iter().enumerate() {
            let planned =
                plan::plan(&next, &waiting.request, &waiting.principal, &self.config, now_ns);
            outcomes.push(planned.map(|planned| {
                for change in &planned {
                    if self.config.audit.is_some() {
                        let of_change = audited::change(&next.snapshot, change);
                        told.extend(of_change.map(|told| (place, told)));
                    }
                    next.to_mut()
                        .apply(change)
                        .expect("a change fits the catalog that it was planned for");
                }
                changes.extend(planned);
            }));
        }
        if changes.is_empty() && !self.in_doubt {
            self.answer(requests, outcomes);
            return;
        }
        let mut next = next.into_owned();
        next.advance();
        let header = self.state.next_header();
        let record = LogRecord { nonce: random::uuid(), time_ns: now_ns, changes };
        let group = RecordGroup { requests, outcomes, told, next, races_lost };
        let log = self.log.clone();
        self.busy = true;
        cx.then(async move { log.append(header, &record).await }, move |catalog, appended, cx| {
            catalog.finish(group, appended, cx)
        });
    }

    /// A put has ended.
    fn finish(&mut self, group: RecordGroup, appended: Appended, cx: &mut Cx<'_, Self>) {
        self.busy = false;
        self.in_doubt = matches!(appended, Appended::Failed(_));
        match appended {
            Appended::Ours => {
                self.show(group.next);
                self.tell_of_changes(&group.requests, group.told);
                self.answer(group.requests, group.outcomes);
            }
            Appended::Lost(records) => self.retry(group, &records, cx),
            Appended::Failed(error) => {
                tracing::error!(error, "the catalog could not be written");
                self.refuse(group.requests, &error);
            }
        }
        self.start_checkpoint(cx);
        self.go_on(cx);
    }

    /// Takes in what others have written and tries again behind it.
    fn retry(&mut self, group: RecordGroup, records: &[LogRecord], cx: &mut Cx<'_, Self>) {
        if let Err(error) = self.take_in(records) {
            self.refuse(group.requests, &error);
            return;
        }
        if group.races_lost >= RACES_MAX {
            let why = "other processes keep changing the catalog, try again";
            self.refuse(group.requests, why);
            return;
        }
        self.commit(group.requests, group.races_lost + 1, cx);
    }

    /// Applies the records of others, all or none.
    fn take_in(&mut self, records: &[LogRecord]) -> Result<(), String> {
        let mut state = self.state.clone();
        for record in records {
            if let Err(error) = state.apply_record(record) {
                tracing::error!(%error, "another process has written a record that does not fit");
                return Err(error.to_string());
            }
        }
        self.show(state);
        Ok(())
    }

    fn show(&mut self, state: CatalogState) {
        self.state = state;
        self.publisher.publish(Arc::clone(&self.state.snapshot));
    }

    fn answer(&self, requests: Vec<Waiting>, outcomes: Vec<Result<(), CatalogError>>) {
        for (waiting, outcome) in requests.into_iter().zip(outcomes) {
            if let Err(error) = &outcome {
                self.tell_of_failure(&waiting, error);
            }
            (waiting.answer)(outcome.map(|()| Arc::clone(&self.state.snapshot)));
        }
    }

    /// Tells all of `requests` that nothing was changed.
    fn refuse(&self, requests: Vec<Waiting>, why: &str) {
        for waiting in requests {
            let error = CatalogError::Storage(why.to_owned());
            self.tell_of_failure(&waiting, &error);
            (waiting.answer)(Err(error));
        }
    }

    fn tell_of_changes(&self, requests: &[Waiting], told: Vec<(usize, Told)>) {
        for (place, told) in told {
            if let Some(waiting) = requests.get(place) {
                self.tell(waiting, told, Outcome::Done);
            }
        }
    }

    /// What was refused for want of a right is told where the request came in.
    fn tell_of_failure(&self, waiting: &Waiting, error: &CatalogError) {
        let is_denied = matches!(error, CatalogError::Denied(_));
        if let Some(told) = audited::request(&waiting.request).filter(|_| !is_denied) {
            let detail = Some(error.to_string());
            self.tell(waiting, Told { detail, ..told }, Outcome::Failed);
        }
    }

    /// The audit log counts what it has no room for.
    fn tell(&self, waiting: &Waiting, told: Told, outcome: Outcome) {
        let Some(audit) = &self.config.audit else { return };
        let Told { action, object, detail } = told;
        let who = (&waiting.principal, waiting.origin.clone());
        let entry = AuditEntry::new(self.config.clock.now_ns(), who, action, object);
        let entry = match detail {
            Some(detail) => entry.with_detail(detail),
            None => entry,
        };
        audit.tell(KeepAudit(entry.ended(outcome)));
    }

    /// Writes a checkpoint in the background when one is due. Should it fail, the next is due a
    /// hundred records later; nothing depends on it but the time a start takes.
    fn start_checkpoint(&mut self, cx: &mut Cx<'_, Self>) {
        let sequence = self.state.snapshot.sequence;
        if sequence < self.checkpoint_sequence + CHECKPOINT_EVERY {
            return;
        }
        self.checkpoint_sequence = sequence;
        let state = self.state.clone();
        let encoded = self.pool.run(move || {
            let (header, checkpoint) = state.to_checkpoint();
            encode_checkpoint(header, &checkpoint)
        });
        let log = self.log.clone();
        cx.then(
            async move { log.put_checkpoint(sequence, encoded.await?).await },
            move |_, stored: anyhow::Result<()>, _| {
                if let Err(error) = stored {
                    tracing::warn!(error = format!("{error:#}"), "no catalog checkpoint written");
                }
            },
        );
    }
}

/// Makes a new catalog, unless another process is faster.
async fn create(log: &CatalogLog, config: &CatalogConfig) -> anyhow::Result<Loaded> {
    let mut state = CatalogState::empty(random::uuid());
    let record = LogRecord {
        nonce: random::uuid(),
        time_ns: config.clock.now_ns(),
        changes: plan::creation(config.gen1_duration_ns),
    };
    let appended = log.append(state.next_header(), &record).await;
    if let Appended::Ours = appended {
        state.apply_record(&record)?;
        return Ok(Loaded { state, checkpoint_sequence: 0 });
    }
    let loaded = log.load().await?;
    loaded.with_context(|| format!("the catalog could not be made: {appended:?}"))
}

/// Records that the node runs.
async fn record_start(
    log: &CatalogLog,
    config: &CatalogConfig,
    mut state: CatalogState,
) -> anyhow::Result<CatalogState> {
    for _ in 0..RACES_MAX {
        let time_ns = config.clock.now_ns();
        let changes = plan::set_node(&state, &config.node_id, true, time_ns);
        if changes.is_empty() {
            return Ok(state);
        }
        let record = LogRecord { nonce: random::uuid(), time_ns, changes };
        match log.append(state.next_header(), &record).await {
            Appended::Ours => {
                state.apply_record(&record)?;
                return Ok(state);
            }
            Appended::Lost(records) => {
                for record in &records {
                    state.apply_record(record)?;
                }
            }
            Appended::Failed(error) => bail!("the catalog could not be written: {error}"),
        }
    }
    bail!("other processes keep changing the catalog")
}

impl Service for Catalog {
    const RANK: u8 = rank::CATALOG;
}

impl Receive<CatchUp> for Catalog {
    fn receive(&mut self, _: CatchUp, reply: Responder<CatchUp>, cx: &mut Cx<'_, Self>) {
        self.catching_up.push(reply);
        self.catch_up(cx);
    }
}

/// What somebody asks for.
macro_rules! receive {
    ($($message:ident)*) => {$(
        impl Receive<By<$message>> for Catalog {
            fn receive(
                &mut self,
                By { principal, origin, change }: By<$message>,
                reply: Responder<By<$message>>,
                cx: &mut Cx<'_, Self>,
            ) {
                self.take(Request::$message(change), (principal, origin), reply, cx);
            }
        }
    )*};
}

receive! {
    EnsureSchema
    CreateDatabase SetRetention DeleteDatabase UndeleteDatabase
    CreateTable SetTableRetention SetIndexedColumns DeleteTable UndeleteTable
    RequestRowDelete AcceptRowDelete DropRowDelete CompleteRowDelete AbortRowDelete
    CreateLastCache CreateDistinctCache DeleteCache
    CreateToken RegenerateToken DeleteToken
    CreatePlugin DeletePlugin CreateTrigger SetTriggerDisabled DeleteTrigger
    CreateDownsample SetDownsampleDisabled DeleteDownsample
}

/// What the server does by itself.
macro_rules! receive_own {
    ($($message:ident)*) => {$(
        impl Receive<$message> for Catalog {
            fn receive(
                &mut self,
                _: $message,
                reply: Responder<$message>,
                cx: &mut Cx<'_, Self>,
            ) {
                self.take(Request::$message, (Principal::Server, Origin::default()), reply, cx);
            }
        }
    )*};
}

receive_own! { SweepDeleted NodeStopped }
