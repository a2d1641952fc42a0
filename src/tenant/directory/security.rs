//! Policies, zones, devices, identity providers and what else decides who gets in, as Okta tells
//! it.

use serde_json::{Value, json};

use super::build::{Builder, active};
use crate::tenant::scenario::{Device, Policy, Scenario, ScenarioError, Zone};

impl Builder {
    /// Adds them.
    ///
    /// # Errors
    ///
    /// Where a device names a user that there is not.
    pub fn security(&mut self, scenario: &Scenario) -> Result<(), ScenarioError> {
        self.begin_lists();
        for (place, policy) in scenario.policies.iter().enumerate() {
            let of_kind = scenario.policies.iter().take(place);
            let before = of_kind.filter(|held| held.kind == policy.kind).count();
            self.add_policy(policy, before + 1);
        }
        for zone in &scenario.zones {
            self.add_zone(zone);
        }
        for device in &scenario.devices {
            self.add_device(device)?;
        }
        self.add_idps(scenario);
        self.add_servers(scenario);
        self.add_hooks(scenario);
        self.add_behaviors(scenario);
        self.add_edges(scenario);
        Ok(())
    }

    /// Lists that are empty are lists, too.
    fn begin_lists(&mut self) {
        for path in [
            "/policies",
            "/zones",
            "/devices",
            "/idps",
            "/authorizationServers",
            "/eventHooks",
            "/behaviors",
            "/logStreams",
            "/trustedOrigins",
        ] {
            self.list(path);
        }
        self.list("/domains").wrapped = Some("domains");
    }

    fn add_policy(&mut self, policy: &Policy, priority: usize) {
        let id = self
            .seed
            .id("00p", &format!("{} {}", policy.kind, policy.name));
        let path = format!("/policies/{id}");
        let mut told = json!({
            "id": id,
            "type": policy.kind,
            "name": policy.name,
            "description": policy.description,
            "status": active(&policy.status),
            "system": policy.system,
            "priority": priority,
            "created": self.at(None, 800),
            "lastUpdated": self.at(None, 40),
            "_links": {
                "self": { "href": self.href(&path) },
                "rules": { "href": self.href(&format!("{path}/rules")) },
            },
        });
        for (name, value) in [
            ("conditions", &policy.conditions),
            ("settings", &policy.settings),
        ] {
            put(&mut told, name, value);
        }
        self.single(&path, told.clone());
        self.push("/policies", told);
        self.list(&format!("{path}/rules"));
        for place in 0..policy.rules.len() {
            self.add_rule(policy, place, &format!("{path}/rules"));
        }
    }

    fn add_rule(&mut self, policy: &Policy, place: usize, path: &str) {
        let Some(rule) = policy.rules.get(place) else {
            return;
        };
        let name = format!("{} {} {}", policy.kind, policy.name, rule.name);
        let id = self.seed.id("0pr", &name);
        let kind = match policy.kind.as_str() {
            "OKTA_SIGN_ON" => "SIGN_ON",
            kind => kind,
        };
        let mut told = json!({
            "id": id,
            "type": kind,
            "name": rule.name,
            "status": active(&rule.status),
            "system": policy.system && place + 1 == policy.rules.len(),
            "priority": place + 1,
            "created": self.at(None, 800),
            "lastUpdated": self.at(None, 40),
            "_links": { "self": { "href": self.href(&format!("{path}/{id}")) } },
        });
        for (name, value) in [("conditions", &rule.conditions), ("actions", &rule.actions)] {
            put(&mut told, name, value);
        }
        self.push(path, told);
    }

    fn add_zone(&mut self, zone: &Zone) {
        let id = self.seed.id("nzo", &zone.name);
        let kind = zone.kind.as_deref().unwrap_or("IP");
        let mut told = json!({
            "id": id,
            "type": kind,
            "name": zone.name,
            "status": active(&zone.status),
            "usage": zone.usage.as_deref().unwrap_or("POLICY"),
            "system": false,
            "created": self.at(None, 500),
            "lastUpdated": self.at(None, 100),
            "_links": self.own_link(&format!("/zones/{id}")),
        });
        if kind == "IP" {
            let gateways = zone.gateways.iter().map(|network| {
                let kind = if network.contains('/') {
                    "CIDR"
                } else {
                    "RANGE"
                };
                json!({ "type": kind, "value": network })
            });
            put(&mut told, "gateways", &Some(gateways.collect()));
        }
        self.single(&format!("/zones/{id}"), told.clone());
        self.push("/zones", told);
    }

