//! Merged files are indexed by columns of texts: queries for few values open few files.

use super::compaction::{by_hand, compact};
use super::model::DB;
use super::parquet::read_elsewhere;
use super::stage::{files, persist_everything};
use crate::support::client::Client;
use crate::support::command::Shell;
use serde_json::{Value, json};

const PATH: &str = "/api/v3/enterprise/configure/file_index";
const OWN: &str =
    "SELECT * FROM system.file_indexes ORDER BY database_name, table_name NULLS FIRST";

/// A row of each of so many devices in twenty regions, in two minutes.
fn write(client: &Client, table: &str, devices: usize) {
    let line = |n: usize| {
        let (region, time) = (n % 20, 60_000_000_000 * (n / 20 % 2) + n);
        // Each text is that of ten devices of a region.
        let note = format!("note {}-{region}", n / 200);
        format!("{table},region=r{region},device=d{n} f={n},n={n}i,note=\"{note}\" {time}")
    };
    for from in (0..devices).step_by(20_000) {
        let lines: Vec<String> = (from..devices.min(from + 20_000)).map(line).collect();
        client.must_write(DB, &lines.join("\n"));
    }
}

/// What the scan of a query has counted: files that were opened, and those that the index left out.
fn counted(client: &Client, query: &str) -> (u64, u64) {
    let plan = client.rows(DB, &format!("EXPLAIN ANALYZE {query}")).to_string();
    let figure = |name: &str| {
        let (_, rest) = plan.split_once(&format!("{name}=")).expect(name);
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect("a number")
    };
    (figure("files_opened"), figure("files_excluded"))
}

fn set(client: &Client, body: &Value) -> u16 {
    client.json("POST", PATH, body).status
}

fn unset(client: &Client, body: &Value) -> u16 {
    client.json("DELETE", PATH, body).status
}

#[test]
fn one_device_of_a_hundred_thousand_is_in_few_files() {
    let options = ["--compaction-row-limit", "5000", "--disable-parquet-mem-cache"];
    let server = by_hand().with(&options).start();
    let client = &server.client;
    // By nothing that the table has, as if there were no index.
    client.must_write(DB, "without,region=r,device=d note=\"\",other=\"\" 0");
    let body = json!({"db": DB, "table": "without", "columns": ["other"]});
    assert_eq!(set(client, &body), 200);
    let body = json!({"db": DB, "table": "with", "columns": ["device", "note"]});
    client.must_write(DB, "with,region=r,device=d note=\"\" 0");
    assert_eq!(set(client, &body), 200);
    for table in ["with", "without"] {
        write(client, table, 100_000);
    }
    persist_everything(client);
    compact(&server);
    let names = files(client, DB);
    let of_each = names.len() as u64 / 2;
    assert!(of_each >= 20, "{names:?}");
    let excluded = || client.metric("query_files_excluded_total", &[]).unwrap_or(0.0);
    for (condition, rows, most) in [
        ("device = 'd77777'", 1, 1),
        ("device IN ('d5', 'd77777')", 2, 2),
        ("note = 'note 235-17'", 10, 1),
        ("device = 'd77777' AND note = 'note 235-4'", 0, 1),
        ("device = 'd5x'", 0, 1),
    ] {
        let before = excluded();
        let query = |table| {
            let columns = "SELECT region, device, f, time, note";
            format!("{columns} FROM \"{table}\" WHERE {condition} ORDER BY time")
        };
        let found = client.rows(DB, &query("with"));
        assert_eq!(found, client.rows(DB, &query("without")), "{condition}");
        assert_eq!(found.as_array().map(Vec::len), Some(rows), "{condition}");
        assert!(excluded() > before);
        let (opened, _) = counted(client, &query("with"));
        let (all, _) = counted(client, &query("without"));
        assert!(opened <= most && all >= 10 * most, "{condition}: {opened} of {all} files");
    }
    // Other programs read these files, and know the filters for what they are.
    let last = names.last().map(|name| server.setup.data_dir().join(name));
    let found = read_elsewhere(&Vec::from_iter(last));
    assert_eq!((&found["unsorted"], &found["repeated_keys"]), (&json!([]), &json!(0)));
    assert_eq!((&found["lost"], &found["filtered"]), (&json!([]), &json!(["device", "note"])));

    // Rows that are written later are found whether files have an index or not.
    client.must_write(DB, "with,region=r9,device=d77777 f=1 7");
    let count = "SELECT count(*) FROM \"with\" WHERE device = 'd77777'";
    assert_eq!(client.value(DB, count), 2);
    let server = server.killed_and_restarted();
    assert_eq!(server.client.value(DB, count), 2);
}

