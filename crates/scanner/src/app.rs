//! A scan from its configuration to its exit code: the order of things, and nothing clever.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use record::{Fingerprint, TorInfo, printable};
use tokio::time::Instant;

use crate::cli::{ScanConfig, WantedExits};
use crate::driver::{Driver, ScanEnd, ScanOutcome, Writer};
use crate::part::{Book, End, RunPart, Todo};
use crate::prepare::{criteria, prepare};
use crate::progress::{Bootstrap, Progress, Screen};
use crate::results::{AnalysisDir, Earlier};
use crate::scan_error::ScanError;
use crate::schedule::{Notice, Scan};
use crate::select::Filter;
use crate::session::{Found, Session, Source};
use crate::signals::Signals;
use crate::summary::{Tally, summary};
use crate::{dry_run, inputs, story};

/// Scans as configured, and tells about it on `screen`.
///
/// # Errors
///
/// [`ScanError`]: also where the scan ran and was not completed.
pub async fn run(mut config: ScanConfig, screen: &Screen) -> Result<(), ScanError> {
    let mut signals = Signals::new().map_err(|error| {
        ScanError::Internal(anyhow::Error::new(error).context("cannot watch for signals"))
    })?;
    let request = ScanRequest {
        filter: inputs::filter(&config.wanted)?,
        on_request: match &config.exclude_file {
            Some(path) => inputs::exit_file(path, "--exclude-file")?,
            None => BTreeSet::new(),
        },
        started: wall_clock(),
    };
    let source = inputs::source(&config)?;
    let (dir, earlier) = inputs::open_results(&config, request.started)?;
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
    config.pace.limits.query = source.query_limit(&session, config.pace.limits.query).await?;
    let config = config;
    let mut tor = Tor { source: &source, found: &mut found };
    let ready = ready(&config, request, &mut tor, &mut session, &mut signals, (dir, earlier)).await;
    let ready = match ready {
        Ok(Ready::Scan(ready)) => *ready,
        Ok(Ready::DryRun(told)) => {
            tor.leave(session).await;
            screen.print(&told);
            return Ok(());
        }
        Err(error) => {
            tor.leave(session).await;
            return Err(error);
        }
    };
    scan(&config, ready, tor, session, &mut signals, screen).await
}

/// What is asked for, beside the configuration.
struct ScanRequest {
    filter: Filter,
    /// Relays whose operators asked not to be tested.
    on_request: BTreeSet<Fingerprint>,
    started: DateTime<Utc>,
}

/// What there is to do when all has been looked at.
enum Ready {
    /// Nothing: what would be done, in words.
    DryRun(String),
    /// A scan.
    Scan(Box<ReadyScan>),
}

/// A scan that can begin, and the directory of its results.
struct ReadyScan {
    part: RunPart,
    todo: Todo,
    dir: AnalysisDir,
    rng: StdRng,
}

/// Looks at tor and its directory, claims it, and writes down what is to be done.
async fn ready(
    config: &ScanConfig,
    request: ScanRequest,
    tor: &mut Tor<'_>,
    session: &mut Session,
    signals: &mut Signals,
    (dir, earlier): (Option<AnalysisDir>, Option<Earlier>),
) -> Result<Ready, ScanError> {
    let planned = earlier.as_ref().map(|earlier| &earlier.plan);
    let preparing = async {
        session.look(&config.domain, wall_clock()).await?;
        let criteria = criteria(config, &request.filter, request.on_request, planned);
        prepare(config, criteria, planned, &session.control).await
    };
    let basis = tokio::select! {
        basis = preparing => basis?,
        signal = signals.next() => return Err(interrupted_early(signal)),
    };
    // A dry run: there is no directory.
    let Some(dir) = dir else {
        let told = dry_run::tell(config, &basis, tor.source.is_own(), &session.version);
        return Ok(Ready::DryRun(told));
    };
    // Before anything is written: a scan that is refused leaves nothing.
    session.claim(tor.source, tor.found).await?;
    session.begin_with(tor.source, config.pace.limits.query, tor.found).await?;
    let mut rng = StdRng::from_rng(&mut rand_source());
    let run_id = format!("{}-{:08x}", request.started.format("%Y%m%dT%H%M%SZ"), rng.next_u32());
    let (part, todo) = RunPart::start(config, basis, earlier, &dir, run_id, request.started)?;
    Ok(Ready::Scan(Box::new(ReadyScan { part, todo, dir, rng })))
}

