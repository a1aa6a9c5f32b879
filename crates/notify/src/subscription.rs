//! Operators who ask for mail about their own relays: who asked, who has confirmed it, which relays are
//! theirs, and when each is written to. A state machine: time, random numbers and reports come in. Pure.
//!
//! Nobody gets anything but one mail that asks for a confirmation, and not more than one of those a day,
//! before he has confirmed it with the token that was in it. A subscription is bound to what nobody can
//! claim who does not have it: a family's key, a proved domain, or relays by fingerprint. Never to a contact
//! line, which is anybody's text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use lettre::Address;
use record::{
    Blame, ErrorCode, Fingerprint, IncidentSubject, Report, ReportedRelay, Status, is_family_id,
};
use serde::{Deserialize, Serialize};

use crate::incident::Watch;
use crate::keys::{Act, TokenId};

/// The shortest time between two mails to an address, and between two that ask it for a confirmation.
pub const MAIL_EVERY: TimeDelta = TimeDelta::days(1);

/// How long a confirmation is waited for.
pub const CONFIRM_WITHIN: TimeDelta = TimeDelta::days(7);

/// After how long what still fails is told again.
const REMINDER: TimeDelta = TimeDelta::days(7);

/// Most subjects of one address.
const SUBJECTS: usize = 1000;

/// What a subscription is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Subject {
    /// Every relay that this family's key lets in (proposal 321), also those that it lets in later.
    Family(String),
    /// Every relay whose domain is this one, and proved.
    Domain(String),
    /// One relay.
    Relay(Fingerprint),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Family(id) => write!(f, "family:{id}"),
            Self::Domain(domain) => write!(f, "domain:{domain}"),
            Self::Relay(relay) => write!(f, "relay:{relay}"),
        }
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> Self {
        subject.to_string()
    }
}

impl TryFrom<String> for Subject {
    type Error = SubjectError;

    fn try_from(text: String) -> Result<Self, SubjectError> {
        text.parse()
    }
}

/// Why nobody can subscribe to something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// A contact line.
    #[error(
        "{0:?} is a contact line, which anybody can write into any relay. Name a family's key \
         (family:ed25519:...), a proved domain (domain:...), or relays by fingerprint"
    )]
    Contact(String),
    /// Something else.
    #[error(
        "{0:?} is no family's key (family:ed25519:..., or family: and the fingerprint of a relay in it), no \
         domain:... and no relay's fingerprint"
    )]
    Form(String),
    /// The family of a relay that is in none, or in several.
    #[error(
        "the relay {relay} has {count} family keys (proposal 321), so there is no one family of it that is \
         proved. Name its relays by fingerprint, or one key (family:ed25519:...)"
    )]
    Family {
        /// The relay.
        relay: Fingerprint,
        /// How many keys it has.
        count: usize,
    },
    /// Nothing in the report is of it.
    #[error("the latest report has no exit of {0}")]
    Nothing(Subject),
    /// An address that is none, or that only some mail servers know.
    #[error("{0:?} is not a mail address")]
    Address(String),
    /// Too many.
    #[error("an address can ask for {SUBJECTS} families, domains and relays at most")]
    TooMany,
}

/// The address of a subscriber: alone, without a name, and such as every mail server knows.
///
/// # Errors
///
/// [`SubjectError::Address`].
pub fn address(text: &str) -> Result<Address, SubjectError> {
    let text = text.trim();
    let wrong = || SubjectError::Address(record::printable(text).chars().take(100).collect());
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.@".contains(&byte);
    if text.len() > 254 || !text.bytes().all(plain) {
        return Err(wrong());
    }
    let parsed: Address = text.parse().map_err(|_| wrong())?;
    Address::new(parsed.user(), parsed.domain().to_ascii_lowercase()).map_err(|_| wrong())
}

fn family(text: &str) -> Option<Subject> {
    is_family_id(text).then(|| Subject::Family(text.to_owned()))
}

impl FromStr for Subject {
    type Err = SubjectError;

    fn from_str(text: &str) -> Result<Self, SubjectError> {
        let shown = || record::printable(text).chars().take(100).collect();
        let form = || SubjectError::Form(shown());
        match text.split_once(':') {
            None => text.parse().map(Self::Relay).map_err(|_| form()),
            Some(("relay", relay)) => relay.parse().map(Self::Relay).map_err(|_| form()),
            Some(("family", key)) => family(key).ok_or_else(form),
            Some(("domain", domain)) => {
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
                let sound =
                    domain.contains('.') && domain.len() <= 253 && domain.bytes().all(plain);
                sound.then(|| Self::Domain(domain.to_ascii_lowercase())).ok_or_else(form)
            }
            Some(("contact", _)) => Err(SubjectError::Contact(shown())),
            Some(_) => Err(form()),
        }
    }
}

