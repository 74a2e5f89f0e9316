//! The actor: what is answered from memory, what is fetched, and who waits for it.

use super::decode::decode;
use super::decoded::{DecodedFiles, Found};
use super::entries::Entries;
use super::held::HeldRows;
use crate::runtime::actor::{Cx, Receive, Service};
use crate::runtime::clock::{self, Clock};
use crate::runtime::mailbox::Responder;
use crate::runtime::pools::Pool;
use crate::runtime::shared::Own;
use crate::storage::objects::Objects;
use bytes::Bytes;
use metrics::{Counter, Gauge};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use protocols::messages::parquet_cache::{
    CachedFile, Evict, Insert, LookUp, LookUpRows, NoteChecked, PruneDue, WantedFile,
};
use protocols::messages::rank;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Files up to this size are fetched as long as the cache is not full, even if others have to go.
/// Larger ones have to fit beside the others.
const SMALL_FILE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A fetch that takes longer is given up, so that a store which hangs does not keep those who ask
/// for the file waiting for ever.
const FETCH_DEADLINE: Duration = Duration::from_secs(30);

/// Part of the cache that one decoded file may take.
const DECODED_FILE_SHARE: usize = 8;

/// Files that are decoded or wait for that, at most. More are left to the next query.
pub const DECODES_MAX: usize = 1024;

/// What can be chosen about the cache.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ParquetCacheOptions {
    /// Bytes that the files in memory may take.
    pub bytes_max: usize,
    /// Which part of the files goes when the cache is full: between 0 and 1.
    pub prune_fraction: f64,
    /// How often it is looked whether it is full.
    pub prune_interval: Duration,
    /// Files whose last row is older than this are not fetched when a query reads them.
    pub query_path_duration: Duration,
}

/// What the cache is made of.
#[derive(Clone, Debug)]
pub struct ParquetCacheConfig {
    /// Where the files are.
    pub objects: Objects,
    /// What was chosen.
    pub options: ParquetCacheOptions,
    /// Tells what is recent.
    pub clock: Clock,
    /// Where files are decoded. Its queue holds [`DECODES_MAX`] jobs.
    pub pool: Pool,
    /// Where scans look at decoded rows.
    pub held: HeldRows,
}

/// See the module's page.
pub struct ParquetCache {
    config: ParquetCacheConfig,
    entries: Entries,
    decoded: Own<DecodedFiles>,
    /// Files that are being decoded, and a guess of the bytes that they will take.
    decodes: usize,
    decoding_bytes: usize,
    /// In an order of its own, as all who wait are told at once when the actor dies: where hashes
    /// decide who is first, a simulated run cannot be repeated.
    fetches: BTreeMap<Arc<str>, Fetch>,
    /// Bytes that will arrive.
    fetching_bytes: usize,
    series: Series,
}

/// A file on its way.
struct Fetch {
    waiting: Vec<Responder<LookUp>>,
    size_bytes: usize,
    /// The bytes go to those who wait and not into the cache: the file was evicted, or came in
    /// another way.
    unwanted: bool,
}

struct Series {
    hits: Counter,
    misses: Counter,
    fetches: Counter,
    evictions: Counter,
    bytes: Gauge,
    files: Gauge,
    decoded_hits: Counter,
    decoded_misses: Counter,
    decodes: Counter,
    decoded_bytes: Gauge,
    decoded_files: Gauge,
}

impl ParquetCache {
    /// An empty cache.
    pub fn new(config: ParquetCacheConfig) -> Self {
        let cache = Self {
            entries: Entries::new(config.options.bytes_max),
            decoded: config.held.0.begin(DecodedFiles::default()),
            config,
            decodes: 0,
            decoding_bytes: 0,
            fetches: BTreeMap::new(),
            fetching_bytes: 0,
            series: Series {
                hits: metrics::counter!("parquet_cache_hits_total"),
                misses: metrics::counter!("parquet_cache_misses_total"),
                fetches: metrics::counter!("parquet_cache_fetches_total"),
                evictions: metrics::counter!("parquet_cache_evictions_total"),
                bytes: metrics::gauge!("parquet_cache_bytes"),
                files: metrics::gauge!("parquet_cache_files"),
                decoded_hits: metrics::counter!("parquet_cache_decoded_hits_total"),
                decoded_misses: metrics::counter!("parquet_cache_decoded_misses_total"),
                decodes: metrics::counter!("parquet_cache_decodes_total"),
                decoded_bytes: metrics::gauge!("parquet_cache_decoded_bytes"),
                decoded_files: metrics::gauge!("parquet_cache_decoded_files"),
            },
        };
        cache.measure();
        cache
    }

