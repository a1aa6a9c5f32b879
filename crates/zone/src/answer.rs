//! What is answered to the bytes of a query. Pure: no socket, no clock, no memory of other queries but signatures.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use hickory_proto::op::{Edns, Message, MessageType, Metadata, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_proto::rr::rdata::{A, AAAA, NS, SOA};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use serde::{Deserialize, Serialize};

use crate::layout::{
    Child, Family, NAME_TTL, NamePlace, Place, ServedZone, TTL, is_of_a_scan, labels,
};
use crate::sign::{NXNAME, Seal, ZoneSigner, proof};

/// Octets of a header (RFC 1035, section 4.1.1).
const HEADER: usize = 12;

/// Most octets of an answer by UDP to who does not say how many it takes (RFC 1035, section 2.3.4).
const PLAIN_UDP: u16 = 512;

/// Most octets of any answer by UDP: no path breaks it into pieces (DNS flag day 2020).
const MAX_UDP: u16 = 1232;

/// So many times as long as its query an answer by UDP may be. Those without signatures are at most four times as
/// long.
const FACTOR: usize = 10;

/// The asker takes NXDOMAIN where one record proves it (RFC 9824, section 5.1): the second bit of EDNS's flags.
const COMPACT_ANSWERS_OK: u16 = 0x4000;

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

/// What answers.
#[derive(Debug, Clone, Copy)]
pub struct Answerer<'a> {
    /// Both zones.
    pub zone: &'a ServedZone,
    /// What signs the checks zone, if there is a key for it.
    pub signer: Option<&'a ZoneSigner>,
    /// The time, for signatures.
    pub now: DateTime<Utc>,
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
    /// The answer's code: `NOERROR`, `NXDOMAIN` and so on; none where another server's log does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// Whether the answer had any record that was asked for; none where another server's log does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<bool>,
    /// Whether the asker was sent away to ask by TCP.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

/// A query that gets an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneQuery {
    /// Its octets.
    length: usize,
    id: u16,
    op_code: OpCode,
    /// What it asks, or the code of the answer to what cannot be read, or is nothing for us.
    message: Result<Box<Message>, ResponseCode>,
    /// Whether the name has the form of a scan's names.
    pub of_a_scan: bool,
}

impl ZoneQuery {
    /// Reads a query; `None` of what gets no answer, as it is no query.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let head: [u8; HEADER] = bytes.get(..HEADER)?.try_into().ok()?;
        // Somebody's answer, or one that was forged to make two servers talk to each other.
        if head[2] & 0x80 != 0 {
            return None;
        }
        let op_code = OpCode::from_u8((head[2] >> 3) & 0x0f);
        let message =
            if op_code == OpCode::Query { asks(bytes) } else { Err(ResponseCode::NotImp) };
        let of_a_scan = message.as_ref().is_ok_and(|asked| is_of_a_scan(asked.queries[0].name()));
        let id = u16::from_be_bytes([head[0], head[1]]);
        Some(Self { length: bytes.len(), id, op_code, message, of_a_scan })
    }

    /// The answer.
    #[must_use]
    pub fn answer(&self, answerer: Answerer<'_>, from: QuerySource) -> ZoneAnswer {
        let question = match &self.message {
            Ok(question) => question,
            Err(code) => return self.refusal(*code),
        };
        let (mut answer, room) = begin(question);
        let newer = question.edns.as_ref().is_some_and(|edns| edns.version() > 0);
        let data = if newer {
            answer.metadata.response_code = ResponseCode::BADVERS;
            false
        } else {
            let (finding, signed) = find(answerer, &question.queries[0], from);
            let data = matches!(finding, ZoneFinding::Data(_));
            put(&mut answer, finding);
            match answerer.signer {
                Some(signer) if signed => seal(answerer, signer, question, &mut answer, from),
                _ => {}
            }
            data
        };
        let mut bytes = encode(&answer);
        if from.transport == QueryTransport::Udp
            && bytes.len() > usize::from(room).min(self.length * FACTOR)
        {
            cut(&mut answer);
            bytes = encode(&answer);
        }
        let truncated = answer.metadata.truncation;
        let answered = Some(mnemonic(answer.metadata.response_code));
        let data = Some(data && !truncated);
        ZoneAnswer { bytes, seen: seen(question, answered, data, truncated) }
    }

    /// An answer that says no more than "ask by TCP", for who asks too much by UDP. It is no longer than the query.
    #[must_use]
    pub fn sent_to_tcp(&self) -> ZoneAnswer {
        let question = match &self.message {
            Ok(question) => question,
            Err(code) => return self.refusal(*code),
        };
        let (mut answer, _) = begin(question);
        cut(&mut answer);
        let bytes = encode(&answer);
        let answered = Some(mnemonic(ResponseCode::NoError));
        ZoneAnswer { bytes, seen: seen(question, answered, Some(false), true) }
    }

    /// An answer to what could not be read: the header alone.
    fn refusal(&self, code: ResponseCode) -> ZoneAnswer {
        let message = Message::error_msg(self.id, self.op_code, code);
        let seen = Seen {
            name: None,
            record_type: None,
            flags: Vec::new(),
            edns: None,
            cookie: false,
            client_subnet: None,
            answer: Some(mnemonic(code)),
            data: Some(false),
            truncated: false,
        };
        ZoneAnswer { bytes: encode(&message), seen }
    }
}

