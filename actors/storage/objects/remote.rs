//! Stores behind a network: how their clients are made.

use super::credentials::{FileCredentials, Refreshing};
use super::options::{
    AzureOptions, GoogleOptions, RemoteOptions, S3Options, Storage, StoreOptions,
};
use super::probe::{self, Verdict};
use super::requests::RepeatedReads;
use super::unfenced::Unfenced;
use super::uniform::Uniform;
use anyhow::{Context, bail, ensure};
use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::limit::LimitStore;
use object_store::{Certificate, ClientOptions, ObjectStore, RetryConfig};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// At start nobody waits long for a store: it is there or the start fails.
const PROBE_RETRIES_MAX: usize = 2;
const PROBE_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// All requests of the probe together.
const PROBE_TIMEOUT: Duration = Duration::from_secs(60);

/// Opens a remote store.
///
/// # Errors
/// When it cannot be used, or cannot keep a second process from replacing objects.
pub(super) async fn open(options: &StoreOptions) -> anyhow::Result<Arc<dyn ObjectStore>> {
    let impatient = client(&options.storage, Patience::Probe)?;
    let verdict = tokio::time::timeout(PROBE_TIMEOUT, probe::run(&*impatient, &options.node))
        .await
        .ok()
        .with_context(|| format!("no answer within {PROBE_TIMEOUT:?}"))??;
    let store = client(&options.storage, Patience::Service)?;
    match verdict {
        Verdict::Fenced => Ok(store),
        Verdict::Unfenced(why) if options.allow_unfenced => {
            tracing::warn!(
                why,
                "the object store does not create objects only where there is none: two servers \
                 with one node id would destroy each other's data"
            );
            Ok(Arc::new(Unfenced::new(store)))
        }
        Verdict::Unfenced(why) => bail!(
            "it does not create objects only where there is none ({why}): two servers with one \
             node id would destroy each other's data. With --allow-unfenced it is used all the same"
        ),
    }
}

/// How long to go on when requests fail.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    Probe,
    Service,
}

impl Patience {
    fn retry(self, options: &RemoteOptions) -> RetryConfig {
        let mut retry = RetryConfig::default();
        retry.max_retries = options.retries_max.unwrap_or(retry.max_retries);
        retry.retry_timeout = options.retry_timeout.unwrap_or(retry.retry_timeout);
        if self == Self::Probe {
            retry.max_retries = retry.max_retries.min(PROBE_RETRIES_MAX);
        }
        retry
    }

    fn request_timeout(self, options: &RemoteOptions) -> Duration {
        match self {
            Self::Probe => options.request_timeout.min(PROBE_REQUEST_TIMEOUT),
            Self::Service => options.request_timeout,
        }
    }
}

pub(super) fn client(
    storage: &Storage,
    patience: Patience,
) -> anyhow::Result<Arc<dyn ObjectStore>> {
    match storage {
        Storage::S3(options) => s3(options, patience),
        Storage::Google(options) => google(options, patience),
        Storage::Azure(options) => azure(options, patience),
        Storage::Memory | Storage::MemoryThrottled | Storage::Directory(_) => {
            bail!("{storage} is not behind a network")
        }
    }
}

fn s3(options: &S3Options, patience: Patience) -> anyhow::Result<Arc<dyn ObjectStore>> {
    let http = http(&options.remote, patience, options.allow_http)?;
    // The environment adds what there is no option for: the identity of a container or workload.
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(&options.bucket)
        .with_region(&options.region)
        .with_client_options(http)
        .with_http_connector(RepeatedReads)
        .with_retry(patience.retry(&options.remote))
        .with_skip_signature(options.skip_signature)
        .with_conditional_put(S3ConditionalPut::ETagMatch);
    if let Some(endpoint) = &options.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let (Some(key), Some(secret)) = (&options.access_key_id, &options.secret_access_key) {
        builder = builder.with_access_key_id(key).with_secret_access_key(&secret.0);
    }
    if let Some(token) = &options.session_token {
        builder = builder.with_token(&token.0);
    }
    let limit = options.remote.connection_limit;
    let Some(file) = &options.credentials_file else {
        return Ok(Arc::new(LimitStore::new(builder.build()?, limit)));
    };
    let credentials = Arc::new(FileCredentials::new(file.clone())?);
    let provider = Arc::clone(&credentials);
    let store = builder.with_credentials(provider).build()?;
    Ok(Arc::new(LimitStore::new(Refreshing::new(Arc::new(store), credentials), limit)))
}

fn google(options: &GoogleOptions, patience: Patience) -> anyhow::Result<Arc<dyn ObjectStore>> {
    let file = &options.service_account;
    let http = http(&options.remote, patience, is_without_tls(file)?)?;
    let store = GoogleCloudStorageBuilder::from_env()
        .with_service_account_path(file.to_string_lossy())
        .with_bucket_name(&options.bucket)
        .with_client_options(http)
        .with_http_connector(RepeatedReads)
        .with_retry(patience.retry(&options.remote))
        .build()?;
    Ok(Arc::new(Uniform(LimitStore::new(store, options.remote.connection_limit))))
}

