//! Applications and who has them, one by one and by group, as Okta tells them.

use serde_json::{Value, json};

use super::Item;
use super::build::{Builder, active};
use crate::tenant::scenario::{App, Scenario, ScenarioError};

/// How somebody has an application.
#[derive(Clone, Copy)]
enum By {
    Hand,
    Group,
}

impl Builder {
    /// Adds them.
    ///
    /// # Errors
    ///
    /// Where an application names a user or a group that there is not.
    pub fn apps(&mut self, scenario: &Scenario) -> Result<(), ScenarioError> {
        self.list("/apps");
        for app in &scenario.apps {
            self.add_app(app, scenario)?;
        }
        Ok(())
    }

    fn add_app(&mut self, app: &App, scenario: &Scenario) -> Result<(), ScenarioError> {
        let whose = format!("the application `{}`", app.label);
        let id = app
            .id
            .clone()
            .unwrap_or_else(|| self.seed.id("0oa", &app.label));
        let told = self.app(app, &id);
        self.single(&format!("/apps/{id}"), told.clone());
        self.list(&format!("/apps/{id}/users"));
        self.list(&format!("/apps/{id}/groups"));
        let mut holders: Vec<(String, By)> = Vec::new();
        for login in &app.users {
            holders.push((self.user(login, &whose)?, By::Hand));
        }
        let mut groups = Vec::new();
        for (priority, name) in app.groups.iter().enumerate() {
            let group = self.group(name, &whose)?;
            self.assign_group(&id, &group, priority, &told);
            groups.push(json!({ "id": group }));
            let members = scenario.groups.iter().filter(|held| held.name == *name);
            for login in members.flat_map(|group| &group.members) {
                let user = self.user(login, &whose)?;
                if !holders.iter().any(|(held, _)| *held == user) {
                    holders.push((user, By::Group));
                }
            }
        }
        for (user, by) in &holders {
            self.assign(&id, app, user, *by);
        }
        let users: Vec<Value> = holders
            .iter()
            .map(|(user, _)| json!({ "id": user }))
            .collect();
        let hidden = json!({ "user": users, "group": groups });
        self.list("/apps").items.push(Item {
            shown: told,
            hidden,
        });
        Ok(())
    }

    fn app(&self, app: &App, id: &str) -> Value {
        let mode = app.sign_on_mode.as_deref().unwrap_or("SAML_2_0");
        let (credentials, settings) = match mode {
            "OPENID_CONNECT" => (
                json!({ "oauthClient": { "client_id": id, "token_endpoint_auth_method": "private_key_jwt" } }),
                json!({ "oauthClient": { "grant_types": ["client_credentials"], "application_type": "service" } }),
            ),
            "BOOKMARK" => (
                json!({}),
                json!({ "app": { "url": "https://www.example.com", "requestIntegration": false } }),
            ),
            _ => (
                json!({ "userNameTemplate": { "template": "${source.login}", "type": "BUILT_IN" } }),
                json!({ "app": {}, "notifications": { "vpn": { "network": { "connection": "DISABLED" } } } }),
            ),
        };
        json!({
            "id": id,
            "name": app.name,
            "label": app.label,
            "status": active(&app.status),
            "signOnMode": mode,
            "features": [],
            "created": self.at(None, 600),
            "lastUpdated": self.at(None, 60),
            "accessibility": { "selfService": false },
            "visibility": { "autoSubmitToolbar": false, "hide": { "iOS": false, "web": false } },
            "credentials": credentials,
            "settings": settings,
            "_links": {
                "self": { "href": self.href(&format!("/apps/{id}")) },
                "users": { "href": self.href(&format!("/apps/{id}/users")) },
                "groups": { "href": self.href(&format!("/apps/{id}/groups")) },
            },
        })
    }

    fn assign(&mut self, id: &str, app: &App, user: &str, by: By) {
        let holder = self.thing(&format!("/users/{user}"));
        let login = holder
            .pointer("/profile/login")
            .cloned()
            .unwrap_or_default();
        let scope = match by {
            By::Hand => "USER",
            By::Group => "GROUP",
        };
        let told = json!({
            "id": user,
            "scope": scope,
            "status": "ACTIVE",
            "syncState": "DISABLED",
            "created": self.at(None, 180),
            "lastUpdated": self.at(None, 180),
            "statusChanged": self.at(None, 180),
            "passwordChanged": null,
            "credentials": { "userName": login },
            "profile": {},
            "_links": {
                "app": { "href": self.href(&format!("/apps/{id}")) },
                "user": { "href": self.href(&format!("/users/{user}")) },
            },
        });
        self.push(&format!("/apps/{id}/users"), told);
        if active(&app.status) == "ACTIVE" {
            let link = json!({
                "id": self.seed.id("00u", &format!("link {id} {user}")),
                "label": app.label,
                "linkUrl": format!("{}/home/{}/{id}/1", self.origin, app.name),
                "logoUrl": format!("{}/assets/img/logos/{}.png", self.origin, app.name),
                "appName": app.name,
                "appInstanceId": id,
                "appAssignmentId": self.seed.id("0ua", &format!("{id} {user}")),
                "credentialsSetup": false,
                "hidden": false,
                "sortOrder": 0,
            });
            self.push(&format!("/users/{user}/appLinks"), link);
        }
    }

    fn assign_group(&mut self, id: &str, group: &str, priority: usize, app: &Value) {
        let told = json!({
            "id": group,
            "lastUpdated": self.at(None, 180),
            "priority": priority,
            "profile": {},
            "_links": {
                "app": { "href": self.href(&format!("/apps/{id}")) },
                "self": { "href": self.href(&format!("/apps/{id}/groups/{group}")) },
                "group": { "href": self.href(&format!("/groups/{group}")) },
            },
        });
        self.push(&format!("/apps/{id}/groups"), told);
        self.push(&format!("/groups/{group}/apps"), app.clone());
    }
}
