//! A simulated network with what a scan of it must find.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use lab::simulated::{Noise, SimulatedNetwork, SimulatedTor};
use lab::zone::WILDCARD_DOMAIN;
use lab::{ComparedExit, Fault, Truth};
use record::{Blame, ErrorCode, Fingerprint, Kind, Mode, Plan, RelayResult, Run, Status};
use tempfile::TempDir;

use crate::run::{names, scanner};

/// A network, the tor in front of it, and a place for results.
pub struct World {
    exits: Vec<(Fingerprint, Fault)>,
    first_hop: Fingerprint,
    tor: SimulatedTor,
    dir: TempDir,
    analysis: PathBuf,
}

/// The seed of everything that is drawn.
pub fn seed() -> u64 {
    let given = std::env::var("SIMULATED_SEED").ok();
    given.map_or(20_261, |text| text.parse().expect("SIMULATED_SEED is a number"))
}

/// Figures, for whoever looks at them, and for everyone where a test fails: `--nocapture`.
#[expect(clippy::print_stdout, reason = "a measurement")]
pub fn show(figures: &str) {
    println!("{figures} (seed {})", seed());
}

/// Faults as they are on the public network: of 3,164 exits there some 21 fail in every scan, and some
/// are never reached. So many of each kind, at most one exit in eighty.
fn faults(exits: usize, of_each: usize, but: &[Fault]) -> Vec<Fault> {
    let faults = Fault::ALL.into_iter();
    let faults = faults.filter(|fault| *fault != Fault::Ipv6Policy && !but.contains(fault));
    let mut faults = faults.collect::<Vec<_>>().repeat(of_each);
    let healthy = exits.saturating_sub(faults.len());
    faults.extend((0..healthy).map(|number| {
        // A third of them exits by IPv6 too.
        if number % 3 == 1 { Fault::CorrectIpv6 } else { Fault::Correct }
    }));
    faults
}

impl World {
    /// So many exits, of which so many have each fault, and so many first hops.
    pub fn new(exits: usize, first_hops: usize, of_each: usize, noise: Noise) -> Self {
        Self::of(&faults(exits, of_each, &[]), first_hops, noise)
    }

    /// One on which attempts are broken off: with one exit for each fault, but those whose truth is in
    /// their first answer, which an attempt that left no trace may have had.
    pub fn on_a_bad_day(exits: usize) -> Self {
        let but = [Fault::RightThenWrong, Fault::Vanishes];
        Self::of(&faults(exits, 1, &but), 100, Noise::LIVE)
    }

    fn of(faults: &[Fault], first_hops: usize, noise: Noise) -> Self {
        let network = SimulatedNetwork::new(faults, first_hops, noise, seed());
        let network = network.with_a_zone_that_answers();
        let dir = tempfile::tempdir().unwrap();
        let exits = network.exits().collect();
        let first_hop = network.first_hops().next().unwrap();
        let tor = SimulatedTor::start(network, dir.path(), false).unwrap();
        let analysis = dir.path().join("analysis");
        Self { exits, first_hop, tor, dir, analysis }
    }

    pub fn tor(&self) -> &SimulatedTor {
        &self.tor
    }

    pub fn analysis(&self) -> &Path {
        &self.analysis
    }

    /// A scan of it at the default number of tries and rounds.
    pub fn scan(&self) -> Command {
        let mut command = scanner([
            "--delay-noise=0",
            "--query-timeout=4",
            "--circuit-timeout=4",
            "--confirm-after=1",
            "--expected-ipv6=2001:db8::4041",
            "--no-progress",
        ]);
        command.args(["--control", &self.tor.control()]);
        command.arg("--analysis-dir").arg(&self.analysis);
        command
    }

    fn read<T: serde::de::DeserializeOwned>(&self, kind: Kind, name: &str) -> T {
        kind.parse(&fs::read(self.analysis.join(name)).unwrap()).unwrap()
    }

    /// How the scan ended.
    pub fn run(&self) -> Run {
        self.read(Kind::Run, shelf::run::RUN_FILE)
    }

