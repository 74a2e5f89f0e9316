//! Sums while they are made.

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, Decimal128Array, Int64Array,
    PrimitiveArray, UInt64Array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Int64Type, UInt64Type};
use datafusion::common::{ScalarValue, exec_datafusion_err, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};
use hashbrown::HashMap;
use std::sync::Arc;

/// What becomes of a sum.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    /// It is divided by the number of values.
    pub(super) is_mean: bool,
    /// The type of the result.
    pub(super) kind: DataType,
}

/// The type of a sum that is not done.
pub(super) const SUM_TYPE: DataType = DataType::Decimal128(38, 0);

impl Outcome {
    /// The results of sums of so many values each; none of no values.
    fn results(&self, sums: &[i128], counts: &[u64]) -> Result<ArrayRef> {
        let each = sums.iter().zip(counts).map(|(sum, count)| match (count, self.is_mean) {
            (0, _) => None,
            (count, true) => Some(sum / i128::from(*count)),
            (_, false) => Some(*sum),
        });
        if self.kind == DataType::UInt64 {
            let results = each.map(|sum| sum.map(|sum| fitting(sum, &self.kind)).transpose());
            return Ok(Arc::new(results.collect::<Result<UInt64Array>>()?));
        }
        let results = each.map(|sum| sum.map(|sum| fitting(sum, &self.kind)).transpose());
        let results: ArrayRef = Arc::new(results.collect::<Result<Int64Array>>()?);
        Ok(cast(&results, &self.kind)?)
    }

    fn result(&self, sum: i128, count: u64) -> Result<ScalarValue> {
        ScalarValue::try_from_array(&self.results(&[sum], &[count])?, 0)
    }
}

fn fitting<T: TryFrom<i128>>(sum: i128, kind: &DataType) -> Result<T> {
    T::try_from(sum).map_err(|_| {
        exec_datafusion_err!("Arithmetic overflow: the sum {sum} does not fit into {kind}")
    })
}

/// Calls `each` with the place and the value of all that are not null.
fn for_each(values: &ArrayRef, each: impl FnMut(usize, i128)) -> Result<()> {
    match values.data_type() {
        DataType::UInt64 => for_each_of(values.as_primitive::<UInt64Type>(), each),
        DataType::Int64 => for_each_of(values.as_primitive::<Int64Type>(), each),
        _ => for_each_of(cast(values, &DataType::Int64)?.as_primitive::<Int64Type>(), each),
    }
    Ok(())
}

fn for_each_of<T>(values: &PrimitiveArray<T>, mut each: impl FnMut(usize, i128))
where
    T: ArrowPrimitiveType,
    T::Native: Into<i128>,
{
    match values.nulls().filter(|nulls| nulls.null_count() > 0) {
        None => {
            values.values().iter().enumerate().for_each(|(at, value)| each(at, (*value).into()))
        }
        Some(nulls) => nulls.valid_indices().for_each(|at| each(at, values.value(at).into())),
    }
}

/// The parts of a state.
fn parts(states: &[ArrayRef]) -> Result<(&Decimal128Array, &UInt64Array)> {
    match states {
        [sums, counts] => {
            Ok((sums.as_primitive::<Decimal128Type>(), counts.as_primitive::<UInt64Type>()))
        }
        _ => internal_err!("a sum has a state of two parts"),
    }
}

/// The sum of everything, or of a window that moves on.
#[derive(Debug)]
pub(super) struct Total {
    outcome: Outcome,
    sum: i128,
    count: u64,
}

impl Total {
    pub(super) fn new(outcome: Outcome) -> Self {
        Self { outcome, sum: 0, count: 0 }
    }
}

