//! Rules and events, made up so that they meet: both draw from the same few fields
//! and texts, and an event's text is often a rule's with something changed.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use crate::json::Notation;
use crate::json::reference::Accessor;

/// A few detections and the events that they are asked of.
#[derive(Clone, Debug)]
pub struct Case {
    /// In YAML; one that cannot be read is to be left out.
    pub detections: Vec<String>,
    /// In JSON, laid out and spelled in many ways.
    pub events: Vec<String>,
}

impl Case {
    /// How many events a case has.
    pub const EVENTS: usize = 8;
}

/// Made-up cases.
pub fn a_case() -> impl Strategy<Value = Case> {
    (vec(a_detection(), 1..7), vec(an_event(), Case::EVENTS))
        .prop_map(|(detections, events)| Case { detections, events })
}

/// The fields whose texts hold values, and those below them that are asked for.
pub const ACCESSORS: [Accessor; 3] = [
    ("t.map", Notation::Map),
    ("t.json", Notation::Json),
    ("t.json.map", Notation::Map),
];

/// The lists that lines with `expand` name.
pub const LISTS: [(&str, &str); 4] = [
    ("commands.txt", "cmd\nwhoami\n"),
    ("texts.txt", "cmd\na*b\n403\n"),
    (
        "nets.csv",
        "# kind: networks\nnet,name\n10.0.0.0/8,ab\n2001:db8::/32,\"a?c\"\n10.1.2.3,FAILURE\n",
    ),
    ("numbers.txt", "# kind: asn\nAS403\n5\n"),
];

pub const FIELDS: [&str; 18] = [
    "eventType",
    "outcome.result",
    "actor.alternateId",
    "target.displayName",
    "target.id",
    "target",
    "client.ipAddress",
    "debugContext.debugData.x",
    "n",
    "n.m",
    "published",
    "t.map",
    "t.json",
    "t.map.m",
    "t.map.m.x",
    "t.json.m",
    "t.json.map",
    "t.json.map.m",
];

const TEXTS: [&str; 38] = [
    "FAILURE",
    "success",
    "user.session.start",
    "user.mfa.*",
    "a*b",
    "a?c",
    "*x*",
    "*",
    "?",
    "ab",
    "aXb",
    "abab",
    "Straße",
    "ÄÖ",
    "İx",
    "K",
    "日本",
    "10.0.0.1",
    "10.1.2.3",
    "2001:db8::1",
    "true",
    "false",
    "403",
    "AS403",
    "05",
    "4.5",
    "null",
    "",
    " x ",
    r"a\*b",
    r"a\\b",
    r"C:\x",
    "-enc /x",
    "cmd",
    "Y21k",
    "YwBtAGQA",
    "2026-03-02T10:00:00Z",
    "quo\"te",
];

/// What stands behind the field, with the kind of value that it takes.
const LINES: [(&str, Kind); 43] = [
    ("", Kind::Any),
    ("", Kind::Any),
    ("", Kind::Any),
    ("", Kind::Text),
    ("|cased", Kind::Text),
    ("|contains", Kind::Text),
    ("|contains", Kind::Text),
    ("|startswith", Kind::Text),
    ("|endswith", Kind::Text),
    ("|contains|cased", Kind::Text),
    ("|startswith|cased", Kind::Text),
    ("|endswith|cased", Kind::Text),
    ("|contains|all", Kind::Text),
    ("|all", Kind::Any),
    ("|neq", Kind::Any),
    ("|contains|neq", Kind::Text),
    ("|all|neq", Kind::Any),
    ("|contains|all|neq", Kind::Text),
    ("|exists", Kind::Bool),
    ("|exists|neq", Kind::Bool),
    ("|re", Kind::Regex),
    ("|re|i", Kind::Regex),
    ("|re|neq", Kind::Regex),
    ("|cidr", Kind::Cidr),
    ("|cidr|neq", Kind::Cidr),
    ("|lt", Kind::Number),
    ("|lte", Kind::Number),
    ("|gt", Kind::Number),
    ("|gte|neq", Kind::Number),
    ("|hour|gte", Kind::Hour),
    ("|hour", Kind::Hour),
    ("|fieldref", Kind::Field),
    ("|fieldref|contains", Kind::Field),
    ("|fieldref|startswith|cased", Kind::Field),
    ("|windash|contains", Kind::Text),
    ("|base64", Kind::Text),
    ("|wide|base64offset|contains", Kind::Text),
    ("|expand|base64", Kind::List),
    ("|expand", Kind::Lists),
    ("|expand|contains", Kind::Lists),
    ("|expand|all", Kind::Lists),
    ("|expand|neq", Kind::Lists),
    ("|expand|cidr", Kind::Nets),
];

