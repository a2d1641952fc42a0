//! One line of a Sigma search: a field, its modifiers, and the values to compare with.

use std::net::IpAddr;

use ipnet::IpNet;
use regex::{Regex, RegexBuilder};
use serde_json::{Number, Value};

use crate::detect::lists::Lists;
use crate::detect::pattern::{Anchor, Pattern};
use crate::diag::{Problems, Span};
use crate::document::{Key, Kind, Node};
use crate::event::{FieldPath, scalar_text};

/// The codes of problems in a search.
pub mod codes {
    /// A modifier that Sigma does not have, or that is not read yet.
    pub const MODIFIER: &str = "RL0110";
    /// Modifiers that cannot stand together.
    pub const COMBINATION: &str = "RL0111";
    /// A value that the modifier cannot take.
    pub const VALUE: &str = "RL0112";
    /// A placeholder without its list.
    pub const MISSING_LIST: &str = "RL0113";
}

/// A field compared with values: `client.ipAddress|cidr: [10.0.0.0/8]`.
#[derive(Clone, Debug)]
pub struct Predicate {
    /// The field; `None` for a keyword, which is looked for in every scalar.
    pub field: Option<FieldPath>,
    /// Where the field is written.
    pub span: Span,
    /// The fields that it is compared with, and where they are written.
    pub compared: Vec<(String, Span)>,
    tests: Vec<Test>,
    all: bool,
    negated: bool,
    /// The plain texts that the field is compared with, and where, for lints.
    pub literals: Vec<(String, Span)>,
    /// How a person reads it, for explanations.
    pub shown: String,
}

#[derive(Clone, Debug)]
enum Test {
    Null,
    Text(Pattern),
    Number(Number),
    Regex(Regex),
    Cidr(IpNet),
    Compare(Order, f64),
    Exists(bool),
    SameAs(FieldPath, bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Predicate {
    /// Whether the event satisfies it.
    #[must_use]
    pub fn holds(&self, fields: &Value) -> bool {
        let found = match &self.field {
            Some(field) => field.values(fields),
            None => scalars(fields),
        };
        let holds = |test: &Test| test.holds(&found, self.field.as_ref(), fields);
        let result = if self.all {
            self.tests.iter().all(holds)
        } else {
            self.tests.iter().any(holds)
        };
        result != self.negated
    }
}

impl Test {
    /// Whether any of the values that the field reaches passes.
    fn holds(&self, found: &[&Value], field: Option<&FieldPath>, fields: &Value) -> bool {
        match self {
            Self::Null => found.is_empty() || found.iter().any(|value| value.is_null()),
            Self::Exists(wanted) => field.is_some_and(|field| field.exists(fields) == *wanted),
            Self::SameAs(other, cased) => same_as(found, &other.values(fields), *cased),
            _ => found.iter().any(|value| self.passes(value)),
        }
    }

    fn passes(&self, value: &Value) -> bool {
        match self {
            Self::Text(pattern) => scalar_text(value).is_some_and(|text| pattern.matches(&text)),
            Self::Number(number) => same_number(number, value),
            Self::Regex(regex) => scalar_text(value).is_some_and(|text| regex.is_match(&text)),
            Self::Cidr(net) => value
                .as_str()
                .and_then(|text| text.parse::<IpAddr>().ok())
                .is_some_and(|ip| net.contains(&ip)),
            Self::Compare(order, bound) => {
                number_of(value).is_some_and(|number| order.holds(number, *bound))
            }
            Self::Null | Self::Exists(_) | Self::SameAs(..) => false,
        }
    }
}

impl Order {
    fn holds(self, value: f64, bound: f64) -> bool {
        match self {
            Self::Less => value < bound,
            Self::LessOrEqual => value <= bound,
            Self::Greater => value > bound,
            Self::GreaterOrEqual => value >= bound,
        }
    }
}

/// A number equals a number by value, and a text by its text.
fn same_number(number: &Number, value: &Value) -> bool {
    match value {
        Value::Number(found) => {
            found == number
                || (found.as_f64() == number.as_f64() && (found.is_f64() || number.is_f64()))
        }
        _ => scalar_text(value).is_some_and(|text| text == number.to_string()),
    }
}

fn number_of(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text
            .trim()
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite()),
        _ => None,
    }
}

