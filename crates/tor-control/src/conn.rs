//! The connection: one task that owns the socket, and the handles that speak to it.
//!
//! Owns the order of things: commands are written in the order of their submission, tor answers in
//! that order, and each answer goes to the one who asked, or nowhere if they have gone. Owns the
//! clock too. Reads no meaning into replies and events: the pure files do.

use std::borrow::Borrow;
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::StreamExt;
use record::Fingerprint;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::codec::{Encoder, FramedRead};

use crate::auth::{self, Password, Peer, ProtocolInfo};
use crate::line::ReplyLine;
use crate::prompt::Prompt;
use crate::reply::{Codec, DecodeError, Message};
use crate::{
    CircuitId, Command, ControlAddr, Error, Event, EventKind, Purpose, Reply, Signal, StreamId,
};

/// How much is read at once, at first; more where one line is longer.
const READ_SIZE: usize = 64 << 10;

/// The most bytes of events that may wait for their reader: some 400 000 events of circuits.
/// Events are never dropped one by one, which would leave the reader with a wrong picture; past
/// this the connection is given up, and everyone learns why.
const MAX_WAITING_EVENTS: usize = 256 << 20;

/// How many pieces of a document may wait for their reader; until there is room, nothing more is
/// read.
const WAITING_PIECES: usize = 2;

/// What an event weighs beside its bytes.
const EVENT_WEIGHT: usize = 256;

/// How to connect.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// The password, where tor is to be asked by one.
    pub password: Option<Password>,
    /// How long connecting and the handshake may take together.
    pub timeout: Duration,
    /// How long the reply to a command may take, counted from when it was submitted or the reply
    /// before it was whole, and within a document that is read in pieces ([`Control::read_info`])
    /// from the piece before. Past this the connection is given up for everyone: tor answers in
    /// order, so that nobody behind would be answered either.
    pub reply_timeout: Duration,
}

impl Default for ConnectOptions {
    /// No password; 10 s to connect; 60 s for a reply, since a busy tor may take long over
    /// `desc/all-recent`.
    fn default() -> Self {
        Self {
            password: None,
            timeout: Duration::from_secs(10),
            reply_timeout: Duration::from_mins(1),
        }
    }
}

/// A handle of a connection to a control port. Clones share the connection, which ends when the
/// last of them and the [`Events`] are gone and every answer has come.
#[derive(Debug, Clone)]
pub struct Control {
    commands: mpsc::UnboundedSender<Request>,
    shared: Arc<ConnectionShared>,
}

/// The events of a connection, in order, from the first on.
#[derive(Debug)]
pub struct Events {
    events: mpsc::UnboundedReceiver<(Stamped, usize)>,
    shared: Arc<ConnectionShared>,
}

/// An event, and when it was read off the socket.
#[derive(Debug, Clone)]
pub struct Stamped {
    /// When it was read.
    pub at: std::time::Instant,
    /// The event.
    pub event: Event,
}

/// The answer to a command that was submitted. Dropping it does not take the command back, and puts
/// no other answer out of step.
#[derive(Debug)]
#[must_use = "the command is sent, but nobody would learn whether tor refused it"]
pub struct PendingReply(Pending);

