//! Attempts to run for ever, to grow without end and to get out, and what comes of each.

mod attempts;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::diag::{Problems, Span};
use crate::script::bombs::attempts::{
    BOMBS, HEAVY, LARGE, LONG, OF_FINDING, OF_WINDOW, REPEATED, SLOW,
};
use crate::script::tests::{NoEvent, Nothing};
use crate::script::{
    FindingFacts, FindingView, Reference, Scripts, WINDOW_EVENTS, WindowView, sandbox,
};

/// What is said of a script whose function `f` has this body: when it is read, or when it runs.
fn attempt(body: &str) -> String {
    attempt_on("event", body)
}

/// The same where the function is given an event, a window or a finding.
fn attempt_on(given: &str, body: &str) -> String {
    let text = format!("fn g(x) {{ x }} fn f({given}) {{ {body} }}");
    let mut problems = Problems::default();
    let file = problems.add_file("bomb.rhai", &text);
    let mut scripts = Scripts::new(Arc::new(Nothing));
    scripts.add("bomb.rhai", file, &text, &mut problems);
    if let Some(problem) = problems.sorted().first() {
        return format!("read: {}", problem.message);
    }
    let reference = Reference {
        file: "bomb.rhai".to_owned(),
        function: "f".to_owned(),
        span: Span {
            file,
            start: 0,
            end: 0,
        },
    };
    let function = scripts.function(&reference, given, &mut problems);
    let function = function.expect("it was read");
    let event = function.event(Arc::new(NoEvent));
    let answer = match given {
        "window" => function.call(WindowView {
            count: WINDOW_EVENTS as u64,
            events: vec![event; WINDOW_EVENTS].into(),
        }),
        "finding" => function.call(FindingView(Arc::new(FindingFacts::default()))),
        _ => function.call(event),
    };
    match answer {
        Ok(answer) => format!("{} {answer}", answer.type_name()),
        Err(failure) => format!("run: {}", failure.message),
    }
}

/// With the stack that a scanning thread has: what takes more ends the program.
fn attempted(body: &str) -> (String, Duration) {
    let begun = Instant::now();
    let body = body.to_owned();
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    let said = thread
        .spawn(move || attempt(&body))
        .expect("a thread")
        .join();
    (said.expect("no panic"), begun.elapsed())
}

#[test]
fn every_attempt_ends_within_its_limits() {
    let written = BOMBS.iter().map(|(body, end)| ((*body).to_owned(), *end));
    let repeated = REPEATED.iter().map(|(before, part, times, after, end)| {
        (format!("{before}{}{after}", part.repeat(*times)), *end)
    });
    for (body, end) in written.chain(repeated) {
        let (said, took) = attempted(&body);
        let shown: String = body.chars().take(80).collect();
        assert!(said.contains(end), "{shown}\n{said}\nexpected: {end}");
        assert!(took < Duration::from_secs(20), "{shown} took {took:?}");
    }
}

#[test]
fn functions_of_one_script_are_limited() {
    let functions: String = (0..=sandbox::FUNCTIONS)
        .map(|at| format!("fn g{at}() {{}} "))
        .collect();
    let (said, _) = attempted(&format!("}} {functions} fn h() {{"));
    assert!(said.contains("number of functions"), "{said}");
}

#[test]
fn variables_of_one_function_are_limited() {
    let variables: String = (0..=sandbox::VARIABLES)
        .map(|at| format!("let a{at} = 1; "))
        .collect();
    assert_eq!(attempt(&variables), "run: more than 32 variables");
}

/// The end is the same in each build and on each machine, so that a result is.
#[test]
fn the_end_is_decided_by_operations_alone() {
    let counted = "let n = 0; for i in 0..100000 { n += 1; } n";
    let done = |rounds: u32| attempt(&counted.replace("100000", &rounds.to_string()));
    let most = (1..50_000)
        .rev()
        .step_by(1_000)
        .find(|rounds| done(*rounds).starts_with("i64"));
    let most = most.expect("a few rounds are done");
    assert_eq!(done(most), done(most));
    assert!(done(most + 1_000).contains(LONG));
}

