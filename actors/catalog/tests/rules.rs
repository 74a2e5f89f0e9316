//! The rules, on the state machine alone.

use super::super::plan::{self, plan};
use super::super::request::Request;
use super::super::state::CatalogState;
use super::super::{CatalogConfig, CatalogLimits, removed_tables};
use super::{FLOAT, HOUR_NS, NOW_NS, STRING, config, ensure, live};
use crate::storage::objects::Objects;
use protocols::catalog::CatalogSnapshot;
use protocols::catalog_log::v1::{Change, LogRecord};
use protocols::error::ErrorKind;
use protocols::ids::{DbId, TableId};
use protocols::limits::ELEMENT_BYTES_MAX;
use protocols::messages::catalog::{
    CreateDatabase, CreateTable, DeleteDatabase, DeleteTable, HardDelete, SetRetention,
    SetTableRetention, UndeleteDatabase, UndeleteTable,
};
use protocols::principal::Principal;
use protocols::schema::{ColumnKind, FieldType};
use uuid::Uuid;

const TAG: ColumnKind = ColumnKind::Tag;

pub(super) struct Rules {
    pub(super) state: CatalogState,
    config: CatalogConfig,
    now_ns: i64,
}

impl Rules {
    pub(super) fn new() -> Self {
        let mut state = CatalogState::empty(Uuid::from_u128(1));
        let changes = plan::creation(HOUR_NS);
        let record = LogRecord { nonce: Uuid::from_u128(2), time_ns: NOW_NS, changes };
        state.apply_record(&record).unwrap();
        Self { state, config: config(Objects::memory()), now_ns: NOW_NS }
    }

    fn limited(limits: CatalogLimits) -> Self {
        let mut rules = Self::new();
        rules.config.limits = limits;
        rules
    }

    /// The text of the refusal, or `ok`, or `unchanged`.
    pub(super) fn ask(&mut self, request: Request) -> String {
        self.ask_as(&Principal::Everybody, request)
    }

    /// The same on behalf of somebody.
    pub(super) fn ask_as(&mut self, principal: &Principal, request: Request) -> String {
        let before = self.state.to_checkpoint();
        let text = match plan(&self.state, &request, principal, &self.config, self.now_ns) {
            Err(error) => error.to_string(),
            Ok(changes) if changes.is_empty() => "unchanged".to_owned(),
            Ok(changes) => {
                let record = LogRecord { nonce: Uuid::nil(), time_ns: self.now_ns, changes };
                self.state.apply_record(&record).unwrap();
                "ok".to_owned()
            }
        };
        let after = self.state.to_checkpoint();
        assert_eq!(text == "ok", before != after, "only success leaves a trace: {text}");
        let (header, stored) = after.clone();
        let restored = CatalogState::from_checkpoint(header, stored);
        assert_eq!(restored.to_checkpoint(), after, "a checkpoint holds everything");
        text
    }

    pub(super) fn ensure(&mut self, db: &str, tables: &[(&str, &[(&str, ColumnKind)])]) -> String {
        self.ask(Request::EnsureSchema(ensure(db, tables)))
    }

    fn create(&mut self, name: &str) -> String {
        let name = name.to_owned();
        self.ask(Request::CreateDatabase(CreateDatabase { name, retention_ns: None }))
    }

    fn retain(&mut self, name: &str, retention_ns: Option<i64>) -> String {
        self.ask(Request::SetRetention(SetRetention { name: name.to_owned(), retention_ns }))
    }

    fn retain_table(&mut self, db: &str, table: &str, retention_ns: Option<i64>) -> String {
        let (db, table) = (db.to_owned(), table.to_owned());
        self.ask(Request::SetTableRetention(SetTableRetention { db, table, retention_ns }))
    }

    fn delete(&mut self, name: &str, when: HardDelete) -> String {
        self.ask(Request::DeleteDatabase(DeleteDatabase { name: name.to_owned(), when }))
    }

    pub(super) fn delete_table(&mut self, db: &str, table: &str, when: HardDelete) -> String {
        let (db, table) = (db.to_owned(), table.to_owned());
        self.ask(Request::DeleteTable(DeleteTable { db, table, when }))
    }

    fn undelete(&mut self, name: &str) -> String {
        self.ask(Request::UndeleteDatabase(UndeleteDatabase { name: name.to_owned() }))
    }

