//! What our expressions may say and others cannot take: engines that try one way after another need
//! time without bound for some of them, and ours never does.

use regex_syntax::hir::{Hir, HirKind, Repetition};

use crate::detect::modifiers::Test;
use crate::detect::predicate::Predicate;
use crate::detect::search::Detection;

use crate::diag::Span;

/// Where the expressions stand that can take very long in another engine.
#[must_use]
pub fn exploding(detection: &Detection) -> Vec<Span> {
    let (searches, ..) = detection.parts();
    let lines = searches
        .iter()
        .flat_map(|search| search.alternatives.iter());
    let lines = lines.flatten();
    lines.flat_map(of_line).collect()
}

fn of_line(line: &Predicate) -> Vec<Span> {
    let tests = line.tests.iter().zip(&line.places);
    let found = tests.filter(|(test, _)| match test {
        Test::Regex(regex, _) => can_explode(regex.as_str()),
        _ => false,
    });
    found.map(|(_, place)| *place).collect()
}

/// Whether an expression repeats what is itself repeated with nothing between the rounds that must
/// be there, as in `(a+)+`: a text can then be cut into rounds in many ways.
fn can_explode(expression: &str) -> bool {
    let parsed = regex_syntax::parse(expression);
    parsed.is_ok_and(|parsed| has_nested(&parsed))
}

fn has_nested(hir: &Hir) -> bool {
    let is_nested = |inner: &Hir| is_unbounded(inner) && is_ambiguous(body(inner));
    is_nested(hir) || children(hir).iter().any(|inner| has_nested(inner))
}

/// Whether one round of a repetition is nothing but another repetition, and what may be left out.
fn is_ambiguous(round: &Hir) -> bool {
    match round.kind() {
        HirKind::Capture(capture) => is_ambiguous(&capture.sub),
        HirKind::Alternation(ways) => ways.iter().any(is_ambiguous),
        HirKind::Repetition(_) => is_unbounded(round),
        HirKind::Concat(parts) => {
            let is_left_out = |part: &&Hir| part.properties().minimum_len() == Some(0);
            let needed: Vec<&Hir> = parts.iter().filter(|part| !is_left_out(part)).collect();
            match needed.as_slice() {
                [] => parts.iter().any(is_ambiguous),
                [only] => is_ambiguous(only),
                _ => false,
            }
        }
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => false,
    }
}

fn is_unbounded(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Repetition(Repetition { max, .. }) => max.is_none(),
        HirKind::Capture(capture) => is_unbounded(&capture.sub),
        _ => false,
    }
}

/// What a repetition repeats.
fn body(hir: &Hir) -> &Hir {
    match hir.kind() {
        HirKind::Repetition(repetition) => &repetition.sub,
        HirKind::Capture(capture) => body(&capture.sub),
        _ => hir,
    }
}

fn children(hir: &Hir) -> Vec<&Hir> {
    match hir.kind() {
        HirKind::Repetition(repetition) => vec![&repetition.sub],
        HirKind::Capture(capture) => vec![&capture.sub],
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().collect(),
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repetition_of_a_repetition_can_explode() {
        for (expression, expected) in [
            ("(a+)+", true),
            ("^(a*)*$", true),
            ("x(?:[a-z]+b?)*y", true),
            ("(?:(?:a|b)+|c)+", true),
            ("([a-z]+)*@", true),
            (r"^(?:[a-z]+\.)+example\.com$", false),
            ("(a+){2}", false),
            ("(?:ab?)+", false),
            ("a+b+", false),
            ("(?:a{1,3})+", false),
            ("", false),
        ] {
            assert_eq!(can_explode(expression), expected, "{expression}");
        }
    }
}
