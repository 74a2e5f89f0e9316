//! The content against a naive model under random writes, evictions and questions, and against a
//! table from which it is filled again and again.

use super::LastValues;
use crate::cache_kit::Content;
use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampNanosecondArray,
};
use arrow::datatypes::{
    DataType, Field, Float64Type, Int32Type, Int64Type, Schema, SchemaRef, TimestampNanosecondType,
};
use proptest::prelude::*;
use protocols::caches::LastCacheDef;
use protocols::ids::CacheId;
use protocols::messages::caches::{KeyTest, KeyValue, LookUpCache};
use protocols::schema::time_field;
use std::collections::BTreeMap;
use std::sync::Arc;

const SECOND_NS: i64 = 1_000_000_000;
const TTL_SECONDS: u64 = 10;

/// A written row: a tag and a number as key, a float and a text as values, and a tag that is no key.
type Written = (Option<u8>, Option<i64>, i64, Option<i64>, Option<u8>, Option<u8>);
/// A row as it is shown: tag, number, time, float, text, and the tag that is no key.
type Shown = (String, i64, i64, Option<i64>, Option<String>, Option<String>);

#[derive(Clone, Debug)]
enum Step {
    Write { rows: Vec<Written>, has_text: bool },
    Wait(u64),
    Evict,
    Ask(Vec<(usize, bool, Vec<u8>)>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let row = (
        prop::option::weighted(0.9, 0..4_u8),
        prop::option::weighted(0.9, 0..3_i64),
        0..12_i64,
        prop::option::of(0..5_i64),
        prop::option::of(0..3_u8),
        prop::option::of(0..2_u8),
    );
    let test = (0..2_usize, any::<bool>(), prop::collection::vec(0..5_u8, 0..4));
    let step = prop_oneof![
        4 => (prop::collection::vec(row, 1..8), any::<bool>())
            .prop_map(|(rows, has_text)| Step::Write { rows, has_text }),
        2 => (0..7_u64).prop_map(Step::Wait),
        1 => Just(Step::Evict),
        3 => prop::collection::vec(test, 0..4).prop_map(Step::Ask),
    ];
    prop::collection::vec(step, 1..40)
}

fn batch(rows: &[Written], has_text: bool) -> RecordBatch {
    let text = |n: u8| format!("v{n}");
    let tags: Vec<Option<String>> = rows.iter().map(|r| r.0.map(text)).collect();
    let tags: DictionaryArray<Int32Type> = tags.iter().map(Option::as_deref).collect();
    let mut fields = vec![
        Field::new("tag", tags.data_type().clone(), true),
        Field::new("number", DataType::Int64, true),
        Field::new("float", DataType::Float64, true),
    ];
    if rows.iter().any(|row| row.5.is_some()) {
        fields.push(Field::new("extra", tags.data_type().clone(), true));
    }
    let floats = rows.iter().map(|r| r.3.map(|n| n as f64));
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(tags),
        Arc::new(rows.iter().map(|r| r.1).collect::<Int64Array>()),
        Arc::new(floats.collect::<Float64Array>()),
    ];
    if rows.iter().any(|row| row.5.is_some()) {
        let extra: Vec<Option<String>> = rows.iter().map(|r| r.5.map(text)).collect();
        let extra: DictionaryArray<Int32Type> = extra.iter().map(Option::as_deref).collect();
        columns.push(Arc::new(extra));
    }
    if has_text {
        let texts: StringArray = rows.iter().map(|r| r.4.map(text)).collect();
        fields.push(Field::new("text", texts.data_type().clone(), true));
        columns.push(Arc::new(texts));
    }
    fields.push(time_field());
    columns.push(Arc::new(TimestampNanosecondArray::from_iter_values(rows.iter().map(|r| r.2))));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn def(count: u64) -> Arc<LastCacheDef> {
    Arc::new(LastCacheDef {
        id: CacheId(0),
        name: "c".into(),
        keys: vec!["tag".into(), "number".into()],
        values: None,
        count,
        ttl_seconds: TTL_SECONDS,
        starts_empty: false,
    })
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("tag", DataType::Utf8, false),
        Field::new("number", DataType::Int64, false),
        time_field(),
        Field::new("float", DataType::Float64, true),
        Field::new("text", DataType::Utf8, true),
        Field::new("extra", DataType::Utf8, true),
    ]))
}

