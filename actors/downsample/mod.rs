//! The `Downsamples` actor: keeps coarse tables up to date with fine ones.
//!
//! ## Owns
//! For each downsample which intervals are still to be computed, the place in the WAL up to which that
//! is known, and the object in the store that has both (`{node}/downsamples`).
//!
//! ## Accepts
//! | message | from | reply |
//! | --- | --- | --- |
//! | `SyncDownsamples` | HTTP handlers, a ticker (tell) | when it is durable since when no row is missed |
//!
//! ## Emits
//! `RunStatement` to `Query`, `WriteLines` to `Ingest`; how each downsample is doing, for queries.
//!
//! ## Invariants
//! - Each row that becomes visible after the creation of a downsample of its table makes its interval
//!   one that is to be computed, whatever its time: it is read from the WAL behind the stored place.
//!   The place and the intervals are stored together.
//! - An interval is computed after its end and the offset, of all rows that queries see by then. It
//!   leaves the set before it is read, and comes back if rows arrive meanwhile, or if that fails.
//! - What is computed twice is written twice, with the same tags and times: as one row. So a kill at
//!   any instant costs work, and nothing else.
//! - An interval that retention has begun to take from is not computed any more.
//! - One batch of intervals is computed at a time, for all downsamples in turn, the newest first. There
//!   is a pause as long as that took before the next one.
//! - If the WAL no longer has what follows the place, all intervals of the table are computed.
//!
//! ## On failure
//! Rebuilt from the stored object. A downsample that fails is tried again, later each time, up to a
//! minute; the others go on.

mod actor;
mod board;
mod compute;
mod config;
mod run;
mod state;
mod storage;

pub use actor::Downsamples;
pub use board::{Board, DownsampleRef, DownsampleStatus};
pub use config::DownsamplesConfig;
