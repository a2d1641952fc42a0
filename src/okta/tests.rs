//! What is an event, what is none, and what a record holds.

use super::*;

/// What is left of an event when it was shown.
#[derive(Debug, PartialEq)]
struct Seen {
    raw: Vec<u8>,
    uuid: Option<String>,
    timed: bool,
    a: Option<String>,
}

fn read(raw: &[u8], mapping: Mapping) -> Result<Vec<Seen>, NotAnEvent> {
    let mut wanted = Wanted::default();
    let a = wanted.add(["a"]);
    let mut seen = Vec::new();
    Records::new(mapping, &wanted).read(raw, &mut |event, _| {
        seen.push(Seen {
            raw: event.raw.to_vec(),
            uuid: event.uuid(),
            timed: event.time.is_some(),
            a: event
                .fields
                .first(a)
                .and_then(|value| value.shown())
                .map(|text| text.into_owned()),
        });
    })?;
    Ok(seen)
}

#[test]
fn what_is_not_an_event_says_why() {
    let cases: [(&[u8], &str); 7] = [
        (b"", "not JSON: EOF while parsing a value, at byte 0"),
        (b"{\"a\":", "not JSON: EOF while parsing a value, at byte 5"),
        (b"42", "expected a JSON object, found a number"),
        (b"[1]", "expected a JSON object, found an array"),
        (b"{\"a\":\"\xff\"}", "not UTF-8 text"),
        (
            b"{\"eventType\":\"com.okta.event_hook\"}",
            "an event-hook envelope without `data.events`",
        ),
        (
            b"{\"eventType\":\"com.okta.event_hook\",\"data\":{\"events\":[1]}}",
            "expected a JSON object, found a number",
        ),
    ];
    for (raw, expected) in cases {
        let error = read(raw, Mapping::Okta).expect_err("not an event");
        assert_eq!(error.to_string(), expected);
    }
    let deep = "[".repeat(1_000_000);
    assert!(matches!(
        read(deep.as_bytes(), Mapping::Okta),
        Err(NotAnEvent::Syntax(_))
    ));
}

