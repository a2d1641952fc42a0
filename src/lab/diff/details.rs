//! How two versions of a thing differ, key by key, in words and with both values.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use crate::detect::DESCRIPTIVE;
use crate::diag::{Span, counted};
use crate::document::{Key, Kind as Shape, Node};
use crate::event::Nanos;
use crate::lab::diff::things::{Kind, Place, Places, TEXT};

/// Whether a difference can change an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Matters {
    /// It changes no output.
    Nothing,
    /// It changes what is shown, and no decision that is made without a model.
    Shown,
    /// It may change what is decided.
    Decides,
}

impl Matters {
    /// What a person reads.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "no effect",
            Self::Shown => "shown only",
            Self::Decides => "decides",
        }
    }
}

/// One difference between two versions of a thing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Detail {
    /// In words: `threshold`, `window`.
    pub what: String,
    /// The keys that lead there, with dots between them.
    pub path: String,
    /// What it was; absent where there was nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What it is; absent where there is nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// Where it was written; what was not there has no place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<Place>,
    /// Where it is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<Place>,
    /// Whether it can change an output.
    pub matters: Matters,
}

/// What the meaning of a difference hangs on beside itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct About {
    /// Whether a prompt of either side shows the description of a rule, or a script is given it.
    pub(super) description_is_read: bool,
    /// Whether a correlation of either side chooses rules by what these say of themselves.
    pub(super) rules_are_selected: bool,
}

