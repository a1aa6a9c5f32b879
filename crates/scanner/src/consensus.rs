//! Directory documents, as tor's control port gives them, to relays.
//!
//! Owns the reading of the consensus, server descriptors and microdescriptors (dir-spec, "Router
//! status format", "Server descriptor format", "Microdescriptors", "Network status format"), each
//! as a [`DocumentReader`] that takes in one line after the other, so that no document stands in memory.
//! Every text in them is a stranger's: a line that cannot be read is skipped and counted, never
//! fatal, and nothing here panics. Fetches nothing.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chrono::{DateTime, NaiveDateTime, Utc};
use record::Fingerprint;
use sha2::{Digest, Sha256};

use crate::family_cert;
use crate::policy::{ExitPolicy, PortPool, Ports, Rules};

/// Takes in a document line by line.
pub trait DocumentReader {
    /// The next line, without its end: any bytes.
    fn line(&mut self, line: &[u8]);

    /// Whether what may still come says nothing more.
    fn is_done(&self) -> bool {
        false
    }

    /// Takes in a piece of a document: whole lines.
    fn lines(&mut self, piece: &[u8]) {
        for line in piece.strip_suffix(b"\n").unwrap_or(piece).split(|&byte| byte == b'\n') {
            self.line(line);
        }
    }
}

/// One relay of the consensus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relay {
    /// Its identity.
    pub fingerprint: Fingerprint,
    /// A stranger's text.
    pub nickname: String,
    /// The IPv4 address of its OR port.
    pub address: Ipv4Addr,
    /// The IPv6 address of its OR port.
    pub ipv6: Option<Ipv6Addr>,
    /// Flags, in the consensus's order.
    pub flags: Vec<String>,
    /// The `w` line's `Bandwidth`, in kilobytes a second.
    pub weight: Option<u64>,
    /// False where the `w` line says `Unmeasured=1`, in a network where others are measured. Only
    /// the consensus itself says so; `ns/all` leaves it out.
    pub measured: bool,
    /// False where the `p` line allows no port at all; true where there is none.
    pub exits_somewhere: bool,
    /// The SHA-256 of its microdescriptor: the `m` line of a consensus that names those.
    pub microdescriptor: Option<[u8; 32]>,
}

impl Relay {
    /// Whether the consensus gives the relay this flag.
    #[must_use]
    pub fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|have| have == flag)
    }
}

/// The relays of a consensus.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statuses {
    /// The relays, in the document's order, each once.
    pub relays: Vec<Relay>,
    /// Entries that could not be read.
    pub malformed: usize,
}

/// How long an exit waits for its resolver where the consensus does not say: tor's defaults of
/// `exit_dns_timeout` (1 s) and `exit_dns_num_attempts` (2), measured as 2.0 s.
pub const DEFAULT_EXIT_DNS_LIMIT: Duration = Duration::from_secs(2);

/// What the consensus's header says that the scan needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Start of its validity.
    pub valid_after: Option<DateTime<Utc>>,
    /// How long an exit waits for its resolver in all, after which it answers with a transient
    /// error: the consensus parameters `exit_dns_timeout` (ms) times `exit_dns_num_attempts`.
    pub exit_dns_limit: Duration,
}

impl Default for Header {
    /// That of a consensus that says nothing.
    fn default() -> Self {
        Self { valid_after: None, exit_dns_limit: DEFAULT_EXIT_DNS_LIMIT }
    }
}

/// Reads a consensus of either flavour, or the network status entries alone that `ns/all` has.
#[derive(Debug, Default)]
pub struct ConsensusReader {
    header: Header,
    statuses: Statuses,
    seen: HashSet<Fingerprint>,
    part: ConsensusPart,
    /// The entry that the following lines belong to; none after an `r` line that could not be read.
    current: Option<Relay>,
}

/// Where in a consensus a line stands.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum ConsensusPart {
    #[default]
    Header,
    Authorities,
    Relays,
    Footer,
}

impl ConsensusReader {
    /// What the header said, and the relays.
    #[must_use]
    pub fn finish(mut self) -> (Header, Statuses) {
        self.statuses.relays.extend(self.current);
        self.statuses.relays.shrink_to_fit();
        // Too few authorities measure, as in a network for tests: then it says nothing of a relay.
        if !self.statuses.relays.iter().any(|relay| relay.measured) {
            self.statuses.relays.iter_mut().for_each(|relay| relay.measured = true);
        }
        (self.header, self.statuses)
    }

