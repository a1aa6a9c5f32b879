//! How results are kept so that neither a kill nor a power cut takes one that was shown.
//!
//! Syncing each result's file would cost two waits for the disk per relay. Instead a batch of results
//! is appended to the log and synced once; only then do their files appear, unsynced. When the
//! scan ends, all files are synced together and the log goes. After a power cut the files may be
//! torn, and the log has everything that they should say: [`recover`] writes them again.
//!
//! Decides the order; [`Disk`] does it.

use std::collections::HashMap;

use record::{Fingerprint, Kind, Plan, RelayResult};
use shelf::run::{RESULTS_LOG_FILE, result_name};

use super::ResultsError;

/// What keeping results needs of a file system.
pub(crate) trait Disk {
    /// Appends to the log, which is made where it is missing.
    fn append(&mut self, lines: &[u8]) -> Result<(), ResultsError>;
    /// Waits until what was appended is on the disk, and the log's name with it.
    fn sync_log(&mut self) -> Result<(), ResultsError>;
    /// Puts a file in place of an earlier one: whole for every process, on the disk some time.
    fn place(&mut self, name: &str, bytes: &[u8]) -> Result<(), ResultsError>;
    /// Waits until everything is on the disk.
    fn sync_all(&mut self) -> Result<(), ResultsError>;
    /// Removes the log.
    fn remove_log(&mut self) -> Result<(), ResultsError>;
    /// A file's bytes; `None` where it is missing.
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, ResultsError>;
}

/// Keeps these results: when this returns, they are on the disk and their files can be seen.
pub(crate) fn keep(disk: &mut impl Disk, results: &[RelayResult]) -> Result<(), ResultsError> {
    let mut lines = Vec::new();
    for result in results {
        serde_json::to_writer(&mut lines, result).map_err(ResultsError::unwritable)?;
        lines.push(b'\n');
    }
    disk.append(&lines)?;
    disk.sync_log()?;
    results.iter().try_for_each(|result| place(disk, result))
}

/// Makes the files of everything that was kept as safe as the log, which then goes.
pub(crate) fn settle(disk: &mut impl Disk) -> Result<(), ResultsError> {
    disk.sync_all()?;
    disk.remove_log()
}

/// What an earlier part of the run kept, whatever ended it, each result in its file again. A result
/// that cannot be read counts as missing.
pub(crate) fn recover(
    disk: &mut impl Disk,
    plan: &Plan,
) -> Result<HashMap<Fingerprint, RelayResult>, ResultsError> {
    let of_plan: HashMap<Fingerprint, ()> =
        plan.relays.iter().map(|relay| (relay.fingerprint, ())).collect();
    let mut results = HashMap::new();
    if let Some(log) = disk.read(RESULTS_LOG_FILE)? {
        // Its end may have come from a scan that was killed before it synced it.
        disk.sync_log()?;
        // A line that a power cut tore was never shown.
        for line in log.split(|&byte| byte == b'\n') {
            if let Ok(result) = Kind::Result.parse::<RelayResult>(line)
                && result.run_id == plan.run_id
                && of_plan.contains_key(&result.exit_fingerprint)
            {
                results.insert(result.exit_fingerprint, result);
            }
        }
        results.values().try_for_each(|result| place(disk, result))?;
        settle(disk)?;
    }
    for relay in of_plan.keys().filter(|relay| !results.contains_key(*relay)).collect::<Vec<_>>() {
        let Ok(Some(bytes)) = disk.read(&result_name(relay)) else { continue };
        if let Ok(result) = Kind::Result.parse::<RelayResult>(&bytes)
            && result.run_id == plan.run_id
            && result.exit_fingerprint == *relay
        {
            results.insert(*relay, result);
        }
    }
    Ok(results)
}

