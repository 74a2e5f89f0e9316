//! The cache through its mailbox, over a store that counts, waits and fails as a test says.

use super::{DECODES_MAX, HeldRows, ParquetCache, ParquetCacheConfig, ParquetCacheOptions};
use crate::runtime::clock::Clock;
use crate::runtime::fatal::Fatal;
use crate::runtime::guardian::{ActorConfig, Factory, Guardian};
use crate::runtime::mailbox::Mailbox;
use crate::runtime::pools::Pool;
use crate::storage::objects::planned::{Plan, Planned, planted};
use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::{join, join_all};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{GetOptions, GetResult, ObjectStore, ObjectStoreExt, Result};
use protocols::messages::parquet_cache::{Evict, Insert, LookUp, NoteChecked, PruneDue};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

const NOW_NS: i64 = 100_000_000_000_000;
const HOUR_NS: i64 = 3_600_000_000_000;

/// Counts reads. A read takes a permit of `gate` and then fails if `fails` says so.
#[derive(Debug)]
struct Counting {
    reads: AtomicUsize,
    fails: AtomicBool,
    gate: Semaphore,
}

#[async_trait]
impl Plan for Counting {
    async fn get(&self, inner: &InMemory, at: &Path, how: GetOptions) -> Result<GetResult> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await.map_err(|_| planted())?.forget();
        if self.fails.load(Ordering::SeqCst) {
            return Err(planted());
        }
        inner.get_opts(at, how).await
    }
}

/// A cache of 100 bytes over a store with files of known content.
struct World {
    cache: Mailbox<ParquetCache>,
    store: Arc<Planned<Counting>>,
}

/// The content of every file of that size.
fn content(size: usize) -> Bytes {
    (0..size).map(|i| i as u8).collect::<Vec<_>>().into()
}

fn file(path: &str, size_bytes: usize) -> LookUp {
    LookUp { path: path.into(), size_bytes: size_bytes as u64, max_time_ns: NOW_NS }
}

impl World {
    async fn start(bytes_max: usize) -> Self {
        let (store, objects) = Planned::new(Counting {
            reads: AtomicUsize::new(0),
            fails: AtomicBool::new(false),
            gate: Semaphore::new(1000),
        });
        let config = ParquetCacheConfig {
            objects,
            options: ParquetCacheOptions {
                bytes_max,
                prune_fraction: 0.5,
                prune_interval: Duration::from_secs(1),
                query_path_duration: Duration::from_secs(5 * 3600),
            },
            clock: Clock::Fixed(Arc::new(AtomicI64::new(NOW_NS))),
            pool: Pool::background("decode", 1, DECODES_MAX).unwrap(),
            held: HeldRows::default(),
        };
        let bounds = ActorConfig {
            kind: "parquet-cache",
            name: "parquet-cache".to_owned(),
            messages_max: 1000,
            bytes_max: 1 << 20,
            vital: false,
        };
        let cache = Guardian::mailbox(&bounds);
        let factory: Factory<ParquetCache> = Arc::new(move || {
            let config = config.clone();
            async move { Ok(ParquetCache::new(config)) }.boxed_local()
        });
        let guardian = Guardian::new(Fatal::default());
        guardian.birth(bounds, cache.clone(), factory).await.unwrap();
        Self { cache, store }
    }

    async fn put(&self, path: &str, size: usize) {
        self.store.put(&Path::from(path), content(size).into()).await.unwrap();
    }

    async fn look_up(&self, file: LookUp) -> Option<Bytes> {
        let deadline = Instant::now() + Duration::from_secs(30);
        self.cache.ask_from_edge(file, deadline).await.unwrap().map(|found| found.bytes)
    }

    async fn insert(&self, path: &str, size: usize) {
        let insert = Insert { path: path.into(), bytes: content(size), in_place_of: Vec::new() };
        let deadline = Instant::now() + Duration::from_secs(30);
        self.cache.ask_from_edge(insert, deadline).await.unwrap();
    }

    async fn evict(&self, path: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        self.cache.ask_from_edge(Evict { paths: vec![path.into()] }, deadline).await.unwrap();
    }

    async fn prune(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        self.cache.ask_from_edge(PruneDue, deadline).await.unwrap();
    }

    /// Which of the files, which the store does not have, are held. Those found count as used.
    async fn held<'a>(&self, files: &[(&'a str, usize)]) -> Vec<&'a str> {
        let mut held = Vec::new();
        for (path, size) in files {
            let old = LookUp { max_time_ns: 0, ..file(path, *size) };
            if self.look_up(old).await.is_some() {
                held.push(*path);
            }
        }
        held
    }

    fn reads(&self) -> usize {
        self.store.reads.load(Ordering::SeqCst)
    }

    /// Takes the permits that reads need.
    fn hold_reads(&self) {
        self.store.gate.forget_permits(1000);
    }

    fn let_reads_go(&self) {
        self.store.gate.add_permits(1000);
    }

    async fn reads_reach(&self, count: usize) {
        let begun = Instant::now();
        while self.reads() < count {
            assert!(begun.elapsed() < Duration::from_secs(30), "{} reads", self.reads());
            tokio::task::yield_now().await;
        }
    }
}