    fn add_device(&mut self, device: &Device) -> Result<(), ScenarioError> {
        let id = self.seed.id("guo", &device.name);
        let told = json!({
            "id": id,
            "status": active(&device.status),
            "created": self.at(None, 250),
            "lastUpdated": self.at(None, 3),
            "profile": {
                "displayName": device.name,
                "platform": device.platform,
                "osVersion": device.os_version.as_deref().unwrap_or("15.1"),
                "registered": true,
                "managed": device.managed,
                "secureHardwarePresent": true,
                "serialNumber": self.seed.letters("C0", &["serial", &device.name], 12),
            },
            "resourceType": "UDDevice",
            "resourceId": id,
            "resourceDisplayName": { "value": device.name, "sensitive": false },
            "_links": {
                "self": { "href": self.href(&format!("/devices/{id}")) },
                "users": { "href": self.href(&format!("/devices/{id}/users")) },
            },
        });
        self.single(&format!("/devices/{id}"), told.clone());
        self.push("/devices", told.clone());
        self.list(&format!("/devices/{id}/users"));
        for login in &device.users {
            let user = self.user(login, &format!("the device `{}`", device.name))?;
            let status = if device.managed {
                "MANAGED"
            } else {
                "NOT_MANAGED"
            };
            let held = json!({
                "created": self.at(None, 250),
                "managementStatus": status,
                "screenLockType": "BIOMETRIC",
                "user": self.thing(&format!("/users/{user}")),
            });
            self.push(&format!("/devices/{id}/users"), held);
            self.push(&format!("/users/{user}/devices"), told.clone());
        }
        Ok(())
    }

    fn add_idps(&mut self, scenario: &Scenario) {
        for idp in &scenario.idps {
            let id = self.seed.id("0oa", &format!("idp {}", idp.name));
            let mut told = json!({
                "id": id,
                "type": idp.kind,
                "name": idp.name,
                "status": active(&idp.status),
                "created": self.at(None, 400),
                "lastUpdated": self.at(None, 70),
                "_links": self.own_link(&format!("/idps/{id}")),
            });
            let protocol = match idp.kind.as_str() {
                "SAML2" => Some(json!({ "type": "SAML2" })),
                "OIDC" | "GOOGLE" | "MICROSOFT" => {
                    Some(json!({ "type": "OIDC", "scopes": ["openid", "email"] }))
                }
                _ => None,
            };
            put(&mut told, "protocol", &protocol);
            self.single(&format!("/idps/{id}"), told.clone());
            self.push("/idps", told);
        }
    }

    fn add_servers(&mut self, scenario: &Scenario) {
        for server in &scenario.authorization_servers {
            let id = match server.name.as_str() {
                "default" => "default".to_owned(),
                name => self.seed.id("aus", name),
            };
            let path = format!("/authorizationServers/{id}");
            let told = json!({
                "id": id,
                "name": server.name,
                "description": format!("The authorization server {}", server.name),
                "audiences": server.audiences,
                "issuer": format!("{}/oauth2/{id}", self.origin),
                "issuerMode": "ORG_URL",
                "status": "ACTIVE",
                "created": self.at(None, 900),
                "lastUpdated": self.at(None, 120),
                "_links": self.own_link(&path),
            });
            self.single(&path, told.clone());
            self.push("/authorizationServers", told);
            self.list(&format!("{path}/scopes"));
            for name in &server.scopes {
                let scope = self.seed.id("scp", &format!("{id} {name}"));
                let told = json!({
                    "id": scope, "name": name, "description": format!("Allows {name}"), "system": false,
                    "default": false, "consent": "IMPLICIT", "metadataPublish": "NO_CLIENTS",
                    "_links": self.own_link(&format!("{path}/scopes/{scope}")),
                });
                self.push(&format!("{path}/scopes"), told);
            }
            self.list(&format!("{path}/policies"));
            for (place, name) in server.policies.iter().enumerate() {
                let policy = self.seed.id("00p", &format!("{id} {name}"));
                let told = json!({
                    "id": policy, "type": "OAUTH_AUTHORIZATION_POLICY", "name": name, "status": "ACTIVE",
                    "description": name, "priority": place + 1, "system": false,
                    "conditions": { "clients": { "include": ["ALL_CLIENTS"] } },
                    "created": self.at(None, 900), "lastUpdated": self.at(None, 120),
                    "_links": self.own_link(&format!("{path}/policies/{policy}")),
                });
                self.push(&format!("{path}/policies"), told);
            }
        }
    }

