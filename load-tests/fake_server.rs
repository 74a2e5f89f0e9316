//! An HTTP server for unit tests: it answers every request with what a function says.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

type Answer = dyn Fn(&str) -> (u16, String) + Send + Sync;

pub(crate) struct FakeServer {
    pub(crate) address: SocketAddr,
    requests: Arc<AtomicUsize>,
}

impl FakeServer {
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// Answers on a port of its own for as long as the process lives; `answer` is given the path and
/// the body, with a blank between them.
pub(crate) fn start(answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> FakeServer {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    let answer: Arc<Answer> = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (answer, counted) = (Arc::clone(&answer), Arc::clone(&counted));
            thread::spawn(move || serve(stream, &*answer, &counted));
        }
    });
    FakeServer { address, requests }
}

fn serve(stream: TcpStream, answer: &Answer, requests: &AtomicUsize) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
        let mut body = vec![0; length.parse().ok()?];
        reader.read_exact(&mut body).ok()?;
        requests.fetch_add(1, Ordering::SeqCst);
        let path = head.split(' ').nth(1)?;
        let (status, text) = answer(&format!("{path} {}", String::from_utf8_lossy(&body)));
        let answer =
            format!("HTTP/1.1 {status} Some\r\ncontent-length: {}\r\n\r\n{text}", text.len());
        reader.get_mut().write_all(answer.as_bytes()).ok()?;
    }
}
