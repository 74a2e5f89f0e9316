//! Restarts, damage of files and checkpoints.

use super::super::Catalog;
use super::{FLOAT, HOUR_NS, Running, config, ensure, live};
use crate::storage::objects::Objects;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use protocols::catalog_log::decode_log;
use protocols::messages::catalog::{CreateDatabase, NodeStopped};
use protocols::paths;
use std::time::Duration;
use tokio::time::Instant;

/// Makes databases called by `prefix` and a number, one record each, and waits until exactly
/// `checkpoints` are there.
async fn fill(objects: &Objects, prefix: &str, databases: usize, checkpoints: &[u64]) {
    let running = Running::start(config(objects.clone())).await;
    for i in 0..databases {
        let (name, retention_ns) = (format!("{prefix}{i}"), Some(1));
        running.ask(CreateDatabase { name, retention_ns }).await.unwrap();
    }
    let expected: Vec<_> =
        checkpoints.iter().map(|s| paths::catalog_checkpoint("node0", *s)).collect();
    let deadline = Instant::now() + Duration::from_secs(30);
    while stored_checkpoints(objects).await != expected {
        assert!(Instant::now() < deadline, "{:?}", stored_checkpoints(objects).await);
        tokio::task::yield_now().await;
    }
    running.birth.end().await;
}

async fn get(objects: &Objects, path: &str) -> Vec<u8> {
    objects.store.get(&Path::from(path)).await.unwrap().bytes().await.unwrap().to_vec()
}

async fn put(objects: &Objects, path: &str, bytes: Vec<u8>) {
    objects.store.put(&Path::from(path), bytes.into()).await.unwrap();
}

async fn delete(objects: &Objects, path: &str) {
    objects.store.delete(&Path::from(path)).await.unwrap();
}

/// The start is refused with a text that has all of `expected`.
async fn refused(objects: &Objects, expected: &[&str]) {
    let Err(error) = Catalog::open(&config(objects.clone()), None).await else {
        panic!("the start was not refused: {expected:?}");
    };
    let text = format!("{error:#}");
    for part in expected {
        assert!(text.contains(part), "{text:?} lacks {part:?}");
    }
}

async fn survives_a_restart(objects: Objects) {
    let running = Running::start(config(objects.clone())).await;
    let wanted = ensure("foo", &[("cpu", &[("usage", FLOAT)])]);
    let before = running.ask(wanted).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    running.mailbox.ask_from_edge(NodeStopped, deadline).await.unwrap().unwrap();
    running.birth.end().await;
    let mut other = config(objects);
    other.gen1_duration_ns = HOUR_NS;
    let after = Running::start(other).await;
    let snapshot = after.snapshot.load();
    assert_eq!(snapshot.uuid, before.uuid);
    assert_eq!(snapshot.gen1_duration_ns, before.gen1_duration_ns, "the stored width wins");
    assert_eq!(snapshot.sequence, before.sequence + 2, "stopped, and running again");
    let cpu = snapshot.database("foo").unwrap().table("cpu").unwrap();
    assert_eq!(cpu.column("usage").unwrap().kind, FLOAT);
    after.birth.end().await;
}

#[actix_rt::test]
async fn a_restart_changes_nothing_in_memory() {
    survives_a_restart(Objects::memory()).await;
}

#[actix_rt::test]
async fn a_restart_changes_nothing_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    survives_a_restart(Objects::directory(dir.path().join("data")).unwrap()).await;
}

#[actix_rt::test]
async fn damaged_files_are_named() {
    let objects = Objects::memory();
    fill(&objects, "db", 3, &[]).await;
    let last = paths::catalog_log("node0", 5);
    let whole = get(&objects, &last).await;
    assert_eq!(decode_log(&whole).unwrap().0.sequence, 5);

    put(&objects, &last, Vec::new()).await;
    refused(&objects, &[&last, "is damaged", "the file is empty"]).await;
    put(&objects, &last, whole[..whole.len() - 3].to_vec()).await;
    refused(&objects, &[&last, "is damaged", "bytes after the header"]).await;
    let mut flipped = whole.clone();
    flipped[whole.len() - 5] ^= 1;
    put(&objects, &last, flipped).await;
    refused(&objects, &[&last, "is damaged", "the checksum does not match"]).await;
    put(&objects, &last, get(&objects, &paths::catalog_log("node0", 4)).await).await;
    refused(&objects, &[&last, "holds sequence 4, expected 5"]).await;

    let foreign = Objects::memory();
    fill(&foreign, "db", 3, &[]).await;
    put(&objects, &last, get(&foreign, &last).await).await;
    refused(&objects, &[&last, "belongs to another catalog"]).await;

    put(&objects, &last, whole).await;
    let third = paths::catalog_log("node0", 3);
    delete(&objects, &third).await;
    refused(&objects, &[&third, "is missing although"]).await;
    delete(&objects, &paths::catalog_log("node0", 1)).await;
    refused(&objects, &[&paths::catalog_log("node0", 1), "is missing although"]).await;
}

