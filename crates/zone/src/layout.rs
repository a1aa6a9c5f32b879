//! Which names there are in the zone, and what is at each: decided by the name alone.
//!
//! The zone is a wildcard ([RFC 4592](https://www.rfc-editor.org/rfc/rfc4592)) with some names beside it. Names
//! are compared without regard to case, and answered in the case in which they were asked.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::str::FromStr;

use hickory_proto::rr::Name;

/// Time to live of what does not change, in seconds.
pub(crate) const TTL: u32 = 3600;

/// Time to live of an address that is asked for once, and of "there is none", in seconds.
pub(crate) const NAME_TTL: u32 = 60;

/// The zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedZone {
    /// Its name, in lower case.
    pub(crate) origin: Name,
    /// Who answers for it, by name.
    pub(crate) servers: Vec<NameServer>,
    /// Who looks after it, as a name (RFC 1035, section 3.3.13).
    pub(crate) hostmaster: Name,
    /// What the names of a scan resolve to.
    pub(crate) expected: Vec<IpAddr>,
}

/// A name server of the zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameServer {
    /// Its name, in lower case.
    pub(crate) name: Name,
    /// Where it is reached.
    pub(crate) addresses: Vec<IpAddr>,
}

/// Why there can be no such zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// It is no domain name.
    #[error("{0:?} is no domain name")]
    Name(String),
    /// Nobody answers for it.
    #[error(
        "there is no name server: NAME ADDRESS..., with commas between several, such as: \
         ns1.example.org 192.0.2.53 2001:db8::53"
    )]
    NoServers,
    /// It is no address.
    #[error(
        "{0:?} is no address of a name server; it stands after the name: ns1.example.org 192.0.2.53"
    )]
    Address(String),
    /// A server without an address.
    #[error(
        "the name server {0} has no address: write it after the name, with a space between them"
    )]
    NoAddress(String),
    /// A name server has a name that means something else here.
    #[error("the name server {0} has a name that the zone has a use of its own for; call it ns1")]
    Taken(String),
    /// The zone has so long a name that a scan's names do not fit.
    #[error(
        "the zone's name is longer than {MAX_ORIGIN} characters: a scan's names do not fit under it"
    )]
    Long,
}

/// Longest name of a zone: a scan's names are 54 octets longer, and no name is longer than 255.
const MAX_ORIGIN: usize = 180;

/// A domain name, in lower case and absolute.
pub(crate) fn name(text: &str) -> Result<Name, LayoutError> {
    let wrong = || LayoutError::Name(text.to_owned());
    let text = text.trim();
    if text.trim_end_matches('.').is_empty() {
        return Err(wrong());
    }
    let mut name = Name::from_str(text).map_err(|_| wrong())?.to_lowercase();
    name.set_fqdn(true);
    Ok(name)
}

impl ServedZone {
    /// The zone of this name, in which a scan's names have the `expected` addresses. `servers` is as in ZONE_NAME_SERVERS: `NAME ADDRESS...`, with commas between
    /// several.
    ///
    /// # Errors
    ///
    /// [`LayoutError`].
    pub fn new(
        origin: &str,
        servers: &str,
        hostmaster: Option<&str>,
        expected: Vec<IpAddr>,
    ) -> Result<Self, LayoutError> {
        let origin = name(origin)?;
        if origin.len() > MAX_ORIGIN {
            return Err(LayoutError::Long);
        }
        let hostmaster = match hostmaster {
            Some(address) => name(&address.replacen('@', ".", 1))?,
            None => name(&format!("hostmaster.{origin}"))?,
        };
        let entries = servers.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let servers: Vec<NameServer> = entries.map(name_server).collect::<Result<_, _>>()?;
        if servers.is_empty() {
            return Err(LayoutError::NoServers);
        }
        let zone = Self { origin, servers, hostmaster, expected };
        for server in &zone.servers {
            if !matches!(zone.by_labels(&server.name), NamePlace::Outside | NamePlace::Wildcard) {
                return Err(LayoutError::Taken(server.name.to_string()));
            }
        }
        Ok(zone)
    }

    /// The addresses of all name servers, of one family.
    pub(crate) fn addresses(&self, family: Family) -> BTreeSet<IpAddr> {
        let all = self.servers.iter().flat_map(|server| server.addresses.iter().copied());
        all.filter(|address| Family::of(*address) == family).collect()
    }

