//! What is answered to the bytes of a query. Pure: no socket, no clock, no memory of other queries.

use std::net::IpAddr;

use hickory_proto::op::{Edns, Message, MessageType, Metadata, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_proto::rr::rdata::{A, AAAA, HINFO, NS, SOA};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use serde::{Deserialize, Serialize};

use crate::layout::{Child, Family, NAME_TTL, NamePlace, Place, ServedZone, TTL, is_of_a_scan};

/// Octets of a header (RFC 1035, section 4.1.1).
const HEADER: usize = 12;

/// Most octets of an answer by UDP to who does not say how many it takes (RFC 1035, section 2.3.4).
const PLAIN_UDP: u16 = 512;

/// Most octets of any answer by UDP: no path breaks it into pieces (DNS flag day 2020).
const MAX_UDP: u16 = 1232;

/// How a query came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QueryTransport {
    /// By UDP.
    Udp,
    /// By TCP.
    Tcp,
}

/// Who asks, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuerySource {
    /// The address. IPv4 is never written as IPv6 here.
    pub address: IpAddr,
    /// How the query came.
    pub transport: QueryTransport,
}

/// What is to be sent, and what is known of the query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneAnswer {
    /// The answer's octets.
    pub bytes: Vec<u8>,
    /// What was asked.
    pub seen: Seen,
}

/// What a query asked, and how it was answered: what the log has of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The name in the case in which it was asked; none of a query that cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The type asked for.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub record_type: Option<String>,
    /// Those of the flags that were set: `rd`, `ad`, `cd`, `do`.
    pub flags: Vec<String>,
    /// The most octets that the asker takes by UDP; none without EDNS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edns: Option<u16>,
    /// Whether a DNS cookie came along (RFC 7873).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cookie: bool,
    /// The network for which the asker asks (RFC 7871).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_subnet: Option<String>,
    /// The answer's code: `NOERROR`, `NXDOMAIN` and so on.
    pub answer: String,
    /// Whether the answer had any record that was asked for.
    pub data: bool,
    /// Whether the asker was sent away to ask by TCP.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// Whether the name has the form of a scan's names. Not in the log: the name says it.
    #[serde(skip)]
    pub of_a_scan: bool,
}

/// What is answered; `None` where nothing may be: to what is no query.
#[must_use]
pub fn respond(zone: &ServedZone, bytes: &[u8], from: QuerySource) -> Option<ZoneAnswer> {
    let head: [u8; HEADER] = bytes.get(..HEADER)?.try_into().ok()?;
    // Somebody's answer, or one that was forged to make two servers talk to each other.
    if head[2] & 0x80 != 0 {
        return None;
    }
    let op_code = OpCode::from_u8((head[2] >> 3) & 0x0f);
    let id = u16::from_be_bytes([head[0], head[1]]);
    if op_code != OpCode::Query {
        return Some(refusal(id, op_code, ResponseCode::NotImp));
    }
    match Message::from_vec(bytes) {
        Ok(question) if question.queries.len() == 1 => Some(respond_to(zone, &question, from)),
        Ok(_) | Err(_) => Some(refusal(id, op_code, ResponseCode::FormErr)),
    }
}

/// An answer to what could not be read: the header alone.
fn refusal(id: u16, op_code: OpCode, code: ResponseCode) -> ZoneAnswer {
    let message = Message::error_msg(id, op_code, code);
    let seen = Seen {
        name: None,
        record_type: None,
        flags: Vec::new(),
        edns: None,
        cookie: false,
        client_subnet: None,
        answer: mnemonic(code),
        data: false,
        truncated: false,
        of_a_scan: false,
    };
    ZoneAnswer { bytes: encode(&message), seen }
}

/// The same answer cut down to "ask by TCP", for who asks too much by UDP. It is no longer than the query.
#[must_use]
pub fn sent_to_tcp(response: &ZoneAnswer) -> Vec<u8> {
    // Nothing is dropped that was put in here: what we made can be read.
    Message::from_vec(&response.bytes).map_or_else(|_| Vec::new(), |message| encode(&cut(message)))
}

fn cut(mut message: Message) -> Message {
    message.answers.clear();
    message.authorities.clear();
    message.additionals.clear();
    message.metadata.truncation = true;
    message
}

/// The octets of a message. What we make ourselves always fits: names and counts are bounded.
fn encode(message: &Message) -> Vec<u8> {
    message.to_vec().unwrap_or_default()
}

