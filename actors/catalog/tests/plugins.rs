//! The rules about plugins and triggers, on the state machine alone.

use super::super::request::Request;
use super::rules::Rules;
use protocols::messages::catalog::{
    CreatePlugin, CreateTrigger, DeleteDatabase, DeletePlugin, DeleteTrigger, HardDelete,
    SetTriggerDisabled,
};
use protocols::plugins::{
    Delivery, ErrorBehavior, Isolation, PluginDef, PluginKind, PluginRef, PluginText, TriggerSpec,
};

fn rules() -> Rules {
    let mut rules = Rules::new();
    assert_eq!(rules.ensure("d", &[]), "ok");
    assert_eq!(rules.ensure("e", &[]), "ok");
    rules
}

fn plugin(rules: &mut Rules, code: &str) -> String {
    let (name, text) = ("p".into(), PluginText::Code(code.into()));
    let plugin = PluginDef { name, kind: PluginKind::WalRows, text };
    rules.ask(Request::CreatePlugin(CreatePlugin { db: "d".to_owned(), plugin }))
}

fn trigger(rules: &mut Rules, db: &str, name: &str, plugin: PluginRef, spec: &str) -> String {
    rules.ask(Request::CreateTrigger(CreateTrigger {
        db: db.to_owned(),
        name: name.to_owned(),
        plugin,
        specification: format!(" {spec} "),
        spec: TriggerSpec::parse(spec, |_| Ok(())).unwrap(),
        arguments: Default::default(),
        run_async: false,
        error_behavior: ErrorBehavior::Log,
        isolation: Isolation::Shared,
        delivery: Delivery::AtMostOnce,
        disabled: false,
    }))
}

fn of_path() -> PluginRef {
    PluginRef::Path("f.py".into())
}

fn of_plugin() -> PluginRef {
    PluginRef::Named("p".into())
}

fn disable(rules: &mut Rules, trigger: &str, disabled: bool) -> String {
    let (db, trigger) = ("d".to_owned(), trigger.to_owned());
    rules.ask(Request::SetTriggerDisabled(SetTriggerDisabled { db, trigger, disabled }))
}

fn delete(rules: &mut Rules, trigger: &str, force: bool) -> String {
    let (db, trigger) = ("d".to_owned(), trigger.to_owned());
    rules.ask(Request::DeleteTrigger(DeleteTrigger { db, trigger, force }))
}

fn delete_plugin(rules: &mut Rules) -> String {
    let (db, plugin) = ("d".to_owned(), "p".to_owned());
    rules.ask(Request::DeletePlugin(DeletePlugin { db, plugin }))
}

const EXISTS: &str = "attempted to create a resource that already exists";

#[test]
fn a_plugin_stays_as_it_is_and_as_long_as_it_is_used() {
    let mut rules = rules();
    let unknown = "Processing Engine Plugin p not in DB schema for d";
    assert_eq!(trigger(&mut rules, "d", "t", of_plugin(), "all_tables"), unknown);
    assert_eq!(delete_plugin(&mut rules), unknown);
    assert_eq!(plugin(&mut rules, "a"), "ok");
    assert_eq!(plugin(&mut rules, "a"), "unchanged");
    assert_eq!(plugin(&mut rules, "b"), EXISTS);
    assert_eq!(trigger(&mut rules, "d", "t", of_plugin(), "all_tables"), "ok");
    assert_eq!(trigger(&mut rules, "d", "t", of_plugin(), "all_tables"), "unchanged");
    assert_eq!(
        trigger(&mut rules, "d", "t", of_plugin(), "table:x"),
        "Cannot overwrite Processing Engine Trigger t in Database d"
    );
    assert_eq!(
        trigger(&mut rules, "d", "u", of_plugin(), "every:1s"),
        "invalid request: plugin p is for WalRows triggers, not for Schedule triggers"
    );
    assert_eq!(
        delete_plugin(&mut rules),
        "Cannot delete plugin p in database d because it is used by trigger t"
    );
    assert_eq!(delete(&mut rules, "t", true), "ok");
    assert_eq!(delete_plugin(&mut rules), "ok");
}

#[test]
fn triggers_are_switched_and_their_ids_are_not_used_again() {
    let mut rules = rules();
    let missing = "the requested resource was not found: t";
    assert_eq!(delete(&mut rules, "t", true), missing);
    assert_eq!(disable(&mut rules, "t", true), missing);
    assert_eq!(trigger(&mut rules, "d", "t", of_path(), "all_tables"), "ok");
    assert_eq!(trigger(&mut rules, "d", "t", of_path(), "all_tables"), EXISTS);
    let runs = "Cannot delete running plugin t. Disable it first or use --force.";
    assert_eq!(delete(&mut rules, "t", false), runs);
    assert_eq!(disable(&mut rules, "t", false), "unchanged");
    assert_eq!(disable(&mut rules, "t", true), "ok");
    assert_eq!(delete(&mut rules, "t", false), "ok");
    assert_eq!(trigger(&mut rules, "d", "t", of_path(), "all_tables"), "ok");
    let database = rules.state.snapshot.database("d").unwrap();
    let known = database.plugins.trigger("t").unwrap();
    assert_eq!((known.id, known.specification.as_ref()), (1, "all_tables"));
    let gone = "the requested resource was not found: f";
    assert_eq!(trigger(&mut rules, "f", "t", of_path(), "all_tables"), gone);
    assert!(trigger(&mut rules, "d", "", of_path(), "all_tables").starts_with("invalid request"));
}

#[test]
fn a_request_path_has_one_enabled_trigger_on_the_server() {
    let mut rules = rules();
    assert_eq!(trigger(&mut rules, "d", "t", of_path(), "request:p"), "ok");
    assert_eq!(trigger(&mut rules, "e", "u", of_path(), "request:/p"), EXISTS);
    assert_eq!(disable(&mut rules, "t", true), "ok");
    assert_eq!(trigger(&mut rules, "e", "u", of_path(), "request:/p"), "ok");
    assert_eq!(disable(&mut rules, "t", false), EXISTS);
    let (name, when) = ("e".to_owned(), HardDelete::Default);
    assert_eq!(rules.ask(Request::DeleteDatabase(DeleteDatabase { name, when })), "ok");
    assert_eq!(disable(&mut rules, "t", false), "ok");
}
