//! What differs between the files of two policies, edit by edit, and policies with some of it.
//!
//! An edit is the smallest change that can be taken over by itself: a key of a document that is
//! another, or there on one side alone. A list is one value; a prompt, a list of values and a
//! script are one edit each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use crate::detect::DESCRIPTIVE;
use crate::diag::{Problems, Span};
use crate::document::{Key, Kind, Node, parse_toml, parse_yaml_documents};
use crate::lab::diff::Side;
use crate::lab::diff::changes::description_is_read;
use crate::policy::{Loaded, PolicyFile, load_beside};

/// One edit between two policies.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Edit {
    /// The file, relative to the policy folder.
    pub file: String,
    /// The rule, by its name or title, or the table, such as `promotion`; nothing for a file as a whole.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub part: String,
    /// The key, such as `correlation.condition.gte`; nothing for all of the part.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub clause: String,
    /// Its line in the base, from 1, where it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_line: Option<usize>,
    /// Its line in the head, from 1, where it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_line: Option<usize>,
    /// What the base has there, where it is short.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<Value>,
    /// What the head has there, where it is short.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<Value>,
}

/// An edit with what it takes to make it.
pub struct Taken {
    /// What is told of it.
    pub edit: Edit,
    at: At,
}

/// What an edit changes.
enum At {
    /// The file as a whole.
    File,
    /// A document, by its number among the pairs of documents, and a path there.
    Document(usize, Vec<String>, Option<Node>),
}

/// A value that is longer, as JSON, is not told.
const TOLD: usize = 2_000;

/// Every edit that takes the base to the head and may decide anything, by file and place.
#[must_use]
pub fn edits(base: &Side, head: &Side) -> Vec<Taken> {
    let (old, new) = (by_path(base), by_path(head));
    let paths: BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
    let is_read = [base, head].map(|side| description_is_read(&side.policy));
    let is_read = is_read.contains(&true);
    let mut found = Vec::new();
    for path in paths {
        match (old.get(path), new.get(path)) {
            (Some(old), Some(new)) if old.text == new.text => {}
            (Some(old), Some(new)) => between(old, new, is_read, &mut found),
            (old, new) => found.push(whole(path, old.copied(), new.copied())),
        }
    }
    found
}

fn by_path(side: &Side) -> BTreeMap<&str, &PolicyFile> {
    let files = side.files.iter();
    files.map(|file| (file.path.as_str(), file)).collect()
}

/// A file that is edited as a whole.
fn whole(path: &str, old: Option<&PolicyFile>, new: Option<&PolicyFile>) -> Taken {
    let line = match (old, new) {
        (Some(old), Some(new)) => {
            let same = old.text.lines().zip(new.text.lines());
            same.take_while(|(old, new)| old == new).count() + 1
        }
        _ => 1,
    };
    Taken {
        edit: Edit {
            file: path.to_owned(),
            part: String::new(),
            clause: String::new(),
            base_line: old.map(|_| line),
            head_line: new.map(|_| line),
            base: None,
            head: None,
        },
        at: At::File,
    }
}

fn between(old: &PolicyFile, new: &PolicyFile, description_is_read: bool, found: &mut Vec<Taken>) {
    let (Some(olds), Some(news)) = (documents(old), documents(new)) else {
        found.push(whole(&old.path, Some(old), Some(new)));
        return;
    };
    let mut in_file = Comparing {
        old,
        new,
        found,
        description_is_read,
        number: 0,
        label: String::new(),
        path: Vec::new(),
    };
    for (number, (old, new)) in pairs(&olds, &news).into_iter().enumerate() {
        in_file.number = number;
        in_file.label = if in_file.old.is_rule() {
            old.or(new).map(label).unwrap_or_default()
        } else {
            String::new()
        };
        in_file.compare(old.map(Entry::root), new.map(Entry::root));
    }
}

/// What a document of a rule file is called.
fn label(document: &Node) -> String {
    let named = |key: &str| document.at(key).and_then(Node::scalar_text);
    let label = named("/name").or_else(|| named("/title"));
    label.unwrap_or_default()
}

/// The documents of a file that is read as a tree.
fn documents(file: &PolicyFile) -> Option<Vec<Node>> {
    let mut problems = Problems::default();
    let id = problems.share_file(&file.path, Arc::clone(&file.text));
    if file.path == "routing.toml" {
        return parse_toml(id, &file.text, &mut problems).map(|root| vec![root]);
    }
    if file.path != "tools.yaml" && !file.is_rule() {
        return None;
    }
    let documents = parse_yaml_documents(id, &file.text, &mut problems);
    (!problems.has_errors()).then_some(documents)
}

