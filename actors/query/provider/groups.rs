//! Groups of rows with equal tags.

use super::decoder::Sparing;
use super::key_sets::KeySet;
use super::open::Opener;
use super::overlap::FileRows;
use super::segment::{Segment, Source, chunk_times, file_times};
use super::selection::Selection;
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, Int32Array, RecordBatch, UInt32Array, new_null_array,
};
use datafusion::arrow::compute::{partition, take, take_record_batch};
use datafusion::arrow::datatypes::{DataType, Int32Type, SchemaRef, TimestampNanosecondType};
use datafusion::arrow::row::{RowConverter, Rows, SortField};
use datafusion::common::exec_datafusion_err;
use datafusion::error::Result;
use futures::{Stream, TryStreamExt};
use hashbrown::HashSet;
use protocols::messages::store::SortedRows;
use protocols::snapshot::ParquetFile;
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
    pub(super) fn question(&self) -> &str {
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

    /// True if no row of an older segment is of a group that was not met.
    pub(super) async fn cover(&self, older: &Segment, from: &Opener) -> Result<bool> {
        let has_met_any = !self.met().groups.is_empty();
        if !has_met_any || self.schema.fields().is_empty() {
            return Ok(has_met_any);
        }
        for source in &older.sources {
            match self.of_source(source, from).await? {
                Some(keys) if self.have_met(&keys) => {}
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    /// The groups of a source at all times. `None` if its rows would have to be sorted for that.
    async fn of_source(&self, source: &Source, from: &Opener) -> Result<Option<Arc<KeySet>>> {
        match source {
            Source::Chunk(number) => {
                let chunk = from.rows.view.chunk(*number)?;
                match &chunk.sorted {
                    Some(sorted) if chunk.unsorted.is_empty() => {
                        self.of_sorted(sorted, from).map(Some)
                    }
                    _ => Ok(None),
                }
            }
            Source::File(file) => match from.rows.decoded.get(&file.id) {
                Some(rows) => self.of_sorted(rows, from).map(Some),
                None => self.of_file(file, from).await.map(Some),
            },
        }
    }

    /// The groups of the selected rows of a segment, by source. `None` if its rows have to be read.
    /// A set that is equal to one of `known` becomes that one, here and for later queries.
    pub(super) async fn of_segment(
        &self,
        segment: &Segment,
        from: &Opener,
        known: &[Arc<KeySet>],
    ) -> Result<Option<Vec<Arc<KeySet>>>> {
        let mut sets = Vec::with_capacity(segment.sources.len());
        for source in &segment.sources {
            let view = &from.rows.view;
            let (times, deletes) = match source {
                Source::Chunk(number) => {
                    let chunk = view.chunk(*number)?;
                    (chunk_times(&chunk), view.deletes_of_chunk(&chunk))
                }
                Source::File(file) => (file_times(file), view.deletes_of_file(file)),
            };
            // What was deleted may have been all rows of a group.
            if !from.scan.selection.times.covers(times) || !deletes.is_empty() {
                return Ok(None);
            }
            let Some(keys) = self.of_source(source, from).await? else { return Ok(None) };
            let equal = known.iter().find(|known| **known == keys);
            match equal {
                Some(equal) if !Arc::ptr_eq(equal, &keys) => self.keep(source, from, equal)?,
                _ => {}
            }
            sets.push(equal.map_or(keys, Arc::clone));
        }
        Ok(Some(sets))
    }

    fn keep(&self, source: &Source, from: &Opener, keys: &Arc<KeySet>) -> Result<()> {
        let known = &from.context.files.remembered.key_sets;
        let rows = match source {
            Source::Chunk(number) => from.rows.view.chunk(*number)?.sorted.clone(),
            Source::File(file) => from.rows.decoded.get(&file.id).cloned(),
        };
        match (rows, source) {
            (Some(rows), _) => known.keep_of_rows(&rows, &self.question, keys),
            (None, Source::File(file)) => known.keep_of_file(file.id, &self.question, keys),
            (None, Source::Chunk(_)) => {}
        }
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
        Ok(Arc::new(found.keys))
    }

    /// The tags at the places `shown` of the groups `names`, as columns of `schema`.
    pub(super) fn tags(
        &self,
        names: &[&[u8]],
        shown: &[usize],
        schema: &SchemaRef,
    ) -> Result<RecordBatch> {
        let parser = self.converter.parser();
        let tags = self.converter.convert_rows(names.iter().map(|name| parser.parse(name)))?;
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

    fn have_met(&self, keys: &Arc<KeySet>) -> bool {
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

    fn met(&self) -> MutexGuard<'_, Met> {
        self.met.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The groups of the selected series, at all times.
    fn of_sorted(&self, sorted: &Arc<SortedRows>, from: &Opener) -> Result<Arc<KeySet>> {
        let known = &from.context.files.remembered.key_sets;
        if let Some(keys) = known.of_rows(sorted, &self.question) {
            return Ok(keys);
        }
        let series = from.scan.selection.series(sorted)?;
        let heads = UInt32Array::from_iter_values(series.iter().map(|run| run.start as u32));
        let tags = self.schema.fields().iter().map(|field| {
            // A form that was sorted before the table had the tag lacks it.
            Ok(match sorted.rows.column_by_name(field.name()) {
                Some(column) => take(column, &heads, None)?,
                None => new_null_array(field.data_type(), heads.len()),
            })
        });
        let tags = tags.collect::<Result<Vec<_>>>()?;
        let mut found = Found::default();
        found.add(&self.of(&RecordBatch::try_new(Arc::clone(&self.schema), tags)?)?);
        let keys = Arc::new(found.keys);
        known.keep_of_rows(sorted, &self.question, &keys);
        Ok(keys)
    }

    /// The groups of the selected rows of a file. What they are is read once and remembered, unless
    /// time cuts the file: then the next query wants others.
    async fn of_file(&self, file: &Arc<ParquetFile>, from: &Opener) -> Result<Arc<KeySet>> {
        let selection = &from.scan.selection;
        let known = &from.context.files.remembered.key_sets;
        let is_uncut = selection.times.covers(file_times(file));
        if is_uncut && let Some(keys) = known.of_file(file.id, &self.question) {
            return Ok(keys);
        }
        let every_row = Sparing::default();
        // Also of rows that were deleted: what is remembered has to hold whatever becomes of these.
        let file = FileRows { file: Arc::clone(file), deletes: Vec::new() };
        // One row of each series will do.
        let narrowed = from.decoder.narrowed(&file, selection, true).await?;
        let rows = from.decoder.rows(&file, selection, &self.schema, &every_row, narrowed)?;
        let keys = self.of_rows(rows).await?;
        if is_uncut {
            known.keep_of_file(file.file.id, &self.question, &keys);
        }
        Ok(keys)
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
struct Found {
    known: HashSet<GroupName>,
    keys: KeySet,
}

impl Found {
    fn add(&mut self, groups: &Rows) {
        for group in groups {
            if !self.known.contains(group.data()) {
                self.known.insert(Box::from(group.data()));
                self.keys.push(group.data());
            }
        }
    }
}

/// The runs of rows with equal values.
fn runs(columns: &[ArrayRef], rows: usize) -> Result<Vec<Range<usize>>> {
    match rows {
        0 => Ok(Vec::new()),
        _ => Ok(partition(columns)?.ranges()),
    }
}
