//! The scanner beside a bare client, on one network in one run: how much longer does a scan take
//! than the circuits and queries themselves? And is the resolve time that it reports the exit's,
//! with 80 exits at once?
//!
//! The bare client pipelines the same EXTENDCIRCUITs and asks one DNSPort query each; it picks no
//! first hop by load, keeps no evidence, and writes nothing. `cargo bench -p scanner --bench scan`

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on has nothing to say")]
#![expect(clippy::disallowed_methods, reason = "measures by the clock")]
#![expect(clippy::print_stdout, reason = "its result is what it prints")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command as Process;
use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt};
use hickory_proto::rr::RecordType;
use lab::{Fault, Network, Spec};
use record::{Fingerprint, Kind, RUN_FILE, RelayResult, Run, result_file_name};
use scanner::ask::dns_port;
use scanner::probe::Reply;
use tor_control::{
    CircuitId, CircuitStatus, Command, ConnectOptions, Control, Event, EventKind, StreamStatus,
};

const EXITS: usize = 80;
const ROUNDS: usize = 7;
const DELAY: Duration = Duration::from_millis(500);

fn main() {
    // `cargo test` runs benchmarks' binaries too, to see that they start; that takes no network.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(speed());
    runtime.block_on(truth_of_times());
}

async fn speed() {
    println!(
        "Speed: {EXITS} healthy exits, pacing off, one running tor, {ROUNDS} rounds, alternating"
    );
    let dir = tempfile::tempdir().unwrap();
    let network = Network::start(&Spec::healthy(EXITS), dir.path(), |_| {}).await.unwrap();
    let mut ratios = Vec::new();
    for round in 0..=ROUNDS {
        let (bare, scan) = if round % 2 == 0 {
            let bare = bare_client(&network).await;
            (bare, scanned(&network, &dir.path().join(format!("scan{round}"))).0)
        } else {
            let scan = scanned(&network, &dir.path().join(format!("scan{round}"))).0;
            (bare_client(&network).await, scan)
        };
        let ratio = scan / bare;
        // The first round opens the links between relays: both profit later, neither is counted.
        let counted = if round == 0 { " (warming up, not counted)" } else { "" };
        println!("  bare client {bare:6.3} s   scanner {scan:6.3} s   ratio {ratio:5.2}{counted}");
        if round > 0 {
            ratios.push(ratio);
        }
    }
    ratios.sort_by(f64::total_cmp);
    println!(
        "  ratio: median {:.2}, from {:.2} to {:.2}\n",
        ratios[ratios.len() / 2],
        ratios[0],
        ratios[ratios.len() - 1]
    );
    network.stop().await;
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

/// Seconds that the scanner's probing takes, as its run file says, and the results.
fn scanned(network: &Network, dir: &Path) -> (f64, Vec<RelayResult>) {
    let client = network.client().unwrap();
    let output = Process::new(env!("CARGO_BIN_EXE_scanner"))
        .args([
            "--no-progress",
            "--build-delay",
            "0",
            "--delay-noise",
            "0",
            "--confirm-rounds",
            "0",
        ])
        .args(["--max-in-flight", "80", "--max-per-first-hop", "80"])
        .arg("--analysis-dir")
        .arg(dir)
        .args(["--control", &client.control])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let run: Run = Kind::Run.parse(&std::fs::read(dir.join(RUN_FILE)).unwrap()).unwrap();
    assert_eq!(usize::try_from(run.counts.success).unwrap(), network.exits().len());
    let result = |exit: &lab::Exit| {
        let bytes = std::fs::read(dir.join(result_file_name(&exit.fingerprint))).unwrap();
        Kind::Result.parse(&bytes).unwrap()
    };
    (run.probing_seconds, network.exits().iter().map(result).collect())
}

/// Seconds from the first EXTENDCIRCUIT to the last answer.
async fn bare_client(network: &Network) -> f64 {
    let client = network.client().unwrap();
    let address = client.control.parse().unwrap();
    let dns: SocketAddr = client.dns;
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
            let path = vec![guards[index % guards.len()], exit.fingerprint];
            let reply = control.submit(Command::ExtendCircuit(path));
            async move { reply.await.unwrap().circuit().unwrap() }
        })
        .collect();
    let mut queries = FuturesUnordered::new();
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
                assert!(matches!(reply, Reply::Dns(..)), "{reply:?}");
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
            waiting.insert(name.clone(), circuit);
            queries.push(async move { dns_port(dns, &name, RecordType::A, 7).await });
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    for circuit in &ours {
        let _ = control.close_circuit(circuit).await;
    }
    control
        .set_conf(&[
            ("__LeaveStreamsUnattached", Some("0")),
            ("__DisablePredictedCircuits", Some("0")),
        ])
        .await
        .unwrap();
    seconds
}
