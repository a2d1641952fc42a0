//! Users, groups, factors, roles and API tokens, as Okta tells them.

use serde_json::{Map, Value, json};

use super::build::{Builder, active, meaning};
use crate::tenant::scenario::{Factor, Group, Role, Scenario, ScenarioError, User};

impl Builder {
    /// Adds them.
    ///
    /// # Errors
    ///
    /// Where something names a user or a group that there is not.
    pub fn people(&mut self, scenario: &Scenario) -> Result<(), ScenarioError> {
        self.list("/users");
        self.list("/groups");
        for user in &scenario.users {
            self.add_user(user)?;
        }
        for group in &scenario.groups {
            self.add_group(group)?;
        }
        for factor in &scenario.factors {
            self.add_factor(factor)?;
        }
        self.list("/iam/roles").wrapped = Some("roles");
        self.list("/iam/assignees/users").wrapped = Some("value");
        for role in &scenario.roles {
            self.add_role(role)?;
        }
        self.list("/api-tokens");
        for token in &scenario.tokens {
            let id = self.seed.id("00T", &token.name);
            let owner = match &token.user {
                Some(login) => self.user(login, &format!("the token `{}`", token.name))?,
                None => self.seed.id("00u", "a user that was deleted"),
            };
            // without its value: Okta tells that once, when a token is made
            let told = json!({
                "id": id,
                "name": token.name,
                "clientName": "Okta API",
                "userId": owner,
                "tokenWindow": "P30D",
                "created": self.at(token.created, 10),
                "lastUpdated": self.at(None, 0),
                "expiresAt": self.at(token.expires, -30),
                "network": { "connection": "ANYWHERE" },
                "_link": self.own_link(&format!("/api-tokens/{id}")),
            });
            self.push("/api-tokens", told);
        }
        Ok(())
    }

    fn add_user(&mut self, user: &User) -> Result<(), ScenarioError> {
        let id = self.user(&user.login, "a user")?;
        let mut profile = Map::new();
        let mut say = |name: &str, value: &str| profile.insert(name.to_owned(), json!(value));
        say("login", &user.login);
        say("email", &user.login);
        say("firstName", &user.first_name);
        say("lastName", &user.last_name);
        profile.extend(user.profile.clone());
        let status = active(&user.status);
        let activated = match status {
            "STAGED" => Value::Null,
            _ => json!(self.at(user.created, 365)),
        };
        let told = json!({
            "id": id,
            "status": status,
            "created": self.at(user.created, 365),
            "activated": activated,
            "statusChanged": self.at(user.status_changed.or(user.created), 365),
            "lastLogin": self.at_or_null(user.last_login),
            "lastUpdated": self.at(user.status_changed.or(user.created), 365),
            "passwordChanged": self.at_or_null(user.password_changed),
            "type": { "id": self.seed.id("oty", "default") },
            "profile": profile,
            "credentials": {
                "password": {},
                "provider": { "type": "OKTA", "name": "OKTA" },
            },
            "_links": self.own_link(&format!("/users/{id}")),
        });
        self.single(&format!("/users/{id}"), told.clone());
        self.push("/users", told);
        for kind in [
            "groups", "appLinks", "factors", "roles", "clients", "devices",
        ] {
            self.list(&format!("/users/{id}/{kind}"));
        }
        Ok(())
    }

    fn add_group(&mut self, group: &Group) -> Result<(), ScenarioError> {
        let id = self.group(&group.name, "a group")?;
        let told = json!({
            "id": id,
            "created": self.at(None, 700),
            "lastUpdated": self.at(None, 90),
            "lastMembershipUpdated": self.at(None, 5),
            "objectClass": ["okta:user_group"],
            "type": group.kind.as_deref().unwrap_or("OKTA_GROUP"),
            "profile": { "name": group.name, "description": group.description },
            "_links": {
                "users": { "href": self.href(&format!("/groups/{id}/users")) },
                "apps": { "href": self.href(&format!("/groups/{id}/apps")) },
            },
        });
        self.single(&format!("/groups/{id}"), told.clone());
        self.push("/groups", told.clone());
        for kind in ["users", "apps", "roles"] {
            self.list(&format!("/groups/{id}/{kind}"));
        }
        for login in &group.members {
            let user = self.user(login, &format!("the group `{}`", group.name))?;
            let member = self.thing(&format!("/users/{user}"));
            self.push(&format!("/groups/{id}/users"), member);
            self.push(&format!("/users/{user}/groups"), told.clone());
        }
        Ok(())
    }

