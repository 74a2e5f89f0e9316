//! The actor: group commit, races between processes, stores that fail.

use super::super::Catalog;
use super::toxic::{FAILS, LIES, Toxic, WAITS, WORKS};
use super::{FLOAT, Running, STRING, by, config, ensure, live};
use crate::storage::objects::Objects;
use crate::storage::objects::planned::Planned;
use futures::future::join_all;
use protocols::messages::catalog::{
    CatalogError, CreateDatabase, DeleteDatabase, EnsureSchema, HardDelete,
};

fn create(name: &str) -> CreateDatabase {
    CreateDatabase { name: name.to_owned(), retention_ns: None }
}

#[actix_rt::test]
async fn what_changes_nothing_writes_nothing() {
    let running = Running::start(config(Objects::memory())).await;
    let wanted = ensure("foo", &[("cpu", &[("usage", FLOAT)])]);
    let first = running.ask(wanted.clone()).await.unwrap();
    let second = running.ask(wanted).await.unwrap();
    assert_eq!(first.sequence, second.sequence);
    assert_eq!(running.snapshot.load().sequence, first.sequence);
    let refused = running.ask(ensure("bar", &[("t", &[("a", FLOAT), ("a", STRING)])])).await;
    assert!(matches!(refused, Err(CatalogError::TypeConflict { .. })));
    assert_eq!(running.snapshot.load().sequence, first.sequence);
    assert_eq!(live(&running.snapshot.load()), ["foo"]);
    running.birth.end().await;
}

#[actix_rt::test]
async fn requests_gather_while_a_put_runs() {
    let (toxic, objects) = Planned::new(Toxic::new());
    let running = Running::start(config(objects)).await;
    let begun = running.snapshot.load().sequence;
    toxic.set(WAITS);
    let names: Vec<_> = (0..50).map(|i| format!("db{i:02}")).collect();
    let asks = join_all(names.iter().map(|name| running.ask(create(name))));
    let deletion = DeleteDatabase { name: "db07".to_owned(), when: HardDelete::Now };
    let release = async {
        // All are in the mailbox or with the actor before the first put may end: the asks above
        // are polled first, and the put begins only after the first of them was handled.
        toxic.begun.acquire_many(3).await.unwrap().forget();
        toxic.gate.add_permits(100);
    };
    let (replies, deleted, ()) = futures::join!(asks, running.ask(deletion), release);
    for (name, reply) in names.iter().zip(replies) {
        let snapshot = reply.unwrap();
        assert!(snapshot.database(name).is_some(), "{name} is in the snapshot of its reply");
    }
    assert!(deleted.unwrap().database("db07").is_none());
    let snapshot = running.snapshot.load();
    assert_eq!(live(&snapshot).len(), 49);
    assert!(snapshot.sequence - begun <= 5, "51 changes took {}", snapshot.sequence - begun);
    running.birth.end().await;
}

#[actix_rt::test]
async fn a_failed_put_changes_nothing_and_the_next_one_works() {
    let (toxic, objects) = Planned::new(Toxic::new());
    let running = Running::start(config(objects.clone())).await;
    let before = running.snapshot.load().sequence;
    toxic.set(FAILS);
    assert!(matches!(running.ask(create("foo")).await, Err(CatalogError::Storage(_))));
    assert_eq!(running.snapshot.load().sequence, before);
    toxic.set(LIES);
    running.ask(create("bar")).await.unwrap();
    toxic.set(WORKS);
    running.ask(create("foo")).await.unwrap();
    let snapshot = running.snapshot.load();
    assert_eq!(
        (live(&snapshot).as_slice(), snapshot.sequence),
        (&names(&["bar", "foo"])[..], before + 2)
    );
    running.birth.end().await;
    let opened = Catalog::open(&config(objects), None).await.unwrap();
    assert_eq!(live(&opened.snapshot.load()), ["bar", "foo"]);
}