#[test]
fn columns_are_chosen_for_tables_and_databases() {
    let server = by_hand().start();
    let client = &server.client;
    client.must_write(DB, "a,t=x s=\"y\",i=1i 1\nb,t=x s=1i 1");
    for (status, body) in [
        (400, json!({"db": DB, "table": "a", "columns": ["i"]})),
        (400, json!({"db": DB, "table": "a", "columns": ["time"]})),
        (400, json!({"db": DB, "table": "a", "columns": ["nosuch"]})),
        (400, json!({"db": DB, "table": "a", "columns": ["t", "t"]})),
        (400, json!({"db": DB, "table": "a", "columns": []})),
        (400, json!({"db": DB, "table": "a"})),
        (400, json!({"db": DB, "columns": ["s"]})),
        (400, json!({"db": DB, "columns": ["nosuch"]})),
        (404, json!({"db": DB, "table": "nosuch", "columns": ["t"]})),
        (404, json!({"db": "nosuch", "columns": ["t"]})),
        (500, json!({"db": "_internal", "columns": ["t"]})),
    ] {
        let answer = client.json("POST", PATH, &body);
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
    }
    let why = client.json("POST", PATH, &json!({"db": DB, "columns": ["t", "s"]})).text();
    assert!(why.contains("s of table b is of type integer"), "{why}");
    assert_eq!(client.rows("_internal", OWN), json!([]));

    let shell = Shell { client: Some(client), directory: &server.setup.data_dir() };
    let said = shell.must(&["create", "file_index", "-d", DB, "-t", "a", "t,s"]);
    assert_eq!(said, format!("File index of table \"{DB}\".\"a\" created successfully\n"));
    let said = shell.must(&["create", "file_index", "--database", DB, "t"]);
    assert_eq!(said, format!("File index of database \"{DB}\" created successfully\n"));
    shell.fails(&["create", "file_index", "-d", DB], 2, &["COLUMNS"]);
    shell.fails(&["create", "file_index", "-d", DB, "-t", "a", "i"], 1, &["is of type integer"]);
    let both = json!([
        {"database_name": DB, "columns": ["t"]},
        {"database_name": DB, "table_name": "a", "columns": ["t", "s"]},
    ]);
    assert_eq!(client.rows("_internal", OWN), both);

    // The setting follows the table, and is hidden while that is deleted.
    assert_eq!(client.delete(&format!("/api/v3/configure/table?db={DB}&table=a")).status, 200);
    assert_eq!(client.rows("_internal", OWN), json!([both[0]]));
    let again = json!({"db": DB, "table": "a", "columns": ["t"]});
    assert_eq!(set(client, &again), 404);
    let back = format!("/api/v3/configure/table/undelete?db={DB}&table=a");
    assert_eq!(client.post(&back, "").status, 200);
    let server = server.killed_and_restarted();
    let client = &server.client;
    assert_eq!(client.rows("_internal", OWN), both);

    let shell = Shell { client: Some(client), directory: &server.setup.data_dir() };
    let said = shell.must(&["delete", "file_index", "-d", DB]);
    assert_eq!(said, format!("File index of database \"{DB}\" deleted successfully\n"));
    assert_eq!(unset(client, &json!({"db": DB, "table": "a"})), 200);
    assert_eq!(client.rows("_internal", OWN), json!([]));
    assert_eq!(unset(client, &json!({"db": DB, "table": "a"})), 200, "there is none");
    assert_eq!(unset(client, &json!({"db": DB, "table": "nosuch"})), 404);
}
