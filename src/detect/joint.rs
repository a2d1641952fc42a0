//! Several detectors over one scan: what their rules share is looked for once.
//!
//! A match of the scan is told to each detector under the numbers that its own scan would have
//! given, so that its windows cannot tell the difference. Two rules of one meaning give the same
//! findings, whatever else stands in their policies: the windows of the first are those of all.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;

use uuid::Uuid;

use crate::detect::capture::{CaptureId, Captures};
use crate::detect::engine::Engine;
use crate::detect::enrich::Enriched;
use crate::detect::failures::Failures;
use crate::detect::finding::{Finding, OrderKey};
use crate::detect::packed::{pack_bytes, pack_number, pack_text};
use crate::detect::script::Scripted;
use crate::detect::search::Detection;
use crate::detect::supplied::Notes;
use crate::detect::windows::{Closed, Ending, Tally, Windows};
use crate::detect::{Detector, Logic, Match, Matcher, Outer, Rule};
use crate::event::{Digest, FieldPath, Nanos, Time};
use crate::json::Wanted;

/// A detector with the rules that it was made of.
#[derive(Clone, Copy, Debug)]
pub struct Joined<'d> {
    /// The detector.
    pub detector: &'d Detector,
    /// Its rules by id.
    pub rules: &'d BTreeMap<Uuid, Rule>,
    /// What scripts may ask of, beside events: two detectors with the same lists have the same.
    pub outside: Digest,
}

/// Several detectors that share one scan.
#[derive(Debug)]
pub struct Joint<'d> {
    /// One for each way of reading texts inside of events; each knows all matchers by the same number.
    scanners: Vec<Detector>,
    sides: Vec<Side<'d>>,
    /// Which sides have rules of a meaning.
    holders: HashMap<Digest, Vec<usize>>,
}

/// One of the detectors.
#[derive(Debug)]
struct Side<'d> {
    detector: &'d Detector,
    /// What matches are called here, by their number in the scan: of two rules that look for the
    /// same, each has its own.
    told: HashMap<u32, Vec<Told>>,
    /// The numbers in the scan of its own matchers.
    numbers: Vec<Option<u32>>,
    /// What the findings of each rule are made of.
    meanings: HashMap<Uuid, Digest>,
    /// The rules whose findings are taken from here.
    taken: HashMap<Uuid, Digest>,
    /// The consumers whose findings others give.
    left_out: HashSet<usize>,
}

/// What a match is called in a detector.
#[derive(Debug)]
struct Told {
    matcher: usize,
    /// The ids of its values, each at its number in the scan.
    ids: Vec<Option<CaptureId>>,
    /// The id, here and there, under which the names of supplied fields are carried on.
    supplied: Option<(CaptureId, CaptureId)>,
    reports: bool,
}

impl Told {
    /// The id of the value that has this number in the scan.
    fn own(&self, number: u64) -> Option<CaptureId> {
        *self.ids.get(usize::try_from(number).ok()?)?
    }
}

/// A matcher of the scan, before it is made.
struct Wish<'d> {
    key: Digest,
    rule: &'d Rule,
    detection: &'d Detection,
    captured: Vec<CaptureId>,
    script_key: Option<CaptureId>,
    reports: bool,
    scanner: usize,
}

/// How much of the events a rule has met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// The detections that it rests on, with how many events satisfied each.
    pub detections: Vec<(Uuid, u64)>,
    /// The earliest of these events.
    pub first: Option<Time>,
    /// Its time span and those of the correlations that it rests on, one after the other.
    pub span: Nanos,
}

