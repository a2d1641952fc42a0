//! `rulectl run`: the pipeline over events from files or stdin.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Error, Result, bail};
use clap::ValueEnum;

use crate::audit::Audit;
use crate::cli::audit::record_in;
use crate::cli::detect::{followed, span};
use crate::cli::events::{ReadingArgs, talk_about};
use crate::cli::faces::{About, Faces};
use crate::cli::live::{Coming, Ended, Handover, Source as _, Successor, Under, told_to_stop};
use crate::cli::okta::{self, Polling, SoFar};
use crate::cli::output::{UsageError, bad, out, out_json, talk, talk_problems, warn};
use crate::cli::progress::Meter;
use crate::cli::slots::{Filler, SlotArgs};
use crate::cli::watching::Watching;
use crate::cli::{Common, Exit, Format};
use crate::config::{Config, OktaSettings};
use crate::detect::Severity;
use crate::event::{Digest, Nanos, Time};
use crate::geo::Databases;
use crate::okta::client::Client;
use crate::okta::{ADDRESS_FIELDS, system_log};
use crate::pipeline::{self, Counts, Filling, Fills, RunError, Settings, following};
use crate::policy::{self, Policy};
use crate::record::{Begun, activate};
use crate::render::{Collected, filled, filled_by_slot, summary};
use crate::route::Summary;
use crate::source::{Input, Reader, SourceError};
use crate::store::{RunLock, RunRecord};
use crate::watch::{self, Watched};
use crate::world::World;

/// The words of the command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files of events, globs, or `-` for stdin; JSON lines, arrays, event-hook envelopes, plain or compressed
    #[arg(long, required_unless_present = "okta", num_args = 1.., value_name = "FILE")]
    events: Vec<String>,
    /// The System Log of the tenant that is configured: of --hours or --since, or with --follow without end
    #[arg(long, conflicts_with_all = ["events", "tail", "mapping"])]
    okta: bool,
    #[command(flatten)]
    reading: ReadingArgs,
    /// Add to the artifacts of earlier runs instead of replacing them
    #[arg(long)]
    append: bool,
    /// Keep going with events as they come, as from --okta or `tail -F LOG | rulectl run --follow --events -`
    #[arg(long, conflicts_with = "threads")]
    follow: bool,
    /// With --follow, read on at the end of the last file as it grows, also where it is rotated
    #[arg(long, requires = "follow")]
    tail: bool,
    /// With --follow, how late an event may come and still count in windows
    #[arg(long, value_name = "SPAN", requires = "follow", default_value = "2m", value_parser = span)]
    lateness: Nanos,
    /// With --follow, go on from the state in this file, and keep it there: at the end of the
    /// input, every minute, and when told to stop. What is open at the end stays open. With --okta
    /// it holds the place in the System Log too, and is `system-log.state` below --data unless named
    #[arg(long, value_name = "FILE", requires = "follow")]
    state: Option<PathBuf>,
    /// Write no audit: what is decided then can be neither proved nor replayed
    #[arg(long)]
    no_audit: bool,
    #[command(flatten)]
    slots: SlotArgs,
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
    if args.follow && common.format == Format::Json {
        let message = "`run --follow` has no end at which one document could be closed; `--format ndjson` writes a value a line";
        bail!(UsageError(message.to_owned()));
    }
    if args.follow && !args.okta && args.reading.says_hours() {
        let message = "`--hours` counts back from the newest event, and with `--follow` there is none; give `--since`";
        bail!(UsageError(message.to_owned()));
    }
    let config = args.slots.config()?;
    let from = args.from(&config)?;
    // What changes from here on is seen.
    let known = args
        .follow
        .then(|| watch::digest(&common.policy, Watched::Policy));
    let mut loaded = policy::load(&common.policy);
    talk_problems(&loaded.problems);
    let Some(policy) = &mut loaded.policy else {
        return Ok(Exit::Broken);
    };
    let (Some(databases), Some(from)) = (args.reading.databases.open(), from) else {
        return Ok(Exit::Broken);
    };
    let fields = databases.paths(&ADDRESS_FIELDS);
    policy.detector.note_supplied(&fields);
    let policy = &*policy;
    let mut settings = from.settings(args, databases)?;
    settings.evidence = (!args.no_audit).then(|| policy.audit.secrets.clone());

    let filler = match args.slots.filler(&config, &common.policy)? {
        Ok(filler) => filler,
        Err(exit) => return Ok(exit),
    };
    let _lock = RunLock::take(&common.data)?;
    let audit = (!args.no_audit).then(|| record_in(common)).transpose()?;
    let audit = audit.map(Arc::new);
    let generation = activate(audit.as_deref(), policy.digest, || {
        policy::activate(&common.data, policy.digest, &loaded.files).map_err(Error::from)
    })?;
    let state = args.state_file(common);
    let goes_on = args.okta && state.as_ref().is_some_and(|state| state.exists());
    let (reading, client) = from.begin(args, audit.as_ref())?;
    let about = About {
        data: common.data.clone(),
        policy: policy.digest,
        generation,
        inputs: reading.names(),
        databases: settings.databases.records(),
    };
    let ran = Run {
        policy,
        args,
        common,
        settings,
        audit: audit.as_deref(),
        filler: &filler,
        about,
        known,
        state,
        append: args.append || goes_on,
    };
    let ended = ran.run(reading);
    if let Some(client) = client {
        talk(&okta::asked(&client.tally()));
    }
    // What was recorded is kept however the run ended.
    let recorded = filler.finish();
    let exit = ended?.or(recorded?);
    if let Some(audit) = audit {
        audit.close()?;
    }
    Ok(exit)
}

