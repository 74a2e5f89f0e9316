//! The accounts of queries, as an allocator can keep them: without a lock and without allocating.
//! What queries share is an account too, and has whatever they have.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// Bits of a tag that say which account it is. The others tell those apart that had it one after
/// the other.
const INDEX_BITS: u32 = 13;
const ACCOUNTS: usize = 1 << INDEX_BITS;
/// A thread passes on what it has counted when it comes to so many bytes.
const STEP_BYTES: i64 = 64 * 1024;

/// Who some memory belongs to, or who a thread works for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag(u32);

/// Why a query has to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Why {
    /// It was told to.
    Told = 1,
    /// It has more than its share.
    TakesTooMuch = 2,
    /// It has the most of all queries, which have more together than there is.
    PoolIsEmpty = 3,
}

struct Account {
    /// Of those who had this account one after the other, the present one.
    generation: AtomicU32,
    /// A [`Why`], or 0.
    stop: AtomicU8,
    bytes: AtomicI64,
    peak: AtomicI64,
    limit: AtomicUsize,
    /// The account that this one is part of, as a [`Tag`].
    whole: AtomicU32,
}

impl Account {
    const fn new() -> Self {
        Self {
            generation: AtomicU32::new(0),
            stop: AtomicU8::new(0),
            bytes: AtomicI64::new(0),
            peak: AtomicI64::new(0),
            limit: AtomicUsize::new(0),
            whole: AtomicU32::new(0),
        }
    }

    /// Puts bytes on it and on what it is part of. Returns how much both have then.
    fn add(&self, bytes: i64) -> (i64, i64) {
        let has = self.bytes.fetch_add(bytes, Relaxed) + bytes;
        let whole = Tag(self.whole.load(Relaxed)).account();
        (has, whole.map_or(0, |whole| whole.bytes.fetch_add(bytes, Relaxed) + bytes))
    }

    fn clear(&self) {
        let bytes = self.bytes.swap(0, Relaxed);
        if let Some(whole) = Tag(self.whole.load(Relaxed)).account() {
            whole.bytes.fetch_sub(bytes, Relaxed);
        }
    }
}

/// The first is nobody's.
static TABLE: [Account; ACCOUNTS] = [const { Account::new() }; ACCOUNTS];
/// Accounts that were in use: those behind are not looked at.
static USED: AtomicUsize = AtomicUsize::new(1);
/// Those in use no more. The longest unused comes first, so that a block which outlives its query
/// is hardly ever taken for another's.
static FREE: Mutex<VecDeque<usize>> = Mutex::new(VecDeque::new());

struct Local {
    tag: Cell<Tag>,
    /// Bytes that are counted and not passed on.
    pending: Cell<i64>,
}

thread_local! {
    static LOCAL: Local = const { Local { tag: Cell::new(Tag::NOBODY), pending: Cell::new(0) } };
}

/// Opens an account with a limit that is part of another one, unless all are in use.
pub(super) fn open(limit: usize, whole: Tag) -> Option<Tag> {
    let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
    let index = match USED.load(Relaxed) {
        // New ones go first, up to a number that is quickly looked through.
        used if used < ACCOUNTS && (free.is_empty() || used < ACCOUNTS / 8) => {
            USED.store(used + 1, Relaxed);
            used
        }
        _ => free.pop_front()?,
    };
    let account = &TABLE[index];
    // Whoever was about to count for the former owner may have done so.
    account.clear();
    account.stop.store(0, Relaxed);
    account.peak.store(0, Relaxed);
    account.limit.store(limit, Relaxed);
    account.whole.store(whole.0, Relaxed);
    Some(Tag(account.generation.load(Relaxed) << INDEX_BITS | index as u32))
}

/// Who this thread works for.
pub(super) fn current() -> Tag {
    LOCAL.with(|local| local.tag.get())
}

/// Puts bytes on an account, or takes them off it.
#[inline]
pub(super) fn count(owner: Tag, bytes: i64) {
    if owner == Tag::NOBODY {
        return;
    }
    LOCAL.with(|local| {
        if local.tag.get() != owner {
            return owner.add(bytes);
        }
        let pending = local.pending.get() + bytes;
        if pending.abs() < STEP_BYTES {
            local.pending.set(pending);
        } else {
            local.pending.set(0);
            owner.add(pending);
        }
    });
}

