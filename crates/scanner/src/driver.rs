//! Performs what the schedule wants, and tells it what happened: the one place where sockets,
//! clock, signals and decisions meet. One task; a future for each request under way.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::mpsc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use futures_util::future::Future;
use futures_util::stream::{FuturesUnordered, StreamExt};
use hickory_proto::rr::RecordType;
use record::{RelayResult, Via};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_socks::TargetAddr;
use tor_control::{Command, ErrorKind, Event as TorEvent, Purpose};

use crate::ask;
use crate::probe::{SocketReply, To};
use crate::progress::{Bootstrap, Progress, Screen};
use crate::results::{AnalysisDir, ResultsError};
use crate::schedule::{Action, Notice, ProbeId, Scan, ScanEvent};
use crate::session::{Found, Session, SessionError, Source, wants_reload};
use crate::signals::Signals;

/// How often progress is shown while nothing happens.
const SHOW_EVERY: Duration = Duration::from_millis(500);

/// How long a result may wait for others that are written with it. It is not confirmed before.
const GATHER: Duration = Duration::from_millis(200);

/// A query's socket is dropped this long after the query's own limit: the attempt has long ended.
const SOCKET_SLACK: Duration = Duration::from_secs(30);

/// Why a scan ended.
#[derive(Debug)]
pub enum ScanEnd {
    /// Every relay has its final result.
    Finished,
    /// A signal, by name.
    Interrupted(&'static str),
    /// Tor was lost for good.
    TorGone(SessionError),
    /// The schedule could not go on; why.
    GaveUp(String),
    /// A result could not be written.
    CannotWrite(ResultsError),
}

/// What a scan leaves besides its results.
#[derive(Debug)]
pub struct ScanOutcome {
    /// Why it ended.
    pub ended: ScanEnd,
    /// The tor, where there is one still.
    pub session: Option<Session>,
    /// How often tor was lost and came back.
    pub restarts: u32,
}

/// Everything that a scan works with.
#[derive(Debug)]
pub struct Driver<'a, 's> {
    /// What is done.
    pub scan: &'a mut Scan,
    /// The wall clock's zero of the scan's time.
    pub started: Instant,
    /// How tor is got back.
    pub source: &'a Source,
    /// What must be put back in it.
    pub found: &'a mut Found,
    /// Its limit to bootstrap.
    pub bootstrap_limit: Duration,
    /// How long a running one that is lost is waited for.
    pub tor_wait: Duration,
    /// The limit of a query.
    pub query_timeout: Duration,
    /// Signals to this process.
    pub signals: &'a mut Signals,
    /// Where results go.
    pub writer: &'a mut Writer,
    /// Where log lines go.
    pub screen: &'a Screen,
    /// Who shows the progress.
    pub progress: &'a mut Progress<'s>,
}

type Waited = Pin<Box<dyn Future<Output = Option<ScanEvent>>>>;
type Pending = FuturesUnordered<Waited>;

enum Turn {
    Over(ScanEnd),
    Happened(ScanEvent, Instant),
    Nothing,
    TorLost,
    /// Somebody changed tor's options.
    OptionsLost(Instant),
    /// Somebody wants tor to read its configuration again, which the scan has put off.
    WantsReload(Instant),
}

impl Driver<'_, '_> {
    /// Runs the scan to its end, whatever that is. `follow` sees every report.
    pub async fn run(&mut self, session: Session, mut follow: impl FnMut(&Notice)) -> ScanOutcome {
        let mut session = session;
        let mut pending: Pending = FuturesUnordered::new();
        let mut restarts = 0;
        let mut events = vec![(ScanEvent::Tick, now())];
        let ended = 'scan: loop {
            for (event, at) in events.drain(..) {
                let actions = self.step(event, at);
                for action in actions {
                    if let Action::GiveUp(why) = action {
                        break 'scan ScanEnd::GaveUp(why);
                    }
                    self.act(action, &session, &pending, &mut follow);
                }
            }
            if self.scan.finished() {
                break ScanEnd::Finished;
            }
            match self.turn(&mut session, &mut pending).await {
                Turn::Over(ended) => break ended,
                Turn::Happened(event, at) => events.push((event, at)),
                Turn::Nothing => {}
                Turn::OptionsLost(at) => {
                    events.push((ScanEvent::OptionsLost, at));
                    if let Err(error) = self.set_options_again(&mut session).await {
                        break ScanEnd::TorGone(error);
                    }
                }
                Turn::WantsReload(at) => {
                    let actions = self.step(ScanEvent::OptionsLost, at);
                    self.act_all(actions, &session, &pending, &mut follow);
                    if let Err(error) = self.let_tor_reload(&mut session).await {
                        break ScanEnd::TorGone(error);
                    }
                }
                Turn::TorLost => match self.reconnect(session, &mut pending, &mut follow).await {
                    Ok(back) => {
                        session = back;
                        restarts += 1;
                        events.push((ScanEvent::TorBack, now()));
                    }
                    Err(ended) => return ScanOutcome { ended, session: None, restarts },
                },
            }
        };
        if !matches!(ended, ScanEnd::Finished) {
            let actions = self.stop();
            self.act_all(actions, &session, &pending, &mut follow);
        }
        flush(&session, pending).await;
        ScanOutcome { ended, session: Some(session), restarts }
    }

