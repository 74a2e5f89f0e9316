//! Numbers for tag values and tag sets, so that sorting compares integers only.

use super::Input;
use arrow::array::{Array, AsArray, DictionaryArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::Int32Type;
use arrow::error::ArrowError;
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use protocols::schema::ColumnSchema;
use std::hash::BuildHasher;

/// How many tag sets are laid out side by side before they are looked up: few enough to stay in
/// the fastest cache.
const BLOCK_ROWS: usize = 512;

/// One tag over all inputs, with one dictionary. The *code* of a value is its rank in byte order,
/// counted from 1; 0 is null.
pub(super) struct UnifiedTag {
    /// The distinct values in byte order.
    pub(super) values: StringArray,
    /// For each input that has the column: the column, and the code of each dictionary entry.
    inputs: Vec<Option<(DictionaryArray<Int32Type>, Vec<u32>)>>,
}

impl UnifiedTag {
    pub(super) fn of(inputs: &[Input<'_>], tag: &ColumnSchema) -> Result<Self, ArrowError> {
        let columns = inputs
            .iter()
            .map(|i| i.rows.column_by_name(&tag.name).map(|c| as_dictionary(c, tag)).transpose())
            .collect::<Result<Vec<_>, _>>()?;

        let mut numbers: HashMap<&str, u32> = HashMap::new();
        let mut values: Vec<&str> = Vec::new();
        let mut maps: Vec<Vec<u32>> = Vec::with_capacity(columns.len());
        for column in &columns {
            let mut map = Vec::new();
            if let Some(column) = column {
                for value in text_values(column)? {
                    map.push(value.map_or(0, |value| {
                        *numbers.entry(value).or_insert_with(|| {
                            values.push(value);
                            values.len() as u32
                        })
                    }));
                }
            }
            maps.push(map);
        }

        let mut by_value: Vec<u32> = (0..values.len() as u32).collect();
        by_value.sort_unstable_by_key(|i| values[*i as usize]);
        let mut codes = vec![0; values.len() + 1];
        for (code, number) in (1..).zip(&by_value) {
            codes[*number as usize + 1] = code;
        }
        for entry in maps.iter_mut().flatten() {
            *entry = codes[*entry as usize];
        }
        let values = StringArray::from_iter_values(by_value.iter().map(|i| values[*i as usize]));
        drop(numbers);
        let inputs = columns.into_iter().zip(maps).map(|(c, map)| c.map(|c| (c, map))).collect();
        Ok(Self { values, inputs })
    }
}

fn as_dictionary(
    column: &dyn Array,
    tag: &ColumnSchema,
) -> Result<DictionaryArray<Int32Type>, ArrowError> {
    match column.as_dictionary_opt::<Int32Type>() {
        Some(dictionary) => Ok(dictionary.clone()),
        None => Ok(cast(column, &tag.kind.arrow_type())?.as_dictionary::<Int32Type>().clone()),
    }
}

fn text_values(
    column: &DictionaryArray<Int32Type>,
) -> Result<impl Iterator<Item = Option<&str>>, ArrowError> {
    column.values().as_string_opt::<i32>().map(StringArray::iter).ok_or_else(|| {
        ArrowError::SchemaError(format!("a tag of {} values", column.values().data_type()))
    })
}

/// The distinct tag sets of all inputs, in key order.
pub(super) struct TagSets {
    /// Place of each row's tag set in the key order.
    pub(super) of_row: Vec<u32>,
    /// Number of distinct tag sets.
    pub(super) count: usize,
    /// Number of tags.
    width: usize,
    /// The codes of each tag set, one set after the other.
    codes: Vec<u32>,
}

impl TagSets {
    pub(super) fn of(inputs: &[Input<'_>], tags: &[UnifiedTag], row_count: usize) -> Self {
        let mut found = Found { width: tags.len(), ..Found::default() };
        let mut of_row = Vec::with_capacity(row_count);
        for (i, input) in inputs.iter().enumerate() {
            let rows = input.rows.num_rows();
            match input.series_starts {
                None => found.number(tags, i, rows, |at| at, |_, set| of_row.push(set)),
                Some(starts) => {
                    let base = of_row.len();
                    let end = |at: usize| starts.get(at + 1).map_or(rows, |s| *s as usize);
                    let row_of = |at: usize| starts[at] as usize;
                    found.number(tags, i, starts.len(), row_of, |at, set| {
                        of_row.resize(base + end(at), set);
                    });
                }
            }
        }
        found.ranked(of_row)
    }

    /// Code of a tag in a set.
    pub(super) fn code(&self, set: usize, tag: usize) -> u32 {
        self.codes[set * self.width + tag]
    }
}

/// Tag sets in order of first appearance.
#[derive(Default)]
struct Found {
    width: usize,
    codes: Vec<u32>,
    count: usize,
    by_codes: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Found {
    /// Numbers the tag sets of `heads` rows of an input; `row_of` says which rows these are.
    fn number(
        &mut self,
        tags: &[UnifiedTag],
        input: usize,
        heads: usize,
        row_of: impl Fn(usize) -> usize,
        mut numbered: impl FnMut(usize, u32),
    ) {
        let width = self.width;
        let mut block = vec![0; BLOCK_ROWS * width];
        for begin in (0..heads).step_by(BLOCK_ROWS) {
            let len = BLOCK_ROWS.min(heads - begin);
            for (tag, unified) in tags.iter().enumerate() {
                let slots = block.iter_mut().skip(tag).step_by(width).take(len);
                let Some((column, codes)) = &unified.inputs[input] else {
                    slots.for_each(|slot| *slot = 0);
                    continue;
                };
                let keys = column.keys();
                let (values, nulls) = (keys.values(), keys.nulls());
                for (at, slot) in (begin..).zip(slots) {
                    let row = row_of(at);
                    *slot = match nulls {
                        Some(nulls) if nulls.is_null(row) => 0,
                        _ => codes[values[row] as usize],
                    };
                }
            }
            for at in 0..len {
                let set = self.find_or_add(&block[at * width..(at + 1) * width]);
                numbered(begin + at, set);
            }
        }
    }

    fn find_or_add(&mut self, set: &[u32]) -> u32 {
        let Self { width, codes, count, by_codes, hasher } = self;
        let of = |i: u32, codes: &[u32]| -> std::ops::Range<usize> {
            debug_assert!((i as usize + 1) * *width <= codes.len());
            i as usize * *width..(i as usize + 1) * *width
        };
        let hash = hasher.hash_one(set);
        if let Some(i) = by_codes.find(hash, |i| &codes[of(*i, codes)] == set) {
            return *i;
        }
        let new = *count as u32;
        codes.extend_from_slice(set);
        *count += 1;
        by_codes.insert_unique(hash, new, |i| hasher.hash_one(&codes[of(*i, codes)]));
        new
    }

    /// Replaces order of appearance by key order.
    fn ranked(self, mut of_row: Vec<u32>) -> TagSets {
        let set = |i: u32| &self.codes[i as usize * self.width..(i as usize + 1) * self.width];
        let mut by_key: Vec<u32> = (0..self.count as u32).collect();
        by_key.sort_unstable_by_key(|i| set(*i));
        let mut ranks = vec![0; self.count];
        let mut codes = Vec::with_capacity(self.codes.len());
        for (rank, i) in (0..).zip(&by_key) {
            ranks[*i as usize] = rank;
            codes.extend_from_slice(set(*i));
        }
        for row in &mut of_row {
            *row = ranks[*row as usize];
        }
        TagSets { of_row, count: self.count, width: self.width, codes }
    }
}
