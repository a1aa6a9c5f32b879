//! Output directories as `aggregate` makes them, and what a reader of a bucket must find.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use chrono::{DateTime, TimeDelta, Utc};
use record::{FileEntry, FileKind, Files, Kind};
use upload::digest::Digest;

use super::server::{BUCKET, ID, SECRET};
use crate::support::program;

/// An output directory with reports.
pub struct Published {
    pub directory: PathBuf,
    files: Vec<FileEntry>,
}

fn at(number: u32) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap() + TimeDelta::hours(6 * i64::from(number))
}

pub fn name(number: u32) -> String {
    format!("dns_health_{}.json", at(number).format("%Y-%m-%d_%H-%M-%S"))
}

impl Published {
    /// With so many reports of this size, numbered from 0.
    pub fn new(directory: &Path, reports: u32, size: usize) -> Self {
        fs::create_dir_all(directory).unwrap();
        let mut published = Self { directory: directory.to_owned(), files: Vec::new() };
        for number in 0..reports {
            published.add(number, size);
        }
        published
    }

    /// Publishes a report, in the order in which `aggregate` writes.
    pub fn add(&mut self, number: u32, size: usize) {
        let mut bytes =
            format!(r#"{{"metadata":{{"timestamp":"{}"}},"pad":""#, at(number).to_rfc3339())
                .into_bytes();
        // Not the same for every report, and nothing that compresses well.
        let mut state = u64::from(number) + 1;
        while bytes.len() + 2 < size {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend_from_slice(format!("{state:016x}").as_bytes());
        }
        bytes.extend_from_slice(b"\"}");
        self.file(&name(number), FileKind::Report, at(number), &bytes);
        fs::write(self.directory.join("trends.json"), format!("[{number}]\n")).unwrap();
        self.list();
        fs::write(self.directory.join("latest.json"), &bytes).unwrap();
    }

    /// Writes a file that the list will name.
    pub fn file(&mut self, name: &str, kind: FileKind, timestamp: DateTime<Utc>, bytes: &[u8]) {
        fs::write(self.directory.join(name), bytes).unwrap();
        let Digest { size, sha256, .. } = Digest::of(bytes);
        let entry =
            FileEntry { name: name.to_owned(), kind, size, sha256, timestamp, report: None };
        self.files.retain(|file| file.name != name);
        self.files.insert(0, entry);
    }

    /// Takes a report out of the directory and the list.
    pub fn forget(&mut self, number: u32) {
        self.forget_file(&name(number));
    }

    /// Takes a file out of the directory and the list.
    pub fn forget_file(&mut self, name: &str) {
        fs::remove_file(self.directory.join(name)).unwrap();
        self.files.retain(|file| file.name != name);
        self.list();
    }

    pub fn list(&self) {
        let files = Files { format: Kind::Files.format(), files: self.files.clone() };
        let text = serde_json::to_vec(&files).unwrap();
        fs::write(self.directory.join("files.json"), text).unwrap();
    }
}

/// The program, with one store `s3` there.
pub fn upload(address: SocketAddr) -> Command {
    let mut command = Command::new(program("upload"));
    command
        .env_clear()
        .env("S3_ENABLED", "true")
        .env("S3_BUCKET", BUCKET)
        .env("S3_ENDPOINT", format!("http://{address}"))
        .env("S3_ACCESS_KEY_ID", ID)
        .env("S3_SECRET_ACCESS_KEY", SECRET)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("UPLOAD_TIMEOUT", "5")
        .args(["--retry-delay", "0.01"]);
    command
}

/// The program pushing this directory.
pub fn push(address: SocketAddr, directory: &Path) -> Command {
    let mut command = upload(address);
    command.arg("--dir").arg(directory);
    command
}

/// What it says, however it ends.
pub fn text_of(command: &mut Command) -> String {
    text(&command.output().unwrap())
}

/// What it did, which must end with this code.
pub fn ends(command: &mut Command, code: i32) -> String {
    let output = command.output().unwrap();
    let text = text(&output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

pub fn text(output: &Output) -> String {
    let err = String::from_utf8_lossy(&output.stderr);
    format!("{}{err}", String::from_utf8_lossy(&output.stdout))
}

/// What every reader of a bucket relies on, at every moment: what the list names is there with its
/// digest, and the latest report is one that the list names.
pub fn assert_consistent(bucket: &Path, when: &str) {
    let Ok(list) = fs::read(bucket.join("files.json")) else {
        assert!(!bucket.join("latest.json").exists(), "{when}: a latest.json without a list");
        return;
    };
    let list: Files = Kind::Files.parse(&list).unwrap();
    for file in &list.files {
        let bytes = fs::read(bucket.join(&file.name))
            .unwrap_or_else(|error| panic!("{when}: {} is listed: {error}", file.name));
        assert_eq!(Digest::of(&bytes).sha256, file.sha256, "{when}: {}", file.name);
    }
    if let Ok(latest) = fs::read(bucket.join("latest.json")) {
        let digest = Digest::of(&latest).sha256;
        assert!(list.files.iter().any(|file| file.sha256 == digest), "{when}: latest.json");
    }
}

/// The bucket has what the directory has.
pub fn assert_same(bucket: &Path, directory: &Path) {
    for entry in fs::read_dir(directory).unwrap() {
        let name = entry.unwrap().file_name();
        let (here, there) = (fs::read(directory.join(&name)), fs::read(bucket.join(&name)));
        assert!(here.unwrap() == there.unwrap_or_default(), "{name:?}");
    }
}
