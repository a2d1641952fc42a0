//! The end of the input: what is open closes, and all that is closed has its turn.

use std::iter::Peekable;
use std::vec::IntoIter;

use crate::detect::Detector;
use crate::detect::finding::{Finding, OrderKey};
use crate::detect::windows::{Tally, Windows};
use crate::event::Time;

/// What is left to close once everything was read: by the last hit, the consumer and the group.
pub(in crate::detect) struct Ending {
    open: Peekable<IntoIter<(Time, u32, u32)>>,
}

impl Windows {
    /// The end of the input, whose latest event was at `last`, matched or not:
    /// closes everything that is open, and gives what that makes complete one
    /// at a time, since it may be much.
    ///
    /// # Errors
    ///
    /// The first of `each`.
    pub fn finish<E>(
        &mut self,
        detector: &Detector,
        last: Option<Time>,
        mut each: impl FnMut(Finding) -> Result<(), E>,
    ) -> Result<Tally, E> {
        let mut ending = self.end(detector, last, &mut each)?;
        while self.next_at_end(detector, &mut ending).is_some() {
            self.take_at_end(detector)
                .into_iter()
                .try_for_each(&mut each)?;
        }
        let live = self.ledger.live.take().unwrap_or_default();
        live.into_iter().try_for_each(each)?;
        Ok(self.ledger.tally)
    }

    /// Takes what is held, and ends the waits that are over at the end of the input. Gives what
    /// that makes ready.
    pub(in crate::detect) fn end<E>(
        &mut self,
        detector: &Detector,
        last: Option<Time>,
        mut each: impl FnMut(Finding) -> Result<(), E>,
    ) -> Result<Ending, E> {
        self.step(detector).into_iter().try_for_each(&mut each)?;
        while let Some(end) = self.first_end().filter(|end| Some(*end) <= last) {
            let findings = self.end_waits(detector, end);
            findings.into_iter().try_for_each(&mut each)?;
        }
        let waiting = self.waiting.iter().filter_map(|at| self.consumers.get(*at));
        self.ledger.tally.pending = waiting.map(|groups| groups.waiting() as u64).sum();
        let mut open: Vec<(Time, u32, u32)> = (0..)
            .zip(&self.consumers)
            .flat_map(|(at, groups)| groups.open().map(move |(last, number)| (last, at, number)))
            .collect();
        open.sort_unstable();
        Ok(Ending {
            open: open.into_iter().peekable(),
        })
    }

    /// Where the next finding stands that nothing can precede any more; nothing after the last.
    pub(in crate::detect) fn next_at_end(
        &mut self,
        detector: &Detector,
        ending: &mut Ending,
    ) -> Option<&OrderKey> {
        let Self {
            ledger, consumers, ..
        } = self;
        while let Some((last, at, number)) = ending.open.peek().copied() {
            let first = ledger.closed.first_key_value();
            if first.is_some_and(|(first, _)| first.last_hit < Some(last)) {
                break;
            }
            ending.open.next();
            let at = at as usize;
            if let (Some(consumer), Some(groups)) =
                (detector.consumers.get(at), consumers.get_mut(at))
            {
                ledger.close_group(at, consumer, groups, number);
            }
        }
        ledger.closed.first_key_value().map(|(order, _)| order)
    }

    /// Takes the finding that [`Self::next_at_end`] tells of.
    pub(in crate::detect) fn take_at_end(&mut self, detector: &Detector) -> Option<Finding> {
        let (_, (at, closed)) = self.ledger.closed.pop_first()?;
        Some(closed.finding(detector.consumers.get(at)?))
    }
}
