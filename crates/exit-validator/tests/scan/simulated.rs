//! The simulated tor beside a real one: one scan of the same faults through each, and every line of
//! their control ports compared. What the simulated one says, a real one must have said.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use lab::Fault;
use lab::simulated::{Noise, SimulatedNetwork, SimulatedTor};
use record::{Fingerprint, Mode, RelayResult};

use crate::network::{analysis, into};
use crate::run::{Left, run};
use crate::shared::{Lab, lab, named};
use crate::tor::Tor;

/// Faults whose exits say the same to everybody, at any time.
fn faults(lab: &Lab) -> Vec<Fault> {
    let exits = lab.network.exits().iter();
    let slow = exits.clone().filter(|exit| matches!(exit.fault, Fault::Frozen | Fault::DropsAaaa));
    let steady = exits.filter(|exit| lab.steady().contains(&exit.fingerprint));
    let faults: BTreeMap<&str, Fault> =
        steady.chain(slow).map(|exit| (exit.fault.name(), exit.fault)).collect();
    // One has no Exit flag, and is no part of a plain scan. A connection that cannot be made from this
    // host's loopback ends with INTERNAL, and by the slow path nearly always with MISC. And which of two
    // name servers is asked first, and for how long, is the exit's.
    let others = [Fault::Ipv6Policy, Fault::SlowPath, Fault::OneServerSilent];
    faults.into_values().filter(|fault| !others.contains(fault)).collect()
}

/// What went over a control port, in the order of cause and effect: each line is written down before
/// it is handed on. The bool: to tor.
type Lines = Arc<Mutex<Vec<(u32, bool, String)>>>;

/// A way to a control port that writes down what goes over it.
struct Recorder {
    address: SocketAddr,
    lines: Lines,
}

impl Recorder {
    fn to(control: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let lines = Lines::default();
        let all = Arc::clone(&lines);
        // Ends with the tests.
        std::thread::spawn(move || {
            for connection in 0.. {
                let Ok((near, _)) = listener.accept() else { return };
                let Ok(far) = UnixStream::connect(&control) else { continue };
                let (from, to) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                let lines = Arc::clone(&all);
                std::thread::spawn(move || {
                    pass_on(from, &to, &lines, (connection, true));
                    let _ = to.shutdown(Shutdown::Both);
                });
                let lines = Arc::clone(&all);
                std::thread::spawn(move || {
                    pass_on(far, &near, &lines, (connection, false));
                    let _ = near.shutdown(Shutdown::Both);
                });
            }
        });
        Self { address, lines }
    }
}

/// Hands on what came together, together.
fn pass_on(mut from: impl Read, mut to: impl Write, lines: &Lines, (connection, up): (u32, bool)) {
    let (mut buffer, mut unread) = (vec![0; 64 << 10], Vec::new());
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        unread.extend_from_slice(&buffer[..length]);
        let whole = unread.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let rest = unread.split_off(whole);
        let text = String::from_utf8_lossy(&std::mem::replace(&mut unread, rest)).into_owned();
        let new = text.lines().map(|line| (connection, up, line.to_owned()));
        lines.lock().unwrap().extend(new);
        if to.write_all(&buffer[..length]).is_err() {
            return;
        }
    }
}

/// What one tor said in one scan.
struct Heard {
    /// Each kind of command, and the answers to it.
    answers: BTreeMap<String, BTreeSet<String>>,
    /// Each fault, and the stories of the circuits to its exit.
    stories: BTreeMap<&'static str, BTreeSet<String>>,
    /// Each fault, and the evidence of its attempts.
    evidence: BTreeMap<&'static str, BTreeSet<String>>,
}

/// Scans these exits by this control port.
fn scan(control: PathBuf, exits: &[(Fingerprint, Fault)]) -> Heard {
    let recorder = Recorder::to(control);
    let (_dir, analysis) = analysis();
    let mut command = into(&analysis);
    let relays: Vec<Fingerprint> = exits.iter().map(|(relay, _)| *relay).collect();
    command.args(named(&relays)).arg(format!("--control={}", recorder.address));
    run(command).with(0);
    let left = Left::by(&analysis);
    let mut evidence: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for (relay, fault) in exits {
        let result = left.of(relay);
        let truth = fault.truth(Mode::Wildcard);
        assert_eq!(result.status, truth.status, "{}", fault.name());
        evidence.entry(fault.name()).or_default().extend(of_attempts(result));
    }
    let lines = recorder.lines.lock().unwrap();
    Heard { answers: answers(&lines), stories: stories(&lines, exits), evidence }
}

