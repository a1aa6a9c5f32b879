//! The program, from the outside: what is published, with which exit code, on good days and bad.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use record::{Files, Kind, Report, Trends};
use shelf::run::result_name;

use super::fixture::{self, relay, scan};
use super::schema;
use crate::support::program;

pub const HEALTHY: [(u32, char); 4] = [(1, 's'), (2, 's'), (3, 's'), (4, 's')];

/// A place with `analysis/` and `public/`.
pub struct Place {
    pub dir: tempfile::TempDir,
}

/// What lets a network of a few relays, some of them broken, be published; nobody is asked of a zone
/// that is not there, and nothing hangs on what this machine knows of networks.
pub const SMALL: [(&str, &str); 5] = [
    ("GATE_MIN_RELAYS", "1"),
    ("GATE_SUCCESS_FLOOR_PERCENT", "0"),
    ("GATE_SPREAD_PERCENT", "100"),
    ("ZONE_CHECK", "0"),
    ("LOCATION_DB", "none"),
];

impl Place {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("analysis")).unwrap();
        Self { dir }
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub fn command(&self, cwd: &str) -> Command {
        let mut command = Command::new(program("aggregate"));
        command.env_clear().envs(SMALL).current_dir(self.path(cwd));
        command
    }

    pub fn run(&self, cwd: &str, arguments: &[&str]) -> Output {
        self.command(cwd).args(arguments).output().unwrap()
    }

    /// Runs it, and checks the exit code.
    #[track_caller]
    pub fn expect(&self, code: i32, cwd: &str, arguments: &[&str]) -> String {
        let output = self.run(cwd, arguments);
        let all = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {all}");
        all
    }

    /// What is published, without what is made of the latest report for other programs.
    pub fn names(&self) -> Vec<String> {
        let all = self.published().into_keys();
        all.filter(|name| !shelf::output::is_export(name)).collect()
    }

    /// Everything in the output directory, by its path there.
    pub fn published(&self) -> BTreeMap<String, Vec<u8>> {
        let public = self.path("public");
        let mut found = BTreeMap::new();
        let mut look = vec![public.clone()];
        while let Some(directory) = look.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    look.push(path);
                } else {
                    let name = path.strip_prefix(&public).unwrap().to_str().unwrap().to_owned();
                    found.insert(name, fs::read(path).unwrap());
                }
            }
        }
        found
    }

    pub fn latest(&self) -> Report {
        report(&self.path("public/latest.json"))
    }

    pub fn files(&self) -> Files {
        let bytes = fs::read(self.path("public/files.json")).unwrap();
        let files: Files = Kind::Files.parse(&bytes).unwrap();
        schema::check("files", &files);
        files
    }
}

fn report(path: &Path) -> Report {
    let report: Report = Kind::Report.parse(&fs::read(path).unwrap()).unwrap();
    schema::check("report", &report);
    report
}