fn respond_to(zone: &ServedZone, question: &Message, from: QuerySource) -> ZoneAnswer {
    let query = &question.queries[0];
    let mut answer = Message::new(question.id, MessageType::Response, OpCode::Query);
    answer.metadata = Metadata::response_from_request(&question.metadata);
    answer.add_query(query.clone());
    // RFC 4035, section 3.1.6.
    answer.metadata.checking_disabled = false;
    let mut room = PLAIN_UDP;
    if let Some(edns) = &question.edns {
        let mut ours = Edns::new();
        ours.set_max_payload(MAX_UDP).set_version(0).set_dnssec_ok(edns.flags().dnssec_ok);
        answer.edns = Some(ours);
        room = edns.max_payload().clamp(PLAIN_UDP, MAX_UDP);
    }
    let newer = question.edns.as_ref().is_some_and(|edns| edns.version() > 0);
    let finding =
        if newer { ZoneFinding::Code(ResponseCode::BADVERS) } else { find(zone, query, from) };
    let data = matches!(finding, ZoneFinding::Data(_));
    put(&mut answer, finding);
    let mut bytes = encode(&answer);
    if from.transport == QueryTransport::Udp && bytes.len() > usize::from(room) {
        answer = cut(answer);
        bytes = encode(&answer);
    }
    let truncated = answer.metadata.truncation;
    let answered = mnemonic(answer.metadata.response_code);
    ZoneAnswer { bytes, seen: seen(question, query, answered, data && !truncated, truncated) }
}

/// Puts what was found into the answer.
fn put(answer: &mut Message, finding: ZoneFinding) {
    let (code, authoritative) = match &finding {
        ZoneFinding::Code(code) => (*code, false),
        ZoneFinding::None { code, .. } => (*code, true),
        ZoneFinding::Referral { .. } => (ResponseCode::NoError, false),
        ZoneFinding::Data(_) | ZoneFinding::ByTcp => (ResponseCode::NoError, true),
    };
    answer.metadata.response_code = code;
    answer.metadata.authoritative = authoritative;
    match finding {
        ZoneFinding::Code(_) => {}
        ZoneFinding::Data(records) => answer.answers = records,
        ZoneFinding::None { soa, .. } => answer.authorities = vec![*soa],
        ZoneFinding::Referral { server, addresses } => {
            answer.authorities = vec![*server];
            answer.additionals = addresses;
        }
        ZoneFinding::ByTcp => answer.metadata.truncation = true,
    }
}

/// What there is for a question.
#[derive(Debug, Clone, PartialEq, Eq)]
enum ZoneFinding {
    /// Nothing but a code.
    Code(ResponseCode),
    /// These records.
    Data(Vec<Record>),
    /// No such name, or no record of that type, and how long that may be remembered (RFC 2308).
    None { code: ResponseCode, soa: Box<Record> },
    /// Others answer: by another family of addresses.
    Referral { server: Box<Record>, addresses: Vec<Record> },
    /// Ask by TCP.
    ByTcp,
}

fn find(zone: &ServedZone, query: &Query, from: QuerySource) -> ZoneFinding {
    let (name, wanted) = (query.name(), query.query_type());
    if query.query_class() != DNSClass::IN {
        return ZoneFinding::Code(ResponseCode::Refused);
    }
    // Nobody needs a copy of a zone that the documentation describes.
    if matches!(wanted, RecordType::AXFR | RecordType::IXFR) {
        return ZoneFinding::Code(ResponseCode::Refused);
    }
    let Place { apex, at, .. } = zone.place(name);
    let exists = |records| of_type(records, wanted, name, apex, zone);
    match at {
        NamePlace::Outside => ZoneFinding::Code(ResponseCode::Refused),
        // The parent's own matter (RFC 4035, section 3.1.4.1).
        NamePlace::Apex if wanted == RecordType::DS && zone.origin.zone_of(apex) => {
            none(ResponseCode::NoError, &zone.origin, zone)
        }
        NamePlace::Apex => exists(at_apex(zone, name)),
        NamePlace::Server(server) => {
            exists(server.addresses.iter().map(|ip| address(name, TTL, *ip)).collect())
        }
        NamePlace::ServerOf(family) => {
            exists(zone.addresses(family).into_iter().map(|ip| address(name, TTL, ip)).collect())
        }
        NamePlace::Child(child, apex) => in_child(zone, query, child, apex, from),
        NamePlace::Tcp if from.transport == QueryTransport::Udp => ZoneFinding::ByTcp,
        NamePlace::Tcp | NamePlace::Wildcard => exists(expected(zone, name)),
        NamePlace::Empty => exists(Vec::new()),
        NamePlace::Nowhere => none(ResponseCode::NXDomain, apex, zone),
    }
}

/// What there is in a part that is delegated.
fn in_child(
    zone: &ServedZone,
    query: &Query,
    child: Child,
    apex: bool,
    from: QuerySource,
) -> ZoneFinding {
    let (name, wanted) = (query.name(), query.query_type());
    let cut = under(zone, child.label());
    let servers = zone.addresses(child.family());
    // Without an address of that family there is no such part.
    if servers.is_empty() {
        return none(ResponseCode::NXDomain, &zone.checks, zone);
    }
    if apex && wanted == RecordType::DS {
        return none(ResponseCode::NoError, &zone.checks, zone);
    }
    let server = under(zone, child.server());
    let ns = |owner: &Name| record(owner, TTL, RData::NS(NS(server.clone())));
    if Family::of(from.address) != child.family() {
        let addresses = servers.into_iter().map(|ip| address(&server, TTL, ip)).collect();
        return ZoneFinding::Referral { server: Box::new(ns(&cut)), addresses };
    }
    let records = match (apex, child) {
        (true, _) => vec![soa(zone, name, TTL), ns(name)],
        (false, Child::Who | Child::Who6) => vec![address(name, 0, from.address)],
        (false, Child::V6) => expected(zone, name),
    };
    of_type(records, wanted, name, &cut, zone)
}

