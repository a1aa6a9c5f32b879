//! What the standards say of an authority, one test for each, by document and section.

use super::tests::{V4, V6, asked, asker, question, signed, types};
use super::*;
use crate::sign::tests::signer;

/// An answer to a query by UDP and IPv4.
fn ask(name: &str, kind: RecordType) -> Message {
    asked(&question(name, kind), asker(V4, QueryTransport::Udp)).0
}

fn code(message: &Message) -> ResponseCode {
    message.metadata.response_code
}

fn soa_in(message: &Message) -> Option<(&Name, u32, u32)> {
    message.authorities.iter().find_map(|record| match &record.data {
        RData::SOA(soa) => Some((&record.name, record.ttl, soa.minimum)),
        _ => None,
    })
}

/// RFC 1034, section 4.3.1: an authority without recursion says so; section 4.3.2: AA is set in what it has, and in its
/// own denials.
#[test]
fn rfc1034_answers_are_authoritative_and_recursion_is_not_available() {
    for (name, kind) in [
        ("a.z.example.org", RecordType::A),
        ("a.z.example.org", RecordType::MX),
        ("a.checks.z.example.org", RecordType::A),
        ("z.example.org", RecordType::NS),
    ] {
        let mut asks = question(name, kind);
        asks.metadata.recursion_desired = true;
        let (answer, _) = asked(&asks, asker(V4, QueryTransport::Udp));
        let head = answer.metadata;
        assert!(head.authoritative && !head.recursion_available && !head.authentic_data, "{name}");
        assert!(head.recursion_desired, "RFC 1035, section 4.1.1: it is copied");
        assert_eq!(answer.queries, asks.queries, "so is the question, in its case");
    }
}

/// RFC 1034, section 4.3.2, step 3b: a referral has the NS records of the cut in the authority section, glue beside
/// it, no answer and no AA.
#[test]
fn rfc1034_a_referral_is_not_authoritative_and_has_its_glue() {
    let answer = ask("a.v6.checks.z.example.org", RecordType::A);
    assert!(!answer.metadata.authoritative && answer.answers.is_empty());
    let RData::NS(NS(server)) = &answer.authorities[0].data else { panic!("{answer:?}") };
    assert_eq!(answer.authorities[0].name.to_ascii(), "v6.checks.z.example.org.");
    assert!(answer.additionals.iter().all(|record| record.name == *server));
    assert!(!answer.additionals.is_empty());
}

/// RFC 1034, section 3.6.2, and RFC 2181, section 5: records of one name and type have one TTL.
#[test]
fn rfc2181_a_set_has_one_ttl_and_no_record_twice() {
    for (name, kind) in
        [("z.example.org", RecordType::NS), ("ns4.checks.z.example.org", RecordType::A)]
    {
        let answers = ask(name, kind).answers;
        assert!(answers.len() > 1, "{name}");
        assert!(answers.iter().all(|record| record.ttl == answers[0].ttl));
        let mut data: Vec<String> = answers.iter().map(|record| record.data.to_string()).collect();
        data.sort();
        data.dedup();
        assert_eq!(data.len(), answers.len());
    }
}

/// RFC 2308, sections 2.1, 2.2, 3 and 5: a denial has the zone's SOA in the authority section, with a TTL that is no longer
/// than its MINIMUM; NXDOMAIN and NODATA are told apart by the code.
#[test]
fn rfc2308_denials_have_the_soa_of_their_zone() {
    for (name, kind, wanted, zone) in [
        ("a.z.example.org", RecordType::MX, ResponseCode::NoError, "z.example.org."),
        ("a.ns.z.example.org", RecordType::A, ResponseCode::NXDomain, "z.example.org."),
        (
            "a.nx.checks.z.example.org",
            RecordType::A,
            ResponseCode::NXDomain,
            "checks.z.example.org.",
        ),
        ("nx.checks.z.example.org", RecordType::A, ResponseCode::NoError, "checks.z.example.org."),
        (
            "a.who.checks.z.example.org",
            RecordType::MX,
            ResponseCode::NoError,
            "who.checks.z.example.org.",
        ),
    ] {
        let answer = ask(name, kind);
        assert_eq!(code(&answer), wanted, "{name}");
        assert!(answer.answers.is_empty() && answer.authorities.len() == 1, "{name}");
        let (owner, ttl, minimum) = soa_in(&answer).unwrap();
        assert_eq!(owner.to_ascii(), zone, "{name}");
        assert!(ttl <= minimum && ttl > 0, "{name}");
    }
}

/// RFC 4592, sections 2.2.2 and 3.3.1: what exists is not covered by the wildcard, an empty non-terminal exists, and
/// below an existing name the wildcard does not reach.
#[test]
fn rfc4592_the_wildcard_covers_only_what_does_not_exist() {
    let covered = ask("any.Depth.of.names.z.example.org", RecordType::A);
    assert_eq!(
        covered.answers[0].name.to_ascii(),
        "any.Depth.of.names.z.example.org.",
        "section 3.3"
    );
    assert_eq!(
        ask("*.z.example.org", RecordType::A).answers.len(),
        1,
        "it can be asked for itself"
    );
    assert_eq!(
        ask("ns.z.example.org", RecordType::AAAA).answers.len(),
        0,
        "it exists, without AAAA"
    );
    assert_eq!(code(&ask("ns.z.example.org", RecordType::AAAA)), ResponseCode::NoError);
    assert_eq!(code(&ask("a.ns.z.example.org", RecordType::A)), ResponseCode::NXDomain);
    assert_eq!(code(&ask("tcp.checks.z.example.org", RecordType::A)), ResponseCode::NoError);
    let nothing = ask("a.z.example.org", RecordType::NS);
    assert!(nothing.answers.is_empty(), "the zone's own records are not the wildcard's");
}

