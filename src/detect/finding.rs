//! What a rule found: the record, and how it grows hit by hit.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::detect::capture::Values;
use crate::detect::events::Events;
use crate::detect::groups::Window;
use crate::detect::rule::{Level, NAMESPACE};
use crate::detect::seen::{Member, Seen};
use crate::detect::settings::Severity;
use crate::detect::state::{Restoring, Saving};
use crate::detect::supplied::SUPPLIED;
use crate::detect::template::Part;
use crate::detect::windows::display;
use crate::detect::{Consumer, ConsumerKind, Reporter, Rule};
use crate::event::{Digest, FieldPath, Time, fold};

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
    /// How severe it is, where the rule's script says so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub severity: Option<Severity>,
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
    /// The fields whose value was not in some event, and was supplied from elsewhere.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub enriched: Vec<String>,
    /// Open while more hits may join it, else closed.
    pub status: Status,
    /// The finding that this one goes on from, after 24 hours.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub continues: Option<Uuid>,
    /// The generation of the policy that opened it, where it is not the one that tells this.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub opened_generation: Option<u64>,
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
    /// The fields whose value was not in the event, and was supplied from elsewhere.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub enriched: Vec<String>,
}

impl Finding {
    /// The same finding with what a rule says of itself: its id, its names, its level and its tags.
    #[must_use]
    pub fn as_told_by(mut self, rule: &Rule) -> Self {
        self.rule = rule.id;
        self.rule_name.clone_from(&rule.name);
        self.rule_title.clone_from(&rule.title);
        self.rule_author.clone_from(&rule.author);
        self.level = rule.level;
        self.tags.clone_from(&rule.tags);
        let finding_type = &rule.settings.finding_type;
        self.finding_type.clone_from(finding_type);
        self
    }

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

impl OrderKey {
    /// The values of the group, as groups are compared.
    pub(super) fn group(&self) -> &[String] {
        &self.group
    }
}

/// A finding that may still grow. There may be millions: what can be told from
/// the events that it still has, and what few have, takes no room here.
#[derive(Debug)]
pub(super) struct Growing {
    first_hit: Time,
    last_hit: Time,
    hits: u64,
    count: u64,
    why: Why,
    /// The event of the first hit.
    hit: Seen,
    events: Events,
    rare: Option<Box<Rare>>,
}

/// What few findings have.
#[derive(Debug, Default)]
struct Rare {
    /// The event has no readable time.
    untimed: bool,
    pair: Option<(Member, Member)>,
    continues: Option<Uuid>,
    /// The generation that opened it, where that is not the one under which it grows.
    opened: Option<u64>,
}

/// Why a hit is one.
#[derive(Clone, Debug)]
pub(super) enum Why {
    /// In words.
    Texts(Arc<[String]>),
    /// The number at which a condition held, which has the words.
    Measure(f64),
}

/// A condition that held: at which event, over which others, and why.
pub(super) struct Hit<'w> {
    /// When; `None` for an event without a readable time.
    pub(super) at: Option<Time>,
    /// The event at which it held.
    pub(super) event: &'w Member,
    /// Its window, the event itself included.
    pub(super) window: &'w Window,
    /// Why.
    pub(super) why: &'w Why,
    /// Whether the window is a pair of neighbours.
    pub(super) pair: bool,
}

impl Why {
    pub(super) fn texts(texts: Vec<String>) -> Self {
        if texts.is_empty() {
            Self::default()
        } else {
            Self::Texts(texts.into())
        }
    }
}

impl Default for Why {
    fn default() -> Self {
        Self::Measure(0.0)
    }
}

