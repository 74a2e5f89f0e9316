//! Memory that is as slow as a store behind a network.

use object_store::memory::InMemory;
use object_store::throttle::{ThrottleConfig, ThrottledStore};
use std::time::Duration;

/// What every call takes.
const CALL: Duration = Duration::from_millis(100);
/// What a listing takes for each entry: 100 ms for a page of a thousand.
const LISTED_ENTRY: Duration = Duration::from_micros(100);
/// What a byte takes to read: 1 GB/s.
const READ_BYTE: Duration = Duration::from_nanos(1);

/// An empty store.
pub(super) fn memory() -> ThrottledStore<InMemory> {
    let config = ThrottleConfig {
        wait_delete_per_call: CALL,
        wait_get_per_byte: READ_BYTE,
        wait_get_per_call: CALL,
        wait_list_per_call: CALL,
        wait_list_per_entry: LISTED_ENTRY,
        wait_list_with_delimiter_per_call: CALL,
        wait_list_with_delimiter_per_entry: LISTED_ENTRY,
        wait_put_per_call: CALL,
    };
    ThrottledStore::new(InMemory::new(), config)
}
