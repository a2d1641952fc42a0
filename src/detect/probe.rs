//! What each search of a detection makes of events by itself: for tests of rules, which ask why
//! one matched, or nearly did.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::detect::script::ScriptSettings;
use crate::detect::search::Detection;
use crate::detect::{Detector, Logic, Match, Rule, Settings};
use crate::diag::Problems;

/// Detections and each of their searches, ready to be asked one by one.
#[derive(Debug)]
pub struct Probe {
    detector: Detector,
    parts: BTreeMap<Uuid, Part>,
}

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The rule.
    pub rule: Uuid,
    /// One of its searches, or the rule as a whole.
    pub search: Option<String>,
}

impl Probe {
    /// Takes the detections among rules apart; fields are found where `like` finds them.
    #[must_use]
    pub fn new<'r>(rules: impl Iterator<Item = &'r Rule>, like: &Detector) -> Self {
        let mut parts = BTreeMap::new();
        let mut taken = Vec::new();
        for rule in rules {
            let Logic::Detection(detection) = &rule.logic else {
                continue;
            };
            let script = ScriptSettings {
                matches: rule.settings.script.matches.clone(),
                ..ScriptSettings::default()
            };
            let searches = detection.parts().0.iter().enumerate();
            let searches = searches.map(|(at, search)| {
                let alone = detection.search_alone(at);
                let name = search.name.clone();
                (alone, ScriptSettings::default(), Some(name))
            });
            let whole = (detection.clone(), script, None);
            for (detection, script, search) in searches.chain([whole]) {
                let part = Part {
                    rule: rule.id,
                    search,
                };
                let asked = part_of(rule, detection, script, &part);
                parts.insert(asked.id, part);
                taken.push(asked);
            }
        }
        // The rules were checked, so that there is nothing to report.
        let mut problems = Problems::default();
        let mut detector = Detector::compile(&taken, &BTreeSet::new(), &mut problems);
        detector.read_inside(&like.inside);
        Self {
            detector: detector.reporting_matches(),
            parts,
        }
    }

    /// What asks all of them of events; it reports each match.
    #[must_use]
    pub fn detector(&self) -> &Detector {
        &self.detector
    }

    /// What a match of the detector is of.
    #[must_use]
    pub fn part(&self, found: &Match) -> Option<&Part> {
        self.parts.get(&self.detector.rule_of(found)?)
    }
}

fn part_of(rule: &Rule, detection: Detection, script: ScriptSettings, part: &Part) -> Rule {
    let name = match &part.search {
        Some(name) => format!("search {name}"),
        None => "rule".to_owned(),
    };
    Rule {
        id: Uuid::new_v5(&rule.id, name.as_bytes()),
        name: None,
        logic: Logic::Detection(detection),
        settings: Settings {
            script,
            ..Settings::default()
        },
        ..rule.clone()
    }
}
