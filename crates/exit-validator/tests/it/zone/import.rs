//! `zone import` reads what real servers write, and `zone correlate` holds it beside a run.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use lab::unpacked;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::PATIENCE;
use super::resolvers::{Resolver, address_of_its_own, dig};
use crate::others::Ended;
use crate::report::fixture::scan;
use crate::support::program;

/// A zone as it stands at a server of somebody else.
const WILDCARD: &str = "\
$TTL 60
z.example.org. IN SOA ns.example.org. hostmaster.example.org. 1 7200 3600 1209600 60
z.example.org. IN NS ns.example.org.
*.z.example.org. IN A 64.65.4.1
";

fn import(directory: &Path, arguments: &[&str]) -> (Output, Vec<Value>) {
    let output = Command::new(program("exit-validator"))
        .env_clear()
        .current_dir(directory)
        .args(["zone", "import"])
        .args(arguments)
        .output()
        .unwrap();
    let lines = String::from_utf8(output.stdout.clone()).unwrap();
    (output, lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// A free port, where BIND listens too.
fn place() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], address_of_its_own().port()))
}

/// Ends a server as a service manager does, so that it writes what it has.
fn end(process: &mut Child) {
    kill_process(Pid::from_child(process), Signal::TERM).unwrap();
    process.wait().unwrap();
}

/// Asks for what the tests look for.
fn ask(address: SocketAddr) {
    assert!(dig(address, &["+noedns", "A.b.z.example.org"]).contains("64.65.4.1"));
    assert!(
        dig(address, &["+tcp", "+dnssec", "+noadflag", "a.c.z.example.org"]).contains("64.65.4.1")
    );
    assert!(
        dig(address, &["+subnet=198.51.100.0/24", "a.d.z.example.org", "TXT"]).contains("NOERROR")
    );
}

/// The lines of what was asked, whoever wrote them.
fn check(lines: &[Value], from_tap: bool) {
    let of = |name: &str| {
        let mut of = lines.iter().filter(|line| line["name"] == name);
        let line = of.next().unwrap_or_else(|| panic!("{name}: {lines:?}"));
        assert!(of.next().is_none(), "each query once: {lines:?}");
        assert_eq!(line["address"], "127.0.0.1", "{line}");
        assert!(line["port"].as_u64().unwrap() > 0, "{line}");
        line
    };
    let plain = of("A.b.z.example.org.");
    assert_eq!((&plain["transport"], &plain["type"]), (&json!("udp"), &json!("A")));
    let by_tcp = of("a.c.z.example.org.");
    assert_eq!((&by_tcp["transport"], &by_tcp["flags"]), (&json!("tcp"), &json!(["do"])));
    let subnet = of("a.d.z.example.org.");
    assert_eq!(subnet["client_subnet"], "198.51.100.0/24", "{subnet}");
    if from_tap {
        assert_eq!((&plain["answer"], &plain["data"]), (&json!("NOERROR"), &json!(true)));
        assert_eq!((&subnet["answer"], &subnet["data"]), (&json!("NOERROR"), &json!(false)));
        assert_eq!((&plain["edns"], &subnet["edns"]), (&Value::Null, &json!(1232)));
    }
}

