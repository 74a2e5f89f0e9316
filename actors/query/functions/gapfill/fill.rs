//! The values of an aggregate in rows that were added, and where it was null.

use super::stubs::{FillKind, line_child};
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, StructArray, UInt64Array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::kernels::zip::zip;
use arrow::compute::take;
use arrow::datatypes::{ArrowNativeType, DataType, Float64Type, Int64Type, UInt64Type};
use datafusion::common::{ScalarValue, plan_err};
use datafusion::error::Result;
use std::sync::Arc;

/// The rows of a batch.
pub(super) struct AddedRows {
    /// The group of each row, `None` for rows that were added.
    pub(super) groups: Vec<Option<u64>>,
    /// The bin of each row.
    pub(super) times: Vec<Option<i64>>,
    /// How many groups were written before.
    pub(super) groups_before: usize,
}

/// An aggregate of a series and how far it was written.
pub(super) struct ColumnFill {
    values: ArrayRef,
    state: State,
}

enum State {
    Value(ScalarValue),
    Previous {
        present: Option<NullBuffer>,
        /// The last group with a value.
        last: Option<u64>,
    },
    Linear {
        present: Option<NullBuffer>,
        /// The last group with a value.
        last: Option<usize>,
        /// The first group with a value that may lie ahead.
        next: Option<usize>,
    },
}

impl ColumnFill {
    /// `value` where rows were added.
    pub(super) fn value(values: &ArrayRef, value: ScalarValue) -> Self {
        Self { values: Arc::clone(values), state: State::Value(value) }
    }

    /// Missing values found in a certain way.
    pub(super) fn filled(values: &ArrayRef, kind: FillKind) -> Result<Self> {
        let state = match kind {
            FillKind::Previous => State::Previous { present: present(values), last: None },
            FillKind::Linear => {
                let on_line = match values.as_struct_opt() {
                    Some(rows) => present_child(rows)?,
                    None => values.logical_nulls(),
                };
                let next = first_present(on_line.as_ref(), 0, values.len());
                State::Linear { present: on_line, last: None, next }
            }
        };
        Ok(Self { values: Arc::clone(values), state })
    }

    /// The column of the rows of a batch.
    pub(super) fn fill(&mut self, rows: &AddedRows, times: &Int64Array) -> Result<ArrayRef> {
        match &mut self.state {
            State::Value(value) => {
                let values = take(&self.values, &UInt64Array::from(rows.groups.clone()), None)?;
                if value.is_null() {
                    return Ok(values);
                }
                let added: BooleanArray = rows.groups.iter().map(|g| Some(g.is_none())).collect();
                Ok(zip(&added, &value.to_scalar()?, &values)?)
            }
            State::Previous { present, last } => {
                let groups = rows.groups.iter().map(|group| {
                    if let Some(group) = group.filter(|g| is_present(present.as_ref(), *g as usize))
                    {
                        *last = Some(group);
                    }
                    // Nothing before: what was there, which may say more than null.
                    last.or(*group)
                });
                let groups: UInt64Array = groups.collect();
                Ok(take(&self.values, &groups, None)?)
            }
            State::Linear { present, last, next } => {
                let sources = sources(rows, times, present.as_ref(), last, next);
                on_line(&self.values, rows, times, &sources)
            }
        }
    }
}

/// Where the value of a row comes from.
enum Source {
    /// A group that has it.
    Group(usize),
    /// The line between two groups, at a time.
    Line(usize, usize, i64),
    Nowhere,
}

fn sources(
    rows: &AddedRows,
    times: &Int64Array,
    present: Option<&NullBuffer>,
    last: &mut Option<usize>,
    next: &mut Option<usize>,
) -> Vec<Source> {
    let mut read = rows.groups_before;
    let source = |(group, time): (&Option<u64>, &Option<i64>)| {
        if let Some(group) = group {
            let group = *group as usize;
            read = group + 1;
            if is_present(present, group) {
                *last = Some(group);
                return Source::Group(group);
            }
        }
        if next.is_some_and(|group| group < read) {
            *next = first_present(present, read, times.len());
        }
        match (*last, *next, time) {
            (Some(before), Some(after), Some(time)) if times.is_valid(after) => {
                Source::Line(before, after, *time)
            }
            _ => Source::Nowhere,
        }
    };
    rows.groups.iter().zip(&rows.times).map(source).collect()
}

