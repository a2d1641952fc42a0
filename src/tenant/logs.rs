//! `GET /api/v1/logs`, by Okta's System Log API reference and query guide.
//!
//! - A **polling** request has no `until` and ascends: it is ordered by persistence, and there is
//!   a next link always, on an empty page, too.
//! - A **bounded** request is ordered by `published`, has pages that end, and misses whatever was
//!   not persisted when its first page was asked for.

use serde_json::Value;

use super::cursor;
use super::errors::Failure;
use super::filter::{Case, Filter, Operator};
use super::log::{Entry, Log, RETENTION};
use super::seed::Seed;
use super::time::{self, DAY};
use super::wire::{Answer, Ask, Parameters, encoded};

const PATH: &str = "/api/v1/logs";

/// The parameters that the endpoint has; others are ignored, as Okta does.
const KNOWN: [&str; 7] = [
    "since",
    "until",
    "after",
    "filter",
    "q",
    "limit",
    "sortOrder",
];

/// The attributes of an event, by the schema `LogEvent`, and two that real events have besides.
const ATTRIBUTES: [&str; 18] = [
    "actor",
    "authenticationContext",
    "client",
    "debugContext",
    "device",
    "displayMessage",
    "eventType",
    "legacyEventType",
    "outcome",
    "published",
    "request",
    "rootSessionId",
    "securityContext",
    "severity",
    "target",
    "transaction",
    "uuid",
    "version",
];

/// Answers a request for events.
///
/// # Errors
///
/// Okta's error for parameters that cannot be.
pub fn answer(log: &mut Log, seed: Seed, origin: &str, ask: &Ask) -> Result<Answer, Failure> {
    let query = Query::read(log, seed, ask)?;
    let told = log.told_at(ask.now);
    let (page, next) = match query.place {
        Place::Polling { from, .. } => polled(log, &query, from, told, ask.now),
        Place::Bounded { snapshot, from, .. } => {
            let snapshot = snapshot.min(told);
            let order = log.by_published(snapshot);
            bounded(log, &query, (&order, from, snapshot), ask.now)
        }
    };
    let mut body = Vec::from(*b"[");
    body.extend(page.join(",").bytes());
    body.push(b']');
    let mut answer = Answer::bytes(200, "application/json", body);
    let own = match ask.query.as_str() {
        "" => format!("{origin}{PATH}"),
        query => format!("{origin}{PATH}?{query}"),
    };
    answer = answer.with("link", &format!("<{own}>; rel=\"self\""));
    if let Some(place) = next {
        let url = next_link(seed, origin, &ask.parameters(), &place);
        answer = answer.with("link", &format!("<{url}>; rel=\"next\""));
    }
    Ok(answer)
}

/// A request that was understood.
struct Query {
    place: Place,
    filter: Option<Filter>,
    keywords: Vec<String>,
    limit: usize,
    descending: bool,
}

/// Where a page begins.
#[derive(Clone, Copy)]
enum Place {
    /// At the `from`th event by persistence, of those persisted at or after `since`.
    Polling { since: i64, from: usize },
    /// After `from` of the events between the two times by publishing, of the first `snapshot` that
    /// were persisted.
    Bounded {
        since: i64,
        until: i64,
        snapshot: usize,
        from: usize,
    },
}

impl Place {
    fn said(self) -> String {
        match self {
            Self::Polling { since, from } => format!("p {since} {from}"),
            Self::Bounded {
                since,
                until,
                snapshot,
                from,
            } => format!("b {since} {until} {snapshot} {from}"),
        }
    }

    fn read(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split(' ').collect();
        match *words.as_slice() {
            ["p", since, from] => Some(Self::Polling {
                since: since.parse().ok()?,
                from: from.parse().ok()?,
            }),
            ["b", since, until, snapshot, from] => Some(Self::Bounded {
                since: since.parse().ok()?,
                until: until.parse().ok()?,
                snapshot: snapshot.parse().ok()?,
                from: from.parse().ok()?,
            }),
            _ => None,
        }
    }
}

