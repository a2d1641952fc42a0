//! What bad scripts try, as data: the tests say what comes of each attempt, and
//! `benches/scripts.rs` how long it takes.

pub const LONG: &str = "not done after 50000 operations";
pub const LISTS: &str = "lists of more than 512 elements";
pub const MAPS: &str = "maps of more than 256 entries";
pub const TEXTS: &str = "texts of more than 32 KiB";
pub const DEEP: &str = "read: expression exceeds maximum complexity";
pub const PART: &str = "a part of a value";

/// Whose end is a limit of time, size or depth, or which is not read.
#[rustfmt::skip]
pub const BOMBS: &[(&str, &str)] = &[
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
    // copying
    ("let a = []; a.pad(511, 1); loop { let b = a; }", LONG),
    ("let a = []; a.pad(511, []); loop { let b = a; }", LONG),
    ("let a = []; a.pad(511, \"x\"); loop { let b = [a]; }", LONG),
    ("let a = []; a.pad(511, []); loop { g(a); }", LONG),
    ("let a = []; a.pad(500, []); a.reduce(|b, x| b, a); loop {}", LONG),
    ("let a = []; a.pad(511, []); loop { for x in a { break; } }", LONG),
    ("let m = #{}; let k = \"\"; k.pad(9999, 'k'); for i in 0..255 { m.set(k + i, i); } loop { let b = m; }", LONG),
    ("let s = \"\"; s.pad(32000, 'x'); loop { let b = `${s}`; }", LONG),
    ("let s = \"\"; s.pad(32000, 'x'); loop { let b = `${[s]}`; }", LONG),
    ("let s = \"\"; s.pad(32000, 'x'); loop { for x in s { break; } }", LONG),
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
    ("let a = []; loop { a = [a]; }", LONG),
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
    ("let a = [[], []]; a.for_each(|| this.push(1));", "read: scripts have no `this`"),
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
    ("\"a\".chars()", "read: scripts have no `chars`"),
    ("throw [1]", "read: `throw` takes a text in quotes"),
    ("let a = [1]; throw a", "read: `throw` takes a text in quotes"),
    ("throw `${1} is too many`", "run: 1 is too many"),
    ("this.x", "read: scripts have no `this`"),
    // arithmetic
    ("2 ** 100000", "exponential overflow"),
    ("9223372036854775807 + 1", "addition overflow"),
    ("(-9223372036854775807 - 1) / -1", "division overflow"),
    ("1 % 0", "modulo division by zero"),
    // what goes into values inside each other
    ("let a = []; for i in 0..500 { a = [a]; } let b = a; a == b", "bool true"),
    ("let a = #{}; for i in 0..250 { a = #{a: a}; } let b = a; a == b", "bool true"),
    ("let a = []; for i in 0..500 { a = [a]; } a.to_string().len()", "i64 1002"),
    ("let a = []; for i in 0..500 { a = [a]; } `${a}`.len()", "i64 1002"),
    ("let a = []; for i in 0..200 { a = [a]; } let b = [a, a]; b.dedup(); b.len()", "i64 1"),
    ("let a = []; for i in 0..200 { a = [a]; } a in [a]", "bool true"),
    ("let a = #{}; for i in 0..250 { a = #{a: a}; } a.to_json().len()", "i64 1502"),
];