#[test]
fn what_takes_long_costs_more_than_one_operation() {
    let mut wrong = Vec::new();
    for (body, rounds) in SLOW {
        let said = attempt(&format!("{LARGE} for i in 0..{rounds} {{ {body}; }} 1"));
        if !said.contains(LONG) {
            wrong.push(format!("{body}: {said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What the bench does again and again can be done.
#[test]
fn what_is_measured_works() {
    let heavy = HEAVY.iter().map(|body| ("event", "", *body));
    let of_window = OF_WINDOW.iter();
    let of_window = of_window.map(|body| ("window", "let e = window.events;", *body));
    let of_finding = OF_FINDING.iter().map(|body| ("finding", "", *body));
    let mut wrong = Vec::new();
    for (given, before, body) in heavy.chain(of_window).chain(of_finding) {
        let said = attempt_on(given, &format!("{LARGE} let b = 0; {before} {body} 1"));
        if said != "i64 1" {
            wrong.push(format!("{body}: {said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A failure is not an answer of a comparison, whose end would be an order that nobody asked for.
#[test]
fn what_fails_in_a_function_that_is_handed_over_fails_around_it() {
    let mut wrong = Vec::new();
    for method in [
        "sort",
        "sort_by",
        "order",
        "order_by",
        "dedup",
        "reduce",
        "reduce_rev",
    ] {
        for body in ["p.a - q.a", "throw \"x\"", "p.a < q.a"] {
            let script = format!(
                "let x = [#{{a: 1}}, #{{}}, #{{}}]; x.{method}(|p, q| {{ {body} }}); x.len() == 3"
            );
            wrong.push((script.clone(), attempt(&script)));
        }
    }
    for method in [
        "filter", "map", "for_each", "some", "all", "find", "find_map", "index_of", "drain",
        "retain",
    ] {
        let script = format!("let x = [1]; x.{method}(|p| {{ throw \"x\" }}); true");
        wrong.push((script.clone(), attempt(&script)));
    }
    for method in ["filter", "map", "drain", "retain"] {
        let script = format!("let x = #{{a: 1}}; x.{method}(|p| {{ throw \"x\" }}); true");
        wrong.push((script.clone(), attempt(&script)));
    }
    wrong.retain(|(_, said)| !said.starts_with("run: "));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_is_sorted_is_in_order() {
    let cases = [
        (
            "let x = [3, 1, 2]; x.sort(|p, q| p - q); x.to_string()",
            "[1, 2, 3]",
        ),
        (
            "let x = [3, 1, 2]; x.sort_by(|p, q| q < p); x.to_string()",
            "[3, 2, 1]",
        ),
        (
            "let x = [0.3, 0.1]; x.order(|p, q| p - q).to_string()",
            "[0.1, 0.3]",
        ),
        (
            "let x = [[1, 1], [0, 2], [1, 3]]; x.sort(|p, q| p[0] - q[0]); x.to_string()",
            "[[0, 2], [1, 1], [1, 3]]",
        ),
        (
            "let x = [1, 3, 2]; x.dedup(|p, q| p % 2 == q % 2); x.to_string()",
            "[1, 2]",
        ),
        ("let x = [2, 1]; x.sort(); x.to_string()", "[1, 2]"),
    ];
    for (body, expected) in cases {
        assert_eq!(attempt(body), format!("string {expected}"), "{body}");
    }
    let said = attempt("let x = [2, 1]; x.sort(|p, q| ()); x");
    assert_eq!(
        said,
        "run: a function that compares says a number, or `true` or `false`"
    );
}

/// It would be `false`, and a rule would never match.
#[test]
fn nothing_is_not_more_or_less_than_something() {
    for order in ["<", "<=", ">", ">="] {
        for value in ["3", "0.5", "\"a\"", "'a'", "true", "()"] {
            for script in [
                format!("let x = (); x {order} {value}"),
                format!("let x = (); {value} {order} x"),
            ] {
                let said = attempt(&script);
                assert!(
                    said.starts_with(&format!("run: `{order}` of `()`")),
                    "{script}: {said}"
                );
            }
        }
    }
    assert_eq!(attempt("let x = (); x == 3 || x != ()"), "bool false");
}

#[test]
fn a_failure_names_types_as_the_documents_do() {
    for (body, expected) in [
        (
            "let x = \"a\"; x * 2",
            "there is no function `* (a text, a number)`",
        ),
        ("event - 1", "there is no function `- (an event, a number)`"),
        ("let x = 1; x.foo", "a number has no property `foo`"),
        ("event.foo", "an event has no property `foo`"),
        (
            "list(\"l\").foo",
            "a list of `rules/lists` has no property `foo`",
        ),
        ("() + 1", "there is no function `+ ((), a number)`"),
        (
            "let x = 1; if x {}",
            "data type incorrect: a number (expecting true or false)",
        ),
        (
            "[1, \"a\"].sort()",
            "elements of different types cannot be sorted",
        ),
        (
            "let m = [#{}, #{}]; m.sort()",
            "elements of a map cannot be sorted",
        ),
        (
            "[1].map(1)",
            "there is no function `map (a list, a number)`",
        ),
    ] {
        let said = attempt(body);
        assert_eq!(said, format!("run: {expected}"), "{body}");
    }
}