    fn status_line(&mut self, keyword: &str, rest: &str) {
        match (keyword, &mut self.current) {
            ("r", _) => {
                self.statuses.relays.extend(self.current.take());
                match parse_r(rest) {
                    Some(relay) if self.seen.insert(relay.fingerprint) => {
                        self.current = Some(relay);
                    }
                    _ => self.statuses.malformed += 1,
                }
            }
            ("a", Some(relay)) => {
                if let Ok(address) = rest.trim().parse::<SocketAddrV6>() {
                    relay.ipv6.get_or_insert(*address.ip());
                }
            }
            ("s", Some(relay)) => {
                relay.flags = rest.split_ascii_whitespace().map(str::to_owned).collect();
            }
            ("w", Some(relay)) => {
                for (key, value) in rest.split_ascii_whitespace().filter_map(|w| w.split_once('='))
                {
                    match key {
                        "Bandwidth" => relay.weight = value.parse().ok(),
                        "Unmeasured" => relay.measured = value != "1",
                        _ => {}
                    }
                }
            }
            ("p", Some(relay)) => relay.exits_somewhere = !Ports::parse(rest).is_empty(),
            ("m", Some(relay)) => {
                let digest = STANDARD_NO_PAD.decode(rest.trim()).ok();
                relay.microdescriptor = digest.and_then(|digest| digest.try_into().ok());
            }
            _ => {}
        }
    }
}

impl DocumentReader for ConsensusReader {
    fn line(&mut self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end_matches('\r');
        let (keyword, rest) = line.split_once(' ').unwrap_or((line, ""));
        match (self.part, keyword) {
            (ConsensusPart::Footer, _) => {}
            (_, "directory-footer") => self.part = ConsensusPart::Footer,
            (_, "r") => {
                self.part = ConsensusPart::Relays;
                self.status_line(keyword, rest);
            }
            (ConsensusPart::Relays, _) => self.status_line(keyword, rest),
            (_, "dir-source") => self.part = ConsensusPart::Authorities,
            (ConsensusPart::Header, "valid-after") => self.header.valid_after = parse_time(rest),
            (ConsensusPart::Header, "params") => self.header.exit_dns_limit = exit_dns_limit(rest),
            (ConsensusPart::Header | ConsensusPart::Authorities, _) => {}
        }
    }

    fn is_done(&self) -> bool {
        self.part == ConsensusPart::Footer
    }
}

/// `nickname identity [digest] date time address or-port dir-port`: a consensus that names
/// microdescriptors has no digest there.
fn parse_r(rest: &str) -> Option<Relay> {
    let words: Vec<&str> = rest.split_ascii_whitespace().collect();
    let [nickname, identity, .., address, _, _] = words[..] else { return None };
    let identity = STANDARD_NO_PAD.decode(identity).ok()?;
    Some(Relay {
        fingerprint: Fingerprint::from_bytes(identity.try_into().ok()?),
        nickname: nickname.to_owned(),
        address: address.parse().ok()?,
        ipv6: None,
        flags: Vec::new(),
        weight: None,
        measured: true,
        exits_somewhere: true,
        microdescriptor: None,
    })
}

/// What a server descriptor or a microdescriptor says of a relay. A microdescriptor has only the
/// family and the policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// The operator's contact line.
    pub contact: Option<String>,
    /// Family members, as written.
    pub family: Vec<String>,
    /// The ids of the families whose keys it is certified by.
    pub family_ids: Vec<String>,
    /// Software and operating system.
    pub platform: Option<String>,
    /// Observed bandwidth, bytes a second.
    pub observed_bandwidth: Option<u64>,
    /// What it lets out.
    pub policy: ExitPolicy,
}

/// Most bytes of a contact line that are kept: what a result may hold. A descriptor has at most
/// 20,000, but bytes that are not UTF-8 grow when they are replaced.
const MAX_CONTACT: usize = 20_000;

/// Most bytes of a platform line that are kept: what a result may hold, and far more than tor
/// writes. Nothing else bounds it, and a result that is refused for it holds up a whole report.
const MAX_PLATFORM: usize = 4_096;

