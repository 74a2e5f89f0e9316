//! The server and its command line.

pub mod cli;
pub mod version;
