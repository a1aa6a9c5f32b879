//! Five days of runs in a row, with faults thrown in, and a reader who looks all the while.

use std::fs;
use std::net::TcpListener;

use rustix::process::Signal;

use crate::host::{Host, Stores, kill_all};
use crate::reader::{Reader, look};

/// What happens to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Day {
    Good,
    /// The whole of it is killed in the middle of the scan.
    KilledInScan,
    /// What publishes the report is killed in the middle of it.
    KilledInReport,
    /// It is told to end as it uploads.
    EndedInUpload,
    NoTor,
    StoreDown,
    GateClosed,
    /// Somebody's files lie where runs are.
    Junk,
    /// What a crash of the file system can leave of the history.
    HistoryDamaged,
    /// A second run comes before the first is over.
    Overlap,
}

const CYCLES: [Day; 20] = [
    Day::Good,
    Day::KilledInReport,
    Day::Good,
    Day::KilledInScan,
    Day::StoreDown,
    Day::GateClosed,
    Day::Good,
    Day::EndedInUpload,
    Day::NoTor,
    Day::KilledInReport,
    Day::Overlap,
    Day::Junk,
    Day::KilledInReport,
    Day::HistoryDamaged,
    Day::StoreDown,
    Day::KilledInScan,
    Day::EndedInUpload,
    Day::GateClosed,
    Day::KilledInReport,
    Day::Good,
];

/// One run; its exit code, where it had one.
#[expect(clippy::too_many_lines, reason = "one arm for each kind of day")]
fn live(host: &mut Host, number: u32, day: Day) -> Option<i32> {
    let before = host.settings.clone();
    let code = match day {
        Day::Good => host.run(&[]).code,
        Day::KilledInScan => {
            host.set("BUILD_DELAY", "20");
            let mut running = host.start(&[]);
            running.until_program("scanner");
            running.signal(Signal::KILL);
            drop(running);
            kill_all(&host.state());
            None
        }
        Day::KilledInReport => {
            // A little later in each such cycle: at another step of what it writes.
            let script = format!(
                "case \"$1\" in --input) ;; *) exec \"$REAL\" \"$@\" ;; esac\n\
                 \"$REAL\" \"$@\" & sleep 0.0{number:02}; kill -KILL $!; kill -KILL $PPID"
            );
            host.replace("aggregate", &script);
            let running = host.start(&[]);
            let _ = running.end();
            kill_all(&host.state());
            host.replace("aggregate", "exec \"$REAL\" \"$@\"");
            None
        }
        Day::EndedInUpload => {
            host.replace(
                "upload",
                "case \"$1\" in --check-settings) exec \"$REAL\" \"$@\" ;; esac\n\
                 kill -TERM $(cat \"$STATE_DIR/pid of the run\"); exec \"$REAL\" \"$@\"",
            );
            let running = host.start(&[]);
            fs::write(host.state().join("pid of the run"), running.id().to_string()).unwrap();
            let ended = running.end();
            host.replace("upload", "exec \"$REAL\" \"$@\"");
            ended.code
        }
        Day::NoTor => {
            let nowhere = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            host.set("TOR_CONTROL", &nowhere.to_string());
            host.run(&[]).code
        }
        Day::StoreDown => {
            host.set("DO_SPACES_SECRET", "not the right one");
            host.run(&[]).code
        }
        Day::GateClosed => {
            host.set("GATE_MIN_RELAYS", "100");
            host.run(&[]).code
        }
        Day::Junk => {
            let analysis = host.state().join("analysis");
            fs::write(analysis.join("scan_9999-99-99"), "junk").unwrap();
            fs::create_dir(analysis.join("scan_0000-00-00_00-00-00")).unwrap();
            fs::write(host.public().join("dns_health_2000-01-01_00-00-00.json"), "{").unwrap();
            let code = host.run(&[]).code;
            fs::remove_file(host.public().join("dns_health_2000-01-01_00-00-00.json")).unwrap();
            code
        }
        Day::HistoryDamaged => {
            let history = host.state().join("analysis/history.sqlite");
            let good = fs::read(&history).unwrap();
            fs::write(&history, b"SQLite format 3\0 and then nothing").unwrap();
            let code = host.run(&[]).code;
            fs::write(&history, good).unwrap();
            code
        }
        Day::Overlap => {
            // Long enough for the second to find it at work on a loaded machine.
            host.set("BUILD_DELAY", "2");
            let mut running = host.start(&[]);
            running.until_program("scanner");
            let _ = host.run(&[]).with(0).saying(&["another run is under way"]);
            running.end().code
        }
    };
    host.settings = before;
    code
}

pub fn twenty_cycles_with_faults() {
    let stores = Stores::start();
    let mut host = Host::publishing_to(&stores);
    host.set("CONFIRM_ROUNDS", "0");
    host.set("KEEP_RUNS", "3");
    host.set("KEEP_LOGS", "15");
    fs::create_dir(host.state()).unwrap();
    let reader = Reader::start(host.public());
    let mut reports = 0;
    for (number, day) in (0..).zip(CYCLES) {
        let code = live(&mut host, number, day);
        let expected = match day {
            Day::Good | Day::Junk | Day::Overlap => Some(0),
            Day::KilledInScan | Day::KilledInReport => None,
            Day::EndedInUpload => Some(143),
            Day::NoTor => Some(11),
            Day::StoreDown => Some(30),
            Day::GateClosed => Some(25),
            Day::HistoryDamaged => Some(23),
        };
        assert_eq!(code, expected, "cycle {number}, {day:?}: {}", host.log());
        look(&host.public());
        look(&stores.bucket(lab::R2_BUCKET));
        if host.public().join("files.json").exists() {
            let now = host.files().files.len();
            assert!(now >= reports, "a report has gone: {reports} to {now}");
            reports = now;
        }
        if code == Some(0) {
            for bucket in [lab::SPACES_BUCKET, lab::R2_BUCKET] {
                let there = fs::read(stores.bucket(bucket).join("latest.json")).unwrap();
                assert!(there == fs::read(host.public().join("latest.json")).unwrap());
            }
        }
    }
    assert!(reader.end() > 100);
    assert!(reports >= 10, "{reports}");
    // Retention has kept what it should, and what it cannot know.
    let complete = |path: &std::path::PathBuf| path.join("run.json").exists();
    let scans = host.scans();
    assert_eq!(scans.iter().filter(|path| complete(path)).count(), 3, "{scans:?}");
    assert_eq!(host.logs().len(), 15);
}
