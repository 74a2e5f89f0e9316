//! A connection as both sides of the port take it: encrypted or not, with the bytes that were read
//! to tell what it speaks.

use super::tls::{self, Tls};
use crate::edge::access::ClientCertificate;
use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// What only HTTP/2 begins with.
const PREFACE: [u8; 4] = *b"PRI ";

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// HTTP/1.1 or older.
    Http1,
    /// HTTP/2, with gRPC or without.
    Http2,
}

/// A connection whose first bytes were looked at.
pub(super) struct Io {
    /// These were read and are still to be taken.
    head: [u8; PREFACE.len()],
    head_from: usize,
    head_to: usize,
    transport: Transport,
    certificate: Option<ClientCertificate>,
}

enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Agrees on encryption, if there is to be any, and finds out what the client speaks.
///
/// # Errors
/// When the client does not go along.
pub(super) async fn open(tcp: TcpStream, tls: Option<&Tls>) -> Result<(Io, Protocol)> {
    // An answer leaves in several small writes: without this the last of them waits for the
    // client's delayed acknowledgement, 40 ms on Linux.
    tcp.set_nodelay(true)?;
    let Some(tls) = tls else { return sniff(Transport::Plain(tcp)).await };
    let stream = Box::new(tls.acceptor().accept(tcp).await?);
    if stream.get_ref().1.alpn_protocol() == Some(tls::HTTP2) {
        let io = Io::new(Transport::Tls(stream));
        return Ok((io, Protocol::Http2));
    }
    sniff(Transport::Tls(stream)).await
}

/// Reads until the first bytes can be told from the preface of HTTP/2.
async fn sniff(transport: Transport) -> Result<(Io, Protocol)> {
    let mut io = Io::new(transport);
    while io.head_to < PREFACE.len() {
        let read = match &mut io.transport {
            Transport::Plain(tcp) => tcp.read(&mut io.head[io.head_to..]).await?,
            Transport::Tls(tls) => tls.read(&mut io.head[io.head_to..]).await?,
        };
        io.head_to += read;
        if read == 0 || io.head[..io.head_to] != PREFACE[..io.head_to] {
            return Ok((io, Protocol::Http1));
        }
    }
    Ok((io, Protocol::Http2))
}

impl Io {
    fn new(transport: Transport) -> Self {
        let certificate = match &transport {
            Transport::Plain(_) => None,
            Transport::Tls(stream) => {
                let shown = stream.get_ref().1.peer_certificates();
                shown.and_then(|chain| tls::common_name(chain.first()?))
            }
        };
        Self { head: [0; PREFACE.len()], head_from: 0, head_to: 0, transport, certificate }
    }

    /// What the client has shown, if it is trusted.
    pub(super) fn certificate(&self) -> Option<&ClientCertificate> {
        self.certificate.as_ref()
    }
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let io = &mut *self;
        if io.head_from < io.head_to {
            let length = buffer.remaining().min(io.head_to - io.head_from);
            buffer.put_slice(&io.head[io.head_from..io.head_from + length]);
            io.head_from += length;
            return Poll::Ready(Ok(()));
        }
        match &mut io.transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Transport::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        match &mut self.transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Transport::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        match &mut self.transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, pieces),
            Transport::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(tcp) => tcp.is_write_vectored(),
            Transport::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match &mut self.transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Transport::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match &mut self.transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Transport::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
