//! Records that are read, and records that are not.

use proptest::prelude::*;
use serde_json::Value;

use super::reference::{exists, shown};
use super::{Reader, Wanted};

/// The texts of a wanted field, or that the record is not read.
fn read(path: &str, text: &[u8]) -> Option<Vec<String>> {
    let mut wanted = Wanted::default();
    let slot = wanted.add(path.split('.'));
    let mut reader = Reader::new(wanted);
    let fields = reader.read(text)?;
    Some(
        fields
            .values(slot)
            .map(|value| {
                value
                    .shown()
                    .map_or("-".to_owned(), |text| text.into_owned())
            })
            .collect(),
    )
}

#[test]
fn compact_records_are_read_and_others_are_not() {
    let long = format!(r#"{{"x":"{}","a":"y"}}"#, "\\\\\\\"{[,".repeat(100));
    let deep = format!(r#"{{"x":{}{},"a":"y"}}"#, "[".repeat(126), "]".repeat(126));
    let deeper = format!(r#"{{"x":{}{},"a":"y"}}"#, "[".repeat(127), "]".repeat(127));
    let wanted = |inner: &str, arrays| {
        let (open, close) = ("[".repeat(arrays), "]".repeat(arrays));
        format!(r#"{{"a":{open}{inner}{close}}}"#)
    };
    let [deep_text, deeper_text] = [126, 127].map(|arrays| wanted(r#""y""#, arrays));
    let [deep_object, deeper_object] =
        ["1", "{}"].map(|inner| wanted(&format!(r#"{{"b":{inner}}}"#), 125));
    #[rustfmt::skip]
    let cases: [(&str, Option<&[&str]>); 79] = [
        (r#"{}"#, Some(&[])),
        (r#"{"a":"y"}"#, Some(&["y"])),
        (r#"{"a":["y",[1,null],{},{"b":2}]}"#, Some(&["y", "1", "-", "-", "-"])),
        (r#"{"a":[]}"#, Some(&[])),
        (r#"{"a":{}}"#, Some(&["-"])),
        (r#"{"a":-12.50e0}"#, Some(&["-12.5"])),
        (r#"{"a":1E+3}"#, Some(&["1000.0"])),
        (r#"{"a":1e999}"#, None),
        (r#"{"a":1e}"#, None),
        (r#"{"a":1e+}"#, None),
        (r#"{"a":1ex}"#, None),
        (r#"{"a":-12.50}"#, Some(&["-12.5"])),
        (r#"{"a":-0}"#, Some(&["-0.0"])),
        (r#"{"a":1234567890123456789012}"#, Some(&["1.2345678901234568e+21"])),
        (r#"{"a":true,"b":false}"#, Some(&["true"])),
        (r#"{"a":"\u00e4\n\/\ud83d\ude00\ud800"}"#, Some(&["ä\n/😀\u{fffd}"])),
        (r#"{"a":"\\\\\""}"#, Some(&["\\\\\""])),
        (r#"{"b":{"a":"x"},"a":"y","c":[[],{},[{}]]}"#, Some(&["y"])),
        (&long, Some(&["y"])),
        (&deep, Some(&["y"])),
        (&deeper, None),
        (&deep_text, Some(&["y"])),
        (&deeper_text, None),
        (&deep_object, Some(&["-"])),
        (&deeper_object, None),
        // Not compact, or a key that may hide another.
        (r#"{"a": "y"}"#, None),
        (r#"{ "a":"y"}"#, None),
        (r#"{"a" :"y"}"#, None),
        (r#"{"a":"y" }"#, None),
        (r#"{"b":1 ,"a":"y"}"#, None),
        (r#" {"a":"y"}"#, None),
        (r#"{"a":1,"a":"y"}"#, None),
        (r#"{"\u0061":"y"}"#, None),
        (r#"{"b":1,"b":{"a":2}}"#, Some(&[])),
        // Not JSON.
        ("", None),
        (r#"{"#, None),
        (r#"}"#, None),
        (r#"{"a":"y""#, None),
        (r#"{"a":"y"}}"#, None),
        (r#"{"a":"y"}x"#, None),
        (r#"{"a":"y"}""#, None),
        (r#"{"a":"y",}"#, None),
        (r#"{,"a":"y"}"#, None),
        (r#"{"a":"y","b"}"#, None),
        (r#"{"a":"y","b":}"#, None),
        (r#"{"a":"y","b","c":1}"#, None),
        (r#"{"a":"y","b":1:2}"#, None),
        (r#"{"a":"y","b":"c":2}"#, None),
        (r#"{"a":"y" "b":2}"#, None),
        (r#"{"a":"y""b":2}"#, None),
        (r#"{"a":"y","b":"c"d}"#, None),
        (r#"{"a":"y","b":d"c"}"#, None),
        (r#"{"a":"y","b":1"c"}"#, None),
        (r#"{"a":"y",b:2}"#, None),
        (r#"{"a":"y",1:2}"#, None),
        (r#"{"a":"y",{}:2}"#, None),
        (r#"{"a":"y","b":[1,]}"#, None),
        (r#"{"a":"y","b":[,1]}"#, None),
        (r#"{"a":"y","b":[1:2]}"#, None),
        (r#"{"a":"y","b":[1 2]}"#, None),
        (r#"{"a":"y","b":["c":2]}"#, None),
        (r#"{"a":"y","b":[1}}"#, None),
        (r#"{"a":"y","b":{"c":1]}"#, None),
        (r#"{"a":"y","b":{"c":1}1}"#, None),
        (r#"{"a":"y","b":[]1}"#, None),
        (r#"{"a":"y","b":{"c"}}"#, None),
        (r#"{"a":"y","b":{"c":1,}}"#, None),
        (r#"{"a":"y","b":tru}"#, None),
        (r#"{"a":"y","b":truex}"#, None),
        (r#"{"a":"y","b":01}"#, None),
        (r#"{"a":"y","b":1.}"#, None),
        (r#"{"a":"y","b":.5}"#, None),
        (r#"{"a":"y","b":+5}"#, None),
        (r#"{"a":"y","b":-}"#, None),
        (r#"{"a":"y","b":"\x"}"#, None),
        (r#"{"a":"y","b":"\u00g0"}"#, None),
        ("{\"a\":\"y\",\"b\":\"\t\"}", None),
        ("{\"a\":\"y\",\"b\":\u{1}1}", None),
        (r#"["a"]"#, None),
    ];
    for (text, expected) in cases {
        let expected = expected.map(|texts| texts.iter().map(|text| (*text).to_owned()).collect());
        assert_eq!(read("a", text.as_bytes()), expected, "{text}");
        // What is read is what the parser takes.
        let parsed = serde_json::from_str::<Value>(text);
        assert!(
            expected.is_none() || parsed.is_ok() || text.contains("\\ud800"),
            "{text}"
        );
    }
    assert_eq!(read("a", b"{\"a\":\"y\",\"b\":\"\xff\"}"), None);
    assert_eq!(read("", br#"{"":"y"}"#), Some(vec!["y".to_owned()]));
}

#[test]
fn a_key_that_needs_escapes_is_found_among_others_that_begin_alike() {
    let text = br#"{"a\"b":1,"ade":2,"ab":3}"#;
    for paths in [["a\"b", "ade", "ab"], ["ade", "ab", "a\"b"]] {
        let mut wanted = Wanted::default();
        let slots = paths.map(|path| wanted.add([path]));
        let mut reader = Reader::new(wanted);
        for canonical in [false, true] {
            let fields = reader.fields(text, canonical).expect("compact");
            let there = slots.map(|slot| fields.exists(slot));
            assert_eq!(there, [true; 3], "{paths:?}");
        }
    }
}

/// A text near JSON: a tree in compact form with a few bytes changed.
fn near_json() -> impl Strategy<Value = Vec<u8>> {
    let key = "[ab]{0,2}";
    let leaf = prop_oneof![
        "[a-c\"\\\\/ ä😀{}\\[\\],:\n\u{1}]{0,80}".prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
    ];
    let tree = leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(key, inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    });
    let change = (
        any::<proptest::sample::Index>(),
        proptest::sample::select(b"{}[]:,\"\\ \t\x00a01-.eutn\xff".to_vec()),
        0..3_u8,
    );
    (tree, proptest::collection::vec(change, 0..3)).prop_map(|(tree, changes)| {
        let mut text = serde_json::json!({"a": tree, "b": [tree]})
            .to_string()
            .into_bytes();
        for (at, byte, how) in changes {
            let at = at.index(text.len());
            match how {
                0 => text[at] = byte,
                1 => text.insert(at, byte),
                _ => drop(text.remove(at)),
            }
        }
        text
    })
}

#[test]
fn paths_walk_objects_and_any_element_of_arrays() {
    let event = serde_json::json!({
        "actor": {"id": "a", "none": null},
        "target": [{"id": 1}, {"id": 2, "tags": ["x", "y"]}, [{"id": 3}]],
        "empty": [],
    });
    let cases: [(&str, &[&str], bool); 8] = [
        ("actor.id", &["a"], true),
        ("actor.none", &["-"], true),
        ("actor.nope", &[], false),
        ("actor.id.deeper", &[], false),
        ("target.id", &["1", "2", "3"], true),
        ("target.tags", &["x", "y"], true),
        ("empty", &[], true),
        ("empty.x", &[], false),
    ];
    let text = event.to_string();
    for (path, expected, there) in cases {
        assert_eq!(
            read(path, text.as_bytes()).expect("compact"),
            expected,
            "{path}"
        );
        assert_eq!(shown(path.split('.'), &event), expected, "{path}");
        let mut wanted = Wanted::default();
        let slot = wanted.add(path.split('.'));
        let mut reader = Reader::new(wanted);
        let found = reader.read(text.as_bytes()).expect("compact").exists(slot);
        assert_eq!(
            (found, exists(path.split('.'), &event)),
            (there, there),
            "{path}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// What is read is JSON, and its values are those of the parser.
    #[test]
    fn nothing_is_read_that_the_parser_refuses(text in near_json()) {
        for path in ["a", "a.a", "b.a.b", "b"] {
            let Some(found) = read(path, &text) else { continue };
            let repaired = String::from_utf8(text.clone()).expect("UTF-8");
            let tree: Result<Value, _> = serde_json::from_str(&repaired);
            // Half a surrogate pair is read here and refused by the parser.
            let Ok(tree) = tree else {
                prop_assert!(repaired.contains("\\u"), "{repaired}");
                continue;
            };
            let expected: Vec<String> = shown(path.split('.'), &tree);
            prop_assert_eq!(found, expected);
        }
    }

    /// What the serialiser writes is read, whatever its keys are.
    #[test]
    fn the_serialiser_s_form_is_read(text in near_json()) {
        if let Ok(tree @ Value::Object(_)) = serde_json::from_slice::<Value>(&text) {
            let mut wanted = Wanted::default();
            let slot = wanted.add(["a", "b"]);
            let mut reader = Reader::new(wanted);
            let text = tree.to_string();
            let fields = reader.read_canonical(text.as_bytes());
            let found = fields.map(|fields| fields.exists(slot));
            prop_assert_eq!(found, Some(exists(["a", "b"].into_iter(), &tree)));
        }
    }
}
