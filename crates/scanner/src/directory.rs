//! Fetching the directory from tor: relays, descriptors, countries, consensus parameters.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use record::Fingerprint;
use tokio::time::Instant;
use tor_control::{Control, Error, ErrorKind};

use crate::consensus::{self, Descriptor, Header, Statuses};
use crate::session::one;

/// How many addresses are looked up in one command; tor limits the length of a line.
const COUNTRIES_AT_ONCE: usize = 100;

/// Pause between two looks at which descriptors have come.
const POLL: Duration = Duration::from_secs(1);

/// How long no further descriptor may come before the rest is taken not to exist.
const STALL_LIMIT: Duration = Duration::from_secs(30);

/// What tor's directory says.
#[derive(Debug)]
pub struct Directory {
    /// The relays.
    pub statuses: Statuses,
    /// The descriptors of the relays that were asked for.
    pub descriptors: HashMap<Fingerprint, Descriptor>,
    /// What the consensus's header says.
    pub header: Header,
}

/// Fetches the relays, and the descriptors of those that `wanted` picks; waits for descriptors
/// that tor is still fetching, for `limit` at most.
///
/// # Errors
///
/// Those of the control port.
pub async fn fetch(
    control: &Control,
    wanted: impl Fn(&Statuses) -> HashSet<Fingerprint>,
    limit: Duration,
) -> Result<Directory, Error> {
    let statuses = consensus::parse_statuses(&one(control, "ns/all").await?);
    let header = header(control).await?;
    let wanted = wanted(&statuses);
    let descriptors = descriptors(control, &wanted, limit).await?;
    Ok(Directory { statuses, descriptors, header })
}

async fn header(control: &Control) -> Result<Header, Error> {
    // The whole document has the parameters; tor keeps the flavour that it uses.
    for flavour in ["consensus", "consensus-microdesc"] {
        match one(control, &format!("dir/status-vote/current/{flavour}")).await {
            Ok(document) => return Ok(consensus::parse_header(&document)),
            Err(error) if error.kind() == ErrorKind::Refused => {}
            Err(error) => return Err(error),
        }
    }
    tracing::debug!("tor does not give the consensus itself; assuming default parameters");
    let mut header = consensus::parse_header(b"");
    match one(control, "consensus/valid-after").await {
        Ok(time) => header.valid_after = consensus::parse_time(&String::from_utf8_lossy(&time)),
        Err(error) if error.kind() == ErrorKind::Refused => {}
        Err(error) => return Err(error),
    }
    Ok(header)
}

async fn descriptors(
    control: &Control,
    wanted: &HashSet<Fingerprint>,
    limit: Duration,
) -> Result<HashMap<Fingerprint, Descriptor>, Error> {
    let microdescriptors = control
        .get_conf(&["UseMicrodescriptors"])
        .await?
        .iter()
        .any(|(_, value)| value.as_deref() != Some("0"));
    let started = now();
    let mut progressed = started;
    let mut have = 0;
    loop {
        let document = one(control, "desc/all-recent").await?;
        let found = consensus::parse_descriptors(&document, wanted);
        drop(document);
        let missing = wanted.len() - found.len();
        if missing == 0 {
            return Ok(found);
        }
        if microdescriptors {
            tracing::info!(
                "tor uses microdescriptors: contact, family and platform of {missing} relays are \
                 not known to it (UseMicrodescriptors 0 in its torrc would change that)"
            );
            return Ok(found);
        }
        if found.len() > have {
            have = found.len();
            progressed = now();
        }
        if started.elapsed() >= limit || progressed.elapsed() >= STALL_LIMIT {
            tracing::warn!("tor has no descriptor of {missing} relays; they cannot be reached");
            return Ok(found);
        }
        tracing::debug!("waiting for the descriptors of {missing} relays");
        tokio::time::sleep(POLL).await;
    }
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
