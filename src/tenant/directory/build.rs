//! How the directory is made: ids, names and links that all of its parts share.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Item, List};
use crate::tenant::scenario::{Engine, Moment, Scenario, ScenarioError};
use crate::tenant::seed::Seed;
use crate::tenant::time;

/// A directory that is being made.
pub struct Builder {
    pub(super) seed: Seed,
    pub(super) origin: String,
    pub(super) start: i64,
    pub(super) lists: BTreeMap<String, List>,
    pub(super) singles: BTreeMap<String, Value>,
    /// The ids of users by login in lower case.
    pub(super) logins: BTreeMap<String, String>,
    /// The ids of groups by name.
    pub(super) groups: BTreeMap<String, String>,
}

impl Builder {
    /// One that knows the ids of all users and groups.
    ///
    /// # Errors
    ///
    /// Where two have one name.
    pub fn new(
        scenario: &Scenario,
        seed: Seed,
        origin: &str,
        start: i64,
    ) -> Result<Self, ScenarioError> {
        let mut builder = Self {
            seed,
            origin: origin.to_owned(),
            start,
            lists: BTreeMap::new(),
            singles: BTreeMap::new(),
            logins: BTreeMap::new(),
            groups: BTreeMap::new(),
        };
        for user in &scenario.users {
            let id = user
                .id
                .clone()
                .unwrap_or_else(|| seed.id("00u", &user.login));
            if builder
                .logins
                .insert(user.login.to_lowercase(), id)
                .is_some()
            {
                return Err(meaning(format!("there are two users `{}`", user.login)));
            }
        }
        for group in &scenario.groups {
            let id = group
                .id
                .clone()
                .unwrap_or_else(|| seed.id("00g", &group.name));
            if builder.groups.insert(group.name.clone(), id).is_some() {
                return Err(meaning(format!("there are two groups `{}`", group.name)));
            }
        }
        Ok(builder)
    }

    /// What the organization tells of itself to everybody; also `/api/v1/org`, for who may ask.
    pub fn organization(&mut self, scenario: &Scenario) -> Value {
        let id = self.seed.id("00o", &scenario.org);
        let subdomain: String = scenario.org.to_lowercase().replace(' ', "-");
        let org = json!({
            "id": id,
            "companyName": scenario.org,
            "status": "ACTIVE",
            "subdomain": subdomain,
            "created": self.at(None, 1500),
            "lastUpdated": self.at(None, 30),
            "_links": { "contacts": { "href": self.href("/org/contacts") } },
        });
        self.single("/org", org);
        json!({
            "id": id,
            "cell": "ok14",
            "pipeline": if scenario.engine == Engine::Identity { "idx" } else { "v1" },
            "settings": { "analyticsCollectionEnabled": false, "bugReportingEnabled": false, "omEnabled": false },
            "_links": { "organization": { "href": self.origin } },
        })
    }

    /// Puts an item at the end of the list at a path under `/api/v1`.
    pub fn push(&mut self, path: &str, shown: Value) {
        let hidden = Value::Null;
        self.list(path).items.push(Item { shown, hidden });
    }

    /// The list at a path under `/api/v1`, which is empty where there was none.
    pub fn list(&mut self, path: &str) -> &mut List {
        self.lists.entry(format!("/api/v1{path}")).or_default()
    }

    /// Puts a single thing at a path under `/api/v1`.
    pub fn single(&mut self, path: &str, value: Value) {
        self.singles.insert(format!("/api/v1{path}"), value);
    }

    /// The thing at a path under `/api/v1`, where there is one.
    pub fn thing(&self, path: &str) -> Value {
        let found = self.singles.get(&format!("/api/v1{path}"));
        found.cloned().unwrap_or_default()
    }

    /// A time as it is told; without one, so many days before the start.
    pub fn at(&self, moment: Option<Moment>, days_ago: i64) -> String {
        let moment = moment.unwrap_or(Moment::days_ago(days_ago));
        time::written(moment.nanos(self.start))
    }

    /// A time as it is told, or null.
    pub fn at_or_null(&self, moment: Option<Moment>) -> Value {
        json!(moment.map(|moment| time::written(moment.nanos(self.start))))
    }

    /// The address of a path under `/api/v1`.
    pub fn href(&self, path: &str) -> String {
        format!("{}/api/v1{path}", self.origin)
    }

    /// `_links` with nothing but the thing itself.
    pub fn own_link(&self, path: &str) -> Value {
        json!({ "self": { "href": self.href(path) } })
    }

    /// The id of a user.
    ///
    /// # Errors
    ///
    /// Where the scenario holds no such user.
    pub fn user(&self, login: &str, whose: &str) -> Result<String, ScenarioError> {
        let id = self.logins.get(&login.to_lowercase()).cloned();
        id.ok_or_else(|| {
            meaning(format!(
                "{whose} names the user `{login}`, which is not in `users`"
            ))
        })
    }

    /// The id of a group.
    ///
    /// # Errors
    ///
    /// Where the scenario holds no such group.
    pub fn group(&self, name: &str, whose: &str) -> Result<String, ScenarioError> {
        let id = self.groups.get(name).cloned();
        id.ok_or_else(|| {
            meaning(format!(
                "{whose} names the group `{name}`, which is not in `groups`"
            ))
        })
    }
}

/// Something that a scenario says and cannot mean.
pub fn meaning(text: String) -> ScenarioError {
    ScenarioError::Meaning(text)
}

/// The status, or `ACTIVE`.
pub fn active(status: &Option<String>) -> &str {
    status.as_deref().unwrap_or("ACTIVE")
}
