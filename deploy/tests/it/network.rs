//! The one private network that the tests share: started when the first of them needs it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use lab::{Fault, Manifest, Network, Spec};
use tempfile::TempDir;

use crate::host::until;

/// The network, and what is true of it.
#[derive(Debug)]
pub struct Lab {
    pub manifest: Manifest,
    _network: Network,
    _dir: TempDir,
}

static LAB: Mutex<Option<Arc<Lab>>> = Mutex::new(None);

/// The network: exits that work, and some whose verdicts come at once.
pub fn lab() -> Arc<Lab> {
    let mut lab = LAB.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(lab.get_or_insert_with(|| Arc::new(start())))
}

/// Ends the network, where there is one.
pub fn end() {
    drop(LAB.lock().unwrap_or_else(PoisonError::into_inner).take());
}

fn start() -> Lab {
    let dir = tempfile::tempdir().unwrap();
    let mut spec = Spec::healthy(6);
    spec.exits.extend([Fault::Nxdomain, Fault::Servfail]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let network = runtime.block_on(Network::start(&spec, dir.path(), |_| {})).unwrap();
    let manifest = Manifest::of(&network).unwrap();
    manifest.write(&network).unwrap();
    Lab { manifest, _network: network, _dir: dir }
}

/// A tor of one host, such as its operator has running: two scans at once need two. It ends when
/// this is dropped.
#[derive(Debug)]
pub struct Tor {
    dir: TempDir,
    child: Child,
}

impl Tor {
    /// A client of the network.
    pub fn start(lab: &Lab) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let path = dir.path().display();
        let torrc = format!(
            "{}\nDataDirectory {path}/data\nControlPort unix:{path}/control\nSocksPort auto\n\
             CookieAuthentication 1\nCookieAuthFile {path}/cookie\nLog notice file {path}/log\n\
             __OwningControllerProcess {}\n",
            fs::read_to_string(&lab.manifest.torrc).unwrap(),
            std::process::id()
        );
        fs::write(dir.path().join("torrc"), torrc).unwrap();
        fs::write(dir.path().join("none"), "").unwrap();
        let child = Command::new("tor")
            .arg("--defaults-torrc")
            .arg(dir.path().join("none"))
            .arg("-f")
            .arg(dir.path().join("torrc"))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let log = dir.path().join("log");
        let mut tor = Self { dir, child };
        until("tor has bootstrapped", || {
            assert_eq!(tor.child.try_wait().unwrap(), None, "tor has ended");
            fs::read_to_string(&log).is_ok_and(|log| log.contains("Bootstrapped 100%"))
        });
        tor
    }

    /// The setting by which a scanner uses it.
    pub fn control(&self) -> String {
        format!("unix:{}/control", self.dir.path().display())
    }
}

impl Drop for Tor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The names of old of `exit-validator`: links.
pub const LINKS: [&str; 4] = ["scanner", "aggregate", "upload", "settings"];

/// A directory with the programs of the workspace, which are built into the directory above this
/// test's, and their links, as an installation has them.
pub fn programs() -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let built = this.parent().unwrap().parent().unwrap();
    let programs = Path::new(env!("CARGO_TARGET_TMPDIR")).join("programs");
    fs::create_dir_all(&programs).unwrap();
    let link = |to: &Path, name: &str| {
        if let Err(error) = std::os::unix::fs::symlink(to, programs.join(name)) {
            // An earlier run's, or another test's of this moment.
            assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists, "{error}");
        }
    };
    for name in ["exit-validator", "lab"] {
        let program = built.join(name);
        assert!(program.exists(), "there is no {}: cargo build --workspace", program.display());
        link(&program, name);
    }
    LINKS.iter().for_each(|name| link(Path::new("exit-validator"), name));
    programs
}
