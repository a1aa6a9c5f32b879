//! Whole runs against a machine that is a list of what happens.

use std::collections::VecDeque;

use super::*;
use crate::run::settings::Called;

/// A machine by script.
#[derive(Default)]
struct Script {
    /// What each stage answers, by its name, in order; a stage that is not listed ends well.
    answers: VecDeque<(&'static str, Status, &'static str)>,
    /// The stages that were begun, with the words that matter.
    begun: Vec<String>,
    said: Vec<(Level, String)>,
    time: Duration,
    free: VecDeque<u64>,
    clock: Option<String>,
    runs: Vec<Complete>,
    reported: Reported,
    /// What was marked as handed over.
    marked: Vec<String>,
    scans: Vec<(PathBuf, Option<DateTime<Utc>>, bool)>,
    /// The directories that are there.
    there: BTreeSet<PathBuf>,
    /// Why the heartbeat fails.
    deaf: Option<&'static str>,
    /// The signal that comes in this stage.
    signal_in: Option<&'static str>,
    stopped: Option<Exit>,
}

fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_953_600, 0).unwrap()
}

impl Host for Script {
    async fn stage(&mut self, stage: Stage) -> StageEnd {
        let nothing = |status| StageEnd { status, output: String::new() };
        if self.stopped.is_some() {
            return nothing(Status::Missing);
        }
        let words: Vec<_> = stage.arguments.iter().map(|word| word.to_string_lossy()).collect();
        self.begun.push(format!("{} {}", stage.name, words.join(" ")).trim_end().to_owned());
        if self.signal_in == Some(stage.name) {
            self.stopped = Some(Exit::Terminated);
            return nothing(Status::Signal(15));
        }
        let at = self.answers.iter().position(|(name, ..)| *name == stage.name);
        let ended = match at.and_then(|at| self.answers.remove(at)) {
            Some((_, status, output)) => StageEnd { status, output: output.to_owned() },
            None => nothing(Status::Code(0)),
        };
        // A scan leaves its run's file, unless there is no tor.
        if stage.name == "scan" && ended.status != Status::Code(Exit::NoTor.code()) {
            self.there.insert(PathBuf::from(&stage.arguments[1]).join(shelf::run::RUN_FILE));
        }
        ended
    }

    async fn pause(&mut self, time: Duration) {
        self.time += time;
    }

    fn stopped(&self) -> Option<Exit> {
        self.stopped
    }

    fn uptime(&self) -> Duration {
        self.time
    }

    fn now(&self) -> DateTime<Utc> {
        noon() + self.time
    }

    fn say(&mut self, level: Level, text: &str) {
        self.said.push((level, text.to_owned()));
    }

    fn free_mb(&self) -> u64 {
        self.free.front().copied().unwrap_or(u64::MAX)
    }

    fn clock_trouble(&self) -> Option<String> {
        self.clock.clone()
    }

    fn complete_runs(&self) -> Vec<Complete> {
        self.runs.clone()
    }

    fn reported(&self) -> Reported {
        self.reported.clone()
    }

    async fn beat(&mut self, address: &str) -> Result<(), String> {
        self.begun.push(format!("heartbeat {address}"));
        self.deaf.map_or(Ok(()), |why| Err(why.to_owned()))
    }

    fn mark_handed_over(&mut self, directory: &std::path::Path, store: &str) {
        self.marked.push(format!("{} {store}", directory.display()));
    }

    fn scans(&self) -> Vec<(PathBuf, Option<DateTime<Utc>>, bool)> {
        self.scans.clone()
    }

    fn exists(&self, path: &std::path::Path) -> bool {
        self.there.contains(path)
    }
}

fn settings(variables: &[(&str, &str)]) -> JobSettings {
    let called = Called {
        checkout: Some("/state".into()),
        directory: "/".into(),
        program_dir: "/programs".into(),
        environment: variables.iter().map(|(name, value)| (name.into(), value.into())).collect(),
        ..Called::default()
    };
    let mut settings = JobSettings::read(&called).unwrap();
    settings.stores = vec!["do".to_owned(), "r2".to_owned()];
    settings
}

/// Runs the job with these variables; what it came to.
fn run(script: &mut Script, only: Option<JobPart>, variables: &[(&str, &str)]) -> RunOutcome {
    let settings = settings(variables);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(Job::new(script, &settings).run(only))
}

