//! SQL over a real shard, against a plain map of rows.

use super::{BufferedTable, ScanContext};
use crate::runtime::fatal::Fatal;
use crate::runtime::guardian::{ActorConfig, Guardian};
use crate::runtime::mailbox::Mailbox;
use crate::store::{Store, StoreShards};
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, Float64Array, Int64Array, RecordBatch,
    TimestampNanosecondArray,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Field, Float64Type, Int32Type, Int64Type, Schema, TimestampNanosecondType,
};
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::prelude::{SessionConfig, SessionContext};
use proptest::prelude::*;
use protocols::ids::{ColumnId, DbId, TableId};
use protocols::messages::store::{ApplyRows, TableBatch, ViewTable};
use protocols::schema::{ColumnKind, ColumnSchema, FieldType, TableSchema, time_type};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const TABLE: TableId = TableId(3);
const COLUMNS: [(&str, ColumnKind); 4] = [
    ("t0", ColumnKind::Tag),
    ("f", ColumnKind::Field(FieldType::Float)),
    ("g", ColumnKind::Field(FieldType::Integer)),
    ("t1", ColumnKind::Tag),
];
/// Width of a chunk in the tests.
const GEN1_NS: i64 = 16;

fn table(columns: usize) -> Arc<TableSchema> {
    let columns = COLUMNS[..columns].iter().enumerate().map(|(i, (name, kind))| ColumnSchema {
        id: ColumnId(i as u32),
        name: Arc::from(*name),
        kind: *kind,
    });
    Arc::new(TableSchema::new(TABLE, Arc::from("m"), columns.collect(), None))
}

/// A row: t0, f, g, t1, and time.
#[derive(Clone, Debug)]
struct Row {
    values: [Option<u8>; 4],
    time: i64,
}

fn text(v: u8) -> String {
    ["b", "a", "c"][usize::from(v % 3)].to_owned()
}

fn batch(rows: &[Row], columns: usize) -> RecordBatch {
    let mut fields = Vec::new();
    let mut arrays: Vec<ArrayRef> = Vec::new();
    for (c, (name, kind)) in COLUMNS[..columns].iter().enumerate() {
        let values = rows.iter().map(|r| r.values[c]);
        let array: ArrayRef = match kind {
            ColumnKind::Tag => {
                let texts: Vec<Option<String>> = values.map(|v| v.map(text)).collect();
                let tags = texts.iter().map(Option::as_deref);
                Arc::new(tags.collect::<DictionaryArray<Int32Type>>())
            }
            ColumnKind::Field(FieldType::Float) => {
                Arc::new(values.map(|v| v.map(f64::from)).collect::<Float64Array>())
            }
            ColumnKind::Field(_) => {
                Arc::new(values.map(|v| v.map(i64::from)).collect::<Int64Array>())
            }
        };
        fields.push(Field::new(*name, kind.arrow_type(), true));
        arrays.push(array);
    }
    fields.push(Field::new("time", time_type(), false));
    let times: Vec<i64> = rows.iter().map(|r| r.time).collect();
    arrays.push(Arc::new(TimestampNanosecondArray::from(times)));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).expect("columns fit")
}

type Key = (Option<String>, Option<String>, i64);
type Fields = (Option<u8>, Option<u8>);
type Model = BTreeMap<Key, Fields>;

fn add(model: &mut Model, rows: &[Row], columns: usize) {
    for row in rows {
        let value = |c: usize| row.values[c].filter(|_| c < columns);
        let fields = model.entry((value(0).map(text), value(3).map(text), row.time)).or_default();
        fields.0 = value(1).or(fields.0);
        fields.1 = value(2).or(fields.1);
    }
}

/// A running shard.
struct World {
    store: Mailbox<Store>,
    sequence: u64,
}

impl World {
    async fn start() -> Self {
        let config = ActorConfig {
            kind: "store",
            name: "store-0".to_owned(),
            messages_max: 100,
            bytes_max: 1 << 20,
            vital: false,
        };
        let store = Guardian::mailbox::<Store>(&config);
        Guardian::new(Fatal::default())
            .birth(
                config,
                store.clone(),
                Arc::new(|| Box::pin(async { Ok(Store::new(0, GEN1_NS, vec![])) })),
            )
            .await
            .expect("starts");
        Self { store, sequence: 0 }
    }

    fn deadline() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    async fn write(&mut self, rows: &[Row], columns: usize) {
        let (Some(min), Some(max)) =
            (rows.iter().map(|r| r.time).min(), rows.iter().map(|r| r.time).max())
        else {
            return;
        };
        let rows = TableBatch {
            db: DbId(1),
            table: TABLE,
            rows: batch(rows, columns),
            min_time_ns: min,
            max_time_ns: max,
            size_bytes: 100,
        };
        self.sequence += 1;
        let group = ApplyRows { sequence: self.sequence, batches: vec![rows] };
        self.store.ask_from_edge(group, Self::deadline()).await.expect("applied");
    }