    /// That every relay has one result, every fault was found with the right code and blame, and no
    /// healthy relay is accused. Gives the circuits that a verdict took, by
    /// tor's own count.
    #[track_caller]
    pub fn everybody_has_a_true_result(&self) -> f64 {
        let plan: Plan = self.read(Kind::Plan, shelf::run::PLAN_FILE);
        let run = self.run();
        assert!(run.complete && run.not_reached.is_empty(), "{:?}", run.incomplete_reason);
        let mut results: HashMap<Fingerprint, RelayResult> = HashMap::new();
        let files = names(&self.analysis);
        for name in files.iter().filter(|name| name.starts_with("dnshealth_")) {
            let result: RelayResult = self.read(Kind::Result, name);
            assert_eq!(*name, shelf::run::result_name(&result.exit_fingerprint));
            assert_eq!(result.run_id, plan.run_id, "of one run");
            results.insert(result.exit_fingerprint, result);
        }
        assert_eq!(results.len(), self.exits.len());
        assert_eq!(plan.relays.len(), self.exits.len());
        assert_eq!(run.counts, results.values().map(|result| result.status).collect());
        let (mut wrong, mut open) = (Vec::new(), 0);
        for (relay, fault) in &self.exits {
            let result = &results[relay];
            let mut truth = fault.truth(Mode::Wildcard);
            let said = |code| result.attempts.iter().any(|a| a.error_code == code);
            if truth.error_code == Some(ErrorCode::ResolverTimeout) && said(truth.error_code) {
                // Time alone tells it from one that fails: where the machine has none, one attempt of
                // several may be off.
                truth.error_code = result.error_code;
            }
            if *fault == Fault::FreezesInQuery {
                // It is frozen for a quarter of a minute: a scan may be over before it is seen again.
                truth.provisional = result.provisional;
            }
            if truth.status == Status::Success {
                open += usize::from(result.status != Status::Success);
                if accuses(result) {
                    wrong.push(format!("{} is accused: {}", fault.name(), told(result)));
                }
            } else if !found(*relay, *fault, truth, result).is_true() {
                wrong.push(format!("{}: {}", fault.name(), told(result)));
            }
        }
        assert!(wrong.is_empty(), "seed {}:\n{}", seed(), wrong.join("\n"));
        // By four ways, each of which fails one time in eight, a few are not reached.
        show(&format!("{open} of {} healthy relays were not reached", self.exits.len()));
        assert!(open <= 1 + self.exits.len() / 1_000, "{open} healthy relays without a success");
        let circuits = self.tor.standing().expect("it runs").tally.circuits;
        ratio(circuits, results.len())
    }

    /// That no circuit is left open in the tor. (One whose controller was killed stays, until tor finds it
    /// idle.)
    #[track_caller]
    pub fn has_no_circuit(&self) {
        assert_eq!(self.tor.standing().expect("it runs").circuits, 0);
    }

    /// That no stream is left in the tor, it still runs, and its options are as they were.
    #[track_caller]
    pub fn is_left_as_it_was(&self) {
        let standing = self.tor.standing().expect("it runs");
        assert_eq!(standing.streams, 0, "{standing:?}");
        assert!(!standing.leaves_streams, "{standing:?}");
        // What it held back of the scan's own lookups, it closed; nobody else asked for anything.
        assert_eq!(standing.tally.given_back, 0);
    }

    /// What the exit with this number does.
    pub fn fault(&self, exit: usize) -> Fault {
        self.exits[exit].1
    }

