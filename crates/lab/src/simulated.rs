//! A tor without a network, in this process: control port, SOCKS port and DNSPort as tor 0.4.9.11 has
//! them, in front of as many relays as one likes, whose faults are scripted and whose weather is that
//! of the public network ([`Noise::LIVE`]), or none.
//!
//! A real scanner scans it as any running tor (`--control unix:PATH`), at a scale, and with losses of
//! tor and of the network, that real tors on one machine cannot be made to have. It is only as good as
//! it is like tor: `crates/exit-validator/tests/scan/simulated.rs` holds the two side by side, line by
//! line, for one scan of the same faults.
//!
//! It knows what a scan of a running tor needs, and no more: circuits of two relays; the options, keys
//! and events in `options` and `commands`; a DNSPort that is there from the start. It shares no code
//! with the client that it is there to test.

mod commands;
pub(crate) mod documents;
pub(crate) mod machine;
pub(crate) mod network;
mod options;
mod serve;
pub(crate) mod streams;

use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use chrono::{DateTime, Utc};
use rand::Rng as _;
use tokio::sync::mpsc as orders;
use tokio::task::LocalSet;

pub use machine::{SimulatedTally, Uplink};
pub use network::{Noise, SimulatedNetwork};

use self::documents::Documents;
use self::machine::{SimulatedMachine, TorPlace};
use self::serve::{RunningTor, Sockets};

/// A simulated tor. It ends when this is dropped.
#[derive(Debug)]
pub struct SimulatedTor {
    control: PathBuf,
    orders: orders::UnboundedSender<Order>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

/// What is to be done with it.
#[derive(Debug)]
enum Order {
    Kill,
    Start(mpsc::Sender<io::Result<()>>),
    DropControllers,
    Uplink(Uplink),
    Tell(mpsc::Sender<TorStanding>),
}

/// How a simulated tor stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TorStanding {
    /// What has happened since the network began.
    pub tally: SimulatedTally,
    /// Circuits of controllers that are open or under way.
    pub circuits: usize,
    /// Streams that wait, or are under way.
    pub streams: usize,
    /// What it says of `__LeaveStreamsUnattached`.
    pub leaves_streams: bool,
}

impl SimulatedTor {
    /// Starts one in this directory, in front of this network, with microdescriptors or with server
    /// descriptors.
    ///
    /// # Errors
    ///
    /// A socket or file that cannot be made.
    pub fn start(
        network: SimulatedNetwork,
        dir: &Path,
        microdescriptors: bool,
    ) -> io::Result<Self> {
        let control = dir.join("control");
        let (orders, received) = orders::unbounded_channel();
        let (ready, started) = mpsc::channel();
        let host = SimulatedHost {
            cookie_file: dir.join("control_auth_cookie"),
            control: control.clone(),
            documents: Arc::new(Documents::of(&network, wall_clock(), microdescriptors)),
            network: Arc::new(network),
            microdescriptors,
            starts: 0,
        };
        let thread = std::thread::Builder::new()
            .name("simulated-tor".to_owned())
            .spawn(move || host.run(received, &ready))?;
        let gone = || io::Error::other("the simulated tor's thread has ended");
        started.recv().map_err(|_| gone())??;
        Ok(Self { control, orders, thread: Some(thread) })
    }

    /// Its control port, as `--control` takes it.
    #[must_use]
    pub fn control(&self) -> String {
        format!("unix:{}", self.control.display())
    }

    /// Kills it: its ports are closed, its circuits and options are gone.
    pub fn kill(&self) {
        self.order(Order::Kill);
    }

    /// Starts it again, after it was killed or has crashed. The network is the same.
    ///
    /// # Errors
    ///
    /// A socket or file that cannot be made.
    pub fn start_again(&self) -> io::Result<()> {
        let (done, started) = mpsc::channel();
        self.order(Order::Start(done));
        started.recv().map_err(io::Error::other)?
    }

    /// Lets go of all control connections, while everything else goes on.
    pub fn drop_controllers(&self) {
        self.order(Order::DropControllers);
    }

    /// Changes the way to the network.
    pub fn set_uplink(&self, uplink: Uplink) {
        self.order(Order::Uplink(uplink));
    }

    /// How it stands; none where it does not run: it was killed, or has ended with an assertion.
    #[must_use]
    pub fn standing(&self) -> Option<TorStanding> {
        let (tell, told) = mpsc::channel();
        self.order(Order::Tell(tell));
        told.recv().ok()
    }

