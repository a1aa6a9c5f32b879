//! What is answered, by table and by property.

use hickory_proto::dnssec::rdata::DNSSECRData;
use hickory_proto::dnssec::{PublicKey as _, TBS};
use hickory_proto::rr::rdata::opt::ClientSubnet;
use proptest::prelude::*;
use std::sync::LazyLock;

use super::*;
use crate::layout::ZoneSettings;
use crate::layout::tests::{example, settings, wire};
use crate::sign::tests::signer;

pub(super) const V4: &str = "192.0.2.99";
pub(super) const V6: &str = "2001:db8:9::99";

pub(super) fn asker(address: &str, transport: QueryTransport) -> QuerySource {
    QuerySource { address: address.parse().unwrap(), transport }
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600, 0).unwrap()
}

/// The answer of a zone without a key.
fn respond(zone: &ServedZone, bytes: &[u8], from: QuerySource) -> Option<ZoneAnswer> {
    let answerer = Answerer { zone, signer: None, now: now() };
    Some(ZoneQuery::read(bytes)?.answer(answerer, from))
}

pub(super) fn question(name: &str, record_type: RecordType) -> Message {
    let mut message = Message::new(4711, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(wire(name), record_type));
    message
}

pub(super) fn asked(question: &Message, from: QuerySource) -> (Message, Seen) {
    let response = respond(&example(), &question.to_vec().unwrap(), from).unwrap();
    (Message::from_vec(&response.bytes).unwrap(), response.seen)
}

/// An answer in one line: the code, AA and TC, then the sections.
fn line(message: &Message) -> String {
    let section = |records: &[Record]| {
        let shown = records.iter().map(|record| {
            let name = record.name.to_ascii();
            format!("{name} {} {} {}", record.ttl, record.record_type(), record.data)
        });
        shown.collect::<Vec<_>>().join(", ")
    };
    let mut text = mnemonic(message.metadata.response_code);
    for (flag, set) in
        [(" aa", message.metadata.authoritative), (" tc", message.metadata.truncation)]
    {
        text.push_str(if set { flag } else { "" });
    }
    for records in [&message.answers, &message.authorities, &message.additionals] {
        text = format!("{text} | {}", section(records)).trim_end().to_owned();
    }
    text
}

