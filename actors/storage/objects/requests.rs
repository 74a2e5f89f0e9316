//! What a client of a remote store does with requests that fail.

use async_trait::async_trait;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    ReqwestConnector,
};
use object_store::{ClientOptions, Result};

/// Makes clients to which every failed read is one that is worth another try.
///
/// `object_store` repeats requests after errors that it can name, and gives up at once after the others:
/// a connection that went away in the middle of an answer, or an answer that is none, is no reason to
/// fail a query. A read changes nothing, so that it may be repeated after any of them, as often and as
/// long as the retries of the store are configured. What writes is left as it is: whoever writes has to
/// know whether the first try arrived.
#[derive(Debug)]
pub(super) struct RepeatedReads;

impl HttpConnector for RepeatedReads {
    fn connect(&self, options: &ClientOptions) -> Result<HttpClient> {
        let client = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Requests(client)))
    }
}

#[derive(Debug)]
struct Requests(HttpClient);

#[async_trait]
impl HttpService for Requests {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let is_read = request.method().is_safe();
        self.0.execute(request).await.map_err(|error| match error.kind() {
            HttpErrorKind::Unknown if is_read => HttpError::new(HttpErrorKind::Interrupted, error),
            _ => error,
        })
    }
}
