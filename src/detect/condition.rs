//! The `condition` of a Sigma detection: `and`, `or`, `not`, brackets,
//! `1 of`, `any of`, `all of`, patterns and `them`.

use crate::diag::{Problems, Span};

/// A condition over the searches of one detection, by their position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The search holds.
    Search(usize),
    /// Every one holds.
    All(Vec<Condition>),
    /// At least one holds.
    Any(Vec<Condition>),
    /// It does not hold.
    Not(Box<Condition>),
}

/// The code of every problem in a condition.
pub const BAD_CONDITION: &str = "RL0120";

/// Brackets and `not` nested deeper than this are refused.
const MAX_DEPTH: usize = 32;

/// All mixes of so many searches are tried at the most.
const MOST_TRIED: usize = 12;

impl Condition {
    /// Whether the condition holds, given which searches do.
    pub fn holds(&self, search: &mut dyn FnMut(usize) -> bool) -> bool {
        match self {
            Self::Search(at) => search(*at),
            Self::All(parts) => parts.iter().all(|part| part.holds(search)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(search)),
            Self::Not(inner) => !inner.holds(search),
        }
    }

    /// How many searches would have to be otherwise for the condition to hold, or not to hold.
    pub fn distance(&self, wanted: bool, search: &mut dyn FnMut(usize) -> bool) -> usize {
        let mut each = |parts: &[Self], all: bool| {
            let parts = parts.iter().map(|part| part.distance(wanted, search));
            if all == wanted {
                parts.sum()
            } else {
                parts.min().unwrap_or(0)
            }
        };
        match self {
            Self::Search(at) => usize::from(search(*at) != wanted),
            Self::All(parts) => each(parts, true),
            Self::Any(parts) => each(parts, false),
            Self::Not(inner) => inner.distance(!wanted, search),
        }
    }

    /// Whether some of so many searches can be such that the condition holds, each by itself;
    /// where they are many, nobody tries.
    pub fn can_hold(&self, searches: usize) -> bool {
        self.can_hold_where(searches, 0)
    }

    /// The same where one of the searches holds at least.
    pub fn can_hold_with_any(&self, searches: usize) -> bool {
        self.can_hold_where(searches, 1)
    }

    fn can_hold_where(&self, searches: usize, first: u32) -> bool {
        if searches > MOST_TRIED {
            return true;
        }
        let mut mixes = first..1 << searches;
        mixes.any(|mix| self.holds(&mut |at| (mix >> at) & 1 == 1))
    }

    /// Marks every search that the condition names.
    pub fn mark_used(&self, used: &mut [bool]) {
        match self {
            Self::Search(at) => {
                if let Some(slot) = used.get_mut(*at) {
                    *slot = true;
                }
            }
            Self::All(parts) | Self::Any(parts) => {
                parts.iter().for_each(|part| part.mark_used(used))
            }
            Self::Not(inner) => inner.mark_used(used),
        }
    }
}

/// What the names of a condition stand for, in the words of its messages.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    owner: &'static str,
    one: &'static str,
}

impl Words {
    /// The searches of a detection.
    pub const SEARCHES: Self = Self {
        owner: "detection",
        one: "search",
    };
    /// The rules that a correlation names.
    pub const RULES: Self = Self {
        owner: "correlation",
        one: "rule",
    };
}

/// Reads a condition; reports the first thing in it that cannot be read.
///
/// `names` are the searches of the detection; `span` is the place of `text`.
pub fn parse_condition(
    text: &str,
    names: &[&str],
    span: Span,
    problems: &mut Problems,
) -> Option<Condition> {
    parse_expression(text, names, Words::SEARCHES, span, problems)
}

/// [`parse_condition`] over names of any kind.
pub fn parse_expression(
    text: &str,
    names: &[&str],
    words: Words,
    span: Span,
    problems: &mut Problems,
) -> Option<Condition> {
    let mut parser = Parser {
        text,
        tokens: tokens(text),
        at: 0,
        names,
        words,
        span,
        problems,
    };
    let condition = parser.any_of(0)?;
    match parser.peek() {
        None => Some(condition),
        Some(extra) => {
            let hint = match extra.text {
                "|" => "a count over time is a correlation document, not a `|` in a condition",
                ")" => "remove it, or open a `(` before",
                "AND" | "OR" | "NOT" => "operators are lower case",
                _ => "join the parts with `and` or `or`",
            };
            parser.fail(extra, format!("unexpected `{}`", extra.text), hint)
        }
    }
}

