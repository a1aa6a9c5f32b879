//! The order of the stages, and how the run ends. Pure but for its [`Host`], which may as well be
//! a list of what happens.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::exit::Exit;
use crate::run::settings::JobSettings;

/// How much a line of the log matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// Said with -v alone.
    Debug,
    Info,
    Warn,
    Error,
}

/// A program that a stage starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    Scan,
    Report,
    Upload,
    Retain,
    Notify,
    Domains,
}

/// A program to be run for so long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stage {
    /// What it is called in the log.
    pub(crate) name: &'static str,
    pub(crate) program: Program,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) limit: Duration,
}

/// How a stage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// By itself, with this code.
    Code(u8),
    /// By this signal, which was not ours.
    Signal(u8),
    /// It was ended at its limit.
    Late,
    /// It could not be started.
    Missing,
}

impl Status {
    /// The way to end that its code stands for.
    fn exit(self) -> Option<Exit> {
        match self {
            Self::Code(code) => Exit::of(code),
            Self::Signal(_) | Self::Late | Self::Missing => None,
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "status {code}"),
            // As a shell counts it.
            Self::Signal(signal) => {
                write!(f, "status {} (signal {signal})", signal.saturating_add(128))
            }
            Self::Late => f.write_str("status 124 (its time was over)"),
            Self::Missing => f.write_str("status 127 (it was not started)"),
        }
    }
}

/// A stage that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StageEnd {
    pub(crate) status: Status,
    /// What it printed.
    pub(crate) output: String,
}

/// A run on the disk that scanned the network to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Complete {
    pub(crate) directory: PathBuf,
    pub(crate) id: String,
    pub(crate) began: DateTime<Utc>,
    pub(crate) ended: DateTime<Utc>,
    /// Which part it scanned, as SHARD says it.
    pub(crate) shard: Option<String>,
    /// The store that it was handed over to.
    pub(crate) handed_to: Option<String>,
}

/// Which runs the published reports are made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reported {
    pub(crate) runs: BTreeSet<String>,
    /// The time of the newest report.
    pub(crate) newest: Option<DateTime<Utc>>,
}

/// The machine that the job runs on.
pub(crate) trait Host {
    /// Runs a program to its end, or to its limit.
    async fn stage(&mut self, stage: Stage) -> StageEnd;
    /// Waits, or until a signal comes.
    async fn pause(&mut self, time: Duration);
    /// The signal that has come.
    fn stopped(&self) -> Option<Exit>;
    /// A clock that nobody sets.
    fn uptime(&self) -> Duration;
    /// The time of day.
    fn now(&self) -> DateTime<Utc>;
    fn say(&mut self, level: Level, text: &str);
    /// The least free space of the directories, in megabytes.
    fn free_mb(&self) -> u64;
    /// What is wrong with the clock.
    fn clock_trouble(&self) -> Option<String>;
    /// The runs that scanned the network to its end, in any order.
    fn complete_runs(&self) -> Vec<Complete>;
    fn reported(&self) -> Reported;
    /// Asks the address of the heartbeat; in words, why that failed, without the address.
    async fn beat(&mut self, address: &str) -> Result<(), String>;
    /// Marks a run as handed over to this store.
    fn mark_handed_over(&mut self, directory: &std::path::Path, store: &str);
    /// The directories of scans, by name, each with the time of its plan, and whether it is complete.
    fn scans(&self) -> Vec<(PathBuf, Option<DateTime<Utc>>, bool)>;
    /// Whether something is there.
    fn exists(&self, path: &std::path::Path) -> bool;
}

/// A part of the job, done by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum JobPart {
    /// Scan; a scan of the last day that is not finished is resumed
    Scan,
    /// Make the reports of the runs that have none, or of the newest run again
    #[value(alias = "aggregate")]
    Report,
    /// Upload, or hand over this host's shard
    Upload,
    /// Tell who is to be told what fails, and what works again
    Notify,
    /// Remove what is no longer kept
    Retain,
}

/// How long an unfinished scan can be resumed.
const RESUMED_FOR: TimeDelta = TimeDelta::days(1);

