//! How a lab comes to run: keys, configuration, processes, one vote, faults, client.
//!
//! The authorities are configured not to vote for half an hour, and told to vote at once when all
//! of them know every relay: so the first consensus is complete, and no other follows soon that
//! would disturb what is measured.

use std::fs;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use record::Fingerprint;
use rustix::process::Signal;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::control::Control;
use crate::link::Link;
use crate::network::{CLIENT, Client, Exit, Guard, Network};
use crate::process::{Handle, Launch, Processes, tail};
use crate::resolver::{Resolver, Resolvers};
use crate::torrc::{self, Authority};
use crate::{Error, Fault, Spec, keys};

/// How far a lab has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Keys are being made, for so many relays.
    Keys {
        /// How many.
        relays: usize,
    },
    /// The relays' tors are started.
    Relays,
    /// All authorities know every relay, and vote.
    Vote,
    /// There is a consensus with every relay; the guards fetch it.
    Consensus,
    /// The client tor is started.
    Client,
    /// The network can be used.
    Ready,
}

/// How many authorities there are: bandwidths count as measured by three of them or more.
const AUTHORITIES: usize = 3;

/// How often the start is tried anew where another program took a port of ours.
const TRIES: u32 = 4;

/// How long each step of the start may take, and so much longer for each relay.
const PATIENCE: Duration = Duration::from_secs(60);
const PER_RELAY: Duration = Duration::from_secs(1);

/// Length of a control port's cookie in bytes (control-spec, section 5.1).
const COOKIE_LENGTH: u64 = 32;

/// How often a step's end is looked for.
const POLL: Duration = Duration::from_millis(100);

