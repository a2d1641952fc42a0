//! What is secret: fields of events that no record may keep.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use crate::diag::{Problems, Span};
use crate::document::Table;
use crate::event::{FieldPath, Nanos};

/// The codes of problems in `[audit]`.
pub mod codes {
    /// A field that is secret and that a rule reads.
    pub const SECRET_IS_READ: &str = "RL0340";
    /// Secret fields beside rules that look at every field.
    pub const KEYWORDS_SEE_SECRETS: &str = "RL0341";
    /// A field that cannot be secret.
    pub const NEVER_SECRET: &str = "RL0342";
}

/// What stands in the place of a secret.
const MASK: &str = "***";

/// A text that only whoever sends it may see: it prints as `***`, and is wiped when it is dropped.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Of a text shorter than this, parts are too common to be told from other words.
    const TELLING: usize = 8;

    /// A text that nobody else may see.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text.into())
    }

    /// The text, for sending it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Whether it stands in a text. Placeholders of servers that need no key, such as `ollama`,
    /// are shorter than what this looks for.
    #[must_use]
    pub fn stands_in(&self, text: &str) -> bool {
        let secret = self.expose();
        secret.len() >= Self::TELLING && text.contains(secret)
    }

    /// Whether a part of it stands in a text, or all of it where it is short.
    #[must_use]
    pub fn is_hinted_at(&self, text: &str) -> bool {
        let secret = self.expose().as_bytes();
        let part = secret.len().min(Self::TELLING - 2);
        let mut parts = secret.windows(part.max(1));
        parts.any(|part| memchr::memmem::find(text.as_bytes(), part).is_some())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// Without these an event has no time, no identity and no kind.
const NEVER: [&str; 3] = ["published", "uuid", "eventType"];

/// The checked `[audit]` table.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditSettings {
    /// The fields that never enter a record.
    pub secrets: Secrets,
    /// For how long bodies are kept: 90 days unless declared.
    pub retention: Nanos,
}

/// The fields whose values never enter a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secrets(Vec<(FieldPath, Option<Span>)>);

impl Default for AuditSettings {
    fn default() -> Self {
        Self {
            secrets: Secrets::default(),
            retention: Nanos(90 * Nanos::DAY.0),
        }
    }
}

/// Takes `audit` out of the root table, which need not be there.
pub fn decode_audit(root: &mut Table<'_>, problems: &mut Problems) -> Option<AuditSettings> {
    let mut settings = AuditSettings::default();
    let Some(node) = root.get("audit") else {
        return Some(settings);
    };
    let mut table = node.table(problems)?;
    for (field, span) in table
        .get("secret")
        .map(|node| node.texts(problems))
        .unwrap_or_default()
    {
        let path = FieldPath::new(field);
        if NEVER.iter().any(|needed| covers(&path, needed)) {
            let message = format!("`{field}` cannot be secret: an event is told by it");
            problems
                .error(codes::NEVER_SECRET, span, message)
                .help("name the fields below it, or beside it, that are");
        }
        settings.secrets.0.push((path, Some(span)));
    }
    if let Some(retention) = table
        .get("retention")
        .and_then(|node| node.span_of_time(problems))
    {
        settings.retention = retention;
    }
    table.finish(problems);
    Some(settings)
}

impl Secrets {
    /// The fields of these paths.
    #[must_use]
    pub fn new(paths: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let path = |path: &dyn AsRef<str>| (FieldPath::new(path.as_ref()), None);
        Self(paths.into_iter().map(|text| path(&text)).collect())
    }

