//! The commands of a control port that a scan sends, and tor's answers (control-spec). Others are
//! refused as one that tor does not know.

use std::fmt::Write as _;
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use record::Fingerprint;
use sha2::Sha256;

use super::documents::TIME;
use super::machine::{Connection, Outgoing, SimulatedMachine, VERSION};
use super::options;

/// The keys of the two hashes (control-spec, "AUTHCHALLENGE").
const SERVER_HASH_KEY: &[u8] = b"Tor safe cookie authentication server-to-controller hash";
const CONTROLLER_HASH_KEY: &[u8] = b"Tor safe cookie authentication controller-to-server hash";

/// What tor says of the flavour of the consensus that it does not use, and of descriptors.
const NO_CONSENSUS: &str =
    "551 Could not open cached consensus. Make sure FetchUselessDescriptors is set to 1.";
const NO_DESCRIPTORS: &str = "552 We fetch microdescriptors, not router descriptors. You'll need to use \
                              md/id/* instead of desc/id/*.";

/// The events that it knows of.
const EVENTS: [&str; 5] = ["CIRC", "CIRC_MINOR", "STREAM", "CONF_CHANGED", "SIGNAL"];

impl SimulatedMachine {
    /// A controller has connected.
    pub(crate) fn connect(&mut self, id: u32) {
        let connection = Connection { authenticated: false, expected: None, events: Vec::new() };
        self.connections.insert(id, connection);
    }

    /// Carries out commands that came together: their answers go out before any event.
    pub(crate) fn commands(
        &mut self,
        id: u32,
        lines: &[String],
        now: Duration,
        rng: &mut impl rand::Rng,
    ) {
        let mut said = String::new();
        let mut ends = false;
        for line in lines {
            let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
            let command = command.to_ascii_uppercase();
            let inside = self.connections.get(&id).is_some_and(|c| c.authenticated);
            let answer = match command.as_str() {
                "PROTOCOLINFO" => self.protocol_info(),
                "AUTHCHALLENGE" => self.challenge(id, rest, rng),
                "AUTHENTICATE" => self.authenticate(id, rest),
                "QUIT" => "250 closing connection\r\n".to_owned(),
                _ if !inside => "514 Authentication required.\r\n".to_owned(),
                command => self.command(id, command, rest, now),
            };
            ends = command == "QUIT" || answer.starts_with("51") && !inside;
            said += &answer;
            if ends {
                break;
            }
        }
        self.push(Outgoing::Say(id, said.into_bytes()));
        if ends {
            self.push(Outgoing::HangUp(id));
        }
    }

    fn protocol_info(&self) -> String {
        format!(
            "250-PROTOCOLINFO 1\r\n250-AUTH METHODS=COOKIE,SAFECOOKIE COOKIEFILE=\"{}\"\r\n\
             250-VERSION Tor=\"{VERSION}\"\r\n250 OK\r\n",
            self.place.cookie_file
        )
    }

    fn challenge(&mut self, id: u32, rest: &str, rng: &mut impl rand::Rng) -> String {
        let nonce = rest.strip_prefix("SAFECOOKIE ").and_then(unhex);
        let (Some(nonce), Some(connection)) = (nonce, self.connections.get_mut(&id)) else {
            return "513 AUTHCHALLENGE only supports SAFECOOKIE authentication\r\n".to_owned();
        };
        let mut own = [0; 32];
        rng.fill_bytes(&mut own);
        let hash = |key: &[u8]| {
            let mut hash = Hmac::<Sha256>::new_from_slice(key).expect("any length is a key's");
            hash.update(&self.place.cookie);
            hash.update(&nonce);
            hash.update(&own);
            hash.finalize().into_bytes().to_vec()
        };
        connection.expected = Some(hash(CONTROLLER_HASH_KEY));
        format!(
            "250 AUTHCHALLENGE SERVERHASH={} SERVERNONCE={}\r\n",
            hex(&hash(SERVER_HASH_KEY)),
            hex(&own)
        )
    }

