//! The tree of a detection over one event, and the verdict on each of its clauses.

use std::net::IpAddr;

use serde_json::Value;

use super::taken::{Asked, Line as TakenLine, Search, Taken};
use crate::detect::condition::Condition;
use crate::detect::modifiers::Test;
use crate::detect::script::Scripted;
use crate::diag::Span;
use crate::event::{Event, FieldPath, clip, fold};
use crate::json::{Fields, Scalar};

/// A clause of a condition, over one event.
#[derive(Clone, Debug, PartialEq)]
pub struct Clause {
    /// What it is.
    pub what: What,
    /// Where it is written.
    pub span: Span,
    /// Whether it holds.
    pub holds: bool,
    /// Whether it is a reason for what the rule as a whole comes to.
    pub decides: bool,
    /// What it is made of.
    pub parts: Vec<Clause>,
}

/// What a clause is.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// Every part holds.
    All,
    /// One part holds at least.
    Any,
    /// Its part does not hold.
    Not,
    /// A search of this name: every line of it, or one of its alternatives.
    Search(String),
    /// One of several ways in which a search may hold, counted from 1.
    Alternative(usize),
    /// A filter of this title.
    Filter(String),
    /// A line of a search.
    Line(Line),
    /// The function of a script that is the last predicate.
    Script(String, Verdict),
}

/// A line of a search, over one event.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The line as a person reads it.
    pub shown: String,
    /// Its field; `None` for keywords.
    pub field: Option<String>,
    /// What came of it.
    pub verdict: Verdict,
    /// The first values that the field has.
    pub found: Vec<Value>,
    /// How many more it has.
    pub more: usize,
    /// Whether what was found is from a database, since the event lacks it.
    pub supplied: bool,
    /// The values that are asked for and that the field has, by where they are written.
    pub passed: Vec<Span>,
    /// The values that are asked for and that the field has not.
    pub missed: Vec<Span>,
}

/// What came of a clause that asks something of the event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Matched,
    /// The event does not have the field; perhaps one whose name differs in case alone.
    Absent(Option<String>),
    /// The event has the field, and nothing in it.
    Empty,
    /// It would hold without regard to case.
    WrongCase,
    /// What was found is not of the kind that can be compared.
    WrongKind(Kind),
    /// Something else was found than what is asked for.
    WrongValue,
    /// What must not be there was found.
    Excluded,
    /// It was not asked, since the rest does not hold.
    NotAsked,
    /// It could not be answered, and why.
    Failed(String),
}

/// What values are compared as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number.
    Number,
    /// A time.
    Time,
    /// An address.
    Address,
}

/// So many values of a field are shown.
const SHOWN: usize = 5;

impl Clause {
    /// Whether it holds.
    #[must_use]
    pub fn does(&self) -> bool {
        self.holds
    }

    /// Whether the clause holds, as follows from its parts alone.
    #[must_use]
    pub fn follows(&self) -> bool {
        let mut parts = self.parts.iter();
        match &self.what {
            What::All | What::Alternative(_) | What::Filter(_) => parts.all(|part| part.holds),
            What::Any => parts.any(|part| part.holds),
            What::Not => !parts.any(|part| part.holds),
            What::Search(_) if self.has_alternatives() => parts.any(|part| part.holds),
            What::Search(_) => parts.all(|part| part.holds),
            What::Line(_) | What::Script(..) => self.holds,
        }
    }

    /// Marks what decides whether it holds, in itself and in its parts.
    pub(super) fn mark(&mut self) {
        self.decides = true;
        let all = match &self.what {
            What::Any => false,
            What::Search(_) => !self.has_alternatives(),
            _ => true,
        };
        let (holds, is_not) = (self.holds, self.what == What::Not);
        // Where all must hold, those that do not are why it fails; where any may, those that hold
        // are why it does. Else every part is.
        let one_is_enough = holds != all;
        for part in &mut self.parts {
            if is_not || !one_is_enough || part.holds == holds {
                part.mark();
            }
        }
    }

    fn has_alternatives(&self) -> bool {
        let first = self.parts.first();
        first.is_some_and(|part| matches!(part.what, What::Alternative(_)))
    }

