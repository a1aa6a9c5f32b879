//! The demonstration: the project's main job on a lab, by the real program, from end to end.
//! Starts it and shows what it says; judges nothing but whether it is the truth.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use lab::{Manifest, Network, PACE, Recursor, Spec, TAKES_LOOPBACK, check};
use tokio::process::Command;

use crate::program::{DIFFERENT, asked_to_end, in_words, say};

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Where the demonstration leaves its results; emptied at the start.
    #[arg(long, default_value = ".demo")]
    dir: PathBuf,
}

/// One scan of the demonstration.
struct DemoScan {
    heading: &'static str,
    name: &'static str,
    arguments: Vec<OsString>,
}

/// Starts a lab, scans it in both modes and through a running tor, compares each scan with the
/// truth, and makes a report of two of them.
pub(crate) async fn demo(demo: &Demo) -> anyhow::Result<ExitCode> {
    let program = beside("exit-validator")?;
    empty(&demo.dir)?;
    let place = tempfile::Builder::new()
        .prefix("exit-validator-demo-")
        .tempdir()
        .context("cannot create a temporary directory for the lab")?;
    let mut told = std::pin::pin!(asked_to_end()?);
    let recursors = recursors();
    let spec = Spec::standard().with_recursors(&recursors);
    say(&format!(
        "A private Tor network on this machine: 3 authorities, {} first hops of which one is \
         dead, {} exits. No packet leaves the machine.",
        spec.guards + 1,
        spec.exits.len()
    ));
    let network = tokio::select! {
        network = Network::start(&spec, place.path(), |step| say(&format!("  {}", in_words(step)))) => network?,
        () = &mut told => bail!("interrupted"),
    };
    let outcome = tokio::select! {
        outcome = scans(&program, &network, place.path(), &demo.dir) => outcome,
        () = &mut told => Err(anyhow::anyhow!("interrupted")),
    };
    network.stop().await;
    outcome
}

async fn scans(
    program: &Path,
    network: &Network,
    place: &Path,
    results: &Path,
) -> anyhow::Result<ExitCode> {
    let manifest = Manifest::of(network)?;
    let client = manifest.client.as_ref().context("the lab has no client tor")?;
    let torrc = place.join("scanner.torrc");
    let lines = network.torrc_lines() + TAKES_LOOPBACK;
    std::fs::write(&torrc, lines).context("cannot write the lab's torrc lines")?;
    let own_tor: [OsString; 4] = [
        "--tor-dir".into(),
        place.join("scanner-tor").into(),
        "--torrc-extra".into(),
        torrc.into(),
    ];
    let nxdomain = ["--host".into(), manifest.nxdomain_domain.clone().into()];
    let scans = [
        DemoScan {
            heading: "Wildcard mode, through a tor of the scanner's own",
            name: "wildcard",
            arguments: own_tor.to_vec(),
        },
        DemoScan {
            heading: "Nxdomain mode, through a tor of the scanner's own",
            name: "nxdomain",
            arguments: own_tor.iter().chain(&nxdomain).cloned().collect(),
        },
        DemoScan {
            heading: "Wildcard mode, through the control port of a tor that is running",
            name: "control",
            arguments: vec!["--control".into(), client.control.clone().into()],
        },
    ];
    let mut all_true = true;
    for scan in &scans {
        say(&format!("\n== {} ==", scan.heading));
        let dir = results.join(scan.name);
        network.all_awake().await;
        network.begin_anew();
        let status = Command::new(program)
            .arg("scan")
            .envs(PACE)
            .env("CHECKS", "who,dnssec,tcp,v6")
            // Also exits without the flag: one lets out IPv6 alone.
            .args(["--all-exits", "--analysis-dir"])
            .arg(&dir)
            .args(&scan.arguments)
            .kill_on_drop(true)
            .status()
            .await
            .with_context(|| format!("cannot start {}", program.display()))?;
        ensure!(status.success(), "the scan failed ({status})");
        let checked = check(&dir, &manifest)?;
        say(&format!("\n{}", checked.table()));
        if let Some(table) = checked.resolver_table() {
            say(&table);
        }
        all_true &= checked.is_true();
    }
    if !all_true {
        say("\nNOT every verdict is true: see the tables above.");
        return Ok(ExitCode::from(DIFFERENT));
    }
    say("\n== The report of two of these runs, one after the other ==\n");
    // The run through the running tor comes after the one through the scanner's own, as tomorrow's
    // comes after today's: what failed in both is confirmed.
    report(program, results, &scans[0], true).await?;
    report(program, results, &scans[2], false).await?;
    say(&format!(
        "\nEvery verdict of {} scans is the truth. The scans' results and the reports are in {}.\n\
         To look at the reports in a browser: make serve",
        scans.len(),
        results.display()
    ));
    Ok(ExitCode::SUCCESS)
}

/// The real resolvers that this machine can run; says what that leaves out.
pub(crate) fn recursors() -> Vec<Recursor> {
    let recursors = Recursor::available();
    if recursors.len() < Recursor::ALL.len() {
        say("Without unbound and BIND (make dns unpacks them) no exit has these as its resolver.");
    }
    recursors
}

/// Aggregates one scan into the reports of the demonstration.
async fn report(
    program: &Path,
    results: &Path,
    scan: &DemoScan,
    quiet: bool,
) -> anyhow::Result<()> {
    let status = Command::new(program)
        .args(["report", "--input"])
        .arg(results.join(scan.name))
        .arg("--output-dir")
        .arg(results.join("public"))
        .arg("--history")
        .arg(results.join("history.sqlite"))
        .args(quiet.then_some("--quiet"))
        // On the real network a run of so few relays, most of them broken, is no run; here it is all
        // there are.
        .env("GATE_MIN_RELAYS", "1")
        .env("GATE_SUCCESS_FLOOR_PERCENT", "0")
        .env("GATE_SPREAD_PERCENT", "100")
        .env("ZONE_CHECK", "false")
        .env("RUST_LOG", "warn")
        .kill_on_drop(true)
        .status()
        .await
        .with_context(|| format!("cannot start {}", program.display()))?;
    ensure!(status.success(), "the aggregation failed ({status})");
    Ok(())
}

/// A program of this workspace, which is built into the same directory as this one.
fn beside(name: &str) -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe().context("cannot find this program's own file")?;
    let program = this.with_file_name(name);
    ensure!(
        program.exists(),
        "there is no {}; build both programs first: make demo",
        program.display()
    );
    Ok(program)
}

/// Makes the directory, or takes out what an earlier demonstration left in it, and nothing else.
fn empty(dir: &Path) -> anyhow::Result<()> {
    const MARK: &str = "made-by-lab-demo";
    if dir.exists() {
        ensure!(
            dir.join(MARK).exists(),
            "{} exists and was not made by a demonstration: give another with --dir",
            dir.display()
        );
        std::fs::remove_dir_all(dir).with_context(|| format!("cannot empty {}", dir.display()))?;
    }
    std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    std::fs::write(dir.join(MARK), "").with_context(|| format!("cannot write to {}", dir.display()))
}
