//! The steps of a start: places and keys, then one kind of relay after the other, then what makes exits
//! misbehave.

use std::fs;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use record::Fingerprint;
use rustix::process::Signal;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::port::Port;
use super::watch::Watch;
use super::{RelayPlace, unix_now, write};
use crate::authority::ZoneServer;
use crate::link::Link;
use crate::network::{CLIENT, Client, LabExit};
use crate::process::{Handle, Launch};
use crate::recursor::RecursorGround;
use crate::resolver::Resolver;
use crate::torrc::{self, Authority};
use crate::{Fault, LabError, Recursor, Spec, keys};

/// How many authorities there are: bandwidths count as measured by three of them or more.
const AUTHORITIES: usize = 3;

/// The contact of the first exit: what a hostile operator may write there. Terminal escapes, HTML,
/// letters beyond ASCII, and a mark that turns the direction of writing.
const HOSTILE_CONTACT: &str = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{1b}[31m <script>alert(1)</script>\
                               <img src=x onerror=alert(1)> \u{202e}玉ねぎ é \u{9b}31m \"'&";

/// How many of the exits, from the second on, name each other as a family.
const FAMILY: usize = 2;

/// Every relay's place.
pub(super) struct Places {
    pub(super) authorities: Vec<RelayPlace>,
    /// The dead one, if there is one, is the last.
    pub(super) guards: Vec<RelayPlace>,
    pub(super) exits: Vec<RelayPlace>,
}

/// Every relay's keys, in the order of the places.
pub(super) struct Keys {
    /// The authorities' identities as voters.
    voters: Vec<Fingerprint>,
    pub(super) relays: Vec<Fingerprint>,
    guards: usize,
}

impl Keys {
    pub(super) fn guards(&self) -> &[Fingerprint] {
        &self.relays[AUTHORITIES..AUTHORITIES + self.guards]
    }

    pub(super) fn exits(&self) -> &[Fingerprint] {
        &self.relays[AUTHORITIES + self.guards..]
    }
}

impl Places {
    pub(super) fn new(spec: &Spec, files: &Path) -> Result<Self, LabError> {
        let place = |name: String| RelayPlace::new(files, &name);
        let authorities = (1..=AUTHORITIES).map(|number| format!("authority{number}"));
        let dead_guard = spec.dead_guard.then(|| "deadguard".to_owned());
        let guards = (1..=spec.guards).map(|number| format!("guard{number}")).chain(dead_guard);
        Ok(Self {
            authorities: authorities.map(place).collect::<Result<_, _>>()?,
            guards: guards.map(place).collect::<Result<_, _>>()?,
            exits: spec.nicknames().into_iter().map(place).collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn all(&self) -> Vec<RelayPlace> {
        [&self.authorities[..], &self.guards[..], &self.exits[..]].concat()
    }

    pub(super) async fn keys(&self, no_settings: &Path) -> Result<Keys, LabError> {
        let voters = in_parallel(&self.authorities, |place| async move {
            keys::voter(&place.name, &place.data()).await
        });
        let all = self.all();
        let identities = in_parallel(&all, |place| {
            let empty = no_settings.to_owned();
            async move { keys::relay(&place.name, &place.data(), &empty).await }
        });
        let (voters, relays) = tokio::try_join!(voters, identities)?;
        Ok(Keys { voters, relays, guards: self.guards.len() })
    }

    /// The authorities, and their ports: these stay taken by us until just before their tor takes them.
    pub(super) fn authorities(
        &self,
        keys: &Keys,
    ) -> Result<(Vec<Authority>, Vec<[Port; 2]>), LabError> {
        let mut authorities = Vec::new();
        let mut held = Vec::new();
        for ((place, &v3_identity), &fingerprint) in
            self.authorities.iter().zip(&keys.voters).zip(&keys.relays)
        {
            let [or, dir] = [Port::take()?, Port::take()?];
            authorities.push(Authority {
                nickname: place.name.clone(),
                v3_identity,
                fingerprint,
                or_port: or.number,
                dir_port: dir.number,
            });
            held.push([or, dir]);
        }
        Ok((authorities, held))
    }
}

/// What every tor of the lab is started with.
pub(super) struct Ground<'a> {
    pub(super) handle: &'a Handle,
    pub(super) files: &'a Path,
    pub(super) no_settings: &'a Path,
    /// The lines that name the authorities.
    pub(super) network: String,
    pub(super) owner: u32,
}

impl Ground<'_> {
    /// Starts a relay with these lines of its own; the ports are given up just before.
    async fn relay(
        &self,
        place: &RelayPlace,
        own: &str,
        ports: impl Sized,
    ) -> Result<(), LabError> {
        let lines = torrc::relay(&place.name, self.no_settings) + &self.network + own;
        self.run(place, &lines, ports).await
    }

    async fn run(
        &self,
        place: &RelayPlace,
        lines: &str,
        ports: impl Sized,
    ) -> Result<(), LabError> {
        let torrc = place.dir.join("torrc");
        write(&torrc, &(torrc::common(&place.dir, self.owner) + lines))?;
        drop(ports);
        let name = place.name.clone();
        let launch = Launch::tor(torrc, self.no_settings.to_owned(), place.dir.join("output"));
        self.handle.run(move |table| table.start(&name, launch)).await?
    }

    pub(super) async fn authorities(
        &self,
        places: &Places,
        authorities: &[Authority],
        keys: &Keys,
        held: Vec<[Port; 2]>,
    ) -> Result<(), LabError> {
        let bandwidths = self.files.join("measured-bandwidths");
        write(&bandwidths, &torrc::bandwidths(unix_now(), keys.relays.iter().copied()))?;
        let offset = format!(
            "TestingV3AuthVotingStartOffset {} seconds\n",
            // As far away as can be.
            torrc::voting_offset(unix_now() + torrc::VOTING_INTERVAL - 1)
        );
        for ((place, authority), ports) in places.authorities.iter().zip(authorities).zip(held) {
            let own = torrc::authority(authority, keys.guards(), &bandwidths) + &offset;
            self.relay(place, &own, ports).await?;
        }
        Ok(())
    }

    /// Starts the guards: before the exits, as tor calls stable, and so fit to be a guard, what has
    /// been up for longer than the median.
    pub(super) async fn guards(&self, places: &[RelayPlace]) -> Result<(), LabError> {
        for place in places {
            let port = Port::take()?;
            self.relay(place, &torrc::guard(port.number), port).await?;
        }
        Ok(())
    }

    /// Starts the real resolvers that exits have.
    pub(super) async fn recursors(
        &self,
        spec: &Spec,
        zone: &ZoneServer,
    ) -> Result<Vec<(Recursor, SocketAddr)>, LabError> {
        let mut ports = [0; Recursor::ALL.len()];
        let mut held = Vec::new();
        for recursor in spec.recursors() {
            let port = Port::take_both(recursor.listens_on())?;
            ports[recursor as usize] = port[0].number;
            held.push(port);
        }
        let (authority, ipv6) = (zone.address(), zone.ipv6);
        let ground = RecursorGround { authority, ipv6, anchor: zone.anchor.clone(), ports };
        let mut recursors = Vec::new();
        for (recursor, ports) in spec.recursors().into_iter().zip(held) {
            let name = process_name(recursor);
            let place = RelayPlace::new(self.files, &name)?;
            let (launch, files) = recursor.launch(&place.dir, &ground);
            for (file, text) in files {
                write(&place.dir.join(file), &text)?;
            }
            drop(ports);
            self.handle.run(move |table| table.start(&name, launch)).await??;
            recursors.push((recursor, (recursor.listens_on(), ground.port(recursor)).into()));
        }
        Ok(recursors)
    }

    /// Starts the exits, each with a resolver that is bound and does not answer yet.
    pub(super) async fn exits(
        &self,
        spec: &Spec,
        places: &[RelayPlace],
        fingerprints: &[Fingerprint],
        recursors: &[(Recursor, SocketAddr)],
    ) -> Result<(Vec<LabExit>, Vec<Resolver>), LabError> {
        let family: Vec<_> = fingerprints.iter().copied().skip(1).take(FAMILY).collect();
        let family_id = if spec.exits.iter().any(Fault::has_family_key) {
            Some(keys::family(self.files, self.no_settings).await?)
        } else {
            None
        };
        let mut exits = Vec::new();
        let mut resolvers = Vec::new();
        for (index, ((place, &fault), &fingerprint)) in
            places.iter().zip(&spec.exits).zip(fingerprints).enumerate()
        {
            let port = Port::take()?;
            let link = fault.link().map(|delay| Link::bind(port.number, delay)).transpose()?;
            let published = link.as_ref().map(Link::port).transpose()?;
            let resolver = Resolver::bind(fault, place.name.clone(), link)?;
            let real = recursors.iter().find(|(real, _)| fault == Fault::Real(*real));
            let address = real.map_or_else(|| resolver.address(), |(_, address)| Ok(*address))?;
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
                keys::give_family(self.files, &place.data())?;
            }
            let contact = format!("operator of {} <exits@example.org>", place.name);
            let lines = torrc::ExitLines {
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
            let own = lines.lines() + if fault == Fault::ExitsNoLonger { torrc::ASKED } else { "" };
            exits.push(LabExit {
                fingerprint,
                nickname: place.name.clone(),
                fault,
                family_id: family_id.map(str::to_owned),
                or_address: SocketAddr::from((
                    Ipv4Addr::LOCALHOST,
                    published.unwrap_or(port.number),
                )),
                resolver: address,
                log: resolver.log(),
                mind: resolver.mind(),
            });
            resolvers.push(resolver);
            self.relay(place, &own, port).await?;
        }
        Ok((exits, resolvers))
    }

    pub(super) async fn client(
        &self,
        watch: &Watch<'_>,
        authorities: &[Authority],
    ) -> Result<Client, LabError> {
        let place = RelayPlace::new(self.files, CLIENT)?;
        let ports = [Port::take()?, Port::take()?, Port::take_udp()?];
        let [control, socks, dns] = ports.each_ref().map(|port| port.number);
        let lines = torrc::user(authorities) + &torrc::client(control, socks, dns);
        self.run(&place, &lines, ports).await?;
        let mut connection = watch.control(&place).await?;
        watch
            .until("the client has a circuit", async || {
                let lines = connection.command("GETINFO status/bootstrap-phase").await?;
                Ok(lines.iter().any(|line| line.contains("PROGRESS=100")))
            })
            .await?;
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Ok(Client {
            control: local(control).to_string(),
            cookie: place.cookie(),
            socks: local(socks),
            dns: local(dns),
        })
    }

    /// Begins what an exit's fault is, where that is not its resolver's.
    pub(super) async fn misbehave(
        &self,
        watch: &Watch<'_>,
        exit: &LabExit,
        place: &RelayPlace,
    ) -> Result<(), LabError> {
        let name = exit.nickname.clone();
        match exit.fault {
            Fault::Frozen => {
                self.handle.run(move |table| table.signal(&name, Signal::STOP)).await?;
            }
            Fault::Dead => self.handle.run(move |table| table.kill(&name)).await?,
            Fault::ExitsNoLonger => {
                let torrc = place.dir.join("torrc");
                let lines = fs::read_to_string(&torrc).map_err(LabError::file("read", &torrc))?;
                write(&torrc, &lines.replace(torrc::policy(exit.fault), torrc::NO_EXIT))?;
                let mut control = watch.control(place).await?;
                self.handle.run(move |table| table.signal(&name, Signal::HUP)).await?;
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
        Ok(())
    }
}

/// What a real resolver's process is called: its exit's tor has the short name.
fn process_name(recursor: Recursor) -> String {
    format!("resolver-{}", recursor.name())
}

/// Does something for every place, as many at once as there are processors.
async fn in_parallel<T: Send + 'static, F>(
    places: &[RelayPlace],
    work: impl Fn(RelayPlace) -> F,
) -> Result<Vec<T>, LabError>
where
    F: Future<Output = Result<T, LabError>> + Send + 'static,
{
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let permits = Arc::new(Semaphore::new(processors));
    let mut tasks = JoinSet::new();
    for (index, place) in places.iter().enumerate() {
        let (permits, work) = (Arc::clone(&permits), work(place.clone()));
        tasks.spawn(async move {
            let _permit = permits.acquire().await.map_err(|_| LabError::Stopped)?;
            Ok::<_, LabError>((index, work.await?))
        });
    }
    let mut done = Vec::new();
    while let Some(task) = tasks.join_next().await {
        done.push(task.map_err(|_| LabError::Stopped)??);
    }
    done.sort_by_key(|(index, _)| *index);
    Ok(done.into_iter().map(|(_, value)| value).collect())
}
