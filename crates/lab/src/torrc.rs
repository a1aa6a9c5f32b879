//! The configuration files of the lab's tors: pure text.

use std::fmt::Write as _;
use std::path::Path;

use record::Fingerprint;

use crate::Fault;

/// The time between two votes, in seconds, once the network is ready. The first consensus is voted
/// when the lab asks for it; each one is valid for [`INTERVALS_VALID`] such intervals.
pub(crate) const VOTING_INTERVAL: u64 = 1800;

/// For how many voting intervals a consensus is valid: the lowest that tor takes is 2.
const INTERVALS_VALID: u64 = 4;

/// How long before its start of validity a consensus is voted on, in seconds: tor's shortest delays
/// (2 s each) for the votes and for their signatures.
pub(crate) const VOTE_TAKES: u64 = 4;

/// The file in a tor's directory that tells its control port, where tor chose that itself.
pub(crate) const CONTROL_PORT_FILE: &str = "control-port";

/// One directory authority, as all tors of the network must know it.
#[derive(Debug, Clone)]
pub(crate) struct Authority {
    pub(crate) nickname: String,
    /// Fingerprint of its identity key as a voter.
    pub(crate) v3_identity: Fingerprint,
    /// Fingerprint of its relay identity.
    pub(crate) fingerprint: Fingerprint,
    pub(crate) or_port: u16,
    pub(crate) dir_port: u16,
}

/// The lines that every tor needs to be of this network and no other.
pub(crate) fn network(authorities: &[Authority]) -> String {
    let mut lines = "TestingTorNetwork 1\n".to_owned();
    for authority in authorities {
        let Authority { nickname, v3_identity, fingerprint, or_port, dir_port } = authority;
        let _ = writeln!(
            lines,
            "DirAuthority {nickname} orport={or_port} no-v2 v3ident={v3_identity} \
             127.0.0.1:{dir_port} {fingerprint}"
        );
    }
    lines
}

/// The lines for a tor that uses the network: [`network`], and what makes it behave as a client of
/// the public network does where TestingTorNetwork would have it otherwise.
pub(crate) fn user(authorities: &[Authority]) -> String {
    // On the public network a client refuses private addresses in answers, and that cannot be
    // switched off there; a testing network's client takes them by default.
    // The small network has too few paths for the usual share of them.
    network(authorities)
        + "ClientDNSRejectInternalAddresses 1\n\
           PathsNeededToBuildCircuits 0.67\n"
}

/// The line, after those of a user of the network, that has it pass on addresses of loopback: those from
/// which the lab's resolvers ask. The public network has none, and a client of it passes none on.
pub const TAKES_LOOPBACK: &str = "ClientDNSRejectInternalAddresses 0\n";

/// What the files of all of the lab's tors have in common.
pub(crate) fn common(dir: &Path, owner: u32) -> String {
    let mut lines = String::new();
    let _ = writeln!(lines, "DataDirectory {}", quoted(&dir.join("data")));
    let log = [b"notice file ", dir.join("log").as_os_str().as_encoded_bytes()].concat();
    let _ = writeln!(lines, "Log {}", quoted_bytes(&log));
    let _ = writeln!(lines, "ControlPortWriteToFile {}", quoted(&dir.join(CONTROL_PORT_FILE)));
    let _ = writeln!(lines, "__OwningControllerProcess {owner}");
    // Quiet on the disk, one worker thread, no circuits of their own: a hundred share a machine.
    lines += "RunAsDaemon 0\nShutdownWaitLength 0\nAvoidDiskWrites 1\nNumCPUs 1\n";
    lines
}

/// What the files of all relays have in common, authorities included. `empty` is a file without
/// content.
pub(crate) fn relay(nickname: &str, empty: &Path) -> String {
    // Relays take themselves, and authorities take everyone, for reachable without a test: so a
    // dead or frozen relay stays in the consensus as Running for as long as its descriptor is
    // fresh, which is 18 hours at least. Nobody here is in any country, and reading the table of
    // them is half of what a tor's start costs.
    format!(
        "Nickname {nickname}\nAddress 127.0.0.1\nAssumeReachable 1\nSocksPort 0\n\
         __DisablePredictedCircuits 1\nGeoIPFile {empty}\nGeoIPv6File {empty}\n",
        empty = quoted(empty)
    )
}

