//! How the process gets its memory from the system, and gives it back.

#![expect(unsafe_code, reason = "options of the allocator are set by a call to C")]

use libmimalloc_sys::{mi_option_set_default, mi_option_t};

/// `mi_option_purge_delay`: for so many milliseconds the allocator keeps pages that nothing is in,
/// and ten times as long larger pieces (<https://microsoft.github.io/mimalloc/environment.html>).
const PURGE_DELAY: mi_option_t = 15;
/// Limit: with less memory than this, what is free has to go back at once.
const LITTLE_BYTES: usize = 2 << 30;
/// And so soon it does.
const PURGE_DELAY_MS: std::ffi::c_long = 10;

/// Has the kernel give the process small pages only.
///
/// What comes in is spread over buffers of some ten kilobytes that live for a while. With huge
/// pages, more of each page is zeroed and held than is used, and the kernel looks for two
/// megabytes in one piece while a writer waits: ingest took up to twice the CPU time and half as
/// much memory again, and scans gained little (`load-tests/RESULTS.md`).
pub fn refuse_huge_pages() {
    #[cfg(target_os = "linux")]
    if let Err(error) = capctl::prctl::set_thp_disable(true) {
        tracing::debug!(%error, "huge pages stay allowed");
    }
}

/// Where there is little memory, has the allocator give back what is free at once: it keeps it for up
/// to ten seconds otherwise, and what a snapshot and a compaction take one after the other is held
/// twice (`load-tests/RESULTS.md`). An environment that says otherwise (`MIMALLOC_PURGE_DELAY`) counts.
pub fn give_back_soon(memory_bytes: usize) {
    if memory_bytes < LITTLE_BYTES {
        // SAFETY: it sets a number, which any thread may do at any time.
        unsafe { mi_option_set_default(PURGE_DELAY, PURGE_DELAY_MS) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libmimalloc_sys::mi_option_get;

    /// The number of the option is not in the allocator's bindings: an option of another release would
    /// have another default.
    #[test]
    fn little_memory_is_given_back_soon() {
        // SAFETY: it reads a number.
        let delay_ms = || unsafe { mi_option_get(PURGE_DELAY) };
        let default_ms = delay_ms();
        assert_eq!(default_ms, 1_000);
        give_back_soon(LITTLE_BYTES);
        assert_eq!(delay_ms(), default_ms);
        give_back_soon(LITTLE_BYTES - 1);
        assert_eq!(delay_ms(), PURGE_DELAY_MS);
    }
}
