//! What can be asked about the catalog and the server.

use super::Fixture;
use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use futures::TryStreamExt;

#[actix_rt::test]
async fn the_catalog_is_shown() {
    let server = Fixture::new().await;
    let tables = "public,iox,home,BASE TABLE
public,system,distinct_caches,BASE TABLE
public,system,influxdb_schema,BASE TABLE
public,system,last_caches,BASE TABLE
public,system,parquet_files,BASE TABLE
public,system,processing_engine_logs,BASE TABLE
public,system,processing_engine_trigger_arguments,BASE TABLE
public,system,processing_engine_triggers,BASE TABLE
public,system,queries,BASE TABLE
public,information_schema,tables,VIEW
public,information_schema,views,VIEW
public,information_schema,columns,VIEW
public,information_schema,df_settings,VIEW
public,information_schema,schemata,VIEW
public,information_schema,routines,VIEW
public,information_schema,parameters,VIEW";
    server.check("SHOW TABLES", &[], tables).await;
    let columns = "co,Int64,YES
hum,Float64,YES
note,Utf8,YES
open,Boolean,YES
room,Dictionary(Int32, Utf8),YES
temp,Float64,YES
time,Timestamp(ns),NO";
    server.check("DESCRIBE home", &[], columns).await;
    let text = "SELECT column_name, data_type, is_nullable FROM information_schema.columns \
                WHERE table_schema = 'iox' ORDER BY ordinal_position";
    server.check(text, &[], columns).await;
    let text = "SELECT schema_name FROM information_schema.schemata ORDER BY 1";
    server.check(text, &[], "iox\nsystem").await;
    server
        .check(
            "SHOW datafusion.catalog.default_schema",
            &[],
            "datafusion.catalog.default_schema,iox",
        )
        .await;
    server.rows("SHOW COLUMNS FROM home", &[]).await.unwrap();
    server.rows("SHOW ALL", &[]).await.unwrap();
    server.rows("SHOW FUNCTIONS", &[]).await.unwrap();
    let explained = "logical_plan,Projection: Int64(1)\n,EmptyRelation: rows=1\n\
                     physical_plan,ProjectionExec: expr=[1 as Int64(1)]\n,PlaceholderRowExec\n,";
    server.check("EXPLAIN SELECT 1", &[], explained).await;
}

#[actix_rt::test]
async fn system_tables_tell_what_is() {
    let server = Fixture::new().await;
    let text = "SELECT * FROM system.influxdb_schema WHERE key IN ('room', 'time', 'open')";
    server.check(text, &[], "home,open,boolean\nhome,room,tag\nhome,time,time").await;
    for name in [
        "distinct_caches",
        "last_caches",
        "parquet_files",
        "processing_engine_logs",
        "processing_engine_trigger_arguments",
        "processing_engine_triggers",
    ] {
        server.check(&format!("SELECT count(*) FROM system.{name}"), &[], "0").await;
    }
    server.error("SELECT 1/0").await;
    let text = "SELECT phase, success, running, cancelled, query_type, query_text \
                FROM system.queries WHERE query_text LIKE '%/0' AND end2end_duration IS NOT NULL";
    server.check(text, &[], "fail,false,false,false,sql,SELECT 1/0").await;
    let text = "SELECT phase, running FROM system.queries WHERE query_text LIKE '%itself%'";
    server.check(text, &[], "execution_permit,true").await;

    let internal = |text: &'static str| async {
        let result = server.start("_internal", text, &[]).await.unwrap();
        let batches: Vec<_> = result.batches.try_collect().await.unwrap();
        batches.iter().map(RecordBatch::num_rows).sum::<usize>()
    };
    assert_eq!(internal("SELECT * FROM system.databases").await, 2);
    assert_eq!(internal("SELECT * FROM system.tables").await, 1);
    assert_eq!(internal("SELECT * FROM system.generation_durations").await, 1);
    assert_eq!(internal("SELECT * FROM system.tokens").await, 0);
}

#[actix_rt::test]
async fn actors_and_nodes_are_shown() {
    let server = Fixture::new().await;
    let internal = |text: &'static str| async {
        let result = server.start("_internal", text, &[]).await.unwrap();
        let batches: Vec<_> = result.batches.try_collect().await.unwrap();
        pretty_format_batches(&batches).unwrap().to_string()
    };
    let actors = internal(
        "SELECT name, kind, restarts, mailbox_capacity, state, \
         mailbox_depth <= mailbox_capacity AS fits, bytes_held >= 0 AS b FROM system.actors \
         ORDER BY name",
    )
    .await;
    for name in ["query", "store"] {
        let row = format!("| {name} ");
        let row = actors.lines().find(|line| line.starts_with(&row)).expect("an actor");
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert_eq!(cells[2..8], [name, "0", "100", "running", "true", "true"]);
    }
    let handled = internal(
        "SELECT messages_handled > 0 AND handler_p50_us > 0.0 \
         AND handler_p99_us >= handler_p50_us AS h FROM system.actors WHERE name = 'query'",
    )
    .await;
    assert!(handled.contains("true"), "{handled}");
    let nodes = internal("SELECT node_id, mode, state, node_catalog_id FROM system.nodes").await;
    assert!(nodes.contains("| n       | [core] | running | 0 "), "{nodes}");
    // Other databases have neither, and the list of tables stays what clients know.
    for table in ["actors", "nodes"] {
        let error = server.error(&format!("SELECT * FROM system.{table}")).await;
        assert!(error.message.contains("not found"), "{}", error.message);
    }
    assert!(!internal("SHOW TABLES").await.contains("actors"));
}

#[actix_rt::test]
async fn the_log_tells_what_a_query_took() {
    let server = Fixture::new().await;
    server.rows("SELECT value FROM generate_series(1, 5000) ORDER BY -value", &[]).await.unwrap();
    let text = "SELECT phase, plan_duration IS NOT NULL, permit_duration IS NOT NULL, \
                execute_duration IS NOT NULL, end2end_duration IS NOT NULL, max_memory > 0, \
                partitions > 0, parquet_files FROM system.queries \
                WHERE query_text LIKE '%BY -value'";
    server.check(text, &[], "success,true,true,true,true,true,true,0").await;
}