fn complete(name: &str, hour: i64) -> Complete {
    Complete {
        directory: format!("/state/analysis/{name}").into(),
        id: name.to_owned(),
        began: noon() + TimeDelta::hours(hour - 1),
        ended: noon() + TimeDelta::hours(hour),
        shard: None,
        handed_to: None,
    }
}

const SCAN: &str = "/state/analysis/scan_2026-11-29_12-00-00";

#[test]
fn the_stages_of_a_good_day() {
    let figures = "x\n  8 of 8: DNS works at 100 %\ny";
    let mut script =
        Script { answers: [("report", Status::Code(0), figures)].into(), ..Script::default() };
    let outcome = run(&mut script, None, &[]);
    assert_eq!(outcome.exit, Exit::Done);
    assert_eq!(outcome.figures, "8 of 8: DNS works at 100 %");
    assert_eq!(outcome.stores, "do r2");
    assert_eq!(
        script.begun,
        [
            &format!("scan --analysis-dir {SCAN}"),
            &format!("report --input {SCAN}"),
            "incidents --no-send",
            "upload --dir /state/public",
            "retain",
        ]
    );
}

#[test]
fn a_scan_that_looks_at_resolvers_goes_on_where_the_last_whole_run_began() {
    let scan = |variables: &[(&'static str, &'static str)]| {
        let runs = vec![
            complete("earlier", -12),
            complete("last", -5),
            Complete { shard: Some("1/3".to_owned()), ..complete("another", -2) },
        ];
        let mut script = Script { runs, ..Script::default() };
        run(&mut script, Some(JobPart::Scan), variables);
        script.begun.remove(0)
    };
    assert_eq!(scan(&[]), format!("scan --analysis-dir {SCAN}"));
    assert_eq!(
        scan(&[("CHECKS", "who,dnssec")]),
        format!("scan --analysis-dir {SCAN} --checks-since 2026-11-29T06:00:00+00:00")
    );
    let another = scan(&[("CHECKS", "tcp"), ("SHARD", "1/3")]);
    assert!(another.ends_with("--checks-since 2026-11-29T09:00:00+00:00"), "{another}");
    assert_eq!(scan(&[("CHECKS", "tcp"), ("SHARD", "2/3")]), format!("scan --analysis-dir {SCAN}"));
}

#[test]
fn domains_are_checked_before_the_report_where_that_is_asked_for_and_hold_up_nothing() {
    let begun = |variables: &[(&'static str, &'static str)], answers: Vec<_>| {
        let mut script = Script { answers: answers.into(), ..Script::default() };
        let outcome = run(&mut script, None, variables);
        let stages = script.begun.iter().map(|stage| stage.split(' ').next().unwrap().to_owned());
        (stages.collect::<Vec<_>>().join(" "), outcome.exit, script.begun)
    };
    let asked = [("CHECK_DOMAINS", "true")];
    let all = "scan domains report incidents upload retain";
    for (status, exit) in [
        (Status::Code(0), Exit::Done),
        (Status::Code(Exit::Domains.code()), Exit::Domains),
        (Status::Code(Exit::History.code()), Exit::Domains),
        (Status::Late, Exit::Done),
    ] {
        let (stages, ended, begun) = begun(&asked, vec![("domains", status, "")]);
        assert_eq!((stages.as_str(), ended), (all, exit), "{status:?}");
        assert!(begun.contains(&format!("domains --input {SCAN}")), "{begun:?}");
    }
    // A graver failure is the one that is said.
    let (_, ended, _) = begun(
        &asked,
        vec![
            ("domains", Status::Code(Exit::Domains.code()), ""),
            ("report", Status::Code(Exit::Report.code()), ""),
        ],
    );
    assert_eq!(ended, Exit::Report);
    assert!(!begun(&[], Vec::new()).0.contains("domains"), "it is off by default");
}