/// RFC 8482, section 4.1: ANY gets the records of one type, by each transport; section 4.4: TC is not needed for it.
#[test]
fn rfc8482_any_is_answered_by_one_set() {
    for transport in [QueryTransport::Udp, QueryTransport::Tcp] {
        for name in ["a.z.example.org", "z.example.org", "checks.z.example.org"] {
            let (answer, _) = asked(&question(name, RecordType::ANY), asker(V6, transport));
            let first = answer.answers[0].record_type();
            assert!(answer.answers.iter().all(|record| record.record_type() == first), "{name}");
            assert!(!answer.metadata.truncation);
        }
    }
    let nothing = ask("a.nx.checks.z.example.org", RecordType::ANY);
    assert_eq!((code(&nothing), soa_in(&nothing).is_some()), (ResponseCode::NXDomain, true));
}

/// RFC 9156, sections 2.3 and 3: who asks for shorter names first gets to the whole one, by whatever type, as none on the
/// way says that there is nothing below it (RFC 8020).
#[test]
fn rfc9156_no_shorter_name_is_denied() {
    for whole in [
        "0a1b.5a5a.z.example.org",
        "0a1b.5a5a.who.checks.z.example.org",
        "0a1b.5a5a.tcp.checks.z.example.org",
        "0a1b.5a5a.signed.checks.z.example.org",
        "0a1b.5a5a.bogus.checks.z.example.org",
    ] {
        let labels: Vec<&str> = whole.split('.').collect();
        let signer = signer();
        for from in 0..labels.len() - 3 {
            let name = labels[from..].join(".");
            // BIND asks for an address of `_.NAME`.
            for name in [name.clone(), format!("_.{name}")] {
                for kind in [RecordType::A, RecordType::NS, RecordType::AAAA] {
                    let (answer, _) = signed(&signer, &name, kind, "4t", COMPACT_ANSWERS_OK);
                    let denied = code(&answer) == ResponseCode::NXDomain;
                    // What is not on the way to the whole name may be denied: nothing is below it.
                    let on_the_way = !name.starts_with('_');
                    assert!(!denied || !on_the_way, "{name} {kind}");
                    assert_ne!(code(&answer), ResponseCode::Refused, "{name} {kind}");
                }
            }
        }
    }
}

/// RFC 6891, sections 6.1.1, 6.1.3, 6.2.1 and 7: EDNS is answered where it was asked with, a size below 512 is 512, and what it
/// holds that nobody knows is passed over.
#[test]
fn rfc6891_edns_is_answered_in_kind() {
    let mut asks = question("a.z.example.org", RecordType::A);
    assert!(asked(&asks, asker(V4, QueryTransport::Udp)).0.edns.is_none());
    let mut edns = Edns::new();
    edns.set_max_payload(0);
    edns.flags_mut().z = 0x1fff;
    edns.options_mut().insert(EdnsOption::Unknown(65_001, vec![0; 100]));
    asks.set_edns(edns);
    let (answer, _) = asked(&asks, asker(V4, QueryTransport::Udp));
    let ours = answer.edns.as_ref().unwrap();
    assert_eq!((ours.flags().z, ours.options().as_ref().len()), (0, 0));
    assert_eq!((answer.answers.len(), answer.metadata.truncation), (1, false));
}

/// RFC 4035, sections 3.1.1 and 3.1.4.1: signatures come to who asks for them; DS is the parent's, and proved not to be
/// there where a part is not signed.
#[test]
fn rfc4035_an_unsigned_part_is_proved_to_be_one() {
    let signer = signer();
    for name in ["who", "who6", "v6"] {
        for how in ["4", "6"] {
            let name = format!("{name}.checks.z.example.org");
            let (answer, _) = signed(&signer, &name, RecordType::DS, how, 0);
            assert_eq!(
                types(&signer, &answer),
                "NOERROR | | SOA+ NSEC(NS RRSIG NSEC)+",
                "{name} {how}"
            );
            assert!(answer.metadata.authoritative);
        }
    }
}

/// RFC 9824, sections 3.1, 3.2 and 3.4: one NSEC record of the name itself up to its next denies; NXNAME says that the
/// name does not exist, and an empty non-terminal has none; it is as valid as a wildcard's expansion is not needed.
#[test]
fn rfc9824_one_record_denies_and_covers_no_other_name() {
    let signer = signer();
    for (name, nxname) in [("a.nx", true), ("nx", false), ("b", true), ("a.signed", false)] {
        let name = format!("{name}.checks.z.example.org");
        let (answer, _) = signed(&signer, &name, RecordType::MX, "4", 0);
        assert_eq!(code(&answer), ResponseCode::NoError);
        let mut proofs = answer.authorities.iter().filter_map(|record| match &record.data {
            RData::DNSSEC(hickory_proto::dnssec::rdata::DNSSECRData::NSEC(proof)) => {
                Some((record, proof))
            }
            _ => None,
        });
        let (record, proof) = proofs.next().unwrap();
        assert!(proofs.next().is_none());
        assert_eq!(record.name.to_ascii(), format!("{name}."));
        assert_eq!(proof.next_domain_name().to_ascii(), format!("\\000.{name}."));
        assert_eq!(proof.type_bit_maps().any(|kind| kind == NXNAME), nxname, "{name}");
        // RFC 9077, section 3: as long as the SOA may be remembered.
        assert_eq!(record.ttl, soa_in(&answer).unwrap().1);
    }
}
