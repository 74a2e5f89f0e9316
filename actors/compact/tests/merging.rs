//! What comes of files that are merged.

use super::super::job::Compaction;
use super::super::output::Output;
use super::super::plan::{Job, plan};
use super::*;
use protocols::key_bounds::WantedKeys;
use protocols::messages::index::FileList;

/// A job for all of these files.
fn job(files: &[Arc<ParquetFile>]) -> Job {
    let list = FileList { files: files.to_vec(), durable_stamp: i64::MAX };
    let jobs = plan(&list, &catalog(None), 1_000 * 24 * HOUR_NS, &rules(), None, true);
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    jobs.into_iter().next().unwrap()
}

async fn compact(
    store: &Arc<dyn ObjectStore>,
    files: &[Arc<ParquetFile>],
    rows_max: Option<usize>,
    batch_rows: u64,
) -> Compaction {
    let tools = tools(store, rows_max, batch_rows);
    tools.run(&job(files), &catalog(None), 0).await.unwrap()
}

async fn all(store: &Arc<dyn ObjectStore>, files: &[ParquetFile]) -> Vec<RecordBatch> {
    let mut batches = Vec::new();
    for file in files {
        batches.push(read(store, file).await);
    }
    batches
}

#[actix_rt::test]
async fn the_newest_value_of_each_field_stays() {
    let store = memory();
    let first = batch(&[(1, None, 5, Some(1), Some(1.5)), (2, None, 7, Some(2), None)]);
    let second = batch(&[(1, None, 5, Some(3), None), (0, Some(4), 5, None, Some(0.5))]);
    let files = [
        stored(&store, 1, 0, Stamps { lo: 10, hi: 20 }, std::slice::from_ref(&first)).await,
        stored(&store, 2, 0, Stamps { lo: 30, hi: 40 }, std::slice::from_ref(&second)).await,
    ];
    let compaction = compact(&store, &files, None, 8_192).await;
    let [output] = compaction.outputs.as_slice() else { panic!("one file") };
    assert_eq!((compaction.rows_in, compaction.rows_out, output.row_count), (4, 3, 3));
    assert_eq!(output.order, Stamps { lo: 10, hi: 40 });
    assert_eq!((output.min_time_ns, output.max_time_ns, output.keys.series), (5, 7, 3));
    let found = all(&store, &compaction.outputs).await;
    assert_eq!(lines(&found), lines(&[first, second]));
    // The rows stand in the order of their keys.
    let tags: Vec<String> = lines(&found).iter().map(|line| line[..9].to_owned()).collect();
    assert!(tags.is_sorted(), "{tags:?}");
}

#[actix_rt::test]
async fn large_files_are_merged_in_stretches_and_cut_between_series() {
    let store = memory();
    let rows = |hosts: u8, from: i64, count: i64, value: i64| -> Vec<Row> {
        let of_host = |host| {
            (from..from + count).map(move |time| (host, None, time, Some(value + time), None))
        };
        (0..hosts).flat_map(of_host).collect()
    };
    // More than a row group each. Half of the second one's rows replace such of the first one.
    let (first, second) = (batch(&rows(40, 0, 4_000, 0)), batch(&rows(40, 2_000, 4_000, 7)));
    let files = [
        stored(&store, 1, 0, Stamps::at(1), std::slice::from_ref(&first)).await,
        stored(&store, 2, 0, Stamps::at(2), std::slice::from_ref(&second)).await,
    ];
    let compaction = compact(&store, &files, Some(25_000), 1_000).await;
    assert_eq!((compaction.rows_in, compaction.rows_out), (320_000, 240_000));
    let rows_of: Vec<u64> = compaction.outputs.iter().map(|file| file.row_count).collect();
    assert!(rows_of.iter().all(|rows| *rows <= 25_000 && rows % 6_000 == 0), "{rows_of:?}");
    assert_eq!(compaction.outputs.iter().map(|file| file.keys.series).sum::<u64>(), 40);
    let found = all(&store, &compaction.outputs).await;
    assert!(lines(&found) == lines(&[first, second]), "the rows are others");
}