/// The contact of the first exit: what a hostile operator may write there. Terminal escapes, HTML,
/// letters beyond ASCII, and a mark that turns the direction of writing.
const HOSTILE_CONTACT: &str = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{1b}[31m <script>alert(1)</script>\
                               <img src=x onerror=alert(1)> \u{202e}玉ねぎ é \u{9b}31m \"'&";

/// How many of the exits, from the second on, name each other as a family.
const FAMILY: usize = 2;

/// A relay's name and files.
#[derive(Debug, Clone)]
struct Place {
    name: String,
    dir: PathBuf,
}

impl Place {
    fn new(lab: &Path, name: &str) -> Result<Self, Error> {
        let dir = lab.join(name);
        private(&dir.join("data"))?;
        Ok(Self { name: name.to_owned(), dir })
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn cookie(&self) -> PathBuf {
        self.data().join("control_auth_cookie")
    }
}

pub(crate) async fn start(
    spec: &Spec,
    dir: &Path,
    mut progress: impl FnMut(Progress) + Send,
) -> Result<Network, Error> {
    spec.check()?;
    private(dir)?;
    let dir = dir.canonicalize().map_err(Error::file("read", dir))?;
    let plain = |path: &str| !path.chars().any(char::is_control);
    if !dir.to_str().is_some_and(plain) {
        return Err(Error::Directory(dir));
    }
    let mut tries = 1;
    loop {
        match start_once(spec, &dir, &mut progress).await {
            Err(Error::Ended { log, .. }) if tries < TRIES && port_was_taken(&log) => tries += 1,
            result => return result,
        }
    }
}

/// Whether a tor ended because a port that was free had been taken meanwhile.
fn port_was_taken(log: &str) -> bool {
    log.contains("Could not bind") || log.contains("Address already in use")
}

async fn start_once(
    spec: &Spec,
    dir: &Path,
    progress: &mut (impl FnMut(Progress) + Send),
) -> Result<Network, Error> {
    let files = dir.join("tor");
    if files.exists() {
        fs::remove_dir_all(&files).map_err(Error::file("replace", &files))?;
    }
    private(&files)?;
    let no_settings = files.join("no-settings");
    write(&no_settings, "")?;

    let authority_names = (1..=AUTHORITIES).map(|number| format!("authority{number}"));
    let guard_names = (1..=spec.guards).map(|number| format!("guard{number}"));
    let dead_guard_name = spec.dead_guard.then(|| "deadguard".to_owned());
    let place = |name: String| Place::new(&files, &name);
    let authority_places = authority_names.map(place).collect::<Result<Vec<_>, _>>()?;
    let guard_places =
        guard_names.chain(dead_guard_name).map(place).collect::<Result<Vec<_>, _>>()?;
    let exit_places = spec.nicknames().into_iter().map(place).collect::<Result<Vec<_>, _>>()?;
    let relays = [&authority_places[..], &guard_places[..], &exit_places[..]].concat();

    progress(Progress::Keys { relays: relays.len() });
    let voters = in_parallel(&authority_places, |place| async move {
        keys::voter(&place.name, &place.data()).await
    });
    let identities = in_parallel(&relays, |place| {
        let empty = no_settings.clone();
        async move { keys::relay(&place.name, &place.data(), &empty).await }
    });
    let (voters, identities) = tokio::try_join!(voters, identities)?;
    let (authority_ids, others) = identities.split_at(AUTHORITIES);
    let (guard_ids, exit_ids) = others.split_at(guard_places.len());

    progress(Progress::Relays);
    let processes = Processes::new()?;
    let handle = processes.handle().clone();
    let owner = std::process::id();
    let launch = |place: &Place| Launch {
        torrc: place.dir.join("torrc"),
        defaults: no_settings.clone(),
        output: place.dir.join("output"),
    };

    // Ports stay taken by us until just before their tor takes them.
    let mut authorities = Vec::new();
    let mut held = Vec::new();
    for ((place, &v3_identity), &fingerprint) in
        authority_places.iter().zip(&voters).zip(authority_ids)
    {
        let (or, dir) = (Port::take()?, Port::take()?);
        authorities.push(Authority {
            nickname: place.name.clone(),
            v3_identity,
            fingerprint,
            or_port: or.number,
            dir_port: dir.number,
        });
        held.push((or, dir));
    }
    let network = torrc::network(&authorities);
    let bandwidths = files.join("measured-bandwidths");
    write(&bandwidths, &torrc::bandwidths(unix_now(), identities.iter().copied()))?;
    let offset = format!(
        "TestingV3AuthVotingStartOffset {} seconds\n",
        // As far away as can be.
        torrc::voting_offset(unix_now() + torrc::VOTING_INTERVAL - 1)
    );
    for ((place, authority), ports) in authority_places.iter().zip(&authorities).zip(held) {
        let lines = torrc::common(&place.dir, owner)
            + &torrc::relay(&place.name, &no_settings)
            + &network
            + &torrc::authority(authority, guard_ids, &bandwidths)
            + &offset;
        write(&place.dir.join("torrc"), &lines)?;
        drop(ports);
        run(&handle, place, launch(place)).await?;
    }
    // The guards before the exits: tor calls stable, and so fit to be a guard, what has been up for
    // longer than the median.
    for place in &guard_places {
        let port = Port::take()?;
        let lines = torrc::common(&place.dir, owner)
            + &torrc::relay(&place.name, &no_settings)
            + &network
            + &torrc::guard(port.number);
        write(&place.dir.join("torrc"), &lines)?;
        drop(port);
        run(&handle, place, launch(place)).await?;
    }
    let watch = Watch {
        handle: &handle,
        files: &files,
        patience: PATIENCE + PER_RELAY * u32::try_from(relays.len()).unwrap_or(u32::MAX),
    };
    let mut voters = Vec::new();
    for place in &authority_places {
        voters.push(watch.control(place).await?);
    }
    // On a busy machine a tor may be seconds late to count its own time; what it has published, it
    // counts. One second more, as times are rounded.
    watch.descriptors(&mut voters, guard_ids).await?;
    sleep(Duration::from_secs(1)).await;
    let family: Vec<_> = exit_ids.iter().copied().skip(1).take(FAMILY).collect();
    let family_id = if spec.exits.iter().any(Fault::has_family_key) {
        Some(keys::family(&files, &no_settings).await?)
    } else {
        None
    };
    let mut exits = Vec::new();
    let mut resolvers = Vec::new();
    for (index, ((place, &fault), &fingerprint)) in
        exit_places.iter().zip(&spec.exits).zip(exit_ids).enumerate()
    {
        let port = Port::take()?;
        let link = fault.link().map(|delay| Link::bind(port.number, delay)).transpose()?;
        let published = link.as_ref().map(Link::port).transpose()?;
        let resolver = Resolver::bind(fault, place.name.clone(), link)?;
        let address = resolver.address()?;
        let resolv_conf = place.dir.join("resolv.conf");
        let mut servers = format!("nameserver {address}\n");
        if fault == Fault::OneServerSilent {
            let silent = Resolver::bind(Fault::Silent, place.name.clone(), None)?;
            servers.insert_str(0, &format!("nameserver {}\n", silent.address()?));
            resolvers.push(silent);
        }
        write(&resolv_conf, &servers)?;
        let family_id = family_id.as_deref().filter(|_| fault.has_family_key());
        if family_id.is_some() {
            keys::give_family(&files, &place.data())?;
        }
        let contact = format!("operator of {} <exits@example.org>", place.name);
        let lines = torrc::Exit {
            or_port: port.number,
            published,
            resolv_conf: &resolv_conf,
            ipv6: fault.ipv6(),
            policy: torrc::policy(fault),
            contact: if index == 0 { HOSTILE_CONTACT } else { &contact },
            family: if family.contains(&fingerprint) { &family } else { &[] },
            family_id,
            looks_for_hijacking: fault.looks_for_hijacking(),
        };
        let lines = torrc::common(&place.dir, owner)
            + &torrc::relay(&place.name, &no_settings)
            + &network
            + &lines.lines()
            + if fault == Fault::ExitsNoLonger { torrc::ASKED } else { "" };
        write(&place.dir.join("torrc"), &lines)?;
        exits.push(Exit {
            fingerprint,
            nickname: place.name.clone(),
            fault,
            family_id: family_id.map(str::to_owned),
            or_address: SocketAddr::from((Ipv4Addr::LOCALHOST, published.unwrap_or(port.number))),
            resolver: address,
            log: resolver.log(),
            mind: resolver.mind(),
        });
        resolvers.push(resolver);
        drop(port);
        run(&handle, place, launch(place)).await?;
    }
    let resolvers = Resolvers::start(resolvers, &handle)?;
    watch.descriptors(&mut voters, &identities).await?;
    progress(Progress::Vote);
    watch.vote(&mut voters, &identities).await?;
    progress(Progress::Consensus);
    let mut guard_controls = Vec::new();
    for place in &guard_places {
        let mut control = watch.control(place).await?;
        control.command("SETCONF FetchServerDescriptors=1").await?;
        guard_controls.push(control);
    }
    for mut control in guard_controls {
        watch
            .until("every guard has the consensus", async || has_consensus(&mut control).await)
            .await?;
    }

    let mut client = None;
    if spec.client {
        progress(Progress::Client);
        let place = Place::new(&files, CLIENT)?;
        let ports = [Port::take()?, Port::take()?, Port::take_udp()?];
        let [control, socks, dns] = ports.each_ref().map(|port| port.number);
        let lines = torrc::common(&place.dir, owner)
            + &torrc::user(&authorities)
            + &torrc::client(control, socks, dns);
        write(&place.dir.join("torrc"), &lines)?;
        drop(ports);
        run(&handle, &place, launch(&place)).await?;
        let mut connection = watch.control(&place).await?;
        watch
            .until("the client has a circuit", async || {
                let lines = connection.command("GETINFO status/bootstrap-phase").await?;
                Ok(lines.iter().any(|line| line.contains("PROGRESS=100")))
            })
            .await?;
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        client = Some(Client {
            control: local(control).to_string(),
            cookie: place.cookie(),
            socks: local(socks),
            dns: local(dns),
        });
    }
    // Last: a client that chose a dead guard to fetch from would wait ten seconds and try again.
    for (exit, place) in exits.iter().zip(&exit_places) {
        let name = exit.nickname.clone();
        match exit.fault {
            Fault::Frozen => {
                handle.run(move |table| table.signal(&name, Signal::STOP)).await?;
            }
            Fault::Dead => handle.run(move |table| table.kill(&name)).await?,
            Fault::ExitsNoLonger => {
                let torrc = place.dir.join("torrc");
                let lines = fs::read_to_string(&torrc).map_err(Error::file("read", &torrc))?;
                write(&torrc, &lines.replace(torrc::policy(exit.fault), torrc::NO_EXIT))?;
                let mut control = watch.control(place).await?;
                handle.run(move |table| table.signal(&name, Signal::HUP)).await?;
                // It goes by its descriptor, which it makes anew a while after it has read.
                watch
                    .until("an exit has stopped exiting", async || {
                        let policy = control.command("GETINFO exit-policy/full").await?;
                        Ok(policy.iter().any(|line| line.ends_with("reject *:*"))
                            && !policy.iter().any(|line| line.contains("accept")))
                    })
                    .await?;
            }
            _ => {}
        }
    }
    let mut guards: Vec<_> = guard_places
        .iter()
        .zip(guard_ids)
        .map(|(place, &fingerprint)| Guard { fingerprint, nickname: place.name.clone() })
        .collect();
    let dead_guard = if spec.dead_guard { guards.pop() } else { None };
    if let Some(guard) = &dead_guard {
        let name = guard.nickname.clone();
        handle.run(move |table| table.kill(&name)).await?;
    }
    progress(Progress::Ready);
    Ok(Network {
        dir: dir.to_owned(),
        authorities,
        exits,
        guards,
        dead_guard: dead_guard.map(|guard| guard.fingerprint),
        client,
        _resolvers: resolvers,
        processes,
    })
}

/// Waiting for the tors, while none of them may end.
struct Watch<'a> {
    handle: &'a Handle,
    files: &'a Path,
    patience: Duration,
}

impl Watch<'_> {
    /// Tries until it is so.
    #[expect(clippy::disallowed_methods, reason = "the edge: it waits for other processes")]
    async fn until(
        &self,
        what: &str,
        mut so: impl AsyncFnMut() -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let start = Instant::now();
        loop {
            self.all_run().await?;
            if so().await? {
                return Ok(());
            }
            if start.elapsed() > self.patience {
                return Err(Error::Late { what: what.to_owned(), after: self.patience });
            }
            sleep(POLL).await;
        }
    }

    async fn all_run(&self) -> Result<(), Error> {
        let ended = self.handle.run(crate::process::Table::ended).await?;
        let Some((name, how)) = ended.into_iter().next() else { return Ok(()) };
        let dir = self.files.join(&name);
        let log = format!("{} | {}", tail(&dir.join("output")), tail(&dir.join("log")));
        Err(Error::Ended { name, how, log })
    }

    /// Connects to a tor's control port as soon as it is there.
    async fn control(&self, place: &Place) -> Result<Control, Error> {
        let mut connection = None;
        let file = place.dir.join(torrc::CONTROL_PORT_FILE);
        self.until("a control port answers", async || {
            let text = fs::read_to_string(&file).unwrap_or_default();
            let port = text.trim().rsplit(':').next().and_then(|port| port.parse().ok());
            let Some(port) = port else { return Ok(false) };
            // The cookie's file comes after the port's.
            if fs::metadata(place.cookie()).map_or(0, |cookie| cookie.len()) < COOKIE_LENGTH {
                return Ok(false);
            }
            connection = Some(Control::connect(&place.name, port, &place.cookie()).await?);
            Ok(true)
        })
        .await?;
        connection.ok_or(Error::Stopped)
    }

    /// Waits until every authority has every relay's descriptor.
    async fn descriptors(
        &self,
        voters: &mut [Control],
        relays: &[Fingerprint],
    ) -> Result<(), Error> {
        for voter in voters {
            let mut unknown: Vec<_> = relays.to_vec();
            self.until("every authority knows every relay", async || {
                while let Some(relay) = unknown.last() {
                    if voter.command(&format!("GETINFO desc/id/{relay}")).await.is_err() {
                        return Ok(false);
                    }
                    unknown.pop();
                }
                Ok(true)
            })
            .await?;
        }
        Ok(())
    }

    /// Has the authorities vote, and waits until they have a consensus with every relay.
    async fn vote(&self, voters: &mut [Control], relays: &[Fingerprint]) -> Result<(), Error> {
        // One second to tell them all, and one more for the rounding.
        let offset = torrc::voting_offset(unix_now() + torrc::VOTE_TAKES + 2);
        for voter in voters.iter_mut() {
            voter
                .command(&format!("SETCONF TestingV3AuthVotingStartOffset=\"{offset} seconds\""))
                .await?;
        }
        for voter in voters {
            self.until("there is a consensus", async || {
                if !has_consensus(voter).await? {
                    return Ok(false);
                }
                for relay in relays {
                    voter.command(&format!("GETINFO ns/id/{relay}")).await?;
                }
                Ok(true)
            })
            .await?;
        }
        Ok(())
    }
}

