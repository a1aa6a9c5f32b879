//! The commands of the `lab` program: `up`, `down`, `check`, `resolvers` and `adopt`. The network itself and the
//! comparison with the truth are the library's.

use std::fs::{DirBuilder, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use clap::{Args, Parser, Subcommand};
use lab::world::{self, WorldSpec};
use lab::{
    Holder, LabProgress, Manifest, Network, Offer, SETTINGS_FILE, Spec, StandingResolvers, Told,
};
#[cfg(feature = "store")]
use lab::{R2_BUCKET, SPACES_BUCKET, StoreKey, StoreServer};
use record::{Mode, printable};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::signal::unix::{SignalKind, signal};

use crate::demo::{Demo, demo};

/// A scan's verdicts differ from the truth.
pub(crate) const DIFFERENT: u8 = 3;

/// There is no lab in the directory.
const NO_LAB: u8 = 4;

/// A private Tor network on this machine whose exits' resolvers misbehave by script.
#[derive(Debug, Parser)]
#[command(
    name = "lab",
    version,
    after_help = "Exit codes: 0 done; 1 an error, told on standard error; 2 wrong arguments; \
                  3 `check` found verdicts that are not true, or a scan that is not complete, or `world` that \
                  something false was published, or something true too late; \
                  4 there is no lab in the directory, or for `adopt` no resolvers."
)]
pub(crate) struct LabArguments {
    #[command(subcommand)]
    command: LabCommand,
}

#[derive(Debug, Subcommand)]
enum LabCommand {
    /// Start a lab and keep it until SIGINT or SIGTERM.
    ///
    /// DIR/network.json then tells, until the lab ends: `client` (the addresses of a running
    /// client tor's control port, SOCKS port and DNSPort, and its cookie file), `torrc` (a file
    /// with the lines for a tor of one's own), `wildcard_domain` with `expected_ip` and
    /// `nxdomain_domain`, `exits` (each with its `fingerprint`, `nickname`, `fault`,
    /// `description` and, for each mode, `wildcard` and `nxdomain`, the true `status`,
    /// `error_code`, `blame` and, unless null, `resolved_ip`), `guards`, `dead_guard`, and `pid`.
    /// DIR/config.env has the settings that have the whole job run on it.
    Up(Up),
    /// End the lab and wait until all of it is gone.
    Down(PlaceArgs),
    /// Run an S3 server on loopback until SIGINT or SIGTERM, in the place of every real store.
    ///
    /// DIR/config.env then has the settings that send the uploads to it, until it ends; what it
    /// stores is in DIR/spaces-reports and DIR/r2-reports.
    #[cfg(feature = "store")]
    Store(PlaceArgs),
    /// Compare the results of a scan of the lab with the truth.
    Check {
        /// The scan's analysis directory.
        analysis_dir: PathBuf,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Start the resolvers alone, for a network that another program runs, and keep them until
    /// SIGINT or SIGTERM.
    ///
    /// DIR/resolvers.json then tells which exits to run, until the resolvers end: for each its
    /// `nickname`, a `resolv_conf` for tor's ServerDNSResolvConfFile, whether it allows `ipv6`, and
    /// what becomes of its tor when the network is ready: `then` is `runs`, `freezes` (SIGSTOP) or
    /// `dies` (SIGKILL). Faults that need more of the lab are not among them.
    Resolvers(PlaceArgs),
    /// Adopt a network that another program runs with these resolvers.
    ///
    /// Writes DIR/network.json and DIR/config.env, as `lab up` does; and DIR/measured-bandwidths for
    /// the authorities' V3BandwidthsFile, without which no relay is fit to be a first hop.
    Adopt {
        /// What there is, or `-` for standard input, in lines of these kinds: `exit NICKNAME
        /// FINGERPRINT OR-ADDRESS`, `guard NICKNAME FINGERPRINT`, `authority NICKNAME FINGERPRINT`,
        /// `client CONTROL-ADDRESS SOCKS-ADDRESS DNS-ADDRESS COOKIE-FILE`, and `torrc LINE`, a line
        /// for a tor that is to use the network.
        network: PathBuf,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Scan a lab in both modes and through a running tor, and compare with the truth.
    Demo(Demo),
    /// Play years of runs in a world of relays that break and are mended, and hold what was published
    /// against what was true.
    ///
    /// DIR/public is then the output directory of the job as it would be, for people to look at, and
    /// DIR/analysis has its history. The same seed gives the same world.
    World(WorldArguments),
}

#[derive(Debug, Args)]
struct WorldArguments {
    /// The world's directory; it must be empty, or not be there.
    dir: PathBuf,
    /// Exits that there are at a time.
    #[arg(long, default_value_t = 3_100)]
    relays: usize,
    /// Runs, one every six hours: 1460 are a year.
    #[arg(long, default_value_t = 1_460)]
    runs: u32,
    /// What all chance comes from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Tell of no run by itself.
    #[arg(long)]
    quiet: bool,
}

#[derive(Debug, Args)]
struct Up {
    #[command(flatten)]
    place: PlaceArgs,
    /// `standard`, one exit for each fault, or `healthy:N`, N exits without one.
    #[arg(long, default_value = "standard")]
    exits: ExitChoice,
    /// First hops that work.
    #[arg(long, default_value_t = 4)]
    guards: u32,
    /// Return when the network is ready and leave the lab in the background, with its log in
    /// DIR/lab.log.
    #[arg(long)]
    detach: bool,
}

#[derive(Debug, Args)]
struct PlaceArgs {
    /// The lab's directory [default: exit-validator-lab in $XDG_RUNTIME_DIR, or a private
    /// directory beside other temporary files].
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// Which exits a lab has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ExitChoice {
    Standard,
    Healthy(usize),
}

impl FromStr for ExitChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("healthy:").map(str::parse) {
            None if text == "standard" => Ok(Self::Standard),
            Some(Ok(number)) => Ok(Self::Healthy(number)),
            _ => Err("it is `standard` or `healthy:N`".to_owned()),
        }
    }
}

