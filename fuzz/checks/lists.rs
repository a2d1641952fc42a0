//! Lists.

use rulectl::detect::Lists;
use rulectl::diag::Problems;

use super::rule::show;

/// A file is read or reported as a list of lines and as a table; the values stand where it is
/// said, are in the list, and are the same when the table is written again in quotes.
pub fn lists(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    for path in ["l.txt", "l.csv"] {
        let (lists, problems) = read(path, text);
        show(&problems);
        let columns: Vec<String> = lists.columns("l").map(|name| format!("l.{name}")).collect();
        let first = "l".to_owned();
        for name in columns.iter().chain([&first]) {
            let Ok(column) = lists.column(name) else {
                panic!("no column {name:?}");
            };
            for (value, span) in column.values() {
                let (start, end) = (span.start as usize, span.end as usize);
                assert!(text.get(start..end).is_some(), "{value:?} stands nowhere");
            }
            if !problems.has_errors() {
                in_list(&lists, name);
            }
        }
        if path == "l.csv" && !problems.has_errors() {
            written_again(&lists, &columns, text);
        }
    }
}

fn read(path: &str, text: &str) -> (Lists, Problems) {
    let mut problems = Problems::default();
    let file = problems.add_file(path, text);
    let mut lists = Lists::default();
    lists.add(path, file, text, &mut problems);
    (lists, problems)
}

/// Texts without wildcards, networks' own addresses and numbers are found.
fn in_list(lists: &Lists, name: &str) {
    let Ok(column) = lists.column(name) else {
        return;
    };
    for (value, _) in column.values().take(50) {
        if !value.contains(['*', '?', '\\']) {
            let key = value.split('/').next().unwrap_or_default();
            let is_there = [value, key].map(|value| lists.has(name, value));
            assert!(is_there.contains(&Ok(true)), "{value:?} is not in {name:?}");
        }
    }
}

fn written_again(lists: &Lists, columns: &[String], text: &str) {
    let values = |lists: &Lists, name: &str| -> Vec<String> {
        let column = lists.column(name).into_iter();
        let values = column.flat_map(|column| column.values());
        values.map(|(value, _)| value.to_owned()).collect()
    };
    let table: Vec<_> = columns.iter().map(|name| values(lists, name)).collect();
    let quoted = |value: &str| format!("\"{}\"", value.replace('"', "\"\""));
    let names = columns
        .iter()
        .map(|name| quoted(name.strip_prefix("l.").unwrap_or(name)));
    let mut again = names.collect::<Vec<_>>().join(",") + "\r\n";
    for row in 0..table.first().map_or(0, Vec::len) {
        let row: Vec<_> = table.iter().map(|column| quoted(&column[row])).collect();
        again += &(row.join(" , ") + "\r\n");
    }
    let (lists, problems) = read("l.csv", &again);
    assert!(columns.is_empty() || !problems.has_errors(), "{text:?}");
    let same: Vec<_> = columns.iter().map(|name| values(&lists, name)).collect();
    assert_eq!(same, table, "{text:?}");
}
