//! The tenant over its socket, asked by a client that is nothing but a `TcpStream`.

mod access;
mod faults;
mod garbage;
mod limits;
mod lists;
mod log;
mod scenarios;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::scenario::{RateSettings, Token};
use super::time::{self, SECOND};
use super::{Clock, Options, Scenario, Tenant, start};

/// When every test begins: 2026-03-02T10:00:00Z.
const NOW: i64 = 1_772_445_600 * SECOND;
const TOKEN: &str = "a-token-for-tests";

/// A tenant whose clock the test turns.
struct Bench {
    tenant: Tenant,
    clock: Arc<AtomicI64>,
}

/// What came back, as far as it came.
#[derive(Debug, Default)]
struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// Whether the body was as long as it was promised.
    whole: bool,
}

impl Bench {
    fn new(scenario: Scenario) -> Self {
        let clock = Arc::new(AtomicI64::new(NOW));
        let options = Options {
            clock: Clock::Manual(Arc::clone(&clock)),
            seed: 7,
            ..Options::default()
        };
        let tenant = start(scenario, options).unwrap();
        Self { tenant, clock }
    }

    fn advance(&self, seconds: i64) {
        self.clock.fetch_add(seconds * SECOND, Ordering::SeqCst);
    }

    /// A request with the token of the tests.
    fn get(&self, target: &str) -> Reply {
        self.ask(
            "GET",
            target,
            &[("authorization", &format!("SSWS {TOKEN}"))],
            "",
        )
    }

    fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let mut request = format!(
            "{method} {target} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n",
            self.tenant.address()
        );
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            request.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        request.push_str(&format!("\r\n{body}"));
        self.raw(request.as_bytes())
    }

    fn raw(&self, request: &[u8]) -> Reply {
        let mut stream = TcpStream::connect(self.tenant.address()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        // a server that refuses early may close before all is written
        let _ = stream.write_all(request);
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        reply(&bytes)
    }

    /// Follows next links from a target; every page, at most so many.
    fn pages(&self, target: &str, most: usize) -> Vec<Vec<Value>> {
        let mut pages = Vec::new();
        let mut next = Some(target.to_owned());
        while let Some(target) = next.filter(|_| pages.len() < most) {
            let reply = self.get(&target);
            assert_eq!(reply.status, 200, "{target}: {}", reply.text());
            next = reply.next(&self.tenant.origin());
            pages.push(reply.items());
        }
        pages
    }
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(held, _)| held == name);
        found.map(|(_, value)| value.as_str())
    }

    fn links(&self) -> Vec<&str> {
        let links = self.headers.iter().filter(|(name, _)| name == "link");
        links.map(|(_, value)| value.as_str()).collect()
    }

    /// The target of the next link, which must be of the tenant.
    fn next(&self, origin: &str) -> Option<String> {
        let link = self
            .links()
            .into_iter()
            .find(|link| link.contains("rel=\"next\""))?;
        let url = link.trim_start_matches('<').split('>').next()?;
        Some(
            url.strip_prefix(origin)
                .expect("a link of the tenant")
                .to_owned(),
        )
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    fn items(&self) -> Vec<Value> {
        self.json().as_array().cloned().unwrap_or_default()
    }

    fn code(&self) -> String {
        self.json()["errorCode"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

fn reply(bytes: &[u8]) -> Reply {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Reply::default();
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let rest = &bytes[end + 4..];
    let mut reply = Reply {
        status: status.unwrap_or(0),
        headers,
        ..Reply::default()
    };
    match reply.header("content-length").map(str::parse::<usize>) {
        Some(length) => {
            reply.whole = length == Ok(rest.len());
            reply.body = rest.to_vec();
        }
        None => (reply.body, reply.whole) = unchunked(rest),
    }
    reply
}

fn unchunked(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(&String::from_utf8_lossy(&rest[..end]), 16).unwrap_or(0);
        if size == 0 {
            return (body, true);
        }
        let Some(piece) = rest.get(end + 2..end + 2 + size) else {
            break;
        };
        body.extend_from_slice(piece);
        rest = rest.get(end + 4 + size..).unwrap_or_default();
    }
    (body, false)
}

/// A scenario with the token of the tests and no limits to speak of.
fn plain() -> Scenario {
    let buckets = super::limits::DEFAULTS.map(|(name, _)| (name.to_owned(), 1_000_000));
    Scenario {
        tokens: vec![Token {
            value: Some(TOKEN.to_owned()),
            name: "tests".to_owned(),
            ..Token::default()
        }],
        rate_limits: RateSettings {
            buckets: buckets.into_iter().collect(),
            ..RateSettings::default()
        },
        ..Scenario::default()
    }
}

/// An event of that number that was published so many seconds before the tests begin.
fn event(number: usize, ago: i64) -> Value {
    json!({
        "uuid": format!("event-{number}"),
        "eventType": if number.is_multiple_of(2) { "user.session.start" } else { "user.session.end" },
        "published": time::written(NOW - ago * SECOND),
        "actor": { "alternateId": format!("user{number}@example.com"), "displayName": "Anna-Maria Berg" },
        "target": [{ "id": "one" }, { "id": format!("t{number}") }],
    })
}

/// The numbers of events, by their ids.
fn numbers<'v>(events: impl IntoIterator<Item = &'v Value>) -> Vec<usize> {
    let ids = events
        .into_iter()
        .filter_map(|event| event["uuid"].as_str()?.strip_prefix("event-"));
    ids.filter_map(|number| number.parse().ok()).collect()
}
