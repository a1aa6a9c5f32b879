//! What a contact line says: anybody's text, in which an operator's address is looked for, and the fields
//! of the [ContactInfo specification][spec], version 2. Pure.
//!
//! The dashboard reads contacts as well (`public/js/model/contact.js`); `testdata/lines.json` has what both
//! must make of a line.
//!
//! [spec]: https://nusenu.github.io/ContactInfo-Information-Sharing-Specification/

use std::borrow::Cow;
use std::sync::LazyLock;

use regex_lite::{Captures, Regex};

/// How many characters of a line are read. Real ones have some hundred.
const LONGEST: usize = 2000;

/// The most characters of an address.
const ADDRESS: usize = 200;

/// The most characters of a key made of a line.
const KEY: usize = 200;

/// Ends of names that no mail reaches.
const NOWHERE: [&str; 9] =
    ["invalid", "localhost", "local", "localdomain", "internal", "test", "onion", "exit", "i2p"];

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a constant, which the tests compile")
}

/// Fields of the specification, and habits like them, whose value is not the operator's mail: it is for
/// abuse, of another service, or somebody else's, such as the hoster's.
static OTHER_FIELDS: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)(?:abuse|xmpp|jabber|otr3?|mastodon|fediverse|matrix|sip|twitter|keybase|hoster|trafficacct|donationurl|bitcoin|zcash|btc|zec|xmr|cost|uplinkbw|pgp|url|proof):\s*\S*",
    )
});

/// `at` of a sentence stands for `@` only where a dot is written out as well.
static SPOKEN_AT: LazyLock<Regex> = LazyLock::new(|| pattern(r"\s+at\s+(\S+\s+dot\s)"));

/// What stands for `@`: a word in brackets, in capitals or between underlines, or the sign by itself.
static HIDDEN_AT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?:\s*[\[({<]\s*(?:[aA][tT]|@)\s*[\])}>]|\[\]|_[aA][tT]_|\s+AT\s|\s+@\s)\s*")
});

/// What stands for a dot.
static HIDDEN_DOT: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)\s*[\[({<]\s*(?:dot|\.)\s*[\])}>]\s*|_dot_|\s+dot\s+"));

/// An address as people write it, without quotes and comments: stricter than RFC 5321.
static ADDRESS_FORM: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^[a-z0-9][a-z0-9_+-]*(?:\.[a-z0-9_+-]+)*@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,24}$",
    )
});

/// A line as it is read: no character that acts on what is around it, and not too long.
fn cleaned(line: &str) -> String {
    line.chars()
        .take(LONGEST)
        .filter(|c| !matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{feff}'))
        .map(|c| if c.is_control() || c.is_whitespace() { ' ' } else { c })
        .collect()
}

/// The value of a field: the first of that name counts.
pub(crate) fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split_whitespace().find_map(|word| {
        let (found, value) = word.split_once(':')?;
        found.eq_ignore_ascii_case(name).then_some(value)
    })
}

/// Whether a line says that it is one of the specification's version 2. Without that, its fields are
/// nothing but words.
pub(crate) fn is_specified(line: &str) -> bool {
    field(line, "ciissversion") == Some("2")
}

fn is_address(text: &str) -> bool {
    let end = text.rsplit('.').next().unwrap_or_default();
    text.len() <= ADDRESS
        && text.split_once('@').is_some_and(|(name, _)| name.len() <= 64)
        && ADDRESS_FORM.is_match(text)
        && !NOWHERE.contains(&end)
}

/// The operator's addresses for mail that a line has, the specification's `email:` first, in lower case.
#[must_use]
pub fn addresses(line: &str) -> Vec<String> {
    let line = cleaned(line);
    let mut found: Vec<String> = Vec::new();
    let mut add = |text: &str| {
        let address = text.to_ascii_lowercase().trim_matches('.').to_owned();
        if is_address(&address) && !found.contains(&address) {
            found.push(address);
        }
    };
    // The specification writes [] for @.
    let email = undisguised(field(&line, "email").unwrap_or_default());
    let plain = undisguised(&OTHER_FIELDS.replace_all(&line, " "));
    for text in [email, plain] {
        for (at, _) in text.match_indices('@') {
            if let Some(address) = around(&text, at) {
                add(address);
            }
        }
    }
    found
}

