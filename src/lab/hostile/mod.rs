//! A policy under attack: whatever is written into a log, and whatever a model then says, decides
//! nothing that the policy does not leave to it.
//!
//! Each case is a payload in a field of every event, and a model that obeys it in one of its ways.
//! It runs through the pipeline, and what comes of it is held against the same events without a
//! model. What differs beyond what slots may fill is an *escape*.

mod arsenal;
mod escape;
mod malformed;
mod obedient;

pub use self::arsenal::{Arsenal, Field, Payload, codes, load_arsenal};
pub use self::escape::Kind;
pub use self::obedient::Behaviour;

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use serde::Serialize;
use serde_json::Value;

use crate::geo::Databases;
use crate::lab::hostile::arsenal::plant;
use crate::lab::hostile::escape::{Decided, bare, compare};
use crate::lab::hostile::malformed::{MALFORMED, Refusal};
use crate::lab::hostile::obedient::{Known, Obedient};
use crate::llm::Model;
use crate::okta::Mapping;
use crate::pipeline::{
    self, Beginning, Filled, Filling, Outcome, Rejected, RunError, Settings, Sink,
};
use crate::policy::Policy;
use crate::slots::SLOTS;
use crate::source::Input;

/// What came of an attack.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What there is to lose: the log without a payload and without a model.
    pub log: Log,
    /// The cases by what the model does and by the family of the payload.
    pub cells: Vec<Cell>,
    /// The cases by field.
    pub fields: Vec<InField>,
    /// The first escapes, in the order of cases.
    pub escapes: Vec<Escape>,
    /// What became of each malformed reply, where they were given.
    pub replies: Vec<MalformedReply>,
}

/// The log without a payload and without a model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Log {
    /// Its events.
    pub events: u64,
    /// Its findings.
    pub findings: u64,
    /// Its incidents.
    pub incidents: u64,
    /// Its commands.
    pub commands: u64,
}

/// Some of the cases, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// How many.
    pub cases: u64,
    /// Those in which the payload came to the model.
    pub reached: u64,
    /// Replies that were accepted as they came, within their bounds.
    pub accepted: u64,
    /// Replies that were accepted when they had been refused once.
    pub repaired: u64,
    /// Replies that were refused to the last, so that the default held.
    pub refused: u64,
    /// Those with an escape.
    pub escapes: u64,
}

impl Tally {
    /// Adds the numbers of other cases.
    pub fn add(&mut self, other: Self) {
        self.cases += other.cases;
        self.reached += other.reached;
        self.accepted += other.accepted;
        self.repaired += other.repaired;
        self.refused += other.refused;
        self.escapes += other.escapes;
    }
}

/// The cases of a family and a behaviour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// The family of the payloads.
    pub family: String,
    /// What the model does.
    pub behaviour: &'static str,
    /// In numbers.
    #[serde(flatten)]
    pub tally: Tally,
}

/// The cases of a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InField {
    /// Its path.
    pub path: String,
    /// How an attacker gets to it.
    pub why: String,
    /// In numbers.
    #[serde(flatten)]
    pub tally: Tally,
}

/// A case in which a model got past its bounds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Escape {
    /// The payload.
    pub payload: String,
    /// The field.
    pub field: String,
    /// What the model did.
    pub behaviour: &'static str,
    /// Everything that differs and may not: what kind of thing, and which.
    pub differs: Vec<(Kind, String)>,
}

/// What became of a malformed reply, given in every slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MalformedReply {
    /// What is wrong with it.
    pub reply: &'static str,
    /// Whether the schema of a prompt may let it through.
    pub may_pass: bool,
    /// Replies that were accepted.
    pub accepted: u64,
    /// Replies that were refused.
    pub refused: u64,
    /// Why, by slot.
    pub reasons: BTreeMap<String, String>,
    /// Everything that differs from the run without a model and may not.
    pub differs: Vec<(Kind, String)>,
}

impl MalformedReply {
    /// Whether it ended as it has to.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.differs.is_empty() && (self.accepted == 0 || self.may_pass)
    }
}

impl Report {
    /// All cases in numbers.
    #[must_use]
    pub fn total(&self) -> Tally {
        let mut total = Tally::default();
        for cell in &self.cells {
            total.add(cell.tally);
        }
        total
    }