#[derive(Clone, Copy)]
struct Token<'t> {
    text: &'t str,
    start: usize,
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut word_start = None;
    for (at, c) in text.char_indices() {
        let is_word = !c.is_whitespace() && !matches!(c, '(' | ')' | '|');
        if !is_word && let Some(start) = word_start.take() {
            tokens.push(Token {
                text: text.get(start..at).unwrap_or_default(),
                start,
            });
        }
        if is_word {
            word_start.get_or_insert(at);
        } else if !c.is_whitespace() {
            tokens.push(Token {
                text: text.get(at..at + 1).unwrap_or_default(),
                start: at,
            });
        }
    }
    if let Some(start) = word_start {
        tokens.push(Token {
            text: text.get(start..).unwrap_or_default(),
            start,
        });
    }
    tokens
}

struct Parser<'t, 'p> {
    text: &'t str,
    tokens: Vec<Token<'t>>,
    at: usize,
    names: &'t [&'t str],
    words: Words,
    span: Span,
    problems: &'p mut Problems,
}

impl<'t> Parser<'t, '_> {
    fn any_of(&mut self, depth: usize) -> Option<Condition> {
        let mut parts = vec![self.all_of(depth)?];
        while self.take("or") {
            parts.push(self.all_of(depth)?);
        }
        Some(joined(parts, Condition::Any))
    }

    fn all_of(&mut self, depth: usize) -> Option<Condition> {
        let mut parts = vec![self.unary(depth)?];
        while self.take("and") {
            parts.push(self.unary(depth)?);
        }
        Some(joined(parts, Condition::All))
    }

    fn unary(&mut self, depth: usize) -> Option<Condition> {
        let Some(token) = self.peek() else {
            return self.ends_early();
        };
        if depth > MAX_DEPTH {
            return self.fail(
                token,
                format!("nested deeper than {MAX_DEPTH} levels"),
                "split the rule",
            );
        }
        self.at += 1;
        match token.text {
            "not" => Some(Condition::Not(Box::new(self.unary(depth + 1)?))),
            "(" => self.bracket(token, depth),
            "1" | "any" | "all" if self.take("of") => self.quantified(token),
            "and" | "or" | ")" | "of" | "them" | "|" => self.fail(
                token,
                format!("unexpected `{}`", token.text),
                &format!(
                    "a {} name, `not`, `(`, `1 of` or `all of` belongs here",
                    self.words.one
                ),
            ),
            name => self.search(name, token),
        }
    }

    fn bracket(&mut self, open: Token<'t>, depth: usize) -> Option<Condition> {
        let inner = self.any_of(depth + 1)?;
        if self.take(")") {
            return Some(inner);
        }
        self.fail(open, "this `(` is not closed".to_owned(), "add `)`")
    }

    fn search(&mut self, name: &str, token: Token<'t>) -> Option<Condition> {
        if let Some(at) = self.names.iter().position(|known| *known == name) {
            return Some(Condition::Search(at));
        }
        let span = self.place(token);
        if ["and", "or", "not", "of", "them", "all", "any"].contains(&name.to_lowercase().as_str())
        {
            let lower = name.to_lowercase();
            self.problems
                .error(BAD_CONDITION, span, format!("unexpected `{name}`"))
                .help(format!("operators are lower case: `{lower}`"));
        } else {
            self.problems
                .error(
                    BAD_CONDITION,
                    span,
                    format!(
                        "the {} has no {} named `{name}`",
                        self.words.owner, self.words.one
                    ),
                )
                .did_you_mean(name, self.names.iter().copied());
        }
        None
    }

    fn quantified(&mut self, quantifier: Token<'t>) -> Option<Condition> {
        let Some(pattern) = self.peek() else {
            return self.ends_early();
        };
        self.at += 1;
        let chosen: Vec<_> = self
            .names
            .iter()
            .enumerate()
            .filter(|(_, name)| selects(pattern.text, name))
            .map(|(at, _)| Condition::Search(at))
            .collect();
        if chosen.is_empty() {
            return self.fail(
                pattern,
                format!("no {} matches `{}`", self.words.one, pattern.text),
                &format!(
                    "name a {}, a pattern such as `selection_*`, or `them`",
                    self.words.one
                ),
            );
        }
        Some(if quantifier.text == "all" {
            joined(chosen, Condition::All)
        } else {
            joined(chosen, Condition::Any)
        })
    }

    fn peek(&self) -> Option<Token<'t>> {
        self.tokens.get(self.at).copied()
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|token| token.text == word);
        self.at += usize::from(found);
        found
    }

    fn ends_early<T>(&mut self) -> Option<T> {
        let end = Token {
            text: "",
            start: self.text.len(),
        };
        self.fail(
            end,
            "the condition ends too early".to_owned(),
            &format!("a {} name belongs here", self.words.one),
        )
    }

    fn fail<T>(&mut self, token: Token<'_>, message: String, help: &str) -> Option<T> {
        let span = self.place(token);
        self.problems.error(BAD_CONDITION, span, message).help(help);
        None
    }

    fn place(&self, token: Token<'_>) -> Span {
        let end = token.start + token.text.len();
        self.problems.part(self.span, self.text, token.start, end)
    }
}

