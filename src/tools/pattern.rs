//! Forms of questions: `(list|show) [all] users in the group {group}`.
//!
//! A form fits a question when it accounts for every word of it, so that a question that says more
//! is not answered as if it did not.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde_json::Value;

use crate::tools::Words;

/// A form of a question, and what it says beside the words that it has holes for.
#[derive(Clone, Debug)]
pub struct Form {
    /// The form.
    pub pattern: Pattern,
    /// Values of parameters that follow from the form itself.
    pub with: Vec<(String, Value)>,
}

/// The words of a form of a question.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// As it is written.
    pub text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Word(String),
    Hole(String),
    Either(Vec<Vec<Part>>),
}

/// A word of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its letters, lower-cased; what stands between quotes is one word.
    pub word: String,
    /// Where it stands, quotes left out.
    pub at: Range<usize>,
    /// Whether it stood between quotes.
    pub is_quoted: bool,
    /// Whether it is a name, and looks like a word that says something about a question.
    pub is_name: bool,
}

/// Kinds of things, which alone are no name.
const KINDS: [&str; 24] = [
    "users",
    "user",
    "apps",
    "app",
    "admins",
    "admin",
    "contractors",
    "contractor",
    "groups",
    "group",
    "members",
    "member",
    "factors",
    "factor",
    "mfa",
    "devices",
    "device",
    "managers",
    "team",
    "tenant",
    "org",
    "organization",
    "employees",
    "staff",
];

impl Token {
    /// Whether it is what things are called, and the name of none of them.
    #[must_use]
    pub fn is_kind(&self) -> bool {
        !self.is_quoted && KINDS.contains(&self.word.as_str())
    }

    /// Whether it is no part of a name, unless it stands in quotes: it says something about a
    /// question, is a phrase, or stands in a quote that is not closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        let is_word = !self.is_quoted && !self.is_name;
        let is_marked = self.word.contains(['"', '“', '`', ' ']) || self.word.starts_with('\'');
        is_word && (is_marked || CLOSED.contains(&self.word.as_str()))
    }
}

/// What each hole of a form stands for: a range of tokens.
pub type Bindings = BTreeMap<String, Range<usize>>;

/// A hole takes at most so many words that are not quoted.
const LONGEST: usize = 5;
/// Looking for a fit ends after so many steps.
const MOST_STEPS: usize = 20_000;
/// A form has at most so many parts, each alternative counted.
const MOST_PARTS: usize = 200;

/// Words that say something about a question, so that a name which holds one is quoted.
const CLOSED: [&str; 111] = [
    "a",
    "an",
    "the",
    "our",
    "my",
    "your",
    "excluding",
    "except",
    "minus",
    "unless",
    "outside",
    "inside",
    "between",
    "non",
    "today",
    "yesterday",
    "tomorrow",
    "created",
    "as",
    "through",
    "directly",
    "&",
    "+",
    "!",
    "-",
    "someone",
    "somebody",
    "anyone",
    "everyone",
    "everybody",
    "none",
    "own",
    "whose",
    "while",
    "because",
    "until",
    "still",
    "already",
    "also",
    "including",
    "plus",
    "and",
    "or",
    "not",
    "no",
    "without",
    "with",
    "who",
    "which",
    "that",
    "in",
    "last",
    "days",
    "day",
    "hours",
    "weeks",
    "months",
    "since",
    "have",
    "has",
    "had",
    "but",
    "never",
    "all",
    "every",
    "any",
    "is",
    "are",
    "was",
    "were",
    "by",
    "for",
    "to",
    "than",
    "via",
    "from",
    "before",
    "after",
    "on",
    "=",
    ">",
    "<",
    "(",
    ")",
    "everything",
    "anything",
    "nothing",
    "something",
    "anybody",
    "nobody",
    "each",
    "both",
    "most",
    "more",
    "less",
    "only",
    "other",
    "another",
    "same",
    "then",
    "if",
    "how",
    "why",
    "when",
    "where",
    "what",
    "me",
    "them",
    "they",
    "their",
    "it",
];

