//! Texts that hold values, and texts that seem to.

use serde_json::{Value, json};

use super::Notation;
use crate::json::reference::{Accessor, exists, opened, shown};
use crate::json::{Reader, Wanted};

/// What a path below `t` finds in a text: its texts, `-` for what has none; `None` where
/// the key is not there. Both ways of reading agree.
fn read(path: &str, text: &str, notation: Notation) -> Option<Vec<String>> {
    let event = json!({"t": text, "z": "z"});
    let found = read_record(path, &event, &[("t", notation)]);
    let escaped: String = text
        .encode_utf16()
        .map(|unit| format!("\\u{unit:04x}"))
        .collect();
    let escaped = format!("{{\"t\":\"{escaped}\",\"z\":\"z\"}}");
    let again = find(path, &escaped, &[("t", notation)]);
    assert_eq!(again, found, "{path} of {text}, escaped");
    found
}

fn read_record(path: &str, event: &Value, accessors: &[Accessor]) -> Option<Vec<String>> {
    let found = find(path, &event.to_string(), accessors);
    let tree = opened(path.split('.'), event, accessors);
    let expected = exists(path.split('.'), &tree).then(|| shown(path.split('.'), &tree));
    assert_eq!(found, expected, "{path} of {event}");
    found
}

fn find(path: &str, event: &str, accessors: &[Accessor]) -> Option<Vec<String>> {
    let mut wanted = Wanted::default();
    let slot = wanted.add(path.split('.'));
    for (path, notation) in accessors {
        wanted.read_inside(path.split('.'), *notation);
    }
    let mut reader = Reader::new(wanted);
    let fields = reader.read(event.as_bytes()).expect("a compact record");
    let texts = fields.values(slot).map(|value| {
        let text = value.shown();
        text.map_or("-".to_owned(), |text| text.into_owned())
    });
    fields.exists(slot).then(|| texts.collect())
}

