//! Servers on loopback that answer by script, for tests: over HTTP, and over HTTPS with an authority of their
//! own.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto};

/// In the place of an answer: nothing comes for a while.
pub const HANGS: &str = "hangs";

/// In the place of an answer: the connection ends.
pub const BREAKS_OFF: &str = "";

/// How long nothing comes.
const LONG: Duration = Duration::from_secs(20);

/// A request as it came.
#[derive(Debug)]
pub struct Asked {
    /// Its first line and headers.
    pub head: String,
    /// Its body.
    pub body: String,
}

/// An answer with this status, these headers, each with its end of line, and this body.
#[must_use]
pub fn answer(status: u16, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    )
}

/// Answers one request after another with these, the last of them for ever. The port, and the requests.
pub async fn server(answers: Vec<String>) -> (u16, UnboundedReceiver<Asked>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (told, asked) = unbounded_channel();
    tokio::spawn(async move {
        for number in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            serve(stream, &answers, number, &told).await;
        }
    });
    (port, asked)
}

/// A server that answers over HTTPS.
pub struct TlsServer {
    /// Its port.
    pub port: u16,
    /// Its requests.
    pub asked: UnboundedReceiver<Asked>,
    /// Who trusts these trusts it.
    pub roots: RootCertStore,
}

/// The same as [`server`] with a certificate for this name. A connection that fails at TLS takes no answer.
pub async fn tls_server(name: &str, answers: Vec<String>) -> TlsServer {
    let key = rcgen::KeyPair::generate().unwrap();
    let names = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = names.self_signed(&key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
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
    let (told, asked) = unbounded_channel();
    tokio::spawn(async move {
        let mut number = 0;
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(stream) = acceptor.accept(stream).await {
                serve(stream, &answers, number, &told).await;
                number += 1;
            }
        }
    });
    TlsServer { port, asked, roots }
}

/// Reads one request, and answers it.
async fn serve<S>(stream: S, answers: &[String], number: usize, told: &UnboundedSender<Asked>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let answer = answers.get(number).or(answers.last()).unwrap();
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
        return;
    }
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}
