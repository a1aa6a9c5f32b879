//! Requests to other people's servers: heartbeats, webhooks, lists.
//!
//! An address may be a secret, and who receives a request may be a stranger. So no error tells an address
//! or anything that a server said, and nothing inside the network of this host is spoken to unless its
//! owner named it: neither by name, nor by number, nor where a server redirects to. The environment's
//! proxies are not used, as they would look names up themselves.

use std::error::Error;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Method, Url};
use rustls::RootCertStore;

/// How many redirects are followed.
const REDIRECTS: usize = 3;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);

/// How much of an answer is read, in bytes. The rest is not asked for.
const ANSWER_LIMIT: usize = 4096;

/// Which addresses are spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Public ones alone: for addresses that a stranger chose.
    Public,
    /// Public ones, and inner ones of the very host in the address, which this host's owner chose. Not
    /// those of hosts that it redirects to.
    Named,
    /// Any.
    Everywhere,
}

/// Which redirects are followed. None leads from HTTPS to HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redirects {
    /// To every host that may be spoken to.
    Anywhere,
    /// Within the same host and port alone.
    SameHost,
}

/// Where requests go, and by which rules. Its address is not shown, as it may be a secret.
#[derive(Clone)]
pub struct Target {
    url: Url,
    client: reqwest::Client,
    reach: Reach,
}

/// What is sent.
#[derive(Debug, Clone, Default)]
pub struct Body<'a> {
    /// Headers beside those that every request has.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub bytes: Vec<u8>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// How long the server asks to wait before the next request.
    pub retry_after: Option<Duration>,
    /// The beginning of the body: a stranger's text.
    pub body: Vec<u8>,
}

/// Why there is no good answer. No text of it holds the address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// It is not an address that can be asked.
    #[error("it is not a URL that begins with https:// or http:// and names a host")]
    Url,
    /// A header cannot be sent.
    #[error("the header {0} has characters that no header may have")]
    Header(String),
    /// The certificates that this host trusts cannot be read.
    #[error("this host has no certificates to trust ({0}): install the package ca-certificates")]
    Roots(String),
    /// The client cannot be set up.
    #[error("the HTTP client does not start: {0}")]
    Client(String),
    /// The host has only addresses that are not public.
    #[error("it leads to an address inside a network, which is not allowed here")]
    Inner,
    /// The name does not resolve.
    #[error("its name does not resolve; check the name, and this host's DNS")]
    Name,
    /// There is no connection.
    #[error("no connection: {0}")]
    Connect(String),
    /// It took too long.
    #[error("no answer within {} s", .0.as_secs_f64())]
    Late(Duration),
    /// A redirect leads somewhere where it must not, or there are too many of them.
    #[error(
        "it redirects too often, from https to http, to another host, or to no http address at all"
    )]
    Redirect,
    /// The certificate of the server is not one for it.
    #[error("no connection: {0}")]
    Certificate(&'static str),
    /// The answer is longer than what was asked for can be.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
    /// The answer broke off, or is not HTTP.
    #[error("the answer broke off, or is not HTTP")]
    Broken,
    /// The server refuses or fails.
    #[error("the server answered with status {}", .0.status)]
    Status(Answer),
}

impl HttpError {
    /// Whether the same request may go well later.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::Name | Self::Connect(_) | Self::Certificate(_) | Self::Late(_) | Self::Broken => {
                true
            }
            // RFC 9110, 15.5.9 and 15.6; RFC 6585, 4.
            Self::Status(answer) => matches!(answer.status, 408 | 429 | 500..=599),
            Self::Url
            | Self::Header(_)
            | Self::Roots(_)
            | Self::Client(_)
            | Self::Inner
            | Self::TooLong(_)
            | Self::Redirect => false,
        }
    }
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target").field("reach", &self.reach).finish_non_exhaustive()
    }
}

impl Target {
    /// A target of an address.
    ///
    /// # Errors
    ///
    /// [`HttpError::Url`], [`HttpError::Inner`] of an address that is a number, [`HttpError::Roots`] and
    /// [`HttpError::Client`].
    pub fn new(address: &str, reach: Reach) -> Result<Self, HttpError> {
        Self::trusting(address, (reach, Redirects::Anywhere), roots()?)
    }

