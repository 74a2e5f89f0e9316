//! Files whose rows the cache has in decoded form.

use super::files::many_files;
use super::*;
use crate::parquet_cache::{DECODES_MAX, ParquetCacheConfig, ParquetCacheOptions};
use crate::runtime::lives::Lives;
use crate::runtime::pools::Pool;
use crate::storage::objects::Objects;
use futures::TryStreamExt;
use object_store::ObjectStore;
use protocols::messages::parquet_cache::{Insert, LookUpRows, WantedFile};
use protocols::messages::store::ViewTable;

/// Gives the world an empty cache.
pub(super) async fn start_cache(world: &mut World) -> Mailbox<ParquetCache> {
    let config = ActorConfig {
        kind: "parquet_cache",
        name: "parquet_cache".to_owned(),
        messages_max: 100,
        bytes_max: 1 << 20,
        vital: false,
    };
    let cache = ParquetCacheConfig {
        objects: Objects::memory(),
        options: ParquetCacheOptions {
            bytes_max: 64 << 20,
            prune_fraction: 0.1,
            prune_interval: Duration::from_secs(1),
            query_path_duration: Duration::ZERO,
        },
        clock: Clock::System,
        pool: Pool::background("decode", 1, DECODES_MAX).unwrap(),
        held: world.held.clone(),
    };
    let mailbox = Guardian::mailbox::<ParquetCache>(&config);
    let lives = Lives::of(move || Ok(ParquetCache::new(cache.clone())));
    let guardian = Guardian::new(Fatal::default());
    guardian.birth(config, mailbox.clone(), lives).await.expect("starts");
    world.cache = Some(mailbox.clone());
    mailbox
}

/// Puts all files into a cache and has these columns of them decoded.
pub(super) async fn warm(world: &mut World, columns: &[&str]) {
    let cache = start_cache(world).await;
    let objects: Vec<_> = world.objects.list(None).try_collect().await.expect("lists");
    for object in objects {
        let bytes = world.objects.inner.get(&object.location).await.expect("is there");
        let path = Arc::from(object.location.as_ref());
        let bytes = bytes.bytes().await.expect("reads");
        let insert = Insert { path, bytes, in_place_of: Vec::new() };
        cache.ask_from_edge(insert, World::deadline()).await.expect("inserted");
    }
    let all = ViewTable { table: TABLE, min_time_ns: i64::MIN, max_time_ns: i64::MAX };
    let view = world.store.ask_from_edge(all, World::deadline()).await.expect("answers");
    let files = view.files.iter().map(|file| WantedFile {
        path: paths::parquet_file("n", file).into(),
        file: Arc::clone(file),
    });
    let files: Vec<_> = files.collect();
    let columns: Arc<[Arc<str>]> = columns.iter().map(|name| Arc::from(*name)).collect();
    let begun = Instant::now();
    loop {
        let ask = LookUpRows { files: files.clone(), columns: Arc::clone(&columns) };
        let found = cache.ask_from_edge(ask, World::deadline()).await.expect("answers");
        if found.iter().all(Option::is_some) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "files are not decoded");
        tokio::task::yield_now().await;
    }
}

#[test]
fn decoded_files_are_not_read_again() {
    run(async {
        let mut world = World::start().await;
        many_files(&mut world, 20).await;
        warm(&mut world, &["t0", "t1", "time", "f", "g"]).await;
        let sum = "SELECT sum(f) AS n FROM m WHERE t0 = 'a'";
        let plan = world.explain(sum).await;
        assert!(plan.contains("decoded=20") && !plan.contains(" files="), "{plan}");
        let analyzed = world.analyze(sum).await;
        assert_eq!(metric(&analyzed, "files_decoded"), 20, "{analyzed}");
        let sum = world.sql(4, sum).await;
        assert_eq!(sum[0]["n"].as_primitive::<Float64Type>().value(0), 20.0);
        let newest = world.sql(4, "SELECT time FROM m ORDER BY time DESC LIMIT 1").await;
        assert_eq!(newest.iter().flat_map(times_of).collect::<Vec<_>>(), [19 * GEN1_NS + 3]);
        let distinct = "SELECT DISTINCT ON (t0) time FROM m ORDER BY t0, time DESC";
        let distinct = world.sql(4, distinct).await;
        let times: Vec<i64> = distinct.iter().flat_map(times_of).collect();
        assert_eq!(times, [19 * GEN1_NS + 3, 19 * GEN1_NS + 3, 10 * GEN1_NS + 3]);
        assert_eq!(world.objects.take_reads().0, 0);
        assert!(!world.explain("SELECT count(*) FROM m").await.contains("ScanExec"));
    });
}

#[test]
fn columns_that_nobody_asked_for_are_read_from_the_file() {
    run(async {
        let mut world = World::start().await;
        many_files(&mut world, 3).await;
        warm(&mut world, &["f"]).await;
        let plan = world.explain("SELECT g FROM m").await;
        assert!(plan.contains(" files=3") && !plan.contains("decoded="), "{plan}");
        let plan = world.explain("SELECT f FROM m").await;
        assert!(plan.contains("decoded=3") && !plan.contains(" files="), "{plan}");
    });
}

#[test]
fn newer_rows_win_over_decoded_ones() {
    run(async {
        let mut world = World::start().await;
        let row = |f, g| Row { values: [Some(0), f, g, None], time: 3 };
        world.write(&[row(Some(1), Some(1))], 4).await;
        world.persist(16, 4).await;
        world.write(&[row(Some(2), None)], 4).await;
        world.persist(16, 4).await;
        warm(&mut world, &["f", "g"]).await;
        let all = "SELECT * FROM m";
        let key = || (Some("b".to_owned()), None, 3);
        assert_eq!(read(&world.sql(4, all).await), [(key(), (Some(2), Some(1)))]);
        world.write(&[row(None, Some(3))], 4).await;
        assert_eq!(read(&world.sql(4, all).await), [(key(), (Some(2), Some(3)))]);
        // A file that is not decoded is newer than two that are.
        world.persist(16, 4).await;
        world.write(&[row(Some(4), None)], 4).await;
        assert_eq!(read(&world.sql(4, all).await), [(key(), (Some(4), Some(3)))]);
    });
}
