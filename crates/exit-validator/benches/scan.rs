//! The scanner beside a bare client, on one network in one run: how much longer does a scan take
//! than the circuits and queries themselves, with its results on a disk that is idle, and on one
//! that others write to all the time? And is the resolve time that it reports the exit's, with 80
//! exits at once? And what does a scan of the size of the public network take, through a simulated tor?
//!
//! The bare client is compiled into this program. It pipelines the same EXTENDCIRCUITs, asks the same
//! query on each and closes its circuits; it picks no first hop by load, keeps no evidence, and
//! writes nothing. `cargo bench -p exit-validator --bench scan`

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on has nothing to say")]
#![expect(clippy::disallowed_methods, reason = "measures by the clock")]
#![expect(clippy::print_stdout, reason = "its result is what it prints")]

#[path = "support/measure.rs"]
mod measure;

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::process::Command as Process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt};
use lab::simulated::{Noise, SimulatedNetwork, SimulatedTor};
use lab::{Fault, Network, Spec};
use record::{Fingerprint, Kind, RelayResult, Run};
use scanner::ask::{SocksAddr, socks};
use scanner::probe::SocketReply;
use shelf::run::{RUN_FILE, result_name};
use tor_control::{
    CircuitId, CircuitStatus, Command, ConnectOptions, Control, Event, EventKind, Purpose,
    StreamStatus,
};

const EXITS: usize = 80;
const ROUNDS: usize = 15;
/// The most that a scan may take, in times of the bare client's.
const BOUND: f64 = 1.1;
const DELAY: Duration = Duration::from_millis(500);

fn main() {
    // `cargo test` runs benchmarks' binaries too, to see that they start; that takes no network.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(speed());
    runtime.block_on(truth_of_times());
    runtime.block_on(further());
    size();
}

async fn speed() {
    println!(
        "Speed: {EXITS} healthy exits, pacing off, one running tor, {ROUNDS} rounds, alternating; \
         results under {DISK}"
    );
    let dir = tempfile::tempdir().unwrap();
    let network = Network::start(&Spec::healthy(EXITS), dir.path(), |_| {}).await.unwrap();
    open_links(&network).await;
    compare(&network, "nobody else uses the disk").await;
    let busy = BusyDisk::begin();
    compare(&network, "another program writes and syncs all the time").await;
    busy.end();
    network.stop().await;
}

/// Opens the links between all first hops and all exits, which would be counted to whoever is the
/// first to use one.
async fn open_links(network: &Network) {
    for round in 0..network.guards().len() {
        bare_client(network, round).await;
    }
}

async fn compare(network: &Network, when: &str) {
    println!("  {when}:");
    let dir = tempfile::tempdir_in(DISK).unwrap();
    let (mut ratios, mut bares, mut scans) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let place = dir.path().join(format!("scan{round}"));
        let (bare, scan) = if round % 2 == 0 {
            let bare = bare_client(network, round).await;
            (bare, scanned(network, &place).0)
        } else {
            let scan = scanned(network, &place).0;
            (bare_client(network, round).await, scan)
        };
        let ratio = scan / bare;
        println!("    bare client {bare:6.3} s   scanner {scan:6.3} s   ratio {ratio:5.2}");
        ratios.push(ratio);
        bares.push(bare);
        scans.push(scan);
    }
    let [ratio, bare, scan] = [&mut ratios, &mut bares, &mut scans].map(|values| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    });
    println!(
        "    medians: bare client {bare:.3} s, scanner {scan:.3} s, ratio {ratio:.2} (from {:.2} to \
         {:.2}; at most {BOUND:.1} is wanted)\n",
        ratios[0],
        ratios[ratios.len() - 1]
    );
}

/// A directory on the disk that this is built on: a temporary one may be in memory.
const DISK: &str = env!("CARGO_TARGET_TMPDIR");

/// Another program's work: a megabyte written and synced, again and again.
struct BusyDisk {
    over: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<u32>,
}

