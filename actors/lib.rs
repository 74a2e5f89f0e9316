//! The moving parts of the server: one folder an actor, and the kit they all stand on.
//!
//! `README.md` beside this file draws who talks to whom.

#![cfg_attr(test, expect(clippy::disallowed_methods, reason = "tests look at files themselves"))]

#[expect(clippy::disallowed_methods, reason = "here it is done for all others, see .clippy.toml")]
pub mod runtime;

#[expect(clippy::disallowed_methods, reason = "here it is done for all others, see .clippy.toml")]
pub mod storage;

#[expect(clippy::disallowed_methods, reason = "its file is the operator's, not the store")]
pub mod audit;

pub mod catalog;

pub mod dedup;

pub mod deleted_rows;

pub mod file_writer;

pub mod cache_kit;

pub mod last_cache;

pub mod distinct_cache;

pub mod cache_directory;

pub mod store;

pub mod persist;

pub mod parquet_cache;

pub mod wal;

pub mod ingest;

pub mod index;

pub mod compact;

pub mod query;

pub mod cache_keeper;

pub mod downsample;

pub mod plugin_log;

#[expect(clippy::disallowed_methods, reason = "the plugin directory is the user's, not the store")]
pub mod plugin_files;

pub mod packages;

pub mod python_host;

pub mod trigger;

pub mod triggers;

pub mod server;

#[cfg(feature = "simulation")]
#[expect(clippy::disallowed_methods, reason = "it stands outside of what it simulates")]
pub mod simulation;
