//! How far a live source has come in event time.

use crate::detect::{Restoring, Saving};
use crate::event::{Nanos, Time};

/// Says up to which time all events of a live source are taken to have come.
///
/// It is the greatest `published` so far, less the lateness. An event from the
/// future counts as one of five minutes ahead of the clock at most, so that a wrong
/// one does not make all others late for longer than that. While the source is silent it is the clock less
/// the lateness. It never goes back, whatever the clock does, and goes on by
/// whole seconds at least: each advance is recorded.
#[derive(Clone, Debug)]
pub struct Watermark {
    lateness: Nanos,
    newest: Option<Time>,
    /// The newest event that was not ahead of the clock by more than that.
    last: Option<Time>,
    mark: Option<Time>,
    /// What the clock said when the source was last heard of.
    heard: Option<Time>,
}

/// No event counts as further ahead of the clock.
pub(super) const AHEAD: Nanos = Nanos(5 * 60 * Nanos::SECOND.0);

/// A source that was not heard of for so long is silent.
const SILENCE: Nanos = Nanos(30 * Nanos::SECOND.0);

/// A smaller advance waits for the next.
const STEP: Nanos = Nanos::SECOND;

impl Watermark {
    /// The watermark of a source whose events come at most so late.
    #[must_use]
    pub fn new(lateness: Nanos) -> Self {
        Self {
            lateness,
            newest: None,
            last: None,
            mark: None,
            heard: None,
        }
    }

    /// Where it is; nowhere before the first event.
    #[must_use]
    pub fn mark(&self) -> Option<Time> {
        self.mark
    }

    /// What the clock said when the source was last heard of.
    pub(super) fn heard(&self) -> Option<Time> {
        self.heard
    }

    /// An event of this time came: gives where the watermark is, if it went on.
    pub fn saw(&mut self, published: Option<Time>, clock: Time) -> Option<Time> {
        self.heard = Some(clock);
        let (published, most) = (published?, clock.plus(AHEAD));
        if published <= most {
            self.last = self.last.max(Some(published));
        }
        self.newest = self.newest.max(Some(published.min(most)));
        self.advance(self.newest?.minus(self.lateness))
    }

    /// Some time went by: gives where the watermark is, if it went on.
    pub fn tick(&mut self, clock: Time) -> Option<Time> {
        // A clock that was set back must not make a source silent for longer than it is.
        let heard = self.heard.unwrap_or(clock).min(clock);
        self.heard = Some(heard);
        if clock.since(heard) < SILENCE {
            return None;
        }
        self.advance(clock.minus(self.lateness))
    }

    /// The source has ended: nothing is late any more. Gives where the watermark is, if it went on.
    pub fn end(&mut self) -> Option<Time> {
        let last = self.last.filter(|last| Some(*last) > self.mark)?;
        self.mark = Some(last);
        self.mark
    }

    /// Goes on to a time that was recorded.
    pub fn set(&mut self, mark: Time) {
        self.mark = self.mark.max(Some(mark));
    }

    pub(super) fn save(&self, saving: &mut Saving<'_>) {
        saving.option(self.newest, Saving::time);
        saving.option(self.last, Saving::time);
        saving.option(self.mark, Saving::time);
    }

    /// Goes on from where it was saved. The source is heard of now: while nothing ran, it was not silent.
    pub(super) fn restore(&mut self, saved: &mut Restoring<'_>, clock: Time) -> Option<()> {
        self.newest = saved.option(Restoring::time)?;
        self.last = saved.option(Restoring::time)?;
        self.mark = saved.option(Restoring::time)?;
        self.heard = Some(clock);
        Some(())
    }

    fn advance(&mut self, to: Time) -> Option<Time> {
        if self.mark.is_some_and(|mark| to < mark.plus(STEP)) {
            return None;
        }
        self.mark = Some(to);
        self.mark
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = Nanos::SECOND.0;

    fn at(seconds: i64) -> Time {
        Time(seconds * S)
    }

    /// What happens at a source, and where that brings the watermark.
    enum Step {
        Saw(i64, i64),
        Tick(i64),
    }
    use Step::{Saw, Tick};

    /// What happens, and where the watermark is then if it went on.
    type Steps = &'static [(Step, Option<i64>)];

    #[test]
    fn the_watermark_follows_the_newest_event_and_a_silent_source_the_clock() {
        #[rustfmt::skip]
        let cases: [(&str, Steps); 7] = [
            ("it is the newest event less the lateness", &[(Saw(1000, 1001), Some(880)), (Saw(1010, 1011), Some(890)), (Saw(1005, 1012), None)]),
            ("it goes on by seconds", &[(Saw(1000, 1001), Some(880)), (Saw(1000, 1002), None), (Saw(1001, 1003), Some(881))]),
            ("an event from the future is one of five minutes ahead", &[(Saw(90_000, 1000), Some(1180)), (Saw(1000, 1001), None), (Saw(90_000, 1010), Some(1190))]),
            ("a silent source goes on with the clock", &[(Saw(1000, 1000), Some(880)), (Tick(1029), None), (Tick(1030), Some(910)), (Tick(1031), Some(911))]),
            ("a source that never was heard of is silent after a while", &[(Tick(1000), None), (Tick(1030), Some(910))]),
            ("a clock that is set back moves nothing", &[(Saw(1000, 1000), Some(880)), (Tick(1060), Some(940)), (Tick(500), None), (Tick(529), None), (Tick(530), None), (Tick(1090), Some(970))]),
            ("an old event moves nothing", &[(Saw(1000, 1000), Some(880)), (Saw(10, 1000), None)]),
        ];
        for (name, steps) in cases {
            let mut watermark = Watermark::new(Nanos(120 * S));
            for (number, (step, expected)) in steps.iter().enumerate() {
                let found = match step {
                    Saw(published, clock) => watermark.saw(Some(at(*published)), at(*clock)),
                    Tick(clock) => watermark.tick(at(*clock)),
                };
                assert_eq!(found, expected.map(at), "{name}, step {number}");
            }
        }
    }
}
