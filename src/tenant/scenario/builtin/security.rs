//! What decides who gets in to the organization that is built in.

use serde_json::{Value, json};

use super::owned;
use crate::tenant::scenario::{Behavior, Device, Idp, Policy, Rule, User, Zone};

/// One policy of each type, and two of those that have an order.
pub fn policies() -> Vec<Policy> {
    [
        (
            "OKTA_SIGN_ON",
            "Administrators",
            "Always a second factor",
            sign_on(true),
        ),
        (
            "OKTA_SIGN_ON",
            "Default Policy",
            "Default Rule",
            sign_on(false),
        ),
        ("PASSWORD", "Default Policy", "Default Rule", passwords()),
        (
            "MFA_ENROLL",
            "Default Policy",
            "Default Rule",
            json!({ "enroll": { "self": "CHALLENGE" } }),
        ),
        ("ACCESS_POLICY", "Production", "Two factors", app("2FA")),
        (
            "ACCESS_POLICY",
            "Default Policy",
            "Catch-all Rule",
            app("1FA"),
        ),
        (
            "IDP_DISCOVERY",
            "Default Policy",
            "Default Rule",
            json!({ "idp": { "providers": [{ "type": "OKTA" }] } }),
        ),
        (
            "PROFILE_ENROLLMENT",
            "Default Policy",
            "Catch-all Rule",
            enrollment(),
        ),
        (
            "POST_AUTH_SESSION",
            "Default Policy",
            "Catch-all Rule",
            json!({ "postAuthSession": { "failureActions": [] } }),
        ),
        (
            "ENTITY_RISK",
            "Default Policy",
            "Catch-all Rule",
            json!({ "entityRisk": { "actions": [] } }),
        ),
    ]
    .map(|(kind, name, rule, actions)| policy(kind, name, rule, actions))
    .to_vec()
}

fn policy(kind: &str, name: &str, rule: &str, actions: Value) -> Policy {
    let conditions = match kind {
        "PROFILE_ENROLLMENT" | "ENTITY_RISK" | "POST_AUTH_SESSION" => None,
        _ => Some(json!({ "network": { "connection": "ANYWHERE" } })),
    };
    let rule = Rule {
        name: rule.to_owned(),
        status: None,
        conditions,
        actions: Some(actions),
    };
    Policy {
        kind: kind.to_owned(),
        name: name.to_owned(),
        description: format!("{name} of this organization"),
        system: name.starts_with("Default"),
        rules: vec![rule],
        ..Policy::default()
    }
}

fn sign_on(factor: bool) -> Value {
    json!({ "signon": { "access": "ALLOW", "requireFactor": factor, "rememberDeviceByDefault": false,
        "session": { "usePersistentCookie": false, "maxSessionIdleMinutes": 120, "maxSessionLifetimeMinutes": 0 } } })
}

fn app(factors: &str) -> Value {
    json!({ "appSignOn": { "access": "ALLOW",
        "verificationMethod": { "type": "ASSURANCE", "factorMode": factors, "reauthenticateIn": "PT2H" } } })
}

fn passwords() -> Value {
    json!({ "passwordChange": { "access": "ALLOW" }, "selfServicePasswordReset": { "access": "ALLOW" },
        "selfServiceUnlock": { "access": "DENY" } })
}

fn enrollment() -> Value {
    json!({ "profileEnrollment": { "access": "DENY", "unknownUserAction": "DENY" } })
}

/// The zones.
pub fn zones() -> Vec<Zone> {
    let zone = |name: &str, usage: &str, gateways: &[&str]| Zone {
        name: name.to_owned(),
        usage: Some(usage.to_owned()),
        gateways: owned(gateways),
        ..Zone::default()
    };
    let tor = Zone {
        name: "Anonymizers".to_owned(),
        kind: Some("DYNAMIC_V2".to_owned()),
        usage: Some("BLOCKLIST".to_owned()),
        ..Zone::default()
    };
    vec![
        zone("Offices", "POLICY", &["198.51.100.0/24", "203.0.113.0/26"]),
        zone(
            "BlockedIpZone",
            "BLOCKLIST",
            &["192.0.2.66/32", "192.0.2.100-192.0.2.110"],
        ),
        tor,
    ]
}

/// The devices.
pub fn devices(users: &[User]) -> Vec<Device> {
    let active = users
        .iter()
        .enumerate()
        .filter(|(_, user)| user.status.is_none());
    let device = |(place, user): (usize, &User)| Device {
        name: format!(
            "{}'s {}",
            user.first_name,
            if place % 4 == 0 {
                "Laptop"
            } else {
                "MacBook Pro"
            }
        ),
        platform: if place % 4 == 0 { "WINDOWS" } else { "MACOS" }.to_owned(),
        managed: place % 5 != 0,
        users: vec![user.login.clone()],
        ..Device::default()
    };
    active.take(24).map(device).collect()
}

/// The identity providers.
pub fn idps() -> Vec<Idp> {
    let idp = |name: &str, kind: &str, status: Option<&str>| Idp {
        name: name.to_owned(),
        kind: kind.to_owned(),
        status: status.map(str::to_owned),
    };
    vec![
        idp("Partner Federation", "SAML2", None),
        idp("Former Parent Company", "SAML2", Some("INACTIVE")),
    ]
}

/// The behaviors.
pub fn behaviors() -> Vec<Behavior> {
    let kinds = [
        ("New City", "ANOMALOUS_LOCATION"),
        ("New Device", "ANOMALOUS_DEVICE"),
        ("New IP", "ANOMALOUS_IP"),
        ("Velocity", "VELOCITY"),
    ];
    let behavior = |(name, kind): (&str, &str)| Behavior {
        name: name.to_owned(),
        kind: kind.to_owned(),
        status: None,
    };
    kinds.into_iter().map(behavior).collect()
}
