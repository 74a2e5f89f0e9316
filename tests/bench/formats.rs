//! How fast results become text: a million rows of a tag, a float and a time.

use arrow::array::{
    ArrayRef, DictionaryArray, Float64Array, RecordBatch, TimestampNanosecondArray,
};
use arrow::datatypes::Int32Type;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use influxdb3::http::format::encode;
use mimalloc::MiMalloc;
use protocols::http::query::ResultFormat;
use std::hint::black_box;
use std::sync::Arc;

/// The allocator of the server.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const ROWS: usize = 1_000_000;
const ROWS_PER_BATCH: usize = 8_192;
/// 2065-01-07T17:00:00
const FIRST_NS: i64 = 2_998_573_200_000_000_000;

fn batch(first: usize, rows: usize) -> RecordBatch {
    let hosts: Vec<String> = (0..rows).map(|row| format!("host-{}", row % 100)).collect();
    let hosts: DictionaryArray<Int32Type> = hosts.iter().map(String::as_str).collect();
    let loads = (first..first + rows).map(|row| (row * 7_919 % 100_003) as f64 / 1_000.0);
    let times = (first..first + rows).map(|row| FIRST_NS + row as i64 * 1_234_567);
    let columns: [(&str, ArrayRef); 3] = [
        ("host", Arc::new(hosts)),
        ("load", Arc::new(Float64Array::from_iter_values(loads))),
        ("time", Arc::new(TimestampNanosecondArray::from_iter_values(times))),
    ];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

fn formats(c: &mut Criterion) {
    let batches: Vec<RecordBatch> = (0..ROWS)
        .step_by(ROWS_PER_BATCH)
        .map(|first| batch(first, ROWS_PER_BATCH.min(ROWS - first)))
        .collect();
    let schema = batches[0].schema();
    let mut group = c.benchmark_group("formats");
    group.sample_size(10);
    for (name, format) in [("json", ResultFormat::Json), ("csv", ResultFormat::Csv)] {
        let encoded = || encode(format, &schema, black_box(&batches)).expect("plain values");
        group.throughput(Throughput::Bytes(encoded().len() as u64));
        group.bench_function(name, |b| b.iter(encoded));
    }
    group.finish();
}

criterion_group!(benches, formats);
criterion_main!(benches);