    /// The same by other rules, and with other roots of trust than this host's.
    ///
    /// # Errors
    ///
    /// As [`Target::new`].
    pub fn trusting(
        address: &str,
        (reach, redirects): (Reach, Redirects),
        roots: RootCertStore,
    ) -> Result<Self, HttpError> {
        let url = http_url(address)?;
        let named = (reach == Reach::Named).then(|| url.host_str().unwrap_or_default().to_owned());
        let rules = Arc::new(Rules { everywhere: reach == Reach::Everywhere, named, redirects });
        if !rules.allow_literal(&url) {
            return Err(HttpError::Inner);
        }
        let redirects = {
            let rules = Arc::clone(&rules);
            Policy::custom(move |attempt| rules.redirect(attempt))
        };
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls(roots)?)
            .dns_resolver(Resolver(rules))
            .redirect(redirects)
            .connect_timeout(CONNECT)
            .user_agent(concat!("exit-validator/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| HttpError::Client(error.without_url().to_string()))?;
        Ok(Self { url, client, reach })
    }

    /// Asks by GET.
    ///
    /// # Errors
    ///
    /// [`HttpError`], also for every status that is not a success.
    pub async fn get(&self, limit: Duration) -> Result<Answer, HttpError> {
        self.send(Method::GET, Body::default(), (limit, ANSWER_LIMIT)).await
    }

    /// Asks by GET for a document of at most so many bytes, which must be there within this time.
    ///
    /// # Errors
    ///
    /// As [`Target::get`], and [`HttpError::TooLong`].
    pub async fn document(&self, limit: Duration, most: usize) -> Result<Vec<u8>, HttpError> {
        let answer = self.send(Method::GET, Body::default(), (limit, most + 1)).await?;
        if answer.body.len() > most { Err(HttpError::TooLong(most)) } else { Ok(answer.body) }
    }

    /// Sends by POST, within this time.
    ///
    /// # Errors
    ///
    /// As [`Target::get`].
    pub async fn post(&self, body: Body<'_>, limit: Duration) -> Result<Answer, HttpError> {
        self.send(Method::POST, body, (limit, ANSWER_LIMIT)).await
    }

    async fn send(
        &self,
        method: Method,
        body: Body<'_>,
        (limit, most): (Duration, usize),
    ) -> Result<Answer, HttpError> {
        let request = self
            .client
            .request(method, self.url.clone())
            .headers(headers(body.headers)?)
            .timeout(limit)
            .body(body.bytes);
        let failed = |error: reqwest::Error| cause(&error, limit);
        let mut response = request.send().await.map_err(failed)?;
        let status = response.status();
        let wait = response.headers().get(RETRY_AFTER).and_then(|text| text.to_str().ok());
        let retry_after = wait.and_then(|text| text.parse().ok()).map(Duration::from_secs);
        let mut beginning = Vec::new();
        while beginning.len() < most {
            match response.chunk().await {
                Ok(Some(chunk)) => beginning.extend_from_slice(&chunk),
                Ok(None) => break,
                // The status has come, and says what there is to know.
                Err(_) if !status.is_success() => break,
                Err(error) => return Err(failed(error)),
            }
        }
        beginning.truncate(most);
        let answer = Answer { status: status.as_u16(), retry_after, body: beginning };
        if status.is_success() { Ok(answer) } else { Err(HttpError::Status(answer)) }
    }
}

/// Whether an address can be one of a target.
///
/// # Errors
///
/// [`HttpError::Url`].
pub fn check_address(address: &str) -> Result<(), HttpError> {
    http_url(address).map(|_| ())
}

/// An address with a host. The parser writes that in lower case.
fn http_url(address: &str) -> Result<Url, HttpError> {
    let url = Url::parse(address.trim()).ok().filter(is_http).filter(Url::has_host);
    url.ok_or(HttpError::Url)
}

fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

fn headers(given: &[(&str, &str)]) -> Result<HeaderMap, HttpError> {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let wrong = || HttpError::Header(record::printable(name));
        let value = HeaderValue::from_str(value).map_err(|_| wrong())?;
        headers.append(name.parse::<HeaderName>().map_err(|_| wrong())?, value);
    }
    Ok(headers)
}

/// What this host trusts, as its administrators expect.
///
/// # Errors
///
/// [`HttpError::Roots`].
pub fn roots() -> Result<RootCertStore, HttpError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(found.certs);
    if usable == 0 {
        let why = found.errors.first().map_or_else(|| "none found".to_owned(), ToString::to_string);
        return Err(HttpError::Roots(why));
    }
    Ok(roots)
}

