//! Writes what a run reads, decides and does into the audit, each before what follows from it.

use std::collections::BTreeMap;
use std::io;

use serde::Serialize;
use serde_json::{Value, json};

use crate::audit::{Audit, AuditError, Body, canonical};
use crate::event::{Digest, Time};
use crate::pipeline::{Beginning, Counts, Evidence, Filled, Late, Outcome};
use crate::record::{
    Begun, Decision, Ended, Input, Kept, Restored, Said, Slot, SlotCall, decisions, digest_of,
    kinds, route_decision,
};
use crate::slots::Call;
use crate::source::InputRead;

/// So many bytes of evidence are one body at the most, but for a larger event.
const BODY: usize = 8 << 20;

/// So many decisions wait for the body of their evidence at the most.
const WAITING: usize = 1000;

/// So many bodies of slots wait to be kept together at the most.
const BODIES: usize = 128;

/// Writes the records of one run. What it has taken is durable after [`Recorder::commit`].
pub struct Recorder<'a> {
    /// Where to; nowhere where nothing is to be recorded.
    audit: Option<&'a Audit>,
    /// Evidence that is no body yet.
    evidence: Evidence,
    /// What was decided from it, which is recorded behind it.
    decisions: Vec<Decision>,
    /// What was said of slots, which these decisions name.
    said: Vec<Vec<u8>>,
}

impl<'a> Recorder<'a> {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new(audit: Option<&'a Audit>) -> Self {
        Self {
            audit,
            evidence: Evidence::default(),
            decisions: Vec::new(),
            said: Vec::new(),
        }
    }

    /// The run begins.
    ///
    /// # Errors
    ///
    /// When the audit cannot be written; so of all below.
    pub fn begin(&mut self, begun: &Begun) -> Result<(), AuditError> {
        self.append(kinds::BEGUN, begun)
    }

    /// Live input goes on from what was saved.
    ///
    /// # Errors
    ///
    /// When the audit cannot be written.
    pub fn restored(&mut self, saved: &[u8], clock: Time) -> Result<(), AuditError> {
        let Some(audit) = self.audit else {
            return Ok(());
        };
        let blob = audit.keep(saved)?;
        self.append(kinds::RESTORED, &Restored { blob, clock })
    }

    /// The route of the run was decided.
    ///
    /// # Errors
    ///
    /// When the audit cannot be written.
    pub fn route(&mut self, beginning: &Beginning) -> io::Result<()> {
        self.asked(beginning.asked.as_slice())?;
        let decision = route_decision(&beginning.route, beginning.summary.as_ref())?;
        self.decisions.push(decision);
        self.keep().map_err(io::Error::other)
    }

    /// Events satisfied a rule.
    ///
    /// # Errors
    ///
    /// When the audit cannot be written.
    pub fn evidence(&mut self, evidence: Evidence) -> Result<(), AuditError> {
        let held = self.evidence.lines.len();
        if held > 0 && held + evidence.lines.len() > BODY {
            self.keep()?;
        }
        self.evidence.append(evidence);
        Ok(())
    }

    /// Inputs were read to their end.
    ///
    /// # Errors
    ///
    /// When the audit cannot be written.
    pub fn read(&mut self, counts: &Counts, inputs: &[InputRead]) -> Result<(), AuditError> {
        self.keep()?;
        let input = Input {
            inputs: inputs.to_vec(),
            counts: counts.clone(),
        };
        self.append(kinds::INPUT, &input)
    }

    /// A live event came too late.
    ///
    /// # Errors
    ///
    /// When the audit cannot be written.
    pub fn late(&mut self, late: &Late) -> Result<(), AuditError> {
        self.append(kinds::LATE, late)
    }

    /// A finding was followed to its commands.
    ///
    /// # Errors
    ///
    /// When the audit cannot be written.
    pub fn outcome(&mut self, outcome: &Outcome) -> io::Result<()> {
        let mut decided = decisions(outcome)?.into_iter();
        // The finding comes first, since the rest is about it.
        self.decisions.extend(decided.next());
        self.asked(&outcome.asked)?;
        self.decisions.extend(decided);
        let waits = !self.evidence.is_empty() || !self.said.is_empty();
        if !waits || self.is_full() {
            self.keep().map_err(io::Error::other)?;
        }
        Ok(())
    }

    /// Whether as much waits as may.
    fn is_full(&self) -> bool {
        let bytes: usize = self.said.iter().map(Vec::len).sum();
        self.decisions.len() > WAITING || self.said.len() >= BODIES || bytes >= BODY
    }

    /// Everything that was decided, and every event, is durable from now on. That time went by
    /// and nothing came of it may wait for the next of these: a silent source goes on each second.
    ///
    /// # Errors
    ///
    /// When the audit cannot be written.
    pub fn commit(&mut self) -> Result<(), AuditError> {
        if self.evidence.events > 0 || !self.decisions.is_empty() {
            self.keep()?;
        }
        self.audit.map_or(Ok(()), Audit::commit)
    }

