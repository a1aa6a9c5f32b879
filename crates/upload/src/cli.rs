//! Flags to a checked configuration. Reads no file and touches nothing. A variable that is empty
//! counts as not given; what a flag says goes before the environment, and that before the file of
//! `--config`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, Subcommand};
use settings::Seconds;

use crate::config::Environment;
use crate::prune::Retention;
use crate::retry::Policy;

const AFTER_HELP: &str = "\
Settings, in the environment or in the file of --config:
  do    DO_ENABLED, DO_BUCKET, DO_SPACES_KEY, DO_SPACES_SECRET, DO_SPACES_REGION
  r2    R2_ENABLED, R2_BUCKET, R2_ACCESS_KEY_ID, R2_SECRET_ACCESS_KEY, CF_ACCOUNT_ID
  s3    S3_ENABLED, S3_BUCKET, S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY, S3_REGION, S3_ENDPOINT
        (without an endpoint: AWS)
  NAME  the same as s3 with NAME_ before them; UPLOAD_TARGETS lists such names
  each  ..._PREFIX (before every key), ..._ACL (do: public-read), ..._PATH_STYLE, ..._ENDPOINT,
        ..._SESSION_TOKEN
  A target without a key asks the usual AWS sources: AWS_ACCESS_KEY_ID, AWS_PROFILE, ...

Examples:
  exit-validator upload                          the directory public to every store that is enabled
  exit-validator upload --dry-run                what would be written
  exit-validator upload --check                  try the credentials, the bucket and the rights
  exit-validator upload --check-settings         only check the settings, and name the stores
  exit-validator upload --target r2 --verify     compare everything with R2, not only the lists
  exit-validator upload push-run analysis/today  put a finished run where other hosts can fetch it
  exit-validator upload pull                     fetch the runs that other hosts pushed
  exit-validator upload restore --target r2      bring back what was published, to a new host
  exit-validator upload prune --keep-days 90     which unlisted reports are older; --yes removes them";

/// Push the published reports to object stores by the S3 API.
///
/// What never changes goes first, then other data, then files.json, then latest.json, each verified
/// in the store before the next.
#[derive(Debug, Parser)]
#[command(name = "upload", after_help = AFTER_HELP)]
pub struct UploadCli {
    #[command(subcommand)]
    command: Option<UploadCommand>,

    #[command(flatten)]
    push: Push,

    #[command(flatten)]
    shared: SharedFlags,
}

#[derive(Debug, clap::Args)]
struct Push {
    /// The output directory of aggregate [env: OUTPUT_DIR] [default: public]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// Say what would be written, and write nothing
    #[arg(long, conflicts_with = "check")]
    dry_run: bool,

    /// Try credentials, bucket and rights: write, read, list and remove upload-check.txt
    #[arg(long)]
    check: bool,

    /// Compare the content of everything with the store's, whatever both lists say
    #[arg(long)]
    verify: bool,

    /// Replace the store's pointers also where they are of a later report, and the notices' backup also
    /// where it is a later one, or of another memory
    #[arg(long)]
    allow_older: bool,
}

#[derive(Debug, Subcommand)]
enum UploadCommand {
    /// Remove what an explicit retention does not keep; without --yes, only say what that is.
    ///
    /// Reports and archives that the store's files.json names are never removed, and others only
    /// when an archive that it names holds all their reports.
    Prune {
        /// Remove reports and archives that are not listed any more and older than so many days
        /// [env: STORE_KEEP_DAYS] [default: none]
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
        keep_days: Option<u32>,
        /// Remove runs that started more than so many days ago [env: STORE_KEEP_RUN_DAYS]
        /// [default: none]
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
        keep_run_days: Option<u32>,
        /// Remove them
        #[arg(long)]
        yes: bool,
    },
    /// Put finished runs into the stores, for another host to aggregate
    PushRun {
        /// Analysis directories with a complete run.json
        #[arg(value_name = "DIR", required = true)]
        runs: Vec<PathBuf>,
        /// Say what would be written, and write nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Bring back what was published, to a host that has lost it: the reports and archives that a
    /// store's files.json names, then the pointers. Nothing newer that is here is replaced
    Restore {
        /// The output directory [env: OUTPUT_DIR] [default: public]
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
        /// Say what would be fetched, and write nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Bring the sealed backup of the notices' memory to the stores, and fetch what subscribers asked for
    Notices {
        /// Say what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Fetch the runs that other hosts pushed and that are not here
    Pull {
        /// Where runs are [env: ANALYSIS_ROOT] [default: analysis]
        #[arg(long, value_name = "DIR")]
        analysis_root: Option<PathBuf>,
        /// Only runs that started in the last so many days
        #[arg(
            long, value_name = "DAYS", default_value_t = 2,
            value_parser = clap::value_parser!(u32).range(1..=36_500)
        )]
        days: u32,
        /// Say what would be fetched, and write nothing
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, clap::Args)]
struct SharedFlags {
    /// Only this store; repeatable [default: every one that is enabled]
    #[arg(long, value_name = "NAME", global = true, help_heading = "Stores")]
    target: Vec<String>,

