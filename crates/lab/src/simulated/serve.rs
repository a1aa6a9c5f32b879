//! The sockets of a simulated tor: its control port, SOCKS port and DNSPort, all in one thread. Owns
//! the clock; what is said is the machine's.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{RData, Record, RecordType};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::machine::{CommandAnswer, Outgoing, SimulatedMachine};
use super::streams::{Stream, StreamKind};
use crate::dns::{error, wire};

/// The longest line of a command that is taken.
const LONGEST_LINE: usize = 1 << 20;

/// Time to live of every answer of tor's DNSPort, in seconds.
const TTL: u32 = 60;

/// A running tor's sockets. They close when this is dropped.
#[derive(Debug)]
pub(crate) struct RunningTor {
    pub(crate) hub: Rc<Hub>,
}

/// What the tasks of one tor share.
#[derive(Debug)]
pub(crate) struct Hub {
    machine: RefCell<SimulatedMachine>,
    started: Instant,
    controllers: RefCell<HashMap<u32, mpsc::UnboundedSender<Vec<u8>>>>,
    askers: RefCell<HashMap<u32, oneshot::Sender<CommandAnswer>>>,
    tasks: RefCell<JoinSet<()>>,
    next_connection: Cell<u32>,
    rng: RefCell<StdRng>,
    /// Something is due sooner than before.
    sooner: Notify,
    /// Tor has ended of its own accord.
    pub(crate) ended: Notify,
}

/// The ports of a tor that is to be started.
#[derive(Debug)]
pub(crate) struct Sockets {
    control: UnixListener,
    socks: TcpListener,
    dns: UdpSocket,
}

impl Sockets {
    /// Opens them: the control port at this path, the others wherever there is room.
    pub(crate) async fn open(control: &Path) -> io::Result<Self> {
        match std::fs::remove_file(control) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Self {
            control: UnixListener::bind(control)?,
            socks: TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?,
            dns: UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?,
        })
    }

    /// The addresses of the SOCKS port and of the DNSPort.
    pub(crate) fn addresses(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.socks.local_addr()?, self.dns.local_addr()?))
    }
}

impl RunningTor {
    /// Serves; to be called in a `LocalSet`.
    pub(crate) fn start(machine: SimulatedMachine, sockets: Sockets) -> Self {
        let hub = Rc::new(Hub {
            machine: RefCell::new(machine),
            started: now(),
            controllers: RefCell::default(),
            askers: RefCell::default(),
            tasks: RefCell::default(),
            next_connection: Cell::new(0),
            rng: RefCell::new(StdRng::from_rng(&mut randomness())),
            sooner: Notify::new(),
            ended: Notify::new(),
        });
        let Sockets { control, socks, dns } = sockets;
        hub.spawn(Rc::clone(&hub).keep_time());
        hub.spawn(Rc::clone(&hub).listen_for_controllers(control));
        hub.spawn(Rc::clone(&hub).listen_for_socks(socks));
        hub.spawn(Rc::clone(&hub).listen_for_questions(Rc::new(dns)));
        Self { hub }
    }

    /// Ends it, and gives what it knew.
    pub(crate) fn end(self, empty: SimulatedMachine) -> SimulatedMachine {
        self.hub.machine.replace(empty)
    }
}

impl Drop for RunningTor {
    fn drop(&mut self) {
        // The tasks hold what they share: they are ended by hand.
        self.hub.tasks.borrow_mut().abort_all();
    }
}