    fn new(what: What, span: Span, parts: Vec<Self>) -> Self {
        let mut clause = Self {
            what,
            span,
            holds: false,
            decides: false,
            parts,
        };
        clause.holds = clause.follows();
        clause
    }
}

/// All of these; the one that there is, where there is one.
pub(super) fn all(mut parts: Vec<Clause>, span: Span) -> Clause {
    match (parts.len(), parts.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            parts.extend(last);
            Clause::new(What::All, span, parts)
        }
    }
}

/// What the last predicate says of an event, which is asked only where the rest holds.
pub(super) fn script(
    (script, name, span): &(Scripted, String, Span),
    event: &Event<'_>,
    rest: bool,
) -> Clause {
    let verdict = match script.answer(event).filter(|_| rest) {
        None => Verdict::NotAsked,
        Some(Ok(true)) => Verdict::Matched,
        Some(Ok(false)) => Verdict::WrongValue,
        Some(Err(why)) => Verdict::Failed(why.to_string()),
    };
    Clause {
        holds: verdict == Verdict::Matched,
        what: What::Script(name.clone(), verdict),
        span: *span,
        decides: false,
        parts: Vec::new(),
    }
}

impl Taken {
    /// The condition and each filter.
    pub(super) fn told(&self, fields: &Fields<'_>) -> Vec<Clause> {
        let mut clauses = vec![self.told_of(&self.condition, fields)];
        for (title, filter) in &self.filters {
            let parts = filter.told(fields);
            clauses.push(Clause::new(
                What::Filter(title.clone()),
                filter.place,
                parts,
            ));
        }
        clauses
    }

    fn told_of(&self, condition: &Condition, fields: &Fields<'_>) -> Clause {
        let each = |parts: &[Condition]| -> Vec<Clause> {
            parts
                .iter()
                .map(|part| self.told_of(part, fields))
                .collect()
        };
        let (what, parts) = match condition {
            Condition::Search(at) => match self.searches.get(*at) {
                Some(search) => return search.told(fields),
                None => (What::Any, Vec::new()),
            },
            Condition::All(parts) => (What::All, each(parts)),
            Condition::Any(parts) => (What::Any, each(parts)),
            Condition::Not(inner) => (What::Not, each(std::slice::from_ref(inner))),
        };
        Clause::new(what, self.place, parts)
    }
}

impl Search {
    fn told(&self, fields: &Fields<'_>) -> Clause {
        let lines = |lines: &Vec<TakenLine>| -> Vec<Clause> {
            lines.iter().map(|line| line.told(fields)).collect()
        };
        let parts = match self.alternatives.as_slice() {
            [only] => lines(only),
            several => (1..)
                .zip(several)
                .map(|(number, alternative)| {
                    let parts = lines(alternative);
                    let span = parts.first().map_or(self.span, |first| first.span);
                    Clause::new(What::Alternative(number), span, parts)
                })
                .collect(),
        };
        Clause::new(What::Search(self.name.clone()), self.span, parts)
    }
}

impl TakenLine {
    fn told(&self, fields: &Fields<'_>) -> Clause {
        let answers = self.answers(fields);
        let holds = self.holds(fields);
        let predicate = &self.predicate;
        let places = |wanted: bool| -> Vec<Span> {
            let places = predicate.places.iter().zip(&answers);
            let places = places.filter(|(_, passed)| **passed == wanted);
            places.map(|(place, _)| *place).collect()
        };
        let values = |_| self.found(fields);
        let mut found = self.slot.into_iter().flat_map(values);
        let line = Line {
            shown: predicate.shown.clone(),
            field: predicate.field.as_ref().map(ToString::to_string),
            verdict: if holds {
                Verdict::Matched
            } else {
                self.why_not(fields, &answers)
            },
            found: found.by_ref().take(SHOWN).map(value).collect(),
            more: found.count(),
            supplied: self.slot.is_some_and(|slot| fields.is_supplied(slot)),
            passed: places(true),
            missed: places(false),
        };
        Clause {
            what: What::Line(line),
            span: predicate.span,
            holds,
            decides: false,
            parts: Vec::new(),
        }
    }

