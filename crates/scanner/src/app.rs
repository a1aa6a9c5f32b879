//! A scan from its configuration to its exit code: the order of things, and nothing clever.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use record::{
    Bandwidth, Counts, Excluded as ExcludedRelay, Fingerprint, Ipv6, Kind, Mode, Plan,
    PlannedRelay, RelayInfo, Run, Selection, Settings, Shard, TorInfo, printable, unreached,
};
use tokio::time::Instant;
use tor_control::Password;

use crate::classify::Judge;
use crate::cli::{Config, TorChoice, Usage, Wanted};
use crate::consensus::{Descriptor, Relay, Statuses};
use crate::directory::{self, Directory};
use crate::driver::{Driver, Ended, Outcome, Writer};
use crate::hops::{Candidate, FirstHops, Ties, is_first_hop};
use crate::own_tor::OwnTorHome;
use crate::progress::{Bootstrap, Progress, Screen};
use crate::results::{AnalysisDir, Earlier, ResultsError};
use crate::schedule::{Report, RunContext, Scan, Target};
use crate::select::{Criteria, Filter, door, is_exit, may_exit, select};
use crate::session::{Found, Session, SessionError, Source};
use crate::signals::Signals;
use crate::summary::{Tally, spoken, summary};
use crate::{dry_run, story};

/// The environment variable with the control port's password: never a flag, which others could
/// read in the process list.
pub const PASSWORD_VARIABLE: &str = "TOR_CONTROL_PASSWORD";

/// Largest list of exits or torrc lines that is read.
const MAX_INPUT: u64 = 16 * 1024 * 1024;

/// Why there is no finished scan.
#[derive(Debug)]
pub enum Failure {
    /// A flag, a variable or a combination is wrong: nothing was started.
    Usage(String),
    /// There is no tor to scan through.
    Tor(SessionError),
    /// Results cannot be written.
    Write(ResultsError),
    /// The scan ended before every relay had its result; its reason has been told.
    Incomplete,
    /// The system refused something that always works.
    Internal(anyhow::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) => f.write_str(text),
            Self::Tor(error) => error.fmt(f),
            Self::Write(error) => error.fmt(f),
            Self::Incomplete => f.write_str("the run is incomplete"),
            Self::Internal(error) => write!(f, "{error:#}"),
        }
    }
}

impl From<Usage> for Failure {
    fn from(usage: Usage) -> Self {
        Self::Usage(usage.0)
    }
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        Self::Tor(error)
    }
}

impl From<tor_control::Error> for Failure {
    fn from(error: tor_control::Error) -> Self {
        Self::Tor(error.into())
    }
}

impl From<ResultsError> for Failure {
    fn from(error: ResultsError) -> Self {
        if error.is_io() { Self::Write(error) } else { Self::Usage(error.to_string()) }
    }
}