#[test]
fn the_newest_complete_run_is_published_by_hand_in_the_output_directory() {
    let place = Place::new();
    scan(0, HEALTHY).write(&place.path("analysis/first"));
    let summary = place.expect(0, "", &[]);
    assert!(summary.contains("Fit to be published."), "{summary}");
    scan(1, [(1, 'd'), (2, 's'), (3, 's'), (4, 's')]).write(&place.path("analysis/second"));
    let mut unfinished = scan(2, HEALTHY);
    unfinished.run = None;
    unfinished.write(&place.path("analysis/third"));

    place.expect(25, "public", &["--previous", "latest.json"]);
    assert_eq!(
        place.latest().metadata.counts.success,
        4,
        "the gate closed: a fourth of them fails"
    );
    place.expect(0, "public", &["--previous", "latest.json", "--gate-success-rate=50"]);
    let latest = place.latest();
    assert_eq!(latest.metadata.counts.dns_fail, 1);
    assert_eq!(
        place.names(),
        [
            "dns_health_2026-01-01_01-50-00.json",
            "dns_health_2026-01-01_07-50-00-2.json",
            "dns_health_2026-01-01_07-50-00.json",
            "files.json",
            "latest.json",
            "trends.json"
        ],
        "what was held back stays as it was"
    );
    let files = place.files().files;
    assert_eq!(files[0].name, "dns_health_2026-01-01_07-50-00-2.json");
    assert_eq!(
        files.iter().map(|file| file.report.as_ref().unwrap().published).collect::<Vec<_>>(),
        [true, false, true]
    );
    let trends = fs::read(place.path("public/trends.json")).unwrap();
    let trends: Trends = Kind::Trends.parse(&trends).unwrap();
    schema::check("trends", &trends);
    assert_eq!(trends.runs.len(), 2);
    assert!(trends.runs.iter().all(|run| run.published));

    let failing = &latest.results.iter().find(|row| row.exit_fingerprint == relay(1)).unwrap();
    assert_eq!(failing.recent, "sd");
    assert_eq!(failing.dns_success_rate_7d_percent, Some(50.0));

    // Again: nothing changes, not a byte.
    let before: Vec<Vec<u8>> = place
        .names()
        .iter()
        .map(|name| fs::read(place.path("public").join(name)).unwrap())
        .collect();
    place.expect(0, "public", &["--previous", "latest.json", "--gate-success-rate=50"]);
    let after: Vec<Vec<u8>> = place
        .names()
        .iter()
        .map(|name| fs::read(place.path("public").join(name)).unwrap())
        .collect();
    assert!(before == after);

    let story = place.expect(0, "public", &["history", "relay", &relay(1).to_string()]);
    assert!(story.contains("SERVFAIL") && story.contains("2 runs"), "{story}");
    place.expect(21, "public", &["history", "relay", &"0".repeat(40)]);
    place.expect(0, "", &["summary"]);
}

#[test]
fn a_closed_gate_leaves_the_latest_report_alone_until_it_is_forced() {
    let place = Place::new();
    scan(0, HEALTHY).write(&place.path("analysis/a"));
    place.expect(0, "", &[]);
    let before = fs::read(place.path("public/latest.json")).unwrap();
    scan(1, [(1, 's'), (2, '.')]).write(&place.path("analysis/b"));
    let said = place.expect(25, "", &["--input", "analysis/b"]);
    assert!(said.contains("HELD BACK") && said.contains("incomplete_run"), "{said}");
    assert_eq!(fs::read(place.path("public/latest.json")).unwrap(), before);
    assert_eq!(place.files().files.len(), 2, "the dated report is there");
    let said = place.expect(0, "", &["--input", "analysis/b", "--force"]);
    assert!(said.contains("by force"), "{said}");
    assert!(place.latest().metadata.publish.forced);
}

#[test]
fn nothing_is_written_when_it_is_only_printed() {
    let place = Place::new();
    scan(0, HEALTHY).write(&place.path("analysis/a"));
    let output = place.run("", &["--stdout"]);
    let report: Report = Kind::Report.parse(&output.stdout).unwrap();
    assert_eq!(report.metadata.total_relays, 4);
    assert!(!place.path("public").exists() && !place.path("analysis/history.sqlite").exists());
    place.expect(0, "", &["--output", "mine.json"]);
    assert!(place.path("mine.json").exists() && !place.path("public").exists());
}

