//! Which suites a change may make fail: those whose own files or whose rules are others than in a
//! revision.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path};

use crate::detect::Rule;
use crate::lab::diff::{SideError, files_of, revision};
use crate::lab::suite::{Case, Events, Suite, Wanted};
use crate::policy::{Policy, PolicyFile};

/// For each suite whether it is to be run: its file or a log that it names is another than in the
/// revision, or a rule is that one of its cases names. A case that names none is about the rule
/// that it stands in, or else about all rules and lists. Where anything else of the policy is
/// another, such as `routing.toml`, all are run.
///
/// # Errors
///
/// When the revision cannot be read.
pub fn changed_since(
    word: &str,
    folder: &Path,
    head: (&Policy, &[PolicyFile]),
    suites: &[Suite],
) -> Result<Vec<bool>, SideError> {
    let base = revision(word, folder)?.loaded;
    let (policy, files) = head;
    let (before, after) = (texts(&base.files), texts(files));
    let Some(was) = base.policy else {
        return Ok(vec![true; suites.len()]);
    };
    let is_same = |path: &str| before.get(path) == after.get(path);
    let paths = || before.keys().chain(after.keys());
    let are_same_rules = paths().all(|path| is_same(path));
    if paths().any(|path| concerns_all(path) && !is_same(path)) {
        return Ok(vec![true; suites.len()]);
    }
    let is_same_rule = |rule: &Rule| {
        let was = was.detector.logic_digest(rule.id);
        is_same(&rule.file) && was == policy.detector.logic_digest(rule.id)
    };
    let are_same_files = same_files(word, folder, suites)?;
    let suites = suites.iter().zip(are_same_files);
    let changed = suites.map(|(suite, has_same_files)| {
        let is_same_named = |name: &str| {
            let mut called = policy.rules.values();
            let called = called.find(|rule| rule.is_called(name) || rule.title == name);
            called.is_some_and(is_same_rule)
        };
        let is_same_beside = || {
            let mut beside = policy.rules.values().filter(|rule| rule.file == suite.file);
            beside.all(is_same_rule)
        };
        let in_rules = suite.file.starts_with("rules/");
        // The file of a rule was read with the policy, and its logs were not.
        let has_same_files = has_same_files && (!in_rules || is_same(&suite.file));
        // Routing, tools and prompts are the same where this is asked.
        let is_same_case = |case: &Case| {
            matches!(case.events, Events::Question(_))
                || match names(case).as_slice() {
                    [] if in_rules => is_same_beside(),
                    [] => are_same_rules,
                    names => names.iter().all(|name| is_same_named(name)),
                }
        };
        !has_same_files || !suite.cases.iter().all(is_same_case)
    });
    Ok(changed.collect())
}

fn texts(files: &[PolicyFile]) -> BTreeMap<&str, &str> {
    let texts = files.iter();
    texts
        .map(|file| (file.path.as_str(), &*file.text))
        .collect()
}

/// What no rule's file or logic digest tells of: routing, tools, prompts, and scripts, which may
/// say something of a finding alone.
fn concerns_all(path: &str) -> bool {
    !path.starts_with("rules/") || path.ends_with(".rhai")
}

/// The rules that a case names.
fn names(case: &Case) -> Vec<&str> {
    let of_data = case
        .expect
        .iter()
        .filter_map(|expected| match &expected.wanted {
            Wanted::OfRule(names, _) => names.first().map(String::as_str),
            Wanted::Count(_) | Wanted::Records(_) | Wanted::OrRefused(_) => None,
        });
    let named = case.named.iter().map(|named| named.name.as_str());
    named.chain(of_data).collect()
}

/// For each suite whether its file and all its logs are those of the revision. A log outside of
/// the policy folder is taken for another.
fn same_files(word: &str, folder: &Path, suites: &[Suite]) -> Result<Vec<bool>, SideError> {
    let all: Vec<Vec<Option<String>>> = suites.iter().map(|suite| own(suite, folder)).collect();
    let mut named: Vec<String> = all.iter().flatten().flatten().cloned().collect();
    named.sort();
    named.dedup();
    if named.is_empty() {
        return Ok(vec![true; suites.len()]);
    }
    let copy = files_of(word, folder, &named)?;
    let is_same = |path: &String| {
        let was = fs::read(copy.path().join(path));
        let is = fs::read(folder.join(path));
        was.ok().zip(is.ok()).is_some_and(|(was, is)| was == is)
    };
    let same = all
        .iter()
        .map(|paths| paths.iter().all(|path| path.as_ref().is_some_and(is_same)));
    Ok(same.collect())
}

/// The file of a suite and the logs that it names, below the policy folder; `None` for one that
/// stands elsewhere.
fn own(suite: &Suite, folder: &Path) -> Vec<Option<String>> {
    let logs = suite.cases.iter().flat_map(|case| &case.logs);
    let logs = logs.map(|log| below(log, folder));
    let file = (!suite.file.starts_with("rules/")).then(|| Some(suite.file.clone()));
    file.into_iter().chain(logs).collect()
}

fn below(log: &Path, folder: &Path) -> Option<String> {
    let mut steps = Vec::new();
    for step in log.strip_prefix(folder).ok()?.components() {
        match step {
            Component::Normal(step) => steps.push(step.to_str()?),
            Component::ParentDir => {
                steps.pop()?;
            }
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(steps.join("/"))
}
