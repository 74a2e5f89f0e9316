//! Sums and means of floats by group.
//!
//! The rows of a group mostly stand behind each other. The engine adds each value to the place of its
//! group, where an addition waits until the one before it is stored; here the values of such a run are
//! added up first. A short run gives the same result to the last bit, a long one is added up in lanes,
//! which is not less exact.

use super::accumulators::passes;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, UInt64Array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{Float64Type, UInt64Type};
use datafusion::common::internal_err;
use datafusion::error::Result;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use std::sync::Arc;

/// Shorter runs are added up one value after the other.
const LONG_RUN: usize = 64;
/// So many sums are made of a long run at the same time.
const LANES: usize = 16;

/// The sums, or means, of groups. Their states are those of the engine: the number of values, which a
/// sum does not have, and their sum, null if there are none.
pub(super) struct Floats {
    is_mean: bool,
    sums: Vec<f64>,
    counts: Vec<u64>,
}

impl Floats {
    pub(super) fn new(is_mean: bool) -> Self {
        Self { is_mean, sums: Vec::new(), counts: Vec::new() }
    }

    fn grow(&mut self, groups: usize) {
        self.sums.resize(groups, 0.0);
        self.counts.resize(groups, 0);
    }

    fn add(&mut self, group: usize, value: f64, count: u64) {
        self.sums[group] += value;
        self.counts[group] += count;
    }

    fn add_run(&mut self, group: usize, values: &[f64]) {
        let sum = self.sums[group];
        self.sums[group] = match values.len() {
            LONG_RUN.. => sum + in_lanes(values),
            _ => values.iter().fold(sum, |sum, value| sum + value),
        };
        self.counts[group] += values.len() as u64;
    }

    /// The parts of a state of sums and how many values these are of.
    fn state_of(&self, sums: Vec<f64>, counts: Vec<u64>) -> Vec<ArrayRef> {
        let nulls = nulls_of(&counts);
        let sums: ArrayRef = Arc::new(Float64Array::new(sums.into(), nulls.clone()));
        match self.is_mean {
            true => vec![Arc::new(UInt64Array::new(counts.into(), nulls)), sums],
            false => vec![sums],
        }
    }
}

/// Null where there are no values.
fn nulls_of(counts: &[u64]) -> Option<NullBuffer> {
    let is_any_empty = counts.contains(&0);
    is_any_empty.then(|| counts.iter().map(|count| *count > 0).collect())
}

fn in_lanes(values: &[f64]) -> f64 {
    let mut lanes = [0.0; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value;
        }
    }
    lanes.iter().chain(rest).fold(0.0, |sum, value| sum + value)
}

/// Where the run that begins at `from` ends.
fn run_end(groups: &[usize], from: usize) -> usize {
    let Some((group, rest)) = groups.get(from..).and_then(<[usize]>::split_first) else {
        return groups.len();
    };
    let mut end = from + 1;
    for block in rest.chunks(LONG_RUN) {
        // Without a way out in between several are compared at once.
        let differ = block.iter().fold(0, |differ, other| differ | (other ^ group));
        if differ != 0 {
            return end + block.iter().take_while(|other| *other == group).count();
        }
        end += block.len();
    }
    end
}