/// How long a shard's run is handed over: `upload pull` fetches no older one.
const HANDED_OVER_FOR: TimeDelta = TimeDelta::days(2);

/// How long the domains that relays name may be checked. What is not done then has its turn in the next run.
const DOMAINS_LIMIT: Duration = Duration::from_secs(1200);

/// How long notices may take: each request has a limit of its own.
const NOTIFY_LIMIT: Duration = Duration::from_secs(600);

/// When notices are sent.
#[derive(Debug, Clone, Copy)]
enum Sending {
    Now,
    Later,
}

/// How a run ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RunOutcome {
    pub(crate) exit: Exit,
    /// What went wrong.
    pub(crate) troubles: Vec<String>,
    /// The newest report's main figures.
    pub(crate) figures: String,
    /// The stores that were uploaded to, on one line.
    pub(crate) stores: String,
    /// The scan of this run.
    pub(crate) scan: Option<PathBuf>,
}

/// A run.
pub(crate) struct Job<'a, H> {
    host: &'a mut H,
    settings: &'a JobSettings,
    outcome: RunOutcome,
    /// Whether the newest report was let out.
    let_out: bool,
}

/// Whether what failed leaves a good report behind.
const fn is_mild(exit: Exit) -> bool {
    matches!(
        exit,
        Exit::Done
            | Exit::History
            | Exit::Held
            | Exit::Exports
            | Exit::Domains
            | Exit::Notices
            | Exit::Told
            | Exit::Retain
            | Exit::RetainLimit
    )
}

/// The complete runs that no report holds, oldest first. What ended before the newest report is not
/// among them: reports do not go back.
fn unreported(runs: Vec<Complete>, reported: &Reported, shard: Option<&str>) -> Vec<PathBuf> {
    oldest_first(runs, |run| {
        run.shard.as_deref() == shard
            && !reported.runs.contains(&run.id)
            && reported.newest.is_none_or(|newest| run.ended > newest)
    })
}

/// The complete runs of this shard that the store was not given, oldest first.
fn not_handed_over(
    runs: Vec<Complete>,
    shard: Option<&str>,
    store: &str,
    now: DateTime<Utc>,
) -> Vec<PathBuf> {
    oldest_first(runs, |run| {
        run.shard.as_deref() == shard
            && run.handed_to.as_deref() != Some(store)
            && now - run.ended < HANDED_OVER_FOR
    })
}

fn oldest_first(mut runs: Vec<Complete>, wanted: impl FnMut(&Complete) -> bool) -> Vec<PathBuf> {
    runs.retain(wanted);
    runs.sort_by(|a, b| (a.ended, &a.directory).cmp(&(b.ended, &b.directory)));
    runs.into_iter().map(|run| run.directory).collect()
}

impl<'a, H: Host> Job<'a, H> {
    pub(crate) fn new(host: &'a mut H, settings: &'a JobSettings) -> Self {
        Self { host, settings, outcome: RunOutcome::default(), let_out: false }
    }

    /// Does one part, or the whole.
    pub(crate) async fn run(mut self, only: Option<JobPart>) -> RunOutcome {
        match only {
            None => self.whole().await,
            Some(JobPart::Scan) => {
                if self.machine_is_fit().await {
                    let resumable = self.unfinished_scan();
                    self.scan(resumable).await;
                }
            }
            Some(JobPart::Report) => {
                self.report_again().await;
            }
            Some(JobPart::Upload) if self.hands_over() => self.hand_over_again().await,
            Some(JobPart::Upload) => {
                self.publish().await;
            }
            Some(JobPart::Notify) => {
                self.exchange().await;
                self.notify(Sending::Now).await;
                self.exchange().await;
            }
            Some(JobPart::Retain) => self.retain().await,
        }
        if let Some(signal) = self.host.stopped() {
            self.outcome.exit = signal;
        }
        self.outcome
    }

