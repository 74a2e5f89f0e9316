//! Black-box tests of the built binary: the server over HTTP, and the same binary as client.
//!
//! Each test starts servers of its own, on ports that the system chooses, in directories of their
//! own. Nothing is shared, so tests run side by side.

mod support;

mod access;
#[cfg(feature = "failpoints")]
mod actors_panic;
mod caches;
mod cancel;
mod cli;
mod clients;
mod crash;
mod databases;
mod deviations;
mod downsamples;
mod durability;
mod fencing;
mod flight;
mod formats;
mod guide;
mod health;
mod hostile;
mod influxdb1;
mod influxql;
mod load_profile;
mod memory;
mod options;
mod plans;
mod plugins;
mod query;
mod query_errors;
mod readme;
#[cfg(feature = "failpoints")]
mod snapshots;
mod sql_functions;
mod sql_limits;
mod stores;
mod system_tables;
mod tables;
mod tidy;
mod tls;
mod undelete;
mod wal_damage;
mod write;
mod write_errors;
mod write_lines;
mod wrong_answers;
