//! What the actor has done beside itself: planning, compactions, the removal of what is left over.

use super::history::measure_backlog;
use super::job::{BATCH_ROWS, Compaction, Tools};
use super::options::CompactionOptions;
use super::plan::{Job, Rules, plan};
use crate::index::Index;
use crate::parquet_cache::ParquetCache;
use crate::runtime::clock::{Clock, as_nanos};
use crate::runtime::faults;
use crate::runtime::mailbox::Mailbox;
use crate::runtime::pools::Pool;
use crate::runtime::published::Published;
use futures::FutureExt;
use object_store::ObjectStore;
use protocols::catalog::CatalogSnapshot;
use protocols::ids::TableId;
use protocols::messages::compact::CompactionEvent;
use protocols::messages::index::{AppendCompaction, CompactionRefused, ListFiles, SweepOrphans};
use protocols::messages::parquet_cache::Insert;
use protocols::messages::rank::COMPACT;
use protocols::paths;
use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a compaction waits for the bound of a delete of rows, which takes milliseconds.
const SETTLING_MAX: Duration = Duration::from_secs(10);
const SETTLING_PAUSE: Duration = Duration::from_millis(20);

/// See the page of this file.
#[derive(Clone)]
pub(super) struct Worker {
    tools: Tools,
    index: Mailbox<Index>,
    cache: Option<Mailbox<ParquetCache>>,
    catalog: Published<CatalogSnapshot>,
    clock: Clock,
    rules: Rules,
}

/// How a compaction ended.
pub(super) struct Ended {
    pub(super) event: CompactionEvent,
    pub(super) failure: Option<Failure>,
}

/// Why nothing came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Another process has taken over.
    Fenced,
    /// The files have changed meanwhile: what is due has to be worked out anew.
    Stale,
    /// The store fails, or a file is damaged.
    Failed,
}

/// Whom the worker has to do with.
pub(super) struct Peers {
    pub(super) index: Mailbox<Index>,
    pub(super) cache: Option<Mailbox<ParquetCache>>,
    pub(super) catalog: Published<CatalogSnapshot>,
    pub(super) clock: Clock,
}

impl Worker {
    pub(super) fn new(
        node: &str,
        store: Arc<dyn ObjectStore>,
        pool: Pool,
        peers: Peers,
        options: Arc<CompactionOptions>,
    ) -> anyhow::Result<Self> {
        let Peers { index, cache, catalog, clock } = peers;
        let rules = Rules {
            widths: options.widths(catalog.load().gen1_duration_ns)?,
            settle_ns: as_nanos(options.settle),
            quiet_ns: as_nanos(options.quiet),
            files_max: options.files_max,
            open_bytes_max: options.bytes_max as u64 / 8 * 3,
        };
        let tools = Tools { node: node.into(), store, pool, options, batch_rows: BATCH_ROWS };
        Ok(Self { tools, index, cache, catalog, clock, rules })
    }

    /// What is due. For `wanted` tables that is everything that can be done.
    pub(super) async fn plan(self, wanted: Option<BTreeSet<TableId>>) -> anyhow::Result<Vec<Job>> {
        let list = self.index.ask_until_answered::<COMPACT, _>(ListFiles).await;
        // Names are read after files: a table that has files has a name.
        let catalog = self.catalog.load();
        let (rules, now_ns) = (self.rules.clone(), self.clock.now_ns());
        let is_all = wanted.is_none();
        let planning = self
            .tools
            .pool
            .run(move || plan(&list, &catalog, now_ns, &rules, wanted.as_ref(), wanted.is_some()));
        let jobs = planning.await?;
        if is_all {
            measure_backlog(&jobs, now_ns);
        }
        Ok(jobs)
    }

    /// Deletes what former compactions have left. True when all of it is gone.
    pub(super) async fn sweep(self) -> bool {
        self.index.ask_until_answered::<COMPACT, _>(SweepOrphans).await.is_some()
    }

    /// Compacts.
    pub(super) async fn run(self, job: Job) -> Ended {
        let began_ns = self.clock.now_ns();
        let mut event = CompactionEvent {
            time_ns: began_ns,
            duration_ns: 0,
            table: job.table,
            generation: job.generation,
            window_start_ns: job.window_start_ns,
            files_in: job.files().count(),
            files_out: 0,
            rows_in: job.files().map(|file| file.row_count).sum(),
            rows_out: 0,
            bytes_in: job.bytes(),
            bytes_out: 0,
            error: None,
        };
        let Some(catalog) = self.settled_catalog(job.table).await else {
            event.error = Some("a delete of rows is about to be accepted".to_owned());
            return Ended { event, failure: Some(Failure::Stale) };
        };
        let compacting = AssertUnwindSafe(self.tools.run(&job, &catalog, began_ns)).catch_unwind();
        // Rows that nobody can merge must not end the actor again and again, and then the process.
        let compacted = compacting.await.unwrap_or_else(|_| Err(anyhow::anyhow!("a panic")));
        let failure = match compacted {
            Ok(compaction) => {
                (event.rows_in, event.rows_out) = (compaction.rows_in, compaction.rows_out);
                event.files_out = compaction.outputs.len();
                event.bytes_out = compaction.outputs.iter().map(|file| file.size_bytes).sum();
                faults::fails("compact-before-publish");
                self.publish(&job, compaction).await.err()
            }
            Err(error) => Some((Failure::Failed, format!("{error:#}"))),
        };
        event.time_ns = self.clock.now_ns();
        event.duration_ns = event.time_ns.saturating_sub(began_ns).max(0);
        let failure = failure.map(|(failure, text)| {
            event.error = Some(text);
            failure
        });
        Ended { event, failure }
    }

    /// The catalog, in a state in which the bounds of all deletes of the table are known. It is read
    /// after the list of files: who asks for a delete of rows from then on gets a bound that is behind
    /// all of these.
    async fn settled_catalog(&self, table: TableId) -> Option<Arc<CatalogSnapshot>> {
        let until = Instant::now() + SETTLING_MAX;
        loop {
            let catalog = self.catalog.load();
            if !catalog.row_deletes.is_awaited(table) {
                return Some(catalog);
            }
            if Instant::now() >= until {
                return None;
            }
            tokio::time::sleep(SETTLING_PAUSE).await;
        }
    }

    /// Puts the new files in the place of the others.
    async fn publish(&self, job: &Job, compaction: Compaction) -> Result<(), (Failure, String)> {
        let Compaction { outputs, bytes, deletes, .. } = compaction;
        let inputs = job.files().map(|file| file.id).collect();
        let append = AppendCompaction { table: job.table, inputs, outputs, deletes };
        let published = self.index.ask_until_answered::<COMPACT, _>(append).await;
        let files = published.map_err(|error| match error {
            CompactionRefused::Fenced => (Failure::Fenced, error.to_string()),
            CompactionRefused::Stale(_) => (Failure::Stale, error.to_string()),
        })?;
        if let (Some(cache), Some(bytes), [file]) = (&self.cache, bytes, files.as_slice()) {
            let path = |file| Arc::from(paths::parquet_file(&self.tools.node, file));
            let age = self.clock.now_ns().saturating_sub(file.max_time_ns);
            let is_recent = age <= as_nanos(self.tools.options.cache_age);
            let in_place_of = match is_recent {
                true => Vec::new(),
                false => job.files().map(|file| path(file)).collect(),
            };
            // Without room in the cache's mailbox the file is fetched when it is needed.
            cache.tell(Insert { path: path(file), bytes, in_place_of });
        }
        Ok(())
    }
}
