//! Credentials for S3 in a file that somebody else keeps up to date.

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use object_store::aws::AwsCredential;
use object_store::path::Path;
use object_store::{
    CopyOptions, CredentialProvider, Error, GetOptions, GetResult, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result, UploadPart,
};
use serde_json::Value;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The file is read again after this time even if it names no expiry.
const AGE_MAX: Duration = Duration::from_secs(3600);
/// Objects that are removed at once.
const DELETES_AT_ONCE: usize = 20;

#[derive(Debug)]
struct Read {
    credential: Arc<AwsCredential>,
    good_until: SystemTime,
}

/// The credentials of a file, read again at their expiry, hourly, and when told that they are no
/// longer good.
#[derive(Debug)]
pub(super) struct FileCredentials {
    path: PathBuf,
    read: Mutex<Option<Read>>,
}

impl FileCredentials {
    /// Credentials from the file at `path`.
    ///
    /// # Errors
    /// When it cannot be read; the text names it.
    pub(super) fn new(path: PathBuf) -> anyhow::Result<Self> {
        let credentials = Self { path, read: Mutex::new(None) };
        credentials.load()?;
        Ok(credentials)
    }

    /// Makes the next request read the file.
    fn forget(&self) {
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The credentials, from the file if it is time.
    fn load(&self) -> Result<Arc<AwsCredential>> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let now = SystemTime::now();
        if let Some(read) = read.as_ref().filter(|read| now < read.good_until) {
            return Ok(Arc::clone(&read.credential));
        }
        let fresh = self.parse(now)?;
        let credential = Arc::clone(&fresh.credential);
        *read = Some(fresh);
        Ok(credential)
    }

    fn parse(&self, now: SystemTime) -> Result<Read> {
        let failed = |cause: &dyn fmt::Display| Error::Generic {
            store: "S3",
            source: format!("the credentials file {}: {cause}", self.path.display()).into(),
        };
        let bytes = std::fs::read(&self.path).map_err(|e| failed(&e))?;
        let content: Value = serde_json::from_slice(&bytes).map_err(|e| failed(&e))?;
        let text = |name| content.get(name).and_then(Value::as_str).map(str::to_owned);
        let required = |name| text(name).ok_or_else(|| failed(&format!("{name} is missing")));
        let expiry = content.get("expiry").and_then(Value::as_u64);
        let expiry = expiry.and_then(|s| UNIX_EPOCH.checked_add(Duration::from_secs(s)));
        let again = now + AGE_MAX;
        Ok(Read {
            credential: Arc::new(AwsCredential {
                key_id: required("aws_access_key_id")?,
                secret_key: required("aws_secret_access_key")?,
                token: text("aws_session_token"),
            }),
            good_until: expiry.map_or(again, |expiry| expiry.min(again)),
        })
    }
}

#[async_trait]
impl CredentialProvider for FileCredentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> Result<Arc<AwsCredential>> {
        // A small local file once an hour: not worth a thread.
        self.load()
    }
}

/// Whether other credentials may help.
fn is_refused(error: &Error) -> bool {
    match error {
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => true,
        // S3 answers 400 here, which is no kind of its own.
        Error::Generic { source, .. } => {
            let text = source.to_string();
            text.contains("ExpiredToken") || text.contains("TokenRefreshRequired")
        }
        _ => false,
    }
}

/// Repeats what was refused once, with what the file says then.
#[derive(Debug)]
pub(super) struct Refreshing {
    store: Arc<dyn ObjectStore>,
    credentials: Arc<FileCredentials>,
}

impl Refreshing {
    /// `store`, whose credentials are `credentials`.
    pub(super) fn new(store: Arc<dyn ObjectStore>, credentials: Arc<FileCredentials>) -> Self {
        Self { store, credentials }
    }

    /// A listing that begins anew when its first page is refused; the credentials of later pages
    /// are as fresh as those of any other request.
    fn listed(
        &self,
        list: impl Fn(&dyn ObjectStore) -> BoxStream<'static, Result<ObjectMeta>> + Send + 'static,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let (store, credentials) = (Arc::clone(&self.store), Arc::clone(&self.credentials));
        let begun = async move {
            let mut entries = list(&*store).fuse();
            let mut first = entries.next().await;
            if first.as_ref().is_some_and(|f| f.as_ref().is_err_and(is_refused)) {
                credentials.forget();
                entries = list(&*store).fuse();
                first = entries.next().await;
            }
            stream::iter(first).chain(entries)
        };
        stream::once(begun).flatten().boxed()
    }
}

/// The answer to a request, which is sent once more if the credentials were refused. A macro,
/// because a function would need closures whose futures can be sent between threads.
macro_rules! twice {
    ($credentials:expr, $request:expr) => {
        match $request.await {
            Err(error) if is_refused(&error) => {
                $credentials.forget();
                $request.await
            }
            result => result,
        }
    };
}

impl fmt::Display for Refreshing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Refreshing({})", self.store)
    }
}

#[async_trait]
impl ObjectStore for Refreshing {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        let put = || self.store.put_opts(location, payload.clone(), opts.clone());
        twice!(self.credentials, put())
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let begin = || self.store.put_multipart_opts(location, opts.clone());
        let upload = twice!(self.credentials, begin())?;
        Ok(Box::new(Upload { upload, credentials: Arc::clone(&self.credentials) }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        twice!(self.credentials, self.store.get_opts(location, options.clone()))
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let (store, credentials) = (Arc::clone(&self.store), Arc::clone(&self.credentials));
        locations
            .map(move |location| {
                let (store, credentials) = (Arc::clone(&store), Arc::clone(&credentials));
                async move {
                    let location = location?;
                    twice!(credentials, store.delete(&location))?;
                    Ok(location)
                }
            })
            .buffered(DELETES_AT_ONCE)
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let prefix = prefix.cloned();
        self.listed(move |store| store.list(prefix.as_ref()))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let (prefix, offset) = (prefix.cloned(), offset.clone());
        self.listed(move |store| store.list_with_offset(prefix.as_ref(), &offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        twice!(self.credentials, self.store.list_with_delimiter(prefix))
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        twice!(self.credentials, self.store.copy_opts(from, to, options.clone()))
    }
}

/// An upload in parts. A part that is refused cannot be repeated, as it has its place in the order;
/// but the next upload reads the file first.
#[derive(Debug)]
struct Upload {
    upload: Box<dyn MultipartUpload>,
    credentials: Arc<FileCredentials>,
}

impl Upload {
    fn look_at<T>(credentials: &FileCredentials, result: &Result<T>) {
        if result.as_ref().is_err_and(is_refused) {
            credentials.forget();
        }
    }
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let credentials = Arc::clone(&self.credentials);
        let part = self.upload.put_part(data);
        Box::pin(async move {
            let result = part.await;
            Self::look_at(&credentials, &result);
            result
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let result = self.upload.complete().await;
        Self::look_at(&self.credentials, &result);
        result
    }

    async fn abort(&mut self) -> Result<()> {
        self.upload.abort().await
    }
}
