//! Whether a tor can serve a scan at all: looked at before anything is written, so that a tor that is
//! of no use costs no exit a verdict. First its settings, for a cause with a name; then one lookup by
//! each of its ports, which tor holds back and which never leaves this host: that shows whatever else
//! may stand in the way.

use std::net::SocketAddr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use hickory_proto::rr::RecordType;
use record::{Fingerprint, printable};
use tor_control::{
    Command, Control, Error, ErrorKind, Event, Events, StreamEvent, StreamId, StreamStatus,
};

use crate::ask::{self, SocksAddr};
use crate::consensus::parse_time;
use crate::names::Domain;
use crate::probe::SocketReply;
use crate::schedule::waits_for_us;
use crate::session::{SessionError, one};

/// How long tor may take to show a lookup: a step inside one process.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// The first version in which an exit can no longer end a client by its DNSPort (TROVE-2026-018).
const DNS_PORT_IS_SAFE_FROM: [u32; 4] = [0, 4, 9, 9];

/// How long after the end of its validity a consensus is still one: tor builds no circuits by an older
/// one (`REASONABLY_LIVE_TIME`, 24 hours).
const CONSENSUS_LIVES_ON: chrono::Duration = chrono::Duration::hours(24);

/// Options that tell whether a tor can serve.
const OPTIONS: [&str; 4] =
    ["DisableNetwork", "AutomapHostsOnResolve", "AutomapHostsSuffixes", "LearnCircuitBuildTimeout"];

/// What stands in the way, or will be in it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Finding {
    /// The scan would find nothing true.
    Fatal(String),
    /// Somebody may need to act.
    Warning(String),
}

use Finding::{Fatal, Warning};

/// Looks at the settings of a tor through which names under `domain` are to be asked for.
///
/// # Errors
///
/// [`SessionError::Unfit`] with the cause; [`SessionError::Control`].
pub(crate) async fn look(
    control: &Control,
    version: &str,
    domain: &Domain,
    own: bool,
    wall: DateTime<Utc>,
) -> Result<(), SessionError> {
    let options = control.get_conf(&OPTIONS).await?;
    let mappings = one(control, "address-mappings/all").await?;
    let valid_until = match one(control, "consensus/valid-until").await {
        Ok(time) => parse_time(&String::from_utf8_lossy(&time)),
        // Older than 0.2.6.3.
        Err(error) if error.kind() == ErrorKind::Refused => None,
        Err(error) => return Err(error.into()),
    };
    let findings = of_version(version)
        .into_iter()
        .chain(of_options(&options, domain, own))
        .chain(of_mappings(&String::from_utf8_lossy(&mappings), domain))
        .chain(valid_until.and_then(|until| of_consensus(until, wall)));
    for finding in findings {
        match finding {
            Fatal(cause) => return Err(SessionError::Unfit(cause)),
            Warning(what) => tracing::warn!("{what}"),
        }
    }
    Ok(())
}

fn of_version(version: &str) -> Option<Finding> {
    let number = version.split(['-', ' ']).next().unwrap_or_default();
    let parts: Vec<u32> = number.split('.').map_while(|part| part.parse().ok()).collect();
    let old = !parts.is_empty() && parts[..] < DNS_PORT_IS_SAFE_FROM[..];
    old.then(|| {
        Warning(format!(
            "this tor is version {}: before 0.4.9.9 an exit can end it by its answer to a DNSPort \
             (TROVE-2026-018); install a newer one",
            printable(version)
        ))
    })
}

fn of_options(options: &[(String, Option<String>)], domain: &Domain, own: bool) -> Vec<Finding> {
    let value = |wanted: &str| {
        let found = options.iter().find(|(key, _)| key.eq_ignore_ascii_case(wanted));
        found.and_then(|(_, value)| value.as_deref()).unwrap_or_default()
    };
    let mut findings = Vec::new();
    if value("DisableNetwork") == "1" {
        findings.push(Fatal("its network is switched off: DisableNetwork is 1".to_owned()));
    }
    let name = format!(".{domain}");
    let maps = |suffix: &str| {
        let suffix = suffix.trim().trim_matches('"').to_ascii_lowercase();
        suffix == "." || (!suffix.is_empty() && name.ends_with(&suffix))
    };
    if value("AutomapHostsOnResolve") == "1" && value("AutomapHostsSuffixes").split(',').any(maps) {
        findings.push(Fatal(format!(
            "it answers names under {domain} itself: AutomapHostsOnResolve is 1, and \
             AutomapHostsSuffixes {}",
            printable(value("AutomapHostsSuffixes"))
        )));
    }
    if !own && value("LearnCircuitBuildTimeout") != "0" {
        tracing::debug!("this tor learns how long circuits take, and may give up ours sooner");
    }
    findings
}

