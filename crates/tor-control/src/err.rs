//! What can go wrong with a control port.
//!
//! Owns every error of this crate, what kind each is, and the words that tell a person what to do.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use record::printable;

use crate::ControlAddr;
use crate::line::LineError;

/// What went wrong. Can be cloned, so that everyone who waits learns the same.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// No connection could be made.
    #[error(
        "cannot connect to tor's control port at {addr}: {source}; {}",
        unreachable_hint(addr, source)
    )]
    Unreachable {
        /// The control port.
        addr: ControlAddr,
        /// Why not.
        r#source: Arc<io::Error>,
    },
    /// What answered is not tor.
    #[error(
        "what answers at {addr} is not a tor control port: {what}; check the address against \
         ControlPort or ControlSocket in torrc"
    )]
    NotTor {
        /// The control port.
        addr: ControlAddr,
        /// What it said, fit to be shown.
        what: String,
    },
    /// Tor did not let us in.
    #[error("tor's control port at {addr} does not let us in: {what}")]
    Authentication {
        /// The control port.
        addr: ControlAddr,
        /// Why, and what to do.
        what: String,
    },
    /// Tor refused a command.
    #[error("tor refused {command}: {code} {}", printable(text))]
    Refused {
        /// The command's keyword.
        command: &'static str,
        /// Tor's status code (control-spec, "Replies").
        code: u16,
        /// Tor's words as received; several lines are joined by `; `.
        text: String,
    },
    /// The connection ended.
    #[error("the connection to tor's control port at {addr} was lost: {what}")]
    Lost {
        /// The control port.
        addr: ControlAddr,
        /// What happened, and what to do.
        what: String,
        /// The stream's own error, where there was one.
        r#source: Option<Arc<io::Error>>,
    },
    /// Tor keeps the connection open and says nothing.
    #[error(
        "tor's control port at {addr} said nothing for {} s while {waiting_for} was due; the \
         connection is given up: look whether tor hangs, and start it again if so",
        after.as_secs_f64()
    )]
    Silent {
        /// The control port.
        addr: ControlAddr,
        /// How long it was waited for.
        after: Duration,
        /// What was due.
        waiting_for: &'static str,
    },
    /// The place in the stream is lost: what came breaks the protocol, or outgrows its limits.
    #[error(
        "what came from tor's control port at {addr} breaks the control protocol: {source}; the \
         connection is given up"
    )]
    Broken {
        /// The control port.
        addr: ControlAddr,
        /// How.
        r#source: LineError,
    },
    /// A reply that does not fit what was asked, or that nobody asked for.
    #[error("the control protocol is broken: {what}")]
    Protocol {
        /// How.
        what: String,
    },
    /// A command was not sent, since an argument cannot be.
    #[error("{command} was not sent to tor: {what}")]
    InvalidArgument {
        /// The command's keyword.
        command: &'static str,
        /// Which argument, and why.
        what: String,
    },
}

/// The kinds of error that a caller may want to tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorKind {
    /// Nothing listens there, or we may not connect.
    Unreachable,
    /// What listens there is not tor.
    NotTor,
    /// Tor did not let us in.
    Authentication,
    /// Tor refused a command; the connection goes on.
    Refused,
    /// The connection ended.
    Lost,
    /// Tor said nothing for too long; the connection was given up.
    Silent,
    /// What came breaks the protocol.
    Protocol,
    /// A command was not sent, since an argument cannot be.
    InvalidArgument,
}

impl Error {
    /// Which kind of error this is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Unreachable { .. } => ErrorKind::Unreachable,
            Self::NotTor { .. } => ErrorKind::NotTor,
            Self::Authentication { .. } => ErrorKind::Authentication,
            Self::Refused { .. } => ErrorKind::Refused,
            Self::Lost { .. } => ErrorKind::Lost,
            Self::Silent { .. } => ErrorKind::Silent,
            Self::Broken { .. } | Self::Protocol { .. } => ErrorKind::Protocol,
            Self::InvalidArgument { .. } => ErrorKind::InvalidArgument,
        }
    }

    /// Tor's code and words, as received, where it refused a command.
    #[must_use]
    pub fn refusal(&self) -> Option<(u16, &str)> {
        match self {
            Self::Refused { code, text, .. } => Some((*code, text)),
            Self::Unreachable { .. }
            | Self::NotTor { .. }
            | Self::Authentication { .. }
            | Self::Lost { .. }
            | Self::Silent { .. }
            | Self::Broken { .. }
            | Self::Protocol { .. }
            | Self::InvalidArgument { .. } => None,
        }
    }
}

fn unreachable_hint(addr: &ControlAddr, source: &io::Error) -> &'static str {
    match (source.kind(), addr) {
        (io::ErrorKind::PermissionDenied, ControlAddr::Unix(_)) => {
            "run as a user who may use that socket: one of tor's group (often debian-tor), with \
             ControlSocketsGroupWritable 1 in torrc"
        }
        (io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused, ControlAddr::Unix(_)) => {
            "check that tor runs, and that its torrc has ControlSocket or ControlPort unix: with \
             that path"
        }
        (io::ErrorKind::TimedOut, _) => "check the address, and whether a firewall drops packets",
        (_, ControlAddr::Unix(_)) => "check that the path is tor's control socket",
        (_, ControlAddr::Tcp(_)) => {
            "check that tor runs, and that its torrc has ControlPort with that address"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_errors() {
        let [tcp, unix] = ["127.0.0.1:9051", "unix:/run/tor/control"]
            .map(|addr| addr.parse::<ControlAddr>().unwrap());
        let unreachable = |addr: &ControlAddr, kind: io::ErrorKind| Error::Unreachable {
            addr: addr.clone(),
            source: Arc::new(kind.into()),
        };
        let addr = || tcp.clone();
        let broken = |source| Error::Broken { addr: addr(), source };
        let errors = [
            unreachable(&unix, io::ErrorKind::PermissionDenied),
            unreachable(&unix, io::ErrorKind::NotFound),
            unreachable(&unix, io::ErrorKind::InvalidInput),
            unreachable(&tcp, io::ErrorKind::ConnectionRefused),
            unreachable(&tcp, io::ErrorKind::TimedOut),
            Error::NotTor { addr: addr(), what: "it said \"SSH-2.0\"".to_owned() },
            Error::Authentication { addr: addr(), what: "it wants a password".to_owned() },
            Error::Refused {
                command: "SETCONF",
                code: 553,
                text: "Unable to set option\x1b[31m".to_owned(),
            },
            Error::Lost { addr: addr(), what: "the program is ending".to_owned(), source: None },
            Error::Silent {
                addr: addr(),
                after: Duration::from_millis(2500),
                waiting_for: "the reply to a command",
            },
            broken(LineError::NotAReply("SSH-2.0\x1b[31m".to_owned())),
            broken(LineError::LineTooLong),
            broken(LineError::ReplyTooLarge(1 << 20)),
            Error::Protocol { what: "the answer names no circuit".to_owned() },
            Error::InvalidArgument { command: "GETINFO", what: "no key".to_owned() },
        ];
        let mut texts = errors.map(|error| error.to_string()).to_vec();
        texts.push(crate::reply::DecodeError::Cut.to_string());
        texts.push(crate::InvalidControlAddr.to_string());
        texts.push(crate::InvalidId.to_string());
        texts.push("nonsense".parse::<crate::BootstrapEvent>().unwrap_err().to_string());
        insta::assert_snapshot!(texts.join("\n"));
    }
}
