//! All detections of a policy against one event: only those are looked at that
//! may match, and each test of a field is decided at most once.
//!
//! Every detection names the tests of which a matching event passes one (its
//! `needed` tests, nearly always `eventType`). The values of the fields of these
//! are tested first; what they pass calls the detections that are then asked
//! in full. A detection that asks for another field has it tested at that time.

use std::collections::{BTreeSet, HashMap};

use crate::detect::failures::Failures;
use crate::detect::memory::Memory;
use crate::detect::modifiers::{Test, TestKey};
use crate::detect::pattern::Anchor;
use crate::detect::predicate::Predicate;
use crate::detect::program::{Answers, FieldId, Interner, Program};
use crate::detect::relation::stands_in;
use crate::detect::search::Detection;
use crate::detect::values::{TestId, Values};
use crate::event::{FieldPath, fold};
use crate::json::{Fields, Scalar, Slot, Wanted};

/// The detections of a policy.
#[derive(Debug, Default)]
pub struct Engine {
    /// Each detection, and the number that its owner knows it by.
    programs: Vec<(usize, Program)>,
    fields: Vec<Field>,
    /// The fields whose values are tested at each event.
    watched: Vec<FieldId>,
    /// For each test the programs that an event calls by passing it.
    called: Vec<Vec<u32>>,
    /// The programs that are asked at each event.
    always: Vec<u32>,
}

/// A field whose values are tested.
#[derive(Debug)]
struct Field {
    /// Where its values are; `None` for all scalars of the record.
    slot: Option<Slot>,
    values: Values,
}

/// What is known of the event at hand, and of the values seen before. One a thread.
#[derive(Debug)]
pub struct Scratch {
    /// A number for the event at hand; what is marked with it is true of this event.
    event: u64,
    tested: Vec<u64>,
    passed: Vec<u64>,
    called: Vec<u64>,
    calls: Vec<u32>,
    memories: Vec<Memory>,
    spare: Vec<TestId>,
    /// What scripts could not answer.
    pub(super) failures: Failures,
}

impl Scratch {
    /// What scripts could not answer since this was asked last.
    pub fn take_failures(&mut self) -> Failures {
        std::mem::take(&mut self.failures)
    }
}

/// So many values are remembered in all, and at most so many of one field.
const REMEMBERED: usize = 1 << 16;
const REMEMBERED_OF_ONE: usize = 1 << 12;

impl Engine {
    /// Arranges detections, each with a number for it; their fields are added to those
    /// that are wanted.
    #[must_use]
    pub fn new<'d>(
        detections: impl Iterator<Item = (usize, &'d Detection)>,
        wanted: &mut Wanted,
    ) -> Self {
        let mut names = Names {
            wanted,
            fields: Vec::new(),
            by_slot: HashMap::new(),
            tests: HashMap::new(),
            whole: Vec::new(),
        };
        let program = |(at, detection)| (at, Program::new(detection, &mut names));
        let programs = detections.map(program).collect();
        let tests = names.tests.len();
        let mut engine = Self {
            programs,
            fields: names.fields,
            called: vec![Vec::new(); tests],
            ..Self::default()
        };
        for field in &mut engine.fields {
            field.values.finish();
        }
        engine.arrange(&names.whole);
        engine
    }

    /// Decides what calls each program; `whole` tells which tests are of whole texts.
    fn arrange(&mut self, whole: &[bool]) {
        let mut users = vec![0_u64; self.called.len()];
        let mut of_fields = vec![0_u64; self.fields.len()];
        for (field, test) in self
            .programs
            .iter()
            .flat_map(|(_, program)| program.tests())
        {
            add_one(&mut users, test.0 as usize);
            add_one(&mut of_fields, field);
        }
        let main = (0..of_fields.len()).max_by_key(|at| of_fields.get(*at));
        // A test that many ask for is passed often; one more field is one more to read at each
        // event; a field of which a part is looked for has many values, most of them new.
        let cost = |field: FieldId, test: TestId| {
            let at = test.0 as usize;
            let users = users.get(at).copied().unwrap_or(1);
            let other_field = if Some(field) == main { 0 } else { 8 };
            let part = if whole.get(at) == Some(&true) { 0 } else { 32 };
            4 * users + other_field + part
        };
        for (at, (_, program)) in (0..).zip(&self.programs) {
            let Some(needed) = program.needed(&cost) else {
                self.always.push(at);
                continue;
            };
            for (field, test) in needed {
                self.watched.push(field);
                if let Some(called) = self
                    .called
                    .get_mut(test.0 as usize)
                    .filter(|all| all.last() != Some(&at))
                {
                    called.push(at);
                }
            }
        }
        self.watched.sort_unstable();
        self.watched.dedup();
    }

    /// The fields that each detection reads, by its number.
    #[must_use]
    pub fn slots(&self) -> HashMap<usize, BTreeSet<Slot>> {
        let slot = |field: FieldId| self.fields.get(field)?.slot;
        let numbered = self.programs.iter();
        numbered
            .map(|(number, program)| (*number, program.slots(&slot)))
            .collect()
    }

    /// Memory for a thread.
    #[must_use]
    pub fn scratch(&self) -> Scratch {
        let room = (REMEMBERED / self.fields.len().max(1)).clamp(16, REMEMBERED_OF_ONE);
        let room = 1 << room.ilog2();
        Scratch {
            event: 0,
            tested: vec![0; self.fields.len()],
            passed: vec![0; self.called.len()],
            called: vec![0; self.programs.len()],
            calls: Vec::new(),
            memories: self.fields.iter().map(|_| Memory::new(room)).collect(),
            spare: Vec::new(),
            failures: Failures::default(),
        }
    }

