//! Attempts to run for ever, to grow without end and to get out, and what comes of each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::diag::{Problems, Span};
use crate::script::tests::{NoEvent, Nothing};
use crate::script::{Reference, Scripts, sandbox};

/// What is said of a script whose function `f` has this body: when it is read, or when it runs.
fn attempt(body: &str) -> String {
    let text = format!("fn f(event) {{ {body} }}");
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
    let function = scripts.function(&reference, "event", &mut problems);
    let function = function.expect("it was read");
    match function.call(function.event(Arc::new(NoEvent))) {
        Ok(answer) => format!("{} {answer}", answer.type_name()),
        Err(failure) => format!("run: {}", failure.message),
    }
}

const LONG: &str = "not done after 50000 operations";
const LISTS: &str = "lists of more than 512 elements";
const MAPS: &str = "maps of more than 256 entries";
const TEXTS: &str = "texts of more than 32 KiB";
const DEEP: &str = "read: expression exceeds maximum complexity";
const PART: &str = "a part of a value";

/// Whose end is a limit of time, size or depth, or which is not read.
#[rustfmt::skip]
const BOMBS: &[(&str, &str)] = &[
    // without end
    ("loop {}", LONG),
    ("while true {}", LONG),
    ("for i in 0..9223372036854775807 {}", LONG),
    ("for i in range(0.0, 1e300, 1e-300) {}", LONG),
    ("try { loop {} } catch { }", LONG),
    ("[1].filter(|x| { loop {} })", LONG),
    ("let a = []; a.pad(500, 1); loop { a.filter(|x| x > 0); }", LONG),
    ("let a = []; a.pad(500, 1); a.filter(|x| { let b = []; b.pad(500, 1); b.filter(|y| { let c = []; c.pad(500, 1); c.filter(|z| true); true }); true })", LONG),
    ("let a = []; a.pad(500, 1); loop { a.sort(|x, y| x - y); }", LONG),
    ("let a = []; a.pad(500, 1); loop { a.index_of(2); }", LONG),
    ("let a = []; a.pad(500, 1); loop { a.dedup(); }", LONG),
    ("let a = []; a.pad(500, 1); let b = a; loop { if a == b {} }", LONG),
    ("f(event)", "more than 8 functions have called each other"),
    ("let g = |g| g.call(g); g.call(g)", "more than 8 functions have called each other"),
    // growing texts
    ("let s = \"a\"; loop { s += s; }", TEXTS),
    ("let s = \"a\"; loop { s = `${s}${s}`; }", TEXTS),
    ("let s = \"a\"; loop { try { s += s; } catch { } }", TEXTS),
    ("let s = \"a\"; s.pad(1000000000, 'x');", TEXTS),
    ("let s = \"aaaaaaaa\"; loop { s.replace(\"a\", s); }", TEXTS),
    ("let s = \"\"; s.pad(30000, 'a'); s.replace(\"a\", s);", TEXTS),
    ("let s = \"\"; s.pad(30000, 'a'); s.replace('a', s);", TEXTS),
    // growing lists
    ("let a = []; loop { a.push(1); }", LISTS),
    ("let a = []; loop { push(a, 1); }", LISTS),
    ("let a = [1]; loop { a += a; }", LISTS),
    ("let a = []; a.pad(1000000000, 1);", LISTS),
    ("let a = []; loop { a = [a]; }", LISTS),
    ("let s = \"\"; s.pad(30000, 'a'); loop { try { s.to_chars() } catch { } }", LISTS),
    ("let a = []; a.pad(500, 1); loop { let b = []; try { b.pad(500, a) } catch { } }", LISTS),
    ("let a = [1]; loop { a = [a, a]; }", LISTS),
    ("let s = \"x\"; s.pad(30000, 'x'); let a = []; loop { a.push(s + a.len()); }", TEXTS),
    ("let s = \"x\"; s.pad(30000, 'x'); s.to_chars()", LISTS),
    ("let a = [1]; loop { a[0] = a; }", PART),
    ("let a = [\"x\"]; loop { a[0] += a[0]; }", PART),
    ("let a = [[]]; loop { a[0].push(1); }", PART),
    ("let a = #{a: []}; loop { a.a.push(1); }", PART),
    ("let a = [[]]; loop { push(a[0], 1); }", LONG),
    ("let a = [[], []]; a.for_each(|| this.push(1));", PART),
    // growing maps
    ("let m = #{}; let i = 0; loop { m.set(`k${i}`, i); i += 1; }", MAPS),
    ("let m = #{}; let i = 0; loop { m[`k${i}`] = i; i += 1; }", PART),
    ("let m = #{}; loop { m = #{a: m, b: m}; }", MAPS),
    ("let m = #{}; loop { m = #{a: m}; }", MAPS),
    // functions that hold what is around them
    ("let x = 1; let g = || x; g.call()", "read: there is no variable `x`"),
    ("let g = |x| x; loop { g = g.curry(g); }", "read: scripts have no `curry`"),
    // out of the sandbox
    ("eval(\"1\")", "read: scripts have no `eval`"),
    ("Fn(\"eval\").call(\"1\")", "read: scripts have no `Fn`"),
    ("\"eval\".call(\"1\")", "data type incorrect: a text (expecting a function)"),
    ("import \"x\" as y;", "read: scripts have no `import`"),
    ("export f;", "read: scripts have no `export`"),
    ("print(1)", "read: scripts have no `print`"),
    ("debug(1)", "read: scripts have no `debug`"),
    ("sleep(2)", "read: there is no function `sleep`"),
    ("timestamp()", "read: there is no function `timestamp`"),
    ("rand()", "read: there is no function `rand`"),
    ("open_file(\"/etc/passwd\")", "read: there is no function `open_file`"),
    ("parse_json(\"{}\")", "read: there is no function `parse_json`"),
    ("blob(1000000000)", "read: there is no function `blob`"),
    ("exit()", "read: there is no function `exit`"),
    ("this.x", "`this` not bound"),
    // arithmetic
    ("2 ** 100000", "exponential overflow"),
    ("9223372036854775807 + 1", "addition overflow"),
    ("(-9223372036854775807 - 1) / -1", "division overflow"),
    ("1 % 0", "modulo division by zero"),
    // what goes into values inside each other
    ("let a = []; for i in 0..500 { a = [a]; } let b = []; for i in 0..500 { b = [b]; } a == b", "bool true"),
    ("let a = #{}; for i in 0..250 { a = #{a: a}; } let b = #{}; for i in 0..250 { b = #{a: b}; } a == b", "bool true"),
    ("let a = []; for i in 0..500 { a = [a]; } a.to_string().len()", "i64 1002"),
    ("let a = []; for i in 0..500 { a = [a]; } `${a}`.len()", "i64 1002"),
    ("let a = []; for i in 0..200 { a = [a]; } let b = [a, a]; b.dedup(); b.len()", "i64 1"),
    ("let a = []; for i in 0..200 { a = [a]; } a in [a]", "bool true"),
    ("let a = #{}; for i in 0..250 { a = #{a: a}; } a.to_json().len()", "i64 1502"),
];

