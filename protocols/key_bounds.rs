//! Bounds on the keys of a file: what its tags lie between.
//!
//! The tags of a row, in the order of the table's key, become bytes that compare as the tags do. Those
//! of the first and of the last row of a sorted file, cut to [`KEY_BYTES_MAX`] bytes, stand in the
//! index. They only narrow: a file that they do not exclude may have a row with the wanted tags or
//! not. A tag that the table got later is null in the file, and null comes first.
//!
//! A null is a zero. A text is a one, its bytes with a 255 behind each zero, and two zeros.

use crate::schema::TableSchema;
use crate::snapshot::{KEY_BYTES_MAX, Keys};
use std::cmp::Ordering;

const NULL: u8 = 0;
const TEXT: u8 = 1;
const END: [u8; 2] = [0, 0];
const ZERO: [u8; 2] = [0, 255];

/// Tags as bytes that compare as the tags do.
pub fn key_bytes<'a>(tags: impl IntoIterator<Item = Option<&'a str>>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(KEY_BYTES_MAX);
    tags.into_iter().for_each(|tag| put(&mut bytes, tag));
    bytes
}

fn put(bytes: &mut Vec<u8>, tag: Option<&str>) {
    let Some(text) = tag else {
        bytes.push(NULL);
        return;
    };
    bytes.push(TEXT);
    for byte in text.bytes() {
        match byte {
            0 => bytes.extend(ZERO),
            byte => bytes.push(byte),
        }
    }
    bytes.extend(END);
}

impl Keys {
    /// What is known of a file with so many series, of which these are the first key and the last
    /// one, as [`key_bytes`] makes them.
    pub fn between(series: u64, first: &[u8], last: &[u8]) -> Self {
        let min = first.get(..KEY_BYTES_MAX).unwrap_or(first).into();
        Self { series, min, max: rounded_up(last), ..Self::default() }
    }
}

/// The first bytes, and where that is not all of them, as little more as can be.
fn rounded_up(key: &[u8]) -> Box<[u8]> {
    let Some(mut kept) = key.get(..KEY_BYTES_MAX).filter(|kept| kept.len() < key.len()) else {
        return key.into();
    };
    while let [before @ .., u8::MAX] = kept {
        kept = before;
    }
    let mut rounded: Box<[u8]> = kept.into();
    if let Some(last) = rounded.last_mut() {
        *last += 1;
    }
    rounded
}

/// Keys whose tags have one of some values each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WantedKeys {
    /// By their place in the key the values as bytes; `None` where any will do.
    tags: Vec<Option<Vec<Box<[u8]>>>>,
}

impl WantedKeys {
    /// Those keys of `table` of which each of the tags has one of its values. What is no tag of the
    /// table does not matter.
    pub fn new<'a, V>(
        table: &TableSchema,
        conditions: impl IntoIterator<Item = (&'a str, V)>,
    ) -> Self
    where
        V: IntoIterator<Item = &'a str>,
    {
        let names: Vec<&str> = table.tags().map(|tag| tag.name.as_ref()).collect();
        let mut wanted = Self::default();
        for (tag, values) in conditions {
            let Some(place) = names.iter().position(|name| *name == tag) else { continue };
            let values: Vec<Box<[u8]>> =
                values.into_iter().map(|value| key_bytes([Some(value)]).into()).collect();
            wanted.tags.resize(wanted.tags.len().max(place + 1), None);
            if let Some(known) = wanted.tags.get_mut(place) {
                match known {
                    Some(known) => known.retain(|value| values.contains(value)),
                    None => *known = Some(values),
                }
            }
        }
        wanted
    }

    /// True if any key is wanted.
    pub fn is_any(&self) -> bool {
        self.tags.is_empty()
    }

    /// False if none of the keys is in a file of which this is known.
    pub fn may_be_in(&self, keys: &Keys) -> bool {
        may_lie_between(&self.tags, bound(&keys.min), bound(&keys.max))
    }
}

/// Bytes that bound a key; none at all do not.
fn bound(bytes: &[u8]) -> Option<&[u8]> {
    (!bytes.is_empty()).then_some(bytes)
}

