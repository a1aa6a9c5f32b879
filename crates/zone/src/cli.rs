//! The arguments of `zone serve`, `zone keys`, `zone import` and `zone correlate`.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::Args;
use record::{DEFAULT_DOMAIN, DEFAULT_EXPECTED};

use crate::import::ForeignLog;
use crate::layout::{LayoutError, ServedZone, ZoneSettings};
use crate::log::Keep;

/// Answer for the zone and nothing else, by UDP and TCP, and remember each query.
///
/// Every name in the zone has the expected address. In the checks zone NAME.who.CHECKS answers with the
/// address of who asks, NAME.nx.CHECKS does not exist, NAME.tcp.CHECKS is answered by TCP alone, and
/// NAME.v6.CHECKS by IPv6 alone. With a key it is signed, but NAME.bogus.CHECKS wrongly on purpose. It goes on until SIGTERM or SIGINT.
#[derive(Debug, Clone, Args)]
#[command(after_help = AFTER_HELP)]
pub struct ServeArgs {
    #[command(flatten)]
    delegation: DelegationArgs,
    /// What its names resolve to.
    #[arg(long, env = "DNS_EXPECTED_IP", default_value_t = DEFAULT_EXPECTED, value_name = "ADDRESS")]
    expected_ip: IpAddr,
    /// Their IPv6 address, if they have one.
    #[arg(long, env = "DNS_EXPECTED_IPV6", value_name = "ADDRESS")]
    expected_ipv6: Option<Ipv6Addr>,
    /// The mail address of who looks after the zone [default: hostmaster in the zone].
    #[arg(long, env = "ZONE_HOSTMASTER", value_name = "ADDRESS")]
    hostmaster: Option<String>,
    /// The file of the checks zone's key, which `zone keys` makes; none: it is not signed.
    #[arg(long, env = "ZONE_KEY", value_name = "FILE")]
    key: Option<PathBuf>,
    /// Where to listen, ADDRESS:PORT, with commas between several; sockets of systemd go before.
    #[arg(
        long,
        env = "ZONE_LISTEN",
        value_delimiter = ',',
        default_value = "127.0.0.1:53",
        value_name = "ADDRESSES"
    )]
    listen: Vec<SocketAddr>,
    /// Most answers a second by UDP for each network, /24 or /56; 0: without limit.
    #[arg(
        long,
        env = "ZONE_RATE",
        default_value_t = 200,
        value_parser = clap::value_parser!(u16).range(0..=50_000),
        value_name = "NUMBER"
    )]
    rate: u16,
    /// The directory of the log of queries; none: no log.
    #[arg(long, env = "ZONE_LOG_DIR", value_name = "DIR")]
    log_dir: Option<PathBuf>,
    /// For how many days the log is kept.
    #[arg(
        long,
        env = "ZONE_LOG_DAYS",
        default_value_t = 35,
        value_parser = clap::value_parser!(u16).range(1..=3660),
        value_name = "DAYS"
    )]
    log_days: u16,
    /// Most megabytes (10^6 bytes) of the log in all; the oldest goes first.
    #[arg(
        long,
        env = "ZONE_LOG_MB",
        default_value_t = 2000,
        value_parser = clap::value_parser!(u32).range(16..=1_000_000),
        value_name = "MB"
    )]
    log_mb: u32,
}

/// What is delegated to us.
#[derive(Debug, Clone, Args)]
struct DelegationArgs {
    /// The zone.
    #[arg(long, env = "DNS_WILDCARD_DOMAIN", default_value = DEFAULT_DOMAIN, value_name = "NAME")]
    domain: String,
    /// The zone of the checks [default: checks below the zone].
    #[arg(long, env = "ZONE_CHECKS_DOMAIN", value_name = "NAME")]
    checks_domain: Option<String>,
    /// Who answers for the zone: NAME ADDRESS..., with commas between several. The zone above
    /// names the same.
    #[arg(long, env = "ZONE_NAME_SERVERS", default_value = "", value_name = "SERVERS")]
    name_servers: String,
}

