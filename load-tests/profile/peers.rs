//! What is measured beside this server: programs that are started here, and servers that run
//! already.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Result};
use clap::Args;

use crate::http::ServerOptions;
use crate::servers::{Launch, Product};

/// Other systems; each is left out unless it is given.
#[derive(Debug, Args)]
pub(crate) struct Peers {
    /// VictoriaMetrics, single node
    #[arg(long, value_name = "PROGRAM")]
    victoria_metrics: Option<PathBuf>,

    /// InfluxDB 1.x
    #[arg(long, value_name = "PROGRAM")]
    influxd: Option<PathBuf>,

    /// Python that has duckdb, datafusion and pyarrow
    #[arg(long, value_name = "PROGRAM")]
    pub(super) python: Option<PathBuf>,

    /// A server with the interfaces of InfluxDB 3 that runs already and has none of the databases named bench:
    /// NAME=ADDRESS, or NAME=ADDRESS@PID to measure its process; its token, if any, is taken from
    /// INFLUXDB3_AUTH_TOKEN
    #[arg(long, value_name = "NAME=ADDRESS[@PID]")]
    pub(super) other: Vec<Other>,
}

impl Peers {
    /// Servers that can be started.
    pub(super) fn launches(&self) -> Vec<Launch> {
        [(Product::VictoriaMetrics, &self.victoria_metrics), (Product::Influxdb1, &self.influxd)]
            .into_iter()
            .filter_map(|(product, binary)| Some(Launch::new(product, binary.as_ref()?)))
            .collect()
    }

    pub(super) fn influxdb1(&self) -> Option<Launch> {
        self.launches().into_iter().find(|launch| launch.product == Product::Influxdb1)
    }
}

/// A server that somebody else started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Other {
    pub(super) name: String,
    pub(super) address: SocketAddr,
    pub(super) pid: Option<u32>,
}

impl Other {
    /// One database a data set, since nothing of it can be thrown away.
    pub(super) fn options(&self, db: &str) -> ServerOptions {
        let token = std::env::var("INFLUXDB3_AUTH_TOKEN").ok();
        ServerOptions { db: db.to_owned(), token, ..ServerOptions::at(self.address) }
    }
}

impl FromStr for Other {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, place) = text.split_once('=').context("there is no =")?;
        let (address, pid) = match place.split_once('@') {
            Some((address, pid)) => (address, Some(pid.parse().context("not a process id")?)),
            None => (place, None),
        };
        let address = address.parse().context("not an address like 127.0.0.1:8181")?;
        Ok(Self { name: name.to_owned(), address, pid })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_servers_are_named() {
        let other: Other = "InfluxDB 3 Core=127.0.0.1:8282@7".parse().unwrap();
        assert_eq!((other.name.as_str(), other.pid), ("InfluxDB 3 Core", Some(7)));
        assert_eq!(other.address.port(), 8282);
        assert_eq!("x=127.0.0.1:1".parse::<Other>().unwrap().pid, None);
        for text in ["127.0.0.1:1", "x=localhost", "x=127.0.0.1:1@y"] {
            assert!(text.parse::<Other>().is_err(), "{text}");
        }
    }
}
