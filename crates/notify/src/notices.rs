//! Notices as a whole: takes in the reports that are new, writes what is public of the incidents, and
//! sends what there is to be told.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use lettre::Address;
use lettre::message::Mailbox;
use record::{FileEntry, FileKind, Files, IncidentSubject, Incidents, Kind, Report};
use sha2::{Digest as _, Sha256};
use shelf::output::{FEEDS_DIRECTORY, FILES_FILE, FILES_LIMIT, INCIDENTS_FILE, REPORT_LIMIT};
use shelf::read;

use crate::export::{self, ExportError, ExportFile};
use crate::feed::{self, FeedPlace};
use crate::incident::{Change, Happening, Watch};
use crate::keys::{Act, NotifyKeys, TokenId};
use crate::letter::{self, Ways};
use crate::mail::{self, Letter, LetterHeaders, MailError, MailRoute};
use crate::memory::{Keeper, Memory, MemoryError};
use crate::parcel::{Content, Parcel};
use crate::requests::{self, LookedAt};
use crate::seen::RunSeen;
use crate::subscription::{Asking, Subject, SubjectError};
use crate::webhook::{self, SigningKey, WebhookFormat};
use crate::words;
use reach::http::{Body, HttpError, Target};

/// How far back reports are read where nothing is remembered.
const BEGINNING: TimeDelta = TimeDelta::days(30);

/// How long a request may take.
const REQUEST: Duration = Duration::from_secs(20);

/// After how long a digest is sent though nothing has happened, while anything is failing.
const REMINDER: TimeDelta = TimeDelta::days(7);

/// How long what is pushed to Alertmanager stays there unless it is pushed again.
const PUSHED_FOR: TimeDelta = TimeDelta::hours(36);

/// Who is told, and how.
#[derive(Debug)]
pub struct Channels {
    /// Where the output directory is served.
    pub site: Option<String>,
    /// A webhook.
    pub webhook: Option<WebhookChannel>,
    /// An Alertmanager's address up to `/api/v2/alerts`.
    pub alertmanager: Option<Target>,
    /// Mail to those who run the system.
    pub mail: Option<MailChannel>,
    /// Whether the function at the site takes what subscribers ask for.
    pub function: bool,
    /// After how long without a new report that is an incident.
    pub silence: TimeDelta,
}

/// A webhook.
#[derive(Debug)]
pub struct WebhookChannel {
    /// Where to.
    pub target: Target,
    /// What its messages are signed with.
    pub keys: Vec<SigningKey>,
    /// In which JSON.
    pub format: WebhookFormat,
}

/// Mail, to those who run the system and to operators who asked for it.
#[derive(Debug)]
pub struct MailChannel {
    /// How mails leave this host.
    pub route: MailRoute,
    /// Who they are from.
    pub from: Mailbox,
    /// Those who run the system; nobody where only operators get mails.
    pub to: Vec<Mailbox>,
    /// The shortest time between two digests.
    pub every: TimeDelta,
}

