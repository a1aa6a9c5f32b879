//! Whose network an address is in, and in which country: from the location database of the IPFire
//! project, as `location update` and Debian's `libloc-database` bring it.
//!
//! Of its format (version 1, `src/libloc/format.h` of libloc) this reads what a report needs, and only
//! the few bytes on the way to an address. The crate `libloc` maps the whole file into memory, where one
//! that is cut meanwhile ends the program, and panics where it is damaged; here both are errors. The
//! signatures in it are not looked at: it is as trusted as the package that brought it.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use record::{LocationSource, RelayLocation};

/// Where `location update` keeps the database.
pub const DEFAULT_DATABASE: &str = "/var/lib/location/database.db";

/// A database is old when it was made so long before the run: networks change hands.
const OLD_AFTER: TimeDelta = TimeDelta::days(90);

/// What the licence asks to be said wherever the data is shown.
const ATTRIBUTION: &str = "IPFire Location database, https://location.ipfire.org, CC BY-SA 4.0";

/// Longest name of a network that is taken over, in bytes.
const LONGEST_NAME: usize = 200;

/// `LOCDBXX` and the version.
const MAGIC: &[u8; 8] = b"LOCDBXX\x01";

/// Up to the last of the ranges.
const HEADER: usize = 68;

/// An entry of the tree: the indices of two children and of a network.
const NODE: usize = 12;
/// A network: country, padding, AS number, flags, padding.
const NETWORK: usize = 12;
/// An AS: its number, and where its name is.
const AS: usize = 8;

