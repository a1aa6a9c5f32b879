//! Programs that others wrote, which `make ops` unpacks.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};

/// A process that ends with this.
pub struct Ended(pub Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What `tools/unpack` unpacked.
pub fn unpacked(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.unpacked").join(path)
}

/// A script of `tests/support`, with the libraries that it uses.
pub fn python(script: &str) -> Command {
    let mut command = Command::new("python3");
    command
        .arg("-B")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support").join(script))
        .env("PYTHONPATH", unpacked("python/usr/lib/python3/dist-packages"));
    command
}
