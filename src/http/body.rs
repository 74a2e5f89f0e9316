//! The only reader and decoder of request bodies: capped on the wire, capped when decompressed,
//! within the budget of all bodies, and with a deadline.

use super::failure::Failure;
use super::limits::{
    BODY_FIRST_BYTES, BODY_READ_MS_MAX, GUNZIP_INLINE_BYTES_MAX, GUNZIP_STEP_BYTES,
    UNWANTED_BYTES_MAX, UNWANTED_WAIT,
};
use crate::edge::body_budget::{HeldBytes, NoRoom};
use crate::edge::state::ServerState;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use actix_web::{HttpRequest, web};
use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use futures::{Stream, StreamExt};
use protocols::error::ErrorKind;
use std::fmt::Display;
use std::io::Read;
use std::ops::Deref;
use std::pin::pin;
use std::time::Duration;
use tokio::time::timeout;

/// A body, which counts for the budget as long as this lives.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) bytes: Bytes,
    _held: HeldBytes,
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl From<NoRoom> for Failure {
    fn from(_: NoRoom) -> Self {
        let text = "too many request bodies are on their way, try again later";
        Self::of_kind(ErrorKind::Overloaded, text)
    }
}

/// Reads and decodes a body of no more than the largest size, counted both before and after.
pub(super) async fn read(
    state: &ServerState,
    req: &HttpRequest,
    payload: web::Payload,
) -> Result<Body, Failure> {
    let (bytes_max, mut held) = (state.max_body_bytes, state.bodies.open());
    let gzipped = is_gzipped(req)?;
    let length = req.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    let deadline = Duration::from_millis(BODY_READ_MS_MAX);
    let collected = collect(payload, length, bytes_max, &mut held);
    let body = timeout(deadline, collected).await.map_err(|_| {
        Failure::text(StatusCode::REQUEST_TIMEOUT, "the request body did not arrive in time")
    })??;
    if !gzipped {
        return Ok(Body { bytes: body, _held: held });
    }
    let is_small = body.len() <= GUNZIP_INLINE_BYTES_MAX;
    let decode = move || {
        let bytes = gunzip(&body, bytes_max, &mut held)?;
        Ok(Body { bytes, _held: held })
    };
    if is_small {
        return decode();
    }
    let decoded = web::block(decode).await;
    decoded.map_err(|error| Failure::text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?
}

/// How long the body is said to be, if that is said and can be.
pub(super) fn announced(req: &HttpRequest) -> usize {
    let length = req.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    length.unwrap_or(0)
}

/// Passes over the body of a request that is refused, if it is short and there: the connection ends
/// with the answer otherwise.
pub(super) async fn pass_over<E>(req: &HttpRequest, pieces: impl Stream<Item = Result<Bytes, E>>) {
    if !(1..=UNWANTED_BYTES_MAX).contains(&announced(req)) {
        return;
    }
    let mut pieces = pin!(pieces);
    let whole = async { while let Some(Ok(_)) = pieces.next().await {} };
    timeout(UNWANTED_WAIT, whole).await.ok();
}

fn is_gzipped(req: &HttpRequest) -> Result<bool, Failure> {
    let Some(encoding) = req.headers().get(CONTENT_ENCODING) else { return Ok(false) };
    match encoding.as_bytes() {
        // The older name of the same.
        name if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") => {
            Ok(true)
        }
        name if name.is_empty() || name.eq_ignore_ascii_case(b"identity") => Ok(false),
        other => Err(Failure::bad_request(format!(
            "unacceptable content-encoding: {}",
            String::from_utf8_lossy(other)
        ))),
    }
}

fn too_large(bytes_max: usize) -> Failure {
    Failure::text(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("max request size ({bytes_max} bytes) exceeded"),
    )
}