    /// The notices' directory, of which only what is sealed goes to a store [env: NOTIFY_DIR]
    /// [default: notify beside the output directory]
    #[arg(long, value_name = "DIR", global = true, help_heading = "Stores")]
    notify_dir: Option<PathBuf>,

    /// A config.env with settings that the environment does not have
    #[arg(long, value_name = "FILE", global = true, help_heading = "Stores")]
    config: Option<PathBuf>,

    /// Check flags, variables and the file of --config, tell what is wrong with them, and do nothing
    /// else; where all is well, print the name of each store that is enabled, one a line
    #[arg(long, global = true, help_heading = "Stores")]
    check_settings: bool,

    /// How long one request, or a pause in its answer, may take [env: UPLOAD_TIMEOUT] [default: 60]
    #[arg(long, value_name = "SECONDS", global = true, help_heading = "Pace")]
    timeout: Option<Seconds>,

    /// How long everything may take [env: UPLOAD_DEADLINE] [default: 1800]
    #[arg(long, value_name = "SECONDS", global = true, help_heading = "Pace")]
    deadline: Option<Seconds>,

    /// Tries of a request, in all [default: 6]
    #[arg(
        long, value_name = "N", global = true, help_heading = "Pace",
        value_parser = clap::value_parser!(u32).range(1..=100)
    )]
    max_tries: Option<u32>,

    /// The pause after the first try; it doubles with every other [default: 0.5]
    #[arg(long, value_name = "SECONDS", global = true, help_heading = "Pace")]
    retry_delay: Option<Seconds>,

    /// Files under way at once, per store; each takes up to 8 MiB of memory, a large one 24
    #[arg(
        long, value_name = "N", global = true, help_heading = "Pace", default_value_t = 4,
        value_parser = clap::value_parser!(u32).range(1..=64)
    )]
    parallel: u32,

    /// No progress bar
    #[arg(long, global = true, help_heading = "Output")]
    no_progress: bool,

    /// Print nothing where all goes well
    #[arg(short, long, global = true, help_heading = "Output")]
    quiet: bool,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Task {
    /// Bring the stores up to date.
    Push {
        /// The output directory.
        dir: PathBuf,
        /// How.
        options: crate::sync::SyncOptions,
        /// The notices' directory.
        notices: PathBuf,
    },
    /// Try the stores out.
    Check,
    /// Remove what is not kept.
    Prune {
        /// What is kept.
        retention: Retention,
        /// Not only say it.
        yes: bool,
    },
    /// Put runs into the stores.
    PushRun {
        /// Their directories.
        runs: Vec<PathBuf>,
        /// Only say it.
        dry_run: bool,
    },
    /// Fetch what was published.
    Restore {
        /// The output directory.
        dir: PathBuf,
        /// How.
        options: crate::restore::RestoreOptions,
        /// The notices' directory.
        notices: PathBuf,
    },
    /// Exchange what is the notices'.
    Notices {
        /// Their directory.
        notices: PathBuf,
        /// Only say it.
        dry_run: bool,
    },
    /// Fetch runs.
    Pull {
        /// Where runs are.
        root: PathBuf,
        /// How far back.
        days: u32,
        /// Only say it.
        dry_run: bool,
    },
}

/// A checked configuration, without the stores' settings.
#[derive(Debug, Clone, PartialEq)]
pub struct UploadConfig {
    /// What is to be done.
    pub task: Task,
    /// The stores that were named.
    pub targets: Vec<String>,
    /// How long one request may take.
    pub timeout: Duration,
    /// How long everything may take.
    pub deadline: Duration,
    /// Tries and pauses.
    pub policy: Policy,
    /// Print nothing where all goes well.
    pub quiet: bool,
}

pub use settings::Usage;

impl UploadCli {
    /// The file of `--config`.
    #[must_use]
    pub const fn config_file(&self) -> Option<&PathBuf> {
        self.shared.config.as_ref()
    }

    /// Whether only the settings are to be checked.
    #[must_use]
    pub const fn check_settings(&self) -> bool {
        self.shared.check_settings
    }

