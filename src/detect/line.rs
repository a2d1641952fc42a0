//! One line of a Sigma search, read: `field|modifier…: value`.

use std::borrow::Cow;

use crate::detect::lists::{Column, ListKind, Lists, NotThere};
use crate::detect::modifiers::{MODIFIERS, Modifier, Modifiers, Test};
use crate::detect::pattern::{Anchor, Pattern};
use crate::detect::predicate::Predicate;
use crate::diag::{Problems, Span};
use crate::document::{Key, Kind, Node};
use crate::event::FieldPath;

/// The codes of problems in a search.
pub mod codes {
    /// A modifier that Sigma does not have.
    pub const MODIFIER: &str = "RL0110";
    /// Modifiers that cannot stand together, or in this order.
    pub const COMBINATION: &str = "RL0111";
    /// A value that the modifier cannot take.
    pub const VALUE: &str = "RL0112";
    /// A placeholder without its list.
    pub const MISSING_LIST: &str = "RL0113";
    /// A column that a list does not have.
    pub const NO_COLUMN: &str = "RL0117";
    /// A modifier that does nothing here.
    pub const IDLE: &str = "RL0114";
}

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
    let errors = problems.counts().0;
    let Some((name, mut modifiers)) = decode_key(key, problems) else {
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
    let expanded = match expand(&values, &modifiers, lists, problems) {
        Ok(expanded) => expanded,
        Err(NoValues::ListMissing) => return Decoded::MissingList,
        Err(NoValues::Reported) => return Decoded::Broken,
    };
    if name.is_empty() {
        modifiers = of_a_keyword(modifiers);
    }
    let tests = tests(&expanded, &modifiers, problems);
    if problems.counts().0 > errors {
        return Decoded::Broken;
    }
    if modifiers.all && values.len() == 1 && !modifiers.expand {
        let written = problems.text(key.span.file);
        let written = written.get(key.span.start as usize..key.span.end as usize);
        let behind = written.and_then(|written| written.split_once("|all"));
        let is_word = behind.is_some_and(|(_, rest)| !rest.starts_with(char::is_alphanumeric));
        let fix = problems.replacing(key.span, "|all", "");
        problems
            .warn(codes::IDLE, key.span, "`all` of one value changes nothing")
            .fixed_by(fix.filter(|_| is_word))
            .help("give it a list of values, or leave `all` out");
    }
    let plain = expanded.iter().filter(|_| modifiers.is_plain());
    let plain = plain.filter_map(|value| plain_literal(value));
    let fields = expanded.iter().filter(|_| modifiers.names_fields());
    Decoded::Predicate(Predicate {
        field: (!name.is_empty()).then(|| FieldPath::new(name)),
        span: key.span,
        compared: fields
            .filter_map(|value| Some((value.scalar_text()?, value.span)))
            .collect(),
        places: expanded
            .iter()
            .filter(|_| !modifiers.expand)
            .map(|value| value.span)
            .collect(),
        tests,
        all: modifiers.all,
        negated: modifiers.negated,
        literals: plain.collect(),
        shown: shown(&key.text, &values),
    })
}

/// So many values of a list are reported one by one.
const REPORTED: usize = 20;