/// The column with values on lines; of rows that is the part that is a number.
fn on_line(
    values: &ArrayRef,
    rows: &AddedRows,
    times: &Int64Array,
    sources: &[Source],
) -> Result<ArrayRef> {
    match values.data_type() {
        DataType::Float64 => {
            let values = values.as_primitive::<Float64Type>().values();
            let found = found(values, times, sources, float_on_line);
            Ok(Arc::new(Float64Array::from(found)))
        }
        DataType::Int64 => {
            let values = values.as_primitive::<Int64Type>().values();
            let found = found(values, times, sources, |line| integer_on_line(&line));
            Ok(Arc::new(Int64Array::from(found)))
        }
        DataType::UInt64 => {
            let values = values.as_primitive::<UInt64Type>().values();
            let found = found(values, times, sources, |line| integer_on_line(&line));
            Ok(Arc::new(UInt64Array::from(found)))
        }
        DataType::Struct(fields) => {
            let chosen = values.as_struct();
            let Some(at) = line_child(fields) else {
                return plan_err!("interpolate does not support this row");
            };
            let groups = UInt64Array::from(rows.groups.clone());
            let mut parts = Vec::with_capacity(fields.len());
            for (part, values) in chosen.columns().iter().enumerate() {
                parts.push(if part == at {
                    on_line(values, rows, times, sources)?
                } else {
                    take(values, &groups, None)?
                });
            }
            // A row exists if it did or has a value now.
            let nulls: NullBuffer = rows
                .groups
                .iter()
                .enumerate()
                .map(|(row, group)| {
                    group.is_some_and(|g| chosen.is_valid(g as usize)) || parts[at].is_valid(row)
                })
                .collect();
            Ok(Arc::new(StructArray::try_new(fields.clone(), parts, Some(nulls))?))
        }
        other => plan_err!("interpolate does not support values of type {other}"),
    }
}

/// A line through two points and a time between.
struct Line<T> {
    from: (i64, T),
    to: (i64, T),
    at: i64,
}

fn found<T: ArrowNativeType>(
    values: &[T],
    times: &Int64Array,
    sources: &[Source],
    on_line: impl Fn(Line<T>) -> T,
) -> Vec<Option<T>> {
    let point = |group: usize| (times.value(group), values[group]);
    let value = |source: &Source| match source {
        Source::Group(group) => Some(values[*group]),
        Source::Line(from, to, at) => {
            Some(on_line(Line { from: point(*from), to: point(*to), at: *at }))
        }
        Source::Nowhere => None,
    };
    sources.iter().map(value).collect()
}

fn float_on_line(line: Line<f64>) -> f64 {
    let Line { from: (x0, y0), to: (x1, y1), at } = line;
    let slope = (y1 - y0) / (i128::from(x1) - i128::from(x0)) as f64;
    slope * (i128::from(at) - i128::from(x0)) as f64 + y0
}

/// The value on the line, cut off toward zero.
fn integer_on_line<T>(line: &Line<T>) -> T
where
    T: Copy + Into<i128> + TryFrom<i128>,
{
    let (y0, y1): (i128, i128) = (line.from.1.into(), line.to.1.into());
    let whole = i128::from(line.to.0) - i128::from(line.from.0);
    let part = i128::from(line.at) - i128::from(line.from.0);
    let exact = (y1 - y0)
        .checked_mul(part)
        .zip(y0.checked_mul(whole))
        .and_then(|(rise, base)| base.checked_add(rise));
    let value = match exact {
        Some(scaled) => scaled / whole,
        // Centuries and the largest numbers: a float has digits enough to be of use.
        None => y0 + ((y1 - y0) as f64 * (part as f64 / whole as f64)) as i128,
    };
    T::try_from(value).unwrap_or(line.from.1)
}

fn is_present(present: Option<&NullBuffer>, group: usize) -> bool {
    present.is_none_or(|present| present.is_valid(group))
}

fn first_present(present: Option<&NullBuffer>, from: usize, groups: usize) -> Option<usize> {
    (from..groups).find(|group| is_present(present, *group))
}

/// Where there is a value. A row all of whose parts are null is none.
fn present(values: &ArrayRef) -> Option<NullBuffer> {
    let Some(rows) = values.as_struct_opt() else {
        return values.logical_nulls();
    };
    let parts: Vec<_> = rows.columns().iter().map(|part| part.logical_nulls()).collect();
    let some_part = |row: usize| parts.iter().any(|part| is_present(part.as_ref(), row));
    Some((0..rows.len()).map(|row| rows.is_valid(row) && some_part(row)).collect())
}

/// Where the number of a row is there.
fn present_child(rows: &StructArray) -> Result<Option<NullBuffer>> {
    let Some(at) = line_child(rows.fields()) else {
        return plan_err!("interpolate does not support this row");
    };
    Ok(NullBuffer::union(rows.nulls(), rows.column(at).logical_nulls().as_ref()))
}
