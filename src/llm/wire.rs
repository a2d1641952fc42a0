//! What is sent and what comes back, in the words of the protocol.

use std::time::Duration;

use chrono::{DateTime, Utc};
use http::{HeaderMap, header};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::llm::{Failure, Finish, Message, Reply, Request, Role, Usage};
use crate::redact::Secret;
use crate::visible::visible;

/// An error that is longer is not looked into.
const MAX_COMPLAINT: usize = 64 << 10;

/// How a model is told the schema of its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Structure {
    /// The endpoint holds the model to it.
    Schema,
    /// The prompt asks for it.
    Instruction,
}

/// What the limit of a reply's tokens is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// `max_tokens`, as nearly all call it.
    Tokens,
    /// `max_completion_tokens`, for endpoints that refuse the older name.
    CompletionTokens,
}

/// How an endpoint wants to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Manner {
    pub(super) structure: Structure,
    pub(super) limit: Limit,
}

impl Manner {
    /// Another manner, where an endpoint may have refused because of this one.
    pub(super) fn instead(self, refused: &Failure) -> Option<Self> {
        if self.limit == Limit::Tokens && refused.may_be_of_the_limit() {
            let limit = Limit::CompletionTokens;
            return Some(Self { limit, ..self });
        }
        if self.structure == Structure::Schema && refused.may_be_of_the_schema() {
            let structure = Structure::Instruction;
            return Some(Self { structure, ..self });
        }
        None
    }
}

/// The body of a request.
pub(super) fn body(
    request: &Request,
    model: &str,
    temperature: Option<f64>,
    manner: Manner,
) -> Value {
    let Manner { structure, limit } = manner;
    let limit = match limit {
        Limit::Tokens => "max_tokens",
        Limit::CompletionTokens => "max_completion_tokens",
    };
    let mut body = json!({
        "model": model,
        "messages": messages(request, structure),
        limit: request.max_tokens,
        "n": 1,
        "stream": false,
    });
    let Value::Object(keys) = &mut body else {
        return body;
    };
    if let Some(temperature) = temperature {
        keys.insert("temperature".to_owned(), temperature.into());
    }
    if structure == Structure::Schema {
        let schema = json!({"name": name(&request.slot), "strict": true, "schema": request.schema});
        let format = json!({"type": "json_schema", "json_schema": schema});
        keys.insert("response_format".to_owned(), format);
    }
    body
}

/// The name of a schema: the protocol has letters, digits, `_` and `-` for it.
fn name(slot: &str) -> String {
    let is_known = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let name: String = slot.chars().filter(is_known).take(64).collect();
    if name.is_empty() {
        "slot".to_owned()
    } else {
        name
    }
}

fn messages(request: &Request, structure: Structure) -> Vec<Value> {
    let mut messages = request.messages.clone();
    if structure == Structure::Instruction {
        instruct(&mut messages, &request.schema);
    }
    let each = messages.into_iter();
    each.map(|m| json!({"role": m.role.as_str(), "content": m.content}))
        .collect()
}

/// Says in the system's turn what `response_format` would have said. Some chat templates know
/// one system turn alone, at the beginning.
fn instruct(messages: &mut Vec<Message>, schema: &Value) {
    let instruction = format!(
        "Answer with exactly one JSON value that satisfies this JSON Schema, without any text before or after it and without a code fence:\n{schema}"
    );
    match messages.first_mut() {
        Some(first) if first.role == Role::System => {
            first.content.push_str("\n\n");
            first.content.push_str(&instruction);
        }
        _ => messages.insert(
            0,
            Message {
                role: Role::System,
                content: instruction,
            },
        ),
    }
}

/// A chat completion, as far as it is read: compatible servers bend the rest.
#[derive(Deserialize)]
pub(super) struct Completion {
    #[serde(default)]
    choices: Option<Vec<Choice>>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    usage: Option<Counted>,
    #[serde(default)]
    error: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    message: Option<Said>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
}