    fn session(&self, columns: usize, retention_ns: Option<i64>, now_ns: i64) -> SessionContext {
        let context = ScanContext {
            stores: StoreShards::new(vec![self.store.clone()]),
            deadline: Self::deadline(),
            now_ns,
        };
        let config = SessionConfig::new().with_batch_size(4).with_target_partitions(2);
        let session = SessionContext::new_with_config(config);
        let provider = BufferedTable::new(table(columns), retention_ns, context);
        session.register_table("m", Arc::new(provider)).expect("registers");
        session
    }

    async fn sql(&self, columns: usize, text: &str) -> Vec<RecordBatch> {
        let session = self.session(columns, None, 0);
        let frame = session.sql(text).await.expect("plans");
        frame.collect().await.expect("runs")
    }

    async fn explain(&self, text: &str) -> String {
        let plan = self.sql(4, &format!("EXPLAIN {text}")).await;
        pretty_format_batches(&plan).expect("prints").to_string()
    }
}

fn read(batches: &[RecordBatch]) -> Vec<(Key, Fields)> {
    let mut rows = Vec::new();
    for batch in batches {
        let tag = |name: &str, r: usize| {
            let texts = cast(&batch[name], &DataType::Utf8).expect("casts");
            let texts = texts.as_string::<i32>();
            texts.is_valid(r).then(|| texts.value(r).to_owned())
        };
        let f = batch["f"].as_primitive::<Float64Type>();
        let g = batch["g"].as_primitive::<Int64Type>();
        let times = batch["time"].as_primitive::<TimestampNanosecondType>();
        for r in 0..batch.num_rows() {
            rows.push((
                (tag("t0", r), tag("t1", r), times.value(r)),
                (f.is_valid(r).then(|| f.value(r) as u8), g.is_valid(r).then(|| g.value(r) as u8)),
            ));
        }
    }
    rows
}

fn count(batches: &[RecordBatch]) -> i64 {
    batches.iter().map(|b| b.column(0).as_primitive::<Int64Type>().value(0)).sum()
}

fn instant(ns: i64) -> String {
    format!("TIMESTAMP '1970-01-01T00:00:00.{ns:09}'")
}

type Holds = fn(&Key, &Fields) -> bool;

/// Conditions in SQL and in Rust.
fn conditions() -> Vec<(String, Holds)> {
    vec![
        ("true".to_owned(), |_, _| true),
        ("t0 = 'a'".to_owned(), |k, _| k.0.as_deref() == Some("a")),
        ("t0 IS NULL AND t1 IS NOT NULL".to_owned(), |k, _| k.0.is_none() && k.1.is_some()),
        (format!("t0 <> 'b' AND time >= {}", instant(9)), |k, _| {
            k.0.as_deref().is_some_and(|t| t != "b") && k.2 >= 9
        }),
        (format!("time BETWEEN {} AND {}", instant(5), instant(20)), |k, _| {
            (5..=20).contains(&k.2)
        }),
        (format!("time > {} AND {} > time", instant(2), instant(33)), |k, _| k.2 > 2 && k.2 < 33),
        (format!("time = {}", instant(7)), |k, _| k.2 == 7),
        ("f = 2.0".to_owned(), |_, v| v.0 == Some(2)),
        ("g IS NULL".to_owned(), |_, v| v.1.is_none()),
        (format!("t0 = 'a' OR time < {}", instant(10)), |k, _| {
            k.0.as_deref() == Some("a") || k.2 < 10
        }),
        (format!("t1 IN ('a', 'c') AND g > 1 AND time < {}", instant(30)), |k, v| {
            matches!(k.1.as_deref(), Some("a" | "c")) && v.1.is_some_and(|g| g > 1) && k.2 < 30
        }),
        ("t0 LIKE 'a%' OR t1 = t0".to_owned(), |k, _| {
            k.0.as_deref() == Some("a") || (k.0.is_some() && k.0 == k.1)
        }),
    ]
}

async fn check(world: &World, model: &Model) {
    for (text, holds) in conditions() {
        let expected: Vec<(Key, Fields)> =
            model.iter().filter(|(k, v)| holds(k, v)).map(|(k, v)| (k.clone(), *v)).collect();
        let order = "ORDER BY t0 NULLS FIRST, t1 NULLS FIRST, time";
        let ordered = world.sql(4, &format!("SELECT * FROM m WHERE {text} {order}")).await;
        assert_eq!(read(&ordered), expected, "{text}");
        let mut unordered = read(&world.sql(4, &format!("SELECT * FROM m WHERE {text}")).await);
        unordered.sort();
        assert_eq!(unordered, expected, "{text}");
        let counted = world.sql(4, &format!("SELECT count(*) FROM m WHERE {text}")).await;
        assert_eq!(count(&counted), expected.len() as i64, "{text}");
        let limited = world.sql(4, &format!("SELECT f FROM m WHERE {text} LIMIT 5")).await;
        let rows: usize = limited.iter().map(RecordBatch::num_rows).sum();
        assert_eq!(rows, expected.len().min(5), "{text}");
    }
}

