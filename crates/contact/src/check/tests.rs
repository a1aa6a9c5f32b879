//! Against a real web server with an authority of its own, and a real name server that signs a root zone of its
//! own, on loopback.

use std::convert::Infallible;

use hickory_resolver::net::runtime::{Time, TokioRuntimeProvider};
use hickory_resolver::proto::dnssec::crypto::Ed25519SigningKey;
use hickory_resolver::proto::dnssec::rdata::DNSKEY;
use hickory_resolver::proto::dnssec::{DnssecSigner, SigningKey, TrustAnchors};
use hickory_resolver::proto::rr::rdata::{NS, SOA, TXT};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_server::Server;
use hickory_server::dnssec::NxProofKind;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneType};
use reach::script::{BREAKS_OFF, TlsServer, answer, tls_server};
use tokio::net::{TcpListener, UdpSocket};

use super::*;
use crate::proof::RECORD_TEXT;

fn relay(byte: u8) -> Fingerprint {
    Fingerprint::from_bytes([byte; 20])
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600, 0).unwrap()
}

/// What comes of it, by relay.
async fn work(asker: Asker, agenda: &Agenda) -> Vec<(Fingerprint, Option<ProofProblem>)> {
    let mut all = Vec::new();
    let done = asker.work(agenda, now(), |checks| {
        all.extend(checks.into_iter().map(|(relay, check)| {
            assert_eq!(check.at, now());
            (relay, check.problem)
        }));
        Ok::<_, Infallible>(())
    });
    done.await.unwrap();
    all.sort_unstable();
    all
}

// Lists.

fn lists(domain: &str, relays: &[u8]) -> Agenda {
    let relays = relays.iter().map(|byte| relay(*byte)).collect();
    Agenda { lists: [(domain.to_owned(), relays)].into(), records: Vec::new() }
}

fn trusting(authorities: rustls::RootCertStore) -> Trust {
    Trust { authorities, anchors: TrustAnchors::empty(), resolvers: Vec::new() }
}

/// What comes of asking a website that answers so for the list of relays 1 and 2.
async fn of_list(answers: Vec<String>) -> (Vec<Option<ProofProblem>>, TlsServer) {
    let mut server = tls_server("localhost", answers).await;
    let trust = trusting(std::mem::replace(&mut server.roots, rustls::RootCertStore::empty()));
    let asker = Asker::at(trust, Reach::Everywhere, server.port).unwrap();
    let found = work(asker, &lists("localhost", &[1, 2])).await;
    assert_eq!(found.iter().map(|one| one.0).collect::<Vec<_>>(), [relay(1), relay(2)]);
    (found.into_iter().map(|one| one.1).collect(), server)
}

#[tokio::test]
async fn a_list_proves_the_relays_that_are_on_it_by_one_request() {
    let list = format!("# ours\n{}\n{}\n", relay(2), relay(3));
    let (found, mut server) = of_list(vec![answer(200, "", &list)]).await;
    assert_eq!(found, [Some(ProofProblem::NotListed), None]);
    let asked = server.asked.recv().await.unwrap();
    let head = "GET /.well-known/tor-relay/rsa-fingerprint.txt HTTP/1.1\r\n";
    assert!(asked.head.starts_with(head), "{asked:?}");
    assert!(server.asked.try_recv().is_err(), "one request for all relays");
}

