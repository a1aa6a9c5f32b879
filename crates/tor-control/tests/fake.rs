//! The connection against a scripted control server: everything that a real tor does too seldom to
//! wait for, each fault by its name.

#![expect(clippy::unwrap_used, reason = "a test fails where its setting does")]

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tor_control::{
    CircuitId, Command, ConnectOptions, Control, ControlAddr, Error, ErrorKind, Event, EventKind,
    Events, Fingerprint, Password, Purpose,
};

const NULL_INFO: &str = "250-PROTOCOLINFO 1\r\n250-AUTH METHODS=NULL\r\n\
                         250-VERSION Tor=\"0.4.9.11\"\r\n250 OK\r\n";

/// The server's end of one connection.
struct Server(BufReader<TcpStream>);

impl Server {
    async fn expect(&mut self, line: &str) {
        assert_eq!(self.line().await.as_deref(), Some(line));
    }

    /// The next command; `None` where the client is gone.
    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.0.read_line(&mut line).await.ok()?;
        Some(line.strip_suffix("\r\n")?.to_owned())
    }

    /// What has come with the last line.
    fn waiting(&self) -> &[u8] {
        self.0.buffer()
    }

    async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(bytes.as_ref()).await.unwrap();
    }

    async fn let_in(&mut self) {
        self.expect("PROTOCOLINFO 1").await;
        self.say(NULL_INFO).await;
        self.expect("AUTHENTICATE").await;
        self.say("250 OK\r\n").await;
    }

    /// Stays until the client goes.
    async fn stay(&mut self) {
        let mut rest = Vec::new();
        let _ = self.0.read_to_end(&mut rest).await;
    }
}

/// A server that takes one connection and follows the script.
async fn serve<F: Future<Output = ()> + Send>(
    script: impl FnOnce(Server) -> F + Send + 'static,
) -> ControlAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    // A script that fails drops the connection, which fails the test.
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        script(Server(BufReader::new(stream))).await;
    });
    ControlAddr::Tcp(addr.to_string())
}

/// Long enough for a busy machine; tests of silence set their own.
fn options() -> ConnectOptions {
    ConnectOptions {
        password: None,
        timeout: Duration::from_secs(100),
        reply_timeout: Duration::from_secs(100),
    }
}

async fn connect(addr: &ControlAddr) -> (Control, Events) {
    Control::connect(addr, &options()).await.unwrap()
}

async fn refused_by(addr: &ControlAddr) -> Error {
    refused_within(addr, options().timeout).await
}

async fn refused_within(addr: &ControlAddr, timeout: Duration) -> Error {
    let options = ConnectOptions { timeout, ..options() };
    let error = Control::connect(addr, &options).await.unwrap_err();
    assert!(error.to_string().contains(&addr.to_string()), "the address is named: {error}");
    error
}

fn relay(digit: &str) -> Fingerprint {
    digit.repeat(40).parse().unwrap()
}

#[tokio::test]
async fn nothing_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = ControlAddr::Tcp(listener.local_addr().unwrap().to_string());
    drop(listener);
    let error = refused_by(&addr).await;
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.to_string().contains("check that tor runs"), "{error}");

    let directory = tempfile::tempdir().unwrap();
    let error = refused_by(&ControlAddr::Unix(directory.path().join("none"))).await;
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.to_string().contains("ControlSocket"), "{error}");
}

#[tokio::test]
async fn not_tor() {
    for said in [
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "220 mail.example ESMTP\r\n",
        "\x1b[31m\r\n",
        "250-PROTOCOLINFO 1\r\n250-NONSENSE\r\n250 OK\r\n",
        "250-PROTOCOLINFO 2\r\n250-AUTH METHODS=NULL\r\n250 OK\r\n",
        "250-caf\u{e9}\r\n",
    ] {
        let addr = serve(move |mut server| async move {
            server.say(said).await;
            server.stay().await;
        })
        .await;
        let error = refused_by(&addr).await;
        assert_eq!(error.kind(), ErrorKind::NotTor, "{said:?}: {error}");
        assert!(!error.to_string().contains('\x1b'), "{error}");
    }
}

#[tokio::test]
async fn silent_from_the_start() {
    let addr = serve(|mut server| async move { server.stay().await }).await;
    let error = refused_within(&addr, Duration::from_millis(300)).await;
    assert_eq!(error.kind(), ErrorKind::Silent);
    assert!(error.to_string().contains("the end of the handshake"), "{error}");
}

