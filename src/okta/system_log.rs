//! The System Log as a source: pages, each with the link to the one behind it.
//!
//! What Okta promises (System Log API, "List all System Log events"): a *bounded* request, with
//! `since` and `until`, gives what is there now by `published`, on finitely many pages; events that
//! come late may be missing. A *polling* request, without `until`, gives events in the order in
//! which they were stored, out of order by `published`, and always names a next page, also where
//! there is nothing yet. A next page is asked for by its link alone: moving `since` skips and
//! repeats events. So the link behind the last page is the one thing to keep.

use std::collections::HashSet;
use std::io::{self, Read};
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::event::{Digest, Time};
use crate::okta::client::{Call, Client, Expects, Failure, Keeps, LinkError, Next, Operation};

/// Its path.
pub const PATH: &str = "/api/v1/logs";

/// So many pages in a row may be empty before the last of a bounded request.
const MOST_EMPTY: u32 = 20;

/// The operation that lists events.
#[must_use]
pub fn operation() -> Operation {
    // Events are evidence where a rule asks for them, and kept there without their secret fields.
    Operation::get(PATH, "logs", "okta.logs.read").keeping(Keeps::Digest)
}

/// Where to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begin {
    /// Events from a time on, as they are stored, without end.
    Since(Time),
    /// Events from a time to before another, and no more.
    Between(Time, Time),
    /// Behind what was read before: a link that [`Page::position`] named.
    Behind(String),
}

/// The System Log of a tenant.
pub struct SystemLog {
    client: Arc<Client>,
    /// What is asked for next; nothing behind the last page.
    next: Option<Call>,
    bounded: bool,
    /// So many events make a page.
    limit: u32,
    empty: u32,
    seen: HashSet<Digest>,
}

/// A page of the System Log.
#[derive(Clone, Debug)]
pub struct Page {
    /// A JSON array of events, as it came.
    pub text: Vec<u8>,
    /// How many events.
    pub events: usize,
    /// The link behind it, for [`Begin::Behind`]; nothing behind the last page.
    pub position: Option<String>,
    /// What the clock said when it was asked for: what was stored before is in it, or on the next
    /// page where this one is full.
    pub asked: Time,
    /// Whether more may be there at once.
    pub is_full: bool,
}

impl SystemLog {
    /// The System Log from where to begin, in pages of at most so many events, 1 to 1,000.
    ///
    /// # Errors
    ///
    /// When what was kept leads elsewhere.
    pub fn new(client: Arc<Client>, begin: &Begin, limit: u32) -> Result<Self, LinkError> {
        let size = limit.to_string();
        let begin_with =
            |query: &[(&str, &str)]| Call::new(&operation(), &[], query, Expects::Array);
        let call = match begin {
            Begin::Since(since) => begin_with(&[
                ("since", &whole(since.0.div_euclid(MILLISECOND))),
                ("sortOrder", "ASCENDING"),
                ("limit", &size),
            ]),
            Begin::Between(since, until) => begin_with(&[
                ("since", &whole(since.0.div_euclid(MILLISECOND))),
                ("until", &whole(-(-until.0).div_euclid(MILLISECOND))),
                ("sortOrder", "ASCENDING"),
                ("limit", &size),
            ]),
            Begin::Behind(link) => {
                let next = Next::parse(link, client.origin(), PATH)?;
                begin_with(&[]).map(|call| call.next(&next))
            }
        };
        // A link has the size of pages that was asked for when it was made.
        let asked = call.as_ref().and_then(|call| limit_of(call.query()));
        let limit = asked.unwrap_or(limit);
        Ok(Self {
            client,
            next: call,
            bounded: matches!(begin, Begin::Between(..)),
            limit,
            empty: 0,
            seen: HashSet::new(),
        })
    }

    /// Where the next page is, for [`Begin::Behind`]; nothing behind the last.
    #[must_use]
    pub fn position(&self) -> Option<String> {
        let call = self.next.as_ref()?;
        Some(call.to_link(self.client.origin()))
    }

    /// What messages call it.
    #[must_use]
    pub fn name(client: &Client) -> String {
        format!("{}{PATH}", client.origin())
    }