impl Growing {
    pub(super) fn open(reporter: &Reporter, hit: &Hit<'_>, continues: Option<Uuid>) -> Self {
        let pair = hit.window.first().zip(hit.window.last());
        let rare = Rare {
            untimed: hit.at.is_none(),
            pair: pair
                .filter(|_| hit.pair)
                .map(|(earlier, later)| (earlier.clone(), later.clone())),
            continues,
            opened: None,
        };
        let has_rare = rare.untimed || rare.pair.is_some() || continues.is_some();
        let told = hit.window.told();
        let mut growing = Self {
            first_hit: hit.event.time,
            last_hit: hit.event.time,
            hits: 0,
            count: 0,
            why: hit.why.clone(),
            hit: hit.event.seen.clone(),
            events: Events::default(),
            rare: has_rare.then(|| Box::new(rare)),
        };
        if let Some(told) = told {
            growing.hits = 1;
            growing.count = hit.window.len() as u64;
            growing.events = Events::of_window(hit.window, told);
        } else {
            growing.add(hit, reporter);
        }
        growing
    }

    /// Joins a hit to the finding: its events are the union of its hits' windows.
    pub(super) fn add(&mut self, hit: &Hit<'_>, reporter: &Reporter) {
        self.hits += 1;
        self.last_hit = hit.event.time;
        // Windows slide forward, so what stands behind the last event added is new.
        let known = self.events.last().map(Member::order);
        let is_new = |(before, member): &(usize, &Member)| match known {
            // The earlier event of a pair may be older than that. The later one just came: behind
            // the events of its instant, whatever its digest, where a wait ended.
            Some(last) if hit.pair => *before == 0 || member.order() > last,
            _ => known != Some(member.order()),
        };
        let members = hit.window.from(0).rev().enumerate();
        let new = members.take_while(is_new).count();
        self.count += new as u64;
        let members = hit.window.from(hit.window.len() - new);
        self.events.extend(members, new, reporter);
    }

    /// How many bytes it takes; of its events, as if it alone had them.
    pub(super) fn weight(&self) -> usize {
        let pair = self.pair();
        let pair = pair.map_or(0, |(earlier, later)| earlier.weight() + later.weight());
        size_of::<Self>() + self.hit.weight() + self.events.weight() + pair
    }

    pub(super) fn first_hit(&self) -> Option<Time> {
        self.timed(self.first_hit)
    }

    pub(super) fn last_hit(&self) -> Option<Time> {
        self.timed(self.last_hit)
    }

    fn timed(&self, time: Time) -> Option<Time> {
        let untimed = self.rare.as_ref().is_some_and(|rare| rare.untimed);
        (!untimed).then_some(time)
    }

    fn pair(&self) -> Option<&(Member, Member)> {
        self.rare.as_ref()?.pair.as_ref()
    }

    /// The values of a group with this key, as the first event shows them.
    pub(super) fn group<'k>(
        &self,
        consumer: &Consumer,
        folded: impl Iterator<Item = &'k str>,
    ) -> Vec<String> {
        let first = self.events.first().map_or(&self.hit, |entry| &entry.seen);
        display(consumer, first, folded)
    }

    /// The id, which does not change while the finding grows.
    pub(super) fn id(&self, reporter: &Reporter, group: &[String]) -> Uuid {
        let group: Vec<String> = group.iter().map(|value| fold(value)).collect();
        let anchor = self.hit.digest().to_string();
        // JSON keeps the parts apart whatever they hold.
        let name = serde_json::json!([reporter.rule, group, anchor]).to_string();
        Uuid::new_v5(&NAMESPACE, name.as_bytes())
    }

    fn describe(&self, reporter: &Reporter, last_seen: Option<Time>) -> String {
        let Some(summary) = &reporter.summary else {
            return reporter.title.clone();
        };
        let value = |seen: &Seen, path: &FieldPath| {
            let id = reporter.capture(path);
            let value = id.and_then(|id| seen.values().first(id));
            value.unwrap_or(ABSENT).to_owned()
        };
        let of_pair = |member: Option<&Member>, path: &FieldPath| {
            member.map_or(ABSENT.to_owned(), |member| value(&member.seen, path))
        };
        summary.fill(|part| match part {
            Part::Literal(text) => text.clone(),
            Part::Count => self.count.to_string(),
            Part::Hits => self.hits.to_string(),
            Part::Span => self
                .first_seen()
                .zip(last_seen)
                .map_or(ABSENT.to_owned(), |(first, last)| {
                    last.since(first).to_string()
                }),
            Part::Field(path) => value(&self.hit, path),
            Part::Earlier(path) => of_pair(self.pair().map(|(earlier, _)| earlier), path),
            Part::Later(path) => of_pair(self.pair().map(|(_, later)| later), path),
        })
    }

    pub(super) fn first_seen(&self) -> Option<Time> {
        self.events.first().and_then(|entry| self.timed(entry.time))
    }

    fn reasons(&self, consumer: &Consumer) -> Vec<String> {
        match (&self.why, &consumer.kind) {
            (Why::Texts(texts), _) => texts.to_vec(),
            (Why::Measure(measure), ConsumerKind::Over(condition)) => {
                vec![condition.reason(*measure, self.pair())]
            }
            (Why::Measure(_), ConsumerKind::Each) => Vec::new(),
        }
    }
}

