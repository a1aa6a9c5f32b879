//! Against real sockets on loopback, which answer by script.

use std::net::Ipv6Addr;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::*;

/// What is in every address here, and must be in no error.
const SECRET: &str = "s3cr3t";

const SOON: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(20);

/// How a server answers: a response to the bytes, or what the words say.
const HANGS: &str = "hangs";
const BREAKS_OFF: &str = "";

/// A request as it came.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) head: String,
    pub(crate) body: String,
}

/// Answers one request after another with these, the last of them for ever. The port, and the requests.
pub(crate) async fn server(
    answers: Vec<String>,
) -> (u16, tokio::sync::mpsc::UnboundedReceiver<Asked>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (told, asked) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        for number in 0.. {
            let answer = answers.get(number).or(answers.last()).unwrap().clone();
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).await.unwrap() <= 2 {
                    break;
                }
                if let Some(number) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = number.trim().parse().unwrap();
                }
                head.push_str(&line);
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.unwrap();
            let _ = told.send(Asked { head, body: String::from_utf8(body).unwrap() });
            if answer == HANGS {
                tokio::spawn(async move {
                    tokio::time::sleep(LONG).await;
                    drop(stream);
                });
                continue;
            }
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (port, asked)
}

pub(crate) fn answer(status: u16, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    )
}

fn at(host: &str, port: u16) -> String {
    format!("http://user:{SECRET}@{host}:{port}/{SECRET}?{SECRET}")
}

/// What comes of a GET, at a host of this name that answers so.
async fn got(
    host: &str,
    reach: Reach,
    limit: Duration,
    answers: Vec<String>,
) -> Result<Answer, HttpError> {
    let (port, _asked) = server(answers).await;
    let got = Target::new(&at(host, port), reach)?.get(limit).await;
    if let Err(error) = &got {
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(SECRET) && !shown.contains(&port.to_string()), "{shown}");
    }
    got
}

async fn local(answers: Vec<String>) -> Result<Answer, HttpError> {
    got("127.0.0.1", Reach::Named, LONG, answers).await
}

#[tokio::test]
async fn what_is_sent_arrives_and_the_beginning_of_the_answer_comes_back() {
    let long = "x".repeat(3 * ANSWER_LIMIT);
    let (port, mut asked) = server(vec![answer(202, "retry-after: 7\r\n", &long)]).await;
    let target = Target::new(&at("127.0.0.1", port), Reach::Named).unwrap();
    let body = Body { headers: &[("webhook-id", "msg_1")], bytes: b"{}".to_vec() };
    let answer = target.post(body, LONG).await.unwrap();
    assert_eq!((answer.status, answer.body.len()), (202, ANSWER_LIMIT));
    assert_eq!(answer.retry_after, Some(Duration::from_secs(7)));
    let asked = asked.recv().await.unwrap();
    assert!(asked.head.starts_with(&format!("POST /{SECRET}?{SECRET} HTTP/1.1\r\n")), "{asked:?}");
    assert!(asked.head.contains("webhook-id: msg_1\r\n"), "{asked:?}");
    assert!(asked.head.contains("user-agent: exit-validator/"), "{asked:?}");
    assert_eq!(asked.body, "{}");
    assert!(!format!("{target:?}").contains(SECRET));
}

#[tokio::test]
async fn no_header_brings_another_along() {
    let target = Target::new("http://192.0.2.1/", Reach::Everywhere).unwrap();
    for (name, value) in [("x", "a\r\nhost: b"), ("x\r\ny", "a"), ("x", "a\nb"), ("", "a")] {
        let headers = &[(name, value)];
        let error = target.post(Body { headers, bytes: Vec::new() }, SOON).await.unwrap_err();
        assert!(matches!(error, HttpError::Header(_)), "{error}");
    }
}

#[tokio::test]
async fn each_failure_has_a_name_and_says_whether_it_may_pass() {
    let passing = |error: &HttpError| error.is_passing();
    let error = got("127.0.0.1", Reach::Named, SOON, vec![HANGS.to_owned()]).await.unwrap_err();
    assert!(error == HttpError::Late(SOON) && passing(&error), "{error}");
    let error = local(vec![BREAKS_OFF.to_owned()]).await.unwrap_err();
    assert!(error == HttpError::Broken && passing(&error), "{error}");
    let cut = "HTTP/1.1 200 x\r\ncontent-length: 100\r\n\r\nabc";
    let error = local(vec![cut.to_owned()]).await.unwrap_err();
    assert!(error == HttpError::Broken && passing(&error), "{error}");
    for (status, wanted) in [(404, false), (401, false), (429, true), (500, true), (503, true)] {
        let error = local(vec![answer(status, "", SECRET)]).await.unwrap_err();
        assert!(matches!(&error, HttpError::Status(answer) if answer.status == status), "{error}");
        assert_eq!(passing(&error), wanted, "{status}");
    }
    // A port that was free a moment ago, where nobody listens.
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let target = Target::new(&at("127.0.0.1", port), Reach::Named).unwrap();
    let error = target.get(LONG).await.unwrap_err();
    assert_eq!(error.to_string(), "no connection: connection refused");
    let target = Target::new("http://nothing.invalid/", Reach::Public).unwrap();
    assert_eq!(target.get(LONG).await.unwrap_err(), HttpError::Name);
    for address in ["", "example.org", "ftp://example.org/", "http://", "file:///etc/passwd"] {
        assert_eq!(
            Target::new(address, Reach::Everywhere).unwrap_err(),
            HttpError::Url,
            "{address}"
        );
    }
}

