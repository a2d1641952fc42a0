//! The field values that a matched event carries on, so that the event itself can be let go.

use std::collections::HashSet;

use uuid::Uuid;

use crate::detect::packed::{Unpacked, pack_number, pack_text};
use crate::event::{FieldPath, clip};
use crate::json::{Fields, Slot, Wanted};

/// A field among all those that some rule of the policy needs after a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CaptureId(u32);

impl CaptureId {
    fn of(at: usize) -> Self {
        Self(u32::try_from(at).unwrap_or(u32::MAX))
    }

    /// The number that stands for it where values are packed.
    pub(super) fn number(self) -> u64 {
        u64::from(self.0)
    }
}

/// What an id stands for: the same in every detector, where ids differ.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Meaning {
    /// A field of events.
    Field(FieldPath),
    /// What a rule calls so, and others call differently.
    Alias(Uuid, FieldPath),
}

/// Every field that is captured, each once.
#[derive(Clone, Debug, Default)]
pub struct Captures {
    meanings: Vec<Meaning>,
    /// Where the values of each are, once [`Captures::want`] was called.
    slots: Vec<Option<Slot>>,
}

impl Captures {
    /// The id of a field.
    pub fn id(&mut self, path: &FieldPath) -> CaptureId {
        let is_it = |known: &Meaning| matches!(known, Meaning::Field(field) if field == path);
        let known = self.meanings.iter().position(is_it);
        known.map_or_else(|| self.push(Meaning::Field(path.clone())), CaptureId::of)
    }

    /// The id of what a rule calls by this name, and those that it names differently.
    pub fn alias(&mut self, rule: Uuid, name: &FieldPath) -> CaptureId {
        self.push(Meaning::Alias(rule, name.clone()))
    }

    /// The id of what stands for the same in another detector.
    pub(super) fn id_of(&mut self, meaning: &Meaning) -> CaptureId {
        let known = self.meanings.iter().position(|known| known == meaning);
        known.map_or_else(|| self.push(meaning.clone()), CaptureId::of)
    }

    /// What an id stands for.
    pub(super) fn meaning(&self, id: CaptureId) -> Option<&Meaning> {
        self.meanings.get(id.0 as usize)
    }

    fn push(&mut self, meaning: Meaning) -> CaptureId {
        self.meanings.push(meaning);
        CaptureId::of(self.meanings.len() - 1)
    }

    /// What each id stands for, in their order.
    pub(super) fn meanings(&self) -> impl Iterator<Item = (CaptureId, &Meaning)> {
        let numbered = self.meanings.iter().enumerate();
        numbered.map(|(at, meaning)| (CaptureId::of(at), meaning))
    }

    /// Adds the fields to those that are read from each event.
    pub fn want(&mut self, wanted: &mut Wanted) {
        let slots = self.meanings.iter().map(|meaning| match meaning {
            Meaning::Field(path) => Some(wanted.add(path.steps())),
            Meaning::Alias(..) => None,
        });
        self.slots = slots.collect();
    }

    /// Where the values of a field are that is read from events.
    pub(super) fn slot(&self, id: CaptureId) -> Option<Slot> {
        *self.slots.get(id.0 as usize)?
    }

    /// Reads the given fields from an event. Behind them come other texts, under an id of their own.
    #[must_use]
    pub fn read<'t>(
        &self,
        ids: &[CaptureId],
        fields: &Fields<'_>,
        others: Option<(CaptureId, impl Iterator<Item = &'t str>)>,
    ) -> Captured {
        let mut captured = CapturedBuilder::default();
        for id in ids {
            let Some(slot) = self.slot(*id) else {
                continue;
            };
            captured.begin(*id);
            for text in fields.values(slot).filter_map(|value| value.shown()) {
                captured.push(&text);
            }
        }
        if let Some((id, texts)) = others {
            captured.begin(id);
            texts.for_each(|text| captured.push(text));
        }
        captured.finish()
    }
}

/// At most so many distinct values of one field of one event are carried on.
pub(super) const MAX_VALUES: usize = 1_000;

/// So many values of a field are compared one with the other before a set is made of them.
const FEW: usize = 16;

/// Takes the values of one event, field by field, and keeps what is carried
/// on: the distinct ones, each clipped, up to [`MAX_VALUES`] and one more that
/// says that there were more.
#[derive(Debug, Default)]
pub struct CapturedBuilder {
    packed: Vec<u8>,
    field: u32,
    /// Where the field's values begin.
    start: usize,
    /// How many distinct values the field has so far.
    values: usize,
    /// The field's values once they are many.
    known: HashSet<String>,
}

impl CapturedBuilder {
    /// What is pushed from here on are the values of this field. A field that
    /// is begun twice is two fields of one name.
    pub fn begin(&mut self, field: CaptureId) {
        self.field = field.0;
        self.start = self.packed.len();
        self.values = 0;
        self.known.clear();
    }

