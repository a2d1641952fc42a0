//! The event types and fields that Okta documents, for lints. Both are
//! snapshots: what they lack may be real, so it is a warning and never an error.

use std::sync::LazyLock;

static EVENT_TYPES: LazyLock<Vec<&str>> = LazyLock::new(|| lines(include_str!("event-types.txt")));
static FIELDS: LazyLock<Vec<&str>> = LazyLock::new(|| lines(include_str!("fields.txt")));

static EVENT_FACTS: LazyLock<Vec<&str>> = LazyLock::new(|| lines(include_str!("event-facts.txt")));

static OPERATIONS: LazyLock<Vec<&str>> = LazyLock::new(|| lines(include_str!("operations.txt")));

/// Which description of its API the operations are from.
pub const DESCRIBED: &str = "version 2026.06.3";

/// Where Okta sends arrays.
const ARRAYS: [&str; 3] = ["target", "request.ipChain", "client.ipChain"];

/// Objects whose keys Okta does not close: anything may stand below them.
const OPEN_MAPS: [&str; 6] = [
    "debugContext.debugData",
    "transaction.detail",
    "actor.detailEntry",
    "target.detailEntry",
    "target.changeDetails.from",
    "target.changeDetails.to",
];

/// Texts in which Okta writes maps or JSON, each by a path of three keys, and which of the two; `rules/okta_texts.yml`
/// declares accessors for them.
const TEXTS: [(&str, &str); 8] = [
    ("debugContext.debugData.behaviors", "map"),
    ("debugContext.debugData.logOnlySecurityData", "json"),
    ("debugContext.debugData.partnerRisk", "map"),
    ("debugContext.debugData.risk", "map"),
    ("debugContext.debugData.riskChange", "json"),
    ("debugContext.debugData.securityConditions", "map"),
    ("debugContext.debugData.threatDetections", "json"),
    ("debugContext.debugData.tunnels", "json"),
];

/// What may open an account or an application, as Okta's catalogue names it.
const SECRETS: [&str; 5] = [
    "debugContext.debugData.assertion",
    "debugContext.debugData.authCode",
    "debugContext.debugData.credential",
    "debugContext.debugData.interactionCode",
    "debugContext.debugData.tokenEncryptionKey",
];

/// What the names of other fields end in that may.
const SECRET_ENDINGS: [&str; 9] = [
    "token",
    "secret",
    "secrets",
    "password",
    "passcode",
    "cookie",
    "authorization",
    "privatekey",
    "apikey",
];

/// Whether the values of a field may be secrets, by its name: not ids and hashes of tokens, by
/// which events are told to belong together.
#[must_use]
pub fn is_secret(field: &str) -> bool {
    let last = field
        .rsplit('.')
        .next()
        .unwrap_or(field)
        .to_ascii_lowercase();
    SECRETS.contains(&field) || SECRET_ENDINGS.iter().any(|ending| last.ends_with(ending))
}

/// Every event type of the catalogue, sorted.
#[must_use]
pub fn event_types() -> &'static [&'static str] {
    &EVENT_TYPES
}

/// What the catalogue says of an event type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventFacts {
    /// The part of Okta that it is from.
    pub category: &'static str,
    /// The day on which it was added.
    pub added: &'static str,
    /// Words that it is filed under, with blanks between them.
    pub tags: &'static str,
}

/// What the catalogue says of an event type, if it has it.
#[must_use]
pub fn event_facts(event_type: &str) -> Option<EventFacts> {
    let is_before = |line: &&str| {
        line.split('\t')
            .next()
            .is_some_and(|known| known < event_type)
    };
    let line = EVENT_FACTS.get(EVENT_FACTS.partition_point(is_before))?;
    let mut parts = line
        .strip_prefix(event_type)?
        .strip_prefix('\t')?
        .split('\t');
    Some(EventFacts {
        category: parts.next()?,
        added: parts.next()?,
        tags: parts.next()?,
    })
}

/// Every documented or observed field path of a System Log record, sorted;
/// arrays are transparent (`target.displayName`).
#[must_use]
pub fn fields() -> &'static [&'static str] {
    &FIELDS
}

/// How Okta spells a field that differs from a documented one in nothing but its case; `None` where
/// several do.
#[must_use]
pub fn spelling(field: &str) -> Option<&'static str> {
    let alike = |known: &&&str| known.eq_ignore_ascii_case(field);
    let mut found = fields().iter().filter(alike);
    let only = found.next()?;
    found.next().is_none().then_some(*only)
}

