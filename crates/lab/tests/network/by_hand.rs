//! The least that can drive a tor by hand: circuits and lookups by the control port, SOCKS and
//! DNSPort, with everything that is seen of them. Judges nothing.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RecordType};
use lab::Client;
use record::Fingerprint;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant as Deadline, timeout_at};

/// A control connection that follows circuits and streams.
pub struct Hand {
    client: Client,
    stream: BufReader<TcpStream>,
}

/// What became of a circuit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Built {
    Yes(String),
    /// The end of the event: reasons.
    Failed(String),
    /// Neither in time.
    Pending,
}

/// What became of a lookup.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// SOCKS reply byte, or the DNSPort's response code.
    pub reply: String,
    pub addresses: String,
    /// REASON of the closing event.
    pub close: String,
    pub remote: String,
    /// From SENTRESOLVE to CLOSED.
    pub took: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Socks,
    Dns(RecordType),
}

#[expect(clippy::disallowed_methods, reason = "a test that measures")]
fn now() -> Instant {
    Instant::now()
}

fn deadline(after: Duration) -> Deadline {
    Deadline::from_std(now() + after)
}

impl Hand {
    pub async fn new(client: &Client) -> Self {
        let stream = TcpStream::connect(&client.control).await.unwrap();
        let mut hand = Self { client: client.clone(), stream: BufReader::new(stream) };
        let cookie = std::fs::read(&client.cookie).unwrap();
        let hex: String = cookie.iter().map(|byte| format!("{byte:02x}")).collect();
        hand.command(&format!("AUTHENTICATE {hex}")).await;
        hand.command("SETCONF __LeaveStreamsUnattached=1 CircuitStreamTimeout=60").await;
        hand.command("SETEVENTS CIRC STREAM").await;
        hand
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.stream.read_line(&mut line).await.unwrap() > 0, "tor has gone");
        line.trim_end().to_owned()
    }

    /// The first line of the reply; events before it are lost.
    pub async fn command(&mut self, command: &str) -> String {
        self.stream.get_mut().write_all(format!("{command}\r\n").as_bytes()).await.unwrap();
        loop {
            let line = self.line().await;
            if !line.starts_with("650") {
                return line;
            }
        }
    }

    pub async fn circuit(&mut self, guard: &Fingerprint, exit: &Fingerprint) -> Built {
        let end = deadline(Duration::from_secs(20));
        let reply = self.command(&format!("EXTENDCIRCUIT 0 {guard},{exit}")).await;
        let Some(id) = reply.strip_prefix("250 EXTENDED ") else { return Built::Failed(reply) };
        let prefix = format!("650 CIRC {id} ");
        loop {
            let Ok(line) = timeout_at(end, self.line()).await else {
                self.command(&format!("CLOSECIRCUIT {id}")).await;
                return Built::Pending;
            };
            let Some(rest) = line.strip_prefix(&prefix) else { continue };
            if rest.starts_with("BUILT") {
                return Built::Yes(id.to_owned());
            }
            if rest.starts_with("FAILED") || rest.starts_with("CLOSED") {
                let reasons = rest.split(' ').filter(|word| word.contains("REASON="));
                return Built::Failed(reasons.collect::<Vec<_>>().join(" "));
            }
        }
    }

    /// Looks a name up on a circuit; nothing in `wait` leaves the reply empty.
    pub async fn ask(&mut self, circuit: &str, name: &str, way: Way, wait: Duration) -> Seen {
        let end = deadline(wait);
        let asking = match way {
            Way::Socks => tokio::spawn(socks(self.client.clone(), name.to_owned())),
            Way::Dns(kind) => tokio::spawn(dns(self.client.clone(), name.to_owned(), kind)),
        };
        let (mut id, mut sent) = (String::new(), now());
        let mut seen = Seen::default();
        while let Ok(line) = timeout_at(end, self.line()).await {
            let Some(event) = line.strip_prefix("650 STREAM ") else { continue };
            let words: Vec<_> = event.split(' ').collect();
            if words[1] == "NEWRESOLVE" && words[3] == format!("{name}:0") {
                id = words[0].to_owned();
                let command = format!("ATTACHSTREAM {id} {circuit}\r\n");
                self.stream.get_mut().write_all(command.as_bytes()).await.unwrap();
            } else if words[0] == id && words[1] == "SENTRESOLVE" {
                sent = now();
            } else if words[0] == id && matches!(words[1], "CLOSED" | "FAILED" | "DETACHED") {
                let find = |key: &str| {
                    let value = words.iter().find_map(|word| word.strip_prefix(key));
                    value.unwrap_or_default().to_owned()
                };
                seen.close = find("REASON=");
                seen.remote = find("REMOTE_REASON=");
                seen.took = Some(now() - sent);
                if words[1] != "DETACHED" {
                    break;
                }
            }
        }
        if seen.took.is_none() {
            asking.abort();
            if !id.is_empty() {
                self.command(&format!("CLOSESTREAM {id} 1")).await;
            }
            return seen;
        }
        (seen.reply, seen.addresses) = asking.await.unwrap();
        seen
    }
}

/// A SOCKS5 RESOLVE (tor's socks-extensions).
async fn socks(client: Client, name: String) -> (String, String) {
    let mut stream = TcpStream::connect(client.socks).await.unwrap();
    stream.write_all(&[5, 1, 0]).await.unwrap();
    let mut method = [0; 2];
    stream.read_exact(&mut method).await.unwrap();
    assert_eq!(method, [5, 0]);
    let mut request = vec![5, 0xf0, 0, 3, u8::try_from(name.len()).unwrap()];
    request.extend(name.as_bytes());
    request.extend([0, 0]);
    stream.write_all(&request).await.unwrap();
    let mut head = [0; 4];
    stream.read_exact(&mut head).await.unwrap();
    let address = match (head[1], head[3]) {
        (0, 1) => {
            let mut bytes = [0; 4];
            stream.read_exact(&mut bytes).await.unwrap();
            Ipv4Addr::from(bytes).to_string()
        }
        (0, 4) => {
            let mut bytes = [0; 16];
            stream.read_exact(&mut bytes).await.unwrap();
            Ipv6Addr::from(bytes).to_string()
        }
        _ => String::new(),
    };
    (head[1].to_string(), address)
}

async fn dns(client: Client, name: String, kind: RecordType) -> (String, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(format!("{name}.")).unwrap(), kind));
    socket.send_to(&message.to_vec().unwrap(), client.dns).await.unwrap();
    let mut buffer = [0; 1500];
    let length = socket.recv(&mut buffer).await.unwrap();
    let answer = Message::from_vec(&buffer[..length]).unwrap();
    let addresses: Vec<_> =
        answer.answers.iter().filter_map(|record| record.data.ip_addr()).collect();
    let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    (format!("{:?}", answer.metadata.response_code), addresses.join(" "))
}
