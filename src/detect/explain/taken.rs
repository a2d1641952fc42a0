//! A detection whose fields are known by where their values are, asked without any haste.

use crate::detect::condition::Condition;
use crate::detect::modifiers::Test;
use crate::detect::pattern::Anchor;
use crate::detect::predicate::Predicate;
use crate::detect::relation::stands_in;
use crate::detect::search::Detection;
use crate::detect::values::{TestId, Values};
use crate::diag::Span;
use crate::event::fold;
use crate::json::{Fields, Scalar, Slot, Wanted};

/// A detection.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) searches: Vec<Search>,
    pub(super) condition: Condition,
    /// Where the condition is written.
    pub(super) place: Span,
    /// The filters that apply, by their titles.
    pub(super) filters: Vec<(String, Taken)>,
}

/// A named search.
#[derive(Debug)]
pub(super) struct Search {
    pub(super) name: String,
    pub(super) span: Span,
    pub(super) alternatives: Vec<Vec<Line>>,
}

/// A line of a search.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) predicate: Predicate,
    /// Where the values of its field are; `None` for keywords.
    pub(super) slot: Option<Slot>,
    /// What is asked for each of its values.
    pub(super) asked: Vec<Asked>,
    values: Values,
}

/// What is asked of a field.
#[derive(Debug)]
pub(super) enum Asked {
    /// That one of its values passes the test of this place.
    Passes,
    IsNull,
    Exists(bool),
    IsLike(Slot, Anchor, bool),
}

impl Taken {
    pub(super) fn new(detection: &Detection, wanted: &mut Wanted) -> Self {
        let (searches, condition, filters) = detection.parts();
        let mut lines = |predicates: &Vec<Predicate>| -> Vec<Line> {
            let line = |predicate: &Predicate| Line::new(predicate, wanted);
            predicates.iter().map(line).collect()
        };
        let searches = searches.iter().map(|search| Search {
            name: search.name.clone(),
            span: search.span,
            alternatives: search.alternatives.iter().map(&mut lines).collect(),
        });
        let searches = searches.collect();
        let named =
            |(title, filter): &(String, Detection)| (title.clone(), Self::new(filter, wanted));
        Self {
            searches,
            condition: condition.clone(),
            place: detection.place(),
            filters: filters.iter().map(named).collect(),
        }
    }

    /// Whether an event satisfies the condition, whatever the filters say.
    pub(super) fn condition_holds(&self, condition: &Condition, fields: &Fields<'_>) -> bool {
        condition.holds(&mut |at| {
            let search = self.searches.get(at);
            search.is_some_and(|search| search.holds(fields))
        })
    }

    /// Whether an event satisfies the condition and every filter.
    pub(super) fn holds(&self, fields: &Fields<'_>) -> bool {
        let mut filters = self.filters.iter();
        self.condition_holds(&self.condition, fields)
            && filters.all(|(_, filter)| filter.holds(fields))
    }
}

impl Search {
    pub(super) fn holds(&self, fields: &Fields<'_>) -> bool {
        let all = |lines: &Vec<Line>| lines.iter().all(|line| line.holds(fields));
        self.alternatives.iter().any(all)
    }
}

impl Line {
    fn new(predicate: &Predicate, wanted: &mut Wanted) -> Self {
        let slot = predicate
            .field
            .as_ref()
            .map(|path| wanted.add(path.steps()));
        wanted.scalars |= slot.is_none();
        let mut values = Values::default();
        let asked = (0..).zip(&predicate.tests).map(|(at, test)| match test {
            Test::Null => Asked::IsNull,
            Test::Exists(there) => Asked::Exists(*there),
            Test::SameAs(other, anchor, cased) => {
                Asked::IsLike(wanted.add(other.steps()), *anchor, *cased)
            }
            _ => {
                values.add(TestId(at), test);
                Asked::Passes
            }
        });
        let asked = asked.collect();
        values.finish();
        Self {
            predicate: predicate.clone(),
            slot,
            asked,
            values,
        }
    }

    pub(super) fn holds(&self, fields: &Fields<'_>) -> bool {
        let answers = self.answers(fields);
        let mut each = answers.iter();
        let result = if self.predicate.all {
            each.all(|passed| *passed)
        } else {
            each.any(|passed| *passed)
        };
        result != self.predicate.negated
    }

    /// For each of its values whether that is so of the field, before `neq` turns it around.
    pub(super) fn answers(&self, fields: &Fields<'_>) -> Vec<bool> {
        let mut passed = Vec::new();
        self.found(fields)
            .for_each(|value| self.values.passed(value, &mut passed));
        passed.sort_unstable();
        let answer = |(at, asked): (u32, &Asked)| match asked {
            Asked::Passes => passed.binary_search(&TestId(at)).is_ok(),
            Asked::IsNull => self.is_null(fields),
            Asked::Exists(there) => {
                let exists = self.slot.is_some_and(|slot| fields.exists(slot));
                exists == *there
            }
            Asked::IsLike(other, anchor, cased) => self.is_like(fields, *other, *anchor, *cased),
        };
        (0..).zip(&self.asked).map(answer).collect()
    }

    /// The values of its field; all scalars of the record for keywords.
    pub(super) fn found<'r>(
        &self,
        fields: &Fields<'r>,
    ) -> Box<dyn Iterator<Item = Scalar<'r>> + 'r> {
        match self.slot {
            Some(slot) => Box::new(fields.values(slot)),
            None => Box::new(fields.scalars()),
        }
    }

    fn is_null(&self, fields: &Fields<'_>) -> bool {
        let mut values = self.found(fields).peekable();
        let nothing = self.slot.is_some() && values.peek().is_none();
        nothing || values.any(|value| value.is_null())
    }

    pub(super) fn is_like(
        &self,
        fields: &Fields<'_>,
        other: Slot,
        anchor: Anchor,
        cased: bool,
    ) -> bool {
        let Some(slot) = self.slot else {
            return false;
        };
        let texts = |slot: Slot| -> Vec<String> {
            let shown = fields.values(slot).filter_map(|value| value.shown());
            let case = |text: &str| if cased { text.to_owned() } else { fold(text) };
            shown.map(|text| case(&text)).collect()
        };
        stands_in(texts(other), &texts(slot), anchor)
    }
}
