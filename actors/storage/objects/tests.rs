//! The stores that need no server: memory and directory.

use super::Objects;
use super::directory::DurableDirectory;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, WriteMultipart};
use std::fs;
use std::path::Path as FilePath;
use std::sync::Arc;
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn open(folder: &TempDir, fsync: bool) -> DurableDirectory {
    DurableDirectory::new(folder.path().join("data"), fsync).expect("a store")
}

async fn read(store: &dyn ObjectStore, path: &str) -> String {
    let bytes = store.get(&Path::from(path)).await.unwrap().bytes().await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

async fn listed(store: &dyn ObjectStore, prefix: Option<&str>) -> Vec<String> {
    let entries = store.list(prefix.map(Path::from).as_ref()).try_collect::<Vec<_>>().await;
    let mut names: Vec<_> =
        entries.unwrap().into_iter().map(|meta| meta.location.to_string()).collect();
    names.sort();
    names
}

/// Files of uploads that are not finished, of all processes.
fn unfinished(folder: &TempDir) -> usize {
    fn files(folder: &FilePath) -> usize {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries
            .map(|path| match path.extension() {
                Some(_) => 0,
                None if path.is_dir() => files(&path),
                None => 1,
            })
            .sum()
    }
    files(&folder.path().join("data/.unfinished"))
}

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    let folder = folder();
    let path = folder.path().join("file");
    fs::write(&path, "").expect("a file");
    let error = Objects::directory(path.join("data")).expect_err("it is below a file");
    assert!(format!("{error:#}").contains(&*path.to_string_lossy()), "{error:#}");
}

#[tokio::test]
async fn creation_never_replaces() {
    for fsync in [true, false] {
        let folder = folder();
        let store = open(&folder, fsync);
        let path = Path::from("n/wal/1.wal");
        let create =
            |text: &'static str| store.put_opts(&path, text.into(), PutMode::Create.into());
        create("one").await.unwrap();
        assert!(matches!(create("two").await, Err(Error::AlreadyExists { .. })));
        assert_eq!(read(&store, "n/wal/1.wal").await, "one");
        store.put(&path, "three".into()).await.unwrap();
        assert_eq!(read(&store, "n/wal/1.wal").await, "three");
        assert_eq!(listed(&store, None).await, ["n/wal/1.wal"]);
        assert_eq!(unfinished(&folder), 0);
    }
}

#[tokio::test]
async fn one_of_many_creations_wins() {
    let folder = folder();
    let store = Arc::new(open(&folder, true));
    let path = Path::from("n/catalog/1");
    let puts = (0..20).map(|n| {
        let (store, path) = (Arc::clone(&store), path.clone());
        async move {
            let put = store.put_opts(&path, format!("{n}").into(), PutMode::Create.into()).await;
            put.is_ok().then_some(n)
        }
    });
    let winners: Vec<i32> =
        stream::iter(puts).buffer_unordered(20).filter_map(async |w| w).collect().await;
    assert_eq!(winners.len(), 1);
    assert_eq!(read(&*store, "n/catalog/1").await, winners[0].to_string());
}

#[tokio::test]
async fn an_upload_appears_when_it_is_whole() {
    let folder = folder();
    let store = open(&folder, true);
    let path = Path::from("n/dbs/1/2/2026-01-01/00-00/0000000001.parquet");
    let mut upload = store.put_multipart(&path).await.unwrap();
    let parts = [upload.put_part("aaaa".into()), upload.put_part("bb".into())];
    for part in parts.into_iter().rev() {
        part.await.unwrap();
    }
    assert!(matches!(store.head(&path).await, Err(Error::NotFound { .. })));
    assert!(listed(&store, None).await.is_empty());
    assert_eq!(unfinished(&folder), 1);
    upload.complete().await.unwrap();
    assert_eq!(read(&store, path.as_ref()).await, "aaaabb");
    assert!(upload.complete().await.is_err(), "it is over");
    assert_eq!(unfinished(&folder), 0);

    let mut again =
        WriteMultipart::new_with_chunk_size(store.put_multipart(&path).await.unwrap(), 3);
    again.write(b"0123456789");
    again.finish().await.unwrap();
    assert_eq!(read(&store, path.as_ref()).await, "0123456789", "it replaces what was there");
}