/// The words of a question.
#[must_use]
pub fn tokens(question: &str) -> Vec<Token> {
    let mut found: Vec<Token> = Vec::new();
    let mut begun: Option<usize> = None;
    let mut quote: Option<(char, usize)> = None;
    let end_word = |begun: &mut Option<usize>, end: usize, found: &mut Vec<Token>| {
        let Some(start) = begun.take() else { return };
        let text = question.get(start..end).unwrap_or_default();
        let kept = text.trim_end_matches(['.', ',', '?', '!', ':', ';', '\'']);
        if !kept.is_empty() {
            found.push(token(kept, start));
        }
    };
    for (at, letter) in question.char_indices() {
        if let Some((opened, start)) = quote {
            if letter == closing(opened) {
                let text = question.get(start..at).unwrap_or_default();
                found.push(Token {
                    is_quoted: true,
                    ..token(text, start)
                });
                quote = None;
            }
            continue;
        }
        // Before a word, `!` and `-` may say that it is not meant.
        let rest = question.get(at + letter.len_utf8()..).unwrap_or_default();
        let is_before_word = rest.starts_with(|next: char| !next.is_whitespace());
        let negates = matches!(letter, '!' | '-') && begun.is_none() && is_before_word;
        let is_symbol = negates || matches!(letter, '=' | '<' | '>' | '(' | ')');
        if matches!(letter, '"' | '“' | '`') && begun.is_none() {
            quote = Some((letter, at + letter.len_utf8()));
        } else if letter.is_whitespace() || is_symbol {
            end_word(&mut begun, at, &mut found);
            if is_symbol {
                let text = question.get(at..at + 1).unwrap_or_default();
                found.push(token(text, at));
            }
        } else if begun.is_none()
            && (!matches!(letter, '.' | ',' | '?' | '!' | ';' | ':')
                || (letter == '.' && is_before_word))
        {
            begun = Some(at);
        }
    }
    // A quote that is not closed quotes nothing: it is a word that no form has.
    if let Some((opened, start)) = quote {
        begun = Some(start - opened.len_utf8());
    }
    end_word(&mut begun, question.len(), &mut found);
    if !question.contains(char::is_lowercase) {
        found.iter_mut().for_each(|token| token.is_name = false);
    }
    plain(found)
}

/// Words that are said shorter.
const SHORTER: [(&str, [&str; 2]); 18] = [
    ("who's", ["who", "is"]),
    ("what's", ["what", "is"]),
    ("where's", ["where", "is"]),
    ("there's", ["there", "is"]),
    ("how's", ["how", "is"]),
    ("haven't", ["have", "not"]),
    ("hasn't", ["has", "not"]),
    ("hadn't", ["had", "not"]),
    ("isn't", ["is", "not"]),
    ("aren't", ["are", "not"]),
    ("wasn't", ["was", "not"]),
    ("weren't", ["were", "not"]),
    ("don't", ["do", "not"]),
    ("doesn't", ["does", "not"]),
    ("didn't", ["did", "not"]),
    ("can't", ["can", "not"]),
    ("i'd", ["i", "would"]),
    ("we've", ["we", "have"]),
];

/// The words with those that are said shorter in full, and weeks as days.
fn plain(tokens: Vec<Token>) -> Vec<Token> {
    let mut found: Vec<Token> = Vec::new();
    for token in tokens {
        let full = SHORTER.iter().find(|(short, _)| *short == token.word);
        match full.filter(|_| !token.is_quoted) {
            Some((_, words)) => found.extend(words.iter().map(|word| Token {
                word: (*word).to_owned(),
                ..token.clone()
            })),
            None => found.push(without_possessive(token)),
        }
    }
    let mut at = 0;
    while let Some([amount, unit]) = found.get_mut(at..at + 2) {
        let is_weeks = matches!(unit.word.as_str(), "week" | "weeks") && !unit.is_quoted;
        let weeks = number(&amount.word).filter(|_| is_weeks && !amount.is_quoted);
        if let Some(days) = weeks.and_then(|weeks| weeks.checked_mul(7)) {
            amount.word = days.to_string();
            "days".clone_into(&mut unit.word);
            amount.at.end = unit.at.end;
            unit.at.start = amount.at.start;
        }
        at += 1;
    }
    found
}