    pub(super) fn undelete_table(&mut self, db: &str, table: &str) -> String {
        let (db, table) = (db.to_owned(), table.to_owned());
        self.ask(Request::UndeleteTable(UndeleteTable { db, table }))
    }

    fn create_table(&mut self, db: &str, table: &str, tags: &[&str], fields: &[&str]) -> String {
        self.ask(Request::CreateTable(CreateTable {
            db: db.to_owned(),
            table: table.to_owned(),
            tags: tags.iter().map(|t| (*t).to_owned()).collect(),
            fields: fields.iter().map(|f| ((*f).to_owned(), FieldType::Float)).collect(),
        }))
    }

    pub(super) fn snapshot(&self) -> &CatalogSnapshot {
        &self.state.snapshot
    }
}

#[test]
fn internal_is_always_there_and_cannot_be_touched() {
    let mut rules = Rules::new();
    let internal = rules.snapshot().database("_internal").unwrap();
    assert_eq!((internal.id, internal.retention_ns), (DbId(0), Some(7 * 24 * HOUR_NS)));
    let bad_name = "db name did not start with a number or letter";
    assert_eq!(rules.ensure("_internal", &[]), bad_name);
    assert_eq!(rules.create("_internal"), bad_name);
    assert_eq!(rules.create_table("_internal", "t", &[], &[]), bad_name);
    assert_eq!(rules.retain("_internal", None), "cannot modify internal db");
    assert_eq!(rules.delete("_internal", HardDelete::Now), "cannot delete internal db");
    assert_eq!(rules.delete_table("_internal", "t", HardDelete::Now), "cannot modify internal db");
}

#[test]
fn a_write_makes_what_it_needs_and_nothing_twice() {
    let mut rules = Rules::new();
    let cpu: &[(&str, ColumnKind)] = &[("host", TAG), ("usage", FLOAT)];
    assert_eq!(rules.ensure("foo", &[("cpu", cpu), ("mem", cpu)]), "ok");
    assert_eq!(rules.ensure("foo", &[("cpu", cpu), ("mem", cpu)]), "unchanged");
    assert_eq!(rules.ensure("foo", &[("cpu", &[("usage", FLOAT), ("rack", TAG)])]), "ok");
    assert_eq!(rules.ensure("foo", &[("cpu", &[("a", FLOAT)]), ("cpu", &[("b", STRING)])]), "ok");
    let foo = rules.snapshot().database("foo").unwrap();
    let cpu = foo.table("cpu").unwrap();
    let names: Vec<_> = cpu.columns.iter().map(|c| (c.id.0, c.name.as_ref())).collect();
    assert_eq!(names, [(0, "host"), (1, "usage"), (2, "rack"), (3, "a"), (4, "b")]);
    assert_eq!((foo.id, cpu.id, foo.table("mem").unwrap().id), (DbId(1), TableId(0), TableId(1)));
}

#[test]
fn a_refused_write_leaves_nothing() {
    let mut rules = Rules::new();
    assert_eq!(rules.ensure("foo", &[("cpu", &[("usage", FLOAT)])]), "ok");
    let text = "invalid column type for column 'usage', expected float, got tag";
    assert_eq!(rules.ensure("foo", &[("new", &[("a", TAG)]), ("cpu", &[("usage", TAG)])]), text);
    assert_eq!(rules.ensure("bar", &[("new", &[("usage", FLOAT), ("usage", TAG)])]), text);
    let reserved = "'time' is a reserved column";
    assert_eq!(rules.ensure("bar", &[("new", &[("a", TAG), ("time", FLOAT)])]), reserved);
    assert_eq!(
        rules.ensure("foo", &[("cpu", &[("time", FLOAT)])]),
        "invalid column type for column 'time', expected timestamp, got float"
    );
    assert_eq!(
        rules.ensure("foo", &[("cpu", &[("__chunk_order", FLOAT)])]),
        "'__chunk_order' is a reserved column"
    );
    assert_eq!(rules.snapshot().next_table_id, 1);
}

