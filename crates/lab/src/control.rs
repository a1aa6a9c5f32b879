//! The little that the lab itself asks its tors by their control ports (control-spec). Not a
//! client for anybody else: no events, no careful reading of what strangers write.

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::LabError;

/// How long a tor on this machine may take to answer: much, while a hundred of them start.
const PATIENCE: Duration = Duration::from_secs(20);

/// An authenticated connection to one tor.
#[derive(Debug)]
pub(crate) struct LabControl {
    name: String,
    stream: BufReader<TcpStream>,
}

impl LabControl {
    /// Connects to the port on 127.0.0.1 and authenticates by the cookie in that file.
    pub(crate) async fn connect(name: &str, port: u16, cookie: &Path) -> Result<Self, LabError> {
        let cookie = std::fs::read(cookie).map_err(LabError::file("read", cookie))?;
        let failed = |said: String| LabError::Control {
            name: name.to_owned(),
            doing: "connecting".to_owned(),
            said,
        };
        let connected = timeout(PATIENCE, TcpStream::connect(("127.0.0.1", port))).await;
        let stream = connected
            .map_err(|_| failed("no connection in time".to_owned()))?
            .map_err(|error| failed(error.to_string()))?;
        let mut control = Self { name: name.to_owned(), stream: BufReader::new(stream) };
        let hex: String = cookie.iter().map(|byte| format!("{byte:02x}")).collect();
        control.command(&format!("AUTHENTICATE {hex}")).await?;
        Ok(control)
    }

    /// Sends a command and gives the lines of its reply, without their codes and line ends.
    pub(crate) async fn command(&mut self, command: &str) -> Result<Vec<String>, LabError> {
        let verb = command.split(' ').next().unwrap_or_default();
        match timeout(PATIENCE, self.exchange(command)).await {
            Ok(Ok(lines)) => Ok(lines),
            Ok(Err(said)) => Err(self.failed(verb, &said)),
            Err(_) => Err(self.failed(verb, "no answer in time")),
        }
    }

    fn failed(&self, doing: &str, said: &str) -> LabError {
        LabError::Control {
            name: self.name.clone(),
            doing: doing.to_owned(),
            said: record::printable(said),
        }
    }

    async fn exchange(&mut self, command: &str) -> Result<Vec<String>, String> {
        let text = |error: std::io::Error| error.to_string();
        let line = format!("{command}\r\n");
        self.stream.get_mut().write_all(line.as_bytes()).await.map_err(text)?;
        let mut lines = Vec::new();
        loop {
            let line = self.line().await.map_err(text)?;
            let (Some(code), Some(rest)) = (line.get(..4), line.get(4..)) else {
                return Err(format!("not a reply line: {line:?}"));
            };
            match code {
                "250 " => {
                    lines.push(rest.to_owned());
                    return Ok(lines);
                }
                "250-" => lines.push(rest.to_owned()),
                "250+" => {
                    lines.push(rest.to_owned());
                    loop {
                        let line = self.line().await.map_err(text)?;
                        if line == "." {
                            break;
                        }
                        lines.push(line.strip_prefix('.').map(str::to_owned).unwrap_or(line));
                    }
                }
                _ => return Err(line),
            }
        }
    }

    async fn line(&mut self) -> std::io::Result<String> {
        let mut bytes = Vec::new();
        if self.stream.read_until(b'\n', &mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let text = String::from_utf8_lossy(&bytes);
        Ok(text.trim_end_matches(['\r', '\n']).to_owned())
    }
}
