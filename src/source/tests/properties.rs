use proptest::prelude::*;

use super::{Limits, read, same_whichever_way};

/// Text of the bytes that matter to the splitters, and some others.
fn jsonish() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        "\"",
        "\\",
        ",",
        ":",
        "\n",
        "\n{",
        "\n  {",
        "\n[",
        " ",
        "\r\n",
        "1",
        "null",
        "{\"a\":1}",
        "{\"a\":[1]}",
        "\"b\"",
        "x",
        "\u{feff}",
        "é",
    ]);
    prop::collection::vec(pieces, 0..60).prop_map(|pieces| pieces.concat().into_bytes())
}

fn trimmed(line: &[u8]) -> &[u8] {
    let blanks: &[_] = &[' ', '\t', '\r'];
    std::str::from_utf8(line).map_or(line, |line| line.trim_matches(blanks).as_bytes())
}

/// How many bytes are neither blank nor punctuation of arrays.
fn solid(text: &[u8]) -> usize {
    text.iter()
        .filter(|byte| !b" \t\r\n[],".contains(byte))
        .count()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn arbitrary_bytes_do_no_harm(text in prop::collection::vec(any::<u8>(), 0..200)) {
        read(&text, Limits { chunk: 16, record: 64 });
    }

    #[test]
    fn nothing_is_lost_and_nothing_is_given_twice(text in jsonish()) {
        let text = [b"\n", text.as_slice()].concat(); // a mark at the start would not be kept
        let text = text.as_slice();
        for record in [20, 1024] {
            let found = read(text, Limits { chunk: 16, record });
            let kept: Vec<String> = [found.records, found.rejects].concat();
            let kept: usize = kept
                .iter()
                .filter_map(|entry| entry.split_once(": "))
                .map(|(_, text)| solid(text.replace('⏎', "").as_bytes()))
                .sum();
            prop_assert_eq!(kept, solid(text));
            prop_assert!(found.kept <= text.len() as u64);
        }
    }

    #[test]
    fn in_line_mode_the_records_are_the_lines(text in jsonish()) {
        let text = [b"{}\n", text.as_slice()].concat();
        let found = read(&text, Limits { chunk: 16, record: 1024 });
        let lines: Vec<String> = (1..)
            .zip(text.split(|byte| *byte == b'\n'))
            .filter(|(_, line)| !trimmed(line).is_empty())
            .map(|(number, line)| format!("{number}: {}", String::from_utf8_lossy(trimmed(line))))
            .collect();
        prop_assert_eq!(found.records, lines);
        prop_assert_eq!(found.rejects, Vec::<String>::new());
    }
}

proptest! {
    // Compressing costs far more than splitting.
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn the_chunk_size_changes_nothing(text in jsonish()) {
        same_whichever_way(&text);
    }
}