/// A directory authority's own lines.
pub(crate) fn authority(me: &Authority, guards: &[Fingerprint], bandwidths: &Path) -> String {
    let guards: Vec<_> = guards.iter().map(|guard| format!("${guard}")).collect();
    let mut lines = String::new();
    let _ = writeln!(lines, "ORPort 127.0.0.1:{}\nDirPort 127.0.0.1:{}", me.or_port, me.dir_port);
    let _ = writeln!(lines, "V3BandwidthsFile {}", quoted(bandwidths));
    // Guards are those listed and no others, whatever tor would think of their past; exits are
    // found by their policies.
    let _ = writeln!(lines, "TestingDirAuthVoteGuard {}", guards.join(","));
    let _ = writeln!(lines, "TestingDirAuthVoteGuardIsStrict 1");
    let _ = writeln!(
        lines,
        "V3AuthVotingInterval {VOTING_INTERVAL} seconds\n\
         V3AuthVoteDelay {half} seconds\nV3AuthDistDelay {half} seconds\n\
         V3AuthNIntervalsValid {INTERVALS_VALID}\n\
         TestingV3AuthInitialVotingInterval {VOTING_INTERVAL} seconds\n\
         TestingV3AuthInitialVoteDelay {half} seconds\n\
         TestingV3AuthInitialDistDelay {half} seconds",
        half = VOTE_TAKES / 2
    );
    lines += "AuthoritativeDirectory 1\nV3AuthoritativeDirectory 1\nContactInfo lab@example.org\n\
              ExitPolicy reject *:*\n\
              TestingMinExitFlagThreshold 0\nTestingMinFastFlagThreshold 0\n";
    lines + ASKED
}

/// When the authorities are to vote, so that the consensus becomes valid at this time: an offset
/// into the voting interval.
pub(crate) const fn voting_offset(valid_after: u64) -> u64 {
    valid_after % VOTING_INTERVAL
}

/// A file of measured bandwidths (bandwidth-file-spec, version 1.0.0): without one on at least
/// three authorities, relays are listed as unmeasured.
pub(crate) fn bandwidths(now: u64, relays: impl Iterator<Item = Fingerprint>) -> String {
    let mut lines = format!("{now}\n");
    for relay in relays {
        let _ = writeln!(lines, "node_id=${relay} bw=1000");
    }
    lines
}

/// A guard's own lines. It is told to fetch the consensus when there is one: a relay that has asked
/// in vain for a while asks again only after a long wait.
pub(crate) fn guard(or_port: u16) -> String {
    format!(
        "ORPort 127.0.0.1:{or_port}\nExitPolicy reject *:*\nContactInfo guards@example.org\n\
         FetchServerDescriptors 0\n"
    ) + ASKED
}

/// The policy of an exit with this fault.
pub(crate) const fn policy(fault: Fault) -> &'static str {
    match fault {
        Fault::Ipv6Policy => {
            "ExitPolicy accept6 *:*\nExitPolicy reject *:*\nExitPolicyRejectPrivate 0\n"
        }
        // As on the public network: what leads to a private address is refused.
        Fault::PrivateAddress => "ExitPolicy accept *:*\nExitPolicyRejectPrivate 1\n",
        _ => "ExitPolicy accept *:*\nExitPolicyRejectPrivate 0\n",
    }
}

/// The policy of an exit that has become none.
pub(crate) const NO_EXIT: &str = "ExitPolicy reject *:*\n";

/// The lines of a tor that the lab asks questions: see [`CONTROL_PORT_FILE`].
pub(crate) const ASKED: &str = "ControlPort auto\nCookieAuthentication 1\n";

