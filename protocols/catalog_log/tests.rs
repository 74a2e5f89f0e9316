//! Round trips, damage, and the stored bytes of version 1.

use super::v1::{
    Change, StoredColumn, StoredDatabase, StoredNode, StoredRowDeletes, StoredTable, StoredTokens,
};
use super::*;
use crate::access::tokens::Secret;
use crate::caches::{DistinctCacheDef, LastCacheDef, TableCaches};
use crate::downsamples::{Aggregate, DatabaseDownsamples, DownsampleDef};
use crate::ids::{CacheId, ColumnId, DbId, TableId};
use crate::plugins::{
    DatabasePlugins, Delivery, ErrorBehavior, Isolation, PluginDef, PluginKind, PluginRef,
    PluginText, TriggerDef,
};
use crate::schema::{ColumnKind, Deletion, FieldType};
use proptest::prelude::*;
use std::sync::Arc;

const GOLDEN_LOG: &[u8] = include_bytes!("../golden/catalog_v1.catalog");
const GOLDEN_CHECKPOINT: &[u8] = include_bytes!("../golden/catalog_v1.checkpoint");

fn header() -> Header {
    Header { uuid: Uuid::from_u128(0x1234_5678_9abc_def0), sequence: 7 }
}

fn columns() -> Vec<StoredColumn> {
    let kinds = [
        ColumnKind::Tag,
        ColumnKind::Field(FieldType::Float),
        ColumnKind::Field(FieldType::Integer),
        ColumnKind::Field(FieldType::UInteger),
        ColumnKind::Field(FieldType::String),
        ColumnKind::Field(FieldType::Boolean),
    ];
    let column = |(id, kind): (u32, ColumnKind)| StoredColumn {
        id: ColumnId(id),
        name: format!("c{id}").into(),
        kind,
    };
    (0..).zip(kinds).map(column).collect()
}

fn deletion() -> Deletion {
    Deletion { deleted_at_ns: 5, hard_delete_at_ns: Some(9), rows_removed: true }
}

fn node() -> StoredNode {
    StoredNode {
        node: "node0".to_owned(),
        instance: Uuid::from_u128(99),
        running: true,
        since_ns: 3,
    }
}

fn record() -> LogRecord {
    let name = |text: &str| Arc::<str>::from(text);
    let (foo, foo_old) = (|| name("foo"), || name("foo-20260102T030405"));
    let (cpu, cpu_old) = (|| name("c p\"u\u{e9}"), || name("x"));
    let changes = vec![
        Change::CreateCatalog { gen1_duration_ns: 600_000_000_000 },
        Change::CreateDatabase { id: DbId(1), db: foo(), retention_ns: None },
        Change::SetRetention { db: foo(), retention_ns: Some(i64::MAX) },
        Change::CreateTable { db: foo(), id: TableId(0), table: cpu(), columns: columns() },
        Change::AddColumns { db: foo(), table: cpu(), columns: vec![] },
        Change::DeleteTable { db: foo(), table: cpu(), renamed: cpu_old(), deletion: deletion() },
        Change::ForgetTable { db: foo(), table: cpu_old() },
        Change::DeleteDatabase { db: foo(), renamed: foo_old(), deletion: deletion() },
        Change::ForgetDatabase { db: foo_old() },
        Change::SetNode(node()),
    ];
    LogRecord { nonce: Uuid::from_u128(42), time_ns: -1, changes }
}

fn checkpoint() -> Checkpoint {
    let table = StoredTable {
        id: TableId(0),
        name: "cpu".into(),
        deletion: Some(deletion()),
        columns: columns(),
        retention_ns: None,
        indexed: None,
        caches: Arc::default(),
    };
    let database = StoredDatabase {
        id: DbId(1),
        name: "foo".into(),
        retention_ns: Some(1),
        deletion: None,
        tables: vec![table],
        plugins: Arc::default(),
        downsamples: Arc::default(),
        indexed: None,
    };
    Checkpoint {
        gen1_duration_ns: 600_000_000_000,
        next_db_id: 2,
        next_table_id: 1,
        databases: vec![database],
        nodes: vec![node()],
        tokens: None,
        row_deletes: None,
    }
}

#[test]
fn stored_bytes_of_version_1_are_read_and_written() {
    assert_eq!(decode_log(GOLDEN_LOG), Ok((header(), record())));
    assert_eq!(encode_log(header(), &record()), GOLDEN_LOG);
    assert_eq!(decode_checkpoint(GOLDEN_CHECKPOINT), Ok((header(), checkpoint())));
    assert_eq!(encode_checkpoint(header(), &checkpoint()), GOLDEN_CHECKPOINT);
}