#[test]
fn arguments_and_inputs_that_are_wrong_have_their_exit_codes() {
    let place = Place::new();
    let said = place.expect(21, "", &[]);
    assert!(said.contains("no complete run"), "{said}");
    place.expect(21, "", &["--input", "missing"]);
    place.expect(21, "", &["--input", "analysis"]);
    for wrong in [
        &["--known-good", "x"][..],
        &["--gate-one-kind", "120"],
        &["--zone-server", "nowhere"],
        &["--output", "x", "--stdout"],
        &["--unknown"],
        &["history", "export"],
        &["history", "relay", "x"],
    ] {
        place.expect(2, "", wrong);
    }
    scan(0, HEALTHY).write(&place.path("analysis/a"));
    fs::write(place.path("file"), "").unwrap();
    place.expect(22, "", &["--output-dir", "file"]);
    place.expect(22, "", &["--output", "missing/report.json"]);
    // A variable that is set to nothing is not set.
    let output = place
        .command("")
        .env("ZONE_SERVER", "")
        .env("KNOWN_GOOD_EXIT", "")
        .env("GATE_ACCEPT_AFTER", "")
        .env("OUTPUT_DIR", "")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(place.path("public/latest.json").exists());
    // What is configured does not get in the way of what is asked for.
    let configured = |arguments: &[&str]| {
        let mut command = place.command("");
        command.env("HISTORY_FILE", "mine.sqlite").env("ANALYSIS_ROOT", "analysis");
        command.env("OUTPUT_DIR", "public").env("ZONE_CHECK", "0").args(arguments);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    configured(&["--no-history", "--stdout"]);
    configured(&["--no-history", "--output", "mine.json"]);
    assert!(!place.path("mine.sqlite").exists());
    configured(&[]);
    let csv = String::from_utf8(configured(&["history", "export", "--csv"])).unwrap();
    assert_eq!(csv.lines().count(), 5, "{csv}");
    configured(&["summary"]);
}

#[test]
fn a_directory_full_of_traps_is_read_without_harm() {
    let place = Place::new();
    let mut trap = scan(0, (1..=12).map(|number| (number, 's')));
    trap.results[0].exit_nickname = "\x1b[31m\u{202e}evil\r\n".to_owned();
    trap.results[0].relay.contact = Some("\x1b]0;owned\x07".to_owned());
    let input = place.path("analysis/a");
    trap.write(&input);
    let file = |number: u32| input.join(result_name(&relay(number)));
    let secret = place.path("secret.json");
    fs::copy(file(2), &secret).unwrap();
    fs::remove_file(file(2)).unwrap();
    symlink(&secret, file(2)).unwrap();
    fs::remove_file(file(3)).unwrap();
    fs::create_dir(file(3)).unwrap();
    fs::remove_file(file(4)).unwrap();
    assert!(Command::new("mkfifo").arg(file(4)).status().unwrap().success());
    fs::write(file(5), vec![b' '; (1 << 20) + 1]).unwrap();
    fs::write(file(6), b"\xff\xfe{}").unwrap();
    fs::write(file(7), "[".repeat(100_000)).unwrap();
    let text = fs::read_to_string(file(8)).unwrap();
    fs::write(file(8), text.replacen("\"latency_ms\": ", "\"latency_ms\": 1e400, \"x\": ", 1))
        .unwrap();
    let text = fs::read_to_string(file(9)).unwrap();
    fs::write(file(9), text.replacen("\"timestamp\": \"2026", "\"timestamp\": \"2996", 1)).unwrap();
    let text = fs::read_to_string(file(10)).unwrap();
    fs::write(file(10), text.replacen("\"mode\":", "\"mode\": \"wildcard\", \"mode\":", 1))
        .unwrap();
    symlink("/nonexistent", input.join("dnshealth_link")).unwrap();
    for number in 0..3000 {
        fs::write(input.join(format!("dnshealth_{number}\x1b[2J")), "").unwrap();
    }
    let said = place.expect(25, "", &["--input", "analysis/a"]);
    assert!(!said.contains('\x1b') && !said.contains('\u{202e}'), "nothing acts on the terminal");
    let name = place.files().files[0].name.clone();
    let report = report(&place.path("public").join(name));
    assert_eq!(report.metadata.total_relays, 3, "1, 11 and 12 are well");
    assert_eq!(report.metadata.not_reached, 9);
    let rejected = report.metadata.rejected;
    assert_eq!(rejected.total, 9 + 3001);
    assert_eq!(rejected.by_reason.values().sum::<u64>(), rejected.total);
    assert_eq!(rejected.files.len(), 100);
    assert!(!place.path("public/latest.json").exists());
}

#[test]
fn a_previous_report_of_two_gigabytes_of_zeros_is_refused_and_named() {
    let place = Place::new();
    scan(0, HEALTHY).write(&place.path("analysis/a"));
    fs::create_dir(place.path("public")).unwrap();
    let zeros = fs::File::create(place.path("public/latest.json")).unwrap();
    zeros.set_len(2 << 30).unwrap();
    drop(zeros);
    place.expect(0, "", &[]);
    let report = place.latest();
    assert_eq!(report.metadata.rejected.files[0].file, "latest.json");
    // A newer one is not overwritten.
    let text = fs::read_to_string(place.path("public/latest.json")).unwrap();
    let newer = text.replacen("\"version\":1", "\"version\":2", 1);
    fs::write(place.path("public/latest.json"), &newer).unwrap();
    place.expect(21, "", &[]);
    assert_eq!(fs::read_to_string(place.path("public/latest.json")).unwrap(), newer);
}

#[test]
fn a_location_database_that_is_none_costs_nothing_but_itself() {
    let place = Place::new();
    scan(0, HEALTHY).write(&place.path("analysis/a"));
    fs::write(place.path("junk.db"), "LOCDB").unwrap();
    let said = place.expect(0, "", &["--location-db", "junk.db"]);
    assert!(said.contains("is no location database of version 1: no networks are told"), "{said}");
    assert_eq!(place.latest().metadata.locations, None);
}

/// With and without a history: what was published before is in the dated reports as well.
#[test]
fn a_missing_latest_report_does_not_disarm_the_gate() {
    for arguments in [&[][..], &["--no-history"]] {
        let place = Place::new();
        scan(0, HEALTHY).write(&place.path("analysis/0"));
        place.expect(0, "", arguments);
        fs::remove_file(place.path("public/latest.json")).unwrap();
        scan(1, [(1, 's')]).write(&place.path("analysis/1"));
        let said = place.expect(25, "", arguments);
        assert!(said.contains("relay_count: 1 relays after 4"), "{said}");
        // A history that was lost as well is begun anew with the dated report.
        if arguments.is_empty() {
            fs::remove_file(place.path("analysis/history.sqlite")).unwrap();
            let said = place.expect(25, "", arguments);
            assert!(said.contains("relay_count: 1 relays after 4"), "{said}");
        }
    }
}

#[test]
fn a_damaged_latest_report_does_not_disarm_the_gate() {
    let place = Place::new();
    scan(0, HEALTHY).write(&place.path("analysis/0"));
    place.expect(0, "", &[]);
    scan(1, HEALTHY).write(&place.path("analysis/1"));
    place.expect(0, "", &[]);
    // One that was held back is nothing to go on from.
    scan(2, [(1, 's')]).write(&place.path("analysis/2"));
    place.expect(25, "", &[]);
    fs::write(place.path("public/latest.json"), "half").unwrap();
    scan(3, [(1, 's')]).write(&place.path("analysis/3"));
    let said = place.expect(25, "", &[]);
    assert!(said.contains("relay_count"), "{said}");
    assert!(said.contains("Gone on from an earlier report: latest.json cannot be used"), "{said}");
    let held = report(&place.path("public/dns_health_2026-01-01_19-50-00.json"));
    assert_eq!(
        held.metadata.previous.report.unwrap().timestamp,
        scan(1, HEALTHY).run.unwrap().ended
    );
    assert_eq!(held.metadata.rejected.files[0].file, "latest.json");
    // Without the history, the newest dated report that can be read stands in for it.
    fs::write(place.path("public/dns_health_2026-01-01_07-50-00.json"), "half").unwrap();
    fs::remove_file(place.path("public/dns_health_2026-01-01_19-50-00.json")).unwrap();
    place.expect(25, "", &["--no-history"]);
    let held = report(&place.path("public/dns_health_2026-01-01_19-50-00.json"));
    assert_eq!(
        held.metadata.previous.report.unwrap().timestamp,
        scan(0, HEALTHY).run.unwrap().ended
    );
    // A report that is named is meant alone.
    fs::write(place.path("mine.json"), "half").unwrap();
    let named = ["--previous", "mine.json", "--output", "new.json"];
    place.expect(0, "", &[&named[..], &["--no-history"]].concat());
    assert_eq!(report(&place.path("new.json")).metadata.previous.report, None);
    // But what the history knows is there to compare with, whatever becomes of reports.
    place.expect(25, "", &named);
}

#[test]
fn a_list_that_is_lost_is_found_again_in_the_files() {
    let place = Place::new();
    for run in 0..3 {
        scan(run, HEALTHY).write(&place.path(&format!("analysis/{run}")));
        place.expect(0, "", &[]);
    }
    let whole = place.files();
    assert_eq!(whole.files.len(), 3);
    fs::write(place.path("public/files.json"), "half").unwrap();
    place.expect(0, "", &["files"]);
    assert_eq!(place.files(), whole);
    fs::remove_file(place.path("public").join(&whole.files[2].name)).unwrap();
    fs::write(place.path("public/dns_health_2025-12.tar.gz"), "an archive").unwrap();
    fs::write(place.path("public/dns_health_2025-12-31_00-00-00.json"), "no report").unwrap();
    let said = place.expect(0, "", &["files"]);
    assert!(said.contains("dns_health_2025-12-31_00-00-00.json"), "{said}");
    let names: Vec<String> = place.files().files.into_iter().map(|file| file.name).collect();
    assert_eq!(names.len(), 3);
    assert_eq!(names[2], "dns_health_2025-12.tar.gz");
}

#[test]
fn a_damaged_history_and_a_full_disk_cost_the_history_and_not_the_report() {
    let place = Place::new();
    scan(0, HEALTHY).write(&place.path("analysis/a"));
    fs::write(place.path("analysis/history.sqlite"), vec![0x41; 5000]).unwrap();
    let said = place.expect(23, "", &[]);
    assert!(said.contains("history"), "{said}");
    assert_eq!(place.latest().metadata.total_relays, 4);
    fs::remove_file(place.path("analysis/history.sqlite")).unwrap();
    place.expect(0, "", &[]);

    // No file may grow beyond 8 blocks of 512 bytes: as on a disk that is full. Nothing that was
    // published or kept is lost.
    scan(1, HEALTHY).write(&place.path("analysis/b"));
    let before = fs::read(place.path("public/latest.json")).unwrap();
    let limited =
        format!("trap '' XFSZ; ulimit -f 8; exec '{}' --quiet", program("aggregate").display());
    let output = Command::new("sh")
        .args(["-c", &limited])
        .envs(SMALL)
        .current_dir(place.dir.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(22), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::read(place.path("public/latest.json")).unwrap(), before);
    place.expect(0, "", &[]);
    let story = place.expect(0, "", &["history", "relay", &relay(1).to_string()]);
    assert!(story.contains("2 runs"), "{story}");
    assert!(place.names().iter().all(|name| !name.starts_with('.')));
}

#[test]
fn killed_at_any_moment_it_leaves_everything_whole() {
    let place = Place::new();
    scan(0, (0..200).map(|number| (number, 's'))).write(&place.path("analysis/0"));
    place.expect(0, "", &[]);
    for round in 1..=20 {
        let marks = (0..200).map(|number| {
            (number, if i32::try_from(number).unwrap() == round { 'd' } else { 's' })
        });
        scan(round, marks).write(&place.path(&format!("analysis/{round}")));
        let mut child =
            place.command("").arg("--quiet").stderr(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(u64::try_from(round).unwrap() * 3));
        child.kill().unwrap();
        child.wait().unwrap();
        // Whatever a pointer names is there, and whole.
        let _ = place.latest();
        for file in place.files().files {
            let _ = report(&place.path("public").join(file.name));
        }
        place.expect(0, "", &["--quiet"]);
        assert_eq!(place.latest().metadata.counts.dns_fail, 1);
    }
    let story = place.expect(0, "", &["history", "relay", &relay(1).to_string()]);
    assert!(story.contains("21 runs, tested in 21, working in 20"), "{story}");
    assert_eq!(place.latest().results[0].recent.len(), 21);
}

#[test]
fn the_history_is_exported_and_shortened() {
    let place = Place::new();
    for run in 0..3 {
        let marks = [(1, 's'), (2, 'd'), (3, 'c'), (4, 's')];
        scan(run, marks).write(&place.path(&format!("analysis/{run}")));
        place.expect(0, "", &["--force", "--quiet"]);
    }
    place.expect(0, "", &["history", "export", "--csv", "all.csv"]);
    let mut reader = csv::Reader::from_path(place.path("all.csv")).unwrap();
    let columns = aggregate::history::export::COLUMNS;
    assert_eq!(reader.headers().unwrap().iter().collect::<Vec<_>>(), columns);
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 12);
    assert!(rows.iter().any(|row| &row[6] == "dns_fail" && &row[8] == "SERVFAIL"));
    for row in &rows {
        let first = if &row[6] == "circuit_fail" { "" } else { &row[6] };
        assert_eq!(&row[11], first);
    }

    place.expect(0, "", &["history", "export", "--parquet", "all.parquet"]);
    let file = fs::File::open(place.path("all.parquet")).unwrap();
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let reader = SerializedFileReader::new(file).unwrap();
    let parquet: Vec<String> =
        reader.get_row_iter(None).unwrap().map(|row| row.unwrap().to_string()).collect();
    assert_eq!(parquet.len(), 12);
    for (row, text) in rows.iter().zip(&parquet) {
        for value in [&row[1], &row[3], &row[6]] {
            assert!(text.contains(value), "{text}");
        }
    }
    let said = place.expect(0, "", &["history", "prune", "--dry-run"]);
    assert!(said.contains(": 0"), "{said}");
}

