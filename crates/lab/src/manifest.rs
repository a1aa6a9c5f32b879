//! `network.json`: what a running lab tells about itself, for programs in any language. Reads and
//! writes it; starts and ends nothing.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use record::{Fingerprint, Format, Mode, ZoneFate};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::recursor::{Recursor, ResolverTruth};
use crate::zone::{CHECKS_DOMAIN, EXPECTED_ADDRESS, NXDOMAIN_DOMAIN, WILDCARD_DOMAIN};
use crate::{Fault, LabError, Network, Truth};

/// The file of settings that a lab, or its store, leaves in its directory, as a `config.env`.
pub const SETTINGS_FILE: &str = "config.env";

/// The manifest's file in the lab's directory.
pub const MANIFEST_FILE: &str = "network.json";

/// The file in the lab's directory with the lines for a tor of one's own.
pub const TORRC_FILE: &str = "torrc";

/// The settings with which a lab is scanned: quick, and with every confirming step. The lab's truth
/// supposes a query timeout above the exits' own limit of 2 s.
pub const PACE: [(&str, &str); 7] = [
    ("BUILD_DELAY", "0.05"),
    ("DELAY_NOISE", "0.02"),
    ("QUERY_TIMEOUT", "5"),
    ("CIRCUIT_TIMEOUT", "4"),
    ("CONFIRM_ROUNDS", "1"),
    ("CONFIRM_AFTER", "3"),
    // Of some exits' resolvers: `zone::EXPECTED_ADDRESS_V6`.
    ("DNS_EXPECTED_IPV6", "2001:db8::4041"),
];

const FORMAT_NAME: &str = "exit-validator/lab";
const FORMAT_VERSION: u32 = 1;

/// What a running lab tells about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// `exit-validator/lab`, version 1.
    pub format: Format,
    /// The lab's process.
    pub pid: u32,
    /// When that process started: see [`Holder::process_start`].
    pub process_start: u64,
    /// A file with the lines for a tor of one's own that is to use this network.
    pub torrc: PathBuf,
    /// The client tor; null where the lab has none.
    pub client: Option<ManifestClient>,
    /// Every name under this domain resolves to `expected_ip`.
    pub wildcard_domain: String,
    /// No name under this domain exists.
    pub nxdomain_domain: String,
    /// The right address of the names under `wildcard_domain`.
    pub expected_ip: IpAddr,
    /// The exits, with the truth about each.
    pub exits: Vec<ManifestExit>,
    /// First hops that work.
    pub guards: Vec<ManifestGuard>,
    /// The first hop that is in the consensus and dead; null where there is none.
    pub dead_guard: Option<Fingerprint>,
    /// The zone's name server; null where there is none.
    #[serde(default)]
    pub zone: Option<ManifestZone>,
}

/// The name server of a lab's zone and of its checks zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestZone {
    /// The checks zone's name.
    pub checks_domain: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// The directory of its log.
    pub log: PathBuf,
}

/// The process that holds a lab, or its resolvers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its number.
    pub pid: u32,
    /// When it started, in clock ticks since the machine did (proc(5), field 22 of
    /// `/proc/PID/stat`): tells it from another that has got the same number since.
    pub process_start: u64,
}

impl Holder {
    /// The process that this is.
    pub(crate) fn this() -> Result<Self, LabError> {
        let pid = std::process::id();
        let process_start =
            process_start(pid).map_err(LabError::file("read", Path::new("/proc")))?;
        Ok(Self { pid, process_start })
    }

    /// Whether it is still there.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        process_start(self.pid).is_ok_and(|start| start == self.process_start)
    }
}

/// The client tor's addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestClient {
    /// Control port, as `HOST:PORT`.
    pub control: String,
    /// The file of its authentication cookie.
    pub cookie: PathBuf,
    /// SOCKS port.
    pub socks: SocketAddr,
    /// DNSPort (UDP).
    pub dns: SocketAddr,
}

