//! Reads what other name servers write of their queries, record by record, and gives it as lines of our log:
//! dnstap, BIND's query log, and Cloudflare's Logpush. Whatever stands there, no more memory is taken than for a
//! record and for `WAITING` queries whose answers have not come yet.

use std::collections::{HashMap, VecDeque};
use std::io::{self, BufRead, Read as _};
use std::net::IpAddr;

use chrono::{DateTime, NaiveDateTime, Utc};
use clap::ValueEnum;
use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use prost::Message as _;
use serde::Deserialize;

use crate::answer::{QueryTransport, Seen, mnemonic, seen, type_name};
use crate::log::QueryLine;
use crate::read::lines;

/// Longest frame of dnstap: two messages of 65,535 octets and what is said of them.
const FRAME: u32 = 192 << 10;

/// Longest control frame (Frame Streams: 512 octets).
const CONTROL: u32 = 512;

/// What a stream of dnstap says that it holds.
const CONTENT: &[u8] = b"protobuf:dnstap.Dnstap";

/// Queries that wait for their answers.
const WAITING: usize = 4096;

/// What another server writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ForeignLog {
    /// A stream of dnstap, as BIND, Knot, NSD, Unbound, PowerDNS and CoreDNS write it.
    Dnstap,
    /// The text of BIND's category "queries".
    Bind,
    /// The lines of JSON of Cloudflare's Logpush, data set dns_logs.
    Cloudflare,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported {
    /// Queries.
    pub queries: u64,
    /// Records that are something else, such as what a resolver asked others.
    pub others: u64,
    /// Records that could not be read.
    pub bad: u64,
    /// Where the first of these is, and what is wrong with it.
    pub first_bad: Option<String>,
}

impl Imported {
    fn bad(&mut self, at: u64, what: &str, why: &str) {
        self.bad += 1;
        if self.first_bad.is_none() {
            self.first_bad = Some(format!("{what} {at}: {why}"));
        }
    }
}

/// Reads a log to its end, hands each query to `each`, and counts what it could not read.
///
/// # Errors
///
/// Where `input` cannot be read, or `each` fails.
pub fn import(
    format: ForeignLog,
    input: impl BufRead,
    each: &mut dyn FnMut(QueryLine) -> io::Result<()>,
) -> io::Result<Imported> {
    match format {
        ForeignLog::Dnstap => dnstap(input, each),
        ForeignLog::Bind => text(input, bind, each),
        ForeignLog::Cloudflare => text(input, cloudflare, each),
    }
}

/// What a line holds: a query, something else, or nothing that can be read, and why.
type Found = Result<Option<QueryLine>, &'static str>;

fn text(
    input: impl BufRead,
    read: fn(&[u8]) -> Found,
    each: &mut dyn FnMut(QueryLine) -> io::Result<()>,
) -> io::Result<Imported> {
    let mut imported = Imported::default();
    let mut at = 0;
    let mut written = Ok(());
    lines(input, &mut |line| {
        at += 1;
        match line.map_or(Err("it is too long"), read) {
            Ok(Some(query)) => {
                imported.queries += 1;
                if written.is_ok() {
                    written = each(query);
                }
            }
            Ok(None) => imported.others += 1,
            Err(why) => imported.bad(at, "line", why),
        }
        written.is_ok()
    })?;
    written.map(|()| imported)
}

/// A name as our log has it.
fn name(text: &str) -> Result<Option<String>, &'static str> {
    let mut name = Name::from_ascii(text).map_err(|_| "it has no name that can be read")?;
    name.set_fqdn(true);
    Ok(Some(name.to_ascii()))
}

/// A network as our log has it.
fn network(text: &str) -> Result<String, &'static str> {
    let parts = text.split_once('/').and_then(|(address, length)| {
        Some((address.parse::<IpAddr>().ok()?, length.parse::<u8>().ok()?))
    });
    let (address, length) = parts.ok_or("it has a client subnet that cannot be read")?;
    Ok(format!("{address}/{length}"))
}