fn shown(rows: &RecordBatch) -> Vec<Shown> {
    let texts = |at: usize| rows.column(at).as_string::<i32>();
    (0..rows.num_rows())
        .map(|row| {
            let float = rows.column(3).as_primitive::<Float64Type>();
            (
                texts(0).value(row).to_owned(),
                rows.column(1).as_primitive::<Int64Type>().value(row),
                rows.column(2).as_primitive::<TimestampNanosecondType>().value(row),
                float.is_valid(row).then(|| float.value(row) as i64),
                texts(4).is_valid(row).then(|| texts(4).value(row).to_owned()),
                texts(5).is_valid(row).then(|| texts(5).value(row).to_owned()),
            )
        })
        .collect()
}

/// All rows of all keys in a list.
#[derive(Default)]
struct Model {
    count: usize,
    rows: Vec<(Shown, i64)>,
}

impl Model {
    fn is_over(entered_ns: i64, now_ns: i64) -> bool {
        entered_ns + TTL_SECONDS as i64 * SECOND_NS <= now_ns
    }

    fn write(&mut self, row: &Written, has_text: bool, now_ns: i64) {
        let (Some(tag), Some(number)) = (row.0, row.1) else { return };
        self.rows.retain(|(_, entered_ns)| !Self::is_over(*entered_ns, now_ns));
        let text = row.4.filter(|_| has_text).map(|n| format!("v{n}"));
        let extra = row.5.map(|n| format!("v{n}"));
        let row: Shown = (format!("v{tag}"), number, row.2, row.3, text, extra);
        let same_key = |other: &Shown| (&other.0, other.1) == (&row.0, row.1);
        let is_it = |other: &Shown| same_key(other) && (other.2, &other.5) == (row.2, &row.5);
        if let Some((known, entered_ns)) = self.rows.iter_mut().find(|(r, _)| is_it(r)) {
            known.3 = row.3.or(known.3);
            known.4 = row.4.or(known.4.take());
            *entered_ns = now_ns;
            return;
        }
        let rank = |row: &Shown| (std::cmp::Reverse(row.2), row.5.clone());
        let mut ranks: Vec<_> =
            self.rows.iter().map(|(r, _)| r).filter(|r| same_key(r)).map(rank).collect();
        ranks.push(rank(&row));
        ranks.sort();
        ranks.truncate(self.count);
        let last = &ranks[ranks.len() - 1];
        self.rows.retain(|(r, _)| !same_key(r) || rank(r) <= *last);
        if rank(&row) <= *last {
            self.rows.push((row, now_ns));
        }
    }

    fn ask(&self, tests: &[(usize, bool, Vec<u8>)], now_ns: i64) -> Vec<Shown> {
        let holds = |row: &Shown| {
            tests.iter().all(|(column, among, values)| {
                let has = values.iter().any(|value| match column {
                    0 => row.0 == format!("v{value}"),
                    _ => row.1 == i64::from(*value),
                });
                has == *among
            })
        };
        let live = self.rows.iter().filter(|(_, entered)| !Self::is_over(*entered, now_ns));
        let mut found: Vec<Shown> = live.map(|(row, _)| row.clone()).filter(holds).collect();
        found.sort_by(|a, b| (&a.0, a.1, b.2, &a.5).cmp(&(&b.0, b.1, a.2, &b.5)));
        found
    }
}

fn question(tests: &[(usize, bool, Vec<u8>)], limit: Option<usize>) -> LookUpCache {
    let test = |(column, among, values): &(usize, bool, Vec<u8>)| {
        let value = |n: &u8| match column {
            0 => KeyValue::Text(format!("v{n}").into()),
            _ => KeyValue::Integer(i64::from(*n)),
        };
        let values = values.iter().map(value).collect();
        (*column, if *among { KeyTest::In(values) } else { KeyTest::NotIn(values) })
    };
    LookUpCache { tests: tests.iter().map(test).collect(), schema: schema(), limit }
}

