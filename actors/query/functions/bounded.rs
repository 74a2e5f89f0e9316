//! The engine's scalar functions, each of which looks first whether its query may go on.
//!
//! Those whose result can be far larger than their arguments are kept from making more than a
//! bounded amount of it at once: what a query takes is counted, but one that asks for a billion
//! values has them before anybody can stop it. The same goes for work that grows faster than the
//! arguments.

use super::super::scope;
use super::bins::bins;
use super::delegate::delegate;
use super::measured::{Measure, Measured};
use arrow::array::{Array, ArrayRef};
use arrow::compute::concat;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::{Result, ScalarValue, exec_err, resources_err};
use datafusion::execution::SessionStateDefaults;
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::preimage::PreimageResult;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ExpressionPlacement, ReturnFieldArgs, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, StructFieldMapping,
};
use std::sync::Arc;

/// Limit: bytes that one call may make, for all rows of a batch.
const RESULT_BYTES_MAX: u128 = 64 * 1024 * 1024;
/// Size of a value in a list.
const VALUE_BYTES: u128 = 8;
/// How long a number is as text, about.
const NUMBER_BYTES: u128 = 20;

/// How many bytes the result for a row will have, at most or at least roughly, of its arguments
/// as they were measured.
type Estimate = fn(&[Option<i128>]) -> u128;

/// The result for usual arguments.
type Quick = fn(&ScalarFunctionArgs) -> Option<ColumnarValue>;

/// A function of the engine and what it makes.
#[derive(Clone, Copy, Debug)]
struct Bound {
    name: &'static str,
    /// How arguments are measured, the last one standing for all that follow.
    measures: &'static [Measure],
    estimate: Estimate,
}

const BOUNDS: [Bound; 18] = {
    use Measure::{Bytes, Count, Elements, Position};
    const fn bound(name: &'static str, measures: &'static [Measure], estimate: Estimate) -> Bound {
        Bound { name, measures, estimate }
    }
    [
        bound("array_has_all", &[Elements], pairs),
        bound("array_has_any", &[Elements], pairs),
        bound("array_repeat", &[Bytes, Count], |args| at(args, 0).max(1) * at(args, 1)),
        bound("array_resize", &[Bytes, Count], |args| VALUE_BYTES * at(args, 1)),
        bound("array_to_string", &[Elements, Bytes], |args| {
            at(args, 0) * (NUMBER_BYTES + at(args, 1))
        }),
        bound("btrim", &[Bytes], steps),
        bound("concat", &[Bytes], |args| (0..args.len()).map(|arg| at(args, arg)).sum()),
        bound("concat_ws", &[Bytes], |args| {
            (1..args.len()).map(|arg| at(args, 0) + at(args, arg)).sum()
        }),
        bound("generate_series", &[Position], series_bytes),
        bound("levenshtein", &[Bytes], steps),
        bound("lpad", &[Bytes, Count], |args| at(args, 1)),
        bound("ltrim", &[Bytes], steps),
        bound("range", &[Position], series_bytes),
        bound("regexp_replace", &[Bytes], |args| {
            let text = at(args, 0);
            // Without the flag for all matches there is one.
            let matches = if args.len() > 3 { text + 1 } else { 1 };
            text + matches * at(args, 2)
        }),
        bound("repeat", &[Bytes, Count], |args| at(args, 0) * at(args, 1)),
        bound("replace", &[Bytes], |args| {
            let (text, from) = (at(args, 0), at(args, 1).max(1));
            text + text / from * at(args, 2)
        }),
        bound("rpad", &[Bytes, Count], |args| at(args, 1)),
        bound("rtrim", &[Bytes], steps),
    ]
};

/// Functions that the engine knows by their type when they meet in an expression. They are cheap.
const KNOWN_BY_TYPE: [&str; 5] = ["get_field", "log", "named_struct", "power", "struct"];

