//! Values that a field may have, made up from what is asked of it.

use regex_syntax::hir::{Class, Hir, HirKind};
use serde_json::{Value, json};

use crate::detect::modifiers::{PartOfTime, Test};
use crate::detect::pattern::{Anchor, Part, Pattern};
use crate::detect::versions::atoms::{Asked, Atoms, Set};
use crate::event::fold;

/// A value, and what of its field holds where the field has it.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) value: Value,
    pub(super) holds: Set,
}

/// So many values of one field are tried.
const MOST: usize = 600;

/// So many values of one test are tried.
const MOST_OF_ONE: usize = 12;

/// The values that are tried for a field.
pub(super) fn candidates(atoms: &Atoms, field: usize) -> Vec<Candidate> {
    let mut values: Vec<Value> = Vec::new();
    let mut parts: Vec<(Anchor, String)> = Vec::new();
    let mut bounds: Vec<f64> = Vec::new();
    let of_field = atoms.atoms.iter().filter(|atom| atom.field == field);
    for atom in of_field {
        match &atom.asked {
            Asked::Value(Test::Compare(None, _, bound)) => bounds.push(*bound),
            Asked::Value(test) => of_test(test, &mut values, &mut parts),
            Asked::Null | Asked::Exists | Asked::SameAs(_) => {}
        }
    }
    joined(&parts, &mut values);
    numbers(bounds, &mut values);
    values.extend([
        json!("other"),
        json!("OTHER"),
        json!(""),
        Value::Null,
        json!(true),
        json!(0),
    ]);
    let mut candidates: Vec<Candidate> = Vec::new();
    for value in values.into_iter().take(MOST) {
        if candidates.iter().all(|known| known.value != value) {
            let holds = holds(atoms, field, &value);
            candidates.push(Candidate { value, holds });
        }
    }
    candidates
}

/// What of a field holds where it has the value.
fn holds(atoms: &Atoms, field: usize, value: &Value) -> Set {
    let of_field = atoms
        .atoms
        .iter()
        .enumerate()
        .filter(|(_, atom)| atom.field == field);
    let holding = of_field.filter(|(_, atom)| match &atom.asked {
        Asked::Value(test) => passes(test, value),
        Asked::Null => value.is_null(),
        Asked::Exists => true,
        Asked::SameAs(_) => false,
    });
    holding.fold(0, |set, (at, _)| set | 1 << at)
}

fn passes(test: &Test, value: &Value) -> bool {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => return false,
    };
    match test {
        Test::Text(patterns) => {
            let folded = fold(&text);
            patterns.iter().any(|pattern| pattern.fits(&text, &folded))
        }
        Test::Number(number) => text == number.to_string(),
        Test::Cidr(_) => value.is_string() && test.passes_text(&text),
        _ => test.passes_text(&text),
    }
}

fn of_test(test: &Test, values: &mut Vec<Value>, parts: &mut Vec<(Anchor, String)>) {
    match test {
        Test::Text(patterns) => {
            for pattern in patterns.iter().take(MOST_OF_ONE) {
                of_pattern(pattern, values, parts);
            }
        }
        Test::Number(number) => values.extend([json!(number), json!(number.to_string())]),
        Test::Cidr(nets) => {
            for net in nets.iter().take(MOST_OF_ONE) {
                values.push(json!(net.network().to_string()));
                values.push(json!(net.broadcast().to_string()));
                let middle = net.hosts().nth(1).map(|address| address.to_string());
                values.extend(middle.map(Value::from));
            }
        }
        Test::Compare(Some(part), _, bound) => times(*part, *bound, values),
        Test::Regex(regex, _) => {
            values.extend(samples(regex.as_str()).into_iter().map(Value::from));
        }
        Test::Compare(None, ..) | Test::Null | Test::Exists(_) | Test::SameAs(..) => {}
    }
}

fn of_pattern(pattern: &Pattern, values: &mut Vec<Value>, parts: &mut Vec<(Anchor, String)>) {
    let Some(plain) = pattern.as_plain() else {
        for run in ["", "x"] {
            values.push(pattern.sample(run).into());
        }
        return;
    };
    let text = plain.text;
    values.push(text.into());
    // Another spelling, for what minds case.
    values.push(text.to_uppercase().into());
    values.push(text.to_lowercase().into());
    let around = match plain.anchor {
        Anchor::Whole => return,
        Anchor::Start => format!("{text}x"),
        Anchor::End => format!("x{text}"),
        Anchor::Anywhere => format!("x{text}x"),
    };
    values.push(around.into());
    if parts.len() < MOST_OF_ONE {
        parts.push((plain.anchor, text.to_owned()));
    }
}

/// Texts that have several parts, each where it belongs.
fn joined(parts: &[(Anchor, String)], values: &mut Vec<Value>) {
    for (at, (anchor, one)) in parts.iter().enumerate() {
        for (other_anchor, other) in parts.iter().skip(at + 1) {
            let text = match (anchor, other_anchor) {
                (Anchor::End, _) | (_, Anchor::Start) => format!("{other} {one}"),
                _ => format!("{one} {other}"),
            };
            values.push(text.into());
        }
    }
    let of = |wanted: Anchor| {
        let texts = parts.iter().filter(move |(anchor, _)| *anchor == wanted);
        texts.map(|(_, text)| text.as_str()).collect::<Vec<_>>()
    };
    let all = [of(Anchor::Start), of(Anchor::Anywhere), of(Anchor::End)].concat();
    if all.len() > 2 {
        values.push(all.join(" ").into());
    }
}