#[test]
fn limits_speak_as_the_original() {
    let mut rules = Rules::limited(CatalogLimits {
        databases: Some(2),
        tables: Some(2),
        columns_per_table: Some(3),
        tag_columns_per_table: Some(2),
        last_cache_count: None,
    });
    let tags = "Update to schema would exceed number of tag columns per table limit of 2 columns";
    let columns = "Update to schema would exceed number of columns per table limit of 3 columns";
    assert_eq!(rules.ensure("a", &[("t", &[("1", TAG), ("2", TAG), ("3", TAG)])]), tags);
    assert_eq!(rules.ensure("a", &[("t", &[("1", TAG), ("2", TAG), ("3", FLOAT)])]), "ok");
    assert_eq!(rules.ensure("a", &[("t", &[("4", FLOAT)])]), columns);
    assert_eq!(
        rules.ensure("a", &[("u", &[("1", TAG)]), ("v", &[("1", TAG)])]),
        "Update to schema would exceed number of tables limit: attempted to create table but \
         already have 2 table(s) (limit: 2)"
    );
    assert_eq!(rules.create("b"), "ok");
    let databases = "Adding a new database would exceed limit of 2 databases";
    assert_eq!(rules.create("c"), databases);
    assert_eq!(rules.ensure("c", &[]), databases);
    // What is deleted does not count.
    assert_eq!(rules.delete("a", HardDelete::Never), "ok");
    assert_eq!(rules.ensure("c", &[("u", &[]), ("v", &[])]), "ok");
    assert_eq!(rules.delete_table("c", "v", HardDelete::Never), "ok");
    assert_eq!(rules.ensure("c", &[("w", &[])]), "ok");
}

#[test]
fn databases_are_created_kept_and_deleted() {
    let mut rules = Rules::new();
    assert_eq!(rules.create("foo"), "ok");
    assert_eq!(rules.create("foo"), "attempted to create a resource that already exists");
    assert_eq!(rules.create("foo/bar"), "ok");
    assert_eq!(rules.create(""), "db name cannot be empty");
    assert_eq!(rules.retain("foo", Some(1)), "ok");
    assert_eq!(rules.retain("foo", Some(1)), "unchanged");
    assert_eq!(rules.retain("foo", None), "ok");
    assert_eq!(rules.retain("x", None), "the requested resource was not found: x");
    assert_eq!(rules.delete("x", HardDelete::Now), "the requested resource was not found: x");
    assert_eq!(rules.delete("foo", HardDelete::Default), "ok");
    let renamed = "foo-20260102T030405";
    assert!(rules.snapshot().database("foo").is_none());
    let deleted = rules.snapshot().databases.get(renamed).unwrap();
    assert_eq!(deleted.deletion.unwrap().hard_delete_at_ns, Some(NOW_NS + 72 * HOUR_NS));
    let again = format!("attempted to modify resource that was already deleted: {renamed}");
    assert_eq!(rules.retain(renamed, None), again);
    assert_eq!(rules.create_table(renamed, "t", &[], &[]), again);
    assert_eq!(rules.delete_table(renamed, "t", HardDelete::Now), again);
    assert_eq!(rules.create(renamed), "attempted to create a resource that already exists");
    assert_eq!(
        rules.ensure(renamed, &[]),
        format!("cannot write to soft-deleted database '{renamed}' - it is marked for deletion")
    );
    assert_eq!(rules.create("foo"), "ok");
    assert_eq!(rules.delete("foo", HardDelete::Default), "ok");
    let ids: Vec<_> = [renamed, "foo-20260102T030405-3"]
        .map(|name| rules.snapshot().databases.get(name).unwrap().id)
        .into();
    assert_eq!(ids, [DbId(1), DbId(3)]);
    assert_eq!(live(rules.snapshot()), ["foo/bar"]);
}

#[test]
fn deleting_again_changes_the_schedule_once() {
    let mut rules = Rules::new();
    assert_eq!(rules.create("foo"), "ok");
    assert_eq!(rules.delete("foo", HardDelete::Never), "ok");
    let renamed = "foo-20260102T030405";
    let again = format!("attempted to modify resource that was already deleted: {renamed}");
    for when in [
        HardDelete::Default,
        HardDelete::Never,
        HardDelete::At(NOW_NS + 2 * HOUR_NS),
        HardDelete::Now,
    ] {
        rules.now_ns += 1;
        let first = rules.delete(renamed, when);
        rules.now_ns += 1;
        assert_eq!((first.as_str(), rules.delete(renamed, when)), ("ok", again.clone()));
    }
    assert_eq!(rules.delete(renamed, HardDelete::At(5)), again, "the past is now");
    assert_eq!(rules.ask(Request::SweepDeleted), "ok");
    assert_eq!(rules.delete(renamed, HardDelete::Never), again, "the rows are gone");
}

