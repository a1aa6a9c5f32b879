//! One relay's result: what was asked, what came, and the verdict.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    Blame, ErrorCode, FindingCode, Fingerprint, Format, Ipv6Outcome, Mode, ResolverChecks, Shard,
    Status,
};

/// The most attempts of one result: a reader refuses more. A scan makes a handful, and one that is
/// resumed again and again stops here.
pub const MAX_ATTEMPTS: usize = 100;

/// A length of time in milliseconds, to the microsecond.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Millis(#[cfg_attr(feature = "schema", schemars(range(min = 0)))] f64);

impl Millis {
    /// The number of milliseconds.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl From<Duration> for Millis {
    fn from(duration: Duration) -> Self {
        Self((duration.as_secs_f64() * 1e6).round() / 1e3)
    }
}

/// One relay's result, as `dnshealth_<FINGERPRINT>.json` holds it. Documented in
/// `docs/formats/result.md`.
///
/// Those fields that describe one attempt (`first_hop_fingerprint`, `query_domain`, `timestamp`,
/// `resolved_ip`, `latency_ms`, `error`, `timing`) describe the attempt that decided the verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(transform = crate::schema::only_a_success_has_no_error))]
pub struct RelayResult {
    /// Name and version of this format.
    pub format: Format,
    /// The exit that was tested.
    pub exit_fingerprint: Fingerprint,
    /// Its nickname in the consensus: a stranger's text.
    pub exit_nickname: String,
    /// Its address in the consensus.
    pub exit_address: IpAddr,
    /// The first hop of the deciding attempt; null where no attempt was made.
    pub first_hop_fingerprint: Option<Fingerprint>,
    /// The name asked for in the deciding query.
    pub query_domain: Option<String>,
    /// The expected address; null in nxdomain mode.
    pub expected_ip: Option<IpAddr>,
    /// When the deciding attempt ended.
    pub timestamp: DateTime<Utc>,
    /// The run this belongs to, the same for all its shards' results of one host.
    pub run_id: String,
    /// The shard that was tested, `0/1` if the exits are not split; null in files of versions that
    /// did not write that.
    pub shard: Option<Shard>,
    /// How the answer was judged.
    pub mode: Mode,
    /// The verdict.
    pub status: Status,
    /// The address that came, or `NXDOMAIN` for a success of nxdomain mode.
    pub resolved_ip: Option<String>,
    /// The resolve time of the deciding query: the same as `timing.resolve_ms`.
    pub latency_ms: Option<Millis>,
    /// What went wrong, in words; null for a success.
    pub error: Option<String>,
    /// Why the verdict is not a success, from the closed list; null for a success.
    pub error_code: Option<ErrorCode>,
    /// The number of the deciding attempt, from 1; 0 where no attempt was made.
    pub attempt: u32,
    /// Where the fault lies; null for a success.
    pub blame: Option<Blame>,
    /// Times of the deciding attempt.
    pub timing: Timing,
    /// True while the relay still waits for a confirming round of the same run, and where one
    /// attempt alone saw the failure: it may have been a passing one, and moves no streak.
    pub provisional: bool,
    /// What the first lookup that reached the relay came to.
    #[serde(default)]
    pub first: Option<FirstAnswer>,
    /// What its resolver makes of IPv6 addresses; null where that was not asked.
    #[serde(default)]
    pub ipv6: Option<Ipv6Lookups>,
    /// What the zone's own names show of its resolver; null where none was asked for.
    #[serde(default)]
    pub checks: Option<ResolverChecks>,
    /// What was found beside the verdict.
    #[serde(default)]
    pub findings: Vec<RelayFinding>,
    /// Every attempt, in order.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub attempts: Vec<Attempt>,
    /// What the consensus and the descriptor say of the relay.
    pub relay: RelayInfo,
}

/// What the first lookup that reached a relay came to, whatever came of the queries after it. A
/// failing relay is asked again and a working one is not, so that verdicts hide failures that pass;
/// the share of failures among first answers does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FirstAnswer {
    /// The number of the attempt that asked.
    pub attempt: u32,
    /// `success`, `wrong_ip`, `dns_fail` or `timeout`.
    pub status: Status,
    /// Why; null for a success.
    pub error_code: Option<ErrorCode>,
}

