//! When which files are to become one.

use super::super::plan::{Job, plan};
use super::*;
use protocols::key_bounds::key_bytes;
use protocols::messages::index::FileList;
use protocols::row_deletes::{RowDelete, RowDeleteState, RowDeletes};
use protocols::snapshot::{COMPACTED_IDS, Compacted, Keys};
use std::collections::BTreeSet;

const DAY_NS: i64 = 24 * HOUR_NS;
const FILE_BYTES: u64 = 2_000;

/// The file of a chunk, written at the end of it, with so many bytes.
fn file(id: u64, chunk: i64, bytes: u64) -> ParquetFile {
    let chunk_time_ns = chunk * GEN1_NS;
    ParquetFile {
        id,
        db: DbId(1),
        table: TableId(1),
        chunk_time_ns,
        wal_file: id,
        part: 0,
        size_bytes: bytes,
        row_count: bytes / 20,
        min_time_ns: chunk_time_ns,
        max_time_ns: chunk_time_ns + GEN1_NS - 1,
        crc32: 0,
        order: Stamps {
            lo: chunk_time_ns + 1_000 * id as i64,
            hi: chunk_time_ns + 1_000 * id as i64 + 999,
        },
        keys: Keys::default(),
        compacted: None,
    }
}

/// The files of chunks that lie side by side.
fn files(chunks: std::ops::Range<i64>, bytes: u64) -> Vec<ParquetFile> {
    chunks.map(|chunk| file(1 + chunk as u64, chunk, bytes)).collect()
}

fn planned_at(
    files: &[ParquetFile],
    now_ns: i64,
    at_once: bool,
    retention_ns: Option<i64>,
) -> Vec<Job> {
    let files = files.iter().cloned().map(Arc::new).collect();
    let list = FileList { files, durable_stamp: now_ns };
    plan(&list, &catalog(retention_ns), now_ns, &rules(), None, at_once)
}

/// Generation, start of the window in hours, and number of inputs of each job.
fn shown(jobs: &[Job]) -> Vec<(u8, i64, usize)> {
    jobs.iter()
        .map(|job| (job.generation, job.window_start_ns / HOUR_NS, job.files().count()))
        .collect()
}

/// Does what is planned, until nothing is. Returns rows and bytes that were written anew.
fn settle(files: &mut Vec<ParquetFile>, now_ns: i64, retention_ns: Option<i64>) -> (u64, u64) {
    let (mut rows, mut bytes) = (0, 0);
    loop {
        let jobs = planned_at(files, now_ns, false, retention_ns);
        if jobs.is_empty() {
            return (rows, bytes);
        }
        for job in jobs {
            let of_merged = files.iter().filter_map(|file| file.compacted.as_ref());
            let nonce = 1 + of_merged.map(|merged| merged.nonce).max().unwrap_or(0);
            let inputs: BTreeSet<u64> = job.files().map(|file| file.id).collect();
            let first = job.files().next().unwrap().as_ref().clone();
            let orders = job.files().map(|file| file.order);
            // Rows of ten minutes take twice what they take in long stretches of a series.
            let size = |file: &ParquetFile| file.size_bytes >> u8::from(file.compacted.is_none());
            let output = ParquetFile {
                id: COMPACTED_IDS + nonce,
                chunk_time_ns: job.window_start_ns,
                wal_file: 0,
                size_bytes: job.files().map(|file| size(file)).sum(),
                row_count: job.files().map(|file| file.row_count).sum(),
                min_time_ns: job.files().map(|file| file.min_time_ns).min().unwrap(),
                max_time_ns: job.files().map(|file| file.max_time_ns).max().unwrap(),
                order: orders.reduce(Stamps::to).unwrap(),
                compacted: Some(Compacted {
                    generation: job.generation,
                    nonce,
                    deletes_through: 0,
                }),
                ..first
            };
            rows += output.row_count;
            bytes += output.size_bytes;
            files.retain(|file| !inputs.contains(&file.id));
            files.push(output);
        }
    }
}

/// As [`settle`], but how often each row was written anew.
fn settled(files: &mut Vec<ParquetFile>, now_ns: i64, retention_ns: Option<i64>) -> f64 {
    let rows: u64 = files.iter().map(|file| file.row_count).sum();
    settle(files, now_ns, retention_ns).0 as f64 / rows as f64
}

