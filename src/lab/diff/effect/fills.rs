//! What is known of what a model says: fills that are carried from the paired finding, recorded
//! ones, and those of a model that may be asked.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::detect::Finding;
use crate::event::Digest;
use crate::llm::{About, Failure, Model, Reply, Request, Role};
use crate::pipeline::{Beginning, Filled, Filling, Outcome, begin, follow};
use crate::policy::Policy;
use crate::recording::{Key, Of, Recording};
use crate::slots::Provenance;

/// Where fills come from; from nowhere, unless something is said.
#[derive(Default)]
pub struct Answers<'m> {
    /// Replies that were recorded.
    pub recording: Option<Recording>,
    /// Who is asked for what is neither carried nor recorded.
    pub model: Option<&'m dyn Model>,
}

/// What filled a slot.
#[derive(Clone, Debug, PartialEq)]
pub struct Fill {
    /// Where it came from: carried, recorded, or from a model.
    pub source: Provenance,
    /// What was asked, apart from the finding.
    shown: Digest,
    /// The replies, as they came: the second one repairs the first.
    replies: Vec<Reply>,
}

impl Fill {
    /// What tells it from another fill.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let replies = self.replies.iter().map(|reply| reply.text.as_str());
        let replies: Vec<&str> = replies.collect();
        Digest::of(
            json!([self.shown.to_string(), replies])
                .to_string()
                .as_bytes(),
        )
    }
}

/// The slots that were filled on the way of a finding.
pub type Fills = BTreeMap<String, Fill>;

/// What may be asked on the way of a finding.
#[derive(Clone, Copy, Default)]
pub struct Asks<'f> {
    /// The fills of the finding that is its pair in the base.
    pub carried: Option<&'f Fills>,
    /// Whether a model may be asked.
    pub model: bool,
}

/// Everything that is known of what a model says.
pub struct Known<'m> {
    model: Option<&'m dyn Model>,
    /// What was recorded, and what a model said since.
    said: Option<Mutex<Recording>>,
    /// How many of the replies were there before.
    recorded: Recording,
}

impl<'m> Known<'m> {
    /// From these answers.
    #[must_use]
    pub fn new(answers: Answers<'m>) -> Self {
        let Answers { recording, model } = answers;
        let of = || Of::new(&model.map(Model::about).unwrap_or_default());
        let is_none = recording.is_none() && model.is_none();
        let recorded = recording.unwrap_or_else(|| Recording::new(of()));
        Self {
            model,
            said: (!is_none).then(|| Mutex::new(Recording::new(of()))),
            recorded,
        }
    }

    /// Whether a slot can have another fill than its default.
    #[must_use]
    pub fn is_some(&self) -> bool {
        self.said.is_some()
    }

    /// The route of a run.
    #[must_use]
    pub fn begin(&self, policy: &Policy, asks: Asks<'_>) -> (Beginning, Fills) {
        let Some(answering) = self.answering(asks) else {
            return (begin(policy, &Filling::default()), Fills::new());
        };
        let filling = Filling {
            model: Some(&answering),
            summary: None,
        };
        let mut beginning = begin(policy, &filling);
        beginning.route.consulted = None;
        let asked = beginning.asked.take();
        let fills = answering.fills(asked.into_iter());
        (beginning, fills)
    }

    /// What comes of a finding.
    #[must_use]
    pub fn follow(
        &self,
        policy: &Policy,
        asks_risk: bool,
        finding: Finding,
        asks: Asks<'_>,
    ) -> (Outcome, Fills) {
        let Some(answering) = self.answering(asks) else {
            let filling = Filling::default();
            let outcome = follow(policy, &filling, asks_risk, finding, false);
            return (outcome, Fills::new());
        };
        let filling = Filling {
            model: Some(&answering),
            summary: None,
        };
        let mut outcome = follow(policy, &filling, asks_risk, finding, false);
        let fills = answering.fills(outcome.asked.drain(..));
        forget(&mut outcome);
        (outcome, fills)
    }

    fn answering<'k>(&'k self, asks: Asks<'k>) -> Option<Answering<'k, 'm>> {
        let said = self.said.as_ref()?;
        Some(Answering {
            known: self,
            said,
            asks,
            sources: Mutex::default(),
        })
    }
}

/// What tells of the asking and decides nothing is not compared.
fn forget(outcome: &mut Outcome) {
    outcome.risk.consulted = None;
    if let Some(response) = &mut outcome.response {
        response.route.consulted = None;
        response
            .plan
            .iter_mut()
            .for_each(|plan| plan.consulted = None);
    }
}

/// Answers on the way of one finding.
struct Answering<'k, 'm> {
    known: &'k Known<'m>,
    said: &'k Mutex<Recording>,
    asks: Asks<'k>,
    /// Where the replies of each slot come from.
    sources: Mutex<BTreeMap<String, Provenance>>,
}

impl Answering<'_, '_> {
    fn fills(&self, asked: impl Iterator<Item = Filled>) -> Fills {
        let sources = locked(&self.sources);
        let fill = |filled: Filled| {
            let calls = filled.asked.calls;
            let shown = shown(&calls.first()?.request);
            let source = sources.get(&filled.slot).copied()?;
            let replies = calls.into_iter().filter_map(|call| call.outcome.ok());
            let fill = Fill {
                source,
                shown,
                replies: replies.collect(),
            };
            Some((filled.slot, fill))
        };
        asked.filter_map(fill).collect()
    }

    /// A reply, and where it comes from.
    fn answer(&self, request: &Request) -> Option<(Provenance, Reply)> {
        let carried = self.asks.carried.and_then(|fills| fills.get(&request.slot));
        if let Some(fill) = carried.filter(|fill| fill.shown == shown(request)) {
            let turns = request.messages.iter();
            let before = turns.filter(|turn| turn.role == Role::Assistant).count();
            let reply = fill.replies.get(before)?;
            return Some((Provenance::Carried, reply.clone()));
        }
        let key = Key::of(request);
        if let Some(reply) = self.known.recorded.get(&key) {
            return Some((Provenance::Recorded, reply.clone()));
        }
        if let Some(reply) = locked(self.said).get(&key) {
            return Some((Provenance::Model, reply.clone()));
        }
        let model = self.known.model.filter(|_| self.asks.model)?;
        let reply = model.ask(request).ok()?;
        locked(self.said).insert(key, reply.clone());
        Some((Provenance::Model, reply))
    }
}

impl Model for Answering<'_, '_> {
    fn ask(&self, request: &Request) -> Result<Reply, Failure> {
        let (source, reply) = self.answer(request).ok_or(Failure::NobodyAsked)?;
        locked(&self.sources).insert(request.slot.clone(), source);
        Ok(reply)
    }

    /// A fill says the same wherever it comes from: it is compared with one that is carried.
    fn about(&self) -> About {
        About {
            recorded: true,
            ..About::default()
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a request asks apart from the finding: the prompt with its schema, and of the policy what
/// it shows of the bounds.
fn shown(request: &Request) -> Digest {
    let bounds = of_bounds(&request.slot, &request.context);
    let shown = json!([request.prompt, request.max_tokens, bounds]);
    Digest::of(shown.to_string().as_bytes())
}

/// What a context shows of the bounds of a slot.
fn of_bounds<'c>(slot: &str, context: &'c Value) -> Vec<&'c Value> {
    let paths: &[&str] = match slot {
        "plan" => &["/plan"],
        "route" => &["/agents", "/guardrails", "/plan"],
        _ => &[],
    };
    let bounds = paths.iter().filter_map(|path| context.pointer(path));
    bounds.collect()
}