/// An exit's own lines.
#[derive(Debug)]
pub(crate) struct ExitLines<'a> {
    /// Where it listens.
    pub(crate) or_port: u16,
    /// The port that other relays are to know, where it is another: see `link`.
    pub(crate) published: Option<u16>,
    pub(crate) resolv_conf: &'a Path,
    pub(crate) ipv6: bool,
    /// The lines of its policy.
    pub(crate) policy: &'a str,
    pub(crate) contact: &'a str,
    pub(crate) family: &'a [Fingerprint],
    /// The id of a family whose key is among its own.
    pub(crate) family_id: Option<&'a str>,
    /// Whether it looks for resolvers that make up answers.
    pub(crate) looks_for_hijacking: bool,
}

impl ExitLines<'_> {
    pub(crate) fn lines(&self) -> String {
        let mut lines = String::new();
        let or_port = self.or_port;
        if let Some(published) = self.published {
            // Without a consensus it makes no connections of its own to other relays, which they
            // could use in place of the link.
            let _ = writeln!(
                lines,
                "ORPort 127.0.0.1:{or_port} NoAdvertise\nORPort 127.0.0.1:{published} NoListen\n\
                 FetchServerDescriptors 0"
            );
        } else {
            let _ = writeln!(lines, "ORPort 127.0.0.1:{or_port}");
        }
        let _ = writeln!(lines, "ContactInfo {}", quoted_bytes(self.contact.as_bytes()));
        let _ = writeln!(lines, "ServerDNSResolvConfFile {}", quoted(self.resolv_conf));
        let _ = writeln!(lines, "IPv6Exit {}", u8::from(self.ipv6));
        if !self.family.is_empty() {
            let members: Vec<_> = self.family.iter().map(|member| format!("${member}")).collect();
            let _ = writeln!(lines, "MyFamily {}", members.join(","));
        }
        if let Some(id) = self.family_id {
            let _ = writeln!(lines, "FamilyId {id}");
        }
        let _ = writeln!(lines, "ServerDNSDetectHijacking {}", u8::from(self.looks_for_hijacking));
        // The resolver hears the scanners' questions and no others: no test for hijacking but where
        // that is wanted, none of well-known names.
        lines += self.policy;
        // What an exit is asked to connect to, it does not reach beyond this machine. It takes
        // connections from first hops that its first consensus did not have yet: it would end those with
        // MISC, and lookups not.
        lines += "ExitRelay 1\nRefuseUnknownExits 0\nOutboundBindAddressExit 127.0.0.1\n\
                  ServerDNSTestAddresses\n\
                  ServerDNSAllowBrokenConfig 1\nDirCache 0\n";
        lines
    }
}

/// The client's own lines.
pub(crate) fn client(control: u16, socks: u16, dns: u16) -> String {
    format!(
        "ControlPort 127.0.0.1:{control}\nCookieAuthentication 1\nSocksPort 127.0.0.1:{socks}\n\
         DNSPort 127.0.0.1:{dns}\n"
    )
}

/// A path as a quoted string. The lab's directory is UTF-8: see `Error::Directory`.
fn quoted(path: &Path) -> String {
    quoted_bytes(path.as_os_str().as_encoded_bytes())
}

/// A quoted string as tor's configuration files know it: C's escapes.
fn quoted_bytes(bytes: &[u8]) -> String {
    let mut text = "\"".to_owned();
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(byte)]),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => {
                let _ = write!(text, "\\{byte:03o}");
            }
        }
    }
    text + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_quoted_for_tor() {
        assert_eq!(quoted_bytes(b"plain text"), "\"plain text\"");
        assert_eq!(quoted_bytes(b"a\"b\\c"), r#""a\"b\\c""#);
        assert_eq!(quoted_bytes("\x1b[é".as_bytes()), r#""\033[\303\251""#);
    }

    #[test]
    fn a_bandwidth_file_names_every_relay() {
        let relay = Fingerprint::from_bytes([0xab; 20]);
        let text = bandwidths(1_700_000_000, [relay].into_iter());
        assert_eq!(text, format!("1700000000\nnode_id=${relay} bw=1000\n"));
    }
}
