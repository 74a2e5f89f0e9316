//! `approx_distinct` for tags too: the engine's own does not take dictionary-encoded text.

use arrow::datatypes::{DataType, FieldRef};
use datafusion::error::Result;
use datafusion::functions_aggregate::approx_distinct::ApproxDistinct as Inner;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, Documentation, GroupsAccumulator, Signature, Volatility,
};

/// The engine's function with a dictionary read as its values.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct ApproxDistinct {
    inner: Inner,
    signature: Signature,
}

impl Default for ApproxDistinct {
    fn default() -> Self {
        let signature = Signature::user_defined(Volatility::Immutable);
        Self { inner: Inner::default(), signature }
    }
}

impl AggregateUDFImpl for ApproxDistinct {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, args: &[DataType]) -> Result<Vec<DataType>> {
        let [arg] = args else {
            return datafusion::common::plan_err!(
                "approx_distinct requires 1 argument, got {}",
                args.len()
            );
        };
        Ok(vec![match arg {
            DataType::Dictionary(_, values) => values.as_ref().clone(),
            other => other.clone(),
        }])
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        self.inner.return_type(args)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        self.inner.accumulator(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        self.inner.create_groups_accumulator(args)
    }

    fn default_value(&self, data_type: &DataType) -> Result<datafusion::common::ScalarValue> {
        self.inner.default_value(data_type)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}
