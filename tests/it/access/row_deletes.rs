//! Who may delete rows, look at deletes, and take them back.

use super::matrix::askers;
use super::{server_with_operator, setup};
use serde_json::{Value, json};

const PATH: &str = "/api/v3/row_delete_requests";

fn sequences(listed: &Value) -> Vec<u64> {
    let listed = listed.as_array().expect("a list").iter();
    listed.map(|delete| delete["sequence"].as_u64().expect("a number")).collect()
}

#[test]
fn a_delete_is_taken_back_and_seen_by_whoever_may() {
    let (_server, operator) = server_with_operator(&setup());
    operator.must_write("one", "m,k=v f=1 1");
    operator.must_write("two", "m,k=v f=1 1");
    let ask = |db: &str| {
        let body = json!({"db": db, "table": "m", "all_time": true, "predicate": "k = 'other'"});
        let answer = operator.json("POST", PATH, &body);
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["sequence"].as_u64().expect("a number")
    };
    let of_two = ask("two");
    let json = &[("content-type", "application/json")];
    let mut strangers = 1..;
    for asker in askers(&operator) {
        let client = match asker.refused.and_then(|_| strangers.next()) {
            Some(number) => asker.client.with_source(number),
            None => asker.client.clone(),
        };
        let of_one = ask("one");
        let aborted = client.send("POST", &format!("{PATH}/{of_one}/abort"), json, "{}");
        let listed = client.get(PATH);
        if let Some(status) = asker.refused {
            assert_eq!((aborted.status, listed.status), (status, status), "{}", asker.name);
            continue;
        }
        let may_delete = asker.admin || asker.rights.contains(&"delete");
        // One that nothing is left to do for may have come to its end meanwhile.
        let expected: &[u16] = if may_delete { &[200, 409] } else { &[403] };
        assert!(expected.contains(&aborted.status), "{}: {}", asker.name, aborted.text());
        assert_eq!(listed.status, 200, "{}: {}", asker.name, listed.text());
        let seen = sequences(&listed.json());
        let sees_one = may_delete || asker.rights.contains(&"read");
        assert_eq!(seen.contains(&of_one), sees_one, "{}: {seen:?}", asker.name);
        let sees_two = asker.admin
            || ["reader of two", "all of two", "both", "reader of all", "all of all"]
                .contains(&asker.name);
        assert_eq!(seen.contains(&of_two), sees_two, "{}: {seen:?}", asker.name);
        let unknown = client.send("POST", &format!("{PATH}/9999/abort"), json, "{}");
        assert_eq!(unknown.status, 404, "{}: {}", asker.name, unknown.text());
    }
    let told = operator.sql("_internal", "SELECT action, object FROM system.audit");
    assert!(told.text().contains("delete_rows"), "{}", told.text());
}
