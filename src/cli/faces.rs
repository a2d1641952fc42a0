//! Where the results of `run` go: the audit, the artifacts, the summary and stdout, in this order.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use anyhow::{Error, Result};
use serde::Serialize;
use uuid::Uuid;

use crate::audit::Audit;
use crate::cli::Format;
use crate::cli::live::Follower;
use crate::cli::output::out;
use crate::detect::{Severity, Status};
use crate::event::{Digest, Nanos, Time};
use crate::geo::DatabaseRecord;
use crate::pipeline::{
    Beginning, Counts, Evidence, Fills, Following, Late, Outcome, Rejected, Sink,
};
use crate::record::{Begun, Ended, Recorder};
use crate::render::{Collected, outcome_line};
use crate::source::{InputRead, SourceError};
use crate::store::{ArtifactWriter, RunRecord};
use crate::world::World;

/// What a run is told by in its artifacts.
#[derive(Clone, Debug)]
pub(super) struct About {
    pub(super) data: PathBuf,
    pub(super) policy: Digest,
    pub(super) generation: u64,
    pub(super) inputs: Vec<String>,
    pub(super) databases: Vec<DatabaseRecord>,
}

/// Hands every result on. What a reader of stdout sees is durable in the audit.
pub(super) struct Faces<'a> {
    about: About,
    recorder: Recorder<'a>,
    writer: ArtifactWriter,
    pub(super) collected: Collected,
    format: Format,
    pub(super) worst: Option<Severity>,
    /// What came of asking for slots.
    slots: Fills,
    streamed: u64,
    /// How the JSON document begins.
    opening: String,
    /// What is to be written to stdout once it is durable.
    pending: String,
    /// Findings that are open, each with the policy and the generation that told it last.
    open: BTreeMap<Uuid, (Digest, u64, Outcome)>,
    /// Whether the artifacts would say something new.
    changed: bool,
    /// Of a live run: how the route came about under the policy that decides.
    beginning: Option<Beginning>,
    live: bool,
    quiet: Quiet,
}

/// What came of a live finding, with the policy that made it.
#[derive(Serialize)]
struct Generated<'o> {
    #[serde(flatten)]
    outcome: &'o Outcome,
    policy: Digest,
    generation: u64,
}

/// So much is held back before it is made durable and written.
const PENDING: usize = 256 << 10;

/// Says when a checkpoint is due: however quiet it is, one each hour proves that it was.
#[derive(Debug)]
struct Quiet(Time);

impl Quiet {
    const MOST: Nanos = Nanos(3600 * Nanos::SECOND.0);

    fn since(now: Time) -> Self {
        Self(now)
    }

    /// Whether one is due; it then counts as made. A clock that was set back begins anew.
    fn is_over(&mut self, now: Time) -> bool {
        let over = now.since(self.0) >= Self::MOST;
        if over || now < self.0 {
            self.0 = now;
        }
        over
    }
}

impl<'a> Faces<'a> {
    pub(super) fn new(
        about: About,
        audit: Option<&'a Audit>,
        format: Format,
        append: bool,
        live: bool,
    ) -> Result<Self> {
        let writer = about.writer(append)?;
        Ok(Self {
            about,
            recorder: Recorder::new(audit),
            writer,
            collected: Collected::default(),
            format,
            worst: None,
            slots: Fills::default(),
            streamed: 0,
            opening: "{\"outcomes\":[".to_owned(),
            pending: String::new(),
            open: BTreeMap::new(),
            changed: false,
            beginning: None,
            live,
            quiet: Quiet::since((World::live().now)()),
        })
    }

    /// The run begins.
    pub(super) fn begin(&mut self, begun: &Begun) -> Result<()> {
        self.recorder.begin(begun)?;
        Ok(self.recorder.commit()?)
    }

