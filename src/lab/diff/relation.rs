//! How what two versions of a rule match relates, shown with events that were run through both.

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::detect::{Logic, Relation, Rule, Scratch, Versions, compare_versions};
use crate::document::{Kind as Shape, Node};
use crate::event::Nanos;
use crate::lab::diff::Side;
use crate::lab::diff::things::{Thing, entry};
use crate::okta::{Mapping, Records};

/// How two versions of a rule relate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Related {
    /// What the head matches, beside the base.
    pub relation: Relation,
    /// An event that the base matches and the head does not: both were asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only_base: Option<Value>,
    /// An event that the head matches and the base does not: both were asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only_head: Option<Value>,
    /// Why it is undecided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Related {
    fn of(relation: Relation) -> Self {
        Self {
            relation,
            only_base: None,
            only_head: None,
            why: None,
        }
    }

    fn undecided(why: impl Into<String>) -> Self {
        Self {
            why: Some(why.into()),
            ..Self::of(Relation::Undecided)
        }
    }
}

impl From<Versions> for Related {
    fn from(versions: Versions) -> Self {
        Self {
            relation: versions.relation,
            only_base: versions.only_base,
            only_head: versions.only_head,
            why: versions.why,
        }
    }
}

/// A rule of a side, with what is written of it.
pub(super) type Version<'s> = (&'s Side, &'s Rule);

/// Correlations name each other this deep at the most.
const DEEPEST: usize = 32;

/// How two versions of a rule relate. `written` gives the tree of a rule of a side.
pub(super) fn relate(
    base: Version<'_>,
    head: Version<'_>,
    things: (&[Thing], &[Thing]),
) -> Related {
    Relating { things }.rules(base, head, 0)
}

struct Relating<'s> {
    things: (&'s [Thing], &'s [Thing]),
}

impl Relating<'_> {
    fn rules(&self, base: Version<'_>, head: Version<'_>, depth: usize) -> Related {
        let correlations =
            [base, head].map(|(_, rule)| matches!(rule.logic, Logic::Correlation(_)));
        match correlations {
            [false, false] => detections(base, head),
            [true, true] if depth < DEEPEST => self.correlations(base, head, depth),
            _ => Related::undecided("a detection and a correlation are not compared"),
        }
    }

    fn correlations(&self, base: Version<'_>, head: Version<'_>, depth: usize) -> Related {
        let written = (
            written(self.things.0, base.1.id),
            written(self.things.1, head.1.id),
        );
        let (Some(before), Some(after)) = written else {
            return Related::undecided("what is written of the rule was not found");
        };
        let kind = text(after, "type");
        if let Some(key) = other_key(before, after) {
            return Related::undecided(format!("`{key}` of the correlation changed"));
        }
        let bounds = (Bounds::read(before, &kind), Bounds::read(after, &kind));
        let feeds = match self.feeds(base, head, depth) {
            Ok(relations) => relations,
            Err(why) => return Related::undecided(why),
        };
        let mut all = vec![feeds];
        let same_condition = json(before, "condition") == json(after, "condition");
        let spans = (span(before), span(after));
        if !same_condition || spans.0 != spans.1 || feeds != Relation::Equivalent {
            let (Some(before), Some(after)) = bounds else {
                let why = format!("what a correlation of type `{kind}` finds is not compared");
                return Related::undecided(why);
            };
            let grows = before.grows() && after.grows();
            if !same_condition {
                all.push(before.relation(&after));
            }
            if counted(written.0) != counted(written.1) {
                return Related::undecided("it counts the values of another field");
            }
            if feeds != Relation::Equivalent && !grows {
                return Related::undecided("with more events its condition may hold or not");
            }
            match spans.1.cmp(&spans.0) {
                _ if before.is_any() && after.is_any() => {}
                std::cmp::Ordering::Equal => {}
                _ if !grows => {
                    return Related::undecided("in another window its condition may hold or not");
                }
                std::cmp::Ordering::Less => all.push(Relation::Narrower),
                std::cmp::Ordering::Greater => all.push(Relation::Broader),
            }
        }
        together(&all)
    }

    /// How the rules that two correlations count relate, all together.
    fn feeds(
        &self,
        base: Version<'_>,
        head: Version<'_>,
        depth: usize,
    ) -> Result<Relation, String> {
        let named = |(side, rule): Version<'_>| -> Option<Vec<Uuid>> {
            let Logic::Correlation(correlation) = &rule.logic else {
                return None;
            };
            if correlation.selection.is_some() {
                return None;
            }
            let rules = || side.policy.rules.values();
            let ids = correlation.rules.iter().map(|(name, _)| {
                let mut called = rules().filter(|rule| rule.is_called(name));
                called.next().map(|rule| rule.id)
            });
            ids.collect()
        };
        let (Some(before), Some(after)) = (named(base), named(head)) else {
            return Err("it chooses its rules by what these say of themselves".to_owned());
        };
        if before.len() != after.len() {
            return Err("it counts other rules".to_owned());
        }
        let mut all = Vec::new();
        for (before, after) in before.iter().zip(&after) {
            let digests = (
                base.0.policy.detector.logic_digest(*before),
                head.0.policy.detector.logic_digest(*after),
            );
            if digests.0 == digests.1 {
                continue;
            }
            let rules = (
                base.0.policy.rules.get(before),
                head.0.policy.rules.get(after),
            );
            let (Some(one), Some(other)) = rules else {
                return Err("it counts other rules".to_owned());
            };
            let related = self.rules((base.0, one), (head.0, other), depth + 1);
            if related.relation == Relation::Undecided {
                let why = related.why.unwrap_or_default();
                return Err(format!("of `{}`, which it counts: {why}", other.label()));
            }
            all.push(related.relation);
        }
        match together(&all) {
            Related { why: Some(why), .. } => Err(why),
            related => Ok(related.relation),
        }
    }
}