/// Texts that are long or deep: a part, how often it stands there, and what is said of it.
#[rustfmt::skip]
const REPEATED: &[(&str, &str, usize, &str, &str)] = &[
    ("", "(", 5_000, "", DEEP),
    ("", "[", 5_000, "", DEEP),
    ("", "{", 5_000, "", DEEP),
    ("", "!", 5_000, "", DEEP),
    ("", "1+", 9_000, "1", DEEP),
    ("", "true&&", 9_000, "true", DEEP),
    ("let a = 1; a", ".x", 9_000, "", DEEP),
    ("let a = 1; a", "[0]", 9_000, "", DEEP),
    ("", "f(", 5_000, "", DEEP),
    ("", "`${", 5_000, "", DEEP),
    ("", "if true {} else ", 3_000, "{}", DEEP),
    ("", "while true { ", 3_000, "", DEEP),
    ("", "switch 1 { 1 => ", 3_000, "", DEEP),
    ("/*", "/*", 20_000, "", "read: expected `}`"),
    ("[", "1,", 2_000, "]", "read: size of array literal exceeds the maximum limit (512)"),
    ("\"", "x", 40_000, "\"", "read: length of string"),
    ("", " ", 70_000, "", "read: `bomb.rhai` is larger than 64 KiB"),
    ("} ", "fn g() {} ", 1, "fn h() { f(1)", "() "),
];

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

/// What takes long, and so many rounds of it that are too long for one call: none of them
/// would be where each function was one operation.
#[rustfmt::skip]
const SLOW: &[(&str, usize)] = &[
    ("let t = s; t.pad(32000, \"b\")", 60),
    ("let t = s; t.pad(32000, 'b'); t.crop(0, 1)", 40),
    ("let t = s; t.truncate(1)", 80),
    ("let t = s; t.make_upper()", 80),
    ("let t = s; t.remove(\"a\")", 80),
    ("let t = s; t.replace(\"a\", \"c\")", 80),
    ("let t = s - \"a\"", 80),
    ("let t = s; t -= \"a\"", 80),
    ("let t = s + \"a\"", 80),
    ("let t = s; t += \"a\"", 80),
    ("s.to_upper()", 80),
    ("s.to_lower()", 80),
    ("s.index_of(\"b\")", 80),
    ("s.contains(\"b\")", 80),
    ("\"b\" in s", 80),
    ("s.len()", 80),
    ("s.sub_string(1)", 80),
    ("s.sub_string(1..9)", 80),
    ("s.get(29000)", 80),
    ("s.split(\"b\")", 80),
    ("s.split_rev(\"b\")", 80),
    ("s.chars(1, 2)", 80),
    ("s.similarity(s)", 20),
    ("s.like(\"*b*b*b*b*b*b*b*b\")", 80),
    ("l.like(\"*b*b*b*b*b*b*b*b\")", 80),
    ("cidr(s, \"10.0.0.0/8\")", 80),
    ("number(s)", 80),
    ("hour(s)", 80),
    ("minute(s)", 80),
    ("weekday(s)", 80),
    ("seconds_between(s, s)", 80),
    ("distance_km(s, s, s, s)", 80),
    ("list(\"l\").has(\"a\")", 80),
    ("list(\"l\").has(s)", 1),
    ("[s].to_string()", 80),
    ("[s] == [s]", 80),
    ("l.to_string()", 1_500),
    ("l + []", 2_000),
    ("l.extract(0)", 2_000),
    ("l.sort(|a, b| a - b)", 20),
    ("l.order(|a, b| a - b)", 20),
];

#[test]
fn what_takes_long_costs_more_than_one_operation() {
    let mut wrong = Vec::new();
    for (body, rounds) in SLOW {
        let said = attempt(&format!(
            "let s = \"\"; s.pad(30000, 'a'); let l = []; l.pad(500, 1); for i in 0..{rounds} {{ {body}; }} 1"
        ));
        if !said.contains(LONG) {
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