#[test]
fn who_is_to_be_told_is_told_after_the_upload_also_where_there_is_no_new_report() {
    let told = [("NOTIFY_MAIL_TO", "ops@example.org")];
    let begun = |answers: Vec<(&'static str, Status, &'static str)>| {
        let mut script = Script { answers: answers.into(), ..Script::default() };
        let outcome = run(&mut script, None, &told);
        let names = script.begun.iter().filter_map(|stage| stage.split(' ').next());
        (names.collect::<Vec<_>>().join(" "), outcome.exit)
    };
    let all = "scan report incidents upload notify retain";
    assert_eq!(begun(Vec::new()), (all.to_owned(), Exit::Done));
    let no_tor = Status::Code(Exit::NoTor.code());
    let short = ("scan notify retain".to_owned(), Exit::NoTor);
    assert_eq!(begun(vec![("scan", no_tor, "")]), short);
    let late = vec![("notify", Status::Code(Exit::Told.code()), "")];
    assert_eq!(begun(late), (all.to_owned(), Exit::Told));
    // With a key there is a backup, and subscribers may have asked for something.
    let stages = |script: &Script| {
        let names =
            script.begun.iter().map(|stage| stage.replace("upload --dir /state/public", "upload"));
        let names: Vec<String> = names.filter(|stage| !stage.starts_with("scan")).collect();
        names.join(", ")
    };
    let keeps = [("NOTIFY_KEY", "x"), told[0]];
    let mut script = Script::default();
    assert_eq!(run(&mut script, None, &keeps).exit, Exit::Done);
    let begun = stages(&script);
    assert!(
        begun.ends_with(
            "backup notices, incidents --no-send, upload, notify, backup notices, retain"
        ),
        "{begun}"
    );
    let failed = vec![("backup", Status::Code(Exit::NoRoute.code()), "")];
    let mut script = Script {
        answers: [failed, vec![("scan", no_tor, "")]].concat().into(),
        ..Script::default()
    };
    assert_eq!(run(&mut script, None, &keeps).exit, Exit::NoTor);
    assert_eq!(stages(&script), "backup notices, notify, backup notices, retain");
    // Who scans for another host tells nobody: it has no report.
    let mut script = Script::default();
    let shard = [("SHARD", "1/3"), ("RUN_STORE", "r2"), told[0]];
    run(&mut script, None, &shard);
    assert!(!script.begun.iter().any(|stage| stage.starts_with("notify")), "{:?}", script.begun);
}

#[test]
fn every_complete_run_without_a_report_is_reported_first_and_the_oldest_of_them_before_the_others()
{
    let runs = vec![
        complete("c", -1),
        complete("a", -13),
        complete("b", -7),
        // Before the newest report: reports do not go back.
        complete("forgotten", -25),
        // Of another host.
        Complete { shard: Some("1/3".to_owned()), ..complete("shard", -2) },
    ];
    let reported =
        Reported { runs: ["a".to_owned()].into(), newest: Some(noon() - TimeDelta::hours(13)) };
    let mut script = Script { runs, reported, ..Script::default() };
    assert_eq!(run(&mut script, None, &[]).exit, Exit::Done);
    assert_eq!(
        script.begun[..4],
        [
            "report --input /state/analysis/b".to_owned(),
            "report --input /state/analysis/c".to_owned(),
            format!("scan --analysis-dir {SCAN}"),
            format!("report --input {SCAN}"),
        ]
    );
    // By hand too; and where all have one, the newest again.
    script.begun.clear();
    run(&mut script, Some(JobPart::Report), &[]);
    assert_eq!(script.begun.len(), 2);
    script.runs.clear();
    script.begun.clear();
    run(&mut script, Some(JobPart::Report), &[]);
    assert_eq!(script.begun, ["report"]);
}

#[test]
fn an_earlier_run_is_published_though_the_scan_fails() {
    let mut script = Script {
        runs: vec![complete("a", -1)],
        answers: [("scan", Status::Code(11), "")].into(),
        ..Script::default()
    };
    let outcome = run(&mut script, None, &[]);
    assert_eq!(outcome.exit, Exit::NoTor);
    assert!(script.begun.iter().any(|stage| stage.starts_with("upload")), "{:?}", script.begun);
}

