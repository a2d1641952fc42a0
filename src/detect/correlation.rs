//! The `correlation` of a rule: a condition over several events of one group.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;
use std::sync::Arc;

use crate::detect::Rules;
use crate::detect::absent::decode_absent;
use crate::detect::alerts::{Selection, decode_selection, is_of_rule};
use crate::detect::bounds::Bounds;
use crate::detect::compile::Scope;
use crate::detect::consecutive::decode_consecutive;
use crate::detect::count::decode_event_count;
use crate::detect::first_seen::decode_first_seen;
use crate::detect::groups::Window;
use crate::detect::judged::decode_script;
use crate::detect::lists::Lists;
use crate::detect::logic;
use crate::detect::ratio::decode_ratio;
use crate::detect::repeat::decode_repeat_until;
use crate::detect::seen::Member;
use crate::detect::state::{Restoring, Saving};
use crate::detect::temporal::{decode_temporal, decode_temporal_ordered};
use crate::detect::value::{
    decode_value_avg, decode_value_count, decode_value_median, decode_value_percentile,
    decode_value_sum,
};
use crate::diag::{Problems, Span};
use crate::document::{Kind, Node, codes as shape};
use crate::event::{Digest, FieldPath, Nanos};
use crate::script::{Failure, Scripts};

/// The codes of problems in a correlation.
pub mod codes {
    /// A type of correlation that two correlations stand for.
    pub const IN_TWO: &str = "RL0140";
    /// A rule that a correlation names and the folder does not hold.
    pub const NO_SUCH_RULE: &str = "RL0141";
    /// A correlation that can never fire.
    pub const INACTIVE: &str = "RL0145";
    /// A condition that cannot be read.
    pub const CONDITION: &str = "RL0142";
    /// Correlations that name each other in a circle, or in too long a chain.
    pub const CHAIN: &str = "RL0143";
    /// A condition over rules that no window satisfies.
    pub const NEVER: &str = "RL0146";
    /// An alias that names a rule too few or too many.
    pub const ALIAS: &str = "RL0144";
}

/// A checked correlation.
#[derive(Clone, Debug)]
pub struct Correlation {
    /// What is asked of the events of a window.
    pub(super) asked: Arc<dyn Asked>,
    /// The rules whose matches it sees, by name or id.
    pub rules: Vec<(String, Span)>,
    /// Or else which rules it sees.
    pub selection: Option<Selection>,
    /// Names of its own for fields that its rules call differently.
    pub aliases: Aliases,
    /// The fields that tell groups apart.
    pub group_by: Vec<FieldPath>,
    /// How long a window is.
    pub timespan: Nanos,
    /// Whether the rules it names produce findings of their own as well.
    pub generate: bool,
    /// Every field it names, with its place, for lints.
    pub fields: Vec<(String, Span)>,
    /// Where its condition is written, or its type, which is then all of it.
    pub place: Span,
    /// What was written, see [`logic`](crate::detect::logic).
    pub(super) written: Digest,
}

impl Correlation {
    /// Whether its hits stand where a wait ends, a timespan behind their event.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.asked.waits()
    }

    /// The fields of which each group has the one value that tells it apart, with their places,
    /// where it only fires if a group has several.
    #[must_use]
    pub fn varied_in_vain(&self) -> Vec<(&str, Span)> {
        let varied = self.asked.varied();
        let is_vain = |field: &FieldPath| self.group_by.contains(field);
        if !varied.iter().all(is_vain) {
            return Vec::new();
        }
        // Those of the condition stand behind those of `group-by`.
        let place = |field: &FieldPath| {
            let mut places = self.fields.iter().rev();
            let place = places.find(|(name, _)| name == field.as_str())?;
            Some((place.0.as_str(), place.1))
        };
        let places: Option<Vec<_>> = varied.iter().map(place).collect();
        places.unwrap_or_default() // what an alias is of several rules nobody knows
    }
}

/// The types of correlation: what reads the condition of each.
const TYPES: [(&str, Decode); 14] = [
    ("event_count", decode_event_count),
    ("value_count", decode_value_count),
    ("value_sum", decode_value_sum),
    ("value_avg", decode_value_avg),
    ("value_percentile", decode_value_percentile),
    ("value_median", decode_value_median),
    ("temporal", decode_temporal),
    ("temporal_ordered", decode_temporal_ordered),
    ("consecutive", decode_consecutive),
    ("first_seen", decode_first_seen),
    ("absent", decode_absent),
    ("repeat_until", decode_repeat_until),
    ("ratio", decode_ratio),
    ("script", decode_script),
];

/// The names of all types.
pub fn correlation_types() -> impl Iterator<Item = &'static str> {
    TYPES.iter().map(|(name, _)| *name)
}

