//! Commands to bytes.
//!
//! Owns every command that is ever sent, and the check of its arguments: whatever they hold, one
//! command is one line, and every argument stays within its own word or quotes. Performs no IO.

use std::fmt;

use bytes::Bytes;
use record::Fingerprint;

use crate::{CircuitId, Error, StreamId, quoted};

/// The longest command: tor closes the connection at a line over 1 MiB
/// (`MAX_COMMAND_LINE_LENGTH`).
pub const MAX_COMMAND: usize = (1 << 20) - 1024;

/// A command, and its arguments as yet unchecked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `GETINFO`: at least one key.
    GetInfo(Vec<String>),
    /// `GETCONF`: at least one option.
    GetConf(Vec<String>),
    /// `SETCONF`: at least one option, with its value or `None` for tor's default. An option that
    /// takes a list stands once for each entry. All of them are set, or none.
    SetConf(Vec<(String, Option<String>)>),
    /// `RESETCONF` to tor's defaults: at least one option.
    ResetConf(Vec<String>),
    /// `SETEVENTS`: exactly these events from now on.
    SetEvents(Vec<EventKind>),
    /// `EXTENDCIRCUIT 0`: a new circuit for this purpose through these relays, at least one.
    ExtendCircuit(Vec<Fingerprint>, Purpose),
    /// `SETCIRCUITPURPOSE`.
    SetCircuitPurpose(CircuitId, Purpose),
    /// `ATTACHSTREAM`, to a circuit or, with `None`, back to tor's own care.
    AttachStream(StreamId, Option<CircuitId>),
    /// `CLOSESTREAM`, with reason 1 (`MISC`).
    CloseStream(StreamId),
    /// `CLOSECIRCUIT`.
    CloseCircuit(CircuitId),
    /// `TAKEOWNERSHIP`: tor ends when this connection does.
    TakeOwnership,
    /// `SIGNAL`.
    Signal(Signal),
}

/// What a controller may want a circuit for (control-spec, "EXTENDCIRCUIT").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// `general`: tor puts any program's streams on it, and takes it for uses of its own.
    General,
    /// `controller`: tor itself puts nothing on it. Nor can a stream be attached to it: tor ends
    /// with an assertion where a lookup is.
    Controller,
}

impl Purpose {
    /// The keyword in commands.
    #[must_use]
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::General => "general",
            Self::Controller => "controller",
        }
    }
}

/// An event to ask for (control-spec, "SETEVENTS").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    /// `CIRC`: [`Event::Circuit`](crate::Event::Circuit).
    Circuit,
    /// `CIRC_MINOR`: [`Event::CircuitMinor`](crate::Event::CircuitMinor).
    CircuitMinor,
    /// `STREAM`: [`Event::Stream`](crate::Event::Stream).
    Stream,
    /// `ADDRMAP`: [`Event::AddrMap`](crate::Event::AddrMap).
    AddrMap,
    /// `STATUS_CLIENT`: [`Event::Bootstrap`](crate::Event::Bootstrap) and
    /// [`Event::StatusClient`](crate::Event::StatusClient).
    StatusClient,
    /// `NETWORK_LIVENESS`: [`Event::NetworkLiveness`](crate::Event::NetworkLiveness).
    NetworkLiveness,
    /// `NEWDESC`: [`Event::Other`](crate::Event::Other), like all below.
    NewDesc,
    /// `NEWCONSENSUS`.
    NewConsensus,
    /// `STATUS_GENERAL`.
    StatusGeneral,
    /// `ORCONN`.
    OrConn,
    /// `GUARD`.
    Guard,
    /// `CONF_CHANGED`: [`Event::ConfChanged`](crate::Event::ConfChanged).
    ConfChanged,
    /// `BUILDTIMEOUT_SET`.
    BuildTimeoutSet,
    /// `SIGNAL`.
    Signal,
    /// `BW`.
    Bandwidth,
    /// `NOTICE`.
    Notice,
    /// `WARN`.
    Warn,
    /// `ERR`.
    Err,
}

