//! What a policy is made of, thing by thing, each as the tree in which it is written.

use std::collections::BTreeMap;

use serde::Serialize;
use uuid::Uuid;

use crate::detect::{Rule, is_accessors, is_filter};
use crate::diag::{FileId, Problems, Span};
use crate::document::{Key, Kind as Shape, Node, parse_toml, parse_yaml, parse_yaml_documents};
use crate::event::Digest;
use crate::lab::diff::Side;
use crate::policy::PolicyFile;
use crate::slots;

/// What kind of thing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A detection or a correlation.
    Rule,
    /// A filter document.
    Filter,
    /// A field whose texts hold values.
    Accessor,
    /// A list of `rules/lists/`.
    List,
    /// A script.
    Script,
    /// A table `[agents.NAME]`.
    Agent,
    /// A table `[route.CONTEXT]`.
    Route,
    /// Another table of `routing.toml`.
    Table,
    /// A table `[slots.NAME]`.
    Slot,
    /// The table `[gate]`, which nothing that runs reads.
    Gate,
    /// A prompt.
    Prompt,
    /// A command template.
    Command,
    /// A tool.
    Tool,
    /// A recipe.
    Recipe,
    /// Another part of `tools.yaml`.
    Tools,
    /// A file, in what is no part of any of these.
    File,
}

impl Kind {
    /// What a person calls it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Filter => "filter",
            Self::Accessor => "accessor",
            Self::List => "list",
            Self::Script => "script",
            Self::Agent => "agent",
            Self::Route => "route",
            Self::Table | Self::Gate => "table",
            Self::Slot => "slot",
            Self::Prompt => "prompt",
            Self::Command => "command",
            Self::Tool => "tool",
            Self::Recipe => "recipe",
            Self::Tools => "part of tools.yaml",
            Self::File => "file",
        }
    }
}

/// Where something is written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The file, relative to the policy folder.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
}

/// Finds the places of a side.
#[derive(Clone, Copy)]
pub(super) struct Places<'s>(&'s [PolicyFile]);

impl<'s> Places<'s> {
    pub(super) fn of(side: &'s Side) -> Self {
        Self(&side.files)
    }

    /// Where a span begins.
    pub(super) fn place(self, span: Span) -> Place {
        let file = self.0.iter().find(|file| file.id == span.file);
        let before = file.and_then(|file| file.text.get(..span.start as usize));
        Place {
            file: file.map(|file| file.path.clone()).unwrap_or_default(),
            line: 1 + before.map_or(0, |text| text.matches('\n').count()),
        }
    }
}

/// A thing as one side has it.
#[derive(Clone, Debug)]
pub(super) struct Thing {
    pub(super) kind: Kind,
    /// What a person calls it.
    pub(super) name: String,
    /// What it is told by: an id, a key, a path.
    pub(super) key: String,
    /// Of a rule, its id and its logic digest.
    pub(super) rule: Option<(Uuid, Option<Digest>)>,
    pub(super) node: Node,
}

impl Thing {
    fn new(kind: Kind, name: &str, node: Node) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            key: name.to_owned(),
            rule: None,
            node,
        }
    }
}

/// Everything that a side is made of. The files are without errors: they made a policy.
pub(super) fn things(side: &Side) -> Vec<Thing> {
    let mut things = Vec::new();
    let mut ignored = Problems::default();
    let rules = side.policy.rules.values();
    let rules: Rules<'_> = rules
        .map(|rule| ((rule.span.file, rule.span.start), rule))
        .collect();
    let digests = side.policy.detector.logic_digests();
    for file in &side.files {
        let path = file.path.as_str();
        if file.is_rule() {
            for node in parse_yaml_documents(file.id, &file.text, &mut ignored) {
                of_document((&rules, &digests), node, &mut things);
            }
        } else if file.as_script().is_some() {
            things.push(Thing::new(Kind::Script, path, whole(file)));
        } else if path.starts_with("rules/lists/") {
            things.push(Thing::new(Kind::List, path, rows(file)));
        } else if path.starts_with("prompts/") {
            things.push(prompt(file, &mut ignored));
        } else if path == "routing.toml" {
            let root = parse_toml(file.id, &file.text, &mut ignored);
            const TABLES: [(&str, Kind); 3] = [
                ("agents", Kind::Agent),
                ("route", Kind::Route),
                ("slots", Kind::Slot),
            ];
            of_tables(root, &TABLES, Kind::Table, &mut things);
        } else if path == "tools.yaml" {
            let root = parse_yaml(file.id, &file.text, &mut ignored);
            of_tables(
                root,
                &[
                    ("commands", Kind::Command),
                    ("tools", Kind::Tool),
                    ("recipes", Kind::Recipe),
                ],
                Kind::Tools,
                &mut things,
            );
        }
    }
    things
}

/// The rules of a side by their places.
type Rules<'s> = BTreeMap<(FileId, u32), &'s Rule>;

