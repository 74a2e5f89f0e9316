//! What loads after crashes and damage, and who may write.

use super::*;
use crate::storage::objects::planned::{Plan, Planned, planted};
use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::{GetResult, ObjectMeta, PutOptions, PutPayload, PutResult, Result};
use protocols::file_index::Removal;
use protocols::ids::{DbId, TableId};
use protocols::snapshot::{SnapshotMark, Stamps};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Everything works.
const WORKS: u8 = 0;
/// Puts fail and store nothing.
const FAILS: u8 = 1;
/// Puts store the object and report an error.
const LIES: u8 = 2;
/// Puts of bases fail.
const NO_BASES: u8 = 3;
/// Deletions fail.
const NO_DELETIONS: u8 = 4;
/// Puts store nothing, and what is there cannot be read.
const UNREACHABLE: u8 = 5;

/// A store that fails as a test says, and lists in reverse order.
#[derive(Debug)]
struct Moody {
    mode: AtomicU8,
}

impl Moody {
    fn new() -> (Arc<Planned<Self>>, Objects) {
        Planned::new(Self { mode: AtomicU8::new(WORKS) })
    }

    fn set(&self, mode: u8) {
        self.mode.store(mode, Ordering::SeqCst);
    }

    fn mode(&self) -> u8 {
        self.mode.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Plan for Moody {
    async fn put(
        &self,
        inner: &InMemory,
        at: &Path,
        bytes: PutPayload,
        how: PutOptions,
    ) -> Result<PutResult> {
        match self.mode() {
            FAILS | UNREACHABLE => Err(planted()),
            NO_BASES if at.as_ref().ends_with(".base") => Err(planted()),
            LIES => inner.put_opts(at, bytes, how).await.and(Err(planted())),
            _ => inner.put_opts(at, bytes, how).await,
        }
    }

    async fn get(&self, inner: &InMemory, at: &Path, how: GetOptions) -> Result<GetResult> {
        if self.mode() == UNREACHABLE {
            return Err(planted());
        }
        inner.get_opts(at, how).await
    }

    fn delete(
        &self,
        inner: &InMemory,
        at: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        if self.mode() == NO_DELETIONS {
            return at.map(|_| Err(planted())).boxed();
        }
        inner.delete_stream(at)
    }

    fn list(
        &self,
        inner: &InMemory,
        prefix: Option<&Path>,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let listed = inner.list(prefix).collect::<Vec<_>>();
        let reversed = async { stream::iter(listed.await.into_iter().rev()) };
        stream::once(reversed).flatten().boxed()
    }
}

const NODE: &str = "n";

fn file(id: u64) -> ParquetFile {
    let chunk_time_ns = 600_000_000_000 * i64::try_from(id).unwrap();
    ParquetFile {
        id,
        db: DbId(1),
        table: TableId(2),
        chunk_time_ns,
        wal_file: id,
        part: 0,
        size_bytes: 1000,
        row_count: 10,
        min_time_ns: chunk_time_ns,
        max_time_ns: chunk_time_ns + 5,
        crc32: 0xdead_beef ^ id as u32,
        order: Stamps::at(id as i64),
        keys: Default::default(),
        compacted: None,
    }
}

/// The next snapshot with one file; every third removes an older file, the one after it forgets it.
fn next_change(index: &FileIndex) -> IndexChange {
    let number = index.last_snapshot() + 1;
    let mark = SnapshotMark {
        number,
        end_time_ns: 1,
        wal_through: number,
        forced: false,
        ..Default::default()
    };
    let oldest = index.files().next().filter(|_| number.is_multiple_of(3));
    let remove = |file: &Arc<ParquetFile>| RemovedFile {
        id: file.id,
        removed_at_ns: 7,
        why: Removal::Expired,
    };
    IndexChange {
        snapshot: Some(PlacedMark { mark, sequence: 2 * number, stamp: number as i64 }),
        added: vec![file(index.next_file_id())],
        removed: oldest.into_iter().map(remove).collect(),
        deleted: index.removed().map(|former| former.file.id).collect(),
    }
}

async fn step(log: &mut IndexLog) {
    let change = next_change(log.index());
    log.append(change).await.unwrap();
}

/// A new index after so many steps, all of them changes.
async fn after_steps(objects: &Objects, steps: u64) -> IndexLog {
    let (folder, index) = (Folder::new(objects, NODE), FileIndex::default());
    let mut log = IndexLog { folder, writer: 1, index, bases: Vec::new() };
    for _ in 0..steps {
        step(&mut log).await;
    }
    log
}

async fn names(objects: &Objects) -> (Vec<u64>, Vec<u64>) {
    let Names { bases, segments } = Folder::new(objects, NODE).names().await.unwrap();
    (bases.into_iter().collect(), segments.into_iter().collect())
}

async fn put(objects: &Objects, path: &str, bytes: Vec<u8>) {
    objects.store.put_opts(&path.into(), bytes.into(), PutMode::Overwrite.into()).await.unwrap();
}

async fn delete(objects: &Objects, path: &str) {
    let paths = stream::iter([Ok(Path::from(path))]).boxed();
    objects.store.delete_stream(paths).try_collect::<Vec<_>>().await.unwrap();
}

async fn bytes_of(objects: &Objects, path: &str) -> Vec<u8> {
    let found = objects.store.get_opts(&path.into(), GetOptions::default()).await.unwrap();
    found.bytes().await.unwrap().to_vec()
}

async fn flip_byte(objects: &Objects, path: &str) {
    let mut bytes = bytes_of(objects, path).await;
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    put(objects, path, bytes).await;
}

async fn refusal(objects: &Objects) -> String {
    format!("{:#}", load(objects, NODE).await.unwrap_err())
}

#[track_caller]
fn assert_names(error: &str, parts: &[&str]) {
    for part in parts {
        assert!(error.contains(part), "{error:?} lacks {part:?}");
    }
}

#[tokio::test]
async fn a_new_node_has_an_index_without_files() {
    let (_, objects) = Moody::new();
    assert_eq!(load(&objects, NODE).await.unwrap(), FileIndex::default());
    let log = IndexLog::open(&objects, NODE, 1).await.unwrap();
    assert_eq!((log.index().sequence(), log.index().files().len()), (1, 0));
    assert_eq!(log.index().last_snapshot(), 0);
    assert_eq!(names(&objects).await, (vec![], vec![1]));
}

#[tokio::test]
async fn what_was_appended_is_loaded_again() {
    let (_, objects) = Moody::new();
    let mut log = after_steps(&objects, 0).await;
    for steps in 1..=2 * SEGMENTS_A_BASE + 5 {
        step(&mut log).await;
        assert_eq!(&load(&objects, NODE).await.unwrap(), log.index(), "after {steps} steps");
    }
    let again = IndexLog::open(&objects, NODE, 2).await.unwrap();
    assert_eq!(again.index().sequence(), log.index().sequence() + 1);
    assert!(again.index().files().eq(log.index().files()));
    assert!(again.index().snapshots().eq(log.index().snapshots()));
}

#[tokio::test]
async fn two_bases_and_the_segments_since_the_older_one_are_kept() {
    let (_, objects) = Moody::new();
    let mut log = after_steps(&objects, 150).await;
    assert_eq!(names(&objects).await, (vec![100], (1..=150).collect()));
    for _ in 150..350 {
        step(&mut log).await;
    }
    assert_eq!(names(&objects).await, (vec![200, 300], (201..=350).collect()));
    // A new process goes on from there.
    let mut log = IndexLog::open(&objects, NODE, 2).await.unwrap();
    for _ in 351..420 {
        step(&mut log).await;
    }
    assert_eq!(names(&objects).await, (vec![300, 400], (301..=420).collect()));
    assert_eq!(&load(&objects, NODE).await.unwrap(), log.index());
}

#[tokio::test]
async fn a_base_that_cannot_be_written_is_written_later() {
    let (moody, objects) = Moody::new();
    moody.set(NO_BASES);
    let mut log = after_steps(&objects, 103).await;
    assert_eq!(names(&objects).await, (vec![], (1..=103).collect()));
    moody.set(WORKS);
    step(&mut log).await;
    assert_eq!(names(&objects).await.0, [104]);
    assert_eq!(&load(&objects, NODE).await.unwrap(), log.index());
}

#[tokio::test]
async fn a_crash_while_a_base_is_written_loses_nothing() {
    let (moody, objects) = Moody::new();
    moody.set(NO_DELETIONS);
    let log = after_steps(&objects, 300).await;
    let expected = log.index().clone();
    // Nothing deleted yet; then with the newest base cut off at any point.
    assert_eq!(load(&objects, NODE).await.unwrap(), expected);
    moody.set(WORKS);
    let newest = paths::index_base(NODE, 300);
    let whole = bytes_of(&objects, &newest).await;
    for cut in [0, 1, 23, 24, whole.len() / 2, whole.len() - 1] {
        put(&objects, &newest, whole[..cut].to_vec()).await;
        assert_eq!(load(&objects, NODE).await.unwrap(), expected, "cut at {cut}");
    }
    // The next base replaces it; the one before it is still kept.
    let log = IndexLog::open(&objects, NODE, 2).await.unwrap();
    assert_eq!(names(&objects).await, (vec![200, 301], (201..=301).collect()));
    assert_eq!(&load(&objects, NODE).await.unwrap(), log.index());
}

#[tokio::test]
async fn a_crash_while_old_objects_are_deleted_loses_nothing() {
    for survivors in 0..8_u64 {
        let (moody, objects) = Moody::new();
        moody.set(NO_DELETIONS);
        let log = after_steps(&objects, 310).await;
        moody.set(WORKS);
        // Deleted in any order, up to any point.
        if survivors & 1 == 0 {
            delete(&objects, &paths::index_base(NODE, 100)).await;
        }
        for sequence in (1..=200).filter(|s| s % 7 > survivors / 2) {
            delete(&objects, &paths::index_segment(NODE, sequence)).await;
        }
        assert_eq!(&load(&objects, NODE).await.unwrap(), log.index());
        flip_byte(&objects, &paths::index_base(NODE, 300)).await;
        assert_eq!(&load(&objects, NODE).await.unwrap(), log.index());
    }
}

#[tokio::test]
async fn without_a_usable_base_the_server_does_not_start() {
    let (_, objects) = Moody::new();
    after_steps(&objects, 210).await;
    let bases = [paths::index_base(NODE, 100), paths::index_base(NODE, 200)];
    flip_byte(&objects, &bases[1]).await;
    flip_byte(&objects, &bases[0]).await;
    let first = paths::index_segment(NODE, 1);
    let error = refusal(&objects).await;
    assert_names(&error, &[&bases[0], &bases[1], "crc32 checksum mismatch", &first, "restore"]);
    for base in &bases {
        delete(&objects, base).await;
    }
    assert_names(&refusal(&objects).await, &[&first, "is missing although", "restore"]);
}

#[tokio::test]
async fn a_damaged_first_base_costs_nothing() {
    let (_, objects) = Moody::new();
    let log = after_steps(&objects, 110).await;
    flip_byte(&objects, &paths::index_base(NODE, 100)).await;
    assert_eq!(&load(&objects, NODE).await.unwrap(), log.index());
}

#[tokio::test]
async fn a_damaged_segment_is_named() {
    for sequence in [1, 3, 5] {
        let (_, objects) = Moody::new();
        after_steps(&objects, 5).await;
        let path = paths::index_segment(NODE, sequence);
        flip_byte(&objects, &path).await;
        let error = refusal(&objects).await;
        assert_names(&error, &[&path, "it is damaged: crc32 checksum mismatch", "restore"]);
        let error = IndexLog::open(&objects, NODE, 2).await.unwrap_err();
        assert_names(&format!("{error:#}"), &[&path]);
    }
}

#[tokio::test]
async fn a_missing_segment_is_named() {
    let (_, objects) = Moody::new();
    after_steps(&objects, 105).await;
    let (missing, last) = (paths::index_segment(NODE, 103), paths::index_segment(NODE, 105));
    delete(&objects, &missing).await;
    assert_names(&refusal(&objects).await, &[&missing, "is missing although", &last, "restore"]);
}

#[tokio::test]
async fn segments_that_only_a_damaged_base_attests_are_missed() {
    let (_, objects) = Moody::new();
    after_steps(&objects, 200).await;
    let (base, missing) = (paths::index_base(NODE, 200), paths::index_segment(NODE, 200));
    flip_byte(&objects, &base).await;
    delete(&objects, &missing).await;
    assert_names(&refusal(&objects).await, &[&base, &missing]);
}

#[tokio::test]
async fn a_segment_under_another_name_is_refused() {
    let (_, objects) = Moody::new();
    after_steps(&objects, 3).await;
    let path = paths::index_segment(NODE, 3);
    let second = bytes_of(&objects, &paths::index_segment(NODE, 2)).await;
    put(&objects, &path, second).await;
    assert_names(&refusal(&objects).await, &[&path, "its name says 3, its content 2"]);
}

#[tokio::test]
async fn objects_of_a_newer_release_are_refused() {
    for (path, steps) in [(paths::index_segment(NODE, 2), 2), (paths::index_base(NODE, 200), 200)] {
        let (_, objects) = Moody::new();
        after_steps(&objects, steps).await;
        let mut bytes = bytes_of(&objects, &path).await;
        bytes[8] = 5;
        let mut hashed = bytes[..20].to_vec();
        hashed.extend_from_slice(&bytes[24..]);
        bytes[20..24].copy_from_slice(&crc32(&hashed).to_le_bytes());
        put(&objects, &path, bytes).await;
        let error = refusal(&objects).await;
        assert_names(&error, &[&path, "version 5 is newer", "use the release that wrote it"]);
    }
}

/// The checksum, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 }
        })
    })
}

