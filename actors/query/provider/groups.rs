//! Groups of rows with equal tags.

use super::key_sets::KeySet;
use super::selection::Selection;
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, Int32Array, RecordBatch, UInt32Array, new_null_array,
};
use datafusion::arrow::compute::{partition, take_record_batch};
use datafusion::arrow::datatypes::{DataType, Int32Type, SchemaRef, TimestampNanosecondType};
use datafusion::arrow::row::{RowConverter, Rows, SortField};
use datafusion::common::exec_datafusion_err;
use datafusion::error::Result;
use futures::{Stream, TryStreamExt};
use hashbrown::HashSet;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The values of a group's tags, encoded.
pub(super) type GroupName = Box<[u8]>;

/// The tags that make a group, and the groups met so far.
#[derive(Debug)]
pub(super) struct Groups {
    /// The tags as columns of their own.
    schema: SchemaRef,
    converter: RowConverter,
    /// Names the tags and the condition on them.
    question: Arc<str>,
    met: Mutex<Met>,
}

#[derive(Debug, Default)]
struct Met {
    groups: HashSet<GroupName>,
    /// A set of groups that were all met. Neighbours in time mostly have the same.
    last: Option<Arc<KeySet>>,
}

impl Groups {
    /// Groups by the tags of `schema` the rows that `selection` takes.
    pub(super) fn new(schema: SchemaRef, selection: &Selection) -> Result<Self> {
        let types = schema.fields().iter().map(|f| f.data_type().clone());
        // All rows are one group without tags: as if they had a column of nulls.
        let none = schema.fields().is_empty().then_some(DataType::Boolean);
        let converter = RowConverter::new(types.chain(none).map(SortField::new).collect())?;
        let tags: Vec<&String> = schema.fields().iter().map(|f| f.name()).collect();
        let question = Arc::from(format!("{tags:?} {:?}", selection.tags()));
        Ok(Self { schema, converter, question, met: Mutex::default() })
    }

    /// Names the tags that make a group, and the condition on tags.
    pub(super) fn question(&self) -> &Arc<str> {
        &self.question
    }

    /// The groups of rows, each named by the values of its tags.
    pub(super) fn of(&self, rows: &RecordBatch) -> Result<Rows> {
        Ok(self.converter.convert_columns(&self.columns(rows)?)?)
    }