fn same_as(found: &[&Value], other: &[&Value], cased: bool) -> bool {
    let prepared = |value: &&Value| {
        scalar_text(value).map(|text| {
            if cased {
                text.into_owned()
            } else {
                crate::event::fold(&text)
            }
        })
    };
    let others: Vec<_> = other.iter().filter_map(prepared).collect();
    found
        .iter()
        .filter_map(prepared)
        .any(|text| others.contains(&text))
}

/// Every scalar of a record: where a keyword is looked for.
fn scalars(fields: &Value) -> Vec<&Value> {
    let mut found = Vec::new();
    let mut todo = vec![fields];
    while let Some(value) = todo.pop() {
        match value {
            Value::Array(items) => todo.extend(items),
            Value::Object(map) => todo.extend(map.values()),
            scalar => found.push(scalar),
        }
    }
    found
}

/// The modifiers of a field, as written after its name.
#[derive(Clone, Copy, Debug, Default)]
struct Modifiers {
    anchor: Option<Anchor>,
    compare: Option<Order>,
    regex: bool,
    ignore_case: bool,
    multi_line: bool,
    dot_all: bool,
    cidr: bool,
    exists: bool,
    fieldref: bool,
    cased: bool,
    all: bool,
    neq: bool,
    expand: bool,
}

/// Matching takes time in proportion to the value and, with wildcards, to this.
const LONGEST_TEXT: usize = 4_096;

const KNOWN: [&str; 18] = [
    "contains",
    "startswith",
    "endswith",
    "all",
    "cased",
    "exists",
    "neq",
    "re",
    "i",
    "m",
    "s",
    "cidr",
    "lt",
    "lte",
    "gt",
    "gte",
    "expand",
    "fieldref",
];

/// Sigma's other modifiers.
const LATER: [&str; 14] = [
    "windash",
    "base64",
    "base64offset",
    "utf16le",
    "utf16be",
    "utf16",
    "wide",
    "minute",
    "hour",
    "day",
    "week",
    "month",
    "year",
    "timestamp",
];

/// What a search line turns into.
pub enum Decoded {
    /// A predicate.
    Predicate(Predicate),
    /// A rule with this line cannot run, since a list that it names does not exist.
    MissingList,
    /// Problems were reported.
    Broken,
}

/// Reads `field|modifier…: value`.
pub fn decode_predicate(
    key: &Key,
    value: &Node,
    lists: &Lists,
    problems: &mut Problems,
) -> Decoded {
    let mut parts = key.text.split('|');
    let name = parts.next().unwrap_or_default();
    let errors = problems.counts().0;
    let Some(modifiers) = modifiers(key, parts, problems) else {
        return Decoded::Broken;
    };
    let values: Vec<&Node> = match &value.kind {
        Kind::List(items) => items.iter().collect(),
        _ => vec![value],
    };
    if values.is_empty() {
        problems
            .error(
                codes::VALUE,
                value.span,
                format!("`{}` has an empty list of values", key.text),
            )
            .help("add a value, or remove the line");
        return Decoded::Broken;
    }
    let expanded = match expand(&values, modifiers, lists, problems) {
        Some(expanded) => expanded,
        None => return Decoded::MissingList,
    };
    // Without a field the values are keywords, which are looked for inside texts.
    let modifiers = Modifiers {
        anchor: modifiers
            .anchor
            .or(name.is_empty().then_some(Anchor::Anywhere)),
        ..modifiers
    };
    let tests: Vec<Test> = expanded
        .iter()
        .filter_map(|value| test(value, modifiers, problems))
        .collect();
    if problems.counts().0 > errors {
        return Decoded::Broken;
    }
    let literals = expanded
        .iter()
        .filter(|_| modifiers.is_plain())
        .filter_map(plain_literal)
        .collect();
    Decoded::Predicate(Predicate {
        field: (!name.is_empty()).then(|| FieldPath::new(name)),
        span: key.span,
        compared: compared(&expanded, modifiers),
        tests,
        all: modifiers.all,
        negated: modifiers.neq,
        literals,
        shown: shown(&key.text, &values),
    })
}

