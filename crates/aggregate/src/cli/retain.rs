//! The arguments of `aggregate retain`.

use std::path::PathBuf;

use crate::job;
use crate::retain::{self, RetainOptions};
use clap::Args;

/// What is to be kept, and where.
#[derive(Debug, Args)]
pub struct RetainArgs {
    /// Where runs are [default: as for a report].
    #[arg(long, env = "ANALYSIS_ROOT", value_name = "DIR")]
    analysis_root: Option<PathBuf>,
    /// The output directory.
    #[arg(long, env = "OUTPUT_DIR", default_value = job::DEFAULT_OUTPUT, value_name = "DIR")]
    output_dir: PathBuf,
    /// The history's database [default: as for a report].
    #[arg(long, env = "HISTORY_FILE", value_name = "FILE")]
    history: Option<PathBuf>,
    /// Where the wrapper's logs are, run_YYYY-MM-DDTHH-MM-SSZ.log [default: no logs are touched].
    #[arg(long, env = "LOG_DIR", value_name = "DIR")]
    log_dir: Option<PathBuf>,
    /// How many of the newest complete runs are kept; 0 for all.
    #[arg(long, env = "KEEP_RUNS", value_name = "N", default_value_t = retain::KEEP_RUNS)]
    keep_runs: u32,
    /// After how many days a month's reports move into an archive; 0 for never.
    #[arg(
        long,
        env = "ARCHIVE_AFTER_DAYS",
        value_name = "DAYS",
        default_value_t = retain::ARCHIVE_AFTER_DAYS
    )]
    archive_after: u32,
    /// How many of the newest logs are kept; 0 for all.
    #[arg(long, env = "KEEP_LOGS", value_name = "N", default_value_t = retain::KEEP_LOGS)]
    keep_logs: u32,
    /// How many days the history keeps, at least 30; 0 for all.
    #[arg(
        long,
        env = "HISTORY_KEEP_DAYS",
        value_name = "DAYS",
        default_value_t = retain::HISTORY_KEEP_DAYS,
        value_parser = keep_days
    )]
    keep_days: u32,
    /// Only say what would be done.
    #[arg(long)]
    dry_run: bool,
}

/// Days that a history keeps: none for never, and no fewer than a report's rates need.
pub fn keep_days(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(days @ (0 | 30..=36_500)) => Ok(days),
        _ => Err("expected days from 30 to 36500, or 0 to keep everything".to_owned()),
    }
}

impl RetainArgs {
    /// What is to be done, with everything that was not given put in.
    pub fn options(self) -> RetainOptions {
        let root = self.analysis_root.unwrap_or_else(|| job::default_root(&self.output_dir));
        RetainOptions {
            history: self.history.unwrap_or_else(|| root.join(job::DEFAULT_HISTORY)),
            root,
            output_directory: self.output_dir,
            logs: self.log_dir,
            keep_runs: self.keep_runs,
            archive_after: self.archive_after,
            keep_logs: self.keep_logs,
            keep_days: self.keep_days,
            dry_run: self.dry_run,
        }
    }
}
