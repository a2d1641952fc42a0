//! Countries by ISO 3166 code or English name: Okta sends names, other exports codes.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::event::fold;

/// Code, code of three letters, names: one country a line.
const TABLE: &str = include_str!("countries.tsv");

static BY_TEXT: LazyLock<HashMap<String, &'static str>> = LazyLock::new(|| {
    let rows = TABLE.lines().filter(|line| !line.starts_with('#'));
    rows.flat_map(|row| {
        let code = row.split('\t').next().unwrap_or_default();
        row.split(['\t', '|']).map(move |text| (fold(text), code))
    })
    .collect()
});

/// The ISO 3166-1 alpha-2 code of a country given by code or English name, without regard to case.
#[must_use]
pub fn country_code(text: &str) -> Option<&'static str> {
    BY_TEXT.get(&fold(text.trim())).copied()
}