/// Scans as configured, and tells about it on `screen`.
///
/// # Errors
///
/// [`Failure`]: also where the scan ran and was not completed.
pub async fn run(config: Config, screen: &Screen) -> Result<(), Failure> {
    let mut signals = Signals::new().map_err(|error| {
        Failure::Internal(anyhow::Error::new(error).context("cannot watch for signals"))
    })?;
    let filter = filter(&config.wanted)?;
    let on_request = match &config.exclude_file {
        Some(path) => exit_file(path, "--exclude-file")?,
        None => BTreeSet::new(),
    };
    let source = source(&config)?;
    let started_at = wall_clock();
    let mut rng = StdRng::from_rng(&mut rand_source());
    let run_id = format!("{}-{:08x}", started_at.format("%Y%m%dT%H%M%SZ"), rng.next_u32());
    let (dir, earlier) = open_results(&config, started_at)?;
    if let Some(Earlier { run: Some(run), .. }) = &earlier
        && run.complete
    {
        screen.print(&format!("Run {} is complete already: nothing to resume.\n", run.run_id));
        return Ok(());
    }

    let mut found = Found::new(config.domain.clone());
    let mut bootstrap = Bootstrap::new(screen);
    let opening = source.open(config.bootstrap_timeout, &mut bootstrap);
    // Nothing is changed in tor before it is claimed.
    let mut session = tokio::select! {
        opened = opening => opened?,
        signal = signals.next() => return Err(interrupted_early(signal)),
    };
    let mut config = config;
    config.pace.limits.query = source.query_limit(&session, config.pace.limits.query).await?;
    let config = config;

    let planned = earlier.as_ref().map(|earlier| &earlier.plan);
    let prepared = {
        let preparing = async {
            session.look(&config.domain, wall_clock()).await?;
            let criteria = criteria(&config, &filter, on_request, planned);
            prepare(&config, criteria, planned, &session.control).await
        };
        tokio::select! {
            prepared = preparing => prepared,
            signal = signals.next() => Err(interrupted_early(signal)),
        }
    };
    let (prepared, dir) = match (prepared, dir) {
        (Err(failure), _) => {
            leave(&source, session, &mut found).await;
            return Err(failure);
        }
        // A dry run: there is no directory.
        (Ok(prepared), None) => {
            let version = session.version.clone();
            leave(&source, session, &mut found).await;
            screen.print(&dry_run::tell(&config, &prepared, source.is_own(), &version));
            return Ok(());
        }
        (Ok(prepared), Some(dir)) => (prepared, dir),
    };

    // Before anything is written: a scan that is refused leaves nothing.
    if let Err(error) = session.claim(&source, &mut found).await {
        leave(&source, session, &mut found).await;
        return Err(error.into());
    }
    if let Err(error) = session.begin_with(&source, config.pace.limits.query, &mut found).await {
        leave(&source, session, &mut found).await;
        return Err(error.into());
    }
    let version = session.version.clone();
    let part = match start(&config, prepared, earlier, &dir, run_id, started_at) {
        Ok(part) => part,
        Err(failure) => {
            leave(&source, session, &mut found).await;
            return Err(failure);
        }
    };
    let single = matches!(&config.wanted, Wanted::Named(..)) && part.plan.relays.len() == 1;
    let mut scan = Scan::new(part.context, config.pace.clone(), part.targets, part.hops, rng);
    let mut tally = Tally::default();
    part.final_results.iter().for_each(|result| tally.add(result));
    let mut book =
        Book::new(&part.plan, part.final_results.iter().map(|r| (r.exit_fingerprint, r.status)));
    let mut writer = Writer::new(dir);
    let mut progress = Progress::new(screen, part.plan.relays.len(), book.counts());
    let began = now();
    let mut driver = Driver {
        scan: &mut scan,
        started: began,
        source: &source,
        found: &mut found,
        bootstrap_limit: config.bootstrap_timeout,
        tor_wait: config.tor_wait,
        query_timeout: config.pace.limits.query,
        signals: &mut signals,
        writer: &mut writer,
        screen,
        progress: &mut progress,
    };
    let running = driver.run(session, |report| match report {
        Report::Attempt(_, attempt) if single => screen.print(&story::attempt(attempt)),
        Report::Attempt(relay, attempt) => {
            tracing::debug!("{relay}: {}", story::attempt(attempt).trim_end());
        }
        Report::Result { result, last } => {
            book.enter(result.exit_fingerprint, result.status, result.provisional);
            if *last {
                tally.add(result);
                if single {
                    screen.print(&story::verdict(result));
                }
            }
        }
        Report::Round { .. } | Report::Paused(_) | Report::GoesOn => {}
    });
    // Even a fault of ours must not leave a running tor as it is during a scan.
    let Ok(outcome) = AssertUnwindSafe(running).catch_unwind().await else {
        restore(&source, &mut found).await;
        let told = "the scanner failed by a fault of its own, told above; --resume goes on";
        return Err(Failure::Internal(anyhow::anyhow!(told)));
    };
    let probing = began.elapsed();
    progress.finish();
    let Outcome { ended, session, restarts } = outcome;
    match session {
        Some(session) => leave(&source, session, &mut found).await,
        None => restore(&source, &mut found).await,
    }

    let (dir, write_error) = match writer.finish() {
        Ok(dir) => (Some(dir), None),
        Err((dir, error)) => (dir, Some(error)),
    };
    let reason = match (&ended, &write_error) {
        (_, Some(error)) => Some(format!("a result could not be written: {error}")),
        (Ended::Finished, None) => None,
        (Ended::Interrupted(signal), None) => Some(format!("interrupted by {signal}")),
        (Ended::TorGone(error), None) => Some(error.to_string()),
        (Ended::GaveUp(why), None) => Some(why.clone()),
        (Ended::CannotWrite(error), None) => {
            Some(format!("a result could not be written: {error}"))
        }
    };
    let previous = part.earlier_run;
    let run = Run {
        format: Kind::Run.format(),
        run_id: part.plan.run_id.clone(),
        complete: reason.is_none(),
        incomplete_reason: reason,
        mode: part.plan.mode,
        domain: part.plan.domain.clone(),
        expected_ip: part.plan.expected_ip,
        shard: Some(config.shard),
        selection: part.plan.selection.clone(),
        settings: settings(&config),
        started: part.plan.started,
        ended: wall_clock(),
        probing_seconds: probing.as_secs_f64()
            + previous.as_ref().map_or(0.0, |run| run.probing_seconds),
        resumed: part.resumed,
        consensus_valid_after: part.plan.consensus_valid_after,
        exit_dns_limit: Some(part.exit_dns_limit.as_secs_f64()),
        tor: TorInfo {
            version,
            own: source.is_own(),
            restarts: previous.as_ref().map_or(0, |run| run.tor.restarts).saturating_add(restarts),
        },
        scanner_version: env!("CARGO_PKG_VERSION").to_owned(),
        selected: u32::try_from(part.plan.relays.len()).unwrap_or(u32::MAX),
        counts: book.counts(),
        not_reached: unreached(&part.plan.relays, &book.with_result()),
        unconfirmed: book.provisional(),
    };
    if let Some(error) = write_error {
        return Err(Failure::Write(error));
    }
    if let Ended::CannotWrite(error) = ended {
        return Err(Failure::Write(error));
    }
    let Some(dir) = dir else {
        return Err(Failure::Internal(anyhow::anyhow!("the results' directory was lost")));
    };
    dir.write_run(&run)?;
    if !single || !run.complete {
        screen.print(&summary(&run, &mut tally, dir.path()));
    } else {
        screen.print(&format!("Results: {}\n", printable(&dir.path().display().to_string())));
    }
    if run.complete { Ok(()) } else { Err(Failure::Incomplete) }
}