    fn authenticate(&mut self, id: u32, rest: &str) -> String {
        let Some(connection) = self.connections.get_mut(&id) else { return String::new() };
        let expected = connection.expected.take();
        let given = unhex(rest);
        if given.is_some() && given == Some(expected.unwrap_or(self.place.cookie.to_vec())) {
            connection.authenticated = true;
            return "250 OK\r\n".to_owned();
        }
        "515 Authentication failed: Wrong length on authentication cookie.\r\n".to_owned()
    }

    fn command(&mut self, id: u32, command: &str, rest: &str, now: Duration) -> String {
        let done = match command {
            "GETINFO" => return self.get_info(rest),
            "GETCONF" => return self.get_conf(rest),
            "EXTENDCIRCUIT" => return self.extend_circuit(rest, now).unwrap_or_else(refusal),
            "SETCONF" => self.set_conf(rest),
            "SETEVENTS" => self.set_events(id, rest),
            "SETCIRCUITPURPOSE" => self.set_circuit_purpose(rest),
            "ATTACHSTREAM" => self.attach_stream(rest, now),
            "CLOSESTREAM" => self.close_stream(rest),
            "CLOSECIRCUIT" => self.close_circuit(rest),
            "SIGNAL" => self.signal(rest),
            other => Err(format!("510 Unrecognized command \"{other}\"")),
        };
        match done {
            Ok(()) => "250 OK\r\n".to_owned(),
            Err(words) => refusal(words),
        }
    }

    fn get_info(&self, keys: &str) -> String {
        let mut said = String::new();
        for key in keys.split(' ') {
            match self.info(key) {
                Ok(value) if value.contains('\n') => {
                    let _ = write!(said, "250+{key}=\r\n");
                    for line in value.lines() {
                        let dot = if line.starts_with('.') { "." } else { "" };
                        let _ = write!(said, "{dot}{line}\r\n");
                    }
                    said += ".\r\n";
                }
                Ok(value) => {
                    let _ = write!(said, "250-{key}={value}\r\n");
                }
                Err(words) => return refusal(words),
            }
        }
        said + "250 OK\r\n"
    }

    fn info(&self, key: &str) -> Result<String, String> {
        let Self { documents, place, .. } = self;
        let hours = |hours| (place.began + chrono::Duration::hours(hours)).format(TIME).to_string();
        Ok(match key {
            "version" => VERSION.to_owned(),
            "dormant" => "0".to_owned(),
            "process/pid" => place.pid.to_string(),
            "status/bootstrap-phase" => {
                "NOTICE BOOTSTRAP PROGRESS=100 TAG=done SUMMARY=\"Done\"".to_owned()
            }
            "net/listeners/socks" => format!("\"{}\"", place.socks),
            "net/listeners/dns" => format!("\"{}\"", place.dns),
            "address-mappings/all" => String::new(),
            "consensus/valid-after" => hours(0),
            "consensus/valid-until" => hours(3),
            "dir/status-vote/current/consensus-microdesc" if place.microdescriptors => {
                documents.consensus.clone()
            }
            "dir/status-vote/current/consensus" if !place.microdescriptors => {
                documents.consensus.clone()
            }
            "dir/status-vote/current/consensus" | "dir/status-vote/current/consensus-microdesc" => {
                return Err(NO_CONSENSUS.to_owned());
            }
            "md/all" if place.microdescriptors => documents.descriptors.clone(),
            "desc/all-recent" if !place.microdescriptors => documents.descriptors.clone(),
            "md/all" | "desc/all-recent" => String::new(),
            "ip-to-country/ipv4-available" => "1".to_owned(),
            "stream-status" => {
                let line = |(id, stream): (&u32, &super::streams::Stream)| {
                    format!("{id} {}", stream.status())
                };
                self.streams.iter().map(line).collect::<Vec<_>>().join("\n")
            }
            key if key.starts_with("desc/id/") && place.microdescriptors => {
                return Err(NO_DESCRIPTORS.to_owned());
            }
            key if key.starts_with("ip-to-country/") => "??".to_owned(),
            key => return Err(format!("552 Unrecognized key \"{key}\"")),
        })
    }