    /// Notes that no older row of these groups is needed.
    pub(super) fn meet<'a>(&self, groups: impl IntoIterator<Item = &'a [u8]>) {
        let mut met = self.met();
        for group in groups {
            if !met.groups.contains(group) {
                met.groups.insert(Box::from(group));
            }
        }
    }

    /// The same for groups of which each is told by its tags, as columns of so many rows.
    pub(super) fn meet_all(&self, tags: Vec<ArrayRef>, rows: usize) -> Result<()> {
        let tags = match tags.is_empty() {
            true => vec![new_null_array(&DataType::Boolean, rows)],
            false => tags,
        };
        let names = self.converter.convert_columns(&tags)?;
        self.meet(names.iter().map(|name| name.data()));
        Ok(())
    }

    /// The groups of rows.
    pub(super) async fn of_rows(
        &self,
        mut rows: impl Stream<Item = Result<RecordBatch>> + Unpin,
    ) -> Result<Arc<KeySet>> {
        let mut found = Found::default();
        while let Some(batch) = rows.try_next().await? {
            let heads = take_record_batch(&batch, &self.newest(&batch, None)?)?;
            found.add(&self.of(&heads)?);
        }
        Ok(found.keys())
    }

    /// The tags at the places `shown` of the groups `names`, as columns of `schema`.
    pub(super) fn tags<'a>(
        &self,
        names: impl Iterator<Item = &'a [u8]>,
        shown: &[usize],
        schema: &SchemaRef,
    ) -> Result<RecordBatch> {
        let parser = self.converter.parser();
        let tags = self.converter.convert_rows(names.map(|name| parser.parse(name)))?;
        let column = |at: &usize| {
            let values = Arc::clone(&tags[*at]);
            if !matches!(self.schema.field(*at).data_type(), DataType::Dictionary(_, _))
                || matches!(values.data_type(), DataType::Dictionary(_, _))
            {
                return Ok(values);
            }
            let nulls = values.logical_nulls();
            let places = Int32Array::new((0..values.len() as i32).collect(), nulls);
            let column = DictionaryArray::<Int32Type>::try_new(places, values)?;
            Ok(Arc::new(column) as ArrayRef)
        };
        let columns = shown.iter().map(column).collect::<Result<Vec<_>>>()?;
        Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
    }

    /// The tags that make a group.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The groups of rows.
    pub(super) fn keys_of(&self, rows: &RecordBatch) -> Result<Arc<KeySet>> {
        let mut found = Found::default();
        found.add(&self.of(rows)?);
        Ok(found.keys())
    }

    /// True if any group was met.
    pub(super) fn has_met_any(&self) -> bool {
        !self.met().groups.is_empty()
    }

    /// True if all these groups were met.
    pub(super) fn have_met(&self, keys: &Arc<KeySet>) -> bool {
        let mut met = self.met();
        if met.last.as_ref().is_some_and(|last| last == keys) {
            return true;
        }
        let all = keys.iter().all(|key| met.groups.contains(key));
        if all {
            met.last = Some(Arc::clone(keys));
        }
        all
    }

    /// For each of these groups whether it was not met.
    pub(super) fn left(&self, groups: &Rows) -> Vec<bool> {
        let met = self.met();
        groups.iter().map(|group| !met.groups.contains(group.data())).collect()
    }

    fn met(&self) -> MutexGuard<'_, Met> {
        self.met.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rows that may be the newest of their group: those that no row of the same group follows
    /// at once at a later time. Where time does not matter, one row of each group in succession.
    pub(super) fn newest(&self, rows: &RecordBatch, time: Option<usize>) -> Result<UInt32Array> {
        let times = time.map(|time| {
            let times = rows.column(time).as_primitive_opt::<TimestampNanosecondType>();
            times.ok_or_else(|| exec_datafusion_err!("rows without a time column"))
        });
        let times = times.transpose()?.map(|times| times.values().as_ref());
        let is_last = |i: usize| times.is_some_and(|times: &[i64]| times[i] >= times[i + 1]);
        let mut last = Vec::new();
        for run in runs(&self.columns(rows)?, rows.num_rows())? {
            let end = run.end - 1;
            last.extend(run.filter(|i| *i == end || is_last(*i)).map(|i| i as u32));
        }
        Ok(last.into())
    }

    fn columns(&self, rows: &RecordBatch) -> Result<Vec<ArrayRef>> {
        if self.schema.fields().is_empty() {
            return Ok(vec![new_null_array(&DataType::Boolean, rows.num_rows())]);
        }
        let column = |name: &str| {
            let column = rows.column_by_name(name).map(Arc::clone);
            column.ok_or_else(|| exec_datafusion_err!("rows without the tag {name}"))
        };
        self.schema.fields().iter().map(|field| column(field.name())).collect()
    }
}

/// Groups, each once.
#[derive(Default)]
struct Found(HashSet<GroupName>);

impl Found {
    fn add(&mut self, groups: &Rows) {
        for group in groups {
            if !self.0.contains(group.data()) {
                self.0.insert(Box::from(group.data()));
            }
        }
    }

    fn keys(&self) -> Arc<KeySet> {
        Arc::new(KeySet::of(self.0.iter().map(AsRef::as_ref)))
    }
}

/// The runs of rows with equal values.
fn runs(columns: &[ArrayRef], rows: usize) -> Result<Vec<Range<usize>>> {
    match rows {
        0 => Ok(Vec::new()),
        _ => Ok(partition(columns)?.ranges()),
    }
}