/// Reads `GETINFO address-mappings/all`: a line each, of what is mapped, to what, and until when.
fn of_mappings(mappings: &str, domain: &Domain) -> Option<Finding> {
    let name = format!(".{domain}");
    let ours = |from: &str| {
        let from = from.to_ascii_lowercase();
        from.strip_prefix('*').is_some_and(|suffix| name.ends_with(suffix))
    };
    let line = mappings.lines().find(|line| line.split(' ').next().is_some_and(ours))?;
    let map: Vec<&str> = line.split(' ').take(2).collect();
    Some(Fatal(format!(
        "it answers names under {domain} itself: it maps {} (MapAddress)",
        printable(&map.join(" to "))
    )))
}

fn of_consensus(valid_until: DateTime<Utc>, wall: DateTime<Utc>) -> Option<Finding> {
    let past = wall - valid_until;
    let ended = format!(
        "its consensus was valid until {valid_until}, and this host's clock says {}",
        wall.format("%Y-%m-%d %H:%M:%S UTC")
    );
    if past > CONSENSUS_LIVES_ON {
        return Some(Fatal(format!("{ended}: it cannot fetch a newer one, or the clock is wrong")));
    }
    (past > chrono::Duration::zero()).then(|| {
        Warning(format!("{ended}: relays that have left since will look as if they failed"))
    })
}

/// What became of a lookup by one port.
#[derive(Debug, PartialEq)]
enum PortSeen {
    /// Tor holds it, and waits for us to attach it.
    Waits,
    /// Tor put something in the place of the name.
    Mapped(String),
    /// Tor closed it, for this reason.
    Closed(String),
    /// A reply came, and no stream was shown.
    Foreign,
    /// Neither a stream nor a reply.
    Nothing,
    /// This host's own trouble.
    Failed(String),
}

/// Finds a SOCKS port among these that serves, and makes sure that the DNSPort does. Tor has to leave
/// new streams to us meanwhile, and to tell of them.
///
/// # Errors
///
/// [`SessionError::Unfit`] where none does, with the cause for each.
pub(crate) async fn try_ports(
    control: &Control,
    events: &mut Events,
    ports: &[SocksAddr],
    dns: Option<SocketAddr>,
    domain: &Domain,
) -> Result<SocksAddr, SessionError> {
    if let Some(dns) = dns {
        let by_dns = async |name: String| ask::dns_port(dns, &name, RecordType::A, 0).await;
        let seen = hold_back(control, events, domain, by_dns).await?;
        if seen != PortSeen::Waits {
            return Err(SessionError::Unfit(in_words("DNSPort", &dns.to_string(), &seen)));
        }
    }
    let lines = control.get_conf(&["SocksPort"]).await?;
    let lines: Vec<&str> = lines.iter().filter_map(|(_, value)| value.as_deref()).collect();
    let mut causes = Vec::new();
    for (port, forbids) in ports.iter().zip(forbidding(&lines, ports)) {
        if let Some(flag) = forbids {
            let seen = PortSeen::Closed(flag.to_owned());
            causes.push(in_words("SOCKS port", &port.to_string(), &seen));
            continue;
        }
        let by_socks = async |name: String| ask::socks(port, &name).await;
        let seen = hold_back(control, events, domain, by_socks).await?;
        if seen == PortSeen::Waits {
            for cause in causes {
                tracing::info!("{cause}; using {port} instead");
            }
            return Ok(port.clone());
        }
        causes.push(in_words("SOCKS port", &port.to_string(), &seen));
    }
    Err(SessionError::Unfit(causes.join("; ")))
}

