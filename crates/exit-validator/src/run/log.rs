//! The log of a run: a file of its own, and the terminal where somebody looks.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, PipeWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use settings::{LogArgs, LogFormat};

use crate::run::job::Level;

/// How long the terminal may take for the last lines.
const LAST_LINES: Duration = Duration::from_secs(2);

/// A log that is being written.
pub(crate) struct Log {
    wished: LogArgs,
    path: PathBuf,
    file: File,
    /// What is written here goes to the file and to the terminal.
    both: Option<(PipeWriter, Receiver<()>)>,
}

impl Log {
    /// Begins a log in this directory; what goes there can be seen as well if it is `shown`.
    pub(crate) fn open(
        directory: &Path,
        now: DateTime<Utc>,
        wished: LogArgs,
        shown: bool,
    ) -> io::Result<Self> {
        let path = directory.join(now.format("run_%Y-%m-%dT%H-%M-%SZ.log").to_string());
        let file = OpenOptions::new().append(true).create(true).mode(0o640).open(&path)?;
        let both = if shown { Some(show(file.try_clone()?)?) } else { None };
        Ok(Self { wished, path, file, both })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether somebody sees it.
    pub(crate) const fn is_shown(&self) -> bool {
        self.both.is_some()
    }

    /// Writes a line. A full disk must not end the run.
    pub(crate) fn say(&mut self, now: DateTime<Utc>, level: Level, text: &str) {
        if level == Level::Debug && self.wished.verbose == 0 {
            return;
        }
        let line = line(now, level, text, self.wished.log_format);
        let _ = match &mut self.both {
            Some((pipe, _)) => pipe.write_all(line.as_bytes()),
            None => self.file.write_all(line.as_bytes()),
        };
    }

    /// Where a program writes its own lines.
    pub(crate) fn for_child(&self) -> io::Result<Stdio> {
        Ok(match &self.both {
            Some((pipe, _)) => pipe.try_clone()?.into(),
            None => self.file.try_clone()?.into(),
        })
    }

    /// Ends it, once the terminal has the last lines.
    pub(crate) fn close(self) {
        if let Some((pipe, done)) = self.both {
            drop(pipe);
            // A program that outlives the run may still have the other end.
            let _ = done.recv_timeout(LAST_LINES);
        }
    }
}

/// A line as the other verbs' logs have them.
pub(crate) fn line(now: DateTime<Utc>, level: Level, text: &str, format: LogFormat) -> String {
    let level = match level {
        Level::Debug => "DEBUG",
        Level::Info => "INFO",
        Level::Warn => "WARN",
        Level::Error => "ERROR",
    };
    let text = record::printable(text);
    match format {
        LogFormat::Text => format!("{} {level:>5} {text}\n", now.format("%Y-%m-%dT%H:%M:%S")),
        LogFormat::Json => {
            let line = serde_json::json!({
                "timestamp": now.to_rfc3339_opts(SecondsFormat::Micros, true),
                "level": level,
                "fields": { "message": text },
                "target": module_path!(),
            });
            format!("{line}\n")
        }
    }
}

/// Copies lines to the file and to standard error, until nobody writes any more. The file gets them
/// also if nobody reads standard error.
fn show(mut file: File) -> io::Result<(PipeWriter, Receiver<()>)> {
    let (reader, writer) = io::pipe()?;
    let (done, wait) = channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            let _ = file.write_all(&line);
            let _ = io::stderr().write_all(&line);
            line.clear();
        }
        let _ = done.send(());
    });
    Ok((writer, wait))
}