#[derive(Clone, Copy, Debug)]
enum Kind {
    Any,
    Text,
    Bool,
    Regex,
    Cidr,
    Number,
    Hour,
    Field,
    List,
    Lists,
    Nets,
}

const CONDITIONS: [&str; 16] = [
    "s0",
    "s0",
    "s0 and s1",
    "s0 or s1",
    "s0 and not s1",
    "not s0",
    "not s0 and s1",
    "not (s0 and s1)",
    "s0 or not s1 and s2",
    "1 of s*",
    "all of s*",
    "all of them",
    "1 of them and not s2",
    "not 1 of s*",
    "(s0 or s1) and (s1 or s2)",
    "not not s0",
];

fn a_detection() -> impl Strategy<Value = String> {
    (vec(a_search(), 3), select(CONDITIONS.to_vec())).prop_map(|(searches, condition)| {
        let named = searches
            .iter()
            .enumerate()
            .map(|(at, search)| format!("s{at}:\n{search}"));
        named.collect::<String>() + format!("condition: {condition}\n").as_str()
    })
}

/// Below a search: a mapping, a list of mappings or keywords.
fn a_search() -> impl Strategy<Value = String> {
    let keyword = a_value(Kind::Any).prop_filter("null is no keyword", |text| text != "null");
    let mapping = |lines: Vec<String>, lead: &str| {
        let lines = lines.iter().enumerate();
        lines
            .map(|(at, line)| format!("  {}{line}\n", if at == 0 { lead } else { "  " }))
            .collect::<String>()
    };
    prop_oneof![
        6 => vec(a_line(), 1..4).prop_map(move |lines| mapping(lines, "  ")),
        2 => vec(vec(a_line(), 1..3), 1..4)
            .prop_map(move |maps| maps.into_iter().map(|lines| mapping(lines, "- ")).collect()),
        1 => vec(keyword, 1..3).prop_map(|texts| texts.iter().map(|text| format!("  - {text}\n")).collect()),
    ]
}

fn a_line() -> impl Strategy<Value = String> {
    (select(FIELDS.to_vec()), select(LINES.to_vec())).prop_flat_map(|(field, (modifiers, kind))| {
        vec(a_value(kind), 1..4).prop_map(move |values| {
            let values = if values.len() == 1 {
                values.concat()
            } else {
                format!("[{}]", values.join(", "))
            };
            format!("{field}{modifiers}: {values}")
        })
    })
}

fn a_value(kind: Kind) -> BoxedStrategy<String> {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let one_of = |texts: &[&str]| {
        select(
            texts
                .iter()
                .map(|text| (*text).to_owned())
                .collect::<Vec<_>>(),
        )
    };
    match kind {
        Kind::Any => prop_oneof![
            4 => select(TEXTS.to_vec()).prop_map(quoted),
            1 => one_of(&["403", "5", "-1", "4.5", "true", "false", "null"]),
        ]
        .boxed(),
        Kind::Text => select(TEXTS.to_vec()).prop_map(quoted).boxed(),
        Kind::Bool => one_of(&["true", "false"]).boxed(),
        Kind::Regex => one_of(&[
            "'^a.b$'",
            "'[0-9]+'",
            "'(?i)FAIL'",
            "'x|日'",
            "''",
            "'^user\\.'",
            "'\\x{e4}'",
        ])
        .boxed(),
        Kind::Cidr => one_of(&["10.0.0.0/8", "10.0.0.0/24", "'2001:db8::/32'", "10.0.0.1"]).boxed(),
        Kind::Number => one_of(&["403", "4.5", "0", "-1"]).boxed(),
        Kind::Hour => one_of(&["10", "0", "23"]).boxed(),
        Kind::Field => select(FIELDS.to_vec()).prop_map(str::to_owned).boxed(),
        Kind::List => one_of(&["'%commands%'"]).boxed(),
        Kind::Lists => one_of(&["'%texts%'", "'%nets.name%'", "'%numbers%'", "ab"]).boxed(),
        Kind::Nets => one_of(&["'%nets%'", "'%nets.net%'", "192.0.2.0/24"]).boxed(),
    }
}

