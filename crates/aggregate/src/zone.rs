//! The check of our own zone: one fresh name, asked directly and not through Tor. Owns that
//! question and the judgement of its answer; what a failure means for the report is the gate's.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use record::{Mode, ZoneCheck};

/// How long to wait for one answer.
const TIMEOUT: Duration = Duration::from_secs(3);

/// How often each server is asked.
const TRIES: u32 = 2;

/// Packets that are not the answer, before a try is given up: stray or forged ones.
const STRAY_PACKETS: u32 = 16;

/// Room for an answer over UDP without EDNS (RFC 1035, section 4.2.1), and to spare.
const PACKET: usize = 4096;

/// What the answer must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expectation {
    /// This address, and no other (wildcard mode).
    Address(IpAddr),
    /// Any definite answer: the name does not exist, or an address (nxdomain mode).
    Definite,
}

impl Expectation {
    /// What a run of this mode expects; `None` of a wildcard run without an address.
    #[must_use]
    pub fn of(mode: Mode, expected_ip: Option<IpAddr>) -> Option<Self> {
        match mode {
            Mode::Wildcard => expected_ip.map(Self::Address),
            Mode::Nxdomain => Some(Self::Definite),
        }
    }

    fn record_type(self) -> RecordType {
        match self {
            Self::Address(IpAddr::V6(_)) => RecordType::AAAA,
            Self::Address(IpAddr::V4(_)) | Self::Definite => RecordType::A,
        }
    }
}

/// The name to ask for: fresh, so that no cache has it.
#[must_use]
pub fn fresh_name(random: u128, domain: &str) -> String {
    format!("{random:032x}.zonecheck.{}", domain.trim_end_matches('.'))
}

/// Asks the servers in their order, each twice, until one gives an answer that can be
/// judged. A server that does not answer, or that fails itself, says nothing of the zone as long
/// as another one answers.
#[must_use]
pub fn check(servers: &[SocketAddr], name: &str, id: u16, expectation: Expectation) -> ZoneCheck {
    let question = match question(name, id, expectation) {
        Ok(question) => question,
        Err(error) => {
            return ZoneCheck {
                ok: false,
                answered: false,
                servers: Vec::new(),
                error: Some(error),
            };
        }
    };
    let mut errors = Vec::new();
    for server in servers {
        for _ in 0..TRIES {
            match ask(*server, &question, expectation) {
                Ok(()) => {
                    let servers = vec![server.to_string()];
                    return ZoneCheck { ok: true, answered: true, servers, error: None };
                }
                Err(ZoneFault::Answer(error)) => {
                    let servers = vec![server.to_string()];
                    return ZoneCheck { ok: false, answered: true, servers, error: Some(error) };
                }
                Err(ZoneFault::Server(error)) => errors.push(format!("{server}: {error}")),
            }
        }
    }
    errors.dedup();
    if errors.is_empty() {
        errors.push("there is no DNS server to ask: /etc/resolv.conf names none".to_owned());
    }
    ZoneCheck {
        ok: false,
        answered: false,
        servers: servers.iter().map(ToString::to_string).collect(),
        error: Some(errors.join("; ")),
    }
}

/// Why a try did not show the zone to be well.
#[derive(Debug, PartialEq, Eq)]
enum ZoneFault {
    /// The server did not answer, or could not.
    Server(String),
    /// The zone's answer is wrong.
    Answer(String),
}

fn question(name: &str, id: u16, expectation: Expectation) -> Result<Message, String> {
    let name = Name::from_ascii(name).map_err(|error| format!("{name:?} is no name: {error}"))?;
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name, expectation.record_type()));
    Ok(message)
}

