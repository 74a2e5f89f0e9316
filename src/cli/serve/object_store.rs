//! Options of `influxdb3 serve` about where data is kept.

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args, ValueEnum};
use protocols::durations::parse_duration;
use std::path::PathBuf;
use std::time::Duration;

use super::positive;
use crate::cli::paths::path;
use crate::sizes::parse_bytes;

/// Where a server keeps its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ObjectStoreKind {
    /// In memory: nothing survives a restart
    Memory,
    /// In memory, with the delays of a store behind a network: for experiments
    MemoryThrottled,
    /// In a directory
    File,
    /// In a bucket of Amazon S3 or a store that speaks its protocol
    S3,
    /// In a bucket of Google Cloud Storage
    Google,
    /// In a container of Azure Blob Storage
    Azure,
}

/// Where data is kept.
#[derive(Args, Debug)]
pub struct ObjectStoreArgs {
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
    #[arg(long, value_name = "DIR", env = "INFLUXDB3_DB_DIR", value_parser = path())]
    pub data_dir: Option<PathBuf>,

    /// Bucket or container of a remote store; it must exist
    #[arg(long, value_name = "NAME", env = "INFLUXDB3_BUCKET")]
    pub bucket: Option<String>,

    /// Make every file of the file store survive a power loss before it counts as stored. With
    /// `false` the system writes when it likes: a power loss may take acknowledged rows
    #[arg(
        long,
        value_name = "BOOL",
        env = "INFLUXDB3_FILE_STORE_FSYNC",
        value_parser = BoolishValueParser::new(),
        action = ArgAction::Set,
        num_args = 0..=1,
        default_value = "true",
        default_missing_value = "true",
        hide_short_help = true
    )]
    pub file_store_fsync: bool,

    /// Use a remote store even if it replaces objects that it was asked to create only. Two
    /// servers with one node id then destroy each other's data
    #[arg(long, env = "INFLUXDB3_ALLOW_UNFENCED", value_parser = BoolishValueParser::new(), action = ArgAction::SetTrue, hide_short_help = true)]
    pub allow_unfenced: bool,

    /// Options of S3.
    #[command(flatten)]
    pub s3: S3Args,

    /// Options of Google Cloud Storage and Azure Blob Storage.
    #[command(flatten)]
    pub clouds: CloudArgs,

    /// Options of all remote stores.
    #[command(flatten)]
    pub remote: RemoteArgs,
}

/// Amazon S3 and stores that speak its protocol.
#[derive(Args, Debug)]
pub struct S3Args {
    /// Access key. Without one the credentials of the machine or of the container are used
    #[arg(
        long,
        visible_alias = "aws-access-key",
        value_name = "KEY",
        env = "AWS_ACCESS_KEY_ID",
        hide_env_values = true,
        hide_short_help = true
    )]
    pub aws_access_key_id: Option<String>,

    /// Secret of the access key
    #[arg(
        long,
        value_name = "SECRET",
        env = "AWS_SECRET_ACCESS_KEY",
        hide_env_values = true,
        hide_short_help = true
    )]
    pub aws_secret_access_key: Option<String>,

    /// Region of the bucket
    #[arg(
        long,
        value_name = "REGION",
        env = "AWS_DEFAULT_REGION",
        default_value = "us-east-1",
        hide_short_help = true
    )]
    pub aws_default_region: String,

    /// Where a store that speaks the protocol of S3 is reached
    #[arg(long, value_name = "URL", env = "AWS_ENDPOINT", hide_short_help = true)]
    pub aws_endpoint: Option<String>,

    /// Session token that belongs to the access key
    #[arg(
        long,
        value_name = "TOKEN",
        env = "AWS_SESSION_TOKEN",
        hide_env_values = true,
        hide_short_help = true
    )]
    pub aws_session_token: Option<String>,

    /// Reach the endpoint without TLS as well
    #[arg(long, env = "AWS_ALLOW_HTTP", value_parser = BoolishValueParser::new(), action = ArgAction::SetTrue, hide_short_help = true)]
    pub aws_allow_http: bool,

    /// Send requests without a signature
    #[arg(long, env = "AWS_SKIP_SIGNATURE", value_parser = BoolishValueParser::new(), action = ArgAction::SetTrue, hide_short_help = true)]
    pub aws_skip_signature: bool,

    /// JSON file with `aws_access_key_id`, `aws_secret_access_key`, `aws_session_token` and
    /// `expiry` (Unix seconds), the last two being optional. It wins over the other options, and is
    /// read again at the expiry, every hour, and when the store refuses what it said
    #[arg(long, value_name = "FILE", env = "AWS_CREDENTIALS_FILE", value_parser = path(), hide_short_help = true)]
    pub aws_credentials_file: Option<PathBuf>,
}