/// Most family ids that are kept of a relay. An operator has one, and two while changing keys.
const MAX_FAMILY_IDS: usize = 16;

/// Longest family id that is kept. Those with an ed25519 key have 51 characters.
const MAX_FAMILY_ID: usize = 100;

/// Adds a family id, once.
fn add_family_id(ids: &mut Vec<String>, id: String) {
    let known = ids.contains(&id);
    if !known && id.len() <= MAX_FAMILY_ID && ids.len() < MAX_FAMILY_IDS {
        ids.push(id);
    }
}

/// The beginning of a stranger's text, at most so many bytes.
fn bounded(text: &str, most: usize) -> String {
    text[..text.floor_char_boundary(most)].to_owned()
}

fn words(text: &str) -> Vec<String> {
    text.split_ascii_whitespace().map(str::to_owned).collect()
}

/// Which lines of a document stand between `-----BEGIN` and `-----END`: keys and signatures, which
/// make up most of it.
#[derive(Debug, Default)]
struct Objects {
    inside: bool,
}

impl Objects {
    /// Whether this line is part of one.
    fn hold(&mut self, line: &[u8]) -> bool {
        if line.starts_with(b"-----") {
            self.inside = line.starts_with(b"-----BEGIN");
            return true;
        }
        self.inside
    }
}

/// Reads server descriptors, one behind the other, and keeps those of some relays.
#[derive(Debug)]
pub struct DescriptorReader<'a> {
    wanted: &'a HashSet<Fingerprint>,
    found: HashMap<Fingerprint, Descriptor>,
    objects: Objects,
    known: PortPool,
    /// Not between descriptors.
    current: Option<Unfinished>,
}

#[derive(Debug, Default)]
struct Unfinished {
    relay: Option<Fingerprint>,
    descriptor: Descriptor,
    rules: Rules,
    /// The lines of a family's certificate so far.
    certificate: Option<String>,
}

impl Unfinished {
    /// A line of an object. Those of a family's certificate are kept until its end.
    fn object_line(&mut self, line: &[u8]) {
        let Some(text) = &mut self.certificate else { return };
        if line.starts_with(b"-----END") {
            let id = family_cert::id(text);
            self.certificate = None;
            id.into_iter().for_each(|id| add_family_id(&mut self.descriptor.family_ids, id));
        } else if !line.starts_with(b"-----") && text.len() <= family_cert::MAX_TEXT {
            text.push_str(String::from_utf8_lossy(line).trim());
        }
    }
}

impl<'a> DescriptorReader<'a> {
    /// Keeps the descriptors of the relays in `wanted`.
    #[must_use]
    pub fn new(wanted: &'a HashSet<Fingerprint>) -> Self {
        Self {
            wanted,
            found: HashMap::new(),
            objects: Objects::default(),
            known: PortPool::default(),
            current: None,
        }
    }

    /// What was found.
    #[must_use]
    pub fn finish(mut self) -> HashMap<Fingerprint, Descriptor> {
        self.keep();
        self.found
    }

    fn keep(&mut self) {
        let Some(Unfinished { relay: Some(relay), mut descriptor, rules, .. }) =
            self.current.take()
        else {
            return;
        };
        if self.wanted.contains(&relay) {
            descriptor.policy.ipv4 = self.known.shared(rules.ports());
            descriptor.policy.ipv6 = self.known.shared(descriptor.policy.ipv6);
            self.found.insert(relay, descriptor);
        }
    }
}

impl DocumentReader for DescriptorReader<'_> {
    fn line(&mut self, line: &[u8]) {
        if self.objects.hold(line) {
            self.current.iter_mut().for_each(|current| current.object_line(line));
            return;
        }
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end_matches('\r');
        let line = line.strip_prefix("opt ").unwrap_or(line);
        let (keyword, rest) = line.split_once(' ').unwrap_or((line, ""));
        if keyword == "router" {
            self.keep();
            self.current = Some(Unfinished::default());
            return;
        }
        let Some(Unfinished { relay, descriptor, rules, certificate }) = &mut self.current else {
            return;
        };
        *certificate = None;
        // The fingerprint stands before the long lines: those of others are not copied.
        let unwanted = relay.is_some_and(|relay| !self.wanted.contains(&relay));
        match keyword {
            _ if unwanted => {}
            "fingerprint" => *relay = rest.replace(' ', "").parse().ok(),
            "contact" => descriptor.contact = Some(bounded(rest, MAX_CONTACT)),
            "platform" => descriptor.platform = Some(bounded(rest, MAX_PLATFORM)),
            "family" => descriptor.family = words(rest),
            "family-cert" => *certificate = Some(String::new()),
            // "bandwidth" average burst observed
            "bandwidth" => {
                descriptor.observed_bandwidth =
                    rest.split_ascii_whitespace().nth(2).and_then(|word| word.parse().ok());
            }
            "accept" | "reject" => rules.add(keyword == "accept", rest),
            "ipv6-policy" => descriptor.policy.ipv6 = Ports::parse(rest),
            _ => {}
        }
    }
}

