//! The program's arguments. Owns their names, defaults and texts; what they do is the library's.

mod retain;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{Args, Parser, Subcommand};
use record::{DEFAULT_DOMAIN, DEFAULT_EXPECTED, Fingerprint, Publisher};

use crate::gate::Thresholds;
use crate::job::{self, ReportOptions, ReportTarget};
use crate::location;

pub use retain::RetainArgs;

/// Make a report of a scan that can be published.
///
/// Turns the results of a scan, or of all its shards and vantage points, into one report: a verdict
/// for each relay, failure streaks, history, and a gate that decides whether the report may replace
/// latest.json.
// The environment's names are those of `config.env`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_help = AFTER_HELP)]
pub struct ReportCli {
    /// What to do instead of making a report.
    #[command(subcommand)]
    pub command: Option<ReportCommand>,
    /// The report's arguments.
    #[command(flatten)]
    pub report: ReportArgs,
    /// Check the arguments and every variable, tell everything that is wrong with them, and do
    /// nothing else.
    #[arg(long)]
    pub check_settings: bool,
}

/// Make a report of a scan that can be published; look into the history; remove what is old.
///
/// The verbs report, history, zone check and retain under one name, as `aggregate` always had them.
#[derive(Debug, Parser)]
#[command(name = "aggregate", args_conflicts_with_subcommands = true, after_help = AFTER_HELP)]
pub struct AggregateCli {
    /// What to do instead of making a report.
    #[command(subcommand)]
    pub command: Option<AggregateCommand>,
    /// The report's arguments.
    #[command(flatten)]
    pub report: ReportArgs,
    /// Check the arguments and every variable, also those of commands, tell everything that is
    /// wrong with them, and do nothing else.
    #[arg(long)]
    pub check_settings: bool,
}

/// What to do instead of making a report.
#[derive(Debug, Subcommand)]
pub enum AggregateCommand {
    /// What belongs to the report itself.
    #[command(flatten)]
    Report(ReportCommand),
    /// Look into the history, export it, or shorten it.
    History(HistoryArgs),
    /// Resolve a fresh name in our zone directly, and say whether the answer is right.
    Zone(ZoneArgs),
    /// Remove old runs and logs, shorten the history, and move old reports into archives.
    Retain(RetainArgs),
}

/// What there is beside making a report.
#[derive(Debug, Subcommand)]
pub enum ReportCommand {
    /// Write files.json again from what is in the output directory, for instance after reports
    /// were moved into an archive.
    Files {
        /// The output directory.
        #[arg(long, env = "OUTPUT_DIR", default_value = job::DEFAULT_OUTPUT, value_name = "DIR")]
        output_dir: PathBuf,
    },
    /// Print the analysis directories that a report would be made of, one a line: the newest
    /// complete run and, where it is a shard, the other shards of its scan.
    Runs {
        /// Begin with this run instead of the newest complete one.
        #[arg(long, value_name = "DIR")]
        of: Option<PathBuf>,
        /// Where runs are looked for [default: as for a report].
        #[arg(long, env = "ANALYSIS_ROOT", value_name = "DIR")]
        analysis_root: Option<PathBuf>,
    },
    /// Make again what is for other readers (metrics.prom, onionoo-dns.json, badges/, compat/,
    /// summary.html, figures.json) of the output directory's latest.json, for instance after an update.
    Exports {
        /// The output directory.
        #[arg(long, env = "OUTPUT_DIR", default_value = job::DEFAULT_OUTPUT, value_name = "DIR")]
        output_dir: PathBuf,
    },
    /// Print a report's summary.
    Summary {
        /// The report; by default the output directory's latest.json.
        report: Option<PathBuf>,
        /// The output directory.
        #[arg(long, env = "OUTPUT_DIR", default_value = job::DEFAULT_OUTPUT, value_name = "DIR")]
        output_dir: PathBuf,
    },
}

/// What to do with the history, and where it is.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// The history's file; by default as for a report.
    #[arg(long, global = true, env = "HISTORY_FILE", value_name = "FILE")]
    pub history: Option<PathBuf>,
    /// What to do with it.
    #[command(subcommand)]
    pub command: HistoryCommand,
}

