//! A tor made ready for a scan: authenticated, bootstrapped, with its ports known and the scan's
//! options set; and left, if it is not ours, as it was found.

use std::io;
use std::net::SocketAddr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{self as unix, UnixListener};
use std::time::Duration;

use futures_util::FutureExt;
use record::printable;
use tokio::time::Instant;
use tor_control::{
    BootstrapEvent, Command, ConnectOptions, Control, ControlAddr, Error, ErrorKind, Event,
    EventKind, Events, Password, Signal,
};

use crate::ask::SocksAddr;
use crate::names::Domain;
use crate::own_tor::{OwnTor, OwnTorError, OwnTorHome};
use crate::schedule::waits_for_us;

/// For connecting and authenticating in all.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(15);

/// For the reply to one command. Fetching all descriptors takes tor a second or two; past this it
/// hangs, and is started again or waited for.
const REPLY_LIMIT: Duration = Duration::from_secs(30);

/// How often a bootstrapping tor is looked at.
const POLL: Duration = Duration::from_millis(200);

/// How often our own tor is started again after one loss, until the scan is given up: the network
/// may be away for a while, which looks like a tor that does not bootstrap.
const OWN_TRIES: u32 = 3;

/// Pause between two tries to reach a tor that was lost.
const RETURN_PAUSE: Duration = Duration::from_secs(2);

/// Events that a scan follows.
const EVENTS: [EventKind; 3] = [EventKind::Circuit, EventKind::CircuitMinor, EventKind::Stream];

/// Tor's option that leaves new streams to us.
const LEAVE_STREAMS: &str = "__LeaveStreamsUnattached";

/// Why there is no tor to scan through.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// Our own does not run.
    #[error(transparent)]
    Own(#[from] OwnTorError),
    /// Its control port failed.
    #[error("{0}")]
    Control(#[from] Error),
    /// It does not bootstrap.
    #[error(
        "tor did not bootstrap within {limit} s; it is at {progress} % ({summary}). Is the network \
         reachable, and the clock right? {hint}"
    )]
    Bootstrap {
        /// Seconds waited.
        limit: u64,
        /// How far it came.
        progress: u8,
        /// Its own words.
        summary: String,
        /// Where to read more.
        hint: String,
    },
    /// It has no port that we need.
    #[error(
        "tor does not listen for {what} (GETINFO net/listeners/{key} says {answer:?}): set {option} in its torrc"
    )]
    NoListener {
        /// SOCKS or DNS.
        what: &'static str,
        /// The key of GETINFO.
        key: &'static str,
        /// What it answered.
        answer: String,
        /// The torrc's option.
        option: &'static str,
    },
    /// Another scan uses it.
    #[error(
        "another scan is using this tor (process {pid}): two would take each other's lookups; wait \
         until it is over, or let this one start a tor of its own"
    )]
    InUse {
        /// Tor's process.
        pid: String,
    },
    /// It was lost and did not come back.
    #[error("the tor at {address} was lost and did not come back within {} s: {cause}", waited.as_secs_f64())]
    Gone {
        /// Its control port.
        address: ControlAddr,
        /// How long it was waited for.
        waited: Duration,
        /// The last error.
        cause: Box<Self>,
    },
}

/// Which tor to use.
#[derive(Debug)]
pub enum Source {
    /// One that is running.
    Running(ControlAddr, Option<Password>),
    /// One to start.
    Own(Box<OwnTorHome>),
}

/// What a session tells about its start.
pub trait Watch {
    /// Tor bootstraps: percent, and its own words, fit for a terminal.
    fn bootstrapping(&mut self, progress: u8, summary: &str);
}

/// A tor ready for a scan.
#[derive(Debug)]
pub struct Session {
    /// Its control port.
    pub control: Control,
    /// Its events.
    pub events: Events,
    /// Its SOCKS port.
    pub socks: SocksAddr,
    /// Its DNSPort.
    pub dns: SocketAddr,
    /// Its version.
    pub version: String,
    own: Option<OwnTor>,
}

/// How a session was found, to be put back: kept apart from the session, so that a tor that is
/// lost and comes back is still left as it was found first.
#[derive(Debug, Default)]
pub struct Found {
    options: Vec<(String, Option<String>)>,
    claim: Option<Claim>,
}

/// A running tor claimed for one scan: on this host, no other scan begins with it until this is
/// dropped or its process is gone.
#[derive(Debug)]
struct Claim {
    pid: String,
    /// An abstract name (unix(7)), which every user of the host sees and no crash leaves behind.
    _name: UnixListener,
}