impl Subject {
    /// What a person means by a text, by the latest report: there must be a relay of it.
    ///
    /// # Errors
    ///
    /// [`SubjectError`].
    pub fn meant(text: &str, report: &Report) -> Result<Self, SubjectError> {
        let text = text.trim();
        let of_family = text.strip_prefix("family:").and_then(|rest| rest.parse().ok());
        let subject = match of_family {
            Some(relay) => {
                let mut all = report.results.iter();
                let found = all.find(|one| one.exit_fingerprint == relay);
                match found.map(|one| one.relay.family_ids.as_slice()) {
                    Some([key]) => family(key).ok_or(SubjectError::Family { relay, count: 0 })?,
                    Some(keys) => return Err(SubjectError::Family { relay, count: keys.len() }),
                    None => return Err(SubjectError::Nothing(Self::Relay(relay))),
                }
            }
            None => text.parse()?,
        };
        if report.results.iter().any(|relay| subject.has(relay)) {
            return Ok(subject);
        }
        Err(SubjectError::Nothing(subject))
    }

    /// Whether a relay is the subject's.
    fn has(&self, relay: &ReportedRelay) -> bool {
        match self {
            Self::Family(id) => relay.relay.family_ids.contains(id),
            Self::Domain(domain) => relay.operator.strip_prefix("domain:") == Some(domain),
            Self::Relay(one) => relay.exit_fingerprint == *one,
        }
    }
}

/// What was asked for and is not confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Asked {
    subjects: BTreeSet<Subject>,
    at: DateTime<Utc>,
    token: TokenId,
}

/// An address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscriber {
    /// What it has confirmed; empty where that is nothing yet.
    subjects: BTreeSet<Subject>,
    confirmed: Option<DateTime<Utc>>,
    /// The number in the token that ends it.
    unsubscribe: TokenId,
    asked: Option<Asked>,
    /// When it was last mailed that it may confirm.
    confirmation: Option<DateTime<Utc>>,
    /// The relays that are the subjects'.
    relays: BTreeSet<Fingerprint>,
    /// Which of them it knows to fail, by incident, and since when.
    told: BTreeMap<String, BTreeMap<Fingerprint, DateTime<Utc>>>,
    /// When it was last told anything.
    last: Option<DateTime<Utc>>,
}

/// What a report has about a relay that fails: what a mail may say, and no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureFacts {
    /// The name of the dated report.
    pub report: String,
    /// When its run ended.
    pub at: DateTime<Utc>,
    /// The zone that names were asked for in.
    pub zone: String,
    /// The expected address; `None` where names are asked for that do not exist.
    pub expected: Option<IpAddr>,
    /// The verdict.
    pub status: Status,
    /// Why.
    pub cause: Option<ErrorCode>,
    /// The address that came.
    pub came: Option<String>,
    /// In how many attempts a lookup reached the exit, and how many of them failed.
    pub asked: u32,
    /// How many of those failed.
    pub failed: u32,
    /// Through how many first hops those that failed went.
    pub first_hops: u32,
    /// Runs in a row that found it failing.
    pub runs: u32,
    /// The first of them.
    pub since: Option<DateTime<Utc>>,
    /// A stranger's text.
    pub nickname: String,
    /// Its address in the consensus.
    pub address: IpAddr,
    /// The operator's key: a stranger's text.
    pub operator: String,
}

impl FailureFacts {
    fn of(relay: &ReportedRelay, report: &Report, name: &str) -> Self {
        let tested: Vec<_> =
            relay.attempts.iter().filter(|attempt| attempt.status.tested()).collect();
        let failed: Vec<_> =
            tested.iter().filter(|attempt| attempt.status.counts_against_dns()).collect();
        let hops: BTreeSet<Fingerprint> = failed.iter().map(|attempt| attempt.first_hop).collect();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Self {
            report: name.to_owned(),
            at: report.metadata.timestamp,
            zone: report.metadata.domain.clone(),
            expected: relay.expected_ip,
            status: relay.status,
            cause: relay.error_code,
            came: relay.resolved_ip.clone().filter(|_| relay.status == Status::WrongIp),
            asked: count(tested.len()),
            failed: count(failed.len()),
            first_hops: count(hops.len()),
            runs: relay.consecutive_failures,
            since: relay.failing_since,
            nickname: relay.exit_nickname.clone(),
            address: relay.exit_address,
            operator: relay.operator.clone(),
        }
    }
}

