//! What texts of permissions mean, what they allow, and what is kept of a token.

use super::recent::RecentTokens;
use super::rights::{Permission, Right, Rights, SystemResource};
use super::tokens::{Secret, Token, TokenHash, Tokens, is_same, plain_hash};
use crate::catalog::CatalogSnapshot;
use crate::ids::{DbId, TokenId};
use crate::principal::{Action, Principal, Visible};
use crate::schema::DatabaseSchema;
use std::collections::BTreeSet;
use std::sync::Arc;
use uuid::Uuid;

const CATALOG: Uuid = Uuid::from_u128(7);

fn catalog(databases: &[(u32, &str)]) -> CatalogSnapshot {
    let database = |(id, name): &(u32, &str)| {
        let name: Arc<str> = (*name).into();
        let schema = DatabaseSchema {
            id: DbId(*id),
            name: Arc::clone(&name),
            retention_ns: None,
            tables: Default::default(),
            deletion: None,
            plugins: Default::default(),
            downsamples: Default::default(),
            indexed: None,
        };
        (name, Arc::new(schema))
    };
    CatalogSnapshot {
        uuid: CATALOG,
        sequence: 1,
        databases: databases.iter().map(database).collect(),
        gen1_duration_ns: 1,
        next_db_id: 9,
        next_table_id: 0,
        tokens: Arc::default(),
        row_deletes: Arc::default(),
        index: Default::default(),
    }
}

fn token(id: u64, text: &str, rights: Rights) -> Token {
    Token {
        id: TokenId(id),
        name: format!("t{id}").into(),
        secret: Secret::of(CATALOG, text),
        rights,
        created_at_ns: 1,
        created_by: None,
        updated_at_ns: None,
        updated_by: None,
        expires_at_ns: None,
    }
}

fn rights(permissions: &[&str], catalog: &CatalogSnapshot) -> Rights {
    let permissions: Vec<Permission> =
        permissions.iter().map(|text| text.parse().unwrap()).collect();
    Rights::of(&permissions, catalog)
}

fn principal(permissions: &[&str], catalog: &CatalogSnapshot) -> Principal {
    Principal::Token(Arc::new(token(0, "x", rights(permissions, catalog))))
}

#[test]
fn permissions_are_read() {
    let read = BTreeSet::from([Right::Read]);
    assert_eq!("db:*:read".parse(), Ok(Permission::AllDatabases(read.clone())));
    let names = vec!["a".to_owned(), "b:c".to_owned()];
    assert_eq!("db:a,b:c:read".parse(), Ok(Permission::Databases(names, read)));
    let system = BTreeSet::from([SystemResource::Health, SystemResource::Ping]);
    assert_eq!("system:ping,health:read".parse(), Ok(Permission::System(system)));
    for wrong in [
        "",
        "db",
        "db:a",
        "db::read",
        "db:a:",
        "db:a:rea",
        "db:a:read,",
        "db:a,:read",
        "db:*,a:read",
        "table:a:read",
        "system:nope:read",
        "system:health:write",
        "*:*:*",
    ] {
        let error = wrong.parse::<Permission>().unwrap_err().to_string();
        assert!(error.starts_with("cannot parse token permission, "), "{wrong}: {error}");
    }
}

#[test]
fn rights_are_shown_with_the_names_of_now() {
    let before = catalog(&[(1, "a"), (2, "b")]);
    let given = ["db:a:read,write", "db:b:write,read", "db:new:read", "system:ping:read"];
    let given = rights(&given, &before);
    let after = catalog(&[(1, "a-20260102T030405"), (2, "b")]);
    let shown = "db:new:read;db:a-20260102T030405,b:read,write;system:ping:read";
    assert_eq!(given.words(&after), shown);
    assert_eq!(Rights::Admin.words(&after), "*:*:*");
    assert_eq!(rights(&["db:*:delete"], &before).words(&after), "db:*:delete");
}

