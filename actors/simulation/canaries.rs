//! The planted bugs, by name. Each is a branch in the code that it spoils.

/// Every canary that [`crate::runtime::canary::is`] is asked about.
pub const CANARIES: &[&str] = &["no-file-sync", "no-folder-sync", "no-append-sync"];