#[test]
fn our_own_zone_is_checked_with_the_server_that_is_named() {
    let place = Place::new();
    scan(0, HEALTHY).write(&place.path("analysis/a"));
    // Bound once, and closed: nobody answers, which says nothing of the zone.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let server = silent.local_addr().unwrap().to_string();
    drop(silent);
    let said = place.expect(0, "", &["--zone-check", "--zone-server", &server]);
    assert!(said.contains("could not be asked, which says nothing"), "{said}");
    assert!(!place.latest().metadata.publish.zone_check.unwrap().ok);
    // A wrong answer closes the gate. It is asked for unless it is told otherwise.
    let wrong = answering();
    scan(1, HEALTHY).write(&place.path("analysis/b"));
    let output = place
        .command("")
        .env("ZONE_CHECK", "")
        .env("ZONE_SERVER", wrong.to_string())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(25), "{said}");
    assert!(said.contains("zone_check: our own zone did not answer as it must"), "{said}");
}

/// A name server that says of every name that it does not exist, for as long as the test runs.
fn answering() -> std::net::SocketAddr {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut packet = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut packet) {
            // A response, with recursion, NXDOMAIN (RFC 1035, section 4.1.1).
            packet[2] = 0x81;
            packet[3] = 0x83;
            socket.send_to(&packet[..length], from).unwrap();
        }
    });
    address
}