/// Every subscriber.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscribers {
    of: BTreeMap<String, Subscriber>,
    /// Of the relays of any of them that fail.
    facts: BTreeMap<Fingerprint, FailureFacts>,
}

/// What came of asking for a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asking {
    /// The address has to be asked, with this token's number.
    Confirm {
        /// The number.
        token: TokenId,
        /// What it would confirm.
        subjects: BTreeSet<Subject>,
    },
    /// It has confirmed all of it already.
    Subscribed,
    /// It was asked less than a day ago.
    TooSoon {
        /// From when on it may be asked again.
        until: DateTime<Utc>,
    },
}

/// What came of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// This address is a subscriber now.
    Confirmed(String),
    /// This address gets nothing any more.
    Unsubscribed(String),
    /// It is of nobody's, or too old.
    Nothing,
}

/// An address that is to be written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueMail {
    /// The address.
    pub address: String,
    /// What it has confirmed.
    pub subjects: BTreeSet<Subject>,
    /// When it did.
    pub confirmed: Option<DateTime<Utc>>,
    /// The number in the token that ends it.
    pub unsubscribe: TokenId,
    /// The incidents that it is about.
    pub incidents: BTreeSet<String>,
    /// Relays that it does not know to fail.
    pub new: BTreeMap<Fingerprint, FailureFacts>,
    /// Relays that it knows to fail, and that still do.
    pub still: BTreeMap<Fingerprint, FailureFacts>,
    /// Relays that it knows to have failed, and that work again.
    pub works: BTreeMap<Fingerprint, RecoveredRelay>,
    /// Relays that it knows to have failed, and that nobody could test for two weeks.
    pub gone: BTreeMap<Fingerprint, String>,
}

/// A relay that works again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveredRelay {
    /// A stranger's text.
    pub nickname: String,
    /// Its address.
    pub address: IpAddr,
    /// Since when it failed, as its reader was told.
    pub since: DateTime<Utc>,
    /// The first run that found it working.
    pub until: Option<DateTime<Utc>>,
}