/// As they are stored since tables have retention periods; checkpoints of before have no such field.
#[test]
fn stored_retention_periods_of_tables_are_read_and_written() {
    for period in ["60", "null"] {
        let stored = format!(
            r#"{{"set_table_retention":{{"db":"d","table":"t","retention_ns":{period}}}}}"#
        );
        let change: Change = serde_json::from_str(&stored).unwrap();
        assert_eq!(serde_json::to_string(&change).unwrap(), stored);
    }
    let without = r#"{"id":1,"name":"t","deletion":null,"columns":[]}"#;
    let with = r#"{"id":1,"name":"t","deletion":null,"columns":[],"retention_ns":60}"#;
    for (stored, period) in [(without, None), (with, Some(60))] {
        let table: StoredTable = serde_json::from_str(stored).unwrap();
        assert_eq!(table.retention_ns, period);
        assert_eq!(serde_json::to_string(&table).unwrap(), stored);
    }
}

/// As they are stored since files are indexed; checkpoints of before have no such field.
#[test]
fn stored_indexed_columns_are_read_and_written() {
    for (table, columns) in [("null", r#"["a","b"]"#), (r#""t""#, "[]"), ("null", "null")] {
        let stored = format!(
            r#"{{"set_indexed_columns":{{"db":"d","table":{table},"columns":{columns}}}}}"#
        );
        let change: Change = serde_json::from_str(&stored).unwrap();
        assert_eq!(serde_json::to_string(&change).unwrap(), stored);
    }
    let stored = r#"{"id":1,"name":"t","deletion":null,"columns":[],"indexed":["a"]}"#;
    let table: StoredTable = serde_json::from_str(stored).unwrap();
    assert_eq!(table.indexed.as_deref(), Some(["a".into()].as_slice()));
    assert_eq!(serde_json::to_string(&table).unwrap(), stored);
    let stored = concat!(
        r#"{"id":1,"name":"d","retention_ns":null,"deletion":null,"tables":[],"#,
        r#""indexed":["a","b"]}"#
    );
    let database: StoredDatabase = serde_json::from_str(stored).unwrap();
    assert_eq!(database.indexed.as_deref().map(<[_]>::len), Some(2));
    assert_eq!(serde_json::to_string(&database).unwrap(), stored);
}

/// As they are stored since there are tokens; checkpoints of before have no such field.
#[test]
fn stored_tokens_are_read_and_written() {
    let secret = r#"{"hash":"5a4a10feec850a6f25d059a549aa917aa4b58cc5b8a0c16be6e28376e8da6f18da627e26e66ec86326a727f98b5e1a73ac004395bceef5ec3fef47fdd70ac0d3","shown":"d02b0b6e3"}"#;
    assert_eq!(serde_json::to_string(&Secret::of(Uuid::from_u128(7), "apiv3_x")).unwrap(), secret);
    let times =
        r#""created_at_ns":1,"created_by":null,"updated_at_ns":2,"updated_by":0,"expires_at_ns":3"#;
    let listed = r#"{"listed":{"all":["read"],"databases":{"3":["write","create"]},"expected":{"new":["delete"]},"system":["health","node_stop"]}}"#;
    let token = |id: u64, rights: &str| {
        format!(r#"{{"id":{id},"name":"n","secret":{secret},"rights":{rights},{times}}}"#)
    };
    let changes = [
        format!(r#"{{"create_token":{}}}"#, token(0, r#""admin""#)),
        format!(r#"{{"create_token":{}}}"#, token(1, listed)),
        format!(
            r#"{{"replace_token":{{"id":0,"secret":{secret},"updated_at_ns":4,"updated_by":1}}}}"#
        ),
        r#"{"delete_token":{"id":0}}"#.to_owned(),
    ];
    for stored in changes {
        let change: Change = serde_json::from_str(&stored).unwrap();
        assert_eq!(serde_json::to_string(&change).unwrap(), stored);
    }
    let stored = format!(r#"{{"next_id":2,"tokens":[{}]}}"#, token(1, listed));
    let tokens: StoredTokens = serde_json::from_str(&stored).unwrap();
    assert_eq!(serde_json::to_string(&tokens).unwrap(), stored);
    let with = Checkpoint { tokens: Some(tokens), ..checkpoint() };
    let bytes = encode_checkpoint(header(), &with);
    assert_eq!(decode_checkpoint(&bytes), Ok((header(), with)));
}

/// As they are stored since there are deletes of rows; checkpoints of before have no such field.
#[test]
fn stored_row_deletes_are_read_and_written() {
    let delete = |bound: &str, state: &str| {
        format!(
            r#"{{"sequence":1,"request":"00000000-0000-0000-0000-000000000007","db":2,"table":3,"db_name":"d","table_name":"t","min_time_ns":-5,"max_time_ns":null,"tags":[["room","a b"]],"created_at_ns":9,"bound":{bound},"state":{state}}}"#
        )
    };
    let changes = [
        format!(r#"{{"request_row_delete":{}}}"#, delete("null", r#""pending""#)),
        r#"{"accept_row_delete":{"sequence":1,"bound":17}}"#.to_owned(),
        r#"{"drop_row_delete":{"sequence":1}}"#.to_owned(),
        r#"{"complete_row_delete":{"sequence":1,"at_ns":18}}"#.to_owned(),
        r#"{"abort_row_delete":{"sequence":1,"at_ns":18,"reason":"no"}}"#.to_owned(),
    ];
    for stored in changes {
        let change: Change = serde_json::from_str(&stored).unwrap();
        assert_eq!(serde_json::to_string(&change).unwrap(), stored);
    }
    let completed = delete("17", r#"{"completed":{"at_ns":18}}"#);
    let stored = format!(r#"{{"last":4,"deletes":[{completed}]}}"#);
    let deletes: StoredRowDeletes = serde_json::from_str(&stored).unwrap();
    assert_eq!(serde_json::to_string(&deletes).unwrap(), stored);
    let with = Checkpoint { row_deletes: Some(deletes), ..checkpoint() };
    let bytes = encode_checkpoint(header(), &with);
    assert_eq!(decode_checkpoint(&bytes), Ok((header(), with)));
}

#[test]
fn damage_is_named() {
    let whole = encode_log(header(), &record());
    let text = String::from_utf8(whole.clone()).unwrap();
    let check = |bytes: &[u8], expected: &str| {
        let error = decode_log(bytes).unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} lacks {expected:?}");
    };
    check(b"", "the file is empty");
    check(b"\n", "does not begin with the header");
    check(b"\0\0\0\0", "does not begin with the header");
    check(&whole[..20], "does not begin with the header");
    check(&whole[..whole.len() - 1], "bytes after the header");
    check(&[whole.as_slice(), b"x"].concat(), "bytes after the header");
    check(text.replace(" v1 ", " v2 ").as_bytes(), "format version v2 is not known");
    check(text.replace("sequence=7", "sequence=8").as_bytes(), "the checksum does not match");
    check(&encode_checkpoint(header(), &checkpoint()), "expected a log, found a checkpoint");
    check(&encode("log", header(), &1), "the content cannot be read");
}

#[test]
fn no_flipped_bit_goes_unnoticed() {
    let whole = encode_log(header(), &record());
    for i in 0..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[i] ^= 1 << bit;
            // The letters of the checksum itself may change their case without a change of value.
            let same = decode_log(&bytes) == Ok((header(), record()));
            assert!(decode_log(&bytes).is_err() || same, "byte {i}, bit {bit}");
        }
    }
}

fn any_kind() -> impl Strategy<Value = ColumnKind> {
    prop_oneof![
        Just(ColumnKind::Tag),
        Just(ColumnKind::Field(FieldType::Float)),
        Just(ColumnKind::Field(FieldType::String)),
    ]
}

fn any_columns() -> impl Strategy<Value = Vec<StoredColumn>> {
    let column = (any::<u32>(), any::<String>(), any_kind())
        .prop_map(|(id, name, kind)| StoredColumn { id: ColumnId(id), name: name.into(), kind });
    prop::collection::vec(column, 0..4)
}

fn any_deletion() -> impl Strategy<Value = Deletion> {
    (any::<i64>(), any::<Option<i64>>(), any::<bool>()).prop_map(|(at, hard, rows_removed)| {
        Deletion { deleted_at_ns: at, hard_delete_at_ns: hard, rows_removed }
    })
}

fn any_change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<u32>(), any::<String>(), any::<Option<i64>>()).prop_map(|(id, db, retention_ns)| {
            Change::CreateDatabase { id: DbId(id), db: db.into(), retention_ns }
        }),
        (any::<String>(), any::<u32>(), any::<String>(), any_columns()).prop_map(
            |(db, id, table, columns)| Change::CreateTable {
                db: db.into(),
                id: TableId(id),
                table: table.into(),
                columns,
            }
        ),
        (any::<String>(), any::<String>(), any_deletion()).prop_map(|(db, renamed, deletion)| {
            Change::DeleteDatabase { db: db.into(), renamed: renamed.into(), deletion }
        }),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        uuid in any::<u128>(),
        sequence in any::<u64>(),
        time_ns in any::<i64>(),
        changes in prop::collection::vec(any_change(), 0..5),
    ) {
        let header = Header { uuid: Uuid::from_u128(uuid), sequence };
        let record = LogRecord { nonce: Uuid::from_u128(!uuid), time_ns, changes };
        prop_assert_eq!(decode_log(&encode_log(header, &record)), Ok((header, record)));
    }

    #[test]
    fn no_input_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(decode_log(&bytes).is_err());
        prop_assert!(decode_checkpoint(&bytes).is_err());
        let mut tagged = b"influxdb3-catalog v1 log ".to_vec();
        tagged.extend(bytes);
        prop_assert!(decode_log(&tagged).is_err());
    }
}

fn last_cache() -> Arc<LastCacheDef> {
    Arc::new(LastCacheDef {
        id: CacheId(0),
        name: "l".into(),
        keys: vec!["c0".into()],
        values: Some(vec!["time".into()]),
        count: 2,
        ttl_seconds: 3,
        starts_empty: true,
    })
}

fn distinct_cache() -> Arc<DistinctCacheDef> {
    Arc::new(DistinctCacheDef {
        id: CacheId(1),
        name: "d".into(),
        columns: vec!["c0".into(), "c4".into()],
        max_cardinality: 4,
        max_age_seconds: 5,
        starts_empty: false,
    })
}

/// The records came later than the golden files, which stay as they are.
#[test]
fn undeletions_in_the_log() {
    let changes = vec![
        Change::UndeleteTable {
            db: "foo".into(),
            table: "cpu-20260102T030405".into(),
            renamed: "cpu".into(),
        },
        Change::UndeleteDatabase { db: "foo-20260102T030405".into(), renamed: "foo".into() },
    ];
    let record = LogRecord { nonce: Uuid::from_u128(1), time_ns: 2, changes };
    let bytes = encode_log(header(), &record);
    let stored = concat!(
        r#"{"nonce":"00000000-0000-0000-0000-000000000001","time_ns":2,"changes":["#,
        r#"{"undelete_table":{"db":"foo","table":"cpu-20260102T030405","renamed":"cpu"}},"#,
        r#"{"undelete_database":{"db":"foo-20260102T030405","renamed":"foo"}}]}"#,
    );
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert_eq!(text.lines().nth(1), Some(stored));
    assert_eq!(decode_log(&bytes), Ok((header(), record)));
}

/// The records came later than the golden files, which stay as they are.
#[test]
fn caches_in_the_log_and_in_checkpoints() {
    let (db, table) = (|| "foo".into(), || "cpu".into());
    let changes = vec![
        Change::CreateLastCache { db: db(), table: table(), cache: last_cache() },
        Change::CreateDistinctCache { db: db(), table: table(), cache: distinct_cache() },
        Change::DeleteCache { db: db(), table: table(), cache: CacheId(0) },
    ];
    let record = LogRecord { nonce: Uuid::from_u128(1), time_ns: 2, changes };
    let bytes = encode_log(header(), &record);
    let stored = concat!(
        r#"{"nonce":"00000000-0000-0000-0000-000000000001","time_ns":2,"changes":["#,
        r#"{"create_last_cache":{"db":"foo","table":"cpu","cache":{"id":0,"name":"l","#,
        r#""keys":["c0"],"values":["time"],"count":2,"ttl_seconds":3,"starts_empty":true}}},"#,
        r#"{"create_distinct_cache":{"db":"foo","table":"cpu","cache":{"id":1,"name":"d","#,
        r#""columns":["c0","c4"],"max_cardinality":4,"max_age_seconds":5,"#,
        r#""starts_empty":false}}},{"delete_cache":{"db":"foo","table":"cpu","cache":0}}]}"#,
    );
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert_eq!(text.lines().nth(1), Some(stored));
    assert_eq!(decode_log(&bytes), Ok((header(), record)));

    let mut checkpoint = checkpoint();
    let caches =
        TableCaches { next_id: 2, last: vec![last_cache()], distinct: vec![distinct_cache()] };
    checkpoint.databases[0].tables[0].caches = Arc::new(caches);
    let bytes = encode_checkpoint(header(), &checkpoint);
    assert_eq!(decode_checkpoint(&bytes), Ok((header(), checkpoint)));
}

/// The records came later than the golden files, which stay as they are.
#[test]
fn plugins_and_triggers_in_the_log_and_in_checkpoints() {
    let db = || "foo".into();
    let plugin = Arc::new(PluginDef {
        name: "p".into(),
        kind: PluginKind::Scheduled,
        text: PluginText::Code("x = 1".into()),
    });
    let trigger = Arc::new(TriggerDef {
        id: 3,
        name: "t".into(),
        plugin: PluginRef::Path("a/b.py".into()),
        specification: "every:10s".into(),
        arguments: [("k".into(), "v".into())].into(),
        run_async: true,
        error_behavior: ErrorBehavior::Retry,
        isolation: Isolation::Shared,
        delivery: Delivery::AtMostOnce,
        disabled: false,
    });
    let changes = vec![
        Change::CreatePlugin { db: db(), plugin: Arc::clone(&plugin) },
        Change::CreateTrigger { db: db(), trigger: Arc::clone(&trigger) },
        Change::SetTriggerDisabled { db: db(), trigger: "t".into(), disabled: true },
        Change::DeleteTrigger { db: db(), trigger: "t".into() },
        Change::DeletePlugin { db: db(), plugin: "p".into() },
    ];
    let record = LogRecord { nonce: Uuid::from_u128(1), time_ns: 2, changes };
    let bytes = encode_log(header(), &record);
    let stored = concat!(
        r#"{"nonce":"00000000-0000-0000-0000-000000000001","time_ns":2,"changes":["#,
        r#"{"create_plugin":{"db":"foo","plugin":{"name":"p","kind":"scheduled","#,
        r#""text":{"code":"x = 1"}}}},"#,
        r#"{"create_trigger":{"db":"foo","trigger":{"id":3,"name":"t","plugin":{"path":"a/b.py"},"#,
        r#""specification":"every:10s","arguments":{"k":"v"},"run_async":true,"#,
        r#""error_behavior":"retry","disabled":false}}},"#,
        r#"{"set_trigger_disabled":{"db":"foo","trigger":"t","disabled":true}},"#,
        r#"{"delete_trigger":{"db":"foo","trigger":"t"}},"#,
        r#"{"delete_plugin":{"db":"foo","plugin":"p"}}]}"#,
    );
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert_eq!(text.lines().nth(1), Some(stored));
    assert_eq!(decode_log(&bytes), Ok((header(), record)));

    let mut checkpoint = checkpoint();
    checkpoint.databases[0].plugins = Arc::new(DatabasePlugins {
        next_trigger_id: 4,
        plugins: vec![plugin],
        triggers: vec![trigger],
    });
    let bytes = encode_checkpoint(header(), &checkpoint);
    assert_eq!(decode_checkpoint(&bytes), Ok((header(), checkpoint)));
}

/// The records came later than the golden files, which stay as they are.
#[test]
fn downsamples_in_the_log_and_in_checkpoints() {
    let downsample = Arc::new(DownsampleDef {
        id: 3,
        name: "n".into(),
        source: "cpu".into(),
        target_db: "foo".into(),
        target: "cpu_10m".into(),
        interval_ns: 600,
        offset_ns: 60,
        aggregates: vec![Aggregate::Avg, Aggregate::Last],
        from_ns: Some(-1),
        created_at_ns: 7,
        disabled: false,
    });
    let (db, name) = (|| "foo".into(), || "n".into());
    let changes = [
        Change::CreateDownsample { db: db(), downsample: Arc::clone(&downsample) },
        Change::SetDownsampleDisabled { db: db(), downsample: name(), disabled: true },
        Change::DeleteDownsample { db: db(), downsample: name() },
    ];
    let stored = [
        concat!(
            r#"{"create_downsample":{"db":"foo","downsample":{"id":3,"name":"n","source":"cpu","#,
            r#""target_db":"foo","target":"cpu_10m","interval_ns":600,"offset_ns":60,"#,
            r#""aggregates":["avg","last"],"from_ns":-1,"created_at_ns":7,"disabled":false}}}"#,
        ),
        r#"{"set_downsample_disabled":{"db":"foo","downsample":"n","disabled":true}}"#,
        r#"{"delete_downsample":{"db":"foo","downsample":"n"}}"#,
    ];
    for (change, stored) in changes.iter().zip(stored) {
        assert_eq!(serde_json::to_string(change).unwrap(), stored);
        assert_eq!(serde_json::from_str::<Change>(stored).unwrap(), *change);
    }
    let mut checkpoint = checkpoint();
    checkpoint.databases[0].downsamples =
        Arc::new(DatabaseDownsamples { next_id: 4, all: vec![downsample] });
    let bytes = encode_checkpoint(header(), &checkpoint);
    assert_eq!(decode_checkpoint(&bytes), Ok((header(), checkpoint)));
}
