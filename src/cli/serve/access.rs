//! Options about who may do what.

use super::positive;
use crate::cli::paths::path;
use crate::edge::origins::Origins;
use crate::sizes::parse_bytes;
use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args};
use protocols::access::rights::SystemResource;
use std::path::PathBuf;

/// Where the operator's token is replaced unless an address is given.
const RECOVERY_ADDRESS: &str = "127.0.0.1:8182";

/// Who may do what.
#[derive(Args, Debug)]
pub struct AccessArgs {
    /// Answer everybody, and ask nobody for a token
    #[arg(long, env = "INFLUXDB3_START_WITHOUT_AUTH", value_parser = BoolishValueParser::new(), action = ArgAction::SetTrue)]
    pub without_auth: bool,

    /// Endpoints that need no token: health, ping, metrics, ready, pprof, node_stop
    #[arg(
        long,
        value_name = "LIST",
        env = "INFLUXDB3_DISABLE_AUTHZ",
        value_delimiter = ',',
        value_parser = exempt
    )]
    pub disable_authz: Vec<SystemResource>,

    /// File with the operator's token, read when there is none yet: made by `create token --admin
    /// --offline`
    #[arg(long, value_name = "FILE", env = "INFLUXDB3_ADMIN_TOKEN_FILE", value_parser = path())]
    pub admin_token_file: Option<PathBuf>,

    /// File with tokens and their permissions; those whose names are known are left as they are
    #[arg(long, value_name = "FILE", env = "INFLUXDB3_PERMISSION_TOKENS_FILE", value_parser = path())]
    pub permission_tokens_file: Option<PathBuf>,

    /// Address where the operator's token can be replaced once without a token [bare:
    /// 127.0.0.1:8182]
    #[arg(
        long,
        value_name = "ADDR",
        env = "INFLUXDB3_ADMIN_TOKEN_RECOVERY_HTTP_BIND_ADDR",
        num_args = 0..=1,
        default_missing_value = RECOVERY_ADDRESS,
        hide_short_help = true
    )]
    pub admin_token_recovery_http_bind: Option<String>,

    /// After binding that address, write `host:port` to this file, which must not exist
    #[arg(
        long,
        value_name = "FILE",
        env = "INFLUXDB3_ADMIN_TOKEN_RECOVERY_TCP_LISTENER_FILE_PATH",
        value_parser = path(),
        hide = true
    )]
    pub admin_token_recovery_tcp_listener_file_path: Option<PathBuf>,

    /// Further names of this server: until there is a token, requests that call it otherwise are
    /// refused; with --without-auth only if some are listed
    #[arg(
        long,
        value_name = "NAMES",
        env = "INFLUXDB3_ALLOWED_HOSTS",
        value_delimiter = ',',
        hide_short_help = true
    )]
    pub allowed_hosts: Vec<String>,

    /// Origins whose pages may ask from a browser and read the answers, such as
    /// `https://dash.example.org`; `*` is any [default: none]
    #[arg(
        long,
        value_name = "ORIGINS",
        env = "INFLUXDB3_CORS_ALLOWED_ORIGINS",
        value_delimiter = ',',
        hide_short_help = true
    )]
    pub cors_allowed_origins: Vec<String>,

    /// Requests of one token that may be under way at once; more are refused [default: no limit]
    #[arg(long, value_name = "N", env = "INFLUXDB3_TOKEN_MAX_REQUESTS", value_parser = positive, hide_short_help = true)]
    pub token_max_requests: Option<usize>,

    /// Queries of one token that may run at once; more are refused [default: no limit]
    #[arg(long, value_name = "N", env = "INFLUXDB3_TOKEN_MAX_QUERIES", value_parser = positive, hide_short_help = true)]
    pub token_max_queries: Option<usize>,

    /// Line protocol that one token may write in a second, decompressed [default: no limit]
    #[arg(long, value_name = "SIZE", env = "INFLUXDB3_TOKEN_WRITE_BYTES_PER_SECOND", value_parser = parse_bytes, hide_short_help = true)]
    pub token_write_bytes_per_second: Option<usize>,
}

impl AccessArgs {
    /// Pages of other servers that may ask and read answers.
    ///
    /// # Errors
    /// When something is no origin.
    pub fn origins(&self) -> anyhow::Result<Origins> {
        let origins = Origins::parse(&self.cors_allowed_origins);
        origins.map_err(|e| anyhow::anyhow!("--cors-allowed-origins: {e}"))
    }
}

fn exempt(name: &str) -> Result<SystemResource, String> {
    SystemResource::parse(name.trim()).ok_or_else(|| {
        "invalid value passed in for --disable-authz, allowed values are health, ping, metrics, \
         ready, pprof, and node_stop"
            .to_owned()
    })
}
