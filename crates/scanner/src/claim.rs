//! One scan at a time for a running tor: two would take each other's lookups.

use std::io;
use std::net::ToSocketAddrs;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::{self as unix, UnixListener};
use std::time::Duration;

use record::printable;
use tor_control::{Control, ControlAddr};

use crate::session::{SessionError, now, one};

/// How long a claim that somebody has is waited for: a scan that was killed has it until its guard
/// has put the tor's options back.
const WAIT: Duration = Duration::from_secs(4);

/// Pause between two looks.
const POLL: Duration = Duration::from_millis(100);

/// A running tor claimed for one scan: on this host, no other scan begins with it until this is
/// dropped, or its process and its guard are gone.
#[derive(Debug)]
pub(crate) struct Claim {
    name: String,
    /// An abstract name (unix(7)), which every user of the host sees and no crash leaves behind.
    listener: UnixListener,
}

impl Claim {
    /// Claims the tor behind this connection, unless `held` is a claim of it; none where the system
    /// does not allow it, which has been said.
    ///
    /// # Errors
    ///
    /// [`SessionError::InUse`] where another scan has it; [`SessionError::Control`].
    pub(crate) async fn take(
        control: &Control,
        held: Option<Self>,
    ) -> Result<Option<Self>, SessionError> {
        let pid = String::from_utf8_lossy(&one(control, "process/pid").await?).into_owned();
        let name = name(control.protocol().instance, &pid, &place(control.addr()));
        if held.as_ref().is_some_and(|claim| claim.name == name) {
            return Ok(held);
        }
        let end = now() + WAIT;
        loop {
            let bound = unix::SocketAddr::from_abstract_name(&name)
                .and_then(|address| UnixListener::bind_addr(&address));
            match bound {
                Ok(listener) => return Ok(Some(Self { name, listener })),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    if now() >= end {
                        return Err(SessionError::InUse { pid: printable(&pid) });
                    }
                }
                Err(error) => {
                    tracing::warn!("cannot claim this tor against other scans: {error}");
                    return Ok(None);
                }
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The claim once more, for another process to hold.
    pub(crate) fn share(&self) -> io::Result<UnixListener> {
        self.listener.try_clone()
    }
}

/// The name of a tor's claim. A process id alone names none: in containers it is 1. The cookie is
/// one tor's from its start to its end, however it is reached; without one, `place` tells tors of one
/// process id apart.
fn name(instance: Option<[u8; 32]>, pid: &str, place: &str) -> String {
    let which = match instance {
        // Half of it: a name has 107 bytes, and nobody can choose a hash.
        Some(hash) => hash[..16].iter().map(|byte| format!("{byte:02x}")).collect(),
        None => format!("{pid}@{place}"),
    };
    format!("exit-validator/scan-by-tor/{which}")
}

/// Where a control port is, whatever it was called: the numeric address, or the socket's inode.
fn place(address: &ControlAddr) -> String {
    match address {
        ControlAddr::Tcp(text) => {
            let numeric = text.to_socket_addrs().ok().and_then(|mut found| found.next());
            numeric.map_or_else(|| text.clone(), |address| address.to_string())
        }
        ControlAddr::Unix(path) => match std::fs::metadata(path) {
            Ok(socket) => format!("{}:{}", socket.dev(), socket.ino()),
            Err(_) => "unix".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_tors_in_containers_are_two() {
        let (a, b) = (Some([1; 32]), Some([2; 32]));
        assert_ne!(name(a, "1", "x"), name(b, "1", "x"), "both have process id 1");
        assert_eq!(name(a, "1", "127.0.0.1:9051"), name(a, "1", "7:8"), "one, by two ways");
        assert_ne!(name(None, "1", "127.0.0.1:9051"), name(None, "1", "127.0.0.1:9052"));
        assert_eq!(name(a, "1", "x").len(), 27 + 32);
    }

    #[test]
    fn a_place_has_one_name() {
        let [by_name, by_number] = ["localhost:9051", "127.0.0.1:9051"]
            .map(|text| place(&text.parse().unwrap()).replace("[::1]", "127.0.0.1"));
        assert_eq!(by_name, by_number);
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("s");
        let _listener = UnixListener::bind(&socket).unwrap();
        let roundabout = dir.path().join("..").join(dir.path().file_name().unwrap()).join("s");
        assert_eq!(place(&ControlAddr::Unix(socket)), place(&ControlAddr::Unix(roundabout)));
    }
}
