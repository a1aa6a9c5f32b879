//! The lab's resolvers for a Tor network that another program runs: what they offer to its exits
//! (`resolvers.json`), and the manifest of that network, by what the other program tells of it.
//! Starts no tor and signals none.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use record::{Fingerprint, Format};
use serde::{Deserialize, Serialize};

use crate::fault::Then;
use crate::manifest::{Holder, Manifest, ManifestClient, ManifestExit, ManifestGuard};
use crate::process::Processes;
use crate::resolver::{Resolver, Resolvers};
use crate::{Fault, LabError};

/// The file in the lab's directory with what the resolvers offer.
pub const RESOLVERS_FILE: &str = "resolvers.json";

/// The file in the lab's directory with the bandwidths of the relays that were told of, for the
/// authorities' `V3BandwidthsFile`: relays without one are fit for no first hop.
pub const BANDWIDTHS_FILE: &str = "measured-bandwidths";

const FORMAT_NAME: &str = "exit-validator/lab-resolvers";
const FORMAT_VERSION: u32 = 1;

/// Resolvers that run for exits which are not the lab's own. They end when this is dropped.
#[derive(Debug)]
pub struct StandingResolvers {
    offer: Offer,
    _resolvers: Resolvers,
    // Nothing is ever started in it; the resolvers want one to act on.
    _processes: Processes,
}

/// What the resolvers offer to whoever runs the exits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// `exit-validator/lab-resolvers`, version 1.
    pub format: Format,
    /// The process that holds the resolvers.
    #[serde(flatten)]
    pub holder: Holder,
    /// One exit that is to be run, for each.
    pub exits: Vec<WantedExit>,
}

/// An exit that is to be run with one of the resolvers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedExit {
    /// What its nickname must be: the fault's name.
    pub nickname: String,
    /// Where its resolver listens, by UDP and TCP.
    pub resolver: SocketAddr,
    /// A file for tor's `ServerDNSResolvConfFile` that names that resolver and no other.
    pub resolv_conf: PathBuf,
    /// Whether the exit is to allow IPv6 (tor's `IPv6Exit`).
    pub ipv6: bool,
    /// What is to be done to its tor when the network is ready, for the fault to come true.
    pub then: Then,
}

impl StandingResolvers {
    /// Starts a resolver for each fault that needs nothing else of the lab, with their files in
    /// `dir`, which must exist.
    ///
    /// # Errors
    ///
    /// [`LabError::Port`], [`LabError::File`], [`LabError::Start`].
    pub fn start(dir: &Path) -> Result<Self, LabError> {
        let dir = dir.canonicalize().map_err(LabError::file("read", dir))?;
        let files = dir.join("resolvers");
        std::fs::create_dir_all(&files).map_err(LabError::file("create", &files))?;
        let processes = Processes::new()?;
        let mut resolvers = Vec::new();
        let mut exits = Vec::new();
        for fault in Fault::ALL {
            let Some(then) = fault.then() else { continue };
            let nickname = fault.name().to_owned();
            let resolver = Resolver::bind(fault, nickname.clone(), None)?;
            let address = resolver.address()?;
            let resolv_conf = files.join(format!("{nickname}.conf"));
            std::fs::write(&resolv_conf, format!("nameserver {address}\n"))
                .map_err(LabError::file("write", &resolv_conf))?;
            resolvers.push(resolver);
            exits.push(WantedExit {
                nickname,
                resolver: address,
                resolv_conf,
                ipv6: fault.ipv6(),
                then,
            });
        }
        let resolvers = Resolvers::start(resolvers, processes.handle(), None)?;
        let format = Format { name: FORMAT_NAME.to_owned(), version: FORMAT_VERSION };
        let offer = Offer { format, holder: Holder::this()?, exits };
        Ok(Self { offer, _resolvers: resolvers, _processes: processes })
    }

    /// What they offer.
    #[must_use]
    pub const fn offer(&self) -> &Offer {
        &self.offer
    }
}

impl Offer {
    /// Writes it into the lab's directory: that it is there means that the resolvers answer.
    ///
    /// # Errors
    ///
    /// [`LabError::File`].
    pub fn write(&self, dir: &Path) -> Result<(), LabError> {
        let path = dir.join(RESOLVERS_FILE);
        serde_json::to_vec_pretty(self)
            .map_err(std::io::Error::from)
            .and_then(|bytes| shelf::atomic::replace(&path, &bytes))
            .map_err(LabError::file("write", &path))
    }

