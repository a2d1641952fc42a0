//! The state of windows as bytes, and back.
//!
//! ```text
//! magic (8) · version (1) · SHA-256 of the rest (32)
//!   what each field id means · the rule of each detection · the events, each once · everything else
//! ```
//!
//! An event is packed once and named by its number, so that windows and findings
//! share it again. Ids of fields and places of rules are those of the detector
//! that packed them; what comes back has those of the detector that reads. A
//! rule gets its state back if its logic digest is the same; others begin anew.

use std::collections::HashMap;

use uuid::Uuid;

use crate::detect::capture::{CaptureId, Meaning};
use crate::detect::packed::{Unpacked, pack_bytes, pack_number, pack_text};
use crate::detect::seen::{Member, Seen};
use crate::detect::{Consumer, Detector, Match};
use crate::event::{Digest, FieldPath, Time};

/// What state begins with.
const MAGIC: &[u8; 8] = b"rulectlS";

/// How it is written from there on.
const VERSION: u8 = 4;

/// No count is so large that it could overflow.
const MOST: u64 = 1 << 53;

/// Why bytes are no state that can be restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// They are something else.
    #[error("it is not a state that rulectl saved")]
    Other,
    /// Another version wrote them.
    #[error("it is a state of version {0}, and this program reads version {VERSION}")]
    Version(u8),
    /// They are not what was written.
    #[error("it is damaged: its content does not have the digest that it names")]
    Damaged,
    /// They have the right digest, and make no sense.
    #[error("it is damaged: its content makes no sense")]
    Senseless,
}

/// What became of the state of each rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// The rules that keep windows, as a person calls them.
    pub rules: Vec<(String, Fate)>,
}

/// What became of the state of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes on.
    Kept,
    /// The rule begins anew, since it does something else now; so many open findings were lost.
    Changed(u64),
    /// The rule begins anew, since other rules ask other things of it; so many open findings were lost.
    Rewired(u64),
    /// The rule is new.
    New,
    /// The rule is gone, and so many open findings with it.
    Gone(u64),
}

/// Packs state.
pub struct Saving<'d> {
    pub(super) detector: &'d Detector,
    /// The generation under which findings open.
    pub(super) generation: u64,
    body: Vec<u8>,
    events: Vec<Seen>,
    /// The numbers of events by where they are in memory.
    numbers: HashMap<usize, u64>,
}

impl<'d> Saving<'d> {
    /// Nothing is packed yet.
    #[must_use]
    pub fn new(detector: &'d Detector) -> Self {
        Self {
            detector,
            generation: 0,
            body: Vec::new(),
            events: Vec::new(),
            numbers: HashMap::new(),
        }
    }

    /// All of it.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        let mut rest = Vec::new();
        let meanings: Vec<_> = self.detector.captures.meanings().collect();
        pack_number(&mut rest, meanings.len() as u64);
        for (_, meaning) in meanings {
            pack_meaning(&mut rest, meaning);
        }
        pack_number(&mut rest, self.detector.matchers.len() as u64);
        for matcher in &self.detector.matchers {
            rest.extend_from_slice(matcher.rule.as_bytes());
            rest.extend_from_slice(matcher.logic.as_bytes());
        }
        pack_number(&mut rest, self.events.len() as u64);
        for event in &self.events {
            pack_bytes(&mut rest, event.as_bytes());
        }
        rest.extend_from_slice(&self.body);
        let mut packed = Vec::with_capacity(MAGIC.len() + 33 + rest.len());
        packed.extend_from_slice(MAGIC);
        packed.push(VERSION);
        packed.extend_from_slice(Digest::of(&rest).as_bytes());
        packed.extend_from_slice(&rest);
        packed
    }

    /// Packs a number.
    pub fn number(&mut self, number: u64) {
        pack_number(&mut self.body, number);
    }

    /// Packs yes or no.
    pub fn flag(&mut self, flag: bool) {
        self.body.push(u8::from(flag));
    }

    /// Packs a text.
    pub fn text(&mut self, text: &str) {
        pack_text(&mut self.body, text);
    }

    /// Packs a digest.
    pub fn digest(&mut self, digest: Digest) {
        self.body.extend_from_slice(digest.as_bytes());
    }

    /// Packs a time.
    pub fn time(&mut self, time: Time) {
        self.body.extend_from_slice(&time.0.to_le_bytes());
    }

    /// Packs what may be there.
    pub fn option<T>(&mut self, value: Option<T>, pack: impl FnOnce(&mut Self, T)) {
        self.flag(value.is_some());
        if let Some(value) = value {
            pack(self, value);
        }
    }

    /// Packs each of some, and how many there are.
    pub fn each<T>(
        &mut self,
        values: impl ExactSizeIterator<Item = T>,
        mut pack: impl FnMut(&mut Self, T),
    ) {
        self.number(values.len() as u64);
        values.for_each(|value| pack(self, value));
    }

    /// Packs a match.
    pub fn found(&mut self, found: &Match) {
        let mut packed = Vec::new();
        found.pack(&mut packed);
        pack_bytes(&mut self.body, &packed);
        self.number(found.came);
    }

    /// Packs numbers with names, and times.
    pub fn counts(&mut self, counts: &impl serde::Serialize) {
        // A record of numbers has a JSON text.
        self.text(&serde_json::to_string(counts).unwrap_or_default());
    }

    /// Packs an id.
    pub fn uuid(&mut self, id: Uuid) {
        self.body.extend_from_slice(id.as_bytes());
    }

    pub(super) fn float(&mut self, number: f64) {
        self.body.extend_from_slice(&number.to_bits().to_le_bytes());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        pack_bytes(&mut self.body, bytes);
    }

    /// Packs an event that others may share.
    pub(super) fn seen(&mut self, seen: &Seen) {
        let number = self.events.len() as u64;
        let number = *self.numbers.entry(seen.place()).or_insert_with(|| {
            self.events.push(seen.clone());
            number
        });
        self.number(number);
    }

    pub(super) fn member(&mut self, member: &Member) {
        self.time(member.time);
        self.seen(&member.seen);
    }

    /// Packs something so that it can be passed over.
    pub(super) fn section(&mut self, pack: impl FnOnce(&mut Self)) {
        let outer = std::mem::take(&mut self.body);
        pack(self);
        let section = std::mem::replace(&mut self.body, outer);
        self.bytes(&section);
    }
}

