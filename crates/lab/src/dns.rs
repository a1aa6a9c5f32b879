//! What a resolver with a given fault does with a question: pure, the time passed in. Owns the
//! misbehaviour; the sockets and the processes that it concerns are elsewhere.

use std::time::{Duration, Instant};

use hickory_proto::op::{Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{DNSClass, RData, Record, RecordType};

use crate::fault::{
    ASKS_AFTER, FREEZE_IN_QUERY, Fault, REPLAYS_AFTER, SEQUENCE_RESTARTS_AFTER, SLOW_FAILURE,
};
use crate::zone::{
    EXPECTED_ADDRESS, EXPECTED_ADDRESS_V6, FILTER_ADDRESS, OTHER_ADDRESS, PRIVATE_ADDRESS, exists,
};

/// Time to live of every answer, in seconds: short, as in a zone where no name is asked for twice.
const TTL: u32 = 30;

/// The name that libevent, tor's resolver library, asks for of its own accord to learn whether a
/// name server that failed is back (evdns.c, `nameserver_send_probe`). It is no lookup of anybody:
/// it neither counts in a sequence nor sets anything off.
const PROBE: &str = "google.com.";

/// How a question came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// By UDP.
    Udp,
    /// By TCP.
    Tcp,
}

/// What is to be done about a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Response {
    /// Answer with these bytes, after this long.
    Answer { after: Duration, bytes: Vec<u8> },
    /// Do not answer.
    Ignore,
    /// Freeze the exit for a while; do not answer.
    FreezeExit,
    /// Break the exit's links to other relays; do not answer.
    CutLinks,
    /// Ask the zone's name server the same, after this long.
    AskZone {
        after: Duration,
        /// Whether what it says is passed on.
        answer: bool,
        /// When somebody else asks it the same again.
        again: Option<Duration>,
    },
}

impl Response {
    fn after(after: Duration, message: &Message) -> Self {
        Self::Answer { after, bytes: wire(message) }
    }
}

/// What a question was, and what is to be done about it.
#[derive(Debug)]
pub(crate) struct Heard {
    /// The name in lower case, with its final dot.
    pub(crate) name: String,
    /// The type asked for.
    pub(crate) record_type: RecordType,
    pub(crate) action: Response,
}

/// One resolver's mind: its fault, and what it remembers of the questions before.
#[derive(Debug)]
pub(crate) struct Script {
    fault: Fault,
    /// The names of the sequence under way, in the order in which they first came. An exit asks
    /// again for the same name when it gets SERVFAIL or nothing, so that questions do not count.
    names: Vec<String>,
    /// The names of the sequence before: what was not answered is asked for again, seconds later.
    before: Vec<String>,
    last: Option<Instant>,
    /// When the exit was last struck.
    struck: Option<Instant>,
}

impl Script {
    pub(crate) fn new(fault: Fault) -> Self {
        Self { fault, names: Vec::new(), before: Vec::new(), last: None, struck: None }
    }

    /// Begins anew, as if nobody had ever asked.
    pub(crate) fn forget(&mut self) {
        self.before = std::mem::take(&mut self.names);
        self.last = None;
    }

    /// Until when the exit is frozen by a question.
    pub(crate) fn frozen_until(&self) -> Option<Instant> {
        let struck = self.struck.filter(|_| self.fault == Fault::FreezesInQuery);
        struck.map(|struck| struck + FREEZE_IN_QUERY)
    }

    /// What to do about these bytes; `None` where they are no question.
    pub(crate) fn hear(&mut self, bytes: &[u8], via: Transport, now: Instant) -> Option<Heard> {
        let question = Message::from_vec(bytes).ok()?;
        if question.metadata.message_type != MessageType::Query {
            return None;
        }
        let [query] = question.queries.as_slice() else { return None };
        let name = query.name().to_lowercase().to_ascii();
        let occasion = if name == PROBE { Occasion::Probe } else { self.count(&name, now) };
        let asked = Asked { question: &question, query, name: &name, ipv6: self.fault.ipv6(), via };
        let action = self.act(&asked, occasion);
        if action == Response::FreezeExit {
            self.struck = Some(now);
        }
        Some(Heard { record_type: query.query_type(), name, action })
    }

