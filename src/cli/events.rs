//! What every command that reads events takes, and says of them.

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::cli::databases::DatabaseArgs;
use crate::cli::output::{UsageError, bad, talk, warn};
use crate::detect::Failed;
use crate::diag::{counted, noun};
use crate::event::{Nanos, Time};
use crate::geo::Databases;
use crate::okta::{Mapping, parse_time};
use crate::pipeline::{self, Counts, Settings};

use crate::source::{Input, expand};
use crate::visible::visible;
use crate::world::World;

/// Which events, and how they are read.
#[derive(Debug, clap::Args)]
pub struct EventArgs {
    /// Files of events, globs, or `-` for stdin; JSON lines, arrays, event-hook envelopes, plain or compressed
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    pub events: Vec<String>,
    #[command(flatten)]
    pub reading: ReadingArgs,
}

/// How events are read.
#[derive(Debug, clap::Args)]
pub struct ReadingArgs {
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
    /// End at the first record that is no event
    #[arg(long)]
    strict: bool,
    /// On how many threads; as many as there are processors unless given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    #[command(flatten)]
    pub databases: DatabaseArgs,
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

/// The inputs of words; reports those that name none.
pub fn inputs(words: &[String]) -> Option<Vec<Input>> {
    match expand(words) {
        Ok(inputs) => Some(inputs),
        Err(errors) => {
            errors.iter().for_each(|error| bad(&error.to_string()));
            None
        }
    }
}

/// How events are read where nobody says how.
pub fn plain_settings(databases: Databases) -> Settings {
    Settings {
        mapping: Mapping::Auto,
        since: None,
        until: None,
        strict: false,
        threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        databases,
        evidence: None,
    }
}

impl ReadingArgs {
    /// How they are read; says what `--hours` means.
    pub fn settings(
        &self,
        inputs: &[Input],
        databases: Databases,
        world: World,
    ) -> Result<Settings> {
        let mut settings = Settings {
            since: self.since,
            until: self.until,
            ..self.whole(databases)
        };
        (settings.since, settings.until) = self.range(|| newest(inputs, &settings, world))?;
        Ok(settings)
    }

    /// How they are read, whatever their time.
    pub fn whole(&self, databases: Databases) -> Settings {
        let mut settings = Settings {
            mapping: self.mapping.mapping(),
            strict: self.strict,
            ..plain_settings(databases)
        };
        if let Some(threads) = self.threads {
            settings.threads = threads.into();
        }
        settings
    }

    /// Whether anything is said of their time.
    pub fn says_when(&self) -> bool {
        self.hours.is_some() || self.since.is_some() || self.until.is_some()
    }

    /// Whether an end of their time is said.
    pub fn says_until(&self) -> bool {
        self.until.is_some()
    }

    /// Whether hours are said, which count back from the end.
    pub fn says_hours(&self) -> bool {
        self.hours.is_some()
    }

    /// From when to when; `--hours` counts back from the newest, and says what it means.
    pub fn range(
        &self,
        newest: impl FnOnce() -> Result<Time>,
    ) -> Result<(Option<Time>, Option<Time>)> {
        let (mut since, mut until) = (self.since, self.until);
        if let Some(hours) = self.hours {
            let reach = Nanos(i64::from(hours) * 3600 * Nanos::SECOND.0);
            let end = match self.until {
                Some(until) => until,
                None => newest()?,
            };
            since = Some(end.minus(reach));
            until = self.until.or(Some(end.plus(Nanos(1))));
            talk(&format!(
                "reading the {hours} {} before {end}, from {}",
                noun(hours, "hour"),
                end.minus(reach)
            ));
        }
        if let (Some(since), Some(until)) = (since, until)
            && since >= until
        {
            let message = format!("--since {since} is not before --until {until}");
            bail!(UsageError(message));
        }
        Ok((since, until))
    }
}

fn moment(text: &str) -> Result<Time, String> {
    let day = format!("{text}T00:00:00Z");
    parse_time(text)
        .or_else(|| parse_time(&day))
        .ok_or_else(|| {
            "expected a time such as 2026-03-02T10:00:00Z or a day such as 2026-03-02".to_owned()
        })
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

/// What a person should know about what was read; `rejects` says where the rejected records are.
pub fn talk_about(counts: &Counts, rejects: &str) {
    if counts.lower_cased > 0 {
        warn(&format!(
            "{} with lower-cased field names, which no rule matches; read with `--mapping lowercase`",
            counted(counts.lower_cased, "event")
        ));
    }
    if counts.rejected > 0 {
        let rejected = counted(counts.rejected, "record");
        warn(&format!("{rejected} left out as no event: {rejects}"));
    }
    if counts.without_type > 0 {
        let without = counted(counts.without_type, "record");
        warn(&format!(
            "{without} without an `eventType`, which few rules match: are they wrapped by another tool?"
        ));
    }
    for failed in counts.scripts.iter() {
        warn(&shown(failed));
    }
    if counts.events == 0 {
        warn("no events were read");
    }
}

/// How often a function of a script failed, and why first.
pub fn shown(failed: &Failed) -> String {
    let failures = counted(failed.failures, "failure");
    let (function, rule) = (visible(&failed.function), visible(&failed.rule));
    let first = visible(&failed.first);
    format!("{failures} of {function} for {rule}, first: {first}")
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
