//! The sockets: UDP on a thread for each core, TCP on one runtime. Nothing that comes by them can make them
//! take more memory, or wait for anybody.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::answer::{Answerer, QuerySource, QueryTransport, ZoneQuery};
use crate::layout::ServedZone;
use crate::limit::{Allowance, Limiter, network};
use crate::log::QueryLog;
use crate::sign::ZoneSigner;

/// Longest query that is read. Ours have a name and some options.
const QUERY: usize = 4096;

/// How often a thread looks whether it is to end.
const LOOK: Duration = Duration::from_millis(200);

/// Connections at once, in all.
const CONNECTIONS: usize = 256;

/// Of one network.
const CONNECTIONS_OF_NETWORK: usize = 16;

/// How long a connection may be silent, or a query or an answer be under way
/// (RFC 7766, section 6.2.3, leaves it to the server).
const PATIENCE: Duration = Duration::from_secs(5);

/// Queries on one connection.
const QUERIES: usize = 1000;

/// Room for what waits in a socket, in bytes: some thousand queries.
const BUFFER: usize = 4 << 20;

/// The sockets, open and not yet read.
#[derive(Debug, Default)]
pub struct ZoneSockets {
    udp: Vec<UdpSocket>,
    tcp: Vec<TcpListener>,
}

/// Why there are no sockets.
#[derive(Debug, thiserror::Error)]
pub enum ZoneSocketsError {
    /// One cannot be had.
    #[error(
        "cannot listen on {address}: {error}. Ports below 1024 need the right to: start it by its systemd \
         unit, or give it CAP_NET_BIND_SERVICE; and no other server may have the port"
    )]
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// Those of systemd are none of ours.
    #[error("a socket that the service manager passed is neither UDP nor a TCP listener: {0}")]
    Passed(io::Error),
}

impl ZoneSockets {
    /// Opens these addresses, each for UDP and TCP.
    ///
    /// # Errors
    ///
    /// [`ZoneSocketsError::Bind`].
    pub fn bind(addresses: &[SocketAddr]) -> Result<Self, ZoneSocketsError> {
        let mut sockets = Self::default();
        for address in addresses {
            let failed = |error| ZoneSocketsError::Bind { address: *address, error };
            let (udp, tcp) = both(*address).map_err(failed)?;
            sockets.udp.push(udp);
            sockets.tcp.push(tcp);
        }
        Ok(sockets)
    }

    /// Those that the service manager passed, if it did (sd_listen_fds(3)).
    ///
    /// # Errors
    ///
    /// [`ZoneSocketsError::Passed`].
    pub fn passed() -> Result<Option<Self>, ZoneSocketsError> {
        let mut passed = listenfd::ListenFd::from_env();
        let mut sockets = Self::default();
        for at in 0..passed.len() {
            if let Ok(Some(udp)) = passed.take_udp_socket(at) {
                sockets.udp.push(udp);
            } else if let Some(tcp) =
                passed.take_tcp_listener(at).map_err(ZoneSocketsError::Passed)?
            {
                sockets.tcp.push(tcp);
            }
        }
        Ok((!sockets.udp.is_empty() || !sockets.tcp.is_empty()).then_some(sockets))
    }

    /// Where they listen: those of UDP first.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let udp = self.udp.iter().filter_map(|socket| socket.local_addr().ok());
        let mut all: Vec<SocketAddr> = udp.collect();
        for address in self.tcp.iter().filter_map(|socket| socket.local_addr().ok()) {
            if !all.contains(&address) {
                all.push(address);
            }
        }
        all
    }
}

/// How often another port is tried, if any will do and the one that was free by UDP is not by TCP.
const PORTS: u32 = 20;