impl Hub {
    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        let mut tasks = self.tasks.borrow_mut();
        while tasks.try_join_next().is_some() {}
        tasks.spawn_local(task);
    }

    /// Lets go of every controller's connection.
    pub(crate) fn drop_controllers(&self) {
        self.controllers.borrow_mut().clear();
    }

    /// Does something with the machine, and sends what comes of it.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut SimulatedMachine, Duration) -> T) -> T {
        let mut machine = self.machine.borrow_mut();
        let before = machine.wake_at();
        let result = act(&mut machine, self.started.elapsed());
        for output in machine.output() {
            self.send(output);
        }
        if machine.wake_at().is_some_and(|at| before.is_none_or(|before| at < before)) {
            self.sooner.notify_one();
        }
        result
    }

    /// Whoever is not there any more is told nothing.
    fn send(&self, output: Outgoing) {
        match output {
            Outgoing::Say(id, bytes) => {
                if let Some(controller) = self.controllers.borrow().get(&id) {
                    let _ = controller.send(bytes);
                }
            }
            Outgoing::Answer(stream, answer) => {
                if let Some(asker) = self.askers.borrow_mut().remove(&stream) {
                    let _ = asker.send(answer);
                }
            }
            Outgoing::HangUp(id) => drop(self.controllers.borrow_mut().remove(&id)),
            Outgoing::Crash => self.ended.notify_one(),
        }
    }

    async fn keep_time(self: Rc<Self>) {
        loop {
            let due = self.machine.borrow().wake_at();
            let timer = async {
                match due {
                    Some(at) => tokio::time::sleep_until(self.started + at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = timer => self.with(SimulatedMachine::tick),
                () = self.sooner.notified() => {}
            }
        }
    }

    async fn listen_for_controllers(self: Rc<Self>, listener: UnixListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let id = self.next_connection.get();
            self.next_connection.set(id + 1);
            self.spawn(Rc::clone(&self).controller(id, stream));
        }
    }

    async fn controller(self: Rc<Self>, id: u32, stream: UnixStream) {
        let (mut from, mut to) = stream.into_split();
        let (sender, mut words) = mpsc::unbounded_channel::<Vec<u8>>();
        self.controllers.borrow_mut().insert(id, sender);
        self.with(|machine, _| machine.connect(id));
        self.spawn(async move {
            while let Some(said) = words.recv().await {
                if to.write_all(&said).await.is_err() {
                    return;
                }
            }
            let _ = to.shutdown().await;
        });
        let mut unread = Vec::new();
        while matches!(from.read_buf(&mut unread).await, Ok(1..)) {
            let Some(end) = unread.iter().rposition(|byte| *byte == b'\n') else {
                if unread.len() > LONGEST_LINE {
                    break;
                }
                continue;
            };
            let rest = unread.split_off(end + 1);
            let text = String::from_utf8_lossy(&unread).into_owned();
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            unread = rest;
            let rng = &mut *self.rng.borrow_mut();
            self.with(|machine, now| machine.commands(id, &lines, now, rng));
        }
        self.controllers.borrow_mut().remove(&id);
        self.with(|machine, _| machine.connections.remove(&id));
    }

    /// A program asks; gives the stream's number, and where the answer comes.
    fn ask(&self, stream: Stream) -> (u32, oneshot::Receiver<CommandAnswer>) {
        let (asker, answer) = oneshot::channel();
        let id = self.with(|machine, now| {
            let id = machine.asked(stream, now);
            self.askers.borrow_mut().insert(id, asker);
            id
        });
        (id, answer)
    }

    async fn listen_for_socks(self: Rc<Self>, listener: TcpListener) {
        while let Ok((socket, from)) = listener.accept().await {
            let hub = Rc::clone(&self);
            // Whoever does not speak SOCKS, or goes away, is served no further.
            self.spawn(async move { drop(hub.socks(socket, from).await) });
        }
    }

    async fn socks(self: Rc<Self>, mut socket: TcpStream, from: SocketAddr) -> io::Result<()> {
        let stream = read_request(&mut socket, from).await?;
        let connects = stream.kind == StreamKind::Connect;
        let (id, answer) = self.ask(stream);
        let mut more = [0; 64];
        let answer = tokio::select! {
            answer = answer => answer,
            // Nobody says anything before the answer: the program has gone.
            _ = socket.read(&mut more) => {
                self.with(|machine, _| machine.hung_up(id));
                return Ok(());
            }
        };
        let Ok(answer) = answer else { return Ok(()) };
        let mut reply = vec![5, answer.socks, 0];
        match answer.address {
            Some(IpAddr::V6(address)) => {
                reply.push(4);
                reply.extend(address.octets());
            }
            Some(IpAddr::V4(address)) => {
                reply.push(1);
                reply.extend(address.octets());
            }
            None => reply.extend([1, 0, 0, 0, 0]),
        }
        reply.extend([0, 0]);
        socket.write_all(&reply).await?;
        if connects && answer.socks == 0 {
            while socket.read(&mut more).await? > 0 {}
            self.with(|machine, _| machine.hung_up(id));
        }
        Ok(())
    }

    async fn listen_for_questions(self: Rc<Self>, socket: Rc<UdpSocket>) {
        let mut buffer = [0; 1024];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let Ok(question) = Message::from_vec(&buffer[..length]) else { continue };
            let (hub, socket) = (Rc::clone(&self), Rc::clone(&socket));
            self.spawn(async move {
                if let Some(bytes) = hub.question(&question, from).await {
                    let _ = socket.send_to(&bytes, from).await;
                }
            });
        }
    }

    async fn question(&self, question: &Message, from: SocketAddr) -> Option<Vec<u8>> {
        let [query] = question.queries.as_slice() else { return None };
        let kind = match query.query_type() {
            RecordType::A => StreamKind::DnsA,
            RecordType::AAAA => StreamKind::DnsAaaa,
            _ => return Some(wire(&error(question, query, ResponseCode::NotImp))),
        };
        let name = query.name().to_ascii();
        let name = name.strip_suffix('.').unwrap_or(&name).to_owned();
        let (_, answer) = self.ask(Stream::new(kind, name, 0, from));
        let answer = answer.await.ok()?;
        let mut message = error(question, query, ResponseCode::from_low(answer.rcode));
        let data = answer.address.map(|address| match address {
            IpAddr::V4(address) => RData::A(A(address)),
            IpAddr::V6(address) => RData::AAAA(AAAA(address)),
        });
        let record = |data| Record::from_rdata(query.name().clone(), TTL, data);
        message.answers = data.map(record).into_iter().collect();
        Some(wire(&message))
    }
}