impl EventKind {
    /// The keyword on the wire.
    #[must_use]
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::Circuit => "CIRC",
            Self::CircuitMinor => "CIRC_MINOR",
            Self::Stream => "STREAM",
            Self::AddrMap => "ADDRMAP",
            Self::StatusClient => "STATUS_CLIENT",
            Self::NetworkLiveness => "NETWORK_LIVENESS",
            Self::NewDesc => "NEWDESC",
            Self::NewConsensus => "NEWCONSENSUS",
            Self::StatusGeneral => "STATUS_GENERAL",
            Self::OrConn => "ORCONN",
            Self::Guard => "GUARD",
            Self::ConfChanged => "CONF_CHANGED",
            Self::BuildTimeoutSet => "BUILDTIMEOUT_SET",
            Self::Signal => "SIGNAL",
            Self::Bandwidth => "BW",
            Self::Notice => "NOTICE",
            Self::Warn => "WARN",
            Self::Err => "ERR",
        }
    }
}

/// A signal to send (control-spec, "SIGNAL").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signal {
    /// Read the configuration again.
    Reload,
    /// End in good order: a relay lets its connections run out first.
    Shutdown,
    /// Write statistics to the log.
    Dump,
    /// Switch all logs to debug level.
    Debug,
    /// End at once.
    Halt,
    /// Use fresh circuits for new streams.
    Newnym,
    /// Forget all answers of lookups.
    ClearDnsCache,
    /// Write a heartbeat to the log.
    Heartbeat,
    /// Behave as after a time of no use.
    Dormant,
    /// Wake up.
    Active,
}

impl Signal {
    /// The keyword on the wire.
    #[must_use]
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::Reload => "RELOAD",
            Self::Shutdown => "SHUTDOWN",
            Self::Dump => "DUMP",
            Self::Debug => "DEBUG",
            Self::Halt => "HALT",
            Self::Newnym => "NEWNYM",
            Self::ClearDnsCache => "CLEARDNSCACHE",
            Self::Heartbeat => "HEARTBEAT",
            Self::Dormant => "DORMANT",
            Self::Active => "ACTIVE",
        }
    }
}

impl Command {
    /// The command's keyword.
    #[must_use]
    pub const fn keyword(&self) -> &'static str {
        match self {
            Self::GetInfo(_) => "GETINFO",
            Self::GetConf(_) => "GETCONF",
            Self::SetConf(_) => "SETCONF",
            Self::ResetConf(_) => "RESETCONF",
            Self::SetEvents(_) => "SETEVENTS",
            Self::ExtendCircuit(..) => "EXTENDCIRCUIT",
            Self::SetCircuitPurpose(..) => "SETCIRCUITPURPOSE",
            Self::AttachStream(..) => "ATTACHSTREAM",
            Self::CloseStream(_) => "CLOSESTREAM",
            Self::CloseCircuit(_) => "CLOSECIRCUIT",
            Self::TakeOwnership => "TAKEOWNERSHIP",
            Self::Signal(_) => "SIGNAL",
        }
    }

    /// The command's line, with its CRLF.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] where an argument is missing, could be read as anything but one
    /// argument, or makes the line longer than [`MAX_COMMAND`].
    pub fn encode(&self) -> Result<Bytes, Error> {
        let invalid = |what: String| Error::InvalidArgument { command: self.keyword(), what };
        let mut line = self.keyword().to_owned();
        let mut put = |argument: &dyn fmt::Display| {
            line.push(' ');
            line.push_str(&argument.to_string());
        };
        match self {
            Self::GetInfo(keys) => {
                at_least_one(keys).map_err(invalid)?;
                for key in keys {
                    put(&info_key(key).map_err(invalid)?);
                }
            }
            Self::GetConf(keys) | Self::ResetConf(keys) => {
                at_least_one(keys).map_err(invalid)?;
                for key in keys {
                    put(&option(key).map_err(invalid)?);
                }
            }
            Self::SetConf(entries) => {
                at_least_one(entries).map_err(invalid)?;
                for (key, value) in entries {
                    let key = option(key).map_err(invalid)?;
                    match value {
                        None => put(&key),
                        Some(value) => {
                            let value = option_value(key, value).map_err(invalid)?;
                            put(&format_args!("{key}={}", quoted::quote(value)));
                        }
                    }
                }
            }
            Self::SetEvents(kinds) => kinds.iter().for_each(|kind| put(&kind.keyword())),
            Self::ExtendCircuit(path, purpose) => {
                at_least_one(path).map_err(invalid)?;
                let path: Vec<_> = path.iter().map(ToString::to_string).collect();
                put(&0);
                put(&path.join(","));
                put(&format_args!("purpose={}", purpose.keyword()));
            }
            Self::SetCircuitPurpose(circuit, purpose) => {
                put(circuit);
                put(&format_args!("purpose={}", purpose.keyword()));
            }
            Self::AttachStream(stream, circuit) => {
                put(stream);
                put(&circuit.as_ref().map_or("0", CircuitId::as_str));
            }
            Self::CloseStream(stream) => {
                put(stream);
                // REASON_MISC of tor-spec, "Closing streams".
                put(&1);
            }
            Self::CloseCircuit(circuit) => put(circuit),
            Self::TakeOwnership => {}
            Self::Signal(signal) => put(&signal.keyword()),
        }
        line.push_str("\r\n");
        if line.len() > MAX_COMMAND {
            return Err(invalid(format!(
                "the command would be {} bytes long, and tor takes {MAX_COMMAND}; send it in parts",
                line.len()
            )));
        }
        Ok(Bytes::from(line))
    }
}

