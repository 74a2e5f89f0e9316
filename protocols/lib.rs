//! Everything that is said: line protocol, stored formats, HTTP wire structs and the messages
//! between actors.
//!
//! Invariants: no I/O, no clock, no async runtime, no actix and no DataFusion in this crate.
//! It builds in seconds, so that parsers and codecs can be fuzzed and property-tested cheaply.

pub mod access;
pub mod caches;
pub mod catalog;
pub mod catalog_log;
pub mod columns;
pub mod downsamples;
pub mod durations;
pub mod error;
pub mod file_blocks;
pub mod file_index;
pub mod flight;
pub mod http;
pub mod ids;
pub mod influxql;
pub mod key_bounds;
pub mod limits;
pub mod line_protocol;
pub mod messages;
pub mod names;
pub mod paths;
pub mod plugins;
pub mod principal;
pub mod redact;
pub mod row_deletes;
pub mod schema;
pub mod series_blocks;
pub mod snapshot;
pub mod trace_id;
pub mod wal_frame;
