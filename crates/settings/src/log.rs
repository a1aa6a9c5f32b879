//! What every program of ours takes for its log.

use clap::{Args, ValueEnum};

/// How the log looks, and how much it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
#[command(next_help_heading = "Output")]
pub struct LogArgs {
    /// Write log lines, which go to standard error, as FORMAT
    #[arg(
        long,
        value_enum,
        default_value_t = LogFormat::Text,
        value_name = "FORMAT",
        env = "LOG_FORMAT",
        global = true
    )]
    pub log_format: LogFormat,

    /// Say more: -v for every step, -vv for everything
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// One JSON object per line
    Json,
}
