//! The configuration of the scanner's own tor: one list of options, each with its reason. Pure.

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Longest path of a unix socket on Linux: `sun_path` holds 108 bytes with the closing zero.
const MAX_SOCKET_PATH: usize = 107;

/// Where the own tor keeps what; all below one directory that only its user can enter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    dir: PathBuf,
}

/// A directory whose name cannot stand in a torrc.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "tor's directory {0:?} has a quote, a backslash or a control character in its name, or is not UTF-8; give another by --tor-dir"
)]
pub struct UnusableDir(PathBuf);

impl Layout {
    /// A layout below `dir`, an absolute path.
    ///
    /// # Errors
    ///
    /// [`UnusableDir`] where the name cannot be quoted in a torrc.
    pub fn new(dir: PathBuf) -> Result<Self, UnusableDir> {
        let usable = dir
            .to_str()
            .is_some_and(|text| !text.contains(|c: char| c.is_control() || c == '"' || c == '\\'));
        if usable { Ok(Self { dir }) } else { Err(UnusableDir(dir)) }
    }

    /// The directory itself.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Tor's data directory.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// The torrc.
    #[must_use]
    pub fn torrc(&self) -> PathBuf {
        self.dir.join("torrc")
    }

    /// An empty file in place of the system's defaults, which may name another user or ports.
    #[must_use]
    pub fn defaults(&self) -> PathBuf {
        self.dir.join("torrc-defaults")
    }

    /// Tor's log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.dir.join("tor.log")
    }

    /// The log of the start before.
    #[must_use]
    pub fn previous_log(&self) -> PathBuf {
        self.dir.join("tor.log.1")
    }

    /// The authentication cookie.
    #[must_use]
    pub fn cookie(&self) -> PathBuf {
        self.dir.join("cookie")
    }

    /// Where tor writes the address of a control port that it chose.
    #[must_use]
    pub fn control_port_file(&self) -> PathBuf {
        self.dir.join("control-port")
    }

    /// The control socket; none where its path would be too long for one.
    #[must_use]
    pub fn control_socket(&self) -> Option<PathBuf> {
        self.socket("control")
    }

    fn socket(&self, name: &str) -> Option<PathBuf> {
        let path = self.dir.join(name);
        (path.as_os_str().len() <= MAX_SOCKET_PATH).then_some(path)
    }

    /// The torrc, for a tor that ends with the process `owner`.
    #[must_use]
    pub fn render(&self, owner: u32, extra: &str) -> String {
        let quoted = |path: PathBuf| format!("\"{}\"", path.display());
        let port = |name| match self.socket(name) {
            Some(path) => format!("unix:{}", quoted(path)),
            None => "127.0.0.1:auto".to_owned(),
        };
        let mut torrc =
            String::from("# Written at every start of the scanner; changes are lost.\n");
        let mut set = |why: &str, option: &str, value: String| {
            let _ = writeln!(torrc, "# {why}\n{option} {value}");
        };
        set(
            "Kept from run to run, so that the next starts in seconds.",
            "DataDirectory",
            quoted(self.data()),
        );
        set(
            "Standard output is the scanner's log file for tor.",
            "Log",
            "notice stdout".to_owned(),
        );
        set(
            "Unix sockets in a directory of our own: nobody else on this host can use them.",
            "ControlPort",
            port("control"),
        );
        set(
            "Where the port is, if it could not be a socket.",
            "ControlPortWriteToFile",
            quoted(self.control_port_file()),
        );
        set("The control port is for this user alone.", "CookieAuthentication", "1".to_owned());
        set("Beside the sockets.", "CookieAuthFile", quoted(self.cookie()));
        set("For RESOLVE.", "SocksPort", port("socks"));
        set(
            "Tells permanent errors from transient ones. It cannot be a socket.",
            "DNSPort",
            "127.0.0.1:auto".to_owned(),
        );
        set(
            "Contact, family and platform stand only in server descriptors.",
            "UseMicrodescriptors",
            "0".to_owned(),
        );
        set("Never a relay.", "ClientOnly", "1".to_owned());
        set(
            "Tor dies when a lookup is attached to a vanguard circuit; we need none.",
            "VanguardsLiteEnabled",
            "0".to_owned(),
        );
        set(
            "What it learns of circuits would end ours before the scanner's own limit does.",
            "LearnCircuitBuildTimeout",
            "0".to_owned(),
        );
        set("As long as the scanner may wait.", "CircuitBuildTimeout", "60".to_owned());
        set(
            "Days without a scan must not put it to sleep.",
            "DormantCanceledByStartup",
            "1".to_owned(),
        );
        set(
            "Whatever ends the scanner ends this tor.",
            "__OwningControllerProcess",
            owner.to_string(),
        );
        if !extra.is_empty() {
            let _ = writeln!(torrc, "# From --torrc-extra:\n{}", extra.trim_end());
        }
        torrc
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_torrc() {
        let layout = Layout::new("/var/lib/exit validator/tor".into()).unwrap();
        insta::assert_snapshot!(layout.render(4242, "TestingTorNetwork 1\n"));
    }

    #[test]
    fn a_directory_too_deep_for_sockets_gets_ports() {
        let layout = Layout::new(format!("/{}", "d".repeat(120)).into()).unwrap();
        assert_eq!(layout.control_socket(), None);
        let torrc = layout.render(1, "");
        assert!(torrc.contains("\nControlPort 127.0.0.1:auto\n"), "{torrc}");
        assert!(torrc.contains("\nSocksPort 127.0.0.1:auto\n"), "{torrc}");
    }

    #[test]
    fn a_name_that_could_end_the_quotes_is_refused() {
        for name in ["/a\"b", "/a\nControlPort 1", "/a\\b"] {
            assert!(Layout::new(name.into()).is_err(), "{name:?}");
        }
    }
}
