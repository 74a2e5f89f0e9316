//! Options of `influxdb3 serve`.

pub mod access;
pub mod audit;
pub mod compaction;
pub mod ignored;
pub mod object_store;
pub mod plugins;
pub mod query;
pub mod storage;

use self::access::AccessArgs;
use self::audit::AuditArgs;
use self::compaction::CompactionArgs;
use self::ignored::IgnoredArgs;
use self::object_store::ObjectStoreArgs;
use self::plugins::PluginArgs;
use self::query::{CacheArgs, ParquetCacheArgs, QueryArgs};
use self::storage::StorageArgs;
use crate::cli::paths::path;
use crate::port::tls::{ClientAuth, ClientPrincipal, TlsVersion};
use crate::sizes::parse_body_bytes;
use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args, ValueEnum};
use protocols::durations::parse_duration;
use std::path::PathBuf;
use std::time::Duration;

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
    /// One line an event, all of it `key=value`
    Logfmt,
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

    /// Largest request body, on the wire and decompressed
    #[arg(
        long,
        value_name = "SIZE",
        env = "INFLUXDB3_MAX_HTTP_REQUEST_SIZE",
        default_value_t = protocols::limits::HTTP_BODY_BYTES_MAX,
        value_parser = parse_body_bytes,
        hide_short_help = true
    )]
    pub max_http_request_size: usize,

    /// Encryption of connections.
    #[command(flatten)]
    pub tls: TlsArgs,

    /// After binding, write `host:port` to this file, which must not exist
    #[arg(long, value_name = "FILE", env = "INFLUXDB3_TCP_LISTENER_FILE_PATH", value_parser = path(), hide = true)]
    pub tcp_listener_file_path: Option<PathBuf>,

    /// Who may do what.
    #[command(flatten)]
    pub access: AccessArgs,

    /// What is told of who has done what.
    #[command(flatten)]
    pub audit: AuditArgs,

    /// Where data is kept.
    #[command(flatten)]
    pub object_store: ObjectStoreArgs,

    /// WAL, snapshots, deletion and limits.
    #[command(flatten)]
    pub storage: StorageArgs,

    /// How files become fewer.
    #[command(flatten)]
    pub compaction: CompactionArgs,

    /// Options of the query engine.
    #[command(flatten)]
    pub query: QueryArgs,

    /// Options of the cache of Parquet files.
    #[command(flatten)]
    pub parquet_cache: ParquetCacheArgs,

    /// Options of last-value and distinct-value caches.
    #[command(flatten)]
    pub caches: CacheArgs,

    /// Options of the processing engine.
    #[command(flatten)]
    pub plugins: PluginArgs,

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

    /// Options that change nothing here.
    #[command(flatten)]
    pub ignored: IgnoredArgs,
}

/// Encryption of connections.
#[derive(Args, Debug)]
pub struct TlsArgs {
    /// PEM file with the server's certificate: connections are encrypted
    #[arg(
        long,
        value_name = "FILE",
        env = "INFLUXDB3_TLS_CERT",
        value_parser = path()
    )]
    pub tls_cert: Option<PathBuf>,

    /// PEM file with the certificate's private key
    #[arg(
        long,
        value_name = "FILE",
        env = "INFLUXDB3_TLS_KEY",
        value_parser = path()
    )]
    pub tls_key: Option<PathBuf>,

    /// Oldest version of TLS that clients may use
    #[arg(
        long,
        value_name = "VERSION",
        value_enum,
        env = "INFLUXDB3_TLS_MINIMUM_VERSION",
        default_value = "tls-1.2",
        hide_short_help = true
    )]
    pub tls_minimum_version: TlsVersion,

    /// PEM file with the authorities whose clients are trusted: clients show a certificate of
    /// theirs
    #[arg(
        long,
        value_name = "FILE",
        env = "INFLUXDB3_TLS_CLIENT_CA",
        value_parser = path(),
        hide_short_help = true
    )]
    pub tls_client_ca: Option<PathBuf>,

    /// Whether a client without a certificate gets a connection [default: required]
    #[arg(
        long,
        value_name = "WHETHER",
        value_enum,
        env = "INFLUXDB3_TLS_CLIENT_AUTH",
        requires = "tls_client_ca",
        hide_short_help = true
    )]
    pub tls_client_auth: Option<ClientAuth>,

    /// Whom a certificate makes of a client that brings no token [default: none]
    #[arg(
        long,
        value_name = "WHOM",
        value_enum,
        env = "INFLUXDB3_TLS_CLIENT_PRINCIPAL",
        requires = "tls_client_ca",
        hide_short_help = true
    )]
    pub tls_client_principal: Option<ClientPrincipal>,
}

/// The log.
#[derive(Args, Debug)]
pub struct LogArgs {
    /// What to log: a level, or a list of `module=level`
    #[arg(long, value_name = "FILTER", env = "INFLUXDB3_LOG_FILTER", default_value = "info")]
    pub log_filter: String,

    /// Log what the libraries say too where --log-filter is `debug` or `trace`, not only this program
    #[arg(long, env = "INFLUXDB3_DISABLE_LOG_FILTER_NOISE_REDUCTION", value_parser = BoolishValueParser::new(), action = ArgAction::SetTrue, hide_short_help = true)]
    pub disable_log_filter_noise_reduction: bool,

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
