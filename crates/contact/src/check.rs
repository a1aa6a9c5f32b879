//! Asks websites and the domain name system for what proves claims, gently: few at once, each once.
//! Nothing inside this host's network is asked, whatever somebody has written into a contact.

mod records;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reach::http::{HttpError, Reach, Redirects, Target};
use record::{Fingerprint, ProofMethod, ProofProblem};
use tokio::task::JoinSet;

use crate::claim::DomainClaim;
use crate::proof::{self, Agenda, Check};
use records::Records;

/// Where a domain's list is (proposal 326).
const LIST: &str = "/.well-known/tor-relay/rsa-fingerprint.txt";

/// The most bytes of a list: room for 12,000 relays.
const LONGEST_LIST: usize = 512 * 1024;

/// How long a list, or a record with the signatures that lead to it, may take.
const LIMIT: Duration = Duration::from_secs(30);

/// How many are asked at once.
const AT_ONCE: usize = 4;

/// Whom this host trusts, and where it looks names up.
#[derive(Clone)]
pub struct Trust {
    /// The authorities of certificates.
    pub authorities: rustls::RootCertStore,
    /// The keys that every chain of DNSSEC ends at.
    pub anchors: hickory_resolver::proto::dnssec::TrustAnchors,
    /// The resolvers. They need not check DNSSEC: that is done here.
    pub resolvers: Vec<SocketAddr>,
}

/// Asks for lists and records.
pub struct Asker {
    trust: Trust,
    records: Option<Records>,
    reach: Reach,
    port: u16,
}

/// Why nothing can be asked.
#[derive(Debug, thiserror::Error)]
pub enum AskerError {
    /// This host trusts nobody.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The resolver cannot be set up.
    #[error("cannot set up the resolver: {0}")]
    Resolver(String),
}

impl Trust {
    /// What the machine trusts, the keys of the root zone, and these resolvers.
    ///
    /// # Errors
    ///
    /// [`AskerError::Http`].
    pub fn of_the_machine(resolvers: Vec<SocketAddr>) -> Result<Self, AskerError> {
        let anchors = hickory_resolver::proto::dnssec::TrustAnchors::default();
        Ok(Self { authorities: reach::http::roots()?, anchors, resolvers })
    }
}

impl Asker {
    /// One that asks public addresses alone.
    ///
    /// # Errors
    ///
    /// [`AskerError::Resolver`].
    pub fn new(trust: Trust) -> Result<Self, AskerError> {
        Self::at(trust, Reach::Public, 443)
    }

    fn at(trust: Trust, reach: Reach, port: u16) -> Result<Self, AskerError> {
        let records = (!trust.resolvers.is_empty()).then(|| Records::new(&trust)).transpose()?;
        Ok(Self { trust, records, reach, port })
    }

    /// The relays on a domain's list.
    async fn list(&self, domain: &str) -> Result<BTreeSet<Fingerprint>, ProofProblem> {
        let address = format!("https://{domain}:{}{LIST}", self.port);
        let rules = (self.reach, Redirects::SameHost);
        let target = Target::trusting(&address, rules, self.trust.authorities.clone());
        let list = match target {
            Ok(target) => target.document(LIMIT, LONGEST_LIST).await,
            Err(error) => Err(error),
        };
        list.map(|list| proof::listed(&list)).map_err(|error| problem(&error))
    }

    async fn record(&self, domain: &str, relay: Fingerprint) -> Result<(), ProofProblem> {
        let Some(records) = &self.records else { return Err(ProofProblem::NoAnswer) };
        let asked = tokio::time::timeout(LIMIT, records.of(domain, relay)).await;
        proof::records_prove(&asked.unwrap_or(Err(ProofProblem::NoAnswer))?)
    }

    /// Does what there is to do, and says what came of it as it comes: of a list of all relays that it is
    /// asked for.
    ///
    /// # Errors
    ///
    /// The first one of `done`; then nothing more is asked.
    pub async fn work<E>(
        self,
        agenda: &Agenda,
        now: DateTime<Utc>,
        mut done: impl FnMut(Vec<(Fingerprint, Check)>) -> Result<(), E>,
    ) -> Result<(), E> {
        let this = Arc::new(self);
        let lists = agenda
            .lists
            .iter()
            .map(|(domain, relays)| (domain.clone(), ProofMethod::UriRsa, relays.clone()));
        let records = agenda
            .records
            .iter()
            .map(|(domain, relay)| (domain.clone(), ProofMethod::DnsRsa, vec![*relay]));
        let mut waiting = lists.chain(records);
        let mut under_way = JoinSet::new();
        loop {
            while under_way.len() < AT_ONCE
                && let Some((domain, method, relays)) = waiting.next()
            {
                let this = Arc::clone(&this);
                under_way.spawn(async move { this.one(domain, method, relays, now).await });
            }
            match under_way.join_next().await {
                Some(Ok(checks)) => done(checks)?,
                // It was not asked, and has its turn again.
                Some(Err(_)) => {}
                None => return Ok(()),
            }
        }
    }

    async fn one(
        &self,
        domain: String,
        method: ProofMethod,
        relays: Vec<Fingerprint>,
        at: DateTime<Utc>,
    ) -> Vec<(Fingerprint, Check)> {
        let listed = match method {
            ProofMethod::UriRsa => self.list(&domain).await,
            ProofMethod::DnsRsa => Ok(BTreeSet::new()),
        };
        let mut checks = Vec::with_capacity(relays.len());
        for relay in relays {
            let problem = match (method, &listed) {
                (ProofMethod::DnsRsa, _) => self.record(&domain, relay).await.err(),
                (ProofMethod::UriRsa, Err(problem)) => Some(*problem),
                (ProofMethod::UriRsa, Ok(listed)) => {
                    (!listed.contains(&relay)).then_some(ProofProblem::NotListed)
                }
            };
            let claim = DomainClaim { domain: domain.clone(), method };
            checks.push((relay, Check { claim, at, problem }));
        }
        checks
    }
}

/// What a failed request says of a list.
fn problem(error: &HttpError) -> ProofProblem {
    match error {
        HttpError::Name => ProofProblem::NoName,
        HttpError::Certificate(_) => ProofProblem::Certificate,
        HttpError::Inner => ProofProblem::InnerAddress,
        HttpError::Redirect => ProofProblem::Redirect,
        HttpError::TooLong(_) => ProofProblem::TooLong,
        // Not there, and gone (RFC 9110, 15.5.5 and 15.5.11). Others are of a server that has its troubles,
        // or keeps machines out.
        HttpError::Status(answer) if matches!(answer.status, 404 | 410) => ProofProblem::NoList,
        HttpError::Status(_)
        | HttpError::Connect(_)
        | HttpError::Late(_)
        | HttpError::Broken
        | HttpError::Url
        | HttpError::Header(_)
        | HttpError::Roots(_)
        | HttpError::Client(_) => ProofProblem::NoAnswer,
    }
}

#[cfg(test)]
mod tests;
