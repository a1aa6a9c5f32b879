//! The connection against a tor of its own, without a network: every way to authenticate, and every
//! command. Takes tor from the variable `TOR`, or from the path.

#![expect(clippy::unwrap_used, reason = "a test fails where its setting does")]

use std::ffi::OsString;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command as Process, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tor_control::{
    AuthMethod, BootstrapEvent, ConnectOptions, Control, ControlAddr, Error, ErrorKind, Event,
    EventKind, Events, Fingerprint, Password, Purpose, Signal,
};

fn tor() -> OsString {
    std::env::var_os("TOR").unwrap_or_else(|| "tor".into())
}

/// How long anything may take: far more than it should, so that a loaded machine fails no test.
const PATIENCE: Duration = Duration::from_secs(100);

/// What `look` finds, once it finds something.
async fn once<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let waiting = async {
        loop {
            match look() {
                Some(found) => return found,
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("in vain: {what}"))
}

/// A tor process and its data directory, both of which go when this is dropped.
struct Tor {
    process: Child,
    directory: TempDir,
}

impl Drop for Tor {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Tor {
    /// Starts a tor that listens on the socket `control`, and on a TCP port of its own choice.
    fn start(options: &[&str]) -> Self {
        Self::start_with(&[&["--DisableNetwork", "1", "--SocksPort", "0"], options].concat())
    }

    fn start_with(options: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        std::fs::set_permissions(directory.path(), Permissions::from_mode(0o700)).unwrap();
        std::fs::write(path("torrc"), "").unwrap();
        let process = Process::new(tor())
            .args(["-f", &path("torrc"), "--defaults-torrc", &path("torrc")])
            .args(["--DataDirectory", &path("data")])
            .args(["--ControlSocket", &path("control"), "--ControlPort", "auto"])
            .args(["--ControlPortWriteToFile", &path("port"), "--Log", "notice stderr"])
            .args(["--ContactInfo", "", "--__OwningControllerProcess"])
            .arg(std::process::id().to_string())
            .args(options)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("these tests need tor: install it, or name it in the variable TOR");
        Self { process, directory }
    }

    fn unix(&self) -> ControlAddr {
        ControlAddr::Unix(self.directory.path().join("control"))
    }

    async fn tcp(&self) -> ControlAddr {
        let file = self.directory.path().join("port");
        once("tor's control port", || {
            let text = std::fs::read_to_string(&file).ok()?;
            let port = text.lines().find_map(|line| line.strip_prefix("PORT="));
            port.filter(|_| text.ends_with('\n'))?.parse().ok()
        })
        .await
    }

    /// Connects once tor has opened its ports.
    async fn connect(
        &self,
        addr: &ControlAddr,
        password: Option<&str>,
    ) -> Result<(Control, Events), Error> {
        self.tcp().await;
        let password = password.map(|password| Password::from(password.to_owned()));
        Control::connect(addr, &ConnectOptions { password, ..patient() }).await
    }

    /// Connects once tor has written its cookie, which it does after it has opened its ports.
    async fn connect_by_cookie(&self, addr: &ControlAddr) -> Result<(Control, Events), Error> {
        self.cookie_is_there().await;
        self.connect(addr, None).await
    }

    async fn cookie_is_there(&self) {
        let whole = || std::fs::metadata(self.cookie()).is_ok_and(|cookie| cookie.len() == 32);
        once("tor's cookie", || whole().then_some(())).await;
    }

    fn cookie(&self) -> std::path::PathBuf {
        self.directory.path().join("data").join("control_auth_cookie")
    }
}

fn patient() -> ConnectOptions {
    ConnectOptions { timeout: PATIENCE, reply_timeout: PATIENCE, ..ConnectOptions::default() }
}

fn hash_of(password: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("torrc");
    std::fs::write(&empty, "").unwrap();
    let out = Process::new(tor())
        .args(["-f".as_ref(), empty.as_os_str(), "--quiet".as_ref()])
        .args(["--hash-password", password])
        .output()
        .expect("these tests need tor: install it, or name it in the variable TOR");
    let out = String::from_utf8(out.stdout).unwrap();
    out.lines().find(|line| line.starts_with("16:")).unwrap().to_owned()
}

async fn works(control: &Control) {
    let version = control.get_info(&["version"]).await.unwrap().remove(0).1;
    let version = String::from_utf8(version).unwrap();
    assert!(version.starts_with(&control.protocol().tor_version), "{version}");
}

#[tokio::test]
async fn without_authentication() {
    let tor = Tor::start(&[]);
    for addr in [tor.unix(), tor.tcp().await] {
        for password in [None, Some("of no use")] {
            let (control, _events) = tor.connect(&addr, password).await.unwrap();
            assert_eq!(control.protocol().authenticated_by, AuthMethod::Null);
            works(&control).await;
        }
    }
}

#[tokio::test]
async fn by_safe_cookie() {
    let tor = Tor::start(&["--CookieAuthentication", "1"]);
    for addr in [tor.unix(), tor.tcp().await] {
        let (control, _events) = tor.connect_by_cookie(&addr).await.unwrap();
        assert_eq!(control.protocol().authenticated_by, AuthMethod::SafeCookie);
        works(&control).await;
    }
}

#[tokio::test]
async fn by_password() {
    for password in ["correct horse 1 battery \\ \"staple\" é", "12 34", "\u{1}2", "x"] {
        let tor = Tor::start(&["--HashedControlPassword", &hash_of(password)]);
        let (control, _events) = tor.connect(&tor.unix(), Some(password)).await.unwrap();
        assert_eq!(control.protocol().authenticated_by, AuthMethod::Password);
        works(&control).await;
    }
}

#[tokio::test]
async fn by_password_beside_a_cookie() {
    let hash = hash_of("secret");
    let tor = Tor::start(&["--HashedControlPassword", &hash, "--CookieAuthentication", "1"]);
    tor.cookie_is_there().await;
    for (password, method) in
        [(Some("secret"), AuthMethod::Password), (None, AuthMethod::SafeCookie)]
    {
        let (control, _events) = tor.connect(&tor.unix(), password).await.unwrap();
        assert_eq!(control.protocol().authenticated_by, method);
    }
    // As long as a cookie, which tor could take it for.
    let error = tor.connect(&tor.unix(), Some(&"x".repeat(32))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
}

#[tokio::test]
async fn wrong_or_missing_password() {
    let tor = Tor::start(&["--HashedControlPassword", &hash_of("secret")]);
    for wrong in ["Secret", "", "secret "] {
        let error = tor.connect(&tor.unix(), Some(wrong)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
        assert!(error.to_string().contains("Password did not match"), "{error}");
    }
    let error = tor.connect(&tor.unix(), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert!(error.to_string().contains("it wants a password"), "{error}");
}

#[tokio::test]
async fn unreadable_or_wrong_cookie() {
    let tor = Tor::start(&["--CookieAuthentication", "1"]);
    tor.cookie_is_there().await;
    let replace = |with: Option<&[u8]>| {
        std::fs::remove_file(tor.cookie()).unwrap();
        with.map_or(Ok(()), |bytes| std::fs::write(tor.cookie(), bytes)).unwrap();
    };
    let cases: [(Option<&[u8]>, &str); 3] = [
        (Some(&[7; 32]), "is not this tor's"),
        (Some(b"short"), "is 5 bytes long instead of 32"),
        (None, "cannot be read: No such file"),
    ];
    for (with, expected) in cases {
        replace(with);
        let error = tor.connect(&tor.unix(), None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
        let text = error.to_string();
        assert!(text.contains(expected), "{text}");
        assert!(text.contains(&tor.cookie().display().to_string()), "{text}");
    }
    std::fs::create_dir(tor.cookie()).unwrap();
    let error = tor.connect(&tor.unix(), None).await.unwrap_err();
    assert!(error.to_string().contains("is not a regular file"), "{error}");
}

#[tokio::test]
async fn a_port_of_tor_that_is_not_the_control_port() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), Permissions::from_mode(0o700)).unwrap();
    let socks = directory.path().join("socks");
    // Its only authority is nowhere, so that it has no network either.
    let tor = Tor::start_with(&[
        "--DirAuthority",
        "nowhere orport=1 v3ident=0000000000000000000000000000000000000000 127.0.0.1:1 \
         0000000000000000000000000000000000000000",
        "--SocksPort",
        &format!("unix:{}", socks.display()),
    ]);
    tor.tcp().await;
    once("tor's SOCKS port", || std::os::unix::net::UnixStream::connect(&socks).ok()).await;
    let error = Control::connect(&ControlAddr::Unix(socks), &patient()).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NotTor | ErrorKind::Lost), "{error}");
}

#[tokio::test]
async fn options_survive_a_round_trip() {
    let tor = Tor::start(&[]);
    let (control, _events) = tor.connect(&tor.unix(), None).await.unwrap();
    for value in ["plain", "é \"quotes\" \\ # hash\ttab", "\"", "\\n", "  spaces  ", "a=b,c"] {
        control.set_conf(&[("ContactInfo", Some(value))]).await.unwrap();
        let got = control.get_conf(&["ContactInfo"]).await.unwrap();
        assert_eq!(got, [("ContactInfo".to_owned(), Some(value.to_owned()))]);
    }
    // A list, kept as it was after a round trip through what get_conf says.
    let log = |name: &str| Some(format!("err file {}", tor.directory.path().join(name).display()));
    let entries = [log("a b"), log("c")];
    let set: Vec<_> = entries.iter().map(|entry| ("Log", entry.as_deref())).collect();
    control.set_conf(&set).await.unwrap();
    let got = control.get_conf(&["Log", "__LeaveStreamsUnattached", "Nickname"]).await.unwrap();
    let expected = [
        ("Log".to_owned(), entries[0].clone()),
        ("Log".to_owned(), entries[1].clone()),
        ("__LeaveStreamsUnattached".to_owned(), Some("0".to_owned())),
        ("Nickname".to_owned(), None),
    ];
    assert_eq!(got, expected);
    control.reset_conf(&["ContactInfo"]).await.unwrap();
    assert_eq!(control.get_conf(&["ContactInfo"]).await.unwrap()[0].1, None);
    // All or none.
    let refused = control.set_conf(&[("ContactInfo", Some("x")), ("NoSuch", Some("1"))]).await;
    assert_eq!(refused.unwrap_err().refusal().unwrap().0, 552);
    assert_eq!(control.get_conf(&["ContactInfo"]).await.unwrap()[0].1, None);
}

#[tokio::test]
async fn every_event_kind_is_known_to_tor() {
    let tor = Tor::start(&[]);
    let (control, mut events) = tor.connect(&tor.unix(), None).await.unwrap();
    let all = [
        EventKind::Circuit,
        EventKind::CircuitMinor,
        EventKind::Stream,
        EventKind::AddrMap,
        EventKind::StatusClient,
        EventKind::NetworkLiveness,
        EventKind::NewDesc,
        EventKind::NewConsensus,
        EventKind::StatusGeneral,
        EventKind::OrConn,
        EventKind::Guard,
        EventKind::ConfChanged,
        EventKind::BuildTimeoutSet,
        EventKind::Signal,
        EventKind::Bandwidth,
        EventKind::Notice,
        EventKind::Warn,
        EventKind::Err,
    ];
    control.set_events(&all).await.unwrap();
    control.set_events(&[EventKind::ConfChanged, EventKind::Signal]).await.unwrap();
    control.set_conf(&[("ContactInfo", Some("x y"))]).await.unwrap();
    // Tor puts NEWNYM off when it has just started, and tells of it later.
    for signal in [Signal::Newnym, Signal::ClearDnsCache, Signal::Heartbeat, Signal::Active] {
        control.signal(signal).await.unwrap();
    }
    let (mut changed, mut signals) = (Vec::new(), Vec::new());
    while changed.is_empty() || signals.is_empty() {
        let event = tokio::time::timeout(PATIENCE, events.next()).await.unwrap();
        match event.unwrap().event {
            Event::ConfChanged(options) => changed.extend(options),
            Event::Other { keyword, text } if keyword == "SIGNAL" => signals.push(text),
            // Left from the moment in which everything was asked for.
            other => assert!(!matches!(other, Event::Malformed { .. }), "{other:?}"),
        }
    }
    assert_eq!(changed, [("ContactInfo".into(), Some("x y".into()))]);
    assert_eq!(signals[0], "CLEARDNSCACHE");
}

#[tokio::test]
async fn refusals_carry_tors_words() {
    let tor = Tor::start(&[]);
    let (control, _events) = tor.connect(&tor.unix(), None).await.unwrap();
    let nobody: Fingerprint = "A".repeat(40).parse().unwrap();
    let (stream, circuit) = ("7".parse().unwrap(), "7".parse().unwrap());
    let refusal = |failed: Result<(), Error>| {
        let error = failed.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        let (code, text) = error.refusal().unwrap();
        format!("{code} {text}")
    };
    assert_eq!(
        refusal(control.get_info(&["version", "foo", "bar"]).await.map(drop)),
        "552 Unrecognized key \"foo\"; Unrecognized key \"bar\""
    );
    assert_eq!(
        refusal(control.extend_circuit(&[nobody, nobody], Purpose::Controller).await.map(drop)),
        format!("552 No such router \"{nobody}\"")
    );
    assert_eq!(refusal(control.attach_stream(&stream, None).await), "552 Unknown stream \"7\"");
    assert_eq!(refusal(control.close_stream(&stream).await), "552 Unknown stream \"7\"");
    assert_eq!(refusal(control.close_circuit(&circuit).await), "552 Unknown circuit \"7\"");
    works(&control).await;
}

#[tokio::test]
async fn info_of_many_shapes() {
    let tor = Tor::start(&[]);
    let (control, _events) = tor.connect(&tor.unix(), None).await.unwrap();
    let keys = ["version", "config/names", "status/bootstrap-phase", "circuit-status", "ns/all"];
    let info = control.get_info(&keys).await.unwrap();
    assert_eq!(info.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), keys);
    let names = String::from_utf8_lossy(&info[1].1);
    assert!(names.lines().count() > 100 && names.ends_with('\n'), "{names}");
    assert!(names.lines().any(|line| line.starts_with("ContactInfo ")), "{names}");
    let phase: BootstrapEvent = std::str::from_utf8(&info[2].1).unwrap().parse().unwrap();
    assert_eq!((phase.progress, phase.tag.as_str()), (0, "starting"));
    assert_eq!(info[3].1, b"");
}

#[tokio::test]
async fn a_tor_that_ends_is_lost() {
    let mut tor = Tor::start(&[]);
    let (control, mut events) = tor.connect(&tor.unix(), None).await.unwrap();
    control.signal(Signal::Halt).await.unwrap();
    while events.next().await.is_some() {}
    assert_eq!(events.lost().unwrap().kind(), ErrorKind::Lost);
    assert_eq!(control.get_info(&["version"]).await.unwrap_err().kind(), ErrorKind::Lost);
    assert!(tor.process.wait().unwrap().success());
}

#[tokio::test]
async fn an_owned_tor_ends_with_the_connection() {
    let mut tor = Tor::start(&[]);
    let (control, events) = tor.connect(&tor.unix(), None).await.unwrap();
    control.take_ownership().await.unwrap();
    drop((control, events));
    let process = std::cell::RefCell::new(&mut tor.process);
    once("the end of tor", || process.borrow_mut().try_wait().unwrap()).await;
}