/// What a query asks: one question, by a type that may be asked for.
fn asks(bytes: &[u8]) -> Result<Box<Message>, ResponseCode> {
    match Message::from_vec(bytes) {
        // That type is in proofs alone (RFC 9824, section 3.5).
        Ok(message) if message.queries.len() == 1 && message.queries[0].query_type() != NXNAME => {
            Ok(Box::new(message))
        }
        Ok(_) | Err(_) => Err(ResponseCode::FormErr),
    }
}

fn cut(message: &mut Message) {
    message.answers.clear();
    message.authorities.clear();
    message.additionals.clear();
    message.metadata.truncation = true;
}

/// The octets of a message. What we make ourselves always fits: names and counts are bounded.
fn encode(message: &Message) -> Vec<u8> {
    message.to_vec().unwrap_or_default()
}

/// An answer without anything in it, and how long it may be by UDP.
fn begin(question: &Message) -> (Message, u16) {
    let mut answer = Message::new(question.id, MessageType::Response, OpCode::Query);
    answer.metadata = Metadata::response_from_request(&question.metadata);
    answer.queries.clone_from(&question.queries);
    // RFC 4035, section 3.1.6.
    answer.metadata.checking_disabled = false;
    let Some(edns) = &question.edns else { return (answer, PLAIN_UDP) };
    let mut ours = Edns::new();
    ours.set_max_payload(MAX_UDP).set_version(0).set_dnssec_ok(edns.flags().dnssec_ok);
    answer.edns = Some(ours);
    (answer, edns.max_payload().clamp(PLAIN_UDP, MAX_UDP))
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
        ZoneFinding::None { soa, proof, .. } => {
            answer.authorities = [*soa].into_iter().chain(proof).collect();
        }
        ZoneFinding::Referral { server, proof, addresses } => {
            answer.authorities = [*server].into_iter().chain(proof).collect();
            answer.additionals = addresses;
        }
        ZoneFinding::ByTcp => answer.metadata.truncation = true,
    }
}

/// Signs an answer of the checks zone for who wants that, and takes the proofs out for who does not.
fn seal(
    answerer: Answerer<'_>,
    signer: &ZoneSigner,
    question: &Message,
    answer: &mut Message,
    from: QuerySource,
) {
    let flags = question.edns.as_ref().map(Edns::flags);
    if !flags.is_some_and(|flags| flags.dnssec_ok) {
        answer.authorities.retain(|record| record.record_type() != RecordType::NSEC);
        return;
    }
    if let Some(edns) = &mut answer.edns
        && flags.is_some_and(|flags| flags.z & COMPACT_ANSWERS_OK != 0)
    {
        edns.flags_mut().z |= COMPACT_ANSWERS_OK;
    } else if answer.metadata.response_code == ResponseCode::NXDomain {
        // The proof says it (RFC 9824, section 3.1).
        answer.metadata.response_code = ResponseCode::NoError;
    }
    let Place { apex, at, .. } = answerer.zone.place(question.queries[0].name());
    let how = |records: &[Record]| {
        let below = labels(&records[0].name) - labels(apex);
        match at {
            _ if below == 0 => Seal::Kept,
            NamePlace::Sealed { broken: true } => Seal::Broken,
            NamePlace::Nowhere => Seal::Fresh,
            _ if below == 1 => Seal::Kept,
            _ => Seal::Fresh,
        }
    };
    let mut fresh = false;
    let mut failed = false;
    let now = answerer.now;
    let mut sign = |records: &mut Vec<Record>| {
        let mut done = Vec::with_capacity(records.len() * 2);
        for set in records.chunk_by(|one, other| one.record_type() == other.record_type()) {
            done.extend_from_slice(set);
            // What a delegation points to is not ours to sign (RFC 4035, section 2.2).
            if set[0].record_type() == RecordType::NS && set[0].name != *apex {
                continue;
            }
            let how = how(set);
            if how != Seal::Kept && !fresh {
                fresh = true;
                if from.transport == QueryTransport::Udp && !signer.has_time(now) {
                    return None;
                }
            }
            match signer.sign(set, how, now) {
                Some(signature) => done.push(signature),
                None => failed = true,
            }
        }
        *records = done;
        Some(())
    };
    if sign(&mut answer.answers).and_then(|()| sign(&mut answer.authorities)).is_none() {
        cut(answer);
    } else if failed {
        answer.answers.clear();
        answer.authorities.clear();
        answer.metadata.response_code = ResponseCode::ServFail;
    }
}

