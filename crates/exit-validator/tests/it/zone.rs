//! `zone serve` as a process, asked by a DNS library that others wrote, and by whoever means no good.

#![expect(clippy::disallowed_methods, reason = "it waits for programs, which know no other time")]

mod import;
mod resolvers;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RecordType};
use serde_json::{Value, json};

use crate::others::{Ended, python};
use crate::report::fixture::{Scan, scan};
use crate::support::program;

const PATIENCE: Duration = Duration::from_secs(60);

const ZONE: &str = "z.example.org";

const SCAN: &str = "0a1b2c3d-0000-4000-8000-00000000000f.5a5a5a5a.z.example.org";

/// A name server that ends with this.
struct Server {
    process: Child,
    addresses: Vec<SocketAddr>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(program("exit-validator"));
    command
        .env_clear()
        .args(["zone", "serve", "--domain", ZONE, "--expected-ipv6", "2001:db8::1"])
        .args(arguments)
        .stderr(Stdio::piped());
    if !arguments.contains(&"--name-servers") {
        command.args(["--name-servers", "ns.z.example.org 192.0.2.53 2001:db8::53"]);
    }
    command
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        // A machine without IPv6 on loopback has one address only.
        let ipv6 = UdpSocket::bind("[::1]:0").is_ok();
        let listen = if ipv6 { "127.0.0.1:0,[::1]:0" } else { "127.0.0.1:0" };
        let mut command = command(arguments);
        command.args(["--listen", listen]);
        Self::of(command, if ipv6 { 2 } else { 1 })
    }

    fn of(mut command: Command, sockets: usize) -> Self {
        let mut process = command.spawn().unwrap();
        let mut said = BufReader::new(process.stderr.take().unwrap());
        let mut server = Self { process, addresses: Vec::new() };
        while server.addresses.len() < sockets {
            let mut line = String::new();
            assert!(said.read_line(&mut line).unwrap() > 0, "it ended");
            if let Some((_, address)) = line.trim_end().split_once("answering on ") {
                server.addresses.push(address.parse().unwrap());
            }
        }
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        server
    }

    fn port(&self) -> u16 {
        self.addresses[0].port()
    }

    fn udp(&self) -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.connect(self.addresses[0]).unwrap();
        socket
    }

    /// Ends it as a service manager does.
    fn end(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert_eq!(self.process.wait().unwrap().code(), Some(0));
    }

    /// What it takes of memory, in KiB; its own code, as far as it was read, does not count.
    fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

