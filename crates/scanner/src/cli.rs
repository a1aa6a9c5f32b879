//! Flags and their environment variables to a checked configuration. Reads no file and touches
//! nothing.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::builder::FalseyValueParser;
use clap::{Args, Parser, ValueEnum};
use record::{DEFAULT_DOMAIN, DEFAULT_EXPECTED, Fingerprint, Mode, Shard};
use settings::{Seconds, trimmed};
use tor_control::ControlAddr;

use crate::checks::WantedCheck;
use crate::names::{Domain, InvalidDomain};

/// Longest query timeout: tor closes a stream that nobody answers after `SocksTimeout`, 120 s.
const MAX_QUERY_SECONDS: f64 = 110.0;

/// Longest domain of checks, in characters: a label of it stands before it as well.
const LONGEST_CHECKS_DOMAIN: usize = 200;

const AFTER_HELP: &str = "\
Examples:
  exit-validator scan --dry-run                      which exits, at what pace, how long
  exit-validator scan --analysis-dir analysis/today  the whole network, through a tor of its own
  exit-validator scan -e FINGERPRINT                 one exit, with the story of every attempt
  exit-validator scan --control 127.0.0.1:9051       through a tor that is running
  exit-validator scan --shard 0/3                    a third; other hosts take 1/3 and 2/3
  exit-validator scan -H example.com                 nxdomain mode: any definite answer will do
  exit-validator scan --resume --analysis-dir DIR    continue an interrupted run";

/// Ask every exit of the Tor network to resolve a name that nobody has asked for before.
///
/// Each lookup goes through a two-hop circuit of its own. What happened is written per relay, with
/// its evidence.
#[derive(Debug, Parser)]
#[command(name = "scanner", after_help = AFTER_HELP)]
pub struct ScanCli {
    /// Where the results go, one file a relay; must not hold another run's [default: a new
    /// directory under "analysis", named by the time]
    #[arg(long, value_name = "DIR", env = "ANALYSIS_DIR")]
    analysis_dir: Option<PathBuf>,

    /// Go on with an interrupted run in --analysis-dir: test only what has no final result
    #[arg(long)]
    resume: bool,

    /// Say which exits would be tested, through what, at what pace and for how long; build no
    /// circuit and write nothing
    #[arg(long)]
    dry_run: bool,

    /// Check flags and variables, tell everything that is wrong with them, and do nothing else
    #[arg(long)]
    pub check_settings: bool,

    #[command(flatten)]
    question: QuestionFlags,

    #[command(flatten)]
    exits: ExitFlags,

    #[command(flatten)]
    pacing: Pacing,

    #[command(flatten)]
    tor: TorArgs,

    /// No progress bar or progress lines
    #[arg(long, help_heading = "Output")]
    no_progress: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "What to ask")]
struct QuestionFlags {
    /// Wildcard mode (the default): the zone that answers every name under it with one address
    /// [default: tor.exit.validator.1aeo.com]
    #[arg(long, env = "DNS_WILDCARD_DOMAIN", value_parser = trimmed::<Domain>)]
    domain: Option<Domain>,

    /// The address that every name in the zone resolves to, IPv4 or IPv6 [default: 64.65.4.1]
    #[arg(long, value_name = "ADDRESS", env = "DNS_EXPECTED_IP", value_parser = trimmed::<IpAddr>)]
    expected_ip: Option<IpAddr>,

    /// The IPv6 address that every name in the zone has too, if it has one: exits that allow IPv6 are
    /// asked for it after the verdict, which does not hang on it
    #[arg(
        long, value_name = "ADDRESS", env = "DNS_EXPECTED_IPV6", value_parser = trimmed::<Ipv6Addr>
    )]
    expected_ipv6: Option<Ipv6Addr>,

    /// What is asked for of each exit's resolver after the verdict, which does not hang on it: who, the
    /// address that asks the zone; dnssec, whether it validates; tcp and v6, whether it asks by TCP, and by
    /// IPv6. The zone has to know these names (docs/zone.md); in wildcard mode, with an IPv4 address
    /// [default: nothing]
    #[arg(
        long, value_name = "CHECKS", env = "CHECKS", value_delimiter = ',',
        value_parser = trimmed::<WantedCheck>
    )]
    checks: Vec<WantedCheck>,

    /// The domain of the names that are asked for by --checks [default: checks. and --domain]
    #[arg(
        long, value_name = "DOMAIN", env = "ZONE_CHECKS_DOMAIN", value_parser = trimmed::<Domain>
    )]
    checks_domain: Option<Domain>,

    /// When the last run with the same --checks began. But for who, each exit then has its turn once a
    /// day, at a second of its own: in this run, if that has come since [default: every exit has]
    #[arg(long, value_name = "TIME", value_parser = trimmed::<DateTime<Utc>>)]
    checks_since: Option<DateTime<Utc>>,

    /// Nxdomain mode: ask for names under this domain that do not exist; a definite answer is a
    /// success, a broken resolver is not
    #[arg(short = 'H', long, value_name = "DOMAIN")]
    host: Option<Domain>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Which exits")]
