//! Searches of every shape: what they hold for, what they nearly hold for, and what cannot be read.

use serde_json::{Value, json};

use crate::detect::reference::{
    self,
    tests::{answers, detection},
};

/// Whether a search holds for an event, on which both engines agree, or what is wrong with it.
pub fn holds(search: &str, event: &Value) -> Result<bool, String> {
    let detection = detection(&format!("s: {search}\ncondition: s\n"))?;
    let asked = reference::Asked {
        event,
        accessors: &[],
        known: &[],
    };
    let expected = reference::matches(&detection, asked);
    let engine = answers(&[detection], &[event.to_string()]);
    assert_eq!(engine == [[0]], expected, "{search} {event}");
    Ok(expected)
}

#[test]
fn searches_of_every_shape_hold_for_what_they_name() {
    let event = json!({
        "a": "One two", "b": ["three", {"c": "Four"}], "n": 5, "t": true, "z": null, "m": {"k": "v"},
    });
    #[rustfmt::skip]
    let cases = [
        // Keywords: any of them, inside any value, never a key.
        ("two", true),
        ("[two]", true),
        ("[nine, FOUR]", true),
        ("[nine, ten]", false),
        ("[k]", false),
        ("'t*o'", true),
        ("'o?e t'", true),
        ("'o\\*e'", false),
        ("[5]", true),
        ("5", true),
        ("[55]", false),
        ("[true]", true),
        ("true", true),
        ("[false]", false),
        // All of them, wherever each stands, and keywords with other modifiers.
        ("{'|all': [two, four]}", true),
        ("{'|all': [two, nine]}", false),
        ("{'|all': [two, 5, true]}", true),
        ("{'|contains|all': [on, our]}", true),
        ("{'|startswith': [two, fo]}", true),
        ("{'|startswith': [wo]}", false),
        ("{'|endswith|all': [two, ree]}", true),
        ("{'|cased': four}", false),
        ("{'|cased': Four}", true),
        ("{'|re': '^thr'}", true),
        ("{'|re': '^hr'}", false),
        ("{'|neq': two}", false),
        ("{'|neq': nine}", true),
        ("{'|base64': x}", false),
        // Maps: every line.
        ("{a|contains: two, n: 5}", true),
        ("{a|contains: two, n: 6}", false),
        ("{a|contains|all: [one, two], b: three}", true),
        ("{a|contains|all: [one, nine], b: three}", false),
        ("{b|contains|all: [thr, ee]}", true),
        ("{b.c: four}", true),
        ("{b.c|startswith|all: [f, fo]}", true),
        ("{'|all': [two, four], n: 5}", true),
        ("{'|all': [two, four], n: 6}", false),
        // Lists of maps, and of maps and keywords: any of them.
        ("[{a: nine}, {n: 5}]", true),
        ("[{a: nine}, {n: 6}]", false),
        ("[{a: nine, n: 5}, {n: 5, t: false}]", false),
        ("[{a|contains: two, n: 6}, {t: true, z: null}]", true),
        ("[nine, {n: 5}]", true),
        ("[two, {n: 6}]", true),
        ("[{'|all': [two, nine]}, {'|all': [two, four]}]", true),
        // Null among other values.
        ("{z: [null, x]}", true),
        ("{a: [null, x]}", false),
        ("{a: [null, 'one*']}", true),
        ("{missing: [x, null]}", true),
        ("{z|all: [null, x]}", false),
        ("{z|neq: null}", false),
        ("{a|neq: null}", true),
        ("{a|neq: [null, x]}", true),
        ("{z|neq: [null, x]}", false),
        // Numbers, booleans and texts in one list.
        ("{n: [4, 5.0]}", true),
        ("{n: ['5', 6]}", true),
        ("{n: [true, 6]}", false),
        ("{t: [1, true]}", true),
        ("{t: [1, 'no']}", false),
        ("{t|contains: ru}", true),
        ("{n|contains: 5}", true),
        ("{m: v}", false),
        ("{m|exists: true}", true),
    ];
    let wrong: Vec<String> = cases
        .iter()
        .filter(|(search, expected)| holds(search, &event) != Ok(*expected))
        .map(|(search, _)| format!("{search}: {:?}", holds(search, &event)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn searches_that_mean_nothing_say_so() {
    #[rustfmt::skip]
    let cases = [
        ("[null, two]", "a keyword is a text or a number, found nothing"),
        ("[two, [three]]", "a keyword is a text or a number, found a list"),
        ("{'|all': [two, null]}", "null does not go with this modifier"),
        ("{a|contains: [null, two]}", "null does not go with this modifier"),
        ("{a|re: null}", "null does not go with this modifier"),
        ("{a: {b: c}}", "a value is a text, a number, true, false or null, found a mapping"),
        ("{a: [[b]]}", "a value is a text, a number, true, false or null, found a list"),
        ("{a: []}", "`a` has an empty list of values"),
        ("[]", "a search is a mapping of fields, a list of such mappings or a list of keywords, found a list"),
        ("{}", "this search is empty and would match every event"),
        ("[{}]", "this search is empty and would match every event"),
        ("null", "a search is a mapping of fields, a list of such mappings or a list of keywords, found nothing"),
    ];
    let wrong: Vec<String> = cases
        .iter()
        .filter(|(search, message)| holds(search, &json!({})) != Err((*message).to_owned()))
        .map(|(search, _)| format!("{search}: {:?}", holds(search, &json!({}))))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
