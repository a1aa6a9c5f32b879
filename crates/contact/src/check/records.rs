//! Records of the domain name system, with DNSSEC checked here, whatever the resolver says of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::dnssec::Proof;
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::{Resolver, TokioResolver};
use record::{Fingerprint, ProofProblem};

use super::{AskerError, Trust};

/// How long one answer may take; the next resolver, or TCP, is asked then.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Looks records up.
pub(super) struct Records(TokioResolver);

impl Records {
    pub(super) fn new(trust: &Trust) -> Result<Self, AskerError> {
        let server = |address: &SocketAddr| {
            let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
            connections.iter_mut().for_each(|one| one.port = address.port());
            NameServerConfig::new(address.ip(), true, connections)
        };
        let servers = trust.resolvers.iter().map(server).collect();
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        let mut builder = Resolver::builder_with_config(config, TokioRuntimeProvider::default())
            .with_trust_anchor(Arc::new(trust.anchors.clone()));
        let options = builder.options_mut();
        options.timeout = TIMEOUT;
        options.use_hosts_file = ResolveHosts::Never;
        builder.build().map(Self).map_err(|error| AskerError::Resolver(error.to_string()))
    }

    /// The texts of a relay's records below a domain; those of several parts put together.
    pub(super) async fn of(
        &self,
        domain: &str,
        relay: Fingerprint,
    ) -> Result<Vec<Vec<u8>>, ProofProblem> {
        let name = Name::from_ascii(format!("{relay}.{domain}."));
        let name = name.map_err(|_| ProofProblem::NoRecord)?;
        match self.0.lookup(name, RecordType::TXT).await {
            Ok(found) => texts(found.answers()),
            Err(error) => Err(problem(&error)),
        }
    }
}

/// The texts in an answer, where all of it is secure: of an alias, that too.
fn texts(records: &[Record]) -> Result<Vec<Vec<u8>>, ProofProblem> {
    if records.iter().any(|record| record.proof == Proof::Bogus) {
        return Err(ProofProblem::Bogus);
    }
    if records.iter().any(|record| record.proof != Proof::Secure) {
        return Err(ProofProblem::NotSigned);
    }
    let text = |record: &Record| match &record.data {
        RData::TXT(text) => Some(text.txt_data.concat()),
        _ => None,
    };
    Ok(records.iter().filter_map(text).collect())
}

fn problem(error: &NetError) -> ProofProblem {
    match error {
        NetError::Dns(DnsError::DnssecBogus | DnsError::Nsec { proof: Proof::Bogus, .. }) => {
            ProofProblem::Bogus
        }
        NetError::Dns(DnsError::Nsec { .. }) => ProofProblem::NoRecord,
        NetError::Dns(DnsError::NoRecordsFound(none))
            if matches!(none.response_code, ResponseCode::NXDomain | ResponseCode::NoError) =>
        {
            ProofProblem::NoRecord
        }
        _ => ProofProblem::NoAnswer,
    }
}