#[tokio::test]
async fn an_unreachable_store_is_an_error() {
    let (moody, objects) = Moody::new();
    after_steps(&objects, 110).await;
    moody.set(UNREACHABLE);
    assert_names(&refusal(&objects).await, &[&paths::index_base(NODE, 100), "planted"]);
}

#[tokio::test]
async fn the_newer_process_fences_the_older() {
    let (_, objects) = Moody::new();
    let mut older = after_steps(&objects, 3).await;
    let mut newer = IndexLog::open(&objects, NODE, 2).await.unwrap();
    let change = next_change(older.index());
    let path = paths::index_segment(NODE, 4);
    assert_eq!(older.append(change).await, Err(IndexLogError::Fenced(path)));
    assert_eq!(older.index().sequence(), 3);
    step(&mut newer).await;
    assert_eq!(&load(&objects, NODE).await.unwrap(), newer.index());
}

#[tokio::test]
async fn a_process_that_stood_still_for_long_is_fenced_too() {
    let (_, objects) = Moody::new();
    let mut older = after_steps(&objects, 3).await;
    let mut newer = IndexLog::open(&objects, NODE, 2).await.unwrap();
    for _ in 0..2 * SEGMENTS_A_BASE {
        step(&mut newer).await;
    }
    assert!(!names(&objects).await.1.contains(&4));
    let change = next_change(older.index());
    assert!(matches!(older.append(change).await, Err(IndexLogError::Fenced(_))));
    step(&mut newer).await;
    assert_eq!(&load(&objects, NODE).await.unwrap(), newer.index());
}

