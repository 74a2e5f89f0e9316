//! A small HTTP/1.1 client over one kept-alive connection. A general client would spend on the
//! two cores of a small machine what the server under test needs.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use flate2::Compression;
use flate2::write::GzEncoder;

/// Longer than any server's own time-out; a hanging server ends the run instead of the night.
const SOCKET_TIMEOUT: Duration = Duration::from_secs(120);
/// Servers end connections that have been idle for some seconds.
const IDLE_MAX: Duration = Duration::from_secs(3);
const RESPONSE_HEAD_LINES_MAX: usize = 100;
const RESPONSE_LINE_BYTES_MAX: u64 = 16 << 10;
const RESPONSE_BODY_BYTES_MAX: u64 = 1 << 30;

/// Where requests go.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct ServerOptions {
    /// Address of the server
    #[arg(long, default_value = "127.0.0.1:8181")]
    pub(crate) address: SocketAddr,

    /// Database to write to or read from
    #[arg(long, default_value = "bench")]
    pub(crate) db: String,

    /// Token to send, if the server asks for one
    #[arg(long, env = "INFLUXDB3_AUTH_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
}

impl ServerOptions {
    /// The usual database of a server, without a token.
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self { address, db: "bench".to_owned(), token: None }
    }

    /// A whole request, ready to be sent.
    pub(crate) fn post(&self, path: &str, body: &[u8]) -> Vec<u8> {
        self.request("POST", path, "", body)
    }

    /// A whole request whose body is JSON.
    pub(crate) fn post_json(&self, path: &str, body: &serde_json::Value) -> Vec<u8> {
        self.request(
            "POST",
            path,
            "content-type: application/json\r\n",
            body.to_string().as_bytes(),
        )
    }

    /// A whole request with a compressed body.
    pub(crate) fn post_gzip(&self, path: &str, body: &[u8]) -> io::Result<Vec<u8>> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(body)?;
        Ok(self.request("POST", path, "content-encoding: gzip\r\n", &encoder.finish()?))
    }

    /// A whole request without a body.
    pub(crate) fn get(&self, path: &str) -> Vec<u8> {
        self.request("GET", path, "", b"")
    }

    fn request(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
        let authorization = match &self.token {
            Some(token) => format!("authorization: Bearer {token}\r\n"),
            None => String::new(),
        };
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\n{authorization}{headers}\
             content-length: {}\r\n\r\n",
            self.address,
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        request
    }
}

/// Text as a value of a query string.
pub(crate) fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                encoded.push(char::from(byte));
            }
            _ => encoded += &format!("%{byte:02X}"),
        }
    }
    encoded
}

/// One request on a connection of its own; an answer that is no success is an error.
pub(crate) fn ask_once(server: &ServerOptions, request: &[u8]) -> Result<Vec<u8>> {
    let mut connection = Connection::open(server.address)
        .with_context(|| format!("cannot connect to {}", server.address))?;
    let response = connection.exchange(request).context("a request was not answered")?;
    ensure!(response.is_success(), "a request failed with {}", response.describe());
    Ok(response.body)
}

/// The write endpoint that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    /// `/api/v3/write_lp`
    #[value(name = "influxdb3-v3")]
    Influxdb3V3,
    /// `/write`, which InfluxDB 1, InfluxDB 3 and VictoriaMetrics know
    V1,
}

impl Target {
    pub(crate) fn write_path(self, db: &str) -> String {
        match self {
            Self::Influxdb3V3 => format!("/api/v3/write_lp?db={db}&precision=nanosecond"),
            Self::V1 => format!("/write?db={db}&precision=ns"),
        }
    }
}

/// What of an answer the driver looks at.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Vec<u8>,
    closes: bool,
}

impl Response {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The status and the start of the body, for an error text.
    pub(crate) fn describe(&self) -> String {
        let body: String = String::from_utf8_lossy(&self.body).chars().take(300).collect();
        format!("status {}: {}", self.status, body.trim())
    }
}

/// A connection that is opened again when the server closed it, or may have.
pub(crate) struct Connection {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
    last_used: Instant,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { address, stream: Some(connect(address)?), last_used: Instant::now() })
    }

    /// Sends one rendered request and reads its answer.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> io::Result<Response> {
        let is_fresh = self.last_used.elapsed() < IDLE_MAX;
        let mut stream = match self.stream.take().filter(|_| is_fresh) {
            Some(stream) => stream,
            None => connect(self.address)?,
        };
        // A server that refuses early answers and closes before it has read the body: the answer
        // counts then, not the failed write.
        let sent = stream.get_mut().write_all(request);
        let answer = read_response(&mut stream);
        self.last_used = Instant::now();
        match answer {
            Ok(response) => {
                if sent.is_ok() && !response.closes {
                    self.stream = Some(stream);
                }
                Ok(response)
            }
            Err(error) => Err(sent.err().unwrap_or(error)),
        }
    }
}