    fn insert(&mut self, path: Arc<str>, bytes: Bytes) {
        let evicted = self.entries.insert(path, bytes);
        self.series.evictions.increment(evicted as u64);
        self.decoded.with(|decoded| decoded.shrink(self.left_bytes()));
        self.measure();
    }

    /// What the files leave to their decoded forms.
    fn left_bytes(&self) -> usize {
        self.config
            .options
            .bytes_max
            .saturating_sub(self.entries.used_bytes() + self.fetching_bytes)
    }

    /// Decodes a file whose bytes are here, if there is room for the result.
    fn decode(&mut self, file: WantedFile, columns: Arc<[Arc<str>]>, cx: &mut Cx<'_, Self>) {
        let Some(bytes) = self.entries.peek(&file.path) else { return };
        // Tags take half a number each, but there may be many of them.
        let cells = (file.file.row_count as usize).saturating_mul(columns.len() + 8);
        let guess = cells.saturating_mul(size_of::<u64>());
        let (left, decoding) = (self.left_bytes(), self.decoding_bytes);
        if self.decodes >= DECODES_MAX
            || guess > self.config.options.bytes_max / DECODED_FILE_SHARE
            || !self.decoded.with(|d| d.make_room(decoding.saturating_add(guess), left))
        {
            return;
        }
        let Some(held) = self.decoded.with(|decoded| decoded.begin(file.file.id)) else { return };
        self.decodes += 1;
        self.decoding_bytes += guess;
        self.series.decodes.increment(1);
        let (wanted, names) = (file.clone(), Arc::clone(&columns));
        let job = self.config.pool.run(move || decode(bytes, &wanted, &names, held.as_deref()));
        cx.then(job, move |cache, decoded, _| {
            cache.decodes -= 1;
            cache.decoding_bytes -= guess;
            let decoded = decoded.map_err(|failed| failed.to_string());
            match decoded.and_then(|decoded| decoded.map_err(|error| error.to_string())) {
                Ok(rows) => {
                    let left = cache.left_bytes();
                    cache.decoded.with(|decoded| decoded.finish(&file, &columns, rows, left));
                }
                Err(error) => {
                    tracing::warn!(path = &*file.path, error, "file could not be decoded");
                    cache.decoded.with(|decoded| decoded.fail(file.file.id));
                }
            }
            cache.measure();
        });
    }

    /// Whether a file that is not held should be.
    fn wants(&self, file: &LookUp) -> bool {
        let now_ns = self.config.clock.now_ns();
        let oldest_ns = clock::before(now_ns, self.config.options.query_path_duration);
        let Ok(size_bytes) = usize::try_from(file.size_bytes) else { return false };
        // What is on its way counts: else a burst of misses would take any amount of memory.
        let used_bytes = self.entries.used_bytes() + self.fetching_bytes;
        let bytes_max = self.config.options.bytes_max;
        file.max_time_ns >= oldest_ns
            && used_bytes < bytes_max
            && size_bytes <= bytes_max
            && (size_bytes <= SMALL_FILE_BYTES_MAX || size_bytes <= bytes_max - used_bytes)
    }

    fn fetch(&mut self, file: LookUp, reply: Responder<LookUp>, cx: &mut Cx<'_, Self>) {
        self.series.fetches.increment(1);
        let LookUp { path, size_bytes, .. } = file;
        let size_bytes = size_bytes as usize;
        self.fetching_bytes += size_bytes;
        let fetch = Fetch { waiting: vec![reply], size_bytes, unwanted: false };
        self.fetches.insert(Arc::clone(&path), fetch);
        let store = Arc::clone(&self.config.objects.store);
        let location = Path::from(path.as_ref());
        let work = async move {
            let read = async { store.get(&location).await?.bytes().await };
            match tokio::time::timeout(FETCH_DEADLINE, read).await {
                Ok(read) => read.map_err(|error| error.to_string()),
                Err(_) => Err("the object store did not answer in time".to_owned()),
            }
        };
        cx.then(work, move |cache, read, _| cache.finish_fetch(path, read));
    }

