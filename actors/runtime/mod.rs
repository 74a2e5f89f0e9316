//! The kit that every actor stands on, and the only code that touches actix addresses.
//!
//! actix alone does not bound a mailbox, does not survive a panic and does not see a deadline;
//! this kit adds permits, guardians and deadlines, and injects time, disk and object store.

pub mod actor;
pub mod clock;
pub mod disk;
pub mod fatal;
pub mod faults;
pub mod guardian;
pub mod mailbox;
pub mod mailbox_pool;
pub mod objects;
pub mod pools;
pub mod published;
pub mod ticker;
