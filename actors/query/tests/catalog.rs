//! What can be asked about the catalog and the server.

use super::Fixture;
use arrow::array::RecordBatch;
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