    fn finish_fetch(&mut self, path: Arc<str>, read: Result<Bytes, String>) {
        let Some(fetch) = self.fetches.remove(&path) else { return };
        self.fetching_bytes -= fetch.size_bytes;
        let read = read.and_then(|bytes| match bytes.len() == fetch.size_bytes {
            true => Ok(bytes),
            false => Err(format!("{} bytes instead of {}", bytes.len(), fetch.size_bytes)),
        });
        let bytes = match read {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                tracing::warn!(path = &*path, error, "file could not be fetched into the cache");
                None
            }
        };
        if let Some(bytes) = bytes.clone().filter(|_| !fetch.unwanted) {
            self.insert(path, bytes);
        }
        let found = bytes.map(|bytes| CachedFile { bytes, is_checked: false });
        fetch.waiting.into_iter().for_each(|reply| reply.answer(found.clone()));
    }

    fn measure(&self) {
        self.series.bytes.set(self.entries.used_bytes() as f64);
        self.series.files.set(self.entries.len() as f64);
        let (bytes, files) = self.decoded.with(|decoded| (decoded.used_bytes(), decoded.len()));
        self.series.decoded_bytes.set(bytes as f64);
        self.series.decoded_files.set(files as f64);
    }
}

impl Service for ParquetCache {
    const RANK: u8 = rank::PARQUET_CACHE;
}

impl Receive<LookUp> for ParquetCache {
    fn receive(&mut self, file: LookUp, reply: Responder<LookUp>, cx: &mut Cx<'_, Self>) {
        if let Some(held) = self.entries.hit(&file.path) {
            self.series.hits.increment(1);
            // An object of another size is not the file that the reader means.
            reply.answer(Some(held).filter(|held| held.bytes.len() as u64 == file.size_bytes));
            return;
        }
        self.series.misses.increment(1);
        if let Some(fetch) = self.fetches.get_mut(&file.path) {
            match fetch.size_bytes as u64 == file.size_bytes {
                true => fetch.waiting.push(reply),
                false => reply.answer(None),
            }
        } else if self.wants(&file) {
            self.fetch(file, reply, cx);
        } else {
            reply.answer(None);
        }
    }
}

impl Receive<LookUpRows> for ParquetCache {
    fn receive(&mut self, ask: LookUpRows, reply: Responder<LookUpRows>, cx: &mut Cx<'_, Self>) {
        let mut found = Vec::with_capacity(ask.files.len());
        for file in ask.files {
            found.push(match self.decoded.with(|decoded| decoded.look_up(&file, &ask.columns)) {
                Found::Rows(rows) => Some(rows),
                Found::Worth => {
                    self.decode(file, Arc::clone(&ask.columns), cx);
                    None
                }
                Found::Nothing => None,
            });
        }
        let hits = found.iter().flatten().count();
        self.series.decoded_hits.increment(hits as u64);
        self.series.decoded_misses.increment((found.len() - hits) as u64);
        self.decoded.with(|decoded| decoded.shrink(self.left_bytes()));
        reply.answer(found);
    }
}

impl Receive<Insert> for ParquetCache {
    fn receive(&mut self, file: Insert, reply: Responder<Insert>, _: &mut Cx<'_, Self>) {
        if !file.in_place_of.iter().all(|path| self.entries.has(path)) {
            return reply.answer(());
        }
        // What a fetch of the path brings is the same or older.
        if let Some(fetch) = self.fetches.get_mut(&file.path) {
            fetch.unwanted = true;
        }
        self.insert(file.path, file.bytes);
        reply.answer(());
    }
}

impl Receive<NoteChecked> for ParquetCache {
    fn receive(&mut self, file: NoteChecked, reply: Responder<NoteChecked>, _: &mut Cx<'_, Self>) {
        self.entries.note_checked(&file.path);
        reply.answer(());
    }
}

impl Receive<Evict> for ParquetCache {
    fn receive(&mut self, evict: Evict, reply: Responder<Evict>, _: &mut Cx<'_, Self>) {
        for path in &evict.paths {
            if let Some(fetch) = self.fetches.get_mut(path) {
                fetch.unwanted = true;
            }
            let evicted = self.entries.remove(path);
            self.series.evictions.increment(u64::from(evicted));
        }
        self.decoded.with(|decoded| decoded.evict(&evict.paths));
        self.measure();
        reply.answer(());
    }
}

impl Receive<PruneDue> for ParquetCache {
    fn receive(&mut self, _: PruneDue, reply: Responder<PruneDue>, _: &mut Cx<'_, Self>) {
        if self.entries.used_bytes() >= self.config.options.bytes_max {
            let share = self.entries.len() as f64 * self.config.options.prune_fraction;
            for _ in 0..(share as usize).max(1) {
                let evicted = self.entries.remove_oldest();
                self.series.evictions.increment(u64::from(evicted));
            }
            self.measure();
        }
        reply.answer(());
    }
}