#[test]
fn tables_are_created_and_deleted() {
    let mut rules = Rules::new();
    assert_eq!(rules.create_table("foo", "bar", &["t1", "t2"], &["f"]), "ok");
    let exists = "attempted to create a resource that already exists";
    assert_eq!(rules.create_table("foo", "bar", &[], &[]), exists);
    assert_eq!(rules.create_table("foo", "x", &["time"], &[]), "'time' is a reserved column");
    assert_eq!(rules.create_table("foo", "x", &["a"], &["a"]), "duplicate column 'a'");
    assert_eq!(rules.create_table("foo", "x", &[""], &[]), "column name cannot be empty");
    assert_eq!(rules.create_table("foo", "", &[], &[]), "table name cannot be empty");
    let long = "x".repeat(ELEMENT_BYTES_MAX + 1);
    assert_eq!(rules.create_table("foo", &long, &[], &[]), "String is greater than 1MB");
    assert_eq!(rules.create_table("foo", "x", &[], &[&long]), "String is greater than 1MB");
    assert_eq!(rules.create_table("foo", "empty", &[], &[]), "ok");
    let gone = HardDelete::Now;
    assert_eq!(rules.delete_table("x", "bar", gone), "Database not found x");
    assert_eq!(rules.delete_table("foo", "x", gone), "Table x not in DB schema for foo");
    assert_eq!(rules.delete_table("foo", "bar", HardDelete::Never), "ok");
    assert_eq!(
        rules.delete_table("foo", "bar-20260102T030405", HardDelete::Never),
        "attempted to modify resource that was already deleted: bar-20260102T030405"
    );
    assert_eq!(
        rules.ensure("foo", &[("bar-20260102T030405", &[])]),
        "cannot write to soft-deleted table 'bar-20260102T030405' - it is marked for deletion"
    );
    assert_eq!(rules.ensure("foo", &[("bar", &[("t1", FLOAT)])]), "ok");
    assert_eq!(rules.snapshot().database("foo").unwrap().table("bar").unwrap().id, TableId(2));
}

#[test]
fn tables_have_retention_periods_of_their_own() {
    let mut rules = Rules::new();
    assert_eq!(rules.ensure("foo", &[("cpu", &[("a", TAG)])]), "ok");
    assert_eq!(rules.retain("foo", Some(7)), "ok");
    let period = |rules: &Rules, table: &str| {
        let foo = rules.snapshot().database("foo").unwrap();
        foo.retention_of(foo.readable_table(table).unwrap())
    };
    assert_eq!(period(&rules, "cpu"), Some(7));
    assert_eq!(rules.retain_table("foo", "cpu", Some(9)), "ok");
    assert_eq!(rules.retain_table("foo", "cpu", Some(9)), "unchanged");
    assert_eq!(rules.ensure("foo", &[("cpu", &[("b", TAG)])]), "ok");
    assert_eq!(period(&rules, "cpu"), Some(9), "more columns change nothing");
    let (header, checkpoint) = rules.state.to_checkpoint();
    rules.state = CatalogState::from_checkpoint(header, checkpoint);
    assert_eq!(period(&rules, "cpu"), Some(9), "it is stored");
    assert_eq!(rules.retain_table("foo", "x", None), "Table x not in DB schema for foo");
    assert_eq!(rules.retain_table("x", "cpu", None), "Database not found x");
    assert_eq!(rules.retain_table("_internal", "cpu", None), "cannot modify internal db");
    assert_eq!(rules.delete_table("foo", "cpu", HardDelete::Default), "ok");
    let renamed = "cpu-20260102T030405";
    assert_eq!(period(&rules, renamed), Some(9), "also while it is deleted");
    let deleted = format!("attempted to modify resource that was already deleted: {renamed}");
    assert_eq!(rules.retain_table("foo", renamed, None), deleted);
    assert_eq!(rules.undelete_table("foo", "cpu"), "ok");
    assert_eq!(period(&rules, "cpu"), Some(9));
    assert_eq!(rules.retain_table("foo", "cpu", None), "ok");
    assert_eq!(period(&rules, "cpu"), Some(7));
}

