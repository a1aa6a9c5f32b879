//! `notify` against programs that others wrote: a mail server, an Alertmanager and a reader of feeds, each
//! a process of its own on loopback.

#![expect(clippy::disallowed_methods, reason = "it waits for programs, which know no other time")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{ChildStdin, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use chrono::Utc;
use serde_json::Value;

use crate::others::{Ended, python, unpacked};
use crate::report::fixture::{Scan, scan, start_of};
use crate::report::program::Place;
use crate::support::program;

/// Long enough for anything that is to come, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

const USER: &str = "scanner@example.org";
const PASSWORD: &str = "pw-s3cr3t";

/// Runs of which the first was so many before the newest, and what fails in each.
fn runs(place: &Place, settings: &[(&str, &str)], before: i32, fails: &[&[u32]]) {
    let newest = i32::try_from((Utc::now() - start_of(0)).num_hours() / 6).unwrap() - 1;
    for (run, fails) in (newest - before..).zip(fails) {
        let made = scan(run, (1..=24).map(|n| (n, if fails.contains(&n) { 'd' } else { 's' })));
        hostile(made).write(&place.path(&format!("analysis/{run}")));
        let input = format!("analysis/{run}");
        place.expect(0, "", &["--input", &input, "--gate-success-rate=100"]);
        assert_eq!(notify(place, settings, &["--no-send"]).status.code(), Some(0));
    }
}

/// Names and contacts as an enemy would have them.
fn hostile(mut scan: Scan) -> Scan {
    for result in &mut scan.results {
        result.exit_nickname = "<b>\"]]>&amp;\u{1b}[31m\u{202e}\r\nBcc: x@example.org".to_owned();
        let contact = result.relay.contact.take().unwrap_or_default();
        result.relay.contact =
            Some(format!("{contact} <script>alert(1)</script>\r\n\u{1b}]0;x\u{7}"));
    }
    scan
}

fn notify(place: &Place, settings: &[(&str, &str)], arguments: &[&str]) -> Output {
    Command::new(program("exit-validator"))
        .env_clear()
        // The first of the runs is older than the reports that are usually missed.
        .envs([("SITE_URL", "https://exits.example.org/"), ("NOTIFY_SILENCE_HOURS", "720")])
        .envs(settings.iter().copied())
        .current_dir(place.dir.path())
        .arg("notify")
        .args(arguments)
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8([&output.stdout[..], &output.stderr].concat()).unwrap()
}

/// A mail server, and what it tells.
struct MailServer {
    _process: Ended,
    _input: ChildStdin,
    told: Receiver<Value>,
    port: u16,
    authority: PathBuf,
}

impl MailServer {
    fn start(place: &Place, speaks: &str) -> Self {
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (authority, key) = (place.path("server.pem"), place.path("server.key"));
        fs::write(&authority, certified.cert.pem()).unwrap();
        fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
        let mut process = python("mail_server.py")
            .arg(speaks)
            .args([&authority, &key])
            .envs([("USER", USER), ("PASSWORD", PASSWORD)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (tell, told) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = tell.send(serde_json::from_str::<Value>(&line).unwrap());
            }
        });
        let mut server = Self { _process: Ended(process), _input: input, told, port: 0, authority };
        server.port = u16::try_from(server.next()["port"].as_u64().unwrap()).unwrap();
        server
    }

    fn next(&self) -> Value {
        self.told.recv_timeout(PATIENCE).unwrap()
    }

    /// Sends a test message by it.
    fn test(&self, place: &Place, address: &str, trusted: bool) -> Output {
        let address = address.replace("PORT", &self.port.to_string());
        let authority = self.authority.to_str().unwrap();
        let settings = [
            ("NOTIFY_SMTP_URL", &*address),
            ("NOTIFY_MAIL_TO", "Us <us@example.org>, you@example.org"),
            ("NOTIFY_MAIL_FROM", "validator@example.org"),
            ("SSL_CERT_FILE", authority),
        ];
        notify(place, &settings[..if trusted { 4 } else { 3 }], &["--test"])
    }
}

