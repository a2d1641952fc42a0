//! What a rule found: the record, and how it grows hit by hit.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::detect::Reporter;
use crate::detect::capture::{CaptureId, Captured};
use crate::detect::rule::{Level, NAMESPACE};
use crate::detect::template::Part;
use crate::detect::windows::{Member, Seen};
use crate::event::{Digest, Time, fold};

/// One suspicious pattern: the rule, the group, the events that caused it and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// UUIDv5 over rule id, group and anchor (the digest of the first hit's event).
    pub id: Uuid,
    /// What kind of finding it is, such as `FAILED_LOGIN_BURST`.
    pub finding_type: String,
    /// The rule's id.
    pub rule: Uuid,
    /// The rule's name, where it has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rule_name: Option<String>,
    /// The rule's title.
    pub rule_title: String,
    /// The rule's author, where it names one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rule_author: Option<String>,
    /// The rule's level.
    pub level: Level,
    /// The rule's tags.
    pub tags: Vec<String>,
    /// One line for a person.
    pub description: String,
    /// The first and last 100 of the events' own ids, where they have one.
    pub okta_event_ids: Vec<String>,
    /// The digests of the same events.
    pub event_digests: Vec<Digest>,
    /// The digest of the first hit's event.
    pub anchor: Digest,
    /// The account the finding is about; none where the events disagree.
    pub user_id: Option<String>,
    /// The values that tell this finding's group from others.
    pub group: BTreeMap<String, String>,
    /// The time of the first event.
    pub first_seen: Option<Time>,
    /// The time of the last event.
    pub last_seen: Option<Time>,
    /// How many events there are, exactly.
    pub count: u64,
    /// How many hits.
    pub hits: u64,
    /// The time of the last hit.
    pub created_at: Option<Time>,
    /// Up to ten distinct values of each field that the rule lists.
    pub metadata: BTreeMap<String, Vec<String>>,
    /// Open while more hits may join it, else closed.
    pub status: Status,
    /// The finding that this one goes on from, after 24 hours.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub continues: Option<Uuid>,
    /// Why the first hit was one.
    pub reasons: Vec<String>,
    /// The first and last ten events.
    pub timeline: Vec<Moment>,
}

/// Whether more hits may join a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// They may.
    Open,
    /// They may not.
    Closed,
}

/// One event of a timeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// Event time.
    pub at: Option<Time>,
    /// The event's own id.
    pub okta_event_id: Option<String>,
    /// The first value of each field that the rule lists.
    pub values: BTreeMap<String, String>,
}

impl Finding {
    /// Where a finding stands in every output: by last hit, rule, group (without
    /// regard to case, as groups are compared) and anchor.
    #[must_use]
    pub fn order(&self) -> OrderKey {
        OrderKey {
            last_hit: self.created_at,
            rule: self.rule,
            group: self.group.values().map(|value| fold(value)).collect(),
            anchor: self.anchor,
        }
    }
}

/// See [`Finding::order`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OrderKey {
    /// The time of the last hit; events without a time come first.
    pub last_hit: Option<Time>,
    rule: Uuid,
    group: Vec<String>,
    anchor: Digest,
}

/// The first and last so many events are listed.
const LISTED: usize = 100;
/// The first and last so many events make the timeline.
const TIMELINE: usize = 10;
/// So many distinct values of a field are listed.
const DISTINCT: usize = 10;

/// A finding that may still grow.
pub(super) struct Growing {
    anchor: Digest,
    group: Vec<(String, String)>,
    pub(super) first_hit: Option<Time>,
    pub(super) last_hit: Option<Time>,
    hits: u64,
    count: u64,
    first_seen: Option<Time>,
    last_added: Option<(Option<Time>, Digest)>,
    first: Vec<Entry>,
    last: VecDeque<Entry>,
    metadata: Vec<Vec<String>>,
    user: User,
    hit: Member,
    pair: Option<(Member, Member)>,
    reasons: Vec<String>,
    continues: Option<Uuid>,
}

struct Entry {
    at: Option<Time>,
    uuid: Option<String>,
    digest: Digest,
    seen: Option<Arc<Seen>>,
}

