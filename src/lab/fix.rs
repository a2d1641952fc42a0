//! What `check --fix` makes of the files of a policy: changes that are right whatever was meant, and
//! that bring nothing new.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use crate::diag::{FileId, Fix, Problems, with_fixes};
use crate::document::codes::SYNTAX;
use crate::lab::suite::all_suites_over;
use crate::policy::{self, Loaded};

/// A file that is put right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// Its path in the policy folder.
    pub file: String,
    /// Its text.
    pub before: String,
    /// Its text with the changes.
    pub after: String,
    /// How many changes there are.
    pub changes: usize,
}

/// What can be put right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixes {
    /// The files, in the order of their paths.
    pub files: Vec<Fixed>,
    /// How many changes are left out since they bring another problem.
    pub refused: usize,
    /// How many were not tried: they touch others, stand in a file that cannot be parsed, or are too
    /// many to try one by one.
    pub untried: usize,
    /// How many are in scripts, in which what looks like a comment may be inside of a text.
    pub in_scripts: usize,
}

/// Texts in the place of those of files, by their paths in the policy folder.
pub type Texts = BTreeMap<String, String>;

/// How often a change is tried by itself where all of them together bring a new problem.
const TRIED: usize = 100;

/// The files of a policy folder that can be put right. The policy is checked again with the
/// changes: those that bring a problem that was not there are left out. `settle` makes of all
/// problems those that are told.
#[must_use]
pub fn fix(folder: &Path, loaded: &Loaded, settle: impl Fn(&mut Problems)) -> Fixes {
    let problems = &loaded.problems;
    let (mut wanted, mut untried) = problems.fixes();
    let mut in_scripts = 0;
    let mut names = BTreeSet::new();
    wanted.retain(|file, fixes| {
        let name = problems.file_name(*file);
        if name.ends_with(".rhai") {
            in_scripts += fixes.len();
            return false;
        }
        if !is_read(problems, *file) {
            untried += fixes.len();
            return false;
        }
        // Test data that two rules name is read twice.
        names.insert(name)
    });
    let told = |texts: &Texts| {
        let mut problems = checked_again(folder, loaded, texts);
        settle(&mut problems);
        problems
    };
    let was = counted(problems);
    let is_good = |fixes: &BTreeMap<FileId, Vec<&Fix>>| {
        let now = counted(&told(&texts(problems, fixes)));
        now.iter()
            .all(|(problem, count)| was.get(problem).is_some_and(|was| was >= count))
    };
    let all = count(&wanted);
    let mut refused = 0;
    if !is_good(&wanted) {
        wanted = one_by_one(&wanted, is_good);
        refused = all.min(TRIED) - count(&wanted);
        untried += all.saturating_sub(TRIED);
    }
    wanted.retain(|_, fixes| !fixes.is_empty());
    let files = wanted.iter().map(|(file, fixes)| {
        let before = problems.text(*file).to_owned();
        Fixed {
            file: problems.file_name(*file).to_owned(),
            after: with_fixes(&before, fixes),
            before,
            changes: fixes.len(),
        }
    });
    Fixes {
        files: files.collect(),
        refused,
        untried,
        in_scripts,
    }
}

fn count(fixes: &BTreeMap<FileId, Vec<&Fix>>) -> usize {
    fixes.values().map(Vec::len).sum()
}

/// Those of the first changes that are good beside those before them.
fn one_by_one<'f>(
    wanted: &BTreeMap<FileId, Vec<&'f Fix>>,
    is_good: impl Fn(&BTreeMap<FileId, Vec<&'f Fix>>) -> bool,
) -> BTreeMap<FileId, Vec<&'f Fix>> {
    let mut kept: BTreeMap<FileId, Vec<&Fix>> = BTreeMap::new();
    for fix in wanted.values().flatten().take(TRIED) {
        let mut tried = kept.clone();
        tried.entry(fix.span.file).or_default().push(fix);
        if is_good(&tried) {
            kept = tried;
        }
    }
    kept
}

/// Whether a file was read as a whole: nothing is changed in one that is broken.
fn is_read(problems: &Problems, file: FileId) -> bool {
    let name = problems.file_name(file);
    let mut all = problems.sorted().into_iter();
    !all.any(|one| one.code == SYNTAX && problems.file_name(one.span.file) == name)
}

fn texts(problems: &Problems, fixes: &BTreeMap<FileId, Vec<&Fix>>) -> Texts {
    let texts = fixes.iter().map(|(file, fixes)| {
        let name = problems.file_name(*file).to_owned();
        (name, with_fixes(problems.text(*file), fixes))
    });
    texts.collect()
}

/// How often each problem is told of each file, wherever in it: lines that a message names may be
/// others after a change.
fn counted(problems: &Problems) -> BTreeMap<(String, &'static str, String), usize> {
    let mut counts = BTreeMap::new();
    for one in problems.sorted() {
        let file = problems.file_name(one.span.file).to_owned();
        *counts
            .entry((file, one.code, one.message.replace(char::is_numeric, "")))
            .or_insert(0) += 1;
    }
    counts
}

/// Every problem of a policy and its suites with other texts in some of the files.
fn checked_again(folder: &Path, loaded: &Loaded, texts: &Texts) -> Problems {
    let files = loaded.files.iter().map(|file| {
        let text = texts.get(&file.path);
        let text = text.map_or_else(|| Arc::clone(&file.text), |text| text.as_str().into());
        (file.path.as_str(), text)
    });
    let mut again = policy::load_texts(files);
    all_suites_over(folder, &mut again, texts);
    again.problems
}
