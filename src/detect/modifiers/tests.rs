//! Each modifier: what it lets through, what it nearly does, and what it cannot stand with.

use serde_json::json;

use crate::detect::search::tests::holds;

#[test]
fn lines_hold_for_what_their_modifiers_say() {
    #[rustfmt::skip]
    let cases = [
        // Option dashes: each of five, at the beginning of an option only.
        ("{x|windash: 'ping -n 6'}", json!({"x": "ping -n 6"}), true),
        ("{x|windash: 'ping -n 6'}", json!({"x": "PING /n 6"}), true),
        ("{x|windash: 'ping /n 6'}", json!({"x": "ping –n 6"}), true),
        ("{x|windash: 'ping -n 6'}", json!({"x": "ping —n 6"}), true),
        ("{x|windash: 'ping -n 6'}", json!({"x": "ping ―n 6"}), true),
        ("{x|windash: 'ping -n 6'}", json!({"x": "ping +n 6"}), false),
        ("{x|windash: 'ping -n 6'}", json!({"x": "ping n 6"}), false),
        ("{x|windash: '-param-name'}", json!({"x": "/param-name"}), true),
        ("{x|windash: '-param-name'}", json!({"x": "/param/name"}), false),
        ("{x|windash: 'a - b'}", json!({"x": "a / b"}), false),
        ("{x|windash: '--long'}", json!({"x": "-/long"}), true),
        ("{x|windash: '--long'}", json!({"x": "//long"}), false),
        ("{x|windash: '*-a'}", json!({"x": "run /a"}), true),
        ("{x|windash: '-*'}", json!({"x": "/a"}), false),
        ("{x|windash|contains: ' -e '}", json!({"x": "pwsh /e x"}), true),
        ("{x|contains|windash: ' -e '}", json!({"x": "pwsh /e x"}), true),
        ("{x|windash|contains|all: [' -a', ' -b']}", json!({"x": "run /b –a"}), true),
        ("{x|windash|contains|all: [' -a', ' -b']}", json!({"x": "run /b +a"}), false),
        ("{x|windash|cased: '-E'}", json!({"x": "/e"}), false),
        ("{x|windash|startswith: '-e'}", json!({"x": "/enc"}), true),
        ("{x|windash|endswith: '-e'}", json!({"x": "a /e"}), true),
        ("{x|windash|base64: '-e'}", json!({"x": "LWU="}), true),
        ("{x|windash|base64: '-e'}", json!({"x": "L2U="}), true),
        ("{x|windash|base64: '-e'}", json!({"x": "K2U="}), false),
        // Base64 and its offsets.
        ("{x|base64: foobar}", json!({"x": "Zm9vYmFy"}), true),
        ("{x|base64: foob}", json!({"x": "Zm9vYg=="}), true),
        ("{x|base64: foobar}", json!({"x": "zm9vymfy"}), true),
        ("{x|base64|cased: foobar}", json!({"x": "zm9vymfy"}), false),
        ("{x|base64: foobar}", json!({"x": "foobar"}), false),
        ("{x|base64: foobar}", json!({"x": "xZm9vYmFy"}), false),
        ("{x|base64|contains: foobar}", json!({"x": "xZm9vYmFy"}), true),
        ("{x|base64: 'a\\*'}", json!({"x": "YSo="}), true),
        ("{x|base64: 'ä'}", json!({"x": "w6Q="}), true),
        ("{x|base64: 12}", json!({"x": "MTI="}), true),
        ("{x|base64|neq: foobar}", json!({"x": "Zm9vYmFy"}), false),
        ("{x|base64offset|contains: foobar}", json!({"x": "Zm9vYmFy"}), true),
        ("{x|base64offset|contains: foobar}", json!({"x": "YWZvb2Jhcg=="}), true),
        ("{x|base64offset|contains: foobar}", json!({"x": "YWFmb29iYXI="}), true),
        ("{x|base64offset|contains: foobar}", json!({"x": "YWFhZm9vYmFyYQ=="}), true),
        ("{x|base64offset|contains: foobar}", json!({"x": "Zm9vYmF6"}), false),
        ("{x|base64offset|contains: foobar}", json!({"x": "foobar"}), false),
        ("{x|base64offset|contains|all: [foobar, other]}", json!({"x": "Zm9vYmFyb3RoZXI="}), true),
        ("{x|base64offset|contains|all: [foobar, other]}", json!({"x": "Zm9vYmFy"}), false),
        ("{x|base64offset|startswith: foobar}", json!({"x": "Zm9vYmFyYQ=="}), true),
        ("{x|expand|base64: '%commands%'}", json!({"x": "d2hvYW1p"}), true),
        ("{x|expand|base64: '%commands%'}", json!({"x": "whoami"}), false),
        // UTF-16, in Base64 and bare.
        ("{x|utf16le|base64: cmd}", json!({"x": "YwBtAGQA"}), true),
        ("{x|wide|base64: cmd}", json!({"x": "YwBtAGQA"}), true),
        ("{x|wide|base64: cmd}", json!({"x": "AGMAbQBk"}), false),
        ("{x|utf16be|base64: cmd}", json!({"x": "AGMAbQBk"}), true),
        ("{x|utf16|base64: cmd}", json!({"x": "//5jAG0AZAA="}), true),
        ("{x|utf16|base64: cmd}", json!({"x": "YwBtAGQA"}), false),
        ("{x|wide|base64: 'ä€'}", json!({"x": "5ACsIA=="}), true),
        ("{x|wide|base64: '😀'}", json!({"x": "PdgA3g=="}), true),
        ("{x|wide|base64offset|contains: ping}", json!({"x": "YQBwAGkAbgBnAA=="}), true),
        ("{x|wide|base64offset|contains: ping}", json!({"x": "YXBpbmc="}), false),
        ("{x|windash|wide|base64offset|contains: ' -e'}", json!({"x": "YQAgAC8AZQA="}), true),
        ("{x|wide: cmd}", json!({"x": "c\0m\0d\0"}), true),
        ("{x|utf16be: cmd}", json!({"x": "c\0m\0d\0"}), false),
        ("{x|wide|contains: 'm*d'}", json!({"x": "c\0m\0--d\0"}), true),
        // Parts of times, in UTC.
        ("{x|minute: 7}", json!({"x": "2026-03-02T10:07:59.123Z"}), true),
        ("{x|minute: 7}", json!({"x": "2026-03-02T10:08:00.000Z"}), false),
        ("{x|hour: 10}", json!({"x": "2026-03-02T12:07:00+02:00"}), true),
        ("{x|hour: 12}", json!({"x": "2026-03-02T12:07:00+02:00"}), false),
        ("{x|hour: [22, 23, 0]}", json!({"x": "2026-03-02T23:59:59Z"}), true),
        ("{x|hour|gte: 22}", json!({"x": "2026-03-02T22:00:00Z"}), true),
        ("{x|hour|gte: 22}", json!({"x": "2026-03-02T21:59:59Z"}), false),
        ("{x|hour|neq: 10}", json!({"x": "2026-03-02T11:00:00Z"}), true),
        ("{x|day: 2}", json!({"x": "2026-03-02T00:00:00Z"}), true),
        ("{x|week: 10}", json!({"x": "2026-03-02T00:00:00Z"}), true),
        ("{x|week: 10}", json!({"x": "2026-03-01T23:59:59Z"}), false),
        ("{x|week: 53}", json!({"x": "2027-01-01T00:00:00Z"}), true),
        ("{x|month: 3}", json!({"x": "2026-03-31T23:00:00Z"}), true),
        ("{x|month: 4}", json!({"x": "2026-03-31T23:00:00-02:00"}), true),
        ("{x|year: 2026}", json!({"x": "2026-12-31T23:59:59Z"}), true),
        ("{x|year|lt: 2026}", json!({"x": "2026-12-31T23:59:59Z"}), false),
        ("{x|year: 2026}", json!({"x": 2026}), false),
        ("{x|hour: 0}", json!({"x": "redacted"}), false),
        ("{x|hour: 0}", json!({}), false),
        // Another field.
        ("{x|fieldref: y}", json!({"x": "Ann", "y": "ann"}), true),
        ("{x|fieldref|cased: y}", json!({"x": "Ann", "y": "ann"}), false),
        ("{x|fieldref|neq: y}", json!({"x": "Ann", "y": "ann"}), false),
        ("{x|fieldref|neq: y}", json!({"x": "Ann", "y": "bob"}), true),
        ("{x|fieldref|contains: y}", json!({"x": "cn=ANN,ou=x", "y": "ann"}), true),
        ("{x|fieldref|contains: y}", json!({"x": "ann", "y": "cn=ann"}), false),
        ("{x|fieldref|contains|cased: y}", json!({"x": "cn=ANN", "y": "ann"}), false),
        ("{x|fieldref|startswith: y}", json!({"x": "ann@example.com", "y": "ann"}), true),
        ("{x|fieldref|startswith: y}", json!({"x": "joann@example.com", "y": "ann"}), false),
        ("{x|fieldref|endswith: y}", json!({"x": "a@b.example", "y": "b.example"}), true),
        ("{x|fieldref|endswith: y}", json!({"x": "a@b.example.org", "y": "b.example"}), false),
        ("{x|fieldref|startswith: y}", json!({"x": "abc", "y": "a*"}), false),
        ("{x|fieldref: [y, z]}", json!({"x": "a", "y": "b", "z": "a"}), true),
        ("{x|fieldref|all: [y, z]}", json!({"x": "a", "y": "b", "z": "a"}), false),
        ("{x|fieldref: y}", json!({"x": ["a", "b"], "y": ["c", "b"]}), true),
        ("{x|fieldref|contains: y}", json!({"x": "a"}), false),
        ("{x|fieldref: y}", json!({"x": 1, "y": "1"}), true),
        // Those that stand for a comparison of their own, negated and joined.
        ("{x|re|neq: '^a'}", json!({"x": "ab"}), false),
        ("{x|re|i|m|s: '^B.c'}", json!({"x": "a\nb\nc"}), true),
        ("{x|re|i|m: '^B.c'}", json!({"x": "a\nb\nc"}), false),
        ("{x|re|all: [a, b]}", json!({"x": "ab"}), true),
        ("{x|re|all: [a, c]}", json!({"x": "ab"}), false),
        ("{x|cidr|neq: [10.0.0.0/8, 'fd00::/8']}", json!({"x": "10.1.1.1"}), false),
        ("{x|cidr|neq: [10.0.0.0/8, 'fd00::/8']}", json!({"x": "192.0.2.1"}), true),
        ("{x|gt|neq: 5}", json!({"x": 5}), true),
        ("{x|exists|neq: true}", json!({}), true),
        ("{x|cased|contains: Adm}", json!({"x": "an Admin"}), true),
        ("{x|cased|contains: Adm}", json!({"x": "an admin"}), false),
    ];
    let wrong: Vec<String> = cases
        .iter()
        .filter(|(search, event, expected)| holds(search, event) != Ok(*expected))
        .map(|(search, event, _)| format!("{search} {event}: {:?}", holds(search, event)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_cannot_stand_together_says_so() {
    #[rustfmt::skip]
    let cases = [
        ("{x|contains|startswith: a}", "`contains` and `startswith` cannot stand together"),
        ("{x|contains|contains: a}", "`contains` stands twice"),
        ("{x|re|cased: a}", "`re` and `cased` cannot stand together"),
        ("{x|re|contains: a}", "`re` and `contains` cannot stand together"),
        ("{x|re|base64: a}", "`re` and `base64` cannot stand together"),
        ("{x|re|windash: -a}", "`re` and `windash` cannot stand together"),
        ("{x|i: a}", "`i` only goes with `re`"),
        ("{x|i|re: a}", "`re` cannot stand behind `i`"),
        ("{x|cidr|cased: 10.0.0.0/8}", "`cidr` and `cased` cannot stand together"),
        ("{x|cidr|contains: 10.0.0.0/8}", "`cidr` and `contains` cannot stand together"),
        ("{x|exists|contains: true}", "`exists` and `contains` cannot stand together"),
        ("{x|exists|all: [true]}", "`exists` and `all` cannot stand together"),
        ("{x|exists|cased: true}", "`exists` and `cased` cannot stand together"),
        ("{x|gt|lt: 5}", "`gt` and `lt` cannot stand together"),
        ("{x|gt|contains: 5}", "`gt` and `contains` cannot stand together"),
        ("{x|gte|hour: 5}", "`hour` cannot stand behind `gte`"),
        ("{x|hour|day: 5}", "`hour` and `day` cannot stand together"),
        ("{x|hour|contains: 5}", "`hour` and `contains` cannot stand together"),
        ("{x|hour: 24}", "`24` is out of range"),
        ("{x|month: 0}", "`0` is out of range"),
        ("{x|hour: 1.5}", "a part of a time is a whole number"),
        ("{x|hour: noon}", "expected a number, found a text"),
        ("{x|base64|base64offset: a}", "`base64` and `base64offset` cannot stand together"),
        ("{x|base64|wide: a}", "`wide` cannot stand behind `base64`"),
        ("{x|contains|base64offset: a}", "`base64offset` cannot stand behind `contains`"),
        ("{x|base64|windash: -a}", "`windash` cannot stand behind `base64`"),
        ("{x|wide|utf16be: a}", "`wide` and `utf16be` cannot stand together"),
        ("{x|base64|expand: '%commands%'}", "`expand` cannot stand behind `base64`"),
        ("{x|base64: 'a*'}", "a text with wildcards has no Base64; write `\\*` or `\\?` for the character"),
        ("{x|base64: null}", "null does not go with this modifier"),
        ("{x|base64offset|contains: ''}", "this value is too short for `base64offset`"),
        ("{x|utf16: cmd}", "in this encoding the value is no text; add `base64`"),
        ("{x|wide: 'ä€'}", "in this encoding the value is no text; add `base64`"),
        ("{x|windash|base64: ' -a -b -c -d -e'}", "a value with more than 4 options cannot be encoded"),
        ("{x|fieldref: 'y*'}", "`y*` is no field"),
        ("{x|fieldref: null}", "null does not go with this modifier"),
        ("{x|contains|fieldref: y}", "`fieldref` cannot stand behind `contains`"),
        ("{x|fieldref|re: y}", "`fieldref` and `re` cannot stand together"),
        ("{x|fieldref|base64: y}", "`fieldref` and `base64` cannot stand together"),
        ("{'|exists': true}", "`exists` is for a field, not for keywords"),
        ("{'|fieldref': y}", "`fieldref` is for a field, not for keywords"),
        ("{'|gt': 5}", "`gt` is for a field, not for keywords"),
        ("{x|wides: a}", "Sigma has no modifier `wides`"),
    ];
    let event = json!({});
    let wrong: Vec<String> = cases
        .iter()
        .filter(|(search, message)| holds(search, &event) != Err((*message).to_owned()))
        .map(|(search, _)| format!("{search}: {:?}", holds(search, &event)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A row names rows above it, so that each pair is decided in one place.
#[test]
fn the_table_names_what_stands_above() {
    for (at, row) in super::MODIFIERS.iter().enumerate() {
        let place = |name: &&str| {
            super::MODIFIERS
                .iter()
                .position(|other| other.name == *name)
        };
        for name in row.with {
            assert!(
                place(name) < Some(at) && place(name).is_some(),
                "{}: {name}",
                row.name
            );
        }
        for name in row.before.iter().chain(row.needs.as_ref()) {
            let other = place(name).and_then(|at| super::MODIFIERS.get(at));
            assert!(
                other.is_some_and(|other| other.goes_with(row)),
                "{}: {name}",
                row.name
            );
        }
    }
}