    fn add_factor(&mut self, factor: &Factor) -> Result<(), ScenarioError> {
        let user = self.user(&factor.user, "a factor")?;
        let (prefix, provider, profile) = kind_of(factor);
        let id = self
            .seed
            .id(prefix, &format!("{} {}", factor.user, factor.kind));
        let provider = factor.provider.as_deref().unwrap_or(provider);
        let told = json!({
            "id": id,
            "factorType": factor.kind,
            "provider": provider,
            "vendorName": provider,
            "status": active(&factor.status),
            "created": self.at(factor.created, 200),
            "lastUpdated": self.at(factor.created, 200),
            "profile": profile,
            "_links": self.own_link(&format!("/users/{user}/factors/{id}")),
        });
        self.push(&format!("/users/{user}/factors"), told);
        Ok(())
    }

    fn add_role(&mut self, role: &Role) -> Result<(), ScenarioError> {
        let (kind, path, whose) = match (&role.user, &role.group) {
            (Some(login), None) => ("USER", "users", self.user(login, "a role")?),
            (None, Some(name)) => ("GROUP", "groups", self.group(name, "a role")?),
            _ => {
                let text = format!(
                    "the role `{}` needs either a `user` or a `group`",
                    role.kind
                );
                return Err(meaning(text));
            }
        };
        let label = role.label.clone().unwrap_or_else(|| label(&role.kind));
        let id = self.seed.id("ra1", &format!("{whose} {label}"));
        let mut told = json!({
            "id": id,
            "label": label,
            "type": role.kind,
            "status": "ACTIVE",
            "assignmentType": kind,
            "created": self.at(None, 150),
            "lastUpdated": self.at(None, 150),
            "_links": { "assignee": { "href": self.href(&format!("/{path}/{whose}")) } },
        });
        if let (true, Some(map)) = (role.kind == "CUSTOM", told.as_object_mut()) {
            let custom = self.custom_role(&label);
            map.insert("role".to_owned(), json!(custom));
            map.insert(
                "resource-set".to_owned(),
                json!(self.seed.id("iam", "resource set")),
            );
        }
        self.push(&format!("/{path}/{whose}/roles"), told);
        if kind == "USER" {
            self.add_assignee(&whose);
        }
        Ok(())
    }

    /// The id of a custom role, which is listed from its first assignment on.
    fn custom_role(&mut self, label: &str) -> String {
        let id = self.seed.id("cr0", label);
        let known = |item: &super::Item| item.shown.get("id") == Some(&json!(id));
        if !self.list("/iam/roles").items.iter().any(known) {
            let told = json!({
                "id": id,
                "label": label,
                "description": format!("{label}, made for this organization"),
                "created": self.at(None, 300),
                "lastUpdated": self.at(None, 300),
                "_links": self.own_link(&format!("/iam/roles/{id}")),
            });
            self.push("/iam/roles", told);
        }
        id
    }

    fn add_assignee(&mut self, user: &str) {
        let known = |item: &super::Item| item.shown.get("id") == Some(&json!(user));
        if !self.list("/iam/assignees/users").items.iter().any(known) {
            let told = json!({
                "id": user,
                "orn": format!("orn:okta:directory:{}:users:{user}", self.seed.id("00o", "orn")),
                "_links": {
                    "self": { "href": self.href(&format!("/users/{user}")) },
                    "roles": { "href": self.href(&format!("/users/{user}/roles")) },
                },
            });
            self.push("/iam/assignees/users", told);
        }
    }
}

/// The prefix of the id, the provider and the profile of a factor.
fn kind_of(factor: &Factor) -> (&'static str, &'static str, Value) {
    let login = &factor.user;
    match factor.kind.as_str() {
        "push" => {
            let name = format!("Phone of {login}");
            let profile = json!({ "credentialId": login, "deviceType": "SmartPhone_IPhone", "name": name,
                "platform": "IOS", "version": "18.1" });
            ("opf", "OKTA", profile)
        }
        "token:software:totp" => ("ost", "OKTA", json!({ "credentialId": login })),
        "webauthn" => {
            let profile = json!({ "credentialId": login, "authenticatorName": "MacBook Touch ID" });
            ("fwf", "FIDO", profile)
        }
        "sms" | "call" => ("mbl", "OKTA", json!({ "phoneNumber": "+1 XXX-XXX-1337" })),
        "email" => ("emf", "OKTA", json!({ "email": login })),
        "question" => {
            let profile = json!({ "question": "disliked_food", "questionText": "What is the food you least liked as a child?" });
            ("ufs", "OKTA", profile)
        }
        _ => ("fct", "OKTA", json!({ "credentialId": login })),
    }
}

/// `Help Desk Administrator` of `HELP_DESK_ADMIN`.
fn label(kind: &str) -> String {
    let words = kind.split('_').map(|word| match word {
        "ADMIN" => "Administrator".to_owned(),
        word => {
            let lower = word.to_lowercase();
            let mut letters = lower.chars();
            let first = letters.next().map(|first| first.to_ascii_uppercase());
            first.into_iter().chain(letters).collect()
        }
    });
    words.collect::<Vec<_>>().join(" ")
}
