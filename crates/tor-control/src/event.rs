//! Event lines to typed events (control-spec, "Asynchronous events").
//!
//! Owns the meaning of what tor tells of its own accord. Performs no IO and judges nothing: an
//! event of another kind is kept as [`Event::Other`], a status of another name as the `Other` of
//! its list, and an event that does not fit its own grammar as [`Event::Malformed`], never as a
//! guess.

use std::borrow::Cow;
use std::str::FromStr;

use record::Fingerprint;

use crate::line::{ReplyLine, excerpt};
use crate::{CircuitId, StreamId, quoted};

/// Something that tor told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// `CIRC`: a circuit's status changed.
    Circuit(CircuitEvent),
    /// `CIRC_MINOR`: a circuit's purpose changed.
    CircuitMinor(CircuitMinorEvent),
    /// `STREAM`: a stream's status changed.
    Stream(StreamEvent),
    /// `ADDRMAP`: an address is mapped to another.
    AddrMap(AddrMapEvent),
    /// `STATUS_CLIENT` of the action `BOOTSTRAP`: how far tor's start has come.
    Bootstrap(BootstrapEvent),
    /// `STATUS_CLIENT` of any other action.
    StatusClient(StatusEvent),
    /// `NETWORK_LIVENESS`: whether tor believes that the network can be reached.
    NetworkLiveness(bool),
    /// `CONF_CHANGED`: options that were set or reset, by whatever way; `None` is tor's default.
    /// An option that takes a list stands once for each entry.
    ConfChanged(Vec<(String, Option<String>)>),
    /// An event of another kind.
    Other {
        /// Its keyword, for instance `NEWDESC`.
        keyword: String,
        /// Everything behind the keyword; its further lines and data behind line feeds. What is
        /// not UTF-8 is replaced.
        text: String,
    },
    /// An event that does not fit the grammar of its kind.
    Malformed {
        /// Its first line's beginning, fit to be shown.
        line: String,
        /// What does not fit.
        why: String,
    },
}

/// A circuit's status changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CircuitEvent {
    /// The circuit.
    pub id: CircuitId,
    /// What became of it.
    pub status: CircuitStatus,
    /// The relays reached so far.
    pub path: Vec<Fingerprint>,
    /// `PURPOSE`, for instance `GENERAL`.
    pub purpose: Option<String>,
    /// `REASON`, where it failed or was closed.
    pub reason: Option<String>,
    /// `REMOTE_REASON`: what another relay gave as its reason.
    pub remote_reason: Option<String>,
}

/// What became of a circuit (control-spec, "CircStatus").
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CircuitStatus {
    /// `LAUNCHED`: it has an id, and no relay yet.
    Launched,
    /// `BUILT`: all relays are reached.
    Built,
    /// `GUARD_WAIT`: built, and waiting whether a better guard serves.
    GuardWait,
    /// `EXTENDED`: one more relay is reached.
    Extended,
    /// `FAILED`: it could not be built.
    Failed,
    /// `CLOSED`: it was built, and is gone.
    Closed,
    /// A status that this crate does not know.
    Other(String),
}

/// A circuit changed in a minor way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CircuitMinorEvent {
    /// The circuit.
    pub id: CircuitId,
    /// `PURPOSE_CHANGED` or `CANNIBALIZED`.
    pub change: String,
    /// `PURPOSE`: the purpose that it has now.
    pub purpose: Option<String>,
    /// `OLD_PURPOSE`: the purpose that it had.
    pub old_purpose: Option<String>,
}

/// A stream's status changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamEvent {
    /// The stream.
    pub id: StreamId,
    /// What became of it.
    pub status: StreamStatus,
    /// The circuit that it is attached to.
    pub circuit: Option<CircuitId>,
    /// The host or name asked for, an IPv6 address without its brackets: text of whoever asked. A
    /// name may hold blanks, and anything else: where it does not fit the grammar, this is all that
    /// follows the circuit, and the port and all below are empty.
    pub target: String,
    /// The port asked for; 0 for lookups.
    pub port: u16,
    /// `REASON`: why it failed, was closed or detached.
    pub reason: Option<String>,
    /// `REMOTE_REASON`: what the exit gave as its reason.
    pub remote_reason: Option<String>,
    /// `SOURCE`: where a REMAP's address came from, `CACHE` or `EXIT`.
    pub source: Option<String>,
    /// `SOURCE_ADDR`: the address and port of the program that asked.
    pub source_addr: Option<String>,
    /// `PURPOSE`, for instance `USER`, `DNS_REQUEST` or `DIR_FETCH`.
    pub purpose: Option<String>,
    /// `CLIENT_PROTOCOL`, for instance `SOCKS5` or `DNS`.
    pub client_protocol: Option<String>,
    /// `SOCKS_USERNAME`: what the program that asked gave as its user, if it did.
    pub socks_username: Option<String>,
}

