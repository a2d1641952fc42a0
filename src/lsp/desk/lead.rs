//! Where a name leads.

use serde_json::{Value, json};

use crate::lsp::desk::{Desk, searches};
use crate::lsp::outline::{Outline, Role, Word};

impl Desk<'_> {
    /// Every place where what is named here is declared.
    pub(in crate::lsp) fn definition(&self) -> Value {
        let outline = Outline::of(self.notation, self.text);
        let Some(word) = outline.at(self.offset) else {
            return json!([]);
        };
        let kind = self.kind(&outline, word).unwrap_or_default();
        let name = self.text.get(self.part(kind, word)).unwrap_or_default();
        if kind == "searches" {
            return json!(self.searches(name, &outline, word));
        }
        let mut meant = self.meant(kind, name);
        if let Some(list) = listed(word) {
            meant.extend(self.names.called("list", list));
        }
        let elsewhere = meant
            .into_iter()
            .filter(|named| named.file != self.name || named.place != word.place);
        let places = elsewhere.filter_map(|named| self.location(&named.file, &named.place));
        json!(places.collect::<Vec<_>>())
    }

    /// The searches that a name of a condition means, with a `*` in it or not.
    fn searches(&self, name: &str, outline: &Outline, word: &Word) -> Vec<Value> {
        let is_meant = |key: &str| match name.split_once('*') {
            Some((before, behind)) => key.starts_with(before) && key.ends_with(behind),
            None => key == name,
        };
        let all = searches(outline, word).filter(|(key, _)| is_meant(key));
        all.filter_map(|(_, key)| self.location(self.name, &key.place))
            .collect()
    }
}

/// The list that a value `%NAME%` or `%NAME.COLUMN%` stands for.
fn listed(word: &Word) -> Option<&str> {
    let inside = word.text.strip_prefix('%')?.strip_suffix('%')?;
    let name = inside.split('.').next()?;
    (word.role == Role::Value).then_some(name)
}
