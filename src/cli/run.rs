//! `rulectl run`: the pipeline over events from files or stdin.

use std::cell::RefCell;
use std::io;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::output::{
    UsageError, bad, is_interactive, out, out_json, talk, talk_problems, warn,
};
use crate::cli::{Common, Exit, Format};
use crate::detect::Severity;
use crate::event::{Nanos, Time};
use crate::okta::{Mapping, parse_time};
use crate::pipeline::{self, Counts, Outcome, Progress, Rejected, Settings, Sink};
use crate::policy;
use crate::render::{Collected, counted, summary};
use crate::route::Route;
use crate::source::{Input, Reader, expand};
use crate::store::{ArtifactWriter, RunLock};
use crate::visible::visible;
use crate::world::World;

/// The words of the command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files of events, globs, or `-` for stdin; JSON lines, arrays, event-hook envelopes, plain or compressed
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    events: Vec<String>,
    /// How the fields of a record become Okta's
    #[arg(long, value_enum, default_value = "auto")]
    mapping: MappingName,
    /// Only the last N hours before the newest event, or before --until
    #[arg(long, value_name = "N", conflicts_with = "since", value_parser = clap::value_parser!(u32).range(1..=876_000))]
    hours: Option<u32>,
    /// Only events at or after this time, such as 2026-03-02T00:00:00Z or 2026-03-02
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Time>,
    /// Only events before this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Time>,
    /// Add to the artifacts of earlier runs instead of replacing them
    #[arg(long)]
    append: bool,
    /// End at the first record that is no event, and write nothing
    #[arg(long)]
    strict: bool,
    /// Exit with 1 when a finding's risk is at or above this severity
    #[arg(long, value_enum, value_name = "SEVERITY")]
    fail_on: Option<SeverityName>,
    /// On how many threads; as many as there are processors unless given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum MappingName {
    /// Okta's shape, and the flat shape where a record has it
    Auto,
    /// Okta's shape alone
    Okta,
    /// The flat shape: event_type, actor_id, timestamp, …
    Flat,
    /// Okta's shape with field names that a store has lower-cased
    Lowercase,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SeverityName {
    Low,
    Medium,
    High,
    Critical,
}

fn moment(text: &str) -> Result<Time, String> {
    let day = format!("{text}T00:00:00Z");
    parse_time(text)
        .or_else(|| parse_time(&day))
        .ok_or_else(|| {
            "expected a time such as 2026-03-02T10:00:00Z or a day such as 2026-03-02".to_owned()
        })
}

/// Runs the command.
pub fn run(common: &Common, args: &Args) -> Result<Exit> {
    let loaded = policy::load(&common.policy);
    talk_problems(&loaded.problems);
    let Some(policy) = &loaded.policy else {
        return Ok(Exit::Broken);
    };
    let Some(inputs) = inputs(&args.events) else {
        return Ok(Exit::Broken);
    };
    let settings = settings(args, &inputs, World::live())?;

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
    let record = sink.writer.commit(names.clone(), reasons, counts.clone())?;

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
    talk_about(&counts);
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

fn inputs(words: &[String]) -> Option<Vec<Input>> {
    match expand(words) {
        Ok(inputs) => Some(inputs),
        Err(errors) => {
            errors.iter().for_each(|error| bad(&error.to_string()));
            None
        }
    }
}

fn settings(args: &Args, inputs: &[Input], world: World) -> Result<Settings> {
    let threads = args.threads.map_or_else(
        || std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        usize::from,
    );
    let mut settings = Settings {
        mapping: args.mapping.mapping(),
        since: args.since,
        until: args.until,
        strict: args.strict,
        threads,
    };
    if let Some(hours) = args.hours {
        let reach = Nanos(i64::from(hours) * 3600 * Nanos::SECOND.0);
        let end = match args.until {
            Some(until) => until,
            None => newest(inputs, &settings, world)?,
        };
        settings.since = Some(end.minus(reach));
        settings.until = args.until.or(Some(end.plus(Nanos(1))));
        let plural = if hours == 1 { "" } else { "s" };
        talk(&format!(
            "reading the {hours} hour{plural} before {end}, from {}",
            end.minus(reach)
        ));
    }
    if let (Some(since), Some(until)) = (settings.since, settings.until)
        && since >= until
    {
        let message = format!("--since {since} is not before --until {until}");
        bail!(UsageError(message));
    }
    Ok(settings)
}

/// The time of the newest event that is not in the future: what `--hours` counts back from.
fn newest(inputs: &[Input], settings: &Settings, world: World) -> Result<Time> {
    if inputs.contains(&Input::Stdin) {
        bail!(UsageError(
            "--hours on stdin needs --until: stdin cannot be read twice to find its newest event"
                .to_owned()
        ));
    }
    match pipeline::newest(inputs.to_vec(), settings, (world.now)()) {
        Some(newest) => Ok(newest),
        None => bail!(
            "no event has a readable time that is not in the future, so --hours has nothing to count back from; give --since or --until"
        ),
    }
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

/// What a person should know about what was read.
fn talk_about(counts: &Counts) {
    if counts.lower_cased > 0 {
        warn(&format!(
            "{} with lower-cased field names, which no rule matches; read with `--mapping lowercase`",
            counted(counts.lower_cased, "event")
        ));
    }
    if counts.rejected > 0 {
        let rejected = counted(counts.rejected, "record");
        warn(&format!(
            "{rejected} left out as no event: see rejects.jsonl for the reasons"
        ));
    }
    if counts.without_type > 0 {
        let without = counted(counts.without_type, "record");
        warn(&format!(
            "{without} without an `eventType`, which few rules match: are they wrapped by another tool?"
        ));
    }
    if counts.events == 0 {
        warn("no events were read");
    }
}

impl MappingName {
    fn mapping(self) -> Mapping {
        match self {
            Self::Auto => Mapping::Auto,
            Self::Okta => Mapping::Okta,
            Self::Flat => Mapping::Flat,
            Self::Lowercase => Mapping::Lowercase,
        }
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

/// Progress on stderr, once a run takes longer than a second.
struct Meter {
    started: Instant,
    bar: RefCell<Option<ProgressBar>>,
    total: Option<u64>,
}

impl Meter {
    fn new(total: Option<u64>) -> Self {
        Self {
            started: Instant::now(),
            bar: RefCell::new(None),
            total,
        }
    }

    fn show(&self, progress: Progress) {
        if self.started.elapsed() < Duration::from_secs(1) || !is_interactive() {
            return;
        }
        let mut bar = self.bar.borrow_mut();
        let bar = bar.get_or_insert_with(|| bar_for(self.total));
        bar.set_position(progress.read);
        bar.set_message(format!(
            "{} events, {:.0}/s",
            progress.events,
            self.rate(progress.events)
        ));
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate for a person")]
    fn rate(&self, events: u64) -> f64 {
        events as f64 / self.started.elapsed().as_secs_f64().max(1e-9)
    }

    fn finish(&self, events: u64) {
        if let Some(bar) = self.bar.borrow_mut().take() {
            bar.finish_and_clear();
        }
        if self.started.elapsed() >= Duration::from_secs(1) && is_interactive() {
            let seconds = self.started.elapsed().as_secs_f64();
            talk(&visible(&format!(
                "{events} events in {seconds:.1} s, {:.0} events/s",
                self.rate(events)
            )));
        }
    }
}

fn bar_for(total: Option<u64>) -> ProgressBar {
    let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
    let template = if total.is_some() {
        "{wide_bar} {bytes}/{total_bytes}  {msg}"
    } else {
        "{bytes}  {msg}"
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