impl BusyDisk {
    fn begin() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            let (mut file, block) = (tempfile::tempfile_in(DISK).unwrap(), vec![7; 1 << 20]);
            let mut writes = 0;
            while !seen.load(Ordering::Relaxed) {
                file.write_all(&block).unwrap();
                file.sync_data().unwrap();
                writes += 1;
                if writes % 256 == 0 {
                    file = tempfile::tempfile_in(DISK).unwrap();
                }
            }
            writes
        });
        Self { over, thread }
    }

    fn end(self) {
        self.over.store(true, Ordering::Relaxed);
        println!("    the other program wrote {} MB\n", self.thread.join().unwrap());
    }
}

async fn truth_of_times() {
    println!("Times: {EXITS} exits at once, whose resolvers answer after {} ms", DELAY.as_millis());
    let dir = tempfile::tempdir().unwrap();
    let spec = Spec { exits: vec![Fault::Slow(DELAY); EXITS], ..Spec::healthy(EXITS) };
    let network = Network::start(&spec, dir.path(), |_| {}).await.unwrap();
    let (seconds, results) = scanned(&network, &dir.path().join("scan"));
    let times = |pick: fn(&RelayResult) -> Option<record::Millis>| {
        let mut times: Vec<f64> =
            results.iter().filter_map(pick).map(record::Millis::get).collect();
        times.sort_by(f64::total_cmp);
        times
    };
    let (resolve, attach) = (times(|r| r.timing.resolve_ms), times(|r| r.timing.attach_ms));
    let median = resolve[resolve.len() / 2];
    println!(
        "  {} results in {seconds:.2} s: resolve time median {median:.1} ms, from {:.1} to {:.1}; \
         median over the scripted delay: {:.3}",
        resolve.len(),
        resolve[0],
        resolve[resolve.len() - 1],
        median / (DELAY.as_secs_f64() * 1e3)
    );
    println!("  local queueing, kept apart: median {:.1} ms", attach[attach.len() / 2]);
    network.stop().await;
}

/// How often each scan of [`further`] is made.
const FURTHER_ROUNDS: usize = 5;

/// Exits that allow IPv6 are asked for it after the verdict: what that adds to the scan, at twenty
/// times the default pace and without any, beside as many exits that do not.
async fn further() {
    let half = EXITS / 2;
    println!(
        "\nFurther lookups: {half} exits that allow IPv6, and {half} that do not, alternating"
    );
    let dir = tempfile::tempdir().unwrap();
    let exits = [vec![Fault::Correct; half], vec![Fault::CorrectIpv6; half]].concat();
    let spec = Spec { exits, ..Spec::healthy(EXITS) };
    let network = Network::start(&spec, dir.path(), |_| {}).await.unwrap();
    open_links(&network).await;
    let of = |fault: Fault| -> Vec<String> {
        let exits = network.exits().iter().filter(|exit| exit.fault == fault);
        exits.map(|exit| format!("--exit={}", exit.fingerprint)).collect()
    };
    let (without, with) = (of(Fault::Correct), of(Fault::CorrectIpv6));
    let mut number = 0;
    let mut scan = |delay: &str, flags: &[String]| {
        number += 1;
        let place = dir.path().join(format!("scan{number}"));
        let (seconds, results) = paced(&network, &place, delay, flags);
        let asked = results.iter().filter(|result| result.ipv6.is_some()).count();
        assert_eq!(asked, if flags == with { half } else { 0 });
        seconds
    };
    for delay in ["0.1", "0"] {
        let mut ratios: Vec<f64> = (0..FURTHER_ROUNDS)
            .map(|_| {
                let plain = scan(delay, &without);
                scan(delay, &with) / plain
            })
            .collect();
        ratios.sort_by(f64::total_cmp);
        let (least, most) = (ratios[0], ratios[ratios.len() - 1]);
        println!(
            "  {delay} s between circuits: {:.2} times as long ({least:.2} to {most:.2}{})",
            ratios[ratios.len() / 2],
            if delay == "0" { String::new() } else { format!("; at most {BOUND} is wanted") }
        );
    }
    who(&network, &dir.path().join("who"), &without);
    network.stop().await;
}