fn connect(address: SocketAddr) -> io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect_timeout(&address, SOCKET_TIMEOUT)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SOCKET_TIMEOUT))?;
    stream.set_write_timeout(Some(SOCKET_TIMEOUT))?;
    Ok(BufReader::new(stream))
}

fn read_response(stream: &mut impl BufRead) -> io::Result<Response> {
    let status_line = read_line(stream)?;
    let status = status_line
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse().ok())
        .ok_or_else(|| invalid(format!("not an HTTP/1.1 status line: {status_line:?}")))?;
    let mut response = Response { status, retry_after: None, body: Vec::new(), closes: false };

    let mut length = None;
    let mut chunked = false;
    for _ in 0..RESPONSE_HEAD_LINES_MAX {
        let line = read_line(stream)?;
        if line.is_empty() {
            response.read_body(stream, length, chunked)?;
            return Ok(response);
        }
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = Some(value.parse().map_err(invalid)?),
            "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
            "retry-after" => response.retry_after = value.parse().ok().map(Duration::from_secs),
            "connection" => response.closes = value.eq_ignore_ascii_case("close"),
            _ => {}
        }
    }
    Err(invalid("too many header lines in the answer"))
}

impl Response {
    fn read_body(
        &mut self,
        stream: &mut impl BufRead,
        length: Option<u64>,
        chunked: bool,
    ) -> io::Result<()> {
        if matches!(self.status, 204 | 304) {
            return Ok(());
        }
        if chunked {
            loop {
                let line = read_line(stream)?;
                let size = line.split(';').next().unwrap_or_default().trim();
                let size = u64::from_str_radix(size, 16).map_err(invalid)?;
                self.read_exactly(stream, size)?;
                let end = read_line(stream)?;
                if !end.is_empty() {
                    return Err(invalid("a chunk does not end where it says"));
                }
                if size == 0 {
                    return Ok(());
                }
            }
        }
        match length {
            Some(length) => self.read_exactly(stream, length),
            None => {
                self.closes = true;
                stream.take(RESPONSE_BODY_BYTES_MAX).read_to_end(&mut self.body)?;
                Ok(())
            }
        }
    }

    fn read_exactly(&mut self, stream: &mut impl BufRead, length: u64) -> io::Result<()> {
        if self.body.len() as u64 + length > RESPONSE_BODY_BYTES_MAX {
            return Err(invalid("the answer is too large"));
        }
        let read = stream.take(length).read_to_end(&mut self.body)? as u64;
        if read < length { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}

fn read_line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    stream.take(RESPONSE_LINE_BYTES_MAX).read_line(&mut line)?;
    match line.strip_suffix("\r\n") {
        Some(text) => Ok(text.to_owned()),
        None => Err(ErrorKind::UnexpectedEof.into()),
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> io::Result<Response> {
        read_response(&mut text.as_bytes())
    }

    #[test]
    fn bodies_end_where_the_head_says() {
        let sized = read("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1").unwrap();
        assert_eq!((sized.status, sized.body.as_slice()), (200, &b"abc"[..]));
        let chunks =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n";
        assert_eq!(read(chunks).unwrap().body, b"abcd");
        let open = read("HTTP/1.1 200 OK\r\n\r\nrest").unwrap();
        assert!(open.closes && open.body == b"rest");
        let empty = read("HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        assert!(empty.is_success() && !empty.closes && empty.body.is_empty());
    }

    #[test]
    fn a_refusal_says_when_to_come_back() {
        let refusal = "HTTP/1.1 503 Busy\r\nretry-after: 2\r\ncontent-length: 4\r\nconnection: close\r\n\r\nfull";
        let response = read(refusal).unwrap();
        assert_eq!(response.retry_after, Some(Duration::from_secs(2)));
        assert!(response.closes && !response.is_success());
        assert_eq!(response.describe(), "status 503: full");
    }

    #[test]
    fn values_of_query_strings_are_encoded() {
        assert_eq!(percent_encode("a='b' é_1"), "a%3D%27b%27%20%C3%A9_1");
    }

    #[test]
    fn cut_answers_are_errors() {
        for text in
            ["", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", "SSH-2.0\r\n"]
        {
            assert!(read(text).is_err(), "accepted {text:?}");
        }
    }
}
