//! The rules about the columns that files are indexed by, on the state machine alone.

use super::super::request::Request;
use super::super::state::CatalogState;
use super::rules::Rules;
use super::{FLOAT, STRING};
use protocols::messages::catalog::{HardDelete, SetIndexedColumns};
use protocols::schema::ColumnKind;

const TAG: ColumnKind = ColumnKind::Tag;

impl Rules {
    fn index(&mut self, db: &str, table: Option<&str>, columns: Option<&[&str]>) -> String {
        let columns = columns.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        let (db, table) = (db.to_owned(), table.map(str::to_owned));
        self.ask(Request::SetIndexedColumns(SetIndexedColumns { db, table, columns }))
    }
}

#[test]
fn columns_that_files_are_indexed_by_are_chosen_for_tables_and_databases() {
    let mut rules = Rules::new();
    let columns = [("t", TAG), ("s", STRING), ("i", FLOAT)];
    assert_eq!(
        rules.ensure("foo", &[("cpu", &columns), ("mem", &[("t", TAG), ("s", FLOAT)])]),
        "ok"
    );
    let indexed = |rules: &Rules, table: &str| {
        let foo = rules.snapshot().database("foo").unwrap();
        let columns = foo.indexed_columns(foo.readable_table(table).unwrap());
        columns.map_or("all tags".to_owned(), |columns| columns.join(" "))
    };
    assert_eq!(indexed(&rules, "cpu"), "all tags");
    assert_eq!(rules.index("foo", None, Some(&["t"])), "ok");
    assert_eq!(rules.index("foo", None, Some(&["t"])), "unchanged");
    assert_eq!(rules.index("foo", Some("cpu"), Some(&["s", "t"])), "ok");
    let both = |rules: &Rules| (indexed(rules, "cpu"), indexed(rules, "mem"));
    assert_eq!(both(&rules), ("s t".to_owned(), "t".to_owned()));
    assert_eq!(rules.ensure("foo", &[("cpu", &[("b", TAG)])]), "ok");
    let (header, checkpoint) = rules.state.to_checkpoint();
    rules.state = CatalogState::from_checkpoint(header, checkpoint);
    assert_eq!(both(&rules), ("s t".to_owned(), "t".to_owned()), "it is stored");
    for (table, columns, why) in [
        (
            None,
            &["s"][..],
            "only tags and string fields can be indexed, and s of table mem is of type float",
        ),
        (
            Some("cpu"),
            &["i"],
            "only tags and string fields can be indexed, and i of table cpu is of type float",
        ),
        (Some("cpu"), &["t", "x"], "there is no tag and no field x"),
        (Some("cpu"), &["time"], "there is no tag and no field time"),
        (Some("cpu"), &["t", "t"], "column t is there twice"),
        (None, &[], "no columns were given"),
    ] {
        let refused = format!("invalid file index: {why}");
        assert_eq!(rules.index("foo", table, Some(columns)), refused);
    }
    assert_eq!(rules.index("foo", Some("x"), None), "Table x not in DB schema for foo");
    assert_eq!(rules.index("x", None, None), "Database not found x");
    assert_eq!(rules.index("_internal", None, None), "cannot modify internal db");
    assert_eq!(rules.delete_table("foo", "cpu", HardDelete::Default), "ok");
    let renamed = "cpu-20260102T030405";
    assert_eq!(indexed(&rules, renamed), "s t", "also while it is deleted");
    let deleted = format!("attempted to modify resource that was already deleted: {renamed}");
    assert_eq!(rules.index("foo", Some(renamed), None), deleted);
    assert_eq!(rules.undelete_table("foo", "cpu"), "ok");
    assert_eq!(indexed(&rules, "cpu"), "s t");
    assert_eq!(rules.index("foo", Some("cpu"), None), "ok");
    assert_eq!(rules.index("foo", None, None), "ok");
    assert_eq!(both(&rules), ("all tags".to_owned(), "all tags".to_owned()));
}
