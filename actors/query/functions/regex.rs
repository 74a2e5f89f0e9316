//! `influx_regex_match` and `influx_regex_not_match`: the operators `~` and `!~` as functions.

use arrow::datatypes::DataType;
use datafusion::common::{exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use std::sync::Arc;

/// The functions of this file.
pub(super) fn all() -> [Arc<ScalarUDF>; 2] {
    [
        Arc::new(ScalarUDF::new_from_impl(RegexMatch::new(Operator::RegexMatch))),
        Arc::new(ScalarUDF::new_from_impl(RegexMatch::new(Operator::RegexNotMatch))),
    ]
}

/// `influx_regex_match(text, pattern)`. It becomes the operator before the query runs, so that
/// everything the planner knows about that one holds for it too.
#[derive(Debug, PartialEq, Eq, Hash)]
struct RegexMatch {
    operator: Operator,
    signature: Signature,
}

impl RegexMatch {
    fn new(operator: Operator) -> Self {
        Self { operator, signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for RegexMatch {
    fn name(&self) -> &str {
        match self.operator {
            Operator::RegexNotMatch => "influx_regex_not_match",
            _ => "influx_regex_match",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, args: &[DataType]) -> Result<Vec<DataType>> {
        let [text, pattern] = args else {
            return plan_err!("{} requires 2 arguments, got {}", self.name(), args.len());
        };
        let plain = |kind: &DataType| match kind {
            DataType::Dictionary(_, values) => values.is_string(),
            kind => kind.is_string() || kind.is_null(),
        };
        if !plain(text) || !plain(pattern) {
            return plan_err!("{} requires texts, got {text} and {pattern}", self.name());
        }
        Ok(vec![DataType::Utf8; 2])
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn simplify(&self, args: Vec<Expr>, _: &SimplifyContext) -> Result<ExprSimplifyResult> {
        Ok(match <[Expr; 2]>::try_from(args) {
            Ok([text, pattern]) => {
                let operator = self.operator;
                let is_match = BinaryExpr::new(Box::new(text), operator, Box::new(pattern));
                ExprSimplifyResult::Simplified(Expr::BinaryExpr(is_match))
            }
            Err(args) => ExprSimplifyResult::Original(args),
        })
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        exec_err!("{} was not replaced by its operator", self.name())
    }
}