/// A line of BIND's query log: `TIME [queries: info:] client [@0x..] ADDRESS#PORT [(NAME)]: [view VIEW:] query: NAME
/// CLASS TYPE FLAGS [(SERVER)] [[ECS ADDRESS/SOURCE/SCOPE]]` (BIND 9 Administrator Reference Manual).
fn bind(line: &[u8]) -> Found {
    let line = std::str::from_utf8(line).map_err(|_| "it is not UTF-8")?.trim();
    let Some((before, after)) = line.split_once("client ") else { return Ok(None) };
    let Some((client, query)) = after.split_once(": query: ") else { return Ok(None) };
    let time =
        bind_time(before).ok_or("it has no time with a year; see print-time in BIND's manual")?;
    let client = client.split_whitespace().find(|word| !word.starts_with("@0x"));
    let client = client.unwrap_or_default().trim_end_matches(':');
    let (address, port) = client.split_once('#').ok_or("it has no ADDRESS#PORT")?;
    let address: IpAddr = address.parse().map_err(|_| "it has no address that can be read")?;
    let port = port.parse().map_err(|_| "it has no port that can be read")?;
    let mut words = query.split_whitespace();
    let mut word = || words.next().ok_or("it ends too early");
    let (asked, class, kind, flags) = (word()?, word()?, word()?, word()?);
    if class != "IN" {
        return Ok(None);
    }
    let has = |flag| flags.contains(flag);
    let set = [("rd", flags.starts_with('+')), ("cd", has('C')), ("do", has('D'))];
    if !kind.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err("it has no type that can be read");
    }
    let subnet = query.split_once("[ECS ").and_then(|(_, rest)| rest.split_once(']'));
    let subnet = subnet.and_then(|(subnet, _)| subnet.rsplit_once('/')).map(|(subnet, _)| subnet);
    Ok(Some(QueryLine {
        time,
        address: address.to_canonical(),
        port: Some(port),
        transport: Some(if has('T') { QueryTransport::Tcp } else { QueryTransport::Udp }),
        seen: Seen {
            name: name(asked)?,
            record_type: Some(kind.to_owned()),
            flags: set.iter().filter(|(_, set)| *set).map(|(name, _)| (*name).to_owned()).collect(),
            edns: None,
            cookie: has('V') || has('K'),
            client_subnet: subnet.map(network).transpose()?,
            answer: None,
            data: None,
            truncated: false,
        },
    }))
}

/// The time before a line of BIND's: `26-Nov-2026 18:48:30.123`, in the server's own time, or that of RFC 3339.
fn bind_time(before: &str) -> Option<DateTime<Utc>> {
    let mut words = before.split_whitespace();
    let first = words.next()?;
    if let Ok(time) = DateTime::parse_from_rfc3339(first) {
        return Some(time.to_utc());
    }
    let plain =
        if first.contains('T') { first.to_owned() } else { format!("{first} {}", words.next()?) };
    let forms = ["%d-%b-%Y %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"];
    let time = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(&plain, form).ok());
    Some(time?.and_utc())
}

/// A line of Cloudflare's dns_logs.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CloudflareLine {
    #[serde(rename = "EDNSSubnet", default)]
    subnet: String,
    #[serde(rename = "EDNSSubnetLength", default)]
    subnet_length: u8,
    query_name: String,
    query_type: u16,
    response_code: u16,
    #[serde(rename = "SourceIP")]
    source: IpAddr,
    timestamp: CloudflareTime,
}

/// As the job is set up: by default RFC 3339, or seconds or nanoseconds of Unix.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum CloudflareTime {
    Written(DateTime<Utc>),
    Counted(i64),
}

fn cloudflare(line: &[u8]) -> Found {
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    let line: CloudflareLine =
        serde_json::from_slice(line).map_err(|_| "it is no line of the data set dns_logs")?;
    let time = match line.timestamp {
        CloudflareTime::Written(time) => time,
        CloudflareTime::Counted(count) if count > 100_000_000_000 => {
            DateTime::from_timestamp_nanos(count)
        }
        CloudflareTime::Counted(count) => {
            DateTime::from_timestamp(count, 0).ok_or("its time is out of range")?
        }
    };
    let parts = (u8::try_from(line.response_code >> 4), u8::try_from(line.response_code & 0xf));
    let (Ok(high), Ok(low)) = parts else { return Err("its code is out of range") };
    let code = ResponseCode::from(high, low);
    Ok(Some(QueryLine {
        time,
        address: line.source.to_canonical(),
        port: None,
        transport: None,
        seen: Seen {
            name: name(&line.query_name)?,
            record_type: Some(type_name(RecordType::from(line.query_type))),
            flags: Vec::new(),
            edns: None,
            cookie: false,
            client_subnet: (!line.subnet.is_empty())
                .then(|| network(&format!("{}/{}", line.subnet, line.subnet_length)))
                .transpose()?,
            answer: Some(mnemonic(code)),
            data: (code != ResponseCode::NoError).then_some(false),
            truncated: false,
        },
    }))
}