impl Tag {
    pub(super) const NOBODY: Self = Self(0);

    pub(super) fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    pub(super) fn bits(self) -> u32 {
        self.0
    }

    fn index(self) -> usize {
        self.0 as usize % ACCOUNTS
    }

    /// The account, as long as it is still this one's.
    fn account(self) -> Option<&'static Account> {
        let account = &TABLE[self.index()];
        (account.generation.load(Relaxed) == self.0 >> INDEX_BITS).then_some(account)
    }

    /// This thread works for it, until what is returned is dropped.
    pub(super) fn enter(self) -> Entered {
        Entered { before: self.put_on() }
    }

    fn put_on(self) -> Self {
        LOCAL.with(|local| {
            let before = local.tag.replace(self);
            let pending = local.pending.take();
            if pending != 0 {
                before.add(pending);
            }
            before
        })
    }

    #[cold]
    fn add(self, bytes: i64) {
        let Some(account) = self.account() else { return };
        let (has, all) = account.add(bytes);
        if bytes < 0 {
            return;
        }
        account.peak.fetch_max(has, Relaxed);
        let whole = Self(account.whole.load(Relaxed));
        if exceeds(has, self.limit()) {
            stop(account, Why::TakesTooMuch);
        } else if exceeds(all, whole.limit()) {
            whole.stop_largest_part();
        }
    }

    pub(super) fn stop(self, why: Why) {
        if let Some(account) = self.account() {
            stop(account, why);
        }
    }

    /// Why it has to stop, if it has to. One whose account is closed has to.
    #[inline]
    pub(super) fn stopped(self) -> Option<Why> {
        match self.account().map(|account| account.stop.load(Relaxed)) {
            Some(0) => None,
            Some(2) => Some(Why::TakesTooMuch),
            Some(3) => Some(Why::PoolIsEmpty),
            Some(_) | None => Some(Why::Told),
        }
    }

    /// What it may have.
    pub(super) fn limit(self) -> usize {
        TABLE[self.index()].limit.load(Relaxed)
    }

    /// What it is part of.
    pub(super) fn whole(self) -> Self {
        Self(TABLE[self.index()].whole.load(Relaxed))
    }

    pub(super) fn allocated(self) -> usize {
        self.account().map_or(0, |account| at_least_0(account.bytes.load(Relaxed)))
    }

    pub(super) fn peak(self) -> usize {
        self.account().map_or(0, |account| at_least_0(account.peak.load(Relaxed)))
    }

    /// Ends it. What it still has is nobody's from now on.
    pub(super) fn close(self) {
        let Some(account) = self.account().filter(|_| self != Self::NOBODY) else { return };
        let next = (account.generation.load(Relaxed) + 1) % (1 << (u32::BITS - INDEX_BITS));
        account.generation.store(next, Relaxed);
        account.clear();
        FREE.lock().unwrap_or_else(PoisonError::into_inner).push_back(self.index());
    }

    /// Of its parts that may go on the largest has to stop, if they have too much together.
    #[cold]
    fn stop_largest_part(self) {
        let (mut all, mut most, mut largest) = (0, 0, None);
        for account in &TABLE[1..USED.load(Relaxed)] {
            let is_part = account.whole.load(Relaxed) == self.0;
            if !is_part || account.stop.load(Relaxed) != 0 {
                continue;
            }
            let bytes = account.bytes.load(Relaxed);
            all += bytes;
            if bytes > most {
                (most, largest) = (bytes, Some(account));
            }
        }
        if let Some(largest) = largest.filter(|_| exceeds(all, self.limit())) {
            stop(largest, Why::PoolIsEmpty);
        }
    }
}

/// What a thread did before is what it does again.
#[derive(Debug)]
pub(super) struct Entered {
    before: Tag,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.before.put_on();
    }
}

fn at_least_0(bytes: i64) -> usize {
    usize::try_from(bytes).unwrap_or(0)
}

fn exceeds(bytes: i64, limit: usize) -> bool {
    usize::try_from(bytes).is_ok_and(|bytes| bytes > limit)
}

/// The first reason counts.
fn stop(account: &Account, why: Why) {
    // It fails when there is a reason already.
    account.stop.compare_exchange(0, why as u8, Relaxed, Relaxed).ok();
}