    /// Whether bars are wished for.
    #[must_use]
    pub const fn progress(&self) -> bool {
        !self.shared.no_progress && !self.shared.quiet
    }

    /// Checks what single flags cannot.
    ///
    /// # Errors
    ///
    /// [`Usage`], in words for the person who gave the flags.
    pub fn check(self, environment: &Environment) -> Result<UploadConfig, Usage> {
        let Self { command, push, shared } = self;
        let pushes = push.dir.is_some() || push.dry_run || push.check || push.verify;
        if command.is_some() && (pushes || push.allow_older) {
            return Err(Usage(
                "--dir, --dry-run, --check, --verify and --allow-older before a command mean \
                 nothing to it; see `upload COMMAND --help`"
                    .to_owned(),
            ));
        }
        let given = Given(environment);
        let timeout = given.seconds(shared.timeout, "UPLOAD_TIMEOUT", 60.0)?;
        let deadline = given.seconds(shared.deadline, "UPLOAD_DEADLINE", 1800.0)?;
        if timeout.is_zero() || deadline.is_zero() {
            return Err(Usage("a timeout or deadline of 0 would fail everything".to_owned()));
        }
        let parallel = usize::try_from(shared.parallel).unwrap_or(1);
        let task = task(command, push, parallel, shared.notify_dir.as_deref(), &given)?;
        let default = Policy::default();
        let base = shared.retry_delay.map_or(default.base, |Seconds(time)| time);
        Ok(UploadConfig {
            task,
            targets: shared.target,
            timeout,
            deadline,
            policy: Policy { tries: shared.max_tries.unwrap_or(default.tries), base },
            quiet: shared.quiet,
        })
    }
}

/// What the variables say, where no flag does.
struct Given<'a>(&'a Environment);

impl Given<'_> {
    fn set(&self, name: &str) -> Option<&str> {
        debug_assert!(settings::find(name).is_some(), "{name} is not in the list of settings");
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    fn seconds(&self, flag: Option<Seconds>, name: &str, default: f64) -> Result<Duration, Usage> {
        match (flag, self.set(name)) {
            (Some(Seconds(time)), _) => Ok(time),
            (None, Some(text)) => match text.parse() {
                Ok(Seconds(time)) => Ok(time),
                Err(error) => Err(Usage(format!("{name} is {text:?}: {error}"))),
            },
            (None, None) => Ok(Duration::from_secs_f64(default)),
        }
    }

    fn path(&self, flag: Option<PathBuf>, name: &str, default: &str) -> PathBuf {
        flag.unwrap_or_else(|| PathBuf::from(self.set(name).unwrap_or(default)))
    }

    fn days(&self, flag: Option<u32>, name: &str) -> Result<Option<u32>, Usage> {
        match (flag, self.set(name)) {
            (Some(days), _) => Ok(Some(days)),
            (None, None) => Ok(None),
            (None, Some(text)) => match text.parse() {
                Ok(days @ 0..=36_500) => Ok(Some(days).filter(|days| *days > 0)),
                _ => Err(Usage(format!("{name} is {text:?}: expected days, from 0 to 36500"))),
            },
        }
    }
}