#[test]
fn a_mail_leaves_by_tls_with_a_password_and_otherwise_not_at_all() {
    for (speaks, address) in [
        ("smtps", "smtps://scanner%40example.org:pw-s3cr3t@localhost:PORT"),
        ("starttls", "smtp://scanner%40example.org:pw-s3cr3t@localhost:PORT?tls=required"),
    ] {
        let place = Place::new();
        let server = MailServer::start(&place, speaks);

        let refused = server.test(&place, address, false);
        assert_eq!(
            refused.status.code(),
            Some(37),
            "{speaks}: no authority signed it: {refused:?}"
        );
        let wrong = server.test(&place, &address.replace(PASSWORD, "another"), true);
        assert_eq!(wrong.status.code(), Some(37), "{speaks}: {wrong:?}");
        assert_eq!(
            server.next()["tried"],
            false,
            "the password came only to the server that is trusted"
        );
        let sent = server.test(&place, address, true);
        assert_eq!(sent.status.code(), Some(0), "{speaks}: {sent:?}");

        for (output, wanted) in
            [(&refused, "certificate"), (&wrong, "535"), (&sent, "ok      mail")]
        {
            let said = said(output);
            assert!(said.contains(wanted) && !said.contains(PASSWORD), "{speaks}: {said}");
            assert!(!said.contains("another"), "{speaks}: {said}");
        }
        assert_eq!(server.next()["tried"], true);
        let mail = server.next();
        assert_eq!(mail["receivers"], serde_json::json!(["us@example.org", "you@example.org"]));
        assert_eq!(mail["sender"], "validator@example.org");
        let text = mail["mail"].as_str().unwrap();
        for header in
            ["Auto-Submitted: auto-generated\r\n", "MIME-Version: 1.0\r\n", "Message-ID: <"]
        {
            assert!(text.contains(header), "{text}");
        }
    }
}

#[test]
fn a_server_without_tls_gets_no_password_where_tls_is_required() {
    let place = Place::new();
    let server = MailServer::start(&place, "plain");
    let address = "smtp://scanner%40example.org:pw-s3cr3t@localhost:PORT?tls=required";
    let refused = server.test(&place, address, true);
    assert_eq!(refused.status.code(), Some(37), "{refused:?}");
    let sent = server.test(&place, "smtp://localhost:PORT", true);
    assert_eq!(sent.status.code(), Some(0), "{sent:?}");
    assert!(server.next()["mail"].is_string(), "the first thing that it hears of");
}

#[test]
fn a_digest_of_hostile_names_is_one_mail_with_our_headers_alone() {
    let place = Place::new();
    let server = MailServer::start(&place, "plain");
    let address = format!("smtp://localhost:{}", server.port);
    let settings = [
        ("NOTIFY_SMTP_URL", &*address),
        ("NOTIFY_MAIL_TO", "us@example.org"),
        ("NOTIFY_MAIL_FROM", "validator@example.org"),
    ];
    runs(&place, &settings, 4, &[&[], &[1, 2], &[1, 2]]);
    let sent = notify(&place, &settings, &[]);
    assert_eq!(sent.status.code(), Some(0), "{}", said(&sent));
    assert!(said(&sent).contains("1 notices sent"), "{}", said(&sent));
    let mail = server.next();
    assert_eq!(mail["receivers"], serde_json::json!(["us@example.org"]));
    let text = mail["mail"].as_str().unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let names: BTreeSet<String> = head
        .split("\r\n")
        .filter(|line| !line.starts_with([' ', '\t']))
        .map(|line| line.split(':').next().unwrap().to_ascii_lowercase())
        .collect();
    let ours = [
        "auto-submitted",
        "content-transfer-encoding",
        "content-type",
        "date",
        "from",
        "message-id",
        "mime-version",
        "subject",
        "to",
    ];
    assert_eq!(names, ours.map(str::to_owned).into());
    assert!(!text.contains('\u{1b}') && !body.contains("\r\nBcc:"), "{text}");
    // All that there was to tell is told.
    assert!(said(&notify(&place, &settings, &[])).contains("0 notices sent, 0 waiting"));
}

/// Everything that is posted to a port of loopback.
fn receiver() -> (u16, Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let (mut line, mut length) = (String::new(), 0);
            while stream.read_line(&mut line).unwrap() > 2 {
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            stream.get_mut().write_all(answer).unwrap();
            if tell.send(serde_json::from_slice(&body).unwrap()).is_err() {
                break;
            }
        }
    });
    (port, told)
}

/// An Alertmanager that hands on what it gets to a port, and its own port.
fn alertmanager(place: &Place, receiver: u16) -> (Ended, u16) {
    let configuration = place.path("alertmanager.yml");
    let text = format!(
        "route:\n  receiver: us\n  group_by: [alertname]\n  group_wait: 0s\n  group_interval: 1s\n\
         receivers:\n  - name: us\n    webhook_configs:\n      - url: http://127.0.0.1:{receiver}/\n"
    );
    fs::write(&configuration, text).unwrap();
    let unpacked = unpacked("alertmanager/usr");
    let mut command = Command::new("alertmanager");
    if unpacked.exists() {
        // Debian's looks for its templates in /usr/share, and nowhere else.
        command = Command::new("unshare");
        command
            .args(["--mount", "--map-root-user", "sh", "-c"])
            .arg("mount --bind \"$0/share\" /usr/share && exec \"$0/bin/prometheus-alertmanager\" \"$@\"")
            .arg(unpacked);
    }
    let mut process = command
        .args(["--web.listen-address=127.0.0.1:0", "--cluster.listen-address="])
        .arg(format!("--config.file={}", configuration.display()))
        .arg(format!("--storage.path={}", place.path("alertmanager").display()))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("alertmanager: {error}; `make ops` unpacks it"));
    let mut log = BufReader::new(process.stderr.take().unwrap());
    let server = Ended(process);
    let mut said = String::new();
    let port = loop {
        let mut line = String::new();
        assert!(log.read_line(&mut line).unwrap() > 0, "it ended: {said}");
        said.push_str(&line);
        if let Some((_, address)) = line.split_once("address=127.0.0.1:")
            && line.contains("istening on")
        {
            break address.split_whitespace().next().unwrap().parse().unwrap();
        }
    };
    // It goes on to say things, and must not wait for somebody to read them.
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    (server, port)
}