#[test]
fn a_day_of_little_becomes_one_file_and_a_window_is_left_alone_until_it_is_over() {
    let day = files(0..144, FILE_BYTES);
    let end = DAY_NS - 1 + GEN1_NS + MINUTE_NS;
    assert_eq!(shown(&planned_at(&day, end + 1, false, None)), [(5, 0, 144)]);
    let parts: Vec<_> = (0..5).map(|part| (4, part * 4, 24)).collect();
    assert_eq!(shown(&planned_at(&day, end, false, None)), parts, "the last four hours may change");
}

#[test]
fn rows_are_written_anew_twice_or_three_times_over_their_life() {
    let mut little = files(0..30 * 144, FILE_BYTES);
    let again = settled(&mut little, 31 * DAY_NS, None);
    assert_eq!(little.len(), 1, "a month of little is one file");
    assert!(again <= 2.0, "{again}");

    // As they come, a day after the other.
    let mut much = Vec::new();
    let mut written = 0.0;
    for day in 0..10 {
        much.extend(files(day * 144..(day + 1) * 144, 2_000_000));
        written += settled(&mut much, (day + 1) * DAY_NS + HOUR_NS, None) * 0.1;
    }
    assert_eq!(much.len(), 10, "a file a day of much");
    assert!(written <= 2.5, "{written}");
}

#[test]
fn a_window_waits_until_old_rows_that_come_in_bulk_are_all_there() {
    let now = 10 * DAY_NS;
    let written_now = |count: i64| {
        let mut files = files(0..count, FILE_BYTES);
        files.iter_mut().for_each(|file| {
            file.order =
                Stamps { lo: now - 1_000 + file.id as i64, hi: now - 1_000 + file.id as i64 };
        });
        files
    };
    let some = written_now(20);
    assert!(planned_at(&some, now, false, None).is_empty());
    assert_eq!(shown(&planned_at(&some, now, true, None)), [(5, 0, 20)], "somebody asked for it");
    assert_eq!(shown(&planned_at(&some, now + MINUTE_NS, false, None)), [(5, 0, 20)]);
    let many = written_now(65);
    assert_eq!(shown(&planned_at(&many, now, false, None)), [(5, 0, 65)], "too many to wait");
}

#[test]
fn what_may_still_change_is_not_merged() {
    let day = files(0..144, FILE_BYTES);
    let list = |durable_stamp| FileList {
        files: day.iter().cloned().map(Arc::new).collect(),
        durable_stamp,
    };
    let planned = |durable_stamp| {
        plan(&list(durable_stamp), &catalog(None), 2 * DAY_NS, &rules(), None, true)
    };
    assert_eq!(shown(&planned(DAY_NS)), [(5, 0, 144)]);
    // Rows of the last hours may not be in files yet: then only what is older is merged.
    let first_half = planned(12 * HOUR_NS - 1);
    assert_eq!(shown(&first_half), [(4, 0, 24), (4, 4, 24), (4, 8, 24)]);
    assert!(planned(0).is_empty());
}

#[test]
fn late_files_wait_until_they_are_worth_it() {
    let mut all = files(0..144, 200_000);
    settled(&mut all, 2 * DAY_NS, None);
    assert_eq!(all.len(), 1);
    let late = |id: u64, bytes, hi| ParquetFile {
        order: Stamps { lo: 2 * DAY_NS, hi },
        ..file(id, 7, bytes)
    };
    let with = |more: &[ParquetFile]| [all.as_slice(), more].concat();
    let small = late(1_000, 1_000, 2 * DAY_NS + 5);
    let now = 2 * DAY_NS + HOUR_NS;
    assert_eq!(shown(&planned_at(&with(std::slice::from_ref(&small)), now, false, None)), []);
    assert_eq!(
        shown(&planned_at(&with(std::slice::from_ref(&small)), now, true, None)),
        [(5, 0, 2)]
    );
    let next_day = 3 * DAY_NS + HOUR_NS;
    assert_eq!(shown(&planned_at(&with(&[small]), next_day, false, None)), [(5, 0, 2)]);
    let large = late(1_000, all[0].size_bytes / 4, 2 * DAY_NS + 5);
    assert_eq!(shown(&planned_at(&with(&[large]), now, false, None)), [(5, 0, 2)]);
    let many: Vec<_> = (0..8)
        .map(|n| ParquetFile {
            order: Stamps::at(2 * DAY_NS + n),
            ..file(1_000 + n as u64, 7 * n, 1_000)
        })
        .collect();
    assert_eq!(shown(&planned_at(&with(&many), now, false, None)), [(5, 0, 8)], "without the day");
    assert_eq!(shown(&planned_at(&with(&many[..6]), now, false, None)), []);
}

