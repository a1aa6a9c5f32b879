//! Fetching the directory from tor: relays, descriptors, countries, consensus parameters.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use record::Fingerprint;
use tokio::time::Instant;
use tor_control::{Command, Control, Error, ErrorKind};

use crate::consensus::{
    self, ConsensusReader, Descriptor, DescriptorReader, DocumentReader, Header,
    MicrodescriptorReader, Relay, Statuses,
};
use crate::session::one;

/// How many addresses are looked up in one command; tor limits the length of a line.
const COUNTRIES_AT_ONCE: usize = 100;

/// How many descriptors are asked for one by one before their answers are read.
const DESCRIPTORS_AT_ONCE: usize = 100;

/// Pause between two looks at which descriptors have come.
const POLL: Duration = Duration::from_secs(1);

/// How long no further descriptor may come before the rest is taken not to exist.
const STALL_LIMIT: Duration = Duration::from_secs(30);

/// What tor's directory says.
#[derive(Debug)]
pub struct Directory {
    /// The relays.
    pub statuses: Statuses,
    /// The descriptors of the relays that were asked for: contact, platform and bandwidth are in
    /// those of a tor that uses server descriptors alone.
    pub descriptors: HashMap<Fingerprint, Descriptor>,
    /// What the consensus's header says.
    pub header: Header,
}

/// Fetches the relays, the descriptors of those that `wanted` picks, and those of others that are
/// `kept` where tor has them; waits for descriptors that tor is still fetching, for `limit` at most.
///
/// # Errors
///
/// Those of the control port.
pub async fn fetch(
    control: &Control,
    wanted: impl Fn(&Statuses) -> HashSet<Fingerprint>,
    kept: impl Fn(&Relay) -> bool,
    limit: Duration,
) -> Result<Directory, Error> {
    let (header, statuses) = consensus(control).await?;
    let wanted = wanted(&statuses);
    let others = statuses.relays.iter().filter(|relay| kept(relay)).map(|relay| relay.fingerprint);
    let known: HashSet<Fingerprint> = wanted.iter().copied().chain(others).collect();
    let microdescriptors = control
        .get_conf(&["UseMicrodescriptors"])
        .await?
        .iter()
        .any(|(_, value)| value.as_deref() != Some("0"));
    let mut descriptors = if microdescriptors {
        let owners = statuses
            .relays
            .iter()
            .filter(|relay| known.contains(&relay.fingerprint))
            .filter_map(|relay| Some((relay.microdescriptor?, relay.fingerprint)))
            .collect();
        read(control, "md/all", MicrodescriptorReader::new(&owners)).await?.finish()
    } else {
        server_descriptors(control, &known).await?
    };
    wait_for_missing(control, &wanted, microdescriptors, &mut descriptors, limit).await?;
    if microdescriptors {
        add_server_descriptors(control, &wanted, &mut descriptors).await?;
    }
    Ok(Directory { statuses, descriptors, header })
}

/// Reads a document of the control port, without ever holding it as a whole.
async fn read<R: DocumentReader>(control: &Control, key: &str, mut reader: R) -> Result<R, Error> {
    let mut pieces = control.read_info(key);
    while !reader.is_done()
        && let Some(piece) = pieces.next().await?
    {
        reader.lines(&piece);
    }
    Ok(reader)
}

async fn consensus(control: &Control) -> Result<(Header, Statuses), Error> {
    // The document itself says more than `ns/all`; tor keeps the flavour that it uses.
    for flavour in ["consensus", "consensus-microdesc"] {
        let key = format!("dir/status-vote/current/{flavour}");
        match read(control, &key, ConsensusReader::default()).await {
            Ok(reader) => return Ok(reader.finish()),
            Err(error) if error.kind() == ErrorKind::Refused => {}
            Err(error) => return Err(error),
        }
    }
    tracing::debug!("tor does not give the consensus itself; assuming default parameters");
    let (mut header, statuses) =
        read(control, "ns/all", ConsensusReader::default()).await?.finish();
    match one(control, "consensus/valid-after").await {
        Ok(time) => header.valid_after = consensus::parse_time(&String::from_utf8_lossy(&time)),
        Err(error) if error.kind() == ErrorKind::Refused => {}
        Err(error) => return Err(error),
    }
    Ok((header, statuses))
}