/// A row of the table: a name, a type, how it is asked, and the answer.
type Row = (&'static str, RecordType, &'static str, &'static str);

const TABLE: &[Row] = &[
    // The wildcard, in whatever case and however deep.
    (
        "A.Bc.z.example.org",
        RecordType::A,
        "4",
        "NOERROR aa | A.Bc.z.example.org. 60 A 64.65.4.1 | |",
    ),
    (
        "a.z.example.org",
        RecordType::AAAA,
        "6",
        "NOERROR aa | a.z.example.org. 60 AAAA 2001:db8::1 | |",
    ),
    ("a.z.example.org", RecordType::TXT, "4", "NOERROR aa | | SOA |"),
    ("a.z.example.org", RecordType::ANY, "4", "NOERROR aa | a.z.example.org. 60 A 64.65.4.1 | |"),
    // Who asks.
    (
        "a.who.checks.z.example.org",
        RecordType::A,
        "4",
        "NOERROR aa | a.who.checks.z.example.org. 0 A 192.0.2.99 | |",
    ),
    ("a.who.checks.z.example.org", RecordType::AAAA, "4", "NOERROR aa | | who SOA |"),
    (
        "a.who.checks.z.example.org",
        RecordType::A,
        "6",
        "NOERROR | | who.checks.z.example.org. 3600 NS ns4.checks.z.example.org. | GLUE4",
    ),
    (
        "a.who6.checks.z.example.org",
        RecordType::AAAA,
        "6",
        "NOERROR aa | a.who6.checks.z.example.org. 0 AAAA 2001:db8:9::99 | |",
    ),
    (
        "a.who6.checks.z.example.org",
        RecordType::AAAA,
        "4",
        "NOERROR | | who6.checks.z.example.org. 3600 NS ns6.checks.z.example.org. | GLUE6",
    ),
    // The part's own name: NS and SOA are its own, DS is its parent's.
    (
        "who.checks.z.example.org",
        RecordType::NS,
        "4",
        "NOERROR aa | who.checks.z.example.org. 3600 NS ns4.checks.z.example.org. | |",
    ),
    ("who.checks.z.example.org", RecordType::A, "4", "NOERROR aa | | who SOA |"),
    ("who.checks.z.example.org", RecordType::DS, "4", "NOERROR aa | | CHECKS SOA |"),
    ("who.checks.z.example.org", RecordType::DS, "6", "NOERROR aa | | CHECKS SOA |"),
    ("checks.z.example.org", RecordType::DS, "4", "NOERROR aa | | SOA |"),
    ("checks.z.example.org", RecordType::A, "4", "NOERROR aa | | CHECKS SOA |"),
    ("a.checks.z.example.org", RecordType::A, "4", "NXDOMAIN aa | | CHECKS SOA |"),
    // By IPv6 alone.
    (
        "a.v6.checks.z.example.org",
        RecordType::A,
        "6",
        "NOERROR aa | a.v6.checks.z.example.org. 60 A 64.65.4.1 | |",
    ),
    (
        "a.v6.checks.z.example.org",
        RecordType::A,
        "4",
        "NOERROR | | v6.checks.z.example.org. 3600 NS ns6.checks.z.example.org. | GLUE6",
    ),
    // By TCP alone.
    ("a.tcp.checks.z.example.org", RecordType::A, "4", "NOERROR aa tc | | |"),
    (
        "a.tcp.checks.z.example.org",
        RecordType::A,
        "4t",
        "NOERROR aa | a.tcp.checks.z.example.org. 60 A 64.65.4.1 | |",
    ),
    ("tcp.checks.z.example.org", RecordType::A, "4", "NOERROR aa | | CHECKS SOA |"),
    // What does not exist, and what exists for what is under it.
    ("a.nx.checks.z.example.org", RecordType::A, "4", "NXDOMAIN aa | | CHECKS SOA |"),
    ("nx.checks.z.example.org", RecordType::A, "4", "NOERROR aa | | CHECKS SOA |"),
    ("a.ns4.checks.z.example.org", RecordType::A, "4", "NXDOMAIN aa | | CHECKS SOA |"),
    // The zone's own name, and its servers.
    ("z.example.org", RecordType::A, "4", "NOERROR aa | | SOA |"),
    (
        "ns.z.example.org",
        RecordType::A,
        "4",
        "NOERROR aa | ns.z.example.org. 3600 A 198.51.100.53 | |",
    ),
    (
        "ns6.checks.z.example.org",
        RecordType::AAAA,
        "4",
        "NOERROR aa | ns6.checks.z.example.org. 3600 AAAA 2001:db8::53 | |",
    ),
    // Nobody else's business.
    ("example.org", RecordType::A, "4", "REFUSED | | |"),
    ("z.example.org", RecordType::AXFR, "4t", "REFUSED | | |"),
];

#[test]
fn the_name_decides_the_answer() {
    // The SOA is the same everywhere but for its owner.
    let soa = |owner: &str| {
        format!("{owner} 60 SOA ns1.example.org. hostmaster.z.example.org. 1 7200 3600 1209600 60")
    };
    for (name, record_type, how, wanted) in TABLE {
        let transport = if how.ends_with('t') { QueryTransport::Tcp } else { QueryTransport::Udp };
        let from = asker(if how.starts_with('4') { V4 } else { V6 }, transport);
        let (answer, _) = asked(&question(name, *record_type), from);
        let wanted = wanted
            .replace("| who SOA", &format!("| {}", soa("who.checks.z.example.org.")))
            .replace("| CHECKS SOA", &format!("| {}", soa("checks.z.example.org.")))
            .replace("| SOA", &format!("| {}", soa("z.example.org.")))
            .replace(
                "| GLUE4",
                "| ns4.checks.z.example.org. 3600 A 192.0.2.53, ns4.checks.z.example.org. 3600 A 198.51.100.53",
            )
            .replace("| GLUE6", "| ns6.checks.z.example.org. 3600 AAAA 2001:db8::53");
        let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(squeezed(&line(&answer)), squeezed(&wanted), "{name} {record_type} {how}");
        assert_eq!(answer.id, 4711);
        assert_eq!(answer.queries[0].name().to_ascii(), wire(name).to_ascii(), "as it was asked");
    }
}

#[test]
fn the_zone_s_own_name_has_its_servers_and_its_beginning() {
    let from = asker(V4, QueryTransport::Udp);
    let (servers, _) = asked(&question("z.example.org", RecordType::NS), from);
    assert_eq!(
        line(&servers),
        "NOERROR aa | z.example.org. 3600 NS ns1.example.org., z.example.org. 3600 NS ns.z.example.org. | |"
    );
    let (soa, _) = asked(&question("z.example.org", RecordType::SOA), from);
    assert_eq!(soa.answers.len(), 1);
    let mut chaos = question("z.example.org", RecordType::SOA);
    chaos.queries[0].set_query_class(DNSClass::CH);
    assert_eq!(asked(&chaos, from).0.metadata.response_code, ResponseCode::Refused);
}

#[test]
fn without_an_address_of_a_family_nothing_is_delegated_to_it() {
    let expected = vec!["64.65.4.1".parse().unwrap()];
    let servers = "ns.example.org 192.0.2.1";
    let zone = ServedZone::new(ZoneSettings { servers, expected, ..settings() }).unwrap();
    let bytes = question("a.v6.checks.z.example.org", RecordType::A).to_vec().unwrap();
    let response = respond(&zone, &bytes, asker(V4, QueryTransport::Udp)).unwrap();
    assert_eq!(response.seen.answer.as_deref(), Some("NXDOMAIN"));
    let bytes = question("a.z.example.org", RecordType::AAAA).to_vec().unwrap();
    let response = respond(&zone, &bytes, asker(V4, QueryTransport::Udp)).unwrap();
    assert_eq!(
        (response.seen.answer.as_deref(), response.seen.data),
        (Some("NOERROR"), Some(false))
    );
}

#[test]
fn edns_is_answered_with_edns_and_a_newer_one_with_badvers() {
    let from = asker(V4, QueryTransport::Udp);
    let mut asks = question("a.z.example.org", RecordType::A);
    assert_eq!(asked(&asks, from).0.edns, None);
    let mut edns = Edns::new();
    edns.set_max_payload(4096).set_dnssec_ok(true);
    let subnet = ClientSubnet::new("198.51.100.0".parse().unwrap(), 24, 0);
    edns.options_mut().insert(EdnsOption::Subnet(subnet));
    edns.options_mut().insert(EdnsOption::Unknown(10, vec![1; 8]));
    asks.set_edns(edns);
    asks.metadata.recursion_desired = true;
    let (answer, seen) = asked(&asks, from);
    let ours = answer.edns.as_ref().unwrap();
    assert_eq!((ours.max_payload(), ours.version(), ours.flags().dnssec_ok), (MAX_UDP, 0, true));
    assert!(ours.options().as_ref().is_empty(), "nothing that we do not know is sent back");
    assert_eq!(seen.flags, ["rd", "do"]);
    assert_eq!((seen.edns, seen.cookie), (Some(4096), true));
    assert_eq!(seen.client_subnet.as_deref(), Some("198.51.100.0/24"));
    asks.edns.as_mut().unwrap().set_version(1);
    let (answer, seen) = asked(&asks, from);
    assert_eq!(u16::from(answer.metadata.response_code), 16, "BADVERS");
    assert_eq!((seen.answer.as_deref(), answer.answers.len()), (Some("BADVERS"), 0));
}

#[test]
fn what_is_no_query_gets_no_answer_and_what_cannot_be_read_a_short_one() {
    let zone = example();
    let from = asker(V4, QueryTransport::Udp);
    let bytes = question("a.z.example.org", RecordType::A).to_vec().unwrap();
    let code = |bytes: &[u8]| respond(&zone, bytes, from).and_then(|response| response.seen.answer);
    assert_eq!(code(&[]), None);
    assert_eq!(code(&bytes[..11]), None);
    let mut answer = bytes.clone();
    answer[2] |= 0x80;
    assert_eq!(code(&answer), None, "two servers are not made to talk to each other");
    assert_eq!(code(&bytes[..12]).as_deref(), Some("FORMERR"));
    assert_eq!(code(&bytes[..bytes.len() - 1]).as_deref(), Some("FORMERR"));
    let mut two = question("a.z.example.org", RecordType::A);
    two.add_query(two.queries[0].clone());
    assert_eq!(code(&two.to_vec().unwrap()).as_deref(), Some("FORMERR"));
    let mut update = bytes;
    update[2] = 5 << 3;
    assert_eq!(code(&update).as_deref(), Some("NOTIMP"));
}

#[test]
fn who_asks_too_much_is_sent_to_tcp_by_an_answer_that_is_no_longer_than_the_query() {
    let mut asks = question("a.z.example.org", RecordType::A);
    for edns in [None, Some(Edns::new())] {
        asks.edns = edns;
        let bytes = asks.to_vec().unwrap();
        let short = ZoneQuery::read(&bytes).unwrap().sent_to_tcp().bytes;
        let message = Message::from_vec(&short).unwrap();
        assert!(message.metadata.truncation && message.answers.is_empty());
        assert!(short.len() <= bytes.len(), "{} {}", short.len(), bytes.len());
    }
}

/// The answer of a zone with a key to a query that asks for signatures.
pub(super) fn signed(
    signer: &ZoneSigner,
    name: &str,
    kind: RecordType,
    how: &str,
    flags: u16,
) -> (Message, Seen) {
    let mut asks = question(name, kind);
    let mut edns = Edns::new();
    edns.set_max_payload(1232).set_dnssec_ok(true);
    edns.flags_mut().z = flags;
    asks.set_edns(edns);
    let transport = if how.ends_with('t') { QueryTransport::Tcp } else { QueryTransport::Udp };
    let from = asker(if how.starts_with('4') { V4 } else { V6 }, transport);
    let zone = example();
    let answerer = Answerer { zone: &zone, signer: Some(signer), now: now() };
    let response = ZoneQuery::read(&asks.to_vec().unwrap()).unwrap().answer(answerer, from);
    (Message::from_vec(&response.bytes).unwrap(), response.seen)
}

/// An answer in short: the code, the flags, and the types of each section, those that are signed and how.
pub(super) fn types(signer: &ZoneSigner, message: &Message) -> String {
    let mut text = mnemonic(message.metadata.response_code);
    text.push_str(if message.metadata.truncation { " tc" } else { "" });
    for records in [&message.answers, &message.authorities] {
        text.push_str(" |");
        for record in records {
            let shown = match &record.data {
                RData::DNSSEC(DNSSECRData::RRSIG(signature)) => {
                    let input = signature.input();
                    let set = records.iter().filter(|other| {
                        other.record_type() == input.type_covered && other.name == record.name
                    });
                    let tbs = TBS::from_input(&record.name, DNSClass::IN, input, set).unwrap();
                    let RData::DNSSEC(DNSSECRData::DNSKEY(key)) = signer.key(&record.name).data
                    else {
                        panic!()
                    };
                    let whole = key.public_key().verify(tbs.as_ref(), signature.sig()).is_ok();
                    (if whole { "+" } else { "-" }).to_owned()
                }
                RData::DNSSEC(DNSSECRData::NSEC(proof)) => {
                    let all = proof.type_bit_maps().map(type_name);
                    format!(" NSEC({})", all.collect::<Vec<_>>().join(" "))
                }
                _ => format!(" {}", record.record_type()),
            };
            text.push_str(&shown);
        }
    }
    text
}

const CO: u16 = COMPACT_ANSWERS_OK;

/// A name under the checks zone's, a type, how it is asked, further flags of EDNS, and the answer in short.
const SIGNED: &[(&str, RecordType, &str, u16, &str)] = &[
    ("a.signed", RecordType::A, "4", 0, "NOERROR | A+ |"),
    ("a.b.Signed", RecordType::AAAA, "4", 0, "NOERROR | AAAA+ |"),
    ("a.signed", RecordType::TXT, "4", 0, "NOERROR | | SOA+ NSEC(A AAAA RRSIG NSEC)+"),
    ("a.bogus", RecordType::A, "4", 0, "NOERROR | A- |"),
    ("a.bogus", RecordType::TXT, "4", 0, "NOERROR | | SOA+ NSEC(A AAAA RRSIG NSEC)-"),
    ("bogus", RecordType::A, "4", 0, "NOERROR | | SOA+ NSEC(RRSIG NSEC)+"),
    ("a.nx", RecordType::A, "4", 0, "NOERROR | | SOA+ NSEC(RRSIG NSEC TYPE128)+"),
    ("a.nx", RecordType::A, "4", CO, "NXDOMAIN | | SOA+ NSEC(RRSIG NSEC TYPE128)+"),
    ("a.nx", RecordType::NSEC, "4", 0, "NOERROR | NSEC(RRSIG NSEC TYPE128)+ |"),
    ("nx", RecordType::A, "4", 0, "NOERROR | | SOA+ NSEC(RRSIG NSEC)+"),
    ("a.tcp", RecordType::A, "4", 0, "NOERROR tc | |"),
    ("a.tcp", RecordType::A, "4t", 0, "NOERROR | A+ |"),
    // What is delegated has no key, and that is proved.
    ("a.who", RecordType::A, "4", 0, "NOERROR | A |"),
    ("a.who", RecordType::AAAA, "4", 0, "NOERROR | | SOA"),
    ("a.who", RecordType::A, "6", 0, "NOERROR | | NS NSEC(NS RRSIG NSEC)+"),
    ("who", RecordType::DS, "4", 0, "NOERROR | | SOA+ NSEC(NS RRSIG NSEC)+"),
    ("who", RecordType::NS, "4", 0, "NOERROR | NS |"),
    ("a.v6", RecordType::A, "4", 0, "NOERROR | | NS NSEC(NS RRSIG NSEC)+"),
    // The zone's own name.
    ("", RecordType::SOA, "4", 0, "NOERROR | SOA+ |"),
    ("", RecordType::NS, "4", 0, "NOERROR | NS NS+ |"),
    ("", RecordType::DNSKEY, "4", 0, "NOERROR | DNSKEY+ |"),
    ("", RecordType::A, "4", 0, "NOERROR | | SOA+ NSEC(NS SOA RRSIG NSEC DNSKEY)+"),
    ("", RecordType::ANY, "4", 0, "NOERROR | NS NS+ |"),
    ("", RecordType::DS, "4", 0, "NOERROR | | SOA"),
    ("ns4", RecordType::A, "4", 0, "NOERROR | A A+ |"),
    // Those that are in proofs alone.
    ("a.signed", RecordType::RRSIG, "4", 0, "REFUSED | |"),
    ("a.signed", NXNAME, "4", 0, "FORMERR | |"),
];

#[test]
fn the_checks_zone_is_signed_as_a_whole() {
    let signer = signer();
    for (name, kind, how, flags, wanted) in SIGNED {
        let name = format!("{name}.checks.z.example.org");
        let (answer, _) = signed(&signer, name.trim_start_matches('.'), *kind, how, *flags);
        assert_eq!(types(&signer, &answer), *wanted, "{name} {kind} {how}");
        if let Some(edns) = &answer.edns {
            assert_eq!(edns.flags().z, *flags, "{name}");
        }
    }
    // The zone itself is not, and nobody gets what he did not ask for.
    let (answer, _) = signed(&signer, "a.z.example.org", RecordType::A, "4", 0);
    assert_eq!(types(&signer, &answer), "NOERROR | A |");
    let zone = example();
    let answerer = Answerer { zone: &zone, signer: Some(&signer), now: now() };
    for (name, kind, wanted) in [
        ("a.signed", RecordType::A, "NOERROR | A |"),
        ("a.nx", RecordType::A, "NXDOMAIN | | SOA"),
        ("", RecordType::DNSKEY, "NOERROR | DNSKEY |"),
    ] {
        let name = format!("{name}.checks.z.example.org");
        let bytes = question(name.trim_start_matches('.'), kind).to_vec().unwrap();
        let query = ZoneQuery::read(&bytes).unwrap();
        let response = query.answer(answerer, asker(V4, QueryTransport::Udp));
        assert_eq!(types(&signer, &Message::from_vec(&response.bytes).unwrap()), wanted, "{name}");
    }
}

#[test]
fn without_a_key_nothing_is_signed_and_the_names_that_need_one_do_not_exist() {
    let from = asker(V4, QueryTransport::Udp);
    for name in ["a.signed.checks.z.example.org", "a.bogus.checks.z.example.org"] {
        assert_eq!(
            asked(&question(name, RecordType::A), from).1.answer.as_deref(),
            Some("NXDOMAIN")
        );
    }
    let (answer, _) = asked(&question("checks.z.example.org", RecordType::DNSKEY), from);
    assert!(answer.answers.is_empty());
}

#[test]
fn who_has_signed_too_much_in_a_second_is_sent_to_tcp_and_is_signed_for_there() {
    let signer = signer();
    while signer.has_time(now()) {}
    let ask = |name, how| types(&signer, &signed(&signer, name, RecordType::A, how, 0).0);
    assert_eq!(ask("a.signed.checks.z.example.org", "4"), "NOERROR tc | |");
    assert_eq!(ask("a.signed.checks.z.example.org", "4t"), "NOERROR | A+ |");
    // What is kept costs nothing.
    assert_eq!(ask("ns4.checks.z.example.org", "4"), "NOERROR | A A+ |");
}

#[test]
fn a_name_that_leaves_no_room_for_a_proof_is_no_panic() {
    let signer = signer();
    let longest =
        format!("{0}.{0}.{0}.{1}.nx.checks.z.example.org", "a".repeat(63), "a".repeat(37));
    assert_eq!(wire(&longest).len(), 254);
    let (answer, _) = signed(&signer, &longest, RecordType::A, "4", 0);
    assert_eq!(types(&signer, &answer), "SERVFAIL | |");
}

fn from() -> impl Strategy<Value = QuerySource> {
    (any::<IpAddr>(), any::<bool>()).prop_map(|(address, udp)| QuerySource {
        address: address.to_canonical(),
        transport: if udp { QueryTransport::Udp } else { QueryTransport::Tcp },
    })
}

/// A name in the zone or near it.
fn a_name() -> impl Strategy<Value = String> {
    let label = prop_oneof![
        "[a-zA-Z0-9_][a-zA-Z0-9_-]{0,19}",
        Just("who".to_owned()),
        Just("v6".to_owned())
    ];
    let under = prop_oneof![
        Just("z.example.org"),
        Just("who.checks.z.example.org"),
        Just("nx.checks.z.example.org"),
        Just("tcp.checks.z.example.org"),
        Just("signed.checks.z.example.org"),
        Just("bogus.checks.z.example.org"),
        Just("checks.z.example.org"),
        Just("who6.Checks.z.example.org"),
        Just("example.org"),
    ];
    (proptest::collection::vec(label, 0..3), under).prop_map(|(mut labels, under)| {
        labels.push(under.to_owned());
        labels.join(".")
    })
}

static SIGNER: LazyLock<ZoneSigner> = LazyLock::new(signer);

proptest! {
    #[test]
    fn any_bytes_are_answered_or_not_and_never_by_much_more(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        from in from(),
    ) {
        if let Some(response) = respond(&example(), &bytes, from) {
            prop_assert!(Message::from_vec(&response.bytes).is_ok());
            prop_assert!(response.bytes.len() <= bytes.len() + 200);
        }
    }

    #[test]
    fn a_damaged_query_is_answered_or_not(
        name in a_name(),
        at in 0_usize..80,
        byte in any::<u8>(),
        from in from(),
    ) {
        let mut bytes = question(&name, RecordType::A).to_vec().unwrap();
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = respond(&example(), &bytes, from);
    }

    #[test]
    fn every_query_has_an_answer_that_fits_and_is_not_much_longer(
        name in a_name(),
        record_type in any::<u16>(),
        room in proptest::option::of(any::<u16>()),
        dnssec in any::<bool>(),
        from in from(),
    ) {
        let mut asks = question(&name, RecordType::from(record_type));
        asks.edns = room.map(|room| {
            let mut edns = Edns::new();
            edns.set_max_payload(room).set_dnssec_ok(dnssec);
            edns
        });
        let bytes = asks.to_vec().unwrap();
        let zone = example();
        let answerer = Answerer { zone: &zone, signer: Some(&SIGNER), now: now() };
        let response = ZoneQuery::read(&bytes).unwrap().answer(answerer, from);
        let most = if dnssec && room.is_some() { FACTOR } else { 4 };
        if from.transport == QueryTransport::Udp {
            prop_assert!(response.bytes.len() <= most * bytes.len(), "{}", response.bytes.len());
        }
        if from.transport == QueryTransport::Udp {
            prop_assert!(response.bytes.len() <= usize::from(MAX_UDP));
        }
        let answer = Message::from_vec(&response.bytes).unwrap();
        prop_assert_eq!(answer.id, 4711);
        prop_assert!(!answer.metadata.recursion_available);
        for record in answer.all_sections() {
            prop_assert!(example().origin.zone_of(&record.name));
        }
    }
}
