//! The options that the server was started with, for `system.nodes`.

use protocols::redact::without_credentials;
use serde_json::{Map, Value};

/// What is shown of a secret.
const HIDDEN: &str = "*******";
/// Parts of the names of options whose values are secrets, or say where one lies.
const SECRET_WORDS: [&str; 7] =
    ["auth", "credential", "key", "license", "password", "secret", "token"];
/// Names of others that say where secrets lie.
const SECRET_OPTIONS: [&str; 2] = ["google-service-account", "tls-cert"];

/// Names that only sound so.
const PLAIN_OPTIONS: [&str; 4] =
    ["tls-client-auth", "token-max-queries", "token-max-requests", "token-write-bytes-per-second"];

/// The options as a JSON object: names without dashes, values as text.
pub(super) fn given(arguments: impl Iterator<Item = String>) -> String {
    let mut options = Map::new();
    let mut arguments = arguments.peekable();
    while let Some(argument) = arguments.next() {
        let Some(option) = argument.strip_prefix("--") else { continue };
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None => {
                let value = arguments.next_if(|next| !next.starts_with("--"));
                (option, value.unwrap_or_else(|| "true".to_owned()))
            }
        };
        let is_secret = (SECRET_WORDS.iter().any(|word| name.contains(word))
            && !PLAIN_OPTIONS.contains(&name))
            || SECRET_OPTIONS.contains(&name);
        // That something is switched on is no secret.
        let is_switch = matches!(value.as_str(), "true" | "false");
        let value =
            if is_secret && !is_switch { HIDDEN.to_owned() } else { without_credentials(&value) };
        options.insert(name.to_owned(), Value::String(value));
    }
    Value::Object(options).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden() {
        let arguments = "serve --node-id n1 --without-auth --aws-secret-access-key=abc \
                         --aws-access-key-id k --object-store=file --data-dir /d \
                         --aws-endpoint http://u:p@h:1 --tls-cert=c.pem \
                         --google-service-account g.json --password-file x --auth-url=y \
                         --token-max-queries 7";
        let options = given(arguments.split_whitespace().map(str::to_owned));
        let expected = r#"{"auth-url":"*******","aws-access-key-id":"*******","aws-endpoint":"http://h:1","aws-secret-access-key":"*******","data-dir":"/d","google-service-account":"*******","node-id":"n1","object-store":"file","password-file":"*******","tls-cert":"*******","token-max-queries":"7","without-auth":"true"}"#;
        assert_eq!(options, expected);
    }
}