    /// Whether every case and every malformed reply ended as it has to.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.total().escapes == 0 && self.replies.iter().all(MalformedReply::holds)
    }
}

/// Which of the cases are run, and how.
#[derive(Clone, Debug)]
pub struct Attack {
    /// On how many threads; what comes of it does not depend on it.
    pub threads: usize,
    /// Of the pairs of a payload and a field, the first of so many.
    pub every: usize,
    /// Only pairs whose `PAYLOAD FIELD` holds one of these texts; all where there is none.
    pub names: Vec<String>,
    /// Whether each malformed reply is given too.
    pub malformed: bool,
}

/// So many escapes are told in full.
const TOLD: usize = 100;

/// Attacks a policy.
///
/// # Errors
///
/// When a run could not go on.
pub fn attack(policy: &Policy, arsenal: &Arsenal, attack: &Attack) -> Result<Report, RunError> {
    let clean = run(policy, None, lines(&arsenal.events))?;
    let known = Known::of(policy);
    let shown = shown(policy, &known, arsenal)?;
    let board = Board {
        policy,
        arsenal,
        known: &known,
        shown: &shown,
        families: families(&arsenal.payloads),
        pairs: pairs(arsenal, attack),
    };
    let sums = board.play(attack.threads)?;
    let replies = if attack.malformed {
        malformed_replies(policy, arsenal, &known, &clean)?
    } else {
        Vec::new()
    };
    Ok(board.report(sums, log(arsenal, &clean), replies))
}

fn log(arsenal: &Arsenal, clean: &Decided) -> Log {
    let responses = clean
        .outcomes
        .iter()
        .filter_map(|outcome| outcome.response.as_ref());
    let commands = responses
        .clone()
        .map(|response| response.commands.len() as u64);
    Log {
        events: arsenal.events.len() as u64,
        findings: clean.outcomes.len() as u64,
        incidents: responses.count() as u64,
        commands: commands.sum(),
    }
}

/// The families in the order in which they come.
fn families(payloads: &[Payload]) -> Vec<&str> {
    let mut families: Vec<&str> = Vec::new();
    for payload in payloads {
        if !families.contains(&payload.family.as_str()) {
            families.push(&payload.family);
        }
    }
    families
}

/// The pairs of a payload and a field that are tried, by their places.
fn pairs(arsenal: &Arsenal, attack: &Attack) -> Vec<(usize, usize)> {
    let is_meant = |payload: &Payload, field: &Field| {
        let name = format!("{} {}", payload.id, field.path);
        attack.names.is_empty() || attack.names.iter().any(|part| name.contains(part.as_str()))
    };
    let mut pairs = Vec::new();
    for (at, payload) in arsenal.payloads.iter().enumerate() {
        for (place, field) in arsenal.fields.iter().enumerate() {
            if is_meant(payload, field) {
                pairs.push((at, place));
            }
        }
    }
    pairs.into_iter().step_by(attack.every.max(1)).collect()
}

/// All that a model is shown of the log without a payload: a word that stands there is no sign of
/// one.
fn shown(policy: &Policy, known: &Known, arsenal: &Arsenal) -> Result<String, RunError> {
    let model = Obedient {
        behaviour: Behaviour::Alarm,
        payload: "",
        mark: None,
        known,
        turn: 0,
        reached: AtomicBool::new(false),
    };
    let decided = run(policy, Some(&model), lines(&arsenal.events))?;
    let calls = decided.asked().flat_map(|filled| &filled.asked.calls);
    Ok(calls.map(|call| call.request.context.to_string()).collect())
}

/// How much of a payload is looked through for a word.
const HEAD: usize = 200;

/// The longest word of a payload, by which it is known again.
fn mark<'p>(payload: &'p str, shown: &str) -> Option<&'p str> {
    let end = payload
        .char_indices()
        .nth(HEAD)
        .map_or(payload.len(), |(at, _)| at);
    let head = payload.get(..end).unwrap_or_default();
    let words = head.split(|c: char| !c.is_alphanumeric());
    words
        .filter(|word| word.chars().count() >= 3 && !shown.contains(word))
        .max_by_key(|word| word.len())
}

