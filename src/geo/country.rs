//! Countries by ISO 3166 code or English name: Okta sends names, other exports codes.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::event::fold;

/// Code, code of three letters, names: one country a line.
const TABLE: &str = include_str!("countries.tsv");

/// Of each code and name the code of the country, and the name that Okta sends.
static BY_TEXT: LazyLock<HashMap<String, (&'static str, &'static str)>> = LazyLock::new(|| {
    let rows = TABLE.lines().filter(|line| !line.starts_with('#'));
    rows.flat_map(|row| {
        let mut texts = row.split(['\t', '|']);
        let code = texts.next().unwrap_or_default();
        let name = texts.nth(1).unwrap_or_default();
        row.split(['\t', '|'])
            .map(move |text| (fold(text), (code, name)))
    })
    .collect()
});

/// The ISO 3166-1 alpha-2 code of a country given by code or English name, without regard to case.
#[must_use]
pub fn country_code(text: &str) -> Option<&'static str> {
    Some(BY_TEXT.get(&fold(text.trim()))?.0)
}

/// The name that Okta sends of a country given by code or English name.
#[must_use]
pub fn country_name(text: &str) -> Option<&'static str> {
    Some(BY_TEXT.get(&fold(text.trim()))?.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_country_has_one_code_and_one_name() {
        for (text, code, name) in [
            ("us", "US", "United States"),
            ("USA", "US", "United States"),
            (" France ", "FR", "France"),
            ("XK", "XK", "Kosovo"),
        ] {
            assert_eq!(country_code(text), Some(code), "{text}");
            assert_eq!(country_name(text), Some(name), "{text}");
        }
        assert_eq!(country_code("Atlantis"), None);
        assert_eq!(country_name(""), None);
    }
}
