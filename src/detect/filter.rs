//! Filter documents: conditions that hold for several rules at once.
//!
//! An event matches a filtered rule when `(condition of the rule) and
//! (condition of the filter)` (Sigma's specification of filters, and pySigma).

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::detect::lists::Lists;
use crate::detect::rule::{LogSource, Logic, Rule, decode_id, decode_log_source};
use crate::detect::search::{DecodedDetection, Detection, decode_detection};
use crate::diag::{Problems, Span};
use crate::document::{Kind, Node, codes as document_codes};

/// The codes of problems in a filter.
pub mod codes {
    /// A filter names a rule that does not exist, or a correlation.
    pub const NO_SUCH_RULE: &str = "RL0106";
    /// A filter has no effect on a rule, or on any.
    pub const IDLE: &str = "RL0107";
}

/// A checked filter.
#[derive(Clone, Debug)]
pub struct Filter {
    /// What a person calls it.
    pub title: String,
    /// The log source that its rules must have.
    pub source: LogSource,
    named: Named,
    /// `None`: it names a list that does not exist, and filters nothing.
    detection: Option<Detection>,
}

/// The rules of a filter.
#[derive(Clone, Debug)]
enum Named {
    /// Each of its log source.
    Any,
    /// Those of these names or ids.
    These(Vec<(String, Span)>),
}

impl Filter {
    /// What it asks of an event.
    #[must_use]
    pub fn detection(&self) -> Option<&Detection> {
        self.detection.as_ref()
    }
}

/// Whether a document is a filter and no rule.
#[must_use]
pub fn is_filter(node: &Node) -> bool {
    let Kind::Map(entries) = &node.kind else {
        return false;
    };
    let has = |name: &str| entries.iter().any(|(key, _)| key.text == name);
    has("filter") && !has("detection") && !has("correlation")
}

/// Reads a filter document.
pub fn decode_filter(node: &Node, lists: &Lists, problems: &mut Problems) -> Option<Filter> {
    let errors = problems.counts().0;
    let mut table = node.table(problems)?;
    let title = table
        .require("title", problems)
        .and_then(|node| node.text(problems));
    decode_id(&mut table, None, "", 0, problems);
    let source = table
        .require("logsource", problems)
        .and_then(|node| decode_log_source(node, problems));
    for key in DESCRIPTIVE {
        table.get(key);
    }
    let body = table.require("filter", problems);
    let body = body.and_then(|node| decode_body(node, lists, problems));
    table.finish_with_warnings(problems);
    if problems.counts().0 > errors {
        return None;
    }
    let (named, detection) = body?;
    Some(Filter {
        title: title?.to_owned(),
        source: source?,
        named,
        detection,
    })
}

const DESCRIPTIVE: [&str; 10] = [
    "name",
    "description",
    "author",
    "date",
    "modified",
    "taxonomy",
    "status",
    "references",
    "tags",
    "license",
];

fn decode_body(
    node: &Node,
    lists: &Lists,
    problems: &mut Problems,
) -> Option<(Named, Option<Detection>)> {
    let mut table = node.table(problems)?;
    let named = table
        .require("rules", problems)
        .and_then(|node| decode_named(node, problems));
    if let Some(condition) = table.get("condition") {
        condition.text(problems)?;
    }
    let detection = match decode_detection(node, &["rules"], lists, problems) {
        DecodedDetection::Ready(detection) => Some(detection),
        DecodedDetection::Inactive => None,
        DecodedDetection::Broken => return None,
    };
    Some((named?, detection))
}

fn decode_named(node: &Node, problems: &mut Problems) -> Option<Named> {
    match &node.kind {
        Kind::Text(word) if ["any", "all"].contains(&word.to_lowercase().as_str()) => {
            Some(Named::Any)
        }
        Kind::Text(name) => Some(Named::These(vec![(name.clone(), node.span)])),
        _ => {
            let names = node.texts(problems);
            if names.is_empty() && matches!(node.kind, Kind::List(_)) {
                problems
                    .error(
                        document_codes::BAD_VALUE,
                        node.span,
                        "the filter names no rule",
                    )
                    .help("name rules, or write `rules: any` for all of the log source");
            }
            let owned = names
                .into_iter()
                .map(|(name, span)| (name.to_owned(), span));
            Some(Named::These(owned.collect()))
        }
    }
}

/// Adds each filter to the rules that it is for; reports names that cannot be
/// resolved. `broken` are the names and ids of rules that were reported already.
pub fn apply_filters(
    filters: &[Filter],
    rules: &mut [Rule],
    broken: &BTreeSet<String>,
    problems: &mut Problems,
) {
    for filter in filters {
        let chosen = match &filter.named {
            Named::Any => any_rule(filter, rules, problems),
            Named::These(names) => names
                .iter()
                .filter_map(|(name, span)| named_rule(filter, name, *span, rules, broken, problems))
                .collect(),
        };
        for at in chosen {
            let logic = rules.get_mut(at).map(|rule| &mut rule.logic);
            if let (Some(Logic::Detection(rule)), Some(filter_detection)) =
                (logic, &filter.detection)
            {
                Arc::make_mut(rule).add_filter(&filter.title, filter_detection.clone());
            }
        }
    }
}

/// Every detection rule of the filter's log source.
fn any_rule(filter: &Filter, rules: &[Rule], problems: &mut Problems) -> BTreeSet<usize> {
    let numbered = rules.iter().enumerate();
    let chosen: BTreeSet<usize> = numbered
        .filter(|(_, rule)| is_of_source(rule, filter))
        .map(|(at, _)| at)
        .collect();
    if chosen.is_empty() {
        problems
            .warn(
                codes::IDLE,
                filter.source.span,
                "no rule has this log source, so this filter has no effect",
            )
            .help("what the filter says of its log source, the rules must say too");
    }
    chosen
}

fn named_rule(
    filter: &Filter,
    name: &str,
    span: Span,
    rules: &[Rule],
    broken: &BTreeSet<String>,
    problems: &mut Problems,
) -> Option<usize> {
    let found = rules.iter().position(|rule| rule.is_called(name));
    let Some((at, rule)) = found.and_then(|at| Some((at, rules.get(at)?))) else {
        if !broken.contains(name) {
            let detections = rules
                .iter()
                .filter(|rule| !matches!(rule.logic, Logic::Correlation(_)))
                .filter_map(|rule| rule.name.as_deref());
            problems
                .error(
                    codes::NO_SUCH_RULE,
                    span,
                    format!("there is no rule `{name}`"),
                )
                .did_you_mean(name, detections);
        }
        return None;
    };
    if matches!(rule.logic, Logic::Correlation(_)) {
        problems
            .error(
                codes::NO_SUCH_RULE,
                span,
                format!("`{name}` is a correlation, and a filter is for detections"),
            )
            .help("name the rules that the correlation counts");
        return None;
    }
    if !is_of_source(rule, filter) {
        problems
            .warn(
                codes::IDLE,
                span,
                format!("`{name}` has another log source, so this filter has no effect on it"),
            )
            .help("what the filter says of its log source, the rule must say too");
        return None;
    }
    Some(at)
}

/// Whether the rule says of its log source everything that the filter says.
fn is_of_source(rule: &Rule, filter: &Filter) -> bool {
    let Some(own) = &rule.source else {
        return false;
    };
    let asked = &filter.source;
    let pairs = [
        (&asked.product, &own.product),
        (&asked.category, &own.category),
        (&asked.service, &own.service),
    ];
    pairs
        .iter()
        .all(|(asked, own)| asked.is_none() || asked == own)
}
