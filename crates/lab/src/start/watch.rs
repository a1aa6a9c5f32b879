//! Waiting for what the tors have come to.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, Record, RecordType};
use record::Fingerprint;
use tokio::net::UdpSocket;
use tokio::time::{sleep, timeout};

use super::{RelayPlace, unix_now};
use crate::control::LabControl;
use crate::process::{Handle, tail};
use crate::zone::{EXPECTED_ADDRESS, WILDCARD_DOMAIN};
use crate::{LabError, Recursor, torrc};

/// Length of a control port's cookie in bytes (control-spec, section 5.1).
const COOKIE_LENGTH: u64 = 32;

/// How often a step's end is looked for.
const POLL: Duration = Duration::from_millis(100);

/// Waiting for the tors, while none of them may end.
pub(super) struct Watch<'a> {
    pub(super) handle: &'a Handle,
    pub(super) files: &'a Path,
    /// How long one step may take.
    pub(super) patience: Duration,
}

impl Watch<'_> {
    /// Tries until it is so.
    #[expect(clippy::disallowed_methods, reason = "the edge: it waits for other processes")]
    pub(super) async fn until(
        &self,
        what: &str,
        mut so: impl AsyncFnMut() -> Result<bool, LabError>,
    ) -> Result<(), LabError> {
        let start = Instant::now();
        loop {
            self.all_run().await?;
            if so().await? {
                return Ok(());
            }
            if start.elapsed() > self.patience {
                return Err(LabError::Late { what: what.to_owned(), after: self.patience });
            }
            sleep(POLL).await;
        }
    }

    async fn all_run(&self) -> Result<(), LabError> {
        let ended = self.handle.run(crate::process::Table::ended).await?;
        let Some((name, how)) = ended.into_iter().next() else { return Ok(()) };
        let dir = self.files.join(&name);
        let log = format!("{} | {}", tail(&dir.join("output")), tail(&dir.join("log")));
        Err(LabError::Ended { name, how, log })
    }

    /// Connects to a tor's control port as soon as it is there.
    pub(super) async fn control(&self, place: &RelayPlace) -> Result<LabControl, LabError> {
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
            connection = Some(LabControl::connect(&place.name, port, &place.cookie()).await?);
            Ok(true)
        })
        .await?;
        connection.ok_or(LabError::Stopped)
    }

    /// Waits until these resolve a name of the zone.
    pub(super) async fn recursors(
        &self,
        recursors: &[(Recursor, SocketAddr)],
    ) -> Result<(), LabError> {
        for (recursor, address) in recursors {
            self.until("every resolver answers", async || {
                Ok(resolves(*address, &format!("ready-{}", recursor.name())).await)
            })
            .await?;
        }
        Ok(())
    }

    /// Waits until every authority has every relay's descriptor.
    pub(super) async fn descriptors(
        &self,
        voters: &mut [LabControl],
        relays: &[Fingerprint],
    ) -> Result<(), LabError> {
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
    pub(super) async fn vote(
        &self,
        voters: &mut [LabControl],
        relays: &[Fingerprint],
    ) -> Result<(), LabError> {
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

    /// Waits until these have the consensus.
    pub(super) async fn fetched(&self, guards: &[RelayPlace]) -> Result<(), LabError> {
        let mut controls = Vec::new();
        for place in guards {
            let mut control = self.control(place).await?;
            control.command("SETCONF FetchServerDescriptors=1").await?;
            controls.push(control);
        }
        for mut control in controls {
            self.until("every guard has the consensus", async || has_consensus(&mut control).await)
                .await?;
        }
        Ok(())
    }
}

/// Whether a resolver knows the address of a name in the zone.
async fn resolves(resolver: SocketAddr, label: &str) -> bool {
    let ask = async {
        let name = Name::from_ascii(format!("{label}.{WILDCARD_DOMAIN}.")).ok()?;
        let mut question = Message::query();
        question.metadata.recursion_desired = true;
        question.add_query(Query::query(name, RecordType::A));
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.ok()?;
        socket.connect(resolver).await.ok()?;
        socket.send(&question.to_vec().ok()?).await.ok()?;
        let mut buffer = [0; 512];
        let length = socket.recv(&mut buffer).await.ok()?;
        let answer = Message::from_vec(&buffer[..length]).ok()?;
        let right = |record: &Record| record.data.ip_addr() == Some(EXPECTED_ADDRESS.into());
        Some(answer.answers.iter().any(right))
    };
    matches!(timeout(Duration::from_secs(1), ask).await, Ok(Some(true)))
}

/// Whether that tor has a consensus: without one, the time is empty.
async fn has_consensus(control: &mut LabControl) -> Result<bool, LabError> {
    let reply = control.command("GETINFO consensus/valid-after").await?;
    Ok(reply.iter().any(|line| {
        line.strip_prefix("consensus/valid-after=").is_some_and(|time| !time.is_empty())
    }))
}
