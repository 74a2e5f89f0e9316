//! `top`, `bottom`, `sample` and `distinct`: several rows of each series.

use super::kind::Kind;
use super::limits::{self, numbered};
use super::outline::Outline;
use super::planner::Planner;
use super::scalar::{self, Typed};
use super::stage::{BIN, Stage, carried, column, group, key, results};
use datafusion::common::internal_err;
use datafusion::error::Result;
use datafusion::functions::math::expr_fn::random;
use datafusion::logical_expr::{
    Expr as Engine, LogicalPlan, LogicalPlanBuilder, SortExpr, cast, lit,
};
use protocols::influxql::{Expr, Literal};
use protocols::schema::TIME_COLUMN;

/// The best rows of each series and window.
pub(super) fn several(
    planner: &Planner<'_>,
    mut stage: Stage,
    outline: &Outline,
) -> Result<(LogicalPlan, Vec<Kind>)> {
    let Some(call @ Expr::Call { name, args }) = &outline.calls.several else {
        return internal_err!("no call that chooses rows");
    };
    let Some((Expr::Literal(Literal::Integer(limit)), before)) = args.split_last() else {
        return internal_err!("{call} has no number of rows");
    };
    let (value, kind) = scalar::value(&args[0], &mut stage)?;
    let mut builder = LogicalPlanBuilder::from(stage.plan).filter(value.clone().is_not_null())?;
    let mut partition: Vec<Engine> = (0..outline.tags.len()).map(group).collect();
    partition.extend(outline.frame.windows.is_some().then(|| column(BIN)));
    let order = || -> Vec<SortExpr> {
        let first = match name.as_str() {
            "sample" => random().sort(true, false),
            "top" => value.clone().sort(false, false),
            _ => value.clone().sort(true, false),
        };
        let keys = (0..outline.key_columns()).map(|at| key(at).sort(true, false));
        let time = column(TIME_COLUMN).sort(true, false);
        [first, time].into_iter().chain(keys).collect()
    };
    if before.len() > 1 {
        let mut combination = partition.clone();
        for tag in &before[1..] {
            let found = stage.variables.iter().find(|(known, _)| known == tag);
            combination.extend(found.map(|(_, (value, _))| value.clone()));
        }
        let number = numbered(planner, "row_number", combination, order())?;
        builder = builder.window(vec![number.alias("b")])?.filter(up_to("b", 1))?;
    }
    let number = numbered(planner, "row_number", partition, order())?;
    builder = builder.window(vec![number.alias("n")])?.filter(up_to("n", *limit))?;
    let chosen: Typed = (value, kind);
    let mut stage = Stage {
        plan: builder.build()?,
        variables: stage.variables,
        calls: vec![(call.clone(), chosen)],
    };
    let (columns, kinds) = results(&mut stage, outline)?;
    let mut all = vec![column(TIME_COLUMN)];
    all.extend(carried(outline, true));
    all.extend(columns);
    let plan = LogicalPlanBuilder::from(stage.plan).project(all)?.build()?;
    Ok((limits::limited(planner, plan, outline, &[], true)?, kinds))
}

fn up_to(number: &str, limit: i64) -> Engine {
    cast(column(number), arrow::datatypes::DataType::Int64).lt_eq(lit(limit))
}

/// Each value of each series and window once.
pub(super) fn distinct(
    planner: &Planner<'_>,
    mut stage: Stage,
    outline: &Outline,
) -> Result<(LogicalPlan, Vec<Kind>)> {
    let Some(of) = &outline.calls.distinct else {
        return internal_err!("no call of distinct");
    };
    let (value, kind) = scalar::value(of, &mut stage)?;
    let mut groups = carried(outline, false);
    groups.extend(outline.frame.windows.is_some().then(|| column(BIN)));
    groups.push(value.clone());
    let plan = LogicalPlanBuilder::from(stage.plan)
        .filter(value.clone().is_not_null())?
        .aggregate(groups, Vec::<Engine>::new())?
        .build()?;
    let call = outline.items.first().map(|item| (item.expr.clone(), (value.clone(), kind)));
    let calls =
        [(Expr::Call { name: "distinct".to_owned(), args: vec![of.clone()] }, (value, kind))];
    let mut stage =
        Stage { plan, variables: Vec::new(), calls: calls.into_iter().chain(call).collect() };
    let (columns, kinds) = results(&mut stage, outline)?;
    let time = match outline.frame.windows {
        Some(_) => column(BIN),
        None => outline.frame.first(),
    };
    let mut all = vec![time.alias(TIME_COLUMN)];
    all.extend(carried(outline, false));
    all.extend(columns);
    let plan = LogicalPlanBuilder::from(stage.plan).project(all)?.build()?;
    Ok((limits::limited(planner, plan, outline, &[], false)?, kinds))
}
