//! What is configured for a run: the file and the environment, read once, checked before anything
//! starts, each wrong value named with where it stands.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum as _;
use record::printable;
use settings::file::Setting;
use settings::{Key, LogArgs, LogFormat, Reader, check, keys, read};

use crate::exit::Exit;
use crate::run::heartbeat;
use crate::terminal::Failure;

/// The settings that name somebody who is told.
const CHANNELS: [&str; 3] = ["NOTIFY_WEBHOOK_URL", "NOTIFY_ALERTMANAGER_URL", "NOTIFY_MAIL_TO"];

/// An environment.
pub(crate) type Environment = BTreeMap<OsString, OsString>;

/// Where an installation has its configuration.
const INSTALLED: &str = "/etc/tor-exit-validator/config.env";

/// Where an installation has its state.
const STATE: &str = "/var/lib/tor-exit-validator";

/// What a run is told on its command line, and where it was called.
#[derive(Debug, Clone, Default)]
pub(crate) struct Called {
    /// The file of `--config`.
    pub(crate) config: Option<PathBuf>,
    /// The checkout that the program is called from.
    pub(crate) checkout: Option<PathBuf>,
    /// The caller's working directory.
    pub(crate) directory: PathBuf,
    /// The process's environment.
    pub(crate) environment: Environment,
    /// The format of --log-format.
    pub(crate) log_format: Option<LogFormat>,
    /// How often -v was given.
    pub(crate) verbose: u8,
    /// Where the program itself is.
    pub(crate) program_dir: PathBuf,
}

/// A checked configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JobSettings {
    /// The file, where there is one.
    pub(crate) file: Option<PathBuf>,
    pub(crate) program_dir: PathBuf,
    pub(crate) state_dir: PathBuf,
    pub(crate) analysis_root: PathBuf,
    pub(crate) output_dir: PathBuf,
    pub(crate) log_dir: PathBuf,
    pub(crate) scan_limit: Duration,
    pub(crate) report_limit: Duration,
    pub(crate) upload_limit: Duration,
    pub(crate) retain_limit: Duration,
    pub(crate) min_free_mb: u64,
    pub(crate) shard: Option<String>,
    pub(crate) gather: bool,
    pub(crate) gather_wait: Duration,
    pub(crate) run_store: Option<String>,
    pub(crate) zone_check: bool,
    /// Whether the scan looks at exits' resolvers.
    pub(crate) checks: bool,
    /// Whether the domains that relays name are checked before a report.
    pub(crate) check_domains: bool,
    /// Whether something is to go from the stores.
    pub(crate) prunes: bool,
    /// The stores that are enabled: what the upload itself makes of its settings.
    pub(crate) stores: Vec<String>,
    /// Whether anybody is to be told what fails.
    pub(crate) tells: bool,
    /// Whether what notices remember has a backup, and subscribers may ask for something.
    pub(crate) keeps: bool,
    /// The address that is asked after each published run: a secret, which no stage's program gets.
    pub(crate) heartbeat: Option<String>,
    /// How the run and its stages log.
    pub(crate) log: LogArgs,
    /// What the stages' programs get.
    pub(crate) environment: Environment,
    /// Where each setting that the file decides stands in it.
    lines: BTreeMap<String, usize>,
}

/// The configuration's file: that of `--config`, else that of CONFIG_FILE, else the checkout's, else
/// the installation's.
fn find(called: &Called) -> Result<Option<PathBuf>, Failure> {
    let named = |path: PathBuf| {
        let path = called.directory.join(path);
        path.canonicalize().map(Some).map_err(|error| unreadable(&path, &error))
    };
    if let Some(path) = &called.config {
        return named(path.clone());
    }
    if let Some(path) = given(&called.environment, "CONFIG_FILE") {
        return named(path.into());
    }
    let checkout = called.checkout.as_ref().map(|checkout| checkout.join("config.env"));
    for path in checkout.into_iter().chain([PathBuf::from(INSTALLED)]) {
        match path.canonicalize() {
            Ok(path) => return Ok(Some(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // That it may be there and must not be read is no reason to do without it.
            Err(error) => return Err(unreadable(&path, &error)),
        }
    }
    Ok(None)
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let text = format!(
        "cannot read the configuration {path:?}: {error}. Name another with --config, or run as a \
         user who may read it"
    );
    Failure::saying(Exit::Settings, &text)
}

/// The value of a variable that is not blank.
fn given<'a>(environment: &'a Environment, name: &str) -> Option<&'a OsStr> {
    let value = environment.get(OsStr::new(name))?;
    (!value.to_string_lossy().trim().is_empty()).then_some(value)
}