/// Which relays have which result, for the run's own file.
#[derive(Debug)]
struct Book {
    order: Vec<Fingerprint>,
    results: HashMap<Fingerprint, (record::Status, bool)>,
}

impl Book {
    fn new(plan: &Plan, known: impl Iterator<Item = (Fingerprint, record::Status)>) -> Self {
        Self {
            order: plan.relays.iter().map(|relay| relay.fingerprint).collect(),
            results: known.map(|(relay, status)| (relay, (status, false))).collect(),
        }
    }

    fn enter(&mut self, relay: Fingerprint, status: record::Status, provisional: bool) {
        self.results.insert(relay, (status, provisional));
    }

    fn counts(&self) -> Counts {
        self.results.values().map(|(status, _)| *status).collect()
    }

    fn with_result(&self) -> BTreeSet<Fingerprint> {
        self.results.keys().copied().collect()
    }

    fn provisional(&self) -> Vec<Fingerprint> {
        let unconfirmed = |relay: &&Fingerprint| self.results.get(*relay).is_some_and(|r| r.1);
        self.order.iter().filter(unconfirmed).copied().collect()
    }
}

fn interrupted_early(signal: &str) -> Failure {
    tracing::warn!("interrupted by {signal} before the first circuit");
    Failure::Incomplete
}

async fn leave(source: &Source, session: Session, found: &mut Found) {
    match session.leave(found).await {
        Ok(()) => source.done(found),
        Err(error) => {
            tracing::debug!("putting options back by the scan's own connection failed: {error}");
            restore(source, found).await;
        }
    }
}

async fn restore(source: &Source, found: &mut Found) {
    match source.restore(found).await {
        Ok(()) => source.done(found),
        Err(error) => tracing::warn!(
            "the options that the scan changed in the running tor could not be put back: {error}. \
             If it is still running, set __LeaveStreamsUnattached to 0 in it, or restart it"
        ),
    }
}

fn filter(wanted: &Wanted) -> Result<Filter, Failure> {
    Ok(match wanted {
        Wanted::Exits => Filter::Exits,
        Wanted::AllExits => Filter::AllExits,
        Wanted::BadExits => Filter::BadExits,
        Wanted::Named(names, file) => {
            let mut names = names.clone();
            if let Some(path) = file {
                let listed = exit_file(path, "--exit-file")?;
                if listed.is_empty() {
                    return Err(Failure::Usage(format!("{} names no exit", path.display())));
                }
                names.extend(listed);
            }
            Filter::Named(names)
        }
    })
}

