//! How the simulated server is set up: some of it varies from seed to seed.

use crate::persist::OBJECT_GRACE_MIN;
use crate::server::{ParquetCacheOptions, ServerConfig};
use protocols::line_protocol::SchemaLimits;
use rand::RngExt;
use rand::rngs::StdRng;
use std::time::Duration;
use uuid::Uuid;

/// Bytes of requests that wait: far more than a run sends.
const BYTES_MAX: usize = 64 * 1024 * 1024;
const SECOND: Duration = Duration::from_secs(1);

/// What the actors of a seed run with.
pub(super) fn config(random: &mut StdRng) -> ServerConfig {
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
        query_bytes_max: 1 << 30,
        query_share_bytes: 1 << 30,
        query_spill: None,
        query_file_limit: None,
        query_timeout: None,
        query_idle_timeout: Duration::from_secs(60),
        queries_max: 64,
        query_log_entries_max: 8,
        query_threads: 2,
        query_settings: Vec::new(),
        io_threads,
    }
}
