//! The seeds of the fuzz targets, through the same checks: see `fuzz/README.md`.

#[path = "../../fuzz/checks/lib.rs"]
mod checks;

use std::fs;

use crate::harness::root;

/// Asks a check about every seed of its target.
#[track_caller]
fn replay(target: &str, check: fn(&[u8])) {
    let folder = root().join("fuzz/seeds").join(target);
    let mut seeds = 0;
    for entry in fs::read_dir(folder).expect("seeds") {
        let path = entry.expect("an entry").path();
        let seed = fs::read(&path).expect("a seed");
        let holds = std::panic::catch_unwind(|| check(&seed)).is_ok();
        assert!(holds, "{}", path.display());
        seeds += 1;
    }
    assert!(seeds > 20, "{seeds} seeds of {target}");
}

#[test]
fn rule_files() {
    replay("rule", checks::rule);
}

#[test]
fn routing() {
    replay("routing", checks::routing);
}

#[test]
fn tools() {
    replay("tools", checks::tools);
}

#[test]
fn prompts() {
    replay("prompt", checks::prompt);
}

#[test]
fn suites() {
    replay("suite", checks::suite);
}

#[test]
fn segments() {
    replay("audit", checks::audit);
}

#[test]
fn layouts() {
    replay("layout", checks::layout);
}

#[test]
fn editors() {
    replay("editor", checks::editor);
}

#[test]
fn conditions() {
    replay("condition", checks::condition);
}

#[test]
fn inputs() {
    replay("event", checks::event);
}

#[test]
fn texts_that_hold_values() {
    replay("inside", checks::inside);
}

#[test]
fn lists() {
    replay("lists", checks::lists);
}

#[test]
fn databases() {
    replay("mmdb", checks::mmdb);
}

#[test]
fn scripts() {
    replay("script", checks::script);
}

#[test]
fn replies() {
    replay("reply", checks::reply);
}

#[test]
fn answers_of_okta() {
    replay("okta", checks::okta);
}

#[test]
fn paths() {
    replay("path", checks::path);
}

/// They are written anew with `BLESS=1`: a state of rules that do something else now tries little.
#[test]
fn saved_states() {
    let folder = root().join("fuzz/seeds/state");
    for events in (0..24).chain([120]) {
        let (path, state) = (
            folder.join(format!("{events}.state")),
            checks::made_up_state(events),
        );
        if std::env::var_os("BLESS").is_some() {
            fs::create_dir_all(&folder).expect("a folder");
            fs::write(&path, &state).expect("written");
        }
        assert!(
            fs::read(&path).expect("a seed") == state,
            "{}",
            path.display()
        );
    }
    replay("state", checks::state);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 150, failure_persistence: None, ..Default::default() })]

    /// A state that was changed somewhere, under the digest that it has then.
    #[test]
    fn damaged_states(events in 0..120_i64, damage in proptest::collection::vec((0.0..1.0_f64, 0..=255_u8), 1..4)) {
        let mut state = checks::made_up_state(events);
        for (place, byte) in damage {
            let at = (place * state.len() as f64) as usize;
            state[at] = byte;
        }
        checks::state(&state);
    }
}

/// What must hold of the bytes of a file.
type Check = fn(&[u8]);

/// The targets of whole files, and what checks them.
const FILES: [(&str, Check); 5] = [
    ("routing", checks::routing),
    ("tools", checks::tools),
    ("prompt", checks::prompt),
    ("suite", checks::suite),
    ("rule", checks::rule),
];

/// What a damaged file may have somewhere.
const ODD: [&str; 14] = [
    "# rulectl:allow RL0150 until 2026-12-31: x\n",
    " # rulectl:allow ",
    "\u{feff}",
    "\u{202e}",
    "\r\n",
    "&a [*a]",
    "9999999999999999999",
    "-1",
    "[[",
    "{{",
    "\"\"\"",
    ": ",
    ".a.a.a.a.a.a.a.a",
    "null",
];

/// The seeds of a target, in the order of their names.
fn seeds(target: &str) -> Vec<String> {
    let folder = fs::read_dir(root().join("fuzz/seeds").join(target)).expect("seeds");
    let mut paths: Vec<_> = folder
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    let texts = paths.iter().map(|path| fs::read(path).expect("a seed"));
    texts
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .collect()
}

/// A place in a text, from its beginning, 0.0, to its end, 1.0.
fn place(text: &str, at: f64) -> usize {
    let at = (at * text.len() as f64) as usize;
    let mut before = (0..=at).rev();
    before
        .find(|at| text.is_char_boundary(*at))
        .expect("0 is one")
}

/// A text with a part of another one, or an odd word, in the place of a part of its own.
fn damaged(text: &str, other: &str, [from, to, start, end]: [f64; 4]) -> String {
    let (from, to) = (place(text, from.min(to)), place(text, from.max(to)));
    let part = &other[place(other, start.min(end))..place(other, start.max(end))];
    [&text[..from], part, &text[to..]].concat()
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: damages(), failure_persistence: None, ..Default::default() })]

    /// Files that were cut and put together in odd ways.
    #[test]
    fn damaged_files(
        target in 0..FILES.len(),
        (one, other) in (0..1_000_usize, 0..1_000_usize),
        cuts in proptest::collection::vec(proptest::array::uniform4(0.0..=1.0_f64), 1..4),
        odd in proptest::collection::vec((0..ODD.len(), 0.0..=1.0_f64), 0..4),
    ) {
        let (name, check) = FILES[target];
        let all = seeds(name);
        let (one, other) = (&all[one % all.len()], &all[other % all.len()]);
        // Most cuts are short: what is torn apart says little.
        let cuts = cuts.into_iter().map(|[from, to, start, end]| {
            [from, from + (to - from) * 0.1, start, start + (end - start) * 0.2]
        });
        let mut text = cuts.fold(one.clone(), |text, cut| damaged(&text, other, cut));
        for (word, at) in odd {
            let at = place(&text, at);
            text.insert_str(at, ODD[word]);
        }
        check(text.as_bytes());
    }
}

/// How many files are damaged: `RULECTL_CASES` says more, for a long run by hand.
fn damages() -> u32 {
    let asked = std::env::var("RULECTL_CASES").ok();
    asked.and_then(|cases| cases.parse().ok()).unwrap_or(120)
}
