//! Whether a form of questions accounts for a choice that a form did not make.
//!
//! A model chooses among tools that are near, and what it chooses may be the answer to another
//! question. So its choice is held against the question once more, without it: what is not part of
//! a value has to be the words of one form of the tool, in whatever order they stand.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::ask::grounding::{Ground, ground};
use crate::ask::matching::names_account;
use crate::ask::plan::Wanted;
use crate::tools::{Catalogue, Form, Param, Token};

/// Words that ask, and say nothing about what is asked for.
const ASKING: [&str; 24] = [
    "please", "the", "a", "an", "our", "can", "could", "you", "would", "i", "we", "us", "me",
    "tell", "give", "show", "list", "find", "see", "need", "want", "know", "hello", "thanks",
];

/// What accounts for a choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accounted {
    /// The form.
    pub form: String,
    /// The parameters whose values follow from it.
    pub by_form: Vec<String>,
}

/// The form of the chosen tool or recipe that accounts for every word of the question beside the
/// values.
///
/// # Errors
///
/// The words that no form of it has; none where its forms have them all and say more.
pub fn accounted(
    question: &str,
    wanted: &Wanted,
    catalogue: &Catalogue,
) -> Result<Accounted, Vec<String>> {
    let Wanted::Call { tool, params, .. } = wanted else {
        return Err(Vec::new());
    };
    let (declared, forms) = match (catalogue.recipe(tool), catalogue.tool(tool)) {
        (Some(recipe), _) => (recipe.params.as_slice(), recipe.patterns.as_slice()),
        (None, Some(tool)) => (tool.params.as_slice(), tool.patterns.as_slice()),
        (None, None) => return Err(Vec::new()),
    };
    let mut least: Option<Vec<String>> = None;
    let tokens = catalogue.words.tokens(question);
    for form in forms {
        match says((question, &tokens), params, declared, form) {
            // The words of a value may be the words of another form.
            Ok(_) if is_said_by_words(&tokens, tool, catalogue) => return Err(Vec::new()),
            Ok(accounted) => return Ok(accounted),
            Err(left) if least.as_ref().is_none_or(|least| left.len() < least.len()) => {
                least = Some(left);
            }
            Err(_) => {}
        }
    }
    let all = || tokens.iter().map(|token| token.word.clone());
    Err(least.unwrap_or_else(|| all().collect()))
}

/// The words of the question that say a value: one that is an account's looks like one.
fn ground_of(question: &str, value: &Value, name: &str, declared: &[Param]) -> Option<Ground> {
    let param = declared.iter().find(|param| param.name == name)?;
    let said = Param {
        default: None,
        ..param.clone()
    };
    let text = value.as_str().unwrap_or("0");
    ground(question, value, Some(&said)).filter(|_| names_account(&param.schema, text))
}

/// Whether a form of another tool or recipe accounts for the question by its words alone.
fn is_said_by_words(tokens: &[Token], tool: &str, catalogue: &Catalogue) -> bool {
    let words: Vec<&str> = tokens.iter().map(|token| token.word.as_str()).collect();
    let tools = catalogue.tools.iter();
    let tools = tools.map(|tool| (&tool.name, &tool.patterns));
    let recipes = catalogue.recipes.iter();
    let recipes = recipes.filter(|recipe| recipe.follows.is_none());
    let recipes = recipes.map(|recipe| (&recipe.name, &recipe.patterns));
    let mut others = tools.chain(recipes).filter(|(name, _)| *name != tool);
    others.any(|(_, forms)| {
        let mut forms = forms.iter();
        forms.any(|form| form.pattern.says(&words, &[], &ASKING))
    })
}

/// Whether the question is the words of a form and the values; else what is left of it.
fn says(
    (question, tokens): (&str, &[Token]),
    params: &BTreeMap<String, Value>,
    declared: &[Param],
    form: &Form,
) -> Result<Accounted, Vec<String>> {
    let known = form.pattern.words();
    let mut words = tokens.to_vec();
    let mut taken: Vec<(usize, usize)> = Vec::new();
    // The values in the order of the question, by where they begin.
    let mut given: BTreeMap<usize, &str> = BTreeMap::new();
    let mut is_whole = true;
    for (name, value) in params {
        let by_form = form.with.iter().find(|(known, _)| known == name);
        let place = match by_form {
            Some((_, said)) => {
                is_whole &= said == value;
                continue;
            }
            None => ground_of(question, value, name, declared),
        };
        match place {
            Some(Ground::Question(from, to)) => {
                // No word says two values, and no value a part of a phrase.
                let is_cut = |word: &Token| {
                    let is_beside = word.at.end <= from || word.at.start >= to;
                    let is_within = word.at.start >= from && word.at.end <= to;
                    !is_beside && !is_within
                };
                is_whole &= !tokens.iter().any(is_cut);
                is_whole &= !taken.iter().any(|(other, end)| from < *end && *other < to);
                taken.push((from, to));
                is_whole &= given.insert(from, name).is_none();
                let is_part = |word: &&Token| word.at.start >= from && word.at.end <= to;
                let mut part = tokens.iter().filter(is_part);
                is_whole &= !part.clone().any(Token::is_closed);
                // What a form has words for is no part of a name, where that begins and ends.
                let mut ends = part.next().into_iter().chain(part.next_back());
                is_whole &= !ends.any(|end| {
                    let word = end.word.as_str();
                    !end.is_quoted && (ASKING.contains(&word) || known.contains(word))
                });
                words.retain(|word| word.at.end <= from || word.at.start >= to);
            }
            _ => {
                let param = declared.iter().find(|param| param.name == *name);
                is_whole &= param.is_some_and(|param| param.default.as_ref() == Some(value));
            }
        }
    }
    let is_there = |(name, _): &(String, Value)| params.contains_key(name);
    is_whole &= form.with.iter().all(is_there);
    let words: Vec<&str> = words.iter().map(|token| token.word.as_str()).collect();
    let given: Vec<&str> = given.into_values().collect();
    if is_whole && form.pattern.says(&words, &given, &ASKING) {
        let by_form = form.with.iter().map(|(name, _)| name.clone());
        return Ok(Accounted {
            form: form.pattern.text.clone(),
            by_form: by_form.collect(),
        });
    }
    let left = words
        .iter()
        .filter(|word| !known.contains(*word) && !ASKING.contains(word));
    Err(left.map(|word| (*word).to_owned()).collect())
}
