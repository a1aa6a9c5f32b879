//! Programs that others wrote, as `tools/unpack` puts them below `.unpacked/` of the checkout.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where each is unpacked.
const UNPACKED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.unpacked");

/// Where programs are in a root directory.
const PROGRAMS: [&str; 2] = ["usr/sbin", "usr/bin"];

/// Where libraries are in one, beside directories of these that are named after a machine's kind.
const LIBRARIES: [&str; 2] = ["usr/lib", "lib"];

/// A program of what `tools/unpack` unpacked as `name`, with the libraries that were unpacked beside it;
/// the machine's own where there is none.
///
/// What it starts itself has these libraries too. Its files are where it was unpacked, not where it looks for
/// them: a configuration has to be named.
#[must_use]
pub fn unpacked(name: &str, program: &str) -> Command {
    let root = Path::new(UNPACKED).join(name);
    let found = PROGRAMS.iter().map(|place| root.join(place).join(program));
    match found.into_iter().find(|path| path.is_file()) {
        Some(path) => {
            let mut command = Command::new(path);
            command.env("LD_LIBRARY_PATH", libraries(&root));
            command
        }
        None => Command::new(of_machine(program)),
    }
}

/// The directories with libraries, as the loader reads them.
fn libraries(root: &Path) -> OsString {
    let mut all: Vec<PathBuf> = Vec::new();
    for place in LIBRARIES {
        let place = root.join(place);
        let inside = fs::read_dir(&place).into_iter().flatten().flatten();
        let inside = inside.map(|entry| entry.path());
        all.extend(inside.filter(|path| path.to_string_lossy().contains("-linux-")));
        all.push(place);
    }
    // A checkout below a directory with a colon in its name has no such path.
    std::env::join_paths(all).unwrap_or_default()
}

/// Servers are where only root looks.
fn of_machine(program: &str) -> PathBuf {
    let path = Path::new("/usr/sbin").join(program);
    if path.is_file() { path } else { program.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What it says of itself.
    fn said(name: &str, program: &str, argument: &str) -> String {
        let output = unpacked(name, program).arg(argument).output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    #[test]
    fn programs_of_others_start_with_their_libraries() {
        assert!(said("unbound", "unbound", "-V").starts_with("Version 1."));
        assert!(said("named", "named", "-V").starts_with("BIND 9."));
        assert!(said("dig", "dig", "-v").starts_with("DiG 9."));
        assert!(said("dig", "delv", "-v").starts_with("delv 9."));
    }
}