    /// Where a name is.
    pub(crate) fn place(&self, name: &Name) -> NamePlace<'_> {
        if let Some(server) = self.servers.iter().find(|server| server.name == *name) {
            return if self.origin.zone_of(name) {
                NamePlace::Server(server)
            } else {
                NamePlace::Outside
            };
        }
        match self.by_labels(name) {
            NamePlace::Wildcard if self.servers.iter().any(|server| server.name.zone_of(name)) => {
                NamePlace::Nowhere
            }
            place => place,
        }
    }

    /// Where a name is, of the labels alone.
    fn by_labels(&self, name: &Name) -> NamePlace<'_> {
        if !self.origin.zone_of(name) {
            return NamePlace::Outside;
        }
        let below = usize::from(name.num_labels() - self.origin.num_labels());
        // The label that stands directly under the zone's name.
        let Some(label) = below.checked_sub(1).and_then(|last| name.iter().nth(last)) else {
            return NamePlace::Apex;
        };
        let apex = below == 1;
        match &*label.to_ascii_lowercase() {
            b"who" => NamePlace::Child(Child::Who, apex),
            b"who6" => NamePlace::Child(Child::Who6, apex),
            b"v6" => NamePlace::Child(Child::V6, apex),
            b"tcp" if apex => NamePlace::Empty,
            b"tcp" => NamePlace::Tcp,
            b"nx" if apex => NamePlace::Empty,
            b"nx" => NamePlace::Nowhere,
            b"ns4" if apex => NamePlace::ServerOf(Family::V4),
            b"ns6" if apex => NamePlace::ServerOf(Family::V6),
            b"ns4" | b"ns6" => NamePlace::Nowhere,
            _ => NamePlace::Wildcard,
        }
    }
}

fn name_server(entry: &str) -> Result<NameServer, LayoutError> {
    let mut words = entry.split_whitespace();
    let name = name(words.next().unwrap_or_default())?;
    let addresses = words
        .map(|word| word.parse().map_err(|_| LayoutError::Address(word.to_owned())))
        .collect::<Result<Vec<IpAddr>, _>>()?;
    if addresses.is_empty() {
        return Err(LayoutError::NoAddress(name.to_string()));
    }
    Ok(NameServer { name, addresses })
}

/// A family of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    pub(crate) const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

/// Where a name is in the zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NamePlace<'a> {
    /// Not in the zone.
    Outside,
    /// The zone's own name.
    Apex,
    /// A name server in the zone.
    Server(&'a NameServer),
    /// The name under which all name servers are reached by one family, for the delegations.
    ServerOf(Family),
    /// In a part that is delegated, to this server by one family; and whether it is the part's own name.
    Child(Child, bool),
    /// Whatever is asked for here is answered by TCP alone.
    Tcp,
    /// A name that is there only as others are under it.
    Empty,
    /// What the wildcard answers for.
    Wildcard,
    /// A name that does not exist.
    Nowhere,
}

/// A part of the zone that is delegated to name servers with addresses of one family, which are this
/// program again: so a resolver has to come by that family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Child {
    /// Answers with the address of who asks, by IPv4.
    Who,
    /// The same, by IPv6.
    Who6,
    /// Answers as the zone does, by IPv6 alone.
    V6,
}

impl Child {
    /// Its label under the zone's name.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Who => "who",
            Self::Who6 => "who6",
            Self::V6 => "v6",
        }
    }

    /// The family by which it is reached.
    pub(crate) const fn family(self) -> Family {
        match self {
            Self::Who => Family::V4,
            Self::Who6 | Self::V6 => Family::V6,
        }
    }

    /// The label of its name server.
    pub(crate) const fn server(self) -> &'static str {
        match self.family() {
            Family::V4 => "ns4",
            Family::V6 => "ns6",
        }
    }
}