/// A row in twenty comes late, by anything up to a day.
#[test]
fn late_rows_do_not_have_their_whole_day_written_anew_each_time() {
    const CHUNK_ROWS: u64 = 240_000;
    const DAYS: i64 = 4;
    let (mut files, mut id, mut most) = (Vec::new(), 0, 0);
    let (mut rows, mut bytes, mut rows_again, mut bytes_again) = (0, 0, 0, 0);
    for chunk in 0..DAYS * 144 {
        let now = (chunk + 1) * GEN1_NS;
        for late in 0..144.min(chunk + 1) {
            id += 1;
            let count = if late == 0 { CHUNK_ROWS * 19 / 20 } else { CHUNK_ROWS / 20 / 144 };
            let order = Stamps::at(now - 1_000 + late);
            let file = ParquetFile { row_count: count, order, ..file(id, chunk - late, count * 8) };
            rows += count;
            bytes += file.size_bytes;
            files.push(file);
        }
        most = most.max(files.len());
        let again = settle(&mut files, now + MINUTE_NS, None);
        (rows_again, bytes_again) = (rows_again + again.0, bytes_again + again.1);
    }
    let factor = (bytes + bytes_again) as f64 / bytes as f64;
    let again = rows_again as f64 / rows as f64;
    assert!(factor <= 2.5 && again <= 3.0, "bytes {factor}, rows {again}");
    assert!(most <= 300, "{most} files");
}

#[test]
fn many_files_of_one_chunk_are_merged_before_the_window_is_over() {
    let same: Vec<_> = (0..9)
        .map(|n| ParquetFile { order: Stamps::at(100 + n), ..file(1 + n as u64, 0, 1_000) })
        .collect();
    assert_eq!(shown(&planned_at(&same, GEN1_NS, false, None)), [(1, 0, 9)]);
    assert_eq!(shown(&planned_at(&same[..7], GEN1_NS, false, None)), []);
}

#[test]
fn a_file_that_was_written_in_between_keeps_others_apart() {
    let order = |file: ParquetFile, lo, hi| ParquetFile { order: Stamps { lo, hi }, ..file };
    // One whose rows reach beyond the window, as with other widths before.
    let wide = ParquetFile {
        max_time_ns: 2 * DAY_NS,
        compacted: Some(Compacted { generation: 6, nonce: 1, deletes_through: 0 }),
        ..order(file(COMPACTED_IDS, 3, 1_000), 200, 300)
    };
    let two = [order(file(1, 3, 1_000), 100, 150), order(file(2, 3, 1_000), 400, 450)];
    assert_eq!(shown(&planned_at(&two, 10 * DAY_NS, true, None)), [(5, 0, 2)]);
    let all = [two[0].clone(), wide, two[1].clone()];
    let jobs = planned_at(&all, 3 * DAY_NS, true, None);
    let of_two =
        |job: &Job| job.files().count() == 2 && job.files().all(|file| file.id < COMPACTED_IDS);
    assert!(!jobs.iter().any(of_two), "{jobs:?}");
}