/// True if there may be a key with such tags that is not below `low` and not above `high`.
fn may_lie_between(
    tags: &[Option<Vec<Box<[u8]>>>],
    low: Option<&[u8]>,
    high: Option<&[u8]>,
) -> bool {
    let Some((tag, rest)) = tags.split_first().filter(|_| low.or(high).is_some()) else {
        return true;
    };
    let Some(values) = tag else {
        // Any value will do. Where both bounds have the same there is no other.
        return match (low.and_then(first_tag), high.and_then(first_tag)) {
            (Some((one, low)), Some((other, high))) if one == other => {
                may_lie_between(rest, bound(low), bound(high))
            }
            _ => true,
        };
    };
    values.iter().any(|value| {
        let low = low.map(|low| compared(value, low)).unwrap_or((Ordering::Greater, None));
        let high = high.map(|high| compared(value, high)).unwrap_or((Ordering::Less, None));
        low.0 != Ordering::Less
            && high.0 != Ordering::Greater
            && may_lie_between(rest, low.1, high.1)
    })
}

/// How a tag compares with the first one of a bound, and what bounds the tags behind it then.
fn compared<'a>(value: &[u8], bytes: &'a [u8]) -> (Ordering, Option<&'a [u8]>) {
    match first_tag(bytes) {
        Some((tag, rest)) if tag == value => (Ordering::Equal, bound(rest)),
        // A tag that was cut off is looked at as far as it goes.
        _ => (value.cmp(bytes), None),
    }
}