impl Subscribers {
    /// The subscribers, by address: what each has confirmed, and since when; those who have not, too.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Subscriber)> {
        self.of.iter().map(|(address, one)| (address.as_str(), one))
    }

    /// Whether there is nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// Somebody asks that an address get mails about these. `tokens`: two random numbers.
    ///
    /// # Errors
    ///
    /// [`SubjectError::TooMany`].
    pub fn ask(
        &mut self,
        address: &str,
        subjects: BTreeSet<Subject>,
        now: DateTime<Utc>,
        tokens: [TokenId; 2],
    ) -> Result<Asking, SubjectError> {
        let one = self.of.get(address);
        if one.is_some_and(|one| one.confirmed.is_some() && subjects.is_subset(&one.subjects)) {
            return Ok(Asking::Subscribed);
        }
        let before = one.and_then(|one| one.confirmation).map(|at| at + MAIL_EVERY);
        if let Some(until) = before.filter(|until| now < *until) {
            return Ok(Asking::TooSoon { until });
        }
        let all = one.into_iter().flat_map(|one| one.subjects.iter().cloned());
        let subjects: BTreeSet<Subject> = all.chain(subjects).collect();
        if subjects.len() > SUBJECTS {
            return Err(SubjectError::TooMany);
        }
        let [token, unsubscribe] = tokens;
        let one = self
            .of
            .entry(address.to_owned())
            .or_insert_with(|| Subscriber { unsubscribe, ..Subscriber::default() });
        one.confirmation = Some(now);
        one.asked = Some(Asked { subjects: subjects.clone(), at: now, token });
        Ok(Asking::Confirm { token, subjects })
    }

    /// The clock: what nobody confirmed in time is forgotten.
    pub fn tick(&mut self, now: DateTime<Utc>) {
        for one in self.of.values_mut() {
            one.asked.take_if(|asked| now - asked.at > CONFIRM_WITHIN);
        }
        // That an address was asked a while ago is known for a day, whatever became of it.
        self.of.retain(|_, one| {
            let asked_today = one.confirmation.is_some_and(|at| now - at < MAIL_EVERY);
            one.confirmed.is_some() || one.asked.is_some() || asked_today
        });
    }

    /// A token that was verified came back, as it was mailed.
    pub fn apply(&mut self, act: Act, token: &TokenId, now: DateTime<Utc>) -> Applied {
        for (address, one) in &mut self.of {
            match act {
                Act::Confirm => {
                    let in_time = |asked: &mut Asked| {
                        asked.token == *token && now - asked.at <= CONFIRM_WITHIN
                    };
                    if let Some(asked) = one.asked.take_if(in_time) {
                        one.subjects = asked.subjects;
                        one.confirmed = Some(now);
                        return Applied::Confirmed(address.clone());
                    }
                }
                Act::Unsubscribe if one.unsubscribe == *token => {
                    let address = address.clone();
                    self.remove(&address);
                    return Applied::Unsubscribed(address);
                }
                Act::Unsubscribe => {}
            }
        }
        Applied::Nothing
    }

    /// An address gets nothing any more; whether it was one that would have.
    pub fn remove(&mut self, address: &str) -> bool {
        let Some(one) = self.of.get_mut(address) else { return false };
        let known = one.confirmed.is_some() || one.asked.is_some();
        // All but when it was asked last: it is not asked again on the same day.
        *one = Subscriber {
            confirmation: one.confirmation,
            unsubscribe: one.unsubscribe,
            ..Subscriber::default()
        };
        known
    }

    /// Takes in a published report: which relays are whose, and what is known of those that fail.
    pub fn see(&mut self, report: &Report, name: &str) {
        if !report.metadata.publish.allowed || self.of.is_empty() {
            return;
        }
        for relay in &report.results {
            let fingerprint = relay.exit_fingerprint;
            let mut is_anybodys = false;
            for one in self.of.values_mut() {
                // Who is in no report any more is whose he was.
                if one.subjects.iter().any(|subject| subject.has(relay)) {
                    one.relays.insert(fingerprint);
                    is_anybodys = true;
                } else {
                    one.relays.remove(&fingerprint);
                }
            }
            let theirs = !matches!(relay.blame, Some(Blame::Scanner | Blame::Zone));
            if is_anybodys && relay.status.counts_against_dns() && !relay.provisional && theirs {
                self.facts.insert(fingerprint, FailureFacts::of(relay, report, name));
            }
        }
    }

    /// Who is to be written to now, and what about. Whoever takes it has told it.
    pub fn due(&mut self, watch: &Watch, now: DateTime<Utc>) -> Vec<DueMail> {
        let mut due = Vec::new();
        for (address, one) in &mut self.of {
            if one.confirmed.is_none() || one.last.is_some_and(|last| now - last < MAIL_EVERY) {
                continue;
            }
            let down = down(watch, one, &self.facts);
            if one.is_due(&down, now)
                && let Some(mail) = one.mail(address, &down, watch, &self.facts)
            {
                due.push(mail);
                one.last = Some(now);
                one.knows(down, &self.facts);
            }
        }
        let known: BTreeSet<&Fingerprint> =
            self.of.values().flat_map(|one| one.told.values().flat_map(BTreeMap::keys)).collect();
        let failing: BTreeSet<Fingerprint> = watch
            .incidents()
            .into_iter()
            .filter(|incident| incident.is_open())
            .flat_map(|incident| incident.down().map(|(relay, _)| *relay))
            .collect();
        let waiting = |facts: &FailureFacts| watch.published().is_some_and(|last| last == facts.at);
        self.facts.retain(|relay, facts| {
            known.contains(relay) || failing.contains(relay) || waiting(facts)
        });
        due
    }
}

/// The relays of a subscriber that fail, by incident, as far as there are facts to tell.
fn down(
    watch: &Watch,
    one: &Subscriber,
    facts: &BTreeMap<Fingerprint, FailureFacts>,
) -> BTreeMap<String, BTreeSet<Fingerprint>> {
    let mut down: BTreeMap<String, BTreeSet<Fingerprint>> = BTreeMap::new();
    for incident in watch.incidents().into_iter().filter(|incident| incident.is_open()) {
        if !matches!(incident.subject, IncidentSubject::Operator { .. }) {
            continue;
        }
        let theirs = incident.down().map(|(relay, _)| *relay);
        let theirs: BTreeSet<Fingerprint> = theirs
            .filter(|relay| one.relays.contains(relay) && facts.contains_key(relay))
            .collect();
        if !theirs.is_empty() {
            down.insert(incident.id.clone(), theirs);
        }
    }
    down
}

