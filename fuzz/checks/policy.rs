//! The other files of a policy, each beside a small policy that is right, and suites.

use std::cell::RefCell;
use std::fs;
use std::sync::Arc;

use rulectl::diag::{Problems, with_fixes};
use rulectl::geo::Databases;
use rulectl::lab::{Case, Rig, all_suites, run_case};
use rulectl::policy::{Loaded, Policy, load_texts};
use tempfile::TempDir;

use super::rule::show;

/// A policy that is right, by the paths of its files.
pub const GOOD: [(&str, &str); 4] = [
    (
        "prompts/risk.md",
        include_str!("../../tests/diagnostics/good/prompts/risk.md"),
    ),
    (
        "routing.toml",
        include_str!("../../tests/diagnostics/good/routing.toml"),
    ),
    (
        "rules/sign_in.yml",
        include_str!("../../tests/diagnostics/good/rules/sign_in.yml"),
    ),
    (
        "tools.yaml",
        include_str!("../../tests/diagnostics/good/tools.yaml"),
    ),
];

/// A burst of failures, for which the policy has a rule.
const BURST: &str = "suite: s
cases:
  - name: c
    base: {eventType: user.session.start, outcome.result: FAILURE, actor.alternateId: a@example.com, actor.id: 00u1}
    events: [{at: +0m, repeat: 6, every: 1m}]
    expect: {findings: 1}
";

/// Any text in the place of `routing.toml`.
pub fn routing(bytes: &[u8]) {
    with("routing.toml", bytes);
}

/// Any text in the place of `tools.yaml`.
pub fn tools(bytes: &[u8]) {
    with("tools.yaml", bytes);
}

/// Any text in the place of a prompt.
pub fn prompt(bytes: &[u8]) {
    with("prompts/risk.md", bytes);
}

/// A file is read or reported; what is reported can be shown, suppressed and put right, and a
/// policy that is right follows a finding to its end.
fn with(path: &str, bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Loaded {
        policy,
        mut problems,
        ..
    } = good_with(path, text);
    assert_eq!(policy.is_none(), problems.has_errors(), "told or right");
    settle(&mut problems);
    if let Some(policy) = policy {
        let case = cases(BURST).0.remove(0);
        run(&policy, &case);
    }
}

fn good_with(path: &str, text: &str) -> Loaded {
    let files = GOOD.iter().map(|(known, good)| {
        let text = if *known == path { text } else { good };
        (*known, Arc::from(text))
    });
    load_texts(files)
}

/// What comments suppress is taken away, and what can be put right leaves a text.
fn settle(problems: &mut Problems) {
    show(problems);
    let day = "2026-06-01".parse().expect("a day");
    problems.settle(day, |_| true);
    show(problems);
    for (file, fixes) in problems.fixes().0 {
        let (text, mut length) = (problems.text(file), problems.text(file).len());
        for fix in &fixes {
            length = length + fix.text.len() - (fix.span.end - fix.span.start) as usize;
        }
        assert_eq!(with_fixes(text, &fixes).len(), length, "{text}");
    }
}

/// A suite is read or reported, and its cases run over a policy that is right.
pub fn suite(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (cases, mut problems) = cases(text);
    settle(&mut problems);
    if problems.has_errors() {
        return;
    }
    let policy = good_with("", "").policy.expect("it is right");
    let small = cases.iter().filter(|case| is_small(case));
    small.take(4).for_each(|case| run(&policy, case));
}

/// The cases of a suite that is a file of a folder, which is used again and again.
fn cases(text: &str) -> (Vec<Case>, Problems) {
    thread_local! {
        static FOLDER: RefCell<Option<TempDir>> = const { RefCell::new(None) };
    }
    let mut loaded = good_with("", "");
    let suites = FOLDER.with_borrow_mut(|folder| {
        let folder = folder.get_or_insert_with(|| tempfile::tempdir().expect("a folder"));
        let fixtures = folder.path().join("fixtures");
        fs::create_dir_all(&fixtures).expect("made");
        fs::write(fixtures.join("a.test.yml"), text).expect("written");
        all_suites(folder.path(), &mut loaded)
    });
    let cases = suites.into_iter().flat_map(|suite| suite.cases);
    (cases.collect(), loaded.problems)
}

/// How much is made of a few words is bounded, and running all of it takes long.
fn is_small(case: &Case) -> bool {
    match &case.events {
        rulectl::lab::Events::Inline(lines) => lines.len() < 64 << 10,
        rulectl::lab::Events::Question(_) => true,
        rulectl::lab::Events::File(..) => false,
    }
}

fn run(policy: &Policy, case: &Case) {
    let databases = Databases::new(None, None);
    let rig = Rig::new(policy, &databases);
    let result = run_case(&rig, case);
    assert_eq!(result.name, case.name);
}