    /// Sets what somebody has changed in tor. That tor goes away meanwhile, its events say next.
    async fn set_options_again(&mut self, session: &mut Session) -> Result<(), SessionError> {
        tracing::warn!(
            "somebody changed the options that the scan had set in tor (it may have read its \
             configuration again); setting them again"
        );
        let begun = session.begin(self.source, self.query_timeout, self.found).await;
        if session.events.lost().is_some() { Ok(()) } else { begun }
    }

    /// Lets tor read its configuration. That tor goes away meanwhile, its events say next.
    async fn let_tor_reload(&mut self, session: &mut Session) -> Result<(), SessionError> {
        tracing::warn!(
            "tor was asked to read its configuration again; the scan stops its lookups, lets tor \
             read it, and continues"
        );
        let read = session.give_way(self.source, self.query_timeout, self.found).await;
        if session.events.lost().is_some() { Ok(()) } else { read }
    }

    /// Leaves a tor that was lost, and connects to it again; how the scan ended if it cannot go on.
    async fn reconnect(
        &mut self,
        mut session: Session,
        pending: &mut Pending,
        follow: &mut impl FnMut(&Notice),
    ) -> Result<Session, ScanEnd> {
        tracing::warn!(
            "tor was lost in the middle of the scan; getting it back: {}",
            lost(&mut session)
        );
        pending.clear();
        let actions = self.step(ScanEvent::TorLost, now());
        self.act_all(actions, &session, pending, follow);
        session.abandon().await;
        if self.scan.finished() {
            return Err(ScanEnd::Finished);
        }
        let back = self.reopen().await;
        match &back {
            Ok(_) => tracing::info!("tor is back; the scan goes on"),
            Err(_) => {
                // What has been tried so far is told even now.
                for action in self.stop() {
                    if let Action::Tell(report) = action {
                        self.tell(report, follow);
                    }
                }
            }
        }
        back
    }

    /// Ends the scan early.
    fn stop(&mut self) -> Vec<Action> {
        self.scan.stop(now().saturating_duration_since(self.started))
    }

    /// Tells the schedule what happened at this time, and what the wall clock said then.
    fn step(&mut self, event: ScanEvent, at: Instant) -> Vec<Action> {
        let ago = chrono::Duration::from_std(now().saturating_duration_since(at));
        self.scan.set_wall_clock(wall_clock() - ago.unwrap_or_default());
        self.scan.step(event, at.saturating_duration_since(self.started))
    }

