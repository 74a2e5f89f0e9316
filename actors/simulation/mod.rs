//! The whole server without its sockets on one thread, with simulated time, disk and object store.
//!
//! A seed decides everything: what clients write and ask, when the machine loses power, which call
//! to the disk or the store fails, which actor panics. A model keeps what the server was told and
//! what it answered, and finds what no server that keeps its promises could have answered. The
//! same seed gives the same run, to the last bit of its digest.

mod caches;
mod canaries;
mod changes;
mod clients;
pub mod deletions;
pub mod lines;
pub mod logging;
pub mod model;
pub mod objects;
pub mod retention;
mod row_deletes;
mod run;
mod setup;
#[cfg(test)]
mod tests;
pub mod trace;
pub mod workload;
mod world;

pub use canaries::CANARIES;
pub use run::{Report, run};
