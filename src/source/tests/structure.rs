use super::{LIMIT, Limits, check, read};

#[test]
fn objects_in_any_layout() {
    check(
        "{\n  \"a\": 1\n}\n{\n  \"b\": 2\n}\n",
        &["1: {⏎  \"a\": 1⏎}", "4: {⏎  \"b\": 2⏎}"],
        &[],
    );
    check(
        "{}{} {}\n{\r\n}",
        &["1: {}", "1: {}", "1: {}", "2: {\r⏎}"],
        &[],
    );
    check("\u{feff}\n{\n}", &["2: {⏎}"], &[]);
    check(
        r#"{"a":"}\\\"]"} {}"#,
        &[r#"1: {"a":"}\\\"]"}"#, "1: {}"],
        &[],
    );
}

#[test]
fn arrays_give_their_elements() {
    check(
        "[{\"a\":1},{\"b\":2}]",
        &["1: {\"a\":1}", "1: {\"b\":2}"],
        &[],
    );
    check(
        "[\n  {\n  },\n  {\n  }\n]\n",
        &["2: {⏎  }", "4: {⏎  }"],
        &[],
    );
    check("[{\n}, {\n}]", &["1: {⏎}", "2: {⏎}"], &[]);
    check(
        "[{}]\n[{},{}]\n[]\n{}",
        &["1: {}", "2: {}", "2: {}", "4: {}"],
        &[],
    );
    check("[{}][{}]", &["1: {}", "1: {}"], &[]);
}

#[test]
fn values_that_are_no_objects_are_passed_on() {
    check(
        r#"[1,-2.5e+3,"a]",null]"#,
        &["1: 1", "1: -2.5e+3", "1: \"a]\"", "1: null"],
        &[],
    );
    check("[[1,{}],[]]", &["1: [1,{}]", "1: []"], &[]);
    check("true\n{}\n12", &["1: true", "2: {}", "3: 12"], &[]);
}

#[test]
fn a_wrong_bracket_costs_one_record() {
    check(
        "{\n \"a\": [1}\n}\n{\n \"b\": 2\n}\n",
        &["4: {⏎ \"b\": 2⏎}"],
        &["1! `}` closes a bracket of the other kind: {⏎ \"a\": [1}⏎}"],
    );
    check(
        "[\n  {\"a\": 1},\n  {\"b\": 2]},\n  {\"c\": 3}\n]",
        &["2: {\"a\": 1}", "4: {\"c\": 3}"],
        &["3! `]` closes a bracket of the other kind: {\"b\": 2]},"],
    );
}

#[test]
fn a_record_that_is_never_closed_costs_no_other() {
    let next = "{\n \"b\": 2\n}\n{\n}";
    let records = ["3: {⏎ \"b\": 2⏎}", "6: {⏎}"];
    for (first, reason) in [
        ("{\n \"a\": 1", "`{` where no value can stand"),
        ("{\n \"a\": 1,", "`{` where no value can stand"),
        ("{\n \"a\":", "`{` where no value can stand"),
        ("{\n \"a\": [", "`{` where no value can stand"),
        ("{\n \"a\": \"x", "a string does not end on its line"),
        ("{\n \"a\": \"x\\", "a string does not end on its line"),
    ] {
        let reject = format!("1! {reason}: {}", first.replace('\n', "⏎"));
        check(format!("{first}\n{next}"), &records, &[&reject]);
    }
}

#[test]
fn a_record_that_the_end_cuts_off_costs_no_other() {
    check(
        "{\n}\n{\n \"a\": [\n{\n}\n{\"b",
        &["1: {⏎}", "5: {⏎}"],
        &[
            "3! `{` where no value can stand: {⏎ \"a\": [",
            "7! the input ends inside a record: {\"b",
        ],
    );
    check(
        "[{}, {",
        &["1: {}"],
        &["1! the input ends inside a record: {"],
    );
    check("\"abc", &[], &["1! the input ends inside a record: \"abc"]);
    check("12", &["1: 12"], &[]);
}

#[test]
fn a_broken_first_line_does_not_change_the_others() {
    let records = ["2: {\"b\":{}}", "3: {}"];
    let text = |first: &str| format!("{first}\n{{\"b\":{{}}}}\n{{}}\n");
    check(
        text("\"a\":1}"),
        &["1: \"a\"", records[0], records[1]],
        &["1! `:` where a value was expected: :1}"],
    );
    check(
        text("Exported:"),
        &records,
        &["1! `E` where a value was expected: Exported:"],
    );
    check(
        text("{\"a\":1"),
        &records,
        &["1! `{` where no value can stand: {\"a\":1"],
    );
    check(
        text("\u{1}"),
        &records,
        &["1! byte 0x01 where a value was expected: \u{1}"],
    );
}

#[test]
fn reading_resumes_at_the_indentation_of_the_first_record() {
    check(
        "[\n  {\"a\": 1},\n  {\"b\":]\n    {\"no\": 1},\n{\"no\": 2},\n  {\"c\": 3}\n]",
        &["2: {\"a\": 1}", "6: {\"c\": 3}"],
        &["3! `]` closes a bracket of the other kind: {\"b\":]⏎    {\"no\": 1},⏎{\"no\": 2},"],
    );
}

#[test]
fn an_array_that_is_cut_off_costs_no_other() {
    check(
        "[{\"a\":1},{\"b\":\n[{\"c\":1},{}]\n[{}]",
        &["1: {\"a\":1}", "2: {\"c\":1}", "2: {}", "3: {}"],
        &["1! `[` where no value can stand: {\"b\":"],
    );
    check(
        "[{}\n[{}]",
        &["1: {}", "2: {}"],
        &["2! `[` where `,` or `]` was expected: "],
    );
    check("[{}", &["1: {}"], &["1! the input ends inside an array: "]);
    check(
        "[\n{},\n",
        &["2: {}"],
        &["3! the input ends inside an array: "],
    );
}

#[test]
fn what_is_missing_between_records_is_told() {
    check(
        "[\n{}\n{}]",
        &["2: {}", "3: {}"],
        &["3! `{` where `,` or `]` was expected: "],
    );
    check(
        "[{},]\n{}",
        &["1: {}", "2: {}"],
        &["1! `]` where a value was expected: ]"],
    );
    check(
        "[,\n{}]",
        &["2: {}"],
        &["1! `,` where a value or `]` was expected: ,"],
    );
    check("{}\n}\n{}", &["1: {}", "2: }", "3: {}"], &[]);
    check(
        "{},\n{},\n{}",
        &["1: {}", "2: {}", "3: {}"],
        &["1! `,` where a value was expected: ,"],
    );
}

#[test]
fn a_record_at_the_limit_is_read_and_one_beyond_is_not() {
    let (most, more) = ("x".repeat(LIMIT - 8), "x".repeat(LIMIT - 7));
    let record = format!("{{\"a\":\"{most}\"}}");
    check(format!("[{record}]"), &[&format!("1: {record}")], &[]);
    let record = format!("{{\"a\":\"{more}\"}}");
    check(
        format!("[\n{record},\n{{}}]"),
        &["3: {}"],
        &[&format!("2! record is longer than 1 KiB: {record},")],
    );
    check(
        format!("{record}\n{{}}"),
        &["2: {}"],
        &[&format!("1! record is longer than 1 KiB: {record}")],
    );
}

#[test]
fn deeper_than_a_thousand_is_too_deep() {
    let nested = |depth: usize| {
        let text = format!(
            "[\n{{\"a\":{}{}}},\n{{}}]",
            "[".repeat(depth),
            "]".repeat(depth)
        );
        read(text.as_bytes(), Limits::default())
    };
    assert!(nested(1023).rejects.is_empty());
    let found = nested(1024);
    assert_eq!(found.records, ["3: {}"]);
    assert!(found.rejects[0].starts_with("2! nested deeper than 1024: {"));
}

#[test]
fn a_chunk_holds_only_so_many_records_and_rejects() {
    let text = format!("[{}1]\n{}", "1,".repeat(99_999), "}\n{}\n".repeat(20_000));
    let found = read(text.as_bytes(), Limits::default());
    assert_eq!(
        (found.records.len(), found.rejects.len()),
        (120_000, 20_000)
    );
    assert_eq!(found.records.last().unwrap(), "40001: {}");
    assert_eq!(
        found.rejects.last().unwrap(),
        "40000! `}` where a value was expected: }"
    );
}

#[test]
fn of_a_long_reject_the_start_is_kept() {
    let text = format!("{{\n}}\n?{}", "x \n".repeat(100_000));
    let found = read(
        text.as_bytes(),
        Limits {
            chunk: 1000,
            record: LIMIT,
        },
    );
    assert_eq!(found.records, ["1: {⏎}"]);
    let start = &text[4..][..64 << 10];
    assert_eq!(found.rejects.len(), 1);
    assert_eq!(
        found.rejects[0].replace('⏎', "\n"),
        format!("3! `?` where a value was expected: {start}")
    );
    assert_eq!(found.kept, text.len() as u64 - 3);
}
