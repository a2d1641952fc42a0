//! What stands at a place, in words.

use serde_json::{Value, json};

use crate::lsp::desk::{Desk, above, searches};
use crate::lsp::outline::{Outline, Role, Step, Word};
use crate::lsp::shape::{description, keys};
use crate::okta::{
    event_facts, fields, has_one_value, is_open_map, is_secret, spelling, text_above,
};
use crate::render::code_page;
use crate::schema::modifier;
use crate::visible::visible;

impl Desk<'_> {
    /// What stands at the place, and what is wrong with it. It is plain text: some of it is out of
    /// files, and is no Markdown of ours.
    pub(in crate::lsp) fn hover(&self) -> Value {
        let outline = Outline::of(self.notation, self.text);
        let word = outline.at(self.offset);
        let mut said = self.wrong();
        said.extend(word.and_then(|word| self.meaning(&outline, word)));
        if said.is_empty() {
            return Value::Null;
        }
        let value = visible_lines(&said.join("\n\n"));
        let mut hover = json!({"contents": {"kind": "plaintext", "value": value}});
        if let (Value::Object(hover), Some(word)) = (&mut hover, word) {
            let kind = self.kind(&outline, word).unwrap_or_default();
            hover.insert("range".to_owned(), self.lines.range(self.part(kind, word)));
        }
        hover
    }

    /// What the codes of the problems at the place mean.
    fn wrong(&self) -> Vec<String> {
        let mut codes: Vec<&str> = Vec::new();
        for problem in self.problems.sorted() {
            let (start, end) = (problem.span.start as usize, problem.span.end as usize);
            let is_here = self.problems.file_name(problem.span.file) == self.name
                && start <= self.offset
                && self.offset <= end;
            if is_here && !codes.contains(&problem.code) {
                codes.push(problem.code);
            }
        }
        let pages = codes.into_iter().filter_map(code_page);
        pages
            .map(|page| format!("{}: {}\nwhat to do: {}", page.code, page.means, page.fix))
            .collect()
    }

    fn meaning(&self, outline: &Outline, word: &Word) -> Option<String> {
        let kind = self.kind(outline, word);
        if let (Role::Key, Some("line")) = (word.role, kind) {
            return Some(self.line(&word.text));
        }
        let part = self.part(kind.unwrap_or_default(), word);
        let name = self.text.get(part).unwrap_or_default();
        let named = kind.and_then(|kind| self.named_here(kind, name, outline, word));
        named.or_else(|| self.documented(outline, word))
    }

    fn named_here(&self, kind: &str, name: &str, outline: &Outline, word: &Word) -> Option<String> {
        match kind {
            "event_type" => about_event_type(name),
            "field" => Some(self.field(name)),
            "searches" => self.search(name, outline, word),
            kind => {
                let meant = self.meant(kind, name);
                let said: Vec<&str> = meant.iter().map(|named| named.about.as_str()).collect();
                let said = said.join("\n");
                (!said.is_empty()).then(|| format!("{name}\n{said}"))
            }
        }
    }

    /// The lines of a search that a condition names.
    fn search(&self, name: &str, outline: &Outline, word: &Word) -> Option<String> {
        let mut all = searches(outline, word);
        let (_, key) = all.find(|(key, _)| *key == name)?;
        let inside = outline
            .words
            .iter()
            .filter(|word| word.document == key.document && word.path.starts_with(&key.path));
        let end = inside.map(|word| word.place.end).max()?;
        let end = self
            .text
            .get(end..)?
            .find('\n')
            .map_or(self.text.len(), |at| end + at);
        self.text.get(key.place.start..end).map(str::to_owned)
    }

    /// What the documentation says of a key, or of the key whose value it is.
    fn documented(&self, outline: &Outline, word: &Word) -> Option<String> {
        let key = match word.path.last()? {
            Step::Key(key) => key,
            Step::Item(_) => return None,
        };
        let mapping = self.schemas(outline, word.document, above(word));
        let own = keys(&mapping)
            .get(key.as_str())
            .and_then(|one| one.get("description")?.as_str());
        let said =
            own.or_else(|| description(&self.schemas(outline, word.document, &word.path)))?;
        Some(format!("{key}: {said}"))
    }

    /// A field with modifiers.
    fn line(&self, key: &str) -> String {
        let mut parts = key.split('|');
        let mut said: Vec<String> = parts
            .next()
            .filter(|field| !field.is_empty())
            .map(|field| self.field(field))
            .into_iter()
            .collect();
        said.extend(parts.map(|name| format!("{name}: {}", self.modifier(name))));
        said.join("\n")
    }

    /// What is known of a field.
    pub(super) fn field(&self, name: &str) -> String {
        let mut said = Vec::new();
        if fields().binary_search(&name).is_ok() {
            said.push("a field of Okta's System Log".to_owned());
            let below = format!("{name}.");
            if fields().iter().any(|field| field.starts_with(&below)) {
                said.push("an object, or a list of some".to_owned());
            } else if !has_one_value(name) {
                said.push(
                    "of each element of a list: a line holds where any of them does".to_owned(),
                );
            }
        } else if is_open_map(name) {
            said.push(
                "Okta sends what it likes here; this key is not among those that were seen"
                    .to_owned(),
            );
        } else {
            said.push("Okta is not known to send this field".to_owned());
            said.extend(spelling(name).map(|right| format!("it sends `{right}`")));
        }
        if let Some((text, notation)) = text_above(name) {
            said.push(format!(
                "`{text}` is a text that holds values, written as `{notation}`"
            ));
        }
        if is_secret(name) {
            said.push("its values may be secrets".to_owned());
        }
        format!("{name}: {}", said.join("; "))
    }

    /// What a modifier does.
    pub(super) fn modifier(&self, name: &str) -> String {
        let said = modifier(name);
        if said.is_empty() {
            return "Sigma has no such modifier".to_owned();
        }
        said
    }
}

fn about_event_type(name: &str) -> Option<String> {
    let facts = event_facts(name)?;
    let mut said = format!("{name}: an event type of Okta's, of {}", facts.category);
    if !facts.added.is_empty() {
        said.push_str(&format!(", since {}", facts.added));
    }
    if !facts.tags.is_empty() {
        said.push_str(&format!("\nfiled under: {}", facts.tags.replace(' ', ", ")));
    }
    Some(said)
}

/// A text with its lines, and nothing else in it that is not seen.
fn visible_lines(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(visible).collect();
    lines.join("\n")
}