fn pack_meaning(packed: &mut Vec<u8>, meaning: &Meaning) {
    match meaning {
        Meaning::Field(path) => {
            packed.push(0);
            pack_text(packed, path.as_str());
        }
        Meaning::Alias(rule, name) => {
            packed.push(1);
            packed.extend_from_slice(rule.as_bytes());
            pack_text(packed, name.as_str());
        }
    }
}

/// Takes state out of bytes, piece by piece as it was packed. A piece that is
/// something else is `None`.
pub struct Restoring<'a> {
    pub(super) detector: &'a Detector,
    /// The generation that goes on, if somebody says so; else the one that was saved.
    pub(super) generation: u64,
    rest: &'a [u8],
    events: Vec<Seen>,
    ids: Ids,
    /// Where each detection stands now, if it does the same.
    matchers: Vec<Option<u32>>,
}

/// What field ids are now.
struct Ids(Vec<Option<CaptureId>>);

impl Ids {
    fn now(&self, id: u64) -> Option<CaptureId> {
        self.0.get(usize::try_from(id).ok()?).copied().flatten()
    }
}

impl<'a> Restoring<'a> {
    /// Looks at the frame of what was packed, and at the events.
    ///
    /// # Errors
    ///
    /// Where the bytes are something else, or are damaged.
    pub fn new(detector: &'a Detector, packed: &'a [u8]) -> Result<Self, StateError> {
        let rest = opened(packed)?;
        let mut restoring = Self {
            detector,
            generation: 0,
            rest,
            events: Vec::new(),
            ids: Ids(Vec::new()),
            matchers: Vec::new(),
        };
        restoring.tables().ok_or(StateError::Senseless)?;
        Ok(restoring)
    }

    /// What is restored goes on under this generation.
    pub fn under(&mut self, generation: u64) {
        self.generation = generation;
    }