#[test]
fn a_database_made_again_under_its_name_is_not_the_same() {
    let before = catalog(&[(1, "a"), (2, "b")]);
    let one = principal(&["db:a:read"], &before);
    let all = principal(&["db:*:read"], &before);
    let read = |who: &Principal, name, catalog: &CatalogSnapshot| {
        who.authorize(Action::In(Right::Read, name), catalog).is_ok()
    };
    assert!(read(&one, "a", &before) && !read(&one, "b", &before) && read(&all, "b", &before));
    let after = catalog(&[(1, "a-20260102T030405"), (2, "b"), (3, "a")]);
    assert!(!read(&one, "a", &after) && read(&all, "a", &after));
    let write = all.authorize(Action::In(Right::Write, "a"), &after).unwrap_err();
    assert!(write.to_string().ends_with("it lacks db:a:write"), "{write}");
    // What is not there and what may not be seen are refused in the same words.
    let denied =
        |name| one.authorize(Action::In(Right::Read, name), &after).unwrap_err().to_string();
    assert_eq!(denied("b").replace(":b:", ":x:"), denied("x"));
    assert!(denied("a\r\nb").contains("a\\r\\nb"));
}

#[test]
fn the_built_in_database_shows_each_reader_what_is_theirs() {
    let catalog = Arc::new(catalog(&[(0, "_internal"), (1, "a"), (2, "b")]));
    let names = |permissions: &[&str]| {
        let visible = Visible::new(Arc::clone(&catalog), principal(permissions, &catalog));
        let all = visible.live_databases();
        all.iter().map(|db| db.name.to_string()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(&["db:a:read"]), "_internal a");
    assert_eq!(names(&["db:a:write"]), "");
    assert_eq!(names(&["db:*:read"]), "_internal a b");
    assert_eq!(names(&["system:ping:read"]), "");
    let reader = principal(&["db:a:read"], &catalog);
    let write = reader.authorize(Action::In(Right::Write, "_internal"), &catalog);
    assert!(write.is_err());
    assert!(principal(&["db:*:read"], &catalog).authorize(Action::Administrate, &catalog).is_err());
}

#[test]
fn nobody_may_do_nothing() {
    let catalog = catalog(&[(0, "_internal"), (1, "a")]);
    let mut actions = vec![Action::Administrate, Action::System(SystemResource::Ping)];
    actions.extend(Right::ALL.map(|right| Action::In(right, "a")));
    for action in actions {
        assert!(Principal::default().authorize(action, &catalog).is_err(), "{action}");
        assert!(Principal::Everybody.authorize(action, &catalog).is_ok(), "{action}");
        let admin = Principal::Token(Arc::new(token(0, "x", Rights::Admin)));
        assert!(admin.authorize(action, &catalog).is_ok(), "{action}");
    }
}

#[test]
fn tokens_are_found_by_their_text_until_they_end() {
    let mut tokens = Tokens::default();
    assert!(!tokens.are_required());
    let expiring = Token { expires_at_ns: Some(10), ..token(1, "two", Rights::Admin) };
    tokens.add(token(0, "one", Rights::Admin)).unwrap();
    tokens.add(expiring).unwrap();
    let find = |tokens: &Tokens, text, now_ns| {
        tokens.find(&TokenHash::of(CATALOG, text), now_ns).map(|token| token.id.0)
    };
    assert_eq!((find(&tokens, "one", 99), find(&tokens, "three", 0)), (Some(0), None));
    assert_eq!((find(&tokens, "two", 9), find(&tokens, "two", 10)), (Some(1), None));
    assert!(tokens.find(&TokenHash::of(Uuid::nil(), "one"), 0).is_none(), "of another catalog");

    let one = Arc::clone(tokens.named("t0").unwrap());
    tokens.replace(TokenId(0), Secret::of(CATALOG, "new"), 5, Some(TokenId(1))).unwrap();
    assert_eq!((find(&tokens, "one", 0), find(&tokens, "new", 0)), (None, Some(0)));
    assert!(!tokens.still_has(&one, 0));
    tokens.remove(TokenId(1)).unwrap();
    assert_eq!(find(&tokens, "two", 0), None);
    assert!(tokens.add(token(1, "four", Rights::Admin)).is_err(), "no id is given out twice");
    assert!(tokens.are_required());
}

#[test]
fn a_token_is_good_for_the_first_database_of_its_name() {
    let none = catalog(&[]);
    let mut tokens = Tokens::default();
    tokens.add(token(0, "one", rights(&["db:new:read"], &none))).unwrap();
    tokens.database_created(&"other".into(), DbId(3));
    tokens.database_created(&"new".into(), DbId(4));
    tokens.database_created(&"new".into(), DbId(5));
    let principal = Principal::Token(Arc::clone(tokens.named("t0").unwrap()));
    let read = |id| {
        let read = Action::In(Right::Read, "new");
        principal.authorize(read, &catalog(&[(id, "new")])).is_ok()
    };
    assert_eq!([read(3), read(4), read(5)], [false, true, false]);
}

#[test]
fn no_text_of_a_token_is_kept() {
    let token = token(0, "apiv3_secret", Rights::Admin);
    let stored = serde_json::to_string(&token).unwrap();
    assert!(!stored.contains("secret\":\"") && !stored.contains("apiv3"), "{stored}");
    assert!(!format!("{token:?}").contains("apiv3"));
    assert_eq!(serde_json::from_str::<Token>(&stored).unwrap(), token);
    assert_eq!(plain_hash("abc")[..9], *"ddaf35a19");
    assert_eq!(&*Secret::of(CATALOG, "abc").shown, "ddaf35a19");
}

#[test]
fn secrets_are_the_same_or_not() {
    let text = b"apiv3_0123456789abcdefghi";
    for length in 0..text.len() {
        let one = &text[..length];
        assert!(is_same(one, one), "{length}");
        assert!(!is_same(one, &text[..=length]), "{length}");
        for place in 0..length {
            let mut other = one.to_vec();
            other[place] ^= 1;
            assert!(!is_same(one, &other), "{length}, {place}");
        }
    }
}

/// What was found before is found as it would be the first time.
#[test]
fn recent_tokens_are_found_as_long_as_they_are_good() {
    let mut tokens = Arc::new(Tokens::default());
    let add = |tokens: &mut Arc<Tokens>, token| Arc::make_mut(tokens).add(token).unwrap();
    for id in 0..9 {
        add(&mut tokens, token(id, &format!("text{id}"), Rights::Admin));
    }
    add(&mut tokens, Token { expires_at_ns: Some(7), ..token(9, "short", Rights::Admin) });
    let mut recent = RecentTokens::default();
    let mut find = |tokens: &Arc<Tokens>, text: &str, now_ns| {
        recent.find(tokens, CATALOG, text, now_ns).map(|token| token.id.0)
    };
    for _ in 0..3 {
        for id in 0..9 {
            for _ in 0..2 {
                assert_eq!(find(&tokens, &format!("text{id}"), 1), Some(id));
                assert_eq!(find(&tokens, &format!("tex{id}"), 1), None);
            }
        }
    }
    assert_eq!(find(&tokens, "short", 6), Some(9));
    assert_eq!(find(&tokens, "short", 7), None);
    // Deleted, and another one with the text of one that was replaced.
    assert_eq!(find(&tokens, "text3", 1), Some(3));
    Arc::make_mut(&mut tokens).remove(TokenId(3)).unwrap();
    assert_eq!(find(&tokens, "text3", 1), None);
    assert_eq!(find(&tokens, "text4", 1), Some(4));
    let secret = Secret::of(CATALOG, "other");
    Arc::make_mut(&mut tokens).replace(TokenId(4), secret, 2, None).unwrap();
    add(&mut tokens, token(10, "text4", Rights::Admin));
    assert_eq!(find(&tokens, "text4", 1), Some(10));
    assert_eq!(find(&tokens, "other", 1), Some(4));
    // Those of another catalog, even where the former ones were.
    drop(tokens);
    assert_eq!(find(&Arc::default(), "text4", 1), None);
}
