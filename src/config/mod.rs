//! What the server runs with: the command line's options, checked and completed once.

mod given;
pub mod memory;
mod plugins;
mod store;

pub(crate) use store::storage;

use crate::cli::serve::access::AccessArgs;
use crate::cli::serve::ignored::IgnoredArgs;
use crate::cli::serve::query::ParquetCacheArgs;
use crate::cli::serve::{ServeArgs, TlsArgs};
use crate::edge::origins::Origins;
use crate::edge::quota::TokenLimits;
use crate::edge::state::PluginSettings;
use crate::port::tls::{ClientAuth, ClientAuthorities, ClientPrincipal, TlsOptions};
use crate::sizes::MemorySize;
use actors::parquet_cache::ParquetCacheOptions;
use actors::query::QueryOptions;
use actors::runtime::clock::as_nanos;
use actors::runtime::faults;
use actors::server::{CacheOptions, PluginOptions, ServerConfig};
use actors::storage::objects::options::Storage;
use protocols::access::rights::SystemResource;
use protocols::limits;
use protocols::line_protocol::SchemaLimits;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use uuid::Uuid;

/// Of the memory for rows, the part that makes a snapshot due at once whatever else is set: it has
/// to come before writes are refused.
const FORCED_SNAPSHOT_PART: f64 = 0.75;

/// How long the object of a removed file stays for queries that still read it.
const OBJECT_GRACE: Duration = Duration::from_secs(5 * 60);

/// What the server runs with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address to listen on.
    pub http_bind: SocketAddr,
    /// Largest request body, in bytes.
    pub body_bytes_max: usize,
    /// What the bodies of all requests may take together.
    pub bodies_bytes_max: usize,
    /// Encryption of connections, if there is to be any.
    pub tls: Option<TlsOptions>,
    /// Where to write the address that was bound.
    pub listener_file: Option<PathBuf>,
    /// Who may do what.
    pub access: AccessConfig,
    /// Where data is kept.
    pub storage: Storage,
    /// Make every file survive a power loss before it counts as stored.
    pub file_store_fsync: bool,
    /// Use a store even if it cannot keep a second process from replacing objects.
    pub allow_unfenced: bool,
    /// What the actors run with.
    pub server: ServerConfig,
    /// Last-value and distinct-value caches.
    pub caches: CacheOptions,
    /// How plugins run.
    pub plugins: PluginOptions,
    /// What may be done with them over HTTP.
    pub plugin_settings: PluginSettings,
    /// How long open requests may take once the server is told to stop.
    pub shutdown_timeout: Duration,
    /// What was odd about the options, for the log.
    pub warnings: Vec<String>,
}

impl Config {
    /// Completes and checks the options.
    ///
    /// # Errors
    /// When an option makes no sense; the text says which.
    pub fn new(args: &ServeArgs) -> anyhow::Result<Self> {
        let memory = memory::data_bytes();
        let server = server(args, memory)?;
        Ok(Self {
            http_bind: http_bind(&args.http_bind)?,
            body_bytes_max: args.max_http_request_size,
            bodies_bytes_max: ((memory as f64 * limits::INGEST_MEMORY_PART) as usize)
                .max(args.max_http_request_size),
            tls: tls(&args.tls)?,
            listener_file: args.tcp_listener_file_path.clone(),
            access: access(args)?,
            storage: store::storage(&args.object_store)?,
            file_store_fsync: args.object_store.file_store_fsync,
            allow_unfenced: args.object_store.allow_unfenced,
            caches: CacheOptions {
                bytes_max: args.caches.cache_memory_limit.of(memory),
                threads: server.io_threads,
                last_eviction_interval: args.caches.last_cache_eviction_interval,
                distinct_eviction_interval: args.caches.distinct_cache_eviction_interval,
            },
            plugins: plugins::options(&args.plugins, memory, &server),
            plugin_settings: plugins::settings(&args.plugins),
            server,
            shutdown_timeout: args.shutdown_timeout,
            warnings: warnings(args),
        })
    }
}

/// Who may do what.
#[derive(Clone, Debug)]
pub struct AccessConfig {
    /// Answer everybody.
    pub without_auth: bool,
    /// What needs no token.
    pub exempt: Vec<SystemResource>,
    /// File with the operator's token.
    pub admin_token_file: Option<PathBuf>,
    /// File with further tokens.
    pub permission_tokens_file: Option<PathBuf>,
    /// Where the operator's token can be replaced.
    pub recovery_bind: Option<SocketAddr>,
    /// Where to write the address of that.
    pub recovery_listener_file: Option<PathBuf>,
    /// Further names of this server.
    pub allowed_hosts: Vec<String>,
    /// Pages of other servers that may ask and read answers.
    pub origins: Origins,
    /// Whoever shows a certificate and no token is the token of its common name.
    pub certificates_name_tokens: bool,
    /// What each token may do.
    pub token_limits: TokenLimits,
    /// Statements are not told with their literals.
    pub redacts: bool,
}