struct ExitFlags {
    /// Test this exit; repeatable
    #[arg(short, long, value_name = "FINGERPRINT")]
    exit: Vec<Fingerprint>,

    /// Test the exits in this file: one fingerprint a line, # begins a comment
    #[arg(long, value_name = "FILE")]
    exit_file: Option<PathBuf>,

    /// Never test the exits in this file, whatever else is asked for: those whose operators asked
    /// not to be tested. One fingerprint a line, # begins a comment
    #[arg(long, value_name = "FILE", env = "EXCLUDE_FILE")]
    exclude_file: Option<PathBuf>,

    /// Test every running relay that lets anything out, whatever its flags: BadExit, or no Exit
    #[arg(long, env = "ALL_EXITS", value_parser = FalseyValueParser::new())]
    all_exits: bool,

    /// Test only relays with the BadExit flag
    #[arg(long)]
    bad_exits: bool,

    /// Test only relays in this country, by tor's own GeoIP file
    #[arg(long, value_name = "CC", value_parser = country)]
    country: Option<String>,

    /// Test only part N of M, counted from 0; the parts are the same on every host
    #[arg(long, value_name = "N/M", env = "SHARD", value_parser = trimmed::<Shard>)]
    shard: Option<Shard>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Pace (seconds, fractions allowed)")]
struct Pacing {
    /// Use this relay as the first hop of every circuit [default: guards, at random]
    #[arg(long, value_name = "FINGERPRINT", env = "FIRST_HOP", value_parser = trimmed::<Fingerprint>)]
    first_hop: Option<Fingerprint>,

    /// Sets build delay (3/2/1), delay noise (2/1/0.5), query timeout (15/10/5) and tries
    /// (3/2/1) together; the single flags and variables below override it
    #[arg(long, value_enum, default_value_t = PaceName::Default)]
    pace: PaceName,

    /// Shortest time between two circuits
    #[arg(long, value_name = "SECONDS", env = "BUILD_DELAY")]
    build_delay: Option<Seconds>,

    /// Random part of that time: up to this much more or less
    #[arg(long, value_name = "SECONDS", env = "DELAY_NOISE")]
    delay_noise: Option<Seconds>,

    /// How long a query may take once tor has sent it
    #[arg(long, value_name = "SECONDS", env = "QUERY_TIMEOUT", value_parser = query_timeout)]
    query_timeout: Option<Seconds>,

    /// How long a circuit may take to build
    #[arg(long, value_name = "SECONDS", env = "CIRCUIT_TIMEOUT", value_parser = timeout)]
    circuit_timeout: Option<Seconds>,

    /// Tries for each relay in all, each by another first hop; one that fails at the first hop
    /// itself does not count
    #[arg(long, value_name = "TRIES", env = "MAX_RETRIES", value_parser = trimmed::<Tries>)]
    max_retries: Option<Tries>,

    /// Shortest time between two tries of one relay
    #[arg(long, value_name = "SECONDS", env = "RETRY_DELAY")]
    retry_delay: Option<Seconds>,

    /// Most circuits under way at once [default: 64]
    #[arg(long, value_name = "CIRCUITS", env = "MAX_IN_FLIGHT", value_parser = trimmed::<Count>)]
    max_in_flight: Option<Count>,

    /// Most circuits under way at once through one first hop [default: 4, or --max-in-flight with
    /// --first-hop]
    #[arg(long, value_name = "CIRCUITS", env = "MAX_PER_FIRST_HOP", value_parser = trimmed::<Count>)]
    max_per_first_hop: Option<Count>,