impl std::fmt::Display for ExitChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Standard => f.write_str("standard"),
            Self::Healthy(number) => write!(f, "healthy:{number}"),
        }
    }
}

/// Carries a command out.
pub(crate) fn run(arguments: LabArguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        LabCommand::Up(up) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async { if up.detach { detach(&up).await } else { hold(&up).await } })
        }
        LabCommand::Down(place) => down(&place.dir()?),
        #[cfg(feature = "store")]
        LabCommand::Store(place) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(store(&place.dir()?))
        }
        LabCommand::Check { analysis_dir, place } => check(&analysis_dir, &place.dir()?),
        LabCommand::Resolvers(place) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(resolvers(&place.dir()?))
        }
        LabCommand::Adopt { network, place } => adopt(&network, &place.dir()?),
        LabCommand::Demo(wanted) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(demo(&wanted))
        }
        LabCommand::World(world) => play(&world),
    }
}

fn play(arguments: &WorldArguments) -> anyhow::Result<ExitCode> {
    let WorldArguments { dir, relays, runs, seed, quiet } = arguments;
    ensure!((100..=20_000).contains(relays), "a world has 100 to 20000 relays, not {relays}");
    ensure!((1..=20_000).contains(runs), "a world is played for 1 to 20000 runs, not {runs}");
    let empty = std::fs::read_dir(dir).map_or(true, |mut entries| entries.next().is_none());
    ensure!(empty, "{} is not empty: name a directory that is, or a new one", dir.display());
    let spec = WorldSpec { relays: *relays, runs: *runs, seed: *seed };
    let tally = world::play(spec, dir, |line| {
        if !quiet {
            say(line);
        }
    })?;
    say(&tally.to_string());
    Ok(if tally.is_true() { ExitCode::SUCCESS } else { ExitCode::from(DIFFERENT) })
}