    async fn whole(&mut self) {
        let mut exchanged = false;
        if self.machine_is_fit().await {
            let mut reported = false;
            if self.hands_over() {
                self.hand_over_earlier().await;
            } else {
                reported = self.report_earlier().await;
            }
            if self.scan(None).await {
                let run = self.outcome.scan.clone();
                if !self.hands_over() {
                    reported |= self.report(run, self.settings.gather_wait).await;
                } else if let Some(run) = run {
                    self.hand_over(run).await;
                }
            }
            if reported {
                self.exchange().await;
                exchanged = true;
                // Before the upload, which carries them; told is what is there to be looked at.
                self.notify(Sending::Later).await;
                if self.publish().await && self.let_out {
                    self.beat().await;
                }
            }
        }
        if !self.hands_over() && self.settings.tells {
            if !exchanged {
                self.exchange().await;
            }
            self.notify(Sending::Now).await;
            self.exchange().await;
        }
        self.retain().await;
    }

    /// Whether this host scans a shard for another one, which makes the report.
    fn hands_over(&self) -> bool {
        self.settings.shard.is_some() && !self.settings.gather
    }

    fn is_stopped(&self) -> bool {
        self.host.stopped().is_some()
    }

    fn say(&mut self, text: &str) {
        self.host.say(Level::Info, text);
    }

    /// Remembers a failure: of several, the gravest that came first.
    fn fail(&mut self, exit: Exit, text: String) {
        self.host.say(Level::Error, &text);
        self.outcome.troubles.push(text);
        let before = self.outcome.exit;
        if before == Exit::Done || is_mild(before) && !is_mild(exit) {
            self.outcome.exit = exit;
        }
    }

    async fn stage(
        &mut self,
        name: &'static str,
        program: Program,
        arguments: Vec<OsString>,
        limit: Duration,
    ) -> StageEnd {
        self.host.stage(Stage { name, program, arguments, limit }).await
    }

    async fn machine_is_fit(&mut self) -> bool {
        if let Some(trouble) = self.host.clock_trouble() {
            self.fail(Exit::Clock, format!("clock: {trouble}"));
            return false;
        }
        let least = self.settings.min_free_mb;
        let free = self.host.free_mb();
        if free >= least {
            return true;
        }
        let text = format!("disk: {free} MB are free, and MIN_FREE_MB is {least}");
        self.host.say(Level::Warn, &format!("{text}: making room first"));
        self.retain().await;
        let free = self.host.free_mb();
        if free < least {
            let text = format!("disk: {free} MB are free, and MIN_FREE_MB is {least}");
            self.fail(Exit::Disk, format!("{text}: nothing was started"));
        }
        free >= least
    }

    /// The newest scan, if it began in the last day and is not complete.
    fn unfinished_scan(&self) -> Option<PathBuf> {
        let (directory, planned, complete) = self.host.scans().pop()?;
        let age = self.host.now() - planned?;
        (!complete && age < RESUMED_FOR).then_some(directory)
    }

    /// When the last run of this host began that went to its end, where exits' resolvers are looked at: the
    /// scan goes on from there.
    fn checks_since(&self) -> Option<DateTime<Utc>> {
        let runs = self.settings.checks.then(|| self.host.complete_runs()).into_iter().flatten();
        let ours = runs.filter(|run| run.shard == self.settings.shard);
        ours.map(|run| run.began).max()
    }

