//! The server and its command line.

pub mod boot;
pub mod cli;
pub mod config;
pub mod housekeeping;
pub mod http;
pub mod logging;
pub mod server;
pub mod version;
