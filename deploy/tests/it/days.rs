//! Runs on good and on bad days: what is published, with which exit code, and what the log says.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;

use rustix::process::Signal;

use crate::host::{Host, Running, SECRET, Stores, kill_all, processes, until};
use crate::reader::look;

/// The store holds what the output directory does.
#[track_caller]
fn published(host: &Host, stores: &Stores, bucket: &str) {
    let exports = ["metrics.prom", "onionoo-dns.json", "badges/0.json", "compat/latest.json"];
    for name in ["latest.json", "files.json", "trends.json"].iter().chain(&exports) {
        let (here, there) = (host.public().join(name), stores.bucket(bucket).join(name));
        assert!(fs::read(here).unwrap() == fs::read(&there).unwrap(), "{there:?} differs");
    }
    look(&stores.bucket(bucket));
}

/// A service that notices when it is not asked any more: its address, and what it was asked.
fn monitor() -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/{SECRET}", listener.local_addr().unwrap());
    let (told, beats) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let head = stream.by_ref().lines().map(Result::unwrap);
            let head: Vec<_> = head.take_while(|line| !line.is_empty()).collect();
            let _ = told.send(head[0].clone());
            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    });
    (address, beats)
}

pub fn a_good_day() {
    let stores = Stores::start();
    let mut host = Host::publishing_to(&stores);
    let (address, beats) = monitor();
    host.set("HEARTBEAT_URL", &address);
    let ended = host.run(&[]).with(0);
    assert_eq!(ended.said, "", "cron would mail this");
    assert_eq!(beats.try_iter().collect::<Vec<_>>(), [format!("GET /{SECRET} HTTP/1.1")]);
    let report = host.latest().unwrap();
    let checked = lab::check(&host.scans()[0], &host.lab.manifest).unwrap();
    assert!(checked.is_true(), "{}", checked.table());
    assert_eq!(report.metadata.total_relays, 8);
    published(&host, &stores, lab::SPACES_BUCKET);
    published(&host, &stores, lab::R2_BUCKET);

    let log = host.log();
    for line in log.lines() {
        let (time, rest) = line.split_at(20);
        assert!(time.starts_with("20") && &time[10..11] == "T", "no time: {line}");
        let levels = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"];
        assert!(rest.split_whitespace().any(|word| levels.contains(&word)), "no level: {line}");
    }
    let last = log.lines().last().unwrap();
    assert!(last.contains("done after") && last.contains("DNS works"), "{last}");
    assert!(last.contains("stores: do r2"), "{last}");
    assert!(!log.contains(SECRET));

    // The second run of the day adds to the first.
    host.run(&[]).with(0);
    assert_eq!((host.logs().len(), host.files().files.len()), (2, 2));
    published(&host, &stores, lab::R2_BUCKET);
}

pub fn a_closed_gate() {
    let stores = Stores::start();
    let mut host = Host::publishing_to(&stores);
    host.run(&[]).with(0);
    let before = fs::read(host.public().join("latest.json")).unwrap();
    host.set("GATE_MIN_RELAYS", "100");
    host.run(&[]).with(25).saying(&["the gate is closed", "log: "]);
    assert!(fs::read(host.public().join("latest.json")).unwrap() == before);
    let files = host.files().files;
    assert_eq!(files.len(), 2);
    for file in files {
        assert!(stores.bucket(lab::R2_BUCKET).join(&file.name).exists(), "{}", file.name);
    }
    published(&host, &stores, lab::SPACES_BUCKET);
}

pub fn one_store_of_two_is_down() {
    let stores = Stores::start();
    let mut host = Host::publishing_to(&stores);
    // Bound once, and closed: nothing listens there.
    let nowhere = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    host.set("R2_ENDPOINT", &format!("http://{nowhere}"));
    // Of the upload's own tries, some seconds' worth.
    host.set("UPLOAD_DEADLINE", "5");
    let ended = host.run(&[]);
    assert!([Some(30), Some(32)].contains(&ended.code), "{}", ended.said);
    let _ = ended.saying(&["FAILED", "upload"]);
    published(&host, &stores, lab::SPACES_BUCKET);
    assert!(host.log().contains("r2"));

    // It comes back: the next upload brings it up to date.
    host.set_all(&stores.settings());
    host.run(&["--only", "upload"]).with(0);
    published(&host, &stores, lab::R2_BUCKET);
}

/// A host whose runs stay in one stage until the file `go` is there.
fn held(stores: &Stores, program: &str) -> Host {
    let mut host = Host::publishing_to(stores);
    if program == "scanner" {
        host.set("BUILD_DELAY", "20");
        host.set("DELAY_NOISE", "0");
    } else {
        let go = host.path("go");
        let script = format!(
            "case \"$1\" in --check-settings | retain | runs) exec \"$REAL\" \"$@\" ;; esac\n\
             : >\"$STATE_DIR/held\"; while ! [ -e '{}' ]; do sleep 0.05; done\nexec \"$REAL\" \"$@\"",
            go.display().to_string().replace('\'', "'\\''")
        );
        host.replace(program, &script);
    }
    host
}

