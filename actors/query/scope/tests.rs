//! Accounts of real memory.

use super::*;
use datafusion::common::runtime::SpawnedTask;
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: Counting<System> = Counting::new(System);

const MIB: usize = 1 << 20;

fn open(share_bytes: usize) -> Arc<Scope> {
    Pool::open(usize::MAX, share_bytes).unwrap().scope().unwrap()
}

/// Almost so much, as threads pass on what they count in steps.
#[track_caller]
fn check_about(bytes: usize, want: usize) {
    assert!(bytes.abs_diff(want) < MIB / 8, "{bytes} bytes, not {want}");
}

#[tokio::test]
async fn memory_is_on_the_account_of_who_took_it_until_it_is_freed() {
    let (one, other) = (open(100 * MIB), open(100 * MIB));
    let taken = one.wrap(async { vec![1_u8; 10 * MIB] }).await;
    check_about(one.allocated(), 10 * MIB);
    assert_eq!(other.allocated(), 0);
    let grown = other.wrap(async {
        let mut taken = taken;
        taken.resize(20 * MIB, 1);
        taken
    });
    let grown = grown.await;
    check_about(one.allocated(), 20 * MIB);
    other.wrap(async { drop(grown) }).await;
    check_about(one.allocated(), 0);
    check_about(one.peak(), 20 * MIB);
    assert_eq!((other.allocated(), other.peak() < MIB / 8), (0, true));
    let zeroed = one.wrap(async { vec![0_u64; MIB] }).await;
    check_about(one.allocated(), 8 * MIB);
    assert!(zeroed.iter().all(|n| *n == 0));
}

#[tokio::test]
async fn many_small_blocks_count_like_a_large_one() {
    let scope = open(100 * MIB);
    let many = scope
        .wrap(async { vec![0_u8; 50_000].iter().map(|n| Box::new([*n; 100])).collect::<Vec<_>>() });
    let many = many.await;
    check_about(scope.allocated(), 50_000 * 108);
    drop(many);
    check_about(scope.allocated(), 0);
}

#[tokio::test]
async fn tasks_and_blocking_work_inherit_the_account() {
    let scope = open(100 * MIB);
    let work = async {
        let task = SpawnedTask::spawn(async { vec![1_u8; 5 * MIB] });
        let blocking = SpawnedTask::spawn_blocking(|| vec![1_u8; 5 * MIB]);
        (task.await.unwrap(), blocking.await.unwrap())
    };
    let taken = scope.wrap(work).await;
    check_about(scope.allocated(), 10 * MIB);
    drop(taken);
    check_about(scope.allocated(), 0);
}

#[tokio::test]
async fn who_takes_more_than_its_share_has_to_stop() {
    let scope = open(10 * MIB);
    let work = async {
        let kept = vec![1_u8; 9 * MIB];
        check()?;
        let more = vec![1_u8; 2 * MIB];
        check()?;
        Ok((kept, more))
    };
    let ended: Result<_> = scope.wrap(work).await;
    let text = ended.unwrap_err().to_string();
    assert!(text.contains("10485760 bytes") && text.contains("--query-memory-share"), "{text}");
    assert_eq!(scope.fault().unwrap().kind, protocols::error::ErrorKind::LimitReached);
    check().unwrap(); // nobody else has to
}

#[tokio::test]
async fn who_is_told_to_stop_has_done_nothing_wrong() {
    let scope = open(MIB);
    scope.stop();
    assert!(scope.wrap(async { check() }).await.is_err());
    assert_eq!(scope.fault(), None);
}

#[tokio::test]
async fn what_outlives_its_query_is_told_to_stop_and_counts_no_more() {
    let scope = open(100 * MIB);
    let late = scope.wrap(async { check() });
    let kept = scope.wrap(async { vec![1_u8; MIB] }).await;
    drop(scope);
    let next = open(100 * MIB);
    assert!(late.await.is_err());
    drop(kept);
    assert_eq!(next.allocated(), 0);
}

#[tokio::test]
async fn where_all_have_too_much_the_largest_has_to_stop() {
    let pool = Pool::open(20 * MIB, 15 * MIB).unwrap();
    let (large, small) = (pool.scope().unwrap(), pool.scope().unwrap());
    let taken = large.wrap(async { vec![1_u8; 14 * MIB] }).await;
    assert!(small.wrap(async { (vec![1_u8; 5 * MIB], check()).1 }).await.is_ok());
    assert!(small.wrap(async { (vec![1_u8; 7 * MIB], check()).1 }).await.is_ok());
    assert!(large.wrap(async { check() }).await.is_err());
    assert_eq!(large.fault().unwrap().kind, protocols::error::ErrorKind::Overloaded);
    drop(taken);
    let next = pool.scope().unwrap();
    assert!(next.wrap(async { (vec![1_u8; 14 * MIB], check()).1 }).await.is_ok());
}
