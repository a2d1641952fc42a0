//! The first two beats over input that has no end: events → matches → findings,
//! as they come.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::io;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::detect::{
    Detector, Finding, Match, Restored, Restoring, Saving, StateError, Tally, Windows,
};
use crate::event::{Digest, Nanos, Time};
use crate::pipeline::detect::DetectSink;
use crate::pipeline::scan::{Rejected, Scanned, Scanner};
use crate::pipeline::watermark::{AHEAD, Watermark};
use crate::pipeline::{Counts, Evidence, RunError, Settings};
use crate::source::{Chunk, Record};

/// Where the results of live detection go.
pub trait LiveSink: DetectSink {
    /// The watermark went on.
    ///
    /// # Errors
    ///
    /// When it cannot be kept; detection then ends.
    fn advanced(&mut self, advance: Advance) -> io::Result<()>;
    /// An event that a correlation asks for came too late.
    ///
    /// # Errors
    ///
    /// When it cannot be kept; detection then ends.
    fn late(&mut self, late: &Late) -> io::Result<()>;
    /// What was saved is gone on from: these ids were to be [remembered](Live::remember).
    fn remember(&mut self, _: &[Uuid]) {}
}

/// That the watermark went on: with these among the evidence, live detection can be made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advance {
    /// How many events had come.
    pub after: u64,
    /// Where it is from then on.
    pub watermark: Time,
}

/// That rules do not go on under another policy: with this among the evidence, what came of it can
/// be made again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaving {
    /// How many events had come.
    pub after: u64,
    /// Where the watermark was for them, which was at their last event.
    pub watermark: Option<Time>,
    /// The rules.
    pub rules: BTreeSet<Uuid>,
}

/// An event that windows do not see, since their time is past it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Late {
    /// When it happened.
    pub published: Time,
    /// Where the watermark was when it came.
    pub watermark: Time,
    /// The event's own id.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub event_id: Option<String>,
    /// Its identity.
    pub event_digest: Digest,
}

/// Detection over events as they come. The clock is an argument wherever it is asked.
pub struct Live<'d> {
    detector: &'d Detector,
    settings: Settings,
    names: Vec<String>,
    scanner: Scanner<'d>,
    windows: Windows,
    watermark: Watermark,
    waiting: Waiting,
    copies: Copies,
    counts: Counts,
    earlier: Earlier,
    /// What whoever follows the findings wants to know again.
    remembered: Vec<Uuid>,
    /// The place of a source that keeps one.
    position: Option<String>,
}

/// What was counted before the state was saved from which this goes on.
#[derive(Default)]
struct Earlier {
    events: u64,
    tally: Tally,
}

impl<'d> Live<'d> {
    /// Nothing has come yet. `names` are those of the inputs, for what is rejected; events come
    /// at most so late.
    #[must_use]
    pub fn new(
        detector: &'d Detector,
        settings: Settings,
        names: Vec<String>,
        lateness: Nanos,
    ) -> Self {
        Self {
            detector,
            names,
            scanner: Scanner::new(detector, &settings),
            settings,
            windows: Windows::live(detector),
            watermark: Watermark::new(lateness),
            waiting: Waiting::default(),
            copies: Copies::default(),
            counts: Counts::default(),
            earlier: Earlier::default(),
            remembered: Vec::new(),
            position: None,
        }
    }

    /// The policy whose detector this is has this generation.
    #[must_use]
    pub fn under(mut self, generation: u64) -> Self {
        self.windows.under(generation);
        self
    }

    /// These ids are saved with everything else, for whoever follows the findings.
    pub fn remember(&mut self, ids: Vec<Uuid>) {
        self.remembered = ids;
    }

    /// The ids that were saved.
    #[must_use]
    pub fn remembered(&self) -> &[Uuid] {
        &self.remembered
    }

    /// The place of the source behind what was taken is saved with everything else, so that both are
    /// of one moment.
    pub fn at(&mut self, position: Option<String>) {
        self.position = position;
    }