#[test]
fn each_end_of_a_stage_has_its_code_and_its_words() {
    use Status::{Code, Late, Missing, Signal};
    let mut said = Vec::new();
    for (stage, status, exit) in [
        ("scan", Code(2), Exit::Settings),
        ("scan", Code(1), Exit::Scan),
        ("scan", Signal(9), Exit::Scan),
        ("scan", Missing, Exit::Scan),
        ("scan", Code(11), Exit::NoTor),
        ("scan", Code(12), Exit::Incomplete),
        ("scan", Code(13), Exit::Results),
        ("scan", Late, Exit::ScanLimit),
        ("report", Code(2), Exit::Settings),
        ("report", Code(101), Exit::ReportFailed),
        ("report", Code(21), Exit::Input),
        ("report", Code(22), Exit::Report),
        ("report", Code(23), Exit::History),
        ("report", Late, Exit::ReportLimit),
        ("report", Code(25), Exit::Held),
        ("upload", Code(2), Exit::Settings),
        ("upload", Code(60), Exit::Stores),
        ("upload", Code(30), Exit::Stores),
        ("upload", Code(31), Exit::Older),
        ("upload", Code(32), Exit::Late),
        ("upload", Late, Exit::Late),
        ("upload", Code(33), Exit::Local),
        ("retain", Code(42), Exit::Retain),
        ("retain", Late, Exit::RetainLimit),
    ] {
        let mut script = Script { answers: [(stage, status, "")].into(), ..Script::default() };
        let outcome = run(&mut script, None, &[]);
        assert_eq!(outcome.exit, exit, "{stage} {status}");
        assert_eq!(outcome.troubles.len(), 1, "{stage} {status}: {:?}", outcome.troubles);
        said.push(outcome.troubles[0].clone());
        // Whatever fails, there is room afterwards.
        assert_eq!(script.begun.last().unwrap(), "retain");
    }
    insta::assert_snapshot!("troubles", said.join("\n"));
}

#[test]
fn what_leaves_a_good_report_behind_does_not_hide_what_comes_after_it() {
    let both = |first: u8, second: u8| {
        let answers =
            [("report", Status::Code(first), ""), ("upload", Status::Code(second), "")].into();
        run(&mut Script { answers, ..Script::default() }, None, &[]).exit
    };
    assert_eq!(both(25, 60), Exit::Stores);
    assert_eq!(both(25, 0), Exit::Held);
    let answers = [
        ("upload", Status::Code(31), ""),
        ("retain", Status::Code(40), ""),
        ("report", Status::Code(23), ""),
    ];
    let outcome = run(&mut Script { answers: answers.into(), ..Script::default() }, None, &[]);
    assert_eq!((outcome.exit, outcome.troubles.len()), (Exit::Older, 3));
}

#[test]
fn a_signal_ends_the_run_in_any_stage() {
    for (stage, begun) in
        [("scan", 1), ("report", 2), ("incidents", 3), ("upload", 4), ("retain", 5)]
    {
        let mut script = Script { signal_in: Some(stage), ..Script::default() };
        let outcome = run(&mut script, None, &[]);
        assert_eq!(outcome.exit, Exit::Terminated);
        assert_eq!(script.begun.len(), begun, "{:?}", script.begun);
    }
}

#[test]
fn without_room_nothing_is_started_unless_retention_makes_some() {
    let mut script = Script { free: [999].into(), ..Script::default() };
    let outcome = run(&mut script, Some(JobPart::Scan), &[]);
    assert_eq!(outcome.exit, Exit::Disk);
    assert_eq!(script.begun, ["retain"]);
    let mut script = Script { clock: Some("it shows 1970".to_owned()), ..Script::default() };
    assert_eq!(run(&mut script, Some(JobPart::Scan), &[]).exit, Exit::Clock);
    assert!(script.begun.is_empty());
    // Exactly as much as is asked for is enough.
    let mut script = Script { free: [1000].into(), ..Script::default() };
    assert_eq!(run(&mut script, Some(JobPart::Scan), &[]).exit, Exit::Done);
}

#[test]
fn a_scan_of_the_last_day_is_resumed_and_no_other() {
    let name = || PathBuf::from("/state/analysis/scan_2026-11-28_18-00-00");
    for (age, complete, resumed) in [(23, false, true), (25, false, false), (1, true, false)] {
        let planned = Some(noon() - TimeDelta::hours(age));
        let mut script = Script { scans: vec![(name(), planned, complete)], ..Script::default() };
        run(&mut script, Some(JobPart::Scan), &[]);
        assert_eq!(script.begun[0].ends_with("--resume"), resumed, "{:?}", script.begun);
    }
    // One that has not even a plan has nothing to resume.
    let mut script = Script { scans: vec![(name(), None, false)], ..Script::default() };
    run(&mut script, Some(JobPart::Scan), &[]);
    assert_eq!(script.begun, [format!("scan --analysis-dir {SCAN}")]);
}

