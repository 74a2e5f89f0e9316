//! Files that stand for several older ones. Their identity is newer than that of files with newer
//! rows: only the order of writes says what replaces what.

use super::*;
use bytes::Bytes;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use protocols::messages::store::{RemoveFiles, TableView, ViewTable};
use protocols::series_blocks::BLOCK_ROWS;

/// Whether one file may stand for those in `taken`: whatever else there is, or will be, in the time
/// between their rows has to be newer than all of them. Chunks may still get rows of any time.
fn may_merge(taken: &[Arc<ParquetFile>], left: &[Arc<ParquetFile>], view: &TableView) -> bool {
    let bound = taken.iter().map(|file| file.order.hi).max();
    let min_ns = taken.iter().map(|file| file.min_time_ns).min();
    let max_ns = taken.iter().map(|file| file.max_time_ns).max();
    let (Some(bound), Some(min_ns), Some(max_ns)) = (bound, min_ns, max_ns) else { return false };
    let beside = |file: &ParquetFile| file.max_time_ns < min_ns || max_ns < file.min_time_ns;
    left.iter().all(|file| beside(file) || bound < file.order.lo)
        && view.chunks.iter().all(|chunk| bound < chunk.order.lo)
}

impl World {
    pub(super) async fn view(&self) -> TableView {
        let all = ViewTable { table: TABLE, min_time_ns: i64::MIN, max_time_ns: i64::MAX };
        self.store.ask_from_edge(all, Self::deadline()).await.expect("answers")
    }

    async fn rows_of(&self, file: &ParquetFile) -> Vec<RecordBatch> {
        let path = Path::from(paths::parquet_file("n", file));
        let object = self.objects.inner.get(&path).await.expect("is there");
        let bytes: Bytes = object.bytes().await.expect("reads");
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).expect("a file").build();
        reader.expect("a file").collect::<Result<_, _>>().expect("rows")
    }

    /// Makes one file of up to so many of the files that were written first, if that may be. True
    /// if there were such files.
    pub(super) async fn merge_oldest(&mut self, files_max: usize) -> bool {
        let view = self.view().await;
        let mut files = view.files.clone();
        files.sort_by_key(|file| (file.order.hi, file.order.lo, file.id));
        let counts = 2..=files_max.min(files.len());
        let Some(count) = counts.rev().find(|count| {
            let (taken, left) = files.split_at(*count);
            may_merge(taken, left, &view)
        }) else {
            return false;
        };
        let taken = &files[..count];
        let mut batches = Vec::new();
        for file in taken {
            batches.extend(self.rows_of(file).await);
        }
        let rows = sort_dedup(&batches, &table(4)).expect("sorts").rows;
        let chunk_time_ns = taken.iter().map(|file| file.chunk_time_ns).min().expect("some");
        let order = taken.iter().map(|file| file.order).reduce(Stamps::to).expect("some");
        let merged = self.put_as(&rows, chunk_time_ns, order, true).await;
        let files = taken.iter().map(|file| (TABLE, file.id)).collect();
        let remove = RemoveFiles { files };
        self.store.ask_from_edge(remove, Self::deadline()).await.expect("removed");
        self.show(vec![merged]).await;
        true
    }
}

fn value(f: u8, g: Option<u8>) -> Row {
    Row { values: [Some(0), Some(f), g, None], time: 3 }
}

#[test]
fn a_file_that_stands_for_older_ones_gives_way_to_newer_rows() {
    run(async {
        let mut world = World::start().await;
        let mut model = Model::new();
        // Three files and the buffer have the same key. The second file alone has the field `g`.
        for rows in [[value(1, None)], [value(2, Some(7))], [value(3, None)]] {
            world.write(&rows, 4).await;
            add(&mut model, &rows, 4);
            world.persist(GEN1_NS, 4).await;
        }
        check(&mut world, &model).await;
        assert!(world.merge_oldest(2).await);
        let [newer, merged] = world.view().await.files.try_into().expect("two files");
        assert!(newer.id < merged.id && merged.order.hi < newer.order.lo);
        check(&mut world, &model).await;

        let rows = [value(0, None)];
        world.write(&rows, 4).await;
        add(&mut model, &rows, 4);
        check(&mut world, &model).await;
        assert!(world.merge_oldest(2).await);
        assert!(!world.merge_oldest(2).await);
        check(&mut world, &model).await;
    });
}

#[test]
fn of_long_series_only_the_rows_around_a_time_are_decoded() {
    run(async {
        let mut world = World::start().await;
        world.batch_rows = 1_000;
        // Series that begin, go on and end at times of their own.
        let times =
            |t0: u8| (0..2_000 + 300 * i64::from(t0)).map(move |i| 7 * i64::from(t0) + 2 * i);
        let rows: Vec<Row> = (0..3).flat_map(|t0| series(t0, times(t0))).collect();
        let sorted = sort_dedup(&[batch(&rows, 4)], &table(4)).expect("sorts").rows;
        let file = world.put_as(&sorted, 0, Stamps::at(1), true).await;
        world.show(vec![file]).await;
        for (from, to) in [(0, 1), (700, 703), (1_023, 1_026), (3_998, 4_020), (4_400, 9_000)] {
            let query = format!(
                "SELECT count(f) FROM m WHERE time >= {} AND time < {}",
                instant(from),
                instant(to)
            );
            let expected = rows.iter().filter(|row| (from..to).contains(&row.time)).count();
            assert_eq!(count(&world.sql(4, &query).await), expected as i64, "{query}");
            let plan = world.analyze(&query).await;
            let looked_at = expected + metric(&plan, "pushdown_rows_pruned");
            assert!(
                looked_at <= expected + 3 * 2 * BLOCK_ROWS,
                "{query}: {looked_at} rows\n{plan}"
            );
        }
        let newest = "SELECT DISTINCT ON (t0) f, time FROM m ORDER BY t0, time DESC";
        let plan = world.analyze(newest).await;
        let scan = plan.lines().find(|line| line.contains("ScanExec")).expect("a scan");
        assert!(scan.contains("output_rows=3"), "{plan}");
    });
}