/// The part of an IPv6 address below which IPv4 addresses are (RFC 4291, section 2.5.5.2).
const MAPPED: u128 = 0xffff << 32;

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LocationError {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It is none, or of a version that this program does not know.
    #[error("is no location database of version 1")]
    Foreign,
    /// Something in it cannot be.
    #[error("is damaged: {0}")]
    Damaged(&'static str),
}

/// Where each address of a run is, and who says so.
#[derive(Debug, Clone, PartialEq)]
pub struct Locations {
    /// What it was read from.
    pub source: LocationSource,
    /// What is known of each address.
    pub of: BTreeMap<IpAddr, RelayLocation>,
}

/// Looks these addresses up, for a run that ended at `time`.
///
/// # Errors
///
/// [`LocationError`]. A database that is damaged anywhere on the way is not used at all.
pub fn look_up(
    path: &Path,
    addresses: impl IntoIterator<Item = IpAddr>,
    time: DateTime<Utc>,
) -> Result<Locations, LocationError> {
    let database = Database::open(path)?;
    let source = LocationSource {
        attribution: ATTRIBUTION.to_owned(),
        date: database.made,
        old: time - database.made > OLD_AFTER,
    };
    let mut names = BTreeMap::new();
    let mut of = BTreeMap::new();
    for address in addresses.into_iter().collect::<BTreeSet<_>>() {
        if let Some(location) = database.location(address, &mut names)? {
            of.insert(address, location);
        }
    }
    Ok(Locations { source, of })
}

/// Some of the file's bytes.
#[derive(Debug, Clone, Copy)]
struct Range {
    start: u64,
    length: u64,
}

struct Database {
    file: File,
    made: DateTime<Utc>,
    systems: Range,
    networks: Range,
    nodes: Range,
    strings: Range,
    /// The node below which IPv4 addresses are.
    mapped: Option<u32>,
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map_or(0, u32::from_be_bytes)
}

impl Database {
    fn open(path: &Path) -> Result<Self, LocationError> {
        // Before it is opened: a pipe would keep it waiting.
        let metadata = fs::metadata(path)?;
        if !metadata.is_file() {
            return Err(LocationError::Foreign);
        }
        let file = File::open(path)?;
        let mut header = [0; HEADER];
        file.read_exact_at(&mut header, 0).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => LocationError::Foreign,
            _ => error.into(),
        })?;
        if !header.starts_with(MAGIC) {
            return Err(LocationError::Foreign);
        }
        let made = (u64::from(word(&header, 8)) << 32) | u64::from(word(&header, 12));
        let made = i64::try_from(made).ok().and_then(|made| DateTime::from_timestamp(made, 0));
        let made = made.ok_or(LocationError::Damaged("its date cannot be"))?;
        let range = |at: usize| {
            let (start, length) = (u64::from(word(&header, at)), u64::from(word(&header, at + 4)));
            let range = Range { start, length };
            let inside = start + length <= metadata.len();
            inside.then_some(range).ok_or(LocationError::Damaged("a part is beyond its end"))
        };
        let mut database = Self {
            made,
            systems: range(28)?,
            networks: range(36)?,
            nodes: range(44)?,
            strings: range(60)?,
            mapped: None,
            file,
        };
        database.mapped = database.descend(0, MAPPED, 96)?.0;
        Ok(database)
    }

    /// The entry of this size and number in a part of the file.
    fn entry<const SIZE: usize>(
        &self,
        part: Range,
        number: u64,
    ) -> Result<[u8; SIZE], LocationError> {
        let size = SIZE as u64;
        if number >= part.length / size {
            return Err(LocationError::Damaged("an entry is beyond its part"));
        }
        let mut entry = [0; SIZE];
        self.file.read_exact_at(&mut entry, part.start + number * size)?;
        Ok(entry)
    }

    /// Goes down so many bits of an address from a node: the node where they end, if they lead that far,
    /// and the last network on the way.
    fn descend(
        &self,
        from: u32,
        address: u128,
        bits: u32,
    ) -> Result<(Option<u32>, Option<u32>), LocationError> {
        let (mut node, mut network) = (from, None);
        for depth in 0..=bits {
            let entry: [u8; NODE] = self.entry(self.nodes, node.into())?;
            network = Some(word(&entry, 8)).filter(|number| *number != u32::MAX).or(network);
            if depth == bits {
                break;
            }
            // From the highest bit on.
            let one = address >> (127 - depth) & 1 == 1;
            node = word(&entry, if one { 4 } else { 0 });
            if node == 0 {
                return Ok((None, network));
            }
        }
        Ok((Some(node), network))
    }

    /// What is known of an address; `names` are those of the systems that were looked up before.
    fn location(
        &self,
        address: IpAddr,
        names: &mut BTreeMap<u32, Option<String>>,
    ) -> Result<Option<RelayLocation>, LocationError> {
        let (_, network) = match address.to_canonical() {
            IpAddr::V4(address) => {
                let Some(root) = self.mapped else { return Ok(None) };
                self.descend(root, u128::from(u32::from(address)) << 96, 32)?
            }
            IpAddr::V6(address) => self.descend(0, address.into(), 128)?,
        };
        let Some(network) = network else { return Ok(None) };
        let entry: [u8; NETWORK] = self.entry(self.networks, network.into())?;
        // `XX` is the unknown country, and 0 no system.
        let country = str::from_utf8(&entry[..2]).ok().filter(|code| *code != "XX");
        let country = country.filter(|code| code.bytes().all(|byte| byte.is_ascii_uppercase()));
        let number = Some(word(&entry, 4)).filter(|number| *number != 0);
        let name = match number {
            None => None,
            Some(number) => match names.get(&number) {
                Some(name) => name.clone(),
                None => {
                    let name = self.name_of(number)?;
                    names.insert(number, name.clone());
                    name
                }
            },
        };
        Ok(Some(RelayLocation {
            as_number: number,
            as_name: name,
            country: country.map(str::to_ascii_lowercase),
        }))
    }

    /// The name of a system; they are sorted by their numbers.
    fn name_of(&self, number: u32) -> Result<Option<String>, LocationError> {
        let (mut from, mut to) = (0, self.systems.length / AS as u64);
        while from < to {
            let middle = from + (to - from) / 2;
            let entry: [u8; AS] = self.entry(self.systems, middle)?;
            match word(&entry, 0).cmp(&number) {
                Ordering::Less => from = middle + 1,
                Ordering::Greater => to = middle,
                Ordering::Equal => return self.text(word(&entry, 4).into()).map(Some),
            }
        }
        Ok(None)
    }

    /// The text at a place among the strings: up to a zero, and not longer than a name may be.
    fn text(&self, at: u64) -> Result<String, LocationError> {
        let left = self.strings.length.checked_sub(at);
        let left = left.ok_or(LocationError::Damaged("a name is beyond the names"))?;
        let mut bytes = vec![0; usize::try_from(left).unwrap_or(usize::MAX).min(LONGEST_NAME)];
        self.file.read_exact_at(&mut bytes, self.strings.start + at)?;
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        Ok(String::from_utf8_lossy(&bytes[..end]).into_owned())
    }
}

