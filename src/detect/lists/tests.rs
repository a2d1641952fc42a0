//! Lists as people and exports write them.

use std::cell::Cell;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;

use super::{ListKind, Lists, NotThere};
use crate::detect::reference::tests::{LISTS, answers, detection};
use crate::diag::Problems;

/// The problems of a list, each with its line and column, and the list.
fn read(path: &str, text: &str) -> (Lists, Vec<String>) {
    let mut problems = Problems::default();
    let file = problems.add_file(path, text);
    let mut lists = Lists::default();
    lists.add(path, file, text, &mut problems);
    let shown = problems.sorted().into_iter().map(|problem| {
        let place = problems.line_column(problem.span);
        format!("{}:{} {}", place.line, place.column, problem.message)
    });
    let shown = shown.collect();
    (lists, shown)
}

/// The values of a column, and what stands at their places.
#[track_caller]
fn values(path: &str, text: &str, column: &str) -> Vec<(String, String)> {
    let (lists, problems) = read(path, text);
    assert_eq!(problems, Vec::<String>::new(), "{text}");
    let column = lists.column(column).expect("a column");
    let written = |start: u32, end: u32| text[start as usize..end as usize].to_owned();
    column
        .values()
        .map(|(value, span)| (value.to_owned(), written(span.start, span.end)))
        .collect()
}

#[test]
fn values_of_a_text_list_stand_one_a_line() {
    let text = "\u{feff}# who\n\n  ann@example.com \r\n# none\nbob@*\r\n#\n'quoted', \"too\"";
    let read = values("a.b.txt", text, "a.b");
    let same = |text: &str| (text.to_owned(), text.to_owned());
    let expected = ["ann@example.com", "bob@*", "'quoted', \"too\""].map(same);
    assert_eq!(read, expected);
}

