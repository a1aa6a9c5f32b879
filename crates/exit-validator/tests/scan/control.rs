//! Bad days of a running tor's control port. A server that follows a script stands in for it where
//! a real tor cannot be made to do what the test needs.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::Command;

use crate::run::{Ended, Running, run, scanner, start};
use crate::shared::{lab, named};
use crate::tor::Tor;

const PROTOCOLINFO: &str = "250-PROTOCOLINFO 1\r\n250-AUTH METHODS=NULL\r\n\
                            250-VERSION Tor=\"0.4.9.11\"\r\n250 OK\r\n";

const READY: &str = "250-status/bootstrap-phase=NOTICE BOOTSTRAP PROGRESS=100 TAG=done \
                     SUMMARY=\"Done\"\r\n250 OK\r\n";

/// A control port that answers each command by this script, and closes after its last word.
fn scripted(mut script: impl FnMut(&str) -> Option<Vec<u8>> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let flag = format!("--control={}", listener.local_addr().unwrap());
    // Ends with its connection, or with the tests.
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut lines = BufReader::new(stream.try_clone().unwrap());
            let mut line = String::new();
            while lines.read_line(&mut line).is_ok_and(|length| length > 0) {
                let Some(answer) = script(line.trim_end()) else { break };
                if stream.write_all(&answer).is_err() {
                    break;
                }
                line.clear();
            }
        }
    });
    flag
}

/// A tor that lets everyone in and is ready, and then follows this script.
fn friendly(mut script: impl FnMut(&str) -> Option<Vec<u8>> + Send + 'static) -> String {
    scripted(move |line| match line {
        line if line.starts_with("PROTOCOLINFO") => Some(PROTOCOLINFO.into()),
        line if line.starts_with("AUTHENTICATE") => Some(b"250 OK\r\n".into()),
        "GETINFO dormant" => Some(b"250-dormant=0\r\n250 OK\r\n".into()),
        line => script(line),
    })
}

#[track_caller]
fn refused(flag: &str, words: &[&str]) -> Ended {
    let dir = tempfile::tempdir().unwrap();
    let mut command = scanner([flag, "-vv", "--bootstrap-timeout=2"]);
    command.arg("--analysis-dir").arg(dir.path().join("analysis"));
    let ended = run(command).with(11).saying(words);
    assert_eq!(crate::run::results(&dir.path().join("analysis")), 0);
    assert!(!dir.path().join("analysis/plan.json").exists());
    ended
}

pub fn nothing_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let words = ["cannot connect to tor's control port", &address.to_string(), "ControlPort"];
    refused(&format!("--control={address}"), &words);
    let words = ["unix:/nonexistent/control", "check that tor runs", "ControlSocket"];
    refused("--control=unix:/nonexistent/control", &words);
}

pub fn something_that_is_not_tor() {
    let http = "HTTP/1.1 400 Bad Request\r\nServer: \x1b[31mred\r\n\r\n";
    for said in [http, "SSH-2.0-OpenSSH_9.6\r\n", "220 mail.example.org ESMTP\r\n", "\0\u{1}\r\n"] {
        let flag = scripted(move |_| Some(said.into()));
        refused(&flag, &["is not a tor control port", "ControlPort"]);
    }
    // It says nothing at all, and closes.
    refused(&scripted(|_| None), &["closed the connection during the handshake without a word"]);
}

pub fn something_that_says_nothing() {
    // The system takes the connection, and nobody ever reads from it.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let flag = format!("--control={}", listener.local_addr().unwrap());
    refused(&flag, &["said nothing for 15 s", "the end of the handshake"]);
}

pub fn a_control_port_that_falls_silent_before_the_scan() {
    let flag = friendly(|_| Some(Vec::new()));
    refused(&flag, &["tor did not bootstrap within 2 s"]);
}

pub fn a_connection_that_breaks_after_the_handshake() {
    refused(&friendly(|_| None), &["was lost: tor closed it"]);
    let cut = friendly(|line| {
        line.starts_with("GETINFO status").then(|| b"250-status/bootstrap-phase=NOTICE BOOT".into())
    });
    // What has come of the reply, and then nothing, until the limit.
    refused(&cut, &["tor did not bootstrap within 2 s"]);
}

