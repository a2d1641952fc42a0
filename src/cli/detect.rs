//! `rulectl detect`: the detections and correlations of any Sigma rules, and nothing after them.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::cli::events::{EventArgs, inputs, talk_about};
use crate::cli::live::{Under, follow};
use crate::cli::output::{UsageError, bad, talk, talk_problems};
use crate::cli::progress::Meter;
use crate::cli::{Common, Exit, Format};
use crate::detect::Detector;
use crate::event::Nanos;
use crate::okta::ADDRESS_FIELDS;
use crate::pipeline::{self, RunError, Settings};
use crate::policy;
use crate::render::{Lines, detected};
use crate::source::{Input, Reader};
use crate::visible::{reason, visible};
use crate::world::World;

/// The words of the command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A folder of Sigma rules, read with all folders in it, or one rule file
    #[arg(long, value_name = "PATH")]
    rules: PathBuf,
    #[command(flatten)]
    events: EventArgs,
    /// Where the lines are written; stdout unless given, and for `-`
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Matches too in the order of findings, and a second copy of an event left out
    #[arg(long)]
    sorted: bool,
    /// Keep the records that are no events in this file
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// Detect over events as they come, as from `tail -F LOG | rulectl detect --follow --events -`
    #[arg(long, conflicts_with_all = ["sorted", "hours", "threads"])]
    follow: bool,
    /// With --follow, read on at the end of the last file as it grows, also where it is rotated
    #[arg(long, requires = "follow")]
    tail: bool,
    /// With --follow, how late an event may come and still count in windows
    #[arg(long, value_name = "SPAN", requires = "follow", default_value = "2m", value_parser = span)]
    lateness: Nanos,
    /// With --follow, keep where the watermark was after how many events, and which events came too late, in this file
    #[arg(long, value_name = "FILE", requires = "follow")]
    journal: Option<PathBuf>,
    /// With --follow, go on from the state in this file, and keep it there: at the end of the
    /// input, every minute, and when told to stop. What is open at the end stays open
    #[arg(long, value_name = "FILE", requires = "follow")]
    state: Option<PathBuf>,
}

/// A span of time on the command line.
pub(super) fn span(text: &str) -> Result<Nanos, String> {
    let expected = "expected a whole number and one of s, m, h, d, w, such as `2m`";
    Nanos::parse(text).ok_or_else(|| expected.to_owned())
}

/// The inputs of a command that follows; reports the words that name none.
///
/// # Errors
///
/// Where a file is to be followed as it grows, and the last input is none.
pub(super) fn followed(words: &[String], tail: bool) -> Result<Option<Vec<Input>>> {
    let Some(mut inputs) = inputs(words) else {
        return Ok(None);
    };
    if let Some(last) = inputs.pop() {
        if tail && last == Input::Stdin {
            let message = "`--tail` is for a file, and the last of `--events` is standard input, which is followed without it";
            bail!(UsageError(message.to_owned()));
        }
        if let Some(compression) = last.compression().filter(|_| tail) {
            let name = last.name();
            let message = format!(
                "`--tail` reads on at the end of a file of text, and `{name}` is compressed with {compression}: name the file that is written to last in `--events`, or leave `--tail` out"
            );
            bail!(UsageError(message));
        }
        inputs.push(if tail { last.growing() } else { last });
    }
    Ok(Some(inputs))
}

/// Runs the command.
pub fn detect(common: &Common, args: &Args) -> Result<Exit> {
    if common.format == Format::Json {
        let message = "`detect` writes one JSON value a line, which `--format ndjson` asks for";
        bail!(UsageError(message.to_owned()));
    }
    let loaded = policy::load_rules(&args.rules);
    talk_problems(&loaded.problems);
    let Some(mut detector) = loaded.detector else {
        return Ok(Exit::Broken);
    };
    let (Some(databases), Some(inputs)) = (
        args.events.reading.databases.open(),
        followed(&args.events.events, args.tail)?,
    ) else {
        return Ok(Exit::Broken);
    };
    detector.note_supplied(&databases.paths(&ADDRESS_FIELDS));
    let settings = args
        .events
        .reading
        .settings(&inputs, databases, World::live())?;
    let detector = if args.sorted {
        detector
    } else {
        detector.reporting_matches()
    };

    keep_apart(args, &inputs)?;
    write(args, &detector, inputs, &settings)
}

