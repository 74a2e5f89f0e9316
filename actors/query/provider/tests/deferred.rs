//! Tables with more unsorted rows than fit in memory a second time.

use super::*;
use crate::query::errors;
use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryPool, TrackConsumersPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use protocols::error::ErrorKind;
use protocols::messages::query::QueryError;
use protocols::messages::store::ViewTable;
use std::num::NonZeroUsize;

const CHUNKS: i64 = 20;
/// Rows of a chunk as they arrive: most keys come often.
const ROWS: i64 = 4096;
/// Distinct keys of a chunk.
const KEYS: i64 = 9 * GEN1_NS;

/// A world with many chunks that nobody has sorted, and how many bytes the rows of one take.
async fn unsorted() -> (World, usize) {
    let mut world = World::start().await;
    for chunk in 0..CHUNKS {
        let row = |i: i64| Row {
            values: [Some((i % 3) as u8), Some(1), Some(2), Some((i / 3 % 3) as u8)],
            time: chunk * GEN1_NS + i / 9 % GEN1_NS,
        };
        world.write(&(0..ROWS).map(row).collect::<Vec<_>>(), 4).await;
    }
    let view = view(&world).await;
    let bytes = view.chunks[0].unsorted.iter().map(RecordBatch::get_array_memory_size).sum();
    (world, bytes)
}

async fn view(world: &World) -> protocols::messages::store::TableView {
    let question = ViewTable { table: TABLE, min_time_ns: i64::MIN, max_time_ns: i64::MAX };
    world.store.ask_from_edge(question, World::deadline()).await.expect("views")
}

/// How many chunks have been sorted for queries.
async fn sorted_chunks(world: &World) -> usize {
    view(world).await.chunks.iter().filter(|chunk| chunk.sorted.is_some()).count()
}

/// Runs a query with so much memory, and sees that it gives all of it back.
async fn ask(world: &World, memory: usize, text: &str) -> Result<Vec<RecordBatch>, QueryError> {
    let named = NonZeroUsize::MIN;
    let pool = Arc::new(TrackConsumersPool::new(GreedyMemoryPool::new(memory), named));
    let shared: Arc<dyn MemoryPool> = Arc::clone(&pool) as _;
    let runtime = RuntimeEnvBuilder::new().with_memory_pool(shared).build_arc().expect("builds");
    let config = SessionConfig::new().with_batch_size(256).with_target_partitions(2);
    let config = config.with_extension(Arc::new(world.context(0)));
    let session = SessionContext::new_with_config_rt(config, runtime);
    let provider = StoredTable::new(table(4), None);
    session.register_table("m", Arc::new(provider)).expect("registers");
    let run = async { session.sql(text).await?.collect().await };
    let answer = run.await.map_err(|e| errors::from_engine(&e));
    drop(session);
    assert_eq!(pool.reserved(), 0, "{text}");
    answer
}

#[test]
fn a_buffer_of_many_times_the_memory_is_read_chunk_by_chunk() {
    run(async {
        for (query, want) in [
            ("SELECT count(*) FROM m", CHUNKS * KEYS),
            ("SELECT count(f) FROM m WHERE t0 = 'a'", CHUNKS * KEYS / 3),
            ("SELECT sum(g) FROM m", CHUNKS * KEYS * 2),
            ("SELECT sum(g) FROM m WHERE f > 0", CHUNKS * KEYS * 2),
        ] {
            // Enough for what a query needs beside the sorting, not for two chunks at once.
            let (world, chunk_bytes) = unsorted().await;
            let memory = chunk_bytes + chunk_bytes / 2;
            assert_eq!(count(&ask(&world, memory, query).await.expect(query)), want, "{query}");
            assert_eq!(sorted_chunks(&world).await, CHUNKS as usize, "{query}");
            let again = ask(&world, memory, query).await.expect(query);
            assert_eq!(count(&again), want, "{query}, sorted");
        }
    });
}

#[test]
fn a_chunk_that_does_not_fit_fails_the_query() {
    run(async {
        let (world, chunk_bytes) = unsorted().await;
        let error = ask(&world, chunk_bytes / 2, "SELECT sum(g) FROM m").await.expect_err("small");
        assert_eq!(error.kind, ErrorKind::LimitReached, "{error}");
        assert!(error.message.contains("Resources exhausted"), "{error}");
        assert_eq!(sorted_chunks(&world).await, 0);
    });
}

#[test]
fn only_chunks_that_can_matter_are_sorted() {
    run(async {
        let newest = CHUNKS * GEN1_NS - 1;
        for (query, times, sorted_max) in [
            ("SELECT time FROM m ORDER BY time DESC LIMIT 1", vec![newest], 4),
            ("SELECT time FROM m WHERE t0 = 'b' ORDER BY time DESC LIMIT 1", vec![newest], 4),
            ("SELECT time FROM m WHERE f > 0 ORDER BY time DESC LIMIT 1", vec![newest], 4),
            ("SELECT time FROM m ORDER BY time LIMIT 1", vec![0], 4),
            ("SELECT max(time) AS time FROM m", vec![newest], 4),
            ("SELECT time FROM m LIMIT 5", vec![], 1),
        ] {
            let (world, chunk_bytes) = unsorted().await;
            let got = ask(&world, chunk_bytes * 2, query).await.expect(query);
            if times.is_empty() {
                assert_eq!(got.iter().map(RecordBatch::num_rows).sum::<usize>(), 5, "{query}");
            } else {
                assert_eq!(got.iter().flat_map(times_of).collect::<Vec<_>>(), times, "{query}");
            }
            let sorted = sorted_chunks(&world).await;
            assert!(sorted <= sorted_max, "{query}: {sorted} chunks");
        }
    });
}

#[test]
fn the_first_rows_by_key_are_found_in_little_memory() {
    run(async {
        let (world, chunk_bytes) = unsorted().await;
        let query = "SELECT time FROM m ORDER BY t0, t1, time LIMIT 3";
        let got = ask(&world, chunk_bytes * 2, query).await.expect(query);
        assert_eq!(got.iter().flat_map(times_of).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(sorted_chunks(&world).await, CHUNKS as usize);
    });
}

#[test]
fn sorted_chunks_are_counted_without_being_read() {
    run(async {
        let (world, _) = unsorted().await;
        let query = "SELECT count(*) FROM m";
        let plan = world.explain(query).await;
        assert!(plan.contains(&format!("unsorted={CHUNKS}")), "{plan}");
        assert_eq!(count(&world.sql(4, query).await), CHUNKS * KEYS);
        let plan = world.explain(query).await;
        assert!(!plan.contains("AggregateExec"), "{plan}");
    });
}

#[test]
fn a_table_is_joined_with_itself() {
    run(async {
        let (world, chunk_bytes) = unsorted().await;
        let query = "SELECT count(*) FROM m a JOIN m b ON a.t0 = b.t0 AND a.time = b.time";
        let joined = ask(&world, chunk_bytes * 100, query).await.expect(query);
        assert_eq!(count(&joined), CHUNKS * KEYS * 3);
    });
}