impl PlaceArgs {
    fn dir(&self) -> anyhow::Result<PathBuf> {
        if let Some(dir) = &self.dir {
            return Ok(dir.clone());
        }
        if let Some(runtime) = std::env::var_os("XDG_RUNTIME_DIR") {
            return Ok(Path::new(&runtime).join("exit-validator-lab"));
        }
        // Anybody may have made a directory of that name there.
        let user = rustix::process::getuid().as_raw();
        let dir = std::env::temp_dir().join(format!("exit-validator-lab-{user}"));
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .with_context(|| format!("cannot create {}", dir.display()))?;
        let found = std::fs::symlink_metadata(&dir)
            .with_context(|| format!("cannot look at {}", dir.display()))?;
        ensure!(
            found.is_dir() && found.uid() == user && found.mode() & 0o077 == 0,
            "{} is not a private directory of this user; remove it, or give another with --dir",
            dir.display()
        );
        Ok(dir)
    }
}

impl Up {
    fn spec(&self) -> Spec {
        let spec = match self.exits {
            ExitChoice::Standard => Spec::standard(),
            ExitChoice::Healthy(number) => Spec::healthy(number),
        };
        Spec { guards: self.guards, ..spec }
    }
}

/// Starts a lab and holds it until it is told to end.
async fn hold(up: &Up) -> anyhow::Result<ExitCode> {
    let dir = up.place.dir()?;
    let _lock = claim(&dir)?;
    let mut told = std::pin::pin!(asked_to_end()?);
    let spec = up.spec();
    let spec = match up.exits {
        ExitChoice::Standard => spec.with_recursors(&crate::demo::recursors()),
        ExitChoice::Healthy(_) => spec,
    };
    let network = tokio::select! {
        network = Network::start(&spec, &dir, |progress| say(&in_words(progress))) => network?,
        () = &mut told => {
            say("ended before it was ready");
            return Ok(ExitCode::SUCCESS);
        }
    };
    let manifest = Manifest::of(&network)?;
    say(&overview(&manifest));
    manifest.write(&network)?;
    told.await;
    let forgotten = std::fs::remove_file(network.dir().join(lab::MANIFEST_FILE));
    network.stop().await;
    forgotten.context("the lab has ended, but its network.json could not be removed")?;
    say("ended");
    Ok(ExitCode::SUCCESS)
}

/// Makes the directory this process's own, as long as the file given back is open.
fn claim(dir: &Path) -> anyhow::Result<File> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.with_context(|| format!("cannot create {}", dir.display()))?;
    let path = dir.join("lock");
    let lock = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    if lock.try_lock().is_err() {
        bail!(
            "a lab is running in {}; end it with `lab down`, or give another --dir",
            dir.display()
        );
    }
    forget(dir).context("cannot remove what an earlier lab left")?;
    Ok(lock)
}

