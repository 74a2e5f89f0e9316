//! Options of `influxdb3 serve` about queries and what they keep in memory.

use crate::sizes::MemorySize;
use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args};
use protocols::durations::parse_duration;
use std::time::Duration;

use super::positive;

/// The query engine.
#[derive(Args, Debug)]
pub struct QueryArgs {
    /// Memory that running queries may take together
    #[arg(
        long,
        visible_alias = "exec-mem-pool-size",
        value_name = "SIZE",
        env = "INFLUXDB3_EXEC_MEM_POOL_BYTES",
        default_value = "20%",
        hide_short_help = true
    )]
    pub exec_mem_pool_bytes: MemorySize,

    /// What one query may take of the memory for queries; one that takes more fails
    #[arg(
        long,
        value_name = "SIZE",
        env = "INFLUXDB3_QUERY_MEMORY_SHARE",
        default_value = "50%",
        hide_short_help = true
    )]
    pub query_memory_share: MemorySize,

    /// Room on disk for what queries cannot hold in memory while they sort or group; 0 for none.
    /// The files are in the data directory, with other stores than `file` in the system's
    /// directory for temporary files [default: 10gb with the file store, else 0]
    #[arg(long, value_name = "SIZE", env = "INFLUXDB3_QUERY_SPILL_BYTES", hide_short_help = true)]
    pub query_spill_bytes: Option<MemorySize>,

    /// How long a query may run [default: no limit]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, env = "INFLUXDB3_QUERY_TIMEOUT", hide_short_help = true)]
    pub query_timeout: Option<Duration>,

    /// How long a query waits for its client to take the next rows; then it ends
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, env = "INFLUXDB3_QUERY_IDLE_TIMEOUT", default_value = "60s", hide_short_help = true)]
    pub query_idle_timeout: Duration,

    /// Parquet files that one query may open; a query that needs more fails [default: no limit]
    #[arg(long, value_name = "N", value_parser = positive, env = "INFLUXDB3_QUERY_FILE_LIMIT", hide_short_help = true)]
    pub query_file_limit: Option<usize>,

    /// Queries that may run at once; more are refused
    #[arg(long, value_name = "N", env = "INFLUXDB3_MAX_CONCURRENT_QUERIES", default_value_t = 1000, value_parser = positive, hide_short_help = true)]
    pub max_concurrent_queries: usize,

    /// Show statements without their literals, in `system.queries`, in the log and in the audit log
    #[arg(long, env = "INFLUXDB3_QUERY_LOG_REDACT", value_parser = BoolishValueParser::new(), action = ArgAction::SetTrue, hide_short_help = true)]
    pub query_log_redact: bool,

    /// Rows kept in `system.queries`
    #[arg(
        long,
        visible_alias = "query-log-max-entries",
        value_name = "N",
        env = "INFLUXDB3_QUERY_LOG_SIZE",
        default_value_t = 1000,
        hide_short_help = true
    )]
    pub query_log_size: usize,

    /// Threads that run queries [default: one a core]
    #[arg(
        long,
        alias = "datafusion-num-threads",
        value_name = "N",
        env = "INFLUXDB3_NUM_DATAFUSION_THREADS",
        hide_short_help = true
    )]
    pub num_datafusion_threads: Option<usize>,

    /// Settings of the query engine: `key:value,key:value`
    #[arg(long, value_name = "SETTINGS", env = "INFLUXDB3_DATAFUSION_CONFIG", value_delimiter = ',', value_parser = setting, hide_short_help = true)]
    pub datafusion_config: Vec<(String, String)>,
}

/// The cache of Parquet files.
#[derive(Args, Debug)]
pub struct ParquetCacheArgs {
    /// Memory for Parquet files, so that they need not be read from the store
    #[arg(
        long,
        visible_alias = "file-cache-size",
        value_name = "SIZE",
        env = "INFLUXDB3_PARQUET_MEM_CACHE_SIZE",
        default_value = "20%",
        hide_short_help = true
    )]
    pub parquet_mem_cache_size: MemorySize,

    /// Which part of the files leaves the cache when it is full
    #[arg(
        long,
        value_name = "FRACTION",
        env = "INFLUXDB3_PARQUET_MEM_CACHE_PRUNE_PERCENTAGE",
        default_value_t = 0.1,
        value_parser = fraction,
        hide_short_help = true
    )]
    pub parquet_mem_cache_prune_percentage: f64,

    /// How often it is looked whether the cache is full
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, env = "INFLUXDB3_PARQUET_MEM_CACHE_PRUNE_INTERVAL", default_value = "1s", hide_short_help = true)]
    pub parquet_mem_cache_prune_interval: Duration,

    /// Files with rows of the last such time enter the cache when a query reads them
    #[arg(long, visible_alias = "file-cache-recency", value_name = "DURATION", value_parser = parse_duration, env = "INFLUXDB3_PARQUET_MEM_CACHE_QUERY_PATH_DURATION", default_value = "5h", hide_short_help = true)]
    pub parquet_mem_cache_query_path_duration: Duration,

    /// Keep no Parquet files in memory
    #[arg(long, visible_alias = "disable-file-cache", env = "INFLUXDB3_DISABLE_PARQUET_MEM_CACHE", value_parser = BoolishValueParser::new(), action = ArgAction::SetTrue, hide_short_help = true)]
    pub disable_parquet_mem_cache: bool,
}

/// Last-value and distinct-value caches.
#[derive(Args, Debug)]
pub struct CacheArgs {
    /// Memory that last-value and distinct-value caches may take together; beyond it the largest
    /// ones lose their oldest keys
    #[arg(
        long,
        value_name = "SIZE",
        env = "INFLUXDB3_CACHE_MEMORY_LIMIT",
        default_value = "10%",
        hide_short_help = true
    )]
    pub cache_memory_limit: MemorySize,

    /// Largest count of a last-value cache [default: no limit]
    #[arg(long, value_name = "N", env = "INFLUXDB3_MAX_LAST_CACHE_COUNT", hide_short_help = true)]
    pub max_last_cache_count: Option<u64>,

    /// How often last-value caches are freed of rows whose time is over
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, env = "INFLUXDB3_LAST_CACHE_EVICTION_INTERVAL", default_value = "10s", hide_short_help = true)]
    pub last_cache_eviction_interval: Duration,

    /// How often distinct-value caches are freed of what is too old or too much
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, env = "INFLUXDB3_DISTINCT_CACHE_EVICTION_INTERVAL", default_value = "10s", hide_short_help = true)]
    pub distinct_cache_eviction_interval: Duration,
}

fn fraction(text: &str) -> Result<f64, String> {
    let fraction: f64 = text.parse().map_err(|_| format!("'{text}' is not a number"))?;
    let inside = fraction > 0.0 && fraction < 1.0;
    inside.then_some(fraction).ok_or_else(|| "prune percent must be between 0 and 1".to_owned())
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once(':').ok_or_else(|| format!("no `:` in `{text}`"))?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}
