//! What enters a last-value cache, and how long it stays.

use super::{LAST, csv, must_create, refused, write_at};
use crate::support::client::{Client, with_query};
use crate::support::eventually;
use crate::support::server::{Server, Setup};
use serde_json::json;

#[test]
fn a_row_enters_as_it_was_written() {
    let server = Server::memory();
    let client = &server.client;
    let line = "cpu,region=us-east,host=a";
    write_at(client, &format!("{line} load=10,cores=2i,st=\"x\",up=true"), 10);
    must_create(client, LAST, &json!({"table": "cpu"}));
    let all = "SELECT * FROM last_cache('cpu')";
    let path = with_query("/api/v3/query_sql", &[("db", "x"), ("q", all), ("format", "csv")]);
    let text = client.get(&path).text();
    let (header, row) = text.split_once('\n').expect("two lines");
    assert_eq!(header, "region,host,cores,load,st,time,up");
    assert_eq!(row, "us-east,a,2,10.0,x,2065-01-07T17:00:10,true");
    write_at(client, &format!("{line} load=99"), 5);
    write_at(client, &format!("{line} load=98"), 10);
    let corrected = row.replace("10.0", "98.0");
    assert_eq!(csv(client, all), [corrected], "a late row changes nothing, a correction does");
    assert_eq!(csv(client, "SELECT load FROM cpu ORDER BY time"), ["99.0", "98.0"]);
    write_at(client, &format!("{line} st=\"z\""), 14);
    assert_eq!(csv(client, all), ["us-east,a,,,z,2065-01-07T17:00:14,"]);
    write_at(client, &format!("{line} newf=1i"), 15);
    write_at(client, "cpu,host=a load=50", 20);
    let sql = "SELECT region, host, cores, load, newf, st, time, up FROM last_cache('cpu')";
    assert_eq!(csv(client, sql), ["us-east,a,,,1,,2065-01-07T17:00:15,"]);
    let text = client.get(&path).text();
    assert!(text.starts_with("region,host,cores,load,newf,st,time,up\n"), "{text}");
}

/// What the newest row gets later, and rows of several series under one key, before a restart and
/// after it.
#[test]
fn a_cache_answers_what_its_table_answers() {
    let setup = Setup::disk();
    let mut server = setup.start();
    let client = &server.client;
    client.must_write("x", "m,r=e,h=a v=1 10\nm,r=e,h=b v=1 10");
    must_create(client, LAST, &json!({"table": "m", "name": "all"}));
    let body = json!({"table": "m", "name": "r", "key_columns": ["r"], "value_columns": ["v"],
                      "count": 3});
    must_create(client, LAST, &body);
    client.must_write("x", "m,r=e,h=b v=2 10\nm,r=e,h=a w=7 10\nm,r=e,h=a v=3 5\nm,r=e v=9 10");
    let rows = |client: &Client| {
        ["SELECT h, v, w FROM last_cache('m', 'all')", "SELECT v FROM last_cache('m', 'r')"]
            .map(|sql| csv(client, sql))
    };
    for restart in 0..2 {
        let [mut all, by_region] = rows(&server.client);
        all.sort();
        assert_eq!(all, ["a,1.0,7.0", "b,2.0,"], "{restart}");
        assert_eq!(by_region, ["9.0", "1.0", "2.0"], "{restart}");
        server.kill();
        server = setup.start();
    }
}