/// What there is for a question.
#[derive(Debug, Clone, PartialEq, Eq)]
enum ZoneFinding {
    /// Nothing but a code.
    Code(ResponseCode),
    /// These records, of one name and type.
    Data(Vec<Record>),
    /// No such name, or no record of that type, how long that may be remembered (RFC 2308), and what proves it.
    None { code: ResponseCode, soa: Box<Record>, proof: Option<Record> },
    /// Others answer: by another family of addresses.
    Referral { server: Box<Record>, proof: Option<Record>, addresses: Vec<Record> },
    /// Ask by TCP.
    ByTcp,
}

/// What there is, and whether it is in the checks zone itself, which is signed if there is a key.
fn find(answerer: Answerer<'_>, query: &Query, from: QuerySource) -> (ZoneFinding, bool) {
    let Answerer { zone, signer, .. } = answerer;
    let (name, wanted) = (query.name(), query.query_type());
    let place = zone.place(name);
    let signed = signer.is_some() && *place.apex == zone.checks;
    let refused = (ZoneFinding::Code(ResponseCode::Refused), false);
    // Nobody needs a copy of a zone that the documentation describes, and signatures come with what they are of.
    if query.query_class() != DNSClass::IN
        || matches!(wanted, RecordType::AXFR | RecordType::IXFR)
        || signed && wanted == RecordType::RRSIG
    {
        return refused;
    }
    let ask = Question { zone, name, wanted, cut: place.apex, signed };
    let finding = match place.at {
        NamePlace::Outside => return refused,
        // The parent's own matter (RFC 4035, section 3.1.4.1).
        NamePlace::Apex if wanted == RecordType::DS && zone.origin.zone_of(place.apex) => {
            let ask = Question { cut: &zone.origin, signed: false, ..ask };
            return (ask.of_type(at_apex(zone, name)), false);
        }
        NamePlace::Apex => {
            let key = signer.filter(|_| signed).map(|signer| signer.key(name));
            ask.of_type(at_apex(zone, name).into_iter().chain(key).collect())
        }
        NamePlace::Server(server) => ask.addresses(&server.addresses),
        NamePlace::ServerOf(family) => {
            ask.addresses(&zone.addresses(family).into_iter().collect::<Vec<_>>())
        }
        NamePlace::Child(child, apex) => return ask.in_child(child, apex, from),
        NamePlace::Tcp if from.transport == QueryTransport::Udp => ZoneFinding::ByTcp,
        NamePlace::Sealed { .. } if !signed => ask.nothing(ResponseCode::NXDomain, &[]),
        NamePlace::Sealed { .. } | NamePlace::Tcp | NamePlace::Wildcard => {
            ask.of_type(expected(zone, name))
        }
        NamePlace::Empty => ask.of_type(Vec::new()),
        NamePlace::Nowhere => ask.nothing(ResponseCode::NXDomain, &[]),
    };
    (finding, signed)
}

/// A question to one of the zones.
#[derive(Debug, Clone, Copy)]
struct Question<'a> {
    zone: &'a ServedZone,
    name: &'a Name,
    wanted: RecordType,
    /// The name of that zone.
    cut: &'a Name,
    /// Whether it is signed.
    signed: bool,
}