#[derive(Debug)]
enum Pending {
    Sent { command: &'static str, lines: oneshot::Receiver<Answer>, shared: Arc<ConnectionShared> },
    Failed(Option<Error>),
}

/// A document that tor sends, piece by piece, so that it never stands in memory as a whole.
///
/// Whoever has one reads on: until a piece has been taken, nothing else is read from the
/// connection. Dropping it lets the rest pass by.
#[derive(Debug)]
pub struct Pieces {
    key: String,
    pieces: mpsc::Receiver<Bytes>,
    reply: Option<PendingReply>,
}

type Answer = Result<Vec<ReplyLine>, Error>;

/// A command on its way to the task.
#[derive(Debug)]
struct Request {
    /// The command's line, or those of several that go out in one write.
    lines: Bytes,
    /// Who waits for the answer to each.
    asked: Vec<Waiter>,
}

/// Someone whose answer is due.
#[derive(Debug)]
struct Waiter {
    answer: oneshot::Sender<Answer>,
    /// Where the pieces of the answer's data go, if it is read in pieces.
    pieces: Option<mpsc::Sender<Bytes>>,
    submitted: Instant,
}

/// What the handles and the task share.
#[derive(Debug)]
struct ConnectionShared {
    addr: ControlAddr,
    protocol: ProtocolInfo,
    /// Why the connection ended, once it has.
    lost: OnceLock<Error>,
    /// The weight of the events that wait for their reader.
    waiting_events: AtomicUsize,
}

impl ConnectionShared {
    fn lost(&self) -> Error {
        self.lost.get().cloned().unwrap_or_else(|| Error::Lost {
            addr: self.addr.clone(),
            what: "the program is ending".to_owned(),
            source: None,
        })
    }
}

impl Control {
    /// Connects to a control port and authenticates. The connection lives in a task of its own.
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`], [`Error::NotTor`], [`Error::Authentication`], [`Error::Lost`] or
    /// [`Error::Silent`], all within [`ConnectOptions::timeout`].
    pub async fn connect(
        addr: &ControlAddr,
        options: &ConnectOptions,
    ) -> Result<(Self, Events), Error> {
        let deadline = now() + options.timeout;
        let unreachable =
            |source| Error::Unreachable { addr: addr.clone(), source: Arc::new(source) };
        let late = |_| unreachable(io::ErrorKind::TimedOut.into());
        match addr {
            ControlAddr::Tcp(to) => {
                let connecting = tokio::time::timeout_at(deadline, TcpStream::connect(to.as_str()));
                let stream = connecting.await.map_err(late)?.map_err(unreachable)?;
                // Commands are short and each is waited for.
                stream.set_nodelay(true).map_err(unreachable)?;
                Self::handshake(Prompt(stream), Peer::Unknown, addr, options, deadline).await
            }
            ControlAddr::Unix(path) => {
                let connecting = tokio::time::timeout_at(deadline, UnixStream::connect(path));
                let stream = connecting.await.map_err(late)?.map_err(unreachable)?;
                let peer = Peer::User(stream.peer_cred().map_err(unreachable)?.uid());
                Self::handshake(stream, peer, addr, options, deadline).await
            }
        }
    }

    async fn handshake<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        mut stream: S,
        peer: Peer,
        addr: &ControlAddr,
        options: &ConnectOptions,
        deadline: Instant,
    ) -> Result<(Self, Events), Error> {
        let password = options.password.as_ref();
        let handshake = auth::authenticate(&mut stream, addr, peer, password);
        let protocol =
            tokio::time::timeout_at(deadline, handshake).await.map_err(|_| Error::Silent {
                addr: addr.clone(),
                after: options.timeout,
                waiting_for: "the end of the handshake",
            })??;
        tracing::debug!(%addr, ?protocol, "connected to tor");
        let shared = Arc::new(ConnectionShared {
            addr: addr.clone(),
            protocol,
            lost: OnceLock::new(),
            waiting_events: AtomicUsize::new(0),
        });
        let (commands, requests) = mpsc::unbounded_channel();
        let (sender, events) = mpsc::unbounded_channel();
        let task = ConnectionTask {
            requests,
            events: sender,
            in_flight: VecDeque::new(),
            answered: now(),
            reply_timeout: options.reply_timeout,
            shared: Arc::clone(&shared),
        };
        tokio::spawn(task.run(stream));
        Ok((Self { commands, shared: Arc::clone(&shared) }, Events { events, shared }))
    }

    /// What tor told of itself during the handshake.
    #[must_use]
    pub fn protocol(&self) -> &ProtocolInfo {
        &self.shared.protocol
    }

    /// Where this is connected to.
    #[must_use]
    pub fn addr(&self) -> &ControlAddr {
        &self.shared.addr
    }

    /// Why the connection ended; `None` while it lasts.
    #[must_use]
    pub fn lost(&self) -> Option<Error> {
        self.shared.lost.get().cloned()
    }

    /// Submits a command: its place among all commands is fixed when this returns, and tor gets it
    /// whether or not the answer is waited for.
    ///
    /// Nothing bounds how many commands may be under way but their callers.
    pub fn submit(&self, command: impl Borrow<Command>) -> PendingReply {
        self.send(command.borrow(), None)
    }

    fn send(&self, command: &Command, pieces: Option<mpsc::Sender<Bytes>>) -> PendingReply {
        let [reply] = self.send_together([command], pieces);
        reply
    }

    /// Submits commands that go out in one write, with nothing between them: tor carries them out
    /// one after the other before it does anything else. If one of them cannot be sent, none is.
    pub fn submit_together<const N: usize>(&self, commands: [&Command; N]) -> [PendingReply; N] {
        self.send_together(commands, None)
    }

    /// The pieces are those of the first.
    fn send_together<const N: usize>(
        &self,
        commands: [&Command; N],
        mut pieces: Option<mpsc::Sender<Bytes>>,
    ) -> [PendingReply; N] {
        let mut lines = BytesMut::new();
        for command in commands {
            match command.encode() {
                Ok(line) => lines.extend_from_slice(&line),
                Err(error) => {
                    return commands.map(|_| PendingReply(Pending::Failed(Some(error.clone()))));
                }
            }
        }
        let submitted = now();
        let mut asked = Vec::with_capacity(N);
        let replies = commands.map(|command| {
            let (answer, lines) = oneshot::channel();
            asked.push(Waiter { answer, pieces: pieces.take(), submitted });
            let shared = Arc::clone(&self.shared);
            PendingReply(Pending::Sent { command: command.keyword(), lines, shared })
        });
        let request = Request { lines: lines.freeze(), asked };
        // Fails only when the task has ended, and then the answers' channels are closed as well.
        let _ = self.commands.send(request);
        replies
    }

    /// `GETINFO`: the values of these keys, in their order, as raw bytes; see [`Reply::info`].
    ///
    /// # Errors
    ///
    /// Any [`Error`] of [`PendingReply`]; [`Error::Protocol`] where the answer does not fit.
    pub async fn get_info(&self, keys: &[&str]) -> Result<Vec<(String, Vec<u8>)>, Error> {
        self.submit(Command::GetInfo(owned(keys))).await?.info(keys)
    }

    /// `GETINFO` of one key, for a value that is a long document: see [`Pieces`].
    pub fn read_info(&self, key: &str) -> Pieces {
        let (sender, pieces) = mpsc::channel(WAITING_PIECES);
        let reply = self.send(&Command::GetInfo(vec![key.to_owned()]), Some(sender));
        Pieces { key: key.to_owned(), pieces, reply: Some(reply) }
    }

    /// `GETCONF`: one entry for each line of the answer, `None` for an option at its default.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of [`PendingReply`]; [`Error::Protocol`] where the answer does not fit.
    pub async fn get_conf(&self, keys: &[&str]) -> Result<Vec<(String, Option<String>)>, Error> {
        self.submit(Command::GetConf(owned(keys))).await?.conf()
    }

    /// `SETCONF`: sets all of these options or none. A key stands once for each entry of a list;
    /// `None` sets an option to its default.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of [`PendingReply`].
    pub async fn set_conf(&self, entries: &[(&str, Option<&str>)]) -> Result<(), Error> {
        let entries = entries
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned)))
            .collect();
        self.done(Command::SetConf(entries)).await
    }

    /// `RESETCONF`: sets these options to their defaults.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of [`PendingReply`].
    pub async fn reset_conf(&self, keys: &[&str]) -> Result<(), Error> {
        self.done(Command::ResetConf(owned(keys))).await
    }

    /// `SETEVENTS`: asks for exactly these events from now on.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of [`PendingReply`].
    pub async fn set_events(&self, kinds: &[EventKind]) -> Result<(), Error> {
        self.done(Command::SetEvents(kinds.to_vec())).await
    }

    /// `EXTENDCIRCUIT 0`: launches a circuit through these relays. Its first events may be read
    /// before this returns. Where the caller gives up, tor builds the circuit all the same.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of [`PendingReply`]; [`Error::Protocol`] where the answer names no circuit.
    pub async fn extend_circuit(
        &self,
        path: &[Fingerprint],
        purpose: Purpose,
    ) -> Result<CircuitId, Error> {
        self.submit(Command::ExtendCircuit(path.to_vec(), purpose)).await?.circuit()
    }

    /// `ATTACHSTREAM`: attaches a stream to a circuit or, with `None`, gives it back to tor.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of [`PendingReply`].
    pub async fn attach_stream(
        &self,
        stream: &StreamId,
        circuit: Option<&CircuitId>,
    ) -> Result<(), Error> {
        self.done(Command::AttachStream(stream.clone(), circuit.cloned())).await
    }

    /// `CLOSESTREAM`.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of [`PendingReply`].
    pub async fn close_stream(&self, stream: &StreamId) -> Result<(), Error> {
        self.done(Command::CloseStream(stream.clone())).await
    }

    /// `CLOSECIRCUIT`.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of [`PendingReply`].
    pub async fn close_circuit(&self, circuit: &CircuitId) -> Result<(), Error> {
        self.done(Command::CloseCircuit(circuit.clone())).await
    }

    /// `TAKEOWNERSHIP`: tor ends when this connection does.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of [`PendingReply`].
    pub async fn take_ownership(&self) -> Result<(), Error> {
        self.done(Command::TakeOwnership).await
    }

    /// `SIGNAL`.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of [`PendingReply`]. Tor may end before it has answered [`Signal::Halt`].
    pub async fn signal(&self, signal: Signal) -> Result<(), Error> {
        self.done(Command::Signal(signal)).await
    }

    async fn done(&self, command: Command) -> Result<(), Error> {
        self.submit(command).await.map(drop)
    }
}

fn owned(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|&key| key.to_owned()).collect()
}

/// [`Error::InvalidArgument`] where the command could not be sent, [`Error::Refused`] where tor
/// refused it, and otherwise the error that ended the connection, which everyone gets.
impl Future for PendingReply {
    type Output = Result<Reply, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.get_mut().0 {
            Pending::Sent { command, lines, shared } => {
                Pin::new(lines).poll(context).map(|answer| match answer {
                    Ok(lines) => Reply::new(command, lines?),
                    Err(_) => Err(shared.lost()),
                })
            }
            Pending::Failed(error) => {
                Poll::Ready(Err(error.take().expect("a future is not polled after its end")))
            }
        }
    }
}

impl Pieces {
    /// The next piece: whole lines with any bytes, each ended by a line feed; or the whole of a
    /// value so short that tor gives it without an end of line. `None` at the document's end.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of [`PendingReply`], also after pieces of the document have come;
    /// [`Error::Protocol`] where the answer does not fit.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if let Some(piece) = self.pieces.recv().await {
            return Ok(Some(piece));
        }
        let Some(reply) = self.reply.take() else { return Ok(None) };
        let value = reply.await?.info(&[&self.key])?.pop().map(|(_, rest)| rest);
        Ok(value.filter(|rest| !rest.is_empty()).map(Bytes::from))
    }
}

impl Events {
    /// The next event; `None` when the connection has ended and every event read before has been
    /// taken: [`Self::lost`] then tells why. Nothing is lost where this is given up and called
    /// again.
    pub async fn next(&mut self) -> Option<Stamped> {
        let (stamped, weight) = self.events.recv().await?;
        self.shared.waiting_events.fetch_sub(weight, Ordering::Relaxed);
        Some(stamped)
    }

    /// Why the connection ended; `None` while it lasts.
    #[must_use]
    pub fn lost(&self) -> Option<Error> {
        self.shared.lost.get().cloned()
    }
}

/// The owner of the socket.
struct ConnectionTask {
    requests: mpsc::UnboundedReceiver<Request>,
    /// Unbounded, so that a slow reader never keeps replies from those who wait for them; its
    /// weight is bounded by [`MAX_WAITING_EVENTS`].
    events: mpsc::UnboundedSender<(Stamped, usize)>,
    /// Those whose answers are due, in the order of their commands.
    in_flight: VecDeque<Waiter>,
    /// When the last answer, or piece of one, came.
    answered: Instant,
    reply_timeout: Duration,
    shared: Arc<ConnectionShared>,
}

impl ConnectionTask {
    async fn run(mut self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let Err(error) = self.serve(stream).await else { return };
        tracing::debug!(%error, "the control connection ended");
        // First the reason, then the news, so that whoever is woken finds it.
        let error = self.shared.lost.get_or_init(|| error).clone();
        self.requests.close();
        for asked in self.in_flight.drain(..) {
            let _ = asked.answer.send(Err(error.clone()));
        }
        while let Ok(request) = self.requests.try_recv() {
            for asked in request.asked {
                let _ = asked.answer.send(Err(error.clone()));
            }
        }
    }

    /// Serves the connection until it ends (`Err`) or nobody is left (`Ok`).
    async fn serve(&mut self, stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<(), Error> {
        let (read, mut write) = tokio::io::split(stream);
        let mut messages = FramedRead::with_capacity(read, Codec::default(), READ_SIZE);
        let mut out = BytesMut::new();
        // Once writing fails, what tor said last may still be waiting to be read, and tells more.
        let mut unwritable = None;
        let mut requests_end = false;
        let mut events_end = false;
        // A piece of a document, until its reader has room for it.
        let mut piece = None;
        loop {
            if requests_end && events_end && self.in_flight.is_empty() {
                return Ok(());
            }
            let first = self.in_flight.front();
            let reader = first.and_then(|asked| asked.pieces.as_ref());
            messages.decoder_mut().pass_on(reader.is_some());
            let silent_at =
                first.map(|asked| asked.submitted.max(self.answered) + self.reply_timeout);
            // Each branch may be given up at any point without losing a byte.
            tokio::select! {
                room = room(reader.cloned()), if piece.is_some() => {
                    if let (Some(room), Some(piece)) = (room, piece.take()) {
                        room.send(piece);
                    }
                    self.answered = now();
                },
                message = messages.next(), if piece.is_none() => match message {
                    Some(Ok(Message::Data(data))) => piece = Some(data),
                    Some(Ok(Message::Reply(lines))) => self.reply(lines)?,
                    Some(Ok(Message::Event(lines))) => self.event(&lines)?,
                    Some(Err(error)) => return Err(self.failed(error)),
                    None => return Err(self.gone("tor closed it", unwritable)),
                },
                request = self.requests.recv(), if !requests_end => match request {
                    Some(Request { lines, asked }) => {
                        self.in_flight.extend(asked);
                        messages.decoder_mut().encode(lines, &mut out)
                            .map_err(|error| self.gone("a command could not be sent", Some(error)))?;
                    }
                    None => requests_end = true,
                },
                written = write.write(&out), if !out.is_empty() && unwritable.is_none() => {
                    match written {
                        Ok(0) => unwritable = Some(io::ErrorKind::WriteZero.into()),
                        Ok(written) => out.advance(written),
                        Err(error) => unwritable = Some(error),
                    }
                },
                () = self.events.closed(), if !events_end => events_end = true,
                () = sleep_until(silent_at), if silent_at.is_some() && piece.is_none() => return Err(Error::Silent {
                    addr: self.shared.addr.clone(),
                    after: self.reply_timeout,
                    waiting_for: "the reply to a command",
                }),
            }
        }
    }

    /// Hands an answer to whom it is due.
    fn reply(&mut self, lines: Vec<ReplyLine>) -> Result<(), Error> {
        let Some(asked) = self.in_flight.pop_front() else {
            let said = lines.first().map(|line| crate::line::excerpt(&line.text));
            return Err(Error::Protocol {
                what: format!(
                    "{} sent a reply that nobody asked for: \"{}\"; the connection is given up",
                    self.shared.addr,
                    said.unwrap_or_default()
                ),
            });
        };
        self.answered = now();
        // Whoever asked may have gone: the answer is theirs all the same.
        let _ = asked.answer.send(Ok(lines));
        Ok(())
    }

    fn event(&self, lines: &[ReplyLine]) -> Result<(), Error> {
        // Nobody may want them any more.
        if self.events.is_closed() {
            return Ok(());
        }
        let at = now().into_std();
        let bytes: usize = lines.iter().map(|line| line.text.len() + line.data.len()).sum();
        let weight = bytes + EVENT_WEIGHT * lines.len();
        let waiting = self.shared.waiting_events.fetch_add(weight, Ordering::Relaxed);
        if waiting > MAX_WAITING_EVENTS {
            return Err(self.gone(
                "its events were not read, and outgrew what may wait: a fault of this program",
                None,
            ));
        }
        let stamped = Stamped { at, event: Event::parse(lines) };
        let _ = self.events.send((stamped, weight));
        Ok(())
    }

    fn failed(&self, error: DecodeError) -> Error {
        match error {
            DecodeError::Line(source) => Error::Broken { addr: self.shared.addr.clone(), source },
            DecodeError::Cut => self.gone("tor closed it in the middle of a reply", None),
            DecodeError::Io(source) => self.gone("it failed", Some(source)),
        }
    }

    fn gone(&self, what: &str, source: Option<io::Error>) -> Error {
        let cause = source.as_ref().map(|source| format!(": {source}")).unwrap_or_default();
        Error::Lost {
            addr: self.shared.addr.clone(),
            what: format!("{what}{cause}; look into tor's log, and start it again if it has ended"),
            source: source.map(Arc::new),
        }
    }
}

/// Room for one piece; `None` where its reader has gone.
async fn room(reader: Option<mpsc::Sender<Bytes>>) -> Option<mpsc::OwnedPermit<Bytes>> {
    reader?.reserve_owned().await.ok()
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

#[expect(clippy::disallowed_methods, reason = "the socket's edge is where time comes in")]
fn now() -> Instant {
    Instant::now()
}
