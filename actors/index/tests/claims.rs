//! Who may go on when several processes start on one node at once: the one with the last claim.

use super::NODE;
use super::gate::Gate;
use crate::index::log::{IndexChange, IndexLog, load};
use crate::storage::objects::Objects;
use crate::wal::Owner;

async fn take(objects: &Objects) -> Owner {
    Owner::take(objects, NODE).await.unwrap()
}

/// Whether the process may take a step of the index.
async fn goes_on(log: &mut IndexLog) -> bool {
    log.append(IndexChange::default()).await.is_ok()
}

/// So many puts wait.
async fn until_waiting(gate: &Gate, puts: usize) {
    while gate.waiting().len() < puts {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_was_replaced_before_it_opens_the_index_leaves_it_to_the_newer_process() {
    let objects = Objects::memory();
    let (older, newer) = (take(&objects).await, take(&objects).await);
    let mut log = IndexLog::take_over(&objects, NODE, &newer).await.unwrap();
    let refused = IndexLog::take_over(&objects, NODE, &older).await.unwrap_err();
    assert!(refused.to_string().contains("another process"), "{refused}");
    assert!(goes_on(&mut log).await);
    assert!(newer.is_current().await.unwrap());
}

#[tokio::test]
async fn who_is_replaced_while_it_opens_the_index_leaves_it_to_the_newer_process() {
    let (gate, objects) = Gate::new();
    gate.close_for(".segment");
    let older = take(&objects).await;
    let opening = IndexLog::take_over(&objects, NODE, &older);
    let replacing = async {
        until_waiting(&gate, 1).await;
        gate.open_for_others();
        let newer = take(&objects).await;
        let log = IndexLog::take_over(&objects, NODE, &newer).await.unwrap();
        gate.let_through(0);
        log
    };
    let (refused, mut log) = futures::join!(opening, replacing);
    assert!(refused.unwrap_err().to_string().contains("another process"));
    assert!(goes_on(&mut log).await);
}

#[tokio::test]
async fn who_opens_the_index_before_it_is_replaced_is_fenced() {
    let (gate, objects) = Gate::new();
    gate.close_for(".segment");
    let older = take(&objects).await;
    let opening = IndexLog::take_over(&objects, NODE, &older);
    let replacing = async {
        until_waiting(&gate, 1).await;
        let newer = take(&objects).await;
        let opening = IndexLog::take_over(&objects, NODE, &newer);
        let letting = async {
            until_waiting(&gate, 2).await;
            gate.let_through(0);
            while load(&objects, NODE).await.unwrap().sequence() == 0 {
                tokio::task::yield_now().await;
            }
            gate.open();
        };
        futures::join!(opening, letting).0.unwrap()
    };
    let (older, mut newer) = futures::join!(opening, replacing);
    assert!(!goes_on(&mut older.unwrap()).await);
    assert!(goes_on(&mut newer).await);
}