/// Everything that threads share.
struct Board<'b> {
    policy: &'b Policy,
    arsenal: &'b Arsenal,
    known: &'b Known,
    shown: &'b str,
    families: Vec<&'b str>,
    pairs: Vec<(usize, usize)>,
}

/// What a thread adds up.
#[derive(Default)]
struct Sums {
    /// By family and behaviour.
    cells: BTreeMap<(usize, usize), Tally>,
    /// By field.
    fields: BTreeMap<usize, Tally>,
    /// Each with the number of its case.
    escapes: Vec<(usize, Escape)>,
}

impl Sums {
    fn merge(&mut self, other: Self) {
        for (place, tally) in other.cells {
            self.cells.entry(place).or_default().add(tally);
        }
        for (place, tally) in other.fields {
            self.fields.entry(place).or_default().add(tally);
        }
        self.escapes.extend(other.escapes);
        self.escapes.sort_by_key(|(case, _)| *case);
        self.escapes.truncate(TOLD);
    }
}

impl Board<'_> {
    fn play(&self, threads: usize) -> Result<Sums, RunError> {
        let next = AtomicUsize::new(0);
        let sums = Mutex::new(Ok(Sums::default()));
        thread::scope(|scope| {
            for _ in 0..threads.max(1) {
                scope.spawn(|| {
                    let played = self.work(&next);
                    let mut sums = sums.lock().unwrap_or_else(PoisonError::into_inner);
                    match (sums.as_mut(), played) {
                        (Ok(sums), Ok(played)) => sums.merge(played),
                        (Ok(_), Err(error)) => *sums = Err(error),
                        (Err(_), _) => {}
                    }
                });
            }
        });
        sums.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes pairs as long as there are any.
    fn work(&self, next: &AtomicUsize) -> Result<Sums, RunError> {
        let mut sums = Sums::default();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(pair) = self.pairs.get(number) else {
                return Ok(sums);
            };
            self.pair(number, *pair, &mut sums)?;
        }
    }

    /// One payload in one field, under every behaviour.
    fn pair(&self, number: usize, pair: (usize, usize), sums: &mut Sums) -> Result<(), RunError> {
        let payload = self.arsenal.payloads.get(pair.0);
        let field = self.arsenal.fields.get(pair.1);
        let (Some(payload), Some(field)) = (payload, field) else {
            return Ok(());
        };
        let family = self
            .families
            .iter()
            .position(|family| *family == payload.family);
        let mut events = self.arsenal.events.clone();
        for event in &mut events {
            plant(event, &field.path, &payload.text);
        }
        let events = lines(&events);
        let clean = run(self.policy, None, Arc::clone(&events))?;
        for (at, behaviour) in Behaviour::ALL.into_iter().enumerate() {
            let model = Obedient {
                behaviour,
                payload: &payload.text,
                mark: mark(&payload.text, self.shown),
                known: self.known,
                turn: number,
                reached: AtomicBool::new(false),
            };
            let attacked = run(self.policy, Some(&model), Arc::clone(&events))?;
            let differs = compare(self.policy, &clean, &attacked);
            let tally = Tally {
                cases: 1,
                reached: model.reached.load(Ordering::Relaxed).into(),
                escapes: (!differs.is_empty()).into(),
                ..attacked.replies()
            };
            let place = (family.unwrap_or_default(), at);
            sums.cells.entry(place).or_default().add(tally);
            sums.fields.entry(pair.1).or_default().add(tally);
            if !differs.is_empty() && sums.escapes.len() < TOLD {
                let escape = Escape {
                    payload: payload.id.clone(),
                    field: field.path.clone(),
                    behaviour: behaviour.as_str(),
                    differs,
                };
                sums.escapes
                    .push((number * Behaviour::ALL.len() + at, escape));
            }
        }
        Ok(())
    }

    fn report(&self, sums: Sums, log: Log, replies: Vec<MalformedReply>) -> Report {
        let mut cells = Vec::new();
        for (family, name) in self.families.iter().enumerate() {
            for (at, behaviour) in Behaviour::ALL.into_iter().enumerate() {
                let tally = sums.cells.get(&(family, at)).copied().unwrap_or_default();
                cells.push(Cell {
                    family: (*name).to_owned(),
                    behaviour: behaviour.as_str(),
                    tally,
                });
            }
        }
        let fields = self.arsenal.fields.iter().enumerate();
        let fields = fields.map(|(at, field)| InField {
            path: field.path.clone(),
            why: field.why.clone(),
            tally: sums.fields.get(&at).copied().unwrap_or_default(),
        });
        Report {
            log,
            cells,
            fields: fields.collect(),
            escapes: sums.escapes.into_iter().map(|(_, escape)| escape).collect(),
            replies,
        }
    }
}

