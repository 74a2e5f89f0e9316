//! Binding of `$name` placeholders.

use datafusion::common::{ParamValues, Result, ScalarValue};
use datafusion::logical_expr::LogicalPlan;
use protocols::messages::query::ParamValue;

/// Puts the values in the place of the placeholders. A value is a typed literal, so its text is
/// never read as SQL.
///
/// # Errors
/// When a placeholder has no value. Values without a placeholder are ignored.
pub(super) fn bind(
    plan: LogicalPlan,
    text: &str,
    params: &[(String, ParamValue)],
) -> Result<LogicalPlan> {
    if !text.contains('$') {
        return Ok(plan); // walking the plan would find nothing
    }
    let values: Vec<(String, ScalarValue)> =
        params.iter().map(|(name, value)| (name.clone(), literal(value))).collect();
    plan.replace_params_with_values(&ParamValues::from(values))
}

fn literal(value: &ParamValue) -> ScalarValue {
    match value {
        ParamValue::Null => ScalarValue::Null,
        ParamValue::Boolean(v) => ScalarValue::Boolean(Some(*v)),
        ParamValue::UInteger(v) => ScalarValue::UInt64(Some(*v)),
        ParamValue::Integer(v) => ScalarValue::Int64(Some(*v)),
        ParamValue::Float(v) => ScalarValue::Float64(Some(*v)),
        ParamValue::String(v) => ScalarValue::Utf8(Some(v.clone())),
    }
}
