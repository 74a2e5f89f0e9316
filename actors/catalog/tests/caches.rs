//! The rules about caches, on the state machine alone.

use super::super::request::Request;
use super::rules::Rules;
use super::{FLOAT, STRING};
use protocols::messages::catalog::{
    CacheKind, CreateDistinctCache, CreateLastCache, DeleteCache, HardDelete,
};
use protocols::schema::{ColumnKind, TableSchema};

const TAG: ColumnKind = ColumnKind::Tag;

fn rules() -> Rules {
    let mut rules = Rules::new();
    let columns = [("a", TAG), ("b", TAG), ("f", FLOAT), ("s", STRING)];
    assert_eq!(rules.ensure("d", &[("t", &columns)]), "ok");
    rules
}

fn last(rules: &mut Rules, name: Option<&str>, keys: Option<&[&str]>) -> String {
    let keys = keys.map(|keys| keys.iter().map(|key| (*key).to_owned()).collect());
    rules.ask(Request::CreateLastCache(CreateLastCache {
        db: "d".to_owned(),
        table: "t".to_owned(),
        name: name.map(str::to_owned),
        keys,
        values: None,
        count: None,
        ttl_seconds: None,
        starts_empty: false,
    }))
}

fn distinct(rules: &mut Rules, name: Option<&str>) -> String {
    rules.ask(Request::CreateDistinctCache(CreateDistinctCache {
        db: "d".to_owned(),
        table: "t".to_owned(),
        name: name.map(str::to_owned),
        columns: vec!["s".to_owned(), "a".to_owned()],
        max_cardinality: None,
        max_age_seconds: None,
        starts_empty: false,
    }))
}

fn delete(rules: &mut Rules, kind: CacheKind, name: &str) -> String {
    let (db, table) = ("d".to_owned(), "t".to_owned());
    rules.ask(Request::DeleteCache(DeleteCache { db, table, kind, name: name.to_owned() }))
}

fn table(rules: &Rules) -> TableSchema {
    let db = rules.state.snapshot.database("d").unwrap();
    TableSchema::clone(db.table("t").unwrap())
}

#[test]
fn names_are_made_of_the_columns_and_ids_are_not_used_again() {
    let exists = "attempted to create a resource that already exists";
    let mut rules = rules();
    assert_eq!(last(&mut rules, None, None), "ok");
    assert_eq!(last(&mut rules, None, None), exists);
    assert_eq!(last(&mut rules, Some("t_a_b_last_cache"), Some(&["a"])), exists);
    assert_eq!(last(&mut rules, Some(""), Some(&[])), "ok");
    assert_eq!(distinct(&mut rules, None), "ok");
    assert_eq!(distinct(&mut rules, Some("t_a_b_last_cache")), "ok", "kinds do not meet");
    let caches = table(&rules).caches;
    let names: Vec<&str> = caches.last.iter().map(|cache| cache.name.as_ref()).collect();
    assert_eq!(names, ["t_a_b_last_cache", ""]);
    assert_eq!(caches.distinct[0].name.as_ref(), "t_s_a_distinct_cache");

    let gone = "the requested resource was not found: t_s_a_distinct_cache";
    assert_eq!(delete(&mut rules, CacheKind::Last, "t_s_a_distinct_cache"), gone);
    assert_eq!(delete(&mut rules, CacheKind::Distinct, "t_s_a_distinct_cache"), "ok");
    assert_eq!(delete(&mut rules, CacheKind::Distinct, "t_s_a_distinct_cache"), gone);
    assert_eq!(distinct(&mut rules, None), "ok");
    let ids: Vec<u32> = table(&rules).caches.distinct.iter().map(|cache| cache.id.0).collect();
    assert_eq!(ids, [3, 4]);
}

#[test]
fn caches_stay_when_columns_come_and_go_with_the_table() {
    let mut rules = rules();
    assert_eq!(last(&mut rules, None, Some(&["b"])), "ok");
    assert_eq!(rules.ensure("d", &[("t", &[("c", TAG)])]), "ok");
    let known = table(&rules);
    let cache = &known.caches.last[0];
    assert_eq!(cache.value_names(&known), ["a", "c", "f", "s", "time"]);
    assert_eq!(rules.delete_table("d", "t", HardDelete::Default), "ok");
    let missing = "Table t not in DB schema for d";
    assert_eq!(last(&mut rules, None, None), missing);
    assert_eq!(delete(&mut rules, CacheKind::Last, "t_b_last_cache"), missing);
    assert_eq!(rules.ensure("d", &[("t", &[("f", FLOAT)])]), "ok");
    assert!(table(&rules).caches.last.is_empty());
}
