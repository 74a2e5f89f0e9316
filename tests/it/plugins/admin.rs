//! Creating, listing and deleting plugins and triggers, and what is refused.

use super::{Plugins, TRIGGER_PATH};
use crate::support::command::Shell;
use crate::support::server::Server;
use serde_json::json;

#[test]
fn specifications_are_checked() {
    let plugins = Plugins::start();
    plugins.plugin("p.py", "");
    let check = |spec: &str, context: &str| {
        let refused = plugins.create("t", "p.py", spec, &json!({}));
        let text = format!("failed to parse trigger from {spec}: {context}");
        assert!(refused.status == 500 && refused.text().starts_with(&text), "{}", refused.text());
    };
    check("table:", "table name is empty");
    check(
        "nonsense",
        "expect one of the following forms: 'table:<TABLE_NAME>', 'all_tables', \
         'cron:<CRON_EXPRESSION>', 'every:<DURATION>', or 'request:<PATH>'",
    );
    check("every:2years", "don't support every schedules of over 1 year");
    check("every:abc", "couldn't parse to duration");
    check("every:0s", "couldn't parse to duration");
    check("cron:* * *", "");
    plugins.trigger("t", "p.py", "  all_tables  ", &json!({"disabled": true}));
    let again = plugins.create("t", "p.py", "all_tables", &json!({}));
    assert_eq!(again.status, 409);
    let missing = plugins.create("u", "nope.py", "all_tables", &json!({}));
    let text =
        "Processing engine error: plugin error: reading plugin file: Plugin not found: nope.py";
    assert_eq!((missing.status, missing.text().as_str()), (500, text));
    let missing = plugins.create("u", "p.py", "all_tables", &json!({"db": "nope"}));
    let text = "the requested resource was not found: nope";
    assert_eq!((missing.status, missing.text().as_str()), (404, text));
    assert_eq!(plugins.switch("nope", "enable").status, 404);
    assert_eq!(plugins.switch("t", "enable").status, 200);
    assert_eq!(plugins.switch("t", "enable").status, 200);
}

#[test]
fn kinds_can_be_restricted() {
    let plugins = Plugins::with(&["--restrict-plugin-triggers-to", "wal_flush,request"]);
    let refused = plugins.create("t", "nope.py", "every:1s", &json!({}));
    let text = "invalid request: server is configured to reject Schedule plugin triggers";
    assert_eq!((refused.status, refused.text().as_str()), (400, text));
    plugins.plugin("p.py", "");
    plugins.trigger("t", "p.py", "all_tables", &json!({}));
}

#[test]
fn triggers_are_listed_with_their_arguments() {
    let plugins = Plugins::start();
    plugins.plugin("p.py", "");
    let specs =
        ["table:foo", "all_tables", "cron:0 0 0 1 1 *", "every:1h", "request:p", "snapshot"];
    for (name, spec) in ["a", "b", "c", "d", "e", "f"].into_iter().zip(specs) {
        plugins.trigger(name, "p.py", spec, &json!({"trigger_arguments": {"k": name}}));
    }
    let sql = "SELECT trigger_name AS n, trigger_specification AS s \
               FROM system.processing_engine_triggers WHERE NOT disabled AND \
               plugin_filename = 'p.py' AND error_behavior = 'log' ORDER BY n";
    let expected = json!([
        {"n": "a", "s": "{\"single_table_wal_write\":{\"table_name\":\"foo\"}}"},
        {"n": "b", "s": "\"all_tables_wal_write\""},
        {"n": "c", "s": "{\"schedule\":{\"schedule\":\"0 0 0 1 1 *\"}}"},
        {"n": "d", "s": "{\"every\":{\"duration\":{\"secs\":3600,\"nanos\":0}}}"},
        {"n": "e", "s": "{\"request_path\":{\"path\":\"p\"}}"},
        {"n": "f", "s": "\"snapshot\""},
    ]);
    assert_eq!(plugins.client().rows("mydb", sql), expected);
    let sql = "SELECT trigger_name, argument_key, argument_value \
               FROM system.processing_engine_trigger_arguments WHERE trigger_name = 'b'";
    let expected = json!([{"trigger_name": "b", "argument_key": "k", "argument_value": "b"}]);
    assert_eq!(plugins.client().rows("mydb", sql), expected);
}

