//! Functions whose result can be far larger than their arguments, kept from making more than a
//! bounded amount of it at once. The engine counts memory by operators and not inside of
//! functions, and one that is asked for a billion values would take it before anybody counts.

use super::measured::{Measure, Measured};
use arrow::array::{Array, ArrayRef};
use arrow::compute::concat;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, exec_err, resources_err};
use datafusion::execution::SessionStateDefaults;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature,
};
use std::cell::Cell;
use std::sync::Arc;

/// Limit: bytes that one call may make, for all rows of a batch.
const RESULT_BYTES_MAX: u128 = 64 * 1024 * 1024;
/// Limit: bytes that all constants of a statement together may come to.
pub(in super::super) const CONSTANT_BYTES_MAX: u128 = 256 * 1024 * 1024;
/// Size of a value in a list.
const VALUE_BYTES: u128 = 8;
/// How long a number is as text, about.
const NUMBER_BYTES: u128 = 20;

tokio::task_local! {
    /// What is left of [`CONSTANT_BYTES_MAX`] while a statement is planned and started.
    pub(in super::super) static CONSTANT_BYTES_LEFT: Cell<u128>;
}

/// How many bytes the result for a row will have, at most or at least roughly, of its arguments
/// as they were measured.
type Estimate = fn(&[Option<i128>]) -> u128;

/// A function of the engine and what it makes.
#[derive(Clone, Copy, Debug)]
struct Bound {
    name: &'static str,
    /// How arguments are measured, the last one standing for all that follow.
    measures: &'static [Measure],
    estimate: Estimate,
}

const BOUNDS: [Bound; 13] = {
    use Measure::{Bytes, Count, Elements, Position};
    const fn bound(name: &'static str, measures: &'static [Measure], estimate: Estimate) -> Bound {
        Bound { name, measures, estimate }
    }
    [
        bound("array_repeat", &[Bytes, Count], |args| at(args, 0).max(1) * at(args, 1)),
        bound("array_resize", &[Bytes, Count], |args| VALUE_BYTES * at(args, 1)),
        bound("array_to_string", &[Elements, Bytes], |args| {
            at(args, 0) * (NUMBER_BYTES + at(args, 1))
        }),
        bound("concat", &[Bytes], |args| (0..args.len()).map(|arg| at(args, arg)).sum()),
        bound("concat_ws", &[Bytes], |args| {
            (1..args.len()).map(|arg| at(args, 0) + at(args, arg)).sum()
        }),
        bound("generate_series", &[Position], series_bytes),
        // Its work grows like a result would, though a step of it takes much less than a byte.
        bound("levenshtein", &[Bytes], |args| at(args, 0) * at(args, 1) / 32),
        bound("lpad", &[Bytes, Count], |args| at(args, 1)),
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
    ]
};

/// The functions of this file.
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    let engine = SessionStateDefaults::default_scalar_functions();
    let bounded = |bound: &Bound| {
        let inner = engine.iter().find(|f| f.name() == bound.name)?;
        let bounded = Bounded { inner: Arc::clone(inner), bound: *bound };
        Some(Arc::new(ScalarUDF::new_from_impl(bounded)))
    };
    BOUNDS.iter().filter_map(bounded).collect()
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

/// A function of the engine with a bound.
#[derive(Debug)]
struct Bounded {
    inner: Arc<ScalarUDF>,
    bound: Bound,
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

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if is_constant { 1 } else { args.number_rows };
        let runs = self.runs(&args.args, rows)?;
        if is_constant {
            self.count_constant(runs.iter().map(|run| run.bytes).sum())?;
        }
        if runs.len() < 2 || is_constant {
            return self.inner.invoke_with_args(args);
        }
        let mut made: Vec<ArrayRef> = Vec::with_capacity(runs.len());
        let mut bytes = 0_u128;
        for run in runs {
            let part = self.inner.invoke_with_args(part_of(&args, &run))?.into_array(run.rows)?;
            bytes += part.to_data().get_slice_memory_size()? as u128;
            if bytes > RESULT_BYTES_MAX {
                return self.refused(RESULT_BYTES_MAX);
            }
            made.push(part);
        }
        let made: Vec<&dyn Array> = made.iter().map(AsRef::as_ref).collect();
        Ok(ColumnarValue::Array(concat(&made)?))
    }
}

/// Rows that a function is asked for at once.
struct Run {
    first: usize,
    rows: usize,
    bytes: u128,
}

impl Bounded {
    /// The rows in runs that are expected to come to a bounded amount each. What is expected may
    /// be far more than what is made, so more than one run is no reason to refuse.
    fn runs(&self, args: &[ColumnarValue], rows: usize) -> Result<Vec<Run>> {
        let Bound { name, measures, estimate } = self.bound;
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
                return self.refused(RESULT_BYTES_MAX);
            }
            match runs.last_mut().filter(|run| run.bytes + bytes <= RESULT_BYTES_MAX) {
                Some(run) => (run.rows, run.bytes) = (run.rows + 1, run.bytes + bytes),
                None => runs.push(Run { first: row, rows: 1, bytes }),
            }
        }
        Ok(runs)
    }

    /// Takes from what the constants of the statement may come to.
    fn count_constant(&self, bytes: u128) -> Result<()> {
        let counted = CONSTANT_BYTES_LEFT.try_with(|left| {
            let rest = left.get().checked_sub(bytes);
            left.set(rest.unwrap_or(0));
            rest.is_some()
        });
        // Later nothing is kept.
        if counted == Ok(false) { self.refused(CONSTANT_BYTES_MAX) } else { Ok(()) }
    }

    fn refused<T>(&self, bytes: u128) -> Result<T> {
        resources_err!("{} would make more than {bytes} bytes", self.name())
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