    /// Scans; whether there is a run to report.
    async fn scan(&mut self, resumed: Option<PathBuf>) -> bool {
        let mut resume = Vec::new();
        let directory = match resumed {
            Some(directory) => {
                self.say(&format!("scan: resuming {}", directory.display()));
                resume.push("--resume".into());
                directory
            }
            None => loop {
                let name = self.host.now().format("scan_%Y-%m-%d_%H-%M-%S").to_string();
                let directory = self.settings.analysis_root.join(name);
                // Two runs in one second, or a clock that was put back.
                if !self.host.exists(&directory) {
                    break directory;
                }
                self.host.pause(Duration::from_secs(1)).await;
                if self.is_stopped() {
                    return false;
                }
            },
        };
        self.outcome.scan = Some(directory.clone());
        let mut arguments: Vec<OsString> = vec!["--analysis-dir".into(), directory.clone().into()];
        arguments.append(&mut resume);
        if let Some(since) = self.checks_since() {
            arguments.extend(["--checks-since".into(), since.to_rfc3339().into()]);
        }
        let limit = self.settings.scan_limit;
        let ended = self.stage("scan", Program::Scan, arguments, limit).await;
        if self.is_stopped() {
            return false;
        }
        let go_on = "continue it with: run_dns_validation --only scan";
        match (ended.status, ended.status.exit()) {
            (_, Some(Exit::Done)) => {}
            (_, Some(Exit::Usage)) => {
                self.fail(Exit::Settings, "scan: a setting is not valid; see the log".to_owned());
            }
            (_, Some(exit @ Exit::NoTor)) => self.fail(
                exit,
                "scan: no tor: it does not start, cannot be reached, or does not bootstrap; see \
                 the log"
                    .to_owned(),
            ),
            (_, Some(exit @ Exit::Incomplete)) => {
                self.fail(exit, format!("scan: incomplete; {go_on}"));
            }
            (_, Some(exit @ Exit::Results)) => {
                let text =
                    format!("scan: the results cannot be written to {}", directory.display());
                self.fail(exit, text);
            }
            (Status::Late, _) => {
                let limit = limit.as_secs();
                let text = format!("scan: not done within SCAN_LIMIT ({limit} s); {go_on}");
                self.fail(Exit::ScanLimit, text);
            }
            (status, _) => {
                self.fail(Exit::Scan, format!("scan: failed with {status}; see the log"));
            }
        }
        // An incomplete run is reported as well: in a dated report, which the gate holds back.
        self.host.exists(&directory.join(shelf::run::RUN_FILE))
    }

    /// Reports the complete runs that no report holds, oldest first: their wrapper died before the
    /// report, or they were made by `--only scan`. Whether there is a new report.
    async fn report_earlier(&mut self) -> bool {
        let reported = self.host.reported();
        let shard = self.settings.shard.as_deref();
        let mut any = false;
        for directory in unreported(self.host.complete_runs(), &reported, shard) {
            self.say(&format!("report: no report holds the run in {}", directory.display()));
            any |= self.report(Some(directory), Duration::ZERO).await;
            if self.is_stopped() {
                break;
            }
        }
        any
    }

    /// Reports what has no report; the newest run again if all have one.
    async fn report_again(&mut self) {
        let reported = self.host.reported();
        let missing =
            unreported(self.host.complete_runs(), &reported, self.settings.shard.as_deref());
        if missing.is_empty() {
            self.report(None, self.settings.gather_wait).await;
        } else {
            for directory in missing {
                self.report(Some(directory), self.settings.gather_wait).await;
                if self.is_stopped() {
                    return;
                }
            }
        }
    }

    /// Makes a report of this run, or of the newest; whether there is one.
    async fn report(&mut self, run: Option<PathBuf>, patience: Duration) -> bool {
        let mut inputs: Vec<PathBuf> = run.clone().into_iter().collect();
        if self.settings.gather {
            match self.gather(run, patience).await {
                Some(gathered) => inputs = gathered,
                None => return false,
            }
        }
        let mut arguments: Vec<OsString> = Vec::new();
        if !inputs.is_empty() {
            arguments.push("--input".into());
            arguments.extend(inputs.into_iter().map(OsString::from));
        }
        self.domains(&arguments).await;
        if self.is_stopped() {
            return false;
        }
        let limit = self.settings.report_limit;
        let ended = self.stage("report", Program::Report, arguments, limit).await;
        if self.is_stopped() {
            return false;
        }
        self.let_out = matches!(ended.status.exit(), Some(Exit::Done | Exit::Exports));
        let written = match (ended.status, ended.status.exit()) {
            (_, Some(Exit::Done)) => true,
            (_, Some(exit @ Exit::Exports)) => {
                let text =
                    "report: written, but not what is made of it for other programs; see the log";
                self.fail(exit, text.to_owned());
                true
            }
            (_, Some(exit @ Exit::Held)) => {
                self.fail(
                    exit,
                    "report: the gate is closed: the dated report is written, latest.json is as \
                     it was; see the log for why"
                        .to_owned(),
                );
                true
            }
            (_, Some(exit @ Exit::History)) => {
                let text = "report: written, but the history cannot be kept; see the log";
                self.fail(exit, text.to_owned());
                true
            }
            (status, exit) => {
                self.report_failed(status, exit, limit);
                false
            }
        };
        if written && let Some(line) = ended.output.lines().find(|line| line.contains("DNS works"))
        {
            self.outcome.figures = line.trim().to_owned();
        }
        written
    }

