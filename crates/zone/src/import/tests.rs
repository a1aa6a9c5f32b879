//! Logs of other servers, as they write them, and as nobody does.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// The lines as our log has them, and what came of it.
fn read(format: ForeignLog, bytes: &[u8]) -> (Vec<serde_json::Value>, Imported) {
    let mut lines = Vec::new();
    let imported = import(format, bytes, &mut |line| {
        let text = serde_json::to_string(&line).unwrap();
        // It is what the log's readers read.
        assert_eq!(serde_json::from_str::<QueryLine>(&text).unwrap(), line);
        lines.push(serde_json::from_str(&text).unwrap());
        Ok(())
    });
    let imported = imported.unwrap();
    assert_eq!(imported.queries, lines.len() as u64);
    (lines, imported)
}

#[test]
fn bind_s_query_log_of_any_age_is_read() {
    let text = "\
26-Nov-2026 18:48:30.123 client @0x7f1c2c0a8968 192.0.2.1#4711 (A.z.example.org): query: A.z.example.org IN A +E(0)DCK (198.51.100.1)
26-Nov-2026 18:48:30.124 queries: info: client 192.0.2.1#4712 (a.z.example.org): view all: query: a.z.example.org IN AAAA -ET (198.51.100.1) [ECS 203.0.113.0/24/0]
26-Nov-2026 18:48:30.125 client 2001:db8::1#4713: query: a.z.example.org IN TYPE65 + (2001:db8::53)
2026-11-26T18:48:30.126Z client @0x1 192.0.2.1#4714 (.): query: . IN NS - (198.51.100.1)
26-Nov-2026 18:48:30.127 client @0x1 192.0.2.1#4715 (version.bind): query: version.bind CH TXT + (198.51.100.1)
26-Nov-2026 18:48:30.128 zone example.org/IN: loaded serial 1
Nov 26 18:48:30 host named[1]: client @0x1 192.0.2.1#4716 (a.z.example.org): query: a.z.example.org IN A + (198.51.100.1)
26-Nov-2026 18:48:30.129 client @0x1 192.0.2.1#4717 (a.z.example.org): query: a.z.example.org IN
";
    let (lines, imported) = read(ForeignLog::Bind, text.as_bytes());
    let at = |ms| format!("2026-11-26T18:48:30.{ms}Z");
    assert_eq!(
        lines,
        [
            json!({ "time": at(123), "address": "192.0.2.1", "port": 4711, "transport": "udp",
                "name": "A.z.example.org.", "type": "A", "flags": ["rd", "cd", "do"], "cookie": true }),
            json!({ "time": at(124), "address": "192.0.2.1", "port": 4712, "transport": "tcp",
                "name": "a.z.example.org.", "type": "AAAA", "flags": [], "client_subnet": "203.0.113.0/24" }),
            json!({ "time": at(125), "address": "2001:db8::1", "port": 4713, "transport": "udp",
                "name": "a.z.example.org.", "type": "TYPE65", "flags": ["rd"] }),
            json!({ "time": at(126), "address": "192.0.2.1", "port": 4714, "transport": "udp",
                "name": ".", "type": "NS", "flags": [] }),
        ]
    );
    let first_bad =
        "line 7: it has no time with a year; see print-time in BIND's manual".to_owned();
    assert_eq!(imported, Imported { queries: 4, others: 2, bad: 2, first_bad: Some(first_bad) });
}

#[test]
fn cloudflare_s_lines_are_read_with_each_kind_of_time() {
    let line = |time: &str, more: &str| {
        format!(
            "{{\"ColoCode\":\"AMS\",\"EDNSSubnet\":\"\",\"EDNSSubnetLength\":0,\"QueryName\":\"a.z.example.org\",\
             \"QueryType\":28,\"ResponseCached\":false,\"ResponseCode\":0,\"SourceIP\":\"192.0.2.1\",\
             \"Timestamp\":{time}{more}}}\n"
        )
    };
    let mut text = line("\"2026-11-26T18:48:30Z\"", "") + &line("1795718910", "");
    text += &line("1795718910000000000", ",\"New\":[1]");
    text += &line("1", "").replace("\"ResponseCode\":0", "\"ResponseCode\":3");
    text += &line("1", "").replace("\"EDNSSubnet\":\"\"", "\"EDNSSubnet\":\"\\u001b]0;\"");
    text += "{\"ColoCode\":1}\n\n";
    let (lines, imported) = read(ForeignLog::Cloudflare, text.as_bytes());
    let wanted = json!({ "time": "2026-11-26T18:48:30Z", "address": "192.0.2.1", "name": "a.z.example.org.",
        "type": "AAAA", "flags": [], "answer": "NOERROR" });
    assert_eq!(lines[..3], [wanted.clone(), wanted.clone(), wanted]);
    assert_eq!((&lines[3]["answer"], &lines[3]["data"]), (&json!("NXDOMAIN"), &json!(false)));
    assert_eq!((imported.others, imported.bad), (1, 2));
}

fn question(id: u16, name: &str) -> Message {
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    let name = Name::from_ascii(name).unwrap();
    message.add_query(hickory_proto::op::Query::query(name, RecordType::A));
    message
}

