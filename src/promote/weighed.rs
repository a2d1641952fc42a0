//! The clauses of `[promotion]` over one finding, each with what it found.

use super::{Facts, Promotion, WHEN};
use crate::detect::Finding;
use crate::diag::{Problems, Span};
use crate::risk::Risk;
use crate::script::{Expression, Named};

/// A clause of `[promotion]`, over one finding.
#[derive(Clone, Debug, PartialEq)]
pub struct Weighed {
    /// What it is called in `routing.toml`, or a part of `when` as it is written.
    pub clause: String,
    /// Whether it holds.
    pub holds: bool,
    /// What was found, beside what is asked.
    pub said: String,
    /// What `when` is made of: all of these, or any of them.
    pub parts: Vec<Weighed>,
}

impl Promotion {
    /// Each clause over a finding of this risk. One that holds promotes.
    #[must_use]
    pub fn weighed(&self, finding: &Finding, risk: &Risk) -> Vec<Weighed> {
        let mut weighed = Vec::new();
        if let Some(threshold) = self.threshold {
            let lacks = threshold - risk.score;
            let said = if lacks > 0.0 {
                format!(
                    "score {:.2}, {threshold:.2} is asked: {lacks:.2} is missing",
                    risk.score
                )
            } else {
                format!("score {:.2}, {threshold:.2} is asked", risk.score)
            };
            weighed.push(Weighed::one("promotion.threshold", lacks <= 0.0, said));
        }
        let listed: Vec<&str> = self.severities.iter().map(|one| one.as_str()).collect();
        let said = format!(
            "severity {}, one of {} is asked",
            risk.severity.as_str(),
            listed.join(", ")
        );
        let by_severity = self.severities.contains(&risk.severity);
        if !listed.is_empty() {
            weighed.push(Weighed::one("promotion.severities", by_severity, said));
        }
        weighed.extend(self.when.as_ref().map(|when| {
            let facts = Facts::of(finding, risk).named();
            let mut whole = of_expression(when, &facts, DEEPEST);
            whole.clause = "promotion.when".to_owned();
            whole
        }));
        weighed
    }
}

impl Weighed {
    fn one(clause: &str, holds: bool, said: String) -> Self {
        Self {
            clause: clause.to_owned(),
            holds,
            said,
            parts: Vec::new(),
        }
    }
}

/// So deep are expressions taken apart.
const DEEPEST: usize = 8;