/// Flags of a SOCKS port that forbid our lookups. Tor applies them only when a lookup is attached, so
/// that one that is held back does not show them (measured).
const FORBIDDING: [&str; 2] = ["OnionTrafficOnly", "NoDNSRequest"];

/// The flag of each port that forbids our lookups, if one does, by the torrc's lines. A line that names
/// its port is that port's; the others are those of the rest, in their order.
fn forbidding(lines: &[&str], ports: &[SocksAddr]) -> Vec<Option<&'static str>> {
    let place = |line: &str| line.split(' ').next().unwrap_or_default().replace('"', "");
    let is_of = |line: &str, port: &SocksAddr| {
        let (place, port) = (place(line), port.to_string());
        port == place || port.rsplit(':').next() == Some(place.as_str())
    };
    let named = |line: &&&str| ports.iter().any(|port| is_of(line, port));
    let mut others = lines.iter().filter(|line| !named(line) && place(line) != "0");
    let of = |port: &SocksAddr| {
        let line = lines.iter().find(|line| is_of(line, port)).or_else(|| others.next())?;
        let mut flags = line.split(' ').skip(1);
        flags.find_map(|flag| FORBIDDING.into_iter().find(|known| known.eq_ignore_ascii_case(flag)))
    };
    ports.iter().map(of).collect()
}

fn in_words(kind: &str, port: &str, seen: &PortSeen) -> String {
    match seen {
        PortSeen::Waits => format!("the {kind} {port} serves"),
        PortSeen::Mapped(to) => format!(
            "this tor maps addresses: it put {} in the place of a name asked for by the {kind} {port}",
            printable(to)
        ),
        PortSeen::Closed(reason) => format!(
            "the {kind} {port} takes no lookups ({}): see its flags in the torrc",
            printable(reason)
        ),
        PortSeen::Foreign => format!(
            "the {kind} {port} does not belong to this tor: it answers, and the control port shows \
             nothing of it"
        ),
        PortSeen::Nothing => format!(
            "the {kind} {port} does not answer, and the control port shows nothing of a lookup there: \
             it may belong to another tor"
        ),
        PortSeen::Failed(error) => {
            format!("the {kind} {port} cannot be used: {}", printable(error))
        }
    }
}

/// Asks for a fresh name, and looks at what tor makes of it, while it leaves streams to us. The name
/// is asked of nobody.
async fn hold_back<F: Future<Output = SocketReply>>(
    control: &Control,
    events: &mut Events,
    domain: &Domain,
    ask: impl FnOnce(String) -> F,
) -> Result<PortSeen, Error> {
    let name = domain.fresh_name(&Fingerprint::from_bytes([0; 20]), &mut randomness());
    let mut watch = LookupWatch { name: name.clone(), stream: None };
    let mut asking = std::pin::pin!(ask(name).fuse());
    let mut patience = std::pin::pin!(tokio::time::sleep(SIGN_OF_LIFE));
    let mut replied = None;
    let seen = loop {
        let stamped = tokio::select! {
            biased;
            stamped = events.next() => stamped,
            reply = &mut asking, if replied.is_none() => {
                replied = Some(reply);
                // Every event from before has come with the answer to this.
                one(control, "version").await?;
                match events_that_came(control, events, &mut watch) {
                    Some(seen) => break seen,
                    None if watch.stream.is_some() => continue,
                    None => break without_stream(replied.take()),
                }
            }
            () = &mut patience => break if watch.stream.is_some() {
                PortSeen::Closed("it was not held back".to_owned())
            } else {
                PortSeen::Nothing
            },
        };
        let Some(stamped) = stamped else {
            // The control connection is gone: the next command says why.
            one(control, "version").await?;
            break PortSeen::Nothing;
        };
        if let Some(seen) = watch.look(control, stamped.event) {
            break seen;
        }
    };
    if let Some(stream) = watch.stream {
        // Refused where it has gone by itself.
        let _ = control.submit(Command::CloseStream(stream)).await;
    }
    Ok(seen)
}

fn without_stream(reply: Option<SocketReply>) -> PortSeen {
    match reply {
        Some(SocketReply::Failed(error)) => PortSeen::Failed(error),
        Some(SocketReply::Socks(reply, _)) if ![0, 4].contains(&reply) => {
            PortSeen::Failed(format!("SOCKS reply {reply}"))
        }
        _ => PortSeen::Foreign,
    }
}