#[tokio::test]
async fn on_a_fresh_store_the_newer_process_fences_the_older_too() {
    let (_, objects) = Moody::new();
    let mut one = IndexLog::open(&objects, NODE, 1).await.unwrap();
    let mut two = IndexLog::open(&objects, NODE, 2).await.unwrap();
    let change = next_change(one.index());
    assert!(matches!(one.append(change).await, Err(IndexLogError::Fenced(_))));
    step(&mut two).await;
    assert_eq!(&load(&objects, NODE).await.unwrap(), two.index());
}

#[tokio::test]
async fn of_two_that_open_a_fresh_store_at_once_one_goes_on() {
    let (_, objects) = Moody::new();
    let open = |writer| IndexLog::open(&objects, NODE, writer);
    let (one, two) = futures::join!(open(1), open(2));
    let mut survivors = 0;
    for mut log in [one.unwrap(), two.unwrap()] {
        let change = next_change(log.index());
        survivors += usize::from(log.append(change).await.is_ok());
    }
    assert_eq!(survivors, 1);
}

#[tokio::test]
async fn a_put_that_was_stored_despite_an_error_counts() {
    let (moody, objects) = Moody::new();
    moody.set(LIES);
    let log = after_steps(&objects, 3).await;
    assert_eq!(log.index().sequence(), 3);
    moody.set(WORKS);
    assert_eq!(&load(&objects, NODE).await.unwrap(), log.index());
}