/// A keyword: a text looked for anywhere in the record.
pub fn decode_keyword(value: &Node, problems: &mut Problems) -> Option<Predicate> {
    let text = match value.scalar_text() {
        Some(text) => text,
        None => {
            problems.error(
                codes::VALUE,
                value.span,
                format!(
                    "a keyword is a text or a number, found {}",
                    value.describe()
                ),
            );
            return None;
        }
    };
    Some(Predicate {
        field: None,
        span: value.span,
        compared: Vec::new(),
        tests: vec![Test::Text(Pattern::new(&text, Anchor::Anywhere, false))],
        all: false,
        negated: false,
        literals: Vec::new(),
        shown: format!("keyword {text}"),
    })
}

impl Modifiers {
    /// A comparison with whole texts: the only kind whose literals name something by itself.
    fn is_plain(&self) -> bool {
        self.anchor.is_none()
            && self.compare.is_none()
            && !self.regex
            && !self.cidr
            && !self.exists
            && !self.fieldref
    }
}

fn modifiers<'k>(
    key: &Key,
    parts: impl Iterator<Item = &'k str>,
    problems: &mut Problems,
) -> Option<Modifiers> {
    let mut found = Modifiers::default();
    let mut kinds: Vec<&str> = Vec::new();
    let mut good = true;
    for part in parts {
        let mut kind = |word: &'k str| kinds.push(word);
        match part {
            "contains" => {
                found.anchor = Some(Anchor::Anywhere);
                kind(part)
            }
            "startswith" => {
                found.anchor = Some(Anchor::Start);
                kind(part)
            }
            "endswith" => {
                found.anchor = Some(Anchor::End);
                kind(part)
            }
            "lt" => {
                found.compare = Some(Order::Less);
                kind(part)
            }
            "lte" => {
                found.compare = Some(Order::LessOrEqual);
                kind(part)
            }
            "gt" => {
                found.compare = Some(Order::Greater);
                kind(part)
            }
            "gte" => {
                found.compare = Some(Order::GreaterOrEqual);
                kind(part)
            }
            "re" => {
                found.regex = true;
                kind(part)
            }
            "cidr" => {
                found.cidr = true;
                kind(part)
            }
            "exists" => {
                found.exists = true;
                kind(part)
            }
            "fieldref" => {
                found.fieldref = true;
                kind(part)
            }
            "i" => found.ignore_case = true,
            "m" => found.multi_line = true,
            "s" => found.dot_all = true,
            "cased" => found.cased = true,
            "all" => found.all = true,
            "neq" => found.neq = true,
            "expand" => found.expand = true,
            unknown => {
                unknown_modifier(key, unknown, problems);
                good = false;
            }
        }
    }
    (good && check_combination(key, &found, &kinds, problems)).then_some(found)
}

fn unknown_modifier(key: &Key, word: &str, problems: &mut Problems) {
    if LATER.contains(&word) {
        problems
            .error(
                codes::MODIFIER,
                key.span,
                format!("the modifier `{word}` is not supported by this version of rulectl"),
            )
            .help("write the values out");
    } else {
        problems
            .error(
                codes::MODIFIER,
                key.span,
                format!("Sigma has no modifier `{word}`"),
            )
            .did_you_mean(word, KNOWN);
    }
}

fn check_combination(
    key: &Key,
    found: &Modifiers,
    kinds: &[&str],
    problems: &mut Problems,
) -> bool {
    let mut report = |message: String| {
        problems.error(codes::COMBINATION, key.span, message);
        false
    };
    if let [first, second, ..] = kinds {
        return report(format!("`{first}` and `{second}` cannot stand together"));
    }
    if (found.ignore_case || found.multi_line || found.dot_all) && !found.regex {
        return report("`i`, `m` and `s` only go with `re`".to_owned());
    }
    let no_case = found.regex || found.cidr || found.exists || found.compare.is_some();
    if found.cased && no_case {
        return report(format!(
            "`cased` does not go with `{}`",
            kinds.first().unwrap_or(&"")
        ));
    }
    if found.exists && (found.all || found.expand) {
        return report("`exists` stands alone".to_owned());
    }
    true
}

/// Replaces `%name%` by the values of a list. `None`: a list is missing, with a warning.
fn expand(
    values: &[&Node],
    modifiers: Modifiers,
    lists: &Lists,
    problems: &mut Problems,
) -> Option<Vec<Node>> {
    if !modifiers.expand {
        return Some(values.iter().map(|value| (*value).clone()).collect());
    }
    let mut expanded = Vec::new();
    for value in values {
        let text = value.scalar_text().unwrap_or_default();
        let Some(name) = text
            .strip_prefix('%')
            .and_then(|rest| rest.strip_suffix('%'))
        else {
            expanded.push((*value).clone());
            continue;
        };
        let Some(list) = lists.get(name) else {
            problems
                .warn(
                    codes::MISSING_LIST,
                    value.span,
                    format!("there is no list `{name}`, so this rule is inactive"),
                )
                .help(format!(
                    "create `rules/lists/{name}.txt` with one value a line"
                ));
            return None;
        };
        expanded.extend(list.iter().map(|text| Node {
            span: value.span,
            kind: Kind::Text(text.clone()),
        }));
    }
    Some(expanded)
}