/// Where events come from.
enum From {
    Files(Vec<Input>),
    /// The System Log, from one time to another; with `--follow`, from the first on.
    Log(Box<OktaSettings>, (Time, Time)),
}

/// Events that are about to be read.
enum Reading {
    Inputs(Vec<Input>),
    /// The System Log, and how far it is read.
    Log(Input, SoFar),
    /// The System Log without end.
    Polling(Box<Polling>),
}

impl Args {
    /// Where events come from; nothing where words name nothing, which is told.
    fn from(&self, config: &Config) -> Result<Option<From>> {
        if !self.okta {
            return Ok(followed(&self.events, self.tail)?.map(From::Files));
        }
        let settings = okta::configured(config)?;
        let range = okta::range(&self.reading, self.follow, (World::live().now)())?;
        Ok(Some(From::Log(Box::new(settings), range)))
    }

    /// The file in which state is kept.
    fn state_file(&self, common: &Common) -> Option<PathBuf> {
        let ours = || (self.okta && self.follow).then(|| okta::state_file(common));
        self.state.clone().or_else(ours)
    }
}

impl From {
    fn settings(&self, args: &Args, databases: Databases) -> Result<Settings> {
        match self {
            Self::Files(inputs) => args.reading.settings(inputs, databases, World::live()),
            Self::Log(..) if args.follow => Ok(args.reading.whole(databases)),
            Self::Log(_, (since, until)) => Ok(Settings {
                since: Some(*since),
                until: Some(*until),
                ..args.reading.whole(databases)
            }),
        }
    }

    /// Begins to read; the client is that of a tenant.
    fn begin(
        self,
        args: &Args,
        audit: Option<&Arc<Audit>>,
    ) -> Result<(Reading, Option<Arc<Client>>)> {
        let (settings, (since, until)) = match self {
            Self::Files(inputs) => return Ok((Reading::Inputs(inputs), None)),
            Self::Log(settings, range) => (*settings, range),
        };
        // A run that ends by itself is ended by the signal, as one over files is.
        let stop = match args.follow {
            true => told_to_stop()?,
            false => Arc::default(),
        };
        let operations = vec![system_log::operation()];
        let client = okta::client(&settings, operations, audit.cloned(), &stop)?;
        let client = Arc::new(client);
        let reading = if args.follow {
            Reading::Polling(Box::new(Polling {
                client: Arc::clone(&client),
                settings,
                since,
                is_said: args.reading.says_when(),
                stop,
            }))
        } else {
            let (input, so_far) = okta::bounded(&client, &settings, (since, until))?;
            Reading::Log(input, so_far)
        };
        Ok((reading, Some(client)))
    }
}