/// Reads a list of fingerprints: one a line, `#` begins a comment.
fn exit_file(path: &Path, flag: &str) -> Result<BTreeSet<Fingerprint>, Failure> {
    let text = read_input(path, flag)?;
    let mut names = BTreeSet::new();
    for (number, line) in text.lines().enumerate() {
        let entry = line.split('#').next().unwrap_or_default().trim();
        if entry.is_empty() {
            continue;
        }
        let name = entry.parse().map_err(|error| {
            Failure::Usage(format!(
                "{}, line {}: {:?}: {error}",
                path.display(),
                number + 1,
                printable(entry)
            ))
        })?;
        names.insert(name);
    }
    Ok(names)
}

fn read_input(path: &Path, flag: &str) -> Result<String, Failure> {
    use std::io::Read;
    let read = || -> std::io::Result<String> {
        let mut text = String::new();
        std::fs::File::open(path)?.take(MAX_INPUT).read_to_string(&mut text)?;
        Ok(text)
    };
    read()
        .map_err(|error| Failure::Usage(format!("cannot read {flag} {}: {error}", path.display())))
}

fn source(config: &Config) -> Result<Source, Failure> {
    match &config.tor {
        TorChoice::Running(address) => {
            let password = std::env::var(PASSWORD_VARIABLE).ok().filter(|text| !text.is_empty());
            Ok(Source::Running(address.clone(), password.map(Password::from)))
        }
        TorChoice::Own { program, dir, torrc_extra } => {
            let extra = match torrc_extra {
                Some(path) => read_input(path, "--torrc-extra")?,
                None => String::new(),
            };
            let dir = match dir {
                Some(dir) => dir.clone(),
                None => default_tor_dir()?,
            };
            let dir = std::path::absolute(&dir)
                .map_err(|error| Failure::Usage(format!("--tor-dir {}: {error}", dir.display())))?;
            let home = OwnTorHome::prepare(program.clone(), dir, extra)
                .map_err(|error| Failure::Tor(error.into()))?;
            Ok(Source::Own(Box::new(home)))
        }
    }
}

fn default_tor_dir() -> Result<PathBuf, Failure> {
    let var = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = var("XDG_STATE_HOME").or_else(|| Some(var("HOME")?.join(".local/state")));
    state.map(|state| state.join("exit-validator/tor")).ok_or_else(|| {
        Failure::Usage("neither XDG_STATE_HOME nor HOME is set: give --tor-dir".to_owned())
    })
}

fn open_results(
    config: &Config,
    started: DateTime<Utc>,
) -> Result<(Option<AnalysisDir>, Option<Earlier>), Failure> {
    if config.dry_run {
        return Ok((None, None));
    }
    let default =
        || PathBuf::from(format!("analysis/scan_{}", started.format("%Y-%m-%d_%H-%M-%S")));
    let path = config.analysis_dir.clone().unwrap_or_else(default);
    if !config.resume {
        return Ok((Some(AnalysisDir::create(&path)?), None));
    }
    let (dir, earlier) = AnalysisDir::resume(&path)?;
    let plan = &earlier.plan;
    let differs = [
        ("mode", plan.mode != config.mode),
        ("domain", plan.domain != config.domain.as_str()),
        ("expected address", plan.expected_ip != config.expected),
        ("shard", plan.shard.unwrap_or(Shard::WHOLE) != config.shard),
    ];
    let differs: Vec<&str> = differs.iter().filter(|(_, d)| *d).map(|(name, _)| *name).collect();
    if !differs.is_empty() {
        return Err(Failure::Usage(format!(
            "the run in {} was made with another {}: resume it with the flags it began with",
            path.display(),
            differs.join(", another ")
        )));
    }
    Ok((Some(dir), Some(earlier)))
}

/// What is known before the first circuit.
#[derive(Debug)]
pub struct Prepared {
    /// The exits to test, each with what the directory says of it, and an address and port that its
    /// policy allows, if that is known.
    pub exits: Vec<(PlannedRelay, RelayInfo, Option<SocketAddr>)>,
    /// Relays that may be first hops.
    pub hops: Vec<Candidate>,
    /// What ties those and the exits to each other.
    pub ties: HashMap<Fingerprint, Ties>,
    /// How the exits were chosen.
    pub selection: Selection,
    /// Start of the consensus's validity.
    pub valid_after: Option<DateTime<Utc>>,
    /// How long an exit waits for its resolver.
    pub exit_dns_limit: Duration,
}