    /// Nothing is left.
    ///
    /// # Errors
    ///
    /// Where something is.
    pub fn end(&self) -> Result<(), StateError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(StateError::Senseless)
        }
    }

    fn tables(&mut self) -> Option<()> {
        let known: HashMap<&Meaning, CaptureId> = self
            .detector
            .captures
            .meanings()
            .map(|(id, meaning)| (meaning, id))
            .collect();
        for _ in 0..self.number()? {
            let meaning = self.meaning()?;
            self.ids.0.push(known.get(&meaning).copied());
        }
        let matchers = (0..).zip(&self.detector.matchers);
        let matchers: HashMap<(Uuid, Digest), u32> = matchers
            .map(|(at, matcher)| ((matcher.rule, matcher.logic), at))
            .collect();
        for _ in 0..self.number()? {
            let matcher = (self.uuid()?, self.digest()?);
            self.matchers.push(matchers.get(&matcher).copied());
        }
        for _ in 0..self.number()? {
            let bytes = self.rest.bytes()?;
            let seen = Seen::restored(bytes, |id| self.ids.now(id))?;
            self.events.push(seen);
        }
        Some(())
    }

    fn meaning(&mut self) -> Option<Meaning> {
        Some(match self.rest.take(1)? {
            [0] => Meaning::Field(FieldPath::new(self.text()?)),
            [1] => Meaning::Alias(self.uuid()?, FieldPath::new(self.text()?)),
            _ => return None,
        })
    }

    /// A number.
    pub fn number(&mut self) -> Option<u64> {
        self.rest.number()
    }

    /// A number to which others are added.
    pub fn count(&mut self) -> Option<u64> {
        self.number().filter(|number| *number <= MOST)
    }

    /// Yes or no.
    pub fn flag(&mut self) -> Option<bool> {
        match self.rest.take(1)? {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }

    /// A text.
    pub fn text(&mut self) -> Option<&'a str> {
        self.rest.text()
    }

    /// A digest.
    pub fn digest(&mut self) -> Option<Digest> {
        Some(Digest::of_bytes(*self.rest.take(32)?.first_chunk()?))
    }

    /// A time.
    pub fn time(&mut self) -> Option<Time> {
        let bytes = *self.rest.take(8)?.first_chunk()?;
        Some(Time(i64::from_le_bytes(bytes)))
    }

    /// What may be there.
    pub fn option<T>(&mut self, unpack: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.flag()? {
            unpack(self).map(Some)
        } else {
            Some(None)
        }
    }

    /// Each of some. However many are said to be there, no room is made for more than are.
    pub fn each<T, C: Default + Extend<T>>(
        &mut self,
        mut unpack: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<C> {
        let mut values = C::default();
        for _ in 0..self.number()? {
            let before = self.rest.len();
            let value = unpack(self)?;
            if self.rest.len() == before {
                return None; // nothing of a size could be there any number of times
            }
            values.extend([value]);
        }
        Some(values)
    }

    /// A match; the inner `None` is one of a rule that is not there any more, or does something else.
    pub fn found(&mut self) -> Option<Option<Match>> {
        let mut found = Match::unpack(self.rest.bytes()?)?;
        found.came = self.count()?;
        let captured = found.values().renumbered(|id| self.ids.now(id))?;
        let matcher = self.matchers.get(found.matcher as usize)?;
        Some(matcher.map(|matcher| {
            found.matcher = matcher;
            found.captured = captured;
            found
        }))
    }

    /// Numbers with names, none of which could overflow.
    pub fn counts<T: serde::de::DeserializeOwned>(&mut self) -> Option<T> {
        let counts: serde_json::Value = serde_json::from_str(self.text()?).ok()?;
        let are_small = is_small(&counts);
        are_small.then(|| serde_json::from_value(counts).ok())?
    }

    /// An id.
    pub fn uuid(&mut self) -> Option<Uuid> {
        Some(Uuid::from_bytes(*self.rest.take(16)?.first_chunk()?))
    }

    pub(super) fn float(&mut self) -> Option<f64> {
        let bytes = *self.rest.take(8)?.first_chunk()?;
        Some(f64::from_bits(u64::from_le_bytes(bytes)))
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        self.rest.bytes()
    }

    pub(super) fn seen(&mut self) -> Option<Seen> {
        let number = usize::try_from(self.number()?).ok()?;
        self.events.get(number).cloned()
    }

    pub(super) fn member(&mut self) -> Option<Member> {
        Some(Member {
            time: self.time()?,
            seen: self.seen()?,
        })
    }

    /// Something that was packed as a section, all of it.
    pub(super) fn section<T>(
        &mut self,
        section: &'a [u8],
        unpack: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        let outer = std::mem::replace(&mut self.rest, section);
        let unpacked = unpack(self);
        let left = std::mem::replace(&mut self.rest, outer);
        unpacked.filter(|_| left.is_empty())
    }
}

/// What is packed behind the frame.
fn opened(packed: &[u8]) -> Result<&[u8], StateError> {
    let mut rest = packed;
    if rest.take(MAGIC.len()) != Some(MAGIC) {
        return Err(StateError::Other);
    }
    match rest.take(1) {
        Some([VERSION]) => {}
        Some([version]) => return Err(StateError::Version(*version)),
        _ => return Err(StateError::Damaged),
    }
    match rest.take(32) {
        Some(digest) if digest == Digest::of(rest).as_bytes() => Ok(rest),
        _ => Err(StateError::Damaged),
    }
}

fn is_small(counts: &serde_json::Value) -> bool {
    match counts {
        serde_json::Value::Number(number) => number.as_u64().is_some_and(|n| n <= MOST),
        serde_json::Value::Object(entries) => entries.values().all(is_small),
        _ => true,
    }
}

impl Consumer {
    /// What it must have in common with a consumer whose state it takes.
    pub(super) fn pack_key(&self, saving: &mut Saving<'_>) {
        saving.uuid(self.reporter.rule);
        saving.digest(self.logic);
        saving.flag(self.reports);
    }

    /// What a person calls its rule.
    pub(super) fn label(&self) -> &str {
        let reporter = &self.reporter;
        reporter.name.as_deref().unwrap_or(&reporter.title)
    }
}

#[cfg(test)]
mod tests;