/// What became of a stream (control-spec, "StreamStatus").
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamStatus {
    /// `NEW`: a connection is asked for.
    New,
    /// `NEWRESOLVE`: a lookup is asked for.
    NewResolve,
    /// `REMAP`: the address was mapped to another.
    Remap,
    /// `SENTCONNECT`: the connection was asked of the exit.
    SentConnect,
    /// `SENTRESOLVE`: the lookup was asked of the exit.
    SentResolve,
    /// `CONTROLLER_WAIT`: it waits to be attached.
    ControllerWait,
    /// `SUCCEEDED`: the exit has answered.
    Succeeded,
    /// `FAILED`: it failed for good.
    Failed,
    /// `CLOSED`: it is gone.
    Closed,
    /// `DETACHED`: it left its circuit and may be attached again.
    Detached,
    /// A status that this crate does not know.
    Other(String),
}

/// An address is mapped to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddrMapEvent {
    /// The address or name mapped.
    pub from: String,
    /// What it is mapped to; `<error>` where its lookup failed.
    pub to: String,
    /// Until when, in UTC, as `YYYY-MM-DD HH:MM:SS`; `None` for ever.
    pub expires: Option<String>,
    /// `error`: why the lookup failed.
    pub error: Option<String>,
    /// `CACHED`: whether tor keeps the answer.
    pub cached: Option<bool>,
    /// `STREAMID`: the stream that asked.
    pub stream: Option<StreamId>,
}

/// How far tor's start has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootstrapEvent {
    /// `PROGRESS`: percent, 0 to 100.
    pub progress: u8,
    /// `TAG`: the phase for programs, for instance `loading_descriptors`.
    pub tag: String,
    /// `SUMMARY`: the phase for people.
    pub summary: String,
    /// What stands in the way, where tor warns.
    pub warning: Option<BootstrapWarning>,
}

/// What stands in the way of tor's start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootstrapWarning {
    /// `WARNING`: tor's own words.
    pub warning: String,
    /// `REASON`, for instance `NOROUTE`.
    pub reason: Option<String>,
    /// `COUNT`: how many problems there have been in this phase.
    pub count: Option<u32>,
    /// `RECOMMENDATION`: `ignore` or `warn`.
    pub recommendation: Option<String>,
    /// `HOSTADDR`: the address and port of the relay concerned.
    pub host: Option<String>,
}

/// A `STATUS_CLIENT` event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusEvent {
    /// `NOTICE`, `WARN` or `ERR`.
    pub severity: String,
    /// What happened, for instance `CIRCUIT_ESTABLISHED`.
    pub action: String,
    /// The arguments, in order.
    pub arguments: Vec<(String, String)>,
}

/// Text that is not a bootstrap phase.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a bootstrap phase of tor: {0}")]
pub struct InvalidPhase(String);

impl FromStr for BootstrapEvent {
    type Err = InvalidPhase;

    /// Takes the value of `GETINFO status/bootstrap-phase`, which is written as the event is.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match status_client(text) {
            Ok(Event::Bootstrap(phase)) => Ok(phase),
            Ok(_) => Err(InvalidPhase("another status".to_owned())),
            Err(why) => Err(InvalidPhase(why)),
        }
    }
}

impl StreamEvent {
    /// The streams in the value of `GETINFO stream-status` (control-spec), which writes each as the
    /// beginning of its event. A name may hold line ends, so that a line may be anything: what is no
    /// stream is passed over.
    #[must_use]
    pub fn all(status: &[u8]) -> Vec<Self> {
        let line = |line: &[u8]| match stream(&String::from_utf8_lossy(line)) {
            Ok(Event::Stream(event)) => Some(event),
            _ => None,
        };
        status.split(|&byte| byte == b'\n').filter_map(line).collect()
    }
}