/// Texts that are long or deep: a part, how often it stands there, and what is said of it.
#[rustfmt::skip]
pub const REPEATED: &[(&str, &str, usize, &str, &str)] = &[
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

/// What takes long, and so many rounds of it that are too long for one call: none of them
/// would be where each function was one operation.
#[rustfmt::skip]
pub const SLOW: &[(&str, usize)] = &[
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
    ("let b = l", 2_500),
    ("let b = t", 1_400),
    ("let b = n", 700),
    ("let b = m", 1_200),
    ("g(n)", 700),
    ("for x in n { break; }", 700),
    ("l.reduce(|a, x| a, n)", 2),
];

/// What there is to be slow with: a long text, and lists and maps as large as they may be.
pub const LARGE: &str = r#"
    let s = ""; s.pad(32700, 'a');
    let l = []; l.pad(511, 1);
    let t = []; t.pad(511, "abc");
    let n = []; n.pad(511, []);
    let k = ""; k.pad(100, 'k');
    let m = #{}; for i in 0..255 { m.set(k + i, i); }
"#;

/// What may cost little beside what it takes, when it is done again and again until the call
/// has no operations left.
#[rustfmt::skip]
pub const HEAVY: &[&str] = &[
    // copies
    "n;",
    "b = n;",
    "b = [n];",
    "b = #{n: n};",
    "g(m);",
    "n == m;",
    "n == n;",
    "0 in n;",
    "n[7];",
    "n[7] == 1;",
    "m.get(\"x\") ?? 1;",
    "m.get(\"x\");",
    "n.len();",
    "n.push(1); n.pop();",
    "n.set(0, 1);",
    "n.get(0);",
    "n.filter(|x| true);",
    "n.map(|x| x);",
    "n.some(|x| false);",
    "n.for_each(|x| x);",
    "n.reduce(|a, x| a, 0);",
    "m.filter(|k, v| true);",
    "m.map(|k, v| v);",
    "for x in [n] { }",
    "for x in s { break; }",
    "for x in 0..9 { }",
    "switch n { 1 => 2, _ => 3 }",
    "if n == 1 {}",
    "try { throw `${s}`; } catch (e) { }",
    "try { n.nothing } catch { }",
    "try { n - s } catch { }",
    "try { m.x } catch { }",
    "l.sort();",
    "n.reverse();",
    "n.dedup();",
    "n.extract(0);",
    "n.split(9);",
    "n + n.extract(0, 1);",
    "n.to_string();",
    "m.keys();",
    "m.values();",
    "m.to_json();",
    "m + #{};",
    "m.remove(\"x\");",
    // texts
    "`${s}`;",
    "`${s} `;",
    "`${[s]}`;",
    "`${n}`;",
    "`${m}`;",
    "`${l.len()}`;",
    "let b = s;",
    "[s, 1];",
    "s == s;",
    "s + \"a\";",
    "s[29000];",
    "s.len();",
    "s.to_upper();",
    "s.split(\"b\");",
    "s.replace(\"a\", \"b\");",
    "s.contains(\"b\");",
    "s.similarity(s);",
    "s.like(\"*b*b*b*b*b*b*b*b\");",
    "\"abc\".similarity(\"abd\");",
    "\"abc\".like(\"a*b*c*\");",
    "`short ${1}`;",
    // numbers, times and calls
    "1 + 1;",
    "1.5 * 2;",
    "2 ** 10;",
    "hour(\"2026-03-02T22:15:00Z\");",
    "seconds_between(\"2026-03-02T22:15:00Z\", \"2026-03-02T22:15:00Z\");",
    "cidr(\"10.0.0.1\", \"10.0.0.0/8\");",
    "distance_km(1, 2, 3, 4);",
    "number(\"12.5\");",
    "list(\"l\").has(\"a\");",
    "(|x| x).call(1);",
    "g(1);",
    "l.filter(|x| [x].some(|y| false));",
    // an event
    "event.field(\"many\");",
    "event.field_values(\"many\");",
    "event.field_values(\"long\");",
    "event.has_field(\"many\");",
    "event.time;",
    "event.rules;",
    "let b = event;",
];

/// The same of a window.
pub const OF_WINDOW: &[&str] = &[
    "window.events;",
    "let b = e;",
    "e[7];",
    "e.filter(|x| true);",
    "window.newest;",
    "window.distinct_values(\"many\");",
    "window.newest.field_values(\"many\");",
    "window.newest.rules;",
    "for x in window.events { x.field(\"many\"); }",
];

/// The same of a finding.
pub const OF_FINDING: &[&str] = &[
    "finding.reasons;",
    "finding.metadata_values(\"many\");",
    "finding.summary;",
    "finding.group_value(\"many\");",
    "finding.first_seen;",
    "let b = finding;",
];
