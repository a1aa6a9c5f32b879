//! Notices of reports in a directory, to receivers on loopback.

use std::fs;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use record::{FileReport, GateCode, GateFinding, Status};
use shelf::output;
use tokio::sync::mpsc::UnboundedReceiver;

use super::*;
use crate::export::tests::example;
use crate::keys::Sealed;
use crate::keys::tests::keys;
use crate::subscription::Applied;
use reach::http::Reach;
use reach::script::{Asked, answer, server};

const FAMILY: &str = "ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A host, with an output directory in which reports appear.
struct Site {
    dir: tempfile::TempDir,
    files: Vec<FileEntry>,
}

/// How a relay is in a run.
#[derive(Clone, Copy, PartialEq)]
enum Is {
    Well,
    Broken,
}

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("public")).unwrap();
        Self { dir, files: Vec::new() }
    }

    fn public(&self) -> PathBuf {
        self.dir.path().join("public")
    }

    fn keeper(&self) -> Keeper {
        Keeper::open(&self.dir.path().join("notify"), None).unwrap()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.public().join(name)).unwrap()
    }

    /// Publishes a report, or has the gate hold it back.
    fn report(&mut self, run: u32, relays: u32, is: Is, held: bool) {
        let mut report = example();
        let ended = at(run);
        report.metadata.timestamp = ended;
        report.metadata.run_id = format!("run{run}");
        report.metadata.publish.allowed = !held;
        let code = GateCode::SpreadFailures;
        report.metadata.publish.reasons =
            if held { vec![GateFinding { code, message: String::new() }] } else { Vec::new() };
        let found = |status| report.results.iter().find(|relay| relay.status == status).unwrap();
        let template =
            found(if is == Is::Well { Status::Success } else { Status::DnsFail }).clone();
        report.results = (0..relays)
            .map(|number| {
                let mut relay = template.clone();
                relay.exit_fingerprint = format!("{number:040X}").parse().unwrap();
                relay.exit_nickname = format!("r\u{1b}[31m\r\nBcc: x@example.org {number}<b>&");
                relay.operator = "contact:<script>\r\nBcc: y@example.org".to_owned();
                relay.provisional = false;
                relay.relay.family_ids = vec![FAMILY.to_owned()];
                relay.relay.flags.retain(|flag| flag != "BadExit");
                relay
            })
            .collect();
        let name = output::dated_name(ended);
        let bytes = serde_json::to_vec(&report).unwrap();
        fs::write(self.public().join(&name), &bytes).unwrap();
        let entry = FileReport {
            run_id: report.metadata.run_id.clone(),
            total_relays: relays,
            dns_success_rate_percent: None,
            published: !held,
            reasons: Vec::new(),
        };
        if !held {
            fs::write(self.public().join(output::LATEST_FILE), &bytes).unwrap();
        }
        self.files.retain(|file| file.name != name);
        self.files.insert(
            0,
            FileEntry {
                name,
                kind: FileKind::Report,
                size: bytes.len() as u64,
                sha256: String::new(),
                timestamp: ended,
                report: Some(entry),
            },
        );
        let files = Files { format: Kind::Files.format(), files: self.files.clone() };
        let path = self.public().join(FILES_FILE);
        fs::write(path, serde_json::to_vec(&files).unwrap()).unwrap();
    }

    /// All of it, some minutes after a run.
    async fn tell(&self, channels: &Channels, run: u32) -> NoticesDone {
        let keeper = self.keeper();
        let now = at(run) + TimeDelta::minutes(5);
        let (mut memory, mut done) = prepare(&self.public(), &keeper, channels, now).unwrap();
        send(&keeper, &mut memory, channels, now, &mut done).await.unwrap();
        done
    }
}

fn at(run: u32) -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600 + 6 * 3600 * i64::from(run), 0).unwrap()
}

fn nobody() -> Channels {
    Channels {
        site: Some("https://dns.example.org/".to_owned()),
        webhook: None,
        alertmanager: None,
        mail: None,
        function: false,
        silence: TimeDelta::days(1),
    }
}