/// Google Cloud Storage and Azure Blob Storage.
#[derive(Args, Debug)]
pub struct CloudArgs {
    /// File with the key of a service account
    #[arg(long, value_name = "FILE", env = "GOOGLE_SERVICE_ACCOUNT", value_parser = path(), hide_short_help = true)]
    pub google_service_account: Option<PathBuf>,

    /// Storage account
    #[arg(long, value_name = "NAME", env = "AZURE_STORAGE_ACCOUNT", hide_short_help = true)]
    pub azure_storage_account: Option<String>,

    /// Access key of the storage account. Without one the workload's or machine's identity is used
    #[arg(
        long,
        value_name = "KEY",
        env = "AZURE_STORAGE_ACCESS_KEY",
        hide_env_values = true,
        hide_short_help = true
    )]
    pub azure_storage_access_key: Option<String>,

    /// Where the storage account is reached, if not at its usual address
    #[arg(long, value_name = "URL", env = "AZURE_ENDPOINT", hide_short_help = true)]
    pub azure_endpoint: Option<String>,

    /// Reach the endpoint without TLS as well
    #[arg(long, env = "AZURE_ALLOW_HTTP", value_parser = BoolishValueParser::new(), action = ArgAction::SetTrue, hide_short_help = true)]
    pub azure_allow_http: bool,
}

/// All stores behind a network.
#[derive(Args, Debug)]
pub struct RemoteArgs {
    /// Requests to the store that may be under way at once
    #[arg(
        long,
        value_name = "N",
        env = "INFLUXDB3_OBJECT_STORE_CONNECTION_LIMIT",
        default_value_t = 64,
        value_parser = positive,
        hide_short_help = true
    )]
    pub object_store_connection_limit: usize,

    /// Speak nothing but HTTP/2 with the store
    #[arg(long, env = "INFLUXDB3_OBJECT_STORE_HTTP2_ONLY", value_parser = BoolishValueParser::new(), action = ArgAction::SetTrue, hide_short_help = true)]
    pub object_store_http2_only: bool,

    /// Largest HTTP/2 frame
    #[arg(
        long,
        value_name = "SIZE",
        env = "INFLUXDB3_OBJECT_STORE_HTTP2_MAX_FRAME_SIZE",
        value_parser = frame_bytes,
        hide_short_help = true
    )]
    pub object_store_http2_max_frame_size: Option<u32>,

    /// How long one request to the store may take
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, env = "INFLUXDB3_OBJECT_STORE_REQUEST_TIMEOUT", default_value = "30s", hide_short_help = true)]
    pub object_store_request_timeout: Duration,

    /// How often a request is repeated that failed for a passing reason [default: 10]
    #[arg(
        long,
        value_name = "N",
        env = "INFLUXDB3_OBJECT_STORE_MAX_RETRIES",
        hide_short_help = true
    )]
    pub object_store_max_retries: Option<usize>,

    /// No request is repeated later than this after it was sent first [default: 3m]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, env = "INFLUXDB3_OBJECT_STORE_RETRY_TIMEOUT", hide_short_help = true)]
    pub object_store_retry_timeout: Option<Duration>,

    /// Refused: recent Parquet files are kept in this server's own memory
    #[arg(long, value_name = "URL", env = "INFLUXDB3_OBJECT_STORE_CACHE_ENDPOINT", value_parser = no_cache_endpoint, hide = true)]
    pub object_store_cache_endpoint: Option<String>,

    /// Take any TLS certificate of the store for good
    #[arg(long, env = "INFLUXDB3_OBJECT_STORE_TLS_ALLOW_INSECURE", value_parser = BoolishValueParser::new(), action = ArgAction::SetTrue, hide_short_help = true)]
    pub object_store_tls_allow_insecure: bool,

    /// PEM file with certificate authorities to trust besides the system's
    #[arg(
        long,
        value_name = "FILE",
        env = "INFLUXDB3_OBJECT_STORE_TLS_CA",
        value_parser = path(),
        hide_short_help = true
    )]
    pub object_store_tls_ca: Option<PathBuf>,
}

fn frame_bytes(text: &str) -> Result<u32, String> {
    let range = 16_384..=16_777_215; // RFC 9113, 4.2
    let bytes = u32::try_from(parse_bytes(text)?).ok().filter(|bytes| range.contains(bytes));
    bytes.ok_or_else(|| format!("'{text}' is not in {} to {} bytes", range.start(), range.end()))
}

fn no_cache_endpoint(_: &str) -> Result<String, String> {
    Err("this server does not use a cache between itself and the object store: it keeps recent \
         Parquet files in memory (--parquet-mem-cache-size)"
        .to_owned())
}