/// Every difference between two versions of a thing.
pub(super) fn details(
    kind: Kind,
    (base, base_places): (&Node, Places<'_>),
    (head, head_places): (&Node, Places<'_>),
    about: About,
) -> Vec<Detail> {
    let mut walk = Walk {
        kind,
        about,
        base: base_places,
        head: head_places,
        path: Vec::new(),
        found: Vec::new(),
    };
    walk.compare(base, head);
    walk.found
}

/// So many values of a list are told one by one.
const ONE_BY_ONE: usize = 8;

struct Walk<'s> {
    kind: Kind,
    about: About,
    base: Places<'s>,
    head: Places<'s>,
    /// The keys to where the walk is.
    path: Vec<String>,
    found: Vec<Detail>,
}

impl Walk<'_> {
    fn compare(&mut self, base: &Node, head: &Node) {
        match (&base.kind, &head.kind) {
            (Shape::Map(base), Shape::Map(head)) => self.maps(base, head),
            (Shape::List(base), Shape::List(head)) => self.lists(base, head),
            (Shape::List(items), _) if is_one_of_many(head) => {
                self.lists(items, std::slice::from_ref(head));
            }
            (_, Shape::List(items)) if is_one_of_many(base) => {
                self.lists(std::slice::from_ref(base), items);
            }
            (Shape::Text(before), Shape::Text(after)) if self.is_long_text() => {
                if before != after {
                    self.long_text((before, base.span), (after, head.span));
                }
            }
            (before, after) => {
                if before_is_not(base, head) {
                    let alike = self.is_written_otherwise(before, after);
                    self.changed(base, head, alike);
                }
            }
        }
    }

    fn maps(&mut self, base: &[(Key, Node)], head: &[(Key, Node)]) {
        for (key, before) in base {
            self.path.push(key.text.clone());
            match find(head, &key.text) {
                Some((_, after)) => self.compare(before, after),
                None => self.one_sided(Some((before, key.span)), None),
            }
            self.path.pop();
        }
        for (key, after) in head {
            if find(base, &key.text).is_none() {
                self.path.push(key.text.clone());
                self.one_sided(None, Some((after, key.span)));
                self.path.pop();
            }
        }
    }

    /// Values that are on both sides are the same; the others were removed or added.
    fn lists(&mut self, base: &[Node], head: &[Node]) {
        let (gone, kept_in_base) = without(base, head);
        let (new, kept_in_head) = without(head, base);
        let scalars = |items: &[&Node]| {
            items
                .iter()
                .all(|node| node.scalar_text().is_some() || node.kind == Shape::Null)
        };
        if let (true, true, [one], [other]) = (
            scalars(&gone),
            scalars(&new),
            gone.as_slice(),
            new.as_slice(),
        ) {
            self.changed(one, other, false);
        } else if scalars(&gone) && scalars(&new) {
            self.values(&gone, true);
            self.values(&new, false);
        } else {
            self.trees(&gone, &new);
        }
        if kept_in_base != kept_in_head {
            self.reordered(base, head);
        }
    }

    /// Scalars that one side has alone.
    fn values(&mut self, nodes: &[&Node], are_gone: bool) {
        let told_together = nodes.len() > ONE_BY_ONE;
        if let (true, Some(first)) = (told_together, nodes.first()) {
            let all: Value = nodes.iter().map(|node| node.to_json()).collect();
            let (side, place) = self.sides(are_gone, first.span);
            self.push(side.map(|()| all), place);
            return;
        }
        for node in nodes {
            let place = (*node, node.span);
            if are_gone {
                self.one_sided(Some(place), None);
            } else {
                self.one_sided(None, Some(place));
            }
        }
    }

    /// Which of two a value stands on, and its place there.
    fn sides(&self, is_base: bool, span: Span) -> (Sided<()>, (Option<Place>, Option<Place>)) {
        if is_base {
            (Sided::Base(()), (Some(self.base.place(span)), None))
        } else {
            (Sided::Head(()), (None, Some(self.head.place(span))))
        }
    }

    /// Mappings in a list have no names: what is left of the two sides is compared in order.
    fn trees(&mut self, gone: &[&Node], new: &[&Node]) {
        for at in 0..gone.len().max(new.len()) {
            self.path.push((at + 1).to_string());
            match (gone.get(at), new.get(at)) {
                (Some(before), Some(after)) => self.compare(before, after),
                (before, after) => {
                    let placed = |node: &&Node| -> (Node, Span) { ((*node).clone(), node.span) };
                    let (before, after) = (before.map(placed), after.map(placed));
                    self.one_sided(
                        before.as_ref().map(|(node, span)| (node, *span)),
                        after.as_ref().map(|(node, span)| (node, *span)),
                    );
                }
            }
            self.path.pop();
        }
    }

    fn reordered(&mut self, base: &[Node], head: &[Node]) {
        let json = |nodes: &[Node]| nodes.iter().map(Node::to_json).collect::<Value>();
        let first = |nodes: &[Node]| nodes.first().map(|node| node.span);
        let detail = Detail {
            what: format!("order of {}", self.what()),
            path: self.shown_path(),
            before: Some(json(base)),
            after: Some(json(head)),
            base: first(base).map(|span| self.base.place(span)),
            head: first(head).map(|span| self.head.place(span)),
            matters: self.order_matters(),
        };
        self.found.push(detail);
    }

    fn changed(&mut self, base: &Node, head: &Node, alike: bool) {
        let detail = Detail {
            what: self.what(),
            path: self.shown_path(),
            before: Some(base.to_json()),
            after: Some(head.to_json()),
            base: Some(self.base.place(base.span)),
            head: Some(self.head.place(head.span)),
            matters: if alike {
                Matters::Nothing
            } else {
                self.matters()
            },
        };
        self.found.push(detail);
    }

    fn one_sided(&mut self, base: Option<(&Node, Span)>, head: Option<(&Node, Span)>) {
        let detail = Detail {
            what: self.what(),
            path: self.shown_path(),
            before: base.map(|(node, _)| node.to_json()),
            after: head.map(|(node, _)| node.to_json()),
            base: base.map(|(_, span)| self.base.place(span)),
            head: head.map(|(_, span)| self.head.place(span)),
            matters: self.matters(),
        };
        self.found.push(detail);
    }

    fn push(&mut self, value: Sided<Value>, (base, head): (Option<Place>, Option<Place>)) {
        let (before, after) = match value {
            Sided::Base(value) => (Some(value), None),
            Sided::Head(value) => (None, Some(value)),
        };
        let detail = Detail {
            what: self.what(),
            path: self.shown_path(),
            before,
            after,
            base,
            head,
            matters: self.matters(),
        };
        self.found.push(detail);
    }

    /// Texts of many lines: the first line that differs stands for them.
    fn long_text(&mut self, (before, at): (&str, Span), (after, head_at): (&str, Span)) {
        let diff = TextDiff::from_lines(before, after);
        let (mut gone, mut new) = (Vec::new(), Vec::new());
        for change in diff.iter_all_changes() {
            let line = change.value().trim_end().to_owned();
            match change.tag() {
                ChangeTag::Delete => gone.push((change.old_index().unwrap_or(0), line)),
                ChangeTag::Insert => new.push((change.new_index().unwrap_or(0), line)),
                ChangeTag::Equal => {}
            }
        }
        let place = |place: Place, lines: &[(usize, String)], others: &[(usize, String)]| Place {
            line: place.line + lines.first().or(others.first()).map_or(0, |(at, _)| *at),
            ..place
        };
        let lines = |lines: &[(usize, String)]| counted(lines.len() as u64, "line");
        let counts = format!(
            "{} ({} removed, {} added)",
            self.what(),
            lines(&gone),
            lines(&new)
        );
        let first =
            |lines: &[(usize, String)]| lines.first().map(|(_, line)| Value::from(line.as_str()));
        let alike = self.kind == Kind::Script
            && code_of(before).is_some()
            && code_of(before) == code_of(after);
        let detail = Detail {
            what: counts,
            path: self.shown_path(),
            before: first(&gone),
            after: first(&new),
            base: Some(place(self.base.place(at), &gone, &new)),
            head: Some(place(self.head.place(head_at), &new, &gone)),
            matters: if alike {
                Matters::Nothing
            } else {
                self.matters()
            },
        };
        self.found.push(detail);
    }

    fn is_long_text(&self) -> bool {
        self.kind == Kind::Script || (self.kind == Kind::Prompt && self.steps() == [TEXT])
    }

    fn steps(&self) -> Vec<&str> {
        self.path.iter().map(String::as_str).collect()
    }

    fn shown_path(&self) -> String {
        self.path.join(".")
    }

    fn what(&self) -> String {
        words(self.kind, &self.steps())
    }

    /// Whether two scalars that differ say the same here.
    fn is_written_otherwise(&self, before: &Shape, after: &Shape) -> bool {
        let (Shape::Text(before), Shape::Text(after)) = (before, after) else {
            return false;
        };
        let last = self.path.last().map_or("", String::as_str);
        if matches!(
            last,
            "timespan" | "suppress" | "within" | "retention" | "timeout"
        ) {
            let spans = Nanos::parse(before).zip(Nanos::parse(after));
            return spans.is_some_and(|(before, after)| before == after);
        }
        let is_condition = last == "condition" && matches!(self.kind, Kind::Rule | Kind::Filter);
        is_condition && before.split_whitespace().eq(after.split_whitespace())
    }

    fn matters(&self) -> Matters {
        matters(self.kind, &self.steps(), self.about)
    }

    /// The order of values that are alternatives, or a set, is layout.
    fn order_matters(&self) -> Matters {
        let is_set = match (self.kind, self.steps().as_slice()) {
            (Kind::Rule, ["tags", ..] | ["rulectl", "metadata"])
            | (Kind::Filter, ["filter", "rules"]) => true,
            (Kind::Rule, ["detection", ..]) | (Kind::Filter, ["filter", ..]) => {
                return Matters::Shown;
            }
            (Kind::List, ["values"]) => true,
            (Kind::Route, ["allow"] | ["order"]) => true,
            (Kind::Table, ["severities" | "approval" | "secret"]) => true,
            _ => false,
        };
        if is_set {
            Matters::Nothing
        } else {
            self.matters()
        }
    }
}