    /// Checks the domains that the relays of this run name, where that is asked for. The report is made with
    /// what is known then.
    async fn domains(&mut self, inputs: &[OsString]) {
        if !self.settings.check_domains {
            return;
        }
        let ended = self.stage("domains", Program::Domains, inputs.to_vec(), DOMAINS_LIMIT).await;
        if self.is_stopped() {
            return;
        }
        match (ended.status, ended.status.exit()) {
            (_, Some(Exit::Done)) => {}
            // What was asked until then is kept, and the next run asks for the rest.
            (Status::Late, _) => self.say("domains: not done in time; the next run continues"),
            (status, _) => {
                let text = "domains: they cannot be checked";
                self.fail(Exit::Domains, format!("{text} ({status}); see the log"));
            }
        }
    }

    fn report_failed(&mut self, status: Status, exit: Option<Exit>, limit: Duration) {
        match (status, exit) {
            (_, Some(Exit::Usage)) => {
                self.fail(Exit::Settings, "report: a setting is not valid; see the log".to_owned());
            }
            (_, Some(exit @ Exit::Input)) => {
                self.fail(exit, "report: no run that can be used; see the log".to_owned());
            }
            (_, Some(exit @ Exit::Report)) => {
                let place = self.settings.output_dir.display();
                self.fail(exit, format!("report: it cannot be written to {place}"));
            }
            (Status::Late, _) => {
                let limit = limit.as_secs();
                let text = format!("report: not done within AGGREGATE_LIMIT ({limit} s)");
                self.fail(Exit::ReportLimit, text);
            }
            (status, _) => {
                let text = format!("report: failed with {status}; see the log");
                self.fail(Exit::ReportFailed, text);
            }
        }
    }

    /// Fetches the other hosts' shards until all are there or the time is over; gives back what
    /// the report is made of.
    async fn gather(&mut self, run: Option<PathBuf>, patience: Duration) -> Option<Vec<PathBuf>> {
        let interval = (patience / 20).clamp(Duration::from_secs(1), Duration::from_secs(60));
        let store = self.settings.run_store.clone().unwrap_or_default();
        let deadline = self.host.uptime() + patience;
        let mut of: Vec<OsString> = vec!["runs".into()];
        if let Some(run) = run {
            of.extend(["--of".into(), run.into_os_string()]);
        }
        loop {
            let pull: Vec<OsString> = vec!["pull".into(), "--target".into(), store.clone().into()];
            let pulled =
                self.stage("pull", Program::Upload, pull, self.settings.upload_limit).await;
            if self.is_stopped() {
                return None;
            }
            let limit = self.settings.report_limit;
            let ended = self.stage("runs", Program::Report, of.clone(), limit).await;
            if self.is_stopped() {
                return None;
            }
            let inputs = ended.output.lines().filter(|line| !line.is_empty()).map(PathBuf::from);
            match ended.status.exit() {
                Some(Exit::Done) => return Some(inputs.collect()),
                Some(Exit::Shards) => {}
                _ => {
                    let status = ended.status;
                    let text = "report: cannot find out which runs are shards of this scan";
                    self.fail(Exit::ReportFailed, format!("{text} ({status}); see the log"));
                    return None;
                }
            }
            if self.host.uptime() >= deadline {
                if pulled.status.exit() == Some(Exit::Done) {
                    let waited = patience.as_secs();
                    let text = "report: shards of other hosts are missing after";
                    self.fail(Exit::Shards, format!("{text} {waited} s; it is held back"));
                } else {
                    let text = "report: the other hosts' shards cannot be fetched from";
                    let status = pulled.status;
                    self.fail(Exit::Fetch, format!("{text} {store} ({status}); it is held back"));
                }
                return Some(inputs.collect());
            }
            self.say("report: waiting for the shards of other hosts");
            self.host.pause(interval).await;
            if self.is_stopped() {
                return None;
            }
        }
    }