#[test]
fn the_body_of_a_hook_is_opened_without_its_envelope() {
    let cases = [
        (r#"{"data":{"events":[{"uuid":"a"},{"uuid":"b"}]}}"#, 2),
        (r#"{"data":{"events":[]}}"#, 0),
        (r#"{"data":{"events":7}}"#, 1),
        (
            r#"{"eventType":"user.session.start","data":{"events":[{},{}]}}"#,
            1,
        ),
    ];
    for (raw, expected) in cases {
        let events = read(raw.as_bytes(), Mapping::Auto).expect(raw);
        assert_eq!(events.len(), expected, "{raw}");
    }
}

#[test]
fn half_a_surrogate_pair_hides_no_event() {
    let cases = [
        (r#"{"a":"x\ud800y"}"#, "x\u{fffd}y"),
        (r#"{"a":"\udc00\ud83d\ude00"}"#, "\u{fffd}\u{1f600}"),
        (
            r#"{"a":"\ud800\ud83d\ude00\uD8AB"}"#,
            "\u{fffd}\u{1f600}\u{fffd}",
        ),
        (r#"{"a":"\\ud800 \ud800"}"#, "\\ud800 \u{fffd}"),
    ];
    for (raw, expected) in cases {
        let events = read(raw.as_bytes(), Mapping::Okta).expect(raw);
        let found: Vec<_> = events.iter().map(|event| event.a.as_deref()).collect();
        assert_eq!(found, [Some(expected)], "{raw}");
    }
}

#[test]
fn an_envelope_holds_events_with_their_own_bytes() {
    let raw = br#"{"eventType":"com.okta.event_hook","data":{"events":[{"uuid":"a","published":"2026-01-01T00:00:00Z"},{"uuid":"b"}]}}"#;
    let events = read(raw, Mapping::Auto).expect("an envelope");
    let seen: Vec<_> = events
        .iter()
        .map(|e| (e.uuid.as_deref(), e.timed, e.raw.as_slice()))
        .collect();
    let first = br#"{"uuid":"a","published":"2026-01-01T00:00:00Z"}"#.as_slice();
    let second = br#"{"uuid":"b"}"#.as_slice();
    assert_eq!(seen, [(Some("a"), true, first), (Some("b"), false, second)]);
}

#[test]
fn an_envelope_is_read_as_its_tree_has_it_or_refused_as_a_whole() {
    let cases = [
        // The last of two values of a key counts, as in a tree.
        (
            r#"{"data":{"events":[]},"data":{"events":[{}],"events":[{},{}]}}"#,
            Ok(2),
        ),
        // Half of a surrogate pair around the events hides none of them.
        (r#"{"\ud800":"\udc00","data":{"events":[{},{}]}}"#, Ok(2)),
        // A list is no object whose members come in order.
        (
            r#"{"eventType":"com.okta.event_hook","data":[[{}]]}"#,
            Err(NotAnEvent::EmptyEnvelope),
        ),
        (
            r#"{"data":{"events":[{},2]}}"#,
            Err(NotAnEvent::Shape("a number")),
        ),
    ];
    for (raw, expected) in cases {
        let read = read(raw.as_bytes(), Mapping::Auto).map(|events| events.len());
        assert_eq!(read, expected, "{raw}");
    }
}

#[test]
fn a_record_of_very_many_objects_is_read_only_where_no_tree_is_built() {
    let with = |objects: usize, first: &str| {
        let text = "{},".repeat(objects - 1);
        format!(r#"{{{first},"b":[{text}"{{\"{{"]}}"#)
    };
    let cases = [
        (with(MOST_OBJECTS, r#""c":1"#), Ok(1)),
        (
            with(MOST_OBJECTS + 1, r#""c":1"#),
            Err(NotAnEvent::TooManyObjects),
        ),
        (with(MOST_OBJECTS + 1, r#""eventType":"e""#), Ok(1)),
        (with(MOST_OBJECTS + 1, r#" "eventType":"e""#), Ok(1)),
    ];
    for (raw, expected) in cases {
        let read = read(raw.as_bytes(), Mapping::Auto).map(|events| events.len());
        assert_eq!(read, expected, "{} bytes", raw.len());
    }
}

/// A record with blanks between its tokens, escapes in its keys, and one byte changed.
fn near_record() -> impl proptest::strategy::Strategy<Value = String> {
    use proptest::prelude::*;
    let blank = || proptest::sample::select(vec!["", "", "", " ", "\n", "\t "]);
    let value = proptest::sample::select(vec![
        "1",
        "\"x y\"",
        "null",
        "[ ]",
        "[1,\"a\"]",
        "{\"a\": 2 }",
        "true",
        "1 2",
        "\"a\" \"b\"",
        "\"\\ud800\"",
        "{}",
        "t rue",
    ]);
    let key = proptest::sample::select(vec![
        "\"a\"",
        "\"b\"",
        "\"eventType\"",
        "\"\\u0061\"",
        "\"uuid\"",
    ]);
    let member = (blank(), key, blank(), value, blank())
        .prop_map(|(one, key, two, value, three)| format!("{one}{key}{two}:{value}{three}"));
    (
        proptest::collection::vec(member, 0..5),
        blank(),
        0..40_usize,
    )
        .prop_map(|(members, end, cut)| {
            let mut text = format!("{{{}{end}}}", members.join(","));
            if cut < 4 {
                text.truncate(text.len() / (cut + 1));
            }
            text
        })
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(4_000))]

    /// Whichever way a record is read, it is an event when it is JSON, and holds what the tree holds.
    #[test]
    fn both_ways_read_the_same(text in near_record()) {
        let tree: Result<Value, _> = parse(&text);
        let seen = read(text.as_bytes(), Mapping::Okta);
        proptest::prop_assert_eq!(seen.is_ok(), tree.is_ok(), "{:?} {:?}", seen, tree);
        if let (Ok(seen), Ok(tree)) = (seen, tree) {
            let expected = json::reference::shown(["a"].into_iter(), &tree);
            let expected = expected.into_iter().next().filter(|text| text != "-");
            let found: Vec<_> = seen.iter().map(|event| event.a.clone()).collect();
            proptest::prop_assert_eq!(found, [expected]);
        }
    }
}