#[test]
fn our_own_zone_can_be_asked_alone() {
    let place = Place::new();
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let server = socket.local_addr().unwrap().to_string();
    let answers = std::thread::spawn(move || {
        for _ in 0..2 {
            let mut packet = [0; 512];
            let (length, asker) = socket.recv_from(&mut packet).unwrap();
            let mut answer = packet[..length].to_vec();
            // An answer with one record: the name of the question, A, IN, 60 s, 4 bytes.
            answer[2..4].copy_from_slice(&[0x81, 0x80]);
            answer[7] = 1;
            answer.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]);
            socket.send_to(&answer, asker).unwrap();
        }
    });
    let zone = ["zone", "--zone-server", &server, "--domain", "validator.example"];
    let right = [&zone[..], &["--expected-ip", "192.0.2.1"]].concat();
    let said = place.expect(0, "", &right);
    assert!(said.contains("validator.example answers 192.0.2.1"), "{said}");
    let said = place.expect(27, "", &zone);
    assert!(said.contains("192.0.2.1") && said.contains("64.65.4.1"), "{said}");
    answers.join().unwrap();
}

#[test]
fn the_shards_of_a_scan_find_each_other() {
    let place = Place::new();
    let all = || (0..40).map(|number| (number, 's'));
    let write = |name: &str, scan: &fixture::Scan| {
        scan.write(&place.path(&format!("analysis/{name}")));
    };
    let name = |path: &str| format!("{}\n", place.path(path).display());
    // Yesterday's, another division's and an unsharded one are none of them.
    for index in 0..3 {
        write(&format!("old{index}"), &scan(1, all()).shard(index, 3));
    }
    write("halves", &scan(2, all()).shard(1, 2));
    write("whole", &scan(0, all()));
    write("b", &scan(2, all()).shard(1, 3));
    write("c", &scan(2, all()).shard(2, 3));
    let runs = |code, of: &str| {
        let (of, root) = (place.path(of), place.path("analysis"));
        let (of, root) = (of.to_str().unwrap(), root.to_str().unwrap());
        place.expect(code, ".", &["runs", "--of", of, "--analysis-root", root])
    };
    let two = runs(26, "analysis/b");
    assert!(two.starts_with(&(name("analysis/b") + &name("analysis/c"))), "{two}");
    assert!(two.contains("shards missing: 1"), "{two}");

    write("a", &scan(2, all()).shard(0, 3));
    let three = name("analysis/a") + &name("analysis/b") + &name("analysis/c");
    assert_eq!(runs(0, "analysis/b"), three);
    assert_eq!(runs(0, "analysis/whole"), name("analysis/whole"));
    let none = runs(21, "analysis/none");
    assert!(none.contains("run.json"), "{none}");

    // Without --input, a report is made of all of them.
    fs::remove_dir_all(place.path("analysis/halves")).unwrap();
    place.expect(0, ".", &[]);
    let latest = fs::read(place.path("public/latest.json")).unwrap();
    let report: Report = Kind::Report.parse(&latest).unwrap();
    assert_eq!(report.metadata.total_relays, 40);
}