#[test]
fn what_was_deleted_comes_back_while_its_rows_are_there() {
    let mut rules = Rules::new();
    let dated = |name: &str| format!("{name}-20260102T030405");
    assert_eq!(rules.ensure("foo", &[("cpu", &[("a", TAG)])]), "ok");
    assert_eq!(rules.delete_table("foo", "cpu", HardDelete::Default), "ok");
    assert_eq!(rules.undelete_table("foo", "nope"), "Table nope not in DB schema for foo");
    assert_eq!(rules.undelete_table("bar", "cpu"), "Database not found bar");
    assert_eq!(rules.undelete_table("foo", &dated("cpu")), "ok");
    let cpu = rules.snapshot().database("foo").unwrap().table("cpu").unwrap();
    assert_eq!((cpu.id, cpu.columns.len(), cpu.deletion), (TableId(0), 1, None));
    assert_eq!(rules.undelete_table("foo", "cpu"), "Table cpu not in DB schema for foo");

    // By its former name the one that was deleted last, and only where that name is free.
    assert_eq!(rules.delete_table("foo", "cpu", HardDelete::Default), "ok");
    assert_eq!(rules.ensure("foo", &[("cpu", &[("b", TAG)])]), "ok");
    let in_use = format!("cannot undelete '{}': the name 'cpu' is in use", dated("cpu"));
    assert_eq!(rules.undelete_table("foo", "cpu"), in_use);
    assert_eq!(rules.undelete_table("foo", &dated("cpu")), in_use);
    assert_eq!(rules.delete_table("foo", "cpu", HardDelete::Default), "ok");
    assert_eq!(rules.undelete_table("foo", "cpu"), "ok");
    assert_eq!(rules.snapshot().database("foo").unwrap().table("cpu").unwrap().id, TableId(1));

    assert_eq!(rules.delete("foo", HardDelete::Default), "ok");
    let deleted =
        format!("attempted to modify resource that was already deleted: {}", dated("foo"));
    assert_eq!(rules.undelete_table(&dated("foo"), &dated("cpu")), deleted);
    assert_eq!(rules.undelete("nope"), "the requested resource was not found: nope");
    assert_eq!(rules.undelete("_internal"), "the requested resource was not found: _internal");
    assert_eq!(rules.undelete("foo"), "ok");
    let foo = rules.snapshot().database("foo").unwrap();
    assert_eq!((foo.id, foo.live_tables().len(), foo.tables.len()), (DbId(1), 1, 2));

    assert_eq!(rules.delete("foo", HardDelete::Now), "ok");
    assert_eq!(rules.ask(Request::SweepDeleted), "ok");
    let removed = format!("cannot undelete '{}': its rows have been removed", dated("foo"));
    assert_eq!(rules.undelete("foo"), removed);
    assert_eq!(rules.undelete(&dated("foo")), removed);
}

#[test]
fn what_comes_back_counts() {
    let limits = CatalogLimits { databases: Some(1), tables: Some(1), ..CatalogLimits::default() };
    let mut rules = Rules::limited(limits);
    assert_eq!(rules.ensure("foo", &[("cpu", &[])]), "ok");
    assert_eq!(rules.delete_table("foo", "cpu", HardDelete::Default), "ok");
    assert_eq!(rules.ensure("foo", &[("mem", &[])]), "ok");
    assert!(rules.undelete_table("foo", "cpu").contains("already have 1 table(s) (limit: 1)"));
    assert_eq!(rules.delete("foo", HardDelete::Default), "ok");
    assert_eq!(rules.create("bar"), "ok");
    let full = "Adding a new database would exceed limit of 1 databases";
    assert_eq!(rules.undelete("foo"), full);
    assert_eq!(rules.delete("bar", HardDelete::Default), "ok");
    assert_eq!(rules.undelete("foo"), "ok");
}

