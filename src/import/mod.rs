//! Sigma rules of somebody else's, as files of a policy: those that the engine can run, and for the
//! others the reason and its line.

mod fields;
mod text;

pub use self::fields::okta_name;
pub use self::text::Renamed;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::detect::rule_codes::OTHER_PRODUCT;
use crate::detect::{Logic, Rule, is_accessors, is_filter};
use crate::diag::{Diagnostic, Problems, Severity, Span};
use crate::document::{Node, parse_yaml_documents};
use crate::event::Digest;
use crate::fmt::{FileKind, formatted};
use crate::import::text::{clashes, renamed, with_names, with_users};
use crate::policy::{self, Policy};
use crate::visible::visible;

/// A file of somebody else's.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where it was found, for people.
    pub name: String,
    /// Its path below the folder that is imported.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// Something that is said about a line of a source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Remark {
    /// The line, from 1.
    pub line: usize,
    /// The code of the problem.
    pub code: &'static str,
    /// What is said.
    pub message: String,
}

/// A file that the policy can have.
#[derive(Clone, Debug)]
pub struct Imported {
    /// Which source it is.
    pub source: usize,
    /// The text to write.
    pub text: String,
    /// How many rules it holds.
    pub rules: usize,
    /// How many filters it holds.
    pub filters: usize,
    /// The rules outside of it of which something else is reported with it.
    pub touched: Vec<Touched>,
    /// The fields that got Okta's names.
    pub renamed: Vec<Renamed>,
    /// What is probably not meant, or is missing.
    pub warnings: Vec<Remark>,
}

/// A rule of which something else is reported once a source is there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Touched {
    /// The line of the source that does it, from 1.
    pub line: usize,
    /// What the rule is called.
    pub rule: String,
    /// The file of the policy that the rule stands in; `None` where it is imported too.
    pub file: Option<String>,
    /// What becomes of it.
    pub effect: Effect,
}

/// What a source does to a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// A filter: events have to satisfy it too.
    Filtered,
    /// A correlation that names the rule, and does not say `generate`: the rule gives no findings
    /// of its own any more.
    Silenced,
}

/// A file that the policy cannot have, and why.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Which source it is.
    pub source: usize,
    /// All reasons, in the order of their lines.
    pub reasons: Vec<Remark>,
}

/// What comes of an import.
#[derive(Clone, Debug, Default)]
pub struct Import {
    /// What the policy can have, in the order of the sources.
    pub imported: Vec<Imported>,
    /// What it cannot.
    pub refused: Vec<Refused>,
}

/// The files of a policy by their paths.
pub type Texts = BTreeMap<String, Arc<str>>;

/// Tries sources beside the files of a policy, as files of its `rules/imported/`. Those with an
/// error, or for the log of another product, are refused; and then those that named them.
#[must_use]
pub fn import(base: &Texts, sources: &[Source]) -> Import {
    let mut result = Import::default();
    let mut open: BTreeMap<usize, Adapted> = BTreeMap::new();
    for (at, source) in sources.iter().enumerate() {
        match adapt(source) {
            Ok(adapted) => {
                open.insert(at, adapted);
            }
            Err(reasons) => result.refused.push(Refused {
                source: at,
                reasons,
            }),
        }
    }
    // Chains of correlations have a greatest length, and so have the rounds.
    let mut warnings = loop {
        let texts = |at: usize| open.get(&at).map(|adapted| adapted.text.as_str());
        let told = told(base, sources, texts);
        let bad = told.iter().filter(|(_, told)| !told.reasons.is_empty());
        let bad: Vec<usize> = bad.map(|(at, _)| *at).collect();
        if bad.is_empty() {
            break told;
        }
        for at in bad {
            open.remove(&at);
            let reasons = told.get(&at).map(|told| told.reasons.clone());
            result.refused.push(Refused {
                source: at,
                reasons: reasons.unwrap_or_default(),
            });
        }
    };
    for (at, adapted) in open {
        let Some(source) = sources.get(at) else {
            continue;
        };
        let told = warnings.remove(&at).unwrap_or_default();
        result.imported.push(Imported {
            source: at,
            rules: adapted.documents - adapted.filters,
            filters: adapted.filters,
            touched: told.touched,
            text: whole(source, &adapted),
            renamed: adapted.renamed,
            warnings: told.warnings,
        });
    }
    result.refused.sort_by_key(|refused| refused.source);
    result
}

/// A source with Okta's names.
struct Adapted {
    text: String,
    documents: usize,
    filters: usize,
    renamed: Vec<Renamed>,
}

fn adapt(source: &Source) -> Result<Adapted, Vec<Remark>> {
    // What is written has a head of its own, and the mark stands before that or nowhere.
    let text = source.text.trim_start_matches('\u{feff}');
    let mut problems = Problems::default();
    let documents = documents(text, &mut problems);
    if documents.is_empty() && !problems.has_errors() {
        return Err(vec![Remark {
            line: 1,
            code: policy::codes::NO_RULES,
            message: "the file holds no rules".to_owned(),
        }]);
    }
    for document in documents.iter().filter(|document| is_accessors(document)) {
        let message = "accessors say how all rules of a policy read their fields, so that they are not imported; put them into `rules/` yourself";
        problems.error(policy::codes::UNSUPPORTED, document.span, message);
    }
    clashes(&documents, &mut problems);
    if problems.has_errors() {
        return Err(remarks(&problems, |problem| {
            problem.severity == Severity::Error
        }));
    }
    let renamed = renamed(text, &documents);
    Ok(Adapted {
        text: with_names(text, &renamed),
        documents: documents.len(),
        filters: documents.iter().filter(|one| is_filter(one)).count(),
        renamed,
    })
}