/// What the events say of the account they are about.
enum User {
    Unknown,
    One(String),
    Disputed,
}

/// A condition that held: at which event, over which others, and why.
pub(super) struct Hit<'w> {
    /// When; `None` for an event without a readable time.
    pub(super) at: Option<Time>,
    /// The event at which it held.
    pub(super) event: &'w Member,
    /// Its window, in order, the event itself included.
    pub(super) window: &'w VecDeque<Member>,
    /// Why.
    pub(super) reasons: Vec<String>,
    /// Whether the window is a pair of neighbours.
    pub(super) pair: bool,
}

impl Growing {
    pub(super) fn open(
        reporter: &Reporter,
        group: Vec<(String, String)>,
        hit: &Hit<'_>,
        continues: Option<Uuid>,
    ) -> Self {
        let pair = hit
            .window
            .front()
            .zip(hit.window.back())
            .filter(|_| hit.pair);
        let mut growing = Self {
            anchor: hit.event.digest,
            group,
            first_hit: hit.at,
            last_hit: hit.at,
            hits: 0,
            count: 0,
            first_seen: None,
            last_added: None,
            first: Vec::new(),
            last: VecDeque::new(),
            metadata: vec![Vec::new(); reporter.metadata.len()],
            user: User::Unknown,
            hit: hit.event.clone(),
            pair: pair.map(|(earlier, later)| (earlier.clone(), later.clone())),
            reasons: hit.reasons.clone(),
            continues,
        };
        growing.add(reporter, hit);
        growing
    }

    /// Joins a hit to the finding: its events are the union of its hits' windows.
    pub(super) fn add(&mut self, reporter: &Reporter, hit: &Hit<'_>) {
        self.hits += 1;
        self.last_hit = hit.at;
        let key = |member: &Member| (hit.at.map(|_| member.time), member.digest);
        // Windows slide forward, so what is not past the last event added is in already.
        let known = self.last_added;
        let new = hit
            .window
            .iter()
            .rev()
            .take_while(|member| known.is_none_or(|last| key(member) > last))
            .count();
        for member in hit.window.range(hit.window.len() - new..) {
            self.last_added = Some(key(member));
            self.add_event(reporter, member, key(member).0);
        }
    }

    fn add_event(&mut self, reporter: &Reporter, member: &Member, at: Option<Time>) {
        self.count += 1;
        if self.count == 1 {
            self.first_seen = at;
        }
        for ((_, id), seen) in reporter.metadata.iter().zip(&mut self.metadata) {
            for value in member.captured.all(*id) {
                if seen.len() < DISTINCT && !seen.iter().any(|known| known == value) {
                    seen.push(value.to_owned());
                }
            }
        }
        if let Some(id) = reporter.user {
            let users = member.captured.all(id);
            users.for_each(|user| self.user.hears(user));
        }
        self.list(Entry {
            at,
            uuid: member.uuid.clone(),
            digest: member.digest,
            seen: Some(member.seen.clone()),
        });
    }

    /// Lists an event among the first or the last; only those of the timeline keep their values.
    fn list(&mut self, entry: Entry) {
        if self.first.len() < LISTED {
            self.first.push(entry);
        } else {
            if self.last.len() == LISTED {
                self.last.pop_front();
            }
            self.last.push_back(entry);
        }
        let listed = self.first.len() + self.last.len();
        let Some(left) = listed
            .checked_sub(TIMELINE + 1)
            .filter(|at| *at >= TIMELINE)
        else {
            return;
        };
        let entry = match left.checked_sub(self.first.len()) {
            None => self.first.get_mut(left),
            Some(at) => self.last.get_mut(at),
        };
        if let Some(entry) = entry {
            entry.seen = None;
        }
    }

    /// The id, which does not change while the finding grows.
    pub(super) fn id(&self, reporter: &Reporter) -> Uuid {
        let group: Vec<String> = self.group.iter().map(|(_, value)| fold(value)).collect();
        // JSON keeps the parts apart whatever they hold.
        let name = serde_json::json!([reporter.rule, group, self.anchor.to_string()]).to_string();
        Uuid::new_v5(&NAMESPACE, name.as_bytes())
    }