/// Whether that tor has a consensus: without one, the time is empty.
async fn has_consensus(control: &mut Control) -> Result<bool, Error> {
    let reply = control.command("GETINFO consensus/valid-after").await?;
    Ok(reply.iter().any(|line| {
        line.strip_prefix("consensus/valid-after=").is_some_and(|time| !time.is_empty())
    }))
}

async fn run(handle: &Handle, place: &Place, launch: Launch) -> Result<(), Error> {
    let name = place.name.clone();
    handle.run(move |table| table.start(&name, launch)).await?
}

/// Does something for every place, as many at once as there are processors.
async fn in_parallel<T: Send + 'static, F>(
    places: &[Place],
    work: impl Fn(Place) -> F,
) -> Result<Vec<T>, Error>
where
    F: Future<Output = Result<T, Error>> + Send + 'static,
{
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let permits = Arc::new(Semaphore::new(processors));
    let mut tasks = JoinSet::new();
    for (index, place) in places.iter().enumerate() {
        let (permits, work) = (Arc::clone(&permits), work(place.clone()));
        tasks.spawn(async move {
            let _permit = permits.acquire().await.map_err(|_| Error::Stopped)?;
            Ok::<_, Error>((index, work.await?))
        });
    }
    let mut done = Vec::new();
    while let Some(task) = tasks.join_next().await {
        done.push(task.map_err(|_| Error::Stopped)??);
    }
    done.sort_by_key(|(index, _)| *index);
    Ok(done.into_iter().map(|(_, value)| value).collect())
}

/// A free port on loopback, taken by us as long as this lives.
struct Port {
    number: u16,
    _taken: Taken,
}

enum Taken {
    Tcp { _listener: TcpListener },
    Udp { _socket: std::net::UdpSocket },
}

impl Port {
    fn take() -> Result<Self, Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Error::Port)?;
        let number = listener.local_addr().map_err(Error::Port)?.port();
        Ok(Self { number, _taken: Taken::Tcp { _listener: listener } })
    }

    fn take_udp() -> Result<Self, Error> {
        let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Error::Port)?;
        let number = socket.local_addr().map_err(Error::Port)?.port();
        Ok(Self { number, _taken: Taken::Udp { _socket: socket } })
    }
}

/// Makes a directory that nobody else may look into.
fn private(dir: &Path) -> Result<(), Error> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(Error::file("create", dir))
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(Error::file("write", path))
}

/// Seconds since 1970, as the consensus counts them.
#[expect(clippy::disallowed_methods, reason = "the edge: when to vote")]
pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