/// Waits until the run stays in that stage.
fn until_held(running: &mut Running, host: &Host, program: &str) {
    until(&format!("it stays in {program}"), || {
        assert!(!running.is_over(), "it ended before {program}: {}", host.log());
        match program {
            "scanner" => host.scans().first().is_some_and(|scan| scan.join("plan.json").exists()),
            _ => host.state().join("held").exists(),
        }
    });
}

fn released(host: &mut Host, stores: &Stores) {
    host.set("BUILD_DELAY", "0.05");
    fs::write(host.path("go"), "").unwrap();
    host.run(&[]).with(0);
    look(&host.public());
    published(host, stores, lab::SPACES_BUCKET);
    published(host, stores, lab::R2_BUCKET);
}

pub fn ended_in_each_stage_and_run_again() {
    for program in ["scanner", "aggregate", "upload"] {
        let stores = Stores::start();
        let mut host = held(&stores, program);
        let mut running = host.start(&[]);
        until_held(&mut running, &host, program);
        running.signal(Signal::TERM);
        running.end().with(143).saying(&["ended by a signal"]);
        assert_eq!(processes(&host.state()), [], "something was left running");
        assert!(host.log().contains("SIGTERM"), "{}", host.log());
        released(&mut host, &stores);
    }
}

pub fn killed_in_each_stage_and_run_again() {
    for program in ["scanner", "aggregate", "upload"] {
        let stores = Stores::start();
        let mut host = held(&stores, program);
        let mut running = host.start(&[]);
        until_held(&mut running, &host, program);
        running.signal(Signal::KILL);
        until("the script is gone", || running.is_over());
        // What it had started goes on, and holds the lock: no second run beside it.
        host.run(&[]).with(0).saying(&["another run is under way"]);
        kill_all(&host.state());
        drop(running);
        released(&mut host, &stores);
    }
}

pub fn a_second_run_says_so() {
    let stores = Stores::start();
    let mut host = held(&stores, "scanner");
    let mut running = host.start(&[]);
    until_held(&mut running, &host, "scanner");
    for arguments in [&[][..], &["--only", "upload"]] {
        host.run(arguments).with(0).saying(&["another run is under way (pid ", "since 20"]);
    }
    assert_eq!(host.logs().len(), 1);
    running.signal(Signal::INT);
    running.end().with(130);
    released(&mut host, &stores);
}

pub fn an_unfinished_scan_is_gone_on_with() {
    let stores = Stores::start();
    let mut host = held(&stores, "scanner");
    let mut running = host.start(&[]);
    until_held(&mut running, &host, "scanner");
    running.signal(Signal::TERM);
    running.end().with(143);
    host.set("BUILD_DELAY", "0.05");
    host.run(&["--only", "scan"]).with(0);
    assert_eq!(host.scans().len(), 1);
    assert!(host.log().contains("scan: resuming"));
    assert!(!host.public().join("latest.json").exists());
    host.run(&["--only", "aggregate"]).with(0);
    assert_eq!(host.latest().unwrap().metadata.total_relays, 8);
    host.run(&["--only", "upload"]).with(0);
    published(&host, &stores, lab::SPACES_BUCKET);
    // It is complete: the next one is another.
    host.run(&["--only", "scan"]).with(0);
    assert_eq!(host.scans().len(), 2);
}

/// Killed between the end of the scan and the report, twice, as for want of power.
pub fn a_run_without_a_report_is_reported_by_the_next() {
    let stores = Stores::start();
    let mut host = held(&stores, "aggregate");
    for killed in 1..=2 {
        let mut running = host.start(&[]);
        until_held(&mut running, &host, "aggregate");
        running.signal(Signal::KILL);
        until("the run is gone", || running.is_over());
        kill_all(&host.state());
        drop(running);
        fs::remove_file(host.state().join("held")).unwrap();
        assert_eq!(host.scans().len(), 1, "the first of {killed} is reported before another scan");
    }
    released(&mut host, &stores);
    // The one of then and the one of now, in this order.
    let files = host.files().files;
    assert_eq!((host.scans().len(), files.len()), (2, 2));
    let log = host.log();
    let line = |text: &str| log.lines().position(|line| line.contains(text)).unwrap();
    assert!(line("no report holds the run in") < line("scan: begins"), "{log}");
    // By hand likewise: a scan leads to a report, by itself or by the next run.
    host.run(&["--only", "scan"]).with(0);
    host.run(&["--only", "aggregate"]).with(0);
    assert_eq!(host.files().files.len(), 3);
    host.run(&["--only", "scan"]).with(0);
    host.run(&[]).with(0);
    assert_eq!(host.files().files.len(), 5);
}

