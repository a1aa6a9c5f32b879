//! Other programs on the same tor, at work all the time: what a scan must not do to them, whatever
//! becomes of it.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use lab::Fault;
use lab::zone::{EXPECTED_ADDRESS, NXDOMAIN_DOMAIN, WILDCARD_DOMAIN};
use record::{ErrorCode, Fingerprint, Status};
use rustix::process::Signal;
use tokio_socks::tcp::Socks5Stream;
use tor_control::{CircuitStatus, Event, EventKind, StreamStatus};

use crate::network::{analysis, at_pace, into, shared_tor, steady};
use crate::run::{Left, now, results, run, signal, start, tors_of, until};
use crate::shared::{DELAY, Lab, block_on, lab, named};
use crate::tor::Tor;

/// How long another program's lookup may take in all: far more than it does, and far less than the
/// two minutes for which tor keeps a stream that nobody attaches.
const IN_GOOD_TIME: Duration = Duration::from_secs(30);

/// How long a connection of another program lasts.
const CONNECTED: Duration = Duration::from_secs(2);

/// Exits that give the right answer, most of them after a while: those that the other programs of a
/// busy tor use, so that a scan's circuits would serve them too.
fn right(lab: &Lab) -> Vec<Fingerprint> {
    let exits = lab.network.exits().iter();
    let right = exits.filter(|exit| matches!(exit.fault, Fault::Correct | Fault::Slow(DELAY)));
    right.map(|exit| exit.fingerprint).collect()
}

/// A running tor that lets programs connect to this host.
fn busy_tor(lab: &Lab) -> Tor {
    let exits: Vec<String> = right(lab).iter().map(|exit| format!("${exit}")).collect();
    let lines = format!(
        "ExitNodes {}\nDNSPort 127.0.0.1:auto\nConfluxEnabled 0\n\
         ClientRejectInternalAddresses 0\nClientDNSRejectInternalAddresses 0",
        exits.join(",")
    );
    Tor::with_cookie(lab, &lines)
}

/// Figures, for whoever looks at them: `--nocapture`.
#[expect(clippy::print_stdout, reason = "a measurement")]
fn show(figures: &str) {
    println!("{figures}");
}

/// A server that says back what it hears.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Ends with the tests.
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            std::thread::spawn(move || {
                let mut bytes = [0; 64];
                while let Ok(length @ 1..) = stream.read(&mut bytes) {
                    if stream.write_all(&bytes[..length]).is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}

/// What other programs met with.
#[derive(Debug, Default)]
struct Met {
    /// How long lookups by SOCKS and by DNSPort took until they were answered.
    lookups: Vec<Duration>,
    /// How long connections took until they were there.
    connects: Vec<Duration>,
    /// Lookups and connections that failed.
    failed: Vec<String>,
    /// Connections that were cut.
    cut: u32,
}

impl Met {
    fn figures(&self) -> String {
        let figure = |times: &[Duration]| {
            let mut times = times.to_vec();
            times.sort_unstable();
            let ms = |index: usize| times.get(index).map_or(0, Duration::as_millis);
            let last = times.len().saturating_sub(1);
            format!("{} (median {} ms, longest {} ms)", times.len(), ms(last / 2), ms(last))
        };
        format!(
            "lookups {}, connections {}, {} failed, {} cut",
            figure(&self.lookups),
            figure(&self.connects),
            self.failed.len(),
            self.cut
        )
    }
}

/// Other programs at work until they are told to end.
struct Others {
    end: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    met: Arc<Mutex<Met>>,
}

impl Others {
    fn of(tor: &Tor, echo: SocketAddr) -> Self {
        let end = Arc::new(AtomicBool::new(false));
        let met = Arc::new(Mutex::new(Met::default()));
        let (socks, dns) = (tor.socks(), tor.dns());
        let mut threads = Vec::new();
        for number in 0..4 {
            let (end, met) = (Arc::clone(&end), Arc::clone(&met));
            threads.push(std::thread::spawn(move || {
                for turn in 0.. {
                    if end.load(Ordering::Relaxed) {
                        break;
                    }
                    let name = format!("other{number}-{turn}.{WILDCARD_DOMAIN}");
                    match number {
                        0 => note_lookup(&met, || resolve(socks, &name)),
                        1 => note_lookup(&met, || ask(dns, name.split('.'))),
                        _ => connect(&met, socks, echo, &name),
                    }
                    std::thread::sleep(Duration::from_millis(100));
                }
            }));
        }
        Self { end, threads, met }
    }

    fn end(self) -> Met {
        self.end.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        std::mem::take(&mut self.met.lock().unwrap())
    }
}

fn note_lookup(met: &Mutex<Met>, lookup: impl FnOnce() -> Result<(), String>) {
    let began = now();
    let outcome = lookup();
    let mut met = met.lock().unwrap();
    match outcome {
        Ok(()) => met.lookups.push(began.elapsed()),
        Err(error) => met.failed.push(error),
    }
}

fn resolve(socks: SocketAddr, name: &str) -> Result<(), String> {
    block_on(async {
        let socket = tokio::net::TcpStream::connect(socks).await.unwrap();
        let asking = Socks5Stream::tor_resolve_with_socket(socket, (name, 0));
        match tokio::time::timeout(IN_GOOD_TIME, asking).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer to {name}")),
        }
    })
}

/// Asks the DNSPort for the address of a name of these labels, whatever they hold.
fn ask<'a>(dns: SocketAddr, labels: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let mut query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00".to_vec();
    for label in labels {
        query.push(u8::try_from(label.len()).unwrap());
        query.extend(label.as_bytes());
    }
    query.extend(b"\0\x00\x01\x00\x01");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(dns).unwrap();
    socket.set_read_timeout(Some(IN_GOOD_TIME)).unwrap();
    socket.send(&query).unwrap();
    let mut answer = [0; 512];
    socket.recv(&mut answer).map(drop).map_err(|error| format!("no answer by DNSPort: {error}"))
}