/// The options that a scan sets, each with its reason.
fn scan_options(query_timeout: Duration) -> Vec<(&'static str, String)> {
    vec![
        // Streams wait for us to attach them.
        (LEAVE_STREAMS, "1".to_owned()),
        // Fewer circuits that are not ours: none of them may ever get a lookup of ours.
        ("__DisablePredictedCircuits", "1".to_owned()),
        // Tor detaches a stream without an answer after 10 s by default (measured), which would
        // cut longer timeouts short.
        ("CircuitStreamTimeout", (query_timeout.as_secs() + 30).max(60).to_string()),
    ]
}

impl Source {
    /// Whether the tor is the scanner's own.
    #[must_use]
    pub const fn is_own(&self) -> bool {
        matches!(self, Self::Own(_))
    }

    /// Connects to the tor, starting it where it is ours, waits until it has bootstrapped, and
    /// finds its ports. [`Session::begin`] makes it ready for lookups. What was changed is noted in `found` at once, so that [`Session::leave`]
    /// or [`Source::restore`] can put it back whatever happens next.
    ///
    /// # Errors
    ///
    /// [`SessionError`].
    pub async fn open(
        &self,
        bootstrap_limit: Duration,
        found: &mut Found,
        watch: &mut impl Watch,
    ) -> Result<Session, SessionError> {
        let (own, address, password) = match self {
            Self::Running(address, password) => (None, address.clone(), password.clone()),
            Self::Own(home) => {
                let own = home.start(bootstrap_limit).await?;
                let address = own.control().clone();
                (Some(own), address, None)
            }
        };
        let options =
            ConnectOptions { password, timeout: HANDSHAKE_LIMIT, reply_timeout: REPLY_LIMIT };
        let (control, events) = Control::connect(&address, &options).await?;
        let mut own = own;
        if own.is_some() {
            control.take_ownership().await?;
        }
        bootstrapped(&control, &mut own, bootstrap_limit, watch).await?;
        let version = String::from_utf8_lossy(&one(&control, "version").await?).into_owned();
        let version = version.split_whitespace().next().unwrap_or("unknown").to_owned();

        let socks = match listener(&control, "net/listeners/socks").await? {
            Ok(address) => address,
            Err(answer) => {
                return Err(SessionError::NoListener {
                    what: "SOCKS",
                    key: "socks",
                    answer,
                    option: "SocksPort",
                });
            }
        };
        let dns = dns_port(&control, found).await?;
        Ok(Session { control, events, socks, dns, version, own })
    }

    /// Puts a running tor's options back by a connection of its own, where the scan's was lost.
    ///
    /// # Errors
    ///
    /// [`SessionError`]: it is not reachable.
    pub async fn restore(&self, found: &Found) -> Result<(), SessionError> {
        let Self::Running(address, password) = self else { return Ok(()) };
        if found.options.is_empty() {
            return Ok(());
        }
        let options = ConnectOptions {
            password: password.clone(),
            timeout: HANDSHAKE_LIMIT,
            reply_timeout: REPLY_LIMIT,
        };
        let (control, _events) = Control::connect(address, &options).await?;
        found.put_back(&control).await?;
        Ok(())
    }

    /// Gets a lost tor back: starts our own again, or waits for `wait` until one that was running
    /// takes connections again.
    ///
    /// # Errors
    ///
    /// [`SessionError::Gone`] where a running one does not come back, otherwise why our own does
    /// not start.
    pub async fn reopen(
        &self,
        bootstrap_limit: Duration,
        query_timeout: Duration,
        wait: Duration,
        found: &mut Found,
        watch: &mut impl Watch,
    ) -> Result<Session, SessionError> {
        let address = match self {
            Self::Own(_) => {
                let mut tries = 0;
                loop {
                    tries += 1;
                    let opened = self.open(bootstrap_limit, found, watch).await;
                    let error = match opened {
                        Ok(session) => match session.begin(query_timeout, found).await {
                            Ok(()) => return Ok(session),
                            Err(error) => error,
                        },
                        Err(error) => error,
                    };
                    if tries == OWN_TRIES {
                        return Err(error);
                    }
                    tracing::warn!("tor did not start again, trying once more: {error}");
                    tokio::time::sleep(RETURN_PAUSE).await;
                }
            }
            Self::Running(address, _) => address,
        };
        let lost = now();
        loop {
            let left = wait.saturating_sub(lost.elapsed());
            tokio::time::sleep(RETURN_PAUSE.min(left)).await;
            let opened = self.open(bootstrap_limit, found, watch).await;
            let cause = match opened {
                Ok(session) => match session.begin(query_timeout, found).await {
                    Ok(()) => return Ok(session),
                    Err(error) => error,
                },
                // It is there again, and has had its own time to bootstrap.
                Err(error @ SessionError::Bootstrap { .. }) => return Err(error),
                Err(error) => error,
            };
            if lost.elapsed() >= wait {
                let (address, cause) = (address.clone(), Box::new(cause));
                return Err(SessionError::Gone { address, waited: wait, cause });
            }
            tracing::debug!("tor is not back yet: {cause}");
        }
    }
}