/// The library, as a process.
struct Asker {
    _process: Ended,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Asker {
    fn start() -> Self {
        let mut process =
            python("ask_zone.py").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { _process: Ended(process), input, output }
    }

    fn ask(&mut self, question: &Value) -> Value {
        writeln!(self.input, "{question}").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{question}: {line:?}: {error}"))
    }
}

fn question(name: &str) -> Vec<u8> {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    // As bytes: not every one that can be sent can be written.
    let name = Name::from_labels(name.split('.').map(str::as_bytes)).unwrap();
    message.add_query(Query::query(name, RecordType::A));
    message.to_vec().unwrap()
}

fn answer(socket: &UdpSocket) -> Message {
    let mut buffer = [0; 1500];
    let length = socket.recv(&mut buffer).unwrap();
    Message::from_vec(&buffer[..length]).unwrap()
}

const SOA: &str =
    "z.example.org. TTL IN SOA ns.z.example.org. hostmaster.z.example.org. 1 7200 3600 1209600 60";

/// A name, a type, and what is answered by IPv4: the code, the answer and the authority, TTLs as they are.
const ANSWERS: [(&str, &str, &str, &str, &str); 8] = [
    (SCAN, "A", "NOERROR", "SCAN. 60 IN A 64.65.4.1", ""),
    ("A.z.Example.org", "AAAA", "NOERROR", "A.z.Example.org. 60 IN AAAA 2001:db8::1", ""),
    ("a.z.example.org", "MX", "NOERROR", "", "SOA 60"),
    ("a.nx.checks.z.example.org", "A", "NXDOMAIN", "", "CHECKS SOA 60"),
    ("z.example.org", "SOA", "NOERROR", "SOA 3600", ""),
    ("example.org", "A", "REFUSED", "", ""),
    ("a.z.example.org", "ANY", "NOERROR", "a.z.example.org. 60 IN A 64.65.4.1", ""),
    (
        "a.who.checks.z.example.org",
        "A",
        "NOERROR",
        "a.who.checks.z.example.org. 0 IN A 127.0.0.1",
        "",
    ),
];

/// As the library writes the lines of a section.
fn section(text: &str) -> Value {
    let soa = |ttl: &str| SOA.replace("TTL", ttl);
    match text.split_once("SOA ") {
        Some(("CHECKS ", ttl)) => json!([format!("checks.{}", soa(ttl))]),
        Some((_, ttl)) => json!([soa(ttl)]),
        None if text.is_empty() => json!([]),
        None => json!([text.replace("SCAN", SCAN)]),
    }
}

#[test]
fn another_library_understands_every_answer_by_udp_and_tcp_and_both_families() {
    let server = Server::start(&[]);
    let mut asker = Asker::start();
    for address in &server.addresses {
        let to = json!([address.ip(), address.port()]);
        for (tcp, edns) in
            [(false, Value::Null), (false, json!(1232)), (true, Value::Null), (true, json!(1232))]
        {
            for (name, kind, code, answer, authority) in ANSWERS {
                let asked =
                    json!({ "to": to, "name": name, "type": kind, "tcp": tcp, "edns": edns });
                let got = asker.ask(&asked);
                let flags: Vec<&str> =
                    got["flags"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
                assert!(!flags.contains(&"RA") && !flags.contains(&"AD"), "{got}");
                assert_eq!(got["edns"], edns, "{asked} {got}");
                assert_eq!(got["code"], code, "{asked} {got}");
                if address.is_ipv6() && name.contains("who") {
                    // That part is reached by IPv4.
                    let delegated =
                        "who.checks.z.example.org. 3600 IN NS ns4.checks.z.example.org.";
                    assert_eq!(got["authority"], json!([delegated]), "{asked} {got}");
                    let glue = "ns4.checks.z.example.org. 3600 IN A 192.0.2.53";
                    assert_eq!(got["additional"], json!([glue]), "{asked} {got}");
                    continue;
                }
                assert_eq!(got["answer"], section(answer), "{asked} {got}");
                assert_eq!(got["authority"], section(authority), "{asked} {got}");
            }
        }
        // By TCP alone: the library goes on by TCP of itself.
        let name = "a.tcp.checks.z.example.org";
        let got = asker.ask(&json!({ "to": to, "name": name, "type": "A", "fallback": true }));
        let answer = "a.tcp.checks.z.example.org. 60 IN A 64.65.4.1";
        assert_eq!((&got["tcp"], &got["answer"]), (&json!(true), &json!([answer])));
    }
}

#[test]
fn each_query_is_in_the_log_when_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("zone");
    let mut server = Server::start(&["--log-dir", log.to_str().unwrap()]);
    let socket = server.udp();
    socket.send(&question(SCAN)).unwrap();
    answer(&socket);
    let mut stream = TcpStream::connect(server.addresses[0]).unwrap();
    let asked = question("\u{1b}]0;x\u{7}.nx.checks.z.example.org");
    stream.write_all(&u16::try_from(asked.len()).unwrap().to_be_bytes()).unwrap();
    stream.write_all(&asked).unwrap();
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    server.end();
    let text = fs::read_to_string(log.join("queries.jsonl")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "{text}");
    for (line, wanted) in lines.iter().zip([
        json!({ "transport": "udp", "name": format!("{SCAN}."), "answer": "NOERROR", "data": true }),
        json!({ "transport": "tcp", "answer": "NXDOMAIN", "data": false }),
    ]) {
        for (key, value) in wanted.as_object().unwrap() {
            assert_eq!(&line[key], value, "{line}");
        }
        assert_eq!((&line["address"], &line["type"]), (&json!("127.0.0.1"), &json!("A")));
        assert_eq!(line["flags"], json!(["rd"]));
    }
    assert!(!text.contains('\u{1b}') && text.contains(r"\\033\\]0\\;x\\007"), "{text}");
}

#[test]
fn a_flood_is_sent_to_tcp_and_then_left_alone_and_a_scan_is_answered_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("zone");
    let mut server = Server::start(&["--rate", "20", "--log-dir", log.to_str().unwrap()]);
    let socket = server.udp();
    // It takes its time to start, in which what was asked too much would be forgiven.
    let mut asker = Asker::start();
    let flood = question("a.z.example.org");
    for _ in 0..1000 {
        socket.send(&flood).unwrap();
    }
    let (mut whole, mut short) = (0, 0);
    let started = Instant::now();
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    loop {
        // The flood may have pushed the one before out of the socket.
        socket.send(&question(SCAN)).unwrap();
        let mut buffer = [0; 1500];
        let mut scanned = None;
        while let (None, Ok(length)) = (&scanned, socket.recv(&mut buffer)) {
            let message = Message::from_vec(&buffer[..length]).unwrap();
            if message.queries[0].name().to_ascii() == format!("{SCAN}.") {
                scanned = Some(message);
            } else if message.metadata.truncation {
                short += 1;
                assert!(length <= flood.len());
            } else {
                whole += 1;
            }
        }
        if let Some(message) = scanned {
            assert!(message.metadata.truncation, "it comes back by TCP, and is answered there");
            break;
        }
        assert!(started.elapsed() < PATIENCE);
    }
    // Five seconds' worth at once, as much by TCP, and then nothing.
    assert!(whole >= 50 && short >= 50 && whole + short < 900, "{whole} {short}");
    let to = json!(["127.0.0.1", server.port()]);
    // What was asked too much is forgiven after five seconds, and a busy machine may have taken them.
    for _ in 0..200 {
        socket.send(&flood).unwrap();
    }
    let got = asker.ask(&json!({ "to": to, "name": SCAN, "type": "A", "fallback": true }));
    assert_eq!((&got["tcp"], got["answer"].as_array().unwrap().len()), (&json!(true), 1));
    server.end();
    let text = fs::read_to_string(log.join("queries.jsonl")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let unlogged: u64 = lines.iter().filter_map(|line| line["unlogged"].as_u64()).sum();
    assert!(unlogged >= short, "the flood is counted, not written: {unlogged}");
}

#[test]
fn whatever_bytes_come_it_goes_on_and_takes_no_more_memory() {
    let server = Server::start(&["--rate", "0"]);
    let socket = server.udp();
    let mut random = 1_u64;
    let mut byte = || {
        // An xorshift: the same bytes each time.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random.to_le_bytes()[0]
    };
    let mut begun = 0;
    let good = question(SCAN);
    for round in 0..20_000_usize {
        // When each thread has had what it takes.
        if round == 5_000 {
            begun = server.memory();
        }
        let mut bytes: Vec<u8> = (0..round % 300).map(|_| byte()).collect();
        if round % 2 == 0 {
            bytes.clone_from(&good);
            let at = usize::from(byte()) % bytes.len();
            bytes[at] = byte();
        }
        let _ = socket.send(&bytes);
        // Streams of anything, whole or broken off.
        if round % 200 == 0 {
            let mut stream = TcpStream::connect(server.addresses[0]).unwrap();
            let _ = stream.write_all(&bytes);
        }
    }
    let fresh = server.udp();
    let started = Instant::now();
    fresh.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    loop {
        // What was sent before may still be waiting before it, and push it out.
        fresh.send(&good).unwrap();
        let mut buffer = [0; 1500];
        if let Ok(length) = fresh.recv(&mut buffer) {
            assert_eq!(Message::from_vec(&buffer[..length]).unwrap().answers.len(), 1);
            break;
        }
        assert!(started.elapsed() < PATIENCE);
    }
    let grown = server.memory().saturating_sub(begun);
    assert!(grown < 8 << 10, "{grown} KiB more");
}

#[test]
fn connections_are_few_for_each_network_and_end_when_nobody_asks() {
    let server = Server::start(&[]);
    let mut open: Vec<TcpStream> =
        (0..40).map(|_| TcpStream::connect(server.addresses[0]).unwrap()).collect();
    let asked = question(SCAN);
    let framed = [&u16::try_from(asked.len()).unwrap().to_be_bytes()[..], &asked].concat();
    let mut answered = 0;
    for stream in &mut open {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = stream.write_all(&framed);
        let mut length = [0; 2];
        answered += u32::from(stream.read_exact(&mut length).is_ok());
    }
    assert_eq!(answered, 16);
    // Silence ends them, so that there is room again.
    let mut rest = Vec::new();
    for stream in &mut open {
        rest.clear();
        let _ = stream.read_to_end(&mut rest);
    }
    let mut stream = TcpStream::connect(server.addresses[0]).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&framed).unwrap();
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
}