/// Whether an event is known to have no more than one value of the field: it is Okta's, and
/// leads through no array.
#[must_use]
pub fn has_one_value(field: &str) -> bool {
    let leads_through = |array: &str| {
        let rest = field.strip_prefix(array);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    fields().binary_search(&field).is_ok() && !ARRAYS.iter().any(|array| leads_through(array))
}

/// Whether the path lies in an object whose keys are not closed.
#[must_use]
pub fn is_open_map(path: &str) -> bool {
    OPEN_MAPS.iter().any(|open| {
        path.strip_prefix(open)
            .is_some_and(|rest| rest.starts_with('.'))
    })
}

/// The text of Okta's that a path goes on below, and how it is written.
#[must_use]
pub fn text_above(path: &str) -> Option<(&'static str, &'static str)> {
    let (open, _) = path.match_indices('.').nth(2)?;
    let text = path.get(..open)?;
    TEXTS.into_iter().find(|(known, _)| *known == text)
}

/// The methods that Okta's description has of a path, of which a segment may be filled in when it
/// is used; none where it does not have the path.
#[must_use]
pub fn methods(segments: &[Option<&str>]) -> Vec<&'static str> {
    let of_path = operations(segments).into_iter();
    of_path.map(|(method, _)| method).collect()
}

/// The scopes of OAuth of which Okta's description asks one for an operation; none where it has no
/// such operation, or asks for none.
#[must_use]
pub fn scopes(segments: &[Option<&str>], method: &str) -> Vec<&'static str> {
    let of_path = operations(segments).into_iter();
    let of_method = of_path.filter(|(known, _)| *known == method);
    let scopes = of_method.flat_map(|(_, scopes)| scopes.split(','));
    scopes.filter(|scope| !scope.is_empty()).collect()
}

/// The methods of a path, each with its scopes.
fn operations(segments: &[Option<&str>]) -> Vec<(&'static str, &'static str)> {
    let fits = |known: &str, asked: Option<&str>| known == "{}" || asked == Some(known);
    let mut found = Vec::new();
    for line in OPERATIONS.iter() {
        let mut words = line.split(' ');
        let path = words.next().unwrap_or_default().trim_start_matches('/');
        let known = path.split('/');
        let fits = known.clone().count() == segments.len()
            && known
                .zip(segments)
                .all(|(known, asked)| fits(known, *asked));
        if fits {
            found.extend(words.map(|word| word.split_once(':').unwrap_or((word, ""))));
        }
    }
    found
}

fn lines(text: &'static str) -> Vec<&'static str> {
    let mut lines: Vec<_> = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    lines.sort_unstable();
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_hold_what_everybody_uses() {
        for event_type in [
            "user.session.start",
            "user.mfa.okta_verify.deny_push",
            "zone.delete",
        ] {
            assert!(
                event_types().binary_search(&event_type).is_ok(),
                "{event_type}"
            );
        }
        for field in [
            "actor.alternateId",
            "target.displayName",
            "client.geographicalContext.geolocation.lat",
        ] {
            assert!(fields().binary_search(&field).is_ok(), "{field}");
        }
        for event_type in event_types() {
            assert!(event_facts(event_type).is_some(), "{event_type}");
        }
        let facts = event_facts("user.session.start").expect("it is there");
        assert_eq!(facts.added, "2016-01-08");
        assert!(facts.tags.contains("session") && !facts.category.is_empty());
        assert_eq!(event_facts("user.session.star"), None);
        assert!(has_one_value("actor.id") && has_one_value("client.ipAddress"));
        for field in ["target", "target.id", "request.ipChain.ip", "my.field"] {
            assert!(!has_one_value(field), "{field}");
        }
        let of = |path: &'static str| {
            let segments = path.split('/').map(|word| (word != "{}").then_some(word));
            methods(&segments.collect::<Vec<_>>())
        };
        assert_eq!(of("api/v1/logs"), ["GET"]);
        assert_eq!(of("api/v1/users/{}/lifecycle/suspend"), ["POST"]);
        assert_eq!(of("api/v1/groups/00g1/users/{}"), ["PUT", "DELETE"]);
        let users = ["api", "v1", "users", "00u1"].map(Some);
        assert_eq!(scopes(&users, "GET"), ["okta.users.read"]);
        assert_eq!(scopes(&users, "DELETE"), ["okta.users.manage"]);
        assert!(scopes(&users, "PATCH").is_empty());
        assert!(of("api/v1/users/{}/lifecycle/suspnd").is_empty() && of("api/v1").is_empty());
        assert_eq!(spelling("Actor.alternateid"), Some("actor.alternateId"));
        assert_eq!(
            spelling("debugContext.debugData.REASON"),
            None,
            "two have it"
        );
        for (field, expected) in [
            ("debugContext.debugData.clientSecret", true),
            ("debugContext.debugData.RECOVERY_TOKEN", true),
            ("debugContext.debugData.authCode", true),
            ("debugContext.debugData.tokenId", false),
            ("debugContext.debugData.dtHash", false),
            ("authenticationContext.externalSessionId", false),
            ("authenticationContext.credentialType", false),
        ] {
            assert_eq!(is_secret(field), expected, "{field}");
        }
        assert!(is_open_map("debugContext.debugData.anything"));
        assert!(!is_open_map("debugContext.debugDataX"));
    }
}
