//! Sigma rules of somebody else's, as files of a policy: those that the engine can run, and for the
//! others the reason and its line.

mod fields;
mod text;

pub use self::fields::okta_name;
pub use self::text::Renamed;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::detect::rule_codes::OTHER_PRODUCT;
use crate::diag::{Diagnostic, Problems, Severity};
use crate::document::{Node, parse_yaml_documents};
use crate::event::Digest;
use crate::fmt::{FileKind, formatted};
use crate::import::text::{renamed, with_names, with_users};
use crate::policy;
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
    /// The fields that got Okta's names.
    pub renamed: Vec<Renamed>,
    /// What is probably not meant, or is missing.
    pub warnings: Vec<Remark>,
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
    let warnings = loop {
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
        let warnings = warnings.get(&at).map(|told| told.warnings.clone());
        result.imported.push(Imported {
            source: at,
            rules: adapted.rules,
            text: whole(source, &adapted),
            renamed: adapted.renamed,
            warnings: warnings.unwrap_or_default(),
        });
    }
    result.refused.sort_by_key(|refused| refused.source);
    result
}

/// A source with Okta's names.
struct Adapted {
    text: String,
    rules: usize,
    renamed: Vec<Renamed>,
}

fn adapt(source: &Source) -> Result<Adapted, Vec<Remark>> {
    let mut problems = Problems::default();
    let documents = documents(&source.text, &mut problems);
    if problems.has_errors() {
        return Err(remarks(&problems, |problem| {
            problem.severity == Severity::Error
        }));
    }
    if documents.is_empty() {
        return Err(vec![Remark {
            line: 1,
            code: policy::codes::NO_RULES,
            message: "the file holds no rules".to_owned(),
        }]);
    }
    let renamed = renamed(&source.text, &documents);
    Ok(Adapted {
        text: with_names(&source.text, &renamed),
        rules: documents.len(),
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
            // Numbers keep the order of sources. No path of a source is one of the policy, and all
            // come behind those: of two rules with one name the one that is there is right.
            let path = format!("rules/\u{10ffff}/{at:08}.yml");
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
    told
}

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
    let is_whole = documents(&with_users, &mut unheard).len() == adapted.rules;
    let text = match is_whole && !unheard.has_errors() {
        true => with_users,
        // Behind the end of a document, such as `...`, stands no key of it.
        false => adapted.text.clone(),
    };
    let text = text.trim_start_matches('\u{feff}');
    let head = format!(
        "# Imported from {}, SHA-256 {}.\n# Its author's, under the licence that it came with.\n\n",
        visible(&source.name),
        Digest::of(source.text.as_bytes())
    );
    let text = head + text;
    formatted("", &text, FileKind::Yaml).unwrap_or(text)
}
