//! The `detection` of a Sigma rule: named searches and a condition over them.

use crate::detect::condition::{Condition, parse_condition};
use crate::detect::line::{Decoded, decode_keyword, decode_predicate};
use crate::detect::lists::Lists;
use crate::detect::logic::written;
use crate::detect::predicate::Predicate;
use crate::diag::{Problems, Span};
use crate::document::{Kind, Node};
use crate::event::Digest;

/// The codes of problems in a detection as a whole.
pub mod codes {
    /// A search that is not a mapping, a list of mappings or a list of keywords, or a `timeframe`.
    pub const SHAPE: &str = "RL0121";
    /// A search that the condition does not name.
    pub const UNUSED: &str = "RL0122";
    /// A condition that nothing satisfies.
    pub const NEVER: &str = "RL0123";
}

/// A checked detection.
#[derive(Clone, Debug)]
pub struct Detection {
    searches: Vec<Search>,
    condition: Condition,
    /// Where the condition is written.
    place: Span,
    /// Whether some mix of the searches makes it hold.
    can_hold: bool,
    /// The filters that apply, by their titles: each must hold too.
    filters: Vec<(String, Detection)>,
    /// What was written, see [`logic`](crate::detect::logic).
    written: Digest,
}

/// A named search: any of its alternatives, each of which needs all its predicates.
#[derive(Clone, Debug)]
pub struct Search {
    /// Its name.
    pub name: String,
    /// Where the name is written.
    pub span: Span,
    /// What it takes to hold.
    pub alternatives: Vec<Vec<Predicate>>,
}

impl Detection {
    /// The searches, the condition over them by position, and the filters by title.
    #[must_use]
    pub fn parts(&self) -> (&[Search], &Condition, &[(String, Self)]) {
        (&self.searches, &self.condition, &self.filters)
    }

    /// One of the searches as a detection of its own, without condition and filters.
    pub(super) fn search_alone(&self, at: usize) -> Self {
        Self {
            searches: self.searches.get(at).cloned().into_iter().collect(),
            condition: Condition::Search(0),
            filters: Vec::new(),
            place: self.place,
            can_hold: true,
            written: Digest::of(format!("{} {at}", self.written).as_bytes()),
        }
    }

    /// Where the condition is written.
    #[must_use]
    pub fn place(&self) -> Span {
        self.place
    }

    /// Whether some mix of the searches makes the condition hold; where none does, that was told.
    #[must_use]
    pub fn can_hold(&self) -> bool {
        self.can_hold
    }

    /// What was written, without the filters: the same however it is laid out.
    pub(super) fn written(&self) -> Digest {
        self.written
    }

    /// From now on an event matches only when it satisfies the filter too.
    pub fn add_filter(&mut self, title: &str, filter: Self) {
        self.filters.push((title.to_owned(), filter));
    }

    /// Every field that the searches read, with its place; those of filters are their own.
    #[must_use]
    pub fn fields(&self) -> Vec<(&str, Span)> {
        let mut fields = Vec::new();
        for predicate in self.predicates() {
            let field = predicate.field.as_ref().map(|path| path.as_str());
            fields.extend(field.map(|field| (field, predicate.span)));
            let compared = predicate.compared.iter();
            fields.extend(compared.map(|(text, span)| (text.as_str(), *span)));
        }
        fields
    }

    /// Every whole text that the searches compare a field with.
    #[must_use]
    pub fn literals(&self, field: &str) -> Vec<(&str, Span)> {
        let is_field = |predicate: &&Predicate| {
            let path = predicate.field.as_ref();
            path.is_some_and(|path| path.as_str() == field)
        };
        let literals = self.predicates().filter(is_field);
        let literals = literals.flat_map(|predicate| &predicate.literals);
        literals
            .map(|(text, span)| (text.as_str(), *span))
            .collect()
    }

    fn predicates(&self) -> impl Iterator<Item = &Predicate> {
        self.searches
            .iter()
            .flat_map(|search| search.alternatives.iter().flatten())
    }
}

/// What a detection decodes to.
pub enum DecodedDetection {
    /// A detection that can run.
    Ready(Detection),
    /// It is right, and names a list that does not exist.
    Inactive,
    /// Problems were reported.
    Broken,
}

/// A `timeframe` belongs to conditions that count, which Sigma has correlations for: taken for a
/// search it would be a keyword, and left out the rule would mean something else.
fn refuse_timeframe(written: Option<Span>, problems: &mut Problems) {
    if let Some(span) = written {
        let message = "`timeframe` is not supported: a detection is about one event";
        problems
            .error(codes::SHAPE, span, message)
            .help("write a correlation of the rule, with `timespan` and a `condition` that counts");
    }
}

