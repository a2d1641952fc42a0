//! The field values that a matched event carries on, so that the event itself can be let go.

use std::collections::HashSet;

use crate::event::{FieldPath, clip};
use crate::json::{Fields, Scalar, Slot, Wanted};
use serde::{Deserialize, Serialize};

/// A field among all those that some rule of the policy needs after a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CaptureId(u32);

impl CaptureId {
    fn of(at: usize) -> Self {
        Self(u32::try_from(at).unwrap_or(u32::MAX))
    }
}

/// Every field that is captured, each once.
#[derive(Clone, Debug, Default)]
pub struct Captures {
    /// None for one that each rule has under a name of its own.
    paths: Vec<Option<FieldPath>>,
    /// Where the values of each are, once [`Captures::want`] was called.
    slots: Vec<Option<Slot>>,
}

impl Captures {
    /// The id of a field.
    pub fn id(&mut self, path: &FieldPath) -> CaptureId {
        let known = self
            .paths
            .iter()
            .position(|known| known.as_ref() == Some(path));
        known.map_or_else(|| self.push(Some(path.clone())), CaptureId::of)
    }

    /// The id of a field that is not called the same in all rules.
    pub fn alias(&mut self) -> CaptureId {
        self.push(None)
    }

    fn push(&mut self, path: Option<FieldPath>) -> CaptureId {
        self.paths.push(path);
        CaptureId::of(self.paths.len() - 1)
    }

    /// Adds the fields to those that are read from each event.
    pub fn want(&mut self, wanted: &mut Wanted) {
        let mut slot = |path: &FieldPath| wanted.add(path.steps());
        let slots = self.paths.iter().map(|path| path.as_ref().map(&mut slot));
        self.slots = slots.collect();
    }

    /// Reads the given fields from an event: what to call the values, and the field they stand in.
    #[must_use]
    pub fn read(&self, ids: &[(CaptureId, CaptureId)], fields: &Fields<'_>) -> Captured {
        let mut ends = Vec::new();
        let mut joined = String::new();
        for (id, field) in ids {
            let Some(Some(slot)) = self.slots.get(field.0 as usize) else {
                continue;
            };
            for text in distinct_texts(fields.values(*slot)) {
                joined.push_str(&text);
                ends.push((*id, u32::try_from(joined.len()).unwrap_or(u32::MAX)));
            }
        }
        Captured {
            ends: ends.into(),
            joined: joined.into(),
        }
    }
}

/// At most so many distinct values of one field of one event are carried on.
pub(super) const MAX_VALUES: usize = 1_000;

/// The texts of scalars, null left out. Elements of one array often repeat.
/// One more than [`MAX_VALUES`] says that there were more.
fn distinct_texts<'r>(values: impl Iterator<Item = Scalar<'r>>) -> Vec<String> {
    let mut known = HashSet::new();
    let texts = values.filter_map(|value| value.shown());
    let distinct = texts
        .map(|text| clip(&text))
        .filter(|text| known.insert(text.clone()));
    distinct.take(MAX_VALUES + 1).collect()
}

/// The captured values of one event: texts of scalars, null and absent left
/// out. One text and where its parts end, since there are millions of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captured {
    ends: Box<[(CaptureId, u32)]>,
    joined: Box<str>,
}

impl Captured {
    /// The same with one value alone for each of the given fields.
    #[must_use]
    pub fn narrowed(&self, to: &[(CaptureId, &str)]) -> Self {
        let mut ends = Vec::new();
        let mut joined = String::new();
        let mut push = |id: CaptureId, text: &str| {
            joined.push_str(text);
            ends.push((id, u32::try_from(joined.len()).unwrap_or(u32::MAX)));
        };
        to.iter().for_each(|(id, text)| push(*id, text));
        let narrowed = |id: CaptureId| to.iter().any(|(known, _)| *known == id);
        let mut start = 0;
        for (id, end) in &self.ends {
            let text = self.joined.get(start as usize..*end as usize);
            if let Some(text) = text.filter(|_| !narrowed(*id)) {
                push(*id, text);
            }
            start = *end;
        }
        Self {
            ends: ends.into(),
            joined: joined.into(),
        }
    }

    /// Whether a field had more distinct values than are carried on.
    #[must_use]
    pub fn is_cut(&self, id: CaptureId) -> bool {
        self.ends.iter().filter(|(known, _)| *known == id).count() > MAX_VALUES
    }

    /// Every distinct value of a field, in document order, up to [`MAX_VALUES`].
    pub fn all(&self, id: CaptureId) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|(_, end)| *end));
        let parts = starts.zip(&self.ends);
        parts
            .filter(move |(_, (known, _))| *known == id)
            .take(MAX_VALUES)
            .filter_map(|(start, (_, end))| self.joined.get(start as usize..*end as usize))
    }

    /// The first value of a field.
    #[must_use]
    pub fn first(&self, id: CaptureId) -> Option<&str> {
        self.all(id).next()
    }

    /// Roughly how many bytes this takes.
    #[must_use]
    pub fn size(&self) -> usize {
        64 + 8 * self.ends.len() + self.joined.len()
    }
}
