//! Which values a query looks for in columns of texts, and which parts of a file may have them.
//!
//! The description of a file says of each row group what the values of a column lie between. Merged
//! files have Bloom filters for the columns that they are indexed by, too. Both only narrow: where
//! nothing is known of a column, any row may have any value.

use datafusion::parquet::bloom_filter::Sbbf;
use datafusion::parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use datafusion::parquet::file::statistics::Statistics;
use datafusion::physical_expr::utils::{Guarantee, LiteralGuarantee};
use datafusion::physical_plan::PhysicalExpr;
use protocols::schema::TableSchema;
use std::ops::Range;
use std::sync::Arc;

/// Limit: values that are looked for one by one.
const VALUES_MAX: usize = 256;

/// Columns of texts, of each of which a row has to have one of some values.
#[derive(Clone, Debug, Default)]
pub(super) struct WantedValues(Vec<Wanted>);

#[derive(Clone, Debug)]
struct Wanted {
    column: Arc<str>,
    values: Vec<String>,
}

impl WantedValues {
    /// What rows of `table` have for which all `conditions` hold. Nothing follows from those that say
    /// something else than that a column is equal to a literal or one of some.
    pub(super) fn of<'a>(
        conditions: impl IntoIterator<Item = &'a Arc<dyn PhysicalExpr>>,
        table: &TableSchema,
    ) -> Self {
        let mut wanted = Vec::new();
        for found in conditions.into_iter().flat_map(LiteralGuarantee::analyze) {
            let column = table.column(found.column.name()).filter(|column| column.kind.is_text());
            let is_few =
                matches!(found.guarantee, Guarantee::In) && found.literals.len() <= VALUES_MAX;
            let Some(column) = column.filter(|_| is_few) else { continue };
            // Nothing is equal to null.
            let texts = found.literals.iter().filter(|value| !value.is_null());
            let texts = texts.map(|value| value.try_as_str().flatten().map(str::to_owned));
            if let Some(values) = texts.collect() {
                wanted.push(Wanted { column: Arc::clone(&column.name), values });
            }
        }
        Self(wanted)
    }

    /// The columns.
    pub(super) fn columns(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.iter().map(|wanted| &wanted.column)
    }

    /// True if rows may have any values.
    pub(super) fn is_any(&self) -> bool {
        self.0.is_empty()
    }

    /// What is wanted of each column by itself.
    pub(super) fn each(&self) -> impl Iterator<Item = Self> {
        self.0.iter().map(|wanted| Self(vec![wanted.clone()]))
    }

    /// These and others.
    pub(super) fn and(&self, other: &Self) -> Self {
        Self(self.0.iter().chain(&other.0).cloned().collect())
    }

    /// Where in a file rows with such values may be, whose columns `known` tells about, in the order
    /// of [`Self::columns`]. `None` if that is anywhere.
    pub(super) fn places(&self, known: &[Arc<ColumnValues>]) -> Option<Vec<Range<usize>>> {
        let mut places: Vec<Range<usize>> = Vec::new();
        let (mut row, mut is_anywhere) = (0, true);
        for (number, GroupValues { rows, .. }) in known.first()?.0.iter().enumerate() {
            let may_be = self.0.iter().zip(known).all(|(wanted, column)| {
                let group = column.0.get(number);
                group.is_none_or(|group| group.may_have_any(&wanted.values))
            });
            is_anywhere &= may_be;
            match places.last_mut().filter(|last| last.end == row) {
                Some(last) if may_be => last.end += rows,
                _ if may_be => places.push(row..row + rows),
                _ => {}
            }
            row += rows;
        }
        (!is_anywhere).then_some(places)
    }
}

/// What is known of the values that a column has in a file, row group by row group.
#[derive(Debug)]
pub(super) struct ColumnValues(Vec<GroupValues>);

#[derive(Debug)]
struct GroupValues {
    rows: usize,
    /// `None` if there is no value at all.
    bounds: Option<Bounds>,
    filter: Option<Sbbf>,
}

