//! A tor of the scanner's own: started, watched and ended here. Knows nothing of what is done
//! with it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use record::printable;
use tokio::process::{Child, Command};
use tor_control::ControlAddr;

use crate::torrc::{Layout, UnusableDir};

/// How long tor may take from its start until its control port listens: it reads its directory
/// cache before, which on the public network takes a few seconds on a slow disk.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How long tor may take to end by itself before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// How often a starting tor is looked at.
const POLL: Duration = Duration::from_millis(25);

/// How much of the end of tor's log is read for an error message.
const LOG_TAIL: u64 = 16 * 1024;

/// Why there is no tor.
#[derive(Debug, thiserror::Error)]
pub enum OwnTorError {
    /// The directory's name cannot be used.
    #[error(transparent)]
    Dir(#[from] UnusableDir),
    /// No such program.
    #[error(
        "cannot start tor: there is no program {0:?}; install tor (Debian, Ubuntu: apt-get install \
         tor) or say where it is by --tor PATH"
    )]
    NotInstalled(PathBuf),
    /// The directory is open to others, so that tor would open no sockets there.
    #[error(
        "tor's directory {dir} can be entered by other users (mode {mode:o}), who could use the \
         sockets and the cookie there: chmod 700 it, or give another by --tor-dir"
    )]
    NotPrivate {
        /// The directory.
        dir: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Another scan holds the directory.
    #[error(
        "another scan runs its tor in {0}; wait for it to end, or give this one another directory \
         by --tor-dir"
    )]
    Busy(PathBuf),
    /// It ended by itself.
    #[error("tor ended while it started ({status}); the end of its log, {log}:\n{tail}")]
    Ended {
        /// Its exit status.
        status: String,
        /// Its log file.
        log: PathBuf,
        /// The last lines that warn.
        tail: String,
    },
    /// It does not listen.
    #[error("tor did not open its control port within {} s; its log is {log}", limit.as_secs_f64())]
    Mute {
        /// How long it was waited for.
        limit: Duration,
        /// Its log file.
        log: PathBuf,
    },
    /// The file system or the kernel said no.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        r#source: io::Error,
    },
}

/// A running tor. Dropping it kills it.
#[derive(Debug)]
pub struct OwnTor {
    child: Child,
    layout: Layout,
    control: ControlAddr,
}

/// Where and how to start it, held for as long as the scan lasts.
#[derive(Debug)]
pub struct OwnTorHome {
    program: PathBuf,
    layout: Layout,
    extra: String,
    _lock: File,
}

