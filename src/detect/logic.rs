//! The logic digest of a rule: what tells rules that do the same from those
//! that do not, whatever they are called and however they are laid out.
//!
//! It is the SHA-256 of a canonical form. Two rules have one digest exactly when these agree:
//!
//! - the log source, without its definition;
//! - the `detection` or the `correlation`, as written, but for the order of keys and `generate`,
//!   which is about other rules;
//! - the kind and the values of each list that it expands;
//! - the searches and the condition of each filter that is applied to it;
//! - the accessors that lead into fields that it reads;
//! - of the `rulectl` block `suppress`, `group-by`, `user`, `metadata` and the fields of `summary`;
//! - the scripts whose functions it names, and these functions;
//! - of a correlation, the digests of the rules that it names.

use crate::detect::lists::Lists;
use crate::detect::packed::{pack_bytes, pack_number, pack_text};
use crate::detect::search::Detection;
use crate::detect::template::Template;
use crate::detect::{Logic, Rule, Rules};
use crate::document::{Kind, Node};
use crate::event::{Digest, FieldPath};

/// A rule that feeds a correlation: as which of its rules, what it does, and what it is called there.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Feeding<'r> {
    pub(super) rules: Rules,
    pub(super) logic: Digest,
    pub(super) name: &'r str,
    /// What it says of itself, where that is asked.
    pub(super) said: Vec<String>,
}

/// What the canonical form begins with; another form has another number.
const FORM: &str = "rulectl logic 1";

/// The digest of a rule that these feed.
pub(super) fn logic_digest(rule: &Rule, mut feeding: Vec<Feeding<'_>>) -> Digest {
    let mut packed = Vec::new();
    pack_text(&mut packed, FORM);
    if let Some(source) = &rule.source {
        for text in [&source.product, &source.category, &source.service] {
            pack_option(&mut packed, text.as_deref());
        }
    }
    match &rule.logic {
        Logic::Detection(detection) => pack_detection(&mut packed, detection),
        Logic::Correlation(correlation) => pack_digest(&mut packed, correlation.written),
        Logic::Inactive => packed.push(b'-'),
    }
    pack_settings(&mut packed, rule);
    pack_number(&mut packed, rule.inside.len() as u64);
    for (path, notation) in &rule.inside {
        pack_text(&mut packed, path.as_str());
        pack_text(&mut packed, notation);
    }
    pack_number(&mut packed, rule.scripts.len() as u64);
    for (function, script) in &rule.scripts {
        pack_text(&mut packed, function);
        pack_digest(&mut packed, *script);
    }
    feeding.sort_unstable();
    pack_number(&mut packed, feeding.len() as u64);
    for fed in feeding {
        pack_number(&mut packed, fed.rules);
        pack_digest(&mut packed, fed.logic);
        pack_text(&mut packed, fed.name);
        pack_number(&mut packed, fed.said.len() as u64);
        fed.said
            .iter()
            .for_each(|text| pack_text(&mut packed, text));
    }
    Digest::of(&packed)
}

fn pack_settings(packed: &mut Vec<u8>, rule: &Rule) {
    let settings = &rule.settings;
    let suppress = settings.suppress.map(|suppress| suppress.0.to_string());
    pack_option(packed, suppress.as_deref());
    pack_option(packed, settings.user.as_ref().map(FieldPath::as_str));
    let summary = settings.summary.iter().flat_map(Template::fields);
    let mut summary: Vec<&FieldPath> = summary.collect();
    summary.sort_unstable();
    summary.dedup();
    for paths in [
        settings.group_by.iter().collect(),
        settings.metadata.iter().collect(),
        summary,
    ] {
        pack_number(packed, paths.len() as u64);
        let texts = paths.into_iter().map(FieldPath::as_str);
        texts.for_each(|text| pack_text(packed, text));
    }
}

/// A detection and its filters, in whatever order these stand.
fn pack_detection(packed: &mut Vec<u8>, detection: &Detection) {
    pack_digest(packed, detection.written());
    let (_, _, filters) = detection.parts();
    let mut filters: Vec<Digest> = filters.iter().map(|(_, filter)| filter.written()).collect();
    filters.sort_unstable();
    pack_number(packed, filters.len() as u64);
    for filter in filters {
        pack_digest(packed, filter);
    }
}

fn pack_option(packed: &mut Vec<u8>, text: Option<&str>) {
    packed.push(u8::from(text.is_some()));
    pack_text(packed, text.unwrap_or_default());
}

fn pack_digest(packed: &mut Vec<u8>, digest: Digest) {
    pack_bytes(packed, digest.as_bytes());
}

/// What a mapping says, apart from some of its keys, whatever its layout and the order of its keys.
pub(super) fn written(node: &Node, without: &[&str], lists: &Lists) -> Digest {
    let mut packed = Vec::new();
    match &node.kind {
        Kind::Map(entries) => {
            let kept = entries
                .iter()
                .filter(|(key, _)| !without.contains(&key.text.as_str()));
            pack_entries(
                &mut packed,
                kept.map(|(key, value)| (key.text.as_str(), value)),
                lists,
            );
        }
        _ => pack_node(&mut packed, node, lists),
    }
    Digest::of(&packed)
}

fn pack_node(packed: &mut Vec<u8>, node: &Node, lists: &Lists) {
    match &node.kind {
        Kind::Null => packed.push(b'0'),
        Kind::Bool(value) => packed.extend([b'b', u8::from(*value)]),
        Kind::Number(number) => {
            packed.push(b'n');
            pack_text(packed, &number.to_string());
        }
        Kind::Text(text) => {
            packed.push(b't');
            pack_text(packed, text);
        }
        Kind::List(items) => {
            packed.push(b'l');
            pack_number(packed, items.len() as u64);
            items.iter().for_each(|item| pack_node(packed, item, lists));
        }
        Kind::Map(entries) => {
            let entries = entries.iter();
            let entries = entries.map(|(key, value)| (key.text.as_str(), value));
            pack_entries(packed, entries, lists);
        }
    }
}

fn pack_entries<'n>(
    packed: &mut Vec<u8>,
    entries: impl Iterator<Item = (&'n str, &'n Node)>,
    lists: &Lists,
) {
    let mut entries: Vec<(&str, &Node)> = entries.collect();
    entries.sort_unstable_by_key(|(key, _)| *key);
    packed.push(b'm');
    pack_number(packed, entries.len() as u64);
    for (key, value) in entries {
        pack_text(packed, key);
        pack_node(packed, value, lists);
        if key.split('|').skip(1).any(|modifier| modifier == "expand") {
            pack_lists(packed, value, lists);
        }
    }
}

/// The values of the lists that a line with `expand` names.
fn pack_lists(packed: &mut Vec<u8>, value: &Node, lists: &Lists) {
    let items = match &value.kind {
        Kind::List(items) => items.as_slice(),
        _ => std::slice::from_ref(value),
    };
    for item in items {
        let text = item.scalar_text().unwrap_or_default();
        let name = text
            .strip_prefix('%')
            .and_then(|rest| rest.strip_suffix('%'));
        let Some(column) = name.and_then(|name| lists.column(name).ok()) else {
            packed.push(b'-');
            continue;
        };
        packed.push(b'e');
        pack_text(packed, &format!("{:?}", column.kind()));
        let mut values = Vec::new();
        for (value, _) in column.values() {
            pack_text(&mut values, value);
        }
        pack_digest(packed, Digest::of(&values));
    }
}