fn test(value: &Node, modifiers: Modifiers, problems: &mut Problems) -> Option<Test> {
    if modifiers.exists {
        return value.boolean(problems).map(Test::Exists);
    }
    if matches!(value.kind, Kind::List(_) | Kind::Map(_)) {
        let message = format!(
            "a value is a text, a number, true, false or null, found {}",
            value.describe()
        );
        problems.error(codes::VALUE, value.span, message);
        return None;
    }
    if let Some(order) = modifiers.compare {
        return value
            .number(f64::MIN, f64::MAX, problems)
            .map(|bound| Test::Compare(order, bound));
    }
    let Some(text) = value.scalar_text() else {
        if modifiers.is_plain() {
            return Some(Test::Null);
        }
        problems.error(
            codes::VALUE,
            value.span,
            "null does not go with this modifier",
        );
        return None;
    };
    if modifiers.regex {
        return regex(&text, modifiers, value.span, problems).map(Test::Regex);
    }
    if modifiers.cidr {
        return cidr(&text, value.span, problems).map(Test::Cidr);
    }
    if modifiers.fieldref {
        return Some(Test::SameAs(FieldPath::new(&text), modifiers.cased));
    }
    if text.chars().count() > LONGEST_TEXT {
        let message = format!("this value is longer than {LONGEST_TEXT} characters");
        problems.error(codes::VALUE, value.span, message);
        return None;
    }
    match (&value.kind, modifiers.anchor) {
        (Kind::Number(number), None) => Some(Test::Number(number.clone())),
        (_, anchor) => Some(Test::Text(Pattern::new(
            &text,
            anchor.unwrap_or(Anchor::Whole),
            modifiers.cased,
        ))),
    }
}

fn regex(text: &str, modifiers: Modifiers, span: Span, problems: &mut Problems) -> Option<Regex> {
    let built = RegexBuilder::new(text)
        .case_insensitive(modifiers.ignore_case)
        .multi_line(modifiers.multi_line)
        .dot_matches_new_line(modifiers.dot_all)
        .size_limit(1 << 20)
        .dfa_size_limit(1 << 20)
        .nest_limit(64)
        .build();
    match built {
        Ok(regex) => Some(regex),
        Err(error) => {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            let reason = last.trim_start_matches("error: ").trim_end_matches('.');
            let reason = reason.to_lowercase();
            problems
                .error(codes::VALUE, span, format!("not a usable regular expression: {reason}"))
                .help("look-around and back-references are not supported; the compiled size is limited to 1 MiB");
            None
        }
    }
}

fn cidr(text: &str, span: Span, problems: &mut Problems) -> Option<IpNet> {
    let net = text
        .parse()
        .ok()
        .or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    if net.is_none() {
        problems
            .error(codes::VALUE, span, format!("`{text}` is not an IP network"))
            .help("write it like `10.0.0.0/8` or `2001:db8::/32`");
    }
    net
}

fn compared(values: &[Node], modifiers: Modifiers) -> Vec<(String, Span)> {
    let fields = values.iter().filter(|_| modifiers.fieldref);
    fields
        .filter_map(|value| Some((value.scalar_text()?, value.span)))
        .collect()
}

fn plain_literal(value: &Node) -> Option<(String, Span)> {
    let text = value.scalar_text()?;
    let literal = Pattern::new(&text, Anchor::Whole, true)
        .as_plain()?
        .to_owned();
    Some((literal, value.span))
}

fn shown(key: &str, values: &[&Node]) -> String {
    let mut texts: Vec<_> = values
        .iter()
        .take(3)
        .map(|v| v.scalar_text().unwrap_or("null".to_owned()))
        .collect();
    if values.len() > texts.len() {
        texts.push(format!("… ({} values)", values.len()));
    }
    format!("{key}: {}", texts.join(" | "))
}
