//! What our expressions may say and others cannot take: engines that try one way after another need
//! time without bound for some of them, and ours never does.

use std::convert::Infallible;

use regex_syntax::ast::parse::Parser;
use regex_syntax::ast::{
    AssertionKind, Ast, ClassSetBinaryOp, ClassSetItem, Flag, Flags, Visitor, visit,
};
use regex_syntax::hir::{Hir, HirKind, Repetition};

use crate::detect::modifiers::Test;
use crate::detect::predicate::Predicate;
use crate::detect::search::Detection;

use crate::diag::Span;

/// Where the expressions stand that can take very long in another engine, those of filters too.
#[must_use]
pub fn exploding(detection: &Detection) -> Vec<Span> {
    let written = expressions(detection).into_iter();
    let exploding = written.filter(|(expression, _)| can_explode(expression));
    exploding.map(|(_, place)| place).collect()
}

/// Where the expressions stand that say something which other engines read otherwise or do not
/// take, and what that is.
#[must_use]
pub fn of_ours(detection: &Detection) -> Vec<(Span, &'static str)> {
    let written = expressions(detection).into_iter();
    let of_ours = written.filter_map(|(expression, place)| Some((place, said_here(expression)?)));
    of_ours.collect()
}

/// The expressions of the searches and the filters of a detection, each with its place.
fn expressions(detection: &Detection) -> Vec<(&str, Span)> {
    let (searches, _, filters) = detection.parts();
    let lines = searches
        .iter()
        .flat_map(|search| search.alternatives.iter());
    let mut found: Vec<(&str, Span)> = lines.flatten().flat_map(of_line).collect();
    for (_, filter) in filters {
        found.extend(expressions(filter));
    }
    found
}

fn of_line(line: &Predicate) -> impl Iterator<Item = (&str, Span)> {
    let tests = line.tests.iter().zip(&line.places);
    tests.filter_map(|(test, place)| match test {
        Test::Regex(regex, _) => Some((regex.as_str(), *place)),
        _ => None,
    })
}

/// What an expression says that other engines read otherwise or do not take.
fn said_here(expression: &str) -> Option<&'static str> {
    let parsed = Parser::new().parse(expression).ok()?;
    visit(&parsed, Looking(None)).ok()?
}

/// Looks an expression through, and keeps the first of what is said here alone.
struct Looking(Option<&'static str>);

impl Looking {
    fn note(&mut self, said: &'static str) {
        self.0.get_or_insert(said);
    }

    fn flags(&mut self, flags: &Flags) {
        if flags.flag_state(Flag::SwapGreed).is_some() {
            self.note("the flag `U`");
        }
        if flags.flag_state(Flag::CRLF).is_some() {
            self.note("the flag `R`");
        }
    }
}

impl Visitor for Looking {
    type Output = Option<&'static str>;
    type Err = Infallible;

    fn finish(self) -> Result<Self::Output, Infallible> {
        Ok(self.0)
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), Infallible> {
        match ast {
            Ast::Flags(set) => self.flags(&set.flags),
            Ast::Group(group) => {
                if let Some(flags) = group.flags() {
                    self.flags(flags);
                }
            }
            Ast::Assertion(assertion) => match assertion.kind {
                AssertionKind::StartLine
                | AssertionKind::EndLine
                | AssertionKind::StartText
                | AssertionKind::EndText
                | AssertionKind::WordBoundary
                | AssertionKind::NotWordBoundary => {}
                _ => self.note("the beginning or the end of a word, as `\\b{start}` or `\\<`"),
            },
            _ => {}
        }
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ClassSetItem) -> Result<(), Infallible> {
        if let ClassSetItem::Bracketed(_) = item {
            self.note("brackets inside of brackets");
        }
        Ok(())
    }

    fn visit_class_set_binary_op_pre(&mut self, _: &ClassSetBinaryOp) -> Result<(), Infallible> {
        self.note("`&&`, `--` or `~~` inside of brackets");
        Ok(())
    }
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
    fn what_others_read_otherwise_is_told() {
        for (expression, expected) in [
            ("[a-z&&[^x]]", Some("`&&`, `--` or `~~` inside of brackets")),
            ("x[0-9--4]", Some("`&&`, `--` or `~~` inside of brackets")),
            ("[a[bc]]", Some("brackets inside of brackets")),
            ("(?U)a+", Some("the flag `U`")),
            ("(?iR:a$)", Some("the flag `R`")),
            (
                r"\b{start}a",
                Some(r"the beginning or the end of a word, as `\b{start}` or `\<`"),
            ),
            (
                r"a\>",
                Some(r"the beginning or the end of a word, as `\b{start}` or `\<`"),
            ),
            (r"(?is)^(?:a|\bb\B)[[:alpha:]\d\[-]+\z", None),
            ("[a&b-]", None),
        ] {
            assert_eq!(said_here(expression), expected, "{expression}");
        }
    }

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
