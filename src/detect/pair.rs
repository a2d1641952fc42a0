//! A detection over two events: its fields begin with `a.` for the earlier one
//! and with `b.` for the later one.
//!
//! It is asked of what was kept of the events, which is the texts of values. So a
//! number is its text, and what is null or has no value is not there.

use crate::detect::capture::CaptureId;
use crate::detect::compile::Scope;
use crate::detect::condition::Condition;
use crate::detect::correlation::codes;
use crate::detect::modifiers::{FIELDREF, Test};
use crate::detect::pattern::Anchor;
use crate::detect::predicate::Predicate;
use crate::detect::relation::stands_in;
use crate::detect::search::Detection;
use crate::detect::seen::Member;
use crate::diag::{Problems, Span};
use crate::document::{Key, Kind, Node};
use crate::event::{FieldPath, fold};

/// One of the two events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Earlier,
    Later,
}

/// A field of one of the events, as written: `a.client.ipAddress`.
fn side_of(field: &str) -> Option<(Side, &str)> {
    let earlier = field.strip_prefix("a.").map(|path| (Side::Earlier, path));
    let side = earlier.or_else(|| field.strip_prefix("b.").map(|path| (Side::Later, path)));
    side.filter(|(_, path)| !path.is_empty())
}

/// Reports fields that are of neither event, and keywords; gives the others with their
/// places. It looks at what is written, so that no other mistake hides these.
pub(super) fn check_pair(node: &Node, problems: &mut Problems) -> Vec<(String, Span)> {
    let Kind::Map(entries) = &node.kind else {
        return Vec::new(); // reported with the searches
    };
    let searches = entries
        .iter()
        .filter(|(key, _)| !["condition", "timeframe"].contains(&key.text.as_str()));
    let mut fields = Vec::new();
    for (_, search) in searches {
        let alternatives = match &search.kind {
            Kind::List(alternatives) => alternatives.as_slice(),
            _ => std::slice::from_ref(search),
        };
        for alternative in alternatives {
            match &alternative.kind {
                Kind::Map(lines) => lines
                    .iter()
                    .for_each(|(key, value)| check_line(key, value, &mut fields, problems)),
                Kind::Text(_) | Kind::Number(_) | Kind::Bool(_) => {
                    refuse_keyword(alternative.span, problems);
                }
                _ => {} // reported with the searches
            }
        }
    }
    fields
}

fn check_line(key: &Key, value: &Node, fields: &mut Vec<(String, Span)>, problems: &mut Problems) {
    let mut parts = key.text.split('|');
    match parts.next() {
        None | Some("") => refuse_keyword(key.span, problems),
        Some(field) => check_field(field, key.span, fields, problems),
    }
    if parts.any(|modifier| modifier == FIELDREF) {
        let values = match &value.kind {
            Kind::List(values) => values.as_slice(),
            _ => std::slice::from_ref(value),
        };
        for value in values {
            if let Some(field) = value.scalar_text() {
                check_field(&field, value.span, fields, problems);
            }
        }
    }
}

fn refuse_keyword(span: Span, problems: &mut Problems) {
    problems
        .error(codes::CONDITION, span, "a pair has no keywords")
        .help("name the field, such as `a.client.ipAddress`");
}

fn check_field(field: &str, span: Span, fields: &mut Vec<(String, Span)>, problems: &mut Problems) {
    if let Some((_, path)) = side_of(field) {
        return fields.push((path.to_owned(), span));
    }
    let message = format!("`{field}` is a field of neither event");
    problems
        .error(codes::CONDITION, span, message)
        .help(format!(
            "write `a.{field}` for the earlier event, `b.{field}` for the later one"
        ));
}

/// A detection over a pair, ready to run.
#[derive(Clone, Debug)]
pub(super) struct PairProgram {
    searches: Vec<Search>,
    condition: Condition,
}

/// Any of the alternatives, each of which needs all its lines.
#[derive(Clone, Debug)]
struct Search {
    name: String,
    alternatives: Vec<Vec<Line>>,
}

#[derive(Clone, Debug)]
struct Line {
    side: Side,
    field: CaptureId,
    asked: Vec<Asked>,
    all: bool,
    negated: bool,
    shown: String,
}

