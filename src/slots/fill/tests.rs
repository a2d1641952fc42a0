//! Replies of every kind, against a model that is told what to say.

use std::sync::Mutex;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::diag::Problems;
use crate::llm::{About, Usage};
use crate::slots::decode_prompt;

/// Says one thing after the other, and the last one for ever.
struct Scripted(Mutex<Vec<Result<Reply, Failure>>>);

impl Scripted {
    fn saying(texts: &[&str]) -> Self {
        Self::answering(texts.iter().map(|text| Ok(reply(text))).collect())
    }

    fn answering(mut outcomes: Vec<Result<Reply, Failure>>) -> Self {
        outcomes.reverse();
        Self(Mutex::new(outcomes))
    }
}

impl Model for Scripted {
    fn ask(&self, _: &Request) -> Result<Reply, Failure> {
        let mut left = self.0.lock().unwrap();
        if left.len() > 1 {
            left.pop().unwrap()
        } else {
            left[0].clone()
        }
    }

    fn about(&self) -> About {
        About::default()
    }
}

fn reply(text: &str) -> Reply {
    Reply {
        text: text.to_owned(),
        finish: Finish::Stop,
        model: "scripted".to_owned(),
        usage: Usage::default(),
    }
}

fn prompt() -> Prompt {
    prompt_of(
        "limits: {max_tokens: 90, timeout: 20s}",
        "{{ finding.description }}",
    )
}

fn prompt_of(limits: &str, body: &str) -> Prompt {
    let text = format!(
        "---\nslot: risk\n{limits}\ncontext: [finding.description]\nschema:\n  type: object\n  additionalProperties: false\n  required: [n]\n  properties:\n    n: {{type: integer, minimum: 0, maximum: 100}}\n    say: {{type: string, maxLength: 20, pattern: '^[a-z ]*$'}}\n---\n{body}\n"
    );
    let mut problems = Problems::default();
    let file = problems.add_file("prompts/p.md", &text);
    let prompt = decode_prompt(file, &text, None, &mut problems);
    let found: Vec<_> = problems
        .sorted()
        .iter()
        .map(|problem| problem.message.clone())
        .collect();
    prompt.unwrap_or_else(|| panic!("{found:?}"))
}

fn even(reply: &Value) -> Result<(), Vec<String>> {
    let is_even = reply["n"].as_u64().is_some_and(|n| n.is_multiple_of(2));
    is_even
        .then_some(())
        .ok_or_else(|| vec!["n: expected an even number".to_owned()])
}

fn ask(model: &dyn Model) -> Asked {
    fill(
        &prompt(),
        &json!({"finding": {"description": "d"}}),
        model,
        &even,
    )
}

#[test]
fn a_reply_that_holds_is_accepted_at_once() {
    let asked = ask(&Scripted::saying(&[" {\"n\": 42, \"say\": \"because\"}\n"]));
    assert_eq!(asked.accepted, Some(json!({"n": 42, "say": "because"})));
    assert_eq!((asked.calls.len(), &asked.refused), (1, &None));
    let request = &asked.calls[0].request;
    assert_eq!((request.slot.as_str(), request.max_tokens), ("risk", 90));
    assert_eq!(request.timeout, Duration::from_secs(20));
    let roles: Vec<_> = request
        .messages
        .iter()
        .map(|message| message.role)
        .collect();
    assert_eq!(roles, [Role::System, Role::User]);
    assert_eq!(request.messages[1].content.trim_end(), "\"d\"");
}

#[test]
fn whatever_does_not_hold_is_refused_with_the_reason() {
    let cut = Reply {
        finish: Finish::Length,
        ..reply("{\"n\": 2}")
    };
    let huge = format!("{{\"n\":2,\"say\":\"{}\"}}", "x".repeat(70_000));
    #[rustfmt::skip]
    let cases = [
        (reply(""), "the reply is empty"),
        (reply("Here you are: {\"n\": 2}"), "not one JSON value"),
        (reply("{\"n\": 2}\nHope this helps"), "not one JSON value"),
        (reply("```json\n{\"n\": 2}\n```"), "not one JSON value"),
        (reply("{\"n\": 2} {\"n\": 2}"), "not one JSON value"),
        (reply("{\"n\": 2, \"n\": 4}"), "the key `n` is there twice"),
        (reply("{\"n\": NaN}"), "not one JSON value"),
        (reply("{\"n\": 1e999}"), "out of range"),
        (reply("{\"n\": 2"), "ends in the middle"),
        (reply(&huge), "and at most 65536 are read"),
        (reply("[2]"), "the reply: "),
        (reply("\"{\\\"n\\\": 2}\""), "the reply: "),
        (reply("null"), "the reply: "),
        (reply("{}"), "the reply: \"n\" is a required property"),
        (reply("{\"n\": \"2\"}"), "/n: "),
        (reply("{\"n\": 2.5}"), "/n: "),
        (reply("{\"n\": 102}"), "/n: value is greater than the maximum of 100"),
        (reply("{\"n\": -2}"), "/n: "),
        (reply("{\"n\": 2, \"severity\": \"low\"}"), "the reply: "),
        (reply("{\"n\": 2, \"say\": \"a sentence that is too long\"}"), "/say: "),
        (reply("{\"n\": 2, \"say\": \"LOUD\"}"), "/say: "),
        (reply("{\"n\": 2, \"say\": \"a\\u202eb\"}"), "U+202E"),
        (reply("{\"n\": 3}"), "n: expected an even number"),
        (cut, "the reply was cut off after 90 tokens"),
    ];
    for (reply, expected) in cases {
        let text = reply.text.clone();
        let asked = ask(&Scripted::answering(vec![Ok(reply)]));
        let refused = asked.refused.expect("a reason");
        assert!(refused.contains(expected), "{text}: {refused}");
        assert_eq!((asked.accepted, asked.calls.len()), (None, 2), "{text}");
    }
}