/// Asking each of these exits who asks the zone for it: what that adds to the scan.
fn who(network: &Network, dir: &Path, exits: &[String]) {
    std::fs::create_dir(dir).unwrap();
    let asking = [exits, &["--checks=who".to_owned()]].concat();
    let mut number = 0;
    let mut scan = |delay: &str, flags: &[String]| {
        number += 1;
        let place = dir.join(format!("scan{number}"));
        let (seconds, results) = paced(network, &place, delay, flags);
        let asked = results.iter().filter(|result| result.checks.is_some()).count();
        assert_eq!(asked, if flags.len() > exits.len() { exits.len() } else { 0 });
        seconds
    };
    for delay in ["0.1", "0"] {
        let mut ratios: Vec<f64> = (0..FURTHER_ROUNDS)
            .map(|_| {
                let plain = scan(delay, exits);
                scan(delay, &asking) / plain
            })
            .collect();
        ratios.sort_by(f64::total_cmp);
        println!(
            "  who asks, {delay} s between circuits: {:.2} times as long ({:.2} to {:.2}{})",
            ratios[ratios.len() / 2],
            ratios[0],
            ratios[ratios.len() - 1],
            // Without any, each lookup more is work of the one tor.
            if delay == "0" { String::new() } else { format!("; at most {BOUND} is wanted") }
        );
    }
}

/// The most memory that a scan may take, in megabytes.
const MOST_MEMORY: f64 = 40.0;

/// What scans of one network after the other take: nothing fails but by chance.
fn size() {
    println!("\nSize: healthy exits and 1,000 first hops behind a simulated tor, with live noise");
    for (exits, checks) in [(1_000, ""), (3_000, ""), (3_000, "who"), (10_000, "")] {
        let dir = tempfile::tempdir().unwrap();
        let faults = vec![Fault::Correct; exits];
        let network = SimulatedNetwork::new(&faults, 1_000, Noise::LIVE, 1);
        let tor = SimulatedTor::start(network.with_a_zone_that_answers(), dir.path(), false);
        let tor = tor.unwrap();
        let mut command = Process::new(env!("CARGO_BIN_EXE_exit-validator"));
        command
            .args(["scan", "--no-progress", "--build-delay=0.001", "--delay-noise=0"])
            .args(["--max-in-flight=300", "--max-per-first-hop=20", "--confirm-after=1"])
            .args(["--query-timeout=4", "--circuit-timeout=4", "--control", &tor.control()])
            .arg("--analysis-dir")
            .arg(dir.path().join("scan"))
            .args((!checks.is_empty()).then(|| format!("--checks={checks}")));
        let started = Instant::now();
        let (seconds, memory) = measure::measure(&mut command);
        println!(
            "  {exits:>6} relays {checks:>3}: {:6.1} s, of which {seconds:5.1} s of CPU; {memory:4.1} MB at most \
             (at most {MOST_MEMORY:.0} are wanted), {} circuits",
            started.elapsed().as_secs_f64(),
            tor.standing().unwrap().tally.circuits
        );
    }
}

/// Seconds that the scanner's probing takes, as its run file says, and the results.
fn scanned(network: &Network, dir: &Path) -> (f64, Vec<RelayResult>) {
    paced(network, dir, "0", &[])
}

/// The same with so many seconds between circuits, and more flags.
fn paced(network: &Network, dir: &Path, delay: &str, more: &[String]) -> (f64, Vec<RelayResult>) {
    let client = network.client().unwrap();
    let output = Process::new(env!("CARGO_BIN_EXE_exit-validator"))
        .args(["scan", "--no-progress", "--delay-noise=0", "--confirm-rounds=0"])
        .args(["--build-delay", delay])
        .args(more)
        .args(["--max-in-flight", "80", "--max-per-first-hop", "80"])
        .arg("--analysis-dir")
        .arg(dir)
        .args(["--control", &client.control])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let run: Run = Kind::Run.parse(&std::fs::read(dir.join(RUN_FILE)).unwrap()).unwrap();
    assert_eq!(run.counts.success, run.selected);
    let result = |exit: &lab::LabExit| {
        let bytes = std::fs::read(dir.join(result_name(&exit.fingerprint))).ok()?;
        Some(Kind::Result.parse(&bytes).unwrap())
    };
    let results: Vec<_> = network.exits().iter().filter_map(result).collect();
    assert_eq!(results.len(), run.selected as usize);
    (run.probing_seconds, results)
}

