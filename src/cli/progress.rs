//! Progress on stderr.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::output::{is_interactive, talk};
use crate::diag::counted;
use crate::pipeline::Progress;
use crate::visible::visible;

/// Progress on stderr, once a run takes longer than a second.
pub struct Meter {
    started: Instant,
    bar: RefCell<Option<ProgressBar>>,
    total: Option<u64>,
    /// What is counted.
    what: &'static str,
}

impl Meter {
    /// Begins now; `total` is how many bytes there are to read, where that is known.
    pub fn new(total: Option<u64>) -> Self {
        Self::of("event", total)
    }

    /// The same for something else than events.
    pub fn of(what: &'static str, total: Option<u64>) -> Self {
        Self {
            what,
            started: Instant::now(),
            bar: RefCell::new(None),
            total,
        }
    }

    /// Shows how far the run has come.
    pub fn show(&self, progress: Progress) {
        self.show_with(progress, None);
    }

    /// The same, and how far whoever gives what is read has come.
    pub fn show_with(&self, progress: Progress, source: Option<&str>) {
        if self.started.elapsed() < Duration::from_secs(1) || !is_interactive() {
            return;
        }
        let mut bar = self.bar.borrow_mut();
        let bar = bar.get_or_insert_with(|| bar_for(self.total));
        bar.set_position(progress.read);
        let here = format!(
            "{}, {:.0}/s",
            counted(progress.events, self.what),
            self.rate(progress.events)
        );
        bar.set_message(source.map_or(here.clone(), |source| format!("{here}; {source}")));
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate for a person")]
    fn rate(&self, events: u64) -> f64 {
        events as f64 / self.started.elapsed().as_secs_f64().max(1e-9)
    }

    /// Takes the bar away, and says how long it took.
    pub fn finish(&self, events: u64) {
        if let Some(bar) = self.bar.borrow_mut().take() {
            bar.finish_and_clear();
        }
        if self.started.elapsed() >= Duration::from_secs(1) && is_interactive() {
            let seconds = self.started.elapsed().as_secs_f64();
            talk(&visible(&format!(
                "{} in {seconds:.1} s, {:.0} {}s/s",
                counted(events, self.what),
                self.rate(events),
                self.what
            )));
        }
    }
}

fn bar_for(total: Option<u64>) -> ProgressBar {
    let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
    let template = if total.is_some() {
        "{wide_bar} {bytes}/{total_bytes}  {msg}"
    } else {
        "{bytes}  {msg}"
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