/// What the sockets and the events said in each attempt.
fn of_attempts(result: &RelayResult) -> Vec<String> {
    let query = |query: &record::Query| {
        // An attempt is over with the end of its connection, be it before the reply to it or after.
        let reply = query.socks_reply.filter(|_| query.via != record::Via::Connect);
        format!(
            "{:?} {:?} {:?} {:?} {:?} {:?} {:?}",
            query.via,
            reply,
            query.rcode,
            query.addresses,
            query.remap,
            query.stream_reason,
            query.stream_remote_reason
        )
    };
    let attempt = |attempt: &record::Attempt| {
        let circuit = &attempt.circuit;
        let queries: Vec<String> = attempt.queries.iter().map(query).collect();
        format!(
            "{:?} {} {:?} {:?}: {}",
            circuit.state,
            circuit.hops,
            circuit.reason,
            circuit.remote_reason,
            queries.join("; ")
        )
    };
    result.attempts.iter().map(attempt).collect()
}

/// Takes out of a line what differs from tor to tor and from time to time.
fn plain(line: &str) -> String {
    let word = |word: &str| -> String {
        let (key, value) = word.split_once('=').map_or(("", word), |(key, value)| (key, value));
        let sign = if key.is_empty() { "" } else { "=" };
        let value = match key {
            "TIME_CREATED" | "COOKIEFILE" | "SERVERHASH" | "SERVERNONCE" => "*".to_owned(),
            _ if value.len() >= 40 && value.bytes().all(|b| b.is_ascii_hexdigit() || b == b',') => {
                "HEX".to_owned()
            }
            _ => no_numbers(value),
        };
        format!("{}{sign}{value}", no_numbers(key))
    };
    line.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// Ports, clocks and numbers of streams and circuits.
fn no_numbers(text: &str) -> String {
    let mut plain = String::new();
    for c in text.chars() {
        match c {
            '0'..='9' if plain.ends_with('#') => {}
            '0'..='9' => plain.push('#'),
            c => plain.push(c),
        }
    }
    plain
}

/// Each command with its answer. A document is known by its first line alone.
fn answers(lines: &[(u32, bool, String)]) -> BTreeMap<String, BTreeSet<String>> {
    let mut answers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut asked: BTreeMap<u32, VecDeque<String>> = BTreeMap::new();
    let mut begun: BTreeMap<u32, (String, bool)> = BTreeMap::new();
    for (connection, up, line) in lines {
        if *up {
            let command = plain(line);
            // The relays' addresses are theirs.
            let many = command.starts_with("GETINFO ip-to-country/#");
            let command = if many { "GETINFO ip-to-country/#" } else { &command };
            asked.entry(*connection).or_default().push_back(command.to_owned());
            continue;
        }
        let (answer, document) = begun.entry(*connection).or_default();
        if *document {
            *document = line != ".";
            continue;
        }
        if line.starts_with("650") || line == "." {
            continue;
        }
        *document = line.as_bytes().get(3) == Some(&b'+');
        // One country after the other.
        if !line.contains("ip-to-country/") || answer.is_empty() {
            answer.push_str(&plain(line).replace("ip-to-country/#.#.#.#", "ip-to-country/#"));
            answer.push('\n');
        }
        if line.as_bytes().get(3) == Some(&b' ') {
            let command = asked.get_mut(connection).and_then(VecDeque::pop_front).unwrap();
            answers.entry(command).or_default().insert(std::mem::take(answer));
        }
    }
    answers
}

/// The story of each circuit that was asked for, by its exit's fault: what was said of it and of the
/// streams on it, by both sides, in order.
fn stories(
    lines: &[(u32, bool, String)],
    exits: &[(Fingerprint, Fault)],
) -> BTreeMap<&'static str, BTreeSet<String>> {
    let fault_of: BTreeMap<String, &'static str> =
        exits.iter().map(|(relay, fault)| (relay.to_string(), fault.name())).collect();
    let mut launched: VecDeque<&'static str> = VecDeque::new();
    let mut circuits: BTreeMap<String, (&'static str, Vec<String>)> = BTreeMap::new();
    // What is said of a stream before it is on a circuit is told when it is.
    let mut streams: BTreeMap<String, (Option<String>, Vec<String>)> = BTreeMap::new();
    for (_, up, line) in lines {
        let words: Vec<&str> = line.split(' ').collect();
        let story = |line: &str| format!("{} {}", if *up { ">" } else { "<" }, in_a_story(line));
        match words[..] {
            ["EXTENDCIRCUIT", _, path, ..] => {
                launched.push_back(fault_of[path.split(',').nth(1).unwrap()]);
            }
            ["250", "EXTENDED", id] => {
                let fault = launched.pop_front().unwrap();
                circuits.entry(id.to_owned()).or_insert((fault, Vec::new()));
            }
            ["650", "CIRC" | "CIRC_MINOR", id, ..]
            | ["SETCIRCUITPURPOSE" | "CLOSECIRCUIT", id, ..] => {
                if let Some((_, told)) = circuits.get_mut(id) {
                    told.push(story(line));
                }
            }
            ["ATTACHSTREAM", id, circuit] => {
                let (on, before) = streams.entry(id.to_owned()).or_default();
                *on = Some(circuit.to_owned());
                if let Some((_, told)) = circuits.get_mut(circuit) {
                    told.append(before);
                    told.push(story(line));
                }
            }
            ["650", "STREAM", id, ..] | ["CLOSESTREAM", id, ..] => {
                let (on, before) = streams.entry(id.to_owned()).or_default();
                match on.as_ref().and_then(|circuit| circuits.get_mut(circuit)) {
                    Some((_, told)) => told.push(story(line)),
                    None => before.push(story(line)),
                }
            }
            _ => {}
        }
    }
    let mut stories: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for (fault, told) in circuits.into_values() {
        stories.entry(fault).or_default().insert(told.join("\n"));
    }
    stories
}

/// A line of a story: relays by their place, names of lookups as such.
fn in_a_story(line: &str) -> String {
    let name = |text: &str| text.contains('-') && text.contains(lab::zone::WILDCARD_DOMAIN);
    let word = |word: &str| -> String {
        if word.starts_with('$') {
            return "RELAY,".repeat(word.split(',').count());
        }
        match word.split_once('=') {
            Some(("SOCKS_USERNAME", _)) => "SOCKS_USERNAME=*".to_owned(),
            _ if name(word) => {
                let port = word.rsplit_once(':').map_or("", |(_, port)| port);
                format!("NAME:{port}")
            }
            // An address says which it is.
            _ if word.contains('.') && !word.contains('=') => word.to_owned(),
            _ => plain(word),
        }
    };
    line.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// What the simulated tor said and is not among what the real one said, for each key.
fn beyond(
    what: &str,
    simulated: &BTreeMap<impl AsRef<str> + Ord, BTreeSet<String>>,
    real: &BTreeMap<impl AsRef<str> + Ord, BTreeSet<String>>,
) -> Vec<String> {
    // A first hop says either of an exit that it cannot reach, by how far its connection had come. And
    // what comes of one command may be there before or after the next.
    let alike = |said: &str| {
        let said = said.replace("CONNECTFAILED", "CHANNEL_CLOSED");
        let (closing, others): (Vec<_>, Vec<_>) =
            said.lines().partition(|line| line.starts_with("> CLOSE"));
        [others, closing].concat().join("\n")
    };
    let mut beyond = Vec::new();
    for (key, said) in simulated {
        let known = real.iter().find(|(other, _)| (*other).as_ref() == key.as_ref());
        let known = known.map(|(_, said)| said.clone()).unwrap_or_default();
        let unknown = |one: &&String| !known.iter().any(|other| alike(other) == alike(one));
        for one in said.iter().filter(unknown) {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            beyond.push(format!(
                "{what} of {}: the simulated tor said\n{one}\nand the real one\n{}\n",
                key.as_ref(),
                known.join("\n---\n")
            ));
        }
    }
    beyond
}

pub fn it_says_what_a_real_one_says() {
    let lab = lab();
    let _beside = lab.beside_others();
    let faults = faults(&lab);
    assert!(faults.len() > 15, "{faults:?}");
    let exits: Vec<_> = faults.iter().map(|fault| (lab.exit(*fault), *fault)).collect();
    let tor = Tor::with_cookie(&lab, "DNSPort 127.0.0.1:auto");
    let dir = tempfile::tempdir().unwrap();
    let network = SimulatedNetwork::new(&faults, 4, Noise::NONE, 1);
    let paper: Vec<_> = network.exits().collect();
    let guard = network.first_hops().next().unwrap();
    let simulated = SimulatedTor::start(network, dir.path(), true).unwrap();
    // Both at once: most of it is waiting.
    let (real, heard) = std::thread::scope(|scope| {
        let real = scope.spawn(|| scan(tor.socket(), &exits));
        let heard = scan(dir.path().join("control"), &paper);
        (real.join().unwrap(), heard)
    });
    assert_eq!(simulated.standing().unwrap().circuits, 0);

    let mut beyond_it = beyond("the answers", &heard.answers, &real.answers);
    beyond_it.extend(beyond("the stories", &heard.stories, &real.stories));
    beyond_it.extend(beyond("the evidence", &heard.evidence, &real.evidence));
    assert!(beyond_it.is_empty(), "{}", beyond_it.join("\n"));

    let guards = [lab.network.guards()[0].fingerprint, guard];
    let real = refusals(&tor.socket(), &tor.cookie(), &guards[0], &lab.exit(Fault::Correct));
    let cookie = dir.path().join("control_auth_cookie");
    let simulated = refusals(&dir.path().join("control"), &cookie, &guards[1], &paper[0].0);
    assert_eq!(simulated, real);
}

/// What a tor says to commands that it does not carry out.
fn refusals(control: &Path, cookie: &Path, hop: &Fingerprint, exit: &Fingerprint) -> Vec<String> {
    let cookie: String = fs::read(cookie).unwrap().iter().map(|b| format!("{b:02x}")).collect();
    let nobody = "A".repeat(40);
    let commands = [
        format!("AUTHENTICATE {cookie}"),
        "NONSENSE 1".to_owned(),
        "GETINFO nonsense".to_owned(),
        format!("GETINFO desc/id/{nobody}"),
        format!("GETINFO md/id/{nobody}"),
        "GETCONF Nonsense".to_owned(),
        "SETCONF Nonsense=1".to_owned(),
        "SETCONF __LeaveStreamsUnattached=7".to_owned(),
        "SETEVENTS NONSENSE".to_owned(),
        format!("EXTENDCIRCUIT 0 {nobody},{exit}"),
        format!("EXTENDCIRCUIT 0 {hop},{nobody}"),
        format!("EXTENDCIRCUIT 0 {hop},{exit} purpose=nonsense"),
        "SETCIRCUITPURPOSE 999999 purpose=general".to_owned(),
        "ATTACHSTREAM 999999 0".to_owned(),
        "CLOSESTREAM 999999 1".to_owned(),
        "CLOSECIRCUIT 999999".to_owned(),
        "SIGNAL NONSENSE".to_owned(),
        "QUIT".to_owned(),
    ];
    let mut said = talk(control, &commands);
    said.extend(talk(control, &["GETINFO version".to_owned()]));
    said.extend(talk(control, &[format!("AUTHENTICATE {nobody}")]));
    said.iter().map(|line| line.replace(&hop.to_string(), "HOP")).collect()
}

/// Says these, one after the other, and hears one line to each.
fn talk(control: &Path, commands: &[String]) -> Vec<String> {
    let control = UnixStream::connect(control).unwrap();
    let mut lines = BufReader::new(control.try_clone().unwrap()).lines();
    let say = |command: &String| {
        writeln!(&control, "{command}\r").unwrap();
        lines.next().unwrap().unwrap()
    };
    commands.iter().map(say).collect()
}