#[derive(Clone, Debug)]
enum Asked {
    Passes(Test),
    HasValue(bool),
    IsLike(Side, CaptureId, Anchor, bool),
}

impl PairProgram {
    /// Makes a checked detection over a pair ready to run.
    pub(super) fn new(detection: &Detection, scope: &mut Scope<'_>) -> Self {
        let (searches, condition, _) = detection.parts();
        let searches = searches.iter().map(|search| Search {
            name: search.name.clone(),
            alternatives: search
                .alternatives
                .iter()
                .map(|lines| {
                    lines
                        .iter()
                        .filter_map(|line| Line::new(line, scope))
                        .collect()
                })
                .collect(),
        });
        Self {
            searches: searches.collect(),
            condition: condition.clone(),
        }
    }

    pub(super) fn holds(&self, earlier: &Member, later: &Member) -> bool {
        let pair = (earlier, later);
        self.condition.holds(&mut |at| {
            let search = self.searches.get(at);
            search.is_some_and(|search| search.reason(pair).is_some())
        })
    }

    /// Why it holds: each search that does.
    pub(super) fn reason(&self, earlier: &Member, later: &Member) -> String {
        let pair = (earlier, later);
        let reasons = self
            .searches
            .iter()
            .filter_map(|search| search.reason(pair));
        reasons.collect::<Vec<_>>().join("; ")
    }
}

/// The earlier event and the later one.
type Pair<'m> = (&'m Member, &'m Member);

impl Side {
    fn of<'m>(self, (earlier, later): Pair<'m>) -> &'m Member {
        match self {
            Self::Earlier => earlier,
            Self::Later => later,
        }
    }
}

impl Search {
    /// The first alternative that holds, in the words of a reason.
    fn reason(&self, pair: Pair<'_>) -> Option<String> {
        let holds = |lines: &&Vec<Line>| lines.iter().all(|line| line.holds(pair));
        let lines = self.alternatives.iter().find(holds)?;
        let shown: Vec<&str> = lines.iter().map(|line| line.shown.as_str()).collect();
        Some(format!("{}: {}", self.name, shown.join(", ")))
    }
}

impl Line {
    fn new(predicate: &Predicate, scope: &mut Scope<'_>) -> Option<Self> {
        let mut resolve = |field: &FieldPath| {
            let (side, path) = side_of(field.as_str())?;
            Some((side, scope.id(&FieldPath::new(path))))
        };
        let (side, field) = resolve(predicate.field.as_ref()?)?;
        let asked = predicate.tests.iter().filter_map(|test| match test {
            Test::Null => Some(Asked::HasValue(false)),
            Test::Exists(wanted) => Some(Asked::HasValue(*wanted)),
            Test::SameAs(other, anchor, cased) => {
                let (side, field) = resolve(other)?;
                Some(Asked::IsLike(side, field, *anchor, *cased))
            }
            test => Some(Asked::Passes(test.clone())),
        });
        Some(Self {
            asked: asked.collect(),
            side,
            field,
            all: predicate.all,
            negated: predicate.negated,
            shown: predicate.shown.clone(),
        })
    }

    fn holds(&self, pair: Pair<'_>) -> bool {
        let holds = |asked: &Asked| self.answers(asked, pair);
        let result = if self.all {
            self.asked.iter().all(holds)
        } else {
            self.asked.iter().any(holds)
        };
        result != self.negated
    }

    fn answers(&self, asked: &Asked, pair: Pair<'_>) -> bool {
        let mut values = self.side.of(pair).values().all(self.field);
        match asked {
            Asked::Passes(test) => values.any(|text| test.passes_text(text)),
            Asked::HasValue(wanted) => values.next().is_some() == *wanted,
            Asked::IsLike(side, field, anchor, cased) => {
                let spelled = |text: &str| if *cased { text.to_owned() } else { fold(text) };
                let others = side.of(pair).values().all(*field).map(spelled);
                let values: Vec<String> = values.map(spelled).collect();
                stands_in(others.collect(), &values, *anchor)
            }
        }
    }
}