impl Subscriber {
    /// What it has confirmed, and since when.
    #[must_use]
    pub fn confirmed(&self) -> Option<(DateTime<Utc>, &BTreeSet<Subject>)> {
        self.confirmed.map(|at| (at, &self.subjects))
    }

    /// What it has been asked to confirm, and when.
    #[must_use]
    pub fn asked(&self) -> Option<(DateTime<Utc>, &BTreeSet<Subject>)> {
        self.asked.as_ref().map(|asked| (asked.at, &asked.subjects))
    }

    /// How many relays are its.
    #[must_use]
    pub fn relays(&self) -> usize {
        self.relays.len()
    }

    /// Whether there is anything that is worth a mail: an incident that is new to it, or that has more than
    /// twice as many relays as it knows; one that is over; or a week without a word of what still fails.
    fn is_due(&self, down: &BTreeMap<String, BTreeSet<Fingerprint>>, now: DateTime<Utc>) -> bool {
        let known = |id: &String| self.told.get(id).map_or(0, BTreeMap::len);
        let worse = down.iter().any(|(id, relays)| relays.len() > 2 * known(id));
        let over = self.told.keys().any(|id| !down.contains_key(id));
        let long = self.last.is_some_and(|last| now - last >= REMINDER);
        worse || over || long && !down.is_empty()
    }

    /// What fails is known to it from now on; what it knew before keeps its time.
    fn knows(
        &mut self,
        down: BTreeMap<String, BTreeSet<Fingerprint>>,
        facts: &BTreeMap<Fingerprint, FailureFacts>,
    ) {
        let before: BTreeMap<Fingerprint, DateTime<Utc>> =
            std::mem::take(&mut self.told).into_values().flatten().collect();
        let since = |relay: Fingerprint| {
            let of = facts.get(&relay)?;
            Some((relay, *before.get(&relay).unwrap_or(&of.since.unwrap_or(of.at))))
        };
        let of = |relays: BTreeSet<Fingerprint>| relays.into_iter().filter_map(since).collect();
        self.told = down.into_iter().map(|(id, relays)| (id, of(relays))).collect();
    }

    fn mail(
        &mut self,
        address: &str,
        down: &BTreeMap<String, BTreeSet<Fingerprint>>,
        watch: &Watch,
        facts: &BTreeMap<Fingerprint, FailureFacts>,
    ) -> Option<DueMail> {
        let of = |known: bool| {
            let told: BTreeSet<&Fingerprint> =
                self.told.values().flat_map(BTreeMap::keys).collect();
            let relays = down.values().flatten().filter(|relay| told.contains(relay) == known);
            relays.filter_map(|relay| Some((*relay, facts.get(relay)?.clone()))).collect()
        };
        let (new, still): (BTreeMap<_, _>, BTreeMap<_, _>) = (of(false), of(true));
        let (mut works, mut gone) = (BTreeMap::new(), BTreeMap::new());
        let failing: BTreeSet<&Fingerprint> = down.values().flatten().collect();
        for (id, relays) in &self.told {
            let Some(incident) = watch.incident(id) else { continue };
            for (relay, since) in relays.iter().filter(|(relay, _)| !failing.contains(relay)) {
                let Some(affected) = incident.relays.get(relay) else { continue };
                // One that still fails, and is not its any more, is not its to be told of.
                if affected.left.is_none() {
                    continue;
                }
                if affected.worked > 0 {
                    let recovered = RecoveredRelay {
                        nickname: affected.nickname.clone(),
                        address: affected.address,
                        since: *since,
                        until: affected.working_since,
                    };
                    works.insert(*relay, recovered);
                } else {
                    gone.insert(*relay, affected.nickname.clone());
                }
            }
        }
        let incidents: BTreeSet<String> = self.told.keys().chain(down.keys()).cloned().collect();
        if new.is_empty() && still.is_empty() && works.is_empty() && gone.is_empty() {
            self.knows(down.clone(), facts);
            return None;
        }
        Some(DueMail {
            address: address.to_owned(),
            subjects: self.subjects.clone(),
            confirmed: self.confirmed,
            unsubscribe: self.unsubscribe,
            incidents,
            new,
            still,
            works,
            gone,
        })
    }
}

#[cfg(test)]
mod tests;