#[tokio::test]
async fn an_upload_that_is_given_up_leaves_nothing() {
    let folder = folder();
    let store = open(&folder, true);
    let path = Path::from("n/dbs/x");
    let mut aborted = store.put_multipart(&path).await.unwrap();
    aborted.put_part("a".into()).await.unwrap();
    aborted.abort().await.unwrap();
    assert_eq!(unfinished(&folder), 0);
    let mut dropped = store.put_multipart(&path).await.unwrap();
    dropped.put_part("a".into()).await.unwrap();
    drop(dropped);
    // The disk's threads take jobs in order, so these come after the removal.
    for n in 0..8 {
        store.put(&Path::from(format!("n/other/{n}")), "".into()).await.unwrap();
    }
    assert_eq!(unfinished(&folder), 0);
    assert!(matches!(store.head(&path).await, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn an_upload_is_never_completed_without_one_of_its_parts() {
    let folder = folder();
    let store = open(&folder, true);
    let path = Path::from("n/dbs/x");
    let mut upload = store.put_multipart(&path).await.unwrap();
    upload.put_part("a".into()).await.unwrap();
    // Nobody waits for this part: it may be written before the completion or not.
    let lost = upload.put_part("b".into());
    drop(lost);
    let completed = upload.complete().await;
    if completed.is_ok() {
        assert_eq!(read(&store, "n/dbs/x").await, "ab");
    } else {
        assert!(matches!(store.head(&path).await, Err(Error::NotFound { .. })));
    }
}

#[tokio::test]
async fn what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not() {
    let folder = folder();
    let living = open(&folder, true);
    let mut upload = living.put_multipart(&Path::from("n/a")).await.unwrap();
    upload.put_part("a".into()).await.unwrap();
    let all = folder.path().join("data/.unfinished");
    fs::create_dir(all.join("killed")).unwrap();
    fs::write(all.join("killed/part"), "x").unwrap();
    fs::write(all.join("killed.lock"), "").unwrap();
    fs::create_dir(all.join("without-lock")).unwrap();
    fs::write(all.join("without-lock/part"), "x").unwrap();
    let _second = open(&folder, true);
    assert_eq!(unfinished(&folder), 1, "the living one's");
    assert!(!all.join("killed.lock").exists());
    upload.complete().await.unwrap();
    assert_eq!(read(&living, "n/a").await, "a");
}

#[tokio::test]
async fn removal_takes_empty_folders_along_but_not_a_nodes_own() {
    let folder = folder();
    let store = open(&folder, true);
    let deep = ["n/dbs/1/2/d/a", "n/dbs/1/3/d/b"].map(Path::from);
    for path in &deep {
        store.put(path, "x".into()).await.unwrap();
    }
    store.delete(&deep[0]).await.unwrap();
    let data = folder.path().join("data");
    assert!(!data.join("n/dbs/1/2").exists());
    assert!(data.join("n/dbs/1/3/d/b").exists());
    store.delete(&deep[1]).await.unwrap();
    assert!(data.join("n/dbs").exists() && !data.join("n/dbs/1").exists());
    store.delete(&deep[1]).await.unwrap();
    let all = stream::iter(deep.map(Ok)).boxed();
    assert_eq!(store.delete_stream(all).try_collect::<Vec<_>>().await.unwrap().len(), 2);
    assert!(listed(&store, Some("n/dbs")).await.is_empty());
}

#[tokio::test]
async fn files_can_come_and_go_while_folders_are_removed_and_listed() {
    let folder = folder();
    let store = Arc::new(open(&folder, false));
    let come_and_go = |name: &'static str| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let path = Path::from(format!("n/dbs/1/1/d/{name}"));
            for _ in 0..200 {
                store.put(&path, "x".into()).await.unwrap();
                store.delete(&path).await.unwrap();
            }
        })
    };
    let writers = [come_and_go("a"), come_and_go("b")];
    while !writers.iter().all(|writer| writer.is_finished()) {
        listed(&*store, Some("n/dbs")).await;
        listed(&*store, None).await;
        tokio::task::yield_now().await;
    }
    for writer in writers {
        writer.await.unwrap();
    }
}

#[tokio::test]
async fn errors_of_the_file_system_name_the_file_and_the_cause() {
    let folder = folder();
    let store = open(&folder, true);
    fs::write(folder.path().join("data/n"), "a file where a folder has to be").unwrap();
    let error = store.put(&Path::from("n/wal/1"), "x".into()).await.unwrap_err().to_string();
    assert!(error.contains("data/n/wal/1"), "{error}");
    assert!(error.contains("os error"), "{error}");
    assert_eq!(unfinished(&folder), 0);
}

#[tokio::test(start_paused = true)]
async fn slow_memory_takes_a_tenth_of_a_second_a_call() {
    let objects = Objects::throttled_memory();
    assert!(objects.remote && objects.directory.is_none());
    let begun = tokio::time::Instant::now();
    let path = Path::from("n/a");
    objects.store.put(&path, "x".into()).await.unwrap();
    assert_eq!(read(&*objects.store, "n/a").await, "x");
    listed(&*objects.store, None).await;
    assert!(begun.elapsed().as_millis() >= 300);
}