impl Growing {
    pub(super) fn save(&self, saving: &mut Saving<'_>) {
        saving.time(self.first_hit);
        saving.time(self.last_hit);
        saving.number(self.hits);
        saving.number(self.count);
        match &self.why {
            Why::Measure(measure) => {
                saving.flag(false);
                saving.float(*measure);
            }
            Why::Texts(texts) => {
                saving.flag(true);
                saving.each(texts.iter(), |saving, text| saving.text(text));
            }
        }
        saving.seen(&self.hit);
        self.events.save(saving);
        saving.option(self.rare.as_deref(), |saving, rare| {
            saving.flag(rare.untimed);
            saving.option(rare.pair.as_ref(), |saving, (earlier, later)| {
                saving.member(earlier);
                saving.member(later);
            });
            saving.option(rare.continues, Saving::uuid);
        });
        let opened = self.rare.as_ref().and_then(|rare| rare.opened);
        saving.number(opened.unwrap_or(saving.generation));
    }

    pub(super) fn restore(saved: &mut Restoring<'_>, reporter: &Reporter) -> Option<Self> {
        let mut growing = Self {
            first_hit: saved.time()?,
            last_hit: saved.time()?,
            hits: saved.count()?,
            count: saved.count()?,
            why: if saved.flag()? {
                let texts = saved.each(|saved| saved.text().map(str::to_owned));
                Why::texts(texts?)
            } else {
                Why::Measure(saved.float()?)
            },
            hit: saved.seen()?,
            events: Events::restore(saved, reporter)?,
            rare: saved.option(|saved| {
                Some(Box::new(Rare {
                    untimed: saved.flag()?,
                    pair: saved.option(|saved| Some((saved.member()?, saved.member()?)))?,
                    continues: saved.option(Restoring::uuid)?,
                    opened: None,
                }))
            })?,
        };
        let (opened, now) = (saved.count()?, saved.generation);
        if opened != now && opened > 0 && now > 0 {
            growing.rare.get_or_insert_default().opened = Some(opened);
        }
        Some(growing)
    }
}

/// A finding that waits for its turn: the record of it is ten times as large.
#[derive(Debug)]
pub(super) struct Closed {
    pub(super) growing: Growing,
    /// The values of its group, as shown; none where the event does not have all of them.
    pub(super) group: Box<[String]>,
}

impl Closed {
    pub(super) fn save(&self, saving: &mut Saving<'_>) {
        self.growing.save(saving);
        saving.each(self.group.iter(), |saving, value| saving.text(value));
    }

    pub(super) fn restore(saved: &mut Restoring<'_>, consumer: &Consumer) -> Option<Self> {
        let growing = Growing::restore(saved, &consumer.reporter)?;
        let group: Vec<String> = saved.each(|saved| saved.text().map(str::to_owned))?;
        Some(Self {
            growing,
            group: group.into(),
        })
    }

    /// See [`Finding::order`].
    pub(super) fn order(&self, reporter: &Reporter) -> OrderKey {
        OrderKey {
            last_hit: self.growing.last_hit(),
            rule: reporter.rule,
            group: self
                .named(reporter)
                .values()
                .map(|value| fold(value))
                .collect(),
            anchor: self.growing.hit.digest(),
        }
    }

