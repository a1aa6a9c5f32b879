//! Mails to operators, in words: the one that asks for a confirmation, and those about their relays. Pure.
//! Only what is a fact is told, and no more was done than it says. Strangers' texts come out without control
//! characters.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use record::{ErrorCode, Fingerprint, Status, printable};

use crate::causes;
use crate::subscription::{DueMail, FailureFacts, Subject};

/// How many relays a mail names in each of its parts.
const NAMED: usize = 50;

/// How long a stranger's name may be here.
const NAME: usize = 40;

/// How an address says what it wants.
#[derive(Debug, Clone, Copy)]
pub struct Ways<'a> {
    /// Where the dashboard is.
    pub site: Option<&'a str>,
    /// The link that a token is behind, where the function takes it.
    pub link: Option<&'a str>,
    /// The token.
    pub token: &'a str,
    /// The address that answers go to.
    pub from: &'a str,
}

/// A relay that fails, and what is known of that.
type FailingOne<'a> = (&'a Fingerprint, &'a FailureFacts);

/// A subject and a text.
pub type Worded = (String, String);

fn line(text: &mut String, what: &str) {
    text.push_str(what);
    text.push('\n');
}

fn day(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M UTC").to_string()
}

fn plural(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

fn short(text: &str) -> String {
    printable(text).chars().take(NAME).collect()
}

fn listed(subjects: &BTreeSet<Subject>) -> String {
    let mut text = String::new();
    for subject in subjects.iter().take(NAMED) {
        line(&mut text, &format!("  {subject}"));
    }
    if subjects.len() > NAMED {
        line(&mut text, &format!("  and {} more", subjects.len() - NAMED));
    }
    text
}

/// What somebody has to do with a token.
fn how(ways: Ways<'_>, what: &str) -> String {
    match ways.link {
        Some(link) => link.to_owned(),
        None => {
            format!("Write to {} with this line in the mail:\n{what} {}", ways.from, ways.token)
        }
    }
}

/// Asks an address whether it wants mails.
#[must_use]
pub fn confirmation(subjects: &BTreeSet<Subject>, ways: Ways<'_>) -> Worded {
    let mut text = String::from(
        "Hello,\n\nsomebody asked that this address get a mail when these Tor exits cannot resolve names, and when \
         they can again:\n\n",
    );
    text.push_str(&listed(subjects));
    let _ = write!(
        text,
        "\nIf that was you, please confirm it within 7 days:\n\n{}\n\nIf it was not, do nothing: you will get no other \
         mail.\n",
        how(ways, "confirm")
    );
    ("Please confirm: mail about your Tor exits".to_owned(), text)
}

/// A mail about an operator's own relays.
#[must_use]
pub fn about(due: &DueMail, ways: Ways<'_>) -> Worded {
    let mut text = String::from("Hello,\n\n");
    let [new, still, works] = [due.new.len(), due.still.len(), due.works.len()];
    for (relays, is_new) in [(&due.new, true), (&due.still, false)] {
        if !relays.is_empty() {
            text.push_str(&failing(relays, is_new, due.new.is_empty() || is_new));
        }
    }
    recovered(due, &mut text);
    let failing: BTreeMap<&Fingerprint, &FailureFacts> = due.new.iter().chain(&due.still).collect();
    if !failing.is_empty() {
        if let Some(link) = ways.site.and_then(|site| link(site, &failing)) {
            line(&mut text, &format!("What was asked, and what came:\n{link}\n"));
        }
        checks(&failing, &mut text);
        line(&mut text, "The next run shows whether a change has helped.\n");
    }
    line(&mut text, "Thank you for running exits!\n");
    footer(due, ways, &mut text);
    let subject = match (new, still, works) {
        (1, _, _) => {
            let name =
                due.new.values().next().map(|facts| short(&facts.nickname)).unwrap_or_default();
            format!("DNS failed at your Tor exit relay {name}")
        }
        (2.., _, _) => format!("DNS failed at {new} of your Tor exit relays"),
        (0, 1.., 0) => format!("DNS still fails at {still} of your Tor exit relays"),
        (0, 0, 1) => "DNS works again at your Tor exit relay".to_owned(),
        (0, _, 1..) => format!("DNS works again at {works} of your Tor exit relays"),
        (0, 0, 0) => "Your Tor exit relays are not tested any more".to_owned(),
    };
    (subject, text)
}

/// The relays that fail: by cause, and of one cause by address.
fn failing(relays: &BTreeMap<Fingerprint, FailureFacts>, new: bool, first: bool) -> String {
    let mut text = String::new();
    let many = relays.len() > 1;
    // A relay that the newest run did not reach is told of by the last one that did.
    let times = || relays.values().map(|facts| facts.at);
    let (earliest, latest) = (times().min().unwrap_or_default(), times().max().unwrap_or_default());
    let when = if earliest == latest {
        format!("a test of all Tor exits on {}", day(latest))
    } else {
        format!("tests of all Tor exits from {} to {}", day(earliest), day(latest))
    };
    let who = match (many, new) {
        (true, true) => format!("{} of your exit relays did", relays.len()),
        (true, false) => format!("{} of your exit relays still did", relays.len()),
        (false, true) => "your exit relay did".to_owned(),
        (false, false) => "your exit relay still did".to_owned(),
    };
    let it = if many { "they" } else { "it" };
    let start = if first { "in" } else { "And in" };
    let _ = write!(text, "{start} {when}, {who} not resolve a name as {it} should.");
    text.push_str(if first {
        " When that happens, connections through an exit fail for the people who use Tor.\n\n"
    } else {
        "\n\n"
    });
    let mut causes: BTreeMap<(Status, Option<ErrorCode>), Vec<FailingOne<'_>>> = BTreeMap::new();
    for (relay, facts) in relays {
        causes.entry((facts.status, facts.cause)).or_default().push((relay, facts));
    }
    let mut causes: Vec<_> = causes.into_iter().collect();
    causes.sort_by_key(|(_, some)| std::cmp::Reverse(some.len()));
    let mut left = NAMED;
    for ((status, cause), some) in causes {
        let words = cause.and_then(causes::of).map_or(status.meaning(), |words| words.label);
        let code = cause.map_or(status.as_str(), ErrorCode::as_str);
        let count =
            if some.len() == 1 { String::new() } else { format!(", {} relays", some.len()) };
        line(&mut text, &format!("{words} [{code}]{count}:"));
        by_address(&some, &mut left, &mut text);
        line(&mut text, &format!("  {}\n", evidence(&some)));
    }
    text
}

fn by_address(some: &[FailingOne<'_>], left: &mut usize, text: &mut String) {
    let mut addresses: BTreeMap<IpAddr, Vec<FailingOne<'_>>> = BTreeMap::new();
    for (relay, facts) in some {
        addresses.entry(facts.address).or_default().push((relay, facts));
    }
    for (address, some) in addresses {
        let names = some.iter().map(|(relay, facts)| (*relay, facts.nickname.as_str()));
        at_address(address, &names.collect::<Vec<_>>(), &since(&some), left, text);
    }
}

/// The relays at one address, with what is said of all of them; as many by name as are left to be named.
fn at_address(
    address: IpAddr,
    names: &[(&Fingerprint, &str)],
    said: &str,
    left: &mut usize,
    text: &mut String,
) {
    if let [(relay, name)] = names
        && *left > 0
    {
        *left -= 1;
        line(text, &format!("  {relay} {} at {address}{said}", short(name)));
        return;
    }
    line(text, &format!("  At {address}, {}{said}:", plural(names.len(), "relay")));
    let named = names.len().min(*left);
    for (relay, name) in &names[..named] {
        line(text, &format!("    {relay} {}", short(name)));
    }
    *left -= named;
    if names.len() > named {
        line(text, &format!("    and {} more", names.len() - named));
    }
}

/// Since when these fail; nothing where this is the first run.
fn since(some: &[FailingOne<'_>]) -> String {
    let runs = || some.iter().map(|(_, facts)| facts.runs);
    let time = some.iter().filter_map(|(_, facts)| facts.since).min();
    match time {
        Some(time) if runs().min() >= Some(2) => {
            format!(": {} runs in a row, since {}", reach(runs()), day(time))
        }
        _ => String::new(),
    }
}

/// `3`, or `3 to 5`.
fn reach(values: impl Iterator<Item = u32> + Clone) -> String {
    let (low, high) = (values.clone().min().unwrap_or(0), values.max().unwrap_or(0));
    if low == high { low.to_string() } else { format!("{low} to {high}") }
}

/// What was asked, how often, and what came: by the attempts that the reports have, and no more.
fn evidence(some: &[FailingOne<'_>]) -> String {
    let Some((_, one)) = some.first() else { return String::new() };
    let zone = printable(&one.zone);
    let name = match one.expected {
        Some(address) => format!("a new name under {zone}, which resolves to {address}"),
        None => format!("a new name under {zone}, which does not exist"),
    };
    let came: BTreeSet<&str> = some.iter().filter_map(|(_, facts)| facts.came.as_deref()).collect();
    let came = if came.is_empty() {
        String::new()
    } else {
        let came: Vec<String> = came.into_iter().take(5).map(printable).collect();
        format!(" What came: {}.", came.join(", "))
    };
    let facts = || some.iter().map(|(_, facts)| *facts);
    // A report that keeps no attempts says nothing of how often.
    if facts().any(|facts| facts.asked == 0) {
        return format!("Asked for: {name}.{came}");
    }
    let who = if some.len() > 1 { "Each relay was" } else { "The relay was" };
    let most = facts().map(|facts| facts.asked).max().unwrap_or(0);
    if most == 1 {
        return format!("{who} asked once, for {name}.{came}");
    }
    let times = reach(facts().map(|facts| facts.asked));
    let all = facts().all(|facts| facts.failed == facts.asked);
    let failed = if all { "all".to_owned() } else { reach(facts().map(|facts| facts.failed)) };
    let hops = facts().map(|facts| facts.first_hops).min().unwrap_or(0);
    let through = if hops > 1 {
        format!(", through {} different first hops", reach(facts().map(|facts| facts.first_hops)))
    } else {
        String::new()
    };
    format!(
        "{who} asked {times} times, each time for {name}; {failed} of these failed{through}.{came}"
    )
}

fn recovered(due: &DueMail, text: &mut String) {
    let these = if text.ends_with("Hello,\n\n") { "these relays" } else { "These relays" };
    if !due.works.is_empty() {
        line(text, &format!("{these} of yours resolve names again:\n"));
        let mut alike: BTreeMap<_, Vec<(&Fingerprint, &str)>> = BTreeMap::new();
        for (relay, one) in &due.works {
            let group = alike.entry((one.address, one.since, one.until)).or_default();
            group.push((relay, one.nickname.as_str()));
        }
        let mut left = NAMED;
        for ((address, since, until), names) in alike {
            let until = until.map(|until| format!(" to {}", day(until))).unwrap_or_default();
            let said = format!(": failed from {}{until}", day(since));
            at_address(address, &names, &said, &mut left, text);
        }
        text.push('\n');
    }
    if !due.gone.is_empty() {
        let these = if due.works.is_empty() { these } else { "These relays" };
        line(
            text,
            &format!(
                "{these} could not be tested for two weeks, so nothing more is told of them:\n"
            ),
        );
        for (relay, name) in due.gone.iter().take(NAMED) {
            line(text, &format!("  {relay} {}", short(name)));
        }
        if due.gone.len() > NAMED {
            line(text, &format!("  and {} more", due.gone.len() - NAMED));
        }
        text.push('\n');
    }
}

/// Where these relays are in the very report that the mail is made of: what it shows never changes.
fn link(site: &str, failing: &BTreeMap<&Fingerprint, &FailureFacts>) -> Option<String> {
    let site = site.trim_end_matches('/');
    let newest = failing.values().max_by_key(|facts| facts.at)?;
    let report = newest.report.as_str();
    let mut relays = failing.keys();
    let operators: BTreeSet<&str> = failing.values().map(|facts| facts.operator.as_str()).collect();
    let operator = match operators.first() {
        Some(operator) if operators.len() == 1 => format!("&operator={}", encoded(operator)),
        _ => String::new(),
    };
    Some(match (relays.next(), relays.next()) {
        (Some(relay), None) => format!("{site}/#/relay/{relay}?report={report}"),
        _ => format!("{site}/#/relays?status=failing{operator}&report={report}"),
    })
}

/// A text as a part of a URL (RFC 3986, section 2.3).
pub(crate) fn encoded(text: &str) -> String {
    let mut shown = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            shown.push(byte.into());
        } else {
            // Writing into a string does not fail.
            let _ = write!(shown, "%{byte:02X}");
        }
    }
    shown
}

fn checks(failing: &BTreeMap<&Fingerprint, &FailureFacts>, text: &mut String) {
    let causes: BTreeSet<ErrorCode> = failing.values().filter_map(|facts| facts.cause).collect();
    let mut checks: Vec<String> = Vec::new();
    for check in causes
        .into_iter()
        .filter_map(causes::of)
        .flat_map(|words| words.checks().collect::<Vec<_>>())
    {
        if !checks.contains(&check) {
            checks.push(check);
        }
    }
    if checks.is_empty() {
        return;
    }
    line(text, "What to look at:\n");
    for check in checks {
        line(text, &format!("* {check}"));
    }
    text.push('\n');
}

fn footer(due: &DueMail, ways: Ways<'_>, text: &mut String) {
    line(text, "-- ");
    let since =
        due.confirmed.map(|at| format!(" on {}", at.format("%Y-%m-%d"))).unwrap_or_default();
    let who = &due.address;
    line(text, &format!("You get this because {who} confirmed{since} that it wants mail about:"));
    text.push_str(&listed(&due.subjects));
    line(text, "There is one mail a day at most. To get none any more:");
    line(text, &how(ways, "unsubscribe"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn facts(text: &str, asked: u32) -> FailureFacts {
        FailureFacts {
            report: "dns_health_2026-11-23_03-15-30.json".to_owned(),
            at: DateTime::default(),
            zone: text.to_owned(),
            expected: None,
            status: Status::WrongIp,
            cause: Some(ErrorCode::UnexpectedAddress),
            came: Some(text.to_owned()),
            asked,
            failed: asked,
            first_hops: asked,
            runs: 1,
            since: None,
            nickname: text.to_owned(),
            address: [192, 0, 2, 1].into(),
            operator: text.to_owned(),
        }
    }

    #[test]
    fn how_often_is_told_as_far_as_the_report_has_it() {
        let relays = [1, 2].map(|byte| Fingerprint::from_bytes([byte; 20]));
        let said = |asked: [u32; 2]| {
            let facts = asked.map(|asked| facts("x.example", asked));
            evidence(&relays.iter().zip(&facts).collect::<Vec<_>>())
        };
        let mut partly = facts("x.example", 4);
        partly.failed = 3;
        partly.first_hops = 2;
        partly.expected = Some([192, 0, 2, 9].into());
        let said = [
            said([0, 3]),
            said([1, 1]),
            said([3, 3]),
            said([1, 3]),
            evidence(&[(&relays[0], &partly)]),
        ];
        insta::assert_snapshot!(said.join("\n"));
    }

    proptest! {
        #[test]
        fn strangers_texts_make_no_header_no_line_and_no_link(text: String, asked in 0..4_u32) {
            let relay = Fingerprint::from_bytes([1; 20]);
            let due = DueMail {
                address: "op@example.net".to_owned(),
                subjects: BTreeSet::from([Subject::Relay(relay)]),
                confirmed: None,
                unsubscribe: [0; 16],
                incidents: BTreeSet::new(),
                new: BTreeMap::from([(relay, facts(&text, asked))]),
                still: BTreeMap::new(),
                works: BTreeMap::new(),
                gone: BTreeMap::new(),
            };
            let site = Some("https://dns.example.org");
            let ways = Ways { site, link: None, token: "token", from: "exits@example.org" };
            let (subject, body) = about(&due, ways);
            prop_assert!(!subject.chars().any(char::is_control));
            let plain = about(&DueMail { new: BTreeMap::from([(relay, facts("x", asked))]), ..due }, ways);
            prop_assert_eq!(body.lines().count(), plain.1.lines().count());
            let encoded = encoded(&text);
            prop_assert!(encoded.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte)));
        }
    }
}