/// Documents that are each other's: by id, else by name, else by title, else by their place. Those of the base
/// come first, in their order.
fn pairs<'n>(olds: &'n [Node], news: &'n [Node]) -> Vec<(Option<&'n Node>, Option<&'n Node>)> {
    let mut owner: Vec<Option<usize>> = vec![None; olds.len()];
    let mut free: Vec<usize> = (0..news.len()).collect();
    let keys = ["/id", "/name", "/title"];
    let text = |nodes: &[Node], at: usize, key: &str| nodes.get(at)?.at(key)?.scalar_text();
    for key in keys.iter().map(Some).chain([None]) {
        for (at, owner) in owner
            .iter_mut()
            .enumerate()
            .filter(|(_, owner)| owner.is_none())
        {
            let is_it = |new: &usize| match key {
                Some(key) => {
                    let old = text(olds, at, key);
                    old.is_some() && old == text(news, *new, key)
                }
                None => *new == at,
            };
            let new = free.iter().position(is_it);
            *owner = new.map(|new| free.remove(new));
        }
    }
    let kept = olds.iter().zip(owner);
    let kept = kept.map(|(old, owner)| (Some(old), owner.and_then(|at| news.get(at))));
    let added = free
        .into_iter()
        .filter_map(|at| Some((None, Some(news.get(at)?))));
    kept.chain(added).collect()
}

/// A value, with its key where it has one.
#[derive(Clone, Copy)]
struct Entry<'n> {
    key: Option<&'n Key>,
    node: &'n Node,
}

impl<'n> Entry<'n> {
    fn root(node: &'n Node) -> Self {
        Self { key: None, node }
    }

    fn span(self) -> Span {
        self.key.map_or(self.node.span, |key| key.span)
    }
}

/// The entries of two mappings, by key.
type Beside<'n> = Vec<(&'n str, Option<Entry<'n>>, Option<Entry<'n>>)>;

fn entries<'n>(old: &'n [(Key, Node)], new: &'n [(Key, Node)]) -> Beside<'n> {
    let find = |entries: &'n [(Key, Node)], wanted: &str| {
        let mut found = entries.iter().filter(|(key, _)| key.text == wanted);
        found.next().map(|(key, node)| Entry {
            key: Some(key),
            node,
        })
    };
    let keys = old.iter().chain(new).map(|(key, _)| key.text.as_str());
    let mut known = BTreeSet::new();
    let keys = keys.filter(|key| known.insert(*key));
    keys.map(|key| (key, find(old, key), find(new, key)))
        .collect()
}

/// Walks two documents of a file, side by side.
struct Comparing<'c> {
    old: &'c PolicyFile,
    new: &'c PolicyFile,
    found: &'c mut Vec<Taken>,
    description_is_read: bool,
    number: usize,
    label: String,
    path: Vec<String>,
}

impl Comparing<'_> {
    /// Whether a key at the root of a document decides nothing of what is found and done.
    fn is_prose(&self, key: &str) -> bool {
        if self.old.is_rule() {
            DESCRIPTIVE.contains(&key) || key == "description" && !self.description_is_read
        } else {
            self.old.path == "routing.toml" && key == "gate"
        }
    }

    fn compare(&mut self, old: Option<Entry<'_>>, new: Option<Entry<'_>>) {
        if let (Some(one), Some(other)) = (old, new) {
            if let (Kind::Map(olds), Kind::Map(news)) = (&one.node.kind, &other.node.kind) {
                for (key, old, new) in entries(olds, news) {
                    if self.path.is_empty() && self.is_prose(key) {
                        continue;
                    }
                    self.path.push(key.to_owned());
                    self.compare(old, new);
                    self.path.pop();
                }
                return;
            }
            if one.node.to_json() == other.node.to_json() {
                return;
            }
        }
        self.note(old, new);
    }

    fn note(&mut self, old: Option<Entry<'_>>, new: Option<Entry<'_>>) {
        let line = |file: &PolicyFile, entry: Entry<'_>| {
            let before = file.text.get(..entry.span().start as usize);
            before.map_or(1, |before| before.matches('\n').count() + 1)
        };
        let told = |entry: Option<Entry<'_>>| {
            let value = entry.filter(|_| !self.path.is_empty())?.node.to_json();
            (value.to_string().len() <= TOLD).then_some(value)
        };
        let (part, clause) = if self.old.is_rule() {
            (self.label.clone(), self.path.join("."))
        } else {
            // `[promotion]` is one thing, and so is each table of `[route]`.
            let parted = ["route", "agents", "slots", "commands", "tools"];
            let first = self.path.first().map(String::as_str).unwrap_or_default();
            let of_part = if parted.contains(&first) { 2 } else { 1 };
            let (part, rest) = self.path.split_at(of_part.min(self.path.len()));
            (part.join("."), rest.join("."))
        };
        let edit = Edit {
            file: self.old.path.clone(),
            part,
            clause,
            base_line: old.map(|old| line(self.old, old)),
            head_line: new.map(|new| line(self.new, new)),
            base: told(old),
            head: told(new),
        };
        let node = new.map(|new| new.node.clone());
        let at = At::Document(self.number, self.path.clone(), node);
        self.found.push(Taken { edit, at });
    }
}