#[actix_rt::test]
async fn rows_past_retention_do_not_become_part_of_other_files() {
    let store = memory();
    let rows = batch(&[(1, None, 5, Some(1), None), (1, None, 9, Some(2), None)]);
    let later = batch(&[(2, None, 8, Some(3), None), (2, None, 20, Some(4), None)]);
    let files = [
        stored(&store, 1, 0, Stamps::at(1), std::slice::from_ref(&rows)).await,
        stored(&store, 2, 0, Stamps::at(2), std::slice::from_ref(&later)).await,
    ];
    let (job, kept) = (job(&files), catalog(Some(100)));
    for (now_ns, times) in [(105, &[5, 8, 9, 20][..]), (108, &[8, 9, 20]), (120, &[20])] {
        let compaction = tools(&store, None, 64).run(&job, &kept, now_ns).await.unwrap();
        let found = read(&store, &compaction.outputs[0]).await;
        let found = arrow::array::AsArray::as_primitive::<arrow::datatypes::TimestampNanosecondType>(
            found.column_by_name("time").unwrap(),
        );
        let mut found = found.values().to_vec();
        found.sort_unstable();
        assert_eq!(found, times, "at {now_ns}");
        assert!(compaction.deletes.is_empty());
    }
    // Where all of it is, it goes as it is.
    let compaction = tools(&store, None, 64).run(&job, &kept, 121).await.unwrap();
    assert_eq!(compaction.rows_out, 4);
    // A table's own period counts before that of the database.
    let mut own = kept.clone();
    let mut db = own.databases["d"].as_ref().clone();
    db.tables.insert("m".into(), Arc::new(table().with_settings(Some(1_000), None)));
    own.databases.insert("d".into(), Arc::new(db));
    let compaction = tools(&store, None, 64).run(&job, &own, 120).await.unwrap();
    assert_eq!(compaction.rows_out, 4);
}

#[actix_rt::test]
async fn one_series_too_long_for_a_file_is_cut_by_time() {
    let store = memory();
    let row = |time: i64| (1, None, time, Some(time), None);
    let first = batch(&(0..1_000).map(row).collect::<Vec<_>>());
    let second = batch(&(500..2_000).map(row).collect::<Vec<_>>());
    let files = [
        stored(&store, 1, 0, Stamps::at(1), std::slice::from_ref(&first)).await,
        stored(&store, 2, 0, Stamps::at(2), std::slice::from_ref(&second)).await,
    ];
    let compaction = compact(&store, &files, Some(300), 64).await;
    let rows_of: Vec<u64> = compaction.outputs.iter().map(|file| file.row_count).collect();
    assert_eq!(rows_of, [300, 300, 300, 300, 300, 300, 200]);
    let found = all(&store, &compaction.outputs).await;
    assert_eq!(lines(&found), lines(&[first, second]));
}

#[actix_rt::test]
async fn damage_is_noticed_before_anything_comes_of_it() {
    let store = memory();
    let rows = batch(&[(1, None, 5, Some(1), None), (2, None, 7, Some(2), None)]);
    let files = [
        stored(&store, 1, 0, Stamps::at(1), std::slice::from_ref(&rows)).await,
        stored(&store, 2, 0, Stamps::at(2), std::slice::from_ref(&rows)).await,
    ];
    let path = Path::from(paths::parquet_file(NODE, &files[1]));
    let mut bytes = store.get(&path).await.unwrap().bytes().await.unwrap().to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    store.put(&path, bytes.into()).await.unwrap();
    let error = tools(&store, None, 64).run(&job(&files), &catalog(None), 0).await.err().unwrap();
    assert!(format!("{error:#}").contains("checksum does not match"), "{error:#}");
}

#[test]
fn a_file_that_is_long_enough_ends_between_two_series() {
    let row = |host: u8, time: i64| -> Row {
        let mut noise = (time as u64 + (u64::from(host) << 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        noise = (noise ^ (noise >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (host, None, time, Some((noise ^ (noise >> 32)) as i64), None)
    };
    let mut output = Output::new(&Arc::new(table()), None, 400_000, None);
    let mut rows = 0;
    for host in 10..40_u8 {
        let series = batch(&(0..10_000).map(|time| row(host, time)).collect::<Vec<_>>());
        let sorted = sort_dedup(&[series], &table()).unwrap();
        rows += sorted.rows.num_rows() as u64;
        output.write(&sorted).unwrap();
    }
    output.end().unwrap();
    let files: Vec<_> = std::iter::from_fn(|| output.take()).collect();
    assert_eq!(files.iter().map(|file| file.row_count).sum::<u64>(), rows);
    assert_eq!(files.iter().map(|file| file.keys.series).sum::<u64>(), 30);
    // What is known of the keys leads to the one file that has a series.
    let found = (10..40).map(|host| {
        let host = format!("h{host}");
        let wanted = WantedKeys::new(&table(), [("host", [host.as_str()])]);
        files.iter().filter(|file| wanted.may_be_in(&file.keys)).count()
    });
    assert_eq!(found.collect::<Vec<_>>(), [1; 30]);
    assert!(files.len() > 1 && files.iter().all(|file| file.row_count % 10_000 == 0));
}
