//! Where a setting comes from, and what is said of one that is not valid.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

struct Place {
    directory: tempfile::TempDir,
    variables: Vec<(&'static str, &'static str)>,
}

impl Place {
    fn with(text: &str, variables: &[(&'static str, &'static str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.env");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        Self { directory, variables: variables.to_vec() }
    }

    fn called(&self) -> Called {
        Called {
            config: Some("config.env".into()),
            directory: self.directory.path().to_owned(),
            environment: self
                .variables
                .iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            program_dir: "/programs".into(),
            ..Called::default()
        }
    }

    fn read(&self) -> JobSettings {
        JobSettings::read(&self.called()).unwrap()
    }

    #[track_caller]
    fn refused(&self, words: &[&str]) {
        let failure = JobSettings::read(&self.called()).unwrap_err();
        assert_eq!(failure.exit, Exit::Settings);
        for word in words {
            assert!(failure.to_string().contains(word), "{word:?} is not in: {failure}");
        }
    }
}

#[test]
fn the_environment_overrides_the_file_unless_it_is_blank() {
    let file = "STATE_DIR=/from/file\nSCAN_LIMIT=100\nR2_ENABLED=true\nPROGRAM_DIR=/bin\n";
    let settings =
        Place::with(file, &[("SCAN_LIMIT", "200"), ("R2_ENABLED", ""), ("STATE_DIR", " ")]).read();
    assert_eq!(settings.scan_limit, Duration::from_secs(200));
    assert_eq!(settings.state_dir, Path::new("/from/file"));
    assert_eq!(settings.analysis_root, Path::new("/from/file/analysis"));
    assert_eq!(settings.program_dir, Path::new("/bin"));
    assert_eq!(given(&settings.environment, "R2_ENABLED").unwrap(), "true");
}

#[test]
fn defaults_are_those_of_the_list() {
    let settings = Place::with("", &[]).read();
    assert_eq!(settings.scan_limit, Duration::from_secs(19_800));
    assert_eq!(settings.min_free_mb, 1000);
    assert_eq!(settings.state_dir, Path::new(STATE));
    assert!(!settings.gather && settings.zone_check && settings.shard.is_none());
}

#[test]
fn relative_places_are_those_of_the_caller() {
    let place =
        Place::with("LOG_DIR='logs here'\nHISTORY_FILE=mine.sqlite\n", &[("STATE_DIR", "state")]);
    let settings = place.read();
    let here = place.directory.path();
    assert_eq!(settings.log_dir, here.join("logs here"));
    assert_eq!(settings.output_dir, here.join("state/public"));
    assert_eq!(settings.environment[OsStr::new("HISTORY_FILE")], here.join("mine.sqlite"));
}

#[test]
fn a_value_in_the_environment_is_checked_as_one_in_the_file_is() {
    Place::with(
        "",
        &[("MIN_FREE_MB", "abc"), ("SCAN_LIMIT", "abc\u{1b}[31m"), ("GATHER", "maybe")],
    )
    .refused(&[
        "MIN_FREE_MB in the environment is \"abc\": write a whole number from 0",
        "SCAN_LIMIT in the environment",
        "\\u{1b}",
        "GATHER in the environment is \"maybe\"",
    ]);
    Place::with("\nMIN_FREE_MB=abc\n", &[]).refused(&["config.env:2: MIN_FREE_MB is \"abc\""]);
    Place::with("GATHER=true\n", &[]).refused(&["SHARD is not"]);
    Place::with("GATHER=true\nSHARD=0/2\n", &[]).refused(&["RUN_STORE is not"]);
}

#[test]
fn a_file_that_cannot_be_read_is_not_passed_over() {
    let place = Place::with("", &[]);
    let mut called = place.called();
    called.config = Some("none.env".into());
    let failure = JobSettings::read(&called).unwrap_err();
    assert!(failure.to_string().contains("none.env"), "{failure}");
    // One that may be there: what stands in its way is no directory.
    called.config = None;
    called.checkout = Some(place.directory.path().join("config.env"));
    let failure = JobSettings::read(&called).unwrap_err();
    assert_eq!(failure.exit, Exit::Settings);
}

#[test]
fn where_a_setting_stands_is_said() {
    let place = Place::with("\nBUILD_DELAY=soon\nSHARD=0/2\n", &[("QUERY_TIMEOUT", "111")]);
    let settings = place.read();
    let said =
        settings.places_of("for 'BUILD_DELAY (--build-delay)'\nfor 'QUERY_TIMEOUT (--query)'");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(
        lines[0].starts_with("BUILD_DELAY is set in ") && lines[0].ends_with("config.env, line 2")
    );
    assert_eq!(lines[1], "QUERY_TIMEOUT is set in the environment");
}

#[test]
fn a_rehearsal_is_elsewhere_and_keeps_nothing_of_the_stores() {
    let variables = [
        ("R2_SESSION_TOKEN", "t"),
        ("HTTPS_PROXY", "p"),
        ("GATHER", "true"),
        ("SHARD", "0/2"),
        ("RUN_STORE", "r2"),
        ("NOTIFY_KEY", "k"),
        ("NOTIFY_SEAL_KEY", "s"),
        ("NOTIFY_VERIFY_KEY", "v"),
    ];
    let settings = Place::with("LOG_DIR=/var/log/x\n", &variables).read();
    let over = [("R2_BUCKET".to_owned(), "lab".to_owned())];
    let moved = settings.elsewhere(Path::new("/tmp/w/state"), &over);
    assert_eq!(moved.log_dir, Path::new("/tmp/w/state/log"));
    assert!(!moved.gather && moved.run_store.is_none());
    assert!(settings.tells && settings.keeps && !moved.tells && !moved.keeps);
    let gone =
        ["R2_SESSION_TOKEN", "HTTPS_PROXY", "NOTIFY_KEY", "NOTIFY_SEAL_KEY", "NOTIFY_VERIFY_KEY"];
    for name in gone {
        assert!(!moved.environment.contains_key(OsStr::new(name)), "{name}");
    }
    assert_eq!(moved.environment[OsStr::new("R2_BUCKET")], "lab");
}

#[test]
fn the_log_is_as_the_flags_say_or_else_as_the_setting_does() {
    let json = Place::with("LOG_FORMAT=json\n", &[]);
    assert_eq!(json.read().log.log_format, LogFormat::Json);
    assert_eq!(Place::with("", &[("LOG_FORMAT", " ")]).read().log.log_format, LogFormat::Text);
    let called = Called { log_format: Some(LogFormat::Text), verbose: 2, ..json.called() };
    let settings = JobSettings::read(&called).unwrap();
    assert_eq!(settings.log, LogArgs { log_format: LogFormat::Text, verbose: 2 });
    assert_eq!(settings.elsewhere(Path::new("/else"), &[]).log, settings.log);
    // Each stage is told by flags and by this variable, and asked for its settings without.
    assert_eq!(given(&json.read().environment, "LOG_FORMAT"), None);
    Place::with("LOG_FORMAT=xml\n", &[]).refused(&["LOG_FORMAT", "xml", "text or json"]);
}

#[test]
fn the_heartbeat_is_a_secret_that_no_program_gets() {
    let settings = Place::with("HEARTBEAT_URL=https://monitor.example/s3cr3t\n", &[]).read();
    assert_eq!(settings.heartbeat.as_deref(), Some("https://monitor.example/s3cr3t"));
    assert!(!settings.environment.values().any(|value| value.to_string_lossy().contains("s3cr3t")));
    // A rehearsal tells nobody that all is well.
    assert_eq!(settings.elsewhere(Path::new("/elsewhere"), &[]).heartbeat, None);
    let place = Place::with("HEARTBEAT_URL=monitor.example/s3cr3t\n", &[]);
    place.refused(&["HEARTBEAT_URL", "https://"]);
    let failure = JobSettings::read(&place.called()).unwrap_err();
    assert!(!failure.to_string().contains("s3cr3t"), "{failure}");
}