    /// Whether nothing is secret.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The paths, as they are declared.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(path, _)| path.as_str())
    }

    /// The paths, with their places where they are declared.
    pub fn declared(&self) -> impl Iterator<Item = (&str, Span)> {
        let declared = self.0.iter();
        declared.filter_map(|(path, span)| Some((path.as_str(), (*span)?)))
    }

    /// Reports the secret fields that are read by those who are named: what a rule reads may
    /// be shown in what it finds, and would be missing where its decisions are repeated.
    pub fn report_read(&self, named: &[(&str, Span)], problems: &mut Problems) {
        for (field, span) in named {
            let secret = self.0.iter().find(|(secret, _)| covers(secret, field));
            if let Some((secret, _)) = secret {
                let message = format!("`{field}` is secret, and the rule reads it");
                let help = format!(
                    "read another field, or take `{secret}` out of `secret` in [audit] of routing.toml"
                );
                problems
                    .error(codes::SECRET_IS_READ, *span, message)
                    .help(help);
            }
        }
    }

    /// Warns that rules look at every field, the secret ones too.
    pub fn report_keywords(&self, problems: &mut Problems) {
        if let Some((_, Some(span))) = self.0.first() {
            problems
                .warn(
                    codes::KEYWORDS_SEE_SECRETS,
                    *span,
                    "a rule looks for keywords in every field, in secret ones too",
                )
                .help("a decision that rests on a secret field cannot be replayed; name the fields that the rule means");
        }
    }

    /// Masks the secret fields of an event, and gives the paths of those that it has.
    #[must_use]
    pub fn mask(&self, event: &mut Value) -> Vec<String> {
        let mut masked = Vec::new();
        for (path, _) in &self.0 {
            let steps: Vec<&str> = path.steps().collect();
            if mask_at(event, &steps) {
                masked.push(path.as_str().to_owned());
            }
        }
        masked
    }
}

/// Whether a field is the one that a path leads to, or below it.
fn covers(path: &FieldPath, field: &str) -> bool {
    let below = field.strip_prefix(path.as_str());
    below.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Masks what stands at a path, in each element of an array on the way: whether anything does.
fn mask_at(value: &mut Value, steps: &[&str]) -> bool {
    if let Value::Array(elements) = value {
        let masked = elements.iter_mut().map(|element| mask_at(element, steps));
        return masked.fold(false, |any, masked| any | masked);
    }
    let Some((step, rest)) = steps.split_first() else {
        let is_there = !value.is_null();
        *value = if is_there { MASK.into() } else { Value::Null };
        return is_there;
    };
    value
        .get_mut(*step)
        .is_some_and(|below| mask_at(below, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_secret_is_known_again_and_never_printed() {
        let secret = Secret::new("sk-4711-abcdef".to_owned());
        assert_eq!(
            format!("{secret} {secret:?} {:?}", Some(&secret)),
            "*** *** Some(***)"
        );
        let cases = [
            ("it is sk-4711-abcdef.", true, true),
            ("it ends in abcdef", false, true),
            ("it begins with sk-47", false, false),
            ("", false, false),
        ];
        for (text, stands, hinted) in cases {
            assert_eq!(secret.stands_in(text), stands, "{text}");
            assert_eq!(secret.is_hinted_at(text), hinted, "{text}");
        }
        let placeholder = Secret::new("none".to_owned());
        assert!(!placeholder.stands_in("none of them"));
        assert!(placeholder.is_hinted_at("none of them"));
        assert!(!Secret::new(String::new()).is_hinted_at("anything"));
    }

    #[test]
    fn what_is_secret_is_masked_wherever_it_stands() {
        let cases = [
            (
                "a",
                json!({"a": 1, "b": 2}),
                json!({"a": "***", "b": 2}),
                true,
            ),
            (
                "a.b",
                json!({"a": {"b": {"c": 1}}}),
                json!({"a": {"b": "***"}}),
                true,
            ),
            (
                "a.b",
                json!({"a": [{"b": 1}, {"c": 2}]}),
                json!({"a": [{"b": "***"}, {"c": 2}]}),
                true,
            ),
            (
                "a.b",
                json!({"a": {"b": [1, [2]]}}),
                json!({"a": {"b": ["***", ["***"]]}}),
                true,
            ),
            (
                "a.b",
                json!({"a": {"b": null}}),
                json!({"a": {"b": null}}),
                false,
            ),
            ("a.b", json!({"a": "x"}), json!({"a": "x"}), false),
            ("a", json!([{"a": false}]), json!([{"a": "***"}]), true),
        ];
        for (path, event, expected, is_there) in cases {
            let mut masked = event.clone();
            let paths = Secrets::new([path]).mask(&mut masked);
            assert_eq!(masked, expected, "{path} of {event}");
            assert_eq!(paths, if is_there { vec![path] } else { vec![] });
        }
    }

    #[test]
    fn a_path_covers_what_is_below_it() {
        let cases = [
            ("a.b", "a.b", true),
            ("a.b", "a.b.c", true),
            ("a.b", "a.bc", false),
            ("a.b", "a", false),
        ];
        for (path, field, expected) in cases {
            assert_eq!(
                covers(&FieldPath::new(path), field),
                expected,
                "{path} {field}"
            );
        }
    }
}
