//! The kit that every actor stands on, and the only code that touches actix addresses.
//!
//! actix alone does not bound a mailbox, does not survive a panic and does not see a deadline;
//! this kit adds permits, guardians and deadlines, and injects time, randomness and faults.

pub mod actor;
mod bounds;
pub mod canary;
pub mod clock;
pub mod fatal;
#[cfg(feature = "simulation")]
pub mod fault_plan;
pub mod faults;
pub mod guardian;
pub mod last_of;
pub mod lives;
pub mod mailbox;
pub mod mailbox_pool;
pub mod pools;
pub mod published;
pub mod pulse;
pub mod random;
mod responder;
pub mod shared;
#[cfg(feature = "simulation")]
pub mod simulated;
pub mod teller;
pub mod ticker;
pub mod vitals;