pub fn replies_that_break_the_protocol() {
    let on_version = |answer: &'static [u8]| {
        friendly(move |line| match line {
            line if line.starts_with("GETINFO status") => Some(READY.into()),
            line if line.starts_with("GETINFO version") => Some(answer.into()),
            _ => None,
        })
    };
    refused(&on_version(b"nonsense\r\n"), &["breaks the control protocol"]);
    refused(&on_version(b"250 OK\r\n250 OK\r\n"), &["control protocol"]);
    refused(&on_version(b"250-other=1\r\n250 OK\r\n"), &["control protocol"]);
    let refusal = b"551 \x1b[31mno\x9b\xff\r\n";
    refused(&on_version(refusal), &["tor refused GETINFO: 551 \\u{1b}[31mno"]);
    // Bytes that are no text in a reply that is otherwise right: it goes on, to the next command.
    refused(&on_version(b"250-version=0.4\xff\x1b\r\n250 OK\r\n"), &["was lost"]);
    let endless: &'static [u8] = vec![b'a'; 64 << 20].leak();
    refused(&on_version(endless), &["breaks the control protocol"]);
}

pub fn a_cookie_that_is_not_its() {
    let lab = lab();
    let _beside = lab.beside_others();
    let tor = Tor::with_cookie(&lab, "");
    let state = tor.state();
    let cookie = fs::read(tor.cookie()).unwrap();
    fs::write(tor.cookie(), [7; 32]).unwrap();
    refused(&tor.flag(), &["does not let us in", "cookie"]);
    fs::write(tor.cookie(), "short").unwrap();
    refused(&tor.flag(), &["does not let us in", "5 bytes long instead of 32"]);
    fs::remove_file(tor.cookie()).unwrap();
    refused(&tor.flag(), &["does not let us in", "cannot be read"]);
    fs::write(tor.cookie(), cookie).unwrap();
    run(scanner([&tor.flag(), "--dry-run"])).with(0);
    assert_eq!(tor.state(), state);
}

const PASSWORD: &str = "correct horse \"battery\" 9";

pub fn a_password_that_is_wrong_and_one_that_stays_secret() {
    let lab = lab();
    let _beside = lab.beside_others();
    let hashed =
        Command::new("tor").args(["--quiet", "--hash-password", PASSWORD]).output().unwrap();
    let hashed = String::from_utf8(hashed.stdout).unwrap();
    let hashed = hashed.lines().rfind(|line| line.starts_with("16:")).unwrap().to_owned();
    let tor = Tor::start(&lab, &format!("HashedControlPassword {hashed}"));
    refused(&tor.flag(), &["wants a password, and none was given"]);
    let by = |password: &str, flags: &[&str]| -> Running {
        let mut command = scanner([&tor.flag(), "-vv"]);
        command.args(flags).env("TOR_CONTROL_PASSWORD", password);
        start(command)
    };
    let wrong = by("Tr0ub4dor&3", &["--dry-run"]).end().with(11).saying(&["does not let us in"]);
    assert!(!wrong.err.contains("Tr0ub4dor"), "{}", wrong.err);

    let dir = tempfile::tempdir().unwrap();
    let analysis = dir.path().join("analysis");
    let mut flags = named(&lab.healthy(2));
    flags.extend([format!("--analysis-dir={}", analysis.display()), "--build-delay=0.2".into()]);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let mut running = by(PASSWORD, &flags);
    running.until("there is a result", || crate::run::results(&analysis) > 0);
    let command = fs::read(format!("/proc/{}/cmdline", running.id())).unwrap();
    let ended = running.end().with(0);
    // Neither as it is, nor as it goes over the wire.
    let hex: String = PASSWORD.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut told = vec![ended.out, ended.err, String::from_utf8(command).unwrap()];
    for name in crate::run::names(&analysis) {
        told.push(fs::read_to_string(analysis.join(name)).unwrap());
    }
    for text in told {
        assert!(!text.contains("battery"), "{text}");
        assert!(!text.to_lowercase().contains(&hex), "{text}");
    }
}

pub fn a_tor_that_cannot_be_used_is_left_as_it_was() {
    let lab = lab();
    let _beside = lab.beside_others();
    let tor = Tor::with_cookie(&lab, "CircuitStreamTimeout 77");
    let state = tor.state();
    let relay = "0".repeat(40);
    let ended = run(scanner([&tor.flag(), "--dry-run", "-e", &relay])).with(2);
    ended.saying(&[&relay, "is not in the consensus"]);
    assert_eq!(tor.state(), state);
    let ended = run(scanner([&tor.flag(), "--analysis-dir=/proc/none"])).with(13);
    ended.saying(&["/proc/none"]);
    assert_eq!(tor.state(), state);
    drop(tor);

    let tor = Tor::with_cookie(&lab, "SocksPort 0");
    let state = tor.state();
    refused(&tor.flag(), &["tor does not listen for SOCKS", "SocksPort"]);
    assert_eq!(tor.state(), state);
    drop(tor);

    let tor = Tor::with_cookie(&lab, "DisableNetwork 1");
    let state = tor.state();
    refused(&tor.flag(), &["tor did not bootstrap within 2 s"]);
    assert_eq!(tor.state(), state);
}