impl<'d> Joint<'d> {
    /// Arranges one scan for these.
    #[must_use]
    pub fn new(joined: &[Joined<'d>]) -> Self {
        let mut ways: Vec<&Detector> = Vec::new();
        let mut captures = Captures::default();
        let mut wishes: Vec<Wish<'d>> = Vec::new();
        let mut known: HashMap<(Digest, usize), usize> = HashMap::new();
        let mut sides: Vec<Side<'d>> = Vec::new();
        let mut holders: HashMap<Digest, Vec<usize>> = HashMap::new();
        for one in joined {
            let reads_alike = |way: &&Detector| way.inside.agree_with(&one.detector.inside);
            let scanner = ways.iter().position(reads_alike).unwrap_or(ways.len());
            if scanner == ways.len() {
                ways.push(one.detector);
            }
            let mut numbers = Vec::new();
            for matcher in &one.detector.matchers {
                let wish = one.wish(matcher, scanner, &mut captures);
                numbers.push(wish.map(|wish| {
                    let new = wishes.len();
                    let at = *known.entry((wish.key, scanner)).or_insert(new);
                    match wishes.get_mut(at) {
                        Some(same) => same.join(wish),
                        None => wishes.push(wish),
                    }
                    u32::try_from(at).unwrap_or(u32::MAX)
                }));
            }
            sides.push(Side::new(one, numbers, sides.len(), &mut holders));
        }
        let mut notes = joined.iter().filter_map(|one| one.detector.notes.as_ref());
        let supplied = notes.next().map(Notes::fields).unwrap_or_default();
        let scanners = arrange(&ways, &wishes, &captures, &supplied);
        let noted = scanners.iter().find_map(|scanner| scanner.notes.as_ref());
        let noted = noted.map(Notes::id);
        for (side, one) in sides.iter_mut().zip(joined) {
            side.tell(one.detector, &mut captures, noted);
        }
        Self {
            scanners,
            sides,
            holders,
        }
    }

    /// What scans events: each for some of the matches.
    #[must_use]
    pub fn scanners(&self) -> &[Detector] {
        &self.scanners
    }

    /// What the findings of a rule of a detector are made of: where two agree, so do the findings.
    #[must_use]
    pub fn meaning(&self, side: usize, rule: Uuid) -> Option<Digest> {
        self.sides.get(side)?.meanings.get(&rule).copied()
    }

    /// The windows of all of them, with nothing in them.
    #[must_use]
    pub fn windows(&self) -> JointWindows<'_, 'd> {
        let windows = |side: &Side<'d>| Windows::without(side.detector, side.left_out.clone());
        JointWindows {
            joint: self,
            windows: self.sides.iter().map(windows).collect(),
            event: Vec::new(),
            met: HashMap::new(),
            failures: Failures::default(),
            endings: Vec::new(),
        }
    }
}

impl<'d> Joined<'d> {
    /// What the scan is asked to look for in the place of a matcher; nothing where nobody wants its matches.
    fn wish(&self, matcher: &Matcher, scanner: usize, captures: &mut Captures) -> Option<Wish<'d>> {
        let rule = self.rules.get(&matcher.rule)?;
        let Logic::Detection(detection) = &rule.logic else {
            return None;
        };
        if matcher.consumers.is_empty() {
            return None;
        }
        let own = &self.detector.captures;
        let mut id = |id: CaptureId| Some(captures.id_of(own.meaning(id)?));
        let captured = matcher.captured.iter().filter_map(|own| id(*own)).collect();
        let script_key = matcher.script.as_ref().and_then(Scripted::key_id);
        Some(Wish {
            key: scan_key(rule, detection, self.outside),
            rule,
            detection,
            captured,
            script_key: script_key.and_then(id),
            reports: matcher.reports,
            scanner,
        })
    }

    /// What each consumer is made of: findings of consumers with one meaning are the same.
    fn meanings(&self) -> Vec<Digest> {
        let mut fed: BTreeMap<usize, Vec<Digest>> = BTreeMap::new();
        let feed = |fed: &mut BTreeMap<usize, Vec<Digest>>, outers: &[Outer], by: Digest| {
            for outer in outers {
                fed.entry(outer.consumer).or_default().push(by);
            }
        };
        for (at, matcher) in self.detector.matchers.iter().enumerate() {
            let rule = self.rules.get(&matcher.rule);
            if let Some((rule, Logic::Detection(detection))) = rule.map(|rule| (rule, &rule.logic))
            {
                let mut packed = Vec::new();
                let key = scan_key(rule, detection, self.outside);
                pack_bytes(&mut packed, key.as_bytes());
                // A finding tells which fields were supplied of those that anybody reads here.
                let notes = self.detector.notes.iter();
                let names = notes.flat_map(|notes| notes.names(at));
                names.for_each(|name| pack_text(&mut packed, name));
                feed(&mut fed, &matcher.consumers, Digest::of(&packed));
            }
        }
        let mut meanings = Vec::new();
        for (at, consumer) in self.detector.consumers.iter().enumerate() {
            let mut by = fed.remove(&at).unwrap_or_default();
            by.sort_unstable();
            let mut packed = Vec::new();
            pack_bytes(&mut packed, consumer.logic.as_bytes());
            pack_number(&mut packed, u64::from(consumer.reports));
            for fed_by in by {
                pack_bytes(&mut packed, fed_by.as_bytes());
            }
            if let Some(rule) = self.rules.get(&consumer.reporter.rule) {
                pack_told(&mut packed, rule, self.outside);
            }
            let meaning = Digest::of(&packed);
            feed(&mut fed, &consumer.outer, meaning);
            meanings.push(meaning);
        }
        meanings
    }
}

