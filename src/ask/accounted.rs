//! Whether a form of questions accounts for a choice that a form did not make.
//!
//! A model chooses among tools that are near, and what it chooses may be the answer to another
//! question. So its choice is held against the question once more, without it: what is not part of
//! a value has to be the words of one form of the tool, in whatever order they stand.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::ask::grounding::{Ground, ground};
use crate::ask::plan::Wanted;
use crate::tools::{Catalogue, Form, Param, Token};

/// Words that ask, and say nothing about what is asked for.
const ASKING: [&str; 30] = [
    "please",
    "the",
    "a",
    "an",
    "our",
    "can",
    "could",
    "you",
    "would",
    "i",
    "we",
    "us",
    "me",
    "tell",
    "give",
    "show",
    "list",
    "find",
    "see",
    "need",
    "want",
    "to",
    "know",
    "hi",
    "hello",
    "hey",
    "thanks",
    "currently",
    "now",
    "there",
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

/// Whether the question is the words of a form and the values; else what is left of it.
fn says(
    (question, tokens): (&str, &[Token]),
    params: &BTreeMap<String, Value>,
    declared: &[Param],
    form: &Form,
) -> Result<Accounted, Vec<String>> {
    let mut words = tokens.to_vec();
    let mut given: BTreeSet<&str> = BTreeSet::new();
    let mut is_whole = true;
    for (name, value) in params {
        let by_form = form.with.iter().find(|(known, _)| known == name);
        let place = match by_form {
            Some((_, said)) => {
                is_whole &= said == value;
                continue;
            }
            None => ground(question, value, None),
        };
        match place {
            Some(Ground::Question(from, to)) => {
                given.insert(name);
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
    if is_whole && form.pattern.says(&words, &given, &ASKING) {
        let by_form = form.with.iter().map(|(name, _)| name.clone());
        return Ok(Accounted {
            form: form.pattern.text.clone(),
            by_form: by_form.collect(),
        });
    }
    let known = form.pattern.words();
    let left = words
        .iter()
        .filter(|word| !known.contains(*word) && !ASKING.contains(word));
    Err(left.map(|word| (*word).to_owned()).collect())
}
