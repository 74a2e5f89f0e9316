//! `influxdb3 create token` and `influxdb3 delete token`.

use std::io::{IsTerminal, stdin, stdout};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use chrono::Utc;
use clap::{Args, ValueEnum};
use protocols::access::rights::Permission;
use protocols::access::tokens::OPERATOR;
use protocols::durations::parse_duration;
use protocols::http::tokens::{PermissionBody, TokenFile};
use reqwest::Method;
use serde_json::{Value, json};

use super::client::{Client, Refused};
use super::confirm::confirm;
use super::connection::ConnectionArgs;
use super::failure::Failure;
use super::output::print_line;
use super::paths::path;
use crate::edge::access::new_token;

/// How a new token is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TokenFormat {
    /// For people
    Text,
    /// For programs
    Json,
}

/// Options of `create token`.
#[derive(Args, Debug)]
pub(super) struct CreateTokenArgs {
    #[command(flatten)]
    connection: ConnectionArgs,

    /// A token that may do everything: the operator's, or a further one with --name
    #[arg(long)]
    admin: bool,

    /// What the token may do: `db:NAME,…:read,write,create,delete` or `system:health,…:read`, where
    /// `*` is all names; may be given several times
    #[arg(long, value_name = "PERMISSION", conflicts_with = "admin")]
    permission: Vec<Permission>,

    /// Name of the token
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// How long the token is good, for example `30d`; without it for ever
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    expiry: Option<Duration>,

    /// Replace the operator's token: the former one is refused from then on
    #[arg(long)]
    regenerate: bool,

    /// Ask no server; write a file for `serve --admin-token-file` or, with --permission,
    /// `serve --permission-tokens-file`
    #[arg(long, requires = "output_file", conflicts_with = "regenerate")]
    offline: bool,

    /// File that --offline writes
    #[arg(long, value_name = "FILE", value_parser = path(), requires = "offline")]
    output_file: Option<PathBuf>,

    /// Form of the result
    #[arg(long, value_enum, default_value = "text")]
    format: TokenFormat,
}

/// Options of `delete token`.
#[derive(Args, Debug)]
pub(super) struct DeleteTokenArgs {
    #[command(flatten)]
    connection: ConnectionArgs,

    /// Name of the token
    #[arg(long, value_name = "NAME")]
    token_name: String,

    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
}

impl CreateTokenArgs {
    /// Refuses what makes no sense.
    fn check(&self) -> Result<()> {
        let usage = |text: &str| Err(Failure::usage(text).into());
        if !self.admin && self.permission.is_empty() {
            return match &self.name {
                Some(_) => usage(
                    "error: unexpected argument '--name' found: it goes with --admin or \
                     --permission",
                ),
                None => usage(
                    "Missing required subcommand. Use: influxdb3 create token --admin [OPTIONS]",
                ),
            };
        }
        if !self.permission.is_empty() && self.name.is_none() {
            return usage("--permission needs --name");
        }
        if self.regenerate && (self.name.is_some() || !self.admin) {
            return usage(
                "--regenerate cannot be used with --name, --regenerate only applies for operator \
                 token",
            );
        }
        if self.expiry.is_some() && self.name.is_none() && !self.offline {
            return usage("--expiry needs --name: the operator's token does not expire");
        }
        Ok(())
    }
}

/// Makes a token, or a new text for the operator's.
pub(super) async fn create(args: CreateTokenArgs) -> Result<()> {
    args.check()?;
    if args.offline {
        return create_offline(&args);
    }
    if args.regenerate {
        print_line("Are you sure you want to regenerate admin token? Enter 'yes' to confirm")?;
        let mut answer = String::new();
        stdin().read_line(&mut answer)?;
        if answer.trim() != "yes" {
            bail!("Cannot regenerate token without confirmation");
        }
    }
    let format = args.format;
    match ask(args).await {
        Ok(token) => print(&token, format),
        // Scripts that make sure of a token go on when it is there.
        Err(error) if error.is::<Refused>() => {
            print_line(&format!("Failed to create token, error: {error}"))
        }
        Err(error) => Err(error),
    }
}

async fn ask(args: CreateTokenArgs) -> Result<String> {
    let client = Client::new(args.connection, None)?;
    let expiry_secs = args.expiry.map(|expiry| expiry.as_secs());
    let (path, body) = match args.name {
        None if args.regenerate => ("/api/v3/configure/token/admin/regenerate", json!({})),
        None => ("/api/v3/configure/token/admin", json!({})),
        Some(name) if args.admin => (
            "/api/v3/configure/token/named_admin",
            json!({ "token_name": name, "expiry_secs": expiry_secs }),
        ),
        Some(name) => {
            let permissions: Vec<_> = args.permission.iter().map(body_of).collect();
            let body = json!({
                "token_name": name, "permissions": permissions, "expiry_secs": expiry_secs,
            });
            ("/api/v3/enterprise/configure/token", body)
        }
    };
    let answer = client.send_json(Method::POST, path, &body).await?;
    let answer = answer.bytes().await?;
    let answer: Value =
        serde_json::from_slice(&answer).context("the server's answer is not JSON")?;
    let token = answer["token"].as_str().context("the server's answer has no token")?;
    Ok(token.to_owned())
}