type Case<'c> = (&'c str, &'c str, Option<&'c [&'c str]>);

#[track_caller]
fn check(notation: Notation, cases: &[Case<'_>]) {
    for (path, text, expected) in cases {
        let expected = expected.map(|texts| texts.iter().map(|text| (*text).to_owned()).collect());
        assert_eq!(read(path, text, notation), expected, "{path} of {text}");
    }
}

#[test]
fn what_okta_writes_as_java_does() {
    let behaviors = "{New Geo-Location=NEGATIVE, New Device=POSITIVE, Velocity=UNKNOWN}";
    let reasons = "{reasons=Anomalous Location, New Device, New IP, level=HIGH}";
    let partners =
        "[{reasons=malware detected, malicious proxy, level=HIGH, name=a}, {name=b, level=MEDIUM}]";
    let conditions = "[{result=false, condition=security.userBehaviors['New Device'].detected}, {result=true, condition=security.risk.level == 'LOW'}]";
    let modes =
        "{LOGIN={currentMode=ENFORCE, previousMode=DISABLE}, AUTHORIZE={currentMode=PREVIEW}}";
    let zones = "{Anomalous Location: Country=NEGATIVE, 857d6e8a-1418=POSITIVE}";
    #[rustfmt::skip]
    check(Notation::Map, &[
        ("t.level", "{level=LOW}", Some(&["LOW"])),
        ("t.reasons", "{level=LOW}", None),
        ("t", "{level=LOW}", Some(&["{level=LOW}"])),
        ("t.New Device", behaviors, Some(&["POSITIVE"])),
        ("t.New Geo-Location", behaviors, Some(&["NEGATIVE"])),
        ("t.New", behaviors, None),
        ("t.reasons", reasons, Some(&["Anomalous Location, New Device, New IP"])),
        ("t.level", reasons, Some(&["HIGH"])),
        ("t.level", partners, Some(&["HIGH", "MEDIUM"])),
        ("t.reasons", partners, Some(&["malware detected, malicious proxy"])),
        ("t.condition", conditions, Some(&["security.userBehaviors['New Device'].detected", "security.risk.level == 'LOW'"])),
        ("t.result", conditions, Some(&["false", "true"])),
        ("t.LOGIN.currentMode", modes, Some(&["ENFORCE"])),
        ("t.LOGIN", modes, Some(&["-"])),
        ("t.AUTHORIZE.previousMode", modes, None),
        ("t.Anomalous Location: Country", zones, Some(&["NEGATIVE"])),
        ("t.roles.in", "{plan=1, roles=[{in=[], role=a}, {in=[x, y], role=b}]}", Some(&["x", "y"])),
    ]);
}

#[test]
fn what_is_ambiguous_or_broken_in_a_map() {
    let deep = |levels: usize| format!("{}{}", "{a=".repeat(levels), "}".repeat(levels));
    let (deep, deeper) = (deep(32), deep(33));
    let path = vec!["t"; 1].into_iter().chain(vec!["a"; 32]);
    let path = path.collect::<Vec<_>>().join(".");
    #[rustfmt::skip]
    check(Notation::Map, &[
        ("t.a", "{}", None),
        ("t.a", "{a=}", Some(&[""])),
        ("t.a", "{a=, b=}", Some(&[""])),
        ("t.b", "{a=, b=}", Some(&[""])),
        ("t.a", "{a=null}", Some(&["null"])),
        ("t.a", "  { a=x }  ", Some(&["x"])),
        ("t.a", "{a= x }", Some(&["x"])),
        ("t.a", "{a=x,b=y}", Some(&["x,b=y"])),
        ("t.a", "{a=x=y}", Some(&["x=y"])),
        ("t.a", "{a=x, y == z}", Some(&["x, y == z"])),
        ("t.a", "{a=x,  b=y}", Some(&["x,  b=y"])),
        ("t.a", "{a=x, , y}", Some(&["x, , y"])),
        ("t.a", "{a=x, b=y, a=z}", Some(&["x", "z"])),
        ("t.a", "{a=(x, b=y)}", Some(&["(x"])),
        ("t.a", "{a=f[x, b=y]}", Some(&["f[x, b=y]"])),
        ("t.a", "{a={x, y}}", Some(&["{x, y}"])),
        ("t.a", "{a={x=1} {y=2}}", Some(&["{x=1} {y=2}"])),
        ("t.a.x", "{a={x=1} {y=2}}", None),
        ("t.a", "{a=[x, y, [z]]}", Some(&["x", "y", "z"])),
        ("t.a", "{a=[]}", Some(&[])),
        ("t.a", "{a=[, ]}", Some(&["", ""])),
        ("t.a", "{a=[ ]}", Some(&[])),
        ("t.a", "{a=x, }", Some(&["x,"])),
        ("t.a", "{ }", None),
        ("t.a", "{", None),
        ("t.a", "{b={, a=x}", Some(&["x"])),
        ("t.a", "[[{a=1}], {a=2}]", Some(&["1", "2"])),
        ("t.a", "[a, b]", None),
        ("t.a", r#"{a="x", b=\n}"#, Some(&[r#""x""#])),
        ("t.b", r#"{a="x", b=\n}"#, Some(&[r"\n"])),
        ("t.a", "{a=é\n\u{1}😀/}", Some(&["é\n\u{1}😀/"])),
        // No map.
        ("t.a", "", None),
        ("t.a", "HIGH", None),
        ("t.a", "a=x, b=y", None),
        ("t.a", "{x, a=y}", None),
        ("t.a", "{=x, a=y}", None),
        ("t.a", "{[a]=x}", None),
        ("t.a", "{a=x]", None),
        ("t.a", "{{a=x}", None),
        ("t.a", "{a=x", None),
        ("t.a", "{a=x} ", Some(&["x"])),
        ("t.a", "{a=x}.", None),
        (&path, &deep, Some(&[""])),
        (&path, &deeper, None),
    ]);
}

#[test]
fn a_bracket_in_a_value_hides_no_other_member() {
    let deep = format!("{{a={}{}, b=y}}", "[".repeat(40), "]".repeat(40));
    let partners = "[{reasons=a]b, level=HIGH, name=x}, {reasons=c}, {d, level=LOW, name=y}]";
    #[rustfmt::skip]
    check(Notation::Map, &[
        ("t.level", "{reasons=a]b, level=HIGH}", Some(&["HIGH"])),
        ("t.reasons", "{reasons=a]b, level=HIGH}", Some(&["a]b"])),
        ("t.level", "{reasons=a{b, level=HIGH}", Some(&["HIGH"])),
        ("t.level", "{reasons=Anomalous Device (x], level=HIGH}", Some(&["HIGH"])),
        ("t.level", "{level=HIGH, reasons=x}}", Some(&["HIGH"])),
        ("t.reasons", "{level=HIGH, reasons=x}}", Some(&["x}"])),
        ("t.reasons", "{reasons=[a, New Device, level=HIGH}", Some(&["[a, New Device"])),
        ("t.level", "{reasons=], level=LOW, level=HIGH}", Some(&["LOW", "HIGH"])),
        ("t.b", &deep, Some(&["y"])),
        ("t.a", "{a=x}}", Some(&["x}"])),
        ("t.a", "{a=x}} {", Some(&["x}"])),
        ("t.a", " { a=]  }", Some(&["]"])),
        ("t.a", "{a=x]}", Some(&["x]"])),
        ("t.a", "{a=[x, b=y}", Some(&["[x"])),
        ("t.b", "{a=[x, b=y}", Some(&["y"])),
        ("t.a.c", "{a={c=1}, b=]}", None),
        ("t.a", "{a={c=1}, b=]}", Some(&["{c=1}"])),
        ("t.b", "{a={c=1}, b=]}", Some(&["]"])),
        ("t.d", "{a={c=1, d=2}, b=]}", Some(&["2}"])),
        ("t.a", "{x], a=y}", None),
        ("t.a", "{}]", None),
        // Of lists, the maps.
        ("t.level", partners, Some(&["HIGH", "LOW"])),
        ("t.name", partners, Some(&["x", "y"])),
        ("t.reasons", partners, Some(&["a]b", "c}, {d"])),
        ("t.a", "[{a=x}, {a=]}, {a=y}]", Some(&["x", "]", "y"])),
        ("t.a", "[{}, {a=]}]", Some(&["]"])),
        ("t.a", "[{b}, {a=]}]", Some(&["]"])),
        ("t.a", "[b, {a=]}]", None),
        ("t.a", "[ {a=]}", Some(&["]"])),
        ("t.b", "{a=], b=[{c=1}, {b=2}]}", Some(&["[{c=1}, {b=2}]"])),
        ("t.a", "[{a=]", None),
        ("t.a", "]{a=x}", None),
        ("t.a", "}{", None),
    ]);
}

#[test]
fn json_in_a_text() {
    let okta = r#"{"risk":{"level":"HIGH", "reasons" : "Anomalous Device"},"behaviors":{"New IP":"POSITIVE"}}"#;
    let deep = |levels: usize| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
    let (deep, deeper) = (deep(127), deep(128));
    let path = format!("t{}", ".a".repeat(127));
    #[rustfmt::skip]
    check(Notation::Json, &[
        ("t.risk.level", okta, Some(&["HIGH"])),
        ("t.risk.reasons", okta, Some(&["Anomalous Device"])),
        ("t.risk", okta, Some(&["-"])),
        ("t.behaviors.New IP", okta, Some(&["POSITIVE"])),
        ("t.behaviors.New", okta, None),
        ("t", "{}", Some(&["{}"])),
        ("t.type", r#"[{"anonymous":true,"type":"VPN"},[{"type":"TOR"}]]"#, Some(&["VPN", "TOR"])),
        ("t.anonymous", r#"[{"anonymous":true,"type":"VPN"}]"#, Some(&["true"])),
        ("t.a", "\n { \"a\" :\t[ 1 , null,{ } , [ ] ] }\r\n", Some(&["1", "-", "-"])),
        ("t.a", r#"{"a":-0.5e3}"#, Some(&["-500.0"])),
        ("t.a", r#"{"a":[]}"#, Some(&[])),
        ("t.a", r#"{"a":"x\n\u00e4\"\\ \/"}"#, Some(&["x\nä\"\\ /"])),
        ("t.a", r#"{"a":"\ud800"}"#, Some(&["\u{fffd}"])),
        ("t.a", r#"{"a":1,"a":2}"#, Some(&["2"])),
        ("t.a.b", r#"{"a":{"b":1},"a":{"c":2}}"#, None),
        ("t.a", r#"{"\u0061":"\ud800"}"#, Some(&["\u{fffd}"])),
        ("t.a", r#"{"b":"\ud800","a":1}"#, Some(&["1"])),
        ("t.a.b", r#"{"a":"{\"b\":1}"}"#, None),
        // No JSON.
        ("t.a", "", None),
        ("t.a", "\"a\"", None),
        ("t.a", "[1,\"a\"]", None),
        ("t.a", r#"{"a":1"#, None),
        ("t.a", r#"{"a":1}}"#, None),
        ("t.a", r#"{"a":1,}"#, None),
        ("t.a", r#"{"a":01}"#, None),
        ("t.a", r#"{"a":1e999}"#, None),
        ("t.a", r#"{"a":1,"b":1e999}"#, None),
        ("t.a", r#"{"a":1 "b":2}"#, None),
        ("t.a", r#"{"a" 1}"#, None),
        ("t.a", r#"{a:1}"#, None),
        ("t.a", r#"{"a":[1,]}"#, None),
        ("t.a", r#"{"a":[1}"#, None),
        ("t.a", r#"{"a":tru}"#, None),
        ("t.a", r#"{"a":"\x"}"#, None),
        ("t.a", r#"{"a":"\u12"}"#, None),
        ("t.a", "{\"a\":\"\u{1}\"}", None),
        ("t.a", r#"{"a":1,"b":"x}"#, None),
        ("t.a", "{\"a\":1\u{a0}}", None),
        ("t.a", r#"{'a':1}"#, None),
        (&path, &deep, Some(&["1"])),
        (&path, &deeper, None),
    ]);
}

#[test]
fn texts_in_arrays_in_objects_and_in_texts() {
    const MAP: &[Accessor] = &[("t", Notation::Map)];
    const NESTED: &[Accessor] = &[
        ("t", Notation::Json),
        ("t.m", Notation::Map),
        ("t.m.j", Notation::Json),
    ];
    let texts = |all: &[&str]| Some(all.iter().map(|text| (*text).to_owned()).collect());
    let event = json!({"t": ["{a=1}", {"a": 2}, ["{a=3}"], "{a", 4, null, "{b=1}"]});
    assert_eq!(read_record("t.a", &event, MAP), texts(&["1", "2", "3"]));
    let event = json!({"t": {"a": "{a=1}"}});
    assert_eq!(read_record("t.a", &event, MAP), texts(&["{a=1}"]));
    let event = json!({"t": r#"{"m":"{j={\"a\":\"x\"}, k=v}"}"#});
    assert_eq!(read_record("t.m.j.a", &event, NESTED), texts(&["x"]));
    assert_eq!(read_record("t.m.k", &event, NESTED), texts(&["v"]));
    assert_eq!(
        read_record("t.m", &event, NESTED),
        texts(&["{j={\"a\":\"x\"}, k=v}"])
    );
    assert_eq!(
        read_record("t.m.j", &event, NESTED),
        texts(&["{\"a\":\"x\"}"])
    );
}

#[test]
fn a_text_is_looked_into_up_to_a_length() {
    for (notation, before, after) in [
        (Notation::Map, "{a=", "}"),
        (Notation::Json, "{\"a\":\"", "\"}"),
    ] {
        for (length, found) in [
            (super::LONGEST_TEXT, true),
            (super::LONGEST_TEXT + 1, false),
        ] {
            let filling = "é".repeat((length - before.len() - after.len()) / 2);
            let odd = "x".repeat(length - before.len() - after.len() - filling.len());
            let text = format!("{before}{filling}{odd}{after}");
            assert_eq!(text.len(), length);
            assert_eq!(read("t.a", &text, notation).is_some(), found, "{length}");
        }
    }
}

#[test]
fn a_text_that_comes_again_has_the_same_inside() {
    fn texts(all: [&[&str]; 3]) -> [Vec<String>; 3] {
        all.map(|texts| texts.iter().map(|text| (*text).to_owned()).collect())
    }
    let mut wanted = Wanted::default();
    let slots = ["t.a", "t.b", "u.a"].map(|path| wanted.add(path.split('.')));
    wanted.read_inside(["t"], Notation::Map);
    wanted.read_inside(["u"], Notation::Json);
    let mut reader = Reader::new(wanted);
    let mut read = |event: Value| {
        let text = event.to_string();
        let fields = reader.read(text.as_bytes()).expect("a compact record");
        slots.map(|slot| {
            let texts = fields.values(slot).filter_map(|value| value.shown());
            texts.map(|text| text.into_owned()).collect::<Vec<_>>()
        })
    };
    let both = r#"{"a":"=y, a=z"}"#;
    for _ in 0..3 {
        let event = json!({"t": ["{a=x}", "{b=y}", "{a=x}"], "u": [both, "{}"]});
        assert_eq!(read(event), texts([&["x", "x"], &["y"], &["=y, a=z"]]));
        let event = json!({"t": ["{b=y}", both], "u": [1, both, both]});
        assert_eq!(
            read(event),
            texts([&["z\""], &["y"], &["=y, a=z", "=y, a=z"]])
        );
        let event = json!({"t": "{a=x", "u": "{a=x"});
        assert_eq!(read(event), texts([&[], &[], &[]]));
    }
    for number in 0..2_000 {
        let event = json!({"t": format!("{{a={number}}}")});
        assert_eq!(read(event)[0], [number.to_string()]);
    }
}