impl Event {
    /// Reads the lines of a whole event.
    #[must_use]
    pub fn parse(lines: &[ReplyLine]) -> Self {
        let Some(first) = lines.first() else {
            return Self::Malformed { line: String::new(), why: "it has no line".to_owned() };
        };
        if first.text.as_ref() == b"CONF_CHANGED" {
            return conf_changed(lines);
        }
        typed(&first.text).unwrap_or_else(|why| match why {
            Misfit::Kind { keyword, mut text } => {
                for (number, line) in lines.iter().enumerate() {
                    // An event of several lines ends with an "OK" that means nothing.
                    let closes = number + 1 == lines.len() && line.text.as_ref() == b"OK";
                    if number > 0 && !closes {
                        text.push('\n');
                        text.push_str(&String::from_utf8_lossy(&line.text));
                    }
                    if !line.data.is_empty() {
                        text.push('\n');
                        text.push_str(&String::from_utf8_lossy(&line.data));
                    }
                }
                Self::Other { keyword, text }
            }
            Misfit::Grammar(why) => Self::Malformed { line: excerpt(&first.text), why },
        })
    }
}

/// Why an event is none of those known.
enum Misfit {
    /// It is of another kind.
    Kind { keyword: String, text: String },
    /// It does not fit its kind.
    Grammar(String),
}

fn typed(line: &[u8]) -> Result<Event, Misfit> {
    let end = line.iter().position(|&byte| byte == b' ').unwrap_or(line.len());
    let rest = &line[(end + 1).min(line.len())..];
    let parse: fn(&str) -> Result<Event, String> = match &line[..end] {
        b"CIRC" => circuit,
        b"CIRC_MINOR" => circuit_minor,
        b"STREAM" => stream,
        b"ADDRMAP" => addr_map,
        b"STATUS_CLIENT" => status_client,
        b"NETWORK_LIVENESS" => network_liveness,
        keyword if !keyword.is_empty() && keyword.iter().all(u8::is_ascii_graphic) => {
            return Err(Misfit::Kind {
                keyword: String::from_utf8_lossy(keyword).into_owned(),
                text: String::from_utf8_lossy(rest).into_owned(),
            });
        }
        _ => return Err(Misfit::Grammar("it has no keyword".to_owned())),
    };
    let rest = match std::str::from_utf8(rest) {
        Ok(rest) => Cow::Borrowed(rest),
        // The name that somebody asked for may hold any bytes, and the rest counts all the same.
        Err(_) if &line[..end] == b"STREAM" => String::from_utf8_lossy(rest),
        Err(_) => return Err(Misfit::Grammar("it is not UTF-8".to_owned())),
    };
    parse(&rest).map_err(Misfit::Grammar)
}

/// An option a line, as `Key=value` or `Key`; a lone "OK" may close the list.
fn conf_changed(lines: &[ReplyLine]) -> Event {
    let mut options = Vec::new();
    for (number, line) in lines.iter().enumerate().skip(1) {
        let text = String::from_utf8_lossy(&line.text);
        if number + 1 == lines.len() && text == "OK" {
            break;
        }
        options.push(match text.split_once('=') {
            Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
            None => (text.into_owned(), None),
        });
    }
    Event::ConfChanged(options)
}

fn circuit(text: &str) -> Result<Event, String> {
    let mut words = Words::new(text);
    let id = words.next_as("the circuit's id")?;
    let status = match words.next("the status")? {
        "LAUNCHED" => CircuitStatus::Launched,
        "BUILT" => CircuitStatus::Built,
        "GUARD_WAIT" => CircuitStatus::GuardWait,
        "EXTENDED" => CircuitStatus::Extended,
        "FAILED" => CircuitStatus::Failed,
        "CLOSED" => CircuitStatus::Closed,
        other => CircuitStatus::Other(other.to_owned()),
    };
    // The path is missing where there is none, and begins as no argument does.
    let path =
        if words.rest.starts_with('$') { path(words.next("the path")?)? } else { Vec::new() };
    let mut arguments = words.arguments()?;
    Ok(Event::Circuit(CircuitEvent {
        id,
        status,
        path,
        purpose: arguments.take("PURPOSE"),
        reason: arguments.take("REASON"),
        remote_reason: arguments.take("REMOTE_REASON"),
    }))
}

/// A path: `$<fingerprint>`, with `~` or `=` and a nickname behind, joined by commas.
fn path(text: &str) -> Result<Vec<Fingerprint>, String> {
    let relay = |name: &str| {
        let end = name.find(['~', '=']).unwrap_or(name.len());
        name[..end].parse().map_err(|_| format!("the path names a relay \"{}\"", shown(name)))
    };
    text.split(',').map(relay).collect()
}