    /// Reads the offer in a lab's directory; `None` where there is none.
    ///
    /// # Errors
    ///
    /// [`LabError::File`] where it cannot be read or is of another format or version.
    pub fn read(dir: &Path) -> Result<Option<Self>, LabError> {
        crate::manifest::read(&dir.join(RESOLVERS_FILE), FORMAT_NAME, FORMAT_VERSION)
    }

    /// The manifest of the network that was told of, with its torrc lines in `dir`. Nothing is
    /// written.
    ///
    /// # Errors
    ///
    /// [`LabError::Told`] where the exits are not exactly those that are wanted.
    pub fn adopt(&self, told: &Told, dir: &Path) -> Result<Manifest, LabError> {
        let mut left: Vec<_> = told.exits.iter().collect();
        let mut exits = Vec::new();
        for wanted in &self.exits {
            let name = &wanted.nickname;
            let fault = Fault::ALL.into_iter().find(|fault| fault.name() == name);
            let fault = fault.ok_or_else(|| {
                LabError::Told(format!(
                    "{RESOLVERS_FILE} wants an exit with the unknown fault {name}"
                ))
            })?;
            let at = left.iter().position(|exit| exit.nickname == *name);
            let at = at.ok_or_else(|| LabError::Told(format!("it has no exit {name}")))?;
            let exit = left.swap_remove(at);
            exits.push(ManifestExit::new(
                fault,
                exit.fingerprint,
                name.clone(),
                exit.or_address,
                wanted.resolver,
            ));
        }
        if let Some(exit) = left.first() {
            let name = record::printable(&exit.nickname);
            return Err(LabError::Told(format!("no resolver is there for its exit {name}")));
        }
        let guards = told.guards.clone();
        Ok(Manifest::new(self.holder, dir, told.client.clone(), exits, guards, None))
    }
}

/// What the program that runs a network tells of it.
///
/// Its text form is lines of words, in any order:
///
/// ```text
/// exit NICKNAME FINGERPRINT OR-ADDRESS
/// guard NICKNAME FINGERPRINT
/// authority NICKNAME FINGERPRINT
/// client CONTROL-ADDRESS SOCKS-ADDRESS DNS-ADDRESS COOKIE-FILE
/// torrc A LINE FOR A TOR THAT IS TO USE THIS NETWORK
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    exits: Vec<ToldExit>,
    guards: Vec<ManifestGuard>,
    authorities: Vec<Fingerprint>,
    client: Option<ManifestClient>,
    torrc: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct ToldExit {
    nickname: String,
    fingerprint: Fingerprint,
    or_address: SocketAddr,
}

impl Told {
    /// Every relay.
    pub fn relays(&self) -> impl Iterator<Item = Fingerprint> {
        let guards = self.guards.iter().map(|guard| guard.fingerprint);
        let exits = self.exits.iter().map(|exit| exit.fingerprint);
        self.authorities.iter().copied().chain(guards).chain(exits)
    }

    /// The lines for a tor of one's own that is to use the network.
    #[must_use]
    pub fn torrc(&self) -> &str {
        &self.torrc
    }

    /// Writes the bandwidths of all relays into the lab's directory.
    ///
    /// # Errors
    ///
    /// [`LabError::File`].
    pub fn write_bandwidths(&self, dir: &Path) -> Result<(), LabError> {
        let path = dir.join(BANDWIDTHS_FILE);
        let text = crate::torrc::bandwidths(crate::start::unix_now(), self.relays());
        shelf::atomic::replace(&path, text.as_bytes()).map_err(LabError::file("write", &path))
    }

    /// Takes one line.
    fn hear(&mut self, line: &str) -> Result<(), String> {
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        let words: Vec<_> = rest.split(' ').collect();
        match (kind, words.as_slice()) {
            ("exit", &[nickname, fingerprint, address]) => self.exits.push(ToldExit {
                nickname: nickname.to_owned(),
                fingerprint: parsed(fingerprint)?,
                or_address: parsed(address)?,
            }),
            ("guard", &[nickname, fingerprint]) => self.guards.push(ManifestGuard {
                fingerprint: parsed(fingerprint)?,
                nickname: nickname.to_owned(),
            }),
            ("authority", &[_, fingerprint]) => self.authorities.push(parsed(fingerprint)?),
            ("client", [control, socks, dns, cookie @ ..])
                if !cookie.is_empty() && self.client.is_none() =>
            {
                self.client = Some(ManifestClient {
                    control: parsed::<SocketAddr>(control)?.to_string(),
                    cookie: cookie.join(" ").into(),
                    socks: parsed(socks)?,
                    dns: parsed(dns)?,
                });
            }
            ("torrc", _) => {
                self.torrc.push_str(rest);
                self.torrc.push('\n');
            }
            _ => return Err("it is none of the lines that `lab adopt --help` names".to_owned()),
        }
        Ok(())
    }
}