    async fn turn(&mut self, session: &mut Session, pending: &mut Pending) -> Turn {
        let wake = self.scan.wake_at().map(|at| self.started + at);
        let timer = async {
            match wake {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // In this order, and events before everything that answers: the answer to a ping says
            // that every event from before has come, so those must be taken in first. After a
            // pause of this process or of tor both wait here at once.
            biased;
            signal = self.signals.next() => Turn::Over(ScanEnd::Interrupted(signal)),
            error = self.writer.failure() => Turn::Over(ScanEnd::CannotWrite(error)),
            stamped = session.events.next() => match stamped {
                None => Turn::TorLost,
                Some(stamped) => match stamped.event {
                    TorEvent::Circuit(event) => {
                        Turn::Happened(ScanEvent::Circuit(event), stamped.at.into())
                    }
                    TorEvent::CircuitMinor(event) => {
                        Turn::Happened(ScanEvent::CircuitMinor(event), stamped.at.into())
                    }
                    TorEvent::Stream(event) => {
                        Turn::Happened(ScanEvent::Stream(event), stamped.at.into())
                    }
                    TorEvent::ConfChanged(changes) => {
                        if self.found.changed(self.source, &changes) {
                            Turn::OptionsLost(stamped.at.into())
                        } else {
                            Turn::Nothing
                        }
                    }
                    // A tor that had a DNSPort has done so already, and says what changed.
                    event if wants_reload(&event) && self.found.puts_off_reload() => {
                        Turn::WantsReload(stamped.at.into())
                    }
                    other => {
                        tracing::debug!("an event that says nothing about the scan: {other:?}");
                        Turn::Nothing
                    }
                },
            },
            Some(event) = pending.next(), if !pending.is_empty() => match event {
                Some(event) => Turn::Happened(event, now()),
                None => Turn::Nothing,
            },
            () = timer => Turn::Happened(ScanEvent::Tick, now()),
            () = tokio::time::sleep(SHOW_EVERY) => {
                self.progress.tick();
                Turn::Nothing
            }
        }
    }

    async fn reopen(&mut self) -> Result<Session, ScanEnd> {
        let mut watch = Bootstrap::new(self.screen);
        let back = self.source.reopen(
            self.bootstrap_limit,
            self.query_timeout,
            self.tor_wait,
            self.found,
            &mut watch,
        );
        tokio::select! {
            back = back => back.map_err(ScanEnd::TorGone),
            signal = self.signals.next() => Err(ScanEnd::Interrupted(signal)),
        }
    }

    /// Everybody who follows the scan hears the same.
    fn tell(&mut self, report: Notice, follow: &mut impl FnMut(&Notice)) {
        self.progress.report(&report);
        follow(&report);
        if let Notice::Result { result, .. } = report {
            self.writer.write(*result);
        }
    }

    fn act_all(
        &mut self,
        actions: Vec<Action>,
        session: &Session,
        pending: &Pending,
        follow: &mut impl FnMut(&Notice),
    ) {
        for action in actions {
            self.act(action, session, pending, follow);
        }
    }

    fn act(
        &mut self,
        action: Action,
        session: &Session,
        pending: &Pending,
        follow: &mut impl FnMut(&Notice),
    ) {
        let control = session.control.clone();
        match action {
            Action::Launch(id, path) => {
                // A controller's circuit: tor puts nobody else's streams on it.
                let command = Command::ExtendCircuit(path.to_vec(), Purpose::Controller);
                let reply = control.submit(command);
                pending.push(Box::pin(async move {
                    match reply.await.and_then(|reply| reply.circuit()) {
                        Ok(circuit) => Some(ScanEvent::Launched(id, circuit)),
                        // The end of the events says so for the whole scan.
                        Err(error) if is_lost(error.kind()) => None,
                        Err(error) => Some(ScanEvent::LaunchRefused(id, words(error))),
                    }
                }));
            }
            Action::Ask(id, via, name) => pending.push(self.ask(session, id, via, name)),
            Action::Connect(id, to, key) => pending.push(self.connect(session, id, to, key)),
            Action::Attach(stream, circuit) => {
                // Tor takes a lookup on a general circuit alone, and attaches everybody's streams to
                // those: so it is one for as long as this takes, in which tor does nothing else.
                let purpose = |purpose| Command::SetCircuitPurpose(circuit.clone(), purpose);
                let [_, attached, _] = control.submit_together([
                    &purpose(Purpose::General),
                    &Command::AttachStream(stream.clone(), Some(circuit.clone())),
                    &purpose(Purpose::Controller),
                ]);
                pending.push(Box::pin(async move {
                    match attached.await {
                        Ok(_) => None,
                        Err(error) if is_lost(error.kind()) => None,
                        Err(error) => Some(ScanEvent::AttachRefused(stream, words(error))),
                    }
                }));
            }
            Action::Ping => {
                let reply = control.submit(Command::GetInfo(vec!["version".to_owned()]));
                pending.push(Box::pin(async move {
                    match reply.await {
                        Err(error) if is_lost(error.kind()) => None,
                        // Whatever it says, it speaks.
                        _ => Some(ScanEvent::Pong),
                    }
                }));
            }
            // Tor refuses these where the thing has just gone by itself: no trouble.
            Action::GiveBack(stream) => {
                pending.push(ignore(control.submit(Command::AttachStream(stream, None))));
            }
            Action::CloseStream(stream) => {
                pending.push(ignore(control.submit(Command::CloseStream(stream))));
            }
            Action::CloseCircuit(circuit) => {
                pending.push(ignore(control.submit(Command::CloseCircuit(circuit))));
            }
            Action::Tell(report) => self.tell(report, follow),
            // Acted on where the scan is run.
            Action::GiveUp(_) => {}
        }
    }

    fn connect(&self, session: &Session, id: ProbeId, to: To, key: String) -> Waited {
        let socks = session.socks.clone();
        let target = match to {
            To::Door(address) => TargetAddr::Ip(address),
            To::Name(port) => TargetAddr::Domain(key.clone().into(), port),
        };
        let user = key.clone();
        self.replied(id, key, async move { ask::connect(&socks, &target, &user).await })
    }

    fn ask(&self, session: &Session, id: ProbeId, via: Via, name: String) -> Waited {
        let socks = session.socks.clone();
        let dns = session.dns;
        // Any 16 bits of the name's own randomness.
        let query_id = name.bytes().fold(0_u16, |id, byte| id.rotate_left(5) ^ u16::from(byte));
        let asked = name.clone();
        self.replied(id, name, async move {
            let kind = match via {
                Via::Socks => return ask::socks(&socks, &asked).await,
                Via::Connect => return SocketReply::Failed("a connection is no lookup".to_owned()),
                Via::DnsPortA => RecordType::A,
                Via::DnsPortAaaa => RecordType::AAAA,
            };
            match dns {
                Some(dns) => ask::dns_port(dns, &asked, kind, query_id).await,
                None => SocketReply::Failed("tor has no DNSPort".to_owned()),
            }
        })
    }

    /// The reply to the query with this key, if it comes in time.
    fn replied(
        &self,
        id: ProbeId,
        key: String,
        reply: impl Future<Output = SocketReply> + 'static,
    ) -> Waited {
        let limit = self.query_timeout + SOCKET_SLACK;
        Box::pin(async move {
            // Bytes from outside are parsed in there: a panic is this attempt's, not the scan's.
            let reply = AssertUnwindSafe(tokio::time::timeout(limit, reply)).catch_unwind();
            match reply.await {
                Ok(Ok(reply)) => Some(ScanEvent::Reply(id, key, reply)),
                Ok(Err(_)) => None,
                Err(_) => Some(ScanEvent::Fault(id, "the scanner failed while asking".to_owned())),
            }
        })
    }
}

/// Waits a moment for what has been submitted: circuits are closed before tor is left.
async fn flush(session: &Session, mut pending: Pending) {
    let control = session.control.clone();
    let answered = async {
        while let Some(event) = pending.next().await {
            // A circuit that tor was still to name when the scan ended is nobody's.
            if let Some(ScanEvent::Launched(_, circuit)) = event {
                pending.push(ignore(control.submit(Command::CloseCircuit(circuit))));
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_millis(500), answered).await;
}

fn ignore(
    reply: impl Future<Output = Result<tor_control::Reply, tor_control::Error>> + 'static,
) -> Waited {
    Box::pin(async move {
        if let Err(error) = reply.await {
            tracing::trace!("tor did not close or give back something: {error}");
        }
        None
    })
}

/// What tor said, where it refused.
fn words(error: tor_control::Error) -> String {
    match error {
        tor_control::Error::Refused { code, text, .. } => format!("{code} {text}"),
        other => other.to_string(),
    }
}

const fn is_lost(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Lost | ErrorKind::Silent)
}

fn lost(session: &mut Session) -> String {
    match (session.ended(), session.events.lost()) {
        (Some(error), _) => error.to_string(),
        (None, Some(error)) => error.to_string(),
        (None, None) => "the control connection was closed".to_owned(),
    }
}

#[expect(clippy::disallowed_methods, reason = "an edge: results are stamped from here")]
fn wall_clock() -> DateTime<Utc> {
    Utc::now()
}

#[expect(clippy::disallowed_methods, reason = "an edge: the scan's time comes from here")]
fn now() -> Instant {
    Instant::now()
}

/// Writes results in a thread of its own, many at once: waiting for the disk takes milliseconds, in
/// which events of tor would be stamped late, and every such wait costs whoever uses the disk.
#[derive(Debug)]
pub struct Writer {
    results: Option<mpsc::Sender<RelayResult>>,
    failed: oneshot::Receiver<ResultsError>,
    thread: Option<std::thread::JoinHandle<AnalysisDir>>,
}

impl Writer {
    /// A writer into this directory.
    #[must_use]
    pub fn new(mut dir: AnalysisDir) -> Self {
        let (results, queue) = mpsc::channel();
        let (fail, failed) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            if let Err(error) = write_all(&mut dir, &queue) {
                let _ = fail.send(error);
            }
            dir
        });
        Self { results: Some(results), failed, thread: Some(thread) }
    }