fn circuit_minor(text: &str) -> Result<Event, String> {
    let mut words = Words::new(text);
    let id = words.next_as("the circuit's id")?;
    let change = words.next("the change")?.to_owned();
    if words.rest.starts_with('$') {
        path(words.next("the path")?)?;
    }
    let mut arguments = words.arguments()?;
    Ok(Event::CircuitMinor(CircuitMinorEvent {
        id,
        change,
        purpose: arguments.take("PURPOSE"),
        old_purpose: arguments.take("OLD_PURPOSE"),
    }))
}

fn stream(text: &str) -> Result<Event, String> {
    let mut words = Words::new(text);
    let id = words.next_as("the stream's id")?;
    let status = match words.next("the status")? {
        "NEW" => StreamStatus::New,
        "NEWRESOLVE" => StreamStatus::NewResolve,
        "REMAP" => StreamStatus::Remap,
        "SENTCONNECT" => StreamStatus::SentConnect,
        "SENTRESOLVE" => StreamStatus::SentResolve,
        "CONTROLLER_WAIT" => StreamStatus::ControllerWait,
        "SUCCEEDED" => StreamStatus::Succeeded,
        "FAILED" => StreamStatus::Failed,
        "CLOSED" => StreamStatus::Closed,
        "DETACHED" => StreamStatus::Detached,
        other => StreamStatus::Other(other.to_owned()),
    };
    let circuit = match words.next("the circuit's id")? {
        "0" => None,
        id => Some(id.parse().map_err(|_| format!("the circuit's id is \"{}\"", shown(id)))?),
    };
    let asked = words.rest;
    // From here on the line is in the hands of whoever asked. What stands before counts in any case:
    // a stream that waits has to be given back, whatever it is called.
    let (target, port, mut arguments) =
        target(words).unwrap_or_else(|_| (asked.to_owned(), 0, Arguments(Vec::new())));
    Ok(Event::Stream(StreamEvent {
        id,
        status,
        circuit,
        target,
        port,
        reason: arguments.take("REASON"),
        remote_reason: arguments.take("REMOTE_REASON"),
        source: arguments.take("SOURCE"),
        source_addr: arguments.take("SOURCE_ADDR"),
        purpose: arguments.take("PURPOSE"),
        client_protocol: arguments.take("CLIENT_PROTOCOL"),
        socks_username: arguments.take("SOCKS_USERNAME"),
    }))
}

/// What a stream's event says behind the circuit.
fn target(mut words: Words<'_>) -> Result<(String, u16, Arguments), String> {
    let target = words.next("the target")?;
    let (host, port) = target
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host, number::<u16>(port)?)))
        .ok_or_else(|| format!("the target is \"{}\"", shown(target)))?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Ok((host.to_owned(), port, words.arguments()?))
}

fn addr_map(text: &str) -> Result<Event, String> {
    let mut words = Words::new(text);
    let from = words.next("the address")?.to_owned();
    let to = words.next("the new address")?.to_owned();
    // The expiry in local time; EXPIRES, which follows, has the same in UTC.
    if words.rest.starts_with('"') {
        words.quoted()?;
    } else {
        words.next("the expiry")?;
    }
    let mut arguments = words.arguments()?;
    let cached = match arguments.take("CACHED").as_deref() {
        None => None,
        Some("YES") => Some(true),
        Some("NO") => Some(false),
        Some(other) => return Err(format!("CACHED is \"{}\"", shown(other))),
    };
    let stream = arguments
        .take("STREAMID")
        .map(|id| id.parse().map_err(|_| format!("STREAMID is \"{}\"", shown(&id))))
        .transpose()?;
    Ok(Event::AddrMap(AddrMapEvent {
        from,
        to,
        expires: arguments.take("EXPIRES"),
        error: arguments.take("error"),
        cached,
        stream,
    }))
}

fn status_client(text: &str) -> Result<Event, String> {
    let mut words = Words::new(text);
    let severity = words.next("the severity")?.to_owned();
    let action = words.next("the action")?.to_owned();
    let mut arguments = words.arguments()?;
    if action != "BOOTSTRAP" {
        let arguments = arguments.0;
        return Ok(Event::StatusClient(StatusEvent { severity, action, arguments }));
    }
    let progress = arguments.take("PROGRESS").ok_or("PROGRESS is missing")?;
    let progress = number(&progress)
        .filter(|&percent: &u8| percent <= 100)
        .ok_or_else(|| format!("PROGRESS is \"{}\"", shown(&progress)))?;
    let warning = arguments.take("WARNING").map(|warning| BootstrapWarning {
        warning,
        reason: arguments.take("REASON"),
        count: arguments.take("COUNT").and_then(|count| number(&count)),
        recommendation: arguments.take("RECOMMENDATION"),
        host: arguments.take("HOSTADDR"),
    });
    Ok(Event::Bootstrap(BootstrapEvent {
        progress,
        tag: arguments.take("TAG").ok_or("TAG is missing")?,
        summary: arguments.take("SUMMARY").unwrap_or_default(),
        warning,
    }))
}