    fn get_conf(&self, keys: &str) -> String {
        let mut lines = Vec::new();
        for key in keys.split(' ') {
            match self.options.get(key) {
                Some((name, value)) => lines.push(format!("{name}={value}")),
                None => return refusal(format!("552 Unrecognized configuration key \"{key}\"")),
            }
        }
        let last = lines.len() - 1;
        let line = |(number, line): (usize, &String)| {
            format!("250{}{line}\r\n", if number == last { ' ' } else { '-' })
        };
        lines.iter().enumerate().map(line).collect()
    }

    fn set_conf(&mut self, rest: &str) -> Result<(), String> {
        let changed = self.options.set(&options::entries(rest))?;
        self.tell_changes(&changed);
        Ok(())
    }

    fn tell_changes(&mut self, changed: &[(&'static str, String)]) {
        if !changed.is_empty() {
            let lines: Vec<String> =
                changed.iter().map(|(name, value)| format!("{name}={value}")).collect();
            self.tell_lines("CONF_CHANGED", &lines);
        }
    }

    fn set_events(&mut self, id: u32, rest: &str) -> Result<(), String> {
        let events: Vec<String> = rest.split_whitespace().map(str::to_ascii_uppercase).collect();
        if let Some(unknown) = events.iter().find(|event| !EVENTS.contains(&event.as_str())) {
            return Err(format!("552 Unrecognized event \"{unknown}\""));
        }
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.events = events;
        }
        Ok(())
    }

    /// Only new circuits of two relays.
    fn extend_circuit(&mut self, rest: &str, now: Duration) -> Result<String, String> {
        let mut words = rest.split(' ').skip(1);
        let path = words.next().unwrap_or_default();
        let purpose = words.next().and_then(|word| word.strip_prefix("purpose="));
        let purpose = known_purpose(purpose.unwrap_or("general"))?;
        let mut relays = Vec::new();
        for name in path.split(',') {
            let relay = name.parse::<Fingerprint>().ok().and_then(|name| self.network.find(&name));
            relays.push(relay.ok_or_else(|| format!("552 No such router \"{name}\""))?);
        }
        let path = relays.try_into().map_err(|_| "551 Couldn't start circuit".to_owned())?;
        Ok(format!("250 EXTENDED {}\r\n", self.launch(path, purpose, now)))
    }

    fn circuit(&self, name: &str) -> Result<u32, String> {
        let id = name.parse().ok().filter(|id| self.circuits.contains_key(id));
        id.ok_or_else(|| format!("552 Unknown circuit \"{name}\""))
    }

    fn stream(&self, name: &str) -> Result<u32, String> {
        let id = name.parse().ok().filter(|id| self.streams.contains_key(id));
        id.ok_or_else(|| format!("552 Unknown stream \"{name}\""))
    }

    fn set_circuit_purpose(&mut self, rest: &str) -> Result<(), String> {
        let (circuit, purpose) = rest.split_once(" purpose=").unwrap_or((rest, ""));
        let circuit = self.circuit(circuit)?;
        self.set_purpose(circuit, known_purpose(purpose)?);
        Ok(())
    }

    fn attach_stream(&mut self, rest: &str, now: Duration) -> Result<(), String> {
        let (stream, circuit) = rest.split_once(' ').unwrap_or((rest, ""));
        let stream = self.stream(stream)?;
        let circuit = if circuit == "0" { None } else { Some(self.circuit(circuit)?) };
        if !self.is_managed(stream) {
            return Err("555 Connection is not managed by controller.".to_owned());
        }
        match circuit {
            None => {
                self.give_back(stream, now);
                Ok(())
            }
            Some(circuit) if self.circuits[&circuit].is_built() => {
                self.attach(stream, circuit, now);
                Ok(())
            }
            Some(_) => Err("551 Can't attach stream to non-open origin circuit".to_owned()),
        }
    }

    fn close_stream(&mut self, rest: &str) -> Result<(), String> {
        let stream = self.stream(rest.split(' ').next().unwrap_or_default())?;
        self.stream_fails(stream, "MISC");
        Ok(())
    }

    fn close_circuit(&mut self, rest: &str) -> Result<(), String> {
        let circuit = self.circuit(rest.split(' ').next().unwrap_or_default())?;
        self.circuit_ends(circuit, "REQUESTED", None);
        Ok(())
    }

    fn signal(&mut self, name: &str) -> Result<(), String> {
        match name {
            "RELOAD" => {
                if self.options.is_on("__ReloadTorrcOnSIGHUP") {
                    let changed = self.options.reset();
                    self.tell_changes(&changed);
                }
            }
            "ACTIVE" => {}
            other => return Err(format!("552 Unrecognized signal code \"{other}\"")),
        }
        self.tell("SIGNAL", name);
        Ok(())
    }
}

fn refusal(words: String) -> String {
    words + "\r\n"
}

fn known_purpose(purpose: &str) -> Result<&str, String> {
    if ["general", "controller"].contains(&purpose) {
        Ok(purpose)
    } else {
        Err(format!("552 Unknown purpose \"{purpose}\""))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(16)).collect();
    let pairs = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    pairs.chunks_exact(2).map(|pair| u8::try_from(pair[0] << 4 | pair[1]).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Fault;
    use crate::simulated::documents::Documents;
    use crate::simulated::machine::TorPlace;
    use crate::simulated::{Noise, SimulatedNetwork};
    use chrono::DateTime;
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use std::sync::Arc;

    fn machine() -> SimulatedMachine {
        let network = Arc::new(SimulatedNetwork::new(&[Fault::Correct], 1, Noise::NONE, 1));
        let began = DateTime::UNIX_EPOCH;
        let documents = Arc::new(Documents::of(&network, began, true));
        let place = TorPlace {
            cookie: [7; 32],
            cookie_file: "/nonexistent".to_owned(),
            pid: 1,
            socks: "127.0.0.1:1".to_owned(),
            dns: "127.0.0.1:2".to_owned(),
            microdescriptors: true,
            began,
        };
        let mut machine = SimulatedMachine::new(network, documents, place);
        machine.connect(0);
        machine
    }

    fn say(machine: &mut SimulatedMachine, lines: &[String]) -> Vec<Outgoing> {
        let mut rng = rand::rngs::StdRng::seed_from_u64(1);
        machine.commands(0, lines, Duration::ZERO, &mut rng);
        machine.output()
    }

    #[test]
    fn nobody_gets_in_without_the_cookie() {
        let cookie = format!("AUTHENTICATE {}", hex(&[7; 32]));
        let said = |line: &str| match &say(&mut machine(), &[line.to_owned()])[..] {
            [Outgoing::Say(0, said), ..] => String::from_utf8(said.clone()).unwrap(),
            other => panic!("{other:?}"),
        };
        assert_eq!(said(&cookie), "250 OK\r\n");
        for line in ["AUTHENTICATE", "AUTHENTICATE 00", "AUTHENTICATE x"] {
            assert!(said(line).starts_with("515 "), "{line}");
        }
        assert!(said("GETINFO version").starts_with("514 "));
    }

    proptest! {
        #[test]
        fn whatever_comes_is_answered(
            lines in prop::collection::vec(
                "(GETINFO|GETCONF|SETCONF|SETEVENTS|EXTENDCIRCUIT|SETCIRCUITPURPOSE|ATTACHSTREAM|\
                 CLOSESTREAM|CLOSECIRCUIT|SIGNAL|AUTHCHALLENGE SAFECOOKIE|AUTHENTICATE|)[ -~é]{0,30}",
                1..6,
            ),
            inside: bool,
        ) {
            let mut machine = machine();
            machine.connections.get_mut(&0).unwrap().authenticated = inside;
            prop_assert!(matches!(&say(&mut machine, &lines)[..], [Outgoing::Say(0, _), ..]));
        }
    }
}
