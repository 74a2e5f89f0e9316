//! What clients and the server say to each other over HTTP: parameters, bodies and answers.
//!
//! Field names, spellings and their order are part of the API and follow InfluxDB 3 Core.

pub mod caches;
pub mod compaction;
pub mod downsamples;
pub mod errors;
pub mod health;
pub mod management;
pub mod ping;
pub mod plugins;
pub mod query;
pub mod row_deletes;
pub mod tokens;
pub mod write;