    /// Proves how long the record is, with all that was handed over so far.
    ///
    /// # Errors
    ///
    /// When the audit cannot be written.
    pub fn checkpoint(&mut self) -> Result<(), AuditError> {
        self.keep()?;
        let checkpoint = |audit: &Audit| audit.checkpoint().map(drop);
        self.audit.map_or(Ok(()), checkpoint)
    }

    /// Puts artifacts in their place, which is recorded before and after.
    ///
    /// # Errors
    ///
    /// When the audit cannot be written, and then they are not put there; or why that failed.
    pub fn publish<T, E: From<AuditError> + std::fmt::Display>(
        &mut self,
        artifacts: &BTreeMap<String, impl Serialize>,
        publish: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let Some(audit) = self.audit else {
            return publish();
        };
        self.keep()?;
        let intent = audit.intend(kinds::ARTIFACTS, json!({"artifacts": artifacts}))?;
        let published = publish();
        let outcome = match &published {
            Ok(_) => Ok(json!({})),
            Err(error) => Err(json!({"error": error.to_string()})),
        };
        audit.conclude(intent, outcome)?;
        published
    }

    /// The run ended.
    ///
    /// # Errors
    ///
    /// When the audit cannot be written.
    pub fn end(&mut self, ended: &Ended) -> Result<(), AuditError> {
        self.keep()?;
        self.append(kinds::ENDED, ended)?;
        self.audit.map_or(Ok(()), Audit::commit)
    }

    /// Takes what was asked of a model and answered, as bodies, and the decisions that name them.
    fn asked(&mut self, asked: &[Filled]) -> io::Result<()> {
        if self.audit.is_none() {
            return Ok(());
        }
        for filled in asked {
            let calls = filled.asked.calls.iter();
            let said: Vec<Said> = calls.clone().map(said).collect();
            let bytes = canonical(&serde_json::to_value(&said)?).map_err(io::Error::other)?;
            let bytes = (!said.is_empty()).then(|| bytes.into_bytes());
            let slot = Slot {
                slot: filled.slot.clone(),
                subject: filled.subject,
                calls: calls.map(slot_call).collect::<io::Result<_>>()?,
                blob: bytes.as_deref().map(Body::of),
                refused: filled.asked.refused.clone(),
            };
            let slot = Decision::new(kinds::SLOT, serde_json::to_value(slot)?);
            self.said.extend(bytes);
            self.decisions.push(slot);
        }
        Ok(())
    }

    /// Records what waits: the evidence as a body, then what was said of slots as bodies, then what
    /// was decided from them.
    fn keep(&mut self) -> Result<(), AuditError> {
        self.keep_evidence()?;
        let said = std::mem::take(&mut self.said);
        self.audit.map_or(Ok(()), |audit| audit.keep_all(&said))?;
        let decisions = std::mem::take(&mut self.decisions);
        decisions
            .into_iter()
            .try_for_each(|decision| self.decided(decision))
    }

    fn keep_evidence(&mut self) -> Result<(), AuditError> {
        let Some(audit) = self.audit.filter(|_| !self.evidence.is_empty()) else {
            return Ok(());
        };
        let evidence = std::mem::take(&mut self.evidence);
        let kept = Kept {
            blob: audit.keep(&evidence.lines)?,
            events: evidence.events,
            masked: evidence.masked.into_iter().collect(),
        };
        self.append(kinds::EVIDENCE, &kept)
    }

    fn decided(&mut self, decision: Decision) -> Result<(), AuditError> {
        let append = |audit: &Audit| audit.append(decision.kind, decision.body).map(drop);
        self.audit.map_or(Ok(()), append)
    }

    fn append(&mut self, kind: &str, body: &impl Serialize) -> Result<(), AuditError> {
        // Everything here has texts for keys.
        let body = serde_json::to_value(body).unwrap_or(Value::Null);
        let append = |audit: &Audit| audit.append(kind, body).map(drop);
        self.audit.map_or(Ok(()), append)
    }
}

fn said(call: &Call) -> Said {
    Said {
        request: call.request.clone(),
        reply: call.outcome.as_ref().ok().cloned(),
    }
}

fn slot_call(call: &Call) -> io::Result<SlotCall> {
    let reply = call.outcome.as_ref().ok();
    Ok(SlotCall {
        request: digest_of(&call.request)?,
        reply: reply.map(digest_of).transpose()?,
        failure: call.outcome.as_ref().err().map(ToString::to_string),
        refused: call.refused.clone().filter(|_| reply.is_some()),
    })
}

/// Activates a policy, which is recorded before and after: gives its generation.
///
/// # Errors
///
/// When the audit cannot be written, and then it is not activated; or why that failed.
pub fn activate<E: From<AuditError> + std::fmt::Display>(
    audit: Option<&Audit>,
    policy: Digest,
    activate: impl FnOnce() -> Result<u64, E>,
) -> Result<u64, E> {
    let Some(audit) = audit else {
        return activate();
    };
    let intent = audit.intend(kinds::POLICY, json!({"policy": policy}))?;
    let activated = activate();
    let outcome = match &activated {
        Ok(generation) => Ok(json!({"generation": generation})),
        Err(error) => Err(json!({"error": error.to_string()})),
    };
    audit.conclude(intent, outcome)?;
    activated
}