#[test]
fn settings_are_checked_and_nothing_else_is_done() {
    let place = Place::new();
    let check = |code: i32, variables: &[(&str, &str)]| {
        let mut command = place.command("");
        let output = command
            .env_clear()
            .arg("--check-settings")
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert_eq!(output.stdout, b"");
        assert_eq!(fs::read_dir(place.path("")).unwrap().count(), 1);
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(check(0, &[]), "");
    assert_eq!(
        check(0, &[("GATE_MIN_RELAYS", " "), ("ZONE_SERVER", "::1"), ("HISTORY_FILE", "x")]),
        ""
    );
    // The example, with everything in it set.
    let all: Vec<_> = settings::keys().map(|key| (key.name, key.default.value())).collect();
    assert_eq!(check(0, &all), "");
    let told = check(
        2,
        &[
            ("GATE_MIN_RELAYS", "-1"),
            ("GATE_SPREAD_PERCENT", "101\u{1b}[31m"),
            ("ZONE_SERVER", "dns.example"),
            ("KNOWN_GOOD_EXIT", "x"),
            ("LOG_FORMAT", "xml"),
            // Of a command that is not given.
            ("HISTORY_KEEP_DAYS", "7"),
        ],
    );
    let lines: Vec<&str> = told.lines().filter(|line| line.starts_with("error: ")).collect();
    let names = [
        "GATE_MIN_RELAYS (--gate-min-relays <N>)",
        "GATE_SPREAD_PERCENT (--gate-spread <PERCENT>)",
        "HISTORY_KEEP_DAYS (--keep-days <DAYS>)",
        "KNOWN_GOOD_EXIT (--known-good <FINGERPRINT>)",
        "LOG_FORMAT (--log-format <FORMAT>)",
        "ZONE_SERVER (--zone-server <ADDR:PORT>)",
    ];
    assert_eq!(lines.len(), names.len(), "{told}");
    for (line, name) in lines.iter().zip(names) {
        assert!(line.contains(&format!("for '{name}'")), "{line}");
    }
    assert!(told.contains("[possible values: text, json]"), "{told}");
    assert!(!told.contains('\u{1b}'), "{told}");
    // As does any other use of the program that reads the variable.
    assert!(
        place
            .command("")
            .env("ZONE_SERVER", "x")
            .output()
            .unwrap()
            .stderr
            .starts_with(b"error: invalid value 'x' for 'ZONE_SERVER (--zone-server <ADDR:PORT>)'")
    );
    // What is no text has no value that could be shown.
    let mut command = place.command("");
    let bytes = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"\xff");
    let output = command.env("GATE_MIN_RELAYS", bytes).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("'GATE_MIN_RELAYS' cannot be used: it is not UTF-8"), "{told}");
}

