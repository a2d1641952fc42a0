//! How long one call of a script can take before its operations are spent:
//! `cargo bench --bench scripts`, or those with a text in them by `-- 'let b'`; the slowest first.
//!
//! What bad scripts try is what `src/script/bombs.rs` tests. What costs little beside what it
//! takes is done again and again until the call ends.

#![expect(clippy::print_stdout, reason = "what was measured is shown")]

#[path = "../src/script/bombs/attempts.rs"]
mod attempts;

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use rulectl::detect::{Answers, Lists};
use rulectl::diag::{Problems, Span};
use rulectl::event::Time;
use rulectl::script::{
    FIELD_VALUES, FindingFacts, Function, Reference, Scripts, Source, Value, WINDOW_EVENTS,
    WindowView,
};

use crate::attempts::{
    BOMBS, DEEP, HEAVY, LARGE, LISTS, LONG, MAPS, OF_FINDING, OF_WINDOW, PART, REPEATED, SLOW,
    TEXTS,
};

/// How often each call is made; the shortest time counts, since others use the machine too.
const ROUNDS: u32 = 3;

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let wanted = |body: &str| {
        let mut words = asked
            .iter()
            .filter(|word| !word.starts_with("--"))
            .peekable();
        words.peek().is_none() || words.any(|word| body.contains(word.as_str()))
    };
    let mut taken: Vec<(Duration, String, String)> = attempts()
        .into_iter()
        .filter(|(shown, _)| wanted(shown))
        .filter_map(|(shown, text)| measured(&text).map(|(took, end)| (took, end, shown)))
        .collect();
    taken.sort_by_key(|(took, ..)| std::cmp::Reverse(*took));
    let ends = [LONG, TEXTS, LISTS, MAPS, PART, DEEP];
    println!(
        "{} calls; milliseconds, how it ended, what was done",
        taken.len()
    );
    for (took, end, shown) in taken {
        let end = ends
            .into_iter()
            .find(|known| end.contains(known))
            .unwrap_or(&end);
        let (end, shown) = (clipped(end, 40), clipped(&shown, 90));
        println!("{:8.1}  {end:40}  {shown}", took.as_secs_f64() * 1e3);
    }
}

fn clipped(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

/// What is shown of each attempt, and the script.
fn attempts() -> Vec<(String, String)> {
    let of_event = |body: &str| format!("fn g(x) {{ x }} fn f(event) {{ {body} }}");
    let bombs = BOMBS.iter().map(|(body, _)| (*body).to_owned());
    let repeated = REPEATED
        .iter()
        .map(|(before, part, times, after, _)| format!("{before}{}{after}", part.repeat(*times)));
    let whole = bombs
        .chain(repeated)
        .map(|body| (body.clone(), of_event(&body)));
    let slow = SLOW.iter().map(|(body, _)| format!("{body};"));
    let heavy = slow.chain(HEAVY.iter().map(|body| (*body).to_owned()));
    let again = |body: &str, before: &str| format!("{LARGE} let b = 0; {before} loop {{ {body} }}");
    let heavy = heavy.map(|body| (body.clone(), of_event(&again(&body, ""))));
    let of_window = OF_WINDOW.iter().map(|body| {
        let text = again(body, "let e = window.events;");
        ((*body).to_owned(), format!("fn f(window) {{ {text} }}"))
    });
    let of_finding = OF_FINDING.iter().map(|body| {
        (
            (*body).to_owned(),
            format!("fn f(finding) {{ {} }}", again(body, "")),
        )
    });
    whole
        .chain(heavy)
        .chain(of_window)
        .chain(of_finding)
        .collect()
}

/// The shortest time of a call, and how it ended; none of what is no script.
fn measured(text: &str) -> Option<(Duration, String)> {
    let function = function(text)?;
    let timed = |_| {
        let begun = running();
        let said = called(&function, text);
        (running().saturating_sub(begun), said)
    };
    (0..ROUNDS).map(timed).min_by_key(|(took, _)| *took)
}

/// How long this thread has run, so that what else the machine does counts little; where the
/// system does not say so, how long the program is there.
fn running() -> Duration {
    static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = told.and_then(|told| told.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| BEGUN.elapsed(), Duration::from_nanos)
}

fn called(function: &Function, text: &str) -> String {
    if text.starts_with("fn f(window)") {
        let full = full(function);
        let events = (0..WINDOW_EVENTS).map(|_| function.event(Arc::clone(&full) as _));
        let (count, events) = (WINDOW_EVENTS as u64, events.collect());
        let said = function.judge(WindowView { count, events }, false);
        return said.map_or_else(|why| why.message, |said| format!("{said:?}"));
    }
    if text.starts_with("fn f(finding)") {
        let said = function.describe(finding());
        return said.map_or_else(|why| why.message, |said| format!("{said:?}"));
    }
    let said = function.holds(function.event(full(function)));
    said.map_or_else(|why| why.message, |said| said.to_string())
}

fn function(text: &str) -> Option<Function> {
    let mut problems = Problems::default();
    let mut lists = Lists::default();
    let listed: String = (0..20_000).map(|at| format!("a{at}*b\n")).collect();
    let file = problems.add_file("rules/lists/l.txt", &listed);
    lists.add("l.txt", file, &listed, &mut problems);
    let mut scripts = Scripts::new(Arc::new(Answers::new(Arc::new(lists))));
    let file = problems.add_file("rules/bomb.rhai", text);
    scripts.add("bomb.rhai", file, text, &mut problems);
    let (start, end) = (0, 0);
    let reference = Reference {
        file: "bomb.rhai".to_owned(),
        function: "f".to_owned(),
        span: Span { file, start, end },
    };
    scripts.function(&reference, "event", &mut problems)
}

/// An event with as much as there may be: a field `many` with many values, and `long` with a
/// long one.
#[derive(Debug)]
struct Full {
    values: Vec<Vec<Value>>,
}

fn full(function: &Function) -> Arc<Full> {
    let many: Vec<Value> = (0..FIELD_VALUES)
        .map(|at| Value::Text(at.to_string()))
        .collect();
    let long = vec![Value::Text("a".repeat(64 << 10))];
    let of = |name: &str| {
        if name == "many" {
            many.clone()
        } else {
            long.clone()
        }
    };
    let values = function.fields().iter().map(|(name, _)| of(name)).collect();
    Arc::new(Full { values })
}

impl Source for Full {
    fn time(&self) -> Option<Time> {
        Time::parse("2026-03-02T22:15:00.123Z")
    }

    fn values(&self, field: usize) -> Vec<Value> {
        self.values.get(field).cloned().unwrap_or_default()
    }

    fn exists(&self, _: usize) -> bool {
        true
    }

    fn rules(&self) -> Vec<&str> {
        vec!["a rule of the correlation"; 64]
    }
}

fn finding() -> FindingFacts {
    let values: Vec<String> = (0..10).map(|at| format!("{at:0512}")).collect();
    FindingFacts {
        summary: "a".repeat(512),
        first_seen: Time::parse("2026-03-02T22:15:00.123Z"),
        reasons: vec!["selection: eventType: user.session.start".to_owned(); 200],
        group: [("many".to_owned(), "a".repeat(512))].into(),
        metadata: [("many".to_owned(), values)].into(),
        ..FindingFacts::default()
    }
}