/// Reads the condition of one type; `None` when it was reported.
type Decode = fn(&mut Written<'_>, &mut Problems) -> Option<Arc<dyn Asked>>;

/// What a type of correlation reads its condition from.
pub(super) struct Written<'n> {
    condition: Option<&'n Node>,
    mapping: Span,
    /// Where the rules are written.
    rules_at: Span,
    /// Whether the rules are told otherwise than by their names.
    selects: bool,
    /// The rules it names, in their order.
    pub(super) rules: &'n [(String, Span)],
    pub(super) timespan: Nanos,
    pub(super) lists: &'n Lists,
    /// Whether it names a list that does not exist, so that it never fires.
    pub(super) inactive: bool,
    /// Every field it names goes here too, for lints.
    pub(super) fields: Vec<(String, Span)>,
}

impl<'n> Written<'n> {
    /// The condition, where it may be left out.
    pub(super) fn condition(&self) -> Option<&'n Node> {
        self.condition
    }

    /// Reports a condition of a type that has none.
    pub(super) fn refuse_condition(&self, name: &str, problems: &mut Problems) -> Option<()> {
        let Some(node) = self.condition else {
            return Some(());
        };
        problems
            .error(
                codes::CONDITION,
                node.span,
                format!("`{name}` has no condition"),
            )
            .help("the order of `rules` says it all; a condition goes with `temporal`");
        None
    }

    /// Reports a selection of rules where the type tells them apart by their order or names.
    pub(super) fn refuse_selection(&self, name: &str, problems: &mut Problems) -> Option<()> {
        if !self.selects {
            return Some(());
        }
        let message = format!("`{name}` tells its rules apart, and takes their names");
        problems
            .error(codes::CONDITION, self.rules_at, message)
            .help("`value_count` of the field `rulectl.rule` counts rules that are selected");
        None
    }

    /// The names of its rules.
    pub(super) fn names(&self) -> impl Iterator<Item = &'n str> {
        self.rules.iter().map(|(name, _)| name.as_str())
    }

    /// The first rule, and the others in the words of a reason, of a type that
    /// tells the first from the others; reports that there is one alone.
    pub(super) fn first_and_others(
        &self,
        name: &str,
        help: &str,
        problems: &mut Problems,
    ) -> Option<(String, String)> {
        self.refuse_selection(name, problems)?;
        let names: Vec<&str> = self.names().collect();
        match names.as_slice() {
            [first, others @ ..] if !others.is_empty() => {
                Some(((*first).to_owned(), others.join(" or ")))
            }
            [_] => {
                let message = format!("`{name}` takes two rules or more");
                problems
                    .error(codes::CONDITION, self.rules_at, message)
                    .help(help);
                None
            }
            _ => None, // reported: there is at least one
        }
    }

    /// Reports that the first rule is one of the others too.
    pub(super) fn refuse_twice(&self, problems: &mut Problems) -> Option<()> {
        let (first, others) = self.rules.split_first()?;
        let Some((name, span)) = others.iter().find(|(name, _)| *name == first.0) else {
            return Some(());
        };
        problems
            .error(
                codes::CONDITION,
                *span,
                format!("`{name}` is compared with itself"),
            )
            .help("the first of `rules` is another than those behind it");
        None
    }

    /// The condition; reports its absence.
    pub(super) fn needed(&self, problems: &mut Problems) -> Option<&'n Node> {
        if self.condition.is_none() {
            let at = Span {
                end: self.mapping.start,
                ..self.mapping
            };
            problems.error(shape::MISSING_KEY, at, "the key `condition` is missing");
        }
        self.condition
    }
}

/// What a correlation asks of the events of a window, as checked: one implementation a type.
pub(super) trait Asked: Debug + Send + Sync {
    /// Resolves its fields.
    fn compile(&self, scope: &mut Scope<'_>) -> Arc<dyn Condition>;

    /// The fields of which a group must have more than one value, or it never fires.
    fn varied(&self) -> &[FieldPath] {
        &[]
    }

    /// Whether its hits stand where a wait ends, and not at an event.
    fn waits(&self) -> bool {
        false
    }

    /// Whether it names functions of scripts.
    fn is_scripted(&self) -> bool {
        false
    }

    /// The same with the functions of scripts that it names, and the fields that they read;
    /// `None` where it names none.
    fn linked(&self, _: &mut Scripts, _: &mut Problems) -> Option<Linked> {
        None
    }
}

/// A condition whose functions were found, the fields that they read, and the digest of the script.
pub(super) type Linked = (Arc<dyn Asked>, Vec<(String, Span)>, Digest);

/// The same, ready to run. A type implements [`Condition::hit`] where a look at
/// the window is cheap, else [`Condition::account`].
pub(super) trait Condition: Debug + Send + Sync {
    /// Whether an event of the rules is one of the correlation.
    fn admits(&self, _member: &Member) -> bool {
        true
    }

