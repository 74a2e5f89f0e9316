//! Functions over windows, which look before each step whether their query may go on.
//!
//! A window over a whole partition asks for the result of each row in turn and hands nothing on
//! before the last. A result may be as long as the partition, and what is shared by the results of
//! many rows is copied for each of them in the end. So is a result that is the same for all rows of
//! a partition and computed once.

use super::super::scope;
use super::super::values::bytes_of;
use super::delegate::delegate;
use arrow::array::ArrayRef;
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, ScalarValue, resources_err};
use datafusion::logical_expr::expr::{
    AggregateFunction, AggregateFunctionParams, WindowFunction, WindowFunctionParams,
};
use datafusion::logical_expr::function::{
    AccumulatorArgs, AggregateFunctionSimplification, ExpressionArgs, PartitionEvaluatorArgs,
    StateFieldsArgs, WindowFunctionSimplification, WindowUDFFieldArgs,
};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::window_state::WindowAggState;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, Expr, GroupsAccumulator,
    LimitEffect, LogicalPlan, Operator, PartitionEvaluator, ReversedUDAF, ReversedUDWF,
    SetMonotonicity, Signature, StatisticsArgs, WindowFrameBound, WindowFrameUnits,
    WindowFunctionDefinition, WindowUDF, WindowUDFImpl,
};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};
use datafusion::physical_expr::PhysicalExpr;
use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;

/// Limit: bytes of constants in the filter of a window's function. It is computed for all rows of a
/// partition at once.
const FILTER_CONSTANT_BYTES_MAX: usize = 1024;

thread_local! {
    /// Rows that the window has been given that this thread computes, or has computed.
    static ROWS: Cell<usize> = const { Cell::new(0) };
}

/// What this thread computes next is a window that has been given so many rows.
pub(in super::super) fn note_rows(rows: usize) {
    ROWS.set(rows);
}

/// Puts the watched functions in the place of those that windows are computed with.
#[derive(Debug)]
pub(in super::super) struct WatchWindows;

impl OptimizerRule for WatchWindows {
    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        match plan {
            LogicalPlan::Window(_) => plan.map_expressions(|expr| expr.transform_up(watched)),
            other => Ok(Transformed::no(other)),
        }
    }

    fn name(&self) -> &str {
        "watch_windows"
    }
}

fn watched(expr: Expr) -> Result<Transformed<Expr>> {
    let Expr::WindowFunction(call) = expr else { return Ok(Transformed::no(expr)) };
    let WindowFunction { fun, params } = *call;
    if let Some(filter) = &params.filter {
        check_filter(filter)?;
    }
    let fun = match fun {
        WindowFunctionDefinition::AggregateUDF(inner) => aggregate(inner, Repeats::of(&params))
            .update_data(WindowFunctionDefinition::AggregateUDF),
        WindowFunctionDefinition::WindowUDF(inner) => {
            window(inner).update_data(WindowFunctionDefinition::WindowUDF)
        }
    };
    Ok(fun.update_data(|fun| Expr::WindowFunction(Box::new(WindowFunction { fun, params }))))
}

fn check_filter(filter: &Expr) -> Result<()> {
    filter.apply(|expr| match expr {
        Expr::Literal(value, _) if bytes_of(value) > FILTER_CONSTANT_BYTES_MAX => resources_err!(
            "the filter of a function over a window has a constant of more than \
             {FILTER_CONSTANT_BYTES_MAX} bytes"
        ),
        _ => Ok(TreeNodeRecursion::Continue),
    })?;
    Ok(())
}

/// For how many rows a result of an aggregate function stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Repeats {
    /// Each has its own.
    No,
    /// For all that it was computed of.
    ForAll,
    /// For all, of which it was computed of some.
    ForMore,
}

impl Repeats {
    fn of(params: &WindowFunctionParams) -> Self {
        let frame = &params.window_frame;
        let is_whole = |bound: &WindowFrameBound| match bound {
            WindowFrameBound::CurrentRow => {
                frame.units == WindowFrameUnits::Range && params.order_by.is_empty()
            }
            bound => bound.is_unbounded(),
        };
        match (is_whole(&frame.start_bound) && is_whole(&frame.end_bound), &params.filter) {
            (false, _) => Self::No,
            (true, None) => Self::ForAll,
            (true, Some(_)) => Self::ForMore,
        }
    }
}