/// Whom to look for: in a run that goes on, whom it set out to test, and not what this part's
/// flags would choose.
fn criteria(
    config: &Config,
    filter: &Filter,
    on_request: BTreeSet<Fingerprint>,
    planned: Option<&Plan>,
) -> Criteria {
    let names = planned.map(|plan| plan.relays.iter().map(|relay| relay.fingerprint).collect());
    Criteria {
        country: config.country.clone().filter(|_| planned.is_none()),
        filter: names.map_or_else(|| filter.clone(), Filter::Named),
        shard: config.shard,
        on_request,
        ipv6: matches!(config.expected, Some(IpAddr::V6(_))),
    }
}

async fn prepare(
    config: &Config,
    criteria: Criteria,
    planned: Option<&Plan>,
    control: &tor_control::Control,
) -> Result<Prepared, Failure> {
    // Before descriptors and countries are known, whoever might be chosen.
    let wanted = |statuses: &Statuses| -> HashSet<Fingerprint> {
        let in_shard = |relay: &Relay| criteria.shard.holds(&relay.fingerprint);
        let candidate = |relay: &&Relay| in_shard(relay) && may_exit(relay, &criteria.filter);
        statuses.relays.iter().filter(candidate).map(|relay| relay.fingerprint).collect()
    };
    let Directory { statuses, descriptors, header } =
        directory::fetch(control, wanted, is_first_hop, config.bootstrap_timeout).await?;
    if statuses.malformed > 0 {
        tracing::warn!("{} entries of the consensus could not be read", statuses.malformed);
    }
    let of_interest = wanted(&statuses);
    let addresses: Vec<IpAddr> = statuses
        .relays
        .iter()
        .filter(|relay| of_interest.contains(&relay.fingerprint))
        .map(|relay| relay.address.into())
        .collect();
    let countries = directory::countries(control, &addresses).await?;
    if countries.is_none() && criteria.country.is_some() {
        return Err(Failure::Usage(
            "--country needs tor's GeoIP file, which this tor does not have (Debian, Ubuntu: \
             apt-get install tor-geoipdb)"
                .to_owned(),
        ));
    }
    let countries = countries.unwrap_or_default();
    let chosen = select(&statuses.relays, &descriptors, &countries, &criteria);
    // A run that goes on tests whom it set out to test, also those that have left since.
    for (relay, why) in chosen.excluded.iter().filter(|_| planned.is_none()) {
        tracing::warn!("{relay} is not tested: it {why}");
    }
    let hops: Vec<Candidate> =
        statuses.relays.iter().filter(|relay| is_first_hop(relay)).map(Candidate::new).collect();
    if config.pace.limits.query <= header.exit_dns_limit {
        tracing::warn!(
            "the query timeout of {} s is not above the {} s that exits wait for their resolvers: \
             a silent resolver will look like an exit that does not answer; give more by \
             --query-timeout",
            config.pace.limits.query.as_secs_f64(),
            header.exit_dns_limit.as_secs_f64()
        );
    }
    check_first_hop(config, &statuses, &hops)?;
    if chosen.relays.is_empty() && planned.is_none() {
        return Err(Failure::Usage(no_exits(&statuses, &chosen.excluded)));
    }
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let selection = Selection {
        filter: criteria.filter.kind(),
        country: config.country.clone(),
        relays_in_consensus: count(statuses.relays.len()),
        exits_in_consensus: count(statuses.relays.iter().filter(|relay| is_exit(relay)).count()),
        excluded: chosen
            .excluded
            .iter()
            .map(|(relay, why)| ExcludedRelay { fingerprint: *relay, reason: why.to_string() })
            .collect(),
        on_request: count(chosen.on_request),
        left_out: chosen
            .left_out
            .iter()
            .map(|(why, count)| (why.name().to_owned(), *count))
            .collect(),
    };
    let exits = chosen
        .relays
        .iter()
        .map(|relay| {
            let planned = PlannedRelay {
                fingerprint: relay.fingerprint,
                nickname: relay.nickname.clone(),
                address: relay.address.into(),
            };
            let country = countries.get(&planned.address).cloned();
            let descriptor = descriptors.get(&relay.fingerprint);
            let door = descriptor.and_then(|known| door(&known.policy, config.expected));
            (planned, relay_info(relay, descriptor, country), door)
        })
        .collect();
    let tied = |relay: &&Relay| is_first_hop(relay) || of_interest.contains(&relay.fingerprint);
    let ties = statuses.relays.iter().filter(tied).map(|relay| {
        let descriptor = descriptors.get(&relay.fingerprint);
        let family = descriptor.into_iter().flat_map(|known| &known.family).map(String::as_str);
        (relay.fingerprint, Ties::new(relay.address.into(), relay.ipv6, family))
    });
    Ok(Prepared {
        exits,
        hops,
        ties: ties.collect(),
        selection,
        valid_after: header.valid_after,
        exit_dns_limit: header.exit_dns_limit,
    })
}

