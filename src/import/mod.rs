//! Sigma rules of somebody else's, as files of a policy: those that the engine can run, and for the
//! others the reason and its line.

mod fields;
mod text;

pub use self::fields::okta_name;
pub use self::text::Renamed;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::detect::rule_codes::OTHER_PRODUCT;
use crate::diag::{Diagnostic, Problems, Severity};
use crate::document::{Kind, Node, parse_yaml_documents};
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
    /// The code of the problem, where it is one of a policy.
    pub code: Option<&'static str>,
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
    /// How many filters it holds, which are for rules that are imported.
    pub filters: usize,
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
    let known = imported_names(base, sources);
    for (at, source) in sources.iter().enumerate() {
        match adapt(source, &known) {
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
            let renamed = open.remove(&at).map(|adapted| adapted.renamed);
            let reasons = told.get(&at).map(|told| told.reasons.clone());
            let mut reasons = reasons.unwrap_or_default();
            for reason in &mut reasons {
                explain_twice(reason, &renamed.clone().unwrap_or_default());
            }
            result.refused.push(Refused {
                source: at,
                reasons,
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
            rules: adapted.documents - adapted.filters,
            filters: adapted.filters,
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
    documents: usize,
    filters: usize,
    renamed: Vec<Renamed>,
}

/// The names and ids of rules that are imported, now or before: what a filter may be for.
fn imported_names(base: &Texts, sources: &[Source]) -> BTreeSet<String> {
    let before = base
        .iter()
        .filter(|(path, _)| path.starts_with("rules/imported/"))
        .map(|(_, text)| &**text);
    let texts = before.chain(sources.iter().map(|source| source.text.as_str()));
    let mut names = BTreeSet::new();
    for text in texts {
        for document in documents(text, &mut Problems::default()) {
            let named = ["name", "id"]
                .iter()
                .filter_map(|key| document.at(&format!("/{key}")));
            names.extend(named.filter_map(Node::scalar_text));
        }
    }
    names
}

/// Why the filters among documents are not imported: one that is for other rules than those that
/// are imported would take findings away from rules that somebody relies on.
fn filters(
    documents: &[Node],
    known: &BTreeSet<String>,
    problems: &Problems,
) -> (usize, Vec<Remark>) {
    let filters = documents
        .iter()
        .filter_map(|document| document.at("/filter"));
    let filters: Vec<&Node> = filters.collect();
    let reasons = filters.iter().filter_map(|filter| {
        let named = filter.at("/rules").map(|rules| match &rules.kind {
            Kind::List(rules) => rules.iter().filter_map(Node::scalar_text).collect(),
            _ => rules.scalar_text().into_iter().collect::<Vec<String>>(),
        });
        let others = named.map(|named| named.into_iter().filter(|name| !known.contains(name)));
        let others: Option<Vec<String>> = others.map(Iterator::collect);
        let whom = match others {
            Some(others) if others.is_empty() => return None,
            Some(others) if others != ["any"] => format!("`{}`", others.join("`, `")),
            _ => "every rule of its log source".to_owned(),
        };
        Some(Remark {
            line: problems.line_column(filter.span).line,
            code: None,
            message: format!(
                "a filter for {whom}, which is not among the rules that are imported: it would take findings away from rules that are there; copy it into rules/ by hand where that is meant, and look at what `rulectl diff` says"
            ),
        })
    });
    (filters.len(), reasons.collect())
}

/// Says why a key is written twice that was given two names.
fn explain_twice(reason: &mut Remark, renamed: &[Renamed]) {
    let fields: BTreeSet<&str> = renamed
        .iter()
        .filter(|one| one.is_field)
        .map(|one| one.to.as_str())
        .collect();
    for to in fields {
        let from = renamed.iter().filter(|one| one.is_field && one.to == to);
        let from: BTreeSet<&str> = from.map(|one| one.from.as_str()).collect();
        let is_it = reason.message == format!("the key `{to}` is written twice in one mapping");
        if is_it && !from.is_empty() {
            let from: Vec<&str> = from.into_iter().collect();
            let also = if from.len() == 1 {
                " beside itself"
            } else {
                ""
            };
            reason.message = format!(
                "`{}` {} `{to}` here{also}, and one search cannot ask for a field twice: write two searches and join them with `and` in the condition",
                from.join("` and `"),
                if from.len() == 1 { "is" } else { "are both" },
            );
        }
    }
}

fn adapt(source: &Source, known: &BTreeSet<String>) -> Result<Adapted, Vec<Remark>> {
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
            code: Some(policy::codes::NO_RULES),
            message: "the file holds no rules".to_owned(),
        }]);
    }
    let (filters, reasons) = filters(&documents, known, &problems);
    if !reasons.is_empty() {
        return Err(reasons);
    }
    let renamed = renamed(&source.text, &documents);
    Ok(Adapted {
        text: with_names(&source.text, &renamed),
        documents: documents.len(),
        filters,
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
        code: Some(problem.code),
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
