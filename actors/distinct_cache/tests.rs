//! The content against a naive model under random writes, evictions and questions.

use super::DistinctValues;
use crate::cache_kit::Content;
use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, RecordBatch, StringArray, TimestampNanosecondArray,
};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef};
use proptest::prelude::*;
use protocols::caches::DistinctCacheDef;
use protocols::ids::CacheId;
use protocols::messages::caches::{KeyTest, KeyValue, LookUpCache};
use protocols::schema::time_field;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const SECOND_NS: i64 = 1_000_000_000;
const MAX_AGE: i64 = 20;
const CARDINALITY_MAX: u64 = 6;

/// A combination of a tag and a text.
type Combination = [Option<u8>; 2];

#[derive(Clone, Debug)]
enum Step {
    /// Combinations, and how many seconds ago their rows were.
    Write(Vec<(Combination, i64)>),
    Wait(i64),
    Evict,
    Ask {
        tests: Vec<(usize, bool, Vec<u8>)>,
        columns: Vec<usize>,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let value = || prop::option::weighted(0.8, 0..4_u8);
    let row = ([value(), value()], -3..30_i64);
    let test = (0..2_usize, any::<bool>(), prop::collection::vec(0..5_u8, 0..4));
    let columns = prop::sample::select(vec![vec![], vec![0], vec![1], vec![0, 1], vec![1, 0]]);
    let step = prop_oneof![
        4 => prop::collection::vec(row, 1..8).prop_map(Step::Write),
        2 => (0..12_i64).prop_map(Step::Wait),
        1 => Just(Step::Evict),
        3 => (prop::collection::vec(test, 0..4), columns)
            .prop_map(|(tests, columns)| Step::Ask { tests, columns }),
    ];
    prop::collection::vec(step, 1..40)
}

fn text(n: u8) -> String {
    format!("v{n}")
}

fn batch(rows: &[(Combination, i64)], now_ns: i64) -> RecordBatch {
    let column = |at: usize| rows.iter().map(move |(c, _)| c[at].map(text));
    let tags: Vec<Option<String>> = column(0).collect();
    let tags: DictionaryArray<Int32Type> = tags.iter().map(Option::as_deref).collect();
    let times = rows.iter().map(|(_, ago)| now_ns - ago * SECOND_NS);
    let fields = vec![
        Field::new("tag", tags.data_type().clone(), true),
        Field::new("text", DataType::Utf8, true),
        time_field(),
    ];
    let columns: Vec<ArrayRef> = vec![
        Arc::new(tags),
        Arc::new(column(1).collect::<StringArray>()),
        Arc::new(TimestampNanosecondArray::from_iter_values(times)),
    ];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn def() -> Arc<DistinctCacheDef> {
    Arc::new(DistinctCacheDef {
        id: CacheId(0),
        name: "c".into(),
        columns: vec!["tag".into(), "text".into()],
        max_cardinality: CARDINALITY_MAX,
        max_age_seconds: MAX_AGE as u64,
        starts_empty: false,
    })
}

fn schema(columns: &[usize]) -> SchemaRef {
    let field = |at: &usize| Field::new(["tag", "text"][*at], DataType::Utf8, true);
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

fn question(tests: &[(usize, bool, Vec<u8>)], columns: &[usize]) -> LookUpCache {
    let test = |(column, among, values): &(usize, bool, Vec<u8>)| {
        let values = values.iter().map(|n| KeyValue::Text(text(*n).into())).collect();
        (*column, if *among { KeyTest::In(values) } else { KeyTest::NotIn(values) })
    };
    let tests = tests.iter().map(test).collect();
    LookUpCache { tests, schema: schema(columns), limit: None }
}

fn shown(rows: &RecordBatch) -> Vec<Vec<Option<String>>> {
    let value = |row: usize, column: &ArrayRef| {
        let texts = column.as_string::<i32>();
        texts.is_valid(row).then(|| texts.value(row).to_owned())
    };
    let row = |row| rows.columns().iter().map(|column| value(row, column)).collect();
    (0..rows.num_rows()).map(row).collect()
}

#[derive(Default)]
struct Model(BTreeMap<Combination, i64>);

impl Model {
    fn ask(
        &self,
        tests: &[(usize, bool, Vec<u8>)],
        columns: &[usize],
        now_ns: i64,
    ) -> Vec<Vec<Option<String>>> {
        let holds = |combination: &&Combination| {
            tests.iter().all(|(column, among, values)| {
                combination[*column].is_some_and(|value| values.contains(&value) == *among)
            })
        };
        let young = self.0.iter().filter(|(_, time)| **time >= now_ns - MAX_AGE * SECOND_NS);
        let found = young.map(|(combination, _)| combination).filter(holds);
        let projected = found.map(|c| columns.iter().map(|at| c[*at].map(text)).collect());
        if columns.is_empty() {
            return projected.collect();
        }
        projected.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Takes over what the cache has left after it removed the oldest, if it did.
    fn follow(&mut self, cache: &DistinctValues) {
        if cache.keys() == self.0.len() {
            return;
        }
        assert_eq!(cache.keys() as u64, CARDINALITY_MAX.min(self.0.len() as u64));
        let rows = shown(&cache.look_up(&question(&[], &[0, 1]), i64::MIN).unwrap());
        let is_left = |c: &Combination| rows.contains(&c.iter().map(|v| v.map(text)).collect());
        let (left, gone): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.0).into_iter().partition(|(c, _)| is_left(c));
        assert!(gone.values().max() <= left.values().min(), "{gone:?} went before {left:?}");
        self.0 = left;
    }
}

proptest! {
    #[test]
    fn each_combination_once(steps in steps()) {
        let mut cache = DistinctValues::new(def());
        let mut model = Model::default();
        let mut now_ns = 1_000 * SECOND_NS;
        for step in &steps {
            match step {
                Step::Write(rows) => {
                    cache.apply(&batch(rows, now_ns), now_ns).unwrap();
                    for (combination, ago) in rows.iter().filter(|(_, ago)| *ago <= MAX_AGE) {
                        let time = model.0.entry(*combination).or_insert(i64::MIN);
                        *time = (*time).max(now_ns - ago * SECOND_NS);
                    }
                    prop_assert!(cache.keys() as u64 <= 2 * CARDINALITY_MAX);
                    if model.0.len() as u64 > 2 * CARDINALITY_MAX {
                        model.follow(&cache);
                    }
                    prop_assert_eq!(cache.keys(), model.0.len());
                }
                Step::Wait(seconds) => now_ns += seconds * SECOND_NS,
                Step::Evict => {
                    cache.evict(now_ns);
                    prop_assert!(cache.keys() as u64 <= CARDINALITY_MAX);
                    prop_assert!(cache.keys() > 0 || cache.bytes() == 0);
                    model.0.retain(|_, time| *time >= now_ns - MAX_AGE * SECOND_NS);
                    model.follow(&cache);
                }
                Step::Ask { tests, columns } => {
                    let found = cache.look_up(&question(tests, columns), now_ns).unwrap();
                    prop_assert_eq!(shown(&found), model.ask(tests, columns, now_ns));
                }
            }
        }
    }
}

#[test]
fn eviction_leaves_what_was_seen_again() {
    let many = DistinctCacheDef { max_cardinality: 100, ..DistinctCacheDef::clone(&def()) };
    let mut cache = DistinctValues::new(Arc::new(many));
    let rows: Vec<_> = (0..100).map(|n| ([Some(n), None], 10)).collect();
    cache.apply(&batch(&rows, 0), 0).unwrap();
    // Half of them come again; then the others are too old.
    let again: Vec<_> = rows[..50].iter().map(|(c, _)| (*c, 0)).collect();
    cache.apply(&batch(&again, 0), 0).unwrap();
    assert_eq!(cache.evict(15 * SECOND_NS), 50);
    assert_eq!(cache.keys(), 50);
    assert_eq!(cache.evict(15 * SECOND_NS), 0);
    let half = cache.bytes() / 2;
    let removed = cache.shrink(half);
    assert!(cache.bytes() <= half && (20..30).contains(&removed), "{removed}");
}

#[test]
fn a_cache_that_lost_most_combinations_keeps_the_others() {
    let many = DistinctCacheDef { max_cardinality: 100_000, ..DistinctCacheDef::clone(&def()) };
    let mut cache = DistinctValues::new(Arc::new(many));
    for part in 0..100_u8 {
        let rows: Vec<_> = (0..40_u8)
            .map(|n| ([Some(part), (n > 0).then_some(n)], if n < 4 { 0 } else { 19 }))
            .collect();
        cache.apply(&batch(&rows, 0), 0).unwrap();
    }
    assert_eq!(cache.evict(2 * SECOND_NS), 3_600);
    let rows = shown(&cache.look_up(&question(&[], &[0, 1]), 0).unwrap());
    assert_eq!((rows.len(), cache.keys()), (400, 400));
    assert!(rows.contains(&vec![Some("v99".to_owned()), None]));
    assert_eq!(cache.evict(21 * SECOND_NS), 400);
}