fn aggregate(inner: Arc<AggregateUDF>, repeats: Repeats) -> Transformed<Arc<AggregateUDF>> {
    match inner.inner().is::<WatchedAggregate>() {
        true => Transformed::no(inner),
        false => Transformed::yes(Arc::new(AggregateUDF::new_from_impl(WatchedAggregate {
            inner,
            repeats,
        }))),
    }
}

fn window(inner: Arc<WindowUDF>) -> Transformed<Arc<WindowUDF>> {
    match inner.inner().is::<WatchedWindow>() {
        true => Transformed::no(inner),
        false => Transformed::yes(Arc::new(WindowUDF::new_from_impl(WatchedWindow { inner }))),
    }
}

/// An aggregate function that looks first.
#[derive(Debug, PartialEq, Eq, Hash)]
struct WatchedAggregate {
    inner: Arc<AggregateUDF>,
    repeats: Repeats,
}

/// A window function that looks first.
#[derive(Debug, PartialEq, Eq, Hash)]
struct WatchedWindow {
    inner: Arc<WindowUDF>,
}

impl AggregateUDFImpl for WatchedAggregate {
    delegate! {
        fn name(&self) -> &str;
        fn aliases(&self) -> &[String];
        fn signature(&self) -> &Signature;
        fn return_type(&self, types: &[DataType]) -> Result<DataType>;
        fn return_field(&self, fields: &[FieldRef]) -> Result<FieldRef>;
        fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>>;
        fn schema_name(&self, params: &AggregateFunctionParams) -> Result<String>;
        fn human_display(&self, params: &AggregateFunctionParams) -> Result<String>;
        fn window_function_schema_name(&self, params: &WindowFunctionParams) -> Result<String>;
        fn display_name(&self, params: &AggregateFunctionParams) -> Result<String>;
        fn window_function_display_name(&self, params: &WindowFunctionParams) -> Result<String>;
        fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>>;
        fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool;
        fn create_groups_accumulator(
            &self, args: AccumulatorArgs
        ) -> Result<Box<dyn GroupsAccumulator>>;
        fn order_sensitivity(&self) -> AggregateOrderSensitivity;
        fn simplify(&self) -> Option<AggregateFunctionSimplification>;
        fn simplify_expr_op_literal(
            &self, call: &AggregateFunction, arg: &Expr, op: Operator, literal: &Expr, left: bool
        ) -> Result<Option<Expr>>;
        fn is_nullable(&self) -> bool;
        fn is_descending(&self) -> Option<bool>;
        fn value_from_stats(&self, statistics: &StatisticsArgs) -> Option<ScalarValue>;
        fn default_value(&self, kind: &DataType) -> Result<ScalarValue>;
        fn supports_null_handling_clause(&self) -> bool;
        fn supports_within_group_clause(&self) -> bool;
        fn set_monotonicity(&self, kind: &DataType) -> SetMonotonicity;
        fn documentation(&self) -> Option<&Documentation>;
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(WatchedAccumulator::over(self.inner.accumulator(args)?, self.repeats))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let inner = self.inner.create_sliding_accumulator(args)?;
        Ok(WatchedAccumulator::over(inner, self.repeats))
    }

    fn with_beneficial_ordering(
        self: Arc<Self>,
        is_ordered: bool,
    ) -> Result<Option<Arc<dyn AggregateUDFImpl>>> {
        let ordered = AggregateUDF::clone(&self.inner).with_beneficial_ordering(is_ordered)?;
        let repeats = self.repeats;
        Ok(ordered.map(|inner| Arc::new(Self { inner: Arc::new(inner), repeats }) as _))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        match self.inner.reverse_udf() {
            ReversedUDAF::Reversed(reversed) => {
                ReversedUDAF::Reversed(aggregate(reversed, self.repeats).data)
            }
            other => other,
        }
    }
}

#[derive(Debug)]
struct WatchedAccumulator {
    inner: Box<dyn Accumulator>,
    repeats: Repeats,
    /// Rows that it was given.
    rows: usize,
    results: Results,
}