#[test]
fn the_sweep_removes_rows_then_entries_and_no_id_comes_back() {
    let mut rules = Rules::new();
    assert_eq!(rules.ensure("foo", &[("a", &[]), ("b", &[])]), "ok");
    assert_eq!(rules.ensure("bar", &[("c", &[]), ("d", &[])]), "ok");
    assert_eq!(rules.delete_table("bar", "d", HardDelete::At(NOW_NS + HOUR_NS)), "ok");
    assert_eq!(rules.delete("foo", HardDelete::Default), "ok");
    assert_eq!(rules.ask(Request::SweepDeleted), "unchanged");
    rules.now_ns += HOUR_NS;
    assert_eq!(rules.ask(Request::SweepDeleted), "ok");
    assert_eq!(rules.ask(Request::SweepDeleted), "unchanged");
    assert_eq!(removed_tables(rules.snapshot()), [TableId(3)]);
    rules.now_ns += 71 * HOUR_NS;
    assert_eq!(rules.ask(Request::SweepDeleted), "ok", "d is forgotten, the rows of foo are due");
    let mut removed = removed_tables(rules.snapshot());
    removed.sort_unstable();
    assert_eq!(removed, [TableId(0), TableId(1)]);
    rules.now_ns += 24 * HOUR_NS;
    assert_eq!(rules.ask(Request::SweepDeleted), "ok");
    assert_eq!(removed_tables(rules.snapshot()), []);
    assert_eq!(rules.snapshot().databases.len(), 2, "bar and _internal");
    assert_eq!(rules.ensure("foo", &[("a", &[])]), "ok");
    let foo = rules.snapshot().database("foo").unwrap();
    assert_eq!((foo.id, foo.table("a").unwrap().id), (DbId(3), TableId(4)));
}

#[test]
fn a_node_keeps_its_instance() {
    let mut rules = Rules::new();
    let mut set = |running| {
        for change in plan::set_node(&rules.state, "n", running, 7) {
            rules.state.apply(&change).unwrap();
        }
        rules.state.nodes["n"].clone()
    };
    let (started, stopped, again) = (set(true), set(false), set(true));
    assert_eq!((started.running, stopped.running, again.running), (true, false, true));
    assert_eq!((started.instance, stopped.instance), (again.instance, again.instance));
}

#[test]
fn changes_that_do_not_fit_are_refused() {
    let mut rules = Rules::new();
    assert_eq!(rules.ensure("foo", &[("cpu", &[("a", TAG)])]), "ok");
    let unfit = [
        Change::CreateCatalog { gen1_duration_ns: 1 },
        Change::CreateDatabase { id: DbId(1), db: "x".into(), retention_ns: None },
        Change::CreateDatabase { id: DbId(2), db: "foo".into(), retention_ns: None },
        Change::CreateDatabase { id: DbId(u32::MAX), db: "x".into(), retention_ns: None },
        Change::SetRetention { db: "x".into(), retention_ns: None },
        Change::SetTableRetention { db: "foo".into(), table: "x".into(), retention_ns: None },
        Change::SetIndexedColumns { db: "foo".into(), table: Some("x".into()), columns: None },
        Change::ForgetDatabase { db: "foo".into() },
        Change::ForgetTable { db: "foo".into(), table: "cpu".into() },
        Change::CreateTable {
            db: "foo".into(),
            id: TableId(1),
            table: "cpu".into(),
            columns: vec![],
        },
        Change::AddColumns { db: "foo".into(), table: "x".into(), columns: vec![] },
        Change::UndeleteTable { db: "foo".into(), table: "cpu".into(), renamed: "x".into() },
        Change::UndeleteDatabase { db: "foo".into(), renamed: "x".into() },
    ];
    for change in unfit {
        let mut state = rules.state.clone();
        assert!(state.apply(&change).is_err(), "{change:?}");
    }
    assert!(
        CatalogState::empty(Uuid::nil()).apply(&Change::ForgetDatabase { db: "x".into() }).is_err()
    );
}

#[test]
fn refusals_have_the_right_kind() {
    let rules = Rules::new();
    let kind = |request| {
        let planned = plan(&rules.state, &request, &Principal::Server, &rules.config, NOW_NS);
        planned.map_err(|e| e.kind()).unwrap_err()
    };
    assert_eq!(kind(Request::EnsureSchema(ensure("_internal", &[]))), ErrorKind::InvalidInput);
    let name = "_internal".to_owned();
    let when = HardDelete::Now;
    assert_eq!(kind(Request::DeleteDatabase(DeleteDatabase { name, when })), ErrorKind::Internal);
}