/// Whether this has the form of a scan's names: `{uuid}.{8 hexadecimal digits}` somewhere, whatever
/// stands after it.
pub(crate) fn is_of_a_scan(name: &Name) -> bool {
    let mut labels = name.iter();
    let (Some(uuid), Some(relay)) = (labels.next(), labels.next()) else { return false };
    let hyphens = [8, 13, 18, 23];
    let of_uuid = |(at, byte): (usize, &u8)| {
        if hyphens.contains(&at) { *byte == b'-' } else { byte.is_ascii_hexdigit() }
    };
    uuid.len() == 36
        && uuid.iter().enumerate().all(of_uuid)
        && relay.len() == 8
        && relay.iter().all(u8::is_ascii_hexdigit)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn example() -> ServedZone {
        let servers = "ns1.Example.org 192.0.2.53 2001:db8::53, ns.z.example.org 198.51.100.53";
        let expected = ["64.65.4.1", "2001:db8::1"].map(|ip| ip.parse().unwrap());
        ServedZone::new("Z.example.ORG.", servers, None, expected.into()).unwrap()
    }

    /// A name as it comes in a query.
    pub(crate) fn wire(text: &str) -> Name {
        let mut name = Name::from_ascii(text).unwrap();
        name.set_fqdn(true);
        name
    }

    #[test]
    fn a_name_is_where_the_table_says() {
        let zone = example();
        let server = &zone.servers[1];
        for (text, place) in [
            ("example.org", NamePlace::Outside),
            ("xz.example.org", NamePlace::Outside),
            (".", NamePlace::Outside),
            ("Z.EXAMPLE.org", NamePlace::Apex),
            ("a.z.example.org", NamePlace::Wildcard),
            ("who.a.z.example.org", NamePlace::Wildcard),
            ("who.z.example.org", NamePlace::Child(Child::Who, true)),
            ("a.b.WHO.z.example.org", NamePlace::Child(Child::Who, false)),
            ("a.who6.z.example.org", NamePlace::Child(Child::Who6, false)),
            ("v6.z.example.org", NamePlace::Child(Child::V6, true)),
            ("tcp.z.example.org", NamePlace::Empty),
            ("a.tcp.z.example.org", NamePlace::Tcp),
            ("nx.z.example.org", NamePlace::Empty),
            ("a.nx.z.example.org", NamePlace::Nowhere),
            ("ns4.z.example.org", NamePlace::ServerOf(Family::V4)),
            ("a.ns6.z.example.org", NamePlace::Nowhere),
            ("NS.z.example.org", NamePlace::Server(server)),
            ("a.ns.z.example.org", NamePlace::Nowhere),
            ("ns1.example.org", NamePlace::Outside),
        ] {
            assert_eq!(zone.place(&wire(text)), place, "{text}");
        }
    }

    #[test]
    fn a_zone_that_cannot_be_is_refused_and_why() {
        let made = |origin: &str, servers: &str| {
            ServedZone::new(origin, servers, None, Vec::new()).map(|_| ()).unwrap_err()
        };
        let good = "ns.example.org 192.0.2.1";
        assert_eq!(made("", good), LayoutError::Name(String::new()));
        assert_eq!(made("a..b", good), LayoutError::Name("a..b".to_owned()));
        assert_eq!(made(&format!("{0}.{0}.{0}.{0}", "a".repeat(50)), good), LayoutError::Long);
        assert_eq!(made("z.example.org", " , "), LayoutError::NoServers);
        assert_eq!(
            made("z.example.org", "ns.example.org"),
            LayoutError::NoAddress("ns.example.org.".to_owned())
        );
        assert_eq!(
            made("z.example.org", "ns.example.org 192.0.2"),
            LayoutError::Address("192.0.2".to_owned())
        );
        for taken in
            ["who.z.example.org", "z.example.org", "ns4.z.example.org", "a.tcp.z.example.org"]
        {
            let error = made("z.example.org", &format!("{taken} 192.0.2.1"));
            assert_eq!(error, LayoutError::Taken(format!("{taken}.")));
        }
    }

    #[test]
    fn the_names_of_a_scan_are_known_by_their_form() {
        let is = |text: &str| is_of_a_scan(&wire(text));
        assert!(is("0a1b2c3d-0000-4000-8000-00000000000F.5A5A5A5A.z.example.org"));
        assert!(is("0a1b2c3d-0000-4000-8000-00000000000f.5a5a5a5a.who.z.example.org"));
        assert!(!is("0a1b2c3d-0000-4000-8000-00000000000f.5a5a5a5.z.example.org"));
        assert!(!is("0a1b2c3d00000-4000-8000-00000000000f.5a5a5a5a.z.example.org"));
        assert!(!is("5a5a5a5a.z.example.org"));
        assert!(!is("."));
    }
}
