//! Options of `influxdb3 serve` about the WAL, snapshots, deletion and limits.

use crate::sizes::{Gen1Duration, MemorySize};
use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args};
use protocols::durations::parse_duration;
use std::time::Duration;

use super::positive;

/// WAL, snapshots, deletion and limits.
#[derive(Args, Debug)]
pub struct StorageArgs {
    /// Width of a chunk by row time: 1m, 5m or 10m; fixed at the first start of a store
    #[arg(
        long,
        value_name = "DURATION",
        env = "INFLUXDB3_GEN1_DURATION",
        default_value = "10m",
        hide_short_help = true
    )]
    pub gen1_duration: Gen1Duration,

    /// How long one WAL file is appended to
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, env = "INFLUXDB3_WAL_FLUSH_INTERVAL", default_value = "1s", hide_short_help = true)]
    pub wal_flush_interval: Duration,

    /// Writes that may wait for the WAL; more are refused
    #[arg(
        long,
        visible_alias = "wal-max-buffered-writes",
        value_name = "N",
        env = "INFLUXDB3_WAL_MAX_WRITE_BUFFER_SIZE",
        default_value_t = 100_000,
        value_parser = positive,
        hide_short_help = true
    )]
    pub wal_max_write_buffer_size: usize,

    /// Memory that writes may take while they wait for the WAL
    #[arg(
        long,
        value_name = "SIZE",
        env = "INFLUXDB3_WAL_MAX_WRITE_BUFFER_BYTES",
        default_value = "10%",
        hide_short_help = true
    )]
    pub wal_max_write_buffer_bytes: MemorySize,

    /// Memory that rows may take; when it is used up, writes are refused with 503
    #[arg(
        long,
        value_name = "SIZE",
        env = "INFLUXDB3_BUFFER_MEMORY_LIMIT",
        default_value = "30%",
        hide_short_help = true
    )]
    pub buffer_memory_limit: MemorySize,

    /// Periods of the WAL per snapshot: when half as many again have gathered, the older ones are
    /// written as Parquet files
    #[arg(
        long,
        visible_alias = "wal-files-per-snapshot",
        value_name = "N",
        env = "INFLUXDB3_WAL_SNAPSHOT_SIZE",
        default_value_t = 600,
        value_parser = positive,
        hide_short_help = true
    )]
    pub wal_snapshot_size: usize,

    /// WAL files kept although a snapshot covers them, for whoever follows or copies them
    #[arg(
        long,
        value_name = "N",
        env = "INFLUXDB3_NUM_WAL_FILES_TO_KEEP",
        default_value_t = 300,
        hide_short_help = true
    )]
    pub snapshotted_wal_files_to_keep: u64,

    /// How long WAL files stay after a snapshot covered them, so that a copy of a running server's
    /// files can be finished
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, env = "INFLUXDB3_WAL_DELETE_DELAY", default_value = "10m", hide_short_help = true)]
    pub wal_delete_delay: Duration,

    /// Memory of rows that makes a snapshot due at once. Three quarters of --buffer-memory-limit do
    /// so in any case
    #[arg(
        long,
        visible_alias = "force-snapshot-mem-size",
        value_name = "SIZE",
        env = "INFLUXDB3_FORCE_SNAPSHOT_MEM_THRESHOLD",
        default_value = "50%",
        hide_short_help = true
    )]
    pub force_snapshot_mem_threshold: MemorySize,

    /// Parquet files that a snapshot writes at once [default: 16, or one a core if these are more]
    #[arg(
        long,
        value_name = "N",
        env = "INFLUXDB3_SNAPSHOT_CONCURRENCY_LIMIT",
        value_parser = snapshot_concurrency,
        hide_short_help = true
    )]
    pub snapshot_concurrency_limit: Option<usize>,

    /// Do not start when a WAL file is damaged, rather than use what is readable of it
    #[arg(long, env = "INFLUXDB3_WAL_REPLAY_FAIL_ON_ERROR", value_parser = BoolishValueParser::new(), action = ArgAction::SetTrue, hide_short_help = true)]
    pub wal_replay_fail_on_error: bool,

    /// WAL files read ahead at start [default: one a core, at least 10]
    #[arg(
        long,
        value_name = "N",
        env = "INFLUXDB3_WAL_REPLAY_CONCURRENCY_LIMIT",
        hide_short_help = true
    )]
    pub wal_replay_concurrency_limit: Option<usize>,

    /// Refuse rows of existing tables that are older than this, and leave chunks and files of none
    /// but older rows out of queries [default: take any]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, env = "INFLUXDB3_WRITE_WINDOW", hide_short_help = true)]
    pub write_window: Option<Duration>,

    /// Refuse tags that an existing table does not have yet
    #[arg(long, env = "INFLUXDB3_IMMUTABLE_TAGS", value_parser = BoolishValueParser::new(), action = ArgAction::SetTrue, hide_short_help = true)]
    pub immutable_tags: bool,

    /// Most databases [default: no limit]
    #[arg(long, value_name = "N", env = "INFLUXDB3_MAX_DATABASES", hide_short_help = true)]
    pub max_databases: Option<usize>,

    /// Most tables over all databases [default: no limit]
    #[arg(long, value_name = "N", env = "INFLUXDB3_MAX_TABLES", hide_short_help = true)]
    pub max_tables: Option<usize>,

    /// Most columns of a table, `time` not counted [default: no limit]
    #[arg(long, value_name = "N", env = "INFLUXDB3_MAX_COLUMNS_PER_TABLE", hide_short_help = true)]
    pub max_columns_per_table: Option<usize>,

    /// Most tags of a table [default: no limit]
    #[arg(
        long,
        value_name = "N",
        env = "INFLUXDB3_MAX_TAG_COLUMNS_PER_TABLE",
        hide_short_help = true
    )]
    pub max_tag_columns_per_table: Option<usize>,

    /// How long the rows of something deleted stay when the deletion does not say
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, env = "INFLUXDB3_HARD_DELETE_DEFAULT_DURATION", default_value = "72h", hide_short_help = true)]
    pub hard_delete_default_duration: Duration,

    /// How long the name of something deleted stays listed after its rows are gone
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, env = "INFLUXDB3_DELETE_GRACE_PERIOD", default_value = "24h", hide_short_help = true)]
    pub delete_grace_period: Duration,

    /// How often files are looked for whose rows are older than their database's retention period
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, env = "INFLUXDB3_RETENTION_CHECK_INTERVAL", default_value = "30m", hide_short_help = true)]
    pub retention_check_interval: Duration,
}

fn snapshot_concurrency(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(0) => Err("snapshot concurrency limit must be greater than 0".to_owned()),
        Ok(n) => Ok(n),
        Err(e) => Err(e.to_string()),
    }
}