impl GroupsAccumulator for Floats {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.grow(total);
        let values = values[0].as_primitive::<Float64Type>();
        if filter.is_some() || values.null_count() > 0 {
            for (at, (value, group)) in values.iter().zip(groups).enumerate() {
                if let Some(value) = value.filter(|_| passes(filter, at)) {
                    self.add(*group, value, 1);
                }
            }
            return Ok(());
        }
        let mut from = 0;
        while from < groups.len() {
            let end = run_end(groups, from);
            self.add_run(groups[from], &values.values()[from..end]);
            from = end;
        }
        Ok(())
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let mut sums = emit.take_needed(&mut self.sums);
        let counts = emit.take_needed(&mut self.counts);
        if self.is_mean {
            for (sum, count) in sums.iter_mut().zip(&counts).filter(|(_, count)| **count > 0) {
                *sum /= *count as f64;
            }
        }
        Ok(Arc::new(Float64Array::new(sums.into(), nulls_of(&counts))))
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        let (sums, counts) = (emit.take_needed(&mut self.sums), emit.take_needed(&mut self.counts));
        Ok(self.state_of(sums, counts))
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.grow(total);
        let (counts, sums) = match (states, self.is_mean) {
            ([counts, sums], true) => (Some(counts.as_primitive::<UInt64Type>()), sums),
            ([sums], false) => (None, sums),
            _ => return internal_err!("this is no state of a sum"),
        };
        for (at, (sum, group)) in sums.as_primitive::<Float64Type>().iter().zip(groups).enumerate()
        {
            if let Some(sum) = sum {
                self.add(*group, sum, counts.map_or(1, |counts| counts.value(at)));
            }
        }
        Ok(())
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let values = values[0].as_primitive::<Float64Type>();
        let counts = (0..values.len()).map(|at| values.is_valid(at) && passes(filter, at));
        let counts = counts.map(u64::from).collect();
        Ok(self.state_of(values.values().to_vec(), counts))
    }

    fn size(&self) -> usize {
        self.sums.capacity() * size_of::<f64>() + self.counts.capacity() * size_of::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::functions_aggregate::average::avg_udaf;
    use datafusion::functions_aggregate::sum::sum_udaf;
    use datafusion::logical_expr::function::AccumulatorArgs;
    use datafusion::physical_expr::expressions::Column;
    use proptest::prelude::*;

    /// What the engine makes of the same.
    fn engine(is_mean: bool) -> Box<dyn GroupsAccumulator> {
        use arrow::datatypes::{DataType, Field, Schema};
        let field = Arc::new(Field::new("v", DataType::Float64, true));
        let schema = Schema::new(vec![Arc::clone(&field)]);
        let function = if is_mean { avg_udaf() } else { sum_udaf() };
        let args = AccumulatorArgs {
            return_field: Arc::clone(&field),
            schema: &schema,
            ignore_nulls: false,
            order_bys: &[],
            is_reversed: false,
            name: "f",
            is_distinct: false,
            exprs: &[Arc::new(Column::new("v", 0))],
            expr_fields: &[field],
        };
        function.create_groups_accumulator(args).expect("the engine has one")
    }

    fn runs(lengths_max: usize) -> impl Strategy<Value = Vec<(usize, Vec<Option<f64>>)>> {
        let value = prop_oneof![9 => (-1e6..1e6).prop_map(Some), 1 => Just(None)];
        let values = prop_oneof![
            prop::collection::vec(value, 1..lengths_max),
            prop::collection::vec((-1e6..1e6).prop_map(Some), 1..lengths_max),
        ];
        prop::collection::vec((0..5_usize, values), 0..8)
    }

    fn close(a: &ArrayRef, b: &ArrayRef) -> bool {
        let (a, b) = (a.as_primitive::<Float64Type>(), b.as_primitive::<Float64Type>());
        let is_close = |(a, b): (Option<f64>, Option<f64>)| match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() <= 1e-6,
            (a, b) => a == b,
        };
        a.len() == b.len() && a.iter().zip(b.iter()).all(is_close)
    }

    fn is_as_the_engines(
        runs: Vec<(usize, Vec<Option<f64>>)>,
        is_mean: bool,
        filter: Option<u32>,
        is_same: impl Fn(&ArrayRef, &ArrayRef) -> bool,
    ) {
        let (mut ours, mut theirs) = (Floats::new(is_mean), engine(is_mean));
        // Groups have numbers in the order in which they come.
        let mut met = Vec::new();
        for batch in runs.chunks(3) {
            let mut groups = Vec::new();
            for (group, run) in batch {
                let known = met.iter().position(|known| known == group);
                let number = known.unwrap_or_else(|| {
                    met.push(*group);
                    met.len() - 1
                });
                groups.resize(groups.len() + run.len(), number);
            }
            let values = batch.iter().flat_map(|(_, run)| run.iter().copied());
            let values: ArrayRef = Arc::new(values.collect::<Float64Array>());
            let bits = (0..values.len()).map(|at| filter.map(|bits| bits >> (at % 32) & 1 == 1));
            let filter = filter.map(|_| bits.collect::<BooleanArray>());
            let values = [values];
            let state = ours.convert_to_state(&values, filter.as_ref()).unwrap();
            assert_eq!(state, theirs.convert_to_state(&values, filter.as_ref()).unwrap());
            for states in [&mut ours as &mut dyn GroupsAccumulator, theirs.as_mut()] {
                states.update_batch(&values, &groups, filter.as_ref(), met.len()).unwrap();
                states.merge_batch(&state, &groups, met.len()).unwrap();
            }
        }
        if runs.is_empty() {
            return;
        }
        let (state, expected) =
            (ours.state(EmitTo::First(1)).unwrap(), theirs.state(EmitTo::First(1)).unwrap());
        assert_eq!(state.len(), expected.len());
        assert!(is_same(state.last().unwrap(), expected.last().unwrap()), "{state:?} {expected:?}");
        let (result, expected) =
            (ours.evaluate(EmitTo::All).unwrap(), theirs.evaluate(EmitTo::All).unwrap());
        assert!(is_same(&result, &expected), "{result:?} {expected:?}");
    }

    proptest! {
        #[test]
        fn short_runs_give_what_the_engine_gives(
            runs in runs(LONG_RUN),
            is_mean: bool,
            filter: Option<u32>,
        ) {
            // Runs of one group behind each other may make a long one.
            let mut last = usize::MAX;
            let runs: Vec<_> = runs
                .into_iter()
                .filter(|(group, _)| std::mem::replace(&mut last, *group) != *group)
                .collect();
            is_as_the_engines(runs, is_mean, filter, |a, b| a == b);
        }

        #[test]
        fn long_runs_give_about_that(runs in runs(500), is_mean: bool, filter: Option<u32>) {
            is_as_the_engines(runs, is_mean, filter, close);
        }

        #[test]
        fn runs_end_where_another_group_begins(lengths in prop::collection::vec(1..200_usize, 1..6)) {
            let numbered = lengths.iter().enumerate();
            let groups: Vec<usize> =
                numbered.flat_map(|(number, length)| vec![number % 2; *length]).collect();
            let mut from = 0;
            for length in lengths {
                prop_assert_eq!(run_end(&groups, from), from + length);
                from += length;
            }
            prop_assert_eq!(from, groups.len());
        }
    }
}
