//! The System Log: every event twice in order, by when it was persisted and by when it was
//! published. The two differ, and that is what makes reading it hard.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;
use serde_json::value::RawValue;

use super::scenario::{LateSettings, LogSettings, Release};
use super::seed::Seed;
use super::time::{self, DAY};

/// How old an event is that is no longer told, in nanoseconds: 90 days.
pub const RETENTION: i64 = 90 * DAY;

/// One event.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When it was persisted, in nanoseconds since 1970.
    pub persisted: i64,
    /// When it happened, as it says itself.
    pub published: i64,
    /// The event, as it is sent.
    pub json: Arc<str>,
}

/// All events, told or not yet.
#[derive(Debug, Default)]
pub struct Log {
    /// By persistence.
    entries: Vec<Entry>,
    /// Whether events are told only when the clock has reached their persistence.
    by_clock: bool,
    /// How many are told, and never fewer, whatever the clock does.
    told: usize,
    /// The order of the first so many by `published`.
    order: (usize, Arc<[usize]>),
}

/// An event as it was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// When it happened, as it says itself, where it says so.
    pub published: Option<i64>,
    /// The event, byte for byte.
    pub json: Arc<str>,
    /// Where in the text it says when it happened, between its quotes.
    place: Range<usize>,
}

impl Written {
    /// Reads an event; nothing of it is kept but its text and its time.
    ///
    /// # Errors
    ///
    /// Where it is no JSON object.
    pub fn read(text: &str) -> Result<Self, serde_json::Error> {
        let held: BTreeMap<String, &RawValue> = serde_json::from_str(text)?;
        let raw = held.get("published").map_or("", |raw| raw.get());
        let quoted = raw.trim_matches('"');
        // a part of the text: it was borrowed from it
        let start = (quoted.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
        Ok(Self {
            published: time::read(quoted),
            json: Arc::from(text),
            place: start..start + quoted.len(),
        })
    }

    /// An event that is a value; one that is no object has no time.
    #[must_use]
    pub fn of(event: &Value) -> Self {
        let text = event.to_string();
        Self::read(&text).unwrap_or_else(|_| Self {
            published: None,
            json: Arc::from(text),
            place: 0..0,
        })
    }

    /// The same that much later; all else of its text stays.
    fn shifted(self, by: i64) -> Self {
        let parts = (
            self.json.get(..self.place.start),
            self.json.get(self.place.end..),
        );
        let (Some(published), (Some(before), Some(after))) = (self.published, parts) else {
            return self;
        };
        let moved = published.saturating_add(by);
        let text = time::written(moved);
        Self {
            published: Some(moved),
            json: Arc::from(format!("{before}{text}{after}")),
            place: self.place.start..self.place.start + text.len(),
        }
    }

    fn entry(self, now: i64, delay: i64) -> Entry {
        let published = self.published.unwrap_or(now);
        Entry {
            persisted: published.saturating_add(delay),
            published,
            json: self.json,
        }
    }
}

impl Log {
    /// The log that a scenario describes, from its events in the order of its files.
    #[must_use]
    pub fn new(events: Vec<Written>, settings: &LogSettings, seed: Seed, now: i64) -> Self {
        let shift = shift(&events, settings, now);
        let mut entries = Vec::with_capacity(events.len());
        for (number, event) in events.into_iter().enumerate() {
            let number = number.to_string();
            let event = if shift == 0 {
                event
            } else {
                event.shifted(shift)
            };
            let entry = event.entry(now, delay(settings, seed, &number));
            entries.extend(again(&entry, settings, seed, &number));
            entries.push(entry);
        }
        entries.sort_by_key(|entry| entry.persisted);
        Self {
            entries,
            by_clock: settings.release == Release::AsTimeGoesOn,
            ..Self::default()
        }
    }

    /// Persists events now, in that order.
    pub fn persist(&mut self, events: &[Value], now: i64) {
        let place = self.told_at(now);
        // persistence never goes back, even where the clock does
        let before = place.checked_sub(1).and_then(|last| self.entries.get(last));
        let persisted = before.map_or(now, |last| now.max(last.persisted));
        let new = events.iter().map(|event| Entry {
            persisted,
            ..Written::of(event).entry(now, 0)
        });
        self.entries.splice(place..place, new);
        self.told += events.len();
    }

    /// How many events are persisted at that moment.
    pub fn told_at(&mut self, now: i64) -> usize {
        let reached = match self.by_clock {
            true => self.entries.partition_point(|entry| entry.persisted <= now),
            false => self.entries.len(),
        };
        self.told = self.told.max(reached);
        self.told
    }

    /// How many events are too old to be told at that moment.
    #[must_use]
    pub fn expired_at(&self, now: i64) -> usize {
        let oldest = now.saturating_sub(RETENTION);
        let expired = self.entries.iter().filter(|entry| entry.published < oldest);
        expired.count()
    }

    /// The events by persistence.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The places of the first `told` events, in the order in which they were published; events of
    /// one moment keep the order of persistence.
    pub fn by_published(&mut self, told: usize) -> Arc<[usize]> {
        if self.order.0 != told || self.order.1.len() != told {
            let mut places: Vec<(i64, usize)> = self
                .entries
                .iter()
                .take(told)
                .enumerate()
                .map(|(place, entry)| (entry.published, place))
                .collect();
            places.sort_unstable();
            self.order = (told, places.into_iter().map(|(_, place)| place).collect());
        }
        Arc::clone(&self.order.1)
    }
}

/// The same event once more, and somewhat later, where it is told twice; no later than an event
/// may be late.
fn again(entry: &Entry, settings: &LogSettings, seed: Seed, number: &str) -> Option<Entry> {
    if seed.share(&["duplicate", number]) >= settings.duplicates {
        return None;
    }
    let most = settings
        .late
        .as_ref()
        .map_or(time::SECOND, |late| late.most.0);
    let left = most.saturating_sub(entry.persisted.saturating_sub(entry.published));
    let later = seed.number(&["again", number], left.max(0).unsigned_abs());
    let persisted = entry
        .persisted
        .saturating_add(i64::try_from(later).unwrap_or(0));
    Some(Entry {
        persisted,
        ..entry.clone()
    })
}

/// How long after its publishing an event is persisted.
fn delay(settings: &LogSettings, seed: Seed, number: &str) -> i64 {
    if let Some(later) = &settings.later
        && seed.share(&["later", number]) < later.share
    {
        return later.by.0;
    }
    match &settings.late {
        Some(LateSettings { share, most }) if seed.share(&["late", number]) < *share => {
            let delay = seed.number(&["late by", number], most.0.unsigned_abs());
            i64::try_from(delay).unwrap_or(0).saturating_add(1)
        }
        _ => 0,
    }
}

/// By how much every event is moved: so that the newest is now, or, where events are told as time
/// goes on, so that the oldest is.
fn shift(events: &[Written], settings: &LogSettings, now: i64) -> i64 {
    let times = events.iter().filter_map(|event| event.published);
    let anchor = match (settings.shift_to_now, settings.release) {
        (false, _) => None,
        (true, Release::All) => times.max(),
        (true, Release::AsTimeGoesOn) => times.min(),
    };
    anchor.map_or(0, |anchor| now.saturating_sub(anchor))
}