fn network_liveness(text: &str) -> Result<Event, String> {
    match Words::new(text).next("UP or DOWN")? {
        "UP" => Ok(Event::NetworkLiveness(true)),
        "DOWN" => Ok(Event::NetworkLiveness(false)),
        other => Err(format!("it is neither UP nor DOWN: \"{}\"", shown(other))),
    }
}

/// Digits alone, where the standard library would also take a sign.
fn number<T: FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn shown(text: &str) -> String {
    excerpt(text.as_bytes())
}

/// What is left of an event's line.
struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    const fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    /// Takes the next word.
    fn next(&mut self, what: &str) -> Result<&'a str, String> {
        let (word, rest) = self.rest.split_once(' ').unwrap_or((self.rest, ""));
        if word.is_empty() {
            return Err(format!("{what} is missing"));
        }
        self.rest = rest;
        Ok(word)
    }

    fn next_as<T: FromStr>(&mut self, what: &str) -> Result<T, String> {
        let word = self.next(what)?;
        word.parse().map_err(|_| format!("{what} is \"{}\"", shown(word)))
    }

    /// Takes the quoted string that comes next, and the space behind it.
    fn quoted(&mut self) -> Result<String, String> {
        let (plain, rest) =
            quoted::unquote(self.rest.as_bytes()).ok_or("a quoted string does not end")?;
        // The rest begins behind a quote, so that this is a boundary between characters.
        let rest = &self.rest[self.rest.len() - rest.len()..];
        self.rest = match rest.strip_prefix(' ') {
            Some(rest) => rest,
            None if rest.is_empty() => rest,
            None => return Err("a quoted string has text directly behind it".to_owned()),
        };
        String::from_utf8(plain).map_err(|_| "a quoted string is not UTF-8".to_owned())
    }

    /// All that is left, as `KEY=value` and `KEY="quoted value"`. Words of another shape are
    /// passed over: the specification has controllers accept arguments that they do not know.
    fn arguments(mut self) -> Result<Arguments, String> {
        let mut arguments = Vec::new();
        while !self.rest.is_empty() {
            let key_end = self
                .rest
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .unwrap_or(self.rest.len());
            let (key, behind) = self.rest.split_at(key_end);
            let value = match behind.strip_prefix('=') {
                Some(value) if value.starts_with('"') => {
                    self.rest = value;
                    self.quoted()?
                }
                Some(value) => {
                    let (value, rest) = value.split_once(' ').unwrap_or((value, ""));
                    self.rest = rest;
                    value.to_owned()
                }
                None => {
                    self.rest = self.rest.split_once(' ').map_or("", |(_, rest)| rest);
                    continue;
                }
            };
            if !key.is_empty() {
                arguments.push((key.to_owned(), value));
            }
        }
        Ok(Arguments(arguments))
    }
}

/// An event's arguments, in order.
struct Arguments(Vec<(String, String)>);