/// `alice's` is about `alice`.
fn without_possessive(mut token: Token) -> Token {
    if !token.is_quoted
        && let Some(owner) = token
            .word
            .strip_suffix("'s")
            // Of a name, it may be a part.
            .filter(|owner| owner.contains('@'))
    {
        // The apostrophe may have three bytes in the question.
        let left = owner.len();
        token.word.truncate(left);
        token.at.end = token.at.start + left;
    }
    token
}

/// Numbers that are written as words.
const NUMBERS: [&str; 13] = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve",
];

/// The number that a word says.
#[must_use]
pub fn number(word: &str) -> Option<i64> {
    let named = NUMBERS.iter().position(|name| *name == word);
    match named {
        Some(number) => i64::try_from(number).ok(),
        None if word.bytes().all(|byte| byte.is_ascii_digit()) => word.parse().ok(),
        None => None,
    }
}

fn token(text: &str, start: usize) -> Token {
    Token {
        word: text.to_lowercase().replace('’', "'"),
        at: start..start + text.len(),
        is_quoted: false,
        is_name: text == "IT",
    }
}

fn closing(opened: char) -> char {
    if opened == '“' { '”' } else { opened }
}

impl Pattern {
    /// Reads a form.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut left = MOST_PARTS;
        let mut rest = text;
        let mut ways = sequence(&mut rest, None, &mut left)?;
        let parts = match (ways.pop(), ways.is_empty()) {
            (Some(only), true) => only,
            (Some(last), false) => {
                ways.push(last);
                vec![Part::Either(ways)]
            }
            (None, _) => Vec::new(),
        };
        if parts.is_empty() {
            return Err("a form has at least one word".to_owned());
        }
        Ok(Self {
            text: text.to_owned(),
            parts,
        })
    }

    /// The same with one word for each class of words.
    #[must_use]
    pub fn with(mut self, words: &Words) -> Self {
        self.parts = folded(self.parts, words);
        self
    }

    /// The names of its holes.
    #[must_use]
    pub fn holes(&self) -> Vec<&str> {
        let mut found = Vec::new();
        collect(&self.parts, &mut found);
        found
    }

    /// Every word that it may have.
    #[must_use]
    pub fn words(&self) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        words_of(&self.parts, &mut found);
        found
    }

    /// Whether the form has these words, in any order unless one denies something, and these holes, in their order, and nothing
    /// else; words that only ask count on neither side.
    #[must_use]
    pub fn says(&self, words: &[&str], given: &[&str], asking: &[&str]) -> bool {
        let todo: Vec<&Part> = self.parts.iter().rev().collect();
        // What is denied is what stands behind the word that denies it.
        let in_order = words.iter().any(|word| DENYING.contains(word));
        spend(todo, words.to_vec(), given, (asking, in_order), &mut 0)
    }

    /// Every way in which the form accounts for every word. Where its own words account for more
    /// in one way than in another, that one is meant: in `access to GitHub app` the last word need
    /// not be a part of the name.
    #[must_use]
    pub fn fits(&self, tokens: &[Token]) -> Vec<Bindings> {
        let mut found = Vec::new();
        let mut steps = 0;
        let todo: Vec<&Part> = self.parts.iter().rev().collect();
        walk(tokens, 0, todo, Bindings::new(), &mut found, &mut steps);
        let least = found.iter().map(taken).min();
        found.retain(|bound| Some(taken(bound)) == least);
        found
    }
}

/// Whether some way through a form, which stands from its end to its beginning, has all words and
/// holes.
fn spend(
    mut todo: Vec<&Part>,
    mut words: Vec<&str>,
    mut given: &[&str],
    (asking, in_order): (&[&str], bool),
    steps: &mut usize,
) -> bool {
    while let Some(part) = todo.pop() {
        *steps += 1;
        if *steps > MOST_STEPS {
            return false;
        }
        match part {
            Part::Word(word) => match place(&words, word, asking, in_order) {
                Some(at) => drop(words.drain(if in_order { 0 } else { at }..=at)),
                // Those of a form that only ask need not be there.
                None if asking.contains(&word.as_str()) => {}
                None => return false,
            },
            Part::Hole(name) => match given.split_first() {
                Some((first, rest)) if first == name => given = rest,
                _ => return false,
            },
            Part::Either(ways) => {
                return ways.iter().any(|way| {
                    let mut todo = todo.clone();
                    todo.extend(way.iter().rev());
                    spend(todo, words.clone(), given, (asking, in_order), steps)
                });
            }
        }
    }
    given.is_empty() && words.iter().all(|word| asking.contains(word))
}