/// The first tag of a key and the others. `None` if it was cut off.
fn first_tag(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = match *bytes.first()? {
        NULL => 1,
        TEXT => {
            let mut at = 1;
            loop {
                match bytes.get(at..)? {
                    [0, 0, ..] => break at + END.len(),
                    [0, 255, ..] => at += ZERO.len(),
                    [0, ..] => return None,
                    _ => at += 1,
                }
            }
        }
        _ => return None,
    };
    bytes.split_at_checked(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ColumnId, TableId};
    use crate::schema::{ColumnKind, ColumnSchema};
    use proptest::prelude::*;

    type Key = Vec<Option<String>>;

    fn bytes(key: &[Option<String>]) -> Vec<u8> {
        key_bytes(key.iter().map(Option::as_deref))
    }

    fn table(tags: usize) -> TableSchema {
        let column = |i: usize| ColumnSchema {
            id: ColumnId(i as u32),
            name: format!("t{i}").into(),
            kind: ColumnKind::Tag,
        };
        TableSchema::new(TableId(1), "m".into(), (0..tags).map(column).collect(), None)
    }

    /// Values that are hard to tell apart, and some that are longer than a bound.
    fn any_tag() -> impl Strategy<Value = Option<String>> {
        let part = prop_oneof!["a", "b", "\u{0}", "\u{1}", "\u{7f}", "\u{10ffff}"];
        let short = prop::collection::vec(part, 0..3).prop_map(|parts| parts.concat());
        let long = (58..66_usize, short.clone()).prop_map(|(n, end)| "a".repeat(n) + &end);
        prop_oneof![1 => Just(None), 3 => short.prop_map(Some), 1 => long.prop_map(Some)]
    }

    fn any_key() -> impl Strategy<Value = Key> {
        prop::collection::vec(any_tag(), 3)
    }

    /// Every row of a file is found by any of its tags, if `keys` makes the file's bounds of its first
    /// and its last key. The last tags may have been unknown when it was written.
    fn finds_every_row(
        rows: &[Key],
        known: usize,
        asked: [bool; 3],
        keys: impl Fn(&[u8], &[u8]) -> Keys,
    ) -> bool {
        let mut rows: Vec<Key> = rows.to_vec();
        rows.iter_mut().flat_map(|row| &mut row[known..]).for_each(|tag| *tag = None);
        rows.sort();
        let end = |row: Option<&Key>| bytes(&row.unwrap()[..known]);
        let keys = keys(&end(rows.first()), &end(rows.last()));
        rows.iter().all(|row| {
            let tags = row.iter().enumerate().filter(|(i, _)| asked[*i]);
            let tags: Vec<_> = tags
                .filter_map(|(i, tag)| Some((format!("t{i}"), [tag.as_deref()?, "?"])))
                .collect();
            let tags = tags.iter().map(|(name, values)| (name.as_str(), *values));
            WantedKeys::new(&table(3), tags).may_be_in(&keys)
        })
    }

    #[test]
    fn a_bound_that_is_cut_and_not_rounded_up_is_found_out() {
        let unrounded = |first: &[u8], last: &[u8]| Keys {
            max: last.get(..KEY_BYTES_MAX).unwrap_or(last).into(),
            ..Keys::between(1, first, last)
        };
        let rows = [vec![Some("a".repeat(80)), None, None]];
        assert!(finds_every_row(&rows, 3, [true; 3], |a, b| Keys::between(1, a, b)));
        assert!(!finds_every_row(&rows, 3, [true; 3], unrounded));
    }

    #[track_caller]
    fn check(min: &[&str], max: &[&str], wanted: &[(&str, &[&str])], expected: bool) {
        let key = |tags: &[&str]| key_bytes(tags.iter().map(|tag| Some(*tag)));
        let keys = Keys::between(1, &key(min), &key(max));
        let conditions = wanted.iter().map(|(tag, values)| (*tag, values.iter().copied()));
        let found = WantedKeys::new(&table(3), conditions).may_be_in(&keys);
        assert_eq!(found, expected, "{wanted:?} between {min:?} and {max:?}");
    }

    #[test]
    fn what_lies_outside_is_excluded() {
        let (min, max) = (["b", "m"], ["d", "c"]);
        check(&min, &max, &[], true);
        check(&min, &max, &[("t0", &["a"])], false);
        check(&min, &max, &[("t0", &["e"])], false);
        check(&min, &max, &[("t0", &["a", "e"])], false);
        check(&min, &max, &[("t0", &["a", "c"])], true);
        check(&min, &max, &[("t0", &["b"]), ("t1", &["l"])], false);
        check(&min, &max, &[("t0", &["b"]), ("t1", &["n"])], true);
        check(&min, &max, &[("t0", &["d"]), ("t1", &["d"])], false);
        check(&min, &max, &[("t0", &["d"]), ("t1", &["d"]), ("f", &["?"])], false);
        check(&min, &max, &[("t0", &["c"]), ("t1", &["a"])], true);
        check(&min, &max, &[("t1", &["a"])], true);
        check(&["b", "m"], &["b", "o"], &[("t1", &["a"])], false);
        check(&["b", "m"], &["b", "o"], &[("t1", &["n"])], true);
        // A tag that is younger than the file.
        check(&["b", "m"], &["b", "m"], &[("t2", &["x"])], true);
        check(&["b", "m"], &["b", "m"], &[("t0", &["b"]), ("t0", &["c"])], false);
    }

    #[test]
    fn nothing_is_excluded_where_nothing_is_known() {
        let wanted = WantedKeys::new(&table(1), [("t0", ["a"])]);
        assert!(wanted.may_be_in(&Keys::default()) && !wanted.is_any());
        assert!(WantedKeys::new(&table(1), [("x", ["a"])]).is_any());
        let half = Keys { min: key_bytes([Some("b")]).into(), ..Keys::default() };
        assert!(!wanted.may_be_in(&half));
    }

    proptest! {
        #[test]
        fn bytes_compare_as_tags_do(one in any_key(), other in any_key()) {
            prop_assert_eq!(bytes(&one).cmp(&bytes(&other)), one.cmp(&other));
        }

        #[test]
        fn no_row_is_overlooked(
            rows in prop::collection::vec(any_key(), 1..6),
            known in 0..=3_usize,
            asked: [bool; 3],
        ) {
            let between = |first: &[u8], last: &[u8]| {
                let keys = Keys::between(1, first, last);
                assert!(keys.min.len() <= KEY_BYTES_MAX && keys.max.len() <= KEY_BYTES_MAX);
                assert!(&*keys.min <= first && &*keys.max >= last);
                keys
            };
            prop_assert!(finds_every_row(&rows, known, asked, between));
        }

        #[test]
        fn no_bounds_make_it_panic(min: Vec<u8>, max: Vec<u8>, key in any_key()) {
            let tags = key.iter().flatten().map(|tag| ("t0", [tag.as_str()]));
            let keys = Keys { min: min.into(), max: max.into(), ..Keys::default() };
            let _: bool = WantedKeys::new(&table(1), tags).may_be_in(&keys);
        }
    }
}