async fn to_webhook(
    format: WebhookFormat,
    answers: Vec<String>,
) -> (Channels, UnboundedReceiver<Asked>) {
    let (port, asked) = server(answers).await;
    let target = Target::new(&format!("http://127.0.0.1:{port}/"), Reach::Named).unwrap();
    let keys = SigningKey::all(KEY).unwrap();
    (Channels { webhook: Some(WebhookChannel { target, keys, format }), ..nobody() }, asked)
}

fn well() -> Vec<String> {
    vec![answer(204, "", "")]
}

/// A header of a request.
fn header(asked: &Asked, name: &str) -> String {
    let found = asked.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    found.unwrap_or_else(|| panic!("{name} in {}", asked.head)).trim().to_owned()
}

/// The published library takes it for signed, and it says this.
fn verified(asked: &Asked) -> serde_json::Value {
    let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
    let [id, timestamp, signature] = names.map(|name| header(asked, name));
    let webhook = standardwebhooks::Webhook::new(KEY).unwrap();
    let signed = webhook.sign(&id, timestamp.parse().unwrap(), asked.body.as_bytes()).unwrap();
    assert_eq!(signed, signature);
    serde_json::from_str(&asked.body).unwrap()
}

#[tokio::test]
async fn what_fails_and_works_again_is_told_once_each() {
    let (channels, mut asked) = to_webhook(WebhookFormat::Json, well()).await;
    let mut site = Site::new();
    site.report(0, 60, Is::Well, false);
    assert!(site.tell(&channels, 0).await.first);
    let is = [Is::Broken, Is::Broken, Is::Broken, Is::Well, Is::Well, Is::Well];
    let mut sent = Vec::new();
    for (run, is) in (1..).zip(is) {
        site.report(run, 60, is, false);
        let done = site.tell(&channels, run).await;
        assert_eq!((done.reports, done.troubles), (1, Vec::new()));
        sent.push(done.sent);
        let feed = site.read("feed.atom");
        // Nothing is new, nothing is told again, and no byte of what is public changes.
        let again = site.tell(&channels, run).await;
        assert_eq!((again.reports, again.sent), (0, 0));
        assert_eq!(site.read("feed.atom"), feed);
    }
    assert_eq!(sent, [0, 1, 0, 0, 1, 0]);
    let opened = asked.recv().await.unwrap();
    let told = verified(&opened);
    assert_eq!(told["type"], "incident.opened");
    assert_eq!(told["data"]["incident"]["relays"].as_object().unwrap().len(), 60);
    let id = told["data"]["incident"]["id"].as_str().unwrap();
    assert_eq!(told["data"]["url"], format!("https://dns.example.org/#/incident/{id}"));
    let closed = asked.recv().await.unwrap();
    assert_eq!(verified(&closed)["type"], "incident.closed");
    assert_ne!(header(&opened, "webhook-id"), header(&closed, "webhook-id"));
}

#[tokio::test]
async fn the_first_time_what_fails_counts_as_told_and_what_was_missed_is_caught_up() {
    let (channels, mut asked) = to_webhook(WebhookFormat::Json, well()).await;
    let mut site = Site::new();
    for run in 0..4 {
        site.report(run, 3, Is::Broken, false);
    }
    let done = site.tell(&channels, 3).await;
    assert_eq!((done.reports, done.open, done.sent), (4, 1, 0));
    // Two runs of which nobody was told.
    for run in 4..6 {
        site.report(run, 3, Is::Well, false);
    }
    let done = site.tell(&channels, 6).await;
    assert_eq!((done.reports, done.open, done.sent), (2, 0, 1));
    assert_eq!(verified(&asked.recv().await.unwrap())["type"], "incident.closed");
}