/// A put that failed may still be stored, by a store that is slow: no answer may come to nothing then.
#[actix_rt::test]
async fn what_is_said_after_a_failed_put_holds_whatever_comes_of_that() {
    let (toxic, objects) = Planned::new(Toxic::new());
    let running = Running::start(config(objects.clone())).await;
    let before = running.snapshot.load().sequence;
    toxic.set(FAILS);
    assert!(matches!(running.ask(create("foo")).await, Err(CatalogError::Storage(_))));
    let delete = DeleteDatabase { name: "foo".to_owned(), when: HardDelete::Now };
    let refused = running.ask(delete.clone()).await;
    assert!(matches!(refused, Err(CatalogError::Storage(_))), "nobody knows whether it is there");
    toxic.set(WORKS);
    let refused = running.ask(delete.clone()).await;
    assert!(
        matches!(refused, Err(CatalogError::NotFound(_) | CatalogError::DatabaseNotFound(_))),
        "{refused:?}"
    );
    // The place of the record that failed is taken: it can never be stored.
    assert_eq!(running.snapshot.load().sequence, before + 1);
    assert!(running.ask(delete).await.is_err());
    assert_eq!(running.snapshot.load().sequence, before + 1, "there is no doubt any more");
    running.birth.end().await;
    let opened = Catalog::open(&config(objects), None).await.unwrap();
    assert!(live(&opened.snapshot.load()).is_empty());
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

#[actix_rt::test]
async fn two_catalogs_on_one_store_agree() {
    let dir = tempfile::tempdir().unwrap();
    for objects in [Objects::memory(), Objects::directory(dir.path().to_owned()).unwrap()] {
        let (one, two) = futures::join!(
            Running::start(config(objects.clone())),
            Running::start(config(objects.clone()))
        );
        assert_eq!(one.snapshot.load().uuid, two.snapshot.load().uuid);
        let ensure_all = |running: &Running, own: &str| {
            let asks: Vec<EnsureSchema> = (0..10)
                .flat_map(|i| {
                    let (shared, own) = (format!("db{i}"), format!("{own}{i}"));
                    [ensure(&shared, &[("t", &[("f", FLOAT)])]), ensure(&own, &[("t", &[])])]
                })
                .collect();
            let running = (running.mailbox.clone(), running.snapshot.clone());
            async move {
                for ask in asks {
                    let db = ask.db.clone();
                    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
                    let reply = running.0.ask_from_edge(by(ask), deadline).await.unwrap().unwrap();
                    assert!(reply.database(&db).is_some());
                }
            }
        };
        futures::join!(ensure_all(&one, "one"), ensure_all(&two, "two"));
        // Each learns what the other did with its next change.
        assert_eq!(one.ask(create("two9")).await.unwrap_err(), CatalogError::AlreadyExists);
        two.ask(create("last")).await.unwrap();
        one.birth.end().await;
        two.birth.end().await;
        let opened = Catalog::open(&config(objects), None).await.unwrap();
        let snapshot = opened.snapshot.load();
        assert_eq!(live(&snapshot).len(), 31);
        let ids: std::collections::HashSet<_> =
            snapshot.databases.values().flat_map(|d| d.tables.values().map(|t| t.id)).collect();
        assert_eq!(ids.len(), 30);
    }
}

#[actix_rt::test]
async fn the_next_life_goes_on_with_the_same_readers() {
    let objects = Objects::memory();
    let first = Catalog::open(&config(objects.clone()), None).await.unwrap();
    let other = Running::start(config(objects.clone())).await;
    other.ask(create("foo")).await.unwrap();
    other.birth.end().await;
    assert_eq!(live(&first.snapshot.load()), Vec::<String>::new());
    let publisher = first.publisher_again.again();
    Catalog::open(&config(objects), Some(publisher)).await.unwrap();
    assert_eq!(live(&first.snapshot.load()), ["foo"]);
}