    /// How many further rounds try what still fails once more, by other first hops [default: 2]
    #[arg(long, value_name = "ROUNDS", env = "CONFIRM_ROUNDS", value_parser = trimmed::<Rounds>)]
    confirm_rounds: Option<Rounds>,

    /// Time between the end of a pass or round and the next [default: 60]
    #[arg(long, value_name = "SECONDS", env = "CONFIRM_AFTER")]
    confirm_after: Option<Seconds>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Tor")]
struct TorArgs {
    /// Use a running tor by its control port, and leave it as it was; a password, where it wants
    /// one, comes from TOR_CONTROL_PASSWORD in the environment [default: a tor of its own]
    #[arg(long, value_name = "HOST:PORT|unix:PATH", env = "TOR_CONTROL", value_parser = trimmed::<ControlAddr>)]
    control: Option<ControlAddr>,

    /// The tor program to start [default: tor]
    #[arg(long, value_name = "PATH", env = "TOR")]
    tor: Option<PathBuf>,

    /// Where tor keeps its directory cache and log from run to run [default:
    /// $XDG_STATE_HOME/exit-validator/tor, else ~/.local/state/exit-validator/tor]
    #[arg(long, value_name = "DIR", env = "TOR_DIR")]
    tor_dir: Option<PathBuf>,

    /// Lines to add to the torrc of the scanner's own tor, for a test network
    #[arg(long, value_name = "FILE")]
    torrc_extra: Option<PathBuf>,

    /// How long tor may take to bootstrap and to fetch the descriptors, in seconds [default: 300]
    #[arg(long, value_name = "SECONDS", env = "BOOTSTRAP_TIMEOUT")]
    bootstrap_timeout: Option<Seconds>,

    /// How long to wait, in seconds, for a running tor that is lost in the middle of a scan (its
    /// restart takes seconds, an upgrade a minute), and for first hops when none can be reached
    /// [default: 120]
    #[arg(long, value_name = "SECONDS", env = "TOR_WAIT")]
    tor_wait: Option<Seconds>,
}

/// A time in which something has to happen.
fn timeout(text: &str) -> Result<Seconds, String> {
    let Seconds(time) = text.parse()?;
    if time.is_zero() {
        return Err("a timeout of 0 would fail every relay: give more".to_owned());
    }
    Ok(Seconds(time))
}

fn query_timeout(text: &str) -> Result<Seconds, String> {
    let Seconds(time) = timeout(text)?;
    if time.as_secs_f64() > MAX_QUERY_SECONDS {
        return Err(format!(
            "a query may take {MAX_QUERY_SECONDS} at most: tor itself gives up after 120"
        ));
    }
    Ok(Seconds(time))
}

/// Most tries of the first pass and most confirming rounds: with those that do not count, and once
/// more after a resumption, they stay under the 100 attempts that a result may hold.
const MAX_TRIES: u32 = 25;
const MAX_ROUNDS: u32 = 20;

/// A number of tries, at least one.
#[derive(Debug, Clone, Copy)]
struct Tries(u32);

impl FromStr for Tries {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(tries @ 1..=MAX_TRIES) => Ok(Self(tries)),
            _ => Err(format!("expected a whole number from 1 to {MAX_TRIES}")),
        }
    }
}

/// A number of things, at least one.
#[derive(Debug, Clone, Copy)]
struct Count(u32);

impl FromStr for Count {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(count @ 1..=10_000) => Ok(Self(count)),
            _ => Err("expected a whole number from 1 to 10000".to_owned()),
        }
    }
}

/// A number of rounds, none included.
#[derive(Debug, Clone, Copy)]
struct Rounds(u32);

impl FromStr for Rounds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(rounds @ 0..=MAX_ROUNDS) => Ok(Self(rounds)),
            _ => Err(format!("expected a whole number from 0 to {MAX_ROUNDS}")),
        }
    }
}

fn country(text: &str) -> Result<String, String> {
    crate::consensus::parse_country(text.as_bytes())
        .ok_or_else(|| "expected a two-letter country code, for example de".to_owned())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PaceName {
    Conservative,
    Default,
    Aggressive,
}

/// Where the list of named exits comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WantedExits {
    /// Running exits without BadExit.
    Exits,
    /// BadExit too.
    AllExits,
    /// BadExit only.
    BadExits,
    /// These, and those in the file.
    Named(BTreeSet<Fingerprint>, Option<PathBuf>),
}