/// What is asked for.
fn task(
    command: Option<UploadCommand>,
    push: Push,
    parallel: usize,
    notify_dir: Option<&Path>,
    given: &Given<'_>,
) -> Result<Task, Usage> {
    let notices = |output: &Path| {
        let given =
            notify_dir.map(PathBuf::from).or_else(|| given.set("NOTIFY_DIR").map(PathBuf::from));
        given.unwrap_or_else(|| output.with_file_name("notify"))
    };
    Ok(match command {
        None if push.check => Task::Check,
        None => {
            let dir = given.path(push.dir, "OUTPUT_DIR", "public");
            Task::Push {
                notices: notices(&dir),
                dir,
                options: crate::sync::SyncOptions {
                    dry_run: push.dry_run,
                    verify: push.verify,
                    allow_older: push.allow_older,
                    parallel,
                },
            }
        }
        Some(UploadCommand::Notices { dry_run }) => {
            let dir = given.path(None, "OUTPUT_DIR", "public");
            Task::Notices { notices: notices(&dir), dry_run }
        }
        Some(UploadCommand::Prune { keep_days, keep_run_days, yes }) => {
            let retention = Retention {
                reports: given.days(keep_days, "STORE_KEEP_DAYS")?,
                runs: given.days(keep_run_days, "STORE_KEEP_RUN_DAYS")?,
            };
            if retention == (Retention { reports: None, runs: None }) {
                return Err(Usage(
                    "say what is to be kept: --keep-days, --keep-run-days, or both; or set \
                         STORE_KEEP_DAYS or STORE_KEEP_RUN_DAYS"
                        .to_owned(),
                ));
            }
            Task::Prune { retention, yes }
        }
        Some(UploadCommand::Restore { dir, dry_run }) => {
            let dir = given.path(dir, "OUTPUT_DIR", "public");
            let options = crate::restore::RestoreOptions { dry_run, parallel };
            Task::Restore { notices: notices(&dir), dir, options }
        }
        Some(UploadCommand::PushRun { runs, dry_run }) => Task::PushRun { runs, dry_run },
        Some(UploadCommand::Pull { analysis_root, days, dry_run }) => Task::Pull {
            root: given.path(analysis_root, "ANALYSIS_ROOT", "analysis"),
            days,
            dry_run,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(arguments: &[&str], environment: &[(&str, &str)]) -> Result<UploadConfig, Usage> {
        let environment =
            environment.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        UploadCli::try_parse_from(["upload"].iter().chain(arguments)).unwrap().check(&environment)
    }

    fn dir(config: UploadConfig) -> PathBuf {
        match config.task {
            Task::Push { dir, .. } => dir,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_flag_goes_before_a_variable_and_an_empty_one_is_none() {
        assert_eq!(dir(check(&[], &[]).unwrap()), PathBuf::from("public"));
        assert_eq!(dir(check(&[], &[("OUTPUT_DIR", "")]).unwrap()), PathBuf::from("public"));
        assert_eq!(dir(check(&[], &[("OUTPUT_DIR", "o")]).unwrap()), PathBuf::from("o"));
        let flag = check(&["--dir", "d"], &[("OUTPUT_DIR", "o")]).unwrap();
        assert_eq!(dir(flag), PathBuf::from("d"));
        let config = check(&[], &[("UPLOAD_TIMEOUT", "5"), ("UPLOAD_DEADLINE", " ")]).unwrap();
        assert_eq!((config.timeout.as_secs(), config.deadline.as_secs()), (5, 1800));
    }

    #[test]
    fn every_setting_is_read_and_has_the_default_of_the_list() {
        use settings::{DefaultValue, Group, Reader};
        let mut seen = 0;
        for key in settings::keys().filter(|key| key.readers.contains(&Reader::Upload)) {
            // The stores' are in the tests of `config`; the log reads its own.
            if key.group == Group::Stores || ["LOG_FORMAT", "RUST_LOG"].contains(&key.name) {
                continue;
            }
            let config =
                |arguments: &[&str], value| check(arguments, &[(key.name, value)]).unwrap();
            let arguments: &[&[&str]] =
                &[&[], &["pull"], &["prune", "--keep-days=9"], &["prune", "--keep-run-days=9"]];
            assert!(arguments.iter().any(|it| config(it, "7") != config(it, "")), "{}", key.name);
            match (key.default, key.name) {
                (DefaultValue::Value(value), _) => assert_eq!(config(&[], value), config(&[], "")),
                (DefaultValue::Words(_), "OUTPUT_DIR") => {
                    assert_eq!(config(&[], "public"), config(&[], ""));
                }
                (DefaultValue::Words(_), "ANALYSIS_ROOT") => {
                    assert_eq!(config(&["pull"], "analysis"), config(&["pull"], ""));
                }
                (DefaultValue::Words(_), "NOTIFY_DIR") => {
                    assert_eq!(config(&[], "notify"), config(&[], ""));
                }
                other => panic!("{other:?}"),
            }
            seen += 1;
        }
        assert_eq!(seen, 7);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        assert!(check(&[], &[("UPLOAD_TIMEOUT", "soon")]).is_err());
        assert!(check(&["--timeout", "0"], &[]).is_err());
        assert!(check(&["prune"], &[]).is_err());
        assert!(check(&["prune"], &[("STORE_KEEP_DAYS", "0")]).is_err());
        assert!(check(&["prune"], &[("STORE_KEEP_DAYS", "soon")]).is_err());
        assert!(check(&["prune"], &[("STORE_KEEP_RUN_DAYS", "7")]).is_ok());
        assert!(check(&["--dry-run", "pull"], &[]).is_err());
        assert!(check(&["--target", "r2", "pull"], &[]).is_ok());
        assert!(check(&["prune", "--keep-days", "9", "--target", "r2"], &[]).is_ok());
        assert!(UploadCli::try_parse_from(["upload", "--dry-run", "--check"]).is_err());
        assert!(UploadCli::try_parse_from(["upload", "push-run"]).is_err());
    }
}
