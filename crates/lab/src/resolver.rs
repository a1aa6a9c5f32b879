//! The resolvers' sockets: hears questions by UDP and TCP on loopback, does what the script says,
//! and keeps what was asked. Owns no misbehaviour of its own.
//!
//! All resolvers of a lab run on one thread with a runtime of its own, so that a busy program that
//! holds a lab does not make its resolvers slow.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::LabError;
use crate::dns::{Response, Script, Transport};
use crate::fault::{FREEZE_IN_QUERY, Fault};
use crate::link::{Cut, Link};
use crate::process::Handle;

/// How many questions each resolver remembers: the newest.
const REMEMBERED: usize = 10_000;

/// Longest DNS message by either way (RFC 1035, section 4.2.2).
const LONGEST: usize = u16::MAX as usize;

/// How long a TCP connection may be idle.
const IDLE: Duration = Duration::from_secs(10);

/// From where the resolvers ask the zone that do so.
pub(crate) const FORWARDS_FROM: Ipv4Addr = Ipv4Addr::new(127, 77, 1, 1);

/// From where a name is asked for again, by somebody else.
pub(crate) const REPLAYS_FROM: Ipv4Addr = Ipv4Addr::new(127, 77, 1, 2);

/// How long the zone's answer is waited for.
const ZONE_ANSWERS: Duration = Duration::from_secs(5);

/// A question that a resolver heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeardQuery {
    /// The name in lower case, with its final dot.
    pub name: String,
    /// The type asked for, for instance `A`.
    pub record_type: String,
    /// How the question came.
    pub transport: Transport,
}

/// One resolver, before it runs.
#[derive(Debug)]
pub(crate) struct Resolver {
    udp: std::net::UdpSocket,
    /// None where the fault is that it is not there.
    tcp: Option<std::net::TcpListener>,
    /// The name of the process that is its exit.
    exit: String,
    /// The way to its exit, where that is not the usual one.
    link: Option<Link>,
    log: QueryLog,
    mind: Mind,
}

/// A resolver's script, shared with whoever wants it to begin anew.
pub(crate) type Mind = Arc<Mutex<Script>>;

/// What one resolver was asked, shared with whoever wants to see it.
#[derive(Debug, Clone, Default)]
pub(crate) struct QueryLog(Arc<Mutex<VecDeque<HeardQuery>>>);

/// The running resolvers. They end when this is dropped.
#[derive(Debug)]
pub(crate) struct Resolvers {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl QueryLog {
    fn locked(&self) -> MutexGuard<'_, VecDeque<HeardQuery>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, asked: HeardQuery) {
        let mut log = self.locked();
        if log.len() == REMEMBERED {
            log.pop_front();
        }
        log.push_back(asked);
    }

    /// The newest questions, oldest first.
    pub(crate) fn asked(&self) -> Vec<HeardQuery> {
        self.locked().iter().cloned().collect()
    }
}

impl Resolver {
    /// Takes a port, the same for UDP and TCP. The link is opened with the resolver.
    pub(crate) fn bind(fault: Fault, exit: String, link: Option<Link>) -> Result<Self, LabError> {
        let mut last = None;
        let mut link = link;
        for _ in 0..50 {
            match bind_both() {
                Ok((udp, tcp)) => {
                    let tcp = (fault != Fault::Truncated).then_some(tcp);
                    return Ok(Self {
                        udp,
                        tcp,
                        exit,
                        link: link.take(),
                        log: QueryLog::default(),
                        mind: Arc::new(Mutex::new(Script::new(fault))),
                    });
                }
                Err(error) => last = Some(error),
            }
        }
        Err(LabError::Port(last.unwrap_or_else(|| std::io::ErrorKind::AddrInUse.into())))
    }

    pub(crate) fn address(&self) -> Result<SocketAddr, LabError> {
        self.udp.local_addr().map_err(LabError::Port)
    }

    pub(crate) fn mind(&self) -> Mind {
        Arc::clone(&self.mind)
    }

    pub(crate) fn log(&self) -> QueryLog {
        self.log.clone()
    }
}

fn bind_both() -> std::io::Result<(std::net::UdpSocket, std::net::TcpListener)> {
    let udp = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let tcp = std::net::TcpListener::bind(udp.local_addr()?)?;
    udp.set_nonblocking(true)?;
    tcp.set_nonblocking(true)?;
    Ok((udp, tcp))
}