/// The configuration's file and the environment, before anything is made of them.
pub(crate) struct Configuration<'a> {
    environment: &'a Environment,
    /// The file, where there is one.
    file: Option<PathBuf>,
    from_file: BTreeMap<String, Setting>,
}

impl<'a> Configuration<'a> {
    /// Reads it; every fault of the file in one go.
    pub(crate) fn read(called: &'a Called) -> Result<Self, Failure> {
        let file = find(called)?;
        let from_file = file.as_deref().map(read_file).transpose()?.unwrap_or_default();
        Ok(Self { environment: &called.environment, file, from_file })
    }

    /// The value of a setting.
    pub(crate) fn value(&self, key: &Key) -> Result<Option<String>, Failure> {
        check_environment(self.environment, |asked| asked.name == key.name)?;
        Ok(settings::value(key, &|name| {
            let value = given(self.environment, name).map(|value| value.to_string_lossy().into());
            value.or_else(|| self.from_file.get(name).map(|setting| setting.value.clone()))
        }))
    }
}

/// Reads a configuration's file.
fn read_file(path: &Path) -> Result<BTreeMap<String, Setting>, Failure> {
    let found = read::read(path).map_err(|error| unreadable(path, &error))?;
    let caller = rustix::process::geteuid().as_raw();
    let problems = check::check(&found, caller).problems;
    let name = path.display();
    let mut lines: Vec<String> =
        problems.iter().map(|problem| format!("{name}:{problem}")).collect();
    if lines.is_empty() {
        return Ok(settings::file::lines(&found.bytes).0);
    }
    lines.insert(0, format!("the configuration {name} is not valid; nothing was started:"));
    Err(Failure::saying(Exit::Settings, &lines.join("\n")))
}

impl JobSettings {
    /// Reads and checks everything that is the run's own to judge.
    pub(crate) fn read(called: &Called) -> Result<Self, Failure> {
        let Configuration { file, from_file, .. } = Configuration::read(called)?;
        // The other values are their programs' to judge.
        check_environment(&called.environment, |key| key.readers.contains(&Reader::Wrapper))?;
        // A flag goes before its variable, and a variable before the file; a blank one is none.
        let mut environment = called.environment.clone();
        for (name, setting) in &from_file {
            if given(&environment, name).is_none() {
                environment.insert(name.into(), setting.value.clone().into());
            }
        }
        // The scan's directory is the run's to name.
        environment.remove(OsStr::new("ANALYSIS_DIR"));
        let log = log(called, environment.remove(OsStr::new("LOG_FORMAT")))?;
        let mut made = Self::of(environment, called);
        made.log = log;
        made.file = file;
        made.lines = from_file
            .into_iter()
            .filter(|(name, _)| given(&called.environment, name).is_none())
            .map(|(name, setting)| (name, setting.line))
            .collect();
        made.check_hosts()?;
        made.check_heartbeat()?;
        Ok(made)
    }

