//! What other stores call the fields of Okta's events: Elastic's names, and lower-cased ones.

use std::borrow::Cow;

use crate::okta::{fields, is_open_map, spelling};

/// Names of the Elastic Common Schema and of Elastic's Okta integration that are no respelling of
/// Okta's own.
const NAMES: [(&str, &str); 40] = [
    ("@timestamp", "published"),
    ("client.as.number", "securityContext.asNumber"),
    ("client.as.organization.name", "securityContext.asOrg"),
    ("client.domain", "securityContext.domain"),
    ("client.geo.city_name", "client.geographicalContext.city"),
    (
        "client.geo.country_name",
        "client.geographicalContext.country",
    ),
    ("client.geo.region_name", "client.geographicalContext.state"),
    ("client.ip", "client.ipAddress"),
    ("client.user.email", "actor.alternateId"),
    ("client.user.full_name", "actor.displayName"),
    ("client.user.id", "actor.id"),
    ("client.user.name", "actor.alternateId"),
    ("event.action", "eventType"),
    ("event.id", "uuid"),
    ("event.outcome", "outcome.result"),
    ("event.reason", "outcome.reason"),
    ("okta.client.ip", "client.ipAddress"),
    (
        "okta.security_context.as.number",
        "securityContext.asNumber",
    ),
    (
        "okta.security_context.as.organization.name",
        "securityContext.asOrg",
    ),
    ("source.as.number", "securityContext.asNumber"),
    ("source.as.organization.name", "securityContext.asOrg"),
    ("source.domain", "securityContext.domain"),
    ("source.geo.city_name", "client.geographicalContext.city"),
    (
        "source.geo.country_name",
        "client.geographicalContext.country",
    ),
    ("source.geo.region_name", "client.geographicalContext.state"),
    ("source.ip", "client.ipAddress"),
    ("source.user.email", "actor.alternateId"),
    ("source.user.full_name", "actor.displayName"),
    ("source.user.id", "actor.id"),
    ("source.user.name", "actor.alternateId"),
    ("user.email", "actor.alternateId"),
    ("user.full_name", "actor.displayName"),
    ("user.id", "actor.id"),
    ("user.name", "actor.alternateId"),
    ("user.target.full_name", "target.displayName"),
    ("user.target.id", "target.id"),
    ("user.target.name", "target.alternateId"),
    ("user_agent.name", "client.userAgent.browser"),
    ("user_agent.original", "client.userAgent.rawUserAgent"),
    ("user_agent.os.name", "client.userAgent.os"),
];

/// Below this Elastic's integration keeps Okta's debug data as they are.
const FLATTENED: &str = "debug_context.debug_data.flattened.";

/// What Elastic's integration makes of several of Okta's fields, so that none of these is it.
const DERIVED: [&str; 4] = [
    "debug_context.debug_data.risk_behaviors",
    "debug_context.debug_data.risk_level",
    "debug_context.debug_data.risk_reasons",
    "debug_context.debug_data.suspicious_activity.",
];

/// What Okta calls a field that others call so; `None` where that is Okta's name, or nobody's that
/// is known.
#[must_use]
pub fn okta_name(field: &str) -> Option<Cow<'static, str>> {
    if fields().binary_search(&field).is_ok() {
        return None;
    }
    if let Some((_, name)) = NAMES.iter().find(|(name, _)| *name == field) {
        return Some(Cow::Borrowed(name));
    }
    if let Some(inner) = field.strip_prefix("okta.") {
        if DERIVED.iter().any(|part| inner.starts_with(part)) {
            return None;
        }
        if let Some(raw) = inner.strip_prefix(FLATTENED) {
            // What stands below has Okta's own names.
            let name = format!("debugContext.debugData.{raw}");
            return Some(Cow::Owned(name));
        }
        let name: Vec<String> = inner.split('.').map(camel_case).collect();
        let name = name.join(".");
        let known = spelling(&name).map(Cow::Borrowed);
        return known.or_else(|| is_open_map(&name).then_some(Cow::Owned(name)));
    }
    spelling(field)
        .filter(|name| *name != field)
        .map(Cow::Borrowed)
}

/// Values of `event.outcome`, with the values of Okta's `outcome.result` that Elastic's Okta
/// integration makes them of: of all that are neither a success nor a failure, `unknown`.
const OUTCOMES: [(&str, &[&str]); 3] = [
    ("success", &["SUCCESS", "ALLOW"]),
    ("failure", &["FAILURE", "DENY"]),
    (
        "unknown",
        &[
            "ABANDONED",
            "CHALLENGE",
            "DEFERRED",
            "RATE_LIMIT",
            "SCHEDULED",
            "SKIPPED",
            "UNANSWERED",
            "UNKNOWN",
        ],
    ),
];

/// Whether others give a field values that are not Okta's.
#[must_use]
pub fn has_other_values(field: &str) -> bool {
    field == "event.outcome"
}

/// The values that stand in Okta's events for a value of a field that others call so.
#[must_use]
pub fn okta_values(field: &str, value: &str) -> Option<&'static [&'static str]> {
    let mut outcomes = OUTCOMES.iter().filter(|_| has_other_values(field));
    let known = outcomes.find(|(name, _)| name.eq_ignore_ascii_case(value));
    known.map(|(_, values)| *values)
}

/// `alternate_id` as `alternateId`.
fn camel_case(step: &str) -> String {
    let mut words = step.split('_');
    let mut name = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        name.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        name.push_str(letters.as_str());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_others_become_okta_s() {
        for (field, name) in [
            ("event.action", Some("eventType")),
            ("okta.actor.alternate_id", Some("actor.alternateId")),
            ("okta.outcome.result", Some("outcome.result")),
            ("okta.event_type", Some("eventType")),
            (
                "okta.client.user_agent.raw_user_agent",
                Some("client.userAgent.rawUserAgent"),
            ),
            (
                "okta.debug_context.debug_data.dt_hash",
                Some("debugContext.debugData.dtHash"),
            ),
            (
                "okta.debug_context.debug_data.of_nobody",
                Some("debugContext.debugData.ofNobody"),
            ),
            ("source.ip", Some("client.ipAddress")),
            ("eventtype", Some("eventType")),
            ("securitycontext.isproxy", Some("securityContext.isProxy")),
            ("eventType", None),
            (
                "okta.debug_context.debug_data.flattened.logOnlySecurityData.risk.level",
                Some("debugContext.debugData.logOnlySecurityData.risk.level"),
            ),
            (
                "okta.debug_context.debug_data.flattened.behaviors.New_Device",
                Some("debugContext.debugData.behaviors.New_Device"),
            ),
            ("okta.debug_context.debug_data.risk_level", None),
            ("process.name", None),
            ("okta.nothing.like_it", None),
            ("", None),
        ] {
            assert_eq!(okta_name(field).as_deref(), name, "{field}");
        }
        for (_, name) in NAMES {
            assert!(fields().binary_search(&name).is_ok(), "{name}");
        }
    }
}