/// Which tor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TorChoice {
    /// One that is running.
    Running(ControlAddr),
    /// One to start.
    Own {
        /// The program.
        program: PathBuf,
        /// Its directory; none for the default.
        dir: Option<PathBuf>,
        /// A file of further torrc lines.
        torrc_extra: Option<PathBuf>,
    },
}

/// What is asked for of resolvers after the verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanChecks {
    /// What the names are made under.
    pub domain: Domain,
    /// What is asked for.
    pub wanted: BTreeSet<WantedCheck>,
    /// When the last such run began, if that is known.
    pub since: Option<DateTime<Utc>>,
}

/// A checked configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanConfig {
    /// Where results go; none for a new directory.
    pub analysis_dir: Option<PathBuf>,
    /// Go on with what is there.
    pub resume: bool,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Whether to show progress.
    pub progress: bool,
    /// How answers are judged.
    pub mode: Mode,
    /// What names are made under.
    pub domain: Domain,
    /// The expected address; none in nxdomain mode.
    pub expected: Option<IpAddr>,
    /// The IPv6 address that names in the zone have too.
    pub expected_ipv6: Option<Ipv6Addr>,
    /// What is asked for after the verdict, and under which domain.
    pub checks: Option<ScanChecks>,
    /// Which exits.
    pub wanted: WantedExits,
    /// Only this country.
    pub country: Option<String>,
    /// A file of exits that are not tested.
    pub exclude_file: Option<PathBuf>,
    /// Only this shard.
    pub shard: Shard,
    /// The one first hop, where given.
    pub first_hop: Option<Fingerprint>,
    /// Most circuits under way through one first hop.
    pub max_per_first_hop: u32,
    /// Pace, caps and tries.
    pub pace: crate::schedule::Pace,
    /// Which tor.
    pub tor: TorChoice,
    /// How long its start may take.
    pub bootstrap_timeout: Duration,
    /// How long a running one that is lost is waited for.
    pub tor_wait: Duration,
}

pub use settings::Usage;

impl ScanCli {
    /// Checks what single flags cannot.
    ///
    /// # Errors
    ///
    /// [`Usage`], in words for the person who gave the flags.
    pub fn check(self) -> Result<ScanConfig, Usage> {
        let expected_ipv6 = self.question.expected_ipv6;
        let checks = self.question.checks()?;
        let (mode, domain, expected) = self.question.check()?;
        let country = self.exits.country.clone();
        let shard = self.exits.shard.unwrap_or(Shard::WHOLE);
        let exclude_file = self.exits.exclude_file.clone();
        let wanted = self.exits.check()?;
        let first_hop = self.pacing.first_hop;
        let (mut pace, max_per_first_hop) = self.pacing.check();
        let bootstrap_timeout =
            self.tor.bootstrap_timeout.map_or(Duration::from_secs(300), |s| s.0);
        let tor_wait = self.tor.tor_wait.map_or(Duration::from_secs(120), |s| s.0);
        pace.patience = tor_wait;
        let analysis_dir = self.analysis_dir;
        if self.resume && analysis_dir.is_none() {
            return Err(Usage("--resume needs --analysis-dir: which run is to go on?".to_owned()));
        }
        if self.resume && self.dry_run {
            return Err(Usage("--resume and --dry-run do not go together".to_owned()));
        }
        Ok(ScanConfig {
            analysis_dir,
            resume: self.resume,
            dry_run: self.dry_run,
            progress: !self.no_progress,
            mode,
            domain,
            expected,
            expected_ipv6,
            checks,
            wanted,
            country,
            exclude_file,
            shard,
            first_hop,
            max_per_first_hop,
            pace,
            tor: self.tor.check()?,
            bootstrap_timeout,
            tor_wait,
        })
    }
}