fn check(steps: &[Step], count: u64) {
    let mut cache = LastValues::new(def(count));
    let mut model = Model { count: count as usize, rows: Vec::new() };
    let mut now_ns = 1_000 * SECOND_NS;
    for step in steps {
        match step {
            Step::Write { rows, has_text } => {
                cache.apply(&batch(rows, *has_text), now_ns).unwrap();
                rows.iter().for_each(|row| model.write(row, *has_text, now_ns));
            }
            Step::Wait(seconds) => now_ns += *seconds as i64 * SECOND_NS,
            Step::Evict => {
                cache.evict(now_ns);
                let mut keys: Vec<_> =
                    model.ask(&[], now_ns).into_iter().map(|r| (r.0, r.1)).collect();
                keys.dedup();
                assert_eq!(cache.keys(), keys.len());
                assert!(cache.keys() > 0 || cache.bytes() == 0, "{}", cache.bytes());
            }
            Step::Ask(tests) => {
                let found = shown(&cache.look_up(&question(tests, None), now_ns).unwrap());
                let mut sorted = found.clone();
                // Stable: rows of one key stay in the order in which they came.
                sorted.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
                assert_eq!(sorted, model.ask(tests, now_ns), "{tests:?}");
                let two = shown(&cache.look_up(&question(tests, Some(2)), now_ns).unwrap());
                assert_eq!(two, found[..found.len().min(2)]);
            }
        }
    }
}

proptest! {
    #[test]
    fn the_last_row_of_each_key(steps in steps()) {
        check(&steps, 1);
    }

    #[test]
    fn the_last_rows_of_each_key(steps in steps()) {
        check(&steps, 3);
    }
}

/// Batches whose rows go to places side by side, in several blocks, with gaps and repetitions.
#[test]
fn many_keys_in_and_out_of_order() {
    let mut seed = 7_u64;
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % below
    };
    let mut steps = Vec::new();
    for time in 0..10 {
        let (first, stride) = (random(600) as i64, 1 + random(3) as i64);
        let row = |n: i64| {
            let number = (first + n * stride) % 600;
            let text = Some((n % 3) as u8);
            (Some(1), Some(number), time, (n % 50 > 0).then_some(n % 5), text, None)
        };
        let rows = (0..250).map(row).chain((0..20).map(row)).collect();
        steps.push(Step::Write { rows, has_text: time % 3 > 0 });
        steps.push(Step::Ask(vec![]));
    }
    check(&steps, 1);
    check(&steps, 2);
}

/// A text that leaves one key and comes to another in the same batch stays a text.
#[test]
fn texts_change_places() {
    let mut cache = LastValues::new(def(1));
    let row =
        |number: i64, time: i64, text: u8| (Some(1), Some(number), time, None, Some(text), None);
    let shown = |cache: &LastValues| -> Vec<_> {
        let rows = shown(&cache.look_up(&question(&[], None), 0).unwrap());
        rows.into_iter().map(|row| (row.1, row.4.unwrap())).collect()
    };
    cache.apply(&batch(&[row(1, 1, 1), row(2, 1, 2)], true), 0).unwrap();
    let bytes = cache.bytes();
    for time in 2..5 {
        let [one, two] = if time % 2 == 0 { [2, 1] } else { [1, 2] };
        cache.apply(&batch(&[row(1, time, one), row(2, time, two)], true), 0).unwrap();
        assert_eq!(shown(&cache), [(1, format!("v{one}")), (2, format!("v{two}"))]);
    }
    cache
        .apply(&batch(&[row(1, 9, 7), row(1, 10, 2), row(2, 9, 7), row(2, 10, 1)], true), 0)
        .unwrap();
    assert_eq!(shown(&cache), [(1, "v2".to_owned()), (2, "v1".to_owned())]);
    assert_eq!(cache.bytes(), bytes, "what was pushed out within a batch is not kept");
}

