use proptest::prelude::*;

use super::*;

fn base() -> Base {
    let mut problems = Problems::default();
    let file = problems.add_file("a.yml", "");
    Base { file, mark: 0 }
}

/// What the full parser makes of a text; `None` when it reports, or finds no document or several.
fn by_the_full_parser(text: &str) -> Option<Node> {
    let mut problems = Problems::default();
    problems.add_file("a.yml", "");
    let mut documents = full(base(), text, &mut problems);
    (documents.len() == 1).then(|| documents.remove(0))
}

#[test]
fn plain_texts_are_read_without_the_full_parser_and_alike() {
    let texts = [
        "a: b\n",
        "a: b",
        "# first\n\na: b # why\n  # deep\nc: d\n",
        "  a: b\n  c: d\n",
        "a:\n  b: c\n  d:\n    e: f\ng: h\n",
        "a:\n  - b\n  - c d\ne: f\n",
        "a:\n-   b\n- c\ne: f\n",
        "a:\n  - b: c\n    d: e\n  - f: g\nh: i\n",
        "a:\n- b: c\n  d:\n  - e\n  - f\n- g: h\n",
        "a:   'it''s'\nb: ''\n'c d' : \"e\"\n\"f\": g\n",
        "a|b|c: x\na.b: y\n",
        "a: no\nb: true\nc: TRUE\nd: null\ne: ~\nf: Null\ng: yes\n",
        "a: 1\nb: 010\nc: 1_000\nd: 1.5\ne: 1e3\nf: 0x1f\ng: 2021-09-12\nh: 10.0.0.0/8\ni: +7\nk: 0o17\nl: 1.2.3\nm: 18446744073709551616\nn: 1e-5\no: 9f1b-1c\n",
        "a: https://example.org/x#y\nb: c:d\nc: a, b [c] {d}\nd: nan\ne: inf\nf: .5\ng: $5\nh: (a or b) and not c\n",
        "a: é – “ü”\nb: ß\n",
        "a:\n  b: 'x' # y\n\n\nc: \"d\"    \n",
        "a:\n    # c\n    - b # c\n",
    ];
    for text in texts {
        let plain = plain::read(base(), text);
        assert!(plain.is_some(), "{text}");
        assert_eq!(plain, by_the_full_parser(text), "{text}");
    }
}

#[test]
fn what_is_not_plain_is_left_to_the_full_parser() {
    let texts = [
        "",
        "a",
        "- a\n",
        "a: b\na: c\n",
        "a: &x b\n",
        "a: *x\n",
        "a: !!str 1\n",
        "a: [b]\n",
        "a: {b: c}\n",
        "a: |\n  b\n",
        "a: >-\n  b\n",
        "a: b\n  c\n",
        "a: 'b\n  c'\n",
        "a: \"b\\n\"\n",
        "a: b: c\n",
        "a: b:\n",
        "a:\nb: c\n",
        "a: 'b' c\n",
        "a: 'b'#c\n",
        "a: -\n",
        "a: -1\n",
        "a:\n  - - b\n",
        "a:\n  -\n    b: c\n",
        "a:\n    - b\n  - c\n",
        "a:\n  b: c\n d: e\n",
        "a: b\n---\nc: d\n",
        "a: b\n...\n",
        "%YAML 1.2\n---\na: b\n",
        "<<: b\n",
        "null: b\n",
        "1: b\n",
        "? a\n: b\n",
        "a: b\r\nc: d\n",
        "a:\tb\n",
        "a: b\u{85}c: d\n",
        "a: b\u{feff}\n",
        "a: .nan\n",
        "a: .inf\n",
    ];
    for text in texts {
        assert_eq!(plain::read(base(), text), None, "{text}");
    }
}

/// Lines that are plain more often than not, and go together now and then.
fn text() -> impl Strategy<Value = String> {
    let value = "(|a|b c|'x'|'it''s'|\"y\"|\"z|true|1|1\\.5|2021-01-02|12-e|1e-5|0e-1|x:y|x: y|http://a\\.b#c|\\[a\\]|- a|~|#|a #b|a: b|[a1'\":#,\\- \\.]{0,5})";
    let key = "(a|b|c d|'e'|\"f\"|g\\|re|null|[a-c'\"#:\\-]{1,3})";
    let line = format!(
        "( {{0,4}}(- |-  )?{key} ?:( {{0,2}}{value})?|( {{0,4}})- {value}| {{0,4}}{value}|)"
    );
    let line = proptest::string::string_regex(&line).expect("the expression is one");
    prop::collection::vec(line, 1..8).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// Whatever is read as plain is what the full parser reads, each place included.
    #[test]
    fn plain_reading_agrees_with_the_full_parser(text in text()) {
        if let Some(plain) = plain::read(base(), &text) {
            prop_assert_eq!(Some(plain), by_the_full_parser(&text), "{}", text);
        }
    }
}
