//! A stream of a simulated tor, and how tor writes of it.

use std::net::{Ipv6Addr, SocketAddr};

use super::network::Saying;

/// What is asked for, and by which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamKind {
    /// A lookup by SOCKS.
    Resolve,
    /// A lookup by DNSPort, type A.
    DnsA,
    /// A lookup by DNSPort, type AAAA.
    DnsAaaa,
    /// A connection by SOCKS.
    Connect,
}

impl StreamKind {
    /// The event that it has been sent.
    pub(crate) const fn sent(self) -> &'static str {
        match self {
            Self::Connect => "SENTCONNECT",
            Self::Resolve | Self::DnsA | Self::DnsAaaa => "SENTRESOLVE",
        }
    }
}

/// How far a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It waits for a controller.
    Waits,
    /// It is on a circuit, and was sent.
    Sent,
    /// The connection is there.
    Open,
}

/// A stream.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    pub(crate) kind: StreamKind,
    pub(crate) target: String,
    pub(crate) port: u16,
    /// Where the program that asked is.
    pub(crate) source: SocketAddr,
    /// The user and password of SOCKS.
    pub(crate) user: Option<(String, String)>,
    pub(crate) state: State,
    /// Where it is, or was last: events go on to name it.
    pub(crate) circuit: Option<u32>,
    /// How often it has been attached.
    pub(crate) turn: u32,
    /// What the exit makes of it.
    pub(crate) saying: Saying,
}

impl Stream {
    pub(crate) const fn new(
        kind: StreamKind,
        target: String,
        port: u16,
        source: SocketAddr,
    ) -> Self {
        Self {
            kind,
            target,
            port,
            source,
            user: None,
            state: State::Waits,
            circuit: None,
            turn: 0,
            saying: Saying::Nothing,
        }
    }

    /// It goes on a circuit; its name is lower case from then on.
    pub(crate) fn attached(&mut self, circuit: u32) {
        self.state = State::Sent;
        self.circuit = Some(circuit);
        self.turn += 1;
        self.target.make_ascii_lowercase();
    }

    /// It waits again.
    pub(crate) fn detached(&mut self) {
        self.state = State::Waits;
        self.circuit = None;
    }

    /// Its event behind its number (control-spec, "Stream status changed").
    pub(crate) fn line(&self, status: &str, reason: &str) -> String {
        let circuit = self.circuit.unwrap_or_default();
        let begins = status.starts_with("NEW");
        let (purpose, source) = match self.kind {
            StreamKind::Connect => ("USER", self.source),
            StreamKind::Resolve | StreamKind::DnsA | StreamKind::DnsAaaa => {
                ("DNS_REQUEST", self.source)
            }
        };
        let from =
            if begins { format!(" SOURCE_ADDR={source} PURPOSE={purpose}") } else { String::new() };
        let user = match &self.user {
            Some((user, password)) => {
                format!(" SOCKS_USERNAME=\"{user}\" SOCKS_PASSWORD=\"{password}\"")
            }
            None => String::new(),
        };
        let (protocol, group) = match self.kind {
            StreamKind::Resolve | StreamKind::Connect => ("SOCKS5", -4),
            StreamKind::DnsA | StreamKind::DnsAaaa => ("DNS", -5),
        };
        format!(
            "{status} {circuit} {}{reason}{from}{user} CLIENT_PROTOCOL={protocol} NYM_EPOCH=0 \
             SESSION_GROUP={group} \
             ISO_FIELDS=SOCKS_USERNAME,SOCKS_PASSWORD,CLIENTADDR,SESSION_GROUP,NYM_EPOCH",
            self.place()
        )
    }

    /// Its line in `GETINFO stream-status`.
    pub(crate) fn status(&self) -> String {
        let status = match (self.state, self.kind) {
            (State::Waits, StreamKind::Connect) => "NEW",
            (State::Waits, _) => "NEWRESOLVE",
            (State::Sent, kind) => kind.sent(),
            (State::Open, _) => "SUCCEEDED",
        };
        format!("{status} {} {}", self.circuit.unwrap_or_default(), self.place())
    }

    fn place(&self) -> String {
        let (target, port) = (&self.target, self.port);
        match target.parse::<Ipv6Addr>() {
            Ok(address) => format!("[{address}]:{port}"),
            Err(_) => format!("{target}:{port}"),
        }
    }
}