/// The text with `@` and dots where they stand in disguise. "Write to us at example.org" has none.
fn undisguised(text: &str) -> String {
    let text = SPOKEN_AT.replace_all(text, |found: &Captures<'_>| format!("@{}", &found[1]));
    let text = HIDDEN_AT.replace_all(&text, "@");
    HIDDEN_DOT.replace_all(&text, ".").into_owned()
}

/// The address around a sign. What is glued to something else is a part of that: of a link, or of a name
/// at another service.
fn around(text: &str, at: usize) -> Option<&str> {
    let of_name = |c: char| c.is_ascii_alphanumeric() || "_.+-".contains(c);
    let of_host = |c: char| c.is_ascii_alphanumeric() || ".-".contains(c);
    let start = text[..at].trim_end_matches(of_name).len();
    let end = text.len() - text[at + 1..].trim_start_matches(of_host).len();
    let glued = |c: char| c.is_alphanumeric() || "_@:/".contains(c);
    let before = text[..start].chars().next_back();
    let after = text[end..].chars().next();
    (!after.is_some_and(glued) && !before.is_some_and(glued)).then(|| &text[start..end])
}

/// A line reduced to what two spellings of it have in common; `None` where nothing is left. In this order:
/// the operator's address, the host of the specification's `url:`, the whole text. All in lower case, with
/// single spaces, at most 200 characters.
#[must_use]
pub fn normalised(line: &str) -> Option<String> {
    if let Some(address) = addresses(line).into_iter().next() {
        return Some(address);
    }
    let line = cleaned(line).to_lowercase();
    let host = field(&line, "url").filter(|_| is_specified(&line)).map(|url| {
        let host = url.split_once("://").map_or(url, |(_, rest)| rest);
        Cow::Borrowed(host.trim_start_matches("www.").trim_end_matches('/'))
    });
    let whole = || Cow::Owned(line.split_whitespace().collect::<Vec<_>>().join(" "));
    let chosen = host.filter(|host| !host.is_empty()).unwrap_or_else(whole);
    let chosen: String = chosen.chars().take(KEY).collect();
    (!chosen.is_empty()).then_some(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// One line of `testdata/lines.json`.
    #[derive(serde::Deserialize)]
    struct Case {
        line: String,
        addresses: Vec<String>,
    }

    #[test]
    fn a_line_has_the_addresses_that_the_dashboard_finds_too() {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../testdata/lines.json")).unwrap();
        assert!(cases.len() > 30);
        for Case { line, addresses: expected } in cases {
            assert_eq!(addresses(&line), expected, "{line}");
        }
    }

    #[test]
    fn spellings_of_one_contact_are_one() {
        for contact in [
            "Tor Op <tor@example.org>",
            "tor@EXAMPLE.org 0xDEADBEEF",
            "email:tor[]example.org url:https://example.org proof:uri-rsa ciissversion:2",
            "tor [at] example [dot] org",
            "tor AT example DOT org",
            "tor(at)example.org",
            "  tor@example.org.  ",
            "t\u{200b}or@example.org",
        ] {
            assert_eq!(normalised(contact).as_deref(), Some("tor@example.org"), "{contact}");
        }
        let url = "url:https://www.example.org/ ciissversion:2";
        assert_eq!(normalised(url).as_deref(), Some("example.org"));
        // Without the version, its words are words.
        let no_version = "url:https://www.example.org/";
        assert_eq!(normalised(no_version).as_deref(), Some("url:https://www.example.org/"));
        assert_eq!(normalised("My  Relay\tInc").as_deref(), Some("my relay inc"));
        assert_eq!(normalised(" \u{200b} "), None);
    }

    #[test]
    fn two_customers_of_one_hoster_are_two_operators() {
        let lines = [
            "Jane abuse:noc[]hoster.example hoster:www.hoster.example ciissversion:2",
            "John abuse:noc[]hoster.example hoster:www.hoster.example ciissversion:2",
            "matrix:@jane:hoster.example xmpp:jane@hoster.example",
        ]
        .map(normalised);
        assert!(lines[0] != lines[1] && lines[1] != lines[2], "{lines:?}");
        assert!(lines.iter().flatten().all(|key| !key.starts_with("noc")), "{lines:?}");
    }

    proptest! {
        #[test]
        fn any_text_is_read_and_what_is_found_is_an_address(
            text in prop_oneof![
                any::<String>(),
                "[a@.\\[\\]<> atAT:dotDOT\n]{0,60}",
                "(email:|abuse:|x@y.org|\\[\\]| |:|/|é){0,12}",
            ],
        ) {
            for address in addresses(&text) {
                prop_assert!(is_address(&address), "{}", address);
            }
            let key = normalised(&text).unwrap_or_default();
            prop_assert!(key.chars().count() <= KEY && !key.contains(char::is_control));
        }
    }
}