fn tls(roots: RootCertStore) -> Result<rustls::ClientConfig, HttpError> {
    // Named here, as another library may bring another provider along.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| HttpError::Client(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// What went wrong, of an error that may hold the address and what the server said.
fn cause(error: &reqwest::Error, limit: Duration) -> HttpError {
    let mut source: Option<&(dyn Error + 'static)> = Some(error);
    let mut connect = None;
    while let Some(one) = source {
        if let Some(known) = one.downcast_ref::<HttpError>() {
            return known.clone();
        }
        if let Some(tls) = one.downcast_ref::<rustls::Error>() {
            return of_tls(tls);
        }
        if let Some(io) = one.downcast_ref::<io::Error>() {
            // Its source is left out of the chain where it wraps another error.
            match io.get_ref() {
                Some(inner) => {
                    source = Some(inner);
                    connect = connect.or(Some(io.kind()));
                    continue;
                }
                None => connect = Some(io.kind()),
            }
        }
        source = one.source();
    }
    match connect {
        _ if error.is_timeout() => HttpError::Late(limit),
        _ if error.is_redirect() => HttpError::Redirect,
        Some(kind) if error.is_connect() => HttpError::Connect(kind.to_string()),
        None if error.is_connect() => HttpError::Connect("refused or broken off".to_owned()),
        _ => HttpError::Broken,
    }
}

/// What is wrong with TLS, without what the server sent.
fn of_tls(error: &rustls::Error) -> HttpError {
    use rustls::CertificateError::{
        Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet,
        NotValidYetContext, UnknownIssuer,
    };
    let rustls::Error::InvalidCertificate(error) = error else {
        return HttpError::Connect("TLS fails".to_owned());
    };
    HttpError::Certificate(match error {
        Expired | ExpiredContext { .. } => "its certificate has expired",
        NotValidYet | NotValidYetContext { .. } => "its certificate is not valid yet",
        NotValidForName | NotValidForNameContext { .. } => "its certificate is for another name",
        UnknownIssuer => "its certificate is of an authority that this host does not trust",
        _ => "its certificate is not valid",
    })
}

/// Which hosts may be spoken to.
struct Rules {
    everywhere: bool,
    /// The host that may be inside, in lower case.
    named: Option<String>,
    redirects: Redirects,
}

impl Rules {
    fn may_be_inside(&self, host: &str) -> bool {
        self.everywhere || self.named.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(host))
    }

    /// Whether a host that is a number may be spoken to. Those that are names are the resolver's to
    /// judge, which is not asked for numbers.
    fn allow_literal(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else { return false };
        let number = host.trim_start_matches('[').trim_end_matches(']').parse();
        self.may_be_inside(host) || !number.is_ok_and(is_inner)
    }

    fn redirect(&self, attempt: Attempt<'_>) -> reqwest::redirect::Action {
        let secure = attempt.previous().iter().any(|url| url.scheme() == "https");
        let worse = secure && attempt.url().scheme() != "https";
        let first = attempt.previous().first();
        let elsewhere = self.redirects == Redirects::SameHost
            && first.is_none_or(|first| first.origin() != attempt.url().origin());
        let worse = worse || elsewhere;
        if attempt.previous().len() > REDIRECTS || worse || !is_http(attempt.url()) {
            attempt.error(HttpError::Redirect)
        } else if self.allow_literal(attempt.url()) {
            attempt.follow()
        } else {
            attempt.error(HttpError::Inner)
        }
    }
}

/// The system's resolver, without the addresses that are not allowed: what it gives is what is connected
/// to, so that no second look-up can say something else.
struct Resolver(Arc<Rules>);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let inside = self.0.may_be_inside(name.as_str());
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            let mut found: Vec<SocketAddr> = found.map_err(|_| HttpError::Name)?.collect();
            if found.is_empty() {
                return Err(HttpError::Name.into());
            }
            found.retain(|address| inside || !is_inner(address.ip()));
            if found.is_empty() {
                return Err(HttpError::Inner.into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is not one of the public network: by IANA's registries of special addresses, and,
/// where it holds an IPv4 address, by that.
fn is_inner(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_inner_v4(v4),
        IpAddr::V6(v6) => {
            let s = v6.segments();
            let within = |high: u16, low: u16| {
                let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
                is_inner_v4(Ipv4Addr::new(a, b, c, d))
            };
            match s {
                // Mapped, NAT64 (RFC 6052, RFC 8215), 6to4.
                [0, 0, 0, 0, 0, 0xffff, high, low]
                | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
                | [0x2002, high, low, ..] => within(high, low),
                // 2000::/3 without special protocols, documentation and test networks.
                [0x2001, second, ..] => second < 0x200 || second == 0xdb8,
                [0x3fff, second, ..] => second < 0x1000,
                [first, ..] => first & 0xe000 != 0x2000,
            }
        }
    }
}

fn is_inner_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    match (a, b, c) {
        // This network, loopback, multicast and reserved.
        (0 | 127 | 224.., ..) => true,
        // Shared (RFC 6598), protocol assignments, benchmarks.
        (100, 64..=127, _) | (192, 0, 0) | (198, 18 | 19, _) => true,
        _ => v4.is_private() || v4.is_link_local() || v4.is_documentation(),
    }
}

#[cfg(test)]
pub(crate) mod tests;
