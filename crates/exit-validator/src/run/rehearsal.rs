//! A dry run's private Tor network and stores, in the place of the real ones.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::exit::Exit;
use crate::run::host::{Machine, check_values};
use crate::run::job::{Host as _, Level, RunOutcome, Status};
use crate::run::stage;

/// How long a part of it may take to start.
const START: Duration = Duration::from_secs(300);

/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(200);

/// The buckets of the lab's stores.
const BUCKETS: [&str; 2] = ["spaces-reports", "r2-reports"];

/// The network and the stores; dropping this ends them.
pub(crate) struct Rehearsal {
    lab: PathBuf,
    store: PathBuf,
    program: PathBuf,
    running: Vec<Child>,
}

impl Rehearsal {
    /// Starts them under `work`, and has the settings lead there. Where that fails, the trouble.
    pub(crate) async fn start(work: &Path, machine: &mut Machine) -> Result<Self, String> {
        let mut made = Self {
            lab: work.join("lab"),
            store: work.join("store"),
            program: machine.settings.program_dir.join("lab"),
            running: Vec::new(),
        };
        let mut over = Vec::new();
        for (what, verb, directory) in [
            ("a private Tor network", "up", made.lab.clone()),
            ("two stores", "store", made.store.clone()),
        ] {
            over.extend(made.part(what, verb, &directory, machine).await?);
        }
        machine.settings = machine.settings.elsewhere(&machine.settings.state_dir, &over);
        check_values(&mut machine.settings).map_err(|failure| failure.to_string())?;
        Ok(made)
    }

    /// Starts one part; gives back its settings once it has written them.
    async fn part(
        &mut self,
        what: &str,
        verb: &str,
        directory: &Path,
        machine: &mut Machine,
    ) -> Result<Vec<(String, String)>, String> {
        machine.say(Level::Info, &format!("dry run: starting {what}"));
        let failed = |why: String| format!("dry run: {what} did not start: {why}");
        let spawned = machine.log.for_child().and_then(|out| {
            let err = machine.log.for_child()?;
            Command::new(&self.program)
                .args([verb, "--dir"])
                .arg(directory)
                .stdin(Stdio::null())
                .stdout(out)
                .stderr(err)
                .spawn()
        });
        self.running.push(spawned.map_err(|error| failed(error.to_string()))?);
        let until = machine.uptime() + START;
        loop {
            let file = fs::read(directory.join("config.env"));
            if let Ok(settings) =
                file.map_err(|_| ()).and_then(|bytes| settings::parse(&bytes).map_err(|_| ()))
            {
                return Ok(settings.into_iter().map(|(name, found)| (name, found.value)).collect());
            }
            let ended = self.running.last_mut().map(Child::try_wait);
            if machine.stopped.is_some() {
                return Err(failed("a signal came".to_owned()));
            }
            if let Some(Ok(Some(status))) = ended {
                return Err(failed(format!("it ended ({status}); see above")));
            }
            if machine.uptime() >= until {
                return Err(failed(format!("not ready within {} s", START.as_secs())));
            }
            machine.pause(LOOK).await;
        }
    }

    /// Compares the verdicts with the truth, and the stores with the output directory.
    pub(crate) fn check(&self, machine: &mut Machine, outcome: &mut RunOutcome) {
        let Some(scan) = outcome.scan.clone().filter(|_| machine.stopped.is_none()) else { return };
        let mut command = Command::new(&self.program);
        command.arg("check").arg(scan).arg("--dir").arg(&self.lab);
        let (status, said) = match stage::ask(command, &[]) {
            Ok((status, said, complained)) => (status, said + &complained),
            Err(error) => (Status::Missing, error.to_string()),
        };
        for line in said.lines() {
            machine.say(Level::Info, &format!("truth: {line}"));
        }
        let read = |directory: &Path| fs::read(directory.join(shelf::output::LATEST_FILE));
        let ours = read(&machine.settings.output_dir);
        let mut fail = |text: String| {
            machine.say(Level::Error, &text);
            outcome.troubles.push(text);
            if outcome.exit == Exit::Done {
                outcome.exit = Exit::Untrue;
            }
        };
        if status != Status::Code(0) {
            fail("dry run: the verdicts are not those that are true of this network".to_owned());
        }
        for bucket in BUCKETS {
            let theirs: io::Result<Vec<u8>> = read(&self.store.join(bucket));
            if !matches!((&ours, &theirs), (Ok(ours), Ok(theirs)) if ours == theirs) {
                fail(format!("dry run: the store {bucket} does not hold the report"));
            }
        }
    }
}

impl Drop for Rehearsal {
    fn drop(&mut self) {
        for child in &self.running {
            let pid = rustix::process::Pid::from_child(child);
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        for child in &mut self.running {
            let _ = child.wait();
        }
    }
}