    /// Calls `matched` for each detection that the event satisfies, in their order, with
    /// its number and what tells the reasons.
    pub fn scan(
        &self,
        scratch: &mut Scratch,
        fields: &Fields<'_>,
        mut matched: impl FnMut(usize, &mut dyn FnMut() -> Vec<String>),
    ) {
        scratch.event += 1;
        scratch.calls.clear();
        scratch.calls.extend(&self.always);
        let mut event = AnEvent {
            engine: self,
            fields,
            scratch,
        };
        for field in &self.watched {
            event.test(*field);
        }
        if event.scratch.calls.is_empty() {
            return;
        }
        let mut calls = std::mem::take(&mut event.scratch.calls);
        calls.sort_unstable();
        for at in &calls {
            let Some((number, program)) = self.programs.get(*at as usize) else {
                continue;
            };
            if program.matches(&mut event) {
                matched(*number, &mut || program.reasons(&mut event));
            }
        }
        event.scratch.calls = calls;
    }
}

fn add_one(counts: &mut [u64], at: usize) {
    if let Some(count) = counts.get_mut(at) {
        *count += 1;
    }
}

/// The event at hand.
struct AnEvent<'e> {
    engine: &'e Engine,
    fields: &'e Fields<'e>,
    scratch: &'e mut Scratch,
}

impl AnEvent<'_> {
    /// Tests the values of a field, once an event.
    fn test(&mut self, id: FieldId) {
        let Scratch {
            event,
            tested,
            passed,
            called,
            calls,
            memories,
            spare,
            ..
        } = &mut *self.scratch;
        let Some(tested) = tested.get_mut(id).filter(|tested| **tested != *event) else {
            return;
        };
        *tested = *event;
        let (Some(field), Some(memory)) = (self.engine.fields.get(id), memories.get_mut(id)) else {
            return;
        };
        let mut take = |value: Scalar<'_>| {
            for test in memory.passed(&field.values, value, spare) {
                let at = test.0 as usize;
                let Some(passed) = passed.get_mut(at).filter(|passed| **passed != *event) else {
                    continue;
                };
                *passed = *event;
                for program in self.engine.called.get(at).into_iter().flatten() {
                    if let Some(called) = called
                        .get_mut(*program as usize)
                        .filter(|called| **called != *event)
                    {
                        *called = *event;
                        calls.push(*program);
                    }
                }
            }
        };
        match field.slot {
            Some(slot) => self.fields.each(slot, &mut take),
            None => self.fields.scalars().for_each(&mut take),
        }
    }

    fn slot(&self, field: FieldId) -> Option<Slot> {
        self.engine.fields.get(field)?.slot
    }
}

impl Answers for AnEvent<'_> {
    fn passes(&mut self, field: FieldId, test: TestId) -> bool {
        self.test(field);
        self.scratch.passed.get(test.0 as usize) == Some(&self.scratch.event)
    }

    fn is_null(&mut self, field: FieldId) -> bool {
        let Some(slot) = self.slot(field) else {
            return self.fields.scalars().any(|value| value.is_null());
        };
        let mut values = self.fields.values(slot).peekable();
        values.peek().is_none() || values.any(|value| value.is_null())
    }

    fn exists(&mut self, field: FieldId) -> bool {
        self.slot(field)
            .is_some_and(|slot| self.fields.exists(slot))
    }

    fn is_like(&mut self, field: FieldId, other: Slot, anchor: Anchor, cased: bool) -> bool {
        let Some(slot) = self.slot(field) else {
            return false;
        };
        let prepared = |value: Scalar<'_>| {
            let text = value.shown()?;
            Some(if cased {
                text.into_owned()
            } else {
                fold(&text)
            })
        };
        let texts = self.fields.values(other).filter_map(prepared).collect();
        let values: Vec<String> = self.fields.values(slot).filter_map(prepared).collect();
        stands_in(texts, &values, anchor)
    }
}

/// The fields and tests that have an id.
struct Names<'w> {
    wanted: &'w mut Wanted,
    fields: Vec<Field>,
    by_slot: HashMap<Option<Slot>, FieldId>,
    tests: HashMap<(FieldId, TestKey), TestId>,
    /// For each test whether it is of whole texts.
    whole: Vec<bool>,
}

impl Interner for Names<'_> {
    fn field(&mut self, predicate: &Predicate) -> FieldId {
        let slot = predicate.field.as_ref().map(|path| self.slot(path));
        self.wanted.scalars |= slot.is_none();
        let new = self.fields.len();
        let id = *self.by_slot.entry(slot).or_insert(new);
        if id == new {
            self.fields.push(Field {
                slot,
                values: Values::default(),
            });
        }
        id
    }

    fn test(&mut self, field: FieldId, test: &Test) -> Option<TestId> {
        let new = TestId(u32::try_from(self.tests.len()).unwrap_or(u32::MAX));
        let id = *self.tests.entry((field, test.key()?)).or_insert(new);
        if id == new
            && let Some(field) = self.fields.get_mut(field)
        {
            field.values.add(id, test);
            self.whole.push(test.is_of_whole_texts());
        }
        Some(id)
    }

    fn slot(&mut self, path: &FieldPath) -> Slot {
        self.wanted.add(path.steps())
    }
}