impl Query {
    fn read(log: &mut Log, seed: Seed, ask: &Ask) -> Result<Self, Failure> {
        let parameters = ask.parameters();
        let descending = match parameters.get("sortOrder") {
            None | Some("ASCENDING") => false,
            Some("DESCENDING") => true,
            Some(_) => return Err(Failure::validation("sortOrder", "ASCENDING or DESCENDING")),
        };
        Ok(Self {
            filter: parameters.get("filter").map(filter).transpose()?,
            keywords: keywords(parameters.get("q").unwrap_or_default())?,
            limit: limit(&parameters)?,
            place: place(log, seed, ask, &parameters, descending)?,
            descending,
        })
    }

    fn admits(&self, entry: &Entry, now: i64) -> bool {
        let kept = entry.published >= now.saturating_sub(RETENTION);
        if !kept || (self.filter.is_none() && self.keywords.is_empty()) {
            return kept;
        }
        let event: Value = serde_json::from_str(&entry.json).unwrap_or_default();
        let filtered = self
            .filter
            .as_ref()
            .is_none_or(|filter| filter.admits(&event, Case::Kept));
        filtered && holds_keywords(&event, &self.keywords)
    }
}

fn polled<'l>(
    log: &'l Log,
    query: &Query,
    from: usize,
    told: usize,
    now: i64,
) -> (Vec<&'l str>, Option<Place>) {
    let Place::Polling { since, .. } = query.place else {
        return (Vec::new(), None);
    };
    let mut page = Vec::new();
    let mut next = from;
    for entry in log.entries().iter().take(told).skip(from) {
        if page.len() >= query.limit {
            break;
        }
        next += 1;
        if entry.persisted >= since && query.admits(entry, now) {
            page.push(&*entry.json);
        }
    }
    (page, Some(Place::Polling { since, from: next }))
}

fn bounded<'l>(
    log: &'l Log,
    query: &Query,
    (order, from, snapshot): (&[usize], usize, usize),
    now: i64,
) -> (Vec<&'l str>, Option<Place>) {
    let Place::Bounded { since, until, .. } = query.place else {
        return (Vec::new(), None);
    };
    let entry = |place: &usize| log.entries().get(*place);
    let rank = |bound: i64| {
        order.partition_point(|place| entry(place).is_some_and(|held| held.published < bound))
    };
    let inside = order.get(rank(since)..rank(until)).unwrap_or_default();
    // `from` counts those that were passed, from the end where it descends
    let ranks: Box<dyn Iterator<Item = &usize>> = match query.descending {
        false => Box::new(inside.iter()),
        true => Box::new(inside.iter().rev()),
    };
    let mut found = ranks
        .enumerate()
        .skip(from)
        .filter_map(|(passed, place)| entry(place).map(|entry| (passed, entry)))
        .filter(|(_, entry)| query.admits(entry, now));
    let page = found
        .by_ref()
        .take(query.limit)
        .map(|(_, entry)| &*entry.json);
    let page: Vec<&str> = page.collect();
    // one more is what makes this page not the last; of pages of nothing there is but one
    let more = found.next().filter(|_| query.limit > 0);
    let next = more.map(|(from, _)| Place::Bounded {
        since,
        until,
        snapshot,
        from,
    });
    (page, next)
}

