//! Running the scanner: its flags, its end, what it said, and what it left on the disk.

use std::fmt::Write as _;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use record::{Fingerprint, Kind, Plan, RelayResult, Run};
use rustix::process::{Pid, Signal, kill_process};
use shelf::run::{PLAN_FILE, RESULTS_LOG_FILE, RUN_FILE};

use crate::support::program;

/// How long anything may take: far more than it should, so that a loaded machine fails no test.
pub const PATIENCE: Duration = Duration::from_secs(100);

/// Flags without which a test would wait for pauses that spare the public network.
pub const FAST: &[&str] = &[
    "--delay-noise=0",
    "--query-timeout=5",
    "--circuit-timeout=10",
    "--confirm-rounds=1",
    "--confirm-after=1",
    // Of the lab's zone; asked for after the verdict.
    "--expected-ipv6=2001:db8::4041",
];

/// The scanner with these flags, and nothing of this process's environment but the way to tor.
pub fn scanner<S: AsRef<std::ffi::OsStr>>(flags: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(program("scanner"));
    command.args(flags).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// A scanner that runs.
#[derive(Debug)]
pub struct Running {
    child: Child,
    out: JoinHandle<Vec<u8>>,
    err: JoinHandle<Vec<u8>>,
}

/// How a scanner ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code or signal.
    pub status: ExitStatus,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// Starts it.
pub fn start(mut command: Command) -> Running {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let out = collect(child.stdout.take().unwrap());
    let err = collect(child.stderr.take().unwrap());
    Running { child, out, err }
}

fn collect(mut from: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

/// Runs it to its end.
pub fn run(command: Command) -> Ended {
    start(command).end()
}

impl Running {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until something is so, while it runs.
    pub fn until(&mut self, what: &str, mut so: impl FnMut() -> bool) {
        let end = now() + PATIENCE;
        while !so() {
            if self.has_ended() {
                panic!("the scanner ended before {what}: {:?}", self.words());
            }
            assert!(now() < end, "waited in vain until {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn words(&mut self) -> String {
        let nothing = std::thread::spawn(Vec::new);
        let err = std::mem::replace(&mut self.err, nothing).join().unwrap();
        String::from_utf8_lossy(&err).into_owned()
    }

    /// Waits for its end.
    pub fn end(mut self) -> Ended {
        let end = now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if now() >= end {
                let _ = self.child.kill();
                let _ = self.child.wait();
                let err = String::from_utf8_lossy(&self.err.join().unwrap()).into_owned();
                panic!("the scanner did not end in {PATIENCE:?}:\n{err}");
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        let [out, err] = [self.out, self.err].map(|output| said(output.join().unwrap()));
        Ended { status, out, err }
    }
}

/// What a program said, if that is fit for a terminal, and no panic's last words.
fn said(bytes: Vec<u8>) -> String {
    let text = String::from_utf8(bytes).expect("what a program says is UTF-8");
    if let Some(c) =
        text.chars().find(|&c| c != '\n' && record::printable(&c.to_string()).len() != c.len_utf8())
    {
        panic!("{c:?} would act on a terminal:\n{}", text.escape_debug());
    }
    for word in ["panicked at", "RUST_BACKTRACE", "stack backtrace"] {
        assert!(!text.contains(word), "{text}");
    }
    text
}

impl Ended {
    /// That it ended with this exit code.
    #[track_caller]
    pub fn with(self, code: i32) -> Self {
        let Self { status, out, err } = &self;
        assert_eq!(status.code(), Some(code), "{status}\n--- out\n{out}\n--- err\n{err}");
        self
    }

    /// That it says each of these on standard error.
    #[track_caller]
    pub fn saying(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.err.contains(word), "{word:?} is not in:\n{}", self.err);
        }
        self
    }
}

/// Waits until something is so.
#[track_caller]
pub fn until(what: &str, so: impl FnMut() -> bool) {
    within(PATIENCE, what, so);
}

/// Waits for longer, or less long.
pub fn within(limit: Duration, what: &str, mut so: impl FnMut() -> bool) {
    let end = now() + limit;
    while !so() {
        assert!(now() < end, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What a scan left in its analysis directory, each file checked against its published schema.
#[derive(Debug)]
pub struct Left {
    /// What it set out to do.
    pub plan: Plan,
    /// How it ended, where it could still say so.
    pub run: Option<Run>,
    /// The results.
    pub results: Vec<RelayResult>,
}

impl Left {
    /// Reads it.
    #[track_caller]
    pub fn by(dir: &Path) -> Self {
        let mut results = Vec::new();
        for name in names(dir) {
            if name.starts_with("dnshealth_") {
                let result: RelayResult = read(Kind::Result, &dir.join(&name), "result");
                assert_eq!(name, shelf::run::result_name(&result.exit_fingerprint));
                results.push(result);
            } else {
                let others = [PLAN_FILE, RUN_FILE, RESULTS_LOG_FILE, ".scanner.lock"];
                assert!(others.contains(&name.as_str()), "{name}");
            }
        }
        let run = dir.join(RUN_FILE);
        let log = dir.join(RESULTS_LOG_FILE);
        assert!(!(run.exists() && log.exists()), "the log goes when every result is safe");
        Self {
            plan: read(Kind::Plan, &dir.join(PLAN_FILE), "plan"),
            run: run.exists().then(|| read(Kind::Run, &run, "run")),
            results,
        }
    }

    /// The run's own file.
    #[track_caller]
    pub fn run(&self) -> &Run {
        self.run.as_ref().expect("the scan wrote how it ended")
    }

    /// One relay's result.
    #[track_caller]
    pub fn of(&self, relay: &Fingerprint) -> &RelayResult {
        self.results.iter().find(|result| result.exit_fingerprint == *relay).expect("a result")
    }

    /// That every selected relay has a result, or is named as not reached.
    #[track_caller]
    pub fn accounts_for_everyone(&self) {
        let run = self.run();
        let mut have: Vec<Fingerprint> =
            self.results.iter().map(|result| result.exit_fingerprint).collect();
        assert_eq!(run.counts, self.results.iter().map(|result| result.status).collect());
        have.extend(&run.not_reached);
        have.sort_unstable();
        let mut planned: Vec<Fingerprint> =
            self.plan.relays.iter().map(|relay| relay.fingerprint).collect();
        planned.sort_unstable();
        assert_eq!(have, planned);
        assert_eq!(usize::try_from(run.selected).unwrap(), planned.len());
        let mut open: Vec<Fingerprint> = run.unconfirmed.clone();
        open.sort_unstable();
        let mut provisional: Vec<Fingerprint> = self
            .results
            .iter()
            .filter(|result| result.provisional)
            .map(|result| result.exit_fingerprint)
            .collect();
        provisional.sort_unstable();
        assert_eq!(open, provisional);
    }
}

#[track_caller]
fn read<T: serde::de::DeserializeOwned>(kind: Kind, path: &Path, schema: &str) -> T {
    let bytes = std::fs::read(path).unwrap();
    let schema = format!("{}/../../docs/formats/{schema}.schema.json", env!("CARGO_MANIFEST_DIR"));
    let schema = serde_json::from_slice(&std::fs::read(schema).unwrap()).unwrap();
    let value = serde_json::from_slice(&bytes).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let mut errors = String::new();
    for error in validator.iter_errors(&value) {
        let _ = writeln!(errors, "{}: {error}", error.instance_path());
    }
    assert!(errors.is_empty(), "{}: {errors}", path.display());
    kind.parse(&bytes).unwrap()
}

/// The names of the files in a directory, in order; none where there is no directory.
pub fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// How many results there are.
pub fn results(dir: &Path) -> usize {
    names(dir).iter().filter(|name| name.starts_with("dnshealth_")).count()
}

/// The tors that were given a path under this directory as an argument.
pub fn tors_of(dir: &Path) -> Vec<u32> {
    let dir = dir.to_str().unwrap().as_bytes();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap() {
        let path: PathBuf = entry.unwrap().path();
        let Some(Ok(id)) = path.file_name().and_then(|name| name.to_str()).map(str::parse) else {
            continue;
        };
        let command = std::fs::read(path.join("cmdline")).unwrap_or_default();
        if command.starts_with(b"tor\0") && command.windows(dir.len()).any(|part| part == dir) {
            found.push(id);
        }
    }
    found
}

/// Sends a signal to a process by its id.
pub fn signal(id: u32, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(id).unwrap()).unwrap(), signal).unwrap();
}

#[expect(clippy::disallowed_methods, reason = "tests wait by the clock")]
pub fn now() -> Instant {
    Instant::now()
}