/// A value on one side.
enum Sided<T> {
    Base(T),
    Head(T),
}

impl<T> Sided<T> {
    fn map<U>(self, with: impl FnOnce(T) -> U) -> Sided<U> {
        match self {
            Self::Base(value) => Sided::Base(with(value)),
            Self::Head(value) => Sided::Head(with(value)),
        }
    }
}

fn find<'n>(entries: &'n [(Key, Node)], key: &str) -> Option<&'n (Key, Node)> {
    entries.iter().find(|(known, _)| known.text == key)
}

/// A scalar may stand for a list of one wherever lists are written.
fn is_one_of_many(node: &Node) -> bool {
    !matches!(node.kind, Shape::Map(_) | Shape::List(_))
}

fn before_is_not(base: &Node, head: &Node) -> bool {
    base.to_json() != head.to_json()
}

/// The items that the other list does not have as often, and the texts of the rest in order.
fn without<'n>(items: &'n [Node], others: &[Node]) -> (Vec<&'n Node>, Vec<String>) {
    let mut left: BTreeMap<String, usize> = BTreeMap::new();
    for other in others {
        *left.entry(other.to_json().to_string()).or_default() += 1;
    }
    let (mut alone, mut kept) = (Vec::new(), Vec::new());
    for item in items {
        let text = item.to_json().to_string();
        match left.get_mut(&text).filter(|count| **count > 0) {
            Some(count) => {
                *count -= 1;
                kept.push(text);
            }
            None => alone.push(item),
        }
    }
    (alone, kept)
}

