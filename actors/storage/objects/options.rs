//! Which object store, and how it is reached.

use protocols::redact::without_credentials;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Which object store, and how it is used.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Where objects are kept.
    pub storage: Storage,
    /// Make every file of a directory survive a power loss before it counts as stored.
    pub file_store_fsync: bool,
    /// Use a remote store even if it replaces objects that it was asked to create only.
    pub allow_unfenced: bool,
    /// Prefix of all objects of this node.
    pub node: String,
}

/// Where objects are kept.
#[derive(Clone, Debug)]
pub enum Storage {
    /// In memory: nothing survives a restart.
    Memory,
    /// In memory, with the delays of a store behind a network.
    MemoryThrottled,
    /// In this directory.
    Directory(PathBuf),
    /// In a bucket of Amazon S3 or a store that speaks its protocol.
    S3(Box<S3Options>),
    /// In a bucket of Google Cloud Storage.
    Google(Box<GoogleOptions>),
    /// In a container of Azure Blob Storage.
    Azure(Box<AzureOptions>),
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => write!(f, "memory (nothing survives a restart)"),
            Self::MemoryThrottled => write!(f, "slowed memory (nothing survives a restart)"),
            Self::Directory(root) => write!(f, "{}", root.display()),
            Self::S3(s3) => match &s3.endpoint {
                Some(endpoint) => {
                    write!(f, "S3 bucket '{}' at {}", s3.bucket, without_credentials(endpoint))
                }
                None => write!(f, "S3 bucket '{}' in {}", s3.bucket, s3.region),
            },
            Self::Google(google) => write!(f, "Google Cloud Storage bucket '{}'", google.bucket),
            Self::Azure(azure) => match &azure.endpoint {
                Some(endpoint) => {
                    let endpoint = without_credentials(endpoint);
                    write!(f, "Azure container '{}' at {endpoint}", azure.container)
                }
                None => {
                    write!(f, "Azure container '{}' of '{}'", azure.container, azure.account)
                }
            },
        }
    }
}

/// Text that is not to appear in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Amazon S3 and stores that speak its protocol.
#[derive(Clone, Debug)]
pub struct S3Options {
    /// Name of the bucket, which must exist.
    pub bucket: String,
    /// Its region.
    pub region: String,
    /// Where another store than Amazon's is reached.
    pub endpoint: Option<String>,
    /// Access key; without one the credentials of the machine or container are used.
    pub access_key_id: Option<String>,
    /// Secret of the access key.
    pub secret_access_key: Option<Secret>,
    /// Session token that belongs to the access key.
    pub session_token: Option<Secret>,
    /// File with all three, read again and again; wins over them.
    pub credentials_file: Option<PathBuf>,
    /// Reach the endpoint without TLS as well.
    pub allow_http: bool,
    /// Do not sign requests.
    pub skip_signature: bool,
    /// How requests are sent.
    pub remote: RemoteOptions,
}

/// Google Cloud Storage.
#[derive(Clone, Debug)]
pub struct GoogleOptions {
    /// Name of the bucket, which must exist.
    pub bucket: String,
    /// File with the key of a service account.
    pub service_account: PathBuf,
    /// How requests are sent.
    pub remote: RemoteOptions,
}

/// Azure Blob Storage.
#[derive(Clone, Debug)]
pub struct AzureOptions {
    /// Name of the container, which must exist.
    pub container: String,
    /// Storage account.
    pub account: String,
    /// Its access key; without one the workload's or machine's identity is used.
    pub access_key: Option<Secret>,
    /// Where the account is reached, if not at its usual address.
    pub endpoint: Option<String>,
    /// Reach the endpoint without TLS as well.
    pub allow_http: bool,
    /// How requests are sent.
    pub remote: RemoteOptions,
}

/// How requests are sent to a store behind a network.
#[derive(Clone, Debug)]
pub struct RemoteOptions {
    /// Requests that may be under way at once.
    pub connection_limit: usize,
    /// Speak nothing but HTTP/2.
    pub http2_only: bool,
    /// Largest HTTP/2 frame.
    pub http2_max_frame_bytes: Option<u32>,
    /// How long one request may take.
    pub request_timeout: Duration,
    /// How often a request is repeated that failed for a passing reason.
    pub retries_max: Option<usize>,
    /// No request is repeated later than this after it was sent first.
    pub retry_timeout: Option<Duration>,
    /// Take any TLS certificate for good.
    pub tls_allow_insecure: bool,
    /// PEM file with certificate authorities to trust besides the system's.
    pub tls_authorities: Option<PathBuf>,
}