/// Listens at an address by both; with port 0 both get the same one.
fn both(address: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let mut tried = 0;
    loop {
        let udp = UdpSocket::from(bound(address, Type::DGRAM)?);
        let tcp = bound(udp.local_addr()?, Type::STREAM)
            .and_then(|tcp| tcp.listen(128).map(|()| TcpListener::from(tcp)));
        tried += 1;
        match tcp {
            Err(error)
                if error.kind() == io::ErrorKind::AddrInUse
                    && address.port() == 0
                    && tried < PORTS => {}
            tcp => return Ok((udp, tcp?)),
        }
    }
}

fn bound(address: SocketAddr, kind: Type) -> io::Result<Socket> {
    let udp = kind == Type::DGRAM;
    let protocol = if udp { Protocol::UDP } else { Protocol::TCP };
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        // So that each family is its own, and an address of IPv4 is never written as one of IPv6.
        socket.set_only_v6(true)?;
    }
    if udp {
        // As much as the system gives; it need not be all.
        let _ = socket.set_recv_buffer_size(BUFFER);
    } else {
        socket.set_reuse_address(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

/// What everybody who answers needs.
struct Service {
    zone: ServedZone,
    signer: Option<ZoneSigner>,
    limiter: Mutex<Limiter>,
    log: QueryLog,
    clock: fn() -> DateTime<Utc>,
    ticks: fn() -> Instant,
    end: AtomicBool,
}

/// How the server is run.
#[derive(Debug)]
pub struct Serving {
    /// What is answered.
    pub zone: ServedZone,
    /// What signs its checks zone, if there is a key for it.
    pub signer: Option<ZoneSigner>,
    /// Answers a second for each network by UDP; 0: without limit.
    pub rate: u16,
    /// What is remembered.
    pub log: QueryLog,
    /// The time.
    pub clock: fn() -> DateTime<Utc>,
    /// A clock that never goes back.
    pub ticks: fn() -> Instant,
}

/// Answers until `end` comes.
///
/// # Errors
///
/// Where a thread cannot be started, or a socket not be used.
pub async fn serve(
    serving: Serving,
    sockets: ZoneSockets,
    end: impl Future<Output = ()>,
) -> io::Result<()> {
    let Serving { zone, signer, rate, log, clock, ticks } = serving;
    let limiter = Mutex::new(Limiter::new(rate, ticks()));
    let service = Arc::new(Service { zone, signer, limiter, log, clock, ticks, end: false.into() });
    let mut threads = Vec::new();
    for socket in sockets.udp {
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(LOOK))?;
        let socket = Arc::new(socket);
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            let (service, socket) = (Arc::clone(&service), Arc::clone(&socket));
            let thread = std::thread::Builder::new().name("zone-udp".to_owned());
            threads.push(thread.spawn(move || service.udp(&socket))?);
        }
    }
    let room = Arc::new(Room::default());
    let mut listeners = tokio::task::JoinSet::new();
    for listener in sockets.tcp {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        listeners.spawn(Arc::clone(&service).tcp(listener, Arc::clone(&room)));
    }
    end.await;
    listeners.shutdown().await;
    service.end.store(true, Ordering::Relaxed);
    for thread in threads {
        // It ends within LOOK; what it panicked with has been printed.
        let _ = thread.join();
    }
    Ok(())
}

impl Service {
    /// Answers what comes by UDP, until the end.
    fn udp(&self, socket: &UdpSocket) {
        let mut query = [0; QUERY];
        while !self.end.load(Ordering::Relaxed) {
            // An error is that of an answer sent before, as to a port that is closed, or that nothing came.
            let Ok((length, from)) = socket.recv_from(&mut query) else { continue };
            if let Some(answer) = self.by_udp(&query[..length], from) {
                // What cannot be sent is asked for again.
                let _ = socket.send_to(&answer, from);
            }
        }
    }

