//! Rules of the state machine, files and their damage, and the actor over stores that fail.

mod actor;
mod caches;
mod downsamples;
mod files;
mod indexed;
mod plugins;
mod row_deletes;
mod rules;
mod tokens;
mod toxic;

use super::{Catalog, CatalogConfig, CatalogLimits};
use crate::runtime::clock::Clock;
use crate::runtime::fatal::Fatal;
use crate::runtime::guardian::{ActorConfig, Birth, Factory, Guardian};
use crate::runtime::mailbox::Mailbox;
use crate::runtime::published::Published;
use crate::storage::objects::Objects;
use protocols::catalog::CatalogSnapshot;
use protocols::messages::catalog::{By, CatalogError, EnsureSchema, TableShape};
use protocols::principal::{Origin, Principal};
use protocols::schema::{ColumnKind, FieldType};
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// 2026-01-02T03:04:05Z.
const NOW_NS: i64 = 1_767_323_045_000_000_000;
const HOUR_NS: i64 = 3_600 * 1_000_000_000;
const FLOAT: ColumnKind = ColumnKind::Field(FieldType::Float);
const STRING: ColumnKind = ColumnKind::Field(FieldType::String);

fn config(objects: Objects) -> CatalogConfig {
    CatalogConfig {
        audit: None,
        node_id: "node0".to_owned(),
        objects,
        gen1_duration_ns: HOUR_NS / 6,
        hard_delete_default_ns: 72 * HOUR_NS,
        delete_grace_ns: 24 * HOUR_NS,
        limits: CatalogLimits::default(),
        clock: Clock::Fixed(Arc::new(AtomicI64::new(NOW_NS))),
    }
}

fn ensure(db: &str, tables: &[(&str, &[(&str, ColumnKind)])]) -> EnsureSchema {
    let shape = |(name, columns): &(&str, &[(&str, ColumnKind)])| TableShape {
        name: (*name).into(),
        columns: columns.iter().map(|(name, kind)| ((*name).into(), *kind)).collect(),
    };
    EnsureSchema { db: db.to_owned(), tables: tables.iter().map(shape).collect() }
}

/// Asked for by somebody who may do everything.
fn by<M>(change: M) -> By<M> {
    By { principal: Principal::Everybody, origin: Origin::default(), change }
}

/// A catalog that runs as an actor.
struct Running {
    mailbox: Mailbox<Catalog>,
    snapshot: Published<CatalogSnapshot>,
    birth: Birth,
}

impl Running {
    async fn start(config: CatalogConfig) -> Self {
        let opened = Catalog::open(&config, None).await.unwrap();
        let (snapshot, publisher) = (opened.snapshot, opened.publisher_again);
        let first = Arc::new(Mutex::new(Some(opened.catalog)));
        let factory: Factory<Catalog> = Arc::new(move || {
            let first = first.lock().unwrap().take();
            let (config, publisher) = (config.clone(), publisher.again());
            Box::pin(async move {
                match first {
                    Some(catalog) => Ok(catalog),
                    None => Ok(Catalog::open(&config, Some(publisher)).await?.catalog),
                }
            })
        });
        let config = ActorConfig {
            kind: "catalog",
            name: "catalog".to_owned(),
            messages_max: 1_000,
            bytes_max: 1 << 20,
            vital: true,
        };
        let mailbox = Guardian::mailbox(&config);
        let guardian = Guardian::new(Fatal::default());
        let birth = guardian.birth(config, mailbox.clone(), factory).await.unwrap();
        Self { mailbox, snapshot, birth }
    }

    async fn ask<M>(&self, message: M) -> Result<Arc<CatalogSnapshot>, CatalogError>
    where
        M: protocols::messages::Command<Reply = Result<Arc<CatalogSnapshot>, CatalogError>>,
        Catalog: crate::runtime::actor::Receive<By<M>>,
    {
        let deadline = Instant::now() + Duration::from_secs(30);
        self.mailbox.ask_from_edge(by(message), deadline).await.unwrap()
    }
}

/// The names of the live databases but `_internal`.
fn live(snapshot: &CatalogSnapshot) -> Vec<String> {
    let names = snapshot.live_databases().into_iter().map(|d| d.name.to_string());
    names.filter(|n| n != "_internal").collect()
}
