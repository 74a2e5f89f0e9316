//! What it costs to let a request in: finding the token among as many as there may be, and looking
//! up its right. And what so many of them cost at a start.
//!
//! `cargo bench -p protocols --bench access`.

use criterion::{Criterion, criterion_group, criterion_main};
use protocols::access::credentials::Credential;
use protocols::access::recent::RecentTokens;
use protocols::access::rights::{Permission, Right, Rights};
use protocols::access::tokens::{Secret, Token, TokenHash, Tokens};
use protocols::catalog::CatalogSnapshot;
use protocols::catalog_log::v1::{Checkpoint, StoredTokens};
use protocols::catalog_log::{Header, decode_checkpoint, encode_checkpoint};
use protocols::ids::{DbId, TokenId};
use protocols::principal::{Action, Principal};
use protocols::schema::DatabaseSchema;
use std::hint::black_box;
use std::sync::Arc;
use uuid::Uuid;

const TOKENS: u64 = 100_000;
const DATABASES: u32 = 1_000;
const CATALOG: Uuid = Uuid::from_u128(7);

/// As long as those of the server.
fn text(number: u64) -> String {
    format!("apiv3_{number:0>86}")
}

fn catalog() -> CatalogSnapshot {
    let database = |id: u32| {
        let name: Arc<str> = format!("database{id}").into();
        let schema = DatabaseSchema {
            id: DbId(id),
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
        databases: (0..DATABASES).map(database).collect(),
        gen1_duration_ns: 1,
        next_db_id: DATABASES,
        next_table_id: 0,
        index: Default::default(),
        tokens: Arc::default(),
        row_deletes: Arc::default(),
    }
}

/// Each token may read and write ten databases.
fn tokens(catalog: &CatalogSnapshot) -> Tokens {
    let token = |id: u64| {
        let name = |n: u64| format!("database{}", (id * 7 + n) % u64::from(DATABASES));
        let names = (0..10).map(name).collect();
        let rights = [Right::Read, Right::Write].into();
        Arc::new(Token {
            id: TokenId(id),
            name: format!("token {id}").into(),
            secret: Secret::of(CATALOG, &text(id)),
            rights: Rights::of(&[Permission::Databases(names, rights)], catalog),
            created_at_ns: 1,
            created_by: None,
            updated_at_ns: None,
            updated_by: None,
            expires_at_ns: Some(i64::MAX),
        })
    };
    Tokens::new(TOKENS, (0..TOKENS).map(token))
}

fn let_in(criterion: &mut Criterion) {
    let catalog = catalog();
    let tokens = tokens(&catalog);
    let number = 77_777;
    let header = format!("Bearer {}", text(number));
    let hash = TokenHash::of(CATALOG, &text(number));
    let found = tokens.find(&hash, 0).expect("it is there");
    let principal = Principal::Token(Arc::clone(found));
    let name = format!("database{}", number * 7 % u64::from(DATABASES));

    let mut group = criterion.benchmark_group("access");
    group.bench_function("hash_of_a_token", |bencher| {
        let text = text(number);
        bencher.iter(|| TokenHash::of(CATALOG, black_box(&text)));
    });
    group.bench_function("find_among_100k", |bencher| {
        bencher.iter(|| tokens.find(black_box(&hash), 0).is_some());
    });
    group.bench_function("find_none_among_100k", |bencher| {
        let hash = TokenHash::of(CATALOG, "apiv3_unknown");
        bencher.iter(|| tokens.find(black_box(&hash), 0).is_none());
    });
    group.bench_function("authorize", |bencher| {
        let action = || Action::In(Right::Write, black_box(&name));
        bencher.iter(|| principal.authorize(action(), &catalog).is_ok());
    });
    // All that a request is delayed by, the first one and those that follow it.
    let tokens = Arc::new(tokens);
    for (name_of_bench, is_first) in [("first_request", true), ("next_request", false)] {
        let mut recent = RecentTokens::default();
        group.bench_function(name_of_bench, |bencher| {
            bencher.iter(|| {
                let header = Some(black_box(header.as_bytes()));
                let Credential::Token(text) = Credential::of_header(header) else { return false };
                if is_first {
                    recent = RecentTokens::default();
                }
                let found = recent.find(&tokens, CATALOG, &text, 0);
                found.is_some_and(|token| {
                    let principal = Principal::Token(token);
                    principal.authorize(Action::In(Right::Write, &name), &catalog).is_ok()
                })
            });
        });
    }
    group.finish();
}

/// Reading a checkpoint that has little else.
fn start(criterion: &mut Criterion) {
    let tokens = tokens(&catalog());
    let checkpoint = Checkpoint {
        gen1_duration_ns: 1,
        next_db_id: DATABASES,
        next_table_id: 0,
        databases: Vec::new(),
        nodes: Vec::new(),
        tokens: StoredTokens::of(&tokens),
        row_deletes: None,
    };
    let bytes = encode_checkpoint(Header { uuid: CATALOG, sequence: 1 }, &checkpoint);
    let mut group = criterion.benchmark_group("access");
    group.sample_size(10);
    group.bench_function("checkpoint_of_100k", |bencher| {
        bencher.iter(|| {
            let (_, checkpoint) = decode_checkpoint(black_box(&bytes)).expect("it was written");
            let StoredTokens { next_id, tokens } = checkpoint.tokens.expect("there are tokens");
            Tokens::new(next_id, tokens)
        });
    });
    group.finish();
}

criterion_group!(benches, let_in, start);
criterion_main!(benches);