/// What is asked of our zone, and whom.
#[derive(Debug, Args)]
pub struct ZoneArgs {
    /// The zone.
    #[arg(
        long, env = "DNS_WILDCARD_DOMAIN", default_value = DEFAULT_DOMAIN, value_name = "DOMAIN"
    )]
    pub domain: String,
    /// The address that every name in it resolves to.
    #[arg(
        long, env = "DNS_EXPECTED_IP", default_value_t = DEFAULT_EXPECTED,
        value_name = "ADDRESS"
    )]
    pub expected_ip: IpAddr,
    /// The DNS server to ask [default: those in /etc/resolv.conf].
    #[arg(long, env = "ZONE_SERVER", value_name = "ADDR:PORT", value_parser = job::server_of)]
    pub zone_server: Option<SocketAddr>,
}

/// What to do with the history.
#[derive(Debug, Subcommand)]
pub enum HistoryCommand {
    /// Write every row of the history, for DuckDB, ClickHouse, pandas or a spreadsheet.
    Export {
        /// As CSV, with a line of column names.
        #[arg(long, required_unless_present = "parquet", conflicts_with = "parquet")]
        csv: bool,
        /// As Parquet, compressed with Snappy.
        #[arg(long)]
        parquet: bool,
        /// The file to write; by default standard output.
        #[arg(value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Print a relay's story, one line a run.
    Relay {
        /// The relay: 40 hexadecimal digits.
        fingerprint: Fingerprint,
    },
    /// Make the history again from the dated reports and the archives in the output directory, and
    /// say what they do not hold. The former history is kept beside it, as FILE.former.
    Rebuild {
        /// The output directory.
        #[arg(long, env = "OUTPUT_DIR", default_value = job::DEFAULT_OUTPUT, value_name = "DIR")]
        output_dir: PathBuf,
        /// Only say what would come of it.
        #[arg(long)]
        dry_run: bool,
    },
    /// Forget runs that are older than so many days.
    Prune {
        /// How many days to keep, at least 30; 0 for all.
        #[arg(
            long,
            env = "HISTORY_KEEP_DAYS",
            default_value_t = crate::retain::HISTORY_KEEP_DAYS,
            value_name = "DAYS",
            value_parser = retain::keep_days
        )]
        keep_days: u32,
        /// Only say how many runs that would be.
        #[arg(long)]
        dry_run: bool,
    },
}

/// The report's arguments.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// An analysis directory; several are joined as shards or vantage points [default: the newest
    /// complete run under the analysis root and, where it is a shard, the others of its scan].
    #[arg(short, long, value_name = "DIR", num_args = 1..)]
    pub input: Vec<PathBuf>,

    /// Where runs are looked for [default: analysis in the working directory, or else beside the
    /// output or the working directory].
    #[arg(long, env = "ANALYSIS_ROOT", value_name = "DIR")]
    pub analysis_root: Option<PathBuf>,

    /// Write the report to this file alone, and leave the output directory as it is.
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["output_dir_flag", "stdout"])]
    pub output: Option<PathBuf>,

    /// Publish here: the dated report, trends.json, files.json, and where the gate is open latest.json
    /// and what is made of it for other programs [env: OUTPUT_DIR] [default: the directory of
    /// --previous where that is given, or else public].
    // The environment is read by hand: it must yield to the directory of --previous, which is
    // more particular than a configuration.
    #[arg(id = "output_dir_flag", long = "output-dir", value_name = "DIR")]
    pub output_dir: Option<PathBuf>,

    /// The report that streaks go on from and that the gate compares with; it may be missing, as
    /// before the first run [default: latest.json in the output directory].
    #[arg(short, long, value_name = "FILE")]
    pub previous: Option<PathBuf>,

    /// The history's database; it is made where there is none [default: history.sqlite in the
    /// analysis root].
    #[arg(long, env = "HISTORY_FILE", value_name = "FILE")]
    pub history: Option<PathBuf>,

    /// Do without the history, also where one is configured: no rates over days, and no
    /// trends.json.
    #[arg(long)]
    pub no_history: bool,

    /// Print the report, and write nothing.
    #[arg(long)]
    pub stdout: bool,

    /// Open the gate whatever it finds; the report says so.
    #[arg(long)]
    pub force: bool,

    /// Do not print the summary.
    #[arg(short, long)]
    pub quiet: bool,

    /// Resolve a fresh name in our zone directly; if a wrong answer comes, the gate closes. None at all
    /// says nothing.
    #[arg(
        long,
        env = "ZONE_CHECK",
        value_parser = FalseyValueParser::new(),
        action = clap::ArgAction::Set,
        default_value = "true",
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        value_name = "BOOL",
        help_heading = "Zone"
    )]
    pub zone_check: bool,

    /// The DNS server to ask [default: those in /etc/resolv.conf].
    #[arg(
        long,
        env = "ZONE_SERVER",
        value_name = "ADDR:PORT",
        value_parser = job::server_of,
        help_heading = "Zone"
    )]
    pub zone_server: Option<SocketAddr>,

    /// The log of the zone's own name server, a directory or a file; several, where there are several
    /// servers: who asked for each exit, and where lost lookups got lost. Without it, none is told.
    #[arg(long, env = "ZONE_LOG_DIR", value_name = "DIR", help_heading = "Zone")]
    pub zone_log: Vec<PathBuf>,

    /// An exit whose resolver is known to be good: whether it works is noted for whoever looks at a run
    /// that is held back.
    #[arg(long, env = "KNOWN_GOOD_EXIT", value_name = "FINGERPRINT", help_heading = "Zone")]
    pub known_good: Option<Fingerprint>,

    /// The location database of the IPFire project, as `location update` keeps it: the AS and the
    /// country of each exit. Without the file, none is told.
    #[arg(
        long,
        env = "LOCATION_DB",
        value_name = "FILE",
        default_value = location::DEFAULT_DATABASE
    )]
    pub location_db: PathBuf,

    /// The licence of the data, by its SPDX identifier, as the report names it. The locations are under
    /// that of their database.
    #[arg(
        long,
        env = "DATA_LICENSE",
        value_name = "SPDX",
        value_parser = license,
        default_value = job::DEFAULT_LICENSE
    )]
    pub data_license: String,

    /// Who publishes the reports, as they and the dashboard say it.
    #[arg(long, env = "PUBLISHER_NAME", value_name = "NAME", value_parser = publisher_text)]
    pub publisher_name: Option<String>,

    /// How the publisher is reached: an address for mail, or of a page.
    #[arg(long, env = "PUBLISHER_CONTACT", value_name = "CONTACT", value_parser = publisher_text)]
    pub publisher_contact: Option<String>,

    /// Where the source is of what the publisher runs.
    #[arg(long, env = "PUBLISHER_SOURCE", value_name = "URL", value_parser = source_address)]
    pub publisher_source: Option<String>,

    /// Where the gate closes.
    #[command(flatten)]
    pub gate: GateArgs,
}

