//! Tokens: who is let in, and who may do what.

mod audit;
mod browsers;
mod certificates;
mod commands;
mod files;
mod flight;
mod hostile;
mod limits;
mod lists;
mod matrix;
mod operators;
mod row_deletes;
mod sessions;
mod statements;
mod tokens;

use crate::support::client::Client;
use crate::support::server::{Server, Setup};
use serde_json::{Value, json};

const ADMIN: &str = "/api/v3/configure/token/admin";
const NAMED: &str = "/api/v3/configure/token/named_admin";
const LIMITED: &str = "/api/v3/enterprise/configure/token";
const NOT_AUTHENTICATED: &str = r#"{"error": "the request was not authenticated"}"#;

/// A server that asks for tokens once there is one.
fn setup() -> Setup {
    Setup::memory().without("--without-auth")
}

/// The text of a token in the answer to its creation.
#[track_caller]
fn created(answer: &crate::support::client::Answer) -> String {
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["token"].as_str().expect("a token").to_owned()
}

/// A server, and a client with the operator's token.
fn server_with_operator(setup: &Setup) -> (Server, Client) {
    let server = setup.start();
    let token = created(&server.client.post(ADMIN, ""));
    let operator = server.client.with_token(&token);
    (server, operator)
}

/// A token with permissions, given as on the command line.
fn limited(operator: &Client, name: &str, permissions: &[&str]) -> String {
    let permission = |text: &&str| {
        let parts: Vec<&str> = text.split(':').collect();
        let list = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        json!({
            "resource_type": parts[0],
            "resource_names": list(parts[1]),
            "actions": list(parts[2]),
        })
    };
    let permissions: Vec<Value> = permissions.iter().map(permission).collect();
    let body = json!({ "token_name": name, "permissions": permissions });
    created(&operator.json("POST", LIMITED, &body))
}

/// A client with a token of such permissions.
fn client_with(operator: &Client, name: &str, permissions: &[&str]) -> Client {
    operator.with_token(&limited(operator, name, permissions))
}
