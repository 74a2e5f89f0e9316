//! Tokens, and who may change what, in the state that is changed.

use super::super::request::Request;
use super::ensure;
use super::rules::Rules;
use protocols::access::rights::Permission;
use protocols::access::tokens::{OPERATOR, Secret};
use protocols::messages::catalog::{
    CreateDatabase, CreateToken, DeleteDatabase, DeleteToken, HardDelete, RegenerateToken,
    UndeleteDatabase, Wanted,
};
use protocols::principal::Principal;
use std::sync::Arc;
use uuid::Uuid;

fn secret(text: &str) -> Secret {
    Secret::of(Uuid::from_u128(1), text)
}

fn create(rules: &mut Rules, name: &str, text: &str, permissions: &[&str]) -> String {
    let permissions: Vec<Permission> = permissions.iter().map(|p| p.parse().unwrap()).collect();
    let wanted =
        if permissions.is_empty() { Wanted::Admin } else { Wanted::Permissions(permissions) };
    let (name, secret) = (name.to_owned(), secret(text));
    rules.ask(Request::CreateToken(CreateToken { name, secret, wanted, expires_at_ns: None }))
}

fn holder(rules: &Rules, name: &str) -> Principal {
    Principal::Token(Arc::clone(rules.state.snapshot.tokens.named(name).unwrap()))
}

#[test]
fn tokens_are_made_replaced_and_deleted() {
    let mut rules = Rules::new();
    let regenerate = |text| Request::RegenerateToken(RegenerateToken { secret: secret(text) });
    assert_eq!(rules.ask(regenerate("x")), "missing admin token, cannot update");
    assert!(!rules.state.snapshot.tokens.are_required());
    assert_eq!(create(&mut rules, OPERATOR, "a", &[]), "ok");
    assert_eq!(create(&mut rules, OPERATOR, "b", &[]), "token name already exists, _admin");
    assert_eq!(create(&mut rules, "n", "b", &["db:*:read"]), "ok");
    assert_eq!(create(&mut rules, "m", "b", &[]), "another token has the same text");
    assert!(create(&mut rules, "a\nb", "c", &[]).starts_with("a token's name has"));
    assert_eq!(rules.ask(regenerate("x")), "ok");
    let delete = |name: &str| Request::DeleteToken(DeleteToken { name: name.to_owned() });
    assert_eq!(rules.ask(delete(OPERATOR)), "cannot delete operator token");
    assert_eq!(rules.ask(delete("nope")), "token not found: nope");
    let holder = holder(&rules, "n");
    let refused = rules.ask_as(&holder, delete("n"));
    assert!(refused.ends_with("it lacks the rights of an admin"), "{refused}");
    assert_eq!(rules.ask(delete("n")), "ok");
}

#[test]
fn nobody_changes_anything() {
    let mut rules = Rules::new();
    assert_eq!(rules.ensure("d", &[]), "ok");
    let name = "d".to_owned();
    let (database, when) = (name.clone(), HardDelete::Now);
    for request in [
        Request::EnsureSchema(ensure("d", &[])),
        Request::EnsureSchema(ensure("new", &[])),
        Request::CreateDatabase(CreateDatabase { name, retention_ns: None }),
        Request::DeleteDatabase(DeleteDatabase { name: database, when }),
        Request::SweepDeleted,
    ] {
        let refused = rules.ask_as(&Principal::Nobody, request);
        assert!(refused.starts_with("unauthorized to perform requested action"), "{refused}");
    }
}

#[test]
fn whoever_may_delete_may_take_it_back_by_either_name() {
    let mut rules = Rules::new();
    assert_eq!(rules.ensure("d", &[]), "ok");
    assert_eq!(create(&mut rules, "deleter", "a", &["db:d:delete"]), "ok");
    assert_eq!(create(&mut rules, "other", "b", &["db:other:delete"]), "ok");
    let (deleter, other) = (holder(&rules, "deleter"), holder(&rules, "other"));
    let delete = || {
        let (name, when) = ("d".to_owned(), HardDelete::Never);
        Request::DeleteDatabase(DeleteDatabase { name, when })
    };
    let undelete =
        |name: &str| Request::UndeleteDatabase(UndeleteDatabase { name: name.to_owned() });
    for name in ["d", "d-20260102T030405"] {
        assert_eq!(rules.ask_as(&deleter, delete()), "ok");
        let refused = rules.ask_as(&other, undelete(name));
        assert!(refused.starts_with("unauthorized"), "{refused}");
        assert_eq!(rules.ask_as(&deleter, undelete(name)), "ok", "{name}");
    }
}