/// What decides which events a detection gives as matches, and what it says of them.
fn scan_key(rule: &Rule, detection: &Detection, outside: Digest) -> Digest {
    let mut packed = Vec::new();
    pack_bytes(&mut packed, detection.written().as_bytes());
    let (_, _, filters) = detection.parts();
    pack_number(&mut packed, filters.len() as u64);
    for (title, filter) in filters {
        pack_text(&mut packed, title);
        pack_bytes(&mut packed, filter.written().as_bytes());
    }
    pack_number(&mut packed, rule.inside.len() as u64);
    for (path, notation) in &rule.inside {
        pack_text(&mut packed, path.as_str());
        pack_text(&mut packed, notation);
    }
    pack_scripts(&mut packed, rule, outside);
    Digest::of(&packed)
}

/// The scripts of a rule, and what they may ask of. Their failures are told by rule.
fn pack_scripts(packed: &mut Vec<u8>, rule: &Rule, outside: Digest) {
    pack_number(packed, rule.scripts.len() as u64);
    for (function, script) in &rule.scripts {
        pack_text(packed, function);
        pack_bytes(packed, script.as_bytes());
    }
    if rule.names_scripts() {
        pack_bytes(packed, outside.as_bytes());
        pack_bytes(packed, rule.id.as_bytes());
        pack_text(packed, rule.label());
    }
}

/// What the findings of a rule say of it.
fn pack_told(packed: &mut Vec<u8>, rule: &Rule, outside: Digest) {
    pack_bytes(packed, rule.id.as_bytes());
    let settings = &rule.settings;
    let said = (
        (
            &rule.name,
            &rule.title,
            &rule.author,
            rule.level,
            &rule.tags,
        ),
        (&settings.finding_type, &settings.summary),
    );
    pack_text(packed, &format!("{said:?}"));
    pack_scripts(packed, rule, outside);
}

impl Wish<'_> {
    /// Takes on what another one wants of the same matches.
    fn join(&mut self, other: Self) {
        self.captured.extend(other.captured);
        self.reports |= other.reports;
    }

    /// The matcher, and nobody's where another scanner has it.
    fn matcher(&self, scanner: usize) -> Matcher {
        let is_here = self.scanner == scanner;
        let mut captured = self.captured.clone();
        captured.sort_unstable();
        captured.dedup();
        let wanting = Outer {
            consumer: 0,
            rules: 1,
            renamed: Vec::new(),
            said: Vec::new(),
        };
        Matcher {
            rule: self.rule.id,
            logic: self.key,
            captured: if is_here { captured } else { Vec::new() },
            consumers: if is_here { vec![wanting] } else { Vec::new() },
            reports: self.reports,
            heading: None,
            script: Scripted::new(self.rule, self.script_key).filter(|_| is_here),
        }
    }
}