async fn server_descriptors(
    control: &Control,
    wanted: &HashSet<Fingerprint>,
) -> Result<HashMap<Fingerprint, Descriptor>, Error> {
    Ok(read(control, "desc/all-recent", DescriptorReader::new(wanted)).await?.finish())
}

/// Adds what the server descriptors that a tor with microdescriptors happens to have say beyond
/// those. Its own decisions go by the policies of the microdescriptors.
async fn add_server_descriptors(
    control: &Control,
    wanted: &HashSet<Fingerprint>,
    descriptors: &mut HashMap<Fingerprint, Descriptor>,
) -> Result<(), Error> {
    let found = server_descriptors(control, wanted).await?;
    if found.len() < wanted.len() {
        tracing::info!(
            "tor uses microdescriptors: contact and platform of {} relays are not known to it \
             (UseMicrodescriptors 0 in its torrc would change that)",
            wanted.len() - found.len()
        );
    }
    for (relay, mut descriptor) in found {
        let known = descriptors.entry(relay).or_default();
        descriptor.policy = std::mem::take(&mut known.policy);
        *known = descriptor;
    }
    Ok(())
}

/// Waits until tor has the descriptors that are missing, asking for these alone.
async fn wait_for_missing(
    control: &Control,
    wanted: &HashSet<Fingerprint>,
    microdescriptors: bool,
    found: &mut HashMap<Fingerprint, Descriptor>,
    limit: Duration,
) -> Result<(), Error> {
    let started = now();
    let mut progressed = started;
    loop {
        let missing: Vec<Fingerprint> =
            wanted.iter().filter(|relay| !found.contains_key(*relay)).copied().collect();
        if missing.is_empty() {
            return Ok(());
        }
        if started.elapsed() >= limit || progressed.elapsed() >= STALL_LIMIT {
            tracing::warn!(
                "tor has no descriptor of {} relays; they cannot be reached",
                missing.len()
            );
            return Ok(());
        }
        tracing::debug!("waiting for the descriptors of {} relays", missing.len());
        tokio::time::sleep(POLL).await;
        let have = found.len();
        for some in missing.chunks(DESCRIPTORS_AT_ONCE) {
            look_for(control, some, microdescriptors, found).await?;
        }
        if found.len() > have {
            progressed = now();
        }
    }
}

async fn look_for(
    control: &Control,
    relays: &[Fingerprint],
    microdescriptors: bool,
    found: &mut HashMap<Fingerprint, Descriptor>,
) -> Result<(), Error> {
    let asked: Vec<_> = relays
        .iter()
        .map(|relay| {
            let kind = if microdescriptors { "md" } else { "desc" };
            let key = format!("{kind}/id/{relay}");
            (*relay, control.submit(Command::GetInfo(vec![key.clone()])), key)
        })
        .collect();
    for (relay, reply, key) in asked {
        let document = match reply.await {
            Ok(reply) => reply.info(&[key])?.pop().map(|(_, value)| value).unwrap_or_default(),
            // It does not have it.
            Err(error) if error.kind() == ErrorKind::Refused => continue,
            Err(error) => return Err(error),
        };
        if microdescriptors {
            found.extend(consensus::microdescriptor(&document).map(|known| (relay, known)));
        } else {
            let this = HashSet::from([relay]);
            let mut reader = DescriptorReader::new(&this);
            reader.lines(&document);
            found.extend(reader.finish());
        }
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "an edge: waits for tor by the clock")]
fn now() -> Instant {
    Instant::now()
}

/// The countries of these addresses, by tor's own GeoIP file; none where it has no file for the
/// family.
///
/// # Errors
///
/// Those of the control port.
pub async fn countries(
    control: &Control,
    addresses: &[IpAddr],
) -> Result<Option<HashMap<IpAddr, String>>, Error> {
    match one(control, "ip-to-country/ipv4-available").await {
        Ok(answer) if answer == b"1" => {}
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == ErrorKind::Refused => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut countries = HashMap::new();
    for some in addresses.chunks(COUNTRIES_AT_ONCE) {
        let keys: Vec<String> =
            some.iter().map(|address| format!("ip-to-country/{address}")).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let values = control.get_info(&keys).await?;
        for (address, (_, answer)) in some.iter().zip(values) {
            if let Some(country) = consensus::parse_country(&answer) {
                countries.insert(*address, country);
            }
        }
    }
    Ok(Some(countries))
}
