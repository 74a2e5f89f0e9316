//! An allocator that knows who has what.

#![expect(unsafe_code, reason = "an allocator can be written in no other way")]

use super::accounts::{self, Tag};
use std::alloc::{GlobalAlloc, Layout};

/// Behind each block stands whose it is.
const TAG_BYTES: usize = size_of::<u32>();

/// Takes memory from another allocator, and counts what is taken for queries.
///
/// As the global allocator of a process it bounds what each query takes. Without it queries are
/// bounded only by what the engine reserves.
#[derive(Debug, Default)]
pub struct Counting<A>(A);

impl<A> Counting<A> {
    /// Counts what is taken from `allocator`.
    pub const fn new(allocator: A) -> Self {
        Self(allocator)
    }
}

/// The layout of a block with its tag, if there can be one.
fn tagged(size: usize, align: usize) -> Option<Layout> {
    Layout::from_size_align(size.checked_add(TAG_BYTES)?, align).ok()
}

/// Marks a new block as that of whom this thread works for.
///
/// # Safety
/// `block` is null, or has `size` bytes and room for a tag behind them.
unsafe fn take(block: *mut u8, size: usize, owner: Tag) -> *mut u8 {
    if !block.is_null() {
        // SAFETY: the tag lies behind the bytes of the block and within it.
        unsafe { block.add(size).cast::<u32>().write_unaligned(owner.bits()) };
        accounts::count(owner, size as i64);
    }
    block
}

/// Whose a block is.
///
/// # Safety
/// `block` was marked by [`take`] with the same size.
unsafe fn owner(block: *mut u8, size: usize) -> Tag {
    // SAFETY: `take` wrote it there.
    Tag::from_bits(unsafe { block.add(size).cast::<u32>().read_unaligned() })
}

// SAFETY: all blocks come from the other allocator, with the alignment that is asked for and more
// bytes than that, and go back to it with the layout that they came with. Nothing here unwinds,
// allocates or waits: accounts are atomic numbers, and the thread's own are constants at first and
// need no destructor.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Counting<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(whole) = tagged(layout.size(), layout.align()) else {
            return std::ptr::null_mut();
        };
        // SAFETY: the layout is not empty, and has room for the tag.
        unsafe { take(self.0.alloc(whole), layout.size(), accounts::current()) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let Some(whole) = tagged(layout.size(), layout.align()) else {
            return std::ptr::null_mut();
        };
        // SAFETY: as in `alloc`.
        unsafe { take(self.0.alloc_zeroed(whole), layout.size(), accounts::current()) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(whole) = tagged(layout.size(), layout.align()) else { return };
        // SAFETY: the caller has it from here with this layout, so it has a tag.
        unsafe {
            accounts::count(owner(block, layout.size()), -(layout.size() as i64));
            self.0.dealloc(block, whole);
        }
    }

    /// A block that grows stays whose it was.
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let whole = tagged(layout.size(), layout.align());
        let (Some(whole), Some(new)) = (whole, tagged(new_size, layout.align())) else {
            return std::ptr::null_mut();
        };
        // SAFETY: as in `dealloc`. If the other allocator has no memory the block stays as it is,
        // and so does its account.
        unsafe {
            let owner = owner(block, layout.size());
            let moved = self.0.realloc(block, whole, new.size());
            if !moved.is_null() {
                accounts::count(owner, -(layout.size() as i64));
            }
            take(moved, new_size, owner)
        }
    }
}
