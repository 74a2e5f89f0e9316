//! The rules about deletes of rows, on the state machine alone.

use super::super::request::Request;
use super::super::state::CatalogState;
use super::rules::Rules;
use super::{FLOAT, NOW_NS};
use protocols::messages::catalog::{
    AbortRowDelete, AcceptRowDelete, CompleteRowDelete, DropRowDelete, RequestRowDelete,
};
use protocols::row_deletes::{PENDING_MAX, RowDeleteState};
use protocols::schema::ColumnKind;
use uuid::Uuid;

fn rules() -> Rules {
    let mut rules = Rules::new();
    assert_eq!(rules.ensure("d", &[("t", &[("a", ColumnKind::Tag), ("f", FLOAT)])]), "ok");
    rules
}

fn request(rules: &mut Rules, table: &str, times: (i64, i64), tag: &str) -> String {
    rules.ask(Request::RequestRowDelete(RequestRowDelete {
        db: "d".to_owned(),
        table: table.to_owned(),
        request: Uuid::from_u128(7),
        min_time_ns: Some(times.0),
        max_time_ns: Some(times.1),
        tags: vec![(tag.into(), "x".into())],
    }))
}

fn accept(rules: &mut Rules, sequence: u64, bound: i64) -> String {
    rules.ask(Request::AcceptRowDelete(AcceptRowDelete { sequence, bound }))
}

fn abort(rules: &mut Rules, sequence: u64) -> String {
    let reason = Some("why".to_owned());
    rules.ask(Request::AbortRowDelete(AbortRowDelete { sequence, reason }))
}

#[test]
fn a_delete_is_asked_for_then_accepted_then_ends() {
    let mut rules = rules();
    assert_eq!(request(&mut rules, "t", (1, 5), "a"), "ok");
    let table = rules.state.snapshot.database("d").unwrap().table("t").unwrap().id;
    assert!(rules.state.snapshot.row_deletes.is_awaited(table));
    assert_eq!(abort(&mut rules, 1), "row delete request 1 is not pending any more");
    assert_eq!(accept(&mut rules, 1, 17), "ok");
    assert_eq!(accept(&mut rules, 1, 18), "unchanged");
    let deletes = rules.state.snapshot.row_deletes.of(table);
    assert_eq!((deletes.len(), deletes[0].bound, deletes[0].created_at_ns), (1, Some(17), NOW_NS));
    // One that was accepted is not dropped.
    let dropped = rules.ask(Request::DropRowDelete(DropRowDelete { sequence: 1 }));
    assert_eq!(dropped, "unchanged");
    assert_eq!(rules.state.snapshot.row_deletes.of(table).len(), 1);

    let (header, checkpoint) = rules.state.to_checkpoint();
    let again = CatalogState::from_checkpoint(header, checkpoint);
    assert_eq!(again.snapshot.row_deletes, rules.state.snapshot.row_deletes);

    assert_eq!(rules.ask(Request::CompleteRowDelete(CompleteRowDelete { sequence: 1 })), "ok");
    assert_eq!(abort(&mut rules, 1), "row delete request 1 is not pending any more");
    assert!(rules.state.snapshot.row_deletes.of(table).is_empty());
    assert_eq!(request(&mut rules, "t", (1, 5), "a"), "ok");
    assert_eq!(accept(&mut rules, 2, 20), "ok");
    assert_eq!(abort(&mut rules, 2), "ok");
    let state = rules.state.snapshot.row_deletes.get(2).unwrap().state.clone();
    assert_eq!(state, RowDeleteState::Aborted { at_ns: NOW_NS, reason: Some("why".into()) });
}

#[test]
fn one_without_a_bound_is_dropped_and_its_number_not_used_again() {
    let mut rules = rules();
    assert_eq!(request(&mut rules, "t", (1, 5), "a"), "ok");
    assert_eq!(rules.ask(Request::DropRowDelete(DropRowDelete { sequence: 1 })), "ok");
    assert_eq!(accept(&mut rules, 1, 17), "row delete request not found: 1");
    assert_eq!(abort(&mut rules, 1), "row delete request not found: 1");
    assert_eq!(request(&mut rules, "t", (1, 5), "a"), "ok");
    assert_eq!(rules.state.snapshot.row_deletes.last(), 2);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut rules = rules();
    assert_eq!(request(&mut rules, "nosuch", (1, 5), "a"), "Table nosuch not in DB schema for d");
    let empty = "the time range is empty: its end has to be after its beginning";
    let invalid = |why: &str| format!("invalid delete of rows: {why}");
    assert_eq!(request(&mut rules, "t", (5, 5), "a"), invalid(empty));
    assert_eq!(request(&mut rules, "t", (1, 5), "f"), invalid("f is a field, not a tag"));
    assert_eq!(request(&mut rules, "t", (1, 5), "b"), invalid("table t has no tag b"));
}

#[test]
fn there_is_a_bound_on_what_is_pending() {
    let mut rules = rules();
    for sequence in 1..=PENDING_MAX as u64 {
        assert_eq!(request(&mut rules, "t", (1, 5), "a"), "ok");
        assert_eq!(accept(&mut rules, sequence, 10 + sequence as i64), "ok");
    }
    let full = "1000 deletes of rows are pending, which is as many as may be";
    assert_eq!(request(&mut rules, "t", (1, 5), "a"), full);
    assert_eq!(rules.ask(Request::CompleteRowDelete(CompleteRowDelete { sequence: 9 })), "ok");
    assert_eq!(request(&mut rules, "t", (1, 5), "a"), "ok");
}