#[actix_rt::test]
async fn what_was_written_is_found_without_the_store() {
    let world = World::start(100).await;
    world.insert("a", 40).await;
    assert_eq!(world.look_up(file("a", 40)).await, Some(content(40)));
    assert_eq!(world.reads(), 0);
    assert_eq!(world.look_up(file("a", 41)).await, None, "not the file that is meant");
}

#[actix_rt::test]
async fn a_file_enters_in_the_place_of_others_that_are_held() {
    let world = World::start(100).await;
    world.insert("a", 10).await;
    world.insert("b", 10).await;
    for (path, in_place_of) in [("ab", ["a", "b"]), ("bc", ["b", "c"])] {
        let in_place_of = in_place_of.map(Arc::from).to_vec();
        let insert = Insert { path: path.into(), bytes: content(15), in_place_of };
        let deadline = Instant::now() + Duration::from_secs(30);
        world.cache.ask_from_edge(insert, deadline).await.unwrap();
    }
    assert_eq!(world.held(&[("ab", 15), ("bc", 15)]).await, ["ab"]);
}

#[actix_rt::test]
async fn bytes_are_compared_with_their_checksum_once() {
    let world = World::start(100).await;
    world.insert("a", 40).await;
    let deadline = Instant::now() + Duration::from_secs(30);
    let is_checked = || async {
        let found = world.cache.ask_from_edge(file("a", 40), deadline).await.unwrap();
        found.is_some_and(|found| found.is_checked)
    };
    assert!(!is_checked().await);
    let note = NoteChecked { path: "a".into() };
    world.cache.ask_from_edge(note.clone(), deadline).await.unwrap();
    assert!(is_checked().await);
    world.insert("a", 40).await;
    assert!(!is_checked().await, "these are others");
}

#[actix_rt::test]
async fn a_miss_of_a_recent_file_fetches_it_once() {
    let world = World::start(100).await;
    world.put("a", 40).await;
    for _ in 0..3 {
        assert_eq!(world.look_up(file("a", 40)).await, Some(content(40)));
    }
    assert_eq!(world.reads(), 1);
}

#[actix_rt::test]
async fn all_who_miss_a_file_wait_for_one_fetch() {
    let world = World::start(100).await;
    world.put("a", 40).await;
    world.hold_reads();
    let waiting = join_all((0..50).map(|_| world.look_up(file("a", 40))));
    let release = async {
        world.reads_reach(1).await;
        world.let_reads_go();
    };
    let (found, ()) = join(waiting, release).await;
    assert_eq!(found, vec![Some(content(40)); 50]);
    assert_eq!(world.reads(), 1);
}

#[actix_rt::test]
async fn only_recent_files_are_fetched() {
    let world = World::start(100).await;
    world.put("a", 40).await;
    let at = |max_time_ns| LookUp { max_time_ns, ..file("a", 40) };
    assert_eq!(world.look_up(at(NOW_NS - 5 * HOUR_NS - 1)).await, None);
    assert_eq!(world.look_up(at(i64::MIN)).await, None);
    assert_eq!(world.reads(), 0);
    assert_eq!(world.look_up(at(NOW_NS - 5 * HOUR_NS)).await, Some(content(40)));
    world.evict("a").await;
    assert_eq!(world.look_up(at(i64::MAX)).await, Some(content(40)), "the future is recent");
    assert_eq!(world.reads(), 2);
}

#[actix_rt::test]
async fn a_failing_store_gives_no_bytes_and_no_error() {
    let world = World::start(100).await;
    world.put("a", 40).await;
    world.store.fails.store(true, Ordering::SeqCst);
    world.hold_reads();
    let waiting = join_all((0..5).map(|_| world.look_up(file("a", 40))));
    let release = async {
        world.reads_reach(1).await;
        world.let_reads_go();
    };
    assert_eq!(join(waiting, release).await.0, vec![None; 5]);
    assert_eq!(world.look_up(file("missing", 40)).await, None);
    world.store.fails.store(false, Ordering::SeqCst);
    assert_eq!(world.look_up(file("a", 39)).await, None, "an object of another size");
    assert_eq!(world.look_up(file("a", 40)).await, Some(content(40)), "it tries again");
}

#[actix_rt::test]
async fn the_files_that_were_not_asked_for_longest_make_room() {
    let world = World::start(100).await;
    let all = [("a", 40), ("b", 30), ("c", 30), ("d", 50)];
    for (path, size) in &all[..3] {
        world.insert(path, *size).await;
    }
    assert_eq!(world.look_up(file("a", 40)).await, Some(content(40)));
    world.insert("d", 50).await;
    assert_eq!(world.held(&all).await, ["a", "d"]);
    world.insert("too large", 101).await;
    assert_eq!(world.held(&all).await, ["a", "d"]);
    world.insert("all", 100).await;
    assert_eq!(world.held(&all).await, Vec::<&str>::new());
    assert_eq!(world.held(&[("all", 100), ("too large", 101)]).await, ["all"]);
}