fn events_that_came(
    control: &Control,
    events: &mut Events,
    watch: &mut LookupWatch,
) -> Option<PortSeen> {
    // Without tokio's budget, which would end this at an event that has come.
    while let Some(Some(stamped)) = tokio::task::unconstrained(events.next()).now_or_never() {
        if let Some(seen) = watch.look(control, stamped.event) {
            return Some(seen);
        }
    }
    None
}

/// What is known of the lookup.
struct LookupWatch {
    name: String,
    stream: Option<StreamId>,
}

impl LookupWatch {
    /// Takes in an event: others' streams go back to tor.
    fn look(&mut self, control: &Control, event: Event) -> Option<PortSeen> {
        let Event::Stream(event) = event else { return None };
        let named = event.target.eq_ignore_ascii_case(&self.name);
        if !named && self.stream.as_ref() != Some(&event.id) {
            if waits_for_us(&event) {
                drop(control.submit(Command::AttachStream(event.id, None)));
            }
            return None;
        }
        self.stream = Some(event.id.clone());
        judge(&event)
    }
}

/// What an event of the lookup's own stream says.
fn judge(event: &StreamEvent) -> Option<PortSeen> {
    match event.status {
        StreamStatus::ControllerWait => Some(PortSeen::Waits),
        StreamStatus::Remap => Some(PortSeen::Mapped(event.target.clone())),
        StreamStatus::Closed | StreamStatus::Failed => {
            let reason = event.reason.clone().unwrap_or_else(|| "no reason given".to_owned());
            Some(match reason.as_str() {
                "DONE" => PortSeen::Mapped(event.target.clone()),
                _ => PortSeen::Closed(reason),
            })
        }
        _ => None,
    }
}