#[tokio::test]
async fn each_way_to_fail_has_its_name() {
    let long = "#".repeat(LONGEST_LIST + 1);
    let to = |place: &str| answer(302, &format!("location: {place}\r\n"), "");
    for (answers, expected) in [
        (vec![answer(404, "", "")], ProofProblem::NoList),
        (vec![answer(410, "", "")], ProofProblem::NoList),
        (vec![answer(403, "", "")], ProofProblem::NoAnswer),
        (vec![answer(503, "", "")], ProofProblem::NoAnswer),
        (vec![BREAKS_OFF.to_owned()], ProofProblem::NoAnswer),
        (vec![answer(200, "", &long)], ProofProblem::TooLong),
        (vec![answer(200, "", "<html>not here</html>")], ProofProblem::NotListed),
        (vec![to("https://127.0.0.1/"), answer(200, "", "")], ProofProblem::Redirect),
        (vec![to("http://localhost/list"), answer(200, "", "")], ProofProblem::Redirect),
    ] {
        let (found, _server) = of_list(answers).await;
        assert_eq!(found, [Some(expected); 2], "{expected}");
    }
    let both = format!("{}\n{}", relay(1), relay(2));
    let (found, _server) = of_list(vec![to("/list"), answer(200, "", &both)]).await;
    assert_eq!(found, [None, None], "within the domain it may lead on");
}

#[tokio::test]
async fn no_list_counts_without_a_certificate_for_the_domain_or_from_inside() {
    let both = format!("{}\n{}", relay(1), relay(2));
    let list = || vec![answer(200, "", &both)];
    let other = tls_server("other.example", list()).await;
    let server = tls_server("localhost", list()).await;
    let somebody = tls_server("localhost", list()).await;
    for (roots, reach, port, expected) in [
        (other.roots, Reach::Everywhere, other.port, ProofProblem::Certificate),
        (somebody.roots, Reach::Everywhere, server.port, ProofProblem::Certificate),
        (server.roots, Reach::Public, server.port, ProofProblem::InnerAddress),
    ] {
        let asker = Asker::at(trusting(roots), reach, port).unwrap();
        let found = work(asker, &lists("localhost", &[1])).await;
        assert_eq!(found, [(relay(1), Some(expected))]);
    }
    let asker = Asker::new(trusting(rustls::RootCertStore::empty())).unwrap();
    let found = work(asker, &lists("nothing.invalid", &[1])).await;
    assert_eq!(found, [(relay(1), Some(ProofProblem::NoName))]);
}

// Records.

/// Names of a parent, and those below it: what says where a child begins is the parent's (RFC 4035, 3.1.4.1).
struct Names {
    parent: Catalog,
    all: Catalog,
}

#[async_trait::async_trait]
impl RequestHandler for Names {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        response: R,
    ) -> ResponseInfo {
        let of_parent =
            request.request_info().is_ok_and(|info| info.query.query_type() == RecordType::DS);
        let names = if of_parent { &self.parent } else { &self.all };
        names.handle_request::<R, T>(request, response).await
    }
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

type Zone = InMemoryZoneHandler<TokioRuntimeProvider>;

fn zone(origin: &str, signed: bool, records: &[(&str, RData)]) -> Zone {
    let proof = signed.then_some(NxProofKind::Nsec);
    let mut zone = Zone::empty(name(origin), ZoneType::Primary, AxfrPolicy::Deny, proof);
    let soa = SOA::new(name("ns.example."), name("admin.example."), 1, 60, 60, 600, 60);
    let ns = RData::NS(NS(name("ns.example.")));
    for (at, data) in [(origin, RData::SOA(soa)), (origin, ns)].iter().chain(records) {
        zone.upsert_mut(Record::from_rdata(name(at), 60, data.clone()), 0);
    }
    zone
}