#[derive(Deserialize)]
struct Counted {
    #[serde(default)]
    prompt_tokens: Option<u64>,
    #[serde(default)]
    completion_tokens: Option<u64>,
}

/// What an endpoint says of an error, in one of the shapes that are about.
#[derive(Deserialize)]
#[serde(untagged)]
enum Complaint {
    Text(String),
    Object {
        #[serde(default)]
        message: Option<String>,
        #[serde(default)]
        code: Option<Value>,
        #[serde(default, rename = "type")]
        kind: Option<Value>,
    },
    Other(serde::de::IgnoredAny),
}

/// The one reply of a completion.
pub(super) fn reply(
    completion: Completion,
    host: &str,
    key: Option<&Secret>,
) -> Result<Reply, Failure> {
    let not = |found: &str| Failure::NotACompletion {
        host: host.to_owned(),
        found: found.to_owned(),
    };
    let Some(choices) = completion.choices else {
        return Err(match completion.error {
            Some(error) => not(&an_error(&error, key)),
            None => not("JSON without `choices`"),
        });
    };
    let mut choices = choices.into_iter();
    let (Some(choice), None) = (choices.next(), choices.next()) else {
        return Err(not("no choice, or with several"));
    };
    let said = choice
        .message
        .ok_or_else(|| not("a choice without a message"))?;
    let Some(text) = said.content else {
        return Err(not(match said.refusal {
            Some(_) => "a refusal of the model",
            None => "a message without text",
        }));
    };
    let reply = Reply {
        text,
        finish: finish(choice.finish_reason),
        model: completion.model.unwrap_or_default(),
        usage: usage(completion.usage),
    };
    match key {
        Some(key) if repeats(&reply, key) => Err(Failure::RepeatsKey {
            host: host.to_owned(),
        }),
        _ => Ok(reply),
    }
}

/// An error that came with a status of success.
fn an_error(error: &RawValue, key: Option<&Secret>) -> String {
    let complaint: Option<Complaint> = Some(error.get())
        .filter(|text| text.len() <= MAX_COMPLAINT)
        .and_then(|text| serde_json::from_str(text).ok());
    match complaint.map(|complaint| complaint.message()) {
        Some(said) if !said.is_empty() => format!("the error “{}”", shown(&said, key)),
        _ => "an error".to_owned(),
    }
}

fn repeats(reply: &Reply, key: &Secret) -> bool {
    let finish = match &reply.finish {
        Finish::Other(word) => word,
        Finish::Stop | Finish::Length => "",
    };
    // A letter of the key may be written as an escape, which the reader of the reply undoes.
    let unescaped = serde_json::from_str::<Value>(&reply.text).map(|value| value.to_string());
    [reply.text.as_str(), reply.model.as_str(), finish]
        .into_iter()
        .chain(unescaped.as_deref())
        .any(|text| key.stands_in(text))
}

fn finish(word: Option<String>) -> Finish {
    match word.as_deref() {
        // An empty one is what some servers send.
        None | Some("stop" | "") => Finish::Stop,
        Some("length") => Finish::Length,
        Some(other) => Finish::Other(clipped(&visible(other), 64)),
    }
}

fn usage(counted: Option<Counted>) -> Usage {
    counted.map_or(Usage::default(), |counted| Usage {
        prompt_tokens: counted.prompt_tokens.unwrap_or(0),
        completion_tokens: counted.completion_tokens.unwrap_or(0),
    })
}

/// Why an endpoint refuses.
pub(super) fn refusal(host: &str, status: u16, body: &[u8], key: Option<&Secret>) -> Failure {
    let complaint = complaint(body);
    let said = complaint.as_ref().map(Complaint::message);
    let said = said.map(|said| shown(&said, key)).unwrap_or_default();
    let host = host.to_owned();
    if matches!(status, 400 | 413) && complaint.is_some_and(|c| c.is_of_the_context()) {
        return Failure::ContextOverflow { host, said };
    }
    Failure::Status {
        host,
        status,
        said,
        attempts: 1,
    }
}