/// Where a word of a form stands among the words that are left: in order, as the first of those
/// that do not only ask.
fn place(words: &[&str], word: &str, asking: &[&str], in_order: bool) -> Option<usize> {
    if !in_order {
        return words.iter().position(|said| *said == word);
    }
    let first = words
        .iter()
        .position(|said| *said == word || !asking.contains(said))?;
    (words.get(first) == Some(&word)).then_some(first)
}

/// Words by which the order of others matters.
const DENYING: [&str; 16] = [
    "not", "no", "never", "nobody", "none", "without", "except", "lack", "lacks", "but", "more",
    "less", "than", "only", ">", "<",
];

fn folded(parts: Vec<Part>, words: &Words) -> Vec<Part> {
    let spelt = parts.into_iter().flat_map(|part| match part {
        Part::Word(word) => {
            let full = SHORTER.iter().find(|(short, _)| *short == word);
            match full {
                Some((_, words)) => words.map(|word| Part::Word(word.to_owned())).to_vec(),
                None => vec![Part::Word(word)],
            }
        }
        Part::Either(ways) => {
            let ways = ways.into_iter().map(|way| folded(way, words));
            vec![Part::Either(ways.collect())]
        }
        hole @ Part::Hole(_) => vec![hole],
    });
    let is_word = |part: &Part| matches!(part, Part::Word(_));
    let word = |part: &Part| match part {
        Part::Word(word) => word.clone(),
        Part::Hole(_) | Part::Either(_) => String::new(),
    };
    words.fold(spelt.collect(), is_word, word, |_, class| {
        Some(Part::Word(class.to_owned()))
    })
}

fn words_of<'p>(parts: &'p [Part], found: &mut BTreeSet<&'p str>) {
    for part in parts {
        match part {
            Part::Word(word) => drop(found.insert(word)),
            Part::Hole(_) => {}
            Part::Either(ways) => ways.iter().for_each(|way| words_of(way, found)),
        }
    }
}

/// How many words the holes of a fit take.
#[must_use]
pub fn taken(bound: &Bindings) -> usize {
    bound.values().map(ExactSizeIterator::len).sum()
}

fn collect<'p>(parts: &'p [Part], found: &mut Vec<&'p str>) {
    for part in parts {
        match part {
            Part::Word(_) => {}
            Part::Hole(name) => found.push(name),
            Part::Either(ways) => ways.iter().for_each(|way| collect(way, found)),
        }
    }
}

/// The alternatives up to the bracket that ends them.
fn sequence(
    rest: &mut &str,
    until: Option<char>,
    left: &mut usize,
) -> Result<Vec<Vec<Part>>, String> {
    let mut ways = vec![Vec::new()];
    loop {
        *rest = rest.trim_start();
        let Some(first) = rest.chars().next() else {
            return match until {
                None => Ok(ways),
                Some(bracket) => Err(format!("a `{bracket}` is missing")),
            };
        };
        *left = left
            .checked_sub(1)
            .ok_or_else(|| format!("a form has at most {MOST_PARTS} parts"))?;
        let inside = rest.get(first.len_utf8()..).unwrap_or_default();
        let part = match first {
            ')' | ']' if until == Some(first) => {
                *rest = inside;
                return Ok(ways);
            }
            ')' | ']' | '}' => return Err(format!("`{first}` closes nothing")),
            '|' => {
                *rest = inside;
                ways.push(Vec::new());
                continue;
            }
            '(' => {
                *rest = inside;
                Part::Either(sequence(rest, Some(')'), left)?)
            }
            '[' => {
                *rest = inside;
                let mut inner = sequence(rest, Some(']'), left)?;
                inner.push(Vec::new());
                Part::Either(inner)
            }
            '{' => {
                let (name, after) = inside.split_once('}').ok_or("a `{` is not closed")?;
                *rest = after;
                Part::Hole(name.trim().to_owned())
            }
            _ => {
                let is_end = |letter: char| letter.is_whitespace() || "()[]{}|".contains(letter);
                let end = rest.find(is_end).unwrap_or(rest.len());
                let (word, after) = rest.split_at(end);
                *rest = after;
                Part::Word(word.to_lowercase())
            }
        };
        if let Some(way) = ways.last_mut() {
            way.push(part);
        }
    }
}