/// Where the gate closes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Gate")]
pub struct GateArgs {
    /// Fewest relays that a report may have.
    #[arg(
        long = "gate-min-relays",
        env = "GATE_MIN_RELAYS",
        value_name = "N",
        default_value_t = Thresholds::default().min_relays
    )]
    min_relays: u32,
    /// Greatest change of the number of relays since the previous report, in percent.
    #[arg(
        long = "gate-relay-count",
        env = "GATE_RELAY_COUNT_PERCENT",
        value_name = "PERCENT",
        value_parser = percent,
        default_value_t = Thresholds::default().relay_count_percent
    )]
    relay_count: f64,
    /// Greatest fall of the DNS success rate since the previous report, outside the places that
    /// fail, in percentage points.
    #[arg(
        long = "gate-success-rate",
        env = "GATE_SUCCESS_RATE_POINTS",
        value_name = "POINTS",
        value_parser = percent,
        default_value_t = Thresholds::default().success_rate_points
    )]
    success_rate: f64,
    /// Least DNS success rate, in percent: with fewer successes than that, the fault is taken for ours.
    #[arg(
        long = "gate-success-floor",
        env = "GATE_SUCCESS_FLOOR_PERCENT",
        value_name = "PERCENT",
        value_parser = percent,
        default_value_t = Thresholds::default().success_floor_percent
    )]
    success_floor: f64,
    /// Greatest share of the relays tested that may fail outside one operator, network or country, in
    /// percent: more are taken for ours.
    #[arg(
        long = "gate-spread",
        env = "GATE_SPREAD_PERCENT",
        value_name = "PERCENT",
        value_parser = percent,
        default_value_t = Thresholds::default().spread_percent
    )]
    spread: f64,
    /// Greatest share of relays that were not reached, in percent.
    #[arg(
        long = "gate-circuit-fail",
        env = "GATE_CIRCUIT_FAIL_PERCENT",
        value_name = "PERCENT",
        value_parser = percent,
        default_value_t = Thresholds::default().circuit_fail_percent
    )]
    circuit_fail: f64,
    /// Greatest share of results that are faults of the scanner, in percent.
    #[arg(
        long = "gate-scanner-fault",
        env = "GATE_SCANNER_FAULT_PERCENT",
        value_name = "PERCENT",
        value_parser = percent,
        default_value_t = Thresholds::default().scanner_fault_percent
    )]
    scanner_fault: f64,
    /// How many runs in a row have to show the same before a mere change (of relays, rate or
    /// settings) is published; 0 for never.
    #[arg(
        long = "gate-accept-after",
        env = "GATE_ACCEPT_AFTER",
        value_name = "RUNS",
        default_value_t = Thresholds::default().accept_after
    )]
    accept_after: u32,
}