#[test]
fn what_other_programs_read_comes_with_the_report_and_is_held_back_with_it() {
    let place = Place::new();
    let exports = || {
        let mut all = place.published();
        all.retain(|name, _| shelf::output::is_export(name));
        all
    };
    let metric = |name: &str| {
        let text = fs::read_to_string(place.path("public/metrics.prom")).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map(str::to_owned)
    };
    scan(0, HEALTHY).write(&place.path("analysis/0"));
    place.expect(0, "", &["--stdout"]);
    assert!(!place.path("public").exists());
    place.expect(0, "", &[]);
    let first = exports();
    assert_eq!(first.len(), 22, "{:?}", first.keys());
    assert_eq!(metric("exit_validator_dns_success_ratio").as_deref(), Some("1"));
    for (name, kind) in [
        ("onionoo-dns.json", Kind::OnionooDns),
        ("badges/9.json", Kind::Badges),
        ("compat/latest.json", Kind::CompatReport),
    ] {
        let document: serde_json::Value = kind.parse(&first[name]).unwrap();
        schema::check(kind.name().strip_prefix("exit-validator/").unwrap(), &document);
    }
    scan(1, [(1, 'd'), (2, 's'), (3, 's'), (4, 's')]).write(&place.path("analysis/1"));
    place.expect(25, "", &[]);
    assert_eq!(exports(), first, "the gate holds back what is made of the report as well");
    // A program that was killed when it had replaced latest.json: the next finds it, also where the
    // gate then holds back its own report.
    fs::remove_file(place.path("public/metrics.prom")).unwrap();
    fs::write(place.path("public/badges/9.json"), "").unwrap();
    place.expect(25, "", &[]);
    assert_eq!(exports(), first);
    place.expect(0, "", &["--force"]);
    assert_eq!(metric("exit_validator_dns_success_ratio").as_deref(), Some("0.75"));
    assert_eq!(metric("exit_validator_gate_forced").as_deref(), Some("1"));
    // By hand; and nothing of it is what retention removes.
    let second = exports();
    place.expect(0, "", &["retain"]);
    assert_eq!(exports(), second);
    fs::remove_dir_all(place.path("public/compat")).unwrap();
    let said = place.expect(0, "", &["exports"]);
    assert!(said.contains("2 files were written"), "{said}");
    assert_eq!(exports(), second);
    // That they cannot be written hides no report.
    fs::remove_dir_all(place.path("public/badges")).unwrap();
    fs::write(place.path("public/badges"), "in the way").unwrap();
    scan(2, HEALTHY).write(&place.path("analysis/2"));
    let said = place.expect(28, "", &[]);
    assert!(said.contains("public/badges") && said.contains("The report is written"), "{said}");
    assert_eq!(place.latest().metadata.counts.success, 4);
    place.expect(28, "", &["exports"]);
}

