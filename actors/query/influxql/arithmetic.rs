//! Arithmetic as version 1 has it: integers wrap around, and a number divided by zero is zero. What
//! SQL takes for an error must not end a result of InfluxQL.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::binary;
use arrow::compute::kernels::numeric::{add_wrapping, mul_wrapping, sub_wrapping};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Float64Type, Int64Type, UInt64Type};
use arrow::error::ArrowError;
use datafusion::common::{exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr_common::datum::apply;
use std::sync::Arc;

/// What is done with two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    /// What is left of a division.
    Remainder,
}

/// The result of an operation on two numbers of one type.
pub(super) fn computed(operation: Operation, left: Expr, right: Expr) -> Expr {
    let signature = Signature::any(2, Volatility::Immutable);
    let function = Computed { operation, signature };
    Arc::new(ScalarUDF::new_from_impl(function)).call(vec![left, right])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Computed {
    operation: Operation,
    signature: Signature,
}

impl ScalarUDFImpl for Computed {
    fn name(&self) -> &str {
        match self.operation {
            Operation::Add => "influxql_add",
            Operation::Subtract => "influxql_subtract",
            Operation::Multiply => "influxql_multiply",
            Operation::Divide => "influxql_divide",
            Operation::Remainder => "influxql_remainder",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        match args {
            [left @ (DataType::Float64 | DataType::Int64 | DataType::UInt64), right]
                if left == right =>
            {
                Ok(left.clone())
            }
            _ => plan_err!("{} takes two numbers of one type", self.name()),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = args.args.as_slice() else {
            return exec_err!("{} takes two numbers", self.name());
        };
        match self.operation {
            Operation::Add => apply(left, right, add_wrapping),
            Operation::Subtract => apply(left, right, sub_wrapping),
            Operation::Multiply => apply(left, right, mul_wrapping),
            Operation::Divide | Operation::Remainder => {
                let arrays = ColumnarValue::values_to_arrays(&args.args)?;
                let is_division = self.operation == Operation::Divide;
                Ok(ColumnarValue::Array(divided(&arrays[0], &arrays[1], is_division)?))
            }
        }
    }
}

/// Quotients, or what is left of them. Where there is none it is zero: of a division by zero, and
/// of the smallest integer by minus one.
fn divided(left: &ArrayRef, right: &ArrayRef, is_division: bool) -> Result<ArrayRef, ArrowError> {
    fn of<T: ArrowPrimitiveType>(
        left: &ArrayRef,
        right: &ArrayRef,
        operation: impl Fn(T::Native, T::Native) -> T::Native,
    ) -> Result<ArrayRef, ArrowError> {
        let (left, right) = (left.as_primitive::<T>(), right.as_primitive::<T>());
        Ok(Arc::new(binary::<_, _, _, T>(left, right, operation)?))
    }
    match (left.data_type(), is_division) {
        (DataType::Float64, _) => of::<Float64Type>(left, right, |a, b| match is_division {
            _ if b == 0.0 => 0.0,
            true => a / b,
            false => a % b,
        }),
        (DataType::UInt64, true) => {
            of::<UInt64Type>(left, right, |a, b| a.checked_div(b).unwrap_or_default())
        }
        (DataType::UInt64, false) => {
            of::<UInt64Type>(left, right, |a, b| a.checked_rem(b).unwrap_or_default())
        }
        (_, true) => of::<Int64Type>(left, right, |a, b| a.checked_div(b).unwrap_or_default()),
        (_, false) => of::<Int64Type>(left, right, |a, b| a.checked_rem(b).unwrap_or_default()),
    }
}
