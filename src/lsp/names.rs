//! What the files of a policy name, and where: rules, agents, steps, templates, slots, lists,
//! functions.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use crate::lsp::folder::Open;
use crate::lsp::outline::{Notation, Outline, Role, Step, Word};
use crate::schema::Format;

/// Something that has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    /// What it is, in the words of the schemas: `rule`, `agent`.
    pub(super) what: &'static str,
    pub(super) name: String,
    /// Where it stands: the path of the file in the folder, and bytes.
    pub(super) file: String,
    pub(super) place: Range<usize>,
    /// What there is to say of it.
    pub(super) about: String,
}

/// The files of a policy as they are outlined.
#[derive(Debug, Default)]
pub(super) struct Names {
    files: BTreeMap<String, (Arc<str>, Outline)>,
    all: Vec<Named>,
}

impl Names {
    /// Those of some texts; what was outlined before is not read again.
    pub(super) fn of(texts: &Open, before: &mut Self) -> Self {
        let mut files = BTreeMap::new();
        for (name, text) in texts {
            let notation = Format::of(name).and(Notation::of(name));
            let known = before.files.remove(name);
            let known = known.filter(|(known, _)| Arc::ptr_eq(known, text));
            let outlined = || {
                let outline = notation.map(|notation| Outline::of(notation, text));
                (Arc::clone(text), outline.unwrap_or_default())
            };
            files.insert(name.clone(), known.unwrap_or_else(outlined));
        }
        let mut names = Self {
            files,
            all: Vec::new(),
        };
        names.all = names.find();
        names
    }

    /// Everything of a kind.
    pub(super) fn every<'n>(&'n self, what: &'n str) -> impl Iterator<Item = &'n Named> {
        self.all.iter().filter(move |named| named.what == what)
    }

    /// Everything of a kind that is called like this.
    pub(super) fn called<'n>(
        &'n self,
        what: &'n str,
        name: &'n str,
    ) -> impl Iterator<Item = &'n Named> {
        self.every(what).filter(move |named| named.name == name)
    }

    fn find(&self) -> Vec<Named> {
        let mut all = Vec::new();
        for (file, (text, outline)) in &self.files {
            match Format::of(file) {
                Some(Format::Rules) => rules(file, outline, &mut all),
                Some(Format::Routing) => routing(file, outline, &mut all),
                Some(Format::Tools) => templates(file, outline, &mut all),
                Some(Format::Prompts) => all.push(whole("prompt", file, file)),
                Some(Format::Tests) => {}
                None if file.ends_with(".rhai") => functions(file, text, &mut all),
                None => {
                    let name = file.strip_prefix("rules/lists/");
                    let stem = name.and_then(|name| name.rsplit_once('.'));
                    all.extend(stem.map(|(stem, _)| whole("list", stem, file)));
                }
            }
        }
        all
    }
}

fn whole(what: &'static str, name: &str, file: &str) -> Named {
    Named {
        what,
        name: name.to_owned(),
        file: file.to_owned(),
        place: 0..0,
        about: file.to_owned(),
    }
}

fn named(what: &'static str, word: &Word, file: &str, about: String) -> Named {
    let name = match (word.path.last(), word.role) {
        (Some(Step::Key(key)), Role::Key) => key.clone(),
        _ => word.text.clone(),
    };
    Named {
        what,
        name,
        file: file.to_owned(),
        place: word.place.clone(),
        about,
    }
}

/// The values of a file by their documents and paths.
struct Values<'o>(BTreeMap<(usize, &'o [Step]), &'o Word>);

impl<'o> Values<'o> {
    fn of(outline: &'o Outline) -> Self {
        let values = outline.words.iter().filter(|word| word.role == Role::Value);
        Self(
            values
                .map(|word| ((word.document, word.path.as_slice()), word))
                .collect(),
        )
    }

    /// What stands at a path, on one line.
    fn said(&self, document: usize, keys: &[&str]) -> Option<String> {
        let path: Vec<Step> = keys
            .iter()
            .map(|key| Step::Key((*key).to_owned()))
            .collect();
        let word = self.0.get(&(document, path.as_slice()))?;
        Some(word.text.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

fn rules(file: &str, outline: &Outline, all: &mut Vec<Named>) {
    let values = Values::of(outline);
    let said = |document, key| values.said(document, &[key]);
    for (key, what) in [("name", "rule"), ("id", "rule_id")] {
        for word in outline.values(None, &[Some(key)]) {
            let lines = [
                said(word.document, "title"),
                said(word.document, "description"),
            ];
            let lines: Vec<String> = lines.into_iter().flatten().collect();
            all.push(named(what, word, file, lines.join("\n")));
        }
    }
    for word in outline.values(None, &[Some("rulectl"), Some("finding_type")]) {
        let title = said(word.document, "title").unwrap_or_default();
        all.push(named(
            "finding_type",
            word,
            file,
            format!("what finds: {title}"),
        ));
    }
}

fn routing(file: &str, outline: &Outline, all: &mut Vec<Named>) {
    let values = Values::of(outline);
    let tables: [(&'static str, &[&str], &[&str]); 3] = [
        ("agent", &["agents"], &["description", "runs"]),
        ("slot", &["slots"], &["prompt"]),
        ("step", &["plan", "step"], &["description", "rationale"]),
    ];
    let mut seen: BTreeSet<(&str, String)> = BTreeSet::new();
    for (what, above, keys) in tables {
        let form: Vec<Option<&str>> = above.iter().map(|key| Some(*key)).chain([None]).collect();
        for word in outline.keys(None, &form) {
            let mut named = named(what, word, file, String::new());
            if !seen.insert((what, named.name.clone())) {
                continue;
            }
            let lines = keys.iter().filter_map(|key| {
                let path = above.iter().copied().chain([named.name.as_str(), *key]);
                let said = values.said(0, &path.collect::<Vec<_>>())?;
                Some(format!("{key}: {said}"))
            });
            named.about = lines.collect::<Vec<_>>().join("\n");
            all.push(named);
        }
    }
    for word in outline.values(None, &[Some("plan"), Some("steps"), None]) {
        if seen.insert(("step", word.text.clone())) {
            all.push(named("step", word, file, String::new()));
        }
    }
}

fn templates(file: &str, outline: &Outline, all: &mut Vec<Named>) {
    let values = Values::of(outline);
    for word in outline.keys(None, &[Some("commands"), None]) {
        let mut template = named("template", word, file, String::new());
        let said = |key| values.said(word.document, &["commands", &template.name, key]);
        // A template is called what it serves: its step, or else its name.
        let (step, about) = (said("step"), said("description"));
        template.about = about.unwrap_or_default();
        template.name = step.unwrap_or(template.name);
        all.push(template);
    }
}

fn functions(file: &str, text: &str, all: &mut Vec<Named>) {
    let short = file.strip_prefix("rules/").unwrap_or(file);
    for (at, _) in text.match_indices("fn ") {
        let is_first = text.get(..at).is_some_and(|before| {
            before.is_empty() || before.ends_with('\n') || before.ends_with("private ")
        });
        let rest = text.get(at + 3..).unwrap_or_default();
        let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let length = rest.find(|c| !is_letter(c)).unwrap_or(rest.len());
        if is_first && length > 0 {
            let name = rest.get(..length).unwrap_or_default();
            all.push(Named {
                what: "function",
                name: format!("{short}#{name}"),
                file: file.to_owned(),
                place: at + 3..at + 3 + length,
                about: format!("a function of {file}"),
            });
        }
    }
}