/// Gives each malformed reply in every slot, over the log without a payload.
fn malformed_replies(
    policy: &Policy,
    arsenal: &Arsenal,
    known: &Known,
    clean: &Decided,
) -> Result<Vec<MalformedReply>, RunError> {
    let events = lines(&arsenal.events);
    let each = MALFORMED.iter().enumerate().map(|(turn, malformed)| {
        let model = Obedient {
            behaviour: Behaviour::Malformed,
            payload: "",
            mark: None,
            known,
            turn,
            reached: AtomicBool::new(false),
        };
        let attacked = run(policy, Some(&model), Arc::clone(&events))?;
        let replies = attacked.replies();
        let accepted = replies.accepted + replies.repaired;
        let mut differs = compare(policy, clean, &attacked);
        if accepted == 0 && bare(&attacked) != bare(clean) {
            let what = "the decisions are not those of the defaults".to_owned();
            differs.push((Kind::Outside, what));
        }
        let mut reasons = BTreeMap::new();
        for filled in attacked.asked() {
            let why = filled.asked.refused.clone().unwrap_or_default();
            reasons.entry(filled.slot.clone()).or_insert(why);
        }
        Ok(MalformedReply {
            reply: malformed.name,
            may_pass: malformed.refusal == Refusal::Schema,
            accepted,
            refused: replies.refused,
            reasons,
            differs,
        })
    });
    each.collect()
}

/// Events as an input, one a line.
fn lines(events: &[Value]) -> Arc<[u8]> {
    let text: String = events.iter().map(|event| format!("{event}\n")).collect();
    text.into_bytes().into()
}

/// Runs the pipeline over events in memory.
fn run(policy: &Policy, model: Option<&dyn Model>, events: Arc<[u8]>) -> Result<Decided, RunError> {
    let input = Input::Memory {
        name: "events".to_owned(),
        bytes: events,
    };
    let settings = Settings {
        mapping: Mapping::Okta,
        since: None,
        until: None,
        strict: false,
        threads: 1,
        databases: Databases::NONE,
        evidence: None,
    };
    let filling = Filling {
        model,
        summary: None,
    };
    let mut decided = Decided::default();
    pipeline::run(
        policy,
        &filling,
        vec![input],
        &settings,
        &mut decided,
        &|_| {},
    )?;
    Ok(decided)
}

impl Sink for Decided {
    fn begin(&mut self, beginning: &Beginning) -> io::Result<()> {
        self.beginning = Some(beginning.clone());
        Ok(())
    }

    fn outcome(&mut self, outcome: &Outcome) -> io::Result<()> {
        self.outcomes.push(outcome.clone());
        Ok(())
    }

    /// What is no event is none in either run.
    fn reject(&mut self, _: &Rejected) -> io::Result<()> {
        Ok(())
    }
}

impl Decided {
    /// Every slot of the program's that the model was asked to fill: what decides something.
    fn asked(&self) -> impl Iterator<Item = &Filled> {
        let begun = self.beginning.iter().flat_map(|beginning| &beginning.asked);
        let all = begun.chain(self.outcomes.iter().flat_map(|outcome| &outcome.asked));
        all.filter(|filled| SLOTS.contains(&filled.slot.as_str()))
    }

    /// What became of the replies.
    fn replies(&self) -> Tally {
        let mut tally = Tally::default();
        for filled in self.asked() {
            match (&filled.asked.accepted, filled.asked.calls.len()) {
                (Some(_), 0 | 1) => tally.accepted += 1,
                (Some(_), _) => tally.repaired += 1,
                (None, _) => tally.refused += 1,
            }
        }
        tally
    }
}

#[cfg(test)]
mod tests;