    /// Another policy goes on: under the one before, so much was counted.
    pub(super) fn succeed(&mut self, counts: &Counts, begun: &Begun) -> Result<()> {
        self.tell()?;
        self.recorder.end(&Ended {
            counts: counts.clone(),
            failed: Vec::new(),
            closed: false,
        })?;
        (self.about.policy, self.about.generation) = (begun.policy, begun.generation);
        self.writer.under(begun.policy, begun.generation);
        self.begin(begun)
    }

    /// Writes what is pending, once it is durable.
    fn tell(&mut self) -> io::Result<()> {
        self.recorder.commit().map_err(io::Error::other)?;
        let pending = std::mem::take(&mut self.pending);
        if pending.is_empty() {
            return Ok(());
        }
        out(&pending).map_err(io::Error::other)
    }

    /// Ends the run: the last artifacts, and in the audit its end.
    pub(super) fn end(
        mut self,
        counts: &Counts,
        failed: &[SourceError],
        closed: bool,
    ) -> Result<(RunRecord, Collected, Option<Severity>)> {
        if self.format == Format::Json && self.streamed == 0 {
            self.pending.push_str(&self.opening);
        }
        self.tell()?;
        self.write_open()?;
        let failed = reasons(failed);
        let Self {
            about,
            writer,
            mut recorder,
            collected,
            worst,
            slots,
            ..
        } = self;
        let record = publish(about, writer, &mut recorder, counts, slots, failed.clone())?;
        let counts = counts.clone();
        recorder.end(&Ended {
            counts,
            failed,
            closed,
        })?;
        Ok((record, collected, worst))
    }

    /// Findings that are open are in the artifacts too, and are replaced when they close, as the
    /// route of the run is when another policy decides.
    fn write_open(&mut self) -> io::Result<()> {
        let Self {
            open,
            writer,
            about,
            beginning,
            ..
        } = self;
        let mut beginning = beginning.iter();
        beginning.try_for_each(|beginning| writer.begin(beginning))?;
        for (policy, generation, outcome) in open.values() {
            writer.under(*policy, *generation);
            writer.outcome(outcome)?;
        }
        writer.under(about.policy, about.generation);
        Ok(())
    }

    /// Tells how the route of the run came about, where a model was asked.
    fn stream_route(&mut self, beginning: &Beginning) -> io::Result<()> {
        if beginning.asked.is_none() {
            return Ok(());
        }
        let route = crate::visible::json(&beginning.route)?;
        let summary = crate::visible::json(&beginning.summary)?;
        let both = format!("{{\"route\":{route},\"summary\":{summary}");
        match self.format {
            Format::Text => {}
            Format::Ndjson => self.pending.push_str(&format!("{both}}}\n")),
            Format::Json => self.opening = format!("{both},\"outcomes\":["),
        }
        Ok(())
    }

    fn stream(&mut self, outcome: &Outcome) -> io::Result<()> {
        let line = match self.format {
            Format::Text if self.live => outcome_line(outcome),
            Format::Text => return Ok(()),
            Format::Ndjson if self.live => crate::visible::json(&Generated {
                outcome,
                policy: self.about.policy,
                generation: self.about.generation,
            })?,
            Format::Json | Format::Ndjson => crate::visible::json(outcome)?,
        };
        let begin = match (self.format, self.streamed) {
            (Format::Json, 0) => self.opening.as_str(),
            (Format::Json, _) => ",",
            _ => "",
        };
        let end = if self.format == Format::Json {
            ""
        } else {
            "\n"
        };
        self.streamed += 1;
        self.pending.extend([begin, &line, end]);
        if self.pending.len() > PENDING {
            self.tell()?;
        }
        Ok(())
    }
}

impl About {
    fn writer(&self, append: bool) -> Result<ArtifactWriter> {
        let Self {
            data,
            policy,
            generation,
            ..
        } = self;
        Ok(ArtifactWriter::new(data, *policy, *generation, append)?)
    }
}

