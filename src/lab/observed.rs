//! What the events of a case did to each rule and each of its searches.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::detect::{Finding, Heading, Logic, Match, Probe};
use crate::event::Digest;
use crate::pipeline::{self, DetectSink, Rejected, Settings};
use crate::policy::Policy;
use crate::source::Input;

/// Which searches of which rules the events of a case satisfied.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// By rule and event; an event that satisfied no search of a rule is not there.
    met: BTreeMap<(Uuid, Digest), Met>,
    /// How many events there were.
    pub events: u64,
}

/// What an event satisfied of a rule.
#[derive(Clone, Debug, Default)]
pub struct Met {
    /// The event's own id.
    pub uuid: Option<String>,
    /// The searches.
    pub searches: BTreeSet<String>,
    /// The rule as a whole.
    pub matched: bool,
}

/// Asks every search of every rule of the events by itself.
///
/// # Errors
///
/// When the events cannot be read; what the case is compared with says so too.
pub fn observe(probe: &Probe, input: Input, settings: &Settings) -> Result<Observed, String> {
    let mut sink = Watching {
        probe,
        observed: Observed::default(),
    };
    let came = pipeline::detect(probe.detector(), vec![input], settings, &mut sink, &|_| {});
    let (counts, _) = came.map_err(|error| error.to_string())?;
    let mut observed = sink.observed;
    observed.events = counts.events;
    Ok(observed)
}

impl Observed {
    /// What events satisfied of a rule, event by event.
    pub fn of(&self, rule: Uuid) -> impl Iterator<Item = &Met> {
        let from = (rule, Digest::of_bytes([0; 32]));
        let met = self.met.range(from..);
        met.take_while(move |((other, _), _)| *other == rule)
            .map(|(_, met)| met)
    }

    /// The events that satisfied a rule, or else those that satisfied only some of it, as records.
    pub fn records(&self, policy: &Policy, matched: bool) -> Vec<Value> {
        let met = self.met.iter().filter(|(_, met)| met.matched == matched);
        met.filter_map(|((rule, _), met)| {
            let rule = policy.rules.get(rule)?;
            let Logic::Detection(detection) = &rule.logic else {
                return None;
            };
            let names = detection.parts().0.iter().map(|search| &search.name);
            let missing: Vec<&String> =
                names.filter(|name| !met.searches.contains(*name)).collect();
            Some(json!({
                "rule": rule.label(),
                "event": met.uuid,
                "selections": met.searches,
                "missing": missing,
            }))
        })
        .collect()
    }
}

struct Watching<'p> {
    probe: &'p Probe,
    observed: Observed,
}

impl DetectSink for Watching<'_> {
    fn found(&mut self, _: &Heading, found: &Match) -> io::Result<()> {
        if let Some(part) = self.probe.part(found) {
            let met = self.observed.met.entry((part.rule, found.digest));
            let met = met.or_default();
            met.uuid = found.event_id().map(str::to_owned);
            match &part.search {
                Some(name) => {
                    met.searches.insert(name.clone());
                }
                None => met.matched = true,
            }
        }
        Ok(())
    }

    fn finding(&mut self, _: Finding) -> io::Result<()> {
        Ok(())
    }

    fn reject(&mut self, _: &Rejected) -> io::Result<()> {
        Ok(())
    }
}