#[tokio::test]
async fn nothing_inside_is_spoken_to_that_the_owner_did_not_name() {
    let fine = || vec![answer(200, "", "")];
    // By number, and by name: after the look-up.
    for host in ["127.0.0.1", "localhost", "0x7f.1", "[::ffff:127.0.0.1]", "LOCALHOST"] {
        let refused = got(host, Reach::Public, LONG, fine()).await;
        assert_eq!(refused, Err(HttpError::Inner), "{host}");
    }
    for (host, reach) in [
        ("127.0.0.1", Reach::Named),
        ("localhost", Reach::Named),
        ("LocalHost", Reach::Named),
        ("127.0.0.1", Reach::Everywhere),
        ("localhost", Reach::Everywhere),
    ] {
        assert!(got(host, reach, LONG, fine()).await.is_ok(), "{host}");
    }
}

#[tokio::test]
async fn redirects_lead_nowhere_inside_and_not_on_for_ever() {
    let (port, _asked) = server(vec![answer(200, "", "there")]).await;
    let to = |address: &str| vec![answer(307, &format!("location: {address}\r\n"), "")];
    // To another host inside than the one that was named, by number or by name.
    let there = to(&format!("http://127.0.0.1:{port}/"));
    assert_eq!(got("localhost", Reach::Named, LONG, there.clone()).await, Err(HttpError::Inner));
    let named = to(&format!("http://localhost:{port}/"));
    assert_eq!(local(named).await, Err(HttpError::Inner));
    // To the host that was named.
    let followed = got("127.0.0.1", Reach::Named, LONG, there.clone()).await.unwrap();
    assert_eq!(followed.body, b"there");
    let followed = got("localhost", Reach::Everywhere, LONG, there).await.unwrap();
    assert_eq!(followed.body, b"there");
    assert_eq!(local(to("/again")).await, Err(HttpError::Redirect));
    assert_eq!(local(to("ftp://example.org/")).await, Err(HttpError::Redirect));
}

/// A server with a certificate for this name, of an authority of its own: what it answers.
async fn by_tls(name: &str, address: &str, trusted: bool) -> Result<Answer, HttpError> {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate =
        rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    if trusted {
        roots.add(certificate.der().clone()).unwrap();
    } else {
        roots = super::roots().unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(answer(200, "", "by TLS").as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        }
    });
    let address = address.replace("PORT", &port.to_string());
    Target::trusting(&address, Reach::Named, roots)?.get(LONG).await
}

#[tokio::test]
async fn tls_is_checked_by_what_this_host_trusts_and_by_name() {
    let address = "https://localhost:PORT/s3cr3t";
    assert_eq!(by_tls("localhost", address, true).await.unwrap().body, b"by TLS");
    for (name, trusted, wanted) in [
        ("example.org", true, "its certificate is for another name"),
        ("localhost", false, "its certificate is of an authority that this host does not trust"),
    ] {
        let error = by_tls(name, address, trusted).await.unwrap_err();
        assert_eq!(error.to_string(), format!("no connection: {wanted}"));
    }
}

#[test]
fn inner_addresses() {
    for address in [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.9.9.9",
        "169.254.169.254",
        "172.16.0.1",
        "192.0.0.8",
        "192.0.2.1",
        "192.168.0.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:a00:1::",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd12::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ] {
        assert!(is_inner(address.parse().unwrap()), "{address}");
    }
    for address in [
        "1.1.1.1",
        "9.255.255.255",
        "100.63.255.255",
        "100.128.0.1",
        "172.32.0.1",
        "192.0.1.1",
        "198.20.0.1",
        "223.255.255.255",
        "2606:4700::1111",
        "2a00:1450::1",
        "2001:4860:4860::8888",
        "2002:808:808::1",
        "64:ff9b::808:808",
        "::ffff:8.8.8.8",
    ] {
        assert!(!is_inner(address.parse().unwrap()), "{address}");
    }
    assert!(is_inner(Ipv6Addr::LOCALHOST.into()));
}
