//! Several hosts: each scans its shard and hands it over, one joins them and publishes.

use std::collections::BTreeSet;
use std::fs;

use record::{Kind, Report};

use crate::host::{Host, Stores, until};
use crate::reader::look;

fn shard(stores: &Stores, shard: &str) -> Host {
    let mut host = Host::publishing_to(stores);
    host.set("SHARD", shard);
    host.set("RUN_STORE", "r2");
    host
}

fn gatherer(stores: &Stores, patience: &str) -> Host {
    let mut host = shard(stores, "0/2");
    host.set("GATHER", "true");
    host.set("GATHER_WAIT", patience);
    host
}

pub fn shards_are_gathered() {
    let stores = Stores::start();
    let (first, second) = (gatherer(&stores, "100"), shard(&stores, "1/2"));
    let running = first.start(&[]);
    until("it waits for the other", || first.log().contains("waiting for the shards"));
    second.run(&[]).with(0);
    assert!(!second.public().join("latest.json").exists());
    running.end().with(0);
    let report = first.latest().unwrap();
    assert_eq!(report.metadata.total_relays, 8);
    assert_eq!(report.metadata.shards.unwrap().missing, Vec::<u32>::new());
    look(&stores.bucket(lab::SPACES_BUCKET));
    let latest = stores.bucket(lab::SPACES_BUCKET).join("latest.json");
    assert!(fs::read(latest).unwrap() == fs::read(first.public().join("latest.json")).unwrap());
}

pub fn a_shard_that_does_not_come_is_told() {
    let stores = Stores::start();
    let host = gatherer(&stores, "2");
    host.run(&[]).with(26).saying(&["shards of other hosts are missing"]);
    assert!(host.latest().is_none());
    let files = host.files().files;
    let bytes = fs::read(stores.bucket(lab::R2_BUCKET).join(&files[0].name)).unwrap();
    let report: Report = Kind::Report.parse(&bytes).unwrap();
    assert_eq!(report.metadata.shards.unwrap().missing, [1]);

    // By hand, when the other has come after all.
    shard(&stores, "1/2").run(&[]).with(0);
    host.run(&["--only", "aggregate"]).with(0);
    host.run(&["--only", "upload"]).with(0);
    assert_eq!(host.latest().unwrap().metadata.total_relays, 8);
}

pub fn a_run_that_was_not_handed_over_is_handed_over_by_the_next() {
    let stores = Stores::start();
    let host = shard(&stores, "1/2");
    // As a run leaves it that is killed after its scan.
    host.run(&["--only", "scan"]).with(0);
    let handed_over = || -> BTreeSet<_> {
        let runs = fs::read_dir(stores.bucket(lab::R2_BUCKET).join("runs")).into_iter().flatten();
        runs.map(|run| run.unwrap().path()).filter(|run| run.join("run.json").exists()).collect()
    };
    assert_eq!(handed_over().len(), 0);
    host.run(&[]).with(0);
    assert!(host.log().contains("was not handed over"), "{}", host.log());
    assert_eq!(handed_over().len(), 2);
    // What was handed over is not again, also if the store has been tidied meanwhile.
    fs::remove_dir_all(stores.bucket(lab::R2_BUCKET).join("runs")).unwrap();
    host.run(&[]).with(0);
    assert_eq!(handed_over().len(), 1);
}