fn access(all: &ServeArgs) -> anyhow::Result<AccessConfig> {
    let args: &AccessArgs = &all.access;
    let has_file = args.admin_token_file.is_some() || args.permission_tokens_file.is_some();
    anyhow::ensure!(
        !(args.without_auth && has_file),
        "--without-auth does not go with files of tokens: nobody would be asked for them"
    );
    let recovery = args.admin_token_recovery_http_bind.as_deref();
    Ok(AccessConfig {
        without_auth: args.without_auth,
        exempt: args.disable_authz.clone(),
        admin_token_file: args.admin_token_file.clone(),
        permission_tokens_file: args.permission_tokens_file.clone(),
        recovery_bind: recovery
            .map(|text| address("--admin-token-recovery-http-bind", text))
            .transpose()?,
        recovery_listener_file: args.admin_token_recovery_tcp_listener_file_path.clone(),
        allowed_hosts: args.allowed_hosts.clone(),
        origins: args.origins()?,
        certificates_name_tokens: all.tls.tls_client_principal == Some(ClientPrincipal::CommonName),
        token_limits: TokenLimits {
            requests: args.token_max_requests,
            write_bytes_per_second: args.token_write_bytes_per_second,
        },
        redacts: all.query.query_log_redact,
    })
}

/// What the actors run with.
fn server(args: &ServeArgs, memory: usize) -> anyhow::Result<ServerConfig> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let storage = &args.storage;
    let buffer_bytes_max = storage.buffer_memory_limit.of(memory);
    let io_threads = args.num_io_threads.unwrap_or(cores).max(1);
    let force_snapshot = storage.force_snapshot_mem_threshold.of(memory);
    Ok(ServerConfig {
        node_id: node_id(args)?,
        instance: Uuid::new_v4(),
        options: Some(given::given(std::env::args().skip(1))),
        audit: args.audit.options(),
        gen1_duration_ns: as_nanos(storage.gen1_duration.0),
        wal_flush_interval: storage.wal_flush_interval,
        wal_writes_max: storage.wal_max_write_buffer_size,
        wal_bytes_max: storage.wal_max_write_buffer_bytes.of(memory),
        ingest_bytes_max: ingest_bytes(memory, io_threads, args.max_http_request_size),
        buffer_bytes_max,
        force_snapshot_bytes: force_snapshot
            .min((buffer_bytes_max as f64 * FORCED_SNAPSHOT_PART) as usize),
        wal_snapshot_size: storage.wal_snapshot_size,
        wal_files_kept: storage.snapshotted_wal_files_to_keep,
        wal_delete_delay: storage.wal_delete_delay,
        snapshot_concurrency: storage.snapshot_concurrency_limit.unwrap_or(cores.max(16)),
        snapshot_bytes_max: (memory as f64 * limits::SNAPSHOT_MEMORY_PART) as usize,
        object_grace: object_grace(),
        compaction: Some(args.compaction.options(memory)),
        parquet_cache: parquet_cache(&args.parquet_cache, memory),
        last_cache_count_max: args.caches.max_last_cache_count,
        retention_check_interval: storage.retention_check_interval,
        wal_replay_fail_on_error: storage.wal_replay_fail_on_error,
        wal_replay_concurrency: storage.wal_replay_concurrency_limit.unwrap_or(cores.max(10)),
        write_window: storage.write_window,
        immutable_tags: storage.immutable_tags,
        databases_max: storage.max_databases,
        schema_limits: SchemaLimits {
            tables: storage.max_tables,
            columns_per_table: storage.max_columns_per_table,
            tag_columns_per_table: storage.max_tag_columns_per_table,
        },
        hard_delete_default: storage.hard_delete_default_duration,
        delete_grace: storage.delete_grace_period,
        query: query(args, memory, cores)?,
        io_threads,
    })
}

/// What was chosen about queries.
fn query(args: &ServeArgs, memory: usize, cores: usize) -> anyhow::Result<QueryOptions> {
    let query = &args.query;
    let memory_pool_bytes = query.exec_mem_pool_bytes.of(memory);
    Ok(QueryOptions {
        threads: query.num_datafusion_threads.unwrap_or(cores).max(1),
        memory_pool_bytes,
        query_memory_bytes: query.query_memory_share.of(memory_pool_bytes),
        spill: store::spill(args, memory)?,
        file_limit: query.query_file_limit,
        timeout: query.query_timeout,
        idle_timeout: query.query_idle_timeout,
        settings: query.datafusion_config.clone(),
        max_concurrent: query.max_concurrent_queries,
        token_queries_max: args.access.token_max_queries,
        redacts: query.query_log_redact,
        log_entries_max: query.query_log_size,
    })
}