#[actix_rt::test]
async fn a_full_cache_is_not_fetched_into() {
    let world = World::start(100).await;
    world.put("a", 40).await;
    world.insert("b", 100).await;
    assert_eq!(world.look_up(file("a", 40)).await, None);
    assert_eq!(world.reads(), 0);
    world.insert("b", 99).await;
    assert_eq!(world.look_up(file("a", 40)).await, Some(content(40)), "small files push others");
    assert_eq!(world.held(&[("a", 40), ("b", 99)]).await, ["a"]);
    assert_eq!(world.look_up(file("larger than all", 101)).await, None);
    assert_eq!(world.reads(), 1);
}

#[actix_rt::test]
async fn files_on_their_way_count_as_used() {
    let world = World::start(100).await;
    for path in ["a", "b", "c"] {
        world.put(path, 50).await;
    }
    world.hold_reads();
    let waiting = join(world.look_up(file("a", 50)), world.look_up(file("b", 50)));
    let third = async {
        world.reads_reach(2).await;
        assert_eq!(world.look_up(file("c", 50)).await, None);
        world.let_reads_go();
    };
    let (found, ()) = join(waiting, third).await;
    assert_eq!(found, (Some(content(50)), Some(content(50))));
    assert_eq!(world.reads(), 2);
}

#[actix_rt::test]
async fn large_files_are_fetched_only_beside_the_others() {
    let large = 17 << 20;
    let world = World::start(20 << 20).await;
    world.put("large", large).await;
    world.insert("a", 4 << 20).await;
    assert_eq!(world.look_up(file("large", large)).await, None);
    assert_eq!(world.reads(), 0);
    world.insert("a", 3 << 20).await;
    assert_eq!(world.look_up(file("large", large)).await.map(|b| b.len()), Some(large));
    assert_eq!(world.held(&[("a", 3 << 20), ("large", large)]).await, ["a", "large"]);
}

#[actix_rt::test]
async fn what_is_evicted_on_its_way_reaches_those_who_wait_and_nobody_else() {
    let world = World::start(100).await;
    world.put("a", 40).await;
    world.hold_reads();
    let release = async {
        world.reads_reach(1).await;
        world.evict("a").await;
        world.let_reads_go();
    };
    let (found, ()) = join(world.look_up(file("a", 40)), release).await;
    assert_eq!(found, Some(content(40)));
    assert_eq!(world.held(&[("a", 40)]).await, Vec::<&str>::new());
    world.insert("b", 100).await;
    world.evict("b").await;
    world.evict("b").await;
    assert_eq!(world.held(&[("b", 100)]).await, Vec::<&str>::new());
    assert_eq!(world.look_up(file("a", 40)).await, Some(content(40)), "there is room again");
}

#[actix_rt::test]
async fn pruning_a_full_cache_drops_a_part_of_it_and_at_least_one_file() {
    let world = World::start(100).await;
    let all = [("a", 20), ("b", 20), ("c", 20), ("d", 20), ("e", 20)];
    for (path, size) in all {
        world.insert(path, size).await;
    }
    assert_eq!(world.look_up(file("a", 20)).await, Some(content(20)));
    world.prune().await;
    assert_eq!(world.held(&all).await, ["a", "d", "e"], "half of five, rounded down");
    world.prune().await;
    assert_eq!(world.held(&all).await, ["a", "d", "e"], "it is not full");
    world.insert("f", 100).await;
    world.prune().await;
    assert_eq!(world.held(&[("f", 100)]).await, Vec::<&str>::new());
    world.prune().await;
}

mod decoded;

#[cfg(feature = "failpoints")]
#[actix_rt::test]
async fn all_who_wait_hear_of_a_death_in_the_same_order_each_time() {
    use futures::StreamExt;
    use futures::stream::FuturesUnordered;

    // On a simulated machine panics can be planted.
    let machine = crate::runtime::simulated::Machine::new(1, None);
    let _entered = machine.enter();
    tokio::time::pause();
    let world = World::start(1000).await;
    world.hold_reads();
    let names: Vec<String> = (10..50).map(|i| i.to_string()).collect();
    let deadline = Instant::now() + Duration::from_secs(20);
    let asks: FuturesUnordered<_> = (names.iter())
        .map(async |name| {
            let answer = world.cache.ask_from_edge(file(name, 10), deadline).await;
            answer.map_or(name.as_str(), |_| "answered")
        })
        .collect();
    let death = async {
        world.reads_reach(names.len()).await;
        machine.faults.borrow_mut().plant_panic("parquet-cache:PruneDue", 1);
        assert!(world.cache.tell(PruneDue));
    };
    let (told, ()) = join(asks.collect::<Vec<_>>(), death).await;
    assert_eq!(told, names);
}