fn of_document(
    (rules, digests): (&Rules<'_>, &BTreeMap<Uuid, Digest>),
    node: Node,
    things: &mut Vec<Thing>,
) {
    if is_accessors(&node) {
        return of_accessors(node, things);
    }
    let text = |key: &str| entry(&node, key).and_then(Node::scalar_text);
    let title = text("title").unwrap_or_default();
    if is_filter(&node) {
        let key = text("id")
            .or_else(|| text("name"))
            .unwrap_or_else(|| title.clone());
        things.push(Thing {
            key,
            ..Thing::new(Kind::Filter, &title, node)
        });
        return;
    }
    if let Some(rule) = rules.get(&(node.span.file, node.span.start)) {
        things.push(Thing {
            key: rule.id.to_string(),
            rule: Some((rule.id, digests.get(&rule.id).copied())),
            ..Thing::new(Kind::Rule, rule.label(), node)
        });
    }
}

/// Each accessor by itself: it does not matter in which document it stands.
fn of_accessors(node: Node, things: &mut Vec<Thing>) {
    let Shape::Map(entries) = node.kind else {
        return;
    };
    let accessors = entries.into_iter().find(|(key, _)| key.text == "accessors");
    if let Some((
        _,
        Node {
            kind: Shape::Map(fields),
            ..
        },
    )) = accessors
    {
        let named = fields.into_iter();
        things.extend(named.map(|(key, value)| Thing::new(Kind::Accessor, &key.text, value)));
    }
}

/// The tables of a file; those below some of them each by itself.
fn of_tables(root: Option<Node>, below: &[(&str, Kind)], kind: Kind, things: &mut Vec<Thing>) {
    let Some(Node {
        kind: Shape::Map(entries),
        ..
    }) = root
    else {
        return;
    };
    for (key, node) in entries {
        let inner = below.iter().find(|(name, _)| *name == key.text);
        match (inner, node.kind) {
            (Some((_, kind)), Shape::Map(inner)) => {
                let named = inner.into_iter();
                things.extend(
                    named.map(|(key, node)| Thing::new(*kind, &key.text, at_key(&key, node))),
                );
            }
            (_, shape) => {
                let kind = if key.text == "gate" { Kind::Gate } else { kind };
                let node = Node {
                    span: node.span,
                    kind: shape,
                };
                things.push(Thing::new(kind, &key.text, at_key(&key, node)));
            }
        }
    }
}

/// A value whose place is that of its key: what a person looks for.
fn at_key(key: &Key, node: Node) -> Node {
    Node {
        span: key.span,
        ..node
    }
}

/// The front matter with the text beside it, under a key that front matter does not have.
fn prompt(file: &PolicyFile, ignored: &mut Problems) -> Thing {
    let (front, body) = slots::split(&file.text).unwrap_or(("", &file.text));
    let parsed = parse_yaml(file.id, front, ignored);
    let mut entries = match parsed.map(|node| node.kind) {
        Some(Shape::Map(entries)) => entries,
        _ => Vec::new(),
    };
    let start = file.text.len() - body.len();
    let span = span(file, start, file.text.len());
    entries.push((
        Key {
            span,
            text: TEXT.to_owned(),
        },
        text(span, body.trim_end()),
    ));
    let slot = entries.iter().find(|(key, _)| key.text == "slot");
    let slot = slot.and_then(|(_, node)| node.scalar_text());
    let node = Node {
        span: self::span(file, 0, 0),
        kind: Shape::Map(entries),
    };
    Thing {
        key: file.path.clone(),
        ..Thing::new(Kind::Prompt, &slot.unwrap_or_default(), node)
    }
}

/// The key of the text of a prompt, among those of its front matter.
pub(super) const TEXT: &str = "text";

/// The rows of a list, and what its comments say of it.
fn rows(file: &PolicyFile) -> Node {
    let mut rows = Vec::new();
    let mut kind = None;
    let mut at = 0;
    for line in file.text.split_inclusive('\n') {
        let trimmed = line.trim();
        let place = span(file, at, at + trimmed.len());
        at += line.len();
        if let Some(comment) = trimmed.strip_prefix('#') {
            let comment = comment.trim().to_lowercase();
            let said = comment
                .strip_prefix("kind:")
                .map(|kind| kind.trim().to_owned());
            if kind.is_none() && rows.is_empty() {
                kind = said.map(|said| text(place, &said));
            }
        } else if !trimmed.is_empty() {
            rows.push(text(place, trimmed));
        }
    }
    let whole = span(file, 0, 0);
    let key = |name: &str| Key {
        span: whole,
        text: name.to_owned(),
    };
    let mut entries: Vec<(Key, Node)> = kind.map(|node| (key("kind"), node)).into_iter().collect();
    if file.path.ends_with(".csv") && !rows.is_empty() {
        entries.push((key("columns"), rows.remove(0)));
    }
    let rows = Node {
        span: whole,
        kind: Shape::List(rows),
    };
    entries.push((key("values"), rows));
    Node {
        span: whole,
        kind: Shape::Map(entries),
    }
}

fn whole(file: &PolicyFile) -> Node {
    text(span(file, 0, file.text.len()), &file.text)
}

fn text(span: Span, text: &str) -> Node {
    Node {
        span,
        kind: Shape::Text(text.to_owned()),
    }
}

fn span(file: &PolicyFile, start: usize, end: usize) -> Span {
    let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    Span {
        file: file.id,
        start: offset(start),
        end: offset(end),
    }
}

/// The value of a key of a mapping.
pub(super) fn entry<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    let Shape::Map(entries) = &node.kind else {
        return None;
    };
    let mut found = entries.iter().filter(|(known, _)| known.text == key);
    found.next().map(|(_, value)| value)
}

/// The texts of the files of a side by their paths.
pub(super) fn texts(side: &Side) -> BTreeMap<&str, &str> {
    let files = side.files.iter();
    files
        .map(|file| (file.path.as_str(), &*file.text))
        .collect()
}
