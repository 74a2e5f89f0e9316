//! Integers that overflow are an error.
//!
//! DataFusion 55 computes `+`, `-`, `*` and the sign of integers modulo 2^64, constants included
//! (apache/datafusion#17539; `BinaryExpr::with_fail_on_overflow` exists, nothing sets it). So these
//! become calls of a function with checked kernels, whose column has the name that the operator
//! gives it. Division, remainders, decimals, times, durations and intervals are checked by the
//! engine.

use arrow::compute::kernels::numeric::{add, mul, neg, sub};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, internal_err};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ReturnFieldArgs,
    ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::physical_expr_common::datum::apply;
use std::sync::{Arc, LazyLock};

/// The rule.
#[derive(Debug)]
pub(super) struct Checked;

impl AnalyzerRule for Checked {
    fn name(&self) -> &str {
        "checked_arithmetic"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(checked_node)?.data)
    }
}

fn checked_node(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let schema = merge_schema(&plan.inputs());
    let checked =
        plan.map_expressions(|expr| expr.transform_up(|expr| Ok(checked_operator(expr, &schema))))?;
    if !checked.transformed {
        return Ok(checked);
    }
    checked.map_data(LogicalPlan::recompute_schema)
}

fn checked_operator(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    // What has no type yet is a placeholder of a statement that is only described.
    let is_integer =
        |expr: &Expr| expr.get_type(schema).is_ok_and(|data_type| data_type.is_integer());
    let call = |operation: &LazyLock<Arc<ScalarUDF>>, args| {
        let operation = Arc::clone(operation);
        Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(operation, args)))
    };
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right })
            if operation(op).is_some() && is_integer(&left) && is_integer(&right) =>
        {
            match operation(op) {
                Some(operation) => call(operation, vec![*left, *right]),
                None => Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })),
            }
        }
        Expr::Negative(value) if is_integer(&value) => call(&NEGATE, vec![*value]),
        other => Transformed::no(other),
    }
}

fn operation(op: Operator) -> Option<&'static LazyLock<Arc<ScalarUDF>>> {
    match op {
        Operator::Plus => Some(&ADD),
        Operator::Minus => Some(&SUBTRACT),
        Operator::Multiply => Some(&MULTIPLY),
        _ => None,
    }
}

static ADD: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Operation::function("add"));
static SUBTRACT: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Operation::function("subtract"));
static MULTIPLY: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Operation::function("multiply"));
static NEGATE: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Operation::function("negate"));

/// A checked operation on one or two integers of the same type.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Operation {
    name: &'static str,
    signature: Signature,
}

impl Operation {
    fn function(name: &'static str) -> Arc<ScalarUDF> {
        let operands = if name == "negate" { 1 } else { 2 };
        let signature = Signature::any(operands, Volatility::Immutable);
        Arc::new(ScalarUDF::new_from_impl(Self { name, signature }))
    }

    /// The sign of the operator that this is instead of.
    fn sign(&self) -> &'static str {
        match self.name {
            "add" => "+",
            "multiply" => "*",
            _ => "-",
        }
    }
}

impl ScalarUDFImpl for Operation {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        match args {
            [value] => Ok(format!("({} {})", self.sign(), value.schema_name())),
            [left, right] => {
                Ok(format!("{} {} {}", left.schema_name(), self.sign(), right.schema_name()))
            }
            _ => internal_err!("checked arithmetic needs one or two integers"),
        }
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        match args {
            [kind] => Ok(kind.clone()),
            [left, right] if left == right => Ok(left.clone()),
            _ => internal_err!("checked arithmetic needs integers of one type"),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|f| f.data_type().clone()).collect();
        let is_nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name, self.return_type(&types)?, is_nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match (self.name, args.args.as_slice()) {
            ("add", [left, right]) => apply(left, right, add),
            ("subtract", [left, right]) => apply(left, right, sub),
            ("multiply", [left, right]) => apply(left, right, mul),
            ("negate", [ColumnarValue::Array(values)]) => {
                Ok(ColumnarValue::Array(neg(values.as_ref())?))
            }
            ("negate", [ColumnarValue::Scalar(value)]) => {
                let negated = neg(value.to_array()?.as_ref())?;
                let value = datafusion::common::ScalarValue::try_from_array(&negated, 0)?;
                Ok(ColumnarValue::Scalar(value))
            }
            _ => internal_err!("checked arithmetic needs one or two integers"),
        }
    }
}