#[test]
fn two_runs_in_one_second_have_two_directories() {
    let mut script = Script { there: [PathBuf::from(SCAN)].into(), ..Script::default() };
    run(&mut script, Some(JobPart::Scan), &[]);
    assert_eq!(script.begun, ["scan --analysis-dir /state/analysis/scan_2026-11-29_12-00-01"]);
}

const GATHERER: [(&str, &str); 4] =
    [("SHARD", "0/2"), ("GATHER", "true"), ("RUN_STORE", "r2"), ("GATHER_WAIT", "60")];

#[test]
fn shards_are_waited_for_and_joined() {
    let mut script = Script {
        answers: [("runs", Status::Code(26), "/a\n"), ("runs", Status::Code(0), "/a\n/b\n")].into(),
        ..Script::default()
    };
    assert_eq!(run(&mut script, None, &GATHERER).exit, Exit::Done);
    assert_eq!(
        script.begun[1..6],
        [
            "pull pull --target r2".to_owned(),
            format!("runs runs --of {SCAN}"),
            "pull pull --target r2".to_owned(),
            format!("runs runs --of {SCAN}"),
            "report --input /a /b".to_owned(),
        ]
    );
    assert_eq!(script.time, Duration::from_secs(3), "a twentieth of GATHER_WAIT");
}

#[test]
fn shards_that_do_not_come_are_reported_as_missing_or_as_not_fetched() {
    for (pulled, exit) in [(0, Exit::Shards), (64, Exit::Fetch)] {
        let mut script = Script::default();
        for _ in 0..30 {
            script.answers.push_back(("runs", Status::Code(26), "/a\n"));
            script.answers.push_back(("pull", Status::Code(pulled), ""));
        }
        script.answers.push_back(("report", Status::Code(25), ""));
        let outcome = run(&mut script, None, &GATHERER);
        assert_eq!(outcome.exit, exit);
        assert!(script.time >= Duration::from_secs(60));
        assert!(script.begun.contains(&"report --input /a".to_owned()), "{:?}", script.begun);
    }
}

#[test]
fn a_shard_is_handed_over_and_nothing_is_published() {
    let shard = [("SHARD", "1/2"), ("RUN_STORE", "r2")];
    let mut script = Script { runs: vec![complete("a", -1)], ..Script::default() };
    assert_eq!(run(&mut script, None, &shard).exit, Exit::Done);
    let push = format!("push push-run --target r2 {SCAN}");
    assert_eq!(script.begun, [format!("scan --analysis-dir {SCAN}"), push, "retain".to_owned()]);
    let mut script = Script::default();
    assert_eq!(run(&mut script, Some(JobPart::Upload), &shard).exit, Exit::HandOver);
    let mut script =
        Script { answers: [("push", Status::Code(64), "")].into(), ..Script::default() };
    assert_eq!(run(&mut script, None, &shard).exit, Exit::HandOver);
}

#[test]
fn every_run_of_a_shard_that_was_not_handed_over_is_handed_over_first_and_the_oldest_of_them_before_the_others()
 {
    let variables = [("SHARD", "1/2"), ("RUN_STORE", "r2")];
    let of = |name: &str, hour: i64, store: Option<&str>| Complete {
        shard: Some("1/2".to_owned()),
        handed_to: store.map(str::to_owned),
        ..complete(name, hour)
    };
    let runs = vec![
        of("c", -1, None),
        of("b", -7, Some("do")),
        of("handed", -9, Some("r2")),
        of("a", -13, None),
        // Nobody fetches it any more.
        of("old", -49, None),
        // Of another host, and of the whole network.
        Complete { shard: Some("0/2".to_owned()), ..complete("other", -2) },
        complete("whole", -2),
    ];
    let push = |name: &str| format!("push push-run --target r2 /state/analysis/{name}");
    let scan = || format!("scan --analysis-dir {SCAN}");
    let own = || format!("push push-run --target r2 {SCAN}");
    let mut script = Script { runs: runs.clone(), ..Script::default() };
    assert_eq!(run(&mut script, None, &variables).exit, Exit::Done);
    let all = [push("a"), push("b"), push("c"), scan(), own(), "retain".to_owned()];
    assert_eq!(script.begun, all);
    let marked = ["/state/analysis/a", "/state/analysis/b", "/state/analysis/c", SCAN];
    assert_eq!(script.marked, marked.map(|run| format!("{run} r2")));

    // By hand too; and if all were handed over, the newest again.
    let mut script = Script { runs: runs.clone(), ..Script::default() };
    assert_eq!(run(&mut script, Some(JobPart::Upload), &variables).exit, Exit::Done);
    assert_eq!(script.begun, all[..3]);
    let scans = vec![("/state/analysis/z".into(), None, true)];
    let mut script = Script { scans, ..Script::default() };
    assert_eq!(run(&mut script, Some(JobPart::Upload), &variables).exit, Exit::Done);
    assert_eq!(script.begun, [push("z")]);

    // One that cannot be read does not hold up the others; a store that fails does until next time.
    for (code, begun) in [(33, &all[..]), (64, &[push("a"), scan(), own(), all[5].clone()][..])] {
        let answers = [("push", Status::Code(code), "")].into();
        let mut script = Script { runs: runs.clone(), answers, ..Script::default() };
        assert_eq!(run(&mut script, None, &variables).exit, Exit::HandOver);
        assert_eq!(script.begun, begun);
        assert!(!script.marked.contains(&"/state/analysis/a r2".to_owned()));
    }
}