/// `them` and patterns leave out names that begin with `_`, as pySigma has it,
/// but for a pattern that begins with it itself; `*` in a pattern is any run.
fn selects(pattern: &str, name: &str) -> bool {
    if name.starts_with('_') && !pattern.starts_with('_') {
        return false;
    }
    pattern == "them"
        || super::pattern::Pattern::new(pattern, super::pattern::Anchor::Whole, true).matches(name)
}

fn joined(mut parts: Vec<Condition>, join: fn(Vec<Condition>) -> Condition) -> Condition {
    if parts.len() == 1 {
        parts.remove(0)
    } else {
        join(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 4] = ["sel_a", "sel_b", "filter", "_hidden"];

    fn parse(text: &str) -> Result<Condition, String> {
        let mut problems = Problems::default();
        let file = problems.add_file("c", text);
        let span = Span {
            file,
            start: 0,
            end: u32::try_from(text.len()).expect("short"),
        };
        parse_condition(text, &NAMES, span, &mut problems).ok_or_else(|| {
            problems
                .sorted()
                .first()
                .map(|d| d.message.clone())
                .unwrap_or_default()
        })
    }

    /// Which of the four searches make the condition hold, for all sixteen mixes.
    fn truth(text: &str) -> Result<Vec<u8>, String> {
        let condition = parse(text)?;
        Ok((0..16_u8)
            .filter(|mix| condition.holds(&mut |at| (mix >> at) & 1 == 1))
            .collect())
    }

    fn wanted(holds: impl Fn(bool, bool, bool, bool) -> bool) -> Vec<u8> {
        (0..16_u8)
            .filter(|m| holds(m & 1 != 0, m & 2 != 0, m & 4 != 0, m & 8 != 0))
            .collect()
    }

    #[test]
    fn conditions_mean_what_sigma_says() {
        let cases: [(&str, Vec<u8>); 13] = [
            ("sel_a", wanted(|a, _, _, _| a)),
            ("sel_a and not filter", wanted(|a, _, f, _| a && !f)),
            (
                "sel_a or sel_b and filter",
                wanted(|a, b, f, _| a || (b && f)),
            ),
            (
                "(sel_a or sel_b) and filter",
                wanted(|a, b, f, _| (a || b) && f),
            ),
            ("1 of sel_*", wanted(|a, b, _, _| a || b)),
            ("any of sel_*", wanted(|a, b, _, _| a || b)),
            (
                "all of sel_* and not 1 of filter*",
                wanted(|a, b, f, _| a && b && !f),
            ),
            ("1 of them", wanted(|a, b, f, _| a || b || f)),
            ("all of them", wanted(|a, b, f, _| a && b && f)),
            ("1 of *", wanted(|a, b, f, _| a || b || f)),
            ("all of *e*", wanted(|a, b, f, _| a && b && f)),
            ("1 of _*", wanted(|_, _, _, h| h)),
            ("not(not sel_a)or _hidden", wanted(|a, _, _, h| a || h)),
        ];
        for (text, expected) in cases {
            assert_eq!(truth(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn broken_conditions_say_what_is_wrong() {
        let deep = "(".repeat(5000);
        let cases = [
            ("", "the condition ends too early"),
            ("sel_a and", "the condition ends too early"),
            ("1 of", "the condition ends too early"),
            ("sel_a sel_b", "unexpected `sel_b`"),
            ("sel_a | count() > 5", "unexpected `|`"),
            ("(sel_a", "this `(` is not closed"),
            ("sel_a)", "unexpected `)`"),
            ("sel_a AND sel_b", "unexpected `AND`"),
            ("sel_c", "the detection has no search named `sel_c`"),
            ("NOT sel_a", "unexpected `NOT`"),
            ("1 of nothing_*", "no search matches `nothing_*`"),
            (&deep, "nested deeper than 32 levels"),
        ];
        for (text, message) in cases {
            assert_eq!(parse(text), Err(message.to_owned()), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_condition_panics(text in "(sel_a|sel_b|and|or|not|1 of|all of|them|sel_\\*|é|[()| ]){0,12}") {
            let _ = parse(&text);
        }
    }
}
