//! A tor made ready for a scan: authenticated, bootstrapped, with its ports known and the scan's
//! options set; and left, if it is not ours, as it was found.

use std::net::SocketAddr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use record::printable;
use tokio::time::Instant;
use tor_control::{
    BootstrapEvent, Command, ConnectOptions, Control, ControlAddr, Error, ErrorKind, Event,
    EventKind, Events, Password, Signal, StreamEvent,
};

use crate::ask::SocksAddr;
use crate::claim::Claim;
use crate::guard::Guard;
use crate::names::Domain;
use crate::own_tor::{OwnTor, OwnTorError, OwnTorHome};
use crate::preflight;
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
const EVENTS: [EventKind; 5] = [
    EventKind::Circuit,
    EventKind::CircuitMinor,
    EventKind::Stream,
    EventKind::ConfChanged,
    EventKind::Signal,
];

/// Those of them that tell of nothing but circuits and streams.
const TRAFFIC: [EventKind; 3] = [EventKind::Circuit, EventKind::CircuitMinor, EventKind::Stream];

/// Before a DNSPort is closed, lookups that tor has yet to read are looked for this often, until so many
/// looks in a row find none, or the time is over.
const LAST_LOOKUPS_POLL: Duration = Duration::from_millis(20);
const LAST_LOOKUPS_LOOKS: u32 = 3;
const LAST_LOOKUPS_LIMIT: Duration = Duration::from_secs(2);

/// How long a tor may take to read its configuration.
const RELOAD_LIMIT: Duration = Duration::from_secs(10);

/// How long tor leaves a lookup on a circuit that gives no answer, where its `CircuitStreamTimeout` is
/// 0, as by default (`compute_retry_timeout`). It counts whole seconds, so that it may be one less.
const STREAM_TIMEOUT: Duration = Duration::from_secs(10);

/// Options of tor by name, with their values; none for tor's default. An option that takes a list stands
/// once for each entry.
pub(crate) type Options = Vec<(String, Option<String>)>;

/// Tor's option that leaves new streams to us.
const LEAVE_STREAMS: &str = "__LeaveStreamsUnattached";

/// Tor's option by which it answers lookups as a name server.
const DNS_PORT: &str = "DNSPort";

/// Tor's option by which SIGHUP, as logrotate sends it each day, has it read its configuration again,
/// and not its log files alone.
///
/// A tor that closes a DNSPort while a lookup by it is under way writes the answer to whatever has got
/// that port's descriptor since, and dies by signal 11 (seen with 0.4.9.11). Reading its configuration
/// again closes the port that a scan has opened. So it waits until the scan gives way.
const RELOAD_ON_HUP: &str = "__ReloadTorrcOnSIGHUP";

/// Why there is no tor to scan through.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// Our own does not run.
    #[error(transparent)]
    Own(#[from] OwnTorError),
    /// Its control port failed.
    #[error(transparent)]
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
    /// What it answers would not be the answers of exits.
    #[error("this tor cannot serve a scan: {0}")]
    Unfit(String),
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
    /// Its SOCKS port: the first, until [`Session::begin`] has found one that serves.
    pub socks: SocksAddr,
    socks_ports: Vec<SocksAddr>,
    /// Its DNSPort; none until the tor is claimed, where it had none.
    pub dns: Option<SocketAddr>,
    /// Its version.
    pub version: String,
    own: Option<OwnTor>,
}

/// How a session was found, to be put back: kept apart from the session, so that a tor that is
/// lost and comes back is still left as it was found first.
#[derive(Debug)]
pub struct Found {
    domain: Domain,
    options: Options,
    /// What is set instead.
    set: Options,
    claim: Option<Claim>,
    guard: Option<Guard>,
}

/// The options that a scan sets, each with its reason. Those that change how other programs' streams
/// fare are for a tor of our own alone.
fn scan_options(own: bool, query_timeout: Duration) -> Vec<(&'static str, String)> {
    // Streams wait for us to attach them.
    let mut options = vec![(LEAVE_STREAMS, "1".to_owned())];
    if own {
        // Nobody needs circuits in advance.
        options.push(("__DisablePredictedCircuits", "1".to_owned()));
        // Tor detaches a stream without an answer after 10 s by default (measured), which would
        // cut longer timeouts short.
        let patience = (query_timeout.as_secs() + 30).max(60).to_string();
        options.push(("CircuitStreamTimeout", patience));
    }
    options
}