    /// Whether an event that satisfies these rules begins the window of a group
    /// that has none.
    fn opens(&self, _rules: Rules) -> bool {
        true
    }

    /// What is kept of a group's window, so that nobody reads the whole of it at each event.
    fn account(self: Arc<Self>) -> Option<Box<dyn Account>> {
        None
    }

    /// Whether a hit is an event of the first rule that none of the others
    /// follows within the timespan; of such a type nothing else is asked.
    fn waits(&self) -> bool {
        false
    }

    /// Whether the window is a hit, and at which number; not asked where there is an account.
    fn hit(&self, _window: &Window) -> Option<f64> {
        None
    }

    /// How far the window has come; not asked where there is an account.
    fn reached(&self, _window: &Window) -> Reached {
        Reached::default()
    }

    /// The same in words.
    fn so_far(&self, reached: &Reached, _window: &Window) -> String {
        self.reason(reached.number, None)
    }

    /// Why a window was a hit: at this number, over this pair where a hit is about one.
    fn reason(&self, measure: f64, pair: Option<&(Member, Member)>) -> String;

    /// Whether a hit is about the two events of a pair; then [`Self::meet`] finds it.
    fn is_of_pairs(&self) -> bool {
        false
    }

    /// The event with which the newest of the window makes a hit. Of the others
    /// those are left that a later one may meet.
    fn meet(&self, _window: &mut Window) -> Option<Member> {
        None
    }
}

/// How far a window has come.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Reached {
    /// The number that is asked about.
    pub(super) number: f64,
    /// How much it lacks to be a hit, in that number; nothing of a hit.
    pub(super) lacks: f64,
}

impl Reached {
    /// So many of something, of which bounds are asked.
    pub(super) fn within(number: f64, bounds: &Bounds) -> Self {
        Self {
            number,
            lacks: bounds.lack(number),
        }
    }
}

/// What is asked where the condition names a list that does not exist.
#[derive(Clone, Debug)]
struct Never;

impl Asked for Never {
    fn compile(&self, _: &mut Scope<'_>) -> Arc<dyn Condition> {
        Arc::new(self.clone())
    }
}

impl Condition for Never {
    fn admits(&self, _: &Member) -> bool {
        false
    }

    fn reason(&self, _: f64, _: Option<&(Member, Member)>) -> String {
        String::new()
    }
}

/// What is kept of one window.
pub(super) trait Account {
    /// An event came, the newest, which satisfies these rules of the correlation.
    fn enter(&mut self, member: &Member, rules: Rules);
    /// An event went, the oldest.
    fn leave(&mut self, member: &Member);
    /// Whether the window is a hit, and at which number.
    fn hit(&self) -> Option<f64>;
    /// How far the window has come.
    fn reached(&self) -> Reached;
    /// Packs what the events of the window do not say.
    fn save(&self, saving: &mut Saving<'_>);
    /// Takes back what was packed. It is called of an account of nothing, with the events of
    /// the window. `None` where what was packed is something else.
    fn restore(&mut self, saved: &mut Restoring<'_>, members: &VecDeque<Member>) -> Option<()>;
    /// How many values are kept of what was before the window.
    fn values(&self) -> usize {
        0
    }
    /// How many bytes are kept beside the events of the window, told without a look at each.
    fn weight(&self) -> usize {
        0
    }
    /// Lets go of the oldest values until no more than so many bytes are kept, and says of how many.
    fn cut(&mut self, _left: usize) -> usize {
        0
    }
    /// Whether the window ends with its newest event, so that the next begins another.
    fn is_over(&self) -> bool {
        false
    }
    /// Why the script that was asked last gave no answer; told once.
    fn failure(&mut self) -> Option<Failure> {
        None
    }
}

/// Packs which rules each of these events satisfies.
pub(super) fn save_rules<'r>(
    events: impl IntoIterator<Item = &'r Rules, IntoIter: ExactSizeIterator>,
    saving: &mut Saving<'_>,
) {
    saving.each(events.into_iter(), |saving, rules| saving.number(*rules));
}

/// Lets an account of nothing take in the events of its window, of each of which was packed
/// which rules it satisfies.
pub(super) fn enter_anew(
    account: &mut dyn Account,
    saved: &mut Restoring<'_>,
    members: &VecDeque<Member>,
) -> Option<()> {
    let events: Vec<Rules> = saved.each(Restoring::number)?;
    for (member, rules) in members.iter().zip(&events) {
        account.enter(member, *rules);
    }
    (events.len() == members.len()).then_some(())
}

/// Names that a correlation gives to fields: what each means in each rule.
#[derive(Clone, Debug, Default)]
pub struct Aliases(BTreeMap<String, BTreeMap<String, String>>);

impl Aliases {
    /// Whether a field is an alias.
    #[must_use]
    pub fn has(&self, field: &str) -> bool {
        self.0.contains_key(field)
    }

