//! Where bytes go: files that are still there after a power loss, and object stores. Nothing else
//! touches the file system or a store.

pub mod disk;
mod file_system;
pub mod objects;
#[cfg(feature = "simulation")]
pub mod simulated_disk;