fn percent(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err("expected a number from 0 to 100".to_owned()),
    }
}

/// The shape of an identifier (SPDX specification, annex "SPDX License Expressions").
fn license(text: &str) -> Result<String, String> {
    let sound = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    if (1..=64).contains(&text.len()) && text.chars().all(sound) {
        return Ok(text.to_owned());
    }
    Err("expected an SPDX identifier, for example CC0-1.0 or CC-BY-4.0".to_owned())
}

/// A line of text that people read.
fn publisher_text(text: &str) -> Result<String, String> {
    if (1..=200).contains(&text.chars().count()) && record::printable(text) == text {
        return Ok(text.to_owned());
    }
    Err("expected 1 to 200 characters on one line".to_owned())
}

/// An address of the web. Whoever shows it makes a link of it.
fn source_address(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let sound = |c: char| c.is_ascii_graphic() && !"\"'<>`\\".contains(c);
    if rest.is_some_and(|rest| !rest.is_empty() && rest.len() <= 200 && rest.chars().all(sound)) {
        return Ok(text.to_owned());
    }
    Err("expected an address, for example https://example.org/source".to_owned())
}

impl ReportArgs {
    /// What is to be done, with everything that was not given put in.
    pub fn options(self) -> ReportOptions {
        let beside_previous = self.previous.as_ref().map(|previous| match previous.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        });
        let output_directory = self.output_dir.or(beside_previous).unwrap_or_else(output_directory);
        let root = self.analysis_root.unwrap_or_else(|| job::default_root(&output_directory));
        let history = self.history.unwrap_or_else(|| root.join(job::DEFAULT_HISTORY));
        let gate = self.gate;
        ReportOptions {
            inputs: self.input,
            target: match (self.stdout, self.output) {
                (true, _) => ReportTarget::Print,
                (false, Some(file)) => ReportTarget::File(file),
                (false, None) => ReportTarget::Directory(output_directory.clone()),
            },
            previous: self.previous.unwrap_or_else(|| job::latest_in(&output_directory)),
            output_directory,
            history: (!self.no_history).then_some(history),
            root,
            thresholds: Thresholds {
                min_relays: gate.min_relays,
                relay_count_percent: gate.relay_count,
                success_rate_points: gate.success_rate,
                circuit_fail_percent: gate.circuit_fail,
                scanner_fault_percent: gate.scanner_fault,
                success_floor_percent: gate.success_floor,
                spread_percent: gate.spread,
                accept_after: gate.accept_after,
            },
            force: self.force,
            zone_check: self.zone_check,
            zone_server: self.zone_server,
            known_good: self.known_good,
            location_db: self.location_db,
            license: self.data_license,
            publisher: Publisher {
                name: self.publisher_name,
                contact: self.publisher_contact,
                source: self.publisher_source,
            }
            .known(),
        }
    }
}

/// The configured output directory.
pub fn output_directory() -> PathBuf {
    std::env::var_os("OUTPUT_DIR")
        .filter(|directory| !directory.is_empty())
        .map_or_else(|| PathBuf::from(job::DEFAULT_OUTPUT), PathBuf::from)
}

const AFTER_HELP: &str = "\
Examples:
  exit-validator report
      publish the newest complete run under analysis/ into public/
  cd public && exit-validator report --previous latest.json
      the same by hand, in the output directory
  exit-validator report --input runs/host-a runs/host-b runs/host-c
      make one report of three shards, or of three vantage points
  exit-validator report --stdout | jq .metadata
      only look, and write nothing
  exit-validator report --input analysis/20261123T031500Z-1a2b3c4d --force
      publish a run that the gate held back
  exit-validator retain --dry-run
      say what would be removed, and what moved into archives
  exit-validator history rebuild --output-dir public
      make a history that was lost again from what was published
  exit-validator history relay 0123456789ABCDEF0123456789ABCDEF01234567
  exit-validator history export --parquet history.parquet";

#[cfg(test)]
mod tests;
