//! `rulectl run`: the pipeline over events from files or stdin.

use std::io;

use anyhow::Result;
use clap::ValueEnum;

use crate::cli::events::{EventArgs, talk_about};
use crate::cli::output::{bad, out, out_json, talk_problems};
use crate::cli::progress::Meter;
use crate::cli::{Common, Exit, Format};
use crate::detect::Severity;
use crate::okta::ADDRESS_FIELDS;
use crate::pipeline::{self, Outcome, Rejected, Sink};
use crate::policy;
use crate::render::{Collected, summary};
use crate::route::Route;
use crate::source::{Input, Reader};
use crate::store::{ArtifactWriter, RunLock};
use crate::world::World;

/// The words of the command.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    events: EventArgs,
    /// Add to the artifacts of earlier runs instead of replacing them
    #[arg(long)]
    append: bool,
    /// Exit with 1 when a finding's risk is at or above this severity
    #[arg(long, value_enum, value_name = "SEVERITY")]
    fail_on: Option<SeverityName>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SeverityName {
    Low,
    Medium,
    High,
    Critical,
}

/// Runs the command.
pub fn run(common: &Common, args: &Args) -> Result<Exit> {
    let mut loaded = policy::load(&common.policy);
    talk_problems(&loaded.problems);
    let Some(policy) = &mut loaded.policy else {
        return Ok(Exit::Broken);
    };
    let (Some(databases), Some(inputs)) = (args.events.databases.open(), args.events.inputs())
    else {
        return Ok(Exit::Broken);
    };
    let fields = databases.paths(&ADDRESS_FIELDS);
    policy.detector.note_supplied(&fields);
    let policy = &*policy;
    let settings = args.events.settings(&inputs, databases, World::live())?;

    let _lock = RunLock::take(&common.data)?;
    let generation = policy::activate(&common.data, policy.digest, &loaded.files)?;
    let writer = ArtifactWriter::new(&common.data, policy.digest, generation, args.append)?;
    let names: Vec<String> = inputs.iter().map(Input::name).collect();
    let mut sink = Faces::new(writer, common.format);
    let meter = Meter::new(Reader::new(inputs.clone()).total());
    let outcome = pipeline::run(policy, inputs, &settings, &mut sink, &|progress| {
        meter.show(progress)
    });
    let events = outcome.as_ref().map_or(0, |(counts, _)| counts.events);
    meter.finish(events);
    let (counts, failed) = outcome?;
    sink.ended()?;
    let reasons: Vec<String> = failed.iter().map(ToString::to_string).collect();
    let databases = settings.databases.records();
    let record = sink
        .writer
        .commit(names.clone(), reasons, databases, counts.clone())?;

    match common.format {
        Format::Text => out(&summary(
            &sink.collected,
            &counts,
            names.len(),
            policy.digest,
            generation,
            &common.data.display().to_string(),
        ))?,
        Format::Json => out(&format!("],\"run\":{}}}\n", crate::visible::json(&record)?))?,
        Format::Ndjson => out_json(&serde_json::json!({"run": record}))?,
    }
    talk_about(&counts, "see rejects.jsonl for the reasons");
    failed.iter().for_each(|error| bad(&error.to_string()));
    let gate = args
        .fail_on
        .is_some_and(|least| sink.worst >= Some(least.severity()));
    let exit = if gate { Exit::Negative } else { Exit::Done };
    Ok(exit.or(if failed.is_empty() {
        Exit::Done
    } else {
        Exit::Broken
    }))
}

/// Hands every result to the artifacts, the summary and, in JSON formats, stdout.
struct Faces {
    writer: ArtifactWriter,
    collected: Collected,
    format: Format,
    worst: Option<Severity>,
    written: u64,
}

impl Faces {
    fn new(writer: ArtifactWriter, format: Format) -> Self {
        Self {
            writer,
            collected: Collected::default(),
            format,
            worst: None,
            written: 0,
        }
    }

    /// Opens the JSON document where no outcome has.
    fn ended(&self) -> Result<()> {
        if self.format == Format::Json && self.written == 0 {
            out("{\"outcomes\":[")
        } else {
            Ok(())
        }
    }

    fn stream(&mut self, outcome: &Outcome) -> io::Result<()> {
        let line = crate::visible::json(outcome)?;
        let text = match (self.format, self.written) {
            (Format::Text, _) => return Ok(()),
            (Format::Ndjson, _) => line + "\n",
            (Format::Json, 0) => format!("{{\"outcomes\":[{line}"),
            (Format::Json, _) => format!(",{line}"),
        };
        self.written += 1;
        out(&text).map_err(io::Error::other)
    }
}

impl Sink for Faces {
    fn begin(&mut self, route: &Route) -> io::Result<()> {
        self.writer.begin(route)
    }

    fn outcome(&mut self, outcome: &Outcome) -> io::Result<()> {
        self.writer.outcome(outcome)?;
        self.collected.add(outcome);
        self.worst = self.worst.max(Some(outcome.risk.severity));
        self.stream(outcome)
    }

    fn reject(&mut self, rejected: &Rejected) -> io::Result<()> {
        self.writer.reject(rejected)
    }
}

impl SeverityName {
    fn severity(self) -> Severity {
        match self {
            Self::Low => Severity::Low,
            Self::Medium => Severity::Medium,
            Self::High => Severity::High,
            Self::Critical => Severity::Critical,
        }
    }
}
