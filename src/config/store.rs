//! Where data is kept, from the command line's options.

use crate::cli::serve::ServeArgs;
use crate::cli::serve::object_store::{CloudArgs, ObjectStoreArgs, ObjectStoreKind, RemoteArgs};
use actors::query::SpillOptions;
use actors::storage::objects::options::{
    AzureOptions, GoogleOptions, RemoteOptions, S3Options, Secret, Storage,
};
use protocols::redact::without_credentials;
use std::path::PathBuf;
use url::Url;

/// Room on disk for queries, where data is on disk too and nothing else was asked for.
const SPILL_BYTES: u64 = 10 << 30;

/// What is chosen, and whether everything is there that it needs.
///
/// # Errors
/// When something is missing; the text names it.
pub(crate) fn storage(args: &ObjectStoreArgs) -> anyhow::Result<Storage> {
    Ok(match args.object_store {
        ObjectStoreKind::Memory => Storage::Memory,
        ObjectStoreKind::MemoryThrottled => Storage::MemoryThrottled,
        ObjectStoreKind::File => {
            let folder = args.data_dir.clone().or_else(default_folder);
            Storage::Directory(folder.ok_or_else(|| missing("file", &["data-dir"]))?)
        }
        ObjectStoreKind::S3 => s3(args)?,
        ObjectStoreKind::Google => google(args)?,
        ObjectStoreKind::Azure => azure(args)?,
    })
}

/// What was odd about the options.
pub(super) fn warnings(args: &ObjectStoreArgs) -> Option<String> {
    let in_memory =
        matches!(args.object_store, ObjectStoreKind::Memory | ObjectStoreKind::MemoryThrottled);
    let folder = args.data_dir.as_ref().filter(|_| in_memory)?;
    Some(format!(
        "--data-dir {} is ignored: with this object store nothing is kept on disk, and nothing \
         survives a restart",
        folder.display()
    ))
}

/// Room for what queries cannot hold in memory, if there is to be any.
///
/// # Errors
/// As [`storage`].
pub(super) fn spill(args: &ServeArgs, memory: usize) -> anyhow::Result<Option<SpillOptions>> {
    let storage = storage(&args.object_store)?;
    let asked = args.query.query_spill_bytes.map(|size| size.of(memory) as u64);
    let (folder, default_bytes) = match &storage {
        Storage::Directory(folder) => (folder.join(".spill"), SPILL_BYTES),
        _ => (std::env::temp_dir().join("influxdb3-spill"), 0),
    };
    let bytes_max = asked.unwrap_or(default_bytes);
    let node = super::node_id(args)?;
    Ok((bytes_max > 0).then(|| SpillOptions { directory: folder.join(node), bytes_max }))
}

fn default_folder() -> Option<PathBuf> {
    let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty())?;
    Some(home.join(".influxdb"))
}

fn missing(store: &str, settings: &[&str]) -> anyhow::Error {
    anyhow::anyhow!(
        "Specified '{store}' for the object store; required configuration missing for {}",
        settings.join(", ")
    )
}

/// The value of an option; one that is set to nothing counts as not set.
fn given(value: &Option<String>) -> Option<String> {
    value.clone().filter(|value| !value.is_empty())
}

/// Fails with the names of all settings that are not there.
fn require(store: &str, settings: &[(&str, bool)]) -> anyhow::Result<()> {
    let absent: Vec<&str> =
        settings.iter().filter(|(_, is_there)| !is_there).map(|(name, _)| *name).collect();
    if absent.is_empty() { Ok(()) } else { Err(missing(store, &absent)) }
}

/// Where a store is reached. `http` is the option that allows a URL without TLS, its variable, and
/// whether it is given.
fn endpoint(
    option: &str,
    value: &Option<String>,
    (allow, variable, allows_http): (&str, &str, bool),
) -> anyhow::Result<Option<String>> {
    let Some(text) = given(value) else { return Ok(None) };
    let url = Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    // The text itself may hold a password.
    let Some(url) = url.filter(Url::has_host) else {
        anyhow::bail!("--{option} is not the URL of a store: it begins with https:// or http://");
    };
    anyhow::ensure!(
        allows_http || url.scheme() == "https",
        "--{option} {} is without TLS: allow that by --{allow} ({variable}=true), or use https://",
        without_credentials(&text)
    );
    Ok(Some(text))
}

fn s3(args: &ObjectStoreArgs) -> anyhow::Result<Storage> {
    let bucket = given(&args.bucket);
    let (key, secret) = (given(&args.s3.aws_access_key_id), given(&args.s3.aws_secret_access_key));
    require(
        "s3",
        &[
            ("bucket", bucket.is_some()),
            ("aws-access-key-id", key.is_some() || secret.is_none()),
            ("aws-secret-access-key", secret.is_some() || key.is_none()),
        ],
    )?;
    let http = ("aws-allow-http", "AWS_ALLOW_HTTP", args.s3.aws_allow_http);
    let endpoint = endpoint("aws-endpoint", &args.s3.aws_endpoint, http)?;
    Ok(Storage::S3(Box::new(S3Options {
        bucket: bucket.unwrap_or_default(),
        region: args.s3.aws_default_region.clone(),
        endpoint,
        access_key_id: key,
        secret_access_key: secret.map(Secret),
        session_token: given(&args.s3.aws_session_token).map(Secret),
        credentials_file: args.s3.aws_credentials_file.clone(),
        allow_http: args.s3.aws_allow_http,
        skip_signature: args.s3.aws_skip_signature,
        remote: remote(&args.remote),
    })))
}

fn google(args: &ObjectStoreArgs) -> anyhow::Result<Storage> {
    let (bucket, account) = (given(&args.bucket), args.clouds.google_service_account.clone());
    require(
        "google",
        &[("bucket", bucket.is_some()), ("google-service-account", account.is_some())],
    )?;
    Ok(Storage::Google(Box::new(GoogleOptions {
        bucket: bucket.unwrap_or_default(),
        service_account: account.unwrap_or_default(),
        remote: remote(&args.remote),
    })))
}

fn azure(args: &ObjectStoreArgs) -> anyhow::Result<Storage> {
    let CloudArgs { azure_storage_account, azure_storage_access_key, azure_endpoint, .. } =
        &args.clouds;
    let (container, account) = (given(&args.bucket), given(azure_storage_account));
    require(
        "azure",
        &[("bucket", container.is_some()), ("azure-storage-account", account.is_some())],
    )?;
    let http = ("azure-allow-http", "AZURE_ALLOW_HTTP", args.clouds.azure_allow_http);
    let endpoint = endpoint("azure-endpoint", azure_endpoint, http)?;
    Ok(Storage::Azure(Box::new(AzureOptions {
        container: container.unwrap_or_default(),
        account: account.unwrap_or_default(),
        access_key: given(azure_storage_access_key).map(Secret),
        endpoint,
        allow_http: args.clouds.azure_allow_http,
        remote: remote(&args.remote),
    })))
}

fn remote(args: &RemoteArgs) -> RemoteOptions {
    RemoteOptions {
        connection_limit: args.object_store_connection_limit,
        http2_only: args.object_store_http2_only,
        http2_max_frame_bytes: args.object_store_http2_max_frame_size,
        request_timeout: args.object_store_request_timeout,
        retries_max: args.object_store_max_retries,
        retry_timeout: args.object_store_retry_timeout,
        tls_allow_insecure: args.object_store_tls_allow_insecure,
        tls_authorities: args.object_store_tls_ca.clone(),
    }
}
