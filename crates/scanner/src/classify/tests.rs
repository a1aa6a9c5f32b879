//! One test for each row of the measurements, and for each rule of weighing attempts.

use chrono::DateTime;
use proptest::prelude::*;
use record::{Millis, Timing};

use super::*;

const LIMIT: Duration = Duration::from_secs(2);

fn exit() -> Fingerprint {
    Fingerprint::from_bytes([0xEE; 20])
}

fn wildcard() -> Judge {
    Judge {
        mode: Mode::Wildcard,
        expected: Some("64.65.4.1".parse().unwrap()),
        exit_dns_limit: LIMIT,
    }
}

fn nxdomain() -> Judge {
    Judge { mode: Mode::Nxdomain, expected: None, exit_dns_limit: LIMIT }
}

fn circuit(state: CircuitState, hops: u8, reason: &str, remote: &str) -> Circuit {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Circuit {
        state,
        hops,
        path_ms: None,
        reason: some(reason),
        remote_reason: some(remote),
        refusal: None,
    }
}

fn built() -> Circuit {
    circuit(CircuitState::Built, 2, "", "")
}

fn query(via: Via, close: &str, resolve_ms: u64) -> Query {
    Query {
        stream_reason: (!close.is_empty()).then(|| close.to_owned()),
        attach_ms: Some(Duration::from_millis(1).into()),
        resolve_ms: Some(Duration::from_millis(resolve_ms).into()),
        ..Query::new(via, "name".to_owned())
    }
}

fn socks(reply: u8, address: &str, close: &str, resolve_ms: u64) -> Query {
    let addresses = address.parse().into_iter().collect();
    Query { socks_reply: Some(reply), addresses, ..query(Via::Socks, close, resolve_ms) }
}

fn dns(rcode: &str, address: &str, close: &str, resolve_ms: u64) -> Query {
    let addresses = address.parse().into_iter().collect();
    let rcode = Some(rcode.to_owned());
    Query { rcode, addresses, ..query(Via::DnsPortA, close, resolve_ms) }
}

/// A connection by which the exit was tried: its stream's end.
fn connect(reason: &str, remote: &str, resolve_ms: u64) -> Query {
    let remote = (!remote.is_empty()).then(|| remote.to_owned());
    Query { stream_remote_reason: remote, ..query(Via::Connect, reason, resolve_ms) }
}

/// The exit let a stream out.
fn open() -> Query {
    Query { socks_reply: Some(0), ..connect("", "", 30) }
}

/// A connection by name that met a private address.
fn private() -> Query {
    connect("TORPROTOCOL", "", 9)
}

fn said(circuit: &Circuit, queries: &[Query], judge: &Judge) -> (Status, String, Option<String>) {
    let verdict = classify(&exit(), circuit, queries, judge);
    assert_eq!(verdict.error.is_some(), verdict.fault.is_some());
    assert_eq!(verdict.fault.is_none(), verdict.status == Status::Success);
    let fault = verdict.fault.map(|(code, blame)| format!("{code} {blame}"));
    (verdict.status, fault.unwrap_or_default(), verdict.resolved_ip)
}

#[test]
fn a_lookup_that_was_never_sent_is_not_one_that_nobody_answered() {
    let unsent = Query { attach_ms: None, resolve_ms: None, ..socks(4, "", "TIMEOUT", 0) };
    let (status, fault, _) = said(&built(), std::slice::from_ref(&unsent), &wildcard());
    assert_eq!((status, fault.as_str()), (Status::Error, "STREAM_FAILED unknown"));
    let sent = Query { attach_ms: Some(Duration::from_millis(1).into()), ..unsent };
    assert_eq!(said(&built(), &[sent], &wildcard()).0, Status::Timeout);
}