    /// The place that was saved.
    #[must_use]
    pub fn position(&self) -> Option<&str> {
        self.position.as_deref()
    }

    /// Everything that is not told yet, as bytes for [`Live::restore`].
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        self.save_for(false)
    }

    /// The same for another policy that goes on at once, while the rules that do not [leave](Live::leave):
    /// what came is then decided by these, and not by what they are there.
    #[must_use]
    pub fn save_for_successor(&self) -> Vec<u8> {
        self.save_for(true)
    }

    fn save_for(&self, successor: bool) -> Vec<u8> {
        let mut saving = Saving::new(self.detector);
        self.windows.save_in(&mut saving);
        self.watermark.save(&mut saving);
        saving.each(self.waiting.matches.values(), Saving::found);
        self.copies.save(&mut saving);
        saving.number(self.events());
        saving.option(self.counts.last, Saving::time);
        saving.each(self.remembered.iter(), |saving, id| saving.uuid(*id));
        saving.option(self.position.as_deref(), Saving::text);
        saving.flag(successor);
        saving.finish()
    }

    /// Goes on from what was saved, when the clock says `clock`, and says what became of the
    /// state of each rule, see [`Windows::restore`]. The watermark goes on from where it was saved.
    ///
    /// # Errors
    ///
    /// Where the bytes are something else, or are damaged.
    pub fn restore(mut self, saved: &[u8], clock: Time) -> Result<(Self, Restored), StateError> {
        let mut restoring = Restoring::new(self.detector, saved)?;
        restoring.under(self.windows.generation());
        let restored = self.take_back(&mut restoring, clock);
        let restored = restored.ok_or(StateError::Senseless)?;
        restoring.end()?;
        Ok((self, restored))
    }

    fn take_back(&mut self, saved: &mut Restoring<'_>, clock: Time) -> Option<Restored> {
        let (windows, restored) = Windows::restore_from(saved)?;
        self.windows = windows;
        self.watermark.restore(saved, clock)?;
        let waiting: Vec<Option<Match>> = saved.each(Restoring::found)?;
        for found in waiting.into_iter().flatten() {
            self.waiting.push(found);
        }
        self.copies = Copies::restore(saved)?;
        self.earlier = Earlier {
            events: saved.count()?,
            tally: self.windows.tally(),
        };
        self.counts.last = saved.option(Restoring::time)?;
        self.remembered = saved.each(Restoring::uuid)?;
        self.position = saved.option(Restoring::text)?.map(str::to_owned);
        if saved.flag()? {
            self.windows.begin_anew(self.earlier.events + 1);
        }
        Some(restored)
    }

    /// Takes what came when the clock said `clock`.
    ///
    /// # Errors
    ///
    /// When results cannot be kept, or a record is no event and none such is tolerated.
    pub fn take(
        &mut self,
        chunk: &Chunk,
        clock: Time,
        sink: &mut dyn LiveSink,
    ) -> Result<(), RunError> {
        self.counts.bytes += chunk.bytes();
        for record in chunk.records() {
            self.record(&record, clock, sink)?;
        }
        for reject in chunk.rejects() {
            self.counts.rejected += 1;
            self.reject(&Rejected::stretch(reject, &self.names), sink)?;
        }
        Ok(())
    }

    /// Some time went by, perhaps without an event.
    ///
    /// # Errors
    ///
    /// When results cannot be kept.
    pub fn tick(&mut self, clock: Time, sink: &mut dyn LiveSink) -> Result<(), RunError> {
        let mark = self.watermark.tick(clock);
        mark.map_or(Ok(()), |mark| self.advance(mark, sink))
    }

    /// The source has ended: nothing is late any more, and everything open closes.
    ///
    /// # Errors
    ///
    /// When results cannot be kept.
    pub fn finish(mut self, sink: &mut dyn LiveSink) -> Result<Counts, RunError> {
        if let Some(mark) = self.watermark.end() {
            self.advance(mark, sink)?;
        }
        // Said before what closes: a run that is cut short then is told from one that went on.
        if self.settings.evidence.is_some() {
            let mut evidence = Evidence::default();
            evidence.end(self.events());
            sink.evidence(evidence).map_err(RunError::Sink)?;
        }
        self.close(sink)
    }

    /// Another policy decides from now on. Rules that do not go on under it have had their last
    /// event: what came is shown to them, and what they have open closes, as at the end of the
    /// input. The findings of all others are left to whoever goes on from what was saved before.
    ///
    /// # Errors
    ///
    /// When results cannot be kept.
    pub fn leave(
        mut self,
        rules: BTreeSet<Uuid>,
        sink: &mut dyn LiveSink,
    ) -> Result<Counts, RunError> {
        // What is shown to the old rules is counted where it is shown to those that go on.
        let counts = self.counts();
        if rules.is_empty() {
            return Ok(counts);
        }
        self.watermark.end();
        let leaving = Leaving {
            after: self.events(),
            watermark: self.watermark.mark(),
            rules,
        };
        if self.settings.evidence.is_some() {
            let mut evidence = Evidence::default();
            evidence.leave(&leaving);
            sink.evidence(evidence).map_err(RunError::Sink)?;
        }
        self.leave_again(&leaving, sink)?;
        Ok(counts)
    }

    /// Rules leave as they did.
    pub(super) fn leave_again(
        mut self,
        leaving: &Leaving,
        sink: &mut dyn LiveSink,
    ) -> Result<(), RunError> {
        let mut told = Vec::new();
        if let Some(watermark) = leaving.watermark {
            for found in self.waiting.until(watermark) {
                told.extend(self.windows.advance(self.detector, found));
            }
        }
        told.retain(|finding| leaving.rules.contains(&finding.rule));
        self.tell(told, sink)?;
        let (detector, scripts) = (self.detector, &mut self.counts.scripts);
        let finished = self
            .windows
            .finish(detector, leaving.watermark, |mut finding| {
                if !leaving.rules.contains(&finding.rule) {
                    return Ok(());
                }
                detector.enrich(&mut finding, scripts);
                sink.finding(finding)
            });
        finished.map(drop).map_err(RunError::Sink)
    }

    /// Everything open closes, where the watermark is.
    pub(super) fn close(mut self, sink: &mut dyn LiveSink) -> Result<Counts, RunError> {
        // An event ahead of its time must not decide what others wait for.
        self.counts.evicted += self.waiting.matches.len() as u64;
        let last = self.watermark.mark();
        let (detector, scripts) = (self.detector, &mut self.counts.scripts);
        let tally = self.windows.finish(detector, last, |mut finding| {
            detector.enrich(&mut finding, scripts);
            sink.finding(finding)
        });
        let duplicates = self.counts.correlation.duplicates;
        let tally = tally.map_err(RunError::Sink)?;
        self.counts.correlation = tally.since(&self.earlier.tally);
        self.counts.correlation.duplicates += duplicates;
        scripts.merge(self.windows.take_failures());
        Ok(self.counts)
    }

    /// What the clock said when the source was last heard of.
    #[must_use]
    pub fn heard(&self) -> Option<Time> {
        self.watermark.heard()
    }

    /// What came so far, in numbers, without what came before the state was saved from which it goes on.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = self.counts.clone();
        counts.correlation = self.windows.tally().since(&self.earlier.tally);
        counts.correlation.duplicates += self.counts.correlation.duplicates;
        counts
    }

    /// How many events have come, before the state was saved too.
    fn events(&self) -> u64 {
        self.earlier.events + self.counts.events
    }

    fn record(
        &mut self,
        record: &Record<'_>,
        clock: Time,
        sink: &mut dyn LiveSink,
    ) -> Result<(), RunError> {
        let mut scanned = Scanned::default();
        self.scanner
            .record(record, &self.settings, &self.names, &mut scanned);
        scanned.counts.scripts = self.scanner.take_failures();
        for rejected in &scanned.rejected {
            self.reject(rejected, sink)?;
        }
        let newest = scanned.counts.last;
        let is_ahead = newest.is_some_and(|time| time > clock.plus(AHEAD));
        self.counts.ahead += u64::from(is_ahead);
        let read_any = scanned.counts.events > 0;
        self.counts.add(&scanned);
        self.keep(scanned.evidence, sink)?;
        self.matches(scanned.matches, sink)?;
        if read_any {
            let mark = self.watermark.saw(newest, clock);
            return mark.map_or(Ok(()), |mark| self.advance(mark, sink));
        }
        Ok(())
    }

    /// Hands on the events of one record that satisfied a rule, before what is made of them.
    fn keep(&mut self, mut evidence: Evidence, sink: &mut dyn LiveSink) -> Result<(), RunError> {
        if evidence.is_empty() {
            return Ok(());
        }
        evidence.came_after(self.events());
        sink.evidence(evidence).map_err(RunError::Sink)
    }

    /// Takes again what was kept of a record when it came, and was scanned anew.
    pub(super) fn again(
        &mut self,
        after: u64,
        matches: Vec<Match>,
        sink: &mut dyn LiveSink,
    ) -> Result<(), RunError> {
        if matches.is_empty() {
            return Ok(());
        }
        self.counts.events = after.saturating_sub(self.earlier.events);
        self.matches(matches, sink)
    }

    /// The watermark goes on as it did.
    pub(super) fn advance_again(
        &mut self,
        advance: Advance,
        sink: &mut dyn LiveSink,
    ) -> Result<(), RunError> {
        self.counts.events = advance.after.saturating_sub(self.earlier.events);
        self.watermark.set(advance.watermark);
        self.advance(advance.watermark, sink)
    }

    /// Takes the matches of one record.
    fn matches(&mut self, matches: Vec<Match>, sink: &mut dyn LiveSink) -> Result<(), RunError> {
        let mark = self.watermark.mark();
        let copied: Vec<bool> = matches
            .iter()
            .map(|found| self.copies.has(&found.digest))
            .collect();
        let number = self.events();
        let mut late_ones = Vec::new();
        for (mut found, is_copy) in matches.into_iter().zip(copied) {
            if is_copy {
                self.counts.correlation.duplicates += 1;
                continue;
            }
            found.came_as(number);
            self.copies.add(found.digest, mark.unwrap_or(BEFORE));
            if let Some(rule) = self.detector.heading(&found) {
                sink.found(rule, &found).map_err(RunError::Sink)?;
            }
            if !self.detector.is_consumed(&found) {
                continue;
            }
            match (found.time, mark) {
                (Some(published), Some(watermark)) if published <= watermark => {
                    // An event is late once, for however many rules.
                    let is_new = !late_ones.contains(&found.digest);
                    if is_new && self.detector.is_correlated(&found) {
                        late_ones.push(found.digest);
                        self.counts.late += 1;
                        let late = Late {
                            published,
                            watermark,
                            event_id: found.event_id().map(str::to_owned),
                            event_digest: found.digest,
                        };
                        sink.late(&late).map_err(RunError::Sink)?;
                    }
                    let findings = self.windows.alone(self.detector, found);
                    self.tell(findings, sink)?;
                }
                (Some(_), _) => self.counts.evicted += u64::from(self.waiting.push(found)),
                (None, _) => {
                    let findings = self.windows.advance(self.detector, found);
                    self.tell(findings, sink)?;
                }
            }
        }
        Ok(())
    }

    /// Shows the windows everything up to the watermark.
    fn advance(&mut self, watermark: Time, sink: &mut dyn LiveSink) -> Result<(), RunError> {
        let after = self.events();
        let advance = Advance { after, watermark };
        if self.settings.evidence.is_some() {
            let mut evidence = Evidence::default();
            evidence.advance(advance);
            sink.evidence(evidence).map_err(RunError::Sink)?;
        }
        sink.advanced(advance).map_err(RunError::Sink)?;
        self.copies.forget(watermark);
        for found in self.waiting.until(watermark) {
            let findings = self.windows.advance(self.detector, found);
            self.tell(findings, sink)?;
        }
        let findings = self.windows.pass(self.detector, watermark);
        self.tell(findings, sink)
    }

    fn tell(&mut self, findings: Vec<Finding>, sink: &mut dyn LiveSink) -> Result<(), RunError> {
        self.counts.scripts.merge(self.windows.take_failures());
        for mut finding in findings {
            self.detector.enrich(&mut finding, &mut self.counts.scripts);
            sink.finding(finding).map_err(RunError::Sink)?;
        }
        Ok(())
    }

    fn reject(&self, rejected: &Rejected, sink: &mut dyn LiveSink) -> Result<(), RunError> {
        if self.settings.strict {
            return Err(RunError::rejected(rejected));
        }
        sink.reject(rejected).map_err(RunError::Sink)
    }
}