    fn add_hooks(&mut self, scenario: &Scenario) {
        for hook in &scenario.event_hooks {
            let id = self.seed.id("who", &hook.name);
            let told = json!({
                "id": id,
                "name": hook.name,
                "status": active(&hook.status),
                "verificationStatus": "VERIFIED",
                "events": { "type": "EVENT_TYPE", "items": hook.events },
                "channel": { "type": "HTTP", "version": "1.0.0", "config": { "uri": hook.url, "headers": [], "method": "POST" } },
                "created": self.at(None, 210),
                "createdBy": self.seed.id("00u", "maker of hooks"),
                "lastUpdated": self.at(None, 20),
                "_links": self.own_link(&format!("/eventHooks/{id}")),
            });
            self.push("/eventHooks", told);
        }
    }

    fn add_behaviors(&mut self, scenario: &Scenario) {
        for behavior in &scenario.behaviors {
            let id = self.seed.id("abc", &behavior.name);
            let settings = match behavior.kind.as_str() {
                "VELOCITY" => json!({ "velocityKph": 805 }),
                "ANOMALOUS_LOCATION" => {
                    json!({ "granularity": "CITY", "maxEventsUsedForEvaluation": 50, "minEventsNeededForEvaluation": 0 })
                }
                _ => json!({ "maxEventsUsedForEvaluation": 50, "minEventsNeededForEvaluation": 0 }),
            };
            let told = json!({
                "id": id,
                "name": behavior.name,
                "type": behavior.kind,
                "status": active(&behavior.status),
                "settings": settings,
                "created": self.at(None, 700),
                "lastUpdated": self.at(None, 110),
                "_link": self.own_link(&format!("/behaviors/{id}")),
            });
            self.push("/behaviors", told);
        }
    }

    /// Where the tenant meets the world: log streams, trusted origins, domains.
    fn add_edges(&mut self, scenario: &Scenario) {
        for stream in &scenario.log_streams {
            let id = self.seed.id("0oa", &format!("stream {}", stream.name));
            let told = json!({
                "id": id, "name": stream.name, "type": "aws_eventbridge", "status": active(&stream.status),
                "settings": { "accountId": "123456789012", "eventSourceName": "okta-log", "region": "us-east-2" },
                "created": self.at(None, 330), "lastUpdated": self.at(None, 33),
                "_links": { "self": { "href": self.href(&format!("/logStreams/{id}")), "method": "GET" } },
            });
            self.push("/logStreams", told);
        }
        for origin in &scenario.trusted_origins {
            let id = self.seed.id("tos", &origin.name);
            let scopes: Vec<Value> = origin
                .scopes
                .iter()
                .map(|kind| json!({ "type": kind }))
                .collect();
            let told = json!({
                "id": id, "name": origin.name, "origin": origin.origin, "scopes": scopes, "status": "ACTIVE",
                "created": self.at(None, 450), "createdBy": self.seed.id("00u", "maker of origins"),
                "lastUpdated": self.at(None, 45), "lastUpdatedBy": self.seed.id("00u", "maker of origins"),
                "_links": self.own_link(&format!("/trustedOrigins/{id}")),
            });
            self.push("/trustedOrigins", told);
        }
        for domain in &scenario.domains {
            let id = self.seed.id("OcD", &domain.domain);
            let told = json!({
                "id": id, "domain": domain.domain, "certificateSourceType": "OKTA_MANAGED",
                "validationStatus": "VERIFIED", "brandId": self.seed.id("bnd", "default"), "dnsRecords": [],
                "_links": self.own_link(&format!("/domains/{id}")),
            });
            self.push("/domains", told);
        }
    }
}

/// Adds a value where there is one.
fn put(told: &mut Value, name: &str, value: &Option<Value>) {
    if let (Some(map), Some(value)) = (told.as_object_mut(), value) {
        map.insert(name.to_owned(), value.clone());
    }
}
