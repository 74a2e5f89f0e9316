//! Triggers that answer requests.

use super::Plugins;
use serde_json::json;

#[test]
fn a_plugin_gets_the_request_and_answers_it() {
    let plugins = Plugins::start();
    let text = r#"
def process_request(influxdb3_local, query, headers, body, args=None):
    influxdb3_local.write(LineBuilder("asked").int64_field("v", 1))
    return {"query": query, "foo": headers.get("x-foo"), "auth": headers.get("authorization"),
            "body": body.decode(), "type": type(body).__name__, "args": args}
"#;
    plugins.plugin("echo.py", text);
    plugins.trigger("t", "echo.py", "request:/a/b", &json!({"trigger_arguments": {"k": "v"}}));
    let headers = [("X-Foo", "Bar"), ("Authorization", "Bearer T")];
    let path = "/api/v3/engine/a/b?x=1&x=2&y=%20z";
    let answer = plugins.client().send("POST", path, &headers, r#"{"k":1}"#);
    let expected = json!({
        "query": {"x": "2", "y": " z"}, "foo": "Bar", "auth": null, "body": "{\"k\":1}",
        "type": "bytes", "args": {"k": "v"},
    });
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    assert_eq!(answer.json(), expected);
    // What was left to be written is there before the answer.
    assert_eq!(plugins.client().count("mydb", "asked"), 1);
    assert_eq!(plugins.client().get("/api/v3/engine/a/b").json()["body"], "");
    assert_eq!(plugins.client().get("/api/v3/plugins/a/b").status, 200);
}

#[test]
fn what_is_returned_becomes_an_answer() {
    let plugins = Plugins::start();
    let text = r#"
class Flask:
    status_code, headers = 202, {"Content-Type": "text/x", "X-A": "2"}
    def __flask_response__(self): return True
    def get_data(self): return "flask"

def generated():
    yield "a"
    yield b"b"

def process_request(influxdb3_local, query, headers, body, args=None):
    return eval(query["value"])
"#;
    plugins.plugin("answers.py", text);
    plugins.trigger("t", "answers.py", "request:p", &json!({}));
    let check = |value: &str, status: u16, content_type: &str, body: &str| {
        let path = crate::support::client::with_query("/api/v3/engine/p", &[("value", value)]);
        let answer = plugins.client().get(&path);
        let found = (answer.status, answer.header("content-type"), answer.text());
        assert_eq!(found, (status, content_type, body.to_owned()), "{value}");
        answer
    };
    check("'ok'", 200, "text/html", "ok");
    check("{'a': 1}", 200, "application/json", r#"{"a": 1}"#);
    check("[1, None]", 200, "application/json", "[1, null]");
    check("('b', 201)", 201, "text/html", "b");
    let answer = check("('b', {'X-A': '1'})", 200, "text/html", "b");
    assert_eq!(answer.header("x-a"), "1");
    let answer = check("({'e': 1}, 418, {'X-A': '1'})", 418, "application/json", r#"{"e": 1}"#);
    assert_eq!(answer.header("x-a"), "1");
    check("('x', {'content-type': 'text/csv'})", 200, "text/csv", "x");
    check("(5,)", 200, "text/plain", "5");
    check("Flask()", 202, "text/x", "flask");
    check("b'raw'", 200, "application/octet-stream", "raw");
    check("generated()", 200, "text/html", "ab");
    let json = "application/json";
    let unsupported = r#"{"error": "Unsupported return type from Python function"}"#;
    check("None", 500, json, unsupported);
    check("7", 500, json, unsupported);
    let expected = r#"{"error": "expected a dictionary in header item"}"#;
    check("('b', 200, 'x')", 500, json, expected);
    check("('b', 5)", 500, json, r#"{"error": "5 is not an HTTP status"}"#);
    let answer = plugins.client().get("/api/v3/engine/p?value=1/0");
    let expected =
        r#"{"error":"Python function call failed: ZeroDivisionError: division by zero"}"#;
    assert_eq!((answer.status, answer.text().as_str()), (500, expected));
}

#[test]
fn paths_belong_to_one_trigger_of_the_server() {
    let plugins = Plugins::start();
    plugins.plugin("ok.py", "def process_request(l, q, h, b, a=None): return 'ok'\n");
    plugins.trigger("t", "ok.py", "request:p", &json!({}));
    let again = plugins.create("u", "ok.py", "request:/p", &json!({}));
    let text = "attempted to create a resource that already exists";
    assert_eq!((again.status, again.text().as_str()), (409, text));
    let not_found = (404, "{error: \"not found\"}".to_owned());
    let get = |path: &str| {
        let answer = plugins.client().get(path);
        (answer.status, answer.text())
    };
    assert_eq!(get("/api/v3/engine/p"), (200, "ok".to_owned()));
    assert_eq!(get("/api/v3/engine/q"), not_found);
    assert_eq!(plugins.client().send("PUT", "/api/v3/engine/p", &[], "").status, 404);
    assert_eq!(plugins.switch("t", "disable").status, 200);
    assert_eq!(get("/api/v3/engine/p"), not_found);
    plugins.trigger("u", "ok.py", "request:p", &json!({}));
    assert_eq!(plugins.switch("t", "enable").status, 409);
    assert_eq!(get("/api/v3/engine/p"), (200, "ok".to_owned()));
}

#[test]
fn asynchronous_runs_answer_at_the_same_time() {
    let plugins = Plugins::start();
    // Each waits for the other, so that one after the other would never end.
    let text = r#"
import time
def process_request(influxdb3_local, query, headers, body, args=None):
    influxdb3_local.cache.put(query["me"], True, use_global=True)
    while not influxdb3_local.cache.get(query["other"], use_global=True):
        time.sleep(0.01)
    return "met"
"#;
    plugins.plugin("meets.py", text);
    plugins.trigger(
        "t",
        "meets.py",
        "request:p",
        &json!({"trigger_settings": {"run_async": true}}),
    );
    std::thread::scope(|scope| {
        let one = scope.spawn(|| plugins.client().get("/api/v3/engine/p?me=a&other=b").text());
        let two = scope.spawn(|| plugins.client().get("/api/v3/engine/p?me=b&other=a").text());
        assert_eq!((one.join().unwrap(), two.join().unwrap()), ("met".into(), "met".into()));
    });
}
