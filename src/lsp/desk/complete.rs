//! What may stand at a place.

use std::collections::BTreeSet;
use std::ops::Range;

use serde_json::{Value, json};

use crate::detect::modifier_names;
use crate::lsp::desk::{Desk, above, keys_in, name_around, searches};
use crate::lsp::outline::{Notation, Outline, Role, Step, Word, leads};
use crate::lsp::shape::{description, keys, names, names_of_keys, words};
use crate::okta::{event_facts, event_types, fields};
use crate::visible::visible;

/// Something that may stand at a place.
struct Candidate {
    text: String,
    /// What it is, in a word or two.
    detail: String,
    about: String,
    kind: Kind,
}

/// What an editor draws beside it.
#[derive(Clone, Copy)]
enum Kind {
    Field = 5,
    Property = 10,
    Value = 12,
    Keyword = 14,
    Reference = 18,
}

impl Candidate {
    fn new(kind: Kind, text: &str, detail: &str, about: &str) -> Self {
        Self {
            text: text.to_owned(),
            detail: detail.to_owned(),
            about: about.to_owned(),
            kind,
        }
    }
}

impl Desk<'_> {
    /// Everything that may stand at the place.
    pub(in crate::lsp) fn completion(&self) -> Value {
        let before = self.text.get(..self.offset).unwrap_or_default();
        let behind = self.text.get(self.offset..).unwrap_or_default();
        // A letter makes a word where there is none yet.
        let outline = Outline::of(self.notation, &format!("{before}x{behind}"));
        let Some(word) = outline.at(self.offset) else {
            return json!([]);
        };
        let typed = word.place.start..word.place.end.max(word.place.start + 1) - 1;
        let written = self.text.get(typed.clone()).unwrap_or_default();
        if self.notation != Notation::Toml && word.role == Role::Open && written.ends_with(':') {
            // A value begins behind a blank.
            return json!([]);
        }
        let mut items = Vec::new();
        if word.role != Role::Value {
            items.extend(self.keys(&outline, word, &typed));
        }
        if word.role != Role::Key {
            items.extend(self.values(&outline, word, &typed));
        }
        json!(items)
    }

    fn keys(&self, outline: &Outline, word: &Word, typed: &Range<usize>) -> Vec<Value> {
        let path = match word.role {
            Role::Key => above(word),
            _ => &word.path,
        };
        let schemas = self.schemas(outline, word.document, path);
        let is_line = names(&schemas) == Some("line");
        let written = self.text.get(typed.clone()).unwrap_or_default();
        if let Some(at) = written.rfind('|').filter(|_| is_line) {
            let place = typed.start + at + 1..typed.end;
            let modifiers = modifier_names()
                .map(|name| Candidate::new(Kind::Keyword, name, "modifier", &self.modifier(name)));
            return modifiers
                .map(|one| self.item(&one, &one.text, &place))
                .collect();
        }
        let beside: BTreeSet<&str> = keys_in(outline, word.document, path)
            .filter(|(_, other)| other.place != word.place)
            .map(|(key, _)| key)
            .collect();
        let known = keys(&schemas).into_iter().map(|(key, schema)| {
            let about = if is_line {
                self.field(key)
            } else {
                self.about(outline, word.document, path, key, schema)
            };
            let kind = if is_line { Kind::Field } else { Kind::Property };
            Candidate::new(kind, key, if is_line { "field" } else { "key" }, &about)
        });
        let named = names_of_keys(&schemas).map(|kind| self.named(kind, outline, word));
        let all = known.chain(named.into_iter().flatten().flatten());
        let sign = match self.notation {
            _ if word.role == Role::Key => "",
            Notation::Toml => " = ",
            Notation::Yaml | Notation::FrontMatter => ": ",
        };
        all.filter(|one| !beside.contains(one.text.as_str()))
            .map(|one| self.item(&one, &format!("{}{sign}", one.text), typed))
            .collect()
    }

    /// What the documentation says of a key.
    fn about(
        &self,
        outline: &Outline,
        document: usize,
        path: &[Step],
        key: &str,
        schema: &Value,
    ) -> String {
        let own = schema.get("description").and_then(Value::as_str);
        let whole: Vec<Step> = path
            .iter()
            .cloned()
            .chain([Step::Key(key.to_owned())])
            .collect();
        let said = || description(&self.schemas(outline, document, &whole));
        own.or_else(said).unwrap_or_default().to_owned()
    }

    fn values(&self, outline: &Outline, word: &Word, typed: &Range<usize>) -> Vec<Value> {
        let schemas = self.schemas(outline, word.document, &word.path);
        let kind = names(&schemas).unwrap_or_default();
        let named = self.named(kind, outline, word);
        let place = match kind {
            "searches" | "rules" => name_around(self.text, typed.clone(), self.offset),
            _ => typed.clone(),
        };
        let listed = || {
            let words = words(&schemas).into_iter();
            let words = words.map(|word| Candidate::new(Kind::Value, word, "", ""));
            words.collect()
        };
        let all: Vec<Candidate> = named.unwrap_or_else(listed);
        all.iter()
            .map(|one| self.item(one, &one.text, &place))
            .collect()
    }

    /// What is there of a kind; `None` where the schema lists it.
    fn named(&self, kind: &str, outline: &Outline, word: &Word) -> Option<Vec<Candidate>> {
        let every = |what: &str| -> Vec<Candidate> {
            let mut seen = BTreeSet::new();
            let named = self.names.every(what);
            let named = named.filter(|named| seen.insert(named.name.as_str()));
            named
                .map(|named| Candidate::new(Kind::Reference, &named.name, what, &named.about))
                .collect()
        };
        let with = |before: &str, what: &str| {
            let mut all = every(what);
            all.iter_mut()
                .for_each(|one| one.text.insert_str(0, before));
            all
        };
        let plain = |text: &str| Candidate::new(Kind::Keyword, text, "", "");
        Some(match kind {
            "event_type" => event_types()
                .iter()
                .map(|name| {
                    let category = event_facts(name).map_or("", |facts| facts.category);
                    Candidate::new(Kind::Value, name, category, "")
                })
                .collect(),
            "field" => fields()
                .iter()
                .map(|name| Candidate::new(Kind::Field, name, "field", &self.field(name)))
                .collect(),
            "rule" | "agent" | "step" | "slot" | "prompt" | "function" => every(kind),
            "finding_type" => [every(kind), vec![plain("OTHER")]].concat_all(),
            "runs" => {
                let built_in = ["detect", "slot:risk", "slot:plan", "commands"];
                let mut slots = with("slot:", "slot");
                slots.retain(|slot| !built_in.contains(&slot.text.as_str()));
                [
                    built_in.into_iter().map(plain).collect(),
                    slots,
                    with("script:rules/", "function"),
                ]
                .concat_all()
            }
            "searches" => {
                let names = searches(outline, word);
                let names =
                    names.map(|(name, _)| Candidate::new(Kind::Reference, name, "search", ""));
                let words = ["and", "or", "not", "1 of", "all of", "them"];
                names.chain(words.into_iter().map(plain)).collect()
            }
            "rules" => {
                let form = [Some("correlation"), Some("rules"), None];
                let names = outline.words.iter().filter(|other| {
                    let is_rule = other.role != Role::Key && other.document == word.document;
                    is_rule && leads(&other.path, &form)
                });
                names
                    .map(|other| Candidate::new(Kind::Reference, &other.text, "rule", ""))
                    .collect()
            }
            _ => return None,
        })
    }

    fn item(&self, one: &Candidate, text: &str, place: &Range<usize>) -> Value {
        let mut item = json!({
            "label": visible(&one.text),
            // It is the label where nothing is said, and an editor that sees an edit narrows by this alone.
            "filterText": visible(&one.text),
            "kind": one.kind as u8,
            "textEdit": {"range": self.lines.range(place.clone()), "newText": text},
        });
        if let Value::Object(item) = &mut item {
            if !one.detail.is_empty() {
                item.insert("detail".to_owned(), one.detail.clone().into());
            }
            if !one.about.is_empty() {
                item.insert("documentation".to_owned(), visible(&one.about).into());
            }
        }
        item
    }
}

/// Several lists as one.
trait Together<T> {
    fn concat_all(self) -> Vec<T>;
}

impl<T, const N: usize> Together<T> for [Vec<T>; N] {
    fn concat_all(self) -> Vec<T> {
        self.into_iter().flatten().collect()
    }
}
