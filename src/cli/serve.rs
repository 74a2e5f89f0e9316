//! Options of `influxdb3 serve`.

use crate::config::sizes::{Gen1Duration, MemorySize};
use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args, ValueEnum};
use protocols::durations::parse_duration;
use std::path::PathBuf;
use std::time::Duration;

/// Where a server keeps its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ObjectStoreKind {
    /// In memory: nothing survives a restart
    Memory,
    /// In a directory
    File,
}

/// Where logs go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogDestination {
    /// Standard output
    Stdout,
    /// Standard error
    Stderr,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One line an event
    Full,
    /// Several lines an event, for people
    Pretty,
    /// One JSON object an event
    Json,
}

/// Run the server.
#[derive(Args, Debug)]
pub struct ServeArgs {
    /// Name of this node: prefix of all its objects in the store
    #[arg(
        long,
        visible_alias = "writer-id",
        alias = "host-id",
        env = "INFLUXDB3_NODE_IDENTIFIER_PREFIX",
        required_unless_present = "node_id_from_env",
        conflicts_with = "node_id_from_env"
    )]
    pub node_id: Option<String>,

    /// Name of an environment variable that holds the node id
    #[arg(
        long,
        value_name = "VAR",
        env = "INFLUXDB3_NODE_IDENTIFIER_FROM_ENV",
        hide_short_help = true
    )]
    pub node_id_from_env: Option<String>,

    /// Refused: it belongs to another product
    #[arg(long, hide = true, value_parser = no_cluster)]
    pub cluster_id: Option<String>,

    /// Address to listen on; port 0 takes any free one
    #[arg(
        long,
        value_name = "ADDR",
        env = "INFLUXDB3_HTTP_BIND_ADDR",
        default_value = "0.0.0.0:8181"
    )]
    pub http_bind: String,

    /// Largest request body in bytes, on the wire and decompressed
    #[arg(
        long,
        value_name = "BYTES",
        env = "INFLUXDB3_MAX_HTTP_REQUEST_SIZE",
        default_value_t = protocols::limits::HTTP_BODY_BYTES_MAX,
        value_parser = positive,
        hide_short_help = true
    )]
    pub max_http_request_size: usize,

    /// After binding, write `host:port` to this file, which must not exist
    #[arg(long, value_name = "FILE", env = "INFLUXDB3_TCP_LISTENER_FILE_PATH", hide = true)]
    pub tcp_listener_file_path: Option<PathBuf>,

    /// Answer everybody. Without this, only requests from this machine are answered, as long as
    /// there are no tokens
    #[arg(long, env = "INFLUXDB3_START_WITHOUT_AUTH", value_parser = BoolishValueParser::new(), action = ArgAction::SetTrue)]
    pub without_auth: bool,

    /// Where data is kept
    #[arg(
        long,
        value_enum,
        ignore_case = true,
        env = "INFLUXDB3_OBJECT_STORE",
        default_value = "file"
    )]
    pub object_store: ObjectStoreKind,

    /// Directory of the file store [default: ~/.influxdb]
    #[arg(long, value_name = "DIR", env = "INFLUXDB3_DB_DIR")]
    pub data_dir: Option<PathBuf>,

    /// Options that are rarely needed.
    #[command(flatten)]
    pub storage: StorageArgs,

    /// Options of the query engine.
    #[command(flatten)]
    pub query: QueryArgs,

    /// Options of the log.
    #[command(flatten)]
    pub log: LogArgs,

    /// Threads that serve HTTP and parse writes [default: one a core]
    #[arg(
        long,
        visible_alias = "num-threads",
        value_name = "N",
        env = "INFLUXDB3_NUM_IO_THREADS",
        hide_short_help = true
    )]
    pub num_io_threads: Option<usize>,

    /// How long open requests may take once the server is told to stop
    #[arg(long, value_parser = parse_duration, env = "INFLUXDB3_SHUTDOWN_TIMEOUT", default_value = "30s", hide_short_help = true)]
    pub shutdown_timeout: Duration,

    /// Accepted for scripts written for other servers: this one never sends telemetry
    #[arg(long, env = "INFLUXDB3_TELEMETRY_DISABLE_UPLOAD", value_parser = BoolishValueParser::new(), action = ArgAction::SetTrue, hide = true)]
    pub disable_telemetry_upload: bool,
}

/// WAL, chunks, deletion and limits.
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
        default_value = "70%",
        hide_short_help = true
    )]
    pub buffer_memory_limit: MemorySize,

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

    /// Refuse rows of existing tables that are older than this [default: take any]
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
}

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

    /// How long a query may run [default: no limit]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, env = "INFLUXDB3_QUERY_TIMEOUT", hide_short_help = true)]
    pub query_timeout: Option<Duration>,

    /// Queries that may run at once; more are refused
    #[arg(long, value_name = "N", env = "INFLUXDB3_MAX_CONCURRENT_QUERIES", default_value_t = 1000, value_parser = positive, hide_short_help = true)]
    pub max_concurrent_queries: usize,

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

/// The log.
#[derive(Args, Debug)]
pub struct LogArgs {
    /// What to log: a level, or a list of `module=level`
    #[arg(long, value_name = "FILTER", env = "INFLUXDB3_LOG_FILTER", default_value = "info")]
    pub log_filter: String,

    /// -v logs what `info` does, -vv debug, -vvv trace; wins over --log-filter
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,

    /// Where the log goes
    #[arg(
        long,
        value_enum,
        env = "INFLUXDB3_LOG_DESTINATION",
        default_value = "stdout",
        hide_short_help = true
    )]
    pub log_destination: LogDestination,

    /// How a log line looks
    #[arg(
        long,
        value_enum,
        env = "INFLUXDB3_LOG_FORMAT",
        default_value = "full",
        hide_short_help = true
    )]
    pub log_format: LogFormat,
}

fn no_cluster(_: &str) -> Result<String, String> {
    Err("You've incorrectly specified a cluster-id for InfluxDB 3 Core OSS. A single node has no \
         cluster: use --node-id"
        .to_owned())
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(0) => Err("must be at least 1".to_owned()),
        Ok(n) => Ok(n),
        Err(e) => Err(e.to_string()),
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once(':').ok_or_else(|| format!("no `:` in `{text}`"))?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}
