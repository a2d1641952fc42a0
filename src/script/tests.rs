//! Tables of scripts.

use crate::event::Time;
use crate::script::{Outside, Source, Value, definitions};

/// Nothing outside of scripts.
pub(super) struct Nothing;

impl Outside for Nothing {
    fn lists(&self) -> Vec<String> {
        Vec::new()
    }
    fn is_listed(&self, _: &str, _: &Value) -> bool {
        false
    }
    fn is_like(&self, _: &Value, _: &str) -> bool {
        false
    }
    fn is_in_network(&self, _: &Value, _: &str) -> Option<bool> {
        None
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