/// Reads microdescriptors, one behind the other. They do not say whose they are: the consensus
/// does, by their digest.
#[derive(Debug)]
pub struct MicrodescriptorReader<'a> {
    owners: &'a HashMap<[u8; 32], Fingerprint>,
    found: HashMap<Fingerprint, Descriptor>,
    objects: Objects,
    known: PortPool,
    /// Not before the first.
    current: Option<(Sha256, Descriptor)>,
}

impl<'a> MicrodescriptorReader<'a> {
    /// Keeps those whose digest is in `owners`, for the relay there.
    #[must_use]
    pub fn new(owners: &'a HashMap<[u8; 32], Fingerprint>) -> Self {
        Self {
            owners,
            found: HashMap::new(),
            objects: Objects::default(),
            known: PortPool::default(),
            current: None,
        }
    }

    /// What was found.
    #[must_use]
    pub fn finish(mut self) -> HashMap<Fingerprint, Descriptor> {
        self.keep();
        self.found
    }

    fn keep(&mut self) {
        let Some((digest, mut descriptor)) = self.current.take() else { return };
        if let Some(relay) = self.owners.get(digest.finalize().as_slice()) {
            let ExitPolicy { ipv4, ipv6 } = std::mem::take(&mut descriptor.policy);
            descriptor.policy =
                ExitPolicy { ipv4: self.known.shared(ipv4), ipv6: self.known.shared(ipv6) };
            self.found.insert(*relay, descriptor);
        }
    }
}

/// Reads one microdescriptor, whosever it is.
#[must_use]
pub fn microdescriptor(document: &[u8]) -> Option<Descriptor> {
    let somebody = Fingerprint::from_bytes([0; 20]);
    let owners = HashMap::from([(Sha256::digest(document).into(), somebody)]);
    let mut reader = MicrodescriptorReader::new(&owners);
    reader.lines(document);
    reader.finish().remove(&somebody)
}

impl DocumentReader for MicrodescriptorReader<'_> {
    fn line(&mut self, line: &[u8]) {
        if line.split(|&byte| byte == b' ').next() == Some(b"onion-key") && !self.objects.inside {
            self.keep();
            self.current = Some(Default::default());
        }
        let Some((digest, descriptor)) = &mut self.current else { return };
        digest.update(line);
        digest.update(b"\n");
        if self.objects.hold(line) {
            return;
        }
        let line = String::from_utf8_lossy(line);
        let (keyword, rest) = line.split_once(' ').unwrap_or((&line, ""));
        match keyword {
            "family" => descriptor.family = words(rest),
            "family-ids" => {
                let ids = &mut descriptor.family_ids;
                words(rest).into_iter().for_each(|id| add_family_id(ids, id));
            }
            // Without such a line nothing is let out.
            "p" => descriptor.policy.ipv4 = Ports::parse(rest),
            "p6" => descriptor.policy.ipv6 = Ports::parse(rest),
            _ => {}
        }
    }
}

/// A time as directory documents write it: `2026-01-02 03:04:05`, UTC.
#[must_use]
pub fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    Some(NaiveDateTime::parse_from_str(text.trim(), "%Y-%m-%d %H:%M:%S").ok()?.and_utc())
}

