//! Files with tokens that are to be there from the start, so that a server that is reached from
//! elsewhere has no moment without.

use crate::config::AccessConfig;
use crate::edge::state::ServerState;
use anyhow::{Context, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use protocols::access::rights::Permission;
use protocols::access::tokens::{OPERATOR, PREFIX, Secret};
use protocols::http::tokens::TokenFile;
use protocols::limits::ADMIN_DEADLINE_MS;
use protocols::messages::catalog::{By, CatalogError, CreateToken, Wanted};
use protocols::principal::{Origin, Principal};
use serde::de::DeserializeOwned;
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

const NANOS_PER_MILLI: i64 = 1_000_000;
/// So many tokens are asked for at once: fewer than the catalog has room for.
const AT_ONCE: usize = 500;

/// Makes the tokens of the files, but for those whose names are known: what was changed since the
/// first start stays as it is.
///
/// # Errors
/// When a file cannot be read or holds something else, or a token cannot be made.
pub async fn take_in(state: &ServerState, files: &AccessConfig) -> anyhow::Result<()> {
    if let Some(path) = &files.admin_token_file {
        let file: TokenFile = read(path)?;
        let context = || format!("token file {}", path.display());
        ensure!(file.permissions.is_empty(), "{}: an admin has no permissions", context());
        let name = file.name.clone();
        match create(state, file, Wanted::Admin).await.with_context(context)? {
            true => tracing::info!(name, "token made from its file"),
            false => {
                tracing::info!(name, "the token of this name stays as it is, its file is not used")
            }
        }
    }
    if let Some(path) = &files.permission_tokens_file {
        let List { tokens } = read(path)?;
        let all = tokens.len();
        // Those that the catalog gets while it writes others become one record.
        let made = stream::iter(tokens.into_iter().map(|token| limited(state, path, token)));
        let made = made
            .buffered(AT_ONCE)
            .try_fold(0, async |made, is_new| Ok::<_, anyhow::Error>(made + usize::from(is_new)));
        let (made, path) = (made.await?, path.display());
        tracing::info!(made, kept = all - made, %path, "tokens taken from their file");
    }
    Ok(())
}

/// Makes a token with permissions; false if its name is known.
async fn limited(state: &ServerState, path: &Path, token: TokenFile) -> anyhow::Result<bool> {
    let context = format!("token file {}, token {:?}", path.display(), token.name);
    let made = async {
        let permissions: Result<Vec<Permission>, _> =
            token.permissions.iter().map(|text| text.parse()).collect();
        let permissions = permissions?;
        ensure!(!permissions.is_empty(), "there are no permissions");
        ensure!(token.name != OPERATOR, "the name is the operator's");
        create(state, token, Wanted::Permissions(permissions)).await
    };
    made.await.context(context)
}

/// The file with further tokens: a list of them, or an object that has it.
#[derive(Debug, serde::Deserialize)]
#[serde(from = "Form")]
struct List {
    tokens: Vec<TokenFile>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(untagged)]
enum Form {
    Bare(Vec<TokenFile>),
    Named { tokens: Vec<TokenFile> },
}

impl From<Form> for List {
    fn from(form: Form) -> Self {
        match form {
            Form::Bare(tokens) | Form::Named { tokens } => Self { tokens },
        }
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let context = || format!("token file {}", path.display());
    let text = std::fs::read(path).with_context(context)?;
    warn_if_open(path);
    // The text of the file is secret: only the place of a fault is told.
    serde_json::from_slice(&text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        anyhow::anyhow!("{}: not of the expected form, line {line} column {column}", context())
    })
}

/// Others on this machine could read it.
#[cfg(unix)]
fn warn_if_open(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    if let Ok(metadata) = std::fs::metadata(path)
        && metadata.permissions().mode() & 0o077 != 0
    {
        tracing::warn!(path = %path.display(), "others can read this token file: chmod 600");
    }
}

#[cfg(not(unix))]
fn warn_if_open(_: &Path) {}

/// Makes a token; false if its name is known.
async fn create(state: &ServerState, file: TokenFile, wanted: Wanted) -> anyhow::Result<bool> {
    let TokenFile { token, name, expiry_millis, .. } = file;
    ensure!(token.starts_with(PREFIX), "Invalid token format: must start with '{PREFIX}'");
    let is_text = |c: char| c.is_ascii_graphic() && !matches!(c, ':' | '"');
    let is_long_enough = token.len() > PREFIX.len();
    ensure!(
        token.chars().all(is_text) && is_long_enough,
        "Invalid token format: '{PREFIX}' and letters, digits, '-' and '_'"
    );
    if state.snapshot.peek().tokens.named(&name).is_some() {
        return Ok(false);
    }
    let secret = Secret::of(state.snapshot.load().uuid, &token);
    let expires_at_ns = expiry_millis.map(|ms| ms.saturating_mul(NANOS_PER_MILLI));
    let change = CreateToken { name, secret, wanted, expires_at_ns };
    let deadline = Instant::now() + Duration::from_millis(ADMIN_DEADLINE_MS);
    let ask = By { principal: Principal::Server, origin: Origin::default(), change };
    match state.catalog.ask_from_edge(ask, deadline).await? {
        Ok(_) => Ok(true),
        Err(CatalogError::TokenExists(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