fn ask(server: SocketAddr, question: &Message, expectation: Expectation) -> Result<(), ZoneFault> {
    let fault = |error: io::Error| match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            ZoneFault::Server(format!("no answer within {} s", TIMEOUT.as_secs()))
        }
        _ => ZoneFault::Server(error.to_string()),
    };
    let bytes = question.to_vec().map_err(|error| ZoneFault::Server(error.to_string()))?;
    let local: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((local, 0)).map_err(fault)?;
    // Connected: the system drops what comes from elsewhere.
    socket.connect(server).map_err(fault)?;
    socket.set_read_timeout(Some(TIMEOUT)).map_err(fault)?;
    socket.send(&bytes).map_err(fault)?;
    let mut packet = [0; PACKET];
    for _ in 0..STRAY_PACKETS {
        let length = socket.recv(&mut packet).map_err(fault)?;
        if let Some(answer) = judge(&packet[..length], question, expectation) {
            return answer;
        }
    }
    Err(ZoneFault::Server(format!("{STRAY_PACKETS} packets that are no answer")))
}

/// What a packet says; `None` of one that is not the answer to the question.
fn judge(
    packet: &[u8],
    question: &Message,
    expectation: Expectation,
) -> Option<Result<(), ZoneFault>> {
    let message = Message::from_vec(packet).ok()?;
    let asked = question.queries.first()?;
    let echoed = message.queries.first()?;
    if message.metadata.message_type != MessageType::Response
        || message.metadata.id != question.metadata.id
        || echoed.query_type != asked.query_type
        || !echoed.name.eq_ignore_root_case(&asked.name)
    {
        return None;
    }
    let addresses: BTreeSet<IpAddr> = message
        .answers
        .iter()
        .filter_map(|answer| match &answer.data {
            RData::A(address) => Some(IpAddr::V4(address.0)),
            RData::AAAA(address) => Some(IpAddr::V6(address.0)),
            _ => None,
        })
        .collect();
    let seen = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let code = message.metadata.response_code;
    Some(match (expectation, code) {
        (Expectation::Address(expected), ResponseCode::NoError) => {
            if addresses == BTreeSet::from([expected]) {
                Ok(())
            } else if addresses.is_empty() {
                Err(ZoneFault::Answer(format!("no address came, where {expected} was expected")))
            } else {
                Err(ZoneFault::Answer(format!("{seen} came, where {expected} was expected")))
            }
        }
        (Expectation::Definite, ResponseCode::NXDomain) => Ok(()),
        (Expectation::Definite, ResponseCode::NoError) if !addresses.is_empty() => Ok(()),
        (Expectation::Definite, ResponseCode::NoError) => {
            Err(ZoneFault::Answer("neither an address nor NXDOMAIN came".to_owned()))
        }
        (Expectation::Address(_), ResponseCode::NXDomain) => {
            Err(ZoneFault::Answer("the name does not exist".to_owned()))
        }
        // The server's own trouble, or a zone whose servers it cannot reach: another may tell.
        (_, code) => Err(ZoneFault::Server(format!("it answered {code}"))),
    })
}

/// The name servers in a resolv.conf(5), on port 53.
///
/// # Errors
///
/// The system's error of reading it.
pub fn system_servers(resolv_conf: &Path) -> io::Result<Vec<SocketAddr>> {
    Ok(servers_in(&fs::read_to_string(resolv_conf)?))
}

