//! Whether the way out of this host works: the first hop that was asked for, or the network at all.
//! Where it does not, no relay can be blamed for anything, and trying them is of no use. Pure.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use record::Fingerprint;

use crate::schedule::ProbeId;

/// How many attempts in a row have to fail at their first hops.
const IN_A_ROW: u32 = 3;

/// By how many different first hops, where there are so many.
const DIFFERENT: usize = 3;

/// How often a way out that does not work is tried.
const TRY_EVERY: Duration = Duration::from_secs(5);

/// What is known about the way out. Times are offsets from the scan's start.
#[derive(Debug)]
pub(crate) struct WayOut {
    /// How many different first hops have to fail.
    different: usize,
    /// How long it may be closed until the scan is given up.
    patience: Duration,
    /// Attempts that failed at their first hops since anything was last heard, and those hops.
    failures: u32,
    failed: HashSet<Fingerprint>,
    /// Since when it is closed.
    closed: Option<Duration>,
    next_try: Duration,
    /// When anything was last heard from the network.
    heard: Duration,
    /// When each attempt under way last heard something, or started.
    heard_by: HashMap<ProbeId, Duration>,
}

impl WayOut {
    /// A way out through one of so many first hops.
    pub(crate) fn new(first_hops: usize, patience: Duration) -> Self {
        Self {
            different: first_hops.clamp(1, DIFFERENT),
            patience,
            failures: 0,
            failed: HashSet::new(),
            closed: None,
            next_try: Duration::ZERO,
            heard: Duration::ZERO,
            heard_by: HashMap::new(),
        }
    }

    /// Whether it is closed.
    pub(crate) const fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// When the scan is to be given up, where it is closed.
    pub(crate) fn give_up_at(&self) -> Option<Duration> {
        self.closed.map(|since| since + self.patience)
    }

    /// When it may be tried again, where it is closed.
    pub(crate) fn try_at(&self) -> Option<Duration> {
        self.closed.map(|_| self.next_try)
    }

    /// An attempt starts.
    pub(crate) fn started(&mut self, id: ProbeId, now: Duration) {
        self.heard_by.insert(id, now);
        self.next_try = now + TRY_EVERY;
    }

    /// An attempt heard a relay. True where the way out was closed until now.
    pub(crate) fn heard(&mut self, id: ProbeId, now: Duration) -> bool {
        self.heard = self.heard.max(now);
        self.heard_by.insert(id, now);
        self.failures = 0;
        self.failed.clear();
        self.closed.take().is_some()
    }

    /// An attempt ends. True where nothing was heard from anybody for the latter half of the time in
    /// which it heard nothing itself: its silence may be this host's.
    pub(crate) fn ended(&mut self, id: ProbeId, now: Duration) -> bool {
        let own = self.heard_by.remove(&id).unwrap_or(now);
        self.heard <= own + now.saturating_sub(own) / 2
    }

    /// An attempt failed at its first hop. True where the way out is closed from now on.
    pub(crate) fn failed(&mut self, hop: Fingerprint, now: Duration) -> bool {
        self.failures += 1;
        self.failed.insert(hop);
        let closed = self.failures >= IN_A_ROW && self.failed.len() >= self.different;
        if !closed || self.closed.is_some() {
            return false;
        }
        self.closed = Some(now);
        self.next_try = now + TRY_EVERY;
        true
    }

    /// Everything begins again: the local tor was lost.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
        self.failed.clear();
        self.closed = None;
        self.heard_by.clear();
    }
}