    /// The answer to a query by UDP, if it gets one.
    fn by_udp(&self, query: &[u8], from: SocketAddr) -> Option<Vec<u8>> {
        let asker = asker(from, QueryTransport::Udp);
        let query = ZoneQuery::read(query)?;
        let allowance = {
            let mut limiter = self.limiter.lock().unwrap_or_else(PoisonError::into_inner);
            limiter.ask(asker.address, query.of_a_scan, (self.ticks)())
        };
        let now = (self.clock)();
        let response = match allowance {
            Allowance::Answer => query.answer(self.answerer(now), asker),
            Allowance::Tcp => query.sent_to_tcp(),
            Allowance::Silence => {
                self.log.count();
                return None;
            }
        };
        // The flood itself would push everything else out of the log.
        if allowance == Allowance::Tcp && !query.of_a_scan {
            self.log.count();
        } else {
            self.log.query(now, asker, from.port(), response.seen);
        }
        Some(response.bytes)
    }

    fn answerer(&self, now: DateTime<Utc>) -> Answerer<'_> {
        Answerer { zone: &self.zone, signer: self.signer.as_ref(), now }
    }

    /// Takes connections until it is dropped.
    async fn tcp(self: Arc<Self>, listener: tokio::net::TcpListener, room: Arc<Room>) {
        let mut connections = tokio::task::JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let Ok((stream, from)) = listener.accept().await else {
                // No file is left, for one: it is no use to ask again at once.
                tokio::time::sleep(LOOK).await;
                continue;
            };
            // Where there is no room it is closed, and asked again later.
            if let Some(place) = ConnectionPlace::take(&room, from.ip()) {
                let service = Arc::clone(&self);
                connections.spawn(async move {
                    let _ = service.connection(stream, from).await;
                    drop(place);
                });
            }
        }
    }

    /// Answers the queries of a connection, one after another.
    async fn connection(&self, mut stream: TcpStream, from: SocketAddr) -> io::Result<()> {
        let asker = asker(from, QueryTransport::Tcp);
        for _ in 0..QUERIES {
            let Ok(query) = tokio::time::timeout(PATIENCE, read(&mut stream)).await else { break };
            let Some(query) = ZoneQuery::read(&query?) else { break };
            let now = (self.clock)();
            let response = query.answer(self.answerer(now), asker);
            self.log.query(now, asker, from.port(), response.seen);
            // Ours are a few hundred bytes.
            let length = u16::try_from(response.bytes.len()).map_err(io::Error::other)?;
            let framed = [&length.to_be_bytes()[..], &response.bytes].concat();
            match tokio::time::timeout(PATIENCE, stream.write_all(&framed)).await {
                Ok(written) => written?,
                Err(_) => break,
            }
        }
        Ok(())
    }
}

/// A query, after the two octets of its length (RFC 1035, section 4.2.2).
async fn read(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = usize::from(stream.read_u16().await?);
    if length > QUERY {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut query = vec![0; length];
    stream.read_exact(&mut query).await?;
    Ok(query)
}

fn asker(from: SocketAddr, transport: QueryTransport) -> QuerySource {
    QuerySource { address: from.ip().to_canonical(), transport }
}

/// Room for connections, in all and for each network.
#[derive(Debug)]
struct Room {
    all: Arc<Semaphore>,
    networks: Mutex<HashMap<u64, usize>>,
}

impl Default for Room {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(CONNECTIONS)), networks: Mutex::default() }
    }
}

/// The place of a connection.
#[derive(Debug)]
struct ConnectionPlace {
    room: Arc<Room>,
    network: u64,
    _permit: tokio::sync::OwnedSemaphorePermit,
}

impl ConnectionPlace {
    fn take(room: &Arc<Room>, from: IpAddr) -> Option<Self> {
        let permit = Arc::clone(&room.all).try_acquire_owned().ok()?;
        let network = network(from.to_canonical());
        let mut networks = room.networks.lock().unwrap_or_else(PoisonError::into_inner);
        let count = networks.entry(network).or_default();
        if *count >= CONNECTIONS_OF_NETWORK {
            return None;
        }
        *count += 1;
        Some(Self { room: Arc::clone(room), network, _permit: permit })
    }
}

impl Drop for ConnectionPlace {
    fn drop(&mut self) {
        let mut networks = self.room.networks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = networks.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                networks.remove(&self.network);
            }
        }
    }
}
