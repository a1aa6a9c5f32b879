//! The programs that a run starts: which, with what in their environment, and how they are ended.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process_group};
use tokio::process::Child;
use tokio::signal::unix::{self, SignalKind};
use tokio::time::{Instant, sleep, sleep_until};

use crate::exit::Exit;
use crate::run::job::{Program, Status};
use crate::run::settings::Environment;

/// How long a program may take to end in good order before it is killed, with what it started.
const FAREWELL: Duration = Duration::from_secs(120);

/// Most of a program's output that is kept, in bytes.
const MOST_OUTPUT: u64 = 16 << 20;

/// How the names of the stores' keys and tokens end: the upload alone sees them.
const KEYS: [&str; 6] = [
    "_SPACES_KEY",
    "_SPACES_SECRET",
    "_ACCESS_KEY_ID",
    "_SECRET_ACCESS_KEY",
    "_SESSION_TOKEN",
    "_API_TOKEN",
];

/// The command of a program in this directory: by the link that has its name of old, or else as a
/// verb of the one program.
pub(crate) fn command(
    directory: &Path,
    program: Program,
    environment: &Environment,
) -> (Command, PathBuf) {
    let (link, verb, first) = match program {
        Program::Scan => ("scanner", "scan", None),
        Program::Report => ("aggregate", "report", None),
        Program::Upload => ("upload", "upload", None),
        Program::Retain => ("aggregate", "retain", Some("retain")),
        Program::Notify => ("exit-validator", "notify", Some("notify")),
        Program::Domains => ("exit-validator", "domains", Some("domains")),
    };
    let path = directory.join(link);
    let (path, first) =
        if path.exists() { (path, first) } else { (directory.join("exit-validator"), Some(verb)) };
    let mut command = Command::new(&path);
    command.args(first).env_clear().stdin(Stdio::null()).process_group(0);
    command.envs(environment.iter().filter(|(name, _)| {
        let name = name.to_string_lossy();
        let is_key = KEYS.iter().any(|end| name.ends_with(end));
        let is_channel = notify::SECRETS.contains(&&*name);
        (program == Program::Upload || !is_key) && (program == Program::Notify || !is_channel)
    }));
    (command, path)
}

/// The signals that end a run.
pub(crate) struct EndSignals {
    hangup: unix::Signal,
    interrupt: unix::Signal,
    terminate: unix::Signal,
}

impl EndSignals {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            hangup: unix::signal(SignalKind::hangup())?,
            interrupt: unix::signal(SignalKind::interrupt())?,
            terminate: unix::signal(SignalKind::terminate())?,
        })
    }

    /// The next one, and its name.
    pub(crate) async fn next(&mut self) -> (Exit, &'static str) {
        tokio::select! {
            _ = self.hangup.recv() => (Exit::Hangup, "SIGHUP"),
            _ = self.interrupt.recv() => (Exit::Interrupted, "SIGINT"),
            _ = self.terminate.recv() => (Exit::Terminated, "SIGTERM"),
        }
    }
}

/// A program that runs, in a process group of its own.
pub(crate) struct RunningStage {
    child: Child,
    group: Option<Pid>,
}

impl RunningStage {
    pub(crate) fn start(command: Command) -> io::Result<Self> {
        let child = tokio::process::Command::from(command).spawn()?;
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Ok(Self { child, group })
    }

    /// Tells it to end in good order.
    pub(crate) fn terminate(&self) {
        if let Some(pid) = self.group {
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    fn kill_group(&self) {
        if let Some(group) = self.group {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }

    /// Waits until what it has started is gone as well.
    async fn clear_group(&self) {
        for _ in 0..200 {
            self.kill_group();
            if self.group.is_none_or(|group| test_kill_process_group(group).is_err()) {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits for its end; ends it at the limit, and when a signal comes, of which `told` is told.
    pub(crate) async fn end(
        mut self,
        limit: Duration,
        signals: &mut EndSignals,
        mut told: impl FnMut(Exit, &'static str),
    ) -> io::Result<Status> {
        let mut late = false;
        let mut ended_by_us = false;
        // The limit first, and then the time that it has to end.
        let mut deadline = now() + limit;
        let status = loop {
            tokio::select! {
                status = self.child.wait() => break status?,
                () = sleep_until(deadline) => {
                    if ended_by_us {
                        self.kill_group();
                    } else {
                        late = true;
                        self.terminate();
                    }
                    ended_by_us = true;
                    deadline = now() + FAREWELL;
                }
                (exit, name) = signals.next() => {
                    told(exit, name);
                    self.terminate();
                    if !ended_by_us {
                        ended_by_us = true;
                        deadline = now() + FAREWELL;
                    }
                }
            }
        };
        if ended_by_us {
            self.clear_group().await;
        }
        Ok(if late { Status::Late } else { status_of(status) })
    }
}

fn status_of(status: ExitStatus) -> Status {
    let number = |value: i32| u8::try_from(value).unwrap_or(u8::MAX);
    match status.signal() {
        Some(signal) => Status::Signal(number(signal)),
        None => Status::Code(status.code().map_or(u8::MAX, number)),
    }
}

#[expect(clippy::disallowed_methods, reason = "the edge: programs are ended by the clock")]
fn now() -> Instant {
    Instant::now()
}

/// What a program printed into this file.
pub(crate) fn output(mut file: File) -> io::Result<String> {
    file.rewind()?;
    let mut bytes = Vec::new();
    file.take(MOST_OUTPUT).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What a program says that is over soon: how it ended, what it printed, and what it complained.
pub(crate) fn ask(
    mut command: Command,
    arguments: &[OsString],
) -> io::Result<(Status, String, String)> {
    let output = command.args(arguments).output()?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok((status_of(output.status), text(output.stdout), text(output.stderr)))
}
