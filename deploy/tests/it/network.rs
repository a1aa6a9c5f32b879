//! The one private network that the tests share: started when the first of them needs it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use lab::{Fault, Manifest, Network, Spec};
use tempfile::TempDir;

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

/// A program of the workspace, built into the directory above this test's.
pub fn programs() -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let programs = this.parent().unwrap().parent().unwrap().to_owned();
    for name in ["scanner", "aggregate", "upload", "settings", "lab"] {
        assert!(
            programs.join(name).exists(),
            "there is no {name} in {}: cargo build --workspace",
            programs.display()
        );
    }
    programs
}
