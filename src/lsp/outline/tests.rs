use super::*;

/// A word in one line: `detection.selection.eventType = user.session.start`.
fn shown(word: &Word) -> String {
    let path: Vec<String> = word
        .path
        .iter()
        .map(|step| match step {
            Step::Key(key) => key.clone(),
            Step::Item(number) => number.to_string(),
        })
        .collect();
    let sign = match word.role {
        Role::Key => return format!("{}:{}", word.document, path.join("/")),
        Role::Value => "=",
        Role::Open => "?",
    };
    format!("{}:{}{sign}{}", word.document, path.join("/"), word.text)
}

fn outlined(notation: Notation, text: &str) -> Vec<String> {
    let outline = Outline::of(notation, text);
    for word in &outline.words {
        assert_eq!(text.get(word.place.clone()), Some(word.text.as_str()));
    }
    outline.words.iter().map(shown).collect()
}

#[test]
fn the_words_of_yaml_have_their_paths() {
    let text = "\
# c
title: A rule # said: so
tags: [attack.t1, 'b c']
detection:
  sel: {eventType: x, 'a|re': \"y\\\"z\", l: [1, {k: v}]}
  other:
  - a: 1
    b:
    - c
    -   d
  - e
  condition: >-
    sel and
    other

---
x: 'a: #b'
open
";
    assert_eq!(
        outlined(Notation::Yaml, text),
        [
            "0:title",
            "0:title=A rule",
            "0:tags",
            "0:tags/0=attack.t1",
            "0:tags/1=b c",
            "0:detection",
            "0:detection/sel",
            "0:detection/sel/eventType",
            "0:detection/sel/eventType=x",
            "0:detection/sel/a|re",
            "0:detection/sel/a|re=y\\\"z",
            "0:detection/sel/l",
            "0:detection/sel/l/0=1",
            "0:detection/sel/l/1/k",
            "0:detection/sel/l/1/k=v",
            "0:detection/other",
            "0:detection/other/0/a",
            "0:detection/other/0/a=1",
            "0:detection/other/0/b",
            "0:detection/other/0/b/0?c",
            "0:detection/other/0/b/1?d",
            "0:detection/other/1?e",
            "0:detection/condition",
            "0:detection/condition=sel and\n    other",
            "1:x",
            "1:x=a: #b",
            "1:?open",
        ]
    );
}

#[test]
fn what_lacks_its_end_takes_no_other_line() {
    for (text, expected) in [
        (
            "a: {b: [c\nd: e",
            vec!["0:a", "0:a/b", "0:a/b/0=c", "0:d", "0:d=e"],
        ),
        ("a: \"b\nc: d", vec!["0:a", "0:a=b", "0:c", "0:c=d"]),
        (
            "a:\n  ev\n  b: c",
            vec!["0:a", "0:a?ev", "0:a/b", "0:a/b=c"],
        ),
        ("a: {b: c, d}", vec!["0:a", "0:a/b", "0:a/b=c", "0:a?d"]),
    ] {
        assert_eq!(outlined(Notation::Yaml, text), expected, "{text}");
    }
}

#[test]
fn the_words_of_toml_have_their_paths() {
    let text = "\
[agents.a]
runs = \"slot:x\" # c
b.c = 1

[route.incident]
order = [[\"a\", 'b'], # c
  [\"c\"],
]
[[route.incident.require_when]]
severity = [\"high\"]
[[route.incident.require_when]]
agents = [ {x = 1, y.z = [2]}, 3 ]
text = \"\"\"
one
two\"\"\"
open
";
    assert_eq!(
        outlined(Notation::Toml, text),
        [
            "0:agents",
            "0:agents/a",
            "0:agents/a/runs",
            "0:agents/a/runs=slot:x",
            "0:agents/a/b",
            "0:agents/a/b/c",
            "0:agents/a/b/c=1",
            "0:route",
            "0:route/incident",
            "0:route/incident/order",
            "0:route/incident/order/0/0=a",
            "0:route/incident/order/0/1=b",
            "0:route/incident/order/1/0=c",
            "0:route",
            "0:route/incident",
            "0:route/incident/require_when",
            "0:route/incident/require_when/0/severity",
            "0:route/incident/require_when/0/severity/0=high",
            "0:route",
            "0:route/incident",
            "0:route/incident/require_when",
            "0:route/incident/require_when/1/agents",
            "0:route/incident/require_when/1/agents/0/x",
            "0:route/incident/require_when/1/agents/0/x=1",
            "0:route/incident/require_when/1/agents/0/y",
            "0:route/incident/require_when/1/agents/0/y/z",
            "0:route/incident/require_when/1/agents/0/y/z/0=2",
            "0:route/incident/require_when/1/agents/1=3",
            "0:route/incident/require_when/1/text",
            "0:route/incident/require_when/1/text=\none\ntwo",
            "0:route/incident/require_when/1?open",
        ]
    );
    let broken = outlined(Notation::Toml, "a = [\"b\"\n[c]\nd = \"e\nf = 1");
    assert_eq!(
        broken,
        [
            "0:a", "0:a/0=b", "0:c", "0:c/d", "0:c/d=e", "0:c/f", "0:c/f=1"
        ]
    );
}

#[test]
fn the_front_matter_ends_where_the_text_begins() {
    let text = "---\nslot: risk\n---\nslot: {{ finding.count }}\n";
    assert_eq!(
        outlined(Notation::FrontMatter, text),
        ["0:slot", "0:slot=risk"]
    );
}

proptest::proptest! {
    /// Any text has an outline whose words stand in it, in no time that grows out of hand.
    #[test]
    fn any_text_has_an_outline(text in "[a:=\\[\\]{}\"',#|> .\\-\n\r\u{e9}]{0,60}") {
        for notation in [Notation::Yaml, Notation::Toml, Notation::FrontMatter] {
            outlined(notation, &text);
        }
    }
}

#[test]
fn hostile_texts_take_no_long_time() {
    for part in [
        "[", "{a: ", "- ", "\"", "'", "a: \"\n", "a = [[\n", "\"\"\"", "a.", "[a.", "x: |\n",
        " a:\n",
    ] {
        let text = part.repeat((1 << 18) / part.len());
        for notation in [Notation::Yaml, Notation::Toml] {
            assert!(
                Outline::of(notation, &text).words.len() <= MOST_WORDS + 100,
                "{part}"
            );
        }
    }
}