#[tokio::test]
async fn silent_in_the_middle_of_the_handshake() {
    let addr = serve(|mut server| async move {
        server.say("250-PROTOCOLINFO 1\r\n250-AUTH").await;
        server.stay().await;
    })
    .await;
    assert_eq!(refused_within(&addr, Duration::from_millis(300)).await.kind(), ErrorKind::Silent);
}

#[tokio::test]
async fn drop_before_auth() {
    let addr = serve(|mut server| async move { server.expect("PROTOCOLINFO 1").await }).await;
    let error = refused_by(&addr).await;
    assert_eq!(error.kind(), ErrorKind::Lost);
    assert!(error.to_string().contains("without a word"), "{error}");
}

#[tokio::test]
async fn wrong_password() {
    let addr = serve(|mut server| async move {
        server.expect("PROTOCOLINFO 1").await;
        server.say(NULL_INFO.replace("NULL", "HASHEDPASSWORD")).await;
        server.expect("AUTHENTICATE 612031").await;
        server.say("515 Authentication failed: wrong\x1b password\r\n").await;
    })
    .await;
    let password = Some(Password::from("a 1".to_owned()));
    let failed = Control::connect(&addr, &ConnectOptions { password, ..options() }).await;
    let error = failed.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    let text = error.to_string();
    assert!(text.contains("Authentication failed: wrong\\u{1b} password"), "{text}");
    assert!(text.contains("HashedControlPassword"), "{text}");
}

#[tokio::test]
async fn a_server_that_does_not_know_the_cookie() {
    let directory = tempfile::tempdir().unwrap();
    let cookie = directory.path().join("control_auth_cookie");
    std::fs::write(&cookie, [7; 32]).unwrap();
    let addr = serve(move |mut server| async move {
        server.expect("PROTOCOLINFO 1").await;
        let methods = format!("COOKIE,SAFECOOKIE COOKIEFILE=\"{}\"", cookie.display());
        server.say(NULL_INFO.replace("NULL", &methods)).await;
        assert!(server.line().await.unwrap().starts_with("AUTHCHALLENGE SAFECOOKIE "));
        let (hash, nonce) = ("A".repeat(64), "B".repeat(64));
        let answer = format!("250 AUTHCHALLENGE SERVERHASH={hash} SERVERNONCE={nonce}\r\n");
        server.say(answer).await;
        server.line().await.unwrap();
        server.say("250 OK\r\n").await;
    })
    .await;
    let error = refused_by(&addr).await;
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert!(error.to_string().contains("does not know the secret"), "{error}");
}

#[tokio::test]
async fn a_plain_cookie_that_is_ours() {
    let directory = tempfile::tempdir().unwrap();
    let cookie = directory.path().join("control_auth_cookie");
    std::fs::write(&cookie, [0xab; 32]).unwrap();
    let addr = serve(move |mut server| async move {
        server.expect("PROTOCOLINFO 1").await;
        let methods = format!("COOKIE COOKIEFILE=\"{}\"", cookie.display());
        server.say(NULL_INFO.replace("NULL", &methods)).await;
        server.expect(&format!("AUTHENTICATE {}", "AB".repeat(32))).await;
        server.say("250 OK\r\n").await;
        server.stay().await;
    })
    .await;
    connect(&addr).await;
}

#[tokio::test]
async fn drop_after_auth() {
    let addr = serve(|mut server| async move { server.let_in().await }).await;
    let (control, mut events) = connect(&addr).await;
    assert!(events.next().await.is_none());
    assert_eq!(events.lost().unwrap().kind(), ErrorKind::Lost);
    let error = control.get_info(&["version"]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Lost);
    assert!(error.to_string().contains(&addr.to_string()), "{error}");
    assert_eq!(control.lost().unwrap().to_string(), error.to_string());
}