#[test]
fn what_bind_writes_of_its_queries_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let address = place();
    fs::write(at.join("zone"), WILDCARD).unwrap();
    let text = format!(
        "options {{ directory \"{}\"; listen-on port {} {{ {}; }}; listen-on-v6 {{ none; }}; pid-file none; \
         session-keyfile none; recursion no; dnstap {{ auth; }}; dnstap-output file \"tap\"; }};\n\
         controls {{ }};\n\
         logging {{ channel q {{ file \"text\"; print-time iso8601-utc; print-category yes; }}; \
         channel old {{ file \"old\"; print-time local; }}; category queries {{ q; old; }}; category default {{ default_stderr; }}; }};\n\
         zone \"z.example.org\" {{ type primary; file \"zone\"; }};\n",
        at.display(),
        address.port(),
        address.ip()
    );
    fs::write(at.join("named.conf"), text).unwrap();
    let mut command = unpacked("named", "named");
    command.args(["-f", "-n", "1", "-c"]).arg(at.join("named.conf"));
    let mut server = Resolver::start(command, address, &at.join("log"));
    ask(address);
    end(&mut server.process.0);
    let (output, lines) = import(at, &["dnstap", "tap"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    check(&lines, true);
    for text in ["text", "old"] {
        let (output, lines) = import(at, &["bind", text]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        check(&lines, false);
    }
}

#[test]
fn what_unbound_sends_of_its_queries_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let address = place();
    fs::write(at.join("zone"), WILDCARD).unwrap();
    let mut capture = unpacked("fstrm_capture", "fstrm_capture");
    capture.args(["-t", "protobuf:dnstap.Dnstap", "-u"]).arg(at.join("socket"));
    capture.arg("-w").arg(at.join("tap")).stdout(Stdio::null()).stderr(Stdio::null());
    let mut capture = Ended(capture.spawn().unwrap());
    let started = Instant::now();
    while UnixStream::connect(at.join("socket")).is_err() {
        assert!(started.elapsed() < PATIENCE);
        sleep(Duration::from_millis(20));
    }
    let text = format!(
        "server:\n directory: \"{0}\"\n chroot: \"\"\n username: \"\"\n pidfile: \"\"\n use-syslog: no\n \
         do-daemonize: no\n interface: {1}@{2}\n access-control: 127.0.0.0/8 allow\n num-threads: 1\n \
         hide-version: no\n module-config: \"iterator\"\n\
         auth-zone:\n name: z.example.org\n zonefile: \"{0}/zone\"\n for-downstream: yes\n for-upstream: no\n\
         dnstap:\n dnstap-enable: yes\n dnstap-socket-path: \"{0}/socket\"\n \
         dnstap-log-client-query-messages: yes\n dnstap-log-client-response-messages: yes\n\
         remote-control:\n control-enable: no\n",
        at.display(),
        address.ip(),
        address.port()
    );
    fs::write(at.join("unbound.conf"), text).unwrap();
    let mut command = unpacked("unbound", "unbound");
    command.arg("-d").arg("-c").arg(at.join("unbound.conf"));
    let mut server = Resolver::start(command, address, &at.join("log"));
    // Until it has reached the one that keeps it, it drops what it would send.
    let started = Instant::now();
    loop {
        dig(address, &["ready.z.example.org"]);
        kill_process(Pid::from_child(&capture.0), Signal::HUP).unwrap();
        sleep(Duration::from_millis(300));
        if fs::metadata(at.join("tap")).is_ok_and(|file| file.len() > 200) {
            break;
        }
        assert!(started.elapsed() < PATIENCE);
    }
    ask(address);
    // It sends what it has once a second.
    let asked = |lines: &[Value]| lines.iter().any(|line| line["name"] == "a.d.z.example.org.");
    loop {
        kill_process(Pid::from_child(&capture.0), Signal::HUP).unwrap();
        sleep(Duration::from_millis(200));
        let (output, lines) = import(at, &["dnstap", "tap"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        if asked(&lines) {
            check(&lines, true);
            break;
        }
        assert!(started.elapsed() < PATIENCE, "{lines:?}");
    }
    end(&mut server.process.0);
    end(&mut capture.0);
}

#[test]
fn an_imported_log_is_held_beside_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let scan = scan(0, [(1, 's'), (2, 's'), (3, 't')]);
    scan.write(&dir.path().join("run"));
    let mut text = String::new();
    for result in &scan.results {
        let attempt = &result.attempts[0];
        let Some(query) = attempt.queries.first() else { continue };
        if result.exit_fingerprint.as_bytes()[19] == 3 {
            continue;
        }
        let line = json!({ "ColoCode": "AMS", "EDNSSubnet": "", "EDNSSubnetLength": 0, "QueryName": query.name,
            "QueryType": 1, "ResponseCached": false, "ResponseCode": 0, "SourceIP": "192.0.2.1",
            "Timestamp": attempt.started });
        text += &format!("{line}\n");
    }
    fs::write(dir.path().join("cloudflare"), text + "{\"half").unwrap();
    let (output, lines) = import(dir.path(), &["cloudflare", "cloudflare"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), lines.len()), (Some(0), 2), "{said}");
    assert!(said.contains("2 queries, 0 other records, 1 that cannot be read"), "{said}");
    assert!(said.contains("line 3: it is no line of the data set dns_logs"), "{said}");
    fs::write(dir.path().join("log"), output.stdout).unwrap();
    let output = Command::new(program("exit-validator"))
        .env_clear()
        .current_dir(dir.path())
        .args(["zone", "correlate", "run", "--log", "log", "--json"])
        .output()
        .unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&said["names"], &said["names_seen"]), (&json!(3), &json!(2)), "{said}");
    let (output, _) = import(dir.path(), &["dnstap", "cloudflare"]);
    assert_eq!(output.status.code(), Some(21), "{output:?}");
    let (output, _) = import(dir.path(), &["dnstap", "elsewhere"]);
    assert_eq!(output.status.code(), Some(21), "{output:?}");
}