#[test]
fn the_sockets_of_a_service_manager_are_taken() {
    let served = command(&[]);
    let mut activated = python("activate.py");
    activated.arg(served.get_program()).args(served.get_args());
    activated.stdout(Stdio::null()).stderr(Stdio::piped());
    let server = Server::of(activated, 1);
    let socket = server.udp();
    socket.send(&question(SCAN)).unwrap();
    assert_eq!(answer(&socket).answers.len(), 1);
    assert_eq!(server.addresses[0].ip(), IpAddr::from([127, 0, 0, 1]));
    TcpStream::connect(server.addresses[0]).unwrap();
}

#[test]
fn what_cannot_be_served_is_refused_before_anything_starts() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let file = tempfile::NamedTempFile::new().unwrap();
    let inside: &Path = file.path();
    for (arguments, code, wanted) in [
        (&["--listen", &*taken][..], 29, "no other server may have the port"),
        (&["--listen", "127.0.0.1:0", "--log-dir", inside.to_str().unwrap()], 29, "log of queries"),
        (&["--name-servers", ""], 2, "no name server"),
        (&["--name-servers", "who.checks.z.example.org 192.0.2.1"], 2, "call it ns1"),
        (&["--listen", "localhost"], 2, "--listen"),
    ] {
        let output = Command::new(program("exit-validator"))
            .env_clear()
            .args(["zone", "serve", "--domain", ZONE])
            .args(if wanted.contains("name server") || wanted.contains("ns1") {
                &[][..]
            } else {
                &["--name-servers", "ns.z.example.org 192.0.2.53"]
            })
            .args(arguments)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(wanted), "{said}");
    }
}