/// An event as text: a tree, and how it is spelled.
fn an_event() -> impl Strategy<Value = String> {
    let fields = vec(
        proptest::option::weighted(0.6, a_field_value()),
        FIELDS.len(),
    );
    let inside = [a_java_text().boxed(), a_json_text().boxed()]
        .map(|text| proptest::option::weighted(0.7, text));
    let address = proptest::option::weighted(0.5, an_address());
    let made = (fields, inside, address, any::<u64>(), 0..4_u8);
    made.prop_map(|(values, inside, address, seed, layout)| {
        let mut tree =
            json!({"extra": {"deep": [1, {"x": "cmd"}, "ab"]}, "z": "user.session.start"});
        for (field, value) in FIELDS.iter().zip(values) {
            if let Some(value) = value {
                place(&mut tree, field, value);
            }
        }
        if let Some(address) = address {
            place(&mut tree, "client.ipAddress", address);
        }
        for (text, inside) in ["map", "json"].iter().zip(inside) {
            if let Some(inside) = inside {
                place(&mut tree, &format!("t.{text}"), inside.into());
            }
        }
        let mut out = String::new();
        Spelling { seed, layout }.write(&tree, &mut out);
        out
    })
}

/// An address that databases know, or not.
fn an_address() -> impl Strategy<Value = Value> {
    select(vec![
        json!("192.0.2.1"),
        json!("192.0.2.129"),
        json!("2001:db8::1"),
        json!("10.0.0.1"),
        json!(" 10.0.0.1"),
        json!(["192.0.2.1"]),
        json!(["192.0.2.1", "2001:db8::1"]),
    ])
}

/// A map or list as Java writes it, perhaps with a piece of one too many or too few.
fn a_java_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        4 => a_text(),
        1 => select(vec!["a, b", "x=y", "x, m=ab", "f[1, m=2]", "", " ", "{a, b}", "a]b", "}, {m=ab"])
            .prop_map(str::to_owned),
    ];
    let value = leaf.prop_recursive(3, 12, 4, |inner| {
        let member = (select(vec!["m", "x", "m", "else", "New IP"]), inner.clone());
        prop_oneof![
            2 => vec(member, 0..4).prop_map(|members| {
                let members: Vec<_> = members
                    .iter()
                    .map(|(key, value)| format!("{key}={value}"))
                    .collect();
                format!("{{{}}}", members.join(", "))
            }),
            1 => vec(inner, 0..3).prop_map(|items| format!("[{}]", items.join(", "))),
        ]
    });
    changed(
        value,
        &["{", "}", "[", "]", ", ", "=", " ", "\\", "\n", "m=", "é"],
    )
}

/// JSON with blanks, escapes and keys that stand twice, perhaps broken.
fn a_json_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![a_field_value(), a_java_text().prop_map(Value::from)];
    let tree = leaf.prop_recursive(3, 12, 4, |inner| {
        let member = (select(vec!["m", "x", "map"]), inner.clone());
        prop_oneof![
            2 => vec(member, 0..4).prop_map(|members| {
                let members = members.into_iter();
                members.map(|(key, value)| (key.to_owned(), value)).collect()
            }),
            1 => vec(inner, 0..3).prop_map(Value::from),
        ]
    });
    let text = (tree, any::<u64>(), 0..4_u8).prop_map(|(tree, seed, layout)| {
        let mut out = String::new();
        Spelling { seed, layout }.write(&tree, &mut out);
        out
    });
    changed(
        text,
        &[
            "{", "}", "[", "]", ",", ":", "\"", " ", "\\", "\n", "0", "e", "\u{1}",
        ],
    )
}