/// Numbers at, beside and between the bounds.
fn numbers(mut bounds: Vec<f64>, values: &mut Vec<Value>) {
    bounds.sort_by(f64::total_cmp);
    let between = bounds.windows(2).filter_map(|pair| match pair {
        [low, high] => Some(low / 2.0 + high / 2.0),
        _ => None,
    });
    let between: Vec<f64> = between.collect();
    let beside = bounds
        .iter()
        .flat_map(|bound| [*bound, bound - 1.0, bound + 1.0]);
    values.extend(beside.chain(between).map(written_number));
}

/// A number as a person writes it: 5 and not 5.0.
#[expect(
    clippy::cast_possible_truncation,
    reason = "it was seen to be whole and small"
)]
fn written_number(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() < 1e15 {
        json!(number as i64)
    } else {
        json!(number)
    }
}

/// Times of which a part is the bound, or beside it.
fn times(part: PartOfTime, bound: f64, values: &mut Vec<Value>) {
    const TIMES: [&str; 7] = [
        "2026-03-02T10:00:00Z",
        "2024-02-29T23:59:00Z",
        "2020-12-31T00:00:00Z",
        "2026-07-15T12:30:00Z",
        "1999-01-01T05:05:00Z",
        "2025-11-09T18:45:00Z",
        "2030-05-20T02:15:00Z",
    ];
    values.extend(TIMES.map(Value::from));
    let text = |number: f64| format!("{number:02}");
    for number in [bound, bound - 1.0, bound + 1.0] {
        let number = text(number);
        let made = [
            format!("2026-03-02T{number}:00:00Z"),
            format!("2026-03-02T10:{number}:00Z"),
            format!("2026-03-{number}T10:00:00Z"),
            format!("2026-{number}-02T10:00:00Z"),
            format!("{number}-03-02T10:00:00Z"),
        ];
        let wanted = made.into_iter().filter(|text| {
            let time = crate::event::Time::parse(text);
            let moment = time.map(|time| chrono::DateTime::from_timestamp_nanos(time.0));
            moment.is_some_and(|moment| text_of((part.read)(moment)) == number)
        });
        values.extend(wanted.map(Value::from));
    }
}

fn text_of(number: i64) -> String {
    format!("{number:02}")
}

/// So many ways through an expression are taken.
const WAYS: usize = 6;

/// A text is not repeated more often than this, whatever an expression asks for.
const MOST_REPEATED: u32 = 64;

/// Texts that an expression finds something in.
fn samples(expression: &str) -> Vec<String> {
    let Ok(parsed) = regex_syntax::parse(expression) else {
        return Vec::new();
    };
    let sample = |way| {
        let mut text = String::new();
        one_way(&parsed, way, &mut text);
        text
    };
    (0..WAYS).map(sample).collect()
}

/// Appends what an expression says, alternatives being chosen by the number of the way.
fn one_way(expression: &Hir, way: usize, text: &mut String) {
    match expression.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => text.push_str(&String::from_utf8_lossy(&literal.0)),
        HirKind::Class(class) => text.extend(one_of(class)),
        HirKind::Repetition(repeated) => {
            let least = repeated
                .min
                .max(u32::from(way % 2 == 1 && repeated.max != Some(0)));
            for _ in 0..least.min(MOST_REPEATED) {
                one_way(&repeated.sub, way, text);
            }
        }
        HirKind::Capture(capture) => one_way(&capture.sub, way, text),
        HirKind::Concat(parts) => parts.iter().for_each(|part| one_way(part, way, text)),
        HirKind::Alternation(parts) => {
            if let Some(part) = parts.get(way % parts.len().max(1)) {
                one_way(part, way, text);
            }
        }
    }
}

/// A character of a class: a plain one, where it has one.
fn one_of(class: &Class) -> Option<char> {
    let ranges: Vec<(char, char)> = match class {
        Class::Unicode(class) => class
            .iter()
            .map(|range| (range.start(), range.end()))
            .collect(),
        Class::Bytes(class) => class
            .iter()
            .map(|range| (range.start().into(), range.end().into()))
            .collect(),
    };
    let has = |c: &char| ranges.iter().any(|(start, end)| (start..=end).contains(&c));
    let first = ranges.first().map(|(start, _)| *start);
    ['a', 'A', '0', ' ', '-', '.']
        .into_iter()
        .find(has)
        .or(first)
}

impl Pattern {
    /// A text that the pattern matches, with a text for each run of any characters.
    fn sample(&self, run: &str) -> String {
        let mut text = String::new();
        for part in self.parts() {
            match part {
                Part::Char(c) => text.push(c),
                Part::Dash => text.push('-'),
                Part::AnyOne => text.push('x'),
                Part::AnyRun => text.push_str(run),
                Part::Byte(_) => {}
            }
        }
        text
    }
}