/// A script without its comments and empty lines; `None` where telling them takes a parser.
fn code_of(script: &str) -> Option<Vec<&str>> {
    if script.contains('`') || script.contains("/*") {
        return None;
    }
    let lines = script.lines().map(str::trim);
    Some(
        lines
            .filter(|line| !line.is_empty() && !line.starts_with("//"))
            .collect(),
    )
}

/// What a person calls what stands at a path.
fn words(kind: Kind, path: &[&str]) -> String {
    let known = match (kind, path) {
        (Kind::Rule, ["detection", "condition"]) => "condition",
        (Kind::Rule, ["detection", clause]) => return format!("clause `{clause}`"),
        (Kind::Rule, ["detection", _, rest @ ..]) => return of_line(rest),
        (Kind::Rule, path) => words_of_rule(path),
        (Kind::Filter, ["filter", "rules", ..]) => "rules it is for",
        (Kind::Filter, ["filter", "condition"]) => "condition",
        (Kind::Filter, ["filter", clause]) => return format!("clause `{clause}`"),
        (Kind::Filter, ["filter", _, rest @ ..]) => return of_line(rest),
        (Kind::List, ["values", ..]) => "value",
        (Kind::List, ["kind"]) => "kind of its values",
        (Kind::List, ["columns"]) => "columns",
        (Kind::Accessor, []) => "how its texts are read",
        (Kind::Script, _) | (Kind::Prompt, [TEXT]) => "text",
        (Kind::Prompt, ["schema", ..]) => "schema of the reply",
        (Kind::Prompt, ["context", ..]) => "field that reaches the model",
        (Kind::Prompt, ["limits", ..]) => "limit",
        (Kind::Route, ["allow", ..]) => "agent that is allowed",
        (Kind::Route, ["require", ..]) => "agent that is required",
        (Kind::Route, ["require_when", ..]) => "requirement under a condition",
        (Kind::Route, ["order", ..]) => "order of agents",
        (Kind::Table, ["threshold"]) => "threshold",
        (Kind::Table, ["severities", ..]) => "severity that promotes",
        (Kind::Table, ["when"]) => "expression that promotes",
        (Kind::Table, ["approval", ..]) => "step that needs approval",
        (Kind::Table, ["mandatory", ..]) => "mandatory step",
        (Kind::Table, ["default", ..]) => "step of the default plan",
        (Kind::Table, ["secret", ..]) => "secret field",
        (Kind::Table, ["retention"]) => "retention",
        (Kind::Slot, ["may"]) => "what a model may do",
        (Kind::Slot, ["formula"]) => "formula of the score",
        (Kind::Slot, ["ask"]) => "whether a model is asked",
        (Kind::Slot, ["default", ..]) => "what it holds without a model",
        (Kind::Command, ["get" | "post" | "put" | "delete"]) => "method and path",
        _ => "",
    };
    match (known, path.last()) {
        ("", Some(last)) => format!("`{last}`"),
        ("", None) => kind.as_str().to_owned(),
        (known, _) => known.to_owned(),
    }
}