/// Puts artifacts in place.
fn publish(
    about: About,
    writer: ArtifactWriter,
    recorder: &mut Recorder<'_>,
    counts: &Counts,
    slots: Fills,
    failed: Vec<String>,
) -> Result<RunRecord> {
    let ready = writer.ready(about.inputs, failed, about.databases, counts.clone(), slots)?;
    let artifacts = ready.record().artifacts.clone();
    recorder.publish(&artifacts, || ready.publish().map_err(Error::from))
}

fn reasons(failed: &[SourceError]) -> Vec<String> {
    failed.iter().map(ToString::to_string).collect()
}

impl Sink for Faces<'_> {
    fn begin(&mut self, beginning: &Beginning) -> io::Result<()> {
        self.recorder.route(beginning)?;
        self.slots.begin(beginning);
        self.collected.begin(beginning);
        self.stream_route(beginning)?;
        if self.live {
            // Another policy may have another route, and the artifacts have that of the last.
            self.beginning = Some(beginning.clone());
            return Ok(());
        }
        self.writer.begin(beginning)
    }

    fn outcome(&mut self, outcome: &Outcome) -> io::Result<()> {
        self.recorder.outcome(outcome)?;
        self.changed = true;
        self.slots.outcome(outcome);
        let id = outcome.finding.id;
        if outcome.finding.status == Status::Open {
            let About {
                policy, generation, ..
            } = self.about;
            self.open.insert(id, (policy, generation, outcome.clone()));
        } else {
            self.open.remove(&id);
            self.writer.outcome(outcome)?;
            self.collected.add(outcome);
        }
        self.worst = self.worst.max(Some(outcome.risk.severity));
        self.stream(outcome)
    }

    fn reject(&mut self, rejected: &Rejected) -> io::Result<()> {
        self.writer.reject(rejected)
    }

    fn evidence(&mut self, evidence: Evidence) -> io::Result<()> {
        self.recorder.evidence(evidence).map_err(io::Error::other)
    }

    fn read(&mut self, counts: &Counts, inputs: &[InputRead]) -> io::Result<()> {
        self.recorder.read(counts, inputs).map_err(io::Error::other)
    }

    fn late(&mut self, late: &Late) -> io::Result<()> {
        self.recorder.late(late).map_err(io::Error::other)
    }
}

impl Follower for Following<'_, Faces<'_>> {
    fn flush(&mut self) -> io::Result<()> {
        let faces = self.settled()?;
        if faces.pending.is_empty() {
            // What nobody was told of becomes durable with what is told next, or in a minute.
            return Ok(());
        }
        faces.tell()
    }

    fn keep(&mut self, counts: &Counts, failed: &[SourceError]) -> Result<()> {
        let faces = self.settled()?;
        faces.tell()?;
        if std::mem::take(&mut faces.changed) {
            faces.write_open()?;
            let failed = reasons(failed);
            let next = faces.about.writer(false)?;
            let writer = std::mem::replace(&mut faces.writer, next);
            let (about, slots) = (faces.about.clone(), faces.slots.clone());
            publish(about, writer, &mut faces.recorder, counts, slots, failed)?;
            faces.writer = faces.about.writer(true)?;
        }
        if faces.quiet.is_over((World::live().now)()) {
            faces.recorder.checkpoint()?;
        }
        Ok(())
    }

    fn restored(&mut self, saved: &[u8], clock: Time) -> Result<()> {
        Ok(self.settled()?.recorder.restored(saved, clock)?)
    }

    fn to_remember(&mut self) -> io::Result<Vec<Uuid>> {
        self.settled()?;
        Ok(self.promoted())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_due_each_hour_whatever_the_clock_does() {
        const MINUTE: i64 = 60 * Nanos::SECOND.0;
        let mut quiet = Quiet::since(Time(0));
        let cases = [
            (59, false),
            (60, true),
            (61, false),
            (119, false),
            (120, true),
            (30, false), // it was set back
            (89, false),
            (90, true),
            (900, true), // the machine slept
            (901, false),
        ];
        for (minutes, expected) in cases {
            assert_eq!(quiet.is_over(Time(minutes * MINUTE)), expected, "{minutes}");
        }
    }
}
