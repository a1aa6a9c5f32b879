//! Asking tor: for a name, by SOCKS5 RESOLVE and by its DNSPort, and for a connection. One socket a
//! query. No time limits of their own: the attempt that asks has them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UdpSocket, UnixStream};
use tokio_socks::TargetAddr;
use tokio_socks::tcp::Socks5Stream;

use crate::probe::SocketReply;

/// Where tor's SOCKS port listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocksAddr {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
}

/// Text that is not a listener's address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an address that tor listens on: {0:?}")]
pub struct InvalidListener(String);

impl FromStr for SocksAddr {
    type Err = InvalidListener;

    /// Takes one listener as `GETINFO net/listeners/*` writes it (control-spec): an address and
    /// port, or `unix:` and a path.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Self::Unix(path.trim_matches('"').into()));
        }
        text.parse().map(Self::Tcp).map_err(|_| InvalidListener(text.to_owned()))
    }
}

impl fmt::Display for SocksAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Asks for a name by SOCKS5 RESOLVE (tor's socks-extensions, command 0xF0).
pub async fn socks(address: &SocksAddr, name: &str) -> SocketReply {
    let failed = |error: std::io::Error| {
        SocketReply::Failed(format!("cannot connect to tor's SOCKS port at {address}: {error}"))
    };
    match address {
        SocksAddr::Tcp(to) => match TcpStream::connect(to).await {
            Ok(socket) => resolve(socket, name).await,
            Err(error) => failed(error),
        },
        SocksAddr::Unix(path) => match UnixStream::connect(path).await {
            Ok(socket) => resolve(socket, name).await,
            Err(error) => failed(error),
        },
    }
}

/// Asks for a connection to `target`, an address or a name with its port, as this user of the SOCKS
/// port (tor's socks-extensions: any name and password do). It is closed once it stands.
pub async fn connect(address: &SocksAddr, target: &TargetAddr<'static>, user: &str) -> SocketReply {
    let failed = |error: std::io::Error| {
        SocketReply::Failed(format!("cannot connect to tor's SOCKS port at {address}: {error}"))
    };
    let target = target.to_owned();
    match address {
        SocksAddr::Tcp(to) => match TcpStream::connect(to).await {
            Ok(socket) => reach(socket, target, user).await,
            Err(error) => failed(error),
        },
        SocksAddr::Unix(path) => match UnixStream::connect(path).await {
            Ok(socket) => reach(socket, target, user).await,
            Err(error) => failed(error),
        },
    }
}

async fn reach<S>(socket: S, target: TargetAddr<'static>, user: &str) -> SocketReply
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match Socks5Stream::connect_with_password_and_socket(socket, target, user, "-").await {
        Ok(_) => SocketReply::Socks(0, None),
        Err(error) => refusal(&error),
    }
}

async fn resolve<S: AsyncRead + AsyncWrite + Unpin>(socket: S, name: &str) -> SocketReply {
    match Socks5Stream::tor_resolve_with_socket(socket, (name, 0)).await {
        Ok(TargetAddr::Ip(address)) => SocketReply::Socks(0, Some(address.ip())),
        Ok(TargetAddr::Domain(..)) => SocketReply::Failed(
            "tor's SOCKS port answered with a name instead of an address".to_owned(),
        ),
        Err(error) => refusal(&error),
    }
}

fn refusal(error: &tokio_socks::Error) -> SocketReply {
    use tokio_socks::Error;
    match error {
        Error::GeneralSocksServerFailure => SocketReply::Socks(1, None),
        Error::ConnectionNotAllowedByRuleset => SocketReply::Socks(2, None),
        Error::NetworkUnreachable => SocketReply::Socks(3, None),
        Error::HostUnreachable => SocketReply::Socks(4, None),
        Error::ConnectionRefused => SocketReply::Socks(5, None),
        Error::TtlExpired => SocketReply::Socks(6, None),
        Error::CommandNotSupported => SocketReply::Socks(7, None),
        Error::AddressTypeNotSupported => SocketReply::Socks(8, None),
        error => SocketReply::Failed(format!("tor's SOCKS port broke off: {error}")),
    }
}

/// The largest answer taken from the DNSPort, which sends at most 512 bytes (RFC 1035, section
/// 2.3.4).
const MAX_ANSWER: usize = 4096;

/// Asks for a name by a query of this type to tor's DNSPort. `id` is the query's identifier,
/// which need not be secret: the socket is connected and on this host.
pub async fn dns_port(address: SocketAddr, name: &str, kind: RecordType, id: u16) -> SocketReply {
    let failed = |error: std::io::Error| {
        SocketReply::Failed(format!("cannot ask tor's DNSPort at {address}: {error}"))
    };
    let question = match Name::from_ascii(format!("{name}.")) {
        Ok(name) => Query::query(name, kind),
        Err(error) => return SocketReply::Failed(format!("the name cannot be asked for: {error}")),
    };
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(question.clone());
    let bytes = match message.to_vec() {
        Ok(bytes) => bytes,
        Err(error) => return SocketReply::Failed(format!("the name cannot be asked for: {error}")),
    };
    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let exchange = async {
        let socket = UdpSocket::bind(any).await?;
        socket.connect(address).await?;
        socket.send(&bytes).await?;
        let mut buffer = vec![0; MAX_ANSWER];
        loop {
            let length = socket.recv(&mut buffer).await?;
            if let Some(reply) = read_answer(&buffer[..length], id, &question) {
                return Ok(reply);
            }
        }
    };
    exchange.await.unwrap_or_else(failed)
}

/// Reads an answer; none where it is not one to this question.
fn read_answer(bytes: &[u8], id: u16, question: &Query) -> Option<SocketReply> {
    let message = Message::from_vec(bytes).ok()?;
    let ours = message.metadata.id == id
        && message.metadata.message_type == MessageType::Response
        && message.queries.first().is_some_and(|asked| {
            asked.query_type() == question.query_type()
                && asked.name().to_lowercase() == question.name().to_lowercase()
        });
    if !ours {
        return None;
    }
    let address = |data: &RData| match data {
        RData::A(a) => Some(IpAddr::V4(a.0)),
        RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
        _ => None,
    };
    let addresses = message.answers.iter().filter_map(|record| address(&record.data)).collect();
    Some(SocketReply::Dns(rcode_name(message.metadata.response_code), addresses))
}

/// The names of RFC 1035, section 4.1.1, in the registry's spelling; `RCODEn` for others.
fn rcode_name(code: ResponseCode) -> String {
    match code {
        ResponseCode::NoError => "NOERROR".to_owned(),
        ResponseCode::FormErr => "FORMERR".to_owned(),
        ResponseCode::ServFail => "SERVFAIL".to_owned(),
        ResponseCode::NXDomain => "NXDOMAIN".to_owned(),
        ResponseCode::NotImp => "NOTIMP".to_owned(),
        ResponseCode::Refused => "REFUSED".to_owned(),
        other => format!("RCODE{}", u16::from(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_listeners_as_tor_writes_them() {
        assert_eq!("127.0.0.1:9050".parse(), Ok(SocksAddr::Tcp(([127, 0, 0, 1], 9050).into())));
        assert_eq!("unix:/run/tor/socks".parse(), Ok(SocksAddr::Unix("/run/tor/socks".into())));
        assert!("".parse::<SocksAddr>().is_err());
    }

    proptest! {
        #[test]
        fn hostile_answers_never_panic(bytes: Vec<u8>) {
            let question = Query::query(Name::from_ascii("a.b.").unwrap(), RecordType::A);
            read_answer(&bytes, 1, &question);
        }
    }
}