#[test]
fn counts_explicit_values_and_late_rows() {
    let server = Server::memory();
    let client = &server.client;
    write_at(client, "cv,region=us-east,host=a load=1,cores=2i", 0);
    let body = json!({"table": "cv", "name": "l1", "key_columns": ["region"],
                      "value_columns": ["load"], "count": 2});
    must_create(client, LAST, &body);
    for (line, seconds) in [
        ("cv,region=us-east,host=a load=10,cores=2i", 10),
        ("cv,region=us-east,host=a load=96", 13),
        ("cv,region=us-east,host=a st=\"z\"", 14),
        ("cv,region=us-east,host=b newf=1i", 15),
        ("cv,region=us-east,host=a load=60", 30),
        ("cv,region=zz load=51", 20),
        ("cv,host=a load=7", 40),
    ] {
        write_at(client, line, seconds);
    }
    let sql = "SELECT * FROM last_cache('cv','l1') WHERE region = ";
    let newest = ["us-east,60.0,2065-01-07T17:00:30", "us-east,,2065-01-07T17:00:15"];
    assert_eq!(csv(client, &format!("{sql}'us-east'")), newest);
    assert_eq!(csv(client, &format!("{sql}'zz'")), ["zz,51.0,2065-01-07T17:00:20"]);
    assert_eq!(csv(client, "SELECT * FROM last_cache('cv','l1')").len(), 3);
    write_at(client, "cv,region=us-east load=2", 20);
    let with_late = ["us-east,60.0,2065-01-07T17:00:30", "us-east,2.0,2065-01-07T17:00:20"];
    assert_eq!(csv(client, &format!("{sql}'us-east'")), with_late, "in the order of time");
}

#[test]
fn keys_of_all_types_and_none() {
    let server = Server::memory();
    let client = &server.client;
    client.must_write("x", "k,t=a i=1i,b=true,s=\"w\",u=3u,v=1 0");
    let body = json!({"table": "k", "name": "ibs", "key_columns": ["i", "b", "s"],
                      "start_empty": true});
    must_create(client, LAST, &body);
    let body = json!({"table": "k", "name": "all", "key_columns": [], "start_empty": true});
    must_create(client, LAST, &body);
    let lines = "k,t=a i=2i,b=true,s=\"x\",v=1 1\nk,t=b i=4i,b=false,s=\"y\",v=2 2\nk,t=c v=3 3";
    client.must_write("x", lines);
    let from = "FROM last_cache('k','ibs')";
    let rows = csv(client, &format!("SELECT i, b, s, v {from} ORDER BY i"));
    assert_eq!(rows, ["2,true,x,1.0", "4,false,y,2.0"]);
    for (condition, count) in [
        ("i = 2 AND b = true", 1),
        ("b", 1),
        ("NOT b", 1),
        ("i > 2", 1),
        ("i = '2'", 1),
        ("i = 2.0", 1),
        ("i = 2.5", 0),
        ("s IN ('x','y','nope')", 2),
        ("s = 'x' OR s = 'y'", 2),
        ("i = 2 AND b = false", 0),
    ] {
        let rows = csv(client, &format!("SELECT v {from} WHERE {condition}"));
        assert_eq!(rows.len(), count, "{condition}: {rows:?}");
    }
    assert_eq!(csv(client, "SELECT v FROM last_cache('k','all')"), ["3.0"]);
    refused(
        client,
        "SELECT * FROM last_cache('k')",
        "could not find cache for the given arguments",
    );
}

#[test]
fn time_to_live() {
    let server = Setup::memory().with(&["--last-cache-eviction-interval", "200ms"]).start();
    let client = &server.client;
    client.must_write("x", "m,t=a f=1");
    for (name, ttl) in [("short", 2), ("none", 0), ("long", 3600)] {
        must_create(client, LAST, &json!({"table": "m", "name": name, "ttl": ttl}));
    }
    client.must_write("x", "m,t=b f=2");
    let count = |name: &str| csv(client, &format!("SELECT * FROM last_cache('m','{name}')")).len();
    assert_eq!((count("none"), count("long")), (0, 2));
    eventually("the rows are over", || (count("short") == 0).then_some(()));
    assert_eq!((count("none"), count("long"), client.count("x", "m")), (0, 2, 2));
    eventually("the memory is freed", || {
        let sql = "SELECT keys, bytes FROM system.cache_states WHERE name = 'short'";
        (client.rows("x", sql) == json!([{"keys": 0, "bytes": 0}])).then_some(())
    });
}
