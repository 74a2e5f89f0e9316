//! `sum` of integers and durations, and `avg` of durations, that do not overflow unseen.
//!
//! DataFusion 55 adds modulo 2^64 (apache/datafusion#17539). Here sums are 128 bits wide while they
//! are made, so that only what a result cannot hold is an error, in whatever order the rows come.
//! Sums and means of floats by group are those of the engine, made faster where the rows of a group
//! come in runs. Everything else is the engine's.

mod accumulators;
mod floats;

use accumulators::{Distinct, Groups, Outcome, Total};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::error::Result;
use datafusion::functions_aggregate::average::Avg;
use datafusion::functions_aggregate::sum::Sum;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, GroupsAccumulator, ReversedUDAF,
    SetMonotonicity, Signature,
};
use floats::Floats;
use std::sync::Arc;

/// The functions of this file.
pub(super) fn all() -> [Arc<AggregateUDF>; 2] {
    let sum = Wide { inner: Sum::new().into(), is_mean: false };
    let avg = Wide { inner: Avg::new().into(), is_mean: true };
    [sum, avg].map(|function| Arc::new(AggregateUDF::new_from_impl(function)))
}

/// A function of the engine that adds in 128 bits.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Wide {
    inner: AggregateUDF,
    is_mean: bool,
}

impl Wide {
    /// What becomes of the sum if it is made here.
    fn outcome(&self, kind: &DataType, is_distinct: bool) -> Option<Outcome> {
        let is_wide = match kind {
            DataType::Int64 | DataType::UInt64 => !self.is_mean,
            DataType::Duration(_) => !(self.is_mean && is_distinct),
            _ => false,
        };
        is_wide.then(|| Outcome { is_mean: self.is_mean, kind: kind.clone() })
    }

    fn of(&self, args: &AccumulatorArgs<'_>) -> Option<Outcome> {
        self.outcome(args.return_field.data_type(), args.is_distinct)
    }
}

impl AggregateUDFImpl for Wide {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        self.inner.return_type(args)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        match self.of(&args) {
            Some(outcome) if args.is_distinct => Ok(Box::new(Distinct::new(outcome))),
            Some(outcome) => Ok(Box::new(Total::new(outcome))),
            None => self.inner.accumulator(args),
        }
    }

    fn create_sliding_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn Accumulator>> {
        match self.of(&args) {
            Some(_) => self.accumulator(args),
            None => self.inner.create_sliding_accumulator(args),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let Some(outcome) = self.outcome(args.return_field.data_type(), args.is_distinct) else {
            return self.inner.state_fields(args);
        };
        if args.is_distinct {
            let name = format_state_name(args.name, "values");
            let values = Field::new_list_field(outcome.kind, true);
            return Ok(vec![Arc::new(Field::new_list(name, values, false))]);
        }
        let sum = Field::new(format_state_name(args.name, "sum"), accumulators::SUM_TYPE, true);
        let count = Field::new(format_state_name(args.name, "count"), DataType::UInt64, true);
        Ok(vec![Arc::new(sum), Arc::new(count)])
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        match self.of(&args) {
            Some(_) => !args.is_distinct,
            None => self.inner.groups_accumulator_supported(args),
        }
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        let is_of_floats = |field: &FieldRef| *field.data_type() == DataType::Float64;
        match self.of(&args) {
            Some(outcome) => Ok(Box::new(Groups::new(outcome))),
            None if args.expr_fields.iter().all(is_of_floats) && !args.is_distinct => {
                Ok(Box::new(Floats::new(self.is_mean)))
            }
            None => self.inner.create_groups_accumulator(args),
        }
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn set_monotonicity(&self, kind: &DataType) -> SetMonotonicity {
        self.inner.inner().set_monotonicity(kind)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}