    /// Which name of the sequence this is.
    fn count(&mut self, name: &str, now: Instant) -> Occasion {
        let idle = self.last.is_none_or(|last| now - last >= SEQUENCE_RESTARTS_AFTER);
        self.last = Some(now);
        // An exit frozen for longer than the sequence lasts asks for the same name once more.
        if idle && self.names.last().is_some_and(|last| last != name) {
            self.before = std::mem::take(&mut self.names);
        }
        for sequence in [&self.names, &self.before] {
            if let Some(at) = sequence.iter().position(|known| known == name) {
                return Occasion::Again { number: at };
            }
        }
        self.names.push(name.to_owned());
        Occasion::New { number: self.names.len() - 1 }
    }

    fn act(&self, asked: &Asked<'_>, occasion: Occasion) -> Response {
        let aaaa = asked.query.query_type() == RecordType::AAAA;
        let first = occasion.number() == Some(0);
        let message = match self.fault {
            Fault::DropsAaaa if aaaa => return Response::Ignore,
            Fault::FailsAaaa if aaaa => asked.error(ResponseCode::ServFail),
            Fault::FilterPage if exists(asked.name) => asked.addresses(&[FILTER]),
            Fault::Correct
            | Fault::CorrectIpv6
            | Fault::Ipv6Policy
            | Fault::DropsAaaa
            | Fault::FailsAaaa
            | Fault::FilterPage
            | Fault::OneServerSilent
            | Fault::FamilyByKey
            // It has another.
            | Fault::Real(_)
            | Fault::ExitsNoLonger
            | Fault::Frozen
            | Fault::Dead => asked.right(),
            Fault::LosesAnswers | Fault::AsksLate | Fault::Replays => {
                let after = if self.fault == Fault::AsksLate { ASKS_AFTER } else { Duration::ZERO };
                let replays = self.fault == Fault::Replays;
                let again = replays.then_some(REPLAYS_AFTER);
                return Response::AskZone { after, answer: replays, again };
            }
            Fault::RewritesNxdomain if !exists(asked.name) => asked.addresses(&[OTHER]),
            Fault::RewritesNxdomain => asked.right(),
            Fault::OtherAddress | Fault::HijackNoticed => asked.addresses(&[OTHER]),
            Fault::PrivateAddress => asked.addresses(&[PRIVATE]),
            Fault::WrongAddressFirst => asked.addresses(&[OTHER, EXPECTED]),
            Fault::RightAddressFirst => asked.addresses(&[EXPECTED, OTHER]),
            Fault::Nxdomain => asked.error(ResponseCode::NXDomain),
            Fault::Refused => asked.error(ResponseCode::Refused),
            Fault::Empty => asked.records(&[]),
            // Given to a type A question too, as a resolver does that mixes the families up.
            Fault::AaaaOnly => asked.records(&[EXPECTED_V6]),
            Fault::Servfail => asked.error(ResponseCode::ServFail),
            Fault::Truncated if asked.via == Transport::Tcp => return Response::Ignore,
            Fault::Truncated => asked.truncated(),
            Fault::Garbage => return asked.garbage(),
            Fault::WrongId => asked.right_with_another_id(),
            Fault::SlowPath => {
                return Response::after(SLOW_FAILURE, &asked.error(ResponseCode::ServFail));
            }
            Fault::Silent => return Response::Ignore,
            Fault::Slow(after) => return Response::after(after, &asked.right()),
            Fault::BrokenThenRight if first => asked.error(ResponseCode::ServFail),
            Fault::RightThenWrong if !first && occasion != Occasion::Probe => {
                asked.addresses(&[OTHER])
            }
            Fault::BrokenThenRight | Fault::RightThenWrong => asked.right(),
            Fault::FreezesInQuery | Fault::BreaksOff | Fault::Vanishes => {
                return self.strike(asked, occasion);
            }
        };
        Response::after(Duration::ZERO, &message)
    }