    /// Uploads; whether every store that there is has everything now.
    async fn publish(&mut self) -> bool {
        if self.settings.stores.is_empty() {
            let place = self.settings.output_dir.display().to_string();
            self.say(&format!("upload: no store is enabled; the report is in {place}"));
            return true;
        }
        self.outcome.stores = self.settings.stores.join(" ");
        self.prune().await;
        if self.is_stopped() {
            return false;
        }
        let limit = self.settings.upload_limit;
        let arguments = vec!["--dir".into(), self.settings.output_dir.clone().into()];
        let ended = self.stage("upload", Program::Upload, arguments, limit).await;
        if self.is_stopped() {
            return false;
        }
        match (ended.status, ended.status.exit()) {
            (_, Some(Exit::Done)) => {}
            (_, Some(Exit::Usage)) => {
                self.fail(Exit::Settings, "upload: a setting is not valid; see the log".to_owned());
            }
            (_, Some(exit @ Exit::Local)) => {
                let place = self.settings.output_dir.display();
                let text = format!(
                    "upload: the local files in {place} cannot be used, or a store is newer than \
                     this program; see the log"
                );
                self.fail(exit, text);
            }
            (Status::Late, _) | (_, Some(Exit::Late)) => {
                let limit = limit.as_secs();
                let text = format!(
                    "upload: not done within UPLOAD_LIMIT ({limit} s) and UPLOAD_DEADLINE; the next \
                     run continues it"
                );
                self.fail(Exit::Late, text);
            }
            (_, Some(exit @ Exit::Older)) => {
                let text = "upload: a store has a newer report: another host publishes there";
                self.fail(exit, text.to_owned());
            }
            (status, _) => {
                let text = format!(
                    "upload: a store failed ({status}); the log says which and why, the others \
                     have everything"
                );
                self.fail(Exit::Stores, text);
            }
        }
        ended.status.exit() == Some(Exit::Done)
    }

    /// Asks the address of the heartbeat. That it fails is somebody else's trouble, and the service says
    /// so by itself.
    async fn beat(&mut self) {
        let Some(address) = self.settings.heartbeat.clone() else { return };
        match self.host.beat(&address).await {
            Ok(()) => self.say("heartbeat: HEARTBEAT_URL was asked"),
            Err(_) if self.is_stopped() => {}
            Err(why) => {
                let text = format!("heartbeat: HEARTBEAT_URL could not be asked: {why}");
                self.host.say(Level::Warn, &text);
            }
        }
    }

    /// Removes from the stores what is not kept, and shows it first. Before the upload: what readers
    /// may have been told to fetch stays until a list without it has stood for ten minutes.
    async fn prune(&mut self) {
        if !self.settings.prunes {
            return;
        }
        for step in [&["prune"][..], &["prune", "--yes"]] {
            let arguments = step.iter().map(OsString::from).collect();
            let limit = self.settings.retain_limit;
            let ended = self.stage("prune", Program::Upload, arguments, limit).await;
            if self.is_stopped() {
                return;
            }
            match ended.status.exit() {
                Some(Exit::Done) => {}
                // The list was replaced just now, by hand perhaps.
                Some(Exit::Answer) => {
                    self.say("prune: the stores' lists are too new; the next run prunes");
                    return;
                }
                _ => {
                    let text = "retain: the stores cannot be pruned";
                    let status = ended.status;
                    self.fail(Exit::Retain, format!("{text} ({status}); see the log"));
                    return;
                }
            }
        }
    }

    /// The runs that were not handed over: their wrapper died before that, or they were made by
    /// `--only scan`.
    fn to_hand_over(&self) -> Vec<PathBuf> {
        let Some(store) = &self.settings.run_store else { return Vec::new() };
        let shard = self.settings.shard.as_deref();
        not_handed_over(self.host.complete_runs(), shard, store, self.host.now())
    }