#[tokio::test]
async fn a_put_that_failed_can_be_repeated() {
    let (moody, objects) = Moody::new();
    let mut log = after_steps(&objects, 2).await;
    let change = next_change(log.index());
    for (mode, unknown) in [(FAILS, false), (UNREACHABLE, true)] {
        moody.set(mode);
        let error = log.append(change.clone()).await.unwrap_err();
        let IndexLogError::Store { path, cause } = error else { panic!("{error}") };
        assert_eq!(path, paths::index_segment(NODE, 3));
        assert_eq!(cause.contains("outcome unknown"), unknown, "{cause}");
        assert_eq!(log.index().sequence(), 2);
    }
    moody.set(WORKS);
    log.append(change).await.unwrap();
    assert_eq!(&load(&objects, NODE).await.unwrap(), log.index());
}

/// Tries `change` while the store cannot be reached, and stores it all the same.
async fn stored_late(moody: &Moody, objects: &Objects, log: &mut IndexLog, change: &IndexChange) {
    moody.set(UNREACHABLE);
    assert!(matches!(log.append(change.clone()).await, Err(IndexLogError::Store { .. })));
    moody.set(WORKS);
    let IndexChange { snapshot, added, removed, deleted } = change.clone();
    let (writer, sequence) = (log.writer, log.index().sequence() + 1);
    let cuts = Vec::new();
    let segment = Segment { writer, sequence, snapshot, added, removed, deleted, cuts };
    put(objects, &paths::index_segment(NODE, sequence), encode_segment(&segment)).await;
}

