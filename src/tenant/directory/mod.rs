//! Everything that a tenant holds but its log: lists and single things by their path, made once
//! from the scenario, in shapes that satisfy Okta's description of its API.

mod apps;
mod build;
mod people;
mod query;
mod security;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::access::Caller;
use super::cursor;
use super::errors::Failure;
use super::scenario::{Scenario, ScenarioError};
use super::seed::Seed;
use super::wire::{Answer, Ask, encoded};
use build::Builder;

/// A list.
#[derive(Clone, Debug, Default)]
struct List {
    /// Its items.
    items: Vec<Item>,
    /// The key under which they are told, where the answer is no array.
    wrapped: Option<&'static str>,
}

/// One item of a list.
#[derive(Clone, Debug, Default)]
struct Item {
    /// What is told.
    shown: Value,
    /// What is searched besides, such as the users of an application.
    hidden: Value,
}

/// All lists and single things, by path.
pub struct Directory {
    origin: String,
    organization: Value,
    lists: BTreeMap<String, List>,
    singles: BTreeMap<String, Value>,
    /// The ids of users by login.
    logins: BTreeMap<String, String>,
}

impl Directory {
    /// What a scenario holds, in a tenant that started then.
    ///
    /// # Errors
    ///
    /// Where the scenario names a user or a group that it does not hold.
    pub fn new(
        scenario: &Scenario,
        seed: Seed,
        origin: &str,
        start: i64,
    ) -> Result<Self, ScenarioError> {
        let mut builder = Builder::new(scenario, seed, origin, start)?;
        let organization = builder.organization(scenario);
        builder.people(scenario)?;
        builder.apps(scenario)?;
        builder.security(scenario)?;
        Ok(Self {
            origin: origin.to_owned(),
            organization,
            lists: builder.lists,
            singles: builder.singles,
            logins: builder.logins,
        })
    }

    /// What `/.well-known/okta-organization` tells.
    #[must_use]
    pub const fn organization(&self) -> &Value {
        &self.organization
    }

    /// The path of a request with ids in the place of logins and of `me`.
    #[must_use]
    pub fn canonical(&self, ask: &Ask, caller: &Caller) -> String {
        let mut segments = ask.segments();
        let is_user = matches!(segments.get(2).map(String::as_str), Some("users"));
        if is_user && let Some(named) = segments.get_mut(3) {
            let login = match (named.as_str(), caller) {
                ("me", Caller::User(Some(login))) => login.as_str(),
                (named, _) => named,
            };
            if let Some(id) = self.id_of(login) {
                *named = id;
            }
        }
        // a segment with a slash in it is no two segments
        let segments = segments.iter().map(|segment| segment.replace('/', "%2F"));
        format!("/{}", segments.collect::<Vec<_>>().join("/"))
    }

    /// Answers a `GET` of a canonical path.
    ///
    /// # Errors
    ///
    /// 404 where there is no such thing, and 400 for parameters that cannot be.
    pub fn answer(&self, seed: Seed, ask: &Ask, path: &str) -> Result<Answer, Failure> {
        if let Some(single) = self.singles.get(path) {
            return Ok(Answer::json(200, single));
        }
        let list = self.lists.get(path).ok_or_else(|| missing(path))?;
        let query = query::Query::read(path, &ask.parameters())?;
        let from = match ask.parameters().get("after") {
            None => 0,
            Some(after) => place(seed, after, path)?,
        };
        let mut found = list
            .items
            .iter()
            .enumerate()
            .skip(from)
            .filter(|(_, item)| query.admits(item));
        let page: Vec<&Value> = found
            .by_ref()
            .take(query.limit)
            .map(|(_, item)| &item.shown)
            .collect();
        let next = found.next().map(|(place, _)| {
            let after = cursor::sealed(seed, &format!("{place} {path}"));
            self.link(ask, &after)
        });
        Ok(self.told(list, ask, json!(page), next))
    }

    fn told(&self, list: &List, ask: &Ask, page: Value, next: Option<String>) -> Answer {
        // what Okta wraps in an object has its next link in there
        if let Some(key) = list.wrapped {
            let mut body = json!({ key: page });
            if let (Some(next), Some(map)) = (next, body.as_object_mut()) {
                map.insert("_links".to_owned(), json!({ "next": { "href": next } }));
            }
            return Answer::json(200, &body);
        }
        let mark = if ask.query.is_empty() { "" } else { "?" };
        let own = format!(
            "<{}{}{mark}{}>; rel=\"self\"",
            self.origin, ask.path, ask.query
        );
        let answer = Answer::json(200, &page).with("link", &own);
        match next {
            Some(next) => answer.with("link", &format!("<{next}>; rel=\"next\"")),
            None => answer,
        }
    }

    fn link(&self, ask: &Ask, after: &str) -> String {
        let mut url = format!("{}{}?", self.origin, ask.path);
        for (name, value) in ask
            .parameters()
            .0
            .iter()
            .filter(|(name, _)| name != "after")
        {
            url.push_str(&format!("{}={}&", encoded(name), encoded(value)));
        }
        url + "after=" + after
    }

    fn id_of(&self, login: &str) -> Option<String> {
        self.logins.get(&login.to_lowercase()).cloned()
    }
}

/// Where a page begins that a cursor names.
fn place(seed: Seed, after: &str, path: &str) -> Result<usize, Failure> {
    let said = cursor::opened(seed, after);
    let place = said.as_deref().and_then(|said| {
        let (place, of) = said.split_once(' ')?;
        place.parse().ok().filter(|_| of == path)
    });
    place.ok_or_else(|| Failure::search("The value of `after` is not valid."))
}

fn missing(path: &str) -> Failure {
    let mut segments = path.trim_matches('/').split('/').skip(2);
    let kind = match segments.next() {
        Some("users") => "User",
        Some("groups") => "UserGroup",
        Some("apps") => "AppInstance",
        Some("policies") => "Policy",
        Some("devices") => "Device",
        _ => "Resource",
    };
    Failure::missing(segments.next().unwrap_or(path), kind)
}
