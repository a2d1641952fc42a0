//! The model: one small question.

use std::time::Duration;

use serde_json::json;

use super::{Check, Verdict};
use crate::event::Digest;
use crate::llm::{Message, Model, Request, Role};
use crate::visible::visible;

/// What of a reply is shown.
const SHOWN: usize = 60;

/// Whether a model answers in the shape that it is asked for; nothing is configured where there is
/// none.
#[must_use]
pub fn model(model: Option<&dyn Model>) -> Check {
    let Some(model) = model else {
        return Check::new(
            "model",
            Verdict::Unused,
            "none is configured: each slot takes its default",
        );
    };
    let about = model.about();
    let asked = format!("`{}` at {}", visible(&about.model), about.host);
    match model.ask(&question()) {
        Ok(reply) if serde_json::from_str::<Answer>(reply.text.trim()).is_ok() => Check::new(
            "model",
            Verdict::Ok,
            format!("{asked} answers in the shape that it is asked for"),
        ),
        Ok(reply) => {
            let shown: String = reply.text.chars().take(SHOWN).collect();
            let found = format!(
                "{asked} answers, and not in the shape that it is asked for: `{}`",
                visible(&shown)
            );
            Check::new("model", Verdict::Warning, found)
                .fix("a slot whose reply has another shape takes its default; a model or a server that keeps to a JSON Schema fills more")
        }
        Err(failure) => Check::new("model", Verdict::Error, format!("{asked}: {failure}"))
            .fix("check LLM_BASE_URL, LLM_MODEL and LLM_API_KEY, and that the server runs"),
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    #[serde(rename = "ok")]
    _ok: bool,
}

fn question() -> Request {
    let said = "Answer with the JSON object {\"ok\": true} and nothing else.";
    Request {
        slot: "doctor".to_owned(),
        prompt: Digest::of(said.as_bytes()),
        context: json!({}),
        messages: vec![Message {
            role: Role::User,
            content: said.to_owned(),
        }],
        schema: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["ok"],
            "properties": {"ok": {"type": "boolean"}},
        }),
        max_tokens: 20,
        timeout: Duration::from_secs(60),
    }
}