/// A test for each value; those of a list, of which any may hold, are one where that can be.
fn tests(values: &[Cow<'_, Node>], modifiers: &Modifiers, problems: &mut Problems) -> Vec<Test> {
    let mut tests: Vec<Test> = Vec::with_capacity(if modifiers.expand { 0 } else { values.len() });
    let errors = problems.counts().0;
    for value in values {
        if problems.counts().0 - errors == REPORTED && modifiers.expand {
            let message = "there may be more such values, which were not looked at";
            problems.error(codes::VALUE, value.span, message);
            break;
        }
        let Some(test) = modifiers.test(value, problems) else {
            continue;
        };
        let single = match tests.last_mut() {
            Some(last) if modifiers.expand && !modifiers.all => last.join(test),
            _ => Some(test),
        };
        tests.extend(single);
    }
    tests
}

/// A keyword: a text looked for anywhere in the record.
pub fn decode_keyword(value: &Node, problems: &mut Problems) -> Option<Predicate> {
    let Some(text) = value.scalar_text() else {
        problems.error(
            codes::VALUE,
            value.span,
            format!(
                "a keyword is a text or a number, found {}",
                value.describe()
            ),
        );
        return None;
    };
    let test = of_a_keyword(Modifiers::default()).test(value, problems)?;
    Some(Predicate {
        field: None,
        span: value.span,
        compared: Vec::new(),
        places: vec![value.span],
        tests: vec![test],
        all: false,
        negated: false,
        literals: Vec::new(),
        shown: format!("keyword {text}"),
    })
}

/// Without a field the values are keywords, which are looked for inside texts.
fn of_a_keyword(mut modifiers: Modifiers) -> Modifiers {
    modifiers.anchor.get_or_insert(Anchor::Anywhere);
    modifiers
}

/// The field of a line, empty for keywords, and what its modifiers say.
fn decode_key<'k>(key: &'k Key, problems: &mut Problems) -> Option<(&'k str, Modifiers)> {
    let mut parts = key.text.split('|');
    let name = parts.next().unwrap_or_default();
    let mut written: Vec<&'static Modifier> = Vec::new();
    let mut good = true;
    for part in parts {
        match MODIFIERS.iter().find(|modifier| modifier.name == part) {
            Some(modifier) => written.push(modifier),
            None => {
                problems
                    .error(
                        codes::MODIFIER,
                        key.span,
                        format!("Sigma has no modifier `{part}`"),
                    )
                    .did_you_mean(part, MODIFIERS.iter().map(|modifier| modifier.name));
                good = false;
            }
        }
    }
    if !good || !is_legal(key, name, &written, problems) {
        return None;
    }
    let mut modifiers = Modifiers::default();
    for modifier in &written {
        (modifier.effect)(&mut modifiers);
    }
    let has = |name: &str| written.iter().any(|modifier| modifier.name == name);
    if has("base64offset") && modifiers.anchor.is_none() && !name.is_empty() {
        problems
            .warn(
                codes::IDLE,
                key.span,
                "`base64offset` is for a part of a value, and is compared with the whole",
            )
            .help("write `base64offset|contains`");
    }
    Some((name, modifiers))
}

/// Reports the first reason why the modifiers cannot stand like this.
fn is_legal(key: &Key, field: &str, written: &[&Modifier], problems: &mut Problems) -> bool {
    let names = || written.iter().map(|modifier| modifier.name);
    let mut refuse = |message: String, help: String| {
        problems
            .error(codes::COMBINATION, key.span, message)
            .help(help);
        false
    };
    for (at, first) in written.iter().enumerate() {
        let name = first.name;
        if let Some(needed) = first
            .needs
            .filter(|needed| !names().any(|name| name == *needed))
        {
            return refuse(
                format!("`{name}` only goes with `{needed}`"),
                format!("write `{needed}|{name}`, or leave `{name}` out"),
            );
        }
        if field.is_empty() && first.of_a_field {
            return refuse(
                format!("`{name}` is for a field, not for keywords"),
                "write a field before the `|`".to_owned(),
            );
        }
        for second in written.get(at + 1..).unwrap_or_default() {
            let other = second.name;
            if name == other {
                return refuse(
                    format!("`{name}` stands twice"),
                    "remove one of the two".to_owned(),
                );
            }
            if !first.goes_with(second) {
                return refuse(
                    format!("`{name}` and `{other}` cannot stand together"),
                    companions(first, second),
                );
            }
            if second.before.contains(&name) {
                return refuse(
                    format!("`{other}` cannot stand behind `{name}`"),
                    format!("modifiers work from left to right: write `{other}|{name}`"),
                );
            }
        }
    }
    true
}