    /// What a question sets off that does something to the exit itself.
    fn strike(&self, asked: &Asked<'_>, occasion: Occasion) -> Response {
        match occasion {
            Occasion::Probe => Response::after(Duration::ZERO, &asked.right()),
            // Both lookups of a scanner's first attempt.
            Occasion::New { number: 0 | 1 } | Occasion::Again { number: 0 | 1 }
                if self.fault == Fault::Vanishes =>
            {
                Response::after(Duration::ZERO, &asked.error(ResponseCode::ServFail))
            }
            // An exit that wakes up, or waits in vain, asks again: once is enough.
            Occasion::Again { .. } => Response::Ignore,
            Occasion::New { .. } if self.fault == Fault::FreezesInQuery => Response::FreezeExit,
            Occasion::New { .. } => Response::CutLinks,
        }
    }
}

/// Where a question stands in its sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Occasion {
    /// A name that has not been asked for; its number in the sequence, from 0.
    New { number: usize },
    /// A name that has.
    Again { number: usize },
    /// Not a lookup: [`PROBE`].
    Probe,
}

impl Occasion {
    const fn number(self) -> Option<usize> {
        match self {
            Self::New { number } | Self::Again { number } => Some(number),
            Self::Probe => None,
        }
    }
}

const EXPECTED: RData = RData::A(A(EXPECTED_ADDRESS));
const EXPECTED_V6: RData = RData::AAAA(AAAA(EXPECTED_ADDRESS_V6));
const OTHER: RData = RData::A(A(OTHER_ADDRESS));
const FILTER: RData = RData::A(A(FILTER_ADDRESS));
const PRIVATE: RData = RData::A(A(PRIVATE_ADDRESS));

/// A question, and what can be answered to it.
#[derive(Debug)]
struct Asked<'a> {
    question: &'a Message,
    query: &'a Query,
    /// The name in lower case, with its final dot.
    name: &'a str,
    /// Whether the zone has IPv6 addresses.
    ipv6: bool,
    via: Transport,
}

impl Asked<'_> {
    /// The answer of a resolver without fault.
    fn right(&self) -> Message {
        if !exists(self.name) {
            return self.error(ResponseCode::NXDomain);
        }
        match (self.query.query_class(), self.query.query_type()) {
            (DNSClass::IN, RecordType::A) => self.records(&[EXPECTED]),
            (DNSClass::IN, RecordType::AAAA) if self.ipv6 => self.records(&[EXPECTED_V6]),
            _ => self.records(&[]),
        }
    }

    /// The addresses of a name that has these, whatever the name: a question of another type finds
    /// nothing.
    fn addresses(&self, wrong: &[RData]) -> Message {
        let a = (self.query.query_class(), self.query.query_type());
        self.records(if a == (DNSClass::IN, RecordType::A) { wrong } else { &[] })
    }

    fn records(&self, records: &[RData]) -> Message {
        let mut message = self.error(ResponseCode::NoError);
        message.answers = records
            .iter()
            .map(|data| Record::from_rdata(self.query.name().clone(), TTL, data.clone()))
            .collect();
        message
    }

    fn error(&self, code: ResponseCode) -> Message {
        error(self.question, self.query, code)
    }

    fn truncated(&self) -> Message {
        let mut message = self.records(&[]);
        message.metadata.truncation = true;
        message
    }

    fn right_with_another_id(&self) -> Message {
        let mut message = self.right();
        message.metadata.id = !message.metadata.id;
        message
    }

    /// The question's id, and nothing that is DNS after it.
    fn garbage(&self) -> Response {
        let mut bytes = self.question.metadata.id.to_be_bytes().to_vec();
        bytes.extend([0xff; 46]);
        Response::Answer { after: Duration::ZERO, bytes }
    }
}

/// An answer without records. The question is given back letter by letter: tor's exits write names
/// in random case and refuse an answer in which that differs.
pub(crate) fn error(question: &Message, query: &Query, code: ResponseCode) -> Message {
    let mut message = Message::response(question.metadata.id, question.metadata.op_code);
    message.metadata.recursion_desired = question.metadata.recursion_desired;
    message.metadata.recursion_available = true;
    message.metadata.response_code = code;
    message.queries = vec![query.clone()];
    message
}