/// Connects through tor, and speaks for a while. Its name keeps it apart from all others, as Tor
/// Browser keeps sites apart: tor needs a circuit for it that nobody has used.
fn connect(met: &Mutex<Met>, socks: SocketAddr, echo: SocketAddr, name: &str) {
    let began = now();
    let stream = block_on(async {
        let connecting = Socks5Stream::connect_with_password(socks, echo, name, "x");
        let stream = tokio::time::timeout(IN_GOOD_TIME, connecting).await;
        stream
            .map_err(|_| "no connection".to_owned())?
            .map_err(|error| error.to_string())?
            .into_inner()
            .into_std()
            .map_err(|error| error.to_string())
    });
    let mut stream = match stream {
        Ok(stream) => stream,
        Err(error) => return met.lock().unwrap().failed.push(error),
    };
    met.lock().unwrap().connects.push(began.elapsed());
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(IN_GOOD_TIME)).unwrap();
    let began = now();
    while began.elapsed() < CONNECTED {
        let mut byte = [0];
        if stream.write_all(b"x").is_err() || stream.read_exact(&mut byte).is_err() {
            met.lock().unwrap().cut += 1;
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Watches which streams ride on circuits of two hops, which are a scan's: counts the scan's own and
/// the others', until the scan is over.
fn watch(tor: &Tor, over: impl Fn() -> bool) -> (usize, usize) {
    block_on(async {
        let (control, mut events) = tor.control().await;
        control.set_events(&[EventKind::Circuit, EventKind::Stream]).await.unwrap();
        let mut scans = std::collections::HashSet::new();
        let (mut ours, mut others) = (0, 0);
        while !over() {
            let next = tokio::time::timeout(Duration::from_millis(100), events.next());
            match next.await.map(|event| event.unwrap().event) {
                Ok(Event::Circuit(circuit))
                    if circuit.path.len() == 2 && circuit.status == CircuitStatus::Built =>
                {
                    // Tor attaches nobody's streams to these.
                    assert_eq!(circuit.purpose.as_deref(), Some("CONTROLLER"));
                    scans.insert(circuit.id);
                }
                Ok(Event::Stream(stream))
                    if matches!(
                        stream.status,
                        StreamStatus::SentConnect | StreamStatus::SentResolve
                    ) && stream
                        .circuit
                        .as_ref()
                        .is_some_and(|circuit| scans.contains(circuit)) =>
                {
                    // A scan's names begin with a UUID; its connections go to the zone's own address, or
                    // where there is none to one where nobody is.
                    let zone = EXPECTED_ADDRESS.to_string();
                    let scans = [zone.as_str(), "192.0.2.1"].contains(&stream.target.as_str())
                        || stream.target.split('.').next().is_some_and(|uuid| uuid.len() == 36);
                    *if scans { &mut ours } else { &mut others } += 1;
                }
                _ => {}
            }
        }
        (ours, others)
    })
}

pub fn others_are_neither_taken_along_nor_cut() {
    let lab = lab();
    let _beside = lab.beside_others();
    let (tor, echo) = (busy_tor(&lab), echo());
    let others = Others::of(&tor, echo);
    std::thread::sleep(Duration::from_secs(6));
    show(&format!("without a scan: {}", others.end().figures()));
    for domain in [WILDCARD_DOMAIN, NXDOMAIN_DOMAIN] {
        let (_dir, analysis) = analysis();
        // At a pace at which there are circuits of ours all the time.
        let mut command = at_pace("--build-delay=0.3", &analysis);
        command.arg(tor.flag()).args(named(&right(&lab)));
        if domain == NXDOMAIN_DOMAIN {
            command.args(["-H", domain]);
        }
        let others = Others::of(&tor, echo);
        let running = Mutex::new(start(command));
        let (scans, taken) = watch(&tor, || running.lock().unwrap().has_ended());
        running.into_inner().unwrap().end().with(0);
        let met = others.end();
        show(&format!("with a scan under {domain}: {}", met.figures()));
        show(&format!("on the scan's circuits: {scans} lookups of its own, {taken} of others"));
        assert!(scans > 20 && met.lookups.len() > 10 && met.connects.len() > 5);
        assert_eq!((taken, met.cut), (0, 0));
        assert_eq!(met.failed, Vec::<String>::new());
    }
}

/// A way to a control port that can be broken.
struct Wire {
    address: SocketAddr,
    open: Arc<Mutex<Vec<(TcpStream, UnixStream)>>>,
}

impl Wire {
    fn to(control: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let open = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&open);
        std::thread::spawn(move || {
            while let Ok((near, _)) = listener.accept() {
                let Ok(far) = UnixStream::connect(&control) else { continue };
                let (mut from, mut to) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
                let (mut from, mut to) = (far.try_clone().unwrap(), near.try_clone().unwrap());
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
                all.lock().unwrap().push((near, far));
            }
        });
        Self { address, open }
    }

    fn cut(&self) {
        for (near, far) in self.open.lock().unwrap().drain(..) {
            let _ = (near.shutdown(Shutdown::Both), far.shutdown(Shutdown::Both));
        }
    }
}

pub fn a_stream_that_comes_while_the_control_connection_is_lost() {
    let lab = lab();
    let _beside = lab.beside_others();
    let tor = busy_tor(&lab);
    let state = tor.state();
    let (_dir, analysis) = analysis();
    let wire = Wire::to(tor.socket());
    let mut command = steady(&lab, &analysis);
    command.arg(format!("--control={}", wire.address));
    let mut running = start(command);
    running.until("it is in the middle", || results(&analysis) > 4);
    wire.cut();
    let answer = resolve(tor.socks(), &format!("gap.{WILDCARD_DOMAIN}"));
    assert_eq!(answer, Ok(()));
    running.end().with(0).saying(&["tor was lost", "tor is back"]);
    lab.check(&analysis, &lab.steady());
    assert_eq!(tor.state(), state);
}

pub fn a_lookup_of_a_name_with_blanks() {
    let lab = lab();
    let _beside = lab.beside_others();
    let tor = busy_tor(&lab);
    let (_dir, analysis) = analysis();
    let mut command = steady(&lab, &analysis);
    command.arg(tor.flag());
    let mut running = start(command);
    running.until("there are results", || results(&analysis) > 2);
    let domain: Vec<&str> = WILDCARD_DOMAIN.split('.').collect();
    for label in ["My Printer", "a:0 b", "caf\u{e9}", "\u{1b}[31m", "tab\there", "x\ny"] {
        let asked = ask(tor.dns(), [label].into_iter().chain(domain.iter().copied()));
        assert_eq!(asked, Ok(()), "{label:?}");
    }
    assert!(!running.has_ended(), "it scanned all the while");
    running.end().with(0);
    lab.check(&analysis, &lab.steady());
}

/// A scan in its middle, by this tor.
fn in_the_middle(lab: &Lab, tor: &Tor, analysis: &Path) -> crate::run::Running {
    let mut command = steady(lab, analysis);
    command.arg(tor.flag());
    let mut running = start(command);
    running.until("it is in the middle", || results(analysis) > 4);
    running
}

pub fn a_scan_that_is_killed_leaves_tor_as_it_was() {
    let lab = lab();
    let _beside = lab.beside_others();
    // With a DNSPort and without.
    for tor in [busy_tor(&lab), shared_tor(&lab)] {
        let state = tor.state();
        let (_dir, analysis) = analysis();
        let running = in_the_middle(&lab, &tor, &analysis);
        assert_ne!(tor.state(), state);
        running.signal(Signal::KILL);
        let killed = now();
        let answer = resolve(tor.socks(), &format!("after.{WILDCARD_DOMAIN}"));
        show(&format!(
            "after SIGKILL, another program's lookup: {answer:?} in {:?}",
            killed.elapsed()
        ));
        assert_eq!(answer, Ok(()));
        until("tor is as it was", || tor.state() == state);
        show(&format!("after SIGKILL, tor's options are back in {:?}", killed.elapsed()));
        running.end();
    }
}

pub fn a_scan_that_hangs_keeps_nobody_waiting() {
    let lab = lab();
    let _beside = lab.beside_others();
    let tor = busy_tor(&lab);
    let state = tor.state();
    let (_dir, analysis) = analysis();
    let running = in_the_middle(&lab, &tor, &analysis);
    running.signal(Signal::STOP);
    let answer = resolve(tor.socks(), &format!("frozen.{WILDCARD_DOMAIN}"));
    assert_eq!(answer, Ok(()));
    until("tor is as it was", || tor.state() == state);
    running.signal(Signal::CONT);
    running.end().with(0).saying(&["somebody changed the options"]);
    lab.check(&analysis, &lab.steady());
    assert_eq!(tor.state(), state);
}

/// What was asked while tor lacked the scan's options is nobody's fault.
fn blames_nobody(lab: &Lab, analysis: &Path) {
    lab.check(analysis, &lab.steady());
    for attempt in Left::by(analysis).results.iter().flat_map(|result| &result.attempts) {
        assert_ne!(attempt.error_code, Some(ErrorCode::AttachRefused), "{attempt:?}");
    }
}

pub fn a_running_tor_that_reads_its_configuration_again() {
    let lab = lab();
    let _beside = lab.beside_others();
    // With a DNSPort and without: one that the scan has opened is not to be closed by this.
    let told = ["somebody changed the options", "tor was asked to read its configuration again"];
    for (tor, told) in [busy_tor(&lab), shared_tor(&lab)].into_iter().zip(told) {
        let state = tor.state();
        let (_dir, analysis) = analysis();
        let running = in_the_middle(&lab, &tor, &analysis);
        for _ in 0..2 {
            block_on(async { tor.control().await.0.signal(tor_control::Signal::Reload).await })
                .unwrap();
            std::thread::sleep(Duration::from_millis(300));
        }
        let answer = resolve(tor.socks(), &format!("reloaded.{WILDCARD_DOMAIN}"));
        assert_eq!(answer, Ok(()));
        running.end().with(0).saying(&[told]);
        blames_nobody(&lab, &analysis);
        assert_eq!(tor.state(), state);
    }
}

/// A tor that closes a DNSPort with a lookup by it under way dies, of which its users know nothing.
pub fn a_lookup_by_dnsport_under_way_does_not_end_tor() {
    let lab = lab();
    let _beside = lab.beside_others();
    let silent = [Fault::Silent, Fault::WrongId].map(|fault| lab.exit(fault));
    let asking = |tor: &Tor| tor.info("stream-status").contains(NXDOMAIN_DOMAIN);
    let scan = |tor: &Tor, analysis: &Path| {
        let mut command = into(analysis);
        command.args(named(&silent)).args(["-H", NXDOMAIN_DOMAIN]).arg(tor.flag());
        start(command)
    };
    for turn in 0..2 {
        let tor = shared_tor(&lab);
        let state = tor.state();
        let (_dir, killed) = analysis();
        let running = scan(&tor, &killed);
        until("a lookup is under way", || asking(&tor));
        running.signal(Signal::KILL);
        until("tor is as it was", || tor.state() == state);
        running.end();

        let (_dir, reloaded) = analysis();
        let running = scan(&tor, &reloaded);
        until("a lookup is under way", || asking(&tor));
        tor.append(&format!("MaxClientCircuitsPending {}", 40 + turn));
        block_on(async { tor.control().await.0.signal(tor_control::Signal::Reload).await })
            .unwrap();
        until("tor has read it", || {
            tor.option("MaxClientCircuitsPending") == (40 + turn).to_string()
        });
        running.end().with(0).saying(&["tor was asked to read its configuration again"]);
        lab.check(&reloaded, &silent);
        assert_eq!(tor.state(), state);
        // Late answers had the time to come.
        std::thread::sleep(Duration::from_secs(3));
        assert_eq!(tor.state(), state);
    }
}

pub fn a_tor_of_its_own_that_reads_its_configuration_again() {
    let lab = lab();
    let _beside = lab.beside_others();
    let ((_dir, analysis), home) = (analysis(), lab.home());
    let mut command = steady(&lab, &analysis);
    command.args(lab.own(&home));
    let mut running = start(command);
    running.until("it is in the middle", || results(&analysis) > 4);
    let [tor] = tors_of(&home.path)[..] else { panic!("one tor of its own") };
    signal(tor, Signal::HUP);
    running.end().with(0).saying(&["somebody changed the options"]);
    blames_nobody(&lab, &analysis);
}

pub fn a_way_out_that_is_closed_for_a_while() {
    let lab = lab();
    let _alone = lab.alone();
    let guards: Vec<Fingerprint> =
        lab.network.guards().iter().map(|guard| guard.fingerprint).collect();
    let tor = shared_tor(&lab);
    let exits = right(&lab);
    // The first hop that was asked for, and all of them.
    for only in [Some(guards[0]), None] {
        let (_dir, analysis) = analysis();
        let mut command = at_pace("--build-delay=0.2", &analysis);
        command.args(named(&exits)).arg(tor.flag());
        command.args(only.map(|hop| format!("--first-hop={hop}")));
        let frozen = only.map_or(guards.clone(), |hop| vec![hop]);
        let mut running = start(command);
        running.until("it is in the middle", || results(&analysis) > 4);
        frozen.iter().for_each(|hop| block_on(lab.network.freeze(hop)).unwrap());
        let before = now();
        // Longer than circuits and queries may take, so that all under way fail.
        while before.elapsed() < Duration::from_secs(16) {
            assert!(!running.has_ended());
            std::thread::sleep(Duration::from_millis(100));
        }
        frozen.iter().for_each(|hop| block_on(lab.network.resume(hop)).unwrap());
        running.end().with(0).saying(&["be reached: pausing", "going on"]);
        lab.check(&analysis, &exits);
    }
}

pub fn a_first_hop_that_stays_away() {
    let lab = lab();
    let _beside = lab.beside_others();
    let tor = shared_tor(&lab);
    let (_dir, analysis) = analysis();
    let mut command = into(&analysis);
    let dead = lab.network.dead_guard().unwrap();
    command.args(named(&lab.healthy(3))).arg(tor.flag());
    command.args([format!("--first-hop={dead}"), "--tor-wait=2".to_owned()]);
    let ended = run(command).with(12);
    let why = format!("the first hop {dead} could not be reached for 2 s");
    assert!(ended.out.contains(&why), "{}", ended.out);
    let left = Left::by(&analysis);
    left.accounts_for_everyone();
    assert_eq!(
        left.run().not_reached.len(),
        3,
        "nothing is said of relays that nothing is known of"
    );
}

pub fn two_tors_in_containers() {
    let lab = lab();
    let _beside = lab.beside_others();
    let (Some(first), Some(second)) = (Tor::in_container(&lab), Tor::in_container(&lab)) else {
        show("no process namespaces here: not tried");
        return;
    };
    let (_dir, one) = analysis();
    let mut running = in_the_middle(&lab, &first, &one);
    let (_dir, other) = analysis();
    let mut command = into(&other);
    command.arg(second.flag()).args(named(&lab.healthy(2)));
    run(command).with(0);
    for exit in lab.healthy(2) {
        assert_eq!(Left::by(&other).of(&exit).status, Status::Success);
    }
    assert!(!running.has_ended(), "both scanned at once");
    running.end().with(0);
    lab.check(&one, &lab.steady());
}