impl Question<'_> {
    /// What there is in a part that is delegated.
    fn in_child(self, child: Child, apex: bool, from: QuerySource) -> (ZoneFinding, bool) {
        let Self { zone, name, wanted, signed, .. } = self;
        let cut = under(zone, child.label());
        let servers = zone.addresses(child.family());
        // Without an address of that family there is no such part.
        if servers.is_empty() {
            return (self.nothing(ResponseCode::NXDomain, &[]), signed);
        }
        if apex && matches!(wanted, RecordType::DS | RecordType::NSEC) {
            return (self.nothing(ResponseCode::NoError, &[RecordType::NS]), signed);
        }
        let server = under(zone, child.server());
        let ns = |owner: &Name| record(owner, TTL, RData::NS(NS(server.clone())));
        if Family::of(from.address) != child.family() {
            let addresses = servers.into_iter().map(|ip| address(&server, TTL, ip)).collect();
            let proof = if signed { proof(&cut, &[RecordType::NS]) } else { None };
            let referral = ZoneFinding::Referral { server: Box::new(ns(&cut)), proof, addresses };
            return (referral, signed);
        }
        let records = match (apex, child) {
            (true, _) => vec![ns(name), soa(zone, name, TTL)],
            (false, Child::Who | Child::Who6) => vec![address(name, 0, from.address)],
            (false, Child::V6) => expected(zone, name),
        };
        (Question { cut: &cut, signed: false, ..self }.of_type(records), false)
    }

    fn addresses(self, addresses: &[IpAddr]) -> ZoneFinding {
        self.of_type(addresses.iter().map(|ip| address(self.name, TTL, *ip)).collect())
    }

    /// Those records of a name that were asked for.
    fn of_type(self, records: Vec<Record>) -> ZoneFinding {
        let types: Vec<RecordType> = records.iter().map(Record::record_type).collect();
        let wanted = match (self.wanted, types.first()) {
            // Those of one type are enough (RFC 8482, section 4.1).
            (RecordType::ANY, Some(first)) => *first,
            (wanted, _) => wanted,
        };
        let found: Vec<Record> =
            records.into_iter().filter(|record| record.record_type() == wanted).collect();
        if found.is_empty() {
            return self.nothing(ResponseCode::NoError, &types);
        }
        ZoneFinding::Data(found)
    }

    /// No such name, or nothing of that type beside what there is.
    fn nothing(self, code: ResponseCode, types: &[RecordType]) -> ZoneFinding {
        let soa = Box::new(soa(self.zone, self.cut, NAME_TTL));
        if !self.signed {
            return ZoneFinding::None { code, soa, proof: None };
        }
        let types = if code == ResponseCode::NXDomain { &[NXNAME] } else { types };
        let Some(proof) = proof(self.name, types) else {
            return ZoneFinding::Code(ResponseCode::ServFail);
        };
        if self.wanted == RecordType::NSEC {
            return ZoneFinding::Data(vec![proof]);
        }
        ZoneFinding::None { code, soa, proof: Some(proof) }
    }
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

/// What a message asks, which has one question.
pub(crate) fn seen(
    question: &Message,
    answer: Option<String>,
    data: Option<bool>,
    truncated: bool,
) -> Seen {
    let query = &question.queries[0];
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
        record_type: Some(type_name(query.query_type())),
        flags: flags.iter().filter(|(_, set)| *set).map(|(name, _)| (*name).to_owned()).collect(),
        edns: edns.map(Edns::max_payload),
        cookie: option(EdnsCode::Cookie).is_some(),
        client_subnet,
        answer,
        data,
        truncated,
    }
}

/// What a type is called; one without a name as in RFC 3597, section 5.
pub(crate) fn type_name(kind: RecordType) -> String {
    match kind {
        RecordType::Unknown(number) => format!("TYPE{number}"),
        named => named.to_string(),
    }
}

/// What a code is called (IANA, DNS RCODEs).
pub(crate) fn mnemonic(code: ResponseCode) -> String {
    match code {
        ResponseCode::NoError => "NOERROR".to_owned(),
        ResponseCode::FormErr => "FORMERR".to_owned(),
        ResponseCode::ServFail => "SERVFAIL".to_owned(),
        ResponseCode::NXDomain => "NXDOMAIN".to_owned(),
        ResponseCode::NotImp => "NOTIMP".to_owned(),
        ResponseCode::Refused => "REFUSED".to_owned(),
        ResponseCode::BADVERS => "BADVERS".to_owned(),
        other => u16::from(other).to_string(),
    }
}

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod tests;
