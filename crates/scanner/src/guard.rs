//! A process that puts a running tor's options back where the scanner no longer can: it was killed,
//! or it hangs. Started beside a scan through a running tor, and ended with it.
//!
//! What it needs comes by its standard input, as one line of JSON after the other, and never by
//! arguments, which everybody on the host can read. The scanner's death closes that input; nothing
//! else has to happen for it to be noticed.

use std::io::{self, Write};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tor_control::{ControlAddr, Password};

use crate::claim::Claim;
use crate::names::Domain;
use crate::session::{self, Options, now};
use crate::signals::Signals;

/// The name by which a program is the guard instead of itself.
const NAME: &str = "exit-validator-guard";

/// How often the scanner shows that it lives.
const BEAT: Duration = Duration::from_secs(1);

/// How long it may not: past this it hangs, and other programs' streams wait for it. Far longer than
/// a busy machine keeps anybody waiting, since it costs the scan the attempts under way.
const PATIENCE: Duration = Duration::from_secs(6);

/// For how long putting the options back is tried: a tor that cannot be reached for longer is gone,
/// and its options with it.
const TRIES_FOR: Duration = Duration::from_secs(20);

/// Pause between two such tries.
const PAUSE: Duration = Duration::from_millis(200);

/// Set once this program can be the guard.
static CAN_SERVE: OnceLock<()> = OnceLock::new();

/// What is to be done where the scanner no longer can.
#[derive(Debug, Serialize, Deserialize)]
struct Duty {
    address: String,
    password: Option<String>,
    domain: String,
    options: Options,
}

/// A line to the guard.
#[derive(Debug, Serialize, Deserialize)]
enum Line {
    /// The scanner lives.
    Beat,
    /// From now on, this is to be done.
    Hold(Duty),
    /// Nothing is to be done: the scanner has done it.
    Leave,
}

/// The guard of a running tor, as the scanner sees it. Dropped without [`Guard::dismiss`], it does its
/// task.
#[derive(Debug)]
pub(crate) struct Guard {
    child: Child,
    input: Arc<Mutex<Option<ChildStdin>>>,
    beat: tokio::task::JoinHandle<()>,
}

impl Guard {
    /// Starts one. It holds the claim for as long as it lives.
    ///
    /// # Errors
    ///
    /// What the system says; [`io::ErrorKind::Unsupported`] in a program that cannot be the guard.
    pub(crate) fn start(claim: Option<&Claim>) -> io::Result<Self> {
        if CAN_SERVE.get().is_none() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let held = match claim {
            Some(claim) => Stdio::from(OwnedFd::from(claim.share()?)),
            None => Stdio::null(),
        };
        // This very program, even where the file has been replaced since; out of reach of Ctrl-C.
        let mut child = Command::new("/proc/self/exe")
            .arg0(NAME)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(held)
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let input = Arc::new(Mutex::new(child.stdin.take()));
        let beating = Arc::clone(&input);
        let beat = tokio::spawn(async move {
            loop {
                tokio::time::sleep(BEAT).await;
                if say(&beating, &Line::Beat).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, input, beat })
    }

    /// Tells it what to put back, and where.
    ///
    /// # Errors
    ///
    /// It is gone.
    pub(crate) fn hold(
        &self,
        address: &ControlAddr,
        password: Option<&Password>,
        domain: &Domain,
        options: &Options,
    ) -> io::Result<()> {
        let task = Duty {
            address: address.to_string(),
            password: password.map(|password| password.secret().to_owned()),
            domain: domain.to_string(),
            options: options.clone(),
        };
        say(&self.input, &Line::Hold(task))
    }

    /// Ends it: there is nothing left to be put back.
    pub(crate) fn dismiss(mut self) {
        let _ = say(&self.input, &Line::Leave);
        self.input.lock().unwrap_or_else(PoisonError::into_inner).take();
        // It ends at once. Where it cannot, it has to: the claim ends with it.
        for _ in 0..100 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.beat.abort();
        self.input.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Writes a line. The pipe holds far more than the guard ever leaves in it.
fn say(input: &Mutex<Option<ChildStdin>>, line: &Line) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    let mut input = input.lock().unwrap_or_else(PoisonError::into_inner);
    match input.as_mut() {
        Some(input) => input.write_all(&bytes),
        None => Err(io::ErrorKind::BrokenPipe.into()),
    }
}

/// Serves as the guard where this program was started as one; otherwise makes sure that it can be,
/// and answers none. To be called before anything else.
#[must_use]
pub fn serve() -> Option<ExitCode> {
    let _ = CAN_SERVE.set(());
    if std::env::args_os().next()? != NAME {
        return None;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Some(match runtime.map(|runtime| runtime.block_on(watch())) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(_)) | Err(_) => ExitCode::FAILURE,
    })
}

/// Watches over the scanner to its end.
async fn watch() -> io::Result<()> {
    // What is sent to all processes of a service is for the scanner, which ends in order.
    let _signals = Signals::new()?;
    let input = io::stdin().as_fd().try_clone_to_owned()?;
    let input = tokio::net::unix::pipe::Receiver::from_owned_fd(input)?;
    let mut lines = BufReader::new(input).lines();
    let mut task = None;
    let mut hangs = false;
    loop {
        let line = match tokio::time::timeout(PATIENCE, lines.next_line()).await {
            Ok(line) => line?,
            Err(_) => {
                // It sets them again when it goes on.
                if let Some(task) = task.as_ref().filter(|_| !hangs) {
                    put_back(task).await;
                }
                hangs = true;
                continue;
            }
        };
        hangs = false;
        match line.as_deref().map(serde_json::from_str) {
            None => break,
            Some(Ok(Line::Beat)) => {}
            Some(Ok(Line::Hold(new))) => task = Some(new),
            Some(Ok(Line::Leave)) => return Ok(()),
            // The scanner was killed in the middle of it.
            Some(Err(_)) => {}
        }
    }
    if let Some(task) = &task {
        put_back(task).await;
    }
    Ok(())
}

/// Puts the options back. Who could be told of a failure is gone.
async fn put_back(task: &Duty) {
    let (Ok(address), Ok(domain)) = (task.address.parse(), task.domain.parse()) else { return };
    let password = task.password.clone().map(Password::from);
    let end = now() + TRIES_FOR;
    while session::put_back_at(&address, password.as_ref(), &task.options, &domain).await.is_err()
        && now() < end
    {
        tokio::time::sleep(PAUSE).await;
    }
}
