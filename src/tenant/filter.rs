//! The subset of SCIM filters that Okta takes: `eq ne gt ge lt le co sw ew pr`, `and`, `or`, `not`
//! and parentheses, without `[ ]`. `and` binds more tightly than `or`, as RFC 7644 says.

use std::cmp::Ordering;

use serde_json::Value;

use super::time;

/// How deep parentheses and `not` may nest.
const DEEPEST: usize = 50;

/// A filter that was read.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// All of them.
    And(Vec<Filter>),
    /// One of them.
    Or(Vec<Filter>),
    /// Not that one.
    Not(Box<Filter>),
    /// The attribute has a value.
    Present(String),
    /// An attribute, an operator and a value.
    Compare(String, Operator, Value),
}

/// What compares an attribute with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Greater, or later.
    Gt,
    /// Not less.
    Ge,
    /// Less, or earlier.
    Lt,
    /// Not greater.
    Le,
    /// Contains.
    Co,
    /// Starts with.
    Sw,
    /// Ends with.
    Ew,
}

/// Whether texts are compared by their letters' case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// `A` is not `a`.
    Kept,
    /// `A` is `a`.
    Folded,
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in words.
    pub fn read(text: &str) -> Result<Self, BadFilter> {
        let mut reader = Reader {
            words: words(text)?,
            depth: 0,
        };
        reader.words.reverse();
        let filter = reader.either()?;
        match reader.words.pop() {
            None => Ok(filter),
            Some(word) => Err(BadFilter::Unexpected(word.text())),
        }
    }

    /// Whether a value satisfies it. A path through an array means any of its elements.
    #[must_use]
    pub fn admits(&self, value: &Value, case: Case) -> bool {
        match self {
            Self::And(parts) => parts.iter().all(|part| part.admits(value, case)),
            Self::Or(parts) => parts.iter().any(|part| part.admits(value, case)),
            Self::Not(part) => !part.admits(value, case),
            Self::Present(path) => found(value, path).iter().any(|held| is_present(held)),
            Self::Compare(path, Operator::Ne, wanted) => !found(value, path)
                .iter()
                .any(|held| compares(held, Operator::Eq, wanted, case)),
            Self::Compare(path, operator, wanted) => found(value, path)
                .iter()
                .any(|held| compares(held, *operator, wanted, case)),
        }
    }

    /// Each attribute that it names, with the operator that is used on it.
    #[must_use]
    pub fn attributes(&self) -> Vec<(&str, Option<Operator>)> {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().flat_map(Self::attributes).collect(),
            Self::Not(part) => part.attributes(),
            Self::Present(path) => vec![(path, None)],
            Self::Compare(path, operator, _) => vec![(path, Some(*operator))],
        }
    }
}

/// Why a filter cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFilter {
    /// A text has no end.
    #[error("a text in double quotes has no end")]
    Unended,
    /// Something stands where it cannot.
    #[error("`{0}` is not expected here")]
    Unexpected(String),
    /// It ends too early.
    #[error("the filter ends where something must follow")]
    Short,
    /// It nests too deep.
    #[error("the filter nests too deep")]
    Deep,
}

#[derive(Clone, Debug, PartialEq)]
enum Word {
    Open,
    Close,
    Bare(String),
    Quoted(String),
}

impl Word {
    fn text(&self) -> String {
        match self {
            Self::Open => "(".to_owned(),
            Self::Close => ")".to_owned(),
            Self::Bare(text) | Self::Quoted(text) => text.clone(),
        }
    }
}

fn words(text: &str) -> Result<Vec<Word>, BadFilter> {
    let mut words = Vec::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '(' => words.push(Word::Open),
            ')' => words.push(Word::Close),
            '"' => words.push(Word::Quoted(quoted(&mut letters)?)),
            '[' | ']' => return Err(BadFilter::Unexpected(letter.to_string())),
            _ if letter.is_whitespace() => {}
            _ => {
                let mut bare = letter.to_string();
                while let Some(next) =
                    letters.next_if(|next| !next.is_whitespace() && !"()[]\"".contains(*next))
                {
                    bare.push(next);
                }
                words.push(Word::Bare(bare));
            }
        }
    }
    Ok(words)
}

fn quoted(letters: &mut impl Iterator<Item = char>) -> Result<String, BadFilter> {
    let mut text = String::new();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => return Ok(text),
            '\\' => text.push(letters.next().ok_or(BadFilter::Unended)?),
            _ => text.push(letter),
        }
    }
    Err(BadFilter::Unended)
}

/// The words that are left, the next one last.
struct Reader {
    words: Vec<Word>,
    depth: usize,
}