/// Detects, writes what is found, and says what was read.
fn write(
    args: &Args,
    detector: &Detector,
    inputs: Vec<Input>,
    settings: &Settings,
) -> Result<Exit> {
    let rejects = args.rejects.as_deref().map(create).transpose()?;
    let mut lines = Lines::new(detector, output(args.out.as_deref())?, rejects);
    let outcome = if args.follow {
        lines = lines.live(args.journal.as_deref().map(append).transpose()?);
        let databases = settings.databases.records();
        lines.asked(&databases).map_err(RunError::Sink)?;
        let state = args.state.as_deref();
        let under = Under {
            detector,
            generation: 0,
            settings,
            lateness: args.lateness,
            state,
        };
        follow(&under, inputs, &mut lines)?
    } else {
        let meter = Meter::new(Reader::new(inputs.clone()).total());
        let show = |progress| meter.show(progress);
        let outcome = pipeline::detect(detector, inputs, settings, &mut lines, &show);
        meter.finish(outcome.as_ref().map_or(0, |(counts, _)| counts.events));
        outcome
    };
    // What was found before something failed is written too.
    let flushed = lines.flush().map_err(RunError::Sink);
    let (counts, failed) = match outcome.and_then(|outcome| flushed.map(|()| outcome)) {
        Err(RunError::Sink(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            return Ok(Exit::Done); // whoever reads the lines has enough
        }
        outcome => outcome?,
    };
    talk(&detected(&lines, &counts));
    talk_about(&counts, &where_rejects_are(args));
    failed.iter().for_each(|error| bad(&error.to_string()));
    Ok(if failed.is_empty() {
        Exit::Done
    } else {
        Exit::Broken
    })
}

fn where_rejects_are(args: &Args) -> String {
    match &args.rejects {
        Some(file) => {
            let file = visible(&file.display().to_string());
            format!("see {file} for the reasons")
        }
        None => "`--rejects FILE` keeps them, with the reasons".to_owned(),
    }
}

fn output(file: Option<&Path>) -> Result<Box<dyn Write>> {
    match file {
        Some(file) if file != Path::new("-") => Ok(Box::new(create(file)?)),
        _ => Ok(Box::new(io::stdout())),
    }
}

fn create(file: &Path) -> Result<File> {
    File::create(file).map_err(|error| unwritable(file, &error))
}

/// A journal of several runs is one behind the other.
fn append(file: &Path) -> Result<File> {
    let mut options = File::options();
    let opened = options.append(true).create(true).open(file);
    opened.map_err(|error| unwritable(file, &error))
}

fn unwritable(file: &Path, error: &io::Error) -> anyhow::Error {
    let (file, reason) = (visible(&file.display().to_string()), reason(error));
    anyhow::anyhow!("`{file}` cannot be written: {reason}")
}

/// What is written is none of what is read, and each file is written by one.
fn keep_apart(args: &Args, inputs: &[Input]) -> Result<()> {
    let place = |file: &PathBuf| file.canonicalize().ok();
    let taken = |file: &PathBuf| {
        let read = inputs.iter().filter_map(|input| match input {
            Input::File(input) | Input::Growing(input) => Some(input),
            _ => None,
        });
        let databases = args.events.reading.databases.files();
        let mut read = read.chain([&args.rules]).chain(databases).filter_map(place);
        place(file).is_some_and(|file| file.is_file() && read.any(|input| input == file))
    };
    let written: [(&str, &Option<PathBuf>); 4] = [
        ("--out", &args.out),
        ("--rejects", &args.rejects),
        ("--journal", &args.journal),
        ("--state", &args.state),
    ];
    for (at, (option, file)) in written.into_iter().enumerate() {
        if file.as_ref().is_some_and(taken) {
            let message = format!("`{option}` names a file that is read");
            bail!(UsageError(message));
        }
        let mut others = written.iter().take(at);
        let same = others.find(|(_, other)| file.is_some() && file == *other);
        if let Some((other, _)) = same {
            bail!(UsageError(format!(
                "`{other}` and `{option}` name one file"
            )));
        }
    }
    Ok(())
}