    /// Why it does not hold.
    fn why_not(&self, fields: &Fields<'_>, answers: &[bool]) -> Verdict {
        if self.predicate.negated {
            return Verdict::Excluded;
        }
        if self
            .asked
            .iter()
            .all(|asked| matches!(asked, Asked::Exists(false)))
        {
            return Verdict::Excluded;
        }
        if let Some(slot) = self.slot
            && self.found(fields).all(|value| value.is_null())
        {
            return if fields.exists(slot) {
                Verdict::Empty
            } else {
                Verdict::Absent(None)
            };
        }
        let failed = || {
            let tests = self.predicate.tests.iter().zip(&self.asked).zip(answers);
            tests.filter(|(_, passed)| !**passed).map(|(test, _)| test)
        };
        let without_case = |(test, asked): (&Test, &Asked)| self.fits_uncased(test, asked, fields);
        let is_case = if self.predicate.all {
            failed().all(without_case)
        } else {
            failed().any(without_case)
        };
        if is_case {
            return Verdict::WrongCase;
        }
        let mut kinds = failed().map(|(test, _)| kind_of(test));
        let kind = kinds.next().flatten();
        match kind.filter(|kind| kinds.all(|other| other == Some(*kind))) {
            Some(kind) if !self.found(fields).any(|value| kind.is(value)) => {
                Verdict::WrongKind(kind)
            }
            _ => Verdict::WrongValue,
        }
    }

    /// Whether some value of the field would pass if case did not matter.
    fn fits_uncased(&self, test: &Test, asked: &Asked, fields: &Fields<'_>) -> bool {
        match (test.without_case(), asked) {
            (None, _) => false,
            (Some(_), Asked::IsLike(other, anchor, _)) => {
                self.is_like(fields, *other, *anchor, false)
            }
            (Some(uncased), _) => self.found(fields).any(|value| {
                let text = value.shown();
                text.is_some_and(|text| uncased.passes(value, &text, &fold(&text)))
            }),
        }
    }
}

impl Kind {
    fn is(self, value: Scalar<'_>) -> bool {
        let text = value.as_str();
        let text = text.as_deref();
        match self {
            Self::Number => {
                let spelled = text.and_then(|text| text.trim().parse::<f64>().ok());
                value.as_number().is_some() || spelled.is_some_and(f64::is_finite)
            }
            Self::Time => text.is_some_and(|text| crate::event::Time::parse(text.trim()).is_some()),
            Self::Address => text.is_some_and(|text| text.parse::<IpAddr>().is_ok()),
        }
    }
}

/// What a test compares values as, where not everything can be.
fn kind_of(test: &Test) -> Option<Kind> {
    match test {
        Test::Compare(None, ..) => Some(Kind::Number),
        Test::Compare(Some(_), ..) => Some(Kind::Time),
        Test::Cidr(_) => Some(Kind::Address),
        _ => None,
    }
}

/// A value as it is told.
pub(super) fn value(scalar: Scalar<'_>) -> Value {
    if let Some(text) = scalar.as_str() {
        return Value::String(clip(&text).into_owned());
    }
    if let Some(number) = scalar.as_number() {
        return Value::Number(number);
    }
    match scalar.shown() {
        Some(text) => Value::Bool(text == "true"),
        None if scalar.is_null() => Value::Null,
        None => Value::Object(serde_json::Map::new()),
    }
}

impl Verdict {
    /// Where the event has a field whose name differs in case alone, says so.
    pub fn look_around(&mut self, field: &str, event: &Value) {
        if let Self::Absent(near) = self {
            *near = like(&FieldPath::new(field), event);
        }
    }
}

/// The path of a field of the event that is spelled like this one but for case.
fn like(field: &FieldPath, event: &Value) -> Option<String> {
    let mut at = event;
    let mut path = Vec::new();
    for step in field.steps() {
        while let Value::Array(items) = at {
            at = items.first()?;
        }
        let map = at.as_object()?;
        let folded = fold(step);
        let exact = map.get_key_value(step);
        let (key, value) = exact.or_else(|| map.iter().find(|(key, _)| fold(key) == folded))?;
        path.push(key.as_str());
        at = value;
    }
    Some(path.join("."))
}