/// Removes the files that say that there is a lab in the directory.
fn forget(dir: &Path) -> std::io::Result<()> {
    for name in [lab::MANIFEST_FILE, lab::RESOLVERS_FILE, SETTINGS_FILE] {
        match std::fs::remove_file(dir.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

pub(crate) fn in_words(progress: LabProgress) -> String {
    match progress {
        LabProgress::Keys { relays } => format!("making the keys of {relays} relays"),
        LabProgress::Relays => "starting them".to_owned(),
        LabProgress::Vote => "the authorities know all relays, and vote".to_owned(),
        LabProgress::Consensus => "there is a consensus".to_owned(),
        LabProgress::Client => "starting the client".to_owned(),
        LabProgress::Ready => "ready".to_owned(),
    }
}

/// The lab for people.
fn overview(manifest: &Manifest) -> String {
    let mut text =
        format!("{:<18} {:<46} true verdict in wildcard and nxdomain mode\n", "exit", "");
    for exit in &manifest.exits {
        let verdict = |mode: Mode| {
            let truth = exit.truth(mode);
            match truth.error_code {
                Some(code) => format!("{} {code}", truth.status),
                None => truth.status.to_string(),
            }
        };
        let (wildcard, nxdomain) = (verdict(Mode::Wildcard), verdict(Mode::Nxdomain));
        let both = if wildcard == nxdomain { wildcard } else { format!("{wildcard}; {nxdomain}") };
        text += &format!("{:<18} {:<46} {both}\n", exit.nickname, exit.description);
    }
    for guard in &manifest.guards {
        text += &format!("{:<18} a first hop\n", guard.nickname);
    }
    if manifest.dead_guard.is_some() {
        text += &format!("{:<18} a first hop that is dead\n", "deadguard");
    }
    if let Some(client) = &manifest.client {
        let (control, socks, dns) = (&client.control, client.socks, client.dns);
        text += &format!("client tor: control {control}, SOCKS {socks}, DNS {dns}\n");
    }
    text + &format!("lines for another tor: {}", manifest.torrc.display())
}

/// How often a state is looked at while another process changes it.
const POLL: Duration = Duration::from_millis(50);

/// Starts the same command in the background and waits until its lab is ready.
async fn detach(up: &Up) -> anyhow::Result<ExitCode> {
    let dir = up.place.dir()?;
    // Refuses, and forgets an earlier lab, before there is anything to clean up.
    drop(claim(&dir)?);
    let path = dir.join("lab.log");
    let log = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let mut child = Command::new(program)
        .arg("up")
        .arg("--dir")
        .arg(&dir)
        .args(["--exits", &up.exits.to_string(), "--guards", &up.guards.to_string()])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()
        .context("cannot start the lab in the background")?;
    let ready = async {
        loop {
            if let Some(manifest) = Manifest::read(&dir)?
                && manifest.pid == child.id()
            {
                say(&overview(&manifest));
                return Ok(ExitCode::SUCCESS);
            }
            if let Some(status) = child.try_wait().context("cannot wait for the lab")? {
                let said = std::fs::read_to_string(&path).unwrap_or_default();
                bail!("the lab did not start ({status}); it said:\n{}", said.trim_end());
            }
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::select! {
        ready = ready => return ready,
        () = asked_to_end()? => {}
    }
    // Its tors go with it: the kernel sees to that.
    child.kill().and_then(|()| child.wait()).context("cannot end the lab")?;
    bail!("interrupted before the lab was ready")
}

/// Waits for a signal that ends the program.
pub(crate) fn asked_to_end() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut terminations = signal(SignalKind::terminate())?;
    let mut hangups = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupts.recv() => {}
            _ = terminations.recv() => {}
            _ = hangups.recv() => {}
        }
    })
}

/// How long a lab may take to end when asked to, before it is killed.
const FAREWELL: Duration = Duration::from_secs(20);

#[expect(clippy::disallowed_methods, reason = "the edge: it waits for another process")]
fn down(dir: &Path) -> anyhow::Result<ExitCode> {
    let lab = Manifest::read(dir)?.map(|manifest| manifest.holder());
    let holder = lab.or(Offer::read(dir)?.map(|offer| offer.holder));
    let Some(holder) = holder.filter(Holder::is_alive) else {
        say(&format!("there is no lab in {}", dir.display()));
        return Ok(ExitCode::from(NO_LAB));
    };
    let pid = i32::try_from(holder.pid).ok().and_then(Pid::from_raw);
    let pid = pid.context("the lab's files name no process")?;
    // What the handle stands for cannot change; what the number stands for can.
    let handle = pidfd_open(pid, PidfdFlags::empty()).context("cannot reach the lab's process")?;
    if holder.is_alive() {
        pidfd_send_signal(&handle, Signal::TERM).context("cannot end the lab's process")?;
    }
    let start = Instant::now();
    let mut killed = false;
    while holder.is_alive() {
        if start.elapsed() > FAREWELL && !killed {
            // Its tors go with it: the kernel sees to that.
            pidfd_send_signal(&handle, Signal::KILL).context("cannot kill the lab's process")?;
            killed = true;
        }
        ensure!(start.elapsed() < 2 * FAREWELL, "the lab's process {} does not end", holder.pid);
        std::thread::sleep(POLL);
    }
    say("ended");
    Ok(ExitCode::SUCCESS)
}

/// Runs a store until it is told to end.
#[cfg(feature = "store")]
#[expect(clippy::disallowed_methods, reason = "the edge: a key that nobody can guess")]
async fn store(dir: &Path) -> anyhow::Result<ExitCode> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.with_context(|| format!("cannot create {}", dir.display()))?;
    let told = asked_to_end()?;
    let key = StoreKey { id: "LAB".to_owned(), secret: format!("{:032x}", rand::random::<u128>()) };
    let store = StoreServer::start(dir, &[SPACES_BUCKET, R2_BUCKET], key, true).await?;
    let path = dir.join(SETTINGS_FILE);
    shelf::atomic::replace_private(&path, store.settings().as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))?;
    say(&format!("a store on {}; its settings are in {}", store.address(), path.display()));
    told.await;
    std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    say("ended");
    Ok(ExitCode::SUCCESS)
}