    /// Hands over what was not handed over; whether there was anything.
    async fn hand_over_earlier(&mut self) -> bool {
        let missing = self.to_hand_over();
        let any = !missing.is_empty();
        for directory in missing {
            self.say(&format!("push: the run in {} was not handed over", directory.display()));
            let exit = self.hand_over(directory).await;
            // A run that cannot be read does not hold up the others; a store that fails does.
            if self.is_stopped() || !matches!(exit, Some(Exit::Done | Exit::Local)) {
                break;
            }
        }
        any
    }

    /// Hands over what was not handed over; the newest run again if all was.
    async fn hand_over_again(&mut self) {
        if self.hand_over_earlier().await {
            return;
        }
        match self.host.scans().pop() {
            Some((directory, ..)) => {
                self.hand_over(directory).await;
            }
            None => self.fail(Exit::HandOver, "push: there is no run to hand over".to_owned()),
        }
    }

    /// A host that scans a shard and does not gather hands its run over, and publishes nothing. How
    /// the upload ended.
    async fn hand_over(&mut self, directory: PathBuf) -> Option<Exit> {
        let place = directory.display().to_string();
        let Some(store) = self.settings.run_store.clone() else {
            let text = "push: SHARD is set and neither GATHER nor RUN_STORE: the run stays in";
            self.say(&format!("{text} {place}"));
            return None;
        };
        let arguments = vec![
            "push-run".into(),
            "--target".into(),
            store.clone().into(),
            directory.clone().into(),
        ];
        let limit = self.settings.upload_limit;
        let ended = self.stage("push", Program::Upload, arguments, limit).await;
        let exit = ended.status.exit();
        if exit == Some(Exit::Done) {
            self.host.mark_handed_over(&directory, &store);
        } else if !self.is_stopped() {
            let status = ended.status;
            let text = format!("push: the run {place} could not be put into {store} ({status})");
            self.fail(Exit::HandOver, format!("{text}; see the log"));
        }
        exit
    }

    /// Fetches what subscribers asked for, and brings the backup of what notices remember to the stores.
    async fn exchange(&mut self) {
        if self.is_stopped() || !self.settings.keeps || self.settings.stores.is_empty() {
            return;
        }
        let limit = self.settings.upload_limit;
        let arguments = vec!["notices".into()];
        let ended = self.stage("backup", Program::Upload, arguments, limit).await;
        if !self.is_stopped() && ended.status.exit() != Some(Exit::Done) {
            let status = ended.status;
            let text = "the notices' backup is not in every store, or requests of subscribers are not fetched";
            self.fail(Exit::Notices, format!("backup: {text} ({status}); see the log"));
        }
    }

    /// Brings incidents and feeds up to date, and sends what there is to be told, now or later.
    async fn notify(&mut self, sending: Sending) {
        if self.is_stopped() {
            return;
        }
        let (name, arguments) = match sending {
            Sending::Later => ("incidents", vec!["--no-send".into()]),
            Sending::Now => ("notify", Vec::new()),
        };
        let ended = self.stage(name, Program::Notify, arguments, NOTIFY_LIMIT).await;
        if self.is_stopped() {
            return;
        }
        match (ended.status, ended.status.exit()) {
            (_, Some(Exit::Done)) => {}
            (_, Some(exit @ Exit::Told)) => {
                let text = "somebody could not be told; the next run tries again; see the log";
                self.fail(exit, format!("{name}: {text}"));
            }
            (status, _) => {
                self.fail(Exit::Notices, format!("{name}: failed with {status}; see the log"));
            }
        }
    }

    async fn retain(&mut self) {
        let limit = self.settings.retain_limit;
        let ended = self.stage("retain", Program::Retain, Vec::new(), limit).await;
        if self.is_stopped() {
            return;
        }
        match (ended.status, ended.status.exit()) {
            (_, Some(Exit::Done)) => {}
            (Status::Late, _) => {
                let limit = limit.as_secs();
                let text = format!("retain: not done within RETAIN_LIMIT ({limit} s)");
                self.fail(Exit::RetainLimit, text);
            }
            (status, _) => {
                self.fail(Exit::Retain, format!("retain: failed with {status}; see the log"));
            }
        }
    }
}

#[cfg(test)]
mod tests;
