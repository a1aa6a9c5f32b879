//! Showing how far a scan is: a bar on a terminal, a plain line now and then elsewhere. Decides
//! nothing.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use record::{Counts, Status};
use tokio::time::Instant;
use tracing_subscriber::fmt::MakeWriter;

use crate::schedule::Notice;
use crate::session::Watch;
use crate::summary::spoken;

/// Time between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// Where progress and log lines go: standard error, one at a time.
#[derive(Debug, Clone)]
pub struct Screen {
    bars: MultiProgress,
    kind: ScreenKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ScreenKind {
    Bar,
    Lines,
    Quiet,
}

impl Screen {
    /// A screen that shows progress if that is `wished`.
    #[must_use]
    pub fn new(wished: bool) -> Self {
        let kind = match (wished, io::stderr().is_terminal()) {
            (false, _) => ScreenKind::Quiet,
            (true, true) => ScreenKind::Bar,
            (true, false) => ScreenKind::Lines,
        };
        let target = match kind {
            ScreenKind::Bar => ProgressDrawTarget::stderr(),
            ScreenKind::Lines | ScreenKind::Quiet => ProgressDrawTarget::hidden(),
        };
        Self { bars: MultiProgress::with_draw_target(target), kind }
    }

    /// Prints text for people on standard output, without breaking the bar.
    pub fn print(&self, text: &str) {
        self.bars.suspend(|| {
            // A reader that has gone away (a closed pipe) is no reason to end a scan.
            let _ = io::stdout().write_all(text.as_bytes());
        });
    }
}

impl Write for &Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bars.suspend(|| io::stderr().write_all(bytes)).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for Screen {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

/// Shows tor's bootstrapping.
#[derive(Debug)]
pub struct Bootstrap<'a> {
    screen: &'a Screen,
    shown: Option<u8>,
    bar: Option<ProgressBar>,
}

impl<'a> Bootstrap<'a> {
    /// Nothing shown yet.
    #[must_use]
    pub const fn new(screen: &'a Screen) -> Self {
        Self { screen, shown: None, bar: None }
    }
}

impl Watch for Bootstrap<'_> {
    fn bootstrapping(&mut self, progress: u8, summary: &str) {
        if self.shown.is_none() && progress == 100 || self.shown == Some(progress) {
            return;
        }
        self.shown = Some(progress);
        match self.screen.kind {
            ScreenKind::Bar => {
                let bar = self.bar.get_or_insert_with(|| {
                    let style = ProgressStyle::with_template("tor starts [{bar:30}] {pos} % {msg}");
                    let bar = ProgressBar::new(100);
                    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
                    self.screen.bars.add(bar)
                });
                bar.set_position(u64::from(progress));
                bar.set_message(summary.to_owned());
                if progress == 100 {
                    bar.finish_and_clear();
                }
            }
            ScreenKind::Lines => tracing::info!("tor starts: {progress} % ({summary})"),
            ScreenKind::Quiet => {}
        }
    }
}

/// Shows a scan's progress.
#[derive(Debug)]
pub struct Progress<'a> {
    screen: &'a Screen,
    bar: ProgressBar,
    counts: Counts,
    total: u64,
    before: u32,
    started: Instant,
    last_line: Instant,
}

impl<'a> Progress<'a> {
    /// Progress over `total` relays, of which `earlier` have results from a part of the run that
    /// was interrupted.
    #[must_use]
    pub fn new(screen: &'a Screen, total: usize, earlier: Counts) -> Self {
        let total = u64::try_from(total).unwrap_or(u64::MAX);
        let bar = ProgressBar::new(total);
        if let Ok(style) =
            ProgressStyle::with_template("[{bar:30}] {pos}/{len} {per_sec} {eta} left  {msg}")
        {
            bar.set_style(style);
        }
        let bar = if screen.kind == ScreenKind::Bar { screen.bars.add(bar) } else { bar };
        if screen.kind != ScreenKind::Bar {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        bar.set_position(u64::from(earlier.total()));
        bar.reset_eta();
        let now = now();
        let before = earlier.total();
        Self { screen, bar, counts: earlier, total, before, started: now, last_line: now }
    }

    /// Takes in what the scan reports.
    pub fn report(&mut self, report: &Notice) {
        match report {
            Notice::Result { result, last: true } => {
                self.counts.add(result.status);
                self.bar.set_position(u64::from(self.counts.total()));
                self.bar.set_message(self.by_status());
            }
            Notice::Round { number, relays, after } => {
                if self.screen.kind != ScreenKind::Quiet {
                    tracing::info!(
                        "{relays} relays still fail; round {number} tries them once more by other \
                         first hops, in {}",
                        spoken(*after)
                    );
                }
            }
            Notice::Paused(hop) => {
                let what = match hop {
                    Some(hop) => format!("the first hop {hop} cannot be reached"),
                    None => "no first hop can be reached".to_owned(),
                };
                tracing::warn!("{what}: pausing until that changes; no relay is blamed for it");
            }
            Notice::GoesOn => tracing::info!("the first hop can be reached again; going on"),
            Notice::Result { .. } | Notice::Attempt(..) => {}
        }
        self.line();
    }

    /// Shows that time has passed.
    pub fn tick(&mut self) {
        self.bar.tick();
        self.line();
    }

    fn line(&mut self) {
        if self.screen.kind != ScreenKind::Lines || self.last_line.elapsed() < LINE_EVERY {
            return;
        }
        self.last_line = now();
        let done = u64::from(self.counts.total());
        let mut line = format!("{done} of {} relays", self.total);
        let here = done.saturating_sub(u64::from(self.before));
        if let Ok(here @ 1..) = u32::try_from(here) {
            let each = self.started.elapsed() / here;
            let left = u32::try_from(self.total.saturating_sub(done)).unwrap_or(u32::MAX);
            line.push_str(&format!(", about {} left", spoken(each.saturating_mul(left))));
        }
        tracing::info!("{line}: {}", self.by_status());
    }

    fn by_status(&self) -> String {
        let counts = Status::ALL.iter().map(|&status| (status, self.counts.of(status)));
        let shown: Vec<String> = counts
            .filter(|(_, count)| *count > 0)
            .map(|(status, count)| format!("{status} {count}"))
            .collect();
        shown.join(", ")
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

#[expect(clippy::disallowed_methods, reason = "an edge: shows time to a person")]
fn now() -> Instant {
    Instant::now()
}