/// Goes on with what is left of a form, which stands from its end to its beginning.
fn walk(
    tokens: &[Token],
    at: usize,
    mut todo: Vec<&Part>,
    bound: Bindings,
    found: &mut Vec<Bindings>,
    steps: &mut usize,
) {
    *steps += 1;
    if *steps > MOST_STEPS {
        return;
    }
    let Some(part) = todo.pop() else {
        if at == tokens.len() && !found.contains(&bound) {
            found.push(bound);
        }
        return;
    };
    match part {
        Part::Word(word) => {
            if tokens
                .get(at)
                .is_some_and(|token| token.word == *word && !token.is_quoted)
            {
                walk(tokens, at + 1, todo, bound, found, steps);
            }
        }
        Part::Hole(name) => {
            for length in 1..=LONGEST {
                let Some(words) = tokens.get(at..at + length) else {
                    return;
                };
                let quoted = words.iter().any(|token| token.is_quoted);
                // A quote that is not closed says that the words are not as they were meant.
                if (quoted && length > 1) || words.iter().any(Token::is_closed) {
                    return;
                }
                if let [only] = words
                    && only.is_kind()
                {
                    continue;
                }
                let mut bound = bound.clone();
                bound.insert(name.clone(), at..at + length);
                walk(tokens, at + length, todo.clone(), bound, found, steps);
            }
        }
        Part::Either(ways) => {
            for way in ways {
                let mut todo = todo.clone();
                todo.extend(way.iter().rev());
                walk(tokens, at, todo, bound.clone(), found, steps);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(form: &str, question: &str) -> Vec<Vec<(String, String)>> {
        let tokens = tokens(question);
        let text = |range: &Range<usize>| {
            question[tokens[range.start].at.start..tokens[range.end - 1].at.end].to_owned()
        };
        let fits = Pattern::parse(form).unwrap().fits(&tokens);
        let told = fits.iter().map(|bound| {
            let told = bound
                .iter()
                .map(|(name, range)| (name.clone(), text(range)));
            told.collect()
        });
        told.collect()
    }

    #[test]
    fn a_form_accounts_for_every_word() {
        let form = "(who|which users) [currently] (has|have) access to {app} [app]";
        let app = |name: &str| vec![vec![("app".to_owned(), name.to_owned())]];
        let cases = [
            ("Who has access to GitHub?", app("GitHub")),
            (
                "which users have access to Google Workspace",
                app("Google Workspace"),
            ),
            (
                "Who currently has access to \"Who and what\" app?",
                app("Who and what"),
            ),
            ("who has access to GitHub and MFA", vec![]),
            ("who has access to GitHub without MFA", vec![]),
            ("who has access to", vec![]),
            ("who does not have access to GitHub", vec![]),
            ("who has access to \"GitHub", vec![]),
            ("", vec![]),
        ];
        for (question, expected) in cases {
            assert_eq!(fit(form, question), expected, "{question}");
        }
        assert_eq!(
            fit("access to {app} [app]", "access to GitHub app"),
            app("GitHub")
        );
        // Two ways to read it are two fits.
        assert_eq!(fit("{a} {b}", "one two three").len(), 2);
    }

    #[test]
    fn what_is_no_form_is_told() {
        for (form, said) in [
            ("", "at least one word"),
            ("(a|b", "`)` is missing"),
            ("a]", "closes nothing"),
            ("{a", "not closed"),
        ] {
            let error = Pattern::parse(form).map(|_| ()).unwrap_err();
            assert!(error.contains(said), "{form}: {error}");
        }
    }
}