/// One exit and the truth about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestExit {
    /// Its identity.
    pub fingerprint: Fingerprint,
    /// Its nickname.
    pub nickname: String,
    /// The name of its fault.
    pub fault: String,
    /// What is wrong with it, in words.
    pub description: String,
    /// Its address for other relays.
    pub or_address: SocketAddr,
    /// Where its resolver listens.
    pub resolver: SocketAddr,
    /// The true verdict in wildcard mode.
    pub wildcard: Truth,
    /// The true verdict in nxdomain mode.
    pub nxdomain: Truth,
    /// The id of the family whose key it has, as a result has it; null where that is not known.
    #[serde(default)]
    pub family_id: Option<String>,
    /// What a true scan finds of its resolver, where it looks; null where it cannot.
    #[serde(default)]
    pub resolver_truth: Option<ResolverTruth>,
    /// Where its lost lookups got lost, as the zone's log says; null where that is not told.
    #[serde(default)]
    pub loss: Option<ZoneFate>,
}

impl ManifestExit {
    /// An exit with this fault, and the truth about it.
    pub(crate) fn new(
        fault: Fault,
        fingerprint: Fingerprint,
        nickname: String,
        or_address: SocketAddr,
        resolver: SocketAddr,
    ) -> Self {
        Self {
            fingerprint,
            nickname,
            fault: fault.name().to_owned(),
            description: fault.description(),
            or_address,
            resolver,
            wildcard: fault.truth(Mode::Wildcard),
            nxdomain: fault.truth(Mode::Nxdomain),
            family_id: None,
            resolver_truth: None,
            loss: None,
        }
    }

    /// Whether its resolver is a real one.
    pub(crate) fn is_real(&self) -> bool {
        Recursor::ALL.iter().any(|recursor| recursor.name() == self.fault)
    }

    /// The true verdict.
    #[must_use]
    pub const fn truth(&self, mode: Mode) -> &Truth {
        match mode {
            Mode::Wildcard => &self.wildcard,
            Mode::Nxdomain => &self.nxdomain,
        }
    }
}

/// A first hop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestGuard {
    /// Its identity.
    pub fingerprint: Fingerprint,
    /// Its nickname.
    pub nickname: String,
}

impl Manifest {
    /// What there is to tell of a network that this process holds.
    ///
    /// # Errors
    ///
    /// [`LabError::File`] where the process cannot be found in `/proc`.
    pub fn of(network: &Network) -> Result<Self, LabError> {
        let exit = |exit: &crate::LabExit| {
            let nickname = exit.nickname.clone();
            ManifestExit {
                family_id: exit.family_id.as_ref().map(|id| format!("ed25519:{id}")),
                resolver_truth: exit.fault.resolver(network.zone.ipv6),
                loss: exit.fault.loss(),
                ..ManifestExit::new(
                    exit.fault,
                    exit.fingerprint,
                    nickname,
                    exit.or_address,
                    exit.resolver,
                )
            }
        };
        let guard = |guard: &crate::LabGuard| ManifestGuard {
            fingerprint: guard.fingerprint,
            nickname: guard.nickname.clone(),
        };
        let client = |client: &crate::Client| ManifestClient {
            control: client.control.clone(),
            cookie: client.cookie.clone(),
            socks: client.socks,
            dns: client.dns,
        };
        let zone = ManifestZone {
            checks_domain: CHECKS_DOMAIN.to_owned(),
            address: network.zone.address(),
            log: network.zone.log.clone(),
        };
        let manifest = Self::new(
            Holder::this()?,
            network.dir(),
            network.client().map(client),
            network.exits().iter().map(exit).collect(),
            network.guards().iter().map(guard).collect(),
            network.dead_guard(),
        );
        Ok(Self { zone: Some(zone), ..manifest })
    }

    /// A manifest in this directory.
    pub(crate) fn new(
        holder: Holder,
        dir: &Path,
        client: Option<ManifestClient>,
        exits: Vec<ManifestExit>,
        guards: Vec<ManifestGuard>,
        dead_guard: Option<Fingerprint>,
    ) -> Self {
        Self {
            format: Format { name: FORMAT_NAME.to_owned(), version: FORMAT_VERSION },
            pid: holder.pid,
            process_start: holder.process_start,
            torrc: dir.join(TORRC_FILE),
            client,
            wildcard_domain: WILDCARD_DOMAIN.to_owned(),
            nxdomain_domain: NXDOMAIN_DOMAIN.to_owned(),
            expected_ip: EXPECTED_ADDRESS.into(),
            exits,
            guards,
            dead_guard,
            zone: None,
        }
    }