impl OwnTorHome {
    /// Makes the directory, private to this user, and locks it.
    ///
    /// # Errors
    ///
    /// [`OwnTorError::NotPrivate`] where it was there and is open to others,
    /// [`OwnTorError::Busy`] where another scan holds it, otherwise what the file system says.
    pub fn prepare(program: PathBuf, dir: PathBuf, extra: String) -> Result<Self, OwnTorError> {
        let layout = Layout::new(dir)?;
        let mut private = DirBuilder::new();
        private.recursive(true).mode(0o700);
        let make = |dir: &Path| private.create(dir).map_err(io_error("create the directory", dir));
        make(layout.dir())?;
        let metadata = fs::metadata(layout.dir()).map_err(io_error("read", layout.dir()))?;
        let mode = metadata.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(OwnTorError::NotPrivate { dir: layout.dir().to_owned(), mode });
        }
        make(&layout.data())?;
        let path = layout.dir().join(".lock");
        let lock = File::create(&path).map_err(io_error("create", &path))?;
        if !shelf::lock::take(&lock).map_err(io_error("lock", &path))? {
            return Err(OwnTorError::Busy(layout.dir().to_owned()));
        }
        Ok(Self { program, layout, extra, _lock: lock })
    }

    /// Starts tor, and waits until its control port listens, for `limit` at most.
    ///
    /// # Errors
    ///
    /// [`OwnTorError`], with the end of tor's own log where it ended.
    pub async fn start(&self, limit: Duration) -> Result<OwnTor, OwnTorError> {
        let limit = limit.min(START_LIMIT);
        let layout = &self.layout;
        let write =
            |path: PathBuf, text: &str| fs::write(&path, text).map_err(io_error("write", &path));
        write(layout.torrc(), &layout.render(std::process::id(), &self.extra))?;
        write(layout.defaults(), "")?;
        for stale in layout.control_socket().into_iter().chain([layout.control_port_file()]) {
            match fs::remove_file(&stale) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(io_error("remove", &stale)(error));
                }
                _ => {}
            }
        }
        let log = layout.log();
        // The start before stays readable: a tor that died is explained there.
        let _ = fs::rename(&log, layout.previous_log());
        let mut open = OpenOptions::new();
        open.write(true).create(true).truncate(true).mode(0o600);
        let output = open.open(&log).map_err(io_error("create", &log))?;
        let errors = output.try_clone().map_err(io_error("open", &log))?;
        let spawned = Command::new(&self.program)
            .arg("--defaults-torrc")
            .arg(layout.defaults())
            .arg("-f")
            .arg(layout.torrc())
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            // Ctrl-C at a terminal is for the scanner, which then ends tor in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn();
        let child = spawned.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => OwnTorError::NotInstalled(self.program.clone()),
            _ => io_error("start", &self.program)(error),
        })?;
        let mut tor =
            OwnTor { child, layout: layout.clone(), control: ControlAddr::Tcp(String::new()) };
        tor.control = tokio::time::timeout(limit, tor.await_control())
            .await
            .map_err(|_| OwnTorError::Mute { limit, log })??;
        Ok(tor)
    }
}

impl OwnTor {
    async fn await_control(&mut self) -> Result<ControlAddr, OwnTorError> {
        loop {
            if let Some(error) = self.ended() {
                return Err(error);
            }
            if let Some(address) = self.control_if_listening() {
                return Ok(address);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn control_if_listening(&self) -> Option<ControlAddr> {
        if let Some(socket) = self.layout.control_socket() {
            // Tor writes the cookie after it has opened the socket.
            return (socket.exists() && self.layout.cookie().exists())
                .then_some(ControlAddr::Unix(socket));
        }
        // "PORT=127.0.0.1:12345" (tor's manual, ControlPortWriteToFile)
        let text = fs::read_to_string(self.layout.control_port_file()).ok()?;
        text.lines().find_map(|line| line.strip_prefix("PORT="))?.trim().parse().ok()
    }

    /// Where its control port listens.
    #[must_use]
    pub fn control(&self) -> &ControlAddr {
        &self.control
    }

    /// Its log file.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.layout.log()
    }

    /// Why it ended, where it has.
    pub fn ended(&mut self) -> Option<OwnTorError> {
        let status = self.child.try_wait().ok()??;
        let log = self.layout.log();
        Some(OwnTorError::Ended { status: status.to_string(), tail: tail(&log), log })
    }

    /// Ends it: by the control connection's closing (it is owned), by SIGTERM, and by SIGKILL if
    /// it takes too long.
    pub async fn stop(mut self) {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        if tokio::time::timeout(STOP_LIMIT, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }
}

/// The last lines of tor's log that warn, or its last lines.
fn tail(log: &Path) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let warns = |line: &&&str| line.contains("[warn]") || line.contains("[err]");
    let mut shown: Vec<&str> = lines.iter().filter(warns).copied().collect();
    if shown.is_empty() {
        shown = lines;
    }
    let from = shown.len().saturating_sub(5);
    shown[from..].iter().map(|line| format!("  {}", printable(line))).collect::<Vec<_>>().join("\n")
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OwnTorError {
    let path = path.to_owned();
    move |source| OwnTorError::Io { doing, path, source }
}