fn words_of_rule(path: &[&str]) -> &'static str {
    match path {
        [
            "correlation",
            "condition",
            "gt" | "gte" | "lt" | "lte" | "eq" | "neq",
        ] => "threshold",
        ["correlation", "condition", ..] => "condition of the correlation",
        ["correlation", "timespan"] => "window",
        ["correlation", "group-by", ..] => "field it groups by",
        ["correlation", "rules", ..] => "rule it counts",
        ["correlation", "type"] => "type of correlation",
        ["rulectl", "risk", ..] => "default risk",
        ["rulectl", "floor", ..] => "floor",
        ["rulectl", "suppress"] => "suppression",
        ["rulectl", "user"] => "account it is about",
        ["rulectl", "metadata", ..] => "field that findings list",
        ["rulectl", "group-by", ..] => "field it groups by",
        ["rulectl", "finding_type"] => "type of finding",
        ["rulectl", "summary"] => "text of findings",
        ["rulectl", "script", ..] => "script",
        ["rulectl", "tests", ..] => "test",
        ["rulectl", "behaviour"] => "behaviour that it covers",
        ["logsource", ..] => "log source",
        ["level"] => "level",
        ["tags", ..] => "tag",
        _ => "",
    }
}

/// What a part of a clause is called.
fn of_line(rest: &[&str]) -> String {
    match rest {
        [] => "keyword".to_owned(),
        [.., last] => format!("line `{last}`"),
    }
}

fn matters(kind: Kind, path: &[&str], about: About) -> Matters {
    use Matters::{Decides, Nothing, Shown};
    match (kind, path) {
        (Kind::Rule | Kind::Filter, [key, ..]) if DESCRIPTIVE.contains(key) => Nothing,
        (Kind::Rule | Kind::Filter, ["logsource", "definition"]) => Nothing,
        (Kind::Rule, ["description"]) if about.description_is_read => Decides,
        (Kind::Rule | Kind::Filter, ["description"]) => Nothing,
        (Kind::Rule, ["rulectl", "tests" | "behaviour", ..]) => Nothing,
        (Kind::Rule, ["tags", ..]) if about.rules_are_selected => Decides,
        (
            Kind::Rule,
            ["title" | "author" | "tags" | "name" | "id", ..] | ["rulectl", "summary"],
        ) => Shown,
        (
            Kind::Rule,
            [
                "level" | "detection" | "correlation" | "rulectl" | "logsource" | "generate",
                ..,
            ],
        ) => Decides,
        // A key that Sigma does not have: there is a warning, and nothing reads it.
        (Kind::Rule, [_, ..]) => Nothing,
        (Kind::Filter, ["title"]) => Shown,
        (Kind::Filter, ["filter" | "logsource", ..]) => Decides,
        (Kind::Filter, [_, ..]) => Nothing,
        (Kind::Agent, ["description" | "input" | "output" | "phase"]) => Shown,
        (Kind::Table, ["step", _, "description" | "rationale"] | ["goal", ..]) => Shown,
        (Kind::Command, ["description" | "notes" | "scope"]) => Shown,
        (
            Kind::Tool | Kind::Recipe,
            [
                "description" | "notes" | "examples" | "imported" | "response",
                ..,
            ],
        ) => Shown,
        (Kind::Slot, ["formula"]) => Decides,
        (Kind::Gate, _) => Nothing,
        _ => Decides,
    }
}