pub(crate) fn wire(message: &Message) -> Vec<u8> {
    message.to_vec().expect("a few short records under a name that was parsed fit in a message")
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::rr::Name;
    use proptest::prelude::*;
    use std::net::IpAddr;

    fn question(name: &str, record_type: RecordType) -> Vec<u8> {
        let mut message = Message::query();
        message.metadata.id = 0x1234;
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), record_type));
        message.to_vec().unwrap()
    }

    fn ask(script: &mut Script, name: &str, record_type: RecordType, now: Instant) -> Response {
        script.hear(&question(name, record_type), Transport::Udp, now).unwrap().action
    }

    fn answer(fault: Fault, name: &str, record_type: RecordType) -> Message {
        match ask(&mut Script::new(fault), name, record_type, start()) {
            Response::Answer { bytes, .. } => Message::from_vec(&bytes).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    fn addresses(message: &Message) -> Vec<IpAddr> {
        message.answers.iter().filter_map(|record| record.data.ip_addr()).collect()
    }

    #[expect(clippy::disallowed_methods, reason = "an Instant can be had in no other way")]
    fn start() -> Instant {
        Instant::now()
    }

    const NAME: &str = "Abc.01234567.tOr.exit.validator.1aeo.com.";
    const NO_NAME: &str = "abc.01234567.nxdomain.lab.invalid.";

    #[test]
    fn a_correct_resolver_knows_its_zone() {
        let message = answer(Fault::Correct, NAME, RecordType::A);
        assert_eq!(addresses(&message), [IpAddr::from(EXPECTED_ADDRESS)]);
        assert_eq!(message.metadata.id, 0x1234);
        assert_eq!(message.queries[0].name().to_ascii(), NAME, "the case is kept");
        let none = answer(Fault::Correct, NAME, RecordType::AAAA);
        assert_eq!(none.metadata.response_code, ResponseCode::NoError);
        assert!(none.answers.is_empty());
        let six = answer(Fault::CorrectIpv6, NAME, RecordType::AAAA);
        assert_eq!(addresses(&six), [IpAddr::from(EXPECTED_ADDRESS_V6)]);
        let missing = answer(Fault::Correct, NO_NAME, RecordType::A);
        assert_eq!(missing.metadata.response_code, ResponseCode::NXDomain);
    }

    #[test]
    fn faults_misbehave_for_every_name() {
        for name in [NAME, NO_NAME] {
            let first = |fault| addresses(&answer(fault, name, RecordType::A))[0];
            assert_eq!(first(Fault::OtherAddress), IpAddr::from(OTHER_ADDRESS));
            assert_eq!(first(Fault::PrivateAddress), IpAddr::from(PRIVATE_ADDRESS));
            assert_eq!(first(Fault::WrongAddressFirst), IpAddr::from(OTHER_ADDRESS));
            assert_eq!(first(Fault::RightAddressFirst), IpAddr::from(EXPECTED_ADDRESS));
            assert_eq!(first(Fault::AaaaOnly), IpAddr::from(EXPECTED_ADDRESS_V6));
            for (fault, code) in [
                (Fault::Nxdomain, ResponseCode::NXDomain),
                (Fault::Refused, ResponseCode::Refused),
                (Fault::Empty, ResponseCode::NoError),
                (Fault::Servfail, ResponseCode::ServFail),
            ] {
                let message = answer(fault, name, RecordType::A);
                assert_eq!(message.metadata.response_code, code);
                assert!(message.answers.is_empty());
            }
            assert!(answer(Fault::Truncated, name, RecordType::A).metadata.truncation);
            assert_ne!(answer(Fault::WrongId, name, RecordType::A).metadata.id, 0x1234);
        }
    }

    #[test]
    fn aaaa_can_fail_alone_and_a_filter_leaves_what_does_not_exist() {
        for (fault, aaaa) in
            [(Fault::DropsAaaa, None), (Fault::FailsAaaa, Some(ResponseCode::ServFail))]
        {
            assert_eq!(
                addresses(&answer(fault, NAME, RecordType::A)),
                [IpAddr::from(EXPECTED_ADDRESS)]
            );
            let code = match ask(&mut Script::new(fault), NAME, RecordType::AAAA, start()) {
                Response::Answer { bytes, .. } => {
                    Some(Message::from_vec(&bytes).unwrap().metadata.response_code)
                }
                _ => None,
            };
            assert_eq!(code, aaaa);
        }
        let page = answer(Fault::FilterPage, NAME, RecordType::A);
        assert_eq!(addresses(&page), [IpAddr::from(FILTER_ADDRESS)]);
        let none = answer(Fault::FilterPage, NO_NAME, RecordType::A);
        assert_eq!(none.metadata.response_code, ResponseCode::NXDomain);
    }

    #[test]
    fn garbage_is_no_message() {
        let mut script = Script::new(Fault::Garbage);
        let Response::Answer { bytes, .. } = ask(&mut script, NAME, RecordType::A, start()) else {
            panic!("no answer");
        };
        assert_eq!(bytes[..2], [0x12, 0x34]);
        assert!(Message::from_vec(&bytes).is_err());
    }

    #[test]
    fn a_sequence_counts_names_and_begins_anew_after_a_rest() {
        let mut script = Script::new(Fault::BrokenThenRight);
        let code =
            |script: &mut Script, name: &str, now| match ask(script, name, RecordType::A, now) {
                Response::Answer { bytes, .. } => {
                    Message::from_vec(&bytes).unwrap().metadata.response_code
                }
                other => panic!("{other:?}"),
            };
        let names = ["a", "b", "c"].map(|label| format!("{label}.tor.exit.validator.1aeo.com."));
        let at = start();
        // As long as a round of a scan, on a slow machine.
        let rest = Duration::from_secs(180);
        assert_eq!(code(&mut script, &names[0], at), ResponseCode::ServFail);
        assert_eq!(code(&mut script, &names[0].to_uppercase(), at), ResponseCode::ServFail);
        assert_eq!(code(&mut script, PROBE, at), ResponseCode::NXDomain);
        assert_eq!(code(&mut script, &names[1], at + rest), ResponseCode::NoError);
        assert_eq!(code(&mut script, &names[0], at + rest), ResponseCode::ServFail);
        let later = at + rest + SEQUENCE_RESTARTS_AFTER;
        assert_eq!(code(&mut script, &names[2], later), ResponseCode::ServFail);

        let mut script = Script::new(Fault::RightThenWrong);
        let first = |script: &mut Script, name: &str, now| {
            let Response::Answer { bytes, .. } = ask(script, name, RecordType::A, now) else {
                panic!("no answer");
            };
            addresses(&Message::from_vec(&bytes).unwrap())[0]
        };
        assert_eq!(first(&mut script, &names[0], at), IpAddr::from(EXPECTED_ADDRESS));
        assert_eq!(first(&mut script, &names[1], at), IpAddr::from(OTHER_ADDRESS));
        assert_eq!(
            first(&mut script, &names[1], at + SEQUENCE_RESTARTS_AFTER),
            IpAddr::from(OTHER_ADDRESS),
            "the last name, asked for again, belongs to its old sequence"
        );
    }

    #[test]
    fn an_exit_is_struck_once_for_each_name() {
        for (fault, blow) in
            [(Fault::FreezesInQuery, Response::FreezeExit), (Fault::BreaksOff, Response::CutLinks)]
        {
            let mut script = Script::new(fault);
            let at = start();
            assert_eq!(ask(&mut script, NAME, RecordType::A, at), blow);
            let woken = at + Duration::from_secs(15);
            assert_eq!(ask(&mut script, NAME, RecordType::A, woken), Response::Ignore);
            assert!(matches!(
                ask(&mut script, PROBE, RecordType::A, woken),
                Response::Answer { .. }
            ));
            assert_eq!(ask(&mut script, NO_NAME, RecordType::A, woken), blow);
            script.forget();
            assert_eq!(
                ask(&mut script, NO_NAME, RecordType::A, woken),
                Response::Ignore,
                "asked for again after a scan's end"
            );
        }
    }

    proptest! {
        #[test]
        fn strange_bytes_are_no_question(bytes: Vec<u8>) {
            for fault in Fault::ALL {
                let _ = Script::new(fault).hear(&bytes, Transport::Udp, start());
            }
        }
    }
}