#[test]
fn only_files_that_may_have_deleted_rows_are_written_anew() {
    let key = |host: &str| key_bytes([Some(host), None]);
    let day = [("h1", "h2"), ("h3", "h9"), ("", "")].map(|(first, last)| match first {
        "" => Keys::default(), // as files have that were written before bounds were
        first => Keys::between(3, &key(first), &key(last)),
    });
    // Far apart, so that nothing else is a reason to write them anew.
    let files =
        (1..).zip(day).map(|(id, keys)| ParquetFile { keys, ..file(id, 9_000 * id as i64, 1) });
    let files: Vec<_> = files.map(Arc::new).collect();
    let rewritten = |host: &str, rack: Option<&str>| -> Vec<u64> {
        let tags = [("host", Some(host)), ("rack", rack)];
        let tags = tags.iter().filter_map(|(tag, value)| Some(((*tag).into(), (*value)?.into())));
        let delete = RowDelete {
            sequence: 1,
            request: uuid::Uuid::nil(),
            db: DbId(1),
            table: TableId(1),
            db_name: "d".into(),
            table_name: "m".into(),
            min_time_ns: None,
            max_time_ns: None,
            tags: tags.collect(),
            created_at_ns: 0,
            bound: Some(i64::MAX),
            state: RowDeleteState::Pending,
        };
        let row_deletes = Arc::new(RowDeletes::new(1, [Arc::new(delete)]));
        let catalog = CatalogSnapshot { row_deletes, ..catalog(None) };
        let list = FileList { files: files.clone(), durable_stamp: i64::MAX };
        let jobs = plan(&list, &catalog, i64::MAX / 2, &rules(), None, false);
        jobs.iter().flat_map(Job::files).map(|file| file.id).collect()
    };
    assert_eq!(rewritten("h0", None), [3]);
    assert_eq!(rewritten("h2", None), [1, 3]);
    assert_eq!(rewritten("h5", Some("r1")), [2, 3]);
    assert_eq!(rewritten("h99", None), [3]);
}

#[test]
fn retention_bounds_the_width_of_windows() {
    let day = files(0..144, FILE_BYTES);
    let planned = |retention| shown(&planned_at(&day, DAY_NS + HOUR_NS, false, Some(retention)));
    assert_eq!(planned(60 * DAY_NS), [(5, 0, 144)]);
    let hours: Vec<_> = (0..6).map(|part| (4, part * 4, 24)).collect();
    assert_eq!(planned(2 * DAY_NS), hours);
    assert_eq!(planned(HOUR_NS / 2), [], "all of it is past retention");
    // A table's own period counts before that of the database.
    let mut own = catalog(Some(HOUR_NS / 2));
    let mut db = own.databases["d"].as_ref().clone();
    db.tables.insert("m".into(), Arc::new(table().with_settings(Some(60 * DAY_NS), None)));
    own.databases.insert("d".into(), Arc::new(db));
    let files = day.into_iter().map(Arc::new).collect();
    let list = FileList { files, durable_stamp: DAY_NS + HOUR_NS };
    let jobs = plan(&list, &own, DAY_NS + HOUR_NS, &rules(), None, false);
    assert_eq!(shown(&jobs), [(5, 0, 144)]);
}

#[test]
fn more_than_can_be_open_is_merged_in_narrower_windows_first() {
    // Files of a megabyte are read whole, and there is memory for 64 of them.
    let day = files(0..144, 1_048_576);
    let jobs = planned_at(&day, DAY_NS + HOUR_NS, false, None);
    assert!(jobs.iter().all(|job| (2..=64).contains(&job.files().count())), "{:?}", shown(&jobs));
    assert_eq!(jobs.iter().map(|job| job.files().count()).sum::<usize>(), 144);
}

#[test]
fn options_that_make_no_sense_are_named() {
    let widths = |gen2_duration_ns, multipliers: &[u32]| {
        let multipliers = multipliers.to_vec();
        let chosen = CompactionOptions { gen2_duration_ns, multipliers, ..options() };
        chosen.widths(GEN1_NS).map_err(|error| error.to_string())
    };
    assert_eq!(widths(20 * MINUTE_NS, &[3]).unwrap(), [GEN1_NS, 2 * GEN1_NS, 6 * GEN1_NS]);
    assert!(widths(15 * MINUTE_NS, &[3]).unwrap_err().contains("--compaction-gen2-duration"));
    assert!(widths(5 * MINUTE_NS, &[3]).unwrap_err().contains("--compaction-gen2-duration"));
    assert!(widths(GEN1_NS, &[1]).unwrap_err().contains("--compaction-multipliers"));
    assert!(widths(GEN1_NS, &[u32::MAX, u32::MAX]).unwrap_err().contains("multipliers"));
}