/// The line that the server writes of a query for this name.
fn logged(name: &str, time: DateTime<Utc>, address: &str) -> String {
    let line = json!({
        "time": time, "address": address, "port": 4711, "transport": "udp", "name": format!("{name}."),
        "type": "A", "flags": [], "answer": "NOERROR", "data": true,
    });
    format!("{line}\n")
}

/// Writes a run and what the zone's server logged of it, by a clock that is seven seconds ahead.
fn write_run_and_log(mut scan: Scan, run: &Path) -> String {
    // As a scanner does, no run asks for a name of another.
    let mut id = scan.plan.run_id.clone();
    id.retain(|c| c.is_ascii_alphanumeric());
    for result in &mut scan.results {
        let queries = result.attempts.iter_mut().flat_map(|attempt| &mut attempt.queries);
        let names = queries.map(|query| &mut query.name).chain(result.query_domain.as_mut());
        names.for_each(|name| *name = format!("{}{name}", id.to_lowercase()));
    }
    scan.write(run);
    let (mut text, ahead) = (String::new(), TimeDelta::seconds(7));
    for result in &scan.results {
        let number = result.exit_fingerprint.as_bytes()[19];
        let attempt = &result.attempts[0];
        let Some(query) = attempt.queries.first() else { continue };
        let time = match number {
            1 | 2 => attempt.ended + ahead - TimeDelta::milliseconds(5),
            4 => attempt.ended + ahead - TimeDelta::milliseconds(1500),
            5 => attempt.ended + ahead + TimeDelta::seconds(30),
            _ => continue,
        };
        let address = format!("192.0.2.{}", number / 3);
        if number < 3 {
            // It asks for the name above first.
            text += &logged(query.name.split_once('.').unwrap().1, time, &address);
        }
        text += &logged(&query.name, time, &address);
    }
    text
}