/// A scanner for each way of reading.
fn arrange(
    ways: &[&Detector],
    wishes: &[Wish<'_>],
    captures: &Captures,
    supplied: &[FieldPath],
) -> Vec<Detector> {
    let scanner = |(number, way): (usize, &&Detector)| {
        let mut wanted = Wanted::default();
        let mut captures = captures.clone();
        captures.want(&mut wanted);
        let matchers = wishes.iter().map(|wish| wish.matcher(number));
        let mut matchers: Vec<Matcher> = matchers.collect();
        for matcher in &mut matchers {
            matcher
                .script
                .iter_mut()
                .for_each(|script| script.want(&mut wanted));
        }
        let here = wishes
            .iter()
            .enumerate()
            .filter(|(_, wish)| wish.scanner == number);
        let detections = here.map(|(at, wish)| (at, wish.detection));
        let engine = Engine::new(detections, &mut wanted);
        let mut detector = Detector {
            engine,
            wanted,
            captures,
            matchers,
            consumers: Vec::new(),
            enriched: Enriched::default(),
            notes: None,
            inside: Default::default(),
        };
        detector.read_inside(&way.inside);
        detector.note_supplied(supplied);
        detector
    };
    ways.iter().enumerate().map(scanner).collect()
}

impl<'d> Side<'d> {
    /// A detector of which what others hold already is left out.
    fn new(
        one: &Joined<'d>,
        numbers: Vec<Option<u32>>,
        at: usize,
        holders: &mut HashMap<Digest, Vec<usize>>,
    ) -> Self {
        let of_consumers = one.meanings();
        let mut meanings = HashMap::new();
        let consumers = &one.detector.consumers;
        let mut taken = HashMap::new();
        let mut needed = HashSet::new();
        for (number, (consumer, meaning)) in consumers.iter().zip(&of_consumers).enumerate().rev() {
            if consumer.reports {
                meanings.insert(consumer.reporter.rule, *meaning);
                let held_by = holders.entry(*meaning).or_default();
                if held_by.is_empty() {
                    taken.insert(consumer.reporter.rule, *meaning);
                    needed.insert(number);
                }
                held_by.push(at);
            }
            if consumer
                .outer
                .iter()
                .any(|outer| needed.contains(&outer.consumer))
            {
                needed.insert(number);
            }
        }
        Self {
            detector: one.detector,
            told: HashMap::new(),
            numbers,
            meanings,
            taken,
            left_out: (0..consumers.len())
                .filter(|at| !needed.contains(at))
                .collect(),
        }
    }

    /// Notes what matches are called here that somebody here wants.
    fn tell(&mut self, own: &Detector, captures: &mut Captures, noted: Option<CaptureId>) {
        let matchers = own.matchers.iter().enumerate().zip(&self.numbers);
        for ((at, matcher), number) in matchers {
            let is_wanted = |outer: &Outer| !self.left_out.contains(&outer.consumer);
            let Some(number) = number.filter(|_| matcher.consumers.iter().any(is_wanted)) else {
                continue;
            };
            let key = matcher.script.as_ref().and_then(Scripted::key_id);
            let own_ids = matcher.captured.iter().copied().chain(key);
            let mut ids = Vec::new();
            for id in own_ids {
                let there = own.captures.meaning(id).map(|field| captures.id_of(field));
                let there = there.and_then(|there| usize::try_from(there.number()).ok());
                if let Some(there) = there {
                    ids.resize(ids.len().max(there + 1), None);
                    if let Some(own) = ids.get_mut(there) {
                        *own = Some(id);
                    }
                }
            }
            let told = Told {
                matcher: at,
                ids,
                supplied: noted.zip(own.notes.as_ref().map(Notes::id)),
                reports: matcher.reports,
            };
            self.told.entry(number).or_default().push(told);
        }
    }

    /// A match of the scan as the detector's own; none where it is not wanted here.
    fn own<'m>(&'m self, found: &'m Match) -> impl Iterator<Item = Match> + 'm {
        let told = self.told.get(&found.matcher).into_iter().flatten();
        told.filter_map(|told| self.own_as(told, found))
    }

    fn own_as(&self, told: &Told, found: &Match) -> Option<Match> {
        let renumbered = found.values().renumbered(|id| told.own(id))?;
        let captured = match (told.supplied, &self.detector.notes) {
            (Some((there, here)), Some(notes)) => {
                let names = found.values().all(there);
                let names =
                    names.filter(|name| notes.names(told.matcher).any(|read| read == *name));
                let said: Vec<_> = names.map(|name| (here, name.to_owned())).collect();
                renumbered.values().renamed(&[], &said)
            }
            _ => renumbered,
        };
        Some(Match {
            time: found.time,
            digest: found.digest,
            matcher: u32::try_from(told.matcher).unwrap_or(u32::MAX),
            came: found.came,
            uuid: found.uuid.clone(),
            captured,
            reasons: if told.reports {
                found.reasons.clone()
            } else {
                Vec::new()
            },
        })
    }
}

/// The windows of several detectors over one scan.
pub struct JointWindows<'j, 'd> {
    joint: &'j Joint<'d>,
    windows: Vec<Windows>,
    /// The matches of one event, until the next one comes.
    event: Vec<Match>,
    /// How many events each matcher of the scan met, and the earliest of them.
    met: HashMap<u32, (u64, Option<Time>)>,
    failures: Failures,
    /// Of each detector, at the end: what is left to close, and which finding is next.
    endings: Vec<(Ending, Option<OrderKey>)>,
}

impl JointWindows<'_, '_> {
    /// Takes the next match in the order of [`Match::order`]; `each` takes the findings that this
    /// completes, each with the detectors whose finding it is.
    ///
    /// # Errors
    ///
    /// The first of `each`.
    pub fn advance(
        &mut self,
        found: Match,
        each: &mut dyn FnMut(&[usize], Finding) -> io::Result<()>,
    ) -> io::Result<()> {
        let last = self.event.last();
        if last.is_some_and(|last| (last.time, last.digest) != (found.time, found.digest)) {
            self.step(each)?;
        }
        self.event.push(found);
        Ok(())
    }

    /// The end of the input, whose latest event was at `last`: gives what is ready. The rest is
    /// given by [`Self::finish_next`].
    ///
    /// # Errors
    ///
    /// The first of `each`.
    pub fn finish(
        &mut self,
        last: Option<Time>,
        each: &mut dyn FnMut(&[usize], Finding) -> io::Result<()>,
    ) -> io::Result<()> {
        self.step(each)?;
        for (side, windows) in self.joint.sides.iter().zip(&mut self.windows) {
            let failures = &mut self.failures;
            let give = |finding| give(self.joint, side, finding, failures, each);
            let mut ending = windows.end(side.detector, last, give)?;
            let next = windows.next_at_end(side.detector, &mut ending).cloned();
            self.endings.push((ending, next));
        }
        Ok(())
    }

    /// Gives the first finding, of all detectors, of what is left at the end; whether there was one.
    ///
    /// # Errors
    ///
    /// That of `each`.
    pub fn finish_next(
        &mut self,
        each: &mut dyn FnMut(&[usize], Finding) -> io::Result<()>,
    ) -> io::Result<bool> {
        let sides = self.joint.sides.iter().zip(&mut self.windows);
        let ends = sides.zip(&mut self.endings);
        let next = ends.filter(|(_, (_, next))| next.is_some());
        let first = next.min_by(|(_, (_, one)), (_, (_, other))| one.cmp(other));
        let Some(((side, windows), (ending, next))) = first else {
            return Ok(false);
        };
        let finding = windows.take_at_end(side.detector);
        *next = windows.next_at_end(side.detector, ending).cloned();
        let failures = &mut self.failures;
        let mut finding = finding.into_iter();
        finding.try_for_each(|finding| give(self.joint, side, finding, failures, each))?;
        Ok(true)
    }

    /// What was left out of the windows of each detector.
    #[must_use]
    pub fn tallies(&self) -> Vec<Tally> {
        self.windows.iter().map(Windows::tally).collect()
    }

    /// What scripts could not answer.
    pub fn take_failures(&mut self) -> Failures {
        for windows in &mut self.windows {
            self.failures.merge(windows.take_failures());
        }
        std::mem::take(&mut self.failures)
    }

    /// How much of the events a rule of a detector has met.
    #[must_use]
    pub fn reach(&self, side: usize, rule: Uuid) -> Reach {
        let Some(side) = self.joint.sides.get(side) else {
            return Reach::default();
        };
        let consumers = &side.detector.consumers;
        let mut spans: HashMap<usize, Nanos> = HashMap::new();
        for (at, consumer) in consumers.iter().enumerate().rev() {
            let own = (consumer.reporter.rule == rule).then_some(Nanos(0));
            let outer = consumer.outer.iter();
            let outer = outer.filter_map(|outer| spans.get(&outer.consumer)).max();
            if let Some(before) = own.or(outer.copied()) {
                let span = before.0.saturating_add(consumer.timespan.0);
                spans.insert(at, Nanos(span));
            }
        }
        let mut reach = Reach {
            span: spans.values().copied().max().unwrap_or_default(),
            ..Reach::default()
        };
        for (matcher, number) in side.detector.matchers.iter().zip(&side.numbers) {
            let is_fed = |outer: &Outer| spans.contains_key(&outer.consumer);
            if matcher.rule != rule && !matcher.consumers.iter().any(is_fed) {
                continue;
            }
            let met = number.and_then(|number| self.met.get(&number));
            let (count, first) = met.copied().unwrap_or_default();
            reach.detections.push((matcher.rule, count));
            reach.first = reach.first.into_iter().chain(first).min();
        }
        reach
    }

    /// What may still come after the newest event, or at the end; nothing where the event has no time.
    #[must_use]
    pub fn to_come(&self) -> Option<ToCome<'_>> {
        let now = if self.endings.is_empty() {
            self.event.last()?.time?
        } else {
            Time(i64::MAX)
        };
        let mut come = ToCome {
            windows: self,
            since: now,
            reporters: HashMap::new(),
            closed: Closed::new(),
        };
        for (side, windows) in self.windows.iter().enumerate() {
            let Some(detector) = self.joint.sides.get(side).map(|side| side.detector) else {
                continue;
            };
            come.since = windows.looked_at(come.since);
            windows.note_closed(detector, &mut come.closed);
            for (at, consumer) in detector.consumers.iter().enumerate() {
                let reporters = come.reporters.entry(consumer.reporter.rule).or_default();
                reporters.push((side, at));
            }
        }
        Some(come)
    }

    /// Shows the event that is held to all that want it.
    fn step(
        &mut self,
        each: &mut dyn FnMut(&[usize], Finding) -> io::Result<()>,
    ) -> io::Result<()> {
        let event = std::mem::take(&mut self.event);
        for found in &event {
            let met = self.met.entry(found.matcher).or_default();
            met.0 += 1;
            met.1 = met.1.into_iter().chain(found.time).min();
        }
        for (side, windows) in self.joint.sides.iter().zip(&mut self.windows) {
            let mut own: Vec<Match> = event.iter().flat_map(|found| side.own(found)).collect();
            own.sort_by_key(|found| found.matcher);
            for found in own {
                for finding in windows.advance(side.detector, found) {
                    give(self.joint, side, finding, &mut self.failures, each)?;
                }
            }
        }
        Ok(())
    }
}