/// Those records of a name that were asked for.
fn of_type(
    records: Vec<Record>,
    wanted: RecordType,
    name: &Name,
    cut: &Name,
    zone: &ServedZone,
) -> ZoneFinding {
    if wanted == RecordType::ANY && !records.is_empty() {
        // RFC 8482, section 4.2.
        let why = RData::HINFO(HINFO::new("RFC8482".to_owned(), String::new()));
        return ZoneFinding::Data(vec![record(name, TTL, why)]);
    }
    let found: Vec<Record> =
        records.into_iter().filter(|record| record.record_type() == wanted).collect();
    if found.is_empty() {
        return none(ResponseCode::NoError, cut, zone);
    }
    ZoneFinding::Data(found)
}

fn none(code: ResponseCode, cut: &Name, zone: &ServedZone) -> ZoneFinding {
    ZoneFinding::None { code, soa: Box::new(soa(zone, cut, NAME_TTL)) }
}

/// What is at a zone's own name.
fn at_apex(zone: &ServedZone, name: &Name) -> Vec<Record> {
    let servers = zone.servers.iter();
    let servers = servers.map(|server| record(name, TTL, RData::NS(NS(server.name.clone()))));
    servers.chain([soa(zone, name, TTL)]).collect()
}

/// What the names of a scan resolve to.
fn expected(zone: &ServedZone, name: &Name) -> Vec<Record> {
    zone.expected.iter().map(|ip| address(name, NAME_TTL, *ip)).collect()
}

/// The start of authority. Its serial never changes: nothing is copied, and what is answered follows from
/// the name. The times are those of RFC 1912, section 2.2.
fn soa(zone: &ServedZone, owner: &Name, ttl: u32) -> Record {
    let server = zone.servers[0].name.clone();
    let data = SOA::new(server, zone.hostmaster.clone(), 1, 7200, 3600, 1_209_600, NAME_TTL);
    record(owner, ttl, RData::SOA(data))
}

fn address(owner: &Name, ttl: u32, address: IpAddr) -> Record {
    let data = match address {
        IpAddr::V4(v4) => RData::A(A(v4)),
        IpAddr::V6(v6) => RData::AAAA(AAAA(v6)),
    };
    record(owner, ttl, data)
}

fn record(owner: &Name, ttl: u32, data: RData) -> Record {
    Record::from_rdata(owner.clone(), ttl, data)
}

/// A name directly under the checks zone's.
fn under(zone: &ServedZone, label: &str) -> Name {
    zone.checks.prepend_label(label).unwrap_or_else(|_| zone.checks.clone())
}

fn seen(question: &Message, query: &Query, answer: String, data: bool, truncated: bool) -> Seen {
    let edns = question.edns.as_ref();
    let option = |code| edns.and_then(|edns| edns.option(code));
    let flags = [
        ("rd", question.metadata.recursion_desired),
        ("ad", question.metadata.authentic_data),
        ("cd", question.metadata.checking_disabled),
        ("do", edns.is_some_and(|edns| edns.flags().dnssec_ok)),
    ];
    let client_subnet = match option(EdnsCode::Subnet) {
        Some(EdnsOption::Subnet(subnet)) => {
            Some(format!("{}/{}", subnet.addr(), subnet.source_prefix()))
        }
        _ => None,
    };
    Seen {
        name: Some(query.name().to_ascii()),
        record_type: Some(query.query_type().to_string()),
        flags: flags.iter().filter(|(_, set)| *set).map(|(name, _)| (*name).to_owned()).collect(),
        edns: edns.map(Edns::max_payload),
        cookie: option(EdnsCode::Cookie).is_some(),
        client_subnet,
        answer,
        data,
        truncated,
        of_a_scan: is_of_a_scan(query.name()),
    }
}

/// What a code is called (IANA, DNS RCODEs).
fn mnemonic(code: ResponseCode) -> String {
    match code {
        ResponseCode::NoError => "NOERROR".to_owned(),
        ResponseCode::FormErr => "FORMERR".to_owned(),
        ResponseCode::NXDomain => "NXDOMAIN".to_owned(),
        ResponseCode::NotImp => "NOTIMP".to_owned(),
        ResponseCode::Refused => "REFUSED".to_owned(),
        ResponseCode::BADVERS => "BADVERS".to_owned(),
        other => u16::from(other).to_string(),
    }
}

#[cfg(test)]
mod tests;
