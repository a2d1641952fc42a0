//! Runs and findings, as an audit records them, in its order.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde_json::Value;
use uuid::Uuid;

use crate::audit::{AuditError, Record, canonical, durable, read};
use crate::detect::{Finding, Status};
use crate::event::Time;
use crate::lab::diff::audits::AuditsError;
use crate::pipeline::Outcome;
use crate::record::{Begun, Decision, Slot, decisions, kinds, subject};
use crate::route::Summary;

/// The form of a log that this version reads.
const FORMAT: u64 = 1;

/// What an audit holds, before it is followed.
#[derive(Debug)]
pub struct Survey {
    /// The folder.
    folder: PathBuf,
    /// One run alone.
    only: Option<Uuid>,
    /// The number behind the last record that is read.
    end: u64,
    /// Findings that were told as open and not again in their run, by the number of their record.
    left_open: HashSet<u64>,
    /// The time of the latest finding.
    pub newest: Option<Time>,
    /// Why the log is not whole at its end.
    pub(super) cut: Option<String>,
    /// Runs that are not recorded to have ended.
    pub(super) not_ended: u64,
}

/// Looks through the audit in a folder, or one run of it.
///
/// # Errors
///
/// When it cannot be read, is damaged, or does not have that run. An end that is not whole is none.
pub fn survey(folder: &Path, only: Option<Uuid>) -> Result<Survey, AuditsError> {
    let mut surveying = Surveying {
        found: Survey {
            folder: folder.to_owned(),
            only,
            end: 0,
            left_open: HashSet::new(),
            newest: None,
            cut: None,
            not_ended: 0,
        },
        run: None,
        is_of: false,
        met: false,
        under_way: false,
        open: HashMap::new(),
    };
    for record in read(folder)? {
        match record {
            Ok(record) => surveying.take(&record)?,
            Err(AuditError::Damaged {
                path,
                line,
                is_tail: true,
                ..
            }) => surveying.found.cut = Some(torn(&path, line)),
            Err(error) => return Err(error.into()),
        }
    }
    surveying.leave();
    let (mut found, met) = (surveying.found, surveying.met);
    if let Some(durable) = durable(folder)?
        && durable > found.end
        && found.cut.is_none()
    {
        found.cut = Some(format!(
            "the audit ends behind {} records, and its `head.json` says that there were {durable}",
            found.end
        ));
    }
    match only.filter(|_| !met) {
        Some(run) => Err(AuditsError::NoRun(run)),
        None => Ok(found),
    }
}

struct Surveying {
    found: Survey,
    /// The run that the records here are of.
    run: Option<Uuid>,
    /// Whether the records here are of a run that is asked for.
    is_of: bool,
    /// Whether such a run was met.
    met: bool,
    /// Whether it began and has not ended.
    under_way: bool,
    /// Findings that were told as open, with the number of the record.
    open: HashMap<Uuid, u64>,
}

impl Surveying {
    fn take(&mut self, record: &Record) -> Result<(), AuditsError> {
        self.found.end = record.seq + 1;
        match record.kind.as_str() {
            "log.begun" => check_format(&record.body)?,
            kinds::BEGUN => {
                // A run goes on under another policy with what it has open.
                if self.run != record.run {
                    self.leave();
                }
                self.run = record.run;
                self.is_of = is_wanted(self.found.only, record);
                self.met |= self.is_of;
                self.under_way = self.is_of;
            }
            kinds::ENDED => self.under_way = false,
            kinds::FINDING if self.is_of => self.finding(record),
            _ => {}
        }
        Ok(())
    }

    fn finding(&mut self, record: &Record) {
        let Some(finding) = finding_of(&record.body) else {
            return;
        };
        self.found.newest = self.found.newest.max(finding.created_at);
        match finding.status {
            Status::Open => self.open.insert(finding.id, record.seq),
            Status::Closed => self.open.remove(&finding.id),
        };
    }

    /// The run is over, as far as it is recorded.
    fn leave(&mut self) {
        self.found.not_ended += u64::from(self.under_way);
        self.under_way = false;
        let open = self.open.drain().map(|(_, seq)| seq);
        self.found.left_open.extend(open);
    }
}

fn torn(segment: &Path, line: usize) -> String {
    let name = segment.file_name().unwrap_or_default().to_string_lossy();
    format!("line {line} of {name} has no end, as when a writer is stopped")
}

fn check_format(body: &Value) -> Result<(), AuditsError> {
    match body.get("format").and_then(Value::as_u64) {
        Some(FORMAT) => Ok(()),
        found => Err(AuditsError::Format {
            found: found.map_or_else(|| "unknown".to_owned(), |found| found.to_string()),
        }),
    }
}

fn is_wanted(only: Option<Uuid>, record: &Record) -> bool {
    only.is_none_or(|only| record.run == Some(only))
}

fn finding_of(body: &Value) -> Option<Finding> {
    serde_json::from_value(body.get("finding")?.clone()).ok()
}

/// What an audit tells, in its order.
pub(super) enum Item {
    /// A run, before its findings.
    Run(Box<Run>),
    /// A finding.
    Told(Box<Told>),
    /// A finding whose record, of this number, this version cannot read, or that no run found.
    Unreadable(u64),
}

/// What a run began with.
pub(super) struct Run {
    /// The number of its first record.
    pub(super) seq: u64,
    /// What is recorded of it; nothing where this version cannot read that.
    pub(super) begun: Option<Begun>,
    /// What its route was decided from.
    pub(super) summary: Option<Summary>,
    /// The slots that somebody was asked to fill for its route.
    pub(super) slots: Slots,
}