/// An expression and, where it is joined of several by `&&` or `||`, each of these.
fn of_expression(
    expression: &Expression,
    facts: &[(&'static str, Named)],
    levels: usize,
) -> Weighed {
    let text = expression.text();
    let (holds, said) = match expression.holds(facts) {
        Ok(holds) => (holds, found(text, facts)),
        // One that fails holds, since an incident too many is seen.
        Err(why) => (true, format!("fails, and then it holds: {why}")),
    };
    let mut whole = Weighed::one(text, holds, said);
    let (any, parts) = joined(text);
    if parts.len() == 1 || levels == 0 {
        return whole;
    }
    let parts: Option<Vec<Weighed>> = parts
        .into_iter()
        .map(|part| Some(of_expression(&read(part, facts)?, facts, levels - 1)))
        .collect();
    let parts = parts.filter(|parts| {
        let mut each = parts.iter();
        let comes_to = if any {
            each.any(|part| part.holds)
        } else {
            each.all(|part| part.holds)
        };
        comes_to == holds
    });
    whole.parts = parts.unwrap_or_default();
    whole
}

fn read(text: &str, facts: &[(&'static str, Named)]) -> Option<Expression> {
    let mut problems = Problems::default();
    let file = problems.add_file("when", text);
    let span = Span {
        file,
        start: 0,
        end: 0,
    };
    Expression::read((text, span), facts, WHEN, &mut problems)
}

/// The values that an expression names.
fn found(text: &str, facts: &[(&'static str, Named)]) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let named = |name: &str| {
        let mut words = bare(text);
        words.any(|part| part.split(|c| !is_word(c)).any(|word| word == name))
    };
    let shown = facts.iter().filter(|(name, _)| named(name));
    let shown: Vec<String> = shown
        .map(|(name, value)| match value {
            Named::Number(number) => format!("{name} = {number}"),
            Named::Count(count) => format!("{name} = {count}"),
            Named::Text(text) => format!("{name} = {text:?}"),
            Named::Texts(texts) => format!("{name} = {texts:?}"),
        })
        .collect();
    shown.join(", ")
}

/// The parts of a text that stand in no quotes.
fn bare(text: &str) -> impl Iterator<Item = &str> {
    text.split('"').step_by(2)
}

/// The operands of an expression at its top, and whether one of them is enough.
fn joined(text: &str) -> (bool, Vec<&str>) {
    let text = unbracketed(text.trim());
    let alternatives = split(text, "||");
    if alternatives.len() > 1 {
        return (true, alternatives);
    }
    (false, split(text, "&&"))
}

/// A text without the brackets that stand around all of it.
fn unbracketed(text: &str) -> &str {
    let inner = text
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'));
    match inner {
        // Else the first bracket closes before the last opens.
        Some(inner) if depths(inner).all(|(_, depth)| depth >= 0) => unbracketed(inner.trim()),
        _ => text,
    }
}

/// Where each character outside of quotes stands, and in how many brackets.
fn depths(text: &str) -> impl Iterator<Item = (usize, i64)> {
    let (mut depth, mut quote, mut escaped) = (0, None, false);
    text.char_indices().filter_map(move |(at, c)| {
        if let Some(open) = quote {
            let closes = c == open && !escaped;
            escaped = c == '\\' && !escaped;
            if closes {
                quote = None;
            }
            return None;
        }
        match c {
            '"' | '`' | '\'' => quote = Some(c),
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        Some((at, depth))
    })
}

fn split<'t>(text: &'t str, operator: &str) -> Vec<&'t str> {
    let mut parts = Vec::new();
    let mut from = 0;
    for (at, depth) in depths(text) {
        let rest = text.get(at..).unwrap_or_default();
        if depth == 0 && at >= from && rest.starts_with(operator) {
            parts.push(text.get(from..at).unwrap_or_default().trim());
            from = at + operator.len();
        }
    }
    parts.push(text.get(from..).unwrap_or_default().trim());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_taken_apart_where_it_is_joined() {
        #[rustfmt::skip]
        let cases: [(&str, bool, &[&str]); 7] = [
            ("score > 0.5", false, &["score > 0.5"]),
            ("a && b && c", false, &["a", "b", "c"]),
            ("a && b || c", true, &["a && b", "c"]),
            ("(a || b) && c", false, &["(a || b)", "c"]),
            ("((a || b))", true, &["a", "b"]),
            ("(a) || (b)", true, &["(a)", "(b)"]),
            (r#"x == "a && \" b" && f([1 || 2])"#, false, &[r#"x == "a && \" b""#, "f([1 || 2])"]),
        ];
        for (text, any, parts) in cases {
            assert_eq!(joined(text), (any, parts.to_vec()), "{text}");
        }
    }

    #[test]
    fn each_part_has_its_value_and_what_it_names() {
        let facts = Facts {
            score: 0.42,
            finding_type: "MFA_FATIGUE".to_owned(),
            count: 6,
            ..Facts::default()
        }
        .named();
        let text = r#"finding_type == "score" && score > 0.4 || (count >= 5 && score < 0.5)"#;
        let read = read(text, &facts).expect("an expression");
        let weighed = of_expression(&read, &facts, DEEPEST);
        let told = |weighed: &Weighed| (weighed.holds, weighed.said.clone());
        assert!(weighed.holds);
        let parts: Vec<(bool, String)> = weighed.parts.iter().map(told).collect();
        assert!(!parts[0].0);
        let inner: Vec<(bool, String)> = weighed.parts[0].parts.iter().map(told).collect();
        assert_eq!(
            inner[0],
            (false, "finding_type = \"MFA_FATIGUE\"".to_owned())
        );
        assert_eq!(inner[1], (true, "score = 0.42".to_owned()));
        let inner: Vec<(bool, String)> = weighed.parts[1].parts.iter().map(told).collect();
        assert_eq!(inner[0], (true, "count = 6".to_owned()));
    }
}
