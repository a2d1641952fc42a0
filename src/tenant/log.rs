//! The System Log: every event twice in order, by when it was persisted and by when it was
//! published. The two differ, and that is what makes reading it hard.

use std::sync::Arc;

use serde_json::Value;

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

impl Log {
    /// The log that a scenario describes, from its events in the order of its files.
    #[must_use]
    pub fn new(events: Vec<Value>, settings: &LogSettings, seed: Seed, now: i64) -> Self {
        let shift = shift(&events, settings, now);
        let mut entries = Vec::with_capacity(events.len());
        for (number, mut event) in events.into_iter().enumerate() {
            let number = number.to_string();
            shift_published(&mut event, shift);
            let entry = entry(&event, now, 0);
            let delay = delay(settings, seed, &number);
            let persisted = entry.published.saturating_add(delay);
            let entry = Entry { persisted, ..entry };
            if seed.share(&["duplicate", &number]) < settings.duplicates {
                let most = settings
                    .late
                    .as_ref()
                    .map_or(time::SECOND, |late| late.most.0);
                let later = seed.number(&["again", &number], most.unsigned_abs());
                let persisted = persisted.saturating_add(i64::try_from(later).unwrap_or(0));
                let again = Entry {
                    persisted,
                    ..entry.clone()
                };
                entries.push(again);
            }
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
    pub fn persist(&mut self, events: Vec<Value>, now: i64) {
        let place = self.told_at(now);
        // persistence never goes back, even where the clock does
        let before = place.checked_sub(1).and_then(|last| self.entries.get(last));
        let now = before.map_or(now, |last| now.max(last.persisted));
        let delay = 0;
        let new: Vec<Entry> = events
            .iter()
            .map(|event| Entry {
                persisted: now,
                ..entry(event, now, delay)
            })
            .collect();
        self.told += new.len();
        self.entries.splice(place..place, new);
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

fn entry(event: &Value, now: i64, delay: i64) -> Entry {
    let published = published(event).unwrap_or(now);
    Entry {
        persisted: published.saturating_add(delay),
        published,
        json: Arc::from(event.to_string()),
    }
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
fn shift(events: &[Value], settings: &LogSettings, now: i64) -> i64 {
    let times = events.iter().filter_map(published);
    let anchor = match (settings.shift_to_now, settings.release) {
        (false, _) => None,
        (true, Release::All) => times.max(),
        (true, Release::AsTimeGoesOn) => times.min(),
    };
    anchor.map_or(0, |anchor| now.saturating_sub(anchor))
}

fn shift_published(event: &mut Value, shift: i64) {
    if shift == 0 {
        return;
    }
    let moved = published(event).map(|published| published.saturating_add(shift));
    if let (Some(moved), Some(held)) = (moved, event.get_mut("published")) {
        *held = Value::String(time::written(moved));
    }
}

fn published(event: &Value) -> Option<i64> {
    time::read(event.get("published")?.as_str()?)
}
