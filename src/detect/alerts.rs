//! Correlations over what other rules find: which rules those are, and what is
//! known of them beside the fields of their events.

use crate::detect::pattern::{Anchor, Pattern};
use crate::detect::rule::{LEVELS, Level, Logic, Rule};
use crate::diag::Problems;
use crate::document::{Kind, Node, Table, codes as shape};
use crate::event::FieldPath;

/// The rules of a correlation that are told by what they say of themselves, and not by their names.
#[derive(Clone, Debug)]
pub struct Selection {
    levels: Vec<Level>,
    finding_types: Vec<Pattern>,
    tags: Vec<Pattern>,
}

/// Reads `rules: {level: [high, critical], finding_type: …, tag: attack.*}`.
pub(super) fn decode_selection(node: &Node, problems: &mut Problems) -> Option<Selection> {
    let errors = problems.counts().0;
    let mut table = node.table(problems)?;
    let levels = items(table.get("level"), problems).iter();
    let selection = Selection {
        levels: levels
            .filter_map(|node| node.one_of(&LEVELS, problems))
            .collect(),
        finding_types: decode_patterns(&mut table, "finding_type", problems),
        tags: decode_patterns(&mut table, "tag", problems),
    };
    let is_empty = table.entries().is_empty();
    table.finish(problems);
    if is_empty {
        problems
            .error(shape::MISSING_KEY, node.span, "the selection is empty")
            .help("write `level`, `finding_type`, `tag` or several of them");
    }
    (problems.counts().0 == errors).then_some(selection)
}

/// A value, or those of a list, which has some.
fn items<'n>(node: Option<&'n Node>, problems: &mut Problems) -> &'n [Node] {
    let Some(node) = node else { return &[] };
    let Kind::List(items) = &node.kind else {
        return std::slice::from_ref(node);
    };
    if items.is_empty() {
        problems
            .error(shape::BAD_VALUE, node.span, "an empty list selects nothing")
            .help("leave the key out, or write a value");
    }
    items
}

fn decode_patterns(
    table: &mut Table<'_>,
    key: &'static str,
    problems: &mut Problems,
) -> Vec<Pattern> {
    let items = items(table.get(key), problems).iter();
    let texts = items.filter_map(|node| node.text(problems));
    texts
        .map(|text| Pattern::new(text, Anchor::Whole, false))
        .collect()
}

impl Selection {
    /// Whether it is for a rule: each key that it has must fit.
    pub(super) fn is_for(&self, rule: &Rule) -> bool {
        let fits =
            |patterns: &[Pattern], text: &str| patterns.iter().any(|pattern| pattern.matches(text));
        let tagged = rule.tags.iter().any(|tag| fits(&self.tags, tag));
        !matches!(rule.logic, Logic::Inactive)
            && (self.levels.is_empty() || self.levels.contains(&rule.level))
            && (self.finding_types.is_empty()
                || fits(&self.finding_types, &rule.settings.finding_type))
            && (self.tags.is_empty() || tagged)
    }
}

/// A field of a correlation that is none of its events: what is known of the
/// rule that an event satisfies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OfRule {
    /// Its name, or else its title.
    Rule,
    Level,
    FindingType,
    /// The value of the field that it names for `user`.
    User,
}

const OF_RULE: [(&str, OfRule); 4] = [
    ("rulectl.rule", OfRule::Rule),
    ("rulectl.level", OfRule::Level),
    ("rulectl.finding_type", OfRule::FindingType),
    ("rulectl.user", OfRule::User),
];

fn of_rule(field: &str) -> Option<OfRule> {
    let named = OF_RULE.iter().find(|(name, _)| *name == field);
    named.map(|(_, of)| *of)
}

/// Whether a field of a correlation is about the rules that it names.
pub(super) fn is_of_rule(field: &str) -> bool {
    of_rule(field).is_some()
}

/// What a correlation may ask of a rule that it names.
#[derive(Clone, Debug)]
pub(super) struct About {
    rule: String,
    level: Level,
    finding_type: String,
    user: Option<FieldPath>,
}

impl About {
    pub(super) fn new(rule: &Rule) -> Self {
        Self {
            rule: rule.label().to_owned(),
            level: rule.level,
            finding_type: rule.settings.finding_type.clone(),
            user: rule.settings.user.clone(),
        }
    }

    /// The text that stands for a field in each event of the rule, if one does.
    pub(super) fn says(&self, field: &str) -> Option<&str> {
        match of_rule(field)? {
            OfRule::Rule => Some(&self.rule),
            OfRule::Level => Some(self.level.as_str()),
            OfRule::FindingType => Some(&self.finding_type),
            OfRule::User => None,
        }
    }

    /// The field of its events that is meant by one; `None` where none is.
    pub(super) fn means<'a>(&'a self, field: &'a str) -> Option<&'a str> {
        match of_rule(field) {
            None => Some(field),
            Some(OfRule::User) => self.user.as_ref().map(FieldPath::as_str),
            Some(_) => None,
        }
    }
}
