//! A detection, ready to run: its tests by their ids.

use std::collections::BTreeSet;

use crate::detect::condition::Condition;
use crate::detect::modifiers::Test;
use crate::detect::pattern::Anchor;
use crate::detect::predicate::Predicate;
use crate::detect::search::Detection;
use crate::detect::values::TestId;
use crate::json::Slot;

/// A field whose values are tested, by its position among all of them.
pub type FieldId = usize;

/// What a program asks of an event.
pub trait Answers {
    /// Whether some value of the field passes the test.
    fn passes(&mut self, field: FieldId, test: TestId) -> bool;
    /// Whether the field is missing or null.
    fn is_null(&mut self, field: FieldId) -> bool;
    /// Whether the key of the field is there.
    fn exists(&mut self, field: FieldId) -> bool;
    /// Whether a value of the field stands in relation to one of the other.
    fn is_like(&mut self, field: FieldId, other: Slot, anchor: Anchor, cased: bool) -> bool;
}

/// A detection whose fields and tests are known by their ids.
#[derive(Debug)]
pub struct Program {
    searches: Vec<Search>,
    condition: Condition,
    /// The filters that apply, by their titles.
    filters: Vec<(String, Program)>,
}

#[derive(Debug)]
struct Search {
    alternatives: Vec<Alternative>,
}

#[derive(Debug)]
struct Alternative {
    lines: Vec<Line>,
    /// What a person reads where this is why the search holds.
    reason: String,
}

#[derive(Debug)]
struct Line {
    field: FieldId,
    asked: Vec<Asked>,
    all: bool,
    negated: bool,
}

/// What is asked of a field.
#[derive(Debug)]
enum Asked {
    Passes(TestId),
    IsNull,
    Exists(bool),
    IsLike(Slot, Anchor, bool),
}

/// Gives fields and tests their ids, equal ones the same.
pub trait Interner {
    /// The id of a field; of all scalars of a record without one.
    fn field(&mut self, predicate: &Predicate) -> FieldId;
    /// The id of a test of a field's values; `None` for one of the field as a whole.
    fn test(&mut self, field: FieldId, test: &Test) -> Option<TestId>;
    /// Where the values of a field are that another is compared with.
    fn slot(&mut self, path: &crate::event::FieldPath) -> Slot;
}

/// Tests of which an event must pass one, each with its field.
pub type Needed = Vec<(FieldId, TestId)>;

impl Program {
    /// Makes a checked detection ready to run.
    pub fn new(detection: &Detection, interner: &mut dyn Interner) -> Self {
        let (searches, condition, filters) = detection.parts();
        let named =
            |(title, filter): &(String, Detection)| (title.clone(), Self::new(filter, interner));
        let filters = filters.iter().map(named).collect();
        let searches = searches.iter().map(|search| {
            let alternatives = search.alternatives.iter().map(|predicates| Alternative {
                reason: reason(&search.name, predicates),
                lines: predicates
                    .iter()
                    .map(|predicate| Line::new(predicate, interner))
                    .collect(),
            });
            Search {
                alternatives: alternatives.collect(),
            }
        });
        Self {
            searches: searches.collect(),
            condition: condition.clone(),
            filters,
        }
    }

    /// Whether the event satisfies the condition and every filter.
    pub fn matches(&self, answers: &mut dyn Answers) -> bool {
        let search = &mut |at: usize| {
            self.searches
                .get(at)
                .is_some_and(|search| search.holds(answers))
        };
        self.condition.holds(search)
            && self
                .filters
                .iter()
                .all(|(_, filter)| filter.matches(answers))
    }

    /// Why the event matches: each search that holds, with the alternative that made it hold.
    pub fn reasons(&self, answers: &mut dyn Answers) -> Vec<String> {
        let satisfied = |search: &Search| {
            let alternative = search.alternatives.iter().find(|all| all.holds(answers));
            alternative.map(|alternative| alternative.reason.clone())
        };
        let mut reasons: Vec<String> = self.searches.iter().filter_map(satisfied).collect();
        for (title, filter) in &self.filters {
            let named = |reason: String| format!("filter {title}: {reason}");
            reasons.extend(filter.reasons(answers).into_iter().map(named));
        }
        reasons
    }

    /// The tests that the program asks for, each once.
    pub fn tests(&self) -> Vec<(FieldId, TestId)> {
        let alternatives = self.searches.iter().flat_map(|search| &search.alternatives);
        let lines = alternatives.flat_map(|alternative| &alternative.lines);
        let mut tests: Vec<_> = lines.flat_map(Line::tests).collect();
        tests.extend(self.filters.iter().flat_map(|(_, filter)| filter.tests()));
        tests.sort_unstable();
        tests.dedup();
        tests
    }

