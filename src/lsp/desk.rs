//! A place in a file of a policy that is asked about: what may stand there, what it means, and
//! where it leads.

mod complete;
mod hover;
mod lead;

use std::ops::Range;
use std::path::Path;

use serde_json::Value;

use crate::diag::Problems;
use crate::lsp::folder::Open;
use crate::lsp::lines::{Encoding, Lines};
use crate::lsp::names::{Named, Names};
use crate::lsp::outline::{Notation, Outline, Role, Step, Word};
use crate::lsp::paths::uri_of;
use crate::lsp::shape::{Shape, names, names_of_keys};

/// A place that is asked about, and what there is to answer with.
pub(super) struct Desk<'s> {
    /// The folder of the policy.
    pub(super) root: &'s Path,
    /// The file, by its path there.
    pub(super) name: &'s str,
    pub(super) text: &'s str,
    /// The place, in bytes.
    pub(super) offset: usize,
    pub(super) notation: Notation,
    pub(super) encoding: Encoding,
    /// The lines of the file.
    pub(super) lines: Lines<'s>,
    /// The format of the file.
    pub(super) shape: &'s Shape,
    pub(super) names: &'s Names,
    pub(super) texts: &'s Open,
    /// What is wrong with the policy.
    pub(super) problems: &'s Problems,
}

impl<'s> Desk<'s> {
    /// What the schema says of the value at a path.
    fn schemas(&self, outline: &Outline, document: usize, path: &[Step]) -> Vec<&'s Value> {
        let said = |above: &[Step], key: &str| {
            let whole: Vec<Step> = above
                .iter()
                .cloned()
                .chain([Step::Key(key.to_owned())])
                .collect();
            let mut values = outline.words.iter().filter(|word| {
                word.document == document && word.role == Role::Value && word.path == whole
            });
            values.next().map(|word| word.text.clone())
        };
        self.shape.at(path, &said)
    }

    /// What a word names, if anything.
    fn kind(&self, outline: &Outline, word: &Word) -> Option<&'s str> {
        match word.role {
            Role::Key => {
                let above = self.schemas(outline, word.document, above(word));
                names_of_keys(&above).or_else(|| names(&above).filter(|kind| *kind == "line"))
            }
            Role::Value | Role::Open => names(&self.schemas(outline, word.document, &word.path)),
        }
    }

    /// A place of a file of the policy, as editors name it.
    fn location(&self, file: &str, place: &Range<usize>) -> Option<Value> {
        let lines = Lines::of(self.texts.get(file)?, self.encoding);
        let uri = uri_of(&self.root.join(file));
        Some(serde_json::json!({"uri": uri, "range": lines.range(place.clone())}))
    }

    /// What a name of a kind stands for.
    fn meant(&self, kind: &str, name: &str) -> Vec<&'s Named> {
        let called = |what: &'static str, name: &str| -> Vec<&'s Named> {
            let every = self.names.every(what);
            every.filter(|named| named.name == name).collect()
        };
        match kind {
            "rule" | "rules" => [called("rule", name), called("rule_id", name)].concat(),
            "step" => [called("step", name), called("template", name)].concat(),
            "agent" => called("agent", name),
            "slot" => called("slot", name),
            "prompt" => called("prompt", name),
            "function" => called("function", name),
            "finding_type" => called("finding_type", name),
            "runs" => match name.split_once(':') {
                Some(("slot", slot)) => called("slot", slot),
                Some(("script", path)) => {
                    called("function", path.strip_prefix("rules/").unwrap_or(path))
                }
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    /// The part of a word that is meant at the place: a name of an expression.
    fn part(&self, kind: &str, word: &Word) -> Range<usize> {
        if !matches!(kind, "searches" | "rules") {
            return word.place.clone();
        }
        name_around(self.text, word.place.clone(), self.offset)
    }
}

/// The path to the mapping that a key stands in.
fn above(word: &Word) -> &[Step] {
    let length = word.path.len().saturating_sub(1);
    word.path.get(..length).unwrap_or_default()
}

/// The path to the mapping in which the key stands whose value a word is, or is an item of.
fn around(word: &Word) -> &[Step] {
    let is_key = |step: &Step| matches!(step, Step::Key(_));
    let last = word.path.iter().rposition(is_key).unwrap_or(0);
    word.path.get(..last).unwrap_or_default()
}

/// The keys of a mapping.
fn keys_in<'o>(
    outline: &'o Outline,
    document: usize,
    path: &'o [Step],
) -> impl Iterator<Item = (&'o str, &'o Word)> {
    outline.words.iter().filter_map(move |word| {
        let is_inside = word.document == document
            && word.role == Role::Key
            && word.path.len() == path.len() + 1
            && word.path.starts_with(path);
        match word.path.last() {
            Some(Step::Key(key)) if is_inside => Some((key.as_str(), word)),
            _ => None,
        }
    })
}

/// The searches beside a condition.
fn searches<'o>(outline: &'o Outline, word: &'o Word) -> impl Iterator<Item = (&'o str, &'o Word)> {
    let beside = keys_in(outline, word.document, around(word));
    beside.filter(|(key, _)| !["condition", "rules"].contains(key))
}

/// The name that stands around a place.
fn name_around(text: &str, within: Range<usize>, offset: usize) -> Range<usize> {
    let is_letter =
        |c: char| c.is_alphanumeric() || "_-*.".contains(c) || !(c.is_ascii() || c.is_whitespace());
    let offset = offset.clamp(within.start, within.end.max(within.start));
    let before = text.get(within.start..offset).unwrap_or_default();
    let behind = text.get(offset..within.end).unwrap_or_default();
    let start = before.len() - before.trim_end_matches(is_letter).len();
    let end = behind.len() - behind.trim_start_matches(is_letter).len();
    offset - start..offset + end
}