#[tokio::test]
async fn a_put_that_took_effect_late_is_noticed() {
    let (moody, objects) = Moody::new();
    let mut log = after_steps(&objects, 2).await;
    let change = next_change(log.index());
    stored_late(&moody, &objects, &mut log, &change).await;
    log.append(change).await.unwrap();
    assert_eq!(log.index().sequence(), 3);

    let change = next_change(log.index());
    stored_late(&moody, &objects, &mut log, &change).await;
    let other = IndexChange { added: vec![file(99)], ..IndexChange::default() };
    let path = paths::index_segment(NODE, 4);
    let overtaken = Err(IndexLogError::Overtaken(path));
    assert_eq!(log.append(other.clone()).await, overtaken);
    assert_eq!(log.index().last_snapshot(), 4);
    log.append(other).await.unwrap();
    assert_eq!(&load(&objects, NODE).await.unwrap(), log.index());
}

#[tokio::test]
async fn a_change_that_does_not_fit_is_not_written() {
    let (_, objects) = Moody::new();
    let mut log = after_steps(&objects, 2).await;
    let change = IndexChange { deleted: vec![50], ..IndexChange::default() };
    assert_eq!(log.append(change).await, Err(IndexLogError::Unfit(IndexError::NotRemoved(50))));
    assert_eq!(names(&objects).await.1, [1, 2]);
}