#[test]
fn a_shrinking_cache_keeps_what_came_last() {
    let mut cache = LastValues::new(def(2));
    for number in 0..1_000 {
        let row = (Some(1), Some(number), number, Some(1), Some(1), None);
        cache.apply(&batch(&[row], true), number).unwrap();
    }
    cache.apply(&batch(&[(Some(1), Some(0), 5_000, None, None, None)], true), 2_000).unwrap();
    let half = cache.bytes() / 2;
    let removed = cache.shrink(half);
    assert!(cache.bytes() <= half && removed > 400, "{removed}");
    let rows = shown(&cache.look_up(&question(&[], None), 2_000).unwrap());
    let mut numbers: Vec<i64> = rows.iter().map(|row| row.1).collect();
    numbers.dedup();
    numbers.sort_unstable();
    let kept = numbers.len() as i64;
    let mut expected: Vec<i64> = (1_001 - kept..1_000).collect();
    expected.insert(0, 0);
    assert_eq!(numbers, expected);
}

#[test]
fn a_cache_that_lost_most_keys_is_as_if_it_never_had_them() {
    let mut cache = LastValues::new(def(2));
    let write = |cache: &mut LastValues, number: i64, time: i64| {
        let row = (Some((number % 3) as u8), Some(number), time, Some(number), Some(2), None);
        cache.apply(&batch(&[row], number % 2 == 0), time * SECOND_NS).unwrap();
    };
    for number in 0..3_000 {
        write(&mut cache, number, 1);
    }
    for number in 0..500 {
        write(&mut cache, number, 2);
        write(&mut cache, number, 4);
        write(&mut cache, number, 3);
    }
    let now_ns = 11 * SECOND_NS;
    let before = shown(&cache.look_up(&question(&[], None), now_ns).unwrap());
    assert_eq!(cache.evict(now_ns), 2_500);
    let mut after = shown(&cache.look_up(&question(&[], None), now_ns).unwrap());
    assert_eq!((cache.keys(), cache.rows()), (500, 1_000));
    after.sort_by_key(|row| row.1); // stable
    assert_eq!(after, before);
    write(&mut cache, 7, 12);
    assert_eq!(cache.evict(14 * SECOND_NS), 499, "when rows came in is still known");
    let rows = shown(&cache.look_up(&question(&[], None), 14 * SECOND_NS).unwrap());
    assert_eq!(rows.iter().map(|row| row.2).collect::<Vec<_>>(), [12]);
}

#[test]
fn without_keys_the_table_is_one_series() {
    let one = LastCacheDef { keys: vec![], ..LastCacheDef::clone(&def(1)) };
    let mut cache = LastValues::new(Arc::new(one));
    let rows = [(None, None, 1, Some(1), None, None), (Some(1), Some(1), 2, Some(2), None, None)];
    cache.apply(&batch(&rows, false), 0).unwrap();
    let schema = Arc::new(Schema::new(vec![Field::new("float", DataType::Float64, true)]));
    let question = LookUpCache { tests: vec![], schema, limit: None };
    let rows = cache.look_up(&question, 0).unwrap();
    assert_eq!(rows.num_rows(), 1);
    assert_eq!(rows.column(0).as_primitive::<Float64Type>().value(0) as i64, 2);
    let nothing = LastCacheDef { ttl_seconds: 0, ..LastCacheDef::clone(&def(1)) };
    let mut cache = LastValues::new(Arc::new(nothing));
    cache.apply(&batch(&[(Some(1), Some(1), 2, Some(2), None, None)], false), 0).unwrap();
    assert_eq!(cache.rows(), 0);
}

/// What tells the rows of a table apart: tag, time, and the tag that is no key.
type StoredKey = (u8, i64, Option<u8>);
/// The float and the text of a row.
type StoredValues = (Option<i64>, Option<u8>);

/// Rows by series and time, as a table has them, and a cache of it by a part of the key.
struct Filled {
    table: BTreeMap<StoredKey, StoredValues>,
    cache: LastValues,
    /// What it has yet to be filled with.
    to_fill: Vec<Written>,
}

impl Filled {
    fn new(count: u64) -> Self {
        let def = LastCacheDef {
            keys: vec!["tag".into()],
            values: Some(vec!["float".into(), "text".into()]),
            ttl_seconds: 1 << 30,
            ..LastCacheDef::clone(&def(count))
        };
        let cache = LastValues::new(Arc::new(def));
        Self { table: BTreeMap::new(), cache, to_fill: Vec::new() }
    }