    /// The lines of a `config.env` that have the whole job run on this lab, through its client tor;
    /// none where it has no client.
    #[must_use]
    pub fn settings(&self) -> Option<String> {
        let control = &self.client.as_ref()?.control;
        let (domain, address) = (&self.wildcard_domain, self.expected_ip);
        let mut lines = format!(
            "# The job on a private Tor network: its tor, its zone, all of its exits.\n\
             TOR_CONTROL={control}\n\
             TOR_CONTROL_PASSWORD=\n\
             DNS_WILDCARD_DOMAIN={domain}\n\
             DNS_EXPECTED_IP={address}\n\
             FIRST_HOP=\n\
             SHARD=\n\
             ALL_EXITS=true\n\
             MAX_RETRIES=\n\
             KNOWN_GOOD_EXIT=\n\
             ZONE_CHECK=false\n\
             # A report of so few relays, most of them broken, would be refused otherwise.\n\
             GATE_MIN_RELAYS=1\n\
             GATE_SUCCESS_FLOOR_PERCENT=0\n\
             GATE_SPREAD_PERCENT=100\n\
             # Quick, and with every confirming step.\n"
        );
        for (name, value) in PACE {
            lines += &format!("{name}={value}\n");
        }
        Some(lines)
    }

    /// Writes it, and before it the files of [`Manifest::torrc`] and, where there is a client,
    /// [`Manifest::settings`], into the lab's directory.
    ///
    /// # Errors
    ///
    /// [`LabError::File`].
    pub fn write(&self, network: &Network) -> Result<(), LabError> {
        self.write_in(network.dir(), &network.torrc_lines())
    }

    /// The same with these lines for a tor of one's own, in this directory.
    ///
    /// # Errors
    ///
    /// [`LabError::File`].
    pub fn write_in(&self, dir: &Path, torrc_lines: &str) -> Result<(), LabError> {
        shelf::atomic::replace(&self.torrc, torrc_lines.as_bytes())
            .map_err(LabError::file("write", &self.torrc))?;
        if let Some(settings) = self.settings() {
            let path = dir.join(SETTINGS_FILE);
            shelf::atomic::replace(&path, settings.as_bytes())
                .map_err(LabError::file("write", &path))?;
        }
        let path = dir.join(MANIFEST_FILE);
        let written = serde_json::to_vec_pretty(self)
            .map_err(std::io::Error::from)
            .and_then(|bytes| shelf::atomic::replace(&path, &bytes));
        written.map_err(LabError::file("write", &path))
    }

    /// Reads the manifest in a lab's directory; `None` where there is none.
    ///
    /// # Errors
    ///
    /// [`LabError::File`] where it cannot be read or is of another format or version.
    pub fn read(dir: &Path) -> Result<Option<Self>, LabError> {
        read(&dir.join(MANIFEST_FILE), FORMAT_NAME, FORMAT_VERSION)
    }

    /// The process that holds the lab.
    #[must_use]
    pub const fn holder(&self) -> Holder {
        Holder { pid: self.pid, process_start: self.process_start }
    }

    /// Whether the process that wrote this is still there.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.holder().is_alive()
    }
}

/// Reads a file of the lab in this format; `None` where there is none.
pub(crate) fn read<T: DeserializeOwned>(
    path: &Path,
    name: &str,
    version: u32,
) -> Result<Option<T>, LabError> {
    /// What every file of the lab begins with.
    #[derive(Deserialize)]
    struct LabEnvelope {
        format: Format,
    }
    let failed = |error: std::io::Error| LabError::file("read", path)(error);
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let found: LabEnvelope =
        serde_json::from_slice(&bytes).map_err(|error| failed(error.into()))?;
    let Format { name: found_name, version: found_version } = found.format;
    if (found_name.as_str(), found_version) != (name, version) {
        let found = format!("unknown format {found_name} version {found_version}");
        return Err(failed(std::io::Error::other(found)));
    }
    serde_json::from_slice(&bytes).map(Some).map_err(|error| failed(error.into()))
}

/// When a process started. An error where there is none, or only its remains: a zombie.
fn process_start(pid: u32) -> std::io::Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    start_in(&text).ok_or_else(|| std::io::ErrorKind::NotFound.into())
}

/// The second field is the program's name in parentheses, which may hold anything: the third
/// begins after the last of them.
fn start_in(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_start() {
        let stat = |state: &str| {
            format!(
                "7 (a) b ({state}) {state} 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20\n"
            )
        };
        assert_eq!(start_in(&stat("S")), Some(777));
        assert_eq!(start_in(&stat("Z")), None);
        assert_eq!(start_in("nonsense"), None);
        assert!(process_start(std::process::id()).is_ok());
    }
}