/// The base with some of the edits; nothing where that is no policy.
#[must_use]
pub fn with_edits(base: &Side, head: &Side, taken: &[&Taken]) -> Option<Loaded> {
    let mut texts: BTreeMap<&str, Arc<str>> = BTreeMap::new();
    for file in &base.files {
        texts.insert(&file.path, Arc::clone(&file.text));
    }
    let (olds, news) = (by_path(base), by_path(head));
    let mut by_file: BTreeMap<&str, Vec<&At>> = BTreeMap::new();
    for one in taken {
        by_file.entry(&one.edit.file).or_default().push(&one.at);
    }
    for (path, edits) in by_file {
        let new = news.get(path);
        if edits.iter().any(|at| matches!(at, At::File)) {
            match new {
                Some(new) => texts.insert(path, Arc::clone(&new.text)),
                None => texts.remove(path),
            };
            continue;
        }
        let text = edited(olds.get(path)?, new?, &edits)?;
        texts.insert(path, text.into());
    }
    let loaded = load_beside(&base.policy, texts.into_iter());
    loaded.policy.is_some().then_some(loaded)
}

/// A file with edits of some of its keys; nothing where it cannot be written so.
fn edited(old: &PolicyFile, new: &PolicyFile, edits: &[&At]) -> Option<String> {
    let (olds, news) = (documents(old)?, documents(new)?);
    let pairs = pairs(&olds, &news);
    let mut documents: Vec<Option<Node>> = pairs.iter().map(|(old, _)| old.cloned()).collect();
    for at in edits {
        if let At::Document(number, path, node) = at {
            let document = documents.get_mut(*number)?;
            match path.split_first() {
                None => document.clone_from(node),
                Some(_) => set(document.as_mut()?, path, node.as_ref())?,
            }
        }
    }
    let documents: Vec<Node> = documents.into_iter().flatten().collect();
    let text = if old.path == "routing.toml" {
        write_toml(documents.first()?)
    } else {
        let documents = documents.iter().map(write);
        documents.collect::<Vec<_>>().join("\n---\n")
    };
    let written = PolicyFile {
        text: text.as_str().into(),
        ..old.clone()
    };
    let read = self::documents(&written)?;
    let json = |nodes: &[Node]| -> Vec<Value> { nodes.iter().map(Node::to_json).collect() };
    (json(&read) == json(&documents)).then_some(text)
}

/// Puts a value at a path, or takes away what is there.
fn set(node: &mut Node, path: &[String], value: Option<&Node>) -> Option<()> {
    let (key, rest) = path.split_first()?;
    let span = node.span;
    let Kind::Map(entries) = &mut node.kind else {
        return None;
    };
    let at = entries.iter().position(|(known, _)| known.text == *key);
    match (at, rest.is_empty(), value) {
        (Some(at), false, _) => set(&mut entries.get_mut(at)?.1, rest, value)?,
        (Some(at), true, Some(value)) => entries.get_mut(at)?.1.clone_from(value),
        (Some(at), true, None) => drop(entries.remove(at)),
        (None, true, Some(value)) => {
            let text = key.clone();
            entries.push((Key { span, text }, value.clone()));
        }
        (None, ..) => return None,
    }
    Some(())
}

/// A document as JSON, which is YAML, its keys in their order.
fn write(node: &Node) -> String {
    let joined =
        |parts: Vec<String>, open: &str, close: &str| format!("{open}{}{close}", parts.join(", "));
    match &node.kind {
        Kind::List(items) => joined(items.iter().map(write).collect(), "[", "]"),
        Kind::Map(entries) => {
            let entry =
                |(key, node): &(Key, Node)| format!("{}: {}", quoted(&key.text), write(node));
            joined(entries.iter().map(entry).collect(), "{", "}")
        }
        _ => node.to_json().to_string(),
    }
}

/// A root table with a line for each key.
fn write_toml(root: &Node) -> String {
    let Kind::Map(entries) = &root.kind else {
        return String::new();
    };
    let line = |(key, node): &(Key, Node)| format!("{} = {}\n", quoted(&key.text), inline(node));
    entries.iter().map(line).collect()
}

fn inline(node: &Node) -> String {
    match &node.kind {
        Kind::List(items) => {
            let items: Vec<String> = items.iter().map(inline).collect();
            format!("[{}]", items.join(", "))
        }
        Kind::Map(entries) => {
            let entry =
                |(key, node): &(Key, Node)| format!("{} = {}", quoted(&key.text), inline(node));
            let entries: Vec<String> = entries.iter().map(entry).collect();
            format!("{{{}}}", entries.join(", "))
        }
        _ => node.to_json().to_string(),
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
