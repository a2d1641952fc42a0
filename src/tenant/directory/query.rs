//! What a request wants of a list: which items, and how many at once.

use serde_json::Value;

use super::Item;
use crate::tenant::errors::Failure;
use crate::tenant::filter::{Case, Filter};
use crate::tenant::wire::Parameters;

/// Lists with pages of their own size: the path with `{}`, the size where no `limit` is given, and
/// the largest. From the parameters `limit` of Okta's description, and its guides where that is
/// silent.
const SIZES: [(&str, usize, usize); 11] = [
    ("users", 200, 200),
    ("groups", 10_000, 10_000),
    ("groups/{}/users", 1000, 1000),
    ("groups/{}/apps", 20, 200),
    ("apps", 20, 200),
    ("apps/{}/users", 50, 500),
    ("apps/{}/groups", 20, 200),
    ("idps", 20, 200),
    ("logStreams", 20, 200),
    ("trustedOrigins", 20, 200),
    ("iam/assignees/users", 100, 200),
];

/// What is wanted.
pub struct Query {
    filters: Vec<Filter>,
    prefix: Option<(String, &'static [&'static str])>,
    kind: Option<String>,
    without_deprovisioned: bool,
    /// How many items a page has.
    pub limit: usize,
}

impl Query {
    /// Reads the parameters of a request for a list.
    ///
    /// # Errors
    ///
    /// Okta's error for parameters that cannot be.
    pub fn read(path: &str, parameters: &Parameters) -> Result<Self, Failure> {
        let list = pattern(path);
        let (named, filters) = match list.as_str() {
            "users" | "groups" | "devices" => (["search", "filter"], true),
            "apps"
            | "zones"
            | "trustedOrigins"
            | "logStreams"
            | "authorizationServers/{}/scopes" => (["filter", "filter"], true),
            _ => (["", ""], false),
        };
        let filters = named
            .iter()
            .filter(|_| filters)
            .filter_map(|name| parameters.get(name));
        let filters = filters.map(filter).collect::<Result<Vec<_>, _>>()?;
        let q = parameters.get("q").filter(|q| !q.is_empty());
        let prefix = q
            .zip(searched(&list))
            .map(|(q, paths)| (q.to_lowercase(), paths));
        Ok(Self {
            kind: kind(&list, parameters)?,
            without_deprovisioned: list == "users" && filters.is_empty() && prefix.is_none(),
            limit: limit(&list, parameters)?,
            filters,
            prefix,
        })
    }

    /// Whether an item is wanted.
    #[must_use]
    pub fn admits(&self, item: &Item) -> bool {
        let text = |path: &str| {
            item.shown
                .pointer(path)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let kind = self.kind.as_ref().is_none_or(|kind| text("/type") == kind);
        let status = !self.without_deprovisioned || text("/status") != "DEPROVISIONED";
        let prefix = self.prefix.as_ref().is_none_or(|(prefix, paths)| {
            paths
                .iter()
                .any(|path| text(path).to_lowercase().starts_with(prefix))
        });
        kind && status && prefix && self.filters.iter().all(|filter| holds(filter, item))
    }
}

/// What is hidden is searched as if it were shown.
fn holds(filter: &Filter, item: &Item) -> bool {
    match (&item.shown, &item.hidden) {
        (Value::Object(shown), Value::Object(hidden)) => {
            let mut whole = shown.clone();
            whole.extend(hidden.clone());
            filter.admits(&Value::Object(whole), Case::Folded)
        }
        (shown, _) => filter.admits(shown, Case::Folded),
    }
}

fn filter(text: &str) -> Result<Filter, Failure> {
    Filter::read(text).map_err(|error| Failure::search(&error.to_string()))
}

/// The path without its beginning, and with `{}` in the place of ids.
fn pattern(path: &str) -> String {
    let segments = path.trim_matches('/').split('/').skip(2).enumerate();
    let named = segments.map(|(place, segment)| match (place, path.contains("/iam/")) {
        (1, false) => "{}",
        _ => segment,
    });
    named.collect::<Vec<_>>().join("/")
}

fn searched(list: &str) -> Option<&'static [&'static str]> {
    Some(match list {
        "users" => &["/profile/firstName", "/profile/lastName", "/profile/email"],
        "groups" => &["/profile/name"],
        "apps" => &["/label", "/name"],
        "policies" | "idps" | "authorizationServers" | "trustedOrigins" => &["/name"],
        "apps/{}/users" => &["/credentials/userName"],
        _ => return None,
    })
}

/// The type that `policies` must and `idps` may be asked for.
fn kind(list: &str, parameters: &Parameters) -> Result<Option<String>, Failure> {
    let given = parameters.get("type").map(str::to_owned);
    match list {
        "policies" if given.is_none() => Err(Failure::validation(
            "type",
            "The policy type must be provided",
        )),
        "policies" | "idps" => Ok(given),
        _ => Ok(None),
    }
}

fn limit(list: &str, parameters: &Parameters) -> Result<usize, Failure> {
    let known = SIZES.iter().find(|(held, ..)| *held == list);
    let (default, most) = known.map_or((200, 200), |(_, default, most)| (*default, *most));
    match parameters.get("limit") {
        None | Some("-1" | "") => Ok(default),
        Some(text) => {
            let read = text.parse::<usize>().ok().filter(|limit| *limit > 0);
            let read =
                read.ok_or_else(|| Failure::validation("limit", "it must be a number above 0"))?;
            Ok(read.min(most))
        }
    }
}