/// All scalar functions of the engine.
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    let engine = SessionStateDefaults::default_scalar_functions();
    engine.into_iter().map(bounded).collect()
}

fn bounded(inner: Arc<ScalarUDF>) -> Arc<ScalarUDF> {
    if KNOWN_BY_TYPE.contains(&inner.name()) {
        return inner;
    }
    let bound = BOUNDS.iter().find(|bound| bound.name == inner.name()).copied();
    let quick: Option<Quick> = (inner.name() == "date_bin").then_some(bins);
    Arc::new(ScalarUDF::new_from_impl(Bounded { inner, bound, quick }))
}

/// What compares each byte of one text with each of another one takes much less than a byte of a
/// result for that.
fn steps(args: &[Option<i128>]) -> u128 {
    at(args, 0) * at(args, 1) / 32
}

/// What compares each element of one list with each of another one.
fn pairs(args: &[Option<i128>]) -> u128 {
    at(args, 0) * at(args, 1) / 8
}

/// A measured argument, nothing where it is null, missing or negative.
fn at(args: &[Option<i128>], arg: usize) -> u128 {
    let value = args.get(arg).copied().flatten();
    value.and_then(|value| u128::try_from(value).ok()).unwrap_or(0)
}

/// `range(start, stop [, step])` and `range(stop)`
fn series_bytes(args: &[Option<i128>]) -> u128 {
    let (start, stop, step) = match *args {
        [stop] => (Some(0), stop, Some(1)),
        [start, stop] => (start, stop, Some(1)),
        [start, stop, step, ..] => (start, stop, step),
        [] => return 0,
    };
    let (Some(start), Some(stop), Some(step)) = (start, stop, step) else { return 0 };
    // No step at all and one away from the end are the function's to refuse or to answer.
    let steps = (stop - start).checked_div(step).unwrap_or(0);
    u128::try_from(steps).unwrap_or(0).saturating_mul(VALUE_BYTES)
}

/// A function of the engine, with a bound if it needs one, and with a quicker way for usual
/// arguments if there is one.
#[derive(Debug)]
struct Bounded {
    inner: Arc<ScalarUDF>,
    bound: Option<Bound>,
    quick: Option<Quick>,
}

impl PartialEq for Bounded {
    fn eq(&self, other: &Self) -> bool {
        self.inner == other.inner
    }
}

impl Eq for Bounded {}

impl std::hash::Hash for Bounded {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl ScalarUDFImpl for Bounded {
    delegate! {
        fn name(&self) -> &str;
        fn aliases(&self) -> &[String];
        fn schema_name(&self, args: &[Expr]) -> Result<String>;
        fn signature(&self) -> &Signature;
        fn return_type(&self, types: &[DataType]) -> Result<DataType>;
        fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef>;
        fn is_strict(&self) -> bool;
        fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult>;
        fn preimage(
            &self, args: &[Expr], literal: &Expr, info: &SimplifyContext
        ) -> Result<PreimageResult>;
        fn short_circuits(&self) -> bool;
        fn evaluate_bounds(&self, inputs: &[&Interval]) -> Result<Interval>;
        fn propagate_constraints(
            &self, interval: &Interval, inputs: &[&Interval]
        ) -> Result<Option<Vec<Interval>>>;
        fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties>;
        fn preserves_lex_ordering(&self, inputs: &[ExprProperties]) -> Result<bool>;
        fn strictly_order_preserving(&self, inputs: &[ExprProperties]) -> Result<bool>;
        fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>>;
        fn struct_field_mapping(&self, args: &[Option<ScalarValue>]) -> Option<StructFieldMapping>;
        fn documentation(&self) -> Option<&Documentation>;
        fn placement(&self, args: &[ExpressionPlacement]) -> ExpressionPlacement;
    }

    fn conditional_arguments<'a>(
        &self,
        args: &'a [Expr],
    ) -> Option<(Vec<&'a Expr>, Vec<&'a Expr>)> {
        self.inner.conditional_arguments(args)
    }