/// Reads the `detection` mapping of a rule, or that of a filter: a condition
/// and searches, apart from the keys that are `reserved`.
pub fn decode_detection(
    node: &Node,
    reserved: &[&str],
    lists: &Lists,
    problems: &mut Problems,
) -> DecodedDetection {
    let errors = problems.counts().0;
    let Some(mut table) = node.table(problems) else {
        return DecodedDetection::Broken;
    };
    let condition_node = table.require("condition", problems);
    let mut searches = Vec::new();
    let mut inactive = false;
    refuse_timeframe(table.place_of("timeframe"), problems);
    for (key, value) in table.entries().iter().filter(|(key, _)| {
        !["condition", "timeframe"].contains(&key.text.as_str())
            && !reserved.contains(&key.text.as_str())
    }) {
        let alternatives = decode_search(value, lists, &mut inactive, problems);
        searches.push((
            key,
            Search {
                name: key.text.clone(),
                span: key.span,
                alternatives,
            },
        ));
    }
    let names: Vec<&str> = searches.iter().map(|(key, _)| key.text.as_str()).collect();
    let condition = condition_node.and_then(|node| decode_condition(node, &names, problems));
    if let Some(condition) = &condition {
        let mut used = vec![false; names.len()];
        condition.mark_used(&mut used);
        for ((key, _), _) in searches.iter().zip(&used).filter(|(_, used)| !**used) {
            problems.warn(
                codes::UNUSED,
                key.span,
                format!("the condition does not use the search `{}`", key.text),
            );
        }
    }
    if let (Some(condition), Some(node)) = (&condition, condition_node)
        && !condition.can_hold(names.len())
    {
        problems
            .warn(
                codes::NEVER,
                node.span,
                "no event satisfies this condition, whatever the searches are",
            )
            .help("a search and its `not` never hold both");
    }
    match condition {
        Some(_) if problems.counts().0 > errors => DecodedDetection::Broken,
        Some(_) if inactive => DecodedDetection::Inactive,
        Some(condition) => {
            let searches: Vec<Search> = searches.into_iter().map(|(_, search)| search).collect();
            DecodedDetection::Ready(Detection {
                place: condition_node.map_or(node.span, |node| node.span),
                can_hold: condition.can_hold(searches.len()),
                searches,
                condition,
                filters: Vec::new(),
                written: written(node, reserved, lists),
            })
        }
        None => DecodedDetection::Broken,
    }
}

/// One condition, or a list of them of which any may hold.
fn decode_condition(node: &Node, names: &[&str], problems: &mut Problems) -> Option<Condition> {
    let Kind::List(items) = &node.kind else {
        let text = node.text(problems)?;
        return parse_condition(text, names, node.span, problems);
    };
    let conditions: Option<Vec<_>> = items
        .iter()
        .map(|item| {
            item.text(problems)
                .and_then(|text| parse_condition(text, names, item.span, problems))
        })
        .collect();
    conditions.map(Condition::Any)
}

fn decode_search(
    node: &Node,
    lists: &Lists,
    inactive: &mut bool,
    problems: &mut Problems,
) -> Vec<Vec<Predicate>> {
    match &node.kind {
        Kind::Map(_) => vec![decode_map(node, lists, inactive, problems)],
        Kind::List(items) if !items.is_empty() => items
            .iter()
            .map(|item| match &item.kind {
                Kind::Map(_) => decode_map(item, lists, inactive, problems),
                _ => decode_keyword(item, problems).into_iter().collect(),
            })
            .collect(),
        Kind::Text(_) | Kind::Number(_) | Kind::Bool(_) => {
            vec![decode_keyword(node, problems).into_iter().collect()]
        }
        _ => {
            problems
                .error(codes::SHAPE, node.span, format!("a search is a mapping of fields, a list of such mappings or a list of keywords, found {}", node.describe()))
                .help("write `selection:` and below it `field: value`");
            Vec::new()
        }
    }
}

fn decode_map(
    node: &Node,
    lists: &Lists,
    inactive: &mut bool,
    problems: &mut Problems,
) -> Vec<Predicate> {
    let Kind::Map(entries) = &node.kind else {
        return Vec::new();
    };
    if entries.is_empty() {
        problems.error(
            codes::SHAPE,
            node.span,
            "this search is empty and would match every event",
        );
    }
    let mut predicates = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        match decode_predicate(key, value, lists, problems) {
            Decoded::Predicate(predicate) => predicates.push(predicate),
            Decoded::MissingList => *inactive = true,
            Decoded::Broken => {}
        }
    }
    predicates
}

#[cfg(test)]
pub mod tests;