fn check_first_hop(
    config: &Config,
    statuses: &Statuses,
    hops: &[Candidate],
) -> Result<(), Failure> {
    if let Some(hop) = config.first_hop {
        if !statuses.relays.iter().any(|relay| relay.fingerprint == hop) {
            return Err(Failure::Usage(format!(
                "the first hop {hop} is not in the consensus: it is down, or the fingerprint is wrong"
            )));
        }
    } else if hops.is_empty() {
        return Err(Failure::Usage(
            "the consensus has no relay fit to be a first hop (Guard, Stable, Fast, measured): \
             give one by --first-hop"
                .to_owned(),
        ));
    }
    Ok(())
}

fn no_exits(statuses: &Statuses, excluded: &[(Fingerprint, crate::select::Excluded)]) -> String {
    if let [(relay, why)] = excluded {
        return format!("there is nothing to test: {relay} {why}");
    }
    format!(
        "there is nothing to test: of {} relays in the consensus, none is what --exit, --exit-file, \
         --all-exits, --bad-exits, --country and --shard ask for together",
        statuses.relays.len()
    )
}

fn relay_info(
    relay: &Relay,
    descriptor: Option<&Descriptor>,
    country: Option<String>,
) -> RelayInfo {
    let known = descriptor.cloned().unwrap_or_default();
    RelayInfo {
        flags: relay.flags.clone(),
        contact: known.contact,
        family: known.family,
        platform: known.platform,
        bandwidth: Bandwidth { consensus_weight: relay.weight, observed: known.observed_bandwidth },
        ipv6: Ipv6 {
            address: relay.ipv6.map(IpAddr::V6),
            exit: descriptor.map(|descriptor| !descriptor.policy.ipv6.is_empty()),
        },
        country,
    }
}

/// One part of a run: all of it, unless it was interrupted.
struct Part {
    plan: Plan,
    context: RunContext,
    targets: Vec<Target>,
    hops: FirstHops,
    final_results: Vec<record::RelayResult>,
    earlier_run: Option<Run>,
    resumed: u32,
    exit_dns_limit: Duration,
}

fn start(
    config: &Config,
    prepared: Prepared,
    earlier: Option<Earlier>,
    dir: &AnalysisDir,
    run_id: String,
    started: DateTime<Utc>,
) -> Result<Part, Failure> {
    let hops =
        FirstHops::new(prepared.hops, prepared.ties, config.first_hop, config.max_per_first_hop);
    let judge = Judge {
        mode: config.mode,
        expected: config.expected,
        exit_dns_limit: prepared.exit_dns_limit,
    };
    let mut info: HashMap<Fingerprint, RelayInfo> = HashMap::new();
    let mut doors = HashMap::new();
    let mut relays = Vec::with_capacity(prepared.exits.len());
    for (relay, what, door) in prepared.exits {
        info.insert(relay.fingerprint, what);
        doors.insert(relay.fingerprint, door);
        relays.push(relay);
    }
    let (plan, mut results, earlier_run) = match earlier {
        Some(Earlier { plan, run, results }) => {
            dir.reopen_run()?;
            (plan, results, run)
        }
        None => {
            let plan = Plan {
                format: Kind::Plan.format(),
                run_id,
                started,
                mode: config.mode,
                domain: config.domain.as_str().to_owned(),
                expected_ip: config.expected,
                shard: Some(config.shard),
                selection: prepared.selection,
                settings: settings(config),
                consensus_valid_after: prepared.valid_after,
                exit_dns_limit: Some(prepared.exit_dns_limit.as_secs_f64()),
                relays,
            };
            dir.write_plan(&plan)?;
            (plan, HashMap::new(), None)
        }
    };
    let mut targets = Vec::new();
    let mut final_results = Vec::new();
    for relay in &plan.relays {
        match results.remove(&relay.fingerprint) {
            Some(result) if !result.provisional => final_results.push(result),
            provisional => {
                let (attempts, known) =
                    provisional.map(|r| (r.attempts, Some(r.relay))).unwrap_or_default();
                // A relay that has left the consensus is asked for all the same: tor says so.
                let info = info.remove(&relay.fingerprint).or(known).unwrap_or_default();
                let door = doors.remove(&relay.fingerprint).flatten();
                targets.push(Target { relay: relay.clone(), info, attempts, door });
            }
        }
    }
    if let Some(target) = targets.iter().find(|target| !hops.can_reach(&target.relay.fingerprint)) {
        return Err(Failure::Usage(format!(
            "{} is the only first hop there is, so it cannot be tested itself: give another by \
             --first-hop",
            target.relay.fingerprint
        )));
    }
    let context = RunContext {
        run_id: plan.run_id.clone(),
        shard: Some(config.shard),
        domain: config.domain.clone(),
        judge,
    };
    let resumed = earlier_run.as_ref().map_or(0, |run| run.resumed);
    let resumed = resumed.saturating_add(u32::from(config.resume));
    Ok(Part {
        plan,
        context,
        targets,
        hops,
        final_results,
        earlier_run,
        resumed,
        exit_dns_limit: prepared.exit_dns_limit,
    })
}

