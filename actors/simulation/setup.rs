//! How the simulated server is set up: some of it varies from seed to seed.

use crate::audit::AuditOptions;
use crate::compact::CompactionOptions;
use crate::index::OBJECT_GRACE_MIN;
use crate::parquet_cache::ParquetCacheOptions;
use crate::query::QueryOptions;
use crate::server::{CacheOptions, ServerConfig};
use protocols::line_protocol::SchemaLimits;
use rand::RngExt;
use rand::rngs::StdRng;
use std::time::Duration;
use uuid::Uuid;

/// Bytes of requests that wait: far more than a run sends.
const BYTES_MAX: usize = 64 * 1024 * 1024;
const SECOND: Duration = Duration::from_secs(1);

/// Of each thousand seeds, those of these hundreds have caches. The others run as they did before
/// there were any, and find the same planted bugs.
const CACHING: [u64; 4] = [2, 4, 7, 9];
/// Likewise those of these hundreds compact.
const COMPACTING: [u64; 4] = [5, 7, 8, 9];
/// In those of these, clients delete rows.
const DELETING: [u64; 3] = [6, 8, 9];

/// What the actors of a seed run with.
pub(super) fn config(seed: u64, random: &mut StdRng) -> ServerConfig {
    let io_threads = random.random_range(1..4);
    let gen1_duration_ns = [1, 5][random.random_range(0..2)] * 60_000_000_000;
    let wal_flush_interval = Duration::from_millis([20, 200, 1000][random.random_range(0..3)]);
    let wal_snapshot_size = random.random_range(1..8);
    let force_snapshot_bytes = [2_000, 200_000, 1 << 30][random.random_range(0..3)];
    let wal_files_kept = random.random_range(0..5);
    let wal_delete_delay = Duration::from_secs(random.random_range(0..10));
    let cache_bytes = random.random_bool(0.7).then(|| 1 << random.random_range(12..24));
    ServerConfig {
        node_id: "node".to_owned(),
        instance: Uuid::nil(),
        options: None,
        audit: AuditOptions::default(),
        gen1_duration_ns,
        wal_flush_interval,
        wal_writes_max: 1_000,
        wal_bytes_max: BYTES_MAX,
        ingest_bytes_max: BYTES_MAX,
        buffer_bytes_max: 1 << 30,
        force_snapshot_bytes,
        wal_snapshot_size,
        wal_files_kept,
        wal_delete_delay,
        snapshot_concurrency: 2,
        snapshot_bytes_max: BYTES_MAX,
        object_grace: OBJECT_GRACE_MIN,
        compaction: compaction(seed, gen1_duration_ns),
        parquet_cache: cache_bytes.map(|bytes_max| ParquetCacheOptions {
            bytes_max,
            prune_fraction: 0.2,
            prune_interval: SECOND,
            query_path_duration: 3_600 * SECOND,
        }),
        last_cache_count_max: None,
        retention_check_interval: 5 * SECOND,
        wal_replay_fail_on_error: true,
        wal_replay_concurrency: 4,
        write_window: None,
        immutable_tags: false,
        databases_max: None,
        schema_limits: SchemaLimits::default(),
        hard_delete_default: 2 * SECOND,
        delete_grace: SECOND,
        query: QueryOptions {
            threads: 2,
            memory_pool_bytes: 1 << 30,
            query_memory_bytes: 1 << 30,
            spill: None,
            file_limit: None,
            timeout: None,
            idle_timeout: Duration::from_secs(60),
            settings: Vec::new(),
            max_concurrent: 64,
            token_queries_max: None,
            redacts: false,
            log_entries_max: 8,
        },
        io_threads,
    }
}

/// What the compaction of a seed runs with, if it has one: as soon as a window of two chunks is over,
/// and again when that of ten is.
fn compaction(seed: u64, gen1_duration_ns: i64) -> Option<CompactionOptions> {
    COMPACTING.contains(&(seed / 100 % 10)).then(|| CompactionOptions {
        is_automatic: true,
        gen2_duration_ns: 2 * gen1_duration_ns,
        multipliers: vec![5],
        rows_max: seed.is_multiple_of(2).then_some(7),
        files_max: 500,
        check_interval: SECOND / 5,
        cleanup_wait: (seed % 3) as u32 * SECOND,
        reads_at_once: 4,
        cache_age: 3_600 * SECOND,
        bytes_max: 64 * 1024 * 1024,
        settle: Duration::ZERO,
        quiet: (seed % 2) as u32 * SECOND / 5,
    })
}

/// What the caches of a seed run with, if it has some.
pub(super) fn caches(seed: u64) -> Option<CacheOptions> {
    CACHING.contains(&(seed / 100 % 10)).then_some(CacheOptions {
        bytes_max: 1 << 26,
        threads: 1,
        last_eviction_interval: Duration::from_secs(10),
        distinct_eviction_interval: Duration::from_secs(10),
    })
}

/// Whether clients of a seed delete rows.
pub(super) fn deletes_rows(seed: u64) -> bool {
    DELETING.contains(&(seed / 100 % 10))
}