#[test]
fn the_licence_is_named_in_the_report() {
    let place = Place::new();
    scan(0, HEALTHY).write(&place.path("analysis/0"));
    place.expect(0, "", &[]);
    assert_eq!(place.latest().metadata.license.as_deref(), Some("CC0-1.0"));
    place.expect(0, "", &["--data-license", "CC-BY-4.0"]);
    assert_eq!(place.latest().metadata.license.as_deref(), Some("CC-BY-4.0"));
    for wrong in ["", "CC BY", "<b>", "a\u{1b}b"] {
        let said = place.expect(2, "", &["--data-license", wrong]);
        assert!(said.contains("SPDX"), "{said}");
    }
}

#[test]
fn the_publisher_is_named_in_the_report_and_on_the_summary() {
    let place = Place::new();
    scan(0, HEALTHY).write(&place.path("analysis/0"));
    place.expect(0, "", &[]);
    assert_eq!(place.latest().metadata.publisher, None);
    let (name, source) = ("Zwiebeln <e. V.>", "https://example.org/source");
    place.expect(0, "", &["--publisher-name", name, "--publisher-source", source]);
    let publisher = place.latest().metadata.publisher.unwrap();
    assert_eq!(publisher.name.as_deref(), Some(name));
    assert_eq!((publisher.contact, publisher.source.as_deref()), (None, Some(source)));
    let summary = fs::read_to_string(place.path("public/summary.html")).unwrap();
    assert!(summary.contains("Published by <bdi>Zwiebeln &lt;e. V.&gt;</bdi>"), "{summary}");
    assert!(summary.contains("href=\"https://example.org/source\""), "{summary}");
    for (flag, wrong) in [
        ("--publisher-name", ""),
        ("--publisher-contact", "a\u{1b}[31m"),
        ("--publisher-source", "javascript:alert(1)"),
        ("--publisher-source", "https://"),
        ("--publisher-source", "https://example.org/\"><b>"),
    ] {
        let said = place.expect(2, "", &[flag, wrong]);
        assert!(said.contains("expected"), "{said}");
    }
}