    /// Takes everything from an environment that has been checked.
    fn of(mut environment: Environment, called: &Called) -> Self {
        let here = |path: PathBuf| called.directory.join(path);
        let place = |environment: &Environment, name: &str, default: PathBuf| {
            here(given(environment, name).map_or(default, PathBuf::from))
        };
        let state = called.checkout.clone().unwrap_or_else(|| STATE.into());
        let state_dir = place(&environment, "STATE_DIR", state);
        let program_dir = place(&environment, "PROGRAM_DIR", called.program_dir.clone());
        let [analysis_root, output_dir, tor_dir, log_dir] = [
            ("ANALYSIS_ROOT", "analysis"),
            ("OUTPUT_DIR", "public"),
            ("TOR_DIR", "tor"),
            ("LOG_DIR", "log"),
        ]
        .map(|(name, default)| place(&environment, name, state_dir.join(default)));
        for (name, path) in [
            ("STATE_DIR", &state_dir),
            ("ANALYSIS_ROOT", &analysis_root),
            ("OUTPUT_DIR", &output_dir),
            ("TOR_DIR", &tor_dir),
            ("LOG_DIR", &log_dir),
        ] {
            environment.insert(name.into(), path.into());
        }
        if let Some(history) = given(&environment, "HISTORY_FILE") {
            let history = here(history.into());
            environment.insert("HISTORY_FILE".into(), history.into());
        }
        let notices = place(&environment, "NOTIFY_DIR", state_dir.join("notify"));
        environment.insert("NOTIFY_DIR".into(), notices.into());
        let heartbeat = environment.remove(OsStr::new("HEARTBEAT_URL"));
        let heartbeat = heartbeat.map(|address| address.to_string_lossy().trim().to_owned());
        let text = |name: &str| {
            given(&environment, name).map(|value| value.to_string_lossy().trim().to_owned())
        };
        let value = |name: &str| settings::find(name).and_then(|key| settings::value(key, &text));
        // What is given has been checked.
        let number = |name: &str| value(name).and_then(|text| text.parse().ok()).unwrap_or(0);
        let seconds = |name: &str| Duration::from_secs(number(name));
        let flag = |name: &str| value(name).as_deref() == Some("true");
        Self {
            file: None,
            program_dir,
            analysis_root,
            output_dir,
            log_dir,
            scan_limit: seconds("SCAN_LIMIT"),
            report_limit: seconds("AGGREGATE_LIMIT"),
            upload_limit: seconds("UPLOAD_LIMIT"),
            retain_limit: seconds("RETAIN_LIMIT"),
            min_free_mb: number("MIN_FREE_MB"),
            shard: text("SHARD"),
            gather: flag("GATHER"),
            gather_wait: seconds("GATHER_WAIT"),
            run_store: text("RUN_STORE"),
            zone_check: flag("ZONE_CHECK"),
            checks: text("CHECKS").is_some(),
            check_domains: flag("CHECK_DOMAINS"),
            prunes: number("STORE_KEEP_DAYS") + number("STORE_KEEP_RUN_DAYS") > 0,
            stores: Vec::new(),
            tells: CHANNELS.iter().any(|name| text(name).is_some()) || text("NOTIFY_KEY").is_some(),
            keeps: text("NOTIFY_KEY").is_some(),
            heartbeat: heartbeat.filter(|address| !address.is_empty()),
            log: LogArgs { log_format: LogFormat::Text, verbose: 0 },
            state_dir,
            environment,
            lines: BTreeMap::new(),
        }
    }

    fn check_hosts(&self) -> Result<(), Failure> {
        let text = match (self.gather, &self.shard, &self.run_store) {
            (true, None, _) => {
                "GATHER is set and SHARD is not. Gathering joins shards: set SHARD, such as 0/3, or \
                 remove GATHER"
            }
            (true, _, None) => {
                "GATHER is set and RUN_STORE is not. Name the store that the other hosts push \
                 their runs to"
            }
            _ => return Ok(()),
        };
        Err(Failure::saying(Exit::Settings, text))
    }

    /// Says nothing of the value.
    fn check_heartbeat(&self) -> Result<(), Failure> {
        let checked = self.heartbeat.as_deref().map(heartbeat::check);
        checked.transpose().map(|_| ()).map_err(|error| {
            Failure::saying(Exit::Settings, &format!("HEARTBEAT_URL cannot be asked: {error}"))
        })
    }

    /// The directories that a run writes to.
    pub(crate) fn places(&self) -> [&Path; 3] {
        [&self.analysis_root, &self.output_dir, &self.log_dir]
    }