/// What came of asking for the IPv6 addresses of names that an exit had just resolved. No verdict
/// hangs on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Ipv6Lookups {
    /// What the lookups say together.
    pub outcome: Ipv6Outcome,
    /// The address that was expected; null where none was named.
    pub expected: Option<Ipv6Addr>,
    /// The lookups, each on another circuit.
    pub lookups: Vec<Ipv6Lookup>,
}

/// One lookup of IPv6 addresses, on a circuit whose verdict was known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Ipv6Lookup {
    /// The circuit's first relay.
    pub first_hop: Fingerprint,
    /// How long the exit took to answer the lookup before it, of the same name: it answers when its
    /// resolver has for both families, or when it has waited long enough.
    pub answered_ms: Option<Millis>,
    /// Whether it had to wait as long as it waits for any resolver, and had no IPv6 address then.
    pub stalled: bool,
    /// The lookup.
    pub query: Query,
}

/// Something found beside the verdict, for whoever can mend it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RelayFinding {
    /// What it is, from the closed list.
    pub code: FindingCode,
    /// Whose filter, product or the like it is; null where it has no name.
    pub name: Option<String>,
    /// The same in words.
    pub message: String,
    /// What the exit's operator can do.
    pub remedy: String,
}

/// Where the time of an attempt went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Timing {
    /// From asking tor for the circuit until it was built.
    pub circuit_ms: Option<Millis>,
    /// From asking tor for the lookup until tor sent it: local queueing.
    pub attach_ms: Option<Millis>,
    /// From tor's sending the lookup until the exit's answer: the circuit's round trip and the
    /// resolver's own time.
    pub resolve_ms: Option<Millis>,
}

/// One attempt at a relay: a circuit, and the queries sent on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Attempt {
    /// Counts from 1 through all rounds.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub number: u32,
    /// 0 in the first pass, then the number of the confirming round.
    pub round: u32,
    /// When the circuit was asked for.
    pub started: DateTime<Utc>,
    /// When the attempt was over.
    pub ended: DateTime<Utc>,
    /// The circuit's first relay.
    pub first_hop: Fingerprint,
    /// What this attempt alone would say.
    pub status: Status,
    /// Why it is not a success; null for a success.
    pub error_code: Option<ErrorCode>,
    /// Where the fault lies, as far as this attempt alone can tell; null for a success.
    pub blame: Option<Blame>,
    /// What went wrong, in words; null for a success.
    pub error: Option<String>,
    /// The address that came, or `NXDOMAIN` for a success of nxdomain mode.
    pub resolved_ip: Option<String>,
    /// What became of the circuit.
    pub circuit: Circuit,
    /// The queries, in order: none where the circuit was not built.
    pub queries: Vec<Query>,
    /// Which of the queries decided, from 0; null where none did.
    pub decided_by: Option<u32>,
    /// Where the time went; `attach_ms` and `resolve_ms` are those of the deciding query.
    pub timing: Timing,
}

/// What became of an attempt's circuit (control-spec, "Circuit status changed").
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Circuit {
    /// How far the circuit came.
    pub state: CircuitState,
    /// How many relays of the path had been reached when it last reported: 0, 1 or 2.
    #[cfg_attr(feature = "schema", schemars(range(max = 2)))]
    pub hops: u8,
    /// From the first hop's having been reached until the exit was: a round trip over the whole
    /// path, and more where the two relays had no link yet.
    #[serde(default)]
    pub path_ms: Option<Millis>,
    /// REASON of the event that ended the circuit, if one did before the attempt was over.
    pub reason: Option<String>,
    /// REMOTE_REASON of the event that ended the circuit.
    pub remote_reason: Option<String>,
    /// Tor's own words, where it refused to launch the circuit.
    pub refusal: Option<String>,
}

/// How far a circuit came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CircuitState {
    /// Tor refused to launch it.
    Refused,
    /// It was launched, and neither built nor failed before the deadline or the end of the scan.
    Pending,
    /// It failed before it was built.
    Failed,
    /// It was built, and lived as long as the attempt needed it.
    Built,
    /// It was built, and died before the attempt was over.
    Died,
    /// The local tor was lost while the attempt was under way.
    Lost,
}

