//! What was deleted: readable under its dated name until its rows go, and back when it is asked for.

use crate::support::client::{Client, with_query};
use crate::support::command::Shell;
use crate::support::eventually;
use crate::support::server::Server;
use serde_json::{Value, json};
use tempfile::TempDir;

fn undelete(client: &Client, what: &str, parameters: &[(&str, &str)]) -> (u16, String) {
    let path = format!("/api/v3/configure/{what}/undelete");
    let answer = client.post(&with_query(&path, parameters), "");
    (answer.status, answer.text())
}

/// Names and types of the tables that users made.
fn tables(client: &Client) -> Vec<(String, String)> {
    let rows = client.rows("d", "SHOW TABLES");
    let text = |row: &Value, name: &str| row[name].as_str().expect("a text").to_owned();
    let own = rows.as_array().expect("rows").iter().filter(|row| row["table_schema"] == "iox");
    own.map(|row| (text(row, "table_name"), text(row, "table_type"))).collect()
}

/// Deletes the table `m` and returns what it is called then.
fn delete_m(client: &Client) -> String {
    assert_eq!(client.delete("/api/v3/configure/table?db=d&table=m").status, 200);
    let sql = "SELECT table_name FROM information_schema.tables \
               WHERE table_type = 'LOCAL TEMPORARY' ORDER BY table_name DESC LIMIT 1";
    client.value("d", sql).as_str().expect("a name").to_owned()
}

#[test]
fn a_deleted_table_is_read_under_its_dated_name() {
    let server = Server::disk();
    let client = &server.client;
    client.must_write("d", "m,t=a f=1 1\nm,t=b f=2 2\nother f=1 1");
    let dated = delete_m(client);
    let stamp = dated.strip_prefix("m-").expect("m-YYYYMMDDTHHMMSS");
    assert_eq!((stamp.len(), stamp.find('T')), (15, Some(8)), "{dated}");
    let listed = [(dated.clone(), "LOCAL TEMPORARY"), ("other".to_owned(), "BASE TABLE")];
    assert_eq!(tables(client), listed.map(|(name, kind)| (name, kind.to_owned())));
    let live = "SELECT table_name FROM information_schema.tables \
                WHERE table_schema = 'iox' AND table_type = 'BASE TABLE'";
    assert_eq!(client.rows("d", live), json!([{"table_name": "other"}]));
    let read = format!("SELECT t, f FROM \"{dated}\" WHERE f > 1");
    assert_eq!(client.rows("d", &read), json!([{"t": "b", "f": 2.0}]));
    assert!(client.sql("d", "SELECT * FROM m").text().contains("not found"));
    let refused = client.write("d", &format!("{dated} f=3 3"));
    assert!(refused.status == 400 && refused.text().contains("soft-deleted"), "{}", refused.text());

    let server = server.killed_and_restarted();
    assert_eq!(server.client.rows("d", &read), json!([{"t": "b", "f": 2.0}]));
    let path = format!("/api/v3/configure/table?db=d&table={dated}&hard_delete_at=now");
    assert_eq!(server.client.delete(&path).status, 200);
    eventually("the rows are gone", || (server.client.sql("d", &read).status == 400).then_some(()));
    let gone = undelete(&server.client, "table", &[("db", "d"), ("table", &dated)]);
    let text = format!("cannot undelete '{dated}': its rows have been removed");
    assert_eq!(gone, (409, text));
}

#[test]
fn a_table_comes_back_with_its_rows_and_takes_more() {
    let server = Server::disk();
    server.client.must_write("d", "m,t=a f=1 1");
    let dated = delete_m(&server.client);
    server.client.must_write("d", "m f=\"of another type\" 1");
    let named = [("db", "d"), ("table", dated.as_str())];
    let text = format!("cannot undelete '{dated}': the name 'm' is in use");
    assert_eq!(undelete(&server.client, "table", &named), (409, text));
    let path = "/api/v3/configure/table?db=d&table=m&hard_delete_at=never";
    assert_eq!(server.client.delete(path).status, 200);
    assert_eq!(undelete(&server.client, "table", &named), (200, String::new()));
    server.client.must_write("d", "m,t=b f=2 2");
    let rows = json!([{"t": "a", "f": 1.0}, {"t": "b", "f": 2.0}]);
    let all = "SELECT t, f FROM m ORDER BY t";
    assert_eq!(server.client.rows("d", all), rows);
    let server = server.killed_and_restarted();
    assert_eq!(server.client.rows("d", all), rows);
    let unknown = undelete(&server.client, "table", &[("db", "d"), ("table", "nope")]);
    assert_eq!(unknown, (404, "Table nope not in DB schema for d".to_owned()));
    let missing = undelete(&server.client, "table", &[("db", "d")]);
    assert_eq!(missing, (400, "serde error: missing field `table`".to_owned()));
}

#[test]
fn a_database_comes_back_with_its_tables() {
    let server = Server::disk();
    server.client.must_write("d", "m f=1 1\nn f=2 1");
    delete_m(&server.client);
    assert_eq!(server.client.delete("/api/v3/configure/database?db=d").status, 200);
    assert_eq!(server.client.sql("d", "SELECT 1").status, 404);
    assert_eq!(undelete(&server.client, "database", &[("db", "d")]), (200, String::new()));
    let check = |client: &Client| {
        assert_eq!(client.databases(), ["_internal", "d"]);
        assert_eq!((client.count("d", "n"), client.count("d", "m")), (1, 0));
        assert_eq!(tables(client).len(), 2, "the table that was deleted before stays deleted");
    };
    check(&server.client);
    check(&server.killed_and_restarted().client);
    let again = undelete(&Server::memory().client, "database", &[("db", "d")]);
    assert_eq!(again, (404, "the requested resource was not found: d".to_owned()));
}

#[test]
fn the_command_line_brings_things_back() {
    let server = Server::memory();
    let directory = TempDir::new().expect("a directory");
    let shell = Shell { client: Some(&server.client), directory: directory.path() };
    server.client.must_write("d", "m f=1 1");
    let dated = delete_m(&server.client);
    let told = shell.must(&["undelete", "table", "-d", "d", &dated]);
    assert_eq!(told.trim(), format!("Table \"d\".\"{dated}\" undeleted successfully"));
    assert_eq!(server.client.count("d", "m"), 1);
    assert_eq!(server.client.delete("/api/v3/configure/database?db=d").status, 200);
    let told = shell.must(&["undelete", "database", "d"]);
    assert_eq!(told.trim(), "Database \"d\" undeleted successfully");
    assert_eq!(server.client.count("d", "m"), 1);
    shell.fails(&["undelete", "database", "d"], 1, &["Undelete command failed", "not found: d"]);
}