#[test]
fn stores_are_pruned_before_the_upload_if_that_is_wished() {
    let kept = [("STORE_KEEP_DAYS", "90")];
    let mut script = Script::default();
    assert_eq!(run(&mut script, Some(JobPart::Upload), &kept).exit, Exit::Done);
    assert_eq!(script.begun, ["prune prune", "prune prune --yes", "upload --dir /state/public"]);
    for (code, exit, stages) in [(69, Exit::Done, 2), (61, Exit::Retain, 2)] {
        let answers = [("prune", Status::Code(code), "")].into();
        let mut script = Script { answers, ..Script::default() };
        assert_eq!(run(&mut script, Some(JobPart::Upload), &kept).exit, exit);
        assert_eq!(script.begun.len(), stages, "{:?}", script.begun);
    }
}

#[test]
fn the_heartbeat_comes_after_each_published_run_and_after_no_other() {
    const ADDRESS: &str = "https://monitor.example/s3cr3t";
    let beats = |answers: Vec<(&'static str, Status, &'static str)>| {
        let mut script = Script { answers: answers.into(), ..Script::default() };
        let outcome = run(&mut script, None, &[("HEARTBEAT_URL", ADDRESS)]);
        let at = script.begun.iter().position(|stage| stage.starts_with("heartbeat"));
        (at.map(|at| script.begun[at - 1..at + 2].join("; ")), outcome.exit)
    };
    let ended = |stage, exit: Exit| vec![(stage, Status::Code(exit.code()), "")];
    let beaten = format!("upload --dir /state/public; heartbeat {ADDRESS}; retain");
    assert_eq!(beats(Vec::new()), (Some(beaten.clone()), Exit::Done));
    // The report is out; what is made of it is not.
    assert_eq!(beats(ended("report", Exit::Exports)), (Some(beaten.clone()), Exit::Exports));
    assert_eq!(beats(ended("retain", Exit::Retain)), (Some(beaten), Exit::Retain));
    for (stage, exit, wanted) in [
        ("scan", Exit::NoTor, Exit::NoTor),
        ("report", Exit::Held, Exit::Held),
        ("report", Exit::History, Exit::History),
        ("report", Exit::Report, Exit::Report),
        ("upload", Exit::NoRoute, Exit::Stores),
    ] {
        assert_eq!(beats(ended(stage, exit)), (None, wanted), "{stage} {exit:?}");
    }
    // Nobody who looks at the log learns the address, and nothing else fails with it.
    let mut script = Script { deaf: Some("no answer within 15 s"), ..Script::default() };
    let outcome = run(&mut script, None, &[("HEARTBEAT_URL", ADDRESS)]);
    assert_eq!((outcome.exit, outcome.troubles), (Exit::Done, Vec::new()));
    let said = "heartbeat: HEARTBEAT_URL could not be asked: no answer within 15 s";
    assert!(script.said.contains(&(Level::Warn, said.to_owned())));
    assert!(!script.said.iter().any(|(_, text)| text.contains("s3cr3t")));
    // Without an address nobody is asked.
    let mut script = Script::default();
    run(&mut script, None, &[]);
    assert!(!script.begun.iter().any(|stage| stage.starts_with("heartbeat")));
}
