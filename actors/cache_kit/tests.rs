//! The table of keys: what equalities cost, and that nothing stays behind.

use super::keys::KeyTable;
use super::numbers::NONE;
use arrow::array::{ArrayRef, DictionaryArray, RecordBatch};
use arrow::datatypes::{Field, Int32Type, Schema};
use protocols::messages::caches::{KeyTest, KeyValue};
use std::sync::Arc;

fn batch(rows: &[(Option<&str>, Option<&str>)]) -> RecordBatch {
    let a: DictionaryArray<Int32Type> = rows.iter().map(|row| row.0).collect();
    let b: DictionaryArray<Int32Type> = rows.iter().map(|row| row.1).collect();
    let kind = a.keys().len();
    assert_eq!(kind, rows.len());
    let fields =
        ["a", "b"].map(|n| Field::new(n, arrow::array::Array::data_type(&a).clone(), true));
    let columns: Vec<ArrayRef> = vec![Arc::new(a), Arc::new(b)];
    RecordBatch::try_new(Arc::new(Schema::new(fields.to_vec())), columns).unwrap()
}

fn names() -> [Arc<str>; 2] {
    ["a".into(), "b".into()]
}

fn is(values: &[&str]) -> KeyTest {
    KeyTest::In(values.iter().map(|v| KeyValue::Text((*v).into())).collect())
}

#[test]
fn rows_without_a_value_have_no_key_or_one_of_their_own() {
    let rows = batch(&[(Some("x"), Some("y")), (None, Some("y")), (Some("x"), Some("y"))]);
    let mut complete = KeyTable::new(2, true);
    assert_eq!(complete.resolve(&rows, &names(), |_| true).unwrap(), [0, NONE, 0]);
    let mut any = KeyTable::new(2, false);
    assert_eq!(any.resolve(&rows, &names(), |_| true).unwrap(), [0, 1, 0]);
    assert_eq!(any.resolve(&rows, &names(), |row| row == 1).unwrap(), [NONE, 1, NONE]);
}

#[test]
fn texts_go_with_the_last_key_that_has_them() {
    let mut table = KeyTable::new(2, true);
    // Short texts take nothing beside their entry.
    let texts = ["x", "1", "2", "never"].map(|text| text.repeat(40));
    let [x, one, two, never] = texts.each_ref().map(|text| Some(text.as_str()));
    table.resolve(&batch(&[(x, one), (x, two), (never, None)]), &names(), |_| true).unwrap();
    let bytes = table.text_bytes();
    table.remove(0);
    assert_eq!(table.text_bytes(), bytes / 3 * 2, "the ones went, the others stayed or never came");
    table.remove(1);
    assert_eq!((table.text_bytes(), table.count()), (0, 0));
    let rows = batch(&[(Some("z"), Some("3"))]);
    assert_eq!(table.resolve(&rows, &names(), |_| true).unwrap(), [1], "a number is used again");
    assert_eq!(table.capacity(), 2);
}

#[test]
fn keys_are_found_by_any_of_their_values() {
    let mut table = KeyTable::new(2, true);
    let texts: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    let rows: Vec<_> =
        texts.iter().map(|n| (Some(n.as_str()), Some(["p", "q"][n.len() % 2]))).collect();
    table.resolve(&batch(&rows), &names(), |_| true).unwrap();
    let found = |tests: &[(usize, KeyTest)]| {
        let mut found = table.select(tests);
        found.sort_unstable();
        found
    };
    assert_eq!(found(&[(0, is(&["7"]))]), [7]);
    assert_eq!(found(&[(0, is(&["7", "7", "nope", "12"]))]), [7, 12]);
    assert_eq!(found(&[(1, is(&["q"]))]), (0..10).collect::<Vec<_>>());
    assert_eq!(found(&[(0, is(&["7"])), (1, is(&["q"]))]), [7]);
    assert_eq!(found(&[(0, is(&["7"])), (1, is(&["p"]))]), [0_u32; 0]);
    assert_eq!(found(&[(0, is(&["7", "8"])), (0, is(&["8", "9"])), (1, is(&["p", "q"]))]), [8]);
    let not = KeyTest::NotIn(vec![KeyValue::Text("p".into())]);
    assert_eq!(found(&[(1, not)]), (0..10).collect::<Vec<_>>());
    assert_eq!(found(&[]).len(), 100);
}