/// A help: what the pickier of the two goes with.
fn companions(first: &Modifier, second: &Modifier) -> String {
    let names = |modifier: &Modifier| -> Vec<String> {
        let others = MODIFIERS.iter().filter(|other| other.goes_with(modifier));
        others.map(|other| format!("`{}`", other.name)).collect()
    };
    let (of_first, of_second) = (names(first), names(second));
    if of_first.len() < of_second.len() {
        format!("`{}` goes with {}", first.name, of_first.join(", "))
    } else {
        format!("`{}` goes with {}", second.name, of_second.join(", "))
    }
}

/// Why a line has no values.
enum NoValues {
    /// A list is missing, with a warning.
    ListMissing,
    /// An error was reported.
    Reported,
}

/// Replaces `%name%` by the values of a list.
fn expand<'v>(
    values: &[&'v Node],
    modifiers: &Modifiers,
    lists: &Lists,
    problems: &mut Problems,
) -> Result<Vec<Cow<'v, Node>>, NoValues> {
    if !modifiers.expand {
        return Ok(values.iter().copied().map(Cow::Borrowed).collect());
    }
    let mut expanded = Vec::new();
    for value in values {
        let text = value.scalar_text().unwrap_or_default();
        let Some(name) = text
            .strip_prefix('%')
            .and_then(|rest| rest.strip_suffix('%'))
        else {
            if text.contains("\\%") || text.matches('%').count() > 1 {
                let message = "with `expand`, `%name%` is a value as a whole";
                problems
                    .error(codes::VALUE, value.span, message)
                    .help("write what stands around it into the list, or leave `expand` out");
            }
            expanded.push(Cow::Borrowed(*value));
            continue;
        };
        let column = named(name, value.span, lists, problems)?;
        if column.kind() == ListKind::Networks && !modifiers.names_networks() {
            let message = format!("the values of `{name}` are networks");
            problems
                .error(codes::VALUE, value.span, message)
                .help("write `cidr|expand` to ask whether an address is in one of them");
            return Err(NoValues::Reported);
        }
        expanded.extend(column.values().map(|(text, span)| {
            Cow::Owned(Node {
                span,
                kind: Kind::Text(text.to_owned()),
            })
        }));
    }
    Ok(expanded)
}

/// The column of a list that a placeholder names.
fn named<'l>(
    name: &str,
    span: Span,
    lists: &'l Lists,
    problems: &mut Problems,
) -> Result<Column<'l>, NoValues> {
    lists.column(name).map_err(|missing| match missing {
        NotThere::List(_) => {
            let list = name.rsplit_once('.').map_or(name, |(list, _)| list);
            problems
                .warn(
                    codes::MISSING_LIST,
                    span,
                    format!("there is no list `{list}`, so what names it is inactive"),
                )
                .help(match list == name {
                    true => format!("create `rules/lists/{name}.txt` with one value a line"),
                    false => format!("create `rules/lists/{list}.csv` with a header"),
                });
            NoValues::ListMissing
        }
        NotThere::Column { list, column } => {
            let message = format!("the list `{list}` has no column `{column}`");
            let error = problems.error(codes::NO_COLUMN, span, message);
            error.did_you_mean(&column, lists.columns(&list));
            NoValues::Reported
        }
    })
}

fn plain_literal(value: &Node) -> Option<(String, Span)> {
    let text = value.scalar_text()?;
    if !text.contains(['\\', '*', '?']) {
        return Some((text, value.span));
    }
    let pattern = Pattern::new(&text, Anchor::Whole, true);
    let plain = pattern
        .as_plain()
        .filter(|plain| plain.anchor == Anchor::Whole)?;
    Some((plain.text.to_owned(), value.span))
}

fn shown(key: &str, values: &[&Node]) -> String {
    const SHOWN: usize = 3;
    let mut shown = key.to_owned();
    for (at, value) in values.iter().take(SHOWN).enumerate() {
        shown.push_str(if at == 0 { ": " } else { " | " });
        match &value.kind {
            Kind::Text(text) => shown.push_str(text),
            _ => shown.push_str(value.scalar_text().as_deref().unwrap_or("null")),
        }
    }
    if values.len() > SHOWN {
        shown.push_str(&format!(" | … ({} values)", values.len()));
    }
    shown
}