impl Resolvers {
    /// Runs the resolvers on a thread of their own.
    /// `zone`: its name server, where there is one.
    pub(crate) fn start(
        resolvers: Vec<Resolver>,
        processes: &Handle,
        zone: Option<SocketAddr>,
    ) -> Result<Self, LabError> {
        let failed = |source| LabError::Start { program: "the resolvers".to_owned(), source };
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        {
            let _entered = runtime.enter();
            for resolver in resolvers {
                let shared = Arc::new(ResolverShared {
                    script: resolver.mind,
                    log: resolver.log,
                    exit: resolver.exit,
                    link: resolver.link.map(Link::open).transpose().map_err(failed)?,
                    processes: processes.clone(),
                    zone,
                });
                let udp = UdpSocket::from_std(resolver.udp).map_err(failed)?;
                runtime.spawn(serve_udp(Arc::new(udp), Arc::clone(&shared)));
                if let Some(tcp) = resolver.tcp {
                    let tcp = TcpListener::from_std(tcp).map_err(failed)?;
                    runtime.spawn(serve_tcp(tcp, shared));
                }
            }
        }
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("lab-resolvers".to_owned())
            .spawn(move || {
                // An error means that the lab is gone: the same.
                let _ = runtime.block_on(stopped);
            })
            .map_err(failed)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Resolvers {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the tasks of one resolver share.
struct ResolverShared {
    script: Mind,
    log: QueryLog,
    exit: String,
    link: Option<Cut>,
    processes: Handle,
    zone: Option<SocketAddr>,
}

/// What is sent to who asked.
enum Reply {
    /// These bytes, after this long.
    Bytes(Duration, Vec<u8>),
    /// What the zone's name server says to this question, if it is asked.
    OfZone(SocketAddr, Vec<u8>),
}

impl Reply {
    async fn bytes(self) -> Option<Vec<u8>> {
        match self {
            Self::Bytes(after, bytes) => {
                if !after.is_zero() {
                    tokio::time::sleep(after).await;
                }
                Some(bytes)
            }
            Self::OfZone(zone, question) => ask(zone, FORWARDS_FROM, &question).await,
        }
    }
}

/// Asks the zone's name server from this address; none where nothing comes.
async fn ask(zone: SocketAddr, from: Ipv4Addr, question: &[u8]) -> Option<Vec<u8>> {
    let socket = UdpSocket::bind((from, 0)).await.ok()?;
    socket.connect(zone).await.ok()?;
    socket.send(question).await.ok()?;
    let mut buffer = vec![0; LONGEST];
    let length = timeout(ZONE_ANSWERS, socket.recv(&mut buffer)).await.ok()?.ok()?;
    buffer.truncate(length);
    Some(buffer)
}

impl ResolverShared {
    /// Hears a message; gives what is to be sent.
    #[expect(clippy::disallowed_methods, reason = "the edge: the time at which a question came")]
    fn hear(&self, bytes: &[u8], transport: Transport) -> Option<Reply> {
        let now = std::time::Instant::now();
        let heard = {
            let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
            script.hear(bytes, transport, now)?
        };
        let record_type = heard.record_type;
        let record_type = record_type.to_string();
        self.log.push(HeardQuery { name: heard.name, record_type, transport });
        match heard.action {
            Response::Answer { after, bytes } => return Some(Reply::Bytes(after, bytes)),
            Response::AskZone { after, answer, again } => {
                let zone = self.zone?;
                if let Some(again) = again {
                    ask_later(zone, REPLAYS_FROM, bytes.to_vec(), again);
                }
                if answer {
                    return Some(Reply::OfZone(zone, bytes.to_vec()));
                }
                ask_later(zone, FORWARDS_FROM, bytes.to_vec(), after);
            }
            Response::Ignore => {}
            Response::FreezeExit => {
                let (processes, exit) = (self.processes.clone(), self.exit.clone());
                tokio::spawn(async move {
                    let name = exit.clone();
                    // An error here and below means that the lab is stopping.
                    let frozen =
                        processes.run(move |table| table.signal(&name, Signal::STOP)).await;
                    if frozen.is_ok() {
                        tokio::time::sleep(FREEZE_IN_QUERY).await;
                        let _ = processes.run(move |table| table.signal(&exit, Signal::CONT)).await;
                    }
                });
            }
            Response::CutLinks => {
                if let Some(link) = &self.link {
                    link.cut();
                }
            }
        }
        None
    }
}

/// Asks the zone's name server after a while; nobody gets what it says.
fn ask_later(zone: SocketAddr, from: Ipv4Addr, question: Vec<u8>, after: Duration) {
    tokio::spawn(async move {
        tokio::time::sleep(after).await;
        ask(zone, from, &question).await
    });
}

async fn serve_udp(socket: Arc<UdpSocket>, shared: Arc<ResolverShared>) {
    let mut buffer = vec![0; LONGEST];
    loop {
        // An error is about an earlier answer that met a closed port: the exit has gone.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
        let Some(reply) = shared.hear(&buffer[..length], Transport::Udp) else { continue };
        let socket = Arc::clone(&socket);
        tokio::spawn(async move {
            if let Some(bytes) = reply.bytes().await {
                // An exit that is gone needs no answer.
                let _ = socket.send_to(&bytes, from).await;
            }
        });
    }
}

async fn serve_tcp(listener: TcpListener, shared: Arc<ResolverShared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors: others close theirs.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        tokio::spawn(converse(stream, Arc::clone(&shared)));
    }
}

/// Answers the questions of one connection, each with its length before it (RFC 1035, 4.2.2).
async fn converse(mut stream: TcpStream, shared: Arc<ResolverShared>) -> std::io::Result<()> {
    loop {
        let length = timeout(IDLE, stream.read_u16()).await??;
        let mut question = vec![0; usize::from(length)];
        timeout(IDLE, stream.read_exact(&mut question)).await??;
        let Some(reply) = shared.hear(&question, Transport::Tcp) else { continue };
        let Some(bytes) = reply.bytes().await else { continue };
        let length = u16::try_from(bytes.len()).map_err(std::io::Error::other)?;
        stream.write_u16(length).await?;
        stream.write_all(&bytes).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Processes;
    use hickory_proto::op::{Message, Query, ResponseCode};
    use hickory_proto::rr::{Name, RecordType};
    use std::io::{Read, Write};

    const SHORT: Duration = Duration::from_millis(300);
    const LONG: Duration = Duration::from_secs(10);

    struct RunningResolver {
        address: SocketAddr,
        log: QueryLog,
        _resolvers: Resolvers,
        _processes: Processes,
    }

    fn running(fault: Fault) -> RunningResolver {
        let processes = Processes::new().unwrap();
        let resolver = Resolver::bind(fault, "none".to_owned(), None).unwrap();
        let (address, log) = (resolver.address().unwrap(), resolver.log());
        let resolvers = Resolvers::start(vec![resolver], processes.handle(), None).unwrap();
        RunningResolver { address, log, _resolvers: resolvers, _processes: processes }
    }

    fn question() -> Vec<u8> {
        let name = Name::from_ascii("a.tor.exit.validator.1aeo.com.").unwrap();
        let mut message = Message::query();
        message.add_query(Query::query(name, RecordType::A));
        message.to_vec().unwrap()
    }

    fn by_udp(running: &RunningResolver, wait: Duration) -> Option<Vec<u8>> {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(running.address).unwrap();
        socket.set_read_timeout(Some(wait)).unwrap();
        socket.send(&question()).unwrap();
        let mut buffer = [0; 1000];
        socket.recv(&mut buffer).ok().map(|length| buffer[..length].to_vec())
    }

    #[test]
    fn answers_by_udp_and_tcp_and_keeps_the_questions() {
        let running = running(Fault::Correct);
        let answer = Message::from_vec(&by_udp(&running, LONG).unwrap()).unwrap();
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
        assert_eq!(answer.answers.len(), 1);

        let mut stream = std::net::TcpStream::connect(running.address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        for _ in 0..2 {
            let question = question();
            stream.write_all(&u16::try_from(question.len()).unwrap().to_be_bytes()).unwrap();
            stream.write_all(&question).unwrap();
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(Message::from_vec(&answer).unwrap().answers.len(), 1);
        }
        let asked = running.log.asked();
        assert_eq!(asked.len(), 3);
        assert_eq!(asked[0].name, "a.tor.exit.validator.1aeo.com.");
        assert_eq!(asked[0].record_type, "A");
        let transports: Vec<_> = asked.iter().map(|asked| asked.transport).collect();
        assert_eq!(transports, [Transport::Udp, Transport::Tcp, Transport::Tcp]);
    }

    #[test]
    fn a_truncated_answer_has_no_tcp_behind_it() {
        let running = running(Fault::Truncated);
        let answer = Message::from_vec(&by_udp(&running, LONG).unwrap()).unwrap();
        assert!(answer.metadata.truncation);
        assert!(std::net::TcpStream::connect(running.address).is_err());
    }

    #[test]
    fn silence_is_silent_and_slowness_slow() {
        let silent = running(Fault::Silent);
        assert_eq!(by_udp(&silent, SHORT), None);
        assert_eq!(silent.log.asked().len(), 1);
        let slow = running(Fault::Slow(2 * SHORT));
        assert_eq!(by_udp(&slow, SHORT), None);
        assert!(by_udp(&slow, LONG).is_some());
    }

    #[test]
    fn garbage_and_a_wrong_id_reach_the_wire() {
        let garbage = by_udp(&running(Fault::Garbage), LONG).unwrap();
        assert!(Message::from_vec(&garbage).is_err());
        let id = by_udp(&running(Fault::WrongId), LONG).unwrap();
        assert!(Message::from_vec(&id).is_ok());
    }
}