#[tokio::test]
async fn a_lost_connection_fails_everyone_at_once() {
    let addr = serve(|mut server| async move {
        server.let_in().await;
        for _ in 0..3 {
            server.line().await.unwrap();
        }
        server.say("250 OK\r\n650 NETWORK_LIVENESS UP\r\n250-cut").await;
    })
    .await;
    let (control, mut events) = connect(&addr).await;
    let pending: Vec<_> = ["a", "b", "c"]
        .map(|key| control.submit(Command::ResetConf(vec![key.into()])))
        .into_iter()
        .collect();
    let mut answers = futures_util::future::join_all(pending).await.into_iter();
    assert!(answers.next().unwrap().is_ok());
    for answer in answers {
        let error = answer.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Lost);
        assert!(error.to_string().contains("in the middle of a reply"), "{error}");
    }
    assert_eq!(events.next().await.unwrap().event, Event::NetworkLiveness(true));
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn silent_after_auth() {
    let addr = serve(|mut server| async move {
        server.let_in().await;
        // Events do not count as an answer.
        while server.0.get_mut().write_all(b"650 NETWORK_LIVENESS UP\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let options = ConnectOptions { reply_timeout: Duration::from_millis(200), ..options() };
    let (control, _events) = Control::connect(&addr, &options).await.unwrap();
    let (first, second) = tokio::join!(control.get_info(&["a"]), control.get_info(&["b"]));
    assert_eq!(first.unwrap_err().kind(), ErrorKind::Silent);
    assert_eq!(second.unwrap_err().kind(), ErrorKind::Silent);
    assert_eq!(control.get_info(&["c"]).await.unwrap_err().kind(), ErrorKind::Silent);
}

#[tokio::test]
async fn idle_is_not_silent() {
    let addr = serve(|mut server| async move {
        server.let_in().await;
        tokio::time::sleep(Duration::from_millis(3500)).await;
        server.expect("GETINFO a").await;
        server.say("250-a=1\r\n250 OK\r\n").await;
        server.stay().await;
    })
    .await;
    let options = ConnectOptions { reply_timeout: Duration::from_secs(3), ..options() };
    let (control, _events) = Control::connect(&addr, &options).await.unwrap();
    tokio::time::sleep(Duration::from_millis(3500)).await;
    assert_eq!(control.get_info(&["a"]).await.unwrap()[0].1, b"1");
}

#[tokio::test]
async fn split_reply_mid_line() {
    let addr = serve(|mut server| async move {
        server.let_in().await;
        server.expect("GETINFO version desc/all").await;
        let reply = b"250-version=0.4\r\n250+desc/all=\r\ncaf\xe9\r\n..\r\n.\r\n250 OK\r\n";
        for byte in reply {
            server.say([*byte]).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        server.stay().await;
    })
    .await;
    let (control, _events) = connect(&addr).await;
    assert_eq!(
        control.get_info(&["version", "desc/all"]).await.unwrap(),
        [("version".into(), b"0.4".to_vec()), ("desc/all".into(), b"caf\xe9\n.\n".to_vec())]
    );
}

#[tokio::test]
async fn events_before_the_reply_are_kept_in_order() {
    let addr = serve(|mut server| async move {
        server.let_in().await;
        // In one write with the handshake's end there is no time to subscribe.
        server.say("650 CIRC 6 CLOSED\r\n").await;
        let command = format!("EXTENDCIRCUIT 0 {},{} purpose=general", relay("A"), relay("B"));
        server.expect(&command).await;
        server.say("650 CIRC 7 LAUNCHED\r\n650 CIRC 7 FAILED\r\n250 EXTENDED 7\r\n").await;
        server.stay().await;
    })
    .await;
    let (control, mut events) = connect(&addr).await;
    let circuit =
        control.extend_circuit(&[relay("A"), relay("B")], Purpose::General).await.unwrap();
    assert_eq!(circuit.as_str(), "7");
    let mut seen = Vec::new();
    let mut last = None;
    for _ in 0..3 {
        let stamped = events.next().await.unwrap();
        assert!(last.replace(stamped.at) <= Some(stamped.at));
        let Event::Circuit(event) = stamped.event else { panic!("{stamped:?}") };
        seen.push(event.id.to_string());
    }
    assert_eq!(seen, ["6", "7", "7"]);
}

#[tokio::test]
async fn what_is_submitted_together_leaves_in_one_piece() {
    let addr = serve(|mut server| async move {
        server.let_in().await;
        server.expect("SETCIRCUITPURPOSE 7 purpose=general").await;
        // Both came in one segment: the second is here without another look at the socket.
        assert_eq!(server.waiting(), b"ATTACHSTREAM 3 7\r\n");
        server.say("250 OK\r\n").await;
        server.expect("ATTACHSTREAM 3 7").await;
        server.say("552 Unknown stream\r\n").await;
        server.stay().await;
    })
    .await;
    let (control, _events) = connect(&addr).await;
    let circuit: CircuitId = "7".parse().unwrap();
    let general = Command::SetCircuitPurpose(circuit.clone(), Purpose::General);
    let attach = Command::AttachStream("3".parse().unwrap(), Some(circuit));
    let [first, second] = control.submit_together([&general, &attach]);
    assert!(first.await.is_ok());
    assert_eq!(second.await.unwrap_err().kind(), ErrorKind::Refused);
    // One that cannot be sent keeps back the others.
    let bad = Command::GetInfo(vec!["a b".to_owned()]);
    for reply in control.submit_together([&general, &bad]) {
        assert_eq!(reply.await.unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
}

#[tokio::test]
async fn a_caller_that_gives_up_puts_nobody_out_of_step() {
    let addr = serve(|mut server| async move {
        server.let_in().await;
        for _ in 0..5 {
            // Nothing is answered before the first two callers have gone.
            let mut replies = String::new();
            for _ in 0..3 {
                let line = server.line().await.unwrap();
                let key = line.strip_prefix("GETINFO ").unwrap();
                replies += &format!("250-{key}={key}\r\n250 OK\r\n");
            }
            server.say(replies).await;
        }
        server.stay().await;
    })
    .await;
    let (control, _events) = connect(&addr).await;
    for round in 0..5 {
        let kept = format!("kept{round}");
        let hasty = tokio::time::timeout(Duration::from_millis(5), control.get_info(&["hasty"]));
        assert!(hasty.await.is_err());
        drop(control.submit(Command::GetInfo(vec!["dropped".into()])));
        let got = control.get_info(&[&kept]).await.unwrap();
        assert_eq!(got, [(kept.clone(), kept.into_bytes())]);
    }
}

#[tokio::test]
async fn commands_go_out_in_the_order_of_their_submission() {
    let addr = serve(|mut server| async move {
        server.let_in().await;
        for number in 0..1000 {
            server.expect(&format!("GETINFO k{number}")).await;
        }
        for number in 0..1000 {
            server.say(format!("250-k{number}={number}\r\n250 OK\r\n")).await;
        }
        server.stay().await;
    })
    .await;
    let (control, _events) = connect(&addr).await;
    let pending: Vec<_> = (0..1000)
        .map(|number| control.submit(Command::GetInfo(vec![format!("k{number}")])))
        .collect();
    for (number, pending) in pending.into_iter().enumerate().rev() {
        let info = pending.await.unwrap().info(&[format!("k{number}")]).unwrap();
        assert_eq!(info[0].1, number.to_string().into_bytes());
    }
}

#[tokio::test]
async fn thirty_megabytes_of_data() {
    let line = b".caf\xe9 \xff\x00\x80 \"quotes\" and words";
    let lines = 30_000_000 / line.len();
    let addr = serve(move |mut server| async move {
        server.let_in().await;
        server.expect("GETINFO desc/all-recent").await;
        let mut reply = b"250+desc/all-recent=\r\n".to_vec();
        for _ in 0..lines {
            reply.push(b'.');
            reply.extend_from_slice(line);
            reply.extend_from_slice(b"\r\n");
        }
        reply.extend_from_slice(b".\r\n250 OK\r\n");
        server.say(reply).await;
        server.stay().await;
    })
    .await;
    let (control, _events) = connect(&addr).await;
    let value = control.get_info(&["desc/all-recent"]).await.unwrap().remove(0).1;
    assert_eq!(value.len(), lines * (line.len() + 1));
    assert!(value.split(|&byte| byte == b'\n').take(lines).all(|found| found == line));
}

#[tokio::test]
async fn an_over_long_line() {
    let addr = serve(|mut server| async move {
        server.let_in().await;
        server.line().await.unwrap();
        let flood = vec![b'x'; 1 << 20];
        server.say("250-a=").await;
        while server.0.get_mut().write_all(&flood).await.is_ok() {}
    })
    .await;
    let (control, _events) = connect(&addr).await;
    let error = control.get_info(&["a"]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.to_string().contains("a line longer than"), "{error}");
}

#[tokio::test]
async fn a_reply_that_nobody_asked_for() {
    let addr = serve(|mut server| async move {
        server.let_in().await;
        server.say("650 NETWORK_LIVENESS DOWN\r\n250 OK\r\n").await;
        server.stay().await;
    })
    .await;
    let (control, mut events) = connect(&addr).await;
    assert_eq!(events.next().await.unwrap().event, Event::NetworkLiveness(false));
    assert!(events.next().await.is_none());
    let error = control.get_info(&["a"]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.to_string().contains("nobody asked for"), "{error}");
}

#[tokio::test]
async fn a_reply_that_does_not_fit_fails_its_caller_alone() {
    let addr = serve(|mut server| async move {
        server.let_in().await;
        for reply in [
            "250-other=1\r\n250 OK\r\n",
            "250 A=\u{fffd}\r\n",
            "552 Unrecognized key \"a\x1b\"\r\n",
            "650 CIRC what?\r\n250 OK\r\n",
        ] {
            server.line().await.unwrap();
            server.say(reply.replace('\u{fffd}', "\"\\377\"")).await;
        }
        server.stay().await;
    })
    .await;
    let (control, mut events) = connect(&addr).await;
    let kind = |error: Error| error.kind();
    assert_eq!(control.get_info(&["a"]).await.map_err(kind), Err(ErrorKind::Protocol));
    assert_eq!(control.get_conf(&["A"]).await.map_err(kind), Err(ErrorKind::Protocol));
    let refused = control.get_info(&["a"]).await.unwrap_err();
    assert_eq!(refused.refusal(), Some((552, "Unrecognized key \"a\x1b\"")));
    assert!(!refused.to_string().contains('\x1b'));
    control.set_events(&[EventKind::Circuit]).await.unwrap();
    assert!(matches!(events.next().await.unwrap().event, Event::Malformed { .. }));
    assert!(control.lost().is_none());
}

#[tokio::test]
async fn a_bad_argument_is_not_sent() {
    let addr = serve(|mut server| async move {
        server.let_in().await;
        server.expect("RESETCONF A").await;
        server.say("250 OK\r\n").await;
        server.stay().await;
    })
    .await;
    let (control, _events) = connect(&addr).await;
    let error = control.get_info(&["a\r\nSIGNAL HALT"]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    let error = control.set_conf(&[("A", Some("x\n"))]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    control.reset_conf(&["A"]).await.unwrap();
}

#[tokio::test]
async fn events_nobody_reads_are_bounded_and_loud() {
    let addr = serve(|mut server| async move {
        server.let_in().await;
        let event = [&b"650 NEWDESC "[..], &vec![b'x'; 2 << 20], b"\r\n"].concat();
        while server.0.get_mut().write_all(&event).await.is_ok() {}
    })
    .await;
    let (control, mut events) = connect(&addr).await;
    let error = loop {
        if let Some(error) = control.lost() {
            break error;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(error.kind(), ErrorKind::Lost);
    assert!(error.to_string().contains("its events were not read"), "{error}");
    assert!(events.next().await.is_some(), "what was read before is still there");
}

#[tokio::test]
async fn events_that_nobody_wants_hold_nothing_up() {
    let addr = serve(|mut server| async move {
        server.let_in().await;
        let event = [&b"650 NEWDESC "[..], &vec![b'x'; 2 << 20], b"\r\n"].concat();
        for _ in 0..150 {
            server.say(&event).await;
        }
        server.expect("GETINFO a").await;
        server.say("250-a=1\r\n250 OK\r\n").await;
        server.stay().await;
    })
    .await;
    let (control, events) = connect(&addr).await;
    drop(events);
    assert_eq!(control.get_info(&["a"]).await.unwrap()[0].1, b"1");
}

#[tokio::test]
async fn the_connection_ends_with_its_last_handle() {
    let (gone, went) = tokio::sync::oneshot::channel();
    let addr = serve(|mut server| async move {
        server.let_in().await;
        server.expect("RESETCONF A").await;
        server.say("250 OK\r\n").await;
        server.stay().await;
        gone.send(()).unwrap();
    })
    .await;
    let (control, events) = connect(&addr).await;
    let pending = control.clone().submit(Command::ResetConf(vec!["A".into()]));
    drop((control, events));
    pending.await.unwrap();
    tokio::time::timeout(Duration::from_secs(60), went).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_unix_socket() -> io::Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("control");
    let listener = UnixListener::bind(&path)?;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(format!("{NULL_INFO}250 OK\r\n").as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    });
    let (control, _events) = connect(&ControlAddr::Unix(path)).await;
    assert_eq!(control.protocol().tor_version, "0.4.9.11");
    Ok(())
}

/// What is left of a document, put together.
async fn rest_of(pieces: &mut tor_control::Pieces) -> Result<Vec<u8>, Error> {
    let mut document = Vec::new();
    while let Some(piece) = pieces.next().await? {
        document.extend_from_slice(&piece);
    }
    Ok(document)
}

#[tokio::test]
async fn a_document_in_pieces_between_other_replies() {
    let addr = serve(|mut server| async move {
        server.let_in().await;
        for _ in 0..5 {
            server.line().await.unwrap();
        }
        server.say("250-a=1\r\n250 OK\r\n250+doc=\r\ncaf").await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        server.say(b"\xe9\r\n..\r\nend\r\n.\r\n650 NETWORK_LIVENESS UP\r\n250 OK\r\n").await;
        // One that is passed by, one without an end of line, one that there is not.
        server.say("250+doc=\r\nnobody\r\n.\r\n250 OK\r\n250-doc=\r\n250 OK\r\n").await;
        server.say("552 Unrecognized key \"doc\"\r\n").await;
        server.expect("GETINFO b").await;
        server.say("250+b=\r\nwhole\r\n.\r\n250 OK\r\n").await;
        server.stay().await;
    })
    .await;
    let (control, mut events) = connect(&addr).await;
    let first = control.submit(Command::GetInfo(vec!["a".into()]));
    let mut documents = [(); 4].map(|()| control.read_info("doc"));
    assert_eq!(first.await.unwrap().info(&["a"]).unwrap()[0].1, b"1");
    assert_eq!(rest_of(&mut documents[0]).await.unwrap(), b"caf\xe9\n.\nend\n");
    assert!(documents[0].next().await.unwrap().is_none(), "an end stays one");
    assert_eq!(events.next().await.unwrap().event, Event::NetworkLiveness(true));
    let [_, passed_by, mut empty, mut refused] = documents;
    drop(passed_by);
    assert_eq!(rest_of(&mut empty).await.unwrap(), b"");
    assert_eq!(rest_of(&mut refused).await.unwrap_err().kind(), ErrorKind::Refused);
    assert_eq!(control.get_info(&["b"]).await.unwrap()[0].1, b"whole\n");
}

#[tokio::test]
async fn a_document_that_is_cut_is_not_taken_for_a_whole_one() {
    let addr = serve(|mut server| async move {
        server.let_in().await;
        server.expect("GETINFO doc").await;
        server.say("250+doc=\r\none\r\ntwo\r\nthr").await;
    })
    .await;
    let (control, _events) = connect(&addr).await;
    let mut pieces = control.read_info("doc");
    assert_eq!(pieces.next().await.unwrap().unwrap(), "one\ntwo\n");
    assert_eq!(rest_of(&mut pieces).await.unwrap_err().kind(), ErrorKind::Lost);
}

#[tokio::test]
async fn a_document_that_nobody_takes_is_not_read() {
    let (sent, mut progress) = tokio::sync::mpsc::unbounded_channel();
    let addr = serve(|mut server| async move {
        server.let_in().await;
        server.expect("GETINFO doc").await;
        server.say("250+doc=\r\n").await;
        let block = [&[b'x'; 1022][..], b"\r\n"].concat().repeat(1024);
        for megabyte in 1..=64 {
            server.say(&block).await;
            sent.send(megabyte).unwrap();
        }
        server.say(".\r\n250 OK\r\n").await;
        server.stay().await;
    })
    .await;
    // Its reader is slow: that is no silence of tor's.
    let options = ConnectOptions { reply_timeout: Duration::from_secs(4), ..options() };
    let (control, _events) = Control::connect(&addr, &options).await.unwrap();
    let mut pieces = control.read_info("doc");
    let first = pieces.next().await.unwrap().unwrap();
    let mut written = 0;
    while let Ok(Some(megabyte)) =
        tokio::time::timeout(Duration::from_secs(5), progress.recv()).await
    {
        written = megabyte;
    }
    // The rest waits in the sockets' own buffers, or is still the server's.
    assert!(written < 32, "{written} MB were read and held");
    let rest = rest_of(&mut pieces).await.unwrap();
    assert_eq!(first.len() + rest.len(), 64 * 1024 * 1023);
}