/// Matches that the watermark has not reached, in their order.
#[derive(Default)]
struct Waiting {
    matches: BTreeMap<(Option<Time>, Digest, u32), Match>,
    bytes: usize,
}

/// So many bytes of matches wait at the most; then those furthest ahead are let go.
const MOST_WAITING: usize = 64 << 20;

impl Waiting {
    /// Takes a match and says whether another had to go for it.
    fn push(&mut self, found: Match) -> bool {
        self.bytes += found.size();
        self.matches.insert(found.order(), found);
        if self.bytes <= MOST_WAITING {
            return false;
        }
        let furthest = self.matches.pop_last();
        self.bytes -= furthest.map_or(0, |(_, found)| found.size());
        true
    }

    /// Those up to the watermark.
    fn until(&mut self, watermark: Time) -> Vec<Match> {
        let later =
            self.matches
                .split_off(&(Some(watermark.plus(Nanos(1))), Digest::of_bytes([0; 32]), 0));
        let due = std::mem::replace(&mut self.matches, later);
        self.give(due)
    }

    fn give(&mut self, due: BTreeMap<(Option<Time>, Digest, u32), Match>) -> Vec<Match> {
        let due: Vec<Match> = due.into_values().collect();
        self.bytes -= due.iter().map(Match::size).sum::<usize>();
        due
    }
}