impl WatchedAccumulator {
    fn over(inner: Box<dyn Accumulator>, repeats: Repeats) -> Box<dyn Accumulator> {
        Box::new(Self { inner, repeats, rows: 0, results: Results::default() })
    }
}

/// Bytes of the results of a window that share memory with others.
#[derive(Debug, Default)]
struct Results(usize);

impl Results {
    /// Counts a result that is that of so many rows.
    fn add(&mut self, result: ScalarValue, rows: usize) -> Result<ScalarValue> {
        if rows > 1 || result.data_type().is_nested() {
            self.0 = self.0.saturating_add(bytes_of(&result).saturating_mul(rows));
            scope::check_room(self.0)?;
        }
        Ok(result)
    }
}

impl Accumulator for WatchedAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        scope::check()?;
        self.rows += values.first().map_or(0, |values| values.len());
        self.inner.update_batch(values)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        scope::check()?;
        let result = self.inner.evaluate()?;
        let rows = match self.repeats {
            Repeats::No => 1,
            Repeats::ForAll => self.rows,
            Repeats::ForMore => ROWS.get(),
        };
        self.results.add(result, rows)
    }

    fn size(&self) -> usize {
        self.inner.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.inner.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.inner.merge_batch(states)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        scope::check()?;
        self.inner.retract_batch(values)
    }

    fn supports_retract_batch(&self) -> bool {
        self.inner.supports_retract_batch()
    }
}

impl WindowUDFImpl for WatchedWindow {
    delegate! {
        fn name(&self) -> &str;
        fn aliases(&self) -> &[String];
        fn signature(&self) -> &Signature;
        fn expressions(&self, args: ExpressionArgs) -> Vec<Arc<dyn PhysicalExpr>>;
        fn simplify(&self) -> Option<WindowFunctionSimplification>;
        fn field(&self, args: WindowUDFFieldArgs) -> Result<FieldRef>;
        fn sort_options(&self) -> Option<SortOptions>;
        fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>>;
        fn documentation(&self) -> Option<&Documentation>;
        fn limit_effect(&self, args: &[Arc<dyn PhysicalExpr>]) -> LimitEffect;
    }

    fn partition_evaluator(
        &self,
        args: PartitionEvaluatorArgs,
    ) -> Result<Box<dyn PartitionEvaluator>> {
        let inner = self.inner.partition_evaluator_factory(args)?;
        Ok(Box::new(WatchedEvaluator { inner, results: Results::default() }))
    }

    fn reverse_expr(&self) -> ReversedUDWF {
        match self.inner.reverse_expr() {
            ReversedUDWF::Reversed(reversed) => ReversedUDWF::Reversed(window(reversed).data),
            other => other,
        }
    }
}

#[derive(Debug)]
struct WatchedEvaluator {
    inner: Box<dyn PartitionEvaluator>,
    results: Results,
}

impl PartitionEvaluator for WatchedEvaluator {
    /// Called when the results of some rows are complete and go on.
    fn memoize(&mut self, state: &mut WindowAggState) -> Result<()> {
        self.results = Results::default();
        self.inner.memoize(state)
    }

    fn get_range(&self, row: usize, rows: usize) -> Result<Range<usize>> {
        self.inner.get_range(row, rows)
    }

    fn is_causal(&self) -> bool {
        self.inner.is_causal()
    }

    fn evaluate_all(&mut self, values: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        scope::check()?;
        self.inner.evaluate_all(values, rows)
    }

    fn evaluate(&mut self, values: &[ArrayRef], range: &Range<usize>) -> Result<ScalarValue> {
        scope::check()?;
        let result = self.inner.evaluate(values, range)?;
        self.results.add(result, 1)
    }

    fn evaluate_all_with_rank(&self, rows: usize, ranks: &[Range<usize>]) -> Result<ArrayRef> {
        scope::check()?;
        self.inner.evaluate_all_with_rank(rows, ranks)
    }

    fn supports_bounded_execution(&self) -> bool {
        self.inner.supports_bounded_execution()
    }

    fn uses_window_frame(&self) -> bool {
        self.inner.uses_window_frame()
    }

    fn include_rank(&self) -> bool {
        self.inner.include_rank()
    }
}