/// A finding, each time that it is told.
pub(super) struct Told {
    /// The number of its record.
    pub(super) seq: u64,
    /// As it is recorded.
    pub(super) finding: Finding,
    /// Whether it was told again in its run, as when it closes.
    pub(super) is_superseded: bool,
    /// Kind and body of each record of what was decided of it.
    pub(super) decisions: Vec<(String, Value)>,
    /// The slots that somebody was asked to fill on its way.
    pub(super) slots: Slots,
}

/// What is recorded of slots that somebody was asked to fill, in their order.
#[derive(Default)]
pub(super) struct Slots {
    pub(super) list: Vec<Slot>,
    /// How many more there are that this version cannot read.
    pub(super) unreadable: u64,
}

impl Told {
    /// Whether it is recorded what was decided of it.
    pub(super) fn is_decided(&self) -> bool {
        self.decisions.iter().any(|(kind, _)| kind == kinds::RISK)
    }

    /// Whether an outcome is what was decided of it.
    pub(super) fn is_as_recorded(&self, outcome: &Outcome) -> bool {
        let Ok(now) = decisions(outcome) else {
            return false;
        };
        let is_same = |(now, (kind, recorded)): (&Decision, &(String, Value))| {
            now.kind == kind && decided(&now.body) == decided(recorded)
        };
        now.len() == self.decisions.len() && now.iter().zip(&self.decisions).all(is_same)
    }
}

/// What a record says but for at what cost a model was asked: it is not asked again.
fn decided(body: &Value) -> Option<String> {
    let mut body = body.clone();
    for decision in body.as_object_mut()?.values_mut() {
        if let Some(fields) = decision.as_object_mut() {
            fields.remove("consulted");
        }
    }
    canonical(&body).ok()
}

impl Slots {
    fn take(&mut self, body: Value) {
        match serde_json::from_value(body) {
            Ok(slot) => self.list.push(slot),
            Err(_) => self.unreadable += 1,
        }
    }
}

impl Survey {
    /// Hands over what the audit tells, up to where it was looked through.
    ///
    /// # Errors
    ///
    /// When it cannot be read again.
    pub(super) fn each(&self, take: &mut dyn FnMut(Item)) -> Result<(), AuditError> {
        let mut telling = Telling {
            survey: self,
            take,
            is_of: self.only.is_none(),
            has_begun: false,
            run: None,
            told: None,
        };
        for record in read(&self.folder)? {
            let record = match record {
                Ok(record) if record.seq < self.end => record,
                // What was written since then, or the end that is not whole.
                _ => break,
            };
            telling.record(record);
        }
        telling.run();
        telling.told();
        Ok(())
    }
}

/// Puts the records of a run and of a finding together.
struct Telling<'t> {
    survey: &'t Survey,
    take: &'t mut dyn FnMut(Item),
    is_of: bool,
    /// Whether any run has begun.
    has_begun: bool,
    run: Option<Box<Run>>,
    told: Option<Box<Told>>,
}

impl Telling<'_> {
    fn record(&mut self, record: Record) {
        if record.kind == kinds::BEGUN {
            self.begin(record);
            return;
        }
        let is_of_a_finding = record.kind == kinds::SLOT || Decision::kind(&record.kind).is_some();
        if !is_of_a_finding || record.kind == kinds::FINDING {
            self.told();
        }
        if !self.is_of || !is_of_a_finding {
            return;
        }
        if record.kind == kinds::FINDING {
            self.run();
            self.finding(&record);
        } else if let Some(told) = &mut self.told {
            match record.kind.as_str() {
                kinds::SLOT => told.slots.take(record.body),
                _ => told.decisions.push((record.kind, record.body)),
            }
        } else if let Some(run) = &mut self.run {
            match record.kind.as_str() {
                kinds::SLOT => run.slots.take(record.body),
                kinds::ROUTE if subject(kinds::ROUTE, &record.body).is_none() => {
                    let summary = record.body.get("summary").cloned();
                    run.summary = summary.and_then(|it| serde_json::from_value(it).ok());
                }
                _ => {}
            }
        }
    }

    fn begin(&mut self, record: Record) {
        self.run();
        self.told();
        self.is_of = is_wanted(self.survey.only, &record);
        self.has_begun = true;
        self.run = self.is_of.then(|| {
            Box::new(Run {
                seq: record.seq,
                begun: serde_json::from_value(record.body).ok(),
                summary: None,
                slots: Slots::default(),
            })
        });
    }

    fn finding(&mut self, record: &Record) {
        let finding = finding_of(&record.body).filter(|_| self.has_begun);
        let Some(finding) = finding else {
            (self.take)(Item::Unreadable(record.seq));
            return;
        };
        let is_open = finding.status == Status::Open;
        self.told = Some(Box::new(Told {
            seq: record.seq,
            is_superseded: is_open && !self.survey.left_open.contains(&record.seq),
            decisions: vec![(record.kind.clone(), record.body.clone())],
            finding,
            slots: Slots::default(),
        }));
    }

    /// Hands over the run that began.
    fn run(&mut self) {
        if let Some(run) = self.run.take() {
            (self.take)(Item::Run(run));
        }
    }

    /// Hands over the finding that is complete.
    fn told(&mut self) {
        if let Some(told) = self.told.take() {
            (self.take)(Item::Told(told));
        }
    }
}