fn rows(many: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Row>> {
    let row = (prop::array::uniform4(prop::option::weighted(0.7, 0..4_u8)), 0..40_i64)
        .prop_map(|(values, time)| Row { values, time });
    prop::collection::vec(row, many)
}

fn run(test: impl Future<Output = ()>) {
    actix_rt::System::new().block_on(test);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]
    #[test]
    fn answers_equal_the_model(
        early in rows(0..120),
        late in prop::collection::vec(rows(0..6), 0..3),
        columns_then in 1..=4_usize,
    ) {
        run(async {
            let mut world = World::start().await;
            let mut model = Model::new();
            world.write(&early, columns_then).await;
            add(&mut model, &early, columns_then);
            // Leaves a sorted form of the table as it was then.
            let then = world.sql(columns_then, "SELECT time FROM m ORDER BY time").await;
            assert_eq!(then.iter().map(RecordBatch::num_rows).sum::<usize>(), model.len());
            check(&world, &model).await;
            for batch in &late {
                world.write(batch, 4).await;
                add(&mut model, batch, 4);
                check(&world, &model).await;
            }
        });
    }
}

fn series(t0: u8, times: impl Iterator<Item = i64>) -> Vec<Row> {
    times.map(|time| Row { values: [Some(t0), Some(1), Some(2), None], time }).collect()
}

#[test]
fn an_empty_table_has_no_rows() {
    run(async {
        let world = World::start().await;
        assert!(read(&world.sql(4, "SELECT * FROM m").await).is_empty());
        assert_eq!(count(&world.sql(4, "SELECT count(*) FROM m").await), 0);
    });
}

#[test]
fn a_count_of_all_rows_reads_none() {
    run(async {
        let mut world = World::start().await;
        world.write(&series(0, 0..40), 4).await;
        world.write(&series(0, 10..30), 4).await;
        let plan = world.explain("SELECT count(*) FROM m").await;
        assert!(!plan.contains("AggregateExec"), "{plan}");
        assert_eq!(count(&world.sql(4, "SELECT count(*) FROM m").await), 40);
    });
}

#[test]
fn the_sorted_form_is_kept_and_later_rows_are_merged_with_it() {
    run(async {
        let mut world = World::start().await;
        world.write(&series(0, 0..16), 4).await;
        world.sql(4, "SELECT * FROM m").await;
        let question = ViewTable { table: TABLE, min_time_ns: 0, max_time_ns: 99 };
        let view = world.store.ask_from_edge(question, World::deadline()).await.expect("views");
        assert!(view.chunks.iter().all(|c| c.sorted.is_some() && c.unsorted.is_empty()));

        world.write(&[Row { values: [Some(0), Some(3), None, None], time: 4 }], 4).await;
        let plan = world.explain("SELECT * FROM m WHERE f = 1.0").await;
        let filter = plan.find("FilterExec: f").expect("fields are filtered above the scan");
        assert!(plan.find("DedupExec").is_some_and(|merge| filter < merge), "{plan}");
        assert_eq!(read(&world.sql(4, "SELECT * FROM m WHERE f = 1.0").await).len(), 15);
        // Nothing to merge where the newer rows are not looked at.
        let early = format!("SELECT * FROM m WHERE t0 = 'b' AND time < {}", instant(4));
        let plan = world.explain(&early).await;
        assert!(!plan.contains("DedupExec") && !plan.contains("FilterExec"), "{plan}");
        assert_eq!(read(&world.sql(4, &early).await).len(), 4);
    });
}

#[test]
fn rows_past_retention_are_invisible() {
    run(async {
        let mut world = World::start().await;
        world.write(&series(0, 0..40), 4).await;
        let session = world.session(4, Some(10), 35);
        for (text, expected) in [
            ("SELECT count(*) FROM m", 15),
            ("SELECT count(*) FROM m WHERE t0 = 'b'", 15),
            ("SELECT count(*) FROM m WHERE time < TIMESTAMP '1970-01-01T00:00:00.000000026'", 1),
        ] {
            let frame = session.sql(text).await.expect("plans");
            assert_eq!(count(&frame.collect().await.expect("runs")), expected, "{text}");
        }
    });
}

#[test]
fn an_answer_that_comes_too_late_is_an_error() {
    run(async {
        let world = World::start().await;
        let context = ScanContext {
            stores: StoreShards::new(vec![world.store.clone()]),
            deadline: Instant::now() - Duration::from_secs(1),
            now_ns: 0,
        };
        let session = SessionContext::new();
        let provider = BufferedTable::new(table(4), None, context);
        session.register_table("m", Arc::new(provider)).expect("registers");
        let frame = session.sql("SELECT * FROM m").await.expect("plans");
        frame.collect().await.expect_err("the deadline has passed");
    });
}