async fn stored_checkpoints(objects: &Objects) -> Vec<String> {
    let prefix = Path::from(paths::catalog_checkpoint_dir("node0"));
    let files: Vec<_> = objects.store.list(Some(&prefix)).try_collect().await.unwrap();
    let mut paths: Vec<_> = files.into_iter().map(|f| f.location.to_string()).collect();
    paths.sort();
    paths
}

#[actix_rt::test]
async fn a_checkpoint_and_the_log_after_it_give_the_whole() {
    let objects = Objects::memory();
    fill(&objects, "db", 250, &[100, 200]).await;
    // What a checkpoint covers is not read any more.
    let covered = paths::catalog_log("node0", 150);
    delete(&objects, &covered).await;
    let opened = Catalog::open(&config(objects.clone()), None).await.unwrap();
    let snapshot = opened.snapshot.load();
    assert_eq!((snapshot.sequence, live(&snapshot).len()), (252, 250));
    assert_eq!(snapshot.next_db_id, 251);

    let newest = paths::catalog_checkpoint("node0", 200);
    put(&objects, &newest, Vec::new()).await;
    refused(&objects, &[&newest, "is damaged"]).await;
    delete(&objects, &newest).await;
    refused(&objects, &[&covered, "is missing"]).await;
}

#[actix_rt::test]
async fn two_checkpoints_are_kept() {
    let objects = Objects::memory();
    fill(&objects, "db", 150, &[100]).await;
    fill(&objects, "more", 160, &[200, 300]).await;
    let opened = Catalog::open(&config(objects), None).await.unwrap();
    assert_eq!(live(&opened.snapshot.load()).len(), 310);
}

/// A process stops at any of its calls to the disk, the next one reads what is there, and then the
/// power fails. True if nothing that was read has gone, whatever the disk lost.
#[cfg(feature = "simulation")]
async fn keeps_what_it_read(canary: Option<&'static str>) -> bool {
    use crate::catalog::log::CatalogLog;
    use crate::runtime::simulated::Machine;
    use crate::simulation::objects::SimObjects;
    use crate::storage::simulated_disk::HasDisk;
    use std::sync::Arc;

    tokio::time::pause();
    for (calls, seed) in (0..60).flat_map(|calls| (0..8).map(move |seed| (calls, seed))) {
        let machine = Machine::new(seed, canary);
        let _entered = machine.enter();
        let root = std::path::PathBuf::from("/data");
        let store = Arc::new(SimObjects::folder(seed, root.clone()));
        let objects = Objects { store, directory: Some(root), remote: false, fsync: true };
        let start = || {
            machine.disk().start();
            machine.durable_folders().clear();
        };
        machine.disk().stop_in(calls);
        drop(Catalog::open(&config(objects.clone()), None).await);
        start();
        let second = Catalog::open(&config(objects.clone()), None).await.unwrap();
        let seen = second.snapshot.load().sequence;
        machine.disk().lose_power();
        start();
        let left = CatalogLog::new(objects, "node0".to_owned()).load().await.unwrap();
        if left.is_none_or(|left| left.state.next_header().sequence <= seen) {
            return false;
        }
    }
    true
}

#[cfg(feature = "simulation")]
#[actix_rt::test]
async fn what_was_read_survives_a_power_loss() {
    assert!(keeps_what_it_read(None).await);
}

#[cfg(feature = "simulation")]
#[actix_rt::test]
async fn a_loss_of_what_was_read_would_be_noticed() {
    assert!(!keeps_what_it_read(Some("catalog-read-is-durable")).await);
}