/// What several things that changed come to.
fn together(all: &[Relation]) -> Related {
    let mut moved = all
        .iter()
        .filter(|relation| **relation != Relation::Equivalent);
    let Some(first) = moved.next() else {
        return Related::of(Relation::Equivalent);
    };
    if *first == Relation::Incomparable || moved.any(|other| other != first) {
        return Related::undecided("some of it lets less through, and some of it more");
    }
    Related::of(*first)
}

/// Two detections, each event asked of both policies.
fn detections(base: Version<'_>, head: Version<'_>) -> Related {
    let (mut of_base, mut of_head) = (Asking::of(base.0), Asking::of(head.0));
    let (before, after) = (base.1.id, head.1.id);
    let mut matching = |event: &Value| {
        (
            of_base.matches(event, before),
            of_head.matches(event, after),
        )
    };
    compare_versions(base.1, head.1, &mut matching).into()
}

/// Asks the detector of a side of one event after the other.
struct Asking<'s> {
    side: &'s Side,
    records: Records,
    scratch: Scratch,
}

impl<'s> Asking<'s> {
    fn of(side: &'s Side) -> Self {
        let detector = &side.policy.detector;
        Self {
            side,
            records: Records::new(Mapping::Okta, detector.wanted()).of_events(),
            scratch: detector.scratch(),
        }
    }

    fn matches(&mut self, event: &Value, rule: Uuid) -> bool {
        let detector = &self.side.policy.detector;
        let mut matches = Vec::new();
        let scratch = &mut self.scratch;
        let read = self
            .records
            .read(event.to_string().as_bytes(), &mut |event, _| {
                detector.scan(scratch, event, &mut matches);
            });
        read.is_ok()
            && matches
                .iter()
                .any(|found| detector.rule_of(found) == Some(rule))
    }
}

/// The correlation of a rule, as it is written.
fn written(things: &[Thing], rule: Uuid) -> Option<&Node> {
    let mut things = things.iter();
    let thing = things.find(|thing| thing.rule.is_some_and(|(id, _)| id == rule))?;
    entry(&thing.node, "correlation")
}

fn json(node: &Node, key: &str) -> Option<Value> {
    entry(node, key).map(Node::to_json)
}

fn text(node: &Node, key: &str) -> String {
    let value = entry(node, key).and_then(Node::scalar_text);
    value.unwrap_or_default()
}

fn span(node: &Node) -> Option<Nanos> {
    Nanos::parse(&text(node, "timespan"))
}

/// The first key that differs and that is none of those which can be compared.
fn other_key<'n>(base: &'n Node, head: &'n Node) -> Option<&'n str> {
    const COMPARED: [&str; 4] = ["condition", "timespan", "rules", "generate"];
    let (Shape::Map(before), Shape::Map(after)) = (&base.kind, &head.kind) else {
        return Some("type");
    };
    let keys = before.iter().chain(after).map(|(key, _)| key.text.as_str());
    let mut other =
        keys.filter(|key| !COMPARED.contains(key) && json(base, key) != json(head, key));
    other.next()
}

/// The field whose values are counted.
fn counted(correlation: Option<&Node>) -> Option<Value> {
    json(entry(correlation?, "condition")?, "field")
}

/// The bounds of a correlation that counts.
struct Bounds(Vec<(String, f64)>);

impl Bounds {
    /// `None` where the type does not count, or asks for something else.
    fn read(correlation: &Node, kind: &str) -> Option<Self> {
        let condition = entry(correlation, "condition");
        match (kind, condition) {
            // Each of the rules, however many events: more is never less.
            ("temporal" | "temporal_ordered", None) => Some(Self(Vec::new())),
            ("event_count" | "value_count" | "temporal", Some(node)) => {
                let Shape::Map(entries) = &node.kind else {
                    return None;
                };
                let bounds = entries.iter().filter(|(key, _)| key.text != "field");
                let bounds = bounds.map(|(key, node)| {
                    let number = node.scalar_text().and_then(|text| text.parse().ok());
                    Some((key.text.clone(), number?))
                });
                bounds.collect::<Option<Vec<_>>>().map(Self)
            }
            _ => None,
        }
    }

    /// Whether a count that is large enough stays so when it grows.
    fn grows(&self) -> bool {
        self.0.iter().all(|(name, _)| name == "gt" || name == "gte")
    }

    /// Whether one event is enough.
    fn is_any(&self) -> bool {
        !self.0.is_empty() && self.grows() && self.hold(1.0)
    }

    #[expect(clippy::float_cmp, reason = "counts are whole numbers")]
    fn hold(&self, count: f64) -> bool {
        self.0.iter().all(|(name, limit)| match name.as_str() {
            "gt" => count > *limit,
            "gte" => count >= *limit,
            "lt" => count < *limit,
            "lte" => count <= *limit,
            "eq" => count == *limit,
            _ => count != *limit,
        })
    }

    /// Counts at and beside the bounds of both stand for all.
    fn relation(&self, head: &Self) -> Relation {
        let limits = self.0.iter().chain(&head.0).map(|(_, limit)| *limit);
        let counts = limits.flat_map(|limit| [limit - 1.0, limit, limit + 1.0]);
        let counts: Vec<f64> = counts.filter(|count| *count >= 1.0).chain([1.0]).collect();
        let only = |one: &Self, other: &Self| {
            counts
                .iter()
                .any(|count| one.hold(*count) && !other.hold(*count))
        };
        match (only(self, head), only(head, self)) {
            (false, false) => Relation::Equivalent,
            (true, false) => Relation::Narrower,
            (false, true) => Relation::Broader,
            (true, true) => Relation::Incomparable,
        }
    }
}