/// Whether the file of a service account sends requests to an address without TLS, as those made
/// for emulators do.
fn is_without_tls(file: &Path) -> anyhow::Result<bool> {
    let failed = || format!("the service account {} cannot be read", file.display());
    let text = std::fs::read(file).with_context(failed)?;
    let account: Value = serde_json::from_slice(&text).with_context(failed)?;
    let address = account.get("gcs_base_url").and_then(Value::as_str).unwrap_or_default();
    Ok(address.starts_with("http://"))
}

fn azure(options: &AzureOptions, patience: Patience) -> anyhow::Result<Arc<dyn ObjectStore>> {
    let http = http(&options.remote, patience, options.allow_http)?;
    // The environment adds what there is no option for: the identity of a workload.
    let mut builder = MicrosoftAzureBuilder::from_env()
        .with_account(&options.account)
        .with_container_name(&options.container)
        .with_client_options(http)
        .with_http_connector(RepeatedReads)
        .with_retry(patience.retry(&options.remote));
    if let Some(key) = &options.access_key {
        builder = builder.with_access_key(&key.0);
    }
    if let Some(endpoint) = &options.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    let store = LimitStore::new(builder.build()?, options.remote.connection_limit);
    Ok(Arc::new(Uniform(store)))
}

fn http(
    options: &RemoteOptions,
    patience: Patience,
    allow_http: bool,
) -> anyhow::Result<ClientOptions> {
    let mut http = ClientOptions::new()
        .with_allow_http(allow_http)
        .with_allow_invalid_certificates(options.tls_allow_insecure)
        .with_timeout(patience.request_timeout(options));
    if options.http2_only {
        http = http.with_http2_only();
    }
    if let Some(bytes) = options.http2_max_frame_bytes {
        http = http.with_http2_max_frame_size(bytes);
    }
    if let Some(file) = &options.tls_authorities {
        let failed = || format!("the certificates in {} cannot be read", file.display());
        let pem = std::fs::read(file).with_context(failed)?;
        let certificates = Certificate::from_pem_bundle(&pem).with_context(failed)?;
        ensure!(!certificates.is_empty(), "{}: there are none", failed());
        http = certificates.into_iter().fold(http, ClientOptions::with_root_certificate);
    }
    Ok(http)
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::ObjectStoreExt;
    use std::net::SocketAddr;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    /// Answers one request of each connection with the next of these texts. Gives the first lines of the
    /// requests in the end.
    async fn store_that_says(
        answers: &'static [&'static str],
    ) -> (SocketAddr, JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let said = tokio::spawn(async move {
            let mut requests = Vec::new();
            for answer in answers {
                let (mut connection, _) = listener.accept().await.expect("a connection");
                let mut request = Vec::new();
                while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                    connection.read_buf(&mut request).await.expect("a request");
                }
                connection.write_all(answer.as_bytes()).await.expect("an answer");
                let request = String::from_utf8_lossy(&request).into_owned();
                requests.extend(request.lines().next().map(str::to_owned));
            }
            requests
        });
        (address, said)
    }

    fn store_at(address: SocketAddr) -> Arc<dyn ObjectStore> {
        let remote = RemoteOptions {
            connection_limit: 1,
            http2_only: false,
            http2_max_frame_bytes: None,
            request_timeout: Duration::from_secs(60),
            retries_max: None,
            retry_timeout: None,
            tls_allow_insecure: false,
            tls_authorities: None,
        };
        let options = S3Options {
            bucket: "b".to_owned(),
            region: "us-east-1".to_owned(),
            endpoint: Some(format!("http://{address}")),
            access_key_id: None,
            secret_access_key: None,
            session_token: None,
            credentials_file: None,
            allow_http: true,
            skip_signature: true,
            remote,
        };
        client(&Storage::S3(Box::new(options)), Patience::Service).expect("a client")
    }

    const NONSENSE: &str = "what?\r\n\r\n";
    const BYTES: &str = "HTTP/1.1 200 OK\r\nETag: \"1\"\r\n\
                         Last-Modified: Sun, 29 Nov 2026 12:00:00 GMT\r\n\
                         Content-Length: 5\r\nConnection: close\r\n\r\nbytes";

    #[tokio::test]
    async fn a_read_that_fails_for_no_known_reason_is_repeated() {
        let (address, said) = store_that_says(&[NONSENSE, "", BYTES]).await;
        let read = store_at(address).get(&"file".into()).await.expect("the third answer");
        assert_eq!(read.bytes().await.expect("bytes"), "bytes");
        assert_eq!(said.await.expect("a store"), ["GET /b/file HTTP/1.1"; 3]);
    }

    #[tokio::test]
    async fn a_write_that_fails_for_no_known_reason_is_its_writers_to_repeat() {
        let (address, said) = store_that_says(&[NONSENSE]).await;
        let written = store_at(address).put(&"file".into(), "bytes".into()).await;
        written.expect_err("nobody knows whether it was written");
        assert_eq!(said.await.expect("a store"), ["PUT /b/file HTTP/1.1"]);
    }
}