/// A record of dnstap, as far as it is read (dnstap.proto).
#[derive(Clone, PartialEq, prost::Message)]
struct Dnstap {
    #[prost(message, optional, tag = "14")]
    message: Option<Tapped>,
}

/// What was tapped: an event of a server.
#[derive(Clone, PartialEq, prost::Message)]
struct Tapped {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(int32, tag = "3")]
    socket_protocol: i32,
    #[prost(bytes = "vec", tag = "4")]
    query_address: Vec<u8>,
    #[prost(uint32, tag = "6")]
    query_port: u32,
    #[prost(uint64, tag = "8")]
    query_time_sec: u64,
    #[prost(fixed32, tag = "9")]
    query_time_nsec: u32,
    #[prost(bytes = "vec", tag = "10")]
    query_message: Vec<u8>,
    #[prost(uint64, tag = "12")]
    response_time_sec: u64,
    #[prost(fixed32, tag = "13")]
    response_time_nsec: u32,
    #[prost(bytes = "vec", tag = "14")]
    response_message: Vec<u8>,
}

/// Which query it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct QueryKey {
    address: IpAddr,
    port: u16,
    transport: QueryTransport,
    id: u16,
}

/// Queries whose answers have not come yet, the oldest first.
#[derive(Debug, Default)]
struct Pairs {
    waiting: HashMap<QueryKey, (u64, QueryLine)>,
    order: VecDeque<(u64, QueryKey)>,
    number: u64,
}

impl Pairs {
    /// Keeps a query for its answer. Returns what has waited too long, or is asked again.
    fn query(&mut self, key: QueryKey, line: QueryLine) -> Vec<QueryLine> {
        self.number += 1;
        let again = self.waiting.insert(key, (self.number, line)).map(|(_, line)| line);
        self.order.push_back((self.number, key));
        let mut out: Vec<QueryLine> = again.into_iter().collect();
        if self.order.len() > WAITING {
            out.extend(self.oldest());
        }
        out
    }

    fn oldest(&mut self) -> Option<QueryLine> {
        let (number, key) = self.order.pop_front()?;
        let (kept, _) = self.waiting.get(&key)?;
        if *kept == number { self.waiting.remove(&key).map(|(_, line)| line) } else { None }
    }

    fn answered(&mut self, key: &QueryKey) -> Option<QueryLine> {
        self.waiting.remove(key).map(|(_, line)| line)
    }

    /// Those that had no answer.
    fn rest(mut self) -> Vec<QueryLine> {
        let mut rest = Vec::new();
        while !self.order.is_empty() {
            rest.extend(self.oldest());
        }
        rest
    }
}

fn dnstap(
    mut input: impl BufRead,
    each: &mut dyn FnMut(QueryLine) -> io::Result<()>,
) -> io::Result<Imported> {
    let mut imported = Imported::default();
    let mut pairs = Pairs::default();
    let mut payload = Vec::new();
    let mut at = 0;
    loop {
        at += 1;
        match frame(&mut input, &mut payload)? {
            Frame::End => break,
            // Where the next one begins cannot be known.
            Frame::Damaged(why) => {
                imported.bad(at, "frame", why);
                break;
            }
            Frame::Control => continue,
            Frame::Data => {}
        }
        match tapped(&payload, &mut pairs) {
            Ok(Some(lines)) => {
                for line in lines {
                    imported.queries += 1;
                    each(line)?;
                }
            }
            Ok(None) => imported.others += 1,
            Err(why) => imported.bad(at, "frame", why),
        }
    }
    for line in pairs.rest() {
        imported.queries += 1;
        each(line)?;
    }
    Ok(imported)
}