fn servers_in(text: &str) -> Vec<SocketAddr> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            (words.next()? == "nameserver").then_some(())?;
            let address: IpAddr = words.next()?.parse().ok()?;
            Some(SocketAddr::new(address, 53))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::rr::{Record, rdata};
    use proptest::prelude::*;

    const EXPECTED: IpAddr = IpAddr::V4(Ipv4Addr::new(64, 65, 4, 1));

    /// A server on loopback that answers so many questions as `respond` says.
    fn serve(
        questions: usize,
        respond: impl Fn(Message) -> Vec<Message> + Send + 'static,
    ) -> (SocketAddr, std::thread::JoinHandle<()>) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            for _ in 0..questions {
                let mut packet = [0; PACKET];
                let (length, from) = socket.recv_from(&mut packet).unwrap();
                for answer in respond(Message::from_vec(&packet[..length]).unwrap()) {
                    socket.send_to(&answer.to_vec().unwrap(), from).unwrap();
                }
            }
        });
        (address, server)
    }

    fn answer(question: &Message, code: ResponseCode, addresses: &[Ipv4Addr]) -> Message {
        let mut message = Message::response(question.metadata.id, OpCode::Query);
        message.metadata.response_code = code;
        message.add_queries(question.queries.clone());
        for address in addresses {
            let name = question.queries[0].name.clone();
            message.add_answer(Record::from_rdata(name, 60, RData::A(rdata::A(*address))));
        }
        message
    }

    fn outcome(
        expectation: Expectation,
        questions: usize,
        respond: impl Fn(Message) -> Vec<Message> + Send + 'static,
    ) -> ZoneCheck {
        let (address, server) = serve(questions, respond);
        let result = check(&[address], &fresh_name(7, "example.org"), 4711, expectation);
        server.join().unwrap();
        result
    }

    #[test]
    fn a_zone_that_is_well_and_others() {
        let right = [Ipv4Addr::new(64, 65, 4, 1)];
        let other = [Ipv4Addr::new(192, 0, 2, 9)];
        let address = Expectation::Address(EXPECTED);
        let no = ResponseCode::NoError;
        let nx = ResponseCode::NXDomain;
        assert!(outcome(address, 1, move |q| vec![answer(&q, no, &right)]).ok);
        assert!(outcome(Expectation::Definite, 1, move |q| vec![answer(&q, nx, &[])]).ok);
        assert!(outcome(Expectation::Definite, 1, move |q| vec![answer(&q, no, &other)]).ok);
        let long = fresh_name(1, &"a".repeat(70));
        let not_well = [
            outcome(address, 1, move |q| vec![answer(&q, no, &other)]),
            outcome(address, 1, move |q| vec![answer(&q, no, &[])]),
            outcome(address, 1, move |q| vec![answer(&q, nx, &[])]),
            outcome(Expectation::Definite, 1, move |q| vec![answer(&q, no, &[])]),
            // Asked twice.
            outcome(address, 2, |q| vec![answer(&q, ResponseCode::ServFail, &[])]),
            check(&[], "a.example.org", 1, address),
            check(&[], &long, 1, address),
        ];
        let said = not_well.map(|found| {
            assert!(!found.ok);
            let server = found.servers.first().map_or("no server", String::as_str);
            found.error.unwrap().replace(server, "SERVER")
        });
        insta::assert_snapshot!(said.join("\n"));
    }

    #[test]
    fn forged_packets_are_passed_over_and_a_second_server_is_asked() {
        let right = [Ipv4Addr::new(64, 65, 4, 1)];
        let address = Expectation::Address(EXPECTED);
        let found = outcome(address, 1, move |q| {
            let mut forged = answer(&q, ResponseCode::NXDomain, &[]);
            forged.metadata.id = q.metadata.id.wrapping_add(1);
            let mut other = answer(&q, ResponseCode::NXDomain, &[]);
            other.queries[0].name = Name::from_ascii("other.example.org").unwrap();
            vec![forged, other, answer(&q, ResponseCode::NoError, &right)]
        });
        assert!(found.ok, "{found:?}");

        let (broken, first) = serve(2, |q| vec![answer(&q, ResponseCode::Refused, &[])]);
        let (well, second) = serve(1, move |q| vec![answer(&q, ResponseCode::NoError, &right)]);
        let found = check(&[broken, well], &fresh_name(8, "example.org."), 1, address);
        first.join().unwrap();
        second.join().unwrap();
        assert_eq!(
            found,
            ZoneCheck { ok: true, answered: true, servers: vec![well.to_string()], error: None }
        );
    }

    #[test]
    fn resolv_conf() {
        let text = "# comment\nsearch example.org\nnameserver 192.0.2.1\nnameserver  2001:db8::1 # x\nnameserver\nnameserver x\n";
        let servers = servers_in(text);
        assert_eq!(servers, ["192.0.2.1:53".parse().unwrap(), "[2001:db8::1]:53".parse().unwrap()]);
    }

    proptest! {
        #[test]
        fn never_panics(packet: Vec<u8>) {
            let asked = question("a.example.org", 1, Expectation::Definite).unwrap();
            let _ = judge(&packet, &asked, Expectation::Definite);
        }
    }
}