fn place(disk: &mut impl Disk, result: &RelayResult) -> Result<(), ResultsError> {
    let mut bytes = serde_json::to_vec_pretty(result).map_err(ResultsError::unwritable)?;
    bytes.push(b'\n');
    disk.place(&result_name(&result.exit_fingerprint), &bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use record::PlannedRelay;

    use super::super::tests::{RELAYS, plan, result, version};
    use super::*;

    /// A disk in memory: what processes see, and what would be left if the power went now.
    #[derive(Debug, Default, Clone)]
    struct Simulated {
        seen: BTreeMap<String, Vec<u8>>,
        on_disk: BTreeMap<String, Vec<u8>>,
        /// Files whose bytes or names have not been synced, each in all the states it had since.
        pending: BTreeMap<String, Vec<Option<Vec<u8>>>>,
        /// How many more operations there is power for.
        power: usize,
    }

    impl Simulated {
        fn spend(&mut self) -> Result<(), ResultsError> {
            self.power = self
                .power
                .checked_sub(1)
                .ok_or_else(|| ResultsError::unwritable(std::io::Error::other("the power went")))?;
            Ok(())
        }

        fn set(&mut self, name: &str, bytes: Option<Vec<u8>>) {
            self.pending.entry(name.to_owned()).or_default().push(bytes.clone());
            match bytes {
                Some(bytes) => self.seen.insert(name.to_owned(), bytes),
                None => self.seen.remove(name),
            };
        }

        fn sync(&mut self, name: &str) {
            self.pending.remove(name);
            match self.seen.get(name) {
                Some(bytes) => self.on_disk.insert(name.to_owned(), bytes.clone()),
                None => self.on_disk.remove(name),
            };
        }

        /// The disk after a power cut: of each file that was not synced, any state since it was,
        /// with its bytes whole, torn, or not there. `draw` draws below its argument.
        fn after_a_cut(mut self, mut draw: impl FnMut(usize) -> usize) -> Self {
            for (name, states) in std::mem::take(&mut self.pending) {
                let kept = self.on_disk.get(&name).cloned();
                let synced = kept.as_ref().map_or(0, Vec::len);
                let Some(state) = draw(states.len() + 1).checked_sub(1) else { continue };
                match states[state].clone() {
                    None => self.on_disk.remove(&name),
                    Some(mut bytes) => {
                        match draw(3) {
                            0 => {}
                            torn => {
                                // What was appended to is never torn before its synced end.
                                let log = name == RESULTS_LOG_FILE;
                                let safe = if log { synced.min(bytes.len()) } else { 0 };
                                let end = safe + draw(bytes.len() - safe + 1);
                                if torn == 1 { bytes.truncate(end) } else { bytes[end..].fill(0) }
                            }
                        }
                        self.on_disk.insert(name, bytes)
                    }
                };
            }
            Self { seen: self.on_disk.clone(), on_disk: self.on_disk, ..Self::default() }
        }
    }

    impl Disk for Simulated {
        fn append(&mut self, lines: &[u8]) -> Result<(), ResultsError> {
            self.spend()?;
            let mut log = self.seen.get(RESULTS_LOG_FILE).cloned().unwrap_or_default();
            log.extend_from_slice(lines);
            self.set(RESULTS_LOG_FILE, Some(log));
            Ok(())
        }

        fn sync_log(&mut self) -> Result<(), ResultsError> {
            self.spend()?;
            self.sync(RESULTS_LOG_FILE);
            Ok(())
        }

        fn place(&mut self, name: &str, bytes: &[u8]) -> Result<(), ResultsError> {
            self.spend()?;
            self.set(name, Some(bytes.to_vec()));
            Ok(())
        }

        fn sync_all(&mut self) -> Result<(), ResultsError> {
            self.spend()?;
            for name in self.pending.clone().into_keys() {
                self.sync(&name);
            }
            Ok(())
        }

        fn remove_log(&mut self) -> Result<(), ResultsError> {
            self.spend()?;
            self.set(RESULTS_LOG_FILE, None);
            Ok(())
        }

        fn read(&self, name: &str) -> Result<Option<Vec<u8>>, ResultsError> {
            Ok(self.seen.get(name).cloned())
        }
    }

    /// One part of a run after the other, each ended by a power cut or a kill at any operation.
    /// `shown` is what anybody could have read, by relay.
    fn parts(powers: &[(usize, bool)], mut draw: impl FnMut(usize) -> usize) {
        let plan = plan();
        let mut disk = Simulated::default();
        let mut shown: HashMap<Fingerprint, u32> = HashMap::new();
        let mut number = 0;
        // Whether a power cut may have left files that nobody has put in order yet.
        let mut torn = false;
        for &(power, cut) in powers {
            disk.power = power;
            let _ = (|| -> Result<(), ResultsError> {
                recover(&mut disk, &plan)?;
                torn = false;
                loop {
                    let size = 1 + draw(4);
                    let batch: Vec<RelayResult> = (0..size)
                        .map(|_| {
                            number += 1;
                            result(u8::try_from(draw(usize::from(RELAYS))).unwrap(), number)
                        })
                        .collect();
                    keep(&mut disk, &batch)?;
                    if draw(6) == 0 {
                        settle(&mut disk)?;
                    }
                }
            })();
            for (name, bytes) in disk.seen.iter().filter(|(name, _)| *name != RESULTS_LOG_FILE) {
                let seen: RelayResult = match Kind::Result.parse(bytes) {
                    Ok(seen) => seen,
                    Err(error) => {
                        assert!(torn, "a file is whole: {error}");
                        continue;
                    }
                };
                assert_eq!(*name, result_name(&seen.exit_fingerprint));
                let latest = shown.entry(seen.exit_fingerprint).or_default();
                *latest = version(&seen).max(*latest);
            }
            if cut {
                disk = disk.after_a_cut(&mut draw);
                torn = true;
            }
        }
        disk.power = usize::MAX;
        let recovered = recover(&mut disk, &plan).unwrap();
        for (relay, number) in shown {
            let have = recovered.get(&relay).map(version);
            assert!(have >= Some(number), "{relay}: {number} was shown, {have:?} is left");
        }
        // And every file says so again, with nothing left to sync.
        for (relay, result) in &recovered {
            let file = &disk.on_disk[&result_name(relay)];
            assert_eq!(Kind::Result.parse::<RelayResult>(file).unwrap(), *result);
        }
        let log = disk.seen.get(RESULTS_LOG_FILE);
        assert_eq!(log, None, "the log is gone when its results are safe");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn nothing_shown_is_lost(
            powers in prop::collection::vec((0_usize..60, any::<bool>()), 1..5),
            seed: u64,
        ) {
            use rand::{RngExt, SeedableRng};
            let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
            parts(&powers, |below| rng.random_range(0..below));
        }
    }

    #[test]
    fn what_is_not_of_the_run_is_left_out() {
        let mut plan = plan();
        let mut disk = Simulated { power: usize::MAX, ..Simulated::default() };
        keep(&mut disk, &[result(0, 1), result(1, 2)]).unwrap();
        let left: PlannedRelay = plan.relays.remove(0);
        assert_eq!(recover(&mut disk, &plan).unwrap().len(), 1);
        plan.relays.push(left);
        plan.run_id = "another".to_owned();
        assert!(recover(&mut disk, &plan).unwrap().is_empty());
    }
}
