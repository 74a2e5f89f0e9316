//! The server and its command line.

pub mod boot;
pub mod cli;
pub mod config;
pub mod debug;
pub mod edge;
mod flight;
pub mod http;
pub mod logging;
pub mod port;
pub mod server;
pub mod sizes;
pub mod version;
