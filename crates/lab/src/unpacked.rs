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
    #[test]
    fn programs_of_others_start_with_their_libraries() {
        for (name, program, argument, begins) in [
            ("unbound", "unbound", "-V", "Version 1."),
            ("named", "named", "-V", "BIND 9."),
            ("dig", "dig", "-v", "DiG 9."),
            ("dig", "delv", "-v", "delv 9."),
        ] {
            let output = super::unpacked(name, program).arg(argument).output().unwrap();
            let said = [output.stdout, output.stderr].concat();
            assert!(said.starts_with(begins.as_bytes()), "{program}");
        }
    }
}