/// Seconds from the first EXTENDCIRCUIT until the last answer has come and the last circuit is closed;
/// each is closed when its answer is there. The first hops take turns, from another on in each round.
#[expect(clippy::too_many_lines, reason = "the reference, from beginning to end")]
async fn bare_client(network: &Network, round: usize) -> f64 {
    let client = network.client().unwrap();
    let address = client.control.parse().unwrap();
    let socks_port = SocksAddr::Tcp(client.socks);
    let (control, mut events) =
        Control::connect(&address, &ConnectOptions::default()).await.unwrap();
    control.set_events(&[EventKind::Circuit, EventKind::Stream]).await.unwrap();
    control
        .set_conf(&[
            ("__LeaveStreamsUnattached", Some("1")),
            ("__DisablePredictedCircuits", Some("1")),
        ])
        .await
        .unwrap();

    let guards: Vec<Fingerprint> = network.guards().iter().map(|guard| guard.fingerprint).collect();
    let started = Instant::now();
    let mut launches: FuturesUnordered<_> = (0..)
        .zip(network.exits())
        .map(|(index, exit)| {
            let path = vec![guards[(index + round) % guards.len()], exit.fingerprint];
            let reply = control.submit(Command::ExtendCircuit(path, Purpose::General));
            async move { reply.await.unwrap().circuit().unwrap() }
        })
        .collect();
    let mut queries = FuturesUnordered::new();
    let mut closing = FuturesUnordered::new();
    let mut waiting: HashMap<String, CircuitId> = HashMap::new();
    let mut built: Vec<CircuitId> = Vec::new();
    let mut ours: Vec<CircuitId> = Vec::new();
    let mut answered = 0;
    while answered < network.exits().len() {
        let mut ready = Vec::new();
        tokio::select! {
            Some(circuit) = launches.next() => {
                if built.contains(&circuit) { ready.push(circuit.clone()) }
                ours.push(circuit);
            }
            Some(reply) = queries.next(), if !queries.is_empty() => {
                let (circuit, reply) = reply;
                assert!(matches!(reply, SocketReply::Socks(0, Some(_))), "{reply:?}");
                closing.push(control.submit(Command::CloseCircuit(circuit)));
                answered += 1;
            }
            stamped = events.next() => match stamped.unwrap().event {
                Event::Circuit(event) if event.status == CircuitStatus::Built => {
                    if ours.contains(&event.id) { ready.push(event.id.clone()) }
                    built.push(event.id);
                }
                Event::Stream(event) if event.status == StreamStatus::NewResolve => {
                    if let Some(circuit) = waiting.remove(&event.target) {
                        drop(control.submit(Command::AttachStream(event.id, Some(circuit))));
                    }
                }
                _ => {}
            }
        }
        for circuit in ready {
            let name = format!(
                "bare{circuit}-{}.{}",
                started.elapsed().as_nanos(),
                "tor.exit.validator.1aeo.com"
            );
            waiting.insert(name.clone(), circuit.clone());
            let port = &socks_port;
            queries.push(async move { (circuit, socks(port, &name).await) });
        }
    }
    while let Some(closed) = closing.next().await {
        closed.unwrap();
    }
    let seconds = started.elapsed().as_secs_f64();
    control
        .set_conf(&[
            ("__LeaveStreamsUnattached", Some("0")),
            ("__DisablePredictedCircuits", Some("0")),
        ])
        .await
        .unwrap();
    seconds
}
