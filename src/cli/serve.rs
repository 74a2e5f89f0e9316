//! Options of `influxdb3 serve`.

/// Run the server.
#[derive(clap::Args, Debug)]
pub struct ServeArgs {}