/// Reads what a program wants of the SOCKS port (RFC 1928, RFC 1929, tor's socks-extensions).
async fn read_request(socket: &mut TcpStream, from: SocketAddr) -> io::Result<Stream> {
    let no = || io::Error::from(io::ErrorKind::InvalidData);
    let [5, methods] = bytes(socket).await? else { return Err(no()) };
    let methods = some_bytes(socket, methods).await?;
    let by_password = methods.contains(&2);
    socket.write_all(&[5, if by_password { 2 } else { 0 }]).await?;
    let mut user = None;
    if by_password {
        let [1, length] = bytes(socket).await? else { return Err(no()) };
        let name = text(socket, length).await?;
        let [length] = bytes(socket).await?;
        user = Some((name, text(socket, length).await?));
        socket.write_all(&[1, 0]).await?;
    }
    let [5, command, 0, kind] = bytes(socket).await? else { return Err(no()) };
    let target = match kind {
        1 => IpAddr::from(bytes::<4>(socket).await?).to_string(),
        4 => IpAddr::from(bytes::<16>(socket).await?).to_string(),
        3 => {
            let [length] = bytes(socket).await?;
            text(socket, length).await?
        }
        _ => return Err(no()),
    };
    let port = u16::from_be_bytes(bytes(socket).await?);
    let kind = match command {
        1 => StreamKind::Connect,
        0xf0 => StreamKind::Resolve,
        _ => return Err(no()),
    };
    Ok(Stream { user, ..Stream::new(kind, target, port, from) })
}

async fn bytes<const N: usize>(from: &mut (impl AsyncRead + Unpin)) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes).await?;
    Ok(bytes)
}

async fn some_bytes(from: &mut (impl AsyncRead + Unpin), length: u8) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::from(length)];
    from.read_exact(&mut bytes).await?;
    Ok(bytes)
}

async fn text(from: &mut (impl AsyncRead + Unpin), length: u8) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&some_bytes(from, length).await?).into_owned())
}

#[expect(clippy::disallowed_methods, reason = "the edge: a tor's time is the clock's")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "the edge: nonces are nobody's to choose")]
fn randomness() -> rand::rngs::ThreadRng {
    rand::rng()
}
