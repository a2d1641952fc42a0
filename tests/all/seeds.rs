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
fn paths() {
    replay("path", checks::path);
}