impl Source {
    /// Whether the tor is the scanner's own.
    #[must_use]
    pub const fn is_own(&self) -> bool {
        matches!(self, Self::Own(_))
    }

    /// Connects to the tor, starting it where it is ours, waits until it has bootstrapped, and
    /// finds its ports. It changes nothing in it: [`Session::claim`] and [`Session::begin`] do.
    ///
    /// # Errors
    ///
    /// [`SessionError`].
    pub async fn open(
        &self,
        bootstrap_limit: Duration,
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
        let (control, events) = Control::connect(&address, &by(password)).await?;
        let mut own = own;
        if own.is_some() {
            control.take_ownership().await?;
        }
        bootstrapped(&control, &mut own, bootstrap_limit, watch).await?;
        let version = String::from_utf8_lossy(&one(&control, "version").await?).into_owned();
        let version = version.split_whitespace().next().unwrap_or("unknown").to_owned();

        let socks_ports = match listeners(&control, "net/listeners/socks").await? {
            Ok(addresses) => addresses,
            Err(answer) => {
                return Err(SessionError::NoListener {
                    what: "SOCKS",
                    key: "socks",
                    answer,
                    option: "SocksPort",
                });
            }
        };
        let dns = tcp_listener(&control, "net/listeners/dns").await?.ok();
        let socks = socks_ports[0].clone();
        Ok(Session { control, events, socks, socks_ports, dns, version, own })
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
        put_back_at(address, password.as_ref(), &found.options, &found.domain).await?;
        Ok(())
    }

    /// Leaves the guard with nothing to do: what was changed has been put back.
    pub fn done(&self, found: &mut Found) {
        if let Some(guard) = found.guard.take() {
            guard.dismiss();
        }
    }