fn place(
    log: &mut Log,
    seed: Seed,
    ask: &Ask,
    parameters: &Parameters,
    descending: bool,
) -> Result<Place, Failure> {
    let moment = |name: &str| {
        parameters
            .get(name)
            .map(|text| instant(name, text))
            .transpose()
    };
    let (since, until) = (moment("since")?, moment("until")?);
    if let Some(after) = parameters.get("after") {
        if since.is_some() {
            return Err(Failure::validation("since", "it cannot come with `after`"));
        }
        let said = cursor::opened(seed, after);
        let said = said.and_then(|said| Place::read(&said));
        return said.ok_or_else(|| Failure::search("The value of `after` is not valid."));
    }
    let end = until.unwrap_or(ask.now);
    let since = since.unwrap_or(end.saturating_sub(7 * DAY));
    if since < ask.now.saturating_sub(180 * DAY) {
        return Err(Failure::filter("`since` is more than 180 days in the past"));
    }
    if until.is_some_and(|until| until < since) {
        return Err(Failure::validation("until", "it is before `since`"));
    }
    if until.is_none() && !descending {
        return Ok(Place::Polling { since, from: 0 });
    }
    Ok(Place::Bounded {
        since,
        // an event of this very moment belongs to a request that has no end
        until: until.unwrap_or(end.saturating_add(1)),
        snapshot: log.told_at(ask.now),
        from: 0,
    })
}

fn instant(name: &str, text: &str) -> Result<i64, Failure> {
    time::read(text).ok_or_else(|| Failure::validation(name, "it is no ISO 8601 time"))
}

fn limit(parameters: &Parameters) -> Result<usize, Failure> {
    let text = parameters.get("limit").unwrap_or("100");
    let read = text.parse::<usize>().ok().filter(|limit| *limit <= 1000);
    read.ok_or_else(|| Failure::validation("limit", "it must be from 0 to 1000"))
}

fn filter(text: &str) -> Result<Filter, Failure> {
    let filter = Filter::read(text).map_err(|error| Failure::filter(&error.to_string()))?;
    for (attribute, operator) in filter.attributes() {
        let first = attribute.split('.').next().unwrap_or_default();
        if attribute == "published" {
            return Err(Failure::filter("`published` cannot be filtered"));
        }
        if !ATTRIBUTES.contains(&first) {
            return Err(Failure::filter(&format!("there is no attribute `{first}`")));
        }
        let heavy = [
            "debugContext.debugData.url",
            "debugContext.debugData.requestUri",
        ];
        if operator == Some(Operator::Co) && heavy.contains(&attribute) {
            return Err(Failure::search(&format!(
                "`co` is not supported for `{attribute}`"
            )));
        }
    }
    Ok(filter)
}

/// The keywords of `q`: at most ten, of at most 40 characters each; a hyphen divides them.
fn keywords(q: &str) -> Result<Vec<String>, Failure> {
    let words: Vec<&str> = q.split_whitespace().collect();
    if words.len() > 10 || words.iter().any(|word| word.chars().count() > 40) {
        let cause = "at most 10 keywords of at most 40 characters each";
        return Err(Failure::validation("q", cause));
    }
    let parts = words.into_iter().flat_map(tokens);
    Ok(parts.collect())
}

/// Whether every keyword is a whole word of some value of the event.
fn holds_keywords(event: &Value, keywords: &[String]) -> bool {
    if keywords.is_empty() {
        return true;
    }
    let mut words = Vec::new();
    collect(event, &mut words);
    keywords.iter().all(|keyword| words.contains(keyword))
}

fn collect(value: &Value, words: &mut Vec<String>) {
    match value {
        Value::String(text) => words.extend(text.split_whitespace().flat_map(tokens)),
        Value::Number(_) | Value::Bool(_) => words.push(value.to_string()),
        Value::Array(items) => items.iter().for_each(|item| collect(item, words)),
        Value::Object(map) => map.values().for_each(|item| collect(item, words)),
        Value::Null => {}
    }
}

/// A word in lower case, and its parts between hyphens.
fn tokens(word: &str) -> Vec<String> {
    let folded = word.to_lowercase();
    let parts = folded.split('-').filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

/// The link keeps what the request said, but for where it begins.
fn next_link(seed: Seed, origin: &str, parameters: &Parameters, place: &Place) -> String {
    let mut url = format!("{origin}{PATH}?");
    for (name, value) in &parameters.0 {
        if KNOWN.contains(&name.as_str()) && name != "since" && name != "after" {
            url.push_str(&format!("{}={}&", encoded(name), encoded(value)));
        }
    }
    url.push_str(&format!("after={}", cursor::sealed(seed, &place.said())));
    url
}