impl Reading {
    fn names(&self) -> Vec<String> {
        match self {
            Self::Inputs(inputs) => inputs.iter().map(Input::name).collect(),
            Self::Log(input, _) => vec![input.name()],
            Self::Polling(polling) => vec![polling.name()],
        }
    }
}

/// A run whose policy is activated.
struct Run<'r> {
    policy: &'r Policy,
    args: &'r Args,
    common: &'r Common,
    settings: Settings,
    audit: Option<&'r Audit>,
    filler: &'r Filler,
    about: About,
    /// What was in the folder before the policy was loaded, where it is watched.
    known: Option<Digest>,
    /// The file in which state is kept.
    state: Option<PathBuf>,
    /// Whether artifacts of earlier runs stay.
    append: bool,
}

impl Run<'_> {
    fn run(&self, reading: Reading) -> Result<Exit> {
        let Self { args, about, .. } = self;
        let format = self.common.format;
        let mut faces = Faces::new(about.clone(), self.audit, format, self.append, args.follow)?;
        let begun = self.begun(about.policy, about.generation, &self.settings);
        faces.begin(&begun)?;
        let (counts, failed) = match reading {
            Reading::Inputs(inputs) if args.follow => {
                let coming = Coming::begin(inputs, self.settings.evidence.is_some())?;
                self.follow(coming, &mut faces)?
            }
            Reading::Polling(polling) => {
                let stop = Arc::clone(&polling.stop);
                self.follow(Coming::from(polling, stop), &mut faces)?
            }
            Reading::Inputs(inputs) => self.over_files(inputs, None, &mut faces)?,
            Reading::Log(input, so_far) => {
                let read = self.over_files(vec![input], Some(&so_far), &mut faces)?;
                talk(&format!("read {}", okta::far(so_far.now())));
                read
            }
        };
        let closed = !args.follow || self.state.is_none();
        let (record, collected, worst) = faces.end(&counts, &failed, closed)?;
        self.say(&record, &collected, &counts)?;
        talk_about(&counts, "see rejects.jsonl for the reasons");
        for (failures, what) in collected.failures() {
            warn(&format!("{failures} {what}"));
        }
        failed.iter().for_each(|error| bad(&error.to_string()));
        talk_fills(&record.slots);
        Ok(self.exit(worst, &failed, &record.slots))
    }

    fn begun(&self, policy: Digest, generation: u64, settings: &Settings) -> Begun {
        let names = self.about.inputs.clone();
        let mut begun = Begun::new(policy, generation, names, settings);
        begun.lateness = self.args.follow.then(|| self.args.lateness.seconds());
        begun.slots = self.filler.asks();
        begun
    }

    fn over_files(
        &self,
        inputs: Vec<Input>,
        log: Option<&SoFar>,
        faces: &mut Faces<'_>,
    ) -> Result<Read> {
        let meter = Meter::new(Reader::new(inputs.clone()).total());
        let show = |progress| {
            let far = log.map(|log| okta::far(log.now()));
            meter.show_with(progress, far.as_deref());
        };
        let outcome = pipeline::run(
            self.policy,
            &self.filling(),
            inputs,
            &self.settings,
            faces,
            &show,
        );
        meter.finish(outcome.as_ref().map_or(0, |(counts, _)| counts.events));
        Ok(outcome?)
    }

    /// Follows what comes, under one policy after the other.
    fn follow(&self, mut coming: Coming, faces: &mut Faces<'_>) -> Result<Read> {
        let read = self.follow_all(&mut coming, faces);
        coming.leave();
        read
    }

    fn follow_all(&self, coming: &mut Coming, faces: &mut Faces<'_>) -> Result<Read> {
        let mut successors = self.watched()?;
        let (mut handover, mut settings) = (None::<Box<Handover>>, self.settings.clone());
        loop {
            let (policy, generation) = match &handover {
                Some(handover) => {
                    let Successor { policy, generation } = &handover.successor;
                    (policy, *generation)
                }
                None => (self.policy, self.about.generation),
            };
            let under = Under {
                detector: &policy.detector,
                generation,
                settings: &settings,
                lateness: self.args.lateness,
                state: self.state.as_deref(),
            };
            // Nobody waits for events to decide what to do with them.
            let none = Summary::default();
            let filling = Filling {
                summary: Some(&none),
                ..self.filling()
            };
            let saved = handover.as_ref().map(|handover| &handover.saved);
            let followed = following(policy, &filling, faces, |following| {
                coming.follow(&under, saved, following, Some(&mut successors))
            });
            let next = match followed.map_err(RunError::Sink)? {
                Some(ended) => match ended? {
                    Ended::Over(outcome) => return Ok(outcome?),
                    Ended::Succeeded(next) => next,
                },
                None => match self.without_detection(coming, &mut successors, handover.take()) {
                    Some(next) => next,
                    None => return Ok(coming.end()),
                },
            };
            let successor = &next.successor;
            if settings.evidence.is_some() {
                settings.evidence = Some(successor.policy.audit.secrets.clone());
            }
            let digest = successor.policy.digest;
            let begun = self.begun(digest, successor.generation, &settings);
            faces.succeed(&next.counts, &begun)?;
            handover = Some(next);
        }
    }

    /// A policy leaves detection out. One that was there from the beginning ends the run, and one
    /// that came later keeps what it was handed for the next.
    fn without_detection(
        &self,
        coming: &mut Coming,
        successors: &mut Watching<'_>,
        handover: Option<Box<Handover>>,
    ) -> Option<Box<Handover>> {
        let mut handover = handover?;
        let generation = handover.successor.generation;
        warn(&format!(
            "the route of generation {generation} leaves detection out: what comes is let go until the policy changes"
        ));
        handover.successor = coming.wait(successors)?;
        handover.counts = Counts::default();
        Some(handover)
    }

    /// Watches the policy, so that each change of it is told and, where it is a policy, taken.
    fn watched(&self) -> Result<Watching<'_>> {
        Watching::begin(
            self.common,
            self.audit,
            self.known.unwrap_or(self.policy.digest),
            (self.policy.digest, self.about.generation),
            self.settings.databases.paths(&ADDRESS_FIELDS),
        )
    }

    /// Who fills slots.
    fn filling(&self) -> Filling<'_> {
        Filling {
            model: self.filler.model(),
            summary: None,
        }
    }

    /// Tells what came of it.
    fn say(&self, record: &RunRecord, collected: &Collected, counts: &Counts) -> Result<()> {
        match self.common.format {
            Format::Text => out(&summary(
                collected,
                counts,
                &record.slots,
                record.inputs.len(),
                record.policy,
                record.generation,
                &self.common.data.display().to_string(),
            )),
            Format::Json => out(&format!("],\"run\":{}}}\n", crate::visible::json(record)?)),
            Format::Ndjson => out_json(&serde_json::json!({"run": record})),
        }
    }

    fn exit(&self, worst: Option<Severity>, failed: &[SourceError], slots: &Fills) -> Exit {
        let gate = self
            .args
            .fail_on
            .is_some_and(|least| worst >= Some(least.severity()));
        let exit = if gate { Exit::Negative } else { Exit::Done };
        exit.or(if failed.is_empty() && slots.total().failed == 0 {
            Exit::Done
        } else {
            Exit::Broken
        })
    }
}

/// Tells how many slots the model filled, where it did not fill them all: an error where its
/// endpoint failed, and a warning where nothing that it said was accepted.
fn talk_fills(slots: &Fills) {
    let total = slots.total();
    if total.filled == total.asked {
        return;
    }
    let line = format!(
        "slots filled: {}; the others took their defaults",
        filled(slots)
    );
    if total.failed > 0 {
        bad(&line);
    } else {
        warn(&line);
    }
    let lines = filled_by_slot(slots);
    lines.iter().for_each(|line| talk(&format!("  {line}")));
}

/// What was read, and the inputs that failed.
type Read = (Counts, Vec<SourceError>);

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
