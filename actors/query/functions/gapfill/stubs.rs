//! The names that mark a gap-filling query. They are gone before the query runs.

use super::super::date_bin_wallclock::DateBinWallclock;
use arrow::datatypes::{DataType, Fields};
use datafusion::common::{exec_err, plan_err};
use datafusion::error::Result;
use datafusion::functions::datetime::date_bin::DateBinFunc;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;

/// `date_bin_gapfill` and `date_bin_wallclock_gapfill`: stand for the function that bins, and ask
/// for the bins without rows.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct BinStub {
    name: &'static str,
    bins: Arc<ScalarUDF>,
    on_wallclock: bool,
}

impl BinStub {
    /// Bins of absolute time.
    pub(super) fn absolute() -> Self {
        let bins = Arc::new(ScalarUDF::new_from_impl(DateBinFunc::new()));
        Self { name: "date_bin_gapfill", bins, on_wallclock: false }
    }

    /// Bins of the clock of a time zone.
    pub(super) fn wallclock() -> Self {
        let bins = Arc::new(ScalarUDF::new_from_impl(DateBinWallclock::default()));
        Self { name: "date_bin_wallclock_gapfill", bins, on_wallclock: true }
    }

    /// The stub that an expression calls, and with what.
    pub(super) fn of(expr: &Expr) -> Option<(&Self, &[Expr])> {
        let Expr::ScalarFunction(call) = expr else {
            return None;
        };
        Some((call.func.inner().downcast_ref()?, &call.args))
    }

    /// True if the bins are those of the clock of a time zone.
    pub(super) fn on_wallclock(&self) -> bool {
        self.on_wallclock
    }

    /// The call of the function that bins.
    pub(super) fn bin(&self, args: Vec<Expr>) -> Expr {
        Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&self.bins), args))
    }

    /// The name as errors write it.
    pub(super) fn upper_name(&self) -> String {
        self.name.to_uppercase()
    }
}

impl ScalarUDFImpl for BinStub {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        self.bins.signature()
    }

    fn coerce_types(&self, args: &[DataType]) -> Result<Vec<DataType>> {
        self.bins.coerce_types(args)
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        self.bins.return_type(args)
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        exec_err!("{} may only be used as a GROUP BY expression", self.name)
    }
}

/// How `locf` and `interpolate` find a value where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum FillKind {
    /// The last value before.
    Previous,
    /// The straight line between the values around.
    Linear,
}

impl FillKind {
    /// The function that asks for it.
    pub(super) fn function(self) -> &'static str {
        match self {
            Self::Previous => "locf",
            Self::Linear => "interpolate",
        }
    }
}

/// `locf(aggregate)` and `interpolate(aggregate)`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct FillStub {
    kind: FillKind,
    signature: Signature,
}

impl FillStub {
    /// The function of a kind.
    pub(super) fn new(kind: FillKind) -> Self {
        Self { kind, signature: Signature::any(1, Volatility::Immutable) }
    }

    /// The stub that an expression calls, and with what.
    pub(super) fn of(expr: &Expr) -> Option<(&Self, &[Expr])> {
        let Expr::ScalarFunction(call) = expr else {
            return None;
        };
        Some((call.func.inner().downcast_ref()?, &call.args))
    }

    /// Which of the two it is.
    pub(super) fn kind(&self) -> FillKind {
        self.kind
    }
}

impl ScalarUDFImpl for FillStub {
    fn name(&self) -> &str {
        self.kind.function()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        match (self.kind, args) {
            (FillKind::Linear, [arg]) if !is_on_a_line(arg) => {
                plan_err!("interpolate does not support values of type {arg}")
            }
            (_, [arg]) => Ok(arg.clone()),
            _ => plan_err!("{} requires 1 argument, got {}", self.name(), args.len()),
        }
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        exec_err!("{} may only be used in the SELECT list of a gap-filling query", self.name())
    }
}

/// True for the types whose values `interpolate` can find, which are numbers and rows of them.
fn is_on_a_line(kind: &DataType) -> bool {
    match kind {
        DataType::Float64 | DataType::Int64 | DataType::UInt64 => true,
        DataType::Struct(fields) => line_child(fields).is_some(),
        _ => false,
    }
}

/// The part of a chosen row that a line goes through.
pub(super) fn line_child(fields: &Fields) -> Option<usize> {
    let (at, field) = fields.find("value")?;
    let number =
        matches!(field.data_type(), DataType::Float64 | DataType::Int64 | DataType::UInt64);
    number.then_some(at)
}
