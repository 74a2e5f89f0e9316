//! Options that say how to reach the server; every client command has them.

use std::path::PathBuf;

use clap::Args;
use clap::builder::BoolishValueParser;
use url::Url;

use super::paths::path;

/// Where the server is and who is asking. These are global so that they may stand before or after
/// an inner verb (`show system`).
#[derive(Args, Debug)]
pub(super) struct ConnectionArgs {
    /// URL of the server
    #[arg(
        short = 'H',
        long = "host",
        value_name = "HOST_URL",
        env = "INFLUXDB3_HOST_URL",
        default_value = "http://127.0.0.1:8181",
        value_parser = parse_url,
        global = true
    )]
    pub(super) host: Url,

    /// Token to authenticate with
    #[arg(long, value_name = "AUTH_TOKEN", env = "INFLUXDB3_AUTH_TOKEN", hide_env_values = true)]
    pub(super) token: Option<String>,

    /// Certificate to trust besides the usual ones, the server's own or its authority's: PEM, or
    /// DER if the name ends in `.der`
    #[arg(
        long,
        value_name = "FILE",
        env = "INFLUXDB3_TLS_CA",
        value_parser = path(),
        hide_short_help = true,
        global = true
    )]
    pub(super) tls_ca: Option<PathBuf>,

    /// PEM file with a certificate to show to the server, and those that lead to one it knows
    #[arg(
        long,
        value_name = "FILE",
        env = "INFLUXDB3_TLS_CLIENT_CERT",
        value_parser = path(),
        requires = "tls_client_key",
        hide_short_help = true,
        global = true
    )]
    pub(super) tls_client_cert: Option<PathBuf>,

    /// PEM file with the private key of --tls-client-cert
    #[arg(
        long,
        value_name = "FILE",
        env = "INFLUXDB3_TLS_CLIENT_KEY",
        value_parser = path(),
        requires = "tls_client_cert",
        hide_short_help = true,
        global = true
    )]
    pub(super) tls_client_key: Option<PathBuf>,

    /// Accept any certificate of the server. Whoever can intercept the connection can then read
    /// the token and the data
    #[arg(
        long,
        env = "INFLUXDB3_TLS_NO_VERIFY",
        value_parser = BoolishValueParser::new(),
        hide_short_help = true,
        global = true
    )]
    pub(super) tls_no_verify: bool,
}

/// The database that a command works on.
#[derive(Args, Debug)]
pub(super) struct DatabaseArg {
    /// Name of the database
    #[arg(
        short = 'd',
        long = "database",
        value_name = "DATABASE_NAME",
        env = "INFLUXDB3_DATABASE_NAME"
    )]
    pub(super) name: String,
}

/// Reads the URL of a server; `localhost:8181` without a scheme is not one.
pub(super) fn parse_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err("a server's URL begins with http:// or https://".to_owned());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_an_http_url() {
        assert!(parse_url("http://localhost:8181").is_ok());
        assert!(parse_url("https://example.org/prefix").is_ok());
        for text in ["localhost:8181", "127.0.0.1:8181", "ftp://x", "http://", ""] {
            assert!(parse_url(text).is_err(), "{text}");
        }
    }
}
