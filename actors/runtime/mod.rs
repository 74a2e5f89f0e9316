//! The kit that every actor stands on, and the only code that touches actix addresses.
//!
//! actix alone does not bound a mailbox, does not survive a panic and does not see a deadline;
//! this kit adds permits, guardians and deadlines, and injects time, disk and object store.

pub mod actor;
pub mod canary;
pub mod clock;
pub mod disk;
pub mod fatal;
#[cfg(feature = "simulation")]
pub mod fault_plan;
pub mod faults;
mod files;
pub mod guardian;
pub mod mailbox;
pub mod mailbox_pool;
pub mod objects;
pub mod pools;
pub mod published;
pub mod pulse;
pub mod random;
#[cfg(feature = "simulation")]
pub mod simulated;
pub mod ticker;
pub mod vitals;
