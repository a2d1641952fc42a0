//! Which tools a question may be about: BM25 over what each says of itself (Robertson and Zaragoza,
//! "The Probabilistic Relevance Framework", 2009; k1 = 1.2, b = 0.75).

use std::collections::{BTreeMap, BTreeSet};

use crate::tools::{Catalogue, Form};

const K1: f64 = 1.2;
const B: f64 = 0.75;

/// A tool or recipe, and how near it is to a question.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranked {
    /// Its name.
    pub name: String,
    /// How near, above 0.0; larger is nearer.
    pub score: f64,
}

/// The tools and recipes that share a word with a question, the nearest first.
#[must_use]
pub fn rank(question: &str, catalogue: &Catalogue) -> Vec<Ranked> {
    let documents = documents(catalogue);
    let total: usize = documents.iter().map(|(_, words)| words.len()).sum();
    let mean = total as f64 / documents.len().max(1) as f64;
    let mut holders: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, words) in &documents {
        let each: BTreeSet<&str> = words.iter().map(String::as_str).collect();
        each.into_iter()
            .for_each(|word| *holders.entry(word).or_default() += 1);
    }
    let asked: BTreeSet<String> = words(question).into_iter().collect();
    let mut ranked: Vec<Ranked> = documents
        .iter()
        .map(|(name, words)| {
            let score = asked.iter().map(|word| {
                let often = words.iter().filter(|told| *told == word).count() as f64;
                let holders = holders.get(word.as_str()).copied().unwrap_or(0) as f64;
                let count = documents.len() as f64;
                let rare = ((count - holders + 0.5) / (holders + 0.5) + 1.0).ln();
                let length = 1.0 - B + B * words.len() as f64 / mean;
                rare * often * (K1 + 1.0) / (often + K1 * length)
            });
            Ranked {
                name: name.clone(),
                score: score.sum(),
            }
        })
        .filter(|ranked| ranked.score > 0.0)
        .collect();
    ranked.sort_by(|one, other| {
        let order = other.score.total_cmp(&one.score);
        order.then_with(|| one.name.cmp(&other.name))
    });
    ranked
}

fn documents(catalogue: &Catalogue) -> Vec<(String, Vec<String>)> {
    let text = |name: &str, description: &str, examples: &[String], forms: &[Form]| {
        let mut text = format!("{} {description}", name.replace('_', " "));
        for example in examples {
            text.push(' ');
            text.push_str(example);
        }
        for form in forms {
            text.push(' ');
            text.push_str(&form.pattern.text);
        }
        (name.to_owned(), words(&text))
    };
    let tools = catalogue.tools.iter();
    let tools = tools.map(|tool| {
        text(
            &tool.name,
            &tool.description,
            &tool.examples,
            &tool.patterns,
        )
    });
    let recipes = catalogue.recipes.iter();
    // What follows an answer is near to nothing else.
    let recipes = recipes.filter(|recipe| recipe.follows.is_none());
    let recipes = recipes.map(|recipe| {
        text(
            &recipe.name,
            &recipe.description,
            &recipe.examples,
            &recipe.patterns,
        )
    });
    tools.chain(recipes).collect()
}

/// The words of a text that say something, without the endings of plurals.
fn words(text: &str) -> Vec<String> {
    const EMPTY: [&str; 24] = [
        "the", "a", "an", "of", "in", "to", "for", "is", "are", "and", "or", "with", "by", "on",
        "that", "which", "what", "who", "me", "all", "do", "does", "be", "it",
    ];
    let split = text.split(|letter: char| !letter.is_alphanumeric());
    let words = split.filter(|word| !word.is_empty()).map(str::to_lowercase);
    let told = words.filter(|word| !EMPTY.contains(&word.as_str()));
    told.map(|word| match word.strip_suffix('s') {
        Some(one) if one.len() > 2 && !one.ends_with('s') => one.to_owned(),
        _ => word,
    })
    .collect()
}