    /// How long a query may take: `wanted`, or less where a running tor would give it up before.
    ///
    /// # Errors
    ///
    /// [`SessionError::Control`].
    pub async fn query_limit(
        &self,
        session: &Session,
        wanted: Duration,
    ) -> Result<Duration, SessionError> {
        if self.is_own() {
            return Ok(wanted);
        }
        let conf = session.control.get_conf(&["CircuitStreamTimeout"]).await?;
        let set = conf.first().and_then(|(_, value)| value.as_deref()?.parse().ok()).unwrap_or(0);
        let tors = if set == 0 { STREAM_TIMEOUT } else { Duration::from_secs(set) };
        let most = tors.saturating_sub(Duration::from_secs(1)).max(Duration::from_secs(1));
        if wanted > most {
            tracing::info!(
                "this tor gives a lookup up after {} s (CircuitStreamTimeout), and it is not ours to \
                 change: a query may take {} s instead of {} s",
                tors.as_secs_f64(),
                most.as_secs_f64(),
                wanted.as_secs_f64()
            );
        }
        Ok(wanted.min(most))
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
                    let opened = self.open(bootstrap_limit, watch).await;
                    let error = match opened {
                        Ok(mut session) => {
                            match session.begin_with(self, query_timeout, found).await {
                                Ok(()) => return Ok(session),
                                Err(error) => error,
                            }
                        }
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
            let opened = self.open(bootstrap_limit, watch).await;
            let cause = match opened {
                Ok(mut session) => match session.begin_with(self, query_timeout, found).await {
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

    /// Claims a running tor for this scan, unless it did so before, and opens a DNSPort where there
    /// is none. What was changed is noted in `found` at once, so that [`Session::leave`] or
    /// [`Source::restore`] can put it back whatever happens next, and in the hands of a guard, which
    /// does so where this process no longer can.
    ///
    /// # Errors
    ///
    /// [`SessionError::InUse`] where another scan has; [`SessionError::NoListener`];
    /// [`SessionError::Control`].
    pub async fn claim(&mut self, source: &Source, found: &mut Found) -> Result<(), SessionError> {
        if self.own.is_none() {
            found.claim = Claim::take(&self.control, found.claim.take()).await?;
        }
        self.dns = Some(match tcp_listener(&self.control, "net/listeners/dns").await? {
            Ok(address) => address,
            Err(_) => {
                let opened =
                    [(RELOAD_ON_HUP, "0".to_owned()), (DNS_PORT, "127.0.0.1:auto".to_owned())];
                found.set(source, &self.control, &opened).await?;
                let opened = tcp_listener(&self.control, "net/listeners/dns").await?;
                opened.map_err(|answer| SessionError::NoListener {
                    what: "DNS",
                    key: "dns",
                    answer,
                    option: DNS_PORT,
                })?
            }
        });
        Ok(())
    }

    /// Makes tor ready for the lookups of a scan, also where somebody has changed its options since.
    /// From here on, the events have to be read all the time: new streams, everybody's, wait until
    /// somebody says what is to become of them.
    ///
    /// # Errors
    ///
    /// [`SessionError`], as of [`Session::claim`].
    pub async fn begin(
        &mut self,
        source: &Source,
        query_timeout: Duration,
        found: &mut Found,
    ) -> Result<(), SessionError> {
        self.claim(source, found).await?;
        self.control.set_events(&EVENTS).await?;
        let options = scan_options(self.own.is_some(), query_timeout);
        found.set(source, &self.control, &options).await?;
        // Streams that came while nobody was told of them.
        give_back(&self.control, &found.domain).await?;
        Ok(())
    }

    /// The same at the start, with no attempt under way: finds a SOCKS port that serves.
    ///
    /// # Errors
    ///
    /// As [`Session::begin`]; [`SessionError::Unfit`] where none of its ports serves.
    pub async fn begin_with(
        &mut self,
        source: &Source,
        query_timeout: Duration,
        found: &mut Found,
    ) -> Result<(), SessionError> {
        self.begin(source, query_timeout, found).await?;
        let (ports, dns) = (&self.socks_ports, self.dns);
        let serves =
            preflight::try_ports(&self.control, &mut self.events, ports, dns, &found.domain);
        self.socks = serves.await?;
        Ok(())
    }

    /// Whether its settings allow a scan for names under `domain`.
    ///
    /// # Errors
    ///
    /// [`SessionError::Unfit`] with the cause; [`SessionError::Control`].
    pub async fn look(&self, domain: &Domain, wall: DateTime<Utc>) -> Result<(), SessionError> {
        preflight::look(&self.control, &self.version, domain, self.own.is_some(), wall).await
    }

    /// Lets a running tor read its configuration again, as somebody wants it to: puts its options
    /// back, with the scan's own lookups closed, has it read, and begins again with what is set then.
    ///
    /// # Errors
    ///
    /// [`SessionError`], as of [`Session::begin`].
    pub async fn give_way(
        &mut self,
        source: &Source,
        query_timeout: Duration,
        found: &mut Found,
    ) -> Result<(), SessionError> {
        // What changes now is told to nobody: `begin` notes it anew, and listens again.
        self.control.set_events(&TRAFFIC).await?;
        if let Source::Running(address, password) = source {
            put_back(&self.control, &found.options, &found.domain).await?;
            found.options.clear();
            found.set.clear();
            let (control, mut events) = Control::connect(address, &by(password.clone())).await?;
            control.set_events(&[EventKind::Signal]).await?;
            control.signal(Signal::Reload).await?;
            let read = async {
                while let Some(event) = events.next().await {
                    if wants_reload(&event.event) {
                        break;
                    }
                }
            };
            if tokio::time::timeout(RELOAD_LIMIT, read).await.is_err() {
                tracing::warn!(
                    "tor did not confirm within {} s that it has read its configuration again",
                    RELOAD_LIMIT.as_secs()
                );
            }
        }
        self.begin(source, query_timeout, found).await
    }

    /// Leaves tor: a running one with its options as they were found and other programs' streams
    /// in its own hands, our own ended.
    ///
    /// # Errors
    ///
    /// The options could not be put back.
    pub async fn leave(self, found: &Found) -> Result<(), SessionError> {
        match self.own {
            Some(own) => {
                drop(self.control);
                drop(self.events);
                own.stop().await;
                Ok(())
            }
            None => Ok(put_back(&self.control, &found.options, &found.domain).await?),
        }
    }

    /// Drops a session whose tor is lost, ending what may be left of our own.
    pub async fn abandon(self) {
        if let Some(own) = self.own {
            own.stop().await;
        }
    }
}

/// Puts options back that a scan has changed, and what it has kept into tor's hands. The DNSPort goes
/// last, when no lookup of the scan is under way any more: see [`RELOAD_ON_HUP`].
async fn put_back(control: &Control, options: &Options, domain: &Domain) -> Result<(), Error> {
    if options.is_empty() {
        return Ok(());
    }
    let last = |(key, _): &&(String, Option<String>)| [DNS_PORT, RELOAD_ON_HUP].contains(&&**key);
    set(control, options.iter().filter(|option| !last(option))).await?;
    give_back(control, domain).await?;
    if options.iter().any(|option| last(&option)) {
        // What was sent to the port just before, tor may still have to read.
        let end = now() + LAST_LOOKUPS_LIMIT;
        let mut quiet = 0;
        while quiet < LAST_LOOKUPS_LOOKS && now() < end {
            tokio::time::sleep(LAST_LOOKUPS_POLL).await;
            quiet = if give_back(control, domain).await? == 0 { quiet + 1 } else { 0 };
        }
    }
    set(control, options.iter().filter(last)).await
}

async fn set<'a>(
    control: &Control,
    options: impl Iterator<Item = &'a (String, Option<String>)>,
) -> Result<(), Error> {
    let entries: Vec<_> = options.map(|(key, value)| (key.as_str(), value.as_deref())).collect();
    if entries.is_empty() { Ok(()) } else { control.set_conf(&entries).await }
}

/// Whether an event tells that somebody wants tor to read its configuration again.
pub(crate) fn wants_reload(event: &Event) -> bool {
    matches!(event, Event::Other { keyword, text } if keyword == "SIGNAL" && text == "RELOAD")
}

fn by(password: Option<Password>) -> ConnectOptions {
    ConnectOptions { password, timeout: HANDSHAKE_LIMIT, reply_timeout: REPLY_LIMIT }
}

/// [`put_back`] by a connection of its own.
///
/// # Errors
///
/// [`Error`]: tor is not reachable, or refused.
pub(crate) async fn put_back_at(
    address: &ControlAddr,
    password: Option<&Password>,
    options: &Options,
    domain: &Domain,
) -> Result<(), Error> {
    let (control, _events) = Control::connect(address, &by(password.cloned())).await?;
    put_back(&control, options, domain).await
}

/// Gives back the streams that wait for a controller and that no event tells of, or will: tor does
/// not take them up by itself, and they would wait until it gives them up after two minutes. A
/// scan's own lookups are closed, waiting or under way: nobody waits for them any more. Answers how many
/// those were.
async fn give_back(control: &Control, domain: &Domain) -> Result<usize, Error> {
    let status = one(control, "stream-status").await?;
    let mut replies = Vec::new();
    let mut closed = 0;
    for stream in StreamEvent::all(&status) {
        if domain.made(&stream.target) {
            closed += 1;
            replies.push(control.submit(Command::CloseStream(stream.id)));
        } else if waits_for_us(&stream) {
            replies.push(control.submit(Command::AttachStream(stream.id, None)));
        }
    }
    for reply in replies {
        match reply.await {
            // It has gone by itself, or tor has it already.
            Err(error) if error.kind() != ErrorKind::Refused => return Err(error),
            _ => {}
        }
    }
    Ok(closed)
}

impl Found {
    /// Nothing is changed yet. Lookups under `domain` are the scan's.
    #[must_use]
    pub fn new(domain: Domain) -> Self {
        Self { domain, options: Vec::new(), set: Vec::new(), claim: None, guard: None }
    }

    /// Whether tor reads its configuration again when the scan gives way, and not before.
    pub(crate) fn puts_off_reload(&self) -> bool {
        self.set.iter().any(|(key, _)| key == RELOAD_ON_HUP)
    }

    /// Whether an option has been changed by others since it was set: the scan then has to begin
    /// again with this tor. What it is now is how it will be left: somebody wanted it so, as by
    /// having tor read its configuration again.
    pub fn changed(&mut self, source: &Source, changes: &Options) -> bool {
        let mut lost = false;
        for (key, ours) in &self.set {
            let this = |(other, _): &&(String, Option<String>)| other.eq_ignore_ascii_case(key);
            let now: Vec<_> = changes.iter().filter(this).cloned().collect();
            if now.is_empty() || now.iter().any(|(_, value)| value == ours) {
                continue;
            }
            lost = true;
            self.options.retain(|(known, _)| known != key);
            self.options.extend(now.into_iter().map(|(_, value)| (key.clone(), value)));
        }
        if lost {
            self.instruct(source);
        }
        lost
    }

    /// Sets options, once their values are noted and in the guard's hands.
    async fn set(
        &mut self,
        source: &Source,
        control: &Control,
        options: &[(&'static str, String)],
    ) -> Result<(), Error> {
        for (key, value) in options {
            if !self.options.iter().any(|(known, _)| known == key) {
                self.note(control, key).await?;
            }
            self.set.retain(|(known, _)| known != key);
            self.set.push(((*key).to_owned(), Some(value.clone())));
        }
        self.instruct(source);
        let entries: Vec<(&str, Option<&str>)> =
            options.iter().map(|(key, value)| (*key, Some(value.as_str()))).collect();
        control.set_conf(&entries).await
    }

    async fn note(&mut self, control: &Control, key: &str) -> Result<(), Error> {
        let values = control.get_conf(&[key]).await?;
        if key == LEAVE_STREAMS && values.iter().any(|(_, v)| v.as_deref() == Some("1")) {
            tracing::warn!(
                "{LEAVE_STREAMS} is already 1 in this tor: another controller is using it, or a scan \
                 and its guard were killed before they could put it back. It will be left so. If \
                 nobody uses it, set it to 0, or other programs' streams through this tor wait for ever"
            );
        }
        // The scan's own spelling of the key, whatever tor's is.
        self.options.extend(values.into_iter().map(|(_, value)| (key.to_owned(), value)));
        Ok(())
    }

    /// Tells the guard what to put back, starting it where there is none.
    fn instruct(&mut self, source: &Source) {
        let Source::Running(address, password) = source else { return };
        let hold =
            |guard: &Guard| guard.hold(address, password.as_ref(), &self.domain, &self.options);
        if self.guard.as_ref().is_some_and(|guard| hold(guard).is_ok()) {
            return;
        }
        let started = Guard::start(self.claim.as_ref()).and_then(|guard| {
            hold(&guard)?;
            Ok(guard)
        });
        match started {
            Ok(guard) => self.guard = Some(guard),
            Err(error) => {
                self.guard = None;
                tracing::warn!(
                    "cannot start the process that would put tor's options back if this one were \
                     killed: {error}. Do not kill it with SIGKILL"
                );
            }
        }
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

/// The addresses that tor listens at; its whole answer where there is none.
async fn listeners(
    control: &Control,
    key: &str,
) -> Result<Result<Vec<SocksAddr>, String>, SessionError> {
    let answer = one(control, key).await?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    // "127.0.0.1:9050" "unix:/run/tor/socks": quoted, separated by blanks.
    let parts = answer.split('"').map(str::trim).filter(|part| !part.is_empty());
    let addresses: Vec<SocksAddr> = parts.filter_map(|text| text.parse().ok()).collect();
    Ok(if addresses.is_empty() { Err(answer) } else { Ok(addresses) })
}

/// The first of them.
async fn listener(control: &Control, key: &str) -> Result<Result<SocksAddr, String>, SessionError> {
    Ok(listeners(control, key).await?.map(|mut addresses| addresses.swap_remove(0)))
}

/// The TCP or UDP address that tor listens at; its whole answer where there is none.
async fn tcp_listener(
    control: &Control,
    key: &str,
) -> Result<Result<SocketAddr, String>, SessionError> {
    Ok(match listener(control, key).await? {
        Ok(SocksAddr::Tcp(address)) => Ok(address),
        Ok(other) => Err(other.to_string()),
        Err(answer) => Err(answer),
    })
}

#[expect(clippy::disallowed_methods, reason = "an edge: waits for tor by the clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_others_change_are_set_again_and_left_as_they_want_them() {
        let source = Source::Running("127.0.0.1:1".parse().unwrap(), None);
        let mut found = Found::new("example.com".parse().unwrap());
        let option = |key: &str, value: Option<&str>| (key.to_owned(), value.map(str::to_owned));
        found.options = vec![option(LEAVE_STREAMS, None), option("DNSPort", None)];
        found.set =
            vec![option(LEAVE_STREAMS, Some("1")), option("DNSPort", Some("127.0.0.1:auto"))];
        let ours = found.set.clone();
        assert!(!found.changed(&source, &ours), "that was us");
        assert!(!found.changed(&source, &vec![option("ContactInfo", Some("x"))]));
        let reloaded = vec![option("__leavestreamsunattached", Some("0")), option("DNSPort", None)];
        assert!(found.changed(&source, &reloaded));
        assert_eq!(found.options, [option(LEAVE_STREAMS, Some("0")), option("DNSPort", None)]);
        let two = vec![option("DNSPort", Some("53")), option("DNSPort", Some("54"))];
        assert!(found.changed(&source, &two));
        assert_eq!(found.options[1..], two);
    }

    #[test]
    fn reads_the_bootstrap_phase() {
        let phase = "NOTICE BOOTSTRAP PROGRESS=90 TAG=ap_handshake SUMMARY=\"Hand\u{1b}shaking\"";
        assert_eq!(bootstrap_phase(phase), (90, "Hand\\u{1b}shaking".to_owned()));
        assert_eq!(bootstrap_phase("garbage PROGRESS=999").0, 0);
    }
}
