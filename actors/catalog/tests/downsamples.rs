//! The rules about downsamples, on the state machine alone.

use super::super::request::Request;
use super::FLOAT;
use super::rules::Rules;
use protocols::downsamples::Aggregate;
use protocols::messages::catalog::{DeleteDatabase, HardDelete};
use protocols::messages::downsamples::{CreateDownsample, DeleteDownsample, SetDownsampleDisabled};

fn create(rules: &mut Rules, name: &str, source: &str, target: &str) -> String {
    rules.ask(Request::CreateDownsample(CreateDownsample {
        db: "d".to_owned(),
        name: (!name.is_empty()).then(|| name.to_owned()),
        source: source.to_owned(),
        target_db: None,
        target: target.to_owned(),
        interval_ns: 1_000_000_000,
        offset_ns: 0,
        aggregates: vec![Aggregate::Avg],
        from_ns: None,
        disabled: false,
    }))
}

fn disable(rules: &mut Rules, name: &str, disabled: bool) -> String {
    let (db, name) = ("d".to_owned(), name.to_owned());
    rules.ask(Request::SetDownsampleDisabled(SetDownsampleDisabled { db, name, disabled }))
}

fn delete(rules: &mut Rules, name: &str) -> String {
    let (db, name) = ("d".to_owned(), name.to_owned());
    rules.ask(Request::DeleteDownsample(DeleteDownsample { db, name }))
}

#[test]
fn they_come_and_go_and_their_ids_are_not_used_again() {
    let mut rules = Rules::new();
    for table in ["a", "b", "c"] {
        assert_eq!(rules.ensure("d", &[(table, &[("f", FLOAT)])]), "ok");
    }
    let ids = |rules: &Rules| {
        let database = rules.state.snapshot.database("d").unwrap();
        database.downsamples.all.iter().map(|known| known.id).collect::<Vec<_>>()
    };
    let missing = "the requested resource was not found: a_to_b";
    assert_eq!((delete(&mut rules, "a_to_b").as_str(), ids(&rules)), (missing, vec![]));
    assert_eq!(create(&mut rules, "", "a", "b"), "ok");
    assert_eq!(create(&mut rules, "n", "b", "c"), "ok");
    let refused = "invalid downsample: table 'c' is made of table 'a'";
    assert_eq!(create(&mut rules, "", "c", "a"), refused);
    assert_eq!(disable(&mut rules, "a_to_b", true), "ok");
    assert_eq!(disable(&mut rules, "a_to_b", true), "unchanged");
    assert_eq!(disable(&mut rules, "a_to_b", false), "ok");
    assert_eq!(delete(&mut rules, "a_to_b"), "ok");
    assert_eq!(create(&mut rules, "", "c", "a"), "ok");
    assert_eq!(ids(&rules), [1, 2]);
    let (name, when) = ("d".to_owned(), HardDelete::Now);
    assert_eq!(rules.ask(Request::DeleteDatabase(DeleteDatabase { name, when })), "ok");
    assert_eq!(disable(&mut rules, "n", true), "Database not found d");
}