    fn write(&self, result: RelayResult) {
        // After a failure nobody takes results any more; the failure itself ends the scan.
        if let Some(results) = &self.results {
            let _ = results.send(result);
        }
    }

    /// Waits for a failure to write.
    async fn failure(&mut self) -> ResultsError {
        match (&mut self.failed).await {
            Ok(error) => error,
            // The writer goes on for as long as there is nothing to tell.
            Err(_) => std::future::pending().await,
        }
    }

    /// Waits until everything is written, and gives the directory back.
    ///
    /// # Errors
    ///
    /// Why a result could not be written.
    pub fn finish(mut self) -> Result<AnalysisDir, ResultsError> {
        drop(self.results.take());
        let dir = self.thread.take().and_then(|thread| thread.join().ok());
        match (self.failed.try_recv(), dir) {
            (Ok(error), _) => Err(error),
            (Err(_), Some(dir)) => Ok(dir),
            (Err(_), None) => unreachable!("the writing thread does not panic"),
        }
    }
}

/// Writes what comes, until there is nobody left who could send more.
fn write_all(
    dir: &mut AnalysisDir,
    queue: &mpsc::Receiver<RelayResult>,
) -> Result<(), ResultsError> {
    while let Ok(first) = queue.recv() {
        let mut batch = vec![first];
        let until = now() + GATHER;
        while let Ok(more) = queue.recv_timeout(until.saturating_duration_since(now())) {
            batch.push(more);
        }
        dir.keep(&batch)?;
    }
    dir.settle()
}