#[test]
fn where_a_private_address_is_expected_a_withheld_one_is_not_wrong() {
    let judge = Judge { expected: Some("10.0.0.1".parse().unwrap()), ..wildcard() };
    let (status, fault, _) = said(&built(), &[socks(4, "", "TORPROTOCOL", 9), private()], &judge);
    assert_eq!((status, fault.as_str()), (Status::Error, "STREAM_FAILED scanner"));
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn wildcard_mode_reads_the_measured_rows() {
    use Status::{CircuitFail, DnsFail, Error, Success, WrongIp};
    let no = || socks(4, "", "DONE", 20);
    let late = || socks(4, "", "DONE", 2003);
    let rows: Vec<(&str, Vec<Query>, Status, &str)> = vec![
        ("correct", vec![socks(0, "64.65.4.1", "DONE", 9)], Success, ""),
        ("another", vec![socks(0, "192.0.2.9", "DONE", 9)], WrongIp, "UNEXPECTED_ADDRESS resolver"),
        (
            "private, refused",
            vec![socks(4, "", "TORPROTOCOL", 9), private()],
            WrongIp,
            "PRIVATE_ADDRESS resolver",
        ),
        (
            "private, taken",
            vec![socks(0, "10.0.0.1", "DONE", 9)],
            WrongIp,
            "PRIVATE_ADDRESS resolver",
        ),
        (
            "NXDOMAIN",
            vec![no(), dns("NXDOMAIN", "", "DONE", 9), open()],
            DnsFail,
            "NXDOMAIN resolver",
        ),
        (
            "NXDOMAIN, and a connection that leads nowhere",
            vec![no(), dns("NXDOMAIN", "", "DONE", 9), connect("END", "TIMEOUT", 9)],
            DnsFail,
            "NXDOMAIN resolver",
        ),
        (
            "NXDOMAIN, and nobody knows whether it exits",
            vec![no(), dns("NXDOMAIN", "", "DONE", 9)],
            DnsFail,
            "NXDOMAIN unknown",
        ),
        (
            "exits no longer",
            vec![no(), dns("NXDOMAIN", "", "DONE", 9), connect("END", "EXITPOLICY", 9)],
            Error,
            "NOT_AN_EXIT exit",
        ),
        (
            "hibernates",
            vec![no(), dns("NXDOMAIN", "", "DONE", 9), connect("END", "HIBERNATING", 9)],
            CircuitFail,
            "HIBERNATING exit",
        ),
        ("SERVFAIL", vec![no(), dns("SERVFAIL", "", "DONE", 9)], DnsFail, "SERVFAIL resolver"),
        (
            "silent",
            vec![late(), dns("SERVFAIL", "", "DONE", 2001), open()],
            DnsFail,
            "RESOLVER_TIMEOUT resolver",
        ),
        (
            "slow path, quick failure",
            vec![late(), dns("SERVFAIL", "", "DONE", 9)],
            DnsFail,
            "SERVFAIL resolver",
        ),
        ("other family", vec![no(), dns("NOERROR", "", "DONE", 9)], DnsFail, "NO_ADDRESS resolver"),
        ("broken, then right", vec![no(), dns("NOERROR", "64.65.4.1", "DONE", 9)], Success, ""),
        (
            "broken, then wrong",
            vec![no(), dns("NOERROR", "192.0.2.9", "DONE", 9)],
            WrongIp,
            "UNEXPECTED_ADDRESS resolver",
        ),
        (
            "then private",
            vec![no(), dns("SERVFAIL", "", "TORPROTOCOL", 9), private()],
            WrongIp,
            "PRIVATE_ADDRESS resolver",
        ),
        (
            "kind not learned",
            vec![no(), dns("SERVFAIL", "", "DESTROY", 9)],
            DnsFail,
            "RESOLVE_FAILED unknown",
        ),
        (
            "kind not learned, and the path's own time neither",
            vec![late(), dns("SERVFAIL", "", "DESTROY", 9)],
            DnsFail,
            "RESOLVE_FAILED unknown",
        ),
    ];
    for (row, queries, status, fault) in rows {
        let (got, why, _) = said(&built(), &queries, &wildcard());
        assert_eq!((got, why.as_str()), (status, fault), "{row}");
    }
}

#[test]
fn nxdomain_mode_takes_definite_answers_and_nothing_else() {
    use Status::{CircuitFail, DnsFail, Success, WrongIp};
    let rows = [
        (dns("NXDOMAIN", "", "DONE", 9), Success, "", Some("NXDOMAIN")),
        (dns("NOERROR", "192.0.2.9", "DONE", 9), Success, "", Some("192.0.2.9")),
        (dns("NOERROR", "", "DONE", 9), Success, "", Some("NXDOMAIN")),
        (
            dns("NOERROR", "10.1.1.1", "DONE", 9),
            WrongIp,
            "PRIVATE_ADDRESS resolver",
            Some("10.1.1.1"),
        ),
        (dns("SERVFAIL", "", "DONE", 9), DnsFail, "SERVFAIL resolver", None),
        // The circuit died: tor shows SERVFAIL here too, and it is nobody's DNS.
        (dns("SERVFAIL", "", "DESTROY", 9), CircuitFail, "CIRCUIT_DESTROYED unknown", None),
    ];
    for (query, status, fault, ip) in rows {
        let row = format!("{query:?}");
        let (got, why, resolved) = said(&built(), &[query], &nxdomain());
        assert_eq!((got, why.as_str(), resolved.as_deref()), (status, fault, ip), "{row}");
    }
}

#[test]
fn in_nxdomain_mode_too_a_private_address_and_a_relay_that_exits_nowhere_are_told() {
    let said = |queries: &[Query]| {
        let (status, why, _) = said(&built(), queries, &nxdomain());
        (status, why)
    };
    let no_name = || dns("NXDOMAIN", "", "DONE", 9);
    let withheld = dns("SERVFAIL", "", "TORPROTOCOL", 9);
    let wrong = (Status::WrongIp, "PRIVATE_ADDRESS resolver".to_owned());
    assert_eq!(said(&[withheld, private()]), wrong);
    assert_eq!(said(&[no_name(), open()]), (Status::Success, String::new()));
    let shut = (Status::Error, "NOT_AN_EXIT exit".to_owned());
    assert_eq!(said(&[no_name(), connect("END", "EXITPOLICY", 9)]), shut);
}

#[test]
fn the_paths_own_time_is_not_the_resolvers() {
    // Milliseconds: the circuit's last step; the two lookups; the connection, if it came back.
    let on = |step: u64, lookups: [u64; 2], connected: Option<u64>| {
        let circuit = Circuit { path_ms: Some(Duration::from_millis(step).into()), ..built() };
        let mut queries =
            vec![socks(4, "", "DONE", lookups[0]), dns("SERVFAIL", "", "DONE", lookups[1])];
        queries.extend(connected.map(|time| connect("END", "CONNECTREFUSED", time)));
        let verdict = classify(&exit(), &circuit, &queries, &wildcard());
        (verdict.fault.unwrap().0, verdict.error.unwrap())
    };
    use ErrorCode::{ResolveFailed, ResolverTimeout, Servfail};
    // An immediate SERVFAIL over a round trip of 1.95 s, with the link there already and without.
    assert_eq!(on(1_950, [1_960, 1_955], None).0, Servfail);
    assert_eq!(on(7_800, [1_960, 1_955], None).0, Servfail);
    // One that took 1.14 s behind a round trip of 0.8 s, with the link there already.
    assert_eq!(on(800, [1_946, 1_950], None).0, Servfail);
    // A silent resolver behind a quick path, and behind a slow one that was measured.
    assert_eq!(on(20, [2_003, 2_001], None).0, ResolverTimeout);
    assert_eq!(on(1_000, [3_003, 3_001], None).0, ResolverTimeout);
    assert_eq!(on(3_000, [3_003, 3_001], Some(1_000)).0, ResolverTimeout);
    // The last step held the two relays' handshake as well: between the two it cannot be told.
    let (code, words) = on(3_000, [3_003, 3_001], None);
    assert_eq!((code, words.contains("cannot be told")), (ResolveFailed, true), "{words}");
    // A circuit whose last step was slow once, and a connection that took longer than the lookups did.
    assert_eq!(on(2_500, [2_020, 2_025], Some(150)).0, ResolveFailed);
    // A busy host heard 0.12 s late that tor had sent the lookups: they may have taken the limit.
    let late = |query: Query| Query { attach_ms: Some(Duration::from_millis(120).into()), ..query };
    let circuit = Circuit { path_ms: Some(Duration::from_millis(20).into()), ..built() };
    let lookups = [socks(4, "", "DONE", 1_896), dns("SERVFAIL", "", "DONE", 1_890)].map(late);
    let verdict = classify(&exit(), &circuit, &lookups, &wildcard());
    assert_eq!(verdict.fault.unwrap().0, ResolveFailed);
    // One silent name server of two: not "at once".
    let (code, words) = on(20, [1_800, 1_801], None);
    assert_eq!((code, words.contains("at once")), (Servfail, false), "{words}");
    assert!(words.contains("1.8 s"), "{words}");
    assert!(on(20, [25, 24], None).1.contains("at once"));
}

#[test]
fn what_came_of_the_stream_decides_where_no_answer_came() {
    use Status::{CircuitFail, DnsFail, Error, Timeout};
    let quiet = Query { resolve_ms: None, ..query(Via::Socks, "", 0) };
    let unseen = Query { attach_ms: None, ..quiet.clone() };
    let local = Query { local_error: Some("refused".into()), ..unseen.clone() };
    let attach = Query { stream_reason: Some(ATTACH_REFUSED.into()), ..local.clone() };
    let failed_to_resolve =
        Query { stream_remote_reason: Some("RESOLVEFAILED".into()), ..socks(4, "", "END", 9) };
    let end_by = |remote: &str| Query {
        stream_remote_reason: Some(remote.into()),
        ..socks(4, "", "END", 9)
    };
    let mute_dns = Query { via: Via::DnsPortA, ..local.clone() };
    let end =
        Query { stream_remote_reason: Some("RESOURCELIMIT".into()), ..socks(4, "", "END", 9) };
    let rows = [
        (quiet, Timeout, "TIMEOUT unknown"),
        (socks(4, "", "TIMEOUT", 9), Timeout, "TIMEOUT unknown"),
        (socks(4, "", "DESTROY", 9), CircuitFail, "CIRCUIT_DESTROYED unknown"),
        (end, DnsFail, "EXIT_ENDED_STREAM exit"),
        (failed_to_resolve, DnsFail, "EXIT_ENDED_STREAM exit"),
        (end_by("HIBERNATING"), CircuitFail, "HIBERNATING exit"),
        (end_by("EXITPOLICY"), Error, "NOT_AN_EXIT exit"),
        (socks(4, "", "TORPROTOCOL", 9), Error, "STREAM_FAILED unknown"),
        (socks(4, "", "", 9), Error, "SOCKS_HOST_UNREACHABLE scanner"),
        (socks(0, "64.65.4.1", "", 9), Error, "WITNESSES_DISAGREE scanner"),
        (socks(1, "", "", 9), Error, "SOCKS_GENERAL_FAILURE scanner"),
        (socks(4, "", "MISC", 9), Error, "STREAM_FAILED unknown"),
        (unseen, Error, "STREAM_NOT_SEEN scanner"),
        (local, Error, "SOCKS_FAILED scanner"),
        (attach, Error, "ATTACH_REFUSED scanner"),
        (mute_dns, Error, "DNS_PORT_FAILED scanner"),
    ];
    for (query, status, fault) in rows {
        let row = format!("{query:?}");
        let (got, why, _) = said(&built(), &[query], &wildcard());
        assert_eq!((got, why.as_str()), (status, fault), "{row}");
    }
}

#[test]
fn the_circuits_end_tells_who_is_to_blame() {
    use CircuitState::{Died, Failed, Lost, Pending};
    let rows = [
        (circuit(Failed, 0, "CHANNEL_CLOSED", ""), "CIRCUIT_FIRST_HOP_FAILED first_hop"),
        (circuit(Failed, 0, "CONNECTFAILED", ""), "CIRCUIT_FIRST_HOP_FAILED first_hop"),
        (circuit(Failed, 0, "DESTROYED", "RESOURCELIMIT"), "CIRCUIT_FIRST_HOP_FAILED first_hop"),
        (circuit(Failed, 1, "CHANNEL_CLOSED", ""), "CIRCUIT_FIRST_HOP_FAILED first_hop"),
        (circuit(Failed, 1, "DESTROYED", "CHANNEL_CLOSED"), "CIRCUIT_EXIT_UNREACHABLE unknown"),
        (circuit(Failed, 1, "DESTROYED", "CONNECTFAILED"), "CIRCUIT_EXIT_UNREACHABLE unknown"),
        (circuit(Failed, 1, "DESTROYED", "RESOURCELIMIT"), "CIRCUIT_FAILED unknown"),
        (circuit(Failed, 1, "DESTROYED", "HIBERNATING"), "HIBERNATING unknown"),
        (circuit(Failed, 1, "TORPROTOCOL", ""), "CIRCUIT_FAILED unknown"),
        (circuit(Failed, 1, "", ""), "CIRCUIT_FAILED unknown"),
        (circuit(Pending, 0, "", ""), "CIRCUIT_TIMEOUT first_hop"),
        (circuit(Pending, 1, "", ""), "CIRCUIT_TIMEOUT unknown"),
        (circuit(Died, 2, "DESTROYED", "CHANNEL_CLOSED"), "CIRCUIT_DESTROYED unknown"),
        (circuit(Died, 2, "CHANNEL_CLOSED", ""), "CIRCUIT_DESTROYED first_hop"),
    ];
    for (circuit, fault) in rows {
        let (status, why, _) = said(&circuit, &[], &wildcard());
        assert_eq!((status, why.as_str()), (Status::CircuitFail, fault), "{circuit:?}");
    }
    // What this host's own tor did is held against no relay.
    for (reason, code) in [
        ("TIMEOUT", "TOR_GAVE_UP"),
        ("MEASUREMENT_EXPIRED", "TOR_GAVE_UP"),
        ("PURPOSE_MEASURE_TIMEOUT", "TOR_GAVE_UP"),
        ("REQUESTED", "CLOSED_LOCALLY"),
        ("RESOURCELIMIT", "CLOSED_LOCALLY"),
        ("HIBERNATING", "CLOSED_LOCALLY"),
        ("FINISHED", "CLOSED_LOCALLY"),
        ("NOPATH", "CLOSED_LOCALLY"),
        ("PURPOSE_HS_VANGUARDS", "CLOSED_LOCALLY"),
    ] {
        for (state, hops) in [(Failed, 0), (Failed, 1), (Died, 2)] {
            let (status, why, _) = said(&circuit(state, hops, reason, ""), &[], &wildcard());
            assert_eq!((status, why), (Status::Error, format!("{code} scanner")), "{reason}");
        }
    }
    let (status, why, _) = said(&circuit(Lost, 1, "", ""), &[], &wildcard());
    assert_eq!((status, why.as_str()), (Status::Error, "TOR_LOST scanner"));
    let dead = Query { stream_reason: Some(ATTACH_REFUSED.into()), ..query(Via::Socks, "", 0) };
    let (status, why, _) = said(&circuit(Died, 2, "DESTROYED", ""), &[dead], &wildcard());
    assert_eq!((status, why.as_str()), (Status::CircuitFail, "CIRCUIT_DESTROYED unknown"));
}

#[test]
fn a_refused_launch_blames_whom_tor_names() {
    let refused = |words: &str| Circuit {
        refusal: Some(words.to_owned()),
        ..circuit(CircuitState::Refused, 0, "", "")
    };
    let hop = Fingerprint::from_bytes([1; 20]);
    let rows = [
        (format!("552 No such router \"{}\"", exit()), Status::CircuitFail, "LEFT_CONSENSUS exit"),
        // This tor has not fetched it: the relay may be well.
        (format!("552 No descriptor for \"{}\"", exit()), Status::Error, "NO_DESCRIPTOR scanner"),
        (format!("552 No descriptor for \"{hop}\""), Status::Error, "NO_DESCRIPTOR scanner"),
        (
            format!("552 No such router \"{hop}\""),
            Status::CircuitFail,
            "CIRCUIT_FIRST_HOP_FAILED first_hop",
        ),
        ("551 Couldn't start circuit".into(), Status::Error, "LAUNCH_REFUSED scanner"),
    ];
    for (words, status, fault) in rows {
        let (got, why, _) = said(&refused(&words), &[], &wildcard());
        assert_eq!((got, why.as_str()), (status, fault), "{words}");
    }
}

fn attempt(hop: u8, status: Status, fault: Option<(ErrorCode, Blame)>) -> Attempt {
    let (error_code, blame) = fault.unzip();
    Attempt {
        number: 1,
        round: 0,
        started: DateTime::UNIX_EPOCH,
        ended: DateTime::UNIX_EPOCH,
        first_hop: Fingerprint::from_bytes([hop; 20]),
        status,
        error_code,
        blame,
        error: None,
        resolved_ip: None,
        circuit: built(),
        queries: Vec::new(),
        decided_by: None,
        timing: Timing::default(),
    }
}

fn concluded(attempts: &[Attempt]) -> (usize, Option<Blame>) {
    let conclusion = conclude(attempts).unwrap();
    (conclusion.attempt, conclusion.blame)
}

#[test]
fn attempts_are_weighed() {
    use Blame::{Exit, FirstHop, Resolver, Scanner, Unknown};
    let success = || attempt(1, Status::Success, None);
    let wrong = || attempt(1, Status::WrongIp, Some((ErrorCode::UnexpectedAddress, Resolver)));
    let nxdomain = || attempt(1, Status::DnsFail, Some((ErrorCode::Nxdomain, Resolver)));
    let unreachable =
        |hop| attempt(hop, Status::CircuitFail, Some((ErrorCode::CircuitExitUnreachable, Unknown)));
    let silent = |hop| attempt(hop, Status::Timeout, Some((ErrorCode::Timeout, Unknown)));
    let hop_down =
        |hop| attempt(hop, Status::CircuitFail, Some((ErrorCode::CircuitFirstHopFailed, FirstHop)));
    let lost = || attempt(1, Status::Error, Some((ErrorCode::TorLost, Scanner)));

    assert_eq!(conclude(&[]), None);
    assert_eq!(concluded(&[wrong(), success()]), (0, Some(Resolver)), "a wrong answer stays");
    assert_eq!(concluded(&[success(), wrong()]), (1, Some(Resolver)));
    assert_eq!(concluded(&[nxdomain(), success()]), (1, None), "a passing fault does not");
    assert_eq!(concluded(&[nxdomain(), unreachable(2)]), (0, Some(Resolver)));
    assert_eq!(concluded(&[nxdomain(), nxdomain()]), (1, Some(Resolver)), "of equals, the last");
    let unclear = || attempt(1, Status::DnsFail, Some((ErrorCode::ResolveFailed, Resolver)));
    assert_eq!(concluded(&[nxdomain(), unclear()]), (0, Some(Resolver)), "it tells more");
    assert_eq!(concluded(&[unclear(), unclear()]), (1, Some(Resolver)));
    // What could not be told from a relay that takes no streams is one where another attempt has told.
    let untold = || attempt(1, Status::DnsFail, Some((ErrorCode::ResolveFailed, Unknown)));
    let shut = || attempt(2, Status::Error, Some((ErrorCode::NotAnExit, Exit)));
    let hibernates = || attempt(2, Status::CircuitFail, Some((ErrorCode::Hibernating, Exit)));
    assert_eq!(concluded(&[untold(), shut(), unreachable(3)]), (1, Some(Exit)));
    assert_eq!(concluded(&[hibernates(), untold()]), (0, Some(Exit)));
    assert_eq!(concluded(&[untold(), unreachable(2)]), (0, Some(Unknown)));
    assert_eq!(concluded(&[nxdomain(), shut()]), (0, Some(Resolver)), "its resolver answered");
    assert_eq!(concluded(&[unreachable(1), lost()]), (0, Some(Unknown)));
    assert_eq!(concluded(&[unreachable(1), hop_down(2)]), (0, Some(Unknown)));
    // Two first hops acquit each other; the same one twice does not.
    assert_eq!(concluded(&[unreachable(1), unreachable(1)]), (1, Some(Unknown)));
    assert_eq!(concluded(&[unreachable(1), unreachable(2)]), (1, Some(Exit)));
    assert_eq!(concluded(&[silent(1), unreachable(2)]), (0, Some(Exit)));
    assert_eq!(concluded(&[hop_down(1), hop_down(2)]), (1, Some(FirstHop)));
    // A silence is held against the exit only where something since got as far as the exit.
    assert_eq!(concluded(&[silent(1)]), (0, Some(Unknown)));
    assert_eq!(concluded(&[silent(1), hop_down(2)]), (1, Some(FirstHop)));
    assert_eq!(concluded(&[silent(1), lost()]), (1, Some(Scanner)));
    assert_eq!(concluded(&[silent(1), hop_down(2), silent(3)]), (2, Some(Exit)));
    assert_eq!(concluded(&[nxdomain(), hop_down(2)]), (0, Some(Resolver)), "the exit did answer");
}

fn any_query() -> impl Strategy<Value = Query> {
    let word = prop::option::of(prop::sample::select(vec![
        "DONE",
        "DESTROY",
        "TORPROTOCOL",
        "END",
        "MISC",
        "TIMEOUT",
        "ATTACH_REFUSED",
        "\u{1b}[2J",
    ]));
    let rcode =
        prop::option::of(prop::sample::select(vec!["NOERROR", "NXDOMAIN", "SERVFAIL", "x"]));
    let address =
        prop::option::of(prop::sample::select(vec!["64.65.4.1", "192.0.2.1", "10.0.0.1", "::1"]));
    (word, rcode, address, prop::option::of(any::<u8>()), 0_u64..5000, any::<[bool; 3]>()).prop_map(
        |(word, rcode, address, reply, time, [by_socks, sent, local])| Query {
            rcode: rcode.map(str::to_owned),
            socks_reply: reply,
            addresses: address.map(|text| text.parse().unwrap()).into_iter().collect(),
            attach_ms: sent.then(|| Millis::from(Duration::from_millis(1))),
            local_error: local.then(|| "local".to_owned()),
            ..query(if by_socks { Via::Socks } else { Via::DnsPortA }, word.unwrap_or(""), time)
        },
    )
}

proptest! {
    /// Whatever the evidence: no panic, a fault exactly where it is no success, no success without
    /// the right address, and no wrong answer without a wrong one.
    #[test]
    fn any_evidence_gets_a_verdict(
        queries in prop::collection::vec(any_query(), 0..3),
        died: bool,
        nx: bool,
    ) {
        let state = if died { CircuitState::Died } else { CircuitState::Built };
        let judge = if nx { nxdomain() } else { wildcard() };
        let (status, ..) = said(&circuit(state, 2, "DESTROYED", ""), &queries, &judge);
        if let Some(expected) = judge.expected {
            let lie = queries.iter().flat_map(|query| &query.addresses).any(|ip| *ip != expected);
            prop_assert!(lie || status != Status::WrongIp);
            let truth = queries.iter().any(|query| query.addresses.contains(&expected));
            prop_assert!(status != Status::Success || truth);
        }
    }
}