    /// The same in other places, and with these settings over the others: for a rehearsal.
    pub(crate) fn elsewhere(&self, state_dir: &Path, over: &[(String, String)]) -> Self {
        let mut environment = self.environment.clone();
        let without = [
            "ANALYSIS_ROOT",
            "OUTPUT_DIR",
            "TOR_DIR",
            "LOG_DIR",
            "HISTORY_FILE",
            "GATHER",
            "SHARD",
        ];
        let proxies = ["http_proxy", "https_proxy", "all_proxy"];
        let others = ["RUN_STORE", "DO_SESSION_TOKEN", "R2_SESSION_TOKEN", "NOTIFY_DIR"];
        // Nobody is told of a rehearsal.
        for name in without.iter().chain(&others).chain(&CHANNELS) {
            environment.remove(OsStr::new(name));
        }
        let keys = ["NOTIFY_WEBHOOK_KEY", "NOTIFY_KEY", "NOTIFY_SEAL_KEY", "NOTIFY_VERIFY_KEY"];
        for name in keys {
            environment.remove(OsStr::new(name));
        }
        // To the stores on this machine there is no way round.
        for name in proxies {
            environment.remove(OsStr::new(name));
            environment.remove(OsStr::new(&name.to_ascii_uppercase()));
        }
        environment.insert("STATE_DIR".into(), state_dir.into());
        environment.extend(over.iter().map(|(name, value)| (name.into(), value.into())));
        let called = Called {
            program_dir: self.program_dir.clone(),
            directory: state_dir.to_owned(),
            ..Called::default()
        };
        Self {
            file: self.file.clone(),
            lines: self.lines.clone(),
            log: self.log,
            ..Self::of(environment, &called)
        }
    }

    /// Where the settings stand that a message names, a line each.
    pub(crate) fn places_of(&self, message: &str) -> String {
        let is_named = |name: &str| {
            message.match_indices(name).any(|(at, _)| {
                let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
                !message[..at].ends_with(part) && !message[at + name.len()..].starts_with(part)
            })
        };
        let file = self.file.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        let mut text = String::new();
        for key in keys().filter(|key| is_named(key.name)) {
            if let Some(line) = self.lines.get(key.name) {
                text.push_str(&format!("{} is set in {file}, line {line}\n", key.name));
            } else if given(&self.environment, key.name).is_some() {
                text.push_str(&format!("{} is set in the environment\n", key.name));
            }
        }
        text
    }
}

/// How the run logs: by its flags, else by LOG_FORMAT.
fn log(called: &Called, variable: Option<OsString>) -> Result<LogArgs, Failure> {
    let variable = variable.filter(|value| !value.to_string_lossy().trim().is_empty());
    let log_format = match (called.log_format, variable) {
        (Some(format), _) => format,
        (None, None) => LogFormat::Text,
        (None, Some(value)) => {
            LogFormat::from_str(value.to_string_lossy().trim(), false).map_err(|_| {
                let text = format!("LOG_FORMAT is {value:?}: write text or json");
                Failure::saying(Exit::Settings, &text)
            })?
        }
    };
    Ok(LogArgs { log_format, verbose: called.verbose })
}

/// Checks the values of these settings in the environment: those of the file have been checked with it.
fn check_environment(
    environment: &Environment,
    judged: impl Fn(&Key) -> bool,
) -> Result<(), Failure> {
    let mut lines = Vec::new();
    for key in keys().filter(|key| judged(key)) {
        let Some(value) = given(environment, key.name) else { continue };
        let wanted = match value.to_str() {
            Some(value) => check::out_of_range(key, value),
            None => Some("write UTF-8".to_owned()),
        };
        if let Some(wanted) = wanted {
            let value = printable(&format!("{value:?}"));
            lines.push(format!("{} in the environment is {value}: {wanted}", key.name));
        }
    }
    if lines.is_empty() {
        return Ok(());
    }
    lines.insert(0, "a setting is not valid; nothing was started:".to_owned());
    Err(Failure::saying(Exit::Settings, &lines.join("\n")))
}

#[cfg(test)]
mod tests;