/// The alerts that an Alertmanager has.
fn alerts(port: u16) -> Vec<Value> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"GET /api/v2/alerts HTTP/1.0\r\nhost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.0 200"), "{answer}");
    serde_json::from_str(body).unwrap()
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn an_alertmanager_takes_what_is_pushed_and_our_webhook_says_what_its_own_does() {
    let place = Place::new();
    let (theirs, told_by_it) = receiver();
    let (ours, told_by_us) = receiver();
    let (_server, port) = alertmanager(&place, theirs);
    let api = format!("http://127.0.0.1:{port}/api/v2/alerts");
    let webhook = format!("http://127.0.0.1:{ours}/");
    let settings = [
        ("NOTIFY_ALERTMANAGER_URL", &*api),
        ("NOTIFY_WEBHOOK_URL", &*webhook),
        ("NOTIFY_WEBHOOK_FORMAT", "alertmanager"),
    ];
    runs(&place, &settings, 4, &[&[], &[1, 2], &[1, 2]]);
    let sent = notify(&place, &settings, &[]);
    assert_eq!(sent.status.code(), Some(0), "{}", said(&sent));

    let open = alerts(port);
    assert_eq!(open.len(), 1, "{open:?}");
    assert_eq!(open[0]["labels"]["alertname"], "TorExitsCannotResolve");
    assert_eq!(open[0]["status"]["state"], "active");
    let incident = open[0]["labels"]["incident"].as_str().unwrap();
    assert_eq!(open[0]["generatorURL"], format!("https://exits.example.org/#/incident/{incident}"));

    // What it then tells, field by field, is what our webhook does by itself.
    let (by_it, by_us) =
        (told_by_it.recv_timeout(PATIENCE).unwrap(), told_by_us.recv_timeout(PATIENCE).unwrap());
    assert_eq!(keys(&by_it), keys(&by_us));
    assert_eq!(by_it["version"], by_us["version"]);
    let (theirs, ours) = (&by_it["alerts"][0], &by_us["alerts"][0]);
    assert_eq!(keys(theirs), keys(ours));
    for same in ["status", "labels", "annotations", "generatorURL"] {
        assert_eq!(theirs[same], ours[same], "{same}");
    }

    // Well again, twice: it is resolved there.
    runs(&place, &settings, 1, &[&[], &[]]);
    let sent = notify(&place, &settings, &[]);
    assert_eq!(sent.status.code(), Some(0), "{}", said(&sent));
    let started = Instant::now();
    while !alerts(port).is_empty() {
        assert!(started.elapsed() < PATIENCE, "{:?}", alerts(port));
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(told_by_it.recv_timeout(PATIENCE).unwrap()["status"], "resolved");
    assert_eq!(told_by_us.recv_timeout(PATIENCE).unwrap()["status"], "resolved");
}

#[test]
fn a_reader_of_feeds_understands_them() {
    let place = Place::new();
    runs(&place, &[], 4, &[&[], &[1, 2, 17], &[1, 2, 17]]);
    let feeds = place.path("public/feeds");
    let mut paths = vec![place.path("public/feed.atom")];
    paths.extend(fs::read_dir(feeds).unwrap().map(|entry| entry.unwrap().path()));
    let output = python("read_feeds.py").args(&paths).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let read: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(read.len(), 3, "one for all, and one for each operator");
    let mut ids = BTreeSet::new();
    for feed in &read {
        assert_eq!(feed["fault"], Value::Null, "{feed}");
        assert_eq!(feed["version"], "atom10");
        assert!(ids.insert(feed["id"].as_str().unwrap()), "{feed}");
        for entry in feed["entries"].as_array().unwrap() {
            assert_eq!(entry["updated"], true, "{entry}");
            assert!(
                entry["link"]
                    .as_str()
                    .unwrap()
                    .starts_with("https://exits.example.org/#/incident/"),
                "{entry}"
            );
            // A reader shows it as it is, and a name with a tag in it is that name.
            assert_eq!(entry["types"], serde_json::json!(["text/plain", "text/plain"]), "{entry}");
            let text = entry["text"].as_str().unwrap();
            assert!(text.contains("<b>\"]]>&amp;") && !text.contains('\u{1b}'), "{text}");
        }
    }
    let entries = |feed: &Value| feed["entries"].as_array().unwrap().len();
    assert_eq!(entries(&read[0]), 2);
    assert_eq!(read[1..].iter().map(entries).sum::<usize>(), 2);
}