/// A network for a database that is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocatedNetwork<'a> {
    /// Its first address.
    pub address: IpAddr,
    /// How many bits of that all its addresses share.
    pub length: u32,
    /// The number of its autonomous system; 0 for none.
    pub system: u32,
    /// The name of that.
    pub name: &'a str,
    /// Its two-letter country code, upper case; `XX` for none.
    pub country: &'a str,
}

/// A database of these networks, as the format has it, made at this time (seconds since 1970): for worlds
/// of which IPFire knows nothing, as the lab's is.
#[must_use]
pub fn database_of<'a>(
    made: u64,
    located: impl IntoIterator<Item = LocatedNetwork<'a>>,
) -> Vec<u8> {
    let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    let (mut strings, mut networks) = (b"\0".to_vec(), Vec::new());
    let mut systems = BTreeMap::new();
    let mut nodes = vec![[0, 0, u32::MAX]];
    for LocatedNetwork { address, length, system, name, country } in located {
        systems.entry(system).or_insert_with(|| {
            let at = count(strings.len());
            strings.extend(name.bytes().chain([0]));
            at
        });
        let (bits, length) = match address {
            IpAddr::V4(address) => (MAPPED | u128::from(u32::from(address)), 96 + length),
            IpAddr::V6(address) => (u128::from(address), length),
        };
        let mut node = 0;
        for depth in 0..length.min(128) {
            let bit = usize::from(bits >> (127 - depth) & 1 == 1);
            if nodes[node][bit] == 0 {
                nodes[node][bit] = count(nodes.len());
                nodes.push([0, 0, u32::MAX]);
            }
            node = nodes[node][bit] as usize;
        }
        nodes[node][2] = count(networks.len() / NETWORK);
        let country = country.as_bytes();
        networks.extend(country.get(..2).unwrap_or(b"XX").iter().chain(&[0; 2]));
        networks.extend(system.to_be_bytes().into_iter().chain([0; 4]));
    }
    let systems = systems.into_iter().flat_map(|(number, name)| [number, name]);
    let words = |words: Vec<u32>| words.into_iter().flat_map(u32::to_be_bytes).collect();
    let systems: Vec<u8> = words(systems.collect());
    let nodes: Vec<u8> = words(nodes.into_iter().flatten().collect());
    let mut parts = Vec::new();
    let mut header = [MAGIC.as_slice(), &made.to_be_bytes(), &[0; 12]].concat();
    for part in [systems, networks, nodes, Vec::new(), strings] {
        header.extend(count(HEADER + parts.len()).to_be_bytes());
        header.extend(count(part.len()).to_be_bytes());
        parts.extend(part);
    }
    [header, parts].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn database(made: u64, entries: &[(&str, u32, u32, &str, &str)]) -> Vec<u8> {
        let located = entries.iter().map(|(address, length, system, name, country)| {
            let address = address.parse().unwrap();
            LocatedNetwork { address, length: *length, system: *system, name, country }
        });
        database_of(made, located)
    }

    fn read(bytes: &[u8], addresses: &[&str]) -> Result<Locations, LocationError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), bytes).unwrap();
        let time = DateTime::from_timestamp(1_767_225_600, 0).unwrap();
        look_up(file.path(), addresses.iter().map(|address| address.parse().unwrap()), time)
    }

    const SOME: [(&str, u32, u32, &str, &str); 5] = [
        ("192.0.2.0", 24, 64496, "Example Networks", "DE"),
        ("192.0.0.0", 16, 64500, "Around it", "US"),
        ("2001:db8::", 32, 64496, "Example Networks", "DE"),
        ("198.51.100.0", 24, 0, "", "XX"),
        ("203.0.113.0", 25, 4_200_000_000, "A\u{1b}[31m", "NL"),
    ];

    #[test]
    fn the_nearest_network_of_an_address_tells() {
        let some = database(1_767_000_000, &SOME);
        let asked = [
            "192.0.2.1",
            "192.0.3.1",
            "192.1.0.1",
            "2001:db8:1::1",
            "2001:db9::1",
            "::ffff:192.0.2.7",
            "198.51.100.1",
            "203.0.113.1",
            "203.0.113.129",
        ];
        let found = read(&some, &asked).unwrap();
        assert!(!found.source.old);
        assert_eq!(found.source.date.timestamp(), 1_767_000_000);
        let told = |address: &&str| {
            let location = found.of.get(&address.parse().unwrap())?;
            let number = location.as_number.map_or("-".to_owned(), |number| number.to_string());
            let text = |text: &Option<String>| text.clone().unwrap_or("-".to_owned());
            Some(format!("{number} {} {}", text(&location.as_name), text(&location.country)))
        };
        let told: Vec<_> = asked.iter().map(|address| told(address).unwrap_or_default()).collect();
        assert_eq!(
            told,
            [
                "64496 Example Networks de",
                "64500 Around it us",
                "",
                "64496 Example Networks de",
                "",
                "64496 Example Networks de",
                "- - -",
                "4200000000 A\u{1b}[31m nl",
                "",
            ]
        );
    }

    #[test]
    fn an_old_database_is_used_and_what_is_none_is_not() {
        let old = read(&database(1_700_000_000, &SOME), &["192.0.2.1"]).unwrap();
        assert!(old.source.old && old.of.len() == 1);
        let error = |bytes: &[u8]| read(bytes, &["192.0.2.1"]).unwrap_err();
        assert!(matches!(error(b"SQLite format 3"), LocationError::Foreign));
        assert!(matches!(error(&[0; 5000]), LocationError::Foreign));
        let mut newer = database(0, &SOME);
        newer[7] = 2;
        assert!(matches!(error(&newer), LocationError::Foreign));
        assert!(matches!(error(&database(u64::MAX, &SOME)), LocationError::Damaged(_)));
        let whole = database(0, &SOME);
        for cut in HEADER..whole.len() {
            assert!(matches!(error(&whole[..cut]), LocationError::Damaged(_)), "{cut}");
        }
        let directory = tempfile::tempdir().unwrap();
        assert!(look_up(directory.path(), [], DateTime::default()).is_err());
        let pipe = directory.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RWXU,
            0,
        )
        .unwrap();
        assert!(matches!(look_up(&pipe, [], DateTime::default()), Err(LocationError::Foreign)));
        let missing = look_up(&directory.path().join("x"), [], DateTime::default());
        assert!(
            matches!(missing, Err(LocationError::Read(error)) if error.kind() == io::ErrorKind::NotFound)
        );
    }

    proptest! {
        /// Whatever the bytes are, nothing panics, nothing goes round for ever, and no name is long.
        #[test]
        fn any_change_is_an_answer_or_an_error(
            changes in prop::collection::vec((8_usize..3000, any::<u8>()), 1..60),
            address: [u8; 4],
        ) {
            let mut bytes = database(0, &SOME);
            for (at, byte) in changes {
                let at = at % bytes.len();
                bytes[at.max(8)] = byte;
            }
            let address = IpAddr::from(address).to_string();
            if let Ok(found) = read(&bytes, &[&address, "192.0.2.1", "203.0.113.1", "2001:db8::1"]) {
                for location in found.of.values() {
                    let name = location.as_name.as_deref().unwrap_or_default();
                    prop_assert!(name.chars().count() <= LONGEST_NAME);
                    prop_assert!(location.country.as_ref().is_none_or(|code| code.len() == 2));
                }
            }
        }
    }
}
