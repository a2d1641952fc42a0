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
