//! What is loaded, where to, and how.

use clap::Args;

use crate::generators::DataOptions;
use crate::http::{ServerOptions, Target};

#[derive(Debug, Clone, Args)]
pub(crate) struct LoadOptions {
    #[command(flatten)]
    pub(crate) data: DataOptions,

    #[command(flatten)]
    pub(crate) server: ServerOptions,

    /// Write endpoint to speak
    #[arg(long, value_enum, default_value = "influxdb3-v3")]
    pub(crate) target: Target,

    /// Connections, each with one request in flight
    #[arg(long, alias = "workers", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) connections: u16,

    /// Lines of one request
    #[arg(long, alias = "batch", default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) lines_per_request: u32,

    /// Send compressed bodies
    #[arg(long)]
    pub(crate) gzip: bool,

    /// Rows to send each second, whatever the server does (an open loop): latencies then count from
    /// the instant at which a request was due [default: as fast as they are acknowledged]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) rate: Option<u64>,

    /// Process of the server, to measure what it uses
    #[arg(long)]
    pub(crate) pid: Option<u32>,

    /// Name of the server in the report
    #[arg(long, default_value = "influxdb3")]
    pub(crate) label: String,
}

impl LoadOptions {
    /// A closed loop of four connections and requests of 5000 lines.
    pub(crate) fn new(label: &str, server: ServerOptions, data: DataOptions) -> Self {
        Self {
            data,
            server,
            target: Target::Influxdb3V3,
            connections: 4,
            lines_per_request: 5000,
            gzip: false,
            rate: None,
            pid: None,
            label: label.to_owned(),
        }
    }
}