/// A test of one relay, by its operator's wish, in the directory where runs are.
pub fn a_retest_by_hand_is_no_run_of_the_network() {
    let host = Host::new();
    host.run(&[]).with(0);
    let relay = host.lab.manifest.exits[0].fingerprint.to_string();
    let retest = host.state().join("analysis/scan_2099-01-01_00-00-00");
    let status = std::process::Command::new(crate::network::programs().join("scanner"))
        .args(["-e", &relay, "--no-progress", "--analysis-dir"])
        .arg(&retest)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .envs(&host.settings)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success() && retest.join("run.json").exists());
    host.run(&["--only", "aggregate"]).with(0);
    assert_eq!(host.latest().unwrap().metadata.total_relays, 8);
    host.run(&[]).with(0);
    let files = host.files().files;
    assert!(files.len() > 1);
    assert!(files.iter().all(|file| file.report.as_ref().unwrap().total_relays == 8), "{files:?}");
}

pub fn a_stage_that_takes_too_long() {
    let stores = Stores::start();
    let mut host = held(&stores, "aggregate");
    host.set("AGGREGATE_LIMIT", "1");
    host.run(&[]).with(24).saying(&["AGGREGATE_LIMIT (1 s)"]);
    until("what it had started is gone", || processes(&host.state()).is_empty());
    host.set("AGGREGATE_LIMIT", "");
    released(&mut host, &stores);
}

pub fn a_program_that_somebody_kills() {
    let mut host = Host::new();
    // As the kernel does for want of memory.
    host.replace(
        "scanner",
        "case \"$1\" in --check-settings) exec \"$REAL\" \"$@\" ;; esac\nkill -KILL $$",
    );
    host.run(&[]).with(10).saying(&["scan: failed with status 137"]);
}

pub fn a_check_that_is_ended() {
    let mut host = Host::new();
    host.replace(
        "scanner",
        "case \"$1\" in --check-settings) exec \"$REAL\" \"$@\" ;; esac\n\
         : >held\nexec sleep 100",
    );
    let mut running = host.start(&["--check"]);
    until("it tries tor", || {
        assert!(!running.is_over());
        host.path("held").exists()
    });
    running.signal(Signal::TERM);
    running.end().with(143);
    until("what it had started is gone", || processes(&host.state()).is_empty());
}

pub fn no_tor() {
    let mut host = Host::new();
    host.run(&[]).with(0);
    let nowhere = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    host.set("TOR_CONTROL", &nowhere.to_string());
    host.run(&[]).with(11).saying(&["no tor"]);
    assert_eq!(host.files().files.len(), 1);
    look(&host.public());
}

pub fn keys_stay_with_the_upload() {
    let stores = Stores::start();
    let mut host = held(&stores, "scanner");
    host.set("CLOUDFLARE_API_TOKEN", SECRET);
    let mut running = host.start(&[]);
    until_held(&mut running, &host, "scanner");
    let environments: Vec<_> = processes(&host.state())
        .into_iter()
        .filter(|(_, name)| name == "scanner" || name == "tor")
        .filter_map(|(pid, _)| fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).ok())
        .collect();
    assert!(!environments.is_empty());
    for environment in environments {
        assert!(!String::from_utf8_lossy(&environment).contains(SECRET));
    }
    for (pid, _) in processes(&host.state()) {
        let arguments =
            fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&arguments).contains(SECRET));
    }
    running.signal(Signal::TERM);
    running.end().with(143);
    released(&mut host, &stores);
}

pub fn a_log_of_every_step_for_programs() {
    let stores = Stores::start();
    let mut host = Host::publishing_to(&stores);
    let lines = |log: String| -> Vec<(String, String, String)> {
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        log.lines()
            .map(|line| {
                let line: serde_json::Value =
                    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
                let target = text(&line["target"]);
                let program = target.split("::").next().unwrap().to_owned();
                (program, text(&line["level"]), text(&line["fields"]["message"]))
            })
            .collect()
    };
    host.run(&["-v", "--log-format", "json"]).with(0);
    let said = lines(host.log());
    let says = |program: &str, level: &str, what: &str| {
        let is = |line: &&(String, String, String)| {
            line.0 == program && line.1 == level && line.2.contains(what)
        };
        assert!(said.iter().any(|line| is(&line)), "{program} does not say {what:?}: {said:?}");
    };
    says("exit_validator", "DEBUG", "/scanner -v --analysis-dir");
    says("scanner", "DEBUG", "asked");
    says("exit_validator", "DEBUG", "/aggregate -v --input");
    says("aggregate", "INFO", "latest.json now holds it");
    says("upload", "DEBUG", "latest.json is written");
    says("exit_validator", "DEBUG", "/aggregate retain -v");
    assert!(said.last().unwrap().2.starts_with("done after"), "{said:?}");
    // By the setting too, with what a run says without -v.
    host.set("LOG_FORMAT", "json");
    host.run(&["--only", "retain"]).with(0);
    let said = lines(host.log());
    assert!(!said.is_empty() && said.iter().all(|(_, level, _)| level == "INFO"), "{said:?}");
    // A flag overrides it.
    host.run(&["--only", "retain", "--log-format", "text"]).with(0);
    assert!(host.log().contains(" INFO done after"), "{}", host.log());
}
