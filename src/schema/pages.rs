//! What the documentation says of keys: rows of its tables.

const RULES: &str = include_str!("../../docs/rules.md");
const CORRELATIONS: &str = include_str!("../../docs/correlations.md");
const ROUTING: &str = include_str!("../../docs/routing.md");
const TOOLS: &str = include_str!("../../docs/tools.md");
const PROMPTS: &str = include_str!("../../docs/prompts.md");
const TESTS: &str = include_str!("../../docs/tests.md");

/// A page that is asked, and the heading below which its rows stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table(&'static str, &'static str);

impl Table {
    /// No page has a table of these keys.
    pub(super) const NONE: Self = Self("", "");
    pub(super) const MODIFIERS: Self = Self(RULES, "### Modifiers");
    pub(super) const CORRELATION: Self = Self(RULES, "## A correlation");
    pub(super) const BLOCK: Self = Self(RULES, "## The `rulectl` block");
    pub(super) const SELECTION: Self = Self(CORRELATIONS, "## Over what other rules find");
    pub(super) const COMMANDS: Self = Self(TOOLS, "# Commands");
    pub(super) const TOOLS: Self = Self(TOOLS, "## A tool");
    pub(super) const PARAMS: Self = Self(TOOLS, "### Parameters");
    pub(super) const RECIPES: Self = Self(TOOLS, "## A recipe");
    pub(super) const STEPS: Self = Self(TOOLS, "### Steps");
    pub(super) const AGENTS: Self = Self(ROUTING, "## Agents");
    pub(super) const GUARDRAILS: Self = Self(ROUTING, "## Guardrails");
    pub(super) const SLOTS: Self = Self(ROUTING, "## Slots");
    pub(super) const ASK: Self = Self(ROUTING, "## Questions");
    pub(super) const PLANS: Self = Self(ROUTING, "## Plans");
    pub(super) const GATE: Self = Self(ROUTING, "## The gate");
    pub(super) const PROMPT: Self = Self(PROMPTS, "# Prompts");
    pub(super) const QUESTION: Self = Self(TESTS, "## Questions");
    pub(super) const CASE: Self = Self(TESTS, "# Suites");

    /// What the row of a key says, links as their words.
    pub(super) fn says(self, key: &str) -> String {
        let Self(page, heading) = self;
        let below = page.split_once(&format!("{heading}\n"));
        let below = below.map_or("", |(_, below)| below);
        let words = [format!("`{key}`"), format!("`{key} = \"deny\"`")];
        let mut rows = below.lines().filter_map(cells);
        let row = rows.find(|(keys, _)| {
            keys.split(", ")
                .any(|one| words.iter().any(|word| word == one))
        });
        row.map(|(_, says)| without_links(says)).unwrap_or_default()
    }
}

/// The two cells of a row.
fn cells(line: &str) -> Option<(&str, &str)> {
    let row = line.strip_prefix("| ")?.strip_suffix(" |")?;
    row.split_once(" | ")
}

fn without_links(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once('[') {
        plain.push_str(before);
        let parts = link.split_once("](").and_then(|(shown, target)| {
            let (_, behind) = target.split_once(')')?;
            Some((shown, behind))
        });
        let Some((shown, behind)) = parts else {
            plain.push('[');
            rest = link;
            continue;
        };
        plain.push_str(shown);
        rest = behind;
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_by_their_keys() {
        assert_eq!(
            Table::BLOCK.says("metadata"),
            "fields whose values a finding lists"
        );
        assert!(Table::MODIFIERS.says("endswith").contains("at its end"));
        assert!(Table::SELECTION.says("tag").contains("tags"));
        let rules = Table::CORRELATION.says("rules");
        assert!(rules.contains("a selection; required"), "{rules}");
        assert_eq!(Table::BLOCK.says("nothing"), "");
        assert_eq!(without_links("a [b](c) [d] (e"), "a b [d] (e");
    }
}