    /// The values of the group by the names of its fields.
    fn named<'a>(&'a self, reporter: &'a Reporter) -> BTreeMap<&'a str, &'a str> {
        group_names(reporter)
            .zip(self.group.iter().map(String::as_str))
            .collect()
    }

    /// The record of the finding.
    pub(super) fn finding(&self, consumer: &Consumer) -> Finding {
        self.growing.finding(consumer, &self.group, Status::Closed)
    }
}

impl Growing {
    /// The record of the finding as it is now, whose group has these values, as shown.
    pub(super) fn finding(&self, consumer: &Consumer, group: &[String], status: Status) -> Finding {
        let (growing, reporter) = (self, &consumer.reporter);
        let events = &growing.events;
        let last_seen = events.last().and_then(|entry| growing.timed(entry.time));
        let told = events.told(reporter);
        let user_id = told.user();
        let mut metadata = named(reporter, told.metadata);
        let mut enriched = metadata.remove(SUPPLIED).unwrap_or_default();
        enriched.sort_unstable();
        Finding {
            id: growing.id(reporter, group),
            finding_type: reporter.finding_type.clone(),
            rule: reporter.rule,
            rule_name: reporter.name.clone(),
            rule_title: reporter.title.clone(),
            rule_author: reporter.author.clone(),
            level: reporter.level,
            severity: None,
            tags: reporter.tags.clone(),
            description: growing.describe(reporter, last_seen),
            okta_event_ids: events
                .listed()
                .filter_map(|entry| entry.seen.id())
                .collect(),
            event_digests: events.listed().map(|entry| entry.seen.digest()).collect(),
            anchor: growing.hit.digest(),
            user_id,
            group: group_names(reporter)
                .map(str::to_owned)
                .zip(group.iter().cloned())
                .collect(),
            first_seen: growing.first_seen(),
            last_seen,
            count: growing.count,
            hits: growing.hits,
            created_at: growing.last_hit(),
            metadata,
            enriched,
            status,
            continues: growing.rare.as_ref().and_then(|rare| rare.continues),
            opened_generation: growing.rare.as_ref().and_then(|rare| rare.opened),
            reasons: growing.reasons(consumer),
            timeline: events
                .timeline()
                .map(|entry| Moment {
                    at: growing.timed(entry.time),
                    okta_event_id: entry.seen.id(),
                    values: values(reporter, entry.seen.values()).collect(),
                    enriched: supplied(reporter, entry.seen.values()),
                })
                .collect(),
        }
    }
}

/// The names of the fields that a rule groups by.
pub(super) fn group_names(reporter: &Reporter) -> impl Iterator<Item = &str> {
    reporter.group_by.iter().map(|(name, _)| name.as_str())
}

/// What a text shows for a field that the event does not have.
const ABSENT: &str = "unknown";

fn named(reporter: &Reporter, metadata: Vec<Vec<String>>) -> BTreeMap<String, Vec<String>> {
    let pairs = reporter.metadata.iter().zip(metadata);
    pairs
        .filter(|(_, values)| !values.is_empty())
        .map(|((name, _), values)| (name.clone(), values))
        .collect()
}

/// The first value of each field that the rule lists.
fn values<'c>(
    reporter: &'c Reporter,
    captured: Values<'c>,
) -> impl Iterator<Item = (String, String)> + 'c {
    let fields = reporter.metadata.iter();
    let fields = fields.filter(|(name, _)| name != SUPPLIED);
    fields.filter_map(move |(name, id)| Some((name.clone(), captured.first(*id)?.to_owned())))
}

/// The fields that were supplied to an event.
fn supplied(reporter: &Reporter, captured: Values<'_>) -> Vec<String> {
    let notes = reporter.metadata.iter().find(|(name, _)| name == SUPPLIED);
    let names = notes.into_iter().flat_map(|(_, id)| captured.all(*id));
    names.map(str::to_owned).collect()
}