impl DelegationArgs {
    fn settings(&self) -> ZoneSettings<'_> {
        ZoneSettings {
            domain: &self.domain,
            checks: self.checks_domain.as_deref(),
            servers: &self.name_servers,
            ..ZoneSettings::default()
        }
    }
}

/// Make the key of the checks zone if there is none, and print what the zone above needs.
///
/// A key that is there is never overwritten.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Example:\n  exit-validator zone keys --key /etc/tor-exit-validator/zone.key \\\n      \
                  --checks-domain checks.example.org --name-servers 'ns1.example.org 192.0.2.53'"
)]
pub struct KeysArgs {
    #[command(flatten)]
    delegation: DelegationArgs,
    /// The key's file.
    #[arg(long, env = "ZONE_KEY", value_name = "FILE")]
    pub key: PathBuf,
}

impl KeysArgs {
    /// The zone.
    ///
    /// # Errors
    ///
    /// [`LayoutError`].
    pub fn zone(&self) -> Result<ServedZone, LayoutError> {
        ServedZone::new(self.delegation.settings())
    }
}

/// Turn what other name servers write of their queries into lines of the zone's log, on standard output.
///
/// For `zone correlate`, where the zone stands at another server. Files are read to their end, one after another;
/// what cannot be read is counted, and the first of it named.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  exit-validator zone import dnstap dns.tap > zone/queries.jsonl\n  \
                  zcat dns_logs/*.gz | exit-validator zone import cloudflare - > zone/queries.jsonl"
)]
pub struct ImportArgs {
    /// What wrote it.
    pub format: ForeignLog,
    /// The files; - is standard input.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// Hold a run beside the zone's log: who asked for each exit, and where lost lookups got lost.
///
/// The names of a run are asked for once, so they match without any clock.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  exit-validator zone correlate analysis/RUN --log zone")]
pub struct CorrelateArgs {
    /// The run: an analysis directory that the scanner wrote.
    pub run: PathBuf,
    /// The log's directory, or a file of it; several, where the zone has several name servers.
    #[arg(long, env = "ZONE_LOG_DIR", required = true, value_name = "DIR")]
    pub log: Vec<PathBuf>,
    /// Print everything as JSON.
    #[arg(long)]
    pub json: bool,
}

const AFTER_HELP: &str = "\
Example:
  exit-validator zone serve --domain t.example.org --name-servers 'ns1.example.org 192.0.2.53' \\
      --listen 192.0.2.53:53 --log-dir /var/lib/tor-exit-validator/zone

Where to register it, and how to run it unattended: docs/zone.md";

impl ServeArgs {
    /// The zone.
    ///
    /// # Errors
    ///
    /// [`LayoutError`].
    pub fn zone(&self) -> Result<ServedZone, LayoutError> {
        let mut expected = vec![self.expected_ip];
        expected.extend(self.expected_ipv6.map(IpAddr::V6));
        expected.dedup();
        let hostmaster = self.hostmaster.as_deref();
        ServedZone::new(ZoneSettings { hostmaster, expected, ..self.delegation.settings() })
    }

    /// The file of the checks zone's key, if it is signed.
    #[must_use]
    pub fn key(&self) -> Option<&Path> {
        self.key.as_deref()
    }

    /// Where to listen.
    #[must_use]
    pub fn listen(&self) -> &[SocketAddr] {
        &self.listen
    }

    /// Answers a second for each network; 0: without limit.
    #[must_use]
    pub const fn rate(&self) -> u16 {
        self.rate
    }

    /// The log's directory and what is kept there, if there is to be one.
    #[must_use]
    pub fn log(&self) -> Option<(PathBuf, Keep)> {
        let keep = Keep { days: self.log_days, bytes: u64::from(self.log_mb) * 1_000_000 };
        self.log_dir.clone().map(|directory| (directory, keep))
    }
}
