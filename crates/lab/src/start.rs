//! How a lab comes to run: keys, configuration, processes, one vote, faults, client.
//!
//! The authorities are configured not to vote for half an hour, and told to vote at once when all
//! of them know every relay: so the first consensus is complete, and no other follows soon that
//! would disturb what is measured.

mod port;
mod stage;
mod watch;

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::sleep;

use crate::authority::ZoneServer;
use crate::network::{LabGuard, Network};
use crate::process::Processes;
use crate::resolver::Resolvers;
use crate::torrc;
use crate::{LabError, Spec};

use stage::{Ground, Keys, Places};
use watch::Watch;

/// How far a lab has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabProgress {
    /// Keys are being made, for so many relays.
    Keys {
        /// How many.
        relays: usize,
    },
    /// The relays' tors are started.
    Relays,
    /// All authorities know every relay, and vote.
    Vote,
    /// There is a consensus with every relay; the guards fetch it.
    Consensus,
    /// The client tor is started.
    Client,
    /// The network can be used.
    Ready,
}

/// How often the start is tried anew where another program took a port of ours.
const TRIES: u32 = 4;

/// How long each step of the start may take, and so much longer for each relay.
const PATIENCE: Duration = Duration::from_secs(60);
const PER_RELAY: Duration = Duration::from_secs(1);

/// A relay's name and files.
#[derive(Debug, Clone)]
struct RelayPlace {
    name: String,
    dir: PathBuf,
}

impl RelayPlace {
    fn new(lab: &Path, name: &str) -> Result<Self, LabError> {
        let dir = lab.join(name);
        private(&dir.join("data"))?;
        Ok(Self { name: name.to_owned(), dir })
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn cookie(&self) -> PathBuf {
        self.data().join("control_auth_cookie")
    }
}

pub(crate) async fn start(
    spec: &Spec,
    dir: &Path,
    mut progress: impl FnMut(LabProgress) + Send,
) -> Result<Network, LabError> {
    spec.check()?;
    private(dir)?;
    let dir = dir.canonicalize().map_err(LabError::file("read", dir))?;
    let plain = |path: &str| !path.chars().any(char::is_control);
    if !dir.to_str().is_some_and(plain) {
        return Err(LabError::Directory(dir));
    }
    let mut tries = 1;
    loop {
        match start_once(spec, &dir, &mut progress).await {
            Err(LabError::Ended { log, .. }) if tries < TRIES && port_was_taken(&log) => tries += 1,
            result => return result,
        }
    }
}

/// Whether a tor ended because a port that was free had been taken meanwhile.
fn port_was_taken(log: &str) -> bool {
    log.contains("Could not bind") || log.contains("Address already in use")
}

fn guards_of(places: &Places, keys: &Keys) -> Vec<LabGuard> {
    let named = places.guards.iter().zip(keys.guards());
    named
        .map(|(place, &fingerprint)| LabGuard { fingerprint, nickname: place.name.clone() })
        .collect()
}

async fn start_once(
    spec: &Spec,
    dir: &Path,
    progress: &mut (impl FnMut(LabProgress) + Send),
) -> Result<Network, LabError> {
    let files = dir.join("tor");
    if files.exists() {
        fs::remove_dir_all(&files).map_err(LabError::file("replace", &files))?;
    }
    private(&files)?;
    let no_settings = files.join("no-settings");
    write(&no_settings, "")?;
    let places = Places::new(spec, &files)?;

    progress(LabProgress::Keys { relays: places.all().len() });
    let keys = places.keys(&no_settings).await?;
    progress(LabProgress::Relays);
    let processes = Processes::new()?;
    let handle = processes.handle().clone();
    let (authorities, held) = places.authorities(&keys)?;
    let stage = Ground {
        handle: &handle,
        files: &files,
        no_settings: &no_settings,
        network: torrc::network(&authorities),
        owner: std::process::id(),
    };
    stage.authorities(&places, &authorities, &keys, held).await?;
    stage.guards(&places.guards).await?;
    let relays = u32::try_from(keys.relays.len()).unwrap_or(u32::MAX);
    let watch = Watch { handle: &handle, files: &files, patience: PATIENCE + PER_RELAY * relays };
    let mut voters = Vec::new();
    for place in &places.authorities {
        voters.push(watch.control(place).await?);
    }
    // On a busy machine a tor may be seconds late to count its own time; what it has published, it
    // counts. One second more, as times are rounded.
    watch.descriptors(&mut voters, keys.guards()).await?;
    sleep(Duration::from_secs(1)).await;
    let zone = ZoneServer::start(&files)?;
    let recursors = stage.recursors(spec, &zone).await?;
    let (exits, resolvers) = stage.exits(spec, &places.exits, keys.exits(), &recursors).await?;
    let resolvers = Resolvers::start(resolvers, &handle, Some(zone.address()))?;
    watch.descriptors(&mut voters, &keys.relays).await?;
    watch.recursors(&recursors).await?;
    progress(LabProgress::Vote);
    watch.vote(&mut voters, &keys.relays).await?;
    progress(LabProgress::Consensus);
    watch.fetched(&places.guards).await?;

    let mut client = None;
    if spec.client {
        progress(LabProgress::Client);
        client = Some(stage.client(&watch, &authorities).await?);
    }
    // Last: a client that chose a dead guard to fetch from would wait ten seconds and try again.
    for (exit, place) in exits.iter().zip(&places.exits) {
        stage.misbehave(&watch, exit, place).await?;
    }
    let mut guards = guards_of(&places, &keys);
    let dead_guard = if spec.dead_guard { guards.pop() } else { None };
    if let Some(guard) = &dead_guard {
        let name = guard.nickname.clone();
        handle.run(move |table| table.kill(&name)).await?;
    }
    progress(LabProgress::Ready);
    Ok(Network {
        dir: dir.to_owned(),
        authorities,
        exits,
        guards,
        dead_guard: dead_guard.map(|guard| guard.fingerprint),
        client,
        _resolvers: resolvers,
        processes,
        zone,
    })
}

/// Makes a directory that nobody else may look into.
fn private(dir: &Path) -> Result<(), LabError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(LabError::file("create", dir))
}

fn write(path: &Path, text: &str) -> Result<(), LabError> {
    fs::write(path, text).map_err(LabError::file("write", path))
}

/// Seconds since 1970, as the consensus counts them.
#[expect(clippy::disallowed_methods, reason = "the edge: when to vote")]
pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
