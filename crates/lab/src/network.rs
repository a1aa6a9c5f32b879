//! A running lab: what it consists of, and what can be done to it. How it comes to run is in
//! `start`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::Duration;

use record::Fingerprint;
use rustix::process::Signal;

use crate::authority::ZoneServer;
use crate::process::Processes;
use crate::resolver::{HeardQuery, Mind, QueryLog, Resolvers};
use crate::torrc::{self, Authority};
use crate::{Fault, LabError, LabProgress, Spec};

/// The client tor's name in the lab.
pub(crate) const CLIENT: &str = "client";

/// An exit of the lab.
#[derive(Debug, Clone)]
pub struct LabExit {
    /// Its identity.
    pub fingerprint: Fingerprint,
    /// Its nickname: [`Fault::name`], with a number where there are several.
    pub nickname: String,
    /// What is wrong with it.
    pub fault: Fault,
    /// The id of the family whose key it has, as a torrc has it.
    pub family_id: Option<String>,
    /// Its address for other relays.
    pub or_address: SocketAddr,
    /// Where its resolver listens, by UDP and TCP.
    pub resolver: SocketAddr,
    pub(crate) log: QueryLog,
    pub(crate) mind: Mind,
}

/// A first hop of the lab.
#[derive(Debug, Clone)]
pub struct LabGuard {
    /// Its identity.
    pub fingerprint: Fingerprint,
    /// Its nickname.
    pub nickname: String,
}

/// A tor that runs as a client of the lab's network, such as an operator has running.
#[derive(Debug, Clone)]
pub struct Client {
    /// Its control port, as `HOST:PORT`.
    pub control: String,
    /// The file of its authentication cookie.
    pub cookie: PathBuf,
    /// Its SOCKS port.
    pub socks: SocketAddr,
    /// Its DNSPort (UDP).
    pub dns: SocketAddr,
}

/// A running lab. Everything ends when this is dropped, and when the process that holds it ends,
/// however that happens.
#[derive(Debug)]
pub struct Network {
    pub(crate) dir: PathBuf,
    pub(crate) authorities: Vec<Authority>,
    pub(crate) exits: Vec<LabExit>,
    pub(crate) guards: Vec<LabGuard>,
    pub(crate) dead_guard: Option<Fingerprint>,
    pub(crate) client: Option<Client>,
    // Dropped in this order: the resolvers act on the processes, and ask the zone's name server.
    pub(crate) _resolvers: Resolvers,
    pub(crate) processes: Processes,
    pub(crate) zone: ZoneServer,
}

impl Network {
    /// Starts a network with its files in `dir`, which is made where it does not exist, and waits
    /// until it can be used: a consensus holds every relay, and the client has a circuit.
    ///
    /// # Errors
    ///
    /// [`LabError`] where the specification is impossible, a program is missing, a tor fails, or it
    /// takes too long. Nothing is then left running; the logs stay in `dir`.
    pub async fn start(
        spec: &Spec,
        dir: &Path,
        progress: impl FnMut(LabProgress) + Send,
    ) -> Result<Self, LabError> {
        crate::start::start(spec, dir, progress).await
    }

    /// The lab's directory, absolute.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The exits, in the order of the specification.
    #[must_use]
    pub fn exits(&self) -> &[LabExit] {
        &self.exits
    }

    /// The exit with this nickname.
    #[must_use]
    pub fn exit(&self, nickname: &str) -> Option<&LabExit> {
        self.exits.iter().find(|exit| exit.nickname == nickname)
    }

    /// The first hops that work.
    #[must_use]
    pub fn guards(&self) -> &[LabGuard] {
        &self.guards
    }

    /// The first hop that is dead and in the consensus.
    #[must_use]
    pub const fn dead_guard(&self) -> Option<Fingerprint> {
        self.dead_guard
    }

    /// The configuration lines for a tor of one's own that is to use this network: its authorities,
    /// and what makes it behave as a client of the public network.
    #[must_use]
    pub fn torrc_lines(&self) -> String {
        torrc::user(&self.authorities)
    }

    /// The client tor, where the specification asked for one.
    #[must_use]
    pub const fn client(&self) -> Option<&Client> {
        self.client.as_ref()
    }