    /// The fields that are read, given where the values of each are.
    pub fn slots(&self, slot: &dyn Fn(FieldId) -> Option<Slot>) -> BTreeSet<Slot> {
        let alternatives = self.searches.iter().flat_map(|search| &search.alternatives);
        let lines = alternatives.flat_map(|alternative| &alternative.lines);
        let own = lines.flat_map(|line| {
            let compared = line.asked.iter().filter_map(|asked| match asked {
                Asked::IsLike(other, ..) => Some(*other),
                _ => None,
            });
            slot(line.field).into_iter().chain(compared)
        });
        let filters = self.filters.iter();
        own.chain(filters.flat_map(|(_, filter)| filter.slots(slot)))
            .collect()
    }

    /// The cheapest tests of which every matching event passes one; `None` where
    /// an event may match that passes none.
    pub fn needed(&self, cost: &dyn Fn(FieldId, TestId) -> u64) -> Option<Needed> {
        self.needed_by(&self.condition, cost)
    }

    fn needed_by(
        &self,
        condition: &Condition,
        cost: &dyn Fn(FieldId, TestId) -> u64,
    ) -> Option<Needed> {
        match condition {
            Condition::Search(at) => {
                let alternatives = self.searches.get(*at)?.alternatives.iter();
                union(
                    alternatives
                        .map(|all| cheapest(all.lines.iter().map(|line| line.needed(cost)), cost)),
                )
            }
            Condition::All(parts) => {
                cheapest(parts.iter().map(|part| self.needed_by(part, cost)), cost)
            }
            Condition::Any(parts) => union(parts.iter().map(|part| self.needed_by(part, cost))),
            Condition::Not(_) => None,
        }
    }
}

/// Where each of several is needed, any of them will do: the cheapest.
fn cheapest(
    each: impl Iterator<Item = Option<Needed>>,
    cost: &dyn Fn(FieldId, TestId) -> u64,
) -> Option<Needed> {
    let total = |needed: &Needed| {
        needed
            .iter()
            .map(|(field, test)| cost(*field, *test))
            .sum::<u64>()
    };
    each.flatten().min_by_key(total)
}

/// Where any of several may hold, all of theirs are needed.
fn union(each: impl Iterator<Item = Option<Needed>>) -> Option<Needed> {
    let all: Option<Vec<Needed>> = each.collect();
    Some(all?.concat())
}

fn reason(search: &str, predicates: &[Predicate]) -> String {
    let shown: Vec<_> = predicates.iter().map(|p| p.shown.as_str()).collect();
    format!("{search}: {}", shown.join(", "))
}

impl Search {
    fn holds(&self, answers: &mut dyn Answers) -> bool {
        self.alternatives.iter().any(|all| all.holds(answers))
    }
}

impl Alternative {
    fn holds(&self, answers: &mut dyn Answers) -> bool {
        self.lines.iter().all(|line| line.holds(answers))
    }
}

impl Line {
    fn new(predicate: &Predicate, interner: &mut dyn Interner) -> Self {
        let field = interner.field(predicate);
        let asked = predicate.tests.iter().filter_map(|test| match test {
            Test::Null => Some(Asked::IsNull),
            Test::Exists(wanted) => Some(Asked::Exists(*wanted)),
            Test::SameAs(other, anchor, cased) => {
                Some(Asked::IsLike(interner.slot(other), *anchor, *cased))
            }
            _ => interner.test(field, test).map(Asked::Passes),
        });
        Self {
            field,
            asked: asked.collect(),
            all: predicate.all,
            negated: predicate.negated,
        }
    }

    fn holds(&self, answers: &mut dyn Answers) -> bool {
        let field = self.field;
        let mut holds = |asked: &Asked| match asked {
            Asked::Passes(test) => answers.passes(field, *test),
            Asked::IsNull => answers.is_null(field),
            Asked::Exists(wanted) => answers.exists(field) == *wanted,
            Asked::IsLike(other, anchor, cased) => answers.is_like(field, *other, *anchor, *cased),
        };
        let result = if self.all {
            self.asked.iter().all(holds)
        } else {
            self.asked.iter().any(&mut holds)
        };
        result != self.negated
    }

    fn tests(&self) -> impl Iterator<Item = (FieldId, TestId)> {
        self.asked.iter().filter_map(|asked| match asked {
            Asked::Passes(test) => Some((self.field, *test)),
            _ => None,
        })
    }

    fn needed(&self, cost: &dyn Fn(FieldId, TestId) -> u64) -> Option<Needed> {
        let each = self.asked.iter().map(|asked| match asked {
            Asked::Passes(test) => Some(vec![(self.field, *test)]),
            _ => None,
        });
        match (self.negated, self.all) {
            (true, _) => None,
            (false, true) => cheapest(each, cost),
            (false, false) => union(each),
        }
    }
}
