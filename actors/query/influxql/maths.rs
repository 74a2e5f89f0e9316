//! Functions of real numbers. Where one is not defined its value is no number: what SQL takes for an
//! error must not end a result of InfluxQL.

use arrow::array::{AsArray, Float64Array};
use arrow::compute::{binary, unary};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::exec_err;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;

/// Functions of one number.
pub(super) const OF_ONE: [&str; 13] = [
    "acos", "asin", "atan", "cos", "exp", "ln", "log10", "log2", "sin", "sqrt", "tan", "cosh",
    "sinh",
];
/// Functions of two numbers.
pub(super) const OF_TWO: [&str; 3] = ["atan2", "log", "pow"];

/// A call of a function with floating point numbers.
pub(super) fn called(name: &str, args: Vec<Expr>) -> Expr {
    let signature = Signature::any(args.len(), Volatility::Immutable);
    let function = Maths { name: name.to_owned(), signature };
    Arc::new(ScalarUDF::new_from_impl(function)).call(args)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Maths {
    name: String,
    signature: Signature,
}

impl ScalarUDFImpl for Maths {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let numbers: Option<Vec<&Float64Array>> =
            arrays.iter().map(|array| array.as_primitive_opt::<Float64Type>()).collect();
        let values: Float64Array = match numbers.as_deref() {
            Some([x]) => unary(x, of_one(&self.name)),
            Some([x, y]) => binary(x, y, of_two(&self.name))?,
            _ => return exec_err!("{} takes floating point numbers", self.name),
        };
        Ok(ColumnarValue::Array(Arc::new(values)))
    }
}

fn of_one(name: &str) -> fn(f64) -> f64 {
    match name {
        "acos" => f64::acos,
        "asin" => f64::asin,
        "atan" => f64::atan,
        "cos" => f64::cos,
        "cosh" => f64::cosh,
        "exp" => f64::exp,
        "ln" => f64::ln,
        "log10" => f64::log10,
        "log2" => f64::log2,
        "sin" => f64::sin,
        "sinh" => f64::sinh,
        "sqrt" => f64::sqrt,
        _ => f64::tan,
    }
}

fn of_two(name: &str) -> fn(f64, f64) -> f64 {
    match name {
        "atan2" => f64::atan2,
        "log" => |x, base| x.ln() / base.ln(),
        _ => f64::powf,
    }
}
