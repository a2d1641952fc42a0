//! Which values of a finding do not stand in its events, but were supplied from elsewhere.
//!
//! A match carries the names of such fields on like a captured value, and a finding
//! collects them from its events like a field that its rule lists.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::detect::Detector;
use crate::detect::capture::CaptureId;
use crate::event::FieldPath;
use crate::json::{Fields, Slot};

/// The fields that may be supplied, and under which id the names of those that were are carried on.
#[derive(Debug)]
pub(super) struct Notes {
    id: CaptureId,
    /// All of them, whether a rule reads them or not.
    fields: Vec<FieldPath>,
    /// Of each matcher the fields that its rule, or what its matches go to, reads.
    of_matchers: Vec<Vec<(String, Slot)>>,
}

/// What the supplied fields are called among those that a rule lists: no field has this name.
pub(super) const SUPPLIED: &str = "";

impl Notes {
    /// The names of the fields that were supplied, of those that a rule reads.
    pub(super) fn of<'n>(
        &'n self,
        matcher: usize,
        fields: Fields<'n>,
    ) -> (CaptureId, impl Iterator<Item = &'n str>) {
        let read = self.of_matchers.get(matcher).into_iter().flatten();
        let supplied = read.filter(move |(_, slot)| fields.is_supplied(*slot));
        (self.id, supplied.map(|(name, _)| name.as_str()))
    }
}

impl Notes {
    /// The id under which they are carried on.
    pub(super) fn id(&self) -> CaptureId {
        self.id
    }

    /// The fields that may be supplied.
    pub(super) fn fields(&self) -> Vec<FieldPath> {
        self.fields.clone()
    }

    /// The names of the fields that a rule of a matcher reads, or what its matches go to.
    pub(super) fn names(&self, matcher: usize) -> impl Iterator<Item = &str> {
        let read = self.of_matchers.get(matcher).into_iter().flatten();
        read.map(|(name, _)| name.as_str())
    }
}

impl Detector {
    /// From now on findings tell which of these fields do not stand in their events, and so do
    /// headings that are made later.
    pub fn note_supplied(&mut self, paths: &[FieldPath]) {
        let slots = paths.iter().filter_map(|path| {
            let slot = self.wanted.find(path.steps())?;
            Some((path.as_str().to_owned(), slot))
        });
        let supplied: Vec<(String, Slot)> = slots.collect();
        if supplied.is_empty() {
            return;
        }
        let of_detections = self.engine.slots();
        let read = (0..).zip(&self.matchers).map(|(at, matcher)| {
            let mut read: BTreeSet<Slot> = of_detections.get(&at).cloned().unwrap_or_default();
            let captured = matcher.captured.iter();
            read.extend(captured.filter_map(|id| self.captures.slot(*id)));
            read.extend(matcher.script.iter().flat_map(|script| script.slots()));
            let supplied = supplied.iter().filter(|(_, slot)| read.contains(slot));
            supplied.cloned().collect()
        });
        let of_matchers = read.collect();
        let id = self.captures.alias(Uuid::nil(), &FieldPath::new(SUPPLIED));
        for consumer in &mut self.consumers {
            consumer.reporter.metadata.push((SUPPLIED.to_owned(), id));
        }
        self.notes = Some(Notes {
            id,
            fields: paths.to_vec(),
            of_matchers,
        });
    }
}