impl Accumulator for Total {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for_each(&values[0], |_, value| {
            self.sum += value;
            self.count += 1;
        })
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for_each(&values[0], |_, value| {
            self.sum -= value;
            self.count -= 1;
        })
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.outcome.result(self.sum, self.count)
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let sum = ScalarValue::Decimal128(Some(self.sum), 38, 0);
        Ok(vec![sum, ScalarValue::UInt64(Some(self.count))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let (sums, counts) = parts(states)?;
        self.sum += sums.iter().flatten().sum::<i128>();
        self.count += counts.iter().flatten().sum::<u64>();
        Ok(())
    }
}

/// The sum of different values.
#[derive(Debug)]
pub(super) struct Distinct {
    outcome: Outcome,
    /// How often each value is there.
    values: HashMap<i128, u64>,
}

impl Distinct {
    pub(super) fn new(outcome: Outcome) -> Self {
        Self { outcome, values: HashMap::new() }
    }
}

impl Accumulator for Distinct {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for_each(&values[0], |_, value| *self.values.entry(value).or_default() += 1)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for_each(&values[0], |_, value| {
            if let Some(count) = self.values.get_mut(&value) {
                *count -= 1;
                if *count == 0 {
                    self.values.remove(&value);
                }
            }
        })
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.outcome.result(self.values.keys().sum(), self.values.len() as u64)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.allocation_size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values: Vec<i128> = self.values.keys().copied().collect();
        let as_they_are = Outcome { is_mean: false, kind: self.outcome.kind.clone() };
        let values = as_they_are.results(&values, &vec![1; values.len()])?;
        let list = datafusion::common::utils::SingleRowListArrayBuilder::new(values);
        Ok(vec![list.build_list_scalar()])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for values in states[0].as_list::<i32>().iter().flatten() {
            self.update_batch(&[values])?;
        }
        Ok(())
    }
}

/// The sums of groups.
pub(super) struct Groups {
    outcome: Outcome,
    sums: Vec<i128>,
    counts: Vec<u64>,
}

impl Groups {
    pub(super) fn new(outcome: Outcome) -> Self {
        Self { outcome, sums: Vec::new(), counts: Vec::new() }
    }

    fn grow(&mut self, groups: usize) {
        self.sums.resize(groups, 0);
        self.counts.resize(groups, 0);
    }
}

/// Sums and counts as a state; no sum of no values.
fn state_of(sums: Vec<i128>, counts: Vec<u64>) -> Result<Vec<ArrayRef>> {
    let sums = Decimal128Array::from(sums).with_precision_and_scale(38, 0)?;
    Ok(vec![Arc::new(sums), Arc::new(UInt64Array::from(counts))])
}

/// True for the rows that a FILTER lets through.
pub(super) fn passes(filter: Option<&BooleanArray>, at: usize) -> bool {
    filter.is_none_or(|filter| filter.is_valid(at) && filter.value(at))
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.grow(total);
        let (sums, counts) = (&mut self.sums, &mut self.counts);
        for_each(&values[0], |at, value| {
            if passes(filter, at) {
                sums[groups[at]] += value;
                counts[groups[at]] += 1;
            }
        })
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let (sums, counts) = (emit.take_needed(&mut self.sums), emit.take_needed(&mut self.counts));
        self.outcome.results(&sums, &counts)
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        state_of(emit.take_needed(&mut self.sums), emit.take_needed(&mut self.counts))
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.grow(total);
        let (sums, counts) = parts(states)?;
        for (group, (sum, count)) in groups.iter().zip(sums.iter().zip(counts)) {
            self.sums[*group] += sum.unwrap_or(0);
            self.counts[*group] += count.unwrap_or(0);
        }
        Ok(())
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let rows = values[0].len();
        let (mut sums, mut counts) = (vec![0; rows], vec![0; rows]);
        for_each(&values[0], |at, value| {
            if passes(filter, at) {
                (sums[at], counts[at]) = (value, 1);
            }
        })?;
        state_of(sums, counts)
    }

    fn size(&self) -> usize {
        self.sums.capacity() * size_of::<i128>() + self.counts.capacity() * size_of::<u64>()
    }
}