/// Runs the resolvers alone until it is told to end.
async fn resolvers(dir: &Path) -> anyhow::Result<ExitCode> {
    let _lock = claim(dir)?;
    let told = asked_to_end()?;
    let standing = StandingResolvers::start(dir)?;
    standing.offer().write(dir)?;
    say(&format!("{} resolvers are ready", standing.offer().exits.len()));
    told.await;
    forget(dir).context("the resolvers have ended, but their files could not be removed")?;
    say("ended");
    Ok(ExitCode::SUCCESS)
}

/// Longest text that is taken for what there is to tell of a network, in bytes.
const LONGEST_TOLD: u64 = 1 << 20;

fn adopt(network: &Path, dir: &Path) -> anyhow::Result<ExitCode> {
    let Some(offer) = Offer::read(dir)?.filter(|offer| offer.holder.is_alive()) else {
        say(&format!(
            "there are no resolvers in {}; start them with `lab resolvers`",
            dir.display()
        ));
        return Ok(ExitCode::from(NO_LAB));
    };
    let mut text = String::new();
    let read = if network == Path::new("-") {
        std::io::stdin().take(LONGEST_TOLD).read_to_string(&mut text)
    } else {
        File::open(network).and_then(|file| file.take(LONGEST_TOLD).read_to_string(&mut text))
    };
    read.with_context(|| format!("cannot read {}", network.display()))?;
    let told: Told = text.parse()?;
    let dir = dir.canonicalize().with_context(|| format!("cannot read {}", dir.display()))?;
    let manifest = offer.adopt(&told, &dir)?;
    told.write_bandwidths(&dir)?;
    manifest.write_in(&dir, told.torrc())?;
    say(&overview(&manifest));
    Ok(ExitCode::SUCCESS)
}

fn check(analysis: &Path, dir: &Path) -> anyhow::Result<ExitCode> {
    let Some(manifest) = Manifest::read(dir)? else {
        say(&format!("there is no lab in {}", dir.display()));
        return Ok(ExitCode::from(NO_LAB));
    };
    let checked = lab::check(analysis, &manifest)?;
    say(checked.table().trim_end());
    if let Some(table) = checked.resolver_table() {
        say(&format!("\n{}", table.trim_end()));
    }
    Ok(if checked.is_true() { ExitCode::SUCCESS } else { ExitCode::from(DIFFERENT) })
}

/// Writes to standard output. Nobody may be reading any more: that is no reason to end a lab.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Writes to standard error, without anything in it that could act on a terminal.
pub(crate) fn complain(text: &str) {
    let lines: Vec<_> = text.lines().map(printable).collect();
    let _ = writeln!(std::io::stderr(), "{}", lines.join("\n"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_arguments_are_well_formed() {
        LabArguments::command().debug_assert();
    }

    #[test]
    fn exits_are_standard_or_so_many_healthy_ones() {
        for exits in [ExitChoice::Standard, ExitChoice::Healthy(80)] {
            assert_eq!(exits.to_string().parse(), Ok(exits));
        }
        for text in ["", "healthy", "healthy:", "healthy:-1", "sick:3"] {
            assert!(text.parse::<ExitChoice>().is_err(), "{text}");
        }
    }
}