fn exit_dns_limit(params: &str) -> Duration {
    let value = |wanted: &str, range: std::ops::RangeInclusive<u32>, default: u32| {
        params
            .split_ascii_whitespace()
            .filter_map(|param| param.split_once('='))
            .find(|(key, _)| *key == wanted)
            .and_then(|(_, value)| value.parse().ok())
            .map_or(default, |value: u32| value.clamp(*range.start(), *range.end()))
    };
    // Bounds and defaults: param-spec, "exit_dns_timeout" and "exit_dns_num_attempts".
    let timeout = value("exit_dns_timeout", 1..=120_000, 1_000);
    let attempts = value("exit_dns_num_attempts", 0..=255, 2);
    Duration::from_millis(u64::from(timeout)) * attempts.max(1)
}

/// Reads the answer of `GETINFO ip-to-country/ADDRESS`: a two-letter code in lower case, none
/// where tor does not know (`??`).
#[must_use]
pub fn parse_country(answer: &[u8]) -> Option<String> {
    let code = std::str::from_utf8(answer).ok()?.trim();
    let letters = code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_alphabetic());
    letters.then(|| code.to_ascii_lowercase())
}

/// Whether an address is one that tor takes for internal (`tor_addr_is_internal`), or that is
/// otherwise never an answer of a public zone: a resolver that gives it is not telling the truth
/// about a public name.
#[must_use]
pub fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            a == 0
                || v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || (a == 100 && b & 0xc0 == 64)
                || a >= 224
        }
        IpAddr::V6(v6) => {
            v6.is_unspecified()
                || v6.is_loopback()
                || v6.is_unique_local()
                || v6.is_multicast()
                // fe80::/10 link-local, fec0::/10 the former site-local
                || v6.segments()[0] & 0xff80 == 0xfe80
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read<R: DocumentReader>(mut reader: R, document: &[u8]) -> R {
        reader.lines(document);
        reader
    }

    fn statuses(document: &[u8]) -> Statuses {
        read(ConsensusReader::default(), document).finish().1
    }

    fn descriptors(document: &[u8], wanted: &[Fingerprint]) -> HashMap<Fingerprint, Descriptor> {
        let wanted = wanted.iter().copied().collect();
        read(DescriptorReader::new(&wanted), document).finish()
    }

    const TWO: &str = "\
r correct ABEiM0RVZneImaq7zN3u/wARIjM AAAA 2038-01-01 00:00:00 192.0.2.7 9001 0
a [2001:db8::7]:9001
s Exit Fast Running Valid
w Bandwidth=1234 Unmeasured=1
p accept 20-23,80
r evil\u{1b}[31m //////////////////////////8 AAAA 2038-01-01 00:00:00 192.0.2.8 9001 0
s BadExit Exit Running
w Bandwidth=9
p reject 1-65535
";

    #[test]
    fn reads_entries_without_a_header() {
        let statuses = statuses(TWO.as_bytes());
        assert_eq!(statuses.malformed, 0);
        let [first, second] = &statuses.relays[..] else { panic!("{statuses:?}") };
        assert_eq!(first.fingerprint.to_string(), "00112233445566778899AABBCCDDEEFF00112233");
        assert_eq!(first.address.to_string(), "192.0.2.7");
        assert_eq!(first.ipv6, Some("2001:db8::7".parse().unwrap()));
        assert!(first.has("Exit") && !first.has("BadExit") && !first.measured);
        assert_eq!((first.weight, first.exits_somewhere), (Some(1234), true));
        assert!(second.has("BadExit") && second.measured && !second.exits_somewhere);
        assert_eq!(second.nickname, "evil\u{1b}[31m");
    }

    #[test]
    fn an_entry_that_cannot_be_read_takes_no_lines_from_its_neighbour() {
        let broken = "r short AAAA\ns Exit\nw Bandwidth=1\n";
        let statuses = statuses(format!("{TWO}{broken}{TWO}").as_bytes());
        assert_eq!(statuses.relays.len(), 2, "duplicates are not relays");
        assert_eq!(statuses.malformed, 3);
        assert!(!statuses.relays[1].exits_somewhere);
    }

    #[test]
    fn reads_descriptors_with_bytes_that_are_not_text() {
        let mut document = b"router a 192.0.2.1 9001 0 0\nfingerprint 0011 2233 4455 6677 8899 \
            AABB CCDD EEFF 0011 2233\nplatform Tor 0.4.9.11 on Linux\nbandwidth 1 2 3\n\
            family $AA bb\nreject 10.0.0.0/8:*\naccept *:80\nreject *:*\n\
            ipv6-policy accept 1-65535\nonion-key\n-----BEGIN RSA PUBLIC KEY-----\n\
            contact inside an object\n-----END RSA PUBLIC KEY-----\ncontact <b>"
            .to_vec();
        document.extend(b"\xff\x1b[2J</b>\nrouter b 192.0.2.2 9001 0 0\ncontact nobody\n");
        let relay = "00112233445566778899AABBCCDDEEFF00112233".parse().unwrap();
        let found = descriptors(&document, &[relay]);
        assert_eq!(found.len(), 1);
        let descriptor = &found[&relay];
        assert_eq!(descriptor.contact.as_deref(), Some("<b>\u{fffd}\u{1b}[2J</b>"));
        assert_eq!(descriptor.family, ["$AA", "bb"]);
        assert_eq!(descriptor.observed_bandwidth, Some(3));
        assert_eq!(descriptor.policy.ipv4, Ports::parse("accept 80"));
        assert_eq!(descriptor.policy.ipv6, Ports::parse("accept 1-65535"));
        assert!(descriptors(&document, &[]).is_empty());
    }

    /// A certificate as `tor` writes it, of a key of 32 bytes like this one.
    fn certificate(key: u8) -> String {
        let body = base64::engine::general_purpose::STANDARD.encode(family_cert::sample([key; 32]));
        let lines: Vec<&str> =
            body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        let body = lines.join("\n");
        format!("family-cert\n-----BEGIN FAMILY CERT-----\n{body}\n-----END FAMILY CERT-----\n")
    }

    #[test]
    fn takes_the_keys_of_family_certificates() {
        let name = "00112233445566778899AABBCCDDEEFF00112233";
        let other = "-----BEGIN ED25519 CERT-----\nAQQ=\n-----END ED25519 CERT-----\n";
        let document = format!(
            "router a 192.0.2.1 9001 0 0\nidentity-ed25519\n{other}fingerprint {name}\n{}{}{}\
             family-cert\ncontact me\n{other}",
            certificate(7),
            certificate(9),
            certificate(7),
        );
        let relay = name.parse().unwrap();
        let descriptor = &descriptors(document.as_bytes(), &[relay])[&relay];
        let id = |key| format!("ed25519:{}", STANDARD_NO_PAD.encode([key; 32]));
        assert_eq!(descriptor.family_ids, [id(7), id(9)]);
        assert_eq!(descriptor.contact.as_deref(), Some("me"));

        let key = "onion-key\n-----BEGIN RSA PUBLIC KEY-----\nx\n-----END RSA PUBLIC KEY-----\n";
        let brief = format!("{key}family-ids {} {} {}\n", id(7), id(7), "x".repeat(101));
        assert_eq!(microdescriptor(brief.as_bytes()).unwrap().family_ids, [id(7)]);
    }

    #[test]
    fn nobody_is_in_families_without_number() {
        let name = "00112233445566778899AABBCCDDEEFF00112233";
        let mut document = format!("router a 192.0.2.1 9001 0 0\nfingerprint {name}\n");
        (0..100).for_each(|key| document.push_str(&certificate(key)));
        let relay = name.parse().unwrap();
        let descriptor = &descriptors(document.as_bytes(), &[relay])[&relay];
        assert_eq!(descriptor.family_ids.len(), MAX_FAMILY_IDS);
    }

    #[test]
    fn a_strangers_text_is_never_longer_than_a_result_may_hold() {
        let relay = "00112233445566778899AABBCCDDEEFF00112233";
        let mut document =
            format!("router a 192.0.2.1 9001 0 0\nfingerprint {relay}\nplatform ").into_bytes();
        document.extend([b'x'; 5_000]);
        document.extend(b"\ncontact ");
        document.extend([0xff; 10_000]);
        let relay = relay.parse().unwrap();
        let descriptor = &descriptors(&document, &[relay])[&relay];
        assert_eq!(descriptor.platform.as_ref().unwrap().len(), MAX_PLATFORM);
        // A replaced byte has three.
        assert_eq!(descriptor.contact.as_ref().unwrap().len(), MAX_CONTACT / 3 * 3);
    }

    const CONSENSUS: &str = "network-status-version 3 microdesc
valid-after 2026-01-02 03:00:00
params a=1 exit_dns_num_attempts=3 exit_dns_timeout=500
dir-source x
contact r s w p
valid-after 2000-01-01 00:00:00
r first ABEiM0RVZneImaq7zN3u/wARIjM 2038-01-01 00:00:00 192.0.2.7 9001 0
m K7IWK1SUa2fYQ2UnTHS7QEVCmfVu7XxAY9qg4oQ4vnQ
s Exit Running
w Bandwidth=5 Unmeasured=1
r second //////////////////////////8 2038-01-01 00:00:00 192.0.2.8 9001 0
m short
w Bandwidth=7
directory-footer
bandwidth-weights Wbd=0
r third AAAAAAAAAAAAAAAAAAAAAAAAAAA 2038-01-01 00:00:00 192.0.2.9 9001 0
";

    #[test]
    fn reads_a_consensus_that_names_microdescriptors() {
        let reader = read(ConsensusReader::default(), CONSENSUS.as_bytes());
        assert!(reader.is_done());
        let (header, statuses) = reader.finish();
        assert_eq!(header.valid_after.unwrap().to_rfc3339(), "2026-01-02T03:00:00+00:00");
        assert_eq!(header.exit_dns_limit, Duration::from_millis(1500));
        assert_eq!(statuses.malformed, 0);
        let [first, second] = &statuses.relays[..] else { panic!("{statuses:?}") };
        assert_eq!(first.address.to_string(), "192.0.2.7");
        assert_eq!(first.microdescriptor.unwrap()[..2], [0x2b, 0xb2]);
        assert!(first.has("Exit") && !first.measured);
        assert!(second.microdescriptor.is_none() && second.measured);
        assert_eq!(read(ConsensusReader::default(), b"").finish(), Default::default());
    }

    #[test]
    fn where_nobody_measures_nobody_is_unmeasured() {
        let unmeasured = TWO.replace("Bandwidth=9\n", "Bandwidth=9 Unmeasured=1\n");
        assert!(statuses(unmeasured.as_bytes()).relays.iter().all(|relay| relay.measured));
    }

    #[test]
    fn a_microdescriptor_belongs_to_whom_the_consensus_says() {
        let key = "onion-key\n-----BEGIN RSA PUBLIC KEY-----\nonion-key\n\
            -----END RSA PUBLIC KEY-----\nntor-onion-key x\n";
        let web = format!("{key}family $AA bb\np accept 80,443\np6 reject 25\nid ed25519 x\n");
        let none = format!("{key}id ed25519 y\n");
        let relay = |byte| Fingerprint::from_bytes([byte; 20]);
        let owners = [(&web, relay(1)), (&none, relay(2))]
            .map(|(document, relay)| (Sha256::digest(document.as_bytes()).into(), relay))
            .into();
        let document = format!("{web}{key}p accept 1\n{none}");
        let found = read(MicrodescriptorReader::new(&owners), document.as_bytes()).finish();
        assert_eq!(found.len(), 2, "one is nobody's");
        assert_eq!(found[&relay(1)].family, ["$AA", "bb"]);
        assert_eq!(found[&relay(1)].policy.ipv4, Ports::parse("accept 80,443"));
        assert_eq!(found[&relay(1)].policy.ipv6, Ports::parse("reject 25"));
        assert!(!found[&relay(2)].policy.allows_anything());
        assert_eq!(microdescriptor(web.as_bytes()).as_ref(), Some(&found[&relay(1)]));
        assert_eq!(microdescriptor(b"p accept 80\n"), None);
    }

    #[test]
    fn knows_addresses_that_no_public_zone_gives() {
        for private in [
            "10.0.0.1",
            "0.0.0.0",
            "127.0.0.53",
            "169.254.1.1",
            "172.31.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fc00::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(is_private(private.parse().unwrap()), "{private}");
        }
        for public in ["64.65.4.1", "100.128.0.1", "172.32.0.1", "2001:db8::1", "::ffff:8.8.8.8"] {
            assert!(!is_private(public.parse().unwrap()), "{public}");
        }
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes: Vec<u8>, lines in "([rawsp] [ -~é\\x1b]{0,60}\n){0,20}") {
            for document in [&bytes[..], lines.as_bytes()] {
                let _ = statuses(document);
                let _ = descriptors(document, &[]);
                let _ = read(MicrodescriptorReader::new(&HashMap::new()), document).finish();
                let _ = parse_country(document);
            }
        }
    }
}
