//! Named lists of values, `rules/lists/NAME.txt`, for Sigma's `expand`.

use std::collections::BTreeMap;

/// The lists of a policy by name.
#[derive(Clone, Debug, Default)]
pub struct Lists(BTreeMap<String, Vec<String>>);

impl Lists {
    /// Adds the list that `text` holds: one value a line, `#` begins a comment line.
    pub fn add(&mut self, name: &str, text: &str) {
        let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
        let values = lines
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(str::to_owned);
        self.0.insert(name.to_owned(), values.collect());
    }

    /// Every list with its values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        let lists = self.0.iter();
        lists.map(|(name, values)| (name.as_str(), values.as_slice()))
    }

    /// The values of a list.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[String]> {
        self.0.get(name).map(Vec::as_slice)
    }
}
