//! Atom feeds of the incidents (RFC 4287): one of all, and one for each operator. Pure.
//!
//! Ids are tag URIs (RFC 4151) in the name of the zone that is asked for, so that they stay the same
//! wherever the feed is served. Nothing in a feed tells when it was made: as long as nothing happens, its
//! bytes are the same, and conditional requests are answered with "not modified".

use std::collections::BTreeMap;

use atom_syndication::{Entry, Feed, FixedDateTime, Generator, Link, Person, Text};
use chrono::{DateTime, Utc};
use record::{Incident, IncidentSubject};
use sha2::{Digest as _, Sha256};
use shelf::output::{FEED_FILE, FEEDS_DIRECTORY};

use crate::words;

/// How many entries a feed has at most.
const ENTRIES: usize = 200;

/// What all feeds of a place have in common.
#[derive(Debug, Clone, Copy)]
pub struct FeedPlace<'a> {
    /// The zone that names are asked for in.
    pub zone: &'a str,
    /// Where the output directory is served, if that is known.
    pub site: Option<&'a str>,
    /// What the feed is as old as where there is no incident.
    pub since: DateTime<Utc>,
}

/// The name of an operator's feed: no stranger's text is in it.
#[must_use]
pub fn name_of(operator: &str) -> String {
    let digest = Sha256::digest(operator);
    let digits: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{FEEDS_DIRECTORY}/{digits}.atom")
}

/// Every feed, by its place in the output directory. `incidents`: the newest first.
#[must_use]
pub fn all(incidents: &[&Incident], place: FeedPlace<'_>) -> BTreeMap<String, String> {
    let mut feeds = BTreeMap::new();
    let title = "Tor exits that cannot resolve names";
    feeds.insert(FEED_FILE.to_owned(), feed(FEED_FILE, title, incidents, place));
    let mut operators: BTreeMap<&str, Vec<&Incident>> = BTreeMap::new();
    for incident in incidents {
        if let IncidentSubject::Operator { operator } = &incident.subject {
            operators.entry(operator).or_default().push(incident);
        }
    }
    for (operator, incidents) in operators {
        let title = format!("Exits of {} that cannot resolve names", words::of_operator(operator));
        let name = name_of(operator);
        let text = feed(&name, &title, &incidents, place);
        feeds.insert(name, text);
    }
    feeds
}

fn feed(name: &str, title: &str, incidents: &[&Incident], place: FeedPlace<'_>) -> String {
    let entries: Vec<Entry> =
        incidents.iter().take(ENTRIES).map(|incident| entry(incident, place)).collect();
    let newest = incidents.iter().map(|incident| touched(incident)).max();
    let mut links = Vec::new();
    if let Some(site) = place.site {
        let site = site.trim_end_matches('/');
        links.push(link("self", format!("{site}/{name}")));
        links.push(link("alternate", format!("{site}/")));
    }
    let feed = Feed {
        title: Text::plain(printable(title)),
        id: format!("tag:{},2026:{name}", place.zone),
        updated: fixed(newest.unwrap_or(place.since)),
        authors: vec![Person { name: "exit-validator".to_owned(), ..Person::default() }],
        generator: Some(Generator {
            value: "exit-validator".to_owned(),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            uri: None,
        }),
        links,
        entries,
        ..Feed::default()
    };
    let mut text = feed.to_string();
    text.push('\n');
    text
}

fn entry(incident: &Incident, place: FeedPlace<'_>) -> Entry {
    let links = place.site.map(|site| link("alternate", words::address(site, &incident.id)));
    Entry {
        title: Text::plain(printable(&words::title(incident))),
        id: format!("tag:{},2026:incident:{}", place.zone, incident.id),
        updated: fixed(touched(incident)),
        published: Some(fixed(incident.opened)),
        links: links.into_iter().collect(),
        content: Some(atom_syndication::Content {
            content_type: Some("text".to_owned()),
            value: Some(printable_lines(&words::story(incident))),
            ..atom_syndication::Content::default()
        }),
        ..Entry::default()
    }
}

/// When an incident last began, ended, or got another relay.
fn touched(incident: &Incident) -> DateTime<Utc> {
    let relays = incident.relays.values().filter_map(|relay| relay.left);
    let joined = incident.relays.values().map(|relay| relay.since);
    [Some(incident.opened), incident.closed]
        .into_iter()
        .flatten()
        .chain(relays)
        .chain(joined)
        .max()
        .unwrap_or(incident.opened)
}

fn link(rel: &str, href: String) -> Link {
    Link { href, rel: rel.to_owned(), ..Link::default() }
}

fn fixed(time: DateTime<Utc>) -> FixedDateTime {
    time.fixed_offset()
}

/// What XML 1.0 allows, of a text that has no control characters but line ends.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, '\u{fffe}' | '\u{ffff}')).collect()
}

fn printable_lines(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", printable(line.trim()))).collect()
}