#[test]
fn a_named_plugin_is_the_clients_text_and_stays_while_it_is_used() {
    let plugins = Plugins::start();
    let local = tempfile::TempDir::new().expect("a directory");
    let shell = Shell { client: Some(plugins.client()), directory: local.path() };
    let text = "def process_writes(l, t, a=None): l.info('as sent')\n";
    std::fs::write(local.path().join("mine.py"), text).expect("a file");
    let create = ["create", "plugin", "-d", "mydb", "--code-filename", "mine.py", "p"];
    assert_eq!(shell.must(&create), "Plugin p created successfully\n");
    shell.must(&create);
    std::fs::write(local.path().join("mine.py"), "x = 1").expect("a file");
    shell.fails(&create, 1, &["attempted to create a resource that already exists"]);
    std::fs::remove_file(local.path().join("mine.py")).expect("a file");
    let create = ["create", "trigger", "-d", "mydb", "--plugin=p", "--trigger-spec=table:foo", "t"];
    shell.must(&create);
    shell.must(&create);
    plugins.client().must_write("mydb", "foo v=1 1");
    plugins.must_say("INFO as sent");
    let other = ["create", "trigger", "-d", "mydb", "--plugin=p", "--trigger-spec=all_tables", "t"];
    let text = "Cannot overwrite Processing Engine Trigger t in Database mydb";
    shell.fails(&other, 1, &[text, "Failed to create trigger: "]);
    let wrong = ["create", "trigger", "-d", "mydb", "--plugin=p", "--trigger-spec=every:1s", "u"];
    shell.fails(&wrong, 1, &["400"]);
    let delete = ["delete", "plugin", "-d", "mydb", "p"];
    let text = "Cannot delete plugin p in database mydb because it is used by trigger t";
    shell.fails(&delete, 1, &[text]);
    shell.must(&["delete", "trigger", "-d", "mydb", "--force", "t"]);
    assert_eq!(shell.must(&delete), "Plugin p deleted successfully\n");
    let text = "Processing Engine Plugin p not in DB schema for mydb";
    shell.fails(&create, 1, &[text]);
    let missing = ["create", "plugin", "-d", "mydb", "--filename", "nope.py", "q"];
    shell.fails(&missing, 1, &["plugin not found: nope.py"]);
    let none = ["create", "trigger", "-d", "mydb", "--trigger-spec=all_tables", "t"];
    shell.fails(&none, 2, &["Either --path or --plugin-filename must be provided"]);
}

#[test]
fn without_a_directory_there_is_no_engine() {
    let server = Server::memory();
    server.client.must_write("mydb", "m f=1 1");
    let body = json!({
        "db": "mydb", "plugin_filename": "p.py", "trigger_name": "t",
        "trigger_specification": "all_tables",
    });
    let told = "Node not configured with plugin directory";
    let answer = server.client.json("POST", TRIGGER_PATH, &body);
    assert_eq!((answer.status, answer.text().as_str()), (500, told));
    let body = json!({"packages": ["x"]});
    let path = "/api/v3/configure/plugin_environment/install_packages";
    let answer = server.client.json("POST", path, &body);
    assert_eq!((answer.status, answer.text().as_str()), (500, told));
    let body = json!({"plugin_name": "a.py", "content": ""});
    let answer = server.client.json("POST", "/api/v3/plugins/files", &body);
    let told = "No plugin directory configured";
    assert_eq!((answer.status, answer.text().as_str()), (500, told));
}

#[test]
fn installation_can_be_forbidden() {
    let plugins = Plugins::with(&["--package-manager", "disabled", "--plugin-dir-only"]);
    let path = "/api/v3/plugins/files";
    let body = json!({"plugin_name": "a.py", "content": ""});
    assert_eq!(plugins.client().json("POST", path, &body).status, 403);
    let plugins = Plugins::with(&["--package-manager", "disabled"]);
    let path = "/api/v3/configure/plugin_environment/install_packages";
    let answer = plugins.client().json("POST", path, &json!({"packages": ["x"]}));
    let told = "Package installation has been disabled. Contact your administrator for more \
                information.";
    assert_eq!((answer.status, answer.text().as_str()), (403, told));
}