    /// The field that is meant in the matches of a rule, named as `rules` names it.
    pub(super) fn meant<'a>(&'a self, field: &'a str, rule: &str) -> &'a str {
        let meanings = self.0.get(field);
        meanings
            .and_then(|meanings| meanings.get(rule))
            .map_or(field, String::as_str)
    }
}

/// Reads a `correlation` mapping.
pub fn decode_correlation(
    node: &Node,
    generate: bool,
    lists: &Lists,
    problems: &mut Problems,
) -> Option<Correlation> {
    let mut table = node.table(problems)?;
    let type_node = table.require("type", problems);
    let decode = type_node.and_then(|node| decode_type(node, problems));
    let rules_node = table.require("rules", problems);
    let group_node = table.get("group-by");
    let timespan = table
        .require("timespan", problems)
        .and_then(|node| decode_timespan(node, problems));
    let generate = table
        .get("generate")
        .and_then(|node| node.boolean(problems))
        .unwrap_or(generate);
    let condition = table.get("condition");
    let aliases_node = table.get("aliases");
    let selects = rules_node.is_some_and(|node| matches!(node.kind, Kind::Map(_)));
    let selection = rules_node
        .filter(|_| selects)
        .and_then(|node| decode_selection(node, problems));
    let rules = rules_node
        .filter(|_| !selects)
        .map(|node| rule_names(node, problems))
        .unwrap_or_default();
    let mut written = Written {
        condition,
        mapping: table.span(),
        rules_at: rules_node.map_or(node.span, |node| node.span),
        selects,
        rules: &rules,
        timespan: timespan.unwrap_or_default(),
        lists,
        inactive: false,
        fields: Vec::new(),
    };
    table.finish(problems);
    let aliases = aliases_node
        .map(|node| decode_aliases(node, &mut written, problems))
        .unwrap_or_default();
    let group_by = group_node
        .map(|node| field_list(node, &mut written.fields, problems))
        .unwrap_or_default();
    let asked = decode?(&mut written, problems);
    let inactive = || -> Arc<dyn Asked> { Arc::new(Never) };
    let asked = asked.or_else(|| written.inactive.then(inactive));
    let mut fields = written.fields;
    fields.retain(|(field, _)| !aliases.has(field) && !is_of_rule(field));
    Some(Correlation {
        asked: asked?,
        rules,
        selection,
        aliases,
        group_by,
        timespan: timespan?,
        generate,
        fields,
        place: condition.or(type_node).map_or(node.span, |node| node.span),
        written: logic::written(node, &["generate"], lists),
    })
}

fn decode_type(node: &Node, problems: &mut Problems) -> Option<Decode> {
    if node.scalar_text().as_deref() == Some("two_stage") {
        problems
            .error(
                codes::IN_TWO,
                node.span,
                "counts in two stages are two correlations",
            )
            .help("write one that counts, and a second that names the first: its hits are the events of the second");
        return None;
    }
    node.one_of(&TYPES, problems)
}

/// Reads `aliases: {NAME: {RULE: FIELD}}`.
fn decode_aliases(node: &Node, written: &mut Written<'_>, problems: &mut Problems) -> Aliases {
    let mut aliases = BTreeMap::new();
    let entries = node.table(problems).map(|table| table.entries());
    for (alias, node) in entries.unwrap_or_default() {
        let Some(table) = node.table(problems) else {
            continue;
        };
        let mut meanings = BTreeMap::new();
        for (rule, field) in table.entries() {
            let names = || written.rules.iter().map(|(name, _)| name.as_str());
            if !names().any(|name| name == rule.text) {
                let message = format!("the correlation does not name a rule `{}`", rule.text);
                problems
                    .error(codes::ALIAS, rule.span, message)
                    .did_you_mean(&rule.text, names());
            }
            if let Some(text) = field.text(problems) {
                written.fields.push((text.to_owned(), field.span));
                meanings.insert(rule.text.clone(), text.to_owned());
            }
        }
        for (rule, _) in written.rules {
            if !table.entries().iter().any(|(key, _)| key.text == *rule) {
                let message = format!("`{}` has no field for the rule `{rule}`", alias.text);
                problems
                    .error(codes::ALIAS, alias.span, message)
                    .help("an alias names a field for each of the rules");
            }
        }
        aliases.insert(alias.text.clone(), meanings);
    }
    Aliases(aliases)
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
        Kind::Text(name) => vec![(name.clone(), node.span)],
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
