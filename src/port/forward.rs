//! Requests to the HTTP API that come over HTTP/2, as the application takes and answers them.

use super::App;
use crate::flight::Peer;
use actix_http::error::PayloadError;
use actix_http::{BoxedPayloadStream, Payload, Request, Response};
use actix_service::Service;
use actix_web::HttpMessage;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::http::header::{HOST, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode, Uri, Version};
use bytes::Bytes;
use futures::StreamExt;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyDataStream;
use hyper::body::Incoming;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Lets the application answer.
pub(super) async fn call(
    app: &App,
    request: http::Request<Incoming>,
    peer: &Peer,
) -> http::Response<ApiBody> {
    let is_head = request.method() == http::Method::HEAD;
    let Some(request) = taken(request, peer) else {
        return given(Response::bad_request(), is_head);
    };
    let response = match app.call(request).await {
        Ok(response) => response,
        Err(error) => error.into(),
    };
    given(response, is_head)
}

/// The request as the application knows it. `None` if it is none of HTTP/1.1's.
fn taken(request: http::Request<Incoming>, peer: &Peer) -> Option<Request> {
    let (parts, body) = request.into_parts();
    let body: BoxedPayloadStream = Box::pin(
        BodyDataStream::new(body)
            .map(|piece| piece.map_err(|error| PayloadError::Io(io::Error::other(error)))),
    );
    let mut request = Request::with_payload(Payload::Stream { payload: body });
    let head = request.head_mut();
    head.method = Method::from_bytes(parts.method.as_str().as_bytes()).ok()?;
    head.uri = Uri::try_from(parts.uri.path_and_query()?.as_str()).ok()?;
    head.version = Version::HTTP_2;
    head.peer_addr = peer.address;
    if let Some(authority) = parts.uri.authority() {
        let value = HeaderValue::from_str(authority.as_str()).ok()?;
        head.headers.insert(HOST, value);
    }
    for (name, value) in &parts.headers {
        let name = HeaderName::from_bytes(name.as_str().as_bytes()).ok()?;
        head.headers.append(name, HeaderValue::from_bytes(value.as_bytes()).ok()?);
    }
    if let Some(certificate) = &peer.certificate {
        request.extensions_mut().insert(certificate.clone());
    }
    Some(request)
}

/// The application's answer as HTTP/2 carries it.
fn given(response: Response<BoxBody>, is_head: bool) -> http::Response<ApiBody> {
    let (head, body) = response.into_parts();
    let size = body.size();
    let has_body = !is_head && !matches!(size, BodySize::None) && may_have_body(head.status());
    let mut answer = http::Response::new(ApiBody { body: has_body.then_some(body) });
    *answer.status_mut() = http::StatusCode::from_u16(head.status().as_u16()).unwrap_or_default();
    let headers = answer.headers_mut();
    for (name, value) in head.headers() {
        let name = http::HeaderName::from_bytes(name.as_str().as_bytes());
        let value = http::HeaderValue::from_bytes(value.as_bytes());
        if let (Ok(name), Ok(value)) = (name, value)
            && ![CONNECTION, TRANSFER_ENCODING, UPGRADE].contains(&name)
        {
            headers.append(name, value);
        }
    }
    if let BodySize::Sized(length) = size
        && may_have_body(head.status())
    {
        headers.insert(CONTENT_LENGTH, length.into());
    }
    answer
}

fn may_have_body(status: StatusCode) -> bool {
    !status.is_informational() && !matches!(status.as_u16(), 204 | 304)
}

/// The body of an application's answer, if it has one.
pub(super) struct ApiBody {
    body: Option<BoxBody>,
}

impl Body for ApiBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        Pin::new(body).poll_next(cx).map(|piece| {
            piece.map(|piece| {
                piece.map(Frame::data).map_err(|error| io::Error::other(error.to_string()))
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.body.as_ref().map(MessageBody::size) {
            None | Some(BodySize::None) => SizeHint::with_exact(0),
            Some(BodySize::Sized(length)) => SizeHint::with_exact(length),
            Some(BodySize::Stream) => SizeHint::default(),
        }
    }
}
