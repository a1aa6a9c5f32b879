//! What can go wrong with a lab.

use std::io;
use std::path::{Path, PathBuf};

/// Why a lab could not start, or could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// A specification that no network can be made of.
    #[error("cannot make this network: {0}")]
    Spec(String),
    /// A directory whose path tor's configuration cannot express.
    #[error("{0} cannot be the lab's directory: its path must be UTF-8 without control characters")]
    Directory(PathBuf),
    /// A file or directory that could not be read or written.
    #[error("cannot {doing} {path}")]
    File {
        /// What was being done: `read`, `write`, `create`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A program that could not be started.
    #[error("cannot start {program}; the lab needs tor, tor-gencert and setpriv (util-linux)")]
    Start {
        /// The program.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// A program that failed at making a key.
    #[error("{program} could not make the keys of {whose}: {said}")]
    Keys {
        /// The program.
        program: &'static str,
        /// The relay whose keys they are.
        whose: String,
        /// What it wrote, or how it ended.
        said: String,
    },
    /// No free port, or none that could be taken.
    #[error("cannot take a free port on 127.0.0.1: {0}")]
    Port(io::Error),
    /// A tor that ended by itself.
    #[error("the tor of {name} ended by itself ({how}); the end of its log: {log}")]
    Ended {
        /// Its name in the lab.
        name: String,
        /// How it ended.
        how: String,
        /// The last lines of its log.
        log: String,
    },
    /// Something that should have happened by now has not.
    #[error("gave up waiting until {what} after {after:?}; the logs are in the lab's directory")]
    Late {
        /// What was waited for.
        what: String,
        /// How long it was waited for.
        after: std::time::Duration,
    },
    /// The control port of one of the lab's tors failed us.
    #[error("the control port of {name} failed at {doing}: {said}")]
    Control {
        /// The tor's name in the lab.
        name: String,
        /// The command, or what was being done.
        doing: String,
        /// Tor's answer, or the error.
        said: String,
    },
    /// A relay that is not in the lab.
    #[error("no relay of the lab has the fingerprint {0}")]
    NoSuchRelay(record::Fingerprint),
    /// The specification asked for no client.
    #[error("this lab has no client tor; ask for one in its specification")]
    NoClient,
    /// What was told of a network that another program runs does not fit.
    #[error("cannot use what was told of the network: {0}")]
    Told(String),
    /// The lab's own threads are gone.
    #[error("the lab has stopped")]
    Stopped,
}

impl LabError {
    /// Turns an error of a file operation into one that says which file it was about.
    pub(crate) fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { doing, path, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_errors() {
        let gone = || io::Error::from_raw_os_error(2);
        let name = || "exit3".to_owned();
        let errors = [
            LabError::Spec("it has no exit".to_owned()),
            LabError::Directory("/tmp/lab".into()),
            LabError::file("read", Path::new("/tmp/lab/torrc"))(gone()),
            LabError::Start { program: "tor".to_owned(), source: gone() },
            LabError::Keys {
                program: "tor-gencert",
                whose: name(),
                said: "exit status: 1".to_owned(),
            },
            LabError::Port(gone()),
            LabError::Ended {
                name: name(),
                how: "exit status: 1".to_owned(),
                log: "[warn] Failed to bind".to_owned(),
            },
            LabError::Late {
                what: "every exit is in the consensus".to_owned(),
                after: std::time::Duration::from_secs(60),
            },
            LabError::Control {
                name: name(),
                doing: "GETINFO".to_owned(),
                said: "552 Unrecognized key".to_owned(),
            },
            LabError::NoSuchRelay(record::Fingerprint::from_bytes([7; 20])),
            LabError::NoClient,
            LabError::Told("it names no exit".to_owned()),
            LabError::Stopped,
        ];
        insta::assert_snapshot!(errors.map(|error| error.to_string()).join("\n"));
    }
}