impl Reader {
    fn either(&mut self) -> Result<Filter, BadFilter> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(BadFilter::Deep);
        }
        let mut parts = vec![self.both()?];
        while self.takes("or") {
            parts.push(self.both()?);
        }
        self.depth -= 1;
        Ok(one_or(parts, Filter::Or))
    }

    fn both(&mut self) -> Result<Filter, BadFilter> {
        let mut parts = vec![self.single()?];
        while self.takes("and") {
            parts.push(self.single()?);
        }
        Ok(one_or(parts, Filter::And))
    }

    fn single(&mut self) -> Result<Filter, BadFilter> {
        let mut negated = false;
        while self.takes("not") {
            negated = !negated;
        }
        let filter = match self.words.pop().ok_or(BadFilter::Short)? {
            Word::Open => {
                let inner = self.either()?;
                match self.words.pop() {
                    Some(Word::Close) => inner,
                    Some(other) => return Err(BadFilter::Unexpected(other.text())),
                    None => return Err(BadFilter::Short),
                }
            }
            Word::Bare(attribute) if is_attribute(&attribute) => self.comparison(attribute)?,
            other => return Err(BadFilter::Unexpected(other.text())),
        };
        Ok(match negated {
            true => Filter::Not(Box::new(filter)),
            false => filter,
        })
    }

    fn comparison(&mut self, attribute: String) -> Result<Filter, BadFilter> {
        let word = self.words.pop().ok_or(BadFilter::Short)?;
        let Word::Bare(operator) = &word else {
            return Err(BadFilter::Unexpected(word.text()));
        };
        if operator.eq_ignore_ascii_case("pr") {
            return Ok(Filter::Present(attribute));
        }
        let Some(operator) = operator_named(operator) else {
            return Err(BadFilter::Unexpected(word.text()));
        };
        let value = match self.words.pop().ok_or(BadFilter::Short)? {
            Word::Quoted(text) => Value::String(text),
            Word::Bare(text) => serde_json::from_str::<Value>(&text)
                .ok()
                .filter(|value| !value.is_array() && !value.is_object())
                .ok_or(BadFilter::Unexpected(text))?,
            other => return Err(BadFilter::Unexpected(other.text())),
        };
        Ok(Filter::Compare(attribute, operator, value))
    }

    fn takes(&mut self, keyword: &str) -> bool {
        let is_next = matches!(self.words.last(), Some(Word::Bare(word)) if word.eq_ignore_ascii_case(keyword));
        is_next && self.words.pop().is_some()
    }
}

fn one_or(mut parts: Vec<Filter>, many: impl Fn(Vec<Filter>) -> Filter) -> Filter {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        Some(last) => {
            parts.push(last);
            many(parts)
        }
        None => many(parts),
    }
}

fn is_attribute(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "._-$:".contains(letter))
}

fn operator_named(text: &str) -> Option<Operator> {
    Some(match text.to_ascii_lowercase().as_str() {
        "eq" => Operator::Eq,
        "ne" => Operator::Ne,
        "gt" => Operator::Gt,
        "ge" => Operator::Ge,
        "lt" => Operator::Lt,
        "le" => Operator::Le,
        "co" => Operator::Co,
        "sw" => Operator::Sw,
        "ew" => Operator::Ew,
        _ => return None,
    })
}

/// The values at a path; a key of a map may itself hold full stops.
fn found<'v>(value: &'v Value, path: &str) -> Vec<&'v Value> {
    match value {
        Value::Array(items) => items.iter().flat_map(|item| found(item, path)).collect(),
        _ if path.is_empty() => vec![value],
        Value::Object(map) => {
            if let Some(whole) = map.get(path) {
                return found(whole, "");
            }
            let (first, rest) = path.split_once('.').unwrap_or((path, ""));
            map.get(first)
                .map_or_else(Vec::new, |inner| found(inner, rest))
        }
        _ => Vec::new(),
    }
}

fn is_present(value: &Value) -> bool {
    !value.is_null() && value.as_str() != Some("")
}

fn compares(held: &Value, operator: Operator, wanted: &Value, case: Case) -> bool {
    let (Some(left), Some(right)) = (text_of(held, case), text_of(wanted, case)) else {
        return operator == Operator::Eq && held.is_null() && wanted.is_null();
    };
    match operator {
        Operator::Eq => left == right,
        Operator::Ne => left != right,
        Operator::Co => left.contains(&right),
        Operator::Sw => left.starts_with(&right),
        Operator::Ew => left.ends_with(&right),
        Operator::Gt => order(held, wanted, &left, &right).is_gt(),
        Operator::Ge => order(held, wanted, &left, &right).is_ge(),
        Operator::Lt => order(held, wanted, &left, &right).is_lt(),
        Operator::Le => order(held, wanted, &left, &right).is_le(),
    }
}

/// Numbers as numbers, times as times, and all else as texts.
fn order(held: &Value, wanted: &Value, left: &str, right: &str) -> Ordering {
    let numbers = held.as_f64().zip(wanted.as_f64());
    let times = time::read(left).zip(time::read(right));
    match (numbers, times) {
        (Some((left, right)), _) => left.total_cmp(&right),
        (None, Some((left, right))) => left.cmp(&right),
        (None, None) => left.cmp(right),
    }
}

fn text_of(value: &Value, case: Case) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        _ => return None,
    };
    Some(match case {
        Case::Kept => text,
        Case::Folded => text.to_uppercase(),
    })
}