/// One query and everything that is known of its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Query {
    /// The way it was asked.
    pub via: Via,
    /// The name asked for; the address and port of a connection.
    pub name: String,
    /// The reply byte to a SOCKS5 RESOLVE (RFC 1928, section 6, with tor's extensions). 4 says
    /// only that no address came.
    pub socks_reply: Option<u8>,
    /// The response code of the DNSPort's answer, for instance `NOERROR`, `NXDOMAIN`, `SERVFAIL`.
    pub rcode: Option<String>,
    /// The addresses that came, by either way.
    pub addresses: Vec<IpAddr>,
    /// The address that tor's event REMAP names as the answer, and its SOURCE: `EXIT`, or `CACHE`
    /// where tor itself put another address or name in the place of the name asked for.
    #[serde(default)]
    pub remap: Option<Remap>,
    /// REASON of the event that closed the stream: `DONE` when the exit answered. `ATTACH_REFUSED`
    /// where tor would not attach the stream to the circuit, or it went to another one.
    pub stream_reason: Option<String>,
    /// REMOTE_REASON of the event that closed the stream.
    pub stream_remote_reason: Option<String>,
    /// What failed locally, in words.
    pub local_error: Option<String>,
    /// From asking until tor sent the lookup.
    pub attach_ms: Option<Millis>,
    /// From tor's sending the lookup until the exit's answer.
    pub resolve_ms: Option<Millis>,
}

impl Query {
    /// A query of whose answer nothing is known yet.
    #[must_use]
    pub const fn new(via: Via, name: String) -> Self {
        Self {
            via,
            name,
            socks_reply: None,
            rcode: None,
            addresses: Vec::new(),
            remap: None,
            stream_reason: None,
            stream_remote_reason: None,
            local_error: None,
            attach_ms: None,
            resolve_ms: None,
        }
    }
}

/// What tor put in the place of the name asked for (control-spec, "Stream status changed").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Remap {
    /// The address or name.
    pub to: String,
    /// `EXIT` or `CACHE`; null where tor does not say.
    pub source: Option<String>,
}

/// The way a query was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// SOCKS5 RESOLVE (command 0xF0).
    Socks,
    /// A type A query to tor's DNSPort.
    DnsPortA,
    /// A type AAAA query to tor's DNSPort.
    DnsPortAaaa,
    /// No lookup: a connection by SOCKS5 CONNECT to an address and port, which shows whether the
    /// relay still exits. It is closed as soon as that is known.
    Connect,
}

/// What the consensus and the descriptor say of a relay. All of it is the relay's own word, or
/// the directory authorities'.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RelayInfo {
    /// Flags in the consensus, in its order.
    pub flags: Vec<String>,
    /// The operator's contact line: a stranger's text.
    pub contact: Option<String>,
    /// The family members that the descriptor names: fingerprints with `$`, or nicknames.
    pub family: Vec<String>,
    /// The keys of its families (proposal 321), as `ed25519:` and base64 without padding. Who has such
    /// a key has let the relay in.
    #[serde(default)]
    pub family_ids: Vec<String>,
    /// Software and operating system: a stranger's text.
    pub platform: Option<String>,
    /// Bandwidth figures.
    pub bandwidth: Bandwidth,
    /// IPv6 addresses and exiting.
    pub ipv6: Ipv6,
    /// Two-letter country code of the address, lower case, from tor's own GeoIP file.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[a-z]{2}$")))]
    pub country: Option<String>,
}

/// A relay's bandwidth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Bandwidth {
    /// The weight in the consensus (a `w` line's `Bandwidth=`): kilobytes a second as measured by
    /// the bandwidth authorities.
    pub consensus_weight: Option<u64>,
    /// What the relay observed of itself, in bytes a second.
    pub observed: Option<u64>,
}

/// A relay's IPv6.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Ipv6 {
    /// The IPv6 address in the consensus.
    pub address: Option<IpAddr>,
    /// Whether the exit policy allows any port over IPv6; null where there is no descriptor.
    pub exit: Option<bool>,
}

/// Whether a text is a family's key as descriptors have it: `ed25519:` and 32 bytes as base64 without
/// padding (proposal 321). Who has the key is nobody's to say where it is none.
#[must_use]
pub fn is_family_id(text: &str) -> bool {
    text.strip_prefix("ed25519:").is_some_and(|key| {
        key.len() == 43
            && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte))
    })
}