#[tokio::test]
async fn what_is_held_back_tells_nothing_until_it_is_forced_out() {
    let (channels, mut asked) = to_webhook(WebhookFormat::Json, well()).await;
    let mut site = Site::new();
    site.report(0, 3, Is::Well, false);
    site.tell(&channels, 0).await;
    site.report(1, 3, Is::Broken, false);
    site.report(2, 3, Is::Broken, true);
    assert_eq!(site.tell(&channels, 2).await.sent, 0);
    site.report(2, 3, Is::Broken, false);
    assert_eq!(site.tell(&channels, 2).await.sent, 1);
    assert_eq!(verified(&asked.recv().await.unwrap())["type"], "incident.opened");
}

#[tokio::test]
async fn a_receiver_that_fails_is_tried_again_under_the_same_id() {
    let broken = answer(500, "", "");
    let answers = vec![broken.clone(), broken, answer(200, "", "")];
    let (channels, mut asked) = to_webhook(WebhookFormat::Alertmanager, answers).await;
    let mut site = Site::new();
    site.report(0, 3, Is::Well, false);
    site.tell(&channels, 0).await;
    site.report(1, 3, Is::Broken, false);
    site.report(2, 3, Is::Broken, false);
    let done = site.tell(&channels, 2).await;
    assert_eq!((done.sent, done.waiting), (0, 1));
    let said = "webhook: the server answered with status 500; it is tried again later";
    assert_eq!(done.troubles, [said]);
    // Too early; and then in time.
    assert_eq!(site.tell(&channels, 2).await.waiting, 1);
    let done = site.tell(&channels, 3).await;
    assert_eq!((done.sent, done.waiting, done.troubles), (1, 0, Vec::new()));
    let mut ids = Vec::new();
    for _ in 0..3 {
        let asked = asked.recv().await.unwrap();
        let told = verified(&asked);
        assert_eq!((&told["version"], &told["status"]), (&"4".into(), &"firing".into()));
        assert_eq!(told["alerts"][0]["labels"]["alertname"], "TorExitsCannotResolve");
        ids.push(header(&asked, "webhook-id"));
    }
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[tokio::test]
async fn killed_in_the_middle_a_webhook_is_sent_again_and_a_mail_is_not() {
    let (mut channels, mut asked) = to_webhook(WebhookFormat::Json, well()).await;
    channels.mail = Some(mail(MailRoute::sendmail(Path::new("/nonexistent/sendmail"))));
    let mut site = Site::new();
    site.report(0, 3, Is::Well, false);
    site.tell(&channels, 0).await;
    site.report(1, 3, Is::Broken, false);
    site.report(2, 3, Is::Broken, false);
    let keeper = site.keeper();
    // Killed between remembering and sending: nothing is lost.
    drop(prepare(&site.public(), &keeper, &channels, at(2)).unwrap());
    // Killed while both were under way.
    let mut memory = keeper.load().unwrap().unwrap();
    assert_eq!(memory.outbox.len(), 2);
    for parcel in &mut memory.outbox {
        parcel.begun = true;
    }
    keeper.save(&memory).unwrap();
    drop(keeper);
    let done = site.tell(&channels, 2).await;
    assert_eq!((done.sent, done.waiting), (1, 0));
    assert!(done.troubles[0].contains("it may have arrived"), "{:?}", done.troubles);
    asked.recv().await.unwrap();
    assert!(asked.try_recv().is_err());
}

fn mail(route: MailRoute) -> MailChannel {
    let mailbox = |text| mail::mailbox(text).unwrap();
    let to = vec![mailbox("ops@example.org")];
    MailChannel { route, from: mailbox("exits@example.org"), to, every: TimeDelta::days(1) }
}

/// A program that is called as sendmail is, and keeps what it is given.
fn sendmail(dir: &Path) -> MailRoute {
    use std::os::unix::fs::PermissionsExt as _;
    let program = dir.join("sendmail");
    let mails = dir.join("mails");
    fs::write(
        &program,
        format!("#!/bin/sh\ncat >> {mails:?}\nprintf '\\n=====\\n' >> {mails:?}\n"),
    )
    .unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    MailRoute::sendmail(&program)
}

#[tokio::test]
async fn the_digest_comes_at_most_once_a_day_and_strangers_texts_do_nothing_in_it() {
    let mut site = Site::new();
    let channels = Channels { mail: Some(mail(sendmail(site.dir.path()))), ..nobody() };
    site.report(0, 30, Is::Well, false);
    site.tell(&channels, 0).await;
    let mut sent = Vec::new();
    for run in 1..=12 {
        let is = if run < 6 { Is::Broken } else { Is::Well };
        site.report(run, 30, is, false);
        let done = site.tell(&channels, run).await;
        assert_eq!(done.troubles, Vec::<String>::new());
        sent.push(done.sent);
    }
    assert_eq!(sent.iter().sum::<u32>(), 2, "{sent:?}");
    let mails = fs::read_to_string(site.dir.path().join("mails")).unwrap();
    assert!(mails.contains("Auto-Submitted: auto-generated"));
    for line in mails.lines() {
        let start = line.to_ascii_lowercase();
        assert!(!start.starts_with("bcc:") && !line.contains('\u{1b}'), "{line:?}");
    }
    insta::assert_snapshot!(mails.replace('\r', ""));
}

#[tokio::test]
async fn feeds_and_incidents_are_well_formed_whatever_strangers_write() {
    let mut site = Site::new();
    for run in 0..2 {
        site.report(run, 2, Is::Broken, false);
    }
    site.tell(&nobody(), 1).await;
    insta::assert_snapshot!(site.read("feed.atom").replace("><", ">\n<"));
    let incidents = site.read(INCIDENTS_FILE);
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/formats/incidents.schema.json");
    let schema = serde_json::from_str(&fs::read_to_string(schema).unwrap()).unwrap();
    let found: serde_json::Value = serde_json::from_str(&incidents).unwrap();
    assert!(jsonschema::is_valid(&schema, &found), "{incidents}");
    let summary = site.read(output::SUMMARY_FILE);
    let open = summary.split_once("Open incidents").unwrap().1;
    assert!(open.contains("exits of the operator &lt;script&gt;"), "{open}");
    let operator = feed::name_of("contact:<script>\r\nBcc: y@example.org");
    assert!(site.public().join(&operator).is_file());
    // Ninety days later it is forgotten, and so is its feed.
    site.report(2, 2, Is::Well, false);
    site.report(3, 2, Is::Well, false);
    site.report(400, 2, Is::Well, false);
    site.tell(&nobody(), 400).await;
    assert!(!site.public().join(&operator).exists());
}

#[tokio::test]
async fn alertmanager_is_told_what_is_open_and_what_has_ended() {
    let (port, mut asked) = server(well()).await;
    let target = Target::new(&format!("http://127.0.0.1:{port}/api/v2/alerts"), Reach::Named);
    let channels = Channels { alertmanager: Some(target.unwrap()), ..nobody() };
    let mut site = Site::new();
    for run in 0..4 {
        let is = if run < 2 { Is::Broken } else { Is::Well };
        site.report(run, 3, is, false);
        site.tell(&channels, run).await;
    }
    let mut ends = Vec::new();
    for run in 0..4 {
        let alerts: Vec<webhook::Alert> =
            serde_json::from_str(&asked.recv().await.unwrap().body).unwrap();
        ends.extend(alerts.iter().map(|alert| (run, (alert.ends_at - at(run)).num_hours())));
    }
    assert_eq!(ends, [(1, 36), (2, 36), (3, 0)]);
}

/// Mails to operators alone.
fn to_operators(site: &Site) -> Channels {
    let mail = MailChannel { to: Vec::new(), ..mail(sendmail(site.dir.path())) };
    Channels { mail: Some(mail), function: true, ..nobody() }
}

impl Site {
    /// The mails so far.
    fn mails(&self) -> Vec<String> {
        let all = fs::read_to_string(self.dir.path().join("mails")).unwrap_or_default();
        let all = all.replace('\r', "");
        all.split("\n=====\n").filter(|one| !one.is_empty()).map(str::to_owned).collect()
    }

    /// As the verb does, with keys.
    async fn tell_subscribers(&self, channels: &Channels, run: u32) -> NoticesDone {
        let keeper = self.with_keys();
        let now = at(run) + TimeDelta::minutes(5);
        let (mut memory, mut done) = prepare(&self.public(), &keeper, channels, now).unwrap();
        send(&keeper, &mut memory, channels, now, &mut done).await.unwrap();
        done.looked_at.mark().unwrap();
        done
    }

    fn with_keys(&self) -> Keeper {
        Keeper::open(&self.dir.path().join("notify"), Some(keys())).unwrap()
    }

    /// Asks for a subscription to the first relay's family.
    fn subscribe(&self, channels: &Channels, run: u32) -> Asking {
        let keeper = self.with_keys();
        let mut memory = keeper.load().unwrap().unwrap();
        let subjects = BTreeSet::from([Subject::Family(FAMILY.to_owned())]);
        let address = crate::subscription::address("op@example.net").unwrap();
        let by = (channels, channels.mail.as_ref().unwrap(), keeper.keys().unwrap());
        let tokens = [[1; 16], [2; 16]];
        let asking = subscribe(&mut memory, &address, subjects, by, tokens, at(run)).unwrap();
        keeper.save(&memory).unwrap();
        asking
    }

    /// What the function stores, and the upload fetches, where somebody follows a link.
    fn follow(&self, token: &str) {
        let digest = Sha256::digest(token.as_bytes());
        let name: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let text = serde_json::json!({ "token": token }).to_string();
        let random = &mut StdRng::seed_from_u64(7);
        let sealed = keys().seal(Sealed::Request, name.as_bytes(), text.as_bytes(), random);
        let requests = self.dir.path().join("notify/requests");
        fs::create_dir_all(&requests).unwrap();
        fs::write(requests.join(name), sealed.unwrap()).unwrap();
        // And what is none: of another's key, of a name that is not its own, or rubbish.
        fs::write(requests.join("0".repeat(64)), "rubbish").unwrap();
        fs::write(requests.join("not-a-request"), "rubbish").unwrap();
    }
}

/// The token in a mail's link.
fn token_in(mail: &str) -> String {
    // A long line of a quoted-printable text is cut.
    let mail = mail.replace("=\n", "");
    let (_, rest) = mail.split_once("https://dns.example.org/subscription/").unwrap();
    rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect()
}

#[tokio::test]
async fn an_operator_with_60_relays_gets_two_mails_in_all_and_only_after_a_confirmation() {
    let mut site = Site::new();
    let channels = to_operators(&site);
    site.report(0, 60, Is::Well, false);
    site.tell_subscribers(&channels, 0).await;
    assert!(matches!(site.subscribe(&channels, 0), Asking::Confirm { .. }));
    assert_eq!(site.tell_subscribers(&channels, 0).await.sent, 1);
    let confirmation = site.mails().pop().unwrap();
    // Nobody follows the link yet: whatever happens, nothing more is sent.
    for run in 1..4 {
        site.report(run, 60, Is::Broken, false);
        assert_eq!(site.tell_subscribers(&channels, run).await.sent, 0);
    }
    for run in 4..16 {
        site.report(run, 60, Is::Well, false);
        assert_eq!(site.tell_subscribers(&channels, run).await.sent, 0);
    }
    site.follow(&token_in(&confirmation));
    let done = site.tell_subscribers(&channels, 16).await;
    assert_eq!((done.requests, done.sent), (1, 0));
    // Once is enough, and what was none is gone as well.
    assert_eq!(site.tell_subscribers(&channels, 16).await.requests, 0);
    for run in 16..60 {
        let is = if (20..24).contains(&run) { Is::Broken } else { Is::Well };
        site.report(run, 60, is, false);
        let done = site.tell_subscribers(&channels, run).await;
        assert_eq!(done.troubles, Vec::<String>::new());
        // Asked again in the same run, it says nothing again.
        assert_eq!(site.tell_subscribers(&channels, run).await.sent, 0);
    }
    let mails = site.mails();
    assert_eq!(mails.len(), 3, "{mails:#?}");
    for mail in &mails {
        let (head, _) = mail.split_once("\n\n").unwrap();
        for line in head.lines() {
            let name = line.split(':').next().unwrap().to_ascii_lowercase();
            assert!(name != "bcc" && !line.contains('\u{1b}'), "{line:?}");
        }
        assert!(head.contains("\nAuto-Submitted: auto-generated"));
    }
    insta::assert_snapshot!(mails.join("\n=====\n"));
    // He has had enough.
    site.follow(&token_in(&mails[1]));
    assert_eq!(site.tell_subscribers(&channels, 60).await.requests, 1);
    for run in 61..66 {
        site.report(run, 60, Is::Broken, false);
        assert_eq!(site.tell_subscribers(&channels, run).await.sent, 0);
    }
}

#[tokio::test]
async fn without_the_function_a_mail_says_whom_to_write_to() {
    let mut site = Site::new();
    let channels = Channels { function: false, ..to_operators(&site) };
    site.report(0, 1, Is::Well, false);
    site.tell_subscribers(&channels, 0).await;
    site.subscribe(&channels, 0);
    let keeper = site.with_keys();
    let mut memory = keeper.load().unwrap().unwrap();
    let token = keys().token(Act::Confirm, &[1; 16]);
    let unsubscribe = keys().token(Act::Unsubscribe, &[2; 16]);
    // The one is no good for the other, and neither is somebody else's.
    let foreign = keys().token(Act::Confirm, &[9; 16]);
    assert_eq!(memory.apply(&keys(), &foreign, at(1)), Applied::Nothing);
    assert_eq!(
        memory.apply(&keys(), &token, at(1)),
        Applied::Confirmed("op@example.net".to_owned())
    );
    keeper.save(&memory).unwrap();
    drop(keeper);
    for run in 1..3 {
        site.report(run, 1, Is::Broken, false);
        site.tell_subscribers(&channels, run).await;
    }
    let mails = site.mails();
    assert_eq!(mails.len(), 2);
    assert!(mails.iter().all(|mail| !mail.contains("/subscription/")), "{mails:#?}");
    let by_mail = format!("<mailto:exits@example.org?subject=unsubscribe%20{unsubscribe}>");
    assert!(mails[1].replace("\n ", " ").contains(&by_mail), "{}", mails[1]);
    assert!(!mails[1].contains("List-Unsubscribe-Post"));
    // What waits goes with its reader.
    let keeper = site.with_keys();
    let mut memory = keeper.load().unwrap().unwrap();
    let content = Content::Letter {
        address: "op@example.net".to_owned(),
        subject: String::new(),
        text: String::new(),
        references: Vec::new(),
        unsubscribe: None,
    };
    memory.outbox.push(Parcel::new("x".to_owned(), at(3), content));
    memory.apply(&keys(), &unsubscribe, at(3));
    assert_eq!(memory.outbox, []);
}

#[tokio::test]
async fn a_letter_under_way_when_the_program_was_killed_is_not_sent_twice() {
    let mut site = Site::new();
    let channels = to_operators(&site);
    site.report(0, 1, Is::Well, false);
    site.tell_subscribers(&channels, 0).await;
    site.subscribe(&channels, 0);
    let keeper = site.with_keys();
    let mut memory = keeper.load().unwrap().unwrap();
    memory.outbox[0].begun = true;
    keeper.save(&memory).unwrap();
    drop(keeper);
    let done = site.tell_subscribers(&channels, 0).await;
    assert_eq!((done.sent, done.waiting), (0, 0));
    assert!(done.troubles[0].starts_with("a mail to a subscriber of "), "{:?}", done.troubles);
    assert_eq!(site.mails(), Vec::<String>::new());
}