fn at_least_one<T>(arguments: &[T]) -> Result<(), String> {
    if arguments.is_empty() { Err("at least one argument is needed".to_owned()) } else { Ok(()) }
}

/// A key of GETINFO: one word, such as `ns/id/$<fingerprint>`.
fn info_key(key: &str) -> Result<&str, String> {
    let fit = !key.is_empty()
        && key.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'='));
    fit.then_some(key).ok_or_else(|| {
        format!(
            "\"{}\" is no key: a key is one word of printable ASCII without quotes, backslashes \
             and equals signs",
            record::printable(key)
        )
    })
}

/// The name of a configuration option.
fn option(key: &str) -> Result<&str, String> {
    let fit =
        !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    fit.then_some(key).ok_or_else(|| {
        format!(
            "\"{}\" is no option: an option's name is made of letters, digits and underscores",
            record::printable(key)
        )
    })
}

/// The value of a configuration option: no control character but the tab, and so no line end.
fn option_value<'a>(key: &str, value: &'a str) -> Result<&'a str, String> {
    if value.chars().any(|c| c.is_control() && c != '\t') {
        let value = record::printable(value);
        return Err(format!("the value of {key} holds a control character: \"{value}\""));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use proptest::prelude::*;

    fn encoded(command: &Command) -> String {
        String::from_utf8(command.encode().unwrap().to_vec()).unwrap()
    }

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn every_command_has_its_line() {
        let relay = |digit: &str| digit.repeat(40).parse().unwrap();
        let (stream, circuit): (StreamId, CircuitId) = ("3".parse().unwrap(), "7".parse().unwrap());
        let cases = [
            (Command::GetInfo(strings(&["version", "ns/all"])), "GETINFO version ns/all"),
            (Command::GetConf(strings(&["SocksPort"])), "GETCONF SocksPort"),
            (
                Command::SetConf(vec![
                    ("__LeaveStreamsUnattached".into(), Some("1".into())),
                    ("ContactInfo".into(), Some("é \"\\ x".into())),
                    ("SocksPort".into(), None),
                ]),
                r#"SETCONF __LeaveStreamsUnattached="1" ContactInfo="é \"\\ x" SocksPort"#,
            ),
            (Command::ResetConf(strings(&["A", "B"])), "RESETCONF A B"),
            (Command::SetEvents(vec![]), "SETEVENTS"),
            (
                Command::SetEvents(vec![EventKind::Circuit, EventKind::CircuitMinor]),
                "SETEVENTS CIRC CIRC_MINOR",
            ),
            (
                Command::ExtendCircuit(vec![relay("A"), relay("b")], Purpose::General),
                &format!("EXTENDCIRCUIT 0 {},{} purpose=general", "A".repeat(40), "B".repeat(40)),
            ),
            (
                Command::SetCircuitPurpose(circuit.clone(), Purpose::Controller),
                "SETCIRCUITPURPOSE 7 purpose=controller",
            ),
            (Command::AttachStream(stream.clone(), Some(circuit.clone())), "ATTACHSTREAM 3 7"),
            (Command::AttachStream(stream.clone(), None), "ATTACHSTREAM 3 0"),
            (Command::CloseStream(stream), "CLOSESTREAM 3 1"),
            (Command::CloseCircuit(circuit), "CLOSECIRCUIT 7"),
            (Command::TakeOwnership, "TAKEOWNERSHIP"),
            (Command::Signal(Signal::Newnym), "SIGNAL NEWNYM"),
        ];
        for (command, line) in cases {
            assert_eq!(encoded(&command), format!("{line}\r\n"));
            assert!(line.starts_with(command.keyword()));
        }
    }

    #[test]
    fn bad_arguments_are_refused() {
        let set = |key: &str, value: &str| Command::SetConf(vec![(key.into(), Some(value.into()))]);
        let cases = [
            Command::GetInfo(vec![]),
            Command::GetConf(vec![]),
            Command::SetConf(vec![]),
            Command::ResetConf(vec![]),
            Command::ExtendCircuit(vec![], Purpose::General),
            Command::GetInfo(strings(&[""])),
            Command::GetInfo(strings(&["a b"])),
            Command::GetInfo(strings(&["a\r\nSIGNAL HALT"])),
            Command::GetConf(strings(&["a=b"])),
            Command::ResetConf(strings(&["SocksPort=1"])),
            set("A B", "x"),
            set("A", "x\r\nSIGNAL HALT"),
            set("A", "x\0"),
            set("A", "\u{85}"),
            set("A", &"x".repeat(MAX_COMMAND)),
        ];
        for command in cases {
            let error = command.encode().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
            assert!(!error.to_string().contains(['\r', '\n', '\0']), "{error}");
        }
    }

    proptest! {
        /// Read back as tor reads it, what was asked is what stands there, and there is one line.
        #[test]
        fn nothing_is_smuggled_through_an_option(entries in prop::collection::vec(entry(), 1..5)) {
            let Ok(line) = Command::SetConf(entries.clone()).encode() else { return Ok(()) };
            let mut rest = line.strip_suffix(b"\r\n").unwrap();
            prop_assert!(!rest.iter().any(|byte| b"\r\n\0".contains(byte)));
            rest = rest.strip_prefix(b"SETCONF").unwrap();
            for (key, value) in entries {
                rest = rest.strip_prefix(b" ").unwrap().strip_prefix(key.as_bytes()).unwrap();
                if let Some(value) = value {
                    let (plain, after) = quoted::unquote(rest.strip_prefix(b"=").unwrap()).unwrap();
                    prop_assert_eq!(plain, value.into_bytes());
                    rest = after;
                }
            }
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn nothing_is_smuggled_through_a_key(keys in prop::collection::vec(".{0,12}|[ -~\r\n]{0,8}", 1..4)) {
            for command in [
                Command::GetInfo(keys.clone()),
                Command::GetConf(keys.clone()),
                Command::ResetConf(keys.clone()),
            ] {
                if command.encode().is_ok() {
                    let line = encoded(&command);
                    let words: Vec<_> = line.strip_suffix("\r\n").unwrap().split(' ').collect();
                    prop_assert_eq!(&words[1..], &keys[..]);
                    prop_assert!(line.trim_end().bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '));
                }
            }
        }
    }

    fn entry() -> impl Strategy<Value = (String, Option<String>)> {
        ("[A-Za-z_]{1,8}|.{0,3}", prop::option::of(".{0,12}|[\"\\\\ =\r\nx]{0,8}"))
    }
}
