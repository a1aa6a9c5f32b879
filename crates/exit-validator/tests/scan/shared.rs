//! The one lab that the tests share: started when the first of them needs it.

use std::collections::BTreeSet;
use std::fs;
use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use lab::{FREEZE_IN_QUERY, Fault, Manifest, Network, Spec};
use record::Fingerprint;
use tempfile::TempDir;

use crate::run::now;

/// A resolver's delay, in the measurement of resolve times.
pub const DELAY: Duration = Duration::from_millis(500);

/// How many exits have that delay.
pub const DELAYED: usize = 20;

/// How many exits have no fault, beside the standard lab's.
const HEALTHY: usize = 6;

/// The lab, and what of it only one test may use at a time.
#[derive(Debug)]
pub struct Lab {
    pub network: Network,
    /// The lab, and the truth about it.
    pub manifest: Manifest,
    dir: TempDir,
    /// When exits whose answers depend on who else asks were last in use.
    moody: Mutex<Option<Instant>>,
    /// Written by the one that measures.
    quiet: RwLock<()>,
    /// Directories of tors that have bootstrapped before.
    homes: Mutex<Vec<PathBuf>>,
}

static LAB: Mutex<Option<Arc<Lab>>> = Mutex::new(None);

/// The lab.
pub fn lab() -> Arc<Lab> {
    let mut lab = LAB.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(lab.get_or_insert_with(|| Arc::new(start())))
}

/// Ends the lab, where there is one.
pub fn end() {
    drop(LAB.lock().unwrap_or_else(PoisonError::into_inner).take());
}

fn start() -> Lab {
    let dir = tempfile::tempdir().unwrap();
    let mut spec = Spec::standard();
    spec.exits.extend([Fault::Correct; HEALTHY]);
    spec.exits.extend([Fault::Slow(DELAY); DELAYED]);
    let network = block_on(Network::start(&spec, &dir.path().join("lab"), |_| ())).unwrap();
    let manifest = Manifest::of(&network).unwrap();
    manifest.write(&network).unwrap();
    Lab {
        network,
        manifest,
        dir,
        moody: Mutex::new(None),
        quiet: RwLock::new(()),
        homes: Mutex::new(Vec::new()),
    }
}

/// Waits for a future in a test that is none.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn hold<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lab {
    /// For the use of the lab beside others.
    pub fn beside_others(&self) -> RwLockReadGuard<'_, ()> {
        self.quiet.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// For the use of the lab by nobody else.
    pub fn alone(&self) -> RwLockWriteGuard<'_, ()> {
        self.quiet.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// For the use of all exits, once those whose answers depend on who else asks are as they were.
    pub fn every_exit(&self) -> EveryExit<'_> {
        let used = hold(&self.moody);
        if let Some(used) = *used {
            let awake = FREEZE_IN_QUERY + Duration::from_secs(1);
            std::thread::sleep(awake.saturating_sub(used.elapsed()));
        }
        self.network.begin_anew();
        EveryExit(used)
    }

    /// A directory for a scanner's own tor.
    pub fn home(&self) -> Home<'_> {
        let known = hold(&self.homes).pop();
        let path = known.unwrap_or_else(|| {
            let path = tempfile::Builder::new().prefix("tor").tempdir_in(self.dir.path()).unwrap();
            private(path.path());
            path.keep()
        });
        Home { lab: self, path }
    }

    /// The flags for a tor of the scanner's own in that directory.
    pub fn own(&self, home: &Home<'_>) -> [String; 4] {
        let torrc = self.manifest.torrc.display();
        [
            "--tor-dir".into(),
            home.path.display().to_string(),
            "--torrc-extra".into(),
            torrc.to_string(),
        ]
    }

    /// The exit with this fault, or the first of them.
    pub fn exit(&self, fault: Fault) -> Fingerprint {
        self.network.exit(fault.name()).unwrap().fingerprint
    }

    /// Exits without fault, so many.
    pub fn healthy(&self, count: usize) -> Vec<Fingerprint> {
        let healthy = self.network.exits().iter().filter(|exit| exit.fault == Fault::Correct);
        let healthy: Vec<_> = healthy.map(|exit| exit.fingerprint).take(count).collect();
        assert_eq!(healthy.len(), count);
        healthy
    }

    /// The exits whose answers do not depend on who else asks, without the one that keeps a scan
    /// waiting for its circuits' limit in every try, and without the one that only a scan which nothing
    /// disturbs sees waiting for IPv6 addresses.
    pub fn steady(&self) -> Vec<Fingerprint> {
        let others = [
            Fault::BrokenThenRight,
            Fault::RightThenWrong,
            Fault::FreezesInQuery,
            Fault::BreaksOff,
            Fault::Vanishes,
            Fault::Frozen,
            Fault::DropsAaaa,
        ];
        let steady = self.network.exits().iter().filter(|exit| !others.contains(&exit.fault));
        steady.map(|exit| exit.fingerprint).collect()
    }

    /// That a scan of these exits is complete and every verdict true.
    #[track_caller]
    pub fn check(&self, analysis: &Path, exits: &[Fingerprint]) {
        let exits: BTreeSet<_> = exits.iter().collect();
        let mut manifest = self.manifest.clone();
        manifest.exits.retain(|exit| exits.contains(&exit.fingerprint));
        let checked = lab::check(analysis, &manifest).unwrap();
        assert!(checked.is_true(), "{}", checked.table());
    }
}

/// All exits in the hands of one test.
#[derive(Debug)]
pub struct EveryExit<'a>(MutexGuard<'a, Option<Instant>>);

impl Drop for EveryExit<'_> {
    fn drop(&mut self) {
        *self.0 = Some(now());
    }
}

/// A directory for a scanner's own tor, in the hands of one test.
#[derive(Debug)]
pub struct Home<'a> {
    lab: &'a Lab,
    pub path: PathBuf,
}

impl Drop for Home<'_> {
    fn drop(&mut self) {
        hold(&self.lab.homes).push(std::mem::take(&mut self.path));
    }
}

/// Makes a directory one where tor opens sockets.
pub fn private(dir: &Path) {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).unwrap();
}

/// Flags that name these exits.
pub fn named(exits: &[Fingerprint]) -> Vec<String> {
    exits.iter().map(|exit| format!("--exit={exit}")).collect()
}