#[expect(clippy::disallowed_methods, reason = "an edge: a name that nobody can guess")]
fn randomness() -> rand::rngs::ThreadRng {
    rand::rng()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain() -> Domain {
        "tor.example.com".parse().unwrap()
    }

    #[test]
    fn versions_that_an_exit_can_end_are_warned_of() {
        for old in ["0.4.9.8", "0.4.8.21", "0.3.5.1-alpha-dev"] {
            assert!(matches!(of_version(old), Some(Warning(_))), "{old}");
        }
        for new in ["0.4.9.9", "0.4.9.11", "0.4.10.1-alpha", "1.0.0", "", "nonsense"] {
            assert_eq!(of_version(new), None, "{new}");
        }
    }

    fn options(options: &[(&str, &str)]) -> Vec<Finding> {
        let options: Vec<_> = options
            .iter()
            .map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned())))
            .collect();
        of_options(&options, &domain(), false)
    }

    #[test]
    fn options_that_make_it_useless_are_found() {
        assert_eq!(options(&[("DisableNetwork", "0"), ("AutomapHostsOnResolve", "0")]), []);
        for (suffixes, maps) in
            [(".onion,.exit", false), (".", true), (".onion,.com", true), (".example.org", false)]
        {
            let on = ("AutomapHostsOnResolve", "1");
            let found = options(&[on, ("AutomapHostsSuffixes", suffixes)]);
            assert_eq!(matches!(found[..], [Fatal(_)]), maps, "{suffixes}");
            assert_eq!(options(&[("AutomapHostsSuffixes", suffixes)]), [], "{suffixes}");
        }
    }

    #[test]
    fn maps_of_our_names_are_found() {
        let found = |maps: &str| of_mappings(maps, &domain());
        assert_eq!(found(""), None);
        assert_eq!(found("example.com 192.0.2.1 NEVER\n*.example.org 192.0.2.1 NEVER"), None);
        assert_eq!(found("a.tor.example.com 192.0.2.1 \"2026-01-01 00:00:00\""), None);
        for from in ["*.tor.example.com", "*.com", "*.EXAMPLE.com"] {
            let found = found(&format!("a b NEVER\n{from} 8.8.8.8 NEVER\n"));
            assert!(matches!(found, Some(Fatal(_))), "{found:?}");
        }
    }

    fn consensus(hours_after_its_end: i64) -> Option<Finding> {
        let until: DateTime<Utc> = "2026-03-01T12:00:00Z".parse().unwrap();
        of_consensus(until, until + chrono::Duration::hours(hours_after_its_end))
    }

    #[test]
    fn a_consensus_that_is_days_old_is_none() {
        assert_eq!(consensus(-1), None);
        assert!(matches!(consensus(1), Some(Warning(_))));
        assert!(matches!(consensus(25), Some(Fatal(_))));
    }

    #[test]
    fn each_has_its_words() {
        let automap =
            [("AutomapHostsOnResolve", "1"), ("AutomapHostsSuffixes", ".onion,.\u{1b}[31m,.com")];
        let mapping = of_mappings("*.com 8.8.8.8\u{1b}[31m NEVER", &domain());
        let findings = of_version("0.4.8.21\u{1b}[31m")
            .into_iter()
            .chain(options(&[("DisableNetwork", "1")]))
            .chain(options(&automap))
            .chain(mapping)
            .chain(consensus(1))
            .chain(consensus(25));
        let findings = findings.map(|finding| match finding {
            Fatal(words) => format!("fatal: {words}"),
            Warning(words) => format!("warning: {words}"),
        });
        let seen = [
            PortSeen::Waits,
            PortSeen::Mapped("127.192.0.1".to_owned()),
            PortSeen::Closed("ENTRYPOLICY".to_owned()),
            PortSeen::Foreign,
            PortSeen::Nothing,
            PortSeen::Failed("Connection refused".to_owned()),
        ];
        let seen = seen.map(|seen| in_words("SOCKS port", "127.0.0.1:9050", &seen));
        insta::assert_snapshot!(findings.chain(seen).collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn flags_belong_to_their_ports() {
        let port = |text: &str| text.parse::<SocksAddr>().unwrap();
        let ports = [port("127.0.0.1:9050"), port("unix:/run/tor/socks"), port("127.0.0.1:41234")];
        let only = Some("OnionTrafficOnly");
        let of = |lines: &[&str]| forbidding(lines, &ports);
        assert_eq!(of(&[]), [None; 3]);
        assert_eq!(of(&["9050 IPv6Traffic", "unix:/run/tor/socks"]), [None; 3]);
        assert_eq!(of(&["auto oniontrafficonly", "9050"]), [None, only, None]);
        assert_eq!(
            of(&["127.0.0.1:9050 OnionTrafficOnly", "unix:/run/tor/socks", "auto NoDNSRequest"]),
            [only, None, Some("NoDNSRequest")]
        );
    }

    #[test]
    fn what_becomes_of_a_lookup_that_is_held_back() {
        let event = |status, target: &str, reason: Option<&str>| StreamEvent {
            id: "7".parse().unwrap(),
            status,
            circuit: None,
            target: target.to_owned(),
            port: 0,
            reason: reason.map(str::to_owned),
            remote_reason: None,
            source: None,
            source_addr: None,
            purpose: None,
            client_protocol: None,
            socks_username: None,
        };
        use StreamStatus::{Closed, ControllerWait, NewResolve, Remap};
        assert_eq!(judge(&event(NewResolve, "a", None)), None);
        assert_eq!(judge(&event(ControllerWait, "a", None)), Some(PortSeen::Waits));
        let mapped = Some(PortSeen::Mapped("127.192.0.1".to_owned()));
        assert_eq!(judge(&event(Remap, "127.192.0.1", None)), mapped);
        assert_eq!(judge(&event(Closed, "127.192.0.1", Some("DONE"))), mapped);
        let refused = Some(PortSeen::Closed("ENTRYPOLICY".to_owned()));
        assert_eq!(judge(&event(Closed, "a", Some("ENTRYPOLICY"))), refused);
        assert_eq!(without_stream(Some(SocketReply::Socks(0, None))), PortSeen::Foreign);
        assert_eq!(
            without_stream(Some(SocketReply::Dns("NXDOMAIN".into(), vec![]))),
            PortSeen::Foreign
        );
        assert!(matches!(without_stream(Some(SocketReply::Socks(2, None))), PortSeen::Failed(_)));
    }
}
