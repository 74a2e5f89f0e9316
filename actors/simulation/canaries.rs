//! The planted bugs, by name. Each is a branch in the code that it spoils.

/// Every canary that [`crate::runtime::canary::is`] is asked about.
pub const CANARIES: &[&str] = &[
    "no-file-sync",
    "no-folder-sync",
    "no-append-sync",
    "retry-failed-sync",
    "ack-before-sync",
    "ack-before-visible",
    "catalog-in-memory",
    "index-in-memory",
    "mark-freezes-nothing",
    "swap-wrong-chunk",
    "swap-in-two-steps",
    "sorted-form-too-far",
    "older-file-wins",
    "stamp-is-the-clock",
    "rival-ignored",
    "own-put-is-rival",
    "catalog-read-is-durable",
    "unread-header-is-none",
    "cache-keeps-first",
    "compacts-with-a-hole",
    "cut-divides-nothing",
    "delete-spares-its-group",
    "delete-forgets-chunks",
    "delete-takes-later-rows",
];