    fn order(&self, order: Order) {
        // It takes orders for as long as this is there.
        let _ = self.orders.send(order);
    }
}

impl Drop for SimulatedTor {
    fn drop(&mut self) {
        // Its thread ends with its orders.
        self.orders = orders::unbounded_channel().0;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Where one tor after the other runs.
#[derive(Debug)]
struct SimulatedHost {
    network: Arc<SimulatedNetwork>,
    documents: Arc<Documents>,
    control: PathBuf,
    cookie_file: PathBuf,
    microdescriptors: bool,
    starts: u32,
}

impl SimulatedHost {
    fn run(
        mut self,
        mut orders: orders::UnboundedReceiver<Order>,
        ready: &mpsc::Sender<io::Result<()>>,
    ) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        LocalSet::new().block_on(&runtime, async {
            let mut tor = match self.start(None).await {
                Ok(tor) => Some(tor),
                Err(error) => {
                    let _ = ready.send(Err(error));
                    return Ok(());
                }
            };
            let _ = ready.send(Ok(()));
            let mut before = None;
            loop {
                let crashed = async {
                    match &tor {
                        Some(tor) => tor.hub.ended.notified().await,
                        None => std::future::pending().await,
                    }
                };
                let order = tokio::select! {
                    order = orders.recv() => match order {
                        Some(order) => order,
                        None => return Ok(()),
                    },
                    () = crashed => Order::Kill,
                };
                match order {
                    Order::Kill => {
                        if let Some(tor) = tor.take() {
                            before = Some(self.end(tor));
                        }
                    }
                    Order::Start(done) => {
                        let started = match tor {
                            Some(_) => Ok(()),
                            None => self.start(before.take()).await.map(|it| tor = Some(it)),
                        };
                        let _ = done.send(started);
                    }
                    Order::DropControllers => {
                        if let Some(tor) = &tor {
                            tor.hub.drop_controllers();
                        }
                    }
                    Order::Uplink(uplink) => {
                        if let Some(tor) = &tor {
                            tor.hub.with(|machine, _| machine.set_uplink(uplink));
                        }
                    }
                    Order::Tell(tell) => {
                        if let Some(tor) = &tor {
                            let _ = tell.send(standing(tor));
                        }
                    }
                }
            }
        })
    }

    /// Starts a tor; `before`: the one that was there.
    async fn start(&mut self, before: Option<SimulatedMachine>) -> io::Result<RunningTor> {
        self.starts += 1;
        let sockets = Sockets::open(&self.control).await?;
        let (socks, dns) = sockets.addresses()?;
        let mut machine = self.machine(socks.to_string(), dns.to_string());
        if let Some(before) = before {
            machine.succeed(before);
        }
        fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&self.cookie_file)
            .and_then(|mut file| io::Write::write_all(&mut file, &machine.place.cookie))?;
        Ok(RunningTor::start(machine, sockets))
    }

    fn machine(&self, socks: String, dns: String) -> SimulatedMachine {
        let mut cookie = [0; 32];
        randomness().fill_bytes(&mut cookie);
        let place = TorPlace {
            cookie,
            cookie_file: self.cookie_file.display().to_string(),
            pid: std::process::id() + self.starts,
            socks,
            dns,
            microdescriptors: self.microdescriptors,
            began: wall_clock(),
        };
        SimulatedMachine::new(Arc::clone(&self.network), Arc::clone(&self.documents), place)
    }

    fn end(&self, tor: RunningTor) -> SimulatedMachine {
        tor.end(self.machine(String::new(), String::new()))
    }
}

fn standing(tor: &RunningTor) -> TorStanding {
    tor.hub.with(|machine, _| TorStanding {
        tally: machine.tally(),
        circuits: machine.circuits.len(),
        streams: machine.streams.len(),
        leaves_streams: machine.options.is_on("__LeaveStreamsUnattached"),
    })
}

#[expect(clippy::disallowed_methods, reason = "the edge: a consensus is of a time")]
fn wall_clock() -> DateTime<Utc> {
    Utc::now()
}

#[expect(clippy::disallowed_methods, reason = "the edge: a cookie that nobody can guess")]
fn randomness() -> rand::rngs::ThreadRng {
    rand::rng()
}