    /// The next page; nothing behind the last.
    ///
    /// After an error it can be asked again: nothing is skipped.
    ///
    /// # Errors
    ///
    /// When there is no page.
    pub fn page(&mut self) -> Result<Option<Page>, Failure> {
        let Some(call) = &self.next else {
            return Ok(None);
        };
        let answer = self.client.get(call)?;
        let events: Vec<&RawValue> = serde_json::from_slice(&answer.body).unwrap_or_default();
        let events = events.len();
        let next = answer.next.as_ref().map(|next| call.next(next));
        self.has_no_end(answer.next.as_ref(), events)?;
        let position = answer.next.map(|next| next.to_link(self.client.origin()));
        if next.is_none() && !self.bounded {
            return Err(
                self.endless("it names no next page, which a request without an end always does")
            );
        }
        self.next = next;
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        Ok(Some(Page {
            text: answer.body,
            events,
            position,
            asked: answer.sent,
            is_full: events >= limit,
        }))
    }

    /// Whether pages go round in circles, or hold nothing without end.
    fn has_no_end(&mut self, next: Option<&Next>, events: usize) -> Result<(), Failure> {
        let Some(next) = next else {
            return Ok(());
        };
        let link = Digest::of(next.query().as_bytes());
        if self.bounded {
            self.empty = if events == 0 { self.empty + 1 } else { 0 };
            if self.empty > MOST_EMPTY {
                return Err(self.endless("more than 20 pages in a row hold nothing"));
            }
            if !self.seen.insert(link) {
                return Err(self.endless("a page names a next page that was read before"));
            }
            return Ok(());
        }
        // A page without events may name itself, until there are some.
        if events == 0 {
            return Ok(());
        }
        if self.seen.contains(&link) {
            return Err(self.endless("a page with events names a next page that was read before"));
        }
        if self.seen.len() > MOST_SEEN {
            self.seen.clear();
        }
        self.seen.insert(link);
        Ok(())
    }

    fn endless(&self, reason: &str) -> Failure {
        Failure::Endless {
            request: format!("GET {PATH} at {}", self.client.origin().host()),
            reason: reason.to_owned(),
        }
    }
}

/// Okta's times have milliseconds.
const MILLISECOND: i64 = 1_000_000;

/// A time of whole milliseconds. What is asked for begins at the one before and ends at the one
/// behind, so that no event is missed; what is too early or too late is left out where it is read.
fn whole(milliseconds: i64) -> String {
    Time(milliseconds.saturating_mul(MILLISECOND)).to_string()
}

/// Of a log without end, so many links are known.
const MOST_SEEN: usize = 100_000;

/// What is told of pages as they come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// So many pages.
    pub pages: u64,
    /// So many events.
    pub events: u64,
    /// The newest event of the last page that has a readable time.
    pub newest: Option<Time>,
}

impl Progress {
    /// Another page came.
    pub fn add(&mut self, page: &Page) {
        self.pages += 1;
        self.events += page.events as u64;
        self.newest = newest(&page.text).or(self.newest);
    }
}

/// The time of the newest event of a page.
fn newest(page: &[u8]) -> Option<Time> {
    #[derive(serde::Deserialize)]
    struct Published {
        published: Option<String>,
    }
    let events: Vec<&RawValue> = serde_json::from_slice(page).ok()?;
    let times = events.iter().filter_map(|event| {
        let event: Published = serde_json::from_str(event.get()).ok()?;
        crate::okta::parse_time(&event.published?)
    });
    times.max()
}

/// The pages of a bounded request as one text, a page a line or more.
pub struct Text {
    log: SystemLog,
    page: io::Cursor<Vec<u8>>,
    progress: Progress,
    /// Told of each page.
    told: Box<dyn FnMut(Progress) + Send>,
}

impl Text {
    /// The text of a log.
    #[must_use]
    pub fn new(log: SystemLog, told: Box<dyn FnMut(Progress) + Send>) -> Self {
        Self {
            log,
            page: io::Cursor::default(),
            progress: Progress::default(),
            told,
        }
    }
}

impl Read for Text {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.page.read(room)?;
            if count > 0 || room.is_empty() {
                return Ok(count);
            }
            let Some(page) = self.log.page().map_err(io::Error::other)? else {
                return Ok(0);
            };
            self.progress.add(&page);
            (self.told)(self.progress);
            let mut text = page.text;
            text.push(b'\n');
            self.page = io::Cursor::new(text);
        }
    }
}

/// The size of pages that a query asks for.
fn limit_of(query: &str) -> Option<u32> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, limit) = pairs.find(|(name, _)| *name == "limit")?;
    limit.parse().ok().filter(|limit| *limit > 0)
}
