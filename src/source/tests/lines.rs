use super::{LIMIT, check};

#[test]
fn a_line_is_a_record() {
    check("", &[], &[]);
    check(" \r\n\n\t", &[], &[]);
    check(
        "{\"a\":1}\n{\"b\":2}\n",
        &["1: {\"a\":1}", "2: {\"b\":2}"],
        &[],
    );
    check(
        "{\"a\":1}\r\n\r\n  {\"b\":2}",
        &["1: {\"a\":1}", "3: {\"b\":2}"],
        &[],
    );
    check("\n\n {} \n \n{}", &["3: {}", "5: {}"], &[]);
    check("\u{feff}{\"a\":1}\n{}", &["1: {\"a\":1}", "2: {}"], &[]);
}

#[test]
fn the_first_line_decides_by_its_brackets_alone() {
    check(
        "{\"a {} 1}\n{}",
        &["2: {}"],
        &["1! a string does not end on its line: {\"a {} 1}"],
    );
    check("{\"a\" {}}\n]", &["1: {\"a\" {}}", "2: ]"], &[]);
    check(
        r#"{"a":"}{\"\\","b":[{}]}"#,
        &[r#"1: {"a":"}{\"\\","b":[{}]}"#],
        &[],
    );
}

#[test]
fn later_lines_pass_whatever_they_hold() {
    check(
        "{}\nnot json\n{\"a\":\n}\n",
        &["1: {}", "2: not json", "3: {\"a\":", "4: }"],
        &[],
    );
    check("{}\n[1,2]\n", &["1: {}", "2: [1,2]"], &[]);
}

#[test]
fn a_line_beyond_the_limit_is_rejected_and_the_next_is_read() {
    let long = "x".repeat(LIMIT + 1);
    let reject = format!("2! record is longer than 1 KiB: {long}");
    check(
        format!("{{}}\n{long}\n{{}}"),
        &["1: {}", "3: {}"],
        &[&reject],
    );
    check(format!("{{}}\n{long}"), &["1: {}"], &[&reject]);
}

#[test]
fn a_line_at_the_limit_is_a_record() {
    let long = "x".repeat(LIMIT);
    let record = format!("2: {long}");
    check(
        format!("{{}}\n{long}\n{{}}"),
        &["1: {}", &record, "3: {}"],
        &[],
    );
    check(format!("{{}}\n{long}"), &["1: {}", &record], &[]);
    let first = format!("{{\"a\":\"{}\"}}", "x".repeat(LIMIT - 8));
    check(
        format!("{first}\n]"),
        &[&format!("1: {first}"), "2: ]"],
        &[],
    );
}

#[test]
fn a_blank_line_beyond_the_limit_is_nothing() {
    let blank = " ".repeat(2 * LIMIT);
    check(
        format!("{{}}\n{blank}\n{{}}\n{blank}"),
        &["1: {}", "3: {}"],
        &[],
    );
}
