//! Queries for so many rows of each series, against what the definition of a cut says of all rows.

use super::super::{Cut, cut_series};
use super::*;
use crate::query::extensions::Planner;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::{ExecutionPlan, collect};
use std::cmp::Ordering;

/// The places of the columns of `SELECT * FROM m`.
const F: usize = 0;
const G: usize = 1;
const T0: usize = 2;
const T1: usize = 3;
const TIME: usize = 4;

/// The newest values of `f` and `g` of each `t0`.
fn newest() -> Cut {
    Cut {
        series: vec![T0],
        time: TIME,
        keys: vec![T1],
        fields: vec![F, G],
        descending: true,
        skip: 0,
        fetch: Some(1),
        series_skip: 0,
        series_fetch: None,
    }
}

fn cuts() -> Vec<Cut> {
    vec![
        newest(),
        Cut { series: vec![T0, T1], keys: vec![], fields: vec![G], ..newest() },
        Cut { series: vec![], keys: vec![T0, T1], ..newest() },
        Cut { fields: vec![], ..newest() },
        Cut { descending: false, ..newest() },
        Cut { skip: 1, fetch: Some(2), ..newest() },
        Cut { descending: false, fields: vec![], fetch: Some(2), ..newest() },
    ]
}

/// What `cut` shows of `rows`, by its definition.
fn by_definition(rows: &[(Key, Fields)], cut: &Cut) -> Vec<(Key, Fields)> {
    let tags = |key: &Key, columns: &[usize]| -> Vec<Option<String>> {
        let tag = |at: &usize| if *at == T0 { key.0.clone() } else { key.1.clone() };
        columns.iter().map(tag).collect()
    };
    // Missing ones come last.
    let compare = |a: &[Option<String>], b: &[Option<String>]| {
        let last = |tag: &Option<String>| (tag.is_none(), tag.clone());
        a.iter().map(last).cmp(b.iter().map(last))
    };
    let mut rows = rows.to_vec();
    rows.sort_by(|(a, _), (b, _)| {
        let by_time = match cut.descending {
            true => b.2.cmp(&a.2),
            false => a.2.cmp(&b.2),
        };
        let by_series = compare(&tags(a, &cut.series), &tags(b, &cut.series));
        let by_keys = || -> Ordering { compare(&tags(a, &cut.keys), &tags(b, &cut.keys)) };
        by_series.then(by_time).then_with(by_keys)
    });
    let is_shown = |seen: &mut usize| {
        *seen += 1;
        *seen > cut.skip && cut.fetch.is_none_or(|fetch| *seen <= cut.skip + fetch)
    };
    let (mut seen, mut series) = ([0; 3], None);
    let mut shown = Vec::new();
    for (key, (f, g)) in rows {
        let name = tags(&key, &cut.series);
        if series.replace(name.clone()) != Some(name) {
            seen = [0; 3];
        }
        let [of_rows, of_f, of_g] = &mut seen;
        let is_cut = |at| cut.fields.contains(&at);
        let left = |at, value: Option<u8>, seen: &mut usize| {
            value.filter(|_| !is_cut(at) || is_shown(seen))
        };
        let fields = (left(F, f, of_f), left(G, g, of_g));
        let is_some = match cut.fields.is_empty() {
            true => is_shown(of_rows),
            false => (is_cut(F) && fields.0.is_some()) || (is_cut(G) && fields.1.is_some()),
        };
        if is_some {
            shown.push((key, fields));
        }
    }
    shown
}

/// The plan of a cut of the rows that a query yields.
async fn plan(session: &SessionContext, query: &str, cut: &Cut) -> Arc<dyn ExecutionPlan> {
    let state = SessionStateBuilder::new_from_existing(session.state())
        .with_query_planner(Arc::new(Planner))
        .build();
    let rows = session.sql(query).await.expect("plans").into_unoptimized_plan();
    let cut = cut_series(rows, cut.clone()).expect("cuts");
    let cut = state.optimize(&cut).expect("optimizes");
    state.create_physical_plan(&cut).await.expect("plans")
}

async fn shown(session: &SessionContext, query: &str, cut: &Cut) -> Vec<(Key, Fields)> {
    let plan = plan(session, query, cut).await;
    read(&collect(plan, session.task_ctx()).await.expect("runs"))
}