impl Arguments {
    /// Takes the value of the first argument with this key.
    fn take(&mut self, key: &str) -> Option<String> {
        let at = self.0.iter().position(|(found, _)| found == key)?;
        Some(self.0.remove(at).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::Divider;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn parse(line: &str) -> Event {
        Event::parse(&[line_of(Divider::End, line.as_bytes(), b"")])
    }

    fn line_of(divider: Divider, text: &[u8], data: &[u8]) -> ReplyLine {
        ReplyLine {
            code: 650,
            divider,
            text: Bytes::copy_from_slice(text),
            data: Bytes::copy_from_slice(data),
        }
    }

    fn relay(digit: &str) -> Fingerprint {
        digit.repeat(40).parse().unwrap()
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn circuits() {
        let (a, b) = ("A".repeat(40), "B".repeat(40));
        let event = CircuitEvent {
            id: "7".parse().unwrap(),
            status: CircuitStatus::Launched,
            path: vec![],
            purpose: some("GENERAL"),
            reason: None,
            remote_reason: None,
        };
        assert_eq!(
            parse(
                "CIRC 7 LAUNCHED BUILD_FLAGS=NEED_CAPACITY PURPOSE=GENERAL \
                 TIME_CREATED=2026-01-01T00:00:00.1"
            ),
            Event::Circuit(event.clone())
        );
        assert_eq!(
            parse(&format!("CIRC 7 BUILT ${a}~guard,${b}=exit PURPOSE=GENERAL")),
            Event::Circuit(CircuitEvent {
                status: CircuitStatus::Built,
                path: vec![relay("A"), relay("B")],
                ..event.clone()
            })
        );
        assert_eq!(
            parse(&format!(
                "CIRC 7 FAILED ${a} PURPOSE=GENERAL SOCKS_USERNAME=\"a \\\" REASON=x\" \
                 REASON=DESTROYED REMOTE_REASON=CHANNEL_CLOSED"
            )),
            Event::Circuit(CircuitEvent {
                status: CircuitStatus::Failed,
                path: vec![relay("A")],
                reason: some("DESTROYED"),
                remote_reason: some("CHANNEL_CLOSED"),
                ..event.clone()
            })
        );
        let status = |name: &str| match parse(&format!("CIRC 7 {name}")) {
            Event::Circuit(event) => event.status,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            ["EXTENDED", "GUARD_WAIT", "CLOSED", "NOVEL"].map(status),
            [
                CircuitStatus::Extended,
                CircuitStatus::GuardWait,
                CircuitStatus::Closed,
                CircuitStatus::Other("NOVEL".into()),
            ]
        );
        assert_eq!(
            parse(&format!(
                "CIRC_MINOR 7 PURPOSE_CHANGED ${a}~x PURPOSE=CIRCUIT_PADDING OLD_PURPOSE=GENERAL"
            )),
            Event::CircuitMinor(CircuitMinorEvent {
                id: "7".parse().unwrap(),
                change: "PURPOSE_CHANGED".into(),
                purpose: some("CIRCUIT_PADDING"),
                old_purpose: some("GENERAL"),
            })
        );
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn streams() {
        let event = StreamEvent {
            id: "12".parse().unwrap(),
            status: StreamStatus::NewResolve,
            circuit: None,
            target: "x.example".into(),
            port: 0,
            reason: None,
            remote_reason: None,
            source: None,
            source_addr: some("127.0.0.1:4242"),
            purpose: some("DNS_REQUEST"),
            client_protocol: some("DNS"),
            socks_username: None,
        };
        assert_eq!(
            parse(
                "STREAM 12 NEWRESOLVE 0 x.example:0 SOURCE_ADDR=127.0.0.1:4242 \
                 PURPOSE=DNS_REQUEST CLIENT_PROTOCOL=DNS NYM_EPOCH=0 SESSION_GROUP=-2 \
                 ISO_FIELDS=SESSION_GROUP"
            ),
            Event::Stream(event.clone())
        );
        assert_eq!(
            parse("STREAM 12 REMAP 7 [2001:db8::1]:443 SOURCE=EXIT"),
            Event::Stream(StreamEvent {
                status: StreamStatus::Remap,
                circuit: "7".parse().ok(),
                target: "2001:db8::1".into(),
                port: 443,
                source: some("EXIT"),
                source_addr: None,
                purpose: None,
                client_protocol: None,
                socks_username: None,
                ..event.clone()
            })
        );
        let status = |name: &str| match parse(&format!(
            "STREAM 12 {name} 7 a:0 REASON=END REMOTE_REASON=MISC"
        )) {
            Event::Stream(event) => {
                assert_eq!((event.reason, event.remote_reason), (some("END"), some("MISC")));
                event.status
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(
            [
                "NEW",
                "SENTCONNECT",
                "SENTRESOLVE",
                "CONTROLLER_WAIT",
                "SUCCEEDED",
                "FAILED",
                "CLOSED",
                "DETACHED",
                "XOFF_SENT",
            ]
            .map(status),
            [
                StreamStatus::New,
                StreamStatus::SentConnect,
                StreamStatus::SentResolve,
                StreamStatus::ControllerWait,
                StreamStatus::Succeeded,
                StreamStatus::Failed,
                StreamStatus::Closed,
                StreamStatus::Detached,
                StreamStatus::Other("XOFF_SENT".into()),
            ]
        );
    }

    #[test]
    fn a_stream_counts_whatever_it_is_called() {
        let printer = b"STREAM 9 NEWRESOLVE 0 My Printer._ipp._tcp.local:0 SOURCE_ADDR=127.0.0.1:7";
        let lines: [&[u8]; 9] = [
            printer,
            b"STREAM 9 NEWRESOLVE 0 a:65536",
            b"STREAM 9 NEWRESOLVE 0 a:+1",
            b"STREAM 9 NEWRESOLVE 0 a",
            b"STREAM 9 NEWRESOLVE 0 ",
            b"STREAM 9 NEWRESOLVE 0",
            b"STREAM 9 NEWRESOLVE 0 a\nb c\r\x1b\xff\xfe:0 PURPOSE=DNS_REQUEST",
            b"STREAM 9 NEWRESOLVE 0  :0 X=\"y",
            b"STREAM 9 NEWRESOLVE 0 :0",
        ];
        for line in lines {
            let event = Event::parse(&[line_of(Divider::End, line, b"")]);
            let Event::Stream(event) = event else { panic!("{event:?}") };
            assert_eq!(event.id.as_str(), "9");
            assert_eq!((event.status, event.circuit), (StreamStatus::NewResolve, None));
            assert_eq!((event.port, event.purpose, event.reason), (0, None, None));
        }
    }

    #[test]
    fn the_status_of_all_streams() {
        let status = b"9 NEWRESOLVE 0 My Printer._ipp._tcp.local:0\n12 SENTCONNECT 7 a:443\nb\n\n";
        let streams = StreamEvent::all(status);
        let seen: Vec<_> = streams.iter().map(|s| (s.id.as_str(), &s.status)).collect();
        assert_eq!(seen, [("9", &StreamStatus::NewResolve), ("12", &StreamStatus::SentConnect)]);
        assert!(StreamEvent::all(b"").is_empty());
    }

    #[test]
    fn changed_options() {
        let lines = [
            line_of(Divider::Mid, b"CONF_CHANGED", b""),
            line_of(Divider::Mid, b"__LeaveStreamsUnattached=1", b""),
            line_of(Divider::Mid, b"DNSPort", b""),
            line_of(Divider::End, b"OK", b""),
        ];
        let changed =
            vec![("__LeaveStreamsUnattached".into(), some("1")), ("DNSPort".into(), None)];
        assert_eq!(Event::parse(&lines), Event::ConfChanged(changed));
    }

    #[test]
    fn address_maps() {
        assert_eq!(
            parse(
                "ADDRMAP x.example 192.0.2.1 \"2026-01-01 01:00:00\" \
                 EXPIRES=\"2026-01-01 00:00:00\" CACHED=\"NO\" STREAMID=12"
            ),
            Event::AddrMap(AddrMapEvent {
                from: "x.example".into(),
                to: "192.0.2.1".into(),
                expires: some("2026-01-01 00:00:00"),
                error: None,
                cached: Some(false),
                stream: "12".parse().ok(),
            })
        );
        assert_eq!(
            parse("ADDRMAP x.example <error> NEVER error=yes CACHED=\"YES\""),
            Event::AddrMap(AddrMapEvent {
                from: "x.example".into(),
                to: "<error>".into(),
                expires: None,
                error: some("yes"),
                cached: Some(true),
                stream: None,
            })
        );
    }

    #[test]
    fn bootstrap() {
        let done = BootstrapEvent {
            progress: 100,
            tag: "done".into(),
            summary: "Done".into(),
            warning: None,
        };
        let phase = "NOTICE BOOTSTRAP PROGRESS=100 TAG=done SUMMARY=\"Done\"";
        assert_eq!(phase.parse(), Ok(done.clone()));
        assert_eq!(parse(&format!("STATUS_CLIENT {phase}")), Event::Bootstrap(done));
        assert_eq!(
            parse(
                "STATUS_CLIENT WARN BOOTSTRAP PROGRESS=5 TAG=conn SUMMARY=\"Connecting \\\"to\\\" \
                 a relay\" WARNING=\"No route to host\" REASON=NOROUTE COUNT=3 \
                 RECOMMENDATION=warn HOSTID=\"AA\" HOSTADDR=\"192.0.2.1:9001\""
            ),
            Event::Bootstrap(BootstrapEvent {
                progress: 5,
                tag: "conn".into(),
                summary: "Connecting \"to\" a relay".into(),
                warning: Some(BootstrapWarning {
                    warning: "No route to host".into(),
                    reason: some("NOROUTE"),
                    count: Some(3),
                    recommendation: some("warn"),
                    host: some("192.0.2.1:9001"),
                }),
            })
        );
        assert!("NOTICE CIRCUIT_ESTABLISHED".parse::<BootstrapEvent>().is_err());
        assert_eq!(
            parse("STATUS_CLIENT NOTICE CIRCUIT_NOT_ESTABLISHED REASON=CLOCK_JUMPED"),
            Event::StatusClient(StatusEvent {
                severity: "NOTICE".into(),
                action: "CIRCUIT_NOT_ESTABLISHED".into(),
                arguments: vec![("REASON".into(), "CLOCK_JUMPED".into())],
            })
        );
    }

    #[test]
    fn other_events() {
        assert_eq!(parse("NETWORK_LIVENESS UP"), Event::NetworkLiveness(true));
        assert_eq!(parse("NETWORK_LIVENESS DOWN"), Event::NetworkLiveness(false));
        assert_eq!(
            parse("NEWDESC $AA~x $BB~y"),
            Event::Other { keyword: "NEWDESC".into(), text: "$AA~x $BB~y".into() }
        );
        let lines = [
            line_of(Divider::Data, b"NEWCONSENSUS", b"r caf\xe9\n"),
            line_of(Divider::Mid, b"more", b""),
            line_of(Divider::End, b"OK", b""),
        ];
        assert_eq!(
            Event::parse(&lines),
            Event::Other { keyword: "NEWCONSENSUS".into(), text: "\nr caf\u{fffd}\n\nmore".into() }
        );
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (line, why) in [
            ("", "it has no keyword"),
            ("CIRC", "the circuit's id is missing"),
            ("CIRC 0 BUILT", "the circuit's id is \"0\""),
            ("CIRC 7", "the status is missing"),
            ("CIRC 7 BUILT $AA~x", "the path names a relay \"$AA~x\""),
            ("CIRC 7 BUILT X=\"y", "a quoted string does not end"),
            ("CIRC 7 BUILT X=\"y\"z", "a quoted string has text directly behind it"),
            ("CIRC 7 BUILT X=\"\\377\"", "a quoted string is not UTF-8"),
            ("STREAM 7 NEW - a:0", "the circuit's id is \"-\""),
            ("STREAM 7 NEW", "the circuit's id is missing"),
            ("ADDRMAP a b", "the expiry is missing"),
            ("ADDRMAP a b NEVER STREAMID=-", "STREAMID is \"-\""),
            ("STATUS_CLIENT NOTICE BOOTSTRAP TAG=x", "PROGRESS is missing"),
            ("STATUS_CLIENT NOTICE BOOTSTRAP PROGRESS=101 TAG=x", "PROGRESS is \"101\""),
            ("NETWORK_LIVENESS SIDEWAYS", "it is neither UP nor DOWN: \"SIDEWAYS\""),
        ] {
            let expected = Event::Malformed { line: line.into(), why: why.into() };
            assert_eq!(parse(line), expected);
        }
        let not_utf8 = Event::parse(&[line_of(Divider::End, b"CIRC 7 \xff\x1b", b"")]);
        assert_eq!(
            not_utf8,
            Event::Malformed {
                line: "CIRC 7 \u{fffd}\\u{1b}".into(),
                why: "it is not UTF-8".into()
            }
        );
        assert!(matches!(Event::parse(&[]), Event::Malformed { .. }));
    }

    proptest! {
        #[test]
        fn never_panics(line in hostile()) {
            let _ = StreamEvent::all(&line);
            let _ = Event::parse(&[line_of(Divider::End, &line, b"")]);
        }

        #[test]
        fn a_quoted_argument_never_leaks_into_another(value: String) {
            let line = format!("CIRC 7 FAILED X={} REASON=TRUE", quoted::quote(&value));
            let Event::Circuit(event) = parse(&line) else { panic!("{line:?}") };
            prop_assert_eq!(event.reason, some("TRUE"));
        }
    }

    fn hostile() -> impl Strategy<Value = Vec<u8>> {
        let keyword = prop::sample::select(vec![
            "CIRC ",
            "CIRC_MINOR ",
            "STREAM ",
            "ADDRMAP ",
            "STATUS_CLIENT ",
            "NETWORK_LIVENESS ",
            "CONF_CHANGED",
            "",
        ]);
        let word = prop_oneof![
            "[ -~]{0,6}".prop_map(String::into_bytes),
            prop::sample::select(vec![
                "7 ",
                "0 ",
                "BUILT ",
                "NEW ",
                "$",
                "a:0 ",
                "\"",
                "\\",
                "=",
                "X=\"",
                "é",
                " ",
                "NOTICE ",
                "BOOTSTRAP ",
                "PROGRESS=",
                "UP",
                "NEVER ",
                "STREAMID=",
            ])
            .prop_map(|word| word.as_bytes().to_vec()),
            prop::collection::vec(any::<u8>(), 0..4),
        ];
        (keyword, prop::collection::vec(word, 0..10))
            .prop_map(|(keyword, words)| [keyword.as_bytes().to_vec(), words.concat()].concat())
    }
}