    /// What an exit's resolver was asked, oldest first; the newest 10 000 questions.
    ///
    /// # Errors
    ///
    /// [`LabError::NoSuchRelay`].
    pub fn asked(&self, exit: &Fingerprint) -> Result<Vec<HeardQuery>, LabError> {
        Ok(self.find(exit)?.log.asked())
    }

    /// Has every resolver whose answers change with the number of the question begin anew, so that
    /// one scan after the other sees the same.
    pub fn begin_anew(&self) {
        for exit in &self.exits {
            exit.mind.lock().unwrap_or_else(PoisonError::into_inner).forget();
        }
    }

    /// Waits until no exit is frozen by a question of before.
    pub async fn all_awake(&self) {
        let until = |exit: &LabExit| {
            exit.mind.lock().unwrap_or_else(PoisonError::into_inner).frozen_until()
        };
        if let Some(until) = self.exits.iter().filter_map(until).max() {
            tokio::time::sleep_until((until + Duration::from_secs(1)).into()).await;
        }
    }

    /// Kills an exit's tor. It stays in the consensus.
    ///
    /// # Errors
    ///
    /// [`LabError::NoSuchRelay`].
    pub async fn kill_exit(&self, exit: &Fingerprint) -> Result<(), LabError> {
        let name = self.find(exit)?.nickname.clone();
        self.processes.handle().run(move |table| table.kill(&name)).await
    }

    /// Starts an exit's tor again, with the same keys and ports, ending it first if it runs.
    ///
    /// # Errors
    ///
    /// [`LabError::NoSuchRelay`], or that it cannot be started.
    pub async fn restart_exit(&self, exit: &Fingerprint) -> Result<(), LabError> {
        let name = self.find(exit)?.nickname.clone();
        self.processes.handle().run(move |table| table.restart(&name)).await?
    }

    /// Freezes the tor of an exit or of a first hop (SIGSTOP).
    ///
    /// # Errors
    ///
    /// [`LabError::NoSuchRelay`].
    pub async fn freeze(&self, relay: &Fingerprint) -> Result<(), LabError> {
        self.signal(relay, Signal::STOP).await
    }

    /// Lets a frozen relay's tor go on (SIGCONT).
    ///
    /// # Errors
    ///
    /// [`LabError::NoSuchRelay`].
    pub async fn resume(&self, relay: &Fingerprint) -> Result<(), LabError> {
        self.signal(relay, Signal::CONT).await
    }

    /// Kills the client tor.
    ///
    /// # Errors
    ///
    /// [`LabError::NoClient`].
    pub async fn kill_client(&self) -> Result<(), LabError> {
        self.client.as_ref().ok_or(LabError::NoClient)?;
        self.processes.handle().run(|table| table.kill(CLIENT)).await
    }

    /// Starts the client tor again on the same ports, ending it first if it runs. It is not ready
    /// at once.
    ///
    /// # Errors
    ///
    /// [`LabError::NoClient`], or that it cannot be started.
    pub async fn restart_client(&self) -> Result<(), LabError> {
        self.client.as_ref().ok_or(LabError::NoClient)?;
        self.processes.handle().run(|table| table.restart(CLIENT)).await?
    }

    /// The process ids of all tors that run.
    ///
    /// # Errors
    ///
    /// [`LabError::Stopped`].
    pub async fn process_ids(&self) -> Result<Vec<u32>, LabError> {
        self.processes.handle().run(crate::process::Table::ids).await
    }

    /// Ends everything. The files stay. Dropping does the same, but blocks the thread for it.
    pub async fn stop(self) {
        // A panic in a destructor is all that can go wrong here, and has been reported.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }

    async fn signal(&self, relay: &Fingerprint, signal: Signal) -> Result<(), LabError> {
        let guard = self.guards.iter().find(|guard| guard.fingerprint == *relay);
        let name = match guard {
            Some(guard) => guard.nickname.clone(),
            None => self.find(relay)?.nickname.clone(),
        };
        self.processes.handle().run(move |table| table.signal(&name, signal)).await
    }

    fn find(&self, exit: &Fingerprint) -> Result<&LabExit, LabError> {
        let found = self.exits.iter().find(|known| known.fingerprint == *exit);
        found.ok_or(LabError::NoSuchRelay(*exit))
    }
}
