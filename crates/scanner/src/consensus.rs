//! Directory documents, as tor's control port gives them, to relays.
//!
//! Owns the reading of network status entries, server descriptors and the consensus header
//! (dir-spec, "Router status format", "Server descriptor format", "Network status format").
//! Every text in them is a stranger's: a line that cannot be read is skipped and counted, never
//! fatal, and nothing here panics. Fetches nothing.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chrono::{DateTime, NaiveDateTime, Utc};
use record::Fingerprint;

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
    /// False where the `w` line says `Unmeasured=1`.
    pub measured: bool,
    /// False where the `p` line allows no port at all; true where there is none.
    pub exits_somewhere: bool,
}

impl Relay {
    /// Whether the consensus gives the relay this flag.
    #[must_use]
    pub fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|have| have == flag)
    }
}

/// What `GETINFO ns/all` held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statuses {
    /// The relays, in the document's order, each once.
    pub relays: Vec<Relay>,
    /// Entries that could not be read.
    pub malformed: usize,
}

/// Reads network status entries: `r`, `a`, `s`, `w` and `p` lines without a header.
#[must_use]
pub fn parse_statuses(document: &[u8]) -> Statuses {
    let text = String::from_utf8_lossy(document);
    let mut statuses = Statuses::default();
    let mut seen = HashSet::new();
    // The entry that the following lines belong to; none after an `r` line that could not be read.
    let mut current: Option<Relay> = None;
    for line in text.lines() {
        let (keyword, rest) = line.split_once(' ').unwrap_or((line, ""));
        match (keyword, &mut current) {
            ("r", _) => {
                statuses.relays.extend(current.take());
                match parse_r(rest) {
                    Some(relay) if seen.insert(relay.fingerprint) => current = Some(relay),
                    _ => statuses.malformed += 1,
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
            ("p", Some(relay)) => relay.exits_somewhere = rest.trim() != "reject 1-65535",
            _ => {}
        }
    }
    statuses.relays.extend(current);
    statuses
}

/// `nickname identity digest date time address or-port dir-port`
fn parse_r(rest: &str) -> Option<Relay> {
    let mut words = rest.split_ascii_whitespace();
    let nickname = words.next()?.to_owned();
    let identity = STANDARD_NO_PAD.decode(words.next()?).ok()?;
    let fingerprint = Fingerprint::from_bytes(identity.try_into().ok()?);
    let address = words.nth(3)?.parse().ok()?;
    Some(Relay {
        fingerprint,
        nickname,
        address,
        ipv6: None,
        flags: Vec::new(),
        weight: None,
        measured: true,
        exits_somewhere: true,
    })
}

/// What a server descriptor says that a result repeats.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// The operator's contact line.
    pub contact: Option<String>,
    /// Family members, as written.
    pub family: Vec<String>,
    /// Software and operating system.
    pub platform: Option<String>,
    /// Observed bandwidth, bytes a second.
    pub observed_bandwidth: Option<u64>,
    /// Whether any port may be reached over IPv6.
    pub ipv6_exit: bool,
}

/// Most bytes of a contact line that are kept: what a result may hold. A descriptor has at most
/// 20,000, but bytes that are not UTF-8 grow when they are replaced.
const MAX_CONTACT: usize = 20_000;

/// Most bytes of a platform line that are kept: what a result may hold, and far more than tor
/// writes. Nothing else bounds it, and a result that is refused for it holds up a whole report.
const MAX_PLATFORM: usize = 4_096;

/// The beginning of a stranger's text, at most so many bytes.
fn bounded(text: &str, most: usize) -> String {
    text[..text.floor_char_boundary(most)].to_owned()
}

/// Reads concatenated server descriptors and keeps those of the relays in `wanted`.
#[must_use]
pub fn parse_descriptors(
    document: &[u8],
    wanted: &HashSet<Fingerprint>,
) -> HashMap<Fingerprint, Descriptor> {
    let mut found = HashMap::new();
    let mut current: Option<(Option<Fingerprint>, Descriptor)> = None;
    let mut in_object = false;
    let mut keep = |entry: Option<(Option<Fingerprint>, Descriptor)>| {
        if let Some((Some(relay), descriptor)) = entry
            && wanted.contains(&relay)
        {
            found.insert(relay, descriptor);
        }
    };
    for line in document.split(|&byte| byte == b'\n') {
        // Keys and signatures make up most of the document.
        if line.starts_with(b"-----") {
            in_object = line.starts_with(b"-----BEGIN");
            continue;
        }
        if in_object {
            continue;
        }
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end_matches('\r');
        let line = line.strip_prefix("opt ").unwrap_or(line);
        let (keyword, rest) = line.split_once(' ').unwrap_or((line, ""));
        if keyword == "router" {
            keep(current.replace((None, Descriptor::default())));
            continue;
        }
        let Some((relay, descriptor)) = &mut current else { continue };
        match keyword {
            "fingerprint" => *relay = rest.replace(' ', "").parse().ok(),
            "contact" => descriptor.contact = Some(bounded(rest, MAX_CONTACT)),
            "platform" => descriptor.platform = Some(bounded(rest, MAX_PLATFORM)),
            "family" => {
                descriptor.family = rest.split_ascii_whitespace().map(str::to_owned).collect();
            }
            // "bandwidth" average burst observed
            "bandwidth" => {
                descriptor.observed_bandwidth =
                    rest.split_ascii_whitespace().nth(2).and_then(|word| word.parse().ok());
            }
            "ipv6-policy" => descriptor.ipv6_exit = rest.trim() != "reject 1-65535",
            _ => {}
        }
    }
    keep(current);
    found
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

/// Reads the header of a consensus, whatever follows it.
#[must_use]
pub fn parse_header(document: &[u8]) -> Header {
    let mut header = Header { valid_after: None, exit_dns_limit: DEFAULT_EXIT_DNS_LIMIT };
    for line in document.split(|&byte| byte == b'\n') {
        let line = String::from_utf8_lossy(line);
        let (keyword, rest) = line.trim_end().split_once(' ').unwrap_or((line.trim_end(), ""));
        match keyword {
            "valid-after" => header.valid_after = parse_time(rest),
            "params" => header.exit_dns_limit = exit_dns_limit(rest),
            // The first authority or relay ends the header.
            "dir-source" | "r" => break,
            _ => {}
        }
    }
    header
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
        let statuses = parse_statuses(TWO.as_bytes());
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
        let statuses = parse_statuses(format!("{TWO}{broken}{TWO}").as_bytes());
        assert_eq!(statuses.relays.len(), 2, "duplicates are not relays");
        assert_eq!(statuses.malformed, 3);
        assert!(!statuses.relays[1].exits_somewhere);
    }

    #[test]
    fn reads_descriptors_with_bytes_that_are_not_text() {
        let mut document = b"router a 192.0.2.1 9001 0 0\nfingerprint 0011 2233 4455 6677 8899 \
            AABB CCDD EEFF 0011 2233\nplatform Tor 0.4.9.11 on Linux\nbandwidth 1 2 3\n\
            family $AA bb\nipv6-policy accept 1-65535\nonion-key\n-----BEGIN RSA PUBLIC KEY-----\n\
            contact inside an object\n-----END RSA PUBLIC KEY-----\ncontact <b>"
            .to_vec();
        document.extend(b"\xff\x1b[2J</b>\nrouter b 192.0.2.2 9001 0 0\ncontact nobody\n");
        let relay = "00112233445566778899AABBCCDDEEFF00112233".parse().unwrap();
        let found = parse_descriptors(&document, &HashSet::from([relay]));
        assert_eq!(found.len(), 1);
        let descriptor = &found[&relay];
        assert_eq!(descriptor.contact.as_deref(), Some("<b>\u{fffd}\u{1b}[2J</b>"));
        assert_eq!(descriptor.family, ["$AA", "bb"]);
        assert_eq!(descriptor.observed_bandwidth, Some(3));
        assert!(descriptor.ipv6_exit);
        assert!(parse_descriptors(&document, &HashSet::new()).is_empty());
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
        let descriptor = &parse_descriptors(&document, &HashSet::from([relay]))[&relay];
        assert_eq!(descriptor.platform.as_ref().unwrap().len(), MAX_PLATFORM);
        // A replaced byte has three.
        assert_eq!(descriptor.contact.as_ref().unwrap().len(), MAX_CONTACT / 3 * 3);
    }

    #[test]
    fn reads_the_header_and_its_parameters() {
        let header = parse_header(
            b"network-status-version 3\nvalid-after 2026-01-02 03:00:00\n\
              params a=1 exit_dns_num_attempts=3 exit_dns_timeout=500\ndir-source x\n\
              valid-after 2000-01-01 00:00:00\n",
        );
        assert_eq!(header.valid_after.unwrap().to_rfc3339(), "2026-01-02T03:00:00+00:00");
        assert_eq!(header.exit_dns_limit, Duration::from_millis(1500));
        assert_eq!(parse_header(b"").exit_dns_limit, DEFAULT_EXIT_DNS_LIMIT);
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
            let wanted = HashSet::new();
            for document in [&bytes[..], lines.as_bytes()] {
                let _ = parse_statuses(document);
                let _ = parse_descriptors(document, &wanted);
                let _ = parse_header(document);
                let _ = parse_country(document);
            }
        }
    }
}