#[test]
fn a_run_beside_the_log_says_who_asked_and_where_lookups_got_lost() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("zone");
    let scan = scan(0, [(1, 's'), (2, 's'), (3, 't'), (4, 'd'), (5, 'd'), (6, 'c')]);
    let mut text = write_run_and_log(scan, &dir.path().join("run"));
    fs::create_dir(&log).unwrap();
    text += "{\"time\":\"2026-01-01T00:00:00Z\",\"unlogged\":7}\nhalf a li";
    fs::write(log.join("queries.jsonl"), text).unwrap();
    let correlate = |arguments: &[&str]| {
        let output = Command::new(program("exit-validator"))
            .env_clear()
            .current_dir(dir.path())
            .args(["zone", "correlate"])
            .args(arguments)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let (code, said) = correlate(&["run", "--log", "zone"]);
    assert_eq!(code, Some(0), "{said}");
    insta::assert_snapshot!("correlated", said);
    let (_, json) = correlate(&["run", "--log", "zone/queries.jsonl", "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["names_seen"], 4, "{json}");
    let (code, said) = correlate(&["run", "--log", "elsewhere"]);
    assert_eq!(code, Some(21), "{said}");
    let (code, said) = correlate(&["zone", "--log", "zone"]);
    assert_eq!(code, Some(21), "{said}");
    assert!(said.contains("has no results"), "{said}");
    let (code, said) = correlate(&["run"]);
    assert_eq!(code, Some(2), "{said}");
}

/// What the log says is in the report; a log that comes after its run's report is in the next one.
#[test]
fn a_report_says_what_the_log_does_also_when_that_comes_late() {
    let dir = tempfile::tempdir().unwrap();
    let marks = [(1, 's'), (2, 's'), (3, 't'), (4, 'd'), (5, 'd'), (6, 'c')];
    let log = dir.path().join("zone");
    fs::create_dir(&log).unwrap();
    let report = |run: i32, more: &[&str]| -> Value {
        let output = Command::new(program("exit-validator"))
            .env_clear()
            .current_dir(dir.path())
            .args(["report", "--zone-check=false", "--gate-min-relays", "1", "--force"])
            .args(["--location-db", "none", "--input", &format!("analysis/run{run}")])
            .args(more)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{said}");
        let bytes = fs::read(dir.path().join("public/latest.json")).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    };
    let of = |report: &Value, number: u8| -> Value {
        let results = report["results"].as_array().unwrap();
        let is = |result: &&Value| {
            result["exit_fingerprint"].as_str().unwrap().ends_with(&format!("{number:02}"))
        };
        results.iter().find(is).unwrap().clone()
    };
    let first = write_run_and_log(scan(0, marks), &dir.path().join("analysis/run0"));
    let made = report(0, &["--zone-log", "zone"]);
    assert_eq!(of(&made, 1).get("resolver"), None, "the log is empty");
    assert_eq!(of(&made, 3).get("at_zone"), None, "and says nothing of what it never had");

    // Another run, of which the log has nothing but what is late of the first.
    write_run_and_log(scan(1, marks), &dir.path().join("analysis/run1"));
    fs::write(log.join("queries.jsonl"), &first).unwrap();
    let made = report(1, &["--zone-log", "zone"]);
    let resolver = &of(&made, 4)["resolver"];
    assert_eq!(resolver["addresses"][0]["address"], "192.0.2.1", "{resolver}");
    assert!(resolver["seen"].as_str().unwrap() < made["metadata"]["timestamp"].as_str().unwrap());
    assert_eq!(of(&made, 4).get("at_zone"), None);

    let third = write_run_and_log(scan(2, marks), &dir.path().join("analysis/run2"));
    fs::write(log.join("queries.jsonl"), first + &third).unwrap();
    let made = report(2, &["--zone-log", "zone"]);
    let fate = |number| of(&made, number)["at_zone"]["fate"].clone();
    assert_eq!(
        [3, 4, 5].map(fate),
        [json!("never_asked"), json!("answer_lost"), json!("asked_late")]
    );
    assert_eq!(of(&made, 1).get("at_zone"), None, "a success has nothing to explain");
    let seen = &of(&made, 1)["resolver"];
    assert_eq!(
        (&seen["seen"], &seen["minimises"]["outcome"]),
        (&made["metadata"]["timestamp"], &json!("yes"))
    );
    assert_eq!(of(&made, 4)["resolver"]["minimises"]["outcome"], "no");
    assert_eq!(made["metadata"]["resolvers"]["covered"]["relays"], 4);
    let within = of(&made, 5)["at_zone"]["first_within_ms"].as_f64().unwrap();
    assert!((30_000.0..60_000.0).contains(&within), "{within}");
}
