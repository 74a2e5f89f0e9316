//! The moving parts of the server: one folder an actor, and the kit they all stand on.
//!
//! `README.md` beside this file draws who talks to whom.

pub mod runtime;

pub mod supervisor;

pub mod catalog;

pub mod dedup;

pub mod store;

pub mod persist;

pub mod parquet_cache;

pub mod wal;

pub mod ingest;

pub mod query;

#[cfg(feature = "simulation")]
pub mod simulation;
