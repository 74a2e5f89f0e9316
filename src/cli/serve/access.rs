//! Options about who may do what.

use crate::cli::paths::path;
use crate::edge::origins::Origins;
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
    /// refused
    #[arg(
        long,
        value_name = "NAMES",
        env = "INFLUXDB3_ALLOWED_HOSTS",
        value_delimiter = ',',
        hide_short_help = true
    )]
    pub allowed_hosts: Vec<String>,

    /// Origins whose pages may read answers, such as `https://dash.example.org`; `*` is any
    /// [default: none, with --without-auth any]
    #[arg(
        long,
        value_name = "ORIGINS",
        env = "INFLUXDB3_CORS_ALLOWED_ORIGINS",
        value_delimiter = ',',
        hide_short_help = true
    )]
    pub cors_allowed_origins: Vec<String>,
}

impl AccessArgs {
    /// Pages that may read answers, if anything is said about them.
    ///
    /// # Errors
    /// When something is no origin.
    pub fn origins(&self) -> anyhow::Result<Option<Origins>> {
        let origins = Origins::parse(&self.cors_allowed_origins);
        let origins = origins.map_err(|e| anyhow::anyhow!("--cors-allowed-origins: {e}"))?;
        Ok(Some(origins).filter(|origins| *origins != Origins::None))
    }
}

fn exempt(name: &str) -> Result<SystemResource, String> {
    SystemResource::parse(name.trim()).ok_or_else(|| {
        "invalid value passed in for --disable-authz, allowed values are health, ping, metrics, \
         ready, pprof, and node_stop"
            .to_owned()
    })
}