/// What may still come of several detectors.
pub struct ToCome<'w> {
    windows: &'w JointWindows<'w, 'w>,
    /// All that is still looked at is not earlier.
    since: Time,
    /// The sides and consumers of each rule.
    reporters: HashMap<Uuid, Vec<(usize, usize)>>,
    closed: Closed,
}

impl ToCome<'_> {
    /// The earliest event that a finding of one of these rules in a group may have which was not
    /// given yet. The values of the group stand in the order of the names of their fields, folded.
    #[must_use]
    pub fn reaches(&self, rules: &[Uuid], group: &[String]) -> Time {
        let mut earliest = self.since;
        for rule in rules {
            let closed = self.closed.get(&(*rule, group.to_vec())).copied();
            let reporters = self.reporters.get(rule).into_iter().flatten();
            let open = reporters.filter_map(|(side, at)| {
                let detector = self.windows.joint.sides.get(*side)?.detector;
                let windows = self.windows.windows.get(*side)?;
                windows.reaches(detector, *at, group, self.since)
            });
            earliest = open.chain(closed).fold(earliest, Time::min);
        }
        earliest
    }
}

/// Gives a finding to those whose it is, unless others give it.
fn give(
    joint: &Joint<'_>,
    side: &Side<'_>,
    mut finding: Finding,
    failures: &mut Failures,
    each: &mut dyn FnMut(&[usize], Finding) -> io::Result<()>,
) -> io::Result<()> {
    let holders = side.taken.get(&finding.rule);
    let holders = holders.and_then(|meaning| joint.holders.get(meaning));
    let Some(holders) = holders else {
        return Ok(());
    };
    side.detector.enrich(&mut finding, failures);
    each(holders, finding)
}