/// The matched events of the last 24 hours, so that a second copy of one counts once.
#[derive(Default)]
struct Copies {
    known: HashSet<Digest>,
    by_age: VecDeque<(Time, Digest)>,
}

/// The age of what came when there was no watermark yet.
const BEFORE: Time = Time(i64::MIN);

/// So many are known at the most; then the oldest is forgotten.
const MOST_KNOWN: usize = 1 << 20;

impl Copies {
    fn has(&self, digest: &Digest) -> bool {
        self.known.contains(digest)
    }

    /// An event came when the watermark was there.
    fn add(&mut self, digest: Digest, mark: Time) {
        if !self.known.insert(digest) {
            return;
        }
        self.by_age.push_back((mark, digest));
        if self.by_age.len() > MOST_KNOWN {
            self.drop_oldest();
        }
    }

    fn save(&self, saving: &mut Saving<'_>) {
        saving.each(self.by_age.iter(), |saving, (time, digest)| {
            saving.time(*time);
            saving.digest(*digest);
        });
    }

    fn restore(saved: &mut Restoring<'_>) -> Option<Self> {
        let known = |saved: &mut Restoring<'_>| Some((saved.time()?, saved.digest()?));
        let by_age: Vec<(Time, Digest)> = saved.each(known)?;
        let mut copies = Self::default();
        for (time, digest) in by_age {
            copies.add(digest, time);
        }
        Some(copies)
    }

    /// Forgets what came a day before.
    fn forget(&mut self, mark: Time) {
        let of_before = self
            .by_age
            .iter_mut()
            .take_while(|(time, _)| *time == BEFORE);
        of_before.for_each(|(time, _)| *time = mark);
        let edge = mark.minus(Nanos::DAY);
        while self.by_age.front().is_some_and(|(time, _)| *time <= edge) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((_, digest)) = self.by_age.pop_front() {
            self.known.remove(&digest);
        }
    }
}
