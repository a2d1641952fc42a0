//! The model of a recorded run: it answers what was answered then, from the audit.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::iter::Peekable;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use crate::audit::{AuditError, Body, Record};
use crate::event::Digest;
use crate::lab::replay::recorded::{RecordedRun, said_in};
use crate::llm::{About, Failure, Model, Reply, Request};
use crate::record::{Said, Slot, digest_of, kinds};
use crate::recording::{Key, Known, Part, nearest, told};

/// So many recorded fills are looked at to say how a request differs from what is recorded.
const LOOKED_AT: usize = 1_000;

/// Answers as a recorded run was answered, to equal requests in their order.
pub(super) struct Answers<'a, R: Iterator<Item = Result<Record, AuditError>>> {
    about: About,
    audit: &'a Path,
    run: Uuid,
    seq: u64,
    read: Mutex<Read<'a, R>>,
}

/// What was read of the run so far. Bodies are read when they are asked for.
struct Read<'a, R: Iterator<Item = Result<Record, AuditError>>> {
    records: &'a mut Peekable<R>,
    answers: HashMap<Digest, Given>,
    /// Each fill that has a body, with its slot.
    fills: Vec<(String, Body)>,
    /// The body that was read last.
    body: Option<(Body, Vec<Said>)>,
    /// By slot: why the first request without an answer has none, and how many there were.
    unanswered: BTreeMap<String, (String, u64)>,
    failed: Option<AuditError>,
}

/// The answers to one request.
#[derive(Default)]
struct Given {
    /// Those that were not given again yet.
    left: VecDeque<Answer>,
    /// The one that was, which an equal request gets that was not made then.
    last: Option<Answer>,
}

#[derive(Clone)]
enum Answer {
    /// A call of a body, by its place there.
    Said(Body, usize),
    /// There was none, for this reason.
    Failed(String),
}

impl<'a, R: Iterator<Item = Result<Record, AuditError>>> Answers<'a, R> {
    /// Of a run, whose records come next or later.
    pub(super) fn new(
        about: About,
        audit: &'a Path,
        run: &RecordedRun,
        records: &'a mut Peekable<R>,
    ) -> Self {
        Self {
            about,
            audit,
            run: run.run,
            seq: run.seq,
            read: Mutex::new(Read {
                records,
                answers: HashMap::new(),
                fills: Vec::new(),
                body: None,
                unanswered: BTreeMap::new(),
                failed: None,
            }),
        }
    }

    /// What had no answer, a sentence for each slot.
    ///
    /// # Errors
    ///
    /// When the audit could not be read.
    pub(super) fn unanswered(self) -> Result<Vec<String>, AuditError> {
        let read = self.read.into_inner();
        let read = read.unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = read.failed {
            return Err(error);
        }
        let unanswered = read.unanswered.into_iter();
        Ok(unanswered
            .map(|(slot, (why, requests))| match requests {
                1 => format!("slot `{slot}`: {why}"),
                more => format!("slot `{slot}`, {more} requests, the first: {why}"),
            })
            .collect())
    }

    fn read(&self) -> MutexGuard<'_, Read<'a, R>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, read: &mut Read<'a, R>, request: &Request) -> Result<Reply, Failure> {
        // What has no canonical form was not recorded.
        let answer = digest_of(request).ok().and_then(|digest| {
            read.answer(digest, |record| self.is_over(record))
                .map_err(|error| read.failed = Some(error))
                .ok()?
        });
        match answer {
            Some(Answer::Failed(why)) => Err(Failure::Recorded(why)),
            Some(Answer::Said(body, call)) => match self.said(read, body) {
                Ok(said) => {
                    let reply = said.get(call).and_then(|said| said.reply.clone());
                    let none =
                        || Failure::NotRecorded(format!("the body {} has no reply", body.sha256));
                    reply.ok_or_else(none)
                }
                Err(why) => Err(Failure::NotRecorded(why)),
            },
            None => Err(Failure::NotRecorded(self.why(read, request))),
        }
    }

    fn is_over(&self, record: &Record) -> bool {
        let begins_another = record.run != Some(self.run) || record.kind == kinds::BEGUN;
        record.seq > self.seq && begins_another
    }

    fn said<'r>(&self, read: &'r mut Read<'a, R>, name: Body) -> Result<&'r [Said], String> {
        if read.body.as_ref().is_none_or(|(known, _)| *known != name) {
            read.body = Some((name, said_in(self.audit, &name)?));
        }
        Ok(read.body.as_ref().map_or(&[], |(_, said)| said))
    }

    /// How a request differs from what was asked then.
    fn why(&self, read: &mut Read<'a, R>, request: &Request) -> String {
        if read.unanswered.contains_key(&request.slot) {
            // The first of a slot is told.
            return "no reply is recorded for this request".to_owned();
        }
        let of_slot = read.fills.iter().filter(|(slot, _)| *slot == request.slot);
        let of_slot: Vec<Body> = of_slot.map(|(_, body)| *body).take(LOOKED_AT).collect();
        let mut known = Vec::new();
        for body in of_slot {
            match self.said(read, body) {
                Ok(said) => {
                    known.extend(said.iter().map(|said| Known::new(Key::of(&said.request))))
                }
                Err(gone) => return gone,
            }
        }
        let mut parts = nearest(&Key::of(request), &known);
        if parts.is_empty() {
            parts.push(Part::Words);
        }
        told(&parts)
    }
}

impl<R: Iterator<Item = Result<Record, AuditError>>> Read<'_, R> {
    /// The next answer to a request, as far ahead as it is.
    fn answer(
        &mut self,
        request: Digest,
        is_over: impl Fn(&Record) -> bool,
    ) -> Result<Option<Answer>, AuditError> {
        loop {
            let given = self.answers.entry(request).or_default();
            if let Some(answer) = given.left.pop_front() {
                given.last = Some(answer.clone());
                return Ok(Some(answer));
            }
            let next = |next: &Result<Record, _>| next.as_ref().map_or(true, |next| !is_over(next));
            let Some(record) = self.records.next_if(next) else {
                let given = self.answers.get(&request);
                return Ok(given.and_then(|given| given.last.clone()));
            };
            self.take(record?);
        }
    }

    fn take(&mut self, record: Record) {
        if record.kind != kinds::SLOT {
            return;
        }
        let Ok(slot) = serde_json::from_value::<Slot>(record.body) else {
            return;
        };
        self.fills
            .extend(slot.blob.map(|body| (slot.slot.clone(), body)));
        for (at, call) in slot.calls.into_iter().enumerate() {
            let answer = match (call.reply, slot.blob) {
                (Some(_), Some(body)) => Answer::Said(body, at),
                _ => Answer::Failed(call.failure.unwrap_or_default()),
            };
            let given = self.answers.entry(call.request).or_default();
            given.left.push_back(answer);
        }
    }
}

impl<R: Iterator<Item = Result<Record, AuditError>> + Send> Model for Answers<'_, R> {
    fn ask(&self, request: &Request) -> Result<Reply, Failure> {
        let mut read = self.read();
        let answer = self.answer(&mut read, request);
        if let Err(Failure::NotRecorded(why)) = &answer {
            let first = || (why.clone(), 0);
            let slot = read.unanswered.entry(request.slot.clone());
            slot.or_insert_with(first).1 += 1;
        }
        answer
    }

    fn about(&self) -> About {
        self.about.clone()
    }
}
