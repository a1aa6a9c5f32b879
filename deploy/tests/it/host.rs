//! A host as an operator has set it up: a directory, a configuration, stores; and the wrapper's runs
//! on it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lab::{StoreKey, StoreServer};
use record::{Files, Kind, Report};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::network::{LINKS, Lab, Tor, lab, programs};

pub const SECRET: &str = "s3cr3t/of+the=tests";

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(180);

#[expect(clippy::disallowed_methods, reason = "tests wait for processes")]
pub fn clock() -> Instant {
    Instant::now()
}

/// The wrapper.
pub fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("run_dns_validation")
}

/// Waits until something is so.
#[track_caller]
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    let begun = clock();
    while !so() {
        assert!(begun.elapsed() < PATIENCE, "gave up waiting until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// An S3 server of the test's own, with a bucket for each store.
pub struct Stores {
    root: TempDir,
    store: StoreServer,
    _runtime: Runtime,
}

impl Stores {
    pub fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let key = StoreKey { id: "AKIDOFTHETESTS".to_owned(), secret: SECRET.to_owned() };
        let buckets = [lab::SPACES_BUCKET, lab::R2_BUCKET];
        let store = runtime.block_on(StoreServer::start(root.path(), &buckets, key, true)).unwrap();
        Self { root, store, _runtime: runtime }
    }

    /// Where the objects of `spaces` or `r2` lie.
    pub fn bucket(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// The settings that publish to both.
    pub fn settings(&self) -> String {
        self.store.settings()
    }
}

/// A host.
pub struct Host {
    pub lab: Arc<Lab>,
    tor: Tor,
    dir: TempDir,
    /// What its configuration says, in the order of its names.
    pub settings: BTreeMap<String, String>,
    programs: PathBuf,
}

impl Host {
    /// With a directory whose name has a space and a quote in it, scanning the private network.
    pub fn new() -> Self {
        let lab = lab();
        let dir = tempfile::Builder::new().prefix("it's a host ").tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let tor = Tor::start(&lab);
        let mut host = Self { lab, tor, dir, settings: BTreeMap::new(), programs: programs() };
        let network = host.lab.manifest.settings().unwrap();
        host.set_all(&network);
        host.set("TOR_CONTROL", &host.tor.control());
        // Only what fails is asked again, and soon.
        host.set("CONFIRM_AFTER", "1");
        host.set("MIN_FREE_MB", "10");
        host.set("STATE_DIR", host.state().to_str().unwrap());
        host
    }

    /// The same, publishing to these stores.
    pub fn publishing_to(stores: &Stores) -> Self {
        let mut host = Self::new();
        host.set_all(&stores.settings());
        host
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.settings.insert(name.to_owned(), value.to_owned());
    }

    /// Takes over the settings of a `config.env`.
    pub fn set_all(&mut self, lines: &str) {
        for line in lines.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let (name, value) = line.split_once('=').unwrap();
            self.set(name, value);
        }
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub fn state(&self) -> PathBuf {
        self.path("the state")
    }

    pub fn public(&self) -> PathBuf {
        self.state().join("public")
    }

    pub fn config(&self) -> PathBuf {
        self.path("config.env")
    }

    /// Writes the configuration, with each value as an operator would quote it.
    pub fn configure(&self) {
        let lines: String = self
            .settings
            .iter()
            .map(|(name, value)| format!("{name}={}\n", quoted(value)))
            .collect();
        fs::write(self.config(), lines).unwrap();
        fs::set_permissions(self.config(), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Puts a script in the place of a program; `$REAL` in it is the real one.
    pub fn replace(&mut self, program: &str, script: &str) {
        let place = self.path("programs");
        if !place.exists() {
            fs::create_dir(&place).unwrap();
            for entry in ["exit-validator", "lab"].iter().chain(&LINKS) {
                std::os::unix::fs::symlink(programs().join(entry), place.join(entry)).unwrap();
            }
            self.programs = place.clone();
        }
        let path = place.join(program);
        fs::remove_file(&path).unwrap();
        let real = programs().join(program);
        fs::write(&path, format!("#!/bin/sh\nREAL='{}'\n{script}\n", real.display())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The wrapper, with this host's configuration and nothing else in its environment.
    pub fn wrapper(&self, arguments: &[&str]) -> Command {
        // A shell cannot trap what was ignored when it began, as SIGINT is in a background job.
        let mut command = Command::new("env");
        command
            .args(["--default-signal=INT"])
            .arg(script())
            .arg("--config")
            .arg(self.config())
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("PROGRAM_DIR", &self.programs)
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Ended {
        self.configure();
        Ended::of(self.wrapper(arguments).output().unwrap())
    }

    /// Starts it.
    pub fn start(&self, arguments: &[&str]) -> Running {
        self.configure();
        let mut command = self.wrapper(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Running { child: command.spawn().unwrap(), state: self.state() }
    }

    pub fn logs(&self) -> Vec<String> {
        let mut names: Vec<PathBuf> = fs::read_dir(self.state().join("log"))
            .map(|dir| dir.map(|entry| entry.unwrap().path()).collect())
            .unwrap_or_default();
        names.retain(|path| path.extension().is_some_and(|end| end == "log"));
        names.sort();
        names.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
    }

    /// The newest log.
    pub fn log(&self) -> String {
        self.logs().pop().unwrap_or_default()
    }

    pub fn latest(&self) -> Option<Report> {
        let bytes = fs::read(self.public().join("latest.json")).ok()?;
        Some(Kind::Report.parse(&bytes).unwrap())
    }

    pub fn files(&self) -> Files {
        Kind::Files.parse(&fs::read(self.public().join("files.json")).unwrap()).unwrap()
    }

    /// The analysis directories, oldest first.
    pub fn scans(&self) -> Vec<PathBuf> {
        let mut scans: Vec<PathBuf> = fs::read_dir(self.state().join("analysis"))
            .map(|dir| dir.map(|entry| entry.unwrap().path()).collect())
            .unwrap_or_default();
        scans.retain(|path| path.is_dir());
        scans.sort();
        scans
    }
}

fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:,@%+=-".contains(c);
    if value.chars().all(plain) { value.to_owned() } else { format!("\"{value}\"") }
}

/// A run that has ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub said: String,
}

impl Ended {
    fn of(output: Output) -> Self {
        let said = [output.stdout, output.stderr].concat();
        Self { code: output.status.code(), said: String::from_utf8(said).unwrap() }
    }

    /// It ended with this code.
    #[track_caller]
    pub fn with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.said);
        self
    }

    /// It said all of these.
    #[track_caller]
    pub fn saying(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.said.contains(text), "{text:?} is not in: {}", self.said);
        }
        self
    }
}

/// A run that is under way; killed with all it has started when it is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    state: PathBuf,
}

impl Running {
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// The script's process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether the script itself has ended.
    pub fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits until a program of this name is at work for this host.
    #[track_caller]
    pub fn until_program(&mut self, program: &str) {
        let state = self.state.clone();
        until(&format!("{program} is at work"), || {
            assert!(self.child.try_wait().unwrap().is_none(), "it ended before {program}");
            processes(&state).iter().any(|(_, name)| name == program)
        });
    }

    pub fn end(mut self) -> Ended {
        let begun = clock();
        while self.child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
        let (mut out, mut err) = (Vec::new(), Vec::new());
        if let Some(mut pipe) = self.child.stdout.take() {
            pipe.read_to_end(&mut out).unwrap();
        }
        if let Some(mut pipe) = self.child.stderr.take() {
            pipe.read_to_end(&mut err).unwrap();
        }
        let status = self.child.wait().unwrap();
        Ended::of(Output { status, stdout: out, stderr: err })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        kill_left(&self.state);
    }
}

/// The processes whose environment has this STATE_DIR: a run's, children included.
pub fn processes(state: &Path) -> Vec<(Pid, String)> {
    let mark = format!("STATE_DIR={}", state.display());
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(number) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        let ours = environment.split(|byte| *byte == 0).any(|line| line == mark.as_bytes());
        let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        if let (true, Some(pid)) = (ours, Pid::from_raw(number)) {
            found.push((pid, name.trim_end().to_owned()));
        }
    }
    found
}

/// Kills what is left of a run, and waits until nobody holds its lock. The guard of a scan through a
/// running tor holds it a moment longer, and [`processes`] cannot find it: its environment is empty.
pub fn kill_all(state: &Path) {
    kill_left(state);
    until("the lock is free", || {
        let lock = fs::File::open(state.join("run.lock"));
        lock.is_ok_and(|lock| lock.try_lock().is_ok())
    });
}

fn kill_left(state: &Path) {
    until("what is left of a run is gone", || {
        let left = processes(state);
        for (pid, _) in &left {
            let _ = kill_process(*pid, Signal::KILL);
        }
        left.is_empty()
    });
}
