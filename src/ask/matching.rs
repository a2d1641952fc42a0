//! A question without a model: the one form that accounts for every word of it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::ask::grounding::folded;
use crate::ask::plan::Wanted;
use crate::tools::{Bindings, Catalogue, Form, Param, Token, number, taken};

/// What a question asks for, as far as its form tells.
#[derive(Clone, Debug, PartialEq)]
pub enum Matching {
    /// This, and nothing else.
    Certain(Matched),
    /// Several things.
    Several(Vec<Matched>),
    /// No form accounts for all of it.
    None,
}

/// A form that accounts for every word of a question.
#[derive(Clone, Debug, PartialEq)]
pub struct Matched {
    /// The form.
    pub form: String,
    /// What it asks for.
    pub wanted: Wanted,
    /// How many words of the question its holes take.
    taken: usize,
}

/// An earlier answer that a question may be about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct After {
    /// The id of its question.
    pub id: String,
    /// The columns of its rows.
    pub columns: Vec<String>,
}

/// What a question asks for. `after` is the answer whose rows it may be about: then only what
/// follows an answer is asked for. `only` are the tools and recipes that may answer it, all where there
/// is none.
#[must_use]
pub fn match_question(
    question: &str,
    catalogue: &Catalogue,
    only: &[String],
    after: Option<&After>,
) -> Matching {
    let tokens = catalogue.words.tokens(question);
    let tokens = asked(question, &tokens);
    let mut found: Vec<Matched> = Vec::new();
    let tools = catalogue.tools.iter();
    let tools = tools.map(|tool| (&tool.name, &tool.params, &tool.patterns));
    let tools = tools.filter(|_| after.is_none());
    // What follows an answer is asked of its columns.
    let recipes = catalogue
        .recipes
        .iter()
        .filter(|recipe| match (&recipe.follows, after) {
            (None, None) => true,
            (Some(needs), Some(after)) => needs.iter().all(|column| after.columns.contains(column)),
            _ => false,
        });
    let recipes = recipes.map(|recipe| (&recipe.name, &recipe.params, &recipe.patterns));
    let all = tools.chain(recipes);
    let meant = all.filter(|(name, ..)| only.is_empty() || only.contains(name));
    for (name, params, forms) in meant {
        for form in forms {
            for bound in form.pattern.fits(tokens) {
                let Some(values) = values(question, tokens, &bound, form, params) else {
                    continue;
                };
                let by_form = form.with.iter().map(|(name, _)| name.clone());
                let matched = Matched {
                    form: form.pattern.text.clone(),
                    wanted: Wanted::Call {
                        tool: name.clone(),
                        params: values,
                        by_form: by_form.collect(),
                        after: after.map(|after| after.id.clone()),
                    },
                    taken: taken(&bound),
                };
                if !found.iter().any(|known| known.wanted == matched.wanted) {
                    found.push(matched);
                }
            }
        }
    }
    // A form whose own words account for more is about more.
    let least = found.iter().map(|matched| matched.taken).min();
    found.retain(|matched| Some(matched.taken) == least);
    match found.len() {
        0 | 1 => found.pop().map_or(Matching::None, Matching::Certain),
        _ => Matching::Several(found),
    }
}

/// What is said before a question, and behind it, and is no part of it.
const BEFORE: [&[&str]; 20] = [
    &["give", "me"],
    &["hi"],
    &["hello"],
    &["hey"],
    &["please"],
    &["can", "you"],
    &["could", "you"],
    &["would", "you"],
    &["kindly"],
    &["tell", "me"],
    &["let", "me", "know"],
    &["i", "want", "to", "know"],
    &["i", "want", "to", "see"],
    &["i", "need", "to", "know"],
    &["i", "need", "to", "see"],
    &["i", "would", "like", "to", "know"],
    &["i", "would", "like", "to", "see"],
    &["i", "need"],
    &["do", "you", "know"],
    &["quick", "question"],
];
const BEHIND: [&[&str]; 5] = [
    &["please"],
    &["thanks"],
    &["thank", "you"],
    &["right", "now"],
    &["at", "the", "moment"],
];

/// The words of a question without those that only ask.
fn asked<'t>(question: &str, tokens: &'t [Token]) -> &'t [Token] {
    let is = |said: &[Token], words: &[&str]| {
        let pairs = said.iter().zip(words);
        let mut pairs = pairs.map(|(token, word)| token.word == **word && !token.is_quoted);
        said.len() == words.len() && pairs.all(|same| same)
    };
    let mut left = tokens;
    loop {
        let before = BEFORE.iter().find_map(|words| {
            let (said, rest) = left.split_at_checked(words.len())?;
            is(said, words).then_some(rest)
        });
        let behind = || {
            BEHIND.iter().find_map(|words| {
                let at = left.len().checked_sub(words.len())?;
                let (rest, said) = left.split_at_checked(at)?;
                // What is written large is a part of a name.
                let is_small = |token: &Token| {
                    let text = question.get(token.at.clone()).unwrap_or_default();
                    !text.contains(char::is_uppercase)
                };
                (is(said, words) && said.iter().all(is_small)).then_some(rest)
            })
        };
        match before.or_else(behind) {
            Some(rest) => left = rest,
            None => return left,
        }
    }
}

/// The values of the parameters; nothing where a word is no value of its parameter, or a value that
/// is required is not there.
fn values(
    question: &str,
    tokens: &[Token],
    bound: &Bindings,
    form: &Form,
    params: &[Param],
) -> Option<BTreeMap<String, Value>> {
    let mut values: BTreeMap<String, Value> = form.with.iter().cloned().collect();
    for (name, range) in bound {
        let param = params.iter().find(|param| param.name == *name)?;
        let words = tokens.get(range.clone())?;
        let (first, last) = (words.first()?, words.last()?);
        let text = question.get(first.at.start..last.at.end)?;
        // A number may be said in another unit.
        let said = match words {
            [only] => only.word.as_str(),
            _ => text,
        };
        if !names_account(&param.schema, text) && !words.iter().any(|word| word.is_quoted) {
            return None;
        }
        values.insert(name.clone(), value(text, said, &param.schema)?);
    }
    let is_whole = params.iter().all(|param| {
        !param.required || param.default.is_some() || values.contains_key(&param.name)
    });
    is_whole.then_some(values)
}

/// Whether a text may be an account's, where one is asked for: a plain word is as well a name of
/// something else.
pub(super) fn names_account(schema: &Value, text: &str) -> bool {
    let pattern = schema.get("pattern").and_then(Value::as_str);
    let takes_account = pattern.is_some_and(|pattern| pattern.contains('@'));
    !takes_account || text.contains(|letter: char| !letter.is_alphabetic())
}

/// The value that a text says, of those that a schema takes.
fn value(text: &str, said: &str, schema: &Value) -> Option<Value> {
    let listed = schema.get("enum").and_then(Value::as_array);
    if let Some(listed) = listed {
        let said = folded(text);
        let is_said = |value: &&Value| value.as_str().is_some_and(|value| folded(value) == said);
        return listed.iter().find(is_said).cloned();
    }
    let value = match schema.get("type").and_then(Value::as_str) {
        Some("integer" | "number") => Value::from(number(&said.to_lowercase())?),
        _ => Value::from(text),
    };
    jsonschema::is_valid(schema, &value).then_some(value)
}
