//! Casts that a comparison must not lose.
//!
//! DataFusion 55 moves a cast from a column to the literal that it is compared with. That is no
//! longer the same comparison when
//!
//! - the cast gives a time without a zone a zone: the engine then counts it as local time, and
//!   takes the cast away without the shift (apache/datafusion#25095). Local time is
//!   what `AT TIME ZONE` means, which is a function of ours by now (see `guard::rewrite`), and so is
//!   `arrow_cast`. What is left was put in by the engine, to compare with a time that has a zone:
//!   a time without one means UTC here, and is cast so;
//! - not every value fits the narrower type, so that the cast is NULL or an error, or not every
//!   value of the wider type survives, as with digits behind the point. Such a cast stays out of
//!   sight.

use super::super::functions::at_time_zone;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, internal_err};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::logical_expr::expr::{Between, InList, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, Cast, ColumnarValue, Expr, ExprSchemable, LogicalPlan, ReturnFieldArgs,
    ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TryCast, Volatility,
};
use datafusion::optimizer::AnalyzerRule;
use std::sync::{Arc, LazyLock};

/// The rule.
#[derive(Debug)]
pub(super) struct LosslessCasts;

impl AnalyzerRule for LosslessCasts {
    fn name(&self) -> &str {
        "lossless_casts"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(node)?.data)
    }
}

fn node(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let schema = merge_schema(&plan.inputs());
    let names = NamePreserver::new(&plan);
    let plan = plan.map_expressions(|expr| {
        let name = names.save(&expr);
        let expr = expr.transform_up(|expr| {
            let expr = zone(expr, &schema)?;
            expr.transform_data(|expr| Ok(comparison(expr, &schema)))
        })?;
        Ok(expr.update_data(|expr| name.restore(expr)))
    })?;
    if !plan.transformed {
        return Ok(plan);
    }
    plan.map_data(LogicalPlan::recompute_schema)
}

/// A cast that gives a time a zone.
fn zone(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let from_local =
        |expr: &Expr| matches!(expr.get_type(schema), Ok(DataType::Timestamp(_, None)));
    match expr {
        Expr::Cast(Cast { expr, field }) if from_local(&expr) => {
            let DataType::Timestamp(unit, Some(zone)) = field.data_type() else {
                return Ok(Transformed::no(Expr::Cast(Cast { expr, field })));
            };
            if is_utc(zone) {
                return Ok(Transformed::no(Expr::Cast(Cast { expr, field })));
            }
            let utc = DataType::Timestamp(*unit, Some("UTC".into()));
            let utc = Expr::Cast(Cast::new(expr, utc));
            Ok(Transformed::yes(Expr::Cast(Cast { expr: Box::new(utc), field })))
        }
        Expr::ScalarFunction(call) if call.func.name() == "arrow_cast" => {
            let local = call.args.first().filter(|arg| from_local(arg)).cloned();
            let target = match &local {
                Some(_) => Expr::ScalarFunction(call.clone()).get_type(schema)?,
                None => DataType::Null,
            };
            match (local, &target) {
                (Some(local), DataType::Timestamp(_, Some(zone))) if !is_utc(zone) => {
                    let at = at_time_zone::call(local, zone);
                    Ok(Transformed::yes(Expr::Cast(Cast::new(Box::new(at), target))))
                }
                _ => Ok(Transformed::no(Expr::ScalarFunction(call))),
            }
        }
        other => Ok(Transformed::no(other)),
    }
}

fn is_utc(zone: &str) -> bool {
    matches!(zone, "UTC" | "+00:00" | "Etc/UTC" | "Z")
}

/// A comparison, with the casts in it kept where they are.
fn comparison(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let mut is_kept = false;
    let mut keep = |expr: Box<Expr>| {
        if !loses(&expr, schema) {
            return expr;
        }
        is_kept = true;
        Box::new(Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&KEPT), vec![*expr])))
    };
    let expr = match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if op.supports_propagation() => {
            Expr::BinaryExpr(BinaryExpr { left: keep(left), op, right: keep(right) })
        }
        Expr::Between(Between { expr, negated, low, high }) => {
            Expr::Between(Between { expr: keep(expr), negated, low, high })
        }
        Expr::InList(InList { expr, list, negated }) => {
            Expr::InList(InList { expr: keep(expr), list, negated })
        }
        other => other,
    };
    if is_kept { Transformed::yes(expr) } else { Transformed::no(expr) }
}

/// True for a cast of which some value does not come back the same, and for a cast of such a one.
fn loses(expr: &Expr, schema: &DFSchema) -> bool {
    let (inner, target) = match expr {
        Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => {
            (expr, field.data_type())
        }
        _ => return false,
    };
    // Constants are folded for good.
    if matches!(**inner, Expr::Literal(..)) {
        return false;
    }
    if loses(inner, schema) {
        return true;
    }
    let Ok(from) = inner.get_type(schema) else { return false };
    if from.is_integer() && target.is_integer() {
        let bits = |kind: &DataType| kind.primitive_width().unwrap_or(0);
        let same_sign = from.is_signed_integer() == target.is_signed_integer();
        let fits = match same_sign {
            true => bits(&from) <= bits(target),
            false => from.is_unsigned_integer() && bits(&from) < bits(target),
        };
        return !fits;
    }
    from.is_decimal() || (from.is_numeric() && target.is_decimal())
}

static KEPT: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    let signature = Signature::any(1, Volatility::Immutable);
    Arc::new(ScalarUDF::new_from_impl(Kept { signature }))
});

/// Its argument.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Kept {
    signature: Signature,
}

impl ScalarUDFImpl for Kept {
    fn name(&self) -> &str {
        "kept"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(args.first().map_or_else(String::new, |arg| arg.schema_name().to_string()))
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        match args {
            [kind] => Ok(kind.clone()),
            _ => internal_err!("one value is kept"),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let [field] = args.arg_fields else { return internal_err!("one value is kept") };
        Ok(Arc::new(Field::new("kept", field.data_type().clone(), field.is_nullable())))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match <[ColumnarValue; 1]>::try_from(args.args) {
            Ok([value]) => Ok(value),
            Err(_) => internal_err!("one value is kept"),
        }
    }
}