pub(crate) fn settings(config: &Config) -> Settings {
    let pace = &config.pace;
    Settings {
        build_delay: pace.build_delay.as_secs_f64(),
        delay_noise: pace.delay_noise.as_secs_f64(),
        query_timeout: pace.limits.query.as_secs_f64(),
        circuit_timeout: pace.limits.circuit.as_secs_f64(),
        max_retries: pace.tries,
        retry_delay: pace.retry_delay.as_secs_f64(),
        max_in_flight: u32::try_from(pace.max_in_flight).unwrap_or(u32::MAX),
        max_per_first_hop: config.max_per_first_hop,
        confirm_rounds: pace.confirm_rounds,
        confirm_after: pace.confirm_after.as_secs_f64(),
        first_hop: config.first_hop,
    }
}

/// How long a scan of `exits` takes at this pace if nothing fails.
#[must_use]
pub fn expected_duration(config: &Config, exits: usize) -> String {
    let exits = u32::try_from(exits).unwrap_or(u32::MAX);
    spoken(config.pace.build_delay.saturating_mul(exits))
}

/// The mode in words.
#[must_use]
pub const fn mode_in_words(mode: Mode) -> &'static str {
    match mode {
        Mode::Wildcard => "every name must resolve to the expected address",
        Mode::Nxdomain => "no name exists; any definite answer is a success",
    }
}

#[expect(clippy::disallowed_methods, reason = "an edge: the run's times come from here")]
fn wall_clock() -> DateTime<Utc> {
    Utc::now()
}

#[expect(clippy::disallowed_methods, reason = "an edge: the scan's time begins here")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "an edge: the run's seed comes from here")]
fn rand_source() -> rand::rngs::ThreadRng {
    rand::rng()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[test]
    fn a_run_that_goes_on_looks_for_whom_it_planned() {
        let flags = ["scanner", "--country", "de", "--resume", "--analysis-dir", "d"];
        let config = crate::cli::Cli::parse_from(flags).check().unwrap();
        let relay = Fingerprint::from_bytes([7; 20]);
        let plan = Plan {
            format: Kind::Plan.format(),
            run_id: "run".to_owned(),
            started: DateTime::UNIX_EPOCH,
            mode: config.mode,
            domain: config.domain.as_str().to_owned(),
            expected_ip: config.expected,
            shard: None,
            selection: Selection {
                filter: record::RelayFilter::BadExits,
                country: None,
                relays_in_consensus: 1,
                exits_in_consensus: 1,
                excluded: Vec::new(),
                on_request: 0,
                left_out: std::collections::BTreeMap::new(),
            },
            settings: settings(&config),
            consensus_valid_after: None,
            exit_dns_limit: None,
            relays: vec![PlannedRelay {
                fingerprint: relay,
                nickname: "relay".to_owned(),
                address: [192, 0, 2, 1].into(),
            }],
        };
        let criteria = criteria(&config, &Filter::Exits, BTreeSet::new(), Some(&plan));
        assert_eq!(criteria.filter, Filter::Named([relay].into()));
        assert_eq!(criteria.country, None);
    }
}