impl Session {
    /// Why our own tor ended, where it has.
    pub fn ended(&mut self) -> Option<OwnTorError> {
        self.own.as_mut()?.ended()
    }

    /// Claims a running tor for this scan, unless it did so before.
    ///
    /// # Errors
    ///
    /// [`SessionError::InUse`] where another scan has; [`SessionError::Control`].
    pub async fn claim(&self, found: &mut Found) -> Result<(), SessionError> {
        if self.own.is_some() { Ok(()) } else { found.claim(&self.control).await }
    }

    /// Makes tor ready for the lookups of a scan. From here on, the events have to be read all the
    /// time: new streams, everybody's, wait until somebody says what is to become of them.
    ///
    /// # Errors
    ///
    /// [`SessionError::Control`]; [`SessionError::InUse`] where another scan has begun with it.
    pub async fn begin(
        &self,
        query_timeout: Duration,
        found: &mut Found,
    ) -> Result<(), SessionError> {
        self.claim(found).await?;
        self.control.set_events(&EVENTS).await?;
        let options = scan_options(query_timeout);
        found.note(&self.control, options.iter().map(|(key, _)| *key)).await?;
        let entries: Vec<(&str, Option<&str>)> =
            options.iter().map(|(key, value)| (*key, Some(value.as_str()))).collect();
        Ok(self.control.set_conf(&entries).await?)
    }

    /// Leaves tor: a running one with its options as they were found and other programs' streams
    /// in its own hands, our own ended. Lookups under `domain` are the scan's.
    ///
    /// # Errors
    ///
    /// The options could not be put back.
    pub async fn leave(mut self, found: &Found, domain: &Domain) -> Result<(), SessionError> {
        match self.own {
            Some(own) => {
                drop(self.control);
                drop(self.events);
                own.stop().await;
                Ok(())
            }
            None => {
                found.put_back(&self.control).await?;
                if found.knows(LEAVE_STREAMS) {
                    give_back(&self.control, &mut self.events, domain).await;
                }
                Ok(())
            }
        }
    }

    /// Drops a session whose tor is lost, ending what may be left of our own.
    pub async fn abandon(self) {
        if let Some(own) = self.own {
            own.stop().await;
        }
    }
}

/// Gives back the streams that came since the scan read its last event: tor does not take them
/// up by itself when the option is put back, and they would wait until it gives them up. Every one
/// of them was told of before the answer that the option is as it was.
async fn give_back(control: &Control, events: &mut Events, domain: &Domain) {
    let mut replies = Vec::new();
    // Without tokio's budget, which would end this at an event that has come.
    while let Some(Some(stamped)) = tokio::task::unconstrained(events.next()).now_or_never() {
        let Event::Stream(event) = stamped.event else { continue };
        if waits_for_us(&event) {
            replies.push(control.submit(if domain.holds(&event.target) {
                Command::CloseStream(event.id)
            } else {
                Command::AttachStream(event.id, None)
            }));
        }
    }
    for reply in replies {
        // Refused where the stream has gone by itself, or tor has it already.
        let _ = reply.await;
    }
}

impl Found {
    async fn claim(&mut self, control: &Control) -> Result<(), SessionError> {
        let pid = String::from_utf8_lossy(&one(control, "process/pid").await?).into_owned();
        if self.claim.as_ref().is_some_and(|claim| claim.pid == pid) {
            return Ok(());
        }
        let name = format!("exit-validator/scan-by-tor/{pid}");
        let bound = unix::SocketAddr::from_abstract_name(&name)
            .and_then(|address| UnixListener::bind_addr(&address));
        match bound {
            Ok(listener) => {
                self.claim = Some(Claim { pid, _name: listener });
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                Err(SessionError::InUse { pid: printable(&pid) })
            }
            Err(error) => {
                tracing::warn!("cannot claim this tor against other scans: {error}");
                Ok(())
            }
        }
    }

    /// Whether this option has been noted, as it is before it is set.
    fn knows(&self, key: &str) -> bool {
        self.options.iter().any(|(known, _)| known == key)
    }