/// The least and the greatest value, or less and more.
type Bounds = (Box<[u8]>, Box<[u8]>);

impl GroupValues {
    fn may_have_any(&self, values: &[String]) -> bool {
        values.iter().any(|value| {
            let bytes = value.as_bytes();
            let is_within = self.bounds.as_ref().is_some_and(|(min, max)| {
                // No greatest value is one that nobody knows.
                min.as_ref() <= bytes && (max.is_empty() || bytes <= max.as_ref())
            });
            is_within && self.filter.as_ref().is_none_or(|filter| filter.check(bytes))
        })
    }
}

impl ColumnValues {
    /// Where the filters of a column are in a file.
    pub(super) fn filters(description: &ParquetMetaData, column: &str) -> Vec<Range<u64>> {
        let filters = description.row_groups().iter().filter_map(|group| {
            let chunk = group.columns().iter().find(|chunk| is_of(chunk, column))?;
            filter_range(chunk)
        });
        filters.collect()
    }

    /// What the description of a file says of a column. `filters` are the bytes of its filters, in the
    /// order in which [`Self::filters`] has them. One that cannot be read is none.
    pub(super) fn new(
        description: &ParquetMetaData,
        column: &str,
        filters: &mut impl Iterator<Item = bytes::Bytes>,
    ) -> Self {
        let groups = description.row_groups().iter().map(|group| {
            let rows = usize::try_from(group.num_rows()).unwrap_or(0);
            // A column without a value is not in the file.
            let Some(chunk) = group.columns().iter().find(|chunk| is_of(chunk, column)) else {
                return GroupValues { rows, bounds: None, filter: None };
            };
            let filter = filter_range(chunk).and_then(|_| filters.next());
            let filter = filter.and_then(|bytes| Sbbf::from_bytes(&bytes).ok());
            // A filter of no bits has none to look at.
            let filter = filter.filter(|filter| filter.num_blocks() > 0);
            GroupValues { rows, bounds: bounds(chunk, rows), filter }
        });
        Self(groups.collect())
    }

    /// What this takes in memory.
    pub(super) fn memory_bytes(&self) -> usize {
        let of_group = |group: &GroupValues| {
            let bounds = group.bounds.as_ref().map_or(0, |(min, max)| min.len() + max.len());
            let filter = group.filter.as_ref().map_or(0, |filter| filter.num_blocks() * 32);
            size_of::<GroupValues>() + bounds + filter
        };
        self.0.iter().map(of_group).sum()
    }
}

fn is_of(chunk: &ColumnChunkMetaData, column: &str) -> bool {
    chunk.column_descr().name() == column
}

fn filter_range(chunk: &ColumnChunkMetaData) -> Option<Range<u64>> {
    let begin = u64::try_from(chunk.bloom_filter_offset()?).ok()?;
    Some(begin..begin.checked_add(u64::try_from(chunk.bloom_filter_length()?).ok()?)?)
}

