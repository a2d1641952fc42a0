//! The `correlation` of a rule: a condition over several events of one group.

use crate::detect::consecutive::{PairCondition, decode_pair_condition};
use crate::detect::count::{CountCondition, decode_count_condition};
use crate::diag::{Problems, Span};
use crate::document::{Node, codes as shape};
use crate::event::{FieldPath, Nanos};

/// The codes of problems in a correlation.
pub mod codes {
    /// A correlation type or feature that does not exist or is not read yet.
    pub const UNSUPPORTED: &str = "RL0140";
    /// A rule that a correlation names and the folder does not hold.
    pub const NO_SUCH_RULE: &str = "RL0141";
    /// A correlation that can never fire.
    pub const INACTIVE: &str = "RL0143";
    /// A condition that cannot be read.
    pub const CONDITION: &str = "RL0142";
}

/// A checked correlation.
#[derive(Clone, Debug)]
pub struct Correlation {
    /// What is asked of the events of a window.
    pub kind: CorrelationKind,
    /// The rules whose matches it sees, by name or id.
    pub rules: Vec<(String, Span)>,
    /// The fields that tell groups apart.
    pub group_by: Vec<FieldPath>,
    /// How long a window is.
    pub timespan: Nanos,
    /// Whether the rules it names produce findings of their own as well.
    pub generate: bool,
    /// Every field it names, with its place, for lints.
    pub fields: Vec<(String, Span)>,
}

/// The types of correlation.
#[derive(Clone, Debug)]
pub enum CorrelationKind {
    /// So many events in a window.
    EventCount(CountCondition),
    /// Two neighbouring events that do not go together.
    Consecutive(PairCondition),
}

#[derive(Clone, Copy)]
enum Type {
    EventCount,
    Consecutive,
    Later,
}

const TYPES: [(&str, Type); 14] = [
    ("event_count", Type::EventCount),
    ("consecutive", Type::Consecutive),
    ("value_count", Type::Later),
    ("temporal", Type::Later),
    ("temporal_ordered", Type::Later),
    ("value_sum", Type::Later),
    ("value_avg", Type::Later),
    ("value_percentile", Type::Later),
    ("value_median", Type::Later),
    ("first_seen", Type::Later),
    ("absent", Type::Later),
    ("ratio", Type::Later),
    ("repeat_until", Type::Later),
    ("two_stage", Type::Later),
];

/// Reads a `correlation` mapping.
pub fn decode_correlation(node: &Node, problems: &mut Problems) -> Option<Correlation> {
    let mut table = node.table(problems)?;
    let type_node = table.require("type", problems);
    let kind = type_node.and_then(|node| node.one_of(&TYPES, problems));
    let rules_node = table.require("rules", problems);
    let group_node = table.get("group-by");
    let timespan = table
        .require("timespan", problems)
        .and_then(|node| decode_timespan(node, problems));
    let generate = table
        .get("generate")
        .and_then(|node| node.boolean(problems))
        .unwrap_or(false);
    let condition = table.get("condition");
    report_unsupported(&mut table, problems);
    let mut fields = Vec::new();
    let group_by = group_node
        .map(|node| field_list(node, &mut fields, problems))
        .unwrap_or_default();
    let rules = rules_node
        .map(|node| rule_names(node, problems))
        .unwrap_or_default();
    let span = table.span();
    table.finish(problems);
    let kind = match kind? {
        Type::EventCount => CorrelationKind::EventCount(decode_count_condition(
            needed(condition, span, problems)?,
            problems,
        )?),
        Type::Consecutive => CorrelationKind::Consecutive(decode_pair_condition(
            needed(condition, span, problems)?,
            &mut fields,
            problems,
        )?),
        Type::Later => {
            let span = type_node.map_or(span, |node| node.span);
            problems
                .error(
                    codes::UNSUPPORTED,
                    span,
                    "this type of correlation is not supported by this version of rulectl",
                )
                .help("`event_count` and `consecutive` are");
            return None;
        }
    };
    Some(Correlation {
        kind,
        rules,
        group_by,
        timespan: timespan?,
        generate,
        fields,
    })
}

fn decode_timespan(node: &Node, problems: &mut Problems) -> Option<Nanos> {
    let span = node.span_of_time(problems)?;
    if span == Nanos(0) {
        problems
            .error(
                shape::BAD_VALUE,
                node.span,
                "a window of no time holds one event at most",
            )
            .help("write a time span such as `10m`");
    }
    Some(span)
}

fn needed<'n>(
    condition: Option<&'n Node>,
    span: Span,
    problems: &mut Problems,
) -> Option<&'n Node> {
    if condition.is_none() {
        let at = Span {
            end: span.start,
            ..span
        };
        problems.error(shape::MISSING_KEY, at, "the key `condition` is missing");
    }
    condition
}

fn report_unsupported(table: &mut crate::document::Table<'_>, problems: &mut Problems) {
    if table.get("aliases").is_some()
        && let Some(span) = table.place_of("aliases")
    {
        problems.error(
            codes::UNSUPPORTED,
            span,
            "`aliases` are not supported by this version of rulectl",
        );
    }
}

fn field_list(
    node: &Node,
    fields: &mut Vec<(String, Span)>,
    problems: &mut Problems,
) -> Vec<FieldPath> {
    let texts = node.texts(problems);
    fields.extend(texts.iter().map(|(text, span)| ((*text).to_owned(), *span)));
    texts
        .into_iter()
        .map(|(text, _)| FieldPath::new(text))
        .collect()
}

fn rule_names(node: &Node, problems: &mut Problems) -> Vec<(String, Span)> {
    let names: Vec<_> = match &node.kind {
        crate::document::Kind::Text(name) => vec![(name.clone(), node.span)],
        _ => node
            .texts(problems)
            .into_iter()
            .map(|(text, span)| (text.to_owned(), span))
            .collect(),
    };
    if names.is_empty() {
        problems.error(
            shape::BAD_VALUE,
            node.span,
            "a correlation names at least one rule",
        );
    }
    names
}