/// A signed root zone: below `signed.example` relay 1 has its record, relay 2 another, relay 3 two, relay 4
/// none; below `unsigned.example`, a zone of its own that is not signed, relay 1 has its record. Where it is,
/// and its key.
async fn name_server() -> (SocketAddr, TrustAnchors) {
    let text = |text: &[u8]| RData::TXT(TXT::from_bytes(vec![text]));
    let of = |byte: u8, domain: &str| format!("{}.{domain}.example.", relay(byte));
    let split = TXT::from_bytes(vec![&RECORD_TEXT[..9], &RECORD_TEXT[9..]]);
    let records = [
        (of(1, "signed"), text(RECORD_TEXT)),
        (of(2, "signed"), text(b"we-run-this-tor-bridge")),
        (of(3, "signed"), text(RECORD_TEXT)),
        (of(3, "signed"), text(b"v=spf1 -all")),
        (of(5, "signed"), RData::TXT(split)),
        ("unsigned.example.".to_owned(), RData::NS(NS(name("ns.example.")))),
    ];
    let records: Vec<_> = records.iter().map(|(at, data)| (at.as_str(), data.clone())).collect();
    let bytes = Ed25519SigningKey::generate_pkcs8().unwrap();
    let key = Ed25519SigningKey::from_pkcs8(&bytes).unwrap();
    let public = key.to_public_key().unwrap();
    let mut root = zone(".", true, &records);
    let dnskey = DNSKEY::from_key(&public);
    let week = Duration::from_secs(7 * 86_400);
    root.add_zone_signing_key_mut(DnssecSigner::new(dnskey, Box::new(key), name("."), week))
        .unwrap();
    root.secure_zone_mut().unwrap();
    let root = Arc::new(root);
    let catalog = || {
        let mut catalog = Catalog::new();
        catalog.upsert(name(".").into(), vec![root.clone()]);
        catalog
    };
    let mut all = catalog();
    let below = [(of(1, "unsigned"), text(RECORD_TEXT))];
    let below: Vec<_> = below.iter().map(|(at, data)| (at.as_str(), data.clone())).collect();
    let unsigned = zone("unsigned.example.", false, &below);
    all.upsert(name("unsigned.example.").into(), vec![Arc::new(unsigned)]);
    let mut server = Server::new(Names { parent: catalog(), all });
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = udp.local_addr().unwrap();
    server.register_socket(udp);
    if let Ok(tcp) = TcpListener::bind(address).await {
        server.register_listener(tcp, Duration::from_secs(5), 4096);
    }
    tokio::spawn(async move { server.block_until_done().await });
    let mut anchors = TrustAnchors::empty();
    anchors.insert(&public);
    (address, anchors)
}

async fn of_records(
    (resolver, anchors): (SocketAddr, TrustAnchors),
    of: &[(u8, &str)],
) -> Vec<Option<ProofProblem>> {
    let authorities = rustls::RootCertStore::empty();
    let trust = Trust { authorities, anchors, resolvers: vec![resolver] };
    let mut found = Vec::new();
    for (byte, domain) in of {
        let records = vec![((*domain).to_owned(), relay(*byte))];
        let agenda = Agenda { lists: [].into(), records };
        found.push(work(Asker::new(trust.clone()).unwrap(), &agenda).await[0].1);
    }
    found
}

#[tokio::test]
async fn a_signed_record_of_the_right_text_proves_its_relay() {
    let server = name_server().await;
    let signed = [1, 2, 3, 4, 5].map(|byte| (byte, "signed.example"));
    assert_eq!(
        of_records(server, &signed).await,
        [
            None,
            Some(ProofProblem::OtherRecord),
            Some(ProofProblem::OtherRecord),
            Some(ProofProblem::NoRecord),
            None
        ]
    );
}

#[tokio::test]
async fn no_record_counts_without_signatures_down_from_the_root() {
    let (address, anchors) = name_server().await;
    let unsigned = [(1, "unsigned.example")];
    assert_eq!(of_records((address, anchors), &unsigned).await, [Some(ProofProblem::NotSigned)]);
    // Signed by somebody whom this host does not trust.
    let (_, others) = name_server().await;
    let signed = [(1, "signed.example")];
    assert_eq!(of_records((address, others), &signed).await, [Some(ProofProblem::Bogus)]);
    // Nobody is there.
    let free = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let nobody = of_records((free, TrustAnchors::empty()), &signed).await;
    assert_eq!(nobody, [Some(ProofProblem::NoAnswer)]);
}