/// Why there are no notices. What cannot be sent is no such thing.
#[derive(Debug, thiserror::Error)]
pub enum NoticesError {
    /// The memory.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The output directory, or something in it.
    #[error("cannot read {path:?}: {reason}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// What subscribers asked for cannot be read.
    #[error("cannot look for what subscribers asked for in {path:?}: {reason}")]
    Requests {
        /// The notices' directory.
        path: PathBuf,
        /// Why.
        reason: io::Error,
    },
    /// What is public of the incidents cannot be written.
    #[error(transparent)]
    Public(#[from] ExportError),
}

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NoticesDone {
    /// How many reports were taken in.
    pub reports: u32,
    /// How many incidents are open.
    pub open: usize,
    /// Whether this was the first time: what fails already counts as told.
    pub first: bool,
    /// How many notices were sent.
    pub sent: u32,
    /// How many wait.
    pub waiting: usize,
    /// How many requests of subscribers were applied.
    pub requests: u32,
    /// All that were looked at.
    pub looked_at: LookedAt,
    /// Reports that could not be used, and why.
    pub left_out: Vec<String>,
    /// What went wrong with the channels.
    pub troubles: Vec<String>,
}

/// Takes in what is new, and writes incidents and feeds into the output directory. What is to be sent is
/// remembered, and not sent.
///
/// # Errors
///
/// [`NoticesError`].
pub fn prepare(
    directory: &Path,
    keeper: &Keeper,
    channels: &Channels,
    now: DateTime<Utc>,
) -> Result<(Memory, NoticesDone), NoticesError> {
    let remembered = keeper.load()?;
    let mut done = NoticesDone { first: remembered.is_none(), ..NoticesDone::default() };
    let mut memory = remembered.unwrap_or_default();
    if let Some(keys) = keeper.keys() {
        let failed = |reason| NoticesError::Requests { path: keeper.path().to_owned(), reason };
        (done.looked_at, done.requests) =
            requests::apply(keeper.path(), keys, &mut memory, now).map_err(failed)?;
    }
    memory.subscribers.tick(now);
    let mut changes = Vec::new();
    let mut zone = None;
    for entry in new_reports(directory, &memory.watch)? {
        let Some(report) = read_report(directory, &entry, &mut done.left_out) else { continue };
        zone = Some(report.metadata.domain.clone());
        changes.append(&mut memory.watch.take(&RunSeen::of(&report)));
        memory.subscribers.see(&report, &entry.name);
        done.reports += 1;
    }
    changes.append(&mut memory.watch.tick(now, channels.silence));
    memory.zone = zone.or(memory.zone.take());
    if done.first {
        changes.clear();
    }
    plan(&mut memory, &changes, channels, now, &mut done.troubles);
    if let (Some(keys), Some(mail)) = (keeper.keys(), &channels.mail) {
        write_letters(&mut memory, channels, mail, keys, now);
    }
    // Before anything of it is to be seen: what is public can be made again, what was told cannot.
    keeper.save(&memory)?;
    write_public(directory, &memory, channels)?;
    done.open = memory.watch.incidents().iter().filter(|incident| incident.is_open()).count();
    done.waiting = memory.outbox.len();
    Ok((memory, done))
}

/// The reports that were not taken in, oldest first.
fn new_reports(directory: &Path, watch: &Watch) -> Result<Vec<FileEntry>, NoticesError> {
    let path = directory.join(FILES_FILE);
    let bytes = match read::file(&path, FILES_LIMIT) {
        Ok(bytes) => bytes,
        Err(error) if error.is_not_found() => return Ok(Vec::new()),
        Err(error) => return Err(NoticesError::Read { path, reason: error.to_string() }),
    };
    let files: Files = Kind::Files
        .parse(&bytes)
        .map_err(|error| NoticesError::Read { path, reason: error.to_string() })?;
    let mut entries = files.files;
    entries.retain(|entry| entry.kind == FileKind::Report);
    entries.sort_by(|a, b| (a.timestamp, &a.name).cmp(&(b.timestamp, &b.name)));
    let newest = entries.last().map(|entry| entry.timestamp).unwrap_or_default();
    match watch.last() {
        Some((ended, run_id)) => entries.retain(|entry| {
            let of = entry.report.as_ref();
            let same = of.is_some_and(|report| report.run_id == run_id);
            let forced = same && watch.is_held() && of.is_some_and(|report| report.published);
            entry.timestamp >= ended && (!same || forced)
        }),
        None => entries.retain(|entry| newest - entry.timestamp <= BEGINNING),
    }
    Ok(entries)
}

/// A report; `None`, with a word about it, where it cannot be used.
fn read_report(directory: &Path, entry: &FileEntry, left_out: &mut Vec<String>) -> Option<Report> {
    let path = directory.join(&entry.name);
    let read = read::file(&path, REPORT_LIMIT).map_err(|error| error.to_string());
    let parsed = read
        .and_then(|bytes| Kind::Report.parse::<Report>(&bytes).map_err(|error| error.to_string()));
    parsed.map_err(|error| left_out.push(format!("{}: {error}", entry.name))).ok()
}

/// Puts what is to be told into the outbox. Pure.
fn plan(
    memory: &mut Memory,
    changes: &[Change],
    channels: &Channels,
    now: DateTime<Utc>,
    troubles: &mut Vec<String>,
) {
    let site = channels.site.as_deref();
    if let Some(webhook) = &channels.webhook {
        for change in changes {
            let Some(incident) = memory.watch.incident(&change.incident) else { continue };
            let body = match webhook.format {
                WebhookFormat::Json => webhook::ours(incident, change.happening, change.at, site),
                WebhookFormat::Alertmanager => webhook::alertmanager(incident, site),
            };
            match body {
                Ok(body) => {
                    let id = id_of(&["webhook", &change.incident], change.at);
                    memory.outbox.push(Parcel::new(id, now, Content::Webhook { body }));
                }
                Err(error) => troubles.push(format!("webhook: {error}")),
            }
        }
    }
    let Some(mail) = channels.mail.as_ref().filter(|mail| !mail.to.is_empty()) else { return };
    memory.digest.changes.extend(changes.iter().cloned());
    let last = *memory.digest.last.get_or_insert(now - mail.every);
    let incidents = memory.watch.incidents();
    let telling = |change: &Change| change.happening != Happening::Changed;
    let urgent = |change: &Change| {
        let incident = memory.watch.incident(&change.incident);
        telling(change)
            && incident.is_some_and(|one| !matches!(one.subject, IncidentSubject::Operator { .. }))
    };
    let waiting = &memory.digest.changes;
    let is_open = incidents.iter().any(|incident| incident.is_open());
    let due = waiting.iter().any(telling) && now - last >= mail.every
        || waiting.iter().any(urgent)
        || is_open && now - last >= REMINDER;
    if !due {
        return;
    }
    if let Some((subject, text)) = words::digest(waiting, &incidents, site) {
        let id = id_of(&["digest"], now);
        memory.outbox.push(Parcel::new(id, now, Content::Mail { subject, text }));
    }
    memory.digest.changes.clear();
    memory.digest.last = Some(now);
}

/// Puts the mails to operators into the outbox that are due. Pure.
fn write_letters(
    memory: &mut Memory,
    channels: &Channels,
    mail: &MailChannel,
    keys: &NotifyKeys,
    now: DateTime<Utc>,
) {
    for due in memory.subscribers.due(&memory.watch, now) {
        let token = keys.token(Act::Unsubscribe, &due.unsubscribe);
        let link = channels.link(&token);
        let from = mail.from.email.to_string();
        let site = channels.site.as_deref();
        let ways = Ways { site, link: link.as_deref(), token: &token, from: &from };
        let (subject, text) = letter::about(&due, ways);
        // The mails to one reader about one incident name one id that only they have.
        let thread =
            |incident: &String| id_of(&["thread", incident, &due.address], DateTime::default());
        let references = due.incidents.iter().map(thread).collect();
        let address = due.address;
        let id = id_of(&["letter", &address], now);
        let content =
            Content::Letter { address, subject, text, references, unsubscribe: Some(token) };
        memory.outbox.push(Parcel::new(id, now, content));
    }
}

/// Somebody asks that an address get mails about these: puts the mail that asks for a confirmation into
/// the outbox, where one is due. `tokens`: two random numbers.
///
/// # Errors
///
/// [`SubjectError`].
pub fn subscribe(
    memory: &mut Memory,
    address: &Address,
    subjects: BTreeSet<Subject>,
    (channels, mail, keys): (&Channels, &MailChannel, &NotifyKeys),
    tokens: [TokenId; 2],
    now: DateTime<Utc>,
) -> Result<Asking, SubjectError> {
    let address = address.to_string();
    memory.subscribers.tick(now);
    let asking = memory.subscribers.ask(&address, subjects, now, tokens)?;
    if let Asking::Confirm { token, subjects } = &asking {
        let token = keys.token(Act::Confirm, token);
        let link = channels.link(&token);
        let from = mail.from.email.to_string();
        let site = channels.site.as_deref();
        let ways = Ways { site, link: link.as_deref(), token: &token, from: &from };
        let (subject, text) = letter::confirmation(subjects, ways);
        let id = id_of(&["confirm", &address], now);
        let (references, unsubscribe) = (Vec::new(), None);
        let content = Content::Letter { address, subject, text, references, unsubscribe };
        memory.outbox.push(Parcel::new(id, now, content));
    }
    Ok(asking)
}

impl Channels {
    /// The link that a token is behind, where the function takes it.
    fn link(&self, token: &str) -> Option<String> {
        let site = self.site.as_deref().filter(|_| self.function)?;
        Some(format!("{}/subscription/{token}", site.trim_end_matches('/')))
    }
}

/// An id that is the same for the same.
fn id_of(parts: &[&str], at: DateTime<Utc>) -> String {
    let digest = Sha256::digest(format!("{}\n{}", parts.join("\n"), at.timestamp_millis()));
    let digits: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("msg_{digits}")
}

/// Writes incidents and feeds, where they are not so already.
fn write_public(
    directory: &Path,
    memory: &Memory,
    channels: &Channels,
) -> Result<(), NoticesError> {
    let Some(zone) = memory.zone.as_deref() else { return Ok(()) };
    let lock = export::take(directory)?;
    let incidents = memory.watch.incidents();
    let since = memory.watch.last().map(|(ended, _)| ended).unwrap_or_default();
    let place = FeedPlace { zone, site: channels.site.as_deref(), since };
    let mut files: Vec<ExportFile> = feed::all(&incidents, place)
        .into_iter()
        .map(|(path, text)| ExportFile { path, bytes: text.into_bytes() })
        .collect();
    let incidents = incidents.into_iter().cloned().collect();
    let document = Incidents { format: Kind::Incidents.format(), incidents };
    files.push(export::json(INCIDENTS_FILE.to_owned(), &document)?);
    export::write(directory, &[FEEDS_DIRECTORY], &files)?;
    let feeds = directory.join(FEEDS_DIRECTORY);
    let known: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    remove_old(&feeds, &known).map_err(|reason| ExportError::Write { path: feeds, reason })?;
    // It shows them.
    export::refresh_summary(directory, &lock)?;
    drop(lock);
    Ok(())
}

/// Removes the feeds of operators of whom nothing is known any more.
fn remove_old(feeds: &Path, known: &BTreeSet<&str>) -> io::Result<()> {
    for name in read::names_in(read::open_directory(feeds)?)? {
        let is_feed = Path::new(&name).extension() == Some(OsStr::new("atom"));
        if is_feed && !known.contains(format!("{FEEDS_DIRECTORY}/{name}").as_str()) {
            fs::remove_file(feeds.join(&name))?;
        }
    }
    Ok(())
}

/// Sends what waits and is due. What is not taken waits on.
///
/// # Errors
///
/// [`NoticesError::Memory`]: nothing more is sent where it cannot be remembered.
pub async fn send(
    keeper: &Keeper,
    memory: &mut Memory,
    channels: &Channels,
    now: DateTime<Utc>,
    done: &mut NoticesDone,
) -> Result<(), NoticesError> {
    let troubles = &mut done.troubles;
    drop_uncertain(memory, troubles);
    push_alerts(memory, channels, now, troubles).await;
    // One that does not take the first of several is not asked again for each of the others.
    let mut refused = [false; 2];
    let mut index = 0;
    while let Some(parcel) = memory.outbox.get_mut(index) {
        let channel = usize::from(!matches!(parcel.content, Content::Webhook { .. }));
        if parcel.due > now || refused[channel] {
            index += 1;
            continue;
        }
        parcel.begun = true;
        let parcel = parcel.clone();
        if !parcel.may_be_repeated() {
            keeper.save(memory)?;
        }
        match deliver(&parcel, channels, now).await {
            Ok(true) => {
                memory.outbox.remove(index);
                done.sent += 1;
            }
            // Nobody is to be told in this way any more.
            Ok(false) => {
                memory.outbox.remove(index);
            }
            Err(error) => {
                // That one reader's address is refused says nothing of the others'.
                refused[channel] |= !error.of_one;
                let error = error.text;
                if memory.outbox[index].failed(now) {
                    troubles.push(format!("{error}; it is tried again later"));
                    index += 1;
                } else {
                    troubles.push(format!("{error}; it is given up after a week"));
                    memory.outbox.remove(index);
                }
            }
        }
        keeper.save(memory)?;
    }
    done.waiting = memory.outbox.len();
    Ok(())
}

/// A mail that was under way when the program was killed may have arrived. It is not sent again.
fn drop_uncertain(memory: &mut Memory, troubles: &mut Vec<String>) {
    memory.outbox.retain(|parcel| {
        let certain = !parcel.begun || parcel.may_be_repeated();
        if !certain {
            let made = parcel.made.format("%Y-%m-%d %H:%M UTC");
            let which = match parcel.content {
                Content::Letter { .. } => "a mail to a subscriber",
                _ => "the mail",
            };
            troubles.push(format!(
                "{which} of {made} was being sent when the program ended: it may have arrived, and is not \
                 sent again. The next one lists what is still failing"
            ));
        }
        certain
    });
}

async fn push_alerts(
    memory: &Memory,
    channels: &Channels,
    now: DateTime<Utc>,
    troubles: &mut Vec<String>,
) {
    let Some(target) = &channels.alertmanager else { return };
    let incidents = memory.watch.incidents();
    let pushed = match webhook::pushed(&incidents, now, PUSHED_FOR, channels.site.as_deref()) {
        Ok(body) => {
            let headers = [("content-type", "application/json")];
            post(target, &headers, body.into_bytes()).await.map_err(|error| error.to_string())
        }
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = pushed {
        troubles.push(format!("Alertmanager: {error}; the next run tells it again"));
    }
}

/// Why a parcel was not delivered.
struct Undelivered {
    text: String,
    /// Whether others may be, by the same way.
    of_one: bool,
}

impl Undelivered {
    fn of_mail(error: &MailError, what: &str) -> Self {
        let of_one =
            matches!(error, MailError::Refused(_) | MailError::Address(_) | MailError::Message(_));
        Self { text: format!("{what}: {error}"), of_one: of_one && what != "mail" }
    }
}

/// Sends one parcel; `false` where its channel is no longer there.
async fn deliver(
    parcel: &Parcel,
    channels: &Channels,
    now: DateTime<Utc>,
) -> Result<bool, Undelivered> {
    match (&parcel.content, &channels.webhook, &channels.mail) {
        (Content::Webhook { body }, Some(webhook), _) => {
            let headers = webhook::headers(&webhook.keys, &parcel.id, now, body.as_bytes());
            let headers: Vec<(&str, &str)> =
                headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let sent = post(&webhook.target, &headers, body.clone().into_bytes()).await;
            sent.map_err(|error| Undelivered { text: format!("webhook: {error}"), of_one: false })?;
        }
        (Content::Mail { subject, text }, _, Some(mail)) => {
            let letter = Letter {
                from: &mail.from,
                to: &mail.to,
                subject,
                text,
                id: &parcel.id,
                date: parcel.made,
                extra: LetterHeaders::default(),
            };
            let sent = mail.route.send(letter).await;
            sent.map_err(|error| Undelivered::of_mail(&error, "mail"))?;
        }
        (Content::Letter { address, subject, text, references, unsubscribe }, _, Some(mail)) => {
            let what = "mail to a subscriber";
            let to = mail::mailbox(address).map_err(|error| Undelivered::of_mail(&error, what))?;
            let link = unsubscribe.as_deref().and_then(|token| channels.link(token));
            let by_mail = unsubscribe.as_ref().map(|token| format!("unsubscribe {token}"));
            let letter = Letter {
                from: &mail.from,
                to: &[to],
                subject,
                text,
                id: &parcel.id,
                date: parcel.made,
                extra: LetterHeaders {
                    references,
                    // RFC 8058, section 3.1: HTTPS alone.
                    one_click: link.as_deref().filter(|link| link.starts_with("https://")),
                    by_mail: by_mail.as_deref(),
                },
            };
            let sent = mail.route.send(letter).await;
            sent.map_err(|error| Undelivered::of_mail(&error, what))?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Sends a test message on every channel; gives the channel's name and what came of it.
pub async fn test(
    channels: &Channels,
    now: DateTime<Utc>,
) -> Vec<(&'static str, Result<(), String>)> {
    let mut tried = Vec::new();
    if let Some(webhook) = &channels.webhook {
        let body = webhook::test(now).to_string();
        let parcel = Parcel::new(id_of(&["test"], now), now, Content::Webhook { body });
        let name = if webhook.keys.is_empty() { "webhook, unsigned" } else { "webhook, signed" };
        let sent = deliver(&parcel, channels, now).await;
        tried.push((name, sent.map(|_| ()).map_err(|error| error.text)));
    }
    if let Some(target) = &channels.alertmanager {
        // No alert: that the address takes them is what is to be known.
        let headers = [("content-type", "application/json")];
        let sent = post(target, &headers, b"[]".to_vec()).await;
        tried.push(("Alertmanager", sent.map_err(|error| error.to_string())));
    }
    if channels.mail.as_ref().is_some_and(|mail| !mail.to.is_empty()) {
        let subject = "Tor exits: a test".to_owned();
        let text =
            "This is a test of the notices of exit-validator. Nothing has happened.\n".to_owned();
        let parcel = Parcel::new(id_of(&["test"], now), now, Content::Mail { subject, text });
        let sent = deliver(&parcel, channels, now).await;
        tried.push(("mail", sent.map(|_| ()).map_err(|error| error.text)));
    }
    tried
}

/// Sends by POST; tries twice where that may help.
async fn post(target: &Target, headers: &[(&str, &str)], bytes: Vec<u8>) -> Result<(), HttpError> {
    let body = || Body { headers, bytes: bytes.clone() };
    match target.post(body(), REQUEST).await {
        Err(error) if error.is_passing() => target.post(body(), REQUEST).await.map(|_| ()),
        done => done.map(|_| ()),
    }
}

#[cfg(test)]
mod tests;
