//! Decisions that were made again, beside those that are recorded.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::iter::Peekable;
use std::ops::RangeInclusive;

use serde_json::Value;
use uuid::Uuid;

use crate::audit::canonical::canonical;
use crate::audit::{AuditError, Record};
use crate::lab::replay::recorded::RecordedRun;
use crate::lab::replay::{Difference, How, ReplayError, RunReport};
use crate::llm::Failure;
use crate::pipeline::{Beginning, Filled, Outcome, Rejected, Sink};
use crate::record::{Decision, decisions, kinds, route_decision, subject};

/// So many differences of a run are told; the rest is counted.
const TOLD: usize = 100;

/// What a decision is told by.
type Key = (&'static str, Option<String>);

/// Compares what is decided now with what is recorded, in its order.
pub(super) struct Comparing<'c, R: Iterator<Item = Result<Record, AuditError>>> {
    records: &'c mut Peekable<R>,
    run: Uuid,
    seq: u64,
    about: Option<RangeInclusive<u64>>,
    recorded: u64,
    same: u64,
    different: u64,
    differences: Vec<Difference>,
    /// Recorded, and not made again yet.
    ahead: HashMap<Key, VecDeque<(u64, Value)>>,
    /// Made again, and not met in the record yet.
    made: HashMap<Key, VecDeque<Value>>,
}

impl<'c, R: Iterator<Item = Result<Record, AuditError>>> Comparing<'c, R> {
    pub(super) fn new(
        records: &'c mut Peekable<R>,
        run: &RecordedRun,
        about: Option<RangeInclusive<u64>>,
    ) -> Self {
        Self {
            records,
            run: run.run,
            seq: run.seq,
            about,
            recorded: 0,
            same: 0,
            different: 0,
            differences: Vec::new(),
            ahead: HashMap::new(),
            made: HashMap::new(),
        }
    }

    /// Whether a record is one of those that are asked for.
    fn is_about(&self, seq: Option<u64>) -> bool {
        let about = self.about.as_ref();
        about.is_none_or(|about| seq.is_some_and(|seq| about.contains(&seq)))
    }

    /// The next recorded decision of the run.
    fn next(&mut self) -> io::Result<Option<(u64, &'static str, Value)>> {
        let is_over = |record: &Record, run: Uuid, seq: u64| {
            record.seq > seq && (record.run != Some(run) || record.kind == kinds::BEGUN)
        };
        let (run, seq) = (self.run, self.seq);
        while let Some(record) = self.records.next_if(|next| {
            next.as_ref()
                .map_or(true, |record| !is_over(record, run, seq))
        }) {
            let record = record.map_err(io::Error::other)?;
            if record.seq < seq {
                continue;
            }
            if let Some(kind) = Decision::kind(&record.kind) {
                self.recorded += u64::from(self.is_about(Some(record.seq)));
                return Ok(Some((record.seq, kind, record.body)));
            }
        }
        Ok(None)
    }

    /// Takes a decision that was made again.
    fn made(&mut self, decision: Decision) -> io::Result<()> {
        let key = key_of(decision.kind, &decision.body);
        if let Some((seq, kind, body)) = self.next()? {
            let recorded = key_of(kind, &body);
            let waiting = self.ahead.get(&key).is_some_and(|ahead| !ahead.is_empty());
            if recorded == key && !waiting {
                return self.compare(&key, seq, &body, &decision.body);
            }
            self.recorded_one(recorded, seq, body)?;
        }
        let earlier = self.ahead.get_mut(&key).and_then(VecDeque::pop_front);
        match earlier {
            Some((seq, body)) => self.compare(&key, seq, &body, &decision.body),
            None => {
                self.made.entry(key).or_default().push_back(decision.body);
                Ok(())
            }
        }
    }

    /// Takes a recorded decision for which another was made.
    fn recorded_one(&mut self, key: Key, seq: u64, body: Value) -> io::Result<()> {
        let made = self.made.get_mut(&key).and_then(VecDeque::pop_front);
        if let Some(made) = made {
            return self.compare(&key, seq, &body, &made);
        }
        self.ahead.entry(key).or_default().push_back((seq, body));
        Ok(())
    }

    fn compare(&mut self, key: &Key, seq: u64, recorded: &Value, now: &Value) -> io::Result<()> {
        let bytes = |value: &Value| canonical(value).map_err(io::Error::other);
        if bytes(recorded)? == bytes(now)? {
            self.same += u64::from(self.is_about(Some(seq)));
            return Ok(());
        }
        let how = first_difference("", recorded, now).unwrap_or_else(|| How::Changed {
            at: String::new(),
            recorded: Value::Null,
            now: Value::Null,
        });
        self.differs(key, Some(seq), how);
        Ok(())
    }

