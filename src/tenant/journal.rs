//! What was asked: in memory for tests, and as JSON lines for who checks the requests against
//! Okta's description. No credential is in either.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write as _;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::faults::Delivery;
use super::wire::{Ask, Parameters, encoded};

/// The largest body of an answer that the request log repeats, in bytes.
const REPEATED: usize = 1 << 20;
/// How many requests are kept in memory, the newest of all.
const KEPT: usize = 100_000;

/// A request that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// How many requests came before it.
    pub number: u64,
    /// The method.
    pub method: String,
    /// The path, as it was written.
    pub path: String,
    /// The query, as it was written.
    pub query: String,
    /// The headers, names in lower case; of `authorization` the kind alone, of `dpop` that it was
    /// there.
    pub headers: Vec<(String, String)>,
    /// The status that was answered; 0 where nothing was.
    pub status: u16,
    /// The faults that struck it.
    pub faults: Vec<String>,
}

/// All requests.
#[derive(Debug, Default)]
pub struct Journal {
    count: u64,
    seen: VecDeque<Seen>,
    file: Option<File>,
}

impl Journal {
    /// A journal that also writes JSON lines.
    #[must_use]
    pub const fn new(file: Option<File>) -> Self {
        Self {
            count: 0,
            seen: VecDeque::new(),
            file,
        }
    }

    /// How many requests there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The newest 100,000 requests, in the order in which they came.
    pub fn seen(&self) -> impl Iterator<Item = &Seen> {
        self.seen.iter()
    }

    /// Notes a request and what became of it. A request log that cannot be written is not written:
    /// the tenant goes on.
    pub fn note(&mut self, origin: &str, ask: &Ask, faults: &[&str], delivery: &Delivery) {
        let seen = Seen {
            number: ask.number,
            method: ask.method.clone(),
            path: ask.path.clone(),
            query: ask.query.clone(),
            headers: ask.headers.iter().map(without_secrets).collect(),
            status: delivery.status(),
            faults: faults.iter().map(|name| (*name).to_owned()).collect(),
        };
        if let Some(file) = &mut self.file {
            let line = format!("{}\n", line(origin, ask, &seen, delivery));
            if file.write_all(line.as_bytes()).is_err() {
                self.file = None;
            }
        }
        self.count += 1;
        self.seen.push_back(seen);
        if self.seen.len() > KEPT {
            self.seen.pop_front();
        }
    }
}

fn without_secrets((name, value): &(String, String)) -> (String, String) {
    let told = match name.as_str() {
        "authorization" => {
            let scheme = value.split(' ').next().unwrap_or_default();
            let known = ["SSWS", "Bearer", "DPoP"]
                .into_iter()
                .find(|held| scheme.eq_ignore_ascii_case(held));
            known.unwrap_or("another").to_owned()
        }
        "dpop" => "present".to_owned(),
        "cookie" | "proxy-authorization" => "withheld".to_owned(),
        _ => value.clone(),
    };
    (name.clone(), told)
}

fn line(origin: &str, ask: &Ask, seen: &Seen, delivery: &Delivery) -> Value {
    let query = if ask.query.is_empty() { "" } else { "?" };
    let mut line = json!({
        "number": seen.number,
        "at": super::time::written(ask.now),
        "method": seen.method,
        "url": format!("{origin}{}{query}{}", ask.path, ask.query),
        "headers": seen.headers,
        "body_bytes": ask.body.len(),
        "status": seen.status,
        "faults": seen.faults,
    });
    let Some(map) = line.as_object_mut() else {
        return line;
    };
    if ask.path == "/oauth2/v1/token" {
        map.insert(
            "body".to_owned(),
            Value::String(form_without_secrets(&ask.body)),
        );
    }
    if let Some(answer) = delivery.answer() {
        let digest: [u8; 32] = Sha256::digest(&answer.body).into();
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        map.insert(
            "response_type".to_owned(),
            json!(answer.header("content-type")),
        );
        map.insert("response_bytes".to_owned(), json!(answer.body.len()));
        map.insert("response_sha256".to_owned(), json!(digest));
        map.insert("response_body".to_owned(), repeated(ask, answer));
    }
    line
}

/// The body of an answer of the API, in plain text, where it is not too long.
fn repeated(ask: &Ask, answer: &super::wire::Answer) -> Value {
    use std::io::Read as _;
    let is_api = ask.path.starts_with("/api/") || ask.path.starts_with("/.well-known/");
    if !is_api || answer.body.len() > REPEATED {
        return Value::Null;
    }
    let mut plain = Vec::new();
    let whole = match answer.header("content-encoding") {
        Some(_) => flate2::read::GzDecoder::new(answer.body.as_slice())
            .take(REPEATED as u64)
            .read_to_end(&mut plain)
            .is_ok(),
        None => {
            plain.clone_from(&answer.body);
            true
        }
    };
    match String::from_utf8(plain) {
        Ok(text) if whole && text.len() < REPEATED => Value::String(text),
        _ => Value::Null,
    }
}

fn form_without_secrets(body: &[u8]) -> String {
    let known = ["grant_type", "scope", "client_assertion_type", "client_id"];
    let form = Parameters::read(&String::from_utf8_lossy(body));
    let pairs = form
        .0
        .iter()
        .map(|(name, value)| match known.contains(&name.as_str()) {
            true => format!("{}={}", encoded(name), encoded(value)),
            false => format!("{}=withheld", encoded(name)),
        });
    pairs.collect::<Vec<_>>().join("&")
}
