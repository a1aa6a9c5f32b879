//! Against real sockets on loopback, which answer by script.

use std::net::Ipv6Addr;

use tokio::net::TcpListener;

use super::*;
use crate::script::{BREAKS_OFF, HANGS, answer, server, tls_server};

/// What is in every address here, and must be in no error.
const SECRET: &str = "s3cr3t";

const SOON: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(20);

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

/// What a server with a certificate for this name answers.
async fn by_tls(name: &str, address: &str, trusted: bool) -> Result<Answer, HttpError> {
    let server = tls_server(name, vec![answer(200, "", "by TLS")]).await;
    let address = address.replace("PORT", &server.port.to_string());
    let roots = if trusted { server.roots } else { roots().unwrap() };
    Target::trusting(&address, (Reach::Named, Redirects::Anywhere), roots)?.get(LONG).await
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

#[tokio::test]
async fn a_document_comes_whole_or_not_at_all() {
    let of = async |body: &str, most| {
        let (port, _asked) = server(vec![answer(200, "", body)]).await;
        let target = Target::new(&at("127.0.0.1", port), Reach::Named).unwrap();
        target.document(LONG, most).await
    };
    let long = "x".repeat(3 * ANSWER_LIMIT);
    assert_eq!(of(&long, long.len()).await.unwrap(), long.as_bytes());
    assert_eq!(of(&long, long.len() - 1).await, Err(HttpError::TooLong(long.len() - 1)));
}

#[tokio::test]
async fn what_is_asked_to_stay_on_a_host_stays_there() {
    let (other, _asked) = server(vec![answer(200, "", "there")]).await;
    let of = async |location: String| {
        let redirect = answer(307, &format!("location: {location}\r\n"), "");
        let (port, _asked) = server(vec![redirect, answer(200, "", "here")]).await;
        let rules = (Reach::Everywhere, Redirects::SameHost);
        let target = Target::trusting(&at("localhost", port), rules, RootCertStore::empty());
        target.unwrap().document(LONG, 100).await
    };
    assert_eq!(of("/elsewhere".to_owned()).await.unwrap(), b"here");
    for address in [format!("http://localhost:{other}/"), format!("http://127.0.0.1:{other}/")] {
        assert_eq!(of(address.clone()).await, Err(HttpError::Redirect), "{address}");
    }
}
