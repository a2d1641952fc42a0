//! Tables of scripts.

use crate::event::Time;
use crate::script::{
    FIELD_BYTES, FIELD_VALUES, Outside, Source, Value, WINDOW_EVENTS, definitions,
};

/// Nothing outside of scripts.
pub(super) struct Nothing;

impl Outside for Nothing {
    fn lists(&self) -> Vec<String> {
        vec!["l".to_owned()]
    }
    fn is_listed(&self, _: &str, _: &Value) -> bool {
        false
    }
    fn wildcards(&self, _: &str) -> usize {
        20_000
    }
    fn beside(&self, _: &str, _: &Value, _: &str) -> Result<Option<String>, String> {
        Ok(None)
    }
    fn is_like(&self, _: &Value, _: &str) -> bool {
        false
    }
    fn is_in_network(&self, _: &Value, _: &str) -> Option<bool> {
        Some(false)
    }
    fn distance_km(&self, _: (f64, f64), _: (f64, f64)) -> f64 {
        0.0
    }
}

/// An event without values.
#[derive(Debug)]
pub(super) struct NoEvent;

impl Source for NoEvent {
    fn time(&self) -> Option<Time> {
        None
    }
    fn values(&self, _: usize) -> Vec<Value> {
        Vec::new()
    }
    fn exists(&self, _: usize) -> bool {
        false
    }
}

/// `BLESS=1` rewrites the file.
#[test]
fn the_definition_file_is_that_of_the_host_interface() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rhai/rulectl.d.rhai");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, definitions()).expect("written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == definitions(),
        "docs/rhai/rulectl.d.rhai differs; BLESS=1 rewrites it"
    );
}

/// What the documents promise is what is set.
#[test]
fn the_limits_are_those_of_the_documents() {
    use crate::script::sandbox::*;
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/scripts.md");
    let page = std::fs::read_to_string(path).expect("the page");
    let kib = |bytes: usize| format!("{} KiB", bytes >> 10);
    for (what, limit) in [
        (
            "operations",
            format!("{},{:03}", OPERATIONS / 1_000, OPERATIONS % 1_000),
        ),
        ("functions inside each other", CALL_LEVELS.to_string()),
        (
            "expressions inside each other",
            EXPRESSION_DEPTH.to_string(),
        ),
        ("variables of a function", VARIABLES.to_string()),
        ("text, or all texts of a list or map", kib(TEXT_BYTES)),
        (
            "elements of a list, with those of lists in it",
            LIST_ELEMENTS.to_string(),
        ),
        (
            "entries of a map, with those of maps in it",
            MAP_ENTRIES.to_string(),
        ),
        ("text of a field; a longer one is cut", kib(FIELD_BYTES)),
        ("values of a field", FIELD_VALUES.to_string()),
        ("functions of a script", FUNCTIONS.to_string()),
        ("size of a script", kib(SCRIPT_BYTES)),
    ] {
        let row = format!("| {what} | {limit} |");
        assert!(page.contains(&row), "docs/scripts.md has no row `{row}`");
    }
    assert!(page.contains(&format!("the newest {WINDOW_EVENTS}")));
}