fn body_of(permission: &Permission) -> PermissionBody {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let (resource_type, resource_names, actions) = match permission {
        Permission::AllDatabases(rights) => ("db", names(&["*"]), rights),
        Permission::Databases(names, rights) => ("db", names.clone(), rights),
        Permission::System(resources) => {
            return PermissionBody {
                resource_type: "system".to_owned(),
                resource_names: resources.iter().map(|r| r.name().to_owned()).collect(),
                actions: names(&["read"]),
            };
        }
    };
    let actions = actions.iter().map(|right| right.name().to_owned()).collect();
    PermissionBody { resource_type: resource_type.to_owned(), resource_names, actions }
}

fn create_offline(args: &CreateTokenArgs) -> Result<()> {
    let Some(path) = &args.output_file else { bail!("--offline needs --output-file") };
    let token = new_token().map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
    let expiry_millis = match args.expiry {
        None => None,
        Some(expiry) => {
            let millis = i64::try_from(expiry.as_millis()).context("--expiry is too long")?;
            Some(Utc::now().timestamp_millis().saturating_add(millis))
        }
    };
    let file = TokenFile {
        token: token.clone(),
        name: args.name.clone().unwrap_or_else(|| OPERATOR.to_owned()),
        expiry_millis,
        permissions: args.permission.iter().map(text_of).collect(),
    };
    // The server takes a list where there may be several.
    let text = match args.admin {
        true => serde_json::to_string_pretty(&file)?,
        false => serde_json::to_string_pretty(&[file])?,
    };
    write_secret(path, &format!("{text}\n"))
        .with_context(|| format!("cannot write {}", path.display()))?;
    print_line(&format!("Token saved to: {}", path.display()))?;
    print(&token, args.format)
}

fn text_of(permission: &Permission) -> String {
    let PermissionBody { resource_type, resource_names, actions } = body_of(permission);
    format!("{resource_type}:{}:{}", resource_names.join(","), actions.join(","))
}

/// Puts a file in its place at once that only its owner can read.
fn write_secret(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temporary)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    let placed = written.and_then(|()| std::fs::rename(&temporary, path));
    if placed.is_err() {
        std::fs::remove_file(&temporary).ok();
    }
    placed
}

fn print(token: &str, format: TokenFormat) -> Result<()> {
    let header = format!("Authorization: Bearer {token}");
    if format == TokenFormat::Json {
        let help = format!(
            "Store this token securely, as it will not be shown again. HTTP requests require the \
             following header: \"{header}\""
        );
        let told = json!({ "token": token, "help_msg": help });
        return print_line(&serde_json::to_string_pretty(&told)?);
    }
    let (bold, plain) = if stdout().is_terminal() { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    print_line(&format!(
        "\n{bold}New token created successfully!{plain}\n\n{bold}Token:{plain} {token}\n\
         {bold}HTTP Requests Header:{plain} {header}\n\n\
         {bold}IMPORTANT:{plain} Store this token securely, as it will not be shown again.\n"
    ))
}

/// Deletes a token, after a question.
pub(super) async fn delete(args: DeleteTokenArgs) -> Result<()> {
    let name = args.token_name;
    if name == OPERATOR {
        return print_line(&format!(
            "The operator token \"{OPERATOR}\" is required and cannot be deleted. To regenerate an \
             operator token, use: influxdb3 create token --admin --regenerate --token [TOKEN]"
        ));
    }
    if !args.yes {
        confirm(&format!("{name:?}"))?;
    }
    let client = Client::new(args.connection, None)?;
    client.send(Method::DELETE, "/api/v3/configure/token", &[("token_name", &name)]).await?;
    print_line(&format!("Token {name:?} deleted successfully"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_sent_as_they_were_given() {
        for text in
            ["db:*:read", "db:a,b:read,write", "db:a:create,delete", "system:health,ping:read"]
        {
            assert_eq!(text_of(&text.parse().expect("a permission")), text);
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_token_file_is_its_owners() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("token.json");
        for text in ["one", "two"] {
            write_secret(&path, text).expect("written");
            assert_eq!(std::fs::read_to_string(&path).expect("read"), text);
            let mode = std::fs::metadata(&path).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
}
