//! Windows as bytes, and back.

use std::collections::HashSet;

use uuid::Uuid;

use crate::detect::finding::Closed;
use crate::detect::groups::Groups;
use crate::detect::state::{Fate, Restored, Restoring, Saving, StateError};
use crate::detect::windows::Windows;
use crate::detect::{Consumer, Detector, Match};

impl Windows {
    /// Everything as bytes, for [`Windows::restore`].
    #[must_use]
    pub fn save(&self, detector: &Detector) -> Vec<u8> {
        let mut saving = Saving::new(detector);
        self.save_in(&mut saving);
        saving.finish()
    }

    /// The windows that were saved, over the rules of another detector perhaps: a rule with
    /// the id and the [logic digest](Detector::logic_digest) of one that was saved goes on as if nothing had
    /// been, others begin anew.
    ///
    /// # Errors
    ///
    /// Where the bytes are something else, or are damaged.
    pub fn restore(detector: &Detector, saved: &[u8]) -> Result<(Self, Restored), StateError> {
        let mut restoring = Restoring::new(detector, saved)?;
        let restored = Self::restore_from(&mut restoring).ok_or(StateError::Senseless)?;
        restoring.end()?;
        Ok(restored)
    }

    /// [`Windows::save`] beside other things.
    pub fn save_in(&self, saving: &mut Saving<'_>) {
        let detector = saving.detector;
        let ledger = &self.ledger;
        saving.generation = self.generation;
        saving.number(self.generation);
        saving.flag(ledger.live.is_some());
        saving.counts(&ledger.tally);
        saving.each(self.event.iter(), Saving::found);
        saving.number(self.consumers.len() as u64);
        for (at, (groups, consumer)) in self.consumers.iter().zip(&detector.consumers).enumerate() {
            consumer.pack_key(saving);
            saving.text(consumer.label());
            saving.number(groups.open().count() as u64);
            saving.number(self.since.get(&at).copied().unwrap_or_default());
            let deadlines = ledger.deadlines.of(at);
            saving.section(|saving| groups.save(saving, &deadlines));
        }
        saving.each(ledger.closed.values(), |saving, (at, closed)| {
            saving.number(*at as u64);
            saving.section(|saving| closed.save(saving));
        });
    }

    /// [`Windows::restore`] beside other things; `None` where something else was saved.
    pub fn restore_from(saved: &mut Restoring<'_>) -> Option<(Self, Restored)> {
        let detector = saved.detector;
        let mut windows = Self::new(detector);
        let generation = saved.count()?;
        if saved.generation == 0 {
            saved.generation = generation;
        }
        windows.generation = saved.generation;
        windows.ledger.live = saved.flag()?.then(Vec::new);
        windows.ledger.tally = saved.counts()?;
        let event: Vec<Option<Match>> = saved.each(Restoring::found)?;
        windows.event = event.into_iter().flatten().collect();
        let mut restored = Restored::default();
        let (mut known, mut places) = (HashSet::new(), Vec::new());
        for _ in 0..saved.number()? {
            let rule = saved.uuid()?;
            if !known.insert(rule) {
                return None; // a rule is there once
            }
            places.push(windows.restore_consumer(saved, rule, &mut restored)?);
        }
        windows.weight = windows.consumers.iter().map(Groups::weight).sum();
        for _ in 0..saved.number()? {
            let place = usize::try_from(saved.number()?).ok()?;
            let section = saved.bytes()?;
            let Some(at) = *places.get(place)? else {
                continue;
            };
            let consumer = detector.consumers.get(at)?;
            let closed = saved.section(section, |saved| Closed::restore(saved, consumer))?;
            let order = closed.order(&consumer.reporter);
            windows.ledger.closed.insert(order, (at, closed));
        }
        let is_new = |consumer: &&Consumer| !known.contains(&consumer.reporter.rule);
        let new = detector.consumers.iter().filter(is_new);
        let new = new.filter(|consumer| consumer.keeps_state());
        let new = new.map(|consumer| (consumer.label().to_owned(), Fate::New));
        restored.rules.extend(new);
        Some((windows, restored))
    }

    /// Rules that began anew when this was restored see events from this one on.
    pub fn begin_anew(&mut self, first: u64) {
        for at in 0..self.consumers.len() {
            self.since.entry(at).or_insert(first);
        }
    }

    /// Takes back the groups of one consumer, if it is still there and does the same: where it is now.
    fn restore_consumer(
        &mut self,
        saved: &mut Restoring<'_>,
        rule: Uuid,
        restored: &mut Restored,
    ) -> Option<Option<usize>> {
        let (logic, reports) = (saved.digest()?, saved.flag()?);
        let (label, open) = (saved.text()?.to_owned(), saved.count()?);
        let since = saved.count()?;
        let section = saved.bytes()?;
        let mut consumers = saved.detector.consumers.iter().enumerate();
        let Some((at, consumer)) = consumers.find(|(_, one)| one.reporter.rule == rule) else {
            restored.rules.push((label, Fate::Gone(open)));
            return Some(None);
        };
        let fate = match (consumer.logic == logic, consumer.reports == reports) {
            (false, _) => Fate::Changed(open),
            (true, false) => Fate::Rewired(open),
            (true, true) => Fate::Kept,
        };
        if consumer.keeps_state() {
            restored.rules.push((consumer.label().to_owned(), fate));
        }
        if fate != Fate::Kept {
            return Some(None);
        }
        let (groups, deadlines) =
            saved.section(section, |saved| Groups::restore(saved, consumer))?;
        *self.consumers.get_mut(at)? = groups;
        self.since.insert(at, since);
        for (deadline, number) in deadlines {
            self.ledger.deadlines.push(at, deadline, number);
        }
        Some(Some(at))
    }
}