    /// The record of the finding as it stands.
    pub(super) fn close(self, reporter: &Reporter) -> Finding {
        let id = self.id(reporter);
        let entries: Vec<&Entry> = self.first.iter().chain(&self.last).collect();
        let last_seen = entries.last().and_then(|entry| entry.at);
        Finding {
            id,
            finding_type: reporter.finding_type.clone(),
            rule: reporter.rule,
            rule_name: reporter.name.clone(),
            rule_title: reporter.title.clone(),
            rule_author: reporter.author.clone(),
            level: reporter.level,
            tags: reporter.tags.clone(),
            description: self.describe(reporter, last_seen),
            okta_event_ids: entries
                .iter()
                .filter_map(|entry| entry.uuid.clone())
                .collect(),
            event_digests: entries.iter().map(|entry| entry.digest).collect(),
            anchor: self.anchor,
            user_id: if let User::One(user) = &self.user {
                Some(user.clone())
            } else {
                None
            },
            group: self.group.iter().cloned().collect(),
            first_seen: self.first_seen,
            last_seen,
            count: self.count,
            hits: self.hits,
            created_at: self.last_hit,
            metadata: named(reporter, &self.metadata),
            status: Status::Closed,
            continues: self.continues,
            reasons: self.reasons.clone(),
            timeline: timeline(reporter, &entries),
        }
    }

    fn describe(&self, reporter: &Reporter, last_seen: Option<Time>) -> String {
        let Some(summary) = &reporter.summary else {
            return reporter.title.clone();
        };
        summary.fill(|part| match part {
            Part::Literal(text) => text.clone(),
            Part::Count => self.count.to_string(),
            Part::Hits => self.hits.to_string(),
            Part::Span => self
                .first_seen
                .zip(last_seen)
                .map_or(ABSENT.to_owned(), |(first, last)| {
                    last.since(first).to_string()
                }),
            Part::Field(path) => value_of(&self.hit, reporter.capture(path)),
            Part::Earlier(path) => self.pair.as_ref().map_or(ABSENT.to_owned(), |(a, _)| {
                value_of(a, reporter.capture(path))
            }),
            Part::Later(path) => self.pair.as_ref().map_or(ABSENT.to_owned(), |(_, b)| {
                value_of(b, reporter.capture(path))
            }),
        })
    }
}

impl User {
    fn hears(&mut self, user: &str) {
        *self = match std::mem::replace(self, Self::Disputed) {
            Self::Unknown => Self::One(user.to_owned()),
            Self::One(known) if known == user => Self::One(known),
            Self::One(_) | Self::Disputed => Self::Disputed,
        };
    }
}

/// What a text shows for a field that the event does not have.
const ABSENT: &str = "unknown";

fn value_of(member: &Member, id: Option<CaptureId>) -> String {
    id.and_then(|id| member.captured.first(id))
        .unwrap_or(ABSENT)
        .to_owned()
}

fn named(reporter: &Reporter, metadata: &[Vec<String>]) -> BTreeMap<String, Vec<String>> {
    let pairs = reporter.metadata.iter().zip(metadata);
    pairs
        .filter(|(_, values)| !values.is_empty())
        .map(|((name, _), values)| (name.clone(), values.clone()))
        .collect()
}

fn timeline(reporter: &Reporter, entries: &[&Entry]) -> Vec<Moment> {
    let skipped = TIMELINE..entries.len().saturating_sub(TIMELINE);
    let shown = entries
        .iter()
        .enumerate()
        .filter(|(at, _)| !skipped.contains(at));
    shown
        .map(|(_, entry)| Moment {
            at: entry.at,
            okta_event_id: entry.uuid.clone(),
            values: entry
                .seen
                .iter()
                .flat_map(|seen| values(reporter, &seen.captured))
                .collect(),
        })
        .collect()
}

/// The first value of each field that the rule lists.
fn values<'c>(
    reporter: &'c Reporter,
    captured: &'c Captured,
) -> impl Iterator<Item = (String, String)> + 'c {
    let fields = reporter.metadata.iter();
    fields.filter_map(|(name, id)| Some((name.clone(), captured.first(*id)?.to_owned())))
}