impl FromStr for Told {
    type Err = LabError;

    fn from_str(text: &str) -> Result<Self, LabError> {
        let mut told = Self::default();
        for (index, line) in text.lines().enumerate() {
            let said = |why| LabError::Told(format!("line {}: {why}", index + 1));
            told.hear(line).map_err(said)?;
        }
        let mut relays: Vec<_> = told.relays().collect();
        relays.sort_unstable();
        if let Some(twice) = relays.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(LabError::Told(format!("two relays have the fingerprint {}", twice[0])));
        }
        Ok(told)
    }
}

fn parsed<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("{}: {error}", record::printable(text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::{Mode, Status};

    fn offer() -> Offer {
        let wanted = |(port, fault): (u16, Fault)| WantedExit {
            nickname: fault.name().to_owned(),
            resolver: ([127, 0, 0, 1], port).into(),
            resolv_conf: "/lab/resolvers/some.conf".into(),
            ipv6: false,
            then: fault.then().unwrap(),
        };
        Offer {
            format: Format { name: FORMAT_NAME.to_owned(), version: FORMAT_VERSION },
            holder: Holder { pid: 7, process_start: 77 },
            exits: [(1, Fault::Correct), (2, Fault::Silent)].map(wanted).to_vec(),
        }
    }

    fn wishes(lines: &[&str]) -> Result<Told, LabError> {
        lines.join("\n").parse()
    }

    fn id(byte: u8) -> String {
        Fingerprint::from_bytes([byte; 20]).to_string()
    }

    fn right() -> Vec<String> {
        vec![
            format!("authority a {}", id(1)),
            format!("guard g {}", id(2)),
            format!("exit silent {} 127.0.0.1:4", id(4)),
            format!("exit correct {} 127.0.0.1:3", id(3)),
            "client 127.0.0.1:9051 127.0.0.1:9050 127.0.0.1:9053 /a b/cookie".to_owned(),
            "torrc TestingTorNetwork 1".to_owned(),
        ]
    }

    #[test]
    fn a_network_that_was_told_of_has_the_truth_of_each_exit() {
        let told: Told = right().join("\n").parse().unwrap();
        let manifest = offer().adopt(&told, Path::new("/lab")).unwrap();
        let names: Vec<_> = manifest.exits.iter().map(|exit| exit.nickname.as_str()).collect();
        assert_eq!(names, ["correct", "silent"]);
        assert_eq!(manifest.exits[1].fingerprint.to_string(), id(4));
        assert_eq!(manifest.exits[1].resolver.port(), 2);
        assert_eq!(manifest.exits[1].truth(Mode::Wildcard), &Fault::Silent.truth(Mode::Wildcard));
        assert_eq!(manifest.exits[0].truth(Mode::Nxdomain).status, Status::Success);
        assert_eq!(manifest.client.unwrap().cookie, Path::new("/a b/cookie"));
        assert_eq!((manifest.pid, manifest.process_start), (7, 77));
        assert_eq!(told.relays().count(), 4);
        assert_eq!(told.torrc(), "TestingTorNetwork 1\n");
    }

    #[test]
    fn exits_that_do_not_fit_are_refused() {
        let adopted = |lines: &[String]| {
            let told: Told = lines.join("\n").parse()?;
            offer().adopt(&told, Path::new("/lab"))
        };
        let mut missing = right();
        missing.remove(2);
        let said = adopted(&missing).unwrap_err().to_string();
        assert!(said.contains("no exit silent"), "{said}");
        let mut extra = right();
        extra.push(format!("exit \u{1b}[31m {} 127.0.0.1:5", id(5)));
        let said = adopted(&extra).unwrap_err().to_string();
        assert!(said.contains("no resolver") && !said.contains('\u{1b}'), "{said}");
    }

    #[test]
    fn lines_that_say_nothing_are_named() {
        for line in [
            "",
            "exit",
            "exit correct 00 127.0.0.1:1",
            "guard g",
            "client 127.0.0.1:1 127.0.0.1:2 127.0.0.1:3",
            "client /run/control 127.0.0.1:2 127.0.0.1:3 /cookie",
            "relay r 0000000000000000000000000000000000000000",
        ] {
            let said = wishes(&["torrc TestingTorNetwork 1", line, "torrc x"]).unwrap_err();
            assert!(said.to_string().contains("line 2: "), "{line:?}: {said}");
        }
        let same = format!("guard g {}", id(1));
        assert!(wishes(&[&same, &same]).unwrap_err().to_string().contains("two relays"));
    }
}
