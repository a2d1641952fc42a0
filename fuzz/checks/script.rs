//! Scripts.

use std::sync::Arc;

use rulectl::detect::{Answers, Lists};
use rulectl::diag::{Problems, Span};
use rulectl::event::Time;
use rulectl::script::{FindingFacts, Reference, Scripts, Source, Value, WindowView};

/// A script is read or reported, problems stand inside the file, and each function ends within
/// its limits, with the same answer when it is asked again.
pub fn script(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let mut problems = Problems::default();
    let file = problems.add_file("rules/x.rhai", text);
    let mut lists = Lists::default();
    let listed = "192.0.2.*\nann*\n";
    let list = problems.add_file("rules/lists/office.txt", listed);
    lists.add("office.txt", list, listed, &mut problems);
    let mut scripts = Scripts::new(Arc::new(Answers::new(Arc::new(lists))));
    scripts.add("x.rhai", file, text, &mut problems);
    for name in ["f", "g", "h", "matches"] {
        let reference = Reference {
            file: "x.rhai".to_owned(),
            function: name.to_owned(),
            span: Span {
                file,
                start: 0,
                end: 0,
            },
        };
        let mut missing = Problems::default();
        let missing_file = missing.add_file("rules/x.rhai", text);
        assert_eq!(missing_file, file);
        let Some(function) = scripts.function(&reference, "event", &mut missing) else {
            continue;
        };
        let event = function.event(Arc::new(AnEvent));
        assert_eq!(
            function.holds(event.clone()),
            function.holds(event.clone()),
            "{text}"
        );
        let window = WindowView {
            count: 3,
            events: vec![event; 3].into(),
        };
        // Whatever they say of what they do not expect.
        let _ = function.judge(window, false);
        let _ = function.describe(FindingFacts::default());
    }
    for problem in problems.sorted() {
        let (start, end) = (problem.span.start as usize, problem.span.end as usize);
        assert!(start <= end && end <= text.len(), "{problem:?} of {text}");
        assert!(
            text.is_char_boundary(start) && text.is_char_boundary(end),
            "{problem:?} of {text}"
        );
    }
}

/// An event with a value of each kind.
#[derive(Debug)]
struct AnEvent;

impl Source for AnEvent {
    fn time(&self) -> Option<Time> {
        Some(Time(1_772_445_600_000_000_000))
    }

    fn values(&self, field: usize) -> Vec<Value> {
        let text = |text: &str| Value::Text(text.to_owned());
        match field % 6 {
            0 => vec![text("ann@example.com")],
            1 => vec![Value::Int(5)],
            2 => vec![Value::Float(0.5), Value::Bool(true)],
            3 => vec![text("192.0.2.7"), text(""), text("ä\u{0}")],
            4 => vec![text(&"x".repeat(20_000))],
            _ => Vec::new(),
        }
    }

    fn exists(&self, field: usize) -> bool {
        field.is_multiple_of(2)
    }
}