#[test]
fn columns_of_a_table_have_names() {
    let text = "\u{feff}# where from\r\n\r\nip , site,note\r\n 192.0.2.1,\"Berlin, Mitte\" , \r\n\r\n# gone\r\n192.0.2.2,\"say \"\"hi\"\"\nthere\",5\" disk\r\n192.0.2.3,\"\",x";
    let column = |column: &str| values("vpn.csv", text, column);
    let texts = |column: &str| -> Vec<String> {
        let texts = self::values("vpn.csv", text, column).into_iter();
        texts.map(|(value, _)| value).collect()
    };
    assert_eq!(texts("vpn"), ["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
    assert_eq!(texts("vpn.ip"), texts("vpn"));
    assert_eq!(texts("vpn.note"), ["", "5\" disk", "x"]);
    assert_eq!(values("a.b.csv", "c,d.e\nx,y\n", "a.b.d.e")[0].0, "y");
    let sites = [
        ("Berlin, Mitte", "\"Berlin, Mitte\""),
        ("say \"hi\"\nthere", "\"say \"\"hi\"\"\nthere\""),
        ("", "\"\""),
    ];
    let sites = sites.map(|(value, written)| (value.to_owned(), written.to_owned()));
    assert_eq!(column("vpn.site"), sites);
}

#[test]
fn what_is_wrong_with_a_list_is_said_where_it_is() {
    #[rustfmt::skip]
    let cases: [(&str, &str, &[&str]); 30] = [
        ("a.txt", "", &["1:1 the list has no values, so that nothing is in it"]),
        ("a.txt", "# only this\n", &["1:1 the list has no values, so that nothing is in it"]),
        ("a.csv", "a,b\n", &["1:1 the list has no values, so that nothing is in it"]),
        ("a.csv", "", &["1:1 the list has no values, so that nothing is in it"]),
        ("a.txt", "x\ny\nX\n", &["3:1 `X` stands twice"]),
        ("a.txt", "x\ny\nx\ny\nz\nX", &["3:1 `x` stands twice, and so do 2 more values"]),
        ("a.csv", "a,b\nx,1\n", &[]),
        ("a.csv", "a,b\nx\ny,1,2\nz,3\n", &["2:1 this row has 1 value, and the header has 2", "3:1 this row has 3 values, and the header has 2"]),
        ("a.csv", "a,b,a\nx,1,2\n", &["1:5 there are two columns `a`"]),
        ("a.csv", "a,,\nx,1,2\n", &["1:3 this column has no name", "1:4 there are two columns ``"]),
        ("a.csv", "a;b\nx;1\n", &["1:1 the columns are parted by something else than commas"]),
        ("a.csv", "a,b\nx,\"1\ny,2\n", &["2:3 this quote is not closed"]),
        ("a.csv", "a,b\nx,\"1\" 2\ny,3\n", &["2:6 `2` stands behind the closing quote"]),
        ("a.txt", "# kind: netwoks\nx\n", &["1:1 there is no kind of list `netwoks`"]),
        ("a.txt", "# kind of a list\nx\n", &[]),
        ("a.txt", "# Netwoks\n# KIND : Netwoks\nx\n", &["2:1 there is no kind of list `Netwoks`"]),
        ("a.txt", "# Kind: Networks\nx\n", &["2:1 `x` is not an IP network"]),
        ("a.csv", "#KIND :NETWORKS\na,b\nx,y\n", &["3:1 `x` is not an IP network"]),
        ("a.txt", "# Kind: ASN\nx\n", &["2:1 `x` is not the number of an autonomous system"]),
        ("a.txt", "x\n  # Kind: networks\n# kind: asn\n", &["2:3 what kind the values are is said here, where it does not count"]),
        ("a.csv", "a,b\n# kind: networks\nx,y\n", &["2:1 what kind the values are is said here, where it does not count"]),
        ("a.csv", "a,b\nx,y\n# kind: none\n", &["3:1 what kind the values are is said here, where it does not count"]),
        ("a.txt", "x\n# one of a kind: y\n", &[]),
        ("a.txt", "#kind:networks\n10.0.0.0/8\n10.0.0.300\n::1\n", &["3:1 `10.0.0.300` is not an IP network"]),
        ("a.csv", "# kind: networks\nnet,x\n10.0.0.0/33,y\n::/0,z\n", &["3:1 `10.0.0.0/33` is not an IP network"]),
        ("a.txt", "# kind: asn\nAS64500\nas1\n2\nASx\n-3\n4294967296\nAS\n", &["5:1 `ASx` is not the number of an autonomous system", "6:1 `-3` is not the number of an autonomous system", "7:1 `4294967296` is not the number of an autonomous system", "8:1 `AS` is not the number of an autonomous system"]),
        ("a.txt", "# kind: asn\nAS1\n1\n", &["3:1 `1` stands twice"]),
        ("a.txt", "# kind: texts\n10.0.0.0/99\n", &[]),
        ("a.csv", "a,b\nx,\"\"\"\"\n", &[]),
        ("a.csv", "a,b\n\"x\"\"\n", &["2:1 this quote is not closed"]),
    ];
    for (path, text, expected) in cases {
        let found = read(path, text).1;
        let expected: Vec<_> = expected.iter().map(|text| (*text).to_owned()).collect();
        assert_eq!(found, expected, "{text:?}");
    }
}

#[test]
fn of_many_problems_the_first_are_told_and_the_others_counted() {
    let rows = "x,y\n".repeat(30);
    let (_, problems) = read("a.csv", &format!("a\n{rows}"));
    assert_eq!(problems.len(), 21);
    assert_eq!(problems[20], "32:1 the list has 10 more problems");
    let many: String = (0..250_001).map(|number| format!("{number}\n")).collect();
    assert_eq!(
        read("a.txt", &many).1,
        ["250001:1 a list has at most 250000 rows"]
    );
    let long = "é".repeat(4_097);
    assert_eq!(
        read("a.txt", &long).1,
        ["1:1 this value is longer than 4096 characters"]
    );
    let wide = vec!["c"; 65];
    assert!(
        read("a.csv", &wide.join(","))
            .1
            .contains(&"1:1 a list has at most 64 columns".to_owned())
    );
}

#[test]
fn two_files_are_not_one_list() {
    let mut problems = Problems::default();
    let mut lists = Lists::default();
    for path in ["x.csv", "x.txt"] {
        let file = problems.add_file(path, "a\nb\n");
        lists.add(path, file, "a\nb\n", &mut problems);
    }
    let messages: Vec<_> = problems
        .sorted()
        .iter()
        .map(|problem| &problem.message)
        .collect();
    assert_eq!(messages, ["there is another list `x`"]);
}

#[test]
fn values_are_looked_up() {
    let mut problems = Problems::default();
    let mut lists = Lists::default();
    let files = [
        (
            "vip.csv",
            "who,team,since\nann@example.com,red,2020\n*@red.example.com,red,2021\nann@*,blue,2022\n",
        ),
        (
            "nets.csv",
            "# kind: networks\nnet,site\n10.0.0.0/8,all\n10.1.0.0/16,Berlin\n10.1.0.0/16,Bonn\n2001:db8::/32,six\n192.0.2.7,one\n",
        ),
        ("asns.csv", "# kind: asn\nnumber,who\nAS64500,a\n64501,b\n"),
        ("plain.txt", "x\ny\n"),
    ];
    for (path, text) in files {
        let file = problems.add_file(path, text);
        lists.add(path, file, text, &mut problems);
    }
    assert!(!problems.has_errors());
    let has = [
        ("vip", "Ann@Example.com", true),
        ("vip", "bob@red.example.com", true),
        ("vip", "bob@example.com", false),
        ("vip.team", "BLUE", true),
        ("nets", "10.200.0.1", true),
        ("nets", "11.0.0.1", false),
        ("nets", "2001:db8::1", true),
        ("nets", "192.0.2.7", true),
        ("nets", "10.0.0.0/8", false),
        ("nets.site", "berlin", true),
        ("asns", "AS64501", false),
        ("asns", "064501", false),
        ("asns", "64501", true),
        ("asns", "64500", true),
        ("nets", " 10.200.0.1", false),
        ("asns", "64502", false),
        ("plain", "Y", true),
        ("plain", "", false),
    ];
    for (name, value, expected) in has {
        assert_eq!(lists.has(name, value), Ok(expected), "{name} {value}");
    }
    let lookups = [
        ("vip", "ann@example.com", "team", Some("red")),
        ("vip", "ann@other.com", "team", Some("blue")),
        ("vip", "ann@red.example.com", "since", Some("2021")),
        ("vip.team", "blue", "who", Some("ann@*")),
        ("nets", "10.1.2.3", "site", Some("Berlin")),
        ("nets", "10.2.2.3", "site", Some("all")),
        ("nets", "::1", "site", None),
        ("nets.site", "six", "net", Some("2001:db8::/32")),
        ("asns", "64500", "who", Some("a")),
        ("asns", "64500", "number", Some("64500")),
    ];
    for (name, key, column, expected) in lookups {
        assert_eq!(
            lists.lookup(name, key, column),
            Ok(expected),
            "{name} {key}"
        );
    }
    let no_column = |list: &str, column: &str| NotThere::Column {
        list: list.to_owned(),
        column: column.to_owned(),
    };
    assert_eq!(
        lists.has("none", "x"),
        Err(NotThere::List("none".to_owned()))
    );
    assert_eq!(
        lists.has("none.x", "x"),
        Err(NotThere::List("none.x".to_owned()))
    );
    assert_eq!(lists.has("vip.x", "x"), Err(no_column("vip", "x")));
    assert_eq!(lists.has("plain.x", "x"), Err(no_column("plain", "x")));
    assert_eq!(
        lists.lookup("plain", "x", "x"),
        Err(no_column("plain", "x"))
    );
    assert_eq!(
        lists.lookup("vip.who", "x", "y"),
        Err(no_column("vip.who", "y"))
    );
    let kinds =
        ["vip", "nets", "nets.site", "asns"].map(|name| lists.column(name).map(|c| c.kind()));
    assert_eq!(
        kinds,
        [
            ListKind::Texts,
            ListKind::Networks,
            ListKind::Texts,
            ListKind::AsNumbers
        ]
        .map(Ok)
    );
}

/// A value that is on one of the property's lists, with something changed.
fn a_value() -> impl Strategy<Value = String> {
    let values = vec![
        "cmd",
        "CMD",
        "whoami",
        "acb",
        "a*b",
        "403",
        "5",
        "AS403",
        "as5",
        "0403",
        "+5",
        "ab",
        "a?c",
        "abc",
        "failure",
        "10.1.2.3",
        "10.9.9.9",
        "010.1.2.3",
        "2001:db8::1",
        "2001:DB8:0::1",
        "::ffff:10.1.2.3",
        "10.0.0.0/8",
        "true",
        "",
    ];
    let around = || {
        select(vec![
            "", "", "", "", " ", "\t", "\n", "0", "AS", "x", "\u{a0}",
        ])
    };
    (around(), select(values), around())
        .prop_map(|(before, value, behind)| format!("{before}{value}{behind}"))
}

#[test]
fn a_value_is_on_a_list_where_a_line_says_so() {
    let mut lists = Lists::default();
    let mut problems = Problems::default();
    for (path, text) in LISTS {
        let file = problems.add_file(path, text);
        lists.add(path, file, text, &mut problems);
    }
    let names = ["commands", "texts", "nets", "nets.name", "numbers"];
    let lines = names.map(|name| {
        let is_of_networks = lists.column(name).expect("a list").kind() == ListKind::Networks;
        let modifiers = if is_of_networks {
            "cidr|expand"
        } else {
            "expand"
        };
        detection(&format!("s:\n  v|{modifiers}: '%{name}%'\ncondition: s\n")).expect("a line")
    });
    let listed = Cell::new([0; 2]);
    let config = Config {
        cases: 64,
        failure_persistence: None,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&vec(a_value(), 64), |values| {
        let events: Vec<_> = values
            .iter()
            .map(|v| json!({ "v": v }).to_string())
            .collect();
        let satisfied = answers(&lines, &events);
        for (value, satisfied) in values.iter().zip(satisfied) {
            for (at, name) in names.iter().enumerate() {
                let has = lists.has(name, value);
                prop_assert_eq!(has, Ok(satisfied.contains(&at)), "{} {:?}", name, value);
                let mut counts = listed.get();
                counts[usize::from(satisfied.contains(&at))] += 1;
                listed.set(counts);
            }
        }
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    let [no, yes] = listed.get();
    assert!(
        yes > 100 && no > 100,
        "{yes} values were listed and {no} were not"
    );
}