impl QuestionFlags {
    /// What is asked for after the verdict; none in nxdomain mode, whose domain is somebody else's, and
    /// where exits are asked for IPv6 addresses alone.
    fn checks(&self) -> Result<Option<ScanChecks>, Usage> {
        if self.host.is_some() || matches!(self.expected_ip, Some(IpAddr::V6(_))) {
            return Ok(None);
        }
        let wanted: BTreeSet<_> = self.checks.iter().copied().collect();
        if wanted.is_empty() {
            return Ok(None);
        }
        let zone = self.domain.as_ref().map_or(DEFAULT_DOMAIN, Domain::as_str);
        let domain = match &self.checks_domain {
            Some(domain) => domain.clone(),
            None => format!("checks.{zone}").parse().map_err(|error: InvalidDomain| {
                Usage(format!("--checks: checks.{zone}: {error}; give --checks-domain"))
            })?,
        };
        if domain.as_str().len() > LONGEST_CHECKS_DOMAIN {
            return Err(Usage(format!(
                "--checks-domain has {} characters; it may have {LONGEST_CHECKS_DOMAIN}",
                domain.as_str().len()
            )));
        }
        Ok(Some(ScanChecks { domain, wanted, since: self.checks_since }))
    }

    fn check(self) -> Result<(Mode, Domain, Option<IpAddr>), Usage> {
        let expected = self.expected_ip.unwrap_or(DEFAULT_EXPECTED);
        if let Some(host) = self.host {
            return Ok((Mode::Nxdomain, host, None));
        }
        let domain = match self.domain {
            Some(domain) => domain,
            None => {
                DEFAULT_DOMAIN.parse().map_err(|error: InvalidDomain| Usage(error.to_string()))?
            }
        };
        Ok((Mode::Wildcard, domain, Some(expected)))
    }
}

impl ExitFlags {
    fn check(self) -> Result<WantedExits, Usage> {
        let named = !self.exit.is_empty() || self.exit_file.is_some();
        match (named, self.all_exits, self.bad_exits) {
            (false, false, false) => Ok(WantedExits::Exits),
            (false, true, false) => Ok(WantedExits::AllExits),
            (false, _, true) => Ok(WantedExits::BadExits),
            // ALL_EXITS may stand in a config.env that also serves single tests by hand.
            (true, _, false) => {
                Ok(WantedExits::Named(self.exit.into_iter().collect(), self.exit_file))
            }
            (true, _, true) => Err(Usage(
                "--bad-exits chooses exits by flag; --exit and --exit-file name them: give one"
                    .to_owned(),
            )),
        }
    }
}

impl Pacing {
    fn check(self) -> (crate::schedule::Pace, u32) {
        let (build_delay, delay_noise, query_timeout, tries) = match self.pace {
            PaceName::Conservative => (3.0, 2.0, 15.0, 3),
            PaceName::Default => (2.0, 1.0, 10.0, 2),
            PaceName::Aggressive => (1.0, 0.5, 5.0, 1),
        };
        let seconds = |value: Option<Seconds>, default: f64| {
            value.map_or(Duration::from_secs_f64(default), |Seconds(time)| time)
        };
        let count = |value: Option<Count>, default| value.map_or(default, |Count(count)| count);
        let limits = crate::probe::Limits {
            circuit: seconds(self.circuit_timeout, 20.0),
            query: seconds(self.query_timeout, query_timeout),
        };
        let max_in_flight = count(self.max_in_flight, 64);
        let alone = self.first_hop.is_some();
        let per_first_hop = count(self.max_per_first_hop, if alone { max_in_flight } else { 4 });
        let pace = crate::schedule::Pace {
            build_delay: seconds(self.build_delay, build_delay),
            delay_noise: seconds(self.delay_noise, delay_noise),
            limits,
            tries: self.max_retries.map_or(tries, |Tries(tries)| tries),
            retry_delay: seconds(self.retry_delay, 1.0),
            max_in_flight: usize::try_from(max_in_flight).unwrap_or(usize::MAX),
            confirm_rounds: self.confirm_rounds.map_or(2, |Rounds(rounds)| rounds),
            confirm_after: seconds(self.confirm_after, 60.0),
            patience: Duration::ZERO,
        };
        (pace, per_first_hop)
    }
}

impl TorArgs {
    fn check(self) -> Result<TorChoice, Usage> {
        match self.control {
            Some(_) if self.torrc_extra.is_some() => Err(Usage(
                "--torrc-extra is for a tor of the scanner's own; --control uses one that is \
                 running: give one"
                    .to_owned(),
            )),
            Some(address) => Ok(TorChoice::Running(address)),
            None => Ok(TorChoice::Own {
                program: self.tor.unwrap_or_else(|| "tor".into()),
                dir: self.tor_dir,
                torrc_extra: self.torrc_extra,
            }),
        }
    }
}

#[cfg(test)]
mod tests;