    fn differs(&mut self, key: &Key, seq: Option<u64>, how: How) {
        if !self.is_about(seq) {
            return;
        }
        self.different += 1;
        if self.differences.len() < TOLD {
            self.differences.push(Difference {
                seq,
                kind: key.0.to_owned(),
                subject: key.1.clone(),
                how,
            });
        }
    }

    /// Takes what is left, and says what came of it all: it was decided again, but for what a
    /// model was not asked then, or there is a reason why it was not.
    pub(super) fn finish(
        mut self,
        run: &RecordedRun,
        came: Result<Vec<String>, String>,
    ) -> Result<RunReport, ReplayError> {
        let compare = |error: io::Error| ReplayError::Compare(error.to_string());
        while let Some((seq, kind, body)) = self.next().map_err(compare)? {
            if came.is_ok() {
                let key = key_of(kind, &body);
                self.recorded_one(key, seq, body).map_err(compare)?;
            }
        }
        let mut beyond = 0;
        // What rests on an answer that is not there was not compared, and has no partner.
        if came.as_ref().is_ok_and(Vec::is_empty) {
            let mut ahead: Vec<(u64, Key)> = Vec::new();
            for (key, left) in std::mem::take(&mut self.ahead) {
                ahead.extend(left.into_iter().map(|(seq, _)| (seq, key.clone())));
            }
            ahead.sort();
            for (seq, key) in ahead {
                self.differs(&key, Some(seq), How::NotMade);
            }
            let made = std::mem::take(&mut self.made);
            let mut left: Vec<Key> = Vec::new();
            for (key, made) in made {
                left.extend(made.into_iter().map(|_| key.clone()));
            }
            left.sort();
            for key in left {
                if run.ended.is_some() {
                    self.differs(&key, None, How::NotRecorded);
                } else {
                    beyond += 1;
                }
            }
        }
        let inconclusive = came.as_ref().err().cloned();
        Ok(RunReport {
            run: run.run,
            seq: run.seq,
            time: run.time,
            recorded: self.recorded,
            same: self.same,
            different: self.different,
            differences: self.differences,
            cut_short: run.ended.is_none(),
            beyond,
            changed: Vec::new(),
            inconclusive,
            unanswered: came.unwrap_or_default(),
        })
    }
}

/// Whether a slot has its default because nobody was asked then what is asked now.
fn is_unanswered(filled: &Filled) -> bool {
    let last = filled.asked.calls.last();
    last.is_some_and(|call| matches!(call.outcome, Err(Failure::NotRecorded(_))))
}

fn key_of(kind: &'static str, body: &Value) -> Key {
    (kind, subject(kind, body).map(str::to_owned))
}

impl<R: Iterator<Item = Result<Record, AuditError>>> Sink for Comparing<'_, R> {
    fn begin(&mut self, beginning: &Beginning) -> io::Result<()> {
        if beginning.asked.as_ref().is_some_and(is_unanswered) {
            return Ok(());
        }
        self.made(route_decision(
            &beginning.route,
            beginning.summary.as_ref(),
        )?)
    }

    fn outcome(&mut self, outcome: &Outcome) -> io::Result<()> {
        let mut unanswered = outcome.asked.iter().filter(|filled| is_unanswered(filled));
        // What was decided before the first request without an answer does not rest on it.
        let first = unanswered.next().map(|filled| match filled.slot.as_str() {
            "route" => kinds::ROUTE,
            "plan" => kinds::PLAN,
            _ => kinds::RISK,
        });
        decisions(outcome)?
            .into_iter()
            .take_while(|decision| Some(decision.kind) != first)
            .try_for_each(|decision| self.made(decision))
    }

    fn reject(&mut self, _: &Rejected) -> io::Result<()> {
        Ok(()) // what is no event is no evidence
    }
}

/// The first place, in the order of keys, where two values differ.
fn first_difference(at: &str, recorded: &Value, now: &Value) -> Option<How> {
    match (recorded, now) {
        (Value::Object(old), Value::Object(new)) => {
            let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            keys.into_iter().find_map(|key| {
                let place = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                differing(&place, old.get(key), new.get(key))
            })
        }
        (Value::Array(old), Value::Array(new)) => (0..old.len().max(new.len()))
            .find_map(|index| differing(&format!("{at}/{index}"), old.get(index), new.get(index))),
        (recorded, now) => {
            (canonical(recorded).ok() != canonical(now).ok()).then(|| How::Changed {
                at: at.to_owned(),
                recorded: recorded.clone(),
                now: now.clone(),
            })
        }
    }
}

fn differing(at: &str, recorded: Option<&Value>, now: Option<&Value>) -> Option<How> {
    match (recorded, now) {
        (Some(recorded), Some(now)) => first_difference(at, recorded, now),
        (recorded, now) => Some(How::Changed {
            at: at.to_owned(),
            recorded: recorded.cloned().unwrap_or_default(),
            now: now.cloned().unwrap_or_default(),
        }),
    }
}