/// Gathers the pieces of a body. One that arrives in one piece is not copied.
async fn collect<E: Display>(
    pieces: impl Stream<Item = Result<Bytes, E>>,
    length: Option<usize>,
    bytes_max: usize,
    held: &mut HeldBytes,
) -> Result<Bytes, Failure> {
    if length.is_some_and(|length| length > bytes_max) {
        return Err(too_large(bytes_max));
    }
    let mut pieces = pin!(pieces);
    let mut first = Bytes::new();
    let mut body = BytesMut::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| {
            Failure::bad_request(format!("error reading the request body: {error}"))
        })?;
        let come = first.len() + body.len() + piece.len();
        if come > bytes_max {
            return Err(too_large(bytes_max));
        }
        let whole = length.filter(|_| come > BODY_FIRST_BYTES).unwrap_or(come);
        held.grow_to(whole.max(come)).await?;
        if first.is_empty() && body.is_empty() {
            first = piece;
            continue;
        }
        if body.is_empty() {
            body.reserve(whole.max(come));
            body.extend_from_slice(&std::mem::take(&mut first));
        }
        body.extend_from_slice(&piece);
    }
    Ok(if body.is_empty() { first } else { body.freeze() })
}

/// Decompresses all members of a gzip stream. Stops at the first byte above the limit, so a small
/// body that would grow without end costs no more than a large one.
fn gunzip(body: &[u8], bytes_max: usize, held: &mut HeldBytes) -> Result<Bytes, Failure> {
    if body.is_empty() {
        return Ok(Bytes::new());
    }
    let mut decoder = MultiGzDecoder::new(body);
    let mut decoded: Vec<u8> = Vec::new();
    loop {
        let length = decoded.len();
        let step = length.max(GUNZIP_STEP_BYTES).min(bytes_max - length);
        // A full body is read once more, to see whether it ends here.
        let mut beyond = [0];
        let room = if step == 0 {
            beyond.as_mut_slice()
        } else {
            held.try_grow_to(body.len() + length + step)?;
            decoded.reserve_exact(step);
            decoded.resize(length + step, 0);
            &mut decoded[length..]
        };
        let read = decoder.read(room).map_err(|error| {
            Failure::bad_request(format!("error decoding gzip stream: {error}"))
        })?;
        if read == 0 {
            decoded.truncate(length);
            return Ok(Bytes::from(decoded));
        }
        if step == 0 {
            return Err(too_large(bytes_max));
        }
        decoded.truncate(length + read);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::body_budget::BodyBudget;
    use actix_web::ResponseError;
    use actix_web::test::TestRequest;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    fn budget(bytes_max: usize) -> BodyBudget {
        BodyBudget::new(bytes_max, Duration::from_millis(1))
    }

    fn gunzip(body: &[u8], bytes_max: usize) -> Result<Bytes, Failure> {
        super::gunzip(body, bytes_max, &mut budget(1 << 30).open())
    }

    async fn collect<E: Display>(
        pieces: impl Stream<Item = Result<Bytes, E>>,
        length: Option<usize>,
        bytes_max: usize,
    ) -> Result<Bytes, Failure> {
        super::collect(pieces, length, bytes_max, &mut budget(1 << 30).open()).await
    }

    /// Reads a body that announces so many bytes and has sent so many, and goes on then.
    async fn is_let_on(budget: &BodyBudget, announced: usize, sent: usize) -> Option<HeldBytes> {
        let mut held = budget.open();
        let piece = futures::stream::iter([Ok::<_, String>(Bytes::from(vec![b'x'; sent]))]);
        let read = super::collect(piece, Some(announced), 1 << 30, &mut held).await;
        match read {
            Ok(_) => Some(held),
            Err(failure) => {
                assert_eq!(failure.status_code().as_u16(), 503);
                None
            }
        }
    }

    #[actix_web::test]
    async fn bodies_take_no_more_than_their_budget() {
        let budget = budget(1024 * 1024);
        // Ten times the budget are announced, and next to nothing is sent.
        let mut slow = Vec::new();
        for _ in 0..100 {
            slow.push(is_let_on(&budget, 100 * 1024, 10).await.expect("it holds a KiB"));
        }
        let large = is_let_on(&budget, 900 * 1024, 80 * 1024).await.expect("there is room");
        assert!(is_let_on(&budget, 100 * 1024, 80 * 1024).await.is_none(), "it is all announced");
        assert!(is_let_on(&budget, 20 * 1024, 20 * 1024).await.is_some());
        drop(large);
        let _large = is_let_on(&budget, 900 * 1024, 80 * 1024).await.expect("it was given back");
        let small = gzip(&vec![0; 200 * 1024]);
        let refused = super::gunzip(&small, 1 << 30, &mut budget.open()).unwrap_err();
        assert_eq!(refused.status_code().as_u16(), 503, "what it becomes counts as well");
    }

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn told(failure: &Failure) -> (u16, String) {
        (failure.status_code().as_u16(), failure.to_string())
    }

    #[test]
    fn encodings_have_no_case() {
        let check = |encoding: &str, expected: Option<bool>| {
            let req = TestRequest::default().insert_header((CONTENT_ENCODING, encoding));
            assert_eq!(is_gzipped(&req.to_http_request()).ok(), expected, "{encoding}");
        };
        check("gzip", Some(true));
        check("GZip", Some(true));
        check("Identity", Some(false));
        check("br", None);
        check("X-GZip", Some(true));
        check("", Some(false));
        check("gzip, gzip", None);
    }

    #[test]
    fn members_of_a_gzip_stream_follow_each_other() {
        let stream = [gzip(b"one "), gzip(b""), gzip(b"two")].concat();
        assert_eq!(gunzip(&stream, 100).unwrap(), "one two");
        assert_eq!(gunzip(&gzip(b""), 100).unwrap(), "");
        assert_eq!(gunzip(b"", 100).unwrap(), "");
    }

    #[test]
    fn a_body_may_fill_the_limit_but_not_exceed_it() {
        let body = vec![b'x'; 300_000];
        assert_eq!(gunzip(&gzip(&body), 300_000).unwrap(), body);
        let error = gunzip(&gzip(&body), 299_999).unwrap_err();
        assert_eq!(told(&error), (413, "max request size (299999 bytes) exceeded".to_owned()));
        assert!(gunzip(&gzip(b"x"), 0).is_err());
    }

    #[test]
    fn a_gzip_bomb_is_stopped_at_the_limit() {
        let zeros = gzip(&vec![0; 64 * 1024 * 1024]);
        let bomb = [zeros.as_slice(), b"this is never looked at"].concat();
        assert!(bomb.len() < 100_000);
        assert_eq!(told(&gunzip(&bomb, 1024 * 1024).unwrap_err()).0, 413);
    }

    #[test]
    fn broken_gzip_is_told() {
        for broken in
            [b"m v=1".as_slice(), &gzip(b"m v=1")[..12], &[gzip(b"a").as_slice(), b"b"].concat()]
        {
            let (status, text) = told(&gunzip(broken, 100).unwrap_err());
            assert_eq!(status, 400);
            assert!(text.starts_with("error decoding gzip stream: "), "{text}");
        }
    }

    #[actix_web::test]
    async fn pieces_are_put_together_below_the_limit() {
        let pieces = |all: &[&'static str]| {
            let all: Vec<_> = all.iter().map(|p| Ok::<_, String>(Bytes::from(*p))).collect();
            futures::stream::iter(all)
        };
        assert_eq!(collect(pieces(&[]), None, 4).await.unwrap(), "");
        assert_eq!(collect(pieces(&["ab"]), None, 4).await.unwrap(), "ab");
        assert_eq!(collect(pieces(&["ab", "", "c", "d"]), Some(4), 4).await.unwrap(), "abcd");
        for (all, length) in [(pieces(&["ab", "cde"]), None), (pieces(&["a"]), Some(5))] {
            assert_eq!(told(&collect(all, length, 4).await.unwrap_err()).0, 413);
        }
        let cut = futures::stream::iter([Ok(Bytes::from("ab")), Err("cut short")]);
        assert_eq!(told(&collect(cut, Some(4), 4).await.unwrap_err()).0, 400);
    }
}