/// What comes next in a stream.
enum Frame {
    /// A record.
    Data,
    /// Something of the stream itself: its beginning, its end, a handshake. Not every writer has them in its files.
    Control,
    /// Nothing more.
    End,
    /// Nothing that could be a frame.
    Damaged(&'static str),
}

/// Reads a frame (Frame Streams, github.com/farsightsec/fstrm).
fn frame(input: &mut impl BufRead, payload: &mut Vec<u8>) -> io::Result<Frame> {
    if input.fill_buf()?.is_empty() {
        return Ok(Frame::End);
    }
    let Some(mut length) = number(input)? else { return Ok(Frame::Damaged("it is cut off")) };
    let control = length == 0;
    if control {
        let Some(of_control) = number(input)? else { return Ok(Frame::Damaged("it is cut off")) };
        length = of_control;
    }
    if length > if control { CONTROL } else { FRAME } {
        return Ok(Frame::Damaged(
            "it is longer than any of dnstap; this is no stream of dnstap, or damaged",
        ));
    }
    payload.clear();
    input.take(length.into()).read_to_end(payload)?;
    if (payload.len() as u64) < u64::from(length) {
        return Ok(Frame::Damaged("it is cut off"));
    }
    if !control {
        return Ok(Frame::Data);
    }
    // The type, and then fields: the first kind of them says what the stream holds.
    match payload.get(4..).filter(|fields| fields.len() > 8) {
        Some(fields) if fields[..4] == [0, 0, 0, 1] && fields[8..] != *CONTENT => {
            Ok(Frame::Damaged("the stream holds something else than dnstap"))
        }
        _ => Ok(Frame::Control),
    }
}

fn number(input: &mut impl BufRead) -> io::Result<Option<u32>> {
    let mut bytes = [0; 4];
    match input.read_exact(&mut bytes) {
        Ok(()) => Ok(Some(u32::from_be_bytes(bytes))),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// The lines that a record completes; none where it is of no query to an authority.
fn tapped(payload: &[u8], pairs: &mut Pairs) -> Result<Option<Vec<QueryLine>>, &'static str> {
    let record = Dnstap::decode(payload).map_err(|_| "it is no record of dnstap")?;
    let Some(tapped) = record.message else { return Ok(None) };
    // AUTH_QUERY and CLIENT_QUERY, AUTH_RESPONSE and CLIENT_RESPONSE: Unbound has no other word for a zone of its own.
    let answered = match tapped.kind {
        1 | 5 => false,
        2 | 6 => true,
        _ => return Ok(None),
    };
    let address = match tapped.query_address[..] {
        [a, b, c, d] => IpAddr::from([a, b, c, d]),
        ref bytes => IpAddr::from(<[u8; 16]>::try_from(bytes).map_err(|_| "it has no address")?),
    };
    let port = u16::try_from(tapped.query_port).map_err(|_| "it has no port")?;
    // UDP, and what goes over it: DNSCrypt, QUIC.
    let by_udp = matches!(tapped.socket_protocol, 1 | 5 | 7);
    let transport = if by_udp { QueryTransport::Udp } else { QueryTransport::Tcp };
    let parse = |bytes: &[u8]| Message::from_vec(bytes).ok();
    let whole = |message: &Message| message.queries.len() == 1;
    let query = parse(&tapped.query_message).filter(whole);
    let response = if answered { parse(&tapped.response_message) } else { None };
    let Some(question) = query.as_ref().or(response.as_ref().filter(|message| whole(message)))
    else {
        return Err("it has no message that can be read");
    };
    if question.op_code != OpCode::Query {
        return Ok(None);
    }
    let (seconds, nanoseconds) = match (tapped.query_time_sec, tapped.response_time_sec) {
        (0, seconds) => (seconds, tapped.response_time_nsec),
        (seconds, _) => (seconds, tapped.query_time_nsec),
    };
    let time = i64::try_from(seconds).ok().and_then(|at| DateTime::from_timestamp(at, nanoseconds));
    let time = time.filter(|_| seconds > 0).ok_or("it has no time")?;
    let mut seen = seen(question, None, None, false);
    if question.message_type == MessageType::Response {
        // That is the server's.
        seen.edns = None;
    }
    let line = QueryLine {
        time,
        address: address.to_canonical(),
        port: Some(port),
        transport: Some(transport),
        seen,
    };
    let key = QueryKey { address, port, transport, id: question.id };
    if !answered {
        return Ok(Some(pairs.query(key, line)));
    }
    let mut line = pairs.answered(&key).unwrap_or(line);
    if let Some(response) = response {
        line.seen.answer = Some(mnemonic(response.metadata.response_code));
        line.seen.data = Some(has_data(&response, line.seen.record_type.as_deref()));
        line.seen.truncated = response.metadata.truncation;
    }
    Ok(Some(vec![line]))
}

/// Whether an answer has a record that was asked for.
fn has_data(response: &Message, kind: Option<&str>) -> bool {
    response.answers.iter().any(|record| Some(&*type_name(record.record_type())) == kind)
}

#[cfg(test)]
mod tests;