/// Tests of what happens after it do not wait for it.
fn object_grace() -> Duration {
    if faults::fails("object-grace") { Duration::ZERO } else { OBJECT_GRACE }
}

/// One mailbox takes at least one body of the largest size, and what it takes beside its bytes.
fn ingest_bytes(memory: usize, members: usize, body_bytes_max: usize) -> usize {
    let share = (memory as f64 * limits::INGEST_MEMORY_PART) as usize / members;
    share.min(limits::INGEST_MAILBOX_BYTES).max(body_bytes_max.saturating_add(64 * 1024))
}

fn node_id(args: &ServeArgs) -> anyhow::Result<String> {
    let id = match (&args.node_id, &args.node_id_from_env) {
        (Some(id), _) => id.clone(),
        (None, Some(variable)) => {
            let id = std::env::var(variable).ok().filter(|id| !id.is_empty());
            id.ok_or_else(|| {
                anyhow::anyhow!(
                    "Must set INFLUXDB3_NODE_IDENTIFIER_PREFIX={variable} to a valid env var value \
                     for the node id"
                )
            })?
        }
        (None, None) => anyhow::bail!("a node id is required: --node-id <NODE_ID>"),
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    anyhow::ensure!(
        !id.is_empty() && id.len() <= 128 && id.chars().all(allowed) && !id.starts_with('.'),
        "invalid node id '{id}': use 1 to 128 ASCII letters, digits, '_', '-' and '.', and no '.' \
         at the start"
    );
    Ok(id)
}

/// The address to listen on; a name like `localhost` is looked up.
fn http_bind(text: &str) -> anyhow::Result<SocketAddr> {
    address("--http-bind", text)
}

fn address(option: &str, text: &str) -> anyhow::Result<SocketAddr> {
    use std::net::ToSocketAddrs;
    text.to_socket_addrs()
        .ok()
        .and_then(|mut found| found.next())
        .ok_or_else(|| anyhow::anyhow!("invalid address '{text}' for {option}: use host:port"))
}

fn tls(args: &TlsArgs) -> anyhow::Result<Option<TlsOptions>> {
    let minimum = args.tls_minimum_version;
    let auth = args.tls_client_auth.unwrap_or(ClientAuth::Required);
    let clients = args.tls_client_ca.clone().map(|file| ClientAuthorities { file, auth });
    match (args.tls_cert.clone(), args.tls_key.clone()) {
        (None, None) => {
            anyhow::ensure!(
                clients.is_none(),
                "--tls-client-ca needs encrypted connections: --tls-cert and --tls-key"
            );
            Ok(None)
        }
        (Some(certificate), Some(key)) => {
            Ok(Some(TlsOptions { certificate, key, minimum, clients }))
        }
        _ => anyhow::bail!(
            "tls requires both a cert and a key file to be passed in to work: --tls-cert and \
             --tls-key"
        ),
    }
}

fn parquet_cache(args: &ParquetCacheArgs, memory: usize) -> Option<ParquetCacheOptions> {
    (!args.disable_parquet_mem_cache).then(|| ParquetCacheOptions {
        bytes_max: args.parquet_mem_cache_size.of(memory),
        prune_fraction: args.parquet_mem_cache_prune_percentage,
        prune_interval: args.parquet_mem_cache_prune_interval,
        query_path_duration: args.parquet_mem_cache_query_path_duration,
    })
}

fn warnings(args: &ServeArgs) -> Vec<String> {
    let sizes = [
        ("--wal-max-write-buffer-bytes", args.storage.wal_max_write_buffer_bytes),
        ("--buffer-memory-limit", args.storage.buffer_memory_limit),
        ("--force-snapshot-mem-threshold", args.storage.force_snapshot_mem_threshold),
        ("--exec-mem-pool-bytes", args.query.exec_mem_pool_bytes),
        ("--query-memory-share", args.query.query_memory_share),
        ("--parquet-mem-cache-size", args.parquet_cache.parquet_mem_cache_size),
        ("--cache-memory-limit", args.caches.cache_memory_limit),
    ];
    let unitless = sizes.iter().filter_map(|(option, size)| match size {
        MemorySize::Unitless(megabytes) => {
            Some(format!("{option} {megabytes} has no unit and is taken for {megabytes}mb"))
        }
        MemorySize::Bytes(_) | MemorySize::Percent(_) => None,
    });
    unitless.chain(store::warnings(&args.object_store)).chain(ignored(&args.ignored)).collect()
}

/// One line for all options that mean nothing.
fn ignored(args: &IgnoredArgs) -> Option<String> {
    let names = &args.meaningless;
    let text = "accepted without effect, as they mean nothing here";
    (!names.is_empty()).then(|| format!("{text}: {}", names.join(", ")))
}