    /// Notes the values of these options, unless they are known from before.
    async fn note(
        &mut self,
        control: &Control,
        keys: impl Iterator<Item = &'static str>,
    ) -> Result<(), Error> {
        for key in keys {
            if self.knows(key) {
                continue;
            }
            let values = control.get_conf(&[key]).await?;
            if key == LEAVE_STREAMS && values.iter().any(|(_, v)| v.as_deref() == Some("1")) {
                tracing::warn!(
                    "{LEAVE_STREAMS} is already 1 in this tor: another controller is using it, or \
                     a scan was killed before it could put it back. It will be left so. If nobody \
                     uses it, set it to 0, or other programs' streams through this tor wait for ever"
                );
            }
            // The scan's own spelling of the key, whatever tor's is.
            self.options.extend(values.into_iter().map(|(_, value)| (key.to_owned(), value)));
        }
        Ok(())
    }

    async fn put_back(&self, control: &Control) -> Result<(), Error> {
        if self.options.is_empty() {
            return Ok(());
        }
        let entries: Vec<(&str, Option<&str>)> =
            self.options.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
        control.set_conf(&entries).await
    }
}

/// One value of GETINFO.
pub(crate) async fn one(control: &Control, key: &str) -> Result<Vec<u8>, Error> {
    let values = control.get_info(&[key]).await?;
    Ok(values.into_iter().next().map(|(_, value)| value).unwrap_or_default())
}

/// A running tor that nobody has used for a day sleeps (tor's manual, `DormantClientTimeout`),
/// and would fetch no directory. It falls asleep again by itself.
async fn wake(control: &Control) -> Result<(), Error> {
    match one(control, "dormant").await {
        Ok(answer) if answer == b"1" => control.signal(Signal::Active).await,
        Ok(_) => Ok(()),
        // Older than 0.4.0: it has no such mode.
        Err(error) if error.kind() == ErrorKind::Refused => Ok(()),
        Err(error) => Err(error),
    }
}

async fn bootstrapped(
    control: &Control,
    own: &mut Option<OwnTor>,
    limit: Duration,
    watch: &mut impl Watch,
) -> Result<(), SessionError> {
    let mut progress = 0;
    let mut summary = String::new();
    let done = async {
        wake(control).await?;
        loop {
            if let Some(error) = own.as_mut().and_then(OwnTor::ended) {
                return Err(error.into());
            }
            let phase = one(control, "status/bootstrap-phase").await?;
            (progress, summary) = bootstrap_phase(&String::from_utf8_lossy(&phase));
            watch.bootstrapping(progress, &summary);
            if progress == 100 {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
    };
    match tokio::time::timeout(limit, done).await {
        Ok(outcome) => outcome,
        Err(_) => Err(SessionError::Bootstrap {
            limit: limit.as_secs(),
            progress,
            summary,
            hint: own
                .as_ref()
                .map(|own| format!("Its log is {}.", own.log().display()))
                .unwrap_or_default(),
        }),
    }
}

/// Percent, and tor's own words made fit for a terminal.
fn bootstrap_phase(phase: &str) -> (u8, String) {
    match phase.parse::<BootstrapEvent>() {
        Ok(phase) => (phase.progress, printable(&phase.summary)),
        Err(error) => (0, printable(&error.to_string())),
    }
}

/// The first address that tor listens at; its whole answer where there is none.
async fn listener(control: &Control, key: &str) -> Result<Result<SocksAddr, String>, SessionError> {
    let answer = one(control, key).await?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    // "127.0.0.1:9050" "unix:/run/tor/socks": quoted, separated by blanks.
    let first = answer.split('"').map(str::trim).find(|part| !part.is_empty());
    Ok(first.and_then(|text| text.parse().ok()).ok_or(answer))
}

/// The DNSPort; opens one where there is none, noting that there was none.
async fn dns_port(control: &Control, found: &mut Found) -> Result<SocketAddr, SessionError> {
    if let Ok(SocksAddr::Tcp(address)) = listener(control, "net/listeners/dns").await? {
        return Ok(address);
    }
    found.note(control, std::iter::once("DNSPort")).await?;
    control.set_conf(&[("DNSPort", Some("127.0.0.1:auto"))]).await?;
    match listener(control, "net/listeners/dns").await? {
        Ok(SocksAddr::Tcp(address)) => Ok(address),
        Ok(SocksAddr::Unix(path)) => Err(no_dns(path.display().to_string())),
        Err(answer) => Err(no_dns(answer)),
    }
}

fn no_dns(answer: String) -> SessionError {
    SessionError::NoListener { what: "DNS", key: "dns", answer, option: "DNSPort" }
}

#[expect(clippy::disallowed_methods, reason = "an edge: waits for tor by the clock")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_bootstrap_phase() {
        let phase = "NOTICE BOOTSTRAP PROGRESS=90 TAG=ap_handshake SUMMARY=\"Hand\u{1b}shaking\"";
        assert_eq!(bootstrap_phase(phase), (90, "Hand\\u{1b}shaking".to_owned()));
        assert_eq!(bootstrap_phase("garbage PROGRESS=999").0, 0);
    }
}