/// Scans, and writes down how it ended.
async fn scan(
    config: &ScanConfig,
    ReadyScan { part, todo, dir, rng }: ReadyScan,
    mut tor: Tor<'_>,
    session: Session,
    signals: &mut Signals,
    screen: &Screen,
) -> Result<(), ScanError> {
    let version = session.version.clone();
    let single = matches!(&config.wanted, WantedExits::Named(..)) && part.plan.relays.len() == 1;
    let mut tally = Tally::default();
    part.final_results.iter().for_each(|result| tally.add(result));
    let mut book =
        Book::new(&part.plan, part.final_results.iter().map(|r| (r.exit_fingerprint, r.status)));
    let mut writer = Writer::new(dir);
    let mut progress = Progress::new(screen, part.plan.relays.len(), book.counts());
    let mut scan = Scan::new(todo.context, config.pace.clone(), todo.targets, todo.hops, rng);
    let began = now();
    let mut driver = Driver {
        scan: &mut scan,
        started: began,
        source: tor.source,
        found: &mut *tor.found,
        bootstrap_limit: config.bootstrap_timeout,
        tor_wait: config.tor_wait,
        query_timeout: config.pace.limits.query,
        signals,
        writer: &mut writer,
        screen,
        progress: &mut progress,
    };
    let running = driver.run(session, |report| match report {
        Notice::Attempt(_, attempt) if single => screen.print(&story::attempt(attempt)),
        Notice::Attempt(relay, attempt) => {
            tracing::debug!("{relay}: {}", story::attempt(attempt).trim_end());
        }
        Notice::Result { result, last } => {
            book.enter(result.exit_fingerprint, result.status, result.provisional);
            if *last {
                tally.add(result);
                if single {
                    screen.print(&story::verdict(result));
                }
            }
        }
        Notice::Round { .. } | Notice::Paused(_) | Notice::GoesOn => {}
    });
    // Even a fault of ours must not leave a running tor as it is during a scan.
    let Ok(outcome) = AssertUnwindSafe(running).catch_unwind().await else {
        tor.restore().await;
        let told = "the scanner failed by a fault of its own, told above; --resume goes on";
        return Err(ScanError::Internal(anyhow::anyhow!(told)));
    };
    let probing = began.elapsed();
    progress.finish();
    let ScanOutcome { ended, session, restarts } = outcome;
    match session {
        Some(session) => tor.leave(session).await,
        None => tor.restore().await,
    }
    let dir = writer.finish().map_err(ScanError::Write)?;
    let reason = why(ended)?;
    let info = TorInfo { version, own: tor.source.is_own(), restarts };
    let run = part.ended(config, &book, End { reason, ended: wall_clock(), probing, tor: info });
    dir.write_run(&run)?;
    if !single || !run.complete {
        screen.print(&summary(&run, &mut tally, dir.path()));
    } else {
        screen.print(&format!("Results: {}\n", printable(&dir.path().display().to_string())));
    }
    if run.complete { Ok(()) } else { Err(ScanError::Incomplete) }
}

/// Why a scan is not complete; nothing where it is.
fn why(ended: ScanEnd) -> Result<Option<String>, ScanError> {
    Ok(match ended {
        ScanEnd::Finished => None,
        ScanEnd::Interrupted(signal) => Some(format!("interrupted by {signal}")),
        ScanEnd::TorGone(error) => Some(error.to_string()),
        ScanEnd::GaveUp(why) => Some(why),
        ScanEnd::CannotWrite(error) => return Err(ScanError::Write(error)),
    })
}

/// The tor that is scanned through, and what was found in it before.
struct Tor<'a> {
    source: &'a Source,
    found: &'a mut Found,
}

impl Tor<'_> {
    /// Puts back what the scan changed, by its own connection or by a new one.
    async fn leave(&mut self, session: Session) {
        match session.leave(self.found).await {
            Ok(()) => self.source.done(self.found),
            Err(error) => {
                tracing::debug!(
                    "putting options back by the scan's own connection failed: {error}"
                );
                self.restore().await;
            }
        }
    }

    async fn restore(&mut self) {
        match self.source.restore(self.found).await {
            Ok(()) => self.source.done(self.found),
            Err(error) => tracing::warn!(
                "the options that the scan changed in the running tor could not be put back: \
                 {error}. If it is still running, set __LeaveStreamsUnattached to 0 in it, or \
                 restart it"
            ),
        }
    }
}

fn interrupted_early(signal: &str) -> ScanError {
    tracing::warn!("interrupted by {signal} before the first circuit");
    ScanError::Incomplete
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