/// The least and the greatest value of so many rows.
fn bounds(chunk: &ColumnChunkMetaData, rows: usize) -> Option<Bounds> {
    let any = || Some((Box::default(), Box::default()));
    let Some(Statistics::ByteArray(known)) = chunk.statistics() else { return any() };
    if known.null_count_opt() == Some(rows as u64) {
        return None;
    }
    match (known.min_bytes_opt(), known.max_bytes_opt()) {
        (Some(min), Some(max)) => Some((min.into(), max.into())),
        _ => any(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file_writer::Encoder;
    use bytes::Bytes;
    use datafusion::arrow::array::{
        ArrayRef, DictionaryArray, RecordBatch, StringArray, TimestampNanosecondArray,
    };
    use datafusion::arrow::datatypes::Int32Type;
    use datafusion::common::ScalarValue;
    use datafusion::logical_expr::Operator;
    use datafusion::parquet::file::metadata::ParquetMetaDataReader;
    use datafusion::physical_expr::expressions::{BinaryExpr, Column, lit};
    use protocols::ids::{ColumnId, TableId};
    use protocols::schema::{ColumnKind, ColumnSchema, FieldType};
    use protocols::series_blocks::SeriesBlocks;

    const ROWS: usize = 250_000;

    fn table() -> TableSchema {
        let kinds = [
            ("a", ColumnKind::Tag),
            ("b", ColumnKind::Tag),
            ("s", ColumnKind::Field(FieldType::String)),
            ("i", ColumnKind::Field(FieldType::Integer)),
        ];
        let columns = kinds.iter().zip(0..).map(|((name, kind), id)| ColumnSchema {
            id: ColumnId(id),
            name: (*name).into(),
            kind: *kind,
        });
        TableSchema::new(TableId(1), "m".into(), columns.collect(), None)
    }

    fn name(row: usize) -> String {
        format!("{:x}", row.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// Rows of series of their own each, in the order of the first tag. Every second one has a field.
    fn file(indexed: Option<&[&str]>) -> (Bytes, ParquetMetaData) {
        let texts =
            |text: &dyn Fn(usize) -> Option<String>| (0..ROWS).map(text).collect::<Vec<_>>();
        let first = texts(&|row| Some(format!("{row:06}")));
        let second = texts(&|row| Some(name(row)));
        let field = texts(&|row| (row % 2 == 0 && row < 100_000).then(|| format!("s{}", row % 9)));
        let tag = |texts: &[Option<String>]| -> ArrayRef {
            let tag: DictionaryArray<Int32Type> = texts.iter().map(Option::as_deref).collect();
            Arc::new(tag)
        };
        let times = TimestampNanosecondArray::from_iter_values(0..ROWS as i64);
        let columns: [(&str, ArrayRef); 4] = [
            ("a", tag(&first)),
            ("b", tag(&second)),
            ("s", Arc::new(field.into_iter().collect::<StringArray>())),
            ("time", Arc::new(times)),
        ];
        let rows = RecordBatch::try_from_iter(columns).unwrap();
        let indexed = indexed.map(|names| names.iter().map(|name| Arc::from(*name)).collect());
        let mut encoder = Encoder::new(rows.schema_ref(), indexed);
        for from in (0..ROWS).step_by(10_000) {
            let slice = rows.slice(from, 10_000);
            encoder.write(&slice, from as u64 + 10_000).unwrap();
        }
        let bytes = encoder.finish(&SeriesBlocks::default()).unwrap();
        let description = ParquetMetaDataReader::new().parse_and_finish(&bytes).unwrap();
        (bytes, description)
    }

    fn equal(column: &str, value: &str) -> Arc<dyn PhysicalExpr> {
        Arc::new(BinaryExpr::new(Arc::new(Column::new(column, 0)), Operator::Eq, lit(value)))
    }

    fn known(bytes: &Bytes, description: &ParquetMetaData, column: &str) -> ColumnValues {
        let filters = ColumnValues::filters(description, column);
        let mut filters =
            filters.into_iter().map(|range| bytes.slice(range.start as usize..range.end as usize));
        ColumnValues::new(description, column, &mut filters)
    }

    fn places(
        (bytes, description): &(Bytes, ParquetMetaData),
        column: &str,
        value: &str,
    ) -> Option<Vec<Range<usize>>> {
        let wanted = WantedValues::of([&equal(column, value)], &table());
        let known = wanted.columns().map(|column| Arc::new(known(bytes, description, column)));
        wanted.places(&known.collect::<Vec<_>>())
    }

    #[test]
    fn values_are_looked_for_where_they_are() {
        let file = file(None);
        let (bytes, description) = &file;
        assert_eq!(ColumnValues::filters(description, "a"), [], "rows are in its order");
        assert_eq!(ColumnValues::filters(description, "b").len(), 3);
        assert_eq!(ColumnValues::filters(description, "s"), [], "nobody has chosen it");
        let first = 0..100_000;
        for row in (0..ROWS).step_by(7_919) {
            let group = row / 100_000 * 100_000..(row / 100_000 * 100_000 + 100_000).min(ROWS);
            assert_eq!(places(&file, "a", &format!("{row:06}")), Some(vec![group.clone()]));
            let found = places(&file, "b", &name(row)).into_iter().flatten();
            assert!(found.clone().any(|range| range.contains(&row)), "row {row}");
        }
        let absent = (0..1_000).filter(|n| places(&file, "b", &format!("{n:016}")) == Some(vec![]));
        assert!(absent.count() > 980);
        assert_eq!(places(&file, "s", "s4"), Some(vec![first.clone()]), "the others have none");
        assert_eq!(places(&file, "s", "s44"), Some(vec![first.clone()]));
        let filters = known(bytes, description, "b").memory_bytes();
        assert!(filters < 3 * 300_000, "{filters}");
    }

    #[test]
    fn columns_are_indexed_that_were_chosen() {
        let file = file(Some(&["s", "i", "nosuch"]));
        let (bytes, description) = &file;
        assert_eq!(ColumnValues::filters(description, "b"), []);
        assert_eq!(ColumnValues::filters(description, "s").len(), 3);
        let first = 0..100_000;
        assert_eq!(places(&file, "s", "s4"), Some(vec![first.clone()]));
        assert_eq!(places(&file, "s", "s44"), Some(vec![]));
        let small = known(bytes, description, "s").memory_bytes();
        assert!(small < 1_000, "filters are as large as their values need: {small}");
    }

    #[test]
    fn filters_that_cannot_be_read_are_none() {
        let (_, description) = file(None);
        let of = |filter: &'static [u8]| {
            let mut filters = std::iter::repeat_n(Bytes::from_static(filter), 3);
            let known = ColumnValues::new(&description, "b", &mut filters);
            WantedValues::of([&equal("b", &name(7))], &table()).places(&[Arc::new(known)])
        };
        let header_of_nothing = b"\x15\0\x1c\x1c\0\0\x1c\x1c\0\0\x1c\x1c\0\0\0";
        for filter in [&b""[..], b"x", &[0xff; 40], header_of_nothing] {
            assert_eq!(of(filter), None, "{filter:?}");
        }
        let mut none = std::iter::empty();
        let known = ColumnValues::new(&description, "b", &mut none);
        assert!(known.0.iter().all(|group| group.filter.is_none()));
    }

    #[test]
    fn only_what_has_to_be_equal_is_wanted() {
        let or = |one, other| -> Arc<dyn PhysicalExpr> {
            Arc::new(BinaryExpr::new(one, Operator::Or, other))
        };
        let text = |conditions: &[Arc<dyn PhysicalExpr>]| {
            let wanted = WantedValues::of(conditions, &table());
            let mut texts: Vec<String> = wanted
                .0
                .into_iter()
                .map(|wanted| {
                    let mut values = wanted.values;
                    values.sort();
                    format!("{}={}", wanted.column, values.join("|"))
                })
                .collect();
            texts.sort();
            texts.join(" ")
        };
        assert_eq!(text(&[equal("a", "x"), equal("s", "y")]), "a=x s=y");
        assert_eq!(text(&[or(equal("a", "x"), equal("a", "y"))]), "a=x|y");
        assert_eq!(text(&[or(equal("a", "x"), equal("b", "y"))]), "");
        assert_eq!(text(&[equal("i", "x"), equal("nosuch", "x"), equal("time", "x")]), "");
        let null: Arc<dyn PhysicalExpr> = lit(ScalarValue::Utf8(None));
        let is_null = BinaryExpr::new(Arc::new(Column::new("a", 0)), Operator::Eq, null);
        assert_eq!(text(&[Arc::new(is_null)]), "a=");
        let number = BinaryExpr::new(Arc::new(Column::new("a", 0)), Operator::Eq, lit(3_i64));
        assert_eq!(text(&[Arc::new(number)]), "");
        let unequal = BinaryExpr::new(Arc::new(Column::new("a", 0)), Operator::NotEq, lit("x"));
        assert_eq!(text(&[Arc::new(unequal)]), "");
    }
}