    fn with_updated_config(&self, config: &ConfigOptions) -> Option<ScalarUDF> {
        let inner = Arc::new(self.inner.inner().with_updated_config(config)?);
        Some(ScalarUDF::new_from_impl(Self { inner, ..*self }))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        scope::check()?;
        if let Some(result) = self.quick.and_then(|quick| quick(&args)) {
            return Ok(result);
        }
        match &self.bound {
            Some(bound) => self.invoke_in_runs(bound, args),
            None => self.inner.invoke_with_args(args),
        }
    }
}

/// Rows that a function is asked for at once.
struct Run {
    first: usize,
    rows: usize,
    bytes: u128,
}

impl Bounded {
    fn invoke_in_runs(&self, bound: &Bound, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if is_constant { 1 } else { args.number_rows };
        let runs = self.runs(bound, &args.args, rows)?;
        if runs.len() < 2 || is_constant {
            return self.inner.invoke_with_args(args);
        }
        let mut made: Vec<ArrayRef> = Vec::with_capacity(runs.len());
        let mut bytes = 0_u128;
        for run in runs {
            scope::check()?;
            let part = self.inner.invoke_with_args(part_of(&args, &run))?.into_array(run.rows)?;
            bytes += part.to_data().get_slice_memory_size()? as u128;
            if bytes > RESULT_BYTES_MAX {
                return self.refused();
            }
            made.push(part);
        }
        let made: Vec<&dyn Array> = made.iter().map(AsRef::as_ref).collect();
        Ok(ColumnarValue::Array(concat(&made)?))
    }

    /// The rows in runs that are expected to come to a bounded amount each. What is expected may
    /// be far more than what is made, so more than one run is no reason to refuse.
    fn runs(&self, bound: &Bound, args: &[ColumnarValue], rows: usize) -> Result<Vec<Run>> {
        let Bound { name, measures, estimate } = *bound;
        let measured: Vec<Measured> = args
            .iter()
            .enumerate()
            .filter_map(|(arg, value)| {
                let measure = measures.get(arg).or(measures.last())?;
                Some(Measured::of(value, *measure))
            })
            .collect::<Result<_>>()?;
        let mut runs: Vec<Run> = Vec::new();
        let mut of_row = vec![None; measured.len()];
        for row in 0..rows {
            for (place, values) in of_row.iter_mut().zip(&measured) {
                *place = values.at(row);
            }
            if name == "array_resize" && of_row.get(1).copied().flatten().is_some_and(|n| n < 0) {
                return exec_err!("array_resize requires a size that is not negative");
            }
            let bytes = estimate(&of_row);
            if bytes > RESULT_BYTES_MAX {
                return self.refused();
            }
            match runs.last_mut().filter(|run| run.bytes + bytes <= RESULT_BYTES_MAX) {
                Some(run) => (run.rows, run.bytes) = (run.rows + 1, run.bytes + bytes),
                None => runs.push(Run { first: row, rows: 1, bytes }),
            }
        }
        Ok(runs)
    }

    fn refused<T>(&self) -> Result<T> {
        resources_err!("{} would make more than {RESULT_BYTES_MAX} bytes", self.name())
    }
}

/// The arguments of a run.
fn part_of(args: &ScalarFunctionArgs, run: &Run) -> ScalarFunctionArgs {
    let part = |arg: &ColumnarValue| match arg {
        ColumnarValue::Array(values) => ColumnarValue::Array(values.slice(run.first, run.rows)),
        scalar @ ColumnarValue::Scalar(_) => scalar.clone(),
    };
    ScalarFunctionArgs {
        args: args.args.iter().map(part).collect(),
        arg_fields: args.arg_fields.clone(),
        number_rows: run.rows,
        return_field: Arc::clone(&args.return_field),
        config_options: Arc::clone(&args.config_options),
    }
}
