//! What a model proposed in a recorded run, said again to whatever the slot is asked now.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::event::Digest;
use crate::lab::diff::audits::reading::Slots;
use crate::lab::replay::said_in;
use crate::llm::{About, Failure, Model, Reply, Request, Role};
use crate::record::{Said, Slot, digest_of};
use crate::recording::{Key, Known, nearest};

/// What becomes of a recorded proposal under a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Carrying {
    /// It answers the same request as then.
    AsRecorded,
    /// It answers a request that reads differently now.
    Carried,
    /// No reply was accepted then, and none is now.
    Refused,
    /// There was no reply then, and there is none now.
    Failed,
    /// The model was not asked for the slot then; it takes its default.
    NotAsked,
    /// The reply is refused now, and the model was not asked to repair it then; the slot takes its default.
    NotRepaired,
    /// What was said is not to be had any more; the slot takes its default.
    Gone,
}

/// What a model proposed on the way of one finding, or for the route of a run.
pub(super) struct Proposals {
    about: About,
    fills: Vec<Fill>,
    /// How many records of slots this version cannot read: what is not there may be among them.
    unreadable: u64,
}

/// A slot as it was filled.
struct Fill {
    slot: String,
    /// The digest of each request.
    requests: Vec<Digest>,
    outcome: Outcome,
}

enum Outcome {
    /// What was said, call by call.
    Said(Vec<Said>),
    /// Why no reply was accepted.
    Refused(String),
    /// Why there was no reply.
    Failed(String),
    /// The body is gone.
    Gone(String),
}

impl Proposals {
    /// What the records of slots and their bodies tell.
    pub(super) fn new(audit: &Path, about: About, slots: &Slots) -> Self {
        Self {
            about,
            fills: slots
                .list
                .iter()
                .map(|slot| Fill::new(audit, slot))
                .collect(),
            unreadable: slots.unreadable,
        }
    }
}

impl Fill {
    fn new(audit: &Path, slot: &Slot) -> Self {
        let outcome = match (&slot.refused, slot.blob) {
            (Some(why), _) if slot.calls.last().is_some_and(|call| call.reply.is_none()) => {
                Outcome::Failed(why.clone())
            }
            (Some(why), _) => Outcome::Refused(why.clone()),
            (None, Some(body)) => said_in(audit, &body).map_or_else(Outcome::Gone, Outcome::Said),
            (None, None) => Outcome::Gone("its record names no body".to_owned()),
        };
        Self {
            slot: slot.slot.clone(),
            requests: slot.calls.iter().map(|call| call.request).collect(),
            outcome,
        }
    }
}

/// What became of the proposals under one policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Noted {
    /// Each slot that was to be filled, in order.
    pub(super) slots: Vec<(String, Carrying)>,
    /// By slot: in what a request differs from the recorded one, or why there is no proposal.
    pub(super) why: BTreeMap<String, String>,
}

/// Answers under one policy as the model answered then.
pub(super) struct Answering<'p> {
    proposals: &'p Proposals,
    /// Whether requests are compared with those of the record.
    compares: bool,
    at: Mutex<At<'p>>,
}

/// How far the answering has come.
#[derive(Default)]
struct At<'p> {
    /// How often each slot was to be filled.
    met: HashMap<String, usize>,
    /// The fill that is said again, and its next call.
    current: Option<(&'p Fill, usize)>,
    noted: Noted,
}

impl<'p> Answering<'p> {
    pub(super) fn new(proposals: &'p Proposals, compares: bool) -> Self {
        Self {
            proposals,
            compares,
            at: Mutex::default(),
        }
    }

    /// What became of each proposal.
    pub(super) fn noted(self) -> Noted {
        let at = self.at.into_inner();
        at.unwrap_or_else(PoisonError::into_inner).noted
    }

    fn at(&self) -> MutexGuard<'_, At<'p>> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// In what a request differs from the one that a reply was given to; nothing where it is the same.
    fn differs(&self, fill: &Fill, call: usize, said: &Said, request: &Request) -> Option<String> {
        if !self.compares {
            return None;
        }
        let recorded = fill.requests.get(call).copied();
        if recorded.is_some() && digest_of(request).ok() == recorded {
            return None;
        }
        let known = [Known::new(Key::of(&said.request))];
        let parts = nearest(&Key::of(request), &known);
        let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
        Some(match parts.is_empty() {
            true => "the words of the prompt".to_owned(),
            false => parts.join("; "),
        })
    }
}

impl At<'_> {
    fn note(&mut self, slot: &str, carrying: Carrying, why: Option<String>) {
        match self.noted.slots.last_mut().filter(|(last, _)| last == slot) {
            // Of a reply and its repair, what is worse counts.
            Some((_, known)) if self.current.is_some_and(|(_, call)| call > 0) => {
                *known = (*known).max(carrying);
            }
            _ => self.noted.slots.push((slot.to_owned(), carrying)),
        }
        if let Some(why) = why {
            self.noted.why.entry(slot.to_owned()).or_insert(why);
        }
    }
}

impl Model for Answering<'_> {
    fn is_asked_for(&self, slot: &str) -> bool {
        let mut at = self.at();
        at.current = None;
        let met = at.met.entry(slot.to_owned()).or_default();
        let mut of_slot = self.proposals.fills.iter().filter(|fill| fill.slot == slot);
        let fill = of_slot.nth(*met);
        *met += 1;
        match fill {
            Some(Fill {
                outcome: Outcome::Gone(why),
                ..
            }) => at.note(slot, Carrying::Gone, Some(why.clone())),
            None if self.proposals.unreadable > 0 => {
                let why = "this version cannot read its record".to_owned();
                at.note(slot, Carrying::Gone, Some(why));
            }
            None => at.note(slot, Carrying::NotAsked, None),
            Some(fill) => {
                at.current = Some((fill, 0));
                return true;
            }
        }
        false
    }

    fn ask(&self, request: &Request) -> Result<Reply, Failure> {
        let mut at = self.at();
        let slot = &request.slot;
        let is_repair = request
            .messages
            .iter()
            .any(|turn| turn.role == Role::Assistant);
        let Some((fill, call)) = at.current.filter(|(_, call)| (*call > 0) == is_repair) else {
            let why = "the model was not asked then";
            return Err(Failure::NotRecorded(why.to_owned()));
        };
        let said = match &fill.outcome {
            Outcome::Said(said) => said,
            Outcome::Refused(why) | Outcome::Failed(why) | Outcome::Gone(why) => {
                let carrying = match &fill.outcome {
                    Outcome::Refused(_) => Carrying::Refused,
                    Outcome::Failed(_) => Carrying::Failed,
                    Outcome::Said(_) | Outcome::Gone(_) => Carrying::Gone,
                };
                at.note(slot, carrying, None);
                return Err(Failure::Recorded(why.clone()));
            }
        };
        let found = said.get(call);
        let Some((said, reply)) = found.and_then(|said| Some((said, said.reply.as_ref()?))) else {
            let why = "the recorded reply is refused now, and the model was not asked to repair it";
            at.note(slot, Carrying::NotRepaired, Some(why.to_owned()));
            return Err(Failure::NotRecorded(why.to_owned()));
        };
        let differs = self.differs(fill, call, said, request);
        let carrying = match differs {
            Some(_) => Carrying::Carried,
            None => Carrying::AsRecorded,
        };
        at.note(slot, carrying, differs);
        at.current = Some((fill, call + 1));
        Ok(reply.clone())
    }

    fn about(&self) -> About {
        self.proposals.about.clone()
    }
}