fn documents(text: &str, problems: &mut Problems) -> Vec<Node> {
    let file = problems.add_file("", text);
    parse_yaml_documents(file, text, problems)
}

/// What is said of a source as a file of the policy.
#[derive(Default)]
struct Told {
    reasons: Vec<Remark>,
    warnings: Vec<Remark>,
    touched: Vec<Touched>,
}

/// What a check of the policy with the sources says of each of them.
fn told<'t>(
    base: &Texts,
    sources: &[Source],
    text_of: impl Fn(usize) -> Option<&'t str>,
) -> BTreeMap<usize, Told> {
    let mut texts = base.clone();
    let mut numbers = BTreeMap::new();
    for at in 0..sources.len() {
        if let Some(text) = text_of(at) {
            // Numbers keep the order of sources.
            let path = format!("{SOURCES}{at:08}.yml");
            texts.insert(path.clone(), text.into());
            numbers.insert(path, at);
        }
    }
    let files = texts
        .iter()
        .map(|(path, text)| (path.as_str(), Arc::clone(text)));
    let loaded = policy::load_texts(files);
    let mut told: BTreeMap<usize, Told> = BTreeMap::new();
    for problem in loaded.problems.sorted() {
        let name = loaded.problems.file_name(problem.span.file);
        let Some(at) = numbers.get(name) else {
            continue;
        };
        let told = told.entry(*at).or_default();
        let remark = remark(&loaded.problems, problem);
        let is_reason = problem.severity == Severity::Error || problem.code == OTHER_PRODUCT;
        match is_reason {
            true => told.reasons.push(remark),
            false => told.warnings.push(remark),
        }
    }
    for (span, touched) in loaded.policy.iter().flat_map(touched) {
        let Some(at) = numbers.get(loaded.problems.file_name(span.file)) else {
            continue;
        };
        let is_of = |file: &String| numbers.get(file) == Some(at);
        if touched.file.as_ref().is_some_and(is_of) {
            continue;
        }
        told.entry(*at).or_default().touched.push(Touched {
            line: loaded.problems.line_column(span).line,
            file: touched.file.filter(|file| !numbers.contains_key(file)),
            ..touched
        });
    }
    for told in told.values_mut() {
        told.touched.sort_unstable();
        told.touched.dedup();
    }
    told
}

/// What filters do to the rules of a policy, and correlations of sources to its other rules, with
/// the places where that is written. A rule that a correlation of the policy names is silent
/// already, or is kept.
fn touched(policy: &Policy) -> Vec<(Span, Touched)> {
    let of = |rule: &Rule, effect: Effect| Touched {
        line: 0,
        rule: rule.label().to_owned(),
        file: Some(rule.file.clone()),
        effect,
    };
    let correlations = policy.rules.values().filter_map(|rule| match &rule.logic {
        Logic::Correlation(correlation) => Some((rule.file.starts_with(SOURCES), correlation)),
        _ => None,
    });
    let correlations: Vec<_> = correlations.collect();
    let mut found = Vec::new();
    for rule in policy.rules.values() {
        if let Logic::Detection(detection) = &rule.logic {
            let (.., filters) = detection.parts();
            let filters = filters.iter().map(|(_, filter)| filter.place());
            found.extend(filters.map(|place| (place, of(rule, Effect::Filtered))));
        }
        if rule.file.starts_with(SOURCES) {
            continue;
        }
        let naming = correlations.iter().filter_map(|(is_source, correlation)| {
            let mut names = correlation.rules.iter();
            let (_, span) = names.find(|(name, _)| rule.is_called(name))?;
            Some((*is_source && !correlation.generate, *span))
        });
        let naming: Vec<(bool, Span)> = naming.collect();
        if naming.iter().all(|(silences, _)| *silences) {
            let places = naming.iter().map(|(_, span)| *span);
            found.extend(places.map(|place| (place, of(rule, Effect::Silenced))));
        }
    }
    found
}

/// Where sources stand while they are tried. No path of a source is one of the policy, and all
/// come behind those: of two rules with one name the one that is there is right.
const SOURCES: &str = "rules/\u{10ffff}/";

fn remarks(problems: &Problems, is_meant: impl Fn(&Diagnostic) -> bool) -> Vec<Remark> {
    let meant = problems
        .sorted()
        .into_iter()
        .filter(|problem| is_meant(problem));
    meant.map(|problem| remark(problems, problem)).collect()
}

fn remark(problems: &Problems, problem: &Diagnostic) -> Remark {
    Remark {
        line: problems.line_column(problem.span).line,
        code: problem.code,
        message: problem.message.clone(),
    }
}

/// The text of a file to write: where it comes from, and the rules in their layout.
fn whole(source: &Source, adapted: &Adapted) -> String {
    let with_users = with_users(
        &adapted.text,
        &documents(&adapted.text, &mut Problems::default()),
    );
    let mut unheard = Problems::default();
    let is_whole = documents(&with_users, &mut unheard).len() == adapted.documents;
    let text = match is_whole && !unheard.has_errors() {
        true => with_users,
        // What no line can stand behind, such as a text that ends with the file in no line.
        false => adapted.text.clone(),
    };
    let head = format!(
        "# Imported from {}, SHA-256 {}.\n# Its author's, under the licence that it came with.\n\n",
        visible(&source.name),
        Digest::of(source.text.as_bytes())
    );
    let text = format!("{head}{text}");
    formatted("", &text, FileKind::Yaml).unwrap_or(text)
}