/// Compares with what is to be shown of the rows that are expected of a scan with condition `text`.
pub(super) async fn check(world: &World, text: &str, expected: &[(Key, Fields)]) {
    let session = world.session(4, None, 0);
    let query = format!("SELECT * FROM m WHERE {text}");
    for cut in cuts() {
        let found = shown(&session, &query, &cut).await;
        assert_eq!(found, by_definition(expected, &cut), "{query} cut by {cut:?}");
    }
}

/// How many rows the scan of a cut has yielded.
async fn rows_read(session: &SessionContext, cut: &Cut) -> usize {
    let plan = plan(session, "SELECT * FROM m", cut).await;
    collect(Arc::clone(&plan), session.task_ctx()).await.expect("runs");
    let plan = DisplayableExecutionPlan::with_metrics(plan.as_ref()).indent(false).to_string();
    metric(&plan, "output_rows")
}

#[test]
fn only_where_a_newest_row_lacks_a_value_older_ones_are_read() {
    run(async {
        let mut world = World::start().await;
        world.batch_rows = 8_192;
        // Sixteen rows of each series in one chunk, and three in an older one.
        let mut rows = Vec::new();
        for time in (0..3).chain(GEN1_NS * 2..GEN1_NS * 3) {
            rows.extend((0..3).flat_map(|t0| series(t0, std::iter::once(time))));
        }
        world.write(&rows, 4).await;
        let session = || world.session(4, None, 0);
        let (oldest, several) =
            (Cut { descending: false, ..newest() }, Cut { fetch: Some(4), ..newest() });
        assert_eq!(rows_read(&session(), &newest()).await, 3);
        assert_eq!(rows_read(&session(), &oldest).await, 3);
        assert_eq!(rows_read(&session(), &several).await, 12);
        // `g` of one series was written for the last time a while ago.
        let silent = |row: &mut Row| {
            if row.values[0] == Some(1) && row.time > GEN1_NS * 2 + 10 {
                row.values[2] = None;
            }
        };
        let mut world = World::start().await;
        world.batch_rows = 8_192;
        rows.iter_mut().for_each(silent);
        world.write(&rows, 4).await;
        let session = world.session(4, None, 0);
        assert_eq!(rows_read(&session, &newest()).await, 3 + 6);
        let newest = Cut { fields: vec![F], ..newest() };
        assert_eq!(rows_read(&session, &newest).await, 3);
    });
}

#[test]
fn newest_values_of_a_file_are_read_once() {
    run(async {
        let mut world = World::start().await;
        let rows: Vec<Row> = (0..3).flat_map(|t0| series(t0, 0..2_000)).collect();
        let sorted = sort_dedup(&[batch(&rows, 4)], &table(4)).expect("sorts").rows;
        let file = world.put(&sorted, 0).await;
        world.show(vec![file]).await;
        let session = world.session(4, None, 0);
        for is_read in [true, false] {
            let found = shown(&session, "SELECT * FROM m", &newest()).await;
            let times: Vec<i64> = found.iter().map(|(key, _)| key.2).collect();
            assert_eq!(times, [1_999; 3]);
            assert_eq!(world.objects.take_reads().0 > 0, is_read);
        }
    });
}

#[test]
fn rows_past_retention_are_not_shown() {
    run(async {
        let mut world = World::start().await;
        // `g` is in rows that are too old, of one series all rows are, and the rest is recent.
        let row = |t0, g: Option<u8>, time| Row { values: [Some(t0), Some(1), g, None], time };
        let rows =
            [row(0, Some(7), 20), row(0, None, 30), row(1, Some(7), 24), row(2, Some(7), 34)];
        for is_in_file in [false, true] {
            if is_in_file {
                world.persist(64, 4).await;
            } else {
                world.write(&rows, 4).await;
            }
            let session = world.session(4, Some(10), 35);
            let found = shown(&session, "SELECT * FROM m", &newest()).await;
            let key = |t0, time| (Some(text(t0)), None, time);
            assert_eq!(found, [(key(0, 30), (Some(1), None)), (key(2, 34), (Some(1), Some(7)))]);
        }
    });
}
