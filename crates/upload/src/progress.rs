//! Showing how much has been sent: a bar for each store on a terminal, nothing elsewhere, where
//! the log says all. Decides nothing.

use std::io::{self, IsTerminal, Write};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing_subscriber::fmt::MakeWriter;

/// Where bars and log lines go: standard error, one at a time.
#[derive(Debug, Clone)]
pub struct BarScreen {
    bars: MultiProgress,
    shown: bool,
}

impl BarScreen {
    /// A screen that shows bars if that is `wished` and there is a terminal.
    #[must_use]
    pub fn new(wished: bool) -> Self {
        let shown = wished && io::stderr().is_terminal();
        let target =
            if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self { bars: MultiProgress::with_draw_target(target), shown }
    }

    /// Prints text for people on standard output, without breaking the bars.
    pub fn print(&self, text: &str) {
        self.bars.suspend(|| {
            // A reader that has gone away (a closed pipe) is no reason to end.
            let _ = io::stdout().write_all(text.as_bytes());
        });
    }

    /// A bar for the store of this name.
    #[must_use]
    pub fn bar(&self, name: &str) -> Bar {
        let bar = ProgressBar::new(0);
        if !self.shown {
            bar.set_draw_target(ProgressDrawTarget::hidden());
            return Bar(bar);
        }
        if let Ok(style) =
            ProgressStyle::with_template("{prefix:8} [{bar:30}] {bytes}/{total_bytes} {eta} left")
        {
            bar.set_style(style);
        }
        bar.set_prefix(name.to_owned());
        Bar(self.bars.add(bar))
    }
}

impl Write for &BarScreen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bars.suspend(|| io::stderr().write_all(bytes)).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for BarScreen {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

/// One store's bar; it goes away with this value.
#[derive(Debug)]
pub struct Bar(ProgressBar);

impl Bar {
    /// One that nobody sees.
    #[must_use]
    pub fn hidden() -> Self {
        Self(ProgressBar::hidden())
    }

    /// So many more bytes are to be sent.
    pub fn grow(&self, bytes: u64) {
        self.0.inc_length(bytes);
    }

    /// So many more bytes were sent.
    pub fn add(&self, bytes: u64) {
        self.0.inc(bytes);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
