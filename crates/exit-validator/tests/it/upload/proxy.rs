//! A proxy between the program and the server that counts requests, and fails by name.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::server::Server;

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    Pass,
    /// This status and code, and the server does not hear of it.
    Answer(u16, &'static str),
    /// The server gets so many bytes of the body, then both sides are closed.
    CutRequest(usize),
    /// The server does it; half of its answer arrives.
    CutAnswer,
    /// The server does it; the connection is closed without an answer.
    ResetAfterCommit,
    /// The store's ETags look like MD5s, and are none.
    OtherEtags,
    /// The bucket is to be asked at this address, with this status.
    Elsewhere(u16, SocketAddr),
    /// This document, and the server does not hear of it.
    Document(&'static str),
    /// A listing of so many bytes.
    Flood(usize),
    /// Nothing ever comes back.
    Stall,
    /// Closed at once.
    Drop,
}

/// A request, as far as a script goes by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Counted from 0.
    pub number: usize,
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Whether it has `If-Match` or `If-None-Match`.
    pub conditional: bool,
}

type Script = dyn Fn(&Seen) -> Fault + Send + Sync;

pub struct Proxy {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Proxy {
    pub fn start(server: &Server, script: impl Fn(&Seen) -> Fault + Send + Sync + 'static) -> Self {
        let upstream = server.address;
        let listener = server.runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let script: Arc<Script> = Arc::new(script);
        let log = Arc::clone(&seen);
        server.runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                client.set_nodelay(true).unwrap();
                let (script, log) = (Arc::clone(&script), Arc::clone(&log));
                tokio::spawn(async move {
                    let _ = serve(client, upstream, &*script, &log).await;
                });
            }
        });
        Self { address, seen }
    }

    /// The requests so far, as `METHOD path`, without the query and the bucket.
    pub fn log(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.iter()
            .map(|seen| {
                let path = seen.path.split('?').next().unwrap();
                let key = path.trim_start_matches('/').split_once('/').map_or("", |(_, key)| key);
                format!("{} {key}", seen.method)
            })
            .collect()
    }
}

#[expect(clippy::too_many_lines, reason = "one arm for each fault")]
async fn serve(
    mut client: TcpStream,
    upstream: SocketAddr,
    script: &Script,
    log: &Mutex<Vec<Seen>>,
) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if client.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
        let mut body: Vec<u8> = buffer.split_off(end);
        let header = |name: &str| {
            head.lines().find_map(|line| {
                let (left, right) = line.split_once(':')?;
                left.eq_ignore_ascii_case(name).then(|| right.trim().to_owned())
            })
        };
        let length: usize = header("content-length").map_or(0, |text| text.parse().unwrap());
        let mut words = head.split(' ').map(str::to_owned);
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let conditional = header("if-match").or(header("if-none-match")).is_some();
        let seen = {
            let mut log = log.lock().unwrap();
            let seen = Seen { number: log.len(), method, path, conditional };
            log.push(seen.clone());
            seen
        };
        let fault = script(&seen);
        if fault == Fault::Drop {
            return Ok(());
        }
        if header("expect").is_some() {
            client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let wanted = if let Fault::CutRequest(bytes) = fault { length.min(bytes) } else { length };
        while body.len() < wanted {
            if client.read_buf(&mut body).await? == 0 {
                return Ok(());
            }
        }
        // One request for each connection to the server, so that its answer ends with it.
        let mut forwarded: String = head
            .lines()
            .filter(|line| {
                let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
                !line.is_empty() && !["expect", "connection"].contains(&name.as_str())
            })
            .map(|line| format!("{line}\r\n"))
            .collect();
        forwarded.push_str("connection: close\r\n\r\n");
        match fault {
            Fault::Stall => {
                // Until the other side has had enough.
                let mut rest = [0; 1024];
                let stall = client.read(&mut rest);
                let _ = tokio::time::timeout(Duration::from_secs(20), stall).await;
                return Ok(());
            }
            Fault::Elsewhere(status, there) => {
                let location = format!("http://{there}{}", seen.path);
                let answer = format!(
                    "HTTP/1.1 {status} Scripted\r\nlocation: {location}\r\ncontent-length: 0\r\n\
                     x-amz-bucket-region: eu-north-7\r\n\r\n"
                );
                client.write_all(answer.as_bytes()).await?;
                buffer = body.split_off(length);
                continue;
            }
            Fault::Document(text) => {
                client.write_all(ok(text.len()).as_bytes()).await?;
                client.write_all(text.as_bytes()).await?;
                buffer = body.split_off(length);
                continue;
            }
            Fault::Flood(size) => {
                let object = "<Contents><Key>dns_health_x</Key><Size>1</Size></Contents>";
                let begin = "<ListBucketResult>";
                let count = size / object.len();
                let end = "</ListBucketResult>";
                let size = begin.len() + count * object.len() + end.len();
                client.write_all(ok(size).as_bytes()).await?;
                client.write_all(begin.as_bytes()).await?;
                let many = object.repeat(1000);
                for _ in 0..count / 1000 {
                    client.write_all(many.as_bytes()).await?;
                }
                client.write_all(object.repeat(count % 1000).as_bytes()).await?;
                client.write_all(end.as_bytes()).await?;
                buffer = body.split_off(length);
                continue;
            }
            Fault::Answer(status, code) => {
                let text = format!("<Error><Code>{code}</Code><Message>scripted</Message></Error>");
                let text = if seen.method == "HEAD" { String::new() } else { text };
                let length = text.len();
                let answer = format!(
                    "HTTP/1.1 {status} Scripted\r\ncontent-type: application/xml\r\n\
                     date: Mon, 23 Nov 2020 00:00:00 GMT\r\ncontent-length: {length}\r\n\r\n{text}"
                );
                client.write_all(answer.as_bytes()).await?;
                buffer = body.split_off(length.min(body.len()).max(wanted.min(body.len())));
                continue;
            }
            _ => {}
        }
        let mut server = TcpStream::connect(upstream).await?;
        server.set_nodelay(true)?;
        server.write_all(forwarded.as_bytes()).await?;
        server.write_all(&body[..wanted]).await?;
        if matches!(fault, Fault::CutRequest(_)) {
            return Ok(());
        }
        buffer = body.split_off(length);
        let mut answer = Vec::new();
        server.read_to_end(&mut answer).await?;
        let at = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        let head: String = String::from_utf8_lossy(&answer[..at])
            .lines()
            .filter(|line| !line.to_ascii_lowercase().starts_with("connection:"))
            .map(|line| format!("{line}\r\n"))
            .collect();
        let mut whole = head.into_bytes();
        whole.extend_from_slice(&answer[at..]);
        if fault == Fault::OtherEtags {
            whole = turned(&whole);
        }
        match fault {
            Fault::ResetAfterCommit => return Ok(()),
            Fault::CutAnswer => return client.write_all(&whole[..whole.len() / 2]).await,
            _ => client.write_all(&whole).await?,
        }
    }
}

fn ok(length: usize) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/xml\r\ncontent-length: {length}\r\n\r\n")
}

/// Every ETag that is an MD5, of headers and of listings, read backwards.
fn turned(bytes: &[u8]) -> Vec<u8> {
    let mut turned = bytes.to_vec();
    let mut at = 0;
    while at + 34 <= turned.len() {
        let hex = turned[at + 1..at + 33].iter().all(u8::is_ascii_hexdigit);
        if [b'"', b';'].contains(&turned[at]) && hex && [b'"', b'&'].contains(&turned[at + 33]) {
            turned[at + 1..at + 33].reverse();
            at += 33;
        }
        at += 1;
    }
    turned
}