/// A record of dnstap, as a frame.
fn frame_of(kind: i32, port: u32, id: u16, with: impl FnOnce(&mut Tapped)) -> Vec<u8> {
    let mut tapped = Tapped {
        kind,
        socket_protocol: 1,
        query_address: vec![192, 0, 2, 1],
        query_port: port,
        query_time_sec: 1_795_718_910,
        query_time_nsec: 5,
        ..Tapped::default()
    };
    if kind % 2 == 1 {
        tapped.query_message = question(id, "a.z.example.org.").to_vec().unwrap();
    } else {
        let mut answer = question(id, "a.z.example.org.");
        answer.metadata.message_type = MessageType::Response;
        answer.metadata.response_code = ResponseCode::NXDomain;
        tapped.response_message = answer.to_vec().unwrap();
    }
    with(&mut tapped);
    framed(&Dnstap { message: Some(tapped) }.encode_to_vec())
}

fn framed(payload: &[u8]) -> Vec<u8> {
    [&u32::try_from(payload.len()).unwrap().to_be_bytes()[..], payload].concat()
}

fn control(kind: u32, content: Option<&[u8]>) -> Vec<u8> {
    let mut payload = kind.to_be_bytes().to_vec();
    if let Some(content) = content {
        payload.extend(1_u32.to_be_bytes());
        payload.extend(framed(content));
    }
    [&[0; 4][..], &framed(&payload)].concat()
}

#[test]
fn dnstap_is_read_with_and_without_a_handshake_and_answers_are_joined_to_their_queries() {
    let body = [
        frame_of(1, 4711, 7, |_| {}),
        frame_of(1, 4712, 8, |_| {}),
        frame_of(2, 4711, 7, |_| {}),
        // An answer whose query was not tapped, and what a resolver asks.
        frame_of(6, 4713, 9, |_| {}),
        frame_of(3, 4714, 9, |_| {}),
        frame_of(1, 4715, 9, |tapped| tapped.query_address = vec![1]),
        framed(b"\xff\xff"),
    ]
    .concat();
    let (start, stop) = (control(2, Some(CONTENT)), control(3, None));
    for stream in [
        [&start[..], &body, &stop].concat(),
        body.clone(),
        // As a socket's was recorded.
        [&control(4, Some(CONTENT))[..], &start, &body, &stop, &control(5, None)].concat(),
    ] {
        let (lines, imported) = read(ForeignLog::Dnstap, &stream);
        let ports: Vec<_> = lines.iter().map(|line| (&line["port"], &line["answer"])).collect();
        let nothing = json!("NXDOMAIN");
        assert_eq!(
            ports,
            [
                (&json!(4711), &nothing),
                (&json!(4713), &nothing),
                (&json!(4712), &serde_json::Value::Null),
            ]
        );
        assert_eq!((imported.others, imported.bad), (1, 2), "{imported:?}");
    }
    let other = [&control(2, Some(b"protobuf:other.Thing"))[..], &body].concat();
    let (lines, imported) = read(ForeignLog::Dnstap, &other);
    assert!(lines.is_empty() && imported.first_bad.unwrap().contains("something else"));
}

#[test]
fn what_is_cut_off_or_too_long_ends_a_stream_and_what_came_before_counts() {
    let whole = frame_of(1, 4711, 7, |_| {});
    let cut = [&whole[..], &whole[..whole.len() - 1]].concat();
    let long = [&whole[..], &u32::MAX.to_be_bytes(), &[0; 100]].concat();
    for bytes in [cut, long] {
        let (lines, imported) = read(ForeignLog::Dnstap, &bytes);
        assert_eq!((lines.len(), imported.bad), (1, 1), "{imported:?}");
    }
}

#[test]
fn queries_without_answers_wait_in_bounded_room() {
    let mut stream = Vec::new();
    for n in 0..3 * u32::try_from(WAITING).unwrap() {
        stream.extend(frame_of(1, n % 60_000, u16::try_from(n / 60_000).unwrap(), |_| {}));
    }
    let mut handed = 0;
    let mut pairs = Pairs::default();
    let mut input = &stream[..];
    let mut payload = Vec::new();
    while let Frame::Data = frame(&mut input, &mut payload).unwrap() {
        handed += tapped(&payload, &mut pairs).unwrap().unwrap().len();
        assert!(pairs.order.len() <= WAITING && pairs.waiting.len() <= WAITING);
    }
    assert_eq!(handed + pairs.rest().len(), 3 * WAITING);
}

fn formats() -> impl Strategy<Value = ForeignLog> {
    prop_oneof![Just(ForeignLog::Dnstap), Just(ForeignLog::Bind), Just(ForeignLog::Cloudflare)]
}

proptest! {
    #[test]
    fn any_bytes_are_read_to_their_end(
        bytes in proptest::collection::vec(any::<u8>(), 0..2000),
        format in formats(),
    ) {
        let _ = read(format, &bytes);
    }

    #[test]
    fn a_damaged_log_is_read_to_its_end(
        at in any::<usize>(),
        byte in any::<u8>(),
        cut in any::<usize>(),
    ) {
        let tap = [frame_of(1, 4711, 7, |_| {}), frame_of(2, 4711, 7, |_| {})].concat();
        let bind = b"26-Nov-2026 18:48:30.123 client @0x7f 192.0.2.1#4711 (a): query: a IN A +E(0) (::) [ECS ::/0/0]\n";
        for (format, mut bytes) in [(ForeignLog::Dnstap, tap), (ForeignLog::Bind, bind.to_vec())] {
            let at = at % bytes.len();
            bytes[at] = byte;
            bytes.truncate(cut % (2 * bytes.len()));
            let _ = read(format, &bytes);
        }
    }
}