fn complaint(body: &[u8]) -> Option<Complaint> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(alias = "detail", alias = "message")]
        error: Complaint,
    }
    let answer: Answer = serde_json::from_slice(body).ok()?;
    Some(answer.error)
}

impl Complaint {
    fn message(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Object { message, .. } => message.clone().unwrap_or_default(),
            Self::Other(_) => String::new(),
        }
    }

    fn is_of_the_context(&self) -> bool {
        const CODES: [&str; 2] = ["context_length_exceeded", "exceed_context_size_error"];
        const WORDS: [&str; 5] = [
            "context length",
            "context size",
            "context window",
            "maximum context",
            "context overflow",
        ];
        let is_code = |code: &Option<Value>| {
            let code = code.as_ref().and_then(Value::as_str);
            code.is_some_and(|code| CODES.contains(&code))
        };
        let says_so = match self {
            Self::Object { code, kind, .. } => is_code(code) || is_code(kind),
            Self::Text(_) | Self::Other(_) => false,
        };
        let message = self.message().to_lowercase();
        says_so || WORDS.iter().any(|words| message.contains(words))
    }
}

/// What a server said, made safe to show, without anything of the key.
fn shown(said: &str, key: Option<&Secret>) -> String {
    if key.is_some_and(|key| key.is_hinted_at(said)) {
        return "what it says holds a part of the key, and is not shown".to_owned();
    }
    clipped(&visible(said), 200)
}

fn clipped(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// What an answer is that cannot be a completion, by its kind and its first letter.
pub(super) fn foreign(headers: &HeaderMap, body: &[u8]) -> Option<String> {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.to_ascii_lowercase();
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    let found = match first {
        None => "nothing",
        Some(b'<') => "a web page",
        _ if kind.starts_with("text/html") => "a web page",
        _ if kind.starts_with("text/event-stream") => "a stream of events",
        Some(_) => return None,
    };
    Some(found.to_owned())
}

/// How long an endpoint asks to be left alone: seconds, or a date.
pub(super) fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTime::parse_from_rfc2822(text).ok()?;
    let wait = date.with_timezone(&Utc) - now;
    Some(wait.to_std().unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = DateTime::parse_from_rfc3339("2026-11-06T08:49:37Z").unwrap();
        let now = now.with_timezone(&Utc);
        let cases = [
            ("5", Some(5)),
            (" 0 ", Some(0)),
            ("Fri, 06 Nov 2026 08:50:37 GMT", Some(60)),
            ("Fri, 06 Nov 2026 08:00:00 GMT", Some(0)),
            ("-1", None),
            ("99999999999999999999", None),
            ("soon", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let value = http::HeaderValue::from_str(text).unwrap();
            let headers = HeaderMap::from_iter([(header::RETRY_AFTER, value)]);
            let wait = retry_after(&headers, now);
            assert_eq!(wait, expected.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn the_name_of_a_schema_has_letters_that_the_protocol_knows() {
        let cases = [
            ("risk", "risk"),
            ("a b/ü_1-", "ab_1-"),
            ("", "slot"),
            ("ü", "slot"),
        ];
        for (slot, expected) in cases {
            assert_eq!(name(slot), expected, "{slot}");
        }
    }

    #[test]
    fn the_instruction_has_one_system_turn() {
        let user = || Message {
            role: Role::User,
            content: "q".to_owned(),
        };
        let mut messages = vec![user()];
        instruct(&mut messages, &json!({}));
        assert_eq!(messages.len(), 2);
        assert_eq!(messages[0].role, Role::System);
        instruct(&mut messages, &json!({}));
        assert_eq!(messages.len(), 2, "added to the one that is there");
        assert_eq!(messages[1], user());
    }
}
