//! A reader of the output directory who looks all the time, as a web server's visitors do, and what
//! it must find at every instant.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use record::{Files, Kind, Report};
use sha2::{Digest as _, Sha256};

/// Looks until it is dropped or asked what it found.
pub struct Reader {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<u64>>,
}

impl Reader {
    pub fn start(public: PathBuf) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut looks = 0;
            while !told.load(Ordering::Relaxed) {
                look(&public);
                looks += 1;
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            looks
        });
        Self { stop, thread: Some(thread) }
    }

    /// How often it has looked, all was well each time.
    pub fn end(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Looks once, as a reader does: first the pointers, then what they name.
pub fn look(public: &Path) {
    let read = |name: &str| fs::read(public.join(name)).ok();
    let latest: Option<Report> =
        read("latest.json").map(|bytes| Kind::Report.parse(&bytes).unwrap());
    let files: Option<Files> = read("files.json").map(|bytes| Kind::Files.parse(&bytes).unwrap());
    if let Some(report) = &latest {
        assert!(report.metadata.publish.allowed, "the gate was closed for what is the latest");
        assert!(files.is_some(), "there is a latest report and no list");
    }
    for file in files.iter().flat_map(|files| &files.files) {
        let Some(bytes) = read(&file.name) else {
            // It may have moved into an archive since: then the list does not name it any more.
            let list: Files = Kind::Files.parse(&read("files.json").unwrap()).unwrap();
            assert!(list.files.iter().all(|now| now.name != file.name), "{} is missing", file.name);
            continue;
        };
        assert_eq!(bytes.len() as u64, file.size, "{}", file.name);
        let digest: String =
            Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest, file.sha256, "{}", file.name);
    }
    if let Some(bytes) = read("trends.json") {
        let _: record::Trends = Kind::Trends.parse(&bytes).unwrap();
    }
}
