//! The name server of the lab's zone and of its checks zone: the one that `exit-validator zone serve` runs,
//! on loopback, with its log. Decides no answer.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Instant;

use ::zone::layout::{ServedZone, ZoneSettings};
use ::zone::log::{Keep, QueryLog};
use ::zone::serve::{Serving, ZoneSockets, serve};
use ::zone::sign::{ZoneKey, ZoneSigner};
use chrono::{DateTime, Utc};
use tokio::sync::oneshot;

use crate::LabError;
use crate::zone::{CHECKS_DOMAIN, EXPECTED_ADDRESS, EXPECTED_ADDRESS_V6, WILDCARD_DOMAIN};

/// Where it is on loopback.
pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 53);

/// What is kept of its log, in bytes.
const LOG_BYTES: u64 = 256_000_000;

/// How often a port is looked for that is free for both families.
const TRIES: u32 = 20;

/// The name server. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct ZoneServer {
    /// Its port, for both families.
    pub(crate) port: u16,
    /// Whether it listens by IPv6 too: a machine may have none.
    pub(crate) ipv6: bool,
    /// The directory of its log.
    pub(crate) log: PathBuf,
    /// The checks zone's key as a DS record.
    pub(crate) anchor: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    writer: Option<JoinHandle<()>>,
}

/// Whether this machine has IPv6 on loopback.
fn has_ipv6() -> bool {
    UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

impl ZoneServer {
    /// Starts it, with its log in `dir`.
    pub(crate) fn start(dir: &Path) -> Result<Self, LabError> {
        let failed =
            |source| LabError::Start { program: "the zone's name server".to_owned(), source };
        let ipv6 = has_ipv6();
        let (sockets, port) = sockets(ipv6)?;
        let mut servers = format!("ns1.lab.invalid {ADDRESS}");
        if ipv6 {
            servers += &format!(" {}", Ipv6Addr::LOCALHOST);
        }
        let settings = ZoneSettings {
            domain: WILDCARD_DOMAIN,
            checks: Some(CHECKS_DOMAIN),
            servers: &servers,
            hostmaster: None,
            expected: vec![EXPECTED_ADDRESS.into(), EXPECTED_ADDRESS_V6.into()],
        };
        let zone = ServedZone::new(settings).map_err(|error| failed(io::Error::other(error)))?;
        let keep = Keep { days: 1, bytes: LOG_BYTES };
        let log = dir.join("zone-log");
        let (lines, writer) =
            QueryLog::open(&log, keep, now).map_err(LabError::file("write", &log))?;
        let key = ZoneKey::generate().and_then(|pem| ZoneKey::from_pem(pem.as_bytes()));
        let key = key.map_err(|error| failed(io::Error::other(error)))?;
        let records = ::zone::keys::delegation(&zone, &key);
        let records = records.map_err(|error| failed(io::Error::other(error)))?;
        // The zone above has it last.
        let anchor = records.lines().next_back().unwrap_or_default().to_owned();
        let signer = Some(ZoneSigner::new(key, &zone));
        // All of its askers are on one network.
        let serving = Serving { zone, signer, rate: 0, log: lines, clock: now, ticks };
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new()
            .name("lab-authority".to_owned())
            .spawn(move || {
                // An error of a socket that was open: whoever waits for an answer will say so.
                let _ = runtime.block_on(serve(serving, sockets, async {
                    // An error means that the lab is gone: the same.
                    let _ = stopped.await;
                }));
            })
            .map_err(failed)?;
        Ok(Self {
            port,
            ipv6,
            log,
            anchor,
            stop: Some(stop),
            thread: Some(thread),
            writer: Some(writer),
        })
    }

    /// Where it listens by IPv4.
    pub(crate) const fn address(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(ADDRESS), self.port)
    }
}

/// The sockets, with one port for both families.
fn sockets(ipv6: bool) -> Result<(ZoneSockets, u16), LabError> {
    let mut last = None;
    for _ in 0..TRIES {
        let port = UdpSocket::bind((ADDRESS, 0)).and_then(|socket| socket.local_addr());
        let port = port.map_err(LabError::Port)?.port();
        let mut addresses = vec![SocketAddr::from((ADDRESS, port))];
        addresses.extend(ipv6.then(|| SocketAddr::from((Ipv6Addr::LOCALHOST, port))));
        match ZoneSockets::bind(&addresses) {
            Ok(sockets) => return Ok((sockets, port)),
            Err(error) => last = Some(io::Error::other(error)),
        }
    }
    Err(LabError::Port(last.unwrap_or_else(|| io::ErrorKind::AddrInUse.into())))
}

impl Drop for ZoneServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        for thread in [self.thread.take(), self.writer.take()].into_iter().flatten() {
            let _ = thread.join();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the edge: the log's times")]
fn now() -> DateTime<Utc> {
    Utc::now()
}

#[expect(clippy::disallowed_methods, reason = "the edge: how much a network asks, by the clock")]
fn ticks() -> Instant {
    Instant::now()
}