    /// Takes the text of a scalar. Elements of one array often repeat.
    pub fn push(&mut self, text: &str) {
        let text = clip(text);
        if self.values > MAX_VALUES || self.knows(&text) {
            return;
        }
        self.values += 1;
        pack_value(&mut self.packed, CaptureId(self.field), &text);
    }

    /// Everything that was kept.
    #[must_use]
    pub fn finish(self) -> Captured {
        Captured(self.packed.into())
    }

    /// Whether the field has the value already; from now on it does.
    fn knows(&mut self, text: &str) -> bool {
        let mut values = Values(self.packed.get(self.start..).unwrap_or_default());
        if self.values < FEW {
            return values.any(|(_, known)| known == text);
        }
        if self.known.is_empty() {
            self.known.extend(values.map(|(_, known)| known.to_owned()));
        }
        !self.known.insert(text.to_owned())
    }
}

fn pack_value(packed: &mut Vec<u8>, id: CaptureId, text: &str) {
    pack_number(packed, u64::from(id.0));
    pack_text(packed, text);
}

/// The captured values of one event: texts of scalars, null and absent left
/// out. They are packed into one allocation, since there are millions of these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captured(Box<[u8]>);

impl Captured {
    /// The values as bytes, which [`Captured::of_bytes`] reads back.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn of_bytes(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// A look at them.
    pub(super) fn values(&self) -> Values<'_> {
        Values(&self.0)
    }
}

/// A look at captured values: each with its field, in the order they were taken.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a>(&'a [u8]);

impl<'a> Iterator for Values<'a> {
    type Item = (CaptureId, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let (id, text) = self.entry()?;
        Some((id, std::str::from_utf8(text).ok()?))
    }
}

impl<'a> Values<'a> {
    pub(super) fn of_bytes(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next value, not read as text yet: most are passed over on the way to another.
    fn entry(&mut self) -> Option<(CaptureId, &'a [u8])> {
        let id = u32::try_from(self.0.number()?).ok()?;
        Some((CaptureId(id), self.0.bytes()?))
    }

    /// The values of one field.
    fn of(mut self, id: CaptureId) -> impl Iterator<Item = &'a str> {
        std::iter::from_fn(move || {
            loop {
                let (known, text) = self.entry()?;
                if known == id {
                    return std::str::from_utf8(text).ok();
                }
            }
        })
    }

    /// The same with one value alone for each of the given fields.
    #[must_use]
    pub fn narrowed(self, to: &[(CaptureId, &str)]) -> Captured {
        let mut packed = Vec::new();
        for (id, text) in to {
            pack_value(&mut packed, *id, text);
        }
        for (id, text) in self {
            if !to.iter().any(|(narrowed, _)| *narrowed == id) {
                pack_value(&mut packed, id, text);
            }
        }
        Captured(packed.into())
    }

    /// The same with the values of some fields under other ids too, and with others beside them.
    #[must_use]
    pub fn renamed(
        self,
        renamed: &[(CaptureId, CaptureId)],
        said: &[(CaptureId, String)],
    ) -> Captured {
        let mut packed = self.0.to_vec();
        for (from, to) in renamed {
            for (_, text) in self.filter(|(id, _)| id == from) {
                pack_value(&mut packed, *to, text);
            }
        }
        for (id, text) in said {
            pack_value(&mut packed, *id, text);
        }
        Captured(packed.into())
    }

    /// The same, with what others say of some fields beside what these do.
    #[must_use]
    pub fn joined(self, others: Self, fields: &[CaptureId]) -> Captured {
        let mut packed = self.0.to_vec();
        let of_fields = others.filter(|(id, _)| fields.contains(id));
        for (id, text) in of_fields {
            if !self.all(id).any(|known| known == text) {
                pack_value(&mut packed, id, text);
            }
        }
        Captured(packed.into())
    }

    /// The same under other ids, without the values of those that have none; `None` where
    /// these are no values.
    pub(super) fn renumbered(
        mut self,
        id_of: impl Fn(u64) -> Option<CaptureId>,
    ) -> Option<Captured> {
        let mut packed = Vec::with_capacity(self.0.len());
        while !self.0.is_empty() {
            let (id, text) = (self.0.number()?, self.0.text()?);
            if let Some(id) = id_of(id) {
                pack_value(&mut packed, id, text);
            }
        }
        Some(Captured(packed.into()))
    }

    /// Whether a field had more distinct values than are carried on.
    #[must_use]
    pub fn is_cut(self, id: CaptureId) -> bool {
        self.of(id).nth(MAX_VALUES).is_some()
    }

    /// Every distinct value of a field, in document order, up to [`MAX_VALUES`].
    pub fn all(self, id: CaptureId) -> impl Iterator<Item = &'a str> {
        self.of(id).take(MAX_VALUES)
    }

    /// The first value of a field.
    #[must_use]
    pub fn first(self, id: CaptureId) -> Option<&'a str> {
        self.of(id).next()
    }
}
