//! A tor that runs for other programs too, such as an operator has: to be used by `--control`, to
//! be killed, frozen, and looked at.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_socks::TargetAddr;
use tokio_socks::tcp::Socks5Stream;
use tor_control::{ConnectOptions, Control, ControlAddr, Events, Password};

use crate::run::{PATIENCE, until};
use crate::shared::{Lab, block_on, private};

/// What a scan may change in it, and what must be the same afterwards.
const CHANGED: &[&str] = &[
    "__LeaveStreamsUnattached",
    "__DisablePredictedCircuits",
    "CircuitStreamTimeout",
    "DNSPort",
    "__ReloadTorrcOnSIGHUP",
];

/// A running tor. It ends when this is dropped.
#[derive(Debug)]
pub struct Tor {
    dir: TempDir,
    child: Child,
}

impl Tor {
    /// A client of the lab, with a control socket, a SOCKS port, and these lines.
    pub fn start(lab: &Lab, lines: &str) -> Self {
        let owner = format!("__OwningControllerProcess {}\n{lines}", std::process::id());
        Self::by(lab, &owner, "", &[])
    }

    /// One that has run for a while: with this state file, and cookie authentication.
    pub fn aged(lab: &Lab, state: &str) -> Self {
        let owner = std::process::id();
        let lines = format!("__OwningControllerProcess {owner}\nCookieAuthentication 1");
        Self::by(lab, &lines, state, &[])
    }

    /// One that has process id 1, as in a container; none where this host allows no process
    /// namespaces.
    pub fn in_container(lab: &Lab) -> Option<Self> {
        // The tor ends with the program that started it, which ends when this is dropped.
        let by = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"];
        let tried = Command::new(by[0]).args(&by[1..]).arg("true").output().ok()?;
        tried.status.success().then(|| Self::by(lab, "CookieAuthentication 1", "", &by))
    }

    fn by(lab: &Lab, lines: &str, state: &str, by: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        private(dir.path());
        if !state.is_empty() {
            let data = dir.path().join("data");
            fs::create_dir(&data).unwrap();
            private(&data);
            fs::write(data.join("state"), state).unwrap();
        }
        let path = dir.path().display();
        let socks = if lines.contains("SocksPort") { "" } else { "SocksPort auto" };
        let torrc = format!(
            "{}DataDirectory {path}/data\nControlPort unix:{path}/control\n\
             CookieAuthFile {path}/cookie\n{socks}\nLog notice file {path}/log\n{lines}\n",
            lab.network.torrc_lines(),
        );
        fs::write(dir.path().join("torrc"), torrc).unwrap();
        let child = spawn(&dir, by);
        let mut tor = Self { dir, child };
        tor.wait();
        tor
    }

    /// The same with cookie authentication.
    pub fn with_cookie(lab: &Lab, lines: &str) -> Self {
        Self::start(lab, &format!("CookieAuthentication 1\n{lines}"))
    }

    fn wait(&mut self) {
        let control = self.dir.path().join("control");
        until("tor has opened its control port", || {
            assert_eq!(self.child.try_wait().unwrap(), None, "tor has ended");
            control.exists()
        });
        let torrc = fs::read_to_string(self.dir.path().join("torrc")).unwrap();
        if torrc.contains("CookieAuthentication 1") {
            // Written after the port is opened.
            let whole = || fs::metadata(self.cookie()).is_ok_and(|cookie| cookie.len() == 32);
            until("tor has written its cookie", whole);
        }
        if torrc.contains("DisableNetwork 1") {
            return;
        }
        let log = || fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        until("tor has bootstrapped", || log().contains("Bootstrapped 100%"));
    }

    /// The flag by which a scanner uses it.
    pub fn flag(&self) -> String {
        format!("--control=unix:{}/control", self.dir.path().display())
    }

    /// Its control socket.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("control")
    }

    /// Its SOCKS port.
    pub fn socks(&self) -> SocketAddr {
        self.listener("net/listeners/socks")
    }

    /// Its DNSPort.
    pub fn dns(&self) -> SocketAddr {
        self.listener("net/listeners/dns")
    }

    fn listener(&self, key: &str) -> SocketAddr {
        self.info(key).trim_matches('"').parse().unwrap()
    }

    /// What GETINFO says.
    pub fn info(&self, key: &str) -> String {
        let info = block_on(async { self.control().await.0.get_info(&[key]).await.unwrap() });
        String::from_utf8(info[0].1.clone()).unwrap()
    }

    /// What GETCONF says.
    pub fn option(&self, key: &str) -> String {
        let option = block_on(async { self.control().await.0.get_conf(&[key]).await.unwrap() });
        option[0].1.clone().unwrap_or_default()
    }

    /// Adds a line to its torrc.
    pub fn append(&self, line: &str) {
        let path = self.dir.path().join("torrc");
        let lines = fs::read_to_string(&path).unwrap();
        fs::write(path, format!("{lines}{line}\n")).unwrap();
    }

    /// Its cookie.
    pub fn cookie(&self) -> PathBuf {
        self.dir.path().join("cookie")
    }

    /// Kills it.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again.
    pub fn restart(&mut self) {
        self.kill();
        for file in ["control", "cookie", "log"] {
            let _ = fs::remove_file(self.dir.path().join(file));
        }
        self.child = spawn(&self.dir, &[]);
        self.wait();
    }

    /// A control connection.
    pub async fn control(&self) -> (Control, Events) {
        let address = ControlAddr::Unix(self.dir.path().join("control"));
        let options = ConnectOptions {
            password: None::<Password>,
            timeout: PATIENCE,
            reply_timeout: PATIENCE,
        };
        Control::connect(&address, &options).await.unwrap_or_else(|error| {
            let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            let last: Vec<&str> = log.lines().rev().take(12).collect();
            panic!("{error}; tor's last lines, the newest first: {last:#?}")
        })
    }

    /// What a scan may change in it, as it is.
    pub fn state(&self) -> Vec<(String, Option<String>)> {
        block_on(async {
            let (control, _events) = self.control().await;
            let mut state = control.get_conf(CHANGED).await.unwrap();
            for key in ["net/listeners/dns", "net/listeners/socks"] {
                for (key, value) in control.get_info(&[key]).await.unwrap() {
                    state.push((key, Some(String::from_utf8(value).unwrap())));
                }
            }
            state
        })
    }

    /// What another program gets by SOCKS RESOLVE: the address, or tor's refusal.
    pub fn resolve(&self, name: &str) -> Result<String, String> {
        block_on(async {
            let (control, _events) = self.control().await;
            let listener = control.get_info(&["net/listeners/socks"]).await.unwrap();
            let listener = String::from_utf8(listener[0].1.clone()).unwrap();
            let socket = TcpStream::connect(listener.trim_matches('"')).await.unwrap();
            let asking = Socks5Stream::tor_resolve_with_socket(socket, (name, 0));
            match tokio::time::timeout(PATIENCE, asking).await {
                Ok(Ok(TargetAddr::Ip(address))) => Ok(address.ip().to_string()),
                Ok(other) => Err(format!("{other:?}")),
                Err(_) => Err(format!("no answer in {PATIENCE:?}")),
            }
        })
    }
}

fn spawn(dir: &TempDir, by: &[&str]) -> Child {
    let mut words = by.iter().chain(&["tor"]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words);
    fs::write(dir.path().join("none"), "").unwrap();
    command.arg("--defaults-torrc").arg(dir.path().join("none"));
    command.arg("-f").arg(dir.path().join("torrc"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

impl Drop for Tor {
    fn drop(&mut self) {
        self.kill();
    }
}