/// A text in which now and then a piece is put in, or a character left out.
fn changed(
    text: impl Strategy<Value = String>,
    pieces: &'static [&'static str],
) -> impl Strategy<Value = String> {
    let change = (any::<proptest::sample::Index>(), select(pieces));
    let changes = prop_oneof![3 => Just(Vec::new()), 1 => vec(change, 1..3)];
    (text, changes, any::<bool>()).prop_map(|(mut text, changes, put_in)| {
        for (at, piece) in changes {
            let mut ends = text.char_indices().map(|(at, _)| at).collect::<Vec<_>>();
            ends.push(text.len());
            let at = *at.get(&ends);
            if put_in {
                text.insert_str(at, piece);
            } else if at < text.len() {
                text.remove(at);
            }
        }
        text
    })
}

fn a_field_value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        12 => a_text().prop_map(Value::from),
        2 => select(vec![json!(403), json!(5), json!(-1), json!(4.5), json!(0), json!(403.0), json!(-0.0), json!(1e30), json!(18446744073709551615_u64)]),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    scalar.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            (select(vec!["id", "displayName", "m", "x", "else"]), inner)
                .prop_map(|(key, value)| json!({key: value})),
        ]
    })
}

/// A text of the rules, with something changed.
fn a_text() -> impl Strategy<Value = String> {
    (select(TEXTS.to_vec()), 0..12_u8, select(TEXTS.to_vec())).prop_map(|(text, change, other)| {
        match change {
            0 => text.to_uppercase(),
            1 => text.to_lowercase(),
            2 => format!("{text}{other}"),
            3 => format!("{other}{text}"),
            4 => text.chars().skip(1).collect(),
            5 => text.replace(['*', '?'], "x"),
            6 => text.replace(['*', '?'], other),
            7 => format!("{text}\u{1F600}\t"),
            _ => text.to_owned(),
        }
    })
}

fn place(tree: &mut Value, path: &str, value: Value) {
    let Value::Object(map) = tree else { return };
    match path.split_once('.') {
        None => {
            map.insert(path.to_owned(), value);
        }
        Some((step, rest)) => {
            let inner = map.entry(step).or_insert_with(|| Value::Object(Map::new()));
            match inner {
                Value::Array(items) => items.push(json!({rest: value})),
                _ => place(inner, rest, value),
            }
        }
    }
}

/// One of the many ways to write a tree: blanks, escapes, keys that stand twice.
struct Spelling {
    seed: u64,
    /// 0: compact; 1: with blanks; 2: with escapes too; 3: and with keys twice.
    layout: u8,
}

impl Spelling {
    /// Whether something happens that does so once in a while.
    fn now_and_then(&mut self, layout: u8, often: u64) -> bool {
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.layout >= layout && (self.seed >> 33).is_multiple_of(often)
    }

    fn blank(&mut self, out: &mut String) {
        if self.now_and_then(1, 3) {
            out.push_str([" ", "\n", "\t", "\r\n  "][(self.seed >> 60) as usize % 4]);
        }
    }

    fn text(&mut self, text: &str, out: &mut String) {
        if !self.now_and_then(2, 3) {
            out.push_str(&Value::from(text).to_string());
            return;
        }
        out.push('"');
        for c in text.chars() {
            if c == '/' || !self.now_and_then(2, 2) {
                let plain = Value::from(c.to_string()).to_string();
                out.push_str(&plain[1..plain.len() - 1]);
            } else {
                let mut units = [0; 2];
                c.encode_utf16(&mut units)
                    .iter()
                    .for_each(|unit| out.push_str(&format!("\\u{unit:04X}")));
            }
        }
        out.push('"');
    }

    fn write(&mut self, value: &Value, out: &mut String) {
        match value {
            Value::String(text) => self.text(text, out),
            Value::Array(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { "," });
                    self.blank(out);
                    self.write(item, out);
                    self.blank(out);
                }
                out.push(']');
            }
            Value::Object(map) => {
                out.push('{');
                for (at, (key, value)) in map.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { "," });
                    self.blank(out);
                    if self.now_and_then(3, 5) {
                        self.text(key, out);
                        out.push_str(":[\"ab\",{\"id\":\"ab\"}],");
                    }
                    self.text(key, out);
                    self.blank(out);
                    out.push(':');
                    self.blank(out);
                    self.write(value, out);
                    self.blank(out);
                }
                out.push('}');
            }
            other => out.push_str(&other.to_string()),
        }
    }
}
