//! The processes, tors and recursors: starts, freezes and ends them, and sees to it that none outlives the lab.
//! Knows nothing of what they are for.
//!
//! One thread owns all of them, from their start to their end. It must live as long as they do:
//! each is started by way of `setpriv --pdeathsig KILL`, and the kernel sends that signal when the
//! thread that started a process ends (prctl(2), `PR_SET_PDEATHSIG`), be it by a panic or by a
//! SIGKILL to the whole lab. Tor's own `__OwningControllerProcess` would not do, for a frozen tor
//! looks after nobody.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::oneshot;

use crate::LabError;

/// The processes. All of them end when this is dropped.
#[derive(Debug)]
pub(crate) struct Processes {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

/// A way to act on the processes from anywhere.
#[derive(Debug, Clone)]
pub(crate) struct Handle(mpsc::Sender<StartMessage>);

type Job = Box<dyn FnOnce(&mut Table) + Send>;

enum StartMessage {
    Job(Job),
    Stop,
}

/// How to start one process, again if need be.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    /// The program.
    pub(crate) program: OsString,
    /// Its arguments.
    pub(crate) arguments: Vec<OsString>,
    /// What its environment has more.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// Where what it writes goes; of a tor, before it opens its own log.
    pub(crate) output: PathBuf,
}

impl Launch {
    /// How to start a tor by its configuration file. `defaults`: a file without content, in place of the
    /// system's defaults.
    pub(crate) fn tor(torrc: PathBuf, defaults: PathBuf, output: PathBuf) -> Self {
        let arguments = ["--hush".into(), "-f".into(), torrc.into(), "--defaults-torrc".into()];
        let arguments: Vec<OsString> = arguments.into_iter().chain([defaults.into()]).collect();
        Self { program: "tor".into(), arguments, environment: Vec::new(), output }
    }
}

/// The processes by name, as their own thread sees them.
#[derive(Default)]
pub(crate) struct Table(BTreeMap<String, ProcessEntry>);

struct ProcessEntry {
    launch: Launch,
    child: Child,
    /// Whether the lab itself ended it.
    killed: bool,
}

impl Processes {
    /// Starts the thread.
    pub(crate) fn new() -> Result<Self, LabError> {
        let (sender, messages) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("lab-processes".to_owned())
            .spawn(move || {
                let mut table = Table::default();
                while let Ok(StartMessage::Job(job)) = messages.recv() {
                    job(&mut table);
                }
            })
            .map_err(|source| LabError::Start { program: "a thread".to_owned(), source })?;
        Ok(Self { handle: Handle(sender), thread: Some(thread) })
    }

    pub(crate) const fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        let _ = self.handle.0.send(StartMessage::Stop);
        if let Some(thread) = self.thread.take() {
            // A panic in there has ended the processes as well as its orderly end does.
            let _ = thread.join();
        }
    }
}

impl Handle {
    /// Runs `job` on the processes' thread and waits for its result.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Table) -> T + Send + 'static,
    ) -> Result<T, LabError> {
        let (sender, result) = oneshot::channel();
        let job = Box::new(move |table: &mut Table| {
            // Whoever asked may have lost interest.
            let _ = sender.send(job(table));
        });
        self.0.send(StartMessage::Job(job)).map_err(|_| LabError::Stopped)?;
        result.await.map_err(|_| LabError::Stopped)
    }
}

impl Table {
    /// Starts a process under this name, ending the one that had it.
    pub(crate) fn start(&mut self, name: &str, launch: Launch) -> Result<(), LabError> {
        self.kill(name);
        let child = spawn(&launch)?;
        self.0.insert(name.to_owned(), ProcessEntry { launch, child, killed: false });
        Ok(())
    }

    /// Ends it, if it runs, and starts it again as it was.
    pub(crate) fn restart(&mut self, name: &str) -> Result<(), LabError> {
        self.kill(name);
        if let Some(entry) = self.0.get_mut(name) {
            entry.child = spawn(&entry.launch)?;
            entry.killed = false;
        }
        Ok(())
    }

    /// Ends it, if it runs, at once and without farewell. It is gone on return.
    pub(crate) fn kill(&mut self, name: &str) {
        if let Some(entry) = self.0.get_mut(name) {
            end(&mut entry.child);
            entry.killed = true;
        }
    }

    /// Sends a signal to it, if it runs.
    pub(crate) fn signal(&mut self, name: &str, signal: Signal) {
        if let Some(entry) = self.0.get_mut(name)
            // A process that has ended and was not waited for keeps its id, so that the signal
            // cannot meet a stranger.
            && let Ok(None) = entry.child.try_wait()
        {
            // It can only have ended just now.
            let _ = kill_process(Pid::from_child(&entry.child), signal);
        }
    }

    /// The processes that have ended by themselves, and how.
    pub(crate) fn ended(&mut self) -> Vec<(String, String)> {
        let ended = |entry: &mut ProcessEntry| entry.child.try_wait().ok().flatten();
        self.0
            .iter_mut()
            .filter(|(_, entry)| !entry.killed)
            .filter_map(|(name, entry)| Some((name.clone(), ended(entry)?.to_string())))
            .collect()
    }

    /// The process ids of those that run.
    pub(crate) fn ids(&mut self) -> Vec<u32> {
        self.0
            .values_mut()
            .filter_map(|entry| match entry.child.try_wait() {
                Ok(None) => Some(entry.child.id()),
                Ok(Some(_)) | Err(_) => None,
            })
            .collect()
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        // First all the signals, then all the waiting.
        for entry in self.0.values_mut() {
            let _ = entry.child.kill();
        }
        for entry in self.0.values_mut() {
            end(&mut entry.child);
        }
    }
}

/// SIGKILL ends a frozen process too.
fn end(child: &mut Child) {
    // Both fail only where it was waited for before.
    let _ = child.kill();
    let _ = child.wait();
}

fn spawn(launch: &Launch) -> Result<Child, LabError> {
    let output = File::create(&launch.output).map_err(LabError::file("create", &launch.output))?;
    let errors = output.try_clone().map_err(LabError::file("write", &launch.output))?;
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--"])
        .arg(&launch.program)
        .args(&launch.arguments)
        .envs(launch.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        // Out of reach of the terminal's interrupt: the lab ends them.
        .process_group(0)
        .spawn()
        .map_err(|source| LabError::Start { program: "setpriv".to_owned(), source })
}

/// The last lines of a text file, on one line; empty where it cannot be read.
pub(crate) fn tail(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().filter(|line| !line.is_empty()).collect();
    record::printable(&lines[lines.len().saturating_sub(4)..].join(" | "))
}