#[test]
fn a_refused_reply_is_repaired_once() {
    let model = Scripted::saying(&["</s>{\"n\": 3}", "{\"n\": 4}", "{\"n\": 6}"]);
    let asked = ask(&model);
    assert_eq!(asked.accepted, Some(json!({"n": 4})));
    assert_eq!((asked.calls.len(), asked.refused), (2, None));
    assert!(asked.calls[0].refused.is_some() && asked.calls[1].refused.is_none());
    let [.., assistant, user] = asked.calls[1].request.messages.as_slice() else {
        panic!("a conversation");
    };
    assert_eq!(assistant.content, "\\u003c/s\\u003e{\"n\": 3}");
    assert_eq!((assistant.role, user.role), (Role::Assistant, Role::User));
    assert!(
        user.content.contains("- the reply is not one JSON value"),
        "{}",
        user.content
    );
    let once = prompt_of("limits: {repair: 0}", "x");
    let asked = fill(
        &once,
        &Value::Null,
        &Scripted::saying(&["", "{\"n\": 4}"]),
        &even,
    );
    assert_eq!((asked.accepted, asked.calls.len()), (None, 1));
}

#[test]
fn a_failure_is_not_asked_again() {
    let down = Failure::BudgetSpent {
        limit: 7,
        of: "calls",
    };
    let asked = ask(&Scripted::answering(vec![
        Err(down.clone()),
        Ok(reply("{\"n\": 2}")),
    ]));
    assert_eq!((asked.accepted, asked.calls.len()), (None, 1));
    assert_eq!(asked.calls[0].outcome, Err(down));
    let why = "the budget of the run is spent: 7 calls";
    assert_eq!(asked.refused.as_deref(), Some(why));
}

#[test]
fn a_prompt_past_its_limit_is_not_sent() {
    let prompt = prompt_of("limits: {prompt_bytes: 4000}", "{{ finding.description }}");
    let model = Scripted::saying(&["{\"n\": 2}"]);
    let of = |length: usize| {
        let context = json!({"finding": {"description": "x".repeat(length)}});
        fill(&prompt, &context, &model, &even)
    };
    // A value is cut before it can pass the limit, so that only many of them do.
    assert!(of(1_000_000).accepted.is_some());
    let twice = prompt_of("limits: {prompt_bytes: 40}", "{{ finding.description }}");
    let context = json!({"finding": {"description": "x".repeat(50)}});
    let asked = fill(&twice, &context, &model, &even);
    assert_eq!(asked.calls, []);
    assert_eq!(
        asked.refused.as_deref(),
        Some("the text has more than 40 bytes")
    );
}

#[test]
fn what_is_told_of_a_reply_is_bounded_and_plain() {
    let keys: String = (0..500)
        .map(|at| format!("\"<{at}\u{1f642}\":1,"))
        .collect();
    let asked = ask(&Scripted::saying(&[&format!("{{{keys}\"n\": 3}}")]));
    let last = asked.calls.last().expect("a call");
    let said: usize = last
        .request
        .messages
        .iter()
        .map(|message| message.content.len())
        .sum();
    assert!(said < 16_000, "{said}");
    assert!(
        !last
            .request
            .messages
            .iter()
            .skip(1)
            .any(|message| message.content.contains('<'))
    );
}

proptest::proptest! {
    /// Whatever comes, what is accepted holds, and there are at most two calls.
    #[test]
    fn what_is_accepted_holds(
        first in "\\PC*|[{}\\[\\]\",:0-9nsay e\\\\.-]{0,60}",
        number in proptest::num::i64::ANY,
        around in proptest::sample::select(vec!["", " ", "x", "{", "\u{feff}", "```"]),
    ) {
        let texts = [first, format!("{around}{{\"n\": {number}}}")];
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let asked = ask(&Scripted::saying(&texts));
        proptest::prop_assert!(asked.calls.len() <= 2);
        proptest::prop_assert_eq!(asked.accepted.is_some(), asked.refused.is_none());
        if let Some(accepted) = asked.accepted {
            let n = accepted["n"].as_u64().expect("a number");
            proptest::prop_assert!(n <= 100 && n.is_multiple_of(2));
        }
    }
}

/// A schema that refers to itself without going deeper into the reply.
#[test]
fn a_schema_that_goes_in_a_circle_is_reported_or_ends() {
    for schema in [
        "{$ref: '#'}",
        "{allOf: [{$ref: '#'}]}",
        "{$ref: '#/$defs/a', $defs: {a: {$ref: '#/$defs/b'}, b: {anyOf: [{$ref: '#/$defs/a'}, {type: object}]}}}",
    ] {
        let text = format!("---\nslot: risk\ncontext: []\nschema: {schema}\n---\nx\n");
        let mut problems = Problems::default();
        let file = problems.add_file("prompts/p.md", &text);
        if let Some(prompt) = decode_prompt(file, &text, None, &mut problems) {
            let asked = fill(
                &prompt,
                &Value::Null,
                &Scripted::saying(&["{\"n\": 2}"]),
                &even,
            );
            assert!(asked.calls.len() <= 2, "{schema}");
        }
    }
}
