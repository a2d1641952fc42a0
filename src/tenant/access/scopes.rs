//! The scope that each path needs: `paths.*.get.security[].oauth2` of Okta's description of its
//! management API, `okta/okta-management-openapi-spec` 2026.06.3.

/// Paths, with `{}` for a segment that is filled in, and the scope of their `GET`.
const SCOPES: [(&str, &str); 41] = [
    ("/api/v1/api-tokens", "okta.apiTokens.read"),
    ("/api/v1/apps", "okta.apps.read"),
    ("/api/v1/apps/{}", "okta.apps.read"),
    ("/api/v1/apps/{}/groups", "okta.apps.read"),
    ("/api/v1/apps/{}/users", "okta.apps.read"),
    (
        "/api/v1/authorizationServers",
        "okta.authorizationServers.read",
    ),
    (
        "/api/v1/authorizationServers/{}",
        "okta.authorizationServers.read",
    ),
    (
        "/api/v1/authorizationServers/{}/policies",
        "okta.authorizationServers.read",
    ),
    (
        "/api/v1/authorizationServers/{}/scopes",
        "okta.authorizationServers.read",
    ),
    ("/api/v1/behaviors", "okta.behaviors.read"),
    ("/api/v1/devices", "okta.devices.read"),
    ("/api/v1/devices/{}", "okta.devices.read"),
    ("/api/v1/devices/{}/users", "okta.devices.read"),
    ("/api/v1/domains", "okta.domains.read"),
    ("/api/v1/eventHooks", "okta.eventHooks.read"),
    ("/api/v1/groups", "okta.groups.read"),
    ("/api/v1/groups/{}", "okta.groups.read"),
    ("/api/v1/groups/{}/apps", "okta.groups.read"),
    ("/api/v1/groups/{}/roles", "okta.roles.read"),
    ("/api/v1/groups/{}/users", "okta.groups.read"),
    ("/api/v1/iam/assignees/users", "okta.roles.read"),
    ("/api/v1/iam/roles", "okta.roles.read"),
    ("/api/v1/idps", "okta.idps.read"),
    ("/api/v1/idps/{}", "okta.idps.read"),
    ("/api/v1/logStreams", "okta.logStreams.read"),
    ("/api/v1/logs", "okta.logs.read"),
    ("/api/v1/org", "okta.orgs.read"),
    ("/api/v1/policies", "okta.policies.read"),
    ("/api/v1/policies/{}", "okta.policies.read"),
    ("/api/v1/policies/{}/rules", "okta.policies.read"),
    ("/api/v1/trustedOrigins", "okta.trustedOrigins.read"),
    ("/api/v1/users", "okta.users.read"),
    ("/api/v1/users/{}", "okta.users.read"),
    ("/api/v1/users/{}/appLinks", "okta.users.read"),
    ("/api/v1/users/{}/clients", "okta.users.read"),
    ("/api/v1/users/{}/devices", "okta.users.read"),
    ("/api/v1/users/{}/factors", "okta.users.read"),
    ("/api/v1/users/{}/groups", "okta.users.read"),
    ("/api/v1/users/{}/roles", "okta.roles.read"),
    ("/api/v1/zones", "okta.networkZones.read"),
    ("/api/v1/zones/{}", "okta.networkZones.read"),
];

/// The scope that a `GET` of a path needs; `None` where the tenant has no such path.
#[must_use]
pub fn needed(path: &str) -> Option<&'static str> {
    let fits = |pattern: &str| {
        let (mut left, mut right) = (pattern.split('/'), path.trim_end_matches('/').split('/'));
        loop {
            match (left.next(), right.next()) {
                (None, None) => return true,
                (Some("{}"), Some(segment)) if !segment.is_empty() => {}
                (Some(held), Some(segment)) if held == segment => {}
                _ => return false,
            }
        }
    };
    let found = SCOPES.iter().find(|(pattern, _)| fits(pattern));
    found.map(|(_, scope)| *scope)
}