    /// Does by hand what no scan may do.
    pub fn attach_a_lookup_to_a_controllers_circuit(&self) {
        let control = UnixStream::connect(self.dir.path().join("control")).unwrap();
        let mut lines = BufReader::new(control.try_clone().unwrap()).lines();
        let mut say = |command: String| {
            writeln!(&control, "{command}\r").unwrap();
            let mut said = Vec::new();
            loop {
                let line = lines.next().unwrap().unwrap();
                said.push(line.clone());
                if line.as_bytes()[3] == b' ' {
                    return said.join("\n");
                }
            }
        };
        let cookie = fs::read(self.dir.path().join("control_auth_cookie")).unwrap();
        let cookie: String = cookie.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(say(format!("AUTHENTICATE {cookie}")), "250 OK");
        assert_eq!(say("SETCONF __LeaveStreamsUnattached=1".to_owned()), "250 OK");
        let (hop, exit) = (self.first_hop, self.exits[0].0);
        let said = say(format!("EXTENDCIRCUIT 0 {hop},{exit} purpose=controller"));
        let circuit = said.strip_prefix("250 EXTENDED ").unwrap().to_owned();
        let mut socks = TcpStream::connect(self.listener(&mut say)).unwrap();
        socks.write_all(&[5, 1, 0]).unwrap();
        socks.read_exact(&mut [0; 2]).unwrap();
        let name = format!("a.{WILDCARD_DOMAIN}");
        let mut request = vec![5, 0xf0, 0, 3, u8::try_from(name.len()).unwrap()];
        request.extend(name.as_bytes());
        request.extend([0, 0]);
        socks.write_all(&request).unwrap();
        crate::run::until("the stream and the circuit are there", || {
            let standing = self.tor.standing().unwrap();
            (standing.circuits, standing.streams) == (1, 1)
                && say(format!("SETCIRCUITPURPOSE {circuit} purpose=controller")) == "250 OK"
                && standing.tally.streams == 0
        });
        // Refused until it is built.
        let mut control = &control;
        crate::run::until("tor has ended", || {
            let _ = writeln!(control, "ATTACHSTREAM 1 {circuit}\r");
            self.tor.standing().is_none()
        });
    }

    fn listener(&self, say: &mut impl FnMut(String) -> String) -> String {
        let said = say("GETINFO net/listeners/socks".to_owned());
        said.split('"').nth(1).unwrap().to_owned()
    }
}

/// Whether a result is held against the relay's DNS: see `docs/verdicts.md`.
fn accuses(result: &RelayResult) -> bool {
    (result.status.counts_against_dns() && !result.provisional)
        || result.blame == Some(Blame::Resolver)
}

fn found(relay: Fingerprint, fault: Fault, truth: Truth, result: &RelayResult) -> ComparedExit {
    ComparedExit {
        fingerprint: relay,
        nickname: fault.name().to_owned(),
        description: fault.description(),
        truth,
        found: Some(Truth::found(result)),
        resolve_ms: None,
        attempts: result.attempts.clone(),
    }
}

/// A result in one line, with what each attempt said.
fn told(result: &RelayResult) -> String {
    let attempts: Vec<String> = result
        .attempts
        .iter()
        .map(|a| {
            let ms = |time: Option<record::Millis>| time.map(record::Millis::get);
            let queries: Vec<_> = a.queries.iter().map(|q| (q.via, ms(q.resolve_ms))).collect();
            let path = ms(a.circuit.path_ms);
            format!("{} {:?} {:?} {path:?} {queries:?}", a.status, a.error_code, a.blame)
        })
        .collect();
    format!(
        "{} {:?} {:?} provisional {} [{}]",
        result.status,
        result.error_code,
        result.blame,
        result.provisional,
        attempts.join("; ")
    )
}

#[expect(clippy::cast_precision_loss, reason = "numbers far below 2^53")]
fn ratio(of: u64, to: usize) -> f64 {
    of as f64 / to as f64
}

/// What a process takes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Taken {
    /// The most memory that it has held so far, by the system's own mark, in megabytes.
    pub peak: f64,
    /// The most that any look found to be its own: without the pages of the program's file, of which one
    /// that is not optimised has many.
    pub own: f64,
    /// CPU seconds.
    pub cpu: f64,
}

impl Taken {
    /// Takes in how a process stands: nothing once it has ended.
    pub fn look(&mut self, id: u32) {
        let of = |file: &str| fs::read_to_string(format!("/proc/{id}/{file}")).unwrap_or_default();
        let status = of("status");
        let megabytes = |key: &str| {
            let line = status.lines().find(|line| line.starts_with(key));
            let kilobytes =
                line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
            kilobytes.unwrap_or_default() / 1_000.0
        };
        self.peak = self.peak.max(megabytes("VmHWM:"));
        self.own = self.own.max(megabytes("RssAnon:"));
        // User's and system's time, in hundredths of a second: proc_pid_stat(5).
        let stat = of("stat");
        let ticks = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(2);
        self.cpu =
            self.cpu.max(ticks.filter_map(|text| text.parse::<f64>().ok()).sum::<f64>() / 100.0);
    }
}