    fn write(&mut self, rows: &[Written], has_text: bool) {
        for (tag, _, time, float, text, extra) in rows.iter().filter(|row| row.0.is_some()) {
            let known = self.table.entry((tag.unwrap(), *time, *extra)).or_default();
            known.0 = float.or(known.0);
            known.1 = text.filter(|_| has_text).or(known.1);
        }
        self.cache.apply(&batch(rows, has_text), 0).unwrap();
    }

    /// Has it begin anew with what the table has now, in an order that changes.
    fn begin(&mut self, by: usize) {
        self.cache.clear();
        let row = |(key, values): (&StoredKey, &StoredValues)| {
            (Some(key.0), None, key.1, values.0, values.1, key.2)
        };
        self.to_fill = self.table.iter().map(row).collect();
        let middle = by % self.to_fill.len().max(1);
        self.to_fill.rotate_left(middle);
    }

    fn fill(&mut self, rows: usize) {
        let rest = self.to_fill.split_off(rows.min(self.to_fill.len()));
        let rows = std::mem::replace(&mut self.to_fill, rest);
        if !rows.is_empty() {
            self.cache.fill(&batch(&rows, true), 0).unwrap();
        }
    }

    /// It shows what the table has.
    fn check(&self, count: usize) {
        let mut expected = Vec::new();
        for tag in 0..4 {
            let mut rows: Vec<_> = self.table.iter().filter(|(key, _)| key.0 == tag).collect();
            rows.sort_by_key(|(key, _)| (std::cmp::Reverse(key.1), key.2));
            let row = |(key, values): &(&StoredKey, &StoredValues)| {
                let text = values.1.map(|n| format!("v{n}"));
                (format!("v{}", key.0), key.1, values.0, text)
            };
            expected.extend(rows.iter().take(count).map(row));
        }
        // A row has no number here.
        let all = schema();
        let fields = all.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let question = LookUpCache { tests: vec![], schema, limit: None };
        let rows = self.cache.look_up(&question, 0).unwrap();
        let texts = |at: usize| rows.column(at).as_string::<i32>();
        let times = rows.column(2).as_primitive::<TimestampNanosecondType>();
        let floats = rows.column(3).as_primitive::<Float64Type>();
        let row = |row: usize| {
            let float = floats.is_valid(row).then(|| floats.value(row) as i64);
            let text = texts(4).is_valid(row).then(|| texts(4).value(row).to_owned());
            (texts(0).value(row).to_owned(), times.value(row), float, text)
        };
        let mut found: Vec<_> = (0..rows.num_rows()).map(row).collect();
        found.sort_by(|a, b| a.0.cmp(&b.0)); // stable
        assert_eq!(found, expected);
    }
}

proptest! {
    /// Corrections, further fields, late rows, several series under one key, and fillings that go
    /// on while rows come.
    #[test]
    fn a_cache_shows_what_its_table_has(steps in steps(), count in 1..4_u64, by in 0..9_usize) {
        let mut filled = Filled::new(count);
        for step in &steps {
            match step {
                Step::Write { rows, has_text } => filled.write(rows, *has_text),
                Step::Wait(rows) => filled.fill(*rows as usize),
                Step::Evict => filled.begin(by),
                Step::Ask(_) => {
                    filled.fill(usize::MAX);
                    filled.check(count as usize);
                }
            }
        }
        filled.fill(usize::MAX);
        filled.check(count as usize);
    }
}

/// Far more rows than are walked through, and rows that come late at all places.
#[test]
fn late_rows_of_a_large_key_find_their_places() {
    let mut filled = Filled::new(1_000);
    let row =
        |time: i64, float: i64| (Some(1), None, time, Some(float), None, Some((time % 2) as u8));
    let rows: Vec<Written> = (0..900).map(|n| row(n * 10, n)).collect();
    filled.write(&rows, false);
    for late in 0..2_000 {
        let time = late * 7_919 % 9_100;
        filled.write(&[row(time, late), row(time - time % 10, late)], false);
        if late % 100 == 0 {
            filled.check(1_000);
        }
    }
    filled.check(1_000);
    filled.write(&[row(20_000, 1)], false);
    filled.check(1_000);
}
